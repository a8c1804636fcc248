//! Who is on duty when. So far the shifts of a desk by name, which is what figures are attributed to (M12); people
//! come with the roster.

mod shift;

pub use shift::{DeskConfig, ShiftConfig, Shifts};
