//! The key of an installation: made once, kept beside the store, part of every backup.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::core::ids::InstallationKey;
use crate::wire::secret::replace;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("{path}: the installation key cannot be {what}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// Read or written.
        what: &'static str,
        /// Why.
        cause: io::Error,
    },
    /// It holds something else.
    #[error(
        "{path}: holds {found} bytes, expected the 32 of an installation key; restore it from a backup: with another \
             key, ids and links of before mean nothing any more"
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// How many it holds.
        found: usize,
    },
    /// Others can read it.
    #[error("{path}: can be read by others (mode {mode:o}), expected 600: chmod 600 {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Reads the key at `path`; with `make`, where there is none yet, draws one and keeps it.
///
/// # Errors
/// It cannot be read or made, is of another length, or others can read it.
pub fn read_or_make(path: &Path, make: bool) -> Result<InstallationKey, KeyError> {
    let fault = |what| move |cause| KeyError::File { path: path.to_owned(), what, cause };
    match fs::read(path) {
        Ok(bytes) => {
            let mode = fs::metadata(path).map_err(fault("read"))?.permissions().mode() & 0o777;
            if mode & 0o007 != 0 || mode & 0o020 != 0 {
                return Err(KeyError::Open { path: path.to_owned(), mode });
            }
            let found = bytes.len();
            let bytes = bytes.try_into().map_err(|_| KeyError::Length { path: path.to_owned(), found })?;
            Ok(InstallationKey::new(bytes))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound && make => {
            let mut bytes = [0; 32];
            fs::File::open("/dev/urandom")
                .and_then(|mut f| f.read_exact(&mut bytes))
                .map_err(fault("drawn"))?;
            if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
                fs::create_dir_all(folder).map_err(fault("written"))?;
            }
            replace(path, &bytes).map_err(fault("written"))?;
            Ok(InstallationKey::new(bytes))
        }
        Err(cause) => Err(fault("read")(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_never_by_accident() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/installation.key");
        assert!(matches!(read_or_make(&path, false), Err(KeyError::File { .. })));
        let made = read_or_make(&path, true).unwrap();
        assert!(made == read_or_make(&path, true).unwrap());
        assert!(made == read_or_make(&path, false).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read_or_make(&path, true), Err(KeyError::Open { mode: 0o644, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        assert!(matches!(read_or_make(&path, true), Err(KeyError::Length { found: 5, .. })));
        let other = read_or_make(&folder.path().join("other.key"), true).unwrap();
        assert!(made != other);
    }
}
