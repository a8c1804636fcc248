//! What is said of a parcel beside where it stands: attributes that hold from an instant of their own. Each is told when it
//! begins, when it changes and when it is over, and not again in between.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::model::{Observation, Value};
use crate::core::time::Instant;

/// An attribute, and since when it is so.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: Value<'static>,
    /// Since when.
    pub at: Instant,
}

impl Word {
    /// It.
    pub fn new(name: &'static str, value: Value<'static>, at: Instant) -> Word {
        Word { name, value, at }
    }
}

/// What was told last, by name: kept with the parcel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Said(BTreeMap<String, (Instant, String)>);

impl Said {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this was the last that was told by this name.
    pub fn is(&self, name: &str, value: &Value<'_>) -> bool {
        self.0.get(name).is_some_and(|(_, told)| *told == written(value))
    }

    /// Says one thing, if it is news.
    pub fn say(
        &mut self,
        word: Word,
        of: impl FnOnce(Instant) -> Observation<'static>,
    ) -> Option<Observation<'static>> {
        let value = written(&word.value);
        let known = self.0.get(word.name);
        if known.is_some_and(|(_, told)| *told == value) {
            return None;
        }
        // What corrects it is not said of earlier, or the newer would stay (T6).
        let at = known.map_or(word.at, |(told_at, _)| word.at.max(*told_at));
        self.0.insert(word.name.to_owned(), (at, value));
        let mut seen = of(at);
        seen.attributes.push((word.name.into(), word.value));
        Some(seen)
    }

    /// Says what is news of all that is so now; of what is so no more, that it is over at `over_at`.
    pub fn tell(
        &mut self,
        words: Vec<Word>,
        names: &[&'static str],
        over_at: Instant,
        of: impl Fn(Instant) -> Observation<'static>,
    ) -> Vec<Observation<'static>> {
        let over = |name: &&'static str| {
            let was = self.0.get(*name).filter(|_| words.iter().all(|word| word.name != *name))?;
            let nothing = match was.1.as_str() {
                "true" | "false" => Value::Bool(false),
                text if text.parse::<i64>().is_ok() => Value::Int(0),
                _ => Value::Text("none".into()),
            };
            Some(Word::new(name, nothing, over_at))
        };
        let ended: Vec<Word> = names.iter().filter_map(over).collect();
        words.into_iter().chain(ended).filter_map(|word| self.say(word, &of)).collect()
    }
}

fn written(value: &Value<'_>) -> String {
    match value {
        Value::Bool(yes) => yes.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: Instant) -> Observation<'static> {
        Observation {
            source: "k".into(),
            kind: "parcel".into(),
            id: "1".into(),
            as_of: at,
            revision: 0,
            marks: Vec::new(),
            attributes: Vec::new(),
        }
    }

    #[test]
    fn each_is_told_when_it_begins_changes_and_is_over() {
        let names = ["detour", "attempts", "node"];
        let at = Instant::from_secs;
        let mut said = Said::default();
        let mut tell = |words: &[(&'static str, Value<'static>, i64)], over: i64| {
            let words = words.iter().map(|(name, value, s)| Word::new(name, value.clone(), at(*s))).collect();
            let told = said.tell(words, &names, at(over), seen);
            told.iter()
                .flat_map(|o| {
                    o.attributes.iter().map(|(n, v)| format!("{n}={} {}", written(v), o.as_of.as_secs()))
                })
                .collect::<Vec<_>>()
        };
        let text = |text: &'static str| Value::Text(text.into());
        assert_eq!(tell(&[("detour", Value::Bool(true), 5)], 9), ["detour=true 5"]);
        assert_eq!(tell(&[("detour", Value::Bool(true), 5)], 9), [""; 0], "not again");
        let both = [("attempts", Value::Int(1), 8), ("node", text("上海"), 8)];
        assert_eq!(tell(&both, 9), ["attempts=1 8", "node=上海 8", "detour=false 9"]);
        assert_eq!(
            tell(&[("attempts", Value::Int(2), 3)], 9),
            ["attempts=2 8", "node=none 9"],
            "never of earlier"
        );
        assert_eq!(tell(&[], 9), ["attempts=0 9"]);
        assert_eq!(tell(&[], 10), [""; 0]);
    }
}
