//! What is learned, and where it is kept.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize};

use super::day::{Day, Learned, Seen, What};
use super::forecast::Forecast;
use super::lane::{Kept, LANES, Lane};
use super::rhythm::Rhythm;
use crate::core::parcel::Route;
use crate::core::time::{Instant, Span};

/// Fewer deliveries than this, of all lanes together, are no ground for a chance.
const ENOUGH: f64 = 200.0;
/// Lanes that nobody used for so many days make room for others.
const UNUSED_DAYS: i32 = 180;
/// After so many days without any event nothing is learned until one comes: it is the source that is silent, and not
/// the carriers. A long weekend is shorter.
const SILENT_DAYS: u16 = 3;
/// Places for lanes, and for the regions and carriers above them.
const PLACES: usize = LANES + LANES / 4;

/// The learned model of one desk, with the events of the day that is not over; kept as it is serialised.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lateness {
    /// The day that is not over; none before the first event.
    pub(super) day: Option<Day>,
    pub(super) rhythm: Rhythm,
    /// All of them first, then carriers, regions and lanes as they were met.
    pub(super) lanes: Vec<Lane>,
    /// The places that are free again.
    pub(super) vacant: Vec<u32>,
    /// For how many days nothing came.
    pub(super) silent_days: u16,
    /// What came since midnight, as it came.
    pub(super) seen: Vec<Seen>,
    /// Where the lanes are, by their keys.
    #[serde(skip)]
    places: BTreeMap<u64, u32>,
}

/// What was stored cannot be a model that was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored transit times hold figures that cannot have been counted; learn them again by a replay")]
pub struct Unsound;

impl Default for Lateness {
    fn default() -> Lateness {
        Lateness {
            day: None,
            rhythm: Rhythm::default(),
            lanes: vec![Lane::new(0, 0, 0)],
            vacant: Vec::new(),
            silent_days: 0,
            seen: Vec::new(),
            places: BTreeMap::new(),
        }
    }
}

impl Lateness {
    /// A parcel began its way at `began`.
    pub fn began(&mut self, route: Route, began: Instant) {
        self.see(route, began, Some(What::Began));
    }

    /// It was delivered at `at`. Before its beginning, or 75 days after it, nothing is learned of it.
    pub fn delivered(&mut self, route: Route, began: Instant, at: Instant) {
        self.see(route, began, minute(at).map(What::Delivered));
    }

    /// It is no longer expected since `at`: cancelled, returned, lost. The waiting until then counts.
    pub fn left(&mut self, route: Route, began: Instant, at: Instant) {
        self.see(route, began, minute(at).map(What::Left));
    }

    fn see(&mut self, route: Route, began: Instant, what: Option<What>) {
        if let (Some(began), Some(what)) = (minute(began), what) {
            self.seen.push(Seen { route, began, what });
        }
    }

    /// Learns every day of `zone` that is over at `now`, and says whether there was one: what was computed of the model
    /// before is then to be computed again.
    pub fn advance(&mut self, zone: &TimeZone, now: Instant) -> bool {
        let Some(now) = minute(now).map(i64::from) else { return false };
        let mut is_changed = false;
        let mut day = *self.day.get_or_insert_with(|| Day::containing(zone, now));
        while day.to <= now {
            self.learn(day);
            day = day.next(zone, now);
            self.day = Some(day);
            is_changed = true;
        }
        is_changed
    }

    /// The midnight at which [`Lateness::advance`] will next have something to do; none before the first event.
    pub fn next_change(&self) -> Option<Instant> {
        self.day.map(|day| instant(day.to))
    }

    /// What is to be expected of parcels on `route`; none while too little is known of any.
    pub fn forecast(&self, route: Route) -> Option<Forecast<'_>> {
        let (day, root) = (self.day?, self.lanes.first()?);
        if root.parcels(day.number()) < ENOUGH {
            return None;
        }
        let mut rates = root.own_rates();
        let mut surge = root.surge(day.number());
        let mut parcels = 0.0;
        for key in [route.carrier, route.region, route.lane] {
            let Some(lane) = self.places.get(&key).and_then(|place| self.lanes.get(*place as usize)) else {
                parcels = 0.0;
                break;
            };
            rates = lane.rates(&rates, day.number());
            parcels = lane.parcels(day.number());
            if key == route.region {
                surge *= lane.surge(day.number());
            }
        }
        Some(Forecast::new(&self.rhythm, day, rates, surge, parcels))
    }

    /// The midnight since which this model holds; none before the first event.
    pub fn holds_since(&self) -> Option<Instant> {
        self.day.map(|day| instant(day.from))
    }

    /// How many lanes, regions and carriers are told apart.
    pub fn lane_count(&self) -> usize {
        self.places.len()
    }

    /// Learns one day, which is over.
    fn learn(&mut self, day: Day) {
        let seen = std::mem::take(&mut self.seen);
        self.silent_days = if seen.is_empty() { self.silent_days.saturating_add(1) } else { 0 };
        if self.silent_days > SILENT_DAYS || !day.is_one() {
            return;
        }
        let by_place = day.sort(seen, |route| self.place(route, day.number()));
        let mut learned = Learned { lanes: &mut self.lanes, rhythm: &mut self.rhythm };
        learned.learn(day, by_place);
        self.rhythm.end_day();
        if self.places.len() > PLACES / 10 * 9 {
            self.make_room(day.number());
        }
    }

    /// Where `route` is counted; made where it is new. Where there is no more room, the region is.
    fn place(&mut self, route: Route, day: i32) -> u32 {
        let mut parent = 0;
        for key in [route.carrier, route.region, route.lane] {
            if let Some(place) = self.places.get(&key) {
                parent = *place;
                continue;
            }
            if self.places.len() >= PLACES {
                return parent;
            }
            let lane = Lane::new(key, parent, day);
            let place = match self.vacant.pop() {
                Some(place) => {
                    let kept = self.lanes[place as usize].kept;
                    self.lanes[place as usize] = lane.keeping(kept);
                    place
                }
                None => {
                    self.lanes.push(lane);
                    (self.lanes.len() - 1) as u32
                }
            };
            self.places.insert(key, place);
            parent = place;
        }
        parent
    }

    /// Gives up lanes that nobody used for long.
    fn make_room(&mut self, day: i32) {
        let above: BTreeSet<u32> = self.places.values().map(|p| self.lanes[*p as usize].parent).collect();
        let is_unused = |place: u32, lane: &Lane| {
            !above.contains(&place) && lane.open.is_empty() && day - lane.day > UNUSED_DAYS
        };
        let lanes = &mut self.lanes;
        let vacant = &mut self.vacant;
        self.places.retain(|_, place| {
            let lane = &mut lanes[*place as usize];
            let is_kept = !is_unused(*place, lane);
            if !is_kept {
                *lane = Lane::new(0, 0, day).keeping(Kept { dirty: true, ..lane.kept });
                vacant.push(*place);
            }
            is_kept
        });
        // In an order that does not depend on how they became free: what is kept of them is that they are.
        vacant.sort_unstable();
    }
}

/// A model as it was stored, before it is looked at.
#[derive(Deserialize)]
pub(super) struct Stored {
    pub day: Option<Day>,
    pub rhythm: Rhythm,
    pub lanes: Vec<Lane>,
    pub vacant: Vec<u32>,
    pub silent_days: u16,
    pub seen: Vec<Seen>,
}

impl TryFrom<Stored> for Lateness {
    type Error = Unsound;

    fn try_from(stored: Stored) -> Result<Lateness, Unsound> {
        let Stored { day, rhythm, lanes, vacant, silent_days, seen } = stored;
        let is_place = |place: &u32| (*place as usize) < lanes.len();
        let is_sound = (1..=PLACES + 1).contains(&lanes.len())
            && day.is_none_or(|day| day.is_sound())
            && rhythm.is_sound()
            && lanes.iter().all(|lane| lane.is_sound() && is_place(&lane.parent))
            && vacant.iter().all(is_place);
        if !is_sound {
            return Err(Unsound);
        }
        let free: BTreeSet<u32> = vacant.iter().copied().collect();
        let places = (1_u32..).zip(&lanes[1..]).filter(|(place, _)| !free.contains(place));
        let places = places.map(|(place, lane)| (lane.key, place)).collect();
        Ok(Lateness { day, rhythm, lanes, vacant, silent_days, seen, places })
    }
}

impl<'de> Deserialize<'de> for Lateness {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lateness, D::Error> {
        Stored::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

/// Minutes since the epoch; none for what no platform may name.
fn minute(at: Instant) -> Option<u32> {
    at.is_plausible().then(|| u32::try_from(at.as_secs() / 60).ok()).flatten()
}

/// The instant of a minute since the epoch.
pub(super) fn instant(minute: i64) -> Instant {
    Instant::from_millis(minute * Span::MINUTE.as_millis())
}
