//! `[store]`: where a desk is kept, and for how long.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::problem::Problems;
use crate::core::time::Span;

use super::SqliteOptions;

/// `[store]`: where the desk is kept, and how long what is over stays in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// One SQLite file.
    pub sqlite: SqliteConfig,
    /// How long resolved incidents stay, with their notices, messages and attempts.
    pub keep_closed: Span,
    /// How long audit records stay, 180 days at least; then only the digest of what was dropped is kept (A3).
    pub keep_audit: Span,
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        StoreConfig {
            sqlite: SqliteConfig::default(),
            keep_closed: Span::DAY.times(180),
            keep_audit: Span::DAY.times(400),
        }
    }
}

/// `[store.sqlite]`: the file, its backups and its ballast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SqliteConfig {
    /// The file. Its directory is made when it is missing; its disk must be a local one.
    pub path: PathBuf,
    /// The directory of the backups; without it, `backups` beside the file.
    pub backups: Option<PathBuf>,
    /// A backup is made when the newest one is so old; `0s` for none by the daemon itself.
    pub backup_every: Span,
    /// How many backups stay in that directory.
    pub keep_backups: u32,
    /// Space that is kept for the hour in which the disk is full (§16.4); `0B` for none.
    pub ballast: Bytes,
}

impl Default for SqliteConfig {
    fn default() -> SqliteConfig {
        SqliteConfig {
            path: PathBuf::from("./shiftbell-data/shiftbell.db"),
            backups: None,
            backup_every: Span::DAY,
            keep_backups: 7,
            ballast: Bytes::mebi(16),
        }
    }
}

/// The least that audit records are kept for (A3).
const LEAST_AUDIT: Span = Span::from_millis(180 * 86_400_000);

/// A resolved incident can be reopened, and its messages get late receipts, for a day.
pub const LEAST_CLOSED: Span = Span::DAY;

/// The daemon looks at its backups every five minutes.
const LEAST_EVERY: Span = Span::from_minutes(5);

/// More would be most of a small disk.
const MOST_BALLAST: Bytes = Bytes::mebi(4096);

impl StoreConfig {
    /// Notes everything that is wrong.
    pub fn check(&self, problems: &mut Problems) {
        problems.within("sqlite", |problems| self.sqlite.check(problems));
        if self.keep_closed < LEAST_CLOSED {
            let found = self.keep_closed;
            problems.within("keep_closed", |p| {
                p.error(format!(
                    "found {found}, expected at least {LEAST_CLOSED}: late receipts still ask for it"
                ));
            });
        }
        if self.keep_audit < LEAST_AUDIT {
            let found = self.keep_audit;
            problems.within("keep_audit", |p| {
                p.error(format!(
                    "found {found}, expected at least 180d: who knew what when must stay provable"
                ));
            });
        } else if self.keep_audit < self.keep_closed {
            let found = self.keep_audit;
            problems.within("keep_audit", |p| {
                p.warn(format!(
                    "found {found}, expected at least `keep_closed` ({}): incidents would outlive their story",
                    self.keep_closed
                ));
            });
        }
    }

    /// Paths are meant in the folder of the file that names them; the default is meant where the program runs.
    pub fn rebase(&mut self, folder: &Path) {
        let default = SqliteConfig::default();
        if self.sqlite.path != default.path {
            self.sqlite.path = folder.join(&self.sqlite.path);
        }
        if let Some(backups) = &mut self.sqlite.backups {
            *backups = folder.join(&backups);
        }
    }
}

impl SqliteConfig {
    fn check(&self, problems: &mut Problems) {
        if self.path.as_os_str().is_empty() || self.path.file_name().is_none() {
            let found = self.path.display();
            problems.within("path", |p| {
                p.error(format!("found `{found}`, expected a file such as /var/lib/shiftbell/shiftbell.db"));
            });
        } else if self.path.is_dir() {
            let found = self.path.display();
            problems
                .within("path", |p| p.error(format!("found the directory `{found}`, expected a file in it")));
        }
        if !self.backup_every.is_zero() && self.backup_every < LEAST_EVERY {
            let found = self.backup_every;
            problems.within("backup_every", |p| {
                p.error(format!("found {found}, expected 0s for none, or at least {LEAST_EVERY}"));
            });
        }
        if self.keep_backups == 0 {
            problems.within("keep_backups", |p| {
                p.error(
                    "found 0, expected at least 1: the newest one is what a damaged file is restored from",
                );
            });
        }
        if self.ballast > MOST_BALLAST {
            let found = self.ballast;
            problems
                .within("ballast", |p| p.error(format!("found {found}, expected at most {MOST_BALLAST}")));
        }
    }

    /// The directory of the backups.
    pub fn backups_folder(&self) -> PathBuf {
        match (&self.backups, self.path.parent()) {
            (Some(folder), _) => folder.clone(),
            (None, Some(folder)) => folder.join("backups"),
            (None, None) => PathBuf::from("backups"),
        }
    }

    /// How to open it.
    pub fn options(&self) -> SqliteOptions {
        SqliteOptions { ballast_bytes: self.ballast.0, ..SqliteOptions::default() }
    }
}

/// So many bytes, as people write them: `512KiB`, `16MiB`, `1GiB`, `64MB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

/// The units, the largest first; what is written is the largest that divides.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl Bytes {
    /// So many MiB.
    pub const fn mebi(n: u64) -> Bytes {
        Bytes(n << 20)
    }
}

/// A text that is no number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a number of bytes, expected such as 512KiB, 16MiB or 1GiB")]
pub struct BadBytes(String);

impl FromStr for Bytes {
    type Err = BadBytes;

    fn from_str(text: &str) -> Result<Bytes, BadBytes> {
        let bad = || BadBytes(text.chars().take(40).collect());
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: u64 = trimmed[..end].parse().map_err(|_| bad())?;
        let unit = trimmed[end..].trim_start();
        let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(bad)?;
        number.checked_mul(*factor).map(Bytes).ok_or_else(bad)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        let binary = UNITS.iter().filter(|(name, _)| name.contains('i') || *name == "B");
        for (name, factor) in binary {
            if self.0.is_multiple_of(*factor) {
                return write!(f, "{}{name}", self.0 / factor);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "so many bytes: 512KiB, 16MiB, 1GiB",
            "pattern": r"^\s*[0-9]+\s*([KMG]i?)?B\s*$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let config: StoreConfig = toml::from_str(text).unwrap();
        let mut problems = Problems::new();
        config.check(&mut problems);
        problems.into_vec().into_iter().map(|p| format!("{}: {}", p.path, p.text)).collect()
    }

    #[test]
    fn bytes_read_and_write() {
        for (text, want) in [
            ("16MiB", Some("16MiB")),
            ("16 mib", Some("16MiB")),
            ("1024KiB", Some("1MiB")),
            ("1GB", Some("1000000000B")),
            ("0B", Some("0B")),
            ("7b", Some("7B")),
            ("16", None),
            ("", None),
            ("MiB", None),
            ("1.5MiB", None),
            ("-1MiB", None),
            ("99999999999999GiB", None),
        ] {
            let got = text.parse::<Bytes>().ok().map(|bytes| bytes.to_string());
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn every_mistake_is_told() {
        assert_eq!(told(""), [""; 0]);
        assert_eq!(
            told(
                "keep_closed = \"1h\"\nkeep_audit = \"90d\"\n[sqlite]\npath = \"/\"\nbackup_every = \"1m\"\nkeep_backups = 0\nballast = \"5GiB\"\n"
            ),
            [
                "sqlite.path: found `/`, expected a file such as /var/lib/shiftbell/shiftbell.db",
                "sqlite.backup_every: found 1m, expected 0s for none, or at least 5m",
                "sqlite.keep_backups: found 0, expected at least 1: the newest one is what a damaged file is restored from",
                "sqlite.ballast: found 5GiB, expected at most 4GiB",
                "keep_closed: found 1h, expected at least 24h: late receipts still ask for it",
                "keep_audit: found 2160h, expected at least 180d: who knew what when must stay provable",
            ]
        );
        assert_eq!(told("keep_closed = \"500d\"").len(), 1);
        assert!(toml::from_str::<StoreConfig>("[sqlite]\npaht = \"a\"").is_err());
    }

    #[test]
    fn paths_are_meant_where_they_are_named() {
        let mut config = StoreConfig::default();
        config.rebase(Path::new("/etc/shiftbell"));
        assert_eq!(config.sqlite.path, Path::new("./shiftbell-data/shiftbell.db"));
        assert_eq!(config.sqlite.backups_folder(), Path::new("./shiftbell-data/backups"));
        let mut config: StoreConfig = toml::from_str("[sqlite]\npath = \"a.db\"\nbackups = \"/b\"").unwrap();
        config.rebase(Path::new("/etc/shiftbell"));
        assert_eq!(config.sqlite.path, Path::new("/etc/shiftbell/a.db"));
        assert_eq!(config.sqlite.backups_folder(), Path::new("/b"));
        assert_eq!(config.sqlite.options().ballast_bytes, 16 << 20);
    }
}
