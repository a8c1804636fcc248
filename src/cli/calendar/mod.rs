//! `shiftbell calendar`: look at business hours, ask them, and fetch holidays from elsewhere.
//!
//! - `show office 2026-10` draws a month for a supervisor to check;
//! - `eval < cases.jsonl` answers case files (`sla_semantics` §12);
//! - `import br.ics` prints a holiday set to paste.
//!
//! Input and output are arguments, so that `main` and the tests wire them.

mod eval;
mod import;
mod load;
mod show;
#[cfg(test)]
mod tests;

use std::io::{BufRead, BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

pub use self::eval::eval;
pub use self::import::import;
pub use self::show::{Month, show};

/// Look at business hours, ask them, import holidays.
#[derive(Debug, Args)]
pub struct CalendarArgs {
    /// What to do.
    #[command(subcommand)]
    pub verb: CalendarVerb,
}

/// The verbs of `shiftbell calendar`.
#[derive(Debug, Subcommand)]
pub enum CalendarVerb {
    /// Answer questions about business hours: JSON Lines from standard input, calendars first.
    ///
    /// One answer a line on standard output, in the order of the questions. Exit code 1 when a line was no question.
    #[command(after_long_help = "Input:
  {\"op\":\"calendar\",\"id\":\"cn\",\"tz\":\"Asia/Shanghai\",\"weekly\":{\"mon\":[[\"09:00\",\"18:00\"]]},\"overrides\":{\"2026-02-16\":[]}}
  {\"op\":\"add\",\"id\":\"q1\",\"cal\":\"cn\",\"start\":\"2026-03-02T09:00:00Z\",\"minutes\":90}
  {\"op\":\"between\",\"id\":\"q2\",\"cal\":\"cn\",\"start\":\"2026-03-02T09:00:00Z\",\"end\":\"2026-03-09T09:00:00Z\"}")]
    Eval,
    /// Draw a month of opening hours, holidays and make-up days.
    Show {
        /// The calendar's name, such as `office`.
        name: String,
        /// The month, `YYYY-MM`.
        month: Month,
        /// The configuration whose calendars are meant; without it, those that come with shiftbell.
        #[arg(long, short, value_name = "FILE", default_value = "builtin:shiftbell.toml")]
        config: PathBuf,
    },
    /// Print the holiday set of an iCalendar file as TOML.
    Import {
        /// The file, such as `holidays.ics`.
        file: PathBuf,
        /// The set's name; without it, the file's.
        #[arg(long)]
        name: Option<String>,
    },
}

/// Runs the verb. What went wrong with single lines goes to `err`; a reader that went away is no error.
///
/// # Errors
/// A file that cannot be read, a calendar that does not exist or is refused, an output that fails.
pub fn run(
    args: &CalendarArgs,
    input: impl BufRead,
    out: impl Write,
    mut err: impl Write,
) -> anyhow::Result<ExitCode> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let done = match &args.verb {
        CalendarVerb::Eval => eval(input, &mut out, &mut err),
        CalendarVerb::Show { name, month, config } => {
            let calendar = load::calendar(name, config)?;
            show(&calendar, *month, &mut out).map(|()| true)
        }
        CalendarVerb::Import { file, name } => {
            let bytes = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("imported");
            let (set, warnings) = import(&bytes, name.as_deref().unwrap_or(stem))
                .with_context(|| format!("failed to read {}", file.display()))?;
            for warning in warnings {
                writeln!(err, "warning: {warning}")?;
            }
            out.write_all(set.as_bytes()).map(|()| true)
        }
    };
    match done.and_then(|clean| out.flush().map(|()| clean)) {
        Ok(clean) => Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        // `shiftbell calendar eval | head` is a way of working, not a failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            // What is left in the buffer has no reader any more.
            drop(out.into_parts());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error).context("failed to write the answers"),
    }
}
