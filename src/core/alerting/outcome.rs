//! TX-E: what a channel answered, and what follows (`delivery_semantics` §10.1, §10.4, §10.5).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::alerting::timers::Timer;
use crate::core::alerting::{Alerting, Count, Facts, Note};
use crate::core::ids::{Id, InstallationKey};
use crate::core::model::{
    Cause, ChannelCard, ChannelClass, Class, DuplicateKey, Lane, MessageState, NoticeState, Outcome,
    OutcomeClass, Recipient, Subject, Table,
};
use crate::core::time::{Instant, Span};

use super::book::Key;
use super::breaker::{Gate, Rules};
use super::discharge::{Proof, proof, receipt_window};
use super::outbox::lane_key;
use super::receipt::Asking;
use super::uncertain::{ASK_GIVE_UP, Doubt, Remedy, remedy};

/// A lane that was too fast gets half of its budget for so long.
const HALVED_FOR: Span = Span::from_minutes(10);
/// A channel that says "too fast" and no more is left alone for so long.
const THROTTLED_FOR: Span = Span::MINUTE;

impl Alerting {
    /// Takes in what came of an attempt (TX-E). An outcome of an attempt that is over already is only recorded.
    pub fn outcome(&mut self, id: Id, n: u32, outcome: Outcome, now: Instant) {
        self.set_now(now);
        let Some(message) = self.messages.get(&id) else {
            self.counts.push(Count::LateOutcome);
            return;
        };
        let live = matches!(message.state, MessageState::Inflight | MessageState::Uncertain);
        let to = message.to.clone();
        if !live || message.attempts != n {
            self.counts.push(Count::LateOutcome);
            self.audit(Note {
                actor: "system",
                kind: "attempt.late",
                message: Some(id),
                cause: Some(outcome.class.word()),
                ..Note::default()
            });
            return;
        }
        let doubtful = message.state == MessageState::Uncertain;
        if doubtful && outcome.class == OutcomeClass::Unknown {
            return;
        }
        let (class, incident) = (message.priority, message.members.first().copied());
        let (mut after, mut claimed_at) = (Span::ZERO, self.now);
        if let Some(attempt) = self.attempts.get_mut(&(id, n)) {
            claimed_at = attempt.claimed_at;
            after = self.now.since(claimed_at);
            attempt.ended_at = Some(self.now);
            attempt.outcome = Some(outcome.clone());
            self.touch(Table::Attempt, (id, n));
        }
        self.counts.push(Count::Attempt {
            channel: to.lane.channel.clone(),
            class,
            outcome: outcome.class,
            after,
        });
        self.audit(Note {
            actor: "system",
            kind: "attempt.outcome",
            incident,
            message: Some(id),
            cause: Some(outcome.class.word()),
            change: outcome.code.clone(),
            detail: Some(serde_json::json!({ "n": n, "channel": to.lane.channel })),
            ..Note::default()
        });
        self.tell_breaker(&to, id, &outcome);
        match outcome.class {
            OutcomeClass::Accepted => self.accepted(id, outcome.provider_id),
            OutcomeClass::Throttled => {
                let until = self.now + outcome.wait.unwrap_or(THROTTLED_FOR);
                let halved = self.now + HALVED_FOR;
                self.outbox.budgets.entry(to.lane.clone()).or_default().throttle(until, halved);
                self.touch(Table::Alerting, lane_key("lane", &to.lane));
                self.throttle_account(&to.lane.channel, until, halved);
                self.try_again(id, until, "budget");
            }
            OutcomeClass::RecipientThrottled => {
                let until = outcome.wait.map_or(self.today().end, |wait| self.now + wait);
                self.outbox.budgets.entry(to.lane.clone()).or_default().mute(until);
                self.touch(Table::Alerting, lane_key("lane", &to.lane));
                self.counts.push(Count::BudgetOverflow { channel: to.lane.channel.clone() });
                self.try_again(id, until, "budget");
            }
            OutcomeClass::Transient => {
                let wait = self.back_off(id, n).max(outcome.wait.unwrap_or(Span::ZERO));
                let until = self.now + wait;
                self.try_again(id, until, "silence");
            }
            OutcomeClass::Unknown => self.uncertain_since(id, "timeout"),
            OutcomeClass::Credential | OutcomeClass::Config => {
                // It stays with its channel, in case somebody repairs that in time; the notice goes on without it.
                self.try_again(id, self.now, "permanent");
            }
            OutcomeClass::RecipientPermanent => {
                self.outbox.flagged.insert(to.lane.clone(), self.now);
                self.touch(Table::Alerting, lane_key("flag", &to.lane));
                self.fail(id, Cause::Failed);
            }
            OutcomeClass::ContentPermanent => {
                let minimal = self.messages.get(&id).is_some_and(|m| m.minimal);
                if minimal {
                    let code = outcome.code.clone().unwrap_or_default();
                    self.trouble("system.config", "template", &to.lane.channel, &[("code", &code)]);
                    self.fail(id, Cause::Failed);
                } else {
                    if let Some(message) = self.messages.get_mut(&id) {
                        message.minimal = true;
                    }
                    self.try_again(id, self.now, "permanent_minimal");
                }
            }
            OutcomeClass::NotSent => {
                self.give_back(&to.lane, claimed_at);
                let until = self.now + self.back_off(id, n);
                self.try_again(id, until, "not_sent");
            }
        }
    }

    /// Where the provider counts by account, all of it was too fast: a robot that is muted takes nothing for anybody.
    fn throttle_account(&mut self, channel: &Arc<str>, until: Instant, halved: Instant) {
        let counted = self.setup.channels.get(channel).is_some_and(|card| !card.account_caps.is_empty());
        if counted {
            self.outbox.accounts.entry(channel.clone()).or_default().throttle(until, halved);
            self.touch(Table::Alerting, Key::Text(format!("account/{channel}")));
        }
    }

    /// Decorrelated jitter (§10.5), from a keyed digest of message and number instead of chance.
    fn back_off(&mut self, id: Id, n: u32) -> Span {
        let (base, cap) = {
            let send = &self.setup.config.send;
            (send.retry_base.as_millis().max(1), send.retry_cap.as_millis().max(1))
        };
        let mac = self.key.mac(&[b"retry", id.as_bytes(), &n.to_be_bytes()]);
        let Some(message) = self.messages.get_mut(&id) else { return Span::from_millis(base) };
        let wait = back_off(base, cap, message.backoff_ms, chance(&mac));
        message.backoff_ms = wait;
        Span::from_millis(wait)
    }

    /// Another attempt at `until`, never past the end of the message. Urgent notices whose fallback lies before that do
    /// not wait for it.
    fn try_again(&mut self, id: Id, until: Instant, reason: &'static str) {
        self.forget_attempts(id);
        match self.messages.get(&id).map(|m| m.state) {
            Some(MessageState::Inflight) => self.go(id, MessageState::RetryWait, None),
            Some(MessageState::Uncertain) => self.go(id, MessageState::Ready, None),
            _ => return,
        }
        if !self.anyone_needs(id) {
            let cause = self.why_not(id);
            self.end_waiting(id, cause);
            return;
        }
        if self.is_stranded(id) {
            return;
        }
        let waits = self.messages.get_mut(&id).filter(|m| m.state == MessageState::RetryWait);
        if let Some(message) = waits {
            message.wake_at = Some(until);
            if until <= self.now {
                self.go(id, MessageState::Ready, None);
                self.label(id);
            } else {
                self.arm_message(id);
            }
        }
        let Some(message) = self.messages.get(&id) else { return };
        for notice in message.notices.clone() {
            let Some(found) = self.notices.get(&notice) else { continue };
            let urgent = found.priority <= Class::P1;
            let now = match reason {
                "permanent" => true,
                "budget" => urgent,
                "silence" => urgent && found.fallback_at.is_some_and(|at| at < until),
                _ => false,
            };
            let more = (found.started as usize) < found.waves.len();
            if now && more && found.state != NoticeState::Obsolete && !self.flows_elsewhere(notice, id) {
                let reason = if reason == "silence" { "retry" } else { reason };
                self.fall_back(notice, reason);
            }
        }
    }

    /// Whether another message of a notice is on its way on a channel that works.
    fn flows_elsewhere(&self, notice: Id, besides: Id) -> bool {
        self.live_messages(notice).any(|m| {
            let moving = matches!(
                m.state,
                MessageState::Inflight | MessageState::Held | MessageState::Ready | MessageState::Accepted
            );
            m.id != besides && moving && !self.is_shut(&m.to)
        })
    }

    /// Why a message is no longer needed: because of its notices, or because somebody was reached.
    fn why_not(&self, id: Id) -> Cause {
        let Some(message) = self.messages.get(&id) else { return Cause::Covered };
        let mut causes = message.notices.iter().map(|notice| self.why_needless(*notice, &message.to));
        let first = causes.next().unwrap_or(Cause::Covered);
        if causes.all(|c| c == first) { first } else { Cause::Covered }
    }

    /// The lane refused it for good: the notices go on without it.
    fn fail(&mut self, id: Id, cause: Cause) {
        let Some(message) = self.messages.get(&id) else { return };
        let notices = message.notices.clone();
        self.go(id, MessageState::Failed, Some(cause));
        for notice in notices {
            self.consider(notice, "permanent");
        }
    }

    /// The provider has it.
    pub(super) fn accepted(&mut self, id: Id, provider_id: Option<String>) {
        let send = &self.setup.config.send;
        let (sms, voice) = (send.receipt_window_sms, send.receipt_window_voice);
        let Some(message) = self.messages.get_mut(&id) else { return };
        let to = message.to.clone();
        let card = self.setup.channels.get(&to.lane.channel).cloned();
        message.accepted_at = Some(self.now);
        if let Some(provider_id) = provider_id {
            let key = (to.lane.channel.clone(), provider_id.clone());
            message.provider_id = Some(provider_id);
            self.outbox.by_provider.insert(key, id);
        }
        let window = card.as_ref().and_then(|card| receipt_window(card, sms, voice));
        message.receipt_until = window.map(|window| self.now + window);
        let (until, notices, class) = (message.receipt_until, message.notices.clone(), message.priority);
        self.forget_attempts(id);
        self.go(id, MessageState::Accepted, None);
        match until {
            Some(until) => {
                if let Some(message) = self.messages.get_mut(&id) {
                    message.wake_at = Some(until);
                }
                self.arm_message(id);
                self.poll_receipt(id, until);
            }
            None => self.go(id, MessageState::AcceptedFinal, None),
        }
        if class <= Class::P1 {
            let last = self.outbox.urgent.entry(to.person.clone()).or_default();
            last.push_back((self.now, id));
            if last.len() > 2 {
                last.pop_front();
            }
        }
        for notice in notices {
            let Some(found) = self.notices.get(&notice) else { continue };
            if found.reached.is_empty() && found.state == NoticeState::Open {
                let (family, class, after) =
                    (found.family.clone(), found.priority, self.now.since(found.caused_at));
                self.counts.push(Count::CrossingToAccept { family, class, after });
            }
            self.reached(notice, &to.person, &to.lane);
            self.prove_by_acceptance(notice, &to, card.as_ref());
        }
        self.join_parked_of(id);
    }

    fn prove_by_acceptance(&mut self, notice: Id, to: &Recipient, card: Option<&ChannelCard>) {
        let (Some(found), Some(card)) = (self.notices.get(&notice), card) else { return };
        match proof(card, found.priority) {
            Proof::Acceptance => self.proven(notice, &to.person, NoticeState::AcceptedFinal, to.class),
            Proof::Receipt => {}
            Proof::Weak if self.is_last_resort(notice, &to.person) => {
                let incident = found.incident;
                self.audit(Note {
                    actor: "system",
                    kind: "notice.last_class",
                    incident: Some(incident),
                    notice: Some(notice),
                    change: Some(format!("{} is all there is for {}", to.class.word(), to.person)),
                    ..Note::default()
                });
                self.proven(notice, &to.person, NoticeState::AcceptedFinal, to.class);
            }
            Proof::Weak => {}
        }
    }

    /// A message has something to do by itself.
    pub(super) fn message_timer(&mut self, id: Id) {
        let now = self.now;
        let Some(message) = self.messages.get(&id) else { return };
        let woken = message.wake_at.is_some_and(|at| at <= now);
        let over = message.expires_at <= now;
        match message.state {
            MessageState::Ready
            | MessageState::Deferred
            | MessageState::RetryWait
            | MessageState::Uncertain
                if over =>
            {
                let notices = message.notices.clone();
                self.go(id, MessageState::Expired, Some(Cause::Expired));
                for notice in notices {
                    self.consider(notice, "silence");
                }
            }
            MessageState::Deferred | MessageState::RetryWait if woken => {
                self.go(id, MessageState::Ready, None);
                self.label(id);
            }
            MessageState::Inflight if woken => self.uncertain_since(id, "timeout"),
            MessageState::Uncertain if woken => match self.outbox.asking.get_mut(&id) {
                Some(asking) if !asking.in_vain => {
                    asking.in_vain = true;
                    self.decide(id);
                }
                _ => self.send_marked(id),
            },
            MessageState::Accepted if woken => self.window_over(id),
            _ => self.arm_message(id),
        }
    }

    /// What was under way while its lane was removed, and would be tried again, is planned anew instead (I50). Answers
    /// whether that is so.
    fn is_stranded(&mut self, id: Id) -> bool {
        let Some(message) = self.messages.get(&id) else { return false };
        if self.address_of(&message.to).is_some() {
            return false;
        }
        let notices = message.notices.clone();
        self.end_waiting(id, Cause::LaneRemoved);
        for notice in notices {
            self.replan(notice, Cause::LaneRemoved);
        }
        true
    }

    /// A ready message on a channel that lets nothing through is deferred.
    pub(super) fn label(&mut self, id: Id) {
        if self.is_stranded(id) {
            return;
        }
        let Some(message) = self.messages.get(&id) else { return };
        if message.state == MessageState::Ready && self.is_shut(&message.to.clone()) {
            self.go(id, MessageState::Deferred, None);
        }
    }

    /// A process died during an attempt.
    pub(super) fn interrupted(&mut self, id: Id) {
        let limit = self.setup.config.send.crash_attempts.max(1);
        let Some(message) = self.messages.get_mut(&id) else { return };
        message.deaths += 1;
        let poisoned = message.deaths >= limit;
        self.go(id, MessageState::Uncertain, None);
        if poisoned {
            self.quarantine(id);
        } else {
            self.uncertain_since(id, "crash");
        }
    }

    /// Put aside: it kills the process, or its text cannot be made. The plainest text goes instead, on the same lane.
    pub(super) fn quarantine(&mut self, id: Id) {
        let Some(message) = self.messages.get(&id) else { return };
        let (to, class, minimal, was) =
            (message.to.clone(), message.priority, message.minimal, message.notices.clone());
        let needed: Vec<Id> = was.iter().copied().filter(|n| self.is_needed(*n, &to)).collect();
        self.go(id, MessageState::Quarantined, Some(Cause::Quarantined));
        self.trouble("system.poison", "message", &Arc::from(id.to_string()), &[]);
        let first = needed.first().and_then(|n| self.notices.get(n)).map(|n| (n.id, n.incident));
        match first {
            Some((notice, incident)) if !minimal => {
                let group = self.key.id(&[b"minimal", id.as_bytes()]);
                let plain = self.new_message(group, to, class, incident, notice, MessageState::Held);
                if let Some(message) = self.messages.get_mut(&plain) {
                    message.minimal = true;
                }
                for notice in needed {
                    self.join(plain, notice);
                }
                self.go(plain, MessageState::Ready, None);
                self.label(plain);
            }
            _ => {
                for notice in was {
                    self.consider(notice, "permanent");
                }
            }
        }
    }

    /// An attempt may or may not have been taken.
    fn uncertain_since(&mut self, id: Id, cause: &'static str) {
        self.go(id, MessageState::Uncertain, None);
        let Some(message) = self.messages.get(&id) else { return };
        let (channel, incident) = (message.to.lane.channel.clone(), message.members.first().copied());
        let key = self.setup.channels.get(&channel).map_or(DuplicateKey::None, |card| card.duplicate_key);
        if matches!(key, DuplicateKey::None) {
            self.counts.push(Count::DuplicatePossible { channel, cause });
        }
        self.audit(Note {
            actor: "system",
            kind: "attempt.uncertain",
            incident,
            message: Some(id),
            cause: Some(cause),
            ..Note::default()
        });
        self.join_parked_of(id);
        self.decide(id);
    }

    /// §10.4 for one message.
    pub(super) fn decide(&mut self, id: Id) {
        let Some(message) = self.messages.get(&id).filter(|m| m.state == MessageState::Uncertain) else {
            return;
        };
        let card = self.setup.channels.get(&message.to.lane.channel);
        let doubt = Doubt {
            key: card.map_or(DuplicateKey::None, |card| card.duplicate_key),
            class: message.priority,
            first_at: message.first_at.unwrap_or(message.planned_at),
            marked: message.marked,
            covered: !self.anyone_needs(id),
            asked_in_vain: self.outbox.asking.get(&id).is_some_and(|a| a.in_vain),
        };
        let hold = self.setup.config.send.uncertain_hold.of(message.priority);
        let notices = message.notices.clone();
        match remedy(doubt, hold, self.now) {
            Remedy::Again => {
                self.go(id, MessageState::Ready, None);
                self.label(id);
            }
            Remedy::Ask => {
                self.outbox.asking.entry(id).or_insert(Asking::since(self.now));
                self.wake_message(id, self.now + ASK_GIVE_UP);
            }
            Remedy::Hold(hold) if hold.is_zero() => self.send_marked(id),
            Remedy::Hold(hold) => self.wake_message(id, self.now + hold),
            Remedy::GiveUp => {
                self.go(id, MessageState::Failed, Some(Cause::Failed));
                for notice in notices {
                    self.consider(notice, "permanent");
                }
            }
            Remedy::Covered => {
                let cause = self.why_not(id);
                self.end_waiting(id, cause);
            }
            Remedy::LetGo => {
                self.go(id, MessageState::Expired, Some(Cause::Expired));
                for notice in notices {
                    self.consider(notice, "silence");
                }
            }
        }
    }

    fn wake_message(&mut self, id: Id, at: Instant) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.wake_at = Some(at);
        }
        self.touch(Table::Message, id);
        self.arm_message(id);
    }

    /// The hold is over and nothing was heard: once more, marked.
    fn send_marked(&mut self, id: Id) {
        if !self.anyone_needs(id) {
            let cause = self.why_not(id);
            self.end_waiting(id, cause);
            return;
        }
        if let Some(message) = self.messages.get_mut(&id) {
            message.marked = true;
        }
        self.forget_attempts(id);
        self.outbox.asking.remove(&id);
        self.go(id, MessageState::Ready, None);
        self.label(id);
    }

    /// Another attempt without a mark: the provider knows nothing of the one before.
    pub(super) fn send_again(&mut self, id: Id) {
        self.forget_attempts(id);
        self.outbox.asking.remove(&id);
        self.go(id, MessageState::Ready, None);
        self.label(id);
    }

    fn give_back(&mut self, lane: &Lane, claimed_at: Instant) {
        if let Some(budget) = self.outbox.budgets.get_mut(lane) {
            budget.give_back(claimed_at);
            self.touch(Table::Alerting, lane_key("lane", lane));
        }
        if let Some(budget) = self.outbox.accounts.get_mut(&lane.channel) {
            budget.give_back(claimed_at);
            self.touch(Table::Alerting, Key::Text(format!("account/{}", lane.channel)));
        }
    }

    /// The name of the breaker of a lane: a robot has its own, everything else shares that of its account.
    pub(super) fn breaker_key(to: &Recipient) -> Arc<str> {
        match to.class {
            ChannelClass::ChatRobot => Arc::from(format!("{}#{}", to.lane.channel, to.lane.address)),
            _ => to.lane.channel.clone(),
        }
    }

    /// Whether the breaker of a lane lets nothing through but probes.
    pub(super) fn is_shut(&self, to: &Recipient) -> bool {
        !self.outbox.breakers.is_empty()
            && self.outbox.breakers.get(&Alerting::breaker_key(to)).is_some_and(|b| b.is_shut())
    }

    /// Whether something may leave on a lane now.
    pub(super) fn gate(&self, to: &Recipient) -> Gate {
        if self.outbox.breakers.is_empty() {
            return Gate::Open;
        }
        self.outbox.breakers.get(&Alerting::breaker_key(to)).map_or(Gate::Open, |b| b.gate(self.now))
    }

    /// A message that may have been the probe of a breaker ended without an answer.
    pub(super) fn probe_over(&mut self, lane: &Lane, id: Id) {
        if self.outbox.breakers.is_empty() {
            return;
        }
        let robot = Arc::from(format!("{}#{}", lane.channel, lane.address));
        for key in [lane.channel.clone(), robot] {
            if let Some(breaker) = self.outbox.breakers.get_mut(&key) {
                breaker.probe_over(id);
            }
        }
    }

    /// Channels whose breaker may probe while nothing waits that could (§10.5): each is to be tried without a message,
    /// then [`Alerting::canary`] told. Those of `without` know no such thing, and wait for a message.
    pub fn canaries(&mut self, without: &BTreeSet<Arc<str>>, now: Instant) -> Vec<Arc<str>> {
        self.set_now(now);
        let mut found = Vec::new();
        for (key, breaker) in &mut self.outbox.breakers {
            let Some(card) = self.setup.channels.get(key) else { continue };
            let waits = self.outbox.queues.get(key).is_some_and(|queue| !queue.is_empty());
            if !waits && !without.contains(key) && breaker.gate(self.now) == Gate::Probe {
                breaker.probes(canary_id(&self.key, key));
                found.push(card.name.clone());
            }
        }
        found
    }

    /// What came of a try without a message; `None` where the channel knows no such thing.
    pub fn canary(&mut self, channel: &Arc<str>, outcome: Option<&Outcome>, now: Instant) {
        self.set_now(now);
        let id = canary_id(&self.key, channel);
        let Some(card) = self.setup.channels.get(channel) else { return };
        let Some(outcome) = outcome else {
            if let Some(breaker) = self.outbox.breakers.get_mut(channel) {
                breaker.probe_over(id);
            }
            return;
        };
        let lane = Lane { channel: channel.clone(), address: id };
        let to = Recipient { person: "".into(), lane, class: card.class };
        self.tell_breaker(&to, id, outcome);
    }

    /// The channels through which nothing but probes goes now.
    pub fn shut_channels(&self) -> impl Iterator<Item = &Arc<str>> {
        self.outbox.breakers.iter().filter(|(_, breaker)| breaker.is_shut()).map(|(channel, _)| channel)
    }

    fn tell_breaker(&mut self, to: &Recipient, id: Id, outcome: &Outcome) {
        let key = Alerting::breaker_key(to);
        let send = &self.setup.config.send;
        let rules = Rules {
            failures: send.breaker_failures.max(1),
            cool_down: send.breaker_cool_down,
            cap: send.breaker_cap,
        };
        let mac = self.key.mac(&[b"breaker", key.as_bytes(), &self.now.as_millis().to_be_bytes()]);
        let jitter = i64::try_from(chance(&mac) % 401).unwrap_or(200) - 200;
        let breaker = self.outbox.breakers.entry(key.clone()).or_default();
        let at_once = matches!(outcome.class, OutcomeClass::Credential | OutcomeClass::Config);
        match outcome.class {
            OutcomeClass::Throttled | OutcomeClass::NotSent => breaker.probe_over(id),
            OutcomeClass::Accepted
            | OutcomeClass::RecipientThrottled
            | OutcomeClass::RecipientPermanent
            | OutcomeClass::ContentPermanent => {
                if breaker.good(self.now) {
                    self.breaker_closed(&key, to);
                }
            }
            OutcomeClass::Transient
            | OutcomeClass::Unknown
            | OutcomeClass::Credential
            | OutcomeClass::Config => {
                if breaker.bad(rules, at_once, jitter, self.now) {
                    let again = breaker.rounds() > 1;
                    let probe_at = breaker.probe_at();
                    self.timers.arm(Timer::Breaker(key.clone()), probe_at);
                    self.touch(Table::Alerting, Key::Text(format!("breaker/{key}")));
                    // A breath of trouble is not worth an incident; a refusal, or a probe that failed, is.
                    if at_once || again {
                        let code = outcome.code.clone().unwrap_or_default();
                        let texts = [("outcome", outcome.class.word()), ("code", &*code)];
                        self.trouble("channel.down", "channel", &to.lane.channel, &texts);
                    }
                    if !again {
                        self.breaker_opened(&key, to);
                    }
                }
            }
        }
    }

    /// What waits on a channel that was shut is deferred; the urgent does not wait for it.
    fn breaker_opened(&mut self, key: &Arc<str>, to: &Recipient) {
        self.audit(Note {
            actor: "system",
            kind: "breaker.opened",
            detail: Some(serde_json::json!({ "breaker": key })),
            ..Note::default()
        });
        let mut urgent = Vec::new();
        for id in self.waiting_on(key, to) {
            let Some(message) = self.messages.get(&id) else { continue };
            if message.priority <= Class::P1 {
                urgent.extend(message.notices.iter().copied());
            }
            if message.state == MessageState::Ready {
                self.go(id, MessageState::Deferred, None);
            }
        }
        for notice in urgent {
            let open = self.notices.get(&notice).is_some_and(|n| {
                n.state == NoticeState::Open
                    && n.priority <= Class::P1
                    && (n.started as usize) < n.waves.len()
            });
            let flows = self.live_messages(notice).any(|m| !self.is_shut(&m.to));
            if open && !flows {
                self.fall_back(notice, "breaker");
            }
        }
    }

    fn breaker_closed(&mut self, key: &Arc<str>, to: &Recipient) {
        self.audit(Note {
            actor: "system",
            kind: "breaker.closed",
            detail: Some(serde_json::json!({ "breaker": key })),
            ..Note::default()
        });
        self.timers.arm(Timer::Breaker(key.clone()), None);
        self.drop_row(Table::Alerting, Key::Text(format!("breaker/{key}")));
        let behind: BTreeSet<Id> = self.outbox.behind.values().flatten().copied().collect();
        for id in self.waiting_on(key, to) {
            let deferred = self.messages.get(&id).is_some_and(|m| m.state == MessageState::Deferred);
            if deferred && !behind.contains(&id) {
                self.go(id, MessageState::Ready, None);
            }
        }
        if to.class == ChannelClass::ChatRobot
            && let Some(queue) = self.outbox.queues.get_mut(&to.lane.channel)
        {
            queue.unblock(to.lane.address);
        }
        self.trouble_over("channel.down", &to.lane.channel);
    }

    /// What waits behind a breaker.
    fn waiting_on(&self, key: &Arc<str>, to: &Recipient) -> Vec<Id> {
        let Some(queue) = self.outbox.queues.get(&to.lane.channel) else { return Vec::new() };
        if *key == to.lane.channel {
            queue.iter().collect()
        } else {
            queue.lane(to.lane.address).map(|rank| rank.message).collect()
        }
    }

    /// The system's own trouble with `id`: opened once, until it is over.
    pub(super) fn trouble(&mut self, family: &str, kind: &str, id: &Arc<str>, texts: &[(&str, &str)]) {
        let known = self
            .outbox
            .trouble
            .get(&(Arc::from(family), id.clone()))
            .and_then(|known| self.incidents.get(known))
            .filter(|known| !known.is_resolved());
        let generation = known.map_or_else(
            || Arc::from(format!("{}+{}", self.now.as_millis(), self.seq)),
            |i| i.generation.clone(),
        );
        let subject = Subject { kind: Arc::from(kind), source: Arc::from("shiftbell"), id: id.clone() };
        let facts = Facts {
            since: Some(self.now),
            texts: texts.iter().map(|(k, v)| (Arc::from(*k), (*v).to_owned())).collect(),
            ..Facts::default()
        };
        let family: Arc<str> = Arc::from(family);
        let incident = self.open_system(&family, subject, generation, &facts);
        self.outbox.trouble.insert((family, id.clone()), incident);
    }

    /// That trouble is over.
    pub(super) fn trouble_over(&mut self, family: &str, id: &Arc<str>) {
        if let Some(incident) = self.outbox.trouble.remove(&(Arc::from(family), id.clone())) {
            self.close_system(incident);
        }
    }
}

/// What stands for a message where a channel is tried without one.
fn canary_id(key: &InstallationKey, channel: &str) -> Id {
    key.id(&[b"canary", channel.as_bytes()])
}

/// A number out of a digest.
fn chance(mac: &[u8; 32]) -> u64 {
    mac[..8].iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// The wait before the next attempt: between the base and three times the last one, at most the cap; all in ms.
fn back_off(base: i64, cap: i64, last: i64, chance: u64) -> i64 {
    let top = last.max(base).saturating_mul(3).min(cap).max(base);
    let width = u64::try_from(top - base).unwrap_or(0) + 1;
    (base + i64::try_from(chance % width).unwrap_or(0)).min(cap.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wait_grows_to_its_cap() {
        for (base, cap, last, chance, want) in [
            (1000, 60_000, 0, 0, 1000),
            (1000, 60_000, 0, u64::MAX, 1000 + i64::try_from(u64::MAX % 2001).unwrap()),
            (1000, 60_000, 3000, 8000, 9000),
            (1000, 60_000, 3000, 8001, 1000),
            (1000, 60_000, 60_000, 59_000, 60_000),
            (1000, 500, 0, 7, 500),
        ] {
            assert_eq!(back_off(base, cap, last, chance), want, "{base} {cap} {last} {chance}");
        }
    }

    proptest! {
        #[test]
        fn the_wait_is_bounded(base in 1_i64..10_000, cap in 1_i64..100_000, last in 0_i64..200_000, chance: u64) {
            let wait = back_off(base, cap, last, chance);
            prop_assert!(wait >= base.min(cap) && wait <= cap.max(1), "{}", wait);
        }
    }
}
