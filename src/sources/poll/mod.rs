//! When a platform is asked, what, and what follows from its answers: decisions only, with the time as an argument. The
//! daemon's `poll` sends the requests and keeps what came.
//!
//! Invariants:
//! - what is read is closed in the past and walked so that no row is lost (`window`);
//! - a page and its cursor are one step: what was not kept is asked again;
//! - every wait has an end, every retry a limit and jitter, everything that is remembered a bound.

pub mod again;
pub mod breaker;
pub mod cadence;
mod class;
pub mod cron;
pub mod pace;
pub mod plan;
pub mod skew;
pub mod window;

pub use class::{Class, Failure, Reaction};
pub use plan::{Call, Kept, Next, Planner, Step, What};
pub use window::{Ask, Cursor, Facts, More, Rules, Walk};
