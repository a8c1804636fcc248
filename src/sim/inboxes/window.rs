//! How providers count: so many in so long, by the instants at which requests reach them.

use std::collections::{BTreeMap, VecDeque};

use crate::core::time::{Instant, Span};

/// So many in so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) count: usize,
    pub(super) per: Span,
}

/// So many in so long.
pub(super) const fn limit(count: usize, per: Span) -> Limit {
    Limit { count, per }
}

/// Arrivals, in order.
#[derive(Clone, Debug, Default)]
struct Log(VecDeque<Instant>);

impl Log {
    /// Whether one more at `at` leaves every stretch of the limit's length within its count, those that end later too:
    /// requests that left together do not arrive in order.
    fn has_room(&self, limit: Limit, at: Instant) -> bool {
        let before = self.0.partition_point(|known| *known <= at);
        let near = |n: usize| {
            if n < before {
                self.0.get(n)
            } else if n == before {
                Some(&at)
            } else {
                self.0.get(n - 1)
            }
        };
        let first = before.saturating_sub(limit.count);
        !(first..=before).any(|from| match (near(from), near(from + limit.count)) {
            (Some(first), Some(last)) => last.since(*first) < limit.per,
            _ => false,
        })
    }

    fn note(&mut self, at: Instant, longest: Span) {
        let place = self.0.partition_point(|known| *known <= at);
        self.0.insert(place, at);
        while self.0.front().is_some_and(|first| *first + longest + longest < at) {
            self.0.pop_front();
        }
    }
}

/// Limits that hold for each of many: a number, a person, a robot.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    limits: Vec<Limit>,
    logs: BTreeMap<String, Log>,
    /// Somebody else has used up the limit of this length.
    crowded: Option<Span>,
}

impl Limits {
    pub(super) fn new(limits: &[Limit]) -> Limits {
        Limits { limits: limits.to_vec(), logs: BTreeMap::new(), crowded: None }
    }

    /// One arrives: counted, or the length of the limit that it would break.
    pub(super) fn take(&mut self, of: &str, at: Instant) -> Result<(), Span> {
        self.look(of, at)?;
        self.note(of, at);
        Ok(())
    }

    /// One is counted, whatever the limits say.
    pub(super) fn note(&mut self, of: &str, at: Instant) {
        let longest = self.limits.iter().map(|limit| limit.per).max().unwrap_or(Span::ZERO);
        self.logs.entry(of.to_owned()).or_default().note(at, longest);
    }

    /// Somebody else uses the account too, and has used up its longest limit.
    pub(super) fn crowd(&mut self) {
        self.crowded = self.limits.iter().map(|limit| limit.per).max();
    }

    /// Whether one more is within the limits, without counting it.
    pub(super) fn look(&self, of: &str, at: Instant) -> Result<(), Span> {
        if let Some(per) = self.crowded {
            return Err(per);
        }
        let Some(log) = self.logs.get(of) else { return Ok(()) };
        match self.limits.iter().find(|limit| !log.has_room(**limit, at)) {
            Some(broken) => Err(broken.per),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stretch_holds_more_than_its_count_in_whatever_order_it_is_told() {
        let at = |secs: i64| Instant::from_secs(1_800_000_000 + secs);
        for (arrivals, want) in [
            (&[0, 1, 2][..], &[true, true, false][..]),
            (&[0, 1, 59, 60], &[true, true, false, true]),
            (&[0, 1, 60, 61], &[true, true, true, true]),
            (&[0, 59, 60, 61], &[true, true, true, false]),
            (&[30, 0, 15], &[true, true, false]),
            (&[60, 61, 2], &[true, true, false]),
            (&[60, 61, 1], &[true, true, true]),
        ] {
            let mut limits = Limits::new(&[limit(2, Span::MINUTE)]);
            let found: Vec<bool> = arrivals.iter().map(|secs| limits.take("a", at(*secs)).is_ok()).collect();
            assert_eq!(found, want, "{arrivals:?}");
            assert!(limits.look("b", at(0)).is_ok());
        }
    }
}
