//! The breaker of a channel account, or of one robot (`delivery_semantics` §10.5): a value asked with `now`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::core::ids::Id;
use crate::core::time::{Instant, Span};

use super::turned::Back;

/// The window of the failure share.
const WINDOW: Span = Span::MINUTE;
/// So many results make a share worth looking at.
const ENOUGH: usize = 20;
/// Results remembered at most.
const REMEMBERED: usize = 256;

/// What a breaker goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// So many failures in a row open it.
    pub(super) failures: u32,
    /// The first cool-down.
    pub(super) cool_down: Span,
    /// The longest.
    pub(super) cap: Span,
}

/// Whether something may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Yes.
    Open,
    /// One message, to see.
    Probe,
    /// Not before then; `None` while a probe is under way.
    Shut(Option<Instant>),
}

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Breaker {
    /// Failures in a row.
    streak: u32,
    /// When it may probe; `None` while everything flows.
    probe_at: Option<Instant>,
    /// The message that probes.
    probe: Option<Id>,
    /// How often it opened without closing in between.
    rounds: u32,
    /// The last results: when, in ms, and whether it failed.
    #[serde(skip)]
    results: VecDeque<(i64, bool)>,
}

impl Breaker {
    /// Whether something may be sent now.
    pub(super) fn gate(&self, now: Instant) -> Gate {
        match (self.probe_at, self.probe) {
            (None, _) => Gate::Open,
            (Some(_), Some(_)) => Gate::Shut(None),
            (Some(at), None) if at <= now => Gate::Probe,
            (Some(at), None) => Gate::Shut(Some(at)),
        }
    }

    /// Whether it lets nothing through but probes.
    pub(super) fn is_shut(&self) -> bool {
        self.probe_at.is_some()
    }

    /// When it may probe.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        self.probe_at
    }

    /// How often it opened without closing in between.
    pub(super) fn rounds(&self) -> u32 {
        self.rounds
    }

    /// The clock was ahead, and is right again (T3).
    pub(super) fn turn_back(&mut self, back: Back) {
        back.awaited(&mut self.probe_at);
        self.results.clear();
    }

    /// The clock went on by so much more than the counter: a cool-down is as long as before (§3).
    pub(super) fn step_forth(&mut self, by: Span) {
        self.probe_at = self.probe_at.map(|at| at + by);
    }

    /// This message probes.
    pub(super) fn probes(&mut self, message: Id) {
        self.probe = Some(message);
    }

    /// The probe ended without a statement about the channel; another may go.
    pub(super) fn probe_over(&mut self, message: Id) {
        if self.probe == Some(message) {
            self.probe = None;
        }
    }

    /// Something came through. Answers whether that closed it.
    pub(super) fn good(&mut self, now: Instant) -> bool {
        self.streak = 0;
        self.remember(false, now);
        let closed = self.probe_at.take().is_some();
        self.probe = None;
        if closed {
            self.rounds = 0;
            self.results.clear();
        }
        closed
    }

    /// Something failed. `at_once` opens it whatever was before; `jitter` is -200 to 200, in thousandths of the
    /// cool-down. Answers whether that opened it, or kept it open.
    pub(super) fn bad(&mut self, rules: Rules, at_once: bool, jitter: i64, now: Instant) -> bool {
        self.streak = self.streak.saturating_add(1);
        self.remember(true, now);
        let failed = self.results.iter().filter(|(_, failed)| *failed).count();
        let share = self.results.len() >= ENOUGH && failed * 2 >= self.results.len();
        let was_shut = self.is_shut();
        if !(at_once || was_shut || self.streak >= rules.failures || share) {
            return false;
        }
        // Attempts that were under way when it opened tell nothing new: only the probe does.
        if was_shut && self.probe.is_none() && !at_once {
            return false;
        }
        let base = rules.cool_down.times(1 << self.rounds.min(16)).min(rules.cap).as_millis();
        let cool = base + base * jitter.clamp(-200, 200) / 1000;
        self.rounds = self.rounds.saturating_add(1);
        self.probe = None;
        self.probe_at = Some(now + Span::from_millis(cool));
        true
    }

    fn remember(&mut self, failed: bool, now: Instant) {
        while self.results.front().is_some_and(|(at, _)| Instant::from_millis(*at) + WINDOW <= now)
            || self.results.len() >= REMEMBERED
        {
            self.results.pop_front();
        }
        self.results.push_back((now.as_millis(), failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { failures: 5, cool_down: Span::from_secs(10), cap: Span::from_secs(60) };

    fn at(s: i64) -> Instant {
        Instant::from_secs(s)
    }

    fn id(n: u8) -> Id {
        Id::from_bytes([n; 16])
    }

    #[test]
    fn five_failures_in_a_row_shut_it_and_one_probe_at_a_time_goes_through() {
        let mut breaker = Breaker::default();
        for s in 0..4 {
            assert!(!breaker.bad(RULES, false, 0, at(s)), "failure {s}");
            assert_eq!(breaker.gate(at(s)), Gate::Open);
        }
        assert!(breaker.bad(RULES, false, 0, at(4)));
        assert_eq!(breaker.gate(at(5)), Gate::Shut(Some(at(14))));
        assert!(!breaker.bad(RULES, false, 0, at(6)), "one that was under way tells nothing new");
        assert_eq!(breaker.gate(at(14)), Gate::Probe);
        breaker.probes(id(1));
        assert_eq!(breaker.gate(at(15)), Gate::Shut(None));
        assert!(breaker.bad(RULES, false, 0, at(16)), "the probe failed");
        assert_eq!(breaker.gate(at(17)), Gate::Shut(Some(at(36))), "20 s now");
        breaker.probes(id(2));
        assert!(breaker.good(at(37)));
        assert_eq!(breaker.gate(at(37)), Gate::Open);
    }

    #[test]
    fn the_cool_down_doubles_to_its_cap_and_keeps_its_jitter() {
        let mut breaker = Breaker::default();
        let mut now = at(0);
        let mut waits = Vec::new();
        for round in 0..6 {
            assert!(breaker.bad(RULES, round == 0, if round % 2 == 0 { 200 } else { -200 }, now));
            let next = breaker.probe_at().unwrap();
            waits.push(next.since(now).as_secs());
            now = next;
            breaker.probes(id(round));
        }
        assert_eq!(waits, [12, 16, 48, 48, 72, 48]);
    }

    #[test]
    fn half_of_twenty_in_a_minute_shut_it_and_old_ones_do_not_count() {
        let mut breaker = Breaker::default();
        for s in 0..10 {
            breaker.good(at(s * 2));
            assert!(!breaker.bad(RULES, false, 0, at(s * 2)) || s == 9, "result {s}");
        }
        assert!(breaker.is_shut());

        let mut breaker = Breaker::default();
        for s in 0..40 {
            breaker.good(at(s * 7));
            assert!(!breaker.bad(RULES, false, 0, at(s * 7)), "at {s}");
        }
    }

    #[test]
    fn a_probe_that_said_nothing_makes_room_for_another() {
        let mut breaker = Breaker::default();
        breaker.bad(RULES, true, 0, at(0));
        breaker.probes(id(1));
        breaker.probe_over(id(2));
        assert_eq!(breaker.gate(at(20)), Gate::Shut(None));
        breaker.probe_over(id(1));
        assert_eq!(breaker.gate(at(20)), Gate::Probe);
    }
}
