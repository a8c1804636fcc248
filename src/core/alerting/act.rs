//! What people do (`delivery_semantics` §6.2 R8, R13, R16, R19, R27; §12): each act once, by its inbox id.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::core::alerting::entitle::{Capacity, Deed};
use crate::core::alerting::incidents::How;
use crate::core::alerting::outbox::Pointless;
use crate::core::alerting::respond::{Act, Answer, Done, Refusal, Response, SilenceRequest};
use crate::core::alerting::tell::Tell;
use crate::core::alerting::transitions::{Event, Rule};
use crate::core::alerting::words::Saying;
use crate::core::alerting::{Alerting, Count, Note, json_row};
use crate::core::duty::Role;
use crate::core::ids::Id;
use crate::core::model::{Cause, Incident, PersonId, Purpose, Row, Status, Table};
use crate::core::time::{Instant, Span};

/// An answered response, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) at: Instant,
    pub(super) answer: Answer,
}

/// Answers are remembered for so long: platforms repeat their callbacks over hours.
pub(super) const REMEMBERED: Span = Span::from_minutes(48 * 60);

/// An ack covers at most so many incidents.
const LONGEST_LIST: usize = 2_000;

/// The longest a reason may be, in characters.
const LONGEST_REASON: usize = 500;

/// The longest silence of a senior, and of a manager (§6.4, §8.4).
const SENIOR_SILENCE: Span = Span::from_minutes(120);
const MANAGER_SILENCE: Span = Span::from_minutes(720);

impl Alerting {
    /// Does what a person wants. The same response twice is one act (I11).
    ///
    /// # Errors
    /// They may not, or it cannot be; nothing has changed.
    pub fn respond(&mut self, response: &Response, now: Instant) -> Result<Answer, Refusal> {
        self.set_now(now);
        if let Some(answer) = self.book.inbox.get(&response.inbox) {
            return Ok(Answer { repeated: true, ..answer.clone() });
        }
        if !self.setup.roster.people.contains_key(&response.person) {
            return Err(Refusal::Unknown(response.person.clone()));
        }
        let done = self.act(response)?;
        let answer = Answer { done, repeated: false, at: self.now };
        let kept = Kept { at: self.now, answer: answer.clone() };
        let row = json_row(Table::Inbox, response.inbox.to_string(), &kept);
        self.put(Row { parent: Some(response.person.to_string()), ..row });
        self.remember(response.inbox, kept);
        Ok(answer)
    }

    pub(super) fn remember(&mut self, inbox: Id, kept: Kept) {
        self.book.inbox_order.insert((kept.at, inbox));
        self.book.inbox.insert(inbox, kept.answer);
    }

    fn act(&mut self, response: &Response) -> Result<Vec<Done>, Refusal> {
        let person = &response.person;
        let actor = format!("person:{person}");
        let detail = json!({ "via": response.via, "from": response.from, "inbox": response.inbox });
        let how = How { actor: &actor, cause: None, detail: Some(detail) };
        match &response.act {
            Act::Ack { incidents } => {
                let (mut done, mut refused) = (Vec::new(), None);
                // A storm named alone stands for what is folded under it now; a list covers itself, no more (RS4).
                let mut covered = incidents.clone();
                if let [parent] = incidents[..]
                    && self.incidents.get(&parent).is_some_and(|i| i.storm.is_some())
                {
                    covered.extend(self.storm_children(parent));
                }
                for id in covered.iter().take(LONGEST_LIST) {
                    match self.ack(*id, response, &how) {
                        Ok(one) => done.push(one),
                        Err(refusal) => refused = refused.or(Some(refusal)),
                    }
                }
                match refused {
                    Some(refusal) if done.is_empty() => Err(refusal),
                    _ => Ok(done),
                }
            }
            Act::Snooze { incident, span } => self.snooze(*incident, *span, response, &how).map(|d| vec![d]),
            Act::Resolve { incident, reason } => {
                self.resolve(*incident, reason, response, &how).map(|d| vec![d])
            }
            Act::Escalate { incident, reason } => {
                self.escalate(*incident, reason.as_deref(), response, &how).map(|d| vec![d])
            }
            Act::Release { incident } => self.release(*incident, response, &how).map(|d| vec![d]),
            Act::Silence(request) => self.silence(request, person).map(|d| vec![d]),
            Act::EndSilence { silence } => {
                self.may_silence(person, Span::ZERO)?;
                if self.end_silence(*silence) {
                    Ok(vec![Done::SilenceEnded { silence: *silence }])
                } else {
                    Err(Refusal::NoSuchSilence(silence.to_string()))
                }
            }
        }
    }

    /// The incident that an act is about, of the episode that its link was made for.
    fn subject_of(&self, id: Id, response: &Response) -> Result<&Incident, Refusal> {
        let incident = self.incidents.get(&id).ok_or_else(|| Refusal::NoSuchIncident(id.to_string()))?;
        match response.episode {
            Some(of) if of != incident.episode => {
                Err(Refusal::OtherEpisode { of, now: incident.episode, status: incident.status })
            }
            _ => Ok(incident),
        }
    }

    /// R8.
    fn ack(&mut self, id: Id, response: &Response, how: &How<'_>) -> Result<Done, Refusal> {
        let incident = self.subject_of(id, response)?;
        let person = &response.person;
        if incident.is_resolved() {
            return Ok(Done::AlreadyResolved { incident: id });
        }
        self.entitled(person, incident, Deed::Ack)?;
        if let (Status::Acked, Some(holder)) = (incident.status, &incident.acked_by) {
            return Ok(if holder == person {
                Done::Acked { incident: id, until: incident.ack_until }
            } else {
                let at = incident.acked_at.unwrap_or(self.now);
                Done::HasOwner { incident: id, person: holder.clone(), at }
            });
        }
        if incident.status == Status::Snoozed {
            // Whoever takes it up ends its rest.
            self.transit(id, Event::ReleaseAsked, how);
        }
        if self.transit(id, Event::AckAsked, how).is_none() {
            let status = self.incidents.get(&id).map_or(Status::Resolved, |i| i.status);
            return Err(Refusal::WrongStatus(status));
        }
        let until = self.incidents.get(&id).map(|i| self.lease(i, person));
        let now = self.now;
        let (level, opened) = self
            .edit(id, |incident| {
                incident.acked_by = Some(person.clone());
                incident.acked_at = Some(now);
                incident.ack_until = until;
                incident.ack_extended = false;
                incident.owed = false;
                (incident.level, incident.episode_at)
            })
            .unwrap_or((0, now));
        self.counts.push(Count::Acked { level, after: now.since(opened) });
        self.supersede(id, &Pointless::All, Cause::Acked);
        self.noted_change(id);
        // RS4: a storm's parent stands for the children that it was told with. One that the person may not have stays
        // as it is; the link's episode is the parent's.
        let each = Response { episode: None, ..response.clone() };
        for child in self.storm_children(id) {
            if let Err(refusal) = self.ack(child, &each, how) {
                self.audit(Note {
                    actor: how.actor,
                    kind: "response.refused",
                    incident: Some(child),
                    change: Some(refusal.to_string()),
                    ..Note::default()
                });
            }
        }
        Ok(Done::Acked { incident: id, until })
    }

    /// R13: cut to what is allowed, and told.
    fn snooze(&mut self, id: Id, span: Span, response: &Response, how: &How<'_>) -> Result<Done, Refusal> {
        let incident = self.subject_of(id, response)?;
        let person = &response.person;
        if incident.is_resolved() {
            return Ok(Done::AlreadyResolved { incident: id });
        }
        let capacity = self.entitled(person, incident, Deed::Snooze)?;
        if span <= Span::ZERO {
            return Err(Refusal::OutOfBounds {
                what: "the time to put it off for".to_owned(),
                found: span.to_string(),
                expected: "more than zero".to_owned(),
            });
        }
        let asked = self.now + span;
        let longest = self.setup.config.of_family(&incident.family).snooze_max;
        let longest = if capacity >= Capacity::Senior { longest } else { longest.percent(50) };
        let due = incident.due.filter(|due| incident.level == 0 && *due > self.now);
        let bounds = [
            Some(self.now + longest),
            self.guarded(incident),
            self.setup.roster.shift_end(person, self.now),
            due,
        ];
        let until = bounds.into_iter().flatten().fold(asked, Instant::min);
        if until <= self.now {
            return Err(Refusal::WrongStatus(incident.status));
        }
        let cut = until < asked;
        if self.transit(id, Event::SnoozeAsked, how).is_none() {
            let status = self.incidents.get(&id).map_or(Status::Resolved, |i| i.status);
            return Err(Refusal::WrongStatus(status));
        }
        self.edit(id, |incident| {
            incident.snooze_until = Some(until);
            incident.owed = false;
        });
        self.supersede(id, &Pointless::All, Cause::Snoozed);
        self.noted_change(id);
        Ok(Done::Snoozed { incident: id, until, cut })
    }

    /// R19.
    fn resolve(&mut self, id: Id, reason: &str, response: &Response, how: &How<'_>) -> Result<Done, Refusal> {
        let incident = self.subject_of(id, response)?;
        if incident.is_resolved() {
            return Ok(Done::AlreadyResolved { incident: id });
        }
        self.entitled(&response.person, incident, Deed::Resolve)?;
        let length = reason.trim().chars().count();
        if length == 0 || length > LONGEST_REASON {
            return Err(Refusal::OutOfBounds {
                what: "the reason".to_owned(),
                found: format!("{length} characters"),
                expected: format!("1 to {LONGEST_REASON}"),
            });
        }
        let how = How { cause: Some(reason.trim()), ..how.clone() };
        self.close(id, Event::ResolveAsked, &how);
        Ok(Done::Resolved { incident: id })
    }

    /// R16.
    fn escalate(
        &mut self,
        id: Id,
        reason: Option<&str>,
        response: &Response,
        how: &How<'_>,
    ) -> Result<Done, Refusal> {
        let incident = self.subject_of(id, response)?;
        if incident.is_resolved() {
            return Ok(Done::AlreadyResolved { incident: id });
        }
        let person = &response.person;
        self.entitled(person, incident, Deed::Escalate)?;
        let reason: Option<String> = reason.map(|r| r.trim().chars().take(LONGEST_REASON).collect());
        let before = incident.level;
        let how = How { cause: reason.as_deref(), ..how.clone() };
        if self.transit(id, Event::EscalateAsked, &how) != Some(Rule::R16) {
            return Err(Refusal::WrongStatus(self.incidents.get(&id).map_or(Status::Resolved, |i| i.status)));
        }
        self.supersede(id, &Pointless::To(person.clone()), Cause::SupersededByStep);
        self.arm_next(id, Span::MINUTE);
        let level = self.incidents.get(&id).map_or(before, |i| i.level);
        self.counts.push(Count::Escalated { level, reason: "manual" });
        let name =
            self.setup.roster.people.get(person).map_or_else(|| person.to_string(), |p| p.name.clone());
        let remark = Saying::EscalatedBy { name: &name, reason: reason.as_deref() };
        let remark = remark.text(self.setup.language, &self.setup.zone);
        self.noted_change(id);
        self.tell(id, Tell { remark: Some(remark), ..Tell::of(Purpose::Level) });
        let level = self.incidents.get(&id).map_or(level, |i| i.level);
        Ok(Done::Escalated { incident: id, level })
    }

    /// R27.
    fn release(&mut self, id: Id, response: &Response, how: &How<'_>) -> Result<Done, Refusal> {
        let incident = self.subject_of(id, response)?;
        if incident.is_resolved() {
            return Ok(Done::AlreadyResolved { incident: id });
        }
        self.entitled(&response.person, incident, Deed::Release)?;
        let status = incident.status;
        if self.transit(id, Event::ReleaseAsked, how).is_none() {
            return Err(Refusal::WrongStatus(status));
        }
        self.arm_rest(id);
        let level = self.incidents.get(&id).map_or(0, |i| i.level);
        let purpose = if level == 0 { Purpose::Prewarning } else { Purpose::SnoozeOver };
        self.tell(id, Tell::of(purpose));
        self.noted_change(id);
        Ok(Done::Released { incident: id })
    }

    fn may_silence(&self, person: &PersonId, span: Span) -> Result<Role, Refusal> {
        let refuse = |why: &str| {
            let (person, act) = (person.clone(), "silence".to_owned());
            Err(Refusal::NotEntitled { person, act, why: why.to_owned() })
        };
        let Some(known) = self.setup.roster.people.get(person) else {
            return Err(Refusal::Unknown(person.clone()));
        };
        let longest = match known.role {
            Role::Senior => SENIOR_SILENCE,
            Role::Manager => MANAGER_SILENCE,
            Role::Handler | Role::Admin => return refuse("only seniors and managers may"),
        };
        if span > longest {
            return Err(Refusal::OutOfBounds {
                what: "the length of the silence".to_owned(),
                found: span.to_string(),
                expected: format!("at most {longest}"),
            });
        }
        Ok(known.role)
    }

    fn silence(&mut self, request: &SilenceRequest, person: &PersonId) -> Result<Done, Refusal> {
        let role = self.may_silence(person, request.span)?;
        let bad = |what: &str, found: String, expected: &str| {
            Err(Refusal::OutOfBounds { what: what.to_owned(), found, expected: expected.to_owned() })
        };
        if request.span <= Span::ZERO {
            return bad("the length of the silence", request.span.to_string(), "more than zero");
        }
        let length = request.reason.trim().chars().count();
        if length == 0 || length > LONGEST_REASON {
            return bad("the reason", format!("{length} characters"), "1 to 500");
        }
        if request.matchers.is_empty() {
            return bad(
                "what it matches",
                "nothing".to_owned(),
                "at least one matcher, such as carrier = 圆通",
            );
        }
        let mut request = request.clone();
        if role == Role::Senior && self.setup.roster.teams.len() > 1 {
            let own: Arc<str> =
                self.setup.roster.people.get(person).map(|p| p.team.clone()).unwrap_or_default();
            let teams = request.matchers.entry("team".into()).or_insert_with(|| vec![own.clone()]);
            if teams.iter().any(|team| *team != own) {
                let (person, act) = (person.clone(), "silence".to_owned());
                return Err(Refusal::NotEntitled { person, act, why: "of another team".to_owned() });
            }
        }
        let (silence, until, covers) = self.add_silence(&request, person);
        Ok(Done::Silenced { silence, until, covers })
    }
}
