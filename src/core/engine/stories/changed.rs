//! Another configuration, while the desk works and while it is down: nothing waits for what is gone (§16.3, I50).

use super::world::{Plan, instant, person, stretch};
use crate::core::alerting::Act;
use crate::core::duty::Role;
use crate::core::model::{Message, MessageState, OutcomeClass, Status};
use crate::core::time::Span;

const STALLED: (&str, &str, &str) = ("scan", "s1", "2026-02-28T09:30:00+08:00");

fn teams(plan: &mut Plan, names: &[&str]) {
    plan.teams = names.iter().map(|name| ((*name).to_owned(), Default::default())).collect();
    for person in plan.people.values_mut() {
        person.team = Some(names[0].to_owned());
    }
}

#[test]
fn i50_a_start_with_another_configuration_is_as_a_reload() {
    let mut plan = Plan::default();
    teams(&mut plan, &["a", "b"]);
    plan.people.insert("he".to_owned(), person("小何", Role::Handler, &["day"], &["chat", "sms", "voice"]));
    plan.people.get_mut("he").expect("he").team = Some("b".to_owned());
    let mut world = plan.at("10:00");
    world.answers.insert("chat", OutcomeClass::Transient);
    world.answers.insert("sms", OutcomeClass::Transient);
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[("team", "b".into())]);
    world.observe("parcel", "P1", &[STALLED], &[("team", "b".into())]);
    world.at("10:20:10");
    let waits = |m: &&Message| {
        use MessageState::{Deferred, Held, Ready, RetryWait};
        matches!(m.state, Held | Ready | Deferred | RetryWait)
    };
    assert!(world.desk.alerting().messages().filter(waits).any(|m| &*m.to.person == "he"));
    // While it is down: he leaves, team b is dissolved, the chat is switched off, and nobody promises parcels any more.
    let mut plan = Plan { revision: 2, ..Plan::default() };
    teams(&mut plan, &["a"]);
    plan.channels.retain(|(name, _)| *name != "chat");
    for person in plan.people.values_mut() {
        person.contact.retain(|c| c.channel != "chat");
    }
    plan.policy.clock.retain(|clock| clock.on != "parcel");
    world.restart(&plan, "10:20:12");
    for message in world.desk.alerting().messages().filter(waits) {
        assert_ne!(&*message.to.lane.channel, "chat", "{message:?}");
        assert_ne!(&*message.to.person, "he", "{message:?}");
    }
    assert_eq!(&*world.incident("T1").team, "a");
    assert!(world.incident("T1").audience.iter().all(|p| &**p != "he"), "somebody else is told");
    assert_eq!(world.incident("P1").status, Status::Resolved);
    assert_eq!(world.audited("incident.rule_removed"), 1);
}

#[test]
fn i50_what_was_resolved_by_hand_does_not_return_without_its_rule() {
    let mut world = Plan::default().at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:21");
    let id = world.incident("T1").id;
    world.act("min", Act::Resolve { incident: id, reason: "done".to_owned() }).expect("a senior may");
    let mut plan = Plan { revision: 2, ..Plan::default() };
    plan.policy.clock.retain(|clock| clock.on != "ticket");
    world.reload(&plan);
    world.at("10:40");
    assert_eq!(world.state("T1"), "resolved L1", "its grace is over, and nothing watches it");
}

#[test]
fn i50_what_returns_after_its_team_is_gone_is_of_another_one() {
    let mut plan = Plan::default();
    teams(&mut plan, &["a", "b"]);
    let mut world = plan.at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[("team", "b".into())]);
    world.at("10:21");
    let id = world.incident("T1").id;
    world.act("min", Act::Resolve { incident: id, reason: "done".to_owned() }).expect("a senior may");
    let mut plan = Plan { revision: 2, ..Plan::default() };
    teams(&mut plan, &["a"]);
    world.reload(&plan);
    world.at("10:26:01");
    assert_eq!(world.incident("T1").episode, 2, "the source did not agree");
    assert_eq!(&*world.incident("T1").team, "a");
}

#[test]
fn i14_an_ack_ends_with_a_shift_that_a_reload_has_moved() {
    for (from, want) in [("2026-03-02 12:00", "acked L1"), ("2026-03-02 10:30", "open L1")] {
        let mut plan = Plan::default();
        plan.people.insert("he".to_owned(), person("小何", Role::Handler, &["day"], &["chat"]));
        let mut world = plan.at("10:00");
        world.observe("parcel", "P1", &[STALLED], &[("assignee", "acc-小林".into())]);
        let id = world.incident("P1").id;
        world.at("10:40");
        world.ack("lin", id).expect("lin may");
        assert_eq!(world.incident("P1").ack_until, Some(instant("2026-03-02", "14:40")));
        let mut plan = Plan { revision: 2, ..Plan::default() };
        plan.people.insert("he".to_owned(), person("小何", Role::Handler, &["day"], &["chat"]));
        plan.people.get_mut("lin").expect("lin").leave = vec![stretch(from, "2026-03-02 18:00")];
        world.reload(&plan);
        assert_eq!(world.state("P1"), want, "leave from {from}");
        if want == "acked L1" {
            assert_eq!(world.incident("P1").ack_until, Some(instant("2026-03-02", "12:00")));
            world.at("12:00:01");
        }
        assert_eq!(world.incident("P1").audience, ["he".into()], "leave from {from}");
        assert!(world.rules(id).ends_with("R8 R11"), "{}", world.rules(id));
    }
}

/// R10 and I14: the guard of the hard deadline is that of the ack, however late the progress is.
#[test]
fn i14_progress_does_not_carry_an_ack_into_the_guard_of_the_deadline() {
    let mut world = Plan::default().at("10:00");
    let by = ("answer_by", "", "2026-03-02T10:36:00+08:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00"), by], &[]);
    world.at("10:20:30");
    let id = world.incident("T1").id;
    world.ack("lin", id).expect("lin may");
    let until = world.incident("T1").ack_until.expect("an end");
    let guard = Span::from_millis(instant("2026-03-02", "10:36").since(world.now).as_millis() / 2);
    assert_eq!(until, instant("2026-03-02", "10:36") - guard, "half of the time left");
    world.at("10:25");
    world.observe("ticket", "T1", &[("carrier_inquiry", "c1", "10:25:00")], &[]);
    assert!(world.rules(id).ends_with("R10"), "{}", world.rules(id));
    assert_eq!(world.incident("T1").ack_until, Some(until));
}

/// I21: whoever took something from home hears at their desk that the ack has run out.
#[test]
fn i21_an_ack_that_lapses_does_not_wake_who_is_off_duty() {
    let mut plan = Plan::default();
    plan.people.get_mut("zhou").expect("zhou").shifts = vec!["day".to_owned()];
    let mut world = plan.at("19:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "19:00:00")], &[]);
    world.at("19:31");
    let id = world.incident("T1").id;
    world.ack("zhou", id).expect("a manager may");
    world.got("zhou");
    world.at("19:50");
    assert!(world.rules(id).contains("R9"), "{}", world.rules(id));
    assert_eq!(world.got("zhou"), [""; 0], "off duty since 18:00");
}
