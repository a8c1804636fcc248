//! What was learned of gaps in rows: a key a row, written when it has changed. Nothing in one row depends on another.

use serde::{Deserialize, Serialize};

use super::clock::{GapClock, KEYS, Stage, Surge};
use super::counts::{BINS, Counts};

/// The layout of the rows; another one is not read.
const LAYOUT: u8 = 1;

/// What a row holds. Few lengths of gaps were met on most lanes: only those are written.
#[derive(Serialize, Deserialize)]
enum Held {
    Counts { as_of: i64, counts: Vec<(u8, f32)> },
    Surge(Surge),
}

/// A key of the counts, or of the surges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub is_surge: bool,
    pub key: (Stage, u64),
}

impl Place {
    fn id(self) -> String {
        let what = if self.is_surge { "surge" } else { "gap" };
        format!("{what}/{}/{:016x}", self.key.0.word(), self.key.1)
    }

    fn parse(id: &str) -> Option<Place> {
        let mut parts = id.split('/');
        let is_surge = match parts.next()? {
            "gap" => false,
            "surge" => true,
            _ => return None,
        };
        let word = parts.next()?;
        let stage = Stage::ALL.into_iter().find(|stage| stage.word() == word)?;
        let key = u64::from_str_radix(parts.next()?, 16).ok()?;
        parts.next().is_none().then_some(Place { is_surge, key: (stage, key) })
    }
}

impl GapClock {
    /// The rows of all that has changed since it was asked last.
    pub fn rows(&mut self, rows: &mut Vec<(String, Option<Vec<u8>>)>) {
        for place in std::mem::take(&mut self.dirty) {
            let held = if place.is_surge {
                self.surges.get(&place.key).copied().map(Held::Surge)
            } else {
                self.counts.get(&place.key).map(|counts| {
                    let (as_of, counts) = counts.save();
                    Held::Counts { as_of, counts }
                })
            };
            let bytes = held.and_then(|held| postcard::to_allocvec(&(LAYOUT, held)).ok());
            rows.extend(bytes.map(|bytes| (place.id(), Some(bytes))));
        }
    }

    /// Whether a row of this id is one of these.
    pub fn is_row(id: &str) -> bool {
        id.starts_with("gap/") || id.starts_with("surge/")
    }

    /// Takes one row in.
    ///
    /// # Errors
    /// It cannot be read, and why: what it held is learned anew.
    pub fn take(&mut self, id: &str, body: &[u8]) -> Result<(), String> {
        let place = Place::parse(id).ok_or("no such row")?;
        let why = |e: postcard::Error| format!("{e}; these gaps (停滞) are learned anew");
        let (layout, rest) = postcard::take_from_bytes::<u8>(body).map_err(why)?;
        if layout != LAYOUT {
            return Err(format!(
                "written with layout {layout}, expected {LAYOUT}; these gaps (停滞) are learned anew"
            ));
        }
        let unsound =
            || "holds figures that cannot have been counted; these gaps (停滞) are learned anew".to_owned();
        match postcard::from_bytes(rest).map_err(why)? {
            Held::Counts { as_of, counts } if !place.is_surge => {
                let counts = Counts::load(as_of, &counts).ok_or_else(unsound)?;
                if self.counts.len() < KEYS + 3 {
                    self.counts.insert(place.key, counts);
                }
            }
            Held::Surge(surge) if place.is_surge && surge.is_sound() => {
                self.surges.insert(place.key, surge);
            }
            _ => return Err(unsound()),
        }
        Ok(())
    }
}

impl Counts {
    fn save(&self) -> (i64, Vec<(u8, f32)>) {
        let some = (0_u8..).zip(&self.counts).filter(|(_, n)| **n != 0.0);
        (self.as_of, some.map(|(bin, n)| (bin, *n)).collect())
    }

    fn load(as_of: i64, some: &[(u8, f32)]) -> Option<Counts> {
        let mut counts = Counts::new(as_of);
        for (bin, n) in some {
            *counts.counts.get_mut(usize::from(*bin))? = *n;
        }
        (some.len() <= 2 * BINS && counts.is_sound()).then_some(counts)
    }
}
