//! L1–L5 over random calendars, and the zone reading of C9 against jiff's own.

use jiff::ToSpan as _;
use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::super::civil::{Offsets, date_of, day_number};
use super::super::{CalendarConfig, IntervalConfig, hours};
use super::*;
use crate::core::time::Span;

const ZONES: [&str; 6] = [
    "Asia/Shanghai",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Sao_Paulo",
];
const FIRST_YEAR: i16 = 2017;
const END_YEAR: i16 = 2020;

/// Minutes of a day as `HH:MM`.
fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// Zero to three intervals that do not overlap; the last may run past midnight.
fn day_hours() -> impl Strategy<Value = Vec<IntervalConfig>> {
    prop_oneof![
        1 => Just(Vec::new()),
        1 => Just(vec![IntervalConfig::new("00:00", "24:00")]),
        // Around the hours at which zones change.
        1 => Just(vec![IntervalConfig::new("00:00", "02:15"), IntervalConfig::new("02:30", "03:00")]),
        5 => (proptest::collection::btree_set(0u32..1440, 2..=6), 0u32..720).prop_map(|(edges, night)| {
            let edges: Vec<u32> = edges.into_iter().collect();
            let mut list: Vec<IntervalConfig> =
                edges.chunks_exact(2).map(|pair| IntervalConfig::new(&clock(pair[0]), &clock(pair[1]))).collect();
            if let [.., last] = list.as_mut_slice()
                && night < edges[0]
            {
                last.1 = clock(night).as_str().into();
            }
            list
        }),
    ]
}

fn any_calendar() -> impl Strategy<Value = Calendar> {
    let weekly = proptest::collection::vec(day_hours(), 7);
    let overrides = proptest::collection::vec((0..1095i32, day_hours()), 0..12);
    (0..ZONES.len(), weekly, overrides).prop_map(|(zone, weekly, overrides)| {
        let first = day_number(jiff::civil::date(FIRST_YEAR, 1, 1));
        let config = CalendarConfig {
            tz: ZONES[zone].to_owned(),
            weekly: hours::WEEKDAYS.iter().map(|day| (*day).to_owned()).zip(weekly).collect(),
            overrides: overrides
                .into_iter()
                .map(|(day, list)| (date_of(first + day).to_string(), list))
                .collect(),
            ..CalendarConfig::default()
        };
        let mut problems = Problems::new();
        let era = Era::years(FIRST_YEAR, END_YEAR);
        let calendar = Calendar::compile("random", &config, &BTreeMap::new(), era, &mut problems);
        calendar.unwrap_or_else(|| panic!("{config:?}: {problems:?}"))
    })
}

/// Milliseconds; half of them on a minute, where the edges are. A week short of the era's ends, beyond
/// which the brute force would count what no calendar does.
fn any_instant() -> impl Strategy<Value = Instant> {
    let from = 1_483_900_000_000i64;
    let to = 1_577_200_000_000i64;
    prop_oneof![from..to, (from / 60_000..to / 60_000).prop_map(|m| m * 60_000)]
        .prop_map(Instant::from_millis)
}

fn any_span() -> impl Strategy<Value = Span> {
    prop_oneof![1..4_000_000_000i64, (1..200_000i64).prop_map(|m| m * 60_000)].prop_map(Span::from_millis)
}

/// The open minutes of `[a, b)`, both on a minute, counted one by one: for each minute, whether an
/// interval of the dates around it holds it. Shares nothing with the open set but the reading of dates.
fn count_minutes(calendar: &Calendar, a: Instant, b: Instant) -> i64 {
    let first = civil::local(calendar.zone(), a).date().saturating_sub(2.days());
    let last = civil::local(calendar.zone(), b).date().saturating_add(1.days());
    let days: Vec<(Instant, Instant)> = first
        .series(1.day())
        .take_while(|date| *date <= last)
        .flat_map(|date| by_the_book(calendar, date))
        .collect();
    let mut t = a;
    let mut open = 0;
    while t < b {
        open += i64::from(days.iter().any(|(from, to)| *from <= t && t < *to));
        t = t + Span::MINUTE;
    }
    open
}

/// The intervals of a date with jiff's own reading of local times, "compatible" for gap and overlap.
fn by_the_book(calendar: &Calendar, date: jiff::civil::Date) -> Vec<(Instant, Instant)> {
    let (_, list) = calendar.rules.on(day_number(date));
    let edge = |seconds: u32| {
        let local = date.at(0, 0, 0, 0) + i64::from(seconds).seconds();
        Instant::from_timestamp(local.to_zoned(calendar.zone().clone()).unwrap().timestamp())
    };
    list.iter().map(|h| (edge(h.from), edge(h.to))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn l1_add_then_measure(calendar in any_calendar(), t in any_instant(), d in any_span()) {
        if let Some(u) = calendar.add(t, d) {
            prop_assert_eq!(calendar.elapsed(t, u), d);
            // The first such instant: a moment before, something was left.
            prop_assert!(calendar.elapsed(t, u - Span::MILLISECOND) < d);
            prop_assert!(calendar.works_until(u));
        }
        if let Some(u) = calendar.back(t, d) {
            prop_assert_eq!(calendar.elapsed(u, t), d);
            prop_assert!(calendar.elapsed(u + Span::MILLISECOND, t) < d);
            prop_assert!(calendar.is_open(u));
        }
    }

    #[test]
    fn l2_parts_add_up(calendar in any_calendar(), mut at in [any_instant(), any_instant(), any_instant()],
                       t in any_instant(), a in any_span(), b in any_span()) {
        at.sort();
        let [x, y, z] = at;
        prop_assert_eq!(calendar.elapsed(x, y) + calendar.elapsed(y, z), calendar.elapsed(x, z));
        if let Some(whole) = calendar.add(t, a + b) {
            prop_assert_eq!(calendar.add(t, a).and_then(|u| calendar.add(u, b)), Some(whole));
        }
        if let Some(whole) = calendar.back(t, a + b) {
            prop_assert_eq!(calendar.back(t, a).and_then(|u| calendar.back(u, b)), Some(whole));
        }
    }

    #[test]
    fn l3_monotone(calendar in any_calendar(), mut ts in [any_instant(), any_instant()],
                   mut ds in [any_span(), any_span()]) {
        ts.sort();
        ds.sort();
        let near = calendar.add(ts[0], ds[0]);
        if let (Some(near), Some(far)) = (near, calendar.add(ts[1], ds[0])) {
            prop_assert!(near <= far);
        }
        if let (Some(near), Some(far)) = (near, calendar.add(ts[0], ds[1])) {
            prop_assert!(near <= far);
        }
        if let Some(near) = near {
            prop_assert!(ts[0] + ds[0] <= near);
        }
        prop_assert_eq!(named("U").add(ts[0], ds[0]), Some(ts[0] + ds[0]));
    }

    #[test]
    fn l4_back_undoes_add(calendar in any_calendar(), t in any_instant(), d in any_span()) {
        if let Some(u) = calendar.add(t, d) {
            let back = calendar.back(u, d);
            if let Some(back) = back {
                prop_assert!(back >= t);
            }
            if calendar.is_open(t) {
                prop_assert_eq!(back, Some(t));
            }
        }
    }

    #[test]
    fn l5_brute_force(calendar in any_calendar(), t in any_instant(), minutes in 0..6000i64) {
        let a = Instant::from_millis(t.as_millis() / 60_000 * 60_000);
        let b = a + Span::from_minutes(minutes);
        let open = count_minutes(&calendar, a, b);
        prop_assert_eq!(calendar.elapsed(a, b), Span::from_minutes(open));
        let pieces: Vec<_> = calendar.open_between(a, b).collect();
        prop_assert_eq!(pieces.iter().map(|(from, to)| to.since(*from)).sum::<Span>(), Span::from_minutes(open));
        // C4: in order, and no two touch.
        prop_assert!(pieces.windows(2).all(|pair| pair[0].1 < pair[1].0));
        prop_assert!(pieces.iter().all(|(from, to)| a <= *from && from < to && *to <= b));
    }

    #[test]
    fn l5_at_the_changes_of_offset(calendar in any_calendar(), which in 0..12usize, before in 0..3000i64) {
        let from = Instant::from_secs(1_483_300_000).to_timestamp();
        let Some(change) = calendar.zone().following(from).nth(which) else { return Ok(()) };
        let change = Instant::from_timestamp(change.timestamp());
        if change > Instant::from_secs(1_577_200_000) {
            return Ok(());
        }
        let a = change - Span::from_minutes(before);
        let b = change + Span::from_minutes(3000);
        let open = count_minutes(&calendar, a, b);
        prop_assert_eq!(calendar.elapsed(a, b), Span::from_minutes(open));
        let first = civil::local(calendar.zone(), a).date();
        for date in first.series(1.day()).take(4) {
            let want: Vec<_> = by_the_book(&calendar, date).into_iter().filter(|(from, to)| from < to).collect();
            prop_assert_eq!(calendar.day(date).intervals, want);
        }
    }
}

#[test]
fn c9_offsets_agree_with_jiff_in_every_zone() {
    let bundled = TimeZoneDatabase::bundled();
    let era = Era::years(1999, 2045);
    let mut turns = 0;
    for name in bundled.available() {
        let zone = bundled.get(name.as_str()).unwrap();
        let offsets = Offsets::of(&zone, era);
        let agree = |local: i64| {
            let at = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0) + local.seconds();
            let want = civil::instant(&zone, at).unwrap().as_secs();
            assert_eq!(offsets.to_secs(local), want, "{name} {at}");
        };
        let from = Instant::parse("1999-01-01T00:00:00Z").unwrap().to_timestamp();
        for change in zone.following(from).take_while(|change| change.timestamp().as_second() < 2_360_000_000)
        {
            for offset in [
                -26_000, -7201, -7200, -3601, -3600, -1801, -1800, -1, 0, 1, 1799, 1800, 3599, 3600, 7200,
                26_000,
            ] {
                let at = change.timestamp().as_second() + offset;
                agree(at + i64::from(change.offset().seconds()));
            }
            turns += 1;
        }
        for step in 0..400 {
            agree(915_148_800 + step * 3_600_000);
        }
    }
    assert!(turns > 10_000, "{turns}");
}
