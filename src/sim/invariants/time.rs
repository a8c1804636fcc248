//! In time: I27, I31, I32, I40, I41.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ids::Id;
use crate::core::model::{
    Attempt, ChannelClass, Message, MessageState, OutcomeClass, PersonId, Purpose, Status,
};
use crate::core::time::{Instant, Span};

use super::Step;
use super::storms::breaks_out;
use crate::sim::trace::{Trace, What};

const LATE: Span = Span::from_secs(2);
const REDIAL: Span = Span::from_secs(30);

/// No notice waits in a group for longer than its window.
pub fn i27(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let group = &step.setup.config.group;
    for message in step.kept.alive().filter(|m| m.state == MessageState::Held) {
        let wait = step.kept.served(message).map(|notice| match notice.purpose {
            // A storm's first message waits for the rest of its page (§8.2) …
            Purpose::StormOpened => group.wait.p1,
            // … and break-outs beyond the tenth for one another.
            _ if notice.remark.is_some() && breaks_out(step, notice.incident) => Span::MINUTE,
            _ => group.wait.of(notice.priority),
        });
        let mut wait = wait.max().unwrap_or(Span::ZERO);
        if message.to.class == ChannelClass::Voice {
            // Whoever did not answer is called again.
            wait = wait.max(REDIAL);
        }
        let late = message.planned_at + wait + LATE < step.at
            || message.wake_at.is_some_and(|at| at + LATE < step.at);
        if late {
            found.push(format!("message {} is held since {}", message.id.short(), message.planned_at));
        }
    }
    found
}

/// Nothing waits beyond its end.
pub fn i31(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for message in step.kept.alive() {
        let waits = matches!(
            message.state,
            MessageState::Held | MessageState::Ready | MessageState::Deferred | MessageState::RetryWait
        );
        if waits && message.expires_at + LATE < step.at {
            let (id, state) = (message.id.short(), message.state.word());
            found.push(format!("message {id} is {state} beyond its end at {}", message.expires_at));
        }
    }
    found
}

/// A lane that has had nothing for an hour, on a channel without a failure for an hour, has a token and no breaker:
/// anywhere else a message may wait.
fn may_wait(step: &Step<'_>, message: &Message) -> bool {
    let lately = step.at - Span::HOUR;
    let of_channel = || {
        step.kept
            .attempts
            .values()
            .filter(|a| a.claimed_at >= lately || a.ended_at.is_some_and(|at| at >= lately))
            .filter_map(|a| {
                let sent = step.kept.messages.get(&a.message)?;
                (sent.to.lane.channel == message.to.lane.channel).then_some((a, sent))
            })
    };
    let fails = |a: &Attempt| a.outcome.as_ref().is_some_and(|o| o.class != OutcomeClass::Accepted);
    let behind = || {
        step.kept
            .alive()
            .any(|m| m.state == MessageState::Deferred && m.to.lane.channel == message.to.lane.channel)
    };
    of_channel().any(|(a, sent)| fails(a) || sent.to.lane == message.to.lane)
        || of_channel().filter(|(a, _)| a.claimed_at + Span::MINUTE >= step.at).count() >= 20
        || behind()
}

/// Whatever is ready leaves in the same step, if its channel has room: nobody waits for a slow or poisoned other one.
pub fn i32(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for message in step.commit.messages.iter().filter_map(|c| c.after.as_ref()) {
        if message.state != MessageState::Ready {
            continue;
        }
        let room = step.room.get(&message.to.lane.channel).copied().unwrap_or(0);
        let under_way = step
            .kept
            .alive()
            .filter(|m| m.state == MessageState::Inflight && m.to.lane.channel == message.to.lane.channel)
            .count();
        let card = step.setup.channels.get(&message.to.lane.channel);
        let free = card.is_some_and(|card| under_way < usize::from(card.max_inflight.min(room)));
        if free && !may_wait(step, message) {
            found.push(format!(
                "message {} is ready, and {} has room",
                message.id.short(),
                message.to.lane.channel
            ));
        }
    }
    found
}

/// No timer is skipped: after a step, none is due any more.
pub fn i40(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for incident in step.kept.awake() {
        let due = match incident.status {
            Status::Open => incident.next_level_at,
            Status::Resolved => incident.cleared_at,
            Status::Acked | Status::Snoozed => None,
        };
        if due.is_some_and(|at| at + LATE < step.at) {
            let (id, status) = (incident.id.short(), incident.status.word());
            found.push(format!("incident {id} is {status}, and its timer of {due:?} was skipped"));
        }
    }
    // And none fires twice: a notice is planned once.
    for (notice, (planned, _)) in step.commit.audit.iter().filter_map(|a| {
        let id = a.notice.as_ref().filter(|_| a.kind == "notice.planned")?;
        Some((id, step.kept.told.get(id)?))
    }) {
        if *planned > 1 {
            found.push(format!("notice {} was planned {planned} times", &notice[..6]));
        }
    }
    found
}

/// After a downtime: one digest for each person, lane and team, beside what is named by itself.
pub fn i41(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut window: Option<(Instant, Instant)> = None;
    let mut incidents: BTreeMap<Id, (bool, Option<Instant>)> = BTreeMap::new();
    let mut notices: BTreeMap<Id, (Id, String, &'static str, Instant)> = BTreeMap::new();
    let mut serves: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    let mut digests: BTreeMap<(PersonId, String, String), BTreeSet<Id>> = BTreeMap::new();
    for (n, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Started { down, setup, .. } => {
                digests.clear();
                let long = *down > setup.config.catch_up_after;
                window = long.then(|| (event.at, event.at + Span::from_secs(15)));
            }
            What::Reloaded { .. } | What::Died { .. } | What::Rebuilt => window = None,
            What::Kept(commit) => {
                for incident in commit.incidents.iter().filter_map(|c| c.after.as_ref()) {
                    let named = incident.vip || incident.legal || incident.storm.is_some();
                    incidents.insert(incident.id, (named, incident.hard_deadline));
                }
                for notice in commit.notices.iter().filter_map(|c| c.after.as_ref()) {
                    let facts =
                        (notice.incident, notice.team.to_string(), notice.purpose.word(), notice.planned_at);
                    notices.insert(notice.id, facts);
                }
                for message in commit.messages.iter().filter_map(|c| c.after.as_ref()) {
                    serves.insert(message.id, message.notices.clone());
                }
            }
            What::Sent { claim, .. } => {
                let Some((from, to)) = window else { continue };
                if event.at > to || claim.attempt > 1 {
                    continue;
                }
                for id in serves.get(&claim.message).into_iter().flatten() {
                    let Some((incident, team, purpose, planned)) = notices.get(id) else { continue };
                    let (named, hard) = incidents.get(incident).copied().unwrap_or_default();
                    let soon = hard.is_some_and(|at| at <= event.at + Span::from_minutes(5));
                    if *purpose != "digest" || *planned < from || named || soon {
                        continue;
                    }
                    let key = (claim.to.person.clone(), claim.to.lane.channel.to_string(), team.clone());
                    let sent = digests.entry(key).or_default();
                    sent.insert(claim.message);
                    if sent.len() > 1 {
                        let person = &claim.to.person;
                        found.push((
                            n,
                            format!("{person} gets {} digests of team {team} after a downtime", sent.len()),
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    found
}
