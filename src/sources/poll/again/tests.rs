//! Who is read again when, without a platform.

use super::*;

const START: Instant = Instant::from_secs(1_767_600_000);
const GAP: Span = Span::from_secs(5);

fn at(s: i64) -> Instant {
    START + Span::from_secs(s)
}

fn s(s: i64) -> Span {
    Span::from_secs(s)
}

fn want(method: &str, id: &str) -> Want {
    Want { ids: vec![method.to_owned(), id.to_owned()], modified: START }
}

fn case(id: &str, rings: i64) -> Again {
    Again { rings: Some(at(rings)), changed: START - Span::DAY, wants: vec![want("order", id)] }
}

/// What is asked in the seconds from `from` to `to`, and when; everything is answered.
fn asked(reads: &mut Reads, from: i64, to: i64) -> Vec<(i64, String)> {
    let mut all = Vec::new();
    for second in from..to {
        if let Some((want, why)) = reads.ring(at(second), s(second)) {
            reads.asked(why, GAP, s(second));
            reads.read(&want, why);
            all.push((second, want.ids[1].clone()));
        }
    }
    all
}

/// Few are read a minute before; of many that ring at once the first as early as all need, each with half of the requests.
#[test]
fn what_rings_is_read_as_late_as_all_of_it_can_be() {
    for (cases, want) in [
        (vec![case("a", 600)], vec![(540, "a")]),
        (vec![case("a", 600), case("b", 900)], vec![(540, "a"), (840, "b")]),
        (vec![case("b", 900), case("a", 895)], vec![(830, "a"), (840, "b")]),
        (vec![case("a", 600), case("b", 600), case("c", 600)], vec![(520, "a"), (530, "b"), (540, "c")]),
        // Told too late for all: those that can be.
        (vec![case("a", 20), case("b", 20), case("c", 20)], vec![(0, "a"), (10, "b")]),
        (vec![case("a", 0)], vec![]),
        (vec![Again { rings: None, ..case("a", 0) }], vec![]),
    ] {
        let mut reads = Reads::default();
        reads.ahead(cases.clone(), GAP);
        let got = asked(&mut reads, 0, 1000);
        let got: Vec<(i64, &str)> = got.iter().map(|(second, id)| (*second, id.as_str())).collect();
        assert_eq!(got, want, "{cases:?}");
    }
}

/// Told again of the same ring, nobody reads again; of another one, they do.
#[test]
fn a_ring_is_read_for_once() {
    let mut reads = Reads::default();
    let mut story = |rings: i64, from: i64| {
        reads.ahead(vec![case("a", rings)], GAP);
        asked(&mut reads, from, from + 20).len()
    };
    assert_eq!((story(600, 540), story(600, 560), story(700, 640), story(700, 660)), (1, 0, 1, 0));
}

/// A case that cannot be read is tried three times for a ring, later and later; the ring is not asked about it.
#[test]
fn a_failing_method_waits_by_itself() {
    let mut reads = Reads::default();
    let other = Again { wants: vec![want("refund", "r")], ..case("r", 600) };
    reads.ahead(vec![case("a", 600), other], GAP);
    let mut all = Vec::new();
    for second in 500..600 {
        let Some((want, why)) = reads.ring(at(second), s(second)) else { continue };
        reads.asked(why, GAP, s(second));
        all.push((second, want.ids[1].clone()));
        match want.method() {
            "order" => reads.failed(&want, why, Class::Transient, s(second)),
            _ => reads.read(&want, why),
        }
    }
    let got: Vec<(i64, &str)> = all.iter().map(|(second, id)| (*second, id.as_str())).collect();
    assert_eq!(got, [(530, "a"), (540, "a"), (550, "a"), (560, "r")]);
    // A case that is not there says nothing of its method.
    let (missing, why) = (want("refund", "x"), Why::Ring(at(900)));
    reads.failed(&missing, why, Class::Parameter, s(600));
    assert!(reads.is_ready(&missing, s(600)) && !reads.is_ready(&want("order", "b"), s(551)));
}

/// A refused method is left alone for an hour and told; the other one goes on. Once it is answered that is over.
#[test]
fn a_refused_method_is_left_alone() {
    let mut reads = Reads::default();
    let (order, refund) = (want("order", "a"), want("refund", "r"));
    reads.refuse(&order, Failure::new(Class::Permission, "11"), s(0));
    assert!(reads.is_refused(&order, s(3599)) && !reads.is_refused(&refund, s(0)));
    let told: Vec<(&str, String)> = reads.refused().map(|(word, why)| (word, why.to_string())).collect();
    assert_eq!(told, [("order", "permission (11)".to_owned())]);
    let both = Again { wants: vec![order.clone(), refund], ..case("a", 600) };
    reads.ahead(vec![both], GAP);
    assert_eq!(asked(&mut reads, 0, 600), [(540, "r".to_owned())]);
    assert!(!reads.is_refused(&order, s(3600)) && reads.is_ready(&order, s(3600)));
    reads.read(&order, Why::Ring(at(600)));
    assert_eq!(reads.refused().count(), 0);
}

/// Every open case has its turn once in a round of five hours, evenly; what was said lately waits for its next one.
#[test]
fn each_open_case_has_its_turn_in_a_round() {
    let cases = 1000_u32;
    let mut reads = Reads::default();
    let mut turns: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut busiest = 0;
    for second in 0..40_000 {
        if let Some(Part { from, most }) = reads.part(s(second)) {
            let until = cases.min(from + most);
            // One in ten is open; one of them has changed just now.
            let numbers = (from..until).filter(|number| number.is_multiple_of(10));
            let changed = |number: u32| if number == 500 { at(second) } else { START - Span::DAY };
            let open = numbers.map(|n| Again { changed: changed(n), ..case(&n.to_string(), 0) });
            let next = (until < cases).then_some(until);
            reads.open(open.collect(), (next, cases), GAP, (at(second), s(second)));
        }
        let mut minute = 0;
        while let Some((want, why)) = reads.turn(s(second)) {
            reads.asked(why, GAP, s(second));
            reads.read(&want, why);
            turns.entry(want.ids[1].clone()).or_default().push(second);
            minute += 1;
        }
        busiest = busiest.max(minute);
    }
    assert_eq!((turns.len(), turns.contains_key("500"), busiest), (99, false, 1));
    for (id, seconds) in &turns {
        assert!(seconds.len() >= 2, "{id}: {seconds:?}");
        let apart = |pair: &[i64]| (17_000..=19_500).contains(&(pair[1] - pair[0]));
        assert!(seconds.windows(2).all(apart), "{id}: {seconds:?}");
    }
}

/// More open cases than the share of the requests allows make the round longer; nothing waits in memory but a part.
#[test]
fn a_round_takes_as_long_as_its_share_allows() {
    let mut reads = Reads::default();
    let (mut parts, mut read) = (0, 0);
    for second in 0..36_000 {
        if let Some(Part { from, most }) = reads.part(s(second)) {
            parts += 1;
            let open = (from..from + most).map(|n| case(&n.to_string(), 0)).collect();
            reads.open(open, (Some(from + most), 1_000_000), GAP, (at(second), s(second)));
        }
        if let Some((want, why)) = reads.turn(s(second)) {
            reads.asked(why, GAP, s(second));
            reads.read(&want, why);
            read += 1;
        }
    }
    // A quarter of one request in five seconds.
    assert!((1790..1800).contains(&read), "{read}");
    assert!(parts <= 3, "{parts}");
}
