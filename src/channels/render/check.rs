//! Whether templates are fit for use: every one rendered with sample letters, in every language and for every class of
//! channel, so that a mistake is found when it is made and not at night.

use std::fmt;
use std::path::Path;

use crate::channels::render::samples::for_each_letter;
use crate::channels::render::sandbox::LONGEST_FILE;
use crate::channels::render::view::Fit;
use crate::channels::render::{LANGUAGES, Templates, builtin};

/// Something wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateFault {
    /// The file, or the name of one inside the program.
    pub file: String,
    /// Its line, from 1; 0 where there is none.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
    /// It must not be used so; else somebody should look.
    pub refused: bool,
}

impl TemplateFault {
    pub(super) fn of(file: &str, line: usize, reason: impl Into<String>) -> TemplateFault {
        TemplateFault { file: file.to_owned(), line, reason: reason.into(), refused: true }
    }
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.reason),
            line => write!(f, "{}:{line}: {}", self.file, self.reason),
        }
    }
}

/// A file of the user's folder, with its name for people; `None` where there is none.
pub(super) fn read(path: &Path, faults: &mut Vec<TemplateFault>) -> Option<(String, String)> {
    let name = path.display().to_string();
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > LONGEST_FILE as u64 => {
            let reason = format!("is {} bytes long, expected at most {LONGEST_FILE}", meta.len());
            faults.push(TemplateFault::of(&name, 0, reason));
            return None;
        }
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        Err(e) => {
            faults.push(TemplateFault::of(&name, 0, format!("cannot be read: {e}")));
            return None;
        }
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Some((name, text)),
        Err(e) => {
            faults.push(TemplateFault::of(&name, 0, format!("cannot be read: {e}")));
            None
        }
    }
}

/// Files of the user's folder that nobody reads: mostly a name with a typing error.
pub(super) fn strangers(folder: &Path, faults: &mut Vec<TemplateFault>) {
    let known = |name: &str| name == "words.toml" || builtin::names().any(|n| n == name);
    let mut stranger = |path: &Path, expected: &str| {
        faults.push(TemplateFault {
            file: path.display().to_string(),
            line: 0,
            reason: format!("nobody reads this file, expected {expected}"),
            refused: false,
        });
    };
    // Two levels are enough: LANGUAGE/FAMILY/FILE.
    let list = |folder: &Path| -> Vec<_> {
        let mut found: Vec<_> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
        found.retain(|p| !p.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')));
        found.sort();
        found
    };
    for top in list(folder) {
        let language = top.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !LANGUAGES.iter().any(|(_, name)| *name == language) {
            stranger(&top, "a folder zh-CN or en");
            continue;
        }
        for middle in list(&top) {
            let paths = if middle.is_dir() { list(&middle) } else { vec![middle] };
            for path in paths {
                let name = path
                    .strip_prefix(&top)
                    .map(|p| p.to_string_lossy().replace('\\', "/"))
                    .unwrap_or_default();
                if !known(&name) {
                    stranger(&path, "the name of a file inside the program, such as incident/chat.txt");
                }
            }
        }
    }
}

impl Templates {
    /// Renders every template with sample letters and answers everything that is wrong, each once.
    pub fn check(&self) -> Vec<TemplateFault> {
        let mut faults = self.faults.clone();
        for_each_letter(&mut |letter| {
            let Some(set) = self.set(letter.language) else { return };
            if let Err(fault) =
                self.attempt(set, letter, Fit { items: letter.items.len(), facts: 12, chars: 160 })
            {
                let (_, language) = LANGUAGES[usize::from(letter.language != LANGUAGES[0].0)];
                let (file, line) = fault.template.rsplit_once(':').unwrap_or((&fault.template, "0"));
                let shown = set
                    .own
                    .get(file)
                    .cloned()
                    .unwrap_or_else(|| format!("alerts/templates/{language}/{file}"));
                faults.push(TemplateFault::of(&shown, line.parse().unwrap_or(0), fault.reason));
            }
        });
        faults.sort();
        faults.dedup();
        faults
    }
}
