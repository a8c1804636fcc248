//! What a template sees of a letter: words for people, local times, masked facts. Every name is always there; what is
//! not known is `none`.

use jiff::tz::TimeZone;
use minijinja::value::{Serde, Value};
use serde::Serialize;

use crate::channels::mask::{mask_fact, mask_text};
use crate::channels::render::words::Words;
use crate::core::alerting::{Item, Letter};
use crate::core::model::{LinkRule, Purpose, ReplyPath};
use crate::core::time::Instant;

/// How much of a letter is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// How many items.
    pub(super) items: usize,
    /// How many facts of each.
    pub(super) facts: usize,
    /// How many characters of each.
    pub(super) chars: usize,
}

impl Fit {
    /// As little as a text can say.
    pub(super) const LEAST: Fit = Fit { items: 1, facts: 0, chars: 40 };

    /// So many items, with everything that is told of each.
    pub(super) fn whole(items: usize) -> Fit {
        Fit { items, facts: 12, chars: 160 }
    }

    /// Where not even one item with everything fits: from there to as little as possible.
    pub(super) const STEPS: [Fit; 3] =
        [Fit { items: 1, facts: 12, chars: 40 }, Fit { items: 1, facts: 3, chars: 40 }, Fit::LEAST];
}

/// The names of a template.
#[derive(Debug, Serialize)]
pub(super) struct View {
    desk: String,
    team: String,
    person: String,
    purpose: &'static str,
    state: String,
    class: String,
    total: usize,
    shown: usize,
    more: bool,
    /// Of all of them.
    penalty: Option<String>,
    marked: bool,
    unrecorded: bool,
    remark: Option<String>,
    /// Values, so that the first is not made twice.
    first: Option<Value>,
    items: Vec<Value>,
    storm: Option<StormView>,
    links: Vec<LinkView>,
    /// Whether it can be answered in words.
    replies: bool,
    now: String,
}

#[derive(Debug, Serialize)]
struct ItemView {
    short: String,
    id: String,
    family: String,
    title: String,
    kind: String,
    source: String,
    subject: String,
    level: u8,
    step: u32,
    episode: u32,
    vip: bool,
    since: String,
    due: Option<String>,
    overdue: bool,
    hard_deadline: Option<String>,
    unverified: Option<String>,
    penalty: Option<String>,
    action: Option<String>,
    url: Option<Value>,
    facts: Vec<Fact>,
    dimensions: Vec<Fact>,
}

#[derive(Debug, Serialize)]
struct Fact {
    key: String,
    label: String,
    value: String,
}

#[derive(Debug, Serialize)]
struct StormView {
    dimension: String,
    value: String,
    family: String,
    open: usize,
    before: Option<usize>,
    resolved: usize,
    breached: usize,
    oldest: Option<String>,
    penalty: Option<String>,
}

#[derive(Debug, Serialize)]
struct LinkView {
    purpose: &'static str,
    label: String,
    url: Value,
}

impl View {
    pub(super) fn new(letter: &Letter<'_>, words: &Words, fit: Fit) -> View {
        let when = |instant| local(instant, letter.now, letter.zone);
        let text = |text: &str| cut(&mask_text(text), fit.chars);
        let items: Vec<Value> = letter
            .items
            .iter()
            .take(fit.items)
            .map(|item| Value::from(Serde(item_view(item, letter, words, fit))))
            .collect();
        let total = letter.total.max(letter.items.len());
        View {
            desk: text(letter.desk),
            team: text(letter.team),
            person: text(letter.person_name),
            purpose: letter.purpose.word(),
            state: state(letter, words),
            class: letter.priority.word().to_uppercase(),
            total,
            shown: items.len(),
            more: total > items.len(),
            penalty: money(letter.penalty_cents),
            marked: letter.marked,
            unrecorded: letter.unrecorded,
            remark: letter.remark.map(text),
            first: items.first().cloned(),
            items,
            storm: letter.storm.as_ref().map(|storm| StormView {
                dimension: words.dimension(storm.dimension),
                value: text(storm.value),
                family: words.family(storm.family),
                open: storm.open,
                before: storm.before,
                resolved: storm.resolved,
                breached: storm.breached,
                oldest: storm.oldest.map(when),
                penalty: money(storm.penalty_cents),
            }),
            links: links(letter)
                .map(|(purpose, url)| LinkView {
                    purpose,
                    label: words.link(purpose),
                    url: Value::from_safe_string(url.clone()),
                })
                .collect(),
            replies: letter.card.reply == ReplyPath::Text && !letter.items.is_empty(),
            now: when(letter.now),
        }
    }

    /// The names as templates look them up; made once for all the texts of a letter.
    pub(super) fn names(&self) -> Value {
        Value::from(Serde(self))
    }
}

/// The links that the channel takes and that are links.
pub(super) fn links<'a>(letter: &'a Letter<'_>) -> impl Iterator<Item = (&'static str, &'a String)> {
    let taken = letter.card.links != LinkRule::None;
    letter.links.iter().filter(move |(_, url)| taken && is_link(url)).map(|(purpose, url)| (*purpose, url))
}

/// A link that can stand in any text: nothing in it ends it or means something else.
fn is_link(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && url
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\'' | b'`' | b'\\'))
}

fn item_view(item: &Item<'_>, letter: &Letter<'_>, words: &Words, fit: Fit) -> ItemView {
    let when = |instant| local(instant, letter.now, letter.zone);
    // Facts about facts are told elsewhere.
    const TOLD: [&str; 2] = ["as_of", "url"];
    // An attribute that is a dimension too is told as that, once.
    let is_dimension =
        |key: &str, value: &str| item.dimensions.get(key).is_some_and(|dimension| **dimension == *value);
    let facts =
        item.facts.iter().filter(|(key, value)| !TOLD.contains(&&***key) && !is_dimension(key, value));
    let as_of = item.facts.get("as_of").and_then(|text| Instant::parse(text).ok());
    ItemView {
        short: item.id.short(),
        id: item.id.to_string(),
        family: cut(&mask_text(&family_words(item, words)), fit.chars),
        title: cut(&mask_text(item.title), fit.chars),
        kind: words.kind(item.kind),
        source: cut(item.source, fit.chars),
        subject: cut(item.subject, fit.chars.max(64)),
        level: item.level,
        step: item.step,
        episode: item.episode,
        vip: item.vip,
        since: when(item.since),
        due: item.due.map(when),
        overdue: item.due.is_some_and(|due| due <= letter.now),
        hard_deadline: item.hard_deadline.map(when),
        unverified: item.unverified.then(|| match as_of {
            Some(at) => words.phrase("unverified", &when(at)),
            None => words.phrase("unverified_now", &when(letter.now)),
        }),
        penalty: money(item.penalty_cents),
        action: item.action.map(|action| cut(&mask_text(action), fit.chars)),
        url: item.facts.get("url").filter(|url| is_link(url)).map(|url| Value::from_safe_string(url.clone())),
        facts: facts
            .take(fit.facts)
            .map(|(key, value)| Fact {
                key: key.to_string(),
                label: words.fact(key),
                value: cut(&mask_fact(key, value), fit.chars),
            })
            .collect(),
        dimensions: item
            .dimensions
            .iter()
            .filter(|(key, _)| !key.contains('+'))
            .take(fit.facts)
            .map(|(key, value)| Fact {
                key: key.to_string(),
                label: words.dimension(key),
                value: cut(&mask_fact(key, value), fit.chars),
            })
            .collect(),
    }
}

/// What an incident is, in plain words: the title of its rule, or its family.
pub(super) fn family_words(item: &Item<'_>, words: &Words) -> String {
    if item.title.is_empty() { words.family(item.family) } else { item.title.to_owned() }
}

/// What the letter says has happened.
pub(super) fn state(letter: &Letter<'_>, words: &Words) -> String {
    let late = letter.items.first().and_then(|item| item.due).is_some_and(|due| due <= letter.now);
    match letter.purpose {
        Purpose::Reminder(n) => words.phrase("reminder", &n.to_string()),
        Purpose::Level if late => words.phrase("level_late", ""),
        purpose => words.phrase(purpose.word(), ""),
    }
}

/// An instant as people read it: the time, with its date unless that is today's. Never relative: a text may be read late
/// (T6).
pub(super) fn local(instant: Instant, now: Instant, zone: &TimeZone) -> String {
    let (then, today) =
        (instant.to_timestamp().to_zoned(zone.clone()), now.to_timestamp().to_zoned(zone.clone()));
    let form = if then.date() == today.date() {
        "%H:%M"
    } else if then.year() == today.year() {
        "%m-%d %H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    then.strftime(form).to_string()
}

fn money(cents: i64) -> Option<String> {
    (cents > 0).then(|| format!("{}.{:02}", cents / 100, cents % 100))
}

/// At most so many characters, in one line.
pub(super) fn cut(text: &str, chars: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(chars.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
    }
}
