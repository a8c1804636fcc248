//! Where a desk is kept: one trait, and the stores that hold it. A store knows rows and audit records, not what they
//! mean.
//!
//! Invariants of this room:
//! - a commit is whole or not at all, and durable when it returns;
//! - the audit is append-only, and each record carries the digest of the one before it;
//! - what is read back is what was written, or an error: never a guess.

mod accept;
pub mod chain;
mod config;
#[cfg(test)]
mod contract;
mod memory;
pub mod sqlite;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::core::model::{AuditRecord, Batch, Table};
use crate::core::time::Instant;

pub use accept::{BODY_BYTES, ID_BYTES};
pub use config::{BadBytes, Bytes, LEAST_CLOSED, SqliteConfig, StoreConfig};
pub use memory::MemoryStore;
pub use sqlite::{SqliteOptions, SqliteStore};

/// A store's answer, in time.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Takes loaded rows one by one.
pub type Each = Box<dyn FnMut(Stored) + Send>;

/// The verbs of a store.
pub trait Store: Send + Sync + 'static {
    /// Keeps a batch: atomic, and durable when it returns. Batches of one desk are kept in the order of the calls, even
    /// when several wait at once; a store may make one commit of many batches.
    fn commit(&self, desk: &Arc<str>, batch: Batch) -> Task<'_, Committed> {
        self.commit_shared(desk, Arc::new(batch))
    }

    /// The same for a batch of which the caller holds on to a copy, as for another try.
    fn commit_shared(&self, desk: &Arc<str>, batch: Arc<Batch>) -> Task<'_, Committed>;

    /// Hands every row of the tables to `each`, table by table in the given order, and answers how many there were.
    fn load(&self, desk: &Arc<str>, tables: &[Table], each: Each) -> Task<'_, u64>;

    /// Some rows, for whoever explains or lists.
    fn rows(&self, desk: &Arc<str>, query: RowQuery) -> Task<'_, Vec<Stored>>;

    /// Some audit records, in order.
    fn audit(&self, desk: &Arc<str>, query: AuditQuery) -> Task<'_, Vec<KeptAudit>>;

    /// Walks the audit chain and the tables, and answers with the first mismatch (A5).
    fn verify(&self, desk: &Arc<str>) -> Task<'_, Verified>;

    /// Writes and syncs something small: whether a commit would succeed now (§16.4).
    fn probe(&self) -> Task<'_, ()>;

    /// Sizes and free space, cheap enough for every second.
    fn health(&self) -> StoreHealth;

    /// Gives up the space that is kept for the worst hour (§16.4). Answers whether there was any: the refused commit is
    /// tried again then. It is laid by again once there is space.
    fn release_ballast(&self) -> Task<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Copies the store as it is at one instant into a directory, in which the newest `keep` copies stay. Answers with the
    /// copy; `None` of a store that is copied by other means.
    fn backup(&self, folder: &Path, keep: u32, now: Instant) -> Task<'_, Option<PathBuf>> {
        let _ = (folder, keep, now);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Drops what is over and old, a bounded part of it (A3). Answers what was dropped, and whether there is more.
    fn prune(&self, desk: &Arc<str>, keep: Keep) -> Task<'_, Pruned> {
        let _ = (desk, keep);
        Box::pin(std::future::ready(Ok(Pruned::default())))
    }

    /// The backup that this store was restored from, until [`Store::forget_restored`]: messages that it shows as waiting
    /// may have been sent since (W22).
    fn restored(&self) -> Option<String> {
        None
    }

    /// The daemon has dealt with the restored state.
    fn forget_restored(&self) -> Task<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Keeps what waits, stops the threads and closes in good order. Everything that is asked later is answered
    /// [`StoreError::Closed`].
    fn close(&self) -> Task<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// From when on things are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Incidents that were resolved before this, and all that belongs to them, are dropped; `None`: none.
    pub closed_from: Option<Instant>,
    /// Audit records before this are dropped; a seal keeps their digest. `None`: none.
    pub audit_from: Option<Instant>,
    /// At most so many incidents and so many records at once, so that commits need not wait long.
    pub at_once: u32,
}

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Incidents.
    pub incidents: u64,
    /// Rows in all, the incidents included.
    pub rows: u64,
    /// Audit records.
    pub audit: u64,
    /// There is more: ask again.
    pub more: bool,
}

/// A commit that is durable.
#[derive(Clone, Copy, Debug)]
pub struct Committed {
    /// How long it took, waiting for others in the same commit included.
    pub took: Duration,
    /// The number of the last audit record of the desk.
    pub last_seq: u64,
}

/// A row as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The table.
    pub table: Table,
    /// The id.
    pub id: String,
    /// The state it was kept with.
    pub state: Option<String>,
    /// The parent it was kept with.
    pub parent: Option<String>,
    /// The row.
    pub body: Vec<u8>,
}

/// Which rows. Everything given must match.
#[derive(Clone, Debug)]
pub struct RowQuery {
    /// The table.
    pub table: Table,
    /// Ids that begin with this.
    pub id_prefix: Option<String>,
    /// This state.
    pub state: Option<String>,
    /// This parent.
    pub parent: Option<String>,
    /// At most so many, in the order of ids.
    pub limit: usize,
}

/// Which audit records. Everything given must match.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// From this number on.
    pub from_seq: u64,
    /// About this incident.
    pub incident: Option<String>,
    /// About this message.
    pub message: Option<String>,
    /// At most so many; 0 for all.
    pub limit: usize,
}

/// An audit record with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAudit {
    /// The record.
    pub record: AuditRecord,
    /// The digest over the record and the digest before it, in hexadecimal.
    pub digest: String,
}

/// What a walk over the audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many records were walked.
    pub records: u64,
    /// The digest of the last one.
    pub head: String,
    /// The first thing that is wrong, in words, if anything is.
    pub mismatch: Option<String>,
}

/// How a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// Free bytes where it lives; `None` where that means nothing.
    pub free_bytes: Option<u64>,
    /// All bytes there.
    pub total_bytes: Option<u64>,
    /// Bytes it takes.
    pub size_bytes: u64,
    /// Rows that were found altered on the medium and left out since it was opened (§16.4): alert when this rises.
    pub altered_rows: u64,
}

/// Why a store failed. The class decides what the daemon does (§16.4).
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No space, read-only, quota: nothing of the batch was kept; later may work.
    #[error("{place}: the write was refused: {reason}")]
    Refused {
        /// The file or server.
        place: String,
        /// Why.
        reason: String,
    },
    /// A flush failed: what is on the medium is unknown. Stop, and start again from it.
    #[error("{place}: a flush to the medium failed: {reason}")]
    Flush {
        /// The file or server.
        place: String,
        /// Why.
        reason: String,
    },
    /// Somebody else holds it.
    #[error("{place} is in use by another process: {holder}")]
    Locked {
        /// The file.
        place: String,
        /// What is known of who.
        holder: String,
    },
    /// It is damaged.
    #[error("{place} is damaged: {reason}")]
    Damaged {
        /// The file.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// It is of a newer program.
    #[error(
        "{place} has schema {found}, this program knows up to {known}: run the newer program, or restore a backup"
    )]
    Newer {
        /// The file.
        place: String,
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Anything else.
    #[error("{place}: {reason}")]
    Other {
        /// The file or server.
        place: String,
        /// What.
        reason: String,
    },
    /// The store has been closed, or its writer has died.
    #[error("the store is closed")]
    Closed,
}
