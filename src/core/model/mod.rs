//! The nouns: plain data that every other part of the core speaks in.

mod observation;
mod symbols;
mod timeline;

pub use observation::{Mark, Observation, Value};
pub use symbols::{Sym, Symbols, hash64};
pub use timeline::{Content, Entry, Merge, MergeScratch, SavedEntry, Scalar, Timeline};
