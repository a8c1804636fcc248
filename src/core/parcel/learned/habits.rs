//! What carriers report of their parcels, and what they never do (`logistics` 6, R17 and R18): some call a parcel signed
//! that nobody was told to be carrying, some never say that it was fetched.
//!
//! Counted parcel by parcel, a half forgotten in four weeks. What a parcel shows may be corrected later: then it is counted
//! anew.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::core::time::Instant;

/// The layout of the rows; another one is not read.
const LAYOUT: u8 = 1;
/// So many carriers are learned of.
const CARRIERS: usize = 1_000;
/// After so long half of what was seen counts.
const HALF_LIFE_DAYS: f64 = 28.0;
/// So many parcels are enough to speak of a habit.
const ENOUGH: f32 = 20.0;
/// A carrier that tells of the delivery of more than this share of its parcels before they are signed does so (R18).
const REPORTS_DELIVERY: f32 = 0.95;
/// One that tells of at least this share that they were fetched does so (R17).
const REPORTS_COLLECTION: f32 = 0.30;

/// What a parcel shows of its carrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// It was delivered: whether it had been carried to the recipient or laid ready before.
    pub delivered: Option<bool>,
    /// What lay ready is settled: whether the carrier said that it was fetched.
    pub collected: Option<bool>,
}

/// One carrier: how many did not, and how many did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Habit {
    /// When it was counted, in minutes.
    as_of: i64,
    delivered: [f32; 2],
    collected: [f32; 2],
}

/// All carriers, by what the cases call them.
#[derive(Clone, Debug, Default)]
pub struct Habits {
    carriers: BTreeMap<String, Habit>,
    /// What has changed since the rows were asked for.
    dirty: BTreeSet<String>,
}

impl Habit {
    fn kept(&self, now: i64) -> f32 {
        let days = now.saturating_sub(self.as_of).max(0) as f64 / 1_440.0;
        (-days / HALF_LIFE_DAYS).exp2() as f32
    }

    fn age_to(&mut self, now: i64) {
        if now > self.as_of {
            let kept = self.kept(now);
            self.delivered.iter_mut().chain(&mut self.collected).for_each(|n| *n *= kept);
            self.as_of = now;
        }
    }

    fn is_sound(&self) -> bool {
        self.delivered.iter().chain(&self.collected).all(|n| n.is_finite() && *n >= 0.0)
    }
}

/// The share of those that did, where there are enough at `kept` of each.
fn share(counts: [f32; 2], kept: f32) -> Option<f32> {
    let all = (counts[0] + counts[1]) * kept;
    (all >= ENOUGH).then(|| counts[1] * kept / all)
}

fn minutes(at: Instant) -> i64 {
    at.as_secs().div_euclid(60)
}

impl Habits {
    /// A parcel showed `before`, and shows `after` at `now`.
    pub fn changed(&mut self, carrier: &str, before: Shown, after: Shown, now: Instant) {
        if before == after || carrier.is_empty() {
            return;
        }
        if self.carriers.len() >= CARRIERS && !self.carriers.contains_key(carrier) {
            return;
        }
        let habit = self.carriers.entry(carrier.to_owned()).or_default();
        habit.age_to(minutes(now));
        let count = |counts: &mut [f32; 2], before: Option<bool>, after: Option<bool>| {
            if before != after {
                before.into_iter().for_each(|did| {
                    let count = &mut counts[usize::from(did)];
                    *count = (*count - 1.0).max(0.0);
                });
                after.into_iter().for_each(|did| counts[usize::from(did)] += 1.0);
            }
        };
        count(&mut habit.delivered, before.delivered, after.delivered);
        count(&mut habit.collected, before.collected, after.collected);
        self.dirty.insert(carrier.to_owned());
    }

    /// Whether the carrier is known to tell that it carries a parcel to the recipient; `None` where too little is known.
    pub fn reports_delivery(&self, carrier: &str, now: Instant) -> Option<bool> {
        let habit = self.carriers.get(carrier)?;
        share(habit.delivered, habit.kept(minutes(now))).map(|share| share > REPORTS_DELIVERY)
    }

    /// Whether the carrier is known to tell that a parcel was fetched; `None` where too little is known.
    pub fn reports_collection(&self, carrier: &str, now: Instant) -> Option<bool> {
        let habit = self.carriers.get(carrier)?;
        share(habit.collected, habit.kept(minutes(now))).map(|share| share >= REPORTS_COLLECTION)
    }

    /// The rows of all that has changed since it was asked last.
    pub fn rows(&mut self, rows: &mut Vec<(String, Option<Vec<u8>>)>) {
        for carrier in std::mem::take(&mut self.dirty) {
            let bytes = self.carriers.get(&carrier).map(|habit| postcard::to_allocvec(&(LAYOUT, habit)));
            rows.extend(bytes.and_then(Result::ok).map(|bytes| (format!("habit/{carrier}"), Some(bytes))));
        }
    }

    /// Whether a row of this id is one of these.
    pub fn is_row(id: &str) -> bool {
        id.starts_with("habit/")
    }

    /// Takes one row in.
    ///
    /// # Errors
    /// It cannot be read, and why: what it held is learned anew.
    pub fn take(&mut self, id: &str, body: &[u8]) -> Result<(), String> {
        let carrier = id.strip_prefix("habit/").filter(|carrier| !carrier.is_empty()).ok_or("no such row")?;
        let (layout, habit): (u8, Habit) = postcard::from_bytes(body)
            .map_err(|e| format!("{e}; what this carrier reports is learned anew"))?;
        if layout != LAYOUT {
            return Err(format!(
                "written with layout {layout}, expected {LAYOUT}; what this carrier reports is learned anew"
            ));
        }
        if !habit.is_sound() {
            return Err("holds figures that cannot have been counted; it is learned anew".to_owned());
        }
        if self.carriers.len() < CARRIERS {
            self.carriers.insert(carrier.to_owned(), habit);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Instant {
        Instant::from_secs(1_772_416_800 + 86_400 * days)
    }

    fn delivered(announced: bool) -> Shown {
        Shown { delivered: Some(announced), collected: None }
    }

    #[test]
    fn a_habit_is_one_when_there_is_enough_and_is_forgotten() {
        let nothing = Shown::default();
        for (did, did_not, want) in [
            (10, 0, None),
            (20, 0, Some(true)),
            (96, 4, Some(true)),
            (95, 5, Some(false)),
            (0, 40, Some(false)),
        ] {
            let mut habits = Habits::default();
            (0..did).for_each(|_| habits.changed("zto", nothing, delivered(true), at(0)));
            (0..did_not).for_each(|_| habits.changed("zto", nothing, delivered(false), at(0)));
            assert_eq!(habits.reports_delivery("zto", at(0)), want, "{did} did, {did_not} did not");
            assert_eq!(habits.reports_delivery("sf", at(0)), None);
            assert_eq!(habits.reports_collection("zto", at(0)), None, "another habit");
            assert_eq!(habits.reports_delivery("zto", at(365)), None, "forgotten");
        }
        let mut habits = Habits::default();
        let collected = |is| Shown { delivered: None, collected: Some(is) };
        (0..21).for_each(|_| habits.changed("zto", nothing, collected(false), at(0)));
        assert_eq!(habits.reports_collection("zto", at(0)), Some(false));
        (0..9).for_each(|_| habits.changed("zto", nothing, collected(true), at(0)));
        assert_eq!(habits.reports_collection("zto", at(0)), Some(true), "30 of 100");
        // What was corrected is counted anew.
        (0..9).for_each(|_| habits.changed("zto", collected(true), collected(false), at(0)));
        assert_eq!(habits.reports_collection("zto", at(0)), Some(false));
    }

    #[test]
    fn rows_bring_it_back() {
        let mut habits = Habits::default();
        (0..30).for_each(|_| habits.changed("圆通", Shown::default(), delivered(true), at(0)));
        let mut rows = Vec::new();
        habits.rows(&mut rows);
        let [(id, Some(body))] = &rows[..] else { panic!("one row: {rows:?}") };
        assert!(Habits::is_row(id));
        let mut again = Habits::default();
        again.take(id, body).unwrap();
        assert_eq!(again.reports_delivery("圆通", at(0)), Some(true));
        let mut more = Vec::new();
        habits.rows(&mut more);
        again.rows(&mut more);
        assert!(more.is_empty(), "nothing has changed since");
        assert!(again.take("habit/", body).is_err() && again.take(id, &body[1..]).is_err());
    }
}
