//! Where templates run: a closed list of tags and filters, nothing that can grow without bound, strict about names.
//!
//! A template of `{% set a = a ~ a %}` forty times over would fill the memory long before any count of steps stops it.
//! So what could double a text in one step is not there at all: no variables, no macros, no captures, and no `~`, `+`,
//! `*` in expressions. What is left grows with the steps it takes and with what it writes, and both are counted.

use std::io::{self, Write};

use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use crate::channels::Markup;
use crate::channels::escape::escape;
use crate::channels::render::check::TemplateFault;

/// Steps of one text.
const FUEL: u64 = 200_000;

/// How deep a text may nest; an include counts ten.
const DEPTH: usize = 64;

/// The longest file.
pub(super) const LONGEST_FILE: usize = 64 * 1024;

const TAGS: &[&str] = &["if", "elif", "else", "endif", "for", "endfor", "include"];

/// An environment without templates.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(write_value);
    environment.add_test("none", |value: &Value| value.is_none());
    environment.add_test("defined", |value: &Value| !value.is_undefined());
    environment.add_filter("join", join);
    environment.add_filter("length", |value: &Value| value.len());
    environment.add_filter("default", |value: &Value, other: Value| {
        if value.is_undefined() || value.is_none() { other } else { value.clone() }
    });
    environment
}

/// Joins texts. What comes out is bounded by what went in: nothing here repeats a text.
fn join(values: &Value, sign: Option<String>) -> Result<String, Error> {
    const LONGEST: usize = 16 * 1024;
    let sign = sign.unwrap_or_default();
    let mut out = String::new();
    for (i, value) in values.try_iter()?.enumerate() {
        if i > 0 {
            out.push_str(&sign);
        }
        out.push_str(&value.to_string());
        if out.len() > LONGEST {
            return Err(Error::new(ErrorKind::InvalidOperation, "join: the text is longer than 16 KiB"));
        }
    }
    Ok(out)
}

/// Writes a value as its place wants it. Links are ours and stay as they are.
fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    if value.is_none() {
        return Ok(());
    }
    let markup = match state.lookup("markup").as_ref().and_then(Value::as_str) {
        Some("html") => Markup::Html,
        Some("markdown") => Markup::Markdown,
        Some("sms") => Markup::Sms,
        _ => Markup::Plain,
    };
    let text = value.to_string();
    let written = match markup {
        Markup::Html => out.write_str(&escape(markup, &text)),
        _ if value.is_safe() => out.write_str(&text),
        _ => out.write_str(&escape(markup, &text)),
    };
    written.map_err(|_| Error::new(ErrorKind::WriteFailure, "the text is too long"))
}

/// Adds a template under `name`.
pub(super) fn add(
    environment: &mut Environment<'static>,
    name: &str,
    text: String,
) -> Result<(), TemplateFault> {
    guard(&text).map_err(|(line, reason)| TemplateFault::of(name, line, reason))?;
    environment.add_template_owned(name.to_owned(), text).map_err(|error| fault(&error))
}

/// Renders a template for a place.
pub(super) fn render(
    environment: &Environment<'static>,
    name: &str,
    names: &Value,
    markup: Markup,
    longest: usize,
) -> Result<String, TemplateFault> {
    let word = match markup {
        Markup::Plain => "plain",
        Markup::Html => "html",
        Markup::Markdown => "markdown",
        Markup::Sms => "sms",
    };
    let template = environment.get_template(name).map_err(|error| fault(&error))?;
    let mut out = Bounded { text: Vec::new(), longest };
    let context = minijinja::context! { markup => word, ..names.clone() };
    template.render_captured_to(context, &mut out).map_err(|error| {
        let fault = fault(&error);
        let reason = match error.kind() {
            ErrorKind::WriteFailure => format!("the text is longer than {longest} bytes"),
            _ => fault.reason,
        };
        let file = if fault.line == 0 { name.to_owned() } else { fault.file };
        TemplateFault { file, reason, ..fault }
    })?;
    // What is written are texts.
    Ok(String::from_utf8_lossy(&out.text).into_owned())
}

/// The innermost cause of an error is where the mistake stands.
pub(super) fn fault(error: &Error) -> TemplateFault {
    let mut inner = error;
    while let Some(next) = std::error::Error::source(inner).and_then(|e| e.downcast_ref::<Error>()) {
        inner = next;
    }
    let reason = match inner.kind() {
        ErrorKind::OutOfFuel => format!("takes more than {FUEL} steps"),
        kind => match inner.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    TemplateFault::of(inner.name().unwrap_or("template"), inner.line().unwrap_or(0), reason)
}

struct Bounded {
    text: Vec<u8>,
    longest: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.longest {
            return Err(io::Error::other("the text is too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses what could double a text: says the line and the reason.
fn guard(text: &str) -> Result<(), (usize, String)> {
    if text.len() > LONGEST_FILE {
        return Err((1, format!("is {} bytes long, expected at most {LONGEST_FILE}", text.len())));
    }
    let mut rest = text;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min() {
        let line = text[..text.len() - rest.len() + at].matches('\n').count() + 1;
        let kind = rest[at + 1..].chars().next();
        let inside = &rest[at + 2..];
        let close = match kind {
            Some('{') => "}}",
            Some('%') => "%}",
            _ => "#}",
        };
        let end = if kind == Some('#') { inside.find(close) } else { end_of(inside, close) };
        let Some(end) = end else { return Err((line, format!("opens here and has no {close}"))) };
        let (code, after) = (&inside[..end], &inside[end + 2..]);
        if kind == Some('%') {
            let tag = code.trim_start_matches(['-', '+']).split_whitespace().next().unwrap_or_default();
            if !TAGS.contains(&tag) {
                return Err((line, format!("found the tag `{tag}`, expected one of: {}", TAGS.join(", "))));
            }
            if tag == "for" && code.split_whitespace().any(|word| word == "recursive") {
                return Err((line, "found a recursive loop, expected a plain one".to_owned()));
            }
        }
        if kind != Some('#') {
            let bare = without_texts(code.trim_matches(['-', '+']));
            if let Some(sign) = bare.chars().find(|c| matches!(c, '~' | '+' | '*')) {
                return Err((
                    line,
                    format!("found the operator `{sign}`; write the texts side by side instead"),
                ));
            }
        }
        rest = after;
    }
    Ok(())
}

/// Where `close` stands outside of texts in quotes.
fn end_of(code: &str, close: &str) -> Option<usize> {
    let mut quote = None;
    let mut chars = code.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            Some(_) if c == '\\' => drop(chars.next()),
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if code[at..].starts_with(close) => return Some(at),
            None => {}
        }
    }
    None
}

fn without_texts(code: &str) -> String {
    let (mut out, mut quote) = (String::new(), None);
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => drop(chars.next()),
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_grow_without_bound_is_not_there() {
        for (text, line, reason) in [
            ("a\n{% set a = 1 %}", 2, "found the tag `set`"),
            ("{% macro a() %}{% endmacro %}", 1, "found the tag `macro`"),
            ("{%- with a = 1 %}", 1, "found the tag `with`"),
            ("{% filter join %}", 1, "found the tag `filter`"),
            ("{{ a ~ a }}", 1, "found the operator `~`"),
            ("{{ 'x' * 99 }}", 1, "found the operator `*`"),
            ("{% if a + b %}", 1, "found the operator `+`"),
            ("{% for a in b recursive %}", 1, "found a recursive loop"),
            ("x\ny\n{{ a", 3, "opens here"),
            ("{{ '}}' }} {{ \"a ~ b\" }} {# a ~ b #} a ~ b * c", 0, ""),
            ("{{- a -}} {%- if a -%} {%+ else %}", 0, ""),
        ] {
            match guard(text) {
                Ok(()) => assert_eq!(reason, "", "{text}"),
                Err((at, told)) => {
                    assert!(
                        at == line && !reason.is_empty() && told.starts_with(reason),
                        "{text}: {at}: {told}"
                    );
                }
            }
        }
        assert!(guard(&"x".repeat(LONGEST_FILE + 1)).is_err());
    }
}
