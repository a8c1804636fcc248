//! Where the texts of a configured source are worked out: requests as templates, rows by expressions. A closed list of
//! filters, nothing that can grow without bound, strict about names.
//!
//! There are no loops, no variables and no `*` here, so what comes out is about as long as what went in; steps are
//! counted all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use jiff::tz::TimeZone;
use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Expression, Output, State, UndefinedBehavior};

use crate::config::parcels;
use crate::core::parcel::evidence::masked;
use crate::core::parcel::sense::Sense;
use crate::core::parcel::vendor::Vendor;
use crate::core::parcel::{Exception, Milestone};
use crate::core::time::{Instant, Span};

/// Steps of one text or expression.
const FUEL: u64 = 10_000;
/// How deep one may nest.
const DEPTH: usize = 32;
/// The longest template.
const LONGEST: usize = 16 * 1024;
/// The longest expression.
const LONGEST_EXPRESSION: usize = 1000;
/// So much of the text of a scan is read, in characters.
const LONGEST_SCAN: usize = 500;
/// The longest text that a template makes.
const LONGEST_TEXT: usize = 64 * 1024;
const TAGS: &[&str] = &["if", "elif", "else", "endif"];

/// Where a text goes: what is put into it is written so that it cannot leave its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A value of a query, a form or a header: whoever sends it encodes it.
    Value,
    /// The path of a URL.
    Path,
    /// A JSON text: inside of quotes, or a bare number.
    Json,
}

/// The environments of one source.
pub(super) struct Sandbox {
    value: Environment<'static>,
    path: Environment<'static>,
    json: Environment<'static>,
}

impl Sandbox {
    /// One whose local times are of `zone`.
    pub(super) fn new(zone: &TimeZone) -> Sandbox {
        let [value, path, json] =
            [Place::Value, Place::Path, Place::Json].map(|place| environment(place, zone));
        Sandbox { value, path, json }
    }

    fn of(&self, place: Place) -> &Environment<'static> {
        match place {
            Place::Value => &self.value,
            Place::Path => &self.path,
            Place::Json => &self.json,
        }
    }

    /// What a template says.
    ///
    /// # Errors
    /// Why it says nothing, as a lower-case fragment without anything of its values.
    pub(super) fn render(&self, place: Place, text: &str, names: &Value) -> Result<String, String> {
        let made = self.of(place).render_named_str("template", text, names.clone());
        let made = made.map_err(|e| fault(&e))?;
        if made.len() > LONGEST_TEXT {
            return Err(format!("becomes {} bytes long, expected at most {LONGEST_TEXT}", made.len()));
        }
        Ok(made)
    }

    /// The names that a template uses.
    ///
    /// # Errors
    /// It is no template, or has something that is not there.
    pub(super) fn names(&self, place: Place, text: &str) -> Result<BTreeSet<String>, String> {
        guard(text)?;
        // The environment keeps templates for ever: this one is made for the question alone.
        let mut environment = self.of(place).clone();
        environment.add_template_owned("template", text.to_owned()).map_err(|e| fault(&e))?;
        let template = environment.get_template("template").map_err(|e| fault(&e))?;
        Ok(template.undeclared_variables(false).into_iter().collect())
    }

    /// An expression, ready to be asked.
    ///
    /// # Errors
    /// It is none, or has something that is not there.
    pub(super) fn expression(&self, text: &str) -> Result<Expression<'_, 'static>, String> {
        if text.trim().is_empty() {
            return Err("is empty, expected an expression such as row.id".to_owned());
        }
        if text.len() > LONGEST_EXPRESSION {
            return Err(format!("is {} bytes long, expected at most {LONGEST_EXPRESSION}", text.len()));
        }
        if text.contains("{{") || text.contains("{%") {
            return Err("has {{ or {%, expected an expression alone, such as row.id".to_owned());
        }
        no_growth(text)?;
        self.value.compile_expression_owned(text.to_owned()).map_err(|e| fault(&e))
    }
}

/// What is wrong, without the values that it is wrong about.
fn fault(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => format!("takes more than {FUEL} steps"),
        // These speak of the text itself.
        (
            kind @ (ErrorKind::SyntaxError
            | ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod),
            Some(detail),
        ) => format!("{kind}: {detail}"),
        (ErrorKind::UndefinedError, _) => "uses something that is not there".to_owned(),
        (kind, _) => kind.to_string(),
    }
}

/// The reason why an expression has no value, of the same kind.
pub(super) fn reason(error: &Error) -> String {
    fault(error)
}

fn environment(place: Place, zone: &TimeZone) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(move |out, state, value| write(place, out, state, value));
    environment.add_test("none", |value: &Value| value.is_none());
    environment.add_test("defined", |value: &Value| !value.is_undefined());
    environment.add_test("string", |value: &Value| value.kind() == ValueKind::String);
    environment.add_test("number", |value: &Value| value.is_number());
    environment.add_filter("default", |value: &Value, other: Value| {
        if value.is_undefined() || value.is_none() { other } else { value.clone() }
    });
    environment.add_filter("lower", |text: &str| text.to_lowercase());
    environment.add_filter("upper", |text: &str| text.to_uppercase());
    environment.add_filter("trim", |text: &str| text.trim().to_owned());
    environment.add_filter("length", |value: &Value| value.len().ok_or_else(|| odd("has no length")));
    environment.add_filter("first", |value: &Value| end(value, true));
    environment.add_filter("last", |value: &Value| end(value, false));
    environment.add_filter("string", |value: &Value| there(value).map(Value::to_string));
    environment.add_filter("int", int);
    environment.add_filter("part", part);
    environment.add_filter("json", json);
    let own = zone.clone();
    environment.add_filter("parse", move |text: &str, format: &str| parse(text, format, &own));
    let own = zone.clone();
    environment.add_filter("format", move |value: &Value, pattern: &str, zone: Option<&str>| {
        let zone = match zone {
            Some(name) => TimeZone::get(name).map_err(|_| odd("is not a zone"))?,
            None => own.clone(),
        };
        let text = jiff::fmt::strtime::format(pattern, &ours(value)?.to_timestamp().to_zoned(zone));
        text.map_err(|_| odd("is not a pattern such as %Y-%m-%d %H:%M:%S"))
    });
    environment.add_filter("epoch", |value: &Value| ours(value).map(Instant::as_secs));
    environment.add_filter("epoch_ms", |value: &Value| ours(value).map(Instant::as_millis));
    environment.add_filter("scan", scan);
    environment.add_filter("minus", |value: &Value, span: &str| {
        let span = Span::parse(span).map_err(|_| odd("is not a span such as 1s"))?;
        Ok::<_, Error>((ours(value)? - span).to_string())
    });
    environment
}

/// What the text of a scan says (扫描文本), with the vendor's own code where there is one: its `status`, its `exception`
/// (`none` where nothing is wrong), or the text itself as it may be kept (`evidence`).
fn scan(text: &str, what: &str, vendor: Option<&str>, code: Option<Value>) -> Result<Value, Error> {
    let known = |name: &str| vendors().get(name).ok_or_else(|| odd("is no vendor of a table"));
    // `sf.opCode`: of a vendor with several fields the one that the code stands in.
    let (vendor, field) = match vendor.map(|name| name.split_once('.').unwrap_or((name, ""))) {
        Some((name, field)) => (Some(known(name)?), field),
        None => (None, ""),
    };
    let lexicon = parcels::shared(parcels::LEXICON.as_ref()).map_err(|_| odd("has no lexicon"))?;
    let code = code.filter(|code| !code.is_undefined() && !code.is_none()).map(|code| code.to_string());
    let means = vendor.zip(code).and_then(|(vendor, code)| vendor.meaning(field, &code).cloned());
    let text: String = text.chars().take(LONGEST_SCAN).collect();
    let sense = Sense::of(means.as_deref(), &lexicon.read(&text));
    match what {
        // What says nothing of where it is moves nothing.
        "status" if sense.milestone == Milestone::Unknown => Ok(Value::from(())),
        "status" => Ok(Value::from(sense.milestone.word())),
        "exception" => Ok(Value::from(sense.exception.map_or("none", Exception::word))),
        "evidence" => Ok(sense.exception.map_or(Value::from(()), |_| Value::from(masked(&text)))),
        _ => Err(odd("is asked for something else than status, exception or evidence")),
    }
}

/// The tables of vendors that are inside the program, made ready once.
fn vendors() -> &'static BTreeMap<&'static str, Vendor> {
    static VENDORS: OnceLock<BTreeMap<&'static str, Vendor>> = OnceLock::new();
    VENDORS.get_or_init(|| {
        let read = |name: &'static str| {
            let file = format!("builtin:parcels/vendors/{name}.toml");
            Some((name, parcels::vendor(file.as_ref()).ok()?))
        };
        parcels::VENDORS.into_iter().filter_map(read).collect()
    })
}

fn odd(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// A filter is given what is not there without a word: it would become an empty text.
fn there(value: &Value) -> Result<&Value, Error> {
    if value.is_undefined() { Err(Error::from(ErrorKind::UndefinedError)) } else { Ok(value) }
}

/// An instant of ours: `from`, `to`, `now`.
fn ours(value: &Value) -> Result<Instant, Error> {
    value.as_str().and_then(|text| Instant::parse(text).ok()).ok_or_else(|| odd("is not an instant"))
}

fn parse(text: &str, format: &str, zone: &TimeZone) -> Result<String, Error> {
    let read = jiff::fmt::strtime::parse(format, text).map_err(|_| odd("is not written in this format"))?;
    let at = match (read.to_timestamp(), read.to_datetime()) {
        (Ok(at), _) => Some(at),
        (Err(_), Ok(civil)) => civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp()),
        (Err(_), Err(_)) => {
            let day = read.to_date().ok();
            day.and_then(|day| day.to_zoned(zone.clone()).ok()).map(|zoned| zoned.timestamp())
        }
    };
    at.map(|at| Instant::from_timestamp(at).to_string()).ok_or_else(|| odd("is not an instant"))
}

fn int(value: &Value) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => text.trim().parse::<i64>().map(Value::from).map_err(|_| odd("is not a whole number")),
        None if value.is_number() || value.kind() == ValueKind::Bool => {
            i64::try_from(value.clone()).map(Value::from).map_err(|_| odd("is not a whole number"))
        }
        None => Err(odd("is not a whole number")),
    }
}

/// The part of a text between separators, counted from 0, or from the end by -1.
fn part(text: &str, separator: &str, place: i64) -> Result<Value, Error> {
    if separator.is_empty() {
        return Err(odd("has no separator"));
    }
    let parts: Vec<&str> = text.split(separator).collect();
    let place = usize::try_from(if place < 0 { parts.len() as i64 + place } else { place });
    Ok(place.ok().and_then(|n| parts.get(n)).map_or(Value::UNDEFINED, |part| Value::from(*part)))
}

fn end(value: &Value, first: bool) -> Result<Value, Error> {
    let place = match (value.len(), first) {
        (None, _) => return Err(odd("is not a list")),
        (Some(0), _) => return Ok(Value::UNDEFINED),
        (Some(_), true) => 0,
        (Some(length), false) => length - 1,
    };
    value.get_item_by_index(place)
}

/// A value as JSON with its quotes.
fn json(value: &Value) -> Result<Value, Error> {
    let text = serde_json::to_string(there(value)?).map_err(|_| odd("is not JSON"))?;
    Ok(Value::from_safe_string(text))
}

fn write(place: Place, out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let text = match (place, value.is_none()) {
        (Place::Json, true) => "null".to_owned(),
        (_, true) => return Ok(()),
        (Place::Json, false) if value.is_safe() || value.as_str().is_none() => value.to_string(),
        // The text without its quotes: those stand in the template.
        (Place::Json, false) => {
            let quoted = serde_json::to_string(&value.to_string()).map_err(|_| odd("is not a text"))?;
            quoted[1..quoted.len() - 1].to_owned()
        }
        (Place::Path, false) => encoded(&value.to_string()),
        (Place::Value, false) => value.to_string(),
    };
    out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "the text is too long"))
}

/// A text as one segment of a path: nothing in it separates, and none is `..`.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let all_dots = text.bytes().all(|b| b == b'.');
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(byte.into()),
            b'.' if !all_dots => out.push('.'),
            // Writing to a text does not fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// Refuses what could grow, and what could not be told apart from a mistake.
fn guard(text: &str) -> Result<(), String> {
    if text.len() > LONGEST {
        return Err(format!("is {} bytes long, expected at most {LONGEST}", text.len()));
    }
    let mut rest = text;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let is_tag = rest[at..].starts_with("{%");
        let inside = &rest[at + 2..];
        let close = if is_tag { "%}" } else { "}}" };
        let end = end_of(inside, close).ok_or_else(|| format!("opens a place and has no {close}"))?;
        let code = &inside[..end];
        if is_tag {
            let tag = code.trim_start_matches(['-', '+']).split_whitespace().next().unwrap_or_default();
            if !TAGS.contains(&tag) {
                return Err(format!("found the tag `{tag}`, expected one of: {}", TAGS.join(", ")));
            }
        }
        no_growth(code)?;
        rest = &inside[end + 2..];
    }
    Ok(())
}

fn no_growth(code: &str) -> Result<(), String> {
    match outside_quotes(code).any(|(_, c)| c == '*') {
        true => Err("found the operator `*`, which is not there".to_owned()),
        false => Ok(()),
    }
}

fn end_of(code: &str, close: &str) -> Option<usize> {
    outside_quotes(code).find(|(at, _)| code[*at..].starts_with(close)).map(|(at, _)| at)
}

/// What stands outside of texts in quotes.
fn outside_quotes(code: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut escaped = false;
    code.char_indices().filter(move |(_, c)| match quote {
        Some(_) if escaped => {
            escaped = false;
            false
        }
        Some(_) if *c == '\\' => {
            escaped = true;
            false
        }
        Some(q) if *c == q => {
            quote = None;
            false
        }
        Some(_) => false,
        None if matches!(c, '"' | '\'') => {
            quote = Some(*c);
            false
        }
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn sandbox() -> Sandbox {
        Sandbox::new(&TimeZone::get("Asia/Shanghai").unwrap())
    }

    fn told(place: Place, text: &str) -> Result<String, String> {
        let names = context! {
            from => "2026-01-05T02:00:00Z", size => 100, cursor => None::<String>,
            id => "../a b/催?x=1&y=\"2\"", big => 9_007_199_254_740_993_u64,
        };
        let sandbox = sandbox();
        sandbox.names(place, text)?;
        sandbox.render(place, text, &names)
    }

    #[test]
    fn a_value_cannot_leave_its_place() {
        for (place, text, want) in [
            (Place::Value, "{{ id }}", "../a b/催?x=1&y=\"2\""),
            (Place::Path, "t/{{ id }}/h", "t/..%2Fa%20b%2F%E5%82%AC%3Fx%3D1%26y%3D%222%22/h"),
            (Place::Path, "{{ '..' }}", "%2E%2E"),
            (Place::Json, r#"{"a":"{{ id }}"}"#, r#"{"a":"../a b/催?x=1&y=\"2\""}"#),
            (Place::Json, r#"{"a":{{ id | json }}}"#, r#"{"a":"../a b/催?x=1&y=\"2\""}"#),
            (Place::Json, r#"{"n":{{ big }},"c":{{ cursor }}}"#, r#"{"n":9007199254740993,"c":null}"#),
            (Place::Value, "{{ cursor }}", ""),
        ] {
            assert_eq!(told(place, text).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn times_are_written_as_others_want_them() {
        for (text, want) in [
            ("{{ from }}", "2026-01-05T02:00:00Z"),
            ("{{ from | epoch }} {{ from | epoch_ms }}", "1767578400 1767578400000"),
            ("{{ from | format('%Y-%m-%d %H:%M:%S') }}", "2026-01-05 10:00:00"),
            ("{{ from | format('%d.%m.%y %H:%M', 'Europe/Berlin') }}", "05.01.26 03:00"),
            ("{{ from | minus('1s') }}", "2026-01-05T01:59:59Z"),
            ("{{ '5/1/2026 10:00' | parse('%d/%m/%Y %H:%M') }}", "2026-01-05T02:00:00Z"),
            ("{{ '2026-01-05' | parse('%Y-%m-%d') }}", "2026-01-04T16:00:00Z"),
            ("{{ '05 Jan 2026 10:00 +0900' | parse('%d %b %Y %H:%M %z') }}", "2026-01-05T01:00:00Z"),
        ] {
            assert_eq!(told(Place::Value, text).as_deref(), Ok(want), "{text}");
        }
        for text in [
            "{{ size | epoch }}",
            "{{ from | format('%') }}",
            "{{ from | minus('x') }}",
            "{{ 'x' | parse('%Y') }}",
        ] {
            assert!(told(Place::Value, text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_text_of_a_scan_is_read_and_the_code_counts() {
        for (text, want) in [
            ("{{ '正在派件' | scan('status') }}", "out_for_delivery"),
            ("{{ '客服已受理您的投诉' | scan('status') }}", ""),
            ("{{ '外包装破损' | scan('exception') }}", "damaged"),
            ("{{ '外包装完好无破损' | scan('exception') }}", "none"),
            (
                "{{ '外包装破损,快递员:张三 13812345678' | scan('evidence') }}",
                "外包装破损,快递员:张** 138****5678",
            ),
            ("{{ '正在派件' | scan('evidence') }}", ""),
            // 33 of SF is an attempt in vain; why, the text says. 80 is signed, whatever is said beside it.
            ("{{ '电话无人接听' | scan('exception', 'sf.opCode', '33') }}", "contact_failed"),
            ("{{ '稍后再派' | scan('exception', 'sf.opCode', 33) }}", "attempt_failed"),
            ("{{ '快件在途' | scan('status', 'sf.opCode', '80') }}", "delivered"),
        ] {
            assert_eq!(told(Place::Value, text).as_deref(), Ok(want), "{text}");
        }
        for text in
            ["{{ 'x' | scan('where') }}", "{{ 'x' | scan('status', 'nobody', '1') }}", "{{ 'x' | scan }}"]
        {
            assert!(told(Place::Value, text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_could_grow_or_is_not_there_is_refused() {
        for (text, want) in [
            ("{% for a in b %}{% endfor %}", "found the tag `for`"),
            ("{% set a = 1 %}", "found the tag `set`"),
            ("{{ 'x' * 99999999 }}", "found the operator `*`"),
            ("{{ from", "opens a place and has no }}"),
            ("{{ range(9) }}", "unknown function"),
            ("{{ from | shout }}", "unknown filter"),
            ("{{ nothing }}", "uses something that is not there"),
            ("{{ from.a.b }}", "uses something that is not there"),
        ] {
            let got = told(Place::Value, text).unwrap_err();
            assert!(got.starts_with(want), "{text}: {got}");
        }
        assert!(told(Place::Value, &"x".repeat(LONGEST + 1)).is_err());
        // A star in quotes is a text.
        assert_eq!(told(Place::Value, "{{ '*' }}*").as_deref(), Ok("**"));
    }

    #[test]
    fn expressions_are_expressions() {
        let sandbox = sandbox();
        for (text, want) in [
            ("", "is empty"),
            ("{{ row.id }}", "has {{"),
            ("row.a * 9", "found the operator"),
            ("row.", "syntax error"),
            (&"x".repeat(1001), "is 1001 bytes long"),
        ] {
            let got = sandbox.expression(text).map(|_| ()).unwrap_err();
            assert!(got.starts_with(want), "{text}: {got}");
        }
        let row = context! { row => context! { id => 7, url => "https://x/ticket/12", list => vec![1, 2] } };
        for (text, want) in [
            ("row.id", "7"),
            ("row.url | part('/', -1)", "12"),
            ("row.list | last", "2"),
            ("{'a': 'x'}[row.none | default('b')] | default('other')", "other"),
            ("'yes' if row.id > 5 else 'no'", "yes"),
            ("row.none is defined", "False"),
            ("row.id ~ '-' ~ row.url | length", "7-19"),
        ] {
            let got = sandbox.expression(text).unwrap().eval(&row).map(|v| v.to_string());
            assert_eq!(got.map_err(|e| e.to_string()).as_deref(), Ok(want), "{text}");
        }
        let deep = format!("{}1{}", "(1 + ".repeat(150), ")".repeat(150));
        assert!(sandbox.expression(&deep).is_err() || sandbox.expression(&deep).unwrap().eval(&row).is_ok());
    }
}
