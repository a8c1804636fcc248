//! Values as platforms really send them: numbers as texts, texts as numbers, empty for absent (`platforms` 10.1, 12–14).
//! A value that is there and cannot be read is told apart from one that is not there.

use serde_json::{Map, Value};

use crate::core::time::Instant;
use crate::sources::sign::EAST_8;

/// A value that is there and is not what it should be: what it should be.
pub type Odd = &'static str;

/// The longest id.
const LONGEST_ID: usize = 100;

/// One row of an answer.
#[derive(Clone, Copy)]
pub struct Fields<'a>(pub &'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|v| !v.is_null())
    }

    /// An id, as a text; a number stays exact.
    ///
    /// # Errors
    /// A number that was cut, a nested value, a text that is longer than ids are or has control characters.
    pub fn id(self, name: &str) -> Result<Option<String>, Odd> {
        let text = match self.get(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text.trim().to_owned(),
            Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
            Some(_) => return Err("an id"),
        };
        match text.len() {
            0 => Ok(None),
            1..=LONGEST_ID if !text.chars().any(|c| c.is_control() || c == '\u{fffd}') => Ok(Some(text)),
            _ => Err("an id"),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// Anything else that is there.
    pub fn int(self, name: &str) -> Result<Option<i64>, Odd> {
        const ODD: Odd = "a whole number";
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or(ODD),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| ODD),
            Some(Value::Bool(yes)) => Ok(Some(i64::from(*yes))),
            Some(_) => Err(ODD),
        }
    }

    /// Yes or no: as it is, as a text, as 0 or 1.
    ///
    /// # Errors
    /// Anything else that is there.
    pub fn flag(self, name: &str) -> Result<Option<bool>, Odd> {
        match self.get(name) {
            Some(Value::String(text)) if text.trim().eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.trim().eq_ignore_ascii_case("false") => Ok(Some(false)),
            _ => match self.int(name) {
                Ok(Some(0)) => Ok(Some(false)),
                Ok(Some(1)) => Ok(Some(true)),
                Ok(None) => Ok(None),
                _ => Err("yes or no"),
            },
        }
    }

    /// An instant: `yyyy-MM-dd HH:mm:ss` of +08:00, RFC 3339, or seconds or milliseconds since 1970, as number or text. 0
    /// and empty are none.
    ///
    /// # Errors
    /// Anything else that is there, and an instant outside 2000–2096.
    pub fn time(self, name: &str) -> Result<Option<Instant>, Odd> {
        const ODD: Odd = "an instant";
        let at = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => epoch(number.as_i64().ok_or(ODD)?),
            Some(Value::String(text)) => match text.trim() {
                "" | "0" => return Ok(None),
                text if text.starts_with("0000-00-00") => return Ok(None),
                text if text.bytes().all(|b| b.is_ascii_digit()) => epoch(text.parse().map_err(|_| ODD)?),
                text => Some(civil(text).or_else(|| Instant::parse(text).ok()).ok_or(ODD)?),
            },
            Some(_) => return Err(ODD),
        };
        match at {
            None => Ok(None),
            Some(at) if at.is_plausible() => Ok(Some(at)),
            Some(_) => Err(ODD),
        }
    }
}

/// Seconds, or milliseconds where they would be too many seconds.
fn epoch(number: i64) -> Option<Instant> {
    match number {
        0 => None,
        n if n.unsigned_abs() >= 100_000_000_000 => Some(Instant::from_millis(n)),
        n => Some(Instant::from_secs(n)),
    }
}

/// A local time of China: the offset is fixed, never the machine's.
fn civil(text: &str) -> Option<Instant> {
    let time = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    EAST_8.to_timestamp(time).ok().map(Instant::from_timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: &str) -> Map<String, Value> {
        serde_json::from_str(&format!("{{\"a\":{value}}}")).unwrap()
    }

    #[test]
    fn ids_stay_exact() {
        for (value, want) in [
            ("\"260105-1\"", Ok(Some("260105-1"))),
            ("9007199254740993", Ok(Some("9007199254740993"))),
            ("18446744073709551615", Ok(Some("18446744073709551615"))),
            // Cut by whoever wrote it, or by us.
            ("18446744073709551616", Err("an id")),
            ("1.5", Err("an id")),
            ("\"\"", Ok(None)),
            ("null", Ok(None)),
            ("[]", Err("an id")),
            ("\"a\\u0007\"", Err("an id")),
            ("\"a\u{fffd}\"", Err("an id")),
        ] {
            assert_eq!(Fields(&row(value)).id("a"), want.map(|w| w.map(str::to_owned)), "{value}");
        }
        assert_eq!(Fields(&row(&format!("\"{}\"", "x".repeat(101)))).id("a"), Err("an id"));
    }

    #[test]
    fn numbers_come_as_texts() {
        for (value, want) in [
            ("7", Ok(Some(7))),
            ("\"7\"", Ok(Some(7))),
            ("\" 7 \"", Ok(Some(7))),
            ("true", Ok(Some(1))),
            ("\"\"", Ok(None)),
            ("null", Ok(None)),
            ("\"seven\"", Err("a whole number")),
            ("7.5", Err("a whole number")),
            ("{}", Err("a whole number")),
        ] {
            assert_eq!(Fields(&row(value)).int("a"), want, "{value}");
        }
        assert_eq!(Fields(&row("1")).int("b"), Ok(None));
    }

    #[test]
    fn yes_and_no_come_in_every_form() {
        for (value, want) in [
            ("true", Ok(Some(true))),
            ("\"True\"", Ok(Some(true))),
            ("\"false\"", Ok(Some(false))),
            ("\"1\"", Ok(Some(true))),
            ("0", Ok(Some(false))),
            ("\"\"", Ok(None)),
            ("null", Ok(None)),
            ("2", Err("yes or no")),
            ("\"yes\"", Err("yes or no")),
            ("[]", Err("yes or no")),
        ] {
            assert_eq!(Fields(&row(value)).flag("a"), want, "{value}");
        }
    }

    #[test]
    fn instants_come_in_every_form() {
        let some = |text: &str| Ok(Some(text.parse::<Instant>().unwrap()));
        for (value, want) in [
            ("\"2018-04-10 17:03:29\"", some("2018-04-10T09:03:29Z")),
            ("\"1551612204\"", some("2019-03-03T11:23:24Z")),
            ("1551612204", some("2019-03-03T11:23:24Z")),
            ("1551612204123", some("2019-03-03T11:23:24.123Z")),
            ("\"2026-01-05T10:00:00+09:00\"", some("2026-01-05T01:00:00Z")),
            ("0", Ok(None)),
            ("\"0\"", Ok(None)),
            ("\"\"", Ok(None)),
            ("\"0000-00-00 00:00:00\"", Ok(None)),
            ("\"2026-02-30 00:00:00\"", Err("an instant")),
            ("\"1970-01-01 08:00:00\"", Err("an instant")),
            ("\"soon\"", Err("an instant")),
            ("5", Err("an instant")),
            ("99999999999999999999", Err("an instant")),
            ("\"99999999999999999999\"", Err("an instant")),
            ("true", Err("an instant")),
        ] {
            assert_eq!(Fields(&row(value)).time("a"), want, "{value}");
        }
    }
}
