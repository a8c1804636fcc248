//! What supplies time: the machine, or a test.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;

use crate::core::time::{Instant, Span};

/// One look at both clocks of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What the machine says the time is. It may jump.
    pub wall: Instant,
    /// How long a counter has run that never jumps and counts time asleep. Its start means nothing.
    pub elapsed: Span,
}

/// What supplies time.
pub trait TimeSource: Send + Sync + 'static {
    /// Both clocks now.
    fn read(&self) -> Reading;

    /// When a time server last set the wall clock, by that clock, in ms; `None` where nobody says so. What counts is that
    /// it changes: then the clock was set just now.
    fn set_at(&self) -> Option<i64> {
        None
    }

    /// Comes back when the counter has run on by `span`.
    fn sleep(&self, span: Span) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemTime;

impl TimeSource for SystemTime {
    fn read(&self) -> Reading {
        #[expect(clippy::disallowed_methods, reason = "this is the place where the wall clock is read")]
        let wall = Instant::from_timestamp(jiff::Timestamp::now());
        // CLOCK_BOOTTIME goes on while the machine sleeps; CLOCK_MONOTONIC does not.
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let elapsed =
            Span::from_millis(boot.tv_sec.saturating_mul(1000).saturating_add(boot.tv_nsec / 1_000_000));
        Reading { wall, elapsed }
    }

    fn set_at(&self) -> Option<i64> {
        // systemd-timesyncd touches it at every synchronisation.
        let told = std::fs::metadata("/run/systemd/timesync/synchronized").ok()?;
        Some(Instant::from_timestamp(jiff::Timestamp::try_from(told.modified().ok()?).ok()?).as_millis())
    }

    fn sleep(&self, span: Span) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(to_duration(span)))
    }
}

/// The machine's clocks, made to run faster: to see a shift in minutes. What waits for the outside waits in real time.
#[derive(Clone, Copy, Debug)]
pub struct FastTime {
    began: Reading,
    factor: u32,
}

impl FastTime {
    /// Both clocks from now on, `factor` times as fast; the wall shows `wall` now.
    pub fn new(wall: Instant, factor: u32) -> FastTime {
        FastTime { began: Reading { wall, ..SystemTime.read() }, factor: factor.max(1) }
    }
}

impl TimeSource for FastTime {
    fn read(&self) -> Reading {
        let run = SystemTime.read().elapsed.less(self.began.elapsed).times(self.factor.into());
        Reading { wall: self.began.wall + run, elapsed: self.began.elapsed + run }
    }

    fn sleep(&self, span: Span) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // Never none at all: whoever waits for a moment lets others work.
        let real = (to_duration(span) / self.factor).max(std::time::Duration::from_millis(1));
        Box::pin(tokio::time::sleep(real))
    }
}

/// A span for what waits in real time; a negative one is none.
pub fn to_duration(span: Span) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(0))
}

/// Clocks that stand still until a test moves them.
#[derive(Clone, Debug)]
pub struct ManualTime {
    now: Arc<watch::Sender<Reading>>,
}

impl ManualTime {
    /// Both clocks, the wall at `wall`.
    pub fn new(wall: Instant) -> ManualTime {
        ManualTime { now: Arc::new(watch::Sender::new(Reading { wall, elapsed: Span::from_secs(1000) })) }
    }

    /// Lets time pass on both.
    pub fn advance(&self, span: Span) {
        self.now.send_modify(|now| {
            now.wall = now.wall + span;
            now.elapsed += span;
        });
    }

    /// Sets the wall clock by `ms`, forth or back.
    pub fn jump(&self, ms: i64) {
        self.now.send_modify(|now| now.wall = Instant::from_millis(now.wall.as_millis() + ms));
    }
}

impl TimeSource for ManualTime {
    fn read(&self) -> Reading {
        *self.now.borrow()
    }

    fn sleep(&self, span: Span) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut moved = self.now.subscribe();
        let until = self.read().elapsed.as_millis().saturating_add(span.as_millis());
        Box::pin(async move {
            // The sender lives as long as `self`.
            drop(moved.wait_for(|now| now.elapsed.as_millis() >= until).await);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_of_the_machine_never_goes_back() {
        let first = SystemTime.read();
        let second = SystemTime.read();
        assert!(second.elapsed >= first.elapsed);
        assert!(first.wall.is_plausible());
    }

    #[tokio::test]
    async fn fast_clocks_run_together_and_wake_whoever_waits_for_them() {
        let begin = Instant::from_secs(1_800_000_000);
        let time = FastTime::new(begin, 60);
        let (before, real) = (time.read(), SystemTime.read());
        time.sleep(Span::from_secs(3)).await;
        let (after, really) = (time.read(), SystemTime.read());
        assert!(before.wall >= begin && after.wall.since(before.wall) >= Span::from_secs(3));
        let (wall, counter) = (after.wall.since(before.wall), after.elapsed.less(before.elapsed));
        assert_eq!(wall, counter);
        // The counter of the machine is read a little before and a little after.
        let most = really.elapsed.less(real.elapsed) + Span::from_millis(1);
        assert!(wall <= most.times(60) + Span::from_millis(60), "{wall}");
    }

    #[tokio::test]
    async fn a_sleeper_of_manual_time_wakes_when_its_instant_is_reached_and_not_before() {
        let time = ManualTime::new(Instant::from_secs(1_000_000_000));
        let mut sleep = time.sleep(Span::from_secs(10));
        time.advance(Span::from_secs(9));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut sleep).await.is_err());
        time.jump(60_000);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, &mut sleep).await.is_err());
        time.advance(Span::from_secs(1));
        sleep.await;
    }
}
