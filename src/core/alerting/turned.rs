//! A long step back of the clock (`delivery_semantics` §3, T3): what was decided in a time that never was.
//!
//! The machine's clock was ahead, was believed, and was set right. Nothing that has fired fires again, for a timer is
//! consumed by its id; but what was armed in the time that never was would come late by as much as the clock was ahead.
//! So whatever was set then is set back with the clock. Promises to the outside (due times, hard deadlines, the ends of
//! shifts) are instants of the world and stay; crossings that never were are the clock engine's to retract.

use crate::core::alerting::Alerting;
use crate::core::alerting::outbox::lane_key;
use crate::core::ids::Id;
use crate::core::model::{Incident, Message, Notice, Status, Table};
use crate::core::time::{Instant, Span};

use super::book::Key;
use super::config::AlertingConfig;

/// How instants move.
#[derive(Clone, Copy, Debug)]
pub(super) struct Back {
    /// The true time.
    pub(super) now: Instant,
    /// By how much the clock was ahead.
    pub(super) by: Span,
}

impl Back {
    /// An instant at which something happened: nothing has happened after now.
    pub(super) fn happened(self, at: &mut Instant) {
        if *at > self.now {
            *at = (*at - self.by).min(self.now);
        }
    }

    /// The same where it may not have happened.
    pub(super) fn may_have(self, at: &mut Option<Instant>) {
        if let Some(at) = at {
            self.happened(at);
        }
    }

    /// An instant that something waits for, counted from when it was set.
    pub(super) fn awaited(self, at: &mut Option<Instant>) {
        if let Some(at) = at
            && *at > self.now
        {
            *at = (*at - self.by).max(self.now);
        }
    }

    /// The same, where it was set in the time that never was.
    fn set_at(self, set: Option<Instant>, at: &mut Option<Instant>) {
        if set.is_some_and(|set| set > self.now) {
            self.awaited(at);
        }
    }

    /// At most so long from now.
    fn within(self, span: Span, at: &mut Option<Instant>) {
        *at = at.map(|at| at.min(self.now + span));
    }
}

impl Alerting {
    /// Goes on at an earlier time. Called before [`Alerting::start`]; the caller knows that the step back is right, and
    /// by how much the clock was ahead: at least by what was kept.
    pub fn turn_back(&mut self, now: Instant, by: Span) {
        if now >= self.now {
            return;
        }
        let back = Back { now, by: by.max(self.now.since(now)) };
        self.now = now;
        let config = self.setup.config.clone();
        for id in self.incidents.keys().copied().collect::<Vec<Id>>() {
            if let Some(incident) = self.incidents.get_mut(&id)
                && turned(incident, |incident| turn_incident(incident, back, &config))
            {
                incident.version += 1;
                self.touch(Table::Incident, id);
            }
            self.guard_again(id);
        }
        for id in self.notices.keys().copied().collect::<Vec<Id>>() {
            if let Some(notice) = self.notices.get_mut(&id)
                && turned(notice, |notice| turn_notice(notice, back, &config))
            {
                self.touch(Table::Notice, id);
            }
        }
        for id in self.messages.keys().copied().collect::<Vec<Id>>() {
            if let Some(message) = self.messages.get_mut(&id)
                && turned(message, |message| turn_message(message, back))
            {
                self.touch(Table::Message, id);
            }
        }
        self.turn_outbox(back);
    }

    /// A hard deadline that had passed in the time that never was is ahead again, and so is its guard (I14, I15).
    fn guard_again(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let since = match incident.status {
            Status::Acked => incident.acked_at,
            Status::Snoozed => incident.snoozed_at,
            Status::Open | Status::Resolved => None,
        };
        let Some(guarded) = since.and_then(|since| self.guarded_since(incident, since)) else { return };
        let beyond = |at: Option<Instant>| at.is_some_and(|at| at > guarded);
        if !beyond(incident.ack_until) && !beyond(incident.snooze_until) {
            return;
        }
        if let Some(incident) = self.incidents.get_mut(&id) {
            incident.ack_until = incident.ack_until.map(|at| at.min(guarded));
            incident.snooze_until = incident.snooze_until.map(|at| at.min(guarded));
            incident.version += 1;
        }
        self.touch(Table::Incident, id);
    }

    /// What the outbox keeps beside the nouns.
    fn turn_outbox(&mut self, back: Back) {
        let mut keys: Vec<(Table, Key)> = Vec::new();
        for (id, silence) in &mut self.outbox.silences {
            if silence.starts_at > back.now && !silence.planned {
                let length = silence.ends_at.since(silence.starts_at);
                back.happened(&mut silence.starts_at);
                silence.ends_at = silence.starts_at + length;
                keys.push((Table::Silence, Key::Id(*id)));
            }
        }
        for (parent, storm) in &mut self.outbox.storms {
            if turned(storm, |storm| storm.turn_back(back)) {
                keys.push((Table::Alerting, Alerting::storm_key(*parent)));
            }
        }
        for (key, breaker) in &mut self.outbox.breakers {
            breaker.turn_back(back);
            keys.push((Table::Alerting, Key::Text(format!("breaker/{key}"))));
        }
        for (lane, budget) in &mut self.outbox.budgets {
            if turned(budget, |budget| budget.turn_back(back)) {
                keys.push((Table::Alerting, lane_key("lane", lane)));
            }
        }
        for (channel, budget) in &mut self.outbox.accounts {
            if turned(budget, |budget| budget.turn_back(back)) {
                keys.push((Table::Alerting, Key::Text(format!("account/{channel}"))));
            }
        }
        for (table, key) in keys {
            self.touch(table, key);
        }
    }
}

/// Changes something; answers whether that made a difference.
fn turned<T: Clone + PartialEq>(thing: &mut T, change: impl FnOnce(&mut T)) -> bool {
    let before = thing.clone();
    change(thing);
    *thing != before
}

fn turn_incident(incident: &mut Incident, back: Back, config: &AlertingConfig) {
    back.happened(&mut incident.opened_at);
    back.happened(&mut incident.episode_at);
    back.happened(&mut incident.levels_from);
    back.set_at(incident.acked_at, &mut incident.ack_until);
    back.may_have(&mut incident.acked_at);
    back.set_at(incident.snoozed_at, &mut incident.snooze_until);
    back.may_have(&mut incident.snoozed_at);
    back.set_at(incident.resolved_at, &mut incident.cleared_at);
    back.set_at(incident.resolved_at, &mut incident.grace_until);
    back.may_have(&mut incident.resolved_at);
    back.may_have(&mut incident.unverified_at);
    // The next level is at most its whole delay away, whoever armed it when.
    let delays = config.of_family(&incident.family).levels;
    match (incident.status, incident.level) {
        (Status::Open, 3) => back.within(config.reminder_every, &mut incident.next_level_at),
        (Status::Open, level @ 1..=2) => {
            let level = usize::from(level);
            let whole = delays[level].less(delays[level - 1]).max(Span::MINUTE);
            back.within(whole, &mut incident.next_level_at);
        }
        _ => {}
    }
}

fn turn_notice(notice: &mut Notice, back: Back, config: &AlertingConfig) {
    let planned_at = Some(notice.planned_at);
    back.set_at(planned_at, &mut notice.bound_at);
    back.set_at(planned_at, &mut notice.fallback_at);
    back.within(config.send.fallback_after.of(notice.priority), &mut notice.fallback_at);
    back.happened(&mut notice.planned_at);
    back.happened(&mut notice.caused_at);
    back.may_have(&mut notice.settled_at);
}

fn turn_message(message: &mut Message, back: Back) {
    let mut expires_at = Some(message.expires_at);
    back.set_at(Some(message.planned_at), &mut expires_at);
    message.expires_at = expires_at.unwrap_or(message.expires_at);
    back.happened(&mut message.planned_at);
    back.awaited(&mut message.wake_at);
    back.awaited(&mut message.receipt_until);
    back.may_have(&mut message.accepted_at);
    back.may_have(&mut message.first_at);
}
