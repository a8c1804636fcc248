//! What a platform says of one case now.

use std::borrow::Cow;

use crate::core::time::Instant;

/// A snapshot of one case as a source saw it: never a difference, in any order, any number of times
/// (`sla_semantics` §4). Texts are borrowed from the line or page they were read from where possible.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation<'a> {
    /// The source (数据源) that saw it, such as `tmall-flagship`.
    pub source: Cow<'a, str>,
    /// The kind of case: `ticket`, `order`, `parcel`, `aftersale`, `handover`, …
    pub kind: Cow<'a, str>,
    /// The platform's own id of the case.
    pub id: Cow<'a, str>,
    /// When this was true at the platform: its time of change where it gives one, else the time it was read.
    pub as_of: Instant,
    /// The platform's revision of the snapshot; higher replaces lower (T3). 0 where there is none.
    pub revision: i64,
    /// Named instants.
    pub marks: Vec<Mark<'a>>,
    /// Named values, as of [`Observation::as_of`].
    pub attributes: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// A named instant of a case. One whose name ends in `_by` is a deadline that the platform set
/// (`ship_by`, `deliver_by`): its instant usually lies ahead, and what matters is since when it has been known.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark<'a> {
    /// The name: `opened`, `customer_message`, `ship_by`, …
    pub name: Cow<'a, str>,
    /// The platform's id of the message or scan, where it has one (T1). What happens once in the life of a case needs
    /// none: there it says nothing.
    pub reference: Option<Cow<'a, str>>,
    /// When it happened; for a deadline, the instant that was promised.
    pub at: Instant,
    /// The platform says that this entry is no longer there (T5).
    pub removed: bool,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Yes or no.
    Bool(bool),
    /// A whole number; ids above 2^53 stay exact.
    Int(i64),
    /// A number with a fraction, finite.
    Real(f64),
    /// A text.
    Text(Cow<'a, str>),
}

impl Observation<'_> {
    /// It with texts of its own, for whoever keeps it longer than the line or page it was read from.
    pub fn into_owned(self) -> Observation<'static> {
        fn own(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        Observation {
            source: own(self.source),
            kind: own(self.kind),
            id: own(self.id),
            as_of: self.as_of,
            revision: self.revision,
            marks: self
                .marks
                .into_iter()
                .map(|mark| Mark {
                    name: own(mark.name),
                    reference: mark.reference.map(own),
                    at: mark.at,
                    removed: mark.removed,
                })
                .collect(),
            attributes: self
                .attributes
                .into_iter()
                .map(|(name, value)| {
                    let value = match value {
                        Value::Bool(yes) => Value::Bool(yes),
                        Value::Int(number) => Value::Int(number),
                        Value::Real(number) => Value::Real(number),
                        Value::Text(text) => Value::Text(own(text)),
                    };
                    (own(name), value)
                })
                .collect(),
        }
    }
}
