//! Storms (`delivery_semantics` §8.2): one disaster, one message.
//!
//! New incidents of one family and team are counted over a sliding window. At the limit the most specific value that
//! covers enough of them becomes the cause of a parent incident; what shares it is folded, now and later. Children keep
//! their own levels and timers, only their sending is folded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::alerting::incidents::Speak;
use crate::core::alerting::render::StormText;
use crate::core::alerting::timers::Timer;
use crate::core::alerting::{Alerting, Count, Note};
use crate::core::ids::Id;
use crate::core::model::{Incident, PersonId, Purpose, Status, StormCause, Table};
use crate::core::time::{Instant, Span};

use super::book::Key;
use super::turned::Back;

/// Break-outs of one storm that one person is told one by one …
const BREAK_OUTS: usize = 10;
/// … in so long; what is more goes together.
const BREAK_OUT_WINDOW: Span = Span::from_minutes(10);
/// Later children that re-open the updates of an acked parent, at least.
const LATER_CHILDREN: usize = 20;

/// What a storm looked like when it was last told.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Children that are not resolved.
    pub(super) open: usize,
    /// The highest level among them.
    level: u8,
    /// The earliest due instant.
    least: Option<Instant>,
    /// Since when the oldest is in trouble.
    #[serde(default)]
    oldest: Option<Instant>,
    /// What they may cost together, in cents.
    #[serde(default)]
    penalty_cents: i64,
}

/// Two that are equal are not worth a message (§8.2): what it costs follows from which they are.
impl PartialEq for Figures {
    fn eq(&self, other: &Figures) -> bool {
        (self.open, self.level, self.least) == (other.open, other.level, other.least)
    }
}

impl Eq for Figures {}

/// A storm that is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Storm {
    pub(super) parent: Id,
    pub(super) cause: StormCause,
    pub(super) team: Arc<str>,
    pub(super) opened_at: Instant,
    /// How many update instants have passed.
    slots: u32,
    /// The newest arrivals, as many as the exit asks for, the oldest first.
    arrivals: VecDeque<Instant>,
    /// At the last message, and at the one before.
    pub(super) told: Option<Figures>,
    pub(super) before: Option<Figures>,
    /// When the last message was planned: what was open then is what an ack covers (RS4).
    told_at: Instant,
    /// Children that are resolved.
    pub(super) resolved: usize,
    /// Those of them that had reached level 1.
    breached: usize,
    /// It has ended; only its last message still needs it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) over: bool,
    /// Who was told of break-outs when.
    #[serde(default)]
    break_outs: BTreeMap<PersonId, VecDeque<Instant>>,
    /// Of whom they are at this instant: several steps of one incident at once are one.
    #[serde(skip)]
    counted: (Option<Instant>, BTreeSet<(Id, PersonId)>),
}

/// The value of a dimension, of a joined one (`carrier+lane`), or of the team.
pub(super) fn value_of(incident: &Incident, dimension: &str) -> Option<String> {
    if dimension == "team" {
        return Some(incident.team.to_string());
    }
    let mut parts = Vec::new();
    for name in dimension.split('+') {
        parts.push(incident.dimensions.get(name).filter(|v| !v.is_empty())?.to_string());
    }
    Some(parts.join("+"))
}

/// The most specific dimension with a value that covers at least `percent` of them: dimension and value.
fn cover(incidents: &[&Incident], dimensions: &[String], percent: u8) -> Option<(Arc<str>, Arc<str>)> {
    for dimension in dimensions {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for incident in incidents {
            if let Some(value) = value_of(incident, dimension) {
                *counts.entry(value).or_default() += 1;
            }
        }
        let most = counts.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)));
        if let Some((value, n)) = most
            && n * 100 >= incidents.len() * usize::from(percent)
        {
            return Some((Arc::from(&**dimension), Arc::from(value)));
        }
    }
    None
}

impl Storm {
    /// Whether an incident belongs to it by family, team and value.
    pub(super) fn takes(&self, incident: &Incident) -> bool {
        !self.over
            && incident.family == self.cause.family
            && incident.team == self.team
            && incident.id != self.parent
            && value_of(incident, &self.cause.dimension).as_deref() == Some(&*self.cause.value)
    }

    /// When it is over if nothing more comes: fewer than `count` in `window`.
    fn exit_at(&self, count: u32, window: Span) -> Instant {
        let count = count.max(1) as usize;
        let nth = self.arrivals.len().checked_sub(count).and_then(|i| self.arrivals.get(i));
        nth.copied().unwrap_or(self.opened_at).max(self.opened_at) + window
    }

    /// When the next update is due.
    fn update_at(&self, updates: &[Span]) -> Option<Instant> {
        let last = *updates.last()?;
        let slot = self.slots as usize;
        let after = match updates.get(slot) {
            Some(after) => *after,
            None if last.is_zero() => return None,
            None => last.times(i64::try_from(slot + 2 - updates.len()).unwrap_or(i64::MAX)),
        };
        Some(self.opened_at + after)
    }

    fn arrived(&mut self, count: u32, now: Instant) {
        self.arrivals.push_back(now);
        while self.arrivals.len() > count.max(1) as usize {
            self.arrivals.pop_front();
        }
    }

    /// The clock was ahead, and is right again (T3).
    pub(super) fn turn_back(&mut self, back: Back) {
        back.happened(&mut self.opened_at);
        self.arrivals.iter_mut().for_each(|at| back.happened(at));
        back.happened(&mut self.told_at);
        self.break_outs.values_mut().flatten().for_each(|at| back.happened(at));
    }

    /// A child is resolved.
    pub(super) fn gone(&mut self, level: u8) {
        self.resolved += 1;
        self.breached += usize::from(level >= 1);
    }
}

impl Alerting {
    /// The row of a storm.
    pub(super) fn storm_key(parent: Id) -> Key {
        Key::Text(format!("storm/{parent}"))
    }

    /// What an ack of a storm's parent covers (RS4): the children that were there when it was last told.
    pub(super) fn storm_children(&self, parent: Id) -> Vec<Id> {
        let Some(storm) = self.outbox.storms.get(&parent).filter(|s| !s.over) else { return Vec::new() };
        let told_at = storm.told_at;
        self.folded_under(parent)
            .filter(|child| self.incidents.get(child).is_some_and(|i| i.episode_at <= told_at))
            .collect()
    }

    /// An incident is new, or open again: storms take it in, or count it.
    pub(super) fn look_at_storms(&mut self, id: Id) {
        let Some(incident) = self.incidents.get(&id) else { return };
        if !self.may_fold(incident) {
            return;
        }
        if let Some(storm) = self.outbox.storms.values().find(|s| s.takes(incident)) {
            let parent = storm.parent;
            self.take_in(parent, id);
            return;
        }
        let config = self.setup.config.clone();
        let rate = config.storm_of(&incident.family);
        let (window, limit) = (rate.per, rate.count as usize);
        if limit == 0 {
            return;
        }
        let key = (incident.family.clone(), incident.team.clone());
        let recent = self.outbox.recent.entry(key.clone()).or_default();
        while recent.front().is_some_and(|(at, _)| *at + window <= self.now) {
            recent.pop_front();
        }
        if recent.iter().any(|(_, known)| *known == id) {
            return;
        }
        recent.push_back((self.now, id));
        if recent.len() < limit {
            return;
        }
        let counted: Vec<&Incident> =
            recent.iter().filter_map(|(_, id)| self.incidents.get(id)).filter(|i| !i.is_resolved()).collect();
        let (dimension, value) = cover(&counted, &config.storm.dimensions, config.storm.cover_percent)
            .unwrap_or_else(|| (Arc::from("team"), key.1.clone()));
        self.outbox.recent.remove(&key);
        self.open_storm(StormCause { family: key.0, dimension, value }, &key.1);
    }

    /// Counts again what was opened lately: after a restart.
    pub(super) fn recount_storms(&mut self) {
        let window = |i: &Incident| self.setup.config.storm_of(&i.family).per;
        let mut lately: Vec<(Instant, Id)> = self
            .incidents
            .values()
            .filter(|i| i.episode_at + window(i) > self.now && i.folded.is_none() && self.may_fold(i))
            .map(|i| (i.episode_at, i.id))
            .collect();
        lately.sort_unstable();
        for (at, id) in lately {
            let Some(incident) = self.incidents.get(&id) else { continue };
            let key = (incident.family.clone(), incident.team.clone());
            self.outbox.recent.entry(key).or_default().push_back((at, id));
        }
    }

    fn open_storm(&mut self, cause: StormCause, team: &Arc<str>) {
        let parent = self.open_parent(cause.clone(), team);
        if !self.incidents.contains_key(&parent) {
            return;
        }
        let storm = Storm {
            parent,
            cause,
            team: team.clone(),
            opened_at: self.now,
            slots: 0,
            arrivals: VecDeque::new(),
            told: None,
            before: None,
            told_at: self.now,
            resolved: 0,
            breached: 0,
            over: false,
            break_outs: BTreeMap::new(),
            counted: (None, BTreeSet::new()),
        };
        let children: Vec<Id> = self
            .incidents
            .values()
            .filter(|i| i.folded.is_none() && i.silenced.is_none() && storm.takes(i) && self.may_fold(i))
            .map(|i| i.id)
            .collect();
        let count = children.len();
        self.audit(Note {
            actor: "system",
            kind: "storm.opened",
            incident: Some(parent),
            change: Some(format!(
                "{} {}={} over {count}",
                storm.cause.family, storm.cause.dimension, storm.cause.value
            )),
            ..Note::default()
        });
        self.outbox.storms.insert(parent, storm);
        for child in children {
            self.take_in(parent, child);
        }
        self.counts.push(Count::StormOpened);
        self.tell_storm(parent, Purpose::StormOpened);
        self.arm_storm(parent);
    }

    /// A child is folded under its storm.
    fn take_in(&mut self, parent: Id, child: Id) {
        let exit_count = self.setup.config.storm.exit_count;
        if let Some(storm) = self.outbox.storms.get_mut(&parent) {
            storm.arrived(exit_count, self.now);
            self.touch(Table::Alerting, Alerting::storm_key(parent));
        }
        self.fold_under(child, parent);
        self.arm_storm(parent);
    }

    /// Says something of a storm, as it is now.
    fn tell_storm(&mut self, parent: Id, purpose: Purpose) {
        let figures = self.figures(parent);
        let Some(storm) = self.outbox.storms.get_mut(&parent) else { return };
        storm.before = storm.told.replace(figures);
        storm.told_at = self.now;
        self.touch(Table::Alerting, Alerting::storm_key(parent));
        self.announce(parent, purpose, None);
    }

    /// A message of a storm leaves: what it says is what the next one is compared with, and what an ack covers (RS4).
    pub(super) fn storm_said(&mut self, parent: Id) {
        let figures = self.figures(parent);
        let now = self.now;
        if let Some(storm) = self.outbox.storms.get_mut(&parent).filter(|s| !s.over) {
            storm.told = Some(figures);
            storm.told_at = now;
            self.touch(Table::Alerting, Alerting::storm_key(parent));
        }
    }

    fn figures(&self, parent: Id) -> Figures {
        let mut figures = Figures::default();
        for child in self.folded_under(parent).filter_map(|id| self.incidents.get(&id)) {
            figures.open += 1;
            figures.level = figures.level.max(child.level);
            let due = child.hard_deadline.into_iter().chain(child.due).min();
            figures.least = figures.least.into_iter().chain(due).min();
            figures.oldest = figures.oldest.into_iter().chain([child.since]).min();
            figures.penalty_cents = figures.penalty_cents.saturating_add(child.penalty_cents);
        }
        figures
    }

    /// Whether this is the parent of a storm that is on.
    pub(super) fn storm_is_on(&self, parent: Id) -> bool {
        self.outbox.storms.get(&parent).is_some_and(|s| !s.over)
    }

    /// Whether a storm is on in which nothing is open any more.
    pub(super) fn storm_is_empty(&self, parent: Id) -> bool {
        self.storm_is_on(parent) && self.folded_under(parent).next().is_none()
    }

    /// Arms what a storm, or another parent, has ahead.
    pub(super) fn arm_storm(&mut self, parent: Id) {
        let storm = &self.setup.config.storm;
        let own = self.outbox.storms.get(&parent).filter(|s| !s.over).map(|s| {
            let exit = s.exit_at(storm.exit_count, self.setup.config.storm_exit_of(&s.cause.family));
            s.update_at(&storm.updates).map_or(exit, |update| update.min(exit))
        });
        let at = own.into_iter().chain(self.next_break_out(parent)).min();
        self.timers.arm(Timer::Storm(parent), at);
    }

    /// A storm has something to do: break-outs by deadline, the exit, an update.
    pub(super) fn storm_timer(&mut self, parent: Id) {
        self.break_out_by_deadline(parent);
        let config = self.setup.config.clone();
        let now = self.now;
        if let Some(storm) = self.outbox.storms.get_mut(&parent).filter(|s| !s.over) {
            if storm.exit_at(config.storm.exit_count, config.storm_exit_of(&storm.cause.family)) <= now {
                self.end_storm(parent);
                return;
            }
            let mut due = false;
            while storm.update_at(&config.storm.updates).is_some_and(|at| at <= now) {
                storm.slots += 1;
                due = true;
            }
            if due {
                self.touch(Table::Alerting, Alerting::storm_key(parent));
                self.update_storm(parent);
            }
        }
        self.arm_storm(parent);
    }

    /// Something else was told of the parent, such as a new level or that an ack has run out: for whoever was told
    /// already that takes the place of the next update (§8.2, I24).
    pub(super) fn level_for_update(&mut self, parent: Id) {
        let Some(storm) = self.outbox.storms.get_mut(&parent).filter(|s| !s.over) else { return };
        storm.slots += 1;
        self.touch(Table::Alerting, Alerting::storm_key(parent));
        self.arm_storm(parent);
    }

    /// An update is due: it is sent only if something changed, and to whoever has acked only if many more came.
    fn update_storm(&mut self, parent: Id) {
        let figures = self.figures(parent);
        let Some(storm) = self.outbox.storms.get(&parent) else { return };
        let changed = storm.told != Some(figures);
        let acked = self.incidents.get(&parent).is_some_and(|i| i.status != Status::Open);
        let told = storm.told.map_or(0, |t| t.open);
        let more = figures.open.saturating_sub(told) >= LATER_CHILDREN.max(told / 4);
        if changed && (!acked || more) {
            self.tell_storm(parent, Purpose::StormUpdate);
        }
    }

    /// The storm is over: what is still firing comes back in digests, and those who were told hear the totals.
    pub(super) fn end_storm(&mut self, parent: Id) {
        if !self.storm_is_on(parent) {
            return;
        }
        self.tell_storm(parent, Purpose::StormOver);
        if let Some(storm) = self.outbox.storms.get_mut(&parent) {
            storm.over = true;
        }
        self.timers.arm(Timer::Storm(parent), None);
        self.audit(Note { actor: "system", kind: "storm.over", incident: Some(parent), ..Note::default() });
        self.release_children(parent, Speak::InDigest);
        self.close_system(parent);
    }

    /// How long a break-out, as a notice planned then tells of it, waits by another lane of somebody whose message waits
    /// for `left`: with others by all lanes or by none.
    pub(super) fn break_out_left(
        &self,
        incident: Id,
        person: &PersonId,
        left: Span,
        planned_at: Instant,
    ) -> Option<Span> {
        let found = self.incidents.get(&incident).filter(|i| i.folded.is_none())?;
        let storm = self.outbox.storms.values().find(|storm| storm.takes(found))?;
        let now = planned_at == self.now && storm.counted.0 == Some(self.now);
        let alone = storm.counted.1.contains(&(incident, person.clone()));
        let left = if now && !alone { left.max(Span::MINUTE) } else { left };
        Some(left).filter(|left| *left > self.setup.config.group.wait.p0)
    }

    /// How long a break-out of a storm waits for others; `None` for what is none. The first ones of a person wait no
    /// longer than the most urgent do (R26, I26), the others a minute.
    pub(super) fn break_out_wait(&mut self, incident: Id, person: &PersonId) -> Option<Span> {
        if self.outbox.storms.is_empty() {
            return None;
        }
        let found = self.incidents.get(&incident).filter(|i| i.folded.is_none())?;
        let now = self.now;
        let storm = self.outbox.storms.values_mut().find(|s| s.takes(found))?;
        let told = storm.break_outs.entry(person.clone()).or_default();
        while told.front().is_some_and(|at| *at + BREAK_OUT_WINDOW <= now) {
            told.pop_front();
        }
        if storm.counted.0.replace(now) != Some(now) {
            storm.counted.1.clear();
        }
        if storm.counted.1.contains(&(incident, person.clone())) {
            return Some(self.setup.config.group.wait.p0);
        }
        if told.len() < BREAK_OUTS {
            storm.counted.1.insert((incident, person.clone()));
            told.push_back(now);
            let key = Alerting::storm_key(storm.parent);
            self.touch(Table::Alerting, key);
            return Some(self.setup.config.group.wait.p0);
        }
        Some(Span::MINUTE)
    }

    /// What the text of a storm says, besides its children.
    pub(super) fn storm_text(&self, parent: &Incident) -> Option<StormText<'_>> {
        let storm = self.outbox.storms.get(&parent.id)?;
        let children = self.folded_under(parent.id).filter_map(|id| self.incidents.get(&id));
        let breached = storm.breached + children.filter(|child| child.level >= 1).count();
        // After its end the children are on their own again: what it says is what there was.
        let figures = if storm.over { storm.told.unwrap_or_default() } else { self.figures(parent.id) };
        Some(StormText {
            dimension: &storm.cause.dimension,
            value: &storm.cause.value,
            family: &storm.cause.family,
            open: figures.open,
            before: storm.before.map(|b| b.open),
            resolved: storm.resolved,
            breached,
            oldest: figures.oldest,
            penalty_cents: figures.penalty_cents,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::alerting::config::StormConfig;
    use crate::core::alerting::samples::incident;

    fn parcel(n: u8, carrier: &str, lane: &str, province: &str) -> Incident {
        let mut parcel = incident(n, "parcel.stalled");
        parcel.dimensions = [("carrier", carrier), ("lane", lane), ("province", province)]
            .into_iter()
            .filter(|(_, v)| !v.is_empty())
            .map(|(k, v)| (Arc::from(k), Arc::from(v)))
            .collect();
        parcel
    }

    #[test]
    fn the_most_specific_value_that_covers_enough() {
        let check = |what: &str, parcels: Vec<Incident>, want: Option<(&str, &str)>| {
            let dimensions = StormConfig::default().dimensions;
            let parcels: Vec<&Incident> = parcels.iter().collect();
            let want = want.map(|(d, v)| (Arc::from(d), Arc::from(v)));
            assert_eq!(cover(&parcels, &dimensions[1..5], 80), want, "{what}");
        };
        let lanes = |n: u8, of: u8| {
            (0..n).map(|i| parcel(i, "yto", if i < of { "sh-bj" } else { "x" }, "bj")).collect()
        };
        check("one lane", lanes(10, 10), Some(("carrier+lane", "yto+sh-bj")));
        check("eight of ten", lanes(10, 8), Some(("carrier+lane", "yto+sh-bj")));
        check("seven of ten: the province", lanes(10, 7), Some(("carrier+province", "yto+bj")));
        check(
            "only the carrier",
            (0..10).map(|i| parcel(i, "yto", &i.to_string(), &i.to_string())).collect(),
            Some(("carrier", "yto")),
        );
        let at_node = |n: u8| {
            let mut parcel = parcel(n, if n < 4 { "yto" } else { "zto" }, &n.to_string(), "bj");
            parcel.dimensions.insert("node".into(), if n < 8 { "武汉" } else { "上海" }.into());
            parcel
        };
        check("one node, two carriers", (0..10).map(at_node).collect(), Some(("node", "武汉")));
        check("nothing", (0..10).map(|i| parcel(i, &i.to_string(), "", "")).collect(), None);
        check("no values at all", (0..10).map(|i| parcel(i, "", "", "")).collect(), None);
    }

    fn storm(now: Instant) -> Storm {
        Storm {
            parent: Id::from_bytes([9; 16]),
            cause: StormCause {
                family: Arc::from("parcel.stalled"),
                dimension: Arc::from("carrier"),
                value: Arc::from("yto"),
            },
            team: Arc::from("desk"),
            opened_at: now,
            slots: 0,
            arrivals: VecDeque::new(),
            told: None,
            before: None,
            told_at: now,
            resolved: 0,
            breached: 0,
            over: false,
            break_outs: BTreeMap::new(),
            counted: (None, BTreeSet::new()),
        }
    }

    #[test]
    fn updates_at_5_15_30_60_then_every_hour() {
        let mut storm = storm(Instant::from_secs(0));
        let updates = StormConfig::default().updates;
        let mut minutes = Vec::new();
        for slot in 0..7 {
            storm.slots = slot;
            minutes.push(storm.update_at(&updates).unwrap().as_secs() / 60);
        }
        assert_eq!(minutes, [5, 15, 30, 60, 120, 180, 240]);
        assert_eq!(storm.update_at(&[]), None);
    }

    #[test]
    fn it_is_over_when_fewer_than_five_came_in_ten_minutes() {
        let mut storm = storm(Instant::from_secs(0));
        let exit = |storm: &Storm| storm.exit_at(5, Span::from_minutes(10)).as_secs();
        assert_eq!(exit(&storm), 600);
        for s in [0, 60, 120, 180] {
            storm.arrived(5, Instant::from_secs(s));
        }
        assert_eq!(exit(&storm), 600, "four do not carry it on");
        storm.arrived(5, Instant::from_secs(240));
        assert_eq!(exit(&storm), 600, "the fifth last came at 0");
        storm.arrived(5, Instant::from_secs(500));
        assert_eq!(exit(&storm), 660);
    }
}
