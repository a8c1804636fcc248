//! One file a verb.

pub mod audit;
pub mod calendar;
pub mod check;
pub mod config;
pub mod demo;
mod example;
pub mod explain;
pub mod export;
pub mod incidents;
pub mod parcel;
pub mod replay;
pub mod run;
pub mod send_test;
pub mod sim;
pub mod store;
mod story;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Parser, Subcommand};

use crate::config::Settings;
use crate::core::calendar::zone_table;

/// Rings the right person on shift before an after-sales promise is broken.
#[derive(Debug, Parser)]
#[command(
    name = "shiftbell",
    version = version(),
    max_term_width = 100,
    after_help = "Try it: shiftbell demo\n\
        Before: shiftbell replay -c builtin:examples/shop.toml HISTORY.jsonl --html report.html\n\
        Begin:  shiftbell config show shiftbell.toml > shiftbell.toml && shiftbell check\n\
        Any single value of a configuration can be set by the environment: SHIFTBELL__DESK__ZONE=Asia/Shanghai"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

/// The help of each stands at its arguments.
#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::DemoArgs),
    Run(run::RunArgs),
    SendTest(send_test::SendTestArgs),
    Incidents(incidents::IncidentsArgs),
    Ack(incidents::AckArgs),
    Snooze(incidents::SnoozeArgs),
    Resolve(incidents::ResolveArgs),
    Escalate(incidents::EscalateArgs),
    #[command(subcommand)]
    Silence(incidents::SilenceCommand),
    Reload(incidents::ReloadArgs),
    Replay(replay::ReplayArgs),
    Explain(explain::ExplainArgs),
    Calendar(calendar::CalendarArgs),
    #[command(subcommand)]
    Parcel(parcel::ParcelCommand),
    Check(check::CheckArgs),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(subcommand)]
    Store(store::StoreCommand),
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    #[command(subcommand)]
    Export(export::ExportCommand),
    Sim(sim::SimArgs),
}

/// The version, with the release of the zone table: due times depend on both (C12).
fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| format!("{} (time zones {})", env!("CARGO_PKG_VERSION"), zone_table()))
}

/// Reads the arguments, runs the verb, and answers with the exit code: 0 done, 1 failed, 2 refused.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut err = io::stderr();
    let done = match &arguments.verb {
        Verb::Demo(args) => demo::main(args, &mut out, &mut err),
        Verb::Run(args) => run::main(args, &mut out, &mut err),
        Verb::SendTest(args) => send_test::main(args, &mut out, &mut err),
        Verb::Incidents(args) => incidents::incidents(args, &mut out),
        Verb::Ack(args) => incidents::ack(args, &mut out),
        Verb::Snooze(args) => incidents::snooze(args, &mut out),
        Verb::Resolve(args) => incidents::resolve(args, &mut out),
        Verb::Escalate(args) => incidents::escalate(args, &mut out),
        Verb::Silence(command) => incidents::silence(command, &mut out),
        Verb::Reload(args) => incidents::reload(args, &mut out),
        Verb::Replay(args) => replay::main(args, &mut out, &mut err),
        Verb::Explain(args) => explain::main(args, &mut out, &mut err),
        Verb::Calendar(args) => calendar::run(args, io::stdin().lock(), &mut out, &mut err),
        Verb::Parcel(command) => parcel::main(command, io::stdin().lock(), &mut out),
        Verb::Check(args) => check::main(args, &mut out).map_err(anyhow::Error::from),
        Verb::Store(command) => store::main(command, &mut out),
        Verb::Audit(command) => audit::main(command, &mut out),
        Verb::Export(command) => export::main(command, &mut out, &mut err),
        Verb::Sim(args) => sim::main(args, &mut out, &mut err),
        Verb::Config(command) => {
            config::config::<Settings>(command, &mut out, &mut err).map_err(anyhow::Error::from)
        }
    };
    let done = done.and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    match done {
        Ok(code) => code,
        // Whoever read our output has seen enough.
        Err(e) if e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(e) => {
            // Nothing is left to tell it to when standard error is gone too.
            drop(writeln!(err, "error: {e:#}"));
            if [
                e.is::<replay::Refused>(),
                e.is::<store::Refused>(),
                e.is::<parcel::Refused>(),
                e.is::<export::Refused>(),
            ]
            .contains(&true)
            {
                ExitCode::from(check::REFUSED)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
