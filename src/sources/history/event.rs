//! One line of a history: the neutral event, or the wider snapshot, with its texts borrowed from the line.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::core::model::{Mark, Value};
use crate::core::time::Instant;

/// The longest source, kind, id, event, ref or attribute name, in bytes.
pub const MAX_NAME: usize = 512;
/// The most attributes a line may carry.
pub const MAX_ATTRS: usize = 256;

/// A line as read, before the import mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// When it happened, or when the snapshot was taken.
    pub at: Instant,
    /// The source that saw it.
    pub source: Cow<'a, str>,
    /// The kind of case.
    pub kind: Cow<'a, str>,
    /// The platform's id of the case.
    pub id: Cow<'a, str>,
    /// When the attributes were true, where that is not `at`.
    pub as_of: Option<Instant>,
    /// The platform's revision; 0 where the line has none.
    pub revision: i64,
    /// What the line tells.
    pub told: Told<'a>,
    /// Named values; null ones are left out.
    pub attrs: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// What a line tells: one thing that happened, or all marks of the case.
#[derive(Clone, Debug, PartialEq)]
pub enum Told<'a> {
    /// `"event"`, with `"ref"` and `"removed"`.
    Event {
        /// Its name, such as `paid`.
        name: Cow<'a, str>,
        /// The platform's id of the message or scan.
        reference: Option<Cow<'a, str>>,
        /// The platform says that it is no longer there.
        removed: bool,
    },
    /// `"marks"`: a snapshot.
    Marks(Vec<Mark<'a>>),
}

/// Why a line is not an event, as a lower-case fragment that names the key.
pub type Reason = String;

impl<'a> Event<'a> {
    /// Reads one line of JSON.
    ///
    /// # Errors
    /// Whatever keeps it from being an event; never a panic, whatever the bytes.
    pub fn parse(line: &'a [u8]) -> Result<Event<'a>, Reason> {
        let text = std::str::from_utf8(line).map_err(|e| {
            format!("not UTF-8 from byte {} on; convert the file to UTF-8", e.valid_up_to() + 1)
        })?;
        let mut json = serde_json::Deserializer::from_str(text);
        let event = json.deserialize_map(EventVisitor).map_err(|e| told(&e))?;
        json.end().map_err(|e| told(&e))?;
        Ok(event)
    }
}

/// The text of a JSON error with its column; its line is always 1 and would mislead.
fn told(error: &serde_json::Error) -> Reason {
    let text = error.to_string();
    let what = text.rfind(" at line ").map_or(&*text, |cut| &text[..cut]);
    // Its own words for broken syntax (`expected value`) do not say what was expected of the line.
    let is_json = error.is_data();
    let lead = if is_json { "" } else { "not JSON: " };
    match error.column() {
        0 => format!("{lead}{what}"),
        column => format!("{lead}{what} (column {column})"),
    }
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Event<'de>, M::Error> {
        let (mut at, mut source, mut kind, mut id) = (None, None, None, None);
        let (mut event, mut reference, mut removed) = (None, None, None);
        let (mut as_of, mut revision, mut marks, mut attrs) = (None, None, None, None);
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "at" => once(&mut at, "at", &mut map, When)?,
                "source" => once(&mut source, "source", &mut map, Name)?,
                "kind" => once(&mut kind, "kind", &mut map, Name)?,
                "id" => once(&mut id, "id", &mut map, Name)?,
                "event" => once(&mut event, "event", &mut map, Name)?,
                "ref" => once(&mut reference, "ref", &mut map, OrNull(Name))?,
                "rev" => once(&mut revision, "rev", &mut map, OrNull(Whole))?,
                "revision" => once(&mut revision, "revision", &mut map, OrNull(Whole))?,
                "removed" => once(&mut removed, "removed", &mut map, OrNull(YesNo))?,
                "as_of" => once(&mut as_of, "as_of", &mut map, OrNull(When))?,
                "marks" => once(&mut marks, "marks", &mut map, Marks)?,
                "attrs" => once(&mut attrs, "attrs", &mut map, OrNull(Attrs))?,
                other => return Err(unknown(other, EVENT_KEYS)),
            }
        }
        let missing = |key| de::Error::custom(format_args!("`{key}` is missing"));
        let (reference, removed) = (reference.flatten(), removed.flatten());
        let told = match (event, marks) {
            (Some(name), None) => Told::Event { name, reference, removed: removed.unwrap_or(false) },
            (None, Some(_)) if reference.is_some() || removed.is_some() => {
                return Err(de::Error::custom("`ref` and `removed` belong inside the entries of `marks`"));
            }
            (None, Some(marks)) => Told::Marks(marks),
            (None, None) => return Err(de::Error::custom("neither `event` nor `marks` is there")),
            (Some(_), Some(_)) => return Err(de::Error::custom("`event` and `marks` exclude each other")),
        };
        Ok(Event {
            at: at.ok_or_else(|| missing("at"))?,
            source: source.ok_or_else(|| missing("source"))?,
            kind: kind.ok_or_else(|| missing("kind"))?,
            id: id.ok_or_else(|| missing("id"))?,
            as_of: as_of.flatten(),
            revision: revision.flatten().unwrap_or(0),
            told,
            attrs: attrs.flatten().unwrap_or_default(),
        })
    }
}

const EVENT_KEYS: &str = "at, source, kind, id, event, ref, rev, removed, as_of, marks, revision, attrs";
const MARK_KEYS: &str = "name, at, ref, removed";

fn unknown<E: de::Error>(key: &str, known: &str) -> E {
    E::custom(format_args!("unknown key `{}`, expected one of {known}", clip(key)))
}

/// Reads the value of `key` into `slot`; a second one is refused.
fn once<'de, M: MapAccess<'de>, S: DeserializeSeed<'de>>(
    slot: &mut Option<S::Value>,
    key: &'static str,
    map: &mut M,
    seed: S,
) -> Result<(), M::Error> {
    if slot.is_some() {
        return Err(de::Error::custom(format_args!("`{key}` is there twice")));
    }
    *slot = Some(map.next_value_seed(seed).map_err(|e| de::Error::custom(format_args!("{key}: {e}")))?);
    Ok(())
}

/// At most a few words of a text that came from outside.
pub(super) fn clip(text: &str) -> Cow<'_, str> {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => Cow::Owned(format!("{}…", &text[..cut])),
        None => Cow::Borrowed(text),
    }
}

/// A text borrowed from the line unless it holds escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> de::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A seed that is its own visitor, asked with `deserialize_any`.
macro_rules! seed {
    ($name:ident => $value:ty) => {
        impl<'de> DeserializeSeed<'de> for $name {
            type Value = $value;
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<$value, D::Error> {
                deserializer.deserialize_any(self)
            }
        }
    };
}

/// An instant within 2000–2096.
struct When;
seed!(When => Instant);

impl Visitor<'_> for When {
    type Value = Instant;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 text such as 2026-03-02T10:00:00+08:00")
    }
    fn visit_str<E: de::Error>(self, v: &str) -> Result<Instant, E> {
        plausible(v).map_err(E::custom)
    }
}

/// Reads an instant and holds it within the years that a platform may name.
///
/// # Errors
/// A text that is not an instant, or one outside 2000–2096.
pub fn plausible(text: &str) -> Result<Instant, Reason> {
    let at = Instant::parse(text).map_err(|e| e.to_string())?;
    if at.is_plausible() { Ok(at) } else { Err(format!("{} lies outside 2000–2096", clip(text))) }
}

/// A name or an id: a text that is not empty, or a whole number, which stays exact.
struct Name;
seed!(Name => Cow<'de, str>);

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }
    fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Cow<'de, str>, E> {
        name_fits(v).map_err(E::custom)?;
        Ok(Cow::Borrowed(v))
    }
    fn visit_str<E: de::Error>(self, v: &str) -> Result<Cow<'de, str>, E> {
        name_fits(v).map_err(E::custom)?;
        Ok(Cow::Owned(v.to_owned()))
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(v.to_string()))
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(v.to_string()))
    }
}

/// Whether a text from outside may name something.
///
/// # Errors
/// An empty text, and one longer than [`MAX_NAME`].
pub fn name_fits(name: &str) -> Result<(), Reason> {
    match name.len() {
        0 => Err("is empty".to_owned()),
        n if n > MAX_NAME => Err(format!("has {n} bytes, at most {MAX_NAME} are read")),
        _ => Ok(()),
    }
}

struct Whole;
seed!(Whole => i64);

impl Visitor<'_> for Whole {
    type Value = i64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number below 2^63")
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> Result<i64, E> {
        Ok(v)
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> Result<i64, E> {
        i64::try_from(v).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(v), &self))
    }
}

struct YesNo;
seed!(YesNo => bool);

impl Visitor<'_> for YesNo {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }
    fn visit_bool<E: de::Error>(self, v: bool) -> Result<bool, E> {
        Ok(v)
    }
}

/// What another seed reads, or nothing for null.
struct OrNull<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for OrNull<S> {
    type Value = Option<S::Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for OrNull<S> {
    type Value = Option<S::Value>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }
    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}

/// `"attrs"`: an object of plain values.
struct Attrs;
seed!(Attrs => Vec<(Cow<'de, str>, Value<'de>)>);

impl<'de> Visitor<'de> for Attrs {
    type Value = Vec<(Cow<'de, str>, Value<'de>)>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of plain values")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut attrs: Self::Value = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            name_fits(&key).map_err(|e| de::Error::custom(format_args!("a name {e}")))?;
            if attrs.iter().any(|(known, _)| *known == key) {
                return Err(de::Error::custom(format_args!("`{}` is there twice", clip(&key))));
            }
            let value = map
                .next_value_seed(Plain)
                .map_err(|e| de::Error::custom(format_args!("{}: {e}", clip(&key))))?;
            let Some(value) = value else { continue };
            if attrs.len() == MAX_ATTRS {
                return Err(de::Error::custom(format_args!("more than {MAX_ATTRS} of them")));
            }
            if attrs.is_empty() {
                attrs.reserve_exact(8);
            }
            attrs.push((key, value));
        }
        Ok(attrs)
    }
}

/// The value of one attribute; none for null.
struct Plain;
seed!(Plain => Option<Value<'de>>);

impl<'de> Visitor<'de> for Plain {
    type Value = Option<Value<'de>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false or null")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_bool<E: de::Error>(self, v: bool) -> Result<Self::Value, E> {
        Ok(Some(Value::Bool(v)))
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Self::Value, E> {
        Ok(Some(Value::Int(v)))
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Self::Value, E> {
        // An id beyond i64 stays exact as a text.
        Ok(Some(i64::try_from(v).map_or_else(|_| Value::Text(Cow::Owned(v.to_string())), Value::Int)))
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Self::Value, E> {
        // serde_json reads whole numbers beyond u64 as floats, which would quietly cut the digits of an id.
        if v.is_finite() && v.abs() < 9.0e18 {
            Ok(Some(Value::Real(v)))
        } else {
            Err(E::custom(format_args!("{v:e} is too large to stay exact, write it as a text")))
        }
    }
    fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Borrowed(v))))
    }
    fn visit_str<E: de::Error>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Some(Value::Text(Cow::Owned(v.to_owned()))))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(de::Error::custom("a list is not kept, write one attribute per entry"))
    }
    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(de::Error::custom("a nested object is not kept, write its fields as attributes of their own"))
    }
}

/// `"marks"`: a list of named instants.
struct Marks;
seed!(Marks => Vec<Mark<'de>>);

impl<'de> Visitor<'de> for Marks {
    type Value = Vec<Mark<'de>>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of marks")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut marks = Vec::new();
        while let Some(mark) = seq
            .next_element_seed(OneMark)
            .map_err(|e| de::Error::custom(format_args!("entry {}: {e}", marks.len() + 1)))?
        {
            marks.push(mark);
        }
        Ok(marks)
    }
}

struct OneMark;
seed!(OneMark => Mark<'de>);

impl<'de> Visitor<'de> for OneMark {
    type Value = Mark<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with name and at")
    }
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Mark<'de>, M::Error> {
        let (mut name, mut at, mut reference, mut removed) = (None, None, None, None);
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "name" => once(&mut name, "name", &mut map, Name)?,
                "at" => once(&mut at, "at", &mut map, When)?,
                "ref" => once(&mut reference, "ref", &mut map, OrNull(Name))?,
                "removed" => once(&mut removed, "removed", &mut map, OrNull(YesNo))?,
                other => return Err(unknown(other, MARK_KEYS)),
            }
        }
        let missing = |key| de::Error::custom(format_args!("`{key}` is missing"));
        Ok(Mark {
            name: name.ok_or_else(|| missing("name"))?,
            reference: reference.flatten(),
            at: at.ok_or_else(|| missing("at"))?,
            removed: removed.flatten().unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests;
