//! The one writer: a thread that owns the connection, makes one commit of all batches that wait, and answers each once
//! the commit is durable.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB, OptionalExtension, TransactionBehavior, params};
use tokio::sync::oneshot;

use crate::core::model::{Batch, Row, Table};
use crate::fail::fail_point;

use super::super::accept::wrong;
use super::super::chain::Head;
use super::super::{Committed, StoreError};
use super::about::About;
use super::disk::Ballast;
use super::fault::{During, classify};
use super::open::{SqliteOptions, key, set_value};
use super::queue::Queue;
use super::rows;
use super::stopwatch::Stopwatch;

/// What waits for the writer.
pub(super) enum Work {
    /// A batch to keep.
    Keep(Job),
    /// Something else to do between commits.
    Run(Box<dyn FnOnce(&mut Writer) + Send>),
}

/// A batch and who waits for it.
pub(super) struct Job {
    pub(super) desk: Arc<str>,
    pub(super) batch: Arc<Batch>,
    pub(super) since: Stopwatch,
    pub(super) answer: oneshot::Sender<Result<Committed, StoreError>>,
}

/// The line before the writer.
pub(super) type Line = Queue<Work>;

/// The log is carried over into the file when it has so many pages, 64 MB: a page that many commits change is carried
/// over once.
const CHECKPOINT_PAGES: i32 = 8000;

/// The numbers of so many rows of a table are remembered.
const KIN: usize = 2048;

/// Why a batch fails that has nothing wrong with it.
const BEHIND: &str = "a batch of the same desk before it was not kept";

/// How much of a batch counts towards the bounds.
pub(super) fn bytes_of(batch: &Batch) -> usize {
    let rows = batch.rows.iter().map(|row| row.id.len() + row.body.as_ref().map_or(0, Vec::len) + 64);
    rows.sum::<usize>() + batch.audit.len() * 512
}

/// Whether a batch says what became of an attempt; only where a test asks.
fn has_outcome(batch: &Batch) -> bool {
    cfg!(any(test, feature = "fail-points"))
        && batch.rows.iter().any(|r| r.table == Table::Attempt && r.state.is_some_and(|s| s != "inflight"))
}

/// Whether a row cannot have been kept before: an attempt that begins, and what it sends.
fn is_new(row: &Row) -> bool {
    row.table == Table::Body || row.table == Table::Attempt && row.state == Some("inflight")
}

/// The owner of the connection.
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
    pub(super) options: SqliteOptions,
    line: Arc<Line>,
    /// What is known of each desk; forgotten when a transaction is rolled back.
    desks: BTreeMap<Arc<str>, Desk>,
    /// After a failed flush or damage nothing is written any more.
    pub(super) broken: Option<StoreError>,
    pub(super) ballast: Ballast,
}

/// What the writer knows of a desk.
pub(super) struct Desk {
    pub(super) no: i64,
    pub(super) head: Head,
    /// The last row number of each table, once it was needed.
    last_nr: BTreeMap<Table, i64>,
    /// How many rows a bounded table has at most, once it was needed.
    counts: BTreeMap<Table, u64>,
    /// The numbers of rows that were put last, by table and id: others belong to them.
    kin: BTreeMap<Table, HashMap<String, i64>>,
    about: About,
}

impl Writer {
    pub(super) fn new(conn: Connection, path: PathBuf, options: SqliteOptions, line: Arc<Line>) -> Writer {
        let ballast = Ballast::of(&path, options.ballast_bytes);
        Writer { conn, path, options, line, desks: BTreeMap::new(), broken: None, ballast }
    }

    /// Works until the line is closed and empty, then closes the store in good order.
    pub(super) fn run(mut self) {
        let line = self.line.clone();
        loop {
            let (mut rows, mut bytes) = (0, 0);
            let taken = line.take(|work| match work {
                Work::Run(_) => false,
                Work::Keep(job) => {
                    rows += job.batch.rows.len() + job.batch.audit.len();
                    bytes += bytes_of(&job.batch);
                    rows <= self.options.commit_rows && bytes <= self.options.commit_bytes
                }
            });
            let Some(taken) = taken else { break };
            let mut jobs = Vec::new();
            for work in taken {
                match work {
                    Work::Keep(job) => jobs.push(job),
                    // Only ever the first of a group, and then alone with the batches behind it, which come after.
                    Work::Run(run) => {
                        if catch_unwind(AssertUnwindSafe(|| run(&mut self))).is_err() {
                            self.recover();
                        }
                    }
                }
            }
            if !jobs.is_empty() {
                self.keep(jobs);
            }
        }
        self.finish();
    }

    /// Keeps a group of batches in one commit, and answers each.
    fn keep(&mut self, jobs: Vec<Job>) {
        let outcome = match &self.broken {
            Some(error) => Err(error.clone()),
            // A panic in here would be a defect of ours: it must fail this group, not silence the store.
            None => self.guarded_commit(&jobs),
        };
        let outcome = match outcome {
            // What the log holds and the file has can be written over: that needs no space.
            Err(error @ StoreError::Refused { .. }) => {
                self.recover();
                match self.make_room() {
                    true => self.guarded_commit(&jobs),
                    false => Err(error),
                }
            }
            outcome => outcome,
        };
        match outcome {
            Ok(answers) => {
                let failed: Vec<Arc<str>> = jobs
                    .iter()
                    .zip(&answers)
                    .filter(|(_, answer)| answer.is_err())
                    .map(|(job, _)| job.desk.clone())
                    .collect();
                let behind =
                    StoreError::Other { place: self.path.display().to_string(), reason: BEHIND.to_owned() };
                self.turn_away(&failed, &behind);
                for (job, answer) in jobs.into_iter().zip(answers) {
                    // Whoever made the rows and holds on to them gives their memory back.
                    drop(job.batch);
                    let answer = answer.map(|last_seq| Committed { took: job.since.elapsed(), last_seq });
                    // Whoever asked may have gone; the batch is kept all the same.
                    _ = job.answer.send(answer);
                }
                if self.checkpoint_when_due() {
                    self.ballast.tend();
                }
            }
            Err(error) => {
                self.recover();
                if matches!(error, StoreError::Flush { .. } | StoreError::Damaged { .. }) {
                    tracing::error!(store = %self.path.display(), %error, "the store is given up");
                    self.broken = Some(error.clone());
                }
                let desks: Vec<Arc<str>> = jobs.iter().map(|job| job.desk.clone()).collect();
                self.turn_away(&desks, &error);
                for job in jobs {
                    _ = job.answer.send(Err(error.clone()));
                }
            }
        }
    }

    fn guarded_commit(&mut self, jobs: &[Job]) -> Result<Vec<Result<u64, StoreError>>, StoreError> {
        catch_unwind(AssertUnwindSafe(|| self.commit(jobs))).unwrap_or_else(|_| {
            Err(StoreError::Other {
                place: self.path.display().to_string(),
                reason: "the writer failed within; nothing of the batch was kept".to_owned(),
            })
        })
    }

    /// Carries over what the log holds, so that the log begins anew where it lies. Answers whether anything was.
    fn make_room(&mut self) -> bool {
        let log = |conn: &Connection| conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::NOOP).ok();
        let before = log(&self.conn);
        if let Err(e) = self.conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::PASSIVE) {
            // A disk that is full is what this is about, and told already.
            if let error @ (StoreError::Flush { .. } | StoreError::Damaged { .. }) =
                classify(&self.path, &e, During::Write)
            {
                self.broken = Some(error);
            }
            return false;
        }
        let after = log(&self.conn);
        after != before && after.is_some_and(|(pages, carried)| pages == carried)
    }

    /// Later batches of a desk do not overtake one that failed: those that wait already fail as well.
    fn turn_away(&mut self, desks: &[Arc<str>], error: &StoreError) {
        if desks.is_empty() {
            return;
        }
        let waiting = self.line.remove(|work| matches!(work, Work::Keep(job) if desks.contains(&job.desk)));
        for work in waiting {
            if let Work::Keep(job) = work {
                _ = job.answer.send(Err(error.clone()));
            }
        }
    }

    /// Ends whatever transaction is open and forgets what was known of the desks.
    fn recover(&mut self) {
        if !self.conn.is_autocommit() {
            // SQLite may have rolled back itself; a rollback that fails leaves the next BEGIN to fail and tell.
            _ = self.conn.execute_batch("ROLLBACK");
        }
        self.desks.clear();
    }

    /// Forgets what was known of the desks: it is looked up again.
    pub(super) fn forget(&mut self) {
        self.desks.clear();
    }

    /// One transaction over all batches. `Ok`: it is durable, with the last audit number of each batch, or why that batch
    /// was left out. `Err`: nothing was kept.
    fn commit(&mut self, jobs: &[Job]) -> Result<Vec<Result<u64, StoreError>>, StoreError> {
        let path = self.path.clone();
        let sql = |e: rusqlite::Error| classify(&path, &e, During::Write);
        let other = |reason: String| StoreError::Other { place: path.display().to_string(), reason };
        if jobs.iter().all(|job| job.batch.is_empty()) {
            return jobs.iter().map(|job| Ok(Ok(self.last_seq(&job.desk).map_err(sql)?))).collect();
        }
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(sql)?;
        let mut answers: Vec<Result<u64, StoreError>> = Vec::with_capacity(jobs.len());
        for (i, job) in jobs.iter().enumerate() {
            let earlier = jobs[..i].iter().zip(&answers).any(|(j, a)| a.is_err() && j.desk == job.desk);
            if earlier {
                answers.push(Err(other(BEHIND.to_owned())));
                continue;
            }
            let mut desk = match self.desks.remove(&job.desk) {
                Some(desk) => desk,
                None => self.desk(&job.desk).map_err(sql)?,
            };
            let wrong = wrong(&job.batch, desk.head);
            if wrong.is_none() {
                self.put(&job.desk, &mut desk, &job.batch).map_err(|e| match e {
                    PutError::Sql(e) => sql(e),
                    PutError::Chain(reason) => other(reason),
                })?;
            }
            answers.push(match wrong {
                None => Ok(desk.head.seq),
                Some(reason) => Err(other(format!("desk {}: {reason}", job.desk))),
            });
            self.desks.insert(job.desk.clone(), desk);
        }
        let outcomes = jobs.iter().any(|job| has_outcome(&job.batch));
        fail_point("rows_put");
        if outcomes {
            fail_point("outcome_put");
        }
        self.conn.execute_batch("COMMIT").map_err(sql)?;
        if outcomes {
            fail_point("outcome_done");
        }
        fail_point("commit_done");
        Ok(answers)
    }

    fn last_seq(&self, desk: &str) -> rusqlite::Result<u64> {
        if let Some(desk) = self.desks.get(desk) {
            return Ok(desk.head.seq);
        }
        match desk_no(&self.conn, desk)? {
            Some(no) => Ok(head(&self.conn, desk, no)?.seq),
            None => Ok(0),
        }
    }

    /// What is known of a desk, which begins here if it is new.
    fn desk(&self, name: &str) -> rusqlite::Result<Desk> {
        let no = match desk_no(&self.conn, name)? {
            Some(no) => no,
            None => self.conn.query_row(
                "INSERT INTO desk (no, name) SELECT coalesce(max(no), 0) + 1, ?1 FROM desk RETURNING no",
                [name],
                |row| row.get(0),
            )?,
        };
        let head = head(&self.conn, name, no)?;
        let about = About::of(&self.conn, no)?;
        Ok(Desk { no, head, last_nr: BTreeMap::new(), counts: BTreeMap::new(), kin: BTreeMap::new(), about })
    }

    fn put(&self, name: &str, desk: &mut Desk, batch: &Batch) -> Result<(), PutError> {
        // Table by table, in each in the order given: what a row belongs to is there before it.
        let mut order: Vec<&Row> = batch.rows.iter().collect();
        order.sort_by_key(|row| row.table);
        for row in order {
            let sql = rows::of(row.table);
            match &row.body {
                Some(body) => self.put_row(name, desk, row, body)?,
                None => {
                    let dropped = self.conn.prepare_cached(&sql.drop)?.execute(params![desk.no, row.id])?;
                    if let Some(count) = desk.counts.get_mut(&row.table) {
                        *count = count.saturating_sub(dropped as u64);
                    }
                    if let Some(known) = desk.kin.get_mut(&row.table) {
                        known.remove(&row.id);
                    }
                }
            }
        }
        for record in &batch.audit {
            let (body, digest) = desk.head.append(record).map_err(PutError::Chain)?;
            self.conn
                .prepare_cached(
                    "INSERT INTO audit (desk, seq, at, body, digest) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![desk.no, record.seq as i64, record.at.as_millis(), body, digest])?;
            desk.about.note(record);
        }
        desk.about.fill_when_due(&self.conn, desk.no, desk.head.seq)?;
        Ok(())
    }

    fn put_row(&self, name: &str, desk: &mut Desk, row: &Row, body: &[u8]) -> rusqlite::Result<()> {
        let sql = rows::of(row.table);
        let (wake, sum) = (row.wake.map(|wake| wake.as_millis()), rows::sum(name, row, body));
        let body = rows::bind_body(row.table, body);
        if let Some(kin) = rows::kin_of(row.table) {
            let mut renew = self.conn.prepare_cached(sql.renew.as_deref().unwrap_or_default())?;
            let (found, renewed) = if is_new(row) {
                (self.kin(desk, kin, rows::kin_id(row))?, 0)
            } else if rows::is_by_kin(row.table) {
                let found = self.kin(desk, kin, rows::kin_id(row))?;
                // It may have been kept before the message that it belongs to was.
                let mut renewed = 0;
                for kin in [found, rows::first_nr(desk.no)] {
                    if renewed == 0 {
                        let values = params![desk.no, row.id, row.state, row.parent, wake, sum, body, kin];
                        renewed = renew.execute(values)?;
                    }
                }
                (found, renewed)
            } else {
                let renewed =
                    renew.execute(params![desk.no, row.id, row.state, row.parent, wake, sum, body])?;
                (if renewed == 0 { self.kin(desk, kin, rows::kin_id(row))? } else { 0 }, renewed)
            };
            if renewed == 0 {
                let nr = self.next_nr(desk, row.table)?;
                let values = params![nr, desk.no, row.id, row.state, row.parent, wake, sum, body, found];
                let last = self.conn.last_insert_rowid();
                self.conn.prepare_cached(&sql.put)?.execute(values)?;
                self.note_kin(desk, row, nr, last);
            }
            return Ok(());
        }
        let nr = self.next_nr(desk, row.table)?;
        let values = params![nr, desk.no, row.id, row.state, row.parent, wake, sum, body];
        let mut put = self.conn.prepare_cached(&sql.put)?;
        let last = self.conn.last_insert_rowid();
        // A row that is there with another parent is left as it is: it nearly never changes.
        if put.execute(values)? == 0 {
            self.conn.prepare_cached(&sql.adopt)?.execute(params![desk.no, row.id, row.parent])?;
            put.execute(values)?;
        }
        drop(put);
        self.note_kin(desk, row, nr, last);
        self.hold_bound(desk, row.table)
    }

    /// The number of the row that another belongs to; the first number of the desk where it is not there.
    fn kin(&self, desk: &Desk, table: Table, id: Option<&str>) -> rusqlite::Result<i64> {
        let Some(id) = id else { return Ok(rows::first_nr(desk.no)) };
        if let Some(nr) = desk.kin.get(&table).and_then(|known| known.get(id)) {
            return Ok(*nr);
        }
        let mut nr = self.conn.prepare_cached(&rows::of(table).nr)?;
        let found: Option<i64> = nr.query_row(params![desk.no, id], |row| row.get(0)).optional()?;
        Ok(found.unwrap_or_else(|| rows::first_nr(desk.no)))
    }

    /// Remembers the number of a row that was put: those that belong to it come next. `last` is the number that was
    /// inserted last before it: a row that was there already keeps its own, and the last inserted, of whatever table, may
    /// be the same number as the one that it was not given.
    fn note_kin(&self, desk: &mut Desk, row: &Row, nr: i64, last: i64) {
        if !rows::has_kin(row.table) || last == nr || self.conn.last_insert_rowid() != nr {
            return;
        }
        let known = desk.kin.entry(row.table).or_default();
        if known.len() >= KIN {
            known.clear();
        }
        known.insert(row.id.clone(), nr);
    }

    /// The number of the next row of a table.
    fn next_nr(&self, desk: &mut Desk, table: Table) -> rusqlite::Result<i64> {
        let nr = match desk.last_nr.get(&table) {
            Some(nr) => nr + 1,
            None => self.last_nr(desk.no, &rows::of(table).last)? + 1,
        };
        desk.last_nr.insert(table, nr);
        Ok(nr)
    }

    fn last_nr(&self, desk: i64, sql: &str) -> rusqlite::Result<i64> {
        let range = params![rows::first_nr(desk), rows::first_nr(desk + 1)];
        let last: Option<i64> = self.conn.prepare_cached(sql)?.query_row(range, |row| row.get(0))?;
        Ok(last.unwrap_or_else(|| rows::first_nr(desk)))
    }

    /// Drops the oldest rows of a table that the store bounds.
    fn hold_bound(&self, desk: &mut Desk, table: Table) -> rusqlite::Result<()> {
        let bound = match table {
            Table::Reject => self.options.rejects,
            Table::Parked => self.options.parked,
            _ => return Ok(()),
        };
        let sql = rows::of(table);
        let range = (rows::first_nr(desk.no), rows::first_nr(desk.no + 1));
        let count = |conn: &Connection| -> rusqlite::Result<u64> {
            let count: i64 = conn.prepare_cached(&sql.count)?.query_row(range, |row| row.get(0))?;
            Ok(count.unsigned_abs())
        };
        // Never less than there are: a row that was kept again counts twice, until the count is taken anew.
        let mut kept = match desk.counts.get(&table) {
            Some(kept) => kept + 1,
            None => count(&self.conn)?,
        };
        if kept > bound {
            kept = count(&self.conn)?;
        }
        if kept > bound {
            // A few more than needed, so that this is not done for every row.
            let over = kept - bound + bound / 16;
            self.conn.prepare_cached(&sql.drop_oldest)?.execute(params![range.0, range.1, over as i64])?;
            kept -= over;
        }
        desk.counts.insert(table, kept);
        Ok(())
    }

    /// Carries the log over into the file once it is long. Answers whether the store is still good.
    fn checkpoint_when_due(&mut self) -> bool {
        // NOOP only tells how long the log is.
        let pages = match self.conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::NOOP) {
            Ok((pages, carried)) => pages - carried,
            Err(_) => CHECKPOINT_PAGES,
        };
        pages < CHECKPOINT_PAGES || self.checkpoint(CheckpointMode::PASSIVE)
    }

    /// Carries the log over. A failed flush in here is a failed flush of commits that were told to be durable.
    pub(super) fn checkpoint(&mut self, mode: CheckpointMode) -> bool {
        let Err(e) = self.conn.wal_checkpoint_v2(Some(MAIN_DB), mode) else { return true };
        let error = classify(&self.path, &e, During::Write);
        match error {
            // Readers or a full disk: the log keeps everything, and the next time may work.
            StoreError::Refused { .. } | StoreError::Locked { .. } => {
                tracing::warn!(store = %self.path.display(), %error, "the log could not be carried over");
                true
            }
            error => {
                tracing::error!(store = %self.path.display(), %error, "the store is given up");
                self.broken = Some(error);
                false
            }
        }
    }

    /// Runs something in a transaction of its own.
    ///
    /// # Errors
    /// It was rolled back.
    pub(super) fn transact<T>(
        &mut self,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let done = (|| {
            let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = run(&tx)?;
            tx.commit()?;
            Ok(done)
        })();
        done.map_err(|e| {
            let error = classify(&self.path, &e, During::Write);
            self.recover();
            match &error {
                StoreError::Flush { .. } | StoreError::Damaged { .. } => self.broken = Some(error.clone()),
                // So that the next one may find room.
                StoreError::Refused { .. } => _ = self.make_room(),
                _ => {}
            }
            error
        })
    }

    /// The last step of an orderly stop: everything in one file, and marked clean.
    fn finish(mut self) {
        if self.broken.is_some() {
            return;
        }
        let closed = self.transact(|conn| set_value(conn, key::CLEAN, 1));
        if let Err(error) = closed {
            // The next start checks the file then, no more.
            tracing::warn!(store = %self.path.display(), %error, "the store could not be marked as closed");
        }
        self.checkpoint(CheckpointMode::TRUNCATE);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // However the thread ends: whoever waits is told, and nobody waits in vain from now on.
        self.line.close();
        drop(self.line.remove(|_| true));
    }
}

/// Why a batch could not be put.
enum PutError {
    Sql(rusqlite::Error),
    Chain(String),
}

impl From<rusqlite::Error> for PutError {
    fn from(error: rusqlite::Error) -> PutError {
        PutError::Sql(error)
    }
}

/// The number of a desk, if it is known.
pub(super) fn desk_no(conn: &Connection, desk: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT no FROM desk WHERE name = ?1")?.query_row([desk], |row| row.get(0)).optional()
}

/// The end of a desk's chain: its last record, or the seal where all records are gone.
pub(super) fn head(conn: &Connection, desk: &str, no: i64) -> rusqlite::Result<Head> {
    let last = conn
        .prepare_cached(
            "SELECT seq, digest FROM (SELECT seq, digest FROM audit WHERE desk = ?1 ORDER BY seq DESC LIMIT 1) \
             UNION ALL \
             SELECT last_seq, digest FROM (SELECT last_seq, digest FROM audit_seal WHERE desk = ?1 ORDER BY last_seq DESC LIMIT 1) \
             ORDER BY 1 DESC LIMIT 1",
        )?
        .query_row([no], |row| {
            let seq: i64 = row.get(0)?;
            Ok(Head { seq: seq.unsigned_abs(), digest: row.get(1)? })
        })
        .optional()?;
    Ok(last.unwrap_or_else(|| Head::new(desk)))
}
