//! The pages behind links: few words, one button, no script. Whatever comes from outside is escaped by the template
//! engine, and a strict policy keeps a page from loading or sending anything else.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use sha2::{Digest, Sha256};

use super::links::SNOOZES;
use crate::channels::mask::mask_fact;
use crate::channels::render::Words;
use crate::core::alerting::{Answer, Done, LinkPurpose, LinkTarget, LinkToken, Setup};
use crate::core::model::{Incident, Language, Status};
use crate::core::time::Instant;

/// A page inside the program that is broken.
#[derive(Debug, thiserror::Error)]
#[error("a page inside the program is broken: {0}")]
pub struct PageError(#[from] minijinja::Error);

/// The style of all pages. It stands in each page; its digest is all that the policy allows.
const STYLE: &str = include_str!("pages/page.css");
/// Incidents that a page of a list shows; the rest is counted.
const SHOWN: usize = 50;

/// What a page without a button says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// Not one of our links.
    Invalid,
    /// Its time is over.
    Expired,
    /// The incident was opened again since.
    OtherEpisode,
    /// The incident is no longer kept.
    Gone,
    /// The person may not.
    NotEntitled,
    /// It cannot be done as it stands now.
    WrongStatus,
    /// No time is left for it.
    OutOfBounds,
    /// It was not recorded (§16.4).
    NotRecorded,
    /// It takes longer; perhaps it will be done (§12.2).
    Working,
    /// A purpose that no page serves yet.
    Reserved,
}

impl Note {
    fn word(self) -> &'static str {
        match self {
            Note::Invalid => "invalid",
            Note::Expired => "expired",
            Note::OtherEpisode => "other_episode",
            Note::Gone => "gone",
            Note::NotEntitled => "not_entitled",
            Note::WrongStatus => "wrong_status",
            Note::OutOfBounds => "out_of_bounds",
            Note::NotRecorded => "not_recorded",
            Note::Working => "working",
            Note::Reserved => "reserved",
        }
    }
}

/// What a page with a button says above it, after a press that did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saying {
    /// The page was made too long ago.
    PageTooOld,
    /// No time was chosen.
    NoTime,
    /// No reason was given.
    NoReason,
    /// This link is only to look.
    OnlyLooking,
    /// A list can only be acked.
    NotForLists,
    /// The form asks for something else than the link is for.
    OtherUse,
}

impl Saying {
    fn word(self) -> &'static str {
        match self {
            Saying::PageTooOld => "page_too_old",
            Saying::NoTime => "no_time",
            Saying::NoReason => "no_reason",
            Saying::OnlyLooking => "only_looking",
            Saying::NotForLists => "not_for_lists",
            Saying::OtherUse => "other_use",
        }
    }
}

/// What a page is about.
pub(crate) struct View<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) now: Instant,
    pub(crate) language: Language,
    pub(crate) token: &'a LinkToken,
    pub(crate) incidents: &'a [Incident],
}

/// The pages, read once.
pub(crate) struct Pages {
    engine: Environment<'static>,
    words: BTreeMap<Language, Words>,
    policy: HeaderValue,
}

impl Pages {
    pub(crate) fn new(words: BTreeMap<Language, Words>) -> Result<Pages, PageError> {
        let mut engine = Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        engine.set_auto_escape_callback(|_| AutoEscape::Html);
        engine.add_template("base.html", include_str!("pages/base.html"))?;
        engine.add_template("facts.html", include_str!("pages/facts.html"))?;
        engine.add_template("form.html", include_str!("pages/form.html"))?;
        engine.add_template("done.html", include_str!("pages/done.html"))?;
        engine.add_template("note.html", include_str!("pages/note.html"))?;
        let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Ok(Pages { engine, words, policy })
    }

    /// The page with the button.
    pub(crate) fn form(
        &self,
        status: StatusCode,
        view: &View<'_>,
        once: &str,
        saying: Option<Saying>,
    ) -> Response {
        let page = context! {
            purpose => view.token.purpose.word(),
            pressable => view.token.purpose != LinkPurpose::View,
            once => once,
            saying => saying.map_or("", Saying::word),
            snoozes => SNOOZES.to_vec(),
            ..view.context(&self.words)
        };
        self.render(status, "form.html", page)
    }

    /// A page without a button. Without `view` nobody knows whose link it is.
    pub(crate) fn note(
        &self,
        status: StatusCode,
        language: Language,
        note: Note,
        setup: &Setup,
        view: Option<&View<'_>>,
        incidents: &[Incident],
    ) -> Response {
        let about = match view {
            Some(view) => view.context(&self.words),
            None => context! { zh => language == Language::Zh, desk => setup.title.as_str(), style => STYLE,
            person => "", items => Vec::<Value>::new(), more => 0, listed => false },
        };
        let managers: Vec<String> = match note {
            Note::NotRecorded => call_these(setup),
            _ => Vec::new(),
        };
        let page =
            context! { note => note.word(), shows => !incidents.is_empty(), call => managers, ..about };
        self.render(status, "note.html", page)
    }

    /// What was done.
    pub(crate) fn done(&self, view: &View<'_>, answer: &Answer) -> Response {
        let lines: Vec<Value> = answer.done.iter().map(|done| view.done(done)).collect();
        let page = context! {
            lines => lines,
            repeated => answer.repeated,
            at => view.clock(answer.at, Grain::Seconds),
            ..view.context(&self.words)
        };
        self.render(StatusCode::OK, "done.html", page)
    }

    fn render(&self, status: StatusCode, name: &str, page: Value) -> Response {
        let text = self.engine.get_template(name).and_then(|template| template.render(page));
        let (status, text) = match text {
            Ok(text) => (status, text),
            Err(error) => {
                tracing::error!(%error, "a page could not be made");
                let plain = "暂时无法显示此页,请电话联系 / this page cannot be shown now, call somebody\n";
                (StatusCode::INTERNAL_SERVER_ERROR, plain.to_owned())
            }
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let fixed = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        response
    }
}

/// Whom to call while nothing can be recorded: those of the fallback list, by name.
fn call_these(setup: &Setup) -> Vec<String> {
    let people = setup.config.fallback.iter().filter_map(|name| setup.roster.people.get(name.as_str()));
    people.map(|person| person.name.clone()).take(3).collect()
}

#[derive(Clone, Copy)]
enum Grain {
    Minutes,
    Seconds,
}

impl View<'_> {
    fn context(&self, words: &BTreeMap<Language, Words>) -> Value {
        let zh = self.language == Language::Zh;
        let words = words.get(&self.language).cloned().unwrap_or_default();
        let items: Vec<Value> =
            self.incidents.iter().take(SHOWN).map(|incident| self.item(incident, &words)).collect();
        context! {
            zh => zh,
            style => STYLE,
            desk => self.setup.title.as_str(),
            person => self.name(&self.token.person),
            listed => matches!(self.token.target, LinkTarget::List { .. }),
            more => self.incidents.len().saturating_sub(SHOWN),
            items => items,
        }
    }

    /// The name that people know somebody by.
    fn name<'b>(&'b self, person: &'b str) -> &'b str {
        self.setup.roster.people.get(person).map_or(person, |person| &person.name)
    }

    /// A local time; with its date when that is not today's (T6).
    fn clock(&self, at: Instant, grain: Grain) -> String {
        let local = |at: Instant| at.to_timestamp().to_zoned(self.setup.zone.clone());
        let (at, now) = (local(at), local(self.now));
        let format = match (at.date() == now.date(), grain) {
            (true, Grain::Minutes) => "%H:%M",
            (true, Grain::Seconds) => "%H:%M:%S",
            (false, _) => "%m-%d %H:%M",
        };
        at.strftime(format).to_string()
    }

    fn item(&self, incident: &Incident, words: &Words) -> Value {
        let zh = self.language == Language::Zh;
        let rule = self.setup.rules.get(&incident.rule);
        let title = match rule.map(|rule| rule.title.as_str()) {
            Some(title) if !title.is_empty() => title,
            _ => &incident.rule,
        };
        let when = |at: Option<Instant>| at.map_or(String::new(), |at| self.clock(at, Grain::Minutes));
        let holder = incident.acked_by.as_deref().map_or("", |person| self.name(person));
        let state = match (incident.status, zh) {
            (Status::Open, true) => "待认领".to_owned(),
            (Status::Open, false) => "open".to_owned(),
            (Status::Acked, true) => format!("已由{holder}认领"),
            (Status::Acked, false) => format!("{holder} has it"),
            (Status::Snoozed, true) => format!("已推迟至{}", when(incident.snooze_until)),
            (Status::Snoozed, false) => format!("put off until {}", when(incident.snooze_until)),
            (Status::Resolved, true) => "已恢复".to_owned(),
            (Status::Resolved, false) => "resolved".to_owned(),
        };
        let facts: Vec<Value> = incident
            .facts
            .iter()
            .filter(|(_, text)| !text.is_empty())
            .take(20)
            .map(|(name, text)| {
                let text = mask_fact(name, text);
                context! { name => clip(&words.fact(name), 40), text => clip(&text, 200) }
            })
            .collect();
        context! {
            short => incident.id.short(),
            title => title,
            action => rule.and_then(|rule| rule.action.as_deref()).unwrap_or_default(),
            kind => words.kind(&incident.subject.kind),
            source => &*incident.subject.source,
            subject => clip(&incident.subject.id, 80),
            level => incident.level,
            vip => incident.vip,
            legal => incident.legal,
            unverified => incident.unverified,
            since => when(Some(incident.since)),
            due => when(incident.due),
            hard_deadline => when(incident.hard_deadline),
            state => state,
            facts => facts,
        }
    }

    fn done(&self, done: &Done) -> Value {
        let (word, incident, person, until, cut) = match done {
            Done::Acked { incident, until } => ("acked", Some(incident), None, *until, false),
            Done::HasOwner { incident, person, at } => {
                ("has_owner", Some(incident), Some(person), Some(*at), false)
            }
            Done::AlreadyResolved { incident } => ("already_resolved", Some(incident), None, None, false),
            Done::Snoozed { incident, until, cut } => ("snoozed", Some(incident), None, Some(*until), *cut),
            Done::Resolved { incident } => ("resolved", Some(incident), None, None, false),
            Done::Escalated { incident, .. } => ("escalated", Some(incident), None, None, false),
            Done::Released { incident } => ("released", Some(incident), None, None, false),
            Done::Silenced { .. } | Done::SilenceEnded { .. } => ("other", None, None, None, false),
        };
        context! {
            what => word,
            short => incident.map(|id| id.short()).unwrap_or_default(),
            person => person.map_or("", |person| self.name(person)),
            until => until.map_or(String::new(), |at| self.clock(at, Grain::Minutes)),
            cut => cut,
        }
    }
}

/// At most so many characters of a text that came from outside; control characters and those that turn the direction
/// of writing become spaces.
fn clip(text: &str, most: usize) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut out: String = text.chars().take(most).map(|c| if odd(c) { ' ' } else { c }).collect();
    if text.chars().nth(most).is_some() {
        out.push('…');
    }
    out
}
