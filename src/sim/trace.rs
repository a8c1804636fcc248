//! What happened, in order: the same seed gives the same trace to the byte.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::core::alerting::{Claim, Setup};
use crate::core::ids::Id;
use crate::core::model::{DuplicateKey, NoticeState, OutcomeClass, StatementKind};
use crate::core::time::{Instant, Span};

use super::kept::{Change, Commit};

/// Writes into a text, which never fails.
macro_rules! put {
    ($text:ident, $($rest:tt)*) => {
        $text.write_fmt(format_args!($($rest)*)).unwrap_or_default()
    };
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// By the counter that never jumps, from the beginning.
    pub elapsed: Span,
    /// By the business clock.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// The process came up.
    Started {
        /// Its boot epoch.
        epoch: u64,
        /// By how much the business clock went on since the last commit.
        down: Span,
        /// What it goes by.
        setup: Arc<Setup>,
    },
    /// A step was kept.
    Kept(Arc<Commit>),
    /// A claim left for its provider.
    Sent {
        /// It.
        claim: Arc<Claim>,
        /// How its provider knows copies.
        key: DuplicateKey,
        /// A person can see a copy.
        seen: bool,
        /// The provider took it, or knew it already.
        taken: bool,
    },
    /// What came of an attempt, as the desk was told.
    Came {
        /// The message.
        message: Id,
        /// The attempt.
        attempt: u32,
        /// How.
        class: OutcomeClass,
    },
    /// A receipt, as the desk was told.
    Receipt {
        /// Our key.
        key: String,
        /// What it says.
        what: StatementKind,
    },
    /// A person was answered, after the commit.
    Answered {
        /// Who.
        person: String,
        /// What they wanted, and what they were told.
        words: String,
        /// What they have now, until when.
        acked: Vec<(Id, Instant)>,
    },
    /// Something said by a source, a person, the system, before the commit.
    Said(String),
    /// The process died: where, and with how many rows that were not kept.
    Died {
        /// Where.
        place: &'static str,
        /// Rows.
        lost: usize,
    },
    /// Another configuration was taken.
    Reloaded {
        /// What changed.
        words: String,
        /// What it is now.
        setup: Arc<Setup>,
    },
    /// The machine's clock jumped by so many ms.
    Jumped(i64),
    /// The business clock went back: the desk is rebuilt at the true time.
    Rebuilt,
}

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// In order.
    pub events: Vec<Event>,
}

impl Trace {
    /// Notes something.
    pub fn note(&mut self, elapsed: Span, at: Instant, what: What) {
        self.events.push(Event { elapsed, at, what });
    }

    /// The commits with their place.
    pub fn commits(&self) -> impl Iterator<Item = (usize, &Event, &Commit)> {
        self.events.iter().enumerate().filter_map(|(n, event)| match &event.what {
            What::Kept(commit) => Some((n, event, &**commit)),
            _ => None,
        })
    }

    /// Everything as text.
    pub fn text(&self) -> String {
        self.around(0, self.events.len())
    }

    /// The events from one to another as text.
    pub fn around(&self, from: usize, to: usize) -> String {
        let mut text = String::new();
        for (n, event) in self.events.iter().enumerate().take(to).skip(from) {
            let (secs, millis) = (event.elapsed.as_secs(), event.elapsed.as_millis() % 1000);
            put!(text, "{n:>6} {secs:>6}.{millis:03} {} ", event.at);
            put!(text, "{}\n", event.what.text());
        }
        text
    }
}

fn short(id: Id) -> String {
    id.short()
}

impl What {
    fn text(&self) -> String {
        match self {
            What::Started { epoch, down, setup } => {
                format!("started: epoch {epoch}, down {down}, revision {}", setup.revision)
            }
            What::Kept(commit) => kept(commit),
            What::Sent { claim, seen, taken, .. } => format!(
                "sent: message {} attempt {} to {} by {} {}{}: {}",
                short(claim.message),
                claim.attempt,
                claim.to.person,
                claim.to.lane.channel,
                claim.priority.word(),
                match (seen, taken) {
                    (true, _) => ", a copy is seen",
                    (false, true) => ", known already",
                    (false, false) => ", not taken",
                },
                claim.body.text
            ),
            What::Came { message, attempt, class } => {
                format!("outcome: message {} attempt {attempt}: {}", short(*message), class.word())
            }
            What::Receipt { key, what } => format!("receipt: {} {what:?}", &key[..key.len().min(6)]),
            What::Answered { person, words, .. } => format!("answered: {person}: {words}"),
            What::Said(words) => words.clone(),
            What::Died { place, lost } => format!("DIED {place}, {lost} rows were not kept"),
            What::Reloaded { words, setup } => format!("reloaded: {words}, revision {}", setup.revision),
            What::Jumped(by) => format!("the machine's clock jumps by {by} ms"),
            What::Rebuilt => "the desk is loaded again: time has jumped".to_owned(),
        }
    }
}

fn kept(commit: &Commit) -> String {
    let mut text = "kept:".to_owned();
    for (source, from, to) in &commit.cursors {
        put!(text, " cursor {source} {from}→{to}");
    }
    for record in &commit.audit {
        let part = |id: &Option<String>, of: &str| match id {
            Some(id) => format!(" {of}{}", id.chars().take(6).collect::<String>()),
            None => String::new(),
        };
        let words = [&record.change, &record.cause].into_iter().flatten();
        let words: String = words.map(|w| format!(" {w}")).collect();
        put!(
            text,
            "\n{:>22} {}{}{}{}{words}",
            "",
            record.kind,
            part(&record.incident, "i:"),
            part(&record.notice, "n:"),
            part(&record.message, "m:"),
        );
    }
    for Change { after, .. } in &commit.notices {
        if let Some(n) = after.as_ref().filter(|n| n.state == NoticeState::Open) {
            let to: Vec<&str> = n.audience.iter().map(|p| &**p).collect();
            put!(
                text,
                "\n{:>22} notice {} of {} {} L{} {} to {} wave {}/{}",
                "",
                short(n.id),
                short(n.incident),
                n.purpose.word(),
                n.level,
                n.priority.word(),
                to.join(","),
                n.started,
                n.waves.len()
            );
        }
    }
    for Change { before, after } in &commit.messages {
        let Some(m) = after else { continue };
        let from = before.as_ref().map_or("new", |m| m.state.word());
        put!(
            text,
            "\n{:>22} message {} {} {from}→{} {} {}",
            "",
            short(m.id),
            m.to.lane.channel,
            m.state.word(),
            m.to.person,
            m.wake_at.map_or(String::new(), |at| format!("until {at}"))
        );
    }
    text
}
