//! Simulated platforms. Written from the platforms' published documents, not by them: whatever is measured against one is
//! labelled as simulated.
//!
//! Each is a value that answers requests at a given time, so that a day passes in seconds; [`serve`] puts one behind a
//! socket. They are strict where the real ones are (signature, time, token, windows), and page as badly.
//! [`shop`] is what is behind all of them, [`gateway`] what their doors have in common.

pub mod douyin;
pub mod gateway;
pub mod jd;
pub mod kuaidi100;
pub mod pinduoduo;
#[cfg(test)]
mod reader;
pub mod shop;
pub mod taobao;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use reqwest::Url;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::core::time::Instant;
use crate::sources::http::{Answer, Request};
use crate::sources::sign::{Body, Params};

/// A platform that answers.
pub trait Simulated: Send + 'static {
    /// Answers a request that arrived when it was `now` in truth.
    fn answer(&mut self, asked: &Asked, now: Instant) -> Reply;
}

impl Simulated for Box<dyn Simulated> {
    fn answer(&mut self, asked: &Asked, now: Instant) -> Reply {
        (**self).answer(asked, now)
    }
}

/// A request as it arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, `POST`.
    pub method: String,
    /// The path, with its first slash.
    pub path: String,
    /// What stands behind the `?`, decoded.
    pub query: Params,
    /// The headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// A request that leaves here, as it arrives there.
    pub fn of(request: &Request) -> Asked {
        let (method, content_type, body) = match &request.signed.body {
            Body::Json(text) => ("POST", "application/json", text.clone()),
            Body::Form(form) => ("POST", "application/x-www-form-urlencoded", encoded(form)),
            Body::Plain(plain) => {
                let (kind, text) = plain.content.clone().unwrap_or_default();
                (plain.method.as_str(), kind, text)
            }
            Body::Never(_) => ("POST", "", String::new()),
        };
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut headers = BTreeMap::from([("content-type".to_owned(), content_type.to_owned())]);
        headers
            .extend(request.headers.iter().map(|(name, value)| (name.to_lowercase(), (*value).to_owned())));
        if let Body::Plain(plain) = &request.signed.body {
            headers.extend(plain.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))));
        }
        Asked {
            method: method.to_owned(),
            path: request.url.path().to_owned(),
            query: request.signed.query.clone(),
            headers,
            body: body.into_bytes(),
        }
    }

    /// A request as it came over the wire.
    pub fn arrived(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Asked {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Asked {
            method: method.to_string(),
            path: uri.path().to_owned(),
            query: decoded(uri.query().unwrap_or_default()),
            headers: headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
            body: body.to_vec(),
        }
    }

    /// The body as a form: empty where it is none.
    pub fn form(&self) -> Params {
        self.typed("application/x-www-form-urlencoded").map(decoded).unwrap_or_default()
    }

    /// The body as a JSON object: none where it is something else.
    pub fn json(&self) -> Option<Map<String, Value>> {
        serde_json::from_str(self.typed("application/json")?).ok()
    }

    fn typed(&self, wanted: &str) -> Option<&str> {
        let found = self.headers.get("content-type")?;
        let body = std::str::from_utf8(&self.body).ok()?;
        found.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case(wanted)).then_some(body)
    }
}

/// Parameters as a form or a query has them. A URL is the one thing here that knows how.
fn decoded(text: &str) -> Params {
    let url = Url::parse(&format!("http://sim/?{text}")).ok();
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

fn encoded(params: &Params) -> String {
    let Ok(mut url) = Url::parse("http://sim/") else { return String::new() };
    url.query_pairs_mut().extend_pairs(params);
    url.query().unwrap_or_default().to_owned()
}

/// What a simulated platform answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// What it says the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Its time, as the `Date` header says it: whole seconds.
    pub date: Instant,
    /// Nothing comes back at all.
    pub dropped: bool,
}

impl Reply {
    /// The answer that a client reads, as if it had come over the wire; `None` when none came.
    pub fn into_answer(self) -> Option<Answer> {
        (!self.dropped).then(|| Answer {
            status: self.status,
            date: Some(Instant::from_secs(self.date.as_secs())),
            retry_after: None,
            content_type: self.content_type.to_owned(),
            body: self.body,
            ..Answer::default()
        })
    }

    fn into_response(self) -> Response {
        if self.dropped {
            // The nearest thing that axum offers to a connection that breaks.
            return StatusCode::GATEWAY_TIMEOUT.into_response();
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let date = self.date.to_timestamp().to_zoned(jiff::tz::TimeZone::UTC);
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.extend(HeaderValue::from_str(&date).ok().map(|date| (header::DATE, date)));
        (status, headers, self.body).into_response()
    }
}

/// A platform that several hold: the server, and whoever moves its world.
pub type Shared<P> = Arc<Mutex<P>>;

/// Serves a platform on a socket until it is stopped. `clock` is the platform's own.
///
/// # Errors
/// The socket broke.
pub async fn serve<P: Simulated>(
    listener: TcpListener,
    platform: Shared<P>,
    clock: Arc<dyn Fn() -> Instant + Send + Sync>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    type Held<P> = (Shared<P>, Arc<dyn Fn() -> Instant + Send + Sync>);
    async fn handle<P: Simulated>(
        State((platform, clock)): State<Held<P>>,
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        let asked = Asked::arrived(&method, &uri, &headers, &body);
        let mut platform = platform.lock().unwrap_or_else(PoisonError::into_inner);
        platform.answer(&asked, clock()).into_response()
    }
    let app = Router::new().fallback(any(handle::<P>)).with_state((platform, clock));
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::sign::Signed;

    /// What leaves as a form arrives as one, whatever is in it.
    #[test]
    fn a_request_arrives_as_it_left() {
        let form: Params = [("fields", "tid,orders.oid"), ("q", "a=b&c d+é催%")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let url = Url::parse("http://127.0.0.1:9/router/rest").unwrap();
        let signed = Signed { query: Params::new(), body: Body::Form(form.clone()) };
        let request = Request { url, signed, headers: vec![("x-open-no-old-err-code", "1")] };
        let asked = Asked::of(&request);
        assert_eq!((asked.form(), asked.path.as_str(), asked.json()), (form, "/router/rest", None));
        assert_eq!(asked.headers["x-open-no-old-err-code"], "1");
        let json = Signed { query: Params::new(), body: Body::Json("{\"a\":1}".to_owned()) };
        let asked = Asked::of(&Request { signed: json, ..request });
        assert_eq!((asked.form(), asked.json().unwrap()["a"].as_i64()), (Params::new(), Some(1)));
    }
}
