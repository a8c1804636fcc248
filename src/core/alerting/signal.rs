//! What the detection side says (`delivery_semantics` §5): an edge of one rule on one subject.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::model::{PersonId, Subject};
use crate::core::time::Instant;

/// One thing that a rule noticed, with the facts as they are now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// The kind of trouble: `ticket.reply`, `parcel.stalled`, `system.disk`, …
    pub family: Arc<str>,
    /// The rule: a clock's name, or the family again.
    pub rule: Arc<str>,
    /// The thing in trouble.
    pub subject: Subject,
    /// What tells this occurrence from the next (§4).
    pub generation: Arc<str>,
    /// The cycle of the clock that it stands for, if a clock saw it.
    #[serde(default)]
    pub cycle: Option<u64>,
    /// What happened.
    pub edge: Edge,
    /// The instant of it: the crossing's own, which may lie before now.
    pub at: Instant,
    /// The rest.
    pub facts: Facts,
}

/// What happened to a signal (§5.3, §5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// A pre-warning threshold was crossed (R1).
    Prewarning,
    /// It fires: the promise is overdue, the condition holds (R2, R3, R20–R22).
    Firing,
    /// A threshold after due that is bound to a level was crossed.
    Level(u8),
    /// Nothing but the facts may have changed: owner, team, VIP, due, … (R15, R17, R26).
    Refreshed,
    /// Its clock is paused, overdue or not (§5.7).
    Paused,
    /// Its clock runs again.
    Resumed,
    /// Somebody did something that is not the end (R10).
    Progress,
    /// It no longer holds (R18).
    Clear,
    /// It never held (R28).
    Retracted,
    /// Its source cannot be read (§5.3).
    Unverified,
    /// Its source can be read again.
    Verified,
}

/// What is known of the subject. Every text is masked where it must be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// When the trouble began.
    pub since: Option<Instant>,
    /// When the promise is or was due.
    pub due: Option<Instant>,
    /// After which a penalty, refund or legal duty falls due.
    pub hard_deadline: Option<Instant>,
    /// A VIP customer's.
    pub vip: bool,
    /// A legal duty hangs on it.
    pub legal: bool,
    /// The buyer has complained.
    pub complaint: bool,
    /// What it may cost, in cents.
    pub penalty_cents: i64,
    /// Who works the case at the source, where that is a person of the roster.
    pub owner: Option<PersonId>,
    /// The team, where the source or the rule names one; else the desk's only one.
    pub team: Option<Arc<str>>,
    /// The values that storms, silences and routes look at.
    pub dimensions: BTreeMap<Arc<str>, Arc<str>>,
    /// More, for the text of the message: title, order, last scan, …
    pub texts: BTreeMap<Arc<str>, String>,
    /// The platform's page of the case, where people work it.
    pub url: Option<String>,
}
