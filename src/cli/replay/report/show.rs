//! Numbers, times and texts as people read them; the same for the terminal and the page.

use jiff::tz::TimeZone;

use super::words::Language;
use super::{ClockFigures, Spread};
use crate::core::time::Instant;

/// `12,345`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `+12,345`, `−7`, `±0`.
pub fn change(n: i64) -> String {
    let size = count(n.unsigned_abs());
    match n.signum() {
        1 => format!("+{size}"),
        -1 => format!("−{size}"),
        _ => "±0".to_owned(),
    }
}

/// Tenths of a percent as `97.3%`; a dash when absent.
pub fn share(permille: Option<u16>) -> String {
    permille.map_or_else(|| "–".to_owned(), |p| format!("{}.{}%", p / 10, p % 10))
}

/// Seconds as the two units that matter: `45s`, `12m 30s`, `4h 05m`, `3d 4h`.
pub fn span(secs: i64, language: Language) -> String {
    let [d, h, m, s] = match language {
        Language::Zh => ["天", "时", "分", "秒"],
        Language::En => ["d", "h", "m", "s"],
    };
    let sign = if secs < 0 { "−" } else { "" };
    let secs = secs.unsigned_abs();
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{sign}{big}{unit}")
        } else if language == Language::Zh {
            format!("{sign}{big}{unit}{small}{small_unit}")
        } else {
            format!("{sign}{big}{unit} {small}{small_unit}")
        }
    };
    if days > 0 {
        two(days, d, hours, h)
    } else if hours > 0 {
        two(hours, h, minutes, m)
    } else if minutes > 0 {
        two(minutes, m, secs % 60, s)
    } else {
        format!("{sign}{secs}{s}")
    }
}

/// The times of a clock with what they are called: open and wall time, or one of them where the clock never stops.
pub fn spreads(c: &ClockFigures, language: Language) -> Vec<(String, &Spread)> {
    let (open, wall) = (language.word("open_time"), language.word("wall_time"));
    let late = language.word("overdue_by");
    let mut rows = Vec::with_capacity(4);
    if let Some(replies) = &c.replies {
        for (what, in_open, in_wall) in [
            ("first_reply", &replies.first_open, &replies.first_wall),
            ("next_reply", &replies.next_open, &replies.next_wall),
        ] {
            let what = language.word(what);
            if in_wall.n > 0 {
                if in_open != in_wall {
                    rows.push((format!("{what} · {open}"), in_open));
                }
                rows.push((format!("{what} · {wall}"), in_wall));
            }
        }
        rows.push((language.word("waited").to_owned(), &replies.waited));
    } else if c.finish_wall.n > 0 {
        if c.finish_open != c.finish_wall {
            rows.push((open.to_owned(), &c.finish_open));
        }
        rows.push((wall.to_owned(), &c.finish_wall));
    }
    if c.overdue_wall.n > 0 {
        if c.overdue_open != c.overdue_wall {
            rows.push((format!("{late} · {open}"), &c.overdue_open));
        }
        rows.push((format!("{late} · {wall}"), &c.overdue_wall));
    }
    if c.doubtful_pause.n > 0 {
        rows.push((language.word("doubtful").to_owned(), &c.doubtful_pause));
    }
    rows
}

/// [`span`], or a dash when absent.
pub fn span_or_dash(secs: Option<i64>, language: Language) -> String {
    secs.map_or_else(|| "–".to_owned(), |s| span(s, language))
}

/// `2026-03-02 10:00` in the report's zone.
pub fn moment(at: Instant, zone: &TimeZone) -> String {
    zone.to_datetime(at.to_timestamp()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// `2026-03-02` in the report's zone.
pub fn day(at: Instant, zone: &TimeZone) -> String {
    zone.to_datetime(at.to_timestamp()).strftime("%Y-%m-%d").to_string()
}

/// The last day of a window `[from, to)`.
pub fn last_day(to: Instant, zone: &TimeZone) -> String {
    day(to - crate::core::time::Span::MILLISECOND, zone)
}

/// The label of an overdue-age bucket.
pub fn age_label(below_s: Option<i64>, language: Language) -> String {
    match below_s {
        Some(secs) => format!("<{}", short_age(secs, language)),
        None => format!("≥{}", short_age(1_209_600, language)),
    }
}

fn short_age(secs: i64, language: Language) -> String {
    match (secs, language) {
        (s, Language::Zh) if s < 3600 => format!("{}分", s / 60),
        (s, Language::Zh) if s < 86_400 => format!("{}时", s / 3600),
        (s, Language::Zh) => format!("{}天", s / 86_400),
        (s, Language::En) if s < 3600 => format!("{}m", s / 60),
        (s, Language::En) if s < 86_400 => format!("{}h", s / 3600),
        (s, Language::En) => format!("{}d", s / 86_400),
    }
}

/// A text from outside without what could steer a terminal or turn the reading direction, and with an end.
pub fn plain(text: &str) -> String {
    const LONGEST: usize = 80;
    let is_steering = |c: char| {
        c.is_control()
            || matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    let mut out: String =
        text.chars().take(LONGEST).map(|c| if is_steering(c) { '\u{FFFD}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (n, want) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(n), want);
        }
        assert_eq!((change(1234), change(-5), change(0)), ("+1,234".into(), "−5".into(), "±0".into()));
        assert_eq!(
            (share(Some(973)), share(Some(1000)), share(None)),
            ("97.3%".into(), "100.0%".into(), "–".into())
        );
    }

    #[test]
    fn spans_read_well() {
        for (secs, en, zh) in [
            (0, "0s", "0秒"),
            (59, "59s", "59秒"),
            (600, "10m", "10分"),
            (630, "10m 30s", "10分30秒"),
            (3661, "1h 1m", "1时1分"),
            (200_000, "2d 7h", "2天7时"),
            (-90, "−1m 30s", "−1分30秒"),
            (i64::MIN, "−106751991167300d 15h", "−106751991167300天15时"),
        ] {
            assert_eq!(span(secs, Language::En), en);
            assert_eq!(span(secs, Language::Zh), zh);
        }
    }

    #[test]
    fn texts_from_outside_are_tamed() {
        assert_eq!(plain("a\u{1b}[2J\u{202E}b\n"), "a\u{FFFD}[2J\u{FFFD}b\u{FFFD}");
        assert_eq!(plain(&"长".repeat(100)).chars().count(), 81);
    }
}
