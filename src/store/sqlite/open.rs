//! Opening a store: the lock, what the file holds, how SQLite is to work on it.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::super::StoreError;
use super::fault::{During, classify};
use super::lock::Lock;
use super::migrate::{self, Found};
use super::queue::Bound;

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// Bytes kept beside the store to be given up once when the disk is full; 0 for none (§16.4).
    pub ballast_bytes: u64,
    /// How long to wait for another program that holds the file, such as a SQL shell.
    pub busy_timeout: Duration,
    /// How many connections read at once.
    pub readers: usize,
    /// The memory each connection keeps pages in.
    pub cache_bytes: u64,
    /// How many batches may wait for the writer, and how many bytes.
    pub queue_batches: usize,
    /// See `queue_batches`; one batch alone may be larger.
    pub queue_bytes: usize,
    /// How much goes into one commit: rows and audit records together.
    pub commit_rows: usize,
    /// See `commit_rows`; one batch alone may be larger.
    pub commit_bytes: usize,
    /// How many rejected inputs a desk keeps; the oldest go first.
    pub rejects: u64,
    /// How many parked receipts a desk keeps; the oldest go first.
    pub parked: u64,
    /// The largest size of the file in pages, to try out a full disk; `None` for no limit.
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> SqliteOptions {
        SqliteOptions {
            ballast_bytes: 16 << 20,
            busy_timeout: Duration::from_secs(5),
            readers: 2,
            // Most of what a commit changes lies together; what does not the system holds.
            cache_bytes: 4 << 20,
            queue_batches: 1024,
            queue_bytes: 64 << 20,
            commit_rows: 20_000,
            commit_bytes: 16 << 20,
            rejects: 10_000,
            parked: 10_000,
            max_pages: None,
        }
    }
}

impl SqliteOptions {
    pub(super) fn bound(&self) -> Bound {
        Bound { count: self.queue_batches.max(1), bytes: self.queue_bytes }
    }
}

/// The size of a page. Rows of JSON are 1 to 3 KiB: in pages of 4 KiB they took a quarter more space and a third more time.
const PAGE_BYTES: u32 = 8192;

/// The keys of the table `store`.
pub(super) mod key {
    /// 1 after an orderly close, 0 while it is open.
    pub(crate) const CLEAN: &str = "clean";
    /// Written by every probe.
    pub(crate) const PROBE: &str = "probe";
    /// The backup it was restored from, until the daemon has dealt with it.
    pub(crate) const RESTORED: &str = "restored";
}

/// An open store before its threads run.
pub(super) struct Opened {
    pub(super) lock: Lock,
    pub(super) writer: Connection,
    pub(super) readers: Vec<Connection>,
    /// The backup it was restored from.
    pub(super) restored: Option<String>,
}

/// Opens the store at `path`, or begins one.
pub(super) fn open(path: &Path, options: &SqliteOptions) -> Result<Opened, StoreError> {
    let place = path.display().to_string();
    let other = |reason: String| StoreError::Other { place: place.clone(), reason };
    prepare_folder(path).map_err(|e| other(format!("its directory cannot be made: {e}")))?;
    let mut lock = Lock::take(path)?;
    let length = std::fs::metadata(path).map(|m| m.len()).unwrap_or(0);
    let in_log = std::fs::metadata(beside(path, "-wal")).map(|m| m.len()).unwrap_or(0);
    if length == 0 && in_log == 0 && lock.kept_before {
        return Err(StoreError::Damaged {
            place,
            reason: format!(
                "a store was kept here, and it is gone or empty: restore a backup, or remove {} to begin a new one",
                super::lock::lock_path(path).display()
            ),
        });
    }
    // Made here, so that nobody else may read it: SQLite gives its log the mode of the file.
    if let Err(e) =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
    {
        return Err(match e.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::Refused { place, reason: format!("it cannot be written: {e}") }
            }
            _ => other(format!("it cannot be opened: {e}")),
        });
    }
    if in_log > 0 {
        // The last run did not end in good order: what it wrote and could not flush may be in memory and not on the
        // medium. The medium is what counts (§16.4).
        forget_cached(path);
    }
    let told = |fault: Fault| match fault {
        Fault::Sql(e) => classify(path, &e, During::Write),
        Fault::Told(e) => e,
    };
    let (writer, restored) = match open_writer(path, options).map_err(told) {
        // A start on a full disk is what the ballast is for, too.
        Err(StoreError::Refused { .. }) if std::fs::remove_file(beside(path, BALLAST)).is_ok() => {
            open_writer(path, options).map_err(told)?
        }
        opened => opened?,
    };
    let mut readers = Vec::new();
    for _ in 0..options.readers.max(1) {
        readers.push(open_reader(path, options).map_err(|e| classify(path, &e, During::Read))?);
    }
    if let Err(error) = lock.note_kept() {
        tracing::warn!(store = %path.display(), %error, "the lock could not be written");
    }
    Ok(Opened { lock, writer, readers, restored })
}

/// Lets the system forget what it holds of the files, so that they are read from the medium.
fn forget_cached(path: &Path) {
    for ending in ["", "-wal"] {
        if let Ok(file) = std::fs::File::open(beside(path, ending)) {
            // Where a file system cannot do that, it is read as it is.
            _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        }
    }
}

fn prepare_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)
        }
        _ => Ok(()),
    }
}

/// The ending of the ballast.
pub(super) const BALLAST: &str = ".ballast";

/// The file beside the store with this ending, such as its log `-wal`.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What may go wrong: known to SQLite, or to us.
enum Fault {
    Sql(rusqlite::Error),
    Told(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sql(error)
    }
}

fn open_writer(path: &Path, options: &SqliteOptions) -> Result<(Connection, Option<String>), Fault> {
    let place = path.display().to_string();
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(options.busy_timeout)?;
    let found = recognise(&conn, path)?;
    if found == 0 {
        conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    }
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::Told(StoreError::Other {
            place,
            reason: format!(
                "its file system cannot hold a write-ahead log (journal mode `{mode}`): use a local disk"
            ),
        }));
    }
    // A commit is durable when it returns; checkpoints are ours, so that a failed flush in one is seen.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
    common(&conn, options)?;
    if let Some(pages) = options.max_pages {
        conn.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    let clean: i64 = if found == 0 { 1 } else { value(&conn, key::CLEAN)?.unwrap_or(0) };
    if clean != 1 {
        let report: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if report != "ok" {
            return Err(Fault::Told(StoreError::Damaged { place, reason: report }));
        }
    }
    migrate::migrate(&mut conn, found)?;
    set_value(&conn, key::CLEAN, 0)?;
    let restored = value(&conn, key::RESTORED)?;
    Ok((conn, restored))
}

/// The schema version of the file, 0 when it holds nothing yet.
fn recognise(conn: &Connection, path: &Path) -> Result<u32, Fault> {
    let place = path.display().to_string();
    match migrate::find(conn)? {
        Found::Empty => Ok(0),
        Found::Schema(found) if found > migrate::known() => {
            Err(Fault::Told(StoreError::Newer { place, found, known: migrate::known() }))
        }
        Found::Schema(found) => Ok(found),
        Found::Foreign => Err(Fault::Told(StoreError::Other {
            place,
            reason: "it is a database of another program: choose another path".to_owned(),
        })),
    }
}

/// Opens a connection that only reads, beside whoever writes. The file must hold a store.
pub(super) fn open_reader(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(options.busy_timeout)?;
    conn.pragma_update(None, "query_only", true)?;
    common(&conn, options)?;
    Ok(conn)
}

/// Opens a store of this program's schema for looking only, without the lock: beside a running daemon, or without one.
pub(super) fn open_to_look(path: &Path) -> Result<Connection, StoreError> {
    let (conn, found) = open_any(path)?;
    if found < migrate::known() {
        return Err(StoreError::Other {
            place: path.display().to_string(),
            reason: format!(
                "it has schema {found}, this program works with {}: start the daemon once, which brings it up to date",
                migrate::known()
            ),
        });
    }
    Ok(conn)
}

/// As [`open_to_look`], of an older schema too. Answers with it.
pub(super) fn open_any(path: &Path) -> Result<(Connection, u32), StoreError> {
    let place = path.display().to_string();
    if !path.exists() {
        return Err(StoreError::Other { place, reason: "there is no such file".to_owned() });
    }
    let opened = (|| {
        let conn = open_reader(path, &SqliteOptions::default())?;
        match recognise(&conn, path)? {
            0 => Err(Fault::Told(StoreError::Other { place, reason: "it holds no store".to_owned() })),
            found => Ok((conn, found)),
        }
    })();
    opened.map_err(|e| match e {
        Fault::Sql(e) => classify(path, &e, During::Read),
        Fault::Told(e) => e,
    })
}

fn common(conn: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    // No memory map: an error of the medium under one kills the process instead of being told.
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    // Negative: in KiB rather than in pages.
    let kib = i64::try_from(options.cache_bytes / 1024).unwrap_or(i64::MAX);
    conn.pragma_update(None, "cache_size", -kib)?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// A value of the table `store`.
pub(super) fn value<T: rusqlite::types::FromSql>(
    conn: &Connection,
    key: &str,
) -> rusqlite::Result<Option<T>> {
    use rusqlite::OptionalExtension as _;
    conn.query_row("SELECT value FROM store WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// Sets a value of the table `store`.
pub(super) fn set_value(conn: &Connection, key: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT INTO store (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        rusqlite::params![key, value],
    )
    .map(|_| ())
}
