//! Files and environment become typed settings, with every problem told at once.
//!
//! [`load`] reads the main file and what it includes, lays the environment over them with the `config` crate and
//! reads the settings' own types out of the result. The sections belong to the rooms that read them; only
//! `settings.rs`, which assembles them, looks sideways at their `Config`s.
//!
//! Invariants of this room:
//! - whatever is wrong is told with its file, line, key, the value found and the value expected, and all of it in
//!   one run; nothing that a user wrote can make the loader panic;
//! - a key that nobody reads is an error;
//! - the value of a secret is in no message;
//! - only [`environment::process`] reads the environment of the process.

pub mod builtin;
mod decode;
mod document;
pub mod environment;
pub mod ics;
mod include;
mod loaded;
mod merge;
mod nearest;
pub mod parcels;
mod report;
mod schema;
mod secrets;
mod settings;
mod settle;
mod tree;

pub use loaded::{Loaded, load};
pub use report::{ConfigReport, Finding, Place};
pub use schema::schema_for;
pub use settings::{Checked, HolidaySource, Ready, Settings, check_settings, load_settings};

#[cfg(test)]
mod tests;
