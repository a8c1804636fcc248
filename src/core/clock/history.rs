//! Which policy was in force when: the epochs of a desk (`sla_semantics` §9).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::clock::policy::{Clock, Policy};
use crate::core::model::Sym;
use crate::core::time::Instant;

/// How a reload treats the cycles that are running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReloadMode {
    /// The past stays as it was counted, the rest is counted anew.
    #[default]
    FromNow,
    /// The new version counts for the whole cycle, or since an instant.
    Retroactive,
    /// As [`ReloadMode::Retroactive`], and cycles that have ended are judged again (R1: by hand only).
    Rejudge,
    /// Running cycles keep their version to their end.
    NewOnly,
}

impl ReloadMode {
    /// Whether it counts for time before the reload.
    pub fn reaches_back(self) -> bool {
        matches!(self, ReloadMode::Retroactive | ReloadMode::Rejudge)
    }
}

/// One version of the policy, and since when it is in force.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// Since when; [`Instant::MIN`] for the first.
    pub from: Instant,
    /// How it treats running cycles.
    pub mode: ReloadMode,
    /// For the modes that reach back: since when it counts. `None`: since the cycle's start.
    pub since: Option<Instant>,
    /// The policy.
    pub policy: Arc<Policy>,
}

/// All epochs, and per clock the versions that differ.
#[derive(Debug, Default)]
pub struct History {
    epochs: Vec<Epoch>,
    clocks: Vec<ClockHistory>,
    /// Places in `clocks`, by kind.
    by_kind: Vec<Vec<u16>>,
}

/// One clock through all epochs.
#[derive(Debug)]
pub struct ClockHistory {
    /// Its name.
    pub name: Sym,
    pub(super) versions: Vec<Version>,
    /// What an entry of this name is to the clock, by the number of the name.
    relevance: Vec<Relevance>,
    has_attributes: bool,
}

/// One version of a clock.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) from: Instant,
    pub(super) mode: ReloadMode,
    pub(super) since: Option<Instant>,
    /// `None`: the clock is not in this epoch.
    pub(super) clock: Option<Arc<Clock>>,
}

/// What entries of one name are to a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Relevance {
    #[default]
    None,
    /// A condition or deadline looks at it.
    Attribute,
    /// A mark with these parts in some version.
    Mark(u8),
}

impl History {
    /// The history of a desk that starts with `policy`.
    pub fn new(policy: Arc<Policy>) -> History {
        let mut history = History::default();
        history.push(Epoch { from: Instant::MIN, mode: ReloadMode::FromNow, since: None, policy });
        history
    }

    /// Adds an epoch; it is later than all before.
    pub fn push(&mut self, epoch: Epoch) {
        self.epochs.push(epoch);
        self.index();
    }

    /// Forgets epochs that ended before `start`, the earliest instant any case still counts from.
    pub fn prune(&mut self, start: Instant) {
        let kept = self.epochs.iter().skip(1).take_while(|next| next.from <= start).count();
        if kept > 0 {
            self.epochs.drain(..kept);
            self.epochs[0].from = Instant::MIN;
            self.index();
        }
    }

    /// The epochs, the oldest first.
    pub fn epochs(&self) -> &[Epoch] {
        &self.epochs
    }

    /// The clock was ahead, and is right again: nothing came into force after `now`.
    pub fn turn_back(&mut self, now: Instant) {
        for epoch in &mut self.epochs {
            epoch.from = epoch.from.min(now);
        }
        self.index();
    }

    /// The policy in force now.
    pub fn current(&self) -> Option<&Arc<Policy>> {
        self.epochs.last().map(|e| &e.policy)
    }

    /// The clocks on a kind of case, in the order of configuration.
    pub fn clocks_on(&self, kind: Sym) -> impl Iterator<Item = &ClockHistory> {
        let places = self.by_kind.get(kind.index()).map_or(&[][..], Vec::as_slice);
        places.iter().map(|i| &self.clocks[usize::from(*i)])
    }

    /// Whether any clock on a kind of case looks at entries of this name.
    pub fn is_watched(&self, kind: Sym, name: Sym) -> bool {
        self.clocks_on(kind).any(|clock| clock.looks_at(name))
    }

    fn index(&mut self) {
        let mut order: Vec<(Sym, Sym)> = Vec::new();
        for epoch in self.epochs.iter().rev() {
            for clock in epoch.policy.clocks() {
                if !order.contains(&(clock.name, clock.on)) {
                    order.push((clock.name, clock.on));
                }
            }
        }
        self.clocks.clear();
        self.by_kind.clear();
        for (name, kind) in order {
            let mut versions: Vec<Version> = Vec::new();
            for epoch in &self.epochs {
                let clock = epoch.policy.clocks().iter().find(|c| c.name == name && c.on == kind).cloned();
                // L10: an epoch that leaves the clock as it was is no version of it, unless it makes that count for
                // cycles for which it did not.
                let reaches_further = clock.is_some()
                    && (epoch.mode.reaches_back()
                        || (epoch.mode == ReloadMode::FromNow
                            && versions.last().is_some_and(|v| v.mode == ReloadMode::NewOnly)));
                if versions.last().is_some_and(|v| v.clock == clock) && !reaches_further {
                    continue;
                }
                versions.push(Version { from: epoch.from, mode: epoch.mode, since: epoch.since, clock });
            }
            if versions.first().is_some_and(|v| v.clock.is_none()) {
                versions.remove(0);
            }
            let place = self.clocks.len() as u16;
            let relevance = relevance(&versions);
            let has_attributes = relevance.contains(&Relevance::Attribute);
            self.clocks.push(ClockHistory { name, relevance, has_attributes, versions });
            if self.by_kind.len() <= kind.index() {
                self.by_kind.resize(kind.index() + 1, Vec::new());
            }
            self.by_kind[kind.index()].push(place);
        }
    }
}

fn relevance(versions: &[Version]) -> Vec<Relevance> {
    let mut table: Vec<Relevance> = Vec::new();
    let mut slot = |name: Sym, set: &dyn Fn(Relevance) -> Relevance| {
        if table.len() <= name.index() {
            table.resize(name.index() + 1, Relevance::None);
        }
        table[name.index()] = set(table[name.index()]);
    };
    for clock in versions.iter().filter_map(|v| v.clock.as_ref()) {
        for name in clock.attributes() {
            slot(name, &|_| Relevance::Attribute);
        }
        for (name, roles) in clock.marks() {
            slot(name, &|before| match before {
                Relevance::Mark(order) => Relevance::Mark(order.min(roles.order())),
                Relevance::None | Relevance::Attribute => Relevance::Mark(roles.order()),
            });
        }
    }
    table
}

impl ClockHistory {
    pub(super) fn relevance(&self, name: Sym) -> Relevance {
        self.relevance.get(name.index()).copied().unwrap_or_default()
    }

    /// Whether any version looks at entries of this name.
    pub fn looks_at(&self, name: Sym) -> bool {
        self.relevance(name) != Relevance::None
    }

    /// Whether any version looks at attributes or deadlines.
    pub(super) fn has_attributes(&self) -> bool {
        self.has_attributes
    }

    /// The version that decides at `t` when no cycle is open. Before the clock existed its first version does: the
    /// start of a promise is when it was given, not when a policy was attached to it (K12).
    pub(super) fn version_at(&self, t: Instant) -> usize {
        self.versions.iter().rposition(|v| v.from <= t).unwrap_or(0)
    }

    /// When the clock was attached: cycles that had ended before then are none of its business (H9, R1).
    pub(super) fn attached_at(&self) -> Instant {
        self.versions.first().map_or(Instant::MIN, |v| v.from)
    }

    /// The newest version of the clock itself.
    pub fn newest(&self) -> Option<&Arc<Clock>> {
        self.versions.iter().rev().find_map(|v| v.clock.as_ref())
    }
}
