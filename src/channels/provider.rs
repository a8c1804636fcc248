//! Providers that are written to over HTTP: what all of them have in common. An adapter says which request a claim becomes
//! and what its answers mean; the bounds, the token that runs out, the redaction and the reading of what is no answer
//! are here, once.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::channels::answers::{by_status, word};
use crate::channels::callback::{Face, Hears, Place};
use crate::channels::http::{detail_without, failed};
use crate::channels::{
    Adapter, BuildError, BuildFault, Channel, ChannelCard, ChannelConfig, Clock, Limits, Making,
};
use crate::core::alerting::{Claim, Inquiry};
use crate::core::model::{
    DuplicateKey, LinkRule, Outcome, OutcomeClass, Rate, ReceiptPath, ReplyPath, Statement,
};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::wire::http::{ClientConfig, client, http_date, is_public, read_ca, retry_after};
use crate::wire::sign;

/// What is read of an answer at most.
const LONGEST: usize = 256 * 1024;
/// How long a ring besides a message may take.
const RING: Duration = Duration::from_secs(2);
/// A token is renewed when this part of its life is left, in percent.
const RENEW_AT: u8 = 20;

/// `[channels.NAME.ADAPTER.http]`: how the provider is reached, where that is not the ordinary way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReachConfig {
    /// Another server than the provider's own, such as a private installation: `https://HOST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Certificates (PEM) that are trusted beside those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The proxy to go through: `http://HOST:PORT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Servers on this machine and in private networks may be written to.
    pub allow_private: bool,
    /// Plain http to another machine: everybody on the way can read and change it.
    pub allow_plain: bool,
}

impl ReachConfig {
    /// Notes everything that is wrong with the section `http`.
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.within("http", |problems| self.check_here(problems));
    }

    /// Notes everything that is wrong, in the section that the keys stand in.
    pub(crate) fn check_here(&self, problems: &mut Problems) {
        if let Some(base) = &self.base
            && let Err(reason) = self.target(base)
        {
            problems.within("base", |p| p.error(reason));
        }
        if let Some(file) = &self.ca_file
            && let Err(e) = read_ca(file.as_ref())
        {
            problems.within("ca_file", |p| p.error(e.to_string()));
        }
        if let Some(proxy) = &self.proxy
            && reqwest::Proxy::all(proxy).is_err()
        {
            problems.within("proxy", |p| p.error("is no URL of a proxy, expected http://HOST:PORT"));
        }
    }

    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        if let Some(file) = &mut self.ca_file {
            *file = folder.join(&*file).display().to_string();
        }
    }

    /// The server, without a slash at its end.
    pub(crate) fn base(&self, own: &str) -> String {
        self.base.as_deref().unwrap_or(own).trim_end_matches('/').to_owned()
    }

    /// A URL that may be written to; told without the URL, which may hold a token.
    pub(crate) fn target(&self, url: &str) -> Result<Url, String> {
        let url = Url::parse(url).map_err(|e| format!("is no URL: {e}, expected https://HOST/PATH"))?;
        let host = url.host_str().ok_or("is a URL without a host, expected https://HOST/PATH")?;
        let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().ok();
        let local = host == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
        if !self.allow_private && (host == "localhost" || ip.is_some_and(|ip| !is_public(ip))) {
            return Err(
                "leads to this machine or a private network; if that is meant, set allow_private = true"
                    .to_owned(),
            );
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if local || self.allow_plain => Ok(url),
            "http" => {
                Err("is http to another machine: everybody on the way can read it; expected https, or \
                           allow_plain = true"
                    .to_owned())
            }
            other => Err(format!("has the scheme {other}, expected https")),
        }
    }
}

/// A request as it leaves, to the byte.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// JSON in UTF-8, as most name it.
pub(crate) const JSON: &str = "application/json; charset=utf-8";
/// A form.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

impl Request {
    /// A document, in raw UTF-8: escapes would double the Chinese in it, and limits count bytes.
    pub(crate) fn json(url: String, body: &Value) -> Request {
        let headers = vec![("content-type", JSON.to_owned())];
        Request { method: Method::POST, url, headers, body: body.to_string() }
    }

    /// A form.
    pub(crate) fn form(url: String, fields: &[(&str, String)]) -> Request {
        let headers = vec![("content-type", FORM.to_owned())];
        Request { method: Method::POST, url, headers, body: sign::form(fields) }
    }

    /// Nothing but a URL.
    pub(crate) fn get(url: String) -> Request {
        Request { method: Method::GET, url, headers: Vec::new(), body: String::new() }
    }

    /// The same with one header more.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Request {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
        self
    }

    /// As the client sends it. Every header but the kind of the body may hold a secret.
    pub(crate) fn outgoing(&self, reach: &ReachConfig) -> Result<reqwest::Request, String> {
        let url = reach.target(&self.url)?;
        let mut request = reqwest::Request::new(self.method.clone(), url);
        for (name, value) in &self.headers {
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| format!("{name}: found characters that no header may have"))?;
            let name = HeaderName::from_static(name);
            value.set_sensitive(name != CONTENT_TYPE);
            request.headers_mut().insert(name, value);
        }
        if !self.body.is_empty() || self.method == Method::POST {
            *request.body_mut() = Some(self.body.clone().into());
        }
        Ok(request)
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// What was read of it.
    pub(crate) body: String,
    /// How long it asks us to wait.
    pub(crate) wait: Option<Span>,
}

impl Reply {
    /// The document, if it is one.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    /// Whether the status says that it went well.
    pub(crate) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A pass that runs out.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) lives: Span,
}

/// What an adapter says of one provider.
pub(crate) trait Provider: Send + Sync + 'static {
    /// What is sent for a claim; an outcome where nothing can be.
    fn request(&self, claim: &Claim, token: &str, now: Instant) -> Result<Request, Outcome>;

    /// What the answer means.
    fn read(&self, claim: &Claim, reply: &Reply) -> Outcome;

    /// What is asked for once a message was taken: a ring besides it. That it fails changes nothing of the message.
    fn after(&self, _: &Claim, _: &Outcome, _token: &str) -> Option<Request> {
        None
    }

    /// Who listens to what the provider sends us.
    fn hears(&self) -> Option<&dyn Hears> {
        None
    }

    /// What shows a person what came of their press, where the answer to it does not.
    fn amend(&self, _: &Place, _: &Face, _token: &str) -> Option<Request> {
        None
    }

    /// What the answer to that means.
    fn amended(&self, reply: &Reply) -> Outcome {
        match reply.is_good() {
            true => Outcome::of(OutcomeClass::Accepted),
            false => by_status(reply),
        }
    }

    /// What is asked to learn what became of a message.
    fn ask(&self, _: &Inquiry, _token: &str, _now: Instant) -> Option<Request> {
        None
    }

    /// What the answer to that says; `None` where it says nothing.
    fn told(&self, _: &Inquiry, _: &Reply) -> Option<Statement> {
        None
    }

    /// How a token is got, where requests need one that runs out.
    fn token(&self) -> Option<Request> {
        None
    }

    /// The token in the answer to that.
    fn read_token(&self, reply: &Reply) -> Result<Token, Outcome> {
        Err(by_status(reply))
    }
}

/// An adapter's channel before it is reached.
pub(crate) struct Made<P> {
    pub(crate) provider: P,
    pub(crate) card: ChannelCard,
    pub(crate) reach: ReachConfig,
    /// What no text may repeat.
    pub(crate) secrets: Vec<String>,
}

/// The card of a channel that can do nothing special.
fn card(adapter: &Adapter, config: &ChannelConfig, making: &Making<'_>) -> ChannelCard {
    ChannelCard {
        name: Arc::clone(&making.name),
        adapter: adapter.name.into(),
        class: adapter.class,
        duplicate_key: DuplicateKey::None,
        receipts: ReceiptPath::None,
        reply: ReplyPath::None,
        body_limit: None,
        links: LinkRule::Any,
        lane_caps: Vec::new(),
        account_caps: Vec::new(),
        max_inflight: config.max_inflight,
    }
}

/// A limit of a provider as a budget of ours. The provider counts what reaches it, we count what leaves, and what leaves
/// later may overtake what left before: so our window is longer by as much as an attempt may last, and one of seconds
/// twice as long. A day is any 24 hours, and not one of the calendar.
pub(crate) fn within(count: u32, per: Span, making: &Making<'_>) -> Rate {
    let late = Span::from_millis(i64::try_from(making.limits.total.as_millis()).unwrap_or(i64::MAX));
    Rate { count, per: per + late.min(per) }
}

/// Makes the channel of a section.
pub(crate) fn build<C, P: Provider>(
    adapter: &'static Adapter,
    config: &ChannelConfig,
    making: &Making<'_>,
    section: Option<&C>,
    make: fn(&C, ChannelCard, &Making<'_>) -> Result<Made<P>, BuildFault>,
) -> Result<Arc<dyn Channel>, BuildError> {
    let made = || {
        let section = section.ok_or_else(|| BuildFault::Setting("has no section".to_owned()))?;
        let made = make(section, card(adapter, config, making), making)?;
        let http = ClientConfig {
            ca_file: made.reach.ca_file.clone().map(Into::into),
            proxy: made.reach.proxy.clone(),
            connections: config.max_inflight,
            public_only: !made.reach.allow_private,
        };
        let way = match &making.way {
            Some(local) => Way::Here(Arc::clone(local)),
            None => Way::Net(client(&http, &making.limits)?),
        };
        Ok(Posted {
            way,
            made,
            limits: making.limits,
            clock: Arc::clone(&making.clock),
            token: tokio::sync::Mutex::new(None),
            date: Mutex::new(None),
        })
    };
    match made() {
        Ok(posted) => Ok(Arc::new(posted)),
        Err(fault) => Err(BuildError { name: Arc::clone(&making.name), fault }),
    }
}

/// Where requests go.
enum Way {
    /// To the provider.
    Net(reqwest::Client),
    /// To one in this process.
    Here(Arc<dyn Local>),
}

/// A provider in this process: what a simulation in virtual time writes to instead of the network. It answers at once.
pub trait Local: Send + Sync {
    /// Answers a request of a channel; an outcome where nothing comes back, as from a connection that broke.
    ///
    /// # Errors
    /// No answer: what that means.
    fn call(&self, channel: &str, request: reqwest::Request) -> Result<reqwest::Response, Outcome>;
}

/// A provider as a channel.
struct Posted<P> {
    made: Made<P>,
    way: Way,
    limits: Limits,
    clock: Clock,
    /// The token and when it is to be renewed. Held over the renewal: whoever comes meanwhile waits for the same one.
    token: tokio::sync::Mutex<Option<(String, Instant)>>,
    /// Who said last what time it is.
    date: Mutex<Option<(Arc<str>, Instant)>>,
}

impl<P: Provider> Posted<P> {
    /// Sends a claim; `left` is set before its own request leaves.
    async fn flow(&self, claim: &Claim, left: &AtomicBool) -> Outcome {
        let outcome = self.attempt(claim, left).await;
        if outcome.class != OutcomeClass::Credential || self.made.provider.token().is_none() {
            return outcome;
        }
        // A refused token is certain to have sent nothing: one more try with a fresh one.
        *self.token.lock().await = None;
        left.store(false, Ordering::Relaxed);
        self.attempt(claim, left).await
    }

    async fn attempt(&self, claim: &Claim, left: &AtomicBool) -> Outcome {
        let token = match self.pass().await {
            Ok(token) => token,
            Err(outcome) => return outcome,
        };
        let request = match self.made.provider.request(claim, &token, (self.clock)()) {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        left.store(true, Ordering::Relaxed);
        let mut outcome = match self.call(&request).await {
            Ok(reply) => self.made.provider.read(claim, &reply),
            Err(outcome) => outcome,
        };
        if outcome.class == OutcomeClass::Accepted
            && let Some(request) = self.made.provider.after(claim, &outcome, &token)
        {
            // It was taken, whatever becomes of the ring: the time for it is bounded apart, so that it is not lost to
            // the deadline of the whole.
            let ring = timeout(RING, self.call(&request)).await;
            let good = matches!(&ring, Ok(Ok(reply)) if reply.is_good() && !rings_in_vain(reply));
            if !good {
                outcome.detail = Some("taken, but it could not be made to ring besides".to_owned());
            }
        }
        self.redacted(outcome, &[&claim.address, &token])
    }

    /// Shows what came of a press; a refused token is got anew once.
    async fn shown(&self, place: &Place, face: &Face) -> Option<Outcome> {
        for again in [true, false] {
            let token = match self.pass().await {
                Ok(token) => token,
                Err(outcome) => return Some(outcome),
            };
            let request = self.made.provider.amend(place, face, &token)?;
            let outcome = match self.call(&request).await {
                Ok(reply) => self.made.provider.amended(&reply),
                Err(outcome) => outcome,
            };
            let stale = outcome.class == OutcomeClass::Credential && self.made.provider.token().is_some();
            if !(again && stale) {
                return Some(self.redacted(outcome, &[&place.card, &place.chat, &place.person, &token]));
            }
            *self.token.lock().await = None;
        }
        None
    }

    /// The token, `""` where none is needed.
    async fn pass(&self) -> Result<String, Outcome> {
        let Some(request) = self.made.provider.token() else { return Ok(String::new()) };
        let mut kept = self.token.lock().await;
        if let Some((token, until)) = &*kept
            && (self.clock)() < *until
        {
            return Ok(token.clone());
        }
        let got = match self.call(&request).await {
            Ok(reply) => self.made.provider.read_token(&reply),
            Err(outcome) => Err(outcome),
        };
        match got {
            Ok(token) => {
                let used = token.lives.less(token.lives.percent(RENEW_AT));
                *kept = Some((token.text.clone(), (self.clock)() + used));
                Ok(token.text)
            }
            // Without a token nothing of the message has left.
            Err(Outcome { class: OutcomeClass::Unknown, code, detail, .. }) => {
                let outcome = Outcome { code, detail, ..Outcome::of(OutcomeClass::Transient) };
                Err(self.redacted(outcome, &[]))
            }
            Err(outcome) => Err(self.redacted(outcome, &[])),
        }
    }

    /// One request and its answer, in bounds.
    async fn call(&self, request: &Request) -> Result<Reply, Outcome> {
        let request = request.outgoing(&self.made.reach).map_err(config_fault)?;
        let mut answer = match &self.way {
            Way::Net(client) => client.execute(request).await.map_err(failed)?,
            Way::Here(local) => local.call(&self.made.card.name, request)?,
        };
        self.note_date(&answer);
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = Vec::new();
        while body.len() <= LONGEST {
            match answer.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                // What counts stands in the body: half of it is none.
                Err(error) if (200..300).contains(&status) => return Err(failed(error)),
                Err(_) => break,
            }
        }
        if body.len() > LONGEST && (200..300).contains(&status) {
            let detail = Some(format!("the answer is longer than {LONGEST} bytes"));
            return Err(Outcome { detail, ..Outcome::of(OutcomeClass::Unknown) });
        }
        body.truncate(LONGEST);
        let wait = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
        let wait = wait.and_then(|v| retry_after(v, (self.clock)()));
        Ok(Reply { status, headers, body: String::from_utf8_lossy(&body).into_owned(), wait })
    }

    fn note_date(&self, answer: &reqwest::Response) {
        let Some(host) = answer.url().host_str() else { return };
        let local = host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let said = answer.headers().get(DATE).and_then(|v| v.to_str().ok()).and_then(http_date);
        // Who runs on this machine has no clock of their own.
        if let Some(said) = said.filter(|_| !local) {
            *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some((host.into(), said));
        }
    }

    fn redacted(&self, outcome: Outcome, more: &[&str]) -> Outcome {
        let more = more.iter().filter(|s| s.len() >= 4).map(|s| (*s).to_owned());
        let secrets: Vec<String> = self.made.secrets.iter().cloned().chain(more).collect();
        let detail = outcome.detail.map(|text| detail_without(&text, &secrets)).filter(|t| !t.is_empty());
        Outcome { detail, ..outcome }
    }
}

/// Whether an answer to a ring names a code that is not zero, or people whom it did not reach.
fn rings_in_vain(reply: &Reply) -> bool {
    let Some(document) = reply.json() else { return true };
    let code = document.get("code").and_then(word);
    let missed = document.pointer("/data/invalid_user_id_list").and_then(Value::as_array);
    code.is_some_and(|code| code != "0") || missed.is_some_and(|missed| !missed.is_empty())
}

/// The channel is set up in a way that nothing can be sent.
pub(crate) fn config_fault(reason: String) -> Outcome {
    Outcome { detail: Some(reason), ..Outcome::of(OutcomeClass::Config) }
}

/// The address of the recipient is none for this channel.
pub(crate) fn bad_address(expected: &str) -> Outcome {
    let detail = Some(format!("the contact's address is not {expected}"));
    Outcome { detail, ..Outcome::of(OutcomeClass::RecipientPermanent) }
}

/// The text is longer than the provider takes.
pub(crate) fn too_long(found: usize, most: usize) -> Outcome {
    let detail = Some(format!("is {found} bytes long, and the provider takes {most}"));
    Outcome { detail, ..Outcome::of(OutcomeClass::ContentPermanent) }
}

impl<P: Provider> Channel for Posted<P> {
    fn card(&self) -> &ChannelCard {
        &self.made.card
    }

    fn send<'a>(&'a self, claim: &'a Claim) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(async move {
            let left = AtomicBool::new(false);
            let budget = self.limits.budget(claim, &self.clock);
            match timeout(budget, self.flow(claim, &left)).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    let class = match left.load(Ordering::Relaxed) {
                        true => OutcomeClass::Unknown,
                        false => OutcomeClass::Transient,
                    };
                    Outcome { code: Some("timeout".to_owned()), ..Outcome::of(class) }
                }
            }
        })
    }

    fn query<'a>(
        &'a self,
        inquiry: &'a Inquiry,
    ) -> Pin<Box<dyn Future<Output = Option<Statement>> + Send + 'a>> {
        Box::pin(async move {
            let asked = async {
                let token = self.pass().await.ok()?;
                let request = self.made.provider.ask(inquiry, &token, (self.clock)())?;
                let reply = self.call(&request).await.ok()?;
                self.made.provider.told(inquiry, &reply)
            };
            timeout(self.limits.total, asked).await.ok()?
        })
    }

    fn hears(&self) -> Option<&dyn Hears> {
        self.made.provider.hears()
    }

    fn amend<'a>(
        &'a self,
        place: &'a Place,
        face: &'a Face,
    ) -> Pin<Box<dyn Future<Output = Option<Outcome>> + Send + 'a>> {
        Box::pin(async move {
            match timeout(self.limits.total, self.shown(place, face)).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    Some(Outcome { code: Some("timeout".to_owned()), ..Outcome::of(OutcomeClass::Unknown) })
                }
            }
        })
    }

    /// Where there is a token, getting one tells whether the provider is there and takes our word.
    fn probe(&self) -> Option<Pin<Box<dyn Future<Output = Outcome> + Send + '_>>> {
        self.made.provider.token()?;
        Some(Box::pin(async move {
            *self.token.lock().await = None;
            match timeout(self.limits.total, self.pass()).await {
                Ok(Ok(_)) => Outcome::of(OutcomeClass::Accepted),
                Ok(Err(outcome)) => outcome,
                Err(_) => {
                    Outcome { code: Some("timeout".to_owned()), ..Outcome::of(OutcomeClass::Transient) }
                }
            }
        }))
    }

    fn date(&self) -> Option<(Arc<str>, Instant)> {
        self.date.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stay_on_the_public_internet() {
        for (url, private, plain, good) in [
            ("https://oapi.dingtalk.com/robot/send?access_token=s3cret", false, false, true),
            ("http://oapi.dingtalk.com/robot/send?access_token=s3cret", false, false, false),
            ("http://oapi.dingtalk.com/robot/send", false, true, true),
            ("https://127.0.0.1/robot/s3cret", false, false, false),
            ("http://127.0.0.1:8080/robot", true, false, true),
            ("https://localhost/robot", false, false, false),
            ("https://[::1]/robot", false, false, false),
            ("https://169.254.169.254/latest", false, true, false),
            ("https://10.0.0.8/hook", false, false, false),
            ("https://10.0.0.8/hook", true, false, true),
            ("http://10.0.0.8/hook", true, false, false),
            ("file:///etc/passwd", true, true, false),
            ("ftp://a.example/s3cret", true, true, false),
            ("s3cret", true, true, false),
        ] {
            let reach = ReachConfig { allow_private: private, allow_plain: plain, ..ReachConfig::default() };
            let found = reach.target(url);
            assert_eq!(found.is_ok(), good, "{url}: {found:?}");
            if let Err(reason) = found {
                assert!(!reason.contains("s3cret"), "{reason}");
            }
        }
    }

    #[test]
    fn what_is_signed_is_what_leaves() {
        let url = "https://a.example/?a=%E5%94%AE~%27%2A%21&b=a%20b%2Bc";
        let request = Request::form(url.to_owned(), &[("a", "~!*'()& +\n".to_owned())])
            .with("authorization", "Basic x".to_owned());
        let outgoing = request.outgoing(&ReachConfig::default()).unwrap();
        assert_eq!(outgoing.url().as_str(), url);
        assert_eq!(outgoing.body().unwrap().as_bytes().unwrap(), b"a=~%21%2A%27%28%29%26+%2B%0A");
        assert!(outgoing.headers()["authorization"].is_sensitive());
        assert_eq!(outgoing.headers()["content-type"], FORM);
    }
}
