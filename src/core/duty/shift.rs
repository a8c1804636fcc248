//! A desk and its shifts (班次): early, middle, late.

use std::sync::Arc;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::model::Language;
use crate::core::problem::Problems;
use crate::core::time::Instant;

/// `[desk]`: one after-sales team.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeskConfig {
    /// Its name in signals and metrics.
    pub id: String,
    /// The name people know.
    pub title: Option<String>,
    /// The zone that its days, shifts and reports are meant in.
    pub zone: String,
    /// The language of its messages and pages.
    #[serde(default)]
    pub language: Language,
    /// Its shifts.
    #[serde(default)]
    pub shift: Vec<ShiftConfig>,
}

/// `[[desk.shift]]`: one shift of the day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftConfig {
    /// Its name: `early`, `middle`, `late`.
    pub name: String,
    /// The name people know, such as 早班.
    pub title: Option<String>,
    /// Local time at which it starts.
    pub from: String,
    /// Local time at which it ends; one that is not later is on the next day, `24:00` is midnight.
    pub to: String,
}

/// The shifts of a desk, ready to be asked.
#[derive(Debug)]
pub struct Shifts {
    pub(super) shifts: Vec<Shift>,
    zone: TimeZone,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) name: Arc<str>,
    /// Seconds after local midnight.
    pub(super) from: i32,
    /// Seconds it lasts on the wall.
    pub(super) length: i32,
}

const DAY: i32 = 86_400;

impl DeskConfig {
    /// Checks the desk and makes its shifts ready. Every problem is noted under its key.
    pub fn compile(&self, problems: &mut Problems) -> Option<Shifts> {
        let before = problems.error_count();
        problems.within("id", |problems| {
            if self.id.is_empty() || self.id.len() > 100 {
                problems.error(format!("found `{}`, expected a name of 1 to 100 bytes", self.id));
            }
        });
        let zone = problems.within("zone", |problems| {
            TimeZone::get(&self.zone)
                .map_err(|_| {
                    problems.error(format!(
                        "`{}` is not a time zone, expected an IANA name such as Asia/Shanghai",
                        self.zone
                    ));
                })
                .ok()
        });
        let mut shifts: Vec<Shift> = Vec::new();
        problems.within("shift", |problems| {
            for (i, shift) in self.shift.iter().enumerate() {
                problems.within(i, |problems| {
                    let from = problems.within("from", |p| seconds(&shift.from, DAY - 1, p));
                    let to = problems.within("to", |p| seconds(&shift.to, DAY, p));
                    if shifts.iter().any(|s| *s.name == *shift.name) {
                        problems.error(format!(
                            "found the name `{}` twice, expected each shift once",
                            shift.name
                        ));
                    }
                    let Some((from, to)) = from.zip(to) else { return };
                    if from == to {
                        problems.error(format!(
                            "starts and ends at {}, expected a shift of less than 24 h",
                            shift.from
                        ));
                        return;
                    }
                    let length = if to > from { to - from } else { to + DAY - from };
                    shifts.push(Shift { name: shift.name.as_str().into(), from, length });
                });
            }
        });
        (problems.error_count() == before).then_some(Shifts { shifts, zone: zone? })
    }
}

fn seconds(text: &str, most: i32, problems: &mut Problems) -> Option<i32> {
    let parsed = match text {
        "24:00" => Some(DAY),
        _ if text.len() == 5 => {
            text.parse::<Time>().ok().map(|t| i32::from(t.hour()) * 3600 + i32::from(t.minute()) * 60)
        }
        _ => None,
    };
    let parsed = parsed.filter(|seconds| *seconds <= most);
    if parsed.is_none() {
        problems.error(format!("found `{text}`, expected a local time such as 08:00"));
    }
    parsed
}

impl Shifts {
    /// The shift that something at `t` is attributed to (M12): of those on duty the one that started last.
    pub fn at(&self, t: Instant) -> Option<&Arc<str>> {
        let local = t.to_timestamp().to_zoned(self.zone.clone()).time();
        let now = i32::from(local.hour()) * 3600 + i32::from(local.minute()) * 60 + i32::from(local.second());
        let on_duty = self.shifts.iter().filter_map(|shift| {
            let since = (now - shift.from).rem_euclid(DAY);
            (since < shift.length).then_some((since, &shift.name))
        });
        on_duty.min_by_key(|(since, _)| *since).map(|(_, name)| name)
    }

    /// The zone of the desk.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(shifts: &[(&str, &str, &str)]) -> DeskConfig {
        DeskConfig {
            id: "d".to_owned(),
            zone: "Asia/Shanghai".to_owned(),
            shift: shifts
                .iter()
                .map(|(name, from, to)| ShiftConfig {
                    name: (*name).to_owned(),
                    title: None,
                    from: (*from).to_owned(),
                    to: (*to).to_owned(),
                })
                .collect(),
            ..DeskConfig::default()
        }
    }

    #[test]
    fn a_breach_belongs_to_the_shift_that_started_last() {
        let desk =
            desk(&[("early", "08:00", "16:00"), ("middle", "12:00", "20:00"), ("night", "22:00", "04:00")]);
        let shifts = desk.compile(&mut Problems::new()).expect("the desk is right");
        for (time, want) in [
            ("07:59:59", None),
            ("08:00:00", Some("early")),
            ("11:59:59", Some("early")),
            ("12:00:00", Some("middle")),
            ("19:59:59", Some("middle")),
            ("20:00:00", None),
            ("23:00:00", Some("night")),
            ("03:59:59", Some("night")),
            ("04:00:00", None),
        ] {
            let t: Instant = format!("2026-03-02T{time}+08:00").parse().expect("an instant");
            assert_eq!(shifts.at(t).map(|s| &**s), want, "{time}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_desk_is_told() {
        let mut problems = Problems::new();
        let mut desk = desk(&[
            ("a", "08:00", "08:00"),
            ("b", "8:00", "25:00"),
            ("b", "24:00", "04:00"),
            ("a", "01:00", "02:00"),
        ]);
        desk.zone = "Asia/Beijing".to_owned();
        desk.id.clear();
        assert!(desk.compile(&mut problems).is_none());
        let told: Vec<String> = problems.into_vec().iter().map(|p| p.path.to_string()).collect();
        assert_eq!(told, ["id", "zone", "shift[0]", "shift[1].from", "shift[1].to", "shift[2].from"]);
    }
}
