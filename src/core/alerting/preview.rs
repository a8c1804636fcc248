//! What another configuration would change for what is open (`delivery_semantics` §16.3): asked before it is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::core::alerting::route::Ways;
use crate::core::alerting::tell::scope_of;
use crate::core::alerting::{Alerting, Setup};
use crate::core::ids::Id;
use crate::core::model::PersonId;

/// So many incidents are looked at.
const MOST: usize = 5000;

/// By whom, the channels they are told by.
pub type Way = BTreeMap<PersonId, BTreeSet<Arc<str>>>;

/// An incident that would be told to others, or by other lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteChange {
    /// The incident.
    pub incident: Id,
    /// Its level.
    pub level: u8,
    /// Whom its level would be told to now, and by what.
    pub now: Way,
    /// The same with the other setup.
    pub then: Way,
}

impl Alerting {
    /// The open incidents, of level 1 and up, that another setup would route otherwise; those of clocks that `rules`
    /// does not name would be closed, and are left out. Nothing changes.
    pub fn preview_routes(&mut self, setup: &Setup, rules: &BTreeSet<Arc<str>>) -> Vec<RouteChange> {
        let asked: Vec<(Id, u8)> = self
            .incidents
            .values()
            .filter(|i| !i.is_resolved() && i.level >= 1 && i.folded.is_none())
            .filter(|i| i.cycle.is_none() || rules.contains(&i.rule))
            .map(|i| (i.id, i.level))
            .take(MOST)
            .collect();
        let now: Vec<Way> = asked.iter().map(|(id, _)| self.way(*id)).collect();
        let own = std::mem::replace(&mut self.setup, setup.clone());
        let then: Vec<Way> = asked.iter().map(|(id, _)| self.way(*id)).collect();
        self.setup = own;
        let both = asked.into_iter().zip(now.into_iter().zip(then));
        both.filter(|(_, (now, then))| now != then)
            .map(|((incident, level), (now, then))| RouteChange { incident, level, now, then })
            .collect()
    }

    /// Who an incident's level would be told to, were it told now.
    fn way(&self, id: Id) -> Way {
        let mut way = Way::new();
        let Some(incident) = self.incidents.get(&id) else { return way };
        let class = self.class_of(incident, incident.level);
        let choice = self.routing(incident, incident.level, scope_of(incident), class).choose();
        for to in self.waves(&choice, class, &Ways::default()).into_iter().flatten() {
            if choice.audience.contains(&to.person) {
                way.entry(to.person).or_default().insert(to.lane.channel);
            }
        }
        way
    }
}
