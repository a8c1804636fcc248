//! Promises: when is this due, and why (`sla_semantics` §5–§9).
//!
//! A clock is never run; it is derived. [`Deriver::derive`] answers every cycle of a case, for one clock, from the
//! timeline, the history of the policy, and `now`. The files follow the sections: `walk.rs` finds the cycles (§5),
//! `due.rs` says when they are due and what state they are in (§6), `crossing.rs` when their rings are crossed (§7),
//! `policy.rs` is what a configuration promises (§8) and `compile.rs` checks it, `history.rs` what it promised when (§9).

mod compile;
mod condition;
mod config;
mod crossing;
mod due;
mod generation;
mod history;
pub mod metrics;
mod policy;
mod ring;
mod walk;

pub use condition::{ATTRIBUTES, AttributeType, Condition, ConditionConfig, MatcherConfig, OperandConfig};
pub use config::{
    ClockConfig, KindConfig, MarksConfig, Names, OnChange, OnMismatch, OverlayConfig, PenaltyConfig, Pick,
    PolicyConfig, Reopen, RingConfig, RuleConfig, RuleEntry,
};
pub use due::{Cycle, Flow, Segment, State};
pub use history::{ClockHistory, ClockSet, Epoch, History, ReloadMode};
pub use policy::{Clock, Policy, Promise, Rule, Terms};
pub use ring::{Measure, Ring, RingAt};

use crate::core::model::{Footing, Stretch, Symbols, Timeline};
use crate::core::time::Instant;

/// Derives cycles; keeps working space between calls.
#[derive(Debug, Default)]
pub struct Deriver {
    walk: walk::WalkScratch,
}

/// What is wanted of a cycle that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Its due time and state.
    Derive,
    /// Nothing: it was over before anything that is new.
    Skip,
}

impl Deriver {
    /// Every cycle of the case for the clock, in the order of their starts, from everything known up to and
    /// including `now`. `want` is asked of each, with its key and the start of the next:
    /// only then it is over for good, for a reopening takes up the last one, and may turn out never to have been.
    pub fn derive<'h>(
        &mut self,
        history: &'h ClockHistory,
        timeline: &Timeline,
        symbols: &Symbols,
        now: Instant,
        mut want: impl FnMut(u64, Option<Instant>) -> Want,
        cycles: &mut impl Extend<Cycle<'h>>,
    ) {
        let mut found = self.walk.room();
        walk::Walk::run(history, timeline, symbols, now, &mut self.walk, &mut found, None);
        cycles.extend(found.iter().enumerate().filter_map(|(i, cycle)| {
            let next = found.get(i + 1).map(|next| next.start);
            match want(cycle.key, next) {
                Want::Skip => None,
                Want::Derive => Some(Cycle::derive(cycle, history, timeline, now)),
            }
        }));
        self.walk.give_back(found);
    }

    /// Notes what the clock goes by in the timeline, beside what others do.
    pub fn trace(
        &mut self,
        history: &ClockHistory,
        timeline: &Timeline,
        symbols: &Symbols,
        now: Instant,
        footing: &mut Footing,
    ) {
        let mut found = Vec::new();
        footing.used.resize(timeline.all_entries().len(), false);
        let mut trace = walk::Trace { used: &mut footing.used, turns: Vec::new() };
        let wanted = Some(&mut trace);
        walk::Walk::run(history, timeline, symbols, now, &mut self.walk, &mut found, wanted);
        let turns = trace.turns;
        footing.stretches.extend(found.into_iter().map(|cycle| Stretch {
            clock: history.name,
            key: cycle.key,
            start: cycle.start,
            start_entry: cycle.start_entry,
            end: cycle.end.map_or(Instant::MAX, |e| e.at),
            gaps: cycle.gaps,
            allowed: turns.iter().rfind(|turn| **turn <= cycle.start).copied(),
        }));
    }
}
