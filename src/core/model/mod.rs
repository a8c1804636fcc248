//! The nouns: plain data that every other part of the core speaks in.

mod observation;

pub use observation::{Mark, Observation, Value};
