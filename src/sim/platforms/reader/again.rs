//! What is read again of cases that are known, on every platform that has methods for it.

use super::{Judged, Reader, START};
use crate::core::time::{Instant, Span};
use crate::sim::platforms::shop::{Kind, Parcel};
use crate::sources::platform::Platform;

const MINUTE: Span = Span::MINUTE;
/// Never, as far as a test is concerned.
const NEVER: Span = Span::from_minutes(30 * 24 * 60);

fn at(minutes: i64) -> Instant {
    START + MINUTE.times(minutes)
}

/// A reader with a desk that knows two orders that wait, and an after-sale that does.
fn waiting<P: Platform, M: Judged>((adapter, mut mall): (P, M)) -> (Reader<P>, M) {
    for number in 1..=2 {
        mall.shop().place(number, START, START + Span::from_secs(60));
    }
    mall.shop().complain(1, START + Span::from_secs(90));
    let mut reader = Reader::new(adapter, &mall).with_desk();
    reader.until(&mut mall, at(20));
    let [order, case] = [mall.id(Kind::Order, 1), mall.id(Kind::AfterSale, 1)];
    let known = |reader: &Reader<P>, kind: &str, id: &str| {
        reader.cases.contains_key(&(kind.to_owned(), id.to_owned()))
    };
    assert!(known(&reader, "order", &order) && known(&reader, "aftersale", &case));
    (reader, mall)
}

fn rung<P>(reader: &Reader<P>, id: &str, what: &str) -> Vec<Instant> {
    let all = &reader.desk.as_ref().unwrap().rung;
    let late = all.iter().find(|rung| rung.late_by > Span::MILLISECOND);
    assert_eq!(late, None, "no ring waits");
    all.iter().filter(|rung| rung.id == id && rung.what == what).map(|rung| rung.at).collect()
}

/// A row that its list never shows is found by the round, within six hours; other cases stay as they are.
pub fn a_lost_row_is_found<P: Platform, M: Judged>(pair: (P, M)) {
    let (mut reader, mut mall) = waiting(pair);
    let id = mall.id(Kind::Order, 2);
    let key = ("order".to_owned(), id.clone());
    mall.shop().ship(2, at(25));
    mall.shop().orders.get_mut(&2).unwrap().visible = START + NEVER;
    reader.until(&mut mall, at(90));
    // Its first ring is three hours after it was paid.
    let status = |reader: &Reader<P>| reader.cases[&key].status().map(str::to_owned);
    let before = (status(&reader), reader.counts.before_rings);
    reader.until(&mut mall, at(25 + 6 * 60));
    assert_eq!(status(&reader).as_deref(), Some("shipped"), "{before:?} {:?}", reader.counts);
    assert_eq!(rung(&reader, &id, "ship due"), [], "it was shipped");
    let other = ("order".to_owned(), mall.id(Kind::Order, 1));
    assert_eq!(reader.cases[&other].status(), Some("to_ship"));
    assert!(reader.counts.in_turn > 0 && mall.gateway().refusals.is_empty());
}

/// What was done a moment before the ring is read before it, however late the list shows it. A reader that reads nothing
/// again rings for it.
pub fn what_was_done_a_moment_ago_does_not_ring<P: Platform, M: Judged>(pair: impl Fn() -> (P, M)) {
    let story = |again: bool| {
        let (mut reader, mut mall) = waiting(pair());
        reader.reads_again = again;
        let (order, case) = (mall.id(Kind::Order, 1), mall.id(Kind::AfterSale, 1));
        // Half of the time to ship is over after three hours; the review is due ninety seconds later.
        reader.until(&mut mall, at(178));
        mall.shop().ship(1, at(178));
        mall.shop().orders.get_mut(&1).unwrap().visible = START + NEVER;
        reader.until(&mut mall, at(180));
        mall.shop().agree(1, at(180));
        mall.shop().aftersales.get_mut(&1).unwrap().visible = START + NEVER;
        reader.until(&mut mall, at(200));
        let other = mall.id(Kind::Order, 2);
        assert_eq!(rung(&reader, &other, "ship 50%"), [at(180)], "what waits rings, and in time");
        (rung(&reader, &order, "ship 50%"), rung(&reader, &case, "review due"))
    };
    assert_eq!(story(true), (vec![], vec![]));
    let due = at(181) + Span::from_millis(30_001);
    assert_eq!(story(false), (vec![at(180)], vec![due]), "the list alone");
}

/// The methods for single cases are out of order: everything rings in time, lists are read as fast as before, and nobody is
/// told that the source is blind.
pub fn a_broken_method_delays_nothing<P: Platform, M: Judged>(pair: (P, M), methods: &[&'static str]) {
    let (mut reader, mut mall) = waiting(pair);
    mall.gateway().manners.broken = methods.to_vec();
    let (id, case) = (mall.id(Kind::Order, 1), mall.id(Kind::AfterSale, 1));
    reader.until(&mut mall, at(100));
    mall.shop().ship(2, at(100));
    let key = ("order".to_owned(), mall.id(Kind::Order, 2));
    let lag = reader.adapter.feeds().iter().map(|feed| feed.rules.lag).max().unwrap();
    reader.until(&mut mall, at(101) + lag + Span::from_secs(2));
    assert_eq!(reader.cases[&key].status(), Some("shipped"), "its list is read as ever");
    reader.until(&mut mall, at(400));
    assert_eq!(rung(&reader, &id, "ship 50%"), [at(180)]);
    assert_eq!(rung(&reader, &id, "ship due"), [at(360) + Span::MILLISECOND]);
    assert_eq!(rung(&reader, &case, "review 50%"), [at(91) + Span::from_secs(30)]);
    assert!(!reader.most_blind);
    // Longer and longer waits, and each case a few times.
    let asked: u64 = requests(&mut mall, methods);
    assert!((3..60).contains(&asked), "{asked} requests for nothing");
}

/// The app was not given the methods for single cases: that is told, tried once an hour, and everything else goes on. Once
/// they are given, it is over.
pub fn a_refused_method_is_told<P: Platform, M: Judged>(pair: (P, M), methods: &[&'static str]) {
    let (mut reader, mut mall) = waiting(pair);
    let before: u64 = requests(&mut mall, methods);
    mall.gateway().manners.refused = methods.to_vec();
    reader.until(&mut mall, at(400));
    assert!(!reader.most_blind);
    let told: Vec<String> = reader.planner.refused().map(|(word, _)| reader.adapter.method(word)).collect();
    assert!(
        !told.is_empty()
            && told.iter().all(|name| methods.iter().any(|m| name.contains(m) || is_same(name, m)))
    );
    let asked: u64 = requests(&mut mall, methods);
    assert!(asked - before <= 8 * methods.len() as u64, "{} requests for nothing", asked - before);
    mall.shop().ship(2, at(400));
    reader.until(&mut mall, at(410));
    let key = ("order".to_owned(), mall.id(Kind::Order, 2));
    assert_eq!(reader.cases[&key].status(), Some("shipped"), "lists are read on");
    mall.gateway().manners.refused.clear();
    reader.until(&mut mall, at(410 + 8 * 60));
    assert_eq!(reader.planner.refused().count(), 0);
}

/// A short day with traces: when a parcel was picked up is known and true, whatever else its trace claims; nobody is rung
/// for a parcel that was picked up in time and has a trace. Without traces they are.
pub fn traces_are_read<P: Platform, M: Judged>(
    pair: impl Fn(bool) -> (P, M),
    method: &str,
    has_trace: impl Fn(u64) -> bool,
) {
    let story = |traces: bool| {
        let (adapter, mut mall) = pair(traces);
        mall.shop().populate(300, START, MINUTE.times(120));
        let mut reader = Reader::new(adapter, &mall).with_desk();
        reader.until(&mut mall, at(26 * 60));
        let wrong = reader.compare(&mut mall);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let shop = mall.shop().clone();
        let (mut known, mut rung_with_trace, mut rung_without) = (0, 0, 0);
        for number in shop.orders.keys() {
            let id = mall.id(Kind::Order, *number);
            let parcels = || shop.parcels.iter().filter(|(_, parcel)| parcel.order == *number);
            let case = &reader.cases[&("order".to_owned(), id.clone())];
            if let Some(picked_up) = case.mark("picked_up") {
                known += 1;
                // Now and then somebody has a parcel before its courier says so.
                let is_first = |parcel: &Parcel| {
                    parcel.collected.into_iter().chain(parcel.signed).min() == Some(picked_up)
                        || parcel.collected == Some(picked_up)
                };
                assert!(parcels().any(|(_, parcel)| is_first(parcel)), "{id}");
            }
            let rings = rung(&reader, &id, "pick_up due").len();
            // Of several parcels the trace is that of the first.
            let traced = parcels().count() == 1 && parcels().all(|(parcel, _)| has_trace(*parcel));
            *(if traced { &mut rung_with_trace } else { &mut rung_without }) += rings;
        }
        (known, rung_with_trace, rung_without, requests(&mut mall, &[method]), shop.parcels.len() as u64)
    };
    let (known, rung_with_trace, rung_without, asked, parcels) = story(true);
    assert_eq!(rung_with_trace, 0, "{known} {rung_without} {asked}");
    assert!(known >= 50, "{known}");
    // In turn, and before the ring.
    assert!(asked > 0 && asked <= parcels * 3, "{asked} requests for {parcels} parcels");
    let (known, with, without, asked, _) = story(false);
    assert!(with > 20 && (known, asked) == (0, 0), "{with} {without} {known} {asked}");
}

/// How often these methods were asked.
fn requests(mall: &mut impl Judged, methods: &[&str]) -> u64 {
    let asked = &mall.gateway().requests;
    methods.iter().filter_map(|method| asked.get(*method)).sum()
}

/// A path and the method of it.
fn is_same(path: &str, method: &str) -> bool {
    path.trim_start_matches('/').replace('/', ".") == method
}
