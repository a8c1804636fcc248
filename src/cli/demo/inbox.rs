//! The inbox of a demo: takes what the daemon sends, and shows it on a page as it would have arrived.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::core::time::Instant;
use crate::daemon::time::TimeSource;

/// So many messages are shown; older ones go.
const MOST: usize = 1000;
/// The longest message.
const LONGEST: usize = 512 * 1024;

const PAGE: &str = include_str!("inbox.html");
const SCRIPT: &str = include_str!("inbox.js");
const STYLE: &str = include_str!("inbox.css");

/// A message as it arrived.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Arrived {
    /// Counted from one.
    n: u64,
    /// When, in the demo's time.
    at: Instant,
    channel: String,
    person: String,
    class: String,
    purpose: String,
    subject: String,
    text: String,
    /// Where it is acknowledged; the text has it as well.
    ack: Option<String>,
    #[serde(skip)]
    key: String,
}

#[derive(Debug, Default)]
struct Shelf {
    messages: VecDeque<Arrived>,
    count: u64,
}

/// What has arrived.
#[derive(Clone)]
pub(super) struct Inbox {
    held: Arc<Mutex<Shelf>>,
    time: Arc<dyn TimeSource>,
}

impl Inbox {
    pub(super) fn new(time: Arc<dyn TimeSource>) -> Inbox {
        Inbox { held: Arc::default(), time }
    }

    /// Serves it until it is stopped.
    pub(super) async fn serve(self, door: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(door)?;
        axum::serve(listener, self.router()).with_graceful_shutdown(stop.cancelled_owned()).await
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(|| async { shown("text/html; charset=utf-8", PAGE) }))
            .route("/inbox.js", get(|| async { shown("text/javascript; charset=utf-8", SCRIPT) }))
            .route("/inbox.css", get(|| async { shown("text/css; charset=utf-8", STYLE) }))
            .route("/messages", get(messages))
            .route("/deliver/{channel}", post(deliver))
            .layer(DefaultBodyLimit::max(LONGEST))
            .with_state(self)
    }

    fn held(&self) -> MutexGuard<'_, Shelf> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message; a second copy of one is dropped, as a good receiver does.
    fn take(&self, channel: &str, key: &str, body: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let at = self.time.read().wall;
        let mut held = self.held();
        if !key.is_empty() && held.messages.iter().any(|m| m.key == key && m.channel == channel) {
            return;
        }
        held.count += 1;
        let arrived = Arrived {
            n: held.count,
            at,
            channel: channel.to_owned(),
            person: text(&body["person"]["name"]),
            class: text(&body["class"]),
            purpose: text(&body["purpose"]),
            subject: text(&body["subject"]),
            text: text(&body["text"]),
            ack: body["links"]["ack"].as_str().map(str::to_owned),
            key: key.to_owned(),
        };
        held.messages.push_back(arrived);
        if held.messages.len() > MOST {
            held.messages.pop_front();
        }
    }
}

fn shown(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'";
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        text,
    )
}

async fn deliver(
    State(inbox): State<Inbox>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> StatusCode {
    let key = headers.get("webhook-id").and_then(|v| v.to_str().ok()).unwrap_or_default();
    inbox.take(&channel, key, &body);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

#[derive(Serialize)]
struct Since {
    now: Instant,
    messages: Vec<Arrived>,
}

async fn messages(State(inbox): State<Inbox>, Query(After { after }): Query<After>) -> Json<Since> {
    let now = inbox.time.read().wall;
    let messages = inbox.held().messages.iter().filter(|m| m.n > after).cloned().collect();
    Json(Since { now, messages })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::time::ManualTime;

    #[test]
    fn a_message_is_shown_once_and_old_ones_go() {
        let inbox = Inbox::new(Arc::new(ManualTime::new(Instant::from_secs(1_800_000_000))));
        let body = serde_json::json!({
            "person": { "id": "lin", "name": "小林" }, "class": "p1", "purpose": "level", "subject": "s",
            "text": "t", "links": { "ack": "http://127.0.0.1/a" },
        });
        inbox.take("im", "k1", &body);
        inbox.take("im", "k1", &body);
        inbox.take("sms", "k1", &body);
        let seen: Vec<_> = inbox.held().messages.iter().map(|m| (m.n, m.channel.clone())).collect();
        assert_eq!(seen, [(1, "im".to_owned()), (2, "sms".to_owned())]);
        assert_eq!(inbox.held().messages[0].ack.as_deref(), Some("http://127.0.0.1/a"));
        for n in 0..MOST {
            inbox.take("im", &format!("m{n}"), &Value::Null);
        }
        let held = inbox.held();
        assert_eq!((held.messages.len(), held.messages.back().map(|m| m.n)), (MOST, Some(MOST as u64 + 2)));
    }
}
