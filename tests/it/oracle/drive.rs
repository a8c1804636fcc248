//! The engine, driven as a daemon would, and what it says in the words of the model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shiftbell::core::calendar::Era;
use shiftbell::core::clock::PolicyConfig;
use shiftbell::core::engine::{CaseKey, Cause, Changes, Command, Engine, Verdict};
use shiftbell::core::problem::Problems;
use shiftbell::core::time::Instant;

use super::story::Seen;
use super::terms::{Epoch, Spec, toml};
use super::ticks::{instant, minute, show_instant};

pub fn policy(text: &str) -> PolicyConfig {
    toml::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// An engine, and everything it answered.
pub struct Driven {
    pub engine: Engine,
    pub log: Vec<Changes>,
    /// Instants at which something from the future begins to count, which may show what was reached before.
    pub from_ahead: BTreeSet<Instant>,
}

impl Driven {
    pub fn new(text: &str) -> Driven {
        let mut problems = Problems::new();
        let engine =
            Engine::new("desk", &policy(text), Some(instant(0)), Era::years(2025, 2028), &mut problems)
                .unwrap_or_else(|| panic!("{:?}\n{text}", problems.into_vec()));
        Driven { engine, log: vec![], from_ahead: BTreeSet::new() }
    }

    /// Woken when it asks to be, before `t`. What it records then is due just then: it never asks too late (W1), and
    /// records each crossing at its own instant (W2).
    pub fn wake_before(&mut self, t: Instant) -> Result<(), TestCaseError> {
        while let Some(wake) = self.engine.next_wake().filter(|wake| *wake < t) {
            let changes = self.engine.advance(wake);
            for crossing in &changes.crossings {
                prop_assert_eq!(crossing.recorded_at, wake, "W2: {:?}", crossing);
                let is_held =
                    matches!(crossing.verdict, Verdict::Rung { cause, .. } if cause == Cause::Opening);
                let in_time = crossing.at == wake || is_held || self.from_ahead.contains(&wake);
                prop_assert!(in_time, "W1: woken at {}: {:?}", show_instant(wake), crossing);
            }
            self.log.push(changes);
        }
        Ok(())
    }

    pub fn observe(&mut self, seen: &Seen) -> Result<(), TestCaseError> {
        let now = minute(seen.arrival);
        self.wake_before(now)?;
        let instants = seen.marks.iter().map(|m| m.at).chain([seen.as_of]);
        self.from_ahead.extend(instants.filter(|at| *at > seen.arrival).map(minute));
        self.log.push(self.engine.observe(&seen.observation(), now));
        Ok(())
    }

    pub fn advance(&mut self, t: Instant) -> Result<(), TestCaseError> {
        self.wake_before(t)?;
        let changes = self.engine.advance(t);
        self.log.push(changes);
        let next = self.engine.next_wake();
        prop_assert!(next.is_none_or(|next| next > t), "W1: {:?} is left at {}", next, show_instant(t));
        Ok(())
    }

    pub fn reload(&mut self, spec: &Spec, epoch: &Epoch) -> Result<(), TestCaseError> {
        self.wake_before(instant(epoch.from))?;
        let policy = Box::new(policy(&toml(spec, epoch.version.as_ref())));
        let command = Command::Reload { policy, mode: epoch.mode, since: epoch.since.map(instant) };
        self.log.push(self.engine.command(&command, instant(epoch.from)).expect("the policy is right"));
        Ok(())
    }

    /// A person excuses the newest cycle, if there is one.
    pub fn excuse(&mut self, at: i64) -> Result<(), TestCaseError> {
        self.wake_before(minute(at))?;
        let case = CaseKey { source: "shop".into(), kind: "ticket".into(), id: "T1".into() };
        let command = Command::Excuse { case, clock: "c".to_owned(), start: None };
        self.log.extend(self.engine.command(&command, minute(at)));
        Ok(())
    }

    pub fn outcomes(&self, now: Instant) -> Vec<String> {
        let Some(view) = self.engine.case("shop", "ticket", "T1") else { return vec![] };
        view.cycles(now)
            .iter()
            .map(|c| {
                format!(
                    "{}..{} due {} {} taken {} over {} {}",
                    show_instant(c.start),
                    c.end.map(show_instant).unwrap_or_default(),
                    c.due
                        .filter(|_| c.state.is_open() || c.state.is_decided())
                        .map_or("-".to_owned(), show_instant),
                    c.state.word(),
                    c.taken_open(now),
                    c.overdue_open(now),
                    c.overdue_wall(now),
                )
            })
            .collect()
    }

    pub fn crossings(&self, now: Instant) -> BTreeSet<String> {
        let view = self.engine.case("shop", "ticket", "T1");
        let cycles = view.as_ref().map(|v| v.cycles(now)).unwrap_or_default();
        self.log
            .iter()
            .flat_map(|c| &c.crossings)
            .map(|c| {
                let start = cycles.iter().find(|cycle| cycle.key == c.cycle.key);
                let start = start.map_or("gone".to_owned(), |cycle| show_instant(cycle.start));
                let at = match c.verdict {
                    Verdict::PassedBeforeAttach => "before".to_owned(),
                    _ => format!("at {}", show_instant(c.at)),
                };
                format!("{start}: {} arm {} {at}", c.ring_name, c.arm)
            })
            .collect()
    }

    /// H8: of what one step crosses in a cycle only one rings. H9: what passed before it was attached does not, but
    /// `due` does, and says how late it is (W3).
    pub fn check_rings(&self) -> Result<(), TestCaseError> {
        for changes in &self.log {
            let mut rung = BTreeSet::new();
            for crossing in &changes.crossings {
                match crossing.verdict {
                    Verdict::Rung { late_by, .. } => {
                        prop_assert!(rung.insert(crossing.cycle.clone()), "H8: {:?}", changes.crossings);
                        let is_due = &*crossing.ring_name == "due";
                        let since = crossing.due.filter(|_| is_due).unwrap_or(crossing.at);
                        prop_assert_eq!(late_by, crossing.recorded_at.since(since), "W3: {:?}", crossing);
                    }
                    Verdict::PassedBeforeAttach => {
                        prop_assert!(crossing.at < crossing.recorded_at, "H9: {:?}", crossing);
                        prop_assert!(&*crossing.ring_name != "due", "H9: {:?}", crossing);
                    }
                    Verdict::Outranked | Verdict::Held { .. } => {}
                }
            }
        }
        Ok(())
    }

    /// The states that were told last are those that are derived: nothing changed in silence (W6).
    pub fn check_told(&self, now: Instant) -> Result<(), TestCaseError> {
        let mut told = BTreeMap::new();
        for change in self.log.iter().flat_map(|c| &c.cycles) {
            match change.to {
                Some(state) => told.insert(change.cycle.key, state.word()),
                None => told.remove(&change.cycle.key),
            };
        }
        let view = self.engine.case("shop", "ticket", "T1");
        let cycles = view.as_ref().map(|v| v.cycles(now)).unwrap_or_default();
        let derived: BTreeMap<u64, &str> = cycles.iter().map(|c| (c.key, c.state.word())).collect();
        prop_assert_eq!(told, derived, "left: told");
        let crossings = || self.log.iter().flat_map(|c| &c.crossings);
        let rung = crossings().filter(|c| matches!(c.verdict, Verdict::Rung { .. }));
        let mut due = BTreeSet::new();
        for crossing in rung.filter(|c| &*c.ring_name == "due") {
            prop_assert!(due.insert(crossing.cycle.key), "L12: {:?} fired twice", crossing);
        }
        let retracted = self.log.iter().flat_map(|c| &c.retractions).map(|r| r.cycle.key);
        let retracted: BTreeSet<u64> = retracted.collect();
        for key in due {
            let holds = cycles.iter().any(|c| c.key == key && c.overdue_since(now).is_some());
            prop_assert!(holds || retracted.contains(&key), "W6: a due that never was, and nobody said so");
        }
        Ok(())
    }
}
