//! `shiftbell store`: whether the store is whole, a copy of it, and packing it anew.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::config::{environment, load};
use crate::core::problem::{KeyPath, Step};
use crate::core::time::Instant;
use crate::store::sqlite::{self, BackupTo};
use crate::store::{Bytes, StoreConfig, StoreError};

/// Look after the store: check it, copy it, pack it anew.
///
/// Exit code: 0 done and nothing wrong, 1 something is wrong, 2 the arguments or the configuration are refused.
#[derive(Clone, Debug, Subcommand)]
pub enum StoreCommand {
    /// Check the file, its schema, its rows, the audit chain, and what must hold of them. Good beside a running daemon.
    Check(CheckStoreArgs),
    /// Copy the store as it is at one instant, beside a running daemon. The copy is checked before it gets its name.
    Backup(BackupArgs),
    /// Pack the file anew, without the holes that dropped rows leave. The daemon must not run.
    Vacuum(VacuumArgs),
}

/// Which store.
#[derive(Clone, Debug, Args)]
pub struct StoreAt {
    /// The configuration that says where the store is.
    #[arg(long, short, value_name = "FILE", default_value = "shiftbell.toml")]
    pub config: PathBuf,
    /// The store's file; the configuration is not read then.
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    pub store: Option<PathBuf>,
}

/// Arguments of `store check`.
#[derive(Clone, Debug, Args)]
pub struct CheckStoreArgs {
    #[command(flatten)]
    at: StoreAt,
}

/// Arguments of `store backup`.
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    #[command(flatten)]
    at: StoreAt,
    /// A file, which is replaced, or a directory, in which the oldest backups are removed; without it, the directory of
    /// the configuration.
    #[arg(long, value_name = "FILE|DIR")]
    to: Option<PathBuf>,
    /// How many backups stay in the directory; without it, as configured.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
}

/// Arguments of `store vacuum`.
#[derive(Clone, Debug, Args)]
pub struct VacuumArgs {
    #[command(flatten)]
    at: StoreAt,
}

/// The part of a configuration that says where the store is. The rest may have mistakes: a backup is still made.
#[derive(Debug, Default, Deserialize)]
struct OnlyStore {
    #[serde(default)]
    store: StoreConfig,
}

/// A configuration, or arguments, that are refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(String);

impl StoreAt {
    /// The settings of the store.
    ///
    /// # Errors
    /// The configuration cannot be read.
    pub(super) fn config(&self) -> anyhow::Result<StoreConfig> {
        let mut config = StoreConfig::default();
        if let Some(path) = &self.store {
            config.sqlite.path.clone_from(path);
            return Ok(config);
        }
        let loaded = load::<OnlyStore>(&self.config, &environment::process());
        let path: KeyPath = KeyPath(["store", "sqlite", "path"].into_iter().map(Step::from).collect());
        let file = PathBuf::from(loaded.locate(&path).file);
        let (settings, _) = loaded.finish().map_err(|report| Refused(report.to_string()))?;
        config = settings.store;
        let name = file.to_string_lossy();
        // What a file inside the program or a variable names is meant where the program runs.
        let folder = match name.starts_with("builtin:") || name.starts_with('$') {
            true => Path::new(""),
            false => file.parent().unwrap_or(Path::new("")),
        };
        config.rebase(folder);
        Ok(config)
    }
}

/// Runs the verb as of now.
///
/// # Errors
/// The store cannot be opened or read, a copy cannot be written, or `out` cannot.
pub fn main(command: &StoreCommand, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Check(args) => check(args, out),
        StoreCommand::Backup(args) => {
            #[expect(
                clippy::disallowed_methods,
                reason = "a backup is named by the instant at which it is made"
            )]
            let now = Instant::from_timestamp(jiff::Timestamp::now());
            backup(args, now, out)
        }
        StoreCommand::Vacuum(args) => {
            let path = args.at.config()?.sqlite.path;
            let (before, after) = sqlite::vacuum(&path)?;
            writeln!(out, "{}: {} before, {} now", path.display(), size(before), size(after))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(args: &CheckStoreArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let path = args.at.config()?.sqlite.path;
    let checked = match sqlite::check(&path) {
        Ok(checked) => checked,
        Err(error @ StoreError::Damaged { .. }) => {
            writeln!(out, "{error}")?;
            writeln!(out, "{}", remedy(&path))?;
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error.into()),
    };
    for fault in &checked.faults {
        writeln!(out, "file: {fault}")?;
    }
    for (desk, verified) in &checked.desks {
        match &verified.mismatch {
            None => writeln!(
                out,
                "desk {desk}: fine, {} audit records, head {}",
                verified.records, verified.head
            )?,
            Some(mismatch) => writeln!(out, "desk {desk}: {mismatch}")?,
        }
    }
    if checked.is_fine() {
        writeln!(out, "{}: fine (schema {})", path.display(), checked.schema)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !checked.faults.is_empty() {
        writeln!(out, "{}", remedy(&path))?;
    }
    writeln!(out, "{}: not as it should be (schema {})", path.display(), checked.schema)?;
    Ok(ExitCode::FAILURE)
}

fn remedy(path: &Path) -> String {
    format!(
        "stop the daemon, keep a copy of {} and its -wal file, and restore the newest backup: the daemon does so itself \
         when it finds the damage at its start",
        path.display()
    )
}

fn backup(args: &BackupArgs, now: Instant, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = args.at.config()?.sqlite;
    let keep = args.keep.unwrap_or(config.keep_backups);
    let to = match &args.to {
        Some(to) if to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            BackupTo::Folder { folder: to.clone(), keep }
        }
        Some(to) => BackupTo::File(to.clone()),
        None => BackupTo::Folder { folder: config.backups_folder(), keep },
    };
    let file = sqlite::backup(&config.path, &to, now)?;
    let bytes = std::fs::metadata(&file)?.len();
    writeln!(out, "{}: {}", file.display(), size(bytes))?;
    Ok(ExitCode::SUCCESS)
}

/// A size for people: whole MiB from 10 MiB on, whole KiB below.
fn size(bytes: u64) -> Bytes {
    if bytes >= 10 << 20 { Bytes::mebi(bytes >> 20) } else { Bytes(bytes >> 10 << 10) }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use clap::Parser;

    use super::*;
    use crate::core::model::{AuditRecord, Batch, Row, Table};
    use crate::store::{SqliteOptions, SqliteStore, Store};

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: StoreCommand,
    }

    fn run(line: &[&str]) -> (String, Result<ExitCode, String>) {
        let line = Line::try_parse_from([&["store"], line].concat()).unwrap();
        let mut out = Vec::new();
        let done = main(&line.command, &mut out).map_err(|e| format!("{e:#}"));
        (String::from_utf8(out).unwrap(), done)
    }

    pub(in crate::cli) async fn filled(path: &Path, records: u64) {
        let store =
            SqliteStore::open(path, SqliteOptions { ballast_bytes: 0, ..SqliteOptions::default() }).unwrap();
        let row = Row {
            table: Table::Meta,
            id: "m".into(),
            state: None,
            parent: None,
            wake: None,
            body: Some(b"{}".to_vec()),
        };
        let record = |seq| AuditRecord {
            seq,
            at: Instant::from_secs(1_772_416_800 + seq as i64),
            actor: "system".into(),
            kind: "desk.started".into(),
            incident: (seq % 2 == 0).then(|| "5C8RT9NH3V2M6QGXK4E0YB7DWC".to_owned()),
            notice: None,
            message: None,
            cause: None,
            change: None,
            detail: None,
        };
        let desk: Arc<str> = "after-sales".into();
        store
            .commit(&desk, Batch { rows: vec![row], audit: (1..=records).map(record).collect() })
            .await
            .unwrap();
        store.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_store_is_checked_copied_and_packed() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("shiftbell.toml");
        std::fs::write(
            &config,
            "[store.sqlite]\npath = \"data/a.db\"\nkeep_backups = 2\n[desk]\nwrong = 1\n",
        )
        .unwrap();
        let path = folder.path().join("data/a.db");
        filled(&path, 3).await;
        let config = config.to_str().unwrap();

        let (out, code) = run(&["check", "-c", config]);
        assert_eq!(code, Ok(ExitCode::SUCCESS), "{out}");
        assert!(out.starts_with("desk after-sales: fine, 3 audit records, head "), "{out}");
        assert!(out.ends_with("data/a.db: fine (schema 4)\n"), "{out}");

        // By the configuration, into its directory; three times, of which two stay.
        for _ in 0..3 {
            let (out, code) = run(&["backup", "-c", config]);
            assert_eq!(code, Ok(ExitCode::SUCCESS), "{out}");
        }
        let kept = sqlite::backups(&folder.path().join("data/backups")).unwrap();
        assert_eq!(kept.len(), 2, "{kept:?}");
        let (out, code) = run(&["check", "--store", kept[0].to_str().unwrap()]);
        assert_eq!(code, Ok(ExitCode::SUCCESS), "{out}");

        let file = folder.path().join("copy.db");
        let (_, code) = run(&["backup", "--store", path.to_str().unwrap(), "--to", file.to_str().unwrap()]);
        assert_eq!(code, Ok(ExitCode::SUCCESS));
        assert!(file.exists() && !folder.path().join("copy.db-wal").exists());
        let (_, code) = run(&["backup", "--store", path.to_str().unwrap(), "--to", path.to_str().unwrap()]);
        assert!(code.unwrap_err().contains("that is the store itself"));

        let (out, code) = run(&["vacuum", "--store", file.to_str().unwrap()]);
        assert_eq!(code, Ok(ExitCode::SUCCESS), "{out}");
        let (out, code) = run(&["check", "--store", file.to_str().unwrap()]);
        assert_eq!(code, Ok(ExitCode::SUCCESS), "{out}");
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone.db");
        let (_, code) = run(&["check", "--store", gone.to_str().unwrap()]);
        assert!(code.unwrap_err().ends_with("there is no such file"));

        let path = folder.path().join("a.db");
        filled(&path, 3).await;
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch(
            "DROP TRIGGER audit_is_kept; UPDATE audit SET body = replace(body, 'system', 'nobody') WHERE seq = 2",
        )
        .unwrap();
        drop(conn);
        let (out, code) = run(&["check", "--store", path.to_str().unwrap()]);
        assert_eq!(code, Ok(ExitCode::FAILURE), "{out}");
        assert!(out.contains("file: the trigger audit_is_kept is missing"), "{out}");
        assert!(out.contains("desk after-sales: audit record 2 was altered"), "{out}");

        let store = SqliteStore::open(&path, SqliteOptions::default()).unwrap();
        let (_, code) = run(&["vacuum", "--store", path.to_str().unwrap()]);
        let error = code.unwrap_err();
        let holder = format!("is in use by another process: process {}", std::process::id());
        assert!(error.ends_with(&holder), "{error}");
        drop(store);

        std::fs::write(
            &path,
            b"SQLite format 3\0 and then nothing of the kind, as after a bad copy".repeat(200),
        )
        .unwrap();
        let (out, code) = run(&["check", "--store", path.to_str().unwrap()]);
        assert_eq!(code, Ok(ExitCode::FAILURE), "{out}");
        assert!(out.contains("is damaged") && out.contains("restore the newest backup"), "{out}");
    }
}
