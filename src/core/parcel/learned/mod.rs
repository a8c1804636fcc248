//! What is learned of parcels, at work: it is told of every change of a case within the step that made it, and answers
//! with instants on that very case.
//!
//! | said of a case | what it is | since when |
//! | --- | --- | --- |
//! | `stall_by` | the present silence is one of the longest of its carrier, stage and lane (R39) | its last scan |
//! | `stall_serious_by` | the same, rarer; said once the first has come | its last scan |
//! | `stall_why` | the figures, once the first has come ([`StallWhy`]) | its last scan |
//! | `late_by` | it is told that the promise will be broken ([`Notice`]); said on the day on which it comes | its beginning |
//! | `late_why` | the figures ([`Why`]) | its beginning |
//! | `reports_delivery` | whether its carrier tells that it carries a parcel out (R18) | its delivery |
//! | `reports_collection` | whether its carrier tells that a parcel was fetched (R17) | it lies ready |
//!
//! The clocks of the policy go by them (`deadline = "late_by"`), so that a ring is a timer like any other: nobody asks
//! all parcels.
//!
//! What holds:
//! - What is said is a function of the case and of the model. Of a parcel nothing is kept beside its case, so nothing can
//!   differ from it after a restart; what was learned of a case is in the same commit as the case.
//! - `late_by` is judged as of the midnight that made the model, whenever that is worked out. So it does not matter in how
//!   many steps all parcels are gone through after midnight, [`SLICE`] at a time.
//! - `stall_by` is looked at again when it comes: if everything has slowed down meanwhile, it moves.

pub mod habits;
mod trip;

use jiff::tz::TimeZone;
use smallvec::SmallVec;

use crate::core::model::{Expected, Sym, Symbols, Timeline};
use crate::core::parcel::lateness::{
    Facts, Found, Journal, Lateness, LatenessConfig, LearnedRow, Notice, Why,
};
use crate::core::parcel::stall::{Closures, Gap, GapClock, Stall, StallConfig, StallWhy};
use crate::core::time::{Instant, Span};

use self::habits::{Habits, Shown};
pub use self::trip::{
    LATE_BY, LATE_WHY, REPORTS_COLLECTION, REPORTS_DELIVERY, STALL_BY, STALL_SERIOUS_BY, STALL_WHY,
};
use self::trip::{Names, Trip, Waits};

/// So many cases are gone through in one step after midnight.
pub const SLICE: u32 = 512;
/// A silence is told unless it would be told at least so much later by now.
const CREEP: Span = Span::from_minutes(10);
/// A gap of which somebody said that it would be long counts so much (`logistics` 7.3).
const EXCUSED: f32 = 0.25;

/// What it goes by: `[lateness]`, `[stall]`, and where days begin.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedSetup {
    /// When it is told that one will be late.
    pub lateness: LatenessConfig,
    /// When it is told that one is stalled.
    pub stall: StallConfig,
    /// Days begin at its midnight.
    pub zone: TimeZone,
}

/// What was learned, and who is told of what.
#[derive(Debug)]
pub struct Learned {
    setup: LearnedSetup,
    notice: Notice,
    closures: Closures,
    /// `None` in a table of names that is full: nothing is learned then.
    names: Option<Names>,
    model: Lateness,
    gaps: GapClock,
    habits: Habits,
    /// The case from which on all are still to be gone through; `None` when that is done.
    sweep: Option<u32>,
    /// How many in a step.
    slice: u32,
    /// What is to be kept, where anybody keeps it.
    journal: Option<Journal>,
    found: Found,
}

/// What was known of a case before a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    facts: Facts,
    waits: Option<Waits>,
    shown: Shown,
    delivered: Option<Instant>,
    laid_ready: Option<Instant>,
}

/// What was said anew of a case.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Under which names.
    pub names: SmallVec<[Sym; 4]>,
    /// From when on it is another thing.
    pub from: Option<Instant>,
}

impl Said {
    fn note(&mut self, name: Sym, since: Instant) {
        self.names.push(name);
        self.from = Some(self.from.map_or(since, |from| from.min(since)));
    }
}

/// What some clock looks at, of a kind of cases.
pub type IsWatched<'a> = &'a dyn Fn(Sym) -> bool;

impl Learned {
    /// Nothing is known yet.
    pub fn new(setup: LearnedSetup, symbols: &mut Symbols) -> Learned {
        Learned {
            notice: setup.lateness.notice(),
            closures: setup.stall.closures(&setup.zone),
            names: Names::new(&setup.lateness, &setup.stall, symbols),
            setup,
            model: Lateness::default(),
            gaps: GapClock::default(),
            habits: Habits::default(),
            sweep: None,
            slice: SLICE,
            journal: None,
            found: Found::default(),
        }
    }

    /// Goes by another setup, or by another table of names, from now on; what was learned stays.
    pub fn set_up(&mut self, setup: LearnedSetup, symbols: &mut Symbols) {
        let fresh = Learned::new(setup, symbols);
        let Learned { setup, notice, closures, names, .. } = fresh;
        (self.setup, self.notice, self.closures, self.names) = (setup, notice, closures, names);
        self.look_at_all();
    }

    /// What it goes by.
    pub fn setup(&self) -> &LearnedSetup {
        &self.setup
    }

    /// What is known of transit times.
    pub fn lateness(&self) -> &Lateness {
        &self.model
    }

    /// What is known of gaps.
    pub fn gaps(&self) -> &GapClock {
        &self.gaps
    }

    /// Goes through all cases, as the clocks may look at other things now.
    pub fn look_at_all(&mut self) {
        self.sweep = Some(0);
    }

    /// What is known of a case, to be asked before it changes.
    pub fn before(&self, kind: Sym, timeline: &Timeline) -> Before {
        let Some(names) = &self.names else { return Before::default() };
        let Trip { facts, waits, shown, delivered, laid_ready, .. } = names.read(kind, timeline);
        Before { facts, waits, shown, delivered, laid_ready }
    }

    /// A case has changed at `now`: learns of it, and says what follows.
    pub fn changed(
        &mut self,
        kind: Sym,
        before: &Before,
        timeline: &mut Timeline,
        is_watched: IsWatched<'_>,
        now: Instant,
    ) -> Said {
        let mut said = Said::default();
        let Some(names) = &self.names else { return said };
        let trip = names.read(kind, timeline);
        if trip.facts != before.facts {
            if self.model.next_change().is_none() {
                // The very first event sets the day.
                self.model.advance(&self.setup.zone, now);
            }
            self.model.changed(&before.facts, &trip.facts);
        }
        let gap = |waits: Waits| {
            let (stage, route) = (waits.stage?, trip.route?);
            Some(Gap { stage, route, limit: self.setup.stall.limit(stage) })
        };
        if trip.waits != before.waits
            && let Some(route) = trip.route
        {
            let known = before.waits.map(|waits| waits.since);
            for closed in trip.gaps.iter().filter(|c| known.is_none_or(|known| known < c.to) && c.to <= now) {
                let Some(stage) = closed.stage else { continue };
                if self.closures.touch(trip.carrier, closed.from, closed.to) {
                    continue;
                }
                let gap = Gap { stage, route, limit: self.setup.stall.limit(stage) };
                let weight = if closed.is_excused { EXCUSED } else { 1.0 };
                self.gaps.ended(&gap, closed.to.since(closed.from), weight, closed.to);
            }
            // Cancelled, handed over at a counter, …: it would have been longer.
            if let (Some(was), Some(is)) = (before.waits, trip.waits)
                && was.since == is.since
                && is.stage.is_none()
                && let Some(gap) = gap(was)
                && !self.closures.touch(trip.carrier, was.since, is.stage_since)
            {
                self.gaps.cut_off(&gap, is.stage_since.since(was.since), now);
            }
        }
        let silence = if trip.waits == before.waits { None } else { self.silence(&trip, now) };
        let facts = trip.facts;
        // By what was known before it: a parcel says nothing of its carrier to itself.
        let yes = |is: Option<bool>| is.map(|is| if is { "yes" } else { "no" });
        let carrier = trip.carrier;
        let habit = |was: Option<Instant>, is: Option<Instant>, name: Sym, told: Option<&'static str>| {
            is.filter(|_| was != is && is_watched(name)).map(|since| (name, since, told))
        };
        let habits = [
            (
                before.delivered,
                trip.delivered,
                names.reports_delivery,
                Habits::reports_delivery as fn(&_, &str, _) -> _,
            ),
            (before.laid_ready, trip.laid_ready, names.reports_collection, Habits::reports_collection),
        ]
        .map(|(was, is, name, of)| habit(was, is, name, yes(of(&self.habits, carrier, now))));
        self.habits.changed(carrier, before.shown, trip.shown, now);
        for (name, since, told) in habits.into_iter().flatten() {
            if timeline.explain(name, since, told) {
                said.note(name, since);
            }
        }
        if let Some(expected) = silence {
            self.say_stall(kind, expected, timeline, is_watched, &mut said);
        }
        self.say_late(kind, &facts, timeline, is_watched, &mut said);
        said
    }

    /// When the present silence becomes one of the longest.
    fn silence(&self, trip: &Trip<'_>, now: Instant) -> Option<Expected> {
        let (waits, route) = (trip.waits?, trip.route?);
        let at = waits.stage.map(|stage| {
            let gap = Gap { stage, route, limit: self.setup.stall.limit(stage) };
            let stall = self.gaps.stall(&gap, self.setup.stall.alpha, now);
            // Time that somebody was excused for is no silence (`logistics` 6.1).
            self.closures.after(trip.carrier, waits.since + waits.excused_for, stall.after)
        });
        Some(Expected { since: waits.since, at })
    }

    /// Says when it does, in place of what was said of the last one.
    fn say_stall(
        &self,
        kind: Sym,
        expected: Expected,
        timeline: &mut Timeline,
        is_watched: IsWatched<'_>,
        said: &mut Said,
    ) {
        let Some(names) = self.names.as_ref().filter(|n| n.may_stall(kind) && is_watched(n.stall_by)) else {
            return;
        };
        let since = expected.since;
        if expect_stall(timeline, names.stall_by, expected) {
            said.note(names.stall_by, since);
        }
        if timeline.expected(names.stall_serious_by).next().is_some()
            && expect_stall(timeline, names.stall_serious_by, Expected { since, at: None })
        {
            said.note(names.stall_serious_by, since);
        }
        if timeline.explained(names.stall_why).is_some_and(|(known, _)| known != since) {
            timeline.explain(names.stall_why, since, None);
        }
    }

    /// Works out anew when a parcel is told to be late, as of the midnight that made the model.
    fn say_late(
        &self,
        kind: Sym,
        facts: &Facts,
        timeline: &mut Timeline,
        is_watched: IsWatched<'_>,
        said: &mut Said,
    ) {
        let Some(names) = self.names.as_ref().filter(|n| n.may_be_late(kind) && is_watched(n.late_by)) else {
            return;
        };
        let (Some(midnight), Some(until)) = (self.model.holds_since(), self.model.next_change()) else {
            return;
        };
        let Some((route, began, promise)) = facts.open() else { return };
        let known = timeline.expected(names.late_by).next_back().and_then(|e| e.at);
        let about = timeline.explained(names.late_why).and_then(|(_, text)| Why::read(text));
        let is_same = about.is_some_and(|(_, about)| about == promise);
        if known.is_some_and(|known| known < midnight) && is_same {
            // It has been told.
            return;
        }
        let forecast = self.model.forecast(route);
        let alarm = self.notice.alarm_at(forecast.as_ref(), began, promise, midnight);
        let alarm = alarm.filter(|alarm| alarm.at < until);
        let why = alarm.map(|alarm| {
            let why = forecast.as_ref().map(|f| Why::of(f, began, promise, alarm.at));
            Why::written(why.as_ref(), promise)
        });
        let expected = Expected { since: began, at: alarm.map(|alarm| alarm.at) };
        if timeline.expect(names.late_by, expected, |_| false) {
            said.note(names.late_by, began);
        }
        if timeline.explain(names.late_why, began, why.as_deref()) {
            said.note(names.late_why, began);
        }
    }

    /// A case wakes at `at`: what was expected by then is looked at again, and explained if it stands.
    pub fn wakes(
        &mut self,
        kind: Sym,
        timeline: &mut Timeline,
        is_watched: IsWatched<'_>,
        at: Instant,
    ) -> Said {
        let mut said = Said::default();
        let Some(names) = self.names.as_ref().filter(|n| n.may_stall(kind) && is_watched(n.stall_by)) else {
            return said;
        };
        let is_due = |name| timeline.expected(name).next_back().filter(|e| e.at.is_some_and(|by| by <= at));
        let Some(Expected { since, at: Some(by) }) = is_due(names.stall_by) else { return said };
        if timeline.explained(names.stall_why).is_some_and(|(known, _)| known == since) {
            return said;
        }
        let trip = names.read(kind, timeline);
        let Some((waits, stage)) =
            trip.waits.and_then(|w| Some((w, w.stage?))).filter(|(w, _)| w.since == since)
        else {
            return said;
        };
        let Some(route) = trip.route else { return said };
        let carrier = trip.carrier.to_owned();
        let gap = Gap { stage, route, limit: self.setup.stall.limit(stage) };
        let counts_since = waits.since + waits.excused_for;
        let until = |stall: &Stall| self.closures.after(&carrier, counts_since, stall.after);
        let stall = self.gaps.stall(&gap, self.setup.stall.alpha, at);
        let moved = until(&stall);
        if moved > at + CREEP {
            if expect_stall(timeline, names.stall_by, Expected { since, at: Some(moved) }) {
                said.note(names.stall_by, since);
            }
            return said;
        }
        // It is told as of the instant that was expected, and on the ground of what is known now.
        let waited = self.closures.outside(&carrier, counts_since.min(by), by);
        if timeline.explain(names.stall_why, since, Some(&StallWhy::of(&stall, waited).written())) {
            said.note(names.stall_why, since);
        }
        let serious = self.gaps.stall(&gap, self.setup.stall.serious, at);
        if is_watched(names.stall_serious_by) {
            let at = Some(until(&serious).max(by));
            if expect_stall(timeline, names.stall_serious_by, Expected { since, at }) {
                said.note(names.stall_serious_by, since);
            }
        }
        said
    }

    /// The next instant at which all parcels are to be gone through, in the past while that is not done, or a day is to be
    /// learned; none before anything is known.
    pub fn next_wake(&self) -> Option<Instant> {
        match self.sweep {
            Some(_) => Some(self.model.holds_since().unwrap_or(Instant::MIN)),
            None => self.model.next_change(),
        }
    }

    /// Whether cases are still to be gone through before the next day can be learned.
    pub fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// Learns the day that is over at `now`, if one is, and nothing more: what follows for the parcels is worked out by
    /// [`Learned::slice`]. Answers whether there was one.
    pub fn learn_day(&mut self, now: Instant) -> bool {
        let Some(next) = self.model.next_change().filter(|next| *next <= now && !self.is_sweeping()) else {
            return false;
        };
        if let Some(journal) = &mut self.journal {
            journal.gather(&self.model);
            journal.learned();
        }
        self.model.advance(&self.setup.zone, next);
        self.look_at_all();
        true
    }

    /// The cases to go through now, of `count` in all: from the first to before the last.
    pub fn slice(&mut self, count: u32) -> std::ops::Range<u32> {
        let from = self.sweep.unwrap_or(count).min(count);
        let to = from.saturating_add(self.slice).min(count);
        self.sweep = (to < count).then_some(to);
        from..to
    }

    /// Goes through one of them.
    pub fn look_at(
        &self,
        kind: Sym,
        timeline: &mut Timeline,
        is_watched: IsWatched<'_>,
        now: Instant,
    ) -> Said {
        let mut said = Said::default();
        let Some(names) = &self.names else { return said };
        let trip = names.read(kind, timeline);
        let (silence, facts) = (self.silence(&trip, now), trip.facts);
        // Where nothing is said yet the clocks have come to look at it since.
        if let Some(expected) = silence.filter(|_| timeline.expected(names.stall_by).next().is_none()) {
            self.say_stall(kind, expected, timeline, is_watched, &mut said);
        }
        self.say_late(kind, &facts, timeline, is_watched, &mut said);
        said
    }

    /// Goes through so many cases in a step.
    #[cfg(test)]
    pub(in crate::core) fn slice_of(&mut self, slice: u32) {
        self.slice = slice;
    }

    /// From now on [`Learned::rows`] is asked after every step.
    pub fn keep(&mut self) {
        self.journal.get_or_insert_default();
    }

    /// The rows to keep in the commit of this step.
    pub fn rows(&mut self) -> Vec<LearnedRow> {
        let mut rows = Vec::new();
        if let Some(journal) = &mut self.journal {
            journal.rows(&mut self.model, &mut rows);
            self.gaps.rows(&mut rows);
            self.habits.rows(&mut rows);
        }
        rows
    }

    /// Takes one row back. After the last one: [`Learned::restored`].
    ///
    /// # Errors
    /// It cannot be read, and why: what it held is learned anew.
    pub fn restore(&mut self, id: &str, body: &[u8]) -> Result<(), String> {
        match id {
            _ if GapClock::is_row(id) => self.gaps.take(id, body),
            _ if Habits::is_row(id) => self.habits.take(id, body),
            _ => self.found.take(id, body),
        }
    }

    /// All rows are there.
    ///
    /// # Errors
    /// They do not make a model: transit times are learned anew.
    pub fn restored(&mut self) -> Result<(), String> {
        let (model, journal, told) = std::mem::take(&mut self.found).finish(&self.setup.zone);
        self.model = model;
        if self.journal.is_some() {
            self.journal = Some(journal);
        }
        // What was gone through before the restart is not known; to go through it again changes nothing.
        self.look_at_all();
        told
    }
}

/// Says by when a silence is one of the longest. What came before it stays: somebody was told.
fn expect_stall(timeline: &mut Timeline, name: Sym, now: Expected) -> bool {
    timeline.expect(name, now, |e| e.since < now.since && e.at.is_some_and(|at| at <= now.since))
}
