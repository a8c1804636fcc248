//! Where the lines, bars and cells of the page's pictures go.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::ToSpan;
use jiff::civil::Date;

use super::super::show::{count, plain, share};
use super::super::words::Language;
use super::super::{Decided, Frame, Report};
use super::shown;
use crate::core::time::{Instant, Span};

/// The drawing area of a small multiple: the line on top, the bars of breaches below.
const WIDE: i64 = 10_000;
const LINE_HIGH: i64 = 1000;
const BARS_TOP: i64 = 1080;
const HIGH: i64 = 1400;

/// One clock over time.
#[derive(Clone, Debug)]
pub struct Panel {
    name: String,
    title: String,
    share: String,
    n: String,
    /// The lowest value of the scale, `60%`.
    floor: String,
    most_breaches: String,
    line: String,
    area: String,
    /// An area is honest only above a scale that begins at nothing.
    has_area: bool,
    goal_y: Option<i64>,
    bars: Vec<Bar>,
    ticks: Vec<Tick>,
}

#[derive(Clone, Debug)]
struct Bar {
    x: i64,
    wide: i64,
    y: i64,
    high: i64,
    title: String,
}

#[derive(Clone, Debug)]
struct Tick {
    left: String,
    label: String,
}

shown!(Panel { name, title, share, n, floor, most_breaches, line, area, has_area, goal_y, bars, ticks });
shown!(Bar { x, wide, y, high, title });
shown!(Tick { left, label });
shown!(Calendar { years, scale });
shown!(Year { year, total, months, cells });
shown!(Month { x, label });
shown!(Cell { x, y, level, title });
shown!(Level { level, label });

/// How many local days the window touches.
pub fn days_between(from: Instant, to: Instant, frame: &Frame) -> usize {
    let (first, last) = window_days(from, to, frame);
    usize::try_from((last - first).get_days() + 1).unwrap_or(1)
}

/// How many days lie between the first and the last on which something was decided, both included.
pub fn days_decided(report: &Report) -> usize {
    match (report.days.first(), report.days.last()) {
        (Some(first), Some(last)) => usize::try_from((last.date - first.date).get_days() + 1).unwrap_or(1),
        _ => 0,
    }
}

/// The fewest days that a picture over time shows: a lone day would be a single broad bar.
const FEWEST_DAYS: i32 = 7;

/// The days that a picture over time shows: those on which something was decided, and a week at least. A case
/// that began long before, and a last event long after, would press the rest into a corner.
fn drawn_days(report: &Report, frame: &Frame) -> (Date, Date) {
    let (from, to) = window_days(report.from, report.to, frame);
    let first = report.days.first().map_or(from, |d| d.date);
    let last = report.days.last().map_or(to, |d| d.date).max(first);
    let lacking = (FEWEST_DAYS - 1 - (last - first).get_days()).max(0);
    (
        first.checked_sub((lacking / 2).days()).unwrap_or(first),
        last.checked_add((lacking - lacking / 2).days()).unwrap_or(last),
    )
}

fn window_days(from: Instant, to: Instant, frame: &Frame) -> (Date, Date) {
    let day = |at: Instant| frame.zone.to_datetime(at.to_timestamp()).date();
    let first = day(from);
    (first, day(to - Span::MILLISECOND).max(first))
}

/// The Monday of a day's week; the day itself at the very edge of the years.
fn monday(date: Date) -> Date {
    date.checked_sub(i32::from(date.weekday().to_monday_zero_offset()).days()).unwrap_or(date)
}

/// One panel a clock; all share one scale, so that they can be compared.
pub fn panels(report: &Report, frame: &Frame, by_week: bool) -> Vec<Panel> {
    let (first, last) = drawn_days(report, frame);
    let start = if by_week { monday(first) } else { first };
    let step = if by_week { 7 } else { 1 };
    let slots = usize::try_from((last - start).get_days() / step + 1).unwrap_or(1);
    let mut clocks: BTreeMap<&str, Vec<Decided>> = BTreeMap::new();
    for day in &report.days {
        let slot = usize::try_from((day.date - start).get_days() / step).unwrap_or(0).min(slots - 1);
        for c in &day.clocks {
            clocks.entry(&c.clock).or_insert_with(|| vec![Decided::default(); slots])[slot].merge(&c.decided);
        }
    }
    let lowest = clocks.values().flatten().filter_map(|d| d.attainment_permille).min().unwrap_or(0);
    let floor = i64::from(lowest.min(900) / 100 * 100);
    let date_of = |slot: usize| start.checked_add((slot as i64 * i64::from(step)).days()).unwrap_or(start);
    report
        .clocks
        .iter()
        .filter_map(|c| Some((c, clocks.get(c.clock.as_str())?)))
        .map(|(c, slots)| {
            let most = slots.iter().map(Decided::breaches).max().unwrap_or(0);
            let (line, area) = paths(slots, floor);
            Panel {
                name: plain(&c.clock),
                title: plain(c.title.as_deref().unwrap_or(&c.clock)),
                share: share(c.counts.attainment_permille),
                n: count(c.counts.decided),
                floor: format!("{}%", floor / 10),
                most_breaches: count(most),
                line,
                area,
                has_area: floor == 0,
                goal_y: c.goal_permille.map(i64::from).filter(|g| *g >= floor).map(|g| y_of(g, floor)),
                bars: bars(slots, most, date_of),
                ticks: ticks(slots.len(), by_week, |slot| date_of(slot).max(first)),
            }
        })
        .collect()
}

fn x_of(slot: usize, slots: usize) -> i64 {
    (2 * slot as i64 + 1) * WIDE / (2 * slots as i64)
}

fn y_of(permille: i64, floor: i64) -> i64 {
    (1000 - permille) * LINE_HIGH / (1000 - floor)
}

/// The line of attainment and the area beneath it, with a gap where nothing was decided.
fn paths(slots: &[Decided], floor: i64) -> (String, String) {
    let (mut line, mut area) = (String::new(), String::new());
    let half = WIDE / (2 * slots.len() as i64);
    let mut piece: Vec<(i64, i64)> = Vec::new();
    let mut close = |piece: &mut Vec<(i64, i64)>| {
        if let [(x, y)] = piece[..] {
            // A lone slot would be a line of no length.
            *piece = vec![(x - half * 2 / 3, y), (x + half * 2 / 3, y)];
        }
        if let (Some((first, _)), Some((last, _))) = (piece.first(), piece.last()) {
            let _ = write!(area, "M{first} {LINE_HIGH}");
            for (i, (x, y)) in piece.iter().enumerate() {
                // Writing to a string cannot fail.
                let _ = write!(line, "{}{x} {y}", if i == 0 { "M" } else { "L" });
                let _ = write!(area, "L{x} {y}");
            }
            let _ = write!(area, "L{last} {LINE_HIGH}Z");
        }
        piece.clear();
    };
    for (i, slot) in slots.iter().enumerate() {
        match slot.attainment_permille {
            Some(p) => piece.push((x_of(i, slots.len()), y_of(i64::from(p), floor))),
            None => close(&mut piece),
        }
    }
    close(&mut piece);
    (line, area)
}

fn bars(slots: &[Decided], most: u64, date_of: impl Fn(usize) -> Date) -> Vec<Bar> {
    let n = slots.len() as i64;
    slots
        .iter()
        .enumerate()
        .map(|(i, slot)| {
            let (left, right) = (i as i64 * WIDE / n, (i as i64 + 1) * WIDE / n);
            let gap = (right - left) / 6;
            let high = (slot.breaches() * (HIGH - BARS_TOP).unsigned_abs()).div_ceil(most.max(1)) as i64;
            let title = format!(
                "{}  {}  {} / {}",
                date_of(i),
                share(slot.attainment_permille),
                count(slot.met),
                count(slot.decided())
            );
            Bar { x: left + gap, wide: right - left - 2 * gap, y: HIGH - high, high, title }
        })
        .collect()
}

/// At most five labels, evenly spread.
fn ticks(slots: usize, by_week: bool, date_of: impl Fn(usize) -> Date) -> Vec<Tick> {
    let step = slots.div_ceil(5).max(1);
    (0..slots)
        .step_by(step)
        .map(|i| Tick {
            left: super::width((i as u64 * 1000) / slots as u64),
            label: date_of(i).strftime(if by_week { "%Y-%m" } else { "%m-%d" }).to_string(),
        })
        .collect()
}

/// Breaches of every day, a strip a year.
#[derive(Clone, Debug)]
pub struct Calendar {
    years: Vec<Year>,
    scale: Vec<Level>,
}

#[derive(Clone, Debug)]
struct Year {
    year: i16,
    total: String,
    months: Vec<Month>,
    cells: Vec<Cell>,
}

#[derive(Clone, Debug)]
struct Month {
    x: i64,
    label: String,
}

#[derive(Clone, Debug)]
struct Cell {
    x: i64,
    y: i64,
    level: u64,
    title: String,
}

/// One step of a colour scale.
#[derive(Clone, Debug)]
pub struct Level {
    level: u64,
    label: String,
}

/// How deep the colour of `n` is: 0 for nothing, 6 for `most`.
pub fn level(n: u64, most: u64) -> u64 {
    (n * 6).div_ceil(most.max(1)).min(6)
}

/// The ranges of the levels that can occur.
pub fn levels(most: u64) -> Vec<Level> {
    let mut steps = vec![Level { level: 0, label: "0".to_owned() }];
    for step in 1..=6 {
        let (from, to) = ((step - 1) * most / 6 + 1, step * most / 6);
        if from <= to {
            let label = if from == to { count(from) } else { format!("{}–{}", count(from), count(to)) };
            steps.push(Level { level: step, label });
        }
    }
    steps
}

/// Longer windows have no calendar: a picture of so many strips says nothing.
const CALENDAR_YEARS: i16 = 12;

/// A cell with its gap, in units of the drawing.
const CELL: i64 = 12;

/// The calendar of the window; none where nothing was decided.
pub fn calendar(report: &Report, frame: &Frame, language: Language) -> Option<Calendar> {
    let (first, last) = window_days(report.from, report.to, frame);
    if last.year() - first.year() >= CALENDAR_YEARS {
        return None;
    }
    let days: BTreeMap<Date, &Decided> = report.days.iter().map(|d| (d.date, &d.total)).collect();
    // A handful of extreme days would leave all others pale: the scale ends where 1 in 50 days lies above.
    let mut counts: Vec<u64> = days.values().map(|d| d.breaches()).filter(|n| *n > 0).collect();
    counts.sort_unstable();
    let most = *counts.get((counts.len() * 98).div_ceil(100).max(1) - 1)?;
    let mut years: Vec<Year> = Vec::new();
    let mut totals: Vec<u64> = Vec::new();
    for date in first.series(1.day()).take_while(|date| *date <= last) {
        if years.last().is_none_or(|y| y.year != date.year()) {
            years.push(Year { year: date.year(), total: String::new(), months: vec![], cells: vec![] });
            totals.push(0);
        }
        let (Some(year), Some(total)) = (years.last_mut(), totals.last_mut()) else { continue };
        let new_year = i64::from(date.first_of_year().weekday().to_monday_zero_offset());
        let x = (i64::from(date.day_of_year()) - 1 + new_year) / 7 * CELL;
        let y = i64::from(date.weekday().to_monday_zero_offset()) * CELL;
        if date.day() == 1 {
            let label = match language {
                Language::Zh => format!("{}月", date.month()),
                Language::En => date.strftime("%b").to_string(),
            };
            year.months.push(Month { x, label });
        }
        let decided = days.get(&date);
        let n = decided.map_or(0, |d| d.breaches());
        *total += n;
        let title = format!("{date}  {}  {}", count(n), share(decided.and_then(|d| d.attainment_permille)));
        year.cells.push(Cell { x, y, level: level(n, most), title });
    }
    for (year, total) in years.iter_mut().zip(totals) {
        year.total = count(total);
    }
    let mut scale = levels(most);
    if let Some(top) = scale.last_mut() {
        top.label = format!("{}+", top.label.split('–').next().unwrap_or_default());
    }
    Some(Calendar { years, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_cover_every_count_once() {
        for most in [1, 2, 5, 6, 7, 40, 1000] {
            let steps = levels(most);
            for n in 0..=most {
                let at = level(n, most);
                assert!(steps.iter().any(|s| s.level == at), "{n} of {most}");
            }
            assert_eq!((level(0, most), level(most, most)), (0, 6), "{most}");
        }
    }

    #[test]
    fn lines_have_gaps_where_nothing_was_decided() {
        let some = Decided { attainment_permille: Some(1000), met: 1, missed: 0, overdue: 0 };
        let (line, area) = paths(&[some, some, Decided::default(), some], 0);
        assert_eq!(line.matches('M').count(), 2);
        assert_eq!(area.matches('Z').count(), 2);
    }
}
