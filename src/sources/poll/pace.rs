//! How often a platform may be asked: a rate that halves when the platform throttles and recovers step by step
//! (`platforms` 10.1, 8). A value that is asked with the time; whoever asks does the waiting.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::core::time::Span;

/// The counter of elapsed time, as it was when the pace was asked.
#[derive(Clone, Debug, Default)]
struct Hand(Arc<AtomicU64>);

impl Clock for Hand {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.load(Ordering::Relaxed).into()
    }
}

/// A rate. Spans are looks at the counter of elapsed time.
#[derive(Debug)]
pub struct Pace {
    per_minute: NonZeroU32,
    /// The share of it that is used now, in percent.
    share: u32,
    /// When it was changed last.
    changed: Span,
    hand: Hand,
    limiter: RateLimiter<NotKeyed, InMemoryState, Hand, NoOpMiddleware<Nanos>>,
}

/// The least share.
const LEAST: u32 = 5;
/// It grows by so much …
const STEP: u32 = 10;
/// … each time so long went by without a throttle.
const EVERY: Span = Span::from_secs(30);
/// A throttle within this of the one before is the same one: requests were under way.
const SAME: Span = Span::from_secs(2);

impl Pace {
    /// So many requests a minute, a tenth of them at once.
    pub fn new(per_minute: NonZeroU32) -> Pace {
        let hand = Hand::default();
        let limiter = limiter(per_minute, 100, &hand);
        Pace { per_minute, share: 100, changed: Span::ZERO, hand, limiter }
    }

    /// Takes one request, or says how long to wait until there is one.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(&mut self, elapsed: Span) -> Result<(), Span> {
        self.recover(elapsed);
        let now = Nanos::from(nanos(elapsed));
        self.hand.0.store(now.as_u64(), Ordering::Relaxed);
        self.limiter.check().map_err(|not_yet| {
            let wait = not_yet.wait_time_from(now).as_nanos().div_ceil(1_000_000);
            Span::from_millis(i64::try_from(wait).unwrap_or(i64::MAX).max(1))
        })
    }

    /// The time from one request to the next, at the rate that is used now.
    pub fn gap(&self) -> Span {
        Span::from_millis(60_000 * 100 / i64::from(self.per_minute.get() * self.share).max(1))
    }

    /// The platform throttled us: half as often from now on.
    pub fn throttled(&mut self, elapsed: Span) {
        if self.share < 100 && elapsed.less(self.changed) < SAME {
            return;
        }
        self.set((self.share / 2).max(LEAST), elapsed);
    }

    /// The share of the rate that is used, 5 to 100 percent.
    pub fn share(&self) -> u32 {
        self.share
    }

    fn recover(&mut self, elapsed: Span) {
        let steps = elapsed.less(self.changed).as_millis() / EVERY.as_millis();
        if self.share < 100 && steps > 0 {
            let more = u32::try_from(steps).unwrap_or(100).min(10) * STEP;
            self.set((self.share + more).min(100), elapsed);
        }
    }

    fn set(&mut self, share: u32, elapsed: Span) {
        (self.share, self.changed) = (share, elapsed);
        self.hand.0.store(nanos(elapsed), Ordering::Relaxed);
        self.limiter = limiter(self.per_minute, share, &self.hand);
        // A new limiter has its burst; whoever was throttled must not use it.
        while self.limiter.check().is_ok() {}
    }
}

fn nanos(elapsed: Span) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(0).saturating_mul(1_000_000)
}

fn limiter(
    per_minute: NonZeroU32,
    share: u32,
    hand: &Hand,
) -> RateLimiter<NotKeyed, InMemoryState, Hand, NoOpMiddleware<Nanos>> {
    let rate = (u64::from(per_minute.get()) * u64::from(share)).div_ceil(100).max(1);
    let burst = u32::try_from(rate / 10).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    let each = Duration::from_nanos((60_000_000_000 / rate).max(1));
    let quota = Quota::with_period(each).unwrap_or(Quota::per_minute(per_minute)).allow_burst(burst);
    RateLimiter::direct_with_clock(quota, hand.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_minute: u32) -> Pace {
        Pace::new(NonZeroU32::new(per_minute).unwrap())
    }

    /// How many are given in so many seconds, asked every 100 ms.
    fn given(pace: &mut Pace, from: i64, secs: i64) -> usize {
        (from * 10..(from + secs) * 10).filter(|n| pace.take(Span::from_millis(n * 100)).is_ok()).count()
    }

    #[test]
    fn the_rate_is_kept_and_its_wait_is_true() {
        let mut pace = pace(60);
        assert!((60..=66).contains(&given(&mut pace, 0, 60)));
        let now = Span::from_secs(60);
        while pace.take(now).is_ok() {}
        let wait = pace.take(now).unwrap_err();
        assert!(wait <= Span::from_secs(1), "{wait}");
        assert_eq!(pace.take(now + wait), Ok(()));
    }

    #[test]
    fn a_throttle_halves_it_and_time_brings_it_back() {
        let mut pace = pace(600);
        pace.throttled(Span::from_secs(10));
        pace.throttled(Span::from_secs(11));
        assert_eq!(pace.share(), 50, "what was under way is the same throttle");
        assert!((70..=105).contains(&given(&mut pace, 11, 20)), "half as often");
        pace.throttled(Span::from_secs(35));
        assert_eq!(pace.share(), 25);
        for _ in 0..20 {
            pace.throttled(Span::from_secs(50));
            pace.changed = Span::ZERO;
        }
        assert_eq!(pace.share(), LEAST);
        pace.changed = Span::from_secs(50);
        assert_eq!((pace.take(Span::from_secs(80)).is_err(), pace.share()), (true, 15), "without a burst");
        pace.take(Span::from_secs(50 + 30 * 12)).ok();
        assert_eq!(pace.share(), 100);
    }
}
