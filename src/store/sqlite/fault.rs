//! What an error of SQLite means for whoever asked (§16.4).

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use rusqlite::ffi;

use super::super::StoreError;

/// During what an error came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum During {
    /// Reading.
    Read,
    /// Writing, committing, checkpointing.
    Write,
}

/// The class of an error at the store `path`.
pub(super) fn classify(path: &Path, error: &rusqlite::Error, during: During) -> StoreError {
    let place = path.display().to_string();
    let Some(code) = error.sqlite_extended_error_code() else {
        return StoreError::Other { place, reason: error.to_string() };
    };
    let reason = error.to_string();
    match code & 0xff {
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => StoreError::Damaged { place, reason },
        ffi::SQLITE_FULL => StoreError::Refused { place, reason: format!("no space is left: {reason}") },
        ffi::SQLITE_READONLY | ffi::SQLITE_PERM => StoreError::Refused { place, reason },
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => {
            StoreError::Refused { place, reason: format!("another program holds it: {reason}") }
        }
        ffi::SQLITE_IOERR if code == ffi::SQLITE_IOERR_CORRUPTFS => StoreError::Damaged { place, reason },
        // Growing the shared memory of the log fails like this on a full disk; nothing was written yet.
        ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN if during == During::Write => match refusal(path) {
            Some(why) => StoreError::Refused { place, reason: format!("{why}: {reason}") },
            None if code & 0xff == ffi::SQLITE_IOERR => StoreError::Flush { place, reason },
            None => StoreError::Other { place, reason },
        },
        _ => StoreError::Other { place, reason },
    }
}

/// SQLite tells a full disk from other errors of the medium, but not a quota, a limit or a medium that has become
/// read-only: a small file beside the store shows which it is. `None` when that can be written and synced.
fn refusal(store: &Path) -> Option<String> {
    let mut name = store.as_os_str().to_owned();
    name.push(".try");
    let path = Path::new(&name);
    let tried = OpenOptions::new().write(true).create(true).truncate(true).open(path).and_then(|mut file| {
        file.write_all(&[0x5a; 65_536])?;
        file.sync_all()
    });
    // It is only a trial; one that stays is overwritten by the next.
    _ = std::fs::remove_file(path);
    match tried.as_ref().map_err(std::io::Error::kind) {
        Err(ErrorKind::StorageFull) => Some("no space is left".to_owned()),
        Err(ErrorKind::QuotaExceeded) => Some("the quota is used up".to_owned()),
        Err(ErrorKind::FileTooLarge) => Some("the limit of a file's size is reached".to_owned()),
        Err(ErrorKind::ReadOnlyFilesystem) => Some("the file system is read-only".to_owned()),
        Err(ErrorKind::PermissionDenied) => Some("the directory may not be written".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_class() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let class = |code: i32, during: During| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            match classify(&path, &error, during) {
                StoreError::Refused { .. } => "refused",
                StoreError::Flush { .. } => "flush",
                StoreError::Damaged { .. } => "damaged",
                StoreError::Other { .. } => "other",
                _ => "?",
            }
        };
        for (code, during, want) in [
            (ffi::SQLITE_FULL, During::Write, "refused"),
            (ffi::SQLITE_READONLY, During::Write, "refused"),
            (ffi::SQLITE_READONLY_DBMOVED, During::Write, "refused"),
            (ffi::SQLITE_BUSY, During::Write, "refused"),
            (ffi::SQLITE_IOERR_FSYNC, During::Write, "flush"),
            (ffi::SQLITE_IOERR_WRITE, During::Write, "flush"),
            (ffi::SQLITE_IOERR_READ, During::Read, "other"),
            (ffi::SQLITE_IOERR_CORRUPTFS, During::Read, "damaged"),
            (ffi::SQLITE_CORRUPT, During::Read, "damaged"),
            (ffi::SQLITE_CORRUPT_INDEX, During::Write, "damaged"),
            (ffi::SQLITE_NOTADB, During::Read, "damaged"),
            (ffi::SQLITE_CONSTRAINT, During::Write, "other"),
            (ffi::SQLITE_NOMEM, During::Write, "other"),
        ] {
            assert_eq!(class(code, during), want, "{code}");
        }
    }
}
