//! The timer queue: one entry a case, its next threshold (W1).

use std::collections::BTreeSet;

use crate::core::time::Instant;

/// Wake-ups in the order of their instants, then of the case's number.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Instant, u32)>,
}

impl Timers {
    /// The earliest instant.
    pub(super) fn first(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// The earliest entry if it is due by `now`. It stays until it is rearmed or cancelled.
    pub(super) fn first_until(&self, now: Instant) -> Option<(Instant, u32)> {
        self.queue.first().filter(|(at, _)| *at <= now).copied()
    }

    /// Moves the entry of a case; [`Instant::MAX`] stands for none.
    pub(super) fn rearm(&mut self, before: Instant, after: Instant, case: u32) {
        if before == after {
            return;
        }
        self.cancel(before, case);
        if after != Instant::MAX {
            self.queue.insert((after, case));
        }
    }

    /// Takes the entry of a case away.
    pub(super) fn cancel(&mut self, at: Instant, case: u32) {
        if at != Instant::MAX {
            self.queue.remove(&(at, case));
        }
    }
}
