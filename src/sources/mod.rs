//! Adapters: what the world says, as observations.
//!
//! [`history`] reads recorded histories. The platforms' connectors come into this room as one file each.

pub mod history;
