//! How often a source is asked: as configured, twice as often near a deadline, less often in the quiet hours; or exactly
//! when a schedule says.

use crate::core::time::{Instant, Span};
use crate::sources::poll::cron::Schedule;
use crate::sources::sign::EAST_8;

/// Nobody is asked more often by itself.
const FASTEST: Span = Span::from_secs(15);
/// A deadline so near makes it faster.
const NEAR: Span = Span::from_minutes(30);
/// How much less often in the quiet hours.
const QUIET: i64 = 3;
/// A time of the schedule so near is the one that has just been served.
const SERVED: Span = Span::from_secs(1);
/// A list is left out in fewer rounds than this.
const ROUNDS: u32 = 1000;

/// What is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// How often.
    pub every: Span,
    /// Hours of the day in China, from and up to: asked less often then, unless a deadline is near. The same hour twice:
    /// none.
    pub quiet: (u8, u8),
    /// Instead of both, when: neither a deadline nor the hour changes it.
    pub cron: Option<Schedule>,
}

impl Cadence {
    /// How long to wait until the next round, when the next deadline known of is at `deadline`.
    pub fn wait(&self, now: Instant, deadline: Option<Instant>) -> Span {
        self.rounds(now, deadline, 1)
    }

    /// How long to wait until so many rounds on.
    pub fn rounds(&self, now: Instant, deadline: Option<Instant>, rounds: u32) -> Span {
        let Some(schedule) = &self.cron else { return self.round(now, deadline).times(rounds.into()) };
        let mut at = now + SERVED;
        for _ in 0..rounds.clamp(1, ROUNDS) {
            match schedule.after(at) {
                Some(next) => at = next,
                // A schedule without an end is all that the check lets pass.
                None => return self.every.times(rounds.into()),
            }
        }
        at.since(now)
    }

    /// A list that is further behind than this, with the next round after `wait`, does not wait for it.
    pub fn behind(&self, wait: Span) -> Span {
        let most = if self.cron.is_some() { self.every } else { wait };
        wait.min(most) + Span::from_secs(1)
    }

    fn round(&self, now: Instant, deadline: Option<Instant>) -> Span {
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
            let cadence = Cadence { every: s(every), quiet, cron: None };
            assert_eq!(
                cadence.wait(now, deadline.map(|d| now + d)),
                s(want),
                "{every} {quiet:?} {deadline:?}"
            );
        }
        // A deadline that has passed makes nothing faster.
        let cadence = Cadence { every: s(60), quiet: (1, 7), cron: None };
        assert_eq!(cadence.wait(noon, Some(noon - s(1))), s(60));
        assert_eq!((cadence.rounds(noon, None, 3), cadence.behind(s(180))), (s(180), s(181)));
    }

    /// Neither a deadline nor the quiet hours change a schedule, and a round that begins a moment early is not done twice.
    #[test]
    fn a_schedule_is_kept_to_the_minute() {
        let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
        let cron = Schedule::parse("*/10 9-20 * * *", zone).unwrap();
        let cadence = Cadence { every: Span::MINUTE, quiet: (0, 24), cron: Some(cron) };
        let (noon, s): (Instant, _) = ("2026-01-05T04:00:00Z".parse().unwrap(), Span::from_secs);
        for (after, deadline, rounds, want) in [
            (s(0), None, 1, s(600)),
            (s(1), Some(s(60)), 1, s(599)),
            (s(598), None, 1, s(2)),
            (Span::from_millis(599_500), None, 1, Span::from_millis(600_500)),
            (s(0), None, 3, s(1800)),
            // 20:50 is the last time of the day.
            (s(8 * 3600 + 45 * 60), None, 1, s(5 * 60)),
            (s(8 * 3600 + 50 * 60), None, 1, s(12 * 3600 + 10 * 60)),
            (s(8 * 3600 + 45 * 60), None, 2, s(12 * 3600 + 15 * 60)),
        ] {
            let now = noon + after;
            let deadline = deadline.map(|d| now + d);
            assert_eq!(cadence.rounds(now, deadline, rounds), want, "{after} {rounds}");
        }
        assert_eq!((cadence.behind(s(43_200)), cadence.behind(s(5))), (s(61), s(6)));
    }
}
