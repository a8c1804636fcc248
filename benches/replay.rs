//! How fast a history is read, and replayed: `bare` reads and unpacks it, `mapped` makes observations of it, `full`
//! runs them through the engine with the Olist policies, as `shiftbell replay` does before it draws the report.
//!
//! Two generated sizes, the second four times the first, so that growth can be seen to be linear;
//! `SHIFTBELL_EVENTS=FILE cargo bench --bench replay` adds a recorded history.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use shiftbell::cli::replay::progress::Progress;
use shiftbell::cli::replay::run::replay as replay_history;
use shiftbell::config::{Ready, load_settings};
use shiftbell::core::time::{Instant, Span};
use shiftbell::sources::history::import::ImportConfig;
use shiftbell::sources::history::{History, InputError, bare_pass};

/// Cases of the generated histories; six events each.
const SIZES: [(&str, u64); 2] = [("generated", 40_000), ("generated_x4", 160_000)];

/// Events in the shape of a marketplace: orders created, promised, paid, with a hand-over limit, shipped, delivered.
fn generated(cases: u64) -> Vec<u8> {
    let mut events = Vec::new();
    for case in 0..cases {
        // A fixed scatter; no randomness, so that every run reads the same bytes.
        let scatter = case.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        // As many orders a day in either size: the larger history is longer, not denser.
        let created = Instant::from_secs(1_767_225_600 + (case * 700 + scatter % 600) as i64);
        let id = format!("{:012x}", case.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16);
        let (limit, due) = (created + Span::HOUR.times(60), created + Span::HOUR.times(100));
        for (step, name, attrs) in [
            (
                0,
                "created",
                r#"{"to":"SP","to_zip":"69309","items":2,"value":72.89,"freight":63.34,"weight_g":3200,"cat":"furniture"}"#,
            ),
            (0, "promised", &*format!(r#"{{"due":"{due}","due_date":"2026-12-20"}}"#)),
            (1, "paid", "{}"),
            (1, "handover_due", &*format!(r#"{{"due":"{limit}","seller":"ecccfa2b","from":"PR"}}"#)),
            (
                2,
                "shipped",
                r#"{"from":"PR","to":"SP","from_zip":"80000","to_zip":"69309","seller":"ecccfa2b"}"#,
            ),
            (3, "delivered", "{}"),
        ] {
            let at = created + Span::HOUR.times(step * (1 + scatter as i64 % 40));
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

fn passes(group: &mut BenchmarkGroup<'_, criterion::measurement::WallTime>, ready: &Ready, history: &str) {
    let inputs = [history.to_owned()];
    group.bench_function("bare", |b| b.iter(|| bare_pass(black_box(history)).expect("a history")));
    group.bench_function("mapped", |b| {
        b.iter(|| {
            let mut history = History::open(&inputs, ImportConfig::default(), false, &|bytes| bytes)?;
            history.play(|seen, now| {
                black_box((seen, now));
                Ok::<(), InputError>(())
            })?;
            Ok::<u64, InputError>(history.tally().events)
        })
    });
    // Reading and deciding alone, which is what the summary line of `replay` tells.
    group.bench_function("decided", |b| {
        b.iter_custom(|runs| {
            let one = || replay_history(ready, &inputs, None, false, &Progress::hidden(), None);
            (0..runs).map(|_| one().expect("a history").took).sum()
        });
    });
    group.bench_function("full", |b| {
        b.iter_with_large_drop(|| {
            let done =
                replay_history(ready, &inputs, None, false, &Progress::hidden(), None).expect("a history");
            assert!(done.broken.is_none() && !done.rows.is_empty() && !done.signals.is_empty());
            done
        });
    });
}

fn replay(c: &mut Criterion) {
    let ready = load_settings(Path::new("builtin:examples/olist.toml"), &BTreeMap::new(), None)
        .unwrap_or_else(|report| panic!("the policies of the bench are right: {report}"));
    let dir = tempfile::tempdir().expect("a directory");
    let mut histories = Vec::new();
    for (name, cases) in SIZES {
        let path = dir.path().join(format!("{name}.jsonl.gz"));
        std::fs::write(&path, generated(cases)).expect("a file");
        histories.push((name, path.to_string_lossy().into_owned()));
    }
    #[expect(clippy::disallowed_methods, reason = "cargo bench hands over no arguments of ours")]
    let recorded = std::env::var("SHIFTBELL_EVENTS").ok();
    histories.extend(recorded.map(|file| ("recorded", file)));
    for (name, history) in &histories {
        let events = bare_pass(history).expect("a history");
        let mut group = c.benchmark_group(format!("replay/{name}"));
        group.throughput(Throughput::Elements(events)).sample_size(10);
        passes(&mut group, &ready, history);
        group.finish();
    }
}

criterion_group!(benches, replay);
criterion_main!(benches);
