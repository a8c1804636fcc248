//! Who is there: shifts that end, gaps, contacts that are missing, people who leave.

use super::world::{Plan, instant, stretch};
use crate::core::alerting::{Act, Done};
use crate::core::duty::Role;
use crate::core::model::Status;
use crate::core::time::Span;

const STALLED: (&str, &str, &str) = ("scan", "s1", "2026-02-28T17:00:00+08:00");

#[test]
fn s05_the_shift_of_who_has_it_ends() {
    let mut world = Plan::default().at("17:10");
    world.observe("parcel", "P1", &[STALLED], &[]);
    world.at("17:40");
    let id = world.incident("P1").id;
    world.ack("lin", id).expect("lin may");
    assert_eq!(
        world.incident("P1").ack_until,
        Some(instant("2026-03-02", "18:00")),
        "cut at the end of the shift"
    );
    world.sent.clear();
    world.at("18:05");
    let incident = world.incident("P1");
    assert_eq!((incident.status, incident.level), (Status::Open, 1));
    assert_eq!(incident.audience, ["chen".into()]);
    assert_eq!(world.got("chen"), ["18:01:00 chat rerouted"]);
    assert_eq!(world.got("lin"), ["18:01:00 chat rerouted"], "told once that it is gone");
    assert_eq!(world.sent, []);
    assert_eq!(world.rules(id), "R2 R8 R11");
}

#[test]
fn s07_the_roster_changes_between_plan_and_claim() {
    let mut plan = Plan::default();
    let spare = super::world::person("小何", Role::Handler, &["day"], &["chat"]);
    plan.people.insert("he".to_owned(), spare);
    let mut world = plan_at_ten(&plan);
    world.observe(
        "ticket",
        "T1",
        &[("customer_message", "m1", "10:00:00")],
        &[("assignee", "acc-小林".into())],
    );
    world.at("10:20:03");
    assert_eq!(world.incident("T1").audience, ["lin".into()]);
    world.got("lin");
    plan.people.get_mut("lin").expect("lin").leave = vec![stretch("2026-03-02 10:20", "2026-03-02 18:00")];
    plan.revision = 2;
    world.reload(&plan);
    world.at("10:20:20");
    assert_eq!(world.got("lin"), [""; 0]);
    assert_eq!(world.got("he").len(), 1);
    assert_eq!(world.incident("T1").audience, ["he".into()]);
}

fn plan_at_ten(plan: &Plan) -> super::world::World {
    let copy = Plan {
        config: plan.config.clone(),
        people: plan.people.clone(),
        teams: plan.teams.clone(),
        shifts: plan.shifts.clone(),
        policy: plan.policy.clone(),
        channels: plan.channels.clone(),
        revision: plan.revision,
        learns: false,
    };
    copy.at("10:00")
}

#[test]
fn s08_a_gap_in_the_roster() {
    let mut plan = Plan::default();
    for (who, from) in [("chen", "2026-03-02 22:00"), ("min", "2026-03-02 22:00")] {
        plan.people.get_mut(who).expect("somebody").leave = vec![stretch(from, "2026-03-03 02:00")];
    }
    let mut world = plan.at("10:00");
    // A day ahead: known at once, quietly.
    let gaps = world.of_family("system.roster_gap");
    assert_eq!(gaps.len(), 1);
    world.at("19:59");
    assert!(world.got("min").iter().any(|line| line.contains("chat level")), "told in the morning");
    world.sent.clear();
    world.at("20:02");
    assert!(world.got("min").iter().any(|line| line.starts_with("20:00")), "and again two hours before");
    assert!(world.got("zhou").iter().any(|line| line.starts_with("20:00")));
    // A breach in the gap: level 1 and 2 are empty, in one step.
    world.at("22:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "22:00:00")], &[]);
    world.sent.clear();
    world.at("22:20:01");
    assert_eq!(world.state("T1"), "open L3");
    let zhou = world.got("zhou");
    assert_eq!(zhou, ["22:20:00 chat level", "22:20:00 sms level"]);
    assert_eq!(world.rules(world.incident("T1").id), "R1 R3 R7 R7");
}

#[test]
fn s09_whoever_is_on_duty_has_no_contact() {
    let mut plan = Plan::default();
    plan.people.get_mut("lin").expect("lin").contact.clear();
    plan.people.insert("he".to_owned(), super::world::person("小何", Role::Handler, &["day"], &["chat"]));
    let mut world = plan.at("10:00");
    world.observe(
        "ticket",
        "T1",
        &[("customer_message", "m1", "10:00:00")],
        &[("assignee", "acc-小林".into())],
    );
    world.at("10:22");
    assert!(world.got("he").contains(&"10:20:05 chat level".to_owned()));
    let missing = world.of_family("system.contact_missing");
    assert_eq!(missing.len(), 1, "once a day");
    assert_eq!(&*missing[0].subject.id, "lin");
    assert!(world.got("min").iter().any(|line| line.contains("chat")));
    world.observe("ticket", "T2", &[("customer_message", "m1", "10:22:00")], &[]);
    world.at("10:50");
    assert_eq!(world.of_family("system.contact_missing").len(), 1);
}

#[test]
fn s24_a_snooze_ends_with_the_shift_and_goes_to_the_next() {
    let mut world = Plan::default().at("17:10");
    world.observe("parcel", "P1", &[STALLED, ("deliver_by", "", "2026-03-02T19:40:00+08:00")], &[]);
    world.at("17:30");
    let id = world.incident("P1").id;
    let answer =
        world.act("lin", Act::Snooze { incident: id, span: Span::from_minutes(120) }).expect("lin may");
    assert_eq!(
        answer.done,
        [Done::Snoozed { incident: id, until: instant("2026-03-02", "18:00"), cut: true }]
    );
    world.sent.clear();
    world.at("18:02");
    let incident = world.incident("P1");
    assert_eq!((incident.status, incident.level), (Status::Open, 1));
    assert_eq!(incident.audience, ["chen".into()]);
    assert!(world.got("chen").iter().any(|line| line.contains("snooze_over")));
    // The delay that was left: level 2 an hour before the hard deadline, as before.
    assert_eq!(incident.next_level_at, Some(instant("2026-03-02", "18:40")));
    assert_eq!(world.rules(id), "R2 R13 R14");
}

#[test]
fn s41_a_night_shift_across_midnight_and_the_end_of_the_month() {
    let mut plan = Plan::default();
    plan.shifts.push(crate::core::duty::ShiftConfig {
        name: "night".to_owned(),
        title: None,
        from: "22:00".to_owned(),
        to: "06:00".to_owned(),
    });
    let night = super::world::person("夜班", Role::Handler, &["night"], &["chat"]);
    plan.people.insert("ye".to_owned(), night);
    // Only on the 31st, a Saturday: no row for the 1st is needed.
    plan.people.get_mut("ye").expect("ye").days = vec!["sat".to_owned()];
    let roster = plan.setup().roster.clone();
    for (at, on) in [
        ("2026-01-31T21:59:59.999+08:00", false),
        ("2026-01-31T22:00:00+08:00", true),
        ("2026-02-01T00:10:00+08:00", true),
        ("2026-02-01T05:59:59.999+08:00", true),
        ("2026-02-01T06:00:00+08:00", false),
        ("2026-02-01T22:00:00+08:00", false),
    ] {
        assert_eq!(roster.is_on_duty("ye", at.parse().expect("an instant")), on, "{at}");
    }
    let t = "2026-02-01T00:10:00+08:00".parse().expect("an instant");
    assert_eq!(roster.shift_end("ye", t), Some("2026-02-01T06:00:00+08:00".parse().expect("an instant")));
}

#[test]
fn s44_the_case_moves_to_another_team() {
    let mut plan = Plan::default();
    plan.teams.insert("a".to_owned(), Default::default());
    plan.teams.insert("b".to_owned(), Default::default());
    for person in plan.people.values_mut() {
        person.team = Some("a".to_owned());
    }
    let mut he = super::world::person("小何", Role::Handler, &["day"], &["chat"]);
    he.team = Some("b".to_owned());
    plan.people.insert("he".to_owned(), he);
    let mut world = plan.at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[("team", "a".into())]);
    world.at("10:20:30");
    let id = world.incident("T1").id;
    world.ack("lin", id).expect("lin may");
    let rest = super::world::instant("2026-03-02", "10:25").since(world.now);
    world.sent.clear();
    world.at("10:22:30");
    world.observe("ticket", "T1", &[], &[("team", "b".into())]);
    let incident = world.incident("T1");
    assert_eq!((incident.status, incident.level, &*incident.team), (Status::Open, 1, "b"));
    assert_eq!(incident.next_level_at, Some(world.now + rest), "the delay that was left");
    world.at("10:24");
    assert_eq!(world.got("he").first().map(String::as_str), Some("10:22:35 chat rerouted"));
    assert_eq!(world.got("lin").len(), 1, "told once");
    world.ack("he", id).expect("he may");
    assert_eq!(world.incident("T1").acked_by.as_deref(), Some("he"));
    assert_eq!(world.rules(id), "R1 R3 R8 R17 R8");
}
