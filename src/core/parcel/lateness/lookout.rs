//! The open parcels of a desk, and the instants at which they are told of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::forecast::Forecast;
use super::model::Lateness;
use super::notice::{Alarm, Notice, Reason};
use super::why::Why;
use crate::core::parcel::Route;
use crate::core::time::{Instant, Span};

/// When a parcel is told of: by what was learned, or by one of the fixed rules that it is measured against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// By the chance, as [`Notice`] says.
    Notice(Notice),
    /// Whenever the chance reaches this.
    Chance(f64),
    /// So long before the promise.
    Countdown(Span),
    /// So long after its beginning.
    Age(Span),
    /// When it is older than this share of the parcels of its lane were when they arrived.
    LaneAge(f64),
}

impl Rule {
    /// When a parcel is told of that has not arrived at `now`; none from the promise on.
    fn alarm_at(
        &self,
        forecast: Option<&Forecast<'_>>,
        began: Instant,
        promise: Instant,
        now: Instant,
    ) -> Option<Alarm> {
        let fixed = |at: Instant| Some(Alarm { at: at.max(now), reason: Reason::Countdown });
        let alarm = match self {
            Rule::Notice(notice) => notice.alarm_at(forecast, began, promise, now),
            Rule::Chance(level) => {
                forecast?.reaches(*level, began, promise, now).map(|at| Alarm { at, reason: Reason::Likely })
            }
            Rule::Countdown(before) => fixed(promise - *before),
            Rule::Age(age) => fixed(began + *age),
            Rule::LaneAge(share) => fixed(began + forecast?.age_of(*share)?),
        };
        alarm.filter(|alarm| alarm.at < promise)
    }
}

/// The most rules that one lookout goes by.
pub const RULES: usize = 32;

/// What is known of one parcel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Which way it goes, as it was known when it began; none before.
    pub route: Option<Route>,
    /// When the carrier took it.
    pub began: Option<Instant>,
    /// When it is promised.
    pub promise: Option<Instant>,
    /// When it was delivered.
    pub delivered: Option<Instant>,
    /// When it was last expected, where it will not be delivered: cancelled, returned, lost.
    pub left: Option<Instant>,
}

/// That a parcel is told of.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Which parcel, by the number that its owner gave it.
    pub parcel: u32,
    /// By which of the rules, counted from 0.
    pub rule: usize,
    /// When, and what made it that instant.
    pub alarm: Alarm,
    /// The figures behind it; none while too little is known.
    pub why: Option<Why>,
}

/// Watches parcels: learns of those that end, tells of those that will be late. Driven by `now`, as the engine is.
#[derive(Clone, Debug)]
pub struct Lookout {
    zone: TimeZone,
    rules: Vec<Rule>,
    model: Lateness,
    open: BTreeMap<u32, Open>,
    /// What rings before the model changes; the rest is computed again by then. What was planned for a parcel that
    /// ended or was promised anew stays in it, and is found out when its time comes.
    queue: BTreeSet<(Instant, u32, u8)>,
}

/// An open parcel, 48 bytes.
#[derive(Clone, Copy, Debug)]
struct Open {
    route: Route,
    began: Instant,
    promise: Instant,
    /// By which rules it has been told of, a bit each.
    told: u32,
}

impl Lookout {
    /// Nothing is known yet. Of the rules the first [`RULES`] count; `zone` is where days begin at midnight.
    pub fn new(mut rules: Vec<Rule>, zone: TimeZone) -> Lookout {
        rules.truncate(RULES);
        Lookout { zone, rules, model: Lateness::default(), open: BTreeMap::new(), queue: BTreeSet::new() }
    }

    /// A lookout that goes on with a model that was stored. Open parcels follow by [`Lookout::watch_again`].
    pub fn resume(rules: Vec<Rule>, zone: TimeZone, model: Lateness) -> Lookout {
        Lookout { model, ..Lookout::new(rules, zone) }
    }

    /// A parcel that was known when the model was stored is watched on: nothing is learned of it twice. It has been
    /// told of already by the rules for which `is_told`.
    pub fn watch_again(&mut self, parcel: u32, facts: &Facts, is_told: impl Fn(usize) -> bool, now: Instant) {
        let told = (0..self.rules.len()).filter(|rule| is_told(*rule)).fold(0, |told, rule| told | 1 << rule);
        self.open(parcel, facts, told, now);
    }

    /// What was known of a parcel changed at `now`. Everything before `now` must have been advanced to.
    pub fn changed(&mut self, parcel: u32, before: &Facts, after: &Facts, now: Instant) {
        if self.model.next_change().is_none() {
            // The very first event sets the day.
            self.model.advance(&self.zone, now);
        }
        self.model.changed(before, after);
        let told = self.open.remove(&parcel).map_or(0, |open| open.told);
        // A new promise is told of again.
        self.open(parcel, after, if before.promise == after.promise { told } else { 0 }, now);
    }

    fn open(&mut self, parcel: u32, facts: &Facts, told: u32, now: Instant) {
        if let Some((route, began, promise)) = facts.open()
            && promise > now
        {
            self.open.insert(parcel, Open { route, began, promise, told });
            self.plan(parcel, now);
        }
    }

    /// The instant at which [`Lookout::advance`] next has something to do.
    pub fn next_wake(&self) -> Option<Instant> {
        let ring = self.queue.first().map(|(at, ..)| *at);
        [ring, self.model.next_change()].into_iter().flatten().min()
    }

    /// Tells of what is due at `now`, and learns the days that are over.
    pub fn advance(&mut self, now: Instant) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            let ring = self.queue.first().map(|(at, ..)| *at).filter(|at| *at <= now);
            let change = self.model.next_change().filter(|at| *at <= now);
            match (ring, change) {
                (Some(ring), change) if change.is_none_or(|change| ring < change) => told.extend(self.ring()),
                (_, Some(change)) => self.change(change),
                _ => return told,
            }
        }
    }

    /// The chance of every open parcel to be late at `now`, with its promise; none while too little is known.
    pub fn chances(&self, now: Instant) -> impl Iterator<Item = (u32, Instant, f64)> {
        self.open.iter().filter_map(move |(parcel, open)| {
            let forecast = self.model.forecast(open.route)?;
            Some((*parcel, open.promise, forecast.chance(open.began, open.promise, now)))
        })
    }

    /// What is learned.
    pub fn model(&self) -> &Lateness {
        &self.model
    }

    fn ring(&mut self) -> Option<Told> {
        let (at, parcel, rule) = self.queue.pop_first()?;
        let open = self.open.get_mut(&parcel).filter(|open| open.told & (1 << rule) == 0)?;
        let (number, rule) = (rule, usize::from(rule));
        let forecast = self.model.forecast(open.route);
        let alarm = self.rules.get(rule)?.alarm_at(forecast.as_ref(), open.began, open.promise, at);
        let alarm = alarm?;
        if alarm.at > at {
            // It was promised anew, or the instant was found a minute early.
            self.queue.insert((alarm.at, parcel, number));
            return None;
        }
        open.told |= 1 << number;
        let why = forecast.map(|forecast| Why::of(&forecast, open.began, open.promise, at));
        Some(Told { parcel, rule, alarm: Alarm { at, ..alarm }, why })
    }

    /// A day is over: all instants are computed again.
    fn change(&mut self, now: Instant) {
        self.model.advance(&self.zone, now);
        self.queue.clear();
        // From its promise on the clock of the promise has the parcel.
        self.open.retain(|_, open| open.promise > now);
        let parcels: Vec<u32> = self.open.keys().copied().collect();
        for parcel in parcels {
            self.plan(parcel, now);
        }
    }

    fn plan(&mut self, parcel: u32, now: Instant) {
        let Some(open) = self.open.get(&parcel) else { return };
        let until = self.model.next_change().unwrap_or(Instant::MAX);
        let forecast = self.model.forecast(open.route);
        for (number, rule) in (0_u8..).zip(&self.rules) {
            if open.told & (1 << number) != 0 {
                continue;
            }
            let alarm = rule.alarm_at(forecast.as_ref(), open.began, open.promise, now);
            if let Some(alarm) = alarm.filter(|alarm| alarm.at < until) {
                self.queue.insert((alarm.at, parcel, number));
            }
        }
    }
}

impl Lateness {
    /// Learns what became known of one parcel.
    pub fn changed(&mut self, before: &Facts, after: &Facts) {
        if way(before) != way(after) {
            if let Some((route, began)) = way(before).filter(|_| end(before).is_none()) {
                // As if it had not begun: the waiting so far belongs to somebody else.
                self.left(route, began, began);
            }
            if let Some((route, began)) = way(after) {
                self.began(route, began);
            }
        }
        let is_new = way(before) != way(after) || end(before).is_none();
        if let Some((route, began)) = way(after).filter(|_| is_new) {
            match (after.delivered, after.left) {
                (Some(at), _) => self.delivered(route, began, at),
                (None, Some(at)) => self.left(route, began, at),
                (None, None) => {}
            }
        }
    }
}

impl Facts {
    /// Which way it goes since when, and when it is promised; none where it has arrived, or is not to be expected.
    pub fn open(&self) -> Option<(Route, Instant, Instant)> {
        let (route, began) = way(self).filter(|_| end(self).is_none())?;
        Some((route, began, self.promise?))
    }
}

/// When nothing more was expected of it.
fn end(facts: &Facts) -> Option<Instant> {
    facts.delivered.or(facts.left)
}

/// Which way it goes since when; none for what ended before it began, which was misread.
fn way(facts: &Facts) -> Option<(Route, Instant)> {
    facts.route.zip(facts.began).filter(|(_, began)| end(facts).is_none_or(|end| end >= *began))
}
