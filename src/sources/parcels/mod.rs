//! Parcels at a courier aggregator: which number is asked when, and what follows from what is said of it. Decisions only;
//! whoever sends is above. What an aggregator's own words are is in its file (`sources::kuaidi100`).
//!
//! Invariants of this folder:
//! - two calls for one number are never nearer than the floor, over restarts too: a number is reserved, and that is kept,
//!   before it is asked for (`logistics` 8);
//! - what is said of a parcel never goes back: a list that ends before what is known is left out;
//! - what became of a parcel is worked out by the core's fold, which takes any scans in any order;
//! - everything ends: a parcel that is over, or of which nothing comes any more, costs nothing.

pub mod config;
pub mod courier;
pub mod due;
pub mod gap;
pub mod hook;
pub mod number;
pub mod plan;
pub mod said;
pub mod trace;

pub use courier::{Courier, Hook, Pushed, Submitted, Trouble, Whose};
pub use number::{Number, carrier_title};
pub use plan::{Next, Planner, Step};
pub use trace::{State, Trace};
