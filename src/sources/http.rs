//! One request to a platform, and what came back: in bounds, in time, with nothing believed but what was read.
//!
//! Success is never judged by the status alone (`platforms` 1.3); whoever knows the platform reads the body.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Url};
use serde_json::Value;

use crate::core::time::{Instant, Span};
use crate::sources::poll::{Class, Failure};
use crate::sources::sign::{Body, Signed};
use crate::wire::http::{ClientConfig, Limits, TlsFault, client, http_date, retry_after};

/// What is read of an answer at most, unpacked: a page of a hundred rows has a hundredth of it.
pub const LARGEST_PAGE: usize = 16 << 20;

/// How long a request may take.
pub const LIMITS: Limits = Limits { connect: Duration::from_secs(5), total: Duration::from_secs(20) };

/// A client for the requests of one source.
///
/// # Errors
/// A certificate file that cannot be used, a proxy that is no URL.
pub fn source_client(config: &ClientConfig) -> Result<Client, TlsFault> {
    client(config, &LIMITS)
}

/// A request, ready to leave.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where to, without a query.
    pub url: Url,
    /// Query and body.
    pub signed: Signed,
    /// Further headers.
    pub headers: Vec<(&'static str, &'static str)>,
}

/// What came back.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What time the server said it was.
    pub date: Option<Instant>,
    /// How long it asked us to wait.
    pub retry_after: Option<Span>,
    /// What it said the body is.
    pub content_type: String,
    /// All headers, for who is told where a link or a count stands.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Bodies hold what buyers are called.
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Sends a request and reads the answer. It is over within [`LIMITS`].
///
/// # Errors
/// No answer, one that breaks off, or one that is too large. The request may have been taken all the same: every
/// request of this room only reads, or may be repeated.
pub async fn fetch(client: &Client, request: &Request, now: Instant) -> Result<Answer, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut url = request.url.clone();
    if !request.signed.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&request.signed.query);
    }
    let call = match &request.signed.body {
        Body::Form(form) => client.post(url).headers(headers).form(form),
        Body::Json(text) => {
            client.post(url).headers(headers).header(CONTENT_TYPE, "application/json").body(text.clone())
        }
        Body::Plain(plain) => {
            let call = client.request(plain.method.clone(), url).headers(plain.headers.clone());
            match &plain.content {
                Some((what, text)) => call.header(CONTENT_TYPE, *what).body(text.clone()),
                None => call,
            }
        }
        Body::Never(code) => return Err(Failure::new(Class::Parameter, code)),
    };
    let mut answer = call.send().await.map_err(|e| unreached(&e))?;
    let header =
        |name: HeaderName| answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut read = Answer {
        status: answer.status().as_u16(),
        date: header(DATE).as_deref().and_then(http_date),
        retry_after: header(RETRY_AFTER).as_deref().and_then(|v| retry_after(v, now)),
        content_type: header(CONTENT_TYPE).unwrap_or_default(),
        headers: answer.headers().clone(),
        body: Vec::new(),
    };
    while let Some(chunk) = answer.chunk().await.map_err(|e| unreached(&e))? {
        if read.body.len() + chunk.len() > LARGEST_PAGE {
            return Err(Failure::new(Class::Malformed, "too_large"));
        }
        read.body.extend_from_slice(&chunk);
    }
    Ok(read)
}

fn unreached(error: &reqwest::Error) -> Failure {
    // Never the error's own text: it has the URL in it, and that has the token.
    let code = match () {
        () if error.is_timeout() => "timeout",
        () if error.is_connect() => "connection",
        () if error.is_decode() || error.is_body() => "broke_off",
        () => "no_answer",
    };
    Failure::new(Class::Transient, code)
}

impl Answer {
    /// What the status alone says, where it says that there is nothing to read.
    pub fn refused(&self) -> Option<Failure> {
        let class = match self.status {
            429 => Class::Throttled,
            408 | 425 | 500..=599 => Class::Transient,
            _ => return None,
        };
        Some(Failure { wait: self.retry_after, ..Failure::new(class, format!("http_{}", self.status)) })
    }

    /// The body as text: UTF-8 if it is, else what its header says, else what can be saved of it.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        if let Ok(text) = std::str::from_utf8(&self.body) {
            return text.trim_start_matches('\u{feff}').into();
        }
        let charset = self.content_type.split(';').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        });
        let declared = charset.and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
        for encoding in declared.into_iter().chain([encoding_rs::GB18030]) {
            if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(&self.body) {
                return text;
            }
        }
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// A status that refuses, or a body that is something else: HTML of a proxy, a page that was cut.
    pub fn json(&self) -> Result<Value, Failure> {
        match self.any_json()? {
            value @ Value::Object(_) => Ok(value),
            _ => Err(self.refused().unwrap_or_else(|| self.malformed("not_an_object"))),
        }
    }

    /// The body as JSON of any kind: an object, a list, a lone value.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub fn any_json(&self) -> Result<Value, Failure> {
        let text = self.text();
        serde_json::from_str(&text).map_err(|_| {
            let code = if text.trim_start().starts_with('<') { "html" } else { "not_json" };
            self.refused().unwrap_or_else(|| self.malformed(code))
        })
    }

    fn malformed(&self, code: &str) -> Failure {
        Failure { wait: self.retry_after, ..Failure::new(Class::Malformed, code) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, content_type: &str, body: &[u8]) -> Answer {
        Answer { status, content_type: content_type.to_owned(), body: body.to_vec(), ..Answer::default() }
    }

    #[test]
    fn what_is_no_json_says_what_it_is_instead() {
        for (status, body, want) in [
            (200, "<html>502</html>", "malformed (html)"),
            (200, "{\"a\":", "malformed (not_json)"),
            (200, "[]", "malformed (not_an_object)"),
            (200, "", "malformed (not_json)"),
            (502, "<html>", "transient (http_502)"),
            (429, "", "throttled (http_429)"),
            (404, "no", "malformed (not_json)"),
        ] {
            let got = answer(status, "text/html", body.as_bytes()).json().map_err(|f| f.to_string());
            assert_eq!(got, Err(want.to_owned()), "{status} {body}");
        }
        // Platforms answer errors as JSON with any status.
        assert!(answer(500, "", b"{\"error_response\":{}}").json().is_ok());
        assert!(answer(200, "", b"\xef\xbb\xbf{}").json().is_ok());
    }

    #[test]
    fn texts_in_another_charset_are_read() {
        let (gbk, _, _) = encoding_rs::GBK.encode("{\"a\":\"催发货\"}");
        for content_type in ["application/json; charset=GBK", "application/json", "text/plain; charset=utf-8"]
        {
            assert_eq!(answer(200, content_type, &gbk).json().unwrap()["a"], "催发货", "{content_type}");
        }
        assert_eq!(answer(200, "", "{\"a\":\"催\"}".as_bytes()).text(), "{\"a\":\"催\"}");
        // Nothing that can be read: the rest is saved.
        assert!(answer(200, "", b"{\"a\":\"\xff\xff\"}").json().is_ok());
    }

    #[test]
    fn an_answer_does_not_print_what_is_in_it() {
        assert_eq!(format!("{:?}", answer(200, "", "张三".as_bytes())), "Answer(200, 6 bytes)");
    }
}
