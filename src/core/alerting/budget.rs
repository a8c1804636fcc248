//! How much a lane or an account takes (`delivery_semantics` §8.5): a value asked with `now`, exact to the message.
//!
//! A plain token bucket lets twice its count through in one window: a full burst, and what is filled up meanwhile. Our
//! own caps stand in for caps of providers that drop silently (§10.2), so a budget here is a log of what was taken, and
//! no window of the given length ever holds more than its count (I28). A long log is thinned from its old end, always
//! to the later instant: that can cost a little time, never a message too many.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::core::time::{Instant, Span};

use super::turned::Back;

/// More entries than this are thinned.
const ENTRIES: usize = 128;

/// So many in so long.
pub(super) type Limit = (u32, Span);

/// The local day around an instant: limits of 24 hours count by it (S41).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Today {
    /// Its first instant.
    pub(super) start: Instant,
    /// The first instant of the next day.
    pub(super) end: Instant,
}

/// What was taken of one lane or account, and what holds it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Budget {
    /// When how many were taken, in ms, the oldest first.
    taken: VecDeque<(i64, u32)>,
    /// It was too fast for the provider: half of it until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    halved_until: Option<Instant>,
    /// Nothing at all until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    muted_until: Option<Instant>,
}

impl Budget {
    /// When one more may leave: `None` is now. `reserve` percent of each limit is kept for others.
    pub(super) fn wait(
        &self,
        limits: impl Iterator<Item = Limit>,
        reserve: u8,
        today: Today,
        now: Instant,
    ) -> Option<Instant> {
        let halved = self.halved_until.is_some_and(|until| now < until);
        let mut free = self.muted_until.filter(|until| now < *until);
        for (count, per) in limits {
            let kept = u64::from(count) * u64::from(reserve.min(100)) / 100;
            let mut allowed = count - u32::try_from(kept).unwrap_or(count);
            if halved {
                allowed /= 2;
            }
            free = free.max(self.limit_free_at(allowed.max(1), per, today, now));
        }
        free
    }

    /// When fewer than `allowed` lie inside the window.
    fn limit_free_at(&self, allowed: u32, per: Span, today: Today, now: Instant) -> Option<Instant> {
        let daily = per == Span::DAY;
        let mut sum = 0_u32;
        for (at, n) in self.taken.iter().rev() {
            let at = Instant::from_millis(*at);
            if if daily { at < today.start } else { at + per <= now } {
                return None;
            }
            sum = sum.saturating_add(*n);
            if sum >= allowed {
                return Some(if daily { today.end } else { at + per });
            }
        }
        None
    }

    /// One is taken. Entries that no limit of at most `longest` can see are dropped.
    pub(super) fn take(&mut self, longest: Span, now: Instant) {
        // A local day can be 25 hours long.
        let seen = longest.max(Span::DAY) + Span::HOUR;
        while self.taken.front().is_some_and(|(at, _)| Instant::from_millis(*at) + seen <= now) {
            self.taken.pop_front();
        }
        let at = now.as_millis().max(self.taken.back().map_or(i64::MIN, |(at, _)| *at));
        match self.taken.back_mut() {
            Some((last, n)) if *last == at => *n = n.saturating_add(1),
            _ => self.taken.push_back((at, 1)),
        }
        if self.taken.len() > ENTRIES {
            self.thin();
        }
    }

    /// Joins the entries of the older half two by two.
    fn thin(&mut self) {
        let old: Vec<(i64, u32)> = self.taken.drain(..ENTRIES / 2).collect();
        for pair in old.chunks(2).rev() {
            let sum = pair.iter().fold(0, |sum: u32, (_, n)| sum.saturating_add(*n));
            let at = pair.last().map_or(0, |(at, _)| *at);
            self.taken.push_front((at, sum));
        }
    }

    /// One that was taken at an instant was certainly not used: that one, and not a later one, which would count for too
    /// short a time then. Thinning may have moved it to a later entry.
    pub(super) fn give_back(&mut self, at: Instant) {
        let Some(place) = self.taken.iter().position(|(taken, _)| *taken >= at.as_millis()) else { return };
        let Some((_, n)) = self.taken.get_mut(place) else { return };
        *n = n.saturating_sub(1);
        if *n == 0 {
            self.taken.remove(place);
        }
    }

    /// The provider finds it too fast: nothing until `wait` is over, and half of it for a while.
    pub(super) fn throttle(&mut self, wait: Instant, halved_until: Instant) {
        self.muted_until = self.muted_until.max(Some(wait));
        self.halved_until = self.halved_until.max(Some(halved_until));
    }

    /// Whether the provider or the recipient has shut it.
    pub(super) fn is_muted(&self, now: Instant) -> bool {
        self.muted_until.is_some_and(|until| now < until)
    }

    /// The clock was ahead, and is right again (T3).
    pub(super) fn turn_back(&mut self, back: Back) {
        for (taken, _) in &mut self.taken {
            let mut at = Instant::from_millis(*taken);
            back.happened(&mut at);
            *taken = at.as_millis();
        }
        self.taken.make_contiguous().sort_unstable();
        back.awaited(&mut self.halved_until);
        back.awaited(&mut self.muted_until);
    }

    /// Nothing until then: the recipient has had enough.
    pub(super) fn mute(&mut self, until: Instant) {
        self.muted_until = self.muted_until.max(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_given_back_is_the_one_that_was_not_used() {
        let mut budget = Budget::default();
        budget.take(Span::MINUTE, at(0));
        budget.take(Span::MINUTE, at(50));
        budget.give_back(at(0));
        let wait = |budget: &Budget, now| budget.wait([(1, Span::MINUTE)].into_iter(), 0, today(), at(now));
        assert_eq!(wait(&budget, 70), Some(at(110)), "the second one did leave");
        budget.give_back(at(50));
        assert_eq!(wait(&budget, 70), None);
        budget.give_back(at(50));
        assert_eq!(budget, Budget::default(), "nothing is left to give");
    }

    const MINUTE: Limit = (1, Span::MINUTE);

    fn today() -> Today {
        Today { start: Instant::from_secs(0), end: Instant::from_secs(86_400) }
    }

    fn at(s: i64) -> Instant {
        Instant::from_secs(s)
    }

    /// What was taken when, limits, reserve, asked when: free when.
    fn check(what: &str, taken: &[i64], limits: &[Limit], reserve: u8, now: i64, want: Option<i64>) {
        let mut budget = Budget::default();
        for t in taken {
            budget.take(Span::DAY, at(*t));
        }
        let free = budget.wait(limits.iter().copied(), reserve, today(), at(now));
        assert_eq!(free, want.map(at), "{what}");
    }

    #[test]
    fn a_budget_is_free_at_the_instant_its_window_has_room() {
        let hour = (3, Span::HOUR);
        let day = (4, Span::DAY);
        check("nothing taken", &[], &[MINUTE], 0, 0, None);
        check("one taken", &[0], &[MINUTE], 0, 59, Some(60));
        check("exactly a minute later", &[0], &[MINUTE], 0, 60, None);
        check("the hour is full", &[0, 100, 200], &[MINUTE, hour], 0, 300, Some(3600));
        check("the minute is later than the hour", &[0, 100, 3590], &[MINUTE, hour], 0, 3595, Some(3650));
        check("no limit", &[0, 0, 0], &[], 0, 0, None);
        check("the day is full", &[0, 10_000, 20_000, 30_000], &[day], 0, 50_000, Some(86_400));
        check("yesterday does not count", &[-4, -3, -2, -1], &[day], 0, 10, None);
        check("20 % are kept back", &[0, 0, 0, 0], &[(5, Span::MINUTE)], 20, 1, Some(60));
        check("and are there for the urgent", &[0, 0, 0, 0], &[(5, Span::MINUTE)], 0, 1, None);
        check("of one nothing can be kept back", &[], &[MINUTE], 20, 0, None);
    }

    #[test]
    fn a_throttled_lane_is_silent_then_slow_then_itself() {
        let mut budget = Budget::default();
        let limits = || [(4, Span::MINUTE)].into_iter();
        budget.throttle(at(30), at(600));
        assert_eq!(budget.wait(limits(), 0, today(), at(10)), Some(at(30)));
        budget.take(Span::MINUTE, at(30));
        budget.take(Span::MINUTE, at(31));
        assert_eq!(budget.wait(limits(), 0, today(), at(32)), Some(at(90)), "half of four");
        budget.take(Span::MINUTE, at(600));
        budget.take(Span::MINUTE, at(601));
        assert_eq!(budget.wait(limits(), 0, today(), at(602)), None, "all four again");
    }

    #[test]
    fn what_was_not_sent_is_given_back() {
        let mut budget = Budget::default();
        budget.take(Span::MINUTE, at(0));
        budget.give_back(at(0));
        assert_eq!(budget, Budget::default());
        budget.give_back(at(0));
        assert_eq!(budget.wait([MINUTE].into_iter(), 0, today(), at(1)), None);
    }

    proptest! {
        /// I28: whatever is asked when, no window ever holds more than its count, and whoever waits is served.
        #[test]
        fn no_window_ever_holds_more_than_its_count(
            steps in proptest::collection::vec((0_i64..40_000, any::<bool>()), 1..400),
            count in 1_u32..200, reserve in 0_u8..50,
        ) {
            let limits = [(count, Span::MINUTE), (count * 3, Span::from_minutes(10))];
            let (mut budget, mut now, mut sent) = (Budget::default(), at(0), Vec::new());
            for (gap, urgent) in steps {
                now = now + Span::from_millis(gap);
                let reserve = if urgent { 0 } else { reserve };
                if let Some(free) = budget.wait(limits.into_iter(), reserve, today(), now) {
                    prop_assert!(free > now);
                    now = free;
                    prop_assert_eq!(budget.wait(limits.into_iter(), reserve, today(), now), None);
                }
                budget.take(Span::from_minutes(10), now);
                sent.push(now);
            }
            for (count, per) in limits {
                for (i, first) in sent.iter().enumerate() {
                    let inside = sent[i..].iter().take_while(|t| **t < *first + per).count();
                    prop_assert!(inside <= count as usize, "{} in {}", inside, per);
                }
            }
            prop_assert!(budget.taken.len() <= ENTRIES);
        }
    }
}
