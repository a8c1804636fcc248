//! One incident on one lane: in order, once, and only what still holds (§14).

use super::{P0, P1, P2, P3};
use crate::core::alerting::Act;
use crate::core::alerting::incidents::How;
use crate::core::alerting::samples::{Does, World};
use crate::core::alerting::transitions::Event;
use crate::core::ids::Id;
use crate::core::model::{Cause, MessageState, NoticeState, Outcome, OutcomeClass, Purpose};
use crate::core::time::Span;

/// Transient, and to be tried again after so long.
fn busy(secs: i64) -> Does {
    let wait = Some(Span::from_secs(secs));
    Does::Answer(Outcome { wait, ..Outcome::of(OutcomeClass::Transient) })
}

/// O1, I29: a step that waits for another attempt does not follow the next one, which came by a later wave.
#[test]
fn i29_a_step_that_waits_is_dropped_when_a_later_one_has_left() {
    let mut w = World::new();
    w.next.insert("robot".into(), vec![busy(600)]);
    w.answers("mail", OutcomeClass::RecipientPermanent);
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let first = w.plan(i, P2, "lin", &[&["robot"]]);
    w.secs(100);
    assert_eq!(w.states(first, "robot"), [MessageState::RetryWait]);
    w.alerting.edit(i, |incident| incident.step += 1);
    let second = w.plan(i, P2, "lin", &[&["mail"], &["robot"]]);
    w.secs(1200);
    assert_eq!(w.at("robot", t), [60, 160], "the first step, and the second, and no third");
    assert_eq!(w.state(second), NoticeState::AcceptedFinal);
    assert_eq!(
        (w.state(first), w.notice(first).cause),
        (NoticeState::Obsolete, Some(Cause::SupersededByStep))
    );
}

/// O1, I29: what an SMS takes along are not steps that a later one has overtaken on this lane.
#[test]
fn i29_an_sms_takes_no_older_step_along() {
    let mut w = World::new();
    let (t, i) = (w.now, w.incident("ticket.reply"));
    w.alerting.edit(i, |incident| incident.step = 2);
    w.plan(i, P0, "lin", &[&["sms"]]);
    w.secs(61);
    w.alerting.edit(i, |incident| incident.step = 1);
    let first = w.plan(i, P1, "lin", &[&["robot"], &["voice"]]);
    w.alerting.edit(i, |incident| incident.step = 2);
    let other = w.incident("ticket.reply");
    let told = w.plan(other, P0, "lin", &[&["sms"]]);
    w.secs(5);
    assert_eq!(w.at("sms", t), [0, 61]);
    assert_eq!(w.state(first), NoticeState::Open, "nothing proves it yet");
    assert!(w.messages(first, "sms").is_empty(), "the second step went there before");
    assert_eq!(w.messages(told, "sms")[0].members, [other]);
}

/// O1, I29: what left together with a later step is not said again once the later one has no need to be.
#[test]
fn i29_an_older_step_is_not_said_again_without_the_later_one_that_left_with_it() {
    let mut w = World::new();
    w.answers("robot", OutcomeClass::RecipientPermanent);
    let other = w.incident("parcel.stalled");
    w.plan(other, P2, "lin", &[&["robot"]]);
    w.secs(61);
    w.next.insert("sms".into(), vec![busy(600)]);
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let first = w.plan(i, P2, "lin", &[&["sms"]]);
    w.alerting.edit(i, |incident| incident.step += 1);
    let second = w.plan(i, P2, "lin", &[&["robot"], &["sms", "app"]]);
    w.secs(70);
    let left = w.sent.iter().find(|s| &*s.claim.to.lane.channel == "sms").map(|s| s.notices);
    assert_eq!(left, Some(2), "they left together");
    w.secs(1200);
    assert_eq!(w.at("sms", t), [0], "and only then");
    assert_eq!(w.state(second), NoticeState::AcceptedFinal);
    assert_eq!(
        (w.state(first), w.notice(first).cause),
        (NoticeState::Obsolete, Some(Cause::SupersededByStep))
    );
}

/// O1: what is said of a storm, and what is done about it, follow one another.
#[test]
fn o1_a_storm_and_what_is_done_about_it_are_one_story() {
    let mut w = World::new();
    w.next.insert("hook".into(), vec![busy(600)]);
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let opened = w.plan_as(i, Purpose::StormOpened, P2, "lin", &[&["hook"]]);
    w.secs(100);
    w.alerting.edit(i, |incident| incident.step += 1);
    w.plan(i, P2, "lin", &[&["hook"]]);
    w.secs(1200);
    assert_eq!(w.at("hook", t), [5, 160], "the level has overtaken the opening");
    assert_eq!(w.state(opened), NoticeState::Obsolete);
}

/// §10.4: what may have been taken goes again byte by byte, and what waits beside it has a text of its own.
#[test]
fn i8_what_may_have_been_taken_goes_again_by_itself() {
    let mut w = World::new();
    w.setup.channels.get_mut("content").expect("a channel").max_inflight = 1;
    w.alerting.setup = w.setup.clone();
    w.next.insert("content".into(), vec![Does::Silence]);
    for _ in 0..5 {
        let i = w.incident("ticket.reply");
        w.plan(i, P0, "lin", &[&["content"]]);
        w.secs(1);
    }
    w.secs(60);
    let texts: Vec<&String> = w.told().map(|s| &s.claim.body.text).collect();
    assert_eq!(texts[0], texts[1], "byte by byte");
    for n in 1..=5 {
        assert!(texts.iter().any(|text| text.contains(&n.to_string())), "{n} is in no text: {texts:?}");
    }
}

/// I17: an SMS that says that something is over takes along what is over only where that was told by SMS.
#[test]
fn i17_that_it_is_over_is_said_only_where_it_was_told() {
    let mut w = World::new();
    w.next.insert("app".into(), vec![busy(600)]);
    let over = |w: &mut World, way: &'static str| -> (Id, Id) {
        let i = w.incident("ticket.reply");
        w.alerting.transit(i, Event::Cleared, &How::system(None));
        (i, w.plan_as(i, Purpose::Cleared, P3, "lin", &[&[way]]))
    };
    let (_, by_app) = over(&mut w, "app");
    w.secs(70);
    assert_eq!(w.state(by_app), NoticeState::Open);
    let (there, by_sms) = over(&mut w, "sms");
    w.secs(70);
    assert_eq!(w.messages(by_sms, "sms")[0].members, [there]);
    assert!(w.messages(by_app, "sms").is_empty(), "nobody was told of it by SMS");
}

/// I17: "cleared" goes once: a call that said it is not placed again.
#[test]
fn i17_that_it_is_over_is_not_called_twice() {
    let mut w = World::new();
    let (t, i) = (w.now, w.incident("ticket.reply"));
    w.alerting.transit(i, Event::Cleared, &How::system(None));
    w.plan_as(i, Purpose::Cleared, P3, "lin", &[&["voice"]]);
    w.secs(600);
    assert_eq!(w.at("voice", t).len(), 1, "nobody answered, and that is that");
    let other = w.incident("ticket.reply");
    w.plan(other, P0, "min", &[&["voice"]]);
    let t = w.now;
    w.secs(170);
    assert_eq!(w.at("voice", t).len(), 2, "work is called again");
}

/// I12: a notice that is dead for want of time is tried on; not after somebody has it.
#[test]
fn i12_what_is_dead_for_want_of_time_is_not_tried_again_after_an_ack() {
    let mut w = World::new();
    w.next.insert("mail".into(), vec![busy(200), Does::Void]);
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "lin", &[&["mail"]]);
    w.secs(205);
    assert_eq!((w.state(n), w.states(n, "mail")), (NoticeState::Dead, vec![MessageState::Inflight]));
    w.acts(1, "zhou", Act::Ack { incidents: vec![i] });
    let (message, attempts) = (w.messages(n, "mail")[0].id, w.messages(n, "mail")[0].attempts);
    w.alerting.outcome(message, attempts, Outcome::of(OutcomeClass::Transient), w.now);
    assert_eq!(w.states(n, "mail"), [MessageState::Superseded]);
    assert_eq!(w.messages(n, "mail")[0].cause, Some(Cause::Acked));
}

/// The same for the SMS that follows a chat (D1).
#[test]
fn i12_the_sms_after_a_chat_is_not_tried_again_after_an_ack() {
    let mut w = World::new();
    w.next.insert("sms".into(), vec![Does::Void]);
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P1, "lin", &[&["app"], &["sms"]]);
    w.secs(70);
    assert_eq!((w.state(n), w.states(n, "sms")), (NoticeState::AcceptedFinal, vec![MessageState::Inflight]));
    w.alerting.transit(i, Event::AckAsked, &How::system(None));
    let message = w.messages(n, "sms")[0].id;
    w.alerting.outcome(message, 1, Outcome::of(OutcomeClass::Transient), w.now);
    assert_eq!(w.states(n, "sms"), [MessageState::Superseded]);
    assert_ne!(w.messages(n, "sms")[0].cause, Some(Cause::Covered));
}
