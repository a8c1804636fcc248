//! Clocks and what they need, as they are written in configuration.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::calendar::{CalendarConfig, HolidaySetConfig};
use crate::core::clock::condition::{AttributeType, ConditionConfig};
use crate::core::time::{Instant, Span};

/// Everything that decides what a desk promises: the part of the settings that the engine is given, and that it
/// keeps a history of (`sla_semantics` §9).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// Sets of days off and make-up workdays.
    #[serde(default)]
    pub holidays: BTreeMap<String, HolidaySetConfig>,
    /// Business hours.
    #[serde(default)]
    pub calendars: BTreeMap<String, CalendarConfig>,
    /// Attributes of the shop's own, beside the built-in ones.
    #[serde(default)]
    pub attributes: BTreeMap<String, AttributeType>,
    /// Which marks happen once, which again and again.
    #[serde(default)]
    pub marks: MarksConfig,
    /// The kinds of cases.
    #[serde(default)]
    pub kinds: BTreeMap<String, KindConfig>,
    /// The promises.
    #[serde(default)]
    pub clock: Vec<ClockConfig>,
    /// What is wrong while attributes say so.
    #[serde(default)]
    pub condition: Vec<RuleConfig>,
    /// What changes a promise for some cases.
    #[serde(default)]
    pub overlay: Vec<OverlayConfig>,
}

/// `[marks]`: how often a mark happens. The standard marks are known; this is for a shop's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarksConfig {
    /// Marks that happen once in the life of a case: a second instant is a correction, whatever its reference.
    #[serde(default)]
    pub single: Vec<String>,
    /// Marks that happen again and again, told apart by their references, or by their instants where they have none.
    #[serde(default)]
    pub repeated: Vec<String>,
}

/// `[kinds.NAME]`: one kind of case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KindConfig {
    /// The name people know, such as 工单.
    pub title: Option<String>,
    /// Marks after which the case is over (K7): until it is reopened no cycle starts any more. Only a question
    /// (`pick = "oldest_open"`) must still be answered.
    #[serde(default, rename = "final")]
    pub final_marks: Names,
    /// Attributes that say the same (K7). When they become true, an open question is cancelled as well (K13). A
    /// question that is asked afterwards starts a cycle all the same, unless the case was in this state already when
    /// it was first seen: a case that is imported closed asks nothing.
    pub closed: Option<ConditionConfig>,
}

/// `[[clock]]`: a promise on one kind of case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockConfig {
    /// The name of the clock, lower-case. Several entries may share a name: the first whose `when` matches applies
    /// (P1).
    pub name: String,
    /// The name people know, such as 工单回复.
    pub title: Option<String>,
    /// The kind of case it watches.
    pub on: String,
    /// The cases it applies to, judged at the start of a cycle (P1, P6). Without it: all of the kind.
    pub when: Option<ConditionConfig>,
    /// The mark or marks that start a cycle.
    #[serde(default)]
    pub start: Names,
    /// Instead of `start`: a cycle starts when these attributes become true, and ends when they no longer are. Without a
    /// target it is due at once. `[[condition]]` is the usual way to say this.
    pub start_when: Option<ConditionConfig>,
    /// Which of them (K1–K3). Default: `oldest_open` when it stops on `agent_reply`, else `first`.
    pub pick: Option<Pick>,
    /// The mark or marks that fulfil the promise (K4).
    #[serde(default)]
    pub stop: Names,
    /// Attributes that fulfil the promise when they become true.
    pub stop_when: Option<ConditionConfig>,
    /// The mark or marks that end a cycle without counting it (K5).
    #[serde(default)]
    pub cancel: Names,
    /// Attributes that cancel when they become true.
    pub cancel_when: Option<ConditionConfig>,
    /// The mark or marks that end a cycle and start another at once (K14).
    #[serde(default)]
    pub reset: Names,
    /// Attributes that pause the clock while any of them holds (K6).
    pub pause: Option<ConditionConfig>,
    /// What happens when the case is reopened (K8–K10). Default: `continue` for `pick = "first"`, else `ignore`.
    pub reopen: Option<Reopen>,
    /// The mark or marks that reopen. Default: `reopened`.
    pub reopen_on: Option<Names>,
    /// `continue` up to this long (wall time) after the stop, `new_cycle` later (K11).
    pub reopen_within: Option<Span>,
    /// The target of a cycle that a reopening starts (K9). Default: the clock's target.
    pub reopen_target: Option<String>,
    /// The time allowed, in the calendar's open time: `20m`, `48h`, `2wd` (working days).
    pub target: Option<String>,
    /// Due at this local time, the next one that is a working time (K22).
    pub by: Option<String>,
    /// Pauses move a `by` due time (K22).
    #[serde(default)]
    pub by_extends: bool,
    /// Due at the deadline that the platform set: a mark whose name ends in `_by`. With `target` too, the earlier
    /// of the two.
    pub deadline: Option<String>,
    /// The deadline is told anew after every start: one that lies before the start was told of the cycle before, and does
    /// not count.
    #[serde(default)]
    pub deadline_follows: bool,
    /// Due again and again: `1 month`, `2 weeks`, `10 days` after the start and after every stop, at the same
    /// local time.
    pub every: Option<String>,
    /// The calendar whose open time counts. Default: `always`, around the clock.
    pub calendar: Option<String>,
    /// After a change of target at least this much is left (P3).
    pub min_left: Option<Span>,
    /// Whether a change of target keeps what was consumed (P2) or starts counting anew (P4). Default: `keep`.
    pub on_change: Option<OnChange>,
    /// What happens to a running cycle when `when` stops matching (P6). Default: `keep`.
    pub on_mismatch: Option<OnMismatch>,
    /// What happens to running cycles when a reload drops the clock (R4). Default: `keep`.
    pub on_removal: Option<OnMismatch>,
    /// When it rings: `50%`, `5m before`, `due`, `10m after`, `30m before wall` (§7).
    #[serde(default)]
    pub ring: Vec<RingConfig>,
    /// The family of the trouble it tells of, such as `ticket.reply`: levels, storms and silences go by it. Default: the
    /// kind and the name.
    pub family: Option<String>,
    /// What to do next (下一步), for the text of its messages.
    pub action: Option<String>,
    /// Deadlines of the platform (`…_by`) after which a penalty or a legal duty falls due, whatever our own promise is.
    #[serde(default)]
    pub hard_deadline: Names,
    /// Marks that show that somebody is at work on it: they extend an ack once.
    #[serde(default)]
    pub progress: Names,
    /// Rings after due that are a level of their own: `{ "10m after" = 2 }`. Others only come to the record.
    #[serde(default)]
    pub levels: BTreeMap<String, u8>,
    /// Once it has rung, only a person ends it, whatever happens to the case.
    #[serde(default)]
    pub manual: bool,
    /// One case, one ticket: of the open incidents of one case whose rules say the same here, one speaks, and the others
    /// are folded under it.
    pub ticket: Option<String>,
    /// Which of them speaks: that of the smallest number, else the oldest. Default: 100.
    pub precedence: Option<u16>,
    /// What the platform takes for it (赔付), by the attribute `value` of the case.
    pub penalty: Option<PenaltyConfig>,
}

/// `penalty = { percent = 5, least = 5, most = 50 }`: so many percent of the value of the goods, within bounds in yuan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PenaltyConfig {
    /// Percent of the value.
    pub percent: u8,
    /// At least so many yuan.
    pub least: u32,
    /// At most so many yuan.
    pub most: u32,
}

impl PenaltyConfig {
    /// What is taken for goods of so many cents, in cents.
    pub fn of(&self, cents: i64) -> i64 {
        let share =
            cents.max(0) / 100 * i64::from(self.percent) + cents.max(0) % 100 * i64::from(self.percent) / 100;
        let (least, most) = (i64::from(self.least) * 100, i64::from(self.most) * 100);
        share.max(least).min(most)
    }
}

/// `[[condition]]`: something that is wrong while the attributes of a case say so, such as a scan that says lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Its name, lower-case; no clock has the same. Of several entries of one name the first whose `cases` match applies.
    pub name: String,
    /// The name people know, such as 丢件.
    pub title: Option<String>,
    /// The kind of case it watches.
    pub on: String,
    /// The cases it applies to, judged when it becomes true. Without it: all of the kind.
    pub cases: Option<ConditionConfig>,
    /// What is wrong.
    pub when: ConditionConfig,
    /// Told once it has been so for so long, in the calendar's open time. Without it: at once.
    pub after: Option<String>,
    /// The mark or marks that end it as well; after that it has to become untrue before it is told again.
    #[serde(default)]
    pub until: Names,
    /// Attributes that stop the time of `after` and of the rings while any of them holds.
    pub pause: Option<ConditionConfig>,
    /// The calendar whose open time counts. Default: `always`, around the clock.
    pub calendar: Option<String>,
    /// When it rings: `due` is after `after`. Default: `["due"]`.
    pub ring: Option<Vec<RingConfig>>,
    /// As of clocks.
    pub family: Option<String>,
    /// What to do next (下一步), for the text of its messages.
    pub action: Option<String>,
    /// As of clocks.
    #[serde(default)]
    pub hard_deadline: Names,
    /// Marks that show that somebody is at work on it: they extend an ack once.
    #[serde(default)]
    pub progress: Names,
    /// Rings after due that are a level of their own: `{ "12h after" = 2 }`.
    #[serde(default)]
    pub levels: BTreeMap<String, u8>,
    /// Once it has rung, only a person ends it, whatever happens to the case.
    #[serde(default)]
    pub manual: bool,
    /// As of clocks.
    pub ticket: Option<String>,
    /// As of clocks.
    pub precedence: Option<u16>,
    /// As of clocks.
    pub penalty: Option<PenaltyConfig>,
}

impl RuleConfig {
    /// It as the clock that it is: one that starts when something becomes true.
    fn clock(&self) -> ClockConfig {
        ClockConfig {
            name: self.name.clone(),
            title: self.title.clone(),
            on: self.on.clone(),
            when: self.cases.clone(),
            start_when: Some(self.when.clone()),
            stop: self.until.clone(),
            target: self.after.clone(),
            pause: self.pause.clone(),
            calendar: self.calendar.clone(),
            ring: self.ring.clone().unwrap_or_else(|| vec![RingConfig { at: "due".to_owned(), hold: false }]),
            family: self.family.clone(),
            action: self.action.clone(),
            hard_deadline: self.hard_deadline.clone(),
            progress: self.progress.clone(),
            levels: self.levels.clone(),
            manual: self.manual,
            ticket: self.ticket.clone(),
            precedence: self.precedence,
            penalty: self.penalty,
            ..ClockConfig::default()
        }
    }
}

/// A clock of a policy, and where it is written.
#[derive(Clone, Debug)]
pub struct RuleEntry {
    /// `clock` or `condition`.
    pub section: &'static str,
    /// Its place there.
    pub place: usize,
    /// What it is.
    pub clock: ClockConfig,
}

impl PolicyConfig {
    /// Its clocks and its conditions, which are clocks as well, in the order of the configuration.
    pub fn rules(&self) -> Vec<RuleEntry> {
        let entry = |section| move |(place, clock)| RuleEntry { section, place, clock };
        let clocks = self.clock.iter().cloned().enumerate().map(entry("clock"));
        let conditions = self.condition.iter().map(RuleConfig::clock).enumerate().map(entry("condition"));
        clocks.chain(conditions).collect()
    }
}

/// `[[overlay]]`: changes the terms of clocks for some cases, such as VIP (P1, P5).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverlayConfig {
    /// Its name, for explanations.
    pub name: String,
    /// The clocks whose terms it changes.
    pub clock: Names,
    /// The cases it applies to, at every instant. Without it: all, which `from` and `to` need.
    #[serde(default)]
    pub when: ConditionConfig,
    /// Only for cycles that start at or after this instant (RFC 3339), such as the beginning of 双11.
    #[schemars(with = "Option<String>")]
    pub from: Option<Instant>,
    /// Only for cycles that start before this instant.
    #[schemars(with = "Option<String>")]
    pub to: Option<Instant>,
    /// Another target.
    pub target: Option<String>,
    /// Another local time.
    pub by: Option<String>,
    /// Another calendar.
    pub calendar: Option<String>,
    /// Another `min_left`.
    pub min_left: Option<Span>,
    /// Other rings.
    pub ring: Option<Vec<RingConfig>>,
}

/// Which start marks begin a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// One cycle, from the earliest (K1).
    First,
    /// Every one begins a cycle and ends the one before (K3).
    Last,
    /// One when none is open: the oldest unanswered question (K2).
    OldestOpen,
}

/// What a reopening does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reopen {
    /// The same cycle goes on; the time between does not count (K8).
    Continue,
    /// The old outcome stands, a new cycle starts (K9).
    NewCycle,
    /// Nothing (K10).
    Ignore,
}

/// What a change of target does to what was consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnChange {
    /// It is kept (P2).
    Keep,
    /// It counts from the change (P4).
    Restart,
}

/// What happens to a running cycle that its clock no longer covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMismatch {
    /// It goes on under the last terms that matched.
    Keep,
    /// It is cancelled.
    Cancel,
}

/// One name or a list of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name or a list of names")
    }
    fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
        Ok(Names(vec![name.to_owned()]))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = seq.next_element()? {
            names.push(name);
        }
        Ok(Names(names))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl JsonSchema for Names {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Names".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "a name or a list of names",
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" } }
            ]
        })
    }
}

/// A ring: a text such as `"50%"`, or `{ at = "50%", hold = true }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// When: `50%`, `5m before`, `due`, `10m after`, each of the last with `wall` for the 24-hour clock.
    pub at: String,
    /// Rung only while the calendar is open: held until it opens (H7).
    pub hold: bool,
}

struct RingVisitor;

impl<'de> Visitor<'de> for RingVisitor {
    type Value = RingConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a ring such as \"50%\" or { at = \"due\", hold = true }")
    }
    fn visit_str<E: de::Error>(self, at: &str) -> Result<RingConfig, E> {
        Ok(RingConfig { at: at.to_owned(), hold: false })
    }
    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<RingConfig, A::Error> {
        let (mut at, mut hold) = (None, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "at" => at = Some(map.next_value()?),
                "hold" => hold = map.next_value()?,
                other => return Err(de::Error::unknown_field(other, &["at", "hold"])),
            }
        }
        at.map(|at| RingConfig { at, hold }).ok_or_else(|| de::Error::missing_field("at"))
    }
}

impl<'de> Deserialize<'de> for RingConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RingConfig, D::Error> {
        deserializer.deserialize_any(RingVisitor)
    }
}

impl Serialize for RingConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.hold {
            return serializer.serialize_str(&self.at);
        }
        let mut map = BTreeMap::new();
        map.insert("at", serde_json::Value::from(self.at.as_str()));
        map.insert("hold", serde_json::Value::from(true));
        map.serialize(serializer)
    }
}

impl JsonSchema for RingConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ring".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "when a clock rings: 50%, 5m before, due, 10m after, 30m before wall",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["at"],
                    "properties": {
                        "at": { "type": "string" },
                        "hold": { "type": "boolean", "description": "held until the calendar opens" }
                    }
                }
            ]
        })
    }
}
