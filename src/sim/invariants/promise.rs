//! Nothing goes unheard: I1–I7.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ids::Id;
use crate::core::model::{Cause, Class, Incident, MessageState, NoticeState, Status};
use crate::core::time::{Instant, Span};

use super::Step;
use crate::sim::trace::{Trace, What};

/// Nothing is to be said of it at present, for a reason that is kept.
fn kept_back(incident: &Incident) -> bool {
    incident.folded.is_some() || incident.silenced.is_some() || incident.owed
}

/// Every unresolved, unsilenced, unfolded incident at level 1 or above has a notice for that level, or the local alarm.
pub fn i1(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for incident in step.kept.incidents.values() {
        if let Some(silence) = incident.silenced.filter(|s| !step.kept.silences.contains_key(s))
            && !incident.is_resolved()
        {
            let (id, silence) = (incident.id.short(), silence.short());
            found.push(format!("incident {id} is silenced by {silence}, which is over"));
        }
        // What was folded or silenced until somebody took it or put it off has no notice, and needs none (§9.3, I25).
        let open = match incident.status {
            Status::Open => true,
            Status::Acked | Status::Snoozed => !step.kept.kept_back.contains(&incident.id),
            Status::Resolved => false,
        };
        if !open || incident.level == 0 || kept_back(incident) || incident.storm.is_some() {
            continue;
        }
        // Who takes it in the step in which its level rises has heard of the level before.
        let level = if incident.status == Status::Open { incident.level } else { 1 };
        let told =
            step.kept.notices_of(incident.id).any(|n| n.episode == incident.episode && n.level >= level);
        if !told && !step.kept.alarmed.contains(&incident.id.to_string()) {
            found.push(format!(
                "incident {} of {} is {} at level {} and nobody was told",
                incident.id.short(),
                incident.subject.id,
                incident.status.word(),
                incident.level
            ));
        }
    }
    found
}

/// Every notice of level 1 or above is discharged, obsolete with a cause, or dead within its bound and 2 s in which the
/// process was there. A bound is a timeout, which belongs to the elapsed clock (§3): what a step forth of the business
/// clock skips is not a part of it, and neither is the time in which that clock waits for the truth (T3). A process that
/// died has counted up to its last commit, and the next one goes on from there.
pub fn i2(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    const LATE: Span = Span::from_secs(2);
    let mut found = Vec::new();
    let bound =
        |class: Class, setup: &crate::core::alerting::Setup| setup.config.send.discharge_bound.of(class);
    let mut open: BTreeMap<Id, (Instant, Span)> = BTreeMap::new();
    let mut setup = None;
    let mut up = false;
    let mut since = Span::ZERO;
    // What both clocks have counted.
    let (mut lived, mut last) = (Span::ZERO, None);
    let (mut kept, mut died) = ((Span::ZERO, Instant::MIN), false);
    for (n, event) in trace.events.iter().enumerate() {
        if let Some((elapsed, at)) = last.replace((event.elapsed, event.at)) {
            lived += event.elapsed.less(elapsed).min(event.at.since(at));
        }
        match &event.what {
            What::Started { setup: now, .. } => {
                (setup, up, since) = (Some(now.clone()), true, event.elapsed);
                if std::mem::take(&mut died) {
                    lived = lived.min(kept.0 + event.at.since(kept.1));
                }
            }
            What::Reloaded { setup: now, .. } => setup = Some(now.clone()),
            What::Died { .. } => (up, died) = (false, true),
            What::Rebuilt => up = false,
            What::Kept(commit) => {
                kept = (lived, event.at);
                let Some(setup) = &setup else { continue };
                for change in &commit.notices {
                    let Some(notice) = &change.after else { continue };
                    if notice.state != NoticeState::Open {
                        open.remove(&notice.id);
                    } else if change.before.is_none() && notice.level >= 1 && notice.priority != Class::P3 {
                        open.insert(
                            notice.id,
                            (notice.planned_at, lived + bound(notice.priority, setup) + LATE),
                        );
                    }
                }
            }
            _ => {}
        }
        if up && event.elapsed.as_millis() - since.as_millis() > LATE.as_millis() {
            let late: Vec<Id> = open
                .iter()
                .filter(|(_, (_, until))| until.as_millis() < lived.as_millis())
                .map(|(id, _)| *id)
                .collect();
            for id in late {
                let planned = open.remove(&id).map(|(planned, _)| planned);
                found.push((n, format!("notice {} is open since {planned:?}, past its bound", id.short())));
            }
        }
    }
    found
}

/// Every dead notice has an incident `delivery.dead` on other lanes, or a local alarm.
pub fn i3(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let dead_letters: BTreeMap<&str, &Incident> = step
        .kept
        .incidents
        .values()
        .filter(|i| &*i.family == "delivery.dead")
        .map(|i| (&*i.generation, &**i))
        .collect();
    for notice in step.kept.notices.values().filter(|n| n.state == NoticeState::Dead) {
        let id = notice.id.to_string();
        let alarmed = step.kept.alarmed.contains(&notice.incident.to_string());
        let Some(letter) = dead_letters.get(&*id) else {
            if !alarmed {
                found.push(format!("notice {} is dead, and nobody was told of it", notice.id.short()));
            }
            continue;
        };
        let dead: BTreeSet<_> = notice.waves.iter().flatten().map(|r| &r.lane).collect();
        for told in step.kept.notices_of(letter.id) {
            let taken_along = || {
                let serves = step.kept.messages.values().filter(|m| m.notices.contains(&told.id));
                serves.filter(|m| m.attempts > 0).any(|m| dead.contains(&m.to.lane))
            };
            if told.waves.iter().flatten().any(|r| dead.contains(&r.lane)) || taken_along() {
                let (told, dead) = (told.id.short(), notice.id.short());
                found.push(format!("notice {told} tells of the dead notice {dead} on a lane that is dead"));
            }
        }
    }
    found
}

/// And that in the same commit.
pub fn i3_at_once(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in &step.commit.notices {
        let Some(notice) = change.after.as_ref().filter(|n| n.state == NoticeState::Dead) else { continue };
        if change.before.as_ref().is_some_and(|n| n.state == NoticeState::Dead) {
            continue;
        }
        let id = notice.id.to_string();
        let told =
            step.commit.incidents.iter().filter_map(|c| c.after.as_ref()).any(|i| *i.generation == *id);
        let known = step.kept.incidents.values().any(|i| *i.generation == *id);
        if !told && !known && !step.commit.says("alarm.local", notice.incident) {
            found.push(format!("notice {} died, and the commit tells nobody", notice.id.short()));
        }
    }
    found
}

fn ended_without_proof(state: MessageState) -> bool {
    state.is_terminal() && !matches!(state, MessageState::Delivered | MessageState::AcceptedFinal)
}

/// Every end without proof has a cause of the closed list, and the audit tells of each end once.
pub fn i4(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for notice in step.kept.notices.values() {
        let needs = matches!(notice.state, NoticeState::Obsolete | NoticeState::Dead);
        if needs && notice.cause.is_none() {
            found.push(format!("notice {} is {} without a cause", notice.id.short(), notice.state.word()));
        }
    }
    for message in step.kept.messages.values().filter(|m| m.state.is_terminal()) {
        if ended_without_proof(message.state) && message.cause.is_none() {
            found.push(format!("message {} is {} without a cause", message.id.short(), message.state.word()));
        }
        // A proof that comes after the end of the wait is an end of its own.
        let told = step.kept.ended.get(&message.id.to_string()).copied().unwrap_or(0);
        let most = if message.state == MessageState::Delivered { 2 } else { 1 };
        if told == 0 || told > most {
            let (id, state) = (message.id.short(), message.state.word());
            found.push(format!("message {id} is {state}, and the audit tells of {told} ends"));
        }
    }
    found
}

/// A message does not come back from its end, but for a proof that comes late.
pub fn i4_at_once(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in &step.commit.messages {
        let (Some(before), Some(after)) = (&change.before, &change.after) else { continue };
        let late = before.state == MessageState::AcceptedFinal && after.state == MessageState::Delivered;
        if before.state.is_terminal() && after.state != before.state && !late {
            let (from, to) = (before.state.word(), after.state.word());
            found.push(format!("message {} went from {from} to {to}", after.id.short()));
        }
        if after.cause.is_some_and(|c| !Cause::ALL.contains(&c)) {
            found.push(format!("message {} has a cause that is not in the list", after.id.short()));
        }
    }
    found
}

/// No byte leaves before its attempt is kept.
pub fn i5(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut kept: BTreeMap<(Id, u32), String> = BTreeMap::new();
    for (n, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Kept(commit) => {
                for attempt in commit.attempts.iter().filter_map(|c| c.after.as_ref()) {
                    kept.insert((attempt.message, attempt.n), attempt.body.text.clone());
                }
            }
            What::Sent { claim, .. } => match kept.get(&(claim.message, claim.attempt)) {
                Some(text) if *text == claim.body.text => {}
                Some(_) => {
                    found.push((n, format!("message {} left with another text", claim.message.short())))
                }
                None => found
                    .push((n, format!("message {} left before its attempt was kept", claim.message.short()))),
            },
            _ => {}
        }
    }
    found
}

/// No level without its notice in the same commit, no notice of a level that is not reached.
pub fn i6(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in &step.commit.incidents {
        let Some(after) = &change.after else { continue };
        let before = change.before.as_ref().map_or((0, 0), |b| (b.episode, b.level));
        let rose = before < (after.episode, after.level) && after.level >= 1;
        // What was acked, put off or closed again in the same step has no use for it any more.
        let open = after.status == Status::Open;
        if !rose || !open || kept_back(after) || after.storm.is_some() {
            continue;
        }
        let told = step
            .commit
            .notices
            .iter()
            .filter_map(|c| c.after.as_ref())
            .any(|n| n.incident == after.id && n.episode == after.episode && n.level >= after.level);
        if !told && !step.commit.says("alarm.local", after.id) {
            found.push(format!(
                "incident {} rose to level {} without a notice",
                after.id.short(),
                after.level
            ));
        }
    }
    for change in step.commit.notices.iter().filter(|c| c.before.is_none()) {
        let Some(notice) = &change.after else { continue };
        let fits = step
            .kept
            .incidents
            .get(&notice.incident)
            .is_some_and(|i| notice.episode < i.episode || notice.level <= i.level);
        if !fits {
            let level = notice.level;
            found.push(format!("notice {} is of level {level}, which is not reached", notice.id.short()));
        }
    }
    found
}

/// No cursor passes a record of which nothing is kept.
pub fn i7(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, from, to) in &step.commit.cursors {
        let Some(source) = step.sources.iter().find(|s| s.name == name) else { continue };
        for observation in source.log.get(*from..*to).unwrap_or_default() {
            let row = format!("{name}\0{}\0{}", observation.kind, observation.id);
            if !step.kept.cases.contains(&row) {
                found.push(format!("{name} was read up to {to}, and nothing is kept of {}", observation.id));
            }
        }
    }
    found
}
