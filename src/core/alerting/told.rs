//! What a person was told by a channel lately: what an answer in words can be about (`delivery_semantics` §12.1).

use crate::core::alerting::{Alerting, LINK_LIFE};
use crate::core::ids::Id;
use crate::core::model::{Incident, Message};

/// One message that left for a person, and what of it is not over.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The message.
    pub message: Id,
    /// The incidents that it lists and that are not resolved; a storm stands for what is folded under it.
    pub open: Vec<Incident>,
}

impl Alerting {
    /// The messages that left for `person` by `channel` within a day and list something that is not resolved, the newest
    /// first, at most `most`.
    pub fn told_by(&self, channel: &str, person: &str, most: usize) -> Vec<Told> {
        let since = |message: &&Message| {
            let lane = *message.to.lane.channel == *channel && *message.to.person == *person;
            lane && message.first_at.is_some_and(|at| at + LINK_LIFE > self.now)
        };
        let mut left: Vec<&Message> = self.messages.values().filter(since).collect();
        left.sort_by_key(|message| std::cmp::Reverse((message.first_at, message.seq)));
        let told = left.into_iter().map(|message| Told {
            message: message.id,
            open: message
                .members
                .iter()
                .filter_map(|id| self.incidents.get(id))
                .filter(|incident| !incident.is_resolved())
                .cloned()
                .collect(),
        });
        told.filter(|told| !told.open.is_empty()).take(most).collect()
    }
}
