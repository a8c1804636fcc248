//! Promises: when is this due, and why (`sla_semantics` §5–§9).
//!
//! A clock is never run; it is derived. [`Deriver::derive`] answers every cycle of a case, for one clock, from the
//! timeline, the history of the policy, and `now`. The files follow the sections: `walk.rs` finds the cycles (§5),
//! `due.rs` says when they are due and what state they are in (§6), `crossing.rs` when their rings are crossed (§7),
//! `policy.rs` is what a configuration promises (§8), `history.rs` what it promised when (§9).

mod condition;
mod config;
mod crossing;
mod due;
mod history;
pub mod metrics;
mod policy;
mod ring;
mod walk;

pub use condition::{ATTRIBUTES, AttributeType, Condition, ConditionConfig, MatcherConfig, OperandConfig};
pub use config::{
    ClockConfig, KindConfig, MarksConfig, Names, OnChange, OnMismatch, OverlayConfig, Pick, PolicyConfig,
    Reopen, RingConfig,
};
pub use due::{Cycle, Flow, Segment, State};
pub use history::{ClockHistory, Epoch, History, ReloadMode};
pub use policy::{Clock, Policy, Promise, Rule, Terms};
pub use ring::{Measure, Ring, RingAt};

use smallvec::SmallVec;

use crate::core::model::{Symbols, Timeline};
use crate::core::time::Instant;

/// Derives cycles; keeps working space between calls.
#[derive(Debug, Default)]
pub struct Deriver {
    walk: walk::WalkScratch,
}

impl Deriver {
    /// Every cycle of the case for the clock, in the order of their starts, from everything known up to and
    /// including `now`. `excused` says whether a person took the cycle with this key out of the count.
    pub fn derive<'h>(
        &mut self,
        history: &'h ClockHistory,
        timeline: &Timeline,
        symbols: &Symbols,
        now: Instant,
        excused: impl Fn(u64) -> bool,
        cycles: &mut impl Extend<Cycle<'h>>,
    ) {
        let mut found = SmallVec::new();
        walk::Walk::run(history, timeline, symbols, now, &mut self.walk, &mut found);
        let derived =
            |found: &walk::Found<'h>| Cycle::derive(found, history, timeline, now, excused(found.key));
        cycles.extend(found.iter().map(derived));
    }
}
