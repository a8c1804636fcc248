//! When a parcel is told of, and why.

use serde::{Deserialize, Serialize};

use super::forecast::Forecast;
use crate::core::time::{Instant, Span};

/// When it is told that a parcel will be late.
///
/// Long before the promise nothing is lost by waiting a day and knowing more, so an early word needs a high chance. At
/// `ahead` it is decided: who is told then has that long to act. Between that and `last` little is lost by waiting, so
/// it needs the high chance again; at `last` every parcel is told that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// At any time, once the chance reaches this.
    pub early: f64,
    /// At `ahead` before the promise, when the chance has reached this.
    pub level: f64,
    /// How long before the promise it is decided; at the beginning of a parcel that has less time.
    pub ahead: Span,
    /// So long before the promise, whatever the chance.
    pub last: Span,
}

impl Default for Notice {
    fn default() -> Notice {
        Notice { early: 0.9, level: 0.6, ahead: Span::from_minutes(3 * 1440), last: Span::from_minutes(1440) }
    }
}

/// That it is told, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// When.
    pub at: Instant,
    /// What made it that instant.
    pub reason: Reason,
}

/// What made an alarm ring when it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The chance reached the level of the early word.
    Early,
    /// The chance reached the level.
    Likely,
    /// The promise is near.
    LastCall,
    /// Nothing is known yet: a countdown to the promise.
    Countdown,
}

impl Notice {
    /// When a parcel is told of that began at `began`, has not arrived at `now`, and is promised for `promise`; none
    /// from the promise on. It holds until the model changes.
    pub fn alarm_at(
        &self,
        forecast: Option<&Forecast<'_>>,
        began: Instant,
        promise: Instant,
        now: Instant,
    ) -> Option<Alarm> {
        let now = now.max(began);
        if now >= promise {
            return None;
        }
        let Some(forecast) = forecast else {
            return Some(Alarm { at: (promise - self.ahead).max(now), reason: Reason::Countdown });
        };
        let decided = (promise - self.ahead).max(began);
        let is_likely = now <= decided && forecast.chance(began, promise, decided) >= self.level;
        let likely = is_likely.then_some((decided, Reason::Likely));
        let early = forecast.reaches(self.early, began, promise, now).map(|at| (at, Reason::Early));
        let last = ((promise - self.last).max(now), Reason::LastCall);
        let (at, reason) =
            [early, likely].into_iter().flatten().fold(last, |a, b| if b.0 <= a.0 { b } else { a });
        Some(Alarm { at, reason })
    }
}

/// What an alarm can say of its parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The chance to be late, in percent.
    pub late_percent: u8,
    /// The day of its way that it is on; the first is 1.
    pub day: u16,
    /// The day for which it is promised.
    pub promised_day: u16,
    /// The day by which 9 of 10 parcels of the lane have arrived, by its counts.
    pub nine_of_ten_by: Option<u16>,
    /// How fast deliveries run this week, in percent of what is usual.
    pub pace_percent: u16,
    /// How many parcels of this very lane that rests on.
    pub parcels: u32,
}

impl Why {
    /// What can be said at `at`.
    pub fn of(forecast: &Forecast<'_>, began: Instant, promise: Instant, at: Instant) -> Why {
        let day = |to: Instant| u16::try_from(to.since(began).as_secs() / 86_400 + 1).unwrap_or(u16::MAX);
        Why {
            late_percent: (forecast.chance(began, promise, at) * 100.0).round() as u8,
            day: day(at),
            promised_day: day(promise),
            nine_of_ten_by: forecast.age_of(0.9).map(|age| day(began + age)),
            pace_percent: (forecast.surge() * 100.0).round() as u16,
            parcels: forecast.parcels().round() as u32,
        }
    }
}
