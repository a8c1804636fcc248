//! Whether the program is well, and its figures: what monitors ask. They read shared values and wait for nobody.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::Instant;

use super::Shared;
use super::config::ClientRole;
use super::door::{self, Peer};
use super::problem::Problem;
use crate::telemetry::metrics::CONTENT_TYPE;

fn plain(well: bool, text: String) -> Response {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, text).into_response()
}

/// `/-/healthy`: the decision loop turned in the last 10 s.
pub(super) async fn healthy(State(shared): State<Arc<Shared>>) -> Response {
    let well = shared.health.borrow().is_alive(Instant::now());
    let text = if well { "alive\n" } else { "the decision loop has not turned in the last 10 s\n" };
    plain(well, text.to_owned())
}

/// `/-/ready`: it can do its work now, or every reason why not, a line each (I46).
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let reasons = shared.health.borrow().unready(Instant::now());
    match reasons.is_empty() {
        true => plain(true, "ready\n".to_owned()),
        false => plain(false, reasons.iter().map(|reason| format!("{reason}\n")).collect()),
    }
}

/// `/metrics`.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let text = shared.metrics.text().map_err(|error| {
        tracing::error!(%error, "the page of metrics could not be made");
        Problem::new(500, "the page of metrics could not be made")
    })?;
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Ok(response)
}

/// `GET /v1/health`: the same for the command line, with the alarms that only this machine shows (§7.4).
pub(super) async fn health(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    door::admit(&shared, peer, &headers, ClientRole::Operator)?;
    let (health, now) = (shared.health.borrow().clone(), Instant::now());
    let reasons: Vec<String> = health.unready(now).iter().map(ToString::to_string).collect();
    let setup = shared.setup();
    Ok(Json(json!({
        "desk": setup.desk,
        "version": env!("CARGO_PKG_VERSION"),
        "revision": setup.revision,
        "alive": health.is_alive(now),
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "alarms": health.alarms,
    }))
    .into_response())
}
