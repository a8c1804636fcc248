//! The whole program, its port and the simulated Kuaidi100, all over sockets: a case names a parcel, the parcel is
//! subscribed, what is pushed is kept before it is answered, and what is forged is refused. The vendor is simulated.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::Value;
use shiftbell::channels::render::Templates;
use shiftbell::config::load_settings;
use shiftbell::console::{Clients, LimitsConfig, Listeners, Parts, Server, ServerConfig, router};
use shiftbell::core::engine::CaseRow;
use shiftbell::core::ids::InstallationKey;
use shiftbell::core::model::{Language, Mark, Observation, Table, Value as Attribute};
use shiftbell::core::time::{Instant, Span};
use shiftbell::daemon::handle::{Ask, ObserveAnswer};
use shiftbell::daemon::time::{FastTime, SystemTime, TimeSource};
use shiftbell::daemon::{Daemon, Plan};
use shiftbell::sim::platforms::kuaidi100::{Fleet, Kuaidi100, Manners, Outgoing, Parcel, Scan};
use shiftbell::sim::platforms::{Shared, serve};
use shiftbell::store::{RowQuery, SqliteOptions, SqliteStore, Store};
use shiftbell::telemetry::Metrics;
use shiftbell::telemetry::metrics::Known;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(60);

/// The cases are looked through every half a minute at most: time runs fast here, for both sides.
static CLOCK: LazyLock<FastTime> = LazyLock::new(|| FastTime::new(SystemTime.read().wall, 20));
const PARCEL: &str = "yuantong:YT0000000000001";

fn scan(at: Instant, code: &'static str, status: &'static str, step: usize) -> Scan {
    let at = Instant::from_secs(at.as_secs());
    let text = "快递员张三(13812345678)";
    Scan { at, visible: at, code, text, place: "上海", step, status, physical: true }
}

/// Waits until `is` gives something, or fails by name.
pub(crate) async fn wait_for<T>(what: &str, mut is: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..3000 {
        if let Some(found) = is().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited for {what}");
}

/// Says something to the port, and reads the status and the body of the answer.
async fn post(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    say(address, method, path, &[("Content-Type", "application/x-www-form-urlencoded")], body).await
}

/// The same with these headers.
pub(crate) async fn say(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, String) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: bell\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let talk = async {
        let mut stream = TcpStream::connect(address).await.expect("somebody listens");
        let (mut read, mut write) = stream.split();
        let mut answer = Vec::new();
        let send = async {
            // A server that refuses early closes: what is not taken any more is no fault.
            let sent = write.write_all(head.as_bytes()).await;
            if sent.is_ok() {
                drop(write.write_all(body).await);
            }
        };
        let receive = async {
            let mut part = [0; 16 << 10];
            while let Ok(n @ 1..) = read.read(&mut part).await {
                answer.extend_from_slice(&part[..n]);
            }
        };
        tokio::join!(send, receive);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let text = tokio::time::timeout(LONG, talk).await.expect("an answer comes");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    (head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0), body.to_owned())
}

pub(crate) struct Rig {
    pub(crate) daemon: Daemon,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Rig {
    async fn start(folder: &Path, vendor: u16, listeners: Listeners, limits: LimitsConfig) -> Rig {
        let address = listeners.addresses()[0];
        let text = format!(
            r#"
include = ["builtin:shiftbell.toml"]
[couriers.k100]
look_every   = "30s"
callback_url = "http://{address}"
[couriers.k100.kuaidi100]
gateway       = "http://127.0.0.1:{vendor}"
customer      = "sim-customer"
key_env       = "K100_KEY"
query_gap     = "1100ms"
[channels.mailbox.maildir]
path = "{}/mail"
"#,
            folder.display()
        );
        let env = BTreeMap::from([("K100_KEY".to_owned(), "sim-key".to_owned())]);
        Rig::of(folder, &text, env, Arc::new(*CLOCK), listeners, limits).await
    }

    /// The whole program by this configuration, behind these sockets.
    pub(crate) async fn of(
        folder: &Path,
        text: &str,
        env: BTreeMap<String, String>,
        time: Arc<dyn TimeSource>,
        listeners: Listeners,
        limits: LimitsConfig,
    ) -> Rig {
        let address = listeners.addresses()[0];
        let main = folder.join("main.toml");
        std::fs::write(&main, text).expect("written");
        let env = Arc::new(env);
        let ready = load_settings(&main, &env, Some(time.read().wall)).unwrap_or_else(|e| panic!("{e}"));
        let options = SqliteOptions { ballast_bytes: 0, ..SqliteOptions::default() };
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.join("desk.db"), options).expect("a store"));
        let metrics = Arc::new(Metrics::new(Known::default()).expect("metrics"));
        let key = InstallationKey::new([3; 32]);
        let plan = Plan {
            main,
            env,
            ready,
            rejected: None,
            last_good: folder.join("last_good.toml"),
            key: key.clone(),
            store: store.clone(),
            time,
            metrics: metrics.clone(),
        };
        let daemon = Daemon::start(plan).await.unwrap_or_else(|e| panic!("{e}"));
        let router = router(Parts {
            handle: daemon.handle.clone(),
            setup: daemon.setup.clone(),
            key,
            health: daemon.health.clone(),
            metrics: metrics.clone(),
            import: Arc::new(Default::default()),
            clients: Clients::default(),
            limits: limits.clone(),
            words: [Language::Zh, Language::En].map(|l| (l, Templates::default().words(l))).into(),
            now: daemon.now.as_clock(),
            doors: daemon.doors.clone(),
            channels: daemon.channels.clone(),
            after: daemon.after.clone(),
        })
        .expect("the pages are whole");
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let (server, stopping) = (Server::new(listeners, router, limits, metrics), stop.clone());
        tasks.spawn(async move {
            server.run(stopping).await;
        });
        Rig { daemon, store, address, stop, tasks }
    }

    /// A case as it is kept, in the letters of its debugging.
    async fn case(&self, source: &str, kind: &str, id: &str) -> String {
        let query = RowQuery {
            table: Table::Case,
            id_prefix: Some(format!("{source}\0{kind}\0{id}")),
            state: None,
            parent: None,
            limit: 1,
        };
        let rows = self.store.rows(self.daemon.handle.desk(), query).await.expect("rows");
        rows.first().map(|row| format!("{:?}", CaseRow::from_bytes(&row.body))).unwrap_or_default()
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.daemon.stop().await;
    }
}

async fn observe(rig: &Rig, at: Instant) {
    let text = |name: &'static str, text: &'static str| (name.into(), Attribute::Text(text.into()));
    let order = Observation {
        source: "pdd".into(),
        kind: "order".into(),
        id: "o-1".into(),
        as_of: at,
        revision: at.as_secs(),
        marks: vec![Mark { name: "shipped".into(), reference: None, at, removed: false }],
        attributes: vec![
            text("carrier", "圆通速递"),
            text("waybill", " yt0000000000001 "),
            text("shop", "flagship"),
        ],
    };
    let kept = rig.daemon.handle.ask(LONG, |to| Ask::Observe(vec![order], to)).await.expect("an answer");
    assert!(matches!(kept[..], [ObserveAnswer::Kept(_)]), "{kept:?}");
}

async fn pushed(vendor: &Shared<Kuaidi100>) -> Outgoing {
    let leaves = async || {
        let later = CLOCK.read().wall + Span::HOUR.times(3);
        vendor.lock().expect("nobody panics with it").pushes(later).pop()
    };
    wait_for("a push", leaves).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_is_kept_before_it_is_answered_and_a_forged_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = CLOCK.read().wall;
    let before = |minutes: i64| now - Span::from_minutes(minutes);
    let mut fleet = Fleet::default();
    let scans = vec![scan(before(120), "103", "picked_up", 0), scan(before(30), "5", "out_for_delivery", 1)];
    fleet.parcels.insert(PARCEL.to_owned(), Parcel { shipped: before(180), scans });
    let vendor = Kuaidi100::new("sim-customer", "sim-key", 1, Manners::default(), fleet);
    let vendor: Shared<Kuaidi100> = Arc::new(Mutex::new(vendor));
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = socket.local_addr().expect("an address").port();
    let (stop, mut server) = (CancellationToken::new(), JoinSet::new());
    server.spawn(serve(socket, vendor.clone(), Arc::new(|| CLOCK.read().wall), stop.clone()));

    let config = ServerConfig { listen: "127.0.0.1:0".to_owned(), ..ServerConfig::default() };
    let listeners = Listeners::open(&config).await.expect("a free port");
    let rig = Rig::start(folder.path(), port, listeners, LimitsConfig::default()).await;
    observe(&rig, before(180)).await;

    // The case names it, so it is subscribed by itself; the vendor tells what it knows.
    let subscribed = async || (vendor.lock().expect("no panic").submits() == 1).then_some(());
    wait_for("a subscription", subscribed).await;
    let first = pushed(&vendor).await;
    let path = first.url.strip_prefix(&format!("http://{}", rig.address)).expect("our own port").to_owned();
    let (token, body) = (path.rsplit('/').next().unwrap_or_default().to_owned(), first.body.clone());

    // Forged, misdirected, broken, too large: each is refused with its reason, and nothing of it is kept.
    let said = |status: u16, reason: &str| (status, reason.to_owned());
    let reason = |(status, body): (u16, String)| {
        let json: Value = serde_json::from_str(body.trim()).unwrap_or(Value::Null);
        let text = json["message"].as_str().or(json["error"].as_str()).unwrap_or(&body);
        assert_ne!(json["result"], true, "{text}");
        (status, text.to_owned())
    };
    let at = |path: String, body: Vec<u8>| {
        let address = rig.address;
        async move { reason(post(address, "POST", &path, &body).await) }
    };
    let changed = body.replace("%22103%22", "%22301%22");
    assert_ne!(changed, body);
    let wrong = said(401, "the signature is wrong");
    assert_eq!(at(path.clone(), changed.into_bytes()).await, wrong);
    assert_eq!(at(path.clone(), body.replace("sign=", "sign=0").into_bytes()).await, wrong);
    assert_eq!(at(path.clone(), b"sign=0".to_vec()).await, said(400, "the field param is missing"));
    assert_eq!(at(path.clone(), b"\xff%".to_vec()).await, said(400, "the body is no form"));
    let nobody = said(401, "this is not the address of a parcel");
    let other = path.replace("YT0000000000001", "YT0000000000002");
    assert_eq!(at(other, body.clone().into_bytes()).await, nobody);
    assert_eq!(at(path.replace(&token, &"0".repeat(32)), body.clone().into_bytes()).await, nobody);
    let unknown = path.replace("/k100/", "/k101/");
    assert_eq!(at(unknown, body.clone().into_bytes()).await, said(404, "no courier of this name is at work"));
    let large = [body.as_bytes(), &vec![b'&'; 2 << 20]].concat();
    assert_eq!(at(path.clone(), large).await.0, 413);
    assert_eq!(post(rig.address, "GET", &path, b"").await.0, 405);
    assert!(!rig.case("k100", "parcel", PARCEL).await.contains("picked_up"), "nothing of that was kept");

    // The true one: once it is answered it is in the store, with what it means for the order.
    let (status, thanks) = post(rig.address, "POST", &path, body.as_bytes()).await;
    assert_eq!((status, thanks.as_str()), (200, r#"{"message":"成功","result":true,"returnCode":"200"}"#));
    let parcel = rig.case("k100", "parcel", PARCEL).await;
    for word in ["picked_up", "last_scan", "out_for_delivery", "yuantong", "flagship", "o-1"] {
        assert!(parcel.contains(word), "{word} in {parcel}");
    }
    assert!(!parcel.contains("张三") && !parcel.contains("1381234"), "{parcel}");
    assert!(rig.case("pdd", "order", "o-1").await.contains("picked_up"), "the order knows of it");

    // Said again, it changes nothing.
    assert_eq!(post(rig.address, "POST", &path, body.as_bytes()).await.0, 200);
    assert_eq!(rig.case("k100", "parcel", PARCEL).await, parcel);

    // It is delivered; then the older push comes once more, late: what is known stays.
    let delivered = scan(CLOCK.read().wall - Span::from_secs(5), "301", "delivered", 2);
    let add = |vendor: &mut Kuaidi100| {
        let known = vendor.fleet.parcels.get_mut(PARCEL);
        known.into_iter().for_each(|parcel| parcel.scans.push(delivered.clone()));
    };
    add(&mut vendor.lock().expect("no panic"));
    let last = pushed(&vendor).await;
    assert!(last.is_last);
    assert_eq!(post(rig.address, "POST", &path, last.body.as_bytes()).await.0, 200);
    let parcel = rig.case("k100", "parcel", PARCEL).await;
    assert!(parcel.contains("\"delivered\""), "{parcel}");
    assert_eq!(
        post(rig.address, "POST", &path, body.as_bytes()).await.0,
        200,
        "what is old is thanked for as well"
    );
    assert_eq!(rig.case("k100", "parcel", PARCEL).await, parcel);
    assert!(rig.case("pdd", "order", "o-1").await.contains("\"delivered\""));

    // Nothing secret or personal is kept; nobody was asked too often.
    let mut kept = String::new();
    for table in Table::ALL {
        let query = RowQuery { table, id_prefix: None, state: None, parent: None, limit: 10_000 };
        for row in rig.store.rows(rig.daemon.handle.desk(), query).await.expect("rows") {
            kept.push_str(&row.id);
            kept.push_str(&String::from_utf8_lossy(&row.body));
        }
    }
    for secret in ["sim-key", token.as_str(), "张三", "13812345678"] {
        assert!(!kept.contains(secret), "{secret} was kept");
    }
    rig.stop().await;
    let vendor = vendor.lock().expect("no panic");
    assert!(vendor.locked.is_empty() && vendor.too_fast == 0, "{:?}", vendor.refusals);
    assert!(vendor.queries.values().all(|asked| asked.len() <= 1), "{:?}", vendor.queries);
    stop.cancel();
}
