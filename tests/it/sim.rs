//! The seeded simulation: the same seed is the same story, and no seed is against an invariant.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use shiftbell::core::time::Span;
use shiftbell::sim;

/// So many seeds in every run of the tests.
const SEEDS: u64 = 200;

#[test]
fn no_seed_is_against_an_invariant() {
    let (next, failed) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS {
                        return;
                    }
                    let run = sim::run(seed, Span::from_minutes(sim::MINUTES)).expect("a land that is right");
                    if run.failed() {
                        failed.lock().expect("no test died holding it").push((seed, run.story()));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no test died holding it");
    let commands: Vec<String> = failed
        .iter()
        .map(|(seed, story)| {
            format!("shiftbell sim --from {seed} --seeds 1 --minutes {}\n{story}", sim::MINUTES)
        })
        .collect();
    assert!(failed.is_empty(), "{} of {SEEDS} seeds failed:\n{}", failed.len(), commands.join("\n"));
}

#[test]
fn the_same_seed_is_the_same_story_to_the_byte() {
    for seed in [3, 11, 24] {
        let story = || sim::run(seed, Span::from_minutes(60)).expect("a land that is right").trace.text();
        let (one, two) = (story(), story());
        assert!(one.lines().count() > 100, "seed {seed} tells next to nothing");
        assert!(one == two, "seed {seed} tells two stories");
    }
}
