//! Which policy was in force when: the epochs of a desk (`sla_semantics` §9).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::core::clock::policy::{Clock, Policy, Roles};
use crate::core::model::{Sym, Timeline};
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
    /// By kind.
    by_kind: Vec<OnKind>,
}

/// The clocks on one kind of case.
#[derive(Clone, Debug, Default)]
struct OnKind {
    /// Places in `clocks`, in the order of configuration.
    places: Vec<u16>,
    /// Which of them look at entries of a name, by its number: so many whole sets of bits.
    looking: Vec<u64>,
}

/// Some of the clocks on one kind of case, by their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockSet(SmallVec<[u64; 2]>);

impl ClockSet {
    /// Puts one in.
    pub fn insert(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    /// Whether it is in.
    pub fn contains(&self, place: usize) -> bool {
        self.0[place / 64] & 1 << (place % 64) != 0
    }

    /// They, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, bits)| {
            let next = |bits: &u64| Some(bits & bits.wrapping_sub(1));
            let left = std::iter::successors(Some(*bits), next).take_while(|bits| *bits != 0);
            left.map(move |bits| at * 64 + bits.trailing_zeros() as usize)
        })
    }
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
        self.places(kind).iter().map(|i| &self.clocks[usize::from(*i)])
    }

    fn places(&self, kind: Sym) -> &[u16] {
        self.by_kind.get(kind.index()).map_or(&[], |on| &on.places)
    }

    /// The clock on a kind of case at a place in its order.
    pub fn clock_on(&self, kind: Sym, place: usize) -> Option<&ClockHistory> {
        self.places(kind).get(place).map(|i| &self.clocks[usize::from(*i)])
    }

    /// The place of a clock in the order of those on a kind of case.
    pub fn place_on(&self, kind: Sym, clock: Sym) -> Option<usize> {
        self.places(kind).iter().position(|i| self.clocks[usize::from(*i)].name == clock)
    }

    /// All clocks on a kind of case, or none.
    pub fn set_on(&self, kind: Sym, all: bool) -> ClockSet {
        let count = self.places(kind).len();
        let mut set = ClockSet(SmallVec::from_elem(0, count.div_ceil(64)));
        if all {
            (0..count).for_each(|place| set.insert(place));
        }
        set
    }

    /// Puts in the clocks on a kind of case that look at entries of this name.
    pub fn add_looking(&self, kind: Sym, name: Sym, set: &mut ClockSet) {
        set.0.iter_mut().zip(self.looking(kind, name)).for_each(|(set, bits)| *set |= bits);
    }

    fn looking(&self, kind: Sym, name: Sym) -> &[u64] {
        let Some(on) = self.by_kind.get(kind.index()) else { return &[] };
        let width = on.places.len().div_ceil(64);
        on.looking.get(name.index() * width..(name.index() + 1) * width).unwrap_or_default()
    }

    /// Whether any clock on a kind of case looks at entries of this name.
    pub fn is_watched(&self, kind: Sym, name: Sym) -> bool {
        self.looking(kind, name).iter().any(|bits| *bits != 0)
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
                self.by_kind.resize(kind.index() + 1, OnKind::default());
            }
            self.by_kind[kind.index()].places.push(place);
        }
        for on in &mut self.by_kind {
            let clocks = || on.places.iter().map(|i| &self.clocks[usize::from(*i)]).enumerate();
            let names = clocks().map(|(_, clock)| clock.relevance.len()).max().unwrap_or(0);
            let width = on.places.len().div_ceil(64);
            let mut looking = vec![0; names * width];
            for (place, clock) in clocks() {
                let named = clock.relevance.iter().enumerate().filter(|(_, is)| **is != Relevance::None);
                named.for_each(|(name, _)| looking[name * width + place / 64] |= 1 << (place % 64));
            }
            on.looking = looking;
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
    /// Whether a cycle may have begun in a case: some version's rule has a mark of it that starts one, or the attributes
    /// have said what starts one. Where not, there is none.
    pub fn may_begin(&self, timeline: &Timeline) -> bool {
        let rules = self.versions.iter().filter_map(|v| v.clock.as_deref()).flat_map(|clock| &clock.rules);
        rules.into_iter().any(|rule| match &rule.start_when {
            Some(wrong) => wrong.may_have_held(timeline),
            None => rule.roles.iter().any(|(name, roles)| roles.has(Roles::START) && timeline.has(*name)),
        })
    }

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
