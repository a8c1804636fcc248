//! From configuration to a calendar: the rules of every date (C1), then the open set of the era.

use std::collections::BTreeMap;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::core::calendar::civil::{self, Era, Offsets, day_number, weekday_index};
use crate::core::calendar::config::{CalendarConfig, HolidaySetConfig};
use crate::core::calendar::day::DayKind;
use crate::core::calendar::holidays;
use crate::core::calendar::hours::{self, DayHours, Hours, Week};
use crate::core::calendar::open_set::OpenSet;
use crate::core::problem::Problems;
use crate::core::time::Instant;

/// What a configuration says, resolved: which hours start on which date. Equal rules give equal answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rules {
    pub zone: TimeZone,
    pub era: Era,
    pub week: Week,
    /// Dates that do not follow the week, by day number, precedence already applied (C1).
    pub special: BTreeMap<i32, Special>,
    /// The holiday sets in use: name, first and last day number covered (C7).
    pub sets: Vec<(String, i32, i32)>,
}

/// A date that does not follow the week.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Special {
    pub kind: DayKind,
    pub hours: DayHours,
}

impl Rules {
    /// Reads a configuration and notes all that is wrong with it; `None` when something was an error.
    pub(super) fn read(
        config: &CalendarConfig,
        sets: &BTreeMap<String, HolidaySetConfig>,
        era: Era,
        problems: &mut Problems,
    ) -> Option<Rules> {
        let errors = problems.error_count();
        let zone = problems.within("tz", |problems| read_zone(&config.tz, problems));
        let week = problems.within("weekly", |problems| hours::check_week(&config.weekly, problems));
        let makeup = problems
            .within("makeup_hours", |problems| hours::check_makeup(&config.makeup_hours, &week, problems));
        let mut special = BTreeMap::new();
        let used = problems
            .within("holidays", |problems| read_holidays(config, sets, &makeup, &mut special, problems));
        problems.within("overrides", |problems| read_overrides(config, &mut special, problems));
        if problems.error_count() > errors {
            return None;
        }
        Some(Rules { zone: zone?, era, week, special, sets: used })
    }

    /// The rule of a date: what kind it is, and which hours start on it (C1).
    pub(super) fn on(&self, day: i32) -> (&DayKind, &[Hours]) {
        match self.special.get(&day) {
            Some(special) => (&special.kind, &special.hours),
            None => (&DayKind::Weekly, &self.week[weekday_index(day)]),
        }
    }

    /// The open set of the era (C4, C9, C11).
    pub(super) fn open_set(&self) -> OpenSet {
        let (first, end) = (self.era.first_day(), self.era.end_day());
        // Early enough that no zone's first local midnight lies before it.
        let origin = (i64::from(first) - 2) * civil::DAY;
        let offsets = Offsets::of(&self.zone, self.era);
        let mut pieces = Vec::with_capacity((end - first) as usize);
        let mut special = self.special.range(first..end).peekable();
        let mut walk = 0;
        for day in first..end {
            let hours = match special.next_if(|(at, _)| **at == day) {
                Some((_, special)) => &special.hours,
                None => &self.week[weekday_index(day)],
            };
            if hours.is_empty() {
                continue;
            }
            let midnight = i64::from(day) * civil::DAY;
            let steady = offsets.steady(&mut walk, midnight, midnight + 2 * civil::DAY + 1);
            for h in hours {
                let (from, to) = (midnight + i64::from(h.from), midnight + i64::from(h.to));
                let (from, to) = match steady {
                    Some(offset) => (from - offset, to - offset),
                    None => (offsets.to_secs(from), offsets.to_secs(to)),
                };
                // The era is bounded so that its seconds fit.
                pieces.push(((from - origin) as u32, (to - origin) as u32));
            }
        }
        OpenSet::new(Instant::from_secs(origin), pieces)
    }
}

/// Finds a zone in the table that is built in.
pub(super) fn read_zone(name: &str, problems: &mut Problems) -> Option<TimeZone> {
    let zone = TimeZoneDatabase::bundled().get(name).ok();
    if zone.is_none() {
        problems.error(format!(
            "`{name}` is not a time zone, expected an IANA name such as Asia/Shanghai (China has no \
             Asia/Beijing) or, for a fixed offset, Etc/GMT-8 for UTC+8"
        ));
    }
    zone
}

fn read_holidays(
    config: &CalendarConfig,
    sets: &BTreeMap<String, HolidaySetConfig>,
    makeup: &[Hours],
    special: &mut BTreeMap<i32, Special>,
    problems: &mut Problems,
) -> Vec<(String, i32, i32)> {
    let mut used = Vec::new();
    for (i, name) in config.holidays.iter().enumerate() {
        problems.within(i, |problems| {
            let Some(set) = sets.get(name) else {
                let known: Vec<&str> = sets.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none is defined".to_owned() } else { known.join(", ") };
                problems.error(format!("there is no holiday set `{name}`, expected one of: {known}"));
                return;
            };
            // Its own problems are told once, where it stands (`HolidaySetConfig::check`).
            let Some(set) = holidays::read(set, &mut Problems::new()) else {
                problems.error(format!("the holiday set `{name}` has errors, see [holidays.{name}]"));
                return;
            };
            for (day, name) in set.off {
                let rule = Special { kind: DayKind::DayOff { name }, hours: DayHours::new() };
                // The first set to name a date names it; make-up days of any set stay (C1).
                special.entry(day).or_insert(rule);
            }
            for (day, name) in set.makeup {
                let known = special.get(&day).is_some_and(|s| matches!(s.kind, DayKind::MakeUp { .. }));
                if !known {
                    special.insert(day, Special { kind: DayKind::MakeUp { name }, hours: makeup.to_vec() });
                }
            }
            used.push((name.clone(), set.covers.0, set.covers.1));
        });
    }
    used
}

fn read_overrides(config: &CalendarConfig, special: &mut BTreeMap<i32, Special>, problems: &mut Problems) {
    for (text, list) in &config.overrides {
        problems.within(text.as_str(), |problems| {
            let hours = hours::check_list(list, problems);
            match civil::parse_date(text) {
                Some(date) => {
                    special.insert(day_number(date), Special { kind: DayKind::Override, hours });
                }
                None => problems.error(format!("`{text}` is not a date, expected YYYY-MM-DD")),
            }
        });
    }
}
