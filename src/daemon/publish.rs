//! What the owner of the desk makes known: its health, what it goes by, and every figure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tracing::error;

use crate::core::alerting::{Count, LocalAlarm, Setup};
use crate::core::engine::Desk;
use crate::core::model::{ChannelClass, Status};
use crate::core::time::{Instant, Span};
use crate::daemon::time::{Reading, TimeSource};
use crate::store::StoreHealth;
use crate::telemetry::metrics::{Known, Snapshot};
use crate::telemetry::{Health, HealthSender, Metrics};

/// How many local alarms are kept to show.
const ALARMS: usize = 50;

/// The business time for whoever asks from outside the desk: the counter, and how far the business clock is from it.
#[derive(Clone)]
pub struct SharedNow {
    time: Arc<dyn TimeSource>,
    /// Business time minus counter, in ms.
    offset: Arc<AtomicI64>,
}

impl SharedNow {
    /// Goes by the wall until the desk says otherwise.
    pub fn new(time: Arc<dyn TimeSource>) -> SharedNow {
        let Reading { wall, elapsed } = time.read();
        SharedNow { time, offset: Arc::new(AtomicI64::new(wall.as_millis() - elapsed.as_millis())) }
    }

    /// The business time was `now` when the counter was `elapsed`.
    pub fn set(&self, now: Instant, elapsed: Span) {
        self.offset.store(now.as_millis() - elapsed.as_millis(), Ordering::Relaxed);
    }

    /// The business time.
    pub fn get(&self) -> Instant {
        let elapsed = self.time.read().elapsed.as_millis();
        Instant::from_millis(elapsed.saturating_add(self.offset.load(Ordering::Relaxed)))
    }

    /// The same as a function, for channels and pages.
    pub fn as_clock(&self) -> Arc<dyn Fn() -> Instant + Send + Sync> {
        let this = self.clone();
        Arc::new(move || this.get())
    }
}

/// Where all of it is made known.
pub struct Publish {
    health: HealthSender,
    setup: watch::Sender<Arc<Setup>>,
    metrics: Arc<Metrics>,
    now: SharedNow,
    store: StoreHealth,
    reload_ok: bool,
}

impl Publish {
    /// Makes known that nothing works yet.
    pub fn new(
        setup: watch::Sender<Arc<Setup>>,
        health: HealthSender,
        metrics: Arc<Metrics>,
        now: SharedNow,
    ) -> Publish {
        Publish { health, setup, metrics, now, store: StoreHealth::default(), reload_ok: true }
    }

    /// The desk is loaded, and the store was fine.
    pub fn loaded(&self, setup: &Setup) {
        self.health.send_modify(|h| {
            h.booted = true;
            h.store_writable = true;
            h.desk_owned = true;
        });
        self.goes_by(setup);
    }

    /// The desk was dropped and is not back yet.
    pub fn dropped(&self) {
        self.health.send_modify(|h| h.booted = false);
    }

    /// A configuration is in use.
    pub fn goes_by(&self, setup: &Setup) {
        self.setup.send_replace(Arc::new(setup.clone()));
        self.metrics.know(Known {
            channels: setup.channels.keys().cloned().collect(),
            families: setup.rules.keys().cloned().collect(),
            teams: setup.roster.teams.keys().cloned().collect(),
        });
    }

    /// The last configuration that was offered was taken, or not.
    pub fn reloaded(&mut self, ok: bool) {
        self.reload_ok = ok;
    }

    /// The store takes no writes.
    pub fn emergency(&self) {
        self.health.send_modify(|h| h.store_writable = false);
        self.metrics.alarmed();
    }

    /// Whether the store takes writes in time.
    pub fn writable(&self, is: bool) {
        self.health.send_modify(|h| h.store_writable = is);
    }

    /// The stop was asked for.
    pub fn stopping(&self) {
        self.health.send_modify(|h| h.stopping = true);
    }

    /// The loop has turned.
    pub fn turned(&self, now: Instant, elapsed: Span) {
        self.now.set(now, elapsed);
        self.health.send_if_modified(|h| {
            h.last_turn = Some(tokio::time::Instant::now());
            false
        });
    }

    /// Which channels do not work, of those that there are.
    pub fn channels(&self, setup: &Setup, is_down: impl Fn(&str) -> bool) {
        let mut classes: BTreeMap<ChannelClass, bool> = BTreeMap::new();
        for (name, card) in &setup.channels {
            *classes.entry(card.class).or_default() |= !is_down(name);
        }
        self.health.send_if_modified(|h| {
            let changed = h.channels != classes;
            h.channels.clone_from(&classes);
            changed
        });
    }

    /// The local alarm surfaces (§7.4): the journal at priority `alert`, the status page, a figure.
    pub fn alarm(&self, alarm: &LocalAlarm) {
        error!(target: "shiftbell::alarm", kind = alarm.kind, text = %alarm.text, "local alarm");
        self.metrics.alarmed();
        self.health.send_modify(|h| {
            if h.alarms.len() >= ALARMS {
                h.alarms.remove(0);
            }
            h.alarms.push(format!("{}: {}", alarm.kind, alarm.text).into());
        });
    }

    /// What the engine counted; only after its commit.
    pub fn counts(&self, counts: &[Count]) {
        for count in counts {
            self.metrics.apply(count);
        }
    }

    /// A commit took so long.
    pub fn committed(&self, took: Duration) {
        self.metrics.committed(took);
    }

    /// How the store is.
    pub fn store(&mut self, health: StoreHealth) {
        self.store = health;
    }

    /// Every gauge, from the desk as it is.
    pub fn figures(&self, desk: &Desk, setup: &Setup, lag: Span) {
        let mut incidents: BTreeMap<Status, u64> = BTreeMap::new();
        let mut unhandled = 0;
        for incident in desk.incidents() {
            *incidents.entry(incident.status).or_default() += 1;
            unhandled += u64::from(incident.unhandled && !incident.is_resolved());
        }
        self.metrics.set(&Snapshot {
            incidents,
            unhandled,
            tick_lag: lag,
            store_free_bytes: self.store.free_bytes,
            store_size_bytes: self.store.size_bytes,
            config_revision: setup.revision,
            config_last_reload_ok: self.reload_ok,
            audit_chain_ok: true,
            ..Snapshot::default()
        });
    }

    /// Somebody who wants to see the health.
    pub fn watch(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }
}
