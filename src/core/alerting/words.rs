//! The few sentences that the engine itself puts beside the facts of a notice; templates have the rest.

use jiff::tz::TimeZone;

use crate::core::model::Language;
use crate::core::time::{Instant, Span};

/// A sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Saying<'a> {
    /// R9: nothing followed the ack.
    AckLapsed {
        /// Who had it.
        name: &'a str,
        /// For how long.
        after: Span,
    },
    /// R7: the level below could not be reached.
    Unreachable {
        /// The level that could not.
        level: u8,
    },
    /// R11 for the successor.
    ShiftOver {
        /// Who had it.
        name: &'a str,
    },
    /// R11, R17 for who had it.
    TakenFromYou,
    /// R17 for the new one.
    Reassigned,
    /// R15: worse.
    Worse,
    /// R16.
    EscalatedBy {
        /// Who.
        name: &'a str,
        /// Why.
        reason: Option<&'a str>,
    },
    /// R21.
    Again {
        /// Which time.
        episode: u32,
    },
    /// R28.
    NeverWas,
    /// R6.
    Unhandled {
        /// How many reminders there were.
        rounds: u32,
    },
    /// §6.3.
    Skipped {
        /// The level now.
        level: u8,
    },
    /// R4: a copy for whom no message of the level below reached.
    Copy {
        /// The level now.
        level: u8,
    },
    /// §8.2: what breaks out of a storm beyond the first ones.
    StandsOut,
    /// §16.2.
    CaughtUp {
        /// How long the downtime was.
        down: Span,
    },
    /// 5.5.
    Unverified {
        /// Since when.
        as_of: Instant,
    },
    /// A dead letter.
    DeadLetter {
        /// The incident.
        short: &'a str,
        /// Whom it was for.
        names: &'a str,
    },
    /// A gap in the roster.
    Gap {
        /// The team.
        team: &'a str,
        /// From.
        from: Instant,
        /// To.
        to: Instant,
    },
    /// S09.
    NoContact {
        /// Who.
        name: &'a str,
    },
}

impl Saying<'_> {
    /// The sentence.
    pub(super) fn text(&self, language: Language, zone: &TimeZone) -> String {
        let clock = |t: &Instant| t.to_timestamp().to_zoned(zone.clone()).strftime("%H:%M").to_string();
        let day = |t: &Instant| t.to_timestamp().to_zoned(zone.clone()).strftime("%m-%d %H:%M").to_string();
        let minutes = |span: &Span| (span.as_secs() + 30) / 60;
        match language {
            Language::Zh => match self {
                Saying::AckLapsed { name, after } => format!("{name} 认领后 {} 分钟未处理", minutes(after)),
                Saying::Unreachable { level } => format!("L{level} 无人可达,直接升级"),
                Saying::ShiftOver { name } => format!("{name} 已下班且未交接,转入当班"),
                Saying::TakenFromYou => "已转给他人,无需再处理".to_owned(),
                Saying::Reassigned => "平台已改派,转入本组".to_owned(),
                Saying::Worse => "情况加重,推迟提前结束".to_owned(),
                Saying::EscalatedBy { name, reason: Some(reason) } => format!("{name} 升级:{reason}"),
                Saying::EscalatedBy { name, reason: None } => format!("{name} 升级"),
                Saying::Again { episode } => format!("再次出现(第 {episode} 次)"),
                Saying::NeverWas => "更正:实际未超时".to_owned(),
                Saying::Unhandled { rounds } => format!("提醒 {rounds} 次后仍无人处理"),
                Saying::Skipped { level } => format!("已升级到 L{level},此前未能通知您"),
                Saying::Copy { level } => format!("升级抄送:已到 L{level}"),
                Saying::StandsOut => "重点".to_owned(),
                Saying::CaughtUp { down } => format!("停机 {} 分钟,期间的事项", minutes(down)),
                Saying::Unverified { as_of } => format!("数据截至 {},未能核实", clock(as_of)),
                Saying::DeadLetter { short, names } => {
                    format!("#{short} 的通知未能送达 {names},请电话联系并检查联系方式")
                }
                Saying::Gap { team, from, to } => format!("{team} {} 至 {} 无人值班", day(from), day(to)),
                Saying::NoContact { name } => format!("{name} 当班但没有可用的联系方式"),
            },
            Language::En => match self {
                Saying::AckLapsed { name, after } => {
                    format!("{name} took it {} min ago and nothing has happened since", minutes(after))
                }
                Saying::Unreachable { level } => format!("nobody of level {level} can be reached"),
                Saying::ShiftOver { name } => {
                    format!("the shift of {name} is over and it was not handed over")
                }
                Saying::TakenFromYou => "somebody else has it now; nothing is left for you to do".to_owned(),
                Saying::Reassigned => "the platform has assigned it to your team".to_owned(),
                Saying::Worse => "it has become worse; the snooze is over".to_owned(),
                Saying::EscalatedBy { name, reason: Some(reason) } => {
                    format!("escalated by {name}: {reason}")
                }
                Saying::EscalatedBy { name, reason: None } => format!("escalated by {name}"),
                Saying::Again { episode } => format!("it is back (time {episode})"),
                Saying::NeverWas => "correction: it was not late after all".to_owned(),
                Saying::Unhandled { rounds } => format!("nobody has reacted to {rounds} reminders"),
                Saying::Skipped { level } => {
                    format!("it is at level {level} already; you could not be told before")
                }
                Saying::Copy { level } => format!("for your information: it is at level {level} now"),
                Saying::StandsOut => "these stand out".to_owned(),
                Saying::CaughtUp { down } => format!("down for {} min; meanwhile", minutes(down)),
                Saying::Unverified { as_of } => format!("as of {}; it could not be verified", clock(as_of)),
                Saying::DeadLetter { short, names } => {
                    format!(
                        "the notice about #{short} did not reach {names}: call them, and check their contacts"
                    )
                }
                Saying::Gap { team, from, to } => {
                    format!("{team}: nobody is on duty from {} to {}", day(from), day(to))
                }
                Saying::NoContact { name } => format!("{name} is on duty and has no contact that works"),
            },
        }
    }
}
