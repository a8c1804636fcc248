//! A month drawn as text: seven columns, a box a date, for a supervisor to check against the wall.

use std::io::{self, Write};
use std::str::FromStr;

use jiff::ToSpan as _;
use jiff::civil::{Date, Time, date};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::core::calendar::{Calendar, Day, DayKind};
use crate::core::time::{Instant, Span};

/// Terminal columns of a date.
const COLUMN: usize = 13;
const WEEKDAYS: [&str; 7] =
    ["周一 Mon", "周二 Tue", "周三 Wed", "周四 Thu", "周五 Fri", "周六 Sat", "周日 Sun"];

/// A month of a year, `2026-10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(Date);

impl Month {
    /// The month of `year`; `None` when there is no such month.
    pub fn new(year: i16, month: i8) -> Option<Month> {
        Date::new(year, month, 1).ok().map(Month)
    }
}

impl FromStr for Month {
    type Err = String;
    fn from_str(text: &str) -> Result<Month, String> {
        let digits = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
        text.split_once('-')
            .filter(|(year, month)| digits(year, 4) && digits(month, 2))
            .and_then(|(year, month)| Month::new(year.parse().ok()?, month.parse().ok()?))
            .ok_or_else(|| format!("`{text}` is not a month, expected YYYY-MM such as 2026-10"))
    }
}

/// Draws a month: hours by the date they start on, days off (休), make-up workdays (班) and the
/// calendar's own dates (*), a legend, the open time and the working days.
///
/// # Errors
/// Only those of `out`.
pub fn show(calendar: &Calendar, month: Month, out: &mut impl Write) -> io::Result<()> {
    let first = month.0;
    let last = first.last_of_month();
    let title = calendar.title().map(|title| format!(" {title}")).unwrap_or_default();
    writeln!(out, "{}{title} · {} · {}\n", calendar.id(), first.strftime("%Y-%m"), calendar.zone_name())?;
    row(out, &WEEKDAYS.map(str::to_owned))?;
    row(out, &std::array::from_fn(|_| "─".repeat(COLUMN - 2)))?;
    let mut monday = first.saturating_sub(i32::from(first.weekday().to_monday_zero_offset()).days());
    while monday <= last {
        let week: [Vec<String>; 7] = std::array::from_fn(|i| {
            let date = monday.saturating_add((i as i32).days());
            if first <= date && date <= last { cell(calendar, date) } else { Vec::new() }
        });
        let height = week.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..height {
            row(out, &std::array::from_fn(|i| week[i].get(line).cloned().unwrap_or_default()))?;
        }
        writeln!(out)?;
        monday = monday.saturating_add(7.days());
    }
    legend(calendar, first, last, out)
}

fn row(out: &mut impl Write, cells: &[String; 7]) -> io::Result<()> {
    let mut line = String::new();
    for cell in cells {
        line.push_str(cell);
        line.push_str(&" ".repeat(COLUMN.saturating_sub(cell.width())));
    }
    writeln!(out, "{}", line.trim_end())
}

/// The lines of one date.
fn cell(calendar: &Calendar, date: Date) -> Vec<String> {
    let day = calendar.day(date);
    let (mark, name) = match &day.kind {
        DayKind::Weekly => ("", None),
        DayKind::DayOff { name } => (" 休", Some(name)),
        DayKind::MakeUp { name } => (" 班", Some(name)),
        DayKind::Override => (" *", None),
    };
    let mut lines = vec![format!("{:>2}{mark}", date.day())];
    // The first word: the Chinese name of `春节 Spring Festival`. The whole name is in the legend.
    let word = name.and_then(|name| name.split_whitespace().next());
    lines.extend(word.map(|word| fit(word, COLUMN - 2)));
    if day.intervals.is_empty() {
        lines.push("–".to_owned());
    }
    lines.extend(day.intervals.iter().map(|interval| hours(calendar, date, *interval)));
    lines
}

/// `09:00–18:00`; a closing time on the next date carries a `+`, the next midnight is 24:00.
fn hours(calendar: &Calendar, date: Date, (from, to): (Instant, Instant)) -> String {
    let local = |t: Instant| calendar.zone().to_datetime(t.to_timestamp());
    let (from, to) = (local(from), local(to));
    let next = to.date() > date;
    if next && to.time() == Time::midnight() {
        return format!("{}–24:00", clock(from.time()));
    }
    format!("{}–{}{}", clock(from.time()), clock(to.time()), if next { "+" } else { "" })
}

/// `09:00`, and seconds only where there are some.
fn clock(time: Time) -> String {
    time.strftime(if time.second() == 0 { "%H:%M" } else { "%H:%M:%S" }).to_string()
}

/// Cuts a text to a width in terminal columns.
fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let kept = text.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used < width
    });
    kept.collect::<String>() + "…"
}

/// What the marks mean, block by block, and the sums.
fn legend(calendar: &Calendar, first: Date, last: Date, out: &mut impl Write) -> io::Result<()> {
    let days: Vec<(Date, Day)> = first
        .series(1.day())
        .take_while(|date| *date <= last)
        .map(|date| (date, calendar.day(date)))
        .collect();
    let mut blocks: Vec<(Date, Date, &'static str, &str)> = Vec::new();
    for (date, day) in &days {
        let (mark, name) = match &day.kind {
            DayKind::Weekly => continue,
            DayKind::DayOff { name } => ("休 day off", name.as_str()),
            DayKind::MakeUp { name } => ("班 make-up workday", name.as_str()),
            DayKind::Override => ("*  this calendar's own", ""),
        };
        match blocks.last_mut() {
            Some((_, to, m, n)) if (*m, *n) == (mark, name) && to.tomorrow().ok() == Some(*date) => {
                *to = *date
            }
            _ => blocks.push((*date, *date, mark, name)),
        }
    }
    for (from, to, mark, name) in blocks {
        let days = if from == to { from.to_string() } else { format!("{from} … {}", to.strftime("%m-%d")) };
        let pad = " ".repeat(20usize.saturating_sub(mark.width()));
        writeln!(out, "{}", format!("{mark}{pad}{days}  {name}").trim_end())?;
    }
    let start = |date: Date| {
        let midnight = date.to_datetime(Time::midnight());
        let at = calendar.zone().to_ambiguous_timestamp(midnight).compatible();
        at.map_or(Instant::MAX, Instant::from_timestamp)
    };
    let (from, to) = (start(first), start(last.tomorrow().unwrap_or(date(9999, 12, 31))));
    let open: Span = calendar.elapsed(from, to);
    let working = days.iter().filter(|(_, day)| !day.intervals.is_empty()).count();
    writeln!(out, "open 开放 {open} · working days 工作日 {working} of {}", days.len())?;
    if !calendar.covers(from) || !calendar.covers(to - Span::MILLISECOND) {
        writeln!(out, "warning: its holiday sets do not cover all of this month; weekly hours are shown")?;
    }
    Ok(())
}
