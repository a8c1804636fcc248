//! What the incident half keeps beside the incidents, and how records are named while they wait to be written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::core::alerting::respond::Answer;
use crate::core::ids::Id;
use crate::core::model::{FewOf, Incident, PersonId, Status, Subject};
use crate::core::time::Instant;

/// The name of a record that has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// By id.
    Id(Id),
    /// An attempt: its message and number.
    Attempt(Id, u32),
    /// By a text.
    Text(String),
}

impl From<Id> for Key {
    fn from(id: Id) -> Key {
        Key::Id(id)
    }
}

impl From<(Id, u32)> for Key {
    fn from((message, n): (Id, u32)) -> Key {
        Key::Attempt(message, n)
    }
}

impl From<String> for Key {
    fn from(text: String) -> Key {
        Key::Text(text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Id(id) => id.fmt(f),
            Key::Attempt(message, n) => write!(f, "{message}/{n}"),
            Key::Text(text) => f.write_str(text),
        }
    }
}

/// The indices of the incident half, built again from the incidents after a restart, and the answers that were given.
#[derive(Debug, Default)]
pub(super) struct Book {
    by_subject: BTreeMap<Subject, FewOf<Id>>,
    /// How many incidents of level 1 each person has.
    load: BTreeMap<PersonId, usize>,
    /// Those that are over, the oldest first.
    settled: BTreeSet<(Instant, Id)>,
    /// What was answered to whom, by inbox id (I11).
    pub(super) inbox: BTreeMap<Id, Answer>,
    /// The same, the oldest first.
    pub(super) inbox_order: BTreeSet<(Instant, Id)>,
    /// A downtime is being caught up with.
    pub(super) catching_up: bool,
}

impl Book {
    /// An incident is new, or is as it is now again.
    pub(super) fn add(&mut self, incident: &Incident) {
        self.by_subject.entry(incident.subject.clone()).or_default().insert(incident.id);
        for person in counted(incident) {
            *self.load.entry(person.clone()).or_default() += 1;
        }
        if let Some(at) = incident.resolved_at.filter(|_| incident.is_resolved()) {
            self.settled.insert((at, incident.id));
        }
    }

    /// An incident is about to change, or leaves memory: what was added is taken back.
    pub(super) fn remove(&mut self, incident: &Incident) {
        if let Some(known) = self.by_subject.get_mut(&incident.subject) {
            known.remove(&incident.id);
            if known.is_empty() {
                self.by_subject.remove(&incident.subject);
            }
        }
        for person in counted(incident) {
            if let Some(load) = self.load.get_mut(person) {
                *load = load.saturating_sub(1);
                if *load == 0 {
                    self.load.remove(person);
                }
            }
        }
        if let Some(at) = incident.resolved_at {
            self.settled.remove(&(at, incident.id));
        }
    }

    /// The incidents of a subject.
    pub(super) fn of_subject(&self, subject: &Subject) -> impl Iterator<Item = Id> + '_ {
        self.by_subject.get(subject).into_iter().flat_map(FewOf::iter).copied()
    }

    /// How many incidents of level 1 are a person's.
    pub(super) fn load(&self, person: &PersonId) -> usize {
        self.load.get(person).copied().unwrap_or_default()
    }

    /// The incidents that are over, the oldest first.
    pub(super) fn settled(&self) -> impl Iterator<Item = (Instant, Id)> + '_ {
        self.settled.iter().copied()
    }

    /// How many are over.
    pub(super) fn settled_count(&self) -> usize {
        self.settled.len()
    }
}

/// The persons who have the incident as work at level 1.
fn counted(incident: &Incident) -> impl Iterator<Item = &PersonId> {
    let people: &[PersonId] = match incident.status {
        _ if incident.level != 1 => &[],
        Status::Open => &incident.audience,
        Status::Acked => incident.acked_by.as_slice(),
        Status::Snoozed | Status::Resolved => &[],
    };
    people.iter()
}
