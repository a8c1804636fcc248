//! A naive model of `sla_semantics` §4–§9, and the engine held against it.
//!
//! The model is written from the text of the specification, not from the engine: it lets time pass in quarters of a
//! minute, keeps one clock on one case, and looks at every quarter whether time is open and running, whether the promise
//! is used up (K21), and which rings are reached (§7). It knows nothing of segments, prefix sums or wake-ups. Everything
//! that happens lies on whole minutes, so every percentage lies on a quarter. Which reading it takes where the text
//! leaves room is told at the door of `model.rs`.
//!
//! Stories are random: a clock of random terms, and a handful of observations of one ticket in three days. Where the
//! model and the engine disagree, one of them is mended; neither may decide by chance, so ties are settled in the model.
//! `PROPTEST_CASES` above 256 asks for that many of each.

mod cycle;
mod drive;
mod model;
mod preview;
mod random;
mod story;
mod terms;
mod ticks;

use proptest::prelude::*;

use drive::Driven;
use model::Model;
use random::{apart, cases, epochs, onward_epochs, punctual, ragged, spec, version, when};
use story::{Facts, Seen};
use terms::{Epoch, Reopen, Spec, first, toml};
use ticks::{END, MINUTE, instant, minute, show};

/// Lets a story happen, with its reloads, to its end. Somebody excuses what is newest at the minute `excused`.
fn live(
    spec: &Spec,
    epochs: &[Epoch],
    story: &[Seen],
    mut excused: Option<i64>,
) -> Result<Driven, TestCaseError> {
    let mut driven = Driven::new(&toml(spec, epochs[0].version.as_ref()));
    let mut reloads = epochs[1..].iter().peekable();
    for seen in story {
        if let Some(at) = excused.take_if(|at| *at < seen.arrival) {
            driven.excuse(at)?;
        }
        while let Some(epoch) = reloads.next_if(|e| e.from <= seen.arrival * MINUTE) {
            driven.reload(spec, epoch)?;
        }
        driven.observe(seen)?;
    }
    for epoch in reloads {
        driven.reload(spec, epoch)?;
    }
    if let Some(at) = excused {
        driven.excuse(at)?;
    }
    driven.advance(minute(END))?;
    Ok(driven)
}

fn all_of(story: &[Seen], excused: Option<i64>) -> Facts {
    let mut facts = Facts::of(&story.iter().collect::<Vec<_>>(), END * MINUTE);
    facts.excused = excused.map(|at| at * MINUTE);
    facts
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn the_engine_agrees_with_the_model_on_what_is_seen_in_time(
        spec in spec(), version in version(), story in punctual(), excused in prop::option::weighted(0.3, when()),
    ) {
        let (epochs, end) = (first(version), END * MINUTE);
        let text = toml(&spec, epochs[0].version.as_ref());
        let driven = live(&spec, &epochs, &story, excused)?;
        let facts = all_of(&story, excused);
        let model = Model::run(&spec, &epochs, &facts, end);
        prop_assert_eq!(model.outcomes(end), driven.outcomes(instant(end)), "left: model\n{}", text);
        prop_assert_eq!(model.crossings(end), driven.crossings(instant(end)), "left: model\n{}", text);
        driven.check_rings()?;
        // What goes by the wall may fall due while the cycle stands ended, and be told when it goes on. Everything else
        // is recorded at its own instant.
        for crossing in driven.log.iter().flat_map(|c| &c.crossings).filter(|_| spec.reopen != Reopen::Continue) {
            prop_assert_eq!(crossing.recorded_at, crossing.at, "W2: {:?}", crossing);
        }
    }

    #[test]
    fn the_engine_agrees_with_the_model_on_what_comes_late(
        spec in spec(), version in version(), story in ragged(), probes in prop::collection::vec(0..END, 3),
    ) {
        let text = toml(&spec, Some(&version));
        let epochs = first(version);
        let mut probes = probes;
        probes.push(END);
        probes.sort_unstable();
        let mut live = Driven::new(&text);
        let mut rest = story.iter().peekable();
        let mut known = Vec::new();
        for probe in probes {
            while let Some(seen) = rest.next_if(|s| s.arrival <= probe) {
                live.observe(seen)?;
                known.push(seen);
            }
            let now = probe * MINUTE;
            live.advance(instant(now))?;
            let facts = Facts::of(&known, now);
            let model = Model::run(&spec, &epochs, &facts, now);
            prop_assert_eq!(model.outcomes(now), live.outcomes(instant(now)), "at {}, left: model\n{}", show(now), text);
            live.check_told(instant(now))?;
            let mut at_once = Driven::new(&text);
            for seen in known.iter().rev() {
                at_once.engine.observe(&seen.observation(), instant(now));
            }
            at_once.engine.advance(instant(now));
            prop_assert_eq!(live.outcomes(instant(now)), at_once.outcomes(instant(now)), "left: live\n{}", text);
        }
        live.check_rings()?;
    }

    #[test]
    fn the_engine_agrees_with_the_model_on_reloads(spec in spec(), epochs in epochs(), story in ragged()) {
        let end = END * MINUTE;
        let driven = live(&spec, &epochs, &story, None)?;
        let facts = all_of(&story, None);
        let model = Model::run(&spec, &epochs, &facts, end);
        prop_assert_eq!(model.outcomes(end), driven.outcomes(instant(end)), "left: model");
        driven.check_told(instant(end))?;
        driven.check_rings()?;
    }

    /// What a reload leaves of the past was told as it was: so its rings can be compared, too (H9, R4, P3, P4).
    #[test]
    fn the_engine_agrees_with_the_model_on_the_rings_of_reloads_from_now(
        spec in spec(), epochs in onward_epochs(), story in punctual(),
    ) {
        let epochs = apart(epochs, &story);
        let end = END * MINUTE;
        let driven = live(&spec, &epochs, &story, None)?;
        let facts = all_of(&story, None);
        let model = Model::run(&spec, &epochs, &facts, end);
        prop_assert_eq!(model.outcomes(end), driven.outcomes(instant(end)), "left: model");
        prop_assert_eq!(model.crossings(end), driven.crossings(instant(end)), "left: model");
        driven.check_rings()?;
    }
}
