//! Any API that speaks JSON over HTTP, by configuration alone: an in-house ticket system (工单系统) needs no code.
//!
//! Invariants:
//! - what comes from outside never decides where a request goes: links are followed on the same server only, and what is
//!   put into a URL or a body stays in its place;
//! - a row that the mapping does not fit is counted with a digest, and the page goes on; a page that is none is a failure;
//! - nothing of a row is kept but what the mapping names.

mod auth;
mod build;
pub mod config;
mod mapping;
mod path;
mod request;
mod sample;
mod template;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use minijinja::context;
use minijinja::value::Value as Name;
use serde_json::Value;

use crate::core::ids::Secret;
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};
use crate::sources::config::{Section, SourceFault};
use crate::sources::http::{Answer, Request};
use crate::sources::json::build::{List, Rule};
use crate::sources::json::config::{HttpConfig, Paging};
use crate::sources::json::mapping::Rows;
use crate::sources::json::path::plain;
use crate::sources::json::request::{Home, Login, next_link};
use crate::sources::json::template::Sandbox;
use crate::sources::platform::{Feed, Page, Platform, REFRESH_BEFORE, Reject, Tokens, Want};
use crate::sources::poll::{Ask, Class, Facts, Failure, More, Walk};
use crate::sources::row::{Origin, digest};

/// The longest cursor or link.
const LONGEST_CURSOR: usize = 4096;

/// One configured API.
pub struct Json {
    origin: Origin,
    home: Home,
    zone: TimeZone,
    sandbox: Sandbox,
    login: Option<Login>,
    errors: Vec<Rule>,
    lists: Vec<List>,
    feeds: Vec<Feed>,
}

impl std::fmt::Debug for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Json").field("source", &self.origin.source).finish_non_exhaustive()
    }
}

impl Json {
    /// What `config` describes, as the source `origin`. `secret` is that of `auth.oauth2` or `auth.login`.
    ///
    /// # Errors
    /// The first thing that is wrong with it; the config check tells them all.
    pub fn new(origin: Origin, config: &HttpConfig, secret: Option<Secret>) -> Result<Json, String> {
        let mut problems = Problems::new();
        let made = config.build(origin, secret, &mut problems);
        let first =
            problems.into_vec().into_iter().find(|p| p.severity == crate::core::problem::Severity::Error);
        match (made, first) {
            (Some(made), None) => Ok(made),
            (_, Some(problem)) => Err(format!("{}: {}", problem.path, problem.text)),
            (None, None) => Err("cannot be used".to_owned()),
        }
    }

    fn list(&self, name: &str) -> Option<&List> {
        self.lists.iter().find(|list| list.name == name)
    }

    /// What a failed answer means, by the rules that are configured, then by its status.
    fn refused(&self, answer: &Answer, body: Option<&Value>) -> Option<Failure> {
        let failure =
            |class, code: String| Some(Failure { wait: answer.retry_after, ..Failure::new(class, code) });
        for rule in &self.errors {
            if let Some(code) = rule.fits(answer.status, body) {
                return failure(rule.class, code);
            }
        }
        let class = match answer.status {
            200..=299 => return None,
            429 => Class::Throttled,
            408 | 425 | 500..=599 => Class::Transient,
            401 if self.login.is_some() => Class::TokenExpired,
            401 => Class::TokenWrong,
            402 => Class::Quota,
            403 => Class::Permission,
            404 | 410 => Class::Gone,
            _ => Class::Parameter,
        };
        failure(class, format!("http_{}", answer.status))
    }

    /// The body of an answer, or why there is none.
    fn body(&self, answer: &Answer) -> Result<Value, Failure> {
        let body = answer.any_json();
        match self.refused(answer, body.as_ref().ok()) {
            Some(failure) => Err(failure),
            None => body,
        }
    }

    fn names(list: &List, ask: Ask, after: Option<&str>, at: Instant) -> Name {
        let page = u64::from(ask.page.saturating_sub(list.config.first_page));
        context! {
            from => ask.from.to_string(),
            to => ask.to.to_string(),
            page => ask.page,
            offset => page * u64::from(ask.size),
            cursor => after,
            size => ask.size,
            now => at.to_string(),
        }
    }

    fn ask(&self, feed: &Feed, ask: Ask, after: Option<&str>, tokens: &Tokens, at: Instant) -> Request {
        let Some(list) = self.list(&feed.name) else { return self.home.never("no_list") };
        let names = Json::names(list, ask, after, at);
        match (list.config.paging, after) {
            (Paging::Link | Paging::LinkHeader, Some(link)) => {
                self.home.follow(link, &list.config.request, &names, &self.sandbox, &tokens.access)
            }
            _ => self.home.write(&list.config.request, &names, &self.sandbox, Some(&tokens.access)),
        }
    }

    /// Reads the rows of a page one by one.
    fn rows(&self, list: &List, rows: &[Value], now: Instant) -> Result<Page, Failure> {
        let bound =
            list.mapping.bind(&self.sandbox).map_err(|_| Failure::new(Class::Parameter, "bad_mapping"))?;
        let mut page = Page::default();
        for row in rows {
            match bound.read(row, &self.origin, &self.zone, now) {
                Ok(item) => page.items.extend(item),
                Err(misfit) => page.rejects.push(Reject { digest: digest(row), reason: misfit.reason() }),
            }
        }
        page.facts = Facts { rows: rows.len() as u64, ..Facts::default() };
        if list.config.paging == Paging::Keyset {
            page.facts.last = self.last(&bound, rows)?;
        }
        Ok(page)
    }

    /// The last change of a page whose rows come in ascending order.
    fn last(&self, bound: &Rows<'_>, rows: &[Value]) -> Result<Option<Instant>, Failure> {
        let mut last = None;
        for row in rows {
            // One that cannot be read says nothing of the order.
            let Some(modified) = bound.modified(row, &self.zone) else { continue };
            if last.is_some_and(|last| modified < last) {
                return Err(Failure::new(Class::Malformed, "not_ascending"));
            }
            last = Some(modified);
        }
        Ok(last)
    }

    /// What the page says of how it goes on.
    fn facts(
        &self,
        list: &List,
        ask: Ask,
        answer: &Answer,
        body: &Value,
        facts: Facts,
    ) -> Result<Facts, Failure> {
        let malformed = |code: &str| Failure::new(Class::Malformed, code);
        let config = &list.config;
        let total = self.total(list, answer, body)?;
        let more = match list.more.as_ref().map(|path| path.of(body)) {
            None => None,
            Some(Some(Value::Bool(yes))) => Some(*yes),
            Some(None) => Some(false),
            Some(_) => return Err(malformed("bad_more")),
        };
        let is_first = ask.page == config.first_page;
        let whole = is_first && total.is_some_and(|total| facts.rows >= total);
        // The server gives fewer rows a page than it was asked for.
        let short = is_first && total.is_some_and(|total| facts.rows < total.min(ask.size.into()));
        let said = more.map(|yes| if yes { More::Page } else { More::Over });
        let mut facts = Facts { total, ..facts };
        facts.more = match (config.paging, list.walk) {
            (Paging::None, _) => Some(More::Over),
            (Paging::Pages, Walk::LastToFirst) if ask.count && total.is_none() => {
                return Err(malformed("no_total"));
            }
            (Paging::Pages, Walk::LastToFirst) if short => return Err(malformed("short_page")),
            (Paging::Pages, Walk::LastToFirst) => None,
            (Paging::Pages, _) => said.or(whole.then_some(More::Over)),
            (Paging::Keyset, _) => {
                let full = more.unwrap_or(short || facts.rows >= u64::from(ask.size));
                match facts.last {
                    // Rows come in ascending order: all up to the end of the window were read.
                    Some(last) if last > ask.to => Some(More::Over),
                    Some(last) if full && last <= ask.from && !list.uses_page => {
                        return Err(malformed("too_many_at_once"));
                    }
                    _ if whole => Some(More::Over),
                    _ => Some(if full { More::Page } else { More::Over }),
                }
            }
            (Paging::Cursor | Paging::Link | Paging::LinkHeader, _) if more == Some(false) => {
                Some(More::Over)
            }
            (Paging::Cursor | Paging::Link | Paging::LinkHeader, _) => {
                Some(self.after(list, ask, answer, body)?.map_or(More::Over, |next| More::After(next.into())))
            }
        };
        Ok(facts)
    }

    fn total(&self, list: &List, answer: &Answer, body: &Value) -> Result<Option<u64>, Failure> {
        let text = match (&list.total_header, &list.total) {
            (Some(name), _) => answer.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned),
            (None, Some(path)) => path.of(body).and_then(plain),
            (None, None) => None,
        };
        let number =
            text.map(|text| text.trim().parse().map_err(|_| Failure::new(Class::Malformed, "bad_total")));
        number.transpose()
    }

    /// The cursor or the link to the next page.
    fn after(&self, list: &List, ask: Ask, answer: &Answer, body: &Value) -> Result<Option<String>, Failure> {
        let malformed = |code: &str| Failure::new(Class::Malformed, code);
        let found = match (list.config.paging, &list.next) {
            (Paging::LinkHeader, _) => next_link(&answer.headers),
            (_, Some(path)) => match path.of(body) {
                None | Some(Value::Bool(false)) => None,
                Some(value) => Some(plain(value).ok_or_else(|| malformed("bad_next"))?),
            },
            (_, None) => None,
        };
        let Some(found) = found.filter(|text| !text.is_empty()) else { return Ok(None) };
        if found.len() > LONGEST_CURSOR {
            return Err(malformed("long_cursor"));
        }
        if list.config.paging == Paging::Cursor {
            return Ok(Some(found));
        }
        let names = Json::names(list, ask, None, ask.to);
        let from = self.home.target(&list.config.request, &names, &self.sandbox).map_err(malformed)?;
        let link = from.join(&found).map_err(|_| malformed("bad_link"))?;
        // The token goes nowhere else.
        if !self.home.is_ours(&link) {
            return Err(malformed("foreign_link"));
        }
        Ok(Some(self.home.kept(&link)))
    }
}

impl Platform for Json {
    fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    fn page(&self, feed: &Feed, ask: Ask, tokens: &Tokens, at: Instant) -> Request {
        self.ask(feed, ask, None, tokens, at)
    }

    fn page_after(&self, feed: &Feed, ask: Ask, after: &str, tokens: &Tokens, at: Instant) -> Request {
        self.ask(feed, ask, Some(after), tokens, at)
    }

    fn read_page(&self, feed: &Feed, ask: Ask, answer: &Answer) -> Result<Page, Failure> {
        let malformed = |code: &str| Failure::new(Class::Malformed, code);
        let list = self.list(&feed.name).ok_or_else(|| Failure::new(Class::Parameter, "no_list"))?;
        let body = self.body(answer)?;
        let rows = match list.items.of(&body) {
            Some(Value::Array(rows)) => rows.as_slice(),
            // A missing list is an empty one only where the count says so.
            None if self.total(list, answer, &body)? == Some(0) => &[],
            _ => return Err(malformed("no_list")),
        };
        if rows.len() > list.config.most_rows as usize {
            return Err(malformed("too_many_rows"));
        }
        let mut page = self.rows(list, rows, answer.date.unwrap_or(ask.to))?;
        page.facts = self.facts(list, ask, answer, &body, page.facts)?;
        Ok(page)
    }

    fn detail(&self, want: &Want, tokens: &Tokens, at: Instant) -> Request {
        let list = want.ids.first().and_then(|name| self.list(name));
        let Some((list, detail)) = list.and_then(|list| Some((list, list.config.detail.as_ref()?))) else {
            return self.home.never("no_detail");
        };
        let place = |n: usize| want.ids.get(n).map_or("", String::as_str);
        let names =
            context! { id => place(1), kind => place(2), kept => list.kept(want), now => at.to_string() };
        self.home.write(&detail.request, &names, &self.sandbox, Some(&tokens.access))
    }

    fn read_detail(&self, want: &Want, answer: &Answer) -> Result<Page, Failure> {
        let malformed = |code: &str| Failure::new(Class::Malformed, code);
        // A list that is no longer configured has nothing to say of it.
        let gone = || Failure::new(Class::Parameter, "no_list");
        let list = want.ids.first().and_then(|name| self.list(name)).ok_or_else(gone)?;
        let body = self.body(answer).map_err(|failure| match failure.class {
            // The case is gone, not the interface.
            Class::Gone => Failure { class: Class::Parameter, ..failure },
            _ => failure,
        })?;
        let row = list.detail_row.of(&body).ok_or_else(|| malformed("no_case"))?;
        let case =
            list.detail.one_case(&self.sandbox).map_err(|_| Failure::new(Class::Parameter, "bad_mapping"))?;
        let mut page = Page::default();
        match case.read(row, want, list.kept(want), &self.origin, &self.zone) {
            Ok(item) => page.items.push(item),
            Err(misfit) => {
                page.rejects
                    .push(Reject { digest: digest(row), reason: format!("detail.{}", misfit.reason()) });
            }
        }
        Ok(page)
    }

    fn renew(&self, _: &Tokens, at: Instant) -> Option<Request> {
        Some(self.login.as_ref()?.request(&self.home, &self.sandbox, at))
    }

    fn renew_before(&self) -> Span {
        self.login.as_ref().map_or(REFRESH_BEFORE, |login| login.renew_before)
    }

    fn read_tokens(&self, answer: &Answer, at: Instant) -> Result<Tokens, Failure> {
        let login = self.login.as_ref().ok_or_else(|| Failure::new(Class::Revoked, "no_login"))?;
        let body = answer.any_json();
        if let Some(failure) = self.refused(answer, body.as_ref().ok()) {
            // What got a token is refused: no other token helps.
            let class = match failure.class {
                Class::TokenExpired | Class::TokenWrong => Class::Revoked,
                class => class,
            };
            return Err(Failure { class, ..failure });
        }
        login.read(answer, at)
    }
}

impl Section for HttpConfig {
    fn check(&self, problems: &mut Problems) {
        let origin = Origin { source: "sample".to_owned(), shop: None };
        let made = self.build(origin, None, problems);
        if let Some(made) = made.filter(|_| !problems.has_errors()) {
            made.check_samples(problems);
        }
    }

    fn needs_token(&self) -> bool {
        let Some(auth) = &self.auth else { return false };
        auth.oauth2.is_none() && auth.login.is_none()
    }

    fn app(&self) -> String {
        self.base.clone()
    }

    fn paths(&mut self) -> Vec<&mut Option<String>> {
        let mut paths = Vec::new();
        for list in self.lists.values_mut() {
            paths.push(&mut list.sample);
            paths.extend(list.detail.as_mut().map(|detail| &mut detail.sample));
        }
        if let Some(auth) = &mut self.auth {
            paths.extend(auth.oauth2.as_mut().map(|oauth2| &mut oauth2.client_secret_file));
            paths.extend(auth.login.as_mut().map(|login| &mut login.secret_file));
        }
        paths
    }

    fn platform(
        &self,
        origin: Origin,
        env: &BTreeMap<String, String>,
    ) -> Result<Box<dyn Platform>, SourceFault> {
        let secret = match self.secret() {
            Some(pick) => {
                let missing = || SourceFault::Setting(format!("has no {}", pick.base));
                Some(pick.read(env)?.ok_or_else(missing)?)
            }
            None => None,
        };
        let made = Json::new(origin, self, secret).map_err(SourceFault::Setting)?;
        Ok(Box::new(made))
    }

    fn shown(&self, origin: Origin) -> Vec<String> {
        self.build(origin, None, &mut Problems::new()).map_or_else(Vec::new, |made| made.shown())
    }
}
