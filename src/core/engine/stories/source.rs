//! What sources do: they return, repeat, go blind, correct themselves.

use super::world::{Plan, World, instant};
use crate::core::alerting::{Act, Edge, Facts, Signal};
use crate::core::model::{Resolution, Subject};

fn late(world: &mut super::world::World, id: &str) {
    world.observe("ticket", id, &[("customer_message", "m1", "10:00:00")], &[]);
}

#[test]
fn s22_answered_while_waiting_in_the_group() {
    let mut world = Plan::default().at("10:21");
    late(&mut world, "T1");
    assert_eq!(world.state("T1"), "open L1");
    world.at("10:21:02");
    world.observe("ticket", "T1", &[("agent_reply", "r1", "10:21:01")], &[]);
    assert_eq!(world.state("T1"), "resolved L1");
    world.at("10:40");
    assert_eq!(world.sent, [], "nothing was sent, so nothing is cleared");
}

/// R20: what comes back as the same episode was told to nobody, and no level of it is ahead that would tell it.
#[test]
fn s23_what_was_over_before_it_was_told_is_told_when_it_comes_back() {
    let mut world = Plan::default().at("10:21");
    late(&mut world, "T1");
    world.at("10:21:02");
    world.observe("ticket", "T1", &[("agent_reply", "r1", "10:21:01")], &[]);
    assert_eq!(world.state("T1"), "resolved L1");
    world.at("10:21:40");
    world.withdraw("ticket", "T1", "agent_reply", "r1", "10:21:01");
    assert_eq!(world.state("T1"), "open L1");
    world.at("10:22");
    let told: Vec<&str> = world.sent.iter().map(|s| &*s.person).collect();
    assert!(!told.is_empty() && told.iter().all(|person| *person == told[0]), "{:?}", world.sent);
    assert!(world.sent.iter().all(|s| s.text.contains("T1")));
}

#[test]
fn s23_a_return_and_a_new_occurrence() {
    let mut world = Plan::default().at("10:00");
    late(&mut world, "T1");
    world.at("10:20:30");
    let id = world.incident("T1").id;
    let level_2 = world.incident("T1").next_level_at;
    world.at("10:21");
    world.observe("ticket", "T1", &[("agent_reply", "r1", "10:20:50")], &[]);
    assert_eq!(world.state("T1"), "resolved L1");
    world.sent.clear();
    world.at("10:22:10");
    world.withdraw("ticket", "T1", "agent_reply", "r1", "10:20:50");
    let incident = world.incident("T1");
    assert_eq!((incident.id, incident.episode), (id, 1), "the same episode");
    assert_eq!(world.state("T1"), "open L1");
    assert_eq!(incident.next_level_at, level_2, "at its original instant");
    assert_eq!(world.sent, [], "no new message");
    assert_eq!(world.rules(id), "R1 R3 R18 R20");
    world.at("10:23");
    world.observe("ticket", "T1", &[("agent_reply", "r2", "10:22:50")], &[]);
    world.at("10:30");
    world.observe("ticket", "T1", &[("customer_message", "m2", "10:29:50")], &[]);
    world.at("10:49:55");
    let next = world.incident("T1");
    assert_ne!(next.id, id, "a new occurrence has its own 20 minutes");
    assert_eq!(next.predecessor, Some(id));
    // Resolved by hand, and the source does not agree after the grace.
    world.at("10:51");
    world
        .act("min", Act::Resolve { incident: next.id, reason: "电话已处理".to_owned() })
        .expect("a senior may");
    world.at("10:55:59");
    assert_eq!(world.state("T1"), "resolved L1");
    world.at("10:56:10");
    let again = world.incident("T1");
    assert_eq!((again.id, again.episode), (next.id, 2));
    assert_eq!(world.state("T1"), "open L1");
    assert!(
        world.sent.iter().any(|s| s.purpose == "reopened" && s.text.contains("再次出现")),
        "{:?}",
        world.sent
    );
}

#[test]
fn a_late_older_question_keeps_the_incident() {
    let mut world = Plan::default().at("10:00");
    world.observe(
        "ticket",
        "T1",
        &[("agent_reply", "r0", "09:50:00"), ("customer_message", "m2", "10:00:00")],
        &[],
    );
    world.at("10:20:30");
    let before = world.incident("T1");
    world.observe("ticket", "T1", &[("customer_message", "m1", "09:58:00")], &[]);
    let after = world.incident("T1");
    assert_eq!(world.desk.incidents().count(), 1);
    assert_eq!((before.id, before.episode), (after.id, after.episode));
    assert_eq!(after.due, Some(instant("2026-03-02", "10:18")));
    assert_eq!(world.state("T1"), "open L1");
    assert!(world.audit.iter().any(|a| a.kind == "incident.due"), "the move is on record");
    world.observe("ticket", "T1", &[("agent_reply", "r1", "10:20:20")], &[]);
    assert_eq!(world.state("T1"), "resolved L1");
}

#[test]
fn a_breach_that_never_was_is_taken_back() {
    let mut world = Plan::default().at("10:00");
    late(&mut world, "T1");
    world.at("10:21");
    world.got("lin");
    world.observe("ticket", "T1", &[("agent_reply", "r1", "10:19:00")], &[]);
    let incident = world.incident("T1");
    assert_eq!(incident.resolution, Some(Resolution::Retracted));
    world.at("10:23");
    assert_eq!(world.got("lin").len(), 1);
    assert_eq!(world.rules(incident.id), "R1 R3 R28");
}

#[test]
fn s26_a_source_goes_blind() {
    let mut world = Plan::default().at("10:00");
    late(&mut world, "T1");
    let blind = |edge| Signal {
        family: "source.blind".into(),
        rule: "source.blind".into(),
        subject: Subject { kind: "source".into(), source: "shiftbell".into(), id: "tmall".into() },
        generation: "1".into(),
        cycle: None,
        edge,
        at: instant("2026-03-02", "10:16"),
        facts: Facts { texts: [("what".into(), "接口不可用".to_owned())].into(), ..Facts::default() },
    };
    world.at("10:16");
    world.sent.clear();
    world.signal(&blind(Edge::Firing));
    world.at("10:17");
    assert!(world.got("yun").iter().any(|line| line.contains("chat")), "the admin is told");
    assert!(world.incident("T1").unverified);
    world.at("10:21");
    // Its own clock runs, and it neither clears nor vanishes (I48).
    let incident = world.incident("T1");
    assert_eq!(world.state("T1"), "open L1");
    assert!(incident.folded.is_some(), "told under the source's incident");
    world.sent.clear();
    world.at("10:24");
    assert!(!world.sent.iter().any(|s| &*s.person == "lin"), "{:?}", world.sent);
    world.signal(&blind(Edge::Clear));
    world.observe("ticket", "T1", &[("agent_reply", "r1", "10:23:00")], &[]);
    assert_eq!(world.state("T1"), "resolved L1");
    assert!(!world.incident("T1").unverified);
}

#[test]
fn s39_two_report_the_same() {
    let mut world = Plan::default().at("10:21");
    late(&mut world, "T1");
    let before = world.incident("T1");
    late(&mut world, "T1");
    assert_eq!(world.incident("T1"), before, "nothing changes the second time");
    world.at("10:22");
    assert_eq!(world.got("lin").len(), 1);
    // Two that differ on the due time: the earlier one wins, on record.
    let report = |due: &str| Signal {
        family: "parcel.lost".into(),
        rule: "parcel.lost".into(),
        subject: Subject { kind: "parcel".into(), source: "tmall".into(), id: "P9".into() },
        generation: "1".into(),
        cycle: None,
        edge: Edge::Firing,
        at: instant("2026-03-02", "10:22"),
        facts: Facts { due: Some(instant("2026-03-02", due)), ..Facts::default() },
    };
    world.signal(&report("10:21:33"));
    world.signal(&report("10:21:30"));
    world.signal(&report("10:21:33"));
    assert_eq!(world.incident("P9").due, Some(instant("2026-03-02", "10:21:30")));
    assert_eq!(world.audited("incident.due"), 1);
}

#[test]
fn a_paused_clock_stops_the_levels() {
    let mut plan = Plan::default();
    let waiting = crate::core::clock::MatcherConfig::In(vec![crate::core::clock::OperandConfig::Text(
        "waiting".into(),
    )]);
    plan.policy.clock[0].pause =
        Some(crate::core::clock::ConditionConfig([("status".to_owned(), waiting)].into()));
    let mut world = plan.at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[("status", "open".into())]);
    world.at("10:22");
    world.observe("ticket", "T1", &[], &[("status", "waiting".into())]);
    assert!(world.incident("T1").paused);
    world.at("10:40");
    assert_eq!(world.state("T1"), "open L1");
    world.observe("ticket", "T1", &[], &[("status", "open".into())]);
    assert_eq!(
        world.incident("T1").next_level_at,
        Some(instant("2026-03-02", "10:43")),
        "three minutes were left"
    );
}

/// Found by the simulation: a child that was over before its storm was, and came back after it, was told to nobody.
#[test]
fn r21_what_comes_back_after_its_storm_speaks_for_itself() {
    let mut world = Plan::default().at("10:00");
    for n in 0..25 {
        late(&mut world, &format!("T{n}"));
    }
    world.at("10:21");
    let parent = world.incident("T0").folded.expect("it is part of a storm");
    world.observe("ticket", "T0", &[("agent_reply", "r1", "10:21:00")], &[]);
    world.at("11:30");
    assert!(world.desk.incident(parent).is_some_and(|p| p.is_resolved()), "the storm is over");
    assert_eq!(world.state("T0"), "resolved L1");
    world.sent.clear();
    world.withdraw("ticket", "T0", "agent_reply", "r1", "10:21:00");
    world.at("11:31");
    let back = world.incident("T0");
    assert_eq!(back.folded, None);
    assert!(!back.is_resolved());
    assert!(world.sent.iter().any(|s| s.incidents.contains(&back.id)), "somebody is told: {:?}", world.sent);
}

/// A storm of which nothing is open any more when its message is to leave is told to nobody.
#[test]
fn a_storm_that_is_over_before_it_is_told_is_not_told() {
    let told = |world: &World| world.sent.iter().filter(|s| s.purpose == "storm_opened").count();
    for (answered, want) in [(24, 1), (25, 0)] {
        let mut world = Plan::default().at("10:21");
        for n in 0..25 {
            late(&mut world, &format!("T{n}"));
        }
        assert!(world.incident("T0").folded.is_some(), "it is part of a storm");
        assert_eq!(told(&world), 0, "it waits for others");
        for n in 0..answered {
            let id = format!("T{n}");
            world.observe("ticket", &id, &[("agent_reply", &format!("r{n}"), "10:21:00")], &[]);
        }
        world.at("10:40");
        assert_eq!(told(&world).min(1), want, "{answered} answered: {:?}", world.sent);
    }
}
