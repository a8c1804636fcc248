//! Everything §2.5 refuses or warns of: the key it is told at, and a part of the text.

use super::*;
use crate::core::problem::Severity::{self, Error, Warning};

fn told(problems: &[Problem]) -> Vec<(Severity, String, String)> {
    problems.iter().map(|p| (p.severity, p.path.to_string(), p.text.clone())).collect()
}

/// Every expected problem is there, in order, and no other.
fn expect(example: &str, got: &[Problem], want: &[(Severity, &str, &str)]) {
    let got = told(got);
    let matches =
        |((severity, path, text), (s, p, t)): (&(Severity, String, String), &(Severity, &str, &str))| {
            severity == s && path == p && text.contains(t)
        };
    assert!(got.len() == want.len() && got.iter().zip(want).all(matches), "{example}\n{got:#?}");
}

#[test]
fn refused_at_compile() {
    for (text, want) in [
        ("tz = 'Asia/Beijing'", &[(Error, "tz", "`Asia/Beijing` is not a time zone")][..]),
        ("tz = '+08:00'", &[(Error, "tz", "not a time zone")]),
        ("tz = ''", &[(Error, "tz", "not a time zone")]),
        (
            "tz = 'UTC'\nweekly.mon = [['9:00', '18:00']]",
            &[(Error, "weekly.mon[0][0]", "`9:00` is not a time")],
        ),
        ("tz = 'UTC'\nweekly.mon = [['22:00', '28:00']]", &[(Error, "weekly.mon[0][1]", "`28:00` is not")]),
        ("tz = 'UTC'\nweekly.mon = [['24:00', '02:00']]", &[(Error, "weekly.mon[0]", "opens at 24:00")]),
        ("tz = 'UTC'\nweekly.mon = [['09:00', '09:00']]", &[(Error, "weekly.mon[0]", "for a full day")]),
        ("tz = 'UTC'\nweekly.mon = [['00:00', '00:00']]", &[(Error, "weekly.mon[0]", "for a full day")]),
        (
            "tz = 'UTC'\nweekly.mon = [['09:00', '12:00'], ['11:59', '18:00']]",
            &[(Error, "weekly.mon[1]", r#"["11:59", "18:00"] overlaps ["09:00", "12:00"]"#)],
        ),
        (
            "tz = 'UTC'\nweekly.mon = [['22:00', '04:00'], ['23:00', '23:30']]",
            &[(Error, "weekly.mon[1]", "overlaps")],
        ),
        // Neither touching nor another date's is an overlap.
        ("tz = 'UTC'\nweekly.mon = [['09:00', '12:00'], ['12:00', '18:00']]", &[]),
        ("tz = 'UTC'\nweekly.daily = [['22:00', '04:00'], ['02:00', '05:00']]", &[]),
        ("tz = 'UTC'\nweekly.monday = [['09:00', '12:00']]", &[(Error, "weekly.monday", "mon, tue, wed")]),
        (
            "tz = 'UTC'\nweekly.mon-wed = []\nweekly.wed-fri = [['09:00', '12:00']]",
            &[(Error, "weekly.wed-fri", "wed")],
        ),
        (
            "tz = 'UTC'\nweekly.mon-thu = []\nweekly.sun-wed = [['09:00', '12:00']]\n\
             weekly.mon = []\nweekly.tue = []\nweekly.wed = []",
            &[],
        ),
        ("tz = 'UTC'\nweekly.mon-fri = []\nweekly.wed = [['09:00', '12:00']]", &[]),
        ("tz = 'UTC'\noverrides.2026-02-30 = []", &[(Error, "overrides.2026-02-30", "YYYY-MM-DD")]),
        ("tz = 'UTC'\noverrides.tomorrow = []", &[(Error, "overrides.tomorrow", "not a date")]),
        (
            "tz = 'UTC'\noverrides.2026-02-01 = [['25:00', '26:00']]",
            &[
                (Error, "overrides.2026-02-01[0][0]", "`25:00`"),
                (Error, "overrides.2026-02-01[0][1]", "`26:00`"),
            ],
        ),
        ("tz = 'UTC'\nholidays = ['cn', 'us']", &[(Error, "holidays[1]", "no holiday set `us`")]),
        ("tz = 'UTC'\nmakeup_hours = 'as:monday'", &[(Error, "makeup_hours", "as:mon")]),
        (
            "tz = 'UTC'\nmakeup_hours = [['9', '10']]",
            &[(Error, "makeup_hours[0][0]", "`9`"), (Error, "makeup_hours[0][1]", "`10`")],
        ),
        // All at once.
        (
            "tz = 'Nowhere'\nholidays = ['x']\nweekly.mon = [['a', '09:00']]\noverrides.b = []",
            &[
                (Error, "tz", "`Nowhere`"),
                (Error, "weekly.mon[0][0]", "`a`"),
                (Error, "holidays[0]", "`x`"),
                (Error, "overrides.b", "`b`"),
            ],
        ),
    ] {
        let (calendar, problems) = compile(text, Era::years(2024, 2028));
        expect(text, &problems, want);
        assert_eq!(calendar.is_some(), want.is_empty(), "{text}");
    }
}

#[test]
fn a_problem_noted_before_is_not_this_calendars() {
    let mut problems = Problems::new();
    problems.error("something else");
    let config: CalendarConfig = toml::from_str("tz = 'UTC'").unwrap();
    assert!(Calendar::compile("x", &config, &SETS, Era::years(2026, 2027), &mut problems).is_some());
}

#[test]
fn shapes_that_serde_refuses() {
    for (text, want) in [
        ("tz = 'UTC'\nopen = 1", "unknown field `open`"),
        ("weekly.mon = []", "missing field `tz`"),
        ("tz = 'UTC'\nweekly.mon = [['09:00']]", "expected"),
        ("tz = 'UTC'\nweekly.mon = ['09:00-18:00']", "invalid type"),
        ("tz = 'UTC'\nmakeup_hours = 'mon'", "as:mon"),
        ("tz = 'UTC'\nweekly.mon = [[9, 18]]", "a time such as"),
        ("tz = 'UTC'\nweekly.mon = [[{ a = 1 }, '09:00']]", "a time such as"),
    ] {
        let error = toml::from_str::<CalendarConfig>(text).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
}

#[test]
fn holiday_sets() {
    let year = "covers = ['2026-01-01', '2026-12-31']";
    for (text, want) in [
        (format!("{year}\nzone = 'Mars'"), &[(Error, "zone", "`Mars`")][..]),
        ("covers = ['2026-12-31', '2026-01-01']".into(), &[(Error, "covers", "first date first")]),
        ("covers = ['2026', '2026-12-31']".into(), &[(Error, "covers[0]", "`2026` is not a date")]),
        (format!("{year}\ndays_off = [{{ name = 'x' }}]"), &[(Error, "days_off[0]", "either `date`")]),
        (
            format!("{year}\ndays_off = [{{ date = '2026-01-01', to = '2026-01-02' }}]"),
            &[(Error, "days_off[0]", "either `date`")],
        ),
        (
            format!("{year}\ndays_off = [{{ from = '2026-01-02', to = '2026-01-01' }}]"),
            &[(Error, "days_off[0]", "1 to 92 days")],
        ),
        (
            format!("{year}\ndays_off = [{{ from = '2026-01-02', to = '2062-01-03' }}]"),
            &[(Error, "days_off[0]", "1 to 92 days")],
        ),
        (
            format!("{year}\nmakeup_days = [{{ date = '2026-13-01' }}]"),
            &[(Error, "makeup_days[0].date", "`2026-13-01`")],
        ),
        (
            format!("{year}\ndays_off = [{{ date = '2027-01-01' }}]"),
            &[(Warning, "days_off[0]", "outside of what the set covers")],
        ),
        (
            format!(
                "{year}\ndays_off = [{{ date = '2026-01-01' }}]\nmakeup_days = [{{ date = '2026-01-01' }}]"
            ),
            &[(Warning, "makeup_days", "counts as worked")],
        ),
        (year.into(), &[]),
    ] {
        let set: HolidaySetConfig = toml::from_str(&text).unwrap();
        let mut problems = Problems::new();
        set.check(&mut problems);
        let broken = problems.has_errors();
        expect(&text, &problems.into_vec(), want);
        // A calendar that uses a broken set is refused and points there.
        let sets = BTreeMap::from([("s".to_owned(), set)]);
        let config: CalendarConfig = toml::from_str("tz = 'UTC'\nholidays = ['s']").unwrap();
        let mut problems = Problems::new();
        let calendar = Calendar::compile("x", &config, &sets, Era::years(2026, 2028), &mut problems);
        assert_eq!(calendar.is_none(), broken, "{text}");
        assert_eq!(problems.has_errors(), broken, "{text}");
    }
    let mut problems = Problems::new();
    SETS["cn"].check(&mut problems);
    expect("cn", &problems.into_vec(), &[]);
}

#[test]
fn checked_against_the_present_day() {
    let office = "tz = 'Asia/Shanghai'\nholidays = ['cn']\nweekly.mon-fri = [['09:00', '18:00']]";
    let weekends = "tz = 'Asia/Shanghai'\nholidays = ['cn']\nweekly.sat-sun = [['09:00', '18:00']]";
    let closed_fortnight = "tz = 'UTC'\nweekly.mon = [['09:00', '18:00']]\noverrides.2026-03-09 = []";
    for (text, now, want) in [
        (office, "2026-06-01", &[][..]),
        (office, "2026-11-01", &[]),
        (office, "2026-11-02", &[(Warning, "holidays[0]", "ends on 2026-12-31")]),
        (office, "2027-03-01", &[(Warning, "holidays[0]", "ends on 2026-12-31")]),
        // The Mondays that make-up days would borrow from are closed.
        (
            weekends,
            "2026-06-01",
            &[(Warning, "", "from 2026-09-19 to 2026-10-11"), (Warning, "makeup_hours", "2026-09-20")],
        ),
        ("tz = 'UTC'", "2026-06-01", &[(Error, "", "no open time in the next 400 days")]),
        (
            "tz = 'UTC'\noverrides.2024-01-01 = [['09:00', '10:00']]",
            "2026-06-01",
            &[(Error, "", "no open time in the next 400 days")],
        ),
        // Monday 18:00 to the Monday after next 09:00 is not quite 14 days; two Mondays missing are more.
        (closed_fortnight, "2026-03-01", &[]),
        (
            "tz = 'UTC'\nweekly.mon = [['09:00', '18:00']]\noverrides.2026-03-09 = []\noverrides.2026-03-16 = []",
            "2026-03-01",
            &[(Warning, "", "from 2026-03-02 to 2026-03-23")],
        ),
    ] {
        let calendar = calendar(text);
        let mut problems = Problems::new();
        calendar.check(at(&calendar, &format!("{now} 12:00")), &mut problems);
        expect(&format!("{text} at {now}"), &problems.into_vec(), want);
    }
}
