//! Laws of the outbox over random sequences of plans, answers, receipts, acts and restarts (I8, I10, I23, I28, I47).

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::outbox::is_waiting;
use super::samples::{Does, World, statement};
use crate::core::alerting::incidents::How;
use crate::core::alerting::outbox::Pointless;
use crate::core::alerting::transitions::Event;
use crate::core::ids::Id;
use crate::core::model::{Cause, Class, MessageState, NoticeState, Outcome, OutcomeClass, StatementKind};
use crate::core::time::Span;

const CHANNELS: [&str; 7] = ["app", "content", "robot", "sms", "voice", "mail", "hook"];
const PEOPLE: [&str; 3] = ["lin", "min", "zhou"];

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    Plan { class: Class, person: usize, waves: Vec<Vec<usize>>, family: bool },
    Channel { channel: usize, does: Does },
    Pass(i64),
    Receipt { sent: usize, what: StatementKind },
    Ack { incident: usize },
    Resolve { incident: usize },
    Restart,
    Crash(i64),
}

fn does() -> impl Strategy<Value = Does> {
    let class = proptest::sample::select(OutcomeClass::ALL.to_vec());
    prop_oneof![
        4 => Just(Does::Answer(Outcome::of(OutcomeClass::Accepted))),
        4 => (class, proptest::option::of(1_i64..900)).prop_map(|(class, wait)| {
            Does::Answer(Outcome { wait: wait.map(Span::from_secs), ..Outcome::of(class) })
        }),
        2 => (1_i64..200).prop_map(|s| Does::Receipt(StatementKind::Delivered, Span::from_secs(s))),
        2 => (1_i64..200).prop_map(|s| Does::Receipt(StatementKind::Negative, Span::from_secs(s))),
        2 => Just(Does::Silence),
        1 => Just(Does::Void),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let class = proptest::sample::select(Class::ALL.to_vec());
    let what = proptest::sample::select(vec![
        StatementKind::NotFound,
        StatementKind::Accepted,
        StatementKind::Negative,
        StatementKind::Delivered,
    ]);
    let waves = proptest::collection::vec(proptest::collection::vec(0..CHANNELS.len(), 1..3), 1..4);
    prop_oneof![
        6 => (class, 0..PEOPLE.len(), waves, any::<bool>())
            .prop_map(|(class, person, waves, family)| Happening::Plan { class, person, waves, family }),
        3 => (0..CHANNELS.len(), does()).prop_map(|(channel, does)| Happening::Channel { channel, does }),
        6 => (0_i64..120).prop_map(Happening::Pass),
        1 => (900_i64..9_000).prop_map(Happening::Pass),
        3 => (any::<prop::sample::Index>(), what)
            .prop_map(|(sent, what)| Happening::Receipt { sent: sent.index(1_000), what }),
        1 => (0_usize..100).prop_map(|incident| Happening::Ack { incident }),
        1 => (0_usize..100).prop_map(|incident| Happening::Resolve { incident }),
        1 => Just(Happening::Restart),
        1 => (0_i64..30).prop_map(Happening::Crash),
    ]
}

fn happen(w: &mut World, incidents: &mut Vec<Id>, happening: Happening) -> Result<(), TestCaseError> {
    match happening {
        Happening::Plan { class, person, waves, family } => {
            let i = w.incident(if family { "ticket.reply" } else { "parcel.stalled" });
            incidents.push(i);
            let waves: Vec<Vec<&str>> =
                waves.iter().map(|wave| wave.iter().map(|c| CHANNELS[*c]).collect()).collect();
            let waves: Vec<&[&str]> = waves.iter().map(Vec::as_slice).collect();
            w.plan(i, class, PEOPLE[person], &waves);
        }
        Happening::Channel { channel, does } => w.let_channel(CHANNELS[channel], does),
        Happening::Pass(secs) => w.secs(secs),
        Happening::Receipt { sent, what } => {
            if w.sent.is_empty() {
                return Ok(());
            }
            let claim = w.sent[sent % w.sent.len()].claim.clone();
            let statement = statement(&claim, what, w.now);
            w.tell(&statement);
            // I10: the same statement again changes nothing.
            let before = w.kept();
            w.tell(&statement);
            prop_assert_eq!(before, w.kept());
        }
        Happening::Ack { incident } => {
            if let Some(i) = incidents.get(incident) {
                w.alerting.supersede(*i, &Pointless::All, Cause::Acked);
            }
        }
        Happening::Resolve { incident } => {
            if let Some(i) = incidents.get(incident) {
                w.alerting.close(*i, Event::Cleared, &How::system(None));
            }
        }
        Happening::Restart => {
            // A restart with nothing under way changes nothing but what was under way.
            w.step();
            w.commit();
            let before = w.kept();
            let under_way = w.alerting.under_way();
            w.crash(Span::ZERO);
            if under_way == 0 {
                let after = w.kept();
                prop_assert_eq!(&before.0, &after.0, "incidents");
                prop_assert_eq!(&before.1, &after.1, "notices");
                prop_assert_eq!(&before.2, &after.2, "messages");
                prop_assert_eq!(before.3.open, after.3.open);
            }
        }
        Happening::Crash(secs) => {
            w.commit();
            w.crash(Span::from_secs(secs));
        }
    }
    check(w)
}

/// What holds after every step.
fn check(w: &World) -> Result<(), TestCaseError> {
    let alerting = &w.alerting;
    // I47.
    prop_assert!(alerting.conservation().holds(), "{:?}", alerting.conservation());
    let open = alerting.notices.values().filter(|n| n.state == NoticeState::Open).count();
    prop_assert_eq!(alerting.conservation().open, open as u64);
    for message in alerting.messages.values() {
        // I4: an end without success has a cause.
        let quiet = matches!(message.state, MessageState::Delivered | MessageState::AcceptedFinal);
        prop_assert_eq!(message.state.is_terminal() && !quiet, message.cause.is_some(), "{:?}", message);
        // Whatever waits is somewhere.
        let queued = alerting.outbox.queues.values().any(|q| q.contains(message.id));
        let held = alerting.outbox.groups.values().any(|g| *g == message.id);
        let behind = alerting.outbox.behind.values().any(|b| b.contains(&message.id));
        match message.state {
            MessageState::Ready => prop_assert!(queued, "{:?}", message),
            MessageState::Deferred => prop_assert!(queued != behind, "{:?}", message),
            MessageState::Held => prop_assert!(message.wake_at.is_some() || held, "{:?}", message),
            _ => prop_assert!(!queued && !held, "{:?}", message),
        }
        // An open notice is never left without something ahead; a waiting message serves somebody.
        if is_waiting(message.state) {
            prop_assert!(!message.notices.is_empty());
        }
    }
    for notice in alerting.notices.values().filter(|n| n.state == NoticeState::Open) {
        let live = alerting.live_messages(notice.id).next().is_some();
        prop_assert!(live || notice.bound_at.is_some() || notice.fallback_at.is_some(), "{:?}", notice);
    }
    Ok(())
}

/// I28, counted from what left: no lane ever gets more than its limits.
fn check_budgets(w: &World) -> Result<(), TestCaseError> {
    let budget = &w.setup.config.budget;
    for (channel, rates) in [
        ("sms", &budget.sms),
        ("voice", &budget.voice),
        ("robot", &budget.chat_robot),
        ("app", &budget.chat_app),
        ("content", &budget.chat_app),
        ("mail", &budget.email),
    ] {
        let mut lanes: BTreeMap<Id, Vec<_>> = BTreeMap::new();
        for sent in w.sent.iter().filter(|s| *s.claim.to.lane.channel == *channel && !s.not_sent) {
            lanes.entry(sent.claim.to.lane.address).or_default().push(sent.at);
        }
        for times in lanes.values() {
            for rate in rates.iter().filter(|r| r.per < Span::DAY) {
                for (n, first) in times.iter().enumerate() {
                    let inside = times[n..].iter().take_while(|t| **t < *first + rate.per).count();
                    prop_assert!(inside <= rate.count as usize, "{channel}: {inside} in {}", rate.per);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_is_lost(happenings in proptest::collection::vec(happening(), 1..60)) {
        let mut w = World::new();
        let mut incidents = Vec::new();
        for happening in happenings {
            happen(&mut w, &mut incidents, happening)?;
        }
        check_budgets(&w)?;
        // I2, and the derived liveness: in the end every notice is settled.
        for channel in CHANNELS {
            w.answers(channel, OutcomeClass::Accepted);
        }
        w.secs(10 * 3600);
        check(&w)?;
        check_budgets(&w)?;
        for notice in w.alerting.notices.values() {
            prop_assert!(notice.state != NoticeState::Open, "{:?}", notice);
        }
        for message in w.alerting.messages.values() {
            prop_assert!(message.state.is_terminal(), "{:?}", message);
        }
        // I29: what was told of one incident on one lane was told in the order of its steps. Keys never change hands.
        let mut keys: BTreeMap<String, Id> = BTreeMap::new();
        for sent in &w.sent {
            let known = keys.entry(sent.claim.key.clone()).or_insert(sent.claim.message);
            prop_assert_eq!(*known, sent.claim.message);
        }
        // I35: an attempt number is claimed once.
        let numbers: BTreeSet<(Id, u32)> = w.sent.iter().map(|s| (s.claim.message, s.claim.attempt)).collect();
        prop_assert_eq!(numbers.len(), w.sent.len());
    }

    /// I9: the same happenings give the same messages, to the byte.
    #[test]
    fn the_same_happenings_give_the_same_messages(happenings in proptest::collection::vec(happening(), 1..30)) {
        let run = |happenings: Vec<Happening>| -> Result<_, TestCaseError> {
            let mut w = World::new();
            let mut incidents = Vec::new();
            for happening in happenings {
                happen(&mut w, &mut incidents, happening)?;
            }
            let sent: Vec<String> = w.sent.iter().map(|s| format!("{:?}", s.claim)).collect();
            Ok((sent, w.kept(), w.audit))
        };
        prop_assert_eq!(run(happenings.clone())?, run(happenings)?);
    }
}
