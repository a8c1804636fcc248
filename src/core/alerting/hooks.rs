//! What the outbox, storms and silences ask of the incidents.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::alerting::incidents::{How, New, Speak};
use crate::core::alerting::outbox::Pointless;
use crate::core::alerting::route::is_own;
use crate::core::alerting::tell::Tell;
use crate::core::alerting::transitions::{Event, Rule};
use crate::core::alerting::words::Saying;
use crate::core::alerting::{Alerting, Facts, LocalAlarm, Note};
use crate::core::ids::Id;
use crate::core::model::{
    Cause, Incident, Lane, Notice, NoticeState, PersonId, Purpose, Resolution, Status, StormCause, Subject,
};

impl Alerting {
    /// Whether a notice is still needed by a person now, for the claim and the flush (§7.5); else why not.
    pub(super) fn standing(&self, notice: &Notice, person: &PersonId) -> Result<(), Cause> {
        let Some(incident) = self.incidents.get(&notice.incident) else { return Err(Cause::Resolved) };
        if !self.setup.roster.people.contains_key(person) {
            return Err(Cause::PersonOffDutyRerouted);
        }
        match notice.purpose {
            Purpose::Cleared | Purpose::Corrected | Purpose::StormOver => {
                if notice.episode != incident.episode
                    || !incident.is_resolved() && notice.purpose != Purpose::StormOver
                {
                    return Err(Cause::Flapped);
                }
                return if self.is_near(person) { Ok(()) } else { Err(Cause::PersonOffDutyRerouted) };
            }
            // Whatever is said of a silence is said whoever has what it covers; not of what is over (I16).
            Purpose::SilenceEnding if !incident.is_resolved() => return Ok(()),
            Purpose::Canary => return Ok(()),
            _ => {}
        }
        if incident.is_resolved() {
            return Err(match incident.resolution {
                Some(Resolution::Retracted) => Cause::Retracted,
                Some(Resolution::RuleRemoved) => Cause::RuleRemoved,
                _ => Cause::Resolved,
            });
        }
        if notice.episode != incident.episode {
            return Err(Cause::SupersededByStep);
        }
        // All that it was made of was over before anybody heard of it.
        if notice.purpose == Purpose::StormOpened && self.storm_is_empty(notice.incident) {
            return Err(Cause::Resolved);
        }
        if incident.silenced.is_some() {
            return Err(Cause::Silenced);
        }
        if incident.folded.is_some() {
            return Err(Cause::Folded);
        }
        // A storm goes on telling of changes to those who have it.
        match incident.status {
            Status::Acked if notice.purpose != Purpose::StormUpdate => return Err(Cause::Acked),
            Status::Snoozed => return Err(Cause::Snoozed),
            _ => {}
        }
        if notice.purpose == Purpose::Prewarning && incident.level >= 1 {
            return Err(Cause::SupersededByStep);
        }
        // Who had it is told that it is over for them, shortly after their shift too.
        let former = notice.purpose == Purpose::Rerouted || notice.purpose == Purpose::AckLapsed;
        if self.is_concerned(incident, person) || former && self.is_near(person) {
            Ok(())
        } else {
            Err(Cause::PersonOffDutyRerouted)
        }
    }

    /// A message of a notice was accepted on a lane: the person is told (§6.1).
    pub(super) fn reached(&mut self, notice: Id, person: &PersonId, lane: &Lane) {
        let Some(notice) = self.notices.get(&notice) else { return };
        if matches!(notice.purpose, Purpose::Cleared | Purpose::Corrected | Purpose::StormOver) {
            return;
        }
        let (id, step, level, episode) = (notice.incident, notice.step, notice.level, notice.episode);
        if self.incidents.get(&id).is_none_or(|i| i.episode != episode) {
            return;
        }
        self.edit(id, |incident| {
            let told = incident.told.or_insert_with(person.clone(), Default::default);
            told.step = told.step.max(step);
            told.level = told.level.max(level);
            told.lanes.insert(lane.clone());
        });
    }

    /// A notice is dead: `delivery.dead`, and R7 where it was the audience's only one (§9.3).
    pub(super) fn died(&mut self, notice: Id, cause: Cause) {
        let Some(notice) = self.notices.get(&notice).cloned() else { return };
        let Some(incident) = self.incidents.get(&notice.incident).cloned() else { return };
        let names: Vec<&str> = notice.audience.iter().map(|p| self.name_of(p)).collect();
        let short = incident.id.short();
        let text = Saying::DeadLetter { short: &short, names: &names.join("、") }
            .text(self.setup.language, &self.setup.zone);
        if is_own(&incident.family) {
            self.alarms
                .push(LocalAlarm { kind: "delivery.dead", text: format!("{}: {text}", incident.family) });
            self.audit(Note {
                actor: "system",
                kind: "alarm.local",
                incident: Some(incident.id),
                notice: Some(notice.id),
                cause: Some(cause.word()),
                ..Note::default()
            });
        } else {
            self.dead_letter(&notice, &incident, text);
        }
        let about_level = !matches!(
            notice.purpose,
            Purpose::Prewarning
                | Purpose::Cleared
                | Purpose::Corrected
                | Purpose::StormOver
                | Purpose::SilenceEnding
        );
        let current = notice.episode == incident.episode && notice.level == incident.level;
        let is_audience = notice.audience.iter().any(|p| incident.audience.contains(p));
        if about_level
            && current
            && is_audience
            && incident.status == Status::Open
            && !is_own(&incident.family)
            && !self.has_other_hope(&notice, &incident)
        {
            self.unreachable(incident.id, "dead");
        }
    }

    fn name_of<'a>(&'a self, person: &'a PersonId) -> &'a str {
        self.setup.roster.people.get(person).map_or(person, |p| &p.name)
    }

    /// Whether another notice of the same level may still reach, or has reached, somebody.
    fn has_other_hope(&self, notice: &Notice, incident: &Incident) -> bool {
        incident.notices.iter().filter(|id| **id != notice.id).filter_map(|id| self.notices.get(id)).any(
            |other| {
                other.episode == notice.episode
                    && other.level == notice.level
                    && matches!(
                        other.state,
                        NoticeState::Open | NoticeState::Delivered | NoticeState::AcceptedFinal
                    )
            },
        )
    }

    /// Opens `delivery.dead` on other lanes than the dead ones.
    fn dead_letter(&mut self, notice: &Notice, incident: &Incident, text: String) {
        let without: BTreeSet<Lane> = notice.waves.iter().flatten().map(|r| r.lane.clone()).collect();
        let subject = Subject {
            kind: "incident".into(),
            source: "shiftbell".into(),
            id: incident.id.to_string().into(),
        };
        let family: Arc<str> = "delivery.dead".into();
        let generation: Arc<str> = notice.id.to_string().into();
        let facts = Facts {
            since: Some(notice.planned_at),
            team: Some(incident.team.clone()),
            texts: [("what".into(), text.clone()), ("incident".into(), incident.id.to_string())].into(),
            url: incident.url.clone(),
            ..Facts::default()
        };
        let id = self.incident_id(&family, &subject, &generation);
        if self.incidents.contains_key(&id) {
            return;
        }
        let new = New {
            family: &family,
            rule: &family,
            subject,
            generation: &generation,
            cycle: None,
            storm: None,
            facts: &facts,
        };
        if self.open(new, Event::Fired, &How::system(Some("dead"))).is_none() {
            return;
        }
        // It is announced to the level after that of the dead notice.
        let level = (notice.level + 1).min(3);
        if level > 1 {
            self.edit(id, |incident| incident.level = level);
            self.audit(Note {
                actor: "system",
                kind: "incident.R7",
                incident: Some(id),
                cause: Some("dead"),
                change: Some(format!("open L1 → open L{level}")),
                ..Note::default()
            });
        }
        self.tell(id, Tell { remark: Some(text), without, ..Tell::of(Purpose::Level) });
    }

    /// What was dead about an incident that is over is over too.
    pub(super) fn close_dead_letters(&mut self, id: Id) {
        let subject =
            Subject { kind: "incident".into(), source: "shiftbell".into(), id: id.to_string().into() };
        let letters: Vec<Id> = self.book.of_subject(&subject).collect();
        for letter in letters {
            self.close_system(letter);
        }
    }

    /// A notice lost its person or its lanes before it was claimed: routing runs again (§7.5).
    pub(super) fn reroute(&mut self, notice: Id, cause: Cause) {
        let Some(notice) = self.notices.get(&notice).cloned() else { return };
        let Some(incident) = self.incidents.get(&notice.incident) else { return };
        let fits = notice.episode == incident.episode
            && notice.level == incident.level
            && incident.status == Status::Open
            && !matches!(notice.purpose, Purpose::Cleared | Purpose::Corrected | Purpose::StormOver);
        if !fits || self.has_other_hope(&notice, incident) {
            return;
        }
        // A copy or an echo is nobody's only hope.
        if !notice.audience.iter().any(|p| incident.audience.contains(p)) {
            return;
        }
        let id = incident.id;
        self.audit(Note {
            actor: "system",
            kind: "incident.rerouted",
            incident: Some(id),
            notice: Some(notice.id),
            cause: Some(cause.word()),
            ..Note::default()
        });
        self.edit(id, |incident| incident.route_rev += 1);
        self.tell(id, Tell { caused_at: Some(notice.caused_at), ..Tell::of(notice.purpose) });
    }

    /// Opens an incident of the system's own, or refreshes it; answers its id.
    pub(super) fn open_system(
        &mut self,
        family: &Arc<str>,
        subject: Subject,
        generation: Arc<str>,
        facts: &Facts,
    ) -> Id {
        let id = self.incident_id(family, &subject, &generation);
        if self.incidents.contains_key(&id) {
            return id;
        }
        let new =
            New { family, rule: family, subject, generation: &generation, cycle: None, storm: None, facts };
        if self.open(new, Event::Fired, &How::system(None)).is_some() {
            self.noted_open(id);
            let remark = facts.texts.get("what").cloned();
            self.tell(id, Tell { remark, ..Tell::of(Purpose::Level) });
        }
        id
    }

    /// The system's own trouble is over (R18).
    pub(super) fn close_system(&mut self, incident: Id) {
        self.close(incident, Event::Cleared, &How::system(None));
    }

    /// Opens the parent of a storm (§8.2): an incident without levels of its own; answers its id.
    pub(super) fn open_parent(&mut self, cause: StormCause, team: &Arc<str>) -> Id {
        let subject = Subject {
            kind: "storm".into(),
            source: "shiftbell".into(),
            id: format!("{}={}", cause.dimension, cause.value).into(),
        };
        let generation: Arc<str> = format!("{team}:{}", self.seq + 1).into();
        let family = cause.family.clone();
        let facts = Facts {
            since: Some(self.now),
            team: Some(team.clone()),
            dimensions: [(cause.dimension.clone(), cause.value.clone())].into(),
            ..Facts::default()
        };
        let new = New {
            family: &family,
            rule: &family,
            subject,
            generation: &generation,
            cycle: None,
            storm: Some(cause),
            facts: &facts,
        };
        let id = self.incident_id(new.family, &new.subject, new.generation);
        self.open(new, Event::Fired, &How::system(Some("storm")));
        id
    }

    /// The level of a parent follows the highest of its unresolved children (§8.2): raised, and told as
    /// `storm_update` to whoever is new in the audience.
    pub(super) fn raise_parent(&mut self, parent: Id, level: u8) {
        // Before the opening is told there is nothing to update: the opening goes to the higher level.
        let opened = self.incidents.get(&parent).is_some_and(|i| !i.notices.is_empty());
        if self.lift_parent(parent, level) && opened {
            self.tell(parent, Tell::of(Purpose::StormUpdate));
        }
    }

    /// Lifts an open parent to a level, if that is higher. R4 starts from open: a storm that somebody has, or has put
    /// off, does not rise under them (I12); it is lifted when it is open again.
    pub(super) fn lift_parent(&mut self, parent: Id, level: u8) -> bool {
        let level = level.min(3);
        let before = match self.incidents.get(&parent) {
            Some(i) if i.status == Status::Open && i.level < level => i.level,
            _ => return false,
        };
        self.edit(parent, |incident| incident.level = level);
        self.audit(Note {
            actor: "system",
            kind: "incident.R4",
            incident: Some(parent),
            cause: Some("children"),
            change: Some(format!("open L{before} → open L{level}")),
            ..Note::default()
        });
        true
    }

    /// R25: a child is folded under its parent.
    pub(super) fn fold(&mut self, child: Id, parent: Id) {
        if self.transit(child, Event::FoldAsked, &How::system(Some("folded"))) == Some(Rule::R25) {
            self.edit(child, |incident| incident.folded = Some(parent));
            self.supersede(child, &Pointless::All, Cause::Folded);
        }
    }

    /// R26: a child breaks out. With `speak` it gets its own notice at its level; without, the caller sends a digest.
    pub(super) fn unfold(&mut self, child: Id, speak: Speak) {
        if self.transit(child, Event::BrokeOut, &How::system(Some("broke_out"))) == Some(Rule::R26) {
            self.edit(child, |incident| incident.folded = None);
            self.speak(child, speak);
        }
    }

    /// R23: a silence starts to cover an incident.
    pub(super) fn silence_on(&mut self, incident: Id, silence: Id) {
        if self.transit(incident, Event::SilenceBegan, &How::system(Some("silenced"))) == Some(Rule::R23) {
            self.edit(incident, |incident| incident.silenced = Some(silence));
            self.supersede(incident, &Pointless::All, Cause::Silenced);
        }
    }

    /// R24: the silence is over for an incident. With `speak` it gets its own notice; without, the caller sends a digest.
    pub(super) fn silence_off(&mut self, incident: Id, speak: Speak) {
        if self.transit(incident, Event::SilenceEnded, &How::system(Some("silence_over"))) == Some(Rule::R24)
        {
            self.edit(incident, |incident| incident.silenced = None);
            self.speak(incident, speak);
        }
    }

    fn speak(&mut self, id: Id, speak: Speak) {
        let Some(incident) = self.incidents.get(&id) else { return };
        if incident.status != Status::Open || incident.level == 0 {
            return;
        }
        let level = incident.level;
        match speak {
            Speak::Itself => self.tell(id, Tell::of(Purpose::Level)),
            Speak::InDigest => {
                // The audiences below that were not told meanwhile hear of it as well, the lowest level first.
                self.tell_skipped(id, 1..level);
                self.tell(id, Tell::of(Purpose::Digest));
            }
        }
    }
}
