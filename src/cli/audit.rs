//! `shiftbell audit`: whether the story of a desk is whole, and what it says.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::core::ids::Id;
use crate::core::model::AuditRecord;
use crate::store::sqlite;
use crate::store::{AuditQuery, KeptAudit};

use super::store::StoreAt;

/// Read the audit of a desk, and prove that it is whole. Good beside a running daemon.
///
/// Exit code: 0 done and nothing wrong, 1 something is wrong, 2 the arguments or the configuration are refused.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Walk the chain and the tables, and tell the first thing that does not fit.
    Verify(VerifyArgs),
    /// Show audit records, each compared with its digest.
    Show(ShowArgs),
}

/// Arguments of `audit verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    at: StoreAt,
    /// Only this desk.
    #[arg(long, value_name = "DESK")]
    desk: Option<String>,
}

/// Arguments of `audit show`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "Example:
  shiftbell audit show --incident 5C8RT9NH3V2M6QGXK4E0YB7DWC
  shiftbell audit show --from 1 --format json > audit.jsonl")]
pub struct ShowArgs {
    #[command(flatten)]
    at: StoreAt,
    /// The desk; needed where the store holds several.
    #[arg(long, value_name = "DESK")]
    desk: Option<String>,
    /// Only about this incident.
    #[arg(long, value_name = "ID")]
    incident: Option<Id>,
    /// Only about this message.
    #[arg(long, value_name = "ID")]
    message: Option<Id>,
    /// From this number on.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: u64,
    /// At most so many; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit: usize,
    /// How to write them.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line for people.
    Text,
    /// One JSON object a line, with the digest.
    Json,
}

/// How many records are read at once.
const CHUNK: usize = 5_000;

/// Runs the verb.
///
/// # Errors
/// The store cannot be opened or read, the desk is not in it, or `out` cannot be written.
pub fn main(command: &AuditCommand, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Verify(args) => verify(args, out),
        AuditCommand::Show(args) => show(args, out),
    }
}

fn verify(args: &VerifyArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let path = args.at.config()?.sqlite.path;
    let desks = match &args.desk {
        Some(desk) => vec![known(&path, desk)?],
        None => sqlite::desks(&path)?,
    };
    let mut code = ExitCode::SUCCESS;
    for desk in desks {
        let verified = sqlite::verify_at(&path, &desk)?;
        match &verified.mismatch {
            None => writeln!(out, "desk {desk}: fine, {} records, head {}", verified.records, verified.head)?,
            Some(mismatch) => {
                writeln!(out, "desk {desk}: {mismatch}")?;
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn known(path: &std::path::Path, desk: &str) -> anyhow::Result<String> {
    let desks = sqlite::desks(path)?;
    match desks.iter().any(|other| other == desk) {
        true => Ok(desk.to_owned()),
        false => anyhow::bail!("{}: there is no desk `{desk}`, only {}", path.display(), desks.join(", ")),
    }
}

fn show(args: &ShowArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let path = args.at.config()?.sqlite.path;
    let desk = match &args.desk {
        Some(desk) => known(&path, desk)?,
        None => match sqlite::desks(&path)?.as_slice() {
            [desk] => desk.clone(),
            [] => return Ok(ExitCode::SUCCESS),
            desks => {
                anyhow::bail!("{} holds several desks: give --desk {}", path.display(), desks.join(" or "))
            }
        },
    };
    let (mut from_seq, mut left) = (args.from, if args.limit == 0 { usize::MAX } else { args.limit });
    loop {
        let query = AuditQuery {
            from_seq,
            incident: args.incident.map(|id| id.to_string()),
            message: args.message.map(|id| id.to_string()),
            limit: CHUNK.min(left),
        };
        let records = sqlite::audit_at(&path, &desk, &query)?;
        for kept in &records {
            write_record(kept, args.format, out)?;
        }
        left -= records.len();
        match records.last() {
            Some(last) if left > 0 && records.len() == query.limit => from_seq = last.record.seq + 1,
            _ => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// A record as JSON: its own fields, and the digest behind them.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: &'a AuditRecord,
    digest: &'a str,
}

fn write_record(kept: &KeptAudit, format: Format, out: &mut impl Write) -> anyhow::Result<()> {
    let record = &kept.record;
    if format == Format::Json {
        serde_json::to_writer(&mut *out, &Line { record, digest: &kept.digest })?;
        writeln!(out)?;
        return Ok(());
    }
    write!(out, "{:>8}  {}  {}  {}", record.seq, record.at, record.kind, record.actor)?;
    for (name, value) in
        [("incident", &record.incident), ("notice", &record.notice), ("message", &record.message)]
    {
        if let Some(value) = value {
            write!(out, "  {name} {value}")?;
        }
    }
    if let Some(change) = &record.change {
        write!(out, "  {change}")?;
    }
    if let Some(cause) = &record.cause {
        write!(out, "  ({cause})")?;
    }
    if let Some(detail) = &record.detail {
        write!(out, "  {detail}")?;
    }
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::store::tests::filled;
    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(subcommand)]
        command: AuditCommand,
    }

    fn run(line: &[&str]) -> (String, Result<ExitCode, String>) {
        let line = Arguments::try_parse_from([&["audit"], line].concat()).unwrap();
        let mut out = Vec::new();
        let done = main(&line.command, &mut out).map_err(|e| format!("{e:#}"));
        (String::from_utf8(out).unwrap(), done)
    }

    #[tokio::test]
    async fn records_are_shown_and_proved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        filled(&path, CHUNK as u64 + 3).await;
        let path = path.to_str().unwrap();
        let (out, code) = run(&["show", "--store", path]);
        assert_eq!((out.lines().count(), code), (CHUNK + 3, Ok(ExitCode::SUCCESS)), "chunk by chunk");
        let (out, _) = run(&["show", "--store", path, "--limit", "2"]);
        assert_eq!(
            out,
            "       1  2026-03-02T02:00:01Z  desk.started  system\n       \
             2  2026-03-02T02:00:02Z  desk.started  system  incident 5C8RT9NH3V2M6QGXK4E0YB7DWC\n"
        );
        let incident = "5c8rt9nh3v2m6qgxk4e0yb7dwc";
        let (out, _) =
            run(&["show", "--store", path, "--incident", incident, "--from", "5000", "--format", "json"]);
        let lines: Vec<serde_json::Value> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [5000, 5002]);
        assert_eq!(lines[0]["digest"].as_str().unwrap().len(), 64);
        let (out, code) = run(&["verify", "--store", path]);
        assert!(out.starts_with("desk after-sales: fine, 5003 records, head "), "{out}");
        assert_eq!(code, Ok(ExitCode::SUCCESS));
        let (_, code) = run(&["verify", "--store", path, "--desk", "nowhere"]);
        assert!(code.unwrap_err().ends_with("there is no desk `nowhere`, only after-sales"));

        let conn = rusqlite::Connection::open(path).unwrap();
        conn.execute_batch("DROP TRIGGER audit_is_sealed; DELETE FROM audit WHERE seq = 7").unwrap();
        drop(conn);
        let (out, code) = run(&["verify", "--store", path]);
        assert_eq!(
            (out.as_str(), code),
            ("desk after-sales: audit record 8 leaves a gap, expected 7\n", Ok(ExitCode::FAILURE))
        );
        let (_, code) = run(&["show", "--store", path, "--from", "8"]);
        assert!(
            code.unwrap_err().ends_with("audit record 8 was altered"),
            "it is not shown as if nothing were"
        );
    }
}
