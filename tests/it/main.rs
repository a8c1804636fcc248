//! One integration binary: what needs more than one room, or the built binary.

mod handbook;
mod house;
mod oracle;
mod replay;
