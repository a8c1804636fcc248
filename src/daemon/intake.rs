//! Files of observations that others put into a folder (`[watch]`).
//!
//! A file is claimed by renaming it to `NAME.taking`, read in batches, and put into `done/`, or into `failed/` beside a
//! list of what is wrong with which line. How far it was read is kept in the commit of what was read (I7), so a crash
//! neither loses nor doubles a line. Writers make a file elsewhere, or under a name that begins with a dot, and rename it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::core::ids::hex;
use crate::core::model::{Observation, Row, Table};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::daemon::handle::{AskError, Noticed, ObserveAnswer};
use crate::daemon::sheet::{self, Sheet};
use crate::daemon::supervise::blocking;
use crate::daemon::time::TimeSource;
use crate::daemon::turn::Order;
use crate::fail::fail_point;
use crate::sources::history::import::ImportConfig;
use crate::sources::history::lines::{Line, LineReader, MAX_LINE};
use crate::sources::history::open;
use crate::store::{RowQuery, Store};

/// `[watch]`: a folder whose files are read as they come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// The folder; none is watched without it. Files that end in `.jsonl`, `.ndjson`, or these and `.gz` or `.zst` are
    /// read: one event a line, as `replay` reads them; and `.csv`, a case a row, as `[import.csv]` says what column is
    /// what. Write them under another name, then rename them.
    pub folder: Option<String>,
    /// How often it is looked at.
    pub every: Span,
    /// So many lines are kept in one commit.
    pub batch: usize,
    /// Sources that must say something at least so often, over HTTP or in files: `erp = "10m"`. Longer silence is told
    /// (`source.blind`). Only for what speaks at night too, such as a heartbeat.
    pub expect: BTreeMap<String, Span>,
}

impl Default for WatchConfig {
    fn default() -> WatchConfig {
        WatchConfig { folder: None, every: Span::from_secs(1), batch: 500, expect: BTreeMap::new() }
    }
}

impl WatchConfig {
    /// Notes everything that is wrong with it.
    pub fn check(&self, problems: &mut Problems) {
        if self.every < Span::from_secs(1) || self.every > Span::from_minutes(60) {
            problems.within("every", |p| p.error(format!("found {}, expected 1s to 1h", self.every)));
        }
        if self.batch == 0 || self.batch > 2000 {
            problems.within("batch", |p| p.error(format!("found {}, expected 1 to 2000", self.batch)));
        }
        for (source, every) in &self.expect {
            if *every < Span::from_secs(30) || *every > Span::DAY {
                problems.within("expect", |p| {
                    p.within(source.as_str(), |p| p.error(format!("found {every}, expected 30s to 24h")));
                });
            }
        }
        if self.folder.as_deref() == Some("") {
            problems.within("folder", |p| p.error("is empty, expected a folder, or leave the key out"));
        }
    }

    /// Takes a relative folder as seen from `base`, the one of the file that names it.
    pub fn rebase(&mut self, base: &Path) {
        if let Some(folder) = &mut self.folder {
            *folder = base.join(&*folder).display().to_string();
        }
    }
}

const TAKING: &str = ".taking";
/// The folder as a source: whose line it is that cannot be read is not known.
const WATCHED: &str = "watch";
/// Rows of [`Table::Cursor`] that are ours begin with this.
const PREFIX: &str = "watch/";
/// How many bad lines are told of one file.
const BAD_TOLD: usize = 200;

/// How far a file was read, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// The number of the last line that was taken in.
    line: u64,
    /// A digest over all lines up to it: the same name with other contents is another file.
    digest: String,
    /// Lines that were taken in.
    good: u64,
    /// Lines that were not.
    bad: u64,
    /// The first of those: number and reason.
    told: Vec<(u64, String)>,
}

impl Cursor {
    fn step(&mut self, line: u64, text: &[u8]) {
        let mut hasher = Sha256::new();
        hasher.update(self.digest.as_bytes());
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
        self.digest = hex(&hasher.finalize()[..16]);
        self.line = line;
    }

    fn bad(&mut self, line: u64, reason: String) {
        self.bad += 1;
        if self.told.len() < BAD_TOLD {
            self.told.push((line, reason));
        }
    }
}

/// The reader of a watched folder.
#[derive(Clone)]
pub struct Intake {
    /// The folder.
    pub folder: PathBuf,
    /// How lines become observations.
    pub import: Arc<ImportConfig>,
    /// So many lines a commit.
    pub batch: usize,
    /// How often the folder is looked at.
    pub every: Span,
    /// The desk.
    pub desk: Arc<str>,
    /// Where cursors are kept.
    pub store: Arc<dyn Store>,
    /// The way to the desk's owner.
    pub orders: mpsc::Sender<Order>,
    /// Time.
    pub time: Arc<dyn TimeSource>,
}

/// Why a file is not gone on with.
enum Halt {
    /// The stop was asked for, or the desk is gone.
    Stop,
    /// The file cannot be read any further.
    Broken(String),
}

impl Intake {
    /// Reads files as they come, until it is asked to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut told = String::new();
        while !stop.is_cancelled() {
            let (intake, halt) = (self.clone(), stop.clone());
            let round = match self.cursors().await {
                Ok(cursors) => match blocking(move || intake.round(&cursors, &halt)).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(e)) => Err(format!("{}: {e}", self.folder.display())),
                    Err(died) => Err(died.to_string()),
                },
                Err(reason) => Err(reason),
            };
            // The same trouble is told once, not every second.
            match round {
                Ok(()) => told.clear(),
                Err(reason) if reason == told => {}
                Err(reason) => {
                    error!(error = %reason, "the watched folder cannot be read");
                    told = reason;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.time.sleep(self.every) => {}
            }
        }
    }

    /// Puts files back that were put away since an instant: they are read again. Blocks. Answers how many.
    ///
    /// # Errors
    /// The folder cannot be read, or a file not be moved.
    pub fn put_back(&self, since: Instant) -> io::Result<u64> {
        use std::os::unix::fs::MetadataExt as _;
        let mut count = 0;
        for sub in ["done", "failed"] {
            let entries = match fs::read_dir(self.folder.join(sub)) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let meta = entry.metadata()?;
                // The move itself changed the one, writing the other.
                let changed = meta.ctime().max(meta.mtime());
                if !is_ours(&name) || changed < since.as_secs() - 1 {
                    continue;
                }
                let back = self.folder.join(&name);
                if !back.exists() {
                    fs::rename(entry.path(), back)?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    async fn cursors(&self) -> Result<Vec<(String, Cursor)>, String> {
        // Nothing to look up while nothing lies there: idle is idle.
        if !has_work(&self.folder) {
            return Ok(Vec::new());
        }
        let query = RowQuery {
            table: Table::Cursor,
            id_prefix: Some(PREFIX.to_owned()),
            state: None,
            parent: None,
            limit: 10_000,
        };
        let rows = self.store.rows(&self.desk, query).await.map_err(|e| e.to_string())?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let name = row.id.strip_prefix(PREFIX)?.to_owned();
                Some((name, serde_json::from_slice(&row.body).ok()?))
            })
            .collect())
    }

    /// One look at the folder: what was begun first, then what is new, each by name.
    fn round(&self, cursors: &[(String, Cursor)], stop: &CancellationToken) -> io::Result<()> {
        for folder in [self.folder.clone(), self.folder.join("done"), self.folder.join("failed")] {
            fs::create_dir_all(folder)?;
        }
        let (mut begun, mut fresh) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.folder)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if let Some(name) = name.strip_suffix(TAKING) {
                begun.push(name.to_owned());
            } else if is_ours(&name) {
                fresh.push(name);
            }
        }
        begun.sort_unstable();
        fresh.sort_unstable();
        for name in &begun {
            if self.file(name, cursors, stop)?.is_none() {
                return Ok(());
            }
        }
        for name in &fresh {
            let taking = self.folder.join(format!("{name}{TAKING}"));
            if taking.exists() {
                continue;
            }
            fs::rename(self.folder.join(name), taking)?;
            // A cursor of this name is of a file that went before.
            if self.file(name, &[], stop)?.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads a claimed file to its end and puts it away; `None` when the stop came first.
    fn file(
        &self,
        name: &str,
        cursors: &[(String, Cursor)],
        stop: &CancellationToken,
    ) -> io::Result<Option<()>> {
        let path = self.folder.join(format!("{name}{TAKING}"));
        let kept = cursors.iter().find(|(n, _)| n == name).map(|(_, cursor)| cursor);
        let mut cursor = Cursor::default();
        let outcome = self.read(&path, name, kept, &mut cursor, stop);
        let failed = match outcome {
            Ok(()) => cursor.bad > 0,
            Err(Halt::Stop) => return Ok(None),
            Err(Halt::Broken(reason)) => {
                cursor.bad(cursor.line + 1, reason);
                true
            }
        };
        let to = self.folder.join(if failed { "failed" } else { "done" });
        let target = free_name(&to, name);
        if failed {
            let mut text = format!("{}: {} lines taken, {} not\n", name, cursor.good, cursor.bad);
            for (line, reason) in &cursor.told {
                // Writing to a text cannot fail.
                _ = writeln!(text, "{line}: {reason}");
            }
            if cursor.bad > cursor.told.len() as u64 {
                _ = writeln!(text, "… {} more", cursor.bad - cursor.told.len() as u64);
            }
            let mut errors = target.clone().into_os_string();
            errors.push(".errors");
            fs::write(errors, text)?;
            warn!(
                file = name,
                good = cursor.good,
                bad = cursor.bad,
                "a watched file has lines that cannot be used"
            );
        } else {
            info!(file = name, good = cursor.good, "a watched file was taken in");
        }
        fs::rename(&path, &target)?;
        fail_point("file_moved");
        let gone = Row { body: None, ..self.row(name, &cursor) };
        match self.hand_over(Vec::new(), vec![gone], stop) {
            Ok(_) => Ok(Some(())),
            Err(_) => Ok(None),
        }
    }

    fn read(
        &self,
        path: &Path,
        name: &str,
        kept: Option<&Cursor>,
        cursor: &mut Cursor,
        stop: &CancellationToken,
    ) -> Result<(), Halt> {
        let shown = path.display().to_string();
        if fs::metadata(path).is_ok_and(|m| m.len() == 0) {
            return Ok(());
        }
        if sheet::is_sheet(unpacked(name)) {
            return self.read_sheet(&shown, name, kept, cursor, stop);
        }
        let mut begin = match kept {
            Some(kept) => match self.resume(&shown, kept)? {
                Some(lines) => {
                    *cursor = kept.clone();
                    info!(file = name, line = kept.line, "going on with a watched file");
                    lines
                }
                // Another file of the same name: from its start. What it says twice changes nothing.
                None => self.open(&shown)?,
            },
            None => self.open(&shown)?,
        };
        loop {
            let mut observations = Vec::new();
            // The line of each observation.
            let mut numbers = Vec::new();
            let mut rejects = Vec::new();
            let at_end = loop {
                if numbers.len() + rejects.len() >= self.batch {
                    break false;
                }
                let line = begin.next_line().map_err(|e| Halt::Broken(format!("it broke off: {e}")))?;
                let number = begin.number();
                let reason = match line {
                    None => break true,
                    Some(Line::TooLong) => {
                        cursor.step(number, b"");
                        format!("longer than {MAX_LINE} bytes")
                    }
                    Some(Line::Text(range)) => {
                        let text = begin.text(range);
                        cursor.step(number, text);
                        match self.import.read(text) {
                            Ok((_, seen)) => {
                                observations.push(seen.into_owned());
                                numbers.push(number);
                                continue;
                            }
                            Err(reason) => reason,
                        }
                    }
                };
                rejects.push(self.reject(name, number, &reason, &cursor.digest));
                cursor.bad(number, reason);
            };
            if numbers.is_empty() && rejects.is_empty() {
                return Ok(());
            }
            fail_point("intake_read");
            self.keep(name, observations, numbers, rejects, cursor, stop)?;
            if at_end {
                return Ok(());
            }
        }
    }

    /// Reads a table: what counts in its cursor are its observations, not its rows.
    fn read_sheet(
        &self,
        shown: &str,
        name: &str,
        kept: Option<&Cursor>,
        cursor: &mut Cursor,
        stop: &CancellationToken,
    ) -> Result<(), Halt> {
        let Sheet { digest, seen, bad, told } = sheet::read(shown, &self.import).map_err(Halt::Broken)?;
        let mut rejects = Vec::new();
        match kept.filter(|kept| kept.digest == digest) {
            Some(kept) => *cursor = kept.clone(),
            None => {
                rejects.extend(told.iter().map(|(row, reason)| self.reject(name, *row, reason, &digest)));
                (cursor.digest, cursor.bad, cursor.told) = (digest, bad, told);
            }
        }
        let done = usize::try_from(cursor.line).unwrap_or(usize::MAX).min(seen.len());
        let mut rest = seen.into_iter().skip(done).peekable();
        while rest.peek().is_some() || !rejects.is_empty() {
            let batch: Vec<_> = rest.by_ref().take(self.batch).collect();
            let numbers = (cursor.line + 1..).take(batch.len()).collect();
            cursor.line += batch.len() as u64;
            fail_point("intake_read");
            self.keep(name, batch, numbers, std::mem::take(&mut rejects), cursor, stop)?;
        }
        Ok(())
    }

    /// Keeps a batch with its cursor. While the desk cannot keep anything it is asked again; what it refuses is told.
    fn keep(
        &self,
        name: &str,
        mut observations: Vec<Observation<'static>>,
        mut numbers: Vec<u64>,
        mut rejects: Vec<Row>,
        cursor: &mut Cursor,
        stop: &CancellationToken,
    ) -> Result<(), Halt> {
        let before = cursor.good;
        loop {
            cursor.good = before + observations.len() as u64;
            let mut rows = vec![self.row(name, cursor)];
            rows.extend(rejects.iter().cloned());
            let answers = self.hand_over(observations.clone(), rows, stop)?;
            let again = answers.iter().any(|a| matches!(a, ObserveAnswer::Unavailable(_)));
            let mut keep = answers.iter().map(|answer| match answer {
                ObserveAnswer::Refused(reason) => Some(reason.clone()),
                _ => None,
            });
            let mut left = Vec::new();
            let mut left_numbers = Vec::new();
            for (observation, number) in observations.into_iter().zip(numbers) {
                match keep.next().flatten() {
                    Some(reason) => {
                        rejects.push(self.reject(name, number, &reason, &cursor.digest));
                        cursor.bad(number, reason);
                    }
                    None => {
                        left.push(observation);
                        left_numbers.push(number);
                    }
                }
            }
            if !again {
                cursor.good = before + left.len() as u64;
                let page = Noticed::Page {
                    source: WATCHED.into(),
                    items: left.len() + rejects.len(),
                    refused: rejects.len(),
                };
                return self.orders.blocking_send(Order::Noticed(page)).map_err(|_| Halt::Stop);
            }
            (observations, numbers) = (left, left_numbers);
            self.pause(stop)?;
        }
    }

    /// Gives observations and rows to the desk until they are kept, or refused one by one.
    fn hand_over(
        &self,
        observations: Vec<Observation<'static>>,
        rows: Vec<Row>,
        stop: &CancellationToken,
    ) -> Result<Vec<ObserveAnswer>, Halt> {
        loop {
            let (answer, arrive) = oneshot::channel();
            let order = Order::Taken { observations: observations.clone(), cursor: rows.clone(), answer };
            self.orders.blocking_send(order).map_err(|_| Halt::Stop)?;
            match arrive.blocking_recv() {
                Ok(Ok(answers)) => return Ok(answers),
                Ok(Err(AskError::Gone)) => return Err(Halt::Stop),
                Ok(Err(_)) | Err(_) => self.pause(stop)?,
            }
        }
    }

    fn pause(&self, stop: &CancellationToken) -> Result<(), Halt> {
        tokio::runtime::Handle::current().block_on(async {
            tokio::select! {
                biased;
                () = stop.cancelled() => Err(Halt::Stop),
                () = self.time.sleep(Span::from_secs(1)) => Ok(()),
            }
        })
    }

    fn open(&self, shown: &str) -> Result<LineReader<Box<dyn io::Read>>, Halt> {
        let opened = open::open(shown, &|bytes| bytes).map_err(|e| Halt::Broken(e.to_string()))?;
        Ok(LineReader::new(opened.bytes))
    }

    /// The file behind the lines that `kept` speaks of, when they are the ones that it speaks of.
    fn resume(&self, shown: &str, kept: &Cursor) -> Result<Option<LineReader<Box<dyn io::Read>>>, Halt> {
        let mut lines = self.open(shown)?;
        let mut seen = Cursor::default();
        while seen.line < kept.line {
            match lines.next_line() {
                Ok(Some(Line::Text(range))) => {
                    let number = lines.number();
                    seen.step(number, lines.text(range));
                }
                Ok(Some(Line::TooLong)) => seen.step(lines.number(), b""),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
        Ok((seen.digest == kept.digest).then_some(lines))
    }

    fn row(&self, name: &str, cursor: &Cursor) -> Row {
        Row {
            table: Table::Cursor,
            id: format!("{PREFIX}{name}"),
            state: None,
            parent: None,
            wake: None,
            body: serde_json::to_vec(cursor).ok(),
        }
    }

    /// 5.8: what could not be read, with a digest and not with its text.
    fn reject(&self, name: &str, line: u64, reason: &str, digest: &str) -> Row {
        let now = self.time.read().wall;
        let body =
            serde_json::json!({ "at": now, "file": name, "line": line, "reason": reason, "digest": digest });
        Row {
            table: Table::Reject,
            id: format!("{PREFIX}{name}/{line}"),
            state: None,
            parent: None,
            wake: None,
            body: Some(body.to_string().into_bytes()),
        }
    }
}

fn has_work(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return true };
    let is_work = |name: &str| name.ends_with(TAKING) || is_ours(name);
    entries.flatten().any(|e| e.file_name().to_str().is_some_and(is_work))
}

/// A name without what the file is packed with.
fn unpacked(name: &str) -> &str {
    name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name)
}

fn is_ours(name: &str) -> bool {
    let plain = unpacked(name);
    let fits = plain.ends_with(".jsonl") || plain.ends_with(".ndjson") || sheet::is_sheet(plain);
    // A row's id is bounded, and so is a name in a log line.
    fits && !name.starts_with('.') && name.len() <= 200
}

/// A name in `folder` that nothing has yet.
fn free_name(folder: &Path, name: &str) -> PathBuf {
    let mut target = folder.join(name);
    let mut n = 1;
    while target.exists() {
        target = folder.join(format!("{name}.{n}"));
        n += 1;
    }
    target
}
