//! One turn of the desk: what was asked in it, and what is answered once it is kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::core::alerting::{Answer, Claim, Inquiry};
use crate::core::engine::{OpenCase, OpenCases, Shipments};
use crate::core::model::{Incident, Observation, Row};
use crate::core::time::Instant;
use crate::daemon::blueprint::Blueprint;
use crate::daemon::dispatch::Report;
use crate::daemon::handle::{AskError, ObserveAnswer};

/// Something that the daemon's own workers want of the desk.
#[derive(Debug)]
pub enum Order {
    /// Observations of a file, with the row that says how far it has been read: one commit (I7).
    Taken {
        /// They.
        observations: Vec<Observation<'static>>,
        /// How far.
        cursor: Vec<Row>,
        /// Answered after the commit; an error when nothing was kept.
        answer: oneshot::Sender<Result<Vec<ObserveAnswer>, AskError>>,
    },
    /// What the system notices of itself.
    Signal(Box<crate::core::alerting::Signal>),
    /// What a worker of ours noticed.
    Noticed(crate::daemon::noticed::Noticed),
    /// What a configuration would change.
    Preview(Box<Blueprint>, oneshot::Sender<Vec<String>>),
    /// Go by this configuration from now on; `rows` are kept in the same commit.
    Swap {
        /// It.
        blueprint: Box<Blueprint>,
        /// What is kept with it.
        rows: Vec<Row>,
        /// Answered after the commit.
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// Somebody said what time it is: a provider's `Date` header.
    Date {
        /// Who.
        who: std::sync::Arc<str>,
        /// What it said.
        said: Instant,
    },
    /// Which parcels some of its cases name, from this place on; answered at once.
    Shipments(u32, oneshot::Sender<Shipments>),
    /// Which cases of a source are open, among so many of the desk's from this place on; answered at once.
    Open {
        /// The source.
        source: Arc<str>,
        /// From the case of this number on.
        from: u32,
        /// So many.
        most: u32,
        /// Where the answer goes.
        answer: oneshot::Sender<OpenCases>,
    },
    /// Which open cases of these sources ring by then; answered at once.
    Ahead {
        /// The sources.
        sources: Arc<BTreeSet<String>>,
        /// Until when.
        until: Instant,
        /// Where the answer goes.
        answer: oneshot::Sender<Vec<OpenCase>>,
    },
    /// A trouble that one of our own workers has, or no longer has.
    Trouble {
        /// Its kind, such as `system.backup`.
        family: &'static str,
        /// What is wrong; `None` when nothing is any more.
        text: Option<String>,
    },
    /// Why a configuration that was offered was not taken; `None` when one was.
    Rejected(Option<String>),
}

/// What is to be answered when the turn is kept.
pub(super) enum Pending {
    Observe(oneshot::Sender<Vec<ObserveAnswer>>, Vec<ObserveAnswer>),
    Taken(oneshot::Sender<Result<Vec<ObserveAnswer>, AskError>>, Vec<ObserveAnswer>),
    Respond(oneshot::Sender<Result<Answer, AskError>>, Result<Answer, AskError>),
    State(oneshot::Sender<Result<(), AskError>>),
    Incidents(oneshot::Sender<Vec<Incident>>, Vec<Incident>),
    Swap(oneshot::Sender<Result<(), String>>, Box<Blueprint>),
}

/// What a turn has gathered since the last commit was handed over.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) pending: Vec<Pending>,
    pub(super) claims: Vec<Claim>,
    /// What providers are to be asked.
    pub(super) inquiries: Vec<Inquiry>,
    /// Channels to try without a message.
    pub(super) probes: Vec<Arc<str>>,
    /// Rows beside the desk's own.
    pub(super) rows: Vec<Row>,
    /// Outcomes and statements that were taken in: taken in again if the turn is not kept.
    pub(super) reports: Vec<Report>,
    /// How many observations.
    pub(super) observed: usize,
}

impl Turn {
    /// So much work makes a turn: whatever comes later waits for the next one.
    pub(super) const OBSERVATIONS: usize = 500;
    pub(super) const ASKS: usize = 256;
    /// Cases that are looked through at a time.
    pub(super) const LOOKED: u32 = 4096;
    /// Cases about to ring that are looked at at a time.
    pub(super) const AHEAD: usize = 20_000;

    /// No more is to be taken in before this one is handed over.
    pub(super) fn is_full(&self) -> bool {
        self.observed >= Turn::OBSERVATIONS || self.pending.len() + self.reports.len() >= Turn::ASKS
    }

    /// The turn was not kept, and why: nobody is told that anything was done.
    pub(super) fn fail(self, reason: &str) -> Vec<Report> {
        for pending in self.pending {
            pending.fail(reason);
        }
        self.reports
    }
}

impl Pending {
    /// Answers; whoever has gone away is not waited for.
    pub(super) fn settle(self) -> Option<Box<Blueprint>> {
        match self {
            Pending::Observe(to, answers) => drop(to.send(answers)),
            Pending::Taken(to, answers) => drop(to.send(Ok(answers))),
            Pending::Respond(to, answer) => drop(to.send(answer)),
            Pending::State(to) => drop(to.send(Ok(()))),
            Pending::Incidents(to, incidents) => drop(to.send(incidents)),
            Pending::Swap(to, blueprint) => {
                drop(to.send(Ok(())));
                return Some(blueprint);
            }
        }
        None
    }

    pub(super) fn fail(self, reason: &str) {
        match self {
            Pending::Observe(to, answers) => drop(to.send(unavailable(answers.len(), reason))),
            Pending::Taken(to, _) => drop(to.send(Err(AskError::Storage(reason.to_owned())))),
            Pending::Respond(to, _) => drop(to.send(Err(AskError::Storage(reason.to_owned())))),
            Pending::State(to) => drop(to.send(Err(AskError::Storage(reason.to_owned())))),
            Pending::Incidents(to, incidents) => drop(to.send(incidents)),
            Pending::Swap(to, _) => drop(to.send(Err(reason.to_owned()))),
        }
    }
}

/// The answer to observations that were not kept.
pub(super) fn unavailable(count: usize, reason: &str) -> Vec<ObserveAnswer> {
    (0..count).map(|_| ObserveAnswer::Unavailable(reason.to_owned())).collect()
}
