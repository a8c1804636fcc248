//! What may be told together (`delivery_semantics` §8.1).

use std::sync::Arc;

use crate::core::alerting::config::GroupConfig;
use crate::core::model::{Class, Lane, PersonId, Purpose};
use crate::core::time::Span;

/// Sorts of texts: only notices of one sort share a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Sort {
    /// Something needs work.
    Work,
    /// Something is over, or never was.
    Over,
    /// A storm.
    Storm,
    /// About the system's use: a silence ends, a test.
    Other,
}

impl Sort {
    /// Whether all that is due on a lane at one instant goes together, whatever its family.
    pub(super) fn mixes(self) -> bool {
        matches!(self, Sort::Work | Sort::Over)
    }

    /// Whether both are steps of one story (O1): what is done about a storm, and what is said of it, are.
    pub(super) fn follows(self, earlier: Sort) -> bool {
        let step = |sort| matches!(sort, Sort::Work | Sort::Storm);
        self == earlier || step(self) && step(earlier)
    }

    /// The sort of a purpose.
    pub(super) fn of(purpose: Purpose) -> Sort {
        match purpose {
            Purpose::Prewarning
            | Purpose::Level
            | Purpose::Reminder(_)
            | Purpose::Unhandled
            | Purpose::AckLapsed
            | Purpose::Rerouted
            | Purpose::SnoozeOver
            | Purpose::Reopened
            | Purpose::Digest => Sort::Work,
            Purpose::Cleared | Purpose::Corrected => Sort::Over,
            Purpose::StormOpened | Purpose::StormUpdate | Purpose::StormOver => Sort::Storm,
            Purpose::SilenceEnding | Purpose::Canary => Sort::Other,
        }
    }
}

/// What makes a group: one lane of one person, one sort, one family, class and team.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    pub(super) lane: Lane,
    pub(super) person: PersonId,
    pub(super) sort: Sort,
    /// The family; for a storm and for what stands alone, the incident.
    pub(super) family: Arc<str>,
    pub(super) class: Class,
    pub(super) team: Arc<str>,
}

impl GroupKey {
    /// The least key of a person's lane.
    pub(super) fn first_of(lane: Lane, person: PersonId) -> GroupKey {
        GroupKey {
            lane,
            person,
            sort: Sort::Work,
            family: Arc::from(""),
            class: Class::P0,
            team: Arc::from(""),
        }
    }
}

/// How long a first message waits for others. A later wave does not wait: its notice has waited long enough (B5, B6).
pub(super) fn wait(config: &GroupConfig, purpose: Purpose, class: Class, later_wave: bool) -> Span {
    match purpose {
        _ if later_wave => Span::ZERO,
        // A storm's first message waits for the rest of its page, whatever its class (§8.2).
        Purpose::StormOpened => config.wait.p1,
        _ => config.wait.of(class),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_first_message_waits() {
        let config = GroupConfig::default();
        for (purpose, class, later, want) in [
            (Purpose::Level, Class::P0, false, 0),
            (Purpose::Level, Class::P1, false, 5),
            (Purpose::Level, Class::P2, false, 60),
            (Purpose::Level, Class::P1, true, 0),
            (Purpose::StormOpened, Class::P0, false, 5),
            (Purpose::StormOpened, Class::P1, false, 5),
            (Purpose::StormOpened, Class::P2, false, 5),
            (Purpose::Cleared, Class::P3, false, 60),
        ] {
            let found = wait(&config, purpose, class, later);
            assert_eq!(found, Span::from_secs(want), "{purpose:?} {class:?} {later}");
        }
    }

    #[test]
    fn what_is_over_is_never_told_with_what_needs_work() {
        assert_eq!(Sort::of(Purpose::Level), Sort::of(Purpose::Digest));
        assert_ne!(Sort::of(Purpose::Level), Sort::of(Purpose::Cleared));
        assert_ne!(Sort::of(Purpose::StormUpdate), Sort::of(Purpose::Level));
    }
}
