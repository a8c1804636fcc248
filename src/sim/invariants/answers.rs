//! What people answer is binding, and no grave: I12–I18.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::duty::Role;
use crate::core::ids::Id;
use crate::core::model::{
    Class, Incident, Lane, Message, MessageState, NoticeState, PersonId, Purpose, Status,
};
use crate::core::time::{Instant, Span};

use super::Step;
use crate::sim::trace::{Trace, What};

fn waits(message: &Message) -> bool {
    matches!(
        message.state,
        MessageState::Held | MessageState::Ready | MessageState::Deferred | MessageState::RetryWait
    )
}

/// What may still be said of an incident that somebody has, or that is over.
fn is_afterword(purpose: Purpose) -> bool {
    matches!(purpose, Purpose::Cleared | Purpose::Corrected | Purpose::StormOver)
}

/// The incidents that are why a message still waits: those of its open notices.
fn needed_by<'s>(
    step: &'s Step<'_>,
    message: &'s Message,
) -> impl Iterator<Item = (Purpose, Class, &'s Incident)> {
    step.kept
        .served(message)
        .filter(|n| matches!(n.state, NoticeState::Open | NoticeState::Dead))
        .filter_map(|n| step.kept.incidents.get(&n.incident).map(|i| (n.purpose, n.priority, &**i)))
}

/// Ack stops escalation: no timer raises an acked incident, nothing of it waits, nothing of it is claimed.
pub fn i12(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in &step.commit.incidents {
        let Some(after) = &change.after else { continue };
        for (rule, moved) in step.commit.moves(after.id) {
            if moved.starts_with("acked") && matches!(rule, "R4" | "R5" | "R6" | "R7") {
                found.push(format!("incident {} is acked, and {rule} moves it: {moved}", after.id.short()));
            }
        }
    }
    let looked_at = step.commit.messages.iter().filter_map(|c| c.after.as_ref());
    for message in looked_at {
        let claimed = message.state == MessageState::Inflight
            && step
                .commit
                .attempts
                .iter()
                .any(|c| c.before.is_none() && c.after.as_ref().is_some_and(|a| a.message == message.id));
        if !waits(message) && !claimed {
            continue;
        }
        // That a silence ends is told of the silence, to whoever asked for it (§8.4), whoever has what it covers.
        let mut needed = needed_by(step, message)
            .filter(|(purpose, class, _)| !is_afterword(*purpose) && *class != Class::P3)
            .filter(|(purpose, ..)| *purpose != Purpose::SilenceEnding)
            .peekable();
        if needed.peek().is_some()
            && needed.all(|(_, _, i)| {
                i.status == Status::Acked && i.acked_at.is_some_and(|at| at >= message.planned_at)
            })
        {
            let (id, state) = (message.id.short(), message.state.word());
            found.push(format!("message {id} is {state}, and everything it is about is acked"));
        }
    }
    found
}

/// Nobody loses what was confirmed to be theirs without a rule that says why.
pub fn i13(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in &step.commit.incidents {
        let (Some(before), Some(after)) = (&change.before, &change.after) else { continue };
        let lost = before.status == Status::Acked
            && (after.status != Status::Acked || after.acked_by != before.acked_by);
        if lost && step.commit.moves(after.id).next().is_none() {
            found.push(format!("the ack of incident {} is gone, and no rule says why", after.id.short()));
        }
    }
    found
}

/// Where an ack or a snooze at an instant has to end at the latest.
fn latest(step: &Step<'_>, incident: &Incident, from: Instant, span: Span) -> Instant {
    // Once it has passed only the span counts (§2.1).
    let ahead = incident.hard_deadline.filter(|hard| *hard > from && *hard > step.at);
    let guard = ahead.map(|hard| {
        let half = Span::from_millis(hard.since(from).as_millis() / 2);
        hard - step.setup.config.deadline_guard.min(half)
    });
    (from + span).min(guard.unwrap_or(Instant::MAX))
}

/// No ack holds beyond its lease, the shift of who has it, and the hard deadline less its guard.
pub fn i14(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in &step.commit.incidents {
        let Some(incident) = change.after.as_ref().filter(|i| i.status == Status::Acked) else { continue };
        let id = incident.id.short();
        let (Some(at), Some(until), Some(_)) = (incident.acked_at, incident.ack_until, &incident.acked_by)
        else {
            found.push(format!("incident {id} is acked, and not by anybody until anything"));
            continue;
        };
        if until < step.at {
            found.push(format!("the ack of incident {id} was over at {until}"));
        }
        let lease = step.setup.config.of_family(&incident.family).ack_lease;
        let leases = if incident.ack_extended { 2 } else { 1 };
        let most = latest(step, incident, at, lease.times(leases));
        // A deadline that has come nearer since leaves what was granted before as it is until it is heard of.
        let set = change
            .before
            .as_ref()
            .is_none_or(|b| b.ack_until != incident.ack_until || b.hard_deadline != incident.hard_deadline);
        if set && until > most {
            found.push(format!("the ack of incident {id} holds until {until}, beyond {most}"));
        }
    }
    // Whatever moves a shift, moves the acks that end with it.
    let roster = &step.setup.roster;
    for incident in step.kept.unresolved().filter(|i| i.status == Status::Acked) {
        let (Some(person), Some(until)) = (&incident.acked_by, incident.ack_until) else { continue };
        let at = if roster.is_on_duty(person, step.at) { Some(step.at) } else { incident.acked_at };
        if let Some(end) = at.and_then(|at| roster.shift_end(person, at))
            && until > end.max(step.at)
        {
            let id = incident.id.short();
            found.push(format!("the ack of incident {id} holds until {until}, beyond the shift until {end}"));
        }
    }
    for incident in step.kept.unresolved().filter(|i| i.status == Status::Acked) {
        if incident.ack_until.is_some_and(|until| until + Span::from_secs(2) < step.at) {
            found.push(format!("the ack of incident {} is over and nothing happens", incident.id.short()));
        }
    }
    found
}

/// No snooze holds beyond its bound.
pub fn i15(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in &step.commit.incidents {
        let Some(incident) = change.after.as_ref().filter(|i| i.status == Status::Snoozed) else { continue };
        let Some(until) = incident.snooze_until else {
            found.push(format!("incident {} is snoozed for ever", incident.id.short()));
            continue;
        };
        if change.before.as_ref().is_some_and(|b| b.snooze_until == incident.snooze_until) {
            continue;
        }
        let most = latest(step, incident, step.at, step.setup.config.of_family(&incident.family).snooze_max);
        if until > most {
            found.push(format!("incident {} is snoozed until {until}, beyond {most}", incident.id.short()));
        }
    }
    for incident in step.kept.unresolved().filter(|i| i.status == Status::Snoozed) {
        if incident.snooze_until.is_some_and(|until| until + Span::from_secs(2) < step.at) {
            found.push(format!("the snooze of incident {} is over and nothing happens", incident.id.short()));
        }
    }
    found
}

/// After a resolve nothing but "cleared" is claimed.
pub fn i16(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in step.commit.attempts.iter().filter(|c| c.before.is_none()) {
        let Some(attempt) = &change.after else { continue };
        let Some(message) = step.kept.messages.get(&attempt.message) else { continue };
        let mut needed = step.kept.served(message).peekable();
        if needed.peek().is_none() {
            continue;
        }
        let pointless = needed.all(|n| {
            let Some(incident) = step.kept.incidents.get(&n.incident) else { return false };
            let over =
                incident.is_resolved() && incident.resolved_at.is_some_and(|at| at <= attempt.claimed_at);
            (over || n.episode < incident.episode) && !is_afterword(n.purpose)
        });
        if pointless {
            found.push(format!(
                "message {} was claimed, and everything it is about is over",
                message.id.short()
            ));
        }
    }
    found
}

/// "Cleared" goes once, to those who were told, where they were told, after everything before it.
pub fn i17(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut notices: BTreeMap<Id, std::sync::Arc<crate::core::model::Notice>> = BTreeMap::new();
    let mut messages: BTreeMap<Id, std::sync::Arc<Message>> = BTreeMap::new();
    // Lanes on which the provider has taken something of an incident.
    let mut told: BTreeSet<(Id, Lane)> = BTreeSet::new();
    let mut cleared: BTreeMap<(Id, u32, Lane, PersonId), Id> = BTreeMap::new();
    let mut open: BTreeMap<(Id, Lane, PersonId), BTreeSet<Id>> = BTreeMap::new();
    let mut waits_for: BTreeMap<Id, Vec<(Id, Lane, PersonId)>> = BTreeMap::new();
    for (n, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Kept(commit) => {
                for notice in commit.notices.iter().filter_map(|c| c.after.as_ref()) {
                    notices.insert(notice.id, notice.clone());
                }
                for message in commit.messages.iter().filter_map(|c| c.after.as_ref()) {
                    messages.insert(message.id, message.clone());
                    for key in waits_for.remove(&message.id).unwrap_or_default() {
                        open.entry(key).or_default().remove(&message.id);
                    }
                    if message.state.is_terminal() || message.state == MessageState::Accepted {
                        continue;
                    }
                    for notice in message.notices.iter().filter_map(|id| notices.get(id)) {
                        let key = (notice.incident, message.to.lane.clone(), message.to.person.clone());
                        open.entry(key.clone()).or_default().insert(message.id);
                        waits_for.entry(message.id).or_default().push(key);
                    }
                }
            }
            What::Sent { claim, taken: true, .. } => {
                let Some(message) = messages.get(&claim.message) else { continue };
                for notice in message.notices.iter().filter_map(|id| notices.get(id)) {
                    let lane = (notice.incident, claim.to.lane.clone());
                    if notice.purpose != Purpose::Cleared {
                        told.insert(lane);
                        continue;
                    }
                    let id = notice.incident.short();
                    if !told.contains(&lane) {
                        found.push((
                            n,
                            format!("incident {id}: cleared to {}, who was not told there", claim.to.person),
                        ));
                    }
                    let key =
                        (notice.incident, notice.episode, claim.to.lane.clone(), claim.to.person.clone());
                    if *cleared.entry(key).or_insert(claim.message) != claim.message {
                        found.push((n, format!("incident {id}: cleared twice to {}", claim.to.person)));
                    }
                    if claim.attempt > 1 {
                        continue;
                    }
                    let of = (notice.incident, claim.to.lane.clone(), claim.to.person.clone());
                    let earlier = open.get(&of).into_iter().flatten().any(|other| {
                        *other != claim.message
                            && messages.get(other).is_some_and(|m| m.seq < message.seq && m.attempts > 0)
                    });
                    if earlier {
                        found.push((
                            n,
                            format!("incident {id}: cleared before what was said earlier is over"),
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Of the audiences of the levels that time skipped in this commit, those that nobody tells.
fn skipped(step: &Step<'_>, before: Option<&Incident>, after: &Incident) -> Option<u8> {
    let id = after.id.to_string();
    let by_time = step.commit.audit.iter().filter(|a| {
        let of = a.incident.as_deref() == Some(&*id) && a.kind == "incident.R4";
        of && a.cause.as_deref() == Some("time")
    });
    let same = before.is_none_or(|b| b.episode == after.episode);
    // What rose while it was folded or silenced comes back at the level it is at (R24, R26).
    let was_kept_back =
        step.commit.says("incident.R23", after.id) || step.commit.says("incident.R25", after.id);
    let kept_back = was_kept_back
        || after.owed
        || after.folded.is_some()
        || after.silenced.is_some()
        || after.storm.is_some();
    if by_time.count() < 2 || !same || kept_back || after.status != Status::Open {
        return None;
    }
    let roster = &step.setup.roster;
    // Whom every lane refuses is not reachable, and not asked (§7.2, S09).
    let reachable = |p: &PersonId| step.kept.is_reachable(roster, p);
    let told = |p: &PersonId| {
        let told = after.told.contains_key(p) || after.audience.contains(p);
        told || step.kept.notices_of(after.id).any(|n| n.episode == after.episode && n.audience.contains(p))
    };
    (before.map_or(0, |b| b.level) + 1..after.level).find(|level| {
        let owner =
            after.owner.iter().filter(|p| *level == 1 && roster.is_on_duty(p, step.at) && reachable(p));
        let mut asked: Vec<&PersonId> = owner.collect();
        if asked.is_empty() {
            let there = roster.on_duty(Role::of_level(*level), Some(&after.team), step.at);
            asked = there.filter(|p| reachable(p)).collect();
        }
        // Where nobody of the team can be reached any more, the sister team stands in (§7.2).
        let mut stand_ins = roster.on_duty(Role::of_level(*level), None, step.at);
        !asked.is_empty() && !asked.into_iter().any(told) && !stand_ins.any(told)
    })
}

/// Levels only rise inside an episode, episodes and steps only rise; whom time skipped is told all the same.
pub fn i18(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in &step.commit.incidents {
        let Some(after) = &change.after else { continue };
        if let Some(level) = skipped(step, change.before.as_deref(), after) {
            let id = after.id.short();
            found.push(format!("incident {id}: time skipped level {level}, and nobody of it is told"));
        }
    }
    for change in &step.commit.incidents {
        let (Some(before), Some(after)) = (&change.before, &change.after) else { continue };
        if (after.episode, after.level) < (before.episode, before.level) {
            let (from, to) = ((before.episode, before.level), (after.episode, after.level));
            found.push(format!("incident {} fell from {from:?} to {to:?}", after.id.short()));
        }
        if after.step < before.step || after.version <= before.version && **before != **after {
            found.push(format!("incident {} counts backwards", after.id.short()));
        }
    }
    found
}
