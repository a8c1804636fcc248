//! How the rest of the program talks to the desk's owner: messages in, answers out, every one with a bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::core::alerting::{Answer, Refusal, Response, Told};
use crate::core::ids::Id;
use crate::core::model::{Incident, Merge, Observation, PersonId, Statement};
pub use crate::daemon::noticed::Noticed;

/// Something that is asked of the desk's owner.
#[derive(Debug)]
pub enum Ask {
    /// Observations, in order; each is answered for itself after the commit.
    Observe(Vec<Observation<'static>>, oneshot::Sender<Vec<ObserveAnswer>>),
    /// A human act; answered after the commit (RS1).
    Respond(Box<Response>, oneshot::Sender<Result<Answer, AskError>>),
    /// A provider's statement; answered after the commit (RC4).
    State(Box<Statement>, oneshot::Sender<Result<(), AskError>>),
    /// Incidents as they are: one by id, or by the first characters of it, or all that are not resolved.
    Incidents(Which, oneshot::Sender<Vec<Incident>>),
    /// What a person was told by a channel lately and is not over, the newest message first, at most so many.
    Told(Arc<str>, PersonId, usize, oneshot::Sender<Vec<Told>>),
    /// Something that was noticed outside the desk; nobody waits for an answer.
    Noticed(Noticed),
    /// Look at a configuration and go by it, or only say what would change.
    Reload(ReloadAsk, oneshot::Sender<Result<ReloadAnswer, String>>),
}

/// What came of one observation.
#[derive(Clone, Debug)]
pub enum ObserveAnswer {
    /// Taken in and durable.
    Kept(Merge),
    /// Refused, and why; nothing of it was kept.
    Refused(String),
    /// The store refuses writes now: try again (503).
    Unavailable(String),
}

/// Which incidents.
#[derive(Clone, Debug)]
pub enum Which {
    /// By id.
    One(Id),
    /// Whose printed id begins with this.
    Short(String),
    /// Those that a message lists, by the message's id: an ack of it covers them and no more (RS4).
    Listed(Id),
    /// All that are not resolved, most urgent first, at most so many.
    Unresolved(usize),
    /// Those that are not resolved in the order of their ids, after this one, at most so many: page by page, all.
    After(Option<Id>, usize),
}

/// How to reload.
#[derive(Clone, Copy, Debug)]
pub struct ReloadAsk {
    /// Only say what would change.
    pub dry_run: bool,
}

/// What a reload did or would do, in words.
#[derive(Clone, Debug)]
pub struct ReloadAnswer {
    /// The revision now.
    pub revision: u64,
    /// Lines for people.
    pub report: Vec<String>,
}

/// Why something asked was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// The person may not, or it cannot be.
    #[error("{0}")]
    Refused(Refusal),
    /// Storage trouble: it was not recorded, and must not be taken as done (§16.4).
    #[error("暂不能记录,请电话 / cannot be recorded now, call somebody: {0}")]
    Storage(String),
    /// It takes longer than people are made to wait (§12.2).
    #[error("处理中 / still working on it")]
    Slow,
    /// The desk is stopping or starting.
    #[error("the desk is not running")]
    Gone,
}

/// An act that has no answer yet.
#[derive(Debug)]
pub enum Late {
    /// It has none, and there will be none.
    Failed(AskError),
    /// It was taken in, and is answered here when it is kept.
    Coming(oneshot::Receiver<Result<Answer, AskError>>),
}

/// The way to the desk's owner.
#[derive(Clone, Debug)]
pub struct Handle {
    asks: mpsc::Sender<Ask>,
    desk: Arc<str>,
}

impl Handle {
    /// A handle, and where its asks arrive. At most `bound` wait.
    pub fn new(desk: Arc<str>, bound: usize) -> (Handle, mpsc::Receiver<Ask>) {
        let (asks, arrive) = mpsc::channel(bound);
        (Handle { asks, desk }, arrive)
    }

    /// The desk.
    pub fn desk(&self) -> &Arc<str> {
        &self.desk
    }

    /// Says what was noticed. Where the desk has no room for it now it is not told: whoever notices it again says so.
    pub fn tell(&self, noticed: Noticed) {
        if self.asks.try_send(Ask::Noticed(noticed)).is_err() {
            tracing::debug!("the desk has no room for what was noticed");
        }
    }

    /// Says what a provider stated of messages, and waits until all of it is kept, at most `limit`. They go in one after
    /// another without waiting for each other, so that one commit keeps many.
    ///
    /// # Errors
    /// Not all of it was kept; saying it again changes nothing of what was (RC1).
    pub async fn state(&self, limit: Duration, statements: Vec<Statement>) -> Result<(), AskError> {
        let said = async {
            let mut answers = Vec::with_capacity(statements.len());
            for statement in statements {
                let (answer, arrive) = oneshot::channel();
                let ask = Ask::State(Box::new(statement), answer);
                self.asks.send(ask).await.map_err(|_| AskError::Gone)?;
                answers.push(arrive);
            }
            for arrive in answers {
                arrive.await.map_err(|_| AskError::Gone)??;
            }
            Ok(())
        };
        tokio::time::timeout(limit, said).await.map_err(|_| AskError::Slow)?
    }

    /// Asks for an act, and waits for the answer at most `limit`. Past it the answer still comes, where it can be waited
    /// for (S43).
    ///
    /// # Errors
    /// See [`Late`].
    pub async fn respond(&self, limit: Duration, response: Response) -> Result<Answer, Late> {
        let (answer, mut arrive) = oneshot::channel();
        let ask = Ask::Respond(Box::new(response), answer);
        let deadline = tokio::time::Instant::now() + limit;
        match tokio::time::timeout_at(deadline, self.asks.send(ask)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Late::Failed(AskError::Gone)),
            // It never went in: there is nothing to wait for.
            Err(_) => return Err(Late::Failed(AskError::Slow)),
        }
        match tokio::time::timeout_at(deadline, &mut arrive).await {
            Ok(Ok(answer)) => answer.map_err(Late::Failed),
            Ok(Err(_)) => Err(Late::Failed(AskError::Gone)),
            Err(_) => Err(Late::Coming(arrive)),
        }
    }

    /// Asks, and waits for the answer at most `limit`.
    ///
    /// # Errors
    /// [`AskError::Slow`] past the limit, the queue's wait included; [`AskError::Gone`] without an owner.
    pub async fn ask<T>(
        &self,
        limit: Duration,
        make: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, AskError> {
        let (answer, arrive) = oneshot::channel();
        let asked = async {
            self.asks.send(make(answer)).await.map_err(|_| AskError::Gone)?;
            arrive.await.map_err(|_| AskError::Gone)
        };
        tokio::time::timeout(limit, asked).await.map_err(|_| AskError::Slow)?
    }
}
