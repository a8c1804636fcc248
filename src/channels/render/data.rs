//! The structured forms of a letter: the document of a webhook, the variables of a short message.

use serde_json::{Map, Value, json};

use crate::channels::escape::{Markup, escape, neutral};
use crate::channels::mask::{mask_fact, mask_text};
use crate::channels::render::view::{Fit, cut, family_words, links, local, state};
use crate::channels::render::words::Words;
use crate::core::alerting::{Item, Letter};
use crate::core::model::{Body, Purpose};
use crate::core::time::Instant;

/// The version of the document: a new name is no new version, a changed meaning is.
const VERSION: u32 = 1;

fn instant(at: Instant) -> Value {
    Value::String(at.to_timestamp().to_string())
}

fn clean(text: &str, fit: Fit) -> String {
    cut(&neutral(&mask_text(text)), fit.chars)
}

/// The document that a webhook sends (`docs/webhook.md`).
pub(super) fn document(letter: &Letter<'_>, body: &Body, fit: Fit) -> String {
    let items: Vec<Value> = letter.items.iter().take(fit.items).map(|item| item_data(item, fit)).collect();
    let links: Map<String, Value> =
        links(letter).map(|(purpose, url)| (purpose.to_owned(), Value::String(url.clone()))).collect();
    let storm = letter.storm.as_ref().map(|storm| {
        json!({
            "dimension": storm.dimension,
            "value": clean(storm.value, fit),
            "family": storm.family,
            "open": storm.open,
            "before": storm.before,
            "resolved": storm.resolved,
            "breached": storm.breached,
            "oldest": storm.oldest.map(instant),
            "penalty_cents": storm.penalty_cents,
        })
    });
    json!({
        "version": VERSION,
        "message": letter.message,
        "purpose": letter.purpose.word(),
        "reminder": match letter.purpose { Purpose::Reminder(n) => Some(n), _ => None },
        "class": letter.priority.word(),
        "desk": clean(letter.desk, fit),
        "team": letter.team,
        "person": { "id": letter.person, "name": clean(letter.person_name, fit) },
        "subject": body.subject,
        "text": body.text,
        "made_at": instant(letter.now),
        "possible_duplicate": letter.marked,
        "unrecorded": letter.unrecorded,
        "remark": letter.remark.map(|remark| clean(remark, fit)),
        "total": letter.total.max(letter.items.len()),
        "items": items,
        "storm": storm,
        "links": links,
    })
    .to_string()
}

fn item_data(item: &Item<'_>, fit: Fit) -> Value {
    let masked = |(key, value): (&str, &str)| {
        (key.to_owned(), Value::String(cut(&neutral(&mask_fact(key, value)), fit.chars)))
    };
    let facts: Map<String, Value> = item.facts.iter().take(fit.facts).map(|(k, v)| masked((k, v))).collect();
    let dimensions: Map<String, Value> =
        item.dimensions.iter().take(fit.facts).map(|(k, v)| masked((k, v))).collect();
    json!({
        "id": item.id,
        "short": item.id.short(),
        "family": item.family,
        "rule": item.rule,
        "title": clean(item.title, fit),
        "action": item.action.map(|action| clean(action, fit)),
        "kind": item.kind,
        "source": item.source,
        "subject": neutral(item.subject),
        "level": item.level,
        "step": item.step,
        "episode": item.episode,
        "vip": item.vip,
        "since": instant(item.since),
        "due": item.due.map(instant),
        "hard_deadline": item.hard_deadline.map(instant),
        "unverified": item.unverified,
        "penalty_cents": item.penalty_cents,
        "dimensions": dimensions,
        "facts": facts,
    })
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
    json!({
        "id": first.map_or_else(|| letter.message.short(), |item| item.id.short()),
        "level": first.map_or(0, |item| item.level).to_string(),
        "what": text(what, 20),
        "state": text(words.map_or_else(|| letter.purpose.word().to_owned(), |w| state(letter, w)), 20),
        "subject": text(first.map_or("", |item| item.subject).to_owned(), 20),
        "due": first.and_then(|i| i.due).map_or_else(|| "-".to_owned(), |due| local(due, letter.now, letter.zone)),
        "count": letter.total.max(letter.items.len()).to_string(),
    })
    .to_string()
}
