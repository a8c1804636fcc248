//! The workers: what drives a desk in real time.

pub mod after;
pub mod assemble;
pub mod blueprint;
pub mod business;
pub mod claims;
pub mod desk;
pub mod dispatch;
mod emergency;
pub mod folder;
mod hand_over;
pub mod handle;
pub mod intake;
pub mod jobs;
pub mod key;
mod medium;
mod notice;
pub mod noticed;
pub mod open;
pub mod parcels;
pub mod poll;
pub mod publish;
pub mod reload;
mod sheet;
#[cfg(test)]
mod stories;
pub mod supervise;
pub mod systemd;
pub mod time;
mod turn;

pub use turn::Order;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::config::{Ready, load_settings};
use crate::core::alerting::Setup;
use crate::core::ids::InstallationKey;
use crate::core::model::Batch;
use crate::core::time::Instant;
use crate::store::{Store, StoreError, sqlite};
use crate::telemetry::{Health, Metrics};

use after::After;
use assemble::{AssembleError, Assembled, Ground, assemble};
use blueprint::meta;
use claims::{Daily, DailyPlan};
use desk::{DeskOwner, End};
use dispatch::{Channels, Dispatch};
use folder::{Folder, Watched};
use handle::Handle;
use jobs::Jobs;
use parcels::{Doors, Parcels, ParcelsFollow};
use poll::{Polled, Polls, PollsFollow};
use publish::{Publish, SharedNow};
use reload::{Followers, Reloader};
use supervise::Supervisor;
use time::{TimeSource, to_duration};

/// How many asks wait for the desk.
const ASKS: usize = 1024;
/// How many orders of our own workers.
const ORDERS: usize = 64;
/// How many attempts, and outcomes, are on their way between desk and senders.
const SENDS: usize = 4096;
/// What an orderly stop takes beyond the attempts under way (B16).
const STOP_EXTRA: Duration = Duration::from_secs(2);

/// What a desk is started with.
pub struct Plan {
    /// The main file of the configuration, to be read again by a reload.
    pub main: PathBuf,
    /// The environment, as the config room read it.
    pub env: Arc<BTreeMap<String, String>>,
    /// The settings to start with.
    pub ready: Ready,
    /// Why the configured settings were not used, where these are the last good ones.
    pub rejected: Option<String>,
    /// Where the last good settings are kept.
    pub last_good: PathBuf,
    /// The installation's key.
    pub key: InstallationKey,
    /// The open store.
    pub store: Arc<dyn Store>,
    /// Time.
    pub time: Arc<dyn TimeSource>,
    /// Every metric.
    pub metrics: Arc<Metrics>,
}

/// A desk at work.
pub struct Daemon {
    /// Its tasks; whoever starts more (a server) adds them here, so that they stop first.
    pub supervisor: Supervisor,
    /// The way to the desk's owner.
    pub handle: Handle,
    /// The way of our own workers.
    pub orders: mpsc::Sender<Order>,
    /// How it is.
    pub health: watch::Receiver<Health>,
    /// What it goes by.
    pub setup: watch::Receiver<Arc<Setup>>,
    /// The business time.
    pub now: SharedNow,
    /// The boot epoch.
    pub epoch: u64,
    /// Asks for a reload, as a signal of the system does.
    pub reloads: mpsc::Sender<desk::ReloadRequest>,
    /// Who else goes by the settings: whoever starts a server adds it.
    pub followers: Followers,
    /// Where pushes of couriers go in.
    pub doors: Doors,
    /// The channels that the senders use.
    pub channels: watch::Receiver<Channels>,
    /// Where what follows an answer is left.
    pub after: After,
    /// How the owner ended, when it has.
    pub end: oneshot::Receiver<End>,
    store: Arc<dyn Store>,
}

/// Why a desk could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings cannot drive a desk.
    #[error(transparent)]
    Settings(#[from] AssembleError),
}

impl Daemon {
    /// Starts everything that drives the desk, in the order of §16.1. One straight line: what is started first is
    /// stopped last.
    ///
    /// # Errors
    /// The store cannot be written, or the settings tell nobody.
    pub async fn start(plan: Plan) -> Result<Daemon, StartError> {
        let Plan { main, env, ready, rejected, last_good, key, store, time, metrics } = plan;
        let desk: Arc<str> = ready.settings.desk.id.as_str().into();
        let (epoch, revision) = begin_epoch(&*store, &desk, time.read().wall).await?;
        let now = SharedNow::new(time.clone());
        let base_url = ready.settings.alerting.base_url.clone();
        let trace_key = key.clone();
        let ground = Ground { key, epoch, env: env.clone(), clock: now.as_clock(), base_url };
        let Assembled { blueprint, channels, broken } = assemble(&ready, &ground, revision)?;
        for error in &broken {
            error!(error = %error, "a channel cannot be used; its messages go by others");
        }
        if rejected.is_none()
            && let Err(e) = reload::keep_last_good(&ready, &last_good)
        {
            warn!(error = %e, file = %last_good.display(), "the copy of the configuration cannot be kept");
        }
        let (handle, asks) = Handle::new(desk.clone(), ASKS);
        let (orders, orders_in) = mpsc::channel(ORDERS);
        let (sends, sends_in) = mpsc::channel(SENDS);
        let (reports, reports_in) = mpsc::channel(SENDS);
        let (reloads, requests) = mpsc::channel(4);
        let channels = watch::Sender::new(channels);
        let channels_out = channels.subscribe();
        let (health, health_out) = Health::channel();
        let (setup, setup_out) = watch::channel(Arc::new(blueprint.setup.clone()));
        let (store_config, store_config_out) = watch::channel(ready.settings.store.clone());
        let hints = jobs::hints();
        let polled_metrics = metrics.clone();
        let publish = Publish::new(setup, health, metrics, now.clone());
        let (ended, end) = oneshot::channel();
        let drain = to_duration(ready.settings.alerting.send.timeout) + STOP_EXTRA;

        let intake = ready.settings.watch.folder.as_ref().map(|folder| intake::Intake {
            folder: PathBuf::from(folder),
            import: Arc::new(ready.settings.import.clone()),
            batch: ready.settings.watch.batch,
            every: ready.settings.watch.every,
            desk: desk.clone(),
            store: store.clone(),
            orders: orders.clone(),
            time: time.clone(),
        });
        if let Some((intake, backup)) = intake.clone().zip(store.restored()) {
            // §16.1, 8: what was read since the backup is read again. Before the owner says that the restore is dealt with.
            let since = sqlite::made_at(&backup).unwrap_or(Instant::MIN);
            match supervise::blocking(move || intake.put_back(since)).await {
                Ok(Ok(count)) => info!(count, backup, "files that came since the backup are read again"),
                Ok(Err(e)) => error!(error = %e, "files that came since the backup cannot be put back"),
                Err(e) => error!(error = %e, "files that came since the backup cannot be put back"),
            }
        }

        let mut supervisor = Supervisor::new();
        let dispatch =
            Dispatch { jobs: sends_in, reports, channels: channels.subscribe(), time: time.clone() };
        supervisor.start("dispatch", STOP_EXTRA, |stop| dispatch.run(stop));
        let owner = DeskOwner {
            blueprint,
            store: store.clone(),
            time: time.clone(),
            asks,
            orders: orders_in,
            reports: reports_in,
            jobs: sends,
            reloads: reloads.clone(),
            tidy: hints.0.clone(),
            publish,
            watchdog: Box::new(systemd::alive),
            watchdog_every: systemd::watchdog_every(),
        };
        supervisor.start_alone("desk", drain, |stop| async move {
            let end = owner.run(stop).await;
            // Whoever waits for it is gone only when the whole process is on its way out.
            drop(ended.send(end));
        });
        let watched =
            Watched { watch: ready.settings.watch.clone(), import: Arc::new(ready.settings.import.clone()) };
        let (watched, watched_in) = watch::channel(watched);
        let followers = Followers::default();
        let reloader = Reloader {
            current: Box::new(ready.settings.clone()),
            watched,
            followers: followers.clone(),
            main,
            last_good,
            ground,
            revision,
            channels,
            orders: orders.clone(),
            requests,
            store: store.clone(),
            desk: desk.clone(),
            time: time.clone(),
            store_config,
        };
        supervisor.start("reload", STOP_EXTRA, |stop| reloader.run(stop));
        let (daily, claims) = watch::channel(Arc::new(DailyPlan::of(&ready.settings, ready.shifts.zone())));
        followers.add(Arc::new(Daily { plan: daily }));
        let jobs = Jobs {
            handle: handle.clone(),
            orders: orders.clone(),
            store: store.clone(),
            time: time.clone(),
            config: store_config_out,
            claims,
            hints,
        };
        supervisor.start("jobs", STOP_EXTRA, |stop| jobs.run(stop));
        let folder = Folder {
            watched: watched_in,
            desk: desk.clone(),
            store: store.clone(),
            orders: orders.clone(),
            time: time.clone(),
        };
        supervisor.start("intake", STOP_EXTRA, |stop| folder.run(stop));
        let (polled, polled_in) = watch::channel(Polled::of(&ready));
        followers.add(Arc::new(PollsFollow { polled, env: env.clone() }));
        let (followed, followed_in) = watch::channel(Arc::new(ready.settings.couriers.clone()));
        followers.add(Arc::new(ParcelsFollow { followed, env: env.clone() }));
        let doors = Doors::default();
        let parcels = Parcels {
            followed: followed_in,
            env: env.clone(),
            desk: desk.clone(),
            store: store.clone(),
            orders: orders.clone(),
            time: time.clone(),
            metrics: polled_metrics.clone(),
            key: trace_key,
            doors: doors.clone(),
        };
        supervisor.start("parcels", STOP_EXTRA, |stop| parcels.run(stop));
        let polls = Polls {
            polled: polled_in,
            env,
            desk: desk.clone(),
            store: store.clone(),
            orders: orders.clone(),
            time: time.clone(),
            metrics: polled_metrics,
        };
        supervisor.start("poll", STOP_EXTRA, |stop| polls.run(stop));
        let (after, afterwards) = After::new();
        supervisor.start("after", STOP_EXTRA, |stop| afterwards.run(stop));
        // The queue is new and empty, and its owner runs: this cannot wait. It is also said that nothing was refused:
        // what an earlier process said of it may still be open.
        drop(orders.send(Order::Rejected(rejected)).await);
        info!(desk = %desk, epoch, revision, "started");
        Ok(Daemon {
            supervisor,
            handle,
            orders,
            health: health_out,
            setup: setup_out,
            now,
            epoch,
            reloads,
            followers,
            doors,
            channels: channels_out,
            after,
            end,
            store,
        })
    }

    /// Stops everything in good order: no new work, what is under way ends, then the store is closed.
    pub async fn stop(self) {
        systemd::stopping();
        for ended in self.supervisor.stop().await {
            match ended.how {
                supervise::How::Finished => {}
                how => warn!(task = ended.name, ?how, "did not stop by itself"),
            }
        }
        if let Err(e) = self.store.close().await {
            error!(error = %e, "the store did not close in good order");
        }
        info!("stopped");
    }
}

/// §16.1, 3: a boot epoch larger than any before, kept before anything else is done; and the revision of the
/// configuration, which this start raises by one.
async fn begin_epoch(store: &dyn Store, desk: &Arc<str>, now: Instant) -> Result<(u64, u64), StoreError> {
    let number = |value: Option<serde_json::Value>, key: &str| {
        value.as_ref().and_then(|v| v.get(key)).and_then(serde_json::Value::as_u64).unwrap_or(0)
    };
    let last = number(reload::stored(store, desk, "epoch").await?, "epoch");
    let epoch = (last + 1).max(u64::try_from(now.as_millis()).unwrap_or(0));
    let revision = number(reload::stored(store, desk, "config").await?, "revision") + 1;
    let rows = vec![
        meta("epoch", &serde_json::json!({ "epoch": epoch, "at": now })),
        meta("config", &serde_json::json!({ "revision": revision, "at": now })),
    ];
    store.commit(desk, Batch { rows, audit: Vec::new() }).await?;
    Ok((epoch, revision))
}

/// The settings to start with: the configured ones, or where they are invalid the last good ones (§16.1, 4).
///
/// # Errors
/// The report on the configured ones, when there are no last good ones either.
pub fn settings_to_start(
    main: &std::path::Path,
    env: &BTreeMap<String, String>,
    last_good: &std::path::Path,
    now: Instant,
) -> Result<(Ready, Option<String>), String> {
    let refused = match load_settings(main, env, Some(now)) {
        Ok(ready) => return Ok((ready, None)),
        Err(report) => report.to_string(),
    };
    if !last_good.exists() {
        return Err(refused);
    }
    match load_settings(last_good, &BTreeMap::new(), Some(now)) {
        Ok(ready) => Ok((ready, Some(refused))),
        Err(_) => Err(refused),
    }
}
