//! Instants and spans: the only two kinds of time the core knows.
//!
//! An [`Instant`] is a point on the UTC line, a [`Span`] a length of it; both count milliseconds.
//! Local times appear only where a calendar is read or a time is shown (`sla_semantics` §1).

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(i64);

impl Instant {
    /// Before everything. Never a real instant; a lower bound for comparisons.
    pub const MIN: Instant = Instant(i64::MIN);
    /// After everything. Never a real instant; an upper bound for comparisons.
    pub const MAX: Instant = Instant(i64::MAX);
    /// The first instant a platform may name: 2000-01-01T00:00:00Z. Platforms write 1970 for "none".
    pub const EARLIEST: Instant = Instant(946_684_800_000);
    /// The first instant that is too late for a platform to name: 2097-01-01T00:00:00Z. It leaves the
    /// 800 days of `sla_semantics` A8 inside the era that calendars are compiled for.
    pub const LATEST: Instant = Instant(4_007_750_400_000);

    /// The instant `ms` milliseconds after the Unix epoch.
    pub const fn from_millis(ms: i64) -> Instant {
        Instant(ms)
    }

    /// The instant `s` seconds after the Unix epoch.
    pub const fn from_secs(s: i64) -> Instant {
        Instant(s * 1000)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Whether a platform may name this instant: [`Instant::EARLIEST`] up to, not including,
    /// [`Instant::LATEST`].
    pub fn is_plausible(self) -> bool {
        Instant::EARLIEST <= self && self < Instant::LATEST
    }

    /// The length from `earlier` to here; nothing when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Span {
        Span(self.0.saturating_sub(earlier.0).max(0))
    }

    /// The same instant for jiff, which does the zones; instants beyond jiff's years are clamped.
    pub fn to_timestamp(self) -> jiff::Timestamp {
        let bounded =
            self.0.clamp(jiff::Timestamp::MIN.as_millisecond(), jiff::Timestamp::MAX.as_millisecond());
        jiff::Timestamp::from_millisecond(bounded).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// The instant of a jiff timestamp, rounded down to the millisecond.
    pub fn from_timestamp(ts: jiff::Timestamp) -> Instant {
        let ns = ts.as_nanosecond();
        // Timestamps span ±10,000 years: in milliseconds that always fits.
        Instant(ns.div_euclid(1_000_000) as i64)
    }

    /// Reads RFC 3339 with any offset (`2026-03-02T10:00:00+08:00`, `…Z`), rounded down to the
    /// millisecond.
    ///
    /// # Errors
    /// A text that is not an instant, or one without an offset.
    pub fn parse(text: &str) -> Result<Instant, BadInstant> {
        if let Some(fast) = parse_plain_utc(text.as_bytes()) {
            return Ok(fast);
        }
        text.parse::<jiff::Timestamp>().map(Instant::from_timestamp).map_err(|_| BadInstant(clip(text)))
    }
}

/// `YYYY-MM-DDTHH:MM:SS[.mmm]Z` between the years 1970 and 2199, which is nearly every instant of a
/// recorded history; anything else is left to the full parser.
fn parse_plain_utc(b: &[u8]) -> Option<Instant> {
    let millis = match b.len() {
        20 if b[19] == b'Z' => 0,
        24 if b[19] == b'.' && b[23] == b'Z' => digits(&b[20..23])?,
        _ => return None,
    };
    if b[4] != b'-' || b[7] != b'-' || b[10] != b'T' || b[13] != b':' || b[16] != b':' {
        return None;
    }
    let (year, month, day) = (digits(&b[0..4])?, digits(&b[5..7])?, digits(&b[8..10])?);
    let (hour, minute, second) = (digits(&b[11..13])?, digits(&b[14..16])?, digits(&b[17..19])?);
    if !(1970..2200).contains(&year) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let month_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if day < 1 || day > month_days {
        return None;
    }
    // Days since the epoch by counting years from March, so that the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(Instant(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis))
}

fn digits(b: &[u8]) -> Option<i64> {
    b.iter().try_fold(0i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
}

fn clip(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

/// A text that is not an instant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not an instant, expected RFC 3339 with an offset such as 2026-03-02T10:00:00+08:00")]
pub struct BadInstant(String);

impl fmt::Display for Instant {
    /// RFC 3339 in UTC; milliseconds only where there are some.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ts = self.to_timestamp();
        if self.0.rem_euclid(1000) == 0 { write!(f, "{ts:.0}") } else { write!(f, "{ts:.3}") }
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Instant {
    type Err = BadInstant;
    fn from_str(text: &str) -> Result<Instant, BadInstant> {
        Instant::parse(text)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Add<Span> for Instant {
    type Output = Instant;
    fn add(self, span: Span) -> Instant {
        Instant(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Instant {
    type Output = Instant;
    fn sub(self, span: Span) -> Instant {
        Instant(self.0.saturating_sub(span.0))
    }
}

/// A length of time in milliseconds, never negative.
///
/// Written as people write it: `20s`, `5m`, `24h`, `1h 30m`, `2d`. A `d` is 24 hours of whatever is
/// being counted (`sla_semantics` §1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);
    /// One millisecond, the grain of all time here.
    pub const MILLISECOND: Span = Span(1);
    /// 60 seconds.
    pub const MINUTE: Span = Span(60_000);
    /// 60 minutes.
    pub const HOUR: Span = Span(3_600_000);
    /// 24 hours.
    pub const DAY: Span = Span(86_400_000);

    /// `ms` milliseconds; nothing when negative.
    pub const fn from_millis(ms: i64) -> Span {
        Span(if ms < 0 { 0 } else { ms })
    }

    /// `s` seconds; nothing when negative.
    pub const fn from_secs(s: i64) -> Span {
        Span::from_millis(s * 1000)
    }

    /// `m` minutes; nothing when negative.
    pub const fn from_minutes(m: i64) -> Span {
        Span::from_secs(m * 60)
    }

    /// Its milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Its whole seconds, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0 / 1000
    }

    /// Whether there is no time in it.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// What is left after taking `other` away; never below nothing.
    pub fn less(self, other: Span) -> Span {
        Span((self.0 - other.0).max(0))
    }

    /// `n` times as long, at most the longest span.
    pub fn times(self, n: i64) -> Span {
        Span(self.0.saturating_mul(n.max(0)))
    }

    /// `percent` % of it, rounded up to the millisecond (`sla_semantics` §7).
    pub fn percent(self, percent: u8) -> Span {
        let scaled = i128::from(self.0) * i128::from(percent);
        Span(i64::try_from((scaled + 99) / 100).unwrap_or(i64::MAX))
    }

    /// Reads `20s`, `5m`, `24h`, `2d`, `250ms` or a sum of such parts with spaces between.
    ///
    /// # Errors
    /// Anything else: an unknown unit, a fraction, a sign, nothing at all.
    pub fn parse(text: &str) -> Result<Span, BadSpan> {
        let bad = || BadSpan(clip(text));
        let mut total: i64 = 0;
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let number: i64 = rest[..number_end].parse().map_err(|_| bad())?;
            rest = &rest[number_end..];
            let unit_end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let unit = match &rest[..unit_end] {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(bad()),
            };
            rest = rest[unit_end..].trim_start();
            total = number.checked_mul(unit).and_then(|n| total.checked_add(n)).ok_or_else(bad)?;
        }
        Ok(Span(total))
    }
}

/// A text that is not a span.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a length of time, expected such as 20s, 5m, 24h, 1h 30m or 2d")]
pub struct BadSpan(String);

impl fmt::Display for Span {
    /// The way it is written in configuration: `1h 30m`. Days are never used: 48h stays 48h.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let parts = [
            (self.0 / 3_600_000, "h"),
            (self.0 / 60_000 % 60, "m"),
            (self.0 / 1000 % 60, "s"),
            (self.0 % 1000, "ms"),
        ];
        let mut first = true;
        for (n, unit) in parts.into_iter().filter(|(n, _)| *n > 0) {
            if !first {
                f.write_str(" ")?;
            }
            write!(f, "{n}{unit}")?;
            first = false;
        }
        Ok(())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Span {
    type Err = BadSpan;
    fn from_str(text: &str) -> Result<Span, BadSpan> {
        Span::parse(text)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "a length of time: 20s, 5m, 24h, 1h 30m, 2d (a d is 24 hours of what is counted)",
            "pattern": r"^\s*([0-9]+(ms|s|m|h|d)\s*)+$",
        })
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Span) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Span {
    fn sum<I: Iterator<Item = Span>>(spans: I) -> Span {
        spans.fold(Span::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_read_and_write_the_same() {
        for (text, want) in [
            ("2026-03-02T10:00:00Z", "2026-03-02T10:00:00Z"),
            ("2026-03-02T10:00:00.001Z", "2026-03-02T10:00:00.001Z"),
            ("2026-03-02T10:00:00+08:00", "2026-03-02T02:00:00Z"),
            ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-30T00:00:00Z", "9999-12-30T00:00:00Z"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            let got = Instant::parse(text).map(|t| t.to_string());
            assert_eq!(got.as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_instants_are_refused() {
        for text in [
            "",
            "now",
            "2026-03-02",
            "2026-03-02T10:00:00",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-03-02T24:00:01Z",
            "2026-03-02T10:61:00Z",
            "１０:00",
            "99999-01-01T00:00:00Z",
        ] {
            assert!(Instant::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_quick_reader_agrees_with_the_full_one() {
        for day in (0..80_000).step_by(13) {
            let t = Instant::from_secs(day * 86_400 + day % 86_400);
            let text = t.to_string();
            assert_eq!(parse_plain_utc(text.as_bytes()), Some(t), "{text}");
        }
    }

    #[test]
    fn spans_read_and_write() {
        for (text, want) in [
            ("20s", "20s"),
            ("5m", "5m"),
            ("24h", "24h"),
            ("2d", "48h"),
            ("1h 30m", "1h 30m"),
            ("90m", "1h 30m"),
            ("1h30m", "1h 30m"),
            ("250ms", "250ms"),
            ("0s", "0s"),
        ] {
            assert_eq!(Span::parse(text).map(|s| s.to_string()).as_deref(), Ok(want), "{text}");
        }
        for text in ["", "5", "-5m", "1.5h", "2wd", "5 m", "5 minutes", "99999999999999999999h", "m", "NaN"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_rounds_up() {
        assert_eq!(Span::from_millis(3).percent(50), Span::from_millis(2));
        assert_eq!(Span::from_minutes(30).percent(50), Span::from_minutes(15));
    }
}
