//! The letter of a message: everything its text can say, as it is at the claim (`delivery_semantics` §10.7).

use std::collections::BTreeMap;

use crate::core::alerting::render::{Item, Letter, StormText};
use crate::core::alerting::{Alerting, LinkKeys, LinkMaker, RuleText};
use crate::core::ids::Id;
use crate::core::model::{ChannelCard, Incident, LinkRule, Message, Purpose, ReplyPath};
use crate::core::time::Instant;

use super::group::Sort;

impl Alerting {
    /// The letter of a message; `None` when there is nothing it could be about.
    pub(super) fn letter<'a>(&'a self, id: Id, card: &'a ChannelCard, minimal: bool) -> Option<Letter<'a>> {
        let message = self.messages.get(&id)?;
        let (purpose, gravest) = self.gravest(id)?;
        let notice = self.notices.get(&gravest)?;
        let person = self.setup.roster.people.get(&message.to.person);
        let lines = self.setup.config.group.digest_lines.max(1) as usize;
        let about = self.incidents.get(&notice.incident)?;
        let storm: Option<StormText<'a>> =
            if Sort::of(purpose) == Sort::Storm { self.storm_text(about) } else { None };
        let all: Vec<&Incident> = if storm.is_some() {
            self.folded_under(about.id).filter_map(|child| self.incidents.get(&child)).collect()
        } else {
            message.members.iter().filter_map(|m| self.incidents.get(m)).collect()
        };
        let total = all.len();
        let penalty_cents = all.iter().fold(0, |sum: i64, i| sum.saturating_add(i.penalty_cents));
        let listed = urgent_first(all, lines);
        // What each one says of itself is its own step, not that of another notice.
        let steps: BTreeMap<Id, u32> = message
            .notices
            .iter()
            .filter_map(|n| self.notices.get(n))
            .map(|n| (n.incident, n.step))
            .collect();
        let items = listed.into_iter().map(|i| self.item(i, steps.get(&i.id).copied())).collect();
        Some(Letter {
            card,
            language: person.and_then(|p| p.language).unwrap_or(self.setup.language),
            zone: &self.setup.zone,
            message: id,
            purpose,
            priority: message.priority,
            person: &message.to.person,
            person_name: person.map_or(&*message.to.person, |p| p.name.as_str()),
            desk: &self.setup.title,
            team: &notice.team,
            items,
            total,
            penalty_cents,
            storm,
            marked: message.marked,
            unrecorded: false,
            minimal,
            remark: notice.remark.as_deref(),
            links: self.links(card, message, purpose, about),
            buttons: self.buttons(card, message, purpose, about),
            now: self.now,
        })
    }

    fn item<'a>(&'a self, incident: &'a Incident, step: Option<u32>) -> Item<'a> {
        let rule: Option<&RuleText> = self.setup.rules.get(&incident.rule);
        Item {
            id: incident.id,
            family: &incident.family,
            rule: &incident.rule,
            title: rule.map_or(&incident.rule, |r| r.title.as_str()),
            action: rule.and_then(|r| r.action.as_deref()),
            kind: &incident.subject.kind,
            source: &incident.subject.source,
            subject: &incident.subject.id,
            level: incident.level,
            step: step.unwrap_or(incident.step),
            episode: incident.episode,
            vip: incident.vip,
            since: incident.since,
            due: incident.due,
            hard_deadline: incident.hard_deadline,
            unverified: incident.unverified,
            penalty_cents: incident.penalty_cents,
            dimensions: &incident.dimensions,
            facts: &incident.facts,
        }
    }

    /// The buttons of the message, where the channel has such (§12.2).
    fn buttons(
        &self,
        card: &ChannelCard,
        message: &Message,
        purpose: Purpose,
        about: &Incident,
    ) -> Vec<(&'static str, String)> {
        if card.reply != ReplyPath::Button {
            return Vec::new();
        }
        let keys = LinkKeys::new(&self.key, &self.setup.desk, self.setup.config.link_revision);
        keys.buttons(message.id, purpose, &self.answered_by(message, about), self.now)
    }

    /// The incidents that an answer to a message is about: a storm is acked as its parent, any other message as the list
    /// that it is (RS4).
    fn answered_by<'a>(&'a self, message: &Message, about: &'a Incident) -> Vec<&'a Incident> {
        match about.storm {
            Some(_) => vec![about],
            None => message.members.iter().filter_map(|m| self.incidents.get(m)).collect(),
        }
    }

    /// The links of the message, where the installation has pages and the channel takes links (§12.1).
    fn links(
        &self,
        card: &ChannelCard,
        message: &Message,
        purpose: Purpose,
        about: &Incident,
    ) -> Vec<(&'static str, String)> {
        let maker = LinkMaker::new(&self.key, &self.setup.desk, &self.setup.config);
        let Some(maker) = maker.filter(|_| card.links != LinkRule::None) else { return Vec::new() };
        let members = self.answered_by(message, about);
        maker.links(message.id, &message.to.person, purpose, &members, self.now)
    }
}

/// The first `lines` by least time left, then penalty; only these are put in order, however many there are.
fn urgent_first(mut incidents: Vec<&Incident>, lines: usize) -> Vec<&Incident> {
    let key = |i: &&Incident| {
        let left = i.hard_deadline.into_iter().chain(i.due).min().unwrap_or(Instant::from_millis(i64::MAX));
        (left, -i128::from(i.penalty_cents), i.id)
    };
    if incidents.len() > lines {
        incidents.select_nth_unstable_by_key(lines, key);
        incidents.truncate(lines);
    }
    incidents.sort_by_key(key);
    incidents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::alerting::samples::incident;

    #[test]
    fn least_time_left_then_penalty() {
        let of = |n: u8, due: Option<i64>, hard: Option<i64>, cents: i64| {
            let mut of = incident(n, "ticket.reply");
            of.due = due.map(Instant::from_secs);
            of.hard_deadline = hard.map(Instant::from_secs);
            of.penalty_cents = cents;
            of
        };
        let all = [
            of(1, Some(50), None, 0),
            of(2, None, None, 900),
            of(3, Some(90), Some(10), 0),
            of(4, Some(50), None, 700),
            of(5, Some(20), None, 0),
        ];
        let order = |lines| {
            let listed = urgent_first(all.iter().collect(), lines);
            listed.into_iter().map(|i| i.id.as_bytes()[0]).collect::<Vec<u8>>()
        };
        assert_eq!(order(10), [3, 5, 4, 1, 2]);
        assert_eq!(order(2), [3, 5]);
    }
}
