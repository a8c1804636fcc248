//! Saving and loading: rows of cases, and a whole desk.
//!
//! A row holds names as text, so that it does not depend on the numbers of one process, and begins with a version.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::core::calendar::Era;
use crate::core::clock::{Epoch, History, Policy, PolicyConfig, ReloadMode, State};
use crate::core::engine::case::{Case, DueSecond, Fired, Memory, STATUSES, Status};
use crate::core::engine::changes::{CaseNumber, Refused};
use crate::core::engine::timers::Timers;
use crate::core::engine::{Engine, Symbols};
use crate::core::model::{SavedEntry, Timeline};
use crate::core::problem::Problems;
use crate::core::time::Instant;

/// The layout of rows and snapshots; a change of either, or of the digest that names cycles, raises it.
const VERSION: u16 = 2;

/// A case as it is kept. Written by [`CaseRow::to_bytes`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRow {
    version: u16,
    source: String,
    kind: String,
    id: String,
    first_seen: i64,
    entries: Vec<SavedEntry>,
    cycles: Vec<SavedCycle>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedCycle {
    key: u64,
    clock: String,
    told: u8,
    overdue: bool,
    retracted: bool,
    /// Ring, arm, status, and the second at which it was due.
    fired: Vec<(String, u8, u8, u32)>,
}

/// A whole desk.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    version: u16,
    desk: String,
    now: i64,
    epochs: Vec<SavedEpoch>,
    uncovered: Vec<(String, i16)>,
    cases: Vec<CaseRow>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct SavedEpoch {
    from: i64,
    mode: ReloadMode,
    since: Option<i64>,
    /// JSON: a policy is written by people and has shapes that only a self-describing format can carry.
    policy: String,
}

const STATES: [State; 9] = [
    State::Running,
    State::Paused,
    State::Overdue,
    State::Met,
    State::Missed,
    State::Cancelled,
    State::Superseded,
    State::Excused,
    State::Unreachable,
];
/// Stands for the state of a cycle that never was.
const GONE: u8 = u8::MAX;

fn unreadable(why: impl std::fmt::Display) -> Refused {
    Refused::Unreadable(why.to_string())
}

fn check_version(found: u16) -> Result<(), Refused> {
    if found == VERSION {
        return Ok(());
    }
    Err(unreadable(format!("written with layout {found}, expected {VERSION}: use the version that wrote it")))
}

impl CaseRow {
    /// The row as bytes.
    ///
    /// # Errors
    /// Never in practice: every part has a binary form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Refused> {
        postcard::to_allocvec(self).map_err(unreadable)
    }

    /// Reads [`CaseRow::to_bytes`].
    ///
    /// # Errors
    /// Bytes that are no row, or one of another layout.
    pub fn from_bytes(bytes: &[u8]) -> Result<CaseRow, Refused> {
        let row: CaseRow = postcard::from_bytes(bytes).map_err(unreadable)?;
        check_version(row.version)?;
        Ok(row)
    }

    /// What was said of the case, with its names in `symbols`.
    pub(super) fn timeline(&self, symbols: &mut Symbols) -> Result<Timeline, Refused> {
        let first_seen = Instant::from_millis(self.first_seen);
        Timeline::load(&self.id, first_seen, &self.entries, symbols)
            .ok_or_else(|| unreadable(format!("case {} has an entry that cannot be read", self.id)))
    }
}

impl Snapshot {
    /// The rows of its cases, by source, kind and id.
    pub fn case_rows(&self) -> &[CaseRow] {
        &self.cases
    }

    /// The snapshot as bytes.
    ///
    /// # Errors
    /// Never in practice: every part has a binary form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Refused> {
        postcard::to_allocvec(self).map_err(unreadable)
    }

    /// Reads [`Snapshot::to_bytes`].
    ///
    /// # Errors
    /// Bytes that are no snapshot, or one of another layout.
    pub fn from_bytes(bytes: &[u8]) -> Result<Snapshot, Refused> {
        let snapshot: Snapshot = postcard::from_bytes(bytes).map_err(unreadable)?;
        check_version(snapshot.version)?;
        Ok(snapshot)
    }
}

impl Engine {
    /// The row's id in a store.
    pub fn row_id(&self, number: CaseNumber) -> Option<String> {
        let key = self.view(number)?.key();
        Some(format!("{}\0{}\0{}", key.source, key.kind, key.id))
    }

    /// The row of a case, to be kept in the commit of the step that named it in
    /// [`super::Changes::cases`]. `None` when the case is no longer in memory.
    pub fn row(&self, number: CaseNumber) -> Option<CaseRow> {
        self.cases.get(number.0).map(|case| self.row_of(&case.case(&self.symbols)))
    }

    fn row_of(&self, case: &Case) -> CaseRow {
        let name = |sym| self.symbols.name(sym).to_string();
        let status = |s: Status| STATUSES.iter().position(|x| *x == s).unwrap_or_default() as u8;
        CaseRow {
            version: VERSION,
            source: name(case.source),
            kind: name(case.kind),
            id: case.timeline.id().to_owned(),
            first_seen: case.timeline.first_seen().as_millis(),
            entries: case.timeline.save(&self.symbols),
            cycles: case
                .cycles
                .iter()
                .map(|m| SavedCycle {
                    key: m.key,
                    clock: name(m.clock),
                    told: m
                        .told
                        .and_then(|told| STATES.iter().position(|s| *s == told))
                        .map_or(GONE, |n| n as u8),
                    overdue: m.overdue,
                    retracted: m.retracted,
                    fired: m.fired.iter().map(|f| (name(f.ring), f.arm, status(f.status), f.due.0)).collect(),
                })
                .collect(),
        }
    }

    /// Brings a case back into memory as its row says, replacing what is there, and arms its timer. Nothing is told:
    /// what was told before is in the row.
    ///
    /// # Errors
    /// The row is not readable under this policy and version.
    pub fn restore(&mut self, row: &CaseRow) -> Result<CaseNumber, Refused> {
        check_version(row.version)?;
        let mut case = self.case_of(row)?;
        if let Some(known) = self.find(case.source, case.kind, &row.id) {
            self.remove(known);
        }
        // The next wake-up is derived like everything else, as of the last instant the engine knew.
        case.wake = self.now;
        let number = self.cases.insert(case.rest(&mut self.packing, &mut self.symbols));
        self.restored_at = Some(self.restored_at.map_or(self.now, |at| at.min(self.now)));
        self.timers.rearm(Instant::MAX, self.now, number);
        Ok(CaseNumber(number))
    }

    fn case_of(&mut self, row: &CaseRow) -> Result<Case, Refused> {
        let mut name = |text: &str| self.symbols.intern(text).ok_or(Refused::TooManyNames);
        let (source, kind) = (name(&row.source)?, name(&row.kind)?);
        let mut cycles = Vec::with_capacity(row.cycles.len());
        for saved in &row.cycles {
            let told = match saved.told {
                GONE => None,
                n => Some(*STATES.get(usize::from(n)).ok_or_else(|| unreadable("an unknown state"))?),
            };
            let mut fired = SmallVec::with_capacity(saved.fired.len());
            for (ring, arm, status, due) in &saved.fired {
                let status = STATUSES.get(usize::from(*status));
                let status = *status.ok_or_else(|| unreadable("an unknown status of a ring"))?;
                fired.push(Fired { ring: name(ring)?, arm: *arm, status, due: DueSecond(*due) });
            }
            cycles.push(Memory {
                key: saved.key,
                clock: name(&saved.clock)?,
                told,
                overdue: saved.overdue,
                retracted: saved.retracted,
                fired,
            });
        }
        let timeline = row.timeline(&mut self.symbols)?;
        Ok(Case { source, kind, timeline, cycles, wake: Instant::MAX })
    }

    /// The whole desk.
    pub fn save(&self) -> Snapshot {
        let mut cases: Vec<CaseRow> =
            self.cases.iter().map(|c| self.row_of(&c.case(&self.symbols))).collect();
        cases.sort_by(|a, b| (&a.source, &a.kind, &a.id).cmp(&(&b.source, &b.kind, &b.id)));
        Snapshot { cases, ..self.outline() }
    }

    /// The whole desk but its cases.
    fn outline(&self) -> Snapshot {
        let epochs = self.history.epochs().iter().map(|epoch| SavedEpoch {
            from: epoch.from.as_millis(),
            mode: epoch.mode,
            since: epoch.since.map(Instant::as_millis),
            // A policy that was read from configuration can always be written as JSON.
            policy: serde_json::to_string(epoch.policy.config()).unwrap_or_default(),
        });
        Snapshot {
            version: VERSION,
            desk: self.desk.to_string(),
            now: self.now.as_millis(),
            epochs: epochs.collect(),
            uncovered: self.uncovered.iter().map(|(c, y)| (c.to_string(), *y)).collect(),
            cases: Vec::new(),
        }
    }

    /// The policies it has gone by and what it told of calendars, beside its cases: what a store keeps of it.
    ///
    /// # Errors
    /// Never in practice: every part has a binary form.
    pub fn save_policies(&self) -> Result<Vec<u8>, Refused> {
        Snapshot { cases: Vec::new(), ..self.outline() }.to_bytes()
    }

    /// Takes up [`Engine::save_policies`], before any case is restored.
    ///
    /// # Errors
    /// The bytes are not readable, or a policy in them no longer compiles; nothing has changed.
    pub fn restore_policies(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let snapshot = Snapshot::from_bytes(bytes)?;
        let desk = self.desk.clone();
        let now = self.now;
        let mut engine = Engine::load(&snapshot, self.era)?;
        engine.learned = self.learned.take();
        *self = engine;
        self.desk = desk;
        self.now = self.now.max(now);
        self.name_learned();
        Ok(())
    }

    /// Takes up the time at which it left off, before any case is restored (W5).
    pub fn resume_at(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// A desk as a snapshot says.
    ///
    /// # Errors
    /// The snapshot is not readable, or a policy in it no longer compiles.
    pub fn load(snapshot: &Snapshot, era: Era) -> Result<Engine, Refused> {
        check_version(snapshot.version)?;
        let mut symbols = Symbols::new();
        let mut history = History::default();
        for saved in &snapshot.epochs {
            let config: PolicyConfig = serde_json::from_str(&saved.policy).map_err(unreadable)?;
            let mut problems = Problems::new();
            // What depends on the day was checked when the policy was taken into use.
            let policy = Policy::compile(&config, &mut symbols, None, era, &mut problems)
                .ok_or_else(|| Refused::Policy(problems.into_vec()))?;
            history.push(Epoch {
                from: Instant::from_millis(saved.from),
                mode: saved.mode,
                since: saved.since.map(Instant::from_millis),
                policy: Arc::new(policy),
            });
        }
        let mut engine = Engine {
            desk: snapshot.desk.as_str().into(),
            era,
            symbols,
            history,
            cases: super::Cases::with_capacity(snapshot.cases.len()),
            timers: Timers::default(),
            now: Instant::from_millis(snapshot.now),
            uncovered: snapshot.uncovered.iter().map(|(c, y)| (Arc::from(c.as_str()), *y)).collect(),
            deriver: super::Deriver::default(),
            scratch: super::MergeScratch::default(),
            at_work: None,
            packing: Vec::new(),
            news: Vec::new(),
            last_names: None,
            restored_at: None,
            learned: None,
        };
        for row in &snapshot.cases {
            engine.restore(row)?;
        }
        Ok(engine)
    }
}
