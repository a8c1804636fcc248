//! What every store must do, whichever it is: one suite, run over each.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::core::model::{AuditRecord, Batch, Row, Table};
use crate::core::time::Instant;

use super::{
    AuditQuery, ID_BYTES, MemoryStore, RowQuery, SqliteOptions, SqliteStore, Store, StoreError, Stored,
};

type Case = fn(Arc<dyn Store>) -> Pin<Box<dyn Future<Output = ()>>>;

/// The suite: each is given an empty store that keeps 100 rejects and 100 parked rows.
const SUITE: &[(&str, Case)] = &[
    ("what is kept is read back", |s| Box::pin(read_back(s))),
    ("rows are loaded in the order in which they were first kept", |s| Box::pin(load_order(s))),
    ("a row is replaced and dropped", |s| Box::pin(replace_and_drop(s))),
    ("rows are found by id, state and parent", |s| Box::pin(queries(s))),
    ("a batch is kept whole or not at all", |s| Box::pin(atomic(s))),
    ("audit numbers have no gap and no repeat", |s| Box::pin(numbers(s))),
    ("audit records are found and linked", |s| Box::pin(audit(s))),
    ("desks do not see one another", |s| Box::pin(desks(s))),
    ("ids and bodies of any kind", |s| Box::pin(any_text(s))),
    ("waiting batches are kept in the order of the calls", |s| Box::pin(order(s))),
    ("many desks commit at once", |s| Box::pin(at_once(s))),
    ("rejects and parked rows are bounded, the oldest go", |s| Box::pin(bounded(s))),
    ("an empty batch tells where the audit stands", |s| Box::pin(empty(s))),
    ("a closed store says so", |s| Box::pin(closed(s))),
];

pub(super) const BOUND: u64 = 100;

pub(super) fn desk(name: &str) -> Arc<str> {
    Arc::from(name)
}

pub(super) fn row(table: Table, id: &str, body: &[u8]) -> Row {
    Row { table, id: id.to_owned(), state: None, parent: None, wake: None, body: Some(body.to_vec()) }
}

pub(super) fn record(seq: u64) -> AuditRecord {
    AuditRecord {
        seq,
        at: Instant::from_secs(1_772_416_800 + seq as i64),
        actor: "rule:ticket_reply".into(),
        kind: "incident.R2".into(),
        incident: Some(format!("I{}", seq % 3)),
        notice: None,
        message: seq.is_multiple_of(2).then(|| format!("M{seq}")),
        cause: None,
        change: Some("– → open L1".into()),
        detail: Some(json!({"z": [1, 2.5, "三"], "a": null})),
    }
}

pub(super) fn batch(rows: Vec<Row>, seqs: std::ops::RangeInclusive<u64>) -> Batch {
    Batch { rows, audit: seqs.map(record).collect() }
}

pub(super) fn rows_only(rows: Vec<Row>) -> Batch {
    Batch { rows, audit: Vec::new() }
}

/// All rows of the tables, as they are loaded.
pub(super) async fn loaded(store: &dyn Store, desk: &Arc<str>, tables: &[Table]) -> Vec<Stored> {
    let rows = Arc::new(Mutex::new(Vec::new()));
    let into = rows.clone();
    let count =
        store.load(desk, tables, Box::new(move |stored| into.lock().unwrap().push(stored))).await.unwrap();
    let rows = std::mem::take(&mut *rows.lock().unwrap());
    assert_eq!(count, rows.len() as u64);
    rows
}

fn ids(rows: &[Stored]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

fn all(table: Table) -> RowQuery {
    RowQuery { table, id_prefix: None, state: None, parent: None, limit: usize::MAX }
}

async fn read_back(store: Arc<dyn Store>) {
    let desk = desk("after-sales");
    let mut rows = Vec::new();
    for table in Table::ALL {
        let mut row = row(table, "a", format!("{{\"of\":\"{}\"}}", table.word()).as_bytes());
        row.state = Some("open");
        row.parent = Some("售后".to_owned());
        row.wake = Some(Instant::from_millis(-5));
        rows.push(row);
    }
    let kept = store.commit(&desk, batch(rows.clone(), 1..=2)).await.unwrap();
    assert_eq!(kept.last_seq, 2);
    let read = loaded(&*store, &desk, &Table::ALL).await;
    assert_eq!(read.iter().map(|r| r.table).collect::<Vec<_>>(), Table::ALL, "table by table");
    for (row, read) in rows.iter().zip(&read) {
        assert_eq!(Some(&read.body), row.body.as_ref());
        assert_eq!((read.state.as_deref(), &read.parent), (row.state, &row.parent));
    }
    let some = loaded(&*store, &desk, &[Table::Notice, Table::Case]).await;
    assert_eq!(some.iter().map(|r| r.table).collect::<Vec<_>>(), [Table::Notice, Table::Case]);
    store.probe().await.unwrap();
    assert!(store.health().size_bytes > 0);
}

async fn load_order(store: Arc<dyn Store>) {
    let desk = desk("d");
    for ids in [["m", "b"], ["z", "a"], ["b", "c"]] {
        let rows = ids.iter().map(|id| row(Table::Incident, id, b"{}")).collect();
        store.commit(&desk, rows_only(rows)).await.unwrap();
    }
    assert_eq!(ids(&loaded(&*store, &desk, &[Table::Incident]).await), ["m", "b", "z", "a", "c"]);
    let sorted = store.rows(&desk, all(Table::Incident)).await.unwrap();
    assert_eq!(ids(&sorted), ["a", "b", "c", "m", "z"], "asked for, they come by id");
}

async fn replace_and_drop(store: Arc<dyn Store>) {
    let desk = desk("d");
    let mut first = row(Table::Message, "a", b"1");
    first.state = Some("ready");
    store.commit(&desk, batch(vec![first, row(Table::Message, "b", b"1")], 1..=1)).await.unwrap();
    let drop = |id: &str| Row { body: None, ..row(Table::Message, id, b"") };
    let rows = vec![row(Table::Message, "a", b"2"), drop("b"), drop("never was")];
    store.commit(&desk, batch(rows, 2..=2)).await.unwrap();
    let read = loaded(&*store, &desk, &[Table::Message]).await;
    assert_eq!(ids(&read), ["a"]);
    assert_eq!(
        (read[0].body.as_slice(), &read[0].state),
        (&b"2"[..], &None),
        "nothing of the old row is left"
    );
}

async fn queries(store: Arc<dyn Store>) {
    let desk = desk("d");
    let mut rows = Vec::new();
    for (id, state, parent) in [
        ("ab/1", "open", None),
        ("ab/2", "resolved", Some("p")),
        ("ab/3", "open", Some("p")),
        ("ac", "open", Some("p")),
        ("ab", "open", Some("q")),
    ] {
        let parent = parent.map(str::to_owned);
        rows.push(Row { state: Some(state), parent, ..row(Table::Incident, id, b"{}") });
    }
    rows.push(Row { parent: Some("p".into()), ..row(Table::Notice, "ab/1", b"{}") });
    store.commit(&desk, rows_only(rows)).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    for (prefix, state, parent, limit, want) in [
        (None, None, None, 9, vec!["ab", "ab/1", "ab/2", "ab/3", "ac"]),
        (text(""), None, None, 2, vec!["ab", "ab/1"]),
        (text("ab/"), None, None, 9, vec!["ab/1", "ab/2", "ab/3"]),
        (text("ab/"), text("open"), None, 9, vec!["ab/1", "ab/3"]),
        (None, text("open"), text("p"), 9, vec!["ab/3", "ac"]),
        (None, None, text("p"), 1, vec!["ab/2"]),
        (text("zz"), None, None, 9, vec![]),
        (None, text("nowhere"), None, 9, vec![]),
        (None, None, None, 0, vec![]),
    ] {
        let query = RowQuery { table: Table::Incident, id_prefix: prefix, state, parent, limit };
        let found = store.rows(&desk, query.clone()).await.unwrap();
        assert_eq!(ids(&found), want, "{query:?}");
    }
}

async fn atomic(store: Arc<dyn Store>) {
    let desk = desk("d");
    store.commit(&desk, batch(vec![row(Table::Case, "a", b"1")], 1..=1)).await.unwrap();
    let long = "x".repeat(ID_BYTES + 1);
    for bad in [
        batch(vec![row(Table::Case, "a", b"2"), row(Table::Case, "b", b"2")], 3..=3),
        batch(vec![row(Table::Case, "a", b"2"), row(Table::Case, "", b"2")], 2..=2),
        batch(vec![row(Table::Case, "a", b"2"), row(Table::Case, &long, b"2")], 2..=2),
    ] {
        let error = store.commit(&desk, bad).await.unwrap_err();
        assert!(matches!(error, StoreError::Other { .. }), "{error}");
    }
    let read = loaded(&*store, &desk, &[Table::Case]).await;
    assert_eq!((ids(&read), read[0].body.as_slice()), (vec!["a"], &b"1"[..]));
    assert_eq!(store.audit(&desk, AuditQuery::default()).await.unwrap().len(), 1);
    let longest = "x".repeat(ID_BYTES);
    store.commit(&desk, batch(vec![row(Table::Case, &longest, b"2")], 2..=2)).await.unwrap();
}

async fn numbers(store: Arc<dyn Store>) {
    let desk = desk("d");
    for (seqs, want) in [
        (vec![2], Err("leaves a gap, expected 1")),
        (vec![1, 2, 3], Ok(3)),
        (vec![3], Err("was there before, expected 4")),
        (vec![4, 6], Err("record 6 leaves a gap, expected 5")),
        (vec![4, 4], Err("record 4 was there before, expected 5")),
        (vec![0], Err("was there before")),
        (vec![u64::MAX], Err("leaves a gap")),
        (vec![4], Ok(4)),
    ] {
        let rows = vec![row(Table::Meta, "m", b"{}")];
        let done =
            store.commit(&desk, Batch { rows, audit: seqs.iter().copied().map(record).collect() }).await;
        match (done, want) {
            (Ok(kept), Ok(last)) => assert_eq!(kept.last_seq, last),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{seqs:?}: {error}"),
            (done, _) => panic!("{seqs:?}: {done:?}"),
        }
    }
}

async fn audit(store: Arc<dyn Store>) {
    let desk = desk("d");
    assert_eq!(store.audit(&desk, AuditQuery::default()).await.unwrap(), []);
    store.commit(&desk, batch(vec![], 1..=4)).await.unwrap();
    store.commit(&desk, batch(vec![], 5..=10)).await.unwrap();
    let kept = store.audit(&desk, AuditQuery::default()).await.unwrap();
    assert_eq!(
        kept.iter().map(|k| k.record.clone()).collect::<Vec<_>>(),
        (1..=10).map(record).collect::<Vec<_>>()
    );
    let text = |text: &str| Some(text.to_owned());
    for (from_seq, incident, message, limit, want) in [
        (9, None, None, 0, vec![9, 10]),
        (0, text("I1"), None, 0, vec![1, 4, 7, 10]),
        (2, text("I1"), None, 2, vec![4, 7]),
        (0, None, text("M8"), 0, vec![8]),
        (0, text("I0"), text("M8"), 0, vec![]),
        (u64::MAX, None, None, 0, vec![]),
    ] {
        let query = AuditQuery { from_seq, incident, message, limit };
        let found = store.audit(&desk, query.clone()).await.unwrap();
        assert_eq!(found.iter().map(|k| k.record.seq).collect::<Vec<_>>(), want, "{query:?}");
    }
    let verified = store.verify(&desk).await.unwrap();
    assert_eq!((verified.records, verified.mismatch), (10, None));
    assert_eq!(verified.head, kept[9].digest);
    assert_eq!(kept[0].digest.len(), 64);
    // The digests are those of every store: they can be compared across.
    let want = "39747d88d906118b3173079ea8b78ea681702848b6bd533509741c8900f5fb3d";
    assert_eq!(kept[9].digest, want, "a change here breaks every chain that is kept");
}

async fn desks(store: Arc<dyn Store>) {
    let (one, two) = (desk("one"), desk("two"));
    store.commit(&one, batch(vec![row(Table::Case, "a", b"1")], 1..=3)).await.unwrap();
    store.commit(&two, batch(vec![row(Table::Case, "a", b"2")], 1..=1)).await.unwrap();
    store.commit(&one, batch(vec![Row { body: None, ..row(Table::Case, "b", b"") }], 4..=4)).await.unwrap();
    for (desk, body, records) in [(&one, b"1", 4), (&two, b"2", 1)] {
        let read = loaded(&*store, desk, &Table::ALL).await;
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].body, body);
        assert_eq!(store.verify(desk).await.unwrap().records, records);
    }
    assert_eq!(loaded(&*store, &desk("three"), &Table::ALL).await, []);
    assert_eq!(store.verify(&desk("three")).await.unwrap().records, 0);
}

async fn any_text(store: Arc<dyn Store>) {
    let name = desk("售后客服组 'x' \"y\" %");
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let ids_kept = [
        "tmall\0ticket\0T1",
        "tmall\0ticket\0T2",
        "售后/单号",
        "'; DROP TABLE case; --",
        "%_",
        "🔔",
        "a\u{d7ff}",
    ];
    let mut rows: Vec<Row> = ids_kept.iter().map(|id| row(Table::Case, id, id.as_bytes())).collect();
    rows.push(row(Table::Case, "big", &big));
    rows.push(row(Table::Incident, "nul", b"a\0b"));
    rows.push(row(Table::Incident, "bytes", &[0xff, 0xfe]));
    rows.push(row(Table::Incident, "none", b""));
    store.commit(&name, batch(rows.clone(), 1..=1)).await.unwrap();
    let read = loaded(&*store, &name, &[Table::Case, Table::Incident]).await;
    for (row, read) in rows.iter().zip(&read) {
        assert_eq!((&row.id, row.body.as_ref()), (&read.id, Some(&read.body)));
    }
    for (prefix, want) in [
        ("tmall\0ticket\0", vec!["tmall\0ticket\0T1", "tmall\0ticket\0T2"]),
        ("tmall\0ticket\0T2", vec!["tmall\0ticket\0T2"]),
        ("售", vec!["售后/单号"]),
        ("%", vec!["%_"]),
        ("a\u{d7ff}", vec!["a\u{d7ff}"]),
    ] {
        let found = store
            .rows(&name, RowQuery { id_prefix: Some(prefix.to_owned()), ..all(Table::Case) })
            .await
            .unwrap();
        assert_eq!(ids(&found), want, "{prefix:?}");
    }
}

async fn order(store: Arc<dyn Store>) {
    let desk = desk("d");
    // Called in order, waited for backwards: only the calls count.
    let mut tasks: Vec<_> = (1..=200_u64)
        .map(|n| store.commit(&desk, batch(vec![row(Table::Meta, "last", n.to_string().as_bytes())], n..=n)))
        .collect();
    while let Some(task) = tasks.pop() {
        assert_eq!(task.await.unwrap().last_seq, tasks.len() as u64 + 1);
    }
    assert_eq!(loaded(&*store, &desk, &[Table::Meta]).await[0].body, b"200");
    // One that fails takes those behind it along, and leaves the others alone.
    let good = store.commit(&desk, batch(vec![row(Table::Meta, "last", b"201")], 201..=201));
    let bad = store.commit(&desk, batch(vec![row(Table::Meta, "last", b"bad")], 999..=999));
    let behind = store.commit(&desk, batch(vec![row(Table::Meta, "behind", b"1")], 1000..=1000));
    let other = store.commit(&super::contract::desk("e"), batch(vec![], 1..=1));
    assert!(bad.await.is_err());
    assert!(behind.await.is_err());
    assert_eq!(good.await.unwrap().last_seq, 201);
    assert_eq!(other.await.unwrap().last_seq, 1);
    let read = loaded(&*store, &desk, &[Table::Meta]).await;
    assert_eq!((ids(&read), read[0].body.as_slice()), (vec!["last"], &b"201"[..]));
}

async fn at_once(store: Arc<dyn Store>) {
    let mut tasks = tokio::task::JoinSet::new();
    for d in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let desk = desk(&format!("d{d}"));
            for n in 1..=25_u64 {
                let rows = vec![row(Table::Case, &format!("c{n}"), b"x"), row(Table::Incident, "i", b"{}")];
                assert_eq!(store.commit(&desk, batch(rows, n..=n)).await.unwrap().last_seq, n);
                let seen = store.rows(&desk, all(Table::Case)).await.unwrap();
                assert_eq!(seen.len() as u64, n, "what was answered can be read");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for d in 0..8 {
        assert_eq!(loaded(&*store, &desk(&format!("d{d}")), &Table::ALL).await.len(), 26);
    }
}

async fn bounded(store: Arc<dyn Store>) {
    let (one, two) = (desk("one"), desk("two"));
    for table in [Table::Reject, Table::Parked] {
        store.commit(&two, rows_only(vec![row(table, "mine", b"1")])).await.unwrap();
        for n in 0..3 {
            let rows =
                (0..BOUND / 2).map(|i| row(table, &format!("{:04}", 9000 - n * 100 - i), b"1")).collect();
            store.commit(&one, rows_only(rows)).await.unwrap();
        }
        let read = loaded(&*store, &one, &[table]).await;
        assert!(read.len() as u64 <= BOUND && read.len() as u64 >= BOUND / 2, "{}", read.len());
        assert_eq!(read.last().unwrap().id, "8751", "the newest is there");
        assert!(read.iter().all(|row| row.id.as_str() < "8999"), "the oldest are not");
        assert_eq!(loaded(&*store, &two, &[table]).await.len(), 1, "each desk has its own bound");
    }
}

async fn empty(store: Arc<dyn Store>) {
    let desk = desk("d");
    assert_eq!(store.commit(&desk, Batch::default()).await.unwrap().last_seq, 0);
    store.commit(&desk, batch(vec![], 1..=7)).await.unwrap();
    assert_eq!(store.commit(&desk, Batch::default()).await.unwrap().last_seq, 7);
}

async fn closed(store: Arc<dyn Store>) {
    let desk = desk("d");
    let waiting = store.commit(&desk, batch(vec![], 1..=1));
    store.close().await.unwrap();
    waiting.await.expect("what was asked before is kept");
    store.close().await.expect("twice is no matter");
    for answer in [
        store.commit(&desk, batch(vec![], 2..=2)).await.err(),
        store.rows(&desk, all(Table::Case)).await.err(),
        store.audit(&desk, AuditQuery::default()).await.err(),
        store.load(&desk, &Table::ALL, Box::new(|_| {})).await.err(),
        store.verify(&desk).await.err(),
        store.probe().await.err(),
    ] {
        assert!(matches!(answer, Some(StoreError::Closed)), "{answer:?}");
    }
}

async fn run(make: impl Fn() -> Arc<dyn Store>) {
    for (name, case) in SUITE {
        // The name shows with what a failing case prints.
        println!("{name}");
        case(make()).await;
    }
}

#[tokio::test]
async fn the_memory_store_keeps_the_contract() {
    run(|| Arc::new(MemoryStore::with_bound(BOUND as usize))).await;
}

#[tokio::test]
async fn the_sqlite_store_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    run(|| {
        next.set(next.get() + 1);
        let path = folder.path().join(format!("{}.db", next.get()));
        // Narrow bounds, so that a commit of several groups is part of the suite.
        let options = SqliteOptions {
            ballast_bytes: 0,
            queue_batches: 256,
            commit_rows: 40,
            rejects: BOUND,
            parked: BOUND,
            ..SqliteOptions::default()
        };
        Arc::new(SqliteStore::open(&path, options).unwrap())
    })
    .await;
}
