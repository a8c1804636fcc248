//! The right people: I20–I23.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::ids::Id;
use crate::core::model::{Incident, Message, Notice, Purpose};
use crate::core::time::Span;

use super::Step;
use crate::sim::trace::{Trace, What};

/// A level of which nobody can be told is left in the same step.
pub fn i20(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for record in step.commit.audit.iter().filter(|a| a.kind == "route.nobody") {
        let Some(id) = record.incident.as_deref().and_then(|id| id.parse::<Id>().ok()) else { continue };
        let Some(incident) = step.kept.incidents.get(&id) else { continue };
        let helped = incident.is_resolved()
            || incident.level == 0
            || incident.folded.is_some()
            || incident.silenced.is_some()
            || incident.owed
            || step.commit.says("alarm.local", id)
            || step
                .commit
                .notices
                .iter()
                .filter(|c| c.before.is_none())
                .filter_map(|c| c.after.as_ref())
                .any(|n| n.incident == id && n.level >= incident.level);
        if !helped {
            found.push(format!("incident {} found nobody, and nobody else was told", id.short()));
        }
    }
    found
}

/// Nobody off duty gets anything but the owner, the fallback list, admins, who has it, and "cleared" within 30 minutes.
pub fn i21(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut setup = None;
    let mut incidents: BTreeMap<Id, Arc<Incident>> = BTreeMap::new();
    let mut notices: BTreeMap<Id, Arc<Notice>> = BTreeMap::new();
    let mut messages: BTreeMap<Id, Arc<Message>> = BTreeMap::new();
    for (n, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Started { setup: now, .. } | What::Reloaded { setup: now, .. } => setup = Some(now.clone()),
            What::Kept(commit) => {
                for incident in commit.incidents.iter().filter_map(|c| c.after.as_ref()) {
                    incidents.insert(incident.id, incident.clone());
                }
                for notice in commit.notices.iter().filter_map(|c| c.after.as_ref()) {
                    notices.insert(notice.id, notice.clone());
                }
                for message in commit.messages.iter().filter_map(|c| c.after.as_ref()) {
                    messages.insert(message.id, message.clone());
                }
            }
            What::Sent { claim, .. } => {
                let Some(setup) = &setup else { continue };
                let person = &claim.to.person;
                let roster = &setup.roster;
                let always =
                    setup.config.fallback.iter().chain(&setup.config.admins).any(|p| **p == **person);
                if roster.is_on_duty(person, event.at) || always {
                    continue;
                }
                let Some(message) = messages.get(&claim.message) else { continue };
                let served: Vec<_> = message.notices.iter().filter_map(|id| notices.get(id)).collect();
                let near = roster
                    .off_since(person, event.at)
                    .is_some_and(|at| event.at <= at + Span::from_minutes(30));
                let allowed = served.iter().any(|notice| {
                    let own = notice.family.starts_with("system.")
                        || ["delivery.dead", "channel.down", "source.blind"].contains(&&*notice.family);
                    let concerned = incidents.get(&notice.incident).is_some_and(|i| {
                        i.owner.as_ref() == Some(person) || i.acked_by.as_ref() == Some(person)
                    });
                    let afterword =
                        matches!(notice.purpose, Purpose::Cleared | Purpose::Corrected | Purpose::StormOver);
                    // Whoever had it is told once that they have it no longer (R11, R17).
                    let handed = matches!(notice.purpose, Purpose::Rerouted | Purpose::AckLapsed);
                    own || concerned
                        || (afterword || handed) && near
                        || notice.purpose == Purpose::SilenceEnding
                });
                if !allowed {
                    let purposes: BTreeSet<&str> = served.iter().map(|n| n.purpose.word()).collect();
                    found.push((n, format!("{person} is off duty and gets {purposes:?}")));
                }
            }
            _ => {}
        }
    }
    found
}

/// Every claim looked at its incidents, the roster and the lane as they are.
pub fn i22(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in step.commit.attempts.iter().filter(|c| c.before.is_none()) {
        let Some(attempt) = &change.after else { continue };
        let id = attempt.message.short();
        let Some(message) = step.kept.messages.get(&attempt.message) else {
            found.push(format!("an attempt of message {id}, which is not kept"));
            continue;
        };
        if attempt.roster_revision != step.setup.roster.revision {
            found.push(format!("message {id} was claimed by an old roster"));
        }
        if !step.setup.channels.contains_key(&message.to.lane.channel) {
            found.push(format!("message {id} was claimed for a channel that is not there"));
        }
        if !step.setup.roster.people.contains_key(&message.to.person) {
            found.push(format!("message {id} was claimed for a person who is not there"));
        }
        for (incident, version) in &attempt.versions {
            let now = step.kept.incidents.get(incident);
            let of =
                step.commit.incidents.iter().find(|c| c.after.as_ref().is_some_and(|i| i.id == *incident));
            let before = of.and_then(|c| c.before.as_ref()).map(|i| i.version);
            let fits = now.is_none_or(|now| {
                *version <= now.version
                    && *version >= before.unwrap_or(if of.is_some() { 0 } else { now.version })
            });
            if !fits {
                found.push(format!("message {id} was claimed by an old version of {}", incident.short()));
            }
        }
        for notice in step.kept.served(message) {
            if attempt.versions.iter().all(|(incident, _)| *incident != notice.incident)
                && step.kept.incidents.contains_key(&notice.incident)
                && message.members.contains(&notice.incident)
            {
                found.push(format!("message {id} did not look at {}", notice.incident.short()));
            }
        }
    }
    found
}

/// Every notice has its decision in the same commit, and what is kept of it chooses the same people again.
pub fn i23(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in step.commit.notices.iter().filter(|c| c.before.is_none()) {
        let Some(notice) = &change.after else { continue };
        let id = notice.id.short();
        let Some(decision) = step.commit.decisions.iter().find(|d| d.notice == notice.id) else {
            found.push(format!("notice {id} has no decision in its commit"));
            continue;
        };
        if decision.question.choose() != decision.choice {
            found.push(format!("the decision of notice {id}, asked again, is another one"));
        }
        // Whoever went home in the same step is not of its audience any more.
        if let Some(person) = notice.audience.iter().find(|p| !decision.choice.audience.contains(p)) {
            found.push(format!("notice {id} is for {person}, whom its decision did not choose"));
        }
    }
    found
}
