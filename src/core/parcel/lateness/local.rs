//! Local days, as far as learning needs them: an offset that holds for the day that is being learned.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::rhythm::DAY;
use crate::core::time::Instant;

/// The offset of the desk's zone on one day. Days before and after are taken to have it too: a change of the clock
/// moves a forecast by an hour at most, and until midnight only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// Minutes east of UTC.
    offset: i32,
}

impl Local {
    /// `minutes` east of UTC.
    #[cfg(test)]
    pub const fn at_offset(minutes: i32) -> Local {
        Local { offset: minutes }
    }

    /// As the clocks of `zone` stand at `at`.
    pub fn of(zone: &TimeZone, at: Instant) -> Local {
        Local { offset: zone.to_offset(at.to_timestamp()).seconds() / 60 }
    }

    /// The midnight that begins the day of `at`; both in minutes since the epoch.
    pub fn midnight(self, at: i64) -> i64 {
        let offset = i64::from(self.offset);
        (at + offset).div_euclid(DAY) * DAY - offset
    }

    /// The weekday of `at`, Monday 0.
    pub fn weekday(self, at: i64) -> usize {
        // 1970-01-01 was a Thursday.
        ((at + i64::from(self.offset)).div_euclid(DAY) + 3).rem_euclid(7) as usize
    }
}
