//! `shiftbell export`: lists of what the store keeps, for people and their spreadsheets.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::civil::Date;

use crate::config::{check_settings, environment};
use crate::core::model::Language;
use crate::core::time::Instant;
use crate::daemon::claims::{Carrier, DailyPlan, Days, carriers, place, write_claims};
use crate::store::sqlite;

/// Write lists of what the store keeps. Good beside a running daemon.
///
/// Exit code: 0 done, 1 failed, 2 the arguments or the configuration are refused.
#[derive(Clone, Debug, Subcommand)]
pub enum ExportCommand {
    /// The lost, damaged and wrong parcels of some days (理赔清单) as CSV, and what they come to, carrier by carrier, on
    /// standard error.
    Claims(ClaimsArgs),
}

/// Arguments of `export claims`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "Example:
  shiftbell export claims --from 2026-03-01 --to 2026-03-31 --out claims.csv

A parcel is listed on the day on which its trouble was first told. The same lists are written day by day and month by month
into [claims] folder.")]
pub struct ClaimsArgs {
    /// The configuration: desk, zone, language, store, and what is a claim.
    #[arg(long, short, value_name = "FILE", default_value = "shiftbell.toml")]
    config: PathBuf,
    /// The store's file, instead of the configured one.
    #[arg(long, value_name = "PATH")]
    store: Option<PathBuf>,
    /// The desk, where the store holds several and it is not the configured one.
    #[arg(long, value_name = "DESK")]
    desk: Option<String>,
    /// The first day, such as 2026-03-01; without it, the first of the month of the last one.
    #[arg(long, value_name = "DATE", value_parser = date)]
    from: Option<Date>,
    /// The last day; without it, today.
    #[arg(long, value_name = "DATE", value_parser = date)]
    to: Option<Date>,
    /// The file to write, which is replaced as a whole; without it, standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The language of headers and words, zh-CN or en; without it, as configured.
    #[arg(long)]
    language: Option<Language>,
    /// For programs: no byte order mark, no tab behind long numbers.
    #[arg(long)]
    plain: bool,
}

fn date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "expected a day of the calendar such as 2026-03-31".to_owned())
}

/// A configuration, or arguments, that are refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(String);

/// Runs the verb as of now.
///
/// # Errors
/// The configuration is refused, the store cannot be read, the list cannot be written.
pub fn main(command: &ExportCommand, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    let ExportCommand::Claims(args) = command;
    #[expect(clippy::disallowed_methods, reason = "a list is as of when it is made")]
    let now = Instant::from_timestamp(jiff::Timestamp::now());
    claims(args, now, out, err)
}

/// The plan of the configuration; mistakes in what it does not need are no reason to refuse it.
fn plan(args: &ClaimsArgs) -> anyhow::Result<DailyPlan> {
    let checked = check_settings(&args.config, &environment::process(), None);
    let (Some(settings), Some(shifts)) = (checked.whole, checked.shifts) else {
        let report = checked.loaded.finish().err().map(|report| report.to_string());
        return Err(Refused(report.unwrap_or_else(|| "the configuration is refused".to_owned())).into());
    };
    let mut plan = DailyPlan::of(&settings, shifts.zone());
    plan.language = args.language.unwrap_or(plan.language);
    plan.config.plain |= args.plain;
    if let Some(store) = &args.store {
        plan.store.clone_from(store);
    }
    plan.desk = desk(args, &plan)?;
    Ok(plan)
}

/// The desk that is meant, which the store must hold.
fn desk(args: &ClaimsArgs, plan: &DailyPlan) -> anyhow::Result<String> {
    let desks = sqlite::desks(&plan.store)?;
    let wanted = args.desk.as_ref().unwrap_or(&plan.desk);
    if desks.contains(wanted) {
        return Ok(wanted.clone());
    }
    let place = plan.store.display();
    match desks.as_slice() {
        [] => Err(Refused(format!("{place} holds no desk yet, expected {wanted}")).into()),
        [one] if args.desk.is_none() && args.store.is_some() => Ok(one.clone()),
        _ => Err(Refused(format!("{place}: there is no desk `{wanted}`, only {}", desks.join(", "))).into()),
    }
}

fn claims(
    args: &ClaimsArgs,
    now: Instant,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let plan = plan(args)?;
    let to = args.to.unwrap_or_else(|| Days::day(&plan.zone, now));
    let from = args.from.unwrap_or_else(|| to.first_of_month());
    if from > to {
        return Err(Refused(format!("--from {from} is after --to {to}: expected it at or before")).into());
    }
    let claims = plan.claims(from, to, now)?;
    let style = plan.style();
    match &args.out {
        Some(path) => place(path, |file| write_claims(file, &claims, &style))?,
        None => write_claims(&mut *out, &claims, &style)?,
    }
    summary(&carriers(&claims), (from, to), plan.language, err)?;
    Ok(ExitCode::SUCCESS)
}

/// What the claims come to: for people, on standard error, so that the list stays one table.
fn summary(
    carriers: &std::collections::BTreeMap<String, Carrier>,
    (from, to): (Date, Date),
    language: Language,
    err: &mut impl Write,
) -> std::io::Result<()> {
    let count: u64 = carriers.values().map(|sum| sum.parcels).sum();
    match language {
        Language::Zh => writeln!(err, "{from} 至 {to}:{count} 件")?,
        Language::En => writeln!(err, "{from} to {to}: {count} parcels")?,
    }
    let yuan = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
    for (carrier, sum) in carriers {
        let carrier = if carrier.is_empty() { "?" } else { carrier };
        let Carrier { parcels, open, goods, unknown, penalty } = sum;
        let (goods, penalty) = (yuan(*goods), yuan(*penalty));
        match language {
            Language::Zh => writeln!(
                err,
                "  {carrier}:{parcels} 件,未结 {open},货值 {goods}(另有 {unknown} 件未知),预计赔付 {penalty}"
            )?,
            Language::En => writeln!(
                err,
                "  {carrier}: {parcels} parcels, {open} open, goods {goods} ({unknown} unknown), penalty {penalty}"
            )?,
        }
    }
    Ok(())
}
