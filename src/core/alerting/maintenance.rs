//! Windows of maintenance that are known ahead (`delivery_semantics` §8.3, §8.4): each is a silence of the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::alerting::Alerting;
use crate::core::alerting::silence::Silence;
use crate::core::alerting::timers::Timer;
use crate::core::ids::Id;
use crate::core::model::PersonId;
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

/// The longest window (§8.4).
const LONGEST: Span = Span::from_minutes(72 * 60);

/// `[[alerting.maintenance]]`: nothing is said of what matches while a carrier, or a channel, is known not to work.
///
/// ```toml
/// [[alerting.maintenance]]
/// name  = "sto system change"
/// match = { family = ["parcel.stalled"], carrier = ["sto"] }
/// from  = "2026-11-12T00:00:00+08:00"
/// to    = "2026-11-12T06:00:00+08:00"
/// owner = "zhou"
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceConfig {
    /// What it is: the reason that the audit gives.
    pub name: String,
    /// What it matches: `family`, `source`, `team`, `rule`, `level`, `subject` and names of dimensions, each with the
    /// values that match; `parcel.*` fits what begins so. All must match.
    #[serde(rename = "match")]
    pub matchers: BTreeMap<String, Vec<String>>,
    /// From when, RFC 3339 with an offset.
    pub from: String,
    /// Until when, exclusive.
    pub to: String,
    /// Who is told what is left ten minutes before the end.
    pub owner: String,
}

impl MaintenanceConfig {
    /// Its instants, where they can be read.
    fn span(&self) -> Option<(Instant, Instant)> {
        Some((Instant::parse(&self.from).ok()?, Instant::parse(&self.to).ok()?))
    }

    /// Notes everything that is wrong with it, but for its owner.
    pub(super) fn check(&self, problems: &mut Problems) {
        for (key, text) in [("from", &self.from), ("to", &self.to)] {
            if Instant::parse(text).is_err() {
                problems.within(key, |p| {
                    p.error(format!("found `{text}`, expected such as 2026-11-12T00:00:00+08:00"));
                });
            }
        }
        if let Some((from, to)) = self.span()
            && (to <= from || to.since(from) > LONGEST)
        {
            problems.within("to", |p| p.error("expected later than `from`, by at most 72 h"));
        }
        if self.name.trim().is_empty() {
            problems.within("name", |p| p.error("is empty, expected what the maintenance is"));
        }
        if self.matchers.is_empty() || self.matchers.values().any(Vec::is_empty) {
            problems.within("match", |p| {
                p.error("matches nothing or everything, expected such as { carrier = [\"sto\"] }");
            });
        }
    }
}

impl Alerting {
    /// Begins the windows that are on now, ends those that are no longer configured, and waits for the next one.
    pub(super) fn watch_maintenance(&mut self) {
        let config = self.setup.config.clone();
        let mut next: Option<Instant> = None;
        let mut known: Vec<Id> = Vec::new();
        for window in &config.maintenance {
            let Some((from, to)) = window.span() else { continue };
            let id = self.window_id(window, from, to);
            known.push(id);
            if from > self.now {
                next = next.into_iter().chain([from]).min();
            } else if to > self.now && !self.outbox.silences.contains_key(&id) {
                let matchers = window
                    .matchers
                    .iter()
                    .map(|(name, values)| {
                        let values = values.iter().map(|v| Arc::from(v.as_str())).collect();
                        (Arc::from(name.as_str()), values)
                    })
                    .collect();
                let owner: PersonId = window.owner.as_str().into();
                self.begin_silence(Silence {
                    id,
                    matchers,
                    owner,
                    reason: window.name.clone(),
                    starts_at: self.now,
                    ends_at: to,
                    covers_vip: false,
                    warned: false,
                    planned: true,
                });
            }
        }
        let gone: Vec<Id> = self
            .outbox
            .silences
            .values()
            .filter(|s| s.planned && !known.contains(&s.id))
            .map(|s| s.id)
            .collect();
        for id in gone {
            self.end_silence(id);
        }
        self.timers.arm(Timer::Maintenance, next);
    }

    fn window_id(&self, window: &MaintenanceConfig, from: Instant, to: Instant) -> Id {
        let matchers = serde_json::to_vec(&window.matchers).unwrap_or_default();
        self.key.id(&[
            b"maintenance",
            self.setup.desk.as_bytes(),
            window.owner.as_bytes(),
            &from.as_millis().to_be_bytes(),
            &to.as_millis().to_be_bytes(),
            &matchers,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_of_a_window_is_told() {
        let good = MaintenanceConfig {
            name: "change".into(),
            matchers: [("carrier".to_owned(), vec!["sto".to_owned()])].into(),
            from: "2026-11-12T00:00:00+08:00".into(),
            to: "2026-11-12T06:00:00+08:00".into(),
            owner: "zhou".into(),
        };
        let told = |change: &dyn Fn(&mut MaintenanceConfig)| {
            let mut window = good.clone();
            change(&mut window);
            let mut problems = Problems::new();
            window.check(&mut problems);
            problems.into_vec().into_iter().map(|p| p.path.to_string()).collect::<Vec<String>>()
        };
        assert_eq!(told(&|_| {}), [""; 0]);
        assert_eq!(told(&|w| w.from = "tomorrow".into()), ["from"]);
        assert_eq!(told(&|w| w.to = "2026-11-12T00:00:00+08:00".into()), ["to"]);
        assert_eq!(told(&|w| w.to = "2026-11-15T00:00:01+08:00".into()), ["to"]);
        assert_eq!(told(&|w| w.name = " ".into()), ["name"]);
        assert_eq!(told(&|w| w.matchers.clear()), ["match"]);
        assert_eq!(told(&|w| drop(w.matchers.insert("family".into(), Vec::new()))), ["match"]);
    }
}
