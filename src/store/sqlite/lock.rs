//! The lock beside the file: one process at a time, and a second one is told who has it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::super::StoreError;

/// The line that says that a store was kept beside this lock.
const KEPT: &str = "a store is kept here";

/// A lock that is held until it is dropped, or the process ends in any way.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// A store was kept here before: if its file is gone now, that is damage and not a beginning.
    pub(super) kept_before: bool,
}

/// Where the lock of a store lies.
pub fn lock_path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

impl Lock {
    /// Takes the lock of the store at `store`.
    ///
    /// # Errors
    /// Another process has it, or its file cannot be written.
    pub(super) fn take(store: &Path) -> Result<Lock, StoreError> {
        let path = lock_path(store);
        let place = path.display().to_string();
        let failed = |e: std::io::Error| {
            let (place, reason) = (place.clone(), format!("the lock cannot be taken: {e}"));
            match e.kind() {
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull => {
                    StoreError::Refused { place, reason }
                }
                _ => StoreError::Other { place, reason },
            }
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let taken = file.try_lock();
        let mut text = String::new();
        // What is written there is a help for people; a text that cannot be read is no text.
        _ = (&file).take(4096).read_to_string(&mut text);
        match taken {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = match text.lines().next() {
                    Some(line) if !line.is_empty() => line.to_owned(),
                    _ => "unknown".to_owned(),
                };
                return Err(StoreError::Locked { place: store.display().to_string(), holder });
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let kept_before = text.lines().any(|line| line == KEPT);
        let mut lock = Lock { file, kept_before };
        // On a full disk the lock holds all the same; only the name of its holder is missing.
        _ = lock.write(kept_before);
        Ok(lock)
    }

    /// Notes that there is a store from now on.
    pub(super) fn note_kept(&mut self) -> std::io::Result<()> {
        if self.kept_before {
            return Ok(());
        }
        self.write(true)?;
        self.file.sync_all()?;
        self.kept_before = true;
        Ok(())
    }

    fn write(&mut self, kept: bool) -> std::io::Result<()> {
        let mut text = format!("process {}\n", std::process::id());
        if kept {
            text.push_str(KEPT);
            text.push('\n');
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)
    }
}
