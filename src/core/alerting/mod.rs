//! The life of an incident and of every message about it (`delivery_semantics` §4–§12): pure, all in virtual time.
//!
//! Signals, human responses and what channels answered go in; rows, audit records, claims and counts come out. The
//! daemon commits what [`Alerting::drain`] gives before anything it was told leaves the process.
//!
//! Invariants of this room:
//! - ids are derived, never drawn: doing the same again gives the same ids (I9);
//! - a level and its notices change together (I6); every terminal state has a cause of the closed list (I4);
//! - nothing is claimed that was not looked at again in the same step (I22).

mod act;
mod book;
mod breaker;
mod budget;
mod claim;
mod clockwork;
pub mod config;
mod counts;
mod decision;
mod discharge;
mod entitle;
mod group;
mod hear;
mod hooks;
mod incidents;
mod inhibit;
mod letter;
mod levels;
mod maintenance;
mod outbox;
mod outcome;
mod preview;
mod queue;
mod receipt;
mod render;
mod respond;
mod restart;
mod route;
mod shelf;
mod signal;
mod silence;
mod stepped;
mod steps;
mod storm;
mod strain;
mod tell;
mod timers;
mod token;
mod told;
mod transitions;
mod turned;
mod uncertain;
mod watch;
mod waves;
mod words;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::core::duty::Roster;
use crate::core::ids::{Id, InstallationKey};
use crate::core::model::{
    Attempt, AuditRecord, Batch, Body, ChannelCard, Class, Incident, Language, Message, MessageState, Notice,
    Recipient, Row, Subject, Table,
};
use crate::core::time::Instant;

pub use config::AlertingConfig;
pub use counts::{Count, LocalAlarm};
pub use decision::{Candidate, Choice, Named, Question, Scope};
pub use maintenance::MaintenanceConfig;
pub use outbox::Conservation;
pub use preview::{RouteChange, Way};
pub use receipt::Inquiry;
pub use render::{Item, Letter, RenderFault, Renderer, StormText};
pub use respond::{Act, Answer, Done, Refusal, Response, SilenceRequest};
pub use signal::{Edge, Facts, Signal};
pub use silence::Silence;
pub use strain::Strain;
pub use token::{
    BUTTON_SNOOZE, BadButton, BadLink, ButtonAct, ButtonToken, LINK_AFTER_RESOLVED, LINK_LIFE, LinkKeys,
    LinkMaker, LinkPurpose, LinkTarget, LinkToken, MAX_BUTTON, MAX_TOKEN,
};
pub use told::Told;

use book::{Book, Key};
use outbox::Outbox;
use shelf::Shelf;
use timers::{Timer, Timers};

/// What alerting goes by: everything that a reload can change.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The desk: the tenant of every id.
    pub desk: Arc<str>,
    /// Its title.
    pub title: String,
    /// The language of its messages.
    pub language: Language,
    /// The zone of its days and local times.
    pub zone: TimeZone,
    /// The parameters.
    pub config: Arc<AlertingConfig>,
    /// The people.
    pub roster: Arc<Roster>,
    /// The channels that are configured and enabled.
    pub channels: BTreeMap<Arc<str>, ChannelCard>,
    /// What messages say of the rules, by name.
    pub rules: BTreeMap<Arc<str>, RuleText>,
    /// Rises with every configuration that was taken.
    pub revision: u64,
}

/// What messages say of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleText {
    /// Its title, such as 平台工单 20 分钟回复.
    pub title: String,
    /// What to do next.
    pub action: Option<String>,
    /// Once it has rung, only a person ends it.
    pub manual: bool,
    /// One case, one ticket: the ticket that it shares with other rules, and how grave it is among them, 0 first.
    pub ticket: Option<(Arc<str>, u16)>,
}

/// A message that may leave once its claim is kept (TX-D).
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The message.
    pub message: Id,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The key for the provider: the same for every attempt (§4).
    pub key: String,
    /// Whom, by what.
    pub to: Recipient,
    /// The address in clear. Not in any row.
    pub address: String,
    /// How urgent.
    pub priority: Class,
    /// The frozen body.
    pub body: Body,
    /// When the attempt is over, whatever the provider does.
    pub deadline: Instant,
    /// The incident whose thread it belongs to: mails of one incident are one thread.
    pub thread: Id,
}

/// How many attempts each channel can take now.
pub type Room = BTreeMap<Arc<str>, u16>;

/// Incidents, notices, messages, and what moves them.
///
/// Two halves share it: the life of incidents (`incidents.rs` and its neighbours) and the outbox (`outbox.rs` and its).
/// Each half keeps its indices in a struct of its own.
#[derive(Debug)]
pub struct Alerting {
    setup: Setup,
    key: InstallationKey,
    /// The boot epoch: rises with every start.
    epoch: u64,
    /// The business time of the step under way; never goes back.
    now: Instant,
    /// The number of the last audit record.
    seq: u64,
    incidents: Shelf<Incident>,
    notices: Shelf<Notice>,
    messages: Shelf<Message>,
    /// Attempts by message and number: those under way, and those that ended and are not kept yet.
    attempts: BTreeMap<(Id, u32), Attempt>,
    timers: Timers,
    /// What the incident half keeps beside the nouns.
    book: Book,
    /// What the outbox half keeps beside the nouns.
    outbox: Outbox,
    /// What changed since the last commit: each record is written once.
    dirty: BTreeSet<(Table, Key)>,
    /// The same in the order in which it was first changed: what is planned together is kept side by side, and is
    /// found side by side when it is sent.
    touched: Vec<(Table, Key)>,
    /// Rows that are ready as they are: those written once, and those to drop.
    rows: BTreeMap<(Table, String), Row>,
    audit: Vec<AuditRecord>,
    counts: Vec<Count>,
    alarms: Vec<LocalAlarm>,
    strain: Strain,
}

/// What a caller of [`Alerting::audit`] fills in; the rest is the room's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Note<'a> {
    pub(crate) actor: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) incident: Option<Id>,
    pub(crate) notice: Option<Id>,
    pub(crate) message: Option<Id>,
    pub(crate) cause: Option<&'a str>,
    pub(crate) change: Option<String>,
    pub(crate) detail: Option<serde_json::Value>,
}

/// The id of the one row that says how far this room is.
const PLACE: &str = "alerting";

/// How far this room is: kept with every commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    now: Instant,
    seq: u64,
    epoch: u64,
}

/// Timers worked off in one step at most; what is left is done in the next, which is due at once.
const TURN: usize = 100_000;

impl Alerting {
    /// Alerting without an incident.
    pub fn new(setup: Setup, key: InstallationKey, epoch: u64) -> Alerting {
        Alerting {
            setup,
            key,
            epoch,
            now: Instant::MIN,
            seq: 0,
            incidents: Shelf::default(),
            notices: Shelf::default(),
            messages: Shelf::default(),
            attempts: BTreeMap::new(),
            timers: Timers::default(),
            book: Book::default(),
            outbox: Outbox::default(),
            dirty: BTreeSet::new(),
            touched: Vec::new(),
            rows: BTreeMap::new(),
            audit: Vec::new(),
            counts: Vec::new(),
            alarms: Vec::new(),
            strain: Strain::default(),
        }
    }

    /// Brings back one row of the store.
    ///
    /// # Errors
    /// The row cannot be read, and why.
    pub fn restore(&mut self, table: Table, id: &str, body: &[u8]) -> Result<(), String> {
        fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
            serde_json::from_slice(body).map_err(|e| e.to_string())
        }
        match table {
            Table::Meta if id == PLACE => {
                let place: Place = read(body)?;
                self.now = self.now.max(place.now);
                self.seq = self.seq.max(place.seq);
                self.epoch = self.epoch.max(place.epoch + 1);
            }
            Table::Incident => {
                let incident: Incident = read(body)?;
                // What has been over for long stays in the store.
                if !self.is_forgotten(&incident) {
                    self.incidents.insert(incident.id, incident);
                }
            }
            Table::Notice => {
                let notice: Notice = read(body)?;
                if self.incidents.contains_key(&notice.incident) {
                    self.notices.insert(notice.id, notice);
                }
            }
            Table::Message => {
                let message: Message = read(body)?;
                if message.notices.iter().any(|id| self.notices.contains_key(id)) {
                    self.messages.insert(message.id, message);
                }
            }
            Table::Attempt => {
                let attempt: Attempt = read(body)?;
                // What may have been taken is repeated byte by byte where the channel wants it so (§10.4).
                let last = self.messages.get(&attempt.message).is_some_and(|m| {
                    use MessageState::{Deferred, Inflight, Ready, Uncertain};
                    matches!(m.state, Inflight | Uncertain | Ready | Deferred) && m.attempts == attempt.n
                });
                if last && attempt.may_be_taken() {
                    self.attempts.insert((attempt.message, attempt.n), attempt);
                }
            }
            Table::Body => {
                let of = |(message, n): (&str, &str)| Some((message.parse().ok()?, n.parse().ok()?));
                let key = id.split_once('/').and_then(of).ok_or("found no attempt in the id")?;
                if let Some(attempt) = self.attempts.get_mut(&key) {
                    attempt.body = read(body)?;
                }
            }
            Table::Silence | Table::Parked | Table::Alerting => self.outbox_restore(table, id, body)?,
            Table::Inbox => {
                let inbox = id.parse().map_err(|e: crate::core::ids::BadId| e.to_string())?;
                self.remember(inbox, read(body)?);
            }
            Table::Meta | Table::Case | Table::Decision | Table::Learned | Table::Cursor | Table::Reject => {}
        }
        Ok(())
    }

    /// Lets time pass: works off every timer up to and including `now`, in order.
    pub fn advance(&mut self, now: Instant) {
        self.set_now(now);
        for _ in 0..TURN {
            let Some((at, timer)) = self.timers.pop_until(self.now) else { return };
            match timer {
                Timer::Incident(id) => self.incident_timer(id),
                Timer::Roster => self.roster_timer(),
                Timer::CatchUp => self.catch_up_timer(),
                other => self.outbox_timer(other, at),
            }
        }
    }

    /// When [`Alerting::advance`] has something to do.
    pub fn next_wake(&self) -> Option<Instant> {
        self.timers.first()
    }

    /// Everything to keep since the last call: one commit.
    pub fn drain(&mut self) -> Batch {
        let audit = std::mem::take(&mut self.audit);
        let mut dirty = std::mem::take(&mut self.dirty);
        let mut ready = std::mem::take(&mut self.rows);
        let mut rows = Vec::with_capacity(dirty.len() + ready.len() + 1);
        for key in std::mem::take(&mut self.touched) {
            if dirty.remove(&key)
                && let Some(row) = self.row(key.0, &key.1)
            {
                ready.remove(&(row.table, row.id.clone()));
                rows.push(row);
            }
        }
        rows.extend(ready.into_values());
        if !rows.is_empty() || !audit.is_empty() {
            let place = Place { now: self.now, seq: self.seq, epoch: self.epoch };
            rows.push(json_row(Table::Meta, PLACE.to_owned(), &place));
        }
        self.forget();
        Batch { rows, audit }
    }

    /// An incident.
    pub fn incident(&self, id: Id) -> Option<&Incident> {
        self.incidents.get(&id)
    }

    /// Every incident in memory.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values()
    }

    /// The incidents of a subject, in memory.
    pub fn incidents_of(&self, subject: &Subject) -> impl Iterator<Item = &Incident> {
        self.book.of_subject(subject).filter_map(|id| self.incidents.get(&id))
    }

    /// What it goes by.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The row of a record as it is now; `None` when it has left memory.
    fn row(&self, table: Table, key: &Key) -> Option<Row> {
        let id = key.to_string();
        Some(match (table, key) {
            (Table::Incident, Key::Id(key)) => {
                let incident = self.incidents.get(key)?;
                let row = json_row(table, id, incident);
                Row { state: Some(incident.status.word()), wake: self.incident_wake(incident), ..row }
            }
            (Table::Notice, Key::Id(key)) => {
                let notice = self.notices.get(key)?;
                let row = json_row(table, id, notice);
                Row { state: Some(notice.state.word()), parent: Some(notice.incident.to_string()), ..row }
            }
            (Table::Message, Key::Id(key)) => {
                let message = self.messages.get(key)?;
                let parent = message.notices.first().map(Id::to_string);
                let row = json_row(table, id, message);
                Row { state: Some(message.state.word()), parent, wake: message.wake_at, ..row }
            }
            (Table::Attempt, Key::Attempt(message, n)) => {
                let attempt = self.attempts.get(&(*message, *n))?;
                let state = attempt.outcome.as_ref().map_or("inflight", |o| o.class.word());
                let row = json_row(table, id, attempt);
                Row { state: Some(state), parent: Some(message.to_string()), ..row }
            }
            _ => return self.outbox_row(table, key),
        })
    }

    /// A record changed: it is written with the next commit.
    fn touch(&mut self, table: Table, key: impl Into<Key>) {
        let key = (table, key.into());
        if !self.dirty.contains(&key) {
            self.touched.push(key.clone());
            self.dirty.insert(key);
        }
    }

    /// A row that is written once, or dropped, as it is.
    fn put(&mut self, row: Row) {
        self.rows.insert((row.table, row.id.clone()), row);
    }

    /// A row is dropped with the next commit.
    fn drop_row(&mut self, table: Table, key: impl Into<Key>) {
        let key = key.into();
        let id = key.to_string();
        self.dirty.remove(&(table, key));
        self.put(Row { table, id, state: None, parent: None, wake: None, body: None });
    }

    /// The business time of the step: never goes back (T3).
    fn set_now(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// The time that it has reached.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// What there is to count since the last call.
    pub fn take_counts(&mut self) -> Vec<Count> {
        std::mem::take(&mut self.counts)
    }

    /// What the local alarm surfaces must show, since the last call.
    pub fn take_alarms(&mut self) -> Vec<LocalAlarm> {
        std::mem::take(&mut self.alarms)
    }

    /// Appends an audit record (A1).
    pub(crate) fn audit(&mut self, note: Note<'_>) {
        self.seq += 1;
        self.audit.push(AuditRecord {
            seq: self.seq,
            at: self.now,
            actor: note.actor.to_owned(),
            kind: note.kind.to_owned(),
            incident: note.incident.map(|id| id.to_string()),
            notice: note.notice.map(|id| id.to_string()),
            message: note.message.map(|id| id.to_string()),
            cause: note.cause.map(str::to_owned),
            change: note.change,
            detail: note.detail,
        });
    }
}

/// A row whose body is JSON.
fn json_row(table: Table, id: String, body: &impl Serialize) -> Row {
    thread_local! {
        // Grown once: most records are shorter than this, and to make and give back such a piece of memory for each of
        // them took a tenth of a step's time.
        static TEXT: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    // Every record here is plain data with text keys, which JSON always takes.
    let body = TEXT.with_borrow_mut(|text| {
        text.clear();
        text.shrink_to(1 << 16);
        serde_json::to_writer(&mut *text, body).map(|()| text.as_slice().to_vec()).unwrap_or_default()
    });
    Row { table, id, state: None, parent: None, wake: None, body: Some(body) }
}
