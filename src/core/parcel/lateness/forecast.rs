//! What is to be expected of one parcel, by the model of the day.

use super::ages::{STEPS, begins, step};
use super::day::Day;
use super::model::instant;
use super::rhythm::{DAY, Rhythm};
use crate::core::time::{Instant, Span};

/// How much of a surge is left a day later: a jam does not last for ever.
const SURGE_KEPT: f64 = 0.95;
/// Forecasts end here; a parcel has arrived by then, or nothing can be said of it.
const FARTHEST_DAYS: i64 = 400;

/// What one lane promises on the day of the model.
#[derive(Clone, Debug)]
pub struct Forecast<'m> {
    rhythm: &'m Rhythm,
    day: Day,
    /// Deliveries per weighed hour, by age.
    rates: [f64; STEPS],
    surge: f64,
    parcels: f64,
}

impl<'m> Forecast<'m> {
    pub(super) fn new(
        rhythm: &'m Rhythm,
        day: Day,
        rates: [f64; STEPS],
        surge: f64,
        parcels: f64,
    ) -> Forecast<'m> {
        Forecast { rhythm, day, rates, surge, parcels }
    }

    /// The chance, 0 to 1, that a parcel that began at `began` and has not arrived at `at` will not have arrived at
    /// `promise`; 1 from the promise on.
    pub fn chance(&self, began: Instant, promise: Instant, at: Instant) -> f64 {
        let (began, promise, at) = (minutes(began), minutes(promise), minutes(at));
        let mut mass = 0.0;
        self.walk(began, at, promise, |_, _, weighs, _| {
            mass += weighs;
            mass < 40.0
        });
        (-mass).exp()
    }

    /// The first instant from `from` on at which the chance is `level` or more; none when it is after the promise or
    /// at it.
    pub fn reaches(&self, level: f64, began: Instant, promise: Instant, from: Instant) -> Option<Instant> {
        let needed = -level.clamp(1e-9, 1.0).ln();
        let (began, promise, from) = (minutes(began), minutes(promise), minutes(from));
        if from >= promise {
            return None;
        }
        let mut mass = 0.0;
        let mut found = from;
        self.walk(began, from, promise, |start, end, weighs, rate| {
            if mass + weighs > needed {
                // Up to a minute later than the very instant, so that the chance has reached it by then.
                let back = self.rhythm.back(start, end, (needed - mass) / rate.max(1e-12), self.day.local);
                found = (back + 1).min(end);
                return false;
            }
            mass += weighs;
            true
        });
        (found < promise).then(|| instant(found))
    }

    /// The age at which `share` of the parcels of this lane have arrived, by its counts alone: no weekdays, no surge.
    /// None when not within the steps of age.
    pub fn age_of(&self, share: f64) -> Option<Span> {
        let needed = -(1.0 - share).clamp(1e-9, 1.0).ln();
        let mut mass = 0.0;
        for step in 0..STEPS - 1 {
            let (from, to) = (begins(step), begins(step + 1));
            let weighs = self.rates[step] * (to - from) as f64 / 60.0;
            if mass + weighs >= needed {
                let part = (needed - mass) / weighs * (to - from) as f64;
                return Some(Span::from_minutes(from + part as i64));
            }
            mass += weighs;
        }
        None
    }

    /// How many parcels of the lane itself this rests on; older ones count less.
    pub fn parcels(&self) -> f64 {
        self.parcels
    }

    /// How fast deliveries run this week against what is usual; 1 is usual, less is slower.
    pub fn surge(&self) -> f64 {
        self.surge
    }

    /// Goes back from `to` to `from` in pieces within one local day and one step of age, while `each` says so. It gets
    /// beginning, end, what the piece weighs, and the deliveries per weighed hour in it.
    fn walk(&self, began: i64, from: i64, to: i64, mut each: impl FnMut(i64, i64, f64, f64) -> bool) {
        let mut end = to;
        let farthest = to - FARTHEST_DAYS * DAY;
        let ln_surge = self.surge.ln();
        while end > from.max(farthest) {
            let midnight = self.day.local.midnight(end - 1);
            let step = step(end - 1 - began);
            let start = from.max(midnight).max(if step == 0 { i64::MIN } else { began + begins(step) });
            let ahead = ((midnight - self.day.from) / DAY).max(0) as i32;
            let rate = self.rates[step] * (ln_surge * SURGE_KEPT.powi(ahead)).exp();
            let weighs = rate * self.rhythm.weight(start, end, self.day.local);
            if !each(start, end, weighs, rate) {
                return;
            }
            end = start;
        }
    }
}

fn minutes(at: Instant) -> i64 {
    at.as_secs().div_euclid(60)
}
