//! The seeded simulation: the same seed is the same story, and no seed is against an invariant.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use shiftbell::core::time::Span;
use shiftbell::sim;
use shiftbell::store::{SqliteOptions, SqliteStore};

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

/// The same worlds over the store of one node: what it brings back after every death is what was kept.
#[test]
fn over_the_real_store_it_is_the_same_story() {
    const MINUTES: i64 = 20;
    for seed in 1..=10 {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("sim.db"), SqliteOptions::default());
        let store = Arc::new(store.expect("a store"));
        let run = sim::run_on(seed, Span::from_minutes(MINUTES), store).expect("a land that is right");
        assert!(!run.failed(), "seed {seed} over SQLite:\n{}", run.story());
        let memory = sim::run(seed, Span::from_minutes(MINUTES)).expect("a land that is right");
        assert!(run.trace.text() == memory.trace.text(), "seed {seed} is another story over SQLite");
    }
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
