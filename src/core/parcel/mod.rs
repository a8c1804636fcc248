//! Parcels: where in its life one is, and what was said to be wrong with it (`logistics` 1).

pub mod lateness;
mod milestone;
mod route;
pub mod stall;

pub use milestone::{Exception, Milestone};
pub use route::Route;
