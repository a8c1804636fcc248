//! What a row means: expressions over it become an observation, or say what keeps it from being one.

use std::fmt;

use jiff::tz::TimeZone;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Expression, context};
use serde_json::Value as Json;

use crate::core::model::{Mark, Observation, Value as Attribute, hash64};
use crate::core::time::Instant;
use crate::sources::json::config::EachConfig;
use crate::sources::json::template::{Place, Sandbox, reason};
use crate::sources::platform::{Item, Want};
use crate::sources::row::Origin;

/// A larger row is a reject.
const LARGEST_ROW: usize = 1 << 20;
/// More entries in one row are a reject.
const MOST_ENTRIES: usize = 1000;
/// The longest id, as everywhere.
const LONGEST_ID: usize = 100;
/// Longer texts are cut.
const LONGEST_TEXT: usize = 300;

/// Why a row cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The key of the mapping: `marks.opened`.
    pub(super) key: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Missing,
    Not { found: String, expected: &'static str },
    Fault(String),
}

impl Misfit {
    fn missing(key: &str) -> Misfit {
        Misfit { key: key.to_owned(), what: What::Missing }
    }

    fn not(key: &str, found: &Value, expected: &'static str) -> Misfit {
        Misfit { key: key.to_owned(), what: What::Not { found: shown(found), expected } }
    }

    /// The reason as it is kept: nothing of the row's own is in it.
    pub(super) fn reason(&self) -> String {
        match &self.what {
            What::Missing => format!("{} is missing", self.key),
            What::Not { expected, .. } => format!("{} is not {expected}", self.key),
            What::Fault(why) => format!("{} {why}", self.key),
        }
    }
}

impl fmt::Display for Misfit {
    /// For who wrote the mapping, with what was found: only for samples.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Missing => {
                write!(f, "found nothing, expected a value, or an expression that ends in `| default(none)`")
            }
            What::Not { found, expected } => write!(f, "found {found}, expected {expected}"),
            What::Fault(why) => write!(f, "{why}"),
        }
    }
}

fn shown(value: &Value) -> String {
    let text = match value.as_str() {
        Some(text) => format!("`{text}`"),
        None => value.to_string(),
    };
    match text.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

/// What every mapping says, of a list's row or of a single case.
#[derive(Clone, Debug, Default)]
pub(super) struct Says {
    pub(super) deadline: Option<String>,
    pub(super) marks: Vec<(String, String)>,
    pub(super) seen: Vec<(String, String)>,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) each: Vec<EachConfig>,
}

/// An expression with the key that it stands under.
struct Ask<'s> {
    key: String,
    expression: Expression<'s, 'static>,
}

impl<'s> Ask<'s> {
    fn new(sandbox: &'s Sandbox, key: impl Into<String>, text: &str) -> Result<Ask<'s>, (String, String)> {
        let key = key.into();
        match sandbox.expression(text) {
            Ok(expression) => Ok(Ask { key, expression }),
            Err(reason) => Err((key, reason)),
        }
    }

    fn maybe(
        sandbox: &'s Sandbox,
        key: &str,
        text: Option<&String>,
    ) -> Result<Option<Ask<'s>>, (String, String)> {
        text.map(|text| Ask::new(sandbox, key, text)).transpose()
    }

    fn value(&self, names: &Value) -> Result<Value, Misfit> {
        let fault = |why| Misfit { key: self.key.clone(), what: What::Fault(why) };
        let value = self.expression.eval(names).map_err(|e| fault(reason(&e)))?;
        if value.is_undefined() { Err(Misfit::missing(&self.key)) } else { Ok(value) }
    }

    fn instant(&self, names: &Value, zone: &TimeZone) -> Result<Option<Instant>, Misfit> {
        let value = self.value(names)?;
        instant(&value, zone).map_err(|()| Misfit::not(&self.key, &value, "an instant"))
    }

    fn yes(&self, names: &Value) -> Result<bool, Misfit> {
        let value = self.value(names)?;
        match value.kind() {
            ValueKind::Bool => Ok(value.is_true()),
            ValueKind::None => Ok(false),
            _ => Err(Misfit::not(&self.key, &value, "true or false")),
        }
    }

    fn id(&self, names: &Value) -> Result<String, Misfit> {
        let value = self.value(names)?;
        let text = match value.as_str() {
            Some(text) => text.trim().to_owned(),
            // A number with a fraction, or one that was cut, is no id.
            None if value.is_integer() => value.to_string(),
            None if value.is_none() => return Err(Misfit::missing(&self.key)),
            None => return Err(Misfit::not(&self.key, &value, "an id")),
        };
        match text.len() {
            0 => Err(Misfit::missing(&self.key)),
            1..=LONGEST_ID if !text.chars().any(|c| c.is_control() || c == '\u{fffd}') => Ok(text),
            _ => Err(Misfit::not(&self.key, &value, "an id")),
        }
    }
}

/// An instant as APIs write them; one that is unset is none.
pub(super) fn instant(value: &Value, zone: &TimeZone) -> Result<Option<Instant>, ()> {
    let epoch = |number: i64| match number {
        0 => Ok(None),
        n if n.unsigned_abs() >= 100_000_000_000 => Ok(Some(Instant::from_millis(n))),
        n => Ok(Some(Instant::from_secs(n))),
    };
    let at = if let Some(text) = value.as_str() {
        let text = text.trim();
        match text {
            "" => None,
            // Years that stand for nothing: of SQL, of .NET and Go, of Unix.
            _ if ["0000-", "0001-01-01", "1970-01-01"].iter().any(|unset| text.starts_with(unset)) => None,
            _ if text.bytes().all(|b| b.is_ascii_digit()) => epoch(text.parse().map_err(|_| ())?)?,
            _ => Some(Instant::parse(text).ok().or_else(|| civil(text, zone)).ok_or(())?),
        }
    } else if value.is_none() {
        None
    } else if value.is_integer() {
        epoch(i64::try_from(value.clone()).map_err(|_| ())?)?
    } else if value.is_number() {
        // Seconds with a fraction.
        let seconds = f64::try_from(value.clone()).map_err(|_| ())?;
        if !(0.0..100_000_000_000.0).contains(&seconds) {
            return Err(());
        }
        epoch(seconds as i64)?.map(|_| Instant::from_millis((seconds * 1000.0) as i64))
    } else {
        return Err(());
    };
    match at {
        Some(at) if !at.is_plausible() => Err(()),
        at => Ok(at),
    }
}

/// A local time.
fn civil(text: &str, zone: &TimeZone) -> Option<Instant> {
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    civil.to_zoned(zone.clone()).ok().map(|zoned| Instant::from_timestamp(zoned.timestamp()))
}

/// Says as expressions.
struct Bound<'s> {
    deadline: Option<Ask<'s>>,
    marks: Vec<(&'s str, Ask<'s>)>,
    seen: Vec<(&'s str, Ask<'s>)>,
    attributes: Vec<(&'s str, Ask<'s>)>,
    each: Vec<Each<'s>>,
}

struct Each<'s> {
    mark: &'s str,
    of: Ask<'s>,
    when: Option<Ask<'s>>,
    at: Ask<'s>,
    reference: Option<Ask<'s>>,
}

impl Says {
    fn bind<'s>(&'s self, sandbox: &'s Sandbox) -> Result<Bound<'s>, (String, String)> {
        let all = |group: &str, list: &'s [(String, String)]| {
            list.iter()
                .map(|(name, text)| Ok((name.as_str(), Ask::new(sandbox, format!("{group}.{name}"), text)?)))
                .collect::<Result<Vec<_>, (String, String)>>()
        };
        let each = self.each.iter().enumerate().map(|(n, each)| {
            let key = |name: &str| format!("each[{n}].{name}");
            Ok(Each {
                mark: &each.mark,
                of: Ask::new(sandbox, key("of"), &each.of)?,
                when: Ask::maybe(sandbox, &key("when"), each.when.as_ref())?,
                at: Ask::new(sandbox, key("at"), &each.at)?,
                reference: Ask::maybe(sandbox, &key("reference"), each.reference.as_ref())?,
            })
        });
        Ok(Bound {
            deadline: Ask::maybe(sandbox, "deadline", self.deadline.as_ref())?,
            marks: all("marks", &self.marks)?,
            seen: all("seen", &self.seen)?,
            attributes: all("attributes", &self.attributes)?,
            each: each.collect::<Result<_, (String, String)>>()?,
        })
    }
}

/// A case as it was read, before its observations are made.
struct Case<'c> {
    kind: String,
    id: &'c str,
    as_of: Instant,
    revision: i64,
}

impl Bound<'_> {
    /// What `names` say of a case: one observation, or two where marks have no instant of their own; and the deadline.
    fn read(
        &self,
        case: &Case<'_>,
        names: &Value,
        origin: &Origin,
        zone: &TimeZone,
    ) -> Result<(Vec<Observation<'static>>, Option<Instant>), Misfit> {
        let blank = |revision: i64| Observation {
            source: origin.source.clone().into(),
            kind: case.kind.clone().into(),
            id: case.id.to_owned().into(),
            as_of: case.as_of,
            revision,
            marks: Vec::new(),
            attributes: Vec::new(),
        };
        let mark = |name: &str, at: Instant, reference: Option<String>| Mark {
            name: name.to_owned().into(),
            reference: reference.map(Into::into),
            at,
            removed: false,
        };
        let mut all = blank(case.revision);
        for (name, ask) in &self.marks {
            all.marks.extend(ask.instant(names, zone)?.map(|at| mark(name, at, None)));
        }
        for each in &self.each {
            each.read(names, zone, |at, reference| all.marks.push(mark(each.mark, at, reference)))?;
        }
        for (name, ask) in &self.attributes {
            let value = attribute(ask, names)?;
            all.attributes.extend(value.map(|value| ((*name).to_owned().into(), value)));
        }
        if let Some(shop) =
            origin.shop.as_ref().filter(|_| !self.attributes.iter().any(|(n, _)| *n == "shop"))
        {
            all.attributes.push(("shop".into(), Attribute::Text(shop.clone().into())));
        }
        let deadline = match &self.deadline {
            Some(ask) => ask.instant(names, zone)?,
            None => all.marks.iter().filter(|m| m.name.ends_with("_by")).map(|m| m.at).min(),
        };
        // The first snapshot that shows it says when: a revision that counts backwards keeps the earliest (T3).
        let mut first = blank(-case.as_of.as_millis());
        for (name, ask) in &self.seen {
            if ask.yes(names)? {
                first.marks.push(mark(name, case.as_of, None));
            }
        }
        let mut observations = vec![all];
        if !first.marks.is_empty() {
            observations.push(first);
        }
        Ok((observations, deadline))
    }
}

impl Each<'_> {
    fn read(
        &self,
        names: &Value,
        zone: &TimeZone,
        mut push: impl FnMut(Instant, Option<String>),
    ) -> Result<(), Misfit> {
        let list = self.of.value(names)?;
        if list.is_none() {
            return Ok(());
        }
        if list.kind() != ValueKind::Seq {
            return Err(Misfit::not(&self.of.key, &list, "a list"));
        }
        let entries = list.try_iter().map_err(|_| Misfit::not(&self.of.key, &list, "a list"))?;
        for (n, entry) in entries.enumerate() {
            if n >= MOST_ENTRIES {
                return Err(Misfit {
                    key: self.of.key.clone(),
                    what: What::Fault(format!("has more than {MOST_ENTRIES} entries")),
                });
            }
            let names = context! { entry => entry, ..names.clone() };
            if !self.when.as_ref().map_or(Ok(true), |when| when.yes(&names))? {
                continue;
            }
            let Some(at) = self.at.instant(&names, zone)? else { continue };
            let reference = self.reference.as_ref().map(|ask| ask.id(&names)).transpose()?;
            push(at, reference);
        }
        Ok(())
    }
}

fn attribute(ask: &Ask<'_>, names: &Value) -> Result<Option<Attribute<'static>>, Misfit> {
    let value = ask.value(names)?;
    let odd = || Misfit::not(&ask.key, &value, "a text, a number, true or false");
    Ok(Some(match value.kind() {
        ValueKind::None => return Ok(None),
        ValueKind::Bool => Attribute::Bool(value.is_true()),
        ValueKind::Number if value.is_integer() => match i64::try_from(value.clone()) {
            Ok(number) => Attribute::Int(number),
            Err(_) => Attribute::Text(value.to_string().into()),
        },
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(number) if number.is_finite() => Attribute::Real(number),
            _ => return Err(odd()),
        },
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
            Attribute::Text(plain.take(LONGEST_TEXT).collect::<String>().into())
        }
        _ => return Err(odd()),
    }))
}

/// Which rows are asked for by their id, where not all are, and what is kept of them, by name.
pub(super) type Worth = (Option<String>, Vec<(String, String)>);

/// What the rows of a list mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    pub(super) list: String,
    pub(super) when: Option<String>,
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) modified: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) says: Says,
    /// What is asked for by its id: which rows, and what is kept of them.
    pub(super) detail: Option<Worth>,
}

/// A mapping as expressions.
pub(super) struct Rows<'s> {
    mapping: &'s Mapping,
    sandbox: &'s Sandbox,
    when: Option<Ask<'s>>,
    id: Ask<'s>,
    modified: Option<Ask<'s>>,
    revision: Option<Ask<'s>>,
    bound: Bound<'s>,
    detail: Option<(Option<Ask<'s>>, Vec<Ask<'s>>)>,
}

impl Mapping {
    /// It as expressions.
    ///
    /// # Errors
    /// The first that is none: its key, and why.
    pub(super) fn bind<'s>(&'s self, sandbox: &'s Sandbox) -> Result<Rows<'s>, (String, String)> {
        let detail = match &self.detail {
            None => None,
            Some((when, keep)) => {
                let when = Ask::maybe(sandbox, "detail.when", when.as_ref())?;
                let keep =
                    keep.iter().map(|(name, text)| Ask::new(sandbox, format!("detail.keep.{name}"), text));
                Some((when, keep.collect::<Result<_, _>>()?))
            }
        };
        Ok(Rows {
            mapping: self,
            sandbox,
            when: Ask::maybe(sandbox, "when", self.when.as_ref())?,
            id: Ask::new(sandbox, "id", &self.id)?,
            modified: Ask::maybe(sandbox, "modified", self.modified.as_ref())?,
            revision: Ask::maybe(sandbox, "revision", self.revision.as_ref())?,
            bound: self.says.bind(sandbox)?,
            detail,
        })
    }
}

fn names(row: &Json) -> Value {
    context! { row => Value::from(Serde(row)) }
}

impl Rows<'_> {
    /// When a row was changed, where that can be read.
    pub(super) fn modified(&self, row: &Json, zone: &TimeZone) -> Option<Instant> {
        self.modified.as_ref()?.instant(&names(row), zone).ok().flatten()
    }

    /// What a row means, read at `now`; `None` where it is none of those that are meant.
    ///
    /// # Errors
    /// What keeps it from meaning anything.
    pub(super) fn read(
        &self,
        row: &Json,
        origin: &Origin,
        zone: &TimeZone,
        now: Instant,
    ) -> Result<Option<Item>, Misfit> {
        fits(row)?;
        let names = names(row);
        if !self.when.as_ref().map_or(Ok(true), |when| when.yes(&names))? {
            return Ok(None);
        }
        let id = self.id.id(&names)?;
        let modified = match &self.modified {
            Some(ask) => Some(ask.instant(&names, zone)?.ok_or_else(|| Misfit::missing(&ask.key))?),
            None => None,
        };
        let as_of = modified.unwrap_or(now);
        let revision = match &self.revision {
            None => as_of.as_millis(),
            Some(ask) => {
                let value = ask.value(&names)?;
                let number = match value.as_str() {
                    Some(text) => text.trim().parse().ok(),
                    None if value.is_integer() => i64::try_from(value.clone()).ok(),
                    None => None,
                };
                number.ok_or_else(|| Misfit::not(&ask.key, &value, "a whole number below 2^63"))?
            }
        };
        let kind = self.kind(&names)?;
        let case = Case { kind, id: &id, as_of, revision };
        let (observations, deadline) = self.bound.read(&case, &names, origin, zone)?;
        let want = self.want(&names, &case)?;
        // A row that does not say when it was changed is no news because time went by.
        let digest = match modified {
            Some(_) => hash64(format!("{observations:?}").as_bytes()),
            None => {
                let first = observations.first().map(|all| (&all.marks, &all.attributes));
                let seen = observations.get(1).map(|o| o.marks.iter().map(|m| &m.name).collect::<Vec<_>>());
                hash64(format!("{first:?} {seen:?}").as_bytes())
            }
        };
        Ok(Some(Item { observations, id, digest, modified: as_of, deadline, want, odd: Vec::new() }))
    }

    fn kind(&self, names: &Value) -> Result<String, Misfit> {
        let fault = |why| Misfit { key: "kind".to_owned(), what: What::Fault(why) };
        let kind = self.sandbox.render(Place::Value, &self.mapping.kind, names).map_err(fault)?;
        match is_word(&kind) {
            true => Ok(kind),
            false => Err(Misfit::not("kind", &Value::from(kind), "a word such as ticket")),
        }
    }

    fn want(&self, names: &Value, case: &Case<'_>) -> Result<Option<Want>, Misfit> {
        let Some((when, keep)) = &self.detail else { return Ok(None) };
        if !when.as_ref().map_or(Ok(true), |when| when.yes(names))? {
            return Ok(None);
        }
        let mut ids = vec![self.mapping.list.clone(), case.id.to_owned(), case.kind.clone()];
        for ask in keep {
            ids.push(ask.id(names)?);
        }
        Ok(Some(Want { ids, modified: case.as_of }))
    }
}

/// What the answer for one case means.
pub(super) struct OneCase<'s> {
    bound: Bound<'s>,
}

impl Says {
    /// It as expressions.
    ///
    /// # Errors
    /// As [`Mapping::bind`].
    pub(super) fn one_case<'s>(&'s self, sandbox: &'s Sandbox) -> Result<OneCase<'s>, (String, String)> {
        Ok(OneCase { bound: self.bind(sandbox)? })
    }
}

impl OneCase<'_> {
    /// What `row` says of the case `want`.
    ///
    /// # Errors
    /// What keeps it from saying anything.
    pub(super) fn read(
        &self,
        row: &Json,
        want: &Want,
        kept: Value,
        origin: &Origin,
        zone: &TimeZone,
    ) -> Result<Item, Misfit> {
        fits(row)?;
        let place = |n: usize| want.ids.get(n).map_or("", String::as_str);
        let (id, kind) = (place(1), place(2).to_owned());
        let names = context! { row => Value::from(Serde(row)), id => id, kind => kind.clone(), kept => kept };
        let case = Case { kind, id, as_of: want.modified, revision: want.modified.as_millis() };
        let (observations, deadline) = self.bound.read(&case, &names, origin, zone)?;
        let digest = hash64(format!("{observations:?}").as_bytes());
        let (id, modified) = (id.to_owned(), want.modified);
        Ok(Item { observations, id, digest, modified, deadline, want: None, odd: Vec::new() })
    }
}

/// Whether a text is a word, as kinds, marks and attributes are.
pub(super) fn is_word(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    first && text.len() <= 64 && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// Keeps rows out that are larger than rows are.
fn fits(row: &Json) -> Result<(), Misfit> {
    let fault = |why: &str| Misfit { key: "row".to_owned(), what: What::Fault(why.to_owned()) };
    let mut left = LARGEST_ROW;
    match (weigh(row, &mut left), row) {
        (false, _) => Err(fault("is larger than 1 MiB")),
        (true, Json::Object(_) | Json::Array(_)) => Ok(()),
        (true, _) => Err(fault("is not an object")),
    }
}

fn weigh(value: &Json, left: &mut usize) -> bool {
    let own = match value {
        Json::String(text) => text.len(),
        _ => 8,
    };
    let Some(rest) = left.checked_sub(own) else { return false };
    *left = rest;
    match value {
        Json::Array(list) => list.iter().all(|value| weigh(value, left)),
        Json::Object(map) => map.iter().all(|(key, value)| {
            *left = left.saturating_sub(key.len());
            weigh(value, left)
        }),
        _ => true,
    }
}
