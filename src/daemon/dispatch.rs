//! The senders: what was claimed and kept leaves, each attempt with its deadline and its outcome. Nothing here decides.
//!
//! How many attempts a channel has under way is bounded by the desk, which claims no more than there is room for: one
//! slow channel fills its own room and nobody else's (I32).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id as TaskId, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::channels::Channel;
use crate::core::alerting::{Claim, Inquiry};
use crate::core::ids::Id;
use crate::core::model::{Outcome, OutcomeClass, Statement, StatementKind};
use crate::core::time::{Instant, Span};
use crate::daemon::time::TimeSource;
use crate::fail::fail_point;

/// The channels by name. A reload replaces the whole map; attempts under way keep the one they began with (I49).
pub type Channels = Arc<BTreeMap<Arc<str>, Arc<dyn Channel>>>;

/// Something to do outside.
#[derive(Debug)]
pub enum Job {
    /// An attempt.
    Send {
        /// What was claimed.
        claim: Box<Claim>,
        /// How long it may take.
        limit: Span,
        /// Its claim is in the store. Not so in emergency mode (§16.4).
        recorded: bool,
    },
    /// A question: what became of a message (§10.4).
    Query {
        /// What is asked.
        inquiry: Box<Inquiry>,
        /// How long it may take.
        limit: Span,
    },
    /// A try without a message: whether a channel is there (§10.5).
    Probe {
        /// The channel.
        channel: Arc<str>,
        /// How long it may take.
        limit: Span,
    },
}

/// What came of a job.
#[derive(Clone, Debug)]
pub enum Report {
    /// Of an attempt.
    Sent {
        /// The message.
        message: Id,
        /// The attempt.
        attempt: u32,
        /// The channel.
        channel: Arc<str>,
        /// What came of it.
        outcome: Outcome,
        /// Its claim is in the store.
        recorded: bool,
    },
    /// Of a question.
    Told {
        /// The message.
        message: Id,
        /// What the provider said; `None` when it could not be asked.
        statement: Option<Statement>,
    },
    /// Of a try without a message.
    Probed {
        /// The channel.
        channel: Arc<str>,
        /// What came of it; `None` where the channel knows no such thing.
        outcome: Option<Outcome>,
    },
    /// Somebody said what time it is.
    Dated {
        /// Who.
        who: Arc<str>,
        /// What they said.
        said: Instant,
    },
}

/// What the owner of the senders holds.
pub struct Dispatch {
    /// What to do.
    pub jobs: mpsc::Receiver<Job>,
    /// What came of it.
    pub reports: mpsc::Sender<Report>,
    /// The channels.
    pub channels: watch::Receiver<Channels>,
    /// Time.
    pub time: Arc<dyn TimeSource>,
}

/// What a child was doing, for when it dies.
enum Doing {
    Send { message: Id, attempt: u32, channel: Arc<str>, recorded: bool },
    Query { message: Id },
    Probe { channel: Arc<str> },
}

impl Dispatch {
    /// Sends until it is asked to stop and nothing is under way.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut children: JoinSet<Report> = JoinSet::new();
        let mut doing: HashMap<TaskId, Doing> = HashMap::new();
        let mut open = true;
        while open || !children.is_empty() {
            tokio::select! {
                biased;
                Some(done) = children.join_next_with_id(), if !children.is_empty() => {
                    let report = match done {
                        Ok((id, report)) => {
                            doing.remove(&id);
                            Some(report)
                        }
                        Err(e) => doing.remove(&e.id()).map(died),
                    };
                    let Some(report) = report else { continue };
                    let dated = self.dated(&report);
                    for report in dated.into_iter().chain([report]) {
                        if self.reports.send(report).await.is_err() {
                            return;
                        }
                    }
                }
                job = self.jobs.recv(), if open => match job {
                    Some(job) => self.begin(job, &mut children, &mut doing),
                    None => open = false,
                },
                () = stop.cancelled(), if children.is_empty() => return,
            }
        }
    }

    /// What the other side of a channel that just answered said of the time.
    fn dated(&self, report: &Report) -> Option<Report> {
        let (Report::Sent { channel, .. } | Report::Probed { channel, .. }) = report else { return None };
        let (who, said) = self.channels.borrow().get(channel)?.date()?;
        Some(Report::Dated { who, said })
    }

    fn begin(&self, job: Job, children: &mut JoinSet<Report>, doing: &mut HashMap<TaskId, Doing>) {
        let channels = self.channels.borrow().clone();
        let time = self.time.clone();
        match job {
            Job::Send { claim, limit, recorded } => {
                let channel = channels.get(&claim.to.lane.channel).cloned();
                let what = Doing::Send {
                    message: claim.message,
                    attempt: claim.attempt,
                    channel: claim.to.lane.channel.clone(),
                    recorded,
                };
                let id = children.spawn(send(channel, claim, limit, recorded, time)).id();
                doing.insert(id, what);
            }
            Job::Query { inquiry, limit } => {
                let message = inquiry.message;
                let channel = channels.get(&inquiry.channel).cloned();
                let id = children.spawn(query(channel, inquiry, limit, time)).id();
                doing.insert(id, Doing::Query { message });
            }
            Job::Probe { channel, limit } => {
                let to = channels.get(&channel).cloned();
                let id = children.spawn(probe(to, channel.clone(), limit, time)).id();
                doing.insert(id, Doing::Probe { channel });
            }
        }
    }
}

/// A child that panicked: the bytes may have left.
fn died(doing: Doing) -> Report {
    match doing {
        Doing::Send { message, attempt, channel, recorded } => {
            warn!(message = %message, channel = %channel, attempt, "the sender died; the attempt is uncertain");
            let detail = Some("the sender died".to_owned());
            let outcome = Outcome { detail, ..Outcome::of(OutcomeClass::Unknown) };
            Report::Sent { message, attempt, channel, outcome, recorded }
        }
        Doing::Query { message } => Report::Told { message, statement: None },
        Doing::Probe { channel } => Report::Probed { channel, outcome: None },
    }
}

async fn send(
    channel: Option<Arc<dyn Channel>>,
    claim: Box<Claim>,
    limit: Span,
    recorded: bool,
    time: Arc<dyn TimeSource>,
) -> Report {
    let began = time.read().elapsed;
    let outcome = match channel {
        None => Outcome {
            detail: Some("the channel is no longer configured".to_owned()),
            ..Outcome::of(OutcomeClass::Config)
        },
        Some(_) if limit.is_zero() => Outcome {
            detail: Some("its time was over before it could begin".to_owned()),
            ..Outcome::of(OutcomeClass::NotSent)
        },
        Some(channel) => {
            let sending = async {
                let sending = channel.send(&claim);
                #[cfg(any(test, feature = "fail-points"))]
                let sending = crate::daemon::dispatch::dying(sending);
                sending.await
            };
            tokio::select! {
                biased;
                outcome = sending => outcome,
                () = time.sleep(limit) => Outcome {
                    detail: Some(format!("no answer within {limit}")),
                    ..Outcome::of(OutcomeClass::Unknown)
                },
            }
        }
    };
    fail_point("answered");
    let took = time.read().elapsed.as_millis() - began.as_millis();
    info!(
        message = %claim.message, channel = %claim.to.lane.channel, attempt = claim.attempt,
        outcome = outcome.class.word(), code = outcome.code.as_deref().unwrap_or(""), took_ms = took,
        "outbox.send",
    );
    let (message, attempt, channel) = (claim.message, claim.attempt, claim.to.lane.channel.clone());
    Report::Sent { message, attempt, channel, outcome, recorded }
}

/// Lets the process die a moment after a send began, where a test asks for it.
#[cfg(any(test, feature = "fail-points"))]
async fn dying<T>(work: impl Future<Output = T>) -> T {
    if !crate::fail::is_due("during_send") {
        return work.await;
    }
    let late = tokio::time::timeout(std::time::Duration::from_millis(3), work).await;
    drop(late);
    crate::fail::die()
}

async fn query(
    channel: Option<Arc<dyn Channel>>,
    inquiry: Box<Inquiry>,
    limit: Span,
    time: Arc<dyn TimeSource>,
) -> Report {
    let message = inquiry.message;
    let Some(channel) = channel else { return Report::Told { message, statement: None } };
    let statement = tokio::select! {
        biased;
        statement = channel.query(&inquiry) => statement,
        () = time.sleep(limit) => None,
    };
    let what = statement.as_ref().map_or("no answer", |s| match s.what {
        StatementKind::NotFound => "not found",
        StatementKind::Accepted => "accepted",
        StatementKind::Negative => "negative",
        StatementKind::Delivered => "delivered",
    });
    info!(message = %message, channel = %channel.card().name, outcome = what, "outbox.query");
    Report::Told { message, statement }
}

async fn probe(
    to: Option<Arc<dyn Channel>>,
    channel: Arc<str>,
    limit: Span,
    time: Arc<dyn TimeSource>,
) -> Report {
    let Some(probing) = to.as_ref().and_then(|to| to.probe()) else {
        return Report::Probed { channel, outcome: None };
    };
    let outcome = tokio::select! {
        biased;
        outcome = probing => outcome,
        () = time.sleep(limit) => Outcome {
            detail: Some(format!("no answer within {limit}")),
            ..Outcome::of(OutcomeClass::Transient)
        },
    };
    info!(channel = %channel, outcome = outcome.class.word(), "outbox.probe");
    Report::Probed { channel, outcome: Some(outcome) }
}

/// How long an attempt may take that was claimed with this deadline and may leave now.
pub fn limit_of(deadline: Instant, now: Instant) -> Span {
    deadline.since(now)
}
