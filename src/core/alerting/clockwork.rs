//! What time does to an incident: levels, reminders, acks and snoozes that run out, "cleared" (R3–R6, R9, R11, R14).

use crate::core::alerting::decision::Scope;
use crate::core::alerting::incidents::How;
use crate::core::alerting::tell::Tell;
use crate::core::alerting::transitions::{Event, Rule};
use crate::core::alerting::words::Saying;
use crate::core::alerting::{Alerting, Count};
use crate::core::ids::Id;
use crate::core::model::{Class, Purpose, Status};
use crate::core::time::{Instant, Span};

impl Alerting {
    /// The timer of an incident is due. It looks at the incident again: what no longer fits has no effect.
    pub(super) fn incident_timer(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let due = |t: Option<Instant>| t.is_some_and(|t| t <= self.now);
        match incident.status {
            Status::Open if due(incident.next_level_at) && incident.level >= 3 => self.remind(id),
            Status::Open if due(incident.next_level_at) => self.level_due(id, incident.level),
            Status::Acked if due(incident.ack_until) => self.ack_over(id),
            Status::Snoozed if due(incident.snooze_until) => self.snooze_over(id),
            Status::Resolved if due(incident.grace_until) => self.grace_over(id),
            Status::Resolved if due(incident.cleared_at) => {
                self.edit(id, |incident| incident.cleared_at = None);
                self.tell_told(id, Purpose::Cleared);
            }
            _ => self.stale_timer(id),
        }
    }

    /// R3, R4: the next level; after a gap the highest one that is due (§6.3). `told` is the last level announced.
    pub(super) fn level_due(&mut self, id: Id, told: u8) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let from = incident.level;
        let mut target = from + 1;
        while target < 3 && self.natural(incident, target + 1).is_some_and(|at| at <= self.now) {
            target += 1;
        }
        for _ in from..target {
            if self.transit(id, Event::LevelDue, &How::system(Some("time"))).is_none() {
                return;
            }
        }
        if from == 0 {
            let cause = crate::core::model::Cause::SupersededByStep;
            self.supersede(id, &super::outbox::Pointless::Prewarnings, cause);
        }
        self.raised(id, told, "time");
    }

    /// A level above `from` was reached: what comes next is armed, the new audience is told, and those whom time
    /// skipped hear of it.
    pub(super) fn raised(&mut self, id: Id, from: u8, reason: &'static str) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let level = incident.level;
        self.counts.push(Count::Escalated { level, reason });
        let at = self.after_level(incident);
        self.arm_level(id, at);
        self.noted_change(id);
        self.tell(id, Tell::of(Purpose::Level));
        if level > from + 1 {
            self.tell_skipped(id, from + 1..level);
        }
    }

    /// R5, R6.
    fn remind(&mut self, id: Id) {
        let every = self.setup.config.reminder_every;
        match self.transit(id, Event::ReminderDue, &How::system(Some("time"))) {
            Some(Rule::R5) => {
                let number = self.edit(id, |incident| {
                    incident.reminders += 1;
                    incident.reminders
                });
                let at = self.now + every;
                self.arm_level(id, Some(at));
                self.tell(id, Tell::of(Purpose::Reminder(number.unwrap_or(1))));
            }
            Some(Rule::R6) => {
                let rounds = self.edit(id, |incident| {
                    incident.unhandled = true;
                    incident.in_fallback = true;
                    incident.reminders
                });
                self.arm_level(id, None);
                let rounds = rounds.unwrap_or_default();
                let remark = Saying::Unhandled { rounds }.text(self.setup.language, &self.setup.zone);
                let scope = Some(Scope::Fallback);
                self.tell(id, Tell { remark: Some(remark), scope, ..Tell::of(Purpose::Unhandled) });
                self.noted_change(id);
            }
            _ => self.stale_timer(id),
        }
    }

    /// The ack has run out: the shift of its holder is over (R11), or nothing followed it (R9).
    fn ack_over(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let Some(holder) = incident.acked_by.clone() else { return };
        let roster = &self.setup.roster;
        let off = !roster.is_on_duty(&holder, self.now)
            && incident.acked_at.is_some_and(|at| roster.is_on_duty(&holder, at));
        if off || !roster.people.contains_key(&holder) {
            self.shift_over(id, "shift_end");
        } else {
            self.ack_lapsed(id);
        }
    }

    /// R11.
    pub(super) fn shift_over(&mut self, id: Id, cause: &'static str) {
        let Some(holder) = self.incidents.get(&id).and_then(|i| i.acked_by.clone()) else { return };
        if self.transit(id, Event::ShiftOver, &How::system(Some(cause))).is_none() {
            return;
        }
        self.arm_rest(id);
        self.edit(id, |incident| incident.route_rev += 1);
        let name =
            self.setup.roster.people.get(&holder).map_or_else(|| holder.to_string(), |p| p.name.clone());
        let (language, zone) = (self.setup.language, self.setup.zone.clone());
        let remark = Saying::ShiftOver { name: &name }.text(language, &zone);
        let level = self.incidents.get(&id).map_or(0, |i| i.level);
        let purpose = if level == 0 { Purpose::Prewarning } else { Purpose::Rerouted };
        self.tell(id, Tell { remark: Some(remark), ..Tell::of(purpose) });
        let remark = Saying::TakenFromYou.text(language, &zone);
        self.tell_people(id, &[holder], Purpose::Rerouted, Class::P3, "former", Some(remark));
        self.noted_change(id);
    }

    /// R9.
    fn ack_lapsed(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let Some(holder) = incident.acked_by.clone() else { return };
        let after = incident.acked_at.map_or(Span::ZERO, |at| self.now.since(at));
        if self.transit(id, Event::LeaseOver, &How::system(Some("ack_lapsed"))).is_none() {
            return;
        }
        self.counts.push(Count::AckLapsed);
        let Some(incident) = self.incidents.get(&id) else { return };
        let level = incident.level;
        self.counts.push(Count::Escalated { level, reason: "ack_lapsed" });
        // The whole delay of the level after it, from now.
        let delays = self.setup.config.of_family(&incident.family).levels;
        let at = match level {
            3 => self.after_level(incident),
            _ => self.after_level(incident).map(|natural| {
                let whole = self.now + delays[usize::from(level)].less(delays[usize::from(level) - 1]);
                let bound = incident.hard_deadline.map(|_| natural).filter(|at| *at > self.now);
                bound.map_or(whole, |bound| {
                    if bound < whole && self.is_hard(incident, bound) { bound } else { whole }
                })
            }),
        };
        self.arm_level(id, at);
        let name =
            self.setup.roster.people.get(&holder).map_or_else(|| holder.to_string(), |p| p.name.clone());
        let remark = Saying::AckLapsed { name: &name, after }.text(self.setup.language, &self.setup.zone);
        self.noted_change(id);
        self.tell(id, Tell { remark: Some(remark.clone()), ..Tell::of(Purpose::AckLapsed) });
        // Who had it from home hears of it at their desk (I21).
        let there = self.setup.roster.is_on_duty(&holder, self.now) || self.is_always_told(&holder);
        let told_already = self.incidents.get(&id).is_some_and(|i| i.audience.contains(&holder));
        if there && !told_already {
            let class = self.incidents.get(&id).map_or(Class::P1, |i| self.class_of(i, i.level));
            self.tell_people(id, &[holder], Purpose::AckLapsed, class, "acker", Some(remark));
        }
    }

    /// Whether an instant comes of the hard deadline.
    fn is_hard(&self, incident: &crate::core::model::Incident, at: Instant) -> bool {
        let config = &self.setup.config;
        incident
            .hard_deadline
            .is_some_and(|deadline| config.hard_levels.iter().any(|left| deadline - *left == at))
    }

    /// R14.
    fn snooze_over(&mut self, id: Id) {
        if self.transit(id, Event::SnoozeOver, &How::system(Some("snooze_over"))).is_some() {
            self.arm_rest(id);
            let level = self.incidents.get(&id).map_or(0, |i| i.level);
            let purpose = if level == 0 { Purpose::Prewarning } else { Purpose::SnoozeOver };
            self.tell(id, Tell::of(purpose));
            self.noted_change(id);
        }
    }
}
