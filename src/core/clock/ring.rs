//! Rings: the thresholds of a clock (`sla_semantics` §7).

use std::fmt;

use crate::core::model::{Sym, Symbols};
use crate::core::problem::Problems;
use crate::core::time::Span;

use super::config::RingConfig;

/// One threshold of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Its name in the table of names: the canonical text, which is its identity across reloads.
    pub name: Sym,
    /// When it is crossed.
    pub at: RingAt,
    /// Rung only while the calendar is open (H7).
    pub hold: bool,
}

/// When a ring is crossed. The order is that of gravity (H8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RingAt {
    /// This share of the target is consumed, 1–99.
    Percent(u8),
    /// This long before due.
    Before(std::cmp::Reverse<Span>, Measure),
    /// Due has passed.
    Due,
    /// Overdue for this long.
    After(Span, Measure),
}

/// What a ring's distance counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// The calendar's open time.
    Open,
    /// The 24-hour clock.
    Wall,
}

impl RingAt {
    /// Reads `50%`, `5m before`, `due`, `10m after`, `30m before wall`.
    ///
    /// # Errors
    /// Anything else, with the value found and the values expected.
    pub fn parse(text: &str) -> Result<RingAt, String> {
        let bad = || {
            format!(
                "found `{text}`, expected `50%`, `5m before`, `due` or `10m after`, the middle two also with `wall`"
            )
        };
        let text = text.trim();
        if text == "due" {
            return Ok(RingAt::Due);
        }
        if let Some(percent) = text.strip_suffix('%') {
            let percent: u8 = percent.trim().parse().map_err(|_| bad())?;
            if !(1..=99).contains(&percent) {
                return Err(format!("found `{text}`, expected a share from 1% to 99%"));
            }
            return Ok(RingAt::Percent(percent));
        }
        let (text, measure) = match text.strip_suffix("wall") {
            Some(rest) => (rest.trim_end(), Measure::Wall),
            None => (text, Measure::Open),
        };
        let span = |text: &str| match Span::parse(text) {
            Ok(span) if !span.is_zero() => Ok(span),
            _ => Err(bad()),
        };
        if let Some(distance) = text.strip_suffix("before") {
            Ok(RingAt::Before(std::cmp::Reverse(span(distance)?), measure))
        } else if let Some(distance) = text.strip_suffix("after") {
            Ok(RingAt::After(span(distance)?, measure))
        } else {
            Err(bad())
        }
    }

    /// Whether it is crossed when reached, and so may be armed again when due moves later (H1, H4).
    pub fn is_early(self) -> bool {
        matches!(self, RingAt::Percent(_) | RingAt::Before(..))
    }
}

impl fmt::Display for RingAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wall = |measure: &Measure| if *measure == Measure::Wall { " wall" } else { "" };
        match self {
            RingAt::Percent(percent) => write!(f, "{percent}%"),
            RingAt::Before(span, measure) => write!(f, "{} before{}", span.0, wall(measure)),
            RingAt::Due => f.write_str("due"),
            RingAt::After(span, measure) => write!(f, "{span} after{}", wall(measure)),
        }
    }
}

/// Checks the rings of a clock; `target` is the longest `before` that makes sense (H6).
pub(super) fn compile_rings(
    configs: &[RingConfig],
    target: Option<Span>,
    symbols: &mut Symbols,
    problems: &mut Problems,
) -> Vec<Ring> {
    /// The most rings of one clock.
    const MOST: usize = 16;
    if configs.len() > MOST {
        problems.error(format!("has {} rings, expected at most {MOST}", configs.len()));
    }
    let mut rings: Vec<Ring> = Vec::new();
    for (i, config) in configs.iter().enumerate() {
        problems.within(i, |problems| {
            let at = match RingAt::parse(&config.at) {
                Ok(at) => at,
                Err(text) => return problems.error(text),
            };
            if let (RingAt::Before(before, Measure::Open), Some(target)) = (at, target)
                && before.0 > target
            {
                problems
                    .error(format!("found `{}`, expected at most the whole target of {target}", config.at));
            }
            let Some(name) = symbols.intern(&at.to_string()) else {
                return problems.error("too many names");
            };
            if rings.iter().any(|r| r.name == name) {
                return problems.error(format!("found `{at}` twice, expected each ring once"));
            }
            rings.push(Ring { name, at, hold: config.hold });
        });
    }
    rings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_read_and_write() {
        for (text, want) in [
            ("50%", Ok("50%")),
            (" 5m before", Ok("5m before")),
            ("due", Ok("due")),
            ("90m after", Ok("1h 30m after")),
            ("30m before wall", Ok("30m before wall")),
            ("1d after wall", Ok("24h after wall")),
            ("0%", Err(())),
            ("100%", Err(())),
            ("50% wall", Err(())),
            ("0m before", Err(())),
            ("before", Err(())),
            ("due wall", Err(())),
            ("", Err(())),
        ] {
            let got = RingAt::parse(text).map(|r| r.to_string()).map_err(|_| ());
            assert_eq!(got.as_deref(), want.as_ref().copied(), "{text}");
        }
    }

    #[test]
    fn gravity_grows_towards_and_past_due() {
        let order = ["25%", "75%", "1h before", "5m before", "due", "10m after", "1h after"];
        let rings: Vec<RingAt> = order.iter().filter_map(|t| RingAt::parse(t).ok()).collect();
        assert_eq!(rings.len(), order.len());
        assert!(rings.is_sorted(), "{rings:?}");
    }
}
