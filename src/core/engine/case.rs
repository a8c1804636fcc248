//! A case as the engine holds it, and what it remembers of its cycles.
//!
//! Everything about a cycle is derived; what is remembered beside the timeline is which rings have fired, what was
//! told of it last (W4). That a person excused one is an entry of the timeline.

use smallvec::SmallVec;

use crate::core::clock::{Cycle, State};
use crate::core::model::{Sym, Timeline};
use crate::core::time::Instant;

/// A case in memory.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) source: Sym,
    pub(super) kind: Sym,
    pub(super) timeline: Timeline,
    /// Most cases have one or two.
    pub(super) cycles: SmallVec<[Memory; 2]>,
    /// Its entry in the timer queue; [`Instant::MAX`] for none.
    pub(super) wake: Instant,
}

impl Case {
    /// Whether this is the case of that name.
    pub(super) fn is(&self, source: Sym, kind: Sym, id: &str) -> bool {
        self.source == source && self.kind == kind && self.timeline.is_of(id)
    }
}

/// What is remembered of one cycle.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) key: u64,
    pub(super) clock: Sym,
    /// The state that was told last; `None` for a cycle that turned out never to have been, and is remembered because
    /// its `due` has rung: should it come back, it does not ring again (L12).
    pub(super) told: Option<State>,
    /// Overdue was recorded.
    pub(super) overdue: bool,
    /// ... and taken back.
    pub(super) retracted: bool,
    pub(super) fired: Box<[Fired]>,
}

/// What is remembered of one ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fired {
    pub(super) ring: Sym,
    /// How often it was crossed.
    pub(super) arm: u8,
    pub(super) status: Status,
    /// When the cycle was due as it was crossed: only a later due time arms it again (H4).
    pub(super) due: DueSecond,
}

/// A due time to the second, since there are many of them. A move of less than a second is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DueSecond(pub(super) u32);

impl DueSecond {
    /// When the cycle is due, or, while it is paused, would be if it went on at `t`. What is never due comes first.
    pub(super) fn of(cycle: &Cycle<'_>, t: Instant) -> DueSecond {
        let due = cycle.due.or_else(|| cycle.due_if_resumed(t));
        let second = due.map_or(0, |due| due.since(Instant::EARLIEST).as_secs());
        DueSecond(u32::try_from(second).unwrap_or(u32::MAX))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Crossed, and done with.
    Done,
    /// Crossed, and lies ahead again (H4).
    ArmedAgain,
    /// Crossed, and rings when the calendar opens (H7).
    Held,
}

impl Memory {
    /// Whether only news can change anything about it.
    pub(super) fn is_over(&self) -> bool {
        self.told.is_none_or(|told| !told.is_open())
    }

    pub(super) fn fired(&self, ring: Sym) -> Option<Fired> {
        self.fired.iter().find(|f| f.ring == ring).copied()
    }

    pub(super) fn set(&mut self, fired: Fired) {
        match self.fired.iter_mut().find(|f| f.ring == fired.ring) {
            Some(known) => *known = fired,
            None => {
                let mut all = Vec::with_capacity(self.fired.len() + 1);
                all.extend_from_slice(&self.fired);
                all.push(fired);
                self.fired = all.into_boxed_slice();
            }
        }
    }
}
