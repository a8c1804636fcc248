//! The main file and everything it includes.
//!
//! `include = ["policies/handbook.toml", "builtin:policies/handbook.toml"]` stands at the top of a file. Paths are
//! relative to the file that names them; `builtin:` names a file inside the program. A file that is included twice
//! is read once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::config::builtin;
use crate::config::document::{self, Document, LARGEST};
use crate::config::merge::{Conflict, Precedence, merge};
use crate::config::nearest::nearest;
use crate::config::tree::{Node, Origin, Value, key_path};
use crate::core::problem::Step;

/// Includes within includes, at most.
const DEEPEST: usize = 8;
/// Files in one configuration, at most.
const MOST_FILES: usize = 256;
/// Syntax errors told of one file, at most: an unclosed bracket breaks every line after it.
const MOST_SYNTAX_ERRORS: usize = 5;

/// Something wrong with a file as a whole, or with how files go together.
#[derive(Debug)]
pub(crate) struct FileProblem {
    /// Where it is told.
    pub origin: Origin,
    /// The key it is about, if any.
    pub key: String,
    /// What is wrong.
    pub text: String,
    /// The value found.
    pub found: Option<String>,
    /// The value expected.
    pub expected: Option<String>,
}

/// All files of a configuration, read and merged.
#[derive(Debug)]
pub(crate) struct Files {
    /// In the order of loading; the main file comes first.
    pub documents: Vec<Document>,
    /// What they say together.
    pub tree: Node,
    /// What is wrong with them.
    pub problems: Vec<FileProblem>,
    /// A file could not be read at all.
    pub unread: bool,
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Location {
    Disk(PathBuf),
    Builtin(String),
}

impl Location {
    /// The place that `name` means in a file that stands here.
    fn beside(&self, name: &str) -> Location {
        if let Some(name) = name.strip_prefix(builtin::PREFIX) {
            return Location::Builtin(tidy(Path::new(name)).to_string_lossy().into_owned());
        }
        match self {
            Location::Disk(path) => Location::Disk(tidy(&path.parent().unwrap_or(Path::new("")).join(name))),
            Location::Builtin(here) => {
                let joined = Path::new(here).parent().unwrap_or(Path::new("")).join(name);
                Location::Builtin(tidy(&joined).to_string_lossy().into_owned())
            }
        }
    }

    /// The name it is shown under.
    fn shown(&self) -> String {
        match self {
            Location::Disk(path) => path.display().to_string(),
            Location::Builtin(name) => format!("{}{name}", builtin::PREFIX),
        }
    }

    /// The same file under any name, as far as can be told.
    fn identity(&self) -> Location {
        match self {
            Location::Disk(path) => Location::Disk(path.canonicalize().unwrap_or_else(|_| path.clone())),
            builtin => builtin.clone(),
        }
    }

    /// Its bytes.
    fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Location::Builtin(name) => builtin::text(name).map(|t| t.as_bytes().to_vec()).ok_or_else(|| {
                let meant = nearest(name, builtin::names())
                    .map(|n| format!("; did you mean `{}{n}`?", builtin::PREFIX))
                    .unwrap_or_default();
                format!("there is no such file inside the program{meant}")
            }),
            Location::Disk(path) => {
                let meta = path.metadata().map_err(|e| match e.kind() {
                    std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
                    _ => format!("it cannot be read: {e}"),
                })?;
                if meta.is_dir() {
                    return Err("it is a directory".to_owned());
                }
                if !meta.is_file() {
                    return Err("it is not a regular file".to_owned());
                }
                let mut bytes = Vec::new();
                let file = File::open(path).map_err(|e| format!("it cannot be read: {e}"))?;
                file.take(LARGEST + 1)
                    .read_to_end(&mut bytes)
                    .map_err(|e| format!("it cannot be read: {e}"))?;
                if bytes.len() as u64 > LARGEST {
                    return Err(format!("it is larger than {} MiB", LARGEST / 1024 / 1024));
                }
                Ok(bytes)
            }
        }
    }
}

/// The path without `.` and with `name/..` taken out, for the reader's sake.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidy.components().next_back(), Some(Component::Normal(_))) => {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    tidy
}

/// Who includes whom, directly.
#[derive(Default)]
struct Reach {
    direct: Vec<BTreeSet<usize>>,
}

impl Precedence for Reach {
    fn includes(&self, outer: usize, inner: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![outer];
        while let Some(file) = open.pop() {
            for &next in self.direct.get(file).into_iter().flatten() {
                if next == inner {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }
}

struct Loading {
    documents: Vec<Document>,
    read: Vec<(Location, usize)>,
    chain: Vec<(Location, String)>,
    reach: Reach,
    problems: Vec<FileProblem>,
    conflicts: Vec<Conflict>,
    unread: bool,
}

/// Reads the main file and what it includes. Whatever is wrong is told in the answer; there is always a tree.
pub(crate) fn read(main: &Path) -> Files {
    let location = match main.to_str().and_then(|name| name.strip_prefix(builtin::PREFIX)) {
        Some(name) => Location::Builtin(name.to_owned()),
        None => Location::Disk(tidy(main)),
    };
    let mut loading = Loading {
        documents: Vec::new(),
        read: Vec::new(),
        chain: Vec::new(),
        reach: Reach::default(),
        problems: Vec::new(),
        conflicts: Vec::new(),
        unread: false,
    };
    let tree = match location.read() {
        Ok(bytes) => loading.load(&location, bytes),
        Err(text) => {
            loading.unread = true;
            loading.document(&location, String::new());
            loading.tell(Origin::File { file: 0, at: 0 }, "", format!("the file cannot be used: {text}"));
            Node::new(Value::Table(Vec::new()), Origin::File { file: 0, at: 0 })
        }
    };
    for conflict in std::mem::take(&mut loading.conflicts) {
        let first = loading.shown(&conflict.first);
        let key = key_path(&conflict.path).to_string();
        let text = format!("is also set at {first}, and neither file includes the other: keep one of them");
        loading.tell(conflict.second, &key, text);
    }
    Files { documents: loading.documents, tree, problems: loading.problems, unread: loading.unread }
}

impl Loading {
    fn tell(&mut self, origin: Origin, key: &str, text: String) {
        self.problems.push(FileProblem { origin, key: key.to_owned(), text, found: None, expected: None });
    }

    fn shown(&self, origin: &Origin) -> String {
        match origin {
            Origin::File { file, at } => match self.documents.get(*file) {
                Some(document) => {
                    let (line, column) = document.line_column(*at);
                    format!("{}:{line}:{column}", document.name)
                }
                None => String::new(),
            },
            Origin::Variable(name) => format!("${name}"),
        }
    }

    fn document(&mut self, location: &Location, text: String) -> usize {
        self.documents.push(Document {
            name: location.shown(),
            text,
            broken_lines: Vec::new(),
            torn: false,
            lost_head: None,
        });
        self.reach.direct.push(BTreeSet::new());
        self.documents.len() - 1
    }

    fn load(&mut self, location: &Location, bytes: Vec<u8>) -> Node {
        let identity = location.identity();
        let (text, bad_byte) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let mut bytes = error.into_bytes();
                let byte = bytes[at];
                bytes.truncate(at);
                (String::from_utf8(bytes).unwrap_or_default(), Some((at, byte)))
            }
        };
        let file = self.document(location, text);
        self.read.push((identity.clone(), file));
        self.chain.push((identity, location.shown()));
        let mut own = self.parse(file, bad_byte);
        let include = match &mut own.value {
            Value::Table(entries) => {
                entries.iter().position(|(key, _)| key == "include").map(|i| entries.remove(i).1)
            }
            _ => None,
        };
        let mut tree = Node::new(Value::Table(Vec::new()), Origin::File { file, at: 0 });
        if let Some(include) = include {
            self.include(file, location, &include, &mut tree);
        }
        merge(&mut tree, own, &self.reach, &mut Vec::new(), &mut self.conflicts);
        self.chain.pop();
        tree
    }

    fn parse(&mut self, file: usize, bad_byte: Option<(usize, u8)>) -> Node {
        if let Some((at, byte)) = bad_byte {
            self.unread = true;
            self.documents[file].torn = true;
            let text = format!("the file is not UTF-8: found the byte 0x{byte:02x}");
            self.tell(Origin::File { file, at }, "", text);
            return Node::new(Value::Table(Vec::new()), Origin::File { file, at: 0 });
        }
        let (node, errors) = document::parse(file, &self.documents[file].text);
        let mut told = 0;
        for error in errors {
            let (line, _) = self.documents[file].line_column(error.at);
            let document = &mut self.documents[file];
            // A key written twice loses nothing but its second value; anything else may hide what follows.
            document.torn |= error.text != "duplicate key";
            if error.text.contains("table") {
                document.lost_head.get_or_insert(line);
            }
            if document.broken_lines.contains(&line) {
                continue;
            }
            document.broken_lines.push(line);
            told += 1;
            if told <= MOST_SYNTAX_ERRORS {
                let text = match error.text.as_str() {
                    "duplicate key" => "the key is written twice in this file".to_owned(),
                    other => other.to_owned(),
                };
                self.tell(Origin::File { file, at: error.at }, "", text);
            }
        }
        node
    }

    /// Merges what `file` includes into `tree`.
    fn include(&mut self, file: usize, location: &Location, list: &Node, tree: &mut Node) {
        const EXPECTED: &str = "a list of file names such as [\"policies/handbook.toml\"]";
        let Value::List(items) = &list.value else {
            self.refuse(list, &[Step::from("include")], EXPECTED, "");
            return;
        };
        for (index, item) in items.iter().enumerate() {
            let path = [Step::from("include"), Step::from(index)];
            let Value::Text(name) = &item.value else {
                self.refuse(item, &path, "the name of a file", "");
                continue;
            };
            let target = location.beside(name);
            let identity = target.identity();
            if let Some(start) = self.chain.iter().position(|(seen, _)| *seen == identity) {
                let mut chain: Vec<&str> =
                    self.chain[start..].iter().map(|(_, name)| name.as_str()).collect();
                let again = chain[0];
                chain.push(again);
                let text = format!("the files include each other in a circle: {}", chain.join(" → "));
                self.tell(item.origin.clone(), &key_path(&path).to_string(), text);
                continue;
            }
            if let Some((_, known)) = self.read.iter().find(|(seen, _)| *seen == identity) {
                self.reach.direct[file].insert(*known);
                continue;
            }
            if self.chain.len() > DEEPEST || self.documents.len() >= MOST_FILES {
                let text =
                    format!("found more than {DEEPEST} includes within each other or {MOST_FILES} files");
                self.tell(item.origin.clone(), &key_path(&path).to_string(), text);
                continue;
            }
            match target.read() {
                Ok(bytes) => {
                    let next = self.documents.len();
                    self.reach.direct[file].insert(next);
                    let included = self.load(&target, bytes);
                    merge(tree, included, &self.reach, &mut Vec::new(), &mut self.conflicts);
                }
                Err(text) => {
                    self.unread = true;
                    self.refuse(item, &path, "the name of a file", &format!(" ({}: {text})", target.shown()));
                }
            }
        }
    }

    fn refuse(&mut self, node: &Node, path: &[Step], expected: &str, why: &str) {
        let found = node.shown();
        self.problems.push(FileProblem {
            origin: node.origin.clone(),
            key: key_path(path).to_string(),
            text: format!("found {found}, expected {expected}{why}"),
            found: Some(found),
            expected: Some(expected.to_owned()),
        });
    }
}
