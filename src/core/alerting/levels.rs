//! When the next level comes, and how long acks and snoozes may hold (`delivery_semantics` §2.1, R8, R13, R14).

use crate::core::alerting::Alerting;
use crate::core::alerting::route::is_own;
use crate::core::ids::Id;
use crate::core::model::{Incident, PersonId};
use crate::core::time::{Instant, Span};

/// Whoever returns to a level has at least so long before the next one (R14).
const LEAST: Span = Span::MINUTE;

impl Alerting {
    /// When a level is reached by itself: its delay, or the nearness of the hard deadline, whichever is earlier. A
    /// family of the system's own rises only where it is configured by name.
    pub(super) fn natural(&self, incident: &Incident, level: u8) -> Option<Instant> {
        let config = &self.setup.config;
        let kind = incident.family.split('.').next().unwrap_or_default();
        let named = config.family.contains_key(&*incident.family) || config.family.contains_key(kind);
        if incident.storm.is_some() || (is_own(&incident.family) && !named) || level > 3 || level == 0 {
            return None;
        }
        if !incident.firing {
            return None;
        }
        let delay = config.of_family(&incident.family).levels[usize::from(level) - 1];
        let at = incident.levels_from + delay;
        let hard = |left: Span| incident.hard_deadline.map(|deadline| deadline - left);
        let bound = match level {
            2 => hard(config.hard_levels[0]),
            3 => hard(config.hard_levels[1]),
            _ => None,
        };
        Some(bound.map_or(at, |bound| at.min(bound)))
    }

    /// What comes after the level an incident is at now: the next level by its own delay, or a reminder.
    pub(super) fn after_level(&self, incident: &Incident) -> Option<Instant> {
        if incident.storm.is_some() || is_own(&incident.family) && self.natural(incident, 1).is_none() {
            return None;
        }
        match incident.level {
            3 if incident.unhandled || !incident.firing => None,
            3 => Some(self.now + self.setup.config.reminder_every),
            level => self.natural(incident, level + 1),
        }
    }

    /// Arms the next level: not before `least` from now, and standing still while the clock is paused.
    pub(super) fn arm_level(&mut self, id: Id, at: Option<Instant>) {
        let now = self.now;
        self.edit(id, |incident| arm(incident, at, now));
    }

    /// Arms what comes after the level, by the delays of the family.
    pub(super) fn arm_next(&mut self, id: Id, least: Span) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let at = self.after_level(incident).map(|at| at.max(self.now + least));
        self.arm_level(id, at);
    }

    /// Arms the rest of the delay that was left when somebody took it: at least a minute (R14).
    pub(super) fn arm_rest(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let rest = incident.held_delay_ms.map(|ms| self.now + Span::from_millis(ms).max(LEAST));
        let at = match incident.level {
            0 => None,
            _ => rest.or_else(|| self.after_level(incident).map(|at| at.max(self.now + LEAST))),
        };
        let at = match self.hard_bound(incident) {
            Some(bound) => at.map(|at| at.min(bound.max(self.now + LEAST))),
            None => at,
        };
        self.arm_level(id, at);
    }

    fn hard_bound(&self, incident: &Incident) -> Option<Instant> {
        let left = match incident.level {
            1 => self.setup.config.hard_levels[0],
            2 => self.setup.config.hard_levels[1],
            _ => return None,
        };
        incident.hard_deadline.map(|deadline| deadline - left)
    }

    /// Until when an ack of a person holds (R8, I14).
    pub(super) fn lease(&self, incident: &Incident, person: &PersonId) -> Instant {
        let lease = self.setup.config.of_family(&incident.family).ack_lease;
        let mut until = self.now + lease;
        if let Some(end) = self.setup.roster.shift_end(person, self.now) {
            until = until.min(end);
        }
        if let Some(guarded) = self.guarded(incident) {
            until = until.min(guarded);
        }
        if incident.level == 0
            && let Some(due) = incident.due.filter(|due| *due > self.now)
        {
            until = until.min(due);
        }
        until
    }

    /// The hard deadline less its guard: 15 minutes, or half of the time left. `None` once it has passed.
    pub(super) fn guarded(&self, incident: &Incident) -> Option<Instant> {
        self.guarded_since(incident, self.now)
    }

    /// The same, with the time that was left at an instant: what has been granted once is not cut closer later.
    pub(super) fn guarded_since(&self, incident: &Incident, from: Instant) -> Option<Instant> {
        let deadline = incident.hard_deadline.filter(|deadline| *deadline > self.now)?;
        let left = deadline.since(from);
        let half = Span::from_millis(left.as_millis() / 2);
        Some(deadline - self.setup.config.deadline_guard.min(half))
    }
}

fn arm(incident: &mut Incident, at: Option<Instant>, now: Instant) {
    incident.round += 1;
    if incident.paused {
        incident.next_level_at = None;
        incident.held_delay_ms = at.map(|at| at.since(now).as_millis());
    } else {
        incident.next_level_at = at;
        incident.held_delay_ms = None;
    }
}
