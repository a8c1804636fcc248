//! What follows from what comes back, class by class.

use std::num::NonZeroU32;

use super::*;
use crate::sources::platform::Item;
use crate::sources::poll::cron::Schedule;
use crate::sources::poll::{Facts, Rules, Walk};

const START: Instant = Instant::from_secs(1_767_600_000);

struct Rig {
    planner: Planner,
    app: Pace,
    s: i64,
}

fn pace() -> Pace {
    Pace::new(NonZeroU32::new(60_000).unwrap())
}

fn feed(name: &str, rank: u8, rounds: u32) -> Feed {
    let rules = Rules {
        lag: Span::from_secs(60),
        overlap: Span::from_minutes(5),
        longest: Span::from_minutes(30),
        history: Span::DAY,
        page_size: 100,
        first_page: 1,
        walk: Walk::LastToFirst,
    };
    Feed { name: name.to_owned(), rules, rank, rounds }
}

impl Rig {
    fn new(feeds: &[Feed]) -> Rig {
        Rig::kept(feeds, BTreeMap::new())
    }

    fn kept(feeds: &[Feed], kept: BTreeMap<String, Kept>) -> Rig {
        Rig::by(feeds, kept, Cadence { every: Span::from_secs(60), quiet: (0, 0), cron: None })
    }

    fn by(feeds: &[Feed], kept: BTreeMap<String, Kept>, cadence: Cadence) -> Rig {
        let now = (START, Span::from_secs(1000));
        let planner = Planner::new("src".into(), feeds, kept, Span::from_minutes(10), cadence, pace(), now);
        Rig { planner, app: pace(), s: 0 }
    }

    fn now(&self) -> (Instant, Span) {
        (START + Span::from_secs(self.s), Span::from_secs(1000 + self.s))
    }

    fn next(&mut self) -> Next {
        let (now, elapsed) = self.now();
        self.planner.next(now, elapsed, &mut self.app)
    }

    fn ask(&mut self) -> Call {
        match self.next() {
            Next::Ask(call) => call,
            // After a throttle there is no burst.
            Next::Wait(span) if span < Span::from_secs(1) => {
                self.s += 1;
                self.ask()
            }
            other => panic!("{other:?}"),
        }
    }

    fn wait(&mut self) -> i64 {
        match self.next() {
            Next::Wait(span) => span.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    fn fails(&mut self, class: Class) {
        let (_, elapsed) = self.now();
        self.planner.failed(None, Failure::new(class, "x"), elapsed, &mut self.app);
    }

    fn answers(&mut self, call: &Call, items: Vec<Item>) -> usize {
        let (now, elapsed) = self.now();
        let rows = items.len() as u64;
        let page = Page {
            items,
            facts: Facts { rows, total: Some(rows), last: None, more: None },
            rejects: Vec::new(),
        };
        let step = self.planner.took(call, page).unwrap();
        let news = step.observations.len();
        self.planner.kept(step, now, elapsed);
        news
    }

    fn name(&self, call: &Call) -> String {
        self.planner.feed(call.feed).unwrap().name.clone()
    }
}

fn item(id: &str, s: i64, digest: u64) -> Item {
    let modified = Instant::from_secs(START.as_secs() + s);
    let observation = Observation {
        source: "src".into(),
        kind: "order".into(),
        id: id.to_owned().into(),
        as_of: modified,
        revision: modified.as_secs(),
        marks: Vec::new(),
        attributes: Vec::new(),
    };
    let observations = vec![observation];
    Item { observations, id: id.to_owned(), digest, modified, deadline: None, want: None, odd: Vec::new() }
}

#[test]
fn lists_are_read_by_their_rank_and_at_their_pace() {
    let mut rig = Rig::new(&[feed("slow", 3, 3), feed("orders", 2, 1), feed("aftersale", 1, 1)]);
    let round = |rig: &mut Rig| {
        let mut names = Vec::new();
        while let Next::Ask(call) = rig.next() {
            names.push(rig.name(&call));
            rig.answers(&call, Vec::new());
        }
        rig.s += 60;
        names.join(" ")
    };
    let rounds: Vec<String> = (0..4).map(|_| round(&mut rig)).collect();
    assert_eq!(
        rounds,
        ["aftersale orders slow", "aftersale orders", "aftersale orders", "aftersale orders slow"]
    );
}

#[test]
fn what_is_behind_is_caught_up_with_last_and_at_once() {
    let cursor = Cursor::new(START - Span::from_minutes(100));
    let kept = BTreeMap::from([("behind".to_owned(), Kept { cursor, wants: Vec::new() })]);
    let mut rig = Rig::kept(&[feed("behind", 1, 1), feed("orders", 2, 1)], kept);
    let mut names = Vec::new();
    while let Next::Ask(call) = rig.next() {
        names.push(rig.name(&call));
        rig.answers(&call, Vec::new());
    }
    assert_eq!(names, ["orders", "behind", "behind", "behind", "behind"]);
    assert!(rig.planner.lost().is_empty());
}

#[test]
fn what_is_known_is_no_news_and_nothing_goes_back() {
    let mut rig = Rig::new(&[feed("orders", 1, 1)]);
    let mut read = |items: Vec<Item>| {
        let call = rig.ask();
        let news = rig.answers(&call, items);
        rig.s += 60;
        news
    };
    assert_eq!(read(vec![item("a", 0, 1), item("b", 0, 1)]), 2);
    assert_eq!(read(vec![item("a", 0, 1), item("b", 0, 2)]), 1, "another digest is news");
    assert_eq!(read(vec![item("a", -60, 3)]), 0, "an older row is not");
    assert_eq!(read(vec![item("a", 60, 3)]), 1);
}

#[test]
fn a_page_that_was_not_kept_is_asked_again() {
    let mut rig = Rig::new(&[feed("orders", 1, 1)]);
    let call = rig.ask();
    let facts = Facts { rows: 1, total: Some(1), last: None, more: None };
    let page = Page { items: vec![item("a", 0, 1)], facts, rejects: Vec::new() };
    assert_eq!(rig.planner.took(&call, page).unwrap().observations.len(), 1);
    assert_eq!(rig.ask(), call);
}

/// A case is asked for by its id before the next page, and its list goes on where that is of no use.
#[test]
fn cases_are_asked_for_one_by_one() {
    let mut rig = Rig::new(&[feed("aftersale", 1, 1)]);
    let want = |id: &str| Want { ids: vec![id.to_owned()], modified: START };
    let call = rig.ask();
    let items = ["a", "b"].map(|id| Item { want: Some(want(id)), ..item(id, 0, 1) });
    rig.answers(&call, items.into());
    let call = rig.ask();
    assert_eq!(call.what, What::Case(want("a")));
    let soon = START + Span::from_minutes(20);
    rig.answers(&call, vec![Item { deadline: Some(soon), ..item("a", 0, 9) }]);
    let call = rig.ask();
    assert_eq!(call.what, What::Case(want("b")));
    for _ in 0..3 {
        assert_eq!(rig.ask(), call);
        let (_, elapsed) = rig.now();
        rig.planner.failed(Some(&call), Failure::new(Class::Parameter, "1"), elapsed, &mut rig.app);
        assert_eq!(rig.planner.blind(elapsed), None);
        rig.s += 5;
    }
    rig.s = 60;
    // It goes on, and faster, because a deadline is near.
    assert!(matches!(rig.ask().what, What::Page(_)));
    rig.s = 60;
    let (now, _) = rig.now();
    assert_eq!(rig.planner.deadline(now), Some(soon));
}

/// A case that fails while everything else is answered waits behind the others, and is left out in the end. In an outage
/// nothing is left out.
#[test]
fn a_case_that_cannot_be_asked_for_keeps_nobody_waiting() {
    let transient = || Failure::new(Class::Transient, "50001");
    for others in [true, false] {
        let mut rig = Rig::new(&[feed("aftersale", 1, 1), feed("orders", 2, 1)]);
        let call = rig.ask();
        let want = Want { ids: vec!["a".to_owned()], modified: START };
        rig.answers(&call, vec![Item { want: Some(want.clone()), ..item("a", 0, 1) }]);
        let mut asked = 0;
        for _ in 0..3000 {
            rig.s += 2;
            let Next::Ask(call) = rig.next() else { continue };
            if others && matches!(call.what, What::Page(_)) {
                rig.answers(&call, Vec::new());
                continue;
            }
            asked += u32::from(call.what == What::Case(want.clone()));
            let (_, elapsed) = rig.now();
            rig.planner.failed(Some(&call), transient(), elapsed, &mut rig.app);
        }
        let waits = !rig.planner.lists[0].kept.wants.is_empty();
        assert_eq!(waits, !others);
        assert_eq!(asked == MANY, others, "{asked}");
    }
}

#[test]
fn every_class_has_its_consequence() {
    // (class, seconds until it is asked again after one failure, told at once)
    for (class, least, most, told) in [
        (Class::Transient, 0, 1, false),
        (Class::Throttled, 0, 1, false),
        (Class::Malformed, 0, 1, false),
        (Class::Unseen, 0, 1, false),
        (Class::Clock, 0, 1, false),
        (Class::Quota, 300, 330, true),
        (Class::TokenWrong, 300, 330, true),
        (Class::Revoked, 300, 330, true),
        (Class::Signature, 300, 330, true),
        (Class::Permission, 300, 330, true),
        (Class::IpList, 300, 330, true),
        (Class::Disabled, 300, 330, true),
        (Class::Parameter, 300, 330, true),
        (Class::Gone, 300, 330, true),
    ] {
        let mut rig = Rig::new(&[feed("orders", 1, 1)]);
        rig.ask();
        rig.fails(class);
        let wait = rig.wait();
        assert!((least..=most).contains(&wait), "{class:?} {wait}");
        let (_, elapsed) = rig.now();
        assert_eq!(rig.planner.blind(elapsed).is_some(), told, "{class:?}");
        // Whatever it was: one answer, and all is well.
        rig.s += 400;
        let call = rig.ask();
        rig.answers(&call, Vec::new());
        assert_eq!(rig.planner.blind(rig.now().1), None, "{class:?}");
    }
}

#[test]
fn a_token_that_ran_out_is_renewed_once() {
    let mut rig = Rig::new(&[feed("orders", 1, 1)]);
    rig.fails(Class::TokenExpired);
    assert_eq!(rig.next(), Next::Renew);
    let (now, elapsed) = rig.now();
    rig.planner.renewed(Some(now + Span::DAY), elapsed);
    rig.ask();
    // The new one is refused as well: the merchant took the authorisation back.
    rig.fails(Class::TokenExpired);
    assert!(rig.wait() >= 300);
    assert!(rig.planner.blind(rig.now().1).unwrap().contains("授权失效"));
    // Shortly before its end another is asked for; without one, the old one is used on.
    let mut rig = Rig::new(&[feed("orders", 1, 1)]);
    rig.planner.token_until(Some(START + Span::from_minutes(41)));
    rig.ask();
    rig.s = 61;
    assert_eq!(rig.next(), Next::Renew);
    for _ in 0..9 {
        let (_, elapsed) = rig.now();
        rig.planner.not_renewed(Failure::new(Class::Transient, "x"), elapsed);
        rig.s += 120;
        assert_eq!(rig.next(), Next::Renew);
    }
    let (_, elapsed) = rig.now();
    rig.planner.not_renewed(Failure::new(Class::Transient, "x"), elapsed);
    assert!(rig.wait() >= 300, "not for ever");
}

#[test]
fn waits_grow_end_and_obey_the_platform() {
    let mut rig = Rig::new(&[feed("orders", 1, 1)]);
    let mut waits = Vec::new();
    for _ in 0..12 {
        rig.fails(Class::Transient);
        let wait = rig.wait();
        waits.push(wait);
        rig.s += wait + 1;
    }
    assert!(waits[..4].iter().all(|w| *w <= 12), "{waits:?}");
    assert!(waits[4] >= 26 && waits.iter().all(|w| *w <= 330), "then the breaker: {waits:?}");
    let (_, elapsed) = rig.now();
    assert!(rig.planner.blind(elapsed).unwrap().contains("接口不可用"));
    let mut rig = Rig::new(&[feed("orders", 1, 1)]);
    let (_, elapsed) = rig.now();
    let failure = Failure { wait: Some(Span::from_secs(77)), ..Failure::new(Class::Throttled, "x") };
    rig.planner.failed(None, failure, elapsed, &mut rig.app);
    assert_eq!((rig.wait(), rig.app.share()), (77, 50));
}

#[test]
fn what_is_kept_reads_back() {
    let want = Want { ids: vec!["1".to_owned()], modified: START };
    let kept = Kept { cursor: Cursor::new(START), wants: vec![want] };
    let text = serde_json::to_string(&kept).unwrap();
    assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept, "{text}");
}

/// 16:00 in Shanghai is where it begins: it is asked at once, then when the schedule says, and the night is no blindness.
#[test]
fn a_schedule_says_when_the_rounds_are() {
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap();
    let cron = Some(Schedule::parse("*/20 9-16 * * *", zone).unwrap());
    let cadence = Cadence { every: Span::from_secs(60), quiet: (0, 0), cron };
    let mut rig = Rig::by(&[feed("orders", 1, 1), feed("seldom", 2, 2)], BTreeMap::new(), cadence);
    let mut rounds = Vec::new();
    while rig.s < 18 * 3600 {
        match rig.next() {
            Next::Ask(call) => {
                rounds.push((rig.s / 60, rig.name(&call)));
                rig.answers(&call, Vec::new());
            }
            Next::Wait(span) => rig.s += (span.as_millis() + 999) / 1000,
            Next::Renew => panic!("there is no token"),
        }
    }
    // The night is caught up with window by window, and no list waits for the next time until it is.
    let at = |name: &str| {
        let mut at: Vec<i64> = rounds.iter().filter(|(_, n)| n == name).map(|(at, _)| *at).collect();
        at.dedup();
        at
    };
    assert_eq!(at("orders"), [0, 20, 40, 1020, 1040, 1060]);
    assert_eq!(at("seldom"), [0, 40, 1040]);

    // Nine o'clock, two days on.
    rig.s = 2460 * 60;
    rig.fails(Class::Transient);
    let blind = |rig: &Rig| rig.planner.blind(rig.now().1).is_some();
    assert!(!blind(&rig), "one failure after a night is no blindness");
    rig.s += 180;
    rig.fails(Class::Transient);
    assert!(!blind(&rig));
    rig.s += 1;
    assert!(blind(&rig), "three minutes of them are");
    let call = loop {
        match rig.next() {
            Next::Ask(call) => break call,
            Next::Wait(span) => rig.s += span.as_secs() + 1,
            Next::Renew => panic!("there is no token"),
        }
    };
    rig.answers(&call, Vec::new());
    assert!(!blind(&rig));
}

/// What rings takes turns with lists that have something to read, and gives them three of four requests while the platform
/// throttles; where lists have nothing it waits for nobody.
#[test]
fn lists_keep_their_share_beside_what_rings() {
    use crate::sources::poll::again::Again;
    let cursor = Cursor::new(START - Span::from_minutes(19));
    let ids = |n: usize| vec!["order".to_owned(), n.to_string()];
    let want = |n: usize| Want { ids: ids(n), modified: START };
    let told = |throttled: bool, busy: bool| {
        let wants = (0..if busy { 60 } else { 0 }).map(|n| want(1000 + n)).collect();
        let kept = BTreeMap::from([("orders".to_owned(), Kept { cursor: cursor.clone(), wants })]);
        let mut rig = Rig::kept(&[feed("orders", 1, 1)], kept);
        if throttled {
            rig.fails(Class::Throttled);
        }
        let rings = START + Span::from_secs(60);
        rig.planner.ahead(
            (0..500).map(|n| Again { rings: Some(rings), changed: START, wants: vec![want(n)] }).collect(),
        );
        let (mut said, mut ms) = (String::new(), 10_000);
        while said.len() < 16 && ms < 50_000 {
            let (now, elapsed) = (START + Span::from_millis(ms), Span::from_millis(1_000_000 + ms));
            match rig.planner.next(now, elapsed, &mut rig.app) {
                Next::Ask(call) => {
                    said.push(if matches!(call.what, What::Again(..)) { 'r' } else { 'l' });
                    let step = rig.planner.took(
                        &call,
                        Page { facts: Facts { total: Some(0), ..Facts::default() }, ..Page::default() },
                    );
                    rig.planner.kept(step.unwrap(), now, elapsed);
                    ms += 10;
                }
                Next::Wait(span) => ms += span.as_millis(),
                Next::Renew => panic!("no token ends"),
            }
        }
        said
    };
    let calm = told(false, true);
    assert!(calm.starts_with('r') && !calm.contains("rr"), "{calm}");
    let throttled = told(true, true);
    assert!(
        throttled.contains("rlllr") && !throttled.contains("rllr") && !throttled.contains("rr"),
        "{throttled}"
    );
    assert!(told(false, false).contains("rr"));
}
