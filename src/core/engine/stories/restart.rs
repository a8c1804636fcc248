//! Stopping and starting: the same state to the byte, catching up, another configuration, forgetting.

use std::collections::BTreeSet;

use super::world::{Plan, instant};
use crate::core::model::{Class, Resolution};
use crate::core::time::Span;

#[test]
fn what_is_kept_brings_back_the_same_desk() {
    let story = |restart: bool| {
        let mut world = Plan::default().at("10:00");
        world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
        world.observe(
            "parcel",
            "P1",
            &[("scan", "s1", "2026-02-28T09:00:00+08:00")],
            &[("shop", "a".into())],
        );
        world.at("10:21");
        let id = world.incident("P1").id;
        world.ack("lin", id).expect("lin may");
        world.at("10:22");
        if restart {
            world.restart(&Plan::default(), "10:22");
        }
        let (from, sent) = (world.audit.len(), world.sent.len());
        world.observe("ticket", "T2", &[("customer_message", "m1", "10:21:00")], &[]);
        world.at("10:50");
        world.observe("ticket", "T1", &[("agent_reply", "r1", "10:49:00")], &[]);
        world.at("12:00");
        let kinds: Vec<(String, Option<String>)> = world.audit[from..]
            .iter()
            .filter(|a| a.kind.starts_with("incident."))
            .map(|a| (a.kind.clone(), a.incident.clone()))
            .collect();
        let incidents: Vec<_> = world.desk.incidents().cloned().collect();
        (kinds, incidents, world.sent[sent..].to_vec())
    };
    let (plain, restarted) = (story(false), story(true));
    assert_eq!(plain.0, restarted.0);
    assert_eq!(plain.1, restarted.1);
    assert_eq!(plain.2, restarted.2);
}

#[test]
fn rows_in_and_out_are_the_same_bytes() {
    let mut world = Plan::default().at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:26");
    let id = world.incident("T1").id;
    world.ack("lin", id).expect("lin may");
    let before = world.store.clone();
    world.restart(&Plan::default(), "10:26");
    for (key, body) in &before {
        let now = world.store.get(key).expect("no row is lost");
        if key.0 != crate::core::model::Table::Meta && key.0 != crate::core::model::Table::Alerting {
            assert_eq!(String::from_utf8_lossy(now), String::from_utf8_lossy(body), "{key:?}");
        }
    }
}

#[test]
fn s28_back_after_forty_minutes() {
    let mut world = Plan::default().at("10:00");
    for n in 0..12 {
        world.observe("ticket", &format!("T{n}"), &[("customer_message", "m1", "10:00:00")], &[]);
    }
    world.observe("ticket", "V1", &[("customer_message", "m1", "10:00:00")], &[("vip", true.into())]);
    world.at("10:12");
    world.sent.clear();
    world.restart(&Plan::default(), "10:52");
    let named: BTreeSet<&str> = world.sent.iter().map(|s| &*s.text).collect();
    assert!(world.sent.iter().all(|s| s.text.contains("V1")), "the VIP at once, by itself: {named:?}");
    assert!(!world.sent.is_empty());
    world.sent.clear();
    world.at("10:52:05");
    // The sources are read again: two were answered meanwhile.
    for n in 0..2 {
        world.observe("ticket", &format!("T{n}"), &[("agent_reply", "r1", "10:30:00")], &[]);
    }
    world.at("10:52:20");
    let digests: Vec<_> = world.sent.iter().filter(|s| !s.text.contains("V1")).collect();
    let pairs: BTreeSet<(&str, &str)> = digests.iter().map(|s| (&*s.person, &*s.channel)).collect();
    assert_eq!(digests.len(), pairs.len(), "one for each recipient and lane: {digests:?}");
    assert!(
        digests.iter().all(|s| !s.text.contains("T0") && !s.text.contains("T1 ")),
        "answered meanwhile: {digests:#?}"
    );
    assert!(digests.iter().any(|s| &*s.person == "zhou"), "the highest level that is due");
    world.sent.clear();
    world.at("10:54");
    let skipped: BTreeSet<&str> = world.sent.iter().map(|s| &*s.person).collect();
    assert_eq!(skipped, ["lin", "min"].into(), "and whom time skipped hears of it");
    assert!(world.sent.iter().all(|s| s.purpose == "digest" && s.class == Class::P2));
}

/// R20 while a downtime is caught up with: answered, and the answer withdrawn, before the digest was made.
#[test]
fn s28_what_comes_back_before_the_digest_stands_in_it() {
    let mut world = Plan::default().at("10:00");
    for n in 0..3 {
        world.observe("ticket", &format!("T{n}"), &[("customer_message", "m1", "10:00:00")], &[]);
    }
    world.at("10:12");
    world.sent.clear();
    world.restart(&Plan::default(), "10:52");
    world.at("10:52:03");
    world.observe("ticket", "T1", &[("agent_reply", "r1", "10:30:00")], &[]);
    assert!(world.state("T1").starts_with("resolved"));
    world.at("10:52:05");
    world.withdraw("ticket", "T1", "agent_reply", "r1", "10:30:00");
    assert!(world.state("T1").starts_with("open"));
    world.at("10:54");
    assert!(world.sent.iter().any(|s| s.text.contains("T1")), "{:?}", world.sent);
}

/// I18: what is named by itself after a downtime is told to whom time skipped as well.
#[test]
fn i18_whom_time_skipped_hears_of_what_is_named_by_itself() {
    let mut world = Plan::default().at("10:00");
    world.observe("ticket", "V1", &[("customer_message", "m1", "10:00:00")], &[("vip", true.into())]);
    world.at("10:12");
    world.sent.clear();
    world.restart(&Plan::default(), "10:52");
    world.at("10:54");
    assert_eq!(world.state("V1"), "open L3");
    let told: BTreeSet<&str> = world.sent.iter().map(|s| &*s.person).collect();
    assert_eq!(told, ["lin", "min", "zhou"].into(), "level 3, and levels 1 and 2, which nobody announced");
}

#[test]
fn a_rule_that_is_gone_closes_its_incidents() {
    let mut world = Plan::default().at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:21");
    let mut plan = Plan { revision: 2, ..Plan::default() };
    plan.policy.clock.remove(0);
    world.reload(&plan);
    let incident = world.incident("T1");
    assert_eq!(incident.resolution, Some(Resolution::RuleRemoved));
    world.sent.clear();
    world.at("11:00");
    assert_eq!(world.sent, [], "and nobody hears of it any more");
}

#[test]
fn a_person_who_is_gone_is_replaced() {
    let mut plan = Plan::default();
    plan.people.insert(
        "he".to_owned(),
        super::world::person("小何", crate::core::duty::Role::Handler, &["day"], &["chat"]),
    );
    let mut world = plan.at("10:00");
    world.observe(
        "ticket",
        "T1",
        &[("customer_message", "m1", "10:00:00")],
        &[("assignee", "acc-小林".into())],
    );
    world.at("10:21");
    let id = world.incident("T1").id;
    world.ack("lin", id).expect("lin may");
    let mut plan = Plan { revision: 2, ..Plan::default() };
    plan.people.remove("lin");
    plan.people.insert(
        "he".to_owned(),
        super::world::person("小何", crate::core::duty::Role::Handler, &["day"], &["chat"]),
    );
    world.sent.clear();
    world.reload(&plan);
    world.at("10:21:10");
    assert_eq!(world.state("T1"), "open L1");
    assert_eq!(world.got("he").len(), 1);
}

#[test]
fn what_is_over_leaves_memory_after_a_day() {
    let mut world = Plan::default().at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:21");
    world.observe("ticket", "T1", &[("agent_reply", "r1", "10:20:50")], &[]);
    let id = world.incident("T1").id;
    world.at("23:00");
    assert!(world.desk.incident(id).is_some());
    let tomorrow = instant("2026-03-03", "10:30");
    world.until(tomorrow);
    world.observe("ticket", "T9", &[], &[("shop", "a".into())]);
    world.until(tomorrow + Span::MINUTE);
    assert!(world.desk.incident(id).is_none());
    assert!(world.store.keys().any(|(_, key)| *key == id.to_string()), "its row stays");
}

#[test]
fn vip_and_legal_are_p0_from_level_1_and_two_persons_are_told() {
    let mut plan = Plan::default();
    plan.people.insert(
        "he".to_owned(),
        super::world::person("小何", crate::core::duty::Role::Handler, &["day"], &["chat"]),
    );
    let mut world = plan.at("10:21");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[("vip", true.into())]);
    let incident = world.incident("T1");
    assert_eq!(incident.audience.len(), 2);
    assert!(world.sent.iter().all(|s| s.class == Class::P0 && s.at == instant("2026-03-02", "10:21")));
    let told: BTreeSet<&str> = world.sent.iter().map(|s| &*s.person).collect();
    assert_eq!(told, ["he", "lin"].into());
}
