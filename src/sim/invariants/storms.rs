//! One disaster, one message: I24–I26.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ids::Id;
use crate::core::model::{PersonId, Purpose};
use crate::core::time::{Instant, Span};

use super::Step;
use crate::sim::trace::{Trace, What};

/// One opening message and at most four messages in the first hour for each person, and ten break-outs in ten minutes.
pub fn i24(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut parents: BTreeMap<Id, Instant> = BTreeMap::new();
    let mut notices: BTreeMap<Id, (Id, Purpose, u32)> = BTreeMap::new();
    let mut serves: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    // What a person was told of a storm: purposes and steps.
    let mut told: BTreeMap<(Id, PersonId), BTreeSet<(&'static str, u32)>> = BTreeMap::new();
    for (n, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Kept(commit) => {
                for incident in commit.incidents.iter().filter_map(|c| c.after.as_ref()) {
                    if incident.storm.is_some() {
                        parents.entry(incident.id).or_insert(incident.opened_at);
                    }
                }
                for notice in commit.notices.iter().filter_map(|c| c.after.as_ref()) {
                    notices.insert(notice.id, (notice.incident, notice.purpose, notice.step));
                }
                for message in commit.messages.iter().filter_map(|c| c.after.as_ref()) {
                    serves.insert(message.id, message.notices.clone());
                }
            }
            What::Sent { claim, .. } => {
                for id in serves.get(&claim.message).into_iter().flatten() {
                    let Some((incident, purpose, step)) = notices.get(id) else { continue };
                    let Some(opened) = parents.get(incident) else { continue };
                    // What it was in all is said once more, whenever it ends (§8.2: "exit: 1 to told").
                    if event.at >= *opened + Span::HOUR || *purpose == Purpose::StormOver {
                        continue;
                    }
                    let told = told.entry((*incident, claim.to.person.clone())).or_default();
                    told.insert((purpose.word(), *step));
                    let openings = told.iter().filter(|(word, _)| *word == "storm_opened").count();
                    if openings > 1 || told.len() > 4 {
                        let words: Vec<_> = told.iter().collect();
                        let (storm, person) = (incident.short(), &claim.to.person);
                        found.push((
                            n,
                            format!("storm {storm}: {person} is told {words:?} in the first hour"),
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Whatever is folded has a parent that is on, and that is told.
pub fn i25(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for child in step.kept.incidents.values().filter(|i| !i.is_resolved()) {
        let Some(parent) = child.folded else { continue };
        let id = child.id.short();
        match step.kept.incidents.get(&parent) {
            None => found.push(format!("incident {id} is folded under nothing")),
            Some(parent) if parent.is_resolved() => {
                found.push(format!("incident {id} is folded under {}, which is over", parent.id.short()));
            }
            Some(parent) => {
                let told = step.kept.notices_of(parent.id).next().is_some()
                    || step.kept.alarmed.contains(&parent.id.to_string())
                    || parent.silenced.is_some()
                    || parent.owed;
                if !told {
                    found.push(format!("the parent {} of {id} was never told", parent.id.short()));
                }
            }
        }
    }
    found
}

/// VIP, legal and short deadlines are not folded.
pub fn i26(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in &step.commit.incidents {
        let Some(child) = change.after.as_ref().filter(|i| !i.is_resolved() && i.folded.is_some()) else {
            continue;
        };
        if child.vip || child.legal {
            found.push(format!("incident {} is folded, and of a VIP or legal", child.id.short()));
        }
    }
    for child in step.kept.unresolved().filter(|i| i.folded.is_some()) {
        let near = child.hard_deadline.is_some_and(|at| at + Span::from_secs(2) <= step.at + Span::HOUR);
        if near {
            found.push(format!("incident {} is folded within an hour of its deadline", child.id.short()));
        }
    }
    found
}
