//! One configuration, loaded: the settings, what is wrong with them, and where everything was written.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::config::document::Document;
use crate::config::environment;
use crate::config::include::{self, Files};
use crate::config::report::{ConfigReport, Finding, Place};
use crate::config::secrets::{MASK, Secrets, is_secret};
use crate::config::settle::{MisfitKind, settle};
use crate::config::tree::{Node, Origin, Value, key_path};
use crate::core::problem::{KeyPath, Problem, Problems, Severity, Step};

/// What came of loading a configuration.
#[derive(Debug)]
pub struct Loaded<T> {
    settings: Option<T>,
    report: ConfigReport,
    sources: Sources,
    /// So much could not be read that a check of the meaning would only tell consequences.
    torn: bool,
    /// Names of entries that were left out, whose absence is no news.
    absent: Vec<String>,
}

/// The files, the tree and its secrets: all that is needed to say where something was written.
#[derive(Debug)]
struct Sources {
    documents: Vec<Document>,
    tree: Node,
    secrets: Secrets,
}

/// Loads the configuration that starts at the file `main` (or at `builtin:NAME`), with the variables `env` laid
/// over it ([`environment::process`]). Never fails: what is wrong is in the [`Loaded::report`].
pub fn load<T: DeserializeOwned>(main: &Path, env: &BTreeMap<String, String>) -> Loaded<T> {
    let Files { documents, tree, problems, unread } = include::read(main);
    let (mut tree, variables) = environment::layer(tree, env);
    let unreachable = environment::unreachable_names(&tree);
    let settled = settle::<T>(&mut tree);
    let torn = unread || settled.unfinished || documents.iter().any(|d| d.torn);
    let sources = Sources { secrets: Secrets::of(&tree), documents, tree };
    let mut report = ConfigReport::default();
    for problem in problems {
        report.push(Finding {
            place: sources.place(&problem.origin),
            key: problem.key,
            severity: Severity::Error,
            text: problem.text,
            found: problem.found,
            expected: problem.expected,
        });
    }
    for problem in variables {
        report.push(Finding {
            place: sources.place(&Origin::Variable(problem.variable)),
            key: problem.key,
            severity: Severity::Error,
            text: problem.text,
            found: None,
            expected: None,
        });
    }
    for path in unreachable {
        let name =
            path.last().map(|step| key_path(std::slice::from_ref(step)).to_string()).unwrap_or_default();
        let text =
            format!("found the name `{name}`, expected it in lower case such as `{}`", name.to_lowercase());
        report.push(sources.finding(Severity::Error, &path, text));
    }
    for misfit in settled.misfits {
        let place = sources.locate(&misfit.path);
        let document = sources.documents.get(place.rank);
        let broken = document.is_some_and(|d| d.broken_lines.contains(&place.line));
        let consequence = match misfit.kind {
            MisfitKind::Missing => document.is_some_and(|d| d.torn) || (misfit.path.is_empty() && torn),
            MisfitKind::Unknown => document.and_then(|d| d.lost_head).is_some_and(|line| place.line > line),
            MisfitKind::Wrong => false,
        };
        if broken || consequence {
            continue;
        }
        let mut finding = sources.finding(Severity::Error, &misfit.path, misfit.text);
        finding.found = misfit.found.map(|text| sources.secrets.mask(&misfit.path, &text));
        finding.expected = misfit.expected.map(|text| sources.secrets.mask(&misfit.path, &text));
        report.push(finding);
    }
    if settled.unfinished {
        report.note("there are more problems than are shown here");
    }
    let absent = absent_names(&sources.tree);
    Loaded { settings: settled.settings, report, sources, torn, absent }
}

impl<T> Loaded<T> {
    /// The settings as far as they could be read: complete and usable only when the report has no errors.
    pub fn settings(&self) -> Option<&T> {
        self.settings.as_ref()
    }

    /// Everything found so far.
    pub fn report(&self) -> &ConfigReport {
        &self.report
    }

    /// The files that were read, the main file first, as they were named.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.sources.documents.iter().map(|d| d.name.as_str())
    }

    /// Lets the settings check themselves and adds what they find. Entries that could not be read are missing from
    /// the settings; what follows only from that is not told.
    pub fn check(&mut self, check: impl FnOnce(&T, &mut Problems)) {
        let Some(settings) = &self.settings else { return };
        if self.torn {
            self.report.note("what the settings mean is checked once the files can be read as a whole");
            return;
        }
        let mut problems = Problems::new();
        check(settings, &mut problems);
        self.add(problems.into_vec());
    }

    /// Adds problems of the settings to the report, each at its place.
    pub fn add(&mut self, problems: Vec<Problem>) {
        for problem in problems {
            if self.absent.iter().any(|name| problem.text.contains(&format!("`{name}`"))) {
                continue;
            }
            let path = self.sources.tree.original(&problem.path.0);
            if self.sources.lost_part(&path) {
                continue;
            }
            self.report.push(self.sources.finding(problem.severity, &path, problem.text));
        }
    }

    /// Where the value at `path` was written, or the nearest one around it. Entries are counted as the settings
    /// have them.
    pub fn locate(&self, path: &KeyPath) -> Place {
        self.sources.locate(&self.sources.tree.original(&path.0))
    }

    /// The settings with their warnings, or all problems when one of them is an error.
    ///
    /// # Errors
    /// The report, when it holds an error.
    pub fn finish(self) -> Result<(T, ConfigReport), ConfigReport> {
        match self.settings {
            Some(settings) if !self.report.has_errors() => Ok((settings, self.report)),
            _ => Err(self.report),
        }
    }
}

impl Sources {
    fn place(&self, origin: &Origin) -> Place {
        match origin {
            Origin::File { file, at } => match self.documents.get(*file) {
                Some(document) => {
                    let (line, column) = match document.text.is_empty() {
                        true => (0, 0),
                        false => document.line_column(*at),
                    };
                    Place { rank: *file, file: document.name.clone(), line, column }
                }
                None => Place { rank: *file, file: String::new(), line: 0, column: 0 },
            },
            Origin::Variable(name) => {
                Place { rank: usize::MAX, file: format!("${name}"), line: 0, column: 0 }
            }
        }
    }

    fn locate(&self, path: &[Step]) -> Place {
        self.place(&self.tree.nearest(path).origin)
    }

    fn finding(&self, severity: Severity, path: &[Step], text: String) -> Finding {
        let found = match self.tree.at(path) {
            Some(Node { value: Value::Table(_) | Value::List(_), .. }) | None => None,
            Some(_) if is_secret(path) => Some(MASK.to_owned()),
            Some(node) => Some(self.secrets.mask(path, &node.shown())),
        };
        Finding {
            place: self.locate(path),
            key: key_path(path).to_string(),
            severity,
            text: self.secrets.mask(path, &text),
            found,
            expected: None,
        }
    }

    /// Whether a part of the value at `path` was left out, so that a complaint about it is no news.
    fn lost_part(&self, path: &[Step]) -> bool {
        let Some(node) = self.tree.at(path).filter(|_| !path.is_empty()) else { return false };
        let mut lost = false;
        node.walk(&mut Vec::new(), &mut |_, part| lost |= part.dropped);
        lost
    }
}

/// The names of the entries that were left out: the key of a table, the `name` or `id` of an entry of a list.
fn absent_names(tree: &Node) -> Vec<String> {
    let mut names = Vec::new();
    tree.walk(&mut Vec::new(), &mut |path, node| {
        if !node.dropped || !matches!(node.value, Value::Table(_)) {
            return;
        }
        if let Some(Step::Key(key)) = path.last() {
            names.push(key.clone());
        }
        for key in ["name", "id"] {
            if let Some(Node { value: Value::Text(name), .. }) = node.get(key) {
                names.push(name.clone());
            }
        }
    });
    names
}
