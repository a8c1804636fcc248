//! What is counted of one lane, one region, one carrier, or all of them.

use serde::{Deserialize, Serialize};

use super::ages::{STEPS, hours};

/// How many lanes are told apart; parcels of further ones count for their region.
pub const LANES: usize = 100_000;

/// What is counted is halved after this many days.
const HALF_LIFE_DAYS: f64 = 90.0;
/// A lane begins as if this many parcels had gone through every step as fast as those of its region.
const PRIOR_PARCELS: f64 = 50.0;
/// How fast deliveries run is forgotten by half after this many days.
const SURGE_HALF_LIFE_DAYS: f64 = 7.0;
/// A region begins as if this many deliveries had come, as many as expected.
const SURGE_PRIOR: f64 = 100.0;

/// Deliveries and waiting by age, and the parcels that are open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lane {
    /// Whose counts these are.
    pub key: u64,
    /// What it is drawn towards; itself for all of them.
    pub parent: u32,
    /// The day as of which the counts below stand.
    pub day: i32,
    /// Deliveries in each step of age.
    delivered: [f32; STEPS],
    /// Weighed hours that parcels waited in each step.
    waited: [f32; STEPS],
    /// Deliveries lately, and how many there should have been.
    lately: [f32; 2],
    /// When the open parcels began, in minutes since the epoch, in order.
    pub open: Vec<u32>,
    /// Where it is kept.
    #[serde(skip)]
    pub kept: Kept,
}

/// How a lane stands with the rows that it is kept in: two places, written by turns, so that one of them always holds
/// what all lanes were together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    /// Which of the two holds it as of the last day that is kept whole.
    pub second: bool,
    /// It has changed since it was written.
    pub dirty: bool,
    /// It was written since that day.
    pub written: bool,
}

impl PartialEq for Kept {
    /// Where a lane is kept makes no other lane of it.
    fn eq(&self, _: &Kept) -> bool {
        true
    }
}

impl Lane {
    pub fn new(key: u64, parent: u32, day: i32) -> Lane {
        let (delivered, waited) = ([0.0; STEPS], [0.0; STEPS]);
        Lane {
            key,
            parent,
            day,
            delivered,
            waited,
            lately: [0.0; 2],
            open: Vec::new(),
            kept: Kept::default(),
        }
    }

    /// The lane as it stands with other rows.
    pub fn keeping(self, kept: Kept) -> Lane {
        Lane { kept, ..self }
    }

    /// Deliveries per weighed hour in each step, drawn towards those of `above`.
    pub fn rates(&self, above: &[f64; STEPS], day: i32) -> [f64; STEPS] {
        let kept = kept(self.day, day, HALF_LIFE_DAYS);
        std::array::from_fn(|step| {
            let prior = PRIOR_PARCELS * hours(step);
            let (n, r) = (f64::from(self.delivered[step]), f64::from(self.waited[step]));
            (n * kept + prior * above[step]) / (r * kept + prior)
        })
    }

    /// The same with nothing above: every step is drawn a little towards the mean of all.
    pub fn own_rates(&self) -> [f64; STEPS] {
        let n: f64 = self.delivered.iter().copied().map(f64::from).sum();
        let r: f64 = self.waited.iter().copied().map(f64::from).sum();
        let mean = if r > 0.0 { n / r } else { 0.0 };
        std::array::from_fn(|step| {
            (f64::from(self.delivered[step]) + mean * 24.0) / (f64::from(self.waited[step]) + 24.0)
        })
    }

    /// How many deliveries its counts stand for as of `day`.
    pub fn parcels(&self, day: i32) -> f64 {
        let n: f64 = self.delivered.iter().copied().map(f64::from).sum();
        n * kept(self.day, day, HALF_LIFE_DAYS)
    }

    /// How fast deliveries run against what is usual: 0.7 is three in ten fewer. Between a third and three.
    pub fn surge(&self, day: i32) -> f64 {
        let kept = kept(self.day, day, SURGE_HALF_LIFE_DAYS);
        let [seen, expected] = self.lately.map(|n| f64::from(n) * kept);
        ((seen + SURGE_PRIOR) / (expected + SURGE_PRIOR)).clamp(1.0 / 3.0, 3.0)
    }

    /// Brings the counts to `day`.
    pub fn age_to(&mut self, day: i32) {
        if day == self.day {
            return;
        }
        let (slow, fast) = (kept(self.day, day, HALF_LIFE_DAYS), kept(self.day, day, SURGE_HALF_LIFE_DAYS));
        for n in self.delivered.iter_mut().chain(&mut self.waited) {
            *n *= slow as f32;
        }
        self.lately = self.lately.map(|n| n * fast as f32);
        self.day = day;
    }

    /// Adds what one day brought.
    pub fn add(&mut self, brought: &Brought) {
        for step in 0..STEPS {
            self.delivered[step] += brought.delivered[step];
            self.waited[step] += brought.waited[step] as f32;
        }
    }

    /// Adds deliveries that came, and how many should have.
    pub fn add_lately(&mut self, seen: f64, expected: f64) {
        self.lately[0] += seen as f32;
        self.lately[1] += expected as f32;
    }

    /// Whether every figure in it is one that could have been counted.
    pub fn is_sound(&self) -> bool {
        let counts = self.delivered.iter().chain(&self.waited).chain(&self.lately);
        counts.into_iter().all(|n| n.is_finite() && *n >= 0.0) && self.open.is_sorted()
    }
}

/// What one day brought to a lane.
#[derive(Clone, Debug)]
pub(super) struct Brought {
    pub delivered: [f32; STEPS],
    pub waited: [f64; STEPS],
    /// Deliveries of the day.
    pub seen: f64,
    /// How many there should have been by the rates of the lane, as weighed hours go.
    pub expected: f64,
    /// The same if all weekdays were alike.
    pub expected_plain: f64,
}

impl Brought {
    pub const NOTHING: Brought = Brought {
        delivered: [0.0; STEPS],
        waited: [0.0; STEPS],
        seen: 0.0,
        expected: 0.0,
        expected_plain: 0.0,
    };
}

fn kept(from: i32, to: i32, half_life: f64) -> f64 {
    (-f64::from(to.saturating_sub(from).max(0)) / half_life).exp2()
}
