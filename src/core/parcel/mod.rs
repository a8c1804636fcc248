//! Parcels: where in its life one is, and what was said to be wrong with it (`logistics` 1).

pub mod fold;
pub mod lexicon;
mod milestone;
pub mod vendor;

pub use milestone::{Exception, Milestone};
