//! Whether a platform is asked at all: after some failures in a row it is left alone for a while, then asked once.
//! Spans are looks at the counter of elapsed time.

use crate::core::time::Span;

/// So many failures in a row open it.
const FAILURES: u32 = 5;
/// It stays open for so long at first, then twice as long each time, up to [`LONGEST`].
const FIRST: Span = Span::from_secs(30);
/// The longest it stays open.
const LONGEST: Span = Span::from_minutes(5);

/// A circuit breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    /// How often it was opened in a row, and until when it is open.
    open: Option<(u32, Span)>,
}

impl Breaker {
    /// How long nothing may be asked; `None` when something may.
    pub fn wait(&self, elapsed: Span) -> Option<Span> {
        let (_, until) = self.open?;
        (elapsed < until).then(|| until.less(elapsed))
    }

    /// Something was answered.
    pub fn fine(&mut self) {
        *self = Breaker::default();
    }

    /// Something was not. `jitter` is any number: it spreads those who were broken by one cause.
    pub fn failed(&mut self, elapsed: Span, jitter: u64) {
        self.failures += 1;
        let times = match self.open {
            Some((times, _)) => times + 1,
            None if self.failures >= FAILURES => 0,
            None => return,
        };
        let base = FIRST.times(1 << times.min(8)).min(LONGEST);
        let spread = i64::try_from(jitter % 21).unwrap_or(0) + 90;
        self.open = Some((times, elapsed + Span::from_millis(base.as_millis() * spread / 100)));
    }

    /// Whether it is open, or was and nothing has been answered since.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_open_it_and_one_answer_closes_it() {
        let (mut breaker, s) = (Breaker::default(), Span::from_secs);
        for n in 0..4 {
            breaker.failed(s(n), 10);
            assert_eq!(breaker.wait(s(n)), None);
        }
        breaker.failed(s(4), 10);
        assert_eq!((breaker.wait(s(4)), breaker.wait(s(34))), (Some(s(30)), None));
        // One try, which fails: twice as long.
        breaker.failed(s(34), 10);
        assert_eq!(breaker.wait(s(34)), Some(s(60)));
        for n in 0..20 {
            breaker.failed(s(100 + n), 20);
        }
        assert_eq!(breaker.wait(s(119)), Some(s(330)), "five minutes at most, and a tenth to spread");
        breaker.fine();
        assert_eq!((breaker.wait(s(120)), breaker.is_open()), (None, false));
    }
}
