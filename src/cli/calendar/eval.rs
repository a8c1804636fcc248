//! Answers to case files (`sla_semantics` §12), a line at a time: nothing but the calendars is kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, Read as _, Write};

use serde::Deserialize;

use crate::core::calendar::{Calendar, CalendarConfig, Era, HORIZON, IntervalConfig, MakeupHours};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// The longest line.
const MAX_LINE: usize = 1 << 20;

/// A line of a case file. Which fields an `op` needs is checked by the op; others (`expect`, `agree`)
/// are for the reader.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    cal: Option<Cow<'a, str>>,
    #[serde(default)]
    start: Option<Instant>,
    #[serde(default)]
    end: Option<Instant>,
    #[serde(default)]
    minutes: Option<i64>,
    #[serde(borrow, default)]
    tz: Option<Cow<'a, str>>,
    #[serde(default)]
    weekly: Option<BTreeMap<String, Vec<IntervalConfig>>>,
    #[serde(default)]
    overrides: Option<BTreeMap<String, Vec<IntervalConfig>>>,
}

/// What a case comes to.
enum Answer {
    At(Instant),
    Seconds(i64),
    Open(bool),
    Unreachable,
}

/// Answers every case of `input` on `out`, in order. A line that is no case is told on `err` with its
/// number, and the next one is read; the answer is whether there was none of them.
///
/// # Errors
/// Only those of the streams.
pub fn eval(mut input: impl BufRead, mut out: impl Write, mut err: impl Write) -> io::Result<bool> {
    let mut calendars = HashMap::new();
    let mut clean = true;
    let mut line = Vec::new();
    let mut number = 0u64;
    loop {
        line.clear();
        let limit = (MAX_LINE + 1) as u64;
        if input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(clean);
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let taken = if line.len() > MAX_LINE && line.last() != Some(&b'\n') {
            skip_line(&mut input)?;
            Err(format!("longer than {MAX_LINE} bytes"))
        } else {
            take(&line, &mut calendars)
        };
        match taken {
            Ok(Some((id, answer))) => write_answer(&mut out, &id, &answer)?,
            Ok(None) => {}
            Err(reason) => {
                clean = false;
                writeln!(err, "line {number}: {reason}")?;
            }
        }
    }
}

/// Reads on to the end of the line without keeping it.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, done) = match buffer.iter().position(|b| *b == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

/// Takes one line: keeps its calendar, or answers its case.
fn take<'a>(
    line: &'a [u8],
    calendars: &mut HashMap<String, Calendar>,
) -> Result<Option<(Cow<'a, str>, Answer)>, String> {
    let line: Line<'a> = serde_json::from_slice(line).map_err(|error| format!("not a case: {error}"))?;
    if line.op == "calendar" {
        let id = line.id.clone().into_owned();
        if calendars.contains_key(&id) {
            return Err(format!("the calendar `{id}` was given before"));
        }
        let calendar = compile(&id, line)?;
        calendars.insert(id, calendar);
        return Ok(None);
    }
    let at = |reason: String| format!("case `{}`: {reason}", line.id);
    let name = line.cal.as_deref().ok_or_else(|| at("`cal` is missing".to_owned()))?;
    let calendar =
        calendars.get(name).ok_or_else(|| at(format!("there is no calendar `{name}` above it")))?;
    let answer = answer(calendar, &line).map_err(at)?;
    Ok(Some((line.id, answer)))
}

fn compile(id: &str, line: Line<'_>) -> Result<Calendar, String> {
    let config = CalendarConfig {
        title: None,
        tz: line.tz.ok_or("`tz` is missing")?.into_owned(),
        weekly: line.weekly.ok_or("`weekly` is missing")?,
        holidays: Vec::new(),
        makeup_hours: MakeupHours::default(),
        overrides: line.overrides.unwrap_or_default(),
    };
    let mut problems = Problems::new();
    let calendar = Calendar::compile(id, &config, &BTreeMap::new(), Era::DEFAULT, &mut problems);
    calendar.ok_or_else(|| {
        let told: Vec<String> =
            problems.into_vec().iter().map(|problem| format!("{}: {}", problem.path, problem.text)).collect();
        format!("the calendar `{id}` is refused: {}", told.join("; "))
    })
}

fn answer(calendar: &Calendar, line: &Line<'_>) -> Result<Answer, String> {
    let start = line.start.ok_or("`start` is missing")?;
    let minutes = || match line.minutes {
        Some(minutes) if minutes < 0 => Err(format!("`minutes` is {minutes}, expected 0 or more")),
        // Longer than any horizon is unreachable, not an overflow.
        Some(minutes) => Ok(Span::MINUTE.times(minutes)),
        None => Err("`minutes` is missing".to_owned()),
    };
    let reached = |t: Option<Instant>| t.map_or(Answer::Unreachable, Answer::At);
    Ok(match &*line.op {
        "add" => reached(calendar.add(start, minutes()?)),
        "back" => reached(calendar.back(start, minutes()?)),
        "next_open" => reached(calendar.next_open(start)),
        "is_open" => Answer::Open(calendar.is_open(start)),
        "between" => {
            let end = line.end.ok_or("`end` is missing")?;
            Answer::Seconds(calendar.elapsed(start, end).as_secs())
        }
        other => {
            let known = "calendar, add, between, back, next_open, is_open";
            return Err(format!("`{other}` is not an op, expected one of: {known}"));
        }
    })
}

fn write_answer(out: &mut impl Write, id: &str, answer: &Answer) -> io::Result<()> {
    out.write_all(b"{\"id\":")?;
    serde_json::to_writer(&mut *out, id)?;
    match answer {
        Answer::At(t) => writeln!(out, ",\"answer\":\"{t}\"}}"),
        Answer::Seconds(seconds) => writeln!(out, ",\"answer\":{seconds}}}"),
        Answer::Open(open) => writeln!(out, ",\"answer\":{open}}}"),
        Answer::Unreachable => {
            let days = HORIZON.as_millis() / Span::DAY.as_millis();
            writeln!(out, ",\"answer\":null,\"error\":\"unreachable within {days} days\"}}")
        }
    }
}
