//! The simulation: whole desks against a hostile world, in virtual time.
//!
//! A seed makes a world (`profile.rs`, `land.rs`): people and shifts, channels of every kind of capability card, two
//! platforms that repeat, reorder, correct and withdraw what they say, people who answer twice, late and without being
//! entitled, storms, silences, reloads, blind sources, clocks that jump, and a process that dies between any two steps.
//! `world.rs` drives the pure desk as the daemon does: everything observed goes in, time passes, claims are made, one
//! commit, and only then its effects. What was not committed is lost with the process, and the next one loads what the
//! store has. The same seed gives the same trace to the byte, over any store.
//!
//! `busy.rs` is the same world with the real channels, and behind them the simulated providers of `inboxes/`.
//!
//! What is checked where (`delivery_semantics` §19; each function is named by its id):
//!
//! | id | where | looks at |
//! | --- | --- | --- |
//! | I1 I3 I4 | `invariants/promise.rs` | everything kept, at rest; I3 and I4 at every commit too |
//! | I2 I5 | `invariants/promise.rs` | the trace |
//! | I6 I7 | `invariants/promise.rs` | every commit |
//! | I8 I28 I29 I30 | `invariants/copies.rs` | the trace |
//! | I9 I11 I18 I48 | `core/engine/stories/laws.rs` | random days; I18 also every commit, in `invariants/answers.rs` |
//! | I10 | `core/alerting/laws.rs` | random statements of providers |
//! | I12 I13 I14 I15 I16 | `invariants/answers.rs` | every commit; I13 also what is there after every start |
//! | I17 | `invariants/answers.rs` | the trace |
//! | I19 I23 | `core/alerting/decision.rs`; I23 also `invariants/people.rs` | random questions; every decision that is kept, asked again |
//! | I20 I22 | `invariants/people.rs` | every commit |
//! | I21 | `invariants/people.rs` | the trace |
//! | I24 | `invariants/storms.rs` | the trace |
//! | I25 | `invariants/storms.rs` | everything kept, at rest |
//! | I26 | `invariants/storms.rs` | every commit |
//! | I27 I31 I32 I40 | `invariants/time.rs` | every commit |
//! | I41 | `invariants/time.rs` | the trace |
//! | I42 | `core/alerting/token` | random tokens |
//! | I43 | `invariants/rows.rs`, `world.rs` | everything kept; the chain after every death |
//! | I44 I45 | `invariants/rows.rs` | the trace |
//! | I46 | `daemon/stories/truth.rs` | the running daemon: health belongs to it, and the simulation does not run it |
//! | I47 | `invariants/rows.rs`, `world.rs` | everything kept; the counts of the desk after every step |
//! | I49 | `invariants/rows.rs`, `world.rs` | every commit; every configuration that is offered |
//! | I50 | `invariants/rows.rs` | everything kept, at rest |

pub mod busy;
pub mod helpdesk;
pub mod inboxes;
pub mod invariants;
pub mod kept;
pub mod land;
mod outside;
pub mod platforms;
mod profile;
mod provider;
pub mod random;
pub mod roads;
mod source;
pub mod stand;
pub mod trace;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::time::Span;
use crate::store::{MemoryStore, Store};

pub use invariants::Found;
pub use trace::Trace;
pub use world::World;

/// How many minutes of virtual time a run takes where nothing else is said.
pub const MINUTES: i64 = 80;

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// What is against an invariant.
    pub found: Vec<Found>,
    /// What happened.
    pub trace: Trace,
}

/// Runs the world of a seed for so long.
///
/// # Errors
/// The land of the seed is wrong, which is a mistake of the simulation.
pub fn run(seed: u64, length: Span) -> Result<Run, String> {
    run_on(seed, length, Arc::new(MemoryStore::new()))
}

/// Runs the world of a seed for so long over a store, which is empty. The story is the same over any of them.
///
/// # Errors
/// The land of the seed is wrong, which is a mistake of the simulation.
pub fn run_on(seed: u64, length: Span, store: Arc<dyn Store>) -> Result<Run, String> {
    let mut world = World::new(seed, length, store)?;
    world.run(length);
    Ok(Run { seed, found: std::mem::take(&mut world.found), trace: std::mem::take(&mut world.trace) })
}

/// Runs the busy day of a seed for so long, over a store in memory: real channels, and behind them providers that count
/// and punish.
///
/// # Errors
/// The land of the seed is wrong, which is a mistake of the simulation.
pub fn run_busy(seed: u64, length: Span) -> Result<Run, String> {
    let mut world = World::busy(seed, length, Arc::new(MemoryStore::new()), |_| {})?;
    world.run(length);
    Ok(Run { seed, found: std::mem::take(&mut world.found), trace: std::mem::take(&mut world.trace) })
}

impl Run {
    /// Whether something is violated.
    pub fn failed(&self) -> bool {
        !self.found.is_empty()
    }

    /// The invariants that are violated.
    pub fn violated(&self) -> BTreeSet<&'static str> {
        self.found.iter().map(|found| found.invariant).collect()
    }

    /// What is against the invariants, each with what happened around it.
    pub fn story(&self) -> String {
        let mut text = String::new();
        for found in &self.found {
            text.push_str(&format!("{} is violated: {}\n", found.invariant, found.words));
        }
        if let Some(found) = self.found.first() {
            text.push_str(&self.trace.around(found.event.saturating_sub(20), found.event + 3));
        }
        text
    }
}
