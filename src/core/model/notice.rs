//! Notices, messages and attempts: what is owed to whom, what is sent, and what came of it (`delivery_semantics` §9).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::ids::Id;
use crate::core::time::Instant;

use super::channel::{ChannelClass, Outcome, OutcomeClass};
use super::few::FewOf;
use super::incident::{Class, Lane, PersonId};

/// What a notice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The promise will be due soon (level 0).
    Prewarning,
    /// A level was reached.
    Level,
    /// A reminder of the highest level, its number counts from 1.
    Reminder(u32),
    /// Nobody reacted in all rounds (R6).
    Unhandled,
    /// The ack was not followed by work (R9).
    AckLapsed,
    /// The shift or team of the one who had it has ended (R11, R17).
    Rerouted,
    /// A snooze is over, or was cut short (R14, R15).
    SnoozeOver,
    /// Opened again (R21).
    Reopened,
    /// It is over (R18, P3).
    Cleared,
    /// It never was (R28, P3).
    Corrected,
    /// The opening message of a storm (§8.2).
    StormOpened,
    /// A change of a storm.
    StormUpdate,
    /// A storm is over.
    StormOver,
    /// What a silence, a fold or a downtime kept back (R24, §16.2).
    Digest,
    /// A silence ends soon (§8.4).
    SilenceEnding,
    /// A test message.
    Canary,
}

impl Purpose {
    /// Its word in the audit, the store and templates.
    pub fn word(self) -> &'static str {
        match self {
            Purpose::Prewarning => "prewarning",
            Purpose::Level => "level",
            Purpose::Reminder(_) => "reminder",
            Purpose::Unhandled => "unhandled",
            Purpose::AckLapsed => "ack_lapsed",
            Purpose::Rerouted => "rerouted",
            Purpose::SnoozeOver => "snooze_over",
            Purpose::Reopened => "reopened",
            Purpose::Cleared => "cleared",
            Purpose::Corrected => "corrected",
            Purpose::StormOpened => "storm_opened",
            Purpose::StormUpdate => "storm_update",
            Purpose::StormOver => "storm_over",
            Purpose::Digest => "digest",
            Purpose::SilenceEnding => "silence_ending",
            Purpose::Canary => "canary",
        }
    }
}

/// Where a notice stands (§9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// Not discharged yet.
    Open,
    /// A positive receipt discharged it.
    Delivered,
    /// Acceptance discharged it, where the channel has no better proof.
    AcceptedFinal,
    /// A newer fact made it pointless; the cause says which.
    Obsolete,
    /// Nothing reached anybody in time, or at all.
    Dead,
}

impl NoticeState {
    /// Its word in metrics and the store.
    pub fn word(self) -> &'static str {
        match self {
            NoticeState::Open => "open",
            NoticeState::Delivered => "delivered",
            NoticeState::AcceptedFinal => "accepted_final",
            NoticeState::Obsolete => "obsolete",
            NoticeState::Dead => "dead",
        }
    }
}

/// Why something that was planned was not sent, or was no longer needed: the closed list of §9.2 and §9.3 (I4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody has it.
    Acked,
    /// It is over.
    Resolved,
    /// It was put off.
    Snoozed,
    /// A silence covers it.
    Silenced,
    /// A parent covers it.
    Folded,
    /// A later step took its place.
    SupersededByStep,
    /// The case went to another owner or team.
    Reassigned,
    /// The person is no longer on duty; somebody else is told.
    PersonOffDutyRerouted,
    /// The channel was removed or renamed.
    LaneRemoved,
    /// Another message of the same notice has reached its proof.
    Covered,
    /// It never was true.
    Retracted,
    /// It joined a digest.
    Digested,
    /// Its time is over (`EXPIRE`).
    Expired,
    /// The lane refused it for good.
    Failed,
    /// The process died during it too often.
    Quarantined,
    /// No lane is left.
    NoLane,
    /// The bound passed without proof (`DISCHARGE_BOUND`).
    BoundPassed,
    /// Its rule is no longer configured.
    RuleRemoved,
    /// A newer notice returned to an earlier state (R20).
    Flapped,
}

impl Cause {
    /// Every cause, for tables and metrics that start at zero.
    pub const ALL: [Cause; 19] = [
        Cause::Acked,
        Cause::Resolved,
        Cause::Snoozed,
        Cause::Silenced,
        Cause::Folded,
        Cause::SupersededByStep,
        Cause::Reassigned,
        Cause::PersonOffDutyRerouted,
        Cause::LaneRemoved,
        Cause::Covered,
        Cause::Retracted,
        Cause::Digested,
        Cause::Expired,
        Cause::Failed,
        Cause::Quarantined,
        Cause::NoLane,
        Cause::BoundPassed,
        Cause::RuleRemoved,
        Cause::Flapped,
    ];

    /// Its word in metrics, the audit and the store.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Acked => "acked",
            Cause::Resolved => "resolved",
            Cause::Snoozed => "snoozed",
            Cause::Silenced => "silenced",
            Cause::Folded => "folded",
            Cause::SupersededByStep => "superseded_by_step",
            Cause::Reassigned => "reassigned",
            Cause::PersonOffDutyRerouted => "person_off_duty_rerouted",
            Cause::LaneRemoved => "lane_removed",
            Cause::Covered => "covered",
            Cause::Retracted => "retracted",
            Cause::Digested => "digested",
            Cause::Expired => "expired",
            Cause::Failed => "failed",
            Cause::Quarantined => "quarantined",
            Cause::NoLane => "no_lane",
            Cause::BoundPassed => "bound_passed",
            Cause::RuleRemoved => "rule_removed",
            Cause::Flapped => "flapped",
        }
    }
}

/// One way to reach one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Whom.
    pub person: PersonId,
    /// By which channel and address.
    pub lane: Lane,
    /// The class of the channel.
    pub class: ChannelClass,
}

/// The obligation that an audience must be told something (§1, §9.3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// H(incident, episode, step, audience scope, purpose).
    pub id: Id,
    /// The incident it is about.
    pub incident: Id,
    /// Its episode.
    pub episode: u32,
    /// The step of the incident it announces.
    pub step: u32,
    /// The level it announces.
    pub level: u8,
    /// What for.
    pub purpose: Purpose,
    /// How urgent.
    pub priority: Class,
    /// The family of the incident: groups are made of it.
    pub family: Arc<str>,
    /// The team.
    pub team: Arc<str>,
    /// Who must be told. Several persons: each one.
    pub audience: Vec<PersonId>,
    /// The waves of the plan (§7.3), first to last; each is tried in parallel.
    pub waves: Vec<Vec<Recipient>>,
    /// How many waves have been started.
    pub started: u32,
    /// When the next wave starts without proof; `None` when no wave is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_at: Option<Instant>,
    /// Where it stands.
    pub state: NoticeState,
    /// Why, where the state has a cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// When it was planned.
    pub planned_at: Instant,
    /// When it is dead without proof (`DISCHARGE_BOUND`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_at: Option<Instant>,
    /// When proof came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Instant>,
    /// Something reached somebody after it was dead.
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub late_delivered: bool,
    /// Persons of the audience for whom proof came.
    pub reached: FewOf<PersonId>,
    /// How often it was routed again.
    pub route_rev: u32,
    /// The decision that chose the audience and the lanes (§7.6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Id>,
    /// The instant of the crossing or change that caused it: B4 is measured from here.
    pub caused_at: Instant,
    /// A sentence that explains it beside the facts, such as "更正:实际未超时" or the cut value of a snooze.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// Where a message stands (§9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// In a group window.
    Held,
    /// May be claimed.
    Ready,
    /// Waits for a budget or a breaker.
    Deferred,
    /// An attempt is claimed and its outcome not recorded.
    Inflight,
    /// Waits for the next attempt.
    RetryWait,
    /// An attempt may or may not have been taken.
    Uncertain,
    /// The provider took it; a receipt may follow.
    Accepted,
    /// Positive receipt. Terminal.
    Delivered,
    /// Proof enough for its channel. Terminal.
    AcceptedFinal,
    /// A newer fact made it pointless. Terminal.
    Superseded,
    /// Silence, fold or policy. Terminal.
    Suppressed,
    /// Its time is over. Terminal.
    Expired,
    /// Refused for good. Terminal.
    Failed,
    /// The process died during it too often. Terminal.
    Quarantined,
}

impl MessageState {
    /// Every state, for metrics that start at zero.
    pub const ALL: [MessageState; 14] = [
        MessageState::Held,
        MessageState::Ready,
        MessageState::Deferred,
        MessageState::Inflight,
        MessageState::RetryWait,
        MessageState::Uncertain,
        MessageState::Accepted,
        MessageState::Delivered,
        MessageState::AcceptedFinal,
        MessageState::Superseded,
        MessageState::Suppressed,
        MessageState::Expired,
        MessageState::Failed,
        MessageState::Quarantined,
    ];

    /// Nothing more happens to it.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            MessageState::Delivered
                | MessageState::AcceptedFinal
                | MessageState::Superseded
                | MessageState::Suppressed
                | MessageState::Expired
                | MessageState::Failed
                | MessageState::Quarantined
        )
    }

    /// Its word in metrics and the store.
    pub fn word(self) -> &'static str {
        match self {
            MessageState::Held => "held",
            MessageState::Ready => "ready",
            MessageState::Deferred => "deferred",
            MessageState::Inflight => "inflight",
            MessageState::RetryWait => "retry_wait",
            MessageState::Uncertain => "uncertain",
            MessageState::Accepted => "accepted",
            MessageState::Delivered => "delivered",
            MessageState::AcceptedFinal => "accepted_final",
            MessageState::Superseded => "superseded",
            MessageState::Suppressed => "suppressed",
            MessageState::Expired => "expired",
            MessageState::Failed => "failed",
            MessageState::Quarantined => "quarantined",
        }
    }
}

/// One concrete thing to send: one recipient, one channel, one body; serves one or more notices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// H(sorted notice ids or group, lane, plan ordinal).
    pub id: Id,
    /// The notices it serves.
    pub notices: Vec<Id>,
    /// Whom, by what.
    pub to: Recipient,
    /// How urgent: the gravest of its notices.
    pub priority: Class,
    /// Where it stands.
    pub state: MessageState,
    /// Why, where the state has a cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Its place in the order of plans.
    pub seq: u64,
    /// When it was planned.
    pub planned_at: Instant,
    /// When it may be claimed, asked again or tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<Instant>,
    /// Least time left among its members: order inside a class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urgent_at: Option<Instant>,
    /// When its time is over.
    pub expires_at: Instant,
    /// Attempts so far.
    pub attempts: u32,
    /// Process deaths during it.
    pub deaths: u32,
    /// The last wait before a retry, in ms, for decorrelated jitter.
    pub backoff_ms: i64,
    /// The next attempt says "(可能重复)".
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub marked: bool,
    /// The next attempt uses the minimal template.
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub minimal: bool,
    /// The provider's id, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// A receipt is awaited until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_until: Option<Instant>,
    /// Accepted at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Instant>,
    /// When its first attempt was claimed: from then on the provider remembers its key.
    #[serde(default)]
    pub first_at: Option<Instant>,
    /// The incidents it lists, as an ack of it covers them (RS4), with the revision of the list.
    pub members: Vec<Id>,
}

/// One try at handing a message to a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The message.
    pub message: Id,
    /// From 1.
    pub n: u32,
    /// The boot epoch that claimed it.
    pub epoch: u64,
    /// When it was claimed.
    pub claimed_at: Instant,
    /// When it is over, whatever the provider does.
    pub deadline: Instant,
    /// The body as it was frozen at the claim; a row of its own ([`super::Table::Body`]), as it never changes. Attempts of
    /// before schema 3 have it in theirs.
    #[serde(default, skip_serializing)]
    pub body: Body,
    /// What came of it; `None` while it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When that was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Instant>,
    /// What the claim looked at (I22): the version of each member incident.
    pub versions: Vec<(Id, u64)>,
    /// And the revision of the roster.
    pub roster_revision: u64,
}

impl Attempt {
    /// Whether its provider may have taken it: nothing came of it yet, or nobody knows what.
    pub fn may_be_taken(&self) -> bool {
        self.outcome.as_ref().is_none_or(|o| o.class == OutcomeClass::Unknown)
    }
}

/// A text as it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// Its title, where the channel has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Plain text, or the channel's own markup.
    pub text: String,
    /// HTML beside the text, where the channel has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// A structured form of it as JSON, where the channel sends data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}
