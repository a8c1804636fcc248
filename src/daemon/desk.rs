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
use crate::core::engine::{Desk, Remark, is_same_case};
use crate::core::ids::Id;
use crate::core::model::{Batch, Incident, OutcomeClass, Table};
use crate::core::time::{Instant, Span};
use crate::daemon::blueprint::{Blueprint, Careful, Earlier, Panicked, guarded};
use crate::daemon::business::{BusinessTime, Event, Evidence};
use crate::daemon::dispatch::{Job, Report, limit_of};
use crate::daemon::handle::{Ask, AskError, ObserveAnswer, ReloadAnswer, ReloadAsk, Which};
use crate::daemon::jobs::Hint;
use crate::daemon::medium::Medium;
use crate::daemon::notice::{self, Trouble};
use crate::daemon::noticed::{Noticed, Watcher};
use crate::daemon::publish::Publish;
use crate::daemon::reload;
use crate::daemon::time::{TimeSource, to_duration};
use crate::daemon::turn::{Order, Pending, Turn};
use crate::fail::fail_point;
use crate::store::{Committed, Store, StoreError};

/// One look at the clocks (`TICK`).
pub(super) const TICK: Span = Span::from_secs(1);
/// Two deaths within this end the process.
const TWICE_WITHIN: Span = Span::from_secs(60);
/// A turn that has worked this long is handed over, though more may be waiting.
const WORKED: Span = Span::from_millis(50);
/// While a commit is under way it is looked after so often: whoever waits for it is answered.
const BESIDE: Span = Span::from_millis(5);
/// With so many attempts under way their outcomes are kept by swarms …
const SWARM: usize = 64;
/// … of which the first waits so long for the others at most: a commit of one costs nearly as much as one of many.
const GATHER: Span = Span::from_millis(10);

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
    /// Who drops what is old, when there is little room.
    pub tidy: mpsc::Sender<Hint>,
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
    /// Messages whose provider is being asked, with their channel.
    pub(super) asking: BTreeMap<Id, Arc<str>>,
    /// What arrived when the desk was dropped.
    held: Option<Input>,
    /// When the last emergency ended, and how long it had to last at least.
    pub(super) emergency: Option<(Span, Span)>,
    /// Sent in emergency mode, once per process life.
    pub(super) sent_unrecorded: BTreeSet<Id>,
    /// Channels that refused their last attempt: their credentials or their setup are wrong.
    down: BTreeSet<Arc<str>>,
    /// Channels whose breaker is open.
    shut: BTreeSet<Arc<str>>,
    /// Channels that are being tried without a message.
    probing: BTreeSet<Arc<str>>,
    /// Channels that know no such thing: they wait for a message.
    unprobed: BTreeSet<Arc<str>>,
    /// System troubles that are open, by family, with their generation.
    pub(super) troubles: Trouble,
    pub(super) medium: Medium,
    /// What was noticed beside observations.
    pub(super) watcher: Watcher,
    /// Since when outcomes wait for others.
    gathering: Option<Span>,
    /// When a time server set the wall clock, as it was said last.
    pub(super) set_at: Option<i64>,
    fed: Span,
    stopping: bool,
}

impl Memory {
    /// What a desk that is loaded makes of a time before the one it had reached.
    fn earlier(&self) -> Earlier {
        self.business.went_back().map_or(Earlier::Waits, |by| Earlier::GoesBack { by })
    }

    fn is_down(&self, channel: &str) -> bool {
        self.down.contains(channel) || self.shut.contains(channel)
    }

    /// Whether so many attempts are under way that the next ones are claimed as there is room, and not with the commit
    /// that keeps them: the texts of one swarm are made while another is kept.
    fn is_swarming(&self) -> bool {
        self.flying.len() >= SWARM && !self.stopping
    }

    /// Whether a turn waits a moment for more outcomes of the many that are under way.
    fn gathers(&mut self, turn: &Turn, elapsed: Span) -> bool {
        let outcomes = turn.reports.len();
        // One half is under way while the other is kept: in one swarm of all, desk and store would wait for each other.
        let enough = (self.flying.len() / 2).max(SWARM);
        let swarming = turn.pending.is_empty() && turn.observed == 0 && turn.rows.is_empty();
        if !swarming || self.stopping || !(1..enough).contains(&outcomes) || self.flying.len() < SWARM {
            self.gathering = None;
            return false;
        }
        let since = *self.gathering.get_or_insert(elapsed);
        let waits = elapsed.as_millis() - since.as_millis() < GATHER.as_millis();
        if !waits {
            self.gathering = None;
        }
        waits
    }
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
    /// In emergency mode: whether the store writes again.
    Probed(Result<(), StoreError>),
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
    copy: Arc<Batch>,
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
            asking: BTreeMap::new(),
            held: None,
            emergency: None,
            sent_unrecorded: BTreeSet::new(),
            down: BTreeSet::new(),
            shut: BTreeSet::new(),
            probing: BTreeSet::new(),
            unprobed: BTreeSet::new(),
            troubles: Trouble::default(),
            medium: Medium::default(),
            watcher: Watcher::default(),
            gathering: None,
            set_at: self.time.set_at(),
            fed: reading.elapsed,
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
            loaded = self.blueprint.load(&*store, now, memory.earlier()) => loaded,
        };
        let mut desk = match loaded {
            Ok(loaded) => {
                for row in &loaded.unread {
                    error!(row, "a row of the store cannot be read and was left out");
                }
                info!(desk = %self.blueprint.setup.desk, rows = loaded.rows, "the desk is loaded");
                memory.business.resume(loaded.desk.now());
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
        memory.shut = BTreeSet::new();
        self.publish.channels(&self.blueprint.setup, |channel| memory.is_down(channel));
        if let Err(e) = self.meet(memory, &mut desk, now) {
            return Life::Again(Some(e.to_string()));
        }
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
            if memory.business.is_suspect() {
                self.look_at_time_server(memory, reading.elapsed);
            }
            let tick = memory.business.tick(reading, &memory.evidence);
            if let Some(event) = tick.event {
                self.time_event(event, memory, &mut desk, tick.now);
            }
            if tick.rebuild {
                memory.held = Some(input);
                break Ok(());
            }
            if !tick.skipped.is_zero() {
                // A panic here is met again at once by whatever the desk does next.
                drop(guarded(|| desk.step_forth(tick.skipped)));
            }
            match input {
                Input::Committed(Ok(kept)) => {
                    if let Some(done) = under_way.take() {
                        self.kept(done, Some(kept), memory).await;
                    }
                }
                Input::Committed(Err(e)) => {
                    memory.medium.ended(None, reading.elapsed);
                    break Err(e);
                }
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
            let enough = reading.elapsed + if under_way.is_some() { BESIDE } else { WORKED };
            while !turn.is_full() && self.time.read().elapsed.as_millis() < enough.as_millis() {
                let Some(input) = first.pop_front().or_else(|| self.there(memory, &turn)) else { break };
                if let Err(e) = self.take(input, memory, &mut desk, &mut turn, tick.now) {
                    fail(&mut under_way, turn, memory, "内部错误 / internal error");
                    return Life::Again(Some(e.to_string()));
                }
            }
            // Timers go on while a commit is under way; what they plan leaves with the next one.
            if let Err(e) = self.advance(memory, &mut desk, tick.now, reading.elapsed) {
                fail(&mut under_way, turn, memory, "内部错误 / internal error");
                return Life::Again(Some(e.to_string()));
            }
            if memory.is_swarming()
                && self.asks.is_empty()
                && self.orders.is_empty()
                && let Err(e) = self.claim(&mut desk, &mut turn, memory, tick.now)
            {
                fail(&mut under_way, turn, memory, "内部错误 / internal error");
                return Life::Again(Some(e.to_string()));
            }
            if under_way.is_none() && !memory.gathers(&turn, reading.elapsed) {
                match self.hand_over(&*store, &mut desk, std::mem::take(&mut turn), memory, tick.now) {
                    Ok(HandedOver::Nothing(done)) => self.kept(done, None, memory).await,
                    Ok(HandedOver::Commit(begun)) => under_way = Some(begun),
                    Err(e) => return Life::Again(Some(e.to_string())),
                }
            }
            self.look_at_channels(memory, &desk);
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
                    begun.commit = store.commit_shared(&self.blueprint.setup.desk, begun.copy.clone());
                    if let Ok(kept) = (&mut begun.commit).await {
                        // The next life tells it (S29).
                        let text = format!("{reason};已释放压舱文件 / the ballast was given free");
                        let now = memory.business.now();
                        drop(memory.troubles.set("system.disk", Some(&text), now));
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
        // What people and sources say does not come between a claim and its commit: an ack that is in the same commit
        // as a claim would be answered before the message leaves (B8).
        let open = room && turn.claims.is_empty();
        let now = memory.business.now();
        let ahead = if memory.gathering.is_some() { GATHER } else { TICK };
        let until = desk.next_wake().map_or(ahead, |at| at.since(now)).min(ahead).max(Span::from_millis(5));
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
            Some(order) = self.orders.recv(), if open => Input::Order(order),
            Some(ask) = self.asks.recv(), if open && !stopping => Input::Ask(ask),
            () = self.time.sleep(until) => Input::Wake,
        }
    }

    /// Something that is there already.
    fn there(&mut self, memory: &Memory, turn: &Turn) -> Option<Input> {
        if let Ok(report) = self.reports.try_recv() {
            return Some(Input::Report(report));
        }
        if !turn.claims.is_empty() {
            return None;
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
            Input::Ask(ask) => self.ask(ask, memory, desk, turn, now),
            Input::Wake | Input::Stop | Input::Committed(_) | Input::Probed(_) => Ok(()),
        }
    }

    fn ask(
        &mut self,
        ask: Ask,
        memory: &mut Memory,
        desk: &mut Desk,
        turn: &mut Turn,
        now: Instant,
    ) -> Result<(), Panicked> {
        match ask {
            Ask::Observe(observations, answer) => match observe(desk, &observations, now) {
                Ok((answers, remarks)) => {
                    self.heard(&observations, memory);
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
            Ask::Told(channel, person, most, answer) => {
                drop(answer.send(desk.told_by(&channel, &person, most)));
                Ok(())
            }
            Ask::Noticed(noticed) => self.noticed(noticed, memory, desk, now),
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
                    self.heard(&observations, memory);
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
            Order::Noticed(noticed) => self.noticed(noticed, memory, desk, now),
            Order::Preview(blueprint, answer) => {
                let lines = guarded(|| reload::preview(desk, &self.blueprint, &blueprint))?;
                drop(answer.send(lines));
                Ok(())
            }
            Order::Swap { blueprint, rows, answer } => {
                let done = guarded(|| {
                    let (setup, policy) = (blueprint.setup.clone(), blueprint.policy.clone());
                    let done = desk.reload(setup, policy, crate::core::clock::ReloadMode::FromNow, None, now);
                    if let (Ok(()), Some(learned)) = (&done, &blueprint.learned) {
                        desk.learn(learned.clone());
                    }
                    done
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
            Order::Shipments(from, answer) => {
                drop(answer.send(desk.engine().shipments(from, Turn::LOOKED)));
                Ok(())
            }
            Order::Open { source, from, most, answer } => {
                drop(answer.send(desk.engine().open_cases(&source, from, most.min(Turn::LOOKED))));
                Ok(())
            }
            Order::Ahead { sources, until, answer } => {
                drop(answer.send(desk.engine().ahead(&sources, until, Turn::AHEAD)));
                Ok(())
            }
            Order::Date { who, said } => {
                memory.evidence.date(who, said, self.time.read().elapsed);
                Ok(())
            }
            Order::Trouble { family, text } => {
                let signal = memory.troubles.set(family, text.as_deref(), now);
                signal.map_or(Ok(()), |signal| guarded(|| desk.signal(&signal, now)))
            }
            Order::Rejected(reason) => {
                self.publish.reloaded(reason.is_none());
                let signal = memory.troubles.set("config.rejected", reason.as_deref(), now);
                signal.map_or(Ok(()), |signal| guarded(|| desk.signal(&signal, now)))
            }
        }
    }

    fn noticed(
        &self,
        noticed: Noticed,
        memory: &mut Memory,
        desk: &mut Desk,
        now: Instant,
    ) -> Result<(), Panicked> {
        let elapsed = self.time.read().elapsed;
        let signal = memory.watcher.noticed(noticed, &mut memory.troubles, now, elapsed);
        signal.map_or(Ok(()), |signal| guarded(|| desk.signal(&signal, now)))
    }

    /// These sources have spoken.
    fn heard(&self, observations: &[crate::core::model::Observation<'static>], memory: &mut Memory) {
        if self.blueprint.expected.is_empty() {
            return;
        }
        let elapsed = self.time.read().elapsed;
        for observation in observations {
            memory.watcher.heard(&observation.source, elapsed);
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
            Report::Probed { channel, outcome } => {
                if outcome.is_none() {
                    memory.unprobed.insert(channel.clone());
                }
                memory.probing.remove(channel);
                guarded(|| desk.canary(channel, outcome.as_ref(), now))?;
            }
            Report::Dated { who, said } => {
                memory.evidence.date(who.clone(), *said, self.time.read().elapsed);
                return Ok(());
            }
        }
        turn.reports.push(report);
        Ok(())
    }

    pub(super) fn channel_was(&self, memory: &mut Memory, channel: &Arc<str>, class: OutcomeClass) {
        let changed = match class {
            OutcomeClass::Credential | OutcomeClass::Config => memory.down.insert(channel.clone()),
            // One hiccup is no end of a channel: its breaker judges those.
            OutcomeClass::Transient | OutcomeClass::Unknown | OutcomeClass::NotSent => false,
            _ => memory.down.remove(channel),
        };
        if changed {
            self.publish.channels(&self.blueprint.setup, |channel| memory.is_down(channel));
        }
    }

    /// I46: a channel whose breaker is open cannot keep B7.
    pub(super) fn look_at_channels(&self, memory: &mut Memory, desk: &Desk) {
        if !desk.alerting().shut_channels().eq(memory.shut.iter()) {
            memory.shut = desk.alerting().shut_channels().cloned().collect();
            self.publish.channels(&self.blueprint.setup, |channel| memory.is_down(channel));
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
        self.look(memory, desk, now, elapsed)
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

    /// Claims what there is room for; it leaves once the turn is kept.
    fn claim(
        &self,
        desk: &mut Desk,
        turn: &mut Turn,
        memory: &mut Memory,
        now: Instant,
    ) -> Result<(), Panicked> {
        if memory.stopping {
            return Ok(());
        }
        let room = self.room(memory);
        let renderer = Careful { inner: &*self.blueprint.renderer, unrecorded: false };
        let claims = guarded(|| desk.claim(&room, &renderer, now))?;
        for claim in &claims {
            memory.flying.insert((claim.message, claim.attempt), claim.to.lane.channel.clone());
        }
        turn.claims.extend(claims);
        Ok(())
    }

    fn hand_over<'s>(
        &mut self,
        store: &'s dyn Store,
        desk: &mut Desk,
        mut turn: Turn,
        memory: &mut Memory,
        now: Instant,
    ) -> Result<HandedOver<'s>, Panicked> {
        if let Err(e) = self.claim(desk, &mut turn, memory, now) {
            drop_claims(&turn, memory);
            memory.unkept.extend(turn.fail("内部错误 / internal error"));
            return Err(e);
        }
        turn.inquiries = desk.inquiries();
        if !memory.stopping {
            let probes = guarded(|| desk.canaries(&memory.unprobed, now))?;
            turn.probes = probes.into_iter().filter(|c| memory.probing.insert(c.clone())).collect();
        }
        let mut batch = desk.drain();
        batch.rows.append(&mut turn.rows);
        let (counts, alarms) = (desk.take_counts(), desk.take_alarms());
        if batch.is_empty() {
            let commit: crate::store::Task<'s, Committed> = Box::pin(std::future::pending());
            return Ok(HandedOver::Nothing(UnderWay { commit, copy: Arc::new(batch), turn, counts, alarms }));
        }
        let batch = Arc::new(batch);
        let commit = store.commit_shared(&self.blueprint.setup.desk, batch.clone());
        memory.medium.begins(self.time.read().elapsed);
        if !turn.pending.is_empty() || !turn.claims.is_empty() {
            fail_point("commit_begun");
        }
        Ok(HandedOver::Commit(UnderWay { commit, copy: batch, turn, counts, alarms }))
    }

    /// The turn is in the store, or had nothing to keep: its effects leave.
    async fn kept(&mut self, done: UnderWay<'_>, kept: Option<Committed>, memory: &mut Memory) {
        let UnderWay { turn, counts, alarms, copy, .. } = done;
        if kept.is_some() {
            kept_points(&turn, &copy);
        }
        let Turn { pending, claims, inquiries, probes, .. } = turn;
        for pending in pending {
            if let Some(blueprint) = pending.settle() {
                self.blueprint = *blueprint;
                let setup = &self.blueprint.setup;
                info!(revision = setup.revision, "a new configuration is in use");
                self.publish.goes_by(setup);
                memory.unprobed.clear();
                memory.down.retain(|channel| setup.channels.contains_key(channel));
                self.publish.channels(setup, |channel| memory.is_down(channel));
            }
        }
        for claim in claims {
            self.send(claim, true, memory.business.now()).await;
        }
        for channel in probes {
            let limit = self.blueprint.setup.config.send.timeout;
            if self.jobs.send(Job::Probe { channel, limit }).await.is_err() {
                error!("the senders are gone");
            }
        }
        for job in turn_asks(inquiries, memory, self.blueprint.setup.config.send.timeout) {
            // A question that finds no room is asked again with the next turn.
            if let Err(e) = self.jobs.try_send(job)
                && let Job::Query { inquiry, .. } = e.into_inner()
            {
                memory.asking.remove(&inquiry.message);
            }
        }
        self.publish.counts(&counts);
        for alarm in &alarms {
            self.publish.alarm(alarm);
        }
        let Some(kept) = kept else { return };
        self.publish.committed(kept.took);
        let elapsed = self.time.read().elapsed;
        memory.medium.ended(Some(span_of(kept.took)), elapsed);
        self.met(memory).await;
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
        // A slow medium is tried, too: with what waits for it there may be nothing to keep.
        let every = match self.watchdog_every {
            Some(every) => every,
            None if memory.medium.slow => Span::from_secs(20),
            None => return Ok(()),
        };
        if busy || elapsed.as_millis() - memory.fed.as_millis() < every.as_millis() / 2 {
            return Ok(());
        }
        match tokio::time::timeout(to_duration(every), store.probe()).await {
            Ok(Ok(())) => {
                let now = self.time.read().elapsed;
                memory.medium.ended(Some(Span::from_millis(now.as_millis() - elapsed.as_millis())), now);
                self.feed(memory, elapsed);
                Ok(())
            }
            Ok(Err(e)) => Err(e),
            // The watchdog will bite; that is what it is for.
            Err(_) => Ok(()),
        }
    }

    /// T2: whether a time server has set the clock since it was looked at last.
    fn look_at_time_server(&self, memory: &mut Memory, elapsed: Span) {
        let said = self.time.set_at();
        if said.is_some() && said != memory.set_at {
            memory.set_at = said;
            memory.evidence.synchronised(elapsed);
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

/// So many questions of one provider are under way at a time; what is asked later is still due then.
const ASKED_AT_ONCE: usize = 4;

/// The questions to ask that are not being asked already.
fn turn_asks(inquiries: Vec<Inquiry>, memory: &mut Memory, limit: Span) -> Vec<Job> {
    let mut fresh = Vec::new();
    for inquiry in inquiries {
        let under_way = memory.asking.values().filter(|channel| **channel == inquiry.channel).count();
        if under_way < ASKED_AT_ONCE && !memory.asking.contains_key(&inquiry.message) {
            memory.asking.insert(inquiry.message, inquiry.channel.clone());
            fresh.push(inquiry);
        }
    }
    fresh.into_iter().map(|inquiry| Job::Query { inquiry: Box::new(inquiry), limit }).collect()
}

enum HandedOver<'s> {
    /// There was nothing to keep.
    Nothing(UnderWay<'s>),
    Commit(UnderWay<'s>),
}

/// Takes observations in, those of one case that follow one another at once; a panic refuses the ones that caused it, and
/// says of the others that they were not kept.
#[expect(clippy::type_complexity, reason = "both sides carry the answers, and each is used once")]
fn observe(
    desk: &mut Desk,
    observations: &[crate::core::model::Observation<'static>],
    now: Instant,
) -> Result<(Vec<ObserveAnswer>, Vec<Remark>), (Vec<ObserveAnswer>, Panicked)> {
    let (mut answers, mut remarks) = (Vec::with_capacity(observations.len()), Vec::new());
    for of_one in observations.chunk_by(is_same_case) {
        let first = answers.len();
        let taken = guarded(|| {
            let mut kept = Vec::with_capacity(of_one.len());
            let (refused, remarks) =
                desk.observe_all(of_one, now, |merge| kept.push(ObserveAnswer::Kept(merge)));
            (kept, refused, remarks)
        });
        match taken {
            Ok((kept, refused, told)) => {
                remarks.extend(told);
                answers.extend(kept);
                if let Some(refused) = refused {
                    let refused = ObserveAnswer::Refused(refused.to_string());
                    answers.resize(first + of_one.len(), refused);
                }
            }
            Err(e) => {
                let again = || ObserveAnswer::Unavailable("internal error: try again".to_owned());
                let mut answers: Vec<_> = observations.iter().map(|_| again()).collect();
                answers[first..first + of_one.len()]
                    .fill(ObserveAnswer::Refused("internal error: this observation is not taken".to_owned()));
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
        Which::After(after, most) => {
            let beyond = |i: &&Incident| !i.is_resolved() && after.is_none_or(|after| i.id > after);
            desk.incidents().filter(beyond).take(*most).cloned().collect()
        }
        Which::Unresolved(most) => {
            let mut found: Vec<&Incident> = desk.incidents().filter(|i| !i.is_resolved()).collect();
            found.sort_by_key(|i| (std::cmp::Reverse(i.level), i.due.unwrap_or(Instant::MAX), i.id));
            found.into_iter().take(*most).cloned().collect()
        }
    }
}

fn span_of(took: std::time::Duration) -> Span {
    Span::from_millis(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
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
    for channel in &turn.probes {
        memory.probing.remove(channel);
    }
}

/// The places where a test lets the process die after a commit.
fn kept_points(turn: &Turn, kept: &Batch) {
    let message = |state: &str| kept.rows.iter().any(|r| r.table == Table::Message && r.state == Some(state));
    if cfg!(any(test, feature = "fail-points")) {
        if message("held") {
            fail_point("held_kept");
        }
        if message("ready") {
            fail_point("ready_kept");
        }
    }
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
            Pending::State(..) => fail_point("statement_kept"),
            Pending::Swap(..) => fail_point("swap_kept"),
            _ => {}
        }
    }
}
