//! How requests show who asks, from the configuration.

use minijinja::context;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::core::ids::Secret;
use crate::core::problem::Problems;
use crate::core::time::Span;
use crate::sources::json::build::{path, request};
use crate::sources::json::config::{AuthConfig, HttpConfig};
use crate::sources::json::path::Path;
use crate::sources::json::request::{Home, Login, LoginKind, Show};
use crate::sources::json::template::Sandbox;
use crate::wire::secret::Pick;

const LOGIN_NAMES: &[&str] = &["secret", "now"];

impl HttpConfig {
    /// The secret of its own, where it has one.
    pub(super) fn secret(&self) -> Option<Pick<'_>> {
        let auth = self.auth.as_ref()?;
        let oauth2 = auth.oauth2.as_ref().map(|c| Pick {
            base: "client_secret",
            file: &c.client_secret_file,
            env: &c.client_secret_env,
            credential: &c.client_secret_credential,
            inline: None,
        });
        let login = auth.login.as_ref().map(|c| Pick {
            base: "secret",
            file: &c.secret_file,
            env: &c.secret_env,
            credential: &c.secret_credential,
            inline: None,
        });
        oauth2.or(login)
    }

    /// How a token is got, where one is.
    pub(super) fn login(
        &self,
        sandbox: &Sandbox,
        secret: Option<Secret>,
        problems: &mut Problems,
    ) -> Option<Login> {
        let auth = self.auth.as_ref()?;
        let given = [
            ("bearer", auth.bearer.is_some()),
            ("header", auth.header.is_some()),
            ("basic", auth.basic.is_some()),
            ("query", auth.query.is_some()),
            ("oauth2", auth.oauth2.is_some()),
            ("login", auth.login.is_some()),
        ];
        let names: Vec<&str> = given.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        if names.len() != 1 {
            let all = given.map(|(name, _)| name).join(", ");
            problems.error(match names.as_slice() {
                [] => format!("is empty, expected one of: {all}"),
                several => format!("has {}, expected only one of them", several.join(" and ")),
            });
        }
        let secret = secret.unwrap_or_default();
        if let Some(config) = &auth.oauth2 {
            return problems.within("oauth2", |problems| {
                self.own_secret(problems);
                renew_before(config.renew_before, problems);
                for (key, text) in [("token_url", &config.token_url), ("client_id", &config.client_id)] {
                    if text.is_empty() {
                        problems.within(key, |p| p.error("is missing"));
                    }
                }
                self.ours("token_url", &config.token_url, problems);
                Some(Login {
                    kind: LoginKind::Client {
                        url: config.token_url.clone(),
                        id: config.client_id.clone(),
                        scope: config.scope.clone(),
                        in_body: config.in_body,
                    },
                    secret: secret.clone(),
                    token: Path::read("access_token").unwrap_or_default(),
                    token_header: None,
                    expires_in: Path::read("expires_in").ok(),
                    renew_before: config.renew_before,
                })
            });
        }
        let config = auth.login.as_ref()?;
        problems.within("login", |problems| {
            self.own_secret(problems);
            renew_before(config.renew_before, problems);
            let sample = context! { secret => "s3cret", now => "2026-01-05T02:00:00Z" };
            problems.within("request", |p| request(&config.request, sandbox, LOGIN_NAMES, &sample, p));
            self.ours("request", &config.request.url, problems);
            let token_header =
                config.token_header.as_ref().and_then(|name| header_name("token_header", name, problems));
            Some(Login {
                kind: LoginKind::Own(config.request.clone()),
                secret,
                token: path("token", &config.token, problems),
                token_header,
                expires_in: config.expires_in.as_ref().map(|text| path("expires_in", text, problems)),
                renew_before: config.renew_before,
            })
        })
    }

    fn own_secret(&self, problems: &mut Problems) {
        let Some(pick) = self.secret() else { return };
        pick.check(problems);
        if !pick.is_given() {
            let base = pick.base;
            problems.error(format!("has no {base}_file, {base}_env or {base}_credential"));
        }
    }

    /// Notes a URL that leads elsewhere.
    fn ours(&self, key: &'static str, text: &str, problems: &mut Problems) {
        let Ok(base) = self.place() else { return };
        let home = Home { base, headers: HeaderMap::new(), show: Show::Nothing };
        // A template in the path changes nothing of where it leads.
        if home.url(text).is_err() {
            problems.within(key, |p| {
                p.error(format!("found `{text}`, expected a place seen from `base`, on the same server"));
            });
        }
    }
}

fn renew_before(span: Span, problems: &mut Problems) {
    if span < Span::from_secs(5) || span > Span::HOUR {
        problems.within("renew_before", |p| p.error(format!("found {span}, expected 5s to 1h")));
    }
}

/// How the token is shown.
pub(super) fn show(auth: &AuthConfig, problems: &mut Problems) -> Option<Show> {
    let header = |key: &'static str, name: &str, prefix: &str, problems: &mut Problems| {
        let name = header_name(key, name, problems)?;
        if HeaderValue::from_str(prefix).is_err() {
            problems.within("prefix", |p| p.error("has letters that a header cannot have"));
        }
        Some(Show::Header(name, prefix.to_owned()))
    };
    if auth.bearer.is_some() || auth.oauth2.is_some() {
        return header("name", "authorization", "Bearer ", problems);
    }
    if let Some(config) = &auth.header {
        return problems.within("header", |p| header("name", &config.name, &config.prefix, p));
    }
    if let Some(config) = &auth.login {
        return problems.within("login", |p| header("header", &config.header, &config.prefix, p));
    }
    if let Some(config) = &auth.query {
        if config.name.is_empty() {
            problems.within("query", |p| {
                p.within("name", |p| p.error("is missing, expected a name such as api_key"))
            });
        }
        return Some(Show::Query(config.name.clone()));
    }
    let user = auth.basic.as_ref().and_then(|config| config.user.clone());
    if user.as_ref().is_some_and(|user| user.contains(':')) {
        problems.within("basic", |p| p.within("user", |p| p.error("has a colon, which no user can have")));
    }
    Some(Show::Basic(user))
}

/// A header by its name.
pub(super) fn header_name(key: &'static str, name: &str, problems: &mut Problems) -> Option<HeaderName> {
    let read = HeaderName::from_bytes(name.as_bytes());
    if read.is_err() {
        problems.within(key, |p| p.error(format!("found `{name}`, expected a header such as X-Api-Key")));
    }
    read.ok()
}
