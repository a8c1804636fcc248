//! Time as the model counts it.

use shiftbell::core::time::{Instant, Span};

/// Quarters of a minute since Monday 2026-03-02 00:00 in Shanghai.
pub type Tick = i64;

pub const MINUTE: Tick = 4;
/// Minutes.
pub const DAY: i64 = 24 * 60;
/// Minutes in which observations are made, and when the story is over.
pub const STORY: i64 = 3 * DAY;
pub const END: i64 = 4 * DAY;

pub fn instant(tick: Tick) -> Instant {
    let monday: Instant = "2026-03-02T00:00:00+08:00".parse().expect("an instant");
    Instant::from_millis(monday.as_millis() + tick * 15_000)
}

/// The instant of a minute.
pub fn minute(minute: i64) -> Instant {
    instant(minute * MINUTE)
}

pub fn span(ticks: Tick) -> Span {
    Span::from_millis(ticks * 15_000)
}

/// Ticks as people read them: day and time.
pub fn show(tick: Tick) -> String {
    let (minutes, quarter) = (tick.div_euclid(MINUTE), tick.rem_euclid(MINUTE));
    let (day, minute) = (minutes.div_euclid(DAY), minutes.rem_euclid(DAY));
    format!("d{day} {:02}:{:02}:{:02}", minute / 60, minute % 60, quarter * 15)
}

/// The same, with the milliseconds after for what has passed.
pub fn show_instant(t: Instant) -> String {
    let ms = t.as_millis() - instant(0).as_millis();
    let rest = ms.rem_euclid(15_000);
    let rest = if rest == 0 { String::new() } else { format!("+{rest}ms") };
    format!("{}{rest}", show(ms.div_euclid(15_000)))
}
