//! What one step of the engine answers: everything that follows from its input, and nothing else.
//!
//! This is the seam of `delivery_semantics` §5.7: crossings keyed by (cycle, ring, arm), ends, and retractions go on to
//! the alerting room, which turns them into incidents.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::core::clock::{RingAt, State};
use crate::core::model::Merge;
use crate::core::time::{Instant, Span};

/// The name of a case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseKey {
    /// The source that saw it.
    pub source: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// The platform's id.
    pub id: Arc<str>,
}

/// The name of a cycle: a promise on a case (K15).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CycleId {
    /// The case.
    pub case: CaseKey,
    /// The clock.
    pub clock: Arc<str>,
    /// A digest of the entry that started it.
    pub key: u64,
}

/// The answer of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The cases whose rows are to be kept anew, by the engine's own number ([`super::Engine::row`]).
    pub cases: SmallVec<[CaseNumber; 2]>,
    /// Thresholds that were crossed, rung or not.
    pub crossings: Vec<Crossing>,
    /// Cycles that began, changed state, ended, or turned out never to have been.
    pub cycles: Vec<CycleChange>,
    /// Overdue signals that turned out never to have been true (W6).
    pub retractions: Vec<Retraction>,
    /// Things for the sysadmin.
    pub remarks: Vec<Remark>,
    /// What merging did.
    pub merge: Merge,
    /// An input that was refused as a whole.
    pub refused: Option<Refused>,
    /// The step was given a `now` before the last one, and took the last one (W5).
    pub clock_went_back: bool,
}

/// The engine's number of a case that it holds. It stays while the case is in memory, no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseNumber(pub(super) u32);

/// A threshold that was crossed. The same (cycle, ring, arm) is never told to ring twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// The cycle.
    pub cycle: CycleId,
    /// The ring.
    pub ring: RingAt,
    /// Its text.
    pub ring_name: Arc<str>,
    /// How often it was armed in this cycle, from 1 (H4).
    pub arm: u8,
    /// The exact instant of the crossing.
    pub at: Instant,
    /// When the cycle is due.
    pub due: Option<Instant>,
    /// When the engine came to know of it: the `now` of the step.
    pub recorded_at: Instant,
    /// Whether somebody is to be rung.
    pub verdict: Verdict,
}

/// Whether a crossing rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It rings now.
    Rung {
        /// How long after its instant, and why.
        late_by: Span,
        /// What it came from.
        cause: Cause,
    },
    /// A graver one of the same cycle was crossed in the same step (H8).
    Outranked,
    /// Its instant lay before the cycle was known to us (H9).
    PassedBeforeAttach,
    /// It rings when the calendar opens (H7).
    Held {
        /// The opening.
        until: Instant,
    },
}

/// What a ring came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Time passed.
    Time,
    /// The cycle was overdue when we first heard of it (H9).
    Attach,
    /// It was held until the calendar opened (H7).
    Opening,
}

/// A cycle whose state is another one now.
#[derive(Clone, Debug, PartialEq)]
pub struct CycleChange {
    /// The cycle.
    pub cycle: CycleId,
    /// Its state before; `None` when it is new.
    pub from: Option<State>,
    /// Its state now; `None` when a late or corrected entry shows that it never was.
    pub to: Option<State>,
    /// When it started.
    pub start: Instant,
    /// When it is or was due.
    pub due: Option<Instant>,
    /// When it ended.
    pub end: Option<Instant>,
}

/// A `due` that was fired and never was (W6).
#[derive(Clone, Debug, PartialEq)]
pub struct Retraction {
    /// The cycle.
    pub cycle: CycleId,
    /// When we came to know.
    pub at: Instant,
    /// What showed it.
    pub reason: RetractionReason,
    /// When it is due instead, if it is.
    pub due: Option<Instant>,
}

/// What showed that a fired `due` never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetractionReason {
    /// A late or corrected entry.
    LateEntry,
    /// A retroactive reload.
    Reload,
    /// The clock was ahead: it was recorded in a time that never was.
    Clock,
}

impl RetractionReason {
    /// The word for it in signals and pages.
    pub fn word(self) -> &'static str {
        match self {
            RetractionReason::LateEntry => "late_entry",
            RetractionReason::Reload => "reload",
            RetractionReason::Clock => "clock",
        }
    }
}

/// Something the sysadmin should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A due time lies outside of what a calendar's holiday sets cover (C7). Told once per calendar and year.
    CalendarCoverage {
        /// The calendar.
        calendar: Arc<str>,
        /// The year that is not covered.
        year: i16,
    },
    /// A due time that no open time reaches (A8).
    Unreachable {
        /// The cycle.
        cycle: CycleId,
    },
}

/// Why an input was refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The name of the source or kind, or the id, is empty or too long.
    #[error("{what} has {length} bytes, expected 1 to {most}")]
    Name {
        /// Which.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The most it may have.
        most: usize,
    },
    /// The table of names is full: a source invents names.
    #[error(
        "more than {} different names of sources, kinds, marks and attributes",
        crate::core::model::Symbols::MOST
    )]
    TooManyNames,
    /// The case is not known.
    #[error("no such case")]
    NoSuchCase,
    /// The cycle is not known.
    #[error("no such cycle of clock {clock}")]
    NoSuchCycle {
        /// The clock that was named.
        clock: String,
    },
    /// The new policy has errors; the old one stays (R2).
    #[error("the new policy has {} errors", .0.len())]
    Policy(Vec<crate::core::problem::Problem>),
    /// A saved row or snapshot cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

impl Changes {
    /// Whether the step changed anything that must be kept.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
            && self.crossings.is_empty()
            && self.cycles.is_empty()
            && self.retractions.is_empty()
            && self.remarks.is_empty()
    }

    /// The crossings that ring now.
    pub fn rings(&self) -> impl Iterator<Item = (&Crossing, Span, Cause)> {
        self.crossings.iter().filter_map(|c| match c.verdict {
            Verdict::Rung { late_by, cause } => Some((c, late_by, cause)),
            _ => None,
        })
    }
}
