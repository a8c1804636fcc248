//! When a parcel is asked for next, case by case (`logistics` 8).

use super::*;

const RULES: Rules = Rules {
    floor: Span::HOUR,
    stall: Span::from_minutes(72 * 60),
    pickup_for: Span::from_minutes(5 * 24 * 60),
    no_trace_for: Span::from_minutes(15 * 24 * 60),
    silent_for: Span::from_minutes(60 * 24 * 60),
};

/// Noon in China.
const NOON: Instant = Instant::from_secs(1_772_337_600);

fn at(minutes: i64) -> Instant {
    Instant::from_secs(NOON.as_secs() + minutes * 60)
}

fn number() -> Number {
    Number::new("yuantong", "YT0000000000001").unwrap()
}

fn is(milestone: Milestone, since: i64, scanned: Option<i64>) -> Standing {
    Standing {
        milestone,
        last_scan: scanned.map(at),
        newest: scanned.map(at),
        ..Standing::unknown(at(since))
    }
}

fn calls(asked: Option<i64>) -> Calls {
    let asked = asked.map(at);
    Calls { since: at(0), asked, answered: asked, heard: asked, pushed_since: None }
}

/// Minutes after noon, within the tenth more or less.
#[track_caller]
fn check(name: &str, standing: Standing, calls: Calls, from: i64, to: i64) {
    match due(&number(), &standing, &calls, &RULES) {
        Due::At(when) => {
            let minutes = (when.as_secs() - NOON.as_secs()) / 60;
            assert!((from..=to).contains(&minutes), "{name}: {minutes} is not {from} to {to}");
        }
        Due::Over(over) => panic!("{name}: is over, {over:?}"),
    }
}

#[test]
fn the_table_of_the_planner() {
    use Milestone as M;
    let h = |hours: i64| hours * 60;
    let none = |since| is(M::NoTrace, since, None);
    check("first", none(0), calls(None), h(6) - 36, h(6) + 36);
    check("no trace", none(0), calls(Some(h(6))), h(12) - 36, h(12) + 36);
    check("exactly at 20 h", none(0), calls(Some(h(17))), h(20), h(20));
    check("exactly at 24 h", none(0), calls(Some(h(20) + 30)), h(24), h(24));
    check("under way", is(M::InTransit, 0, Some(h(1))), calls(Some(h(2))), h(8) - 36, h(8) + 36);
    // 70 % of three days is 50 h 24.
    check("near an alert", is(M::InTransit, 0, Some(0)), calls(Some(h(48))), h(50) + 24, h(50) + 36);
    check("in an alert", is(M::InTransit, 0, Some(0)), calls(Some(h(60))), h(62) - 12, h(62) + 12);
    check("on its way back", is(M::Returning, 0, Some(h(1))), calls(Some(h(2))), h(8) - 36, h(8) + 36);
    check("on the courier's car", is(M::OutForDelivery, 0, Some(0)), calls(Some(0)), h(2) - 12, h(2) + 12);
    check("not at night", is(M::OutForDelivery, 0, Some(0)), calls(Some(h(9))), h(19), h(19));
    check("nobody there", is(M::DeliveryFailed, 0, Some(0)), calls(Some(0)), h(4) - 24, h(4) + 24);
    check("in a locker", is(M::AtPickupPoint, 0, Some(0)), calls(Some(0)), h(12) - 72, h(12) + 72);
    check("delivered", is(M::Delivered, 0, Some(0)), calls(Some(0)), h(24), h(24));
    check("looked at once", is(M::Delivered, 0, Some(0)), calls(Some(h(24))), h(72), h(72));
    // Never nearer than the floor, and a minute for what is reserved.
    check("the floor", is(M::Delivered, 0, Some(0)), calls(Some(h(24) - 1)), h(25), h(25));
}

#[test]
fn whoever_is_told_asks_only_into_silence() {
    use Milestone as M;
    let h = |hours: i64| hours * 60;
    let told = |heard: i64| Calls { heard: Some(at(heard)), pushed_since: Some(at(0)), ..calls(None) };
    check("declared", is(M::Registered, 0, Some(0)), told(0), h(24) - 144, h(24) + 144);
    check("under way", is(M::InTransit, 0, Some(h(5))), told(h(5)), h(55) + 24, h(55) + 24);
    check("on the car", is(M::OutForDelivery, 0, Some(0)), told(0), h(12) - 72, h(12) + 72);
    check("in a locker", is(M::AtPickupPoint, 0, Some(0)), told(0), h(48) - 288, h(48) + 288);
    check("delivered", is(M::Delivered, 0, Some(0)), told(0), h(24), h(24));
}

#[test]
fn everything_ends() {
    use Milestone as M;
    let day = 24 * 60;
    for (name, standing, asked, want) in [
        ("delivered", is(M::Delivered, 0, Some(0)), 3 * day, Over::Delivered),
        ("back", is(M::Returned, 0, Some(0)), 1, Over::Returned),
        ("void", is(M::Cancelled, 0, Some(0)), 1, Over::Cancelled),
        ("never seen", is(M::NoTrace, 0, None), 15 * day, Over::NoTrace),
        ("declared, and no more", is(M::Registered, 0, Some(0)), 60 * day, Over::Silent),
        ("lost", is(M::InTransit, 0, Some(0)), 60 * day, Over::Silent),
        ("in a locker", is(M::AtPickupPoint, 0, Some(0)), 5 * day, Over::Uncollected),
    ] {
        assert_eq!(due(&number(), &standing, &calls(Some(asked)), &RULES), Due::Over(want), "{name}");
        if !matches!(want, Over::Returned | Over::Cancelled) {
            let before = due(&number(), &standing, &calls(Some(asked - 120)), &RULES);
            assert!(matches!(before, Due::At(when) if when <= at(asked + 61)), "{name}: one last question");
        }
    }
}

#[test]
fn the_urgent_comes_first() {
    use Milestone as M;
    let h = |hours: i64| hours * 60;
    for (name, standing, now, want) in [
        ("nearly a day without a pickup", is(M::Registered, 0, Some(0)), h(20), 0),
        ("just declared", is(M::Registered, 0, Some(0)), h(2), 1),
        ("nearly stalled", is(M::InTransit, 0, Some(0)), h(70), 0),
        ("scanned lately", is(M::InTransit, 0, Some(0)), h(10), 1),
        ("long stalled", is(M::InTransit, 0, Some(0)), h(100), 1),
        ("delivered", is(M::Delivered, 0, Some(0)), h(24), 2),
    ] {
        assert_eq!(risk(&standing, at(0), &RULES, at(now)), want, "{name}");
    }
}

proptest::proptest! {
    /// Whatever happened, the next call is never nearer than the floor.
    #[test]
    fn never_nearer_than_the_floor(
        milestone in proptest::sample::select(Milestone::ALL.to_vec()),
        since in -100_000_i64..100_000, scanned in proptest::option::of(-100_000_i64..100_000),
        asked in 0_i64..100_000, pushed in proptest::option::of(0_i64..100_000),
    ) {
        let calls = Calls { pushed_since: pushed.map(at), ..calls(Some(asked)) };
        if let Due::At(when) = due(&number(), &is(milestone, since, scanned), &calls, &RULES) {
            proptest::prop_assert!(when >= at(asked) + RULES.floor);
        }
    }
}
