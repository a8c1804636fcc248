//! What people answer (`delivery_semantics` §12), and what they are told.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::ids::Id;
use crate::core::model::{PersonId, Status};
use crate::core::time::{Instant, Span};

/// One human act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// H(channel, provider event id) or H(token nonce, person): the same one twice is one act (I11).
    pub inbox: Id,
    /// Who acts.
    pub person: PersonId,
    /// By what way: `link`, `cli`, `api`, `sms`, a channel's name.
    pub via: Arc<str>,
    /// What they want.
    pub act: Act,
    /// The episode that a link was made for; a foreign one is refused (S37).
    pub episode: Option<u32>,
    /// Where it came from, masked, for the audit: address and client.
    pub from: Option<String>,
}

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Work on it (认领). Of a message's list: all of its members (RS4).
    Ack {
        /// The incidents.
        incidents: Vec<Id>,
    },
    /// Not before then (R13).
    Snooze {
        /// The incident.
        incident: Id,
        /// For how long from now.
        span: Span,
    },
    /// It is done (R19).
    Resolve {
        /// The incident.
        incident: Id,
        /// Why one may say so.
        reason: String,
    },
    /// The next level must know (R16).
    Escalate {
        /// The incident.
        incident: Id,
        /// Why.
        reason: Option<String>,
    },
    /// Take back an ack or a snooze (R27).
    Release {
        /// The incident.
        incident: Id,
    },
    /// Say nothing of what matches, for a time (§8.4).
    Silence(SilenceRequest),
    /// End a silence.
    EndSilence {
        /// Which.
        silence: Id,
    },
}

/// A silence as a person asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SilenceRequest {
    /// What it matches: `family`, `level` and names of dimensions, each with the values that match. All must match.
    pub matchers: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Why.
    pub reason: String,
    /// For how long from now.
    pub span: Span,
    /// VIP and legal ones are covered too.
    pub covers_vip: bool,
}

/// What came of a response. Said to the person only after the commit (RS1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What was done, incident by incident, or silence.
    pub done: Vec<Done>,
    /// This response was answered before: nothing has changed now (I11).
    pub repeated: bool,
    /// When it was first answered: a repeat says who and when (§12.1).
    pub at: Instant,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Theirs now (已认领).
    Acked {
        /// The incident.
        incident: Id,
        /// Until when without progress.
        until: Option<Instant>,
    },
    /// Somebody has it already (RS3).
    HasOwner {
        /// The incident.
        incident: Id,
        /// Who.
        person: PersonId,
        /// Since when.
        at: Instant,
    },
    /// It is over already (已恢复, RS2).
    AlreadyResolved {
        /// The incident.
        incident: Id,
    },
    /// Put off until then, which may be earlier than asked for (R13).
    Snoozed {
        /// The incident.
        incident: Id,
        /// Until when.
        until: Instant,
        /// It was cut.
        cut: bool,
    },
    /// Resolved (R19).
    Resolved {
        /// The incident.
        incident: Id,
    },
    /// The next level knows (R16).
    Escalated {
        /// The incident.
        incident: Id,
        /// The level now.
        level: u8,
    },
    /// Open again (R27).
    Released {
        /// The incident.
        incident: Id,
    },
    /// The silence is on.
    Silenced {
        /// Its id.
        silence: Id,
        /// Until when.
        until: Instant,
        /// How many open incidents it covers now.
        covers: usize,
    },
    /// The silence is over.
    SilenceEnded {
        /// Its id.
        silence: Id,
    },
}

/// Why a response was refused; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No such incident.
    #[error("no incident {0}")]
    NoSuchIncident(String),
    /// No such silence.
    #[error("no silence {0}")]
    NoSuchSilence(String),
    /// The person is not in the roster.
    #[error("{0} is not in the roster")]
    Unknown(PersonId),
    /// The person may not do this (§6.4).
    #[error("{person} may not {act} this incident: {why}")]
    NotEntitled {
        /// Who.
        person: PersonId,
        /// What they tried.
        act: String,
        /// What is missing.
        why: String,
    },
    /// The link is of another episode.
    #[error("this link is of episode {of}, the incident is in episode {now} and {}", .status.word())]
    OtherEpisode {
        /// The link's.
        of: u32,
        /// The incident's.
        now: u32,
        /// Its status.
        status: Status,
    },
    /// Something that was asked for is out of bounds.
    #[error("{what}: found {found}, expected {expected}")]
    OutOfBounds {
        /// What.
        what: String,
        /// As asked.
        found: String,
        /// As allowed.
        expected: String,
    },
    /// There is nothing to take back, or nothing left to put off.
    #[error("the incident is {}", .0.word())]
    WrongStatus(Status),
}
