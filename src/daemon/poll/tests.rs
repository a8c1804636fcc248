//! What the poller tells the desk and shows in the metrics, without a network.

use std::num::NonZeroU32;

use super::*;
use crate::daemon::time::ManualTime;
use crate::sources::pinduoduo::PinduoduoConfig;
use crate::sources::platform::{Feed, Item, Page, Reject};
use crate::sources::poll::{Facts, Rules, Walk};
use crate::store::{SqliteOptions, SqliteStore};
use crate::telemetry::metrics::Known;

/// Shops of one app share one budget, the least of what they allow.
#[test]
fn sources_of_one_app_share_its_budget() {
    let source = |client: &str, rate: u32| SourceConfig {
        app_per_minute: NonZeroU32::new(rate).unwrap(),
        pinduoduo: Some(PinduoduoConfig { client_id: client.to_owned(), ..PinduoduoConfig::default() }),
        ..SourceConfig::default()
    };
    let sources = [("a", source("x", 60)), ("b", source("x", 30)), ("c", source("y", 600))];
    let sources: BTreeMap<String, SourceConfig> =
        sources.into_iter().map(|(name, source)| (name.to_owned(), source)).collect();
    let apps = budgets(&sources);
    assert_eq!(apps.len(), 2);
    let taken = |name: &str| {
        let mut pace = apps[&sources[name].app()].lock().unwrap();
        (0..100).filter(|_| pace.take(Span::from_secs(10)).is_ok()).count()
    };
    assert_eq!((taken("a"), taken("b"), taken("c")), (3, 0, 60));
}

/// Polls of no source yet, the desk's end of their orders, and what they are told with.
struct Rig {
    polls: Polls,
    orders: mpsc::Receiver<Order>,
    polled: watch::Sender<Polled>,
    time: ManualTime,
    metrics: Arc<Metrics>,
    folder: tempfile::TempDir,
}

const NOW: Instant = Instant::from_secs(1_767_600_000);

fn rig(sources: BTreeMap<String, SourceConfig>) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { ballast_bytes: 0, ..SqliteOptions::default() };
    let store = Arc::new(SqliteStore::open(&folder.path().join("desk.db"), options).unwrap());
    let (orders_out, orders) = mpsc::channel(64);
    let (polled, polled_in) = watch::channel(Polled { sources: Arc::new(sources), zone: TimeZone::UTC });
    let time = ManualTime::new(NOW);
    let metrics = Arc::new(Metrics::new(Known::default()).unwrap());
    let polls = Polls {
        polled: polled_in,
        env: Arc::new(BTreeMap::from([("S".to_owned(), "secret".to_owned())])),
        desk: "desk".into(),
        store,
        orders: orders_out,
        time: Arc::new(time.clone()),
        metrics: metrics.clone(),
    };
    Rig { polls, orders, polled, time, metrics, folder }
}

/// A shop whose secret is there or not.
fn shop(secret: bool) -> SourceConfig {
    let platform = PinduoduoConfig {
        client_id: "c".to_owned(),
        client_secret_env: Some(if secret { "S" } else { "MISSING" }.to_owned()),
        ..PinduoduoConfig::default()
    };
    SourceConfig { pinduoduo: Some(platform), ..SourceConfig::default() }
}

/// What was noticed of a source: the family, and how, if it is there.
async fn noticed(orders: &mut mpsc::Receiver<Order>) -> (&'static str, Option<Edge>) {
    let told = loop {
        match orders.recv().await {
            // Nobody answers: it is asked again.
            Some(Order::Ahead { .. }) => {}
            told => break told,
        }
    };
    match told {
        Some(Order::Noticed(Noticed::Source { family, source, text, edge })) => {
            assert_eq!(&*source, "shop");
            (family, text.map(|_| edge))
        }
        _ => panic!("something else was ordered"),
    }
}

fn shows(metrics: &Metrics, series: &str) -> bool {
    metrics.text().unwrap().lines().any(|line| line == format!("shiftbell_source_{series}"))
}

/// A reload takes a source out: its series go, and what was told of it is over.
#[tokio::test]
async fn a_source_that_is_taken_out_is_forgotten() {
    let Rig { polls, mut orders, polled, metrics, .. } = rig([("shop".to_owned(), shop(false))].into());
    let stop = CancellationToken::new();
    let story = async {
        assert_eq!(noticed(&mut orders).await, ("source.blind", Some(Edge::Firing)));
        assert_eq!(noticed(&mut orders).await, ("source.skew", None));
        assert!(shows(&metrics, "blind{source=\"shop\"} 1"));
        polled.send(Polled { sources: Arc::default(), zone: TimeZone::UTC }).unwrap();
        for family in ["source.authorise", "source.blind", "source.method", "source.skew"] {
            assert_eq!(noticed(&mut orders).await, (family, None));
        }
        assert!(!metrics.text().unwrap().contains("shop"));
    };
    tokio::select! {
        () = polls.run(stop.clone()) => panic!("the polls have ended"),
        () = story => {}
    }
}

fn source(rig: &Rig, config: &SourceConfig) -> Source {
    rig.metrics.source_begins("shop", Class::RESULTS);
    let soon = watch::channel(Soon::default()).1;
    rig.polls.source("shop", config, &TimeZone::UTC, Arc::new(Mutex::new(Pace::new(NonZeroU32::MIN))), soon)
}

fn planner(feeds: &[Feed]) -> Planner {
    let cadence = Cadence { every: Span::MINUTE, quiet: (0, 0), cron: None };
    let pace = Pace::new(NonZeroU32::new(600).unwrap());
    let now = (NOW, Span::from_secs(1000));
    Planner::new("shop".into(), feeds, BTreeMap::new(), Span::HOUR, cadence, pace, now)
}

/// 5.8: what a page has that cannot be used is counted, kept as a digest in the commit of the page, and told.
#[tokio::test]
async fn rows_that_cannot_be_used_are_told_with_their_page() {
    let mut rig = rig(BTreeMap::new());
    let mut source = source(&rig, &shop(true));
    let rules = Rules {
        lag: Span::ZERO,
        overlap: Span::MINUTE,
        longest: Span::HOUR,
        history: Span::DAY,
        page_size: 100,
        first_page: 1,
        walk: Walk::LastToFirst,
    };
    let mut planner = planner(&[Feed { name: "orders".to_owned(), rules, rank: 1, rounds: 1 }]);
    let Next::Ask(call) = planner.next(NOW, Span::from_secs(1000), &mut Pace::new(NonZeroU32::MIN)) else {
        panic!("nothing is asked");
    };
    let item = |n: u64| Item {
        observations: Vec::new(),
        id: n.to_string(),
        digest: n,
        modified: NOW,
        deadline: None,
        want: None,
        odd: Vec::new(),
    };
    let reject = |n: usize| Reject { digest: format!("d{n}"), reason: "has no id".to_owned() };
    let page = Page {
        items: (0..22).map(item).collect(),
        rejects: (0..3).map(reject).collect(),
        facts: Facts { rows: 25, total: Some(25), last: None, more: None },
    };
    let step = planner.took(&call, page).unwrap();
    let desk = async {
        let Some(Order::Taken { cursor, answer, .. }) = rig.orders.recv().await else { panic!("no commit") };
        let rejects: Vec<&str> =
            cursor.iter().filter(|row| row.table == Table::Reject).map(|row| row.id.as_str()).collect();
        assert_eq!(rejects, ["d0", "d1", "d2"].map(|digest| format!("poll/shop/orders/{digest}")));
        drop(answer.send(Ok(Vec::new())));
        match rig.orders.recv().await {
            Some(Order::Noticed(page)) => page,
            _ => panic!("nothing was noticed"),
        }
    };
    let (kept, page) = tokio::join!(source.keep("orders", &step), desk);
    assert!(kept.is_ok());
    assert_eq!(page, Noticed::Page { source: "shop".into(), items: 25, refused: 3 });
    assert!(shows(&rig.metrics, "rejects_total{source=\"shop\"} 3"));
}

/// The merchant is told in time, and what was given meanwhile is taken from the file.
#[tokio::test]
async fn an_authorisation_that_ends_is_told_until_there_is_another() {
    let mut rig = rig(BTreeMap::new());
    let file = rig.folder.path().join("tokens.json");
    let config = SourceConfig { token_file: Some(file.display().to_string()), ..shop(true) };
    let tokens = |name: &str, until: Instant| Tokens {
        access: Secret::new(name),
        refresh: Some(Secret::new("r")),
        access_until: Some(NOW + Span::DAY),
        refresh_until: Some(until),
    };
    tokens::write(&file, &tokens("a", NOW + Span::DAY.times(5))).unwrap();
    let mut source = source(&rig, &config);
    let mut tools = source.tools().await.unwrap();
    let mut planner = planner(&[]);
    for (days, want) in
        [(0, Some(Some(Edge::Prewarning))), (1, None), (1, Some(Some(Edge::Firing))), (1, None)]
    {
        rig.time.advance(Span::DAY.times(days));
        assert!(source.warn(&mut tools, &mut planner).await.is_ok());
        let told = match rig.orders.is_empty() {
            true => None,
            false => Some(noticed(&mut rig.orders).await),
        };
        assert_eq!(told, want.map(|edge| ("source.authorise", edge)), "{days} days on");
    }
    tokens::write(&file, &tokens("b", NOW + Span::DAY.times(30))).unwrap();
    assert!(source.warn(&mut tools, &mut planner).await.is_ok());
    assert!(rig.orders.is_empty(), "it is not looked at all the time");
    rig.time.advance(Span::MINUTE);
    assert!(source.warn(&mut tools, &mut planner).await.is_ok());
    assert_eq!(noticed(&mut rig.orders).await, ("source.authorise", None));
    assert_eq!(tools.tokens.access.reveal(), "b");
}

/// What the desk says rings soon is asked for by its id just before; a method that is refused is told once with its name, and
/// that it is over.
#[tokio::test]
async fn what_rings_soon_is_asked_for_and_a_refused_method_is_told() {
    let mut rig = rig(BTreeMap::new());
    let config = SourceConfig { token_file: None, access_token_env: Some("S".to_owned()), ..shop(true) };
    let (soon, heard) = watch::channel(Soon::default());
    rig.metrics.source_begins("shop", Class::RESULTS);
    let app = Arc::new(Mutex::new(Pace::new(NonZeroU32::MIN)));
    let mut source = rig.polls.source("shop", &config, &TimeZone::UTC, app, heard);
    let tools = source.tools().await.unwrap();
    let mut planner = planner(&[]);
    let case = OpenCase {
        source: "shop".to_owned(),
        kind: "order".to_owned(),
        id: "o1".to_owned(),
        next: Some(NOW + Span::from_secs(30)),
        ..OpenCase::default()
    };
    soon.send_replace(Arc::new(BTreeMap::from([("shop".to_owned(), vec![case.clone()])])));
    let desk = async {
        match rig.orders.recv().await {
            Some(Order::Open { source, from: 0, answer, .. }) => {
                assert_eq!(&*source, "shop");
                drop(answer.send(Default::default()));
            }
            _ => panic!("nobody asked who is open"),
        }
    };
    let (looked, ()) = tokio::join!(source.look_again(&tools, &mut planner), desk);
    assert!(looked.is_ok());
    let at = Span::from_secs(1000);
    let Next::Ask(call) = planner.next(NOW, at, &mut Pace::new(NonZeroU32::MIN)) else {
        panic!("it is not asked for")
    };
    let What::Again(want, _) = &call.what else { panic!("{call:?}") };
    assert_eq!(want.ids, ["order", "o1"]);

    assert!(source.tell_refused(&tools, &planner).await.is_ok());
    assert_eq!(
        noticed(&mut rig.orders).await,
        ("source.method", None),
        "an earlier process may have told it"
    );
    let refusal = Failure::new(Class::Permission, "20031");
    planner.failed(Some(&call), refusal, at, &mut Pace::new(NonZeroU32::MIN));
    assert_eq!(planner.blind(at + Span::HOUR.times(3)), None);
    for told in [true, false] {
        assert!(source.tell_refused(&tools, &planner).await.is_ok());
        match rig.orders.try_recv() {
            Ok(Order::Noticed(Noticed::Source {
                family: "source.method", text: Some(text), edge, ..
            })) if told => {
                assert!(text.contains("pdd.order.information.get") && text.contains("20031"), "{text}");
                assert_eq!(edge, Edge::Prewarning);
            }
            told_again => assert!(!told && told_again.is_err(), "{told}"),
        }
    }
    let step = planner.took(&call, Page::default()).unwrap();
    planner.kept(step, NOW, at);
    assert!(source.tell_refused(&tools, &planner).await.is_ok());
    assert_eq!(noticed(&mut rig.orders).await, ("source.method", None));
}

/// The desk is asked for all sources at once, and each is told of its own cases.
#[tokio::test]
async fn one_task_asks_who_rings_soon() {
    let rig = rig(BTreeMap::new());
    let soon = Arc::new(watch::channel(Soon::default()).0);
    let sources = Arc::new(["a", "b"].map(str::to_owned).into());
    let (orders, mut desk) = mpsc::channel(4);
    let asks = WhoRings { sources, orders, time: Arc::new(rig.time.clone()), soon: soon.clone() };
    let story = async {
        let Some(Order::Ahead { sources, until, answer }) = desk.recv().await else {
            panic!("nothing is asked")
        };
        assert_eq!((sources.len(), until), (2, NOW + Span::from_minutes(30)));
        let case = |source: &str, id: &str| OpenCase {
            source: source.to_owned(),
            id: id.to_owned(),
            ..OpenCase::default()
        };
        let mut heard = soon.subscribe();
        drop(answer.send(vec![case("a", "1"), case("b", "2"), case("a", "3")]));
        heard.changed().await.unwrap();
        let told = heard.borrow_and_update().clone();
        let ids = |name: &str| told[name].iter().map(|case| case.id.clone()).collect::<Vec<_>>();
        assert_eq!((ids("a"), ids("b")), (vec!["1".to_owned(), "3".to_owned()], vec!["2".to_owned()]));
    };
    tokio::select! {
        () = asks.look() => panic!("it has ended"),
        () = story => {}
    }
}
