//! What a message is about, for whoever makes a text of it. The room that knows templates implements [`Renderer`]; the
//! engine calls it at the claim, so that the frozen body is part of the same commit (TX-D).

use std::sync::Arc;

use serde::Serialize;

use crate::core::ids::Id;
use crate::core::model::{Body, ChannelCard, Class, Few, Language, PersonId, Purpose};
use crate::core::time::Instant;

/// Everything a text can say.
#[derive(Clone, Debug, Serialize)]
pub struct Letter<'a> {
    /// The channel it goes by.
    #[serde(skip)]
    pub card: &'a ChannelCard,
    /// The language it is in.
    #[serde(skip)]
    pub language: Language,
    /// The zone in which instants are shown.
    #[serde(skip)]
    pub zone: &'a jiff::tz::TimeZone,
    /// The id of the message: threads and provider keys are made of it.
    pub message: Id,
    /// What it is for: the purpose of its gravest notice.
    pub purpose: Purpose,
    /// How urgent.
    pub priority: Class,
    /// Whom it goes to.
    pub person: &'a PersonId,
    /// Their name as the roster has it.
    pub person_name: &'a str,
    /// The desk's title.
    pub desk: &'a str,
    /// The team.
    pub team: &'a str,
    /// The incidents, most urgent first, at most as many as a digest lists.
    pub items: Vec<Item<'a>>,
    /// How many there are in all.
    pub total: usize,
    /// What all of them may cost together, in cents.
    pub penalty_cents: i64,
    /// For a storm: the dimension and value, the oldest, and the sum of penalties, in `items` order of urgency.
    pub storm: Option<StormText<'a>>,
    /// "(可能重复)" is to be said.
    pub marked: bool,
    /// "(存储故障)" is to be said.
    pub unrecorded: bool,
    /// The plain minimal template is to be used.
    pub minimal: bool,
    /// A sentence beside the facts.
    pub remark: Option<&'a str>,
    /// Links for the person, if the channel takes them: purpose word (`ack`, `snooze`, `resolve`, `view`) and URL.
    pub links: Vec<(&'static str, String)>,
    /// Buttons that are pressed on the channel itself, if it has them: word (`ack`, `snooze`, `escalate`) and value.
    pub buttons: Vec<(&'static str, String)>,
    /// When it was made.
    pub now: Instant,
}

/// One incident in a text.
#[derive(Clone, Debug, Serialize)]
pub struct Item<'a> {
    /// Its id; people see the first characters.
    pub id: Id,
    /// The family.
    pub family: &'a str,
    /// The rule.
    pub rule: &'a str,
    /// The rule's title, such as 平台工单 20 分钟回复, where it has one.
    pub title: &'a str,
    /// What to do next, where the rule says so.
    pub action: Option<&'a str>,
    /// The kind of the subject.
    pub kind: &'a str,
    /// The source.
    pub source: &'a str,
    /// The id of the subject there.
    pub subject: &'a str,
    /// The level.
    pub level: u8,
    /// The step, "第N次提醒".
    pub step: u32,
    /// The episode.
    pub episode: u32,
    /// VIP.
    pub vip: bool,
    /// When the trouble began.
    pub since: Instant,
    /// When it is or was due.
    pub due: Option<Instant>,
    /// The hard deadline.
    pub hard_deadline: Option<Instant>,
    /// It could not be verified; data as of.
    pub unverified: bool,
    /// In cents.
    pub penalty_cents: i64,
    /// Values of dimensions.
    pub dimensions: &'a Few<Arc<str>, Arc<str>>,
    /// More facts.
    pub facts: &'a Few<Arc<str>, String>,
}

/// What a storm says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct StormText<'a> {
    /// The dimension.
    pub dimension: &'a str,
    /// Its value.
    pub value: &'a str,
    /// The family of the children.
    pub family: &'a str,
    /// How many are open.
    pub open: usize,
    /// How many there were at the last message; `None` in the first.
    pub before: Option<usize>,
    /// How many are resolved.
    pub resolved: usize,
    /// How many were breached during it.
    pub breached: usize,
    /// Since when the oldest is in trouble.
    pub oldest: Option<Instant>,
    /// The sum of penalties, in cents.
    pub penalty_cents: i64,
}

/// A text that could not be made; the minimal template is used instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to render template {template}: {reason}")]
pub struct RenderFault {
    /// The template.
    pub template: String,
    /// What was wrong with it.
    pub reason: String,
}

/// Makes texts. The same letter gives the same body.
pub trait Renderer {
    /// The body of `letter`.
    ///
    /// # Errors
    /// The template fails; the engine then asks again with `minimal` set, which cannot fail in a way that matters: its
    /// failure gives a body of the short ids alone.
    fn render(&self, letter: &Letter<'_>) -> Result<Body, RenderFault>;
}
