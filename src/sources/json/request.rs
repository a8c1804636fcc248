//! Requests as they were configured, with the secret where it belongs, and nowhere else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::context;
use minijinja::value::Value;
use reqwest::Url;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};

use crate::core::ids::Secret;
use crate::core::time::{Instant, Span};
use crate::sources::http::{Answer, Request};
use crate::sources::json::config::{Method, RequestConfig};
use crate::sources::json::path::{Path, plain};
use crate::sources::json::template::{Place, Sandbox};
use crate::sources::platform::Tokens;
use crate::sources::poll::{Class, Failure};
use crate::sources::sign::{Body, Params, Plain, Signed};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Why a request cannot be written: a word for logs.
type Fault = &'static str;

/// Where requests go, and what all of them have in common.
pub(super) struct Home {
    /// Where it is.
    pub(super) base: Url,
    /// Headers of every request.
    pub(super) headers: HeaderMap,
    /// How the token is shown.
    pub(super) show: Show,
}

/// How the token is shown.
pub(super) enum Show {
    /// It is not.
    Nothing,
    /// In a header, behind a prefix.
    Header(HeaderName, String),
    /// As the password of a user, or as the user.
    Basic(Option<String>),
    /// In the query.
    Query(String),
}

impl Home {
    /// A URL that is seen from here, and leads nowhere else.
    pub(super) fn url(&self, text: &str) -> Result<Url, Fault> {
        let url = self.base.join(text).map_err(|_| "bad_url")?;
        if self.is_ours(&url) { Ok(url) } else { Err("foreign_url") }
    }

    /// Whether a URL leads to the same scheme, host and port: secrets go nowhere else.
    pub(super) fn is_ours(&self, url: &Url) -> bool {
        let of = |url: &Url| {
            (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default())
        };
        of(url) == of(&self.base) && url.username().is_empty() && url.password().is_none()
    }

    /// A link of an answer, to be kept: without scheme and host, and without the token.
    pub(super) fn kept(&self, url: &Url) -> String {
        let mut url = url.clone();
        if let Show::Query(name) = &self.show {
            let rest: Vec<(String, String)> = url
                .query_pairs()
                .filter(|(n, _)| n != name.as_str())
                .map(|(n, v)| (n.into(), v.into()))
                .collect();
            url.query_pairs_mut().clear().extend_pairs(rest);
        }
        match url.query() {
            Some(query) if !query.is_empty() => format!("{}?{query}", url.path()),
            _ => url.path().to_owned(),
        }
    }

    /// A request for a link that was kept.
    pub(super) fn follow(
        &self,
        kept: &str,
        config: &RequestConfig,
        names: &Value,
        sandbox: &Sandbox,
        token: &Secret,
    ) -> Request {
        let made = self.url(kept).and_then(|url| {
            let headers = self.headers(config, names, sandbox)?;
            self.finish(url, Params::new(), headers, reqwest::Method::GET, None, Some(token))
        });
        made.unwrap_or_else(|fault| self.never(fault))
    }

    /// A request as it was configured. `token` is shown where there is one.
    pub(super) fn write(
        &self,
        config: &RequestConfig,
        names: &Value,
        sandbox: &Sandbox,
        token: Option<&Secret>,
    ) -> Request {
        self.written(config, names, sandbox, token).unwrap_or_else(|fault| self.never(fault))
    }

    /// Where a request goes.
    pub(super) fn target(
        &self,
        config: &RequestConfig,
        names: &Value,
        sandbox: &Sandbox,
    ) -> Result<Url, Fault> {
        self.url(&sandbox.render(Place::Path, &config.url, names).map_err(|_| "bad_template")?)
    }

    fn written(
        &self,
        config: &RequestConfig,
        names: &Value,
        sandbox: &Sandbox,
        token: Option<&Secret>,
    ) -> Result<Request, Fault> {
        let url = self.target(config, names, sandbox)?;
        let pairs = |from: &std::collections::BTreeMap<String, String>| {
            let mut pairs = Params::new();
            for (name, text) in from {
                let value = sandbox.render(Place::Value, text, names).map_err(|_| "bad_template")?;
                if !value.is_empty() {
                    pairs.insert(name.clone(), value);
                }
            }
            Ok::<_, Fault>(pairs)
        };
        let content = match &config.body {
            Some(text) => Some((JSON, sandbox.render(Place::Json, text, names).map_err(|_| "bad_template")?)),
            None if !config.form.is_empty() => Some((FORM, form(&pairs(&config.form)?))),
            None => None,
        };
        let method = match config.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let headers = self.headers(config, names, sandbox)?;
        self.finish(url, pairs(&config.query)?, headers, method, content, token)
    }

    fn headers(&self, config: &RequestConfig, names: &Value, sandbox: &Sandbox) -> Result<HeaderMap, Fault> {
        let mut headers = self.headers.clone();
        for (name, text) in &config.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "bad_header")?;
            let text = sandbox.render(Place::Value, text, names).map_err(|_| "bad_template")?;
            let mut value = HeaderValue::from_str(&text).map_err(|_| "bad_header")?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    fn finish(
        &self,
        url: Url,
        mut query: Params,
        mut headers: HeaderMap,
        method: reqwest::Method,
        content: Option<(&'static str, String)>,
        token: Option<&Secret>,
    ) -> Result<Request, Fault> {
        if let Some(token) = token.map(Secret::reveal).filter(|token| !token.is_empty()) {
            let secret = |text: String| -> Result<HeaderValue, Fault> {
                let mut value = HeaderValue::from_str(&text).map_err(|_| "bad_token")?;
                value.set_sensitive(true);
                Ok(value)
            };
            match &self.show {
                Show::Nothing => {}
                Show::Header(name, prefix) => {
                    headers.insert(name.clone(), secret(format!("{prefix}{token}"))?);
                }
                Show::Basic(user) => {
                    headers.insert(reqwest::header::AUTHORIZATION, secret(basic(user.as_deref(), token))?);
                }
                Show::Query(name) => {
                    query.insert(name.clone(), token.to_owned());
                }
            }
        }
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static(JSON));
        let body = Body::Plain(Plain { method, headers, content });
        Ok(Request { url, signed: Signed { query, body }, headers: Vec::new() })
    }

    pub(super) fn never(&self, fault: Fault) -> Request {
        let signed = Signed { query: Params::new(), body: Body::Never(fault) };
        Request { url: self.base.clone(), signed, headers: Vec::new() }
    }
}

fn basic(user: Option<&str>, token: &str) -> String {
    let pair = match user {
        Some(user) => format!("{user}:{token}"),
        None => format!("{token}:"),
    };
    format!("Basic {}", STANDARD.encode(pair))
}

fn form(pairs: &Params) -> String {
    // Whatever the address: only its query is of use.
    let Ok(mut url) = Url::parse("http://localhost/") else { return String::new() };
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

/// How a token is got.
pub(super) struct Login {
    pub(super) kind: LoginKind,
    pub(super) secret: Secret,
    /// Where the token stands.
    pub(super) token: Path,
    /// Or the header that has it.
    pub(super) token_header: Option<HeaderName>,
    /// Where its seconds stand.
    pub(super) expires_in: Option<Path>,
    /// It is got again so long before it ends.
    pub(super) renew_before: Span,
}

/// What is asked for a token.
pub(super) enum LoginKind {
    /// As it was configured.
    Own(RequestConfig),
    /// OAuth 2, client credentials (RFC 6749, 4.4).
    Client {
        /// Where.
        url: String,
        /// The app.
        id: String,
        /// What for.
        scope: Option<String>,
        /// Name and secret in the body.
        in_body: bool,
    },
}

impl Login {
    /// The request for a token.
    pub(super) fn request(&self, place: &Home, sandbox: &Sandbox, at: Instant) -> Request {
        match &self.kind {
            LoginKind::Own(config) => {
                let names = context! { secret => self.secret.reveal(), now => at.to_string() };
                place.write(config, &names, sandbox, None)
            }
            LoginKind::Client { url, id, scope, in_body } => {
                self.client(place, url, id, scope.as_deref(), *in_body).unwrap_or_else(|f| place.never(f))
            }
        }
    }

    fn client(
        &self,
        place: &Home,
        url: &str,
        id: &str,
        scope: Option<&str>,
        in_body: bool,
    ) -> Result<Request, Fault> {
        let url = place.url(url)?;
        let mut pairs = Params::from([("grant_type".to_owned(), "client_credentials".to_owned())]);
        pairs.extend(scope.map(|scope| ("scope".to_owned(), scope.to_owned())));
        let mut headers = place.headers.clone();
        if in_body {
            pairs.insert("client_id".to_owned(), id.to_owned());
            pairs.insert("client_secret".to_owned(), self.secret.reveal().to_owned());
        } else {
            // Both are encoded as in a form before they are put together (RFC 6749, 2.3.1).
            let one = |text: &str| {
                let encoded = form(&Params::from([(String::new(), text.to_owned())]));
                encoded.trim_start_matches('=').to_owned()
            };
            let text = basic(Some(&one(id)), &one(self.secret.reveal()));
            let mut value = HeaderValue::from_str(&text).map_err(|_| "bad_token")?;
            value.set_sensitive(true);
            headers.insert(reqwest::header::AUTHORIZATION, value);
        }
        place.finish(url, Params::new(), headers, reqwest::Method::POST, Some((FORM, form(&pairs))), None)
    }

    /// The token that came back.
    pub(super) fn read(&self, answer: &Answer, at: Instant) -> Result<Tokens, Failure> {
        let missing = || Failure::new(Class::Malformed, "no_token");
        let body = answer.any_json();
        let access = match &self.token_header {
            Some(name) => answer.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned),
            None => self.token.of(body.as_ref().map_err(Clone::clone)?).and_then(plain),
        };
        let access = access.filter(|token| !token.is_empty()).ok_or_else(missing)?;
        let seconds = body.ok().and_then(|body| {
            let text = plain(self.expires_in.as_ref()?.of(&body)?)?;
            text.trim().parse::<f64>().ok().filter(|s| (1.0..=1e9).contains(s))
        });
        let access_until = seconds.map(|s| at + Span::from_secs(s as i64));
        Ok(Tokens { access: Secret::new(access), access_until, ..Tokens::default() })
    }
}

/// The link to the next page in `Link` headers (RFC 8288): `<…>; rel="next"`.
pub(super) fn next_link(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(reqwest::header::LINK);
    all.iter().filter_map(|value| value.to_str().ok()).find_map(next_of)
}

fn next_of(mut rest: &str) -> Option<String> {
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        let (params, next) = params_of(after);
        let is_next = params.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("rel")
                && value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = next;
    }
    None
}

/// Parameters up to the comma that ends a link, and what follows it.
fn params_of(text: &str) -> (Vec<(String, String)>, &str) {
    let (mut params, mut name, mut value) = (Vec::new(), String::new(), None::<String>);
    let (mut quoted, mut escaped) = (false, false);
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        let is_name = value.is_none();
        let place = value.as_mut().unwrap_or(&mut name);
        match c {
            _ if escaped => {
                place.push(c);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => place.push(c),
            '=' if is_name => value = Some(String::new()),
            ';' => params.push((std::mem::take(&mut name), value.take().unwrap_or_default())),
            ',' => {
                end = at + 1;
                break;
            }
            c if c.is_ascii_whitespace() => {}
            c => place.push(c),
        }
    }
    params.push((name, value.unwrap_or_default()));
    (params, &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        for (header, want) in [
            (r#"<https://x/a?page=2>; rel="next""#, Some("https://x/a?page=2")),
            (r#"<https://x/1>; rel="prev", </a?page=3>; rel=next"#, Some("/a?page=3")),
            (r#"<https://x/1>; title="a, <b>; rel=next"; rel="last""#, None),
            (r#"<https://x/1>; title="\"; rel=next"; rel="first", <y>; rel="up NEXT""#, Some("y")),
            (r#"<a,b;c>; REL="Next""#, Some("a,b;c")),
            ("<https://x/a; rel=next", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(reqwest::header::LINK, HeaderValue::from_static(header))]);
            assert_eq!(next_link(&headers).as_deref(), want, "{header}");
        }
        let mut two = HeaderMap::new();
        two.append(reqwest::header::LINK, HeaderValue::from_static("<a>; rel=prev"));
        two.append(reqwest::header::LINK, HeaderValue::from_static("<b>; rel=next"));
        assert_eq!(next_link(&two).as_deref(), Some("b"));
    }
}
