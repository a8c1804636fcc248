//! Is it stalled? How unusual this silence is for this carrier, stage and lane (`logistics` 7, R39 自适应停滞).
//!
//! [`GapClock`] counts how long the gaps between scans are, and says after how long a gap is one of the longest in a
//! thousand or so. Where little is known the answer goes over into the fixed limit of the rule; with nothing known it
//! is that limit. When everything of a carrier slows down, thresholds stretch with it.

mod clock;
mod closures;
mod config;
mod counts;
mod rows;
mod why;

pub use clock::{Gap, GapClock, KEYS, Stage, Stall};
pub use closures::Closures;
pub use config::{ClosedConfig, StallConfig};
pub use why::StallWhy;
