//! `[import]`: how the words of a recorded history become the words of the clocks.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::csv::CsvConfig;
use super::event::{Event, Reason, Told, plausible};
use crate::core::model::{Mark, Observation, Value};
use crate::core::problem::Problems;
use crate::core::time::Instant;

/// `[import]` (导入映射): what a history calls things, and what the clocks call them.
///
/// ```toml
/// [import]
/// kinds  = { shipment = "order" }           # events of a shipment belong to its order
/// marks  = { ticket_opened = "opened" }
/// ignore = ["to_zip", "weight_g"]
///
/// [[import.deadline]]
/// event     = "handover_due"
/// attribute = "due"                         # an instant
/// mark      = "ship_by"
/// ref       = "seller"                      # one deadline per seller
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImportConfig {
    /// Kind in the history → kind of the case it belongs to.
    pub kinds: BTreeMap<String, String>,
    /// Event in the history → mark. Not for deadlines: no name here ends in `_by`.
    pub marks: BTreeMap<String, String>,
    /// Events that carry an instant still to come.
    pub deadline: Vec<DeadlineConfig>,
    /// Attributes that are not kept.
    pub ignore: BTreeSet<String>,
    /// How to read CSV; without it only JSON Lines are read.
    pub csv: Option<CsvConfig>,
}

/// `[[import.deadline]]`: an attribute that is an instant becomes a deadline mark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadlineConfig {
    /// The event that carries it, by its name in the history.
    pub event: String,
    /// The attribute that holds the instant; it is not kept as an attribute.
    pub attribute: String,
    /// The deadline mark; its name ends in `_by`.
    pub mark: String,
    /// An attribute that tells several such deadlines of one case apart; it is kept.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// Whether a mark of this name is a deadline that a platform set.
pub fn is_deadline_name(name: &str) -> bool {
    name.ends_with("_by")
}

impl ImportConfig {
    /// Notes everything that is wrong with it.
    pub fn check(&self, problems: &mut Problems) {
        problems.within("kinds", |p| {
            for (from, to) in &self.kinds {
                if from.is_empty() || to.is_empty() {
                    p.within(from.as_str(), |p| p.error("is empty, expected the name of a kind"));
                }
            }
        });
        problems.within("marks", |p| {
            for (event, mark) in &self.marks {
                p.within(event.as_str(), |p| check_plain_name(mark, p));
            }
        });
        problems.within("deadline", |p| {
            let mut seen = BTreeSet::new();
            for (i, deadline) in self.deadline.iter().enumerate() {
                p.within(i, |p| {
                    if deadline.event.is_empty() {
                        p.within("event", |p| p.error("is empty, expected the name of an event"));
                    }
                    if deadline.attribute.is_empty() {
                        p.within("attribute", |p| p.error("is empty, expected the name of an attribute"));
                    }
                    p.within("mark", |p| check_deadline_name(&deadline.mark, p));
                    if !seen.insert((&deadline.event, &deadline.attribute)) {
                        p.error(format!(
                            "`{}` of `{}` is already a deadline, expected one entry for it",
                            deadline.attribute, deadline.event
                        ));
                    }
                });
            }
        });
        if let Some(csv) = &self.csv {
            problems.within("csv", |p| csv.check(p));
        }
    }

    /// The observation that a line tells of.
    ///
    /// The event itself is a mark at its instant, even where it only carries a deadline. Attributes count as of
    /// `as_of`, or of `at` where the line has none.
    ///
    /// # Errors
    /// A deadline attribute that is not an instant, and an event whose name would make it a deadline.
    pub fn map<'a>(&'a self, event: Event<'a>) -> Result<Observation<'a>, Reason> {
        let Event { at, source, kind, id, as_of, revision, told, mut attrs } = event;
        let kind = renamed(&self.kinds, kind);
        let marks = match told {
            Told::Marks(mut marks) => {
                if !self.marks.is_empty() {
                    for mark in &mut marks {
                        mark.name = renamed(&self.marks, std::mem::take(&mut mark.name));
                    }
                }
                marks
            }
            Told::Event { name, reference, removed } => {
                let mut marks = self.deadlines(&name, removed, &mut attrs)?;
                let name = renamed(&self.marks, name);
                if is_deadline_name(&name) {
                    return Err(format!(
                        "event: `{name}` ends in _by, which names a deadline; map it with [[import.deadline]] \
                         or rename it in import.marks"
                    ));
                }
                marks.push(Mark { name, reference, at, removed });
                marks
            }
        };
        if !self.ignore.is_empty() {
            attrs.retain(|(name, _)| !self.ignore.contains(&**name));
        }
        Ok(Observation { source, kind, id, as_of: as_of.unwrap_or(at), revision, marks, attributes: attrs })
    }

    /// Reads a line as JSON and maps it; also answers with the line's `at`.
    ///
    /// # Errors
    /// Why the line is not used.
    pub fn read<'a>(&'a self, line: &'a [u8]) -> Result<(Instant, Observation<'a>), Reason> {
        let event = Event::parse(line)?;
        let at = event.at;
        Ok((at, self.map(event)?))
    }

    fn deadlines<'a>(
        &'a self,
        event: &str,
        removed: bool,
        attrs: &mut Vec<(Cow<'a, str>, Value<'a>)>,
    ) -> Result<Vec<Mark<'a>>, Reason> {
        let mut marks = Vec::new();
        for deadline in self.deadline.iter().filter(|d| d.event == event) {
            let Some(place) = attrs.iter().position(|(name, _)| *name == deadline.attribute) else {
                continue;
            };
            let at = match &attrs[place].1 {
                Value::Text(text) => plausible(text),
                other => Err(format!("{} is not an instant", shown(other))),
            };
            let at = at.map_err(|e| format!("attrs: {}: {e}", deadline.attribute))?;
            attrs.remove(place);
            let reference = deadline.reference.as_deref().and_then(|wanted| {
                let (_, value) = attrs.iter().find(|(name, _)| name == wanted)?;
                Some(as_text(value))
            });
            if marks.is_empty() {
                marks.reserve_exact(2);
            }
            marks.push(Mark { name: Cow::Borrowed(&deadline.mark), reference, at, removed });
        }
        if marks.is_empty() {
            marks.reserve_exact(1);
        }
        Ok(marks)
    }
}

/// Notes a mark name that is empty or would be a deadline.
pub(super) fn check_plain_name(mark: &str, problems: &mut Problems) {
    if mark.is_empty() {
        problems.error("is empty, expected the name of a mark");
    } else if is_deadline_name(mark) {
        problems.error(format!(
            "`{mark}` ends in _by, which names a deadline, but this happens at the event's own time; expected \
             another name, or an entry among the deadlines"
        ));
    }
}

/// Notes a deadline name that would be a plain mark.
pub(super) fn check_deadline_name(mark: &str, problems: &mut Problems) {
    if !is_deadline_name(mark) || mark == "_by" {
        problems.error(format!("`{mark}` is not the name of a deadline, expected one that ends in _by"));
    }
}

fn renamed<'a>(names: &'a BTreeMap<String, String>, name: Cow<'a, str>) -> Cow<'a, str> {
    if names.is_empty() {
        return name;
    }
    match names.get(&*name) {
        Some(new) => Cow::Borrowed(new),
        None => name,
    }
}

fn as_text<'a>(value: &Value<'a>) -> Cow<'a, str> {
    match value {
        Value::Text(text) => text.clone(),
        other => Cow::Owned(shown(other)),
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::Real(v) => v.to_string(),
        Value::Text(v) => v.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> ImportConfig {
        toml::from_str(text).expect("a config")
    }

    fn olist() -> ImportConfig {
        config(
            r#"
            kinds = { shipment = "order" }
            marks = { ticket_opened = "opened" }
            ignore = ["to_zip"]
            [[deadline]]
            event = "handover_due"
            attribute = "due"
            mark = "ship_by"
            ref = "seller"
            "#,
        )
    }

    #[test]
    fn an_event_becomes_a_mark_and_a_deadline() {
        let import = olist();
        let line =
            br#"{"at":"2026-03-02T10:00:00Z","source":"s","kind":"shipment","id":"1","event":"handover_due",
            "attrs":{"due":"2095-12-31T00:00:00Z","seller":"ecc","to_zip":"1"}}"#;
        let (at, seen) = import.read(line).expect("a line");
        assert_eq!((&*seen.kind, seen.as_of), ("order", at));
        let marks: Vec<_> =
            seen.marks.iter().map(|m| (&*m.name, m.reference.as_deref(), m.at.to_string())).collect();
        assert_eq!(
            marks,
            [
                ("ship_by", Some("ecc"), "2095-12-31T00:00:00Z".to_owned()),
                ("handover_due", None, "2026-03-02T10:00:00Z".to_owned()),
            ]
        );
        assert_eq!(seen.attributes, [("seller".into(), Value::Text("ecc".into()))]);
    }

    #[test]
    fn names_are_mapped_and_deadlines_guarded() {
        let import = olist();
        let line = |event: &str, attrs: &str| {
            format!(
                r#"{{"at":"2026-03-02T10:00:00Z","source":"s","kind":"ticket","id":"1","event":"{event}","as_of":"2026-03-02T09:00:00Z","attrs":{attrs}}}"#
            )
        };
        let text = line("ticket_opened", r#"{"due":"kept"}"#);
        let (_, seen) = import.read(text.as_bytes()).expect("a line");
        assert_eq!(seen.marks[0].name, "opened");
        assert_eq!(seen.as_of.to_string(), "2026-03-02T09:00:00Z");
        assert_eq!(seen.attributes.len(), 1);
        for (event, attrs, want) in [
            ("ship_by", "{}", "ends in _by"),
            ("handover_due", r#"{"due":"soon"}"#, "attrs: due: `soon` is not an instant"),
            ("handover_due", r#"{"due":5}"#, "attrs: due: 5 is not an instant"),
            ("handover_due", r#"{"due":"9999-01-01T00:00:00Z"}"#, "lies outside"),
        ] {
            let text = line(event, attrs);
            let got = import.read(text.as_bytes()).expect_err(event);
            assert!(got.contains(want), "{event} {attrs}: {got}");
        }
        let text = line("handover_due", "{}");
        assert_eq!(import.read(text.as_bytes()).expect("no deadline known").1.marks.len(), 1);
    }

    #[test]
    fn the_check_tells_everything_at_once() {
        let import = config(
            r#"
            marks = { a = "ship_by", b = "" }
            [[deadline]]
            event = "x"
            attribute = "due"
            mark = "shipping"
            [[deadline]]
            event = "x"
            attribute = "due"
            mark = "ship_by"
            "#,
        );
        let mut problems = Problems::new();
        import.check(&mut problems);
        let told: Vec<String> = problems.into_vec().iter().map(|p| p.path.to_string()).collect();
        assert_eq!(told, ["marks.a", "marks.b", "deadline[0].mark", "deadline[1]"]);

        let mut problems = Problems::new();
        olist().check(&mut problems);
        assert_eq!(problems.count(), 0);
    }
}
