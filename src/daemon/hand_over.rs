//! What a worker has read goes to the desk, with the rows that say how far it has read: one commit (I7).

use tokio::sync::{mpsc, oneshot};

use crate::core::model::{Observation, Row};
use crate::core::time::Span;
use crate::daemon::handle::{AskError, ObserveAnswer};
use crate::daemon::time::TimeSource;
use crate::daemon::turn::Order;

/// What could not be kept is offered again after so long.
const AGAIN: Span = Span::from_secs(1);

/// The desk is gone.
pub(super) struct Gone;

/// Gives observations and rows to the desk until they are kept. What it refuses is not offered again; answers how many
/// that were.
pub(super) async fn hand_over(
    orders: &mpsc::Sender<Order>,
    time: &dyn TimeSource,
    mut observations: Vec<Observation<'static>>,
    rows: Vec<Row>,
) -> Result<usize, Gone> {
    let offered = observations.len();
    loop {
        let (answer, arrive) = oneshot::channel();
        let order = Order::Taken { observations: observations.clone(), cursor: rows.clone(), answer };
        orders.send(order).await.map_err(|_| Gone)?;
        match arrive.await {
            Ok(Ok(answers)) => {
                let again = answers.iter().any(|a| matches!(a, ObserveAnswer::Unavailable(_)));
                let mut refused = answers.iter().map(|a| matches!(a, ObserveAnswer::Refused(_)));
                observations.retain(|_| !refused.next().unwrap_or(false));
                if !again {
                    return Ok(offered - observations.len());
                }
            }
            Ok(Err(AskError::Gone)) => return Err(Gone),
            // The store takes no writes now: nothing is read on until it does.
            Ok(Err(_)) | Err(_) => {}
        }
        time.sleep(AGAIN).await;
    }
}
