//! The disk under a store: how much is free, and the ballast that is given up once when nothing is (§16.4).

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::open::{BALLAST, beside};
use super::stopwatch::Stopwatch;

/// Bytes of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    /// What may still be written.
    pub(super) free: u64,
    /// All there is.
    pub(super) total: u64,
}

/// How much space is where `path` lies.
pub(super) fn space(path: &Path) -> Option<Space> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(Space {
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
    })
}

/// How many bytes the store takes: its file and its log.
pub(super) fn size(path: &Path) -> u64 {
    let length = |path: &Path| std::fs::metadata(path).map(|m| m.len()).unwrap_or(0);
    length(path) + length(&beside(path, "-wal"))
}

/// A file that takes space, to be given up when the last space is needed to write down why.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
    /// It lies there in full.
    whole: bool,
    looked: Option<Stopwatch>,
}

/// After a look that found no space, the next one waits this long.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Ballast {
    /// The ballast of a store; laid down at once where there is space.
    pub(super) fn of(store: &Path, bytes: u64) -> Ballast {
        let path = beside(store, BALLAST);
        let whole = bytes > 0 && std::fs::metadata(&path).is_ok_and(|m| m.len() == bytes);
        let mut ballast = Ballast { path, bytes, whole, looked: None };
        ballast.lay_down();
        ballast
    }

    /// Gives the space back to the disk. Answers whether there was any to give.
    pub(super) fn release(&mut self) -> std::io::Result<bool> {
        // Now it is the store's turn; the next look is a minute away.
        self.looked = Some(Stopwatch::start());
        self.whole = false;
        match std::fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Lays it down again where it is missing and there is space, after a while.
    pub(super) fn tend(&mut self) {
        if !self.whole && self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN) {
            self.lay_down();
        }
    }

    /// Lays it down where it is missing and four times its size is free.
    pub(super) fn lay_down(&mut self) {
        self.looked = Some(Stopwatch::start());
        if self.whole || self.bytes == 0 {
            return;
        }
        if space(&self.path).is_none_or(|space| space.free / 4 < self.bytes) {
            return;
        }
        match write_whole(&self.path, self.bytes) {
            Ok(()) => self.whole = true,
            Err(error) => {
                // Half a ballast takes space and is of no use.
                _ = std::fs::remove_file(&self.path);
                tracing::warn!(file = %self.path.display(), %error, "the ballast could not be laid down");
            }
        }
    }

    /// Whether it lies there.
    #[cfg(test)]
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }
}

/// Writes bytes that do not compress, so that the space is really taken.
fn write_whole(path: &Path, bytes: u64) -> std::io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = vec![0_u8; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        for word in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(&block[..length])?;
        left -= length as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ballast_is_given_up_once_and_laid_down_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("a.db");
        let file = folder.path().join("a.db.ballast");
        let mut ballast = Ballast::of(&store, 100_000);
        assert!(ballast.is_whole());
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 100_000);
        assert!(ballast.release().unwrap());
        assert!(!ballast.release().unwrap(), "once");
        assert!(!file.exists());
        ballast.tend();
        assert!(!ballast.is_whole(), "not at once: the space is the store's now");
        ballast.lay_down();
        assert!(ballast.is_whole());
        // One of another size is laid down anew; none is none.
        assert!(Ballast::of(&store, 50_000).is_whole());
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 50_000);
        assert!(!Ballast::of(&store, 0).is_whole());
        // More than the disk can spare is left alone.
        assert!(!Ballast::of(&store, u64::MAX).is_whole());
    }

    #[test]
    fn the_space_of_a_place_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let space = space(&folder.path().join("a.db")).unwrap();
        assert!(0 < space.free && space.free <= space.total);
        assert_eq!(super::space(Path::new("/nowhere/at/all")), None);
    }
}
