//! The nouns: plain data that every other part of the core speaks in.

pub(in crate::core) mod bytes;
mod channel;
mod few;
mod incident;
mod language;
mod notice;
mod observation;
mod record;
mod symbols;
mod timeline;
mod words;

pub use channel::{
    ChannelCard, ChannelClass, DuplicateKey, LinkRule, Outcome, OutcomeClass, Rate, ReceiptPath, ReplyPath,
    Statement, StatementKind,
};
pub use few::{Few, FewOf};
pub use incident::{Class, Incident, Lane, PersonId, Resolution, Status, StormCause, Subject, Told};
pub use language::Language;
pub use notice::{Attempt, Body, Cause, Message, MessageState, Notice, NoticeState, Purpose, Recipient};
pub use observation::{Mark, Observation, Value};
pub use record::{AuditRecord, Batch, Row, Table};
pub use symbols::{Sym, Symbols, combine, hash64};
pub use timeline::{
    Content, Entry, Expected, Footing, Merge, MergeScratch, SavedEntry, Scalar, Stretch, Timeline,
};

/// Whether a flag is down: such are not written.
fn is_no(flag: &bool) -> bool {
    !flag
}
