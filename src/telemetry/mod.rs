//! What is logged and measured: tracing, every metric in one place, and what is known of the program's own health.
//!
//! Invariants of this room:
//! - a label's values come from closed sets, and every series of a closed set starts at zero;
//! - no person, case, address, token or error text is a label;
//! - health says what is true now, never "the process exists" (I46).

pub mod health;
pub mod log;
pub mod metrics;

pub use health::{Health, HealthSender, Unready};
pub use log::{LogConfig, LogFormat};
pub use metrics::{Known, Metrics, Snapshot};
