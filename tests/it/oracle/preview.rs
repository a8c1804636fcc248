//! R3: what a reload would do, told before, is what it does.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shiftbell::core::clock::State;
use shiftbell::core::engine::{CaseKey, Command, CycleId, Move, ReloadDifference};
use shiftbell::core::time::Instant;

use super::drive::{Driven, policy};
use super::random::{cases, epochs, ragged, spec};
use super::story::Seen;
use super::terms::toml;
use super::ticks::{MINUTE, instant};

type Cycles = BTreeMap<(CaseKey, String, u64), (State, Option<Instant>)>;

fn cycles(driven: &Driven, now: Instant) -> Cycles {
    let engine = &driven.engine;
    let of_case = |view: shiftbell::core::engine::CaseView<'_>| -> Vec<_> {
        let key = view.key();
        let clock = |c| engine.symbols().name(c).to_string();
        view.cycles(now).iter().map(|c| ((key.clone(), clock(c.clock), c.key), (c.state, c.due))).collect()
    };
    engine.views().flat_map(of_case).collect()
}

/// What differs, counted by hand.
fn difference(before: &Cycles, after: &Cycles) -> ReloadDifference {
    let mut difference = ReloadDifference::default();
    for ((case, clock, key), (state, due)) in after {
        let old = before.get(&(case.clone(), clock.clone(), *key));
        let was_open = old.is_some_and(|(state, _)| state.is_open());
        if !was_open && !state.is_open() {
            continue;
        }
        let counts = difference.clocks.entry(clock.as_str().into()).or_default();
        counts.open += 1;
        counts.begun += usize::from(old.is_none());
        let was_overdue = old.is_some_and(|(state, _)| *state == State::Overdue);
        counts.overdue += usize::from(!was_overdue && *state == State::Overdue);
        counts.relieved += usize::from(was_overdue && state.is_open() && *state != State::Overdue);
        counts.cancelled += usize::from(was_open && *state == State::Cancelled);
        if let (Some(from), Some(to)) = (old.and_then(|(_, due)| *due), *due) {
            counts.earlier += usize::from(to < from);
            counts.later += usize::from(to > from);
            if from != to {
                let cycle = CycleId { case: case.clone(), clock: clock.as_str().into(), key: *key };
                difference.largest.push(Move { cycle, from, to });
            }
        }
    }
    difference.largest.sort_by(|a, b| b.distance().cmp(&a.distance()).then_with(|| a.cycle.cmp(&b.cycle)));
    difference.largest.truncate(10);
    difference
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn what_is_told_of_a_reload_before_it_is_what_it_does(
        spec in spec(), epochs in epochs(), stories in prop::collection::vec(ragged(), 1..25),
    ) {
        let mut driven = Driven::new(&toml(&spec, epochs[0].version.as_ref()));
        let mut all: Vec<(String, &Seen)> = stories
            .iter()
            .enumerate()
            .flat_map(|(i, story)| story.iter().map(move |seen| (format!("T{i}"), seen)))
            .collect();
        all.sort_by_key(|(_, seen)| seen.arrival);
        let mut all = all.into_iter().peekable();
        for epoch in &epochs[1..] {
            let now = instant(epoch.from);
            while let Some((id, seen)) = all.next_if(|(_, seen)| seen.arrival * MINUTE <= epoch.from) {
                let changes = driven.engine.observe(&seen.observation_of(&id), instant(seen.arrival * MINUTE));
                driven.log.push(changes);
            }
            driven.engine.advance(now);
            let before = cycles(&driven, now);
            let policy = policy(&toml(&spec, epoch.version.as_ref()));
            let since = epoch.since.map(instant);
            let told = driven.engine.preview_reload(&policy, epoch.mode, since, now).expect("it is right");
            prop_assert_eq!(&cycles(&driven, now), &before, "R3: nothing is applied");
            let command = Command::Reload { policy: Box::new(policy), mode: epoch.mode, since };
            driven.engine.command(&command, now).expect("it is right");
            prop_assert_eq!(told, difference(&before, &cycles(&driven, now)), "left: told");
        }
    }
}
