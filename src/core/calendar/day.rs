//! One date of a calendar, for people to look at.

use crate::core::time::{Instant, Span};

/// Why a date has the hours it has (C1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DayKind {
    /// The hours of its weekday.
    Weekly,
    /// Closed by a holiday set.
    DayOff {
        /// The holiday, `春节`.
        name: String,
    },
    /// Worked by a holiday set although the week might say otherwise: 调休上班.
    MakeUp {
        /// The holiday it makes up for.
        name: String,
    },
    /// The calendar's own word for this date.
    Override,
}

/// One date: why, and the intervals that start on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// Why the hours are as they are.
    pub kind: DayKind,
    /// The intervals that start on this date (C2), in order, each half-open. They may run into the next
    /// date; they are not merged with its.
    pub intervals: Vec<(Instant, Instant)>,
}

impl Day {
    /// The open time that starts on this date.
    pub fn open_for(&self) -> Span {
        self.intervals.iter().map(|(from, to)| to.since(*from)).sum()
    }
}
