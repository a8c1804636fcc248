//! Will it be late? The chance that the promise of a parcel is broken, given that it has not arrived yet.
//!
//! [`Lateness`] learns from the parcels of a shop how long they take: for each lane, drawn towards its region, its
//! carrier and all of them while little is known of it; by the age of a parcel, the weekday, the hour, and how fast
//! deliveries run this week. From that follows, for one parcel, the chance to arrive in time ([`Forecast`]), and the
//! instant at which it must be told ([`Notice`]): an instant is computed, nobody is polled.
//!
//! What holds:
//! - The model of a day is made of the days before it. It changes at midnight and never in between, so an instant that
//!   was computed holds until midnight, and nothing later than the moment can have been learned.
//! - The order in which one day's events come in does not matter.
//! - For one day's model, the chance to be late never falls while a parcel is waiting.
//! - While too little is known, there is a countdown to the promise and nothing else.
//! - Memory is bounded: [`LANES`] lanes of about 300 bytes, 4 bytes for each open parcel. More lanes are learned with
//!   their region.

mod ages;
mod config;
mod day;
mod forecast;
mod lane;
mod local;
mod lookout;
mod model;
mod notice;
mod rhythm;
mod rows;
mod why;

#[cfg(test)]
mod laws;

pub use config::LatenessConfig;
pub use forecast::Forecast;
pub use lane::LANES;
pub use lookout::{Facts, Lookout, RULES, Rule, Told};
pub use model::{Lateness, Unsound};
pub use notice::{Alarm, Notice, Reason};
pub use rows::{Found, Journal, LearnedRow};
pub use why::Why;
