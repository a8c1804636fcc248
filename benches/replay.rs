//! How fast a history is read, and replayed.
//!
//! `SHIFTBELL_EVENTS=FILE cargo bench --bench replay` adds a recorded history to the generated one.

use std::hint::black_box;
use std::io::Write;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use shiftbell::core::time::{Instant, Span};
use shiftbell::sources::history::import::ImportConfig;
use shiftbell::sources::history::{History, InputError, bare_pass};

const CASES: u64 = 40_000;

/// About 200,000 events in the shape of a marketplace: orders created, promised, paid, shipped, delivered.
fn generated() -> Vec<u8> {
    let mut events = Vec::new();
    for case in 0..CASES {
        // A fixed scatter; no randomness, so that every run reads the same bytes.
        let scatter = case.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let created = Instant::from_secs(1_767_225_600 + (case * 700 + scatter % 600) as i64);
        let id = format!("{:012x}", case.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16);
        for (step, (name, attrs)) in [
            ("created", r#"{"to":"SP","to_zip":"69309","items":2,"value":72.89,"freight":63.34,"weight_g":3200,"cat":"furniture"}"#),
            ("promised", r#"{"due":"2026-12-20T02:00:00Z","due_date":"2026-12-20"}"#),
            ("paid", "{}"),
            ("shipped", r#"{"from":"PR","to":"SP","from_zip":"80000","to_zip":"69309","seller":"ecccfa2b"}"#),
            ("delivered", "{}"),
        ]
        .into_iter()
        .enumerate()
        {
            let at = created + Span::HOUR.times(step as i64 * (1 + scatter as i64 % 40));
            events.push((at, format!(r#"{{"at":"{at}","source":"gen","kind":"order","id":"{id}","event":"{name}","attrs":{attrs}}}"#)));
        }
    }
    events.sort_by_key(|(at, _)| *at);
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for (_, line) in events {
        writeln!(out, "{line}").expect("memory");
    }
    out.finish().expect("memory")
}

fn passes(group: &mut BenchmarkGroup<'_, criterion::measurement::WallTime>, history: &str) {
    group.bench_function("bare", |b| b.iter(|| bare_pass(black_box(history)).expect("a history")));
    group.bench_function("mapped", |b| {
        b.iter(|| {
            let inputs = [history.to_owned()];
            let mut history = History::open(&inputs, ImportConfig::default(), false, &|bytes| bytes)?;
            history.play(|seen, now| {
                black_box((seen, now));
                Ok::<(), InputError>(())
            })?;
            Ok::<u64, InputError>(history.tally().events)
        })
    });
    // The full replay goes here: the same history through the engine, as `group.bench_function("full", …)`.
}

fn replay(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("generated.jsonl.gz");
    std::fs::write(&path, generated()).expect("a file");
    let mut histories = vec![("generated", path.to_string_lossy().into_owned())];
    histories.extend(std::env::var("SHIFTBELL_EVENTS").ok().map(|file| ("recorded", file)));
    for (name, history) in &histories {
        let events = bare_pass(history).expect("a history");
        let mut group = c.benchmark_group(format!("replay/{name}"));
        group.throughput(Throughput::Elements(events)).sample_size(10);
        passes(&mut group, history);
        group.finish();
    }
}

criterion_group!(benches, replay);
criterion_main!(benches);
