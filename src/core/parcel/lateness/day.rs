//! One day of deliveries becomes counts.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::ages::{GIVEN_UP, STEPS, begins, step};
use super::lane::{Brought, Lane};
use super::local::Local;
use super::model::instant;
use super::rhythm::{DAY, Rhythm};
use crate::core::parcel::Route;

/// After a longer silence the days between are passed over at once.
const SILENCE: i64 = 14 * DAY;

/// A local day `[from, to)`, in minutes since the epoch; more than one after a long silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Day {
    pub from: i64,
    pub to: i64,
    pub local: Local,
}

/// Something that was seen of a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Seen {
    pub route: Route,
    /// When the parcel began.
    pub began: u32,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum What {
    Began,
    /// Delivered at that minute.
    Delivered(u32),
    /// No longer expected from that minute on.
    Left(u32),
}

/// What one day showed of one lane: parcels that began, and parcels that ended.
#[derive(Debug, Default)]
pub(super) struct Shown {
    began: Vec<u32>,
    ended: Vec<(u32, What)>,
}

/// A parcel waited `[since, until)` on the day that is learned, or before it where that was not known.
struct Waited {
    began: i64,
    since: i64,
    until: i64,
}

impl Day {
    /// The day of `zone` that `minute` lies in.
    pub fn containing(zone: &TimeZone, minute: i64) -> Day {
        let local = Local::of(zone, instant(minute));
        let from = local.midnight(minute);
        Day { from, to: Day::end(zone, from), local }
    }

    /// The day after it; all days up to that of `now`, when there are many.
    pub fn next(self, zone: &TimeZone, now: i64) -> Day {
        let local = Local::of(zone, instant(self.to));
        let to = if now - self.to > SILENCE { local.midnight(now) } else { Day::end(zone, self.to) };
        Day { from: self.to, to, local }
    }

    /// The midnight after the one at `from`, 23 to 25 hours later.
    fn end(zone: &TimeZone, from: i64) -> i64 {
        let end = Local::of(zone, instant(from + DAY)).midnight(from + DAY + DAY / 2);
        if (from + DAY / 2..=from + 2 * DAY).contains(&end) { end } else { from + DAY }
    }

    /// Days since the epoch.
    pub fn number(self) -> i32 {
        (self.from / DAY) as i32
    }

    /// Whether it is a day at all.
    pub fn is_sound(self) -> bool {
        (0..self.to).contains(&self.from) && i32::try_from(self.to).is_ok()
    }

    /// Whether it is one day and not a stretch of them.
    pub fn is_one(self) -> bool {
        self.to - self.from <= DAY + DAY / 8
    }

    /// What was seen, lane by lane; `place` says where a route is counted. In which order it was seen does not matter.
    pub fn sort(self, mut seen: Vec<Seen>, mut place: impl FnMut(Route) -> u32) -> BTreeMap<u32, Shown> {
        seen.sort_unstable();
        let mut sorted: BTreeMap<u32, Shown> = BTreeMap::new();
        for Seen { route, began, what } in seen {
            // What lies more than a day ahead was misread; kept, it would stay open for years.
            let is_ahead = |at: u32| i64::from(at) > self.to + DAY;
            match what {
                What::Delivered(at) | What::Left(at) if is_ahead(at) || at < began => {}
                _ if is_ahead(began) => {}
                What::Began => sorted.entry(place(route)).or_default().began.push(began),
                _ => sorted.entry(place(route)).or_default().ended.push((began, what)),
            }
        }
        sorted
    }
}

/// What is learned, while a day is added to it.
pub(super) struct Learned<'m> {
    pub lanes: &'m mut [Lane],
    pub rhythm: &'m mut Rhythm,
}

impl Learned<'_> {
    /// Adds `day` with what it showed.
    pub fn learn(&mut self, day: Day, mut shown: BTreeMap<u32, Shown>) {
        for place in 0..self.lanes.len() {
            let shown = shown.remove(&(place as u32)).unwrap_or_default();
            if !self.lanes[place].open.is_empty() || !shown.began.is_empty() || !shown.ended.is_empty() {
                self.learn_lane(day, place, shown);
            }
        }
    }

    fn learn_lane(&mut self, day: Day, place: usize, shown: Shown) {
        // The lane, its region, its carrier, and all of them.
        let mut line = vec![place];
        while line[line.len() - 1] != 0 && line.len() < 4 {
            line.push(self.lanes[line[line.len() - 1]].parent as usize);
        }
        let above = line.iter().rev().skip(1);
        let rates = above.fold(self.lanes[0].own_rates(), |r, at| self.lanes[*at].rates(&r, day.number()));

        let mut brought = Brought::NOTHING;
        let waited = self.end(day, place, shown, &mut brought);
        for waited in waited {
            self.wait(day, &waited, &rates, &mut brought);
        }
        self.rhythm.expected(day.from, brought.expected_plain, day.local);
        // A lane without a region of its own is one.
        let region = if line.len() == 4 { line[1] } else { place };
        let (all_surge, surge) = (self.lanes[0].surge(day.number()), self.lanes[region].surge(day.number()));
        for at in line {
            self.lanes[at].age_to(day.number());
            self.lanes[at].add(&brought);
            self.lanes[at].kept.dirty = true;
        }
        self.lanes[0].add_lately(brought.seen, brought.expected * surge);
        if region != 0 {
            self.lanes[region].add_lately(brought.seen, brought.expected * all_surge);
        }
    }

    /// Closes what ended, opens what began, and says who waited when. Deliveries are counted.
    fn end(&mut self, day: Day, place: usize, shown: Shown, brought: &mut Brought) -> Vec<Waited> {
        let mut known = std::mem::take(&mut self.lanes[place].open);
        let mut fresh = shown.began;
        let mut waited = Vec::with_capacity(known.len() + fresh.len() + shown.ended.len());
        for (began, what) in shown.ended {
            // What was known yesterday has been counted until then; the rest is counted from its beginning.
            let was_known = take(&mut known, began);
            if !was_known {
                take(&mut fresh, began);
            }
            let began = i64::from(began);
            let since = if was_known { began.max(day.from) } else { began };
            let (at, is_delivered) = match what {
                What::Delivered(at) => (i64::from(at), true),
                What::Left(at) => (i64::from(at), false),
                What::Began => continue,
            };
            if at - began > GIVEN_UP {
                continue;
            }
            waited.push(Waited { began, since, until: at.min(day.to) });
            if is_delivered {
                brought.delivered[step(at - began)] += 1.0;
                if (day.from..day.to).contains(&at) {
                    brought.seen += 1.0;
                    self.rhythm.delivered(at, day.local);
                }
            }
        }
        for began in known.iter().copied().map(i64::from) {
            waited.push(Waited { began, since: began.max(day.from), until: day.to });
        }
        for began in fresh.iter().copied().map(i64::from) {
            waited.push(Waited { began, since: began, until: day.to });
        }
        known.append(&mut fresh);
        known.retain(|began| i64::from(*began) > day.to - GIVEN_UP);
        known.sort_unstable();
        known.shrink_to(known.len() * 2);
        self.lanes[place].open = known;
        waited
    }

    /// Counts that a parcel waited.
    fn wait(&self, day: Day, waited: &Waited, rates: &[f64; STEPS], brought: &mut Brought) {
        let began = waited.began;
        let until = waited.until.min(began + GIVEN_UP);
        let mut at = waited.since;
        while at < until {
            let step = step(at - began);
            let next_step = if step + 1 < STEPS { began + begins(step + 1) } else { i64::MAX };
            let end = until.min(next_step).min(day.local.midnight(at) + DAY);
            let weighed = self.rhythm.weight(at, end, day.local);
            brought.waited[step] += weighed;
            if at >= day.from {
                brought.expected += rates[step] * weighed;
                brought.expected_plain += rates[step] * self.rhythm.plain_weight(at, end, day.local);
            }
            at = end;
        }
    }
}

/// Takes one `value` out of a sorted list, if it is there.
fn take(list: &mut Vec<u32>, value: u32) -> bool {
    match list.binary_search(&value) {
        Ok(at) => {
            list.remove(at);
            true
        }
        Err(_) => false,
    }
}
