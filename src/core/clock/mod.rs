//! A promise: cycles, due times, and what is measured of them.

pub mod metrics;
