//! Parcels by the policy as it is shipped: one parcel is one ticket (`logistics` 6.1), one node is one message (R38, S10, S11).

use super::world::{Plan, World};
use crate::core::alerting::Act;
use crate::core::engine::parcels::{alerting, policy};
use crate::core::model::{Class, Incident, Status, Value};

/// A desk that goes by the shipped file, its families of alerts included.
fn desk() -> Plan {
    let mut plan = Plan { policy: policy(), ..Plan::default() };
    plan.config.family.extend(alerting().family);
    plan
}

fn of(world: &World, rule: &str) -> Incident {
    let found: Vec<Incident> = world.desk.incidents().filter(|i| &*i.rule == rule).cloned().collect();
    assert_eq!(found.len(), 1, "{rule}: {found:?}");
    found[0].clone()
}

const MOVING: &[(&str, Value<'static>)] =
    &[("status", Value::Text(std::borrow::Cow::Borrowed("in_transit"))), ("fresh", Value::Bool(true))];

#[test]
fn one_parcel_is_one_ticket_and_the_gravest_speaks() {
    let mut world = desk().at("08:30");
    // R39 first, then R04: the older one speaks, and says what else there is.
    let stalled =
        [("last_scan", "", "2026-02-27T09:00:00+08:00"), ("stall_by", "", "2026-03-02T08:40:00+08:00")];
    world.observe("parcel", "P1", &stalled, MOVING);
    world.at("09:30");
    let (first, second) = (of(&world, "r39_stalled"), of(&world, "r04_transit"));
    assert_eq!((first.folded, second.folded), (None, Some(first.id)));
    assert!(first.facts.get("also").is_some_and(|also| also.contains("R04")), "{:?}", first.facts);
    let told = world.sent.iter().filter(|s| s.incidents.contains(&second.id)).count();
    assert_eq!(told, 0, "{:?}", world.sent);
    // It is lost: that is what is said now, and the others are silent.
    world.sent.clear();
    world.observe("parcel", "P1", &[], &[("exception", "lost".into())]);
    world.at("09:40");
    let lost = of(&world, "r14_lost");
    for rule in ["r39_stalled", "r04_transit"] {
        assert_eq!(of(&world, rule).folded, Some(lost.id), "{rule}");
    }
    assert!(world.sent.iter().all(|s| s.incidents == [lost.id]), "{:?}", world.sent);
    assert!(!world.sent.is_empty());
    // Found again, by a scan: everything is over, and told once.
    let found = [("last_scan", "", "09:41"), ("stall_by", "", "2026-03-04T08:40:00+08:00")];
    world.observe("parcel", "P1", &found, &[("exception", "none".into())]);
    world.at("09:50");
    assert!(
        world.desk.incidents().all(|i| i.is_resolved()),
        "{:?}",
        world.desk.incidents().collect::<Vec<_>>()
    );
}

/// A VIP's parcel under several rules is one message too: the one that speaks says that it is a VIP's.
#[test]
fn the_parcel_of_a_vip_speaks_once() {
    let mut world = desk().at("08:30");
    let stalled =
        [("last_scan", "", "2026-02-27T09:00:00+08:00"), ("stall_by", "", "2026-03-02T08:40:00+08:00")];
    let vip: Vec<(&str, Value<'static>)> = MOVING.iter().cloned().chain([("vip", true.into())]).collect();
    world.observe("parcel", "P1", &stalled, &vip);
    world.at("09:30");
    let (first, second) = (of(&world, "r39_stalled"), of(&world, "r04_transit"));
    assert!(first.vip && second.vip);
    assert_eq!((first.folded, second.folded), (None, Some(first.id)));
    let about = |world: &World, id| world.sent.iter().filter(|s| s.incidents.contains(&id)).count();
    assert!(about(&world, first.id) > 0, "{:?}", world.sent);
    assert_eq!(about(&world, second.id), 0, "{:?}", world.sent);
    // A graver thing speaks in their place, and what it leaves behind speaks by itself.
    world.sent.clear();
    world.observe("parcel", "P1", &[], &[("exception", "refused".into())]);
    world.at("09:40");
    let refused = of(&world, "r09_refused");
    assert!(
        world.sent.iter().all(|s| s.incidents == [refused.id]) && !world.sent.is_empty(),
        "{:?}",
        world.sent
    );
    world.sent.clear();
    world.observe("parcel", "P1", &[], &[("exception", "none".into())]);
    world.at("09:50");
    assert_eq!((of(&world, "r39_stalled").folded, of(&world, "r04_transit").folded), (None, Some(first.id)));
    let again: Vec<_> = world.sent.iter().filter(|s| s.incidents.contains(&first.id)).collect();
    assert!(!again.is_empty() && again.iter().all(|s| s.class == Class::P0), "{:?}", world.sent);
    assert_eq!(about(&world, second.id), 0, "{:?}", world.sent);
    // Found out to be a VIP's only now: told once more, by one of them.
    let later =
        [("last_scan", "", "2026-02-27T09:58:00+08:00"), ("stall_by", "", "2026-03-02T09:55:00+08:00")];
    world.observe("parcel", "P2", &later, MOVING);
    world.at("10:00");
    world.sent.clear();
    world.observe("parcel", "P2", &[], &[("vip", true.into())]);
    world.at("10:10");
    let of_second = |rule: &str| {
        let found = world.desk.incidents().find(|i| &*i.rule == rule && &*i.subject.id == "P2");
        found.cloned().expect("an incident")
    };
    let (first, second) = (of_second("r39_stalled"), of_second("r04_transit"));
    assert_eq!((first.folded, second.folded), (None, Some(first.id)));
    assert_eq!(about(&world, second.id), 0, "{:?}", world.sent);
}

/// R38 of several carriers: what stands still is the node, and its message says what is at stake.
#[test]
fn a_node_of_several_carriers_is_one_message_with_what_is_at_stake() {
    let mut world = desk().at("09:55");
    let seen = |world: &mut World, n: usize, marks: &[(&str, &str, &str)], value: i64| {
        let carrier = ["yto", "zto", "sto"][n % 3];
        world.observe(
            "parcel",
            &format!("N{n}"),
            marks,
            &[
                ("status", "in_transit".into()),
                ("carrier", carrier.into()),
                ("node", "湖北,武汉市".into()),
                ("lane", Value::Text(format!("浙江→{n}").into())),
                ("province", Value::Text(format!("p{n}").into())),
                ("value", Value::Int(value)),
            ],
        );
    };
    for n in 0..12 {
        seen(
            &mut world,
            n,
            &[("last_scan", "", "00:00:00"), ("stall_by", "", "2026-03-02T10:00:00+08:00")],
            100 * (n as i64 + 1),
        );
    }
    world.at("10:02");
    let storm = world.desk.incidents().find(|i| i.storm.is_some()).cloned().expect("a storm");
    let cause = storm.storm.clone().expect("its cause");
    assert_eq!((&*cause.dimension, &*cause.value), ("node", "湖北,武汉市"));
    let at_stake = |world: &World| -> i64 {
        let children = world.desk.incidents().filter(|i| i.folded == Some(storm.id) && !i.is_resolved());
        children.map(|i| i.penalty_cents).sum()
    };
    // 5 % of 100, 200, … 1200 yuan, at most 50: 5 + 10 + … + 50 + 50 + 50.
    assert_eq!(at_stake(&world), 100 * (275 + 100));
    let told = |world: &World, purpose: &str| -> Vec<String> {
        let of_storm = world.sent.iter().filter(|s| s.purpose == purpose && s.incidents.contains(&storm.id));
        of_storm.map(|s| s.text.clone()).collect()
    };
    let opened = told(&world, "storm_opened");
    assert!(!opened.is_empty() && opened.iter().all(|text| text.contains("penalty 37500")), "{opened:?}");
    // Two are scanned: the next update tells what the others may cost; the end, what was left.
    for n in [10, 11] {
        seen(
            &mut world,
            n,
            &[("last_scan", "", "10:02"), ("stall_by", "", "2026-03-03T10:00:00+08:00")],
            100 * (n as i64 + 1),
        );
    }
    world.at("10:20");
    assert_eq!(at_stake(&world), 27_500);
    let updated = told(&world, "storm_update");
    assert!(!updated.is_empty() && updated.iter().all(|text| text.contains("penalty 27500")), "{updated:?}");
    world.at("13:00");
    let over = told(&world, "storm_over");
    assert!(!over.is_empty() && over.iter().all(|text| text.contains("penalty 27500")), "{over:?}");
}

#[test]
fn what_the_gravest_leaves_behind_speaks_for_itself() {
    let mut world = desk().at("08:30");
    let late =
        [("shipped", "", "2026-03-01T08:00:00+08:00"), ("deliver_by", "", "2026-03-02T08:35:00+08:00")];
    world.observe(
        "parcel",
        "P1",
        &late,
        &[("exception", "refused".into()), ("status", "delivery_failed".into())],
    );
    world.at("08:45");
    let refused = of(&world, "r09_refused");
    assert_eq!(of(&world, "r32_promise").folded, Some(refused.id));
    world.sent.clear();
    world.observe("parcel", "P1", &[], &[("exception", "none".into()), ("status", "in_transit".into())]);
    world.at("09:00");
    let promise = of(&world, "r32_promise");
    assert_eq!((promise.folded, promise.status), (None, Status::Open));
    assert!(world.sent.iter().any(|s| s.incidents.contains(&promise.id)), "{:?}", world.sent);
}

/// `manual`: what happens to the parcel ends it as little as time does, and what a person resolved stays so.
#[test]
fn what_only_a_person_ends_stays_until_a_person_ends_it() {
    let mut world = desk().at("09:00");
    world.observe("parcel", "P1", &[], &[("exception", "damaged".into()), ("status", "in_transit".into())]);
    world.at("09:10");
    world.observe(
        "parcel",
        "P1",
        &[("delivered", "", "09:09")],
        &[("exception", "none".into()), ("status", "delivered".into())],
    );
    world.at("09:20");
    let damaged = of(&world, "r13_damaged");
    assert_eq!(damaged.status, Status::Open);
    world
        .act("min", Act::Resolve { incident: damaged.id, reason: "已理赔".to_owned() })
        .expect("a senior may");
    world.at("12:00");
    world.observe("parcel", "P1", &[], &[("status", "delivered".into())]);
    world.at("13:00");
    assert_eq!(of(&world, "r13_damaged").status, Status::Resolved, "the source has nothing to agree with");
}

/// R38, S10, S11: two carriers; at one node of one of them nothing moves for ten hours, and a thousand parcels lie there.
#[test]
fn r38_a_node_that_stands_still_is_one_message() {
    const PARCELS: usize = 1000;
    const PLACES: [&str; 5] = ["湖南", "广东", "四川", "北京", "浙江"];
    let mut plan = desk();
    plan.config.group.digest_lines = 3;
    let mut world = plan.at("09:55");
    let parcel =
        |world: &mut World, id: &str, carrier: &'static str, node: &'static str, n: usize, vip: bool| {
            // The last scan was within an hour of midnight, and ten hours later that is not usual any more.
            let seconds = n * 3600 / PARCELS;
            let of_day = |hour: usize| {
                format!("{:02}:{:02}:{:02}", hour + seconds / 3600, seconds / 60 % 60, seconds % 60)
            };
            let (scan, by) = (of_day(0), format!("2026-03-02T{}+08:00", of_day(10)));
            let to = PLACES[n % PLACES.len()];
            world.observe(
                "parcel",
                id,
                &[("last_scan", "", &scan), ("stall_by", "", &by)],
                &[
                    ("status", "in_transit".into()),
                    ("carrier", carrier.into()),
                    ("node", node.into()),
                    ("province", to.into()),
                    ("lane", Value::Text(format!("浙江→{to}").into())),
                    ("value", Value::Int(100)),
                    ("vip", vip.into()),
                ],
            );
        };
    for n in 0..PARCELS {
        parcel(&mut world, &format!("Y{n}"), "yto", "湖北,武汉市", n, n == 300 || n == 700);
    }
    for (n, node) in ["山东,济南市", "陕西,西安市", "福建,厦门市"].into_iter().enumerate() {
        parcel(&mut world, &format!("Z{n}"), "zto", node, 200 * n, false);
    }
    assert_eq!(world.sent, [], "nothing is wrong yet");
    world.at("11:00:10");
    let storms: Vec<Incident> = world.desk.incidents().filter(|i| i.storm.is_some()).cloned().collect();
    assert_eq!(storms.len(), 1, "{storms:?}");
    let storm = &storms[0];
    let cause = storm.storm.clone().expect("its cause");
    assert_eq!((&*cause.dimension, &*cause.value), ("carrier+node", "yto+湖北,武汉市"));
    let mut stalled = world.of_family("parcel.stalled");
    stalled.retain(|i| i.storm.is_none());
    assert_eq!(stalled.len(), PARCELS + 3);
    let folded = stalled.iter().filter(|i| i.folded == Some(storm.id)).count();
    assert_eq!(folded, PARCELS - 2, "all but the VIPs, and none of the other carrier");
    // 100 yuan: 5 % are 5 yuan, for each of them.
    let penalty: i64 = stalled.iter().filter(|i| i.folded.is_some()).map(|i| i.penalty_cents).sum();
    assert_eq!(penalty, 500 * (PARCELS as i64 - 2));
    let lin: Vec<&super::world::Sent> = world.sent.iter().filter(|s| &*s.person == "lin").collect();
    let of_storm = |purpose: &str| {
        lin.iter().filter(|s| s.purpose == purpose && s.incidents.contains(&storm.id)).count()
    };
    let of_purpose = |purpose: &str| lin.iter().filter(|s| s.purpose == purpose).count();
    assert_eq!(of_storm("storm_opened"), 1, "{lin:?}");
    assert!(of_storm("storm_update") <= 3, "I24: {lin:?}");
    let vips: Vec<_> = lin.iter().filter(|s| s.text.contains("Y300") || s.text.contains("Y700")).collect();
    assert_eq!(vips.iter().filter(|s| s.class == Class::P0).count(), vips.len(), "{vips:?}");
    assert!(vips.len() >= 2, "each VIP by itself: {lin:?}");
    let singles: Vec<_> = lin.iter().filter(|s| s.text.contains('Z')).collect();
    assert!(!singles.is_empty(), "the other carrier's speak for themselves: {lin:?}");
    let bound = 4 + vips.len() + singles.len();
    assert!(lin.len() <= bound, "{} messages for {} parcels: {lin:?}", lin.len(), PARCELS);
    assert_eq!(of_purpose("storm_over"), 0);
    // The node works again: all but forty are scanned. Two hours after the last one came the storm is over.
    world.at("11:30");
    for n in 0..PARCELS - 40 {
        let scanned = [("last_scan", "", "11:29"), ("stall_by", "", "2026-03-02T22:00:00+08:00")];
        world.observe("parcel", &format!("Y{n}"), &scanned, &[]);
    }
    world.sent.clear();
    world.at("12:55");
    assert!(world.desk.incident(storm.id).is_some_and(|i| !i.is_resolved()));
    world.at("13:10");
    assert!(world.desk.incident(storm.id).is_some_and(Incident::is_resolved), "two hours without five more");
    let open: Vec<Incident> = world
        .of_family("parcel.stalled")
        .into_iter()
        .filter(|i| !i.is_resolved() && i.storm.is_none() && i.subject.id.starts_with('Y'))
        .collect();
    assert_eq!(open.len(), 40);
    assert!(open.iter().all(|i| i.folded.is_none()));
    let lin: Vec<&super::world::Sent> = world.sent.iter().filter(|s| &*s.person == "lin").collect();
    let digests = lin.iter().filter(|s| s.purpose == "digest" || s.incidents.len() > 30).count();
    assert_eq!(lin.iter().filter(|s| s.purpose == "storm_over").count(), 1, "{lin:?}");
    assert_eq!(digests, 1, "what is left, in one digest: {lin:?}");
}
