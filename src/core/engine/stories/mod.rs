//! Stories of `delivery_semantics` §20, each named by its scenario, over virtual time.

mod changed;
mod clock;
mod escalation;
mod laws;
mod learned;
mod parcels;
mod people;
mod restart;
mod shifts;
mod source;
mod world;
