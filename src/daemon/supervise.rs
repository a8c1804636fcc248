//! The only place that starts tasks. Each has a name; one that panics is noticed; all are stopped in the reverse order
//! of their start, softly first, then hard.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::core::time::Span;
use crate::daemon::time::TimeSource;

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

/// Keeps one task a name, until it is asked to stop, or `changed` says that others are to be kept: whether it did. One
/// that dies begins anew after `again`; all are halted before it comes back.
pub async fn crew<F: Future<Output = ()> + Send + 'static>(
    what: &'static str,
    names: impl IntoIterator<Item = String>,
    begin: impl Fn(&str, CancellationToken) -> Option<F>,
    changed: impl Future<Output = bool>,
    stop: &CancellationToken,
    (time, again): (&Arc<dyn TimeSource>, Span),
) -> bool {
    let halt = stop.child_token();
    let (mut tasks, mut of) = (JoinSet::new(), HashMap::new());
    for name in names {
        let Some(work) = begin(&name, halt.clone()) else { continue };
        of.insert(tasks.spawn(work).id(), name);
    }
    let mut changed = std::pin::pin!(changed);
    let changed = loop {
        tokio::select! {
            () = stop.cancelled() => break false,
            changed = &mut changed => break changed,
            Some(ended) = tasks.join_next_with_id() => {
                let Err(died) = ended else { continue };
                let Some(name) = of.remove(&died.id()) else { continue };
                error!(what, %name, "a task died; it begins anew");
                let Some(work) = begin(&name, halt.clone()) else { continue };
                let (halt, time) = (halt.clone(), time.clone());
                let late = async move {
                    tokio::select! {
                        () = halt.cancelled() => {}
                        () = time.sleep(again) => work.await,
                    }
                };
                of.insert(tasks.spawn(late).id(), name);
            }
        }
    };
    halt.cancel();
    while tasks.join_next().await.is_some() {}
    changed
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
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::watch;

    use super::*;
    use crate::daemon::time::SystemTime;

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

    #[tokio::test(start_paused = true)]
    async fn one_of_a_crew_that_dies_begins_anew_and_all_end_with_it() {
        let (began, time) = (Arc::new(AtomicU32::new(0)), Arc::new(SystemTime) as Arc<dyn TimeSource>);
        let (tell, told) = watch::channel(0);
        let begin = |name: &str, halt: CancellationToken| {
            let (began, shaky) = (began.clone(), name == "shaky");
            let work = async move {
                let count = began.fetch_add(1, Ordering::SeqCst) + 1;
                assert!(!shaky || count > 4, "on purpose");
                halt.cancelled().await;
            };
            (name != "absent").then_some(work)
        };
        let again = |changed: bool| {
            let (names, time) = (["steady", "shaky", "absent"].map(str::to_owned), time.clone());
            let (mut told, stop) = (told.clone(), CancellationToken::new());
            async move {
                let change = async move { told.wait_for(|n| changed && *n >= 5).await.is_ok() };
                if !changed {
                    stop.cancel();
                }
                crew("test", names, begin, change, &stop, (&time, Span::from_secs(60))).await
            }
        };
        let watch = async {
            // Two at first; the one that dies comes again each minute, until it stays.
            while began.load(Ordering::SeqCst) < 5 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tell.send(5).expect("it listens");
        };
        let (changed, ()) = tokio::join!(again(true), watch);
        assert!(changed, "others are to be kept");
        assert!(!again(false).await, "it was asked to stop");
    }
}
