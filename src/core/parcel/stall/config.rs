//! `[stall]`: what scans are called in the cases, and how long a silence may be while nothing is known.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Closures, Stage};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// `[stall]` (自适应停滞, R39): learned from the scans of the desk's own parcels.
///
/// ```toml
/// [stall]
/// alpha   = 0.005        # of a thousand silences like this one the five longest are told
/// serious = 0.003
///
/// [stall.limits]
/// in_transit = "72h"     # while nothing is known of a carrier and lane
///
/// [[stall.closed]]       # 春节: carriers stand still, and nothing is learned of it
/// carrier = "yunda"      # left out: all
/// from    = "2027-02-04"
/// to      = "2027-02-10"
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StallConfig {
    /// The kinds of cases that are parcels.
    pub on: Vec<String>,
    /// The mark of a scan by somebody who had it in their hands.
    pub scan: String,
    /// The attribute that says where in its life it is, by the words of the house (`in_transit`, …).
    pub status: String,
    /// The share of silences that is told: the longest.
    pub alpha: f64,
    /// The share that is serious.
    pub serious: f64,
    /// The longest silence in each stage while nothing is known of it.
    pub limits: BTreeMap<Stage, Span>,
    /// When carriers are closed (停运): that time does not count, and nothing is learned of it.
    pub closed: Vec<ClosedConfig>,
}

/// Days on which a carrier stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosedConfig {
    /// Which carrier, as the cases call it; all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The first day, such as `2027-02-04`.
    pub from: String,
    /// The last day.
    pub to: String,
}

impl Default for StallConfig {
    fn default() -> StallConfig {
        StallConfig {
            on: vec!["parcel".into()],
            scan: "last_scan".into(),
            status: "status".into(),
            alpha: 0.005,
            serious: 0.003,
            limits: BTreeMap::new(),
            closed: Vec::new(),
        }
    }
}

impl StallConfig {
    /// The longest silence in a stage while nothing is known of it (`logistics` 6: R02 to R07, R21).
    pub fn limit(&self, stage: Stage) -> Span {
        let hours = match stage {
            Stage::Registered | Stage::PickedUp | Stage::AtDestination => 24,
            Stage::InTransit => 72,
            Stage::OutForDelivery => 36,
            Stage::Returning => 120,
        };
        self.limits.get(&stage).copied().unwrap_or(Span::HOUR.times(hours))
    }

    /// Notes everything that is wrong with it.
    pub fn check(&self, problems: &mut Problems) {
        for (name, share) in [("alpha", self.alpha), ("serious", self.serious)] {
            if !(0.0001..=0.1).contains(&share) {
                let text = format!("is {share}, expected a share from 0.0001 to 0.1, such as 0.005");
                problems.within(name, |p| p.error(text));
            }
        }
        if self.serious > self.alpha {
            problems.within("serious", |p| {
                p.error(format!(
                    "is {}, above `alpha` ({}): what is serious is rarer than what is told",
                    self.serious, self.alpha
                ));
            });
        }
        for (stage, limit) in &self.limits {
            if !(Span::HOUR.times(6)..=Span::DAY.times(60)).contains(limit) {
                let text = format!("is {limit}, expected 6h to 60d");
                problems.within("limits", |p| p.within(stage.word(), |p| p.error(text)));
            }
        }
        for (n, closed) in self.closed.iter().enumerate() {
            let told = match (day(&closed.from), day(&closed.to)) {
                (Some(from), Some(to)) if from > to => Some("ends before it begins".to_owned()),
                (Some(_), Some(_)) => None,
                _ => Some(format!(
                    "is from {} to {}, expected days such as 2027-02-04",
                    closed.from, closed.to
                )),
            };
            if let Some(told) = told {
                problems.within("closed", |p| p.within(n, |p| p.error(told)));
            }
        }
    }

    /// When carriers are closed, in days of `zone`. What cannot be read is left out.
    pub fn closures(&self, zone: &TimeZone) -> Closures {
        let midnight =
            |date: Date| Some(Instant::from_timestamp(date.to_zoned(zone.clone()).ok()?.timestamp()));
        Closures::new(self.closed.iter().filter_map(|closed| {
            let from = midnight(day(&closed.from)?)?;
            let to = midnight(day(&closed.to)?.tomorrow().ok()?)?;
            Some((closed.carrier.clone(), from, to))
        }))
    }
}

fn day(text: &str) -> Option<Date> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (name, text, want) in [
            ("as it is", "", 0),
            ("no share at all", "alpha = 0.0\nserious = 0.0", 2),
            ("more than all", "alpha = 5.0", 1),
            ("upside down", "alpha = 0.001\nserious = 0.002", 1),
            ("an hour", "[limits]\nin_transit = \"1h\"", 1),
            ("a limit", "[limits]\nin_transit = \"48h\"", 0),
            ("a closure", "[[closed]]\nfrom = \"2027-02-04\"\nto = \"2027-02-10\"", 0),
            ("backwards", "[[closed]]\nfrom = \"2027-02-04\"\nto = \"2027-02-01\"", 1),
            ("no days", "[[closed]]\nfrom = \"soon\"\nto = \"later\"", 1),
        ] {
            let config: StallConfig = toml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut problems = Problems::new();
            config.check(&mut problems);
            assert_eq!(problems.error_count(), want, "{name}: {:?}", problems.into_vec());
        }
        assert!(toml::from_str::<StallConfig>("[limits]\nsomewhere = \"48h\"").is_err());
    }
}
