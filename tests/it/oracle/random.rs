//! Random terms and stories.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use shiftbell::core::clock::ReloadMode;

use super::story::{ATTRIBUTES, Said, Seen, is_single};
use super::terms::{Edit, Epoch, Named, Pick, Promise, Reopen, Spec, Version, When, first};
use super::ticks::{DAY, MINUTE, STORY};

/// So many, the same ones in every run, so that a failure is the doing of a change and not of chance.
/// `PROPTEST_CASES` asks for more, drawn anew each time.
pub fn cases(least: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    let (cases, rng_seed) = match config.cases {
        more @ 257.. => (more, config.rng_seed),
        _ => (least, RngSeed::Fixed(20_260_302)),
    };
    ProptestConfig { cases, rng_seed, failure_persistence: None, max_shrink_iters: 4_000, ..config }
}

fn named() -> impl Strategy<Value = Named> {
    prop::sample::select(vec![Named::Always, Named::Daily, Named::Daily, Named::Office, Named::Night])
}

fn edit() -> impl Strategy<Value = Edit> {
    prop::sample::select(vec![Edit::None, Edit::None, Edit::Longer, Edit::Shorter, Edit::Closed])
}

fn minutes() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![20i64, 40, 60, 120, 240, 600, 1_440])
}

fn least() -> impl Strategy<Value = Option<i64>> {
    prop::option::weighted(0.3, prop::sample::select(vec![15i64, 60, 180]))
}

fn target_version() -> impl Strategy<Value = Version> {
    let vip = prop::option::of((named(), prop::option::of(prop::sample::select(vec![15i64, 60, 180]))));
    (minutes(), named(), edit(), least(), prop::option::of(minutes()), vip, any::<bool>()).prop_map(
        |(target, hours, edit, least, urgent, vip, rare)| {
            let before = if target >= 60 { "1h before" } else { "10m before" };
            let mut rings = vec!["25%", "75%", before, "due", "15m after"];
            if rare {
                rings = vec!["50%", "1h before wall", "due", "30m after wall"];
            }
            let urgent = urgent.map(Promise::Target);
            Version { promise: Promise::Target(target), hours, edit, least, urgent, vip, rings }
        },
    )
}

fn by_version() -> impl Strategy<Value = Version> {
    let minute = || prop::sample::select(vec![10 * 60i64, 12 * 60, 17 * 60 + 30]);
    // The zone of `always` is UTC: its 12:00 is another. Nothing of the night works at these times.
    let hours = prop::sample::select(vec![Named::Daily, Named::Office]);
    (minute(), any::<bool>(), hours, edit(), prop::option::of(minute())).prop_map(
        |(minute, extends, hours, edit, urgent)| Version {
            promise: Promise::By(minute, extends),
            hours,
            edit,
            least: None,
            urgent: urgent.map(|m| Promise::By(m, extends)),
            vip: None,
            rings: vec!["50%", "10m before", "due", "15m after"],
        },
    )
}

fn deadline_version() -> impl Strategy<Value = Version> {
    (prop::option::of(minutes()), named(), edit(), prop::option::of(minutes())).prop_map(
        |(target, hours, edit, urgent)| Version {
            promise: Promise::Deadline(target),
            hours,
            edit,
            least: None,
            urgent: urgent.filter(|_| target.is_some()).map(Promise::Target),
            vip: None,
            // No shares: one of a deadline that is told of after it would have rung is rung elsewhere.
            rings: vec!["due", "30m after wall"],
        },
    )
}

fn every_version() -> impl Strategy<Value = Version> {
    let days = prop::sample::select(vec![1i64, 1, 2, 3, 7]);
    let vip = prop::option::of((named(), Just(None)));
    (days, named(), edit(), prop::option::of(minutes()), vip).prop_map(|(days, hours, edit, urgent, vip)| {
        Version {
            promise: Promise::Every(days),
            hours,
            edit,
            least: None,
            urgent: urgent.map(Promise::Target),
            vip,
            rings: vec!["25%", "1h before wall", "due", "15m after"],
        }
    })
}

pub fn version() -> impl Strategy<Value = Version> {
    prop_oneof![6 => target_version(), 2 => by_version(), 2 => deadline_version(), 2 => every_version()]
}

pub fn spec() -> impl Strategy<Value = Spec> {
    let rare = || prop::bool::weighted(0.25);
    let shape = (
        prop::sample::select(vec![Pick::First, Pick::Oldest, Pick::Oldest, Pick::Last]),
        prop::sample::select(vec![Reopen::Continue, Reopen::Continue, Reopen::NewCycle, Reopen::Ignore]),
        prop::option::of(prop::sample::select(vec![60i64, 600])),
        prop::option::of(minutes()),
        prop::sample::select(vec![When::Any, When::Any, When::NotLow, When::Shops]),
    );
    let switches = (rare(), any::<bool>(), rare(), rare(), any::<bool>(), rare(), rare(), rare(), rare());
    (shape, switches).prop_map(|(shape, switches)| {
        let (pick, reopen, within, reopen_target, when) = shape;
        let (restart, pause, mismatch, removal, reset, closed, fin, stop_when, cancel_when) = switches;
        Spec {
            pick,
            reopen,
            within,
            reopen_target,
            restart,
            pause,
            when,
            cancel_on_mismatch: mismatch,
            cancel_on_removal: removal,
            reset,
            closed,
            fin,
            stop_when,
            cancel_when,
        }
    })
}

fn attributes() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    prop::collection::vec(prop::sample::select(ATTRIBUTES), 0..3).prop_map(|list| {
        let mut names = BTreeSet::new();
        list.into_iter().filter(|(name, _)| names.insert(*name)).collect()
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "customer_message",
        "customer_message",
        "customer_message",
        "agent_reply",
        "agent_reply",
        "reopened",
        "assigned",
        "resolved",
        "merged",
        "closed",
        "answer_by",
    ])
}

/// Minutes at which things like to happen at once, and others.
pub fn when() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => 0..STORY,
        3 => (0i64..3, prop::sample::select(vec![540i64, 550, 560, 600, 660, 720, 780, 1_080, 1_200, 1_250, 1_260]))
            .prop_map(|(day, minute)| day * DAY + minute),
        // Soon after 10:00 on Monday.
        3 => (0i64..40).prop_map(|n| 600 + n * 10),
    ]
}

/// Everything is seen when it happens, or a little ahead; nothing is corrected.
pub fn punctual() -> impl Strategy<Value = Vec<Seen>> {
    let ahead = prop_oneof![4 => Just(0i64), 1 => 0i64..60];
    let mark = (name(), ahead, 0i64..2_000);
    let seen = (when(), prop::collection::vec(mark, 0..3), attributes());
    prop::collection::vec(seen, 1..12).prop_map(|list| {
        let mut list: Vec<Seen> = list
            .into_iter()
            .map(|(as_of, marks, attributes)| Seen {
                as_of,
                arrival: as_of,
                revision: 0,
                marks: marks
                    .into_iter()
                    .map(|(name, ahead, deadline)| {
                        let at = as_of + if name == "answer_by" { deadline } else { ahead };
                        Said { name, reference: None, at, removed: false }
                    })
                    .collect(),
                attributes,
            })
            .collect();
        list.sort_by_key(|s| s.as_of);
        let (mut once, mut values) = (BTreeSet::new(), BTreeSet::new());
        for (i, seen) in list.iter_mut().enumerate() {
            let as_of = seen.as_of;
            seen.marks.retain(|m| !is_single(m.name) || once.insert(m.name));
            seen.attributes.retain(|(name, _)| values.insert((*name, as_of)));
            for (j, mark) in seen.marks.iter_mut().enumerate() {
                if !is_single(mark.name) && mark.name != "answer_by" {
                    mark.reference = Some((i * 4 + j) as u8);
                }
            }
        }
        list
    })
}

/// Late, early, corrected, removed, out of order, now and then dated ahead.
pub fn ragged() -> impl Strategy<Value = Vec<Seen>> {
    let mark = (name(), prop::option::of(0u8..4), -400i64..60, 0i64..2_000, prop::bool::weighted(0.06));
    let late = prop_oneof![6 => Just(0i64), 3 => 0i64..900, 1 => -300i64..0];
    let seen = (when(), late, 0i64..3, prop::collection::vec(mark, 0..3), attributes());
    prop::collection::vec(seen, 1..12).prop_map(|list| {
        let mut list: Vec<Seen> = list
            .into_iter()
            .map(|(as_of, late, revision, marks, attributes)| Seen {
                as_of,
                arrival: (as_of + late).max(0),
                revision,
                marks: marks
                    .into_iter()
                    .map(|(name, reference, ago, deadline, removed)| {
                        let at = as_of + if name == "answer_by" { deadline } else { ago };
                        Said { name, reference, at: at.max(0), removed }
                    })
                    .collect(),
                attributes,
            })
            .collect();
        list.sort_by_key(|s| s.arrival);
        list
    })
}

/// The first version, and what reloads bring: all of `every`, or none.
fn versions(of_lengths: BoxedStrategy<Version>) -> impl Strategy<Value = Vec<Version>> {
    prop_oneof![
        6 => prop::collection::vec(of_lengths, 4),
        1 => prop::collection::vec(every_version(), 4),
    ]
}

/// Reloads in their order. The clock may come with one of them, and may go with the last.
fn epochs_in(
    modes: Vec<ReloadMode>,
    of_lengths: BoxedStrategy<Version>,
) -> impl Strategy<Value = Vec<Epoch>> {
    let mode = prop::sample::select(modes);
    let reload = (when(), mode, prop::option::of(0i64..1_500), prop::bool::weighted(0.2));
    let comes_and_goes = (prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (versions(of_lengths), prop::collection::vec(reload, 1..4), comes_and_goes).prop_map(
        |(versions, mut reloads, (comes, goes))| {
            let mut versions = versions.into_iter();
            let mut epochs = first(versions.next().expect("four"));
            reloads.sort_by_key(|r| r.0);
            reloads.dedup_by_key(|r| r.0);
            for ((from, mode, ago, again), version) in reloads.into_iter().zip(versions) {
                let since = ago.map(|ago| (from - ago) * MINUTE).filter(|_| mode.reaches_back());
                // Now and then the same policy again, in another mode.
                let version =
                    epochs.last().and_then(|e| e.version.clone()).filter(|_| again).unwrap_or(version);
                epochs.push(Epoch { from: from * MINUTE, mode, since, version: Some(version) });
            }
            if comes {
                epochs[0].version = None;
            }
            if let (true, Some(last)) = (goes && epochs.len() > 2, epochs.last_mut()) {
                last.version = None;
            }
            epochs
        },
    )
}

pub fn epochs() -> impl Strategy<Value = Vec<Epoch>> {
    let all = [ReloadMode::FromNow, ReloadMode::Retroactive, ReloadMode::Rejudge, ReloadMode::NewOnly];
    let lengths = prop_oneof![4 => target_version(), 1 => by_version(), 1 => deadline_version()];
    epochs_in(all.to_vec(), lengths.boxed())
}

/// Reloads that leave the past as it was, and no deadlines, which do not.
pub fn onward_epochs() -> impl Strategy<Value = Vec<Epoch>> {
    epochs_in(vec![ReloadMode::FromNow], prop_oneof![4 => target_version(), 1 => by_version()].boxed())
}

/// The same reloads at instants at which nothing else happens. Of what comes at one instant a reload counts first, and
/// what it rings may be taken back a moment later: whose turn was first is then in the log, but not in what is known.
pub fn apart(mut epochs: Vec<Epoch>, story: &[Seen]) -> Vec<Epoch> {
    let marks = story.iter().flat_map(|s| s.marks.iter().map(|m| m.at));
    let taken: BTreeSet<i64> = story.iter().map(|s| s.as_of).chain(marks).map(|m| m * MINUTE).collect();
    let mut last = 0;
    for epoch in &mut epochs[1..] {
        epoch.from = (epoch.from.max(last + MINUTE)..)
            .step_by(MINUTE as usize)
            .find(|t| !taken.contains(t))
            .expect("one");
        last = epoch.from;
    }
    epochs
}
