//! `/a/{token}`: what is behind the links in messages (`delivery_semantics` §12.1, S37).
//!
//! `GET` shows a page and changes nothing: previews, mail scanners and in-app browsers fetch links. The change is a
//! `POST` from that page, with a value that the page was given for this token not long ago.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::door::{self, Peer};
use super::incidents::{cut, which};
use super::pages::{Note, Saying, View};
use super::problem::Problem;
use super::{ANSWER_WITHIN, Shared};
use crate::core::alerting::{
    Act, Answer, BadLink, LINK_AFTER_RESOLVED, LinkKeys, LinkPurpose, LinkTarget, LinkToken, Refusal,
    Response as Asked, Setup,
};
use crate::core::ids::Id;
use crate::core::model::{Incident, Language};
use crate::core::time::{Instant, Span};
use crate::daemon::handle::{Ask, AskError, Which};
use crate::telemetry::metrics::Refused;
use crate::wire::form;

/// The largest form, in bytes.
const FORM: usize = 16 << 10;
/// The most fields of one.
const FIELDS: usize = 16;
/// A page can be posted for one to two of these.
const BUCKET: Span = Span::from_minutes(30);
/// What a snooze page offers, in minutes; the first is chosen already.
pub(super) const SNOOZES: [i64; 4] = [30, 15, 60, 120];

/// A token that was looked at, and what everything after it needs.
struct Opened {
    setup: Arc<Setup>,
    keys: LinkKeys,
    token: LinkToken,
    now: Instant,
    language: Language,
    /// Its time is over, by itself.
    expired: bool,
}

/// Believes a token, or shows the one page that every wrong one gets.
fn open(shared: &Shared, peer: Peer, headers: &HeaderMap, text: &str) -> Result<Opened, Box<Response>> {
    let setup = shared.setup();
    let keys = shared.link_keys(&setup);
    let now = (shared.now)();
    let (token, expired) = match keys.verify(text, now) {
        Ok(token) => (token, false),
        Err(BadLink::Expired(token)) => (token, true),
        Err(BadLink::Invalid) => {
            shared.metrics.refused(Refused::Link);
            let language = accepted_language(headers).unwrap_or(setup.language);
            let status = match door::missed(shared, peer, headers) {
                Ok(()) => StatusCode::NOT_FOUND,
                Err(problem) => problem.status(),
            };
            return Err(Box::new(shared.pages.note(status, language, Note::Invalid, &setup, None, &[])));
        }
    };
    let language = setup
        .roster
        .people
        .get(&token.person)
        .and_then(|person| person.language)
        .or_else(|| accepted_language(headers))
        .unwrap_or(setup.language);
    Ok(Opened { setup, keys, token, now, language, expired })
}

/// `GET /a/{token}`
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Path(text): Path<String>,
) -> Response {
    let opened = match open(&shared, peer, &headers, &text) {
        Ok(opened) => opened,
        Err(page) => return *page,
    };
    match members(&shared, &opened).await {
        Err(error) => opened.trouble(&shared, &error),
        Ok(incidents) => match opened.standing(&incidents) {
            Some(note) => opened.note(&shared, StatusCode::GONE, note, &incidents),
            None => opened.page(&shared, &text, &incidents, None),
        },
    }
}

/// `POST /a/{token}`
pub(super) async fn press(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Path(text): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    // Whoever may not post is not told whether the token is good.
    if !same_site(&headers, &shared.setup()) {
        return Err(Problem::new(403, "this form was sent from another site").closing());
    }
    let bytes = door::body(&shared.limits, &headers, body, FORM).await?;
    let opened = match open(&shared, peer, &headers, &text) {
        Ok(opened) => opened,
        Err(page) => return Ok(*page),
    };
    let form = form::fields(&bytes, FIELDS);
    let incidents = match members(&shared, &opened).await {
        Ok(incidents) => incidents,
        Err(error) => return Ok(opened.trouble(&shared, &error)),
    };
    if let Some(note) = opened.standing(&incidents) {
        return Ok(opened.note(&shared, StatusCode::GONE, note, &incidents));
    }
    if !opened.was_shown(&text, form::value(&form, "once")) {
        return Ok(opened.page(&shared, &text, &incidents, Some(Saying::PageTooOld)));
    }
    let act = match opened.act(&incidents, &form) {
        Ok(act) => act,
        Err(saying) => return Ok(opened.page(&shared, &text, &incidents, Some(saying))),
    };
    let asked = Asked {
        inbox: opened.keys.inbox(&opened.token),
        person: opened.token.person.clone(),
        via: "link".into(),
        act,
        episode: match opened.token.target {
            LinkTarget::Incident(_) => Some(opened.token.episode),
            LinkTarget::List { .. } => None,
        },
        from: Some(origin_of(peer, &headers, &shared)),
    };
    let asked = shared.handle.ask(ANSWER_WITHIN, |answer| Ask::Respond(Box::new(asked), answer)).await;
    match asked.and_then(|answer| answer) {
        Ok(answer) => Ok(opened.done(&shared, &answer).await),
        Err(AskError::Refused(refusal)) => Ok(opened.refused(&shared, &refusal, &incidents)),
        Err(AskError::Slow) => Ok(opened.note(&shared, StatusCode::ACCEPTED, Note::Working, &incidents)),
        Err(error) => Ok(opened.trouble(&shared, &error)),
    }
}

/// The incidents of a token, as they are now.
async fn members(shared: &Shared, opened: &Opened) -> Result<Vec<Incident>, AskError> {
    let ask = match opened.token.target {
        LinkTarget::Incident(id) => Which::One(id),
        LinkTarget::List { message, .. } => Which::Listed(message),
    };
    which(shared, ask).await
}

impl Opened {
    /// Why nothing can be pressed on it any more, if so.
    fn standing(&self, incidents: &[Incident]) -> Option<Note> {
        if self.token.purpose == LinkPurpose::AcceptHandover {
            return Some(Note::Reserved);
        }
        if incidents.is_empty() {
            return Some(Note::Gone);
        }
        if self.expired {
            return Some(Note::Expired);
        }
        let [one] = incidents else {
            let over = incidents.iter().all(|incident| self.long_over(incident));
            return over.then_some(Note::Expired);
        };
        let of_incident = matches!(self.token.target, LinkTarget::Incident(_));
        if of_incident && one.episode != self.token.episode {
            return Some(Note::OtherEpisode);
        }
        self.long_over(one).then_some(Note::Expired)
    }

    /// It was resolved longer ago than links live on (§12.1).
    fn long_over(&self, incident: &Incident) -> bool {
        incident.is_resolved() && incident.resolved_at.is_some_and(|at| self.now >= at + LINK_AFTER_RESOLVED)
    }

    fn bucket(&self) -> i64 {
        self.now.as_millis().div_euclid(BUCKET.as_millis())
    }

    /// Whether this page value was given out for this token in this bucket or the one before.
    fn was_shown(&self, text: &str, value: &str) -> bool {
        use subtle::ConstantTimeEq as _;
        let fits = |bucket| bool::from(self.keys.page_value(text, bucket).as_bytes().ct_eq(value.as_bytes()));
        fits(self.bucket()) | fits(self.bucket() - 1)
    }

    /// What pressing means.
    fn act(&self, incidents: &[Incident], form: &[(String, String)]) -> Result<Act, Saying> {
        // The token alone decides what is done; a form that asks for another thing is not quietly read as this one.
        if form::value(form, "do") != self.token.purpose.word() {
            return Err(Saying::OtherUse);
        }
        // A list's ack names what is left of it; one that is over answers "已恢复" by itself.
        let ids: Vec<Id> = incidents.iter().map(|incident| incident.id).collect();
        let single = match self.token.target {
            LinkTarget::Incident(id) => Ok(id),
            LinkTarget::List { .. } => Err(Saying::NotForLists),
        };
        match self.token.purpose {
            LinkPurpose::Ack => Ok(Act::Ack { incidents: ids }),
            LinkPurpose::Snooze => {
                let minutes = form::value(form, "minutes").parse().ok().filter(|m| SNOOZES.contains(m));
                let span = Span::from_minutes(minutes.ok_or(Saying::NoTime)?);
                Ok(Act::Snooze { incident: single?, span })
            }
            LinkPurpose::Resolve => {
                let reason = cut(form::value(form, "reason"));
                if reason.is_empty() {
                    return Err(Saying::NoReason);
                }
                Ok(Act::Resolve { incident: single?, reason })
            }
            LinkPurpose::View | LinkPurpose::AcceptHandover => Err(Saying::OnlyLooking),
        }
    }

    fn view<'a>(&'a self, incidents: &'a [Incident]) -> View<'a> {
        View { setup: &self.setup, now: self.now, language: self.language, token: &self.token, incidents }
    }

    /// The page with the button.
    fn page(&self, shared: &Shared, text: &str, incidents: &[Incident], saying: Option<Saying>) -> Response {
        let status = if saying.is_none() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let once = self.keys.page_value(text, self.bucket());
        shared.pages.form(status, &self.view(incidents), &once, saying)
    }

    fn note(&self, shared: &Shared, status: StatusCode, note: Note, incidents: &[Incident]) -> Response {
        let view = self.view(incidents);
        shared.pages.note(status, self.language, note, &self.setup, Some(&view), incidents)
    }

    /// It was not recorded, and the page says so (§16.4, RS1).
    fn trouble(&self, shared: &Shared, error: &AskError) -> Response {
        tracing::warn!(%error, "a person could not be answered");
        self.note(shared, StatusCode::SERVICE_UNAVAILABLE, Note::NotRecorded, &[])
    }

    fn refused(&self, shared: &Shared, refusal: &Refusal, incidents: &[Incident]) -> Response {
        let (status, note) = match refusal {
            Refusal::NoSuchIncident(_) | Refusal::NoSuchSilence(_) => (StatusCode::GONE, Note::Gone),
            Refusal::OtherEpisode { .. } => (StatusCode::GONE, Note::OtherEpisode),
            Refusal::NotEntitled { .. } | Refusal::Unknown(_) => (StatusCode::FORBIDDEN, Note::NotEntitled),
            Refusal::WrongStatus(_) => (StatusCode::CONFLICT, Note::WrongStatus),
            Refusal::OutOfBounds { .. } => (StatusCode::CONFLICT, Note::OutOfBounds),
        };
        self.note(shared, status, note, incidents)
    }

    /// What was done, with the state after it. It is committed by now.
    async fn done(&self, shared: &Shared, answer: &Answer) -> Response {
        // Without it the page says less, and nothing that is not so.
        let incidents = members(shared, self).await.unwrap_or_default();
        shared.pages.done(&self.view(&incidents), answer)
    }
}

/// Where a response came from, masked, for the audit.
fn origin_of(peer: Peer, headers: &HeaderMap, shared: &Shared) -> String {
    let address = match peer.caller(headers, &shared.limits) {
        Some(std::net::IpAddr::V4(v4)) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.*")
        }
        Some(std::net::IpAddr::V6(v6)) => format!("{v6}/64"),
        None => "machine".to_owned(),
    };
    let client = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("-");
    let client: String = client.chars().filter(|c| !c.is_control()).take(80).collect();
    format!("{address} {client}")
}

/// Whether a form can come from a page of ours. Our pages tell nobody where they are (`no-referrer`), so browsers give
/// their origin as `null`; then `Sec-Fetch-Site`, where it is sent, has to say that it is the same.
fn same_site(headers: &HeaderMap, setup: &Setup) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    match text("origin") {
        None => headers.get("origin").is_none(),
        Some("null") => true,
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            let ours = setup.config.base_url.as_deref().and_then(|base| {
                let (_, rest) = base.split_once("://")?;
                rest.split('/').next()
            });
            host.is_some() && (host == text("host") || host == ours)
        }
    }
}

/// The language that a browser asks for, if it is one of ours.
fn accepted_language(headers: &HeaderMap) -> Option<Language> {
    let accepted = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let mut best: Option<(u32, Language)> = None;
    for wish in accepted.split(',').take(16) {
        let (tag, weight) = wish.split_once(';').unwrap_or((wish, "q=1"));
        let tag = tag.trim().to_ascii_lowercase();
        let language = match tag.split('-').next() {
            Some("zh") => Language::Zh,
            Some("en") => Language::En,
            _ => continue,
        };
        let weight: f32 = weight.trim().strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(0.0);
        let weight = (weight.clamp(0.0, 1.0) * 1000.0) as u32;
        if weight > 0 && best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                ((*name).try_into().expect("a name"), header::HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn the_language_is_the_one_most_wished_for() {
        for (accepted, want) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(Language::Zh)),
            ("en-GB, zh;q=0.5", Some(Language::En)),
            ("de, en;q=0.3, zh;q=0.7", Some(Language::Zh)),
            ("de", None),
            ("zh;q=0", None),
            ("*", None),
            ("zh;q=NaN,en;q=-1", None),
        ] {
            assert_eq!(accepted_language(&headers(&[("accept-language", accepted)])), want, "{accepted}");
        }
    }
}
