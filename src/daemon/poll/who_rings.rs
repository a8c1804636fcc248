//! Who rings soon: asked of the desk, for the sources to read it again before it does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::core::engine::OpenCase;
use crate::core::time::Span;
use crate::daemon::time::TimeSource;
use crate::daemon::turn::Order;
use crate::sources::poll::again::AHEAD;

/// The desk is asked so often.
const LOOK: Span = Span::from_secs(20);

/// Who rings soon, by their sources.
pub(super) type Soon = Arc<BTreeMap<String, Vec<OpenCase>>>;

/// Asks the desk who rings soon, for all sources at once: so the desk looks once at what is due.
pub(super) struct WhoRings {
    pub(super) sources: Arc<BTreeSet<String>>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) time: Arc<dyn TimeSource>,
    pub(super) soon: Arc<watch::Sender<Soon>>,
}

impl WhoRings {
    pub(super) async fn run(self, halt: CancellationToken) {
        tokio::select! {
            () = halt.cancelled() => {}
            () = self.look() => halt.cancelled().await,
        }
    }

    /// Until the desk is gone.
    pub(super) async fn look(&self) {
        while !self.sources.is_empty() {
            let (answer, arrive) = oneshot::channel();
            let until = self.time.read().wall + AHEAD;
            let order = Order::Ahead { sources: self.sources.clone(), until, answer };
            if self.orders.send(order).await.is_err() {
                return;
            }
            // A desk that is loaded again has not answered: it is asked again.
            if let Ok(cases) = arrive.await {
                let mut soon: BTreeMap<String, Vec<OpenCase>> = BTreeMap::new();
                for case in cases {
                    soon.entry(case.source.clone()).or_default().push(case);
                }
                self.soon.send_replace(Arc::new(soon));
            }
            self.time.sleep(LOOK).await;
        }
    }
}
