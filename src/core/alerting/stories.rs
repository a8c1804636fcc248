//! Stories of the outbox in virtual time, named by the scenarios and crash windows of `delivery_semantics` §9.5 and §20.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::samples::{Does, Plain, Sent, World, statement};
use super::{Letter, RenderFault, Renderer, Room};
use crate::core::alerting::incidents::How;
use crate::core::alerting::outbox::Pointless;
use crate::core::alerting::transitions::Event;
use crate::core::duty::Person;
use crate::core::ids::Id;
use crate::core::model::{
    Body, Cause, Class, Lane, MessageState, NoticeState, Outcome, OutcomeClass, Purpose, Statement,
    StatementKind,
};
use crate::core::time::{Instant, Span};

const P0: Class = Class::P0;
const P1: Class = Class::P1;
const P2: Class = Class::P2;
const P3: Class = Class::P3;

fn receipt(after: i64) -> Does {
    Does::Receipt(StatementKind::Delivered, Span::from_secs(after))
}

/// S02, first half: a robot proves nothing, the SMS follows 60 s after the flush.
#[test]
fn s02_a_robot_is_followed_by_an_sms() {
    let mut w = World::new();
    w.let_channel("sms", receipt(9));
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let n = w.plan(i, P1, "lin", &[&["robot"], &["sms"], &["voice"]]);
    w.secs(600);
    assert_eq!(w.at("robot", t), [5], "the group window of P1");
    assert_eq!(w.at("sms", t), [65]);
    assert!(w.at("voice", t).is_empty());
    assert_eq!(w.state(n), NoticeState::Delivered);
}

/// D1: an account's acceptance is proof, and the SMS still follows at 60 s unless somebody acks.
#[test]
fn d1_an_accepted_chat_is_followed_by_one_sms_unless_somebody_acks() {
    for acked in [false, true] {
        let mut w = World::new();
        let (t, i) = (w.now, w.incident("ticket.reply"));
        let n = w.plan(i, P1, "lin", &[&["app"], &["sms"], &["voice"]]);
        w.secs(30);
        assert_eq!(w.state(n), NoticeState::AcceptedFinal);
        if acked {
            w.alerting.supersede(i, &Pointless::All, Cause::Acked);
        }
        w.secs(600);
        let want: &[i64] = if acked { &[] } else { &[65] };
        assert_eq!(w.at("sms", t), want, "acked: {acked}");
        assert!(w.at("voice", t).is_empty(), "the notice was discharged");
    }
}

/// S13: HTTP 200 with an error inside.
#[test]
fn s13_a_throttled_robot_is_muted_and_the_sms_goes_at_once() {
    let mut w = World::new();
    w.let_channel("sms", receipt(30));
    let throttled = Outcome { wait: Some(Span::from_minutes(10)), ..Outcome::of(OutcomeClass::Throttled) };
    w.next.insert("robot".into(), vec![Does::Answer(throttled)]);
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let n = w.plan(i, P1, "lin", &[&["robot"], &["sms"]]);
    w.secs(20);
    assert_eq!(w.at("sms", t), [5], "at once");
    assert_eq!(w.states(n, "robot"), [MessageState::RetryWait]);
    w.secs(900);
    assert_eq!(w.at("robot", t), [5], "covered before the lane was free");
    assert_eq!(w.states(n, "robot"), [MessageState::Superseded]);
    assert_eq!(w.messages(n, "robot")[0].cause, Some(Cause::Covered));
    assert_eq!(w.state(n), NoticeState::Delivered);
}

/// S14: time-outs on a channel without a key.
#[test]
fn s14_one_marked_copy_and_no_third() {
    let mut w = World::new();
    w.let_channel("robot", Does::Silence);
    w.let_channel("sms", receipt(5));
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let n = w.plan(i, P1, "lin", &[&["robot"], &["sms"]]);
    w.secs(50);
    let robot = w.by("robot", t);
    assert_eq!(robot.iter().map(|(s, _)| *s).collect::<Vec<_>>(), [5, 30], "10 s of silence, 15 s of hold");
    assert!(!robot[0].1.contains("可能重复") && robot[1].1.contains("可能重复"), "{robot:?}");
    assert_eq!(w.states(n, "robot"), [MessageState::Failed]);
    assert_eq!(w.at("sms", t), [40], "at once when the lane failed");
    w.secs(3600);
    assert_eq!(w.at("robot", t).len(), 2);
    assert_eq!(w.state(n), NoticeState::Delivered);
}

/// S14 for P3: no second copy; the notice ends quietly.
#[test]
fn s14_p3_is_not_tried_again() {
    let mut w = World::new();
    w.let_channel("robot", Does::Silence);
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let n = w.plan_as(i, Purpose::Level, P3, "lin", &[&["robot"]]);
    w.secs(3600);
    assert_eq!(w.at("robot", t), [60]);
    assert_eq!((w.state(n), w.notice(n).cause), (NoticeState::Obsolete, Some(Cause::Expired)));
    assert_eq!(w.open("delivery.dead"), 0);
}

/// S15, W8: killed after the claim, before the first byte. S16, W10 look the same from here: the outcome is unknown.
#[test]
fn s15_s16_after_a_crash_the_key_decides() {
    // Channel, copies that the provider was handed, and whether the last one is marked.
    for (channel, copies, marked) in
        [("app", 2, false), ("content", 2, false), ("robot", 2, true), ("mail", 2, true)]
    {
        let mut w = World::new();
        w.next.insert(channel.into(), vec![Does::Void]);
        let (t, i) = (w.now, w.incident("ticket.reply"));
        let n = w.plan(i, P0, "lin", &[&[channel], &["sms"]]);
        w.secs(0);
        assert_eq!(w.states(n, channel), [MessageState::Inflight], "{channel}");
        w.crash(Span::from_secs(3));
        w.secs(1);
        let sent = w.by(channel, t);
        assert_eq!(sent.len(), copies, "{channel}: {sent:?}");
        assert_eq!(sent[1].0, 3, "{channel}: at once after the start");
        assert_eq!(sent[1].1.contains("可能重复"), marked, "{channel}: {sent:?}");
        let bodies: Vec<&Body> =
            w.sent.iter().filter(|s| *s.claim.to.lane.channel == *channel).map(|s| &s.claim.body).collect();
        if !marked {
            assert_eq!(bodies[0], bodies[1], "{channel}: byte by byte");
        }
        let keys: Vec<&String> = w.sent.iter().map(|s| &s.claim.key).collect();
        assert_eq!(keys[0], keys[1], "{channel}: the key is the message's, not the attempt's");
    }
}

/// S16 on a channel that can be asked.
#[test]
fn s16_a_provider_that_can_be_asked_is_asked() {
    let asked = |answers: &[Option<StatementKind>]| {
        let mut w = World::new();
        w.next.insert("sms".into(), vec![Does::Void]);
        let i = w.incident("ticket.reply");
        let n = w.plan(i, P0, "lin", &[&["sms"]]);
        w.secs(0);
        w.crash(Span::from_secs(3));
        w.secs(0);
        for answer in answers {
            w.secs(10);
            let questions = w.alerting.uncertain();
            assert_eq!(questions.len(), 1, "{answers:?}");
            let claim = w.sent[0].claim.clone();
            let statement = answer.map(|what| statement(&claim, what, w.now));
            w.alerting.answered(questions[0].message, statement.as_ref(), w.now);
        }
        w.secs(90);
        (w, n)
    };
    let (w, n) = asked(&[Some(StatementKind::Accepted)]);
    assert_eq!((w.told().count(), w.states(n, "sms")), (1, vec![MessageState::AcceptedFinal]), "found");
    let (w, n) = asked(&[Some(StatementKind::Delivered)]);
    assert_eq!((w.told().count(), w.state(n)), (1, NoticeState::Delivered), "found on the handset");
    let (w, _) = asked(&[Some(StatementKind::NotFound), Some(StatementKind::NotFound)]);
    assert_eq!(w.told().count(), 2, "not found twice");
    assert!(w.told().nth(1).is_some_and(|s| !s.claim.body.text.contains("可能重复")));
    let (w, _) = asked(&[None, None]);
    assert_eq!(w.told().count(), 2, "nobody answers");
    assert!(w.told().nth(1).is_some_and(|s| s.claim.body.text.contains("可能重复")));
    let (w, n) = asked(&[Some(StatementKind::Negative)]);
    assert_eq!(w.states(n, "sms"), [MessageState::Failed]);
}

/// Nobody asks, and nobody is silent: after a while it is as if there were nobody to ask.
#[test]
fn s16_a_question_that_nobody_asks_does_not_hold_it_up() {
    let mut w = World::new();
    w.next.insert("sms".into(), vec![Does::Silence]);
    let (t, i) = (w.now, w.incident("ticket.reply"));
    w.plan(i, P0, "lin", &[&["sms"]]);
    w.secs(100);
    assert_eq!(w.at("sms", t), [0, 60], "10 s of silence, 30 s for an answer, then the next token");
}

/// S17, W12: the receipt comes before the outcome.
#[test]
fn s17_a_receipt_before_its_outcome_is_parked_and_joins() {
    let mut w = World::new();
    w.let_channel("sms", Does::Void);
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "lin", &[&["sms"], &["voice"]]);
    w.secs(0);
    let claim = w.sent[0].claim.clone();
    let early = statement(&claim, StatementKind::Delivered, w.now);
    w.tell(&early);
    w.tell(&early);
    assert_eq!(w.states(n, "sms"), [MessageState::Inflight]);
    w.commit();
    w.alerting.outcome(claim.message, 1, Outcome::of(OutcomeClass::Accepted), w.now);
    assert_eq!((w.state(n), w.states(n, "sms")), (NoticeState::Delivered, vec![MessageState::Delivered]));
    w.secs(600);
    assert!(w.messages(n, "voice").is_empty(), "the fallback was never planned");

    // The same with a crash in between: recovery joins it.
    let mut w = World::new();
    w.let_channel("sms", Does::Void);
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "lin", &[&["sms"], &["voice"]]);
    w.secs(0);
    let early = statement(&w.sent[0].claim.clone(), StatementKind::Delivered, w.now);
    w.tell(&early);
    w.commit();
    w.crash(Span::from_secs(3));
    w.secs(60);
    assert_eq!((w.told().count(), w.state(n)), (1, NoticeState::Delivered));
}

/// S18, W11: accepted, no receipt, then a late one.
#[test]
fn s18_no_receipt_and_a_late_one() {
    let mut w = World::new();
    w.let_channel("voice", receipt(8));
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let n = w.plan(i, P1, "lin", &[&["sms"], &["voice"]]);
    w.secs(30);
    w.crash(Span::from_secs(2));
    w.secs(50);
    assert_eq!(w.at("voice", t), [65], "60 s after the SMS was taken");
    assert_eq!(w.state(n), NoticeState::Delivered);
    let late = statement(&w.sent[0].claim.clone(), StatementKind::Delivered, w.now);
    w.secs(300);
    w.tell(&late);
    assert_eq!(w.state(n), NoticeState::Delivered);
    assert_eq!(w.states(n, "sms"), [MessageState::Delivered], "recorded");
    let negative = statement(&w.sent[0].claim.clone(), StatementKind::Negative, w.now);
    w.tell(&negative);
    assert_eq!(w.states(n, "sms"), [MessageState::Delivered], "a weaker fact never replaces a stronger one");
}

/// RC2: "delivered" after "failed" stops the fallbacks that have not started.
#[test]
fn rc2_delivered_after_negative_stops_the_fallbacks() {
    let mut w = World::new();
    w.let_channel("sms", Does::Receipt(StatementKind::Negative, Span::from_secs(2)));
    w.let_channel("robot", Does::Answer(Outcome::of(OutcomeClass::Accepted)));
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P1, "lin", &[&["sms"], &["robot"], &["voice"]]);
    w.secs(8);
    assert_eq!(w.states(n, "sms"), [MessageState::Failed]);
    assert_eq!(w.states(n, "robot").len(), 1);
    let late = statement(&w.sent[0].claim.clone(), StatementKind::Delivered, w.now);
    w.tell(&late);
    assert_eq!(w.state(n), NoticeState::Delivered);
    w.secs(600);
    assert!(w.messages(n, "voice").is_empty());
}

/// S19, W18: a message that kills the process.
#[test]
fn s19_a_poisoned_message_is_put_aside_and_the_rest_goes_on() {
    let mut w = World::new();
    w.next.insert("app".into(), vec![Does::Void, Does::Void, Does::Void]);
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "lin", &[&["app"]]);
    w.secs(0);
    for deaths in 1..=3 {
        assert_eq!(w.messages(n, "app")[0].deaths, deaths - 1);
        w.crash(Span::from_secs(4));
        w.secs(0);
    }
    assert_eq!(w.states(n, "app"), [MessageState::Quarantined, MessageState::Inflight]);
    assert!(w.sent.last().is_some_and(|s| s.claim.body.text.contains("minimal")));
    assert_eq!(w.open("system.poison"), 1);
    w.secs(5);
    assert_eq!(w.state(n), NoticeState::AcceptedFinal);
}

/// A template that panics does not take the desk with it: the plain one goes, in the same step (I32).
#[test]
fn s19_a_template_that_panics_costs_its_own_message_only() {
    struct Panics;
    impl Renderer for Panics {
        fn render(&self, letter: &Letter<'_>) -> Result<Body, RenderFault> {
            assert!(letter.minimal || letter.items[0].vip, "a bad template");
            Plain.render(letter)
        }
    }
    let mut w = World::new();
    let bad = w.incident("ticket.reply");
    let good = w.incident_with("ticket.reply", |i| i.vip = true);
    w.plan(bad, P0, "lin", &[&["app"]]);
    w.plan(good, P0, "min", &[&["app"]]);
    w.alerting.advance(w.now);
    let room: Room = [("app".into(), 16)].into();
    let claims = w.alerting.claim(&room, &Panics, w.now);
    assert_eq!(claims.len(), 2);
    assert_eq!(claims.iter().filter(|c| c.body.text.contains("minimal")).count(), 1);
    assert_eq!(w.open("system.poison"), 1);
}

/// S20: the body is refused.
#[test]
fn s20_one_try_with_the_plain_template() {
    let mut w = World::new();
    w.let_channel("sms", receipt(3));
    w.next.insert("sms".into(), vec![Does::Answer(Outcome::of(OutcomeClass::ContentPermanent))]);
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let n = w.plan(i, P0, "lin", &[&["sms"], &["voice"]]);
    w.secs(100);
    assert_eq!(w.by("sms", t).len(), 2);
    assert!(w.by("sms", t)[1].1.contains("minimal"));
    assert_eq!(w.state(n), NoticeState::Delivered);

    let mut w = World::new().with(|c| c.budget.sms.clear());
    w.answers("sms", OutcomeClass::ContentPermanent);
    w.let_channel("voice", receipt(5));
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "lin", &[&["sms"], &["voice"]]);
    w.secs(120);
    assert_eq!(w.states(n, "sms"), [MessageState::Failed]);
    assert_eq!(w.state(n), NoticeState::Delivered, "by the call");
    assert_eq!(w.open("system.config"), 1);
}

/// S21: the daily SMS cap is reached.
#[test]
fn s21_over_the_cap_the_next_channel_goes() {
    let mut w = World::new();
    w.let_channel("voice", receipt(5));
    w.answers("sms", OutcomeClass::RecipientThrottled);
    let i = w.incident("ticket.reply");
    w.plan(i, P0, "lin", &[&["sms"]]);
    w.secs(1);
    w.let_channel("sms", receipt(1));
    w.secs(600);
    let t = w.now;
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P1, "lin", &[&["robot"], &["sms"], &["voice"]]);
    w.secs(120);
    assert_eq!(w.at("robot", t), [5], "first as always");
    assert!(w.at("sms", t).is_empty(), "our count is raised to the cap for the day");
    assert_eq!(w.state(n), NoticeState::Delivered);
    assert_eq!(w.at("voice", t), [65]);
    assert_eq!(w.open("delivery.budget"), 1);
}

/// S22: answered while it waits in the group.
#[test]
fn s22_what_is_resolved_in_the_window_is_never_sent() {
    let mut w = World::new();
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P1, "lin", &[&["app"]]);
    w.secs(2);
    assert_eq!(w.states(n, "app"), [MessageState::Held]);
    w.alerting.close(i, Event::Cleared, &How::system(None));
    w.secs(300);
    assert!(w.sent.is_empty(), "nobody was told, so nobody is told that it is over");
    assert_eq!((w.state(n), w.notice(n).cause), (NoticeState::Obsolete, Some(Cause::Resolved)));
    assert_eq!(w.messages(n, "app")[0].cause, Some(Cause::Resolved));
}

/// §8.1: windows bundle, and a later member never lengthens them (I27).
#[test]
fn i27_a_group_waits_for_its_first_member_only() {
    let mut w = World::new();
    let t = w.now;
    let mut notices = Vec::new();
    for _ in 0..4 {
        let i = w.incident("ticket.reply");
        notices.push(w.plan(i, P1, "lin", &[&["app"]]));
        w.secs(2);
    }
    w.secs(20);
    let sent = w.by("app", t);
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(sent[0].0, 5);
    assert!(sent[0].1.starts_with("level 3 "), "{sent:?}");
    assert!(sent[1].1.starts_with("level 1 "), "{sent:?}");
}

/// §8.1: P0 does not wait, but what is due for one recipient in one tick is one message, whatever its family.
#[test]
fn s40_what_is_due_in_one_tick_is_one_message() {
    let mut w = World::new();
    let (a, b) = (w.incident("ticket.reply"), w.incident("parcel.stalled"));
    w.plan(a, P0, "lin", &[&["app"]]);
    w.plan(b, P0, "lin", &[&["app"]]);
    w.secs(0);
    assert_eq!(w.sent.len(), 1);
    assert_eq!(w.sent[0].notices, 2);
}

/// S40: a dead letter.
#[test]
fn s40_a_dead_letter_is_loud_in_the_same_step() {
    let mut w = World::new();
    w.next.insert("app".into(), vec![Does::Answer(Outcome::of(OutcomeClass::RecipientPermanent))]);
    w.next.insert("sms".into(), vec![Does::Answer(Outcome::of(OutcomeClass::RecipientPermanent))]);
    let i = w.incident_with("ticket.reply", |i| i.level = 2);
    let n = w.plan(i, P0, "min", &[&["app", "sms"], &[]]);
    w.alerting.notices.get_mut(&n).unwrap().level = 2;
    w.secs(1);
    assert_eq!((w.state(n), w.notice(n).cause), (NoticeState::Dead, Some(Cause::Failed)));
    assert_eq!(w.open("delivery.dead"), 1);
    let dead: Vec<Lane> = w.notice(n).waves.iter().flatten().map(|r| r.lane.clone()).collect();
    let letter = w.alerting.incidents.values().find(|x| &*x.family == "delivery.dead").unwrap().id;
    let others =
        w.alerting.notices.values().filter(|x| x.incident == letter).flat_map(|x| x.waves.iter().flatten());
    let lanes: Vec<Lane> = others.map(|r| r.lane.clone()).collect();
    assert!(!lanes.is_empty() && lanes.iter().all(|l| !dead.contains(l)), "I3: disjoint lanes");
    assert_eq!(w.alerting.incidents[&i].level, 3, "R7");
    let tried = w.to("min", "app").lane;
    assert!(w.alerting.lane_flagged(&tried), "the contact is flagged");
}

/// §9.3: the bound passes: provisionally dead, the attempts go on, a late proof is noted.
#[test]
fn a_notice_without_proof_is_dead_at_its_bound_and_late_proof_is_noted() {
    let mut w = World::new();
    w.let_channel("app", Does::Answer(Outcome::of(OutcomeClass::Transient)));
    let i = w.incident("system.disk");
    let n = w.plan(i, P0, "lin", &[&["app"]]);
    w.secs(179);
    assert_eq!(w.state(n), NoticeState::Open);
    w.secs(1);
    assert_eq!((w.state(n), w.notice(n).cause), (NoticeState::Dead, Some(Cause::BoundPassed)));
    assert_eq!(w.alarms, 1, "about the system's own trouble: the local surfaces");
    let before = w.sent.len();
    w.answers("app", OutcomeClass::Accepted);
    w.secs(120);
    assert!(w.sent.len() > before, "attempts go on until EXPIRE");
    assert!(w.notice(n).late_delivered);
    assert_eq!(w.state(n), NoticeState::Dead, "an annotation only");
}

/// S12, B10: a provider is down, and comes back.
#[test]
fn s12_a_breaker_opens_defers_probes_once_and_drains_in_order() {
    let mut w = World::new().with(|c| {
        c.budget.voice.clear();
        c.budget.aging = Span::HOUR;
    });
    w.answers("sms", OutcomeClass::Transient);
    w.let_channel("voice", receipt(3));
    let people = ["lin", "min", "zhou", "yun"];
    let t = w.now;
    let mut urgent = Vec::new();
    for n in 0..6 {
        let i = w.incident("ticket.reply");
        urgent.push(w.plan(i, P0, people[n % 4], &[&["sms"], &["voice"]]));
        w.secs(1);
    }
    w.secs(200);
    let n = urgent[5];
    assert!(w.at("voice", t).len() >= 4, "{:?}", w.at("voice", t));
    assert_eq!(w.state(n), NoticeState::Delivered);
    // Ordinary ones wait: nobody calls for them.
    let t = w.now;
    let (p2, p1) = (w.incident("parcel.stalled"), w.incident("ticket.reply"));
    let acked = w.incident("ticket.reply");
    let p2 = w.plan(p2, P2, "lin", &[&["sms"]]);
    let gone = w.plan(acked, P1, "min", &[&["sms"]]);
    let p1 = w.plan(p1, P1, "zhou", &[&["sms"]]);
    w.secs(300);
    let probes = w.at("sms", t);
    assert!(probes.len() >= 4 && probes.len() <= 10, "one at a time, every 10 to 72 s: {probes:?}");
    assert!(probes.windows(2).all(|p| p[1] - p[0] >= 8), "{probes:?}");
    w.alerting.supersede(acked, &Pointless::All, Cause::Acked);
    w.let_channel("sms", receipt(1));
    let t = w.now;
    w.secs(80);
    let order: Vec<Id> = w
        .sent
        .iter()
        .filter(|s| s.at >= t && *s.claim.to.lane.channel == *"sms")
        .map(|s| s.claim.message)
        .collect();
    let of = |n: Id| w.messages(n, "sms")[0].id;
    assert_eq!(order, [of(p1), of(p2)], "P1 before P2, and nothing that was acked");
    assert_eq!(w.state(gone), NoticeState::Obsolete);
    assert_eq!(w.open("channel.down"), 0, "it is over");
}

/// B10: a breaker behind which nothing waits is tried without a message.
#[test]
fn b10_a_breaker_probes_by_a_canary_when_nothing_waits() {
    let mut w = World::new();
    let none = BTreeSet::new();
    w.answers("mail", OutcomeClass::Credential);
    let i = w.incident("ticket.reply");
    w.plan(i, P2, "lin", &[&["mail"]]);
    w.secs(70);
    w.alerting.supersede(i, &Pointless::All, Cause::Resolved);
    w.secs(1);
    assert_eq!(w.open("channel.down"), 1);
    let down = Outcome::of(OutcomeClass::Transient);
    let mut probed = 0;
    for _ in 0..300 {
        w.secs(1);
        let due = w.alerting.canaries(&none, w.now);
        probed += due.len();
        assert_eq!(w.alerting.canaries(&none, w.now), Vec::<Arc<str>>::new(), "one at a time");
        for channel in due {
            w.alerting.canary(&channel, Some(&down), w.now);
        }
    }
    assert!((4..=30).contains(&probed), "at least every 72 s: {probed}");
    let mut closed = false;
    for _ in 0..72 {
        w.secs(1);
        for channel in w.alerting.canaries(&none, w.now) {
            w.alerting.canary(&channel, Some(&Outcome::of(OutcomeClass::Accepted)), w.now);
            closed = true;
        }
    }
    assert!(closed);
    assert_eq!(w.open("channel.down"), 0, "it is over before anybody needed the channel");
    // A channel that cannot be tried is left alone, and keeps its place for a message.
    w.answers("hook", OutcomeClass::Credential);
    let i = w.incident("ticket.reply");
    w.plan(i, P2, "lin", &[&["hook"]]);
    w.secs(70);
    w.alerting.supersede(i, &Pointless::All, Cause::Resolved);
    w.secs(80);
    let hook: BTreeSet<Arc<str>> = [Arc::from("hook")].into();
    assert_eq!(w.alerting.canaries(&hook, w.now).len(), 0);
    assert_eq!(w.alerting.canaries(&none, w.now).len(), 1);
    w.alerting.canary(&Arc::from("hook"), None, w.now);
    w.answers("hook", OutcomeClass::Accepted);
    let t = w.now;
    let i = w.incident("ticket.reply");
    w.plan(i, P1, "lin", &[&["hook"]]);
    w.secs(10);
    assert_eq!(w.at("hook", t).len(), 1, "a message probes as ever");
}

/// RC4: who owes a receipt is asked for it before the fallback is decided, and once more after ten minutes.
#[test]
fn rc4_a_receipt_that_does_not_come_is_asked_for() {
    let asked = |w: &World| -> Vec<Id> { w.alerting.unreceipted().into_iter().map(|i| i.message).collect() };
    let mut w = World::new();
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P1, "lin", &[&["sms"], &["voice"]]);
    w.secs(6);
    let sms = w.messages(n, "sms")[0].id;
    let accepted = w.messages(n, "sms")[0].accepted_at.expect("it was accepted");
    assert_eq!(asked(&w), []);
    w.run((accepted + Span::from_secs(55)).since(w.now));
    assert_eq!(asked(&w), [sms], "five seconds before the window is over");
    let said = |what| Statement {
        key: Some(sms.to_string()),
        provider_id: None,
        channel: "sms".into(),
        what,
        code: None,
        at: accepted,
    };
    w.alerting.answered(sms, Some(&said(StatementKind::Accepted)), w.now);
    assert_eq!(asked(&w), [], "it is only on its way");
    let t = w.now;
    w.secs(10);
    assert_eq!(w.at("voice", t).len(), 1, "so the fallback goes");
    w.run((accepted + Span::from_minutes(10)).since(w.now + Span::from_secs(1)));
    assert!(!asked(&w).contains(&sms));
    w.secs(1);
    assert!(asked(&w).contains(&sms), "a second time");
    w.alerting.answered(sms, Some(&said(StatementKind::Delivered)), w.now);
    assert!(!asked(&w).contains(&sms));
    assert_eq!(w.messages(n, "sms")[0].state, MessageState::Delivered);

    // Delivered, and nobody said so: no call.
    let mut w = World::new();
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P1, "lin", &[&["sms"], &["voice"]]);
    w.secs(6);
    let message = w.messages(n, "sms")[0];
    let (sms, accepted) = (message.id, message.accepted_at.expect("it was accepted"));
    w.run((accepted + Span::from_secs(55)).since(w.now));
    w.crash(Span::ZERO);
    assert_eq!(asked(&w), [sms], "a restart forgets nothing");
    let said = Statement {
        key: Some(sms.to_string()),
        provider_id: None,
        channel: "sms".into(),
        what: StatementKind::Delivered,
        code: None,
        at: accepted,
    };
    w.alerting.answered(sms, Some(&said), w.now);
    let t = w.now;
    w.secs(120);
    assert_eq!(w.at("voice", t).len(), 0);
    assert!(!asked(&w).contains(&sms));
}

/// I30 with a digest: more than three of one family to one recipient go as one.
#[test]
fn s12_a_backlog_of_one_recipient_goes_as_one_digest() {
    let mut w = World::new();
    w.answers("app", OutcomeClass::Credential);
    let first = w.incident("ticket.reply");
    w.plan(first, P0, "min", &[&["app"]]);
    w.secs(1);
    for _ in 0..9 {
        let i = w.incident("ticket.reply");
        w.plan(i, P0, "lin", &[&["app"]]);
        w.secs(1);
    }
    assert_eq!(w.open("channel.down"), 1);
    w.answers("app", OutcomeClass::Accepted);
    let t = w.now;
    w.secs(90);
    let lin: Vec<&Sent> = w.sent.iter().filter(|s| s.at >= t && &*s.claim.to.person == "lin").collect();
    assert_eq!(lin.iter().map(|s| s.notices).sum::<usize>(), 9);
    assert!(lin.len() <= 2, "the probe may be one of them: {}", lin.len());
}

/// S30, I50: a reload removes a channel.
#[test]
fn s30_messages_of_a_removed_channel_are_planned_anew() {
    let mut w = World::new();
    w.answers("mail", OutcomeClass::Transient);
    let mut notices = Vec::new();
    for _ in 0..40 {
        let i = w.incident("ticket.reply");
        notices.push(w.plan(i, P2, "lin", &[&["mail"], &["app"]]));
    }
    let under_way = w.incident("ticket.reply");
    w.next.insert("robot".into(), vec![Does::Void]);
    let flying = w.plan(under_way, P0, "min", &[&["robot"], &["app"]]);
    w.secs(70);
    w.setup.channels.remove("mail");
    w.setup.revision += 1;
    w.alerting.reconfigure(w.setup.clone(), &Default::default(), w.now);
    for n in &notices {
        assert_eq!(w.messages(*n, "mail").len(), 1);
        assert_eq!(w.messages(*n, "mail")[0].cause, Some(Cause::LaneRemoved));
        assert!(w.alerting.live_messages(*n).next().is_some(), "no notice loses its last message");
    }
    assert!(w.states(flying, "robot")[0] != MessageState::Superseded, "what is under way goes on");
    w.secs(30);
    assert!(notices.iter().all(|n| w.state(*n) == NoticeState::AcceptedFinal));
}

/// S46: twelve tickets reach level 2 within a minute. A robot proves nothing, so that SMS and call have work.
#[test]
fn s46_twelve_tickets_in_a_minute_are_not_twelve_calls() {
    let mut w = World::new();
    w.let_channel("voice", receipt(10));
    let t = w.now;
    let mut notices = Vec::new();
    for _ in 0..3 {
        let i = w.incident("ticket.reply");
        notices.push(w.plan(i, P0, "min", &[&["robot", "sms"], &["voice"]]));
    }
    w.secs(10);
    for _ in 0..9 {
        let i = w.incident("ticket.reply");
        notices.push(w.plan(i, P0, "min", &[&["robot", "sms"], &["voice"]]));
        w.secs(5);
    }
    w.secs(125);
    assert_eq!(w.at("robot", t).len(), 10, "each at once");
    assert_eq!(w.at("sms", t)[..2], [0, 60], "the next SMS leaves with the next token");
    let served: Vec<usize> =
        w.told().filter(|s| *s.claim.to.lane.channel == *"sms").map(|s| s.notices).collect();
    assert_eq!(served, [3, 9]);
    let calls: Vec<usize> =
        w.told().filter(|s| *s.claim.to.lane.channel == *"voice").map(|s| s.notices).collect();
    assert_eq!(calls, [12], "one call for all of them");
    assert!(notices.iter().all(|n| w.state(*n) == NoticeState::Delivered));
}

/// Voice: no answer, one redial after 30 s, then the next wave.
#[test]
fn a_call_that_nobody_answers_is_placed_once_more() {
    let mut w = World::new().with(|c| c.budget.voice.clear());
    w.let_channel("voice", Does::Receipt(StatementKind::Negative, Span::from_secs(25)));
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let n = w.plan(i, P1, "lin", &[&["voice"], &["mail"]]);
    w.secs(300);
    assert_eq!(w.at("voice", t), [5, 60], "25 s of ringing, 30 s, and no third");
    assert_eq!(w.at("mail", t), [85]);
    assert_eq!(
        w.state(n),
        NoticeState::Open,
        "mail alone proves nothing for P1 while there is a better class"
    );
}

/// §10.6 for a small team: mail and a webhook are all there is.
#[test]
fn the_last_class_of_a_small_team_is_proof() {
    let mut w = World::new();
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let n = w.plan(i, P1, "lin", &[&["hook"], &["mail"]]);
    w.secs(10);
    assert_eq!(w.state(n), NoticeState::Open, "the second lane is still untried");
    w.secs(60);
    assert_eq!((w.at("hook", t), w.at("mail", t)), (vec![5], vec![65]));
    assert_eq!(w.state(n), NoticeState::AcceptedFinal);
    assert!(w.audit.iter().any(|a| a.kind == "notice.last_class"));

    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "min", &[&["mail"]]);
    w.secs(1);
    assert_eq!(w.state(n), NoticeState::AcceptedFinal);
}

/// O1, I29: steps of one incident on one lane are handed over in order, and a step that only waits is overtaken.
#[test]
fn o1_steps_go_in_order_and_overtake_what_only_waits() {
    let mut w = World::new();
    w.next.insert("app".into(), vec![Does::Silence]);
    let (t, i) = (w.now, w.incident("ticket.reply"));
    w.plan(i, P0, "lin", &[&["app"]]);
    w.secs(2);
    w.alerting.edit(i, |i| i.step = 2);
    let second = w.plan(i, P0, "lin", &[&["app"]]);
    w.secs(2);
    assert_eq!(w.states(second, "app"), [MessageState::Deferred], "step 1 is under way");
    w.secs(30);
    assert_eq!(
        w.at("app", t),
        [0, 10, 10],
        "step 1 again by its key, and step 2 when nothing of 1 is in doubt"
    );
    let held = {
        w.alerting.edit(i, |i| i.step = 3);
        w.plan(i, P1, "lin", &[&["app"]])
    };
    w.secs(1);
    w.alerting.edit(i, |i| i.step = 4);
    w.plan(i, P1, "lin", &[&["app"]]);
    assert_eq!((w.state(held), w.notice(held).cause), (NoticeState::Obsolete, Some(Cause::SupersededByStep)));
}

/// O3: "cleared" waits for everything earlier on the lane.
#[test]
fn o3_cleared_comes_last() {
    let mut w = World::new().with(|c| c.group.wait.p3 = Span::ZERO);
    w.next.insert("app".into(), vec![Does::Silence]);
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let n = w.plan(i, P0, "lin", &[&["app"]]);
    w.secs(1);
    w.alerting.close(i, Event::Cleared, &How::system(None));
    let cleared = w.plan_as(i, Purpose::Cleared, P3, "lin", &[&["app"]]);
    w.secs(1);
    assert_eq!(w.states(cleared, "app"), [MessageState::Deferred]);
    w.secs(60);
    let sent = w.by("app", t);
    assert_eq!((sent.len(), sent[1].0), (2, 10), "{sent:?}");
    assert!(sent[1].1.starts_with("cleared"), "{sent:?}");
    assert_eq!(w.states(n, "app"), [MessageState::Superseded], "what is resolved is not tried again");
    assert_eq!(w.state(cleared), NoticeState::AcceptedFinal);
}

/// RESERVE: a fifth of a lane is for the urgent.
#[test]
fn i28_the_reserve_is_for_the_urgent() {
    let mut w = World::new().with(|c| c.budget.aging = Span::HOUR);
    let t = w.now;
    for n in 0..25 {
        let family = format!("family{n}.x");
        let i = w.incident(&family);
        w.plan_as(i, Purpose::SilenceEnding, P2, "lin", &[&["app"]]);
    }
    w.secs(61);
    assert_eq!(w.at("app", t).len(), 16, "20 a minute less a fifth");
    let i = w.incident("ticket.reply");
    w.plan(i, P0, "lin", &[&["app"]]);
    w.secs(1);
    assert_eq!(w.at("app", t).len(), 17, "the urgent one goes at once");
}

/// S45, small: many messages at once; the urgent first, and no claim looks at all of them.
#[test]
fn s45_ten_thousand_ready_messages_leave_in_order() {
    let mut w = World::new().with(|c| c.storm.count = 0);
    let mut roster = (*w.setup.roster).clone();
    let lin = roster.people["lin"].clone();
    for n in 0..10_000 {
        let person = Person { contacts: vec![("hook".into(), format!("p{n}@hook"))], ..lin.clone() };
        roster.people.insert(format!("p{n}").into(), person);
    }
    w.setup.roster = std::sync::Arc::new(roster);
    w.alerting.setup = w.setup.clone();
    for n in 0..10_000 {
        let class = if n % 100 == 0 { P0 } else { P2 };
        let i = w.incident("system.test");
        w.plan(i, class, &format!("p{n}"), &[&["hook"]]);
    }
    assert_eq!(w.alerting.waiting(), 10_000);
    w.now = w.now + Span::from_secs(60);
    w.alerting.advance(w.now);
    let room: Room = [("hook".into(), 16)].into();
    let mut order = Vec::new();
    while order.len() < 1_000 {
        let claims = w.alerting.claim(&room, &Plain, w.now);
        assert_eq!(claims.len(), 16);
        for claim in claims {
            order.push(claim.priority);
            w.alerting.outcome(claim.message, 1, Outcome::of(OutcomeClass::Accepted), w.now);
        }
        w.commit();
    }
    assert!(order[..100].iter().all(|c| *c == P0) && order[100..].iter().all(|c| *c == P2));
}

fn at(w: &World, secs: i64) -> Instant {
    w.now + Span::from_secs(secs)
}

/// RC3: a receipt of something unknown is kept for a day, and the table of the parked is bounded.
#[test]
fn rc3_unknown_receipts_are_parked_and_dropped() {
    let mut w = World::new();
    let unknown = |n: u32, at: Instant| Statement {
        key: None,
        provider_id: Some(format!("x{n}")),
        channel: "sms".into(),
        what: StatementKind::Delivered,
        code: None,
        at,
    };
    for n in 0..100 {
        let statement = unknown(n, at(&w, 0));
        w.tell(&statement);
        w.tell(&statement);
    }
    assert_eq!(w.alerting.outbox.parked.len(), 100);
    w.now = at(&w, 86_400);
    let statement = unknown(100, w.now);
    w.tell(&statement);
    assert_eq!(w.alerting.outbox.parked.len(), 1);
}

/// S29, the engine's part: a commit is refused, memory is thrown away, and what is planned again has the same ids.
#[test]
fn s29_w3_planned_again_after_a_refused_commit_it_is_the_same() {
    let mut w = World::new();
    let i = w.incident("ticket.reply");
    w.commit();
    let t = w.now;
    let n = w.plan(i, P0, "lin", &[&["app"]]);
    w.alerting.advance(w.now);
    let room: Room = [("app".into(), 16)].into();
    let lost = w.alerting.claim(&room, &Plain, w.now);
    w.crash(Span::ZERO);
    assert!(w.alerting.notices.is_empty() && w.alerting.messages.is_empty(), "nothing of it was kept");
    assert_eq!(w.plan(i, P0, "lin", &[&["app"]]), n);
    w.secs(1);
    assert_eq!(w.at("app", t), [0]);
    assert_eq!(w.sent[0].claim.key, lost[0].key, "the provider can tell the second copy");
    assert_eq!(w.sent[0].claim.body, lost[0].body);
}

/// W19: an outcome and the fallback that it calls for are one commit.
#[test]
fn w19_outcome_and_fallback_together_or_not_at_all() {
    for kept in [false, true] {
        let mut w = World::new();
        w.let_channel("robot", Does::Void);
        w.let_channel("sms", receipt(2));
        let i = w.incident("ticket.reply");
        let n = w.plan(i, P0, "lin", &[&["robot"], &["sms"]]);
        w.secs(0);
        let claim = w.sent[0].claim.clone();
        w.alerting.outcome(claim.message, 1, Outcome::of(OutcomeClass::RecipientPermanent), w.now);
        if kept {
            w.commit();
        }
        w.crash(Span::from_secs(1));
        if kept {
            assert_eq!(w.states(n, "robot"), [MessageState::Failed]);
            assert_eq!(w.states(n, "sms"), [MessageState::Held]);
        } else {
            assert_eq!(w.states(n, "robot"), [MessageState::Ready], "as W10: once more, marked");
            assert!(w.messages(n, "robot")[0].marked);
            assert!(w.messages(n, "sms").is_empty());
        }
        w.secs(100);
        assert_eq!(w.state(n), NoticeState::Delivered, "kept: {kept}");
    }
}

/// The bound of a conversation with oneself: a late outcome of an attempt that is over changes nothing.
#[test]
fn a_late_outcome_changes_nothing() {
    let mut w = World::new();
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "lin", &[&["app"], &["sms"]]);
    w.secs(1);
    let claim = w.sent[0].claim.clone();
    let before = w.kept();
    for (attempt, class) in
        [(1, OutcomeClass::RecipientPermanent), (2, OutcomeClass::Accepted), (0, OutcomeClass::Unknown)]
    {
        w.alerting.outcome(claim.message, attempt, Outcome::of(class), w.now);
    }
    assert_eq!(before, w.kept());
    assert_eq!(w.state(n), NoticeState::AcceptedFinal);
}

/// Found by the simulation: the level that a dead letter is opened at was in no audit record.
#[test]
fn i43_the_level_of_a_dead_letter_is_audited() {
    let mut w = World::new();
    w.answers("app", OutcomeClass::RecipientPermanent);
    let i = w.incident("ticket.reply");
    w.plan(i, P0, "lin", &[&["app"]]);
    w.secs(10);
    let letters = w.alerting.incidents.values().filter(|i| &*i.family == "delivery.dead");
    let letters: Vec<_> = letters.map(|i| (i.id.to_string(), format!("L{}", i.level))).collect();
    assert!(!letters.is_empty());
    for (id, level) in letters {
        let of =
            w.audit.iter().filter(|a| a.incident.as_ref() == Some(&id) && a.kind.starts_with("incident.R"));
        let last = of.filter_map(|a| a.change.as_deref()).next_back().unwrap_or_default();
        assert!(last.ends_with(&level), "{last} is not {level}");
    }
}
