//! The owner of one desk: takes in what arrives, lets time pass, keeps every step in one commit, and only then answers,
//! sends and counts.
//!
//! ```text
//! asks, orders, reports ──▶ turn (in memory) ──▶ commit ──▶ answers, claims to the senders, counts, watchdog
//!                             ▲ collects on while a commit is under way
//! ```
//!
//! Invariants:
//! - no effect leaves before its own commit (I5), the exception of emergency mode is in `emergency.rs`;
//! - memory is a cache of the store: a commit that fails, a panic of the engine or a jump of time drops the desk, and it
//!   is loaded again; outcomes whose commit failed are taken in again, nothing that was answered is lost;
//! - idle is idle: without work there is no write and one wake-up a second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::core::alerting::{Claim, Count, Inquiry, LocalAlarm, Room};
use crate::core::engine::{Desk, Remark};
use crate::core::ids::Id;
use crate::core::model::{Batch, Incident, OutcomeClass};
use crate::core::time::{Instant, Span};
use crate::daemon::blueprint::{Blueprint, Careful, Panicked, guarded};
use crate::daemon::business::{BusinessTime, Event, Evidence};
use crate::daemon::dispatch::{Job, Report, limit_of};
use crate::daemon::fail::fail_point;
use crate::daemon::handle::{Ask, AskError, ObserveAnswer, ReloadAnswer, ReloadAsk, Which};
use crate::daemon::notice::{self, Trouble};
use crate::daemon::publish::Publish;
use crate::daemon::reload;
use crate::daemon::time::{TimeSource, to_duration};
use crate::daemon::turn::{Order, Pending, Turn};
use crate::store::{Committed, Store, StoreError};

/// One look at the clocks (`TICK`).
pub(super) const TICK: Span = Span::from_secs(1);
/// Two deaths within this end the process.
const TWICE_WITHIN: Span = Span::from_secs(60);
/// A turn that has worked this long is handed over, though more may be waiting.
const WORKED: Span = Span::from_millis(50);
/// A commit longer than this is slow (§16.4).
const SLOW: std::time::Duration = std::time::Duration::from_secs(2);

/// Somebody wants a reload: the request, and where the answer goes.
pub type ReloadRequest = (ReloadAsk, oneshot::Sender<Result<ReloadAnswer, String>>);

/// How the owner ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to.
    Stopped,
    /// A flush failed: what is on the medium is unknown until it is read again.
    Flush(String),
    /// It died twice within a minute.
    Died(String),
}

/// The owner and its queues.
pub struct DeskOwner {
    /// What the desk is made of.
    pub blueprint: Blueprint,
    /// Where it is kept.
    pub store: Arc<dyn Store>,
    /// Time.
    pub time: Arc<dyn TimeSource>,
    /// What people and systems ask.
    pub asks: mpsc::Receiver<Ask>,
    /// What the daemon's own workers want.
    pub orders: mpsc::Receiver<Order>,
    /// What came of sends.
    pub reports: mpsc::Receiver<Report>,
    /// What is to be sent.
    pub jobs: mpsc::Sender<Job>,
    /// Who looks at configurations.
    pub reloads: mpsc::Sender<ReloadRequest>,
    /// Where all of it is made known.
    pub publish: Publish,
    /// Fed after a commit, or in emergency mode after a probe; at idle after a probe of its own, no more often than
    /// `watchdog_every`.
    pub watchdog: Box<dyn FnMut() + Send>,
    /// How often the watchdog must be fed; `None` without one.
    pub watchdog_every: Option<Span>,
}

/// What the owner remembers from one life of its desk to the next.
pub(super) struct Memory {
    pub(super) business: BusinessTime,
    pub(super) evidence: Evidence,
    /// Attempts under way, with their channel: they take up room.
    pub(super) flying: BTreeMap<(Id, u32), Arc<str>>,
    /// Outcomes that arrived and whose commit has not succeeded yet.
    pub(super) unkept: VecDeque<Report>,
    /// Messages whose provider is being asked.
    pub(super) asking: BTreeSet<Id>,
    /// What arrived when the desk was dropped.
    held: Option<Input>,
    /// Sent in emergency mode, once per process life.
    pub(super) sent_unrecorded: BTreeSet<Id>,
    /// Channels whose last attempt failed for a reason of their own.
    down: BTreeSet<Arc<str>>,
    /// System troubles that are open, by family, with their generation.
    pub(super) troubles: Trouble,
    slow_since: Option<Span>,
    fed: Span,
    checked: Span,
    stopping: bool,
}

/// How one life of a desk ended.
pub(super) enum Life {
    /// For good.
    Over(End),
    /// The desk is to be loaded again; a reason when that was a failure.
    Again(Option<String>),
}

pub(super) enum Input {
    Committed(Result<Committed, StoreError>),
    Stop,
    Report(Report),
    Order(Order),
    Ask(Ask),
    Wake,
}

/// A commit under way.
struct UnderWay<'s> {
    commit: crate::store::Task<'s, Committed>,
    /// For the one retry of §16.4.
    copy: Batch,
    turn: Turn,
    counts: Vec<Count>,
    alarms: Vec<LocalAlarm>,
}

impl DeskOwner {
    /// Works until it is asked to stop, or cannot go on.
    pub async fn run(mut self, stop: CancellationToken) -> End {
        let reading = self.time.read();
        let mut memory = Memory {
            business: BusinessTime::new(reading, self.blueprint.setup.config.catch_up_after),
            evidence: Evidence::default(),
            flying: BTreeMap::new(),
            unkept: VecDeque::new(),
            asking: BTreeSet::new(),
            held: None,
            sent_unrecorded: BTreeSet::new(),
            down: BTreeSet::new(),
            troubles: Trouble::default(),
            slow_since: None,
            fed: reading.elapsed,
            checked: reading.elapsed,
            stopping: false,
        };
        let mut died: Option<Span> = None;
        loop {
            let reason = match self.life(&mut memory, &stop).await {
                Life::Over(end) => return end,
                Life::Again(None) => continue,
                Life::Again(Some(reason)) => reason,
            };
            let elapsed = self.time.read().elapsed;
            error!(error = %reason, "the desk was dropped and is loaded again");
            self.publish.dropped();
            if died.is_some_and(|at| elapsed.as_millis() - at.as_millis() < TWICE_WITHIN.as_millis()) {
                return End::Died(reason);
            }
            died = Some(elapsed);
        }
    }

    /// One life of the desk: from the store, and until it has to be dropped.
    async fn life(&mut self, memory: &mut Memory, stop: &CancellationToken) -> Life {
        let store = self.store.clone();
        let now = memory.business.tick(self.time.read(), &memory.evidence).now;
        let loaded = tokio::select! {
            biased;
            () = stop.cancelled() => return Life::Over(End::Stopped),
            loaded = self.blueprint.load(&*store, now) => loaded,
        };
        let mut desk = match loaded {
            Ok(loaded) => {
                for row in &loaded.unread {
                    error!(row, "a row of the store cannot be read and was left out");
                }
                info!(desk = %self.blueprint.setup.desk, rows = loaded.rows, "the desk is loaded");
                loaded.desk
            }
            Err(e) => {
                let reason = format!("the desk cannot be loaded: {e}");
                tokio::select! {
                    () = stop.cancelled() => return Life::Over(End::Stopped),
                    () = self.time.sleep(TICK) => return Life::Again(Some(reason)),
                }
            }
        };
        self.publish.loaded(&self.blueprint.setup);
        self.publish.channels(&self.blueprint.setup, |channel| memory.down.contains(channel));
        let mut turn = Turn::default();
        // What the last life could not keep.
        let mut first: VecDeque<Input> = memory.unkept.drain(..).map(Input::Report).collect();
        first.extend(memory.held.take());
        let mut under_way: Option<UnderWay<'_>> = None;
        let failed = 'life: loop {
            let input = match first.pop_front() {
                Some(input) => input,
                None => self.wait(memory, &mut under_way, &turn, &desk, stop).await,
            };
            let reading = self.time.read();
            let tick = memory.business.tick(reading, &memory.evidence);
            if let Some(event) = tick.event {
                self.time_event(event, memory, &mut desk, tick.now);
            }
            if tick.rebuild {
                memory.held = Some(input);
                break Ok(());
            }
            match input {
                Input::Committed(Ok(kept)) => {
                    if let Some(done) = under_way.take() {
                        self.kept(done, Some(kept), memory).await;
                    }
                }
                Input::Committed(Err(e)) => break Err(e),
                Input::Stop => {
                    info!("stopping: no new claims, what is under way ends first");
                    fail_point("stopping");
                    memory.stopping = true;
                    self.publish.stopping();
                    self.asks.close();
                }
                input => {
                    if let Err(e) = self.take(input, memory, &mut desk, &mut turn, tick.now) {
                        fail(&mut under_way, turn, memory, "内部错误 / internal error");
                        return Life::Again(Some(e.to_string()));
                    }
                }
            }
            if under_way.is_none() {
                let enough = reading.elapsed + WORKED;
                while !turn.is_full() && self.time.read().elapsed.as_millis() < enough.as_millis() {
                    let Some(input) = first.pop_front().or_else(|| self.there(memory)) else { break };
                    if let Err(e) = self.take(input, memory, &mut desk, &mut turn, tick.now) {
                        fail(&mut under_way, turn, memory, "内部错误 / internal error");
                        return Life::Again(Some(e.to_string()));
                    }
                }
            }
            // Timers go on while a commit is under way; what they plan leaves with the next one.
            if let Err(e) = self.advance(memory, &mut desk, tick.now, reading.elapsed) {
                fail(&mut under_way, turn, memory, "内部错误 / internal error");
                return Life::Again(Some(e.to_string()));
            }
            if under_way.is_none() {
                match self.hand_over(&*store, &mut desk, std::mem::take(&mut turn), memory, tick.now) {
                    Ok(HandedOver::Nothing(done)) => self.kept(done, None, memory).await,
                    Ok(HandedOver::Commit(begun)) => under_way = Some(begun),
                    Err(e) => return Life::Again(Some(e.to_string())),
                }
            }
            self.publish.turned(tick.now, reading.elapsed);
            if memory.stopping && under_way.is_none() && memory.flying.is_empty() && turn.pending.is_empty() {
                return Life::Over(End::Stopped);
            }
            if let Err(e) = self.idle_probe(&*store, memory, reading.elapsed, under_way.is_some()).await {
                break 'life Err(e);
            }
        };
        match failed {
            Ok(()) => {
                // Time has jumped: keep what was done before, then begin again at the new instant.
                if let Some(mut begun) = under_way.take() {
                    match (&mut begun.commit).await {
                        Ok(kept) => self.kept(begun, Some(kept), memory).await,
                        Err(e) => {
                            drop_claims(&begun.turn, memory);
                            memory.unkept.extend(begun.turn.fail(&e.to_string()));
                        }
                    }
                }
                drop_claims(&turn, memory);
                memory.unkept.extend(turn.fail("时间跳变,请重试 / the clock jumped, try again"));
                info!("time has jumped: the desk is loaded again at the new instant");
                Life::Again(None)
            }
            Err(StoreError::Refused { place, reason }) => {
                let reason = format!("{place}: {reason}");
                let Some(mut begun) = under_way.take() else {
                    let claims = std::mem::take(&mut turn.claims);
                    memory.unkept.extend(turn.fail(&reason));
                    return self.emergency(desk, claims, reason, memory, stop).await;
                };
                if matches!(store.release_ballast().await, Ok(true)) {
                    warn!(error = %reason, "the store refused a write: the ballast was given free");
                    begun.commit = store.commit(&self.blueprint.setup.desk, begun.copy.clone());
                    if let Ok(kept) = (&mut begun.commit).await {
                        self.kept(begun, Some(kept), memory).await;
                        // What was taken in meanwhile goes on with the next life.
                        drop_claims(&turn, memory);
                        memory.unkept.extend(turn.fail("请重试 / try again"));
                        return Life::Again(None);
                    }
                }
                let UnderWay { turn: lost, .. } = begun;
                let mut claims = lost.claims.clone();
                claims.append(&mut turn.claims);
                memory.unkept.extend(lost.fail(&reason));
                memory.unkept.extend(turn.fail(&reason));
                self.emergency(desk, claims, reason, memory, stop).await
            }
            Err(e @ StoreError::Flush { .. }) => {
                fail(&mut under_way, turn, memory, &e.to_string());
                Life::Over(End::Flush(e.to_string()))
            }
            Err(e) => {
                fail(&mut under_way, turn, memory, &e.to_string());
                Life::Again(Some(e.to_string()))
            }
        }
    }

    /// Waits for the next thing to do, at most a tick.
    async fn wait(
        &mut self,
        memory: &Memory,
        under_way: &mut Option<UnderWay<'_>>,
        turn: &Turn,
        desk: &Desk,
        stop: &CancellationToken,
    ) -> Input {
        let room = !turn.is_full();
        let now = memory.business.now();
        let until = desk.next_wake().map_or(TICK, |at| at.since(now)).min(TICK).max(Span::from_millis(5));
        let (busy, stopping) = (under_way.is_some(), memory.stopping);
        let done = async {
            match under_way {
                Some(begun) => (&mut begun.commit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = done, if busy => Input::Committed(done),
            () = stop.cancelled(), if !stopping => Input::Stop,
            Some(report) = self.reports.recv(), if room => Input::Report(report),
            Some(order) = self.orders.recv(), if room => Input::Order(order),
            Some(ask) = self.asks.recv(), if room && !stopping => Input::Ask(ask),
            () = self.time.sleep(until) => Input::Wake,
        }
    }

    /// Something that is there already.
    fn there(&mut self, memory: &Memory) -> Option<Input> {
        if let Ok(report) = self.reports.try_recv() {
            return Some(Input::Report(report));
        }
        if let Ok(order) = self.orders.try_recv() {
            return Some(Input::Order(order));
        }
        if memory.stopping {
            return None;
        }
        self.asks.try_recv().ok().map(Input::Ask)
    }

    /// Takes one thing in.
    fn take(
        &mut self,
        input: Input,
        memory: &mut Memory,
        desk: &mut Desk,
        turn: &mut Turn,
        now: Instant,
    ) -> Result<(), Panicked> {
        match input {
            Input::Report(report) => self.report(report, memory, desk, turn, now),
            Input::Order(order) => self.order(order, memory, desk, turn, now),
            Input::Ask(ask) => self.ask(ask, desk, turn, now),
            Input::Wake | Input::Stop | Input::Committed(_) => Ok(()),
        }
    }

    fn ask(&mut self, ask: Ask, desk: &mut Desk, turn: &mut Turn, now: Instant) -> Result<(), Panicked> {
        match ask {
            Ask::Observe(observations, answer) => match observe(desk, &observations, now) {
                Ok((answers, remarks)) => {
                    turn.observed += observations.len();
                    turn.pending.push(Pending::Observe(answer, answers));
                    remarked(desk, &remarks, now)
                }
                Err((answers, e)) => {
                    drop(answer.send(answers));
                    Err(e)
                }
            },
            Ask::Respond(response, answer) => {
                fail_point("response_read");
                let done = guarded(|| desk.respond(&response, now));
                let done = match done {
                    Ok(done) => done.map_err(AskError::Refused),
                    Err(e) => {
                        drop(answer.send(Err(AskError::Storage("内部错误 / internal error".to_owned()))));
                        return Err(e);
                    }
                };
                turn.pending.push(Pending::Respond(answer, done));
                Ok(())
            }
            Ask::State(statement, answer) => {
                fail_point("statement_read");
                guarded(|| desk.statement(&statement, now))?;
                turn.pending.push(Pending::State(answer));
                Ok(())
            }
            Ask::Incidents(which, answer) => {
                turn.pending.push(Pending::Incidents(answer, find(desk, &which)));
                Ok(())
            }
            Ask::Reload(ask, answer) => {
                if let Err(e) = self.reloads.try_send((ask, answer)) {
                    let (_, answer) = e.into_inner();
                    drop(answer.send(Err("a reload is under way already: try again".to_owned())));
                }
                Ok(())
            }
        }
    }

    fn order(
        &mut self,
        order: Order,
        memory: &mut Memory,
        desk: &mut Desk,
        turn: &mut Turn,
        now: Instant,
    ) -> Result<(), Panicked> {
        match order {
            Order::Taken { observations, cursor, answer } => match observe(desk, &observations, now) {
                Ok((answers, remarks)) => {
                    turn.observed += observations.len();
                    turn.rows.extend(cursor);
                    turn.pending.push(Pending::Taken(answer, answers));
                    remarked(desk, &remarks, now)
                }
                Err((answers, e)) => {
                    drop(answer.send(Ok(answers)));
                    Err(e)
                }
            },
            Order::Signal(signal) => guarded(|| desk.signal(&signal, now)),
            Order::Preview(blueprint, answer) => {
                let lines = guarded(|| reload::preview(desk, &self.blueprint, &blueprint))?;
                drop(answer.send(lines));
                Ok(())
            }
            Order::Swap { blueprint, rows, answer } => {
                let done = guarded(|| {
                    let (setup, policy) = (blueprint.setup.clone(), blueprint.policy.clone());
                    desk.reload(setup, policy, crate::core::clock::ReloadMode::FromNow, None, now)
                });
                match done {
                    Ok(Ok(())) => {
                        fail_point("swap_begun");
                        turn.rows.extend(rows);
                        turn.pending.push(Pending::Swap(answer, blueprint));
                        Ok(())
                    }
                    Ok(Err(refused)) => {
                        drop(answer.send(Err(refused.to_string())));
                        Ok(())
                    }
                    Err(e) => {
                        drop(answer.send(Err(e.to_string())));
                        Err(e)
                    }
                }
            }
            Order::Date { who, said } => {
                memory.evidence.date(who, said, self.time.read().elapsed);
                Ok(())
            }
            Order::Rejected(reason) => {
                self.publish.reloaded(reason.is_none());
                let signal = memory.troubles.set("config.rejected", reason.as_deref(), now);
                signal.map_or(Ok(()), |signal| guarded(|| desk.signal(&signal, now)))
            }
        }
    }

    fn report(
        &mut self,
        report: Report,
        memory: &mut Memory,
        desk: &mut Desk,
        turn: &mut Turn,
        now: Instant,
    ) -> Result<(), Panicked> {
        match &report {
            Report::Sent { message, attempt, channel, outcome, recorded } => {
                memory.flying.remove(&(*message, *attempt));
                self.channel_was(memory, channel, outcome.class);
                if !recorded {
                    // A send of an emergency that is over: its desk is gone, and the store never knew.
                    return Ok(());
                }
                guarded(|| desk.outcome(*message, *attempt, outcome.clone(), now))?;
            }
            Report::Told { message, statement } => {
                memory.asking.remove(message);
                guarded(|| desk.answered(*message, statement.as_ref(), now))?;
            }
        }
        turn.reports.push(report);
        Ok(())
    }

    pub(super) fn channel_was(&self, memory: &mut Memory, channel: &Arc<str>, class: OutcomeClass) {
        let down = matches!(class, OutcomeClass::Transient | OutcomeClass::Credential | OutcomeClass::Config);
        let changed = match down {
            true => memory.down.insert(channel.clone()),
            false => memory.down.remove(channel),
        };
        if changed {
            self.publish.channels(&self.blueprint.setup, |channel| memory.down.contains(channel));
        }
    }

    fn advance(
        &mut self,
        memory: &mut Memory,
        desk: &mut Desk,
        now: Instant,
        elapsed: Span,
    ) -> Result<(), Panicked> {
        if desk.next_wake().is_some_and(|at| at <= now) {
            fail_point("timer_due");
            let remarks = guarded(|| desk.advance(now))?;
            remarked(desk, &remarks, now)?;
        }
        if elapsed.as_millis() - memory.checked.as_millis() >= 10_000 {
            memory.checked = elapsed;
            let health = self.store.health();
            self.publish.store(health);
            let lag = desk.next_wake().map_or(Span::ZERO, |at| now.since(at));
            self.publish.figures(desk, &self.blueprint.setup, lag);
            let low = notice::low_disk(&health, memory.troubles.is_open("system.disk"));
            if let Some(signal) = memory.troubles.set("system.disk", low.as_deref(), now) {
                guarded(|| desk.signal(&signal, now))?;
            }
        }
        Ok(())
    }

    /// How many attempts each channel can take now.
    pub(super) fn room(&self, memory: &Memory) -> Room {
        let mut room: Room = self
            .blueprint
            .setup
            .channels
            .iter()
            .map(|(name, card)| (name.clone(), card.max_inflight))
            .collect();
        for channel in memory.flying.values() {
            if let Some(left) = room.get_mut(channel) {
                *left = left.saturating_sub(1);
            }
        }
        room
    }

    fn hand_over<'s>(
        &mut self,
        store: &'s dyn Store,
        desk: &mut Desk,
        mut turn: Turn,
        memory: &mut Memory,
        now: Instant,
    ) -> Result<HandedOver<'s>, Panicked> {
        if !memory.stopping {
            let room = self.room(memory);
            let renderer = Careful { inner: &*self.blueprint.renderer, unrecorded: false };
            let claims = match guarded(|| desk.claim(&room, &renderer, now)) {
                Ok(claims) => claims,
                Err(e) => {
                    memory.unkept.extend(turn.fail("内部错误 / internal error"));
                    return Err(e);
                }
            };
            for claim in &claims {
                memory.flying.insert((claim.message, claim.attempt), claim.to.lane.channel.clone());
            }
            turn.claims.extend(claims);
        }
        turn.inquiries = desk.inquiries();
        let mut batch = desk.drain();
        batch.rows.append(&mut turn.rows);
        let (counts, alarms) = (desk.take_counts(), desk.take_alarms());
        if batch.is_empty() {
            let commit: crate::store::Task<'s, Committed> = Box::pin(std::future::pending());
            return Ok(HandedOver::Nothing(UnderWay { commit, copy: batch, turn, counts, alarms }));
        }
        let commit = store.commit(&self.blueprint.setup.desk, batch.clone());
        if !turn.pending.is_empty() || !turn.claims.is_empty() {
            fail_point("commit_begun");
        }
        Ok(HandedOver::Commit(UnderWay { commit, copy: batch, turn, counts, alarms }))
    }

    /// The turn is in the store, or had nothing to keep: its effects leave.
    async fn kept(&mut self, done: UnderWay<'_>, kept: Option<Committed>, memory: &mut Memory) {
        let UnderWay { turn, counts, alarms, .. } = done;
        if kept.is_some() {
            kept_points(&turn);
        }
        let Turn { pending, claims, inquiries, .. } = turn;
        for pending in pending {
            if let Some(blueprint) = pending.settle() {
                self.blueprint = *blueprint;
                let setup = &self.blueprint.setup;
                info!(revision = setup.revision, "a new configuration is in use");
                self.publish.goes_by(setup);
                self.publish.channels(setup, |channel| memory.down.contains(channel));
            }
        }
        for claim in claims {
            self.send(claim, true, memory.business.now()).await;
        }
        for job in turn_asks(inquiries, memory, self.blueprint.setup.config.send.timeout) {
            // A question that finds no room is asked again with the next turn.
            if let Err(e) = self.jobs.try_send(job)
                && let Job::Query { message, .. } = e.into_inner()
            {
                memory.asking.remove(&message);
            }
        }
        self.publish.counts(&counts);
        for alarm in &alarms {
            self.publish.alarm(alarm);
        }
        let Some(kept) = kept else { return };
        self.publish.committed(kept.took);
        let elapsed = self.time.read().elapsed;
        memory.slow_since = match kept.took > SLOW {
            true => memory.slow_since.or(Some(elapsed)),
            false => None,
        };
        self.feed(memory, elapsed);
    }

    /// Hands a claim to the senders, who have room for it.
    pub(super) async fn send(&mut self, claim: Claim, recorded: bool, now: Instant) {
        let limit = limit_of(claim.deadline, now);
        let job = Job::Send { claim: Box::new(claim), limit, recorded };
        if self.jobs.send(job).await.is_err() {
            error!("the senders are gone; the attempt will be uncertain after the next start");
        }
    }

    pub(super) fn feed(&mut self, memory: &mut Memory, elapsed: Span) {
        if elapsed.as_millis() - memory.fed.as_millis() >= 1000 {
            memory.fed = elapsed;
            (self.watchdog)();
        }
    }

    /// With a watchdog, an idle desk proves now and then that it could keep something.
    async fn idle_probe(
        &mut self,
        store: &dyn Store,
        memory: &mut Memory,
        elapsed: Span,
        busy: bool,
    ) -> Result<(), StoreError> {
        let Some(every) = self.watchdog_every else { return Ok(()) };
        if busy || elapsed.as_millis() - memory.fed.as_millis() < every.as_millis() / 2 {
            return Ok(());
        }
        match tokio::time::timeout(to_duration(every), store.probe()).await {
            Ok(Ok(())) => {
                self.feed(memory, elapsed);
                Ok(())
            }
            Ok(Err(e)) => Err(e),
            // The watchdog will bite; that is what it is for.
            Err(_) => Ok(()),
        }
    }

    fn time_event(&mut self, event: Event, memory: &mut Memory, desk: &mut Desk, now: Instant) {
        let trouble = match event {
            Event::Suspect { by } => {
                warn!(by_ms = by, "the wall clock jumped; time goes on by the counter until that is judged");
                return;
            }
            Event::Stepped { by, unproven } => {
                warn!(by_ms = by, unproven, "the wall clock's jump was followed");
                unproven.then(|| {
                    format!("时钟跳变 {} 秒,无旁证 / the clock jumped {} s, unproven", by / 1000, by / 1000)
                })
            }
            Event::Refused { by } => {
                error!(by_ms = by, "the wall clock is wrong; time goes on by the counter");
                Some(format!("时钟偏差 {} 秒 / the clock is off by {} s", by / 1000, by / 1000))
            }
            Event::Settled => {
                info!("the wall clock is right again");
                None
            }
        };
        if let Some(signal) = memory.troubles.set("system.clock", trouble.as_deref(), now) {
            // A panic here is met again at once by whatever the desk does next.
            drop(guarded(|| desk.signal(&signal, now)));
        }
    }
}

/// The questions to ask that are not being asked already.
fn turn_asks(inquiries: Vec<Inquiry>, memory: &mut Memory, limit: Span) -> Vec<Job> {
    let fresh = inquiries.into_iter().filter(|i| memory.asking.insert(i.message));
    fresh.map(|i| Job::Query { channel: i.channel, key: i.key, message: i.message, limit }).collect()
}

enum HandedOver<'s> {
    /// There was nothing to keep.
    Nothing(UnderWay<'s>),
    Commit(UnderWay<'s>),
}

/// Takes observations in; a panic refuses the one that caused it, and says of the others that they were not kept.
#[expect(clippy::type_complexity, reason = "both sides carry the answers, and each is used once")]
fn observe(
    desk: &mut Desk,
    observations: &[crate::core::model::Observation<'static>],
    now: Instant,
) -> Result<(Vec<ObserveAnswer>, Vec<Remark>), (Vec<ObserveAnswer>, Panicked)> {
    let (mut answers, mut remarks) = (Vec::with_capacity(observations.len()), Vec::new());
    for (i, observation) in observations.iter().enumerate() {
        match guarded(|| desk.observe(observation, now)) {
            Ok(observed) => {
                remarks.extend(observed.remarks);
                answers.push(match observed.refused {
                    Some(refused) => ObserveAnswer::Refused(refused.to_string()),
                    None => ObserveAnswer::Kept(observed.merge),
                });
            }
            Err(e) => {
                let again = || ObserveAnswer::Unavailable("internal error: try again".to_owned());
                let mut answers: Vec<_> = observations.iter().map(|_| again()).collect();
                answers[i] =
                    ObserveAnswer::Refused("internal error: this observation is not taken".to_owned());
                return Err((answers, e));
            }
        }
    }
    Ok((answers, remarks))
}

fn remarked(desk: &mut Desk, remarks: &[Remark], now: Instant) -> Result<(), Panicked> {
    for remark in remarks {
        if let Some(signal) = notice::of_remark(remark, now) {
            guarded(|| desk.signal(&signal, now))?;
        }
    }
    Ok(())
}

/// The incidents that were asked for.
pub(super) fn find(desk: &Desk, which: &Which) -> Vec<Incident> {
    match which {
        Which::One(id) => desk.incident(*id).cloned().into_iter().collect(),
        Which::Short(text) => {
            let wanted = text.to_ascii_uppercase();
            let fits = |i: &&Incident| i.id.to_string().starts_with(&wanted);
            desk.incidents().filter(fits).take(20).cloned().collect()
        }
        Which::Listed(message) => {
            let members = desk.listed(*message).unwrap_or_default();
            members.iter().filter_map(|id| desk.incident(*id)).cloned().collect()
        }
        Which::Unresolved(most) => {
            let mut found: Vec<&Incident> = desk.incidents().filter(|i| !i.is_resolved()).collect();
            found.sort_by_key(|i| (std::cmp::Reverse(i.level), i.due.unwrap_or(Instant::MAX), i.id));
            found.into_iter().take(*most).cloned().collect()
        }
    }
}

/// Nothing of the commit under way and of the turn behind it was kept, as far as anybody is told.
fn fail(under_way: &mut Option<UnderWay<'_>>, turn: Turn, memory: &mut Memory, reason: &str) {
    if let Some(begun) = under_way.take() {
        drop_claims(&begun.turn, memory);
        memory.unkept.extend(begun.turn.fail(reason));
    }
    drop_claims(&turn, memory);
    memory.unkept.extend(turn.fail(reason));
}

/// Claims that were not kept take up no room.
fn drop_claims(turn: &Turn, memory: &mut Memory) {
    for claim in &turn.claims {
        memory.flying.remove(&(claim.message, claim.attempt));
    }
}

/// The places where a test lets the process die after a commit.
fn kept_points(turn: &Turn) {
    if turn.observed > 0 {
        fail_point("observations_kept");
    }
    if !turn.claims.is_empty() {
        fail_point("after_commit_before_send");
    } else {
        fail_point("step_kept");
    }
    if !turn.reports.is_empty() {
        fail_point("outcome_kept");
    }
    for pending in &turn.pending {
        match pending {
            Pending::Respond(..) => fail_point("response_kept"),
            Pending::Swap(..) => fail_point("swap_kept"),
            _ => {}
        }
    }
}
