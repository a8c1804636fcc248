//! What a desk is made of, and how it comes out of the store again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::core::alerting::{Letter, RenderFault, Renderer, Setup};
use crate::core::calendar::Era;
use crate::core::clock::PolicyConfig;
use crate::core::engine::Desk;
use crate::core::ids::InstallationKey;
use crate::core::model::{Body, Row, Table};
use crate::core::parcel::learned::LearnedSetup;
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::store::{RowQuery, Store, StoreError};

/// Rows of [`Table::Meta`] that begin with this are the daemon's, not the desk's.
pub const OURS: &str = "daemon/";

/// Everything that a desk is made of.
#[derive(Clone)]
pub struct Blueprint {
    /// What alerting goes by.
    pub setup: Setup,
    /// What the clocks go by.
    pub policy: PolicyConfig,
    /// What is learned of parcels by; `None`: nothing is.
    pub learned: Option<LearnedSetup>,
    /// The installation's key.
    pub key: InstallationKey,
    /// The boot epoch.
    pub epoch: u64,
    /// Sources that promised to speak at least so often.
    pub expected: BTreeMap<Arc<str>, Span>,
    /// Makes the texts.
    pub renderer: Arc<dyn Renderer + Send + Sync>,
}

impl std::fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blueprint").field("revision", &self.setup.revision).finish_non_exhaustive()
    }
}

/// A desk that was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// It.
    pub desk: Desk,
    /// How many rows it was made of.
    pub rows: u64,
    /// Rows that could not be read, with the reason; the first few.
    pub unread: Vec<String>,
}

/// Why a desk could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy has errors, though it was checked before.
    #[error("the policy has {0} errors")]
    Policy(usize),
    /// Loading died in the middle.
    #[error("loading the desk died in the middle")]
    Died,
}

/// What is known of the time at which a desk is loaded, where it is earlier than what the desk had reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// Nothing yet: the desk waits for the time that it had reached.
    Waits,
    /// The clock was ahead, and is right now (T3): the desk goes back.
    GoesBack {
        /// By how much it was ahead.
        by: Span,
    },
}

impl Blueprint {
    /// The desk as the store has it, ready to work at `now`.
    ///
    /// # Errors
    /// The store cannot be read, or a row lets the engine die.
    pub async fn load(&self, store: &dyn Store, now: Instant, earlier: Earlier) -> Result<Loaded, LoadError> {
        let mut problems = Problems::new();
        let made = Desk::new(
            self.setup.clone(),
            &self.policy,
            self.key.clone(),
            self.epoch,
            Some(now),
            Era::DEFAULT,
            &mut problems,
        );
        let mut desk = made.ok_or(LoadError::Policy(problems.error_count()))?;
        if let Some(learned) = &self.learned {
            desk.learn(learned.clone());
        }
        // The store hands the rows over on a thread of its own; the lock is only ever held there.
        let shared = Arc::new(Mutex::new((desk, Vec::new())));
        let filling = shared.clone();
        // Of the bodies only a few are needed: those of attempts that may be repeated.
        let tables: Vec<Table> = Table::ALL.into_iter().filter(|table| *table != Table::Body).collect();
        let mut rows = store
            .load(
                &self.setup.desk,
                &tables,
                Box::new(move |stored| {
                    if stored.table == Table::Meta && stored.id.starts_with(OURS) {
                        return;
                    }
                    let mut filling = filling.lock().unwrap_or_else(PoisonError::into_inner);
                    let (desk, unread) = &mut *filling;
                    if let Err(e) = desk.restore(stored.table, &stored.id, &stored.body)
                        && unread.len() < 20
                    {
                        unread.push(format!("{} {}: {e}", stored.table.word(), stored.id.escape_debug()));
                    }
                }),
            )
            .await?;
        let lock = Arc::into_inner(shared).ok_or(LoadError::Died)?;
        let (mut desk, mut unread) = lock.into_inner().map_err(|_| LoadError::Died)?;
        for message in desk.without_body() {
            let query = RowQuery {
                table: Table::Body,
                id_prefix: None,
                state: None,
                parent: Some(message.to_string()),
                limit: usize::MAX,
            };
            for body in store.rows(&self.setup.desk, query).await? {
                rows += 1;
                if let Err(e) = desk.restore(body.table, &body.id, &body.body) {
                    unread.push(format!("{} {}: {e}", body.table.word(), body.id.escape_debug()));
                }
            }
        }
        guarded(|| match earlier {
            Earlier::GoesBack { by } if desk.now() > now => desk.start_back(now, by),
            Earlier::GoesBack { .. } | Earlier::Waits => desk.start(now),
        })
        .map_err(|_| LoadError::Died)?;
        unread.extend(desk.unlearned().map(ToString::to_string));
        Ok(Loaded { desk, rows, unread })
    }
}

/// A row of the daemon's own.
pub fn meta(name: &str, value: &serde_json::Value) -> Row {
    Row {
        table: Table::Meta,
        id: format!("{OURS}{name}"),
        state: None,
        parent: None,
        wake: None,
        body: Some(value.to_string().into_bytes()),
    }
}

/// The engine panicked: a bug of ours. What it held is not to be trusted any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine panicked: {0}")]
pub struct Panicked(pub String);

/// Runs a piece of the engine; a panic is an error of this call, and whoever gets it drops what was being changed.
///
/// # Errors
/// It panicked.
pub fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, Panicked> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|cause| {
        let text = cause
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| cause.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Panicked(text)
    })
}

/// A renderer whose panics are faults of the template, and that says "(存储故障)" where it must.
pub(super) struct Careful<'r> {
    pub(super) inner: &'r (dyn Renderer + Send + Sync),
    /// The claim will not be in the store (§16.4).
    pub(super) unrecorded: bool,
}

impl Renderer for Careful<'_> {
    fn render(&self, letter: &Letter<'_>) -> Result<Body, RenderFault> {
        crate::fail::fail_point("render");
        let made = guarded(|| match self.unrecorded {
            true => self.inner.render(&Letter { unrecorded: true, ..letter.clone() }),
            false => self.inner.render(letter),
        });
        made.unwrap_or_else(|panicked| {
            Err(RenderFault { template: letter.purpose.word().to_owned(), reason: panicked.to_string() })
        })
    }
}
