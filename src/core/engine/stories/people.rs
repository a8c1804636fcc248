//! What people do: links, acts that repeat, acts they may not do.

use super::world::Plan;
use crate::core::alerting::{Act, Done, Refusal, Response};
use crate::core::ids::Id;
use crate::core::time::Span;

fn response(person: &str, n: u8, act: Act, episode: Option<u32>) -> Response {
    Response {
        inbox: Id::from_bytes([n; 16]),
        person: person.into(),
        via: "link".into(),
        act,
        episode,
        from: Some("10.0.*.*".to_owned()),
    }
}

#[test]
fn s37_links_are_pressed_again_forwarded_and_old() {
    let mut world = Plan::default().at("10:00");
    world.observe(
        "ticket",
        "T1",
        &[("customer_message", "m1", "10:00:00")],
        &[("assignee", "acc-小林".into())],
    );
    world.at("10:20:40");
    let id = world.incident("T1").id;
    let ack = Act::Ack { incidents: vec![id] };
    // A link made at level 1 still acks at level 2.
    world.at("10:26");
    let first = world.respond(&response("lin", 101, ack.clone(), Some(1))).expect("lin may");
    assert!(matches!(first.done[..], [Done::Acked { .. }]) && !first.repeated);
    assert_eq!(world.state("T1"), "acked L2");
    // Pressed again: the same answer, and nothing changes (I11).
    let before = world.incident("T1");
    let audit = world.audit.len();
    let again = world.respond(&response("lin", 101, ack.clone(), Some(1))).expect("the same answer");
    assert!(again.repeated);
    assert_eq!(again.done, first.done);
    assert_eq!((world.incident("T1"), world.audit.len()), (before, audit));
    // Somebody else: told who has it (RS3).
    let other = world.respond(&response("min", 102, ack.clone(), Some(1))).expect("an answer");
    assert!(matches!(&other.done[..], [Done::HasOwner { person, .. }] if &**person == "lin"));
    // Of another episode: refused.
    let old = world.respond(&response("lin", 103, ack.clone(), Some(2)));
    assert!(matches!(old, Err(Refusal::OtherEpisode { of: 2, now: 1, .. })), "{old:?}");
    // Over: harmless (RS2).
    world.observe("ticket", "T1", &[("agent_reply", "r1", "10:25:50")], &[]);
    let over = world.respond(&response("lin", 104, ack, Some(1))).expect("an answer");
    assert_eq!(over.done, [Done::AlreadyResolved { incident: id }]);
    // And after a restart the repeat is still a repeat.
    world.restart(&Plan::default(), "10:27");
    let again = world.respond(&response("lin", 101, Act::Ack { incidents: vec![id] }, Some(1)));
    assert!(again.expect("the same answer").repeated);
}

#[test]
fn who_may_do_what() {
    let mut world = Plan::default().at("10:00");
    world.observe("ticket", "T1", &[("customer_message", "m1", "10:00:00")], &[]);
    world.at("10:20:40");
    let id = world.incident("T1").id;
    let refused = |answer: &Result<_, Refusal>| matches!(answer, Err(Refusal::NotEntitled { .. }));
    assert!(refused(&world.ack("chen", id)), "off shift");
    assert!(matches!(world.ack("nobody", id), Err(Refusal::Unknown(_))));
    assert!(matches!(world.ack("lin", Id::from_bytes([9; 16])), Err(Refusal::NoSuchIncident(_))));
    assert!(matches!(world.act("lin", Act::Release { incident: id }), Err(Refusal::WrongStatus(_))));
    let silence = |minutes| {
        Act::Silence(crate::core::alerting::SilenceRequest {
            matchers: [("family".into(), vec!["ticket.reply".into()])].into(),
            reason: "维护".to_owned(),
            span: Span::from_minutes(minutes),
            covers_vip: false,
        })
    };
    assert!(refused(&world.act("lin", silence(10))), "a handler may not silence");
    assert!(
        matches!(world.act("min", silence(121)), Err(Refusal::OutOfBounds { .. })),
        "a senior for two hours"
    );
    assert!(
        matches!(world.act("zhou", silence(721)), Err(Refusal::OutOfBounds { .. })),
        "a manager for twelve"
    );
    // A handler's snooze is half of a senior's.
    let answer =
        world.act("lin", Act::Snooze { incident: id, span: Span::from_minutes(500) }).expect("lin may");
    assert!(
        matches!(answer.done[..], [Done::Snoozed { cut: true, until, .. }] if until == world.now + Span::from_minutes(60))
    );
    world.act("lin", Act::Release { incident: id }).expect("lin may take it back");
    assert_eq!(world.state("T1"), "open L1");
    let answer = world.act("lin", Act::Escalate { incident: id, reason: None }).expect("lin may");
    assert_eq!(answer.done, [Done::Escalated { incident: id, level: 2 }]);
    assert_eq!(world.rules(id), "R1 R3 R13 R27 R16");
}
