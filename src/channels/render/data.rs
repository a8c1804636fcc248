//! The structured forms of a letter: the document of a webhook, the variables of a short message.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::channels::escape::{Markup, escape, neutral};
use crate::channels::mask::{mask_fact, mask_text};
use crate::channels::render::view::{Fit, cut, family_words, links, local, state};
use crate::channels::render::words::Words;
use crate::core::alerting::{Item, Letter};
use crate::core::ids::Id;
use crate::core::model::{Body, Purpose};
use crate::core::time::Instant;

/// The version of the document: a new name is no new version, a changed meaning is.
const VERSION: u32 = 1;

fn instant(at: Instant) -> String {
    at.to_timestamp().to_string()
}

fn clean(text: &str, fit: Fit) -> String {
    cut(&neutral(&mask_text(text)), fit.chars)
}

/// The document, its keys in the order of the alphabet, as those of `Item` and the others here. Written as it is, not
/// by way of a tree: it is made for every message.
#[derive(Serialize)]
struct Document<'a> {
    class: &'static str,
    desk: String,
    items: Vec<ItemData<'a>>,
    links: BTreeMap<&'static str, &'a str>,
    made_at: String,
    message: Id,
    person: PersonData<'a>,
    possible_duplicate: bool,
    purpose: &'static str,
    remark: Option<String>,
    reminder: Option<u32>,
    storm: Option<StormData<'a>>,
    subject: Option<&'a str>,
    team: &'a str,
    text: &'a str,
    total: usize,
    unrecorded: bool,
    version: u32,
}

#[derive(Serialize)]
struct PersonData<'a> {
    id: &'a str,
    name: String,
}

#[derive(Serialize)]
struct StormData<'a> {
    before: Option<usize>,
    breached: usize,
    dimension: &'a str,
    family: &'a str,
    oldest: Option<String>,
    open: usize,
    penalty_cents: i64,
    resolved: usize,
    value: String,
}

#[derive(Serialize)]
struct ItemData<'a> {
    action: Option<String>,
    dimensions: BTreeMap<&'a str, String>,
    due: Option<String>,
    episode: u32,
    facts: BTreeMap<&'a str, String>,
    family: &'a str,
    hard_deadline: Option<String>,
    id: Id,
    kind: &'a str,
    level: u8,
    penalty_cents: i64,
    rule: &'a str,
    short: String,
    since: String,
    source: &'a str,
    step: u32,
    subject: String,
    title: String,
    unverified: bool,
    vip: bool,
}

/// The document that a webhook sends (`docs/webhook.md`).
pub(super) fn document(letter: &Letter<'_>, body: &Body, fit: Fit) -> String {
    let document = Document {
        class: letter.priority.word(),
        desk: clean(letter.desk, fit),
        items: letter.items.iter().take(fit.items).map(|item| item_data(item, fit)).collect(),
        links: links(letter).map(|(purpose, url)| (purpose, url.as_str())).collect(),
        made_at: instant(letter.now),
        message: letter.message,
        person: PersonData { id: letter.person, name: clean(letter.person_name, fit) },
        possible_duplicate: letter.marked,
        purpose: letter.purpose.word(),
        remark: letter.remark.map(|remark| clean(remark, fit)),
        reminder: match letter.purpose {
            Purpose::Reminder(n) => Some(n),
            _ => None,
        },
        storm: letter.storm.as_ref().map(|storm| StormData {
            before: storm.before,
            breached: storm.breached,
            dimension: storm.dimension,
            family: storm.family,
            oldest: storm.oldest.map(instant),
            open: storm.open,
            penalty_cents: storm.penalty_cents,
            resolved: storm.resolved,
            value: clean(storm.value, fit),
        }),
        subject: body.subject.as_deref(),
        team: letter.team,
        text: &body.text,
        total: letter.total.max(letter.items.len()),
        unrecorded: letter.unrecorded,
        version: VERSION,
    };
    // Plain data with text keys, which JSON always takes.
    serde_json::to_string(&document).unwrap_or_default()
}

fn item_data<'a>(item: &'a Item<'_>, fit: Fit) -> ItemData<'a> {
    let masked = |key: &str, value: &str| cut(&neutral(&mask_fact(key, value)), fit.chars);
    ItemData {
        action: item.action.map(|action| clean(action, fit)),
        dimensions: item.dimensions.iter().take(fit.facts).map(|(k, v)| (&**k, masked(k, v))).collect(),
        due: item.due.map(instant),
        episode: item.episode,
        facts: item.facts.iter().take(fit.facts).map(|(k, v)| (&**k, masked(k, v))).collect(),
        family: item.family,
        hard_deadline: item.hard_deadline.map(instant),
        id: item.id,
        kind: item.kind,
        level: item.level,
        penalty_cents: item.penalty_cents,
        rule: item.rule,
        short: item.id.short(),
        since: instant(item.since),
        source: item.source,
        step: item.step,
        subject: neutral(item.subject),
        title: clean(item.title, fit),
        unverified: item.unverified,
        vip: item.vip,
    }
}

/// The links and buttons of a message as data, for apps that show them as buttons; `None` where there is none.
pub(super) fn buttons(letter: &Letter<'_>, words: Option<&Words>) -> Option<String> {
    let label = |purpose: &str| words.map_or_else(|| purpose.to_owned(), |words| words.link(purpose));
    let links: Vec<_> = links(letter)
        .map(|(purpose, url)| json!({ "label": label(purpose), "purpose": purpose, "url": url }))
        .collect();
    let pressed = |purpose: &str| words.map_or_else(|| purpose.to_owned(), |words| words.button(purpose));
    let buttons: Vec<_> = letter
        .buttons
        .iter()
        .map(|(purpose, value)| json!({ "label": pressed(purpose), "purpose": purpose, "value": value }))
        .collect();
    match (links.is_empty(), buttons.is_empty()) {
        (true, true) => None,
        (false, true) => Some(json!({ "links": links }).to_string()),
        _ => Some(json!({ "links": links, "buttons": buttons }).to_string()),
    }
}

/// The variables of a short message, for providers that want a template of theirs filled in: all short, none empty.
pub(super) fn variables(letter: &Letter<'_>, words: Option<&Words>) -> String {
    let first = letter.items.first();
    let text = |text: String, chars| match cut(&escape(Markup::Sms, &mask_text(&text)), chars) {
        text if text.is_empty() => "-".to_owned(),
        text => text,
    };
    let what = match (first, words) {
        (Some(item), Some(words)) => family_words(item, words),
        (Some(item), None) => item.family.to_owned(),
        (None, _) => letter.purpose.word().to_owned(),
    };
    let mut all = json!({
        "form": if letter.minimal { "minimal" } else { "full" },
        "id": first.map_or_else(|| letter.message.short(), |item| item.id.short()),
        "level": first.map_or(0, |item| item.level).to_string(),
        "what": text(what, 20),
        "state": text(words.map_or_else(|| letter.purpose.word().to_owned(), |w| state(letter, w)), 20),
        "subject": text(first.map_or("", |item| item.subject).to_owned(), 20),
        "due": first.and_then(|i| i.due).map_or_else(|| "-".to_owned(), |due| local(due, letter.now, letter.zone)),
        "count": letter.total.max(letter.items.len()).to_string(),
    });
    // What a key of the phone brings back to us; no template can name it.
    if let Some((_, value)) = letter.buttons.iter().find(|(purpose, _)| *purpose == "ack") {
        all["press"] = json!(value);
    }
    all.to_string()
}
