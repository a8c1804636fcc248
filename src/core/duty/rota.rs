//! Who works when (`delivery_semantics` §7.1): extra time over leave over the shifts of the week.
//!
//! A shift that crosses midnight belongs to the date it starts on. Starts count, ends do not.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span as Days};

use crate::core::duty::roster::{PersonConfig, Role, Roster, StretchConfig};
use crate::core::duty::shift::{Shift, Shifts};
use crate::core::model::PersonId;
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// How far ahead the rota is looked through: a week repeats, and leave may cover some of it.
const AHEAD: i64 = 9;

/// When each person is there.
#[derive(Clone, Debug)]
pub struct Rota {
    zone: TimeZone,
    shifts: Vec<Shift>,
    duties: BTreeMap<PersonId, Duty>,
}

/// When one person is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Duty {
    /// Around the clock: the desk has no shifts.
    always: bool,
    /// Places of their shifts.
    shifts: Vec<usize>,
    /// Days on which those are theirs, Monday first.
    days: [bool; 7],
    leave: Vec<(DateTime, DateTime)>,
    extra: Vec<(DateTime, DateTime)>,
}

/// A time within the desk's shifts at which a team has nobody for level 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// When it begins.
    pub from: Instant,
    /// When somebody comes, or the shift is over.
    pub to: Instant,
    /// The team.
    pub team: Arc<str>,
}

impl Default for Rota {
    fn default() -> Rota {
        Rota { zone: TimeZone::UTC, shifts: Vec::new(), duties: BTreeMap::new() }
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Reads when a person is there.
pub(super) fn duty_of(config: &PersonConfig, shifts: &Shifts, problems: &mut Problems) -> Option<Duty> {
    let before = problems.error_count();
    let mut duty = Duty { days: [config.days.is_empty(); 7], ..Duty::default() };
    duty.always = shifts.shifts.is_empty() && config.shifts.is_empty() && config.role != Role::Admin;
    problems.within("shifts", |problems| {
        for (i, name) in config.shifts.iter().enumerate() {
            match shifts.shifts.iter().position(|s| *s.name == **name) {
                Some(place) => duty.shifts.push(place),
                None => problems.within(i, |p| {
                    let known: Vec<&str> = shifts.shifts.iter().map(|s| &*s.name).collect();
                    p.error(format!("found `{name}`, expected a shift of the desk: {}", known.join(", ")));
                }),
            }
        }
    });
    problems.within("days", |problems| {
        for (i, day) in config.days.iter().enumerate() {
            match DAYS.iter().position(|d| d == day) {
                Some(place) => duty.days[place] = true,
                None => problems.within(i, |p| {
                    p.error(format!("found `{day}`, expected one of {}", DAYS.join(", ")));
                }),
            }
        }
    });
    duty.leave = problems.within("leave", |problems| stretches(&config.leave, problems));
    duty.extra = problems.within("extra", |problems| stretches(&config.extra, problems));
    (problems.error_count() == before).then_some(duty)
}

fn stretches(configs: &[StretchConfig], problems: &mut Problems) -> Vec<(DateTime, DateTime)> {
    let mut stretches = Vec::new();
    for (i, config) in configs.iter().enumerate() {
        problems.within(i, |problems| {
            let mut read = |key: &str, text: &str| {
                let at = text.parse::<DateTime>().ok();
                if at.is_none() {
                    problems.within(key, |p| {
                        p.error(format!("found `{text}`, expected a local time such as 2026-03-02 09:00"));
                    });
                }
                at
            };
            if let (Some(from), Some(to)) = (read("from", &config.from), read("to", &config.to)) {
                if from < to {
                    stretches.push((from, to));
                } else {
                    problems.error(format!("ends at {}, expected an end after {}", config.to, config.from));
                }
            }
        });
    }
    stretches
}

impl Rota {
    /// The rota of nobody over the shifts of a desk.
    pub(super) fn new(shifts: &Shifts) -> Rota {
        Rota { zone: shifts.zone().clone(), shifts: shifts.shifts.clone(), duties: BTreeMap::new() }
    }

    pub(super) fn insert(&mut self, person: PersonId, duty: Duty) {
        self.duties.insert(person, duty);
    }

    /// Whether the person is there at `t`.
    pub(super) fn is_on(&self, person: &str, t: Instant) -> bool {
        let Some(duty) = self.duties.get(person) else { return false };
        let within = |(from, to): &(DateTime, DateTime)| self.at(*from) <= t && t < self.at(*to);
        if duty.extra.iter().any(within) {
            return true;
        }
        if duty.leave.iter().any(within) {
            return false;
        }
        let today = self.local(t).date();
        duty.always
            || [today, plus(today, -1)].into_iter().any(|date| {
                duty.shifts.iter().any(|place| {
                    let (from, to) = self.stretch(*place, date);
                    duty.works_on(date) && from <= t && t < to
                })
            })
    }

    /// Until when the person, there at `t`, stays; `None` when they are not there or stay for good.
    pub(super) fn end(&self, person: &str, t: Instant) -> Option<Instant> {
        if !self.is_on(person, t) {
            return None;
        }
        self.edges(person, t).into_iter().find(|edge| !self.is_on(person, *edge))
    }

    /// Since when the person, not there at `t`, is away, looking back one day.
    pub(super) fn off_since(&self, person: &str, t: Instant) -> Option<Instant> {
        if self.is_on(person, t) {
            return None;
        }
        let edges = self.edges(person, t - Span::DAY);
        edges.into_iter().filter(|e| *e <= t).rfind(|e| self.is_on(person, *e - Span::MILLISECOND))
    }

    /// The first instant after `t` at which anybody may come or go.
    pub fn next_edge(&self, t: Instant) -> Option<Instant> {
        self.duties.keys().filter_map(|person| self.edges(person, t).first().copied()).min()
    }

    /// Every instant after `t` at which the person may come or go, in order, for the days ahead.
    fn edges(&self, person: &str, t: Instant) -> Vec<Instant> {
        let Some(duty) = self.duties.get(person) else { return Vec::new() };
        let today = self.local(t).date();
        let mut edges: Vec<Instant> = Vec::new();
        for ahead in -1..=AHEAD {
            let date = plus(today, ahead);
            if duty.works_on(date) {
                edges.extend(
                    duty.shifts.iter().flat_map(|place| <[Instant; 2]>::from(self.stretch(*place, date))),
                );
            }
        }
        let stretches = duty.leave.iter().chain(&duty.extra);
        edges.extend(stretches.flat_map(|(from, to)| [self.at(*from), self.at(*to)]));
        edges.retain(|edge| *edge > t);
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    /// The times within the desk's shifts, from `from` on and before `until`, at which a team of `roster` has nobody
    /// for level 1, its sister team included.
    pub fn gaps(&self, roster: &Roster, from: Instant, until: Instant) -> Vec<Gap> {
        let first = plus(self.local(from).date(), -1);
        let days = until.since(from).as_secs() / 86_400 + 3;
        let mut edges: Vec<Instant> = Vec::new();
        let mut open: Vec<(Instant, Instant)> = Vec::new();
        for date in (0..days).map(|n| plus(first, n)) {
            open.extend((0..self.shifts.len()).map(|place| self.stretch(place, date)));
        }
        edges.extend(open.iter().flat_map(|(from, to)| [*from, *to]));
        let handlers: Vec<(&PersonId, &Arc<str>)> = roster
            .people
            .iter()
            .filter(|(_, p)| p.role == Role::Handler)
            .map(|(id, p)| (id, &p.team))
            .collect();
        edges.extend(handlers.iter().flat_map(|(id, _)| self.edges(id, from)));
        edges.push(from);
        edges.retain(|e| *e >= from && *e < until);
        edges.sort_unstable();
        edges.dedup();
        let mut gaps: Vec<Gap> = Vec::new();
        for (team, config) in &roster.teams {
            // A team without a handler of its own is told of by the check of the configuration, not every night.
            if !handlers.iter().any(|(_, t)| *t == team) {
                continue;
            }
            let helps = |t: &Arc<str>| t == team || config.sister.as_ref() == Some(t);
            let empty = |t: Instant| {
                open.iter().any(|(from, to)| *from <= t && t < *to)
                    && !handlers.iter().any(|(id, team)| helps(team) && self.is_on(id, t))
            };
            let mut since: Option<Instant> = None;
            for edge in edges.iter().copied().chain([until]) {
                match (since, edge < until && empty(edge)) {
                    (None, true) => since = Some(edge),
                    (Some(start), false) => {
                        gaps.push(Gap { from: start, to: edge, team: team.clone() });
                        since = None;
                    }
                    _ => {}
                }
            }
        }
        gaps.sort();
        gaps
    }

    /// A shift as it starts on `date`.
    fn stretch(&self, place: usize, date: Date) -> (Instant, Instant) {
        let shift = &self.shifts[place];
        let midnight = date.at(0, 0, 0, 0);
        let at =
            |seconds: i32| self.at(midnight.saturating_add(SignedDuration::from_secs(i64::from(seconds))));
        (at(shift.from), at(shift.from + shift.length))
    }

    /// A local time as an instant; one that a change of the clocks leaves out is the first after it.
    fn at(&self, local: DateTime) -> Instant {
        self.zone
            .to_ambiguous_zoned(local)
            .compatible()
            .map_or(Instant::MAX, |zoned| Instant::from_timestamp(zoned.timestamp()))
    }

    fn local(&self, t: Instant) -> DateTime {
        t.to_timestamp().to_zoned(self.zone.clone()).datetime()
    }
}

impl Duty {
    fn works_on(&self, date: Date) -> bool {
        self.days[date.weekday().to_monday_zero_offset() as usize]
    }
}

fn plus(date: Date, days: i64) -> Date {
    date.saturating_add(Days::new().days(days.clamp(-4000, 4000)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::core::duty::roster::{Role, TeamConfig};
    use crate::core::duty::shift::{DeskConfig, ShiftConfig};

    fn shifts(times: &[(&str, &str, &str)]) -> Shifts {
        let shift = times.iter().map(|(name, from, to)| ShiftConfig {
            name: (*name).to_owned(),
            title: None,
            from: (*from).to_owned(),
            to: (*to).to_owned(),
        });
        let desk = DeskConfig {
            id: "d".to_owned(),
            zone: "Asia/Shanghai".to_owned(),
            shift: shift.collect(),
            ..DeskConfig::default()
        };
        desk.compile(&mut Problems::new()).expect("the desk is right")
    }

    fn person(shifts: &[&str], days: &[&str]) -> PersonConfig {
        PersonConfig {
            name: "x".to_owned(),
            role: Role::Handler,
            team: None,
            shifts: shifts.iter().map(|s| (*s).to_owned()).collect(),
            days: days.iter().map(|s| (*s).to_owned()).collect(),
            leave: Vec::new(),
            extra: Vec::new(),
            accounts: Vec::new(),
            contact: Vec::new(),
            language: None,
        }
    }

    fn roster(people: &[(&str, PersonConfig)], shifts: &Shifts) -> Roster {
        let people: BTreeMap<String, PersonConfig> =
            people.iter().map(|(id, p)| ((*id).to_owned(), p.clone())).collect();
        let mut problems = Problems::new();
        let roster = Roster::compile(
            &people,
            &BTreeMap::<String, TeamConfig>::new(),
            "d",
            shifts,
            &BTreeMap::new(),
            &mut problems,
        );
        roster.unwrap_or_else(|| panic!("{:?}", problems.into_vec()))
    }

    fn at(text: &str) -> Instant {
        format!("{text}+08:00").parse().expect("an instant")
    }

    #[test]
    fn extra_time_comes_before_leave_and_leave_before_the_rota() {
        let stretch = |from: &str, to: &str| StretchConfig { from: from.to_owned(), to: to.to_owned() };
        let shifts = shifts(&[("day", "08:00", "18:00")]);
        let mut config = person(&["day"], &["mon", "tue"]);
        config.leave = vec![stretch("2026-03-02 10:00", "2026-03-02 16:00")];
        config.extra = vec![
            stretch("2026-03-02 12:00", "2026-03-02 13:00"),
            stretch("2026-03-04 20:00", "2026-03-04 22:00"),
        ];
        let roster = roster(&[("x", config)], &shifts);
        for (time, on) in [
            ("2026-03-02T07:59:59.999", false),
            ("2026-03-02T08:00:00", true),
            ("2026-03-02T10:00:00", false),
            ("2026-03-02T12:00:00", true),
            ("2026-03-02T13:00:00", false),
            ("2026-03-02T16:00:00", true),
            ("2026-03-02T18:00:00", false),
            ("2026-03-03T09:00:00", true),
            ("2026-03-04T09:00:00", false),
            ("2026-03-04T21:00:00", true),
        ] {
            assert_eq!(roster.is_on_duty("x", at(time)), on, "{time}");
        }
        assert_eq!(roster.shift_end("x", at("2026-03-02T09:00:00")), Some(at("2026-03-02T10:00:00")));
        assert_eq!(roster.shift_end("x", at("2026-03-02T11:00:00")), None);
        assert_eq!(roster.off_since("x", at("2026-03-02T10:20:00")), Some(at("2026-03-02T10:00:00")));
        assert_eq!(roster.rota.next_edge(at("2026-03-02T09:00:00")), Some(at("2026-03-02T10:00:00")));
        assert!(!roster.is_on_duty("y", at("2026-03-02T09:00:00")));
    }

    #[test]
    fn shifts_that_touch_are_one_stretch_and_a_desk_without_shifts_is_always_there() {
        let halves = shifts(&[("a", "08:00", "12:00"), ("b", "12:00", "20:00")]);
        let both = roster(&[("x", person(&["a", "b"], &[]))], &halves);
        assert_eq!(both.shift_end("x", at("2026-03-02T09:00:00")), Some(at("2026-03-02T20:00:00")));
        let none = roster(&[("x", person(&[], &[]))], &shifts(&[]));
        assert!(none.is_on_duty("x", at("2026-03-02T03:00:00")));
        assert_eq!(none.shift_end("x", at("2026-03-02T03:00:00")), None);
        assert_eq!(none.rota.next_edge(at("2026-03-02T03:00:00")), None);
    }

    #[test]
    fn a_gap_is_a_time_within_a_shift_without_a_handler() {
        let shifts = shifts(&[("day", "08:00", "16:00"), ("late", "16:00", "24:00")]);
        let people = [("x", person(&["day"], &[])), ("y", person(&["late"], &["mon", "wed"]))];
        let roster = roster(&people, &shifts);
        let gaps = roster.rota.gaps(&roster, at("2026-03-02T09:00:00"), at("2026-03-05T00:00:00"));
        let found: Vec<(Instant, Instant)> = gaps.iter().map(|g| (g.from, g.to)).collect();
        // Nobody on Tuesday evening; the nights are nobody's shift.
        assert_eq!(found, [(at("2026-03-03T16:00:00"), at("2026-03-04T00:00:00"))]);
    }

    #[test]
    fn what_is_wrong_with_a_person_is_told() {
        let shifts = shifts(&[("day", "08:00", "16:00")]);
        let mut config = person(&["night"], &["monday"]);
        config.team = Some("b".to_owned());
        config.leave = vec![StretchConfig { from: "tomorrow".to_owned(), to: "2026-03-02 16:00".to_owned() }];
        config.contact =
            vec![crate::core::duty::ContactConfig { channel: "mail".to_owned(), address: String::new() }];
        let mut problems = Problems::new();
        let people = BTreeMap::from([("x".to_owned(), config)]);
        let roster =
            Roster::compile(&people, &BTreeMap::new(), "d", &shifts, &BTreeMap::new(), &mut problems);
        assert!(roster.is_none());
        let told: Vec<String> = problems.into_vec().iter().map(|p| p.path.to_string()).collect();
        let want = [
            "people.x.team",
            "people.x.contact[0].channel",
            "people.x.shifts[0]",
            "people.x.days[0]",
            "people.x.leave[0].from",
        ];
        assert_eq!(told, want);
    }

    proptest! {
        /// S41: whoever is on duty is so by the wall clock alone, on 400 days and for any roster (I19, I21).
        #[test]
        fn duty_follows_the_wall_clock(
            from in 0_i64..1440,
            length in 1_i64..1440,
            days in proptest::collection::vec(any::<bool>(), 7),
            minute in 0_i64..400 * 1440,
        ) {
            let clock = |m: i64| format!("{:02}:{:02}", m / 60 % 24, m % 60);
            let shifts = shifts(&[("s", &clock(from), &clock(from + length))]);
            let names: Vec<&str> = DAYS.iter().zip(&days).filter(|(_, on)| **on).map(|(day, _)| *day).collect();
            prop_assume!(!names.is_empty());
            let roster = roster(&[("x", person(&["s"], &names))], &shifts);
            // 2026-01-05 is a Monday; the zone has no turns of the clock.
            let start = at("2026-01-05T00:00:00");
            let t = start + Span::from_minutes(minute);
            let on = |m: i64| {
                (-1..=0).any(|back| {
                    let day = m.div_euclid(1440) + back;
                    let begin = day * 1440 + from;
                    days[day.rem_euclid(7) as usize] && (begin..begin + length).contains(&m)
                })
            };
            prop_assert_eq!(roster.is_on_duty("x", t), on(minute));
            match roster.shift_end("x", t) {
                Some(end) => {
                    prop_assert!(on(minute));
                    let last = end.since(start).as_secs() / 60;
                    prop_assert!((minute..last).all(on), "there is nobody before the end");
                    prop_assert!(!on(last));
                }
                None => prop_assert!(!on(minute)),
            }
        }
    }
}
