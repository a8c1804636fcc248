//! What is told of a parcel by what became of it. The fold itself is tested where it is (`core::parcel::fold`).

use std::collections::BTreeMap;

use super::*;
use crate::core::time::Span;

fn at(minutes: i64) -> Instant {
    Instant::from_secs(1_772_323_200 + minutes * 60)
}

fn scan(minutes: i64, milestone: Milestone) -> Scan {
    Scan { code: Some("1".into()), ..Scan::new(at(minutes), milestone) }
}

fn state(milestone: Milestone, covers: &[Milestone]) -> State {
    let whole = Whole { milestone, exception: None, claimed: false, proxy: false, covers: covers.to_vec() };
    State { code: "3".to_owned(), hint: None, whole }
}

fn known(minutes: i64) -> Known {
    Known { shipped: None, now: at(minutes) }
}

fn of(scans: Vec<Scan>) -> Trace {
    Trace { scans, ..Trace::default() }
}

fn number() -> Number {
    Number::new("yuantong", "YT0000000000001").unwrap()
}

#[test]
fn the_vendors_state_counts_for_more_than_codes_of_events_but_not_for_more_than_they_say() {
    use Milestone as M;
    let scans = || vec![scan(60, M::PickedUp), scan(300, M::AtPickupPoint)];
    for (name, state, want) in [
        ("signed, and nobody says where", state(M::Delivered, &[M::AtPickupPoint]), M::AtPickupPoint),
        ("signed by the recipient", state(M::Delivered, &[]), M::Delivered),
        ("a word that says nothing", state(M::Unknown, &[]), M::AtPickupPoint),
    ] {
        let claims = state.whole.milestone == M::Delivered && want == M::AtPickupPoint;
        let trace = Trace { state: Some(state), ..of(scans()) };
        let is = trace.fold(known(10_000));
        assert_eq!((is.milestone, is.claimed), (want, claims), "{name}");
        assert_eq!(marks(&is).iter().any(|m| m.name == "delivered"), want == M::Delivered, "{name}");
    }
}

/// A scan that is stamped after the signature is a scan, and neither a new attempt nor a way on.
#[test]
fn what_is_stamped_too_early_rings_nothing() {
    use Milestone as M;
    let trace = of(vec![
        scan(10, M::InTransit),
        scan(60, M::OutForDelivery),
        scan(90, M::Delivered),
        scan(100, M::OutForDelivery),
        scan(110, M::InTransit),
    ]);
    let marks = marks(&trace.fold(known(1000)));
    let of = |name: &str| marks.iter().filter(|m| m.name == name).map(|m| m.at).collect::<Vec<_>>();
    assert_eq!(
        (of("out_for_delivery"), of("in_transit"), of("delivered")),
        (vec![at(60)], vec![at(10)], vec![at(90)])
    );
    assert_eq!(of("last_scan"), [10, 60, 90, 100, 110].map(at));
    assert_eq!((of("traced"), of("moved_on"), of("picked_up")), (vec![at(10)], vec![at(10)], vec![at(10)]));
}

fn link(kind: &str, returning: bool) -> Link {
    Link {
        source: "pdd".to_owned(),
        kind: kind.to_owned(),
        id: format!("{kind}-1"),
        shop: Some("flagship".to_owned()),
        province: (!returning).then(|| "湖南省".to_owned()),
        vip: !returning,
        returning,
        ..Link::default()
    }
}

#[test]
fn cases_that_name_a_parcel_are_told_of_it() {
    use Milestone as M;
    let place = |place: &str, scan: Scan| Scan { place: Some(place.into()), ..scan };
    let trace = of(vec![
        place("浙江,杭州市", scan(60, M::PickedUp)),
        place("上海,浦东新区", scan(300, M::Delivered)),
    ]);
    let is = trace.fold(known(400));
    let links = [link("aftersale", true), link("order", false)];
    let number = number();
    let whose =
        Whose { source: "k", shop: None, number: &number, links: &links, since: at(0), shipped: Some(at(0)) };
    let seen = trace.observations(whose, &is, at(300));
    let told: Vec<(String, Vec<(String, Instant)>)> = seen
        .iter()
        .filter(|o| o.source == "pdd")
        .map(|o| (o.kind.to_string(), o.marks.iter().map(|m| (m.name.to_string(), m.at)).collect()))
        .collect();
    let marks = |names: [&str; 2]| vec![(names[0].to_owned(), at(60)), (names[1].to_owned(), at(300))];
    assert_eq!(
        told,
        [
            ("aftersale".to_owned(), marks(["return_shipped", "return_signed"])),
            ("order".to_owned(), marks(["picked_up", "delivered"])),
        ]
    );
    let said: BTreeMap<&str, &Value<'_>> = seen[0].attributes.iter().map(|(n, v)| (&**n, v)).collect();
    let text = |text: &'static str| Value::Text(text.into());
    for (name, want) in [
        ("shop", text("flagship")),
        // The order, not what goes back.
        ("order", text("order-1")),
        ("vip", Value::Bool(true)),
        ("province", text("湖南")),
        ("lane", text("浙江→湖南")),
        ("same_province", Value::Bool(false)),
        ("direction", text("out")),
    ] {
        assert_eq!(said.get(name), Some(&&want), "{name}");
    }
}

/// What rules ask of the way, each since it is so.
#[test]
fn the_way_is_told_in_words() {
    use Milestone as M;
    let hour = 60;
    let at_place =
        |minutes: i64, milestone, place: &str| Scan { place: Some(place.into()), ..scan(minutes, milestone) };
    let way = [at_place(0, M::PickedUp, "浙江,杭州市"), at_place(5 * hour, M::InTransit, "江苏,南京市")];
    let with = |more: &[Scan]| way.iter().chain(more).cloned().collect::<Vec<_>>();
    let weather = |minutes| Scan { exception: Some(Exception::ForceMajeure), ..scan(minutes, M::InTransit) };
    for (name, scans, word, want) in [
        ("straight on", with(&[]), "detour", None),
        (
            "back where it was",
            with(&[at_place(9 * hour, M::InTransit, "浙江,杭州市")]),
            "detour",
            Some(9 * hour),
        ),
        (
            "and then where it belongs",
            with(&[
                at_place(9 * hour, M::InTransit, "浙江,杭州市"),
                at_place(20 * hour, M::AtDestination, "湖南,长沙市"),
            ]),
            "detour",
            None,
        ),
        (
            "away from where it goes, twice",
            vec![
                at_place(0, M::PickedUp, "浙江,杭州市"),
                at_place(5 * hour, M::InTransit, "江苏,南京市"),
                at_place(9 * hour, M::InTransit, "天津,天津市"),
            ],
            "detour",
            Some(9 * hour),
        ),
        (
            "and came to its province",
            vec![
                at_place(0, M::PickedUp, "浙江,杭州市"),
                at_place(5 * hour, M::InTransit, "江苏,南京市"),
                at_place(9 * hour, M::InTransit, "天津,天津市"),
                at_place(30 * hour, M::InTransit, "湖南,长沙市"),
            ],
            "detour",
            None,
        ),
        (
            "nobody carried it",
            with(&[at_place(9 * hour, M::Delivered, "湖南,长沙市")]),
            "no_delivery_scan",
            Some(9 * hour),
        ),
        (
            "somebody did",
            with(&[scan(8 * hour, M::OutForDelivery), at_place(9 * hour, M::Delivered, "湖南,长沙市")]),
            "no_delivery_scan",
            None,
        ),
        (
            "signed before it came",
            with(&[scan(8 * hour, M::Delivered), at_place(9 * hour, M::AtDestination, "湖南,长沙市")]),
            "signed_early",
            Some(9 * hour),
        ),
        (
            "signed somewhere else",
            with(&[at_place(9 * hour, M::Delivered, "河北,保定市")]),
            "signed_elsewhere",
            Some(9 * hour),
        ),
        ("a storm", with(&[weather(20 * hour)]), "waits", Some(20 * hour)),
        ("two days later", with(&[weather(-30 * hour)]), "waits", None),
        ("and on its way again", with(&[weather(6 * hour), scan(7 * hour, M::InTransit)]), "waits", None),
        ("read in another zone", with(&[scan(56 * hour, M::InTransit)]), "tz_suspect", Some(5 * hour)),
        ("begins days before it was shipped", with(&[scan(-49 * hour, M::PickedUp)]), "old_trace", Some(0)),
        ("shipped after it was picked up", with(&[scan(-20 * hour, M::PickedUp)]), "old_trace", None),
        (
            "goes on after the signature",
            with(&[scan(8 * hour, M::Delivered), scan(12 * hour, M::InTransit)]),
            "moved_after_delivery",
            Some(12 * hour),
        ),
    ] {
        let trace = of(scans);
        let is = trace.fold(known(48 * hour));
        let (links, number) = ([link("order", false)], number());
        let whose = Whose {
            source: "k",
            shop: None,
            number: &number,
            links: &links,
            since: at(0),
            shipped: Some(at(0)),
        };
        let words = trace.words(whose, &is, at(48 * hour));
        assert_eq!(words.iter().find(|w| w.name == word).map(|w| w.at), want.map(at), "{name}");
    }
}

/// Q18, Q21, F9: what cannot be is counted, and nothing of it is told; however much there is.
#[test]
fn what_cannot_be_is_counted_and_not_told() {
    use Milestone as M;
    let day = 24 * 60;
    let mut scans: Vec<Scan> = (0..10_000).map(|n| scan(n, M::InTransit)).collect();
    scans.push(Scan { at: Instant::from_secs(0), ..scan(0, M::Delivered) });
    scans.push(scan(9 * day, M::Delivered));
    scans.push(scan(8 * day + 8 * 60, M::Delivered));
    let trace = of(scans);
    let is = trace.fold(known(8 * day));
    let c = is.counts;
    assert_eq!((c.timeless, c.ahead + c.other_zone, is.milestone), (1, 2, M::InTransit));
    let told = marks(&is);
    assert!(told.len() <= 2010, "{}", told.len());
    assert!(told.iter().all(|m| m.at >= at(0) && m.at <= at(8 * day) + Span::from_minutes(10)));
}
