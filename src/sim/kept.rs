//! What the store holds, read back from the very bytes that were committed: what the invariants are checked on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::core::alerting::{Choice, Question, Silence};
use crate::core::duty::Roster;
use crate::core::ids::{Id, InstallationKey};
use crate::core::model::{
    Attempt, AuditRecord, Batch, Body, Incident, Lane, Message, Notice, PersonId, Table,
};

use super::land::KEY;

/// One record that changed: as it was, as it is.
#[derive(Clone, Debug)]
pub struct Change<T> {
    /// Before this commit.
    pub before: Option<Arc<T>>,
    /// After it.
    pub after: Option<Arc<T>>,
}

/// A decision as it is kept: what was asked, what was chosen, for which notice.
#[derive(Clone, Debug, Deserialize)]
pub struct Decision {
    /// The notice.
    pub notice: Id,
    /// What was asked.
    pub question: Question,
    /// What was chosen.
    pub choice: Choice,
}

/// What one commit changed.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Incidents.
    pub incidents: Vec<Change<Incident>>,
    /// Notices.
    pub notices: Vec<Change<Notice>>,
    /// Messages.
    pub messages: Vec<Change<Message>>,
    /// Attempts.
    pub attempts: Vec<Change<Attempt>>,
    /// How far sources were read: source, from, to.
    pub cursors: Vec<(String, usize, usize)>,
    /// Decisions that were kept.
    pub decisions: Vec<Decision>,
    /// Audit records.
    pub audit: Vec<AuditRecord>,
}

impl Commit {
    /// Whether an audit record of this kind is about this incident.
    pub fn says(&self, kind: &str, incident: Id) -> bool {
        let id = incident.to_string();
        self.audit.iter().any(|a| a.kind == kind && a.incident.as_deref() == Some(&*id))
    }

    /// The rules that moved an incident, in order, with what they changed.
    pub fn moves(&self, incident: Id) -> impl Iterator<Item = (&str, &str)> {
        let id = incident.to_string();
        self.audit
            .iter()
            .filter(move |a| a.incident.as_deref() == Some(&*id))
            .filter_map(|a| Some((a.kind.strip_prefix("incident.")?, a.change.as_deref().unwrap_or(""))))
    }
}

/// Everything that is kept of a desk.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Incidents.
    pub incidents: BTreeMap<Id, Arc<Incident>>,
    /// Notices.
    pub notices: BTreeMap<Id, Arc<Notice>>,
    /// Messages.
    pub messages: BTreeMap<Id, Arc<Message>>,
    /// Attempts.
    pub attempts: BTreeMap<(Id, u32), Arc<Attempt>>,
    /// What each attempt sends, by the id of its row.
    bodies: BTreeMap<String, Body>,
    /// Silences.
    pub silences: BTreeMap<Id, Arc<Silence>>,
    /// Cases, by the id of their row.
    pub cases: BTreeSet<String>,
    /// How far each source was read.
    pub cursors: BTreeMap<String, usize>,
    /// Lanes that refuse their person for good (§10.1).
    pub flagged: BTreeSet<Lane>,
    /// Incidents that are not over, or have something ahead.
    awake: BTreeSet<Id>,
    /// Messages that are not over.
    alive: BTreeSet<Id>,
    /// Incidents of which something was held back at some time: folded, silenced, or owed to nobody on shift.
    pub kept_back: BTreeSet<Id>,
    /// The notices of an incident.
    pub of_incident: BTreeMap<Id, BTreeSet<Id>>,
    /// Notices that were planned, and settled, as the audit says: how often.
    pub told: BTreeMap<String, (u32, u32)>,
    /// Ends of messages, as the audit says: how often.
    pub ended: BTreeMap<String, u32>,
    /// Incidents for which the local alarm was raised.
    pub alarmed: BTreeSet<String>,
    /// Status and level of each incident as the audit alone tells them.
    pub replayed: BTreeMap<String, String>,
}

fn read<T: DeserializeOwned>(table: Table, id: &str, body: &[u8]) -> Result<Arc<T>, String> {
    serde_json::from_slice(body).map(Arc::new).map_err(|e| format!("{} {id}: {e}", table.word()))
}

fn swap<K: Ord + Clone, T>(map: &mut BTreeMap<K, Arc<T>>, key: K, after: Option<Arc<T>>) -> Change<T> {
    let before = match &after {
        Some(after) => map.insert(key, after.clone()),
        None => map.remove(&key),
    };
    Change { before, after }
}

impl Kept {
    /// Takes in a batch that the store has taken.
    ///
    /// # Errors
    /// A row cannot be read back.
    pub fn take(&mut self, batch: &Batch) -> Result<Commit, String> {
        let mut commit = Commit { audit: batch.audit.clone(), ..Commit::default() };
        // Every attempt finds its body, wherever that stands.
        for row in batch.rows.iter().filter(|row| row.table == Table::Body) {
            let sent = row.body.as_deref().map(serde_json::from_slice).transpose();
            let sent: Option<Body> = sent.map_err(|e| format!("body {}: {e}", row.id))?;
            self.bodies.extend(sent.map(|sent| (row.id.clone(), sent)));
        }
        for row in &batch.rows {
            let (table, id, body) = (row.table, row.id.as_str(), row.body.as_deref());
            let bad = |e: crate::core::ids::BadId| format!("{} {id}: {e}", table.word());
            match table {
                Table::Incident => {
                    let after: Option<Arc<Incident>> = body.map(|b| read(table, id, b)).transpose()?;
                    let key: Id = id.parse().map_err(bad)?;
                    let over = |i: &Arc<Incident>| i.is_resolved() && i.cleared_at.is_none();
                    match after.as_ref().is_none_or(over) {
                        true => self.awake.remove(&key),
                        false => self.awake.insert(key),
                    };
                    if after.as_ref().is_some_and(|i| i.folded.is_some() || i.silenced.is_some() || i.owed) {
                        self.kept_back.insert(key);
                    }
                    let change = swap(&mut self.incidents, key, after);
                    commit.incidents.push(change);
                }
                Table::Notice => {
                    let after: Option<Arc<Notice>> = body.map(|b| read(table, id, b)).transpose()?;
                    if let Some(after) = &after {
                        self.of_incident.entry(after.incident).or_default().insert(after.id);
                    }
                    commit.notices.push(swap(&mut self.notices, id.parse().map_err(bad)?, after));
                }
                Table::Message => {
                    let after: Option<Arc<Message>> = body.map(|b| read(table, id, b)).transpose()?;
                    let key: Id = id.parse().map_err(bad)?;
                    match after.as_ref().is_none_or(|m| m.state.is_terminal()) {
                        true => self.alive.remove(&key),
                        false => self.alive.insert(key),
                    };
                    commit.messages.push(swap(&mut self.messages, key, after));
                }
                Table::Attempt => {
                    let mut after: Option<Arc<Attempt>> = body.map(|b| read(table, id, b)).transpose()?;
                    let (message, n) = id.split_once('/').ok_or("an attempt without a number")?;
                    let key = (message.parse().map_err(bad)?, n.parse().map_err(|e| format!("{id}: {e}"))?);
                    if let (Some(after), Some(sent)) = (&mut after, self.bodies.get(id)) {
                        Arc::make_mut(after).body = sent.clone();
                    }
                    commit.attempts.push(swap(&mut self.attempts, key, after));
                }
                Table::Silence => {
                    let after: Option<Arc<Silence>> = body.map(|b| read(table, id, b)).transpose()?;
                    swap(&mut self.silences, id.parse().map_err(bad)?, after);
                }
                Table::Case if body.is_some() => drop(self.cases.insert(id.to_owned())),
                Table::Alerting => {
                    let lane = id.strip_prefix("flag/").and_then(|lane| lane.rsplit_once('/'));
                    let Some((channel, address)) = lane else { continue };
                    let lane = Lane { channel: channel.into(), address: address.parse().map_err(bad)? };
                    match body {
                        Some(_) => self.flagged.insert(lane),
                        None => self.flagged.remove(&lane),
                    };
                }
                Table::Cursor => {
                    let to: usize = body
                        .and_then(|b| std::str::from_utf8(b).ok())
                        .and_then(|b| b.parse().ok())
                        .ok_or("a cursor that is no number")?;
                    let from = self.cursors.insert(id.to_owned(), to).unwrap_or(0);
                    commit.cursors.push((id.to_owned(), from, to));
                }
                Table::Decision => {
                    let kept = body.map(serde_json::from_slice).transpose();
                    commit.decisions.extend(kept.map_err(|e| format!("decision {id}: {e}"))?);
                }
                _ => {}
            }
        }
        self.hear(&commit.audit);
        Ok(commit)
    }

    /// What the audit alone tells.
    fn hear(&mut self, audit: &[AuditRecord]) {
        for record in audit {
            let of = |id: &Option<String>| id.clone().unwrap_or_default();
            match record.kind.as_str() {
                "notice.planned" => self.told.entry(of(&record.notice)).or_default().0 += 1,
                "notice.settled" => self.told.entry(of(&record.notice)).or_default().1 += 1,
                "message.ended" => *self.ended.entry(of(&record.message)).or_default() += 1,
                "alarm.local" => drop(self.alarmed.insert(of(&record.incident))),
                kind if kind.starts_with("incident.R") || kind == "incident.rule_removed" => {
                    if let Some((_, to)) = record.change.as_deref().and_then(|c| c.split_once(" → ")) {
                        self.replayed.insert(of(&record.incident), to.to_owned());
                    }
                }
                _ => {}
            }
        }
    }

    /// The lanes of a person, as they are configured.
    pub fn lanes(roster: &Roster, person: &PersonId) -> Vec<Lane> {
        let key = InstallationKey::new(KEY);
        let contacts = roster.people.get(person).map(|p| p.contacts.as_slice()).unwrap_or_default();
        let lane = |(channel, address): &(Arc<str>, String)| Lane {
            channel: channel.clone(),
            address: key.id(&[b"lane", channel.as_bytes(), address.as_bytes()]),
        };
        contacts.iter().map(lane).collect()
    }

    /// Whether a person has a contact that does not refuse them (§7.2).
    pub fn is_reachable(&self, roster: &Roster, person: &PersonId) -> bool {
        Kept::lanes(roster, person).iter().any(|lane| !self.flagged.contains(lane))
    }

    /// Incidents that are not over, or have something ahead.
    pub fn awake(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.awake.iter().filter_map(|id| self.incidents.get(id))
    }

    /// Incidents that are not over.
    pub fn unresolved(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.awake().filter(|i| !i.is_resolved())
    }

    /// Messages that are not over.
    pub fn alive(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.alive.iter().filter_map(|id| self.messages.get(id))
    }

    /// The notices of an incident.
    pub fn notices_of(&self, incident: Id) -> impl Iterator<Item = &Arc<Notice>> {
        self.of_incident.get(&incident).into_iter().flatten().filter_map(|id| self.notices.get(id))
    }

    /// The notices that a message serves, or served.
    pub fn served<'k>(&'k self, message: &'k Message) -> impl Iterator<Item = &'k Arc<Notice>> {
        message.notices.iter().filter_map(|id| self.notices.get(id))
    }
}
