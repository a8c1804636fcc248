//! What comes of a signal (`delivery_semantics` §5): incidents open, rise, are refreshed, pause and end.

use std::sync::Arc;

use crate::core::alerting::incidents::{How, New};
use crate::core::alerting::outbox::Pointless;
use crate::core::alerting::signal::{Edge, Facts, Signal};
use crate::core::alerting::tell::Tell;
use crate::core::alerting::transitions::{Event, Rule};
use crate::core::alerting::words::Saying;
use crate::core::alerting::{Alerting, Count, Note};
use crate::core::ids::Id;
use crate::core::model::{Cause, Purpose, Status};
use crate::core::time::{Instant, Span};

impl Alerting {
    /// Takes in a signal: the same one twice changes nothing the second time.
    pub fn signal(&mut self, signal: &Signal, now: Instant) {
        self.set_now(now);
        let id = self.incident_id(&signal.family, &signal.subject, &signal.generation);
        let actor = format!("rule:{}", signal.rule);
        let how = How { actor: &actor, ..How::default() };
        match signal.edge {
            Edge::Prewarning => self.prewarned(id, signal, &how),
            Edge::Firing => self.fired(id, signal, &how),
            Edge::Level(level) => self.level_bound(id, level, &how),
            Edge::Refreshed => self.refresh(id, signal, &how),
            Edge::Paused => self.paused(id, true),
            Edge::Resumed => self.paused(id, false),
            Edge::Progress => self.progress(id, &how),
            Edge::Clear => {
                self.close(id, Event::Cleared, &how);
                self.resolved_at_source(id);
            }
            Edge::Retracted => {
                self.close(id, Event::Retracted, &how);
            }
            Edge::Unverified => self.verified(id, false),
            Edge::Verified => self.verified(id, true),
        }
        if &*signal.family == "source.blind" {
            self.source_blind(&signal.subject.id, signal.edge);
        }
    }

    fn new_of<'a>(signal: &'a Signal) -> New<'a> {
        New {
            family: &signal.family,
            rule: &signal.rule,
            subject: signal.subject.clone(),
            generation: &signal.generation,
            cycle: signal.cycle,
            storm: None,
            facts: &signal.facts,
        }
    }

    fn prewarned(&mut self, id: Id, signal: &Signal, how: &How<'_>) {
        if self.incidents.contains_key(&id) {
            self.refresh(id, signal, how);
            return;
        }
        if self.open(Self::new_of(signal), Event::Prewarned, how).is_some() {
            self.noted_open(id);
            self.tell(id, Tell { caused_at: Some(signal.at), ..Tell::of(Purpose::Prewarning) });
        }
    }

    fn fired(&mut self, id: Id, signal: &Signal, how: &How<'_>) {
        let Some(incident) = self.incidents.get(&id) else {
            if self.open(Self::new_of(signal), Event::Fired, how).is_some() {
                // A storm or a silence may cover it already: then nothing is planned.
                self.noted_open(id);
                self.reached_first_level(id, Purpose::Level, None, signal.at);
            }
            return;
        };
        let (status, level, episode) = (incident.status, incident.level, incident.episode);
        let was_firing = incident.firing;
        self.edit(id, |incident| incident.firing = true);
        match status {
            Status::Open if level == 0 => {
                self.refresh(id, signal, how);
                self.breach(id, signal, how);
            }
            Status::Open | Status::Acked | Status::Snoozed => {
                self.refresh(id, signal, how);
                let late =
                    self.incidents.get(&id).filter(|i| i.status == Status::Open && i.next_level_at.is_none());
                if !was_firing && late.is_some() {
                    self.edit(id, |incident| incident.levels_from = signal.at);
                    self.arm_next(id, Span::MINUTE);
                }
            }
            Status::Resolved => match self.transit(id, Event::Fired, how) {
                Some(Rule::R20) => {
                    self.supersede(id, &Pointless::Cleared, Cause::Flapped);
                    self.refresh(id, signal, how);
                    self.noted_open(id);
                    let owed = self.incidents.get(&id).is_some_and(|i| i.owed && i.status == Status::Open);
                    self.edit(id, |incident| incident.owed = false);
                    if owed {
                        self.tell(id, Tell { caused_at: Some(signal.at), ..Tell::of(Purpose::Level) });
                    }
                }
                Some(Rule::R21) => self.reopened(id, episode + 1, signal),
                // Out of the grace of a manual resolve: looked at again when that is over.
                _ => {}
            },
        }
    }

    /// R21.
    fn reopened(&mut self, id: Id, episode: u32, signal: &Signal) {
        self.update(id, signal);
        let remark = Saying::Again { episode }.text(self.setup.language, &self.setup.zone);
        self.edit(id, |incident| incident.firing = true);
        self.noted_open(id);
        self.reached_first_level(id, Purpose::Reopened, Some(remark), signal.at);
    }

    /// The grace of a manual resolve is over, and the source does not agree (R19, R21).
    pub(super) fn grace_over(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let (firing, episode) = (incident.firing, incident.episode);
        self.edit(id, |incident| incident.grace_until = None);
        if firing && self.transit(id, Event::Fired, &How::system(Some("grace_over"))) == Some(Rule::R21) {
            let remark = Saying::Again { episode: episode + 1 }.text(self.setup.language, &self.setup.zone);
            self.noted_open(id);
            self.reached_first_level(id, Purpose::Reopened, Some(remark), self.now);
        }
    }

    /// R3: the promise is broken; from level 0 the first level, or its delay.
    fn breach(&mut self, id: Id, signal: &Signal, how: &How<'_>) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let delays = self.setup.config.of_family(&incident.family).levels;
        let half = Span::from_millis(delays[1].less(delays[0]).as_millis() / 2);
        let counts = |due: &Instant| self.now.since(*due) <= half || self.book.catching_up;
        let due = incident.due.filter(counts).unwrap_or(self.now);
        self.edit(id, |incident| incident.levels_from = due);
        let later = self.incidents.get(&id).and_then(|i| self.natural(i, 1)).filter(|at| *at > self.now);
        if later.is_some() && delays[0] > Span::ZERO {
            self.arm_level(id, later);
        } else if self.transit(id, Event::Fired, how).is_some() {
            self.supersede(id, &Pointless::Prewarnings, Cause::SupersededByStep);
            self.reached_first_level(id, Purpose::Level, None, signal.at);
            self.noted_change(id);
        }
    }

    /// Level 1 was reached: what comes next is armed, and the audience is told.
    pub(super) fn reached_first_level(
        &mut self,
        id: Id,
        purpose: Purpose,
        remark: Option<String>,
        caused_at: Instant,
    ) {
        if self.incidents.get(&id).is_none_or(|i| i.level == 0) {
            return;
        }
        self.counts.push(Count::Escalated { level: 1, reason: "time" });
        let Some(incident) = self.incidents.get(&id) else { return };
        let at = self.after_level(incident);
        self.arm_level(id, at);
        if self.book.catching_up && at.is_some_and(|at| at <= self.now) {
            // Only the highest level that is due is announced; who was skipped hears of it in a digest.
            self.level_due(id, 0);
            return;
        }
        self.tell(id, Tell { remark, caused_at: Some(caused_at), ..Tell::of(purpose) });
    }

    /// A threshold after due that is bound to a level.
    fn level_bound(&mut self, id: Id, level: u8, how: &How<'_>) {
        let from = match self.incidents.get(&id) {
            Some(i) if i.status == Status::Open && (1..level.min(3)).contains(&i.level) => i.level,
            _ => return,
        };
        let level = level.min(3);
        for _ in from..level {
            self.transit(id, Event::LevelDue, how);
        }
        self.raised(id, from, "threshold");
    }

    /// What is known of it now.
    fn refresh(&mut self, id: Id, signal: &Signal, how: &How<'_>) {
        let Some(incident) = self.incidents.get(&id) else { return };
        if incident.is_resolved() {
            return;
        }
        let facts = &signal.facts;
        let old = incident.clone();
        let earlier =
            |new: Option<Instant>, old: Option<Instant>| new.zip(old).is_some_and(|(new, old)| new < old);
        let complained = facts.complaint && !old.complaint;
        let worse = [
            (earlier(facts.due, old.due), "due"),
            (earlier(facts.hard_deadline, old.hard_deadline), "hard_deadline"),
            (facts.hard_deadline.is_some() && old.hard_deadline.is_none(), "hard_deadline"),
            (facts.vip && !old.vip, "vip"),
            (facts.legal && !old.legal, "legal"),
            (complained, "complaint"),
            (old.penalty_cents > 0 && facts.penalty_cents >= 2 * old.penalty_cents, "penalty"),
        ];
        let worse = worse.into_iter().find(|(is, _)| *is).map(|(_, what)| what);
        // Two who report the same and differ: the earlier due wins (S39). A clock is the only authority on its own.
        let mut facts = facts.clone();
        if signal.edge == Edge::Firing && signal.cycle.is_none() {
            facts.due = facts.due.into_iter().chain(old.due).min();
        }
        if facts.due != old.due {
            self.audit(Note {
                actor: how.actor,
                kind: "incident.due",
                incident: Some(id),
                change: Some(format!("{} → {}", instant(old.due), instant(facts.due))),
                ..Note::default()
            });
        }
        let team = self.team_for(&facts, &old.team);
        let moved = team != old.team || facts.owner != old.owner;
        let mut new = old.clone();
        self.take_facts(&mut new, &facts);
        new.cycle = signal.cycle.or(old.cycle);
        new.team = team;
        new.dimensions.insert("team".into(), new.team.clone());
        if new == old {
            return;
        }
        let due_moved = new.due != old.due || new.hard_deadline != old.hard_deadline;
        self.edit(id, |incident| {
            let version = incident.version;
            *incident = new;
            incident.version = version;
        });
        if moved {
            self.reassigned(id, how, &old.team);
        }
        if due_moved {
            self.deadline_moved(id, facts.due.zip(old.due));
        }
        if let Some(what) = worse {
            self.worsened(id, complained, what);
        }
        self.noted_change(id);
    }

    /// Facts alone, without anything that follows.
    fn update(&mut self, id: Id, signal: &Signal) {
        let Some(mut new) = self.incidents.get(&id).cloned() else { return };
        self.take_facts(&mut new, &signal.facts);
        new.cycle = signal.cycle.or(new.cycle);
        self.edit(id, |incident| {
            let version = incident.version;
            *incident = new;
            incident.version = version;
        });
    }

    fn team_for(&self, facts: &Facts, known: &Arc<str>) -> Arc<str> {
        match &facts.team {
            Some(team) if self.setup.roster.teams.contains_key(team) => team.clone(),
            _ => known.clone(),
        }
    }

    /// The levels of a breached promise follow its due time, and the hard deadline (§2.1); leases and snoozes their
    /// guard (I14, I15).
    fn deadline_moved(&mut self, id: Id, due: Option<(Instant, Instant)>) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let from = incident.acked_at.filter(|_| incident.status == Status::Acked).unwrap_or(self.now);
        let guarded = self.guarded_since(incident, from);
        match incident.status {
            Status::Open if incident.level >= 1 && incident.level < 3 && !incident.paused => {
                if let Some((new, old)) = due
                    && incident.levels_from == old
                    && new < old
                {
                    self.edit(id, |incident| incident.levels_from = new);
                }
                let Some(incident) = self.incidents.get(&id) else { return };
                let at = [incident.next_level_at, self.after_level(incident)].into_iter().flatten().min();
                self.arm_level(id, at);
            }
            Status::Acked => {
                self.edit(id, |i| i.ack_until = [i.ack_until, guarded].into_iter().flatten().min());
            }
            Status::Snoozed => {
                self.edit(id, |i| i.snooze_until = [i.snooze_until, guarded].into_iter().flatten().min());
            }
            Status::Open | Status::Resolved => {}
        }
    }

    /// R17.
    fn reassigned(&mut self, id: Id, how: &How<'_>, old_team: &Arc<str>) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let holder = incident.acked_by.clone();
        let old_audience = incident.audience.clone();
        let (status, level, changed_team) = (incident.status, incident.level, incident.team != *old_team);
        let how = How { cause: Some("reassigned"), ..how.clone() };
        let before = (status, level);
        if self.transit(id, Event::Reassigned, &how).is_none() {
            return;
        }
        let Some(incident) = self.incidents.get(&id) else { return };
        let language = self.setup.language;
        if before.0 == Status::Acked && incident.status == Status::Open {
            self.arm_rest(id);
            let remark = Saying::Reassigned.text(language, &self.setup.zone);
            self.edit(id, |incident| incident.route_rev += 1);
            self.tell(id, Tell { remark: Some(remark), ..Tell::of(Purpose::Rerouted) });
            if let Some(holder) = holder {
                let remark = Saying::TakenFromYou.text(language, &self.setup.zone);
                self.tell_people(
                    id,
                    &[holder],
                    Purpose::Rerouted,
                    crate::core::model::Class::P3,
                    "former",
                    Some(remark),
                );
            }
            return;
        }
        if before.0 != Status::Open {
            return;
        }
        // Open: whoever is to be told now hears of it, where that is somebody else.
        let scope = super::tell::scope_of(incident);
        let class = self.class_of(incident, level);
        let choice = self.routing(incident, level, scope, class).choose();
        let same = choice.audience.iter().all(|p| old_audience.contains(p));
        if choice.audience.is_empty() || same && !changed_team {
            return;
        }
        for person in old_audience.iter().filter(|p| !choice.audience.contains(p)) {
            self.supersede(id, &Pointless::To(person.clone()), Cause::Reassigned);
        }
        let remark = Saying::Reassigned.text(language, &self.setup.zone);
        self.edit(id, |incident| incident.route_rev += 1);
        let purpose = if level == 0 { Purpose::Prewarning } else { Purpose::Rerouted };
        self.tell(id, Tell { remark: Some(remark), ..Tell::of(purpose) });
    }

    /// Its clock stands still, or runs again (§5.7).
    fn paused(&mut self, id: Id, paused: bool) {
        let Some(incident) = self.incidents.get(&id).filter(|i| !i.is_resolved() && i.paused != paused)
        else {
            return;
        };
        let (level, firing, status) = (incident.level, incident.firing, incident.status);
        let (next, held, now) = (incident.next_level_at, incident.held_delay_ms, self.now);
        self.edit(id, |incident| incident.paused = paused);
        if paused {
            if level == 0 && !firing {
                self.supersede(id, &Pointless::Prewarnings, Cause::SupersededByStep);
            }
            if status == Status::Open {
                self.arm_level(id, next);
            }
        } else if status == Status::Open {
            self.arm_level(id, held.map(|ms| now + Span::from_millis(ms)));
        }
        self.noted_change(id);
    }

    /// R10: once, by a lease.
    fn progress(&mut self, id: Id, how: &How<'_>) {
        if self.transit(id, Event::Progressed, how).is_none() {
            return;
        }
        let Some(incident) = self.incidents.get(&id) else { return };
        let Some(holder) = incident.acked_by.clone() else { return };
        let until = incident.ack_until.unwrap_or(self.now);
        let lease = self.setup.config.of_family(&incident.family).ack_lease;
        let end = self.setup.roster.shift_end(&holder, self.now);
        // More work does not move the hard deadline: its guard is that of the ack (I14).
        let guarded = self.guarded_since(incident, incident.acked_at.unwrap_or(self.now));
        let longest = [Some(until + lease), end, guarded].into_iter().flatten().min();
        self.edit(id, |incident| {
            incident.ack_extended = true;
            incident.ack_until = longest.map(|at| at.max(until));
        });
    }

    /// Whether its source can be read (5.3, 5.5).
    fn verified(&mut self, id: Id, verified: bool) {
        if self.incidents.get(&id).is_none_or(|i| i.is_resolved() || i.unverified != verified) {
            return;
        }
        let now = self.now;
        self.edit(id, |incident| {
            incident.unverified = !verified;
            incident.unverified_at = (!verified).then_some(now);
        });
        self.noted_change(id);
    }

    /// A source cannot be read, or can again: so for everything that is known of it.
    fn source_blind(&mut self, source: &Arc<str>, edge: Edge) {
        let verified = match edge {
            Edge::Firing => false,
            Edge::Clear | Edge::Retracted => true,
            _ => return,
        };
        let of_source =
            |i: &&crate::core::model::Incident| i.subject.source == *source && i.unverified == verified;
        let concerned: Vec<Id> =
            self.incidents.values().filter(|i| !i.is_resolved()).filter(of_source).map(|i| i.id).collect();
        for id in concerned {
            self.verified(id, verified);
        }
    }

    /// The source agrees with a manual resolve: its grace is over, and nothing fires any more.
    pub(super) fn resolved_at_source(&mut self, id: Id) {
        if self.incidents.get(&id).is_some_and(|i| i.is_resolved() && (i.firing || i.grace_until.is_some())) {
            self.edit(id, |incident| {
                incident.firing = false;
                incident.grace_until = None;
            });
        }
    }
}

fn instant(at: Option<Instant>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| at.to_string())
}
