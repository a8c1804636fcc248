//! Copies of a store: made beside a running daemon, and put in its place when it is damaged (§16.1).

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::core::time::Instant;
use crate::fail::fail_point;

use super::super::StoreError;
use super::fault::{During, classify};
use super::lock::Lock;
use super::open::{self, beside, key};

/// Where a backup goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupTo {
    /// This file, which is replaced.
    File(PathBuf),
    /// A new file in this directory, of which the newest `keep` stay.
    Folder {
        /// The directory; made when it is missing.
        folder: PathBuf,
        /// How many backups stay, this one included.
        keep: u32,
    },
}

/// The names of backups in a directory: this, the instant, the ending. In the order of the names they are in the order
/// of time.
const NAME: (&str, &str) = ("shiftbell-", ".db");

/// Copies the store at `path` as it is at one instant, beside whoever works on it. The copy is checked and flushed
/// before it gets its name. Answers with its file.
///
/// # Errors
/// The store cannot be read, or the copy not be written, or the copy is damaged.
pub fn backup(path: &Path, to: &BackupTo, now: Instant) -> Result<PathBuf, StoreError> {
    let (from, _) = open::open_any(path)?;
    let file = match to {
        BackupTo::File(file) => file.clone(),
        BackupTo::Folder { folder, .. } => {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|e| other(folder, format!("the directory cannot be made: {e}")))?;
            folder.join(format!("{}{}{}", NAME.0, stamp(now), NAME.1))
        }
    };
    if same_file(path, &file) {
        return Err(other(&file, "that is the store itself: choose another file".to_owned()));
    }
    let half = beside(&file, ".half");
    let made = copy(path, &from, &half).and_then(|()| take_place(&half, &file));
    if made.is_err() {
        // Half a copy is of no use; the error says what to look at.
        drop_with_log(&half);
    }
    made?;
    copy_key(&path.with_file_name(KEY), &beside(&file, KEY_ENDING))?;
    if let BackupTo::Folder { folder, keep } = to {
        prune(folder, *keep as usize, &file)?;
    }
    Ok(file)
}

/// The key of the installation lies beside the store, and is part of every backup: without it, the ids and links of the
/// copy mean nothing.
const KEY: &str = "installation.key";

/// What the name of a backup's key ends with.
const KEY_ENDING: &str = ".key";

/// Copies the key of the installation, where there is one.
fn copy_key(from: &Path, to: &Path) -> Result<(), StoreError> {
    let key = match fs::read(from) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        key => key.map_err(|e| io(from, &e))?,
    };
    let half = beside(to, ".half");
    // A file that lies there from a broken-off copy may have another mode.
    _ = fs::remove_file(&half);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&half)
        .and_then(|mut file| {
            file.write_all(&key)?;
            file.sync_all()
        })
        .map_err(|e| io(&half, &e))?;
    take_place(&half, to)
}

/// `20260302T020000.123Z`, which sorts by time.
fn stamp(now: Instant) -> String {
    now.to_timestamp().strftime("%Y%m%dT%H%M%S%.3fZ").to_string()
}

/// When a backup of this file name was made; `None` of a name that is not of one.
pub fn made_at(name: &str) -> Option<Instant> {
    let text = name.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?;
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S%.fZ", text).ok()?;
    Some(Instant::from_timestamp(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()))
}

fn other(path: &Path, reason: String) -> StoreError {
    StoreError::Other { place: path.display().to_string(), reason }
}

fn io(path: &Path, e: &std::io::Error) -> StoreError {
    use std::io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let (place, reason) = (path.display().to_string(), e.to_string());
    match e.kind() {
        StorageFull | QuotaExceeded | ReadOnlyFilesystem => StoreError::Refused { place, reason },
        _ => StoreError::Other { place, reason },
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

fn copy(path: &Path, from: &Connection, to: &Path) -> Result<(), StoreError> {
    drop_with_log(to);
    let made = File::create(to).and_then(|f| f.set_permissions(fs::Permissions::from_mode(0o600)));
    made.map_err(|e| io(to, &e))?;
    let mut copy = Connection::open(to).map_err(|e| classify(to, &e, During::Write))?;
    let pages = {
        let backup = Backup::new(from, &mut copy).map_err(|e| classify(path, &e, During::Read))?;
        // All pages in one step: one instant of the store. In pieces it would begin again with every commit.
        backup.step(-1).map_err(|e| classify(to, &e, During::Write))?
    };
    if pages != StepResult::Done {
        return Err(other(path, format!("the copy did not get through: {pages:?}")));
    }
    // One file without a log beside it; and a copy that cannot be read is none.
    let fine = (|| -> rusqlite::Result<String> {
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
        copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
    })()
    .map_err(|e| classify(to, &e, During::Write))?;
    if fine != "ok" {
        return Err(StoreError::Damaged { place: path.display().to_string(), reason: fine });
    }
    drop(copy);
    File::open(to).and_then(|f| f.sync_all()).map_err(|e| io(to, &e))
}

/// Gives a whole file its name, so that nobody ever sees half of it.
fn take_place(half: &Path, file: &Path) -> Result<(), StoreError> {
    fs::rename(half, file).map_err(|e| io(file, &e))?;
    sync_folder(file).map_err(|e| io(file, &e))
}

fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Removes a file and whatever SQLite left beside it.
fn drop_with_log(file: &Path) {
    for ending in ["", "-wal", "-shm", "-journal"] {
        // Most of them are not there.
        _ = fs::remove_file(beside(file, ending));
    }
}

/// The backups in a directory, the newest first.
///
/// # Errors
/// The directory cannot be read; one that is missing holds none.
pub fn backups(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(NAME.0) && name.ends_with(NAME.1) {
            found.push(entry.path());
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}

/// Removes all but the newest `keep` backups, and never the one just made.
fn prune(folder: &Path, keep: usize, made: &Path) -> Result<(), StoreError> {
    for old in backups(folder).map_err(|e| io(folder, &e))?.into_iter().skip(keep.max(1)) {
        if old != made {
            fs::remove_file(&old).map_err(|e| io(&old, &e))?;
            // Not every backup has one.
            _ = fs::remove_file(beside(&old, KEY_ENDING));
        }
    }
    Ok(())
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The backup that stands in the store's place now.
    pub from: PathBuf,
    /// Where what was there lies now, to be looked at; `None` where nothing was.
    pub aside: Option<PathBuf>,
    /// Backups that were newer and damaged too.
    pub passed_over: Vec<PathBuf>,
}

/// Puts the newest good backup of `folder` in the place of the store at `path`, which nobody may have open; what was
/// there is set aside. The store says [`super::super::Store::restored`] from then on.
///
/// # Errors
/// No backup is good, and then nothing has changed; or somebody has the store, or a file cannot be written.
pub fn restore_newest(path: &Path, folder: &Path, now: Instant) -> Result<Restored, StoreError> {
    let mut lock = Lock::take(path)?;
    let half = beside(path, ".half");
    let mut passed_over = Vec::new();
    for from in backups(folder).map_err(|e| io(folder, &e))? {
        match prepare(&from, &half) {
            Ok(()) => {}
            // The disk, and not the backup, is at fault: the next one would fail as well.
            Err(error @ (StoreError::Refused { .. } | StoreError::Flush { .. })) => {
                drop_with_log(&half);
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(backup = %from.display(), %error, "a backup is no good and is passed over");
                passed_over.push(from);
                continue;
            }
        }
        let aside = set_aside(path, now).map_err(|e| io(path, &e))?;
        fail_point("restore_begun");
        take_place(&half, path)?;
        let key = path.with_file_name(KEY);
        if !key.exists() {
            copy_key(&beside(&from, KEY_ENDING), &key)?;
        }
        lock.note_kept().map_err(|e| io(path, &e))?;
        return Ok(Restored { from, aside, passed_over });
    }
    drop_with_log(&half);
    Err(StoreError::Damaged {
        place: path.display().to_string(),
        reason: format!("there is no good backup in {}", folder.display()),
    })
}

/// Makes a copy of a backup that is ready to be the store, and looks at it.
fn prepare(from: &Path, half: &Path) -> Result<(), StoreError> {
    drop_with_log(half);
    let (conn, _) = open::open_any(from)?;
    copy(from, &conn, half)?;
    let name = from.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let conn = Connection::open(half).map_err(|e| classify(half, &e, During::Write))?;
    open::set_value(&conn, key::RESTORED, name)
        // It was just checked: it need not be checked again when it is opened.
        .and_then(|()| open::set_value(&conn, key::CLEAN, 1))
        .map_err(|e| classify(half, &e, During::Write))?;
    drop(conn);
    File::open(half).and_then(|f| f.sync_all()).map_err(|e| io(half, &e))
}

/// Moves the store and its log out of the way.
fn set_aside(path: &Path, now: Instant) -> std::io::Result<Option<PathBuf>> {
    let to = beside(path, &format!(".damaged-{}", stamp(now)));
    let mut moved = None;
    for ending in ["", "-wal", "-shm"] {
        match fs::rename(beside(path, ending), beside(&to, ending)) {
            Ok(()) => moved = Some(to.clone()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(moved)
}

/// Packs the file anew, without the holes that dropped rows leave. Nobody else may have the store open. Answers how
/// many bytes it took before and takes now.
///
/// # Errors
/// Somebody has the store, or it cannot be opened, or the disk has no room for the copy that this makes.
pub fn vacuum(path: &Path) -> Result<(u64, u64), StoreError> {
    if !path.exists() {
        return Err(other(path, "there is no such file".to_owned()));
    }
    let before = super::disk::size(path);
    let options = super::SqliteOptions { ballast_bytes: 0, readers: 1, ..super::SqliteOptions::default() };
    let opened = open::open(path, &options)?;
    drop(opened.readers);
    let conn = opened.writer;
    conn.execute_batch("VACUUM; ANALYZE;")
        .and_then(|()| open::set_value(&conn, key::CLEAN, 1))
        .and_then(|()| conn.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(())))
        .map_err(|e| classify(path, &e, During::Write))?;
    drop(conn);
    let after = super::disk::size(path);
    drop(opened.lock);
    Ok((before, after))
}
