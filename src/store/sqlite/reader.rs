//! Reading beside the writer: a few threads, each with a connection that only reads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use tokio::sync::{Semaphore, oneshot};

use crate::core::ids::hex;
use crate::core::model::{AuditRecord, Table};

use super::super::chain::{self, Digest};
use super::super::{AuditQuery, Each, KeptAudit, RowQuery, StoreError, Stored};
use super::about;
use super::fault::{During, classify};
use super::queue::{Bound, Queue};
use super::rows::{self, Read};
use super::writer::desk_no;

/// Something to do with a connection.
type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// How many questions may wait; the next one waits outside.
const WAITING: usize = 64;

/// The readers of a store.
pub(super) struct Readers {
    line: Arc<Queue<Job>>,
    room: Semaphore,
    /// Rows that were found altered.
    pub(super) altered: Arc<AtomicU64>,
}

impl Readers {
    pub(super) fn new() -> Readers {
        Readers {
            line: Queue::new(Bound { count: WAITING, bytes: usize::MAX }),
            room: Semaphore::new(WAITING),
            altered: Arc::new(AtomicU64::new(0)),
        }
    }

    /// What a reader's thread does: one question after another, until the store is closed.
    pub(super) fn work(&self, mut conn: Connection) -> impl FnOnce() + Send + 'static {
        let line = self.line.clone();
        move || {
            while let Some(jobs) = line.take(|_| false) {
                for job in jobs {
                    // A defect in one question must not end the thread; whoever asked sees its answer dropped.
                    _ = catch_unwind(AssertUnwindSafe(|| job(&mut conn)));
                }
            }
        }
    }

    /// Lets no question in any more; those that stand in line are still answered.
    pub(super) fn close(&self) {
        self.room.close();
        self.line.close();
    }

    /// Asks a reader.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        path: PathBuf,
        run: impl FnOnce(&mut Connection) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, arrive) = oneshot::channel();
        let place = path.display().to_string();
        let job: Job = Box::new(move |conn| {
            if answer.is_closed() {
                return;
            }
            let done = run(conn).map_err(|e| e.at(&path));
            // Whoever asked may have gone.
            _ = answer.send(done);
        });
        // Whoever has no room waits here, and not in the line.
        let _room = self.room.acquire().await.map_err(|_| StoreError::Closed)?;
        self.line.enter(job, 0).map_err(|_| StoreError::Closed)?;
        arrive
            .await
            .map_err(|_| StoreError::Other { place, reason: "the question failed within".to_owned() })?
    }
}

/// Why a question was not answered.
pub(super) enum ReadError {
    Sql(rusqlite::Error),
    Damaged(String),
    Told(StoreError),
}

impl ReadError {
    /// The error of the store at `path`.
    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            ReadError::Sql(e) => classify(path, &e, During::Read),
            ReadError::Told(e) => e,
            ReadError::Damaged(reason) => StoreError::Damaged { place: path.display().to_string(), reason },
        }
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> ReadError {
        ReadError::Sql(error)
    }
}

/// Tells of a row that is not as it was written. It is left out: its thing is derived again from its source (§16.4).
pub(super) fn leave_out(path: &Path, table: Table, id: &str, altered: &AtomicU64) {
    altered.fetch_add(1, Ordering::Relaxed);
    tracing::error!(
        store = %path.display(), table = table.word(), row = id.replace('\0', "/"),
        "a row was altered on the medium and is left out"
    );
}

/// How many rows are handed over at once, and how many hands may wait.
const HAND: usize = 512;
const HANDS: usize = 8;

/// The other half of a load: takes the rows over from the reader and hands them to `each`, on a thread of its own, so
/// that one is read while another is made use of.
pub(super) fn taker(mut each: Each) -> (SyncSender<Vec<Stored>>, impl FnOnce() + Send + 'static) {
    let (hand, take) = std::sync::mpsc::sync_channel::<Vec<Stored>>(HANDS);
    (hand, move || {
        for rows in take {
            rows.into_iter().for_each(&mut each);
        }
    })
}

/// Reads every row of the tables, table by table, and hands them over.
pub(super) fn load(
    conn: &mut Connection,
    path: &Path,
    desk: &str,
    tables: &[Table],
    to: &SyncSender<Vec<Stored>>,
    altered: &AtomicU64,
) -> Result<u64, ReadError> {
    let hand = |rows: &mut Vec<Stored>| {
        let rows = std::mem::replace(rows, Vec::with_capacity(HAND));
        to.send(rows).map_err(|_| {
            let place = path.display().to_string();
            ReadError::Told(StoreError::Other { place, reason: "the question failed within".to_owned() })
        })
    };
    let mut rows = Vec::with_capacity(HAND);
    // One snapshot for all tables.
    let tx = conn.transaction()?;
    let Some(no) = desk_no(&tx, desk)? else { return Ok(0) };
    let mut count = 0;
    for table in tables {
        let mut statement = tx.prepare_cached(&rows::of(*table).load)?;
        let mut found = statement.query(params![rows::first_nr(no), rows::first_nr(no + 1)])?;
        while let Some(row) = found.next()? {
            match rows::read(desk, *table, row)? {
                Read::Whole(stored) => {
                    count += 1;
                    rows.push(stored);
                    if rows.len() == HAND {
                        hand(&mut rows)?;
                    }
                }
                Read::Altered(id) => leave_out(path, *table, &id, altered),
            }
        }
    }
    hand(&mut rows)?;
    Ok(count)
}

/// Some rows, in the order of ids.
pub(super) fn rows(
    conn: &mut Connection,
    path: &Path,
    desk: &str,
    query: &RowQuery,
    altered: &AtomicU64,
) -> Result<Vec<Stored>, ReadError> {
    let Some(no) = desk_no(conn, desk)? else { return Ok(Vec::new()) };
    let (sql, values) = rows_sql(no, query);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    let mut list = Vec::new();
    while let Some(row) = found.next()? {
        match rows::read(desk, query.table, row)? {
            Read::Whole(stored) => list.push(stored),
            Read::Altered(id) => leave_out(path, query.table, &id, altered),
        }
    }
    Ok(list)
}

/// The question for rows, and its values.
pub(super) fn rows_sql(no: i64, query: &RowQuery) -> (String, Vec<Value>) {
    let kin = rows::kin_of(query.table).zip(query.parent.as_ref());
    // The sign keeps SQLite from walking over the whole desk instead.
    let desk = if kin.is_some() { "+desk" } else { "desk" };
    let mut sql = format!("SELECT {} FROM {} WHERE {desk} = ?", rows::COLUMNS, rows::name(query.table));
    let mut values = vec![Value::Integer(no)];
    if let Some(prefix) = query.id_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
        sql.push_str(" AND id >= ?");
        values.push(rows::text(prefix));
        if let Some(end) = rows::after_prefix(prefix) {
            sql.push_str(" AND id < ?");
            values.push(rows::text(&end));
        }
    }
    if let Some((kin, parent)) = kin {
        sql.push_str(&format!(
            " AND kin IN (coalesce((SELECT p.nr FROM {} p WHERE p.desk = ? AND p.id = ?), -1), ?)",
            rows::name(kin)
        ));
        values.extend([Value::Integer(no), rows::text(parent), Value::Integer(rows::first_nr(no))]);
    }
    for (column, wanted) in [("state", &query.state), ("parent", &query.parent)] {
        if let Some(wanted) = wanted {
            sql.push_str(&format!(" AND {column} = ?"));
            values.push(rows::text(wanted));
        }
    }
    sql.push_str(" ORDER BY id LIMIT ?");
    values.push(Value::Integer(i64::try_from(query.limit).unwrap_or(i64::MAX)));
    (sql, values)
}

/// Some audit records, in order. Each is compared with its digest.
pub(super) fn audit(
    conn: &mut Connection,
    desk: &str,
    query: &AuditQuery,
) -> Result<Vec<KeptAudit>, ReadError> {
    let Some(no) = desk_no(conn, desk)? else { return Ok(Vec::new()) };
    let (sql, values) = audit_sql(no, query);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    let mut list = Vec::new();
    while let Some(row) = found.next()? {
        let seq: i64 = row.get(0)?;
        let altered = || ReadError::Damaged(format!("desk {desk}: audit record {seq} was altered"));
        let body: String = row.get(1).map_err(|_| altered())?;
        let digest: Digest = row.get(2).map_err(|_| altered())?;
        let before: Option<Digest> = row.get(3).map_err(|_| altered())?;
        let before = match before {
            Some(before) => before,
            None if seq == 1 => chain::genesis(desk),
            None => return Err(altered()),
        };
        if chain::link(&before, body.as_bytes()) != digest {
            return Err(altered());
        }
        let record: AuditRecord = serde_json::from_str(&body).map_err(|_| altered())?;
        list.push(KeptAudit { record, digest: hex(&digest) });
    }
    Ok(list)
}

/// The question for audit records, each with the digest before it, and its values.
pub(super) fn audit_sql(no: i64, query: &AuditQuery) -> (String, Vec<Value>) {
    let columns = "a.seq, a.body, a.digest, coalesce( \
         (SELECT b.digest FROM audit b WHERE b.desk = a.desk AND b.seq = a.seq - 1), \
         (SELECT s.digest FROM audit_seal s WHERE s.desk = a.desk AND s.last_seq = a.seq - 1))";
    let from = i64::try_from(query.from_seq).unwrap_or(i64::MAX);
    let mut values = vec![Value::Integer(no), Value::Integer(from)];
    let mut also = String::new();
    for (column, wanted) in [("incident", &query.incident), ("message", &query.message)] {
        if let Some(wanted) = wanted {
            values.push(rows::text(wanted));
            also.push_str(&format!(" AND a.{column} = ?{}", values.len()));
        }
    }
    let mut sql = match query.message.as_deref().or(query.incident.as_deref()) {
        None => format!("SELECT {columns} FROM audit a WHERE a.desk = ?1 AND a.seq >= ?2"),
        // Those that are entered, and those at the end that are not yet.
        Some(id) => {
            values.push(rows::text(about::beginning(id)));
            let about = values.len();
            format!(
                "SELECT {columns} FROM audit_about o CROSS JOIN audit a ON a.desk = o.desk AND a.seq = o.seq \
                 WHERE o.desk = ?1 AND o.about = ?{about} AND o.seq >= ?2{also} \
                 UNION ALL \
                 SELECT {columns} FROM audit a WHERE a.desk = ?1 AND a.seq >= ?2 \
                 AND a.seq > (SELECT d.about_to FROM desk d WHERE d.no = ?1){also}"
            )
        }
    };
    sql.push_str(" ORDER BY 1");
    if query.limit > 0 {
        values.push(Value::Integer(i64::try_from(query.limit).unwrap_or(i64::MAX)));
        sql.push_str(&format!(" LIMIT ?{}", values.len()));
    }
    (sql, values)
}
