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
    /// At any time, once the chance reaches this; 1 is never.
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

impl Reason {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::Early => "early",
            Reason::Likely => "likely",
            Reason::LastCall => "last_call",
            Reason::Countdown => "countdown",
        }
    }
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
