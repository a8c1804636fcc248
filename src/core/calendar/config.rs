//! Calendars and holiday sets as people write them (`sla_semantics` §2.1).
//!
//! ```toml
//! [calendars.office]
//! title        = "客服办公时间"
//! tz           = "Asia/Shanghai"
//! weekly       = { mon-fri = [["09:00", "12:00"], ["13:00", "18:00"]] }
//! holidays     = ["cn"]
//! makeup_hours = "as:mon"
//!
//! [calendars.office.overrides]
//! 2026-12-31 = [["09:00", "15:00"]]
//!
//! [holidays.cn]
//! covers      = ["2026-01-01", "2026-12-31"]
//! days_off    = [{ from = "2026-02-15", to = "2026-02-23", name = "春节" }]
//! makeup_days = [{ date = "2026-02-14", name = "春节" }]
//! ```
//!
//! Nothing here is judged: dates and times stay as written until `compile`, which tells every
//! problem with its key.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// One calendar: `[calendars.NAME]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarConfig {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The IANA name of its time zone, such as `Asia/Shanghai`.
    pub tz: String,
    /// Hours by weekday. Keys are `mon` … `sun`, ranges such as `mon-fri` or `sat-sun`, and `daily`;
    /// where several name a weekday, the one naming the fewest weekdays counts. Weekdays that no key
    /// names are closed.
    #[serde(default)]
    pub weekly: BTreeMap<String, Vec<IntervalConfig>>,
    /// The holiday sets it keeps, by name; none means that it works through holidays (C6).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<String>,
    /// The hours of make-up workdays (C5).
    #[serde(default)]
    pub makeup_hours: MakeupHours,
    /// Hours of single dates, `YYYY-MM-DD`; an empty list closes the date. They win over everything (C1).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, Vec<IntervalConfig>>,
}

/// One set of holidays: `[holidays.NAME]`. It says which dates, never which hours (C5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HolidaySetConfig {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The zone whose dates these are; for the reader, and checked to exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The first and the last date it speaks for, both included (C7).
    pub covers: CoversConfig,
    /// Dates and blocks that are closed, weekends included.
    #[serde(default)]
    pub days_off: Vec<HolidayConfig>,
    /// Dates (of weekends, usually) that are worked instead: 调休上班.
    #[serde(default)]
    pub makeup_days: Vec<HolidayConfig>,
}

/// One date, or one block of dates, of a holiday set: either `date`, or `from` and `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HolidayConfig {
    /// The only date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Written>,
    /// The first date of the block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Written>,
    /// The last date of the block, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Written>,
    /// What it is called, `春节 Spring Festival`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// The first and the last date a holiday set speaks for, as a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoversConfig(pub Written, pub Written);

/// Opening and closing time, `["09:00", "18:00"]`; a closing time that is not later is on the next
/// date, `24:00` is midnight (C3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntervalConfig(pub Written, pub Written);

impl IntervalConfig {
    /// From `open` to `close`.
    pub fn new(open: &str, close: &str) -> IntervalConfig {
        IntervalConfig(open.into(), close.into())
    }
}

/// A date or a time of day as it was written. TOML's own dates and times are welcome too.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Written(pub String);

impl From<&str> for Written {
    fn from(text: &str) -> Written {
        Written(text.to_owned())
    }
}

/// The key under which the `toml` crate hands out its dates and times.
const TOML_DATETIME: &str = "$__toml_private_datetime";

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Written;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date such as \"2026-02-15\" or a time such as \"09:00\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Written, E> {
                Ok(text.into())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
                match map.next_key::<String>()? {
                    Some(key) if key == TOML_DATETIME => map.next_value().map(Written),
                    _ => Err(de::Error::invalid_type(de::Unexpected::Map, &self)),
                }
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// The hours of make-up workdays: those of a weekday, `"as:mon"`, or a list of their own (C5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MakeupHours {
    /// Those of this weekday, `mon` … `sun`.
    As(String),
    /// These.
    Hours(Vec<IntervalConfig>),
}

impl Default for MakeupHours {
    fn default() -> MakeupHours {
        MakeupHours::As("mon".to_owned())
    }
}

impl Serialize for MakeupHours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            MakeupHours::As(weekday) => serializer.collect_str(&format_args!("as:{weekday}")),
            MakeupHours::Hours(hours) => hours.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for MakeupHours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MakeupHours, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = MakeupHours;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"as:mon\" (another weekday's hours) or a list such as [[\"09:00\", \"18:00\"]]")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<MakeupHours, E> {
                match text.strip_prefix("as:") {
                    Some(weekday) => Ok(MakeupHours::As(weekday.to_owned())),
                    None => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<MakeupHours, A::Error> {
                let mut hours = Vec::new();
                while let Some(interval) = seq.next_element()? {
                    hours.push(interval);
                }
                Ok(MakeupHours::Hours(hours))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for MakeupHours {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MakeupHours".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let hours = generator.subschema_for::<Vec<IntervalConfig>>();
        schemars::json_schema!({
            "description": "the hours of make-up workdays: those of a weekday (as:mon), or a list of their own",
            "anyOf": [{ "type": "string", "pattern": "^as:(mon|tue|wed|thu|fri|sat|sun)$" }, hours],
        })
    }
}
