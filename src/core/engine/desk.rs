//! One desk, whole: the clock engine and what comes of its crossings. The daemon, the demo and the tests drive this.
//!
//! ```text
//! desk.observe(&observation, now);  desk.advance(now);  desk.respond(&response, now);
//! let claims = desk.claim(&room, &renderer, now);
//! store.commit(desk.drain()).await?;          // all or nothing; on failure: drop the desk and load it again
//! for claim in claims { send(claim) }         // then desk.outcome(…) with what the channel answered
//! wake_at(desk.next_wake());
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::alerting::{
    Alerting, Answer, Claim, Count, Edge, Facts, Inquiry, LocalAlarm, Refusal, Renderer, Response, Room,
    RouteChange, Setup, Signal, Strain, Told,
};
use crate::core::calendar::Era;
use crate::core::clock::{PolicyConfig, ReloadMode};
use crate::core::ids::{Id, InstallationKey};
use crate::core::model::{Batch, Incident, Merge, Observation, Outcome, Row, Statement, Subject, Table};
use crate::core::parcel::learned::LearnedSetup;
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

use super::edges::{self, Voice};
use super::{CaseKey, CaseNumber, CaseRow, Changes, Command, Engine, Refused, Remark};

/// The row of the policies that the engine has gone by.
const POLICIES: &str = "policies";
/// The row that says how far the engine is.
const ENGINE: &str = "engine";

/// How far the engine is: kept with every commit that changes a case.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    now: Instant,
}

/// A desk: cases, clocks, incidents, messages.
#[derive(Debug)]
pub struct Desk {
    engine: Engine,
    alerting: Alerting,
    /// The policy as it is configured; the engine may still go by another until [`Desk::start`].
    policy: PolicyConfig,
    voices: BTreeMap<Arc<str>, Voice>,
    /// Cases that changed since the last commit.
    cases: BTreeSet<CaseNumber>,
    /// The policies changed since the last commit.
    policies_changed: bool,
    /// The clock went back since the last commit.
    turned_back: bool,
    /// What was learned could not be read back as a whole, and why.
    unlearned: Option<Refused>,
}

/// What came of an observation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// What merging did.
    pub merge: Merge,
    /// It was refused as a whole, and why.
    pub refused: Option<Refused>,
    /// Things for the sysadmin.
    pub remarks: Vec<Remark>,
}

impl Desk {
    /// A desk without cases. `epoch` is the boot epoch: larger than any before.
    ///
    /// # Errors
    /// Every problem of the policy.
    pub fn new(
        setup: Setup,
        policy: &PolicyConfig,
        key: InstallationKey,
        epoch: u64,
        now: Option<Instant>,
        era: Era,
        problems: &mut Problems,
    ) -> Option<Desk> {
        let engine = Engine::new(&setup.desk, policy, now, era, problems)?;
        Some(Desk {
            engine,
            alerting: Alerting::new(setup, key, epoch),
            voices: edges::voices(policy),
            policy: policy.clone(),
            cases: BTreeSet::new(),
            policies_changed: true,
            turned_back: false,
            unlearned: None,
        })
    }

    /// Learns of parcels from now on, or goes by another setup. Before [`Desk::restore`], so that what was learned comes
    /// back.
    pub fn learn(&mut self, setup: LearnedSetup) {
        self.engine.learn(setup);
        self.engine.keep_learned();
    }

    /// Why what was learned could not be read back as a whole, and is learned anew.
    pub fn unlearned(&self) -> Option<&Refused> {
        self.unlearned.as_ref()
    }

    /// Brings back one row of the store, in the order of [`Table::ALL`]. After the last one: [`Desk::start`].
    ///
    /// # Errors
    /// The row cannot be read: it is left out, and the caller tells.
    pub fn restore(&mut self, table: Table, id: &str, body: &[u8]) -> Result<(), Refused> {
        let unreadable = |why: String| Refused::Unreadable(format!("{} {id}: {why}", table.word()));
        match (table, id) {
            (Table::Meta, POLICIES) => {
                self.engine.restore_policies(body)?;
                self.policies_changed = false;
            }
            (Table::Meta, ENGINE) => {
                let place: Place = serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))?;
                self.engine.resume_at(place.now);
                self.alerting.resume_at(place.now);
            }
            (Table::Case, _) => {
                self.engine.restore(&CaseRow::from_bytes(body)?)?;
            }
            (Table::Learned, _) => self.engine.restore_learned(id, body)?,
            _ => self.alerting.restore(table, id, body).map_err(unreadable)?,
        }
        Ok(())
    }

    /// The messages of attempts whose bodies ([`Table::Body`]) are still to be restored; those of all others are not
    /// needed.
    pub fn without_body(&self) -> Vec<Id> {
        self.alerting.without_body()
    }

    /// Begins work after [`Desk::restore`]: attempts of older epochs become uncertain, timers are armed, a long
    /// downtime is caught up with (§16.1, §16.2). Where `now` is before the time that was reached, the desk waits for it.
    pub fn start(&mut self, now: Instant) {
        self.begin(now, &Changes::default());
    }

    /// The same after a step back of the clock that is known to be right (T3): the desk goes on at `now`, as if what was
    /// armed in the time that never was had been armed in the true one; crossings that never were are retracted. `by` is
    /// by how much the clock was ahead: what was kept last may be a while ago.
    pub fn start_back(&mut self, now: Instant, by: Span) {
        let changes = self.engine.turn_back(now);
        self.alerting.turn_back(now, by);
        self.turned_back = true;
        // The row of the policies has the time at which it was written, which may never have been.
        self.policies_changed = true;
        self.begin(now, &changes);
    }

    /// The clock went on by so much more than the counter of elapsed time, by a step that is known to be right and too
    /// short for a downtime: timeouts move with it (§3, T3). Called before anything else of the step.
    pub fn step_forth(&mut self, by: Span) {
        self.alerting.step_forth(by);
    }

    /// The time that it has reached.
    pub fn now(&self) -> Instant {
        self.engine.now().max(self.alerting.now())
    }

    fn begin(&mut self, now: Instant, turned: &Changes) {
        self.unlearned = self.engine.learned_restored().err();
        self.alerting.start(now);
        self.alerting.settle_in(&self.rules());
        self.apply(turned, now);
        // What was configured meanwhile counts from now on; the same policy changes nothing (L10).
        let epochs = self.engine.history().epochs().len();
        let reload =
            Command::Reload { policy: Box::new(self.policy.clone()), mode: ReloadMode::FromNow, since: None };
        // It compiled when the desk was made.
        if let Ok(changes) = self.engine.command(&reload, now) {
            self.policies_changed |= self.engine.history().epochs().len() != epochs;
            self.apply(&changes, now);
        }
        self.advance(now);
    }

    /// Takes in what a source says of a case.
    pub fn observe(&mut self, observation: &Observation<'_>, now: Instant) -> Observed {
        let mut merge = Merge::default();
        let (refused, remarks) = self.observe_all(std::slice::from_ref(observation), now, |is| merge = is);
        Observed { merge, refused, remarks }
    }

    /// Takes in several things that a source says of one case at once ([`super::Engine::observe_all`]). Answers whether
    /// they were refused, and things for the sysadmin.
    pub fn observe_all(
        &mut self,
        observations: &[Observation<'_>],
        now: Instant,
        merged: impl FnMut(Merge),
    ) -> (Option<Refused>, Vec<Remark>) {
        let changes = self.engine.observe_all(observations, now, merged);
        let now = self.engine.now();
        self.apply(&changes, now);
        observations.iter().for_each(|observation| self.progress(observation, now));
        (changes.refused, changes.remarks)
    }

    /// Takes in what the system notices of itself: `source.blind`, `system.disk`, …
    pub fn signal(&mut self, signal: &Signal, now: Instant) {
        self.alerting.signal(signal, now);
    }

    /// Does as a store in trouble asks (§16.4), from now on.
    pub fn strain(&mut self, strain: Strain) {
        self.alerting.strain(strain);
    }

    /// The store is the backup of this name (§16.1, W22).
    pub fn restored(&mut self, backup: &str) {
        self.alerting.restored(backup);
    }

    /// Lets time pass. Answers with things for the sysadmin.
    pub fn advance(&mut self, now: Instant) -> Vec<Remark> {
        let changes = self.engine.advance(now);
        let now = self.engine.now();
        self.apply(&changes, now);
        self.alerting.advance(now);
        changes.remarks
    }

    /// Does what a person wants. The person is answered only after the commit.
    ///
    /// # Errors
    /// They may not, or it cannot be; nothing has changed.
    pub fn respond(&mut self, response: &Response, now: Instant) -> Result<Answer, Refusal> {
        self.alerting.respond(response, now)
    }

    /// Goes by a new configuration from now on.
    ///
    /// # Errors
    /// The new policy has errors; the old one stays (R2).
    pub fn reload(
        &mut self,
        setup: Setup,
        policy: PolicyConfig,
        mode: ReloadMode,
        since: Option<Instant>,
        now: Instant,
    ) -> Result<(), Refused> {
        let command = Command::Reload { policy: Box::new(policy.clone()), mode, since };
        let changes = self.engine.command(&command, now)?;
        let now = self.engine.now();
        self.policies_changed = true;
        self.voices = edges::voices(&policy);
        self.policy = policy;
        self.alerting.reconfigure(setup, &self.rules(), now);
        self.apply(&changes, now);
        Ok(())
    }

    /// The open incidents that another configuration would route otherwise (§16.3). Nothing changes.
    pub fn preview_routes(&mut self, setup: &Setup, policy: &PolicyConfig) -> Vec<RouteChange> {
        let rules = edges::voices(policy).into_keys().collect();
        self.alerting.preview_routes(setup, &rules)
    }

    /// Claims messages that may leave once [`Desk::drain`] is kept, at most as many as `room` says (TX-D).
    pub fn claim(&mut self, room: &Room, renderer: &dyn Renderer, now: Instant) -> Vec<Claim> {
        self.alerting.claim(room, renderer, now)
    }

    /// Takes in what came of an attempt (TX-E).
    pub fn outcome(&mut self, message: Id, attempt: u32, outcome: Outcome, now: Instant) {
        self.alerting.outcome(message, attempt, outcome, now);
    }

    /// Takes in a later statement of a provider (TX-F).
    pub fn statement(&mut self, statement: &Statement, now: Instant) {
        self.alerting.statement(statement, now);
    }

    /// Messages whose provider is to be asked now: nobody knows whether they were taken (§10.4), or they owe a receipt
    /// (RC4).
    pub fn inquiries(&self) -> Vec<Inquiry> {
        let mut asked = self.alerting.uncertain();
        asked.extend(self.alerting.unreceipted());
        asked
    }

    /// Channels that are to be tried without a message now (§10.5), none of `without`; [`Desk::canary`] takes what came
    /// of it.
    pub fn canaries(&mut self, without: &BTreeSet<Arc<str>>, now: Instant) -> Vec<Arc<str>> {
        self.alerting.canaries(without, now)
    }

    /// What came of trying a channel without a message; `None` where that cannot be told.
    pub fn canary(&mut self, channel: &Arc<str>, outcome: Option<&Outcome>, now: Instant) {
        self.alerting.canary(channel, outcome, now);
    }

    /// What a provider answered to an inquiry; `None` when it could not be asked.
    pub fn answered(&mut self, message: Id, answer: Option<&Statement>, now: Instant) {
        self.alerting.answered(message, answer, now);
    }

    /// When [`Desk::advance`] has something to do; `None` while nothing is ahead. Ready messages do not count: claim
    /// after every step while there is room.
    pub fn next_wake(&self) -> Option<Instant> {
        [self.engine.next_wake(), self.alerting.next_wake()].into_iter().flatten().min()
    }

    /// Everything to keep since the last call: one commit.
    pub fn drain(&mut self) -> Batch {
        let mut batch = self.alerting.drain();
        let row = |table, id: String, body| Row {
            table,
            id,
            state: None,
            parent: None,
            wake: None,
            body: Some(body),
        };
        let cases = std::mem::take(&mut self.cases);
        if std::mem::take(&mut self.turned_back) || !cases.is_empty() {
            let place = serde_json::to_vec(&Place { now: self.engine.now() }).unwrap_or_default();
            batch.rows.push(row(Table::Meta, ENGINE.to_owned(), place));
        }
        for number in cases {
            let (Some(id), Some(case)) = (self.engine.row_id(number), self.engine.row(number)) else {
                continue;
            };
            // Every part of a row has a binary form.
            if let Ok(body) = case.to_bytes() {
                batch.rows.push(row(Table::Case, id, body));
            }
        }
        let learned = self.engine.learned_rows().into_iter();
        batch.rows.extend(learned.map(|(id, body)| Row { body, ..row(Table::Learned, id, Vec::new()) }));
        if std::mem::take(&mut self.policies_changed)
            && let Ok(body) = self.engine.save_policies()
        {
            batch.rows.push(row(Table::Meta, POLICIES.to_owned(), body));
        }
        batch
    }

    /// What there is to count since the last call.
    pub fn take_counts(&mut self) -> Vec<Count> {
        self.alerting.take_counts()
    }

    /// What the local alarm surfaces must show, since the last call.
    pub fn take_alarms(&mut self) -> Vec<LocalAlarm> {
        self.alerting.take_alarms()
    }

    /// The clock engine, to look at.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Incidents and messages, to look at.
    pub fn alerting(&self) -> &Alerting {
        &self.alerting
    }

    /// An incident.
    pub fn incident(&self, id: Id) -> Option<&Incident> {
        self.alerting.incident(id)
    }

    /// The incidents that a message lists: an ack of it covers them and no more (RS4).
    pub fn listed(&self, message: Id) -> Option<&[Id]> {
        self.alerting.messages().find(|m| m.id == message).map(|m| m.members.as_slice())
    }

    /// What a person was told by a channel lately and is not over, the newest message first, at most so many.
    pub fn told_by(&self, channel: &str, person: &str, most: usize) -> Vec<Told> {
        self.alerting.told_by(channel, person, most)
    }

    /// Every incident in memory.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.alerting.incidents()
    }

    /// What a step of the engine means for the incidents, and what is to be kept of it.
    fn apply(&mut self, changes: &Changes, now: Instant) {
        self.cases.extend(changes.cases.iter().copied());
        for signal in edges::signals(&self.engine, &self.alerting, &self.voices, changes, now) {
            self.alerting.signal(&signal, now);
        }
        for remark in &changes.remarks {
            match remark {
                // What was told of it is part of the row.
                Remark::CalendarCoverage { .. } => self.policies_changed = true,
                Remark::Unreachable { cycle } => {
                    self.alerting.signal(&unreachable(&cycle.clock, &cycle.case), now)
                }
            }
        }
    }

    /// R10: marks that show that somebody is at work.
    fn progress(&mut self, observation: &Observation<'_>, now: Instant) {
        let marks: Vec<(&str, Instant)> = observation
            .marks
            .iter()
            .filter(|m| !m.removed && m.at <= now)
            .map(|m| (&*m.name, m.at))
            .collect();
        if marks.is_empty() {
            return;
        }
        let case = CaseKey {
            source: (&*observation.source).into(),
            kind: (&*observation.kind).into(),
            id: (&*observation.id).into(),
        };
        for signal in edges::progress(&self.alerting, &self.voices, &case, &marks) {
            self.alerting.signal(&signal, now);
        }
    }

    fn rules(&self) -> BTreeSet<Arc<str>> {
        self.voices.keys().cloned().collect()
    }
}

/// A promise that no open time reaches is a mistake of the configuration (A8): told to the admins, once for a clock.
fn unreachable(clock: &Arc<str>, case: &CaseKey) -> Signal {
    let what = format!("{clock}: no open time of its calendar is within reach of {} {}", case.kind, case.id);
    Signal {
        family: "system.config".into(),
        rule: clock.clone(),
        subject: Subject { kind: "clock".into(), source: "shiftbell".into(), id: clock.clone() },
        generation: "unreachable".into(),
        cycle: None,
        edge: Edge::Firing,
        at: Instant::MIN,
        facts: Facts { texts: [("what".into(), what)].into(), ..Facts::default() },
    }
}
