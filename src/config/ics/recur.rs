//! Recurrence rules of whole-day events, over the `rrule` crate.

use jiff::Timestamp;
use jiff::civil::Date;
use rrule::RRuleSet;

use super::{MAX_DATES, MAX_OCCURRENCES, YEARS, clip, compact_date};

/// The dates of a recurrence rule within the years we keep; the occurrences looked at are added to `seen`.
pub(super) fn recur(first: Date, rule: &str, seen: &mut usize) -> Result<Vec<Date>, String> {
    if first.year() < 1900 {
        return Err(format!("it begins on {first}, before 1900"));
    }
    let mut parts = Vec::new();
    for part in rule.trim().split(';').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("`{}` is no rule part", clip(part)))?;
        let (key, value) = (key.trim().to_ascii_uppercase(), value.trim().to_ascii_uppercase());
        match key.as_str() {
            "FREQ" if !["DAILY", "WEEKLY", "MONTHLY", "YEARLY"].contains(&value.as_str()) => {
                return Err(format!("FREQ={} is not for whole days", clip(&value)));
            }
            "BYHOUR" | "BYMINUTE" | "BYSECOND" => return Err(format!("{key} is not for whole days")),
            "UNTIL" => {
                // A date, or an instant whose date is meant. Without the zone, `rrule` would take the
                // machine's.
                let date = value.get(..8).and_then(compact_date);
                let date = date.ok_or_else(|| format!("UNTIL={} is not a date", clip(&value)))?;
                parts.push(format!("UNTIL={}T235959Z", date.strftime("%Y%m%d")));
            }
            _ => parts.push(format!("{key}={value}")),
        }
    }
    let text = format!("DTSTART:{}T000000Z\nRRULE:{}", first.strftime("%Y%m%d"), parts.join(";"));
    let set: RRuleSet = text.parse().map_err(|error: rrule::RRuleError| clip(&error.to_string()))?;
    let set = set.limit();
    let mut dates = Vec::new();
    for occurrence in set.into_iter().take(MAX_OCCURRENCES) {
        *seen += 1;
        let Ok(at) = Timestamp::from_second(occurrence.timestamp()) else { break };
        let date = jiff::tz::Offset::UTC.to_datetime(at).date();
        if date.year() >= YEARS.end || dates.len() > MAX_DATES {
            break;
        }
        if YEARS.contains(&date.year()) {
            dates.push(date);
        }
    }
    Ok(dates)
}
