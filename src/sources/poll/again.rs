//! Cases that are read again by their ids (`platforms` 10.1, 7): each open one in turn, for lists lose rows and show some
//! late; and each that is about to ring, so that nobody is rung for what was done a moment ago.
//!
//! Invariants:
//! - no ring waits: a case is read before it rings, or it rings as it is known;
//! - lists come first: what is about to ring takes half of the requests at most, the round a quarter;
//! - a method that is refused is left alone for an hour, and the others go on.

use std::collections::{BTreeMap, VecDeque};

use crate::core::time::{Instant, Span};
use crate::sources::platform::Want;
use crate::sources::poll::{Class, Failure};

/// So long before they ring cases are looked at: where many ring at once, the first of them are read this early.
pub const AHEAD: Span = Span::from_minutes(30);
/// So many of them at most; what is beyond rings as it is known.
pub const MOST: usize = 10_000;
/// Where there are few, so long before: later answers say more, and a failed request is repeated in time.
const LEAD: Span = Span::from_secs(60);
/// A round of all open cases takes so long, or as long as its share of the requests allows.
const ROUND: Span = Span::from_minutes(5 * 60);
/// A round is so many looks at the desk's cases, at least.
const PARTS: u32 = 16;
/// The largest part.
const LARGEST: u32 = 4096;
/// With nothing in the desk it is looked at again after so long.
const EMPTY: Span = Span::from_minutes(10);
/// What cannot be read is tried so often.
const TRIES: u8 = 3;
/// A method that is refused is tried again after so long: somebody may have seen to it.
const REFUSED: Span = Span::HOUR;
/// The longest wait before a method that fails is tried again.
const LONGEST: Span = Span::from_minutes(10);
/// What was said so lately of a case is not asked for in its turn.
const LATELY: Span = Span::HOUR;

/// A case that may be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// When it rings next.
    pub rings: Option<Instant>,
    /// The newest that is known of it.
    pub changed: Instant,
    /// What finds it: one request each.
    pub wants: Vec<Want>,
}

/// Why a case is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is about to ring then.
    Ring(Instant),
    /// Its turn has come.
    Turn,
}

/// A part of the desk's open cases to ask for: the first number, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first.
    pub from: u32,
    /// How many.
    pub most: u32,
}

/// Something that rings.
#[derive(Clone, Debug)]
struct Ring {
    at: Instant,
    /// When it is to be read at the latest, for all behind it to be read in time as well.
    start: Instant,
    want: Want,
}

/// How a method is.
#[derive(Clone, Debug, Default)]
struct Method {
    tries: u32,
    not_before: Span,
    /// It is refused as a whole.
    refused: Option<Failure>,
}

/// What is to be read again of one source. Spans are looks at the counter of elapsed time.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// In the order in which they ring.
    rings: Vec<Ring>,
    /// What of it was read, or tried so often, and for which ring.
    tried: BTreeMap<Vec<String>, (Instant, u8)>,
    turns: VecDeque<(Want, u8)>,
    /// The next part of the round, and when it begins.
    from: u32,
    end: u32,
    begins: Span,
    /// The time between two turns.
    gap: Span,
    next_ring: Span,
    next_turn: Span,
    methods: BTreeMap<String, Method>,
}

impl Reads {
    /// What rings soon, instead of what was told before. A request takes `gap` of what may be asked.
    pub fn ahead(&mut self, cases: Vec<Again>, gap: Span) {
        let rings = cases.into_iter().filter_map(|case| Some((case.rings?, case.wants)));
        let rings = rings.flat_map(|(at, wants)| wants.into_iter().map(move |want| (at, want)));
        self.rings = rings.map(|(at, want)| Ring { at, start: at, want }).collect();
        self.rings.sort_by_key(|ring| ring.at);
        self.rings.truncate(MOST);
        let before = std::mem::take(&mut self.tried);
        self.rings.retain(|ring| {
            let Some(tried) = before.get(&ring.want.ids).filter(|tried| tried.0 == ring.at) else {
                return true;
            };
            self.tried.insert(ring.want.ids.clone(), *tried);
            tried.1 < TRIES
        });
        let mut latest = Instant::MAX;
        for ring in self.rings.iter_mut().rev() {
            ring.start = (ring.at - LEAD).min(latest);
            latest = ring.start - gap.times(2);
        }
    }

    /// The part of the desk's open cases to ask for now, if any.
    pub fn part(&self, elapsed: Span) -> Option<Part> {
        let most = self.end.div_ceil(PARTS).clamp(1, LARGEST);
        (self.turns.is_empty() && self.begins <= elapsed).then_some(Part { from: self.from, most })
    }

    /// Such a part: it goes on at `next` of `end`.
    pub fn open(
        &mut self,
        cases: Vec<Again>,
        (next, end): (Option<u32>, u32),
        gap: Span,
        (now, elapsed): (Instant, Span),
    ) {
        let until = next.unwrap_or(end);
        let share = i64::from(until.saturating_sub(self.from));
        let span = match end {
            0 => EMPTY,
            // A desk that was small may have grown when the part is over.
            end => Span::from_millis(ROUND.as_millis() * share / i64::from(end))
                .min(Span::from_millis(ROUND.as_millis() / i64::from(PARTS)))
                .max(Span::from_secs(1)),
        };
        (self.from, self.end, self.begins) = (next.unwrap_or(0), end, elapsed + span);
        let old = cases.into_iter().filter(|case| now.since(case.changed) >= LATELY);
        let wants = old.flat_map(|case| case.wants).filter(|want| !self.tried.contains_key(&want.ids));
        self.turns = wants.map(|want| (want, 0)).collect();
        let count = i64::try_from(self.turns.len()).unwrap_or(i64::MAX) + 1;
        self.gap = Span::from_millis(span.as_millis() / count).max(gap.times(4));
        self.next_turn = elapsed + self.gap;
    }

    /// What is about to ring and is to be read now.
    pub fn ring(&mut self, now: Instant, elapsed: Span) -> Option<(Want, Why)> {
        let over = self.rings.partition_point(|ring| ring.at <= now);
        self.rings.drain(..over);
        if self.next_ring > elapsed {
            return None;
        }
        let begun = self.rings.iter().take_while(|ring| ring.start <= now);
        let ring = begun.into_iter().find(|ring| self.is_ready(&ring.want, elapsed))?;
        Some((ring.want.clone(), Why::Ring(ring.at)))
    }

    /// Whose turn it is.
    pub fn turn(&mut self, elapsed: Span) -> Option<(Want, Why)> {
        if self.next_turn > elapsed {
            return None;
        }
        // What cannot be asked for an hour is left out of this round.
        while let Some((want, _)) = self.turns.front() {
            if self.methods.get(want.method()).is_none_or(|m| m.refused.is_none() || m.not_before <= elapsed)
            {
                break;
            }
            self.turns.pop_front();
        }
        let (want, _) = self.turns.front()?;
        self.is_ready(want, elapsed).then(|| (want.clone(), Why::Turn))
    }

    /// How long nothing that rings is to be read; `None` for as long as nothing else is told.
    pub fn ring_in(&self, now: Instant, elapsed: Span) -> Option<Span> {
        let ring = self.rings.first()?;
        Some(ring.start.since(now).max(self.next_ring.max(self.ready_at(&ring.want)).less(elapsed)))
    }

    /// How long it is nobody's turn; `None` for as long as nothing else is told.
    pub fn turn_in(&self, elapsed: Span) -> Option<Span> {
        let (want, _) = self.turns.front()?;
        Some(self.next_turn.max(self.ready_at(want)).less(elapsed))
    }

    fn ready_at(&self, want: &Want) -> Span {
        self.methods.get(want.method()).map_or(Span::ZERO, |method| method.not_before)
    }

    /// Whether a method may be asked.
    pub fn is_ready(&self, want: &Want, elapsed: Span) -> bool {
        self.ready_at(want) <= elapsed
    }

    /// Whether a method is refused as a whole, and is not to be tried now.
    pub fn is_refused(&self, want: &Want, elapsed: Span) -> bool {
        let method = self.methods.get(want.method());
        method.is_some_and(|method| method.refused.is_some() && method.not_before > elapsed)
    }

    /// The methods that are refused, and why.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &Failure)> {
        self.methods.iter().filter_map(|(name, method)| Some((name.as_str(), method.refused.as_ref()?)))
    }

    /// A method was answered.
    pub fn fine(&mut self, want: &Want) {
        self.methods.remove(want.method());
    }

    /// A case is asked for again; a request takes `gap` of what may be asked.
    pub fn asked(&mut self, why: Why, gap: Span, elapsed: Span) {
        match why {
            Why::Ring(_) => self.next_ring = elapsed + gap.times(2),
            Why::Turn => self.next_turn = elapsed + self.gap,
        }
    }

    /// A case was read.
    pub fn read(&mut self, want: &Want, why: Why) {
        self.fine(want);
        self.ended(want, why, true);
    }

    /// The method of a case is refused as a whole.
    pub fn refuse(&mut self, want: &Want, failure: Failure, elapsed: Span) {
        let method = self.methods.entry(want.method().to_owned()).or_default();
        (method.refused, method.not_before) = (Some(failure), elapsed + REFUSED);
    }

    /// A case could not be read, which says nothing of anything else: its method waits, longer and longer.
    pub fn failed(&mut self, want: &Want, why: Why, class: Class, elapsed: Span) {
        // There is no such case: the method is fine.
        if class != Class::Parameter {
            let method = self.methods.entry(want.method().to_owned()).or_default();
            method.tries += 1;
            let wait = Span::from_secs(1).times(1 << method.tries.min(10)).min(LONGEST);
            method.not_before = method.not_before.max(elapsed + wait);
        }
        self.ended(want, why, class == Class::Parameter);
    }

    /// A case was asked for: `over` when it is not to be tried again.
    fn ended(&mut self, want: &Want, why: Why, over: bool) {
        match why {
            Why::Ring(at) => {
                let tried = self.tried.entry(want.ids.clone()).or_insert((at, 0));
                let tries = if tried.0 == at { tried.1 } else { 0 };
                *tried = (at, if over { TRIES } else { tries + 1 });
                if tried.1 >= TRIES {
                    self.rings.retain(|ring| ring.at != at || ring.want.ids != want.ids);
                }
            }
            Why::Turn => {
                if let Some((want, tries)) = self.turns.pop_front()
                    && !over
                    && tries + 1 < TRIES
                {
                    self.turns.push_back((want, tries + 1));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
