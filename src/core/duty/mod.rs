//! Who is on duty when: the shifts of a desk, and the people who work them. Asking is a pure function of the instant.

mod roster;
mod rota;
mod shift;

pub use roster::{ContactConfig, Person, PersonConfig, Role, Roster, StretchConfig, Team, TeamConfig};
pub use rota::{Gap, Rota};
pub use shift::{DeskConfig, ShiftConfig, Shifts};
