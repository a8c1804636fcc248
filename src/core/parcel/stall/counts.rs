//! Gaps by their length, and the threshold that follows from them (`logistics` 7.2).

use serde::{Deserialize, Serialize};

/// How many lengths of gaps are told apart.
pub const BINS: usize = 48;
/// The shortest gap that is told apart, in hours.
const SHORTEST: f64 = 0.5;
/// How many times longer the longest is: 1,440 hours.
const RANGE: f64 = 2880.0;
/// A key begins as if it had seen this many gaps like those of the key above it.
const PRIOR: f64 = 50.0;
/// What is counted is halved after this many days.
const HALF_LIFE_DAYS: f64 = 14.0;

/// The shares of gaps that end in each bin, of those that reach it.
pub type Hazard = [f64; BINS];

/// Gaps of one key: [`BINS`] counts of those that ended by a scan, and as many of those that were cut off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    pub(super) counts: Box<[f32]>,
    /// The minute, since the epoch, as of which they stand.
    pub(super) as_of: i64,
}

impl Counts {
    /// None yet.
    pub fn new(as_of: i64) -> Counts {
        Counts { counts: vec![0.0; 2 * BINS].into_boxed_slice(), as_of }
    }

    /// A gap of `hours` was ended by a scan.
    pub fn ended(&mut self, hours: f64, weight: f32, now: i64) {
        self.age_to(now);
        self.counts[bin(hours)] += weight;
    }

    /// A gap was cut off after `hours`: it would have been longer.
    pub fn cut_off(&mut self, hours: f64, now: i64) {
        self.age_to(now);
        self.counts[BINS + bin(hours)] += 1.0;
    }

    /// How many gaps that ended it stands for at `now`.
    pub fn gaps(&self, now: i64) -> f64 {
        self.counts[..BINS].iter().copied().map(f64::from).sum::<f64>() * self.kept(now)
    }

    /// The hazard at `now`, drawn towards the one above.
    pub fn hazard(&self, above: &Hazard, now: i64) -> Hazard {
        let kept = self.kept(now);
        let mut reached = 0.0;
        let mut hazard = *above;
        for bin in (0..BINS).rev() {
            let ended = f64::from(self.counts[bin]) * kept;
            reached += ended + f64::from(self.counts[BINS + bin]) * kept;
            hazard[bin] = (ended + PRIOR * above[bin]) / (reached + PRIOR);
        }
        hazard
    }

    /// Whether every figure in it is one that could have been counted.
    pub fn is_sound(&self) -> bool {
        self.counts.len() == 2 * BINS && self.counts.iter().all(|n| n.is_finite() && *n >= 0.0)
    }

    fn kept(&self, now: i64) -> f64 {
        (-(now.saturating_sub(self.as_of).max(0) as f64) / 1440.0 / HALF_LIFE_DAYS).exp2()
    }

    fn age_to(&mut self, now: i64) {
        if now > self.as_of {
            let kept = self.kept(now) as f32;
            self.counts.iter_mut().for_each(|n| *n *= kept);
            self.as_of = now;
        }
    }
}

/// The hazard while nothing is known: a share of `alpha` is left exactly at `limit` hours.
pub fn root(limit: f64, alpha: f64) -> Hazard {
    let (m, k) = (limit / 6.0, ((1.0 - alpha) / alpha).ln() / 6_f64.ln());
    // (hours / m)^k, one factor a bin.
    let (mut odds, factor) = ((SHORTEST / m).powf(k), RANGE.powf(k / BINS as f64));
    std::array::from_fn(|_| {
        let before = odds;
        odds *= factor;
        1.0 - (1.0 + before) / (1.0 + odds)
    })
}

/// After how many hours a share of `alpha` is left; 1,440 where more is.
pub fn threshold(hazard: &Hazard, alpha: f64) -> f64 {
    let mut before = 1.0_f64;
    for (bin, h) in hazard.iter().enumerate() {
        let after = before * (1.0 - h).max(1e-12);
        if after < alpha {
            let part = (before / alpha).ln() / (before / after).ln();
            return edge(bin) * RANGE.powf(part / BINS as f64);
        }
        before = after;
    }
    edge(BINS)
}

/// Where a bin begins, in hours.
fn edge(bin: usize) -> f64 {
    SHORTEST * RANGE.powf(bin as f64 / BINS as f64)
}

fn bin(hours: f64) -> usize {
    let place = BINS as f64 * (hours / SHORTEST).ln() / RANGE.ln();
    // A cast clamps: shorter gaps and no number at all are the first.
    (place.floor() as usize).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gaps in hours and how many there were of each.
    type Gaps<'a> = &'a [(f64, usize)];
    const FAST: Gaps<'_> = &[(8.0, 100), (14.0, 200), (22.0, 80), (36.0, 20)];

    fn counts(gaps: Gaps<'_>, times: usize) -> Counts {
        let mut counts = Counts::new(0);
        for (hours, n) in gaps {
            for _ in 0..n * times {
                counts.ended(*hours, 1.0, 0);
            }
        }
        counts
    }

    #[test]
    fn the_bins_are_those_of_the_fact_sheet() {
        for (hours, want) in [(8.0, 16), (14.0, 20), (22.0, 22), (36.0, 25), (0.0, 0), (0.1, 0), (1e9, 47)] {
            assert_eq!(bin(hours), want, "{hours} h");
        }
        assert!((edge(1) / edge(0) - 1.1805).abs() < 1e-4);
        assert!((edge(BINS) - 1440.0).abs() < 1e-6);
    }

    #[test]
    fn the_worked_numbers_come_out() {
        let slow = |n: usize| [(20.0, n / 4), (40.0, n / 2), (70.0, n / 4)];
        let (slow40, slow400) = (slow(40), slow(400));
        let cases: [(&str, f64, Vec<Counts>, f64, f64); 5] = [
            ("no data", 72.0, vec![], 72.0, 72.0),
            ("no data, remote", 120.0, vec![], 120.0, 120.0),
            ("one level, fast", 72.0, vec![counts(FAST, 1)], 61.40, 65.15),
            ("carrier fast, lane slow, 40", 72.0, vec![counts(FAST, 10), counts(&slow40, 1)], 98.71, 106.34),
            (
                "carrier fast, lane slow, 400",
                72.0,
                vec![counts(FAST, 10), counts(&slow400, 1)],
                134.94,
                145.56,
            ),
        ];
        for (name, limit, levels, at_5, at_3) in cases {
            for (alpha, want) in [(0.005, at_5), (0.003, at_3)] {
                let hazard = levels.iter().fold(root(limit, alpha), |above, level| level.hazard(&above, 0));
                let got = threshold(&hazard, alpha);
                assert!((got - want).abs() < 0.01, "{name}, {alpha}: {got:.2} h, expected {want:.2} h");
            }
        }
    }

    #[test]
    fn what_was_cut_off_makes_the_threshold_longer_and_time_makes_it_forgotten() {
        let alpha = 0.005;
        let of = |counts: &Counts, now| threshold(&counts.hazard(&root(72.0, alpha), now), alpha);
        let mut counts = counts(FAST, 1);
        let before = of(&counts, 0);
        for _ in 0..40 {
            counts.cut_off(50.0, 0);
        }
        assert!(of(&counts, 0) > before);
        let year = 365 * 1440;
        assert!((of(&counts, year) - 72.0).abs() < 0.01, "after a year the rule's limit holds again");
        assert!(
            counts.gaps(14 * 1440) > 199.0 && counts.gaps(14 * 1440) < 201.0,
            "half is left after 14 days"
        );
    }
}
