//! `shiftbell sim`: whole desks against a hostile world, in virtual time.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;

use crate::core::time::Span;
use crate::sim;

/// Runs simulated desks in virtual time and checks the invariants of delivery: crashes, dead channels, storms,
/// jumping clocks, people who answer late or twice. A seed that fails is printed with the command that repeats it.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many minutes of virtual time each.
    #[arg(long, default_value_t = sim::MINUTES)]
    minutes: i64,
    /// Print everything that happened.
    #[arg(long)]
    trace: bool,
    /// Print only the part of the trace about something: a short id, a case, a person.
    #[arg(long)]
    about: Option<String>,
}

/// Runs it.
///
/// # Errors
/// The output cannot be written, or the simulation itself is wrong.
pub fn main(args: &SimArgs, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (next, failed) = (AtomicU64::new(args.from), Mutex::new(Vec::new()));
    let end = args.from.saturating_add(args.seeds);
    let length = Span::from_minutes(args.minutes.max(1));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let run = sim::run(seed, length);
                    let keep = args.trace || args.about.is_some();
                    if run.as_ref().is_ok_and(|run| !run.failed()) && !keep {
                        continue;
                    }
                    failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((seed, run));
                }
            });
        }
    });
    let mut runs = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    runs.sort_by_key(|(seed, _)| *seed);
    let mut bad = 0_u64;
    for (seed, run) in runs {
        let run = run.map_err(anyhow::Error::msg)?;
        if args.trace {
            write!(out, "{}", run.trace.text())?;
        }
        if let Some(about) = &args.about {
            for line in run.trace.text().lines().filter(|line| line.contains(&**about)) {
                writeln!(out, "{line}")?;
            }
        }
        if run.failed() {
            bad += 1;
            writeln!(
                out,
                "seed {seed} fails: shiftbell sim --from {seed} --seeds 1 --minutes {}",
                args.minutes
            )?;
            writeln!(out, "{}", run.story())?;
        }
    }
    writeln!(err, "{} seeds of {} minutes, {bad} failed", args.seeds, args.minutes)?;
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
