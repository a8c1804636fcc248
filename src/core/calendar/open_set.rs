//! The open set of a calendar: disjoint, sorted, half-open runs of open time, with prefix sums (§3).
//!
//! Everything is asked by position: which run is at this instant, which run holds the n-th open
//! second. Both are answered by a [`Ladder`], one lookup and a step or two at any distance. Edges are
//! whole seconds since the origin in 32 bits (136 years); instants keep their milliseconds.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::core::time::{Instant, Span};

/// One run of open time, in seconds since the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    start: u32,
    end: u32,
    /// The open seconds before it.
    before: u32,
}

impl Run {
    /// The open seconds up to its end.
    fn after(self) -> u32 {
        self.before + (self.end - self.start)
    }
}

/// A sorted list of disjoint open runs.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct OpenSet {
    origin: i64,
    runs: Box<[Run]>,
    by_time: Ladder,
    by_open: Ladder,
}

impl fmt::Debug for OpenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenSet({} runs, {})", self.runs.len(), Span::from_secs(self.total()))
    }
}

impl OpenSet {
    /// The union (C4) of `pieces`, which are `[start, end)` in seconds since `origin`, in any order;
    /// those that are empty or reversed vanish (C11).
    pub(super) fn new(origin: Instant, mut pieces: Vec<(u32, u32)>) -> OpenSet {
        pieces.retain(|(start, end)| start < end);
        if !pieces.is_sorted() {
            pieces.sort_unstable();
        }
        let mut runs: Vec<Run> = Vec::with_capacity(pieces.len());
        for (start, end) in pieces {
            match runs.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                last => {
                    let before = last.map_or(0, |last| last.after());
                    runs.push(Run { start, end, before });
                }
            }
        }
        let runs = runs.into_boxed_slice();
        let by_time = Ladder::new(runs.iter().map(|run| run.end));
        let by_open = Ladder::new(runs.iter().map(|run| run.after()));
        OpenSet { origin: origin.as_millis(), runs, by_time, by_open }
    }

    fn total(&self) -> i64 {
        self.runs.last().map_or(0, |run| i64::from(run.after()))
    }

    /// Milliseconds since the origin; 0 for anything earlier.
    fn place(&self, t: Instant) -> i64 {
        t.as_millis().saturating_sub(self.origin).max(0)
    }

    fn instant(&self, ms: i64) -> Instant {
        Instant::from_millis(self.origin + ms)
    }

    fn edges(&self, run: Run) -> (Instant, Instant) {
        (self.instant(i64::from(run.start) * 1000), self.instant(i64::from(run.end) * 1000))
    }

    /// The first run that ends after the place.
    #[inline]
    fn at_or_after(&self, place: i64) -> usize {
        match u32::try_from(place / 1000) {
            Ok(second) => self.by_time.first_above(second, &self.runs, |run| run.end),
            Err(_) => self.runs.len(),
        }
    }

    /// Open milliseconds before the place.
    #[inline]
    fn open_before(&self, place: i64) -> i64 {
        match self.runs.get(self.at_or_after(place)) {
            Some(run) => i64::from(run.before) * 1000 + (place - i64::from(run.start) * 1000).max(0),
            None => self.total() * 1000,
        }
    }

    /// The run in which open second `second`, counted from 0, passes; and the place `open` milliseconds
    /// of open time into the set, seen from that run.
    #[inline]
    fn place_of(&self, second: i64, open: i64) -> Option<Instant> {
        let second = u32::try_from(second).ok()?;
        let at = self.by_open.first_above(second, &self.runs, |run| run.after());
        let run = self.runs.get(at)?;
        Some(self.instant(i64::from(run.start) * 1000 + (open - i64::from(run.before) * 1000)))
    }

    /// A1.
    pub(super) fn is_open(&self, t: Instant) -> bool {
        let place = t.as_millis().saturating_sub(self.origin);
        place >= 0
            && self.runs.get(self.at_or_after(place)).is_some_and(|run| i64::from(run.start) * 1000 <= place)
    }

    /// A2.
    #[inline]
    pub(super) fn elapsed(&self, a: Instant, b: Instant) -> Span {
        if b <= a {
            return Span::ZERO;
        }
        Span::from_millis(self.open_before(self.place(b)) - self.open_before(self.place(a)))
    }

    /// A3, without the horizon.
    #[inline]
    pub(super) fn add(&self, t: Instant, d: Span) -> Option<Instant> {
        if d.is_zero() {
            return Some(t);
        }
        let open = self.open_before(self.place(t)).checked_add(d.as_millis())?;
        // The first instant at which that much is used up: the run that holds the last millisecond of it.
        self.place_of((open - 1) / 1000, open)
    }

    /// A5, without the horizon.
    #[inline]
    pub(super) fn back(&self, t: Instant, d: Span) -> Option<Instant> {
        if d.is_zero() {
            return Some(t);
        }
        let open = self.open_before(self.place(t)).checked_sub(d.as_millis()).filter(|open| *open >= 0)?;
        self.place_of(open / 1000, open)
    }

    /// A6, without the horizon.
    pub(super) fn next_open(&self, t: Instant) -> Option<Instant> {
        let run = self.runs.get(self.at_or_after(self.place(t)))?;
        Some(self.edges(*run).0.max(t))
    }

    /// The open runs inside `[a, b)`, cut to it, in order.
    pub(super) fn between(&self, a: Instant, b: Instant) -> impl Iterator<Item = (Instant, Instant)> + '_ {
        self.runs[self.at_or_after(self.place(a))..]
            .iter()
            .map(|run| self.edges(*run))
            .take_while(move |(start, _)| *start < b)
            .map(move |(start, end)| (start.max(a), end.min(b)))
            // `b` may not be after `a`.
            .filter(|(start, end)| start < end)
    }

    /// A digest of all it says. Not kept anywhere: it may be another one in the next release.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.origin.hash(&mut hasher);
        self.runs.iter().for_each(|run| (run.start, run.end).hash(&mut hasher));
        hasher.finish()
    }

    /// How many runs there are.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// The first and the last edge.
    pub(super) fn extent(&self) -> Option<(Instant, Instant)> {
        let (first, last) = (self.runs.first()?, self.runs.last()?);
        Some((self.edges(*first).0, self.edges(*last).1))
    }
}

/// Finds the first of some sorted keys above a number: a table by the number's upper bits, then a walk
/// over the few keys that share them.
#[derive(Clone, PartialEq, Eq)]
struct Ladder {
    shift: u32,
    /// For each rung, the place of the first key above `rung << shift`.
    rungs: Box<[u32]>,
}

impl Ladder {
    /// A ladder over keys in ascending order.
    fn new(keys: impl ExactSizeIterator<Item = u32> + Clone) -> Ladder {
        let count = keys.len();
        let last = keys.clone().last().unwrap_or(0);
        // Between one and two rungs a key.
        let shift = (u64::from(last) / (count as u64 + 1)).max(1).ilog2();
        let mut rungs = Vec::with_capacity((last >> shift) as usize + 2);
        for (i, key) in keys.enumerate() {
            // Rungs below this key and not below the one before.
            while ((rungs.len() as u64) << shift) < u64::from(key) {
                rungs.push(i as u32);
            }
        }
        rungs.push(count as u32);
        Ladder { shift, rungs: rungs.into_boxed_slice() }
    }

    /// The place of the first key above `x`.
    #[inline]
    fn first_above(&self, x: u32, runs: &[Run], key: impl Fn(Run) -> u32) -> usize {
        /// Up to here a walk beats a binary search.
        const WALK: usize = 8;
        let rung = (x >> self.shift) as usize;
        let Some(&[low, high]) = self.rungs.get(rung..).and_then(|rungs| rungs.first_chunk::<2>()) else {
            return runs.len();
        };
        let (low, high) = (low as usize, high as usize);
        let some = &runs[low..high];
        if some.len() > WALK {
            return low + some.partition_point(|run| key(*run) <= x);
        }
        low + some.iter().take_while(|run| key(**run) <= x).count()
    }
}
