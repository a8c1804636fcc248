//! A case as the store keeps it, read without an engine: for whoever lists cases beside a running desk.

use crate::core::engine::changes::Refused;
use crate::core::engine::snapshot::CaseRow;
use crate::core::model::{Content, Entry, Scalar, Symbols, Timeline};
use crate::core::time::Instant;

/// What was said of one case, with the names of its own.
#[derive(Debug)]
pub struct KeptCase {
    symbols: Symbols,
    timeline: Timeline,
}

impl KeptCase {
    /// The case of a row.
    ///
    /// # Errors
    /// It has more names than there can be, or an entry that cannot be read.
    pub fn read(row: &CaseRow) -> Result<KeptCase, Refused> {
        let mut symbols = Symbols::new();
        let timeline = row.timeline(&mut symbols)?;
        Ok(KeptCase { symbols, timeline })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.timeline.id()
    }

    /// The value of an attribute at `at`.
    pub fn value_at(&self, name: &str, at: Instant) -> Option<Scalar<'_>> {
        self.timeline.value_at(self.symbols.get(name)?, at, at)
    }

    /// The same where it is a text, and not an empty one.
    pub fn text_at(&self, name: &str, at: Instant) -> Option<&str> {
        match self.value_at(name, at)? {
            Scalar::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// An amount in whole units of its currency, such as yuan, in the minor ones, such as cents.
    pub fn minor_at(&self, name: &str, at: Instant) -> Option<i64> {
        match self.value_at(name, at)? {
            Scalar::Int(units) => units.checked_mul(100),
            Scalar::Real(units) => Some((units * 100.0).round() as i64),
            Scalar::Bool(_) | Scalar::Text(_) => None,
        }
    }

    /// The texts that an attribute had until `until`, the newest first.
    pub fn texts(&self, name: &str, until: Instant) -> impl Iterator<Item = &str> {
        self.entries(name, until).filter_map(|entry| match self.timeline.content(entry) {
            Content::Attribute(Scalar::Text(text)) => Some(text),
            _ => None,
        })
    }

    /// When a mark was set last, until `until`.
    pub fn last(&self, name: &str, until: Instant) -> Option<Instant> {
        self.entries(name, until).find(|e| self.timeline.content(e) == Content::Mark).map(|e| e.at)
    }

    /// The entries of a name until `until`, the newest first.
    fn entries(&self, name: &str, until: Instant) -> impl Iterator<Item = &Entry> {
        let name = self.symbols.get(name);
        self.timeline.entries().rev().filter(move |e| Some(e.name) == name && e.at <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::calendar::Era;
    use crate::core::clock::PolicyConfig;
    use crate::core::engine::Engine;
    use crate::core::model::{Mark, Observation, Value};
    use crate::core::problem::Problems;
    use crate::core::time::Span;

    #[test]
    fn a_row_reads_without_an_engine() {
        let start: Instant = "2026-03-02T10:00:00+08:00".parse().unwrap();
        let at = |m: i64| start + Span::from_minutes(m);
        let mut engine =
            Engine::new("d", &PolicyConfig::default(), None, Era::DEFAULT, &mut Problems::new()).unwrap();
        let mut see = |m: i64, attributes: Vec<(&'static str, Value<'static>)>| {
            let seen = Observation {
                source: "k".into(),
                kind: "parcel".into(),
                id: "yto:1".into(),
                as_of: at(m),
                revision: m,
                marks: vec![Mark { name: "last_scan".into(), reference: None, at: at(m), removed: false }],
                attributes: attributes.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            };
            engine.observe(&seen, at(m)).cases.first().copied()
        };
        see(0, vec![("value", Value::Real(19.9)), ("exception", Value::Text("damaged".into()))]);
        let number =
            see(5, vec![("exception", Value::Text("lost".into())), ("units", Value::Int(7))]).unwrap();
        let case = KeptCase::read(&engine.row(number).unwrap()).unwrap();
        assert_eq!((case.id(), case.text_at("exception", at(4))), ("yto:1", Some("damaged")));
        assert_eq!(case.texts("exception", at(9)).collect::<Vec<_>>(), ["lost", "damaged"]);
        assert_eq!((case.minor_at("value", at(9)), case.minor_at("units", at(9))), (Some(1990), Some(700)));
        assert_eq!(
            (case.last("last_scan", at(4)), case.last("last_scan", at(9))),
            (Some(at(0)), Some(at(5)))
        );
        assert_eq!((case.text_at("value", at(9)), case.text_at("no", at(9))), (None, None));
    }
}
