//! What is seen of a ticket, and what is known of it (`sla_semantics` §4).

use std::collections::{BTreeMap, BTreeSet};

use shiftbell::core::model::{Mark, Observation, Value};

use super::ticks::{MINUTE, Tick, minute};

#[derive(Clone, Debug)]
pub struct Said {
    pub name: &'static str,
    pub reference: Option<u8>,
    /// Minute.
    pub at: i64,
    pub removed: bool,
}

#[derive(Clone, Debug)]
pub struct Seen {
    /// Minute at which it was true, and at which it reached us.
    pub as_of: i64,
    pub arrival: i64,
    pub revision: i64,
    pub marks: Vec<Said>,
    pub attributes: Vec<(&'static str, &'static str)>,
}

impl Seen {
    pub fn observation(&self) -> Observation<'static> {
        self.observation_of("T1")
    }

    /// The same of another ticket.
    pub fn observation_of<'a>(&self, id: &'a str) -> Observation<'a> {
        let mark = |m: &Said| Mark {
            name: m.name.into(),
            reference: m.reference.map(|r| format!("r{r}").into()),
            at: minute(m.at),
            removed: m.removed,
        };
        let value = |v: &'static str| match v {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::Text(text.into()),
        };
        Observation {
            source: "shop".into(),
            kind: "ticket".into(),
            id: id.into(),
            as_of: minute(self.as_of),
            revision: self.revision,
            marks: self.marks.iter().map(mark).collect(),
            attributes: self.attributes.iter().map(|(n, v)| ((*n).into(), value(v))).collect(),
        }
    }
}

pub const NAMES: &[&str] =
    &["customer_message", "agent_reply", "resolved", "reopened", "assigned", "merged", "closed", "answer_by"];

pub const ATTRIBUTES: &[(&str, &str)] = &[
    ("status", "waiting"),
    ("status", "open"),
    ("status", "resolved"),
    ("category", "x"),
    ("category", "y"),
    ("category", "spam"),
    ("priority", "urgent"),
    ("priority", "low"),
    ("priority", "normal"),
    ("vip", "true"),
    ("vip", "false"),
    ("shop", "a"),
    ("shop", "b"),
    ("shop", "z"),
];

/// Marks that happen once (the standard ones used here).
pub fn is_single(name: &str) -> bool {
    ["merged", "closed"].contains(&name)
}

/// T1–T7: what is known at `now`, entries yet to come left out.
#[derive(Default, Debug)]
pub struct Facts {
    /// Instant, name, reference.
    pub marks: Vec<(Tick, &'static str, Option<u8>)>,
    /// Name and instant to value.
    attributes: BTreeMap<(&'static str, Tick), &'static str>,
    /// What each reference said since when.
    deadlines: BTreeMap<(Option<u8>, Tick), Tick>,
    /// As of when the first snapshot is that says anything of now or before (T7).
    pub first: Tick,
    /// When a person excused the newest cycle (K25).
    pub excused: Option<Tick>,
}

impl Facts {
    pub fn of(known: &[&Seen], now: Tick) -> Facts {
        // T3: the highest revision; of equal ones a removal, then the smaller instant.
        type Content = (i64, bool, i64);
        let mut marks: BTreeMap<(&str, Option<u8>, Option<i64>), Content> = BTreeMap::new();
        let mut deadlines: BTreeMap<(Option<u8>, i64), Content> = BTreeMap::new();
        let mut attributes: BTreeMap<(&str, i64), (i64, &str)> = BTreeMap::new();
        let better = |old: Option<&Content>, new: Content| {
            old.is_none_or(|o| (new.0, new.1, -new.2) > (o.0, o.1, -o.2))
        };
        for seen in known {
            for mark in &seen.marks {
                let new = (seen.revision, mark.removed, mark.at);
                if mark.name == "answer_by" {
                    let key = (mark.reference, seen.as_of);
                    if better(deadlines.get(&key), new) {
                        deadlines.insert(key, new);
                    }
                    continue;
                }
                // T1: what happens once is named by its name alone; else the reference names it, or the instant.
                let key = match mark.reference {
                    _ if is_single(mark.name) => (mark.name, None, None),
                    None => (mark.name, None, Some(mark.at)),
                    reference => (mark.name, reference, None),
                };
                if better(marks.get(&key), new) {
                    marks.insert(key, new);
                }
            }
            for (name, value) in &seen.attributes {
                let key = (*name, seen.as_of);
                let new = (seen.revision, *value);
                let wins =
                    attributes.get(&key).is_none_or(|old| new.0 > old.0 || (new.0 == old.0 && new.1 < old.1));
                if wins {
                    attributes.insert(key, new);
                }
            }
        }
        let reached = |minute: i64| minute * MINUTE <= now;
        let mut facts = Facts {
            marks: marks
                .into_iter()
                .filter(|(_, content)| !content.1 && reached(content.2))
                .map(|((name, reference, _), content)| {
                    let name = NAMES.iter().find(|n| **n == name).expect("a name");
                    (content.2 * MINUTE, *name, reference)
                })
                .collect(),
            first: known.iter().filter(|s| reached(s.as_of)).map(|s| s.as_of * MINUTE).min().unwrap_or(0),
            ..Facts::default()
        };
        for ((name, as_of), (_, value)) in attributes {
            if reached(as_of) {
                let pair = ATTRIBUTES.iter().find(|(n, v)| *n == name && *v == value).expect("a value");
                facts.attributes.insert((pair.0, as_of * MINUTE), pair.1);
            }
        }
        for ((reference, as_of), (_, removed, at)) in deadlines {
            if reached(as_of) && !removed {
                facts.deadlines.insert((reference, as_of * MINUTE), at * MINUTE);
            }
        }
        facts
    }

    /// T6. Of the time before any snapshot nothing is written; what the first one said is taken for it, since a case
    /// is read at its start (K7) and nearly always seen after it.
    pub fn value(&self, name: &'static str, t: Tick) -> Option<&'static str> {
        let newest = self.attributes.range((name, Tick::MIN)..=(name, t)).next_back();
        newest.map(|(_, v)| *v).or_else(|| self.attributes.get(&(name, self.first)).copied())
    }

    /// The platform's deadline in force: of what every reference said last, the earliest. What was said first of all
    /// holds from the beginning.
    pub fn deadline(&self, t: Tick) -> Option<Tick> {
        let known = t.max(self.deadlines.keys().map(|k| k.1).min()?);
        let mut last: BTreeMap<Option<u8>, Tick> = BTreeMap::new();
        for ((reference, since), at) in &self.deadlines {
            if *since <= known {
                last.insert(*reference, *at);
            }
        }
        last.into_values().min()
    }

    /// Every instant at which anything may change.
    pub fn events(&self) -> BTreeSet<Tick> {
        let marks = self.marks.iter().map(|m| m.0);
        let attributes = self.attributes.keys().map(|k| k.1);
        marks.chain(attributes).chain(self.deadlines.keys().map(|k| k.1)).chain(self.excused).collect()
    }
}
