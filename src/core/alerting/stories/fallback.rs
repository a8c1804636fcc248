//! Who is told next when one way does not do: fallbacks, proof, calls, caps.

use super::{P0, P1, receipt};
use crate::core::alerting::outbox::Pointless;
use crate::core::alerting::samples::{Does, World};
use crate::core::model::{Cause, MessageState, NoticeState, Outcome, OutcomeClass, Rate, StatementKind};
use crate::core::time::Span;

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

/// S13 for a robot that serves several people: it is muted for all of them, and nobody urgent waits for it.
#[test]
fn s13_a_muted_robot_is_muted_for_everybody() {
    for counted in [true, false] {
        let mut w = World::new();
        if counted {
            let rate = Rate { count: 20, per: Span::MINUTE };
            w.alerting.setup.channels.get_mut("robot").unwrap().account_caps = vec![rate];
        }
        w.let_channel("sms", receipt(30));
        let throttled =
            Outcome { wait: Some(Span::from_minutes(10)), ..Outcome::of(OutcomeClass::Throttled) };
        w.next.insert("robot".into(), vec![Does::Answer(throttled)]);
        let (t, i) = (w.now, w.incident("ticket.reply"));
        w.plan(i, P1, "lin", &[&["robot"], &["sms"]]);
        w.secs(60);
        assert_eq!(w.at("robot", t), [5]);
        let (t, i) = (w.now, w.incident("parcel.stalled"));
        let n = w.plan(i, P1, "min", &[&["robot"], &["sms"]]);
        w.secs(300);
        let want: &[i64] = if counted { &[] } else { &[5] };
        assert_eq!(w.at("robot", t), want, "counted by account: {counted}");
        let sms = w.at("sms", t);
        assert_eq!(sms.first().copied(), Some(if counted { 5 } else { 65 }), "counted by account: {counted}");
        assert_eq!(w.state(n), NoticeState::Delivered);
    }
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
