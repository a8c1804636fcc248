//! The watched folder while configurations come and go: the reader of before ends at a batch, the next one begins there.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::daemon::intake::{Intake, WatchConfig};
use crate::daemon::time::TimeSource;
use crate::daemon::turn::Order;
use crate::sources::history::import::ImportConfig;
use crate::store::Store;

/// What the reader goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// `[watch]`.
    pub watch: WatchConfig,
    /// `[import]`.
    pub import: Arc<ImportConfig>,
}

/// Keeps the reader of the folder that is configured now.
pub struct Folder {
    /// What it goes by.
    pub watched: watch::Receiver<Watched>,
    /// The desk.
    pub desk: Arc<str>,
    /// Where cursors are kept.
    pub store: Arc<dyn Store>,
    /// The way to the desk's owner.
    pub orders: mpsc::Sender<Order>,
    /// Time.
    pub time: Arc<dyn TimeSource>,
}

impl Folder {
    /// Reads until it is asked to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let Watched { watch, import } = self.watched.borrow_and_update().clone();
            let halt = stop.child_token();
            let intake = watch.folder.as_ref().map(|folder| Intake {
                folder: PathBuf::from(folder),
                import,
                batch: watch.batch,
                every: watch.every,
                desk: self.desk.clone(),
                store: self.store.clone(),
                orders: self.orders.clone(),
                time: self.time.clone(),
            });
            let reading = async {
                match intake {
                    Some(intake) => intake.run(halt.clone()).await,
                    None => halt.cancelled().await,
                }
            };
            tokio::pin!(reading);
            let changed = tokio::select! {
                () = &mut reading => continue,
                changed = self.watched.changed() => changed.is_ok(),
            };
            if changed {
                info!(
                    folder = watch.folder.as_deref().unwrap_or("-"),
                    "the watched folder is configured anew"
                );
                halt.cancel();
            }
            // Without anybody to say something new it reads on until the stop.
            reading.await;
        }
    }
}
