//! The gaps of all carriers, and when a silence has lasted too long.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counts::{Counts, Hazard, root, threshold};
use super::rows::Place;
use crate::core::parcel::{Milestone, Route};
use crate::core::time::{Instant, Span};

/// How many keys are told apart, about 25 MB; gaps of further lanes count for their carrier.
pub const KEYS: usize = 60_000;

/// No silence is told before this.
const SHORTEST: Span = Span::from_minutes(6 * 60);
/// A slow-down is forgotten by half after this many minutes.
const SURGE_HALF_LIFE: f64 = 24.0 * 60.0;
/// Fewer gaps than this, of the last days, are no slow-down.
const SURGE_ENOUGH: f32 = 30.0;

/// Between which scans a gap lies (`logistics` 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Declared, until the carrier has it (S0).
    Registered,
    /// The carrier has it, until the first sort (S1).
    PickedUp,
    /// Between scans on the way (S2).
    InTransit,
    /// At the destination, until a courier has it (S3).
    AtDestination,
    /// A courier has it, until it is handed over or not (S4).
    OutForDelivery,
    /// Between scans on the way back (S6).
    Returning,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 6] = [
        Stage::Registered,
        Stage::PickedUp,
        Stage::InTransit,
        Stage::AtDestination,
        Stage::OutForDelivery,
        Stage::Returning,
    ];

    /// Its word, that of its milestone.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Registered => "registered",
            Stage::PickedUp => "picked_up",
            Stage::InTransit => "in_transit",
            Stage::AtDestination => "at_destination",
            Stage::OutForDelivery => "out_for_delivery",
            Stage::Returning => "returning",
        }
    }

    /// The stage that a parcel at `milestone` is in; none where silence means nothing.
    pub fn of(milestone: Milestone) -> Option<Stage> {
        match milestone {
            Milestone::Registered => Some(Stage::Registered),
            Milestone::PickedUp => Some(Stage::PickedUp),
            Milestone::InTransit => Some(Stage::InTransit),
            Milestone::AtDestination => Some(Stage::AtDestination),
            Milestone::OutForDelivery => Some(Stage::OutForDelivery),
            Milestone::Returning => Some(Stage::Returning),
            _ => None,
        }
    }

    /// Whether where it comes from matters no more.
    fn is_local(self) -> bool {
        matches!(self, Stage::AtDestination | Stage::OutForDelivery | Stage::Returning)
    }
}

/// Where a gap lies, and what rule holds there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// Which stage.
    pub stage: Stage,
    /// Whose, and which way.
    pub route: Route,
    /// The fixed limit of the rule for it.
    pub limit: Span,
}

/// When a silence is too long, and on what ground.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stall {
    /// The length of the silence from which on it is told.
    pub after: Span,
    /// The share of gaps that are longer.
    pub alpha: f64,
    /// How much slower everything runs at present; 1 is as usual.
    pub surge: f64,
    /// How many recent gaps of this very key it rests on.
    pub gaps: f64,
}

/// What has been learned of gaps; kept as it is serialised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GapClock {
    pub(super) counts: BTreeMap<(Stage, u64), Counts>,
    pub(super) surges: BTreeMap<(Stage, u64), Surge>,
    /// What has changed since its rows were asked for.
    #[serde(skip)]
    pub(super) dirty: BTreeSet<Place>,
}

/// How much longer than usual the latest gaps of a carrier and stage were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Surge {
    weight: f32,
    sum: f32,
    as_of: i64,
}

/// The key of everything in a stage.
const ALL: u64 = 0;

impl GapClock {
    /// A gap was ended by a scan at `now`. `weight` is 1; 0.25 for one of an outage, which must not become the norm
    /// (`logistics` 7.3).
    pub fn ended(&mut self, gap: &Gap, lasted: Span, weight: f32, now: Instant) {
        let (hours, now) = (hours(lasted), minute(now));
        let usual = threshold(&self.hazard(gap, 0.005, now), 0.5);
        let carrier = (gap.stage, gap.route.carrier);
        if self.surges.len() < KEYS || self.surges.contains_key(&carrier) {
            let longer = (hours / usual).ln().clamp(-1.2, 1.2) as f32;
            self.surges.entry(carrier).or_default().add(longer, weight, now);
            self.dirty.insert(Place { is_surge: true, key: carrier });
        }
        let factor = self.surge(gap, now);
        for key in self.keys_to_count(gap) {
            let counts = self.counts.entry((gap.stage, key)).or_insert_with(|| Counts::new(now));
            counts.ended(hours / factor, weight, now);
            self.dirty.insert(Place { is_surge: false, key: (gap.stage, key) });
        }
    }

    /// A gap ended by something else than a scan: cancelled, signed elsewhere, lost sight of.
    pub fn cut_off(&mut self, gap: &Gap, lasted: Span, now: Instant) {
        let now = minute(now);
        let factor = self.surge(gap, now);
        for key in self.keys_to_count(gap) {
            let counts = self.counts.entry((gap.stage, key)).or_insert_with(|| Counts::new(now));
            counts.cut_off(hours(lasted) / factor, now);
            self.dirty.insert(Place { is_surge: false, key: (gap.stage, key) });
        }
    }

    /// After how long a silence is told of which a share of `alpha` is longer; at the rule's limit while nothing is
    /// known. It may be kept for up to 6 hours.
    pub fn stall(&self, gap: &Gap, alpha: f64, now: Instant) -> Stall {
        let now = minute(now);
        let surge = self.surge(gap, now);
        let hours = surge * threshold(&self.hazard(gap, alpha, now), alpha);
        let leaf = keys(gap)[2];
        Stall {
            after: Span::from_millis((hours * 3_600_000.0).round() as i64).max(SHORTEST),
            alpha,
            surge,
            gaps: self.counts.get(&(gap.stage, leaf)).map_or(0.0, |counts| counts.gaps(now)),
        }
    }

    /// How many keys are told apart.
    pub fn key_count(&self) -> usize {
        self.counts.len()
    }

    /// Whether it can have been learned: to be asked of one that was stored.
    pub fn is_sound(&self) -> bool {
        self.counts.len() <= KEYS + 3 && self.counts.values().all(Counts::is_sound)
    }

    fn hazard(&self, gap: &Gap, alpha: f64, now: i64) -> Hazard {
        let levels = keys(gap).into_iter().filter_map(|key| self.counts.get(&(gap.stage, key)));
        levels.fold(root(hours(gap.limit).max(1.0), alpha), |above, counts| counts.hazard(&above, now))
    }

    fn surge(&self, gap: &Gap, now: i64) -> f64 {
        self.surges.get(&(gap.stage, gap.route.carrier)).map_or(1.0, |surge| surge.factor(now))
    }

    /// The keys that a gap counts for: all three, without new ones where there is no more room.
    fn keys_to_count(&self, gap: &Gap) -> Vec<u64> {
        let is_full = self.counts.len() >= KEYS;
        let is_kept = |key: &u64| !is_full || self.counts.contains_key(&(gap.stage, *key));
        keys(gap).into_iter().filter(is_kept).collect()
    }
}

/// All of a stage, the carrier, the lane; from the root to the leaf.
fn keys(gap: &Gap) -> [u64; 3] {
    let Route { carrier, region, lane } = gap.route;
    [ALL, carrier, if gap.stage.is_local() { region } else { lane }]
}

impl Surge {
    fn add(&mut self, longer: f32, weight: f32, now: i64) {
        let kept = self.kept(now);
        *self = Surge {
            weight: self.weight * kept + weight,
            sum: self.sum * kept + longer * weight,
            as_of: now.max(self.as_of),
        };
    }

    /// How much longer than usual, between 1 and 3 times.
    fn factor(&self, now: i64) -> f64 {
        if self.weight * self.kept(now) < SURGE_ENOUGH {
            return 1.0;
        }
        f64::from(self.sum / self.weight).exp().clamp(1.0, 3.0)
    }

    /// Whether every figure in it is one that could have been counted.
    pub(super) fn is_sound(&self) -> bool {
        self.weight.is_finite() && self.weight >= 0.0 && self.sum.is_finite()
    }

    fn kept(&self, now: i64) -> f32 {
        (-(now.saturating_sub(self.as_of).max(0) as f64) / SURGE_HALF_LIFE).exp2() as f32
    }
}

fn hours(span: Span) -> f64 {
    span.as_millis() as f64 / 3_600_000.0
}

fn minute(at: Instant) -> i64 {
    at.as_secs().div_euclid(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const START: i64 = 1_767_225_600;

    fn gap(stage: Stage, from: &str, to: &str) -> Gap {
        Gap { stage, route: Route::new("yto", from, to), limit: Span::from_minutes(72 * 60) }
    }

    fn at(day: f64) -> Instant {
        Instant::from_secs(START + (day * DAY as f64) as i64)
    }

    fn hour(n: i64) -> Span {
        Span::from_minutes(60 * n)
    }

    #[test]
    fn with_no_data_there_is_exactly_the_rule() {
        let clock = GapClock::default();
        for (limit, want) in [(72, 72.0), (120, 120.0), (24, 24.0), (2, 6.0)] {
            let gap = Gap { limit: hour(limit), ..gap(Stage::InTransit, "浙江", "湖南") };
            let stall = clock.stall(&gap, 0.005, at(0.0));
            assert!((hours(stall.after) - want).abs() < 0.05, "{limit} h: {}", stall.after);
            assert_eq!((stall.surge, stall.gaps), (1.0, 0.0));
        }
    }

    #[test]
    fn a_lane_learns_and_another_one_inherits_from_its_carrier() {
        let mut clock = GapClock::default();
        for n in 0..4000_i64 {
            let lane = gap(Stage::InTransit, "浙江", ["湖南", "江苏"][(n % 2) as usize]);
            clock.ended(&lane, hour(8 + n % 13), 1.0, at(n as f64 / 400.0));
        }
        let after = |to| clock.stall(&gap(Stage::InTransit, "浙江", to), 0.005, at(10.0)).after;
        assert!(after("湖南") < hour(36), "{}", after("湖南"));
        assert!(after("新疆") < hour(60) && after("新疆") > hour(20), "{}", after("新疆"));
        let other = Gap { route: Route::new("sf", "浙江", "湖南"), ..gap(Stage::InTransit, "", "") };
        assert!(clock.stall(&other, 0.005, at(10.0)).after < hour(72), "the stage is known");
        let stage = gap(Stage::PickedUp, "浙江", "湖南");
        assert!(
            (hours(clock.stall(&stage, 0.005, at(10.0)).after) - 72.0).abs() < 0.05,
            "another stage is not"
        );
    }

    #[test]
    fn when_all_slow_down_the_threshold_stretches_and_comes_back() {
        let mut clock = GapClock::default();
        let lane = gap(Stage::InTransit, "浙江", "湖南");
        for n in 0..2000_i64 {
            clock.ended(&lane, hour(8 + n % 13), 1.0, at(n as f64 / 200.0));
        }
        let usual = clock.stall(&lane, 0.005, at(10.0));
        for n in 0..200_i64 {
            clock.ended(&lane, hour(20 + 2 * (n % 13)), 1.0, at(10.0 + n as f64 / 200.0));
        }
        let slow = clock.stall(&lane, 0.005, at(11.0));
        assert!(slow.surge > 1.3 && slow.surge <= 3.0, "{}", slow.surge);
        assert!(slow.after > usual.after);
        assert_eq!(clock.stall(&lane, 0.005, at(30.0)).surge, 1.0, "two weeks later it is over");
    }

    #[test]
    fn a_smaller_share_takes_longer_and_nothing_is_unbounded() {
        let mut clock = GapClock::default();
        for n in 0..70_000_i64 {
            let lane = gap(Stage::InTransit, &n.to_string(), "x");
            clock.ended(&lane, Span::from_millis(n * 1_000_003), 1.0, at(0.0));
            if n % 7 == 0 {
                clock.cut_off(&lane, Span::from_millis(i64::MAX), at(0.0));
            }
        }
        assert!(clock.key_count() <= KEYS + 2 && clock.is_sound());
        let lane = gap(Stage::InTransit, "69999", "x");
        let after = |alpha| clock.stall(&lane, alpha, at(0.0)).after;
        assert!(after(0.1) <= after(0.01) && after(0.01) <= after(0.001) && after(0.001) <= hour(3 * 1440));
    }

    #[test]
    fn what_is_stored_comes_back() {
        let mut clock = GapClock::default();
        clock.ended(&gap(Stage::AtDestination, "浙江", "湖南"), hour(7), 0.25, at(1.0));
        clock.cut_off(&gap(Stage::Returning, "", ""), hour(9), at(1.0));
        let (mut rows, mut back) = (Vec::new(), GapClock::default());
        clock.rows(&mut rows);
        assert_eq!(rows.len(), 7, "three keys each, and how much longer the one was than usual");
        for (id, body) in &rows {
            assert!(GapClock::is_row(id));
            back.take(id, body.as_deref().unwrap()).unwrap();
        }
        assert_eq!(back, clock);
        assert!(back.is_sound());
        let (id, body) = rows.swap_remove(0);
        rows.clear();
        clock.rows(&mut rows);
        assert!(rows.is_empty(), "nothing has changed since");
        for (id, body, want) in [
            (id.as_str(), &b""[..], "learned anew"),
            (&id, &[9, 0, 0], "layout 9"),
            (&id, &body.unwrap()[..4], "learned anew"),
            ("gap/nowhere/00", &[], "no such row"),
            ("gap/in_transit/xyz", &[], "no such row"),
        ] {
            let told = back.take(id, body).unwrap_err();
            assert!(told.contains(want), "{id}: {told}");
        }
        assert_eq!(back, clock);
    }
}
