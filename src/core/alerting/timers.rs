//! The timer queue of alerting: one entry for each thing that has something ahead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::ids::Id;
use crate::core::time::Instant;

/// What has something to do at an instant. Within one instant the order is that of this list: what ends comes before
/// what leaves, so that nothing superseded is sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// A silence begins to end, or ends.
    Silence(Id),
    /// An incident: level, reminder, ack, snooze, flap, grace. It knows which.
    Incident(Id),
    /// What a downtime left behind is told in digests.
    CatchUp,
    /// Somebody comes or goes, or a gap of the roster comes near.
    Roster,
    /// A storm: update or exit. The id is its parent's.
    Storm(Id),
    /// A group window is over.
    Group(Id),
    /// A notice: its next wave, or its bound.
    Notice(Id),
    /// A message: its next attempt, the end of a hold, of a receipt window, of its time.
    Message(Id),
    /// A window of maintenance begins.
    Maintenance,
    /// The breaker of a channel may probe.
    Breaker(Arc<str>),
}

/// Timers by instant and by what they are for: at most one each.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Instant, Timer)>,
    at: BTreeMap<Timer, Instant>,
}

impl Timers {
    /// Arms, moves or, with `None`, disarms.
    pub(crate) fn arm(&mut self, timer: Timer, at: Option<Instant>) {
        let old = match at {
            Some(at) => self.at.insert(timer.clone(), at),
            None => self.at.remove(&timer),
        };
        if old == at {
            return;
        }
        if let Some(old) = old {
            self.queue.remove(&(old, timer.clone()));
        }
        if let Some(at) = at {
            self.queue.insert((at, timer));
        }
    }

    /// The first instant.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes out the first timer that is due at `now`, with its instant.
    pub(crate) fn pop_until(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        if self.queue.first()?.0 > now {
            return None;
        }
        let (at, timer) = self.queue.pop_first()?;
        self.at.remove(&timer);
        Some((at, timer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_armed_moved_and_disarmed() {
        let mut timers = Timers::default();
        let id = |n| Id::from_bytes([n; 16]);
        let at = Instant::from_secs;
        timers.arm(Timer::Notice(id(1)), Some(at(10)));
        timers.arm(Timer::Incident(id(2)), Some(at(10)));
        timers.arm(Timer::Message(id(3)), Some(at(5)));
        timers.arm(Timer::Message(id(3)), Some(at(20)));
        timers.arm(Timer::Message(id(4)), Some(at(1)));
        timers.arm(Timer::Message(id(4)), None);
        assert_eq!(timers.first(), Some(at(10)));
        assert_eq!(timers.pop_until(at(9)), None);
        assert_eq!(timers.pop_until(at(30)), Some((at(10), Timer::Incident(id(2)))));
        assert_eq!(timers.pop_until(at(30)), Some((at(10), Timer::Notice(id(1)))));
        assert_eq!(timers.pop_until(at(30)), Some((at(20), Timer::Message(id(3)))));
        assert_eq!(timers.pop_until(at(30)), None);
    }
}
