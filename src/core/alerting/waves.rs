//! From a plan to messages (`delivery_semantics` §7.3, §8.1, §9.3): waves, groups, fallbacks, and the end of a notice.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::alerting::timers::Timer;
use crate::core::alerting::{Alerting, Count, Note};
use crate::core::ids::Id;
use crate::core::model::{
    Cause, ChannelClass, Class, Message, MessageState, Notice, NoticeState, PersonId, Purpose, Recipient,
    Table,
};
use crate::core::time::{Instant, Span};

use super::discharge::{Proof, Sent, proof, receipt_awaited};
use super::group::{self, GroupKey, Sort};
use super::outbox::Plan;
use super::words::Saying;

/// What is told by a call or an SMS serves everything the person has open.
pub(super) fn serves_all(class: ChannelClass) -> bool {
    matches!(class, ChannelClass::Sms | ChannelClass::Voice)
}

impl Alerting {
    fn notice_id(&self, plan: &Plan, episode: u32, route_rev: u32) -> Id {
        let number = match plan.purpose {
            Purpose::Reminder(n) => n,
            _ => 0,
        };
        self.key.id(&[
            b"notice",
            plan.incident.as_bytes(),
            &episode.to_be_bytes(),
            &plan.step.to_be_bytes(),
            plan.scope.as_bytes(),
            &route_rev.to_be_bytes(),
            plan.purpose.word().as_bytes(),
            &number.to_be_bytes(),
        ])
    }

    /// Plans a notice: its first wave goes into group windows. The same plan twice is one notice; one that was made
    /// pointless is planned anew under the next revision. Answers its id.
    pub(super) fn plan(&mut self, plan: Plan) -> Id {
        let Some(incident) = self.incidents.get(&plan.incident) else {
            return self.notice_id(&plan, 0, plan.route_rev);
        };
        let episode = incident.episode;
        let mut route_rev = plan.route_rev;
        let id = loop {
            let id = self.notice_id(&plan, episode, route_rev);
            match self.notices.get(&id) {
                Some(known) if known.state == NoticeState::Obsolete => route_rev += 1,
                Some(_) => return id,
                None => break id,
            }
        };
        let kept_back = match plan.purpose {
            Purpose::SilenceEnding | Purpose::Canary => None,
            _ if incident.silenced.is_some() => Some(Cause::Silenced),
            _ if incident.folded.is_some() => Some(Cause::Folded),
            _ => None,
        };
        let send = &self.setup.config.send;
        let bound = (plan.priority != Class::P3).then(|| self.now + send.discharge_bound.of(plan.priority));
        let notice = Notice {
            id,
            incident: plan.incident,
            episode,
            step: plan.step,
            level: plan.level,
            purpose: plan.purpose,
            priority: plan.priority,
            family: incident.family.clone(),
            team: incident.team.clone(),
            audience: plan.audience,
            waves: plan.waves,
            started: 0,
            fallback_at: None,
            state: NoticeState::Open,
            cause: None,
            planned_at: self.now,
            bound_at: bound,
            settled_at: None,
            reached: Default::default(),
            late_delivered: false,
            route_rev,
            decision: plan.decision,
            caused_at: plan.caused_at,
            remark: plan.remark,
        };
        self.counts.push(Count::NoticePlanned { class: notice.priority });
        self.audit(Note {
            actor: "system",
            kind: "notice.planned",
            incident: Some(notice.incident),
            notice: Some(id),
            change: Some(format!("{} {} L{}", notice.purpose.word(), notice.priority.word(), notice.level)),
            detail: notice.decision.map(|d| serde_json::json!({ "decision": d, "route_rev": route_rev })),
            ..Note::default()
        });
        self.take_in_notice(notice);
        if let Some(cause) = kept_back {
            self.settle(id, NoticeState::Obsolete, Some(cause));
            self.counts.push(Count::Suppressed { cause });
            return id;
        }
        self.overtake(id);
        if !self.next_wave(id, "plan") {
            self.exhausted(id);
        }
        self.arm_notice(id);
        id
    }

    /// The messages of a notice that may still reach somebody.
    pub(super) fn live_messages(&self, notice: Id) -> impl Iterator<Item = &Message> + '_ {
        let messages = self.outbox.of_notice.get(&notice).into_iter().flatten();
        messages.filter_map(|id| self.messages.get(id)).filter(|m| !m.state.is_terminal())
    }

    /// §8.2: it broke out of a storm and goes with others of the kind, under a heading.
    fn stands_out(&mut self, id: Id) {
        let text = Saying::StandsOut.text(self.setup.language, &self.setup.zone);
        if let Some(notice) = self.notices.get_mut(&id)
            && notice.remark.is_none()
        {
            notice.remark = Some(text);
            self.touch(Table::Notice, id);
        }
    }

    /// Starts the next wave that has a lane. Answers whether there was one.
    pub(super) fn next_wave(&mut self, id: Id, reason: &'static str) -> bool {
        loop {
            let Some(notice) = self.notices.get_mut(&id) else { return false };
            let Some(wave) = notice.waves.get(notice.started as usize).cloned() else {
                if notice.fallback_at.take().is_some() {
                    self.touch(Table::Notice, id);
                }
                return false;
            };
            notice.started += 1;
            notice.fallback_at = None;
            let (first, purpose, class) = (notice.started == 1, notice.purpose, notice.priority);
            let planned_at = notice.planned_at;
            let (incident, reached) = (notice.incident, notice.reached.clone());
            let nudge = notice.state == NoticeState::AcceptedFinal;
            let before = notice.started.checked_sub(2).and_then(|w| notice.waves.get(w as usize));
            let before = before.and_then(|w| w.first()).map(|r| r.class);
            let more = notice.waves.len() > notice.started as usize && !nudge;
            let p0 = self.setup.config.group.wait.p0;
            self.touch(Table::Notice, id);
            let (mut joined, mut flowing, mut longest) = (None, false, Span::ZERO);
            let mut empty: Vec<(Recipient, Instant)> = Vec::new();
            let mut behind: BTreeMap<PersonId, Option<Span>> = BTreeMap::new();
            // Who has a message of it already, and for how long that waits for others.
            let mut known: BTreeMap<PersonId, Span> = BTreeMap::new();
            let mine = self.outbox.of_notice.get(&id).into_iter().flatten();
            for message in mine.filter_map(|m| self.messages.get(m)) {
                let held = message.wake_at.filter(|_| message.state == MessageState::Held);
                let left = held.map_or(Span::ZERO, |wake| wake.since(self.now));
                let known = known.entry(message.to.person.clone()).or_default();
                *known = left.max(*known);
            }
            for to in wave {
                let wanted =
                    if nudge { to.class == ChannelClass::Sms } else { !reached.contains(&to.person) };
                if !wanted || !self.is_usable(id, &to) {
                    continue;
                }
                let mut wait = group::wait(&self.setup.config.group, purpose, class, !first);
                let mut alone = false;
                if Sort::of(purpose) == Sort::Work && purpose != Purpose::Digest {
                    // Whoever hears of it by two lanes hears of one break-out, and by the second no sooner.
                    let others = match (behind.get(&to.person), known.get(&to.person)) {
                        (Some(others), _) => *others,
                        (None, Some(left)) => self.break_out_left(incident, &to.person, *left, planned_at),
                        (None, None) => self.break_out_wait(incident, &to.person),
                    };
                    behind.insert(to.person.clone(), others);
                    if let Some(others) = others.filter(|others| first || *others > p0) {
                        wait = others;
                    }
                    alone = others.is_some_and(|others| others <= p0);
                    if others.is_some_and(|others| others > p0) {
                        self.stands_out(id);
                    }
                }
                let shut = self.is_shut(&to);
                flowing |= !shut;
                joined.get_or_insert(to.class);
                longest = longest.max(wait);
                if let Some(until) = self.enlist(id, to.clone(), wait, alone) {
                    empty.push((to, until));
                }
            }
            let Some(to) = joined else { continue };
            if !first {
                let from = before.unwrap_or(to);
                self.counts.push(Count::Fallback { from, to, reason });
                self.audit(Note {
                    actor: "system",
                    kind: "notice.fallback",
                    incident: Some(incident),
                    notice: Some(id),
                    cause: Some(reason),
                    change: Some(format!("{} → {}", from.word(), to.word())),
                    ..Note::default()
                });
            }
            if more && class != Class::P3 {
                let at = self.now + longest + self.setup.config.send.fallback_after.of(class);
                if let Some(notice) = self.notices.get_mut(&id) {
                    notice.fallback_at = Some(at);
                }
                // Every lane of it waits for a probe: the next wave goes now (§7.3).
                if !flowing && class <= Class::P1 {
                    return self.next_wave(id, "breaker") || joined.is_some();
                }
            }
            self.arm_notice(id);
            for (to, until) in empty {
                self.overflowed(id, &to, until);
            }
            return true;
        }
    }

    /// Whether a lane may be tried for a notice: it is still configured, does not refuse us, was not tried for it, and
    /// nothing newer of the incident went by it (§7.5).
    fn is_usable(&self, id: Id, to: &Recipient) -> bool {
        if self.address_of(to).is_none() || self.lane_flagged(&to.lane) {
            return false;
        }
        let Some(notice) = self.notices.get(&id) else { return false };
        let on_lane = |m: &&Message| m.to.lane == to.lane && m.to.person == to.person;
        let mine = self.outbox.of_notice.get(&id).into_iter().flatten();
        if mine.filter_map(|m| self.messages.get(m)).any(|m| on_lane(&m)) {
            return false;
        }
        !self.is_overtaken(notice, to, None)
    }

    /// Notices that one message serves at most.
    pub(super) fn most(&self) -> usize {
        usize::from(self.setup.config.group.most)
    }

    /// A notice joins a message to this recipient, or gets its own. One that goes `alone` joins none that waits for others
    /// of its class. Answers until when the message that it joined waits for a token, if it does.
    fn enlist(&mut self, id: Id, to: Recipient, wait: Span, alone: bool) -> Option<Instant> {
        let notice = self.notices.get(&id)?;
        let (sort, incident) = (Sort::of(notice.purpose), notice.incident);
        let at = self.now + wait;
        let mut key = self.key_for(notice, &to);
        if alone {
            key.class = Class::P0;
        }
        // A message that waits for the same person on the same lane: an SMS or a call serves everything.
        let waiting = if serves_all(to.class) { self.waiting_for(&to, sort) } else { None };
        let open = self
            .outbox
            .groups
            .get(&key)
            .copied()
            .filter(|m| self.messages.get(m).is_some_and(|m| m.notices.len() < self.most()));
        if let Some(message) = waiting.or(open) {
            self.join(message, id);
            let earlier = self.messages.get(&message).filter(|m| m.state == MessageState::Held);
            if earlier.is_some_and(|m| m.wake_at.is_none_or(|old| at < old)) {
                if let Some(message) = self.messages.get_mut(&message) {
                    message.wake_at = Some(at);
                }
                self.timers.arm(Timer::Group(message), Some(at));
            }
            let deferred = self.messages.get(&message).filter(|m| m.state == MessageState::Deferred);
            return deferred.and_then(|m| m.wake_at);
        }
        // What is told alone goes by its notice: of one instant there may be many.
        let group = match self.most() {
            1 => id,
            _ => self.key.id(&[
                b"group",
                to.person.as_bytes(),
                key.family.as_bytes(),
                key.team.as_bytes(),
                key.class.word().as_bytes(),
                &self.now.as_millis().to_be_bytes(),
            ]),
        };
        let message = self.new_message(group, to, notice.priority, incident, id, MessageState::Held);
        if let Some(message) = self.messages.get_mut(&message) {
            message.wake_at = Some(at);
        }
        self.outbox.groups.insert(key, message);
        self.timers.arm(Timer::Group(message), Some(at));
        None
    }

    /// A new message with the next free ordinal. The caller sees to its timer.
    pub(super) fn new_message(
        &mut self,
        group: Id,
        to: Recipient,
        class: Class,
        incident: Id,
        notice: Id,
        state: MessageState,
    ) -> Id {
        let mut ordinal = 0_u32;
        let id = loop {
            let id = self.key.id(&[
                b"message",
                group.as_bytes(),
                to.lane.channel.as_bytes(),
                to.lane.address.as_bytes(),
                &ordinal.to_be_bytes(),
            ]);
            if !self.messages.contains_key(&id) {
                break id;
            }
            ordinal += 1;
        };
        self.outbox.seq += 1;
        let message = Message {
            id,
            notices: vec![notice],
            to,
            priority: class,
            state,
            cause: None,
            seq: self.outbox.seq,
            planned_at: self.now,
            wake_at: None,
            urgent_at: self.urgency(incident),
            expires_at: self.now + self.setup.config.send.expire.of(class),
            attempts: 0,
            deaths: 0,
            backoff_ms: 0,
            marked: false,
            minimal: false,
            provider_id: None,
            receipt_until: None,
            accepted_at: None,
            first_at: None,
            members: vec![incident],
        };
        self.outbox.of_notice.entry(notice).or_default().push(id);
        self.messages.insert(id, message);
        self.touch(Table::Message, id);
        id
    }

    /// How little time an incident has left.
    pub(super) fn urgency(&self, incident: Id) -> Option<Instant> {
        let incident = self.incidents.get(&incident)?;
        incident.hard_deadline.into_iter().chain(incident.due).min()
    }

    /// A message serves one more notice.
    pub(super) fn join(&mut self, message: Id, notice: Id) {
        let Some(found) = self.notices.get(&notice) else { return };
        let (incident, class) = (found.incident, found.priority);
        let urgency = self.urgency(incident);
        let Some(message) = self.messages.get_mut(&message) else { return };
        if message.notices.contains(&notice) {
            return;
        }
        message.notices.push(notice);
        if !message.members.contains(&incident) {
            message.members.push(incident);
        }
        message.urgent_at = message.urgent_at.into_iter().chain(urgency).min();
        let id = message.id;
        let requeue = class < message.priority;
        if requeue {
            message.priority = class;
            message.expires_at = message.expires_at.max(self.now + self.setup.config.send.expire.of(class));
        }
        self.outbox.of_notice.entry(notice).or_default().push(id);
        self.touch(Table::Message, id);
        if requeue && self.outbox.queues.values().any(|q| q.contains(id)) {
            self.requeue(id);
        }
    }

    /// The message that waits for a person on a lane, if one does.
    fn waiting_for(&self, to: &Recipient, sort: Sort) -> Option<Id> {
        let fits = |id: &Id| {
            self.messages.get(id).is_some_and(|m| {
                m.to.person == to.person && m.notices.len() < self.most() && self.sort_of(m) == Some(sort)
            }) && !self.is_closed(*id)
        };
        let from = GroupKey::first_of(to.lane.clone(), to.person.clone());
        let held = self.outbox.groups.range(from..).take_while(|(key, _)| key.lane == to.lane);
        let held = held.map(|(_, id)| *id).find(fits);
        held.or_else(|| {
            let queue = self.outbox.queues.get(&to.lane.channel)?;
            queue.lane(to.lane.address).map(|rank| rank.message).find(fits)
        })
    }

    /// The sort of a message: that of its notices.
    pub(super) fn sort_of(&self, message: &Message) -> Option<Sort> {
        message.notices.iter().find_map(|n| self.notices.get(n)).map(|n| Sort::of(n.purpose))
    }

    fn key_for(&self, notice: &Notice, to: &Recipient) -> GroupKey {
        let sort = Sort::of(notice.purpose);
        let family =
            if sort.mixes() { notice.family.clone() } else { Arc::from(notice.incident.to_string()) };
        GroupKey {
            lane: to.lane.clone(),
            person: to.person.clone(),
            sort,
            family,
            class: notice.priority,
            team: notice.team.clone(),
        }
    }

    /// The group of a held message.
    pub(super) fn group_key(&self, message: &Message) -> Option<GroupKey> {
        let notice = message.notices.iter().find_map(|n| self.notices.get(n))?;
        Some(self.key_for(notice, &message.to))
    }

    /// TX-C: a group window is over. What is due for the same person and lane at this instant goes along.
    pub(super) fn flush(&mut self, id: Id) {
        let Some(message) = self.messages.get(&id).filter(|m| m.state == MessageState::Held) else { return };
        let (to, sort) = (message.to.clone(), self.sort_of(message));
        let from = GroupKey::first_of(to.lane.clone(), to.person.clone());
        let due: Vec<Id> = self
            .outbox
            .groups
            .range(from..)
            .take_while(|(key, _)| key.lane == to.lane && key.person == to.person)
            .filter(|(key, _)| Some(key.sort) == sort && key.sort.mixes())
            .map(|(_, other)| *other)
            .filter(|other| *other != id)
            .filter(|other| {
                self.messages.get(other).is_some_and(|m| m.wake_at.is_some_and(|at| at <= self.now))
            })
            .collect();
        for other in due {
            self.absorb(id, other);
        }
        if self.sift(id) {
            self.go(id, MessageState::Ready, None);
        }
    }

    /// The notices of another message join this one; the other ends. Answers whether there was room.
    pub(super) fn absorb(&mut self, id: Id, other: Id) -> bool {
        let Some(taken) = self.messages.get(&other) else { return false };
        let room =
            self.messages.get(&id).is_some_and(|m| m.notices.len() + taken.notices.len() <= self.most());
        if !room {
            return false;
        }
        let (expires_at, marked) = (taken.expires_at, taken.marked);
        for notice in taken.notices.clone() {
            self.join(id, notice);
        }
        if let Some(message) = self.messages.get_mut(&id) {
            message.expires_at = message.expires_at.max(expires_at);
            message.marked |= marked;
        }
        self.go(other, MessageState::Superseded, Some(Cause::Digested));
        true
    }

    /// §7.5: looks at every notice of a waiting message again. Answers whether anything is left to say.
    pub(super) fn sift(&mut self, id: Id) -> bool {
        let Some(message) = self.messages.get(&id) else { return false };
        let to = message.to.clone();
        let enabled = self.address_of(&to).is_some();
        for notice in message.notices.clone() {
            let Some(found) = self.notices.get(&notice) else { continue };
            if !self.is_needed(notice, &to) {
                let cause = self.why_needless(notice, &to);
                self.drop_from(id, notice, cause);
                continue;
            }
            if self.is_overtaken(found, &to, Some(id)) {
                self.drop_from(id, notice, Cause::SupersededByStep);
                self.stepped_over(notice);
                continue;
            }
            if !enabled {
                self.drop_from(id, notice, Cause::LaneRemoved);
                self.replan(notice, Cause::LaneRemoved);
                continue;
            }
            let Err(cause) = self.standing(found, &to.person) else { continue };
            let alone = found.audience.iter().all(|p| *p == to.person || found.reached.contains(p));
            self.drop_from(id, notice, cause);
            match cause {
                Cause::PersonOffDutyRerouted if alone => {
                    self.obsolete(notice, cause);
                    self.reroute(notice, cause);
                }
                Cause::PersonOffDutyRerouted => self.leave_out(notice, &to.person, cause),
                _ => self.obsolete(notice, cause),
            }
        }
        self.messages.get(&id).is_some_and(|m| !m.state.is_terminal())
    }

    /// A notice lost a lane before it was used: the next wave goes, or it is routed again.
    pub(super) fn replan(&mut self, id: Id, cause: Cause) {
        let open = self.notices.get(&id).is_some_and(|n| n.state == NoticeState::Open);
        if !open || self.live_messages(id).next().is_some() || self.next_wave(id, "permanent") {
            return;
        }
        self.obsolete(id, cause);
        self.reroute(id, cause);
    }

    /// Arms what a notice has ahead.
    pub(super) fn arm_notice(&mut self, id: Id) {
        let at = self.notices.get(&id).and_then(|n| {
            let bound = n.bound_at.filter(|_| n.state == NoticeState::Open);
            n.fallback_at.into_iter().chain(bound).min()
        });
        self.timers.arm(Timer::Notice(id), at);
    }

    /// A notice has something to do: its next wave, or its bound.
    pub(super) fn notice_timer(&mut self, id: Id) {
        let now = self.now;
        let Some(notice) = self.notices.get(&id) else { return };
        if notice.fallback_at.is_some_and(|at| at <= now) {
            self.fall_back(id, "silence");
        }
        let Some(notice) = self.notices.get(&id) else { return };
        if notice.state == NoticeState::Open && notice.bound_at.is_some_and(|at| at <= now) {
            if notice.reached.is_empty() {
                self.die(id, Cause::BoundPassed);
            } else {
                self.discharge(id, NoticeState::AcceptedFinal, None);
            }
        }
        self.arm_notice(id);
    }

    /// Starts the next wave of a notice that has had no proof, unless nobody needs it any more (O4).
    pub(super) fn fall_back(&mut self, id: Id, reason: &'static str) {
        let Some(notice) = self.notices.get_mut(&id) else { return };
        if reason == "silence" {
            notice.fallback_at = None;
            let sent: Vec<Sent> = self
                .outbox
                .of_notice
                .get(&id)
                .into_iter()
                .flatten()
                .filter_map(|m| self.messages.get(m))
                .map(|m| Sent {
                    class: m.to.class,
                    accepted: m.accepted_at.is_some() && m.state != MessageState::Failed,
                    receipt_until: m.receipt_until.filter(|_| m.state == MessageState::Accepted),
                })
                .collect();
            if let Some(until) = receipt_awaited(&sent, self.now) {
                if let Some(notice) = self.notices.get_mut(&id) {
                    notice.fallback_at = Some(until);
                }
                self.touch(Table::Notice, id);
                self.arm_notice(id);
                return;
            }
        }
        let Some(notice) = self.notices.get(&id) else { return };
        let persons: Vec<&PersonId> =
            notice.audience.iter().filter(|p| !notice.reached.contains(*p)).collect();
        let persons = if persons.is_empty() { notice.audience.iter().collect() } else { persons };
        let refused = persons.iter().filter_map(|p| self.standing(notice, p).err()).collect::<Vec<Cause>>();
        if refused.len() == persons.len()
            && let Some(cause) = refused.first().copied()
        {
            let open = notice.state == NoticeState::Open;
            self.obsolete(id, cause);
            if open && cause == Cause::PersonOffDutyRerouted {
                self.reroute(id, cause);
            }
            return;
        }
        let waits = notice.state == NoticeState::AcceptedFinal;
        if !self.next_wave(id, reason) && !waits {
            self.exhausted(id);
        }
        self.arm_notice(id);
    }

    /// Something ended for a notice: if nothing is left that may reach anybody, the next wave goes at once.
    pub(super) fn consider(&mut self, id: Id, reason: &'static str) {
        let Some(notice) = self.notices.get(&id) else { return };
        let counts = notice.state == NoticeState::Open
            || notice.state == NoticeState::Dead && notice.cause == Some(Cause::BoundPassed);
        if counts && self.live_messages(id).next().is_none() {
            self.fall_back(id, reason);
        }
    }

    /// No wave is left. What was taken may still find its proof until the bound; what was not is dead.
    pub(super) fn exhausted(&mut self, id: Id) {
        let Some(notice) = self.notices.get(&id).filter(|n| n.state == NoticeState::Open) else { return };
        if self.live_messages(id).next().is_some() {
            return;
        }
        if !notice.reached.is_empty() {
            self.discharge(id, NoticeState::AcceptedFinal, None);
            return;
        }
        let accepted: Vec<(PersonId, ChannelClass)> = self
            .outbox
            .of_notice
            .get(&id)
            .into_iter()
            .flatten()
            .filter_map(|m| self.messages.get(m))
            .filter(|m| m.state == MessageState::AcceptedFinal)
            .map(|m| (m.to.person.clone(), m.to.class))
            .collect();
        for (person, class) in &accepted {
            if self.is_last_resort(id, person) {
                self.proven(id, person, NoticeState::AcceptedFinal, *class);
                return;
            }
        }
        if !accepted.is_empty() && notice.bound_at.is_some() {
            return;
        }
        let causes: BTreeMap<Cause, usize> = self
            .outbox
            .of_notice
            .get(&id)
            .into_iter()
            .flatten()
            .filter_map(|m| self.messages.get(m)?.cause)
            .filter(|c| matches!(c, Cause::Failed | Cause::Expired | Cause::Quarantined))
            .fold(BTreeMap::new(), |mut causes, cause| {
                *causes.entry(cause).or_default() += 1;
                causes
            });
        let cause = causes.into_iter().max_by_key(|(_, n)| *n).map_or(Cause::NoLane, |(cause, _)| cause);
        self.die(id, cause);
    }

    /// Whether nothing that the plan has for a person could prove more than acceptance, and nothing of it is untried:
    /// then acceptance by the last lane is the proof (§10.6 for small teams).
    pub(super) fn is_last_resort(&self, id: Id, person: &PersonId) -> bool {
        let Some(notice) = self.notices.get(&id) else { return false };
        let mut theirs = notice.waves.iter().flatten().filter(|r| r.person == *person);
        let weak = theirs.all(|r| {
            let card = self.setup.channels.get(&r.lane.channel);
            card.is_none_or(|card| proof(card, notice.priority) == Proof::Weak)
        });
        let later = notice.waves.iter().skip(notice.started as usize).flatten();
        let untried = later.filter(|r| r.person == *person).any(|r| self.is_usable(id, r));
        let live =
            self.live_messages(id).any(|m| m.to.person == *person && m.state != MessageState::Accepted);
        weak && !untried && !live
    }

    /// Proof came that a person was told.
    pub(super) fn proven(&mut self, id: Id, person: &PersonId, state: NoticeState, class: ChannelClass) {
        let Some(notice) = self.notices.get_mut(&id) else { return };
        notice.reached.insert(person.clone());
        let substitute = !notice.audience.contains(person);
        let all = notice.audience.iter().all(|p| notice.reached.contains(p));
        match notice.state {
            NoticeState::Open if all || substitute => {
                self.touch(Table::Notice, id);
                self.discharge(id, state, Some(class));
            }
            NoticeState::Dead => {
                notice.late_delivered = true;
                notice.fallback_at = None;
                self.arm_notice(id);
                self.touch(Table::Notice, id);
                self.cover(id, None);
            }
            _ => {
                self.touch(Table::Notice, id);
                self.cover(id, Some(person));
            }
        }
    }

    /// A notice is discharged (§10.6). An urgent one that only a chat has taken is followed by its SMS unless somebody
    /// reacts (D1); a storm is one message, and is not (I24).
    pub(super) fn discharge(&mut self, id: Id, state: NoticeState, by: Option<ChannelClass>) {
        let Some(notice) = self.notices.get_mut(&id).filter(|n| n.state == NoticeState::Open) else { return };
        let nudge = state == NoticeState::AcceptedFinal
            && notice.priority == Class::P1
            && !matches!(notice.purpose, Purpose::StormOpened | Purpose::StormUpdate)
            && by == Some(ChannelClass::ChatApp)
            && notice
                .waves
                .get(notice.started as usize)
                .is_some_and(|w| w.iter().any(|r| r.class == ChannelClass::Sms));
        if !nudge {
            notice.fallback_at = None;
        }
        let (class, after) = (notice.priority, self.now.since(notice.planned_at));
        let unreached = notice.audience.iter().filter(|p| !notice.reached.contains(*p)).count();
        if let Some(channel) = by {
            self.counts.push(Count::Discharged { class, channel, after });
        }
        if unreached > 0 {
            let incident = notice.incident;
            self.audit(Note {
                actor: "system",
                kind: "notice.partly_reached",
                incident: Some(incident),
                notice: Some(id),
                change: Some(format!("{unreached} not reached")),
                ..Note::default()
            });
        }
        self.settle(id, state, None);
        self.cover(id, None);
    }

    /// What else was going to tell this is covered: to one person, or to all.
    fn cover(&mut self, id: Id, person: Option<&PersonId>) {
        for message in self.outbox.of_notice.get(&id).cloned().unwrap_or_default() {
            if self.messages.get(&message).is_some_and(|m| person.is_none_or(|p| m.to.person == *p)) {
                self.take_back(message, id, Cause::Covered);
            }
        }
    }

    /// A notice is dead (§9.3): announced in the same step. What nobody would miss ends quietly.
    pub(super) fn die(&mut self, id: Id, cause: Cause) {
        let Some(notice) = self.notices.get(&id).filter(|n| n.state == NoticeState::Open) else { return };
        if notice.priority == Class::P3 {
            self.settle(id, NoticeState::Obsolete, Some(cause));
            return;
        }
        self.counts.push(Count::DeadLetter { family: notice.family.clone(), reason: cause });
        self.settle(id, NoticeState::Dead, Some(cause));
        self.died(id, cause);
    }
}
