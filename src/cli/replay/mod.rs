//! `shiftbell replay`: recorded history through the engine in virtual time.
//!
//! [`input`] reads histories, [`import`] maps them to observations, [`rows`] is the seam with the engine,
//! [`report`] makes figures and pictures of the rows, [`progress`] shows how far it is.

pub mod import;
pub mod input;
pub mod progress;
pub mod report;
pub mod rows;
