//! (being built)

pub mod ics;
