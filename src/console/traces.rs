//! `POST /v1/traces/{source}/{carrier}/{number}/{token}`: a courier says by itself what happened to a parcel
//! (`logistics` 3.1, 8). The address is the parcel's own and cannot be guessed; the body is signed with the parcel's own
//! salt. It is answered well only when all of it is kept, so that the vendor says it again otherwise; saying it twice
//! changes nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::Shared;
use super::door::{self, Peer};
use super::problem::Problem;
use crate::daemon::parcels::{Door, Push};
use crate::sources::parcels::{Number, Pushed};
use crate::telemetry::metrics::Refused;

/// The largest body, in bytes: a list of five hundred scans has a quarter of it.
const BYTES: usize = 1 << 20;
/// The vendor waits twenty seconds.
const WITHIN: Duration = Duration::from_secs(10);

/// Takes a push in.
pub(super) async fn take(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Path((source, carrier, waybill, token)): Path<(String, String, String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let Some(door) = shared.doors.find(&source) else {
        return Err(Problem::not_found("no courier of this name is at work").closing());
    };
    let number = Number::new(&carrier, &waybill).filter(|number| door.hooks.is_of(number, &token));
    let Some(number) = number else {
        shared.metrics.refused(Refused::Token);
        door::missed(&shared, peer, &headers).map_err(Problem::closing)?;
        return Ok(answer(401, &door, Err("this is not the address of a parcel")));
    };
    let body = door::body(&shared.limits, &headers, body, BYTES).await?;
    let pushed = match door.courier.read_push(&number, &body, &door.hooks.salt(&number)) {
        Ok(pushed) => pushed,
        Err(refusal) => {
            let status = refusal.status();
            if status == 401 {
                shared.metrics.refused(Refused::Token);
                door::missed(&shared, peer, &headers).map_err(Problem::closing)?;
            }
            tracing::warn!(source, reason = refusal.reason(), "a push of a courier was refused");
            return Ok(answer(status, &door, Err(refusal.reason())));
        }
    };
    Ok(match keep(&door, number, pushed).await {
        true => answer(200, &door, Ok(())),
        false => answer(503, &door, Err("cannot be kept now, say it again")),
    })
}

/// Waits until a push is kept, and no longer than the vendor does.
async fn keep(door: &Door, number: Number, pushed: Pushed) -> bool {
    let (answer, arrive) = oneshot::channel();
    let kept =
        async { door.pushes.try_send(Push { number, pushed, answer }).is_ok() && arrive.await.is_ok() };
    tokio::time::timeout(WITHIN, kept).await.unwrap_or(false)
}

fn answer(status: u16, door: &Door, taken: Result<(), &str>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, json, door.courier.thanks(taken)).into_response()
}
