//! What the files and the environment say, as one tree that remembers where every value was written.

use crate::core::problem::{KeyPath, Step};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In a file.
    File {
        /// Its number in the order of loading; the main file is 0.
        file: usize,
        /// Bytes from the start of the file to its key, or to the value itself where it has no key.
        at: usize,
    },
    /// In an environment variable of this name.
    Variable(String),
}

/// One value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub origin: Origin,
    /// Taken out because something was wrong with it; it is kept so that it can still be found.
    pub dropped: bool,
}

/// A value as TOML has them. Dates and times are texts here: our own types read them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A text, a date or a time.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Yes or no.
    Bool(bool),
    /// A list.
    List(Vec<Node>),
    /// A table, in the order in which its keys were written.
    Table(Vec<(String, Node)>),
}

impl Node {
    /// A value at its place.
    pub(crate) fn new(value: Value, origin: Origin) -> Node {
        Node { value, origin, dropped: false }
    }

    /// The value under `key`, when this is a table that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The value one step down.
    pub(crate) fn step(&self, step: &Step) -> Option<&Node> {
        match (step, &self.value) {
            (Step::Key(key), _) => self.get(key),
            (Step::Index(index), Value::List(items)) => items.get(*index),
            _ => None,
        }
    }

    /// The value one step down, to be changed.
    pub(crate) fn step_mut(&mut self, step: &Step) -> Option<&mut Node> {
        match (step, &mut self.value) {
            (Step::Key(key), Value::Table(entries)) => {
                entries.iter_mut().find(|(k, _)| k == key).map(|(_, node)| node)
            }
            (Step::Index(index), Value::List(items)) => items.get_mut(*index),
            _ => None,
        }
    }

    /// The value at `path`, or nothing.
    pub(crate) fn at(&self, path: &[Step]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| node.step(step))
    }

    /// The value at `path`, to be changed.
    pub(crate) fn at_mut(&mut self, path: &[Step]) -> Option<&mut Node> {
        path.iter().try_fold(self, |node, step| node.step_mut(step))
    }

    /// The deepest value along `path` that was written somewhere.
    pub(crate) fn nearest(&self, path: &[Step]) -> &Node {
        let mut node = self;
        for step in path {
            match node.step(step) {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// Translates a path that counts only the values still in the tree (as whoever was given the settings counts)
    /// into one that counts all of them.
    pub(crate) fn original(&self, path: &[Step]) -> Vec<Step> {
        let mut node = Some(self);
        let mut original = Vec::with_capacity(path.len());
        for step in path {
            let step = match (step, node.map(|n| &n.value)) {
                (Step::Index(n), Some(Value::List(items))) => {
                    let kept = items.iter().enumerate().filter(|(_, item)| !item.dropped).nth(*n);
                    Step::Index(kept.map_or(*n, |(index, _)| index))
                }
                _ => step.clone(),
            };
            node = node.and_then(|n| n.step(&step));
            original.push(step);
        }
        original
    }

    /// The value as a reader should see it in a message; of a list only its length.
    pub(crate) fn shown(&self) -> String {
        const SHOWN: usize = 60;
        match &self.value {
            Value::Text(text) => match text.char_indices().nth(SHOWN) {
                Some((cut, _)) => format!("`{}…`", text[..cut].escape_debug()),
                None => format!("`{}`", text.escape_debug()),
            },
            Value::Integer(number) => format!("`{number}`"),
            Value::Real(number) => format!("`{number}`"),
            Value::Bool(yes) => format!("`{yes}`"),
            Value::List(items) if items.is_empty() => "an empty list".to_owned(),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Table(_) => "a table".to_owned(),
        }
    }

    /// Visits every value below and including this one, with its path.
    pub(crate) fn walk<'a>(&'a self, path: &mut Vec<Step>, visit: &mut impl FnMut(&[Step], &'a Node)) {
        visit(path, self);
        match &self.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    item.walk(path, visit);
                    path.pop();
                }
            }
            Value::Table(entries) => {
                for (key, node) in entries {
                    path.push(Step::Key(key.clone()));
                    node.walk(path, visit);
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

/// The path in one piece, as messages show it.
pub(crate) fn key_path(path: &[Step]) -> KeyPath {
    KeyPath(path.to_vec())
}
