//! The text before it reaches the parser.

use super::{IcsError, MAX_BYTES, MAX_LINE};

/// Calendars hold events, events hold alarms; deeper is no calendar.
const MAX_DEPTH: usize = 8;

/// Checks the outer shape, joins folded lines, and keeps only the lines that say something about dates:
/// the parser recurses and backtracks, so it is given nothing it could choke on. Lines keep their number.
pub(super) fn prepare(text: &str) -> Result<String, IcsError> {
    const KEPT: [&str; 12] = [
        "BEGIN",
        "END",
        "DTSTART",
        "DTEND",
        "DURATION",
        "RRULE",
        "RDATE",
        "EXDATE",
        "SUMMARY",
        "STATUS",
        "RECURRENCE-ID",
        "X-WR-CALNAME",
    ];
    if text.len() > MAX_BYTES {
        return Err(IcsError::TooLong(text.len()));
    }
    let text = text.trim_start_matches('\u{feff}').trim();
    let start: String = text.chars().take(20).filter(|c| !c.is_control()).collect();
    if !text.get(..15).is_some_and(|s| s.eq_ignore_ascii_case("BEGIN:VCALENDAR")) {
        return Err(IcsError::NotACalendar(start));
    }
    let mut open: Vec<String> = Vec::new();
    let mut out = String::with_capacity(text.len().min(1 << 20));
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, first)) = lines.next() {
        let number = number + 1;
        let mut line = first.to_owned();
        let mut folds = 0;
        while let Some((_, more)) = lines.next_if(|(_, l)| l.starts_with([' ', '\t'])) {
            line.push_str(&more[1..]);
            folds += 1;
            if line.len() > MAX_LINE {
                break;
            }
        }
        if line.len() > MAX_LINE {
            return Err(IcsError::LongLine(number));
        }
        let line = line.trim();
        let name = line.split([':', ';']).next().unwrap_or("").to_ascii_uppercase();
        let broken = |what: String| IcsError::Broken { line: number, what };
        let component = || line.split_once(':').map_or("", |(_, c)| c).trim().to_ascii_uppercase();
        match name.as_str() {
            "BEGIN" => {
                let component = component();
                if component.is_empty() || !component.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                {
                    return Err(broken("BEGIN without the name of a component".to_owned()));
                }
                if open.len() == MAX_DEPTH {
                    return Err(broken(format!("components nested more than {MAX_DEPTH} deep")));
                }
                out.push_str("BEGIN:");
                out.push_str(&component);
                open.push(component);
            }
            "END" => {
                let component = component();
                if open.pop().as_deref() != Some(component.as_str()) {
                    return Err(broken(format!("END:{component} without its BEGIN")));
                }
                out.push_str("END:");
                out.push_str(&component);
            }
            kept if KEPT.contains(&kept) && !open.is_empty() && line.contains(':') => {
                // Parameters in quotes may hold colons; none that matters here has any.
                out.push_str(kept);
                out.push_str(&line[kept.len()..]);
            }
            // Anything else says nothing about dates. An empty line is skipped by the parser.
            _ => {}
        }
        // The parser looks for the longer line end first: without it here, it would search the whole text.
        (0..=folds).for_each(|_| out.push_str("\r\n"));
    }
    match open.pop() {
        Some(component) => Err(IcsError::Broken {
            line: text.lines().count(),
            what: format!("the file ends inside of {component}: was it cut off?"),
        }),
        None => Ok(out),
    }
}
