//! One promise of the model: what is consumed of it, when it is due, and when its rings are reached
//! (`sla_semantics` §6, §7).

use std::collections::BTreeMap;

use super::terms::{Hours, Promise, Version};
use super::ticks::{DAY, MINUTE, Tick};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Stop,
    Cancel,
    Superseded,
    Excused,
}

/// The terms in force (P1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub promise: Promise,
    pub hours: Hours,
    pub least: Option<i64>,
    pub rings: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub struct Cycle<'a> {
    pub start: Tick,
    pub end: Option<(Tick, Ended)>,
    /// A person took it out of the count.
    pub excused: bool,
    /// Reached.
    pub due: Option<Tick>,
    /// If all stays as it is.
    pub expected: Option<Tick>,
    /// Where counting began: the start, or the last restart (P4).
    pub origin: Tick,
    pub consumed: Tick,
    pub taken: Tick,
    pub overdue_open: Tick,
    /// P3.
    pub floor: Tick,
    /// K9.
    pub reopen_target: Option<i64>,
    /// The entry and the version it goes by.
    pub rule: usize,
    pub version: &'a Version,
    pub terms: Terms,
    pub deadline: Option<Tick>,
    pub paused: bool,
    /// The last expected due, and the instant that moved it there.
    pub moved: (Option<Tick>, Tick),
    /// When the target, the deadline or the calendar last changed before due, and since when the target is what it is.
    pub retargeted: Tick,
    pub target_since: Tick,
    pub fired: BTreeMap<&'static str, Fired>,
    /// K22: the instant named, and the open time up to it.
    pub named: (Tick, Tick),
    /// The instants of the rings before due, as long as nothing happens.
    pub early: BTreeMap<&'static str, Tick>,
}

/// What came of a ring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fired {
    /// How often it was crossed.
    pub arm: u8,
    /// Crossed, and not armed again.
    pub done: bool,
    /// ... while the clock did not have it.
    pub unseen: bool,
    /// When it was due then.
    pub due: Option<Tick>,
}

impl<'a> Cycle<'a> {
    /// One that starts at `t`, by this version and this entry of it.
    pub fn new(
        t: Tick,
        (version, rule): (&'a Version, usize),
        terms: Terms,
        deadline: Option<Tick>,
        paused: bool,
        reopen_target: Option<i64>,
    ) -> Cycle<'a> {
        let mut cycle = Cycle {
            start: t,
            end: None,
            excused: false,
            due: None,
            expected: None,
            origin: t,
            consumed: 0,
            taken: 0,
            overdue_open: 0,
            floor: 0,
            reopen_target,
            rule,
            version,
            terms,
            deadline,
            paused,
            moved: (None, t),
            retargeted: t,
            target_since: t,
            fired: BTreeMap::new(),
            named: (Tick::MAX, 0),
            early: BTreeMap::new(),
        };
        cycle.name_time();
        cycle
    }

    pub fn name_time(&mut self) {
        let hours = self.terms.hours;
        self.named = match self.terms.promise {
            Promise::By(minute, _) => {
                let named = hours.by(self.origin, minute);
                (named, hours.elapsed(self.origin, named))
            }
            Promise::Every(days) => (hours.next_open(self.origin + days * DAY * MINUTE), 0),
            Promise::Target(_) | Promise::Deadline(_) => (Tick::MAX, 0),
        };
    }

    /// K21, K22: whether the promise is used up at `t`.
    pub fn used_up(&self, consumed: Tick, t: Tick) -> bool {
        let enough = |minutes: i64| consumed >= (minutes * MINUTE).max(self.floor);
        match self.terms.promise {
            Promise::Target(minutes) => enough(minutes),
            Promise::Deadline(target) => target.is_some_and(enough) || self.deadline.is_some_and(|d| d <= t),
            Promise::By(_, true) => consumed >= self.named.1,
            Promise::By(_, false) | Promise::Every(_) => t >= self.named.0,
        }
    }

    pub fn use_up(&mut self, t: Tick) {
        if self.due.is_none() && self.used_up(self.consumed, t) {
            self.due = Some(t);
        }
    }

    /// When it is due if everything stays as it is from `t` on.
    pub fn expected(&self, t: Tick) -> Option<Tick> {
        if self.due.is_some() {
            return self.due;
        }
        let by_wall = match self.terms.promise {
            Promise::By(_, false) | Promise::Every(_) => Some(self.named.0),
            Promise::Deadline(_) => self.deadline,
            Promise::Target(_) | Promise::By(_, true) => None,
        };
        let by_length = self.target().and_then(|target| {
            let left = target - self.consumed;
            let runs = left <= 0 || !self.paused;
            runs.then(|| self.terms.hours.add(t, left))
        });
        by_wall.map(|at| at.max(t)).into_iter().chain(by_length).min()
    }

    /// Promises that are used up, and do not pass by themselves.
    pub fn target(&self) -> Option<Tick> {
        match self.terms.promise {
            Promise::Target(minutes) | Promise::Deadline(Some(minutes)) => {
                Some((minutes * MINUTE).max(self.floor))
            }
            Promise::By(_, true) => Some(self.named.1),
            Promise::By(_, false) | Promise::Every(_) | Promise::Deadline(None) => None,
        }
    }

    /// What shares of it are consumed (§7); `None` for what goes by the wall (H5), such as a platform's deadline that
    /// comes before the target is used up.
    pub fn length(&self) -> Option<Tick> {
        let uses_deadline = matches!(self.terms.promise, Promise::Deadline(_));
        let decides = self.deadline.zip(self.expected).is_some_and(|(deadline, due)| deadline <= due);
        self.target().filter(|_| !(uses_deadline && decides))
    }

    /// The instant of a ring that comes before due, if all stays as it is from `t` on.
    pub fn early(&self, ring: &str, t: Tick) -> Option<Tick> {
        let due = self.expected?;
        let hours = self.terms.hours;
        if let Some(percent) = ring.strip_suffix('%') {
            let percent: Tick = percent.parse().expect("a number");
            let part = |whole: Tick| (whole * percent + 99) / 100;
            let Some(whole) = self.length() else {
                // H5.
                let share = part(hours.elapsed(self.origin, due));
                let at = if share == 0 { due } else { hours.add(self.origin, share) };
                return Some(at.max(self.retargeted).max(self.moved.1));
            };
            let mut consumed = self.consumed;
            for u in t..=due.max(t) {
                if consumed >= part(whole) {
                    return Some(u);
                }
                consumed += Tick::from(!self.paused && hours.open(u));
            }
            return None;
        }
        let (distance, wall) = match ring {
            "10m before" => (10 * MINUTE, false),
            "1h before" => (60 * MINUTE, false),
            "1h before wall" => (60 * MINUTE, true),
            _ => return None,
        };
        let before = if wall { due - distance } else { hours.back(due, distance) };
        Some(before.max(self.start).max(self.moved.1))
    }

    pub fn is_late(&self, t: Tick) -> bool {
        self.due.is_some_and(|due| due < t)
    }
}
