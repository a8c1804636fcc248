//! A new configuration while the desk works (`delivery_semantics` §16.3): read, checked, tried, swapped as a numbered
//! revision in one commit; or refused, and the old one stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::{Ready, Settings, load_settings};
use crate::core::alerting::Way;
use crate::core::clock::{ClockConfig, RuleEntry};
use crate::core::engine::Desk;
use crate::core::model::{Message, Table};
use crate::daemon::assemble::{Assembled, Ground, assemble};
use crate::daemon::blueprint::{Blueprint, meta};
use crate::daemon::desk::ReloadRequest;
use crate::daemon::dispatch::Channels;
use crate::daemon::folder::Watched;
use crate::daemon::handle::{ReloadAnswer, ReloadAsk};
use crate::daemon::supervise::blocking;
use crate::daemon::time::TimeSource;
use crate::daemon::turn::Order;
use crate::store::{RowQuery, Store, StoreConfig};

/// Who goes by settings beside the desk.
pub trait Follower: Send + Sync + 'static {
    /// Makes ready what new settings need. What it answers is called once the desk goes by them; nothing changes before.
    ///
    /// # Errors
    /// They cannot be used, and why: the reload is refused.
    fn prepare(&self, ready: &Ready) -> Result<Box<dyn FnOnce() + Send>, String>;
}

/// Everybody who goes by settings beside the desk.
#[derive(Clone, Default)]
pub struct Followers(Arc<Mutex<Vec<Arc<dyn Follower>>>>);

impl Followers {
    /// One more.
    pub fn add(&self, follower: Arc<dyn Follower>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(follower);
    }

    fn prepare(&self, ready: &Ready) -> Result<Vec<Box<dyn FnOnce() + Send>>, String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.iter().map(|follower| follower.prepare(ready)).collect()
    }
}

/// Reads configurations when it is asked to.
pub struct Reloader {
    /// The main file, or `builtin:NAME`.
    pub main: PathBuf,
    /// Where the last configuration that was taken is kept.
    pub last_good: PathBuf,
    /// The settings in use.
    pub current: Box<Settings>,
    /// What the reader of the watched folder goes by.
    pub watched: watch::Sender<Watched>,
    /// Who else goes by the settings.
    pub followers: Followers,
    /// What does not change.
    pub ground: Ground,
    /// The revision in use.
    pub revision: u64,
    /// The channels that the senders use.
    pub channels: watch::Sender<Channels>,
    /// The way to the desk's owner.
    pub orders: mpsc::Sender<Order>,
    /// Who asks.
    pub requests: mpsc::Receiver<ReloadRequest>,
    /// Where messages are looked at.
    pub store: Arc<dyn Store>,
    /// The desk.
    pub desk: Arc<str>,
    /// Time.
    pub time: Arc<dyn TimeSource>,
    /// How long things are kept, and where backups go.
    pub store_config: watch::Sender<StoreConfig>,
}

impl Reloader {
    /// Answers requests until it is asked to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let (ask, answer) = tokio::select! {
                () = stop.cancelled() => return,
                request = self.requests.recv() => match request {
                    Some(request) => request,
                    None => return,
                },
            };
            let done = self.reload(ask).await;
            match &done {
                Ok(done) if !ask.dry_run => info!(revision = done.revision, "config.reloaded"),
                Ok(_) => {}
                Err(reason) => error!(error = %reason, dry_run = ask.dry_run, "config.rejected"),
            }
            if !ask.dry_run {
                let reason = done.as_ref().err().cloned();
                // Without an owner there is nobody to tell it to.
                drop(self.orders.send(Order::Rejected(reason)).await);
            }
            drop(answer.send(done));
        }
    }

    async fn reload(&mut self, ask: ReloadAsk) -> Result<ReloadAnswer, String> {
        let (main, env) = (self.main.clone(), self.ground.env.clone());
        let now = self.time.read().wall;
        let read = blocking(move || load_settings(&main, &env, Some(now))).await;
        let ready = match read.map_err(|e| e.to_string())? {
            Ok(ready) => ready,
            Err(report) => return Err(report.to_string()),
        };
        if ready.settings.desk.id != *self.desk {
            return Err(format!(
                "desk.id: found `{}`, expected `{}` as before: another desk is another store",
                ready.settings.desk.id, self.desk
            ));
        }
        let revision = self.revision + 1;
        let Assembled { blueprint, channels, broken } =
            assemble(&ready, &self.ground, revision).map_err(|e| e.to_string())?;
        if let Some(first) = broken.first() {
            return Err(first.to_string());
        }
        let follow = self.followers.prepare(&ready)?;
        let mut report: Vec<String> = ready
            .report
            .to_string()
            .lines()
            .filter(|line| line.contains("(warning)"))
            .map(str::to_owned)
            .collect();
        report.extend(self.waiting(&channels).await);
        report.extend(beside(&self.current, &ready.settings));
        let (answer, arrive) = oneshot::channel();
        let order = Order::Preview(Box::new(blueprint.clone()), answer);
        self.orders.send(order).await.map_err(|_| "the desk is not running".to_owned())?;
        report.extend(arrive.await.map_err(|_| "the desk is not running".to_owned())?);
        if ask.dry_run {
            return Ok(ReloadAnswer { revision: self.revision, report });
        }
        let kept = keep_last_good(&ready, &self.last_good);
        let rows = vec![meta("config", &serde_json::json!({ "revision": revision, "at": now }))];
        let (answer, arrive) = oneshot::channel();
        // New channels are there before the first claim for them can leave; those that go are kept by what is under way.
        let before = self.channels.borrow().clone();
        let both = merged(&before, &channels);
        self.channels.send_replace(both);
        let order = Order::Swap { blueprint: Box::new(blueprint), rows, answer };
        self.orders.send(order).await.map_err(|_| "the desk is not running".to_owned())?;
        match arrive.await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => {
                self.channels.send_replace(before);
                return Err(reason);
            }
            Err(_) => {
                self.channels.send_replace(before);
                return Err("the desk is not running".to_owned());
            }
        }
        self.channels.send_replace(channels);
        self.store_config.send_replace(ready.settings.store.clone());
        self.revision = revision;
        follow.into_iter().for_each(|go| go());
        let import = Arc::new(ready.settings.import.clone());
        let watched = Watched { watch: ready.settings.watch.clone(), import };
        self.watched.send_if_modified(|now| {
            let changed = *now != watched;
            if changed {
                *now = watched;
            }
            changed
        });
        if let Err(e) = ready.settings.log.apply() {
            warn!(error = %e, "the level of the log stays as it was");
        }
        *self.current = ready.settings.clone();
        if let Err(e) = kept {
            warn!(error = %e, file = %self.last_good.display(), "the copy of the configuration cannot be kept");
        }
        Ok(ReloadAnswer { revision, report })
    }

    /// What waits on channels that would be gone (S30).
    async fn waiting(&self, channels: &Channels) -> Vec<String> {
        let old = self.channels.borrow().clone();
        let gone: BTreeSet<&Arc<str>> = old.keys().filter(|name| !channels.contains_key(*name)).collect();
        if gone.is_empty() {
            return Vec::new();
        }
        let mut waiting: BTreeMap<Arc<str>, usize> = gone.into_iter().map(|name| (name.clone(), 0)).collect();
        for state in ["held", "ready", "deferred", "retry_wait", "uncertain"] {
            let query = RowQuery {
                table: Table::Message,
                id_prefix: None,
                state: Some(state.to_owned()),
                parent: None,
                limit: 100_000,
            };
            let Ok(rows) = self.store.rows(&self.desk, query).await else { continue };
            for row in rows {
                let Ok(message) = serde_json::from_slice::<Message>(&row.body) else { continue };
                if let Some(count) = waiting.get_mut(&message.to.lane.channel) {
                    *count += 1;
                }
            }
        }
        let line = |(name, count)| {
            format!(
                "渠道 {name} 移除:{count} 条消息改走其他渠道 / channel {name} goes: {count} messages are re-planned"
            )
        };
        waiting.into_iter().map(line).collect()
    }
}

/// What changes beside the desk, and what of it waits for a restart.
fn beside(old: &Settings, new: &Settings) -> Vec<String> {
    let mut lines = Vec::new();
    let (was, is) = (&old.server, &new.server);
    if was.tokens != is.tokens || was.limits != is.limits {
        lines.push(
            "[server] 令牌或限制变更,用于新连接 / tokens or limits change, for new connections".to_owned(),
        );
    }
    for name in old.sources.keys().chain(new.sources.keys()).collect::<BTreeSet<_>>() {
        if old.sources.get(name) != new.sources.get(name) {
            lines.push(format!("[sources.{name}] 变更 / changes"));
        }
    }
    if old.watch != new.watch || old.import != new.import {
        lines.push("[watch] [import] 变更 / change".to_owned());
    }
    if old.log.level != new.log.level {
        lines.push(format!("[log] level: {} → {}", old.log.level, new.log.level));
    }
    let mut later = Vec::new();
    let mut note = |changed: bool, key: &'static str| {
        if changed {
            later.push(key);
        }
    };
    note(was.listen != is.listen, "server.listen");
    // Where none is configured it lies beside the store.
    let socket = |s: &Settings| {
        let beside = || s.store.sqlite.path.with_file_name("control.sock");
        s.server.socket.clone().unwrap_or_else(beside)
    };
    note(socket(old) != socket(new), "server.socket");
    note(old.store != new.store, "store");
    note(old.log.format != new.log.format, "log.format");
    if !later.is_empty() {
        let keys = later.join(", ");
        lines.push(format!("重启后生效: {keys} / takes effect with a restart: {keys}"));
    }
    lines
}

/// So many incidents of a change are named.
const NAMED: usize = 20;

/// The incidents that would be told to others (§16.3).
fn rerouted(desk: &mut Desk, new: &Blueprint) -> Vec<String> {
    let changes = desk.preview_routes(&new.setup, &new.policy);
    if changes.is_empty() {
        return Vec::new();
    }
    let told = |way: &Way| -> String {
        let one = |(person, channels): (&Arc<str>, &BTreeSet<Arc<str>>)| {
            let channels: Vec<&str> = channels.iter().map(|c| &**c).collect();
            format!("{person}({})", channels.join(","))
        };
        match way.is_empty() {
            true => "-".to_owned(),
            false => way.iter().map(one).collect::<Vec<_>>().join(" "),
        }
    };
    let mut lines = vec![format!(
        "路由变更:{} 个未结事件 / routes of {} open incidents change",
        changes.len(),
        changes.len()
    )];
    for change in changes.iter().take(NAMED) {
        lines.push(format!(
            "  #{} L{}: {} → {}",
            change.incident.short(),
            change.level,
            told(&change.now),
            told(&change.then)
        ));
    }
    if changes.len() > NAMED {
        lines.push(format!("  … +{}", changes.len() - NAMED));
    }
    lines
}

fn merged(before: &Channels, after: &Channels) -> Channels {
    let mut both = (**before).clone();
    both.extend(after.iter().map(|(name, channel)| (name.clone(), channel.clone())));
    Arc::new(both)
}

/// Keeps the settings as one file that needs no other, to start with when the configured ones are invalid. It holds no
/// secrets but those that the settings themselves hold, so only its owner may read it.
///
/// # Errors
/// It cannot be written.
pub fn keep_last_good(ready: &Ready, path: &Path) -> std::io::Result<()> {
    let text = toml::to_string(&ready.settings).map_err(std::io::Error::other)?;
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    crate::wire::secret::replace(path, text.as_bytes())
}

/// What the desk would do otherwise with the new configuration, in lines for people.
pub(super) fn preview(desk: &mut Desk, old: &Blueprint, new: &Blueprint) -> Vec<String> {
    let mut lines = rerouted(desk, new);
    let rules = |blueprint: &Blueprint| -> BTreeSet<String> {
        blueprint.policy.rules().into_iter().map(|rule| rule.clock.name).collect()
    };
    let (before, after) = (rules(old), rules(new));
    for rule in before.difference(&after) {
        let closing = desk.incidents().filter(|i| !i.is_resolved() && *i.rule == **rule);
        let ids: Vec<String> = closing.map(|i| format!("#{}", i.id.short())).collect();
        let (open, named) =
            (ids.len(), ids.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(" "));
        let more = if open > NAMED { " …" } else { "" };
        lines.push(format!(
            "时效 {rule} 移除:{open} 个未结事件将关闭 / clock {rule} goes: {open} open incidents will be closed {named}{more}"
        ));
    }
    for rule in after.difference(&before) {
        lines.push(format!("时效 {rule} 新增 / clock {rule} is new"));
    }
    let were: Vec<ClockConfig> = old.policy.rules().into_iter().map(|rule| rule.clock).collect();
    for RuleEntry { clock, .. } in new.policy.rules() {
        if were.iter().any(|c| c.name == clock.name) && !were.contains(&clock) {
            let open = desk.incidents().filter(|i| !i.is_resolved() && *i.rule == *clock.name).count();
            lines.push(format!(
                "时效 {} 变更:{open} 个未结事件 / clock {} changes: {open} open incidents",
                clock.name, clock.name
            ));
        }
    }
    let (people, new_people) = (&old.setup.roster.people, &new.setup.roster.people);
    for person in people.keys().filter(|p| !new_people.contains_key(*p)) {
        let theirs = desk
            .incidents()
            .filter(|i| {
                !i.is_resolved() && (i.owner.as_ref() == Some(person) || i.acked_by.as_ref() == Some(person))
            })
            .count();
        lines.push(format!(
            "人员 {person} 移除:名下 {theirs} 个事件改派 / {person} goes: {theirs} incidents are routed again"
        ));
    }
    for (person, is) in new_people {
        match people.get(person) {
            None => lines.push(format!("人员 {person} 新增 / {person} is new")),
            Some(was) if was.contacts.len() != is.contacts.len() => lines.push(format!(
                "人员 {person}:{} 条联系方式变为 {} 条 / {person}: {} contacts become {}",
                was.contacts.len(),
                is.contacts.len(),
                was.contacts.len(),
                is.contacts.len()
            )),
            Some(_) => {}
        }
    }
    for channel in new.setup.channels.keys().filter(|c| !old.setup.channels.contains_key(*c)) {
        lines.push(format!("渠道 {channel} 新增 / channel {channel} is new"));
    }
    if old.setup.config != new.setup.config {
        lines.push("告警参数变更 / the parameters of alerting change".to_owned());
    }
    if lines.is_empty() {
        lines.push("没有变化 / nothing changes".to_owned());
    }
    lines
}

/// The revision that the store knows, 0 before the first.
///
/// # Errors
/// The store cannot be read.
pub async fn stored(
    store: &dyn Store,
    desk: &Arc<str>,
    name: &str,
) -> Result<Option<serde_json::Value>, crate::store::StoreError> {
    let query = RowQuery {
        table: Table::Meta,
        id_prefix: Some(format!("{}{name}", crate::daemon::blueprint::OURS)),
        state: None,
        parent: None,
        limit: 1,
    };
    let rows = store.rows(desk, query).await?;
    Ok(rows.first().and_then(|row| serde_json::from_slice(&row.body).ok()))
}
