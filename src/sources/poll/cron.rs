//! Rounds by a cron expression: read by the parser of the scheduler of coarse jobs, in the zone of the desk. What comes next
//! is a function of the time.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::core::time::{Instant, Span};

/// A source that nobody asks for longer than this is not watched.
const SELDOM: Span = Span::from_minutes(7 * 24 * 60);
/// From here on it is looked whether it comes round; a Monday.
const LOOKED_FROM: Instant = Instant::from_secs(1_767_571_200);
/// So many days long.
const LOOKED: i64 = 35;

/// When a source is asked: minute, hour, day, month, weekday.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for Schedule {}

impl Schedule {
    /// The schedule that is written so, by the clocks of `zone`.
    ///
    /// # Errors
    /// What is wrong with it, as a lower-case fragment.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Schedule, String> {
        let bad = |why: &str| {
            format!(
                "found `{text}` ({why}), expected minute, hour, day, month and weekday such as `*/2 9-20 * * *`"
            )
        };
        // A source is asked once a minute at most by this: the seconds are not to be had.
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|e| bad(e.to_string().trim_end_matches('.')))?;
        let schedule = Schedule { text: text.to_owned(), cron, zone };
        for day in 0..LOOKED {
            let from = LOOKED_FROM + Span::DAY.times(day);
            if schedule.after(from).is_none_or(|next| next > from + SELDOM) {
                return Err(bad("it is more than a week between two times"));
            }
        }
        Ok(schedule)
    }

    /// The next time after `now`. An hour that the clocks of the zone repeat counts once, one that they leave out is made up
    /// for behind it.
    pub fn after(&self, now: Instant) -> Option<Instant> {
        let local = now.to_timestamp().to_zoned(self.zone.clone()).datetime();
        // What the clocks show, as if it were UTC: the parser needs to know of no zone.
        let shown = local.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
        #[expect(clippy::disallowed_types, reason = "the parser's own: it does not leave this line")]
        let shown = chrono::DateTime::from_timestamp(shown, 0)?;
        let next = self.cron.find_next_occurrence(&shown, false).ok()?;
        let next = Timestamp::from_second(next.timestamp()).ok()?.to_zoned(TimeZone::UTC).datetime();
        let at = |zoned: jiff::Zoned| Instant::from_timestamp(zoned.timestamp());
        let first = at(self.zone.to_ambiguous_zoned(next).compatible().ok()?);
        if first > now {
            return Some(first);
        }
        Some(at(self.zone.to_ambiguous_zoned(next).later().ok()?)).filter(|again| *again > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_that_of_the_clocks_of_the_zone() {
        for (text, zone, now, want) in [
            ("*/2 9-20 * * *", "Asia/Shanghai", "2026-01-05T04:00:00Z", "2026-01-05T04:02:00Z"),
            ("*/2 9-20 * * *", "Asia/Shanghai", "2026-01-05T04:01:59.999Z", "2026-01-05T04:02:00Z"),
            // 20:58 there is the last time of the day, 9:00 the first.
            ("*/2 9-20 * * *", "Asia/Shanghai", "2026-01-05T12:57:00Z", "2026-01-05T12:58:00Z"),
            ("*/2 9-20 * * *", "Asia/Shanghai", "2026-01-05T12:58:00Z", "2026-01-06T01:00:00Z"),
            ("*/2 9-20 * * *", "UTC", "2026-01-05T12:58:00Z", "2026-01-05T13:00:00Z"),
            ("*/10 * * * mon-fri", "Asia/Shanghai", "2026-01-09T15:55:00Z", "2026-01-11T16:00:00Z"),
            ("@hourly", "Asia/Shanghai", "2026-01-05T04:00:00Z", "2026-01-05T05:00:00Z"),
            // 2:30 is left out on this day in New York, and 1:30 is there twice on the other.
            ("30 2 * * *", "America/New_York", "2026-03-08T06:00:00Z", "2026-03-08T07:30:00Z"),
            ("*/30 * * * *", "America/New_York", "2026-11-01T06:10:00Z", "2026-11-01T06:30:00Z"),
        ] {
            let schedule = Schedule::parse(text, TimeZone::get(zone).unwrap()).unwrap();
            let next = schedule.after(now.parse().unwrap());
            assert_eq!(next, Some(want.parse().unwrap()), "{text} in {zone} after {now}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_told_with_what_is_expected() {
        let fault = |text: &str| Schedule::parse(text, TimeZone::UTC).err();
        assert_eq!(fault("0 9 * * mon"), None, "once a week is often enough");
        for text in
            ["", "*/2", "61 * * * *", "* * * *", "* * * * * *", "0 0 * * * * *", "x * * * *", "* 25 * * *"]
        {
            let told = fault(text).unwrap_or_else(|| panic!("`{text}` is one"));
            let (before, after) =
                (format!("found `{text}` ("), "), expected minute, hour, day, month and weekday");
            assert!(told.starts_with(&before) && told.contains(after), "{told}");
        }
        for text in ["0 0 30 2 *", "0 9 1 * *", "0 9 1,15 * *"] {
            let told = fault(text).unwrap_or_else(|| panic!("`{text}` is often enough"));
            assert!(told.contains("(it is more than a week between two times)"), "{told}");
        }
    }
}
