//! The order in which one incident is spoken of on one lane (`delivery_semantics` §14: O1, O3, I29).
//!
//! A step that is under way holds back the next one; a step that only waits is overtaken by it, wherever it waits: when
//! the next one is planned, and again when it is about to leave.

use std::collections::BTreeSet;

use crate::core::alerting::Alerting;
use crate::core::ids::Id;
use crate::core::model::{Cause, MessageState, Notice, NoticeState, Recipient};

use super::group::Sort;
use super::outbox::is_waiting;

/// A digest of many lists what has many histories: so many of them, the urgent ones, are looked at.
const LOOKED_AT: usize = 50;

impl Alerting {
    /// The later steps of a notice's incident: of the same sort, and for somebody still.
    fn later_steps<'a>(&'a self, notice: &'a Notice) -> impl Iterator<Item = &'a Notice> {
        // Mostly it is the last one, and nothing has to be looked for.
        let last = self.incidents.get(&notice.incident).is_none_or(|i| i.step <= notice.step);
        let siblings = (!last).then(|| self.outbox.of_incident.get(&notice.incident)).flatten();
        let siblings = siblings.into_iter().flatten().filter_map(|n| self.notices.get(n));
        siblings.filter(|n| n.step > notice.step && Sort::of(n.purpose).follows(Sort::of(notice.purpose)))
    }

    /// O1: a later step of the incident has left on this lane, or is about to, whoever it is for: a group hears all that
    /// its robot says. `besides` is the message that asks; where it only repeats what may have been taken (§10.4), what has
    /// not left yet waits for it.
    pub(super) fn is_overtaken(&self, notice: &Notice, to: &Recipient, besides: Option<Id>) -> bool {
        let repeats = besides.is_some_and(|id| self.frozen(id).is_some());
        self.later_steps(notice)
            .flat_map(|later| self.outbox.of_notice.get(&later.id).into_iter().flatten())
            .filter(|message| Some(**message) != besides)
            .filter_map(|message| self.messages.get(message))
            .filter(|m| m.to.lane == to.lane)
            .any(|m| m.attempts > 0 || !m.state.is_terminal() && !repeats)
    }

    /// O1: what only waits of earlier steps of the same incident, on lanes that this notice uses now, is overtaken.
    pub(super) fn overtake(&mut self, id: Id) {
        let Some(notice) = self.notices.get(&id) else { return };
        let Some(first) = notice.waves.first() else { return };
        let lanes: BTreeSet<_> = first.iter().map(|r| r.lane.clone()).collect();
        let (incident, step) = (notice.incident, notice.step);
        let sort = Sort::of(notice.purpose);
        for earlier in self.outbox.of_incident.get(&incident).cloned().unwrap_or_default() {
            let Some(old) = self.notices.get(&earlier) else { continue };
            if earlier == id || old.step >= step || !sort.follows(Sort::of(old.purpose)) {
                continue;
            }
            let mut taken = false;
            for message in self.outbox.of_notice.get(&earlier).cloned().unwrap_or_default() {
                let Some(found) = self.messages.get(&message) else { continue };
                if is_waiting(found.state) && lanes.contains(&found.to.lane) {
                    self.drop_from(message, earlier, Cause::SupersededByStep);
                    taken = true;
                }
            }
            if taken {
                self.stepped_over(earlier);
            }
        }
    }

    /// A notice lost a lane to a later step. Where that one tells everybody whom this one has not reached, it is
    /// pointless; where it does not, the rest goes on.
    pub(super) fn stepped_over(&mut self, id: Id) {
        let Some(notice) = self.notices.get(&id) else { return };
        if notice.state != NoticeState::Open || self.live_messages(id).next().is_some() {
            return;
        }
        let told_later = |person| {
            self.later_steps(notice).any(|n| {
                !matches!(n.state, NoticeState::Obsolete | NoticeState::Dead) && n.audience.contains(person)
            })
        };
        let rest = notice.audience.iter().filter(|p| !notice.reached.contains(*p));
        if rest.into_iter().all(told_later) || !self.next_wave(id, "superseded") {
            self.obsolete(id, Cause::SupersededByStep);
        }
    }

    /// O1, O3: an earlier step of one of its incidents is under way on this lane; or this says that it is over, and
    /// something earlier has not ended yet.
    pub(super) fn goes_after(&self, id: Id) -> Option<Id> {
        let message = self.messages.get(&id)?;
        message.notices.iter().take(LOOKED_AT).find_map(|notice| self.comes_after(*notice, &message.to, id))
    }

    /// What is under way before a notice on this lane, beside the message that asks.
    pub(super) fn comes_after(&self, notice: Id, to: &Recipient, besides: Id) -> Option<Id> {
        let notice = self.notices.get(&notice)?;
        let over = Sort::of(notice.purpose) == Sort::Over;
        let siblings = self.outbox.of_incident.get(&notice.incident).into_iter().flatten();
        let earlier = siblings
            .filter(|other| **other != notice.id)
            .filter_map(|other| self.notices.get(other))
            .filter(|earlier| over || earlier.step < notice.step);
        let mut sent = earlier
            .flat_map(|earlier| self.outbox.of_notice.get(&earlier.id).into_iter().flatten())
            .filter_map(|message| self.messages.get(message));
        let sent = sent.find(|sent| {
            let under_way = matches!(sent.state, MessageState::Inflight | MessageState::Uncertain)
                || over && sent.state == MessageState::Accepted;
            sent.id != besides && sent.to.lane == to.lane && under_way
        });
        sent.map(|sent| sent.id)
    }
}
