//! Silences (`delivery_semantics` §8.4): for a time, nothing is said of what matches.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::alerting::incidents::Speak;
use crate::core::alerting::timers::Timer;
use crate::core::alerting::{Alerting, Note, SilenceRequest};
use crate::core::ids::Id;
use crate::core::model::{
    Cause, ChannelClass, Class, Incident, NoticeState, PersonId, Purpose, Recipient, Table,
};
use crate::core::time::{Instant, Span};

use super::outbox::Plan;

/// So long before the end the owner is told what will come back.
const WARNING: Span = Span::from_minutes(10);

/// A silence that is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// H(person, start, matchers).
    pub id: Id,
    /// What it matches: `family`, `level`, `subject` and names of dimensions, each with the values that match. All must match.
    pub matchers: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Whose it is.
    pub owner: PersonId,
    /// Why.
    pub reason: String,
    /// Since when.
    pub starts_at: Instant,
    /// Until when, exclusive.
    pub ends_at: Instant,
    /// VIP and legal ones are covered too.
    pub covers_vip: bool,
    /// The owner was told that it ends soon.
    pub warned: bool,
    /// It is a window of maintenance of the configuration.
    #[serde(default)]
    pub planned: bool,
}

impl Silence {
    /// Whether it covers an incident.
    pub fn covers(&self, incident: &Incident) -> bool {
        matches(&self.matchers, self.covers_vip, incident)
    }

    /// When it has something to do next.
    fn wake(&self) -> Instant {
        let warning = self.ends_at - WARNING;
        if self.warned || warning <= self.starts_at { self.ends_at } else { warning }
    }
}

/// Whether matchers fit an incident. VIP and legal ones only where that is asked for; of the system's own trouble,
/// nothing that speaks as P0.
fn matches(matchers: &BTreeMap<Arc<str>, Vec<Arc<str>>>, covers_vip: bool, incident: &Incident) -> bool {
    if (incident.vip || incident.legal) && !covers_vip {
        return false;
    }
    let own = incident.family.starts_with("system.") || &*incident.family == "delivery.dead";
    if own && (incident.level >= 2 || &*incident.family == "delivery.dead") {
        return false;
    }
    !matchers.is_empty()
        && matchers.iter().all(|(name, values)| {
            let level;
            let found: Option<&str> = match &**name {
                "family" => Some(&incident.family),
                "team" => Some(&incident.team),
                "rule" => Some(&incident.rule),
                "source" => Some(&incident.subject.source),
                "subject" => Some(&incident.subject.id),
                "level" => {
                    level = incident.level.to_string();
                    Some(&level)
                }
                other => dimension(incident, other),
            };
            found.is_some_and(|found| values.iter().any(|value| fits(value, found)))
        })
}

/// A value of a matcher: `parcel.*` fits what begins with `parcel.`.
fn fits(value: &str, found: &str) -> bool {
    match value.strip_suffix('*') {
        Some(prefix) => found.starts_with(prefix),
        None => value == found,
    }
}

/// The value of a dimension.
fn dimension<'a>(incident: &'a Incident, name: &str) -> Option<&'a str> {
    incident.dimensions.get(name).map(|value| &**value)
}

impl Alerting {
    /// The silences that are on.
    pub fn silences(&self) -> impl Iterator<Item = &Silence> {
        self.outbox.silences.values()
    }

    /// How many open incidents a silence would cover now.
    #[cfg(test)]
    pub(super) fn preview_silence(&self, request: &SilenceRequest) -> usize {
        self.incidents
            .values()
            .filter(|i| !i.is_resolved() && matches(&request.matchers, request.covers_vip, i))
            .count()
    }

    /// Begins a silence; the caller has checked that the person may. Answers its id, its end, and how many open
    /// incidents it covers now.
    pub(super) fn add_silence(&mut self, request: &SilenceRequest, owner: &PersonId) -> (Id, Instant, usize) {
        let matchers = serde_json::to_vec(&request.matchers).unwrap_or_default();
        let starts = self.now.as_millis().to_be_bytes();
        let id = self.key.id(&[b"silence", self.setup.desk.as_bytes(), owner.as_bytes(), &starts, &matchers]);
        let silence = Silence {
            id,
            matchers: request.matchers.clone(),
            owner: owner.clone(),
            reason: request.reason.clone(),
            starts_at: self.now,
            ends_at: self.now + request.span,
            covers_vip: request.covers_vip,
            warned: false,
            planned: false,
        };
        let until = silence.ends_at;
        let covers = self.begin_silence(silence);
        (id, until, covers)
    }

    /// A silence is on from now. Answers how many open incidents it covers.
    pub(super) fn begin_silence(&mut self, silence: Silence) -> usize {
        let (id, until, wake) = (silence.id, silence.ends_at, silence.wake());
        let covers = |i: &&Incident| !i.is_resolved() && silence.covers(i);
        let count = self.incidents.values().filter(covers).count();
        let covered: Vec<Id> =
            self.incidents.values().filter(|i| i.silenced.is_none() && covers(i)).map(|i| i.id).collect();
        let actor = match silence.planned {
            true => "config".to_owned(),
            false => format!("person:{}", silence.owner),
        };
        self.audit(Note {
            actor: &actor,
            kind: "silence.on",
            cause: Some(&silence.reason),
            detail: Some(serde_json::json!({ "silence": id, "until": until, "covers": count })),
            ..Note::default()
        });
        self.outbox.silences.insert(id, silence);
        self.timers.arm(Timer::Silence(id), Some(wake));
        self.touch(Table::Silence, id);
        for incident in covered {
            self.silence_on(incident, id);
        }
        count
    }

    /// Ends a silence before its time. Answers whether there was one.
    pub(super) fn end_silence(&mut self, silence: Id) -> bool {
        let Some(ended) = self.outbox.silences.remove(&silence) else { return false };
        self.timers.arm(Timer::Silence(silence), None);
        self.drop_row(Table::Silence, silence);
        self.audit(Note {
            actor: "system",
            kind: "silence.off",
            detail: Some(serde_json::json!({ "silence": silence, "owner": ended.owner })),
            ..Note::default()
        });
        for incident in self.silenced_by(silence) {
            self.unsilence(incident);
        }
        true
    }

    /// Arms what a silence has ahead.
    pub(super) fn arm_silence(&mut self, id: Id) {
        let wake = self.outbox.silences.get(&id).map(Silence::wake);
        self.timers.arm(Timer::Silence(id), wake);
    }

    /// A silence ends soon, or now.
    pub(super) fn silence_timer(&mut self, id: Id) {
        let Some(silence) = self.outbox.silences.get_mut(&id) else { return };
        if silence.ends_at <= self.now {
            self.end_silence(id);
            return;
        }
        silence.warned = true;
        let wake = silence.wake();
        self.timers.arm(Timer::Silence(id), Some(wake));
        self.touch(Table::Silence, id);
        self.warn_of_end(id);
    }

    /// Tells the owner of a silence how many come back when it ends. It is told of the first of them.
    fn warn_of_end(&mut self, id: Id) {
        let Some(silence) = self.outbox.silences.get(&id) else { return };
        let (owner, ends_at) = (silence.owner.clone(), silence.ends_at);
        let survivors = self.silenced_by(id);
        let Some(first) = survivors.first().copied() else { return };
        let waves = self.quiet_waves(&owner);
        if waves.is_empty() {
            return;
        }
        let at = ends_at.to_timestamp().to_zoned(self.setup.zone.clone()).strftime("%H:%M").to_string();
        let remark = match self.setup.language {
            crate::core::model::Language::Zh => {
                format!("静默将于 {at} 结束,仍有 {} 单未恢复", survivors.len())
            }
            crate::core::model::Language::En => {
                format!("the silence ends at {at}; {} incidents are still open", survivors.len())
            }
        };
        let Some(incident) = self.incidents.get(&first).cloned() else { return };
        let audience = vec![owner];
        let question = self.naming(&incident, Class::P2, "silence", &audience);
        let decision = self.decision_id(&[first.as_bytes(), id.as_bytes()], &question);
        let purpose = Purpose::SilenceEnding;
        let notice = self.plan(Plan {
            incident: first,
            purpose,
            level: 0,
            step: incident.step,
            priority: Class::P2,
            audience,
            waves: waves.clone(),
            scope: format!("silence:{id}"),
            route_rev: 0,
            decision: Some(decision),
            caused_at: self.now,
            remark: Some(remark),
        });
        let choice = question.choose();
        self.keep_decision(decision, notice, &incident, purpose, &question, &choice, &waves);
    }

    /// An incident is over: nothing more is claimed for it (I16). A warning that was told of it and waits is told of
    /// another one that the silence covers.
    pub(super) fn pass_warnings_on(&mut self, incident: Id, cause: Cause) {
        let of_incident = self.outbox.of_incident.get(&incident).into_iter().flatten();
        let warnings: Vec<Id> = of_incident
            .filter_map(|n| self.notices.get(n))
            .filter(|n| n.purpose == Purpose::SilenceEnding && n.state == NoticeState::Open)
            .map(|n| n.id)
            .collect();
        for warning in &warnings {
            self.obsolete(*warning, cause);
        }
        let silence = self.incidents.get(&incident).and_then(|i| i.silenced);
        if let Some(silence) = silence.filter(|_| !warnings.is_empty()) {
            self.warn_of_end(silence);
        }
    }

    /// The lanes of a person for what is not urgent: a chat first, then mail, then what else they have; no SMS, no call.
    pub(super) fn quiet_waves(&self, person: &PersonId) -> Vec<Vec<Recipient>> {
        let mut lanes: Vec<Recipient> = Vec::new();
        let contacts =
            self.setup.roster.people.get(person).map(|p| p.contacts.as_slice()).unwrap_or_default();
        for (channel, address) in contacts {
            let Some(card) = self.setup.channels.get(channel) else { continue };
            if !matches!(card.class, ChannelClass::Sms | ChannelClass::Voice) {
                lanes.push(Recipient {
                    person: person.clone(),
                    lane: self.lane(channel, address),
                    class: card.class,
                });
            }
        }
        lanes.sort_by_key(|r| match r.class {
            ChannelClass::ChatApp => 0,
            ChannelClass::ChatRobot => 1,
            ChannelClass::Email => 2,
            _ => 3,
        });
        lanes.into_iter().map(|lane| vec![lane]).collect()
    }

    /// The unresolved incidents that a silence covers.
    fn silenced_by(&self, silence: Id) -> Vec<Id> {
        let covered = self.incidents.values().filter(|i| i.silenced == Some(silence) && !i.is_resolved());
        covered.map(|i| i.id).collect()
    }

    /// The silence of an incident is over: another one covers it, or it comes back.
    fn unsilence(&mut self, incident: Id) {
        let Some(found) = self.incidents.get(&incident) else { return };
        let other = self.outbox.silences.values().find(|s| s.covers(found)).map(|s| s.id);
        match other {
            Some(other) => self.silence_on(incident, other),
            None => self.silence_off(incident, Speak::InDigest),
        }
    }

    /// An incident is new or has changed: silences may begin to cover it, or no longer do.
    pub(super) fn look_at_silences(&mut self, incident: Id) {
        let Some(found) = self.incidents.get(&incident).filter(|i| !i.is_resolved()) else { return };
        match found.silenced {
            None => {
                if let Some(id) = self.outbox.silences.values().find(|s| s.covers(found)).map(|s| s.id) {
                    self.silence_on(incident, id);
                }
            }
            Some(id) => {
                let covers = self.outbox.silences.get(&id).is_some_and(|s| s.covers(found));
                if !covers {
                    let other = self.outbox.silences.values().find(|s| s.covers(found)).map(|s| s.id);
                    match other {
                        Some(other) => self.silence_on(incident, other),
                        // It became a VIP's, or graver: it speaks for itself, at once (S25).
                        None => self.silence_off(incident, Speak::Itself),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::alerting::samples::incident;

    #[test]
    fn what_a_silence_covers() {
        let matcher = |pairs: &[(&str, &[&str])]| -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
            pairs.iter().map(|(k, v)| (Arc::from(*k), v.iter().map(|v| Arc::from(*v)).collect())).collect()
        };
        let parcel = || {
            let mut parcel = incident(1, "parcel.stalled");
            parcel.level = 1;
            parcel.dimensions = [(Arc::from("carrier"), Arc::from("yto"))].into();
            parcel
        };
        let vip = || Incident { vip: true, ..parcel() };
        let dead = || incident(2, "delivery.dead");
        for (what, matchers, covers_vip, found, want) in [
            ("the carrier", matcher(&[("carrier", &["yto"])]), false, parcel(), true),
            ("one of two", matcher(&[("carrier", &["sto", "yto"])]), false, parcel(), true),
            ("another carrier", matcher(&[("carrier", &["sto"])]), false, parcel(), false),
            ("a family", matcher(&[("family", &["parcel.stalled"])]), false, parcel(), true),
            ("families", matcher(&[("family", &["parcel.*"])]), false, parcel(), true),
            (
                "both must match",
                matcher(&[("family", &["ticket.*"]), ("carrier", &["yto"])]),
                false,
                parcel(),
                false,
            ),
            ("a level", matcher(&[("level", &["1"])]), false, parcel(), true),
            ("another level", matcher(&[("level", &["2"])]), false, parcel(), false),
            ("no such dimension", matcher(&[("warehouse", &["*"])]), false, parcel(), false),
            ("nothing matches everything", matcher(&[]), false, parcel(), false),
            ("a VIP is not covered", matcher(&[("carrier", &["yto"])]), false, vip(), false),
            ("unless that is asked for", matcher(&[("carrier", &["yto"])]), true, vip(), true),
            ("dead letters never", matcher(&[("family", &["*"])]), true, dead(), false),
        ] {
            assert_eq!(matches(&matchers, covers_vip, &found), want, "{what}");
        }
    }
}
