//! Days that every platform must come through.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Counts, Judged, Reader, START, Waits};
use crate::core::ids::Secret;
use crate::core::time::Span;
use crate::sim::platforms::gateway::Manners;
use crate::sim::platforms::serve;
use crate::sim::platforms::shop::Kind;
use crate::sim::random::Dice;
use crate::sources::http::{fetch, source_client};
use crate::sources::platform::{Platform, Tokens};
use crate::sources::poll::{Ask, Rules};
use crate::wire::http::ClientConfig;

/// The manners of a bad day: trouble, throttling, two outages of twenty minutes.
pub fn bad_day() -> Manners {
    let minutes = |n| START + Span::from_minutes(n);
    Manners {
        trouble: 10,
        per_minute: 45,
        outages: vec![(minutes(95), minutes(115)), (minutes(200), minutes(220))],
        ..Manners::default()
    }
}

/// A day of `count` orders: every case is seen, none is invented, deadlines are true; whatever goes wrong. Refusals other
/// than `expected` are mistakes of ours.
pub fn day<P: Platform, M: Judged>(
    name: &str,
    (adapter, mut mall): (P, M),
    (seed, count, length): (u64, u64, Span),
    expected: &[&str],
) -> (Reader<P>, M) {
    mall.shop().populate(count, START, length);
    let size = adapter.feeds().iter().map(|feed| u64::from(feed.rules.page_size)).min().unwrap_or(1);
    let slowest = adapter.feeds().iter().map(|feed| feed.rules.lag).max().unwrap_or(Span::ZERO);
    let mut reader = Reader::new(adapter, &mall);
    // Of the whole days one in ten has a desk that reads cases again: it takes seven times as many requests.
    if seed < 100 || seed.is_multiple_of(10) {
        reader = reader.with_desk();
    }
    let mut dice = Dice::new(seed ^ 77);
    // Everything has happened an hour before the end.
    let end = START + length + Span::from_minutes(24 * 60 + 60);
    while reader.now < end {
        let dies = dice.below(4000) == 0;
        reader.step(&mut mall, dies);
    }
    let wrong = reader.compare(&mut mall);
    let (shop, manners) = (mall.shop().clone(), mall.gateway().manners.clone());
    let refusals = mall.gateway().refusals.clone();
    let Counts { pages, details, before_rings, in_turn, windows, rows, deaths, .. } = reader.counts;
    let changes = shop.changes.len() as u64;
    println!(
        "simulated {name}, seed {seed}: {} orders, {} after-sales, {changes} changes, {deaths} deaths, refused {refusals:?}\n\
         \u{20} requests: {pages} for {rows} rows in {windows} windows; 1.3 x (changes / {size} + windows) = {}\n\
         \u{20} for single cases: {details} that lists leave out, {before_rings} before rings, {in_turn} in turn",
        shop.orders.len(),
        shop.aftersales.len(),
        (changes / size + windows) * 13 / 10,
    );
    for kind in [Kind::Order, Kind::AfterSale] {
        let [shown, reached] = [Span::ZERO, slowest].map(|lag| reader.waits(kind, lag, &manners));
        let told = |Waits { p50, p99, max, .. }: Waits| format!("p50 {p50} p99 {p99} max {max}");
        println!(
            "  {kind:?}: {} changes kept after {} since they were shown, {} since a window that ends {slowest} ago shows \
             them",
            shown.count,
            told(shown),
            told(reached)
        );
    }
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} wrong\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
    let through = reader.planner.through().unwrap();
    assert!(through >= end - Span::from_minutes(15), "it keeps up: {through}");
    assert_eq!(reader.counts.rejects, 0);
    assert!(pages * 10 * size <= 13 * (changes + windows * size), "{pages} requests are too many");
    // B1, for all but the changes around a request that failed; three intervals where single cases take so much that the
    // gateway lets through less than is asked.
    let singles = details + before_rings + in_turn;
    let every = reader.every;
    let bound = if singles > pages / 2 { every.times(3) } else { every + Span::from_secs(2) };
    let orders = reader.waits(Kind::Order, slowest, &manners);
    assert!(orders.p99 <= bound, "seed {seed}: {orders:?}, expected at most {bound}");
    assert!(reader.planner.blind(reader.now.since(START)).is_none(), "outages are over");
    assert_eq!(reader.most_blind, !manners.outages.is_empty(), "outages are told, and nothing else");
    assert!(refusals.keys().all(|code| expected.contains(&code.as_str())), "{refusals:?}");
    (reader, mall)
}

/// The reader's clock is wrong: it is refused, believes the `Date` header, and says so.
pub fn wrong_clock<P: Platform, M: Judged>((adapter, mut mall): (P, M), minutes: i64) {
    mall.gateway().manners.skew_ms = minutes * 60_000;
    mall.shop().populate(50, START, Span::from_minutes(30));
    let mut reader = Reader::new(adapter, &mall);
    reader.until(&mut mall, START + Span::from_minutes(90));
    let off = reader.planner.skew_millis() - minutes * 60_000;
    assert!(off.abs() < 1500 && reader.planner.skewed().is_some(), "{off}");
    assert_eq!(reader.planner.blind(reader.now.since(START)), None);
    let lag = reader.planner.theirs(reader.now).since(reader.planner.through().unwrap());
    assert!(lag < Span::from_minutes(10), "{lag}");
}

/// On a day without trouble every change is kept within the interval and two seconds of when a window may show it (B1), even
/// where the list shows it late; and a day takes no more requests than it has to.
pub fn calm<P: Platform, M: Judged>(name: &str, pair: (P, M), count: u64, length: Span) -> Reader<P> {
    let lag = pair.0.feeds().iter().map(|feed| feed.rules.lag).max().unwrap_or(Span::ZERO);
    let (reader, _) = day(name, pair, (11, count, length), &[]);
    let orders = reader.waits(Kind::Order, lag, &Manners::default());
    assert!(orders.count > 0 && orders.max <= reader.every + Span::from_secs(2), "{orders:?}");
    reader
}

/// What is signed arrives as it was signed when it goes over a socket: every list, and a renewal.
pub async fn over_a_socket<P: Platform, M: Judged>(adapter: impl FnOnce(u16) -> P, mut mall: M) {
    let now = START + Span::HOUR;
    mall.shop().place(1, START, START + Span::from_secs(60));
    mall.shop().complain(1, START + Span::from_secs(120));
    let issue = mall.issue();
    let tokens = Tokens {
        access: Secret::new(issue.access.0.clone()),
        refresh: Some(Secret::new(issue.refresh.clone())),
        ..Tokens::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let adapter = adapter(listener.local_addr().unwrap().port());
    let mall = Arc::new(Mutex::new(mall));
    let (stop, mut server) = (CancellationToken::new(), JoinSet::new());
    server.spawn(serve(listener, mall.clone(), Arc::new(move || now), stop.clone()));
    let client = source_client(&ClientConfig { connections: 1, ..ClientConfig::default() }).unwrap();
    let mut found = BTreeSet::new();
    for feed in adapter.feeds() {
        let (from, to) = (START, START + Span::from_minutes(30));
        let Rules { first_page: page, page_size: size, .. } = feed.rules;
        for count in [true, false] {
            let ask = Ask { from, to, page, size, count };
            let answer = fetch(&client, &adapter.page(feed, ask, &tokens, now), now).await.unwrap();
            assert_eq!(answer.date, Some(now));
            let items = adapter.read_page(feed, ask, &answer).unwrap().items;
            found.extend(items.into_iter().flat_map(|item| item.observations).map(|seen| seen.kind));
        }
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["aftersale", "order"]);
    let answer = fetch(&client, &adapter.renew(&tokens, now).unwrap(), now).await.unwrap();
    adapter.read_tokens(&answer, now).unwrap();
    assert!(mall.lock().unwrap().gateway().refusals.is_empty());
    stop.cancel();
    while server.join_next().await.is_some() {}
}
