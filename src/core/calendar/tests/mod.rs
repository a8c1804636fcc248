//! The calendars of `sla_semantics` §13, built once, and helpers to ask them in local time.

mod checks;
mod examples;
mod laws;
mod sample;
mod traps;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::{Calendar, CalendarConfig, Era, HolidaySetConfig, civil};
use crate::core::problem::{Problem, Problems};
use crate::core::time::Instant;

/// The holiday sets we ship.
pub(super) static SETS: LazyLock<BTreeMap<String, HolidaySetConfig>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct File {
        holidays: BTreeMap<String, HolidaySetConfig>,
    }
    let text = include_str!("../../../../config/calendars/cn_holidays.toml");
    toml::from_str::<File>(text).unwrap().holidays
});

/// Reads one calendar and compiles it; the problems it has, or the calendar.
pub(super) fn compile(text: &str, era: Era) -> (Option<Calendar>, Vec<Problem>) {
    let config: CalendarConfig = toml::from_str(text).unwrap();
    let mut problems = Problems::new();
    let calendar = Calendar::compile("test", &config, &SETS, era, &mut problems);
    (calendar, problems.into_vec())
}

/// A calendar that must compile, for the years of the examples.
pub(super) fn calendar(text: &str) -> Calendar {
    let (calendar, problems) = compile(text, Era::years(2022, 2031));
    assert!(problems.is_empty(), "{text}: {problems:?}");
    calendar.unwrap()
}

/// The calendars of §13 by name.
pub(super) fn named(name: &str) -> Arc<Calendar> {
    static ALL: LazyLock<BTreeMap<&str, Arc<Calendar>>> = LazyLock::new(|| {
        let cn = r#"tz = "Asia/Shanghai""#;
        let kept = r#"tz = "Asia/Shanghai"
            holidays = ["cn"]"#;
        let ny = r#"tz = "America/New_York""#;
        let de = r#"tz = "Europe/Berlin""#;
        [
            ("D", format!(r#"{cn}{}"#, week(r#"daily = [["09:00", "21:00"]]"#))),
            ("D18", format!(r#"{cn}{}"#, week(r#"daily = [["09:00", "18:00"]]"#))),
            ("O", format!(r#"{kept}{}"#, week(r#"mon-fri = [["09:00", "18:00"]]"#))),
            ("S", format!(r#"{kept}{}"#, week(r#"mon-fri = [["09:00", "12:00"], ["13:00", "18:00"]]"#))),
            (
                "M",
                format!(
                    "{kept}\nmakeup_hours = [[\"10:00\", \"16:00\"]]{}",
                    week(r#"mon-fri = [["09:00", "18:00"]]"#)
                ),
            ),
            ("N", format!(r#"{cn}{}"#, week(r#"daily = [["20:00", "02:00"]]"#))),
            ("W", format!(r#"{kept}{}"#, week(r#"mon-fri = [["22:00", "04:00"]]"#))),
            ("O24", format!(r#"{kept}{}"#, week(r#"mon-fri = [["00:00", "24:00"]]"#))),
            ("NY", format!(r#"{ny}{}"#, week(r#"mon-fri = [["09:00", "17:00"]]"#))),
            ("NYN", format!(r#"{ny}{}"#, week(r#"daily = [["22:00", "06:00"]]"#))),
            ("NY0230", format!(r#"{ny}{}"#, week(r#"daily = [["02:30", "10:00"]]"#))),
            ("NY0130", format!(r#"{ny}{}"#, week(r#"daily = [["01:30", "10:00"]]"#))),
            ("B", format!(r#"{de}{}"#, week(r#"daily = [["00:00", "04:00"]]"#))),
            ("B24", format!(r#"{de}{}"#, week(r#"daily = [["00:00", "24:00"]]"#))),
        ]
        .into_iter()
        .map(|(name, text)| (name, Arc::new(calendar(&text))))
        .chain([("U", Arc::new(Calendar::always()))])
        .collect()
    });
    ALL[name].clone()
}

fn week(hours: &str) -> String {
    format!("\nweekly = {{ {hours} }}")
}

/// The instant of a local time, `2026-03-02 09:00`, seconds optional, in the calendar's zone.
pub(super) fn at(calendar: &Calendar, local: &str) -> Instant {
    let at = local.parse().unwrap_or_else(|e| panic!("{local}: {e}"));
    civil::instant(calendar.zone(), at).unwrap()
}

/// The local time of an instant, for comparing.
pub(super) fn local(calendar: &Calendar, t: Instant) -> String {
    civil::local(calendar.zone(), t).strftime("%Y-%m-%d %H:%M").to_string()
}
