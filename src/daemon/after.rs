//! What is done after somebody was answered: a card is shown as it is now, an act that took long is told of. Bounded in
//! number and time; it may fail, because nothing of it is owed.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// So much waits; what finds no room is left undone.
const WAITING: usize = 512;
/// So much is under way at a time.
const AT_ONCE: usize = 16;
/// Whatever takes longer is given up.
const LONGEST: Duration = Duration::from_secs(60);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where to leave it.
#[derive(Clone, Debug)]
pub struct After(mpsc::Sender<Work>);

impl After {
    /// A queue, and who works it off.
    pub fn new() -> (After, Afterwards) {
        let (queue, work) = mpsc::channel(WAITING);
        (After(queue), Afterwards { work })
    }

    /// Has it done some time soon; where there is no room for it, it is not done.
    pub fn later(&self, work: impl Future<Output = ()> + Send + 'static) {
        if self.0.try_send(Box::pin(work)).is_err() {
            warn!("what follows an answer finds no room, and is left undone");
        }
    }
}

/// Who does it.
pub struct Afterwards {
    work: mpsc::Receiver<Work>,
}

impl Afterwards {
    /// Works until it is asked to stop; what is under way then may end.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut under_way: JoinSet<()> = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(done) = under_way.join_next(), if !under_way.is_empty() => {
                    if let Err(e) = done {
                        error!(error = %e, "what follows an answer died");
                    }
                }
                () = stop.cancelled() => break,
                work = self.work.recv(), if under_way.len() < AT_ONCE => match work {
                    Some(work) => {
                        under_way.spawn(async {
                            if tokio::time::timeout(LONGEST, work).await.is_err() {
                                warn!("what follows an answer took too long, and was given up");
                            }
                        });
                    }
                    None => break,
                },
            }
        }
        while under_way.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn little_is_done_at_a_time_and_what_is_under_way_ends() {
        let (after, afterwards) = After::new();
        let (now, most, done) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let go = Arc::new(Semaphore::new(0));
        // More than there is room for: the rest is left undone, and nobody waits.
        for _ in 0..WAITING + 10 {
            let (now, most, done, go) = (now.clone(), most.clone(), done.clone(), go.clone());
            after.later(async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                drop(go.acquire().await);
                now.fetch_sub(1, Ordering::SeqCst);
                done.add_permits(1);
            });
        }
        after.later(async { panic!("one that dies takes nothing with it") });
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(afterwards.run(stop.clone()));
        while most.load(Ordering::SeqCst) < AT_ONCE {
            tokio::task::yield_now().await;
        }
        go.add_permits(WAITING);
        drop(done.acquire_many(u32::try_from(WAITING).unwrap()).await.unwrap());
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
        stop.cancel();
        tasks.join_next().await.unwrap().unwrap();
    }
}
