//! How far a platform's clock is from ours (T4): the median of its last answers' `Date` headers.

use std::collections::VecDeque;

use crate::core::time::{Instant, Span};

/// So many answers are remembered.
const REMEMBERED: usize = 15;
/// So many are needed before anything is said.
const ENOUGH: usize = 3;
/// More than this is told (`source.skew`).
const TOLD: Span = Span::from_secs(30);
/// The last answer differs from what is believed by more than this: platforms refuse from 6 or 10 minutes on.
const DOUBTFUL: Span = Span::from_minutes(4);
/// A header has whole seconds: its instant was half a second later on average.
const HALF: i64 = 500;

/// Their clock minus ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    /// In ms, the newest last.
    seen: VecDeque<i64>,
}

impl Skew {
    /// An answer said `said` when our clock was `now`.
    pub fn note(&mut self, said: Instant, now: Instant) {
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(said.as_millis().saturating_add(HALF).saturating_sub(now.as_millis()));
    }

    /// Whether enough answers have said what time it is.
    pub fn is_known(&self) -> bool {
        self.seen.len() >= ENOUGH
    }

    /// Their clock minus ours, in ms; 0 until that is known. Less than a second is nothing.
    pub fn millis(&self) -> i64 {
        if !self.is_known() {
            return 0;
        }
        let mut sorted: Vec<i64> = self.seen.iter().copied().collect();
        sorted.sort_unstable();
        let median = sorted[sorted.len() / 2];
        if median.abs() < 1000 { 0 } else { median }
    }

    /// Their clock, when ours is `now`.
    pub fn theirs(&self, now: Instant) -> Instant {
        Instant::from_millis(now.as_millis().saturating_add(self.millis()))
    }

    /// Forgets what was: our own clock was set.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// Takes the last answer alone for the truth: they have just said that our time is wrong.
    pub fn believe_last(&mut self) {
        if let Some(last) = self.seen.back().copied() {
            self.seen.clear();
            self.seen.extend([last; ENOUGH]);
        }
    }

    /// Whether the last answer alone says that our time is wrong.
    pub fn is_doubtful(&self) -> bool {
        let last = self.seen.back().copied().unwrap_or(0);
        last.abs_diff(self.millis()) > DOUBTFUL.as_millis().unsigned_abs()
    }

    /// Whether it is to be told.
    pub fn is_told(&self) -> bool {
        self.millis().unsigned_abs() > TOLD.as_millis().unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skew(seen: &[i64]) -> Skew {
        let now = Instant::from_secs(1_767_600_000);
        let mut skew = Skew::default();
        for s in seen {
            skew.note(Instant::from_secs(now.as_secs() + s), now);
        }
        skew
    }

    #[test]
    fn one_answer_that_lies_moves_nothing() {
        for (seen, millis, told) in [
            (&[][..], 0, false),
            (&[600, 600][..], 0, false),
            (&[0, 0, 0][..], 0, false),
            (&[20, 20, 20, 4000][..], 20_500, false),
            (&[600, 600, 600][..], 600_500, true),
            (&[-600, -600, -600, 0][..], -599_500, true),
            (&[9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], 0, false),
        ] {
            let skew = skew(seen);
            assert_eq!((skew.millis(), skew.is_told()), (millis, told), "{seen:?}");
        }
        let mut doubted = skew(&[0, 0, 0, 0, 600]);
        doubted.believe_last();
        assert_eq!(doubted.millis(), 600_500);
        doubted.forget();
        assert_eq!(doubted.millis(), 0);
    }
}
