//! What an alarm says of its parcel.

use serde::Serialize;

use super::forecast::Forecast;
use crate::core::model::Language;
use crate::core::time::Instant;

/// A pace below this, in percent of the usual one, is worth a word.
const SLOW_PERCENT: u16 = 85;

/// The figures behind an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The chance to be late, in percent.
    pub late_percent: u8,
    /// The day of its way that it is on; the first is 1.
    pub day: u16,
    /// The day for which it is promised.
    pub promised_day: u16,
    /// The day by which 9 of 10 parcels of the lane have arrived, by its counts; none beyond 67 days.
    pub nine_of_ten_by: Option<u16>,
    /// How fast deliveries run this week, in percent of what is usual.
    pub pace_percent: u16,
    /// How many parcels of this very lane it rests on, recent ones counting more.
    pub parcels: u32,
}

impl Why {
    /// What can be said at `at`.
    pub fn of(forecast: &Forecast<'_>, began: Instant, promise: Instant, at: Instant) -> Why {
        let day = |to: Instant| u16::try_from(to.since(began).as_secs() / 86_400 + 1).unwrap_or(u16::MAX);
        Why {
            late_percent: (forecast.chance(began, promise, at) * 100.0).round() as u8,
            day: day(at),
            promised_day: day(promise),
            nine_of_ten_by: forecast.age_of(0.9).map(|age| day(began + age)),
            pace_percent: (forecast.surge() * 100.0).round() as u16,
            parcels: forecast.parcels().round() as u32,
        }
    }

    /// The figures as they are kept in a case, with the promise that they are about; [`Why::read`] reads it.
    pub fn written(why: Option<&Why>, promise: Instant) -> String {
        let promise = promise.as_millis();
        let Some(why) = why else { return format!("{promise}") };
        let Why { late_percent, day, promised_day, nine_of_ten_by, pace_percent, parcels } = why;
        let nine = nine_of_ten_by.unwrap_or_default();
        format!("{promise} {late_percent} {day} {promised_day} {nine} {pace_percent} {parcels}")
    }

    /// The figures, where there were any, and the promise that they are about; none of a text that is neither.
    pub fn read(text: &str) -> Option<(Option<Why>, Instant)> {
        let mut words = text.split(' ');
        let promise = Instant::from_millis(words.next()?.parse().ok()?);
        let Some(late) = words.next() else { return Some((None, promise)) };
        let late_percent = late.parse().ok()?;
        let mut day = || words.next()?.parse::<u16>().ok();
        let (day, promised_day, nine, pace_percent) = (day()?, day()?, day()?, day()?);
        let parcels = words.next()?.parse().ok()?;
        let nine_of_ten_by = (nine > 0).then_some(nine);
        let why = Why { late_percent, day, promised_day, nine_of_ten_by, pace_percent, parcels };
        words.next().is_none().then_some((Some(why), promise))
    }

    /// The sentence for people.
    pub fn sentence(&self, language: Language) -> String {
        let Why { late_percent, day, promised_day, pace_percent, .. } = self;
        let is_slow = *pace_percent < SLOW_PERCENT;
        match language {
            Language::Zh => {
                let usual = self
                    .nine_of_ten_by
                    .map_or_else(String::new, |by| format!("该线路 10 件有 9 件在第 {by} 天前送达；"));
                let pace = if is_slow {
                    format!("（近一周派送速度为平时的 {pace_percent}%）")
                } else {
                    String::new()
                };
                format!(
                    "{usual}本件已到第 {day} 天，承诺第 {promised_day} 天送达：{late_percent}% 会超时{pace}"
                )
            }
            Language::En => {
                let usual = self.nine_of_ten_by.map_or_else(String::new, |by| {
                    format!("on this lane 9 of 10 parcels are delivered by day {by}; ")
                });
                let pace = if is_slow {
                    format!(" (deliveries run at {pace_percent} % of the usual pace this week)")
                } else {
                    String::new()
                };
                format!(
                    "{usual}this one is on day {day}, promised for day {promised_day}: {late_percent} % late{pace}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_is_no_figures() {
        for text in
            ["", "soon", "1 2", "1 2 3 4 5 6", "1 2 3 4 5 6 7 8", "1 300 3 4 5 6 7", "99999999999999999999"]
        {
            assert_eq!(Why::read(text), None, "{text}");
        }
    }

    #[test]
    fn it_says_what_the_desk_needs() {
        let why = Why {
            late_percent: 71,
            day: 13,
            promised_day: 16,
            nine_of_ten_by: Some(12),
            pace_percent: 97,
            parcels: 340,
        };
        for (why, language, want) in [
            (
                why,
                Language::En,
                "on this lane 9 of 10 parcels are delivered by day 12; this one is on day 13, promised for day 16: 71 % late",
            ),
            (
                why,
                Language::Zh,
                "该线路 10 件有 9 件在第 12 天前送达；本件已到第 13 天，承诺第 16 天送达：71% 会超时",
            ),
            (
                Why { nine_of_ten_by: None, pace_percent: 62, ..why },
                Language::En,
                "this one is on day 13, promised for day 16: 71 % late (deliveries run at 62 % of the usual pace this week)",
            ),
            (
                Why { pace_percent: 62, ..why },
                Language::Zh,
                "该线路 10 件有 9 件在第 12 天前送达；本件已到第 13 天，承诺第 16 天送达：71% 会超时（近一周派送速度为平时的 62%）",
            ),
        ] {
            assert_eq!(why.sentence(language), want);
            let promise = Instant::from_secs(1_772_416_800);
            assert_eq!(Why::read(&Why::written(Some(&why), promise)), Some((Some(why), promise)));
            assert_eq!(Why::read(&Why::written(None, promise)), Some((None, promise)));
        }
    }
}
