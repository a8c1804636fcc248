//! What folds under what (`delivery_semantics` §8.3, R25, R26): a parent's children, and the tickets of a source that
//! cannot be read. Folding holds back sending, never recording.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::alerting::Alerting;
use crate::core::alerting::incidents::Speak;
use crate::core::ids::Id;
use crate::core::model::{Incident, Status, Table};
use crate::core::time::{Instant, Span};

/// A hard deadline this near is told by itself.
const NEAR: Span = Span::HOUR;

/// What is folded under one parent.
#[derive(Debug, Default)]
pub(super) struct Folds {
    /// The children, with when each breaks out by its deadline.
    children: BTreeMap<Id, Option<Instant>>,
    by_deadline: BTreeSet<(Instant, Id)>,
}

impl Folds {
    fn insert(&mut self, child: Id, breaks_out: Option<Instant>) {
        self.remove(child);
        self.children.insert(child, breaks_out);
        if let Some(at) = breaks_out {
            self.by_deadline.insert((at, child));
        }
    }

    fn remove(&mut self, child: Id) -> bool {
        let Some(at) = self.children.remove(&child) else { return false };
        if let Some(at) = at {
            self.by_deadline.remove(&(at, child));
        }
        true
    }
}

/// Whether it must be told by itself whatever it could fold under.
fn stands_out(incident: &Incident, now: Instant) -> bool {
    incident.vip || incident.legal || incident.complaint || is_near(incident, now)
}

/// Whether its own deadline has come near.
fn is_near(incident: &Incident, now: Instant) -> bool {
    incident.hard_deadline.is_some_and(|deadline| deadline <= now + NEAR)
}

/// Whether another incident of the same case says all that it would stand out for: that the customer is a VIP, that it is
/// a legal case, that there is a complaint. Its own deadline it tells itself.
fn is_spoken_for(incident: &Incident, lead: &Incident, now: Instant) -> bool {
    !is_near(incident, now)
        && (lead.vip || !incident.vip)
        && (lead.legal || !incident.legal)
        && (lead.complaint || !incident.complaint)
}

/// Trouble of the system's own: it is never folded away.
fn is_own(incident: &Incident) -> bool {
    ["system.", "delivery.", "channel.", "source."].iter().any(|own| incident.family.starts_with(own))
        || incident.storm.is_some()
}

impl Alerting {
    /// R25: whether an incident may be folded under a parent.
    pub(super) fn may_fold(&self, incident: &Incident) -> bool {
        incident.status == Status::Open
            && incident.folded.is_none()
            && incident.silenced.is_none()
            && !is_own(incident)
            && !stands_out(incident, self.now)
    }

    /// The unresolved incidents that are folded under a parent.
    pub(super) fn folded_under(&self, parent: Id) -> impl Iterator<Item = Id> + '_ {
        self.outbox.folds.get(&parent).into_iter().flat_map(|folds| folds.children.keys().copied())
    }

    /// Folds a child, and watches its deadline.
    pub(super) fn fold_under(&mut self, child: Id, parent: Id) {
        self.note_fold(child, parent);
        self.fold(child, parent);
        self.level_of_parent(child, parent);
    }

    fn note_fold(&mut self, child: Id, parent: Id) {
        let Some(incident) = self.incidents.get(&child) else { return };
        let breaks_out = incident.hard_deadline.map(|deadline| deadline - NEAR);
        self.unnote_fold(child);
        self.outbox.parent_of.insert(child, parent);
        self.outbox.folds.entry(parent).or_default().insert(child, breaks_out);
    }

    /// A child is no longer under its parent. Answers the parent.
    fn unnote_fold(&mut self, child: Id) -> Option<Id> {
        let parent = self.outbox.parent_of.remove(&child)?;
        if let Some(folds) = self.outbox.folds.get_mut(&parent) {
            folds.remove(child);
            if folds.children.is_empty() {
                self.outbox.folds.remove(&parent);
            }
        }
        Some(parent)
    }

    /// A parent's level is at least that of its children (§8.2).
    fn level_of_parent(&mut self, child: Id, parent: Id) {
        if !self.outbox.storms.contains_key(&parent) {
            return;
        }
        let level = self.incidents.get(&child).map_or(0, |i| i.level);
        if self.incidents.get(&parent).is_some_and(|p| p.level < level) {
            self.raise_parent(parent, level);
        }
    }

    /// The highest level of what is folded under a storm; `None` where it is none, or nothing is.
    pub(super) fn level_of_children(&self, parent: Id) -> Option<u8> {
        self.incidents.get(&parent).filter(|i| i.storm.is_some())?;
        self.folded_under(parent).filter_map(|id| self.incidents.get(&id)).map(|i| i.level).max()
    }

    /// When the next child breaks out by its deadline.
    pub(super) fn next_break_out(&self, parent: Id) -> Option<Instant> {
        self.outbox.folds.get(&parent)?.by_deadline.first().map(|(at, _)| *at)
    }

    /// R26: children whose hard deadline has come near speak for themselves.
    pub(super) fn break_out_by_deadline(&mut self, parent: Id) {
        while let Some((_, child)) = self
            .outbox
            .folds
            .get(&parent)
            .and_then(|folds| folds.by_deadline.first().copied())
            .filter(|(at, _)| *at <= self.now)
        {
            self.unnote_fold(child);
            self.unfold(child, Speak::Itself);
        }
    }

    /// Every child of a parent comes back.
    pub(super) fn release_children(&mut self, parent: Id, speak: Speak) {
        let children: Vec<Id> = self.folded_under(parent).collect();
        for child in children {
            self.unnote_fold(child);
            self.unfold(child, speak);
        }
    }

    /// Folds are an index over the incidents: built again after a restart.
    pub(super) fn index_folds(&mut self) {
        let folded: Vec<(Id, Id)> = self
            .incidents
            .values()
            .filter(|i| !i.is_resolved())
            .filter_map(|i| i.folded.map(|parent| (i.id, parent)))
            .collect();
        for (child, parent) in folded {
            self.note_fold(child, parent);
        }
        let blind: Vec<(Arc<str>, Id)> = self
            .incidents
            .values()
            .filter(|i| &*i.family == "source.blind" && !i.is_resolved())
            .map(|i| (i.subject.id.clone(), i.id))
            .collect();
        self.outbox.blind.extend(blind);
    }

    /// An incident is new, or open again: a source that is blind may cover it, or it may cover others.
    pub(super) fn look_at_inhibition(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        if &*incident.family == "source.blind" {
            if incident.is_resolved() {
                return;
            }
            let source = incident.subject.id.clone();
            self.outbox.blind.insert(source.clone(), id);
            let covered: Vec<Id> = self
                .incidents
                .values()
                .filter(|i| i.subject.source == source && i.unverified && self.may_fold(i))
                .map(|i| i.id)
                .collect();
            for child in covered {
                self.fold_under(child, id);
            }
            self.arm_storm(id);
            return;
        }
        if incident.unverified
            && self.may_fold(incident)
            && let Some(parent) = self.outbox.blind.get(&incident.subject.source).copied()
        {
            self.fold_under(id, parent);
            self.arm_storm(parent);
        }
    }

    fn is_of_one_case(&self, child: Id, parent: Id) -> bool {
        let subject = |id| self.incidents.get(&id).map(|i: &Incident| &i.subject);
        subject(child).is_some() && subject(child) == subject(parent)
    }

    /// One case, one ticket (`logistics` 6.1): of the incidents of one case whose rules share a ticket the gravest speaks,
    /// of two that are as grave the older one; the others fold under it. What must be told by itself is, all the same: a
    /// VIP's case by the one that speaks, which says so, and a deadline that has come near by whose it is.
    pub(super) fn look_at_ticket(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let Some((ticket, _)) = self.ticket_of(incident) else { return };
        let subject = incident.subject.clone();
        // The gravest first; what only warns speaks for nothing that has happened.
        let mut open: Vec<(bool, u16, Instant, Id)> = self
            .incidents_of(&subject)
            .filter(|i| !i.is_resolved())
            .filter_map(|i| {
                let (of, precedence) = self.ticket_of(i)?;
                (of == ticket).then_some((i.level == 0, precedence, i.episode_at, i.id))
            })
            .collect();
        open.sort_unstable();
        let Some((.., lead)) = open.first().copied() else { return };
        // One that was folded under a lesser one until now, or under one that is over.
        if self
            .incidents
            .get(&lead)
            .and_then(|i| i.folded)
            .is_some_and(|parent| self.is_of_one_case(lead, parent))
        {
            self.unnote_fold(lead);
            self.unfold(lead, Speak::Itself);
        }
        for (.., child) in open.into_iter().skip(1) {
            let found = self.incidents.get(&child);
            let under = found.and_then(|i| i.folded);
            let moves = under.is_none_or(|parent| parent != lead && self.is_of_one_case(child, parent));
            let may = |i: &Incident| {
                i.status == Status::Open
                    && i.silenced.is_none()
                    && self.incidents.get(&lead).is_some_and(|lead| is_spoken_for(i, lead, self.now))
            };
            if moves && found.is_some_and(may) {
                self.edit(child, |incident| incident.folded = None);
                self.fold_under(child, lead);
            }
        }
        self.note_others(lead);
    }

    /// Whether another incident of the same ticket says all that this one would stand out for.
    pub(super) fn is_spoken_for(&self, incident: &Incident) -> bool {
        let Some((ticket, _)) = self.ticket_of(incident) else { return false };
        self.incidents_of(&incident.subject).any(|other| {
            other.id != incident.id
                && !other.is_resolved()
                && self.ticket_of(other).is_some_and(|(of, _)| of == ticket)
                && is_spoken_for(incident, other, self.now)
        })
    }

    fn ticket_of(&self, incident: &Incident) -> Option<(Arc<str>, u16)> {
        self.setup.rules.get(&incident.rule).and_then(|rule| rule.ticket.clone())
    }

    /// What else is wrong with the case, for the text of the one that speaks.
    fn note_others(&mut self, lead: Id) {
        let same = |id: &Id| self.is_of_one_case(*id, lead);
        let children = self.folded_under(lead).filter(same).filter_map(|id| self.incidents.get(&id));
        let titles: Vec<&str> =
            children.filter_map(|i| self.setup.rules.get(&i.rule)).map(|rule| rule.title.as_str()).collect();
        let also = titles.join("、");
        let known = self.incidents.get(&lead).and_then(|i| i.facts.get("also"));
        if known.map_or("", String::as_str) != also {
            self.edit(lead, |incident| drop(incident.facts.insert("also".into(), also)));
        }
    }

    /// A folded or folding incident changed.
    pub(super) fn look_at_folds(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        let known = self.outbox.parent_of.get(&id).copied();
        if incident.is_resolved() {
            let gone = incident.level;
            let source = incident.subject.id.clone();
            if let Some(parent) = self.unnote_fold(id) {
                if let Some(storm) = self.outbox.storms.get_mut(&parent) {
                    storm.gone(gone);
                    self.touch(Table::Alerting, Alerting::storm_key(parent));
                }
                self.arm_storm(parent);
            }
            // Opened again it is nobody's child until it is taken in anew: the parent may be over by then.
            if self.incidents.get(&id).is_some_and(|i| i.folded.is_some()) {
                self.edit(id, |incident| incident.folded = None);
            }
            if self.outbox.blind.get(&source) == Some(&id) {
                self.outbox.blind.remove(&source);
            }
            if self.storm_is_on(id) {
                self.end_storm(id);
            } else if self.outbox.folds.contains_key(&id) {
                self.release_children(id, Speak::InDigest);
                self.look_at_ticket(id);
            }
            return;
        }
        let Some(parent) = incident.folded else {
            if known.is_some() {
                self.unnote_fold(id);
            }
            return;
        };
        let lead = self.incidents.get(&parent).filter(|_| self.is_of_one_case(id, parent));
        let alone = match lead {
            Some(lead) => !is_spoken_for(incident, lead, self.now),
            None => stands_out(incident, self.now),
        };
        if alone {
            self.unnote_fold(id);
            self.unfold(id, Speak::Itself);
            return;
        }
        // A source that can be read again gives its tickets back one by one.
        if !incident.unverified && self.outbox.blind.values().any(|blind| *blind == parent) {
            self.unnote_fold(id);
            self.unfold(id, Speak::InDigest);
            return;
        }
        self.note_fold(id, parent);
        self.level_of_parent(id, parent);
        self.arm_storm(parent);
    }
}
