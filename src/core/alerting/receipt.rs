//! TX-F: later statements of a provider (`delivery_semantics` §11), and the questions we ask (§10.4).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::alerting::timers::Timer;
use crate::core::alerting::{Alerting, Count, Note};
use crate::core::ids::Id;
use crate::core::model::{
    Cause, ChannelClass, DuplicateKey, MessageState, NoticeState, ReceiptPath, Statement, StatementKind,
    Table,
};
use crate::core::time::{Instant, Span};

use super::group::Sort;
use super::uncertain::{ASK_AGAIN, ASK_GIVE_UP};

/// A receipt of something unknown is kept for so long (RC3).
const PARKED_FOR: Span = Span::DAY;
/// So many are kept at most.
const PARKED_MOST: usize = 10_000;
/// A call that nobody answered is placed once more after so long (§10.6).
const REDIAL_AFTER: Span = Span::from_secs(30);
/// Receipts by channel are looked at over so long (RC5).
const TALLY_WINDOW: Span = Span::from_minutes(10);
const TALLY_ENOUGH: usize = 10;
const TALLY_MOST: usize = 1000;

/// A statement that came before its outcome (RC3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parked {
    pub(super) id: Id,
    statement: Statement,
    parked_at: Instant,
}

/// What was answered about an uncertain message so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    /// When to ask, again.
    ask_at: Instant,
    /// When it was not found for the first time.
    not_found_at: Option<Instant>,
    /// How often the question failed.
    failed: u8,
    /// Asking leads nowhere.
    pub(super) in_vain: bool,
}

impl Asking {
    pub(super) fn since(now: Instant) -> Asking {
        Asking { ask_at: now, not_found_at: None, failed: 0, in_vain: false }
    }

    /// The clock went on by so much more than the counter.
    pub(super) fn step_forth(&mut self, by: Span) {
        self.ask_at = self.ask_at + by;
        self.not_found_at = self.not_found_at.map(|at| at + by);
    }
}

/// A message whose fate the provider can be asked about.
#[derive(Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// The message.
    pub message: Id,
    /// Our key of it.
    pub key: String,
    /// The channel to ask.
    pub channel: Arc<str>,
    /// The provider's id, where it gave one.
    pub provider_id: Option<String>,
    /// The address it went to, in clear; empty where the contact is gone. Not in any row.
    pub address: String,
    /// When it left first.
    pub sent_at: Instant,
}

impl std::fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inquiry({} by {})", self.message, self.channel)
    }
}

/// Positive and negative receipts of a channel, lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(VecDeque<(Instant, bool)>);

impl Tally {
    /// One more receipt. Answers whether more than a fifth of enough are negative.
    fn add(&mut self, negative: bool, now: Instant) -> bool {
        while self.0.front().is_some_and(|(at, _)| *at + TALLY_WINDOW <= now) || self.0.len() >= TALLY_MOST {
            self.0.pop_front();
        }
        self.0.push_back((now, negative));
        let bad = self.0.iter().filter(|(_, negative)| *negative).count();
        self.0.len() >= TALLY_ENOUGH && bad * 5 > self.0.len()
    }
}

/// When providers are asked for the receipts that they owe (RC4): a little before the window is over, so that the
/// answer is there when the fallback is decided, and once more ten minutes after the message left.
#[derive(Clone, Debug, Default)]
pub(super) struct Polls {
    due: BTreeSet<(Instant, Id)>,
    /// When, and whether it is the last time.
    of: BTreeMap<Id, (Instant, bool)>,
}

/// So long before the end of the window.
const POLL_BEFORE: Span = Span::from_secs(5);
/// The second and last time.
const POLL_AGAIN: Span = Span::from_minutes(10);

impl Polls {
    fn set(&mut self, id: Id, at: Instant, last: bool) {
        self.over(id);
        self.due.insert((at, id));
        self.of.insert(id, (at, last));
    }

    /// Nothing is owed any more.
    pub(super) fn over(&mut self, id: Id) {
        if let Some((at, _)) = self.of.remove(&id) {
            self.due.remove(&(at, id));
        }
    }
}

impl Alerting {
    /// Whether most of what goes by a channel does not arrive lately (RC5): calls go before it.
    pub(super) fn is_degraded(&self, channel: &Arc<str>) -> bool {
        self.outbox.trouble.contains_key(&(Arc::from("channel.degraded"), channel.clone()))
    }

    pub(super) fn take_statement(&mut self, statement: &Statement) {
        match self.message_of(statement) {
            Some(id) if self.messages.get(&id).is_some_and(|m| m.state != MessageState::Inflight) => {
                self.apply(id, statement);
            }
            // Its outcome is on the way (W12), or it is not known yet (RC3).
            _ => self.park(statement),
        }
    }

    fn message_of(&self, statement: &Statement) -> Option<Id> {
        let by_key = statement.key.as_ref().and_then(|key| key.parse::<Id>().ok());
        let by_key =
            by_key.filter(|id| self.messages.get(id).is_some_and(|m| m.to.lane.channel == statement.channel));
        by_key.or_else(|| {
            let provider_id = statement.provider_id.clone()?;
            self.outbox.by_provider.get(&(statement.channel.clone(), provider_id)).copied()
        })
    }

    fn parked_id(&self, channel: &str, sort: &str, key: &str, what: StatementKind) -> Id {
        self.key.id(&[b"parked", channel.as_bytes(), sort.as_bytes(), key.as_bytes(), &[what as u8]])
    }

    fn park(&mut self, statement: &Statement) {
        let id = match (&statement.key, &statement.provider_id) {
            (Some(key), _) => self.parked_id(&statement.channel, "key", key, statement.what),
            (None, Some(id)) => self.parked_id(&statement.channel, "id", id, statement.what),
            (None, None) => {
                self.counts.push(Count::OrphanReceipt);
                return;
            }
        };
        if self.outbox.parked.contains_key(&id) {
            return;
        }
        self.drop_old_parked();
        self.outbox.parked.insert(id, Parked { id, statement: statement.clone(), parked_at: self.now });
        self.touch(Table::Parked, id);
    }

    /// Parked statements that are too old, or too many, are orphans.
    fn drop_old_parked(&mut self) {
        let full = self.outbox.parked.len() >= PARKED_MOST;
        let oldest = if full { self.outbox.parked.values().map(|p| p.parked_at).min() } else { None };
        let orphans: Vec<Id> = self
            .outbox
            .parked
            .values()
            .filter(|p| p.parked_at + PARKED_FOR <= self.now || Some(p.parked_at) == oldest)
            .map(|p| p.id)
            .collect();
        for id in orphans {
            self.outbox.parked.remove(&id);
            self.drop_row(Table::Parked, id);
            self.counts.push(Count::OrphanReceipt);
        }
    }

    /// What was parked for a message joins it, the strongest last: it has an outcome now.
    pub(super) fn join_parked_of(&mut self, id: Id) {
        if self.outbox.parked.is_empty() {
            return;
        }
        let Some(message) = self.messages.get(&id) else { return };
        let channel = message.to.lane.channel.clone();
        let (key, provider_id) = (id.to_string(), message.provider_id.clone());
        for what in [StatementKind::Accepted, StatementKind::Negative, StatementKind::Delivered] {
            let mut ids = vec![self.parked_id(&channel, "key", &key, what)];
            if let Some(provider_id) = &provider_id {
                ids.push(self.parked_id(&channel, "id", provider_id, what));
            }
            for parked in ids {
                if let Some(parked) = self.outbox.parked.remove(&parked) {
                    self.drop_row(Table::Parked, parked.id);
                    self.apply(id, &parked.statement);
                }
            }
        }
    }

    /// After a restart: parked statements whose message is no longer under way.
    pub(super) fn join_parked(&mut self) {
        self.drop_old_parked();
        let known: Vec<Id> =
            self.outbox.parked.values().filter_map(|p| self.message_of(&p.statement)).collect();
        for id in known {
            if self.messages.get(&id).is_some_and(|m| m.state != MessageState::Inflight) {
                self.join_parked_of(id);
            }
        }
    }

    /// A statement about a message. The stronger stays (RC2): delivered > negative > accepted.
    fn apply(&mut self, id: Id, statement: &Statement) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        if message.provider_id.is_none()
            && let Some(provider_id) = &statement.provider_id
        {
            message.provider_id = Some(provider_id.clone());
            let key = (message.to.lane.channel.clone(), provider_id.clone());
            self.outbox.by_provider.insert(key, id);
        }
        let (state, incident) = (message.state, message.members.first().copied());
        if statement.what == StatementKind::NotFound {
            return;
        }
        let said = self.outbox.stated.get(&id).copied();
        if said.is_some_and(|said| said >= statement.what) {
            return;
        }
        self.outbox.stated.insert(id, statement.what);
        self.audit(Note {
            actor: "system",
            kind: "receipt",
            incident,
            message: Some(id),
            cause: statement.code.as_deref(),
            change: Some(format!("{} · {:?}", state.word(), statement.what).to_lowercase()),
            ..Note::default()
        });
        match statement.what {
            StatementKind::NotFound => {}
            StatementKind::Accepted if state == MessageState::Uncertain => self.accepted(id, None),
            StatementKind::Accepted => {}
            StatementKind::Negative => {
                self.tally_receipt(id, true);
                self.negative(id);
            }
            StatementKind::Delivered => {
                self.tally_receipt(id, false);
                self.delivered(id);
            }
        }
    }

    fn tally_receipt(&mut self, id: Id, negative: bool) {
        let Some(message) = self.messages.get(&id) else { return };
        let channel = message.to.lane.channel.clone();
        let now = self.now;
        if self.outbox.receipts.entry(channel.clone()).or_default().add(negative, now) {
            self.trouble("channel.degraded", "channel", &channel, &[]);
        } else if self.is_degraded(&channel) {
            self.trouble_over("channel.degraded", &channel);
        }
    }

    /// The handset has it.
    fn delivered(&mut self, id: Id) {
        let Some(message) = self.messages.get(&id) else { return };
        let (to, notices) = (message.to.clone(), message.notices.clone());
        match message.state {
            MessageState::Uncertain => {
                self.accepted(id, None);
                self.finish(id);
            }
            MessageState::Accepted | MessageState::AcceptedFinal => self.finish(id),
            _ => {}
        }
        for notice in notices {
            let state = self.notices.get(&notice).map(|n| n.state);
            if state.is_some_and(|s| matches!(s, NoticeState::Open | NoticeState::Dead)) {
                self.reached(notice, &to.person, &to.lane);
            }
            self.proven(notice, &to.person, NoticeState::Delivered, to.class);
        }
        // It arrived although it was going to be tried again.
        let waits = self.messages.get(&id).is_some_and(|m| super::outbox::is_waiting(m.state));
        if waits {
            self.end_waiting(id, Cause::Covered);
        }
    }

    fn finish(&mut self, id: Id) {
        let accepted = |m: &crate::core::model::Message| {
            matches!(m.state, MessageState::Accepted | MessageState::AcceptedFinal)
        };
        if self.messages.get(&id).is_some_and(accepted) {
            self.go(id, MessageState::Delivered, None);
        }
    }

    /// The provider could not deliver it.
    fn negative(&mut self, id: Id) {
        let Some(message) = self.messages.get(&id) else { return };
        let notices = message.notices.clone();
        match message.state {
            MessageState::Accepted => {
                self.redial(id);
                self.go(id, MessageState::Failed, Some(Cause::Failed));
            }
            MessageState::Uncertain => {
                self.go(id, MessageState::Failed, Some(Cause::Failed));
            }
            // Its window was over: the notice went on without it long ago.
            _ => return,
        }
        for notice in notices {
            self.consider(notice, "permanent");
        }
    }

    /// No receipt came in time.
    pub(super) fn window_over(&mut self, id: Id) {
        let Some(message) = self.messages.get(&id) else { return };
        let notices = message.notices.clone();
        self.redial(id);
        self.go(id, MessageState::AcceptedFinal, None);
        for notice in notices {
            self.consider(notice, "silence");
        }
    }

    /// A call that nobody answered is placed once more; not one that only said that something is over (I17).
    fn redial(&mut self, id: Id) {
        let Some(message) = self.messages.get(&id).filter(|m| m.to.class == ChannelClass::Voice) else {
            return;
        };
        if self.sort_of(message) == Some(Sort::Over) {
            return;
        }
        let (to, class) = (message.to.clone(), message.priority);
        let needed: Vec<Id> = message.notices.iter().copied().filter(|n| self.is_needed(*n, &to)).collect();
        let Some(first) = needed.first().copied() else { return };
        let calls = self.outbox.of_notice.get(&first).into_iter().flatten();
        let calls = calls.filter_map(|m| self.messages.get(m)).filter(|m| m.to.lane == to.lane).count();
        if calls > 1 {
            return;
        }
        let Some(incident) = self.notices.get(&first).map(|n| n.incident) else { return };
        let group = self.key.id(&[b"redial", id.as_bytes()]);
        let at = self.now + REDIAL_AFTER;
        let again = self.new_message(group, to, class, incident, first, MessageState::Held);
        if let Some(message) = self.messages.get_mut(&again) {
            message.wake_at = Some(at);
        }
        for notice in needed {
            self.join(again, notice);
        }
        self.timers.arm(Timer::Group(again), Some(at));
    }

    /// Uncertain messages whose fate can be asked about now: ask each, then tell [`Alerting::answered`].
    pub fn uncertain(&self) -> Vec<Inquiry> {
        let due = self.outbox.asking.iter().filter(|(_, a)| !a.in_vain && a.ask_at <= self.now);
        due.filter_map(|(id, _)| self.inquiry(*id)).collect()
    }

    /// Accepted messages whose receipt is asked for now (RC4): ask each, then tell [`Alerting::answered`].
    pub fn unreceipted(&self) -> Vec<Inquiry> {
        let due = self.outbox.polls.due.iter().take_while(|(at, _)| *at <= self.now);
        due.filter_map(|(_, id)| self.inquiry(*id)).collect()
    }

    /// A message was taken and owes a receipt until then: it will be asked for, where that can be done.
    pub(super) fn poll_receipt(&mut self, id: Id, until: Instant) {
        let Some(message) = self.messages.get(&id) else { return };
        let can = self.setup.channels.get(&message.to.lane.channel).is_some_and(|card| {
            card.receipts == ReceiptPath::Polled || matches!(card.duplicate_key, DuplicateKey::Query)
        });
        if can {
            let earliest = message.accepted_at.unwrap_or(self.now) + Span::from_secs(1);
            self.outbox.polls.set(id, (until - POLL_BEFORE).max(earliest), false);
        }
    }

    /// The provider was asked for a receipt, whatever it said.
    fn polled(&mut self, id: Id) {
        let Some((_, last)) = self.outbox.polls.of.get(&id).copied() else { return };
        let state = self.messages.get(&id).map(|m| (m.state, m.accepted_at));
        match state {
            Some((MessageState::Accepted | MessageState::AcceptedFinal, Some(accepted))) if !last => {
                self.outbox.polls.set(id, (accepted + POLL_AGAIN).max(self.now + ASK_AGAIN), true);
            }
            _ => self.outbox.polls.over(id),
        }
    }

    fn inquiry(&self, id: Id) -> Option<Inquiry> {
        let message = self.messages.get(&id)?;
        Some(Inquiry {
            message: id,
            key: id.to_string(),
            channel: message.to.lane.channel.clone(),
            provider_id: message.provider_id.clone(),
            address: self.address_of(&message.to).unwrap_or_default(),
            sent_at: message.first_at.unwrap_or(message.planned_at),
        })
    }

    /// What a provider answered about an uncertain message; `None` when it could not be asked. Not found twice, ten
    /// seconds apart, and it goes again; two failed questions, and it is treated as if there were nobody to ask.
    pub fn answered(&mut self, id: Id, answer: Option<&Statement>, now: Instant) {
        self.set_now(now);
        let uncertain = self.messages.get(&id).is_some_and(|m| m.state == MessageState::Uncertain);
        let Some(asking) = self.outbox.asking.get_mut(&id).filter(|_| uncertain) else {
            if let Some(answer) = answer {
                self.take_statement(answer);
            }
            self.polled(id);
            return;
        };
        match answer {
            Some(answer) if answer.what == StatementKind::NotFound => match asking.not_found_at {
                Some(first) if first + ASK_AGAIN <= self.now => self.send_again(id),
                Some(_) => {}
                None => {
                    asking.not_found_at = Some(self.now);
                    asking.ask_at = self.now + ASK_AGAIN;
                    let give_up = self.now + ASK_AGAIN + ASK_GIVE_UP;
                    if let Some(message) = self.messages.get_mut(&id) {
                        message.wake_at = Some(give_up);
                    }
                    self.arm_message(id);
                }
            },
            Some(answer) => self.apply(id, answer),
            None => {
                asking.failed += 1;
                asking.ask_at = self.now + Span::from_secs(1);
                if asking.failed >= 2 {
                    asking.in_vain = true;
                    self.decide(id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_degraded_above_a_fifth_of_ten() {
        let mut tally = Tally::default();
        let at = Instant::from_secs;
        for n in 0..9 {
            assert!(!tally.add(n < 3, at(n)), "too few at {n}");
        }
        assert!(tally.add(false, at(9)), "three of ten");
        for n in 10..14 {
            tally.add(false, at(n));
        }
        assert!(!tally.add(false, at(14)), "three of fifteen are a fifth and not more");
        assert!(!tally.add(true, at(700)), "what is old does not count");
    }
}
