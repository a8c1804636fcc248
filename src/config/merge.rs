//! Several files become one tree.
//!
//! - Tables are merged key by key.
//! - Of the same key in two files, the one in the *including* file wins; two files of which neither includes the
//!   other contradict each other, which is an error that names both places.
//! - Lists of tables (`[[clock]]`, `[[desk.shift]]`) are put one after another, the including file's **first**: among
//!   entries of one name the first that matches applies (`sla_semantics` P1), so what a desk writes itself overrides
//!   what it includes.
//! - In `[[overlay]]` it is the last that wins, because overlays are laid one over the other in the order of the
//!   file; so the including file's come **last** there. Either way the outer file has its say.
//! - Any other list, an empty one as well, is replaced as a whole by the including file's: `clock = []` takes
//!   nothing over.

use crate::config::tree::{Node, Origin, Value};
use crate::core::problem::Step;

/// The lists at the top whose later entries win over earlier ones.
const LAST_WINS: &[&str] = &["overlay"];

/// The same key in two files of which neither includes the other.
#[derive(Debug)]
pub(crate) struct Conflict {
    /// The key.
    pub path: Vec<Step>,
    /// Where it was written first.
    pub first: Origin,
    /// Where it was written again.
    pub second: Origin,
}

/// Which of two files wins.
pub(crate) trait Precedence {
    /// Whether `outer` includes `inner`, directly or through others.
    fn includes(&self, outer: usize, inner: usize) -> bool;
}

/// Puts `incoming` under and into `tree`.
pub(crate) fn merge(
    tree: &mut Node,
    incoming: Node,
    order: &impl Precedence,
    path: &mut Vec<Step>,
    conflicts: &mut Vec<Conflict>,
) {
    let wins = precedence(order, &tree.origin, &incoming.origin);
    match (&mut tree.value, incoming.value) {
        (Value::Table(entries), Value::Table(more)) => {
            for (key, node) in more {
                match entries.iter_mut().find(|(k, _)| *k == key) {
                    Some((_, present)) => {
                        path.push(Step::Key(key));
                        merge(present, node, order, path, conflicts);
                        path.pop();
                    }
                    None => entries.push((key, node)),
                }
            }
        }
        (Value::List(items), Value::List(more)) if of_tables(items) && of_tables(&more) => {
            // Beside whatever the incoming file includes, even when another file brought that in first.
            let included = |item: &Node| precedence(order, &item.origin, &incoming.origin) == Some(true);
            let last_wins = matches!(path.as_slice(), [Step::Key(key)] if LAST_WINS.contains(&key.as_str()));
            let at = match last_wins {
                true => items.iter().rposition(included).map_or(items.len(), |last| last + 1),
                false => items.iter().position(included).unwrap_or(items.len()),
            };
            items.splice(at..at, more);
        }
        (present, value) => match wins {
            Some(true) => {
                *present = value;
                tree.origin = incoming.origin;
                // Whatever was in dispute below, the outer file has settled it.
                conflicts.retain(|c| !c.path.starts_with(path));
            }
            Some(false) => {}
            None => conflicts.push(Conflict {
                path: path.clone(),
                first: tree.origin.clone(),
                second: incoming.origin,
            }),
        },
    }
}

/// Whether the second wins over the first; nothing when neither may.
fn precedence(order: &impl Precedence, first: &Origin, second: &Origin) -> Option<bool> {
    match (first, second) {
        (Origin::File { file: a, .. }, Origin::File { file: b, .. }) if order.includes(*b, *a) => Some(true),
        (Origin::File { file: a, .. }, Origin::File { file: b, .. }) if order.includes(*a, *b) => Some(false),
        _ => None,
    }
}

/// A list of tables; an empty list is none.
fn of_tables(items: &[Node]) -> bool {
    !items.is_empty() && items.iter().all(|item| matches!(item.value, Value::Table(_)))
}
