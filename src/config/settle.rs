//! From a tree with mistakes in it to settings and a list of all the mistakes.
//!
//! serde stops at the first thing that does not fit. So it is noted, taken out of the tree, and the reading starts
//! again, until everything fits. What went wrong only because of something already taken out is not told.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::config::decode::{Decoder, Fault};
use crate::config::nearest::nearest;
use crate::config::secrets::{MASK, is_secret};
use crate::config::tree::{Node, Value};
use crate::core::problem::Step;

/// Mistakes told in one run, at most.
const MOST_TOLD: usize = 200;
/// Readings of the tree, at most: a mistake can cost a few, one for each of its consequences.
const MOST_ROUNDS: usize = 1000;

/// Something that did not fit.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// Its key, counting all entries.
    pub path: Vec<Step>,
    /// What is wrong.
    pub text: String,
    /// The value found.
    pub found: Option<String>,
    /// What was expected.
    pub expected: Option<String>,
    /// What kind of mistake it is: in a broken file some are only consequences.
    pub kind: MisfitKind,
}

/// What kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MisfitKind {
    /// A key is not there.
    Missing,
    /// A key is there that nobody reads.
    Unknown,
    /// A value is not what is wanted.
    Wrong,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Settled<T> {
    /// The settings, without what did not fit; nothing when not even that can be read.
    pub settings: Option<T>,
    /// What did not fit, in the order found.
    pub misfits: Vec<Misfit>,
    /// There may be more.
    pub unfinished: bool,
}

/// What was taken out, and what it was meant to be.
struct Dropped {
    path: Vec<Step>,
    /// The known key that an unknown one probably was.
    meant: Option<&'static str>,
    unknown: bool,
}

/// Reads the settings out of `tree`, marking what did not fit as dropped.
pub(crate) fn settle<T: DeserializeOwned>(tree: &mut Node) -> Settled<T> {
    let mut misfits = Vec::new();
    let mut dropped: Vec<Dropped> = Vec::new();
    let mut rounds = 0;
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(Decoder(tree)) {
            Ok(settings) => return Settled { settings: Some(settings), misfits, unfinished: false },
            Err(error) => error,
        };
        let (mut path, whole) = located(tree, error.path());
        let fault = if whole { error.into_inner() } else { inside(error.into_inner()) };
        if let Fault::UnknownKey { key, .. } | Fault::UnknownName { name: key, .. } = &fault {
            // The key may stand below what was being read when it was found.
            let ends_there = path.last() == Some(&Step::Key(key.clone()));
            if !ends_there && tree.at(&path).is_some_and(|node| node.get(key).is_some()) {
                path.push(Step::Key(key.clone()));
            }
        }
        if !is_consequence(&fault, &path, &dropped) {
            misfits.push(misfit(tree, &path, &fault));
        }
        rounds += 1;
        let unfinished = misfits.len() >= MOST_TOLD || rounds >= MOST_ROUNDS;
        if path.is_empty() || unfinished {
            return Settled { settings: None, misfits, unfinished };
        }
        if let Some(node) = tree.at_mut(&path) {
            node.dropped = true;
        }
        let (meant, unknown) = match &fault {
            Fault::UnknownKey { key, known } => (nearest(key, known.iter().copied()), true),
            _ => (None, false),
        };
        dropped.push(Dropped { path, meant, unknown });
    }
}

/// The path in our tree, as far as it goes, and whether it goes all the way.
fn located(tree: &Node, path: &serde_path_to_error::Path) -> (Vec<Step>, bool) {
    let mut found = Vec::new();
    let mut node = tree;
    for segment in path {
        let step = match (segment, &node.value) {
            (Segment::Seq { index }, Value::List(items)) => {
                let kept = items.iter().enumerate().filter(|(_, item)| !item.dropped).nth(*index);
                kept.map(|(at, _)| Step::Index(at))
            }
            (Segment::Map { key } | Segment::Enum { variant: key }, Value::Table(_)) => {
                Some(Step::Key(key.clone()))
            }
            // A name that stands for itself has nothing below it.
            (Segment::Enum { .. }, Value::Text(_)) => continue,
            _ => None,
        };
        match step.and_then(|step| node.step(&step).map(|next| (step, next))) {
            Some((step, next)) => {
                found.push(step);
                node = next;
            }
            None => return (found, false),
        }
    }
    (found, true)
}

/// A fault below the deepest value we can point at (inside a text of the environment): said of the whole value.
fn inside(fault: Fault) -> Fault {
    match fault {
        Fault::Expected(what) => Fault::Expected(format!("{what} inside it")),
        other => other,
    }
}

fn is_consequence(fault: &Fault, path: &[Step], dropped: &[Dropped]) -> bool {
    match fault {
        Fault::MissingKey(key) => dropped.iter().any(|d| {
            let Some((last, above)) = d.path.split_last() else { return false };
            above == path && (*last == Step::from(*key) || d.meant == Some(*key))
        }),
        Fault::UnknownKey { .. } => false,
        _ => dropped.iter().any(|d| !d.unknown && d.path.len() > path.len() && d.path.starts_with(path)),
    }
}

fn misfit(tree: &Node, path: &[Step], fault: &Fault) -> Misfit {
    let secret = is_secret(path);
    let node = tree.nearest(path);
    let found = if secret { MASK.to_owned() } else { node.shown() };
    let did_you_mean = |name: &str, known: &'static [&'static str]| {
        nearest(name, known.iter().copied()).map(|k| format!("; did you mean `{k}`?")).unwrap_or_default()
    };
    let (text, found, expected) = match fault {
        Fault::UnknownKey { key, known } => {
            let expected = one_of(known);
            let text = format!("unknown key, expected {expected}{}", did_you_mean(key, known));
            (text, Some(format!("`{key}`")), Some(expected))
        }
        Fault::MissingKey(key) => (format!("`{key}` is missing"), None, Some(format!("`{key}`"))),
        Fault::UnknownName { name, known } => {
            let expected = one_of(known);
            let (shown, meant) = match secret {
                true => (MASK.to_owned(), String::new()),
                false => (format!("`{}`", name.escape_debug()), did_you_mean(name, known)),
            };
            (format!("found {shown}, expected {expected}{meant}"), Some(shown), Some(expected))
        }
        Fault::Expected(what) => (format!("found {found}, expected {what}"), Some(found), Some(what.clone())),
        Fault::Other(_) if secret => (format!("found {MASK}, which is not accepted here"), Some(found), None),
        Fault::Other(text) => {
            let expected = text.split_once(", expected ").map(|(_, expected)| expected.to_owned());
            let says_it = matches!(node.value, Value::List(_) | Value::Table(_)) || text.contains('`');
            let text = if says_it { text.clone() } else { format!("found {found}: {text}") };
            (text, Some(found), expected)
        }
    };
    let kind = match fault {
        Fault::MissingKey(_) => MisfitKind::Missing,
        Fault::UnknownKey { .. } => MisfitKind::Unknown,
        _ => MisfitKind::Wrong,
    };
    Misfit { path: path.to_vec(), text, found, expected, kind }
}

/// `nothing here`, `a`, `a or b`, `one of a, b, c`.
fn one_of(known: &[&str]) -> String {
    match known {
        [] => "nothing here".to_owned(),
        [only] => format!("`{only}`"),
        [a, b] => format!("`{a}` or `{b}`"),
        many => format!("one of {}", many.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    }
}
