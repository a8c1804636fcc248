//! Everything that is wrong with a configuration, in the order of the files, for people and for machines.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::core::problem::Severity;

/// Where in the configuration something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The number of the file in the order of loading, to sort by; variables come last.
    #[serde(skip)]
    pub(crate) rank: usize,
    /// The file as it was named, `builtin:…` for a file inside the program, `$NAME` for an environment variable.
    pub file: String,
    /// The line, counted from 1; 0 where there are no lines.
    pub line: usize,
    /// The column in characters, counted from 1; 0 where there are no lines.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// One thing wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it was written.
    pub place: Place,
    /// The key it is about; empty for a whole file.
    pub key: String,
    /// Refused, or only told.
    pub severity: Severity,
    /// The value found and the value expected, in one line.
    pub text: String,
    /// The value found, where the text does not say it all.
    pub found: Option<String>,
    /// What was expected there.
    pub expected: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{} ({})", self.text, severity(self.severity))
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// All findings of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigReport {
    findings: Vec<Finding>,
    notes: Vec<String>,
}

impl ConfigReport {
    /// The findings, by file, line and column.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether the configuration is refused.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|f| f.severity == Severity::Error).count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.findings.len() - self.errors()
    }

    /// Adds a finding at its place in the order.
    pub(crate) fn push(&mut self, finding: Finding) {
        let order = |f: &Finding| (f.place.clone(), f.key.clone());
        let at = self.findings.partition_point(|f| order(f) <= order(&finding));
        self.findings.insert(at, finding);
    }

    /// Adds a remark about the report itself.
    pub(crate) fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|n| n == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// The same for machines: `{"errors": n, "warnings": n, "problems": [{"severity", "file", "line", "column",
    /// "key", "text", "found"?, "expected"?}], "notes": []}`.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            severity: &'a str,
            #[serde(flatten)]
            place: &'a Place,
            key: &'a str,
            text: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            found: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            expected: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Report<'a> {
            errors: usize,
            warnings: usize,
            problems: Vec<Line<'a>>,
            notes: &'a [String],
        }
        let report = Report {
            errors: self.errors(),
            warnings: self.warnings(),
            problems: self
                .findings
                .iter()
                .map(|f| Line {
                    severity: severity(f.severity),
                    place: &f.place,
                    key: &f.key,
                    text: &f.text,
                    found: f.found.as_deref(),
                    expected: f.expected.as_deref(),
                })
                .collect(),
            notes: &self.notes,
        };
        // Plain texts and numbers always serialise.
        serde_json::to_string_pretty(&report).unwrap_or_default()
    }
}

impl fmt::Display for ConfigReport {
    /// A line for each finding and the count at the end; nothing at all when nothing is wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        if self.findings.is_empty() {
            return Ok(());
        }
        let places: BTreeSet<&str> = self.findings.iter().map(|f| f.place.file.as_str()).collect();
        let counts = [(self.errors(), "error"), (self.warnings(), "warning")];
        let counted: Vec<String> =
            counts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| plural(n, what)).collect();
        writeln!(f, "{} in {}", counted.join(" and "), plural(places.len(), "place"))
    }
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
