//! A simulated day of a shop, read by the code that reads the real one, in virtual time. The platform is simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use super::*;
use crate::core::model::{Observation, Value as Attribute};
use crate::sources::http::Request;
use crate::sources::pinduoduo::{Pinduoduo as Adapter, PinduoduoConfig};
use crate::sources::platform::{Platform, Tokens};
use crate::sources::poll::cadence::Cadence;
use crate::sources::poll::pace::Pace;
use crate::sources::poll::{Kept, Next, Planner, What};
use crate::sources::row::Origin;
use crate::sources::sign::Body;

const START: Instant = Instant::from_secs(1_767_571_200);

fn adapter() -> Adapter {
    let config = PinduoduoConfig { client_id: "sim-client".to_owned(), ..PinduoduoConfig::default() };
    Adapter::new(
        Origin { source: "pdd".to_owned(), shop: Some("flagship".to_owned()) },
        &config,
        Secret::new("sim-secret"),
    )
    .unwrap()
}

fn mall(seed: u64, manners: Manners) -> Pinduoduo {
    Pinduoduo::new("sim-client", "sim-secret", seed, manners, START)
}

fn body(request: &Request) -> Vec<u8> {
    match &request.signed.body {
        Body::Json(text) => text.clone().into_bytes(),
        _ => panic!("JSON"),
    }
}

/// A case as a desk would have it: marks by T3, the status of the newest snapshot.
#[derive(Default)]
struct Case {
    marks: BTreeMap<String, (i64, Instant)>,
    status: Option<(Instant, String)>,
    first: Option<Instant>,
}

/// Whatever reads the shop: its memory dies, what it kept does not.
struct Reader {
    adapter: Adapter,
    planner: Planner,
    app: Pace,
    kept: BTreeMap<String, Kept>,
    tokens: Tokens,
    cases: BTreeMap<(String, String), Case>,
    now: Instant,
    requests: u64,
    windows: u64,
    rejects: u64,
    deaths: u64,
    most_blind: bool,
}

fn per_minute(n: u32) -> Pace {
    Pace::new(NonZeroU32::new(n).unwrap())
}

impl Reader {
    fn new(mall: &Pinduoduo) -> Reader {
        let (access, refresh, until) = mall.tokens();
        let tokens = Tokens {
            access: Secret::new(access),
            refresh: Some(Secret::new(refresh)),
            access_until: Some(until),
            refresh_until: None,
        };
        let adapter = adapter();
        let planner = Reader::planner(&adapter, BTreeMap::new(), &tokens, START);
        Reader {
            adapter,
            planner,
            app: per_minute(6000),
            kept: BTreeMap::new(),
            tokens,
            cases: BTreeMap::new(),
            now: START,
            requests: 0,
            windows: 0,
            rejects: 0,
            deaths: 0,
            most_blind: false,
        }
    }

    fn planner(adapter: &Adapter, kept: BTreeMap<String, Kept>, tokens: &Tokens, now: Instant) -> Planner {
        let cadence = Cadence { every: Span::from_secs(60), quiet: (0, 0) };
        let at = (now, now.since(START));
        let hour = Span::HOUR;
        let mut planner =
            Planner::new("pdd".into(), adapter.feeds(), kept, hour, cadence, per_minute(300), at);
        planner.token_until(tokens.access_until);
        planner
    }

    fn die(&mut self) {
        self.deaths += 1;
        self.planner = Reader::planner(&self.adapter, self.kept.clone(), &self.tokens, self.now);
    }

    /// One decision, and what comes of it; `dies` before the commit, or after it.
    fn step(&mut self, mall: &mut Pinduoduo, dies: bool) {
        let elapsed = self.now.since(START);
        match self.planner.next(self.now, elapsed, &mut self.app) {
            Next::Wait(span) => self.now = self.now + span.max(Span::from_millis(1)),
            Next::Renew => {
                let theirs = self.planner.theirs(self.now);
                let request = self.adapter.renew(&self.tokens, theirs).unwrap();
                let reply = mall.answer(&body(&request), self.now).into_answer();
                self.now = self.now + Span::from_millis(80);
                let elapsed = self.now.since(START);
                let missing =
                    || crate::sources::poll::Failure::new(crate::sources::poll::Class::Transient, "none");
                let read = reply.ok_or_else(missing).and_then(|a| self.adapter.read_tokens(&a, theirs));
                match read {
                    Ok(tokens) => {
                        self.planner.renewed(tokens.access_until, elapsed);
                        self.tokens = tokens;
                    }
                    Err(failure) => self.planner.not_renewed(failure, elapsed),
                }
            }
            Next::Ask(call) => {
                let theirs = self.planner.theirs(self.now);
                let feed = self.planner.feed(call.feed).unwrap().clone();
                let request = match &call.what {
                    What::Page(ask) => self.adapter.page(&feed, *ask, &self.tokens, theirs),
                    What::Case(want) => self.adapter.detail(want, &self.tokens, theirs),
                };
                self.requests += 1;
                let reply = mall.answer(&body(&request), self.now).into_answer();
                self.now = self.now + Span::from_millis(80);
                let elapsed = self.now.since(START);
                let missing =
                    || crate::sources::poll::Failure::new(crate::sources::poll::Class::Transient, "none");
                let answer = reply.ok_or_else(missing);
                if let Ok(Some(date)) = answer.as_ref().map(|a| a.date) {
                    self.planner.date(date, self.now);
                }
                let step = answer
                    .and_then(|answer| match &call.what {
                        What::Page(ask) => self.adapter.read_page(&feed, *ask, &answer),
                        What::Case(want) => self.adapter.read_detail(want, &answer),
                    })
                    .and_then(|page| self.planner.took(&call, page));
                if dies && self.now.as_millis() % 2 == 0 {
                    return self.die();
                }
                match step {
                    Ok(step) => {
                        // One commit.
                        self.rejects += step.rejects.len() as u64;
                        self.windows +=
                            u64::from(!step.kept.cursor.is_walking() && matches!(call.what, What::Page(_)));
                        self.kept.insert(feed.name.clone(), step.kept.clone());
                        let now = self.now;
                        for observation in &step.observations {
                            self.observe(observation);
                        }
                        self.planner.kept(step, now, elapsed);
                    }
                    Err(failure) => self.planner.failed(Some(&call), failure, elapsed, &mut self.app),
                }
                if dies {
                    self.die();
                }
            }
        }
        self.most_blind |= self.planner.blind(self.now.since(START)).is_some();
    }

    fn observe(&mut self, seen: &Observation<'_>) {
        let case = self.cases.entry((seen.kind.to_string(), seen.id.to_string())).or_default();
        case.first.get_or_insert(self.now);
        for mark in &seen.marks {
            let new = (seen.revision, mark.at);
            let known = case.marks.entry(mark.name.to_string()).or_insert(new);
            if new.0 > known.0 || (new.0 == known.0 && new.1 < known.1) {
                *known = new;
            }
        }
        for (name, value) in &seen.attributes {
            if let (true, Attribute::Text(text)) = (name == "status", value)
                && case.status.as_ref().is_none_or(|(at, _)| *at <= seen.as_of)
            {
                case.status = Some((seen.as_of, text.to_string()));
            }
        }
    }
}

/// What the reader knows against what is true.
fn compare(reader: &Reader, mall: &Pinduoduo) -> Vec<String> {
    let mut wrong = Vec::new();
    let none = Case::default();
    let mut known: BTreeSet<&(String, String)> = reader.cases.keys().collect();
    let of = |case: &Case, name: &str| case.marks.get(name).map(|(_, at)| *at);
    for (sn, order) in &mall.orders {
        let key = ("order".to_owned(), sn.clone());
        known.remove(&key);
        let case = reader.cases.get(&key).unwrap_or(&none);
        let status = match (order.confirm_status, order.risk, order.order_status) {
            (2, ..) => "closed",
            (_, 1, _) => "held",
            (_, _, 1) => "to_ship",
            (_, _, 2) => "shipped",
            _ => "done",
        };
        let ship_by = order.confirmed.map(|at| at + Span::from_minutes(48 * 60));
        let is = (case.status.as_ref().map(|s| s.1.as_str()), of(case, "paid"), of(case, "ship_by"));
        let was = (of(case, "shipped"), of(case, "signed"));
        if (is, was) != ((Some(status), order.confirmed, ship_by), (order.shipped, order.received)) {
            wrong.push(format!("order {sn}: {is:?} {was:?} is not {status} {order:?}"));
        }
    }
    for (id, truth) in &mall.aftersales {
        let key = ("aftersale".to_owned(), id.to_string());
        known.remove(&key);
        let case = reader.cases.get(&key).unwrap_or(&none);
        let status = match truth.status {
            2 | 3 => "to_handle",
            4 => "refunding",
            6 | 7 => "waiting_buyer",
            _ => "closed",
        };
        let is = (case.status.as_ref().map(|s| s.1.as_str()), of(case, "return_requested"));
        if is != (Some(status), Some(truth.created)) {
            wrong.push(format!("after-sale {id}: {is:?} is not {status} {truth:?}"));
        }
        // A state that was over before anybody looked leaves the next one as the first that was seen.
        let reviewed = of(case, "return_reviewed");
        if reviewed.is_some() != truth.reviewed.is_some() || reviewed < truth.reviewed {
            wrong.push(format!("after-sale {id}: reviewed {reviewed:?} is not {truth:?}"));
        }
        let deadline = truth.created + Span::from_minutes(48 * 60);
        let long = truth.reviewed.is_none_or(|at| at.since(truth.created) > Span::from_minutes(50));
        match of(case, "handle_by") {
            Some(at) if at != deadline => {
                wrong.push(format!("after-sale {id}: deadline {at} is not {deadline}"))
            }
            None if long && truth.status != 11 => wrong.push(format!("after-sale {id}: no deadline")),
            _ => {}
        }
    }
    wrong.extend(known.into_iter().map(|key| format!("{key:?} was invented")));
    wrong
}

/// A day of `count` orders: every case is seen, none is invented, deadlines are true; whatever goes wrong.
fn day(seed: u64, count: u64, length: Span) {
    let minutes = |n| START + Span::from_minutes(n);
    let manners = Manners {
        trouble: 10,
        per_minute: 120,
        late: 5,
        outages: vec![(minutes(95), minutes(115)), (minutes(200), minutes(220))],
        ..Manners::default()
    };
    let mut mall = mall(seed, manners);
    mall.populate(count, START, length);
    let mut reader = Reader::new(&mall);
    let mut dice = Dice::new(seed ^ 77);
    // Everything has happened an hour before the end.
    let end = START + length + Span::from_minutes(24 * 60 + 60);
    while reader.now < end {
        let dies = dice.below(4000) == 0;
        reader.step(&mut mall, dies);
    }
    let wrong = compare(&reader, &mall);
    let through = reader.planner.through().unwrap();
    println!(
        "simulated pinduoduo, seed {seed}: {} orders, {} after-sales, {} changes, {} requests, {} windows, {} deaths, \
         {:?} refused; allowed by the bound without details: {}",
        mall.orders.len(),
        mall.aftersales.len(),
        mall.changes,
        reader.requests,
        reader.windows,
        reader.deaths,
        mall.refusals,
        (mall.changes / 100 + reader.windows) * 13 / 10,
    );
    assert!(
        wrong.is_empty(),
        "seed {seed}: {} wrong\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
    assert!(through >= end - Span::from_minutes(15), "it keeps up: {through}");
    assert_eq!(reader.rejects, 0);
    assert!(
        reader.most_blind && reader.planner.blind(reader.now.since(START)).is_none(),
        "outages are told, and over"
    );
    assert!(
        mall.refusals.keys().all(|code| [50000, 52101, 52102, 10019].contains(code)),
        "{:?}",
        mall.refusals
    );
}

#[test]
fn a_short_day_is_read_without_loss() {
    for seed in 0..3 {
        day(seed, 1500, Span::from_minutes(240));
    }
}

/// The whole of it: `cargo test --release --lib whole_days -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn whole_days_are_read_without_loss() {
    for seed in 100..120 {
        day(seed, 20_000, Span::DAY);
    }
}

/// The reader's clock is ten minutes off: it is refused, believes the `Date` header, and says so.
#[test]
fn a_wrong_clock_is_corrected_by_theirs() {
    for minutes in [-15, 15] {
        let mut mall = mall(3, Manners { skew_ms: minutes * 60_000, ..Manners::default() });
        mall.populate(50, START, Span::from_minutes(30));
        let mut reader = Reader::new(&mall);
        while reader.now < START + Span::from_minutes(90) {
            reader.step(&mut mall, false);
        }
        let off = reader.planner.skew_millis() - minutes * 60_000;
        assert!(off.abs() < 1500 && reader.planner.skewed().is_some(), "{off}");
        assert_eq!(reader.planner.blind(reader.now.since(START)), None);
        let lag = reader.planner.theirs(reader.now).since(reader.planner.through().unwrap());
        assert!(lag < Span::from_minutes(10), "{lag}");
    }
}

/// A token is renewed before it ends, once, and what was taken back is told to the merchant.
#[test]
fn tokens_are_renewed_and_their_end_is_told() {
    let mut mall = mall(4, Manners::default());
    let mut reader = Reader::new(&mall);
    while reader.now < START + Span::from_minutes(13 * 60) {
        reader.step(&mut mall, false);
    }
    assert_eq!(mall.requests["pdd.pop.auth.token.refresh"], 2);
    assert!(mall.refusals.is_empty(), "{:?}", mall.refusals);
    // Taken back: neither token is good any more.
    mall.access.0 = "other".to_owned();
    mall.refresh = "other".to_owned();
    while reader.now < START + Span::from_minutes(14 * 60) {
        reader.step(&mut mall, false);
    }
    let told = reader.planner.blind(reader.now.since(START)).unwrap();
    assert!(told.contains("授权失效") && !told.contains("sim-"), "{told}");
    assert!(mall.refusals[&10019] <= 40, "{:?}", mall.refusals);
}

/// The gateway is as strict as the real one says it is.
#[test]
fn the_gateway_refuses_what_the_real_one_refuses() {
    let adapter = adapter();
    let now = START + Span::HOUR;
    let feed = adapter.feeds().iter().find(|f| f.name == "orders").unwrap().clone();
    let tokens = |access: &str| Tokens { access: Secret::new(access), ..Tokens::default() };
    let ask = |from: i64, to: i64| crate::sources::poll::Ask {
        from: now - Span::from_secs(from),
        to: now - Span::from_secs(to),
        page: 1,
        size: 100,
        count: true,
    };
    let good = tokens("sim-access-0");
    let told = |request: &Request, at: Instant| {
        let answer = mall(1, Manners::default()).answer(&body(request), at).into_answer().unwrap();
        adapter.read_page(&feed, ask(0, 0), &answer).map(|_| ()).map_err(|f| f.to_string())
    };
    let fine = adapter.page(&feed, ask(1200, 200), &good, now);
    assert_eq!(told(&fine, now), Ok(()));
    let refused = |text: &str| Err(text.to_owned());
    assert_eq!(told(&fine, now + Span::from_secs(601)), refused("parameter (10001)"));
    assert_eq!(told(&fine, now + Span::from_minutes(9 * 60)), refused("parameter (10001)"));
    assert_eq!(
        told(&adapter.page(&feed, ask(1200, 200), &tokens("x"), now), now),
        refused("token_expired (10019)")
    );
    assert_eq!(told(&adapter.page(&feed, ask(2200, 200), &good, now), now), refused("parameter (21001)"));
    assert_eq!(told(&adapter.page(&feed, ask(1200, 100), &good, now), now), refused("parameter (21001)"));
    let text = String::from_utf8(body(&fine)).unwrap();
    let mut forged = fine.clone();
    forged.signed.body = Body::Json(text.replace("\"page\":1", "\"page\":2"));
    assert_eq!(told(&forged, now), refused("signature (20004)"));
}
