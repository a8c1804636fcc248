//! Telling people of an incident: who is chosen, by what lanes, and the decision kept beside the notice.

use std::collections::BTreeSet;

use crate::core::alerting::decision::{Choice, Named, Question, Scope};
use crate::core::alerting::outbox::Plan;
use crate::core::alerting::route::{Ways, day_of, is_own};
use crate::core::alerting::words::Saying;
use crate::core::alerting::{Alerting, Facts, Note};
use crate::core::duty::Role;
use crate::core::ids::Id;
use crate::core::model::{Class, Incident, Lane, PersonId, Purpose, Status, Subject};
use crate::core::time::{Instant, Span};

/// What is to be said, and to whom.
#[derive(Clone, Debug)]
pub(super) struct Tell {
    pub(super) purpose: Purpose,
    pub(super) remark: Option<String>,
    /// Whom; `None`: by the kind of the incident.
    pub(super) scope: Option<Scope>,
    /// The levels below could not be reached.
    pub(super) in_need: bool,
    /// How urgent; `None`: by level and facts.
    pub(super) class: Option<Class>,
    /// Lanes that must not be used.
    pub(super) without: BTreeSet<Lane>,
    /// The crossing or change behind it; `None`: now.
    pub(super) caused_at: Option<Instant>,
    /// The owed notice of a catch-up: told although one is under way.
    pub(super) owed: bool,
}

impl Tell {
    pub(super) fn of(purpose: Purpose) -> Tell {
        Tell {
            purpose,
            remark: None,
            scope: None,
            in_need: false,
            class: None,
            without: BTreeSet::new(),
            caused_at: None,
            owed: false,
        }
    }
}

/// Whose trouble an incident is.
pub(super) fn scope_of(incident: &Incident) -> Scope {
    match &*incident.family {
        _ if incident.storm.is_some() => Scope::Case,
        "delivery.dead" => Scope::DeadLetter,
        "system.roster_gap" | "system.contact_missing" => Scope::Roster,
        family if is_own(family) => Scope::System,
        _ => Scope::Case,
    }
}

impl Alerting {
    /// Tells the audience of an incident's level, as routing chooses it now. Where nobody is left at a level, the next
    /// one is told in the same step (R7).
    pub(super) fn tell(&mut self, id: Id, tell: Tell) {
        let Some(incident) = self.incidents.get(&id) else { return };
        if incident.folded.is_some() || incident.silenced.is_some() {
            return;
        }
        if self.book.catching_up && !tell.owed && !self.is_named(incident) {
            self.edit(id, |incident| incident.owed = true);
            return;
        }
        let level = incident.level;
        let class = tell.class.unwrap_or_else(|| self.class_of(incident, level));
        let scope = tell.scope.unwrap_or_else(|| scope_of(incident));
        if self.is_spared(id, class) {
            return;
        }
        let Some(incident) = self.incidents.get(&id) else { return };
        let question = self.routing(incident, level, scope, class);
        let choice = question.choose();
        self.missing_contacts(&question);
        let without = if tell.without.is_empty() { self.dead_lanes(id) } else { tell.without.clone() };
        let ways = Ways { without, in_need: tell.in_need };
        let waves = self.waves(&choice, class, &ways);
        if choice.audience.is_empty() || waves.is_empty() {
            self.audit(Note {
                actor: "system",
                kind: "route.nobody",
                incident: Some(id),
                cause: Some("unreachable"),
                detail: serde_json::to_value(&choice.reasons).ok(),
                ..Note::default()
            });
            match scope {
                _ if level == 0 => {}
                Scope::Case => self.unreachable(id, "unreachable"),
                _ => self.nobody(id),
            }
            return;
        }
        let Some(incident) = self.incidents.get(&id) else { return };
        let reached: BTreeSet<PersonId> = incident.told.keys().cloned().collect();
        let before: Vec<PersonId> = incident.audience.iter().chain(&incident.owner).cloned().collect();
        let route_rev = incident.route_rev;
        let in_fallback = choice.by == "fallback" && scope == Scope::Case || scope == Scope::Fallback;
        let audience = choice.audience.clone();
        self.edit(id, |incident| {
            incident.step += 1;
            incident.audience = audience.clone();
            incident.in_fallback |= in_fallback;
            incident.owed = false;
        });
        let scope_text = format!("{}:{}", choice.by, audience.join("+"));
        self.plan_for(id, &tell, &question, &choice, waves, class, scope_text, route_rev);
        if !matches!(tell.purpose, Purpose::StormOpened | Purpose::StormUpdate) {
            self.level_for_update(id);
        }
        // R4: those below whom nothing has reached get a copy; the owner likewise.
        if level >= 2 && matches!(tell.purpose, Purpose::Level) && scope == Scope::Case {
            let copy: Vec<PersonId> = before
                .into_iter()
                .filter(|p| !reached.contains(p) && !audience.contains(p))
                .filter(|p| self.setup.roster.is_on_duty(p, self.now))
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            let remark = Saying::Copy { level }.text(self.setup.language, &self.setup.zone);
            self.tell_people(id, &copy, Purpose::Level, Class::P2, "copy", Some(remark));
        }
    }

    /// §16.2: what is named by itself, even while a downtime is caught up with.
    fn is_named(&self, incident: &Incident) -> bool {
        let near = self.now + Span::from_minutes(5);
        incident.vip
            || incident.legal
            || is_own(&incident.family)
            || incident.hard_deadline.is_some_and(|at| at <= near)
    }

    /// I3: the lanes of the dead notice that an incident tells of. Whatever is said of it later, by a reminder or as
    /// somebody escalates it, does not go there either.
    pub(super) fn dead_lanes(&self, id: Id) -> BTreeSet<Lane> {
        let incident = self.incidents.get(&id).filter(|i| &*i.family == "delivery.dead");
        let dead = incident.and_then(|i| i.generation.parse().ok()).and_then(|n: Id| self.notices.get(&n));
        dead.into_iter().flat_map(|n| n.waves.iter().flatten()).map(|r| r.lane.clone()).collect()
    }

    #[expect(clippy::too_many_arguments, reason = "a plan is exactly these facts")]
    fn plan_for(
        &mut self,
        id: Id,
        tell: &Tell,
        question: &Question,
        choice: &Choice,
        waves: Vec<Vec<crate::core::model::Recipient>>,
        class: Class,
        scope: String,
        route_rev: u32,
    ) {
        let Some(incident) = self.incidents.get(&id).cloned() else { return };
        let (episode, step) = (incident.episode.to_be_bytes(), incident.step.to_be_bytes());
        let decision = self.decision_id(&[id.as_bytes(), &episode, &step, scope.as_bytes()], question);
        let remark = match (&tell.remark, incident.unverified) {
            (None, true) => {
                let as_of = incident.unverified_at.unwrap_or(self.now);
                Some(Saying::Unverified { as_of }.text(self.setup.language, &self.setup.zone))
            }
            (remark, _) => remark.clone(),
        };
        let notice = self.plan(Plan {
            incident: id,
            purpose: tell.purpose,
            level: incident.level,
            step: incident.step,
            priority: class,
            audience: choice.audience.clone(),
            waves: waves.clone(),
            scope,
            route_rev,
            decision: Some(decision),
            caused_at: tell.caused_at.unwrap_or(self.now),
            remark,
        });
        self.keep_decision(decision, notice, &incident, tell.purpose, question, choice, &waves);
        self.edit(id, |incident| {
            if !incident.notices.contains(&notice) {
                incident.notices.push(notice);
            }
        });
    }

    /// Tells named people beside the audience: copies, echoes, who had it. They change nothing of the incident.
    pub(super) fn tell_people(
        &mut self,
        id: Id,
        people: &[PersonId],
        purpose: Purpose,
        class: Class,
        what: &str,
        remark: Option<String>,
    ) {
        let Some(incident) = self.incidents.get(&id).cloned() else { return };
        // Whom time skipped hears of what is named at once with it, not never (I18).
        let waits = self.book.catching_up && !(what == "skipped" && self.is_named(&incident));
        if incident.folded.is_some() || incident.silenced.is_some() || waits {
            return;
        }
        if self.is_spared(id, class) {
            return;
        }
        // What is said of a dead letter to whoever had it does not go where the dead one went either (I3).
        let without = self.dead_lanes(id);
        let has_lane = |p: &&PersonId| self.contacts(p).iter().any(|r| !without.contains(&r.lane));
        let people: Vec<PersonId> = people.iter().filter(has_lane).cloned().collect();
        if people.is_empty() {
            return;
        }
        let waves = if class == Class::P3 {
            let lanes = people.iter().filter_map(|p| {
                let told = self.told_lane(&incident, p).filter(|r| !without.contains(&r.lane));
                let mut quiet = self.quiet_waves(p).into_iter().flatten();
                told.or_else(|| quiet.find(|r| !without.contains(&r.lane)))
            });
            let wave: Vec<_> = lanes.collect();
            if wave.is_empty() {
                return;
            }
            vec![wave]
        } else {
            let choice = Choice { audience: people.clone(), by: what.to_owned(), ..Choice::default() };
            self.waves(&choice, class, &Ways { without, ..Ways::default() })
        };
        let scope = format!("{what}:{}", people.join("+"));
        let question = self.naming(&incident, class, what, &people);
        let choice = question.choose();
        let (episode, step) = (incident.episode.to_be_bytes(), incident.step.to_be_bytes());
        let decision = self.decision_id(&[id.as_bytes(), &episode, &step, scope.as_bytes()], &question);
        let notice = self.plan(Plan {
            incident: id,
            purpose,
            level: incident.level,
            step: incident.step,
            priority: class,
            audience: people,
            waves: waves.clone(),
            scope,
            route_rev: incident.route_rev,
            decision: Some(decision),
            caused_at: self.now,
            remark,
        });
        self.keep_decision(decision, notice, &incident, purpose, &question, &choice, &waves);
    }

    /// The question of which the answer is named: nobody is looked for.
    pub(super) fn naming(
        &self,
        incident: &Incident,
        class: Class,
        what: &str,
        people: &[PersonId],
    ) -> Question {
        Question {
            incident: incident.id,
            level: incident.level,
            at: self.now,
            team: incident.team.clone(),
            sister: None,
            owner: None,
            pair: false,
            class,
            scope: Scope::Case,
            candidates: Vec::new(),
            roster_revision: self.setup.roster.revision,
            config_revision: self.setup.revision,
            named: Some(Named { what: what.to_owned(), people: people.to_vec() }),
        }
    }

    /// "Cleared", "it never was", "the storm is over": to those who were told and are near, where they were told (I17).
    pub(super) fn tell_told(&mut self, id: Id, purpose: Purpose) {
        let Some(incident) = self.incidents.get(&id).cloned() else { return };
        let near: Vec<PersonId> = incident.told.keys().filter(|p| self.is_near(p)).cloned().collect();
        let wave: Vec<_> = near.iter().filter_map(|p| self.told_lane(&incident, p)).collect();
        if wave.is_empty() {
            return;
        }
        let remark = match purpose {
            Purpose::Corrected => Some(Saying::NeverWas.text(self.setup.language, &self.setup.zone)),
            _ => None,
        };
        let audience: Vec<PersonId> = wave.iter().map(|r| r.person.clone()).collect();
        self.edit(id, |incident| incident.step += 1);
        let class = if purpose == Purpose::StormOver { Class::P2 } else { Class::P3 };
        let question = self.naming(&incident, class, "told", &audience);
        let (episode, step) = (incident.episode.to_be_bytes(), (incident.step + 1).to_be_bytes());
        let parts: [&[u8]; 4] = [id.as_bytes(), &episode, &step, purpose.word().as_bytes()];
        let decision = self.decision_id(&parts, &question);
        let waves = vec![wave];
        let notice = self.plan(Plan {
            incident: id,
            purpose,
            level: incident.level,
            step: incident.step + 1,
            priority: class,
            audience,
            waves: waves.clone(),
            scope: format!("told:{}", purpose.word()),
            route_rev: 0,
            decision: Some(decision),
            caused_at: self.now,
            remark,
        });
        let choice = question.choose();
        self.keep_decision(decision, notice, &incident, purpose, &question, &choice, &waves);
    }

    /// Plans a notice of this purpose about an incident: for the audience of its level as routing chooses it now, or,
    /// for `storm_over`, for those who were told. Storms speak through it.
    pub(super) fn announce(&mut self, incident: Id, purpose: Purpose, remark: Option<String>) {
        if purpose == Purpose::StormOver {
            let cause = crate::core::model::Cause::SupersededByStep;
            self.supersede(incident, &super::outbox::Pointless::All, cause);
            self.tell_told(incident, purpose);
        } else {
            self.tell(incident, Tell { remark, ..Tell::of(purpose) });
        }
    }

    /// §6.3: audiences of levels that time skipped, and who are on duty now, hear of it in one digest.
    pub(super) fn tell_skipped(&mut self, id: Id, levels: impl Iterator<Item = u8>) {
        let Some(incident) = self.incidents.get(&id).cloned() else { return };
        if scope_of(&incident) != Scope::Case || incident.folded.is_some() || incident.silenced.is_some() {
            return;
        }
        let mut skipped: Vec<PersonId> = Vec::new();
        for level in levels {
            let choice = self.routing(&incident, level, Scope::Case, Class::P2).choose();
            for person in choice.audience {
                let known = incident.told.contains_key(&person) || incident.audience.contains(&person);
                if !known && !skipped.contains(&person) {
                    skipped.push(person);
                }
            }
        }
        let level = incident.level;
        let remark = Saying::Skipped { level }.text(self.setup.language, &self.setup.zone);
        self.tell_people(id, &skipped, Purpose::Digest, Class::P2, "skipped", Some(remark));
    }

    /// S09: whoever is on duty, would have been asked, and has no contact: told to the seniors, once a day.
    fn missing_contacts(&mut self, question: &Question) {
        if question.scope != Scope::Case {
            return;
        }
        let role = Role::of_level(question.level);
        let mute: Vec<(PersonId, std::sync::Arc<str>)> = question
            .candidates
            .iter()
            .filter(|c| c.on_duty && c.classes.is_empty() && c.role == role && c.team == question.team)
            .map(|c| (c.person.clone(), c.team.clone()))
            .collect();
        for (person, team) in mute {
            let name = self.setup.roster.people.get(&person).map(|p| p.name.clone()).unwrap_or_default();
            let text = Saying::NoContact { name: &name }.text(self.setup.language, &self.setup.zone);
            let subject = Subject { kind: "person".into(), source: "shiftbell".into(), id: person };
            let day = day_of(&self.setup.zone, self.now);
            let facts = Facts { team: Some(team), texts: [("what".into(), text)].into(), ..Facts::default() };
            self.open_system(&"system.contact_missing".into(), subject, day.into(), &facts);
        }
    }

    /// Whether the person is one of whom the incident needs something now.
    pub(super) fn is_concerned(&self, incident: &Incident, person: &PersonId) -> bool {
        let roster = &self.setup.roster;
        roster.people.contains_key(person)
            && (roster.is_on_duty(person, self.now)
                || self.is_always_told(person)
                || incident.status == Status::Acked && incident.acked_by.as_ref() == Some(person)
                || is_own(&incident.family))
    }
}
