//! The figures of a report, as pure functions over finished lists (`sla_semantics` §11).
//!
//! Integers only: a share is counted in tenths of a percent, a time in milliseconds, so that the same
//! cycles give the same figures to the byte. With nothing to count a figure is absent, never 0 or 100.

use std::collections::BTreeMap;

use crate::core::time::{Instant, Span};

/// Attainment (达成率, M2) in tenths of a percent, half up: `met` of `decided`; absent when nothing was decided.
pub fn attainment(met: u64, decided: u64) -> Option<u16> {
    if decided == 0 {
        return None;
    }
    let (met, decided) = (u128::from(met.min(decided)), u128::from(decided));
    u16::try_from((met * 2000 + decided) / (decided * 2)).ok()
}

/// The nearest-rank percentile (M7) of a list sorted upwards: element `ceil(percent/100 × n)`, counted from 1.
/// Absent for an empty list; `percent` 0 is the first element.
pub fn percentile(sorted: &[Span], percent: u8) -> Option<Span> {
    sorted.get(nearest_rank(sorted.len(), percent) - 1).copied()
}

fn nearest_rank(n: usize, percent: u8) -> usize {
    (usize::from(percent.min(100)) * n).div_ceil(100).max(1)
}

/// The mean (M8), rounded half up to the second; absent for an empty list.
pub fn mean(spans: &[Span]) -> Option<Span> {
    if spans.is_empty() {
        return None;
    }
    let sum: i128 = spans.iter().map(|s| i128::from(s.as_millis())).sum();
    let whole = 1000 * spans.len() as i128;
    let secs = (2 * sum + whole) / (2 * whole);
    Some(Span::from_secs(i64::try_from(secs).unwrap_or(i64::MAX / 1000)))
}

/// Whether a cycle is in the backlog at `t` (积压, M11): it started at or before `t`, and had not ended at `t`.
pub fn in_backlog(start: Instant, end: Option<Instant>, t: Instant) -> bool {
    start <= t && end.is_none_or(|end| end > t)
}

/// How long after its instant each crossing was recorded (发现延迟, M14). Most are recorded at once, so that equal
/// times are counted and not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lags {
    counts: BTreeMap<Span, usize>,
    count: usize,
}

impl Lags {
    /// Takes in one crossing.
    pub fn add(&mut self, lag: Span) {
        *self.counts.entry(lag).or_default() += 1;
        self.count += 1;
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The nearest-rank percentile (M7); absent when there is none.
    pub fn percentile(&self, percent: u8) -> Option<Span> {
        let rank = nearest_rank(self.count, percent);
        let mut seen = 0;
        let reaches = |(_, n): &(&Span, &usize)| {
            seen += **n;
            seen >= rank
        };
        self.counts.iter().find(reaches).map(|(lag, _)| *lag)
    }
}

/// Whether an instant lies in the window `[from, to)`.
pub fn in_window(at: Instant, from: Instant, to: Instant) -> bool {
    from <= at && at < to
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(list: &[i64]) -> Vec<Span> {
        list.iter().map(|m| Span::from_minutes(*m)).collect()
    }

    #[test]
    fn e95_attainment_leaves_out_what_is_not_decided() {
        // 7 met, 2 missed, 1 overdue; the cancelled and the two running ones are not handed in.
        assert_eq!(attainment(7, 7 + 2 + 1), Some(700));
    }

    #[test]
    fn e96_attainment_of_nothing_is_absent() {
        assert_eq!(attainment(0, 0), None);
    }

    #[test]
    fn e97_nearest_rank_and_mean() {
        let times = minutes(&[2, 3, 3, 4, 5, 6, 8, 9, 15, 40]);
        assert_eq!(percentile(&times, 50), Some(Span::from_minutes(5)));
        assert_eq!(percentile(&times, 90), Some(Span::from_minutes(15)));
        assert_eq!(mean(&times), Some(Span::from_secs(9 * 60 + 30)));
    }

    #[test]
    fn m11_the_backlog_holds_what_began_and_has_not_ended() {
        let at = Instant::from_secs;
        for (start, end, want) in [
            (100, None, true),
            (101, None, false),
            (50, None, true),
            (50, Some(100), false),
            (50, Some(101), true),
            (100, Some(100), false),
        ] {
            assert_eq!(in_backlog(at(start), end.map(at), at(100)), want, "{start}..{end:?}");
        }
    }

    #[test]
    fn m14_lags_rank_as_a_list_does() {
        assert_eq!(Lags::default().percentile(50), None);
        let list = minutes(&[0, 0, 0, 0, 0, 3, 3, 9, 15, 40]);
        let mut lags = Lags::default();
        list.iter().rev().for_each(|lag| lags.add(*lag));
        assert_eq!(lags.count(), 10);
        for p in [0, 1, 50, 51, 70, 71, 90, 95, 99, 100] {
            assert_eq!(lags.percentile(p), percentile(&list, p), "p{p}");
        }
        assert_eq!(lags.percentile(99), Some(Span::from_minutes(40)));
    }

    #[test]
    fn shares_round_half_up() {
        for (met, decided, want) in [
            (1, 3, 333),
            (2, 3, 667),
            (1, 2000, 1), // 0.05 % is half of a tenth
            (1, 2001, 0),
            (1999, 2000, 1000), // 99.95 %
            (0, 5, 0),
            (5, 5, 1000),
            (u64::MAX, u64::MAX, 1000),
        ] {
            assert_eq!(attainment(met, decided), Some(want), "{met} of {decided}");
        }
    }

    #[test]
    fn percentiles_at_the_edges() {
        assert_eq!(percentile(&[], 50), None);
        let one = minutes(&[7]);
        for p in [0, 1, 50, 95, 100, 255] {
            assert_eq!(percentile(&one, p), Some(one[0]), "p{p}");
        }
        assert_eq!(percentile(&minutes(&[1, 2]), 50), Some(Span::from_minutes(1)));
        assert_eq!(percentile(&minutes(&[1, 2]), 51), Some(Span::from_minutes(2)));
    }

    #[test]
    fn the_mean_rounds_half_up_to_the_second() {
        for (millis, want) in [(vec![499], 0), (vec![500], 1), (vec![1000, 2000], 2), (vec![1000, 1999], 1)] {
            let spans: Vec<Span> = millis.iter().map(|ms| Span::from_millis(*ms)).collect();
            assert_eq!(mean(&spans), Some(Span::from_secs(want)), "{millis:?}");
        }
        assert_eq!(mean(&[]), None);
    }
}
