//! Channels, messages and stores in trouble: breakers, poison, removed lanes, refused commits.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{P0, P1, P2, receipt};
use crate::core::alerting::outbox::Pointless;
use crate::core::alerting::samples::{Does, Plain, Sent, World};
use crate::core::alerting::{Letter, RenderFault, Renderer, Room};
use crate::core::ids::Id;
use crate::core::model::{Body, Cause, MessageState, NoticeState, Outcome, OutcomeClass};
use crate::core::time::Span;

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

/// I50: an attempt under way goes on when its channel is removed; what would be tried again is planned anew instead.
#[test]
fn i50_what_was_under_way_on_a_removed_channel_does_not_wait_for_it() {
    for outcome in [OutcomeClass::Transient, OutcomeClass::Unknown] {
        let mut w = World::new();
        w.next.insert("robot".into(), vec![Does::Void]);
        let i = w.incident("ticket.reply");
        let n = w.plan(i, P0, "min", &[&["robot"], &["app"]]);
        w.secs(1);
        w.setup.channels.remove("robot");
        w.setup.revision += 1;
        w.alerting.reconfigure(w.setup.clone(), &Default::default(), w.now);
        let message = w.messages(n, "robot")[0].id;
        assert_eq!(w.states(n, "robot"), [MessageState::Inflight], "it goes on");
        w.alerting.outcome(message, 1, Outcome::of(outcome), w.now);
        assert_eq!(w.states(n, "robot"), [MessageState::Superseded], "{outcome:?}");
        assert_eq!(w.messages(n, "robot")[0].cause, Some(Cause::LaneRemoved));
        w.secs(1);
        assert_eq!(w.state(n), NoticeState::AcceptedFinal, "by the next lane, at once");
    }
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
