//! E1–E35 of `sla_semantics` §13.1, a line each.

use super::*;
use crate::core::time::Span;

/// A question to a calendar, and its answer as text.
enum Ask<'a> {
    Add(&'a str, i64),
    Back(&'a str, i64),
    /// Minutes of open time between.
    Elapsed(&'a str, &'a str),
    NextOpen(&'a str),
    IsOpen(&'a str),
}
use Ask::{Add, Back, Elapsed, IsOpen, NextOpen};

fn answer(calendar: &Calendar, ask: &Ask<'_>) -> String {
    let t = |text: &str| at(calendar, text);
    let shown = |u: Option<Instant>| u.map_or("unreachable".to_owned(), |u| local(calendar, u));
    match ask {
        Add(start, minutes) => shown(calendar.add(t(start), Span::from_minutes(*minutes))),
        Back(end, minutes) => shown(calendar.back(t(end), Span::from_minutes(*minutes))),
        Elapsed(a, b) => calendar.elapsed(t(a), t(b)).to_string(),
        NextOpen(start) => shown(calendar.next_open(t(start))),
        IsOpen(start) => calendar.is_open(t(start)).to_string(),
    }
}

#[test]
fn worked_examples() {
    for (id, name, ask, want) in [
        ("E1", "D", Add("2026-03-02 20:50", 30), "2026-03-03 09:20"),
        ("E2", "D", Add("2026-03-02 20:30", 30), "2026-03-02 21:00"),
        ("E3", "D", Add("2026-03-02 21:00", 1), "2026-03-03 09:01"),
        ("E4", "D", Add("2026-03-02 03:00", 720), "2026-03-02 21:00"),
        ("E5 closing", "D", IsOpen("2026-03-02 21:00"), "false"),
        ("E5 opening", "D", IsOpen("2026-03-02 09:00"), "true"),
        ("E6", "D", Elapsed("2026-03-02 22:00", "2026-03-03 08:00"), "0s"),
        ("E7", "D", Elapsed("2026-03-03 12:00", "2026-03-02 12:00"), "0s"),
        ("E8", "D", Add("2026-03-02 23:10", 0), "2026-03-02 23:10"),
        ("E9", "D", Back("2026-03-03 09:10", 30), "2026-03-02 20:40"),
        ("E10", "D", Back("2026-03-03 09:30", 30), "2026-03-03 09:00"),
        ("A5 zero", "D", Back("2026-03-02 23:10", 0), "2026-03-02 23:10"),
        ("A5 whole shift", "D", Back("2026-03-03 09:00", 720), "2026-03-02 09:00"),
        ("E11", "O", Add("2026-02-13 17:30", 60), "2026-02-14 09:30"),
        ("E12", "O", Add("2026-02-14 17:30", 60), "2026-02-24 09:30"),
        ("E13", "O", Elapsed("2026-02-13 09:00", "2026-02-24 18:00"), "27h"),
        ("E14", "O", NextOpen("2026-02-15 10:00"), "2026-02-24 09:00"),
        ("E15", "O", Add("2024-02-09 17:00", 120), "2024-02-18 10:00"),
        ("E16", "O", Add("2025-09-30 17:50", 30), "2025-10-09 09:20"),
        ("E17", "O", Add("2025-10-11 08:00", 60), "2025-10-11 10:00"),
        ("E18", "M", Elapsed("2026-02-13 18:00", "2026-02-15 00:00"), "6h"),
        ("E19", "S", Add("2026-03-04 11:30", 60), "2026-03-04 13:30"),
        ("E20", "S", Add("2026-03-04 11:00", 60), "2026-03-04 12:00"),
        ("E21", "S", Elapsed("2026-03-04 11:30", "2026-03-04 13:30"), "1h"),
        ("E22", "N", Add("2026-03-02 23:30", 120), "2026-03-03 01:30"),
        ("E23", "N", Add("2026-03-03 01:30", 60), "2026-03-03 20:30"),
        ("E24", "N", Elapsed("2026-03-03 00:00", "2026-03-04 00:00"), "6h"),
        ("E25", "W", Add("2024-09-27 23:00", 360), "2024-09-29 23:00"),
        ("E26", "W", Elapsed("2024-09-30 22:00", "2024-10-01 12:00"), "6h"),
        ("E27", "NY", Add("2026-03-06 16:30", 60), "2026-03-09 09:30"),
        ("E28", "NYN", Elapsed("2026-03-07 22:00", "2026-03-08 06:00"), "7h"),
        ("E29", "NYN", Elapsed("2026-10-31 22:00", "2026-11-01 06:00"), "9h"),
        ("E30 spring", "B", Elapsed("2026-03-29 00:00", "2026-03-30 00:00"), "3h"),
        ("E30 autumn", "B", Elapsed("2026-10-25 00:00", "2026-10-26 00:00"), "5h"),
        ("E31", "B24", Add("2026-03-28 12:00", 1440), "2026-03-29 13:00"),
        ("E32 opening", "NY0230", NextOpen("2026-03-08 00:00"), "2026-03-08 03:30"),
        ("E32 length", "NY0230", Elapsed("2026-03-08 00:00", "2026-03-08 12:00"), "6h 30m"),
        ("E33 length", "NY0130", Elapsed("2026-11-01 00:00", "2026-11-01 12:00"), "9h 30m"),
        ("E34 U", "U", Add("2026-02-13 15:00", 48 * 60), "2026-02-15 15:00"),
        ("E34 O24", "O24", Add("2026-02-13 15:00", 48 * 60), "2026-02-24 15:00"),
        ("E35", "O24", Add("2026-09-24 18:00", 48 * 60), "2026-09-29 18:00"),
        ("D18", "D18", Add("2026-03-02 17:30", 60), "2026-03-03 09:30"),
    ] {
        assert_eq!(answer(&named(name), &ask), want, "{id}");
    }
}

#[test]
fn e33_the_doubled_hour_opens_at_its_first_reading() {
    let calendar = named("NY0130");
    let midnight = at(&calendar, "2026-11-01 00:00");
    // 01:30 EDT is UTC-4.
    assert_eq!(calendar.next_open(midnight), Some(Instant::parse("2026-11-01T05:30:00Z").unwrap()));
}

#[test]
fn a7_works_until() {
    for (name, t, want) in [
        ("D", "2026-03-02 21:00", true),
        ("D", "2026-03-02 21:00:00.001", false),
        ("D", "2026-03-02 09:00", false),
        ("D", "2026-03-02 09:00:00.001", true),
        ("S", "2026-03-04 12:00", true),
        ("S", "2026-03-04 13:00", false),
        ("O24", "2026-02-15 00:00", true),
        ("U", "2026-02-15 00:00", true),
    ] {
        let calendar = named(name);
        assert_eq!(calendar.works_until(at(&calendar, t)), want, "{name} {t}");
    }
}

#[test]
fn k22_the_next_time_of_day_that_is_worked() {
    for (name, t, time, want) in [
        ("D", "2026-03-02 08:00", "12:00", Some("2026-03-02 12:00")),
        // Strictly after.
        ("D", "2026-03-02 12:00", "12:00", Some("2026-03-03 12:00")),
        // The closing edge is worked, the opening edge is not.
        ("D", "2026-03-02 12:00", "21:00", Some("2026-03-02 21:00")),
        ("D", "2026-03-02 12:00", "09:00", None),
        ("O", "2026-02-14 13:00", "12:00", Some("2026-02-24 12:00")),
        ("N", "2026-03-02 12:00", "02:00", Some("2026-03-03 02:00")),
        ("W", "2024-09-30 12:00", "03:00", Some("2024-10-01 03:00")),
        ("NY0230", "2026-03-07 12:00", "02:45", Some("2026-03-08 03:45")),
    ] {
        let calendar = named(name);
        let got = calendar.next_at(at(&calendar, t), time.parse().unwrap());
        assert_eq!(got.map(|u| local(&calendar, u)).as_deref(), want, "{name} {t} {time}");
    }
}

#[test]
fn a_working_day_is_the_most_common_one() {
    for (week, want) in [
        ("mon-fri = [['09:00', '18:00']]", Some("9h")),
        ("mon-thu = [['09:00', '18:00']]\nfri = [['09:00', '15:00']]", Some("9h")),
        ("mon = [['09:00', '12:00']]\ntue = [['09:00', '18:00']]", Some("3h")),
        ("mon-tue = [['09:00', '12:00']]\nwed-fri = [['13:00', '18:00']]", Some("5h")),
        ("daily = [['22:00', '06:00']]", Some("8h")),
        ("daily = []", None),
    ] {
        let calendar = calendar(&format!("tz = 'UTC'\n[weekly]\n{week}"));
        assert_eq!(calendar.working_day().map(|s| s.to_string()).as_deref(), want, "{week}");
    }
}

#[test]
fn months_are_added_on_the_wall() {
    for (name, t, months, days, want) in [
        ("D", "2026-01-31 10:00", 1, 0, "2026-02-28 10:00"),
        ("D", "2026-01-31 10:00", 1, 1, "2026-03-01 10:00"),
        ("D", "2024-02-29 10:00", 12, 0, "2025-02-28 10:00"),
        ("D", "2026-03-31 10:00", -1, 0, "2026-02-28 10:00"),
        // The local time of day is kept over a change of offset; the gap goes forward.
        ("NY", "2026-03-07 12:00", 0, 1, "2026-03-08 12:00"),
        ("NY", "2026-02-08 02:30", 1, 0, "2026-03-08 03:30"),
    ] {
        let calendar = named(name);
        let got = calendar.plus_civil(at(&calendar, t), months, days).unwrap();
        assert_eq!(local(&calendar, got), want, "{name} {t} {months} {days}");
    }
    assert_eq!(named("D").plus_civil(Instant::from_secs(0), i32::MAX, 0), None);
}

#[test]
fn a8_beyond_800_days_is_unreachable() {
    let day = 86_400_000;
    let calendar = calendar("tz = 'UTC'\n[overrides]\n2024-01-01 = [['00:00', '01:00']]");
    let opening = at(&calendar, "2024-01-01 00:00");
    let before = |days: i64| opening - Span::from_millis(days * day);
    let after = |days: i64| opening + Span::from_millis(days * day);
    assert_eq!(calendar.next_open(before(800)), Some(opening));
    assert_eq!(calendar.next_open(before(800) - Span::MILLISECOND), None);
    assert_eq!(calendar.add(before(800), Span::MINUTE), None);
    assert_eq!(calendar.add(before(799), Span::MINUTE), Some(opening + Span::MINUTE));
    assert_eq!(calendar.back(after(800), Span::HOUR), Some(opening));
    assert_eq!(calendar.back(after(800) + Span::MILLISECOND, Span::HOUR), None);
    assert_eq!(calendar.add(opening, Span::HOUR + Span::MILLISECOND), None);
    assert_eq!(calendar.back(after(1), Span::HOUR + Span::MILLISECOND), None);
    assert_eq!(calendar.next_at(before(900), "00:30".parse().unwrap()), None);
    assert_eq!(
        calendar.next_at(before(799), "00:30".parse().unwrap()),
        Some(opening + Span::from_minutes(30))
    );
    assert_eq!(named("U").add(opening, Span::from_millis(800 * day)), Some(after(800)));
    assert_eq!(named("U").add(opening, Span::from_millis(800 * day + 1)), None);
}

#[test]
fn instants_outside_the_era_are_closed_and_never_a_panic() {
    let extremes = [Instant::MIN, Instant::MAX, Instant::from_secs(-1 << 40), Instant::from_secs(1 << 40)];
    for name in ["D", "W", "NYN", "U"] {
        let calendar = named(name);
        for t in extremes {
            assert!(!calendar.is_open(t), "{name} {t:?}");
            assert!(!calendar.works_until(t), "{name} {t:?}");
            assert_eq!(calendar.add(t, Span::ZERO), Some(t));
            assert_eq!(calendar.elapsed(t, t + Span::DAY), Span::ZERO);
            let noon = "12:00".parse().unwrap();
            for answer in [
                calendar.add(t, Span::HOUR),
                calendar.back(t, Span::HOUR),
                calendar.next_open(t),
                calendar.next_at(t, noon),
                calendar.add(t, Span::from_millis(i64::MAX)),
                calendar.back(t, Span::from_millis(i64::MAX)),
            ] {
                assert_eq!(answer, None, "{name} {t:?}");
            }
            let _any = calendar.plus_civil(t, 1, 1);
        }
        let whole = calendar.elapsed(Instant::MIN, Instant::MAX);
        assert!(whole > Span::from_secs(86_400 * 365), "{name}");
        assert_eq!(
            calendar.open_between(Instant::MIN, Instant::MAX).map(|(a, b)| b.since(a)).sum::<Span>(),
            whole
        );
    }
}

#[test]
fn around_the_clock() {
    for (text, want) in [
        ("tz = 'America/New_York'\nweekly.daily = [['00:00', '24:00']]", true),
        ("tz = 'Asia/Shanghai'\nweekly.daily = [['09:00', '21:00'], ['21:00', '09:00']]", true),
        ("tz = 'UTC'\nweekly.daily = [['00:00', '23:59']]", false),
        ("tz = 'UTC'\nweekly.daily = [['00:00', '24:00']]\noverrides.2026-03-02 = []", false),
        ("tz = 'UTC'", false),
    ] {
        assert_eq!(calendar(text).is_always_open(), want, "{text}");
    }
    assert!(named("U").is_always_open());
}

#[test]
fn open_between_is_cut_to_what_was_asked() {
    let calendar = named("S");
    for (a, b, want) in [
        ("2026-03-04 10:00", "2026-03-05 10:00", "10:00-12:00 13:00-18:00 09:00-10:00"),
        ("2026-03-04 12:00", "2026-03-04 13:00", ""),
        ("2026-03-04 10:00", "2026-03-04 10:00", ""),
        ("2026-03-04 11:00", "2026-03-04 10:00", ""),
    ] {
        let shown = |t: Instant| local(&calendar, t)[11..].to_owned();
        let got: Vec<String> = calendar
            .open_between(at(&calendar, a), at(&calendar, b))
            .map(|(from, to)| format!("{}-{}", shown(from), shown(to)))
            .collect();
        assert_eq!(got.join(" "), want, "{a} {b}");
    }
}
