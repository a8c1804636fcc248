//! The environment over the files, by the `config` crate.
//!
//! `SHIFTBELL__DESK__ZONE=Asia/Shanghai` sets `desk.zone`: the separator is `__`, names are read in lower case.
//! Tables can be entered, lists cannot; a value is a text that is read as the number or the yes or no that the
//! setting wants, or a list when it begins with `[`.

use std::collections::BTreeMap;

use config::{Config, ConfigError, Environment, Map, Source, ValueKind};

use crate::config::tree::{Node, Origin, Value};
use crate::core::problem::Step;

/// What the names of our variables begin with.
pub const PREFIX: &str = "SHIFTBELL";
/// What stands between the parts of a name.
const SEPARATOR: &str = "__";

/// Our variables of this process. What is not UTF-8 arrives with
/// U+FFFD in it and is refused when it is loaded.
pub fn process() -> BTreeMap<String, String> {
    whole().into_iter().filter(|(name, _)| is_ours(name)).collect()
}

/// Every variable of this process, for what the system hands over (credentials, passwords that the settings name). Only
/// ours are laid over the settings.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn whole() -> BTreeMap<String, String> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect()
}

fn is_ours(name: &str) -> bool {
    let prefix = format!("{PREFIX}{SEPARATOR}");
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(&prefix))
}

/// A variable that cannot be used.
#[derive(Debug)]
pub(crate) struct VariableProblem {
    /// Its name.
    pub variable: String,
    /// The key it means.
    pub key: String,
    /// What is wrong with it.
    pub text: String,
}

/// The merged files as a source for the `config` crate.
#[derive(Clone, Debug)]
struct FileTree(Map<String, config::Value>);

impl Source for FileTree {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }
    fn collect(&self) -> Result<Map<String, config::Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Lays the variables over the files. Variables that cannot be used are left out and told.
pub(crate) fn layer(tree: Node, env: &BTreeMap<String, String>) -> (Node, Vec<VariableProblem>) {
    let mut problems = Vec::new();
    let mut names: BTreeMap<Vec<String>, &str> = BTreeMap::new();
    let mut usable: Map<String, String> = Map::new();
    for (name, value) in env.iter().filter(|(name, _)| is_ours(name)) {
        let key = name[PREFIX.len() + SEPARATOR.len()..].to_lowercase().replace(SEPARATOR, ".");
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        match refusal(&tree, &path, value, &names) {
            Some(text) => problems.push(VariableProblem { variable: name.clone(), key, text }),
            None => {
                names.insert(path, name);
                usable.insert(name.clone(), value.clone());
            }
        }
    }
    if usable.is_empty() {
        return (tree, problems);
    }
    let files = match foreign(&tree).kind {
        // The crate reads the keys at the top as paths; one with a dot in it would be taken apart.
        ValueKind::Table(entries) => FileTree(entries.into_iter().filter(|(key, _)| is_plain(key)).collect()),
        _ => FileTree(Map::new()),
    };
    let variables =
        Environment::with_prefix(PREFIX).separator(SEPARATOR).ignore_empty(false).source(Some(usable));
    let layered = Config::builder().add_source(files).add_source(variables).build();
    match layered {
        Ok(config) => (adopt(config.cache, Some(&tree), &tree.origin, &names, &mut Vec::new()), problems),
        Err(error) => {
            // Both sources only hand over what they have, so this is out of reach; it must not be silent.
            let text = format!("the environment cannot be laid over the files: {error}");
            problems.push(VariableProblem {
                variable: format!("{PREFIX}{SEPARATOR}*"),
                key: String::new(),
                text,
            });
            (tree, problems)
        }
    }
}

/// Whether the `config` crate takes this for one name.
fn is_plain(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Why this variable cannot be used, given the files and the variables before it.
fn refusal(tree: &Node, path: &[String], value: &str, names: &BTreeMap<Vec<String>, &str>) -> Option<String> {
    if !path.iter().all(|part| is_plain(part)) {
        return Some("found an empty or unusual part in its name, expected names joined by `__`".to_owned());
    }
    if value.contains('\u{fffd}') {
        return Some("found a value that is not UTF-8".to_owned());
    }
    let clash = names.iter().find(|(other, _)| path.starts_with(other) || other.starts_with(path));
    if let Some((_, other)) = clash {
        return Some(format!("it and ${other} set the same key: keep one of them"));
    }
    let mut node = tree;
    for (i, part) in path.iter().enumerate() {
        if !matches!(node.value, Value::Table(_)) {
            let above = path[..i].join(".");
            return Some(format!(
                "`{above}` is {}: the environment sets keys of tables only",
                match node.value {
                    Value::List(_) => "a list",
                    _ => "a single value",
                }
            ));
        }
        node = node.get(part)?;
    }
    match node.value {
        Value::Table(_) => {
            Some(format!("`{}` is a table: the environment sets single keys of it only", path.join(".")))
        }
        _ => None,
    }
}

/// Our tree in the terms of the `config` crate.
fn foreign(node: &Node) -> config::Value {
    let kind = match &node.value {
        Value::Text(text) => ValueKind::String(text.clone()),
        Value::Integer(number) => ValueKind::I64(*number),
        Value::Real(number) => ValueKind::Float(*number),
        Value::Bool(yes) => ValueKind::Boolean(*yes),
        Value::List(items) => ValueKind::Array(items.iter().map(foreign).collect()),
        Value::Table(entries) => {
            ValueKind::Table(entries.iter().map(|(key, node)| (key.clone(), foreign(node))).collect())
        }
    };
    config::Value::new(None, kind)
}

/// The layered values in our own terms: what a variable set carries its name, all else its place in the files.
fn adopt(
    value: config::Value,
    tree: Option<&Node>,
    above: &Origin,
    names: &BTreeMap<Vec<String>, &str>,
    path: &mut Vec<String>,
) -> Node {
    if let Some(variable) = names.get(path) {
        let text = value.into_string().unwrap_or_default();
        return Node::new(Value::Text(text), Origin::Variable((*variable).to_owned()));
    }
    match (value.kind, tree) {
        (ValueKind::Table(entries), _) => {
            let odd = match tree.map(|node| &node.value) {
                Some(Value::Table(present)) if path.is_empty() => {
                    present.iter().filter(|(key, _)| !is_plain(key)).cloned().collect()
                }
                _ => Vec::new(),
            };
            let inside =
                || names.iter().find(|(p, _)| p.starts_with(path)).map(|(_, name)| (*name).to_owned());
            let origin = match tree {
                Some(node) => node.origin.clone(),
                None => inside().map_or_else(|| above.clone(), Origin::Variable),
            };
            let at_top = path.is_empty();
            let entries = entries
                .into_iter()
                .filter(|(key, _)| !at_top || is_plain(key))
                .map(|(key, value)| {
                    path.push(key.clone());
                    let node = adopt(value, tree.and_then(|t| t.get(&key)), &origin, names, path);
                    path.pop();
                    (key, node)
                })
                .chain(odd)
                .collect();
            Node::new(Value::Table(entries), origin)
        }
        (_, Some(node)) => node.clone(),
        (_, None) => Node::new(Value::Text(String::new()), above.clone()),
    }
}

/// Table names that a variable could never reach, with their paths: `config` reads variables in lower case.
pub(crate) fn unreachable_names(tree: &Node) -> Vec<Vec<Step>> {
    let mut found = Vec::new();
    tree.walk(&mut Vec::new(), &mut |path, node| {
        let Some(Step::Key(key)) = path.last() else { return };
        if matches!(node.value, Value::Table(_)) && key.chars().any(char::is_uppercase) {
            found.push(path.to_vec());
        }
    });
    found
}
