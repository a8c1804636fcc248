//! By which lanes, in which order (`delivery_semantics` §7.3, §7.4): the waves of a plan, from what people have.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::core::alerting::decision::{Candidate, Choice, Question, Scope};
use crate::core::alerting::{Alerting, json_row};
use crate::core::duty::Role;
use crate::core::ids::Id;
use crate::core::model::{ChannelClass, Class, Incident, Lane, PersonId, Purpose, Recipient, Row, Table};
use crate::core::time::{Instant, Span};

use ChannelClass::{ChatApp, ChatRobot, Email, Sms, Voice, Webhook};

/// A decision as it is kept (§7.6): the question, the choice, and the lanes that came of it.
#[derive(Debug, Serialize)]
struct DecisionRecord<'a> {
    id: Id,
    notice: Id,
    episode: u32,
    step: u32,
    purpose: &'static str,
    question: &'a Question,
    choice: &'a Choice,
    waves: Vec<Vec<(&'a PersonId, &'a Arc<str>, &'static str)>>,
}

/// Which lanes a plan may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways {
    /// None of these.
    pub(super) without: BTreeSet<Lane>,
    /// The levels below were empty or unreachable: the fallback list is asked with the first fallback (§7.4).
    pub(super) in_need: bool,
}

impl Alerting {
    /// The people who may come into question for an incident at a level.
    pub(super) fn routing(&self, incident: &Incident, level: u8, scope: Scope, class: Class) -> Question {
        let roster = &self.setup.roster;
        let config = &self.setup.config;
        let sister = roster.teams.get(&incident.team).and_then(|t| t.sister.clone());
        let mut candidates = Vec::new();
        for (id, person) in &roster.people {
            let fallback = config.fallback.iter().position(|name| **name == **id);
            let admin = person.role == Role::Admin || config.admins.iter().any(|name| **name == **id);
            let near = person.team == incident.team || Some(&person.team) == sister.as_ref();
            let asked = match scope {
                Scope::Case => match level {
                    0 | 1 => near && person.role == Role::Handler || incident.owner.as_ref() == Some(id),
                    2 => near && person.role == Role::Senior,
                    _ => person.role == Role::Manager || fallback.is_some(),
                },
                Scope::System => admin || fallback.is_some(),
                Scope::Fallback => fallback.is_some(),
                Scope::Roster | Scope::DeadLetter => {
                    person.role != Role::Handler || admin || fallback.is_some()
                }
            };
            if !asked {
                continue;
            }
            candidates.push(Candidate {
                person: id.clone(),
                role: person.role,
                team: person.team.clone(),
                on_duty: roster.is_on_duty(id, self.now),
                classes: self.contacts(id).into_iter().map(|r| r.class).collect(),
                load: self.book.load(id),
                tie: self.key.id(&[b"tie", incident.id.as_bytes(), id.as_bytes()]),
                fallback,
                admin,
            });
        }
        Question {
            incident: incident.id,
            level,
            at: self.now,
            team: incident.team.clone(),
            sister,
            owner: incident.owner.clone(),
            pair: incident.vip && scope == Scope::Case && level == 1,
            class,
            scope,
            candidates,
            roster_revision: roster.revision,
            config_revision: self.setup.revision,
            named: None,
        }
    }

    /// Every lane of a person on an enabled channel, in the order they prefer.
    pub(super) fn contacts(&self, person: &PersonId) -> Vec<Recipient> {
        let contacts =
            self.setup.roster.people.get(person).map(|p| p.contacts.as_slice()).unwrap_or_default();
        contacts
            .iter()
            .filter_map(|(channel, address)| {
                let card = self.setup.channels.get(channel)?;
                let lane = self.lane(channel, address);
                if self.lane_flagged(&lane) {
                    return None;
                }
                Some(Recipient { person: person.clone(), lane, class: card.class })
            })
            .collect()
    }

    /// The waves of one person. RC5: where most of what goes by SMS does not arrive lately, the urgent is called first.
    fn personal_waves(&self, lanes: &[Recipient], class: Class) -> Vec<Vec<Recipient>> {
        let sms = lanes.iter().find(|r| r.class == Sms);
        personal(lanes, class, sms.is_some_and(|r| self.is_degraded(&r.lane.channel)))
    }

    /// The waves for an audience.
    pub(super) fn waves(&self, choice: &Choice, class: Class, ways: &Ways) -> Vec<Vec<Recipient>> {
        let have = |person: &PersonId| {
            let mut lanes = self.contacts(person);
            lanes.retain(|r| !ways.without.contains(&r.lane));
            lanes
        };
        let mut waves = Waves::default();
        for person in &choice.audience {
            waves.add(0, self.personal_waves(&have(person), class));
        }
        if class == Class::P0 {
            if choice.by == "fallback" {
                // Two persons at a time, then a broadcast to the managers and the admins.
                for (round, pair) in choice.next.chunks(2).enumerate() {
                    for person in pair {
                        let first = self.personal_waves(&have(person), class).into_iter().take(1).collect();
                        waves.add(round + 1, first);
                    }
                }
                waves.append(self.broadcast(&have));
            } else if ways.in_need {
                for person in choice.next.iter().take(2) {
                    let all = have(person).into_iter().filter(|r| matches!(r.class, Sms | Voice | ChatApp));
                    waves.add(1, vec![all.collect()]);
                }
            } else if let Some(second) = choice.next.first() {
                let first = self.personal_waves(&have(second), class).into_iter().next().unwrap_or_default();
                waves.append(first);
            }
        }
        waves.finish()
    }

    fn broadcast(&self, have: &dyn Fn(&PersonId) -> Vec<Recipient>) -> Vec<Recipient> {
        let config = &self.setup.config;
        let people = self.setup.roster.people.iter().filter(|(id, p)| {
            matches!(p.role, Role::Manager | Role::Admin) || config.admins.iter().any(|name| **name == ***id)
        });
        people.flat_map(|(id, _)| have(id)).collect()
    }

    /// The lane for "cleared" and echoes: the one they prefer of those on which they were told.
    pub(super) fn told_lane(&self, incident: &Incident, person: &PersonId) -> Option<Recipient> {
        let told = incident.told.get(person)?;
        self.contacts(person).into_iter().find(|r| told.lanes.contains(&r.lane))
    }

    /// Whether a person may still be told "cleared": on duty, never on the rota, or gone for at most half an hour (I21).
    pub(super) fn is_near(&self, person: &PersonId) -> bool {
        let roster = &self.setup.roster;
        let gone = roster.off_since(person, self.now);
        let recent = gone.is_some_and(|t| self.now.since(t) <= Span::from_minutes(30));
        roster.is_on_duty(person, self.now) || recent || self.is_always_told(person)
    }

    /// On the fallback list or an admin: told whether on duty or not.
    pub(super) fn is_always_told(&self, person: &PersonId) -> bool {
        let config = &self.setup.config;
        let named = |names: &[String]| names.iter().any(|name| **name == **person);
        named(&config.fallback)
            || named(&config.admins)
            || self.setup.roster.people.get(person).is_some_and(|p| p.role == Role::Admin)
    }

    /// The class of what is said of an incident at a level (§2.5).
    pub(super) fn class_of(&self, incident: &Incident, level: u8) -> Class {
        let near = incident.hard_deadline.is_some_and(|t| t - Span::from_minutes(5) <= self.now);
        if level == 0 {
            return Class::P2;
        }
        match &*incident.family {
            "delivery.dead" => Class::P0,
            "system.roster_gap" => match incident.due {
                Some(gap) if gap - Span::from_minutes(120) <= self.now => Class::P1,
                _ => Class::P2,
            },
            "system.contact_missing" => Class::P2,
            // Where nobody configured levels for it, an ack that ran out is no reason to call the manager.
            family if is_own(family) && self.natural(incident, 2).is_none() => Class::P1,
            _ if level >= 2 || incident.vip || incident.legal || near => Class::P0,
            family if is_own(family) => Class::P1,
            _ if incident.storm.is_some() => Class::P1,
            family => self.setup.config.of_family(family).class,
        }
    }

    /// The id of a decision: the same inputs give the same id.
    pub(super) fn decision_id(&self, notice_parts: &[&[u8]], question: &Question) -> Id {
        let input = serde_json::to_vec(question).unwrap_or_default();
        let (roster, config) =
            (question.roster_revision.to_be_bytes(), question.config_revision.to_be_bytes());
        let mut parts: Vec<&[u8]> = vec![b"decision", &roster, &config, &input];
        parts.extend_from_slice(notice_parts);
        self.key.id(&parts)
    }

    /// Keeps a decision beside its notice.
    #[expect(clippy::too_many_arguments, reason = "a decision record is exactly these facts")]
    pub(super) fn keep_decision(
        &mut self,
        id: Id,
        notice: Id,
        incident: &Incident,
        purpose: Purpose,
        question: &Question,
        choice: &Choice,
        waves: &[Vec<Recipient>],
    ) {
        let waves = waves.iter();
        let waves =
            waves.map(|w| w.iter().map(|r| (&r.person, &r.lane.channel, r.class.word())).collect()).collect();
        let record = DecisionRecord {
            id,
            notice,
            episode: incident.episode,
            step: incident.step,
            purpose: purpose.word(),
            question,
            choice,
            waves,
        };
        let row = json_row(Table::Decision, id.to_string(), &record);
        self.put(Row { parent: Some(notice.to_string()), ..row });
    }
}

/// A family of the system's own.
pub(super) fn is_own(family: &str) -> bool {
    let kind = family.split('.').next().unwrap_or(family);
    matches!(kind, "system" | "delivery" | "channel" | "source" | "config" | "store")
}

/// Waves under construction.
#[derive(Default)]
struct Waves(Vec<Vec<Recipient>>);

impl Waves {
    /// Lays the waves of one person over the others, from wave `first` on.
    fn add(&mut self, first: usize, waves: Vec<Vec<Recipient>>) {
        for (i, wave) in waves.into_iter().enumerate() {
            if self.0.len() <= first + i {
                self.0.resize(first + i + 1, Vec::new());
            }
            self.0[first + i].extend(wave);
        }
    }

    fn append(&mut self, wave: Vec<Recipient>) {
        self.0.push(wave);
    }

    /// Each lane of a person once, where it comes first; no empty wave.
    fn finish(mut self) -> Vec<Vec<Recipient>> {
        let mut seen = BTreeSet::new();
        for wave in &mut self.0 {
            wave.retain(|r| seen.insert((r.person.clone(), r.lane.clone())));
        }
        self.0.retain(|wave| !wave.is_empty());
        self.0
    }
}

/// The waves of one person (§7.3). Where a class of the table is missing, the next best that they have stands in: with
/// nothing but mail, mail is the first wave.
fn personal(lanes: &[Recipient], class: Class, call_first: bool) -> Vec<Vec<Recipient>> {
    let first_of = |classes: &[ChannelClass]| {
        let found = classes.iter().find_map(|class| lanes.iter().find(|r| r.class == *class));
        found.cloned()
    };
    let all_of =
        |class: ChannelClass| lanes.iter().filter(move |r| r.class == class).cloned().collect::<Vec<_>>();
    let wave = |r: Option<Recipient>| r.into_iter().collect::<Vec<_>>();
    let chat = first_of(&[ChatApp, ChatRobot, Webhook]);
    let rest = [ChatApp, ChatRobot, Webhook, Email].map(all_of).concat();
    let mut waves = match class {
        Class::P0 => {
            let mut first = wave(chat);
            // A robot proves nothing of a person: the SMS leaves with it, as with every P0.
            let (sms, voice) = (first_of(&[Sms]), first_of(&[Voice]));
            let (now, then) = if call_first && voice.is_some() { (voice, sms) } else { (sms, voice) };
            first.extend(now);
            vec![first, wave(then)]
        }
        Class::P1 => vec![wave(chat), wave(first_of(&[Sms])), wave(first_of(&[Voice]))],
        Class::P2 => {
            let quiet = vec![wave(chat), wave(first_of(&[Email]))];
            if quiet.iter().all(Vec::is_empty) {
                vec![wave(first_of(&[Sms])), wave(first_of(&[Voice]))]
            } else {
                quiet
            }
        }
        Class::P3 => return vec![wave(lanes.first().cloned())],
    };
    if class <= Class::P1 {
        waves.extend(rest.into_iter().map(|r| vec![r]));
    }
    waves.retain(|wave| !wave.is_empty());
    waves
}

/// The start of the day of an instant, for what is told once a day.
pub(super) fn day_of(zone: &jiff::tz::TimeZone, t: Instant) -> String {
    t.to_timestamp().to_zoned(zone.clone()).date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(classes: &[ChannelClass]) -> Vec<Recipient> {
        let lane = |class: &ChannelClass| Recipient {
            person: "lin".into(),
            lane: Lane { channel: class.word().into(), address: Id::from_bytes([1; 16]) },
            class: *class,
        };
        classes.iter().map(lane).collect()
    }

    #[test]
    fn waves_by_class_and_by_what_a_person_has() {
        for (have, class, want) in [
            (&[ChatApp, Sms, Voice, Email][..], Class::P0, "chat_app+sms voice email"),
            (&[ChatRobot, Sms], Class::P0, "chat_robot+sms"),
            (&[Email], Class::P0, "email"),
            (&[Email, Webhook], Class::P0, "webhook email"),
            (&[Voice], Class::P0, "voice"),
            (&[Email, ChatApp, Sms, Voice], Class::P1, "chat_app sms voice email"),
            (&[ChatRobot, ChatApp, Sms], Class::P1, "chat_app sms chat_robot"),
            (&[Sms, Email], Class::P1, "sms email"),
            (&[Email, Webhook], Class::P1, "webhook email"),
            (&[ChatApp, Sms, Voice, Email], Class::P2, "chat_app email"),
            (&[Sms, Voice], Class::P2, "sms voice"),
            (&[Email], Class::P2, "email"),
            (&[Sms, Email], Class::P3, "sms"),
            (&[], Class::P0, ""),
        ] {
            let mut waves = Waves::default();
            waves.add(0, personal(&lanes(have), class, false));
            let got: Vec<String> = waves
                .finish()
                .iter()
                .map(|wave| wave.iter().map(|r| r.class.word()).collect::<Vec<_>>().join("+"))
                .collect();
            assert_eq!(got.join(" "), want, "{have:?} {class:?}");
        }
    }

    #[test]
    fn rc5_a_call_goes_before_an_sms_that_does_not_arrive() {
        let words = |have: &[ChannelClass], class| {
            let waves = personal(&lanes(have), class, true);
            let words = waves.iter().map(|w| w.iter().map(|r| r.class.word()).collect::<Vec<_>>().join("+"));
            words.collect::<Vec<_>>().join(" ")
        };
        assert!(words(&[ChatApp, Sms, Voice], Class::P0).starts_with("chat_app+voice sms"));
        assert!(words(&[ChatApp, Sms], Class::P0).starts_with("chat_app+sms"), "there is nothing to call by");
        assert!(words(&[ChatApp, Sms, Voice], Class::P1).starts_with("chat_app sms voice"), "P0 only");
    }
}
