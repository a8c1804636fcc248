//! One case, one step: derive its cycles, compare with what was told before, say what is new.

use std::collections::BTreeSet;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::core::clock::{Cycle, Deriver, History, Ring, RingAt, State};
use crate::core::engine::case::{Case, Fired, Memory, Status};
use crate::core::engine::changes::{
    CaseKey, Cause, Changes, Crossing, CycleChange, CycleId, Remark, Retraction, RetractionReason, Verdict,
};
use crate::core::model::{Sym, Symbols};
use crate::core::time::{Instant, Span};

/// What a step is about.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// Known up to here.
    pub(super) now: Instant,
    /// Crossings up to here are recorded. An observation stops one millisecond before now: what is due at this very
    /// instant waits until everything observed at it is in.
    pub(super) until: Instant,
    /// Why a fired `due` may turn out wrong in this step.
    pub(super) reason: RetractionReason,
}

pub(super) struct Judge<'a> {
    /// The name of the case, once something is told of it.
    pub(super) key: Option<CaseKey>,
    pub(super) history: &'a History,
    pub(super) symbols: &'a Symbols,
    pub(super) deriver: &'a mut Deriver,
    /// Calendars and years told of already (C7).
    pub(super) uncovered: &'a mut BTreeSet<(Arc<str>, i16)>,
    pub(super) changes: &'a mut Changes,
}

impl Judge<'_> {
    /// Judges one case and sets its next wake-up.
    pub(super) fn judge(&mut self, case: &mut Case, step: Step) {
        let mut wake = case.timeline.next_entry_after(step.now).unwrap_or(Instant::MAX);
        let mut cycles = SmallVec::<[Cycle<'_>; 2]>::new();
        let known = std::mem::take(&mut case.cycles).into_vec();
        let mut kept: Vec<Memory> = Vec::with_capacity(known.len().max(2));
        let excused: SmallVec<[(Sym, u64); 2]> =
            known.iter().filter(|m| m.excused).map(|m| (m.clock, m.key)).collect();
        let mut known: SmallVec<[Option<Memory>; 2]> = known.into_iter().map(Some).collect();
        // Cycles come in the order in which they were kept, so the memory of one is nearly always the next.
        let mut next = 0;
        let history = self.history;
        for clock in history.clocks_on(case.kind) {
            cycles.clear();
            let excused = |key| excused.contains(&(clock.name, key));
            self.deriver.derive(clock, &case.timeline, self.symbols, step.now, excused, &mut cycles);
            for cycle in &cycles {
                let is_its = |m: &Option<Memory>| {
                    m.as_ref().is_some_and(|m| m.key == cycle.key && m.clock == cycle.clock)
                };
                let place = match known.get(next) {
                    Some(memory) if is_its(memory) => Some(next),
                    _ => known.iter().position(is_its),
                };
                next = place.map_or(next, |place| place + 1);
                let (memory, attached) = match place.and_then(|place| known[place].take()) {
                    Some(memory) => (memory, false),
                    None => (self.begin(case, cycle), true),
                };
                let memory = self.cycle(case, cycle, memory, attached, step, &mut wake);
                kept.push(memory);
            }
        }
        let mut known: Vec<Memory> = known.into_iter().flatten().collect();
        known.sort_by_key(|m| (m.clock, m.key));
        kept.extend(known.into_iter().filter_map(|memory| self.vanished(case, memory, step)));
        case.cycles = kept.into_boxed_slice();
        case.wake = wake;
    }

    fn id(&mut self, case: &Case, clock: Sym, key: u64) -> CycleId {
        let symbols = self.symbols;
        let case = self.key.get_or_insert_with(|| case_key(case, symbols)).clone();
        CycleId { case, clock: symbols.name(clock).clone(), key }
    }

    fn begin(&mut self, case: &Case, cycle: &Cycle<'_>) -> Memory {
        let id = self.id(case, cycle.clock, cycle.key);
        self.changes.cycles.push(CycleChange {
            cycle: id.clone(),
            from: None,
            to: Some(cycle.state),
            start: cycle.start,
            due: cycle.due,
            end: cycle.end,
        });
        if cycle.state == State::Unreachable {
            self.changes.remarks.push(Remark::Unreachable { cycle: id });
        }
        Memory {
            key: cycle.key,
            clock: cycle.clock,
            told: Some(cycle.state),
            overdue: false,
            retracted: false,
            excused: false,
            fired: Box::default(),
        }
    }

    fn cycle(
        &mut self,
        case: &Case,
        cycle: &Cycle<'_>,
        mut memory: Memory,
        attached: bool,
        step: Step,
        wake: &mut Instant,
    ) -> Memory {
        if memory.told != Some(cycle.state) {
            let id = self.id(case, cycle.clock, cycle.key);
            self.changes.cycles.push(CycleChange {
                cycle: id,
                from: memory.told,
                to: Some(cycle.state),
                start: cycle.start,
                due: cycle.due,
                end: cycle.end,
            });
            memory.told = Some(cycle.state);
        }
        let overdue = cycle.overdue_since(step.until);
        if memory.overdue && !memory.retracted && cycle.overdue_since(step.now).is_none() {
            memory.retracted = true;
            let id = self.id(case, cycle.clock, cycle.key);
            self.changes.retractions.push(Retraction {
                cycle: id,
                at: step.now,
                reason: step.reason,
                due: cycle.due,
            });
        }
        let is_open = cycle.state.is_open();
        // A cycle that has ended crosses nothing any more: what was not recorded while it was open is history.
        if is_open {
            self.rings(case, cycle, &mut memory, attached, step, wake);
        }
        if overdue.is_some() {
            memory.overdue = true;
        } else if let (true, Some(due)) = (is_open, cycle.due) {
            *wake = (*wake).min(due + Span::MILLISECOND);
        }
        if let (true, Some(due)) = (is_open, cycle.due) {
            self.check_coverage(cycle, due);
        }
        memory
    }

    fn rings(
        &mut self,
        case: &Case,
        cycle: &Cycle<'_>,
        memory: &mut Memory,
        attached: bool,
        step: Step,
        wake: &mut Instant,
    ) {
        for ring in &cycle.terms().rings {
            let fired = memory.fired(ring.name);
            let crossing = cycle.crossing(ring);
            match (crossing, fired) {
                (Some(at), None) if at > step.until => *wake = (*wake).min(at),
                (Some(at), Some(Fired { status: Status::ArmedAgain, .. })) if at > step.until => {
                    *wake = (*wake).min(at);
                }
                (Some(at), None | Some(Fired { status: Status::ArmedAgain, .. })) => {
                    // L12: what was overdue once in a cycle never fires again.
                    if ring.at == RingAt::Due && memory.overdue {
                        continue;
                    }
                    let arm = fired.map_or(0, |f| f.arm).saturating_add(1);
                    let verdict = self.verdict(cycle, ring, at, attached, step);
                    let status = match verdict {
                        Verdict::Held { until } => {
                            *wake = (*wake).min(until);
                            Status::Held
                        }
                        _ => Status::Done,
                    };
                    memory.set(Fired { ring: ring.name, arm, status });
                    self.cross(case, cycle, ring, arm, at, verdict, step);
                }
                // H4: it lies ahead once more.
                (Some(at), Some(fired)) if at > step.now && ring.at.is_early() => {
                    memory.set(Fired { status: Status::ArmedAgain, ..fired });
                    *wake = (*wake).min(at);
                }
                (at, Some(fired)) if fired.status == Status::Held => {
                    let until = at.and_then(|at| cycle.segment_at(at).terms.calendar.next_open(at));
                    match (at, until) {
                        (Some(at), Some(until)) if until <= step.until => {
                            memory.set(Fired { status: Status::Done, ..fired });
                            let verdict =
                                Verdict::Rung { late_by: late(cycle, ring, at, step), cause: Cause::Opening };
                            self.cross(case, cycle, ring, fired.arm, at, verdict, step);
                        }
                        (Some(_), Some(until)) => *wake = (*wake).min(until),
                        _ => memory.set(Fired { status: Status::Done, ..fired }),
                    }
                }
                _ => {}
            }
        }
    }

    fn verdict(&self, cycle: &Cycle<'_>, ring: &Ring, at: Instant, attached: bool, step: Step) -> Verdict {
        let cause = if attached { Cause::Attach } else { Cause::Time };
        if attached && ring.at != RingAt::Due {
            return Verdict::PassedBeforeAttach;
        }
        let calendar = &cycle.segment_at(at).terms.calendar;
        if ring.hold && !calendar.is_open(step.now) {
            return match calendar.next_open(at) {
                Some(until) if until > step.until => Verdict::Held { until },
                Some(_) => Verdict::Rung { late_by: late(cycle, ring, at, step), cause: Cause::Opening },
                None => Verdict::Outranked,
            };
        }
        Verdict::Rung { late_by: late(cycle, ring, at, step), cause }
    }

    #[expect(clippy::too_many_arguments, reason = "a crossing is exactly these facts")]
    fn cross(
        &mut self,
        case: &Case,
        cycle: &Cycle<'_>,
        ring: &Ring,
        arm: u8,
        at: Instant,
        verdict: Verdict,
        step: Step,
    ) {
        let id = self.id(case, cycle.clock, cycle.key);
        self.changes.crossings.push(Crossing {
            cycle: id,
            ring: ring.at,
            ring_name: self.symbols.name(ring.name).clone(),
            arm,
            at,
            due: cycle.due,
            recorded_at: step.now,
            verdict,
        });
    }

    /// A late or corrected entry, or a reload, shows that the cycle never was.
    fn vanished(&mut self, case: &Case, mut memory: Memory, step: Step) -> Option<Memory> {
        let cycle = self.id(case, memory.clock, memory.key);
        if memory.overdue && !memory.retracted {
            memory.retracted = true;
            let (cycle, at, reason) = (cycle.clone(), step.now, step.reason);
            self.changes.retractions.push(Retraction { cycle, at, reason, due: None });
        }
        if let Some(told) = memory.told.take() {
            let from = Some(told);
            self.changes.cycles.push(CycleChange {
                cycle,
                from,
                to: None,
                start: step.now,
                due: None,
                end: None,
            });
        }
        memory.overdue.then_some(memory)
    }

    fn check_coverage(&mut self, cycle: &Cycle<'_>, due: Instant) {
        let calendar = &cycle.terms().calendar;
        if calendar.covers(due) {
            return;
        }
        let year = due.to_timestamp().to_zoned(calendar.zone().clone()).year();
        let key = (Arc::from(calendar.id()), year);
        if !self.uncovered.contains(&key) {
            self.uncovered.insert(key.clone());
            self.changes.remarks.push(Remark::CalendarCoverage { calendar: key.0, year });
        }
    }
}

/// How late a ring is, from the instant that it speaks of: due itself for `due`.
fn late(cycle: &Cycle<'_>, ring: &Ring, at: Instant, step: Step) -> Span {
    match (ring.at, cycle.due) {
        (RingAt::Due, Some(due)) => step.now.since(due),
        _ => step.now.since(at),
    }
}

/// H8: of several crossings of one cycle in one step only the gravest rings.
pub(super) fn outrank(crossings: &mut [Crossing]) {
    for i in 0..crossings.len() {
        if !matches!(crossings[i].verdict, Verdict::Rung { .. }) {
            continue;
        }
        let graver = crossings.iter().any(|other| {
            matches!(other.verdict, Verdict::Rung { .. })
                && other.cycle == crossings[i].cycle
                && (other.ring, other.at) > (crossings[i].ring, crossings[i].at)
        });
        if graver {
            crossings[i].verdict = Verdict::Outranked;
        }
    }
}

pub(super) fn case_key(case: &Case, symbols: &Symbols) -> CaseKey {
    CaseKey {
        source: symbols.name(case.source).clone(),
        kind: symbols.name(case.kind).clone(),
        id: case.timeline.id().into(),
    }
}
