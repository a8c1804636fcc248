//! Reloading the policy while cases are open (`sla_semantics` §9).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::clock::{Deriver, Epoch, History, Policy, PolicyConfig, ReloadMode, State, Want};
use crate::core::engine::changes::{CaseNumber, Changes, CycleId, Refused, RetractionReason};
use crate::core::engine::judge::{News, Step, case_key, outrank};
use crate::core::engine::{Case, Engine};
use crate::core::problem::{Problems, Severity};
use crate::core::time::{Instant, Span};

/// For so long old policies are kept even if no case is that old: one that we hear of late is judged by what was in
/// force when it began (K12), whichever other cases there are.
const LATEST_NEWS: Span = Span::from_secs(31 * 24 * 3_600);

/// What a reload would do, told before it is applied (R3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReloadDifference {
    /// By clock.
    pub clocks: BTreeMap<Arc<str>, ClockDifference>,
    /// The ten largest moves of a due time, the largest first.
    pub largest: Vec<Move>,
}

/// What a reload would do to the open cycles of one clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockDifference {
    /// Open cycles looked at.
    pub open: usize,
    /// Due times that come nearer.
    pub earlier: usize,
    /// Due times that move away.
    pub later: usize,
    /// Cycles that become overdue at once.
    pub overdue: usize,
    /// Cycles that were overdue and no longer are.
    pub relieved: usize,
    /// Cycles that are cancelled.
    pub cancelled: usize,
    /// Cycles that begin.
    pub begun: usize,
}

/// A due time that moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// The cycle.
    pub cycle: CycleId,
    /// Due before.
    pub from: Instant,
    /// Due after.
    pub to: Instant,
}

impl Move {
    /// How far it moves.
    pub fn distance(&self) -> Span {
        self.to.since(self.from).max(self.from.since(self.to))
    }
}

impl Engine {
    /// What a reload at `now` would change (R3). Nothing is applied.
    ///
    /// # Errors
    /// The new policy has errors.
    pub fn preview_reload(
        &mut self,
        policy: &PolicyConfig,
        mode: ReloadMode,
        since: Option<Instant>,
        now: Instant,
    ) -> Result<ReloadDifference, Refused> {
        let policy = self.compile(policy, now)?;
        let mut trial = History::default();
        for epoch in self.history.epochs() {
            trial.push(epoch.clone());
        }
        trial.push(Epoch { from: now, mode, since, policy });
        let mut difference = ReloadDifference::default();
        let mut deriver = Deriver::default();
        for case in self.cases.iter() {
            self.compare(&case.case(&self.symbols), &trial, now, &mut deriver, &mut difference);
        }
        difference
            .largest
            .sort_by(|a, b| b.distance().cmp(&a.distance()).then_with(|| a.cycle.cmp(&b.cycle)));
        difference.largest.truncate(10);
        Ok(difference)
    }

    fn compare(
        &self,
        case: &Case,
        trial: &History,
        now: Instant,
        deriver: &mut Deriver,
        difference: &mut ReloadDifference,
    ) {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let want = |_, _| Want::Derive;
        for clock in self.history.clocks_on(case.kind) {
            deriver.derive(clock, &case.timeline, &self.symbols, now, want, &mut old);
        }
        for clock in trial.clocks_on(case.kind) {
            deriver.derive(clock, &case.timeline, &self.symbols, now, want, &mut new);
        }
        for after in &new {
            let before = old.iter().find(|c| c.clock == after.clock && c.key == after.key);
            if before.is_none_or(|b| !b.state.is_open()) && !after.state.is_open() {
                continue;
            }
            let name = self.symbols.name(after.clock);
            let counts = difference.clocks.entry(name.clone()).or_default();
            counts.open += 1;
            let Some(before) = before else {
                counts.begun += 1;
                counts.overdue += usize::from(after.state == State::Overdue);
                continue;
            };
            counts.cancelled += usize::from(before.state.is_open() && after.state == State::Cancelled);
            counts.overdue += usize::from(before.state != State::Overdue && after.state == State::Overdue);
            counts.relieved += usize::from(
                before.state == State::Overdue && after.state.is_open() && after.state != State::Overdue,
            );
            if let (Some(from), Some(to)) = (before.due, after.due) {
                counts.earlier += usize::from(to < from);
                counts.later += usize::from(to > from);
                if from != to {
                    let case = case_key(case, &self.symbols);
                    let cycle = CycleId { case, clock: name.clone(), key: after.key };
                    difference.largest.push(Move { cycle, from, to });
                }
            }
        }
        if difference.largest.len() > 10_000 {
            difference.largest.sort_by_key(|m| std::cmp::Reverse(m.distance()));
            difference.largest.truncate(10);
        }
    }

    pub(super) fn reload(
        &mut self,
        policy: &PolicyConfig,
        mode: ReloadMode,
        since: Option<Instant>,
        now: Instant,
        changes: &mut Changes,
    ) -> Result<(), Refused> {
        // L10: an identical policy changes nothing, unless running cycles were left out when it came.
        let left_out = self.history.epochs().last().is_some_and(|e| e.mode == ReloadMode::NewOnly);
        let same = self.history.current().is_some_and(|p| p.config() == policy);
        if mode == ReloadMode::FromNow && same && !left_out {
            return Ok(());
        }
        let policy = self.compile(policy, now)?;
        self.history.push(Epoch { from: now, mode, since, policy });
        let first_seen = self.cases.iter().map(|c| c.case(&self.symbols).timeline.oldest());
        self.history.prune(first_seen.min().unwrap_or(now).min(now - LATEST_NEWS));
        let until = now - Span::MILLISECOND;
        // R1: what has ended stays as it was, unless it is to be judged again.
        let changed_from = if mode == ReloadMode::Rejudge { Instant::MIN } else { now };
        let step = Step { news: News::Any, now, until, changed_from, reason: RetractionReason::Reload };
        for number in 0..self.cases.numbers() {
            let Some(mut case) = self.take(number) else { continue };
            let first = changes.crossings.len();
            let told = changes.cycles.len() + changes.retractions.len() + first;
            let wake = case.wake;
            self.judge(&mut case, step, changes);
            outrank(&mut changes.crossings[first..]);
            let after = changes.cycles.len() + changes.retractions.len() + changes.crossings.len();
            if after > told || case.wake != wake {
                changes.cases.push(CaseNumber(number));
            }
            self.keep(number, case);
        }
        if let Some(learned) = &mut self.learned {
            // The clocks may look at other things of it now.
            learned.look_at_all();
        }
        Ok(())
    }

    /// Goes on at an earlier time, which is known to be right (`delivery_semantics` T3): every case is derived again as of
    /// then. What has fired is kept by its key; what was overdue and never was is retracted.
    pub fn turn_back(&mut self, now: Instant) -> Changes {
        let mut changes = Changes::default();
        if now >= self.now {
            return changes;
        }
        self.now = now;
        self.history.turn_back(now);
        let until = now - Span::MILLISECOND;
        let step =
            Step { news: News::Any, now, until, changed_from: Instant::MIN, reason: RetractionReason::Clock };
        for number in 0..self.cases.numbers() {
            let Some(mut case) = self.take(number) else { continue };
            let first = changes.crossings.len();
            self.judge(&mut case, step, &mut changes);
            self.keep(number, case);
            outrank(&mut changes.crossings[first..]);
            changes.cases.push(CaseNumber(number));
        }
        changes
    }

    fn compile(&mut self, policy: &PolicyConfig, now: Instant) -> Result<Arc<Policy>, Refused> {
        let mut problems = Problems::new();
        match Policy::compile(policy, &mut self.symbols, Some(now), self.era, &mut problems) {
            Some(policy) => Ok(Arc::new(policy)),
            None => {
                let mut problems = problems.into_vec();
                problems.retain(|p| p.severity == Severity::Error);
                Err(Refused::Policy(problems))
            }
        }
    }
}
