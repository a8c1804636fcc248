//! Hours as written become hours as counted: times of day, the list of one date, the week (C2, C3).

use std::collections::BTreeMap;

use crate::core::calendar::config::{IntervalConfig, MakeupHours};
use crate::core::problem::Problems;

const DAY: u32 = 86_400;

/// Weekday keys in the order of [`super::civil::weekday_index`].
pub(super) const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// One interval of a date: local seconds from the midnight on which it starts; past 86,400 it runs into
/// the next date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hours {
    /// Opens here, below 86,400.
    pub from: u32,
    /// Closes here, at most 24 hours later.
    pub to: u32,
}

/// The intervals that start on one date, in order and disjoint.
pub(super) type DayHours = Vec<Hours>;

/// The hours of the seven weekdays, Monday first.
pub(super) type Week = [DayHours; 7];

/// Open seconds of one list.
pub(super) fn open_seconds(hours: &[Hours]) -> i64 {
    hours.iter().map(|h| i64::from(h.to - h.from)).sum()
}

/// Reads `HH:MM` or `HH:MM:SS` up to `24:00` as seconds since midnight.
pub(super) fn parse_time(text: &str) -> Option<u32> {
    let mut parts = text.split(':').map(|part| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        if digits { part.parse::<u32>().ok() } else { None }
    });
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let time = hour * 3600 + minute * 60 + second;
    (parts.next().is_none() && minute < 60 && second < 60 && time <= DAY).then_some(time)
}

/// Checks the list of one date; what is wrong with it is noted and left out.
pub(super) fn check_list(list: &[IntervalConfig], problems: &mut Problems) -> DayHours {
    let mut hours: Vec<(Hours, usize)> = Vec::new();
    for (i, interval) in list.iter().enumerate() {
        problems.within(i, |problems| {
            if let Some(found) = check_interval(interval, problems) {
                hours.push((found, i));
            }
        });
    }
    hours.sort();
    for pair in hours.windows(2) {
        let [(earlier, a), (later, b)] = pair else { continue };
        if later.from < earlier.to {
            problems.within(*b.max(a), |problems| {
                problems.error(format!(
                    "{} overlaps {} of the same date, expected intervals that do not overlap",
                    shown(&list[*b.max(a)]),
                    shown(&list[*b.min(a)])
                ));
            });
        }
    }
    hours.into_iter().map(|(h, _)| h).collect()
}

fn check_interval(interval: &IntervalConfig, problems: &mut Problems) -> Option<Hours> {
    let mut read = |i: usize, text: &str| {
        let time = parse_time(text);
        if time.is_none() {
            problems.within(i, |problems| {
                problems.error(format!(
                    "`{text}` is not a time of day, expected \"HH:MM\" or \"HH:MM:SS\" up to \"24:00\"; \
                     a closing time past midnight is written as it reads on the next date, \"02:00\""
                ));
            });
        }
        time
    };
    let (from, to) = (read(0, &interval.0.0), read(1, &interval.1.0));
    let (from, to) = (from?, to?);
    if from == DAY {
        problems.error(format!("{} opens at 24:00, expected 00:00 of the next date", shown(interval)));
        return None;
    }
    if from == to {
        problems.error(format!(
            "{} opens and closes at the same time; write [\"00:00\", \"24:00\"] for a full day",
            shown(interval)
        ));
        return None;
    }
    // C3: closing at or before opening means the next date. So none can be longer than 24 h.
    Some(Hours { from, to: if to < from { to + DAY } else { to } })
}

fn shown(interval: &IntervalConfig) -> String {
    format!("[\"{}\", \"{}\"]", interval.0.0, interval.1.0)
}

/// Checks the hours of the week: single days win over ranges, short ranges over long ones.
pub(super) fn check_week(weekly: &BTreeMap<String, Vec<IntervalConfig>>, problems: &mut Problems) -> Week {
    let mut keys: Vec<(Vec<usize>, &str, DayHours)> = Vec::new();
    for (key, list) in weekly {
        problems.within(key.as_str(), |problems| {
            let hours = check_list(list, problems);
            match weekdays_of(key) {
                Some(days) => keys.push((days, key, hours)),
                None => problems.error(format!(
                    "`{key}` is not a weekday, expected mon, tue, wed, thu, fri, sat, sun, \
                     a range such as mon-fri, or daily"
                )),
            }
        });
    }
    keys.sort_by_key(|(days, key, _)| (days.len(), *key));
    let mut week = Week::default();
    // For each weekday, the key that decided it.
    let mut deciders: [Option<(usize, &str)>; 7] = [None; 7];
    for (days, key, hours) in keys {
        for &day in &days {
            match deciders[day] {
                None => {
                    deciders[day] = Some((days.len(), key));
                    week[day].clone_from(&hours);
                }
                Some((count, other)) if count == days.len() && week[day] != hours => {
                    problems.within(key, |problems| {
                        problems.error(format!(
                            "`{key}` and `{other}` give {} different hours; name the weekday by itself",
                            WEEKDAYS[day]
                        ));
                    });
                }
                Some(_) => {}
            }
        }
    }
    week
}

/// The weekdays a key names: `mon`, `mon-fri`, `fri-mon` (around the weekend), `daily`.
fn weekdays_of(key: &str) -> Option<Vec<usize>> {
    let place = |name: &str| WEEKDAYS.iter().position(|weekday| *weekday == name);
    if key == "daily" {
        return Some((0..7).collect());
    }
    let Some((first, last)) = key.split_once('-') else {
        return Some(vec![place(key)?]);
    };
    let (first, last) = (place(first)?, place(last)?);
    let count = (last + 7 - first) % 7 + 1;
    Some((first..first + count).map(|day| day % 7).collect())
}

/// The hours of make-up workdays (C5).
pub(super) fn check_makeup(makeup: &MakeupHours, week: &Week, problems: &mut Problems) -> DayHours {
    match makeup {
        MakeupHours::Hours(list) => check_list(list, problems),
        MakeupHours::As(weekday) => match WEEKDAYS.iter().position(|name| name == weekday) {
            Some(day) => week[day].clone(),
            None => {
                problems.error(format!(
                    "`as:{weekday}` names no weekday, expected as:mon … as:sun, or a list of intervals"
                ));
                DayHours::new()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day() {
        for (text, want) in [
            ("00:00", Some(0)),
            ("09:30", Some(34_200)),
            ("23:59:59", Some(86_399)),
            ("24:00", Some(86_400)),
            ("24:00:00", Some(86_400)),
            ("24:01", None),
            ("24:00:01", None),
            ("09:60", None),
            ("9:00", None),
            ("09", None),
            ("", None),
            ("09:00:00:00", None),
            ("+9:00", None),
            ("０９:00", None),
            ("09:00 ", None),
            ("-1:00", None),
        ] {
            assert_eq!(parse_time(text), want, "{text}");
        }
    }

    #[test]
    fn weekday_keys() {
        for (key, want) in [
            ("mon", Some(vec![0])),
            ("mon-fri", Some(vec![0, 1, 2, 3, 4])),
            ("sat-sun", Some(vec![5, 6])),
            ("fri-mon", Some(vec![4, 5, 6, 0])),
            ("mon-mon", Some(vec![0])),
            ("daily", Some(vec![0, 1, 2, 3, 4, 5, 6])),
            ("monday", None),
            ("Mon", None),
            ("mon-", None),
            ("mon-fri-sat", None),
            ("", None),
        ] {
            assert_eq!(weekdays_of(key), want, "{key}");
        }
    }
}
