//! From the pre-warning to the last reminder.

use super::world::Plan;
use crate::core::model::{OutcomeClass, Status};

/// 小林 alone on the robot, which proves nothing of the person.
fn with_robot() -> Plan {
    let mut plan = Plan::default();
    let lin = plan.people.get_mut("lin").expect("lin");
    for contact in &mut lin.contact {
        if contact.channel == "chat" {
            contact.channel = "robot".to_owned();
        }
    }
    plan
}

#[test]
fn s01_a_late_ticket_is_answered() {
    let mut world = Plan::default().at("14:00:18");
    world.observe(
        "ticket",
        "T1",
        &[("customer_message", "m1", "14:00:00")],
        &[("assignee", "acc-小林".into())],
    );
    assert_eq!(world.desk.incidents().count(), 0, "a running promise opens nothing");
    world.at("14:15:59");
    assert_eq!(world.state("T1"), "open L0");
    assert_eq!(world.got("lin"), [""; 0]);
    world.at("14:19:59");
    assert_eq!(world.got("lin"), ["14:16:00 chat prewarning"]);
    world.at("14:20:06");
    assert_eq!(world.state("T1"), "open L1");
    assert_eq!(world.got("lin"), ["14:20:05 chat level"]);
    world.at("14:20:40");
    let id = world.incident("T1").id;
    world.ack("lin", id).expect("lin may");
    let incident = world.incident("T1");
    assert_eq!((incident.status, incident.acked_by.as_deref()), (Status::Acked, Some("lin")));
    assert_eq!(incident.ack_until, Some("2026-03-02T14:30:40+08:00".parse().expect("an instant")));
    world.at("14:22:20");
    world.observe("ticket", "T1", &[("agent_reply", "r1", "14:22:10")], &[]);
    assert_eq!(world.state("T1"), "resolved L1");
    world.at("14:24:19");
    assert_eq!(world.got("lin"), [""; 0], "nothing but cleared, after the flap window");
    world.at("14:26:00");
    assert_eq!(world.got("lin").len(), 1);
    assert_eq!(world.rules(id), "R1 R3 R8 R18");
    world.at("16:00");
    assert_eq!(world.sent, [], "nobody else hears of it");
}

#[test]
fn s02_nobody_reacts() {
    let mut world = with_robot().at("10:00");
    world.observe(
        "ticket",
        "T1",
        &[("customer_message", "m1", "10:00:00")],
        &[("assignee", "acc-小林".into())],
    );
    world.at("10:20:30");
    world.got("lin");
    world.at("10:22");
    assert_eq!(world.got("lin"), ["10:21:05 sms level"], "a robot gives no personal proof");
    world.at("10:25:10");
    assert_eq!(world.state("T1"), "open L2");
    let first = world.got("min");
    assert_eq!(first, ["10:25:00 chat level", "10:25:00 sms level"]);
    world.at("10:30:10");
    assert_eq!(world.state("T1"), "open L3");
    assert_eq!(world.got("zhou"), ["10:30:00 chat level", "10:30:00 sms level"]);
    world.at("10:31:30");
    let id = world.incident("T1").id;
    world.ack("zhou", id).expect("a manager may");
    let incident = world.incident("T1");
    assert_eq!(
        (incident.status, incident.level, incident.acked_by.as_deref()),
        (Status::Acked, 3, Some("zhou"))
    );
    world.sent.clear();
    world.at("10:40");
    assert_eq!(world.sent, [], "nothing starts after the ack");
    assert_eq!(world.rules(id), "R1 R3 R4 R4 R8");
}

/// O1, I29: what two people are told by the robot of their group goes in the order of the steps: one that waits is
/// overtaken by a later one, whoever that is for, and goes on by another lane.
#[test]
fn i29_a_group_hears_no_step_after_a_later_one() {
    let mut plan = with_robot();
    let min = plan.people.get_mut("min").expect("min");
    for contact in min.contact.iter_mut().filter(|c| c.channel == "chat") {
        contact.channel = "robot".to_owned();
    }
    for contact in plan.people.values_mut().flat_map(|p| &mut p.contact).filter(|c| c.channel == "robot") {
        contact.address = "group".to_owned();
    }
    let mut world = plan.at("10:00");
    world.answers = [("robot", OutcomeClass::Transient)].into();
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:25:01");
    assert_eq!(world.state("T1"), "open L2");
    world.answers.clear();
    world.at("10:29:59");
    let told: Vec<&str> = world.sent.iter().filter(|s| &*s.channel == "robot").map(|s| &*s.person).collect();
    assert_eq!(told, ["min"], "{}", world.story());
    assert!(world.got("lin").iter().any(|line| line.contains("sms")), "by another lane");
}

#[test]
fn s03_ack_and_escalation_in_the_same_instant() {
    // Case a: the ack comes first, and the timer of that very instant is stale.
    let mut world = Plan::default().at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:24:59.999");
    let id = world.incident("T1").id;
    world.now = super::world::instant("2026-03-02", "10:25");
    world.ack("lin", id).expect("lin may");
    world.at("10:25:01");
    assert_eq!(world.state("T1"), "acked L1");
    assert_eq!(world.audited("stale_timer"), 1);
    assert_eq!(world.got("min"), [""; 0]);
    assert_eq!(world.rules(id), "R1 R3 R8");

    // Case b: the timer comes first; what it planned and nobody has claimed is superseded by the ack.
    let mut world = Plan::default().at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:24:59.999");
    let id = world.incident("T1").id;
    world.now = super::world::instant("2026-03-02", "10:25");
    world.desk.advance(world.now);
    assert_eq!(world.state("T1"), "open L2");
    world.ack("lin", id).expect("lin may");
    assert_eq!(world.state("T1"), "acked L2");
    world.at("10:26");
    assert_eq!(world.got("min"), [""; 0]);
    assert_eq!(world.rules(id), "R1 R3 R4 R8");
}

#[test]
fn s04_acked_and_then_nothing_happens() {
    let mut world = Plan::default().at("10:00");
    let deadline = "2026-03-02T11:30:00+08:00";
    world.observe(
        "ticket",
        "T1",
        &[("customer_message", "m1", "10:00:00"), ("answer_by", "", deadline)],
        &[("assignee", "acc-小林".into())],
    );
    world.at("10:20:40");
    let id = world.incident("T1").id;
    world.ack("lin", id).expect("lin may");
    world.sent.clear();
    world.at("10:30:39");
    assert_eq!(world.sent, []);
    world.at("10:30:41");
    assert_eq!(world.state("T1"), "open L2");
    assert_eq!(world.got("min").first().map(String::as_str), Some("10:30:40 chat ack_lapsed"));
    assert_eq!(world.got("lin").first().map(String::as_str), Some("10:30:40 chat ack_lapsed"));
    assert!(
        world
            .audit
            .iter()
            .any(|a| a.kind == "incident.R9" && a.change.as_deref() == Some("acked L1 → open L2"))
    );
    world.at("10:31");
    world.ack("lin", id).expect("lin may again");
    assert_eq!(world.state("T1"), "acked L2");
    // The whole delay of the next level counts from the lapse, had it not been acked.
    world.at("10:40:59");
    assert_eq!(world.state("T1"), "acked L2");
    world.at("10:41:01");
    assert_eq!(world.state("T1"), "open L3");
    assert_eq!(world.rules(id), "R1 R3 R8 R9 R8 R9");
}

#[test]
fn an_ack_never_runs_past_the_guard_of_the_hard_deadline() {
    let mut world = Plan::default().at("10:00");
    world.observe(
        "parcel",
        "P1",
        &[("scan", "s1", "2026-02-28T09:00:00+08:00"), ("deliver_by", "", "2026-03-02T11:10:00+08:00")],
        &[],
    );
    world.at("10:05");
    let id = world.incident("P1").id;
    world.ack("lin", id).expect("lin may");
    let until = world.incident("P1").ack_until.expect("acked");
    // Not the four hours of a parcel, but 15 minutes before the deadline.
    assert_eq!(until, super::world::instant("2026-03-02", "10:55"));
    world.at("10:56");
    assert_ne!(world.incident("P1").status, Status::Acked);
}

#[test]
fn progress_at_the_source_extends_an_ack_once() {
    let mut world = Plan::default().at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:20:40");
    let id = world.incident("T1").id;
    world.ack("lin", id).expect("lin may");
    world.at("10:25");
    world.observe("ticket", "T1", &[("carrier_inquiry", "c1", "10:24:50")], &[]);
    assert_eq!(world.incident("T1").ack_until, Some(super::world::instant("2026-03-02", "10:40:40")));
    world.at("10:30");
    world.observe("ticket", "T1", &[("carrier_inquiry", "c2", "10:29:50")], &[]);
    assert_eq!(world.incident("T1").ack_until, Some(super::world::instant("2026-03-02", "10:40:40")));
    assert_eq!(world.rules(id), "R1 R3 R8 R10");
}

#[test]
fn s42_nobody_ever_answers() {
    let mut world = Plan::default().at("10:00");
    world.delivers = ["sms"].into();
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:30:30");
    assert_eq!(world.state("T1"), "open L3");
    world.got("zhou");
    world.at("11:09");
    let reminders = world.got("zhou");
    let chats: Vec<_> = reminders.iter().filter(|line| line.contains("chat")).collect();
    assert_eq!(chats, ["10:40:00 chat reminder", "10:50:00 chat reminder", "11:00:00 chat reminder"]);
    world.at("11:11");
    let incident = world.incident("T1");
    assert!(incident.unhandled);
    assert_eq!(world.got("zhan"), ["11:10:00 sms unhandled"]);
    world.sent.clear();
    world.at("13:50");
    assert_eq!(world.sent, [], "no more paging");
    world.observe("ticket", "T1", &[("agent_reply", "r1", "13:49:00")], &[]);
    world.at("13:53");
    assert_eq!(world.state("T1"), "resolved L3");
    assert!(world.sent.iter().all(|s| s.purpose == "cleared"), "{:?}", world.sent);
    let told: std::collections::BTreeSet<&str> = world.sent.iter().map(|s| &*s.person).collect();
    assert_eq!(told, ["lin", "min", "zhan", "zhou"].into());
    assert_eq!(world.rules(incident.id), "R1 R3 R4 R4 R5 R5 R5 R6 R18");
}

#[test]
fn an_unreachable_level_is_skipped_at_once() {
    let mut plan = Plan::default();
    plan.people.get_mut("min").expect("min").leave =
        vec![super::world::stretch("2026-03-02 09:00", "2026-03-02 18:00")];
    let mut world = plan.at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:25:00");
    assert_eq!(world.state("T1"), "open L3", "level 2 is empty");
    assert_eq!(world.got("zhou").first().map(String::as_str), Some("10:25:00 chat level"));
    assert_eq!(world.rules(world.incident("T1").id), "R1 R3 R4 R7");
}

#[test]
fn a_dead_level_is_followed_by_the_next_and_is_announced() {
    let mut world = Plan::default().at("10:00");
    let refused = OutcomeClass::RecipientPermanent;
    world.answers = [("chat", refused), ("sms", refused), ("voice", refused)].into();
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:21");
    // Every address but the admin's mailbox refuses: nobody is left, and the local alarm says so.
    assert_eq!(world.state("T1"), "open L3", "{}", world.story());
    assert!(!world.of_family("delivery.dead").is_empty());
    assert!(world.got("yun").iter().any(|line| line.contains("mail")));
    assert!(!world.alarms.is_empty());
}
