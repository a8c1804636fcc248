//! The pure heart: what is due when, and why.
//!
//! Invariants of this room:
//! - no I/O, no wall clock, no randomness, no async: `now` is always an argument;
//! - the same inputs give the same answers, to the byte;
//! - nothing outside the room is imported, and inside it a folder imports only those listed above it.

pub mod ids;
pub mod problem;
pub mod time;

pub mod calendar;
pub mod model;

pub mod parcel;

pub mod clock;

pub mod duty;

pub mod alerting;

pub mod engine;
