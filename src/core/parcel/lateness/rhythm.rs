//! When parcels are delivered: which days of the week, which hours of the day.
//!
//! A parcel that waits over a Sunday is not slower than others. Time is therefore weighed: an hour counts as much as
//! deliveries usually happen in it, and over a week the hours weigh one on average.

use serde::{Deserialize, Serialize};

use super::local::Local;

/// Minutes of an hour and of a day.
const HOUR: i64 = 60;
pub(super) const DAY: i64 = 24 * HOUR;

/// What is counted is halved after this many days.
const HALF_LIFE_DAYS: f32 = 60.0;
/// Every weekday begins as if it had seen this many deliveries, as many as expected.
const DAYS_PRIOR: f32 = 30.0;
/// Every hour of the day begins as if it had seen this many deliveries.
const HOURS_PRIOR: f32 = 10.0;

/// Deliveries by weekday and hour, and what an hour weighs by them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rhythm {
    /// Deliveries on each weekday, Monday first.
    seen: [f32; 7],
    /// How many there would have been if all weekdays were alike.
    expected: [f32; 7],
    /// Deliveries in each hour of the day.
    hours: [f32; 24],
    /// What a weekday weighs.
    day_weight: [f32; 7],
    /// What the hours of a day before each full hour weigh together, 24 at its end.
    before_hour: [f32; 25],
}

impl Default for Rhythm {
    fn default() -> Rhythm {
        let mut rhythm = Rhythm {
            seen: [0.0; 7],
            expected: [0.0; 7],
            hours: [0.0; 24],
            day_weight: [1.0; 7],
            before_hour: [0.0; 25],
        };
        rhythm.weigh();
        rhythm
    }
}

impl Rhythm {
    /// What the time from `from` to `to` weighs, in hours; both lie in one local day. Minutes since the epoch.
    pub fn weight(&self, from: i64, to: i64, local: Local) -> f64 {
        let midnight = local.midnight(from);
        let weekday = local.weekday(from);
        f64::from(self.day_weight[weekday]) * (self.within(to - midnight) - self.within(from - midnight))
    }

    /// The same if all weekdays were alike.
    pub fn plain_weight(&self, from: i64, to: i64, local: Local) -> f64 {
        let midnight = local.midnight(from);
        self.within(to - midnight) - self.within(from - midnight)
    }

    /// The latest minute in `[from, to)`, of one local day, from which on the time to `to` weighs at least `hours`;
    /// `from` when all of it does not.
    pub fn back(&self, from: i64, to: i64, hours: f64, local: Local) -> i64 {
        let midnight = local.midnight(from);
        let per_day = f64::from(self.day_weight[local.weekday(from)]).max(1e-9);
        let target = self.within(to - midnight) - hours / per_day;
        let (mut low, mut high) = (from - midnight, to - midnight);
        // `within` never falls, so halving finds the place; a day has 1,440 minutes, so eleven steps do.
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.within(middle) <= target { low = middle } else { high = middle }
        }
        midnight + low
    }

    /// What the first `minutes` of a day weigh, in hours, all weekdays alike.
    fn within(&self, minutes: i64) -> f64 {
        let minutes = minutes.clamp(0, DAY);
        let hour = (minutes / HOUR) as usize;
        let before = f64::from(self.before_hour[hour]);
        let Some(next) = self.before_hour.get(hour + 1) else { return before };
        before + (f64::from(*next) - before) * (minutes % HOUR) as f64 / HOUR as f64
    }

    /// One delivery at `at`.
    pub fn delivered(&mut self, at: i64, local: Local) {
        self.seen[local.weekday(at)] += 1.0;
        self.hours[((at - local.midnight(at)) / HOUR).clamp(0, 23) as usize] += 1.0;
    }

    /// So many deliveries would have come on the day of `at`, were all weekdays alike.
    pub fn expected(&mut self, at: i64, n: f64, local: Local) {
        self.expected[local.weekday(at)] += n as f32;
    }

    /// Ends a day: older days count less, and the weights follow what was seen.
    pub fn end_day(&mut self) {
        let keep = 0.5_f32.powf(1.0 / HALF_LIFE_DAYS);
        for n in self.seen.iter_mut().chain(&mut self.expected).chain(&mut self.hours) {
            *n *= keep;
        }
        self.weigh();
    }

    fn weigh(&mut self) {
        for day in 0..7 {
            self.day_weight[day] = (self.seen[day] + DAYS_PRIOR) / (self.expected[day] + DAYS_PRIOR);
        }
        let mean = self.day_weight.iter().sum::<f32>() / 7.0;
        for weight in &mut self.day_weight {
            *weight = (*weight / mean).max(0.001);
        }
        let all = self.hours.iter().sum::<f32>() + 24.0 * HOURS_PRIOR;
        for hour in 0..24 {
            let weight = 24.0 * (self.hours[hour] + HOURS_PRIOR) / all;
            self.before_hour[hour + 1] = self.before_hour[hour] + weight;
        }
    }

    /// Whether every figure in it is one that could have been counted.
    pub fn is_sound(&self) -> bool {
        let counts = self.seen.iter().chain(&self.expected).chain(&self.hours);
        counts.chain(&self.day_weight).chain(&self.before_hour).all(|n| n.is_finite() && *n >= 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTC: Local = Local::at_offset(0);
    /// 2026-03-02T00:00:00Z, a Monday, in minutes.
    const MONDAY: i64 = 29_540_160;

    #[test]
    fn without_a_delivery_all_hours_weigh_one() {
        let rhythm = Rhythm::default();
        assert!((rhythm.weight(MONDAY, MONDAY + DAY, UTC) - 24.0).abs() < 1e-3);
        assert!((rhythm.weight(MONDAY + 90, MONDAY + 180, UTC) - 1.5).abs() < 1e-3);
    }

    #[test]
    fn a_day_without_deliveries_weighs_little_and_its_night_less() {
        let mut rhythm = Rhythm::default();
        for week in 0..20 {
            for day in 0..7 {
                let at = MONDAY + (week * 7 + day) * DAY;
                rhythm.expected(at, 100.0, UTC);
                for n in 0..if day == 6 { 0 } else { 110 } {
                    rhythm.delivered(at + 9 * HOUR + n * 5, UTC);
                }
                rhythm.end_day();
            }
        }
        let day = |d: i64| rhythm.weight(MONDAY + d * DAY, MONDAY + (d + 1) * DAY, UTC);
        assert!(day(6) < 2.0, "Sunday weighs {}", day(6));
        assert!(day(0) > 25.0, "Monday weighs {}", day(0));
        assert!(((0..7).map(day).sum::<f64>() - 168.0).abs() < 0.1);
        let night = rhythm.weight(MONDAY, MONDAY + 6 * HOUR, UTC);
        assert!(night < 1.0, "the night weighs {night}");
        // Backwards from the end of Monday by what its last five hours weigh.
        let from = MONDAY + 19 * HOUR;
        let weighs = rhythm.weight(from, MONDAY + DAY, UTC);
        assert!((rhythm.back(MONDAY, MONDAY + DAY, weighs, UTC) - from).abs() <= 60);
    }
}
