//! The whole program against the simulated gateway, over a socket: an order is seen, rings before its deadline, is
//! shipped, and is quiet. Time runs thirty times as fast for both.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::load_settings;
use crate::core::ids::InstallationKey;
use crate::core::model::{Incident, Table};
use crate::daemon::handle::{Ask, Which};
use crate::daemon::time::{Reading, SystemTime, TimeSource, to_duration};
use crate::daemon::{Daemon, Plan};
use crate::sim::platforms::{Shared, serve};
use crate::sources::tokens;
use crate::store::{RowQuery, SqliteOptions, SqliteStore, Store};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Known;

const FAST: i64 = 30;
const LONG: Duration = Duration::from_secs(60);

/// Both clocks of the machine, thirty times as fast.
#[derive(Clone, Copy)]
struct Fast(Reading);

impl TimeSource for Fast {
    fn read(&self) -> Reading {
        let passed = SystemTime.read().elapsed.less(self.0.elapsed).times(FAST);
        Reading { wall: self.0.wall + passed, elapsed: self.0.elapsed + passed }
    }

    fn sleep(&self, span: Span) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(to_duration(span) / FAST as u32))
    }
}

fn config(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        r#"
include = ["builtin:shiftbell.toml"]
[sources.flagship]
shop       = "flagship"
every      = "20s"
quiet      = [0, 0]
look_back  = "1h"
token_file = "{folder}/flagship.json"
[sources.flagship.pinduoduo]
gateway           = "http://127.0.0.1:{port}/api/router"
client_id         = "sim-client"
client_secret_env = "PDD_SECRET"
lag               = "2s"
[channels.mailbox.maildir]
path = "{folder}/mail"
"#
    )
}

struct Rig {
    store: Arc<dyn Store>,
    daemon: Daemon,
    time: Arc<Fast>,
}

impl Rig {
    async fn start(folder: &Path, time: Arc<Fast>, metrics: Arc<Metrics>) -> Rig {
        let options = SqliteOptions { ballast_bytes: 0, ..SqliteOptions::default() };
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.join("desk.db"), options).unwrap());
        let main = folder.join("main.toml");
        let env: Arc<BTreeMap<String, String>> =
            Arc::new(BTreeMap::from([("PDD_SECRET".to_owned(), "sim-secret".to_owned())]));
        let ready = load_settings(&main, &env, Some(time.read().wall)).unwrap_or_else(|e| panic!("{e}"));
        let plan = Plan {
            main,
            env,
            ready,
            rejected: None,
            last_good: folder.join("last_good.toml"),
            key: InstallationKey::new([3; 32]),
            store: store.clone(),
            time: time.clone(),
            metrics,
        };
        Rig { store, daemon: Daemon::start(plan).await.unwrap_or_else(|e| panic!("{e}")), time }
    }

    async fn orders(&self) -> Vec<Incident> {
        let all = self.daemon.handle.ask(LONG, |to| Ask::Incidents(Which::Unresolved(100), to)).await;
        all.unwrap_or_default().into_iter().filter(|i| &*i.subject.kind == "order").collect()
    }

    async fn until(&self, what: &str, count: usize) -> Vec<Incident> {
        for _ in 0..1500 {
            let found = self.orders().await;
            if found.len() == count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("waited for {what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_rings_before_its_deadline_and_is_quiet_once_it_is_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let time = Arc::new(Fast(SystemTime.read()));
    let now = time.read().wall;
    let manners = Manners { open_end: true, ..Manners::default() };
    let mut mall = Pinduoduo::new("sim-client", "sim-secret", 1, 0, manners, now);
    // The token is about to end: another one is asked for first.
    mall.issue.access.1 = now + Span::from_minutes(30);
    let minutes = Span::from_minutes;
    mall.shop.place(1, now - minutes(46 * 60 - 3), now - minutes(10));
    mall.shop.place(2, now - minutes(10), now - minutes(10));
    let tokens = crate::sources::platform::Tokens {
        access: Secret::new(mall.issue.access.0.clone()),
        refresh: Some(Secret::new(mall.issue.refresh.clone())),
        access_until: Some(mall.issue.access.1),
        refresh_until: None,
    };
    let file = folder.path().join("flagship.json");
    tokens::write(&file, &tokens).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    std::fs::write(folder.path().join("main.toml"), config(folder.path(), port)).unwrap();
    let mall: Shared<Pinduoduo> = Arc::new(Mutex::new(mall));
    let (stop, clock) = (CancellationToken::new(), time.clone());
    let mut server = JoinSet::new();
    server.spawn(serve(listener, mall.clone(), Arc::new(move || clock.read().wall), stop.clone()));

    let metrics = Arc::new(Metrics::new(Known::default()).unwrap());
    let rig = Rig::start(folder.path(), time.clone(), metrics.clone()).await;
    let found = rig.until("the order that has two hours left", 1).await;
    assert_eq!(&*found[0].subject.id, "260105-000000000000001");
    assert_eq!(&*found[0].subject.source, "flagship");
    let due = Instant::from_secs((now + minutes(123)).as_secs());
    assert_eq!(found[0].due, Some(due), "the platform's own deadline");
    let access = mall.lock().unwrap().issue.access.0.clone();
    assert_eq!(access, "sim-access-1", "renewed once");
    assert_eq!(tokens::read(&file).unwrap().access.reveal(), access, "and in its file");

    // The daemon is stopped and started again: it goes on, and invents nothing.
    rig.daemon.stop().await;
    let rig = Rig::start(folder.path(), time.clone(), metrics.clone()).await;
    assert_eq!(rig.until("the same incident", 1).await[0].id, found[0].id);
    mall.lock().unwrap().shop.ship(1, rig.time.read().wall);
    rig.until("quiet", 0).await;

    // Nothing that is secret or personal was kept or shown.
    let desk = rig.daemon.handle.desk().clone();
    let mut kept = metrics.text().unwrap();
    for table in Table::ALL {
        let query = RowQuery { table, id_prefix: None, state: None, parent: None, limit: 100_000 };
        for row in rig.store.rows(&desk, query).await.unwrap() {
            kept.push_str(&row.id);
            kept.push_str(&String::from_utf8_lossy(&row.body));
        }
    }
    assert!(kept.contains("260105-000000000000001"));
    for secret in ["sim-secret", "sim-access", "sim-refresh", "AgAAAA", "张三"] {
        assert!(!kept.contains(secret), "{secret} was kept");
    }
    rig.daemon.stop().await;
    let refusals = mall.lock().unwrap().gateway.refusals.clone();
    assert!(refusals.is_empty(), "{refusals:?}");
    stop.cancel();
    while server.join_next().await.is_some() {}
}
