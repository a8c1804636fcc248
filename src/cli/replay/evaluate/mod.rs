//! `replay --evaluate`: how good are the alarms of parcels that will be late, against what really happened?
//!
//! [`watch`] runs the detector over the history and knows nothing of the truth; [`truth`] reads what happened;
//! [`figures`] joins both, when the watching is over.

pub mod figures;
mod parcels;
pub mod truth;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::parcels::Parcels;
use crate::cli::replay::ReplayError;
use crate::config::Ready;
use crate::core::parcel::lateness::{LatenessConfig, Lookout, Notice, Rule, Told};
use crate::core::time::{Instant, Span};
use crate::sources::history::{History, InputError};

/// How many days before the promise chances are compared with what came.
pub const CALIBRATED_AT: [u8; 4] = [1, 3, 5, 7];

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Contender {
    /// What it is called: a key of the words of the report.
    pub name: &'static str,
    /// The level in percent, where it has one.
    pub level: Option<u8>,
    /// Whether it is one of a sweep.
    pub is_swept: bool,
    /// The rule itself.
    pub rule: Rule,
}

/// The detector as configured, and what it is compared with in the same run.
pub fn contenders(config: &LatenessConfig, is_sweep: bool) -> Vec<Contender> {
    let notice = config.notice();
    let fixed = |name, rule| Contender { name, level: None, is_swept: false, rule };
    let leveled = |name, level, rule| Contender { level: Some(level), ..fixed(name, rule) };
    let mut contenders = vec![
        leveled("lateness", config.level, Rule::Notice(notice)),
        leveled("chance_alone", config.level, Rule::Chance(notice.level)),
        fixed("countdown_3d", Rule::Countdown(Span::DAY.times(3))),
        fixed("age_10d", Rule::Age(Span::DAY.times(10))),
        fixed("age_14d", Rule::Age(Span::DAY.times(14))),
        fixed("lane_p90", Rule::LaneAge(0.9)),
        fixed("lane_p95", Rule::LaneAge(0.95)),
    ];
    if is_sweep {
        contenders.extend((20..=95).step_by(5).map(|level: u8| {
            let share = f64::from(level) / 100.0;
            let rule = Rule::Notice(Notice { level: share, early: notice.early.max(share), ..notice });
            Contender { is_swept: true, ..leveled("lateness", level, rule) }
        }));
    }
    contenders
}

/// What came of watching a history.
pub struct Watched {
    /// The numbers of the parcels by their ids.
    pub numbers: BTreeMap<Arc<str>, u32>,
    /// Everything that was told, in the order of its instants.
    pub told: Vec<Told>,
    /// The chance of a parcel so many days before its promise, in ten-thousandths.
    pub chances: BTreeMap<(u32, u8), u16>,
    /// The end of the history.
    pub end: Instant,
}

/// Watches the parcels of `inputs` by `rules`, up to and including `until`.
///
/// # Errors
/// A history that cannot be opened or read to its end, the first broken line when `is_strict`.
pub fn watch(
    ready: &Ready,
    inputs: &[String],
    until: Option<Instant>,
    is_strict: bool,
    rules: Vec<Rule>,
) -> anyhow::Result<Watched> {
    let mut history = History::open(inputs, ready.settings.import.clone(), is_strict, &|bytes| bytes)?;
    let mut parcels = Parcels::new(&ready.settings.lateness);
    let mut watcher = Watcher {
        lookout: Lookout::new(rules, ready.shifts.zone().clone()),
        told: Vec::new(),
        chances: BTreeMap::new(),
    };
    let mut end = Instant::EARLIEST;
    let played = history.play(|observation, now| {
        if until.is_some_and(|until| now > until) {
            return Err(ReplayError::Reached);
        }
        end = now;
        if let Some((number, before, after)) = parcels.observe(observation) {
            // Everything observed at one instant goes in before anything due at it is told.
            watcher.advance_before(now);
            watcher.lookout.changed(number, &before, &after, now);
        }
        Ok::<(), ReplayError>(())
    });
    match played {
        Ok(()) | Err(ReplayError::Reached) => {}
        // What came before counts; that it broke off is told by the replay itself.
        Err(ReplayError::Input(InputError::Broken { .. })) => {}
        Err(other) => return Err(other.into()),
    }
    let end = until.unwrap_or(end);
    watcher.advance_before(end + Span::MILLISECOND);
    let Watcher { told, chances, .. } = watcher;
    Ok(Watched { numbers: parcels.into_numbers(), told, chances, end })
}

struct Watcher {
    lookout: Lookout,
    told: Vec<Told>,
    chances: BTreeMap<(u32, u8), u16>,
}

impl Watcher {
    fn advance_before(&mut self, now: Instant) {
        while let Some(wake) = self.lookout.next_wake().filter(|wake| *wake < now) {
            let is_new_day = self.lookout.model().next_change() == Some(wake);
            self.told.extend(self.lookout.advance(wake));
            if is_new_day {
                self.sample(wake);
            }
        }
    }

    /// Notes the chances of the parcels that are promised in so many days, rounded to whole ones.
    fn sample(&mut self, now: Instant) {
        for (parcel, promise, chance) in self.lookout.chances(now) {
            let days = (promise.since(now) + Span::HOUR.times(12)).as_secs() / Span::DAY.as_secs();
            if let Some(days) = CALIBRATED_AT.into_iter().find(|d| i64::from(*d) == days) {
                self.chances.insert((parcel, days), (chance * 10_000.0).round() as u16);
            }
        }
    }
}

#[cfg(test)]
mod tests;
