//! How often, how many, and in which order: I8, I28–I30.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::ids::Id;
use crate::core::model::{ChannelClass, Class, DuplicateKey, Lane, Notice, OutcomeClass, Purpose};
use crate::core::time::{Instant, Span};

use crate::sim::trace::{Trace, What};

/// Copies that a person can see ≤ 1 + faults that hit an attempt under way; exactly one inside the horizon of a key.
pub fn i8(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    #[derive(Default)]
    struct Copies {
        seen: u32,
        faults: u32,
        first: Option<Span>,
        /// Attempts of which nothing is kept yet: what a death hits (W8–W10).
        under_way: BTreeSet<u32>,
    }
    let mut found = Vec::new();
    let mut all: BTreeMap<Id, Copies> = BTreeMap::new();
    for (n, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Sent { claim, key, seen, .. } => {
                let copies = all.entry(claim.message).or_default();
                copies.under_way.insert(claim.attempt);
                if *seen {
                    copies.seen += 1;
                    let first = *copies.first.get_or_insert(event.elapsed);
                    let age = Span::from_millis(event.elapsed.as_millis() - first.as_millis());
                    if let DuplicateKey::Strong { horizon } = key
                        && copies.seen > 1
                        && age < *horizon
                    {
                        found.push((
                            n,
                            format!("message {}: a second copy in spite of its key", claim.message.short()),
                        ));
                    }
                }
                if copies.seen > 1 + copies.faults {
                    let (seen, faults) = (copies.seen, copies.faults);
                    let id = claim.message.short();
                    found.push((n, format!("message {id}: {seen} copies after {faults} faults")));
                }
            }
            // An outcome that was answered and is not kept is lost with the process (W10).
            What::Kept(commit) => {
                for attempt in commit.attempts.iter().filter_map(|c| c.after.as_ref()) {
                    let Some(outcome) = &attempt.outcome else { continue };
                    let copies = all.entry(attempt.message).or_default();
                    let hit = copies.under_way.remove(&attempt.n) && outcome.class == OutcomeClass::Unknown;
                    copies.faults += u32::from(hit);
                }
            }
            What::Died { .. } | What::Rebuilt => {
                for copies in all.values_mut() {
                    copies.faults += u32::from(!copies.under_way.is_empty());
                    copies.under_way.clear();
                }
            }
            _ => {}
        }
    }
    found
}

fn rates(class: ChannelClass, setup: &crate::core::alerting::Setup) -> Vec<(u32, Span)> {
    let budget = &setup.config.budget;
    let rates = match class {
        ChannelClass::Sms => &budget.sms,
        ChannelClass::Voice => &budget.voice,
        ChannelClass::ChatRobot => &budget.chat_robot,
        ChannelClass::ChatApp => &budget.chat_app,
        ChannelClass::Email => &budget.email,
        ChannelClass::Webhook => &budget.webhook,
    };
    rates.iter().map(|r| (r.count, r.per)).collect()
}

/// When which attempts left.
type Sent = Vec<(Instant, (Id, u32))>;
/// The step that went by a lane last, and its message, by incident.
type Last = BTreeMap<(Id, Lane), ((u32, u32), Id)>;

/// No lane and no account gets more than its budget, but for what certainly was not sent.
pub fn i28(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut setup = None;
    let mut sent: BTreeMap<Lane, Sent> = BTreeMap::new();
    let mut accounts: BTreeMap<String, Sent> = BTreeMap::new();
    let mut last = (Span::ZERO, Instant::MIN);
    for (n, event) in trace.events.iter().enumerate() {
        // The clock was ahead and is right again (T3): what left meanwhile left as much earlier. By how much is told by
        // the counter: the last thing that happened may be a while ago.
        let (counted, at) = last;
        if at > event.at {
            let ahead = (at + event.elapsed.less(counted)).since(event.at);
            let times = sent.values_mut().chain(accounts.values_mut()).flatten();
            times.filter(|(at, _)| *at > event.at).for_each(|(at, _)| *at = *at - ahead);
        }
        last = (event.elapsed, event.at);
        match &event.what {
            What::Started { setup: now, .. } | What::Reloaded { setup: now, .. } => setup = Some(now.clone()),
            What::Came { message, attempt, class: OutcomeClass::NotSent } => {
                for times in sent.values_mut().chain(accounts.values_mut()) {
                    times.retain(|(_, of)| of != &(*message, *attempt));
                }
            }
            What::Sent { claim, .. } => {
                let Some(setup) = &setup else { continue };
                let Some(card) = setup.channels.get(&claim.to.lane.channel) else { continue };
                let of = (claim.message, claim.attempt);
                let lane = sent.entry(claim.to.lane.clone()).or_default();
                lane.push((event.at, of));
                let mut limits = rates(claim.to.class, setup);
                limits.extend(card.lane_caps.iter().map(|r| (r.count, r.per)));
                // Days go by the calendar.
                for (count, per) in limits.iter().filter(|(_, per)| *per < Span::DAY) {
                    let inside = lane.iter().rev().take_while(|(at, _)| *at + *per > event.at).count();
                    if inside > *count as usize {
                        let channel = &claim.to.lane.channel;
                        found.push((n, format!("{channel} to {}: {inside} in {per}", claim.to.person)));
                    }
                }
                let account = accounts.entry(claim.to.lane.channel.to_string()).or_default();
                account.push((event.at, of));
                for rate in &card.account_caps {
                    let inside = account.iter().rev().take_while(|(at, _)| *at + rate.per > event.at).count();
                    if inside > rate.count as usize {
                        found.push((n, format!("account of {}: {inside} in {}", card.name, rate.per)));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Of one incident, what is told on a lane is taken in the order of its steps, whoever it is for.
pub fn i29(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut notices: BTreeMap<Id, (Id, u32, u32)> = BTreeMap::new();
    let mut serves: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    let mut last: Last = BTreeMap::new();
    for (n, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Kept(commit) => {
                // What is said of a silence, or to try a way, is no step of the incident that it is told with.
                let steps = commit.notices.iter().filter_map(|c| c.after.as_ref());
                for notice in steps.filter(|n| !matches!(n.purpose, Purpose::SilenceEnding | Purpose::Canary))
                {
                    notices.insert(notice.id, (notice.incident, notice.episode, notice.step));
                }
                for message in commit.messages.iter().filter_map(|c| c.after.as_ref()) {
                    serves.insert(message.id, message.notices.clone());
                }
            }
            What::Sent { claim, taken: true, .. } => {
                let of = serves.get(&claim.message).into_iter().flatten().filter_map(|id| notices.get(id));
                let mut steps: BTreeMap<Id, (u32, u32)> = BTreeMap::new();
                for (incident, episode, step) in of {
                    let known = steps.entry(*incident).or_default();
                    *known = (*known).max((*episode, *step));
                }
                for (incident, step) in steps {
                    let key = (incident, claim.to.lane.clone());
                    if let Some((before, message)) = last.get(&key)
                        && *before > step
                        && *message != claim.message
                    {
                        let id = incident.short();
                        found.push((n, format!("incident {id}: step {step:?} left after step {before:?}")));
                    }
                    last.insert(key, (step, claim.message));
                }
            }
            _ => {}
        }
    }
    found
}

/// In one step a channel gets what is P0 first. What an SMS or a call takes along as it leaves (§8.1) changes no order.
pub fn i30(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut step: BTreeMap<String, Class> = BTreeMap::new();
    let mut notices: BTreeMap<Id, Arc<Notice>> = BTreeMap::new();
    let mut serves: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    for (n, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Kept(commit) => {
                step.clear();
                notices.extend(commit.notices.iter().filter_map(|c| c.after.clone()).map(|n| (n.id, n)));
                let messages = commit.messages.iter().filter_map(|c| c.after.as_ref());
                serves.extend(messages.map(|m| (m.id, m.notices.clone())));
            }
            What::Sent { claim, .. } => {
                let channel = claim.to.lane.channel.to_string();
                let gravest = step.entry(channel.clone()).or_insert(claim.priority);
                let served =
                    serves.get(&claim.message).into_iter().flatten().filter_map(|id| notices.get(id));
                let urgent: Vec<&Arc<Notice>> = served.filter(|n| n.priority == Class::P0).collect();
                let own = |n: &&Arc<Notice>| {
                    let mut started = n.waves.iter().take(n.started as usize).flatten();
                    started.any(|to| to.lane == claim.to.lane)
                };
                let along = !urgent.is_empty() && !urgent.iter().any(own);
                if claim.priority == Class::P0 && *gravest != Class::P0 && !along {
                    found.push((n, format!("{channel}: {} left before P0", gravest.word())));
                }
                *gravest = claim.priority.max(*gravest);
            }
            _ => {}
        }
    }
    found
}
