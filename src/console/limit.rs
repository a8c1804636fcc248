//! How often something may be done: a value that is asked with the time, not a thing that waits.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// So many on average, some of them at once. It remembers one instant: when the bucket will be full again (GCRA).
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    /// What one costs, in ns.
    cost: u64,
    /// What may be owed at a time.
    burst: Duration,
    full_at: Option<Instant>,
}

impl Limit {
    /// `count` in each `per` on average, `burst` of them at once.
    pub(crate) fn new(count: NonZeroU32, per: Duration, burst: u32) -> Limit {
        let cost = u64::try_from(per.as_nanos() / u128::from(count.get())).unwrap_or(u64::MAX).max(1);
        Limit {
            cost,
            burst: Duration::from_nanos(cost.saturating_mul(u64::from(burst.max(1)))),
            full_at: None,
        }
    }

    /// Takes `n`, or says how long to wait until they could be taken. More than the burst waits for a full bucket and
    /// is taken then, so that nothing waits for ever.
    pub(crate) fn take(&mut self, n: usize, now: Instant) -> Result<(), Duration> {
        let cost = Duration::from_nanos(self.cost.saturating_mul(n as u64));
        let owed = self.full_at.map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        let room = self.burst.max(cost);
        if owed + cost > room {
            return Err(owed + cost - room);
        }
        self.full_at = now.checked_add(owed + cost);
        Ok(())
    }

    /// Nothing is owed: it is as good as new.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full| full <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(count: u32, secs: u64, burst: u32) -> Limit {
        Limit::new(NonZeroU32::new(count).expect("not zero"), Duration::from_secs(secs), burst)
    }

    #[test]
    fn a_burst_then_the_average() {
        let (mut limit, start) = (limit(5, 60, 3), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!([limit.take(1, at(0)), limit.take(1, at(0)), limit.take(1, at(0))], [Ok(()); 3]);
        assert_eq!(limit.take(1, at(0)), Err(Duration::from_secs(12)));
        assert_eq!(limit.take(1, at(11)), Err(Duration::from_secs(1)));
        assert_eq!(limit.take(1, at(12)), Ok(()));
        assert_eq!(limit.take(1, at(12)), Err(Duration::from_secs(12)));
        assert!(!limit.is_full(at(47)) && limit.is_full(at(48)));
        assert_eq!(limit.take(3, at(48)), Ok(()));
    }

    #[test]
    fn more_than_the_burst_waits_for_a_full_bucket_and_pays() {
        let (mut limit, start) = (limit(10, 1, 5), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(limit.take(1, at(0)), Ok(()));
        assert_eq!(limit.take(20, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(limit.take(20, at(100)), Ok(()));
        assert_eq!(limit.take(1, at(1600)), Err(Duration::from_millis(100)));
        assert_eq!(limit.take(1, at(1700)), Ok(()));
    }

    proptest::proptest! {
        #[test]
        fn never_more_than_burst_and_average(
            count in 1_u32..50, burst in 1_u32..20,
            steps in proptest::collection::vec((0_u64..400, 1_usize..5), 1..80),
        ) {
            let start = Instant::now();
            let mut limit = limit(count, 1, burst.max(5));
            let (mut ms, mut taken) = (0, 0);
            for (wait, n) in steps {
                ms += wait;
                if limit.take(n, start + Duration::from_millis(ms)).is_ok() {
                    taken += n as u64;
                }
                let most = u64::from(burst.max(5)) + u64::from(count) * ms / 1000 + 1;
                proptest::prop_assert!(taken <= most, "{taken} taken, {most} allowed");
            }
        }
    }
}
