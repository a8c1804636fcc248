//! Scans in every order, and what became of the parcel (`logistics` 5).

use proptest::prelude::*;

use super::*;

/// So many minutes into 2026-03-01 in China.
fn at(minutes: i64) -> Instant {
    Instant::from_secs(1_772_294_400 + minutes * 60)
}

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

fn scan(minutes: i64, milestone: Milestone) -> Scan {
    Scan { place: Some("上海".into()), ..Scan::new(at(minutes), milestone) }
}

fn wrong(minutes: i64, milestone: Milestone, exception: Exception) -> Scan {
    Scan { exception: Some(exception), ..scan(minutes, milestone) }
}

fn folded_at(now: i64, shipped: Option<i64>, scans: Vec<Scan>) -> Parcel {
    let mut ledger = Ledger::new();
    ledger.merge(scans);
    fold(&ledger, Known { shipped: shipped.map(at), now: at(now) })
}

fn folded(scans: Vec<Scan>) -> Parcel {
    folded_at(400 * DAY, None, scans)
}

#[test]
fn where_a_parcel_is() {
    use Exception as E;
    use Milestone as M;
    let way = [scan(10, M::Registered), scan(60, M::PickedUp), scan(300, M::InTransit)];
    let to = |more: &[Scan]| way.iter().chain(more).cloned().collect::<Vec<_>>();
    for (name, scans, milestone, exception, since) in [
        ("nothing", vec![], M::NoTrace, None, None),
        ("on its way", to(&[]), M::InTransit, None, Some(300)),
        ("told backwards (F2)", way.iter().rev().cloned().collect(), M::InTransit, None, Some(300)),
        (
            "stamped too early (F4)",
            to(&[scan(400, M::Delivered), scan(420, M::OutForDelivery), scan(425, M::InTransit)]),
            M::Delivered,
            None,
            Some(400),
        ),
        (
            "goes on after the signature (F5)",
            to(&[scan(400, M::Delivered), scan(440, M::InTransit)]),
            M::InTransit,
            None,
            Some(440),
        ),
        (
            "comes back at once (F5)",
            to(&[scan(400, M::Delivered), scan(410, M::Returning)]),
            M::Returning,
            None,
            Some(410),
        ),
        ("void", to(&[scan(400, M::Cancelled), scan(500, M::InTransit)]), M::Cancelled, None, Some(400)),
        (
            "void, and picked up all the same (F6)",
            to(&[scan(400, M::Cancelled), scan(500, M::PickedUp)]),
            M::PickedUp,
            None,
            Some(500),
        ),
        (
            "back for good",
            to(&[scan(400, M::Returned), scan(500, M::InTransit)]),
            M::Returned,
            None,
            Some(400),
        ),
        ("a note (F3)", to(&[scan(400, M::Unknown)]), M::InTransit, None, Some(300)),
        (
            "in one second (Q03)",
            vec![scan(60, M::OutForDelivery), scan(60, M::AtDestination)],
            M::OutForDelivery,
            None,
            Some(60),
        ),
        (
            "refused and on its way back (F7)",
            to(&[wrong(400, M::DeliveryFailed, E::Refused), scan(500, M::Returning)]),
            M::Returning,
            None,
            Some(500),
        ),
        (
            "nobody there, and on its way again (F7)",
            to(&[wrong(400, M::DeliveryFailed, E::ContactFailed), scan(500, M::OutForDelivery)]),
            M::OutForDelivery,
            None,
            Some(500),
        ),
        (
            "the newest counts, since it was first told (F7)",
            to(&[wrong(400, M::InTransit, E::Stranded), wrong(500, M::Unknown, E::Stranded)]),
            M::InTransit,
            Some((E::Stranded, 400)),
            Some(300),
        ),
        (
            "damaged stays, whatever comes (table 1.2)",
            to(&[wrong(400, M::InTransit, E::Damaged), scan(500, M::Delivered)]),
            M::Delivered,
            Some((E::Damaged, 400)),
            Some(500),
        ),
        (
            "cleared by the vendor",
            to(&[wrong(400, M::InTransit, E::Damaged), Scan { clears: true, ..scan(500, M::InTransit) }]),
            M::InTransit,
            None,
            Some(300),
        ),
    ] {
        let is = folded(scans);
        assert_eq!(
            (is.milestone, is.exception, is.since),
            (milestone, exception.map(|(e, m)| (e, at(m))), since.map(at)),
            "{name}"
        );
    }
}

#[test]
fn what_should_not_happen_is_told_once() {
    use Milestone as M;
    let is = folded(vec![
        scan(0, M::PickedUp),
        scan(100, M::Delivered),
        scan(497, M::Delivered),
        scan(600, M::InTransit),
        scan(700, M::Delivered),
        scan(900, M::InTransit),
    ]);
    assert_eq!(is.odd, [(Oddity::Resigned, at(497)), (Oddity::Reopened, at(600))]);
    assert_eq!(is.signed, Some(at(100)), "the first signature counts (Q02)");
    let is = folded(vec![scan(0, M::Registered), scan(10, M::Cancelled), scan(20, M::PickedUp)]);
    assert_eq!(is.odd, [(Oddity::Revived, at(20))]);
}

#[test]
fn signed_by_a_locker_is_not_delivered() {
    use Milestone as M;
    let is = folded(vec![scan(0, M::OutForDelivery), Scan { claimed: true, ..scan(60, M::AtPickupPoint) }]);
    assert_eq!((is.milestone, is.claimed, is.signed), (M::AtPickupPoint, true, Some(at(60))));
    let is = folded(vec![
        Scan { claimed: true, ..scan(60, M::AtPickupPoint) },
        Scan { proxy: true, ..scan(90, M::Delivered) },
    ]);
    assert_eq!((is.milestone, is.claimed, is.proxy), (M::Delivered, false, true));
}

/// F8: notes do not reset the stall.
#[test]
fn a_stall_is_measured_from_the_last_hands() {
    use Milestone as M;
    let note = Scan { place: None, ..wrong(500, M::InTransit, Exception::CarrierDelay) };
    let coded = Scan { place: None, code: Some("30".into()), ..scan(400, M::InTransit) };
    let is = folded(vec![scan(60, M::PickedUp), coded, note, scan(600, M::Unknown)]);
    assert_eq!((is.picked_up, is.last_scan, is.newest), (Some(at(60)), Some(at(400)), Some(at(600))));
}

#[test]
fn attempts_are_days() {
    use Milestone as M;
    let out = |minutes| scan(minutes, M::OutForDelivery);
    let failed = |minutes| scan(minutes, M::DeliveryFailed);
    for (name, scans, want) in [
        ("one in vain", vec![out(9 * HOUR), failed(12 * HOUR)], 1),
        ("twice on one day", vec![out(9 * HOUR), failed(12 * HOUR), out(14 * HOUR), failed(18 * HOUR)], 1),
        (
            "on two days",
            vec![out(9 * HOUR), failed(12 * HOUR), out(DAY + 9 * HOUR), failed(DAY + 12 * HOUR)],
            2,
        ),
        ("nobody says that it failed", vec![out(9 * HOUR), out(DAY + 9 * HOUR)], 1),
        ("handed over", vec![out(9 * HOUR), scan(12 * HOUR, M::Delivered)], 0),
        // 00:30 in China is the day before in UTC.
        ("at night", vec![out(30), failed(HOUR), out(23 * HOUR), failed(23 * HOUR + 30)], 1),
    ] {
        assert_eq!(folded(scans).attempts, want, "{name}");
    }
}

/// F11, Q05, Q07.
#[test]
fn a_number_has_several_lives() {
    use Milestone as M;
    let earlier = [scan(0, M::PickedUp), scan(DAY, M::Delivered)];
    let with = |more: &[Scan]| earlier.iter().chain(more).cloned().collect::<Vec<_>>();
    let is = folded(with(&[scan(7 * DAY, M::Registered), scan(7 * DAY + 60, M::PickedUp)]));
    assert_eq!((is.epoch, is.milestone, is.counts.earlier, is.signed), (1, M::PickedUp, 2, None));
    let is = folded(with(&[scan(DAY + 40, M::PickedUp)]));
    assert_eq!((is.epoch, is.odd.len()), (0, 1), "so soon it is the same parcel, and moves");
    let is = folded_at(400 * DAY, Some(5 * DAY), with(&[scan(5 * DAY, M::Registered)]));
    assert_eq!((is.epoch, is.milestone, is.counts.earlier), (1, M::Registered, 2));
    let is = folded_at(400 * DAY, Some(30 * DAY), with(&[]));
    assert_eq!((is.epoch, is.milestone), (1, M::NoTrace), "what is told is of an earlier life");
    let is = folded(with(&[scan(40 * DAY, M::Returning)]));
    assert_eq!((is.epoch, is.milestone), (0, M::Returning), "a late return is of this life");
}

/// F9, Q18, Q21: what cannot be is counted, and takes nothing with it.
#[test]
fn scans_that_cannot_be_are_counted() {
    use Milestone as M;
    let now = 10 * HOUR;
    let seen = |minutes: i64, of: i64, milestone| Scan { seen_at: at(of), ..scan(minutes, milestone) };
    let year_1970 = Scan { at: Instant::from_secs(0), ..scan(0, M::Delivered) };
    let kuaimai = Scan { at: Instant::from_millis(946_656_000_000), ..scan(0, M::Delivered) };
    let year_9999 = Scan { at: Instant::MAX, seen_at: at(0), ..scan(0, M::Delivered) };
    let never = Scan { at: Instant::MIN, ..scan(0, M::Delivered) };
    let is = folded_at(
        now,
        None,
        vec![
            scan(60, M::PickedUp),
            year_1970,
            kuaimai,
            year_9999,
            never,
            // Heard of at nine, eight hours ahead: read in the wrong zone.
            seen(17 * HOUR, 9 * HOUR, M::Delivered),
            // Ahead, and by no zone.
            seen(now + 3 * HOUR + 30, now, M::Delivered),
            // A few minutes: a clock that is a little fast.
            seen(now + 5, now, M::InTransit),
        ],
    );
    assert_eq!(is.milestone, M::InTransit);
    let counts = Counts { used: 2, timeless: 4, other_zone: 1, ahead: 1, ..Counts::default() };
    assert_eq!(is.counts, counts);
}

/// F12, Q20: two tell of one parcel.
#[test]
fn who_knows_better_is_believed() {
    use Milestone as M;
    let of = |teller, scan: Scan| Scan { teller, ..scan };
    let is = folded(vec![
        of(Teller::Platform, scan(60, M::Delivered)),
        of(Teller::Carrier, scan(60, M::AtPickupPoint)),
        of(Teller::Aggregator, scan(30, M::OutForDelivery)),
    ]);
    assert_eq!((is.milestone, is.counts.overruled, is.counts.used), (M::AtPickupPoint, 1, 2));
    // The same words, eight hours apart: one of the two was read as UTC.
    let words = |teller, minutes| of(teller, Scan { text: 77, ..scan(minutes, M::InTransit) });
    let is = folded(vec![
        words(Teller::Carrier, 600),
        words(Teller::Aggregator, 600 + 8 * HOUR),
        of(Teller::Carrier, scan(700, M::OutForDelivery)),
    ]);
    assert_eq!((is.milestone, is.counts.other_zone), (M::OutForDelivery, 1));
}

/// F1: of what several tell of one scan, nothing is lost.
#[test]
fn what_two_tell_of_one_scan_is_put_together() {
    let milestone = Milestone::Returning;
    let one =
        Scan { teller: Teller::Platform, seen_at: at(70), withdrawn: true, ..Scan::new(at(60), milestone) };
    let other = Scan {
        teller: Teller::Carrier,
        seen_at: at(90),
        forward_no: Some("SF0000000009".into()),
        ..scan(60, milestone)
    };
    for scans in [[one.clone(), other.clone()], [other.clone(), one]] {
        let mut ledger = Ledger::new();
        ledger.merge(scans);
        assert_eq!(ledger.scans(), [Scan { seen_at: at(70), ..other.clone() }]);
    }
}

/// F10: what is told no more is kept, and does not count.
#[test]
fn a_corrected_list_replaces_the_old_one() {
    use Milestone as M;
    let mut ledger = Ledger::new();
    let known = Known { shipped: None, now: at(DAY) };
    let list = |scans: &[Scan]| scans.to_vec();
    ledger.replace(Teller::Aggregator, list(&[scan(0, M::PickedUp), scan(60, M::Delivered)]));
    ledger.merge([Scan { teller: Teller::Platform, ..scan(5, M::PickedUp) }]);
    assert_eq!(fold(&ledger, known).milestone, M::Delivered);
    ledger.replace(Teller::Aggregator, list(&[scan(0, M::PickedUp)]));
    let is = fold(&ledger, known);
    assert_eq!((is.milestone, is.counts.withdrawn, is.counts.used), (M::PickedUp, 1, 2));
    ledger.replace(Teller::Aggregator, list(&[scan(0, M::PickedUp), scan(60, M::Delivered)]));
    assert_eq!(fold(&ledger, known).milestone, M::Delivered, "it came back");
}

#[test]
fn ten_thousand_scans_are_bounded() {
    use Milestone as M;
    let scans: Vec<Scan> = (0..10_000).map(|i| scan(i * 10, M::InTransit)).collect();
    let mut forwards = Ledger::new();
    forwards.merge(scans.clone());
    let mut one_by_one = Ledger::new();
    for chunk in scans.chunks(500).rev() {
        one_by_one.merge(chunk.to_vec());
    }
    assert_eq!(forwards.scans().len(), 2000);
    assert!(forwards.is_cut());
    assert_eq!(forwards.scans(), one_by_one.scans(), "the same are kept in any order");
    let is = fold(&forwards, Known { shipped: None, now: at(400 * DAY) });
    assert_eq!((is.picked_up, is.last_scan), (Some(at(0)), Some(at(99_990))));
}

#[test]
fn parcels_go_on_under_other_numbers_and_orders_lie_in_many() {
    use Milestone as M;
    let parcel = |milestone, forward: Option<&str>| {
        let mut is = folded(vec![scan(0, M::PickedUp)]);
        (is.milestone, is.forward_no) = (milestone, forward.map(Arc::from));
        is
    };
    let is = folded(vec![
        scan(0, M::PickedUp),
        Scan {
            forward_no: successor("已退回，新单号为 SF0000000009").map(Arc::from),
            ..scan(60, M::Returning)
        },
        scan(90, M::Returning),
    ]);
    assert_eq!((is.forward_no.as_deref(), is.return_leg), (Some("SF0000000009"), true));
    let parcels: std::collections::BTreeMap<String, Parcel> = [
        ("A".to_owned(), parcel(M::Returning, Some("B"))),
        ("B".to_owned(), parcel(M::InTransit, Some("C"))),
        ("C".to_owned(), parcel(M::InTransit, Some("A"))),
        ("D".to_owned(), parcel(M::Delivered, None)),
    ]
    .into();
    assert_eq!(trail(&parcels, "A"), ["A", "B", "C"], "a circle ends");
    assert_eq!(trail(&parcels, "D"), ["D"]);
    assert_eq!(trail(&parcels, "Z"), ["Z"]);
    for (name, list, want) in [
        ("no parcel", vec![], None),
        ("the slowest", vec![parcel(M::Delivered, None), parcel(M::InTransit, None)], Some(M::InTransit)),
        (
            "a replaced one does not count",
            vec![parcel(M::Registered, Some("B")), parcel(M::Delivered, None)],
            Some(M::Delivered),
        ),
        (
            "nor does a void one",
            vec![parcel(M::Cancelled, None), parcel(M::PickedUp, None)],
            Some(M::PickedUp),
        ),
        ("all void", vec![parcel(M::Cancelled, None)], Some(M::Cancelled)),
    ] {
        assert_eq!(order_milestone(&list), want, "{name}");
    }
    let mut shipments = OrderParcels::new();
    for (order, number) in [("o1", "A"), ("o1", "B"), ("o2", "B")] {
        shipments.link(order, number);
    }
    assert_eq!(shipments.parcels("o1").collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(shipments.orders("B").collect::<Vec<_>>(), ["o1", "o2"]);
    shipments.unlink("o1", "A");
    assert_eq!((shipments.parcels("o1").count(), shipments.orders("A").count()), (1, 0));
}

fn any_scan() -> impl Strategy<Value = Scan> {
    let when = prop_oneof![8 => -3 * DAY..6 * DAY, 1 => Just(i64::from(i32::MAX)), 1 => Just(-29_000_000)];
    let milestone = prop::sample::select(Milestone::ALL.to_vec());
    let exception = prop::option::weighted(0.3, prop::sample::select(Exception::ALL.to_vec()));
    let teller =
        prop::sample::select(vec![Teller::Person, Teller::Platform, Teller::Aggregator, Teller::Carrier]);
    let place = prop::option::of(prop::sample::select(vec!["上海", "杭州"]));
    let more = (0..4_u64, any::<bool>(), any::<bool>(), any::<bool>(), 0..2000_i64);
    (when, milestone, exception, teller, place, more).prop_map(
        |(when, milestone, exception, teller, place, (text, clears, claimed, coded, late))| Scan {
            exception,
            clears,
            claimed,
            text,
            teller,
            code: coded.then(|| "30".into()),
            place: place.map(Arc::from),
            seen_at: at(when - 700 + late),
            ..Scan::new(at(when), milestone)
        },
    )
}

proptest! {
    /// Any order, any number of times, in any portions: the same.
    #[test]
    fn order_and_repetition_do_not_matter(
        scans in prop::collection::vec(any_scan(), 0..40),
        seed in any::<u64>(),
        portions in 1..7_usize,
        shipped in prop::option::of(-DAY..5 * DAY),
    ) {
        let known = Known { shipped: shipped.map(at), now: at(4 * DAY) };
        let mut once = Ledger::new();
        once.merge(scans.clone());
        let mut again: Vec<Scan> = scans.iter().chain(scans.iter().step_by(3)).cloned().collect();
        let n = again.len();
        for i in 0..n {
            again.swap(i, (seed.rotate_left(i as u32 * 7) % n as u64) as usize);
        }
        let mut portioned = Ledger::new();
        for portion in again.chunks(n / portions + 1) {
            portioned.merge(portion.to_vec());
        }
        prop_assert_eq!(&once, &portioned);
        prop_assert_eq!(fold(&once, known), fold(&portioned, known));
    }

    /// Every scan is used or counted, and what is told is within what was said.
    #[test]
    fn every_scan_is_used_or_counted(scans in prop::collection::vec(any_scan(), 0..60), now in -DAY..7 * DAY) {
        let mut ledger = Ledger::new();
        ledger.merge(scans);
        let is = fold(&ledger, Known { shipped: None, now: at(now) });
        let c = is.counts;
        let all = c.used + c.ahead + c.timeless + c.other_zone + c.overruled + c.earlier + c.withdrawn;
        prop_assert_eq!(all as usize, ledger.scans().len());
        prop_assert!(is.newest.is_none_or(|newest| newest <= at(now) + AHEAD));
        prop_assert!(is.last_scan <= is.newest);
        prop_assert!(is.odd.len() <= 3);
    }

    #[test]
    fn any_field_has_numbers_or_none(field in "\\PC{0,80}") {
        for number in waybills(&field) {
            prop_assert!((6..=32).contains(&number.len()));
        }
        _ = successor(&field);
    }
}
