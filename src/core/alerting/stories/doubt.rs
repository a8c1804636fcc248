//! What may or may not have been taken: time-outs, crashes, receipts.

use super::{P0, P1, P2, P3, receipt};
use crate::core::alerting::samples::{Does, World, statement};
use crate::core::ids::Id;
use crate::core::model::{
    Body, Cause, MessageState, NoticeState, Outcome, OutcomeClass, Purpose, Statement, StatementKind, Table,
};
use crate::core::time::{Instant, Span};

fn at(w: &World, secs: i64) -> Instant {
    w.now + Span::from_secs(secs)
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

/// §3, T3: timeouts belong to the counter. Where the clock skips some minutes, an attempt that left a second ago is not
/// over, its notice is not dead, and nobody is called instead.
#[test]
fn i8_a_step_forth_of_the_clock_ends_no_attempt_and_no_notice() {
    let mut w = World::new();
    w.next.insert("robot".into(), vec![Does::Void]);
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "lin", &[&["robot"], &["sms"]]);
    w.secs(1);
    w.step_forth(Span::from_secs(200));
    let t = w.now;
    w.secs(8);
    assert_eq!((w.states(n, "robot"), w.state(n)), (vec![MessageState::Inflight], NoticeState::Open));
    w.secs(30);
    assert_eq!(w.at("robot", t), [11], "10 s and a margin after the first, as the counter has it");
    assert_eq!(w.at("sms", t), [19], "and 20 s after the plan");
    assert_eq!(w.open("delivery.dead"), 0);
}

/// I17: a provider that is asked by a key may mean the first copy. So the second, marked one says no more than the first:
/// nobody is held to have been told what was only in a copy that did not arrive.
#[test]
fn i17_a_marked_copy_takes_nothing_along() {
    let mut w = World::new();
    w.let_channel("sms", Does::Void);
    let (t, i) = (w.now, w.incident("ticket.reply"));
    let first = w.plan(i, P0, "lin", &[&["sms"]]);
    w.secs(1);
    // Nothing came back, and nobody can be asked: once more, marked, with the next token.
    let other = w.incident("ticket.reply");
    let second = w.plan(other, P1, "lin", &[&["robot"], &["mail"]]);
    w.secs(80);
    assert_eq!(w.at("sms", t).len(), 2, "{:?}", w.by("sms", t));
    assert!(w.by("sms", t)[1].1.contains("可能重复"));
    assert_eq!(w.messages(first, "sms")[0].members, [i]);
    let copy = w.told().find(|s| &*s.claim.to.lane.channel == "sms").expect("the first").claim.clone();
    w.tell(&statement(&copy, StatementKind::Delivered, w.now));
    assert_eq!(w.state(first), NoticeState::Delivered);
    assert_ne!(w.state(second), NoticeState::Delivered, "what was delivered did not say so");
}

/// I50: what was settled while a message was under way does not keep it waiting for nobody.
#[test]
fn i50_a_message_ends_with_the_last_that_needs_it() {
    let mut w = World::new();
    let full = Outcome::of(OutcomeClass::RecipientThrottled);
    w.next.insert("app".into(), vec![Does::Answer(full)]);
    let (one, two) = (w.incident("ticket.reply"), w.incident("ticket.reply"));
    let first = w.plan(one, P2, "lin", &[&["app"]]);
    let second = w.plan(two, P2, "lin", &[&["app"]]);
    w.run(Span::from_millis(60_050));
    assert_eq!(w.states(first, "app"), [MessageState::Inflight], "both in one");
    w.close(one);
    w.secs(1);
    assert_eq!(w.states(second, "app"), [MessageState::RetryWait]);
    w.close(two);
    let waits = w.alerting.messages.values().any(|m| !m.state.is_terminal());
    assert!(!waits, "nobody needs it until tomorrow: {:?}", w.messages(second, "app"));
}

/// I2, T3: a clock that was ahead is right again. The time since the last commit was lived through all the same, and a
/// bound comes no later for it.
#[test]
fn i2_a_long_step_back_gives_no_notice_more_time() {
    let mut w = World::new();
    let busy = Outcome { wait: Some(Span::from_secs(600)), ..Outcome::of(OutcomeClass::Transient) };
    w.next.insert("mail".into(), vec![Does::Answer(busy)]);
    let i = w.incident("ticket.reply");
    let n = w.plan(i, P0, "lin", &[&["mail"]]);
    w.secs(120);
    w.step_back(Span::HOUR);
    w.secs(59);
    assert_eq!(w.state(n), NoticeState::Open);
    w.secs(2);
    assert_eq!((w.state(n), w.notice(n).cause), (NoticeState::Dead, Some(Cause::BoundPassed)));
}

/// The same for a cool-down, for the time until another attempt, and for a question to the provider.
#[test]
fn b10_a_step_forth_of_the_clock_brings_no_probe_and_no_attempt_nearer() {
    let mut w = World::new();
    let busy = Outcome { wait: Some(Span::from_secs(60)), ..Outcome::of(OutcomeClass::Transient) };
    w.next.insert("mail".into(), vec![Does::Answer(busy)]);
    w.answers("app", OutcomeClass::Credential);
    let i = w.incident("ticket.reply");
    w.plan(i, P1, "lin", &[&["mail"]]);
    let other = w.incident("ticket.reply");
    w.plan(other, P1, "min", &[&["app"]]);
    w.secs(6);
    let tries =
        |w: &World, channel: &str| w.sent.iter().filter(|s| &*s.claim.to.lane.channel == channel).count();
    assert_eq!((tries(&w, "mail"), tries(&w, "app")), (1, 1));
    w.step_forth(Span::from_secs(250));
    w.secs(5);
    assert_eq!((tries(&w, "mail"), tries(&w, "app")), (1, 1), "nothing has waited long enough");
    w.secs(60);
    assert_eq!(tries(&w, "mail"), 2);
    assert!(tries(&w, "app") > 1, "it probes");
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

/// What goes again byte by byte comes from its own row; from the attempt's, as it was before schema 3; and where neither
/// can be read it is made anew.
#[test]
fn a_body_comes_back_from_where_it_was_kept() {
    for (kept, want) in [("apart", "as it was"), ("within", "as it was"), ("lost", "level")] {
        let mut w = World::new();
        w.next.insert("content".into(), vec![Does::Void]);
        let i = w.incident("ticket.reply");
        w.plan(i, P0, "lin", &[&["content"]]);
        w.secs(0);
        let of = |w: &World, table| w.rows.keys().find(|(t, _)| *t == table).cloned().unwrap();
        let (attempt, body) = (of(&w, Table::Attempt), of(&w, Table::Body));
        assert_eq!(attempt.1, body.1);
        let altered = serde_json::to_vec(&Body { text: "as it was".into(), ..Body::default() }).unwrap();
        match kept {
            "apart" => drop(w.rows.insert(body, altered)),
            "within" => {
                w.rows.remove(&body);
                let mut row: serde_json::Value = serde_json::from_slice(&w.rows[&attempt]).unwrap();
                row["body"] = serde_json::from_slice(&altered).unwrap();
                w.rows.insert(attempt, row.to_string().into_bytes());
            }
            _ => drop(w.rows.remove(&body)),
        }
        w.crash(Span::from_secs(3));
        w.secs(1);
        assert_eq!(w.sent.len(), 2, "{kept}");
        assert!(w.sent[1].claim.body.text.contains(want), "{kept}: {:?}", w.sent[1].claim.body);
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
