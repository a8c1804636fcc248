//! What holds whatever was learned.

use jiff::tz::TimeZone;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::core::parcel::Route;
use crate::core::time::{Instant, Span};

/// 2026-01-05T00:00:00Z, a Monday.
const START: i64 = 1_767_571_200;

fn at(minutes: i64) -> Instant {
    Instant::from_secs(START + minutes * 60)
}

fn route(n: u8) -> Route {
    Route::new(["yto", "sf"][usize::from(n % 2)], &(n / 4).to_string(), &(n % 4).to_string())
}

/// A parcel: which way, when it began, how long it took; minutes.
type Parcel = (u8, i64, i64);

fn parcels() -> impl Strategy<Value = Vec<Parcel>> {
    vec((0..8_u8, 0..60 * 1440_i64, 60..20 * 1440_i64), 250..600)
}

/// All events up to `until`, in their order: the instant, the parcel, whether it is its end.
fn events(parcels: &[Parcel], until: i64) -> Vec<(i64, Parcel, bool)> {
    let mut events: Vec<_> = parcels
        .iter()
        .flat_map(|p| [(p.1, *p, false), (p.1 + p.2, *p, true)])
        .filter(|e| e.0 < until)
        .collect();
    events.sort_unstable();
    events
}

fn tell(model: &mut Lateness, (now, (way, began, took), is_end): (i64, Parcel, bool)) {
    model.advance(&TimeZone::UTC, at(now));
    match is_end {
        false => model.began(route(way), at(began)),
        true => model.delivered(route(way), at(began), at(began + took)),
    }
}

fn learned(parcels: &[Parcel], until: i64) -> Lateness {
    let mut model = Lateness::default();
    for event in events(parcels, until) {
        tell(&mut model, event);
    }
    model.advance(&TimeZone::UTC, at(until));
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_chance_never_falls_while_a_parcel_waits(
        parcels in parcels(),
        way in 0..9_u8,
        began in 50 * 1440..60 * 1440_i64,
        promised in 60..40 * 1440_i64,
    ) {
        let model = learned(&parcels, 60 * 1440);
        let Some(forecast) = model.forecast(route(way)) else { return Ok(()) };
        let promise = at(began + promised);
        let mut before = 0.0;
        for step in 0..=40 {
            let chance = forecast.chance(at(began), promise, at(began + promised * step / 40));
            prop_assert!((before..=1.0).contains(&chance), "{chance} after {before}");
            before = chance;
        }
        prop_assert_eq!(before, 1.0);
        // A later promise is never less likely to be kept.
        let later = forecast.chance(at(began), promise + Span::DAY, at(began));
        prop_assert!(later <= forecast.chance(at(began), promise, at(began)) + 1e-12);
    }

    #[test]
    fn the_instant_found_is_the_first_at_which_the_level_is_reached(
        parcels in parcels(),
        way in 0..9_u8,
        began in 50 * 1440..60 * 1440_i64,
        promised in 60..40 * 1440_i64,
        level in 0.05..0.95_f64,
    ) {
        let model = learned(&parcels, 60 * 1440);
        let Some(forecast) = model.forecast(route(way)) else { return Ok(()) };
        let (began, promise) = (at(began), at(began + promised));
        let chance = |at| forecast.chance(began, promise, at);
        match forecast.reaches(level, began, promise, began) {
            Some(found) => {
                prop_assert!(chance(found) >= level - 1e-9, "{} at {found}", chance(found));
                let before = Instant::from_millis(found.as_millis() - 2 * 60_000);
                prop_assert!(before < began || chance(before) < level + 1e-9, "{} before", chance(before));
            }
            None => prop_assert!(chance(promise - Span::from_minutes(2)) <= level + 1e-9),
        }
    }

    #[test]
    fn the_order_of_a_days_events_does_not_matter(
        parcels in parcels(),
        shuffle in any::<u64>(),
    ) {
        let until = 62 * 1440;
        let mut shuffled = events(&parcels, until);
        shuffled.sort_by_key(|(now, parcel, is_end)| {
            let mixed = (*now as u64 ^ parcel.2 as u64 ^ u64::from(*is_end)).wrapping_mul(shuffle | 1);
            (now / 1440, mixed.rotate_left(17))
        });
        let mut model = Lateness::default();
        for event in shuffled {
            tell(&mut model, event);
        }
        model.advance(&TimeZone::UTC, at(until));
        prop_assert_eq!(model, learned(&parcels, until));
    }

    #[test]
    fn nothing_is_known_of_the_day_that_is_not_over(parcels in parcels(), way in 0..9_u8) {
        let until = 40 * 1440;
        let before = learned(&parcels, until);
        let mut model = before.clone();
        // A day of other events than those that came.
        for (way, began, _) in &parcels {
            model.delivered(route(*way), at(*began), at(until + 600));
            model.began(route(7 - way), at(until + 30));
        }
        let see = |model: &Lateness| model.forecast(route(way)).map(|forecast| forecast.chance(
            at(until - 9000), at(until + 5000), at(until + 700),
        ));
        prop_assert!(!model.advance(&TimeZone::UTC, at(until + 1439)));
        prop_assert_eq!(see(&model), see(&before));
    }

    #[test]
    fn a_stored_model_goes_on_as_if_it_had_not_been(parcels in parcels(), cut in 1..59_i64) {
        let (all, until) = (events(&parcels, 60 * 1440), 60 * 1440);
        let mut model = Lateness::default();
        for event in all {
            if event.0 >= cut * 1440 + 500 {
                let stored = postcard::to_allocvec(&model).unwrap();
                model = postcard::from_bytes(&stored).unwrap();
            }
            tell(&mut model, event);
        }
        model.advance(&TimeZone::UTC, at(until));
        prop_assert_eq!(model, learned(&parcels, until));
    }
}

#[test]
fn a_slow_lane_is_told_apart_and_a_new_one_is_like_its_region() {
    let mut parcels: Vec<Parcel> = Vec::new();
    for n in 0..4000_i64 {
        // Lane 0 takes 3 days, lane 2 takes 9, both of one carrier; n spreads them over 60 days and 10 hours.
        parcels.push((0, n * 21, 3 * 1440 + n % 600));
        parcels.push((2, n * 21, 9 * 1440 + n % 600));
    }
    let model = learned(&parcels, 60 * 1440);
    let (began, promise) = (at(58 * 1440), at(63 * 1440));
    let chance = |way: Route| model.forecast(way).unwrap().chance(began, promise, at(60 * 1440));
    assert!(chance(route(0)) < 0.1, "{}", chance(route(0)));
    assert!(chance(route(2)) > 0.9, "{}", chance(route(2)));
    // Never seen: from elsewhere into the slow region, and into no region of this carrier at all.
    let into_slow = Route::new("yto", "new", "2");
    assert!(chance(into_slow) > 0.9, "{}", chance(into_slow));
    let nowhere = chance(Route::new("yto", "new", "new"));
    assert!((0.2..0.8).contains(&nowhere), "{nowhere}");
    let nine_of_ten = model.forecast(route(0)).unwrap().age_of(0.9).unwrap();
    assert!((3..5).contains(&(nine_of_ten.as_secs() / 86_400)), "{nine_of_ten}");
}

#[test]
fn a_week_of_jams_raises_the_chance_and_is_forgotten() {
    let parcel = |n: i64, took: i64| (0_u8, n * 10, took + n * 7919 % 2880);
    let mut parcels: Vec<Parcel> = (0..8640).map(|n| parcel(n, 2 * 1440)).collect();
    let calm = learned(&parcels, 60 * 1440);
    // From day 50 on nothing arrives before its sixth day.
    parcels.iter_mut().filter(|p| p.1 > 48 * 1440).for_each(|p| p.2 += 4 * 1440);
    let jam = learned(&parcels, 60 * 1440);
    let surge = |model: &Lateness| model.forecast(route(0)).unwrap().surge();
    assert!((0.9..1.1).contains(&surge(&calm)), "{}", surge(&calm));
    assert!(surge(&jam) < 0.8, "{}", surge(&jam));
    // Days without any event are no jam: nobody told anything.
    let mut later = jam.clone();
    for day in 61..160 {
        later.advance(&TimeZone::UTC, at(day * 1440));
    }
    assert!(surge(&later) > 0.9, "{}", surge(&later));
}

#[test]
fn with_no_data_there_is_a_countdown_and_nothing_else() {
    let notice = Notice::default();
    let model = learned(&[(0, 0, 3000); 150], 10 * 1440);
    assert!(model.forecast(route(0)).is_none(), "150 parcels are no ground for a chance");
    let (began, promise) = (at(0), at(10 * 1440));
    for (now, want) in [
        (began, Some(promise - notice.ahead)),
        (promise - Span::DAY, Some(promise - Span::DAY)),
        (promise, None),
    ] {
        let alarm = notice.alarm_at(model.forecast(route(0)).as_ref(), began, promise, now);
        assert_eq!(alarm, want.map(|at| Alarm { at, reason: Reason::Countdown }));
    }
}

#[test]
fn each_reason_has_its_instant() {
    let parcels: Vec<Parcel> = (0..3000).map(|n| (0, n * 28, 5 * 1440 + n % 1440)).collect();
    let model = learned(&parcels, 60 * 1440);
    let forecast = model.forecast(route(0));
    let notice = Notice::default();
    for (name, began, promise, want) in [
        ("promised far too early", 60 * 24, 64 * 24, Reason::Early),
        ("in good time", 60 * 24, 66 * 24 + 12, Reason::LastCall),
    ] {
        let (began, promise) = (at(began * 60), at(promise * 60));
        let alarm = notice.alarm_at(forecast.as_ref(), began, promise, began).unwrap();
        assert_eq!(alarm.reason, want, "{name}");
        assert!(began <= alarm.at && alarm.at <= promise - notice.last, "{name}");
    }
    let sure = Notice { early: 1.0, level: 0.9, ..notice };
    let (began, promise) = (at(60 * 1440), at(64 * 1440));
    let alarm = sure.alarm_at(forecast.as_ref(), began, promise, began).unwrap();
    assert_eq!((alarm.at, alarm.reason), (promise - sure.ahead, Reason::Likely));
}

#[test]
fn memory_is_bounded_and_what_is_absurd_is_left_out() {
    let mut model = Lateness::default();
    model.advance(&TimeZone::UTC, at(0));
    for n in 0..LANES as i64 * 3 / 2 {
        model.began(Route::new("yto", &n.to_string(), &(n % 31).to_string()), at(n % 1440));
    }
    model.delivered(route(0), Instant::MIN, at(5));
    model.delivered(route(0), Instant::from_secs(0), at(5));
    model.delivered(route(0), at(9), at(5));
    model.began(route(0), at(80_000_000));
    model.left(route(0), at(5), Instant::MAX);
    model.advance(&TimeZone::UTC, at(1440));
    assert!(model.lane_count() <= LANES + LANES / 4, "{}", model.lane_count());
    let many = postcard::to_allocvec(&model).unwrap().len();
    // Parcels that never end are given up.
    model.advance(&TimeZone::UTC, at(100 * 1440));
    model.advance(&TimeZone::UTC, at(101 * 1440));
    let few = postcard::to_allocvec(&model).unwrap().len();
    assert!(few + LANES < many, "{few} bytes after {many}");
    // A clock that goes astray does not make it learn for centuries, nor go back.
    assert!(model.advance(&TimeZone::UTC, Instant::from_secs(4_000_000_000)));
    assert!(!model.advance(&TimeZone::UTC, at(0)));
    assert!(!model.advance(&TimeZone::UTC, Instant::MAX));
}

#[test]
fn days_follow_the_clocks_of_the_zone() {
    let zone = TimeZone::get("America/Sao_Paulo").unwrap();
    let mut model = Lateness::default();
    let mut now: Instant = "2017-10-01T12:00:00Z".parse().unwrap();
    model.advance(&zone, now);
    for _ in 0..400 {
        let next = model.next_change().unwrap();
        let length = next.since(now).as_secs();
        assert!((11 * 3600..=25 * 3600).contains(&length), "{now} to {next}");
        assert!(!model.advance(&zone, next - Span::MINUTE));
        assert!(model.advance(&zone, next));
        assert_eq!(zone.to_datetime(next.to_timestamp()).hour() % 23, 0, "{next}");
        now = next;
    }
}

#[test]
fn a_model_that_cannot_be_is_refused() {
    let mut model = serde_json::to_value(learned(&[(0, 0, 3000); 300], 10 * 1440)).unwrap();
    assert!(serde_json::from_value::<Lateness>(model.clone()).is_ok());
    model["lanes"][1]["parent"] = 77.into();
    let err = serde_json::from_value::<Lateness>(model).unwrap_err().to_string();
    assert!(err.contains("learn them again by a replay"), "{err}");
}

#[test]
fn an_event_at_midnight_itself_does_not_hide_the_new_day() {
    let mut lookout = Lookout::new(vec![Rule::Countdown(Span::DAY.times(3))], TimeZone::UTC);
    let facts = |promise| Facts {
        route: Some(route(0)),
        began: Some(at(600)),
        promise: Some(at(promise)),
        ..Facts::default()
    };
    lookout.changed(1, &Facts::default(), &facts(5 * 1440 + 30), at(600));
    // At the very midnight something is seen before the midnight is: the alarm half an hour later is due all the same.
    lookout.advance(at(1440));
    lookout.changed(2, &Facts::default(), &facts(9 * 1440), at(2 * 1440));
    let told = lookout.advance(at(3 * 1440));
    assert_eq!(told.iter().map(|t| (t.parcel, t.alarm.at)).collect::<Vec<_>>(), [(1, at(2 * 1440 + 30))]);
}

#[test]
fn a_promise_made_anew_is_told_anew_and_what_ended_is_not() {
    let rule = Rule::Countdown(Span::DAY);
    let mut lookout = Lookout::new(vec![rule], TimeZone::UTC);
    let mut now = at(600);
    let mut before = Facts::default();
    let mut change = |lookout: &mut Lookout, to: Facts, minutes: i64| {
        now = now.max(at(minutes));
        let told = lookout.advance(now).len();
        lookout.changed(1, &before, &to, now);
        before = to;
        told
    };
    let begun = Facts { route: Some(route(0)), began: Some(at(600)), ..Facts::default() };
    let promised = |day: i64| Facts { promise: Some(at(day * 1440)), ..begun };
    assert_eq!(change(&mut lookout, promised(3), 600), 0);
    assert_eq!(change(&mut lookout, promised(3), 2 * 1440 + 1), 1, "a day before");
    assert_eq!(change(&mut lookout, promised(5), 2 * 1440 + 2), 0);
    assert_eq!(change(&mut lookout, promised(6), 3 * 1440), 0, "put off before it was due");
    assert_eq!(change(&mut lookout, promised(6), 5 * 1440 - 1), 0);
    assert_eq!(change(&mut lookout, promised(6), 5 * 1440 + 1), 1, "told of the new promise");
    assert_eq!(change(&mut lookout, promised(9), 5 * 1440 + 2), 0);
    let over = Facts { delivered: Some(at(7 * 1440)), ..promised(9) };
    assert_eq!(change(&mut lookout, over, 7 * 1440), 0);
    assert_eq!(change(&mut lookout, over, 20 * 1440), 0, "it has arrived");
}

#[test]
fn a_lookout_goes_on_where_it_was_stored() {
    let rules = || vec![Rule::Notice(Notice::default()), Rule::Chance(0.5)];
    let mut whole = Lookout::new(rules(), TimeZone::UTC);
    let mut facts: std::collections::BTreeMap<u32, Facts> = Default::default();
    let mut told_before = std::collections::BTreeSet::new();
    let parcels: Vec<Parcel> = (0..1500).map(|n| ((n % 8) as u8, n * 40, 2880 + n * 7919 % 7000)).collect();
    let mut resumed: Option<Lookout> = None;
    for (now, (way, began, took), is_end) in events(&parcels, 45 * 1440) {
        if resumed.is_none() && now > 30 * 1440 + 100 {
            let stored = postcard::to_allocvec(whole.model()).unwrap();
            let mut other = Lookout::resume(rules(), TimeZone::UTC, postcard::from_bytes(&stored).unwrap());
            for (parcel, facts) in &facts {
                other.watch_again(*parcel, facts, |rule| told_before.contains(&(*parcel, rule)), at(now - 1));
            }
            resumed = Some(other);
        }
        let parcel = (began / 40) as u32;
        let before = facts.get(&parcel).copied().unwrap_or_default();
        let mut after = Facts { route: Some(route(way)), began: Some(at(began)), ..before };
        after.promise = Some(at(began + 5 * 1440));
        after.delivered = is_end.then(|| at(began + took));
        facts.insert(parcel, after);
        let told = whole.advance(at(now - 1));
        if let Some(other) = &mut resumed {
            assert_eq!(other.advance(at(now - 1)), told, "at {}", at(now));
            other.changed(parcel, &before, &after, at(now));
        }
        told_before.extend(told.iter().map(|t| (t.parcel, t.rule)));
        whole.changed(parcel, &before, &after, at(now));
    }
    assert!(resumed.is_some() && told_before.len() > 300, "{}", told_before.len());
}
