//! Coarse work by the clock on the wall: what is old is dropped, backups are made, the list of what nobody handled is
//! told. The scheduler only gives hints; nothing that a person waits for goes through it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::core::time::{Instant, Span};
use crate::daemon::claims::{DailyPlan, Files};
use crate::daemon::handle::{Ask, Handle, Which};
use crate::daemon::supervise::{Died, blocking};
use crate::daemon::time::TimeSource;
use crate::daemon::turn::Order;
use crate::store::{Keep, LEAST_CLOSED, Store, StoreConfig, sqlite};

/// What it is time for. A hint carries no data: whoever takes it looks for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Drop what is over and old.
    Prune,
    /// There is hardly any space: drop all that is over and that nothing asks for any more (§16.4).
    PruneMost,
    /// Make a backup, if the newest one is old.
    Backup,
    /// Tell what nobody has handled.
    Unhandled,
    /// Write the lists of claims that are missing.
    Claims,
}

/// When, in UTC: second, minute, hour, day, month, weekday. Small hours in Shanghai, and before the early shift there.
const TABLE: &[(&str, Hint)] = &[
    ("0 17 19 * * *", Hint::Prune),
    ("30 */5 * * * *", Hint::Backup),
    ("0 30 23 * * *", Hint::Unhandled),
    // A day is over at another instant in every zone.
    ("10 */5 * * * *", Hint::Claims),
];
/// So many hints may wait; one that finds no room is one too many.
const WAITING: usize = 8;
/// A backup that takes longer is told as failed; it goes on, and the next one finds it.
const BACKUP_WITHIN: Duration = Duration::from_secs(30 * 60);

/// The same for lists of claims.
const CLAIMS_WITHIN: Duration = Duration::from_secs(10 * 60);

/// What is told of what failed: family, in Chinese, in English.
const BACKUP: (&str, &str, &str) = ("system.backup", "备份失败", "no backup could be made");
const CLAIMS: (&str, &str, &str) =
    ("system.claims", "理赔清单无法写出", "no list of claims could be written");

/// A backup beside the store leaves so much free: it must not be what fills the disk.
const SPARE: u64 = 256 << 20;

/// The line of hints: who has something to do by the way puts it in there.
pub fn hints() -> (mpsc::Sender<Hint>, mpsc::Receiver<Hint>) {
    mpsc::channel(WAITING)
}

/// So long before a job the scheduler begins to look.
const AROUND: Duration = Duration::from_secs(2);
/// The wall clock may be set, and a machine may sleep: it is looked at again after so long at the latest.
const LOOK: Duration = Duration::from_secs(600);

/// How long to sleep before the scheduler has to look, with so much time until the next job; `None` when that is now.
fn beforehand(left: Duration) -> Option<Span> {
    let rest = left.checked_sub(AROUND).filter(|rest| !rest.is_zero())?.min(LOOK);
    Some(Span::from_millis(i64::try_from(rest.as_millis()).unwrap_or(i64::MAX).max(1)))
}

/// Does the work that hints ask for.
pub struct Jobs {
    /// The desk.
    pub handle: Handle,
    /// The way to the desk's owner.
    pub orders: mpsc::Sender<Order>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Time.
    pub time: Arc<dyn TimeSource>,
    /// How long things are kept, and where backups go.
    pub config: watch::Receiver<StoreConfig>,
    /// What the lists of claims are made by.
    pub claims: watch::Receiver<Arc<DailyPlan>>,
    /// Hints of others; those of the clock come in beside them.
    pub hints: (mpsc::Sender<Hint>, mpsc::Receiver<Hint>),
}

impl Jobs {
    /// Works until it is asked to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        // What fell due while the program was down.
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.claims() => {}
        }
        loop {
            let hint = tokio::select! {
                () = stop.cancelled() => return,
                next = self.next() => match next {
                    Ok(hint) => hint,
                    Err(e) => {
                        error!(error = %e, "coarse jobs cannot be scheduled: nothing old is dropped, no backup is made");
                        return stop.cancelled().await;
                    }
                },
            };
            match hint {
                Hint::Prune | Hint::PruneMost => self.prune(hint == Hint::PruneMost, &stop).await,
                Hint::Backup => tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.backup() => {}
                },
                Hint::Unhandled => self.unhandled().await,
                Hint::Claims => tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.claims() => {}
                },
            }
        }
    }

    /// Waits for the next hint. The scheduler looks at the clock twice a second once it runs: it does so only around the
    /// instant of a job, so that an idle desk sleeps.
    async fn next(&mut self) -> Result<Hint, JobSchedulerError> {
        let (hint, hints) = &mut self.hints;
        loop {
            if let Ok(hint) = hints.try_recv() {
                return Ok(hint);
            }
            let mut scheduler = schedule(hint).await?;
            let mut before = Duration::MAX;
            while let Some(left) = scheduler.time_till_next_job().await?.filter(|left| *left <= before) {
                // More time left than before: one came due while the machine slept, and waits for the scheduler.
                before = left;
                let Some(rest) = beforehand(left) else { break };
                tokio::select! {
                    () = self.time.sleep(rest) => {}
                    Some(hint) = hints.recv() => return Ok(hint),
                }
            }
            scheduler.start().await?;
            // Time may have jumped back meanwhile: the scheduler is asked again then.
            let found = tokio::time::timeout(AROUND * 2, hints.recv()).await;
            if let Err(e) = scheduler.shutdown().await {
                warn!(error = %e, "the scheduler did not stop in good order");
            }
            if let Ok(Some(hint)) = found {
                return Ok(hint);
            }
        }
    }

    /// Drops what is old, a bounded part at a time, so that commits wait for none of it. `most`: what is over is dropped
    /// as soon as nothing can ask for it; the audit stays as long as it must (A3).
    pub async fn prune(&self, most: bool, stop: &CancellationToken) {
        let now = self.time.read().wall;
        let config = self.config.borrow().clone();
        let before = |keep: Span| Some(Instant::from_millis(now.as_millis() - keep.as_millis()));
        let closed = if most { LEAST_CLOSED.min(config.keep_closed) } else { config.keep_closed };
        let keep = Keep { closed_from: before(closed), audit_from: before(config.keep_audit), at_once: 500 };
        let (mut incidents, mut audit) = (0, 0);
        loop {
            match self.store.prune(self.handle.desk(), keep).await {
                Ok(pruned) => {
                    incidents += pruned.incidents;
                    audit += pruned.audit;
                    if !pruned.more {
                        break;
                    }
                }
                Err(e) => {
                    error!(error = %e, "what is old cannot be dropped");
                    break;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.time.sleep(Span::from_millis(200)) => {}
            }
        }
        if incidents + audit > 0 {
            info!(incidents, audit, "what is old was dropped");
        }
    }

    /// Makes a backup when the newest one is old enough. One that cannot be made is the admins' trouble.
    pub async fn backup(&self) {
        let config = self.config.borrow().clone();
        let every = config.sqlite.backup_every;
        let folder = config.sqlite.backups_folder();
        let now = self.time.read().wall;
        if every.is_zero() {
            return self.tell(BACKUP, None).await;
        }
        let looked = folder.clone();
        let newest = blocking(move || newest(looked)).await.ok().flatten();
        if newest.is_some_and(|at| now < at + every) {
            return self.tell(BACKUP, None).await;
        }
        let health = self.store.health();
        let needed = health.size_bytes + SPARE;
        if config.sqlite.backups.is_none() && health.free_bytes.is_some_and(|free| free < needed) {
            let (free, needed) = (health.free_bytes.unwrap_or(0) >> 20, needed >> 20);
            return self
                .tell(
                    BACKUP,
                    Some(format!("{free} MiB are free beside the store, expected at least {needed} MiB")),
                )
                .await;
        }
        let making = self.store.backup(&folder, config.sqlite.keep_backups, now);
        match tokio::time::timeout(BACKUP_WITHIN, making).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(file))) => {
                info!(file = %file.display(), "a backup was made");
                self.tell(BACKUP, None).await;
            }
            Ok(Err(e)) => self.tell(BACKUP, Some(e.to_string())).await,
            Err(_) => self.tell(BACKUP, Some(format!("it took longer than {BACKUP_WITHIN:?}"))).await,
        }
    }

    /// Writes the lists of claims that are missing. One that cannot be written is the admins' trouble.
    pub async fn claims(&self) {
        let plan = self.claims.borrow().clone();
        let Some(folder) = plan.config.folder() else { return self.tell(CLAIMS, None).await };
        let now = self.time.read().wall;
        let writing = blocking(move || Files::new(folder).write_missing(&plan, now));
        let wrong = match tokio::time::timeout(CLAIMS_WITHIN, writing).await {
            Ok(Ok(Ok(written))) => {
                for file in written {
                    info!(file = %file.display(), "a list of claims was written");
                }
                None
            }
            Ok(Ok(Err(e))) => Some(e.to_string()),
            Ok(Err(Died)) => Some("it failed within".to_owned()),
            Err(_) => Some(format!("it took longer than {CLAIMS_WITHIN:?}")),
        };
        self.tell(CLAIMS, wrong).await;
    }

    /// Tells the desk whether something of ours can be done; what it knows already it does not tell again.
    async fn tell(&self, what: (&'static str, &'static str, &'static str), wrong: Option<String>) {
        let (family, chinese, english) = what;
        let text = wrong.map(|reason| {
            error!(family, error = %reason, "a coarse job failed");
            format!("{chinese} / {english}: {reason}")
        });
        // Without an owner there is nobody to tell it to.
        drop(self.orders.send(Order::Trouble { family, text }).await);
    }

    /// The daily list of what is open and unhandled, into the journal; the pages show the same.
    async fn unhandled(&self) {
        let limit = Duration::from_secs(10);
        let asked = self.handle.ask(limit, |to| Ask::Incidents(Which::Unresolved(10_000), to)).await;
        match asked {
            Ok(open) => {
                let unhandled: Vec<String> =
                    open.iter().filter(|i| i.unhandled).take(50).map(|i| i.id.short()).collect();
                let count = open.iter().filter(|i| i.unhandled).count();
                info!(open = open.len(), unhandled = count, ids = unhandled.join(" "), "the daily list");
            }
            Err(e) => warn!(error = %e, "the daily list cannot be made"),
        }
    }
}

/// When the newest backup of a directory was made.
fn newest(folder: PathBuf) -> Option<Instant> {
    let found = sqlite::backups(&folder).ok()?;
    found.iter().find_map(|file| sqlite::made_at(file.file_name()?.to_str()?))
}

/// A scheduler with every line of the table, that does not run yet.
async fn schedule(hints: &mpsc::Sender<Hint>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for (at, hint) in TABLE {
        let (hints, hint) = (hints.clone(), *hint);
        let job = Job::new_async(*at, move |_, _| {
            // A hint that is there already is as good as two.
            _ = hints.try_send(hint);
            Box::pin(std::future::ready(()))
        })?;
        scheduler.add(job).await?;
    }
    Ok(scheduler)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::claims::ClaimsConfig;
    use crate::daemon::time::ManualTime;
    use crate::store::{SqliteOptions, SqliteStore};

    #[tokio::test]
    async fn every_line_of_the_table_is_a_time() {
        let (hint, _hints) = mpsc::channel(1);
        let mut scheduler = schedule(&hint).await.unwrap();
        assert!(scheduler.time_till_next_job().await.unwrap().is_some());
        scheduler.shutdown().await.unwrap();
    }

    struct Rig {
        jobs: Jobs,
        orders: mpsc::Receiver<Order>,
        time: ManualTime,
        plan: watch::Sender<Arc<DailyPlan>>,
        _config: watch::Sender<StoreConfig>,
    }

    fn rig(config: StoreConfig) -> Rig {
        let options = SqliteOptions { ballast_bytes: 0, ..SqliteOptions::default() };
        let store = Arc::new(SqliteStore::open(&config.sqlite.path, options).unwrap());
        let (handle, _) = Handle::new("desk".into(), 1);
        let (orders, orders_in) = mpsc::channel(8);
        let time = ManualTime::new(Instant::from_secs(1_800_000_000));
        let plan = DailyPlan {
            config: ClaimsConfig { folder: None, ..ClaimsConfig::default() },
            desk: "desk".to_owned(),
            zone: jiff::tz::TimeZone::UTC,
            language: crate::core::model::Language::Zh,
            platforms: Default::default(),
            store: config.sqlite.path.clone(),
        };
        let (config, seen) = watch::channel(config);
        let (plan, claims) = watch::channel(Arc::new(plan));
        let time_source = Arc::new(time.clone());
        let jobs = Jobs { handle, orders, store, time: time_source, config: seen, claims, hints: hints() };
        Rig { jobs, orders: orders_in, time, plan, _config: config }
    }

    fn told(rig: &mut Rig) -> Option<Option<String>> {
        match rig.orders.try_recv() {
            Ok(Order::Trouble { family: "system.backup" | "system.claims", text }) => Some(text),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    /// One when the newest is old, the newest so many stay, none when none are wanted, and a failure is told.
    #[tokio::test]
    async fn backups_are_made_when_they_are_due() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = StoreConfig::default();
        config.sqlite.path = folder.path().join("a.db");
        config.sqlite.keep_backups = 2;
        config.sqlite.backup_every = Span::HOUR;
        let mut rig = rig(config.clone());
        let there = || sqlite::backups(&config.sqlite.backups_folder()).unwrap().len();
        for (after, want) in [(0, 1), (59, 1), (1, 2), (60, 2), (60, 2)] {
            rig.time.advance(Span::from_minutes(after));
            rig.jobs.backup().await;
            assert_eq!(there(), want);
            assert_eq!(told(&mut rig), Some(None), "all is well");
        }
        let newest = newest(config.sqlite.backups_folder());
        assert_eq!(newest, Some(rig.time.read().wall), "the name says when it was made");
        // A file lies where the directory should be.
        std::fs::remove_dir_all(config.sqlite.backups_folder()).unwrap();
        std::fs::write(config.sqlite.backups_folder(), "x").unwrap();
        rig.jobs.backup().await;
        assert!(told(&mut rig).flatten().is_some_and(|text| text.contains("no backup could be made")));
    }

    #[tokio::test]
    async fn no_backup_is_made_where_none_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = StoreConfig::default();
        config.sqlite.path = folder.path().join("a.db");
        config.sqlite.backup_every = Span::ZERO;
        let mut rig = rig(config.clone());
        rig.jobs.backup().await;
        assert!(!config.sqlite.backups_folder().exists());
        assert_eq!(told(&mut rig), Some(None));
    }

    /// None where none are wanted; once a day where they are; what cannot be written is told.
    #[tokio::test]
    async fn lists_of_claims_are_written_when_a_day_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = StoreConfig::default();
        config.sqlite.path = folder.path().join("a.db");
        let mut rig = rig(config);
        rig.jobs.claims().await;
        assert_eq!(told(&mut rig), Some(None));
        let lists = folder.path().join("claims");
        rig.plan.send_modify(|plan| {
            let config = ClaimsConfig { folder: Some(lists.display().to_string()), ..plan.config.clone() };
            *plan = Arc::new(DailyPlan { config, ..(**plan).clone() });
        });
        let there = || {
            let mut names: Vec<String> = std::fs::read_dir(&lists)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .filter(|name| !name.contains("carriers"))
                .collect();
            names.sort();
            names
        };
        // 2027-01-15 08:00 UTC.
        let want = ["claims-2026-12.csv", "claims-2027-01-14.csv"];
        for after in [0, 60 * 15] {
            rig.time.advance(Span::from_minutes(after));
            rig.jobs.claims().await;
            assert_eq!((there(), told(&mut rig)), (want.map(str::to_owned).to_vec(), Some(None)));
        }
        rig.time.advance(Span::from_minutes(60));
        rig.jobs.claims().await;
        assert_eq!((there().len(), told(&mut rig)), (3, Some(None)));
        std::fs::remove_dir_all(&lists).unwrap();
        std::fs::write(&lists, "x").unwrap();
        rig.jobs.claims().await;
        assert!(told(&mut rig).flatten().is_some_and(|text| text.contains("理赔清单无法写出")));
    }

    #[test]
    fn the_scheduler_sleeps_until_shortly_before_a_job() {
        for (left, want) in [
            (Duration::ZERO, None),
            (AROUND, None),
            (AROUND + Duration::from_millis(1), Some(Span::from_millis(1))),
            (Duration::from_secs(62), Some(Span::from_secs(60))),
            (Duration::from_secs(86_400), Some(Span::from_secs(600))),
        ] {
            assert_eq!(beforehand(left), want, "{left:?}");
        }
    }
}
