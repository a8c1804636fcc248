//! The policy of a desk, checked and ready to be asked (`sla_semantics` §8).
//!
//! A [`Clock`] is everything that carries one clock name: its [`Rule`]s (the entries, first match wins) and the
//! overlays upon them. What a rule promises under the overlays that match is its [`Terms`], worked out for every
//! combination when the policy is compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::calendar::Calendar;
use crate::core::clock::condition::Condition;
use crate::core::clock::config::{ClockConfig, OverlayConfig, Pick, PolicyConfig, Reopen};
use crate::core::clock::ring::Ring;
use crate::core::model::{Sym, Timeline};
use crate::core::time::{Instant, Span};

/// A checked policy.
#[derive(Debug)]
pub struct Policy {
    pub(super) config: PolicyConfig,
    pub(super) calendars: BTreeMap<String, Arc<Calendar>>,
    pub(super) clocks: Vec<Arc<Clock>>,
}

/// All entries of one clock name, and the overlays that change them.
#[derive(Debug)]
pub struct Clock {
    /// Its name.
    pub name: Sym,
    /// The name people know.
    pub title: Option<Arc<str>>,
    /// The kind of case it watches.
    pub on: Sym,
    pub(super) rules: Vec<Rule>,
    pub(super) overlays: Vec<Layer>,
    pub(super) source: ClockSource,
}

/// When an overlay is in force.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) when: Option<Condition>,
    /// For cycles that start in these.
    pub(super) from: Instant,
    pub(super) to: Instant,
}

/// What a clock was compiled from: equal sources are equal clocks, which is how a reload knows what it changes.
#[derive(Debug, PartialEq)]
pub(super) struct ClockSource {
    pub(super) entries: Vec<ClockConfig>,
    pub(super) overlays: Vec<OverlayConfig>,
    pub(super) kind: Option<super::config::KindConfig>,
    pub(super) calendars: Vec<Arc<Calendar>>,
}

/// One `[[clock]]` entry.
#[derive(Debug)]
pub struct Rule {
    pub(super) when: Option<Condition>,
    /// Starts when this becomes true, and ends when it no longer is.
    pub(super) start_when: Option<Condition>,
    pub(super) roles: Vec<(Sym, Roles)>,
    pub(super) pick: Pick,
    /// Runs again and again: a stop starts the next cycle.
    pub(super) recurring: bool,
    pub(super) stop_when: Option<Condition>,
    pub(super) cancel_when: Option<Condition>,
    pub(super) pause: Option<Condition>,
    pub(super) closed: Option<Condition>,
    /// A deadline that lies before the start does not count.
    pub(super) deadline_follows: bool,
    pub(super) reopen: Reopen,
    pub(super) reopen_within: Option<Span>,
    pub(super) reopen_target: Option<Span>,
    pub(super) cancel_on_mismatch: bool,
    pub(super) cancel_on_removal: bool,
    /// By the overlays that match, one bit each.
    pub(super) terms: Vec<Terms>,
}

/// What is promised, counted how, and when it rings.
#[derive(Debug)]
pub struct Terms {
    /// The promise.
    pub promise: Promise,
    /// The calendar that counts.
    pub calendar: Arc<Calendar>,
    /// Its rings.
    pub rings: Vec<Ring>,
    /// P3.
    pub min_left: Option<Span>,
    /// P4.
    pub restart: bool,
    /// An overlay in force sets the target or the time of day.
    pub overlaid: bool,
    /// The names of the overlays in force.
    pub overlays: Vec<Arc<str>>,
}

/// What decides when a cycle is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A length of open time, a deadline of the platform's, or the earlier of both. At least one is given.
    Within {
        /// The length.
        target: Option<Span>,
        /// The deadline mark.
        deadline: Option<Sym>,
    },
    /// The next time it is this late in the day, and working time (K22).
    By {
        /// Local time of day.
        time: jiff::civil::Time,
        /// Pauses move it.
        extends: bool,
    },
    /// This long after the start, at the same local time.
    Every {
        /// Calendar months.
        months: i32,
        /// Days, added after the months.
        days: i32,
    },
}

/// The parts a mark can play for a clock, in the order of T8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles(pub(super) u8);

impl Roles {
    pub(super) const RESET: Roles = Roles(1);
    pub(super) const REOPEN: Roles = Roles(2);
    pub(super) const START: Roles = Roles(4);
    pub(super) const STOP: Roles = Roles(8);
    pub(super) const CANCEL: Roles = Roles(16);
    pub(super) const FINAL: Roles = Roles(32);

    pub(super) fn has(self, role: Roles) -> bool {
        self.0 & role.0 != 0
    }

    /// The place within one instant (T8): the earliest of its parts.
    pub(super) fn order(self) -> u8 {
        self.0.trailing_zeros() as u8 + 1
    }
}

impl Policy {
    /// What it was compiled from.
    pub fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// Its clocks, in the order of the configuration.
    pub fn clocks(&self) -> &[Arc<Clock>] {
        &self.clocks
    }

    /// A calendar by name; `always` is always there.
    pub fn calendar(&self, name: &str) -> Option<&Arc<Calendar>> {
        self.calendars.get(name)
    }
}

impl PartialEq for Clock {
    /// Equal when they promise the same.
    fn eq(&self, other: &Clock) -> bool {
        self.name == other.name && self.source == other.source
    }
}

impl Clock {
    /// The rule whose `when` holds for the case at `t`, as far as is known at `now`: the first, in the order of the
    /// file (P1).
    pub(super) fn rule_at(&self, timeline: &Timeline, t: Instant, now: Instant) -> Option<&Rule> {
        self.rules.iter().find(|rule| {
            rule.when.as_ref().is_none_or(|when| when.holds(|name| timeline.value_at(name, t, now)))
        })
    }

    /// The terms of `rule` at `t` for a cycle that began at `start`: the overlays that match then decide.
    pub(super) fn terms_at<'c>(
        &'c self,
        rule: &'c Rule,
        timeline: &Timeline,
        (start, t): (Instant, Instant),
        now: Instant,
    ) -> &'c Terms {
        let mask = self.overlays.iter().enumerate().fold(0, |mask, (bit, layer)| {
            let holds = |when: &Condition| when.holds(|name| timeline.value_at(name, t, now));
            let is_on = (layer.from..layer.to).contains(&start) && layer.when.as_ref().is_none_or(holds);
            mask | usize::from(is_on) << bit
        });
        &rule.terms[mask]
    }

    /// Every mark that plays a part in any of its rules, with all its parts.
    pub(super) fn marks(&self) -> impl Iterator<Item = (Sym, Roles)> + '_ {
        self.rules.iter().flat_map(|r| r.roles.iter().copied())
    }

    /// Every attribute and deadline that any of its rules looks at.
    pub(super) fn attributes(&self) -> impl Iterator<Item = Sym> + '_ {
        let of_rules = self.rules.iter().flat_map(|r| {
            let conditions = [&r.when, &r.start_when, &r.stop_when, &r.cancel_when, &r.pause, &r.closed];
            conditions.into_iter().flatten().flat_map(|c| c.attributes()).collect::<Vec<_>>()
        });
        let deadlines = self.rules.iter().flat_map(|r| r.terms.iter()).filter_map(|t| match t.promise {
            Promise::Within { deadline, .. } => deadline,
            _ => None,
        });
        of_rules
            .chain(deadlines)
            .chain(self.overlays.iter().flat_map(|o| o.when.iter()).flat_map(|c| c.attributes()))
    }

    /// Every set of terms it can come to.
    pub fn all_terms(&self) -> impl Iterator<Item = &Terms> {
        self.rules.iter().flat_map(|r| r.terms.iter())
    }
}

impl Rule {
    /// The parts that a mark plays.
    pub(super) fn roles(&self, mark: Sym) -> Roles {
        self.roles.iter().find(|(name, _)| *name == mark).map_or(Roles::default(), |(_, roles)| *roles)
    }
}
