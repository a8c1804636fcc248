//! Events in every order, and what becomes of a parcel by them (`logistics` 5).

use super::*;

fn at(minutes: i64) -> Instant {
    Instant::from_secs(1_772_323_200 + minutes * 60)
}

fn event(minutes: i64, milestone: Milestone) -> Event {
    Event { at: at(minutes), milestone, exception: None, claimed: false, proxy: false, place: None }
}

fn wrong(minutes: i64, milestone: Milestone, exception: Exception) -> Event {
    Event { exception: Some(exception), ..event(minutes, milestone) }
}

fn state(milestone: Milestone, covers: &[Milestone]) -> State {
    State {
        code: "3".to_owned(),
        milestone,
        exception: None,
        hint: None,
        claimed: false,
        proxy: false,
        covers: covers.to_vec(),
    }
}

fn standing(events: Vec<Event>, state: Option<State>) -> (Standing, Instant) {
    let mut trace = Trace { events, state, ..Trace::default() };
    trace.tidy(None, at(100_000));
    trace.standing(at(0))
}

#[test]
fn where_a_parcel_stands() {
    use Exception as E;
    use Milestone as M;
    let way = [event(10, M::Registered), event(60, M::PickedUp), event(300, M::InTransit)];
    let to = |more: &[Event]| way.iter().chain(more).cloned().collect::<Vec<_>>();
    for (name, events, want, exception, began) in [
        ("nothing", vec![], M::NoTrace, None, 0),
        ("on its way", to(&[]), M::InTransit, None, 300),
        ("in any order", way.iter().rev().cloned().collect(), M::InTransit, None, 300),
        (
            "stamped too early (F4)",
            to(&[event(400, M::Delivered), event(420, M::OutForDelivery), event(425, M::InTransit)]),
            M::Delivered,
            None,
            400,
        ),
        (
            "goes on after the signature (F5)",
            to(&[event(400, M::Delivered), event(440, M::InTransit)]),
            M::InTransit,
            None,
            440,
        ),
        (
            "comes back at once",
            to(&[event(400, M::Delivered), event(410, M::Returning)]),
            M::Returning,
            None,
            410,
        ),
        ("void", to(&[event(400, M::Cancelled), event(500, M::InTransit)]), M::Cancelled, None, 400),
        (
            "void, and picked up all the same (F6)",
            to(&[event(400, M::Cancelled), event(500, M::PickedUp)]),
            M::PickedUp,
            None,
            500,
        ),
        (
            "back, and that stays",
            to(&[event(400, M::Returned), event(500, M::InTransit)]),
            M::Returned,
            None,
            400,
        ),
        (
            "nobody there",
            to(&[wrong(400, M::DeliveryFailed, E::ContactFailed)]),
            M::DeliveryFailed,
            Some(E::ContactFailed),
            400,
        ),
        (
            "nobody there, and on its way again (F7)",
            to(&[wrong(400, M::DeliveryFailed, E::ContactFailed), event(500, M::OutForDelivery)]),
            M::OutForDelivery,
            None,
            500,
        ),
        (
            "damaged, and delivered",
            to(&[wrong(400, M::InTransit, E::Damaged), event(500, M::Delivered)]),
            M::Delivered,
            Some(E::Damaged),
            500,
        ),
        ("a note says nothing", to(&[event(400, M::Unknown)]), M::InTransit, None, 300),
        (
            "in one second (Q03)",
            vec![event(60, M::OutForDelivery), event(60, M::AtDestination)],
            M::OutForDelivery,
            None,
            60,
        ),
    ] {
        let (is, since) = standing(events, None);
        assert_eq!((is.milestone, is.exception, since), (want, exception, at(began)), "{name}");
    }
}

#[test]
fn the_vendors_state_counts_for_more_than_codes_of_events_but_not_for_more_than_they_say() {
    use Milestone as M;
    let events = || vec![event(60, M::PickedUp), event(300, M::AtPickupPoint)];
    for (name, state, want) in [
        ("signed, and nobody says where", state(M::Delivered, &[M::AtPickupPoint]), M::AtPickupPoint),
        ("signed by the recipient", state(M::Delivered, &[]), M::Delivered),
        ("a word that says nothing", state(M::Unknown, &[]), M::AtPickupPoint),
    ] {
        let claims = state.milestone == M::Delivered && want == M::AtPickupPoint;
        let mut trace = Trace { events: events(), state: Some(state), ..Trace::default() };
        trace.tidy(None, at(10_000));
        let (is, _) = trace.standing(at(0));
        assert_eq!(is.milestone, want, "{name}");
        assert_eq!(trace.flags(&is).0, claims, "{name}");
        let marks = trace.marks(&is);
        assert_eq!(marks.iter().any(|m| m.name == "delivered"), want == M::Delivered, "{name}");
    }
}

/// A scan that is stamped after the signature is a scan, and neither a new attempt nor a way on.
#[test]
fn what_is_stamped_too_early_rings_nothing() {
    use Milestone as M;
    let mut trace = Trace {
        events: vec![
            event(10, M::InTransit),
            event(60, M::OutForDelivery),
            event(90, M::Delivered),
            event(100, M::OutForDelivery),
            event(110, M::InTransit),
        ],
        ..Trace::default()
    };
    trace.tidy(None, at(1000));
    let (is, _) = trace.standing(at(0));
    let marks = trace.marks(&is);
    let of = |name: &str| marks.iter().filter(|m| m.name == name).map(|m| m.at).collect::<Vec<_>>();
    assert_eq!(
        (of("out_for_delivery"), of("in_transit"), of("delivered")),
        (vec![at(60)], vec![at(10)], vec![at(90)])
    );
    assert_eq!(of("last_scan"), [10, 60, 90, 100, 110].map(at));
}

#[test]
fn what_is_not_of_this_life_or_lies_ahead_is_left_out() {
    use Milestone as M;
    let day = 24 * 60;
    let events = vec![
        event(-3 * day, M::Delivered),
        event(-day, M::Registered),
        event(5, M::PickedUp),
        event(5, M::PickedUp),
        event(21, M::InTransit),
    ];
    let mut trace = Trace { events: events.clone(), ..Trace::default() };
    assert_eq!(trace.tidy(Some(at(0)), at(10)), 1, "more than ten minutes ahead");
    let left: Vec<Instant> = trace.events.iter().map(|e| e.at).collect();
    assert_eq!(left, [at(-day), at(5)], "an earlier life of the number (F11), and what is told twice (F1)");
    let mut trace = Trace { events, ..Trace::default() };
    assert_eq!((trace.tidy(None, at(11)), trace.events.len()), (0, 4));
}

#[test]
fn cases_that_name_a_parcel_are_told_of_it() {
    use Milestone as M;
    let mut trace =
        Trace { events: vec![event(60, M::PickedUp), event(300, M::Delivered)], ..Trace::default() };
    trace.tidy(None, at(400));
    let (is, began) = trace.standing(at(0));
    let link = |kind: &str, returning: bool| Link {
        source: "pdd".to_owned(),
        kind: kind.to_owned(),
        id: format!("{kind}-1"),
        shop: Some("flagship".to_owned()),
        returning,
    };
    let links = [link("aftersale", true), link("order", false)];
    let number = Number::new("yuantong", "YT0000000000001").unwrap();
    let whose =
        Whose { source: "k", shop: None, number: &number, links: &links, since: at(0), shipped: Some(at(0)) };
    let seen = trace.observations(whose, &is, began);
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
    let text = |name: &str| seen[0].attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    assert_eq!(text("shop"), Some(Value::Text("flagship".into())));
    assert_eq!(text("order"), Some(Value::Text("order-1".into())), "the order, not what goes back");
}
