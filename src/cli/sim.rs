//! `shiftbell sim`: whole desks against a hostile world, in virtual time; and simulated platforms to develop against.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::core::time::Span;
use crate::daemon::time::{SystemTime, TimeSource};
use crate::sim;
use crate::sim::stand::{Stand, Trade};

/// Runs simulated desks in virtual time and checks the invariants of delivery: crashes, dead channels, storms,
/// jumping clocks, people who answer late or twice. A seed that fails is printed with the command that repeats it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SimArgs {
    /// Something else to simulate.
    #[command(subcommand)]
    command: Option<SimCommand>,
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many minutes of virtual time each: 80, or 600 of busy days.
    #[arg(long)]
    minutes: Option<i64>,
    /// Busy days: the real adapters, and behind them simulated providers that count and punish as the real ones do. No
    /// robot may be muted, no number be over its cap, and all that is urgent be out in 22 s.
    #[arg(long)]
    busy: bool,
    /// Print everything that happened.
    #[arg(long)]
    trace: bool,
    /// Print only the part of the trace about something: a short id, a case, a person.
    #[arg(long)]
    about: Option<String>,
}

#[derive(Debug, Subcommand)]
enum SimCommand {
    Serve(ServeArgs),
}

/// Serves simulated platforms until Ctrl-C: strict as the real ones, with made-up shops behind them, to develop against.
/// Writes the configuration that reads them.
#[derive(Debug, Args)]
struct ServeArgs {
    /// Where: the first platform is on this port, each other one on the next. Anybody who reaches it may ask.
    #[arg(long, default_value = "127.0.0.1:9700")]
    listen: SocketAddr,
    /// The folder for `sources.toml`, the tokens and the secret; it is made where it is missing.
    #[arg(long, default_value = "./shiftbell-sim")]
    out: PathBuf,
    /// The seed of what happens.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Orders a day, of each shop.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    orders: u64,
    /// Of a thousand requests so many go wrong: cut, HTML instead of JSON, busy.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1000))]
    trouble: u16,
}

fn serve(args: &ServeArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let now = SystemTime.read().wall;
    let trade = Trade {
        seed: args.seed,
        orders: args.orders,
        asked_every: Span::from_secs(90),
        days: 30,
        trouble: args.trouble,
        outages: [None; 2],
        parcels: true,
    };
    let stand = Stand::open(args.listen.ip(), args.listen.port(), trade, now)
        .with_context(|| format!("failed to open the ports from {} on", args.listen))?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("failed to make the folder {}", args.out.display()))?;
    stand.write(&args.out)?;
    writeln!(out, "模拟平台 / simulated platforms, made from published documents, not by the platforms:")?;
    for (name, title, address) in stand.addresses()? {
        let host = if address.ip().is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { address.ip() };
        writeln!(out, "  {name:<14} http://{}  {title}", SocketAddr::new(host, address.port()))?;
    }
    writeln!(out, "  配置 / configuration  include = [\"{}\"]", args.out.join("sources.toml").display())?;
    writeln!(out, "  停止 / stop           Ctrl-C")?;
    out.flush()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let served = stand.run(std::sync::Arc::new(|| SystemTime.read().wall), stop.clone());
        tokio::pin!(served);
        tokio::select! {
            ended = &mut served => ended.context("a simulated platform is gone"),
            asked = tokio::signal::ctrl_c() => {
                asked?;
                stop.cancel();
                // Whoever keeps a connection open does not keep the process.
                drop(tokio::time::timeout(std::time::Duration::from_secs(1), served).await);
                Ok(())
            }
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Runs it.
///
/// # Errors
/// The output cannot be written, or the simulation itself is wrong.
pub fn main(args: &SimArgs, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    if let Some(SimCommand::Serve(args)) = &args.command {
        return serve(args, out);
    }
    let (next, failed) = (AtomicU64::new(args.from), Mutex::new(Vec::new()));
    let end = args.from.saturating_add(args.seeds);
    let usual = if args.busy { sim::busy::MINUTES } else { sim::MINUTES };
    let minutes = args.minutes.unwrap_or(usual).max(1);
    let length = Span::from_minutes(minutes);
    let play = if args.busy { sim::run_busy } else { sim::run };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let run = play(seed, length);
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
                "seed {seed} fails: shiftbell sim{} --from {seed} --seeds 1 --minutes {minutes}",
                if args.busy { " --busy" } else { "" }
            )?;
            writeln!(out, "{}", run.story())?;
        }
    }
    writeln!(err, "{} seeds of {minutes} minutes, {bad} failed", args.seeds)?;
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
