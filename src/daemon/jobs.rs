//! Coarse work by the clock on the wall: what is old is dropped, the list of what nobody handled is told. The scheduler
//! only gives hints; nothing that a person waits for goes through it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::core::time::{Instant, Span};
use crate::daemon::handle::{Ask, Handle, Which};
use crate::daemon::time::TimeSource;
use crate::store::{Keep, Store};

/// What it is time for. A hint carries no data: whoever takes it looks for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Drop what is over and old.
    Prune,
    /// Tell what nobody has handled.
    Unhandled,
}

/// When, in UTC: second, minute, hour, day, month, weekday. Small hours in Shanghai, and before the early shift there.
const TABLE: &[(&str, Hint)] = &[("0 17 19 * * *", Hint::Prune), ("0 30 23 * * *", Hint::Unhandled)];

/// Does the work that hints ask for.
pub struct Jobs {
    /// The desk.
    pub handle: Handle,
    /// The store.
    pub store: Arc<dyn Store>,
    /// Time.
    pub time: Arc<dyn TimeSource>,
    /// Incidents that were resolved longer ago than this are dropped.
    pub keep_closed: Span,
    /// Audit records older than this are dropped (A3).
    pub keep_audit: Span,
}

impl Jobs {
    /// Works until it is asked to stop.
    pub async fn run(self, stop: CancellationToken) {
        // One of each may wait; a hint that finds the queue full is one too many.
        let (hint, mut hints) = mpsc::channel(TABLE.len());
        let mut scheduler = match schedule(&hint).await {
            Ok(scheduler) => scheduler,
            Err(e) => {
                error!(error = %e, "coarse jobs cannot be scheduled: nothing old is dropped");
                return stop.cancelled().await;
            }
        };
        loop {
            let hint = tokio::select! {
                () = stop.cancelled() => break,
                hint = hints.recv() => hint,
            };
            match hint {
                Some(Hint::Prune) => self.prune(&stop).await,
                Some(Hint::Unhandled) => self.unhandled().await,
                None => break,
            }
        }
        if let Err(e) = scheduler.shutdown().await {
            warn!(error = %e, "the scheduler did not stop in good order");
        }
    }

    /// Drops what is old, a bounded part at a time, so that commits wait for none of it.
    pub async fn prune(&self, stop: &CancellationToken) {
        let now = self.time.read().wall;
        let before = |keep: Span| Some(Instant::from_millis(now.as_millis() - keep.as_millis()));
        let keep =
            Keep { closed_from: before(self.keep_closed), audit_from: before(self.keep_audit), at_once: 500 };
        let (mut incidents, mut audit) = (0, 0);
        loop {
            match self.store.prune(self.handle.desk(), keep).await {
                Ok(pruned) => {
                    incidents += pruned.incidents;
                    audit += pruned.audit;
                    if !pruned.more {
                        break;
                    }
                }
                Err(e) => {
                    error!(error = %e, "what is old cannot be dropped");
                    break;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.time.sleep(Span::from_millis(200)) => {}
            }
        }
        if incidents + audit > 0 {
            info!(incidents, audit, "what is old was dropped");
        }
    }

    /// The daily list of what is open and unhandled, into the journal; the pages show the same.
    async fn unhandled(&self) {
        let limit = Duration::from_secs(10);
        let asked = self.handle.ask(limit, |to| Ask::Incidents(Which::Unresolved(10_000), to)).await;
        match asked {
            Ok(open) => {
                let unhandled: Vec<String> =
                    open.iter().filter(|i| i.unhandled).take(50).map(|i| i.id.short()).collect();
                let count = open.iter().filter(|i| i.unhandled).count();
                info!(open = open.len(), unhandled = count, ids = unhandled.join(" "), "the daily list");
            }
            Err(e) => warn!(error = %e, "the daily list cannot be made"),
        }
    }
}

async fn schedule(hints: &mpsc::Sender<Hint>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for (at, hint) in TABLE {
        let (hints, hint) = (hints.clone(), *hint);
        let job = Job::new_async(*at, move |_, _| {
            // A hint that is there already is as good as two.
            _ = hints.try_send(hint);
            Box::pin(std::future::ready(()))
        })?;
        scheduler.add(job).await?;
    }
    scheduler.start().await?;
    Ok(scheduler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_line_of_the_table_is_a_time() {
        let (hint, _hints) = mpsc::channel(1);
        let mut scheduler = schedule(&hint).await.unwrap();
        scheduler.shutdown().await.unwrap();
    }
}
