//! What a reader must know of a case, and what it does.

use std::collections::BTreeMap;

use crate::core::model::{Observation, Value as Attribute};
use crate::core::time::{Instant, Span};
use crate::sim::platforms::shop::{AfterSale, Order, Stage, Turn};

/// A turn of the merchant that lasted longer must have been seen: an outage, its breaker, and what is shown late.
const LONG: Span = Span::from_minutes(50);

/// What is true of a case as a platform can show it.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Its status in the program's own words.
    pub status: &'static str,
    /// Marks with an instant of the platform's own: these, or none.
    pub exact: Vec<(&'static str, Option<Instant>)>,
    /// Marks that are those of the first look at a state: there if this is, and never earlier.
    pub seen: Vec<(&'static str, Option<Instant>)>,
    /// The same of a state that nothing shows any more: it may have been over before anybody looked.
    pub glimpsed: Vec<(&'static str, Option<Instant>)>,
    /// Marks that may be there or not, and say only this.
    pub may: Vec<(&'static str, Option<Instant>)>,
    /// Times in which the merchant had to act: what `handle_by` says.
    pub turns: Vec<Turn>,
}

/// What is true of an order on every platform that shows all of it.
pub fn plain_order(order: &Order) -> Truth {
    Truth {
        status: order.word(),
        exact: vec![
            ("paid", order.paid),
            ("ship_by", order.ship_by()),
            ("shipped", order.shipped()),
            ("signed", order.received),
        ],
        ..Truth::default()
    }
}

/// What is true of an after-sale on every platform.
pub fn plain_aftersale(case: &AfterSale) -> Truth {
    // What was withdrawn soon after it was refused is a withdrawn one like any other.
    let short = case.reviewed.is_some_and(|at| case.updated.since(at) <= LONG);
    let reviewed = vec![("return_reviewed", case.reviewed)];
    let (seen, glimpsed) = match case.stage == Stage::Withdrawn && short {
        true => (Vec::new(), reviewed),
        false => (reviewed, Vec::new()),
    };
    Truth {
        status: case.stage.word(),
        exact: vec![("return_requested", Some(case.created))],
        seen,
        glimpsed,
        turns: case.turns.clone(),
        ..Truth::default()
    }
}

/// A case as a desk would have it: marks by T3, the status of the newest snapshot.
#[derive(Debug, Default)]
pub struct Case {
    marks: BTreeMap<String, (i64, Instant)>,
    status: Option<(Instant, String)>,
}

impl Case {
    /// A mark of it.
    pub fn mark(&self, name: &str) -> Option<Instant> {
        self.marks.get(name).map(|(_, at)| *at)
    }

    /// Its status.
    pub fn status(&self) -> Option<&str> {
        self.status.as_ref().map(|(_, word)| word.as_str())
    }

    pub(super) fn observe(&mut self, seen: &Observation<'_>) {
        for mark in &seen.marks {
            let new = (seen.revision, mark.at);
            let known = self.marks.entry(mark.name.to_string()).or_insert(new);
            if new.0 > known.0 || (new.0 == known.0 && new.1 < known.1) {
                *known = new;
            }
        }
        for (name, value) in &seen.attributes {
            if let (true, Attribute::Text(text)) = (name == "status", value)
                && self.status.as_ref().is_none_or(|(at, _)| *at <= seen.as_of)
            {
                self.status = Some((seen.as_of, text.to_string()));
            }
        }
    }
}

impl Truth {
    pub(super) fn differs(&self, case: &Case) -> Vec<String> {
        let mut wrong = Vec::new();
        if case.status() != Some(self.status) {
            wrong.push(format!("is {:?}, not {}", case.status(), self.status));
        }
        for (name, at) in &self.exact {
            if case.mark(name) != *at {
                wrong.push(format!("{name} is {:?}, not {at:?}", case.mark(name)));
            }
        }
        for (name, at) in &self.seen {
            let known = case.mark(name);
            if known.is_some() != at.is_some() || known < *at {
                wrong.push(format!("{name} was seen {known:?}, and was {at:?}"));
            }
        }
        for (name, at) in &self.glimpsed {
            if case.mark(name).is_some_and(|known| Some(known) < *at) {
                wrong.push(format!("{name} was seen {:?}, and was {at:?}", case.mark(name)));
            }
        }
        for (name, at) in &self.may {
            if case.mark(name).is_some_and(|known| Some(known) != *at) {
                wrong.push(format!("{name} is {:?}, not {at:?}", case.mark(name)));
            }
        }
        // A turn that was over before anybody looked leaves the one before.
        let long = |turn: &Turn| turn.over.is_none_or(|over| over.since(turn.from) > LONG);
        let must = self.turns.iter().rposition(long);
        let may: Vec<Instant> = self.turns[must.unwrap_or(0)..].iter().map(|turn| turn.deadline).collect();
        match case.mark("handle_by") {
            Some(at) if !may.contains(&at) => wrong.push(format!("handle_by is {at}, not one of {may:?}")),
            None if must.is_some() => wrong.push(format!("has no handle_by, not one of {may:?}")),
            _ => {}
        }
        wrong
    }
}
