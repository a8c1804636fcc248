//! Holiday sets: which dates are off, which are worked instead (C5), and what a set speaks for (C7).

use crate::core::calendar::civil::{date_of, day_number, parse_date};
use crate::core::calendar::config::{HolidayConfig, HolidaySetConfig, Written};
use crate::core::problem::Problems;

/// The longest block of dates: longer ones are a slip of the pen.
const LONGEST_BLOCK: i32 = 92;

/// A holiday set, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HolidaySet {
    /// The first and the last day number it speaks for.
    pub covers: (i32, i32),
    /// Days off, in the order written: day number and name.
    pub off: Vec<(i32, String)>,
    /// Make-up workdays, in the order written: day number and name.
    pub makeup: Vec<(i32, String)>,
}

impl HolidaySetConfig {
    /// Checks the set by itself. Every set of a configuration is checked once, used or not;
    /// [`super::Calendar::compile`] repeats only that a set it uses is broken.
    pub fn check(&self, problems: &mut Problems) {
        read(self, problems);
    }
}

/// Reads a set; `None` when there was an error in it.
pub(super) fn read(set: &HolidaySetConfig, problems: &mut Problems) -> Option<HolidaySet> {
    let errors = problems.error_count();
    if let Some(zone) = &set.zone {
        problems.within("zone", |problems| super::compile::read_zone(zone, problems));
    }
    let covers = problems.within("covers", |problems| read_covers(set, problems));
    let mut list = |key: &str, list: &[HolidayConfig]| {
        problems.within(key, |problems| {
            let mut days = Vec::new();
            for (i, holiday) in list.iter().enumerate() {
                problems.within(i, |problems| {
                    let Some((first, last)) = read_block(holiday, problems) else { return };
                    if covers.is_some_and(|(from, to)| first < from || to < last) {
                        problems.warn(format!(
                            "{} lies outside of what the set covers, {} to {}; widen `covers`",
                            date_of(first),
                            set.covers.0.0,
                            set.covers.1.0
                        ));
                    }
                    days.extend((first..=last).map(|day| (day, holiday.name.clone())));
                });
            }
            days
        })
    };
    let off = list("days_off", &set.days_off);
    let makeup = list("makeup_days", &set.makeup_days);
    let set = HolidaySet { covers: covers?, off, makeup };
    if let Some((day, name)) = set.makeup.iter().find(|(day, _)| set.off.iter().any(|(off, _)| off == day)) {
        problems.within("makeup_days", |problems| {
            problems.warn(format!(
                "{} {name} is a day off and a make-up day; it counts as worked",
                date_of(*day)
            ));
        });
    }
    (problems.error_count() == errors).then_some(set)
}

fn read_covers(set: &HolidaySetConfig, problems: &mut Problems) -> Option<(i32, i32)> {
    let first = problems.within(0, |problems| read_date(&set.covers.0, problems));
    let last = problems.within(1, |problems| read_date(&set.covers.1, problems));
    let (first, last) = (first?, last?);
    if last < first {
        problems
            .error(format!("covers {} to {}, expected the first date first", set.covers.0.0, set.covers.1.0));
        return None;
    }
    Some((first, last))
}

fn read_block(holiday: &HolidayConfig, problems: &mut Problems) -> Option<(i32, i32)> {
    let mut key =
        |key: &str, written: &Written| problems.within(key, |problems| read_date(written, problems));
    match (&holiday.date, &holiday.from, &holiday.to) {
        (Some(date), None, None) => key("date", date).map(|day| (day, day)),
        (None, Some(from), Some(to)) => {
            let (first, last) = (key("from", from), key("to", to));
            let (first, last) = (first?, last?);
            if last < first || last - first >= LONGEST_BLOCK {
                problems.error(format!(
                    "a block from {} to {}, expected 1 to {LONGEST_BLOCK} days",
                    from.0, to.0
                ));
                return None;
            }
            Some((first, last))
        }
        _ => {
            problems.error("expected either `date`, or both `from` and `to`");
            None
        }
    }
}

fn read_date(written: &Written, problems: &mut Problems) -> Option<i32> {
    let date = parse_date(&written.0);
    if date.is_none() {
        problems.error(format!("`{}` is not a date, expected YYYY-MM-DD", written.0));
    }
    date.map(day_number)
}
