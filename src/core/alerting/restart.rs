//! Starting with what was kept, catching up with a downtime, going by another setup, and forgetting what is over
//! (`delivery_semantics` §16).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::alerting::act::REMEMBERED;
use crate::core::alerting::incidents::How;
use crate::core::alerting::route::is_own;
use crate::core::alerting::tell::{Tell, scope_of};
use crate::core::alerting::timers::Timer;
use crate::core::alerting::transitions::Event;
use crate::core::alerting::words::Saying;
use crate::core::alerting::{Alerting, Note, Setup};
use crate::core::ids::Id;
use crate::core::model::{Body, Class, Incident, PersonId, Purpose, Status, Table};
use crate::core::time::{Instant, Span};

/// Incidents that are over stay in memory so long: their links are valid, and they may return.
const KEPT: Span = Span::DAY;
/// And at most so many of them.
const MOST_KEPT: usize = 20_000;
/// After a start the sources have so long to be read before a downtime is told of in digests (S28).
const CATCH_UP_WAIT: Span = Span::from_secs(8);

impl Alerting {
    /// Takes up the time at which the desk left off (W5).
    pub fn resume_at(&mut self, now: Instant) {
        self.set_now(now);
    }

    /// The messages of attempts whose bodies are still to be brought back.
    pub fn without_body(&self) -> Vec<Id> {
        let without = self.attempts.iter().filter(|(_, attempt)| attempt.body == Body::default());
        without.map(|((message, _), _)| *message).collect()
    }

    /// Begins work: indices, timers, attempts of before. `down` is set when a downtime has to be caught up with.
    pub fn start(&mut self, now: Instant) {
        let last = self.now;
        self.set_now(now);
        // A body that could not be read back is made anew.
        self.attempts.retain(|_, attempt| attempt.body != Body::default());
        for incident in self.incidents.values() {
            self.book.add(incident);
            let wake = self.incident_wake(incident);
            self.timers.arm(Timer::Incident(incident.id), wake);
        }
        let down = now.since(last) > self.setup.config.catch_up_after && last > Instant::MIN;
        self.outbox_start();
        let owed = self.incidents.values().any(|i| i.owed && !i.is_resolved());
        if owed || down {
            self.book.catching_up = true;
            self.timers.arm(Timer::CatchUp, Some(now + CATCH_UP_WAIT));
        }
        self.audit(Note {
            actor: "system",
            kind: "desk.started",
            change: Some(format!("epoch {}", self.epoch)),
            detail: Some(
                serde_json::json!({ "incidents": self.incidents.len(), "catch_up": self.book.catching_up }),
            ),
            ..Note::default()
        });
        self.roster_timer();
    }

    /// The sources were read again: what the downtime left is told, one digest for each recipient and team (§16.2).
    pub(super) fn catch_up_timer(&mut self) {
        self.book.catching_up = false;
        let owed: Vec<&Incident> = self.incidents.values().filter(|i| i.owed).collect();
        // One message for each recipient and team: all of its members in the class of the gravest.
        let mut gravest: BTreeMap<(PersonId, Arc<str>), Class> = BTreeMap::new();
        let mut plans: Vec<(Id, Vec<PersonId>, Arc<str>)> = Vec::new();
        let mut earliest = self.now;
        for incident in owed {
            if incident.status != Status::Open {
                continue;
            }
            let class = self.class_of(incident, incident.level);
            earliest = earliest.min(incident.levels_from);
            let choice = self.routing(incident, incident.level, scope_of(incident), class).choose();
            for person in &choice.audience {
                let known = gravest.entry((person.clone(), incident.team.clone())).or_insert(class);
                *known = (*known).min(class);
            }
            plans.push((incident.id, choice.audience, incident.team.clone()));
        }
        let down = self.now.since(earliest);
        let remark = Saying::CaughtUp { down }.text(self.setup.language, &self.setup.zone);
        for (id, audience, team) in plans {
            let classes = audience.iter().filter_map(|p| gravest.get(&(p.clone(), team.clone())));
            let class = classes.min().copied();
            self.tell(
                id,
                Tell { remark: Some(remark.clone()), class, owed: true, ..Tell::of(Purpose::Digest) },
            );
            let level = self.incidents.get(&id).map_or(0, |i| i.level);
            self.tell_skipped(id, 1..level);
        }
        // What is over meanwhile may come back as the same episode (R20).
        let left: Vec<Id> =
            self.incidents.values().filter(|i| i.owed && !i.is_resolved()).map(|i| i.id).collect();
        for id in left {
            self.edit(id, |incident| incident.owed = false);
        }
    }

    /// Goes by another setup: incidents of rules that are gone close, people who are gone are replaced, messages of
    /// lanes that are gone are planned anew (§16.3, I49, I50). `rules` are the rules that there are now.
    pub fn reconfigure(&mut self, setup: Setup, rules: &BTreeSet<Arc<str>>, now: Instant) {
        self.set_now(now);
        let old = self.setup.revision;
        let held = self.held_on_duty();
        self.setup = setup;
        self.audit(Note {
            actor: "system",
            kind: "config.reloaded",
            change: Some(format!("revision {old} → {}", self.setup.revision)),
            ..Note::default()
        });
        self.forget_flags();
        self.settle_in(rules);
        self.cut_leases(&held);
        self.roster_timer();
    }

    /// Takes up what was kept under another configuration, be it of a minute ago or of the last start: what depended on
    /// a rule, a team, a person or a channel that is gone is closed or planned anew (I50).
    pub fn settle_in(&mut self, rules: &BTreeSet<Arc<str>>) {
        self.close_removed(rules);
        self.move_teams();
        self.outbox_reconfigured();
        self.replace_people();
        self.cut_leases(&[]);
    }

    /// What is held by somebody who is on duty now.
    fn held_on_duty(&self) -> Vec<Id> {
        let roster = &self.setup.roster;
        let held = self.incidents.values().filter(|i| i.status == Status::Acked);
        held.filter(|i| i.acked_by.as_ref().is_some_and(|p| roster.is_on_duty(p, self.now)))
            .map(|i| i.id)
            .collect()
    }

    /// I14: no ack outlasts the shift of who has it, whatever moved that. `held` are those whose holder was on duty
    /// before.
    fn cut_leases(&mut self, held: &[Id]) {
        let (roster, now) = (self.setup.roster.clone(), self.now);
        let mut over = Vec::new();
        let mut cut = Vec::new();
        for incident in self.incidents.values().filter(|i| i.status == Status::Acked) {
            let Some(holder) = &incident.acked_by else { continue };
            if roster.is_on_duty(holder, now) {
                cut.extend(roster.shift_end(holder, now).map(|end| (incident.id, end)));
            } else if held.contains(&incident.id) {
                over.push(incident.id);
            } else if let Some(at) = incident.acked_at.filter(|at| roster.is_on_duty(holder, *at)) {
                cut.extend(roster.shift_end(holder, at).map(|end| (incident.id, end.max(now))));
            }
        }
        for (id, end) in cut {
            if self.incidents.get(&id).is_some_and(|i| i.ack_until.is_none_or(|until| until > end)) {
                self.edit(id, |incident| incident.ack_until = Some(end));
            }
        }
        for id in over {
            self.shift_over(id, "shift_end");
        }
    }

    /// Incidents of clocks that there are no longer close as such (§16.3).
    fn close_removed(&mut self, rules: &BTreeSet<Arc<str>>) {
        let gone: Vec<Id> = self
            .incidents
            .values()
            .filter(|i| !i.is_resolved() && i.cycle.is_some() && !rules.contains(&i.rule))
            .map(|i| i.id)
            .collect();
        for id in gone {
            self.close(id, Event::RuleGone, &How::system(Some("rule_removed")));
        }
        // What somebody resolved by hand does not return when its grace is over: nothing watches it any more.
        let resting: Vec<Id> = self
            .incidents
            .values()
            .filter(|i| i.is_resolved() && i.cycle.is_some() && (i.firing || i.grace_until.is_some()))
            .filter(|i| !rules.contains(&i.rule))
            .map(|i| i.id)
            .collect();
        for id in resting {
            self.resolved_at_source(id);
        }
    }

    /// Incidents of teams that are gone go to the team of their shop; those that are over as well, for they may return.
    fn move_teams(&mut self) {
        let roster = self.setup.roster.clone();
        let moved: Vec<Id> =
            self.incidents.values().filter(|i| !roster.teams.contains_key(&i.team)).map(|i| i.id).collect();
        for id in moved {
            let Some(incident) = self.incidents.get(&id) else { continue };
            let shop = incident.dimensions.get("shop").map(|s| &**s);
            let Some(team) = roster.team_of_shop(shop).cloned() else { continue };
            self.edit(id, |incident| {
                incident.dimensions.insert("team".into(), team.clone());
                incident.team = team;
            });
        }
    }

    /// Whoever had an incident and is gone has it no longer; an audience of which nobody is left is chosen again.
    fn replace_people(&mut self) {
        let roster = self.setup.roster.clone();
        let known = |p: &PersonId| roster.people.contains_key(p);
        let held: Vec<Id> = self
            .incidents
            .values()
            .filter(|i| i.status == Status::Acked && !i.acked_by.as_ref().is_some_and(known))
            .map(|i| i.id)
            .collect();
        for id in held {
            self.shift_over(id, "person_removed");
        }
        let open = |i: &&Incident| i.status == Status::Open && !i.is_resolved() && !is_own(&i.family);
        let left: Vec<Id> = self
            .incidents
            .values()
            .filter(open)
            .filter(|i| !i.audience.is_empty() && !i.audience.iter().any(known))
            .map(|i| i.id)
            .collect();
        for id in left {
            self.edit(id, |incident| incident.route_rev += 1);
            let level = self.incidents.get(&id).map_or(0, |i| i.level);
            let purpose = if level == 0 { Purpose::Prewarning } else { Purpose::Rerouted };
            self.tell(id, Tell::of(purpose));
        }
    }

    /// Whether an incident would have left memory by the time of the last commit.
    pub(super) fn is_forgotten(&self, incident: &Incident) -> bool {
        let over =
            incident.resolved_at.filter(|_| incident.is_resolved() && self.incident_wake(incident).is_none());
        over.is_some_and(|at| at + KEPT <= self.now)
    }

    /// Lets what is over leave memory: incidents after a day, or the oldest when there are too many; answers after two.
    /// Rows of incidents stay in the store. Nothing leaves that is not kept yet.
    pub(super) fn forget(&mut self) {
        let (now, too_many) = (self.now, self.book.settled_count().saturating_sub(MOST_KEPT));
        let old: Vec<Id> = self
            .book
            .settled()
            .enumerate()
            .take_while(|(n, (at, _))| *n < too_many || *at + KEPT <= now)
            .take(1_000)
            .map(|(_, (_, id))| id)
            .collect();
        for id in old {
            let rests = self.incidents.get(&id).is_some_and(|i| self.incident_wake(i).is_none());
            if rests && self.outbox_forget(id) {
                if let Some(incident) = self.incidents.remove(&id) {
                    self.book.remove(&incident);
                }
                self.timers.arm(Timer::Incident(id), None);
            }
        }
        while let Some((at, inbox)) =
            self.book.inbox_order.first().copied().filter(|(at, _)| *at + REMEMBERED <= now)
        {
            self.book.inbox_order.remove(&(at, inbox));
            self.book.inbox.remove(&inbox);
            self.drop_row(Table::Inbox, inbox);
        }
    }
}
