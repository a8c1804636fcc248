//! What is kept, and what is said of it: I43–I45, I47, I49, I50.

use crate::core::model::{MessageState, NoticeState};

use super::Step;
use crate::sim::trace::{Trace, What};

/// Status and level of every incident follow from the audit alone.
pub fn i43(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for incident in step.kept.incidents.values() {
        let is = format!("{} L{}", incident.status.word(), incident.level);
        let told = step.kept.replayed.get(&incident.id.to_string());
        if told.is_some_and(|told| *told != is) || told.is_none() {
            found.push(format!("incident {} is {is}, the audit says {told:?}", incident.id.short()));
        }
    }
    found
}

/// No name, number or address in clear in the audit, and none of a buyer in a body.
pub fn i44(trace: &Trace, secrets: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let buyers = ["13912345678", "欧阳锋之"];
    for (n, event) in trace.events.iter().enumerate() {
        match &event.what {
            What::Kept(commit) => {
                for record in &commit.audit {
                    let text = serde_json::to_string(record).unwrap_or_default();
                    let clear = secrets.iter().map(String::as_str).chain(buyers).find(|s| text.contains(*s));
                    if clear.is_some() {
                        found.push((n, format!("the audit shows an address in clear: {}", record.kind)));
                    }
                }
            }
            What::Sent { claim, .. } if buyers.iter().any(|b| claim.body.text.contains(b)) => {
                found.push((n, format!("the body of message {} shows a buyer", claim.message.short())));
            }
            _ => {}
        }
    }
    found
}

/// The installation's key is nowhere.
pub fn i45(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    // Seven, thirty-two times: as hexadecimal, and as a list of numbers.
    let key = ["07".repeat(8), "7,7,7,7,7,7,7,7".to_owned()];
    let mut found = Vec::new();
    for (n, event) in trace.events.iter().enumerate() {
        let texts: Vec<String> = match &event.what {
            What::Kept(commit) => {
                commit.audit.iter().map(|a| serde_json::to_string(a).unwrap_or_default()).collect()
            }
            What::Sent { claim, .. } => vec![claim.body.text.clone(), claim.key.clone()],
            _ => continue,
        };
        if texts.iter().any(|text| key.iter().any(|key| text.contains(&**key))) {
            found.push((n, "a text shows the key".to_owned()));
        }
    }
    found
}

/// Planned = delivered + accepted_final + obsolete + dead + open: every notice was planned once, and settled once
/// exactly when it is not open.
pub fn i47(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for notice in step.kept.notices.values() {
        let (planned, settled) = step.kept.told.get(&notice.id.to_string()).copied().unwrap_or_default();
        let over = u32::from(notice.state != NoticeState::Open);
        if planned != 1 || settled != over {
            let (id, state) = (notice.id.short(), notice.state.word());
            found
                .push(format!("notice {id} is {state}, planned {planned} times and settled {settled} times"));
        }
    }
    for notice in step.kept.told.keys() {
        if !notice.is_empty() && notice.parse().is_ok_and(|id| !step.kept.notices.contains_key(&id)) {
            found.push(format!("notice {} was planned and is gone", &notice[..6]));
        }
    }
    found
}

/// A reload touches no attempt under way, and loses no message.
pub fn i49(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if !step.commit.audit.iter().any(|a| a.kind == "config.reloaded") {
        return found;
    }
    for change in &step.commit.messages {
        let Some(before) = &change.before else { continue };
        let Some(after) = &change.after else {
            found.push(format!("message {} is gone with a reload", before.id.short()));
            continue;
        };
        let ended =
            step.commit.attempts.iter().filter_map(|c| c.after.as_ref()).any(|a| a.message == after.id);
        if before.state == MessageState::Inflight && after.state != before.state && !ended {
            found.push(format!(
                "message {} was under way, and a reload made it {}",
                after.id.short(),
                after.state.word()
            ));
        }
    }
    found
}

/// Nothing that waits depends on a channel, a rule, a team or a person that is gone.
pub fn i50(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for message in step.kept.alive() {
        let waits = matches!(
            message.state,
            MessageState::Held | MessageState::Ready | MessageState::Deferred | MessageState::RetryWait
        );
        if !waits {
            continue;
        }
        let id = message.id.short();
        if !step.setup.channels.contains_key(&message.to.lane.channel) {
            found.push(format!("message {id} waits for channel {}, which is gone", message.to.lane.channel));
        }
        if !step.setup.roster.people.contains_key(&message.to.person) {
            found.push(format!("message {id} waits for {}, who is gone", message.to.person));
        }
        let needed = step
            .kept
            .served(message)
            .any(|n| matches!(n.state, NoticeState::Open | NoticeState::Dead | NoticeState::AcceptedFinal));
        if !needed {
            found.push(format!("message {id} is {} and serves nobody", message.state.word()));
        }
    }
    for incident in step.kept.incidents.values().filter(|i| !i.is_resolved()) {
        let id = incident.id.short();
        if !step.setup.roster.teams.contains_key(&incident.team) {
            found.push(format!("incident {id} is of team {}, which is gone", incident.team));
        }
        let of_clock = incident.cycle.is_some() && incident.storm.is_none();
        if of_clock && !step.policy.clock.iter().any(|c| *c.name == *incident.rule) {
            found.push(format!("incident {id} is of rule {}, which is gone", incident.rule));
        }
    }
    found
}
