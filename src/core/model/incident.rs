//! The life of a problem: open → acknowledged or snoozed → escalated → resolved (→ reopened).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::few::{Few, FewOf};
use crate::core::ids::Id;
use crate::core::time::Instant;

/// The name of a person in the roster.
pub type PersonId = Arc<str>;

/// The class of a message (`delivery_semantics` §2.5), the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Level 2 and up, VIP, legal, a hard deadline within 5 minutes, dead letters.
    P0,
    /// A breached promise at level 1.
    P1,
    /// Pre-warnings, ordinary parcels, digests.
    P2,
    /// "Cleared", echoes, canaries.
    P3,
}

impl Class {
    /// All of them, the gravest first.
    pub const ALL: [Class; 4] = [Class::P0, Class::P1, Class::P2, Class::P3];

    /// Its word in metrics and the store.
    pub fn word(self) -> &'static str {
        match self {
            Class::P0 => "p0",
            Class::P1 => "p1",
            Class::P2 => "p2",
            Class::P3 => "p3",
        }
    }
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody has it.
    Open,
    /// Somebody has said that they work on it (认领).
    Acked,
    /// Somebody has put it off.
    Snoozed,
    /// It is over.
    Resolved,
}

impl Status {
    /// Its word in metrics and the store.
    pub fn word(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::Acked => "acked",
            Status::Snoozed => "snoozed",
            Status::Resolved => "resolved",
        }
    }
}

/// The thing in trouble.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// Its kind: `ticket`, `parcel`, `channel`, `source`, …
    pub kind: Arc<str>,
    /// The source that knows it; `shiftbell` for what is our own.
    pub source: Arc<str>,
    /// Its id there.
    pub id: Arc<str>,
}

/// How an incident was resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The source shows that the trouble is over (R18).
    Source,
    /// A person said so (R19).
    Manual,
    /// It never was (R28).
    Retracted,
    /// Its rule is no longer configured (§16.3).
    RuleRemoved,
}

/// What a person has been told of an incident, for "cleared" notices (I17).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The highest step that reached them.
    pub step: u32,
    /// The highest level that reached them.
    pub level: u8,
    /// The lanes on which a message was accepted, in order.
    pub lanes: FewOf<Lane>,
}

/// A recipient address on a channel: order and budgets live here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// The channel.
    pub channel: Arc<str>,
    /// The digest of the address, so that no row shows it in clear (A4).
    pub address: Id,
}

/// The durable record that something needs human work (§6.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// H(desk, family, subject, generation).
    pub id: Id,
    /// The kind of trouble: `ticket.reply`, `parcel.stalled`, `channel.down`, …
    pub family: Arc<str>,
    /// The rule that saw it: the clock's name, or the family of a system incident.
    pub rule: Arc<str>,
    /// The thing in trouble.
    pub subject: Subject,
    /// What tells this occurrence from the next (§4).
    pub generation: Arc<str>,
    /// How often it was opened, from 1.
    pub episode: u32,
    /// Where it stands.
    pub status: Status,
    /// 0 pre-warning, 1 handler, 2 senior, 3 manager. Only rises inside an episode (I18).
    pub level: u8,
    /// Counts what was announced: pre-warning, level, reminder; never falls.
    pub step: u32,
    /// Increments on every change.
    pub version: u64,
    /// Raised by every re-arming, so that a timer of before is stale.
    pub round: u32,
    /// The team whose people are told.
    pub team: Arc<str>,
    /// The person whom the source names as the one who works the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<PersonId>,
    /// The values that storms, silences and routes look at: shop, carrier, carrier+lane, …
    pub dimensions: Few<Arc<str>, Arc<str>>,
    /// A VIP customer's.
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub vip: bool,
    /// A legal duty hangs on it.
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub legal: bool,
    /// The buyer has complained.
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub complaint: bool,
    /// What it may cost, in cents.
    pub penalty_cents: i64,
    /// When the trouble began.
    pub since: Instant,
    /// When the promise is or was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Instant>,
    /// After which a penalty, refund or legal duty falls due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard_deadline: Option<Instant>,
    /// The source's last word: the trouble holds. Not so while a promise only runs, nor once it is over.
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub firing: bool,
    /// Its clock is paused.
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub paused: bool,
    /// The cycle of the clock that it stands for, if a clock saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle: Option<u64>,
    /// The instant that the delays of the levels count from.
    pub levels_from: Instant,
    /// When it was opened, first and in this episode.
    pub opened_at: Instant,
    /// When this episode was opened.
    pub episode_at: Instant,
    /// The next level or reminder, if one is armed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_level_at: Option<Instant>,
    /// Whom its level was announced to.
    pub audience: Vec<PersonId>,
    /// How often its audience was chosen again.
    pub route_rev: u32,
    /// The fallback list was asked in this episode (§7.4).
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub in_fallback: bool,
    /// Its level is not announced yet: a downtime is being caught up with (§16.2).
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub owed: bool,
    /// The reminders of the highest level that were sent.
    pub reminders: u32,
    /// While its clock is paused though overdue, or somebody has it: how much of the delay to the next level is left,
    /// in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_delay_ms: Option<i64>,
    /// Who has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acked_by: Option<PersonId>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acked_at: Option<Instant>,
    /// Until when the ack holds (R8).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_until: Option<Instant>,
    /// The ack was extended by progress at the source (R10, once).
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub ack_extended: bool,
    /// Until when it is put off (R13).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snooze_until: Option<Instant>,
    /// When it was put off last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed_at: Option<Instant>,
    /// How it was resolved, when it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// When it was resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Instant>,
    /// Status and level before it was resolved, for a return inside the flap window (R20).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_resolved: Option<(Status, u8)>,
    /// When "cleared" is planned, while the flap window runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<Instant>,
    /// Until when the source has to agree to a manual resolve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_until: Option<Instant>,
    /// The source cannot be read.
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub unverified: bool,
    /// Since when not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unverified_at: Option<Instant>,
    /// Every round is over and nobody has answered (R6).
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub unhandled: bool,
    /// The parent it is folded under (R25).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folded: Option<Id>,
    /// The silence that covers it (R23).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silenced: Option<Id>,
    /// The incident of the generation before, if we know one (R22).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<Id>,
    /// For a storm's parent: what its children share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<StormCause>,
    /// Who was told what.
    pub told: Few<PersonId, Told>,
    /// The levels announced in this episode, with their notices.
    pub notices: Vec<Id>,
    /// Facts for the message, already masked where they must be: buyer, order, last scan, …
    pub facts: Few<Arc<str>, String>,
    /// The platform's page of the case, where people work it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What the children of a storm share (§8.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormCause {
    /// The family of the children.
    pub family: Arc<str>,
    /// The dimension: `carrier`, `shop`, `team`, …
    pub dimension: Arc<str>,
    /// Its value.
    pub value: Arc<str>,
}

impl Incident {
    /// It needs nobody any more.
    pub fn is_resolved(&self) -> bool {
        self.status == Status::Resolved
    }
}
