//! What is wrong with a configuration, told all at once.
//!
//! Each section checks itself and notes every [`Problem`] with its key path; `config/` adds the file and the
//! line. An error keeps the configuration from being used, a warning does not.

use std::fmt;

/// One step of a key path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// A place in a list, counted from 0.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Step {
        Step::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Step {
        Step::Index(index)
    }
}

/// Where in a configuration something stands: `clock[3].ring[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(pub Vec<Step>);

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used, and somebody should look.
    Warning,
}

/// One thing wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Refused, or only told.
    pub severity: Severity,
    /// The key it is about.
    pub path: KeyPath,
    /// The value found and the value expected, as a lower-case fragment.
    pub text: String,
}

/// Collects problems while a section checks itself, keeping track of the key it is at.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    here: KeyPath,
}

impl Problems {
    /// Nothing wrong so far, at the top of the configuration.
    pub fn new() -> Problems {
        Problems::default()
    }

    /// Checks what lies under `step`.
    pub fn within<R>(&mut self, step: impl Into<Step>, check: impl FnOnce(&mut Problems) -> R) -> R {
        self.here.0.push(step.into());
        let result = check(self);
        self.here.0.pop();
        result
    }

    /// Notes an error at the present key.
    pub fn error(&mut self, text: impl Into<String>) {
        self.note(Severity::Error, text.into());
    }

    /// Notes a warning at the present key.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.note(Severity::Warning, text.into());
    }

    fn note(&mut self, severity: Severity, text: String) {
        self.list.push(Problem { severity, path: self.here.clone(), text });
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|p| p.severity == Severity::Error)
    }

    /// How many errors have been noted: a section that noted none itself leaves it as it was.
    pub fn error_count(&self) -> usize {
        self.list.iter().filter(|p| p.severity == Severity::Error).count()
    }

    /// How many have been noted.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// All of them, in the order they were noted.
    pub fn into_vec(self) -> Vec<Problem> {
        self.list
    }
}
