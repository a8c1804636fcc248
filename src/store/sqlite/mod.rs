//! A desk in one SQLite file: one thread writes, a few read, nothing blocks the runtime.
//!
//! What is asked goes into a bounded line in the order of the calls; the writer makes one commit of all that waits.
//! Opening and closing block, as they must: open before the runtime is busy.

mod about;
mod backup;
mod check;
mod disk;
mod fault;
mod invariants;
mod lock;
mod look;
mod migrate;
mod open;
mod prune;
mod queue;
mod reader;
mod rows;
mod stopwatch;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::core::model::{Batch, Table};
use crate::core::time::Instant;

use super::{
    AuditQuery, Committed, Each, Keep, KeptAudit, Pruned, RowQuery, Store, StoreError, StoreHealth, Stored,
    Task, Verified,
};
pub use backup::{BackupTo, Restored, backup, backups, made_at, restore_newest, vacuum};
pub use check::{Checked, audit_at, check, desks, rows_at, verify_at};
pub use invariants::{INVARIANTS, Invariant};
pub use lock::lock_path;
pub use look::Look;
pub use open::SqliteOptions;
use open::{Opened, key};
use queue::{Queue, Shut};
use reader::Readers;
use stopwatch::Stopwatch;
use writer::{Job, Line, Work, Writer, bytes_of};

/// A store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    line: Arc<Line>,
    readers: Arc<Readers>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    restored: Mutex<Option<String>>,
    /// Held as long as the threads run.
    lock: Mutex<Option<lock::Lock>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the store at `path`, or begins one; its directory is made. This blocks: it reads the whole file when the last
    /// stop was not in good order.
    ///
    /// # Errors
    /// Another process has it, it is damaged, of a newer program, not a store, or cannot be written.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<SqliteStore, StoreError> {
        let Opened { lock, writer, readers: connections, restored } = open::open(path, &options)?;
        let line = Queue::new(options.bound());
        let readers = Arc::new(Readers::new());
        let store = SqliteStore {
            path: path.to_owned(),
            line: line.clone(),
            readers: readers.clone(),
            threads: Mutex::new(Vec::new()),
            restored: Mutex::new(restored),
            lock: Mutex::new(Some(lock)),
        };
        let writer = Writer::new(writer, path.to_owned(), options, line);
        store.start("store-write".to_owned(), move || writer.run())?;
        for (i, conn) in connections.into_iter().enumerate() {
            store.start(format!("store-read-{i}"), readers.work(conn))?;
        }
        Ok(store)
    }

    /// Starts a thread that the close waits for.
    fn start(&self, name: String, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let thread = self.spawn(name, run)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// The only place of this room that starts threads.
    fn spawn(&self, name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
        std::thread::Builder::new().name(name).spawn(run).map_err(|e| StoreError::Other {
            place: self.path.display().to_string(),
            reason: format!("a thread could not be started: {e}"),
        })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Enters the line before the writer.
    fn enter(&self, work: Work, bytes: usize) -> Result<(), StoreError> {
        self.line.enter(work, bytes).map_err(|shut| match shut {
            Shut::Closed => StoreError::Closed,
            Shut::Full(bound) => StoreError::Refused {
                place: self.path.display().to_string(),
                reason: format!(
                    "{} batches or {} wait for the medium already",
                    bound.count,
                    super::Bytes(bound.bytes as u64)
                ),
            },
        })
    }

    /// Runs something on the writer's thread.
    async fn on_writer<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, arrive) = oneshot::channel();
        let work = Work::Run(Box::new(move |writer| {
            // Whoever asked may have gone.
            _ = answer.send(run(writer));
        }));
        self.enter(work, 0)?;
        arrive.await.map_err(|_| StoreError::Closed)?
    }

    /// What there is to stop; nothing when that has been done.
    fn stopping(&self) -> Option<Stop> {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.readers.close();
        (!threads.is_empty()).then(|| Stop { threads, line: self.line.clone(), lock })
    }
}

/// What is left to do when a store stops.
struct Stop {
    /// The writer's first.
    threads: Vec<JoinHandle<()>>,
    line: Arc<Line>,
    lock: Option<lock::Lock>,
}

impl Stop {
    /// Waits for the threads: readers first, so that the writer can bring everything into one file.
    fn finish(mut self) {
        let writer = self.threads.remove(0);
        for thread in self.threads {
            // A thread that panicked has told so; its end is what is waited for.
            _ = thread.join();
        }
        self.line.close();
        _ = writer.join();
        drop(self.lock);
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Some(stop) = self.stopping() {
            stop.finish();
        }
    }
}

impl Store for SqliteStore {
    fn commit_shared(&self, desk: &Arc<str>, batch: Arc<Batch>) -> Task<'_, Committed> {
        let (answer, arrive) = oneshot::channel();
        let bytes = bytes_of(&batch);
        let job = Job { desk: desk.clone(), batch, since: Stopwatch::start(), answer };
        // Now and not when the future is first polled: the order of the calls is the order of the commits.
        let entered = self.enter(Work::Keep(job), bytes);
        Box::pin(async move {
            entered?;
            arrive.await.map_err(|_| StoreError::Closed)?
        })
    }

    fn load(&self, desk: &Arc<str>, tables: &[Table], each: Each) -> Task<'_, u64> {
        let (desk, tables, path) = (desk.clone(), tables.to_vec(), self.path.clone());
        let altered = self.readers.altered.clone();
        let (hand, take) = reader::taker(each);
        Box::pin(async move {
            let taking = self.spawn("store-load".to_owned(), take)?;
            let read = move |conn: &mut rusqlite::Connection| {
                let read = reader::load(conn, &path, &desk, &tables, &hand, &altered);
                drop(hand);
                // What was handed over is taken in before anybody is told that it was.
                let taken = taking.join().is_ok();
                match read {
                    Ok(_) if !taken => Err(reader::ReadError::Told(StoreError::Other {
                        place: path.display().to_string(),
                        reason: "the question failed within".to_owned(),
                    })),
                    read => read,
                }
            };
            self.readers.ask(self.path.clone(), read).await
        })
    }

    fn rows(&self, desk: &Arc<str>, query: RowQuery) -> Task<'_, Vec<Stored>> {
        let (desk, path) = (desk.clone(), self.path.clone());
        let altered = self.readers.altered.clone();
        Box::pin(
            self.readers
                .ask(self.path.clone(), move |conn| reader::rows(conn, &path, &desk, &query, &altered)),
        )
    }

    fn audit(&self, desk: &Arc<str>, query: AuditQuery) -> Task<'_, Vec<KeptAudit>> {
        let desk = desk.clone();
        Box::pin(self.readers.ask(self.path.clone(), move |conn| reader::audit(conn, &desk, &query)))
    }

    fn verify(&self, desk: &Arc<str>) -> Task<'_, Verified> {
        let desk = desk.clone();
        Box::pin(self.readers.ask(self.path.clone(), move |conn| check::verify(conn, &desk)))
    }

    fn probe(&self) -> Task<'_, ()> {
        Box::pin(self.on_writer(|writer| {
            writer.transact(|conn| {
                conn.execute(
                    "INSERT INTO store (key, value) VALUES (?1, 1) ON CONFLICT (key) DO UPDATE SET value = value + 1",
                    [key::PROBE],
                )
                .map(|_| ())
            })
        }))
    }

    fn health(&self) -> StoreHealth {
        let space = disk::space(&self.path);
        StoreHealth {
            free_bytes: space.map(|space| space.free),
            total_bytes: space.map(|space| space.total),
            size_bytes: disk::size(&self.path),
            altered_rows: self.readers.altered.load(Ordering::Relaxed),
        }
    }

    fn release_ballast(&self) -> Task<'_, bool> {
        let place = self.path.display().to_string();
        Box::pin(self.on_writer(move |writer| {
            writer.ballast.release().map_err(|e| StoreError::Other {
                place,
                reason: format!("the ballast cannot be removed: {e}"),
            })
        }))
    }

    fn backup(&self, folder: &Path, keep: u32, now: Instant) -> Task<'_, Option<PathBuf>> {
        let (path, to) = (self.path.clone(), BackupTo::Folder { folder: folder.to_owned(), keep });
        // A reader's thread, with a connection of its own for the copy.
        Box::pin(self.readers.ask(self.path.clone(), move |_| {
            backup(&path, &to, now).map(Some).map_err(reader::ReadError::Told)
        }))
    }

    fn prune(&self, desk: &Arc<str>, keep: Keep) -> Task<'_, Pruned> {
        let desk = desk.clone();
        Box::pin(async move {
            let looked = move |conn: &mut rusqlite::Connection| Ok(prune::plan(conn, &desk, keep)?);
            let plan = self.readers.ask(self.path.clone(), looked).await?;
            if plan.is_empty() {
                return Ok(Pruned::default());
            }
            self.on_writer(move |writer| {
                let pruned = writer.transact(|conn| prune::carry_out(conn, &plan));
                // What is known of the desks may have gone with the rows.
                writer.forget();
                pruned
            })
            .await
        })
    }

    fn restored(&self) -> Option<String> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget_restored(&self) -> Task<'_, ()> {
        Box::pin(async move {
            self.on_writer(|writer| {
                writer.transact(|conn| {
                    conn.execute("DELETE FROM store WHERE key = ?1", [key::RESTORED]).map(|_| ())
                })
            })
            .await?;
            self.restored.lock().unwrap_or_else(PoisonError::into_inner).take();
            Ok(())
        })
    }

    fn close(&self) -> Task<'_, ()> {
        Box::pin(async move {
            let Some(stop) = self.stopping() else { return Ok(()) };
            // Waiting for threads blocks: a thread does that, and ends with it.
            let (done, arrive) = oneshot::channel();
            self.spawn("store-close".to_owned(), move || {
                stop.finish();
                _ = done.send(());
            })?;
            arrive.await.map_err(|_| StoreError::Closed)
        })
    }
}
