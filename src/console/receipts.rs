//! `POST /v1/receipts/{channel}`: a provider, or a gateway of the house, says what became of messages (RC1, RC4).
//!
//! ```json
//! {"key": "4X9…", "provider_id": "biz-1", "what": "delivered", "code": "DELIVERED", "at": "2026-03-02T10:00:00+08:00"}
//! ```
//!
//! `key` is ours, as the message carried it; `provider_id` is theirs; one of them is needed. `what` is `accepted`,
//! `delivered` or `failed`. One object, or an array of at most 1,000. The caller needs a token with the role `provider`,
//! whose `sources` name the channels it may speak of. It is answered 200 only when all of it is kept, so that whoever
//! gets another answer says it again; saying it twice changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::config::ClientRole;
use super::door::{self, Caller, Peer};
use super::problem::Problem;
use super::{ANSWER_WITHIN, Shared};
use crate::core::model::{Statement, StatementKind};
use crate::core::time::Instant;
use crate::daemon::handle::{Ask, AskError};

/// The largest body, in bytes, and the most receipts in it.
const BYTES: usize = 512 << 10;
const MOST: usize = 1000;
/// The longest key, id or code.
const LONGEST: usize = 128;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    key: Option<String>,
    provider_id: Option<String>,
    what: What,
    code: Option<String>,
    at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Accepted,
    Delivered,
    Failed,
}

fn read(body: &[u8]) -> Result<Vec<Receipt>, String> {
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    let receipts: Vec<Receipt> = match first {
        Some(b'[') => serde_json::from_slice(body).map_err(|e| e.to_string())?,
        _ => vec![serde_json::from_slice(body).map_err(|e| e.to_string())?],
    };
    for receipt in &receipts {
        if receipt.key.is_none() && receipt.provider_id.is_none() {
            return Err("a receipt has neither `key` nor `provider_id`, expected one of them".to_owned());
        }
        let texts = [&receipt.key, &receipt.provider_id, &receipt.code];
        if texts.into_iter().flatten().any(|text| text.is_empty() || text.len() > LONGEST) {
            return Err(format!("a key, id or code is empty or longer than {LONGEST} bytes"));
        }
    }
    Ok(receipts)
}

/// Takes receipts in.
pub(super) async fn take(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Path(channel): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let caller = door::admit(&shared, peer, &headers, ClientRole::Provider).map_err(Problem::closing)?;
    if let Caller::Client(client) = caller
        && !client.speaks_for(&channel)
    {
        return Err(Problem::new(403, "this token may not speak of this channel").closing());
    }
    let setup = shared.setup();
    let Some((channel, _)) = setup.channels.get_key_value(channel.as_str()) else {
        return Err(Problem::not_found("no channel has this name").closing());
    };
    let body = door::body(&shared.limits, &headers, body, BYTES).await?;
    let receipts = read(&body).map_err(|reason| Problem::new(422, reason))?;
    if receipts.len() > MOST {
        return Err(Problem::new(413, format!("more than {MOST} receipts in one request")));
    }
    if let Caller::Client(client) = caller {
        client
            .take(receipts.len().max(1), tokio::time::Instant::now())
            .map_err(|wait| Problem::new(429, "faster than the rate of this token").after(wait))?;
    }
    let now = (shared.now)();
    let taken = receipts.len();
    for receipt in receipts {
        let statement = Statement {
            key: receipt.key,
            provider_id: receipt.provider_id,
            channel: channel.clone(),
            what: match receipt.what {
                What::Accepted => StatementKind::Accepted,
                What::Delivered => StatementKind::Delivered,
                What::Failed => StatementKind::Negative,
            },
            code: receipt.code,
            // What says that it happens later is of now.
            at: receipt.at.map_or(now, |at| at.min(now)),
        };
        let asked = shared.handle.ask(ANSWER_WITHIN, |answer| Ask::State(Box::new(statement), answer)).await;
        match asked.and_then(|answer| answer) {
            Ok(()) => {}
            // Not a 2xx: whoever said it says it again.
            Err(error @ AskError::Slow) => return Err(Problem::new(503, error.to_string())),
            Err(error) => return Err(Problem::from(error)),
        }
    }
    Ok(Json(json!({ "taken": taken })).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_read_or_refused_with_a_reason() {
        for (body, want) in [
            (r#"{"key":"A","what":"delivered"}"#, Ok(1)),
            (r#" [{"provider_id":"b","what":"failed","code":"X"},{"key":"A","what":"accepted"}]"#, Ok(2)),
            ("[]", Ok(0)),
            (r#"{"what":"delivered"}"#, Err("neither")),
            (r#"{"key":"","what":"delivered"}"#, Err("empty")),
            (r#"{"key":"A","what":"read"}"#, Err("unknown variant")),
            (r#"{"key":"A","what":"delivered","at":"noon"}"#, Err("noon")),
            (r#"{"key":"A","what":"delivered","extra":1}"#, Err("extra")),
            ("", Err("EOF")),
        ] {
            match (read(body.as_bytes()), want) {
                (Ok(found), Ok(count)) => assert_eq!(found.len(), count, "{body}"),
                (Err(reason), Err(part)) => assert!(reason.contains(part), "{body}: {reason}"),
                (found, _) => panic!("{body}: {found:?}"),
            }
        }
    }
}
