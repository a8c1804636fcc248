//! How often a source is asked: as configured, twice as often near a deadline, less often in the quiet hours.

use crate::core::time::{Instant, Span};
use crate::sources::sign::EAST_8;

/// Nobody is asked more often by itself.
const FASTEST: Span = Span::from_secs(15);
/// A deadline so near makes it faster.
const NEAR: Span = Span::from_minutes(30);
/// How much less often in the quiet hours.
const QUIET: i64 = 3;

/// What is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// How often.
    pub every: Span,
    /// Hours of the day in China, from and up to: asked less often then, unless a deadline is near. The same hour twice:
    /// none.
    pub quiet: (u8, u8),
}

impl Cadence {
    /// How long to wait until the next round, when the next deadline known of is at `deadline`.
    pub fn wait(&self, now: Instant, deadline: Option<Instant>) -> Span {
        if deadline.is_some_and(|at| at > now && at.since(now) <= NEAR) {
            return Span::from_millis(self.every.as_millis() / 2).max(FASTEST).min(self.every);
        }
        match self.is_quiet(now) {
            true => self.every.times(QUIET),
            false => self.every,
        }
    }

    fn is_quiet(&self, now: Instant) -> bool {
        let hour = now.to_timestamp().to_zoned(EAST_8.to_time_zone()).hour();
        let (from, to) = (i8::try_from(self.quiet.0).unwrap_or(0), i8::try_from(self.quiet.1).unwrap_or(0));
        if from <= to { (from..to).contains(&hour) } else { hour >= from || hour < to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_makes_it_faster_and_the_night_slower() {
        let (noon, night): (Instant, Instant) =
            ("2026-01-05T04:00:00Z".parse().unwrap(), "2026-01-05T18:00:00Z".parse().unwrap());
        let s = Span::from_secs;
        for (every, quiet, now, deadline, want) in [
            (60, (1, 7), noon, None, 60),
            (60, (1, 7), night, None, 180),
            (60, (22, 7), night, None, 180),
            (60, (22, 7), noon, None, 60),
            (60, (0, 0), night, None, 60),
            (60, (1, 7), noon, Some(s(1800)), 30),
            (60, (1, 7), night, Some(s(1800)), 30),
            (60, (1, 7), night, Some(s(1801)), 180),
            (20, (1, 7), noon, Some(s(60)), 15),
            (10, (1, 7), noon, Some(s(60)), 10),
        ] {
            let cadence = Cadence { every: s(every), quiet };
            assert_eq!(
                cadence.wait(now, deadline.map(|d| now + d)),
                s(want),
                "{every} {quiet:?} {deadline:?}"
            );
        }
        // A deadline that has passed makes nothing faster.
        assert_eq!(Cadence { every: s(60), quiet: (1, 7) }.wait(noon, Some(noon - s(1))), s(60));
    }
}
