//! Where secrets come from: a file, a variable of the environment, a credential of systemd; written into the
//! configuration only by who says so on purpose. And how a file that holds some is replaced.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::ids::Secret;
use crate::core::problem::Problems;

/// A secret that stands in the configuration itself. Never printed, never written.
#[derive(Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct InlineSecret(String);

impl InlineSecret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> InlineSecret {
        InlineSecret(text.into())
    }
}

impl fmt::Debug for InlineSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InlineSecret(…)")
    }
}

impl Serialize for InlineSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl<'de> Deserialize<'de> for InlineSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<InlineSecret, D::Error> {
        String::deserialize(deserializer).map(InlineSecret)
    }
}

/// A secret that cannot be read. Says where, never what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// The file cannot be read.
    #[error("failed to read {key} {}: {reason}", path.display())]
    File {
        /// The key that names it.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The variable is not set.
    #[error("{key} names the variable {variable}, which is not set")]
    Variable {
        /// The key that names it.
        key: String,
        /// The variable.
        variable: String,
    },
    /// There are no credentials of systemd.
    #[error(
        "{key} names the credential {credential}, but CREDENTIALS_DIRECTORY is not set: start it by systemd with \
         LoadCredential={credential}:FILE, or use {other}"
    )]
    NoCredentials {
        /// The key that names it.
        key: String,
        /// The key that names a file instead.
        other: String,
        /// The credential.
        credential: String,
    },
    /// It is not configured.
    #[error("has no {key}, which names the file of the secret")]
    Missing {
        /// The key that would name its file.
        key: String,
    },
    /// It is empty.
    #[error("{key}: the secret is empty")]
    Empty {
        /// The key that names it.
        key: String,
    },
}

/// The four ways to give one secret.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pick<'a> {
    /// The key without `_file`, `_env`, `_credential`; ends in a dot where these are keys of a section of their own.
    pub(crate) base: &'static str,
    pub(crate) file: &'a Option<String>,
    pub(crate) env: &'a Option<String>,
    pub(crate) credential: &'a Option<String>,
    pub(crate) inline: Option<&'a InlineSecret>,
}

/// A secret as a section of its own: `secret.file = "/etc/shiftbell/robot.secret"`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretConfig {
    /// The file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The variable of the environment that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// The systemd credential that holds it (`LoadCredential=`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl SecretConfig {
    fn pick(&self, base: &'static str) -> Pick<'_> {
        Pick { base, file: &self.file, env: &self.env, credential: &self.credential, inline: None }
    }

    /// Notes everything that is wrong with the section `base`, such as `secret.`.
    pub(crate) fn check(&self, base: &'static str, problems: &mut Problems) {
        self.pick(base).check(problems);
    }

    /// The same, where it must be there.
    pub(crate) fn check_given(&self, base: &'static str, problems: &mut Problems) {
        self.check(base, problems);
        if !self.pick(base).is_given() {
            problems.error(format!("has no secret, expected one of {base}file, {base}env, {base}credential"));
        }
    }

    /// The secret, `None` where none is configured.
    pub(crate) fn read(
        &self,
        base: &'static str,
        env: &BTreeMap<String, String>,
    ) -> Result<Option<Secret>, SecretFault> {
        self.pick(base).read(env)
    }

    /// The secret, where it must be there.
    pub(crate) fn need(
        &self,
        base: &'static str,
        env: &BTreeMap<String, String>,
    ) -> Result<Secret, SecretFault> {
        self.read(base, env)?.ok_or_else(|| SecretFault::Missing { key: format!("{base}file") })
    }

    /// Takes a relative path as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        if let Some(file) = &mut self.file {
            *file = folder.join(&*file).display().to_string();
        }
    }
}

/// More than this in a secret file is a mistake.
const LONGEST: u64 = 64 * 1024;

impl Pick<'_> {
    fn key(&self, way: &str) -> String {
        let sign = if self.base.ends_with('.') { "" } else { "_" };
        format!("{}{sign}{way}", self.base)
    }

    fn given(&self) -> Vec<String> {
        [
            (self.file.is_some(), self.key("file")),
            (self.env.is_some(), self.key("env")),
            (self.credential.is_some(), self.key("credential")),
            (self.inline.is_some(), self.base.to_owned()),
        ]
        .into_iter()
        .filter_map(|(given, key)| given.then_some(key))
        .collect()
    }

    pub(crate) fn is_given(&self) -> bool {
        !self.given().is_empty()
    }

    /// Notes it when it is given twice, and when its file cannot be read now.
    pub(crate) fn check(&self, problems: &mut Problems) {
        let given = self.given();
        if given.len() > 1 {
            problems.error(format!("has {}, expected only one of them", given.join(" and ")));
        }
        if let Some(file) = self.file {
            let key = self.key("file");
            if let Err(e) = std::fs::metadata(file) {
                problems.within(key.as_str(), |p| {
                    p.warn(format!(
                        "cannot be read now: {e}; the service may be allowed to where this check is not"
                    ));
                });
            }
        }
        if let Some(name) = self.credential
            && (name.is_empty() || name.contains('/') || name.starts_with('.'))
        {
            problems.within(self.key("credential").as_str(), |p| {
                p.error(format!("found `{name}`, expected the name of a credential, without a path"));
            });
        }
    }

    /// The secret itself, `None` where none is configured. A line break at its end is not part of it.
    pub(crate) fn read(&self, env: &BTreeMap<String, String>) -> Result<Option<Secret>, SecretFault> {
        let key = || self.given().pop().unwrap_or_default();
        let text = if let Some(file) = self.file {
            read_file(&key(), Path::new(file))?
        } else if let Some(variable) = self.env {
            env.get(variable)
                .cloned()
                .ok_or_else(|| SecretFault::Variable { key: key(), variable: variable.clone() })?
        } else if let Some(credential) = self.credential {
            let folder = env.get("CREDENTIALS_DIRECTORY").ok_or_else(|| SecretFault::NoCredentials {
                key: key(),
                other: self.key("file"),
                credential: credential.clone(),
            })?;
            read_file(&key(), &Path::new(folder).join(credential))?
        } else if let Some(inline) = self.inline {
            inline.0.clone()
        } else {
            return Ok(None);
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(SecretFault::Empty { key: key() });
        }
        Ok(Some(Secret::new(text)))
    }
}

fn read_file(key: &str, path: &Path) -> Result<String, SecretFault> {
    let fault = |reason: String| SecretFault::File { key: key.to_owned(), path: path.to_owned(), reason };
    let length = std::fs::metadata(path).map_err(|e| fault(e.to_string()))?.len();
    if length > LONGEST {
        return Err(fault(format!("is {length} bytes long, expected at most {LONGEST}")));
    }
    std::fs::read_to_string(path).map_err(|e| fault(e.to_string()))
}

/// Replaces a file that only its owner may read: whole, all at once and durably. Blocks.
///
/// # Errors
/// Its folder cannot be written; what was there is as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Under another name first: half of it must never lie there.
    let mut partial = path.as_os_str().to_owned();
    partial.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_one_of_four_places() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pw");
        std::fs::write(&file, "hunter2 \r\n").unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        let path = |name: &str| Some(folder.path().join(name).display().to_string());
        let env: BTreeMap<_, _> =
            [("PW", "hunter3"), ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap())]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into();
        let none = None;
        let some = |text: &str| Some(text.to_owned());
        fn pick<'a>(
            file: &'a Option<String>,
            env: &'a Option<String>,
            credential: &'a Option<String>,
        ) -> Pick<'a> {
            Pick { base: "password", file, env, credential, inline: None }
        }
        let read = |pick: Pick<'_>, env: &BTreeMap<_, _>| {
            pick.read(env).map(|s| s.map(|s| s.reveal().to_owned())).map_err(|e| e.to_string())
        };
        assert_eq!(read(pick(&path("pw"), &none, &none), &env), Ok(some("hunter2 ")));
        assert_eq!(read(pick(&none, &some("PW"), &none), &env), Ok(some("hunter3")));
        assert_eq!(read(pick(&none, &none, &some("pw")), &env), Ok(some("hunter2 ")));
        assert_eq!(read(pick(&none, &none, &none), &env), Ok(None));
        let inline = InlineSecret::new("hunter4");
        assert_eq!(
            read(Pick { inline: Some(&inline), ..pick(&none, &none, &none) }, &env),
            Ok(some("hunter4"))
        );
        let told = |pick: Pick<'_>, env: &BTreeMap<_, _>| read(pick, env).unwrap_err();
        assert_eq!(
            told(pick(&none, &some("NO"), &none), &env),
            "password_env names the variable NO, which is not set"
        );
        assert_eq!(told(pick(&path("empty"), &none, &none), &env), "password_file: the secret is empty");
        assert!(told(pick(&path("gone"), &none, &none), &env).contains("No such file"));
        assert!(
            told(pick(&none, &none, &some("pw")), &BTreeMap::new()).contains("LoadCredential=pw:FILE"),
            "the remedy"
        );
    }

    #[test]
    fn an_inline_secret_is_never_printed() {
        let secret = InlineSecret::new("hunter2");
        let shown = format!("{secret:?} {}", serde_json::to_string(&secret).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
