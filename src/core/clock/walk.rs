//! From marks to cycles (`sla_semantics` §5): one walk over the timeline of a case, for one clock.
//!
//! The walk decides what the marks and attributes decide: when a cycle starts, ends, is reopened, under which rule.
//! When it is due is worked out afterwards (`due.rs`), because no due time moves a start or an end; but whether a
//! cycle that was cancelled goes on or another begins when it is reopened hangs on whether it was late (K8).

use crate::core::clock::condition::Condition;
use crate::core::clock::config::{Pick, Reopen};
use crate::core::clock::due::{Cycle, State};
use crate::core::clock::history::{ClockHistory, Relevance, Version};
use crate::core::clock::policy::{Clock, Roles, Rule};
use crate::core::model::{Content, Entry, Symbols, Timeline, combine, hash64};
use crate::core::time::{Instant, Span};

use super::history::ReloadMode;

/// A cycle as the marks give it.
#[derive(Debug)]
pub(super) struct Found<'h> {
    /// Its identity in the clock and case (K15).
    pub(super) key: u64,
    pub(super) start: Instant,
    /// The entry that started it, by place among the entries of the timeline.
    pub(super) start_entry: usize,
    pub(super) end: Option<Ending>,
    /// From a stop to the reopening after it (K8).
    pub(super) gaps: Vec<(Instant, Instant)>,
    /// The version that counts from the start.
    version: usize,
    /// Which version counts from a later instant on.
    pub(super) switches: Vec<(Instant, usize)>,
    /// What it goes by now.
    pub(super) held: Held<'h>,
    /// What it went by at its start.
    pub(super) held_at_start: Held<'h>,
    /// A person took it out of the count, and if it was open ended it (K25).
    pub(super) excused: bool,
    /// Started by a reopening, which may have a target of its own (K9).
    pub(super) reopened: bool,
}

/// The clock version and the rule in it that a cycle goes by. A rule whose `when` no longer matches is kept with the
/// version it belongs to (P6).
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'h> {
    pub(super) clock: &'h Clock,
    pub(super) rule: &'h Rule,
}

/// How and when a cycle ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) at: Instant,
    pub(super) how: How,
    /// By an attribute that became true; its becoming false reopens.
    by_attribute: bool,
}

/// What ended a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Stop,
    Cancel,
    Supersede,
    Excuse,
}

/// One thing that may matter to a clock, in the order of T8.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: Instant,
    order: u8,
    /// An entry of the timeline, or a version of the clock.
    place: usize,
}

const RELOAD: u8 = 0;
const ATTRIBUTE: u8 = 1;
/// Marks come after; their parts order them among themselves.
const MARK: u8 = 2;
/// What a person does comes after all that was told of the instant.
const EXCUSE: u8 = u8::MAX;

/// Working space of the walk, kept between calls.
#[derive(Debug, Default)]
pub(super) struct WalkScratch {
    points: Vec<Point>,
    /// Without cycles; only its room is used again.
    found: Vec<Found<'static>>,
}

impl WalkScratch {
    /// Room for cycles.
    pub(super) fn room<'h>(&mut self) -> Vec<Found<'h>> {
        recycled(std::mem::take(&mut self.found))
    }

    /// Gives it back.
    pub(super) fn give_back(&mut self, found: Vec<Found<'_>>) {
        self.found = recycled(found);
    }
}

/// The room of a list, for things of another lifetime: collecting in place allocates nothing.
fn recycled<'h>(mut found: Vec<Found<'_>>) -> Vec<Found<'h>> {
    found.clear();
    found.into_iter().map_while(|_| None).collect()
}

/// What a walk goes by.
#[derive(Debug)]
pub(super) struct Trace<'a> {
    /// By place: the entry changed something, for this clock or another one.
    pub(super) used: &'a mut [bool],
    /// When a final mark closed the case, or a reopening opened it again (K7).
    pub(super) turns: Vec<Instant>,
}

pub(super) struct Walk<'h, 't> {
    history: &'h ClockHistory,
    timeline: &'t Timeline,
    symbols: &'t Symbols,
    now: Instant,
    cycles: &'t mut Vec<Found<'h>>,
    /// The final mark that closed the case, until it is reopened (K7).
    finished: bool,
    /// A condition that a mark ended: it has to become untrue before it starts again.
    ended_by_mark: bool,
    /// Excused before they start, by a correction of their start.
    excused_early: Vec<u64>,
}

impl<'h, 't> Walk<'h, 't> {
    /// The cycles of the case for this clock, from everything known up to and including `now`, in the order of
    /// their starts. What they go by is noted in `trace`, if that is wanted.
    pub(super) fn run(
        history: &'h ClockHistory,
        timeline: &'t Timeline,
        symbols: &'t Symbols,
        now: Instant,
        scratch: &mut WalkScratch,
        cycles: &'t mut Vec<Found<'h>>,
        mut trace: Option<&mut Trace<'_>>,
    ) {
        cycles.clear();
        let points = &mut scratch.points;
        points.clear();
        for (place, entry) in timeline.all_entries().iter().enumerate() {
            if entry.at > now {
                break;
            }
            if timeline.excused(entry).is_some() {
                if entry.name == history.name {
                    points.push(Point { at: entry.at, order: EXCUSE, place });
                }
                continue;
            }
            let order = match history.relevance(entry.name) {
                Relevance::None => continue,
                Relevance::Attribute => ATTRIBUTE,
                Relevance::Mark(order) => MARK + order,
            };
            if !entry.is_removed() {
                points.push(Point { at: entry.at, order, place });
            }
        }
        for (place, version) in history.versions.iter().enumerate().skip(1) {
            if version.from <= now {
                points.push(Point { at: version.from, order: RELOAD, place });
            }
        }
        points.sort_by(|a, b| {
            (a.at, a.order).cmp(&(b.at, b.order)).then_with(|| {
                if a.order < MARK {
                    return a.place.cmp(&b.place);
                }
                let entries = timeline.all_entries();
                let text = |p: &Point| {
                    let entry = &entries[p.place];
                    (timeline.reference(entry).unwrap_or(""), &**symbols.name(entry.name))
                };
                text(a).cmp(&text(b))
            })
        });
        let mut walk = Walk {
            history,
            timeline,
            symbols,
            now,
            cycles,
            finished: false,
            ended_by_mark: false,
            excused_early: Vec::new(),
        };
        for point in points.iter() {
            let before = trace.is_some().then(|| walk.stand());
            match point.order {
                RELOAD => walk.reload(point.place, point.at),
                ATTRIBUTE => walk.attribute(point.place, point.at),
                EXCUSE => walk.excuse(point.place, point.at),
                _ => walk.mark(point.place, point.at),
            }
            if let (Some(trace), Some(before)) = (&mut trace, before)
                && point.order != RELOAD
            {
                let after = walk.stand();
                trace.used[point.place] |= before != after;
                if before.3 != after.3 {
                    trace.turns.push(point.at);
                }
            }
        }
        let attached = history.attached_at();
        if attached > Instant::MIN {
            cycles.retain(|c| c.end.is_none_or(|e| e.at >= attached));
        }
    }

    /// All that a mark may change.
    fn stand(&self) -> (usize, Option<Ending>, usize, bool) {
        let last = self.cycles.last();
        (self.cycles.len(), last.and_then(|c| c.end), last.map_or(0, |c| c.gaps.len()), self.finished)
    }

    fn open(&mut self) -> Option<&mut Found<'h>> {
        self.cycles.last_mut().filter(|c| c.end.is_none())
    }

    fn end(&mut self, at: Instant, how: How, by_attribute: bool) {
        if let Some(cycle) = self.open() {
            cycle.end = Some(Ending { at, how, by_attribute });
        }
    }

    /// R5: the reload is an entry of every open case.
    fn reload(&mut self, place: usize, at: Instant) {
        let version = &self.history.versions[place];
        let timeline = self.timeline;
        if version.mode == ReloadMode::Rejudge && version.clock.is_some() {
            for ended in self.cycles.iter_mut().filter(|c| c.end.is_some()) {
                let since = version.since.unwrap_or(ended.start).max(ended.start);
                ended.switches.retain(|(from, _)| *from < since);
                ended.switches.push((since, place));
            }
        }
        let Some(cycle) = self.cycles.last_mut().filter(|c| c.end.is_none()) else {
            if version.mode != ReloadMode::NewOnly {
                self.look_again(at);
            }
            return;
        };
        let Some(clock) = &version.clock else {
            // R4: without its clock a cycle goes on under the last version, or is cancelled.
            if cycle.held.rule.cancel_on_removal {
                self.end(at, How::Cancel, false);
            }
            return;
        };
        let since = match version.mode {
            ReloadMode::NewOnly => return,
            ReloadMode::FromNow => at,
            ReloadMode::Retroactive | ReloadMode::Rejudge => {
                version.since.unwrap_or(cycle.start).max(cycle.start)
            }
        };
        cycle.switches.retain(|(from, _)| *from < since);
        cycle.switches.push((since, place));
        match clock.rule_at(timeline, at, self.now) {
            Some(rule) => cycle.held = Held { clock, rule },
            None if cycle.held.rule.cancel_on_mismatch => self.end(at, How::Cancel, false),
            None => {}
        }
        self.look_again(at);
    }

    /// A condition may be another one, or count again, from `at` on, and no attribute says so.
    fn look_again(&mut self, at: Instant) {
        let entries = self.timeline.all_entries();
        let looked_at = |e: &Entry| e.at <= at && self.history.relevance(e.name) == Relevance::Attribute;
        let Some(place) = entries.iter().rposition(looked_at) else { return };
        let key = self.key(&entries[place]);
        // One that began with the same entry is over for good.
        if self.open().is_some() || self.cycles.iter().all(|cycle| cycle.key != key) {
            self.condition(place, at);
        }
    }

    /// A rule that starts by attributes: it is on while they say so. Answers whether this is one.
    fn condition(&mut self, place: usize, at: Instant) -> bool {
        let (timeline, now) = (self.timeline, self.now);
        let open = self.open().map(|c| c.held);
        let Some(held) = open.or_else(|| self.held_at(at)) else { return false };
        let Some(wrong) = &held.rule.start_when else { return false };
        let value = |name| timeline.value_at(name, at, now);
        let is_wrong = wrong.holds(value);
        match (open.is_some(), is_wrong) {
            (true, false) => self.end(at, How::Stop, false),
            (true, true) if self.becomes(&held.rule.cancel_when, at) => self.end(at, How::Cancel, false),
            // What a mark ended has to become untrue first.
            (false, true) => {
                let cancelled = held.rule.cancel_when.as_ref().is_some_and(|c| c.holds(value));
                let was = self.ended_by_mark
                    && wrong.holds(|name| timeline.value_at(name, at - Span::MILLISECOND, now));
                if !was && !cancelled && !self.finished {
                    self.start(held, place, at, false);
                }
            }
            (false, false) => self.ended_by_mark = false,
            (true, true) => {}
        }
        true
    }

    fn attribute(&mut self, place: usize, at: Instant) {
        let (timeline, now) = (self.timeline, self.now);
        if self.condition(place, at) {
            return;
        }
        let Some(cycle) = self.cycles.last_mut() else { return };
        if let Some(ending) = cycle.end {
            let rule = cycle.held.rule;
            let over = |t: Instant| {
                let holds = |c: &Option<Condition>| {
                    c.as_ref().is_some_and(|c| c.holds(|name| timeline.value_at(name, t, now)))
                };
                holds(&rule.stop_when)
                    || holds(&rule.cancel_when)
                    || (rule.pick == Pick::OldestOpen && holds(&rule.closed))
            };
            let may_reopen = ending.by_attribute || ending.how == How::Excuse;
            let reopens = may_reopen && rule.reopen != Reopen::Ignore;
            if reopens && !over(at) && over(at - Span::MILLISECOND) {
                self.finished = false;
                self.reopen(place, at);
            }
            return;
        }
        if let Some(clock) = self.history.versions[cycle.version_at(at)].clock.as_deref() {
            match clock.rule_at(timeline, at, self.now) {
                Some(rule) => cycle.held = Held { clock, rule },
                None if cycle.held.rule.cancel_on_mismatch => {
                    return self.end(at, How::Cancel, false);
                }
                None => {}
            }
        }
        let rule = cycle.held.rule;
        if self.becomes(&rule.stop_when, at) {
            self.end(at, How::Stop, true);
        } else if self.becomes(&rule.cancel_when, at)
            || (rule.pick == Pick::OldestOpen && self.becomes(&rule.closed, at))
        {
            // A question in a case that is closed without an answer: as K13.
            self.end(at, How::Cancel, true);
        }
    }

    /// K25. What was open ends here without counting: what is asked or reopened afterwards is another promise.
    fn excuse(&mut self, place: usize, at: Instant) {
        let Some(key) = self.timeline.excused(&self.timeline.all_entries()[place]) else { return };
        let Some(cycle) = self.cycles.iter_mut().rfind(|c| c.key == key) else {
            return self.excused_early.push(key);
        };
        cycle.excused = true;
        self.ended_by_mark = true;
        cycle.end.get_or_insert(Ending { at, how: How::Excuse, by_attribute: false });
    }

    /// Whether a condition becomes true at `at`. That of a case which was closed before, and is seen closed again,
    /// does not: every snapshot repeats every attribute.
    fn becomes(&self, condition: &Option<Condition>, at: Instant) -> bool {
        let holds = |c: &Condition, t: Instant| c.holds(|name| self.timeline.value_at(name, t, self.now));
        condition.as_ref().is_some_and(|c| holds(c, at) && !holds(c, at - Span::MILLISECOND))
    }

    fn mark(&mut self, place: usize, at: Instant) {
        let name = self.timeline.all_entries()[place].name;
        let open = self.open().map(|c| c.held);
        let Some(held) = open.or_else(|| self.held_at(at)).or_else(|| self.cycles.last().map(|c| c.held))
        else {
            // Whether the case is closed does not hang on whether the clock applies to it yet (K7).
            let clock =
                self.history.versions.get(self.history.version_at(at)).and_then(|v| v.clock.as_deref());
            let has = |role| clock.is_some_and(|c| c.rules.iter().any(|r| r.roles(name).has(role)));
            self.finished = (self.finished && !has(Roles::REOPEN)) || has(Roles::FINAL);
            return;
        };
        let rule = held.rule;
        let roles = rule.roles(name);
        let is_open = open.is_some();
        let mut reset = false;
        if roles.has(Roles::RESET) && is_open {
            self.end(at, How::Supersede, false);
            self.start_anew(place, at, false);
            reset = true;
        }
        if roles.has(Roles::REOPEN) {
            self.finished = false;
            if self.open().is_none() && !self.cycles.is_empty() {
                self.reopen(place, at);
            }
            if rule.start_when.is_some() {
                self.condition(place, at);
            }
        }
        // `when` is judged at the start: a rule that only carries on an older cycle starts none, and one that has come
        // into force since then does.
        let starting = self.held_at(at).filter(|now| !reset && now.rule.roles(name).has(Roles::START));
        if let Some(held) = starting.filter(|now| self.may_start(now.rule, at)) {
            self.end(at, How::Supersede, false);
            self.start(held, place, at, false);
        }
        if roles.has(Roles::STOP) && self.open().is_some() {
            self.end(at, How::Stop, false);
            self.ended_by_mark = true;
            if rule.recurring {
                self.start_anew(place, at, false);
            }
        }
        if roles.has(Roles::CANCEL) {
            self.end(at, How::Cancel, false);
        }
        if roles.has(Roles::FINAL) {
            self.finished = true;
            // A condition is of what the case is: over with it.
            if rule.start_when.is_some() {
                self.end(at, How::Stop, false);
            }
        }
    }

    /// What a cycle that starts at `at` would go by.
    fn held_at(&self, at: Instant) -> Option<Held<'h>> {
        // A clock that is gone starts nothing.
        let clock = self.history.versions.get(self.history.version_at(at))?.clock.as_deref()?;
        clock.rule_at(self.timeline, at, self.now).map(|rule| Held { clock, rule })
    }

    fn may_start(&mut self, rule: &Rule, at: Instant) -> bool {
        let timeline = self.timeline;
        let picked = match rule.pick {
            Pick::First if rule.recurring => self.open().is_none(),
            Pick::First => self.cycles.is_empty(),
            Pick::OldestOpen => self.open().is_none(),
            Pick::Last => true,
        };
        if !picked {
            return false;
        }
        let now = self.now;
        let value = |name| timeline.value_at(name, at, now);
        // K7. A question in a case that was closed before must still be answered: for replies only what the very
        // first snapshot said counts, which is how an old closed case is imported.
        let closed = match rule.pick {
            Pick::OldestOpen => {
                (timeline.first_seen() > at && timeline.first_seen() <= now)
                    && rule.closed.as_ref().is_some_and(|c| c.holds(value))
            }
            Pick::First | Pick::Last => self.finished || rule.closed.as_ref().is_some_and(|c| c.holds(value)),
        };
        let holds = |c: &Option<Condition>| c.as_ref().is_some_and(|c| c.holds(value));
        !closed && !holds(&rule.stop_when) && !holds(&rule.cancel_when)
    }

    /// After an older one: `when` is judged at the start of every cycle, and a clock that is gone starts none.
    fn start_anew(&mut self, place: usize, at: Instant, reopened: bool) {
        if let Some(held) = self.held_at(at) {
            self.start(held, place, at, reopened);
        }
    }

    fn start(&mut self, held: Held<'h>, place: usize, at: Instant, reopened: bool) {
        let version = self.history.version_at(at);
        let key = self.key(&self.timeline.all_entries()[place]);
        let excused = self.excused_early.contains(&key);
        self.cycles.push(Found {
            key,
            start: at,
            start_entry: place,
            end: excused.then_some(Ending { at, how: How::Excuse, by_attribute: false }),
            gaps: Vec::new(),
            version,
            switches: Vec::new(),
            held,
            held_at_start: held,
            excused,
            reopened,
        });
    }

    /// K8–K11. A clock that is gone keeps what runs (R4), and takes up nothing.
    fn reopen(&mut self, place: usize, at: Instant) {
        let version = self.history.versions.get(self.history.version_at(at));
        if version.is_none_or(|v| v.clock.is_none()) {
            return;
        }
        let now = self.held_at(at);
        let Some(cycle) = self.cycles.last_mut() else { return };
        let Some(ending) = cycle.end else { return };
        let rule = cycle.held.rule;
        let soon = rule.reopen_within.is_none_or(|within| at.since(ending.at) <= within);
        let (history, timeline, until) = (self.history, self.timeline, self.now);
        // The table of §6: met goes on, and so does what was late, however it ended. What never counted does not.
        let is_missed = || Cycle::derive(cycle, history, timeline, until).state == State::Missed;
        let goes_on = !cycle.excused && soon && (ending.how == How::Stop || is_missed());
        match rule.reopen {
            Reopen::Ignore => {}
            Reopen::Continue if goes_on => {
                // What `when` says now it may have said all the while that nobody asked (P6).
                if rule.cancel_on_mismatch && now.is_none() {
                    return;
                }
                cycle.gaps.push((ending.at, at));
                cycle.end = None;
                // Reloads while it stood ended left it alone (R1); from here on they count.
                let counts = |v: &Version| {
                    v.from > ending.at && v.from <= at && v.mode != ReloadMode::NewOnly && v.clock.is_some()
                };
                let newest = self.history.versions.iter().rposition(counts);
                if let Some(newest) = newest.filter(|newest| cycle.version_at(at) != *newest) {
                    cycle.switches.push((at, newest));
                }
                let clock = self.history.versions[cycle.version_at(at)].clock.as_deref();
                let matching =
                    clock.and_then(|c| c.rule_at(self.timeline, at, self.now).map(|rule| (c, rule)));
                if let Some((clock, rule)) = matching {
                    cycle.held = Held { clock, rule };
                }
            }
            Reopen::Continue | Reopen::NewCycle => self.start_anew(place, at, true),
        }
    }

    /// K15: the clock and case are known, so the entry names the cycle: its name, and its reference or, for a mark
    /// that may come again without one, its instant.
    fn key(&self, entry: &Entry) -> u64 {
        if let Content::Attribute(_) = self.timeline.content(entry) {
            // Of all that changed at that instant no one attribute started it.
            return combine(0, entry.at.as_millis() as u64);
        }
        let name = self.symbols.digest(entry.name);
        match self.timeline.reference(entry) {
            Some(reference) => combine(name, hash64(reference.as_bytes())),
            None if self.symbols.is_single(entry.name) && self.timeline.content(entry) == Content::Mark => {
                name
            }
            None => combine(name, entry.at.as_millis() as u64),
        }
    }
}

impl Found<'_> {
    /// The version that counts at `t`.
    pub(super) fn version_at(&self, t: Instant) -> usize {
        self.switches.iter().rev().find(|(from, _)| *from <= t).map_or(self.version, |(_, v)| *v)
    }

    /// How long the cycle stood ended between a stop and a reopening.
    pub(super) fn is_in_gap(&self, t: Instant) -> bool {
        self.gaps.iter().any(|(from, to)| *from <= t && t < *to)
    }
}
