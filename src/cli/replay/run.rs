//! The driver: observations in the order of their instants, and the engine woken when it asks to be.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;

use crate::cli::replay::ReplayError;
use crate::cli::replay::progress::Progress;
use crate::cli::replay::report::show::count;
use crate::cli::replay::rows::{CycleRow, Reply, SignalRow, write_line};
use crate::config::Ready;
use crate::core::calendar::Era;
use crate::core::clock::metrics::Lags;
use crate::core::clock::{Cycle, RingAt};
use crate::core::duty::Shifts;
use crate::core::engine::{CaseView, Cause, Changes, Crossing, CycleId, Engine, Remark, Verdict};
use crate::core::model::{Merge, Scalar};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::sources::history::{History, InputError, Tally};

/// What came of a replay.
pub struct Replay {
    /// Every cycle as it stood at the end, by case, clock and start.
    pub rows: Vec<CycleRow>,
    /// Everything that rang.
    pub signals: Vec<SignalRow>,
    /// How long after its instant each crossing was recorded (M14).
    pub lags: Lags,
    /// What was read.
    pub tally: Tally,
    /// A history that broke off: everything before it counts.
    pub broken: Option<InputError>,
    /// The end of the history.
    pub end: Instant,
    /// How many cases there were.
    pub case_count: usize,
    /// What the sysadmin would have been told.
    pub remarks: Vec<String>,
    /// The engine as it stood at the end.
    pub engine: Engine,
    /// Wall time spent on reading and deciding.
    pub took: Duration,
}

/// Runs `inputs` through the engine of `ready`, up to and including `until`, or to the last event.
///
/// # Errors
/// A history that cannot be opened, the first broken line when `is_strict`, signals that cannot be written.
pub fn replay(
    ready: &Ready,
    inputs: &[String],
    until: Option<Instant>,
    is_strict: bool,
    progress: &Progress,
    signals: Option<&mut dyn Write>,
) -> anyhow::Result<Replay> {
    let watch = |bytes| progress.watch(bytes);
    let mut history = History::open(inputs, ready.settings.import.clone(), is_strict, &watch)?;
    let mut run = Run::new(ready, signals)?;
    #[expect(clippy::disallowed_methods, reason = "how fast it was is told beside the report, never in it")]
    let start = std::time::Instant::now();
    let mut seen = 0u64;
    let mut last_at = None;
    let played = history.play(|observation, now| {
        if until.is_some_and(|until| now > until) {
            return Err(ReplayError::Reached);
        }
        run.wake_before(now)?;
        let changes = run.engine.observe(observation, now);
        run.take(changes)?;
        last_at = Some(now);
        seen += 1;
        if seen.is_multiple_of(8_192) {
            progress.say(&now.to_string());
        }
        Ok::<(), ReplayError>(())
    });
    let broken = match played {
        Ok(()) | Err(ReplayError::Reached) => None,
        Err(ReplayError::Input(broken @ InputError::Broken { .. })) => Some(broken),
        Err(other) => return Err(other.into()),
    };
    let end = until.or(last_at).unwrap_or(Instant::EARLIEST);
    run.wake_until(end)?;
    let took = start.elapsed();
    let mut tally = history.tally();
    tally.events = seen;
    if let (Some(until), Some(first)) = (until, tally.first_at)
        && until < first
    {
        run.remarks
            .push(format!("--until lies before the first event, which is at {first}: nothing was replayed"));
    }
    Ok(run.finish(ready, tally, broken, end, took))
}

struct Run<'w> {
    engine: Engine,
    desk: Arc<str>,
    out: Option<&'w mut dyn Write>,
    signals: Vec<SignalRow>,
    detector: Detector,
    remarks: Vec<String>,
    merge: Merge,
    refused: u64,
    retracted: u64,
}

impl<'w> Run<'w> {
    fn new(ready: &Ready, out: Option<&'w mut dyn Write>) -> anyhow::Result<Run<'w>> {
        let desk = &ready.settings.desk.id;
        let mut problems = Problems::new();
        let mut engine = Engine::new(desk, &ready.policy, None, Era::DEFAULT, &mut problems)
            .ok_or_else(|| anyhow!("the policy is refused: {:?}", problems.into_vec()))?;
        engine.learn(ready.learned());
        Ok(Run {
            engine,
            desk: desk.as_str().into(),
            out,
            signals: Vec::new(),
            detector: Detector::default(),
            remarks: Vec::new(),
            merge: Merge::default(),
            refused: 0,
            retracted: 0,
        })
    }

    /// Everything observed at one instant goes in before anything due at it rings.
    fn wake_before(&mut self, now: Instant) -> Result<(), ReplayError> {
        while let Some(wake) = self.engine.next_wake().filter(|wake| *wake < now) {
            let changes = self.engine.advance(wake);
            self.take(changes)?;
        }
        Ok(())
    }

    fn wake_until(&mut self, end: Instant) -> Result<(), ReplayError> {
        while let Some(wake) = self.engine.next_wake().filter(|wake| *wake <= end) {
            let changes = self.engine.advance(wake);
            self.take(changes)?;
        }
        let changes = self.engine.advance(end);
        self.take(changes)
    }

    fn take(&mut self, changes: Changes) -> Result<(), ReplayError> {
        self.merge.add(changes.merge);
        self.refused += u64::from(changes.refused.is_some());
        if changes.is_empty() {
            return Ok(());
        }
        changes.crossings.iter().for_each(|crossing| self.detector.see(crossing));
        for (crossing, late_by, _) in changes.rings() {
            let row = SignalRow {
                at: crossing.recorded_at,
                desk: self.desk.clone(),
                source: crossing.cycle.case.source.clone(),
                kind: crossing.cycle.case.kind.clone(),
                id: crossing.cycle.case.id.clone(),
                clock: crossing.cycle.clock.clone(),
                ring: crossing.ring_name.clone(),
                due: crossing.due,
                late_by_s: late_by.as_secs(),
                reason: None,
            };
            if let Some(out) = &mut self.out {
                write_line(out, &row)?;
            }
            self.signals.push(row);
        }
        self.retracted += changes.retractions.len() as u64;
        for retraction in &changes.retractions {
            // A signal too (R1), for whoever was rung; nobody is rung for it, so it counts as no ring.
            let Some(out) = &mut self.out else { break };
            let cycle = &retraction.cycle;
            let row = SignalRow {
                at: retraction.at,
                desk: self.desk.clone(),
                source: cycle.case.source.clone(),
                kind: cycle.case.kind.clone(),
                id: cycle.case.id.clone(),
                clock: cycle.clock.clone(),
                ring: "retracted".into(),
                due: retraction.due,
                late_by_s: 0,
                reason: None,
            };
            write_line(out, &row)?;
        }
        for remark in &changes.remarks {
            let text = match remark {
                Remark::CalendarCoverage { calendar, year } => {
                    format!(
                        "calendar {calendar} has no holidays for {year}: due times there use weekly hours"
                    )
                }
                Remark::Unreachable { cycle } => format!(
                    "clock {} of {} is never due: its calendar has no open time within 800 days",
                    cycle.clock, cycle.case.id
                ),
            };
            // Bounded: coverage is told once a year and calendar, the rest is cut.
            if self.remarks.len() < 20 {
                self.remarks.push(text);
            }
        }
        Ok(())
    }

    fn finish(
        mut self,
        ready: &Ready,
        tally: Tally,
        broken: Option<InputError>,
        end: Instant,
        took: Duration,
    ) -> Replay {
        for (n, what, done) in [
            (
                u64::from(self.merge.conflicts),
                "entries contradict another of the same mark or instant",
                "of two the earlier instant, else the smaller value, is kept",
            ),
            (
                u64::from(self.merge.future),
                "entries lay more than 24 h ahead of the event that told them",
                "left out",
            ),
            (u64::from(self.merge.implausible), "entries lay outside 2000–2096", "left out"),
            (
                u64::from(self.merge.refused),
                "entries had a name or text that is too long, a number that is not finite, or too many others beside them",
                "left out",
            ),
            (
                u64::from(self.merge.dropped),
                "entries had no room in their case, which has more than 4,096",
                "the oldest of them are left out that change least",
            ),
            (self.refused, "events had no source, kind or id that can be used", "left out"),
            (self.retracted, "rings were taken back", "a later event showed that they were about nothing"),
        ] {
            if n > 0 {
                self.remarks.push(format!("{} {what}: {done}", count(n)));
            }
        }
        let rows = rows(&self.engine, &ready.shifts, end);
        Replay {
            rows,
            signals: self.signals,
            lags: self.detector.lags,
            tally,
            broken,
            end,
            case_count: self.engine.case_count(),
            remarks: self.remarks,
            engine: self.engine,
            took,
        }
    }
}

/// How long after its instant each crossing was recorded (M14).
#[derive(Default)]
struct Detector {
    lags: Lags,
    /// Crossings that were recorded and wait for the calendar to open (H7).
    held: BTreeSet<(CycleId, RingAt, u8)>,
}

impl Detector {
    /// A crossing is detected once, also when it is held and rings later. `due` is crossed as it passes.
    fn see(&mut self, crossing: &Crossing) {
        let key = || (crossing.cycle.clone(), crossing.ring, crossing.arm);
        match crossing.verdict {
            Verdict::Rung { cause: Cause::Opening, .. } if self.held.remove(&key()) => return,
            Verdict::Held { .. } => drop(self.held.insert(key())),
            _ => {}
        }
        let due = crossing.due.filter(|_| crossing.ring == RingAt::Due);
        self.lags.add(crossing.recorded_at.since(due.unwrap_or(crossing.at)));
    }
}

fn rows(engine: &Engine, shifts: &Shifts, end: Instant) -> Vec<CycleRow> {
    let mut texts = Texts::default();
    let question = engine.symbols().get("customer_message");
    let policy = engine.history().current();
    let is_condition = |clock: &str| {
        policy.is_some_and(|policy| policy.config().condition.iter().any(|rule| rule.name == *clock))
    };
    let mut rows: Vec<CycleRow> = Vec::new();
    for view in engine.views() {
        let key = view.key();
        let mut last_clock = None;
        for cycle in view.cycles(end) {
            // What is wrong is no promise that could be kept: it is in the rings, not in what was attained.
            if is_condition(engine.symbols().name(cycle.clock)) {
                continue;
            }
            let is_first = last_clock.replace(cycle.clock) != Some(cycle.clock);
            // M12: a breach belongs to whoever had it when it fell due.
            let decided = cycle.due.or(cycle.end).unwrap_or(end).min(end);
            rows.push(CycleRow {
                source: key.source.clone(),
                kind: key.kind.clone(),
                id: key.id.to_string(),
                clock: engine.symbols().name(cycle.clock).clone(),
                start: cycle.start,
                due: cycle.due,
                end: cycle.end,
                outcome: cycle.state,
                open: cycle.taken_open(end),
                wall: cycle.taken_wall(end),
                overdue_open: cycle.overdue_open(end),
                overdue_wall: cycle.overdue_wall(end),
                shop: texts.value(&view, "shop", decided),
                assignee: texts.value(&view, "assignee", decided),
                shift: shifts.at(decided).cloned(),
                at_risk: is_at_risk(&cycle, end),
                reply: (cycle.is_reply() && cycle.is_fulfilled).then_some(if is_first {
                    Reply::First
                } else {
                    Reply::Next
                }),
                waited: cycle.waited_open(end),
                doubtful: question
                    .map_or(Span::ZERO, |question| cycle.doubtful_pause(end, view.timeline(), question)),
            });
        }
    }
    rows.sort_by(|a, b| {
        (&a.source, &a.kind, &a.id, &a.clock, a.start, a.end)
            .cmp(&(&b.source, &b.kind, &b.id, &b.clock, b.start, b.end))
    });
    rows
}

/// M10: running, not overdue, first ring crossed.
fn is_at_risk(cycle: &Cycle<'_>, now: Instant) -> bool {
    cycle.state == crate::core::clock::State::Running
        && cycle.rings().iter().filter_map(|ring| cycle.crossing(ring)).any(|at| at <= now)
}

/// Each shop's and person's name once.
#[derive(Default)]
struct Texts {
    known: BTreeMap<String, Arc<str>>,
}

impl Texts {
    fn value(&mut self, view: &CaseView<'_>, attribute: &str, t: Instant) -> Option<Arc<str>> {
        let Some(Scalar::Text(text)) = view.value_at(attribute, t) else { return None };
        if let Some(known) = self.known.get(text) {
            return Some(known.clone());
        }
        let shared: Arc<str> = text.into();
        self.known.insert(text.to_owned(), shared.clone());
        Some(shared)
    }
}

#[cfg(test)]
mod tests;
