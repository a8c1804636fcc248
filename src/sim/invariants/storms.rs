//! One disaster, one message: I24–I26.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::core::ids::Id;
use crate::core::model::{Incident, MessageState, Notice, PersonId, Purpose};
use crate::core::time::{Instant, Span};

use super::Step;
use crate::sim::kept::Commit;
use crate::sim::trace::{Trace, What};

/// Break-outs of a storm that a person is told one by one in [`BREAK_OUT_WINDOW`].
const BREAK_OUTS: usize = 10;
const BREAK_OUT_WINDOW: Span = Span::from_minutes(10);
const LATE: Span = Span::from_secs(2);

/// One opening message and at most four messages in the first hour for each person, and ten break-outs in ten minutes.
pub fn i24(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    let mut found = talk(trace);
    let mut told: BTreeMap<(Id, PersonId, Instant), VecDeque<Instant>> = BTreeMap::new();
    let mut counted = BTreeSet::new();
    for out in break_outs(trace).into_iter().filter(|out| out.alone) {
        if !counted.insert((out.storm, out.person.clone(), out.incident, out.at)) {
            continue;
        }
        // What was before a step back of the clock is no longer at those instants.
        let told = told.entry((out.storm, out.person.clone(), out.since)).or_default();
        if lately(told, out.at) > BREAK_OUTS {
            let words = format!("{} hears of more than ten break-outs of {}", out.person, out.storm.short());
            found.push((out.event, words));
        }
    }
    found
}

/// What must not be folded is told by itself within the wait of the most urgent, but for what goes as a digest because
/// ten were told already.
pub fn i26_told(trace: &Trace, _: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut told: BTreeMap<(Id, PersonId), VecDeque<Instant>> = BTreeMap::new();
    let mut counted = BTreeSet::new();
    for out in break_outs(trace) {
        let told = told.entry((out.storm, out.person.clone())).or_default();
        if !out.held {
            // Several steps of one incident at once are one.
            if counted.insert((out.storm, out.person.clone(), out.incident, out.at)) {
                lately(told, out.at);
            }
            continue;
        }
        while told.front().is_some_and(|at| *at + BREAK_OUT_WINDOW <= out.at) {
            told.pop_front();
        }
        if out.named && out.at >= out.since + BREAK_OUT_WINDOW && told.len() < BREAK_OUTS {
            let (person, notice, n) = (&out.person, out.notice.short(), told.len());
            let words = format!("notice {notice} of a break-out waits, and {person} has heard of {n} others");
            found.push((out.event, words));
        }
    }
    found
}

/// One more at this instant: how many there were in the window that ends with it.
fn lately(told: &mut VecDeque<Instant>, at: Instant) -> usize {
    while told.front().is_some_and(|old| *old + BREAK_OUT_WINDOW <= at) {
        told.pop_front();
    }
    told.push_back(at);
    told.len()
}

/// An incident that is not folded under the storm it belongs to, as one person is told of it.
struct BreakOut {
    event: usize,
    at: Instant,
    /// The clock has not been set back since.
    since: Instant,
    storm: Id,
    person: PersonId,
    incident: Id,
    notice: Id,
    /// It is one that has to be named by itself.
    named: bool,
    /// Every message of it to that person waits for longer than the most urgent do.
    held: bool,
    /// It goes now, in a message of its own.
    alone: bool,
}

fn break_outs(trace: &Trace) -> Vec<BreakOut> {
    let mut found = Vec::new();
    let mut incidents: BTreeMap<Id, Arc<Incident>> = BTreeMap::new();
    let mut storms: BTreeSet<Id> = BTreeSet::new();
    let mut told: BTreeSet<(Id, PersonId)> = BTreeSet::new();
    let mut wait = Span::ZERO;
    let (mut since, mut last) = (Instant::from_secs(0), Instant::MIN);
    for (n, event) in trace.events.iter().enumerate() {
        if event.at < last {
            since = event.at;
        }
        last = event.at;
        match &event.what {
            What::Started { setup, .. } | What::Reloaded { setup, .. } => wait = setup.config.group.wait.p0,
            What::Kept(commit) => {
                // A storm that begins or ends in the same step may be on or not when the notice was made.
                let on = |storms: &BTreeSet<Id>, incidents: &BTreeMap<Id, Arc<Incident>>| {
                    let on = storms.iter().filter_map(|id| incidents.get(id));
                    on.filter(|i| !i.is_resolved()).map(|i| i.id).collect::<BTreeSet<Id>>()
                };
                let before = on(&storms, &incidents);
                for incident in commit.incidents.iter().filter_map(|c| c.after.as_ref()) {
                    if incident.storm.is_some() {
                        storms.insert(incident.id);
                    }
                    incidents.insert(incident.id, incident.clone());
                }
                let after = on(&storms, &incidents);
                for change in &commit.notices {
                    let Some(notice) = change.after.as_deref().filter(|n| needs_work(n.purpose)) else {
                        continue;
                    };
                    let Some(child) = incidents.get(&notice.incident) else { continue };
                    let fresh = change.before.is_none();
                    let unfolded = fresh && child.folded.is_none();
                    let named = unfolded && notice.purpose == Purpose::Level && stands_out(child, event.at);
                    let takes: Vec<Id> = before
                        .union(&after)
                        .filter(|storm| incidents.get(storm).is_some_and(|storm| belongs(child, storm)))
                        .copied()
                        .collect();
                    // By another lane one hears of the same.
                    let people = told_of(commit, notice, (event.at, fresh), wait);
                    let people: Vec<_> = people
                        .into_iter()
                        .map(|(person, how)| (told.insert((notice.id, person.clone())), person, how))
                        .collect();
                    for storm in &takes {
                        let sure = takes.len() == 1 && before.contains(storm) && after.contains(storm);
                        let out = |(new, person, (held, alone)): &(bool, PersonId, (bool, bool))| BreakOut {
                            event: n,
                            at: event.at,
                            since,
                            storm: *storm,
                            person: person.clone(),
                            incident: child.id,
                            notice: notice.id,
                            named: named && sure,
                            held: *held,
                            alone: *alone && *new,
                        };
                        found.extend(people.iter().map(out));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether an incident is told of whatever storm it belongs to (R26).
fn stands_out(incident: &Incident, at: Instant) -> bool {
    let near = incident.hard_deadline.is_some_and(|deadline| deadline <= at + Span::HOUR);
    near || incident.vip || incident.legal || incident.complaint
}

/// Whether an incident belongs to a storm that is on, or was a moment ago, and is not folded under it.
pub(super) fn breaks_out(step: &Step<'_>, incident: Id) -> bool {
    let Some(child) = step.kept.incidents.get(&incident).filter(|i| i.folded.is_none()) else { return false };
    let was_on = |storm: &Incident| storm.resolved_at.is_none_or(|at| at + Span::MINUTE + LATE >= step.at);
    step.kept.incidents.values().any(|storm| belongs(child, storm) && was_on(storm))
}

/// Whether a notice says that something needs work.
fn needs_work(purpose: Purpose) -> bool {
    use Purpose::{Canary, Cleared, Corrected, Digest, SilenceEnding, StormOpened, StormOver, StormUpdate};
    !matches!(
        purpose,
        Digest | Cleared | Corrected | StormOpened | StormUpdate | StormOver | SilenceEnding | Canary
    )
}

/// Whether an incident has what the children of a storm have in common.
fn belongs(child: &Incident, storm: &Incident) -> bool {
    let Some(cause) = storm.storm.as_ref().filter(|_| storm.id != child.id) else { return false };
    let values: Option<Vec<&str>> = match &*cause.dimension {
        "team" => Some(vec![&*child.team]),
        joined => joined.split('+').map(|name| child.dimensions.get(name).map(|v| &**v)).collect(),
    };
    child.family == cause.family
        && child.team == storm.team
        && values.is_some_and(|values| values.join("+") == *cause.value)
}

/// The people to whom a notice goes in this step: whether every message to them waits for longer than the most urgent
/// do, and whether they get a message of its own now.
fn told_of(
    commit: &Commit,
    notice: &Notice,
    (at, fresh): (Instant, bool),
    wait: Span,
) -> BTreeMap<PersonId, (bool, bool)> {
    // Who was to be told of a new one is counted, whatever became of the message in the same step.
    let started = if fresh { notice.started as usize } else { 0 };
    let waves = notice.waves.iter().take(started).flatten();
    let mut people: BTreeMap<PersonId, (bool, bool)> =
        waves.map(|to| (to.person.clone(), (false, false))).collect();
    let mine = || {
        let all = commit.messages.iter().filter_map(|c| Some((c.before.is_none(), c.after.as_ref()?)));
        all.filter(|(_, message)| message.notices.contains(&notice.id))
    };
    for (_, message) in mine() {
        people.insert(message.to.person.clone(), (true, false));
    }
    for (new, message) in mine() {
        let late = message.wake_at.is_some_and(|wake| wake > at + wait + LATE);
        let held = late && message.state == MessageState::Held;
        let goes = !late && !message.state.is_terminal();
        let told = people.entry(message.to.person.clone()).or_insert((true, false));
        (told.0, told.1) = (told.0 && held, told.1 || goes && new && message.notices.len() == 1);
    }
    people
}

fn talk(trace: &Trace) -> Vec<(usize, String)> {
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

/// VIP, legal and short deadlines are not folded under what others have in common; under another incident of the same
/// case only where that says that it is a VIP's or a legal case, and so names it (`logistics` 6.1).
pub fn i26(step: &Step<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for change in &step.commit.incidents {
        let Some(child) = change.after.as_ref().filter(|i| !i.is_resolved() && i.folded.is_some()) else {
            continue;
        };
        let lead = child.folded.and_then(|parent| step.kept.incidents.get(&parent));
        let lead = lead.filter(|lead| lead.subject == child.subject && lead.id != child.id);
        let named = lead.is_some_and(|lead| (lead.vip || !child.vip) && (lead.legal || !child.legal));
        if (child.vip || child.legal) && !named {
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
