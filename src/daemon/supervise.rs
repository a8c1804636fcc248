//! The only place that starts tasks. Each has a name; one that panics is noticed; all are stopped in the reverse order
//! of their start, softly first, then hard.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The named tasks of a process.
#[derive(Debug, Default)]
pub struct Supervisor {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
    /// In the order of their start.
    order: Vec<Started>,
}

#[derive(Debug)]
struct Started {
    id: Id,
    name: &'static str,
    stop: CancellationToken,
    abort: tokio::task::AbortHandle,
    /// What ends one that has a thread of its own.
    hard: Option<CancellationToken>,
    /// How long it may take to stop by itself.
    limit: Duration,
}

/// A task that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub name: &'static str,
    /// How.
    pub how: How,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It came back by itself.
    Finished,
    /// It panicked.
    Panicked,
    /// It was still running at its limit, and was stopped hard.
    Aborted,
}

impl Supervisor {
    /// Nothing started yet.
    pub fn new() -> Supervisor {
        Supervisor::default()
    }

    /// Starts a task. It is asked to stop by its token and has `limit` to do so.
    pub fn start<F>(&mut self, name: &'static str, limit: Duration, work: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let abort = self.tasks.spawn(work(stop.clone()));
        self.names.insert(abort.id(), name);
        self.order.push(Started { id: abort.id(), name, stop, abort, hard: None, limit });
    }

    /// The same on a thread of its own, for one that computes for long between two waits: what it wakes would wait for
    /// it on its own worker, however idle the others are.
    pub fn start_alone<F>(
        &mut self,
        name: &'static str,
        limit: Duration,
        work: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = ()>,
    {
        let (stop, hard) = (CancellationToken::new(), CancellationToken::new());
        let (asked, ends) = (stop.clone(), hard.clone());
        let runtime = tokio::runtime::Handle::current();
        let abort = self.tasks.spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = ends.cancelled() => {}
                    () = work(asked) => {}
                }
            });
        });
        self.names.insert(abort.id(), name);
        self.order.push(Started { id: abort.id(), name, stop, abort, hard: Some(hard), limit });
    }

    /// Waits for the next task that ends, however it does; for ever while none is left.
    pub async fn next(&mut self) -> Ended {
        match self.tasks.join_next_with_id().await {
            Some(done) => self.ended(&done),
            None => std::future::pending().await,
        }
    }

    /// Stops all that run, the last one first: asks, waits up to its limit, then stops it hard. Answers how each ended.
    pub async fn stop(mut self) -> Vec<Ended> {
        let mut all = Vec::new();
        while let Some(last) = self.order.pop() {
            last.stop.cancel();
            if !self.names.contains_key(&last.id) {
                continue;
            }
            let over = async {
                while self.names.contains_key(&last.id) {
                    match self.tasks.join_next_with_id().await {
                        Some(done) => {
                            let ended = self.ended(&done);
                            all.push(ended);
                        }
                        None => return,
                    }
                }
            };
            if tokio::time::timeout(last.limit, over).await.is_err() {
                last.abort.abort();
                if let Some(hard) = last.hard {
                    hard.cancel();
                }
                self.names.remove(&last.id);
                all.push(Ended { name: last.name, how: How::Aborted });
            }
        }
        all
    }

    fn ended(&mut self, done: &Result<(Id, ()), JoinError>) -> Ended {
        let (id, how) = match done {
            Ok((id, ())) => (*id, How::Finished),
            Err(e) if e.is_panic() => (e.id(), How::Panicked),
            Err(e) => (e.id(), How::Aborted),
        };
        Ended { name: self.names.remove(&id).unwrap_or("(stopped before)"), how }
    }
}

/// The task that did the work has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work died in the middle")]
pub struct Died;

/// Does work that blocks (files, long computing) on a thread for such work, and waits for it.
///
/// # Errors
/// It panicked.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Died> {
    #[expect(clippy::disallowed_methods, reason = "this is the place where blocking work is started")]
    let done = tokio::task::spawn_blocking(work);
    done.await.map_err(|_| Died)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn tasks_stop_in_the_reverse_order_of_their_start() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut all = Supervisor::new();
        for name in ["store", "desk", "server"] {
            let order = order.clone();
            all.start(name, LONG, |stop| async move {
                stop.cancelled().await;
                order.lock().unwrap().push(name);
            });
        }
        let ended: Vec<_> = all.stop().await.into_iter().map(|e| (e.name, e.how)).collect();
        let finished = |name| (name, How::Finished);
        assert_eq!(ended, [finished("server"), finished("desk"), finished("store")]);
        assert_eq!(*order.lock().unwrap(), ["server", "desk", "store"]);
    }

    #[tokio::test]
    async fn a_panic_is_noticed_by_name_and_the_rest_goes_on() {
        let mut all = Supervisor::new();
        all.start("steady", LONG, |stop| async move { stop.cancelled().await });
        all.start("shaky", LONG, |_| async { panic!("on purpose") });
        assert_eq!(all.next().await, Ended { name: "shaky", how: How::Panicked });
        assert_eq!(all.stop().await, [Ended { name: "steady", how: How::Finished }]);
    }

    #[tokio::test]
    async fn who_does_not_stop_is_stopped() {
        let mut all = Supervisor::new();
        all.start("stubborn", Duration::from_millis(10), |_| std::future::pending());
        assert_eq!(all.stop().await, [Ended { name: "stubborn", how: How::Aborted }]);
    }

    #[tokio::test]
    async fn one_with_a_thread_of_its_own_stops_the_same_way() {
        let mut all = Supervisor::new();
        all.start_alone("stubborn", Duration::from_millis(10), |_| std::future::pending());
        all.start_alone("shaky", LONG, |_| async { panic!("on purpose") });
        assert_eq!(all.next().await, Ended { name: "shaky", how: How::Panicked });
        all.start_alone("desk", LONG, |stop| async move { stop.cancelled().await });
        let ended: Vec<_> = all.stop().await.into_iter().map(|e| (e.name, e.how)).collect();
        assert_eq!(ended, [("desk", How::Finished), ("stubborn", How::Aborted)]);
    }

    #[tokio::test]
    async fn blocking_work_answers_or_has_died() {
        assert_eq!(blocking(|| 7).await, Ok(7));
        assert_eq!(blocking(|| -> u8 { panic!("on purpose") }).await, Err(Died));
    }
}
