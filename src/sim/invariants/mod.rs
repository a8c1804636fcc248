//! What must hold (`delivery_semantics` §19): one function an invariant, named by its id. Each answers with what is
//! against it, in words.
//!
//! - [`MODEL`] looks at every commit, with what is kept after it;
//! - [`REST`] looks at everything that is kept, at rest (the `sql` ones);
//! - [`TRACE`] looks at all that happened, when it is over.

mod answers;
mod copies;
mod people;
mod promise;
mod rows;
mod storms;
#[cfg(test)]
mod tests;
mod time;

use crate::core::alerting::{Room, Setup};
use crate::core::clock::PolicyConfig;
use crate::core::time::Instant;

use super::kept::{Commit, Kept};
use super::source::Source;
use super::trace::Trace;

/// Something that is against an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The invariant.
    pub invariant: &'static str,
    /// The place in the trace.
    pub event: usize,
    /// What.
    pub words: String,
}

/// A commit, and everything that is kept after it.
pub struct Step<'a> {
    /// When.
    pub at: Instant,
    /// What it changed.
    pub commit: &'a Commit,
    /// What is kept now.
    pub kept: &'a Kept,
    /// What the desk goes by.
    pub setup: &'a Setup,
    /// What the platforms have said.
    pub sources: &'a [Source],
    /// The promises.
    pub policy: &'a PolicyConfig,
    /// How much room the channels have left.
    pub room: &'a Room,
}

/// What looks at a commit, or at everything that is kept.
pub type Look = fn(&Step<'_>) -> Vec<String>;
/// What looks at all that happened: places and words. The texts are what must be nowhere in clear.
pub type LookBack = fn(&Trace, &[String]) -> Vec<(usize, String)>;

/// Looked at after every commit.
pub const MODEL: &[(&str, Look)] = &[
    ("I3", promise::i3_at_once),
    ("I4", promise::i4_at_once),
    ("I6", promise::i6),
    ("I7", promise::i7),
    ("I12", answers::i12),
    ("I13", answers::i13),
    ("I14", answers::i14),
    ("I15", answers::i15),
    ("I16", answers::i16),
    ("I18", answers::i18),
    ("I20", people::i20),
    ("I22", people::i22),
    ("I23", people::i23),
    ("I26", storms::i26),
    ("I27", time::i27),
    ("I31", time::i31),
    ("I32", time::i32),
    ("I40", time::i40),
    ("I49", rows::i49),
];

/// Looked at in everything that is kept.
pub const REST: &[(&str, Look)] = &[
    ("I1", promise::i1),
    ("I3", promise::i3),
    ("I4", promise::i4),
    ("I25", storms::i25),
    ("I43", rows::i43),
    ("I47", rows::i47),
    ("I50", rows::i50),
];

/// Looked at in all that happened.
pub const TRACE: &[(&str, LookBack)] = &[
    ("I2", promise::i2),
    ("I5", promise::i5),
    ("I8", copies::i8),
    ("I17", answers::i17),
    ("I21", people::i21),
    ("I24", storms::i24),
    ("I26", storms::i26_told),
    ("I28", copies::i28),
    ("I29", copies::i29),
    ("I30", copies::i30),
    ("I41", time::i41),
    ("I44", rows::i44),
    ("I45", rows::i45),
];

/// Of one invariant so many finds are kept.
const MOST: usize = 3;

fn add(found: &mut Vec<Found>, invariant: &'static str, event: usize, words: String) {
    if found.iter().filter(|f| f.invariant == invariant).count() < MOST {
        found.push(Found { invariant, event, words });
    }
}

/// Everything that must hold of a commit.
pub fn model(step: &Step<'_>, event: usize, found: &mut Vec<Found>) {
    for (id, look) in MODEL {
        for words in look(step) {
            add(found, id, event, words);
        }
    }
}

/// Everything that must hold at rest.
pub fn rest(step: &Step<'_>, event: usize, found: &mut Vec<Found>) {
    for (id, look) in REST {
        for words in look(step) {
            add(found, id, event, words);
        }
    }
}

/// Everything that must hold of all that happened. `secrets` are texts that must be nowhere in clear.
pub fn trace(trace: &Trace, secrets: &[String], found: &mut Vec<Found>) {
    for (id, look) in TRACE {
        for (event, words) in look(trace, secrets) {
            add(found, id, event, words);
        }
    }
}
