//! `/v1/callbacks/{channel}`: what providers send us (`delivery_semantics` §11, §12.2). Who they are and what they say is
//! told by the channel; here the person is found, the desk asked, and the answer given: after the commit, or "处理中".
//!
//! A receipt of some gateways is a `GET`: it says what became of a message, and can be said as often as one likes. No press
//! and no reply is one (I42).

mod face;
mod person;
mod reply;
mod seen;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::door::{self, Peer};
use super::limit::Limit;
use super::problem::Problem;
use super::{ANSWER_WITHIN, Shared};
use crate::channels::Channel;
use crate::channels::callback::{Answer, BYTES, Face, Heard, Hears, Knock, Press, Receipt};
use crate::core::alerting::{
    Answer as Answered, BadButton, ButtonToken, LINK_AFTER_RESOLVED, LinkTarget, Refusal, Response as Asked,
    Setup,
};
use crate::core::model::{Incident, Outcome, OutcomeClass, PersonId, Statement};
use crate::daemon::handle::{Ask, AskError, Late, Which};
use crate::telemetry::metrics::Refused;

use face::Faces;
use person::person_of;
use reply::Replies;
use seen::Seen;

/// So many requests a second of one channel, and so many at once: a provider's retries come in swarms.
const A_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
const BURST: u32 = 500;
/// How often a card is shown that could not be shown, and how long is waited in between at least.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// What is remembered of callbacks.
#[derive(Debug, Default)]
pub(super) struct Calls {
    rates: Mutex<BTreeMap<Arc<str>, Limit>>,
    seen: Mutex<Seen>,
    replies: Mutex<Replies>,
}

impl Calls {
    /// Takes one of a channel's rate, or says how long to wait.
    fn take(&self, channel: &Arc<str>, now: Instant) -> Result<(), Duration> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        // Channels are configured: there are few.
        let new = || Limit::new(A_SECOND, Duration::from_secs(1), BURST);
        rates.entry(channel.clone()).or_insert_with(new).take(1, now)
    }
}

/// A request, as far as it is one.
pub(super) struct Call {
    peer: Peer,
    method: Method,
    headers: HeaderMap,
    query: String,
    pass: Option<String>,
}

/// `/v1/callbacks/{channel}`
pub(super) async fn take(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    method: Method,
    headers: HeaderMap,
    Path(channel): Path<String>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, Problem> {
    let call = Call { peer, method, headers, query: query.unwrap_or_default(), pass: None };
    heard(shared, call, &channel, body).await
}

/// `/v1/callbacks/{channel}/{secret}`
pub(super) async fn take_by_secret(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    method: Method,
    headers: HeaderMap,
    Path((channel, pass)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, Problem> {
    let call = Call { peer, method, headers, query: query.unwrap_or_default(), pass: Some(pass) };
    heard(shared, call, &channel, body).await
}

async fn heard(shared: Arc<Shared>, call: Call, name: &str, body: Body) -> Result<Response, Problem> {
    let channel = shared.channels.borrow().get(name).cloned();
    // Whether a channel has that name, or is called back, is nobody's business.
    let nothing = || Problem::not_found("there is nothing at this address").closing();
    let channel = channel.ok_or_else(nothing)?;
    let hears = channel.hears().ok_or_else(nothing)?;
    let name = channel.card().name.clone();
    let body = door::body(&shared.limits, &call.headers, body, BYTES).await?;
    let now = (shared.now)();
    let knock = Knock {
        method: &call.method,
        query: &call.query,
        headers: &call.headers,
        body: &body,
        pass: call.pass.as_deref(),
        caller: call.peer.caller(&call.headers, &shared.limits),
        now,
    };
    let heard = hears.hear(&knock).map_err(|refusal| {
        shared.metrics.refused(Refused::Token);
        match door::missed(&shared, call.peer, &call.headers) {
            Ok(()) => {
                let adapter = &channel.card().adapter;
                tracing::warn!(channel = %name, %adapter, reason = %refusal, "a callback was refused");
                Problem::new(refusal.status(), refusal.to_string()).closing()
            }
            // Whoever goes on is not told of again and again.
            Err(problem) => problem.closing(),
        }
    })?;
    shared.calls.take(&name, Instant::now()).map_err(|wait| {
        shared.metrics.refused(Refused::Rate);
        Problem::new(429, "faster than any provider").after(wait)
    })?;
    let answer = match heard {
        Heard::Reply(answer) => answer,
        Heard::Press(press) => pressed(&shared, &channel, hears, press).await,
        Heard::Told { receipts, texts } => {
            let mut kept = stated(&shared, hears, &name, receipts).await;
            let mut say = None;
            for text in &texts {
                let done = reply::take(&shared, hears, &name, text).await;
                kept &= done.kept;
                // Nobody is answered who is one of many.
                say = done.say.filter(|_| texts.len() == 1);
            }
            hears.thanks(kept, say.as_deref())
        }
    };
    Ok(respond(answer))
}

fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(answer.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, answer.body).into_response()
}

/// Takes receipts in; whether all of them are kept.
async fn stated(shared: &Shared, hears: &dyn Hears, channel: &Arc<str>, receipts: Vec<Receipt>) -> bool {
    if receipts.is_empty() {
        return true;
    }
    let now = (shared.now)();
    let count = receipts.len();
    let statements = receipts
        .into_iter()
        .map(|receipt| Statement {
            key: receipt.key,
            provider_id: receipt.provider_id,
            channel: channel.clone(),
            what: receipt.what,
            code: receipt.code,
            // What says that it happens later is of now.
            at: receipt.at.map_or(now, |at| at.min(now)),
        })
        .collect();
    match shared.handle.state(hears.waits().min(ANSWER_WITHIN), statements).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%channel, count, %error, "receipts could not be kept in time: they will be said again");
            false
        }
    }
}

/// Does what a button is for, and shows it.
async fn pressed(
    shared: &Arc<Shared>,
    channel: &Arc<dyn Channel>,
    hears: &dyn Hears,
    press: Press,
) -> Answer {
    let begun = Instant::now();
    let name = channel.card().name.clone();
    let again = !shared.first_time(&name, &press.event);
    let (face, coming) = act(shared, channel, hears, &press, begun + hears.waits().min(ANSWER_WITHIN)).await;
    let answer = hears.pressed(&press, &face);
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(channel = %name, tone = ?face.tone, again, took_ms, "a press was answered");
    match coming {
        Some(coming) => coming.follow(shared, channel, press),
        // What a provider says twice is shown once.
        None if !again && !hears.answers_with_card() => show(shared, channel, press, face),
        None => {}
    }
    answer
}

/// An act that is not committed yet: what will be shown when it is.
struct Coming {
    arrive: tokio::sync::oneshot::Receiver<Result<Answered, AskError>>,
    person: PersonId,
    token: ButtonToken,
}

impl Coming {
    /// Shows what came of it, whenever that is known (S43).
    fn follow(self, shared: &Arc<Shared>, channel: &Arc<dyn Channel>, press: Press) {
        let (own, channel) = (shared.clone(), channel.clone());
        shared.after.later(async move {
            let Ok(answer) = self.arrive.await else { return };
            let faces = Faces::new(&own, &self.person, channel.card().class);
            let face = match answer {
                Ok(answer) => {
                    let incidents = members(&own, &self.token, ANSWER_WITHIN).await.unwrap_or_default();
                    faces.done(&self.token.target, &answer, &incidents)
                }
                Err(AskError::Refused(refusal)) => faces.refused(&refusal),
                Err(_) => faces.not_recorded(),
            };
            amend(&own, &channel, &press, &face).await;
        });
    }
}

/// Asks the desk in the name of whoever pressed.
async fn act(
    shared: &Shared,
    channel: &Arc<dyn Channel>,
    hears: &dyn Hears,
    press: &Press,
    until: Instant,
) -> (Face, Option<Coming>) {
    let setup = shared.setup();
    let now = (shared.now)();
    let card = channel.card();
    let who = person_of(&setup, hears, &card.name, &press.ids, now);
    let person: PersonId = match &who {
        Ok(person) => person.clone(),
        Err(_) => "".into(),
    };
    let faces = Faces::new(shared, &person, card.class);
    let keys = shared.link_keys(&setup);
    let token = match keys.verify_button(&press.value, now) {
        Ok(token) => token,
        Err(fault) => {
            shared.metrics.refused(Refused::Link);
            return (if fault == BadButton::Expired { faces.expired() } else { faces.invalid() }, None);
        }
    };
    if let Err(unknown) = who {
        tracing::warn!(channel = %card.name, reason = %unknown, "nobody of the roster could be found for a press");
        return (faces.unknown(), None);
    }
    let left = || until.saturating_duration_since(Instant::now());
    let incidents = match members(shared, &token, left()).await {
        Ok(incidents) => incidents,
        Err(_) => return (faces.not_recorded(), None),
    };
    let over = |incident: &Incident| {
        incident.is_resolved() && incident.resolved_at.is_some_and(|at| now >= at + LINK_AFTER_RESOLVED)
    };
    let ids = incidents.iter().map(|incident| incident.id).collect();
    let Some(act) = token.act.act(ids).filter(|_| !incidents.iter().all(over)) else {
        return (faces.gone(), None);
    };
    let asked = Asked {
        inbox: keys.button_inbox(&token, &person),
        person: person.clone(),
        via: card.name.clone(),
        act,
        episode: matches!(token.target, LinkTarget::Incident(_)).then_some(token.episode),
        from: Some(card.adapter.to_string()),
    };
    match shared.handle.respond(left(), asked).await {
        Ok(answer) => {
            // Without them less is shown, and nothing that is not so.
            let incidents = members(shared, &token, left()).await.unwrap_or(incidents);
            (faces.done(&token.target, &answer, &incidents), None)
        }
        Err(Late::Coming(arrive)) => (faces.working(), Some(Coming { arrive, person, token })),
        Err(Late::Failed(AskError::Refused(refusal))) => (faces.refused(&refusal), None),
        Err(Late::Failed(error)) => {
            tracing::warn!(channel = %card.name, %error, "a person could not be answered");
            (faces.not_recorded(), None)
        }
    }
}

/// The incidents of a button, as they are now.
async fn members(shared: &Shared, token: &ButtonToken, limit: Duration) -> Result<Vec<Incident>, AskError> {
    let which = match token.target {
        LinkTarget::Incident(id) => Which::One(id),
        LinkTarget::List { message, .. } => Which::Listed(message),
    };
    shared.handle.ask(limit, |answer| Ask::Incidents(which, answer)).await
}

/// Shows it by a call of its own, after the answer.
fn show(shared: &Arc<Shared>, channel: &Arc<dyn Channel>, press: Press, face: Face) {
    let (own, channel) = (shared.clone(), channel.clone());
    shared.after.later(async move { amend(&own, &channel, &press, &face).await });
}

/// The outbound step: it may fail, and what was committed stays.
async fn amend(shared: &Shared, channel: &Arc<dyn Channel>, press: &Press, face: &Face) {
    let name = &channel.card().name;
    for n in 1..=TRIES {
        let Some(Outcome { class, code, wait, .. }) = channel.amend(&press.place, face).await else { return };
        let goes_on = matches!(
            class,
            OutcomeClass::Transient | OutcomeClass::Throttled | OutcomeClass::Unknown | OutcomeClass::NotSent
        );
        let code = code.as_deref().unwrap_or("");
        if class == OutcomeClass::Accepted {
            return tracing::debug!(channel = %name, n, "a card was shown as it is");
        }
        if !goes_on || n == TRIES {
            return tracing::warn!(channel = %name, outcome = class.word(), code, n, "a card could not be shown as it is");
        }
        let asked = wait.map_or(Duration::ZERO, crate::daemon::time::to_duration);
        let [jitter, ..] = shared.key.mac(&[b"amend", press.event.as_bytes(), &n.to_be_bytes()]);
        tokio::time::sleep((PAUSE * n).max(asked) + Duration::from_millis(u64::from(jitter) * 4)).await;
    }
}

impl Shared {
    /// Whether a provider says this for the first time, as far as it is remembered.
    fn first_time(&self, channel: &str, event: &str) -> bool {
        let id = self.key.id(&[b"event", channel.as_bytes(), event.as_bytes()]);
        self.calls.seen.lock().unwrap_or_else(PoisonError::into_inner).is_new(id)
    }
}

/// Why it was refused, for whom a face is made.
pub(super) fn is_about_person(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::NotEntitled { .. } | Refusal::Unknown(_))
}

/// What the desk goes by, for whoever makes texts of it.
pub(super) fn name_of<'a>(setup: &'a Setup, person: &'a str) -> &'a str {
    setup.roster.people.get(person).map_or(person, |person| &person.name)
}
