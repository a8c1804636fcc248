//! What an alarm says of a silence.

use super::Stall;
use crate::core::model::Language;
use crate::core::time::Span;

/// Fewer gaps than this are no ground to speak of: the limit of the rule is what counts.
const ENOUGH: u32 = 20;

/// The figures behind an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StallWhy {
    /// How long it has waited, in minutes; time in which its carrier is closed does not count.
    pub waited: u32,
    /// After so many minutes it is told, were everything as fast as usual.
    pub usual: u32,
    /// Of 10,000 gaps so many are longer.
    pub longer: u16,
    /// How many recent gaps of its stage and lane it rests on.
    pub gaps: u32,
    /// How long gaps are at present, in percent of what is usual.
    pub surge_percent: u16,
}

impl StallWhy {
    /// The figures of a silence that has lasted for `waited`.
    pub fn of(stall: &Stall, waited: Span) -> StallWhy {
        let minutes = |millis: f64| (millis / 60_000.0).round() as u32;
        StallWhy {
            waited: minutes(waited.as_millis() as f64),
            usual: minutes(stall.after.as_millis() as f64 / stall.surge.max(1.0)),
            longer: (stall.alpha * 10_000.0).round() as u16,
            gaps: stall.gaps.round() as u32,
            surge_percent: (stall.surge * 100.0).round() as u16,
        }
    }

    /// The figures as they are kept in a case; [`StallWhy::read`] reads it.
    pub fn written(&self) -> String {
        let StallWhy { waited, usual, longer, gaps, surge_percent } = self;
        format!("{waited} {usual} {longer} {gaps} {surge_percent}")
    }

    /// The figures; none of a text that holds none.
    pub fn read(text: &str) -> Option<StallWhy> {
        let mut words = text.split(' ').map(str::parse::<u32>);
        let mut next = || words.next()?.ok();
        let (waited, usual, longer, gaps, surge) = (next()?, next()?, next()?, next()?, next()?);
        let (longer, surge_percent) = (u16::try_from(longer).ok()?, u16::try_from(surge).ok()?);
        words.next().is_none().then_some(StallWhy { waited, usual, longer, gaps, surge_percent })
    }

    /// The sentence for people; `lane` is what its carrier and way are called.
    pub fn sentence(&self, lane: &str, language: Language) -> String {
        let StallWhy { longer, gaps, surge_percent, .. } = self;
        let (waited, usual) = ((self.waited + 30) / 60, (self.usual + 30) / 60);
        let share = f64::from(10_000 - longer.min(&10_000)) / 100.0;
        let is_slow = *surge_percent >= 105;
        let surge = f64::from(*surge_percent) / 100.0;
        match (language, *gaps >= ENOUGH) {
            (Language::Zh, true) => {
                let pace =
                    if is_slow { format!("（目前整体慢 {surge:.1} 倍）") } else { String::new() };
                format!(
                    "已 {waited} 小时无新扫描；{lane}近期 {gaps} 次扫描间隔中 {share}% 在 {usual} 小时内{pace}"
                )
            }
            (Language::Zh, false) => {
                format!("已 {waited} 小时无新扫描，此阶段限 {usual} 小时（该线路历史数据不足）")
            }
            (Language::En, true) => {
                let pace = if is_slow { format!(" (surge {surge:.1})") } else { String::new() };
                let lane = if lane.is_empty() { String::new() } else { format!("{lane} ") };
                format!(
                    "waited {waited} h; {share} % of {gaps} recent {lane}scans came within {usual} h{pace}"
                )
            }
            (Language::En, false) => {
                format!(
                    "waited {waited} h; the limit of this stage is {usual} h, as little is known of its lane"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_the_desk_needs() {
        let why = StallWhy { waited: 3_660, usual: 3_120, longer: 50, gaps: 400, surge_percent: 120 };
        let few = StallWhy { gaps: 3, surge_percent: 100, usual: 4_320, ..why };
        for (why, language, want) in [
            (
                why,
                Language::En,
                "waited 61 h; 99.5 % of 400 recent 圆通 浙江→湖南 scans came within 52 h (surge 1.2)",
            ),
            (
                why,
                Language::Zh,
                "已 61 小时无新扫描；圆通 浙江→湖南近期 400 次扫描间隔中 99.5% 在 52 小时内（目前整体慢 1.2 倍）",
            ),
            (
                few,
                Language::En,
                "waited 61 h; the limit of this stage is 72 h, as little is known of its lane",
            ),
            (few, Language::Zh, "已 61 小时无新扫描，此阶段限 72 小时（该线路历史数据不足）"),
        ] {
            assert_eq!(why.sentence("圆通 浙江→湖南", language), want);
            assert_eq!(StallWhy::read(&why.written()), Some(why));
        }
        for text in ["", "a", "1 2 3 4", "1 2 3 4 5 6", "1 2 70000 4 5"] {
            assert_eq!(StallWhy::read(text), None, "{text}");
        }
    }
}
