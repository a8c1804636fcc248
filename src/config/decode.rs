//! The tree becomes typed settings, by serde; what does not fit is said in a form that can be explained.
//!
//! Values from files must have the type that is wanted. A text from the environment is also read as a number, as
//! yes or no, or as a list, where one of these is wanted.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use crate::config::document;
use crate::config::tree::{Node, Origin, Value};

/// Why a value does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A key that nobody reads.
    UnknownKey {
        /// The key.
        key: String,
        /// The keys that are read there.
        known: &'static [&'static str],
    },
    /// A key that must be there.
    MissingKey(&'static str),
    /// A name that is not one of those allowed.
    UnknownName {
        /// The name found.
        name: String,
        /// The names allowed.
        known: &'static [&'static str],
    },
    /// A value of another type or outside its range; what was expected.
    Expected(String),
    /// What the type itself says.
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::UnknownKey { key, .. } => write!(f, "unknown key `{key}`"),
            Fault::MissingKey(key) => write!(f, "missing key `{key}`"),
            Fault::UnknownName { name, .. } => write!(f, "unknown name `{name}`"),
            Fault::Expected(what) => write!(f, "expected {what}"),
            Fault::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Fault {
        Fault::Other(text.to_string())
    }
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::Expected(plain_words(&expected.to_string()))
    }
    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        Fault::Expected(plain_words(&expected.to_string()))
    }
    fn invalid_length(_: usize, expected: &dyn Expected) -> Fault {
        Fault::Expected(plain_words(&expected.to_string()))
    }
    fn unknown_field(key: &str, known: &'static [&'static str]) -> Fault {
        Fault::UnknownKey { key: key.to_owned(), known }
    }
    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Fault {
        Fault::UnknownName { name: name.to_owned(), known }
    }
    fn missing_field(key: &'static str) -> Fault {
        Fault::MissingKey(key)
    }
    fn duplicate_field(key: &'static str) -> Fault {
        Fault::Other(format!("`{key}` is given twice, under two names"))
    }
}

/// What serde expects, in the words of whoever writes the file.
fn plain_words(expected: &str) -> String {
    // `a tuple of size 2`, `an array of length 2`, `tuple struct Interval with 2 elements`
    if expected.starts_with("a tuple of")
        || expected.starts_with("an array of")
        || expected.starts_with("tuple struct ")
    {
        let length = expected.split(' ').rev().find(|word| word.parse::<usize>().is_ok());
        return length.map_or_else(|| "a list".to_owned(), |n| format!("a list of {n}"));
    }
    let known = match expected {
        "a string" | "string" | "str" => "a text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        "i64" | "isize" | "an integer" | "i128" => "a whole number",
        "u64" | "usize" | "u128" => "a whole number, 0 or more",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "f32" | "f64" | "a float" => "a number",
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("enum ") || other == "string or map" => "a name or a table with one key",
        other => other,
    };
    known.to_owned()
}

/// Reads a node of the tree, leaving out what was dropped.
#[derive(Clone, Copy)]
pub(crate) struct Decoder<'a>(pub &'a Node);

impl Decoder<'_> {
    /// The text of a variable, which may have to be read as something else.
    fn variable(&self) -> Option<&str> {
        match (&self.0.value, &self.0.origin) {
            (Value::Text(text), Origin::Variable(_)) => Some(text.trim()),
            _ => None,
        }
    }
}

macro_rules! from_variable {
    ($($method:ident $visit:ident $type:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.variable().and_then(|text| text.parse::<$type>().ok()) {
                Some(value) => visitor.$visit(value),
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Decoder<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Text(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Real(number) => visitor.visit_f64(*number),
            Value::Bool(yes) => visitor.visit_bool(*yes),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Table(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
        }
    }

    from_variable! {
        deserialize_bool visit_bool bool,
        deserialize_i8 visit_i64 i64,
        deserialize_i16 visit_i64 i64,
        deserialize_i32 visit_i64 i64,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_i64 i64,
        deserialize_u16 visit_i64 i64,
        deserialize_u32 visit_i64 i64,
        deserialize_u64 visit_i64 i64,
        deserialize_f32 visit_f64 f64,
        deserialize_f64 visit_f64 f64,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Some(text) = self.variable().filter(|text| text.starts_with('[')) {
            let (mut tree, errors) = document::parse(0, &format!("list = {text}"));
            let list = match &mut tree.value {
                Value::Table(entries) if errors.is_empty() && entries.len() == 1 => entries.pop(),
                _ => None,
            };
            if let Some((_, Node { value: Value::List(items), .. })) = list {
                return visitor.visit_seq(Items(items.iter()));
            }
            return Err(Fault::Expected("a list as TOML writes it, such as [\"a\", \"b\"]".to_owned()));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let wrong = || Fault::Expected("a name or a table with one key".to_owned());
        match &self.0.value {
            Value::Text(name) => visitor.visit_enum(Choice { name, content: None }),
            Value::Table(entries) => {
                let mut kept = entries.iter().filter(|(_, node)| !node.dropped);
                match (kept.next(), kept.next()) {
                    (Some((name, node)), None) => visitor.visit_enum(Choice { name, content: Some(node) }),
                    _ => Err(wrong()),
                }
            }
            _ => Err(wrong()),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple_struct map struct identifier
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        match self.0.find(|item| !item.dropped) {
            Some(item) => seed.deserialize(Decoder(item)).map(Some),
            None => Ok(None),
        }
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, (String, Node)>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        match self.rest.find(|(_, node)| !node.dropped) {
            Some((key, node)) => {
                self.value = Some(node);
                let key: StrDeserializer<'_, Fault> = key.as_str().into_deserializer();
                seed.deserialize(key).map(Some)
            }
            None => Ok(None),
        }
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.value.take() {
            Some(node) => seed.deserialize(Decoder(node)),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

/// `"name"`, or `{ name = content }`.
struct Choice<'a> {
    name: &'a str,
    content: Option<&'a Node>,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = Fault;
    type Variant = Content<'a>;
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'a>), Fault> {
        let name: StrDeserializer<'_, Fault> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.content)))
    }
}

struct Content<'a>(Option<&'a Node>);

impl<'a> Content<'a> {
    fn node(&self) -> Result<&'a Node, Fault> {
        self.0.ok_or_else(|| Fault::Expected("a table with this name as its key".to_owned()))
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Fault;
    fn unit_variant(self) -> Result<(), Fault> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(Fault::Expected("the name alone, as a text".to_owned())),
        }
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(Decoder(self.node()?))
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        Decoder(self.node()?).deserialize_seq(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        Decoder(self.node()?).deserialize_any(visitor)
    }
}
