//! A gap between two requests: an account of an aggregator is allowed one a second, not sixty in a minute. It grows when
//! the vendor throttles and shrinks step by step. Spans are looks at the counter of elapsed time.

use crate::core::time::Span;

/// It grows to so many times what is configured.
const MOST: i64 = 16;
/// It shrinks by a half each time so long went by without a throttle.
const EVERY: Span = Span::from_secs(60);

/// A gap.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    least: Span,
    times: i64,
    changed: Span,
    next: Span,
}

impl Gap {
    /// At least so long between two.
    pub fn new(least: Span) -> Gap {
        Gap { least, times: 1, changed: Span::ZERO, next: Span::ZERO }
    }

    /// The same, where somebody else, who died, may have asked just now.
    pub fn after(least: Span, elapsed: Span) -> Gap {
        Gap { next: elapsed + least, ..Gap::new(least) }
    }

    /// How long until the next may go; `None` when it may go now.
    pub fn wait(&self, elapsed: Span) -> Option<Span> {
        (elapsed < self.next).then(|| self.next.less(elapsed))
    }

    /// One goes.
    pub fn take(&mut self, elapsed: Span) {
        if self.times > 1 && elapsed.less(self.changed) >= EVERY {
            (self.times, self.changed) = (self.times / 2, elapsed);
        }
        self.next = elapsed + self.least.times(self.times);
    }

    /// The vendor throttled: twice as long from now on.
    pub fn throttled(&mut self, elapsed: Span) {
        (self.times, self.changed) = ((self.times * 2).min(MOST), elapsed);
        self.next = elapsed + self.least.times(self.times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_never_nearer_than_the_gap() {
        let (mut gap, s) = (Gap::new(Span::from_secs(1)), Span::from_secs);
        let mut given = Vec::new();
        for ms in (0..10_000).step_by(10) {
            let now = Span::from_millis(ms);
            if gap.wait(now).is_none() {
                gap.take(now);
                given.push(ms);
            }
        }
        assert_eq!(Gap::after(s(1), s(5)).wait(s(5)), Some(s(1)), "whoever died may have asked just now");
        assert_eq!(given.len(), 10);
        assert!(given.windows(2).all(|w| w[1] - w[0] >= 1000), "{given:?}");
        gap.throttled(s(10));
        assert_eq!((gap.wait(s(10)), gap.wait(s(12))), (Some(s(2)), None));
        for n in 0..20 {
            gap.throttled(s(20 + n));
        }
        assert_eq!(gap.wait(s(39)), Some(s(16)), "sixteen times at most");
        for n in 1..=4 {
            gap.take(s(39 + 60 * n));
        }
        assert_eq!(gap.wait(s(279)), Some(s(1)), "and it is what it was");
    }
}
