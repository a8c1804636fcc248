//! `/v1/…` for operators: see incidents, act on them in a person's name, reload (RS7). The same commits as a link's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::config::ClientRole;
use super::door::{self, Caller, Peer};
use super::problem::Problem;
use super::{ANSWER_WITHIN, Shared};
use crate::core::alerting::{Act, Response as Asked, SilenceRequest};
use crate::core::ids::Id;
use crate::core::model::{Incident, PersonId};
use crate::core::time::Span;
use crate::daemon::handle::{Ask, AskError, ReloadAsk, Which};

/// The most incidents in one answer.
const MOST: usize = 1000;
/// The largest body of an act, in bytes.
const ACT_BYTES: usize = 64 << 10;
/// The longest reason that is kept, in characters.
pub(super) const REASON: usize = 500;
/// A reload reads files and compiles a policy.
const RELOAD_WITHIN: Duration = Duration::from_secs(20);

/// `GET /v1/incidents?limit=…`; with `&after=ID`, or an empty one to begin, page by page in the order of ids: `next` of
/// an answer is the `after` of the next page, and `null` of the last.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<usize>,
    after: Option<String>,
}

/// All that are not resolved, most urgent first.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    door::admit(&shared, peer, &headers, ClientRole::Operator)?;
    let Query(page) = page.map_err(|e| Problem::new(422, e.body_text()))?;
    let limit = page.limit.unwrap_or(100).clamp(1, MOST);
    let Some(after) = page.after else {
        let incidents = which(&shared, Which::Unresolved(limit)).await?;
        return Ok(Json(json!({ "incidents": incidents })).into_response());
    };
    let after = match after.as_str() {
        "" => None,
        id => Some(id.parse::<Id>().map_err(|e| Problem::new(422, format!("after: {e}")))?),
    };
    let incidents = which(&shared, Which::After(after, limit)).await?;
    let next = incidents.last().filter(|_| incidents.len() == limit).map(|last| last.id);
    Ok(Json(json!({ "incidents": incidents, "next": next })).into_response())
}

/// One, by its id or the first characters of it.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    door::admit(&shared, peer, &headers, ClientRole::Operator)?;
    Ok(Json(one(&shared, &id).await?).into_response())
}

/// What an act says. Which fields it needs depends on the act.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActBody {
    /// In whose name.
    person: PersonId,
    /// For how long, of a snooze.
    span: Option<Span>,
    /// Why, of a resolve or an escalation.
    reason: Option<String>,
    /// Only if the incident is in this episode.
    episode: Option<u32>,
}

/// `POST /v1/incidents/{id}/ack|snooze|resolve|escalate|release`
pub(super) async fn act(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Path((id, act)): Path<(String, String)>,
    body: Body,
) -> Result<Response, Problem> {
    let caller = door::admit(&shared, peer, &headers, ClientRole::Operator)?;
    if !["ack", "snooze", "resolve", "escalate", "release"].contains(&&*act) {
        return Err(Problem::not_found("expected ack, snooze, resolve, escalate or release"));
    }
    let said: ActBody = json_body(&shared, &headers, body).await?;
    let missing = |key: &str| Problem::new(422, format!("`{key}` is missing: {act} needs it"));
    let reason = said.reason.map(|reason| cut(&reason)).filter(|reason| !reason.is_empty());
    let incident = one(&shared, &id).await?.id;
    let act = match &*act {
        "ack" => Act::Ack { incidents: vec![incident] },
        "snooze" => Act::Snooze { incident, span: said.span.ok_or_else(|| missing("span"))? },
        "resolve" => Act::Resolve { incident, reason: reason.ok_or_else(|| missing("reason"))? },
        "escalate" => Act::Escalate { incident, reason },
        _ => Act::Release { incident },
    };
    respond(&shared, caller, &headers, said.person, act, said.episode).await
}

/// A silence as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SilenceBody {
    person: PersonId,
    matchers: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    reason: String,
    span: Span,
    #[serde(default)]
    covers_vip: bool,
}

/// `POST /v1/silences`
pub(super) async fn silence(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let caller = door::admit(&shared, peer, &headers, ClientRole::Operator)?;
    let SilenceBody { person, matchers, reason, span, covers_vip } =
        json_body(&shared, &headers, body).await?;
    let reason = cut(&reason);
    if reason.is_empty() || matchers.is_empty() {
        return Err(Problem::new(422, "a silence needs a reason and at least one matcher (§8.4)"));
    }
    let act = Act::Silence(SilenceRequest { matchers, reason, span, covers_vip });
    respond(&shared, caller, &headers, person, act, None).await
}

/// `DELETE /v1/silences/{id}?person=…`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Who {
    person: PersonId,
}

/// Ends a silence.
pub(super) async fn end_silence(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Path(id): Path<String>,
    who: Result<Query<Who>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let caller = door::admit(&shared, peer, &headers, ClientRole::Operator)?;
    let Query(Who { person }) = who.map_err(|e| Problem::new(422, e.body_text()))?;
    let silence = id.parse::<Id>().map_err(|e| Problem::not_found(e.to_string()))?;
    respond(&shared, caller, &headers, person, Act::EndSilence { silence }, None).await
}

/// What a reload is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReloadBody {
    dry_run: bool,
}

/// `POST /v1/reload`
pub(super) async fn reload(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    door::admit(&shared, peer, &headers, ClientRole::Operator)?;
    let bytes = door::body(&shared.limits, &headers, body, ACT_BYTES).await?;
    let said: ReloadBody = match bytes.trim_ascii() {
        [] => ReloadBody::default(),
        text => serde_json::from_slice(text).map_err(|e| Problem::new(422, e.to_string()))?,
    };
    let ask = ReloadAsk { dry_run: said.dry_run };
    match shared.handle.ask(RELOAD_WITHIN, |answer| Ask::Reload(ask, answer)).await? {
        Ok(answer) => {
            Ok(Json(json!({ "revision": answer.revision, "dry_run": said.dry_run, "report": answer.report }))
                .into_response())
        }
        Err(report) => Err(Problem::new(422, report)),
    }
}

async fn json_body<T: DeserializeOwned>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    let bytes = door::body(&shared.limits, headers, body, ACT_BYTES).await?;
    serde_json::from_slice(&bytes).map_err(|e| Problem::new(422, e.to_string()))
}

/// A reason as it is kept: without control characters, and not too long.
pub(super) fn cut(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim().chars().take(REASON).collect()
}

/// Asks for incidents.
pub(super) async fn which(shared: &Shared, which: Which) -> Result<Vec<Incident>, AskError> {
    shared.handle.ask(ANSWER_WITHIN, |answer| Ask::Incidents(which, answer)).await
}

/// The one incident of an id, or of the first characters of it.
async fn one(shared: &Shared, id: &str) -> Result<Incident, Problem> {
    let ask = match id.parse::<Id>() {
        Ok(id) => Which::One(id),
        Err(_) if (4..26).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Which::Short(id.to_ascii_uppercase())
        }
        Err(_) => {
            return Err(Problem::not_found(
                "expected an incident's id, or 4 or more of its first characters",
            ));
        }
    };
    let mut found = which(shared, ask).await?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Problem::not_found("no incident has this id")),
        n => {
            let ids: Vec<String> = found.iter().take(10).map(|incident| incident.id.to_string()).collect();
            Err(Problem::new(
                409,
                format!("{n} incidents begin like this, name one in full: {}", ids.join(", ")),
            ))
        }
    }
}

/// What an act is called in the inbox (I11): the caller's own key, where it gives one, else a new one each time.
fn inbox(shared: &Shared, caller: Caller<'_>, headers: &HeaderMap, person: &PersonId) -> Id {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = caller.name();
    let via = caller.via().as_bytes();
    match headers.get("idempotency-key") {
        Some(key) => shared.key.id(&[b"inbox", via, name.as_bytes(), key.as_bytes(), person.as_bytes()]),
        None => {
            let at = (shared.now)().as_millis().to_be_bytes();
            let n = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let process = std::process::id().to_be_bytes();
            shared.key.id(&[b"inbox", via, name.as_bytes(), &at, &n, &process])
        }
    }
}

async fn respond(
    shared: &Shared,
    caller: Caller<'_>,
    headers: &HeaderMap,
    person: PersonId,
    act: Act,
    episode: Option<u32>,
) -> Result<Response, Problem> {
    let inbox = inbox(shared, caller, headers, &person);
    let from = Some(caller.name().to_string());
    let asked = Asked { inbox, person, via: caller.via().into(), act, episode, from };
    match shared.handle.ask(ANSWER_WITHIN, |answer| Ask::Respond(Box::new(asked), answer)).await {
        Ok(Ok(answer)) => Ok(Json(answer).into_response()),
        // It may still be done: nobody is told that it was.
        Err(AskError::Slow) | Ok(Err(AskError::Slow)) => {
            Ok((StatusCode::ACCEPTED, Json(json!({ "pending": AskError::Slow.to_string() }))).into_response())
        }
        Ok(Err(error)) | Err(error) => Err(Problem::from(error)),
    }
}
