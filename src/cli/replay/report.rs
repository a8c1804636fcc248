//! Figures and pictures of what was replayed.
//!
//! [`Report::build`] makes the figures (`sla_semantics` §11) from the rows; [`table`] shows them in a terminal,
//! serde as JSON, [`html`] as one page. Integers only: shares are tenths of a percent (`…_permille`), times
//! whole seconds (`…_s`), so that the same rows give the same bytes.

pub mod compare;
pub mod html;
pub mod lateness;

pub mod rings;
pub mod show;
pub mod table;
pub mod words;

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use self::compare::Comparison;
use self::rings::Rings;
use super::evaluate::figures::Evaluation;
use super::rows::{CycleRow, Outcome, Reply};
use crate::core::clock::metrics::{Lags, attainment, in_backlog, in_window, mean, percentile};
use crate::core::time::{Instant, Span};
use crate::sources::history::Tally;

/// How many of the worst cases are listed.
pub const WORST_SHOWN: usize = 20;

/// What a report is made in: its window, its zone, and what the clocks are called.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The zone of days and hours.
    pub zone: TimeZone,
    /// Its name, such as `Asia/Shanghai`.
    pub zone_name: String,
    /// The window `[from, to)` in which cycles are decided.
    pub from: Instant,
    /// Its end, not included.
    pub to: Instant,
    /// The clocks in the order of the configuration; others follow by name.
    pub clocks: Vec<ClockTitle>,
    /// The shifts in the order of the configuration: name, and title for people.
    pub shifts: Vec<(String, Option<String>)>,
}

impl Frame {
    /// What people call `name`, where `what` is the shifts: 早班 for `early`. Other names stand for themselves.
    pub fn shift_title<'a>(&'a self, what: &str, name: Option<&'a str>) -> Option<&'a str> {
        let name = name?;
        let known = self.shifts.iter().find(|(n, _)| what == "shift" && n == name);
        Some(known.and_then(|(_, title)| title.as_deref()).unwrap_or(name))
    }
}

/// What a clock is called, and what is expected of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockTitle {
    /// Its name in the configuration.
    pub name: String,
    /// Its title for people (`平台工单 20 分钟回复`).
    pub title: Option<String>,
    /// The attainment that is asked for, in tenths of a percent.
    pub goal_permille: Option<u16>,
}

/// All that is told of one replay; serialised, it is the JSON output.
#[derive(Clone, Debug, Serialize)]
pub struct Document<'a> {
    /// The configuration that was replayed, as it is called.
    pub config: &'a str,
    /// What was read.
    pub history: &'a Tally,
    /// The figures.
    pub report: &'a Report,
    /// How another configuration differs over the same history; null without one.
    pub comparison: Option<&'a Comparison>,
    /// How good the alarms of parcels that will be late were; left out without a truth to go by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<&'a Evaluation>,
}

/// The figures of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The zone of days and hours.
    pub zone: String,
    /// The window `[from, to)`.
    pub from: Instant,
    /// Its end, not included.
    pub to: Instant,
    /// All clocks together.
    pub total: Counts,
    /// Clock by clock.
    pub clocks: Vec<ClockFigures>,
    /// The days on which something was decided, oldest first.
    pub days: Vec<DayFigures>,
    /// Breaches by the weekday (Monday first) and the hour at which they were due.
    pub breaches_by_hour: [[u64; 24]; 7],
    /// How long breaches stood past due.
    pub overdue_ages: Vec<AgeBucket>,
    /// The longest overdue, by wall time; at most [`WORST_SHOWN`].
    pub worst: Vec<WorstCase>,
    /// By the shift at due (M12), where shifts are known.
    pub shifts: Vec<GroupFigures>,
    /// By shop, where shops are known.
    pub shops: Vec<GroupFigures>,
    /// What would have been rung.
    pub rings: Rings,
    /// How long after its instant each crossing was recorded (M14), rung or not.
    pub detection_lag: Detection,
}

/// Nearest-rank percentiles (M7) of how late `n` crossings were recorded, in whole seconds; null when `n` is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Detection {
    /// How many crossings there are.
    pub n: u64,
    /// The median.
    pub p50_s: Option<i64>,
    /// 99 of 100 are no later than this.
    pub p99_s: Option<i64>,
    /// The latest.
    pub max_s: Option<i64>,
}

impl Detection {
    fn of(lags: &Lags) -> Detection {
        let rank = |p| lags.percentile(p).map(Span::as_secs);
        Detection { n: lags.count() as u64, p50_s: rank(50), p99_s: rank(99), max_s: rank(100) }
    }
}

/// How many cycles stand where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All of them.
    pub cycles: u64,
    /// met + missed + overdue: the n of the attainment.
    pub decided: u64,
    /// Attainment (M2) in tenths of a percent; null when nothing was decided.
    pub attainment_permille: Option<u16>,
    /// Ended in time.
    pub met: u64,
    /// Ended too late.
    pub missed: u64,
    /// Past due and not ended.
    pub overdue: u64,
    /// Running.
    pub running: u64,
    /// Paused.
    pub paused: u64,
    /// Cancelled.
    pub cancelled: u64,
    /// Superseded.
    pub superseded: u64,
    /// Excused.
    pub excused: u64,
    /// Without a reachable due time.
    pub unreachable: u64,
    /// At risk (M10).
    pub at_risk: u64,
    /// Begun and not ended at the window's end, whenever they were due (M11).
    pub backlog: u64,
}

impl Counts {
    fn add(&mut self, row: &CycleRow) {
        self.cycles += 1;
        self.at_risk += u64::from(row.at_risk);
        *match row.outcome {
            Outcome::Met => &mut self.met,
            Outcome::Missed => &mut self.missed,
            Outcome::Overdue => &mut self.overdue,
            Outcome::Running => &mut self.running,
            Outcome::Paused => &mut self.paused,
            Outcome::Cancelled => &mut self.cancelled,
            Outcome::Superseded => &mut self.superseded,
            Outcome::Excused => &mut self.excused,
            Outcome::Unreachable => &mut self.unreachable,
        } += 1;
        self.decided = self.met + self.missed + self.overdue;
        self.attainment_permille = attainment(self.met, self.decided);
    }

    /// missed + overdue.
    pub fn breaches(&self) -> u64 {
        self.missed + self.overdue
    }
}

/// The figures of one clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClockFigures {
    /// Its name.
    pub clock: String,
    /// Its title; null where it has none.
    pub title: Option<String>,
    /// The attainment asked for, in tenths of a percent; null where none is.
    pub goal_permille: Option<u16>,
    /// How many cycles stand where.
    pub counts: Counts,
    /// From start to end of the cycles that ended in or out of time, in running open time.
    pub finish_open: Spread,
    /// The same in wall time.
    pub finish_wall: Spread,
    /// Open time past due of the broken ones (K26, M9).
    pub overdue_open: Spread,
    /// The same in wall time.
    pub overdue_wall: Spread,
    /// For reply clocks (M3, M4, M6); null for others.
    pub replies: Option<Replies>,
    /// Of the cycles with any: open time paused for the buyer although the buyer had written again (M13).
    pub doubtful_pause: Spread,
}

/// The times of a reply clock. Cases without a reply are not in the means; they are in the attainment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replies {
    /// First reply time (M3), open.
    pub first_open: Spread,
    /// First reply time (M3), wall.
    pub first_wall: Spread,
    /// Next reply time (M4), open.
    pub next_open: Spread,
    /// Next reply time (M4), wall.
    pub next_wall: Spread,
    /// What the buyer waited in open time, pauses included (M6), whether answered or not.
    pub waited: Spread,
}

/// Nearest-rank percentiles (M7) and mean (M8) of `n` times in whole seconds; null when `n` is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many times there are.
    pub n: u64,
    /// The median.
    pub p50_s: Option<i64>,
    /// 90 of 100 are no longer than this.
    pub p90_s: Option<i64>,
    /// 95 of 100 are no longer than this.
    pub p95_s: Option<i64>,
    /// The longest.
    pub max_s: Option<i64>,
    /// The mean, half up.
    pub mean_s: Option<i64>,
}

impl Spread {
    fn of(mut spans: Vec<Span>) -> Spread {
        spans.sort_unstable();
        let rank = |p| percentile(&spans, p).map(Span::as_secs);
        Spread {
            n: spans.len() as u64,
            p50_s: rank(50),
            p90_s: rank(90),
            p95_s: rank(95),
            max_s: rank(100),
            mean_s: mean(&spans).map(Span::as_secs),
        }
    }
}

/// What was decided (M1) on one local day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayFigures {
    /// The day, `2026-03-02`.
    #[serde(serialize_with = "as_text")]
    pub date: Date,
    /// All clocks together.
    #[serde(flatten)]
    pub total: Decided,
    /// The clocks of which something was decided, in the report's order.
    pub clocks: Vec<DayClock>,
}

/// One clock on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayClock {
    /// Its name.
    pub clock: String,
    /// What was decided.
    #[serde(flatten)]
    pub decided: Decided,
}

/// What was decided, and the attainment of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// Attainment in tenths of a percent; null when nothing was decided.
    pub attainment_permille: Option<u16>,
    /// Ended in time.
    pub met: u64,
    /// Ended too late.
    pub missed: u64,
    /// Past due and not ended.
    pub overdue: u64,
}

impl Decided {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Met => self.met += 1,
            Outcome::Missed => self.missed += 1,
            Outcome::Overdue => self.overdue += 1,
            _ => return,
        }
        self.attainment_permille = attainment(self.met, self.decided());
    }

    /// Takes another's counts in.
    pub fn merge(&mut self, other: &Decided) {
        self.met += other.met;
        self.missed += other.missed;
        self.overdue += other.overdue;
        self.attainment_permille = attainment(self.met, self.decided());
    }

    /// met + missed + overdue.
    pub fn decided(&self) -> u64 {
        self.met + self.missed + self.overdue
    }

    /// missed + overdue.
    pub fn breaches(&self) -> u64 {
        self.missed + self.overdue
    }
}

/// How many breaches stood past due for less than `below_s` and not less than the bucket before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgeBucket {
    /// The bucket's end in seconds, not included; null for the last one.
    pub below_s: Option<i64>,
    /// By open time.
    pub open: u64,
    /// By wall time.
    pub wall: u64,
}

/// The ends of the overdue-age buckets: 5m, 15m, 1h, 4h, 1d, 3d, 7d, 14d.
pub const AGE_BUCKETS_S: [i64; 8] = [300, 900, 3600, 14_400, 86_400, 259_200, 604_800, 1_209_600];

/// One of the worst cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorstCase {
    /// The source of the case.
    pub source: String,
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The clock that was broken.
    pub clock: String,
    /// Missed, or overdue still.
    pub outcome: Outcome,
    /// When the cycle began.
    pub start: Instant,
    /// When it was due.
    pub due: Option<Instant>,
    /// When it ended; null while it has not.
    pub end: Option<Instant>,
    /// Wall time past due.
    pub overdue_wall_s: i64,
    /// Open time past due.
    pub overdue_open_s: i64,
    /// The shop; null where the case names none.
    pub shop: Option<String>,
    /// The assignee at due.
    pub assignee: Option<String>,
    /// The shift at due.
    pub shift: Option<String>,
}

/// What was decided for one shift or shop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupFigures {
    /// Its name; null for the cycles that have none.
    pub name: Option<String>,
    /// What was decided.
    #[serde(flatten)]
    pub decided: Decided,
}

impl Report {
    /// Makes the figures of `rows`.
    ///
    /// A decided cycle counts when it was decided (M1) inside the window, one that ended without counting when it
    /// ended inside it, and one that still runs when it started before the window's end.
    pub fn build(rows: &[CycleRow], rings: Rings, lags: &Lags, frame: &Frame) -> Report {
        let names = clock_order(rows.iter().map(|row| &*row.clock), frame);
        let place: BTreeMap<&str, usize> = names.iter().zip(0..).map(|(n, i)| (n.name.as_str(), i)).collect();
        let mut sums: Vec<ClockSums> = names.iter().map(|_| ClockSums::default()).collect();
        let mut total = Counts::default();
        let mut days: BTreeMap<Date, BTreeMap<usize, Decided>> = BTreeMap::new();
        let mut heat = [[0; 24]; 7];
        let mut ages = [(0, 0); AGE_BUCKETS_S.len() + 1];
        let mut worst: Vec<&CycleRow> = Vec::new();
        let (mut shifts, mut shops) = (Groups::new(), Groups::new());
        let last = frame.to - Span::MILLISECOND;
        for row in rows.iter().filter(|row| is_in_backlog(row, last)) {
            total.backlog += 1;
            sums[place[&*row.clock]].counts.backlog += 1;
        }
        for row in rows.iter().filter(|row| counts_in(row, frame)) {
            let clock = place[&*row.clock];
            total.add(row);
            sums[clock].add(row);
            if let Some(at) = row.decided_at() {
                let date = local(frame, at).date();
                days.entry(date).or_default().entry(clock).or_default().count(row.outcome);
                shifts.entry(row.shift.as_deref()).or_default().count(row.outcome);
                shops.entry(row.shop.as_deref()).or_default().count(row.outcome);
            }
            if let (true, Some(due)) = (row.outcome.is_breach(), row.due) {
                let due = local(frame, due);
                let weekday = usize::from(due.weekday().to_monday_zero_offset().unsigned_abs());
                heat[weekday][usize::from(due.hour().unsigned_abs())] += 1;
                ages[age_bucket(row.overdue_open)].0 += 1;
                ages[age_bucket(row.overdue_wall)].1 += 1;
                worst.push(row);
            }
        }
        worst.sort_by(|a, b| {
            let key = |r: &CycleRow| (std::cmp::Reverse(r.overdue_wall), r.due, r.start);
            key(a).cmp(&key(b)).then_with(|| {
                (&a.source, &a.kind, &a.id, &a.clock).cmp(&(&b.source, &b.kind, &b.id, &b.clock))
            })
        });
        worst.truncate(WORST_SHOWN);
        let named_day = |(date, clocks): (Date, BTreeMap<usize, Decided>)| {
            let mut total = Decided::default();
            clocks.values().for_each(|decided| total.merge(decided));
            let clocks =
                clocks.into_iter().map(|(i, decided)| DayClock { clock: names[i].name.clone(), decided });
            DayFigures { date, total, clocks: clocks.collect() }
        };
        Report {
            zone: frame.zone_name.clone(),
            from: frame.from,
            to: frame.to,
            total,
            days: days.into_iter().map(named_day).collect(),
            breaches_by_hour: heat,
            overdue_ages: ages
                .iter()
                .enumerate()
                .map(|(i, (open, wall))| AgeBucket {
                    below_s: AGE_BUCKETS_S.get(i).copied(),
                    open: *open,
                    wall: *wall,
                })
                .collect(),
            worst: worst.into_iter().map(WorstCase::of).collect(),
            shifts: group_figures(shifts, &frame.shifts),
            shops: group_figures(shops, &[]),
            rings: rings.in_order(&names),
            detection_lag: Detection::of(lags),
            clocks: names.into_iter().zip(sums).map(|(title, sums)| sums.figures(title)).collect(),
        }
    }

    /// The title of a clock, or its name where it has none.
    pub fn title_of<'a>(&'a self, clock: &'a str) -> &'a str {
        self.clocks.iter().find(|c| c.clock == clock).and_then(|c| c.title.as_deref()).unwrap_or(clock)
    }
}

type Groups<'a> = BTreeMap<Option<&'a str>, Decided>;

/// In the order of `known`, then by name.
fn group_figures(groups: Groups<'_>, known: &[(String, Option<String>)]) -> Vec<GroupFigures> {
    if groups.keys().all(Option::is_none) {
        return Vec::new();
    }
    let mut figures: Vec<_> = groups
        .into_iter()
        .map(|(name, decided)| GroupFigures { name: name.map(str::to_owned), decided })
        .collect();
    // The nameless rest stands last.
    let place = |name: &String| known.iter().position(|(n, _)| n == name).unwrap_or(known.len());
    figures.sort_by_key(|group| (group.name.is_none(), group.name.as_ref().map(place)));
    figures
}

/// The clocks of the frame, then those that only the rows know.
fn clock_order<'a>(used: impl Iterator<Item = &'a str>, frame: &Frame) -> Vec<ClockTitle> {
    let mut names = frame.clocks.clone();
    let unknown: std::collections::BTreeSet<&str> =
        used.filter(|name| !frame.clocks.iter().any(|c| c.name == *name)).collect();
    names.extend(unknown.into_iter().map(|name| ClockTitle { name: name.to_owned(), ..Default::default() }));
    names
}

fn counts_in(row: &CycleRow, frame: &Frame) -> bool {
    match row.outcome {
        Outcome::Met | Outcome::Missed | Outcome::Overdue => {
            row.decided_at().is_some_and(|at| in_window(at, frame.from, frame.to))
        }
        Outcome::Cancelled | Outcome::Superseded | Outcome::Excused => {
            in_window(row.end.unwrap_or(row.start), frame.from, frame.to)
        }
        Outcome::Running | Outcome::Paused | Outcome::Unreachable => row.start < frame.to,
    }
}

/// M11. What a person excused has ended, even if nothing in the case says so.
fn is_in_backlog(row: &CycleRow, t: Instant) -> bool {
    row.outcome != Outcome::Excused && in_backlog(row.start, row.end, t)
}

fn local(frame: &Frame, at: Instant) -> jiff::civil::DateTime {
    frame.zone.to_datetime(at.to_timestamp())
}

fn as_text<S: serde::Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

fn age_bucket(age: Span) -> usize {
    AGE_BUCKETS_S.iter().position(|below| age < Span::from_secs(*below)).unwrap_or(AGE_BUCKETS_S.len())
}

#[derive(Default)]
struct ClockSums {
    counts: Counts,
    finish_open: Vec<Span>,
    finish_wall: Vec<Span>,
    overdue_open: Vec<Span>,
    overdue_wall: Vec<Span>,
    first_reply: [Vec<Span>; 2],
    next_reply: [Vec<Span>; 2],
    waited: Vec<Span>,
    doubtful: Vec<Span>,
}

impl ClockSums {
    fn add(&mut self, row: &CycleRow) {
        self.counts.add(row);
        if matches!(row.outcome, Outcome::Met | Outcome::Missed) {
            self.finish_open.push(row.open);
            self.finish_wall.push(row.wall);
        }
        if row.outcome.is_breach() {
            self.overdue_open.push(row.overdue_open);
            self.overdue_wall.push(row.overdue_wall);
        }
        let replies = match row.reply {
            Some(Reply::First) => Some(&mut self.first_reply),
            Some(Reply::Next) => Some(&mut self.next_reply),
            None => None,
        };
        if let Some([open, wall]) = replies {
            open.push(row.open);
            wall.push(row.wall);
        }
        self.waited.push(row.waited);
        if !row.doubtful.is_zero() {
            self.doubtful.push(row.doubtful);
        }
    }

    fn figures(self, title: ClockTitle) -> ClockFigures {
        let [first_open, first_wall] = self.first_reply.map(Spread::of);
        let [next_open, next_wall] = self.next_reply.map(Spread::of);
        let is_reply = first_open.n + next_open.n > 0;
        ClockFigures {
            replies: is_reply.then(|| Replies {
                first_open,
                first_wall,
                next_open,
                next_wall,
                waited: Spread::of(self.waited),
            }),
            doubtful_pause: Spread::of(self.doubtful),
            clock: title.name,
            title: title.title,
            goal_permille: title.goal_permille,
            counts: self.counts,
            finish_open: Spread::of(self.finish_open),
            finish_wall: Spread::of(self.finish_wall),
            overdue_open: Spread::of(self.overdue_open),
            overdue_wall: Spread::of(self.overdue_wall),
        }
    }
}

impl WorstCase {
    fn of(row: &CycleRow) -> WorstCase {
        WorstCase {
            source: row.source.to_string(),
            kind: row.kind.to_string(),
            id: row.id.clone(),
            clock: row.clock.to_string(),
            outcome: row.outcome,
            start: row.start,
            due: row.due,
            end: row.end,
            overdue_wall_s: row.overdue_wall.as_secs(),
            overdue_open_s: row.overdue_open.as_secs(),
            shop: row.shop.as_deref().map(str::to_owned),
            assignee: row.assignee.as_deref().map(str::to_owned),
            shift: row.shift.as_deref().map(str::to_owned),
        }
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
