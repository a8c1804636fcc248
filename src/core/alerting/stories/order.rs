//! What goes together, and what goes first: groups, steps, budgets.

use super::{P0, P1, P2, P3};
use crate::core::alerting::Room;
use crate::core::alerting::incidents::How;
use crate::core::alerting::samples::{Does, Plain, World};
use crate::core::alerting::transitions::Event;
use crate::core::duty::Person;
use crate::core::model::{Cause, MessageState, NoticeState, Outcome, OutcomeClass, Purpose};
use crate::core::time::Span;

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
