//! Holiday sets out of iCalendar files (`.ics`), as Google, Outlook, officeholidays.com and the Chinese
//! 节假日 calendars publish them.
//!
//! Only whole-day events count: a holiday is a date, not an hour. An event whose summary speaks of work
//! (班, 补班, 上班, make-up, workday) is a make-up workday, every other one is a day off. The text comes
//! from outside: whatever is in it, the answer is a bounded set or a clear error.

mod prepare;
mod recur;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use icalendar::parser::{Component, Property, read_calendar_simple};
use jiff::ToSpan as _;
use jiff::civil::{Date, date};

use self::prepare::prepare;
use self::recur::recur;
use crate::core::calendar::{CoversConfig, HolidayConfig, HolidaySetConfig};

/// The longest file read.
pub const MAX_BYTES: usize = 8 << 20;
/// The longest line, unfolded.
const MAX_LINE: usize = 64 << 10;
/// The most dates of a set: two centuries of weekends.
const MAX_DATES: usize = 20_000;
/// The most days of one event.
const MAX_EVENT_DAYS: i64 = 92;
/// The most recurrence rules of a file, and the most occurrences of all of them together, the skipped
/// ones included.
const MAX_RULES: usize = 200;
const MAX_OCCURRENCES: usize = 200_000;
/// The most warnings told one by one.
const MAX_WARNINGS: usize = 50;
/// Dates outside of these years are left out.
const YEARS: std::ops::Range<i16> = 1999..2100;

/// Why a text is not a set of holidays.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IcsError {
    /// It is longer than a calendar can be.
    #[error("the file has {0} bytes, expected at most {MAX_BYTES}")]
    TooLong(usize),
    /// It does not begin as a calendar does.
    #[error("not an iCalendar file: it begins with `{0}`, expected `BEGIN:VCALENDAR`")]
    NotACalendar(String),
    /// One line of it is longer than any text.
    #[error("line {0} has more than {MAX_LINE} bytes, folded lines joined; is this an iCalendar file?")]
    LongLine(usize),
    /// Its parts do not fit into each other.
    #[error("line {line}: {what}")]
    Broken {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// It names more dates than a set can hold.
    #[error("more than {MAX_DATES} dates; is a recurrence without an end meant to be a holiday?")]
    TooManyDates,
    /// There is no whole-day event in it.
    #[error("no whole-day event between 1999 and 2099 in it")]
    NoDates,
}

/// Reads the holidays of an iCalendar text, and warnings about what was left out. What the set covers is
/// the years of its dates.
///
/// # Errors
/// A text that is no calendar, is broken, or has no or too many dates.
pub fn parse_holidays(text: &str) -> Result<(HolidaySetConfig, Vec<String>), IcsError> {
    let text = prepare(text)?;
    let calendars = read_calendar_simple(&text).map_err(|error| {
        let at = text.len() - error.input.len().min(text.len());
        let line = text[..at].lines().count().max(1);
        IcsError::Broken { line, what: "not a line of iCalendar".to_owned() }
    })?;
    let mut found = Found::default();
    for calendar in &calendars {
        if found.title.is_none() {
            found.title = text_of(calendar, "X-WR-CALNAME").filter(|title| !title.is_empty());
        }
        for event in calendar.components.iter().filter(|c| c.name == "VEVENT") {
            found.take(event)?;
        }
    }
    found.finish()
}

/// What has been found so far.
#[derive(Default)]
struct Found {
    title: Option<String>,
    /// Blocks by kind (make-up workday or not), first date, last date; then the name.
    blocks: BTreeMap<(bool, Date, Date), String>,
    dates: usize,
    warnings: Vec<String>,
    unsaid: usize,
    rules: usize,
    occurrences: usize,
}

impl Found {
    fn warn(&mut self, text: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(text);
        } else {
            self.unsaid += 1;
        }
    }

    fn take(&mut self, event: &Component<'_>) -> Result<(), IcsError> {
        let name = text_of(event, "SUMMARY").unwrap_or_default();
        let shown =
            if name.is_empty() { "an event without a summary".to_owned() } else { format!("`{name}`") };
        if text_of(event, "STATUS").is_some_and(|status| status.eq_ignore_ascii_case("CANCELLED")) {
            self.warn(format!("{shown} is cancelled and was left out"));
            return Ok(());
        }
        let Some(start) = event.find_prop("DTSTART") else {
            self.warn(format!("{shown} has no DTSTART and was left out"));
            return Ok(());
        };
        let Some(first) = whole_date(start.val.as_str()) else {
            self.warn(format!(
                "{shown} is not a whole-day event (DTSTART {}) and was left out",
                clip(start.val.as_str())
            ));
            return Ok(());
        };
        let days = match length(event, first) {
            Some(days @ 1..=MAX_EVENT_DAYS) => days,
            _ => {
                self.warn(format!(
                    "{shown} on {first} ends in an odd way, expected 1 to {MAX_EVENT_DAYS} days; it was left out"
                ));
                return Ok(());
            }
        };
        if event.find_prop("RECURRENCE-ID").is_some() {
            self.warn(format!(
                "{shown} on {first} changes one of a series; it was read as an event of its own"
            ));
        }
        let makeup = is_workday(&name);
        for first in self.starts(event, first, &shown)? {
            let last = first.saturating_add((days - 1).days());
            if !YEARS.contains(&first.year()) || !YEARS.contains(&last.year()) {
                self.warn(format!("{shown} on {first} lies outside of {} to {}", YEARS.start, YEARS.end - 1));
                continue;
            }
            let before = self.blocks.len();
            self.blocks.entry((makeup, first, last)).or_insert_with(|| name.clone());
            if self.blocks.len() > before {
                self.dates += days as usize;
            }
            if self.dates > MAX_DATES {
                return Err(IcsError::TooManyDates);
            }
        }
        Ok(())
    }

    /// The first dates of all occurrences: RRULE and RDATE, without EXDATE.
    fn starts(&mut self, event: &Component<'_>, first: Date, shown: &str) -> Result<Vec<Date>, IcsError> {
        let mut starts = BTreeSet::from([first]);
        for rule in properties(event, "RRULE") {
            self.rules += 1;
            if self.rules > MAX_RULES || self.occurrences >= MAX_OCCURRENCES {
                return Err(IcsError::TooManyDates);
            }
            match recur(first, rule.val.as_str(), &mut self.occurrences) {
                Ok(dates) => starts.extend(dates),
                Err(reason) => self.warn(format!("{shown}: its RRULE was left out: {reason}")),
            }
        }
        for (key, adds) in [("RDATE", true), ("EXDATE", false)] {
            for property in properties(event, key) {
                for value in property.val.as_str().split(',').take(MAX_DATES) {
                    match value.trim().get(..8).and_then(compact_date) {
                        Some(date) if adds => drop(starts.insert(date)),
                        Some(date) => drop(starts.remove(&date)),
                        None => self.warn(format!("{shown}: the {key} `{}` is not a date", clip(value))),
                    }
                }
            }
        }
        Ok(starts.into_iter().collect())
    }

    fn finish(mut self) -> Result<(HolidaySetConfig, Vec<String>), IcsError> {
        let first = self.blocks.keys().map(|(_, first, _)| *first).min().ok_or(IcsError::NoDates)?;
        let last = self.blocks.keys().map(|(_, _, last)| *last).max().ok_or(IcsError::NoDates)?;
        let covers = CoversConfig(written(date(first.year(), 1, 1)), written(date(last.year(), 12, 31)));
        let mut set = HolidaySetConfig { title: self.title.take(), covers, ..HolidaySetConfig::default() };
        for ((makeup, first, last), name) in self.blocks {
            let mut block = HolidayConfig { name, ..HolidayConfig::default() };
            if first == last {
                block.date = Some(written(first));
            } else {
                (block.from, block.to) = (Some(written(first)), Some(written(last)));
            }
            let list = if makeup { &mut set.makeup_days } else { &mut set.days_off };
            list.push(block);
        }
        if self.unsaid > 0 {
            self.warnings.push(format!("and {} more", self.unsaid));
        }
        Ok((set, self.warnings))
    }
}

fn written(date: Date) -> crate::core::calendar::Written {
    date.to_string().as_str().into()
}

/// Whether a summary speaks of a day that is worked: 班 stands in all of 补班, 上班, 调休上班.
fn is_workday(summary: &str) -> bool {
    const WORK: [&str; 7] = ["make-up", "makeup", "make up", "workday", "work day", "working day", "班"];
    let summary = summary.to_lowercase();
    WORK.iter().any(|word| summary.contains(word))
}

/// The days of an event: DTEND (not included), or DURATION, or one.
fn length(event: &Component<'_>, first: Date) -> Option<i64> {
    let until = |last: Date| i64::from(first.until((jiff::Unit::Day, last)).ok()?.get_days()).into();
    if let Some(end) = event.find_prop("DTEND") {
        let days: Option<i64> = until(whole_date(end.val.as_str())?);
        // Some write the same day twice for one day.
        return days.map(|days| if days == 0 { 1 } else { days });
    }
    let Some(duration) = event.find_prop("DURATION") else { return Some(1) };
    let text = duration.val.as_str().trim().strip_prefix('P')?;
    let (count, weeks) = match (text.strip_suffix('D'), text.strip_suffix('W')) {
        (Some(days), _) => (days, 1),
        (_, Some(weeks)) => (weeks, 7),
        _ => return None,
    };
    count.parse::<u16>().ok().map(|count| i64::from(count) * weeks)
}

/// `20260215`, or midnight written out, `20260215T000000`.
fn whole_date(text: &str) -> Option<Date> {
    let text = text.trim();
    match text.len() {
        8 => compact_date(text),
        _ => None,
    }
}

fn compact_date(text: &str) -> Option<Date> {
    let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
    let number: i32 = if digits { text.parse().ok()? } else { return None };
    Date::new((number / 10_000) as i16, (number / 100 % 100) as i8, (number % 100) as i8).ok()
}

fn properties<'a>(event: &'a Component<'a>, name: &'a str) -> impl Iterator<Item = &'a Property<'a>> {
    event.properties.iter().filter(move |property| property.name == name)
}

/// A text of a component, without its escapes and on one line.
fn text_of(component: &Component<'_>, name: &str) -> Option<String> {
    let property = component.properties.iter().find(|property| property.name == name)?;
    let words: Vec<&str> = property.val.as_str().split_whitespace().collect();
    Some(clip(&words.join(" ")))
}

/// At most 120 characters of a text, none of them a control character.
fn clip(text: &str) -> String {
    const SHOWN: usize = 120;
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
