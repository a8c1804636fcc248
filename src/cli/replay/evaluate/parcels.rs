//! What a history tells of parcels, as far as their being late goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::model::{Mark, Observation, Value};
use crate::core::parcel::Route;
use crate::core::parcel::lateness::{Facts, LatenessConfig};

/// The parcels that were met, by their ids.
pub struct Parcels<'c> {
    config: &'c LatenessConfig,
    numbers: BTreeMap<Arc<str>, u32>,
    known: Vec<Parcel>,
}

#[derive(Clone, Debug, Default)]
struct Parcel {
    facts: Facts,
    carrier: Box<str>,
    from: Box<str>,
    to: Box<str>,
}

impl<'c> Parcels<'c> {
    /// None yet.
    pub fn new(config: &'c LatenessConfig) -> Parcels<'c> {
        Parcels { config, numbers: BTreeMap::new(), known: Vec::new() }
    }

    /// Takes in an observation; answers with the number of its parcel and what was known of it before and after, when
    /// that is not the same.
    pub fn observe(&mut self, seen: &Observation<'_>) -> Option<(u32, Facts, Facts)> {
        if !self.config.on.iter().any(|kind| *kind == seen.kind) {
            return None;
        }
        let number = match self.numbers.get(seen.id.as_ref()) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.known.len()).ok()?;
                self.known.push(Parcel::default());
                self.numbers.insert(seen.id.as_ref().into(), number);
                number
            }
        };
        let parcel = self.known.get_mut(number as usize)?;
        let before = parcel.facts;
        for (name, value) in &seen.attributes {
            parcel.note_attribute(self.config, name, value);
        }
        for mark in &seen.marks {
            parcel.note_mark(self.config, mark);
        }
        (parcel.facts != before).then_some((number, before, parcel.facts))
    }

    /// Their numbers by their ids.
    pub fn into_numbers(self) -> BTreeMap<Arc<str>, u32> {
        self.numbers
    }
}

impl Parcel {
    fn note_attribute(&mut self, config: &LatenessConfig, name: &str, value: &Value<'_>) {
        let Value::Text(text) = value else { return };
        let places = [
            (&config.carrier, &mut self.carrier),
            (&config.from, &mut self.from),
            (&config.to, &mut self.to),
        ];
        for (known, slot) in places {
            if known == name {
                *slot = text.as_ref().into();
            }
        }
    }

    fn note_mark(&mut self, config: &LatenessConfig, mark: &Mark<'_>) {
        let at = (!mark.removed).then_some(mark.at);
        let facts = &mut self.facts;
        if mark.name == config.began {
            facts.began = at;
            // Which way it goes is settled when it sets out.
            facts.route = at.map(|_| Route::new(&self.carrier, &self.from, &self.to));
        } else if mark.name == config.delivered {
            facts.delivered = at;
        } else if mark.name == config.promise {
            facts.promise = at;
        } else if config.left.iter().any(|left| *left == mark.name) {
            facts.left = at;
        }
    }
}
