//! What a channel can do, and what it may answer (`delivery_semantics` §10): plain data that adapters declare and the
//! alerting room goes by.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::time::{Instant, Span};

/// The class of a channel: plans are made of classes, not of vendors (§7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelClass {
    /// An application account of a person in an IM.
    ChatApp,
    /// A robot in a group of an IM.
    ChatRobot,
    /// Short messages (短信).
    Sms,
    /// Calls (语音).
    Voice,
    /// Mail (邮件).
    Email,
    /// Somebody's HTTP endpoint.
    Webhook,
}

impl ChannelClass {
    /// Its word in configuration, metrics and the store.
    pub fn word(self) -> &'static str {
        match self {
            ChannelClass::ChatApp => "chat_app",
            ChannelClass::ChatRobot => "chat_robot",
            ChannelClass::Sms => "sms",
            ChannelClass::Voice => "voice",
            ChannelClass::Email => "email",
            ChannelClass::Webhook => "webhook",
        }
    }
}

/// How a provider can tell a second copy from a second message (§10.3, §10.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateKey {
    /// It drops a second message with the same key, for so long.
    Strong {
        /// How long it remembers a key.
        horizon: Span,
    },
    /// It drops a second message with the same bytes, for so long.
    ContentWindow {
        /// How long it remembers a text.
        horizon: Span,
    },
    /// It can be asked what became of a message.
    Query,
    /// Neither.
    None,
}

/// How receipts come (§11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptPath {
    /// Never.
    None,
    /// The provider pushes them.
    Pushed,
    /// We ask for them.
    Polled,
}

/// How a person can answer on the channel itself (§12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyPath {
    /// A button in the message.
    Button,
    /// A text back.
    Text,
    /// Not at all; links only.
    None,
}

/// Which links a message may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkRule {
    /// Any.
    Any,
    /// Only those of one registered domain.
    FixedDomain,
    /// None: carriers refuse them.
    None,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub per: Span,
}

/// What an adapter declares of one configured channel (§10.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelCard {
    /// The name it is configured under, such as `ops-mail`.
    pub name: Arc<str>,
    /// The adapter: `smtp`, `webhook`, …
    pub adapter: Arc<str>,
    /// Its class.
    pub class: ChannelClass,
    /// How a second copy is told.
    pub duplicate_key: DuplicateKey,
    /// How receipts come.
    pub receipts: ReceiptPath,
    /// How people answer on it.
    pub reply: ReplyPath,
    /// The longest body in bytes of UTF-8; `None` where there is no limit worth a name.
    pub body_limit: Option<usize>,
    /// Which links it takes.
    pub links: LinkRule,
    /// Caps of one recipient address. All hold.
    pub lane_caps: Vec<Rate>,
    /// Caps of the whole account. All hold.
    pub account_caps: Vec<Rate>,
    /// How many attempts may be under way at once: this bounds copies after a crash (`MAX_INFLIGHT`).
    pub max_inflight: u16,
}

/// The class of what a channel answered (§10.1). Workers read the class only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeClass {
    /// The provider says that it has taken the message.
    Accepted,
    /// Our lane or account is too fast.
    Throttled,
    /// This recipient has had enough.
    RecipientThrottled,
    /// Connection, TLS, 5xx, busy.
    Transient,
    /// The bytes may have been taken.
    Unknown,
    /// A token or signature was refused.
    Credential,
    /// The channel is set up wrongly: robot removed, template not approved, address space refused.
    Config,
    /// The recipient does not exist or does not want us.
    RecipientPermanent,
    /// The text was refused.
    ContentPermanent,
    /// Nothing was sent, and that is certain: the attempt is given back.
    NotSent,
}

impl OutcomeClass {
    /// Every class, for tables and metrics that start at zero.
    pub const ALL: [OutcomeClass; 10] = [
        OutcomeClass::Accepted,
        OutcomeClass::Throttled,
        OutcomeClass::RecipientThrottled,
        OutcomeClass::Transient,
        OutcomeClass::Unknown,
        OutcomeClass::Credential,
        OutcomeClass::Config,
        OutcomeClass::RecipientPermanent,
        OutcomeClass::ContentPermanent,
        OutcomeClass::NotSent,
    ];

    /// Its word in metrics, the audit and the store.
    pub fn word(self) -> &'static str {
        match self {
            OutcomeClass::Accepted => "accepted",
            OutcomeClass::Throttled => "throttled",
            OutcomeClass::RecipientThrottled => "recipient_throttled",
            OutcomeClass::Transient => "transient",
            OutcomeClass::Unknown => "unknown",
            OutcomeClass::Credential => "credential",
            OutcomeClass::Config => "config",
            OutcomeClass::RecipientPermanent => "recipient_permanent",
            OutcomeClass::ContentPermanent => "content_permanent",
            OutcomeClass::NotSent => "not_sent",
        }
    }
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its class.
    pub class: OutcomeClass,
    /// The provider's code, as it gave it: `250 2.0.0`, `errcode 130101`, `HTTP 503`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What it said, masked and cut, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long it asks us to wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<Span>,
    /// Its own id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
}

impl Outcome {
    /// An outcome of nothing but a class.
    pub fn of(class: OutcomeClass) -> Outcome {
        Outcome { class, code: None, detail: None, wait: None, provider_id: None }
    }
}

/// A later statement of a provider about a message (§11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Our key of the message, where the provider gave it back.
    pub key: Option<String>,
    /// The provider's id, where it gave that.
    pub provider_id: Option<String>,
    /// The channel it came by.
    pub channel: Arc<str>,
    /// What it says.
    pub what: StatementKind,
    /// The provider's code.
    pub code: Option<String>,
    /// When it says that this happened.
    pub at: Instant,
}

/// What a provider states of a message. The order is that of strength (RC2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatementKind {
    /// It was asked and knows nothing of the message.
    NotFound,
    /// It has taken the message.
    Accepted,
    /// It could not deliver it.
    Negative,
    /// The handset or client has it.
    Delivered,
}
