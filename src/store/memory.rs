//! A store in memory, for demos and tests: the same answers, gone with the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::ids::hex;
use crate::core::model::{AuditRecord, Batch, Table};

use super::accept;
use super::chain::{self, Digest, Head};
use super::{
    AuditQuery, Committed, Each, KeptAudit, RowQuery, Store, StoreError, StoreHealth, Stored, Task, Verified,
};

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    bound: usize,
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::with_bound(BOUND)
    }
}

#[derive(Debug, Default)]
struct State {
    desks: BTreeMap<Arc<str>, Desk>,
    refusing: Option<String>,
    closed: bool,
}

#[derive(Debug)]
struct Desk {
    head: Head,
    /// By table and id; the number says when it was first kept.
    rows: BTreeMap<(Table, String), (u64, Stored)>,
    last_nr: u64,
    audit: Vec<(AuditRecord, String, Digest)>,
}

/// How many rejects and how many parked rows a desk keeps.
const BOUND: usize = 10_000;

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// An empty store that keeps at most so many rejects and so many parked rows of a desk.
    pub fn with_bound(bound: usize) -> MemoryStore {
        MemoryStore { state: Mutex::default(), bound }
    }

    /// From now on every write is refused for `reason`, as on a full disk; `None` takes it back.
    pub fn refuse(&self, reason: Option<&str>) {
        self.lock().refusing = reason.map(str::to_owned);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it is held is a defect of ours; what is in there was whole before each step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(reason: &str) -> StoreError {
    StoreError::Refused { place: "memory".to_owned(), reason: reason.to_owned() }
}

fn ready<'a, T: Send + 'a>(result: Result<T, StoreError>) -> Task<'a, T> {
    Box::pin(std::future::ready(result))
}

impl State {
    fn may_write(&self) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Closed);
        }
        self.refusing.as_deref().map_or(Ok(()), |reason| Err(refused(reason)))
    }

    fn desk(&self, desk: &str) -> Result<Option<&Desk>, StoreError> {
        if self.closed { Err(StoreError::Closed) } else { Ok(self.desks.get(desk)) }
    }

    fn commit(&mut self, name: &Arc<str>, batch: Batch, bound: usize) -> Result<Committed, StoreError> {
        self.may_write()?;
        let other = |reason: String| StoreError::Other { place: "memory".to_owned(), reason };
        let head = self.desks.get(name).map_or_else(|| Head::new(name), |desk| desk.head);
        if let Some(reason) = accept::wrong(&batch, head) {
            return Err(other(format!("desk {name}: {reason}")));
        }
        let mut head = head;
        let mut links = Vec::with_capacity(batch.audit.len());
        for record in &batch.audit {
            links.push(head.append(record).map_err(other)?);
        }
        let took = Duration::ZERO;
        if batch.is_empty() {
            return Ok(Committed { took, last_seq: head.seq });
        }
        // From here on nothing fails: it is whole or not at all.
        let desk = self.desks.entry(name.clone()).or_insert_with(|| Desk {
            head,
            rows: BTreeMap::new(),
            last_nr: 0,
            audit: Vec::new(),
        });
        desk.head = head;
        for row in batch.rows {
            let key = (row.table, row.id);
            let Some(body) = row.body else {
                desk.rows.remove(&key);
                continue;
            };
            desk.last_nr += 1;
            let nr = desk.rows.get(&key).map_or(desk.last_nr, |(nr, _)| *nr);
            let state = row.state.map(str::to_owned);
            let stored = Stored { table: key.0, id: key.1.clone(), state, parent: row.parent, body };
            desk.rows.insert(key, (nr, stored));
        }
        for (record, (body, digest)) in batch.audit.into_iter().zip(links) {
            desk.audit.push((record, body, digest));
        }
        desk.hold_bounds(bound);
        Ok(Committed { took, last_seq: head.seq })
    }
}

impl Desk {
    fn hold_bounds(&mut self, bound: usize) {
        for table in [Table::Reject, Table::Parked] {
            let mut kept: Vec<(u64, String)> =
                self.of(table).map(|(nr, stored)| (*nr, stored.id.clone())).collect();
            kept.sort();
            let over = kept.len().saturating_sub(bound);
            for (_, id) in kept.into_iter().take(over) {
                self.rows.remove(&(table, id));
            }
        }
    }

    /// The rows of a table in the order of ids.
    fn of(&self, table: Table) -> impl Iterator<Item = &(u64, Stored)> {
        self.rows
            .range((table, String::new())..)
            .take_while(move |((t, _), _)| *t == table)
            .map(|(_, row)| row)
    }

    fn verify(&self, name: &str) -> Verified {
        let mut head = Head::new(name);
        let mut mismatch = None;
        for (record, body, digest) in &self.audit {
            if let Err(reason) = head.walk(record.seq, body.as_bytes(), digest) {
                mismatch = Some(reason);
                break;
            }
        }
        Verified { records: self.audit.len() as u64, head: hex(&head.digest), mismatch }
    }
}

impl Store for MemoryStore {
    fn commit_shared(&self, desk: &Arc<str>, batch: Arc<Batch>) -> Task<'_, Committed> {
        ready(self.lock().commit(desk, Arc::unwrap_or_clone(batch), self.bound))
    }

    fn load(&self, desk: &Arc<str>, tables: &[Table], mut each: Each) -> Task<'_, u64> {
        let loaded = self.lock().desk(desk).map(|desk| {
            let mut rows = Vec::new();
            for table in tables {
                let mut of: Vec<&(u64, Stored)> = desk.iter().flat_map(|desk| desk.of(*table)).collect();
                of.sort_by_key(|(nr, _)| *nr);
                rows.extend(of.into_iter().map(|(_, stored)| stored.clone()));
            }
            rows
        });
        // Outside the lock, as `each` is not ours.
        ready(loaded.map(|rows| {
            let count = rows.len() as u64;
            rows.into_iter().for_each(&mut each);
            count
        }))
    }

    fn rows(&self, desk: &Arc<str>, query: RowQuery) -> Task<'_, Vec<Stored>> {
        let fits = |stored: &&Stored| {
            query.id_prefix.as_deref().is_none_or(|prefix| stored.id.starts_with(prefix))
                && (query.state.is_none() || query.state == stored.state)
                && (query.parent.is_none() || query.parent == stored.parent)
        };
        ready(self.lock().desk(desk).map(|desk| {
            desk.iter()
                .flat_map(|desk| desk.of(query.table))
                .map(|(_, stored)| stored)
                .filter(fits)
                .take(query.limit)
                .cloned()
                .collect()
        }))
    }

    fn audit(&self, desk: &Arc<str>, query: AuditQuery) -> Task<'_, Vec<KeptAudit>> {
        let fits = |record: &AuditRecord| {
            record.seq >= query.from_seq
                && (query.incident.is_none() || query.incident == record.incident)
                && (query.message.is_none() || query.message == record.message)
        };
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        ready(self.lock().desk(desk).map(|desk| {
            desk.iter()
                .flat_map(|desk| &desk.audit)
                .filter(|(record, ..)| fits(record))
                .take(limit)
                .map(|(record, _, digest)| KeptAudit { record: record.clone(), digest: hex(digest) })
                .collect()
        }))
    }

    fn verify(&self, desk: &Arc<str>) -> Task<'_, Verified> {
        ready(self.lock().desk(desk).map(|found| match found {
            Some(found) => found.verify(desk),
            None => Verified { records: 0, head: hex(&chain::genesis(desk)), mismatch: None },
        }))
    }

    fn probe(&self) -> Task<'_, ()> {
        ready(self.lock().may_write())
    }

    fn health(&self) -> StoreHealth {
        let state = self.lock();
        let rows = state.desks.values().flat_map(|desk| desk.rows.values());
        let size = rows.map(|(_, stored)| (stored.id.len() + stored.body.len()) as u64).sum();
        StoreHealth { size_bytes: size, ..StoreHealth::default() }
    }

    fn close(&self) -> Task<'_, ()> {
        self.lock().closed = true;
        ready(Ok(()))
    }
}
