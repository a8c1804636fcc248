//! Who may do what (`delivery_semantics` §6.4).

use crate::core::alerting::route::is_own;
use crate::core::alerting::{Alerting, Refusal};
use crate::core::duty::Role;
use crate::core::model::{Incident, PersonId};

/// An act, as the table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Ack,
    Snooze,
    Resolve,
    Escalate,
    Release,
}

impl Deed {
    fn word(self) -> &'static str {
        match self {
            Deed::Ack => "ack",
            Deed::Snooze => "snooze",
            Deed::Resolve => "resolve",
            Deed::Escalate => "escalate",
            Deed::Release => "release",
        }
    }
}

/// The column of the table that a person is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Capacity {
    /// Had it, or was told of it, and is off shift.
    Former,
    /// A colleague of the same team, on shift.
    Colleague,
    /// A handler of the audience.
    Audience,
    /// A senior.
    Senior,
    /// A manager; for the system's own trouble an admin.
    Manager,
}

impl Capacity {
    fn may(self, deed: Deed) -> bool {
        match deed {
            Deed::Ack => self >= Capacity::Colleague,
            Deed::Snooze | Deed::Resolve | Deed::Release => self >= Capacity::Audience,
            Deed::Escalate => true,
        }
    }
}

impl Alerting {
    /// In what capacity a person may do something with an incident.
    pub(super) fn entitled(
        &self,
        person: &PersonId,
        incident: &Incident,
        deed: Deed,
    ) -> Result<Capacity, Refusal> {
        let Some(known) = self.setup.roster.people.get(person) else {
            return Err(Refusal::Unknown(person.clone()));
        };
        let on_duty = self.setup.roster.is_on_duty(person, self.now);
        let told = incident.audience.contains(person)
            || incident.told.contains_key(person)
            || incident.acked_by.as_ref() == Some(person)
            || incident.owner.as_ref() == Some(person);
        let always = self.is_always_told(person);
        let capacity = match known.role {
            Role::Manager => Some(Capacity::Manager),
            Role::Senior => Some(Capacity::Senior),
            _ if is_own(&incident.family) && always => Some(Capacity::Manager),
            Role::Handler | Role::Admin if told && (on_duty || always) => Some(Capacity::Audience),
            Role::Handler if on_duty && known.team == incident.team => Some(Capacity::Colleague),
            Role::Handler | Role::Admin if told => Some(Capacity::Former),
            Role::Handler | Role::Admin => None,
        };
        match capacity {
            Some(capacity) if capacity.may(deed) => Ok(capacity),
            _ => {
                let why = match capacity {
                    Some(Capacity::Former) => "off shift",
                    Some(_) => "not of its audience",
                    None if on_duty => "of another team",
                    None => "neither told of it nor on shift",
                };
                let act = deed.word().to_owned();
                Err(Refusal::NotEntitled { person: person.clone(), act, why: why.to_owned() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_6_4() {
        use Capacity::{Audience, Colleague, Former, Manager, Senior};
        for (deed, allowed) in [
            (Deed::Ack, &[Colleague, Audience, Senior, Manager][..]),
            (Deed::Snooze, &[Audience, Senior, Manager]),
            (Deed::Resolve, &[Audience, Senior, Manager]),
            (Deed::Release, &[Audience, Senior, Manager]),
            (Deed::Escalate, &[Former, Colleague, Audience, Senior, Manager]),
        ] {
            for capacity in [Former, Colleague, Audience, Senior, Manager] {
                assert_eq!(capacity.may(deed), allowed.contains(&capacity), "{deed:?} {capacity:?}");
            }
        }
    }
}
