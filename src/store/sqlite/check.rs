//! Whether a store is whole: its pages, its schema, its rows, its audit chain, and what must hold of them (A5).

use std::path::Path;

use rusqlite::{Connection, params};

use crate::core::ids::hex;
use crate::core::model::{AuditRecord, Table};

use super::super::chain::{self, Head};
use super::super::{StoreError, Verified};
use super::invariants::INVARIANTS;
use super::migrate;
use super::open;
use super::reader::ReadError;
use super::rows::{self, Read};
use super::writer::desk_no;

/// What a check of a whole file found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The schema of the file.
    pub schema: u32,
    /// Everything that is wrong with the file itself.
    pub faults: Vec<String>,
    /// Each desk and what came of verifying it.
    pub desks: Vec<(String, Verified)>,
}

impl Checked {
    /// Nothing is wrong.
    pub fn is_fine(&self) -> bool {
        self.faults.is_empty() && self.desks.iter().all(|(_, verified)| verified.mismatch.is_none())
    }
}

/// At most so many faults of pages are told.
const FAULTS_TOLD: u32 = 20;

/// Checks the store at `path`, beside a running daemon or without one. It is only read.
///
/// # Errors
/// It cannot be opened or read, or holds no store.
pub fn check(path: &Path) -> Result<Checked, StoreError> {
    let mut conn = open::open_to_look(path)?;
    check_all(&mut conn).map_err(|e| e.at(path))
}

/// The names of the desks in the store at `path`.
///
/// # Errors
/// It cannot be opened or read, or holds no store.
pub fn desks(path: &Path) -> Result<Vec<String>, StoreError> {
    let conn = open::open_to_look(path)?;
    desk_names(&conn).map_err(|e| ReadError::from(e).at(path))
}

/// Verifies one desk of the store at `path`: the chain and the tables.
///
/// # Errors
/// It cannot be opened or read, or holds no store.
pub fn verify_at(path: &Path, desk: &str) -> Result<Verified, StoreError> {
    let mut conn = open::open_to_look(path)?;
    verify(&mut conn, desk).map_err(|e| e.at(path))
}

/// Some audit records of the store at `path`.
///
/// # Errors
/// It cannot be opened or read, or holds no store.
pub fn audit_at(
    path: &Path,
    desk: &str,
    query: &super::super::AuditQuery,
) -> Result<Vec<super::super::KeptAudit>, StoreError> {
    let mut conn = open::open_to_look(path)?;
    super::reader::audit(&mut conn, desk, query).map_err(|e| e.at(path))
}

/// Some rows of the store at `path`.
///
/// # Errors
/// It cannot be opened or read, or holds no store.
pub fn rows_at(
    path: &Path,
    desk: &str,
    query: &super::super::RowQuery,
) -> Result<Vec<super::super::Stored>, StoreError> {
    let mut conn = open::open_to_look(path)?;
    let altered = std::sync::atomic::AtomicU64::new(0);
    super::reader::rows(&mut conn, path, desk, query, &altered).map_err(|e| e.at(path))
}

fn desk_names(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    conn.prepare("SELECT name FROM desk ORDER BY name")?.query_map([], |row| row.get(0))?.collect()
}

fn check_all(conn: &mut Connection) -> Result<Checked, ReadError> {
    let schema = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut faults: Vec<String> = conn
        .prepare(&format!("PRAGMA integrity_check({FAULTS_TOLD})"))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    faults.retain(|fault| fault != "ok");
    faults.extend(schema_faults(conn)?);
    let mut desks = Vec::new();
    for desk in desk_names(conn)? {
        let verified = verify(conn, &desk)?;
        desks.push((desk, verified));
    }
    Ok(Checked { schema, faults, desks })
}

/// How the schema differs from the one that this program makes.
fn schema_faults(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let objects = |conn: &Connection| -> rusqlite::Result<Vec<(String, String)>> {
        conn.prepare("SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    let mut model = Connection::open_in_memory()?;
    migrate::migrate(&mut model, 0)?;
    let (want, found) = (objects(&model)?, objects(conn)?);
    let mut faults = Vec::new();
    for (name, sql) in &want {
        match found.iter().find(|(other, _)| other == name) {
            None => faults.push(format!("the {name} is missing")),
            Some((_, other)) if other != sql => {
                faults.push(format!("the {name} is not as this program makes it"))
            }
            Some(_) => {}
        }
    }
    let foreign = found.iter().filter(|(name, _)| !want.iter().any(|(other, _)| other == name));
    // ANALYZE leaves tables of SQLite's own.
    let foreign = foreign.filter(|(name, _)| !name.starts_with("table sqlite_"));
    faults.extend(foreign.map(|(name, _)| format!("the {name} is not of this program")));
    Ok(faults)
}

/// Walks the chain of a desk and looks at its tables, all at one instant; tells the first mismatch.
pub(super) fn verify(conn: &mut Connection, desk: &str) -> Result<Verified, ReadError> {
    let tx = conn.transaction()?;
    let Some(no) = desk_no(&tx, desk)? else {
        return Ok(Verified { records: 0, head: hex(&chain::genesis(desk)), mismatch: None });
    };
    let (records, head, mut mismatch) = walk(&tx, desk, no)?;
    if mismatch.is_none() {
        mismatch = altered_row(&tx, desk, no)?;
    }
    if mismatch.is_none() {
        mismatch = unreadable_row(&tx, no)?;
    }
    if mismatch.is_none() {
        mismatch = lost_child(&tx, no)?;
    }
    for invariant in INVARIANTS {
        if mismatch.is_some() {
            break;
        }
        mismatch = first(&tx, &invariant.query(), no)?.map(|what| format!("{}: {what}", invariant.id));
    }
    Ok(Verified { records, head: hex(&head.digest), mismatch })
}

/// The first answer of a query that tells what is wrong.
fn first(conn: &Connection, sql: &str, desk: i64) -> rusqlite::Result<Option<String>> {
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([desk])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}

/// Walks the chain from its first seal on.
fn walk(conn: &Connection, desk: &str, no: i64) -> Result<(u64, Head, Option<String>), ReadError> {
    let mut head = Head::new(desk);
    let mut seals =
        conn.prepare("SELECT first_seq, last_seq, digest FROM audit_seal WHERE desk = ?1 ORDER BY last_seq")?;
    let mut found = seals.query([no])?;
    while let Some(row) = found.next()? {
        let (first_seq, last_seq): (i64, i64) = (row.get(0)?, row.get(1)?);
        if let Err(reason) = head.follows(first_seq.unsigned_abs()) {
            return Ok((0, head, Some(format!("the seals do not follow one another: {reason}"))));
        }
        head = Head { seq: last_seq.unsigned_abs(), digest: row.get(2)? };
    }
    let mut statement =
        conn.prepare("SELECT seq, body, digest, at FROM audit WHERE desk = ?1 ORDER BY seq")?;
    let mut found = statement.query([no])?;
    let mut records = 0;
    while let Some(row) = found.next()? {
        let seq: i64 = row.get(0)?;
        let step = || -> Result<Head, String> {
            let unreadable = |e: rusqlite::Error| format!("audit record {seq} cannot be read: {e}");
            let body: String = row.get(1).map_err(unreadable)?;
            let digest: Vec<u8> = row.get(2).map_err(unreadable)?;
            let mut next = head;
            next.walk(seq.unsigned_abs(), body.as_bytes(), &digest)?;
            let record: AuditRecord =
                serde_json::from_str(&body).map_err(|e| format!("audit record {seq} cannot be read: {e}"))?;
            if row.get::<_, i64>(3).map_err(unreadable)? != record.at.as_millis()
                || record.seq != seq.unsigned_abs()
            {
                return Err(format!("the columns of audit record {seq} differ from the record"));
            }
            Ok(next)
        };
        match step() {
            Ok(next) => head = next,
            Err(reason) => return Ok((records, head, Some(reason))),
        }
        records += 1;
    }
    Ok((records, head, None))
}

/// The first row whose sum does not fit.
fn altered_row(conn: &Connection, desk: &str, no: i64) -> rusqlite::Result<Option<String>> {
    for table in Table::ALL {
        let mut statement = conn.prepare(&rows::of(table).load)?;
        let mut found = statement.query(params![rows::first_nr(no), rows::first_nr(no + 1)])?;
        while let Some(row) = found.next()? {
            if let Read::Altered(id) = rows::read(desk, table, row)? {
                let id = id.replace('\0', "/");
                return Ok(Some(format!("the row {id} of {} was altered", table.word())));
            }
        }
    }
    Ok(None)
}

/// The first row whose number of the row it belongs to is another's: whoever asks for the children would not find it.
fn lost_child(conn: &Connection, no: i64) -> rusqlite::Result<Option<String>> {
    for table in Table::ALL {
        let Some(kin) = rows::kin_of(table) else { continue };
        let belongs = match table {
            Table::Attempt | Table::Body => "rtrim(rtrim(c.id, '0123456789'), '/')",
            _ => "c.parent",
        };
        let sql = format!(
            "SELECT 'the row ' || c.id || ' of {} is not kept with what it belongs to' \
             FROM {} c JOIN {} p ON p.desk = c.desk AND p.id = {belongs} \
             WHERE c.desk = ?1 AND c.kin NOT IN (p.nr, ?1 << 40) LIMIT 1",
            table.word(),
            rows::name(table),
            rows::name(kin)
        );
        if let Some(what) = first(conn, &sql, no)? {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

/// The tables whose rows the invariants look into.
const LOOKED_INTO: [Table; 3] = [Table::Incident, Table::Notice, Table::Message];

/// The first row that should be JSON and is not.
fn unreadable_row(conn: &Connection, no: i64) -> rusqlite::Result<Option<String>> {
    for table in LOOKED_INTO {
        let sql = format!(
            "SELECT 'the row ' || id || ' of {} is not JSON' FROM {} \
             WHERE desk = ?1 AND NOT (typeof(body) = 'text' AND json_valid(body)) LIMIT 1",
            table.word(),
            rows::name(table)
        );
        if let Some(what) = first(conn, &sql, no)? {
            return Ok(Some(what));
        }
    }
    Ok(None)
}
