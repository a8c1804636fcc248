//! What was told, against what happened (`logistics` 7.5).
//!
//! A parcel is scored when it was shipped and promised, and its promise lies before the end of the history. It is late
//! when it was not delivered at the promised instant, later or never; by the day, when not at the end of the local day
//! of that instant. An alarm counts when it came before the promised instant.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::truth::Row;
use super::{CALIBRATED_AT, Contender, Watched};
use crate::core::clock::metrics::percentile;
use crate::core::model::Language;
use crate::core::parcel::lateness::{Reason, Told};
use crate::core::time::{Instant, Span};

/// How many days ahead late parcels are counted as named.
pub const AHEAD_DAYS: [u8; 5] = [1, 2, 3, 5, 7];
/// In how many parts chances are compared.
const PARTS: usize = 10;
/// How many alarms are shown with their sentence.
const EXAMPLES: usize = 3;

/// How good the alarms were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// The file of the truth.
    pub truth: String,
    /// Parcels ordered from here on are scored.
    pub from: Instant,
    /// How many were scored.
    pub parcels: u64,
    /// How many of them were late.
    pub late: u64,
    /// How many of those were never delivered.
    pub never: u64,
    /// How many were late by the day.
    pub late_by_day: u64,
    /// How many were not scored because their promise lies after the end of the history.
    pub undecided: u64,
    /// The detector as configured first, then what it is compared with.
    pub rules: Vec<RuleFigures>,
    /// The same detector at other levels; empty without `--sweep`.
    pub sweep: Vec<RuleFigures>,
    /// How the chances were met.
    pub calibration: Vec<Calibration>,
    /// A few of its alarms.
    pub examples: Vec<Example>,
}

/// How good one rule was; shares in tenths of a percent, null where there is nothing to share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleFigures {
    /// What it is called.
    pub name: &'static str,
    /// Its level in percent, where it has one.
    pub level: Option<u8>,
    /// Alarms before the promise.
    pub alarms: u64,
    /// The same per 1,000 parcels, in tenths.
    pub alarms_per_10000: u64,
    /// Of the alarms, those of parcels that were late.
    pub precision_permille: Option<u16>,
    /// Of the late parcels, those with an alarm.
    pub recall_permille: Option<u16>,
    /// The same where late is meant by the day.
    pub precision_by_day_permille: Option<u16>,
    /// The same where late is meant by the day.
    pub recall_by_day_permille: Option<u16>,
    /// Of the late parcels, those named so many days before the promise or earlier: [`AHEAD_DAYS`].
    pub ahead_permille: [Option<u16>; AHEAD_DAYS.len()],
    /// From the alarm of a late parcel to its promise: the median.
    pub lead_p50_s: Option<i64>,
    /// The quarter with the shortest time has at most this.
    pub lead_p25_s: Option<i64>,
    /// From the alarm of a late parcel to its delivery: the median of those delivered.
    pub before_delivery_p50_s: Option<i64>,
    /// The quarter with the shortest time has at most this.
    pub before_delivery_p25_s: Option<i64>,
    /// Alarms by what made them ring.
    pub reasons: BTreeMap<Reason, u64>,
}

/// The chances so many days before the promise, and what came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Calibration {
    /// How many days before.
    pub days: u8,
    /// Tenth by tenth of the chance; empty ones are left out.
    pub parts: Vec<CalibrationPart>,
}

/// The parcels whose chance lay in one tenth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CalibrationPart {
    /// How many there were.
    pub parcels: u64,
    /// Their mean chance, in tenths of a percent.
    pub chance_permille: u16,
    /// How many of them were late, in tenths of a percent.
    pub late_permille: u16,
}

/// One alarm with its sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The parcel.
    pub id: String,
    /// When.
    pub at: Instant,
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
    /// Whether it was late then.
    pub was_late: bool,
}

/// A parcel that is scored.
struct Scored<'t> {
    row: &'t Row,
    number: Option<u32>,
    due: Instant,
    is_late: bool,
    is_late_by_day: bool,
}

impl Evaluation {
    /// Joins what was told with what happened. Parcels ordered from `from` on are scored; without it, the last third of
    /// the rows. `rows` come by `created`.
    pub fn build(
        file: &str,
        rows: &[Row],
        from: Option<Instant>,
        contenders: &[Contender],
        watched: &Watched,
        zone: &TimeZone,
    ) -> Evaluation {
        let from = from.or_else(|| rows.get(rows.len() * 2 / 3).map(|r| r.created)).unwrap_or(watched.end);
        let mut undecided = 0;
        let mut scored = Vec::new();
        for row in rows.iter().filter(|row| row.created >= from) {
            let (Some(_), Some(due)) = (row.shipped, row.due) else { continue };
            if due >= watched.end {
                undecided += 1;
                continue;
            }
            let end_of_day = end_of_day(due, zone);
            scored.push(Scored {
                row,
                number: watched.numbers.get(row.id.as_str()).copied(),
                due,
                is_late: row.delivered.is_none_or(|at| at > due),
                is_late_by_day: row.delivered.is_none_or(|at| at >= end_of_day),
            });
        }
        let mut alarms: Vec<BTreeMap<u32, &Told>> = vec![BTreeMap::new(); contenders.len()];
        for told in &watched.told {
            if let Some(alarms) = alarms.get_mut(told.rule) {
                alarms.entry(told.parcel).or_insert(told);
            }
        }
        let figures =
            contenders.iter().zip(&alarms).map(|(c, alarms)| (c.is_swept, score(c, &scored, alarms)));
        let (swept, plain): (Vec<_>, Vec<_>) = figures.partition(|(is_swept, _)| *is_swept);
        let n = |is: fn(&Scored<'_>) -> bool| scored.iter().filter(|s| is(s)).count() as u64;
        Evaluation {
            truth: file.to_owned(),
            from,
            parcels: scored.len() as u64,
            late: n(|s| s.is_late),
            never: n(|s| s.row.delivered.is_none()),
            late_by_day: n(|s| s.is_late_by_day),
            undecided,
            rules: plain.into_iter().map(|(_, figures)| figures).collect(),
            sweep: swept.into_iter().map(|(_, figures)| figures).collect(),
            calibration: calibration(&scored, watched),
            examples: alarms.first().map_or_else(Vec::new, |alarms| examples(&scored, alarms)),
        }
    }
}

fn score(contender: &Contender, scored: &[Scored<'_>], alarms: &BTreeMap<u32, &Told>) -> RuleFigures {
    let (mut n, mut right, mut right_by_day) = (0, 0, 0);
    let mut ahead = [0; AHEAD_DAYS.len()];
    let (mut leads, mut before_delivery) = (Vec::new(), Vec::new());
    let mut reasons = BTreeMap::new();
    for parcel in scored {
        let alarm = parcel.number.and_then(|number| alarms.get(&number)).map(|told| told.alarm);
        let Some(alarm) = alarm.filter(|alarm| alarm.at < parcel.due) else { continue };
        n += 1;
        *reasons.entry(alarm.reason).or_insert(0) += 1;
        right_by_day += u64::from(parcel.is_late_by_day);
        if !parcel.is_late {
            continue;
        }
        right += 1;
        let lead = parcel.due.since(alarm.at);
        leads.push(lead);
        before_delivery.extend(parcel.row.delivered.map(|at| at.since(alarm.at)));
        for (days, n) in AHEAD_DAYS.iter().zip(&mut ahead) {
            *n += u64::from(lead >= Span::DAY.times(i64::from(*days)));
        }
    }
    let late = scored.iter().filter(|s| s.is_late).count() as u64;
    let late_by_day = scored.iter().filter(|s| s.is_late_by_day).count() as u64;
    leads.sort_unstable();
    before_delivery.sort_unstable();
    let at = |spans: &[Span], percent| percentile(spans, percent).map(Span::as_secs);
    RuleFigures {
        name: contender.name,
        level: contender.level,
        alarms: n,
        alarms_per_10000: (n * 10_000 + scored.len() as u64 / 2) / (scored.len() as u64).max(1),
        precision_permille: permille(right, n),
        recall_permille: permille(right, late),
        precision_by_day_permille: permille(right_by_day, n),
        recall_by_day_permille: permille(right_by_day, late_by_day),
        ahead_permille: ahead.map(|n| permille(n, late)),
        lead_p50_s: at(&leads, 50),
        lead_p25_s: at(&leads, 25),
        before_delivery_p50_s: at(&before_delivery, 50),
        before_delivery_p25_s: at(&before_delivery, 25),
        reasons,
    }
}

fn calibration(scored: &[Scored<'_>], watched: &Watched) -> Vec<Calibration> {
    let of_days = |days: u8| {
        let mut parts = [(0_u64, 0_u64, 0_u64); PARTS];
        for parcel in scored {
            let chance = parcel.number.and_then(|number| watched.chances.get(&(number, days)));
            let Some(chance) = chance.copied() else { continue };
            let part = &mut parts[(usize::from(chance) * PARTS / 10_000).min(PARTS - 1)];
            *part = (part.0 + 1, part.1 + u64::from(chance), part.2 + u64::from(parcel.is_late));
        }
        let parts =
            parts.into_iter().filter(|part| part.0 > 0).map(|(parcels, chances, late)| CalibrationPart {
                parcels,
                chance_permille: (chances / 10 / parcels) as u16,
                late_permille: permille(late, parcels).unwrap_or(0),
            });
        Calibration { days, parts: parts.collect() }
    };
    CALIBRATED_AT.map(of_days).into_iter().filter(|c| !c.parts.is_empty()).collect()
}

/// Alarms from the middle of what is scored, with a chance behind them.
fn examples(scored: &[Scored<'_>], alarms: &BTreeMap<u32, &Told>) -> Vec<Example> {
    let with_words = scored.iter().skip(scored.len() / 2).filter_map(|parcel| {
        let told = alarms.get(&parcel.number?)?;
        let why = told.why.filter(|_| told.alarm.reason != Reason::LastCall)?;
        Some(Example {
            id: parcel.row.id.clone(),
            at: told.alarm.at,
            en: why.sentence(Language::En),
            zh: why.sentence(Language::Zh),
            was_late: parcel.is_late,
        })
    });
    with_words.take(EXAMPLES).collect()
}

/// The midnight that ends the local day of `at`; a day later where the calendar ends.
fn end_of_day(at: Instant, zone: &TimeZone) -> Instant {
    let date = at.to_timestamp().to_zoned(zone.clone()).date();
    let next = date.checked_add(1.day()).and_then(|next| next.to_zoned(zone.clone()));
    next.map_or(at + Span::DAY, |next| Instant::from_timestamp(next.timestamp()))
}

fn permille(part: u64, all: u64) -> Option<u16> {
    (all > 0).then(|| ((part * 1000 + all / 2) / all) as u16)
}
