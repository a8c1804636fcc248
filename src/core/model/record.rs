//! What leaves the engine to be kept: rows, audit records, and counts. A store keeps them without knowing what they
//! mean.

use serde::{Deserialize, Serialize};

use crate::core::time::Instant;

/// The tables of a store. Each row belongs to a desk, a table and an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Cases: the timeline and what was told of it (`engine::CaseRow`, binary). Id: `source\0kind\0id`.
    Case,
    /// `model::Incident` as JSON. Id: its id. State: its status. Wake: its next timer.
    Incident,
    /// `model::Notice` as JSON. Parent: the incident.
    Notice,
    /// `model::Message` as JSON. Parent: its first notice.
    Message,
    /// `model::Attempt` as JSON. Id: `message/n`. Parent: the message. State: `inflight` or the outcome's word.
    Attempt,
    /// `model::Body` as JSON: what an attempt sends, kept once. Id: the attempt's. Parent: the message.
    Body,
    /// Silences as JSON.
    Silence,
    /// What people answered, by inbox id, so that a repeat changes nothing (I11).
    Inbox,
    /// Decision records as JSON (§7.6). Parent: the notice.
    Decision,
    /// Receipts that came before their outcome (RC3).
    Parked,
    /// Group windows, storms, lanes, breakers: what alerting keeps beside the nouns, as JSON.
    Alerting,
    /// What was learned of parcels: lanes and gaps (`parcel::learned`, binary).
    Learned,
    /// How far each source was read. Id: the source.
    Cursor,
    /// Input that could not be read (5.8), bounded by the store.
    Reject,
    /// Single values of the desk: policy snapshot, boot epoch, revisions.
    Meta,
}

impl Table {
    /// All of them, in the order in which a desk is loaded.
    pub const ALL: [Table; 15] = [
        Table::Meta,
        Table::Case,
        Table::Incident,
        Table::Notice,
        Table::Message,
        Table::Attempt,
        Table::Body,
        Table::Silence,
        Table::Inbox,
        Table::Decision,
        Table::Parked,
        Table::Alerting,
        Table::Learned,
        Table::Cursor,
        Table::Reject,
    ];

    /// Its name in the store.
    pub fn word(self) -> &'static str {
        match self {
            Table::Case => "case",
            Table::Incident => "incident",
            Table::Notice => "notice",
            Table::Message => "message",
            Table::Attempt => "attempt",
            Table::Body => "body",
            Table::Silence => "silence",
            Table::Inbox => "inbox",
            Table::Decision => "decision",
            Table::Parked => "parked",
            Table::Alerting => "alerting",
            Table::Learned => "learned",
            Table::Cursor => "cursor",
            Table::Reject => "reject",
            Table::Meta => "meta",
        }
    }
}

/// One row to keep, or to drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The table.
    pub table: Table,
    /// The id in it, at most 1,000 bytes.
    pub id: String,
    /// Where the thing stands, as a word of a closed list, for queries.
    pub state: Option<&'static str>,
    /// What it belongs to, for queries.
    pub parent: Option<String>,
    /// When it has something to do next, for queries.
    pub wake: Option<Instant>,
    /// The row itself; `None` drops it.
    pub body: Option<Vec<u8>>,
}

/// One audit record (`delivery_semantics` §13), in the same commit as the change it tells of. The store adds the digest
/// of the record before it. Personal data is masked before it gets here (A4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its place in the desk's order, without gaps.
    pub seq: u64,
    /// Business time.
    pub at: Instant,
    /// Who: `person:xiaolin`, `rule:ticket_reply`, `system`.
    pub actor: String,
    /// What happened: `incident.R2`, `message.claimed`, `attempt.outcome`, `config.reloaded`, …
    pub kind: String,
    /// The incident it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// The notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why, from the closed list where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What was before and what is now, short: `open L1 → acked L1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// More, as JSON, masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<serde_json::Value>,
}

/// Everything to keep since the last time it was asked for: one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Rows, each (table, id) at most once.
    pub rows: Vec<Row>,
    /// Audit records in order.
    pub audit: Vec<AuditRecord>,
}

impl Batch {
    /// Nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.audit.is_empty()
    }
}
