//! TX-D: what may leave now (`delivery_semantics` §7.5, §8.5, §10.5, §14).
//!
//! A claim looks at everything again: incident, person, silence, lane, what went before it, breaker and budget. Only
//! then the text is made, frozen and kept with the attempt.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::core::alerting::{Alerting, Claim, Count, Note, Renderer, Room, json_row};
use crate::core::ids::Id;
use crate::core::model::{
    Attempt, Body, Cause, ChannelCard, Class, DuplicateKey, MessageState, NoticeState, Purpose, ReceiptPath,
    Recipient, Row, Table,
};
use crate::core::time::{Instant, Span};

use super::book::Key;
use super::breaker::Gate;
use super::budget::{Limit, Today};
use super::config::RateConfig;
use super::group::Sort;
use super::outbox::{is_waiting, lane_key};
use super::waves::serves_all;

/// More of one family than this wait on a lane: they go as one digest (§10.5).
const SINGLES: usize = 3;
/// An urgent message that was accepted for a person this lately lets others wait for the next token (§8.5).
const TOLD_LATELY: Span = Span::MINUTE;
/// While the medium is slow, what is not urgent waits so long at a time.
const PUT_OFF: Span = Span::MINUTE;
/// After its deadline an attempt without an outcome is uncertain.
const MARGIN: Span = Span::from_secs(2);

/// What became of a look at one message.
enum Look {
    /// It leaves.
    Go(Box<Claim>),
    /// It does not, and something has changed: look at the next.
    Next,
    /// Nothing of this channel may leave now.
    Stop,
}

impl Alerting {
    /// Claims messages that may leave once what [`Alerting::drain`] gives is kept, at most as many as `room` says.
    pub fn claim(&mut self, room: &Room, renderer: &dyn Renderer, now: Instant) -> Vec<Claim> {
        self.set_now(now);
        let mut claims = Vec::new();
        let every = self.setup.config.budget.aging;
        for (channel, room) in room {
            let Some(card) = self.setup.channels.get(channel) else { continue };
            let Some(queue) = self.outbox.queues.get_mut(channel) else { continue };
            queue.pass(every, self.now);
            if queue.is_empty() {
                continue;
            }
            let card = card.clone();
            let under_way = self.outbox.inflight.get(channel).copied().unwrap_or(0);
            let mut left = (*room).min(card.max_inflight.saturating_sub(under_way));
            while left > 0 {
                let Some(queue) = self.outbox.queues.get(channel) else { break };
                let Some((rank, address)) = queue.first() else { break };
                match self.look(rank.message, rank.class, address, &card, renderer) {
                    Look::Go(claim) => {
                        claims.push(*claim);
                        left -= 1;
                    }
                    Look::Next => {}
                    Look::Stop => break,
                }
            }
        }
        claims
    }

    fn look(
        &mut self,
        id: Id,
        aged: Class,
        address: Id,
        card: &ChannelCard,
        renderer: &dyn Renderer,
    ) -> Look {
        let Some(message) = self.messages.get(&id) else {
            if let Some(queue) = self.outbox.queues.get_mut(&card.name) {
                queue.remove(id);
            }
            return Look::Next;
        };
        let to = message.to.clone();
        if message.expires_at > self.now && self.is_put_off(message.priority) {
            self.defer(id, self.now + PUT_OFF);
            if let Some(queue) = self.outbox.queues.get_mut(&card.name) {
                queue.remove(id);
            }
            return Look::Next;
        }
        if message.expires_at <= self.now {
            self.message_timer(id);
            return Look::Next;
        }
        if !self.sift(id) {
            return Look::Next;
        }
        if let Some(other) = self.goes_after(id) {
            self.wait_behind(id, other);
            return Look::Next;
        }
        let probe = match self.gate(&to) {
            Gate::Open => false,
            Gate::Probe => true,
            Gate::Shut(at) => {
                self.label(id);
                let key = Alerting::breaker_key(&to);
                if key == to.lane.channel {
                    return Look::Stop;
                }
                let until = at.unwrap_or(self.now + self.setup.config.send.timeout + MARGIN);
                return self.block(&to, address, until);
            }
        };
        self.bundle(id, &to, address);
        let Some(message) = self.messages.get(&id).filter(|m| !m.state.is_terminal()) else {
            return Look::Next;
        };
        let aged = aged.min(message.priority);
        if let Some(until) = self.account_wait(card, aged) {
            // Its provider has shut it: what is urgent does not wait for that (S13).
            let muted =
                self.outbox.accounts.get(&card.name).is_some_and(|account| account.is_muted(self.now));
            if muted && aged <= Class::P1 {
                self.overflows(id, until);
                return self.block(&to, address, until);
            }
            self.defer(id, until);
            return Look::Stop;
        }
        if let Some(until) = self.lane_wait(card, &to, aged) {
            self.overflows(id, until);
            return self.block(&to, address, until);
        }
        self.send(id, card, probe, renderer).map_or(Look::Next, |claim| Look::Go(Box::new(claim)))
    }

    fn block(&mut self, to: &Recipient, address: Id, until: Instant) -> Look {
        if let Some(queue) = self.outbox.queues.get_mut(&to.lane.channel) {
            queue.block(address, until);
        }
        Look::Next
    }

    fn wait_behind(&mut self, id: Id, other: Id) {
        self.outbox.behind.entry(other).or_default().insert(id);
        if self.messages.get(&id).is_some_and(|m| m.state == MessageState::Ready) {
            self.go(id, MessageState::Deferred, None);
        }
        if let Some(message) = self.messages.get(&id)
            && let Some(queue) = self.outbox.queues.get_mut(&message.to.lane.channel)
        {
            queue.remove(id);
        }
    }

    /// The last attempt of a message that goes again byte by byte, if it does: its provider may have taken it, and knows
    /// copies by key or by text (§10.4). What joined it would not be in its text, and what it joined would be a copy
    /// under another key.
    pub(super) fn frozen(&self, id: Id) -> Option<&Attempt> {
        let message = self.messages.get(&id)?;
        let last = self.attempts.get(&(id, message.attempts)).filter(|last| last.may_be_taken())?;
        let card = self.setup.channels.get(&message.to.lane.channel)?;
        let knows =
            matches!(card.duplicate_key, DuplicateKey::Strong { .. } | DuplicateKey::ContentWindow { .. });
        knows.then_some(last)
    }

    /// Whether nothing may join a message: it goes again byte by byte, or it is a marked copy of which the provider tells
    /// by its key alone. What that says may be of the first one, and proves nothing of what joined the second (I17).
    pub(super) fn is_closed(&self, id: Id) -> bool {
        let Some(message) = self.messages.get(&id) else { return false };
        let by_key = |card: &ChannelCard| {
            matches!(card.duplicate_key, DuplicateKey::Query) || card.receipts != ReceiptPath::None
        };
        let copy = message.marked && message.attempts > 0;
        copy && self.setup.channels.get(&message.to.lane.channel).is_some_and(by_key)
            || self.frozen(id).is_some()
    }

    /// An SMS or a call takes everything along that the person has open; of other lanes, more than three of one family
    /// go as one.
    fn bundle(&mut self, id: Id, to: &Recipient, address: Id) {
        if self.most() == 1 || self.is_closed(id) {
            return;
        }
        let Some(sort) = self.messages.get(&id).and_then(|m| self.sort_of(m)).filter(|s| s.mixes()) else {
            return;
        };
        let waiting: Vec<Id> = self
            .outbox
            .queues
            .get(&to.lane.channel)
            .map(|queue| queue.lane(address).map(|rank| rank.message).filter(|m| *m != id).collect())
            .unwrap_or_default();
        let waiting: Vec<Id> = waiting
            .into_iter()
            .filter(|m| {
                self.messages
                    .get(m)
                    .is_some_and(|m| m.to.person == to.person && self.sort_of(m) == Some(sort))
                    && self.frozen(*m).is_none()
                    && self.goes_after(*m).is_none()
            })
            .collect();
        if serves_all(to.class) {
            for other in waiting {
                if self.sift(other) {
                    self.absorb(id, other);
                }
            }
            let open: Vec<Id> = self.outbox.open_to.get(&to.person).into_iter().flatten().copied().collect();
            for notice in open {
                let Some(found) = self.notices.get(&notice) else { continue };
                let fits = Sort::of(found.purpose) == sort
                    && !found.reached.contains(&to.person)
                    && self.standing(found, &to.person).is_ok()
                    // That it is over is said only where it was told (I17).
                    && (sort != Sort::Over || found.waves.iter().flatten().any(|r| r.lane == to.lane))
                    && self.messages.get(&id).is_some_and(|m| m.notices.len() < self.most());
                // Who was told by this lane already is not told again by it, nor of an earlier step (O1); and a dead
                // letter does not go where the dead one went (I3).
                let told = self.outbox.of_notice.get(&notice).into_iter().flatten().any(|m| {
                    self.messages.get(m).is_some_and(|m| m.to.lane == to.lane && !is_waiting(m.state))
                });
                let told = told
                    || self.is_overtaken(found, to, Some(id))
                    || self.comes_after(notice, to, id).is_some()
                    || self.dead_lanes(found.incident).contains(&to.lane);
                if fits && !told {
                    self.join_ready(id, notice);
                }
            }
            return;
        }
        let family_of = |m: &Id| -> Option<Arc<str>> {
            let message = self.messages.get(m)?;
            message.notices.iter().find_map(|n| self.notices.get(n)).map(|n| n.family.clone())
        };
        let mut families: BTreeMap<Arc<str>, Vec<Id>> = BTreeMap::new();
        for other in std::iter::once(id).chain(waiting) {
            if let Some(family) = family_of(&other) {
                families.entry(family).or_default().push(other);
            }
        }
        let Some(own) = family_of(&id) else { return };
        let Some(same) = families.remove(&own).filter(|same| same.len() > SINGLES) else { return };
        for other in same.into_iter().filter(|other| *other != id) {
            if self.sift(other) && !self.absorb(id, other) {
                break;
            }
        }
    }

    /// A notice without a message on this lane joins a message that is about to leave.
    fn join_ready(&mut self, id: Id, notice: Id) {
        let before = self.messages.get(&id).map(|m| m.priority);
        self.join(id, notice);
        if before != self.messages.get(&id).map(|m| m.priority) {
            self.requeue(id);
        }
    }

    /// Its place in the order has changed.
    pub(super) fn requeue(&mut self, id: Id) {
        let state = self.messages.get(&id).map(|m| m.state);
        if matches!(state, Some(MessageState::Ready | MessageState::Deferred)) {
            self.enqueue(id);
        }
    }

    /// The local day around now.
    pub(super) fn today(&self) -> Today {
        let zoned = self.now.to_timestamp().to_zoned(self.setup.zone.clone());
        let start = zoned.start_of_day().ok();
        let end = start.as_ref().and_then(|s| s.tomorrow().ok());
        let instant = |z: jiff::Zoned| Instant::from_timestamp(z.timestamp());
        match (start, end) {
            (Some(start), Some(end)) => Today { start: instant(start), end: instant(end) },
            // At the ends of all time.
            _ => Today { start: self.now, end: self.now + Span::DAY },
        }
    }

    fn rates(&self, card: &ChannelCard) -> &[RateConfig] {
        use crate::core::model::ChannelClass::{ChatApp, ChatRobot, Email, Sms, Voice, Webhook};
        let budget = &self.setup.config.budget;
        match card.class {
            ChatApp => &budget.chat_app,
            ChatRobot => &budget.chat_robot,
            Sms => &budget.sms,
            Voice => &budget.voice,
            Email => &budget.email,
            Webhook => &budget.webhook,
        }
    }

    fn lane_limits<'a>(&'a self, card: &'a ChannelCard) -> impl Iterator<Item = Limit> + 'a {
        let own = self.rates(card).iter().map(|r| (r.count, r.per));
        own.chain(card.lane_caps.iter().map(|r| (r.count, r.per)))
    }

    fn reserve(&self, aged: Class) -> u8 {
        if aged <= Class::P1 { 0 } else { self.setup.config.budget.reserve_percent }
    }

    fn lane_wait(&self, card: &ChannelCard, to: &Recipient, aged: Class) -> Option<Instant> {
        let budget = self.outbox.budgets.get(&to.lane)?;
        budget.wait(self.lane_limits(card), self.reserve(aged), self.today(), self.now)
    }

    fn account_wait(&self, card: &ChannelCard, aged: Class) -> Option<Instant> {
        let budget = self.outbox.accounts.get(&card.name)?;
        let limits = card.account_caps.iter().map(|r| (r.count, r.per));
        budget.wait(limits, self.reserve(aged), self.today(), self.now)
    }

    /// It waits for a token.
    fn defer(&mut self, id: Id, until: Instant) {
        if self.messages.get(&id).is_some_and(|m| m.state == MessageState::Ready) {
            self.go(id, MessageState::Deferred, None);
        }
        if let Some(message) = self.messages.get_mut(&id) {
            message.wake_at = Some(until);
        }
        self.touch(Table::Message, id);
        self.arm_message(id);
    }

    /// §8.5: the lane of a message is empty until then.
    fn overflows(&mut self, id: Id, until: Instant) {
        let known = self.messages.get(&id).is_some_and(|m| m.wake_at == Some(until));
        self.defer(id, until);
        let Some(message) = self.messages.get(&id).filter(|_| !known) else { return };
        let (to, notices) = (message.to.clone(), message.notices.clone());
        self.counts.push(Count::BudgetOverflow { channel: to.lane.channel.clone() });
        if message.priority > Class::P1 {
            return;
        }
        if serves_all(to.class) {
            self.trouble("delivery.budget", "channel", &to.lane.channel, &[]);
        }
        for notice in notices {
            self.overflowed(notice, &to, until);
        }
    }

    /// §8.5 for one urgent notice whose lane is empty until then: where the person was told something else urgent in the
    /// last minute it joins the digest that leaves with the next token, and its fallback counts from there; otherwise
    /// the next channel goes at once.
    pub(super) fn overflowed(&mut self, notice: Id, to: &Recipient, until: Instant) {
        let Some(found) = self.notices.get(&notice) else { return };
        let open = found.state == NoticeState::Open && found.priority <= Class::P1;
        if !open || (found.started as usize) >= found.waves.len() {
            return;
        }
        let narrow = serves_all(to.class);
        let own = self.outbox.of_notice.get(&notice);
        let another = |(at, message): &(Instant, Id)| {
            *at + TOLD_LATELY > self.now && own.is_none_or(|own| !own.contains(message))
        };
        let lately = self.outbox.urgent.get(&to.person).is_some_and(|last| last.iter().any(another));
        let after = until + self.setup.config.send.fallback_after.of(found.priority);
        let in_time = found.bound_at.is_some_and(|bound| after < bound);
        if narrow && lately && in_time {
            let later = found.fallback_at.map(|at| at.max(after));
            if let Some(found) = self.notices.get_mut(&notice) {
                found.fallback_at = later;
            }
            self.touch(Table::Notice, notice);
            self.arm_notice(notice);
        } else if narrow || found.fallback_at.is_some_and(|at| at < until) {
            self.fall_back(notice, "budget");
        }
    }

    /// The claim itself: token, number, frozen body.
    fn send(&mut self, id: Id, card: &ChannelCard, probe: bool, renderer: &dyn Renderer) -> Option<Claim> {
        let message = self.messages.get(&id)?;
        let address = self.address_of(&message.to)?;
        let n = message.attempts + 1;
        // Only what may have been taken is repeated byte by byte; the rest is told as it is now.
        let kept = self.frozen(id);
        let body = match kept {
            Some(kept) => kept.body.clone(),
            None => match self.text(id, card, renderer) {
                Some(body) => body,
                None => {
                    self.go(id, MessageState::Quarantined, Some(Cause::Quarantined));
                    return None;
                }
            },
        };
        let message = self.messages.get(&id)?;
        if message.state.is_terminal() {
            return None;
        }
        let versions =
            message.members.iter().filter_map(|m| Some((*m, self.incidents.get(m)?.version))).collect();
        let (to, priority, marked) = (message.to.clone(), message.priority, message.marked);
        let thread = message.members.first().copied().unwrap_or(id);
        self.forget_attempts(id);
        if self.messages.get(&id).is_some_and(|m| m.state == MessageState::Deferred) {
            self.go(id, MessageState::Ready, None);
        }
        self.go(id, MessageState::Inflight, None);
        let deadline = self.now + self.setup.config.send.timeout;
        let now = self.now;
        if let Some(message) = self.messages.get_mut(&id) {
            message.attempts = n;
            message.first_at.get_or_insert(now);
            message.wake_at = Some(deadline + MARGIN);
        }
        self.arm_message(id);
        *self.outbox.inflight.entry(card.name.clone()).or_default() += 1;
        self.debit(card, &to);
        if probe && let Some(breaker) = self.outbox.breakers.get_mut(&Alerting::breaker_key(&to)) {
            breaker.probes(id);
        }
        let roster_revision = self.setup.roster.revision;
        let attempt = Attempt {
            message: id,
            n,
            epoch: self.epoch,
            claimed_at: now,
            deadline,
            body: body.clone(),
            outcome: None,
            ended_at: None,
            versions,
            roster_revision,
        };
        self.attempts.insert((id, n), attempt);
        let row = json_row(Table::Body, Key::Attempt(id, n).to_string(), &body);
        self.put(Row { parent: Some(id.to_string()), ..row });
        if self.storm_is_on(thread) {
            self.storm_said(thread);
        }
        self.touch(Table::Attempt, (id, n));
        self.audit(Note {
            actor: "system",
            kind: "message.claimed",
            incident: Some(thread),
            message: Some(id),
            change: Some(format!(
                "{} {}/{n}{}",
                priority.word(),
                to.lane.channel,
                if marked { " marked" } else { "" }
            )),
            ..Note::default()
        });
        Some(Claim {
            message: id,
            attempt: n,
            key: id.to_string(),
            to,
            address,
            priority,
            body,
            deadline,
            thread,
        })
    }

    fn debit(&mut self, card: &ChannelCard, to: &Recipient) {
        let longest = self.lane_limits(card).map(|(_, per)| per).max();
        let now = self.now;
        if let Some(longest) = longest {
            self.outbox.budgets.entry(to.lane.clone()).or_default().take(longest, now);
            self.touch(Table::Alerting, lane_key("lane", &to.lane));
        }
        if let Some(longest) = card.account_caps.iter().map(|r| r.per).max() {
            self.outbox.accounts.entry(card.name.clone()).or_default().take(longest, now);
            self.touch(Table::Alerting, Key::Text(format!("account/{}", card.name)));
        }
    }

    /// The text of a message, or the plainest one; `None` when even making it fails badly: then the message is put
    /// aside, and a plain one takes its place.
    fn text(&mut self, id: Id, card: &ChannelCard, renderer: &dyn Renderer) -> Option<Body> {
        let minimal = self.messages.get(&id)?.minimal;
        for plain in [minimal, true] {
            let rendered = self.letter(id, card, plain).map(|letter| {
                // A template that panics must not take the desk with it (§9.2, I32).
                catch_unwind(AssertUnwindSafe(|| renderer.render(&letter)))
            });
            match rendered? {
                Ok(Ok(body)) => return Some(body),
                Ok(Err(fault)) => {
                    self.counts.push(Count::RenderFault);
                    let template: Arc<str> = Arc::from(fault.template);
                    self.trouble("system.config", "template", &template, &[("reason", &fault.reason)]);
                }
                Err(_) => {
                    self.counts.push(Count::RenderFault);
                    self.trouble("system.poison", "message", &Arc::from(id.to_string()), &[]);
                }
            }
        }
        // Not even the plain template: the short ids alone.
        let message = self.messages.get(&id)?;
        let shorts: Vec<String> =
            message.members.iter().take(10).map(|m| format!("#{}", m.short())).collect();
        Some(Body { text: shorts.join(" "), ..Body::default() })
    }

    /// What a message is for: the purpose of its gravest notice, and what that one says beside the facts.
    pub(super) fn gravest(&self, id: Id) -> Option<(Purpose, Id)> {
        let message = self.messages.get(&id)?;
        let notices = message.notices.iter().filter_map(|n| self.notices.get(n));
        let gravest = notices.min_by_key(|n| (n.priority, std::cmp::Reverse(n.level), n.planned_at))?;
        Some((gravest.purpose, gravest.id))
    }

    /// Attempts under way.
    pub fn under_way(&self) -> usize {
        self.messages.values().filter(|m| m.state == MessageState::Inflight).count()
    }

    /// Messages that wait: for a claim, a token, another attempt.
    pub fn waiting(&self) -> usize {
        self.messages.values().filter(|m| is_waiting(m.state)).count()
    }
}
