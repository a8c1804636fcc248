//! The list of lost, damaged and wrong parcels (丢失、破损、错件理赔清单): what the shop claims from carriers, at the end of the
//! month and day by day. Made of what the store keeps, and of nothing else: a list of days past is made anew at any time.
//!
//! - One row a parcel, by the gravest of what is wrong with it; what else is wrong stands beside it. A parcel is listed
//!   on the day of the desk's zone on which its trouble was first told, so that the days of a month add up to the month.
//! - What only warned, what turned out never to have been, and what a rule says that is gone, is no claim.
//! - No name and no number to call is in it.

mod config;
mod daily;
mod list;
mod sheet;

pub use config::{ClaimsConfig, Kind};
pub use daily::{Daily, DailyError, DailyPlan, Files, place};
pub use list::{Claim, ClaimState, Days, Evidence, Wanted, list};
pub use sheet::{Carrier, Style, carriers, headers, write_carriers, write_claims};
