//! One case, one step: derive its cycles, compare with what was told before, say what is new.

use std::collections::BTreeSet;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::core::clock::{Cycle, Deriver, History, Ring, RingAt, State, Want};
use crate::core::engine::case::{Case, DueSecond, Fired, Memory, Status};
use crate::core::engine::changes::{
    CaseKey, Cause, Changes, Crossing, CycleChange, CycleId, Remark, Retraction, RetractionReason, Verdict,
};
use crate::core::model::{Sym, Symbols};
use crate::core::time::{Instant, Span};

/// What is new of the case in a step.
#[derive(Clone, Copy)]
pub(super) enum News<'a> {
    /// Entries of these names.
    Of(&'a [Sym]),
    /// It may be anything.
    Any,
}

/// What a step is about.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    /// What is new.
    pub(super) news: News<'a>,
    /// Known up to here.
    pub(super) now: Instant,
    /// Crossings up to here are recorded. An observation stops one millisecond before now: what is due at this very
    /// instant waits until everything observed at it is in.
    pub(super) until: Instant,
    /// Nothing before this instant is new in the case.
    pub(super) changed_from: Instant,
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
    /// What is remembered of the case is another thing than before.
    pub(super) altered: bool,
}

impl Judge<'_> {
    /// Judges one case and sets its next wake-up.
    pub(super) fn judge(&mut self, case: &mut Case, step: Step<'_>) {
        let watched = |name| self.history.is_watched(case.kind, name);
        // An entry that lay ahead counts from its instant on, and the case wakes then; the first snapshot, dated ahead,
        // from the start of the case (T7).
        let first_seen = case.timeline.first_seen();
        let first_counts_now = case.wake <= first_seen && first_seen <= step.now;
        let changed_from = if first_counts_now { Instant::MIN } else { step.changed_from.min(case.wake) };
        let mut wake = case.timeline.next_entry_after(step.now, watched).unwrap_or(Instant::MAX);
        // An entry that begins to count now may be anybody's.
        let entry_counts = case.wake <= step.now && case.timeline.has_entry_at(case.wake, step.now);
        let news = if first_counts_now || entry_counts { News::Any } else { step.news };
        let mut cycles = SmallVec::<[Cycle<'_>; 2]>::new();
        let mut memories = std::mem::take(&mut case.cycles);
        let mut begun = SmallVec::<[Memory; 4]>::new();
        let known = memories.len();
        // Which of the known cycles were found again; few cases have more than 64.
        let mut found = SmallVec::<[bool; 64]>::from_elem(false, known);
        // Cycles come in the order in which they are remembered, nearly always: look there first.
        let mut next = 0;
        let history = self.history;
        // Which clocks there may be news for …
        let mut concerned = history.set_on(case.kind, matches!(news, News::Any));
        if let News::Of(names) = news {
            names.iter().for_each(|name| history.add_looking(case.kind, *name, &mut concerned));
        }
        // … or have an open cycle, which time alone changes; and those that have any.
        let mut remembered = history.set_on(case.kind, false);
        let places: SmallVec<[Option<usize>; 64]> =
            memories.iter().map(|m| history.place_on(case.kind, m.clock)).collect();
        for (memory, place) in memories.iter().zip(&places) {
            let Some(place) = *place else { continue };
            remembered.insert(place);
            if !memory.is_over() {
                concerned.insert(place);
            }
        }
        // The others are as they were.
        for (found, place) in found.iter_mut().zip(&places) {
            *found = place.is_some_and(|place| !concerned.contains(place));
        }
        for place in concerned.iter() {
            let Some(clock) = history.clock_on(case.kind, place) else { continue };
            if !remembered.contains(place) && !clock.may_begin(&case.timeline) {
                continue;
            }
            cycles.clear();
            let mut places = SmallVec::<[Option<usize>; 2]>::new();
            let want = |key, next_start: Option<Instant>| {
                let is_same = |m: &Memory| m.key == key && m.clock == clock.name;
                let expected = memories.get(next).filter(|m| is_same(m)).map(|_| next);
                let place = expected.or_else(|| memories.iter().position(is_same));
                if let Some(place) = place {
                    next = place + 1;
                    found[place] = true;
                    let is_told = memories[place].told.is_some_and(|told| !told.is_open());
                    if is_told && next_start.is_some_and(|start| start < changed_from) {
                        return Want::Skip;
                    }
                }
                places.push(place);
                Want::Derive
            };
            self.deriver.derive(clock, &case.timeline, self.symbols, step.now, want, &mut cycles);
            for (cycle, place) in cycles.iter().zip(places) {
                match place {
                    Some(place) => self.cycle(case, cycle, &mut memories[place], false, step, &mut wake),
                    None => {
                        let mut memory = self.begin(case, cycle);
                        self.cycle(case, cycle, &mut memory, true, step, &mut wake);
                        begun.push(memory);
                    }
                }
            }
        }
        if found.contains(&false) {
            let mut found = found.into_iter();
            memories.retain_mut(|memory| found.next().unwrap_or(true) || self.vanished(case, memory, step));
        }
        memories.extend(begun);
        case.cycles = memories;
        case.wake = wake;
    }

    fn id(&mut self, case: &Case, clock: Sym, key: u64) -> CycleId {
        let symbols = self.symbols;
        let case = self.key.get_or_insert_with(|| case_key(case, symbols)).clone();
        CycleId { case, clock: symbols.name(clock).clone(), key }
    }

    fn begin(&mut self, case: &Case, cycle: &Cycle<'_>) -> Memory {
        self.altered = true;
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
            fired: SmallVec::new(),
        }
    }

    fn cycle(
        &mut self,
        case: &Case,
        cycle: &Cycle<'_>,
        memory: &mut Memory,
        attached: bool,
        step: Step<'_>,
        wake: &mut Instant,
    ) {
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
            self.altered = true;
        }
        let overdue = cycle.overdue_since(step.until);
        if memory.overdue && !memory.retracted && cycle.overdue_since(step.now).is_none() {
            memory.retracted = true;
            self.altered = true;
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
            self.rings(case, cycle, memory, attached, step, wake);
        }
        if overdue.is_some() {
            self.altered |= !memory.overdue;
            memory.overdue = true;
        } else if let (true, Some(due)) = (is_open, cycle.due) {
            *wake = (*wake).min(due + Span::MILLISECOND);
        }
        if let (true, Some(due)) = (is_open, cycle.due) {
            self.check_coverage(cycle, due);
        }
    }

    fn rings(
        &mut self,
        case: &Case,
        cycle: &Cycle<'_>,
        memory: &mut Memory,
        attached: bool,
        step: Step<'_>,
        wake: &mut Instant,
    ) {
        for ring in cycle.rings() {
            let fired = memory.fired(ring.name);
            let crossing = cycle.crossing(ring);
            match (crossing, fired) {
                (Some(at), None) if at > step.until => *wake = (*wake).min(at),
                (Some(at), Some(Fired { status: Status::ArmedAgain, .. })) if at > step.until => {
                    *wake = (*wake).min(at);
                }
                (Some(at), None | Some(Fired { status: Status::ArmedAgain, .. })) => {
                    let arm = fired.map_or(0, |f| f.arm).saturating_add(1);
                    let verdict = self.verdict(cycle, ring, at, attached, step);
                    let status = match verdict {
                        Verdict::Held { until } => {
                            *wake = (*wake).min(until);
                            Status::Held
                        }
                        _ => Status::Done,
                    };
                    self.altered = true;
                    memory.set(Fired { ring: ring.name, arm, status, due: DueSecond::of(cycle, at) });
                    self.cross(case, cycle, ring, arm, at, verdict, step);
                }
                // H4: it lies ahead once more, because due moved later. One that a restart (P4) puts ahead under a nearer
                // due time has warned of that already.
                (Some(at), Some(fired))
                    if at > step.now && ring.at.is_early() && DueSecond::of(cycle, at) > fired.due =>
                {
                    self.altered = true;
                    memory.set(Fired { status: Status::ArmedAgain, ..fired });
                    *wake = (*wake).min(at);
                }
                (at, Some(fired)) if fired.status == Status::Held => {
                    let until = at.and_then(|at| cycle.segment_at(at).terms.calendar.next_open(at));
                    match (at, until) {
                        (Some(at), Some(until)) if until <= step.until => {
                            self.altered = true;
                            memory.set(Fired { status: Status::Done, ..fired });
                            let verdict =
                                Verdict::Rung { late_by: late(cycle, ring, at, step), cause: Cause::Opening };
                            self.cross(case, cycle, ring, fired.arm, at, verdict, step);
                        }
                        (Some(_), Some(until)) => *wake = (*wake).min(until),
                        _ => {
                            self.altered = true;
                            memory.set(Fired { status: Status::Done, ..fired });
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn verdict(
        &self,
        cycle: &Cycle<'_>,
        ring: &Ring,
        at: Instant,
        attached: bool,
        step: Step<'_>,
    ) -> Verdict {
        let cause = if attached && at < step.now { Cause::Attach } else { Cause::Time };
        // H9: a reload attaches what it brings, and what it moves to before itself.
        let is_late =
            || attached || step.reason == RetractionReason::Reload || at < cycle.has_ring_since(ring);
        if ring.at != RingAt::Due && at < step.now && is_late() {
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
        step: Step<'_>,
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

    /// A late or corrected entry, or a reload, shows that the cycle never was. Answers whether it is still to be
    /// remembered.
    fn vanished(&mut self, case: &Case, memory: &mut Memory, step: Step<'_>) -> bool {
        self.altered |= memory.told.is_some() || !memory.overdue || !memory.retracted;
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
        memory.overdue
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
fn late(cycle: &Cycle<'_>, ring: &Ring, at: Instant, step: Step<'_>) -> Span {
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
