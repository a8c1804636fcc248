//! A holiday set out of an `.ics` file, as TOML to paste into a configuration.

use std::fmt::Write as _;

use crate::config::ics::{IcsError, parse_holidays};
use crate::core::calendar::HolidayConfig;

/// The TOML of a holiday set by this name, and warnings about what was left out.
///
/// # Errors
/// A file that is no calendar of holidays.
pub fn import(file: &[u8], name: &str) -> Result<(String, Vec<String>), IcsError> {
    let text = String::from_utf8_lossy(file);
    let (set, warnings) = parse_holidays(&text)?;
    let mut out = String::new();
    let key = if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        name.to_owned()
    } else {
        quoted(name)
    };
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("[holidays.{key}]"));
    if let Some(title) = &set.title {
        line(format!("title  = {}", quoted(title)));
    }
    line(format!("covers = [{}, {}]", quoted(&set.covers.0.0), quoted(&set.covers.1.0)));
    for (key, list) in [("days_off", &set.days_off), ("makeup_days", &set.makeup_days)] {
        if list.is_empty() {
            continue;
        }
        line(format!("\n{key} = ["));
        list.iter().for_each(|holiday| line(block(holiday)));
        line("]".to_owned());
    }
    Ok((out, warnings))
}

fn block(holiday: &HolidayConfig) -> String {
    let mut text = "  { ".to_owned();
    for (key, date) in [("date", &holiday.date), ("from", &holiday.from), ("to", &holiday.to)] {
        if let Some(date) = date {
            // Writing to a string cannot fail.
            let _infallible = write!(text, "{key} = {}, ", quoted(&date.0));
        }
    }
    text + &format!("name = {} }},", quoted(&holiday.name))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
