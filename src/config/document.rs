//! One file: its bytes become a tree, and its syntax errors become findings.

use toml::de::{DeTable, DeValue};

use crate::config::tree::{Node, Origin, Value};

/// Larger files are refused: no configuration is, and a wrong path may be anything.
pub(crate) const LARGEST: u64 = 8 * 1024 * 1024;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Document {
    /// The name it is shown under.
    pub name: String,
    /// Its text, to turn bytes into lines; empty when it was not UTF-8.
    pub text: String,
    /// The lines on which its syntax is broken.
    pub broken_lines: Vec<usize>,
    /// Part of what was written may be missing from the tree.
    pub torn: bool,
    /// The first line on which the head of a table is broken: what follows stands in the wrong table.
    pub lost_head: Option<usize>,
}

/// A place where the text is not TOML.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Bytes from the start of the file.
    pub at: usize,
    /// What is wrong, as a lower-case fragment.
    pub text: String,
}

impl Document {
    /// Line and column, from 1, of a byte of the file; the column counts characters.
    pub(crate) fn line_column(&self, at: usize) -> (usize, usize) {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Reads a text as TOML. What can be understood of a broken file is understood, so that the rest of it is checked
/// in the same run.
pub(crate) fn parse(file: usize, text: &str) -> (Node, Vec<SyntaxError>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<SyntaxError> = errors
        .iter()
        .map(|e| SyntaxError { at: e.span().map_or(0, |span| span.start), text: e.message().to_owned() })
        .collect();
    let root = Origin::File { file, at: 0 };
    let node = Node::new(table_value(file, table.get_ref(), &mut errors), root);
    errors.sort_by_key(|e| e.at);
    (node, errors)
}

fn table_value(file: usize, table: &DeTable<'_>, errors: &mut Vec<SyntaxError>) -> Value {
    let mut entries: Vec<(usize, String, Node)> = table
        .iter()
        .map(|(key, value)| {
            let at = key.span().start;
            let node = Node::new(
                plain_value(file, value.get_ref(), value.span().start, errors),
                Origin::File { file, at },
            );
            (at, key.get_ref().to_string(), node)
        })
        .collect();
    entries.sort_by_key(|(at, _, _)| *at);
    Value::Table(entries.into_iter().map(|(_, key, node)| (key, node)).collect())
}

fn plain_value(file: usize, value: &DeValue<'_>, at: usize, errors: &mut Vec<SyntaxError>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::Datetime(datetime) => Value::Text(datetime.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => {
                // Without the number: it may be a secret.
                errors.push(SyntaxError { at, text: "found a whole number beyond 64 bits".to_owned() });
                Value::Integer(0)
            }
        },
        DeValue::Float(number) => Value::Real(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| {
                    let at = item.span().start;
                    Node::new(plain_value(file, item.get_ref(), at, errors), Origin::File { file, at })
                })
                .collect(),
        ),
        DeValue::Table(table) => table_value(file, table, errors),
    }
}
