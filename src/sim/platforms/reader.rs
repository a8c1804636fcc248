//! Whatever reads a simulated platform in the tests: the code that reads the real one, in virtual time. It dies, before a
//! commit and after one; in the end what it knows is compared with what is true of the shop. The platforms are simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::gateway::{Issue, Mall, Manners};
use super::shop::{AfterSale, Kind, Order, Shop, Turn};
use super::{Asked, Simulated, serve};
use crate::core::ids::Secret;
use crate::core::model::{Observation, Value as Attribute};
use crate::core::time::{Instant, Span};
use crate::sim::random::Dice;
use crate::sources::http::{Answer, Request, fetch, source_client};
use crate::sources::platform::{Platform, Tokens};
use crate::sources::poll::cadence::Cadence;
use crate::sources::poll::pace::Pace;
use crate::sources::poll::{Ask, Call, Class, Failure, Kept, Next, Planner, Rules, What};
use crate::wire::http::ClientConfig;

/// When every test begins.
pub const START: Instant = Instant::from_secs(1_767_571_200);
/// What a request takes.
const TRIP: Span = Span::from_millis(80);
/// A turn of the merchant that lasted longer must have been seen: an outage, its breaker, and what is shown late.
const LONG: Span = Span::from_minutes(50);

/// What a simulated platform must say of itself to be judged.
pub trait Judged: Mall {
    /// The tokens that it gives out.
    fn issue(&self) -> &Issue;

    /// The ids of its cases.
    fn id(&self, kind: Kind, number: u64) -> String;

    /// What a reader must know of an order.
    fn order(&self, number: u64, order: &Order) -> Truth;

    /// What a reader must know of an after-sale.
    fn aftersale(&self, number: u64, case: &AfterSale) -> Truth;
}

/// What is true of a case as a platform can show it.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Its status in the program's own words.
    pub status: &'static str,
    /// Marks with an instant of the platform's own: these, or none.
    pub exact: Vec<(&'static str, Option<Instant>)>,
    /// Marks that are those of the first look at a state: there if this is, and never earlier.
    pub seen: Vec<(&'static str, Option<Instant>)>,
    /// Marks that may be there or not, and say only this.
    pub may: Vec<(&'static str, Option<Instant>)>,
    /// Times in which the merchant had to act: what `handle_by` says.
    pub turns: Vec<Turn>,
}

/// What is true of an order on every platform that shows all of it.
pub fn plain_order(order: &Order) -> Truth {
    Truth {
        status: order.word(),
        exact: vec![
            ("paid", order.paid),
            ("ship_by", order.ship_by()),
            ("shipped", order.shipped()),
            ("signed", order.received),
        ],
        ..Truth::default()
    }
}

/// What is true of an after-sale on every platform.
pub fn plain_aftersale(case: &AfterSale) -> Truth {
    Truth {
        status: case.stage.word(),
        exact: vec![("return_requested", Some(case.created))],
        seen: vec![("return_reviewed", case.reviewed)],
        turns: case.turns.clone(),
        ..Truth::default()
    }
}

/// A case as a desk would have it: marks by T3, the status of the newest snapshot.
#[derive(Debug, Default)]
pub struct Case {
    marks: BTreeMap<String, (i64, Instant)>,
    status: Option<(Instant, String)>,
}

impl Case {
    /// A mark of it.
    pub fn mark(&self, name: &str) -> Option<Instant> {
        self.marks.get(name).map(|(_, at)| *at)
    }

    /// Its status.
    pub fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|(_, word)| word.as_str())
    }

    fn observe(&mut self, seen: &Observation<'_>) {
        for mark in &seen.marks {
            let new = (seen.revision, mark.at);
            let known = self.marks.entry(mark.name.to_string()).or_insert(new);
            if new.0 > known.0 || (new.0 == known.0 && new.1 < known.1) {
                *known = new;
            }
        }
        for (name, value) in &seen.attributes {
            if let (true, Attribute::Text(text)) = (name == "status", value)
                && self.status.as_ref().is_none_or(|(at, _)| *at <= seen.as_of)
            {
                self.status = Some((seen.as_of, text.to_string()));
            }
        }
    }
}

/// Whatever reads the shop: its memory dies, what it kept does not.
pub struct Reader<P> {
    pub adapter: P,
    pub planner: Planner,
    pub now: Instant,
    pub cases: BTreeMap<(String, String), Case>,
    pub most_blind: bool,
    pub every: Span,
    pub counts: Counts,
    tokens: Tokens,
    app: Pace,
    kept: BTreeMap<String, Kept>,
    shown: Shown,
}

/// What it took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Requests for pages.
    pub pages: u64,
    /// Requests for single cases.
    pub details: u64,
    /// Windows that were walked to their end.
    pub windows: u64,
    /// Rows that came.
    pub rows: u64,
    /// Rows that could not be used.
    pub rejects: u64,
    /// How often it died.
    pub deaths: u64,
    /// Tokens that were renewed.
    pub renewals: u64,
}

/// When changes were shown, and when they were kept.
#[derive(Default)]
struct Shown {
    read: usize,
    waiting: BTreeMap<(Kind, String), BTreeMap<Instant, Instant>>,
    kept: Vec<(Kind, Instant, Instant)>,
}

impl Shown {
    fn note<M: Judged>(&mut self, mall: &mut M) {
        let changes = mall.shop().changes[self.read..].to_vec();
        self.read += changes.len();
        for change in changes {
            let id = mall.id(change.kind, change.number);
            self.waiting.entry((change.kind, id)).or_default().insert(change.updated, change.visible);
        }
    }

    fn kept(&mut self, seen: &Observation<'_>, now: Instant) {
        let kind = match &*seen.kind {
            "order" => Kind::Order,
            "aftersale" => Kind::AfterSale,
            _ => return,
        };
        let key = (kind, seen.id.to_string());
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        // What it was before is of no interest any more.
        let later = waiting.split_off(&(seen.as_of + Span::from_millis(1)));
        if let Some(visible) = std::mem::replace(waiting, later).get(&seen.as_of) {
            self.kept.push((kind, *visible, now));
        }
    }
}

fn per_minute(n: u32) -> Pace {
    Pace::new(NonZeroU32::new(n).unwrap())
}

pub fn planner<P: Platform>(
    adapter: &P,
    kept: BTreeMap<String, Kept>,
    tokens: &Tokens,
    every: Span,
    now: Instant,
) -> Planner {
    let cadence = Cadence { every, quiet: (0, 0), cron: None };
    let at = (now, now.since(START));
    let mut planner =
        Planner::new("sim".into(), adapter.feeds(), kept, Span::HOUR, cadence, per_minute(300), at);
    planner.token_until(tokens.access_until);
    planner
}

impl<P: Platform> Reader<P> {
    pub fn new<M: Judged>(adapter: P, mall: &M) -> Reader<P> {
        let issue = mall.issue();
        let tokens = Tokens {
            access: Secret::new(issue.access.0.clone()),
            refresh: Some(Secret::new(issue.refresh.clone())),
            access_until: Some(issue.access.1),
            refresh_until: None,
        };
        let every = Span::from_secs(60);
        let planner = planner(&adapter, BTreeMap::new(), &tokens, every, START);
        Reader {
            adapter,
            planner,
            now: START,
            cases: BTreeMap::new(),
            most_blind: false,
            every,
            counts: Counts::default(),
            tokens,
            app: per_minute(6000),
            kept: BTreeMap::new(),
            shown: Shown::default(),
        }
    }

    /// Reads until it is `end`.
    pub fn until<M: Judged>(&mut self, mall: &mut M, end: Instant) {
        while self.now < end {
            self.step(mall, false);
        }
    }

    /// One decision, and what comes of it; it `dies` before the commit, or after it.
    pub fn step<M: Judged>(&mut self, mall: &mut M, dies: bool) {
        match self.planner.next(self.now, self.now.since(START), &mut self.app) {
            Next::Wait(span) => self.now = self.now + span.max(Span::from_millis(1)),
            Next::Renew => self.renew(mall),
            Next::Ask(call) => self.ask(mall, &call, dies),
        }
        self.most_blind |= self.planner.blind(self.now.since(START)).is_some();
        assert_eq!(self.planner.lost(), [], "nothing is older than the platform remembers");
    }

    fn send<M: Judged>(&mut self, mall: &mut M, request: &Request) -> Result<Answer, Failure> {
        let reply = mall.answer(&Asked::of(request), self.now).into_answer();
        self.shown.note(mall);
        self.now = self.now + TRIP;
        let answer = reply.ok_or_else(|| Failure::new(Class::Transient, "none"))?;
        if let Some(date) = answer.date {
            self.planner.date(date, self.now);
        }
        Ok(answer)
    }

    fn renew<M: Judged>(&mut self, mall: &mut M) {
        let theirs = self.planner.theirs(self.now);
        let request = self.adapter.renew(&self.tokens, theirs).unwrap();
        let answer = self.send(mall, &request);
        let elapsed = self.now.since(START);
        match answer.and_then(|answer| self.adapter.read_tokens(&answer, theirs)) {
            Ok(tokens) => {
                self.counts.renewals += 1;
                self.planner.renewed(tokens.access_until, elapsed);
                self.tokens = tokens;
            }
            Err(failure) => self.planner.not_renewed(failure, elapsed),
        }
    }

    fn ask<M: Judged>(&mut self, mall: &mut M, call: &Call, dies: bool) {
        let theirs = self.planner.theirs(self.now);
        let feed = self.planner.feed(call.feed).unwrap().clone();
        let request = match &call.what {
            What::Page(ask) => self.adapter.page(&feed, *ask, &self.tokens, theirs),
            What::Case(want) => self.adapter.detail(want, &self.tokens, theirs),
        };
        let is_page = matches!(call.what, What::Page(_));
        *(if is_page { &mut self.counts.pages } else { &mut self.counts.details }) += 1;
        let answer = self.send(mall, &request);
        let read = answer.and_then(|answer| match &call.what {
            What::Page(ask) => self.adapter.read_page(&feed, *ask, &answer),
            What::Case(want) => self.adapter.read_detail(want, &answer),
        });
        let step = read.and_then(|page| self.planner.took(call, page));
        if dies && self.now.as_millis() % 2 == 0 {
            return self.die();
        }
        let elapsed = self.now.since(START);
        match step {
            Ok(step) => {
                // One commit.
                self.counts.rejects += step.rejects.len() as u64;
                self.counts.rows += step.rows as u64;
                self.counts.windows += u64::from(!step.kept.cursor.is_walking() && is_page);
                self.kept.insert(feed.name.clone(), step.kept.clone());
                for seen in &step.observations {
                    let key = (seen.kind.to_string(), seen.id.to_string());
                    self.cases.entry(key).or_default().observe(seen);
                    self.shown.kept(seen, self.now);
                }
                self.planner.kept(step, self.now, elapsed);
            }
            Err(failure) => self.planner.failed(Some(call), failure, elapsed, &mut self.app),
        }
        if dies {
            self.die();
        }
    }

    fn die(&mut self) {
        self.counts.deaths += 1;
        self.planner = planner(&self.adapter, self.kept.clone(), &self.tokens, self.every, self.now);
    }

    /// What it knows against what is true.
    pub fn compare<M: Judged>(&self, mall: &mut M) -> Vec<String> {
        let none = Case::default();
        let mut wrong = Vec::new();
        let kinds = ["order", "aftersale"];
        let mut known: BTreeSet<&(String, String)> =
            self.cases.keys().filter(|(kind, _)| kinds.contains(&kind.as_str())).collect();
        let shop: Shop = mall.shop().clone();
        let orders = shop.orders.iter().map(|(n, order)| (Kind::Order, *n, mall.order(*n, order)));
        let cases = shop.aftersales.iter().map(|(n, case)| (Kind::AfterSale, *n, mall.aftersale(*n, case)));
        for (kind, number, truth) in orders.chain(cases) {
            let key = (kinds[kind as usize].to_owned(), mall.id(kind, number));
            known.remove(&key);
            let case = self.cases.get(&key).unwrap_or(&none);
            wrong.extend(truth.differs(case).into_iter().map(|text| format!("{} {}: {text}", key.0, key.1)));
        }
        wrong.extend(known.into_iter().map(|key| format!("{key:?} was invented")));
        wrong
    }
}

impl Truth {
    fn differs(&self, case: &Case) -> Vec<String> {
        let mut wrong = Vec::new();
        if case.status() != Some(self.status) {
            wrong.push(format!("is {:?}, not {}", case.status(), self.status));
        }
        for (name, at) in &self.exact {
            if case.mark(name) != *at {
                wrong.push(format!("{name} is {:?}, not {at:?}", case.mark(name)));
            }
        }
        for (name, at) in &self.seen {
            let known = case.mark(name);
            if known.is_some() != at.is_some() || known < *at {
                wrong.push(format!("{name} was seen {known:?}, and was {at:?}"));
            }
        }
        for (name, at) in &self.may {
            if case.mark(name).is_some_and(|known| Some(known) != *at) {
                wrong.push(format!("{name} is {:?}, not {at:?}", case.mark(name)));
            }
        }
        // A turn that was over before anybody looked leaves the one before.
        let long = |turn: &Turn| turn.over.is_none_or(|over| over.since(turn.from) > LONG);
        let must = self.turns.iter().rposition(long);
        let may: Vec<Instant> = self.turns[must.unwrap_or(0)..].iter().map(|turn| turn.deadline).collect();
        match case.mark("handle_by") {
            Some(at) if !may.contains(&at) => wrong.push(format!("handle_by is {at}, not one of {may:?}")),
            None if must.is_some() => wrong.push(format!("has no handle_by, not one of {may:?}")),
            _ => {}
        }
        wrong
    }
}

/// How long changes waited from when they were shown until they were kept: the least that so many of a hundred waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    pub count: usize,
    pub p50: Span,
    pub p99: Span,
    pub max: Span,
}

impl<P> Reader<P> {
    /// How long changes of a kind waited, those left out that were shown while nothing could be read.
    pub fn waits(&self, kind: Kind, manners: &Manners) -> Waits {
        let hour = Span::from_minutes(30);
        let calm = |from: Instant, to: Instant| {
            !manners.outages.iter().any(|(begin, end)| from <= *end + hour && *begin <= to)
        };
        let kept = self.shown.kept.iter().filter(|(k, from, to)| *k == kind && calm(*from, *to));
        let mut waits: Vec<Span> = kept.map(|(_, visible, kept)| kept.since(*visible)).collect();
        waits.sort_unstable();
        let at = |percent: usize| waits.get(waits.len() * percent / 100).copied().unwrap_or(Span::ZERO);
        let max = waits.last().copied().unwrap_or(Span::ZERO);
        Waits { count: waits.len(), p50: at(50), p99: at(99), max }
    }
}

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
    let Counts { pages, details, windows, rows, deaths, .. } = reader.counts;
    let changes = shop.changes.len() as u64;
    println!(
        "simulated {name}, seed {seed}: {} orders, {} after-sales, {changes} changes, {deaths} deaths, refused {refusals:?}\n\
         \u{20} requests: {pages} for {rows} rows in {windows} windows, {details} for single cases; 1.3 x (changes / \
         {size} + windows) = {}",
        shop.orders.len(),
        shop.aftersales.len(),
        (changes / size + windows) * 13 / 10,
    );
    for kind in [Kind::Order, Kind::AfterSale] {
        let Waits { count, p50, p99, max } = reader.waits(kind, &manners);
        println!(
            "  {kind:?}: {count} changes kept after p50 {p50} p99 {p99} max {max}; windows end {slowest} ago"
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

/// On a day without trouble every change is kept within the interval, the lag of the windows and two seconds (B1), and a
/// day takes no more requests than it has to.
pub fn calm<P: Platform, M: Judged>(name: &str, pair: (P, M), count: u64, length: Span) -> Reader<P> {
    let lag = pair.0.feeds().iter().map(|feed| feed.rules.lag).max().unwrap_or(Span::ZERO);
    let (reader, _) = day(name, pair, (11, count, length), &[]);
    let orders = reader.waits(Kind::Order, &Manners::default());
    assert!(orders.count > 0 && orders.max <= reader.every + lag + Span::from_secs(2), "{orders:?}");
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
    let client = source_client(&ClientConfig { ca_file: None, proxy: None, connections: 1 }).unwrap();
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
