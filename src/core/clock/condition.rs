//! Conditions: typed `attribute op value` matchers, checked when the configuration loads.
//!
//! ```toml
//! when = { shop = ["a", "b"], vip = true, value = { ge = 500 } }
//! ```
//!
//! Every line must hold, except in `pause`, where any of them pauses. A list means "one of these".

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::model::{Scalar, Sym, Symbols, Timeline};
use crate::core::problem::Problems;

/// What an attribute holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttributeType {
    /// Any text.
    Text,
    /// A number, whole or not.
    Number,
    /// true or false.
    Bool,
}

/// The attributes every case may have; `[attributes]` adds a shop's own.
pub const ATTRIBUTES: &[(&str, AttributeType)] = &[
    ("assignee", AttributeType::Text),
    ("carrier", AttributeType::Text),
    ("category", AttributeType::Text),
    ("legal", AttributeType::Bool),
    ("platform", AttributeType::Text),
    ("priority", AttributeType::Text),
    ("product", AttributeType::Text),
    ("province", AttributeType::Text),
    ("shift", AttributeType::Text),
    ("shop", AttributeType::Text),
    ("sku", AttributeType::Text),
    ("status", AttributeType::Text),
    ("team", AttributeType::Text),
    ("value", AttributeType::Number),
    ("vip", AttributeType::Bool),
    ("warehouse", AttributeType::Text),
];

/// A condition as written: attribute → what it must be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ConditionConfig(pub BTreeMap<String, MatcherConfig>);

/// What an attribute must be: a value, one of a list, or operators.
#[derive(Clone, Debug, PartialEq)]
pub enum MatcherConfig {
    /// Equal to this, or to one of these.
    In(Vec<OperandConfig>),
    /// Every operator holds: `not`, `ge`, `gt`, `le`, `lt`, `matches`.
    Ops(BTreeMap<String, Vec<OperandConfig>>),
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum OperandConfig {
    /// true or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text.
    Text(String),
}

impl fmt::Display for OperandConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OperandConfig::Bool(yes) => write!(f, "{yes}"),
            OperandConfig::Int(n) => write!(f, "{n}"),
            OperandConfig::Real(n) => write!(f, "{n}"),
            OperandConfig::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

impl Serialize for OperandConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            OperandConfig::Bool(yes) => serializer.serialize_bool(*yes),
            OperandConfig::Int(n) => serializer.serialize_i64(*n),
            OperandConfig::Real(n) => serializer.serialize_f64(*n),
            OperandConfig::Text(text) => serializer.serialize_str(text),
        }
    }
}

struct OperandVisitor;

impl Visitor<'_> for OperandVisitor {
    type Value = OperandConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, or true/false")
    }
    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<OperandConfig, E> {
        Ok(OperandConfig::Bool(yes))
    }
    fn visit_i64<E: de::Error>(self, n: i64) -> Result<OperandConfig, E> {
        Ok(OperandConfig::Int(n))
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<OperandConfig, E> {
        i64::try_from(n).map(OperandConfig::Int).map_err(E::custom)
    }
    fn visit_f64<E: de::Error>(self, n: f64) -> Result<OperandConfig, E> {
        Ok(OperandConfig::Real(n))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<OperandConfig, E> {
        Ok(OperandConfig::Text(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for OperandConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OperandConfig, D::Error> {
        deserializer.deserialize_any(OperandVisitor)
    }
}

impl Serialize for MatcherConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            MatcherConfig::In(list) => list.serialize(serializer),
            MatcherConfig::Ops(ops) => ops.serialize(serializer),
        }
    }
}

/// A value or a list of values.
struct Operands(Vec<OperandConfig>);

struct OperandsVisitor;

impl<'de> Visitor<'de> for OperandsVisitor {
    type Value = Operands;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list of values")
    }
    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Operands, E> {
        Ok(Operands(vec![OperandConfig::Bool(yes)]))
    }
    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Operands, E> {
        Ok(Operands(vec![OperandConfig::Int(n)]))
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Operands, E> {
        OperandVisitor.visit_u64(n).map(|n| Operands(vec![n]))
    }
    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Operands, E> {
        Ok(Operands(vec![OperandConfig::Real(n)]))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Operands, E> {
        Ok(Operands(vec![OperandConfig::Text(text.to_owned())]))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Operands, A::Error> {
        let mut list = Vec::new();
        while let Some(operand) = seq.next_element()? {
            list.push(operand);
        }
        Ok(Operands(list))
    }
}

impl<'de> Deserialize<'de> for Operands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Operands, D::Error> {
        deserializer.deserialize_any(OperandsVisitor)
    }
}

struct MatcherVisitor;

impl<'de> Visitor<'de> for MatcherVisitor {
    type Value = MatcherConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list of values, or operators such as { ge = 500 }")
    }
    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<MatcherConfig, E> {
        Ok(MatcherConfig::In(vec![OperandConfig::Bool(yes)]))
    }
    fn visit_i64<E: de::Error>(self, n: i64) -> Result<MatcherConfig, E> {
        Ok(MatcherConfig::In(vec![OperandConfig::Int(n)]))
    }
    fn visit_u64<E: de::Error>(self, n: u64) -> Result<MatcherConfig, E> {
        OperandVisitor.visit_u64(n).map(|n| MatcherConfig::In(vec![n]))
    }
    fn visit_f64<E: de::Error>(self, n: f64) -> Result<MatcherConfig, E> {
        Ok(MatcherConfig::In(vec![OperandConfig::Real(n)]))
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<MatcherConfig, E> {
        Ok(MatcherConfig::In(vec![OperandConfig::Text(text.to_owned())]))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<MatcherConfig, A::Error> {
        OperandsVisitor.visit_seq(seq).map(|list| MatcherConfig::In(list.0))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MatcherConfig, A::Error> {
        let mut ops = BTreeMap::new();
        while let Some((op, operands)) = map.next_entry::<String, Operands>()? {
            ops.insert(op, operands.0);
        }
        Ok(MatcherConfig::Ops(ops))
    }
}

impl<'de> Deserialize<'de> for MatcherConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MatcherConfig, D::Error> {
        deserializer.deserialize_any(MatcherVisitor)
    }
}

impl JsonSchema for MatcherConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Matcher".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "a value, a list of values, or operators",
            "anyOf": [
                { "type": ["string", "number", "boolean"] },
                { "type": "array", "items": { "type": ["string", "number", "boolean"] }, "minItems": 1 },
                {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": false,
                    "properties": {
                        "not": { "description": "none of these" },
                        "ge": { "type": "number" },
                        "gt": { "type": "number" },
                        "le": { "type": "number" },
                        "lt": { "type": "number" },
                        "matches": { "type": "string", "description": "a regular expression" }
                    }
                }
            ]
        })
    }
}

/// A checked condition over the attributes of a case.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    matchers: Vec<Matcher>,
}

#[derive(Clone, Debug)]
struct Matcher {
    attribute: Sym,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    In(Vec<OperandConfig>),
    NotIn(Vec<OperandConfig>),
    AtLeast(f64),
    Above(f64),
    AtMost(f64),
    Below(f64),
    Matches(regex::Regex),
}

impl Condition {
    /// Checks a condition against the types of the attributes; every problem is noted under its key.
    pub fn compile(
        config: &ConditionConfig,
        types: &BTreeMap<String, AttributeType>,
        symbols: &mut Symbols,
        problems: &mut Problems,
    ) -> Condition {
        let mut matchers = Vec::new();
        if config.0.is_empty() {
            problems.error("is empty, expected at least one attribute such as { shop = \"a\" }");
        }
        for (name, matcher) in &config.0 {
            problems.within(name.as_str(), |problems| {
                let Some(kind) = types.get(name) else {
                    let known: Vec<&str> = types.keys().map(String::as_str).collect();
                    problems.error(format!(
                        "is no attribute, expected one of {}; declare your own under [attributes]",
                        known.join(", ")
                    ));
                    return;
                };
                let Some(attribute) = symbols.intern(name) else {
                    problems.error("the name is too long");
                    return;
                };
                let mut push = |test| matchers.push(Matcher { attribute, test });
                match matcher {
                    MatcherConfig::In(list) => {
                        check_operands(list, *kind, problems);
                        push(Test::In(list.clone()));
                    }
                    MatcherConfig::Ops(ops) if ops.is_empty() => {
                        problems.error("has no operator, expected not, ge, gt, le, lt or matches");
                    }
                    MatcherConfig::Ops(ops) => {
                        for (op, operands) in ops {
                            let test = problems
                                .within(op.as_str(), |problems| operator(op, operands, *kind, problems));
                            test.into_iter().for_each(&mut push);
                        }
                    }
                }
            });
        }
        Condition { matchers }
    }

    /// The attributes it looks at.
    pub fn attributes(&self) -> impl Iterator<Item = Sym> + '_ {
        self.matchers.iter().map(|m| m.attribute)
    }

    /// Whether every line holds; `value` answers an attribute's value. An attribute without a value fulfils only
    /// `not`.
    pub fn holds<'v>(&self, mut value: impl FnMut(Sym) -> Option<Scalar<'v>>) -> bool {
        self.matchers.iter().all(|m| m.test.passes(value(m.attribute)))
    }

    /// Whether every line holds for a value that its attribute has had, or for none: if not, it never held.
    pub(super) fn may_have_held(&self, timeline: &Timeline) -> bool {
        self.matchers.iter().all(|m| {
            m.test.passes(None) || timeline.values(m.attribute).any(|value| m.test.passes(Some(value)))
        })
    }

    /// Whether any line holds, which is what a pause asks.
    pub fn any_holds<'v>(&self, mut value: impl FnMut(Sym) -> Option<Scalar<'v>>) -> bool {
        self.matchers.iter().any(|m| m.test.passes(value(m.attribute)))
    }
}

fn operator(
    op: &str,
    operands: &[OperandConfig],
    kind: AttributeType,
    problems: &mut Problems,
) -> Option<Test> {
    if op == "not" {
        check_operands(operands, kind, problems);
        return Some(Test::NotIn(operands.to_vec()));
    }
    if op == "matches" {
        let [OperandConfig::Text(pattern)] = operands else {
            problems.error("expected one regular expression");
            return None;
        };
        if kind != AttributeType::Text {
            problems.error(format!("works on texts, but the attribute is a {kind:?}").to_lowercase());
            return None;
        }
        return regex::Regex::new(pattern)
            .map(Test::Matches)
            .map_err(|e| problems.error(format!("`{pattern}` is no regular expression: {e}")))
            .ok();
    }
    let bound = match operands {
        [OperandConfig::Int(n)] => *n as f64,
        [OperandConfig::Real(n)] => *n,
        _ => {
            problems.error("expected one number");
            return None;
        }
    };
    if kind != AttributeType::Number {
        problems.error(format!("compares numbers, but the attribute is a {kind:?}").to_lowercase());
        return None;
    }
    match op {
        "ge" => Some(Test::AtLeast(bound)),
        "gt" => Some(Test::Above(bound)),
        "le" => Some(Test::AtMost(bound)),
        "lt" => Some(Test::Below(bound)),
        _ => {
            problems.error("is no operator, expected not, ge, gt, le, lt or matches");
            None
        }
    }
}

fn check_operands(operands: &[OperandConfig], kind: AttributeType, problems: &mut Problems) {
    if operands.is_empty() {
        problems.error("is an empty list, which nothing can match");
    }
    for operand in operands {
        let fits = match operand {
            OperandConfig::Bool(_) => kind == AttributeType::Bool,
            OperandConfig::Int(_) | OperandConfig::Real(_) => kind == AttributeType::Number,
            OperandConfig::Text(_) => kind == AttributeType::Text,
        };
        if !fits {
            problems.error(format!("found {operand}, expected a {}", format!("{kind:?}").to_lowercase()));
        }
    }
}

impl Test {
    fn passes(&self, value: Option<Scalar<'_>>) -> bool {
        match self {
            Test::In(list) => value.is_some_and(|v| list.iter().any(|o| equal(o, v))),
            Test::NotIn(list) => value.is_none_or(|v| !list.iter().any(|o| equal(o, v))),
            Test::AtLeast(bound) => number(value).is_some_and(|n| n >= *bound),
            Test::Above(bound) => number(value).is_some_and(|n| n > *bound),
            Test::AtMost(bound) => number(value).is_some_and(|n| n <= *bound),
            Test::Below(bound) => number(value).is_some_and(|n| n < *bound),
            Test::Matches(pattern) => matches!(value, Some(Scalar::Text(text)) if pattern.is_match(text)),
        }
    }
}

fn equal(operand: &OperandConfig, value: Scalar<'_>) -> bool {
    match (operand, value) {
        (OperandConfig::Bool(a), Scalar::Bool(b)) => *a == b,
        (OperandConfig::Int(a), Scalar::Int(b)) => *a == b,
        (OperandConfig::Text(a), Scalar::Text(b)) => a == b,
        (OperandConfig::Int(a), Scalar::Real(b)) => *a as f64 == b,
        (OperandConfig::Real(a), Scalar::Int(b)) => *a == b as f64,
        (OperandConfig::Real(a), Scalar::Real(b)) => *a == b,
        _ => false,
    }
}

fn number(value: Option<Scalar<'_>>) -> Option<f64> {
    match value {
        Some(Scalar::Int(n)) => Some(n as f64),
        Some(Scalar::Real(n)) => Some(n),
        _ => None,
    }
}
