//! `[lateness]`: what a parcel is called in the cases, and when it is told that one will be late.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::notice::Notice;
use crate::core::problem::Problems;
use crate::core::time::Span;

/// `[lateness]` (预计超时): learned from the parcels of the desk itself, hour by hour from nothing.
///
/// ```toml
/// [lateness]
/// on    = ["order"]
/// level = 60            # percent, decided 3 days ahead
/// ahead = "3d"
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LatenessConfig {
    /// The kinds of cases that are parcels, or have one.
    pub on: Vec<String>,
    /// The mark at which the carrier took it.
    pub began: String,
    /// The mark at which it was delivered.
    pub delivered: String,
    /// The marks after which it is no longer expected.
    pub left: Vec<String>,
    /// The mark that names the promised instant.
    pub promise: String,
    /// The attribute that names the carrier (快递公司).
    pub carrier: String,
    /// The attribute that names where it comes from (发货地).
    pub from: String,
    /// The attribute that names where it goes to (收货地).
    pub to: String,
    /// At `ahead` before the promise a parcel is told whose chance to be late is this many percent or more.
    pub level: u8,
    /// How long before the promise that is decided.
    pub ahead: Span,
    /// At any time a parcel is told whose chance is this many percent or more; 100 is never.
    pub early: u8,
    /// So long before the promise every parcel is told that has not arrived.
    pub last: Span,
}

impl Default for LatenessConfig {
    fn default() -> LatenessConfig {
        LatenessConfig {
            on: vec!["order".into(), "parcel".into()],
            began: "shipped".into(),
            delivered: "delivered".into(),
            left: ["cancelled", "returned", "refunded"].map(String::from).to_vec(),
            promise: "deliver_by".into(),
            carrier: "carrier".into(),
            from: "from".into(),
            to: "to".into(),
            level: 60,
            ahead: Span::DAY.times(3),
            early: 90,
            last: Span::DAY,
        }
    }
}

impl LatenessConfig {
    /// Notes everything that is wrong with it.
    pub fn check(&self, problems: &mut Problems) {
        for (name, percent) in [("level", self.level), ("early", self.early)] {
            if !(1..=100).contains(&percent) {
                problems.within(name, |p| p.error(format!("is {percent}, expected 1 to 100 percent")));
            }
        }
        if self.early < self.level {
            problems.within("early", |p| {
                p.error(format!(
                    "is {}, below `level` ({}): an early word needs the higher chance",
                    self.early, self.level
                ));
            });
        }
        if self.last > self.ahead {
            problems.within("last", |p| {
                p.error(format!(
                    "is {}, longer than `ahead` ({}): then nothing is decided",
                    self.last, self.ahead
                ));
            });
        }
    }

    /// The rule that these figures are.
    pub fn notice(&self) -> Notice {
        let share = |percent: u8| f64::from(percent) / 100.0;
        Notice { early: share(self.early), level: share(self.level), ahead: self.ahead, last: self.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let usual = LatenessConfig::default();
        for (name, config, want) in [
            ("as it is", usual.clone(), 0),
            ("nothing is certain", LatenessConfig { level: 0, ..usual.clone() }, 1),
            ("more than certain", LatenessConfig { early: 101, ..usual.clone() }, 1),
            ("upside down", LatenessConfig { level: 80, early: 70, ..usual.clone() }, 1),
            ("the last call first", LatenessConfig { last: Span::DAY.times(4), ..usual.clone() }, 1),
        ] {
            let mut problems = Problems::new();
            config.check(&mut problems);
            assert_eq!(problems.error_count(), want, "{name}: {:?}", problems.into_vec());
        }
        assert_eq!(usual.notice(), Notice::default());
    }
}
