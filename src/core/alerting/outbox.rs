//! The outbox: notices and the messages that serve them (`delivery_semantics` §8.1, §9, §10).
//!
//! This file holds what the outbox knows beside the nouns, and the one way in which a message changes its state. The
//! plan is in `waves.rs`, the claim in `claim.rs`, what a channel answered in `outcome.rs` and `receipt.rs`.
//!
//! Invariants of the outbox:
//! - a message changes its state by [`Alerting::go`] alone, along the arrows of §9.2;
//! - whatever is waiting is in exactly one group, queue or timer; nothing waits without one;
//! - planned = delivered + accepted_final + obsolete + dead + open, after every step (I47).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::core::alerting::book::Key;
use crate::core::alerting::timers::Timer;
use crate::core::alerting::{Alerting, Count, Note};
use crate::core::ids::Id;
use crate::core::model::{
    Cause, ChannelClass, Class, Lane, Message, MessageState, Notice, NoticeState, PersonId, Purpose,
    Recipient, Row, Statement, StatementKind, Table,
};
use crate::core::time::Instant;

use super::breaker::Breaker;
use super::budget::Budget;
use super::group::{GroupKey, Sort};
use super::inhibit::Folds;
use super::queue::{Queue, Rank};
use super::receipt::{Asking, Parked, Polls, Tally as ReceiptTally};
use super::silence::Silence;
use super::storm::Storm;

/// A notice as the incident side asks for it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The incident.
    pub(super) incident: Id,
    /// What for.
    pub(super) purpose: Purpose,
    /// The level it announces.
    pub(super) level: u8,
    /// The step of the incident.
    pub(super) step: u32,
    /// How urgent.
    pub(super) priority: Class,
    /// Who must be told.
    pub(super) audience: Vec<PersonId>,
    /// By what, wave by wave (§7.3).
    pub(super) waves: Vec<Vec<Recipient>>,
    /// What tells this audience from another one of the same step: part of the id (§4).
    pub(super) scope: String,
    /// How often it was routed again.
    pub(super) route_rev: u32,
    /// The decision behind it.
    pub(super) decision: Option<Id>,
    /// The crossing or change that caused it.
    pub(super) caused_at: Instant,
    /// A sentence beside the facts.
    pub(super) remark: Option<String>,
}

/// Which open notices of an incident become pointless.
#[derive(Clone, Debug)]
pub(super) enum Pointless {
    /// All of them.
    All,
    /// Pre-warnings.
    Prewarnings,
    /// Those to this person.
    To(PersonId),
    /// "Cleared" and corrections.
    Cleared,
}

/// How many notices there are in which state, of those planned since the start of this process (I47).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conservation {
    /// All of them.
    pub planned: u64,
    /// Not discharged yet.
    pub open: u64,
    /// Discharged by a positive receipt.
    pub delivered: u64,
    /// Discharged by acceptance.
    pub accepted_final: u64,
    /// Made pointless.
    pub obsolete: u64,
    /// Dead.
    pub dead: u64,
}

impl Conservation {
    /// Whether nothing was lost.
    pub fn holds(&self) -> bool {
        self.planned == self.open + self.delivered + self.accepted_final + self.obsolete + self.dead
    }

    fn slot(&mut self, state: NoticeState) -> &mut u64 {
        match state {
            NoticeState::Open => &mut self.open,
            NoticeState::Delivered => &mut self.delivered,
            NoticeState::AcceptedFinal => &mut self.accepted_final,
            NoticeState::Obsolete => &mut self.obsolete,
            NoticeState::Dead => &mut self.dead,
        }
    }
}

/// What the outbox keeps beside notices, messages and attempts.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The place of the last message in the order of plans.
    pub(super) seq: u64,
    /// The notices of an incident.
    pub(super) of_incident: BTreeMap<Id, SmallVec<[Id; 1]>>,
    /// The messages that serve a notice, or did.
    pub(super) of_notice: BTreeMap<Id, SmallVec<[Id; 1]>>,
    /// The open notices of a person.
    pub(super) open_to: BTreeMap<PersonId, BTreeSet<Id>>,
    /// The held messages by what may join them.
    pub(super) groups: BTreeMap<GroupKey, Id>,
    /// What may be claimed, by channel.
    pub(super) queues: BTreeMap<Arc<str>, Queue>,
    /// How many attempts are under way, by channel.
    pub(super) inflight: BTreeMap<Arc<str>, u16>,
    pub(super) budgets: BTreeMap<Lane, Budget>,
    pub(super) accounts: BTreeMap<Arc<str>, Budget>,
    pub(super) breakers: BTreeMap<Arc<str>, Breaker>,
    /// Messages that wait for another one of the same incident and lane to end (O1, O3).
    pub(super) behind: BTreeMap<Id, BTreeSet<Id>>,
    pub(super) by_provider: BTreeMap<(Arc<str>, String), Id>,
    /// Receipts that came before their outcome (RC3).
    pub(super) parked: BTreeMap<Id, Parked>,
    /// What was answered about uncertain messages so far.
    pub(super) asking: BTreeMap<Id, Asking>,
    /// Accepted messages whose provider is asked for their receipt (RC4).
    pub(super) polls: Polls,
    /// Lanes that refused us for good, and when.
    pub(super) flagged: BTreeMap<Lane, Instant>,
    /// Receipts by channel (RC5).
    pub(super) receipts: BTreeMap<Arc<str>, ReceiptTally>,
    /// The last two urgent messages that were accepted for a person, and when.
    pub(super) urgent: BTreeMap<PersonId, VecDeque<(Instant, Id)>>,
    pub(super) silences: BTreeMap<Id, Silence>,
    /// Storms by their parents.
    pub(super) storms: BTreeMap<Id, Storm>,
    /// What was opened lately, by family and team.
    pub(super) recent: BTreeMap<(Arc<str>, Arc<str>), Lately>,
    /// What is folded, by parent.
    pub(super) folds: BTreeMap<Id, Folds>,
    pub(super) parent_of: BTreeMap<Id, Id>,
    /// The incident of a source that cannot be read.
    pub(super) blind: BTreeMap<Arc<str>, Id>,
    /// What the providers stated of messages, the strongest (RC2). Lost with a restart, which changes nothing: the
    /// states themselves keep the order.
    pub(super) stated: BTreeMap<Id, StatementKind>,
    /// The system's own open trouble, by family and what it is with.
    pub(super) trouble: BTreeMap<(Arc<str>, Arc<str>), Id>,
    pub(super) tally: Conservation,
}

/// Incidents and when they were opened, the oldest first.
pub(super) type Lately = VecDeque<(Instant, Id)>;

/// The arrows of §9.2.
pub(super) fn may_go(from: MessageState, to: MessageState) -> bool {
    use MessageState::{
        Accepted, AcceptedFinal, Deferred, Delivered, Expired, Failed, Held, Inflight, Quarantined, Ready,
        RetryWait, Superseded, Suppressed, Uncertain,
    };
    let to = |list: &[MessageState]| list.contains(&to);
    match from {
        Held => to(&[Ready, Suppressed, Superseded]),
        Ready => to(&[Inflight, Deferred, Superseded, Suppressed, Expired, Quarantined]),
        Deferred => to(&[Ready, Superseded, Suppressed, Expired]),
        Inflight => to(&[Accepted, Delivered, RetryWait, Uncertain, Failed, Quarantined]),
        RetryWait => to(&[Ready, Superseded, Suppressed, Expired]),
        Uncertain => to(&[Accepted, Ready, Failed, Expired, Superseded, Quarantined]),
        Accepted => to(&[Delivered, Failed, AcceptedFinal]),
        AcceptedFinal => to(&[Delivered]),
        Delivered | Superseded | Suppressed | Expired | Failed | Quarantined => false,
    }
}

/// It waits, and may still be taken back.
pub(super) fn is_waiting(state: MessageState) -> bool {
    matches!(
        state,
        MessageState::Held | MessageState::Ready | MessageState::Deferred | MessageState::RetryWait
    )
}

/// Whether a cause keeps something back (suppressed) or has overtaken it (superseded).
fn end_of(cause: Cause) -> MessageState {
    match cause {
        Cause::Silenced | Cause::Folded => MessageState::Suppressed,
        _ => MessageState::Superseded,
    }
}

impl Alerting {
    /// The lane of an address in clear.
    pub(super) fn lane(&self, channel: &Arc<str>, address: &str) -> Lane {
        let id = self.key.id(&[b"lane", channel.as_bytes(), address.as_bytes()]);
        Lane { channel: channel.clone(), address: id }
    }

    /// Whether a lane refused us for good lately: nobody is reachable by it (S09).
    pub(super) fn lane_flagged(&self, lane: &Lane) -> bool {
        self.outbox.flagged.contains_key(lane)
    }

    /// The messages in memory.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    /// The notices in memory.
    pub fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.notices.values()
    }

    /// How many notices are where (I47).
    pub fn conservation(&self) -> Conservation {
        self.outbox.tally
    }

    /// An incident was opened, or opened again: storms count it, silences may cover it.
    pub(super) fn noted_open(&mut self, incident: Id) {
        self.look_at_silences(incident);
        self.look_at_inhibition(incident);
        self.look_at_ticket(incident);
        self.look_at_storms(incident);
    }

    /// An incident changed in a way that folds and silences look at: VIP, legal, complaint, deadline, dimensions, level,
    /// status.
    pub(super) fn noted_change(&mut self, incident: Id) {
        self.look_at_silences(incident);
        self.look_at_folds(incident);
        self.look_at_inhibition(incident);
        self.look_at_ticket(incident);
        // It may share a storm's value now, or be open again: taken in, but not counted as new.
        if let Some(found) = self.incidents.get(&incident)
            && self.may_fold(found)
            && let Some(parent) = self.outbox.storms.values().find(|s| s.takes(found)).map(|s| s.parent)
        {
            self.fold_under(incident, parent);
            self.arm_storm(parent);
        }
    }

    /// A timer of the outbox is due, since `at`.
    pub(super) fn outbox_timer(&mut self, timer: Timer, at: Instant) {
        let _ = at;
        match timer {
            Timer::Silence(id) => self.silence_timer(id),
            Timer::Storm(parent) => self.storm_timer(parent),
            Timer::Group(id) => self.flush(id),
            Timer::Notice(id) => self.notice_timer(id),
            Timer::Message(id) => self.message_timer(id),
            // Whoever claims next looks at the breaker itself: the timer only wakes them.
            Timer::Breaker(_) => {}
            Timer::Maintenance => self.watch_maintenance(),
            Timer::Incident(_) | Timer::CatchUp | Timer::Roster => {}
        }
    }

    /// A message goes to another state.
    pub(super) fn go(&mut self, id: Id, to: MessageState, cause: Option<Cause>) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        let from = message.state;
        if from == to {
            return;
        }
        debug_assert!(may_go(from, to), "{from:?} → {to:?} of {id}");
        message.state = to;
        message.cause = cause;
        message.wake_at = None;
        let (lane, person, class) = (message.to.lane.clone(), message.to.person.clone(), message.priority);
        let first = message.notices.first().copied();
        let members = message.members.first().copied();
        match from {
            MessageState::Held => self.outbox.groups.retain_not(id, &lane, &person),
            MessageState::Ready | MessageState::Deferred => {
                if let Some(queue) = self.outbox.queues.get_mut(&lane.channel) {
                    queue.remove(id);
                }
            }
            MessageState::Inflight => {
                if let Some(n) = self.outbox.inflight.get_mut(&lane.channel) {
                    *n = n.saturating_sub(1);
                }
            }
            _ => {}
        }
        if matches!(to, MessageState::Ready | MessageState::Deferred) {
            self.enqueue(id);
        }
        if matches!(from, MessageState::Inflight | MessageState::Uncertain) || to.is_terminal() {
            self.release_behind(id);
        }
        if to.is_terminal() {
            self.timers.arm(Timer::Message(id), None);
            self.timers.arm(Timer::Group(id), None);
            self.forget_attempts(id);
            self.outbox.asking.remove(&id);
            self.probe_over(&lane, id);
            if matches!(to, MessageState::Superseded | MessageState::Suppressed | MessageState::Expired)
                && let Some(cause) = cause
            {
                self.counts.push(Count::Suppressed { cause });
            }
            let incident = members.or_else(|| first.and_then(|n| self.notices.get(&n)).map(|n| n.incident));
            self.audit(Note {
                actor: "system",
                kind: "message.ended",
                incident,
                notice: first,
                message: Some(id),
                cause: cause.map(Cause::word),
                change: Some(format!("{} → {} {}", from.word(), to.word(), class.word())),
                ..Note::default()
            });
        } else {
            self.arm_message(id);
        }
        self.touch(Table::Message, id);
    }

    /// When a message has something to do: its own wake, or its end.
    pub(super) fn arm_message(&mut self, id: Id) {
        let Some(message) = self.messages.get(&id) else { return };
        let at = match message.state {
            // Whoever has taken it must answer; its end does not matter any more.
            MessageState::Inflight | MessageState::Accepted => message.wake_at,
            // The group has its own timer.
            MessageState::Held => None,
            state if state.is_terminal() => None,
            _ => message.wake_at.into_iter().chain([message.expires_at]).min(),
        };
        self.timers.arm(Timer::Message(id), at);
    }

    pub(super) fn enqueue(&mut self, id: Id) {
        let Some(message) = self.messages.get(&id) else { return };
        let rank = Rank {
            class: message.priority,
            urgent_at: message.urgent_at.unwrap_or(Instant::from_millis(i64::MAX)),
            seq: message.seq,
            message: id,
        };
        let every = self.setup.config.budget.aging;
        let queue = self.outbox.queues.entry(message.to.lane.channel.clone()).or_default();
        queue.push(message.to.lane.address, rank, message.planned_at, every, self.now);
    }

    /// A message of the same incident and lane has ended: those that waited for it may go.
    fn release_behind(&mut self, id: Id) {
        for waiting in self.outbox.behind.remove(&id).unwrap_or_default() {
            if self.messages.get(&waiting).is_some_and(|m| m.state == MessageState::Deferred) {
                self.go(waiting, MessageState::Ready, None);
            }
        }
    }

    /// Attempts of a message that nobody needs any more leave memory; their rows stay.
    pub(super) fn forget_attempts(&mut self, message: Id) {
        let keys: Vec<(Id, u32)> =
            self.attempts.range((message, 0)..=(message, u32::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            self.keep_attempt(key);
            self.attempts.remove(&key);
        }
    }

    /// Writes an attempt that is about to leave memory, if it has changed.
    pub(super) fn keep_attempt(&mut self, key: (Id, u32)) {
        if self.dirty.remove(&(Table::Attempt, Key::Attempt(key.0, key.1)))
            && let Some(row) = self.row(Table::Attempt, &Key::Attempt(key.0, key.1))
        {
            self.put(row);
        }
    }

    /// A message no longer serves a notice. A message that serves none ends; and so does one that only serves what was
    /// settled while it was under way (I50).
    pub(super) fn drop_from(&mut self, message: Id, notice: Id, cause: Cause) {
        let Some(found) = self.messages.get_mut(&message) else { return };
        found.notices.retain(|n| *n != notice);
        let empty = found.notices.is_empty();
        if empty {
            // It keeps the last one as what it was for.
            found.notices.push(notice);
        } else {
            let incident = self.notices.get(&notice).map(|n| n.incident);
            let still = found.notices.iter().any(|n| self.notices.get(n).map(|n| n.incident) == incident);
            if !still && let Some(incident) = incident {
                found.members.retain(|member| *member != incident);
            }
            if let Some(list) = self.outbox.of_notice.get_mut(&notice) {
                list.retain(|m| *m != message);
            }
        }
        self.touch(Table::Message, message);
        if empty || !self.anyone_needs(message) {
            self.end_waiting(message, cause);
        }
        self.left_with_a_later_step(message, notice);
    }

    /// O1: what left together with a later step is not said again without it.
    fn left_with_a_later_step(&mut self, message: Id, later: Id) {
        let Some(left) = self.messages.get(&message).filter(|m| m.attempts > 0) else { return };
        let Some(later) = self.notices.get(&later) else { return };
        let earlier = left.notices.iter().filter_map(|id| self.notices.get(id)).find(|n| {
            n.incident == later.incident
                && n.step < later.step
                && Sort::of(later.purpose).follows(Sort::of(n.purpose))
        });
        let Some(earlier) = earlier.map(|n| n.id) else { return };
        self.drop_from(message, earlier, Cause::SupersededByStep);
        self.stepped_over(earlier);
    }

    /// Ends a message that nobody needs.
    pub(super) fn end_waiting(&mut self, message: Id, cause: Cause) {
        let Some(found) = self.messages.get(&message) else { return };
        match found.state {
            MessageState::Uncertain if cause == Cause::Covered => {
                self.go(message, MessageState::Expired, Some(cause));
            }
            MessageState::Uncertain => self.go(message, MessageState::Superseded, Some(cause)),
            state if is_waiting(state) => self.go(message, end_of(cause), Some(cause)),
            _ => {}
        }
    }

    /// What waits of an incident's notices becomes pointless: notices obsolete, messages superseded or suppressed.
    pub(super) fn supersede(&mut self, incident: Id, which: &Pointless, cause: Cause) {
        for id in self.outbox.of_incident.get(&incident).cloned().unwrap_or_default() {
            let Some(notice) = self.notices.get(&id) else { continue };
            let over = matches!(notice.purpose, Purpose::Cleared | Purpose::Corrected);
            let fits = match which {
                Pointless::All => {
                    !matches!(notice.purpose, Purpose::SilenceEnding | Purpose::StormOver | Purpose::Canary)
                }
                Pointless::Prewarnings => notice.purpose == Purpose::Prewarning,
                Pointless::To(person) => notice.audience.contains(person),
                Pointless::Cleared => over,
            };
            if !fits {
                continue;
            }
            match which {
                Pointless::To(person) if notice.audience.len() > 1 => {
                    let person = person.clone();
                    self.leave_out(id, &person, cause);
                }
                _ => self.obsolete(id, cause),
            }
        }
    }

    /// A person need not be told any more; the others of the audience still are.
    pub(super) fn leave_out(&mut self, id: Id, person: &PersonId, cause: Cause) {
        let Some(notice) = self.notices.get_mut(&id) else { return };
        notice.audience.retain(|p| p != person);
        for wave in &mut notice.waves {
            wave.retain(|r| r.person != *person);
        }
        let done = notice.audience.iter().all(|p| notice.reached.contains(p));
        let empty = notice.audience.is_empty();
        if let Some(open) = self.outbox.open_to.get_mut(person) {
            open.remove(&id);
        }
        self.touch(Table::Notice, id);
        for message in self.outbox.of_notice.get(&id).cloned().unwrap_or_default() {
            if self.messages.get(&message).is_some_and(|m| m.to.person == *person) {
                self.take_back(message, id, cause);
            }
        }
        if empty {
            self.obsolete(id, cause);
        } else if done {
            self.settle(id, NoticeState::AcceptedFinal, None);
        }
    }

    /// A notice is pointless (§9.3).
    pub(super) fn obsolete(&mut self, id: Id, cause: Cause) {
        let Some(notice) = self.notices.get(&id) else { return };
        let open = notice.state == NoticeState::Open;
        let armed = notice.fallback_at.is_some();
        if open {
            self.settle(id, NoticeState::Obsolete, Some(cause));
        } else if armed {
            if let Some(notice) = self.notices.get_mut(&id) {
                notice.fallback_at = None;
            }
            self.arm_notice(id);
            self.touch(Table::Notice, id);
        }
        for message in self.outbox.of_notice.get(&id).cloned().unwrap_or_default() {
            self.take_back(message, id, cause);
        }
    }

    /// A message must not be sent for the sake of this notice any more. What is under way goes on.
    pub(super) fn take_back(&mut self, message: Id, notice: Id, cause: Cause) {
        let Some(found) = self.messages.get(&message) else { return };
        if is_waiting(found.state) {
            self.drop_from(message, notice, cause);
        } else if found.state == MessageState::Uncertain && !self.anyone_needs(message) {
            self.end_waiting(message, cause);
        }
    }

    /// Whether somebody still needs to be told by this message.
    pub(super) fn anyone_needs(&self, message: Id) -> bool {
        let Some(message) = self.messages.get(&message) else { return false };
        message.notices.iter().any(|notice| self.is_needed(*notice, &message.to))
    }

    /// Whether a notice still needs this lane: it is open, or dead for want of time only, and the person was not
    /// reached; or it is urgent, only taken by a chat so far, and this is the SMS that follows (D1). What is settled
    /// cannot become pointless any more: there the incident itself says whether anybody still waits for it (I12).
    pub(super) fn is_needed(&self, notice: Id, to: &Recipient) -> bool {
        let Some(notice) = self.notices.get(&notice) else { return false };
        match notice.state {
            NoticeState::Open => !notice.reached.contains(&to.person),
            NoticeState::Dead => {
                notice.cause == Some(Cause::BoundPassed)
                    && !notice.reached.contains(&to.person)
                    && self.standing(notice, &to.person).is_ok()
            }
            NoticeState::AcceptedFinal => {
                notice.priority == Class::P1
                    && to.class == ChannelClass::Sms
                    && self.standing(notice, &to.person).is_ok()
            }
            NoticeState::Delivered | NoticeState::Obsolete => false,
        }
    }

    /// Why a notice does not need a lane any more.
    pub(super) fn why_needless(&self, notice: Id, to: &Recipient) -> Cause {
        let Some(notice) = self.notices.get(&notice) else { return Cause::Covered };
        match notice.state {
            NoticeState::Obsolete => notice.cause.unwrap_or(Cause::Covered),
            NoticeState::Dead if notice.reached.contains(&to.person) => Cause::Covered,
            NoticeState::Dead | NoticeState::AcceptedFinal => {
                self.standing(notice, &to.person).err().unwrap_or(Cause::Covered)
            }
            NoticeState::Open | NoticeState::Delivered => Cause::Covered,
        }
    }

    /// A notice is over: discharged, pointless or dead.
    pub(super) fn settle(&mut self, id: Id, state: NoticeState, cause: Option<Cause>) {
        let Some(notice) = self.notices.get_mut(&id) else { return };
        if notice.state != NoticeState::Open {
            return;
        }
        notice.state = state;
        notice.cause = cause;
        notice.settled_at = Some(self.now);
        if state != NoticeState::AcceptedFinal && state != NoticeState::Dead {
            notice.fallback_at = None;
        }
        let (incident, class) = (notice.incident, notice.priority);
        for person in &notice.audience {
            if let Some(open) = self.outbox.open_to.get_mut(person) {
                open.remove(&id);
                if open.is_empty() {
                    self.outbox.open_to.remove(person);
                }
            }
        }
        self.outbox.tally.open -= 1;
        *self.outbox.tally.slot(state) += 1;
        self.arm_notice(id);
        self.touch(Table::Notice, id);
        self.audit(Note {
            actor: "system",
            kind: "notice.settled",
            incident: Some(incident),
            notice: Some(id),
            cause: cause.map(Cause::word),
            change: Some(format!("open → {} {}", state.word(), class.word())),
            ..Note::default()
        });
    }

    /// Takes a new notice in.
    pub(super) fn take_in_notice(&mut self, notice: Notice) {
        self.outbox.tally.planned += 1;
        self.outbox.tally.open += 1;
        self.touch(Table::Notice, notice.id);
        self.index_notice(&notice);
        self.notices.insert(notice.id, notice);
    }

    fn index_notice(&mut self, notice: &Notice) {
        self.outbox.of_incident.entry(notice.incident).or_default().push(notice.id);
        if notice.state == NoticeState::Open {
            for person in &notice.audience {
                self.outbox.open_to.entry(person.clone()).or_default().insert(notice.id);
            }
        }
    }

    /// Brings back one row of [`Table::Silence`], [`Table::Parked`] or [`Table::Alerting`].
    pub(super) fn outbox_restore(&mut self, table: Table, id: &str, body: &[u8]) -> Result<(), String> {
        fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
            serde_json::from_slice(body).map_err(|e| e.to_string())
        }
        match table {
            Table::Silence => {
                let silence: Silence = read(body)?;
                self.outbox.silences.insert(silence.id, silence);
            }
            Table::Parked => {
                let parked: Parked = read(body)?;
                self.outbox.parked.insert(parked.id, parked);
            }
            Table::Alerting => match id.split_once('/') {
                Some(("storm", _)) => {
                    let storm: Storm = read(body)?;
                    self.outbox.storms.insert(storm.parent, storm);
                }
                Some(("lane", lane)) => {
                    let lane = parse_lane(lane).ok_or("the id is no lane")?;
                    self.outbox.budgets.insert(lane, read(body)?);
                }
                Some(("account", channel)) => {
                    self.outbox.accounts.insert(Arc::from(channel), read(body)?);
                }
                Some(("breaker", key)) => {
                    self.outbox.breakers.insert(Arc::from(key), read(body)?);
                }
                Some(("flag", lane)) => {
                    let lane = parse_lane(lane).ok_or("the id is no lane")?;
                    self.outbox.flagged.insert(lane, read(body)?);
                }
                _ => return Err(format!("`{id}` is none of storm/…, lane/…, account/…, breaker/…, flag/…")),
            },
            _ => {}
        }
        Ok(())
    }

    /// The row of a record of those tables as it is now; `None` when it has left memory.
    pub(super) fn outbox_row(&self, table: Table, key: &Key) -> Option<Row> {
        let id = key.to_string();
        Some(match (table, key) {
            (Table::Silence, Key::Id(key)) => super::json_row(table, id, self.outbox.silences.get(key)?),
            (Table::Parked, Key::Id(key)) => super::json_row(table, id, self.outbox.parked.get(key)?),
            (Table::Alerting, Key::Text(text)) => match text.split_once('/')? {
                ("storm", parent) => {
                    super::json_row(table, id, self.outbox.storms.get(&parent.parse().ok()?)?)
                }
                ("lane", lane) => super::json_row(table, id, self.outbox.budgets.get(&parse_lane(lane)?)?),
                ("account", channel) => super::json_row(table, id, self.outbox.accounts.get(channel)?),
                ("breaker", key) => super::json_row(table, id, self.outbox.breakers.get(key)?),
                ("flag", lane) => super::json_row(table, id, self.outbox.flagged.get(&parse_lane(lane)?)?),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Every row is back: indices are built, timers armed, attempts of older epochs become uncertain (§16.1).
    pub(super) fn outbox_start(&mut self) {
        self.outbox.tally = Conservation::default();
        for id in self.notices.keys().copied().collect::<Vec<Id>>() {
            let Some(notice) = self.notices.get(&id).cloned() else { continue };
            self.outbox.tally.planned += 1;
            *self.outbox.tally.slot(notice.state) += 1;
            self.index_notice(&notice);
            self.arm_notice(id);
        }
        let mut interrupted = Vec::new();
        for id in self.messages.keys().copied().collect::<Vec<Id>>() {
            let Some(message) = self.messages.get(&id) else { continue };
            self.outbox.seq = self.outbox.seq.max(message.seq);
            for notice in &message.notices {
                self.outbox.of_notice.entry(*notice).or_default().push(id);
            }
            if let Some(provider_id) = &message.provider_id {
                let key = (message.to.lane.channel.clone(), provider_id.clone());
                self.outbox.by_provider.insert(key, id);
            }
            match message.state {
                MessageState::Held => {
                    let wake_at = message.wake_at;
                    if let Some(key) = self.group_key(message) {
                        self.outbox.groups.insert(key, id);
                    }
                    self.timers.arm(Timer::Group(id), wake_at.or(Some(self.now)));
                }
                MessageState::Ready | MessageState::Deferred => {
                    self.enqueue(id);
                    // What waited behind another one looks again at the claim.
                    self.arm_message(id);
                }
                MessageState::Inflight => interrupted.push(id),
                _ => self.arm_message(id),
            }
        }
        for silence in self.outbox.silences.keys().copied().collect::<Vec<Id>>() {
            self.arm_silence(silence);
        }
        self.watch_maintenance();
        self.index_folds();
        self.index_trouble();
        for parent in self.outbox.storms.keys().copied().collect::<Vec<Id>>() {
            self.arm_storm(parent);
        }
        for parent in self.outbox.folds.keys().copied().collect::<Vec<Id>>() {
            self.arm_storm(parent);
        }
        self.recount_storms();
        for (key, breaker) in &self.outbox.breakers {
            self.timers.arm(Timer::Breaker(key.clone()), breaker.probe_at());
        }
        let owed: Vec<(Id, Instant)> = self
            .messages
            .values()
            .filter(|m| m.state == MessageState::Accepted)
            .filter_map(|m| Some((m.id, m.receipt_until?)))
            .collect();
        for (id, until) in owed {
            self.poll_receipt(id, until);
        }
        for id in interrupted {
            self.interrupted(id);
        }
        self.join_parked();
    }

    fn index_trouble(&mut self) {
        let own = ["channel.down", "channel.degraded", "delivery.budget", "system.config", "system.poison"];
        for incident in self.incidents.values().filter(|i| !i.is_resolved() && own.contains(&&*i.family)) {
            let key = (incident.family.clone(), incident.subject.id.clone());
            self.outbox.trouble.insert(key, incident.id);
        }
    }

    /// Whether nothing of an incident's notices and messages is left to do, so that it may leave memory; its notices
    /// and messages then leave with it.
    pub(super) fn outbox_forget(&mut self, incident: Id) -> bool {
        let notices = self.outbox.of_incident.get(&incident).cloned().unwrap_or_default();
        let idle = |id: &Id| {
            self.notices.get(id).is_none_or(|n| n.state != NoticeState::Open)
                && self.outbox.of_notice.get(id).is_none_or(|messages| {
                    messages.iter().all(|m| self.messages.get(m).is_none_or(|m| m.state.is_terminal()))
                })
        };
        if !notices.iter().all(idle)
            || self.storm_is_on(incident)
            || self.outbox.folds.contains_key(&incident)
        {
            return false;
        }
        for notice in &notices {
            self.timers.arm(Timer::Notice(*notice), None);
            self.write_now(Table::Notice, *notice);
            self.notices.remove(notice);
        }
        for notice in notices {
            for id in self.outbox.of_notice.remove(&notice).unwrap_or_default() {
                let Some(message) = self.messages.get(&id) else { continue };
                if message.notices.iter().any(|n| self.notices.contains_key(n)) {
                    continue;
                }
                if let Some(provider_id) = &message.provider_id {
                    let key = (message.to.lane.channel.clone(), provider_id.clone());
                    self.outbox.by_provider.remove(&key);
                }
                self.write_now(Table::Message, id);
                self.messages.remove(&id);
                self.outbox.stated.remove(&id);
            }
        }
        self.outbox.of_incident.remove(&incident);
        self.outbox.parent_of.remove(&incident);
        if self.outbox.storms.remove(&incident).is_some() {
            self.drop_row(Table::Alerting, Alerting::storm_key(incident));
        }
        true
    }

    /// Writes a record that leaves memory in this very step, if it has changed.
    fn write_now(&mut self, table: Table, id: Id) {
        if self.dirty.remove(&(table, Key::Id(id)))
            && let Some(row) = self.row(table, &Key::Id(id))
        {
            self.put(row);
        }
    }

    /// A contact may have been corrected: it is tried again.
    pub(super) fn forget_flags(&mut self) {
        for lane in std::mem::take(&mut self.outbox.flagged).into_keys() {
            self.drop_row(Table::Alerting, lane_key("flag", &lane));
        }
    }

    /// The setup may be another one: messages of lanes that are gone are planned anew (§16.3, I50).
    pub(super) fn outbox_reconfigured(&mut self) {
        self.watch_maintenance();
        let gone: Vec<Id> = self
            .messages
            .values()
            .filter(|m| is_waiting(m.state) || m.state == MessageState::Uncertain)
            .filter(|m| self.address_of(&m.to).is_none())
            .map(|m| m.id)
            .collect();
        let mut bereft: BTreeSet<Id> = BTreeSet::new();
        for id in gone {
            let Some(message) = self.messages.get(&id) else { continue };
            let notices = message.notices.clone();
            self.end_waiting(id, Cause::LaneRemoved);
            bereft.extend(notices);
        }
        for notice in bereft {
            self.replan(notice, Cause::LaneRemoved);
        }
    }

    /// The address in clear of a recipient, if the person and the channel are still there.
    pub(super) fn address_of(&self, to: &Recipient) -> Option<String> {
        self.setup.channels.get(&to.lane.channel)?;
        let person = self.setup.roster.people.get(&to.person)?;
        let mut contacts = person.contacts.iter().filter(|(channel, _)| *channel == to.lane.channel);
        contacts.find(|(channel, address)| self.lane(channel, address) == to.lane).map(|(_, a)| a.clone())
    }

    /// Takes in a later statement of a provider (TX-F).
    pub fn statement(&mut self, statement: &Statement, now: Instant) {
        self.set_now(now);
        self.take_statement(statement);
    }
}

/// The name of a row of a lane.
pub(super) fn lane_key(kind: &str, lane: &Lane) -> Key {
    Key::Text(format!("{kind}/{}/{}", lane.channel, lane.address))
}

fn parse_lane(text: &str) -> Option<Lane> {
    let (channel, address) = text.rsplit_once('/')?;
    Some(Lane { channel: Arc::from(channel), address: address.parse().ok()? })
}

/// Taking a message out of the groups without knowing its key.
trait WithoutMessage {
    fn retain_not(&mut self, message: Id, lane: &Lane, person: &PersonId);
}

impl WithoutMessage for BTreeMap<GroupKey, Id> {
    fn retain_not(&mut self, message: Id, lane: &Lane, person: &PersonId) {
        let from = GroupKey::first_of(lane.clone(), person.clone());
        let keys: Vec<GroupKey> = self
            .range(from..)
            .take_while(|(key, _)| key.lane == *lane && key.person == *person)
            .filter(|(_, id)| **id == message)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.remove(&key);
        }
    }
}
