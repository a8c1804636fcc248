//! shiftbell watches the work of an e-commerce after-sales team and rings the right person before a
//! promise is broken.
//!
//! The rooms, in the order of their layers; imports point up this list, never down
//! (`tests/it/house.rs` holds it):
//!
//! 1. [`core`]: the pure desk engine, from calendars and clocks to duty. No I/O, no wall clock, no randomness, no async.
//! 2. [`config`]: files and environment become typed settings, with every problem told at once.
//!    [`wire`]: what adapters share on their way out: HTTP clients, secrets.
//! 3. [`sources`]: adapters, what the world says as observations; recorded histories, and platforms that are polled.
//! 4. [`channels`], [`store`], [`telemetry`]: adapters, how messages leave, where a desk is kept, what is measured.
//! 5. [`daemon`]: workers, what drives a desk in real time.
//! 6. [`console`]: what people and other systems see over HTTP.
//!    [`sim`]: whole desks against a hostile world, in virtual time; what must hold is checked at every step.
//! 7. [`cli`]: one file a verb; `replay` runs a history through the engine in virtual time.
//!
//! `ARCHITECTURE.md` draws the map and says where to add a thing.

// Only here: benchmarks and integration tests are crates of their own, and fail by panicking.
#![warn(clippy::unwrap_used, clippy::expect_used)]

pub mod channels;
pub mod cli;
pub mod config;
pub mod console;
pub mod core;
pub mod daemon;
pub mod fail;
pub mod sim;
pub mod sources;
pub mod store;
pub mod telemetry;
pub mod wire;
