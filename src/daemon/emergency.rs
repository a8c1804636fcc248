//! Emergency mode (`delivery_semantics` §16.4): the store takes no writes, and the desk goes on in memory.
//!
//! What is urgent is sent once per process life, marked "(存储故障)"; what people answer is not accepted; a probe every
//! second asks whether the store writes again. Then the desk in memory is dropped: what is in the store is the truth, and
//! the sources say the rest again.

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::core::alerting::{Claim, LocalAlarm};
use crate::core::engine::Desk;
use crate::core::model::Class;
use crate::core::time::{Instant, Span};
use crate::daemon::blueprint::{Careful, guarded};
use crate::daemon::desk::{DeskOwner, End, Input, Life, Memory, TICK, find};
use crate::daemon::dispatch::Report;
use crate::daemon::handle::{Ask, AskError};
use crate::daemon::turn::{Order, Turn, unavailable};
use crate::fail::fail_point;
use crate::store::{StoreError, Task};

/// An emergency this soon after another one is the same: a probe is smaller than what the desk has to keep.
const SOON: Span = Span::from_secs(60);
/// It lasts longer each time, at most this; unless there is so much more space.
const LONGEST: Span = Span::from_secs(30);
const MORE_ROOM: u64 = 8 << 20;
/// What a probe says is logged so often.
const SAY_AGAIN: Span = Span::from_secs(30);

impl DeskOwner {
    /// Goes on in memory with `desk` until the store writes again. `waiting` was claimed and not kept.
    pub(super) async fn emergency(
        &mut self,
        mut desk: Desk,
        waiting: Vec<Claim>,
        reason: String,
        memory: &mut Memory,
        stop: &CancellationToken,
    ) -> Life {
        error!(error = %reason, "the store takes no writes: emergency mode");
        fail_point("emergency");
        self.publish.emergency();
        for claim in &waiting {
            memory.flying.remove(&(claim.message, claim.attempt));
        }
        let now = memory.business.now();
        if let Some(signal) = memory.troubles.set("system.disk", Some(&reason), now) {
            drop(guarded(|| desk.signal(&signal, now)));
        }
        let mut waiting = waiting;
        let began = self.time.read().elapsed;
        let at_least = match memory.emergency {
            Some((ended, lasted)) if began.as_millis() - ended.as_millis() < SOON.as_millis() => {
                (lasted + lasted).min(LONGEST)
            }
            _ => TICK,
        };
        let free = |this: &Self| this.store.health().free_bytes.unwrap_or(0);
        let free_then = free(self);
        let (mut probed, mut said) = (began, None);
        let store = self.store.clone();
        let mut probe: Option<Task<'_, ()>> = None;
        loop {
            let urgent = std::mem::take(&mut waiting);
            self.send_urgent(urgent, &desk, memory).await;
            let tried = async {
                match &mut probe {
                    Some(probe) => probe.await,
                    None => std::future::pending().await,
                }
            };
            let input = tokio::select! {
                biased;
                () = stop.cancelled() => return Life::Over(End::Stopped),
                tried = tried => Input::Probed(tried),
                Some(report) = self.reports.recv() => Input::Report(report),
                Some(order) = self.orders.recv() => Input::Order(order),
                Some(ask) = self.asks.recv() => Input::Ask(ask),
                () = self.time.sleep(TICK) => Input::Wake,
            };
            let reading = self.time.read();
            let elapsed = reading.elapsed;
            let since = |at: Span| elapsed.as_millis() - at.as_millis();
            if let Input::Probed(tried) = &input {
                probe = None;
                match tried {
                    Ok(())
                        if since(began) >= at_least.as_millis()
                            || free(self) >= free_then.saturating_add(MORE_ROOM) =>
                    {
                        info!("the store writes again: back to normal");
                        memory.emergency = Some((elapsed, at_least));
                        // The desk in the store knows nothing of it: the next life tells it that the disk was full.
                        return Life::Again(None);
                    }
                    Ok(()) => {}
                    Err(e @ StoreError::Flush { .. }) => return Life::Over(End::Flush(e.to_string())),
                    Err(e) if said.is_none_or(|at| since(at) >= SAY_AGAIN.as_millis()) => {
                        warn!(error = %e, "the store takes no writes still");
                        said = Some(elapsed);
                    }
                    Err(_) => {}
                }
                // The loop turns and works: a restart would make nothing better.
                self.feed(memory, elapsed);
            }
            let tick = memory.business.tick(reading, &memory.evidence);
            let now = tick.now;
            if !tick.skipped.is_zero() {
                drop(guarded(|| desk.step_forth(tick.skipped)));
            }
            let taken = guarded(|| self.in_memory(input, memory, &mut desk, &reason, now)).and_then(|()| {
                let renderer = Careful { inner: &*self.blueprint.renderer, unrecorded: true };
                let room = self.room(memory);
                guarded(|| {
                    desk.advance(now);
                    let claims = desk.claim(&room, &renderer, now);
                    // Nothing of this is kept; the counters tell what is.
                    drop((desk.drain(), desk.take_counts()));
                    claims
                })
            });
            match taken {
                Ok(claims) => waiting = claims,
                Err(e) => return Life::Again(Some(e.to_string())),
            }
            for alarm in desk.take_alarms() {
                self.publish.alarm(&alarm);
            }
            self.look_at_channels(memory, &desk);
            self.publish.turned(now, reading.elapsed);
            if probe.is_none() && since(probed) >= TICK.as_millis() {
                probed = elapsed;
                probe = Some(store.probe());
            }
        }
    }

    fn in_memory(&mut self, input: Input, memory: &mut Memory, desk: &mut Desk, reason: &str, now: Instant) {
        match input {
            Input::Ask(Ask::Observe(observations, answer)) => {
                for observation in &observations {
                    desk.observe(observation, now);
                }
                drop(answer.send(unavailable(observations.len(), reason)));
            }
            Input::Ask(Ask::Respond(_, answer)) => {
                drop(answer.send(Err(AskError::Storage(reason.to_owned()))));
            }
            Input::Ask(Ask::State(_, answer)) => {
                drop(answer.send(Err(AskError::Storage(reason.to_owned()))));
            }
            Input::Ask(Ask::Noticed(_)) | Input::Order(Order::Noticed(_)) => {}
            Input::Ask(Ask::Incidents(which, answer)) => drop(answer.send(find(desk, &which))),
            Input::Ask(Ask::Told(channel, person, most, answer)) => {
                drop(answer.send(desk.told_by(&channel, &person, most)));
            }
            Input::Ask(Ask::Reload(_, answer)) => {
                drop(answer.send(Err(format!("the store takes no writes: {reason}"))));
            }
            Input::Order(Order::Taken { observations, answer, .. }) => {
                for observation in &observations {
                    desk.observe(observation, now);
                }
                drop(answer.send(Err(AskError::Storage(reason.to_owned()))));
            }
            Input::Order(Order::Signal(signal)) => desk.signal(&signal, now),
            Input::Order(Order::Preview(_, answer)) => drop(answer.send(vec![reason.to_owned()])),
            Input::Order(Order::Swap { answer, .. }) => drop(answer.send(Err(reason.to_owned()))),
            Input::Order(Order::Shipments(from, answer)) => {
                drop(answer.send(desk.engine().shipments(from, Turn::LOOKED)));
            }
            Input::Order(Order::Open { source, from, most, answer }) => {
                drop(answer.send(desk.engine().open_cases(&source, from, most.min(Turn::LOOKED))));
            }
            Input::Order(Order::Ahead { sources, until, answer }) => {
                drop(answer.send(desk.engine().ahead(&sources, until, Turn::AHEAD)));
            }
            Input::Order(Order::Date { who, said }) => {
                memory.evidence.date(who, said, self.time.read().elapsed);
            }
            Input::Order(Order::Trouble { family, text }) => {
                // The next life tells it.
                drop(memory.troubles.set(family, text.as_deref(), now));
            }
            Input::Order(Order::Rejected(why)) => self.publish.reloaded(why.is_none()),
            Input::Report(report) => {
                match &report {
                    Report::Sent { message, attempt, channel, outcome, recorded } => {
                        memory.flying.remove(&(*message, *attempt));
                        self.channel_was(memory, channel, outcome.class);
                        desk.outcome(*message, *attempt, outcome.clone(), now);
                        if !recorded {
                            return;
                        }
                    }
                    Report::Dated { who, said } => {
                        memory.evidence.date(who.clone(), *said, self.time.read().elapsed);
                        return;
                    }
                    // The desk that asked is in memory only; the next one asks again.
                    Report::Probed { .. } => return,
                    Report::Told { message, statement } => {
                        memory.asking.remove(message);
                        desk.answered(*message, statement.as_ref(), now);
                    }
                }
                // Its attempt is in the store: the outcome is taken in again when that writes.
                memory.unkept.push_back(report);
            }
            Input::Wake | Input::Stop | Input::Committed(_) | Input::Probed(_) => {}
        }
    }

    /// Sends P0, and level 1 of breached tickets, each message once in the life of the process.
    async fn send_urgent(&mut self, claims: Vec<Claim>, desk: &Desk, memory: &mut Memory) {
        if !claims.is_empty() {
            fail_point("emergency_claimed");
        }
        for mut claim in claims {
            let breached_ticket = desk
                .incident(claim.thread)
                .is_some_and(|i| i.level >= 1 && i.family.split('.').next() == Some("ticket"));
            let urgent = claim.priority == Class::P0 || (claim.priority == Class::P1 && breached_ticket);
            if !urgent || !memory.sent_unrecorded.insert(claim.message) {
                continue;
            }
            if !claim.body.text.contains(MARK) {
                claim.body.text = format!("{MARK}{}", claim.body.text);
            }
            warn!(message = %claim.message, channel = %claim.to.lane.channel, "sent without a record");
            self.publish.alarm(&LocalAlarm {
                kind: "sent.unrecorded",
                text: format!("{} by {}", claim.message, claim.to.lane.channel),
            });
            memory.flying.insert((claim.message, claim.attempt), claim.to.lane.channel.clone());
            self.send(claim, false, memory.business.now()).await;
        }
    }
}

/// What such a message says of itself.
const MARK: &str = "(存储故障)";
