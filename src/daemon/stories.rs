//! The owner of a desk, over a store that fails when it is told to, and channels that answer when they are told to.

mod truth;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::channels::Channel;
use crate::config::load_settings;
use crate::core::alerting::{Act, Claim, Response};
use crate::core::ids::{Id, InstallationKey};
use crate::core::model::{Batch, ChannelCard, Mark, Observation, Outcome, OutcomeClass, Table};
use crate::core::time::{Instant, Span};
use crate::daemon::assemble::{Ground, assemble};
use crate::daemon::desk::{DeskOwner, End};
use crate::daemon::dispatch::Dispatch;
use crate::daemon::handle::{Ask, AskError, Handle, ObserveAnswer, Which};
use crate::daemon::jobs::Hint;
use crate::daemon::publish::{Publish, SharedNow};
use crate::daemon::supervise::Supervisor;
use crate::daemon::time::{ManualTime, TimeSource};
use crate::store::{
    AuditQuery, Committed, Each, KeptAudit, MemoryStore, RowQuery, Store, StoreError, StoreHealth, Stored,
    Task, Verified,
};
use crate::telemetry::metrics::Known;
use crate::telemetry::{Health, Metrics};

const START: Instant = Instant::from_secs(1_800_000_000);
const LONG: Duration = Duration::from_secs(20);

/// What a commit answers instead of keeping anything.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Refused,
    Flush,
    Other,
}

struct Faulty {
    inner: MemoryStore,
    /// Every commit and probe fails so, while it is set.
    fault: Mutex<Option<Fault>>,
    /// Commits are refused, probes are not.
    refuses_commits: Mutex<bool>,
    /// Free and all bytes of the disk.
    space: Mutex<Option<(u64, u64)>>,
    /// Commits take so long on the time of the test.
    pace: Mutex<Option<(ManualTime, Span)>>,
    /// The backup that it is.
    backup: Mutex<Option<String>>,
    commits: AtomicU32,
}

impl Faulty {
    fn error(&self) -> Option<StoreError> {
        let (place, reason) = ("test".to_owned(), "on purpose".to_owned());
        self.fault.lock().unwrap().map(|fault| match fault {
            Fault::Refused => StoreError::Refused { place, reason },
            Fault::Flush => StoreError::Flush { place, reason },
            Fault::Other => StoreError::Other { place, reason },
        })
    }
}

impl Store for Faulty {
    fn commit_shared(&self, desk: &Arc<str>, batch: Arc<Batch>) -> Task<'_, Committed> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let refused = StoreError::Refused { place: "test".to_owned(), reason: "on purpose".to_owned() };
        match self.error().or_else(|| self.refuses_commits.lock().unwrap().then_some(refused)) {
            Some(e) => Box::pin(std::future::ready(Err(e))),
            None => {
                let kept = self.inner.commit_shared(desk, batch);
                let pace = self.pace.lock().unwrap().clone();
                Box::pin(async move {
                    let kept = kept.await?;
                    let Some((time, pace)) = pace else { return Ok(kept) };
                    time.sleep(pace).await;
                    Ok(Committed { took: crate::daemon::time::to_duration(pace), ..kept })
                })
            }
        }
    }
    fn load(&self, desk: &Arc<str>, tables: &[Table], each: Each) -> Task<'_, u64> {
        self.inner.load(desk, tables, each)
    }
    fn rows(&self, desk: &Arc<str>, query: RowQuery) -> Task<'_, Vec<Stored>> {
        self.inner.rows(desk, query)
    }
    fn audit(&self, desk: &Arc<str>, query: AuditQuery) -> Task<'_, Vec<KeptAudit>> {
        self.inner.audit(desk, query)
    }
    fn verify(&self, desk: &Arc<str>) -> Task<'_, Verified> {
        self.inner.verify(desk)
    }
    fn probe(&self) -> Task<'_, ()> {
        let answer = self.error().map_or(Ok(()), Err);
        Box::pin(std::future::ready(answer))
    }
    fn health(&self) -> StoreHealth {
        let space = *self.space.lock().unwrap();
        let (free_bytes, total_bytes) = (space.map(|s| s.0), space.map(|s| s.1));
        StoreHealth { free_bytes, total_bytes, ..StoreHealth::default() }
    }
    fn restored(&self) -> Option<String> {
        self.backup.lock().unwrap().clone()
    }
    fn forget_restored(&self) -> Task<'_, ()> {
        self.backup.lock().unwrap().take();
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A channel that keeps what it is handed, and answers when there is a permit.
struct Fake {
    card: ChannelCard,
    store: Arc<Faulty>,
    answers: Semaphore,
    outcome: Mutex<OutcomeClass>,
    sent: Mutex<Vec<(Claim, bool)>>,
}

impl Channel for Fake {
    fn card(&self) -> &ChannelCard {
        &self.card
    }

    fn send<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(async move {
            let query = RowQuery {
                table: Table::Attempt,
                id_prefix: None,
                state: Some("inflight".to_owned()),
                parent: Some(claim.message.to_string()),
                limit: 10,
            };
            let kept = !self.store.rows(&"rig".into(), query).await.unwrap().is_empty();
            self.sent.lock().unwrap().push((claim.clone(), kept));
            self.answers.acquire().await.unwrap().forget();
            Outcome::of(*self.outcome.lock().unwrap())
        })
    }
}

struct Rig {
    time: ManualTime,
    store: Arc<Faulty>,
    fakes: BTreeMap<Arc<str>, Arc<Fake>>,
    handle: Handle,
    health: watch::Receiver<Health>,
    hints: mpsc::Receiver<Hint>,
    supervisor: Supervisor,
    end: oneshot::Receiver<End>,
}

const CONFIG: &str = r#"
[desk]
id   = "rig"
zone = "UTC"
[[desk.shift]]
name = "all"
from = "00:00"
to   = "24:00"
[kinds.ticket]
final = ["closed"]
[[clock]]
name   = "ticket_reply"
on     = "ticket"
start  = "customer_message"
stop   = "agent_reply"
target = "20m"
ring   = ["due"]
[people.lin]
name    = "Lin"
role    = "handler"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mail", address = "lin@mail.test" }]
[people.min]
name    = "Min"
role    = "senior"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mail", address = "min@mail.test" }]
[people.zhou]
name    = "Zhou"
role    = "manager"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mail", address = "zhou@mail.test" }]
[channels.hook.print]
[channels.mail.maildir]
path = "mail"
[alerting]
fallback = ["zhou"]
admins   = ["zhou"]
"#;

impl Rig {
    async fn new() -> Rig {
        Rig::of(None).await
    }

    /// On a store that is a backup.
    async fn of(backup: Option<&str>) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("rig.toml");
        std::fs::write(&main, CONFIG).unwrap();
        let ready = load_settings(Path::new(&main), &BTreeMap::new(), Some(START)).unwrap();
        let time = ManualTime::new(START);
        let source: Arc<dyn TimeSource> = Arc::new(time.clone());
        let now = SharedNow::new(source.clone());
        let ground = Ground {
            key: InstallationKey::new([5; 32]),
            epoch: 7,
            env: Arc::default(),
            clock: now.as_clock(),
            base_url: None,
        };
        let assembled = assemble(&ready, &ground, 1).unwrap();
        let store = Arc::new(Faulty {
            inner: MemoryStore::default(),
            fault: Mutex::new(None),
            refuses_commits: Mutex::new(false),
            space: Mutex::new(None),
            pace: Mutex::new(None),
            backup: Mutex::new(backup.map(str::to_owned)),
            commits: AtomicU32::new(0),
        });
        let fakes: BTreeMap<Arc<str>, Arc<Fake>> = assembled
            .channels
            .iter()
            .map(|(name, channel)| {
                let fake = Fake {
                    card: channel.card().clone(),
                    store: store.clone(),
                    answers: Semaphore::new(1000),
                    outcome: Mutex::new(OutcomeClass::Accepted),
                    sent: Mutex::default(),
                };
                (name.clone(), Arc::new(fake))
            })
            .collect();
        let channels: BTreeMap<Arc<str>, Arc<dyn Channel>> =
            fakes.iter().map(|(name, fake)| (name.clone(), fake.clone() as Arc<dyn Channel>)).collect();
        let (handle, asks) = Handle::new("rig".into(), 64);
        let (_orders, orders) = mpsc::channel(8);
        let (jobs, jobs_in) = mpsc::channel(64);
        let (reports, reports_in) = mpsc::channel(64);
        let (reloads, _requests) = mpsc::channel(1);
        let (tidy, hints) = crate::daemon::jobs::hints();
        let (health, health_out) = Health::channel();
        let (setup, _) = watch::channel(Arc::new(assembled.blueprint.setup.clone()));
        let metrics = Arc::new(Metrics::new(Known::default()).unwrap());
        let owner = DeskOwner {
            blueprint: assembled.blueprint,
            store: store.clone(),
            time: source.clone(),
            asks,
            orders,
            reports: reports_in,
            jobs,
            reloads,
            tidy,
            publish: Publish::new(setup, health, metrics, now),
            watchdog: Box::new(|| ()),
            watchdog_every: None,
        };
        let (_channels, channels) = watch::channel(Arc::new(channels));
        let mut supervisor = Supervisor::new();
        let dispatch = Dispatch { jobs: jobs_in, reports, channels, time: source };
        supervisor.start("dispatch", LONG, |stop| dispatch.run(stop));
        let (ended, end) = oneshot::channel();
        supervisor.start("desk", LONG, |stop: CancellationToken| async move {
            drop(ended.send(owner.run(stop).await));
        });
        let mut rig = Rig { time, store, fakes, handle, health: health_out, hints, supervisor, end };
        rig.until("the desk is loaded", |rig| rig.health.borrow().booted).await;
        rig
    }

    /// Lets a little real time pass until it is so.
    async fn until(&mut self, what: &str, mut is: impl FnMut(&mut Rig) -> bool) {
        for _ in 0..2000 {
            if is(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("waited for: {what}");
    }

    /// Lets so many seconds pass, one look a second.
    async fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.time.advance(Span::from_secs(1));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn observe(&self, id: &str, asked_before: Span) -> Vec<ObserveAnswer> {
        let at = self.time.read().wall - asked_before;
        let observation = Observation {
            source: "shop".into(),
            kind: "ticket".into(),
            id: id.to_owned().into(),
            as_of: at,
            revision: 0,
            marks: vec![Mark {
                name: "customer_message".into(),
                reference: Some("m".into()),
                at,
                removed: false,
            }],
            attributes: Vec::new(),
        };
        self.handle.ask(LONG, |to| Ask::Observe(vec![observation], to)).await.unwrap()
    }

    async fn open(&self) -> Vec<crate::core::model::Incident> {
        self.handle.ask(LONG, |to| Ask::Incidents(Which::Unresolved(100), to)).await.unwrap()
    }

    async fn ack(&self, incident: Id) -> Result<crate::core::alerting::Answer, AskError> {
        let response = Response {
            inbox: Id::from_bytes([9; 16]),
            person: "lin".into(),
            via: "test".into(),
            act: Act::Ack { incidents: vec![incident] },
            episode: None,
            from: None,
        };
        self.handle.ask(LONG, |to| Ask::Respond(Box::new(response), to)).await.unwrap()
    }

    fn sent(&self) -> Vec<(Claim, bool)> {
        self.fakes.values().flat_map(|f| f.sent.lock().unwrap().clone()).collect()
    }

    /// The open incident of this family: its level and class of trouble.
    async fn level_of(&self, family: &str) -> Option<u8> {
        self.open().await.iter().find(|i| &*i.family == family).map(|i| i.level)
    }

    fn fault(&self, fault: Option<Fault>) {
        *self.store.fault.lock().unwrap() = fault;
    }
}

#[tokio::test]
async fn a_late_ticket_is_told_once_its_claim_is_kept_and_an_ack_holds() {
    let mut rig = Rig::new().await;
    assert!(matches!(rig.observe("T1", Span::from_minutes(21)).await[..], [ObserveAnswer::Kept(_)]));
    rig.pass(6).await;
    rig.until("a message left", |rig| !rig.sent().is_empty()).await;
    assert!(rig.sent().iter().all(|(_, kept)| *kept), "I5: commit before send");
    let open = rig.open().await;
    assert_eq!(open.len(), 1);
    rig.ack(open[0].id).await.unwrap();
    assert_eq!(rig.open().await[0].acked_by.as_deref(), Some("lin"));
}

#[tokio::test]
async fn idle_is_idle() {
    let mut rig = Rig::new().await;
    rig.observe("T1", Span::ZERO).await;
    rig.pass(2).await;
    let before = rig.store.commits.load(Ordering::SeqCst);
    rig.pass(60).await;
    assert_eq!(
        rig.store.commits.load(Ordering::SeqCst),
        before,
        "nothing was due, and something was written"
    );
}

#[tokio::test]
async fn while_the_store_refuses_nothing_is_promised_and_the_urgent_is_sent_once_and_marked() {
    let mut rig = Rig::new().await;
    rig.observe("T1", Span::from_minutes(19)).await;
    rig.fault(Some(Fault::Refused));
    rig.pass(70).await;
    rig.until("readiness is refused", |rig| !rig.health.borrow().store_writable).await;
    rig.pass(10).await;
    rig.until("the urgent was sent", |rig| !rig.sent().is_empty()).await;
    let sent = rig.sent();
    assert!(sent.iter().all(|(claim, kept)| !kept && claim.body.text.contains("(存储故障)")), "{sent:?}");
    let open = rig.open().await;
    let refused = rig.ack(open[0].id).await;
    assert!(matches!(refused, Err(AskError::Storage(_))), "{refused:?}");
    assert!(matches!(rig.observe("T2", Span::ZERO).await[..], [ObserveAnswer::Unavailable(_)]));
    rig.pass(5).await;
    let mut once: Vec<Id> = rig.sent().iter().map(|(c, _)| c.message).collect();
    let count = once.len();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), count, "each message once per process life");
    rig.fault(None);
    rig.pass(3).await;
    rig.until("it is normal again", |rig| rig.health.borrow().store_writable).await;
    rig.pass(10).await;
    rig.until("the notice is sent with its record", |rig| rig.sent().iter().any(|(_, kept)| *kept)).await;
    rig.ack(open[0].id).await.unwrap();
}

#[tokio::test]
async fn a_failed_flush_ends_the_desk_with_its_own_word() {
    let mut rig = Rig::new().await;
    rig.fault(Some(Fault::Flush));
    assert!(matches!(rig.observe("T1", Span::ZERO).await[..], [ObserveAnswer::Unavailable(_)]));
    rig.until("the desk ended", |rig| matches!(rig.end.try_recv(), Ok(End::Flush(_)))).await;
}

#[tokio::test]
async fn a_failed_commit_drops_the_desk_and_the_second_within_a_minute_is_the_end() {
    let mut rig = Rig::new().await;
    rig.fault(Some(Fault::Other));
    assert!(matches!(rig.observe("T1", Span::ZERO).await[..], [ObserveAnswer::Unavailable(_)]));
    rig.fault(None);
    assert!(matches!(rig.observe("T1", Span::ZERO).await[..], [ObserveAnswer::Kept(_)]), "it is back");
    rig.pass(61).await;
    rig.fault(Some(Fault::Other));
    rig.observe("T2", Span::ZERO).await;
    rig.fault(None);
    rig.observe("T2", Span::ZERO).await;
    rig.fault(Some(Fault::Other));
    rig.observe("T3", Span::ZERO).await;
    rig.until("the desk ended", |rig| matches!(rig.end.try_recv(), Ok(End::Died(_)))).await;
}

#[tokio::test]
async fn a_slow_channel_holds_up_no_other_and_a_stop_waits_for_what_is_under_way() {
    let mut rig = Rig::new().await;
    for fake in rig.fakes.values() {
        fake.answers.forget_permits(1000);
    }
    rig.observe("T1", Span::from_minutes(21)).await;
    rig.pass(6).await;
    rig.until("the first left", |rig| !rig.sent().is_empty()).await;
    // Nobody answers: the next level is told all the same.
    rig.pass(310).await;
    rig.until("both channels were tried", |rig| {
        rig.fakes.values().all(|f| !f.sent.lock().unwrap().is_empty())
    })
    .await;
    let supervisor = std::mem::take(&mut rig.supervisor);
    let time = rig.time.clone();
    let (stopped, ()) = tokio::join!(supervisor.stop(), async {
        for _ in 0..15 {
            time.advance(Span::from_secs(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(stopped.iter().all(|e| e.how == crate::daemon::supervise::How::Finished), "{stopped:?}");
    assert!(matches!(rig.end.try_recv(), Ok(End::Stopped)));
}

/// §16.4: a warning below 10 %, an alarm below 5 %, over when there is room again; what is old is dropped meanwhile.
#[tokio::test]
async fn a_disk_that_fills_up_is_told_before_it_is_full() {
    const GIB: u64 = 1 << 30;
    let mut rig = Rig::new().await;
    let space = |rig: &Rig, free| *rig.store.space.lock().unwrap() = Some((free, 100 * GIB));
    space(&rig, 50 * GIB);
    rig.pass(12).await;
    assert_eq!(rig.level_of("system.disk").await, None);
    space(&rig, 9 * GIB);
    rig.pass(12).await;
    assert_eq!(rig.level_of("system.disk").await, Some(0), "P2");
    assert_eq!(rig.hints.try_recv(), Ok(Hint::Prune));
    space(&rig, 4 * GIB);
    rig.pass(12).await;
    assert_eq!(rig.level_of("system.disk").await, Some(1), "P1");
    assert_eq!(rig.hints.try_recv(), Ok(Hint::PruneMost));
    assert!(rig.hints.try_recv().is_err(), "once for each line that is crossed");
    rig.pass(70).await;
    rig.until("an admin was told", |rig| {
        rig.sent().iter().any(|(claim, _)| claim.body.text.contains("4096 MiB"))
    })
    .await;
    space(&rig, 50 * GIB);
    rig.pass(12).await;
    assert_eq!(rig.level_of("system.disk").await, None, "it is over");
}

/// §16.4: commits that take more than 2 s for 30 s are told, and it ends with the first quick one.
#[tokio::test]
async fn a_slow_medium_is_told_and_its_end_is() {
    let mut rig = Rig::new().await;
    let slow = Some((rig.time.clone(), Span::from_secs(3)));
    *rig.store.pace.lock().unwrap() = slow;
    for n in 0..14 {
        let handle = rig.handle.clone();
        let at = rig.time.read().wall;
        let observation = Observation {
            source: "shop".into(),
            kind: "ticket".into(),
            id: format!("S{n}").into(),
            as_of: at,
            revision: 0,
            marks: vec![Mark {
                name: "customer_message".into(),
                reference: Some("m".into()),
                at,
                removed: false,
            }],
            attributes: Vec::new(),
        };
        let mut asked = Box::pin(handle.ask(LONG, |to| Ask::Observe(vec![observation], to)));
        let answer = loop {
            tokio::select! {
                answer = &mut asked => break answer,
                () = rig.pass(1) => {}
            }
        };
        assert!(matches!(answer.unwrap()[..], [ObserveAnswer::Kept(_)]), "slow, and kept");
    }
    assert!(!rig.health.borrow().store_writable, "I46");
    *rig.store.pace.lock().unwrap() = None;
    rig.pass(5).await;
    assert_eq!(rig.level_of("system.slow_disk").await, Some(1));
    rig.observe("T1", Span::ZERO).await;
    rig.pass(5).await;
    assert_eq!(rig.level_of("system.slow_disk").await, None);
    assert!(rig.health.borrow().store_writable);
}

/// §16.1: the admins hear that the store is a backup, once.
#[tokio::test]
async fn a_restored_store_is_told_and_its_marker_goes() {
    let mut rig = Rig::of(Some("shiftbell-20260302T020000.123Z.db")).await;
    rig.pass(1).await;
    rig.until("the marker goes", |rig| rig.store.backup.lock().unwrap().is_none()).await;
    assert_eq!(rig.level_of("system.restored").await, Some(1));
    rig.pass(70).await;
    rig.until("an admin was told", |rig| {
        rig.sent()
            .iter()
            .any(|(claim, kept)| *kept && claim.body.text.contains("shiftbell-20260302T020000.123Z.db"))
    })
    .await;
}

/// The disk is full for what the desk has to keep and not for a probe: it does not go in and out each second.
#[tokio::test]
async fn an_emergency_that_returns_at_once_lasts_longer() {
    let mut rig = Rig::new().await;
    *rig.store.refuses_commits.lock().unwrap() = true;
    rig.observe("T1", Span::ZERO).await;
    let mut lives = 0;
    let mut was = false;
    for _ in 0..60 {
        rig.pass(1).await;
        let is = rig.health.borrow().store_writable;
        lives += u32::from(is && !was);
        was = is;
        if is {
            rig.observe("T2", Span::ZERO).await;
        }
    }
    assert!(lives <= 7, "{lives} lives in a minute");
    *rig.store.refuses_commits.lock().unwrap() = false;
    rig.pass(35).await;
    rig.until("it is normal again", |rig| rig.health.borrow().store_writable).await;
    assert!(matches!(rig.observe("T3", Span::ZERO).await[..], [ObserveAnswer::Kept(_)]));
}
