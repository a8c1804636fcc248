//! What the engine costs: taking in an observation, deriving a case, waking a case, saving and loading a desk.
//!
//! Compared in the same run with the least that any system must do: a map insert keyed by the case's name.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use shiftbell::core::calendar::Era;
use shiftbell::core::engine::{Engine, Snapshot};
use shiftbell::core::time::Span;

mod common;

const CASES: u64 = 20_000;

fn tickets() -> Vec<shiftbell::core::model::Observation<'static>> {
    (0..CASES).map(|n| common::ticket(n, common::opened(n, CASES))).collect()
}

fn filled() -> Engine {
    let mut engine = common::engine(common::POLICY);
    for ticket in tickets() {
        engine.observe(&ticket, common::ten());
    }
    engine
}

fn observe(c: &mut Criterion) {
    let mut group = c.benchmark_group("observe");
    group.throughput(Throughput::Elements(CASES)).sample_size(20);
    let tickets = tickets();
    group.bench_function("new tickets", |b| {
        b.iter_batched(
            || common::engine(common::POLICY),
            |mut engine| {
                for ticket in &tickets {
                    black_box(engine.observe(ticket, common::ten()));
                }
                engine
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("the same tickets again", |b| {
        b.iter_batched(
            filled,
            |mut engine| {
                for ticket in &tickets {
                    black_box(engine.observe(ticket, common::ten()));
                }
                engine
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("yardstick: a map insert and copy of the same tickets", |b| {
        b.iter_batched(
            BTreeMap::new,
            |mut map| {
                for ticket in &tickets {
                    map.insert((ticket.source.to_string(), ticket.id.to_string()), ticket.clone());
                }
                map
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn advance(c: &mut Criterion) {
    let mut group = c.benchmark_group("advance");
    group.sample_size(20);
    group.bench_function("a day over 20,000 tickets", |b| {
        b.iter_batched(
            filled,
            |mut engine| {
                black_box(engine.advance(common::ten() + Span::DAY));
                engine
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("nothing due", |b| {
        let mut engine = filled();
        engine.advance(common::ten());
        b.iter(|| black_box(engine.advance(common::ten())));
    });
    group.finish();
}

fn snapshot(c: &mut Criterion) {
    let mut group = c.benchmark_group("snapshot");
    group.throughput(Throughput::Elements(CASES)).sample_size(20);
    let engine = filled();
    group.bench_function("save", |b| b.iter(|| black_box(engine.save().to_bytes())));
    let bytes = engine.save().to_bytes().expect("a snapshot can be written");
    println!("snapshot: {} bytes a case", bytes.len() as u64 / CASES);
    group.bench_function("load", |b| {
        b.iter(|| {
            let snapshot = Snapshot::from_bytes(&bytes).expect("a snapshot can be read");
            Engine::load(&snapshot, Era::DEFAULT).expect("a snapshot can be loaded")
        });
    });
    group.finish();
}

/// What the desk's task spends every 20 s on saying who rings soon, beside waking the same cases.
fn ahead(c: &mut Criterion) {
    let mut group = c.benchmark_group("who rings soon");
    group.throughput(Throughput::Elements(CASES)).sample_size(20);
    let engine = filled();
    let sources = BTreeSet::from([tickets()[0].source.to_string()]);
    let (until, most) = (common::ten() + Span::DAY, CASES as usize);
    println!("who rings soon: {} cases", engine.ahead(&sources, until, most).len());
    group.bench_function("told of 20,000 cases", |b| {
        b.iter(|| black_box(engine.ahead(&sources, until, most)))
    });
    group.bench_function("nothing rings soon", |b| {
        b.iter(|| black_box(engine.ahead(&sources, common::ten() - Span::DAY, most)));
    });
    group.finish();
}

criterion_group!(benches, observe, advance, ahead, snapshot);
criterion_main!(benches);
