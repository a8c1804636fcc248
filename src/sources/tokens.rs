//! The tokens of one shop in a file of their own: both are replaced at once, before the first is used, so that a crash
//! loses none (`platforms` 10.1, 10). They are in no store and in no backup of one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::ids::Secret;
use crate::core::time::Instant;
use crate::sources::platform::Tokens;
use crate::wire::secret::replace;

/// Why a file of tokens cannot be used. Says where, never what.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    /// It cannot be read.
    #[error("failed to read token_file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "token_file {}: line {line} is not what was expected: {{\"access_token\": \"…\", \"refresh_token\": \"…\", \
         \"access_until\": \"2026-03-02T10:00:00+08:00\"}}", path.display()
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
    },
    /// It cannot be written.
    #[error("failed to write token_file {}: {source}; the new tokens are in memory only", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    access_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_until: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_until: Option<Instant>,
}

/// More than this is something else.
const LONGEST: u64 = 64 * 1024;

/// Reads the tokens of a shop. Blocks.
///
/// # Errors
/// The file cannot be read, or is something else.
pub fn read(path: &Path) -> Result<Tokens, TokenFault> {
    let fault = |source| TokenFault::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(fault)?.len() > LONGEST {
        return Err(TokenFault::Form { path: path.to_owned(), line: 0 });
    }
    let text = fs::read_to_string(path).map_err(fault)?;
    // The reason of serde may quote the file.
    let bad = |line| TokenFault::Form { path: path.to_owned(), line };
    let form: Form = serde_json::from_str(&text).map_err(|e| bad(e.line()))?;
    if form.access_token.is_empty() {
        return Err(bad(1));
    }
    Ok(Tokens {
        access: Secret::new(form.access_token),
        refresh: form.refresh_token.filter(|t| !t.is_empty()).map(Secret::new),
        access_until: form.access_until,
        refresh_until: form.refresh_until,
    })
}

/// Replaces the tokens of a shop, all at once, durably, for nobody else to read. Blocks.
///
/// # Errors
/// The folder cannot be written.
pub fn write(path: &Path, tokens: &Tokens) -> Result<(), TokenFault> {
    let form = Form {
        access_token: tokens.access.reveal().to_owned(),
        refresh_token: tokens.refresh.as_ref().map(|t| t.reveal().to_owned()),
        access_until: tokens.access_until,
        refresh_until: tokens.refresh_until,
    };
    let text = serde_json::to_string_pretty(&form).map_err(io::Error::from);
    let written = text.and_then(|text| replace(path, text.as_bytes()));
    written.map_err(|source| TokenFault::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back_and_are_for_nobody_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.json");
        assert!(read(&path).unwrap_err().to_string().contains("No such file"));
        let tokens = Tokens {
            access: Secret::new("a"),
            refresh: Some(Secret::new("r")),
            access_until: Some(Instant::from_secs(1_767_600_000)),
            refresh_until: None,
        };
        write(&path, &tokens).unwrap();
        assert_eq!(read(&path).unwrap(), tokens);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(&path, "{\"access_token\":\"hunter2\",\n\"colour\":1}").unwrap();
        let told = read(&path).unwrap_err().to_string();
        assert!(told.contains("line 2") && !told.contains("hunter2"), "{told}");
        fs::write(&path, "{\"access_token\":\"\"}").unwrap();
        assert!(read(&path).is_err());
    }
}
