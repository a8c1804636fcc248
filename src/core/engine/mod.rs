//! The desk engine: the only door of the core.
//!
//! ```text
//! let changes = engine.observe(&observation, now);   // or command, receipt, advance
//! store.commit(&changes);                            // all or nothing
//! wake_at(engine.next_wake());
//! ```
//!
//! It has no clock, no I/O and no randomness: the same inputs give the same answers, to the byte. Work follows
//! events, not open cases: each case has one entry in the timer queue, its next threshold.
//!
//! An observation is judged up to the millisecond before `now`; what is due at this very instant waits for
//! [`Engine::advance`], so that everything observed at one instant is in before anybody is rung.

mod case;
mod cases;
mod changes;
#[cfg(test)]
mod crowded;
mod desk;
mod edges;
#[cfg(test)]
mod examples;
mod judge;
mod kept;
#[cfg(test)]
mod laws;
mod learn;
#[cfg(test)]
mod learning;
#[cfg(test)]
mod letter;
mod open;
#[cfg(test)]
mod parcels;
mod reload;
#[cfg(test)]
mod rings;
#[cfg(test)]
mod rules;
mod shipments;
mod snapshot;
#[cfg(test)]
mod stories;
mod timers;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::calendar::Era;
use crate::core::clock::{Cycle, Deriver, History, Policy, PolicyConfig, ReloadMode, Want};
use crate::core::model::{Footing, Merge, MergeScratch, Observation, Scalar, Sym, Symbols, Timeline};
use crate::core::parcel::learned::Learned;
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

use case::{Case, Resting};
use cases::Cases;
use judge::{Judge, News, Step, case_key, outrank};
use timers::Timers;

pub use changes::{
    CaseKey, CaseNumber, Cause, Changes, Crossing, CycleChange, CycleId, Refused, Remark, Retraction,
    RetractionReason, Verdict,
};
pub use desk::{Desk, Observed};
pub use kept::KeptCase;
pub use open::{OpenCase, OpenCases};
pub use reload::{Move, ReloadDifference};
pub use shipments::{Shipment, Shipments};
pub use snapshot::{CaseRow, Snapshot};

/// The engine of one desk.
#[derive(Debug)]
pub struct Engine {
    desk: Arc<str>,
    era: Era,
    symbols: Symbols,
    history: History,
    cases: Cases,
    timers: Timers,
    now: Instant,
    uncovered: BTreeSet<(Arc<str>, i16)>,
    deriver: Deriver,
    scratch: MergeScratch,
    /// Working space: a case that nobody works on, and the bytes of one.
    at_work: Option<Case>,
    packing: Vec<u8>,
    news: Vec<Sym>,
    /// The source and kind of the last observation.
    last_names: Option<(Sym, Sym)>,
    /// The earliest wake-up of a case that was restored and is to find its next one.
    restored_at: Option<Instant>,
    /// What is learned of parcels, where that is wanted.
    learned: Option<Box<Learned>>,
}

/// Something a person or the daemon wants of the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Take a cycle out of the count (K25). One that is open ends with that: what is asked or reopened afterwards is
    /// another promise. Who may do so, and the reason, are the alerting room's affair.
    Excuse {
        /// The case.
        case: CaseKey,
        /// The clock.
        clock: String,
        /// The start of the cycle; `None` for the newest.
        start: Option<Instant>,
    },
    /// A new policy (`sla_semantics` §9).
    Reload {
        /// It.
        policy: Box<PolicyConfig>,
        /// What it does to running cycles.
        mode: ReloadMode,
        /// For `retroactive`: since when. `None`: since each cycle's start.
        since: Option<Instant>,
    },
}

/// Whether two observations are of one case.
pub fn is_same_case(a: &Observation<'_>, b: &Observation<'_>) -> bool {
    a.id == b.id && a.kind == b.kind && a.source == b.source
}

/// What a channel answered. Channels come with the alerting room; until then a receipt only keeps time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The message it is about.
    pub message: String,
}

/// A case, for whoever wants to look at it.
pub struct CaseView<'e> {
    engine: &'e Engine,
    case: Case,
}

impl CaseView<'_> {
    /// Its name.
    pub fn key(&self) -> CaseKey {
        case_key(&self.case, &self.engine.symbols)
    }

    /// Its timeline.
    pub fn timeline(&self) -> &Timeline {
        &self.case.timeline
    }

    /// The value of an attribute at `t` (T6).
    pub fn value_at(&self, attribute: &str, t: Instant) -> Option<Scalar<'_>> {
        self.case.timeline.value_at(self.engine.symbols.get(attribute)?, t, self.engine.now)
    }

    /// Its cycles as they are at `now`, clock by clock.
    pub fn cycles(&self, now: Instant) -> Vec<Cycle<'_>> {
        let mut cycles = Vec::new();
        let mut deriver = Deriver::default();
        for clock in self.engine.history.clocks_on(self.case.kind) {
            let want = |_, _| Want::Derive;
            deriver.derive(clock, &self.case.timeline, &self.engine.symbols, now, want, &mut cycles);
        }
        cycles
    }
}

impl Engine {
    /// The longest id of a case, in bytes.
    pub const LONGEST_ID: usize = 200;

    /// An engine without cases under a policy.
    ///
    /// # Errors
    /// Every problem of the policy.
    pub fn new(
        desk: &str,
        policy: &PolicyConfig,
        now: Option<Instant>,
        era: Era,
        problems: &mut Problems,
    ) -> Option<Engine> {
        let mut symbols = Symbols::new();
        let policy = Policy::compile(policy, &mut symbols, now, era, problems)?;
        Some(Engine {
            desk: desk.into(),
            era,
            symbols,
            history: History::new(Arc::new(policy)),
            cases: Cases::default(),
            timers: Timers::default(),
            now: Instant::MIN,
            uncovered: BTreeSet::new(),
            deriver: Deriver::default(),
            scratch: MergeScratch::default(),
            at_work: None,
            packing: Vec::new(),
            news: Vec::new(),
            last_names: None,
            restored_at: None,
            learned: None,
        })
    }

    /// The desk it is the engine of.
    pub fn desk(&self) -> &Arc<str> {
        &self.desk
    }

    /// The names it uses.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// The policies it has gone by.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The last `now` it was given.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many cases it holds.
    pub fn case_count(&self) -> usize {
        self.cases.count()
    }

    /// Takes in what a source says of a case.
    pub fn observe(&mut self, observation: &Observation<'_>, now: Instant) -> Changes {
        self.observe_all(std::slice::from_ref(observation), now, |_| ())
    }

    /// Takes in several things that a source says of one case at once: it is judged when all of them are in. What each of
    /// them did is told to `merged`. All are of the case of the first ([`is_same_case`]); what follows another's is left out.
    pub fn observe_all(
        &mut self,
        observations: &[Observation<'_>],
        now: Instant,
        mut merged: impl FnMut(Merge),
    ) -> Changes {
        let mut changes = Changes::default();
        let now = self.reach(now, &mut changes);
        let Some(first) = observations.first() else { return changes };
        let (source, kind) = match self.admit(first) {
            Ok(names) => names,
            Err(refused) => {
                changes.refused = Some(refused);
                return changes;
            }
        };
        self.learn_before(now, &mut changes);
        let number = self.find_or_insert(source, kind, &first.id);
        let Some(mut case) = self.take(number) else { return changes };
        let (first_seen, wake) = (case.timeline.first_seen(), case.wake);
        let known = self.learned.as_ref().map(|learned| learned.before(kind, &case.timeline));
        let (mut scratch, mut news) = (std::mem::take(&mut self.scratch), std::mem::take(&mut self.news));
        news.clear();
        let (mut changed_from, mut is_full) = (Instant::MAX, false);
        for observation in observations.iter().take_while(|seen| is_same_case(seen, first)) {
            let mut merge = case.timeline.merge(observation, now, &mut self.symbols, &mut scratch);
            if merge.changed > 0 {
                news.extend_from_slice(scratch.changed());
                changed_from = changed_from.min(scratch.changed_from());
            }
            if case.timeline.is_full() {
                is_full = true;
                merge.dropped += self.make_room(&mut case, now);
            }
            changes.merge.add(merge);
            merged(merge);
        }
        self.scratch = scratch;
        let is_older = case.timeline.first_seen() != first_seen;
        if changes.merge.changed == 0 && changes.merge.revised == 0 && !is_older {
            (self.at_work, self.news) = (Some(case), news);
            return changes;
        }
        changes.cases.push(CaseNumber(number));
        let said = self.learn_of(&mut case, known.as_ref(), now);
        // What no clock looks at moves no clock.
        let watched = news.iter().any(|name| self.history.is_watched(kind, *name));
        if watched || is_older || !said.names.is_empty() {
            let changed_from = if is_older { Instant::MIN } else { changed_from };
            let changed_from = said.from.map_or(changed_from, |from| from.min(changed_from));
            let until = now - Span::MILLISECOND;
            let is_restored = self.restored_at.is_some_and(|at| at <= wake);
            news.extend_from_slice(&said.names);
            let anything = is_older || is_full || is_restored;
            let told = if anything { News::Any } else { News::Of(&news) };
            let step = Step { news: told, now, until, changed_from, reason: RetractionReason::LateEntry };
            self.judge(&mut case, step, &mut changes);
            outrank(&mut changes.crossings);
        }
        self.news = news;
        self.keep(number, case);
        changes
    }

    /// Lets time pass: records every threshold up to and including `now`, each at its own instant (W3).
    pub fn advance(&mut self, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let now = self.reach(now, &mut changes);
        // Most of what is due is one crossing of one cycle. Lists that grow while 10,000 come due cost more than those.
        let due = self.timers.count_until(now);
        changes.cases.reserve(due);
        changes.crossings.reserve(due);
        changes.cycles.reserve(due);
        let mut has_looked = false;
        loop {
            let timer = self.timers.first_until(now);
            if self.learn_by(timer.map_or(now, |(at, _)| at), &mut has_looked, &mut changes) {
                continue;
            }
            let Some((_, number)) = timer else { break };
            let Some(mut case) = self.take(number) else { break };
            let first = changes.crossings.len();
            let (mut turns, mut altered) = (0, false);
            let restored = self.restored_at.is_some_and(|at| at <= case.wake);
            // Instants in order: every wake-up of the case is judged as of its own instant, so that one long step
            // records what many small ones would (L7); only the last is as of now.
            while case.wake <= now {
                let wake = case.wake;
                let reason = RetractionReason::LateEntry;
                let said = self.learn_at(&mut case, wake);
                let news = if restored { News::Any } else { News::Of(&said.names) };
                let changed_from = said.from.map_or(wake, |from| from.min(wake));
                let step = Step { news, now: wake, until: wake, changed_from, reason };
                altered |= self.judge(&mut case, step, &mut changes) || !said.names.is_empty();
                turns += 1;
            }
            self.keep(number, case);
            // A case that was restored is woken only to find its next wake-up: its row is in the store.
            if !restored || altered || turns > 1 {
                changes.cases.push(CaseNumber(number));
            }
            for crossing in &mut changes.crossings[first..] {
                if let Verdict::Rung { late_by, .. } = &mut crossing.verdict {
                    *late_by += now.since(crossing.recorded_at);
                }
                crossing.recorded_at = now;
            }
            outrank(&mut changes.crossings[first..]);
        }
        self.restored_at = self.restored_at.filter(|at| *at > now);
        changes
    }

    /// Does what a person or the daemon asks.
    ///
    /// # Errors
    /// The command is refused as a whole; nothing has changed.
    pub fn command(&mut self, command: &Command, now: Instant) -> Result<Changes, Refused> {
        let mut changes = Changes::default();
        let now = self.reach(now, &mut changes);
        match command {
            Command::Excuse { case, clock, start } => {
                self.excuse(case, clock, *start, now, &mut changes)?;
            }
            Command::Reload { policy, mode, since } => {
                self.reload(policy, *mode, *since, now, &mut changes)?;
            }
        }
        Ok(changes)
    }

    /// Takes in what a channel answered.
    pub fn receipt(&mut self, _receipt: &Receipt, now: Instant) -> Changes {
        let mut changes = Changes::default();
        self.reach(now, &mut changes);
        changes
    }

    /// When [`Engine::advance`] has something to do (W1); `None` while nothing is ahead.
    pub fn next_wake(&self) -> Option<Instant> {
        // What is still to be gone through since midnight is due at once.
        let learned = self.learned.as_ref().and_then(|learned| learned.next_wake());
        [self.timers.first(), learned.map(|at| at.max(self.now))].into_iter().flatten().min()
    }

    /// A case by name.
    pub fn case(&self, source: &str, kind: &str, id: &str) -> Option<CaseView<'_>> {
        let number = self.find(self.symbols.get(source)?, self.symbols.get(kind)?, id)?;
        self.view(CaseNumber(number))
    }

    /// A case by number.
    pub fn view(&self, number: CaseNumber) -> Option<CaseView<'_>> {
        let case = self.cases.get(number.0)?.case(&self.symbols);
        Some(CaseView { engine: self, case })
    }

    /// Every case in memory, in no meaningful order.
    pub fn views(&self) -> impl Iterator<Item = CaseView<'_>> {
        self.cases.iter().map(|case| CaseView { engine: self, case: case.case(&self.symbols) })
    }

    /// Lets cases leave memory in which nothing is open and nothing has happened since `before`; the store has their
    /// rows, and [`Engine::restore`] brings one back. Answers how many left.
    pub fn forget_settled(&mut self, before: Instant) -> usize {
        let mut forgotten = 0;
        for number in 0..self.cases.numbers() {
            let settled = self.cases.get(number).is_some_and(|case| {
                let last_change = || case.case(&self.symbols).timeline.last_change();
                case.wake == Instant::MAX && !case.is_open && last_change().is_none_or(|t| t < before)
            });
            if settled {
                self.remove(number);
                forgotten += 1;
            }
        }
        forgotten
    }

    /// W5: time never goes back in here.
    fn reach(&mut self, now: Instant, changes: &mut Changes) -> Instant {
        if now < self.now {
            changes.clock_went_back = true;
        } else {
            self.now = now;
        }
        self.now
    }

    fn admit(&mut self, observation: &Observation<'_>) -> Result<(Sym, Sym), Refused> {
        if observation.id.is_empty() || observation.id.len() > Engine::LONGEST_ID {
            let length = observation.id.len();
            return Err(Refused::Name { what: "the id", length, most: Engine::LONGEST_ID });
        }
        // Observations come in runs of one source and kind.
        if let Some((source, kind)) = self.last_names
            && **self.symbols.name(source) == *observation.source
            && **self.symbols.name(kind) == *observation.kind
        {
            return Ok((source, kind));
        }
        let mut name = |what, text: &str| {
            if text.is_empty() || text.len() > Symbols::LONGEST {
                return Err(Refused::Name { what, length: text.len(), most: Symbols::LONGEST });
            }
            self.symbols.intern(text).ok_or(Refused::TooManyNames)
        };
        let names = (name("the source", &observation.source)?, name("the kind", &observation.kind)?);
        self.last_names = Some(names);
        Ok(names)
    }

    fn find(&self, source: Sym, kind: Sym, id: &str) -> Option<u32> {
        self.cases.find(source, kind, id)
    }

    fn find_or_insert(&mut self, source: Sym, kind: Sym, id: &str) -> u32 {
        match self.cases.find_anew(source, kind, id) {
            Some(number) => number,
            None => {
                let case = Case::new(source, kind, id).rest(&mut self.packing, &mut self.symbols);
                self.cases.insert(case)
            }
        }
    }

    /// A case to work on; [`Engine::keep`] brings what became of it to rest.
    fn take(&mut self, number: u32) -> Option<Case> {
        let resting = self.cases.get(number)?;
        match self.at_work.take() {
            Some(mut case) => {
                resting.load(&mut case, &self.symbols);
                Some(case)
            }
            None => Some(resting.case(&self.symbols)),
        }
    }

    fn keep(&mut self, number: u32, case: Case) {
        let resting = case.rest(&mut self.packing, &mut self.symbols);
        if let Some(before) = self.cases.get_mut(number) {
            let Resting { wake, .. } = std::mem::replace(before, resting);
            self.timers.rearm(wake, case.wake, number);
        }
        self.at_work = Some(case);
    }

    fn remove(&mut self, number: u32) {
        if let Some(case) = self.cases.remove(number) {
            self.timers.cancel(case.wake, number);
        }
    }

    /// Judges a case. Answers whether what is remembered of it is another thing now.
    fn judge(&mut self, case: &mut Case, step: Step<'_>, changes: &mut Changes) -> bool {
        let mut judge = Judge {
            key: None,
            history: &self.history,
            symbols: &self.symbols,
            deriver: &mut self.deriver,
            uncovered: &mut self.uncovered,
            changes,
            altered: false,
        };
        judge.judge(case, step);
        judge.altered
    }

    /// Drops the oldest entries of a case that has too many, and forgets the cycles that went with them: what was told of
    /// those stands. Answers how many entries were dropped.
    fn make_room(&mut self, case: &mut Case, now: Instant) -> u32 {
        let mut trace = |timeline: &Timeline| {
            let mut footing = Footing::default();
            for clock in self.history.clocks_on(case.kind) {
                self.deriver.trace(clock, timeline, &self.symbols, now, &mut footing);
            }
            footing
        };
        let names = |footing: &Footing| -> BTreeSet<(Sym, u64)> {
            footing.stretches.iter().map(|s| (s.clock, s.key)).collect()
        };
        let before = trace(&case.timeline);
        let known_until = case.timeline.dropped_until();
        let dropped = case.timeline.make_room(&before, now, &self.symbols);
        if case.timeline.dropped_until() != known_until {
            let (before, after) = (names(&before), names(&trace(&case.timeline)));
            case.cycles.retain(|m| !before.contains(&(m.clock, m.key)) || after.contains(&(m.clock, m.key)));
        }
        dropped
    }

    fn excuse(
        &mut self,
        key: &CaseKey,
        clock: &str,
        start: Option<Instant>,
        now: Instant,
        changes: &mut Changes,
    ) -> Result<(), Refused> {
        let names = self.symbols.get(&key.source).zip(self.symbols.get(&key.kind));
        let number = names.and_then(|(source, kind)| self.find(source, kind, &key.id));
        let number = number.ok_or(Refused::NoSuchCase)?;
        let no_such = || Refused::NoSuchCycle { clock: clock.to_owned() };
        let view = self.view(CaseNumber(number)).ok_or(Refused::NoSuchCase)?;
        let clock_name = self.symbols.get(clock).ok_or_else(no_such)?;
        let wanted = view
            .cycles(now)
            .iter()
            .rev()
            .find(|c| c.clock == clock_name && start.is_none_or(|start| c.start == start))
            .map(|c| c.key)
            .ok_or_else(no_such)?;
        let mut case = self.take(number).ok_or(Refused::NoSuchCase)?;
        case.timeline.excuse(clock_name, wanted, now);
        changes.cases.push(CaseNumber(number));
        let (until, reason) = (now - Span::MILLISECOND, RetractionReason::LateEntry);
        let step = Step { news: News::Any, now, until, changed_from: Instant::MIN, reason };
        self.judge(&mut case, step, changes);
        self.keep(number, case);
        outrank(&mut changes.crossings);
        Ok(())
    }
}
