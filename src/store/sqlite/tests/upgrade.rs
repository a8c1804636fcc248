//! A store of an older schema keeps everything when it is brought up to date.

use rusqlite::params;

use super::super::super::chain::Head;
use super::super::{about, migrate};
use super::*;

/// A file of the first schema, as the program of then wrote it.
fn first_schema(path: &Path, name: &str, rows: &[Row], audit: &[crate::core::model::AuditRecord]) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute_batch(include_str!("../migrations/0001_begin.sql")).unwrap();
    conn.pragma_update(None, "application_id", migrate::APPLICATION_ID).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    conn.execute("INSERT INTO store VALUES ('clean', 1)", []).unwrap();
    conn.execute("INSERT INTO desk VALUES (1, 'another'), (2, ?1)", [name]).unwrap();
    for (nr, row) in (rows::first_nr(2) + 1..).zip(rows) {
        let body = row.body.as_deref().unwrap_or_default();
        let sql = format!("INSERT INTO {} VALUES (?1, 2, ?2, ?3, ?4, NULL, ?5, ?6)", rows::name(row.table));
        let body_bound = rows::bind_body(row.table, body);
        let values = params![nr, row.id, row.state, row.parent, rows::sum(name, row, body), body_bound];
        conn.execute(&sql, values).unwrap();
    }
    let mut head = Head::new(name);
    for record in audit {
        let (body, digest) = head.append(record).unwrap();
        let about = params![
            record.seq as i64,
            record.at.as_millis(),
            record.kind,
            record.incident,
            record.notice,
            record.message,
            record.cause,
            body,
            digest
        ];
        conn.execute("INSERT INTO audit VALUES (2, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", about).unwrap();
    }
}

fn child(table: Table, id: &str, parent: &str, body: &[u8]) -> Row {
    Row { state: Some("open"), parent: Some(parent.to_owned()), ..row(table, id, body) }
}

fn sample_rows() -> Vec<Row> {
    let mut rows = vec![row(Table::Meta, "m", b"{}"), row(Table::Case, "c\0a", &[0, 1, 2])];
    for n in 1..=30 {
        rows.push(row(Table::Incident, &format!("I{n}"), b"{}"));
        rows.push(child(Table::Notice, &format!("N{n}"), &format!("I{n}"), b"{\"a\":1}"));
        rows.push(child(Table::Message, &format!("M{n}"), &format!("N{n}"), b"{}"));
        rows.push(child(Table::Decision, &format!("D{n}"), &format!("N{n}"), b"{}"));
        for attempt in 1..=3 {
            rows.push(child(Table::Attempt, &format!("M{n}/{attempt}"), &format!("M{n}"), b"{\"t\":\"x\"}"));
        }
    }
    // What they belong to is not there.
    rows.push(child(Table::Notice, "Nx", "gone", b"{}"));
    rows.push(child(Table::Attempt, "gone/1", "gone", b"{}"));
    rows
}

fn under(table: Table, parent: &str) -> RowQuery {
    RowQuery { table, id_prefix: None, state: None, parent: Some(parent.to_owned()), limit: 99 }
}

async fn ids_under(store: &SqliteStore, name: &Arc<str>, table: Table, parent: &str) -> Vec<String> {
    store.rows(name, under(table, parent)).await.unwrap().into_iter().map(|row| row.id).collect()
}

#[tokio::test]
async fn a_store_of_the_first_schema_keeps_everything() {
    let (_folder, path) = folder();
    let name = desk("d");
    let (rows, audit): (Vec<Row>, Vec<_>) = (sample_rows(), (1..=40).map(record).collect());
    first_schema(&path, &name, &rows, &audit);
    let store = open(&path);
    let mut read = loaded(&store, &name, &Table::ALL).await;
    assert_eq!(read.len(), rows.len());
    for row in &rows {
        let at = read.iter().position(|read| (read.table, &read.id) == (row.table, &row.id));
        let read = read.remove(at.unwrap_or_else(|| panic!("{} is gone", row.id)));
        let kept = (read.state.as_deref(), read.parent.as_deref(), Some(read.body));
        assert_eq!(kept, (row.state, row.parent.as_deref(), row.body.clone()));
    }
    for (table, parent, want) in [
        (Table::Notice, "I7", vec!["N7"]),
        (Table::Message, "N7", vec!["M7"]),
        (Table::Decision, "N7", vec!["D7"]),
        (Table::Attempt, "M7", vec!["M7/1", "M7/2", "M7/3"]),
        (Table::Notice, "gone", vec!["Nx"]),
        (Table::Attempt, "gone", vec!["gone/1"]),
        (Table::Notice, "nobody", vec![]),
    ] {
        assert_eq!(ids_under(&store, &name, table, parent).await, want, "{table:?} of {parent}");
    }
    let kept = store.audit(&name, AuditQuery::default()).await.unwrap();
    assert_eq!(kept.into_iter().map(|kept| kept.record).collect::<Vec<_>>(), audit);
    check_about(&store, &name, 40).await;

    // It goes on where it was: rows that are there are changed, not kept twice, and the chain is one.
    let mut more = vec![
        child(Table::Attempt, "M7/3", "M7", b"{\"later\":1}"),
        child(Table::Attempt, "M7/4", "M7", b"{}"),
        child(Table::Body, "M7/4", "M7", b"{\"text\":\"x\"}"),
        child(Table::Attempt, "gone/1", "gone", b"{\"later\":1}"),
        child(Table::Notice, "Nx", "I3", b"{\"later\":1}"),
        // The child comes first here, and is kept after what it belongs to.
        child(Table::Message, "M90", "N90", b"{}"),
        child(Table::Notice, "N90", "I3", b"{}"),
    ];
    more.push(Row { body: None, ..row(Table::Attempt, "M9/2", b"") });
    store.commit(&name, batch(more, 41..=60)).await.unwrap();
    assert_eq!(ids_under(&store, &name, Table::Attempt, "M7").await, ["M7/1", "M7/2", "M7/3", "M7/4"]);
    assert_eq!(ids_under(&store, &name, Table::Body, "M7").await, ["M7/4"]);
    assert_eq!(ids_under(&store, &name, Table::Attempt, "M9").await, ["M9/1", "M9/3"]);
    assert_eq!(ids_under(&store, &name, Table::Attempt, "gone").await, ["gone/1"]);
    assert_eq!(ids_under(&store, &name, Table::Notice, "I3").await, ["N3", "N90", "Nx"]);
    assert_eq!(ids_under(&store, &name, Table::Message, "N90").await, ["M90"]);
    check_about(&store, &name, 60).await;
    assert_eq!(store.verify(&name).await.unwrap().records, 60);
    store.close().await.unwrap();
    let checked = check(&path).unwrap();
    assert_eq!((checked.schema, checked.faults), (migrate::known(), vec![]));
}

/// Every record is found by what it is about, once.
async fn check_about(store: &SqliteStore, name: &Arc<str>, last: u64) {
    for incident in ["I0", "I1", "I2"] {
        let query = AuditQuery { incident: Some(incident.to_owned()), ..AuditQuery::default() };
        let found = store.audit(name, query).await.unwrap();
        let want = (1..=last).filter(|seq| format!("I{}", seq % 3) == incident);
        assert!(found.iter().map(|kept| kept.record.seq).eq(want), "{incident}");
    }
}

#[tokio::test]
async fn a_child_that_is_kept_elsewhere_is_noticed() {
    let (_folder, path) = folder();
    let name = desk("d");
    let store = open(&path);
    store.commit(&name, batch(sample_rows(), 1..=3)).await.unwrap();
    store.close().await.unwrap();
    let conn = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(conn.execute("UPDATE message SET kin = kin + 1 WHERE id = 'M7'", []).unwrap(), 1);
    drop(conn);
    let verified = open(&path).verify(&name).await.unwrap();
    let what = verified.mismatch.unwrap_or_default();
    assert_eq!(what, "the row M7 of message is not kept with what it belongs to");
}

/// A row that is kept again has the number that it had, though the next number of its table was the last that another
/// table gave away.
#[tokio::test]
async fn a_child_of_a_row_that_is_kept_again_is_kept_with_it() {
    let (_folder, path) = folder();
    let (name, store) = (desk("d"), open(&path));
    let incident = || row(Table::Incident, "I1", b"{}");
    let of = |id: &str| child(Table::Notice, id, "I1", b"{}");
    store.commit(&name, batch(vec![incident(), of("N1"), of("N2")], 1..=1)).await.unwrap();
    store.commit(&name, batch(vec![incident(), of("N3")], 2..=2)).await.unwrap();
    assert_eq!(ids_under(&store, &name, Table::Notice, "I1").await, ["N1", "N2", "N3"]);
}

#[test]
fn the_beginning_of_an_id_is_whole_letters() {
    for (id, want) in [
        ("", ""),
        ("I1", "I1"),
        ("5C8RT9NH3V2M6QGXK4E0YB7DWF", "5C8RT9NH3V2M"),
        ("售后客服组", "售后客服"),
        ("a售后客服组", "a售后客"),
        ("a\0b", "a"),
    ] {
        assert_eq!(about::beginning(id), want, "{id:?}");
    }
}
