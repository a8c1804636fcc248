//! What kind of world a seed makes: how much of which trouble.

use super::random::Dice;

/// How much of what.
#[derive(Clone, Debug)]
pub struct Profile {
    /// A ticket at least every so many seconds.
    pub tickets: i64,
    /// Somebody does something at least every so many seconds.
    pub people: i64,
    /// Hundreds of parcels stall at once.
    pub storms: bool,
    /// So many of them.
    pub storm: i64,
    /// A channel changes at least every so many seconds; 0 never.
    pub weather: i64,
    /// The process dies at least every so many seconds; 0 never.
    pub deaths: i64,
    /// It may stay dead for long.
    pub downtimes: bool,
    /// Clocks jump.
    pub jumps: bool,
    /// Configurations change.
    pub reloads: bool,
    /// Sources go blind.
    pub blindness: bool,
    /// People silence things.
    pub silences: bool,
    /// A rush of buyers at least every so many seconds; 0 never.
    pub rushes: i64,
}

impl Profile {
    /// The kind of world that a seed makes.
    pub fn new(dice: &mut Dice) -> Profile {
        Profile {
            tickets: *dice.pick(&[30, 120, 400]).unwrap_or(&120),
            people: *dice.pick(&[20, 90, 600]).unwrap_or(&90),
            storms: dice.chance(40),
            storm: *dice.pick(&[30, 60, 200]).unwrap_or(&60),
            weather: *dice.pick(&[0, 120, 900]).unwrap_or(&900),
            deaths: *dice.pick(&[0, 120, 1200]).unwrap_or(&1200),
            downtimes: dice.chance(50),
            jumps: dice.chance(25),
            reloads: dice.chance(35),
            blindness: dice.chance(30),
            silences: dice.chance(35),
            rushes: 0,
        }
    }
}
