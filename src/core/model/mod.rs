//! The nouns: plain data that every other part of the core speaks in.

mod language;
mod observation;
mod symbols;
mod timeline;

pub use language::Language;
pub use observation::{Mark, Observation, Value};
pub use symbols::{Sym, Symbols, combine, hash64};
pub use timeline::{Content, Entry, Footing, Merge, MergeScratch, SavedEntry, Scalar, Stretch, Timeline};
