//! Parcels: where in its life one is, and what was said to be wrong with it (`logistics` 1).

pub mod lateness;
mod milestone;

pub use milestone::{Exception, Milestone};
