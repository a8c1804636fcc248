//! What was learned of parcels, as the people of the desk meet it: who is told, and why; across restarts.

use super::world::{Plan, clock, names, rings};
use crate::core::model::Table;

/// A desk that is told of silences by what it has learned.
fn plan() -> Plan {
    let mut plan = Plan { learns: true, ..Plan::default() };
    let stalled = crate::core::clock::ClockConfig {
        start: names(&["last_scan"]),
        stop: names(&["delivered"]),
        pick: Some(crate::core::clock::Pick::Last),
        deadline: Some("stall_by".to_owned()),
        ring: rings(&["due"]),
        ..clock("parcel_silent", "parcel")
    };
    plan.policy.clock.push(stalled);
    plan
}

#[test]
fn a_silence_that_is_too_long_is_told_with_its_figures_and_a_restart_forgets_nothing() {
    let story = |restarts: &[&str]| {
        let mut world = plan().on("2026-03-02", "08:00");
        // A dozen parcels, scanned every two hours until they are delivered.
        for scan in 0..5 {
            for n in 0..12 {
                let at = format!("{:02}:{:02}", 8 + scan * 2, 5 * n);
                world.at(&at);
                let mut marks = vec![("last_scan", "", at.as_str())];
                if scan == 4 {
                    marks.push(("delivered", "", at.as_str()));
                }
                let status = if scan == 4 { "delivered" } else { "in_transit" };
                let texts = [("carrier", "圆通".into()), ("to", "湖南".into()), ("status", status.into())];
                world.observe("parcel", &format!("P{n}"), &marks, &texts);
                if restarts.contains(&at.as_str()) {
                    world.restart(&plan(), &at);
                }
            }
        }
        world.at("20:00");
        let texts = [("carrier", "圆通".into()), ("to", "湖南".into()), ("status", "in_transit".into())];
        world.observe("parcel", "X", &[("last_scan", "", "20:00")], &texts);
        world.until(super::world::instant("2026-03-06", "12:00"));
        let incident = world.incident("X");
        let learned = world.desk.engine().learned().expect("it learns").gaps().clone();
        (incident, learned, world)
    };
    let (plain, learned, world) = story(&[]);
    assert_eq!(&*plain.rule, "parcel_silent");
    let why = plain.facts.iter().find(|(name, _)| name.as_ref() == "stall_why").map(|(_, why)| why.clone());
    let why = why.expect("it says why");
    assert!(
        why.starts_with("已 ") && why.contains("次扫描间隔中 99.5%") && why.contains("圆通 →湖南近期"),
        "{why}"
    );
    assert!(world.store.keys().any(|(table, id)| *table == Table::Learned && id.starts_with("gap/")));
    let (restarted, again, _) = story(&["10:05", "12:30", "16:25"]);
    assert_eq!(again, learned, "nothing was learned twice");
    assert_eq!((restarted.due, restarted.facts), (plain.due, plain.facts));
}
