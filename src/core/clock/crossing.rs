//! When each ring of a cycle is crossed (`sla_semantics` §7).

use crate::core::clock::due::{Cycle, Flow};
use crate::core::clock::policy::Promise;
use crate::core::clock::ring::{Measure, Ring, RingAt};
use crate::core::time::{Instant, Span};

impl Cycle<'_> {
    /// The instant at which `ring` is crossed under the terms that decide, if it is to be. For `due` that is the
    /// first millisecond after due (K24). Whether the cycle ended before is the caller's to ask.
    pub fn crossing(&self, ring: &Ring) -> Option<Instant> {
        let instant = match ring.at {
            RingAt::Percent(percent) => self.share(percent)?,
            RingAt::Before(distance, measure) => {
                let due = self.due?;
                let ahead = match measure {
                    Measure::Open => self.decisive().terms.calendar.back(due, distance.0)?,
                    Measure::Wall => due - distance.0,
                };
                ahead.max(self.start).max(self.moved_at)
            }
            RingAt::Due => return Some(self.due? + Span::MILLISECOND),
            RingAt::After(distance, measure) => {
                let due = self.due?;
                match measure {
                    Measure::Open => self.running_after(due, distance)?,
                    Measure::Wall => due + distance,
                }
            }
        };
        // What a pause kept back until after due warns of nothing any more.
        let moot = |at: &Instant| ring.at.is_early() && self.due.is_some_and(|due| *at > due);
        self.unpaused(instant).filter(|at| !moot(at))
    }

    /// The first instant at which `percent` of the target is consumed, counted under the target that decides: what
    /// was crossed under an earlier target is on record, and is armed again when it lies ahead once more (H4).
    fn share(&self, percent: u8) -> Option<Instant> {
        let decisive = self.decisive();
        let counted = &self.segments[..=self.decisive];
        // Where counting began anew (P4).
        let restarted = counted.iter().rposition(|s| s.retargeted && s.terms.restart).unwrap_or(0);
        let has_length = match decisive.terms.promise {
            Promise::Within { .. } => {
                decisive.deadline.zip(self.due).is_none_or(|(deadline, due)| due < deadline)
            }
            Promise::By { extends, .. } => extends,
            Promise::Every { .. } => false,
        };
        let Some(target) = decisive.target.filter(|_| has_length) else {
            // H5: what goes by the wall comes nearer in a pause, too. Before the terms or due changed it was a share of
            // something else.
            let (due, origin) = (self.due?, counted[restarted].from);
            let retargeted = counted.iter().rfind(|s| s.retargeted).map_or(self.start, |s| s.from);
            let share = decisive.terms.calendar.elapsed(origin, due).percent(percent);
            let at = if share.is_zero() { due } else { decisive.terms.calendar.add(origin, share)? };
            return Some(at.max(retargeted).max(self.moved_at));
        };
        let share = target.percent(percent);
        // Since when this target counts.
        let since = counted.iter().rposition(|s| s.target != Some(target)).map_or(0, |other| other + 1);
        for segment in &self.segments[since.max(restarted)..] {
            if segment.consumed >= share {
                return Some(segment.from);
            }
            if segment.flow == Flow::Running {
                let reached = segment.terms.calendar.add(segment.from, share.less(segment.consumed))?;
                if reached <= segment.to {
                    return Some(reached);
                }
            }
        }
        None
    }

    /// The first instant at which the clock has run for `distance` since `from`.
    fn running_after(&self, from: Instant, distance: Span) -> Option<Instant> {
        let mut left = distance;
        for segment in self.segments.iter().filter(|s| s.to > from && s.flow == Flow::Running) {
            let start = segment.from.max(from);
            let reached = segment.terms.calendar.add(start, left)?;
            if reached <= segment.to {
                return Some(reached);
            }
            left = left.less(segment.terms.calendar.elapsed(start, segment.to));
        }
        None
    }

    /// H3: a paused cycle crosses nothing; what would fall into a pause is crossed when it ends. Intervals are half-open:
    /// the cycle runs on `[start, pause)`, so at the very instant a pause begins it is paused already, and what is
    /// reached just then waits, whatever the ring. (`due` never comes here: a pause that begins at due is too late,
    /// K24.)
    fn unpaused(&self, t: Instant) -> Option<Instant> {
        let here = self.segments.partition_point(|s| s.from <= t).saturating_sub(1);
        if self.segments[here].flow == Flow::Running {
            return Some(t);
        }
        let resumed = self.segments[here..].iter().find(|s| s.flow == Flow::Running)?;
        Some(resumed.from)
    }
}
