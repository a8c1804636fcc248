//! Local dates and times against instants: the era, and a zone's offsets within it (C9).
//!
//! Compiling a century of hours needs some 70,000 local times as instants. Asking the zone for each
//! would take longer than all the rest, so its changes of offset are written out once.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};

use crate::core::time::Instant;

/// Seconds of a local day without a change of offset.
pub(super) const DAY: i64 = 86_400;

/// The local dates whose hours are compiled. Outside of it every calendar is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Era {
    first_year: i16,
    end_year: i16,
}

impl Era {
    /// 1999-01-01 up to, not including, 2100-01-01: every plausible instant
    /// ([`Instant::EARLIEST`] … [`Instant::LATEST`]) with the 800 days of A8 on both sides.
    pub const DEFAULT: Era = Era::years(1999, 2100);

    /// From the first day of `first` up to, not including, the first day of `end`; bounded to the years
    /// 1 … 9000, to one year at least and 130 at most, so that seconds of it fit 32 bits.
    pub const fn years(first: i16, end: i16) -> Era {
        let first_year = bounded(first, 1, 8999);
        Era { first_year, end_year: bounded(end, first_year + 1, first_year + 130) }
    }

    /// The number of its first date.
    pub(super) fn first_day(self) -> i32 {
        day_number(Date::constant(self.first_year, 1, 1))
    }

    /// The number of the first date after it.
    pub(super) fn end_day(self) -> i32 {
        day_number(Date::constant(self.end_year, 1, 1))
    }
}

const fn bounded(n: i16, low: i16, high: i16) -> i16 {
    if n < low {
        low
    } else if n > high {
        high
    } else {
        n
    }
}

/// Days from 1970-01-01 to `date`.
pub(super) fn day_number(date: Date) -> i32 {
    let seconds = date.duration_since(Date::constant(1970, 1, 1)).as_secs();
    // jiff's years end at ±9999: under four million days.
    (seconds / DAY) as i32
}

/// The date `day` days after 1970-01-01; dates beyond jiff's years are clamped.
pub(super) fn date_of(day: i32) -> Date {
    Date::constant(1970, 1, 1).saturating_add(jiff::SignedDuration::from_hours(i64::from(day) * 24))
}

/// The place of a date in the week, Monday being 0.
pub(super) fn weekday_index(day: i32) -> usize {
    // 1970-01-01 was a Thursday.
    (day + 3).rem_euclid(7) as usize
}

/// Reads `YYYY-MM-DD` and nothing else.
pub(super) fn parse_date(text: &str) -> Option<Date> {
    let shape =
        text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    if text.len() == 10 && shape { text.parse().ok() } else { None }
}

/// A zone's changes of offset during an era.
#[derive(Clone, Debug)]
pub(super) struct Offsets {
    first: i64,
    turns: Vec<Turn>,
}

/// One change of offset.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// The first local second that is read with the new offset.
    local: i64,
    /// The new offset in seconds.
    offset: i64,
}

impl Offsets {
    /// All changes of `zone` in `era`, with some days on both sides.
    pub(super) fn of(zone: &TimeZone, era: Era) -> Offsets {
        let from = Instant::from_secs((i64::from(era.first_day()) - 5) * DAY).to_timestamp();
        let to = Instant::from_secs((i64::from(era.end_day()) + 5) * DAY).to_timestamp();
        let first = seconds(zone.to_offset(from));
        let mut offset = first;
        let mut turns = Vec::new();
        for change in zone.following(from).take_while(|change| change.timestamp() < to) {
            let (before, after) = (offset, seconds(change.offset()));
            if before == after {
                continue;
            }
            // C9: a local time in the gap, and the first reading of a doubled one, both take the offset
            // from before the change. So the new offset begins where both readings are over.
            let local = change.timestamp().as_second() + before.max(after);
            turns.push(Turn { local, offset: after });
            offset = after;
        }
        Offsets { first, turns }
    }

    /// The instant, in seconds, of the local second `local` (C9).
    pub(super) fn to_secs(&self, local: i64) -> i64 {
        let at = self.turns.partition_point(|turn| turn.local <= local);
        local - self.before_turn(at)
    }

    /// The offset that holds for every local second from `from` up to `to`, if there is only one.
    pub(super) fn steady(&self, walk: &mut usize, from: i64, to: i64) -> Option<i64> {
        while self.turns.get(*walk).is_some_and(|turn| turn.local <= from) {
            *walk += 1;
        }
        match self.turns.get(*walk) {
            Some(turn) if turn.local < to => None,
            _ => Some(self.before_turn(*walk)),
        }
    }

    fn before_turn(&self, at: usize) -> i64 {
        if at == 0 { self.first } else { self.turns[at - 1].offset }
    }
}

fn seconds(offset: Offset) -> i64 {
    i64::from(offset.seconds())
}

/// The local date and time at `t`.
pub(super) fn local(zone: &TimeZone, t: Instant) -> DateTime {
    zone.to_datetime(t.to_timestamp())
}

/// The instant of a local date and time (C9); `None` beyond the years that exist.
pub(super) fn instant(zone: &TimeZone, at: DateTime) -> Option<Instant> {
    zone.to_ambiguous_timestamp(at).compatible().ok().map(Instant::from_timestamp)
}

/// `t` moved by whole months and then whole days on the local calendar, keeping the local time of day:
/// the month's end is clamped, gap and overlap are read as in C9.
pub(super) fn plus_civil(zone: &TimeZone, t: Instant, months: i32, days: i32) -> Option<Instant> {
    if months == 0 && days == 0 {
        return Some(t);
    }
    let step = jiff::Span::new().try_months(months).ok()?;
    let moved = local(zone, t).checked_add(step).ok()?;
    let step = jiff::Span::new().try_days(days).ok()?;
    instant(zone, moved.checked_add(step).ok()?)
}
