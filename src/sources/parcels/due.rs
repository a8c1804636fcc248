//! When a parcel is asked for next (`logistics` 8): seldom, and more often where an alert is near; never nearer than the
//! floor; and not at all once it is over.

use serde::{Deserialize, Serialize};

use crate::core::model::hash64;
use crate::core::parcel::Milestone;
use crate::core::time::{Instant, Span};
use crate::sources::parcels::Number;
use crate::sources::parcels::trace::Standing;
use crate::sources::sign::EAST_8;

/// A reserved number is asked for within this, or not at all.
pub const RESERVED_FOR: Span = Span::from_secs(60);
/// The hours of the day in China in which couriers deliver.
const DAY: std::ops::Range<i8> = 7..22;
/// A delivered parcel is looked at again so long after (`logistics` 8: catches what goes on after a signature).
const CHECKS: [Span; 2] = [Span::from_minutes(24 * 60), Span::from_minutes(72 * 60)];
const HOUR: Span = Span::HOUR;

/// What may be configured of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Two calls for one number are never nearer.
    pub floor: Span,
    /// A parcel on its way that is not scanned for so long is in trouble: it is asked for more often from 70 % on.
    pub stall: Span,
    /// A parcel in a locker is asked for this long.
    pub pickup_for: Span,
    /// A number without any trace is asked for this long.
    pub no_trace_for: Span,
    /// A parcel of which nothing new comes is asked for this long.
    pub silent_for: Span,
}

/// Why a parcel is not asked for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Delivered, and looked at again.
    Delivered,
    /// Back with the shop.
    Returned,
    /// The number is void.
    Cancelled,
    /// Nothing was ever seen of it.
    NoTrace,
    /// Nothing new came for too long.
    Silent,
    /// It lies in a locker, and carriers often do not say that it was fetched.
    Uncollected,
    /// The vendor does not take this number: its carrier, its form, a phone number that is missing.
    Refused,
}

impl Over {
    /// Its word: the attribute `tracking` of a parcel.
    pub fn word(self) -> &'static str {
        match self {
            Over::Delivered => "delivered",
            Over::Returned => "returned",
            Over::Cancelled => "cancelled",
            Over::NoTrace => "no_trace",
            Over::Silent => "silent",
            Over::Uncollected => "uncollected",
            Over::Refused => "refused",
        }
    }

    /// Whether the parcel itself is done with, and not only our asking.
    pub fn is_final(self) -> bool {
        matches!(self, Over::Delivered | Over::Returned | Over::Cancelled)
    }
}

/// When next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Then, or as soon after as there is room.
    At(Instant),
    /// Never.
    Over(Over),
}

/// What is known of the calls for one parcel.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// Since when it is known: shipped, where somebody says so.
    pub since: Instant,
    /// The last call, answered or not.
    pub asked: Option<Instant>,
    /// The last call that was answered.
    pub answered: Option<Instant>,
    /// The last time that anything was heard of it, by a call or a push.
    pub heard: Option<Instant>,
    /// Since when the vendor tells us by itself, while it does.
    pub pushed_since: Option<Instant>,
}

/// When a parcel that stands there is due.
pub fn due(number: &Number, is: &Standing, calls: &Calls, rules: &Rules) -> Due {
    use Milestone as M;
    let pushed = calls.pushed_since.is_some();
    let heard = if pushed { calls.heard.max(calls.pushed_since) } else { None };
    let base = calls.asked.max(heard).unwrap_or(calls.since).max(calls.since);
    let scanned = is.last_scan.or(is.newest).unwrap_or(is.at);
    let late = scanned + rules.stall.percent(70);
    let limit = match is.milestone {
        M::Returned => return Due::Over(Over::Returned),
        M::Cancelled => return Due::Over(Over::Cancelled),
        M::Delivered => {
            let left =
                CHECKS.iter().map(|after| is.at + *after).find(|at| calls.answered.is_none_or(|a| a < *at));
            return left.map_or(Due::Over(Over::Delivered), |at| Due::At(floored(at, calls, rules)));
        }
        M::NoTrace | M::Registered if is.newest.is_none() => {
            (calls.since + rules.no_trace_for, Over::NoTrace)
        }
        M::AtPickupPoint => (is.at + rules.pickup_for, Over::Uncollected),
        _ => (scanned + rules.silent_for, Over::Silent),
    };
    // One last question at the limit.
    if calls.answered.is_some_and(|at| at >= limit.0) {
        return Due::Over(limit.1);
    }
    let after = |hours: i64| base + spread(number, HOUR.times(hours));
    let daytime = |at: Instant| if pushed { at } else { by_day(at) };
    let next = match is.milestone {
        M::NoTrace | M::Registered if pushed => after(24),
        // Exactly before and at the end of the first day: a parcel that nobody picked up is told then (R02).
        M::NoTrace | M::Registered => {
            let points = [20, 24].map(|hours| calls.since + HOUR.times(hours));
            points.into_iter().filter(|at| *at > base).fold(after(6), Instant::min)
        }
        M::AtDestination | M::OutForDelivery => daytime(after(if pushed { 12 } else { 2 })),
        M::DeliveryFailed => daytime(after(if pushed { 24 } else { 4 })),
        M::AtPickupPoint => after(if pushed { 48 } else { 12 }),
        _ if pushed => base + spread(number, HOUR.times(24)).max(rules.stall.percent(70)),
        _ => after(6).min(late.max(after(2))),
    };
    let next = if limit.0 > base { next.min(limit.0) } else { next };
    Due::At(floored(next, calls, rules))
}

/// Not nearer to the last call than the floor. A reservation is used up to a minute after it was kept.
fn floored(at: Instant, calls: &Calls, rules: &Rules) -> Instant {
    calls.asked.map_or(at, |asked| at.max(asked + rules.floor + RESERVED_FOR))
}

/// A tenth more or less, the same for one number each time.
fn spread(number: &Number, span: Span) -> Span {
    let share = i64::try_from(hash64(number.waybill().as_bytes()) >> 7 & 0xffff).unwrap_or(0) % 21 + 90;
    Span::from_millis(span.as_millis() / 100 * share)
}

/// That instant, or the next morning.
fn by_day(at: Instant) -> Instant {
    let local = at.to_timestamp().to_zoned(EAST_8.to_time_zone());
    if DAY.contains(&local.hour()) {
        return at;
    }
    let secs = i64::from(local.hour()) * 3600 + i64::from(local.minute()) * 60 + i64::from(local.second());
    let morning = i64::from(DAY.start) * 3600;
    let wait = if secs < morning { morning - secs } else { morning + 86_400 - secs };
    Instant::from_secs(at.as_secs() + wait)
}

/// How urgent it is: 0 where a rule about it rings within six hours, or has just (`logistics` 8: ordered by the distance
/// to the next deadline of a rule).
pub fn risk(is: &Standing, since: Instant, rules: &Rules, now: Instant) -> u8 {
    use Milestone as M;
    let rings = match is.milestone {
        M::NoTrace | M::Registered => since + HOUR.times(24),
        M::AtDestination => is.at + HOUR.times(24),
        M::OutForDelivery => is.at + HOUR.times(36),
        M::DeliveryFailed => is.at + HOUR.times(12),
        M::AtPickupPoint => is.at + HOUR.times(48),
        M::Delivered | M::Returned | M::Cancelled => return 2,
        _ => is.last_scan.unwrap_or(is.at) + rules.stall,
    };
    let distance = rings.since(now).max(now.since(rings));
    u8::from(distance > HOUR.times(6))
}

#[cfg(test)]
mod tests;
