//! China's holidays as shipped: the traps of `cn_holidays.md`, and every date against the JSON twin's
//! counts.

use jiff::civil::{Date, Weekday, date};

use super::super::DayKind;
use super::*;

fn worked(calendar: &Calendar, date: Date) -> bool {
    !calendar.day(date).intervals.is_empty()
}

#[test]
fn workdays_per_year() {
    let office = named("O");
    for (year, want) in [(2024, 251), (2025, 248), (2026, 248)] {
        let first = date(year, 1, 1);
        let count = first.series(jiff::ToSpan::days(1)).take_while(|d| d.year() == year);
        assert_eq!(count.filter(|d| worked(&office, *d)).count(), want, "{year}");
    }
}

#[test]
fn make_up_days_and_days_off() {
    let office = named("O");
    let off = |name: &str| DayKind::DayOff { name: name.into() };
    let makeup = |name: &str| DayKind::MakeUp { name: name.into() };
    for (day, want) in [
        (date(2024, 2, 9), DayKind::Weekly),
        (date(2024, 2, 10), off("春节 Spring Festival")),
        (date(2025, 1, 28), off("春节 Spring Festival")),
        (date(2026, 2, 14), makeup("春节 Spring Festival")),
        (date(2026, 2, 15), off("春节 Spring Festival")),
        (date(2026, 2, 23), off("春节 Spring Festival")),
        (date(2026, 2, 24), DayKind::Weekly),
        (date(2026, 2, 28), makeup("春节 Spring Festival")),
        (date(2025, 10, 1), off("国庆节、中秋节 National Day and Mid-Autumn Festival")),
        (date(2025, 10, 8), off("国庆节、中秋节 National Day and Mid-Autumn Festival")),
        (date(2025, 10, 9), DayKind::Weekly),
    ] {
        assert_eq!(office.day(day).kind, want, "{day}");
        assert_eq!(worked(&office, day), !matches!(want, DayKind::DayOff { .. }), "{day}");
    }
}

#[test]
fn a_make_up_sunday_makes_a_week_of_seven_days() {
    let office = named("O");
    for sunday in [
        date(2024, 4, 7),
        date(2024, 4, 28),
        date(2024, 9, 29),
        date(2025, 1, 26),
        date(2025, 4, 27),
        date(2025, 9, 28),
        date(2026, 1, 4),
        date(2026, 9, 20),
    ] {
        assert_eq!(sunday.weekday(), Weekday::Sunday);
        assert!(worked(&office, sunday), "{sunday}");
        assert!(worked(&office, sunday.tomorrow().unwrap()), "{sunday}");
    }
}

#[test]
fn c6_a_desk_without_the_set_works_through_national_day() {
    let desk = named("D");
    for day in 1..=8 {
        assert!(worked(&desk, date(2025, 10, day)));
    }
}

#[test]
fn c7_what_is_covered() {
    let office = named("O");
    for (t, want) in [
        ("2023-12-31 23:59:59.999", false),
        ("2024-01-01 00:00", true),
        ("2026-12-31 23:59:59.999", true),
        ("2027-01-01 00:00", false),
    ] {
        assert_eq!(office.covers(at(&office, t)), want, "{t}");
        // A calendar without sets has nothing to know.
        assert!(named("D").covers(at(&office, t)), "{t}");
    }
    // Still computed beyond, by the week: 2027-10-01 is a Friday.
    assert!(office.is_open(at(&office, "2027-10-01 10:00")));
}

#[test]
fn c1_precedence() {
    let text = r#"
        tz = "Asia/Shanghai"
        holidays = ["cn"]
        makeup_hours = [["10:00", "16:00"]]
        [weekly]
        mon-fri = [["09:00", "18:00"]]
        sat = [["09:00", "11:00"]]
        [overrides]
        2026-02-14 = [["12:00", "13:00"]]
        2026-02-16 = [["08:00", "09:00"]]
        2026-03-04 = []
    "#;
    let calendar = calendar(text);
    for (day, want) in [
        (date(2026, 2, 14), "1h"), // override over make-up day
        (date(2026, 2, 16), "1h"), // override over day off
        (date(2026, 3, 4), "0s"),  // override over the week
        (date(2026, 2, 28), "6h"), // make-up day over the week
        (date(2026, 2, 21), "0s"), // day off over the week
        (date(2026, 3, 7), "2h"),  // the week
        (date(2026, 3, 3), "9h"),
    ] {
        assert_eq!(calendar.day(day).open_for().to_string(), want, "{day}");
    }
}

#[test]
fn calendars_compare_by_what_they_say() {
    let base = "tz = 'Asia/Shanghai'\nweekly.mon-sun = [['13:00', '18:00'], ['09:00', '12:00']]";
    let same = "tz = 'Asia/Shanghai'\nweekly.daily = [['09:00:00', '12:00'], ['13:00', '18:00']]";
    let other = "tz = 'Asia/Shanghai'\nweekly.daily = [['09:00', '12:00'], ['13:00', '18:01']]";
    let zone = "tz = 'Asia/Urumqi'\nweekly.daily = [['09:00', '12:00'], ['13:00', '18:00']]";
    assert_eq!(calendar(base), calendar(same));
    assert_ne!(calendar(base), calendar(other));
    assert_ne!(calendar(base), calendar(zone));
    let titled = format!("title = 'x'\n{base}");
    assert_ne!(calendar(base), calendar(&titled));
    fn shared<T: Send + Sync + std::fmt::Debug>(_: &T) {}
    shared(&calendar(base));
}

#[test]
fn tomls_own_dates_and_times_are_welcome() {
    let set: HolidaySetConfig = toml::from_str(
        "covers = [2026-01-01, 2026-12-31]\ndays_off = [{ date = 2026-10-01, name = '国庆节' }]",
    )
    .unwrap();
    assert_eq!(set.days_off[0].date, Some("2026-10-01".into()));
    let written = toml::to_string(&set).unwrap();
    assert_eq!(toml::from_str::<HolidaySetConfig>(&written).unwrap(), set);
}

#[test]
fn configs_are_written_as_they_are_read_and_described() {
    for text in [
        "tz = 'UTC'",
        "title = 'x'\ntz = 'UTC'\nmakeup_hours = 'as:fri'\nholidays = ['cn']\nweekly.daily = [['09:00', '24:00']]",
        "tz = 'UTC'\nmakeup_hours = [['10:00', '16:00']]\noverrides.2026-01-01 = []",
    ] {
        let config: CalendarConfig = toml::from_str(text).unwrap();
        let written = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<CalendarConfig>(&written).unwrap(), config, "{written}");
    }
    let schema = schemars::schema_for!(CalendarConfig).to_value().to_string();
    for part in ["as:(mon|tue", "\"additionalProperties\":false", "IANA name"] {
        assert!(schema.contains(part), "{part}: {schema}");
    }
}
