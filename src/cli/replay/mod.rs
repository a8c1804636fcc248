//! `shiftbell replay`: recorded history through the engine in virtual time.
//!
//! [`run`] drives the one engine that the daemon drives too, waking it exactly when it asks to be woken. [`rows`] is
//! what comes out, [`report`] makes figures and pictures of it, [`progress`] shows how far it is. [`evaluate`] measures
//! the alarms of parcels that will be late against what really happened.

pub mod evaluate;
pub mod progress;
pub mod report;
pub mod rows;
pub mod run;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use self::evaluate::figures::Evaluation;
use self::progress::Progress;
use self::report::compare::{Comparison, Side};
use self::report::rings::Rings;
use self::report::show::count;
use self::report::{ClockTitle, Document, Frame, Report};
use self::rows::write_line;
use self::run::{Replay, replay};
use crate::config::{Ready, builtin, environment, load_settings};
use crate::core::clock::RuleEntry;
use crate::core::model::Language;
use crate::core::time::{Instant, Span};
use crate::sources::history::open::{STDIN, total_size};
use crate::sources::history::{InputError, Tally};

/// Run recorded history through a configuration: what would have rung, when and why.
///
/// Nothing is sent and nothing is kept: the engine that rings by day runs here over recorded events, as fast as it can,
/// in the time of the events. The same history and configuration give the same bytes.
///
/// Exit code: 0 done, 1 the history could not be read (to its end), 2 the arguments or the configuration are refused.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "Examples:
  shiftbell replay -c shop.toml history.jsonl --html report.html
  shiftbell replay -c trial.toml --against shop.toml history.jsonl     what would trial.toml change?
  shiftbell replay -c shop.toml history.jsonl --evaluate truth.csv --sweep --html report.html
  zstdcat 2026-*.jsonl.zst | shiftbell replay -c shop.toml --outcomes outcomes.jsonl -

An event is one line of JSON; `at`, `source`, `kind`, `id` and `event` are asked for:
  {\"at\":\"2026-03-02T10:00:00+08:00\",\"source\":\"tmall\",\"kind\":\"ticket\",\"id\":\"T1\",\"event\":\"opened\"}")]
pub struct ReplayArgs {
    /// The configuration: a file, or `builtin:NAME` for one inside the program.
    #[arg(long, short, value_name = "FILE", default_value = "shiftbell.toml")]
    pub config: PathBuf,
    /// The history: JSON Lines, or CSV as `[import.csv]` says; plain, gzip or zstd; `-` is standard input. Several
    /// files are merged by `at`.
    #[arg(value_name = "HISTORY")]
    pub histories: Vec<String>,
    /// A history too; the option may be given several times.
    #[arg(long = "events", value_name = "HISTORY")]
    pub events: Vec<String>,
    /// Write every signal (what would have rung) as a line of JSON.
    #[arg(long, value_name = "FILE")]
    pub signals: Option<PathBuf>,
    /// Write every cycle of every clock with its outcome as a line of JSON.
    #[arg(long, value_name = "FILE")]
    pub outcomes: Option<PathBuf>,
    /// What standard output gets.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Write the report as one page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Stand still at this instant (RFC 3339), which belongs to it; without it, at the last event.
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<Instant>,
    /// Run this configuration over the history too, and tell what `--config` (after) changes against it (before).
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Measure the alarms of parcels that will be late (`[lateness]`) against what really happened: a CSV file with the
    /// columns id, created, shipped, delivered and due. The detector never sees it.
    #[arg(long, value_name = "TRUTH")]
    pub evaluate: Option<String>,
    /// Score parcels ordered from this instant on; without it, the last third of TRUTH.
    #[arg(long, value_name = "INSTANT", requires = "evaluate")]
    pub score_from: Option<Instant>,
    /// Measure all levels from 20 to 95 percent too: what does a higher level save, and what does it cost?
    #[arg(long, requires = "evaluate")]
    pub sweep: bool,
    /// Stop at the first line that cannot be used, with exit code 1; without it, they are counted and told.
    #[arg(long)]
    pub strict: bool,
    /// The language of the report, zh-CN or en; without it, the desk's.
    #[arg(long)]
    pub language: Option<Language>,
}

/// What standard output shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for a terminal.
    Table,
    /// One JSON object.
    Json,
}

impl ReplayArgs {
    fn inputs(&self) -> anyhow::Result<Vec<String>> {
        let mut inputs = self.events.clone();
        inputs.extend(self.histories.iter().cloned());
        if inputs.is_empty() {
            if io::stdin().is_terminal() {
                bail!("no history named: give files, or `-` to read standard input");
            }
            inputs.push(STDIN.to_owned());
        }
        Ok(inputs)
    }
}

/// Runs the verb.
///
/// # Errors
/// A configuration that is refused, a history that cannot be read to its end, an output that cannot be written.
pub fn main(args: &ReplayArgs, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    let inputs = args.inputs()?;
    if args.against.is_some() && inputs.iter().any(|i| i == STDIN) {
        bail!("two configurations need the history twice: give it as a file, not on standard input");
    }
    if args.evaluate.is_some() && inputs.iter().any(|i| i == STDIN) {
        bail!("--evaluate needs the history twice: give it as a file, not on standard input");
    }
    let ready = settings(&args.config, err)?;
    let against = args.against.as_deref().map(|path| settings(path, err)).transpose()?;
    let language = args.language.unwrap_or(ready.settings.desk.language);
    let progress = Progress::new(total_size(&inputs));
    let mut signals = args.signals.as_deref().map(create).transpose()?;
    let sink = signals.as_mut().map(|(_, out)| out as &mut dyn Write);
    let done = replay(&ready, &inputs, args.until, args.strict, &progress, sink)?;
    progress.finish();
    if let Some((path, out)) = signals {
        flush(&path, out)?;
    }
    if let Some(path) = &args.outcomes {
        let (path, mut out) = create(path)?;
        for row in &done.rows {
            write_line(&mut out, row).with_context(|| format!("failed to write {}", path.display()))?;
        }
        flush(&path, out)?;
    }
    let frame = frame(&ready, &done);
    let rings = Rings::count(&done.signals, &done.rows);
    let comparison = match &against {
        Some(other) => Some(compare(args, other, &inputs, &ready, &done, &rings)?),
        None => None,
    };
    let evaluation =
        args.evaluate.as_deref().map(|truth| evaluate(args, truth, &inputs, &ready)).transpose()?;
    let report = Report::build(&done.rows, rings, &done.lags, &frame);
    let config = args.config.display().to_string();
    let document = Document {
        config: &config,
        history: &done.tally,
        report: &report,
        comparison: comparison.as_ref(),
        evaluation: evaluation.as_ref(),
    };
    if let Some(path) = &args.html {
        let page = report::html::render(&document, &frame, language).context("failed to draw the page")?;
        std::fs::write(path, page).with_context(|| format!("failed to write {}", path.display()))?;
    }
    match args.format {
        Format::Table => out.write_all(report::table::render(&document, &frame, language).as_bytes())?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &document)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    finish(&done, err)
}

/// Says on standard error how it went, where it cannot change the bytes of the report.
fn finish(done: &Replay, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    let Tally { events, rejects, .. } = &done.tally;
    let seconds = done.took.as_secs_f64();
    writeln!(
        err,
        "{} events of {} cases in {seconds:.3} s ({} events/s), {} signals, {} lines not used",
        count(*events),
        count(done.case_count as u64),
        count((*events as f64 / seconds.max(1e-9)) as u64),
        count(done.signals.len() as u64),
        count(rejects.total())
    )?;
    for remark in &done.remarks {
        writeln!(err, "warning: {remark}")?;
    }
    match &done.broken {
        Some(broken) => {
            writeln!(err, "error: {broken}")?;
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Loads a configuration; warnings go to `err`.
pub(in crate::cli) fn settings(path: &Path, err: &mut impl Write) -> anyhow::Result<Ready> {
    match load_settings(path, &environment::process(), None) {
        Ok(ready) => {
            write!(err, "{}", ready.report)?;
            Ok(ready)
        }
        Err(report) => Err(Refused { report: report.to_string(), is_missing: !is_there(path) }.into()),
    }
}

/// Whether there is a file, or one inside the program, of this name.
fn is_there(path: &Path) -> bool {
    let name = path.to_string_lossy();
    match name.strip_prefix(builtin::PREFIX) {
        Some(name) => builtin::text(name).is_some(),
        None => path.exists(),
    }
}

/// A configuration that cannot be used; exit code 2, as `check` answers.
#[derive(Debug, thiserror::Error)]
#[error(
    "the configuration is refused\n{}{}",
    report.trim_end(),
    if *is_missing {
        "\nname one with --config FILE; begin with `shiftbell config show shiftbell.toml > shiftbell.toml`, or try \
         `--config builtin:examples/shop.toml`"
    } else {
        ""
    }
)]
pub struct Refused {
    report: String,
    is_missing: bool,
}

fn compare(
    args: &ReplayArgs,
    other: &Ready,
    inputs: &[String],
    ready: &Ready,
    done: &Replay,
    rings: &Rings,
) -> anyhow::Result<Comparison> {
    let before = replay(other, inputs, args.until, args.strict, &Progress::hidden(), None)?;
    let before_rings = Rings::count(&before.signals, &before.rows);
    let against = args.against.as_deref().unwrap_or(Path::new("")).display().to_string();
    let config = args.config.display().to_string();
    let rules = ready.policy.rules();
    let order: Vec<&str> = rules.iter().map(|rule| rule.clock.name.as_str()).collect();
    Ok(Comparison::build(
        Side { config: &against, rows: &before.rows, rings: &before_rings },
        Side { config: &config, rows: &done.rows, rings },
        &order,
    ))
}

/// Watches the parcels of the history, and only then reads what became of them.
fn evaluate(args: &ReplayArgs, truth: &str, inputs: &[String], ready: &Ready) -> anyhow::Result<Evaluation> {
    let contenders = evaluate::contenders(&ready.settings.lateness, args.sweep);
    let rules = contenders.iter().map(|contender| contender.rule).collect();
    let watched = evaluate::watch(ready, inputs, args.until, args.strict, rules)?;
    let rows = evaluate::truth::read(truth)?;
    Ok(Evaluation::build(truth, &rows, args.score_from, &contenders, &watched, ready.shifts.zone()))
}

fn frame(ready: &Ready, done: &Replay) -> Frame {
    let mut clocks: Vec<ClockTitle> = Vec::new();
    for RuleEntry { clock, .. } in ready.policy.rules() {
        if !clocks.iter().any(|c| c.name == clock.name) {
            clocks.push(ClockTitle {
                name: clock.name.clone(),
                title: clock.title.clone(),
                goal_permille: None,
            });
        }
    }
    Frame {
        zone: ready.shifts.zone().clone(),
        zone_name: ready.settings.desk.zone.clone(),
        from: done.tally.first_at.unwrap_or(done.end).min(done.end),
        to: done.end + Span::MILLISECOND,
        clocks,
        shifts: ready.settings.desk.shift.iter().map(|s| (s.name.clone(), s.title.clone())).collect(),
    }
}

fn create(path: &Path) -> anyhow::Result<(PathBuf, BufWriter<File>)> {
    let file = File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
    Ok((path.to_path_buf(), BufWriter::with_capacity(1 << 16, file)))
}

fn flush(path: &Path, mut out: BufWriter<File>) -> anyhow::Result<()> {
    out.flush().with_context(|| format!("failed to write {}", path.display()))
}

/// Reading stopped before the end, or nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The history.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file of results.
    #[error("failed to write the signals")]
    Write(#[from] io::Error),
    /// `--until` was reached: no error at all.
    #[error("the end was reached")]
    Reached,
}
