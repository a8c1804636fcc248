//! What keeping costs: rows a second in commits of 1, 100 and 1,000 rows, and reading a desk back.
//!
//! Compared in the same run with the least that SQLite itself must do: the same rows upserted into one plain table by a
//! prepared statement, in transactions of the same size, as durable. What ours does more: the line to the writer, a sum
//! over each row, an audit record with its digest in each commit.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rusqlite::{Connection, params};
use shiftbell::core::model::{AuditRecord, Batch, Row, Table};
use shiftbell::core::time::Instant;
use shiftbell::store::{SqliteOptions, SqliteStore, Store};

/// How many rows there are; each commit writes the next of them again.
const ROWS: usize = 50_000;

/// The sizes of commits.
const SIZES: [usize; 3] = [1, 100, 1000];

fn body(n: usize) -> Vec<u8> {
    let facts = "买家催件,承运商无新轨迹;".repeat(12);
    format!(r#"{{"id":"{n:026}","status":"open","level":1,"episode":1,"facts":"{facts}"}}"#).into_bytes()
}

/// Ids that are spread as derived ids are.
fn id(n: usize) -> String {
    format!("{:026X}", (n as u128 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d_9e37_79b9_7f4a_7c15))
}

fn row(n: usize) -> Row {
    let body = Some(body(n));
    Row {
        table: Table::Incident,
        id: id(n),
        state: Some("open"),
        parent: None,
        wake: Some(Instant::from_secs(n as i64)),
        body,
    }
}

fn record(seq: u64) -> AuditRecord {
    AuditRecord {
        seq,
        at: Instant::from_secs(1_772_416_800),
        actor: "rule:ticket_reply".into(),
        kind: "incident.R2".into(),
        incident: Some(id(seq as usize)),
        notice: None,
        message: None,
        cause: None,
        change: Some("– → open L1".into()),
        detail: None,
    }
}

fn options() -> SqliteOptions {
    SqliteOptions { ballast_bytes: 0, ..SqliteOptions::default() }
}

fn keep(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let rows: Vec<Row> = (0..ROWS).map(row).collect();
    let mut group = c.benchmark_group("keep");
    group.sample_size(20);
    for size in SIZES {
        group.throughput(Throughput::Elements(size as u64));
        let raw = Raw::open(&folder.path().join(format!("raw{size}.db")));
        raw.keep(&rows);
        let next = Cell::new(0);
        group.bench_function(format!("yardstick: raw upserts, {size} a commit"), |b| {
            b.iter_batched(|| slice(&rows, &next, size), |rows| raw.keep(&rows), BatchSize::SmallInput);
        });
        let store =
            SqliteStore::open(&folder.path().join(format!("ours{size}.db")), options()).expect("it opens");
        let desk: Arc<str> = "after-sales".into();
        let commit = |rows: Vec<Row>, seq: u64| {
            let batch = Batch { rows, audit: vec![record(seq)] };
            runtime.block_on(store.commit(&desk, batch)).expect("it is kept")
        };
        let seq = Cell::new(commit(rows.clone(), 1).last_seq);
        group.bench_function(format!("ours, {size} a commit"), |b| {
            b.iter_batched(
                || slice(&rows, &next, size),
                |rows| seq.set(commit(rows, seq.get() + 1).last_seq),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Many desks that each wait for their own small commit share the flushes.
fn keep_together(c: &mut Criterion) {
    const DESKS: usize = 64;
    let folder = tempfile::tempdir().expect("a directory can be made");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let store = SqliteStore::open(&folder.path().join("a.db"), options()).expect("it opens");
    let desks: Vec<Arc<str>> = (0..DESKS).map(|n| format!("desk{n}").into()).collect();
    let seq = Cell::new(0);
    let mut group = c.benchmark_group("keep");
    group.throughput(Throughput::Elements(DESKS as u64)).sample_size(20);
    group.bench_function("ours, 64 desks, 1 row each", |b| {
        b.iter(|| {
            seq.set(seq.get() + 1);
            let tasks: Vec<_> = desks
                .iter()
                .map(|desk| {
                    let rows = vec![row(seq.get() as usize % 1000)];
                    store.commit(desk, Batch { rows, audit: vec![record(seq.get())] })
                })
                .collect();
            runtime.block_on(async {
                for task in tasks {
                    task.await.expect("it is kept");
                }
            });
        });
    });
    group.finish();
}

fn load(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
    let store = SqliteStore::open(&folder.path().join("a.db"), options()).expect("it opens");
    let desk: Arc<str> = "after-sales".into();
    for chunk in (0..ROWS).collect::<Vec<_>>().chunks(1000) {
        let rows = chunk.iter().map(|n| row(*n)).collect();
        runtime.block_on(store.commit(&desk, Batch { rows, audit: Vec::new() })).expect("it is kept");
    }
    let mut group = c.benchmark_group("load");
    group.throughput(Throughput::Elements(ROWS as u64)).sample_size(10);
    group.bench_function("a desk", |b| {
        b.iter(|| runtime.block_on(store.load(&desk, &Table::ALL, Box::new(|_| {}))).expect("it is read"));
    });
    group.finish();
}

/// The next `size` rows, from the beginning again at the end; each differs from the time before, as SQLite writes nothing
/// for a row that is the same.
fn slice(rows: &[Row], next: &Cell<usize>, size: usize) -> Vec<Row> {
    let at = next.get();
    next.set(at + size);
    let from = at % (ROWS - size);
    let wake = Some(Instant::from_millis(at as i64));
    rows[from..from + size].iter().map(|row| Row { wake, ..row.clone() }).collect()
}

/// SQLite, and nothing else.
struct Raw(Connection);

impl Raw {
    fn open(path: &Path) -> Raw {
        let conn = Connection::open(path).expect("it opens");
        conn.execute_batch(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768; \
             CREATE TABLE kept (id TEXT PRIMARY KEY, state TEXT, parent TEXT, wake INTEGER, body BLOB);",
        )
        .expect("a table can be made");
        Raw(conn)
    }

    fn keep(&self, rows: &[Row]) {
        self.0.execute_batch("BEGIN IMMEDIATE").expect("it begins");
        let mut put = self
            .0
            .prepare_cached(
                "INSERT INTO kept VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET state = excluded.state, \
                 parent = excluded.parent, wake = excluded.wake, body = excluded.body",
            )
            .expect("it is right");
        for row in rows {
            let wake = row.wake.map(|wake| wake.as_millis());
            put.execute(params![row.id, row.state, row.parent, wake, row.body]).expect("it is put");
        }
        self.0.execute_batch("COMMIT").expect("it is kept");
    }
}

criterion_group!(benches, keep, keep_together, load);
criterion_main!(benches);
