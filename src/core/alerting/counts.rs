//! What is counted (`delivery_semantics` §18): the engine says what happened, the telemetry room has the series.

use std::sync::Arc;

use crate::core::model::{Cause, ChannelClass, Class, OutcomeClass};
use crate::core::time::Span;

/// One thing to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Count {
    /// A notice was planned.
    NoticePlanned {
        /// How urgent.
        class: Class,
    },
    /// A notice was discharged.
    Discharged {
        /// How urgent.
        class: Class,
        /// By what.
        channel: ChannelClass,
        /// After its plan.
        after: Span,
    },
    /// The first message of a crossing was accepted (B4).
    CrossingToAccept {
        /// The family.
        family: Arc<str>,
        /// How urgent.
        class: Class,
        /// After the crossing.
        after: Span,
    },
    /// An attempt ended.
    Attempt {
        /// The channel.
        channel: Arc<str>,
        /// How urgent.
        class: Class,
        /// How.
        outcome: OutcomeClass,
        /// After its claim.
        after: Span,
    },
    /// A second copy may appear (I8).
    DuplicatePossible {
        /// The channel.
        channel: Arc<str>,
        /// `crash`, `timeout`, …
        cause: &'static str,
    },
    /// A notice died.
    DeadLetter {
        /// The family.
        family: Arc<str>,
        /// Why.
        reason: Cause,
    },
    /// A later wave of a plan was started.
    Fallback {
        /// The class of the lanes before.
        from: ChannelClass,
        /// And of those now.
        to: ChannelClass,
        /// `silence`, `permanent`, `breaker`, `budget`.
        reason: &'static str,
    },
    /// An incident rose.
    Escalated {
        /// To which level.
        level: u8,
        /// `time`, `unreachable`, `ack_lapsed`, `manual`, …
        reason: &'static str,
    },
    /// An incident was acked.
    Acked {
        /// At which level.
        level: u8,
        /// After it was opened.
        after: Span,
    },
    /// An ack was not followed by work.
    AckLapsed,
    /// Something planned was not sent.
    Suppressed {
        /// Why.
        cause: Cause,
    },
    /// A budget was empty.
    BudgetOverflow {
        /// The channel.
        channel: Arc<str>,
    },
    /// A timer no longer fitted.
    StaleTimer,
    /// A text could not be made.
    RenderFault,
    /// A storm began.
    StormOpened,
    /// An outcome came of an attempt that was over already.
    LateOutcome,
    /// A receipt of something that nobody knows (RC3).
    OrphanReceipt,
}

/// A line for the local alarm surfaces (§7.4): the journal at priority `alert`, the status page, a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAlarm {
    /// What it is about: `delivery.dead`, `nobody_reachable`, …
    pub kind: &'static str,
    /// The sentence.
    pub text: String,
}
