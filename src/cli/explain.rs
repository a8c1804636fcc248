//! `shiftbell explain`: how every due time of a case came about, step by step.
//!
//! The steps are read off the very cycles that the engine judges: segments, open hours, crossings.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use jiff::tz::TimeZone;

use crate::cli::replay::progress::Progress;
use crate::cli::replay::rows::SignalRow;
use crate::cli::replay::run::{Replay, replay};
use crate::cli::replay::settings;
use crate::cli::run::main_file;
use crate::cli::story::tell;
use crate::config::Ready;
use crate::core::calendar::{Calendar, DayKind};
use crate::core::clock::{Cycle, Flow, Promise, Segment, State};
use crate::core::engine::CaseView;
use crate::core::model::{Content, Language, Scalar};
use crate::core::time::{Instant, Span};

/// Show step by step how the due times of one case came about: start, pauses, closed hours and holidays stepped over,
/// the instants of the rings, the outcome.
///
/// Exit code: 0 done, 1 the history or the case could not be found, 2 the arguments or the configuration are refused.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "Example:
  shiftbell explain -c shop.toml --replay history.jsonl ticket/T1029 --clock ticket_reply")]
pub struct ExplainArgs {
    /// The configuration: a file, or `builtin:NAME` for one inside the program.
    #[arg(long, short, value_name = "FILE", default_value = "shiftbell.toml")]
    pub config: PathBuf,
    /// The histories to read the case from, as `replay` reads them.
    #[arg(long = "replay", value_name = "FILE", required_unless_present = "store", num_args = 1..)]
    pub histories: Vec<String>,
    /// Tell instead what became of an incident or a message in this store, by its id: what happened, who was chosen and
    /// why, what each attempt came to.
    #[arg(long, value_name = "FILE", conflicts_with = "histories")]
    pub store: Option<PathBuf>,
    /// As of this instant (RFC 3339); without it, the end of the history.
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<Instant>,
    /// Only this clock.
    #[arg(long, value_name = "NAME")]
    pub clock: Option<String>,
    /// The language of the explanation, zh-CN or en; without it, the desk's.
    #[arg(long)]
    pub language: Option<Language>,
    /// The case: its id, or `kind/id`, or `source/kind/id`; the last of all names that are given.
    #[arg(value_name = "CASE")]
    pub case: Option<String>,
}

impl ExplainArgs {
    /// The histories and the case. A list of files takes the name behind it too, so the last one is the case.
    fn inputs(&self) -> anyhow::Result<(&[String], &str)> {
        match (&self.case, self.histories.as_slice()) {
            (Some(case), histories) => Ok((histories, case)),
            (None, [histories @ .., case]) if !histories.is_empty() => Ok((histories, case)),
            (None, _) => bail!("no case named: give its id, kind/id or source/kind/id behind the histories"),
        }
    }
}

/// What the store knows of an incident or a message.
fn kept(args: &ExplainArgs, store: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let Some(id) = &args.case else { bail!("no id named: give that of an incident or a message") };
    let main = if args.config.exists() { args.config.clone() } else { main_file(None) };
    tell(store, &main, id, out)
}

/// How many steps of open and closed hours are shown of one segment.
const STEPS_SHOWN: usize = 16;

/// Runs the verb.
///
/// # Errors
/// A configuration that is refused, a history that cannot be read, a case that is not in it.
pub fn main(args: &ExplainArgs, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    if let Some(store) = &args.store {
        return kept(args, store, out);
    }
    let (histories, case) = args.inputs()?;
    let ready = settings(&args.config, err)?;
    if let Some(wanted) = &args.clock
        && !ready.policy.rules().iter().any(|rule| rule.clock.name == *wanted)
    {
        let mut names: Vec<String> = Vec::new();
        for rule in ready.policy.rules() {
            if !names.contains(&rule.clock.name) {
                names.push(rule.clock.name);
            }
        }
        bail!("there is no clock `{wanted}`, expected one of: {}", names.join(", "));
    }
    let progress = Progress::new(crate::sources::history::open::total_size(histories));
    let done = replay(&ready, histories, args.until, false, &progress, None)?;
    progress.finish();
    if let Some(broken) = &done.broken {
        writeln!(err, "warning: {broken}")?;
    }
    let mut found = 0;
    let mut views: Vec<CaseView<'_>> = done.engine.views().filter(|v| is_meant(v, case)).collect();
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
            "there is no case `{}` among the {} of the history, expected an id, kind/id or source/kind/id{}",
            case,
            done.case_count,
            some_case(&done).map(|case| format!(" such as {case}")).unwrap_or_default()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The first case of the history, as an example of how one is named.
fn some_case(done: &Replay) -> Option<String> {
    let view = done.engine.views().min_by_key(CaseView::key)?;
    let key = view.key();
    Some(format!("{}/{}", key.kind, key.id))
}

/// A span to the second; days where the hours would be many.
fn spell(span: Span) -> String {
    const DAYS_FROM: Span = Span::from_minutes(100 * 60);
    if span < DAYS_FROM {
        return span.to_string();
    }
    let days = span.as_secs() / 86_400;
    let rest = Span::from_millis(span.as_millis() - Span::DAY.times(days).as_millis());
    if rest == Span::ZERO { format!("{days}d") } else { format!("{days}d {rest}") }
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

/// What happens to a cycle once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Milestone {
    /// It ended. At the very due time that is in time.
    End,
    /// It fell due.
    Due,
}

/// The milestones still to be told, the earliest last.
struct Milestones(Vec<(Instant, Milestone)>);

impl Milestones {
    fn of(cycle: &Cycle<'_>) -> Milestones {
        let mut all: Vec<_> = [(cycle.end, Milestone::End), (cycle.due, Milestone::Due)]
            .into_iter()
            .filter_map(|(at, what)| at.map(|at| (at, what)))
            .collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        Milestones(all)
    }

    fn pop(&mut self) -> Option<(Instant, Milestone)> {
        self.0.pop()
    }

    /// The next one, where it is at `at` or before.
    fn pop_at(&mut self, at: Instant) -> Option<(Instant, Milestone)> {
        self.0.pop_if(|(next, _)| *next <= at)
    }

    /// The next one, where it is before `to`.
    fn pop_before(&mut self, to: Instant) -> Option<(Instant, Milestone)> {
        self.0.pop_if(|(next, _)| *next < to)
    }
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
            let text = match clock {
                Some(name) => {
                    format!("{name}: {}", self.word("没有在这个个案上开始计时", "never started on this case"))
                }
                None => self.word("没有任何时效承诺适用于它", "no clock started on it").to_owned(),
            };
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
        let rules = self.ready.policy.rules();
        let title = rules.into_iter().find(|rule| rule.clock.name == name).and_then(|rule| rule.clock.title);
        let title = title.map(|t| format!(" {t}")).unwrap_or_default();
        let state = self.state(cycle.state);
        writeln!(self.text, "\n{name}{title}: {state}")?;
        let symbols = self.done.engine.symbols();
        let entry = &view.timeline().all_entries()[cycle.start_entry];
        let by = symbols.name(entry.name);
        self.step(self.word("开始", "start"), cycle.start, &format!("{by}{}", self.terms(cycle.terms())))?;
        let until = cycle.end.unwrap_or(end).max(cycle.due.unwrap_or(Instant::MIN)).min(end.max(cycle.start));
        let mut milestones = Milestones::of(cycle);
        for (i, segment) in cycle.segments.iter().enumerate() {
            if i > 0 && segment.from > until {
                break;
            }
            self.segment(cycle, i, segment, until, &mut milestones)?;
        }
        while let Some(milestone) = milestones.pop() {
            self.milestone(cycle, milestone)?;
        }
        if cycle.due.is_none()
            && let Some(left) = cycle.left(end)
        {
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
        for ring in &cycle.terms().rings {
            let Some(at) = cycle.crossing(ring) else { continue };
            let passed = at <= end && cycle.end.is_none_or(|e| at < e);
            let rang = passed.then(|| self.signal(view, name, &ring.at.to_string(), at)).flatten();
            let note = match (rang, passed, cycle.state.is_open()) {
                (Some(signal), ..) if signal.late_by_s > 0 => {
                    format!("{} {}", self.word("补提醒于", "rang late, at"), self.time(signal.at))
                }
                (Some(_), ..) => self.word("已提醒", "rang").to_owned(),
                (None, true, _) => self.word("已过，未提醒", "passed, did not ring").to_owned(),
                (None, false, true) => self.word("未到", "ahead").to_owned(),
                (None, false, false) => self.word("未触发", "did not ring").to_owned(),
            };
            // A promise is broken once its due time has passed, a millisecond later; nobody reads that.
            let at = if cycle.due == Some(at - Span::MILLISECOND) { at - Span::MILLISECOND } else { at };
            self.step(self.word("提醒", "ring"), at, &format!("{}  {note}", ring.at))?;
        }
        let mut sums = vec![
            (self.word("用时（营业）", "took open"), cycle.taken_open(end)),
            (self.word("用时（自然）", "took wall"), cycle.taken_wall(end)),
        ];
        if cycle.overdue_since(end).is_some() {
            sums.push((self.word("超时（营业）", "late open"), cycle.overdue_open(end)));
            sums.push((self.word("超时（自然）", "late wall"), cycle.overdue_wall(end)));
        }
        let sums: Vec<String> =
            sums.into_iter().map(|(what, span)| format!("{what} {}", spell(span))).collect();
        let (label, comma) = (self.word("结果", "outcome"), self.word("，", ", "));
        writeln!(self.text, "  {label:<9}{state}{comma}{}", sums.join(comma))
    }

    /// What rang for a crossing at `at`, whenever it was recorded.
    fn signal(&self, view: &CaseView<'_>, clock: &str, ring: &str, at: Instant) -> Option<&SignalRow> {
        let key = view.key();
        self.done.signals.iter().find(|s| {
            let crossed = s.at - Span::from_secs(s.late_by_s);
            *s.id == *key.id
                && (&s.source, &s.kind) == (&key.source, &key.kind)
                && *s.clock == *clock
                && *s.ring == *ring
                && (crossed.since(at) <= Span::from_secs(1) && at.since(crossed) <= Span::from_secs(1))
        })
    }

    fn step(&mut self, label: &str, at: Instant, note: &str) -> std::fmt::Result {
        let at = self.time(at);
        let note = if note.is_empty() { String::new() } else { format!("  {note}") };
        writeln!(self.text, "  {label:<9}{at}{note}")
    }

    /// `超时完成 missed`: the word of the files beside the one for people.
    fn state(&self, state: State) -> String {
        match self.language {
            Language::Zh => format!("{} {}", self.language.outcome(state), state.word()),
            Language::En => state.word().to_owned(),
        }
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
            Promise::Every { months, days: 0 } => {
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

    /// One segment: what it was, and the open and closed hours in it. Where it falls due or ends inside, it is told in
    /// two, so that what runs before the due time adds up to the target.
    fn segment(
        &mut self,
        cycle: &Cycle<'_>,
        place: usize,
        segment: &Segment<'_>,
        until: Instant,
        milestones: &mut Milestones,
    ) -> std::fmt::Result {
        let to = segment.to.min(until);
        // One that comes exactly between two segments ends the earlier one.
        while let Some(milestone) = milestones.pop_at(segment.from) {
            self.milestone(cycle, milestone)?;
        }
        if place > 0 && segment.retargeted {
            let label = self.word("变更", "changed");
            self.step(label, segment.from, &self.terms(segment.terms))?;
        }
        let mut from = segment.from;
        while let Some(milestone) = milestones.pop_before(to) {
            let (at, _) = milestone;
            self.stretch(cycle, segment, from, at)?;
            self.milestone(cycle, milestone)?;
            from = at;
        }
        self.stretch(cycle, segment, from, to)
    }

    fn stretch(
        &mut self,
        cycle: &Cycle<'_>,
        segment: &Segment<'_>,
        from: Instant,
        to: Instant,
    ) -> std::fmt::Result {
        if from >= to {
            return Ok(());
        }
        match segment.flow {
            Flow::Paused => self.span(self.word("暂停", "paused"), from, to, ""),
            Flow::Stopped => self.span(self.word("已完结", "stopped"), from, to, ""),
            Flow::Running => {
                let runs = if cycle.due.is_some_and(|due| from >= due) {
                    self.word("超时", "late")
                } else if cycle.end.is_some_and(|end| from >= end) {
                    self.word("未用", "unused")
                } else {
                    self.word("计时", "runs")
                };
                self.hours(&segment.terms.calendar, runs, from, to)
            }
        }
    }

    fn milestone(&mut self, cycle: &Cycle<'_>, (at, what): (Instant, Milestone)) -> std::fmt::Result {
        match what {
            Milestone::End => self.step(self.word("结束", "end"), at, ""),
            Milestone::Due => {
                let calendar = &cycle.terms().calendar;
                let mut notes = Vec::new();
                if calendar.works_until(at) && !calendar.is_open(at) {
                    notes.push(self.word("恰好在下班时刻用完", "used up exactly at closing"));
                }
                if !calendar.covers(at) {
                    notes.push(self.word("节假日表未覆盖", "beyond what the holiday set covers"));
                }
                let note = if notes.is_empty() { String::new() } else { format!("({})", notes.join(", ")) };
                self.step(self.word("到期", "due"), at, &note)
            }
        }
    }

    fn span(&mut self, label: &str, from: Instant, to: Instant, note: &str) -> std::fmt::Result {
        let (a, b, wall) = (self.time(from), self.time(to), to.since(from));
        writeln!(self.text, "  {label:<9}{a} → {b}  {}{note}", spell(wall))
    }

    fn hours(
        &mut self,
        calendar: &Calendar,
        runs: &'static str,
        from: Instant,
        to: Instant,
    ) -> std::fmt::Result {
        let (closed, skipped) = (self.word("停表", "closed"), self.word("略去", "skipped"));
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
