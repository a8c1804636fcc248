//! `shiftbell explain`: how every due time of a case came about, step by step.
//!
//! The steps are read off the very cycles that the engine judges: segments, open hours, crossings.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use jiff::tz::TimeZone;

use crate::cli::replay::progress::Progress;
use crate::cli::replay::run::{Replay, replay};
use crate::cli::replay::settings;
use crate::config::Ready;
use crate::core::calendar::{Calendar, DayKind};
use crate::core::clock::{Cycle, Flow, Promise, Segment, State};
use crate::core::engine::CaseView;
use crate::core::model::{Content, Language, Scalar};
use crate::core::time::{Instant, Span};

/// Shows step by step how the due times of one case came about: start, pauses, closed hours and holidays stepped over,
/// the instants of the rings, the outcome.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The configuration: a file, or `builtin:NAME` for one inside the program.
    #[arg(long, short, value_name = "FILE", default_value = "shiftbell.toml")]
    pub config: PathBuf,
    /// The histories to read the case from; several are merged by `at`.
    #[arg(long = "replay", value_name = "FILE", required = true, num_args = 1..)]
    pub histories: Vec<String>,
    /// As of this instant (RFC 3339); without it, the end of the history.
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<Instant>,
    /// Only this clock.
    #[arg(long, value_name = "NAME")]
    pub clock: Option<String>,
    /// The language of the explanation, zh-CN or en; without it, the desk's.
    #[arg(long)]
    pub language: Option<Language>,
    /// The case: its id, or `kind/id`, or `source/kind/id`.
    #[arg(value_name = "CASE")]
    pub case: String,
}

/// How many steps of open and closed hours are shown of one segment.
const STEPS_SHOWN: usize = 16;

/// Runs the verb.
///
/// # Errors
/// A configuration that is refused, a history that cannot be read, a case that is not in it.
pub fn main(args: &ExplainArgs, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    let ready = settings(&args.config, err)?;
    let progress = Progress::new(crate::sources::history::open::total_size(&args.histories));
    let done = replay(&ready, &args.histories, args.until, false, &progress, None)?;
    progress.finish();
    if let Some(broken) = &done.broken {
        writeln!(err, "warning: {broken}")?;
    }
    let mut found = 0;
    let mut views: Vec<CaseView<'_>> = done.engine.views().filter(|v| is_meant(v, &args.case)).collect();
    views.sort_by_key(CaseView::key);
    for view in &views {
        let language = args.language.unwrap_or(ready.settings.desk.language);
        let text = Explanation {
            ready: &ready,
            done: &done,
            zone: ready.shifts.zone().clone(),
            language,
            text: String::new(),
        }
        .case(view, args.clock.as_deref())?;
        out.write_all(text.as_bytes())?;
        found += 1;
    }
    if found == 0 {
        bail!(
            "there is no case `{}` among the {} of the history, expected an id, kind/id or source/kind/id",
            args.case,
            done.case_count
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn is_meant(view: &CaseView<'_>, wanted: &str) -> bool {
    let key = view.key();
    let ends = |whole: &str| whole == wanted;
    ends(&key.id)
        || ends(&format!("{}/{}", key.kind, key.id))
        || ends(&format!("{}/{}/{}", key.source, key.kind, key.id))
}

struct Explanation<'a> {
    ready: &'a Ready,
    done: &'a Replay,
    zone: TimeZone,
    language: Language,
    text: String,
}

impl Explanation<'_> {
    fn case(mut self, view: &CaseView<'_>, clock: Option<&str>) -> Result<String, std::fmt::Error> {
        let key = view.key();
        let (end, zone) = (self.done.end, self.ready.settings.desk.zone.clone());
        let as_of = self.time(end);
        writeln!(
            self.text,
            "{}/{}/{}  ({} {as_of} {zone})",
            key.source,
            key.kind,
            key.id,
            self.word("截至", "as of")
        )?;
        self.timeline(view)?;
        let symbols = self.done.engine.symbols();
        let mut shown = 0;
        for cycle in view.cycles(end) {
            let name = symbols.name(cycle.clock).clone();
            if clock.is_none_or(|wanted| wanted == &*name) {
                self.cycle(view, &cycle, &name)?;
                shown += 1;
            }
        }
        if shown == 0 {
            let text = self.word("没有任何时效承诺适用于它", "no clock started on it");
            writeln!(self.text, "\n{text}")?;
        }
        self.text.push('\n');
        Ok(self.text)
    }

    fn word(&self, zh: &'static str, en: &'static str) -> &'static str {
        match self.language {
            Language::Zh => zh,
            Language::En => en,
        }
    }

    /// Local time, with milliseconds only where there are some.
    fn time(&self, t: Instant) -> String {
        let local = t.to_timestamp().to_zoned(self.zone.clone());
        match t.as_millis().rem_euclid(1000) {
            0 => local.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            ms => format!("{}.{ms:03}", local.strftime("%Y-%m-%d %H:%M:%S")),
        }
    }

    fn timeline(&mut self, view: &CaseView<'_>) -> std::fmt::Result {
        let symbols = self.done.engine.symbols();
        let timeline = view.timeline();
        for entry in timeline.entries() {
            let name = symbols.name(entry.name);
            let what = match timeline.content(entry) {
                Content::Mark => name.to_string(),
                Content::Deadline(at) => format!("{name} = {}", self.time(at)),
                Content::Attribute(Scalar::Bool(yes)) => format!("{name} = {yes}"),
                Content::Attribute(Scalar::Int(n)) => format!("{name} = {n}"),
                Content::Attribute(Scalar::Real(n)) => format!("{name} = {n}"),
                Content::Attribute(Scalar::Text(text)) => format!("{name} = {}", text.escape_debug()),
            };
            let reference = timeline.reference(entry).map(|r| format!(" #{}", r.escape_debug()));
            let at = self.time(entry.at);
            writeln!(self.text, "  {at}  {what}{}", reference.unwrap_or_default())?;
        }
        Ok(())
    }

    fn cycle(&mut self, view: &CaseView<'_>, cycle: &Cycle<'_>, name: &str) -> std::fmt::Result {
        let end = self.done.end;
        let title = self.ready.settings.clock.iter().find(|c| c.name == name).and_then(|c| c.title.clone());
        let title = title.map(|t| format!(" {t}")).unwrap_or_default();
        let state = self.state(cycle.state);
        writeln!(self.text, "\n{name}{title}: {state}")?;
        let symbols = self.done.engine.symbols();
        let entry = &view.timeline().all_entries()[cycle.start_entry];
        let by = symbols.name(entry.name);
        self.step(self.word("开始", "start"), cycle.start, &format!("{by}{}", self.terms(cycle.terms())))?;
        let until = cycle.end.unwrap_or(end).max(cycle.due.unwrap_or(Instant::MIN)).min(end.max(cycle.start));
        for (i, segment) in cycle.segments.iter().enumerate() {
            if i > 0 && segment.from > until {
                break;
            }
            self.segment(i, segment, until)?;
        }
        match cycle.due {
            Some(due) => {
                let calendar = &cycle.terms().calendar;
                let mut note = String::new();
                if calendar.works_until(due) && !calendar.is_open(due) {
                    note.push_str(self.word("（恰好在下班时刻用完）", " (used up exactly at closing)"));
                }
                if !calendar.covers(due) {
                    note.push_str(self.word("（节假日表未覆盖）", " (beyond what the holiday set covers)"));
                }
                self.step(self.word("到期", "due"), due, &note)?;
            }
            None => {
                if let Some(left) = cycle.left(end) {
                    let text = match cycle.due_if_resumed(end) {
                        Some(due) => format!(
                            "{left}; {} {}",
                            self.word("若现在恢复则到期于", "if it went on now it would be due"),
                            self.time(due)
                        ),
                        None => left.to_string(),
                    };
                    let label = self.word("剩余", "left");
                    writeln!(self.text, "  {label:<9}{text}")?;
                }
            }
        }
        for ring in &cycle.terms().rings {
            let Some(at) = cycle.crossing(ring) else { continue };
            let passed = at <= end && cycle.end.is_none_or(|e| at < e);
            let note = match (passed, cycle.state.is_open()) {
                (true, _) => self.word("已触发", "crossed"),
                (false, true) => self.word("未到", "ahead"),
                (false, false) => self.word("未触发", "not crossed"),
            };
            self.step(self.word("提醒", "ring"), at, &format!("{}  {note}", ring.at))?;
        }
        if let Some(ended) = cycle.end {
            self.step(self.word("结束", "end"), ended, "")?;
        }
        let mut sums = vec![
            (self.word("用时（营业）", "open time"), cycle.taken_open(end)),
            (self.word("用时（自然）", "wall time"), cycle.taken_wall(end)),
        ];
        if cycle.overdue_since(end).is_some() {
            sums.push((self.word("超时（营业）", "overdue, open"), cycle.overdue_open(end)));
            sums.push((self.word("超时（自然）", "overdue, wall"), cycle.overdue_wall(end)));
        }
        let sums: Vec<String> = sums.into_iter().map(|(what, span)| format!("{what} {span}")).collect();
        let label = self.word("结果", "outcome");
        writeln!(self.text, "  {label:<9}{state}; {}", sums.join(", "))
    }

    fn step(&mut self, label: &str, at: Instant, note: &str) -> std::fmt::Result {
        let at = self.time(at);
        writeln!(self.text, "  {label:<9}{at}  {note}")
    }

    fn state(&self, state: State) -> String {
        format!("{} {}", self.language.outcome(state), state.word())
    }

    fn terms(&self, terms: &crate::core::clock::Terms) -> String {
        let promise = match terms.promise {
            Promise::Within { target: Some(target), deadline: None } => format!("{target}"),
            Promise::Within { target: Some(target), deadline: Some(mark) } => {
                format!("{target} {} {}", self.word("或", "or"), self.done.engine.symbols().name(mark))
            }
            Promise::Within { target: None, deadline: Some(mark) } => {
                self.done.engine.symbols().name(mark).to_string()
            }
            Promise::Within { target: None, deadline: None } => String::new(),
            Promise::By { time, .. } => format!("{} {}", self.word("不晚于", "by"), time.strftime("%H:%M")),
            Promise::Every { months, days } if days == 0 => {
                format!("{} {months} {}", self.word("每", "every"), self.word("个月", "months"))
            }
            Promise::Every { days, .. } => {
                format!("{} {days} {}", self.word("每", "every"), self.word("天", "days"))
            }
        };
        let overlays = if terms.overlays.is_empty() {
            String::new()
        } else {
            format!(", {}", terms.overlays.join(", "))
        };
        format!("  ({promise} @ {}{overlays})", terms.calendar.id())
    }

    /// One segment: what it was, and the open and closed hours in it.
    fn segment(&mut self, place: usize, segment: &Segment<'_>, until: Instant) -> std::fmt::Result {
        if place > 0 && segment.retargeted {
            let label = self.word("变更", "changed");
            self.step(label, segment.from, &self.terms(segment.terms))?;
        }
        let to = segment.to.min(until);
        match segment.flow {
            Flow::Paused => self.span(self.word("暂停", "paused"), segment.from, to, ""),
            Flow::Stopped => self.span(self.word("已完结", "stopped"), segment.from, to, ""),
            Flow::Running => self.hours(&segment.terms.calendar, segment.from, to),
        }
    }

    fn span(&mut self, label: &str, from: Instant, to: Instant, note: &str) -> std::fmt::Result {
        let (a, b, wall) = (self.time(from), self.time(to), to.since(from));
        writeln!(self.text, "  {label:<9}{a} → {b}  {wall}{note}")
    }

    fn hours(&mut self, calendar: &Calendar, from: Instant, to: Instant) -> std::fmt::Result {
        let (runs, closed, skipped) =
            (self.word("计时", "runs"), self.word("停表", "closed"), self.word("略", "skipped"));
        let mut at = from;
        let open: Vec<(Instant, Instant)> = calendar.open_between(from, to).take(10_000).collect();
        for (i, (start, end)) in open.iter().enumerate() {
            if i == STEPS_SHOWN && open.len() > STEPS_SHOWN + 1 {
                let last = open[open.len() - 1];
                let sum: Span = open[i..open.len() - 1].iter().map(|(a, b)| b.since(*a)).sum();
                self.span(
                    skipped,
                    at,
                    last.0,
                    &format!("  ({} {}, {sum})", open.len() - 1 - i, self.word("段营业", "open stretches")),
                )?;
                self.span(runs, last.0, last.1, "")?;
                at = last.1;
                break;
            }
            if *start > at {
                let why = self.why_closed(calendar, at, *start);
                self.span(closed, at, *start, &why)?;
            }
            self.span(runs, *start, *end, "")?;
            at = *end;
        }
        if at < to {
            let why = self.why_closed(calendar, at, to);
            self.span(closed, at, to, &why)?;
        }
        Ok(())
    }

    /// The holidays that a closed stretch steps over.
    fn why_closed(&self, calendar: &Calendar, from: Instant, to: Instant) -> String {
        let date = |t: Instant| t.to_timestamp().to_zoned(calendar.zone().clone()).date();
        let (mut day, last) = (date(from), date(to));
        let mut names: Vec<String> = Vec::new();
        for _ in 0..400 {
            if let DayKind::DayOff { name } = &calendar.day(day).kind
                && !names.iter().any(|n| **n == **name)
            {
                names.push(name.to_string());
            }
            match day.tomorrow() {
                Ok(next) if next <= last => day = next,
                _ => break,
            }
        }
        if names.is_empty() { String::new() } else { format!("  ({})", names.join(", ")) }
    }
}
