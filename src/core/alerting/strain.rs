//! What alerting does otherwise while the store is in trouble, and after it came back older than it was
//! (`delivery_semantics` §16.1, §16.4).

use crate::core::alerting::{Alerting, Count, Note};
use crate::core::ids::Id;
use crate::core::model::{Class, DuplicateKey, Table};

use super::outbox::is_waiting;

/// What the store's trouble asks of alerting. Not kept: whoever looks at the disk says it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strain {
    /// There is hardly any space: nothing new of P3 is planned.
    pub scarce: bool,
    /// The medium is slow: P2 and P3 wait.
    pub slow: bool,
}

impl Alerting {
    /// Goes by the strain from now on.
    pub fn strain(&mut self, strain: Strain) {
        self.strain = strain;
    }

    /// Whether something of this class is not planned now; the story of the incident says so (A6).
    pub(super) fn is_spared(&mut self, incident: Id, class: Class) -> bool {
        let spared = self.strain.scarce && class == Class::P3;
        if spared {
            self.audit(Note {
                actor: "system",
                kind: "notice.spared",
                incident: Some(incident),
                cause: Some("disk"),
                ..Note::default()
            });
        }
        spared
    }

    /// Whether messages of this class wait now.
    pub(super) fn is_put_off(&self, class: Class) -> bool {
        self.strain.slow && class > Class::P1
    }

    /// The store is an older copy (W22): what it shows as waiting may have left since. Where nobody drops a second copy,
    /// the next one says that it may be one.
    pub fn restored(&mut self, backup: &str) {
        let waiting = self.messages.values().filter(|m| is_waiting(m.state) && !m.marked);
        let doubtful: Vec<Id> = waiting.filter(|m| self.may_be_seen_twice(m)).map(|m| m.id).collect();
        for id in &doubtful {
            if let Some(message) = self.messages.get_mut(id) {
                message.marked = true;
                self.counts.push(Count::DuplicatePossible {
                    channel: message.to.lane.channel.clone(),
                    cause: "restored",
                });
            }
            self.forget_attempts(*id);
            self.touch(Table::Message, *id);
        }
        self.audit(Note {
            actor: "system",
            kind: "store.restored",
            change: Some(backup.to_owned()),
            detail: Some(serde_json::json!({ "doubtful": doubtful.len() })),
            ..Note::default()
        });
    }

    fn may_be_seen_twice(&self, message: &crate::core::model::Message) -> bool {
        let card = self.setup.channels.get(&message.to.lane.channel);
        match card.map_or(DuplicateKey::None, |card| card.duplicate_key) {
            DuplicateKey::Strong { horizon } => {
                message.first_at.unwrap_or(message.planned_at) + horizon <= self.now
            }
            DuplicateKey::ContentWindow { .. } | DuplicateKey::Query | DuplicateKey::None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::alerting::samples::{Does, World};
    use crate::core::model::{MessageState, Outcome, OutcomeClass, Purpose};
    use crate::core::time::Span;

    /// §16.4: with hardly any space nothing new of P3 is planned, the rest is; afterwards P3 is planned again.
    #[test]
    fn without_space_p3_is_not_planned_and_the_story_says_so() {
        let mut w = World::new();
        let i = w.incident("ticket.reply");
        let people: [crate::core::model::PersonId; 1] = ["lin".into()];
        let tell = |w: &mut World, class| {
            let before = w.alerting.notices.len();
            w.alerting.tell_people(i, &people, Purpose::Rerouted, class, "copy", None);
            w.alerting.edit(i, |i| i.step += 1);
            w.alerting.notices.len() - before
        };
        w.alerting.strain(Strain { scarce: true, slow: false });
        assert_eq!((tell(&mut w, Class::P3), tell(&mut w, Class::P2)), (0, 1));
        assert!(w.alerting.audit.iter().any(|a| a.kind == "notice.spared"), "A6");
        w.alerting.strain(Strain::default());
        assert_eq!(tell(&mut w, Class::P3), 1);
    }

    /// §16.4: on a slow medium P2 and P3 wait, P0 and P1 do not; nothing starves, and all of it leaves afterwards.
    #[test]
    fn on_a_slow_medium_the_less_urgent_waits() {
        let mut w = World::new();
        w.alerting.strain(Strain { scarce: false, slow: true });
        let t = w.now;
        let (i, j) = (w.incident("ticket.reply"), w.incident("ticket.reply"));
        w.plan(i, Class::P1, "lin", &[&["app"]]);
        w.plan(j, Class::P2, "min", &[&["app"]]);
        w.secs(90);
        assert_eq!(w.at("app", t), [5], "only the urgent one");
        let waiting = w.alerting.messages().filter(|m| m.state == MessageState::Deferred).count();
        assert_eq!(waiting, 1);
        w.secs(600);
        assert_eq!(w.at("app", t), [5], "for as long as it is slow");
        w.alerting.strain(Strain::default());
        w.secs(60);
        assert_eq!(w.at("app", t).len(), 2);
    }

    /// W22: what waited when the backup was made may have left since: marked where nobody drops a second copy, and only
    /// there.
    #[test]
    fn what_waits_in_a_restored_store_says_that_it_may_be_a_copy() {
        let mut w = World::new();
        for channel in ["robot", "app"] {
            w.let_channel(
                channel,
                Does::Answer(Outcome { wait: Some(Span::MINUTE), ..Outcome::of(OutcomeClass::Throttled) }),
            );
        }
        let t = w.now;
        let (i, j) = (w.incident("ticket.reply"), w.incident("ticket.reply"));
        let (n, m) = (w.plan(i, Class::P0, "lin", &[&["robot"]]), w.plan(j, Class::P0, "lin", &[&["app"]]));
        w.secs(1);
        assert_eq!(w.states(n, "robot"), [MessageState::RetryWait]);
        w.crash(Span::from_secs(2));
        w.alerting.restored("shiftbell-20260302T020000.123Z.db");
        for channel in ["robot", "app"] {
            w.answers(channel, OutcomeClass::Accepted);
        }
        w.secs(120);
        let last = |channel: &str| w.by(channel, t).last().cloned().unwrap().1;
        assert!(last("robot").contains("可能重复"), "{:?}", w.by("robot", t));
        assert!(!last("app").contains("可能重复"), "its key drops the copy: {:?}", w.by("app", t));
        assert!(w.alerting.audit.iter().chain(&w.audit).any(|a| a.kind == "store.restored"));
        _ = m;
    }
}
