//! When carriers stand still (停运): at 春节, or by a notice of their own.

use crate::core::time::{Instant, Span};

/// Windows in which no scan is to be expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closures {
    /// Of which carrier (all for none), from when, to when; by their beginnings.
    windows: Vec<(Option<String>, Instant, Instant)>,
}

impl Closures {
    /// Windows of carriers, or of all; in any order, and they may overlap.
    pub fn new(windows: impl Iterator<Item = (Option<String>, Instant, Instant)>) -> Closures {
        let mut windows: Vec<_> = windows.filter(|(_, from, to)| from < to).collect();
        windows.sort_by(|a, b| (a.1, a.2, &a.0).cmp(&(b.1, b.2, &b.0)));
        Closures { windows }
    }

    fn of(&self, carrier: &str) -> impl Iterator<Item = (Instant, Instant)> {
        let is_it = move |whose: &Option<String>| whose.as_deref().is_none_or(|whose| whose == carrier);
        self.windows.iter().filter(move |w| is_it(&w.0)).map(|w| (w.1, w.2))
    }

    /// Whether any of `[from, to)` lies in a window.
    pub fn touch(&self, carrier: &str, from: Instant, to: Instant) -> bool {
        self.of(carrier).any(|(start, end)| start < to && from < end)
    }

    /// How much of `[from, to)` lies outside of the windows.
    pub fn outside(&self, carrier: &str, from: Instant, to: Instant) -> Span {
        let (mut at, mut open) = (from, Span::ZERO);
        for (start, end) in self.of(carrier).filter(|(start, _)| *start < to) {
            open += start.since(at);
            at = at.max(end);
        }
        open + to.since(at)
    }

    /// The instant at which `open` has passed outside of the windows since `from`.
    pub fn after(&self, carrier: &str, from: Instant, open: Span) -> Instant {
        let (mut at, mut left) = (from, open);
        for (start, end) in self.of(carrier) {
            let before = start.since(at);
            if left <= before {
                break;
            }
            if end > at {
                left = left.less(before);
                at = end;
            }
        }
        at + left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_windows_does_not_count() {
        let at = |h: i64| Instant::from_secs(1_767_225_600 + h * 3_600);
        let window = |who: Option<&str>, from, to| (who.map(str::to_owned), at(from), at(to));
        let closures = Closures::new(
            [window(Some("sf"), 50, 60), window(None, 10, 20), window(None, 15, 30), window(None, 9, 8)]
                .into_iter(),
        );
        for (carrier, from, to, want) in [
            ("yto", 0, 5, 5),
            ("yto", 0, 40, 20),
            ("yto", 12, 18, 0),
            ("yto", 25, 70, 40),
            ("sf", 25, 70, 30),
        ] {
            let outside = closures.outside(carrier, at(from), at(to));
            assert_eq!(outside, Span::HOUR.times(want), "{carrier} {from} to {to}");
            assert_eq!(
                closures.touch(carrier, at(from), at(to)),
                want < to - from,
                "{carrier} {from} to {to}"
            );
            if want > 0 {
                assert_eq!(closures.after(carrier, at(from), outside), at(to), "{carrier} {from} to {to}");
            }
        }
        assert_eq!(closures.after("yto", at(12), Span::HOUR), at(31));
        assert_eq!(Closures::default().after("yto", at(0), Span::HOUR), at(1));
    }
}
