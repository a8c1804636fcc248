//! What the roster does to incidents: shifts that begin and end, and gaps ahead (`delivery_semantics` §7.1, §7.4).

use crate::core::alerting::route::{day_of, is_own};
use crate::core::alerting::tell::{Tell, scope_of};
use crate::core::alerting::timers::Timer;
use crate::core::alerting::words::Saying;
use crate::core::alerting::{Alerting, Facts, Note};
use crate::core::duty::Gap;
use crate::core::ids::Id;
use crate::core::model::{Purpose, Status, Subject};
use crate::core::time::{Instant, Span};

/// A gap is told so long ahead, and again so shortly before (P2, then P1).
const FAR: Span = Span::from_minutes(24 * 60);
const NEAR: Span = Span::from_minutes(2 * 60);
/// How far the rota is looked through for gaps.
const HORIZON: Span = Span::from_minutes(8 * 24 * 60);

const GAP: &str = "system.roster_gap";
const CONTACT: &str = "system.contact_missing";

impl Alerting {
    /// Somebody comes or goes, or a gap has come near.
    pub(super) fn roster_timer(&mut self) {
        self.change_of_shift();
        self.watch_gaps();
        self.watch_contacts();
    }

    /// Open incidents whose whole audience has gone home are told to whoever is there now, if anybody of their level is.
    pub(super) fn change_of_shift(&mut self) {
        let roster = self.setup.roster.clone();
        let left: Vec<Id> = self
            .incidents
            .values()
            .filter(|i| i.status == Status::Open && i.level >= 1 && !i.unhandled && i.storm.is_none())
            .filter(|i| !is_own(&i.family) && !i.audience.is_empty())
            .filter(|i| !i.audience.iter().any(|p| roster.is_on_duty(p, self.now) || self.is_always_told(p)))
            .map(|i| i.id)
            .collect();
        for id in left {
            let Some(incident) = self.incidents.get(&id) else { continue };
            let class = self.class_of(incident, incident.level);
            let choice = self.routing(incident, incident.level, scope_of(incident), class).choose();
            if choice.audience.is_empty() || choice.by == "fallback" {
                continue;
            }
            self.audit(Note {
                actor: "system",
                kind: "incident.rerouted",
                incident: Some(id),
                cause: Some("shift_end"),
                ..Note::default()
            });
            for person in self.incidents.get(&id).map(|i| i.audience.clone()).unwrap_or_default() {
                let cause = crate::core::model::Cause::PersonOffDutyRerouted;
                self.supersede(id, &super::outbox::Pointless::To(person), cause);
            }
            self.edit(id, |incident| incident.route_rev += 1);
            self.tell(id, Tell::of(Purpose::Rerouted));
        }
    }

    /// Opens, raises and closes `system.roster_gap`, and arms the next look.
    pub(super) fn watch_gaps(&mut self) {
        let (roster, now) = (self.setup.roster.clone(), self.now);
        let gaps = roster.rota.gaps(&roster, now, now + HORIZON);
        let mut next = roster.rota.next_edge(now);
        let mut standing = Vec::new();
        for gap in &gaps {
            for look in [gap.from - FAR, gap.from - NEAR] {
                if look > now {
                    next = next.into_iter().chain([look]).min();
                }
            }
            if gap.from - FAR <= now {
                standing.push(self.tell_gap(gap));
            }
        }
        let over: Vec<Id> = self
            .incidents
            .values()
            .filter(|i| &*i.family == GAP && !i.is_resolved() && !standing.contains(&i.id))
            .map(|i| i.id)
            .collect();
        for id in over {
            self.close_system(id);
        }
        self.timers.arm(Timer::Roster, next);
    }

    fn tell_gap(&mut self, gap: &Gap) -> Id {
        let (now, zone) = (self.now, self.setup.zone.clone());
        let subject = Subject { kind: "team".into(), source: "shiftbell".into(), id: gap.team.clone() };
        // A gap that has begun is the one that was told ahead: its end names it.
        let generation = gap.to.to_string();
        let title = self.setup.roster.teams.get(&gap.team).map(|t| t.title.clone()).unwrap_or_default();
        let text = Saying::Gap { team: &title, from: gap.from, to: gap.to }.text(self.setup.language, &zone);
        let facts = Facts {
            since: Some(gap.from),
            due: Some(gap.from),
            team: Some(gap.team.clone()),
            texts: [("what".into(), text.clone())].into(),
            ..Facts::default()
        };
        let id = self.incident_id(GAP, &subject, &generation);
        let known = self.incidents.get(&id).map(|i| (i.is_resolved(), i.due, i.status));
        match known {
            None => {
                self.open_system(&GAP.into(), subject, generation.into(), &facts);
            }
            // Two hours before, once more and louder.
            Some((false, Some(begins), Status::Open))
                if begins - NEAR <= now && self.was_told_before(id, begins - NEAR) =>
            {
                self.tell(id, Tell { remark: Some(text), ..Tell::of(Purpose::Level) });
            }
            Some(_) => {}
        }
        id
    }

    /// Whether the last notice of an incident was planned before an instant.
    fn was_told_before(&self, id: Id, at: Instant) -> bool {
        let Some(incident) = self.incidents.get(&id) else { return false };
        let last = incident.notices.iter().filter_map(|id| self.notices.get(id)).map(|n| n.planned_at).max();
        last.is_none_or(|planned| planned < at)
    }

    /// `system.contact_missing` is told once a day, and is over with the day or with a contact.
    fn watch_contacts(&mut self) {
        let today = day_of(&self.setup.zone, self.now);
        let over: Vec<Id> = self
            .incidents
            .values()
            .filter(|i| &*i.family == CONTACT && !i.is_resolved())
            .filter(|i| *i.generation != *today || !self.contacts(&i.subject.id).is_empty())
            .map(|i| i.id)
            .collect();
        for id in over {
            self.close_system(id);
        }
    }
}
