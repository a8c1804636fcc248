//! Observations through `POST /v1/observations` into a desk with a million open cases, durable; what of it is the
//! engine's, what the store's, and what SQLite alone needs for the same rows. Then a start with as many.
//!
//! `SHIFTBELL_CASES` asks for another size.

#![allow(clippy::disallowed_methods, reason = "a bench of the whole program runs in real time, beside it")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::desk::{PEOPLE, TWO_PROMISES, config, snapshot};
use common::hook::Hook;
use common::live::{Program, now_ms};
use common::table::{load, mib, rate};
use rusqlite::{Connection, params};
use shiftbell::core::clock::PolicyConfig;
use shiftbell::core::model::{Batch, Table};
use shiftbell::core::problem::Problems;
use shiftbell::sources::history::import::ImportConfig;
use shiftbell::store::{SqliteOptions, SqliteStore, Store};

/// How many go into one request, and into one commit of the comparisons.
const BATCH: u64 = 1000;
/// Requests at a time.
const CLIENTS: usize = 4;
/// How many observations the rates are taken over.
const MEASURED: u64 = 200_000;

fn main() {
    let cases: u64 = std::env::var("SHIFTBELL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    println!(
        "intake: observations into {cases} open cases, two clocks each, {BATCH} a request (load {})",
        load()
    );
    let folder = tempfile::tempdir().expect("a folder");
    let hook = Hook::open();
    let text = config(TWO_PROMISES, PEOPLE, hook.port, 16);
    let program = Program::start(folder.path(), &text);
    let now = now_ms();
    let opened = |n: u64| now - (n as i64 % 3_600_000) - 60_000;

    let took = push(&program, 0, cases, |n| snapshot(n, opened(n), now - 30_000));
    let usage = program.usage();
    println!(
        "{:<44} {:>10} {:>24}",
        "filling: new cases, as durable",
        rate(cases as usize, took),
        format!("{:.1} s CPU, {}", usage.cpu.as_secs_f64(), mib(usage.rss))
    );
    let before = program.usage();
    let took = push(&program, 0, MEASURED, |n| reply((n * 4) % cases, opened((n * 4) % cases), now - 20_000));
    let used = program.usage().cpu - before.cpu;
    println!(
        "{:<44} {:>10} {:>24}   bound 20000/s",
        "changes of open cases, as durable",
        rate(MEASURED as usize, took),
        format!("{:.1} s CPU in {:.1} s", used.as_secs_f64(), took.as_secs_f64())
    );
    let took = push(&program, 0, MEASURED, |n| snapshot(cases + n, opened(n), now - 10_000));
    println!(
        "{:<44} {:>10} {:>24}   bound 20000/s",
        "new cases beside them, as durable",
        rate(MEASURED as usize, took),
        mib(program.usage().rss)
    );
    let took = program.stop();
    println!("{:<44} {:>10.2} s", "stop", took.as_secs_f64());

    shares(cases.min(100_000), now);

    println!("\nstart with {} open cases (load {})", cases + MEASURED, load());
    for _ in 0..2 {
        let program = Program::start(folder.path(), &text);
        std::thread::sleep(Duration::from_secs(2));
        let usage = program.usage();
        println!(
            "ready after {:.2} s (bound 10 s), memory {} at most {} (bound 900 MiB), {:.1} s CPU",
            program.ready.as_secs_f64(),
            mib(usage.rss),
            mib(usage.peak),
            usage.cpu.as_secs_f64()
        );
        program.stop();
    }
}

/// The same ticket later: the assignee has written, and the status has changed.
fn reply(n: u64, opened: i64, seen: i64) -> String {
    use common::live::rfc3339;
    let (opened, seen, replied) = (rfc3339(opened), rfc3339(seen), rfc3339(seen - 1000));
    format!(
        "{{\"at\":\"{seen}\",\"source\":\"tmall-flagship\",\"kind\":\"ticket\",\"id\":\"T{n:012}\",\
         \"marks\":[{{\"name\":\"opened\",\"at\":\"{opened}\"}},{{\"name\":\"customer_message\",\"ref\":\"m{n:010}\",\"at\":\"{opened}\"}},\
         {{\"name\":\"agent_reply\",\"ref\":\"r{n:010}\",\"at\":\"{replied}\"}}],\
         \"attrs\":{{\"status\":\"pending\",\"shop\":\"flagship\",\"priority\":\"normal\",\"assignee\":\"kf{:03}\"}}}}\n",
        n % 200
    )
}

/// Pushes `count` observations by several connections; the bodies are made beforehand.
fn push(program: &Program, from: u64, count: u64, line: impl Fn(u64) -> String + Sync) -> Duration {
    let mut took = Duration::ZERO;
    // As many bodies at a time as fit into little memory.
    let step = 100 * BATCH;
    for start in (from..from + count).step_by(step as usize) {
        let end = (start + step).min(from + count);
        let bodies: Vec<String> = (start..end)
            .step_by(BATCH as usize)
            .map(|at| (at..(at + BATCH).min(end)).map(&line).collect())
            .collect();
        let next = AtomicU64::new(0);
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = program.client();
                    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                        client.push(body);
                    }
                });
            }
        });
        took += began.elapsed();
    }
    took
}

/// The engine alone, the store alone, and SQLite alone, with the same cases on one thread.
fn shares(cases: u64, now: i64) {
    println!("\nthe shares, each alone on one thread, {cases} new cases");
    let lines: Vec<String> = (0..cases).map(|n| snapshot(n, now - 60_000, now - 30_000)).collect();
    let import = ImportConfig::default();
    let began = Instant::now();
    let observations: Vec<_> =
        lines.iter().map(|line| import.read(line.trim_end().as_bytes()).expect("an event").1).collect();
    println!("{:<44} {:>10}", "reading the JSON", rate(cases as usize, began.elapsed()));

    let text = format!("[calendars]\n[kinds.ticket]\nclosed = {{ status = [\"closed\"] }}\n{TWO_PROMISES}");
    let policy: PolicyConfig = toml::from_str(&text).expect("the policy is right");
    let mut problems = Problems::new();
    let era = shiftbell::core::calendar::Era::DEFAULT;
    let mut engine = shiftbell::core::engine::Engine::new("bench", &policy, None, era, &mut problems)
        .unwrap_or_else(|| panic!("{:?}", problems.into_vec()));
    let at = shiftbell::core::time::Instant::from_millis(now);
    let mut rows = Vec::new();
    let began = Instant::now();
    for observation in &observations {
        let changes = engine.observe(observation, at);
        for number in &changes.cases {
            let (Some(id), Some(case)) = (engine.row_id(*number), engine.row(*number)) else { continue };
            let body = case.to_bytes().expect("a case has a binary form");
            rows.push(shiftbell::core::model::Row {
                table: Table::Case,
                id,
                state: None,
                parent: None,
                wake: None,
                body: Some(body),
            });
        }
    }
    let engine_took = began.elapsed();
    println!("{:<44} {:>10}", "the engine, rows made", rate(cases as usize, engine_took));
    drop(engine);

    let folder = tempfile::tempdir().expect("a folder");
    let raw = Connection::open(folder.path().join("raw.db")).expect("it opens");
    raw.execute_batch(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768; \
         CREATE TABLE kept (id TEXT PRIMARY KEY, body BLOB);",
    )
    .expect("a table can be made");
    let began = Instant::now();
    for chunk in rows.chunks(BATCH as usize) {
        raw.execute_batch("BEGIN IMMEDIATE").expect("it begins");
        let mut put = raw
            .prepare_cached(
                "INSERT INTO kept VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            )
            .expect("it is right");
        for row in chunk {
            put.execute(params![row.id, row.body]).expect("it is put");
        }
        drop(put);
        raw.execute_batch("COMMIT").expect("it is kept");
    }
    let raw_took = began.elapsed();

    let options = SqliteOptions { ballast_bytes: 0, ..SqliteOptions::default() };
    let store = SqliteStore::open(&folder.path().join("ours.db"), options).expect("it opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let desk: Arc<str> = "bench".into();
    let began = Instant::now();
    for chunk in rows.chunks(BATCH as usize) {
        let batch = Batch { rows: chunk.to_vec(), audit: Vec::new() };
        runtime.block_on(store.commit(&desk, batch)).expect("it is kept");
    }
    let ours = began.elapsed();
    println!("{:<44} {:>10}", "the store, 1000 rows a commit", rate(rows.len(), ours));
    println!("{:<44} {:>10}", "raw SQLite upserts, the same rows", rate(rows.len(), raw_took));
    let each = |took: Duration| took.as_secs_f64() * 1e6 / cases as f64;
    println!("an observation: {:.1} µs in the engine, {:.1} µs in the store", each(engine_took), each(ours));
}
