//! `POST /v1/observations`: other systems say what they saw.
//!
//! The body is a JSON array, `{"observations": […]}`, or one event a line (NDJSON), each in the shape that `replay`
//! reads. Every item is answered for itself: an item that cannot be used keeps no other from being kept.
//!
//! Sending a batch again is always right (`sla_semantics` T2): what is known already is a `duplicate`. So there is no
//! `Idempotency-Key` here; one that is sent is ignored. An answer is sent only after the desk has kept what it says.
//!
//! | status | when |
//! | --- | --- |
//! | 200 | at least one item was understood; look at `results` for each |
//! | 401, 403 | no token of a source; a token that may not speak for any of these sources |
//! | 413 | the body, or the number of items, is too large |
//! | 422 | not one item could be understood |
//! | 429 | faster than the token's rate: `Retry-After` |
//! | 503 | the desk is overloaded, or its store takes nothing now: send the same again after `Retry-After` |

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::config::ClientRole;
use super::door::{self, Caller, Peer};
use super::problem::Problem;
use super::{ANSWER_WITHIN, Shared};
use crate::core::model::Merge;
use crate::daemon::handle::{Ask, Noticed, ObserveAnswer};
use crate::daemon::noticed::PAGE;
use crate::telemetry::metrics::{Refused, Taken};

/// After so many items other requests get their turn.
const TURN: usize = 64;
/// A body that announces no more bytes than this is read at once.
const SMALL: usize = 256 << 10;

/// What came of a batch.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    kept: usize,
    duplicate: usize,
    refused: usize,
    #[serde(skip_serializing_if = "is_none")]
    unavailable: usize,
    results: Vec<ItemResult>,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

#[derive(Debug, Serialize)]
struct ItemResult {
    index: usize,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Outcome {
    fn note(&mut self, index: usize, taken: Taken, reason: Option<String>) {
        match taken {
            Taken::Kept => self.kept += 1,
            Taken::Duplicate => self.duplicate += 1,
            Taken::Refused => self.refused += 1,
            Taken::Unavailable => self.unavailable += 1,
        }
        self.results.push(ItemResult { index, status: taken.word(), reason });
    }
}

/// Takes a batch in.
pub(super) async fn take(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let caller = door::admit(&shared, peer, &headers, ClientRole::Source).map_err(Problem::closing)?;
    let busy =
        || Problem::new(503, "the desk is busy; send the same again").after(Duration::from_secs(2)).closing();
    // Large bodies wait outside, so that what is in memory at a time is bounded; those of one token take half of the
    // places at most, so that one that stalls leaves room for the others. Small ones never wait.
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let is_small = announced.is_some_and(|length| length <= SMALL);
    let places = async {
        let own = match caller {
            Caller::Client(client) => Some(client.large.acquire().await),
            Caller::Machine => None,
        };
        (own, shared.batches.acquire().await)
    };
    let _held = match is_small {
        true => None,
        false => Some(tokio::time::timeout(ANSWER_WITHIN, places).await.map_err(|_| busy())?),
    };
    let limits = &shared.limits;
    let body = door::body(limits, &headers, body, limits.body_bytes).await?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let items = match items(&body, content_type, limits.batch) {
        Ok(items) => items,
        Err(Unreadable::TooMany) => {
            return Err(Problem::new(413, format!("more than {} observations in one request", limits.batch)));
        }
        Err(Unreadable::Not(reason)) => return Err(Problem::new(422, reason)),
    };
    if let Caller::Client(client) = caller {
        client.take(items.len().max(1), tokio::time::Instant::now()).map_err(|wait| {
            shared.metrics.refused(Refused::Rate);
            Problem::new(429, "faster than the rate of this token").after(wait)
        })?;
    }

    let mut outcome = Outcome { results: Vec::with_capacity(items.len()), ..Outcome::default() };
    let mut observations = Vec::with_capacity(items.len());
    let mut places = Vec::with_capacity(items.len());
    let (mut understood, mut foreign) = (0, 0);
    for (index, item) in items.iter().enumerate() {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        match shared.import.read(item) {
            Err(reason) => outcome.note(index, Taken::Refused, Some(reason)),
            Ok((_, observation)) => {
                understood += 1;
                if let Caller::Client(client) = caller
                    && !client.speaks_for(&observation.source)
                {
                    foreign += 1;
                    let reason = "this token may not speak for this source".to_owned();
                    outcome.note(index, Taken::Refused, Some(reason));
                    continue;
                }
                observations.push(observation.into_owned());
                places.push(index);
            }
        }
    }
    drop(items);
    drop(body);

    let mut unavailable = false;
    if !observations.is_empty() {
        let asked = shared.handle.ask(ANSWER_WITHIN * 2, |answer| Ask::Observe(observations, answer)).await;
        let mut answers = match asked {
            Ok(answers) => answers.into_iter(),
            Err(error) => {
                shared.metrics.observed(Taken::Unavailable, places.len() as u64);
                return Err(Problem::from(error));
            }
        };
        for index in places {
            let (taken, reason) = match answers.next() {
                Some(ObserveAnswer::Kept(merge)) => merged(merge),
                Some(ObserveAnswer::Refused(reason)) => (Taken::Refused, Some(reason)),
                Some(ObserveAnswer::Unavailable(reason)) => (Taken::Unavailable, Some(reason)),
                None => (Taken::Unavailable, None),
            };
            unavailable |= taken == Taken::Unavailable;
            outcome.note(index, taken, reason);
        }
        outcome.results.sort_by_key(|result| result.index);
    }
    for (taken, count) in [
        (Taken::Kept, outcome.kept),
        (Taken::Duplicate, outcome.duplicate),
        (Taken::Refused, outcome.refused),
        (Taken::Unavailable, outcome.unavailable),
    ] {
        shared.metrics.observed(taken, count as u64);
    }
    if outcome.results.len() >= PAGE && !unavailable {
        let (items, refused) = (outcome.results.len(), outcome.refused);
        shared.handle.tell(Noticed::Page { source: caller.name(), items, refused });
    }
    let status = match (understood, foreign) {
        _ if unavailable => StatusCode::SERVICE_UNAVAILABLE,
        (0, _) if !outcome.results.is_empty() => StatusCode::UNPROCESSABLE_ENTITY,
        (understood, foreign) if foreign > 0 && understood == foreign => StatusCode::FORBIDDEN,
        _ => StatusCode::OK,
    };
    let mut response = (status, Json(outcome)).into_response();
    if unavailable {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    }
    Ok(response)
}

/// What a merge means for who sent it.
fn merged(merge: Merge) -> (Taken, Option<String>) {
    let mut left_out = Vec::new();
    for (count, why) in [
        (merge.conflicts, "contradict what is known of the same revision"),
        (merge.future, "lie more than 24 h ahead"),
        (merge.implausible, "lie outside 2000–2096"),
        (merge.refused, "are too long or too many"),
    ] {
        if count > 0 {
            left_out.push(format!("{count} entries {why}"));
        }
    }
    let reason = (!left_out.is_empty()).then(|| left_out.join("; "));
    let taken = match merge {
        Merge { changed: 1.., .. } => Taken::Kept,
        _ if reason.is_some() => Taken::Refused,
        _ => Taken::Duplicate,
    };
    (taken, reason)
}

/// Why a body holds no items.
#[derive(Debug, PartialEq, Eq)]
enum Unreadable {
    TooMany,
    Not(String),
}

/// Cuts a body into its items without reading them: they stay where they lie, and a broken one spoils no other where
/// that can be.
fn items<'a>(body: &'a [u8], content_type: &str, most: usize) -> Result<Vec<&'a [u8]>, Unreadable> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let Some(start) = body.iter().position(|b| !b.is_ascii_whitespace()) else {
        return Err(Unreadable::Not(
            "the body is empty, expected a JSON array or one event a line".to_owned(),
        ));
    };
    let text = &body[start..];
    let by_line =
        ["ndjson", "jsonl", "json-lines", "jsonlines"].iter().any(|word| content_type.contains(word));
    if by_line || !is_document(text) {
        let mut items = Vec::new();
        for line in text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
            if items.len() == most {
                return Err(Unreadable::TooMany);
            }
            items.push(line);
        }
        return Ok(items);
    }
    let not = |reason: String| Unreadable::Not(format!("the body is no list of observations: {reason}"));
    let text = std::str::from_utf8(text)
        .map_err(|e| not(format!("not UTF-8 from byte {} on", e.valid_up_to() + 1)))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let mut too_many = false;
    let read = List { most, too_many: &mut too_many }.deserialize(&mut json).and_then(|list| {
        json.end()?;
        Ok(list)
    });
    match read {
        _ if too_many => Err(Unreadable::TooMany),
        Ok(list) => Ok(list),
        Err(error) => Err(not(error.to_string())),
    }
}

/// Whether a text begins as a list or as the object around one, rather than as a line.
fn is_document(text: &[u8]) -> bool {
    match text.split_first() {
        Some((b'[', _)) => true,
        Some((b'{', inside)) => inside.trim_ascii_start().starts_with(b"\"observations\""),
        _ => false,
    }
}

/// Reads the list, or the object around it, up to a number of items.
struct List<'s> {
    most: usize,
    too_many: &'s mut bool,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Vec<&'de [u8]>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Vec<&'de [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<&RawValue>()? {
            if items.len() == self.most {
                *self.too_many = true;
                return Err(de::Error::custom("too many"));
            }
            items.push(item.get().as_bytes());
        }
        Ok(items)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let key: Option<Cow<'de, str>> = map.next_key()?;
        if key.as_deref() != Some("observations") {
            return Err(de::Error::custom("expected the key `observations`"));
        }
        let items = map.next_value_seed(self)?;
        match map.next_key::<Cow<'de, str>>()? {
            None => Ok(items),
            Some(_) => Err(de::Error::custom("expected no other key beside `observations`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &str, content_type: &str) -> Result<Vec<String>, Unreadable> {
        items(body.as_bytes(), content_type, 3)
            .map(|items| items.into_iter().map(|item| String::from_utf8_lossy(item).into_owned()).collect())
    }

    #[test]
    fn every_shape_is_cut_into_its_items() {
        let ok = |items: &[&str]| Ok(items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>());
        for (name, body, content_type, want) in [
            ("a list", r#"[{"a":1}, {"b":"]"} ]"#, "application/json", ok(&[r#"{"a":1}"#, r#"{"b":"]"}"#])),
            ("an empty list", " [ ] ", "", ok(&[])),
            ("an object", r#"{ "observations" : [{}] }"#, "application/json", ok(&["{}"])),
            ("an empty object", r#"{"observations":[]}"#, "", ok(&[])),
            ("one event", r#"{"at":1}"#, "application/json", ok(&[r#"{"at":1}"#])),
            ("lines", "{\"a\":1}\r\n\n{\"b\":2}\n", "", ok(&["{\"a\":1}", "{\"b\":2}"])),
            ("a broken line spoils no other", "{\"a\n{}", "", ok(&["{\"a", "{}"])),
            ("lines that say so", "[1]\n[2]", "application/x-ndjson", ok(&["[1]", "[2]"])),
            ("a byte-order mark", "\u{feff}[1]", "", ok(&["1"])),
            ("at the bound", "[1,2,3]", "", ok(&["1", "2", "3"])),
            ("past the bound", "[1,2,3,4]", "", Err(Unreadable::TooMany)),
            ("past the bound before it breaks", "[1,2,3,4,", "", Err(Unreadable::TooMany)),
            ("lines past the bound", "1\n2\n3\n4", "", Err(Unreadable::TooMany)),
        ] {
            assert_eq!(cut(body, content_type), want, "{name}");
        }
        for (name, body) in [
            ("nothing", ""),
            ("white space", " \n\t"),
            ("a list that breaks off", "[{}"),
            ("a list with something behind it", "[] x"),
            ("another key", r#"{"observations":[],"more":1}"#),
            ("no list", r#"{"observations":{"observations":[]}}x"#),
        ] {
            assert!(matches!(cut(body, ""), Err(Unreadable::Not(_))), "{name}: {:?}", cut(body, ""));
        }
        assert!(matches!(items(b"[\"\xff\"]", "", 3), Err(Unreadable::Not(_))));
    }

    #[test]
    fn deep_nesting_is_read_without_growing_the_stack() {
        let deep = format!("[{}{}]", "[".repeat(200_000), "]".repeat(200_000));
        let found = items(deep.as_bytes(), "", 3);
        assert!(matches!(found.as_deref(), Ok([_]) | Err(Unreadable::Not(_))));
        let object = format!("{}1{}", "{\"observations\":".repeat(200_000), "}".repeat(200_000));
        assert!(matches!(items(object.as_bytes(), "", 3), Err(Unreadable::Not(_))));
    }

    #[test]
    fn a_merge_is_told_as_what_it_means() {
        let merge = Merge::default();
        for (merge, want, has_reason) in [
            (Merge { changed: 1, ..merge }, Taken::Kept, false),
            (Merge { changed: 1, future: 1, ..merge }, Taken::Kept, true),
            (Merge { duplicates: 2, ..merge }, Taken::Duplicate, false),
            (merge, Taken::Duplicate, false),
            (Merge { conflicts: 1, ..merge }, Taken::Refused, true),
        ] {
            let (taken, reason) = merged(merge);
            assert_eq!((taken, reason.is_some()), (want, has_reason), "{merge:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_cut_without_a_panic(
            bytes in proptest::collection::vec(proptest::sample::select(b"[]{}\":,1a\\ \n\xff\"observations\"".to_vec()), 0..60),
        ) {
            let _ = items(&bytes, "", 5);
        }
    }
}
