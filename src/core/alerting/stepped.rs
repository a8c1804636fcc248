//! A step forth of the clock that is too short for a downtime (`delivery_semantics` §3, T3).
//!
//! The machine's clock was behind, and is set right: the time between was skipped, nobody has lived through it. Due
//! times, shifts, silences and expiry are instants of the world and stay, so what has come due meanwhile is due now.
//! Timeouts belong to the counter of elapsed time: an attempt that left a second ago has had a second, whatever the
//! wall says. They move with the clock.

use crate::core::alerting::Alerting;
use crate::core::alerting::timers::Timer;
use crate::core::ids::Id;
use crate::core::model::{MessageState, Notice, NoticeState, Table};
use crate::core::time::{Instant, Span};

use super::book::Key;

impl Alerting {
    /// The clock went on by so much more than the counter. Called before anything else of the step.
    pub fn step_forth(&mut self, by: Span) {
        let later = |at: &mut Option<Instant>| *at = at.map(|at| at + by);
        // What waits for a token waits for the business clock, and is looked at again when it is woken.
        let timed = |state: MessageState| {
            use MessageState::{Accepted, Inflight, RetryWait, Uncertain};
            matches!(state, Inflight | Accepted | Uncertain | RetryWait)
        };
        let waiting: Vec<Id> = self.messages.values().filter(|m| timed(m.state)).map(|m| m.id).collect();
        for id in waiting {
            if let Some(message) = self.messages.get_mut(&id) {
                later(&mut message.wake_at);
                later(&mut message.receipt_until);
            }
            self.touch(Table::Message, id);
            self.arm_message(id);
        }
        let timed = |n: &&Notice| n.state == NoticeState::Open || n.fallback_at.is_some();
        let waiting: Vec<Id> = self.notices.values().filter(timed).map(|n| n.id).collect();
        for id in waiting {
            if let Some(notice) = self.notices.get_mut(&id) {
                later(&mut notice.bound_at);
                later(&mut notice.fallback_at);
            }
            self.touch(Table::Notice, id);
            self.arm_notice(id);
        }
        for asking in self.outbox.asking.values_mut() {
            asking.step_forth(by);
        }
        let mut breakers = Vec::new();
        for (key, breaker) in &mut self.outbox.breakers {
            breaker.step_forth(by);
            breakers.push((key.clone(), breaker.probe_at()));
        }
        for (key, at) in breakers {
            self.touch(Table::Alerting, Key::Text(format!("breaker/{key}")));
            self.timers.arm(Timer::Breaker(key), at);
        }
    }
}
