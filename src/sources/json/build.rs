//! From the configuration to what works by it, with everything that is wrong told at once.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use minijinja::context;
use minijinja::value::Value as Name;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::core::ids::Secret;
use crate::core::problem::Problems;
use crate::core::time::Span;
use crate::sources::json::Json;
use crate::sources::json::auth::{self, header_name};
use crate::sources::json::config::{
    DetailConfig, EachConfig, ErrorConfig, HttpConfig, ListConfig, MapConfig, Method, Paging, RequestConfig,
};
use crate::sources::json::mapping::{Mapping, Says, is_word};
use crate::sources::json::path::{Path, plain};
use crate::sources::json::request::{Home, Show};
use crate::sources::json::template::{Place, Sandbox};
use crate::sources::platform::{Feed, Want};
use crate::sources::poll::{Class, Rules, Walk};
use crate::sources::row::Origin;

/// A list, ready to be asked for.
pub(super) struct List {
    pub(super) name: String,
    pub(super) config: ListConfig,
    pub(super) walk: Walk,
    pub(super) uses_page: bool,
    pub(super) items: Path,
    pub(super) total: Option<Path>,
    pub(super) total_header: Option<HeaderName>,
    pub(super) next: Option<Path>,
    pub(super) more: Option<Path>,
    pub(super) mapping: Mapping,
    pub(super) detail: Says,
    pub(super) detail_row: Path,
}

impl List {
    /// What was kept of a row, by name.
    pub(super) fn kept(&self, want: &Want) -> Name {
        let names = self.config.detail.iter().flat_map(|detail| detail.keep.keys().cloned());
        let values = want.ids.iter().skip(3).cloned();
        Name::from(names.zip(values).collect::<BTreeMap<String, String>>())
    }
}

/// What a refusal looks like.
pub(super) struct Rule {
    status: Vec<u16>,
    path: Option<Path>,
    is: Vec<String>,
    unless: Vec<String>,
    pub(super) class: Class,
}

impl Rule {
    /// The code of an answer that it fits.
    pub(super) fn fits(&self, status: u16, body: Option<&Value>) -> Option<String> {
        if !self.status.is_empty() && !self.status.contains(&status) {
            return None;
        }
        let by_status = format!("http_{status}");
        let Some(path) = &self.path else { return Some(by_status) };
        let value = path.of(body?)?;
        let text = plain(value);
        let fits = match (&text, self.is.is_empty(), self.unless.is_empty()) {
            (Some(text), false, _) => self.is.contains(text),
            (Some(text), true, false) => !self.unless.contains(text),
            (Some(text), true, true) => !matches!(text.as_str(), "" | "0" | "false"),
            // A list or an object is a refusal where nothing is said of its text, and something is in it.
            (None, true, true) => value.as_array().is_none_or(|list| !list.is_empty()),
            (None, ..) => false,
        };
        // A sentence is no code: it may say anything.
        let code = text.filter(|text| text.len() <= 40 && !text.contains(char::is_whitespace));
        fits.then(|| code.unwrap_or(by_status))
    }
}

const PAGE_NAMES: &[&str] = &["from", "to", "page", "offset", "cursor", "size", "now"];
const CASE_NAMES: &[&str] = &["id", "kind", "kept", "now"];

impl HttpConfig {
    /// What it describes. `None`, and the reasons in `problems`, where it describes nothing.
    pub(super) fn build(
        &self,
        origin: Origin,
        secret: Option<Secret>,
        problems: &mut Problems,
    ) -> Option<Json> {
        let before = problems.error_count();
        let base = self.place().map_err(|why| problems.within("base", |p| p.error(why))).ok();
        if self.plain_http {
            problems.within("plain_http", |p| {
                p.warn("everybody on the way can read the secret; wanted inside of one's own network only");
            });
        }
        let zone = TimeZone::get(&self.zone)
            .map_err(|e| {
                problems.within("zone", |p| p.error(format!("{e}, expected a zone such as Asia/Shanghai")));
            })
            .ok();
        let sandbox = Sandbox::new(&zone.clone().unwrap_or(TimeZone::UTC));
        let headers = problems.within("headers", |problems| fixed_headers(&self.headers, problems));
        let show = problems.within("auth", |problems| {
            self.auth.as_ref().map_or(Some(Show::Nothing), |a| auth::show(a, problems))
        });
        let login = problems.within("auth", |problems| self.login(&sandbox, secret, problems));
        let errors = problems.within("errors", |problems| {
            let rules = self.errors.iter().enumerate();
            rules.filter_map(|(n, rule)| problems.within(n, |p| error_rule(rule, p))).collect()
        });
        let home = base.zip(show).map(|(base, show)| Home { base, headers, show });
        let lists: Vec<List> = problems.within("lists", |problems| {
            if self.lists.is_empty() {
                problems.error("is empty, expected at least one list");
            }
            let lists = self.lists.iter();
            lists
                .filter_map(|(name, list)| {
                    problems.within(name.as_str(), |p| list.build(name, home.as_ref(), &sandbox, p))
                })
                .collect()
        });
        if problems.error_count() > before {
            return None;
        }
        let feeds = lists.iter().map(List::feed).collect();
        Some(Json { origin, home: home?, zone: zone?, sandbox, login, errors, lists, feeds })
    }
}

fn fixed_headers(headers: &BTreeMap<String, String>, problems: &mut Problems) -> HeaderMap {
    let mut read = HeaderMap::new();
    for (name, text) in headers {
        problems.within(name.as_str(), |problems| {
            match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(text)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    read.insert(name, value);
                }
                (Err(_), _) => problems.error("is no header, expected a name such as X-Team"),
                (_, Err(_)) => problems.error("has letters that a header cannot have"),
            }
        });
    }
    read
}

fn error_rule(config: &ErrorConfig, problems: &mut Problems) -> Option<Rule> {
    if config.status.is_empty() && config.path.is_none() {
        problems.error("has neither status nor path, expected one of them");
    }
    if !config.is.is_empty() && !config.unless.is_empty() {
        problems.error("has is and unless, expected only one of them");
    }
    let place = config.path.as_ref().map(|text| path("path", text, problems));
    let class = Class::ALL.into_iter().find(|class| class.word() == config.class);
    if class.is_none() {
        let all: Vec<&str> = Class::ALL.iter().map(|class| class.word()).collect();
        problems.within("class", |p| {
            p.error(format!("found `{}`, expected one of: {}", config.class, all.join(", ")));
        });
    }
    Some(Rule {
        status: config.status.clone(),
        path: place,
        is: config.is.clone(),
        unless: config.unless.clone(),
        class: class?,
    })
}

pub(super) fn path(key: &'static str, text: &str, problems: &mut Problems) -> Path {
    Path::read(text).unwrap_or_else(|why| {
        problems.within(key, |p| p.error(why));
        Path::default()
    })
}

/// Notes what is wrong with a request; answers the names that its templates use.
pub(super) fn request(
    config: &RequestConfig,
    sandbox: &Sandbox,
    allowed: &[&str],
    sample: &Name,
    problems: &mut Problems,
) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let mut template = |key: &str, place: Place, text: &str, problems: &mut Problems| -> Option<String> {
        problems.within(key, |problems| match sandbox.names(place, text) {
            Err(why) => {
                problems.error(why);
                None
            }
            Ok(names) => {
                for name in names.iter().filter(|name| !allowed.contains(&name.as_str())) {
                    problems.error(format!("uses `{name}`, expected one of: {}", allowed.join(", ")));
                }
                let known = names.iter().all(|name| allowed.contains(&name.as_str()));
                used.extend(names);
                if !known {
                    return None;
                }
                let made = sandbox.render(place, text, sample);
                made.map_err(|why| problems.error(why)).ok()
            }
        })
    };
    template("url", Place::Path, &config.url, problems);
    for (group, texts) in [("query", &config.query), ("headers", &config.headers), ("form", &config.form)] {
        problems.within(group, |problems| {
            for (name, text) in texts {
                if group == "headers" && HeaderName::from_bytes(name.as_bytes()).is_err() {
                    problems
                        .within(name.as_str(), |p| p.error("is no header, expected a name such as X-Team"));
                }
                template(name, Place::Value, text, problems);
            }
        });
    }
    if let Some(body) = &config.body {
        let made = template("body", Place::Json, body, problems);
        if let Some(Err(e)) = made.map(|text| serde_json::from_str::<Value>(&text)) {
            problems.within("body", |p| p.error(format!("is no JSON once it is filled in: {e}")));
        }
        if !config.form.is_empty() {
            problems.error("has body and form, expected only one of them");
        }
    }
    if config.method == Method::Get && (config.body.is_some() || !config.form.is_empty()) {
        problems.within("method", |p| p.error("found GET with a body or form, expected POST"));
    }
    used
}

/// Notes an expression that is none, or uses what is not there.
fn expression(sandbox: &Sandbox, text: &str, allowed: &[&str], problems: &mut Problems) {
    match sandbox.expression(text) {
        Err(why) => problems.error(why),
        Ok(expression) => {
            let mut names: Vec<String> = expression.undeclared_variables(false).into_iter().collect();
            names.sort();
            for name in names.iter().filter(|name| !allowed.contains(&name.as_str())) {
                problems.error(format!("uses `{name}`, expected one of: {}", allowed.join(", ")));
            }
        }
    }
}

/// The parts of a mapping that a list and a case have in common.
struct Common<'c> {
    deadline: &'c Option<String>,
    marks: &'c BTreeMap<String, String>,
    seen: &'c BTreeMap<String, String>,
    attributes: &'c BTreeMap<String, String>,
    each: &'c [EachConfig],
}

impl Common<'_> {
    fn build(&self, sandbox: &Sandbox, allowed: &[&str], problems: &mut Problems) -> Says {
        if let Some(text) = self.deadline {
            problems.within("deadline", |p| expression(sandbox, text, allowed, p));
        }
        for (group, texts) in [("marks", self.marks), ("seen", self.seen), ("attributes", self.attributes)] {
            problems.within(group, |problems| {
                for (name, text) in texts {
                    problems.within(name.as_str(), |problems| {
                        if !is_word(name) {
                            problems.error("is no name, expected small letters, digits and _");
                        }
                        if group == "seen" && name.ends_with("_by") {
                            problems.error("ends in _by, which is for deadlines; these have an instant");
                        }
                        expression(sandbox, text, allowed, problems);
                    });
                }
            });
        }
        problems.within("each", |problems| {
            let inner: Vec<&str> = allowed.iter().copied().chain(["entry"]).collect();
            for (n, each) in self.each.iter().enumerate() {
                problems.within(n, |problems| {
                    problems.within("of", |p| expression(sandbox, &each.of, allowed, p));
                    problems.within("at", |p| expression(sandbox, &each.at, &inner, p));
                    for (key, text) in [("when", &each.when), ("reference", &each.reference)] {
                        if let Some(text) = text {
                            problems.within(key, |p| expression(sandbox, text, &inner, p));
                        }
                    }
                    if !is_word(&each.mark) {
                        problems.within("mark", |p| {
                            p.error(format!("found `{}`, expected small letters, digits and _", each.mark));
                        });
                    }
                });
            }
        });
        let pairs =
            |map: &BTreeMap<String, String>| map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Says {
            deadline: self.deadline.clone(),
            marks: pairs(self.marks),
            seen: pairs(self.seen),
            attributes: pairs(self.attributes),
            each: self.each.to_vec(),
        }
    }
}

impl MapConfig {
    fn build(&self, list: &str, config: &ListConfig, sandbox: &Sandbox, problems: &mut Problems) -> Mapping {
        const ROW: &[&str] = &["row"];
        if let Some(text) = &config.when {
            problems.within("when", |p| expression(sandbox, text, ROW, p));
        }
        let says = problems.within("map", |problems| {
            problems.within("kind", |problems| match sandbox.names(Place::Value, &self.kind) {
                Err(why) => problems.error(why),
                Ok(names) => {
                    for name in names.iter().filter(|name| *name != "row") {
                        problems.error(format!("uses `{name}`, expected one of: row"));
                    }
                    if names.is_empty() && !is_word(&self.kind) {
                        let kind = &self.kind;
                        problems.error(format!(
                            "found `{kind}`, expected a word such as ticket, order, aftersale"
                        ));
                    }
                }
            });
            problems.within("id", |p| expression(sandbox, &self.id, ROW, p));
            for (key, text) in [("modified", &self.modified), ("revision", &self.revision)] {
                if let Some(text) = text {
                    problems.within(key, |p| expression(sandbox, text, ROW, p));
                }
            }
            let (deadline, each) = (&self.deadline, &self.each);
            let (marks, seen, attributes) = (&self.marks, &self.seen, &self.attributes);
            Common { deadline, marks, seen, attributes, each }.build(sandbox, ROW, problems)
        });
        let detail = config.detail.as_ref().map(|detail| {
            problems.within("detail", |problems| {
                if let Some(text) = &detail.when {
                    problems.within("when", |p| expression(sandbox, text, ROW, p));
                }
                problems.within("keep", |problems| {
                    for (name, text) in &detail.keep {
                        problems.within(name.as_str(), |problems| {
                            if !is_word(name) {
                                problems.error("is no name, expected small letters, digits and _");
                            }
                            expression(sandbox, text, ROW, problems);
                        });
                    }
                });
            });
            let keep = detail.keep.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
            (detail.when.clone(), keep)
        });
        Mapping {
            list: list.to_owned(),
            when: config.when.clone(),
            kind: self.kind.clone(),
            id: self.id.clone(),
            modified: self.modified.clone(),
            revision: self.revision.clone(),
            says,
            detail,
        }
    }
}

impl DetailConfig {
    fn build(&self, home: Option<&Home>, sandbox: &Sandbox, problems: &mut Problems) -> (Says, Path) {
        const CASE: &[&str] = &["row", "id", "kind", "kept"];
        let sample = context! { id => "1", kind => "case", kept => self.sample_kept(), now => SAMPLE_TIME };
        problems.within("request", |p| {
            request(&self.request, sandbox, CASE_NAMES, &sample, p);
            leads_here(&self.request, home, sandbox, &sample, p);
        });
        let row = path("row", &self.row, problems);
        let (deadline, each) = (&self.deadline, &self.each);
        let (marks, seen, attributes) = (&self.marks, &self.seen, &self.attributes);
        (Common { deadline, marks, seen, attributes, each }.build(sandbox, CASE, problems), row)
    }

    /// Something for everything that is kept.
    pub(super) fn sample_kept(&self) -> Name {
        Name::from(self.keep.keys().map(|name| (name.clone(), "1")).collect::<BTreeMap<String, &str>>())
    }
}

const SAMPLE_TIME: &str = "2026-01-05T02:00:00Z";

/// Notes a request that would leave the server.
fn leads_here(
    config: &RequestConfig,
    home: Option<&Home>,
    sandbox: &Sandbox,
    sample: &Name,
    problems: &mut Problems,
) {
    if home.is_some_and(|home| home.target(config, sample, sandbox) == Err("foreign_url")) {
        problems.within("url", |p| {
            p.error(format!("found `{}`, expected a place seen from `base`, on the same server", config.url));
        });
    }
}

impl ListConfig {
    fn build(
        &self,
        name: &str,
        home: Option<&Home>,
        sandbox: &Sandbox,
        problems: &mut Problems,
    ) -> Option<List> {
        let before = problems.error_count();
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > 40 || !name.chars().all(fits) {
            problems.error("is no name of a list, expected small letters, digits, - and _");
        }
        let sample = context! {
            from => SAMPLE_TIME, to => SAMPLE_TIME, now => SAMPLE_TIME,
            page => self.first_page, offset => 0, size => self.page_size, cursor => None::<String>,
        };
        let used = problems.within("request", |p| {
            let used = request(&self.request, sandbox, PAGE_NAMES, &sample, p);
            leads_here(&self.request, home, sandbox, &sample, p);
            used
        });
        self.check_bounds(problems);
        let walk = self.walk(&used, problems);
        let mapping = self.map.build(name, self, sandbox, problems);
        let (detail, detail_row) = match &self.detail {
            Some(detail) => problems.within("detail", |p| detail.build(home, sandbox, p)),
            None => (Says::default(), Path::default()),
        };
        let maybe = |key: &'static str, text: &Option<String>, problems: &mut Problems| {
            text.as_ref().map(|text| path(key, text, problems))
        };
        let mut config = self.clone();
        if !used.contains("from") && !used.contains("to") {
            // It is always read as a whole: one window is enough.
            config.longest = config.history;
        }
        let list = List {
            name: name.to_owned(),
            walk,
            uses_page: used.contains("page") || used.contains("offset"),
            items: path("items", &self.items, problems),
            total: maybe("total", &self.total, problems),
            total_header: self.total_header.as_ref().and_then(|n| header_name("total_header", n, problems)),
            next: maybe("next", &self.next, problems),
            more: maybe("more", &self.more, problems),
            mapping,
            detail,
            detail_row,
            config,
        };
        (problems.error_count() == before).then_some(list)
    }

    fn check_bounds(&self, problems: &mut Problems) {
        for (key, number, most) in [
            ("page_size", self.page_size, 10_000),
            ("most_pages", self.most_pages, 100_000),
            ("most_rows", self.most_rows, 100_000),
            ("rounds", self.rounds, 1000),
        ] {
            if number == 0 || number > most {
                problems.within(key, |p| p.error(format!("found {number}, expected 1 to {most}")));
            }
        }
        for (key, span, least, most) in [
            ("lag", self.lag, Span::ZERO, Span::HOUR),
            ("overlap", self.overlap, Span::ZERO, Span::DAY),
            ("longest", self.longest, Span::MINUTE, Span::DAY.times(3650)),
            ("history", self.history, Span::HOUR, Span::DAY.times(3650)),
        ] {
            if span < least || span > most {
                problems.within(key, |p| p.error(format!("found {span}, expected {least} to {most}")));
            }
        }
    }

    /// How it is walked, by what its request uses.
    fn walk(&self, used: &BTreeSet<String>, problems: &mut Problems) -> Walk {
        let uses = |name: &str| used.contains(name);
        let has_total = self.total.is_some() || self.total_header.is_some();
        let needs = |key: &'static str, text: &str, problems: &mut Problems| {
            problems.within(key, |p| p.error(text.to_owned()));
        };
        let (paging, forward) = (self.paging, Walk::Forward { most: self.most_pages });
        if self.next.is_some() && !matches!(paging, Paging::Cursor | Paging::Link) {
            needs("next", "is used with paging = \"cursor\" or \"link\" only", problems);
        }
        if self.total.is_some() && self.total_header.is_some() {
            problems.error("has total and total_header, expected only one of them");
        }
        if self.more.is_some() && (paging == Paging::None || (paging == Paging::Pages && uses("to"))) {
            needs(
                "more",
                "is not used here: it is for pages that are read from the first to the last",
                problems,
            );
        }
        if uses("cursor") && paging != Paging::Cursor {
            needs("paging", "expected \"cursor\": the request uses {{ cursor }}", problems);
        }
        let by_number = uses("page") || uses("offset");
        match paging {
            Paging::None if by_number => {
                needs(
                    "paging",
                    "expected \"pages\" or \"keyset\": the request uses {{ page }} or {{ offset }}",
                    problems,
                );
                forward
            }
            Paging::None => forward,
            Paging::Pages => {
                if !by_number {
                    needs(
                        "request",
                        "uses neither {{ page }} nor {{ offset }}, expected one of them",
                        problems,
                    );
                }
                if !uses("to") {
                    return forward;
                }
                if !uses("from") {
                    needs("request", "uses {{ to }} without {{ from }}, expected both or none", problems);
                }
                if !has_total {
                    let text = "is missing: a window that ends at {{ to }} loses rows while it is read, unless it is \
                                read from its last page; say where the count of all rows stands, or leave {{ to }} out";
                    needs("total", text, problems);
                }
                Walk::LastToFirst
            }
            Paging::Keyset => {
                if !uses("from") {
                    needs(
                        "request",
                        "does not use {{ from }}, expected it: rows are read from there on",
                        problems,
                    );
                }
                if self.map.modified.is_none() {
                    problems.within("map", |p| {
                        needs("modified", "is missing: without it nobody knows where to go on", p);
                    });
                }
                Walk::Keyset
            }
            Paging::Cursor | Paging::Link | Paging::LinkHeader => {
                if paging == Paging::Cursor && !uses("cursor") {
                    needs("request", "does not use {{ cursor }}, expected it", problems);
                }
                if paging == Paging::LinkHeader {
                    // `next` was told above.
                } else if self.next.is_none() {
                    needs("next", "is missing: where the next cursor or link stands in the answer", problems);
                }
                if paging != Paging::Cursor && self.request.method != Method::Get {
                    needs("request", "is a POST, expected GET: links are followed by GET", problems);
                }
                forward
            }
        }
    }
}

impl List {
    fn feed(&self) -> Feed {
        let config = &self.config;
        let rules = Rules {
            lag: config.lag,
            overlap: config.overlap,
            longest: config.longest,
            history: config.history,
            page_size: config.page_size,
            first_page: config.first_page,
            walk: self.walk,
        };
        Feed { name: self.name.clone(), rules, rank: config.rank, rounds: config.rounds }
    }
}
