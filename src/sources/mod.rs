//! Adapters: what the world says, as observations.
//!
//! [`history`] reads recorded histories, [`sign`] signs requests to platforms. Their connectors come into this room as one
//! file each.

pub mod history;
pub mod sign;
