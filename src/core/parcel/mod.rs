//! Parcels: where in its life one is, and what was said to be wrong with it (`logistics` 1).

pub mod evidence;
pub mod fold;
pub mod lateness;
pub mod learned;
pub mod lexicon;
mod milestone;
mod route;
pub mod sense;
pub mod stall;
pub mod vendor;

pub use milestone::{Exception, Milestone};
pub use route::Route;
