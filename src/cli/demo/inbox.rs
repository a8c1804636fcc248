//! The inbox of a demo: simulated providers that take what the daemon sends, and a page that draws it as their apps would.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::core::time::Instant;
use crate::daemon::time::TimeSource;
use crate::sim::inboxes::serve::Inboxes;
use crate::sim::inboxes::{Form, KINDS, Seen, Shown};

/// So many messages are shown; older ones go.
const MOST: usize = 1000;

const PAGE: &str = include_str!("inbox.html");
const SCRIPT: &str = include_str!("inbox.js");
const STYLE: &str = include_str!("inbox.css");

/// A message as its app shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Arrived {
    #[serde(flatten)]
    seen: Seen,
    /// The app, for people.
    title_of_app: &'static str,
    /// Whose phone it is on, or which group.
    person: String,
    /// Where it is acknowledged.
    ack: Option<String>,
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
    providers: Inboxes,
    time: Arc<dyn TimeSource>,
}

/// Whose address it is, as `config/examples/demo.toml` has them.
fn person(shown: &Shown) -> &str {
    match shown.to.as_str() {
        "" => "售后一组(群)",
        "ou_xiaochen" | "13800131002" => "小陈",
        "ou_xiaozhao" | "13800131004" => "小赵",
        "ou_zhanzhang" | "13800131007" => "站长",
        "13800131001" => "小林",
        "13800131003" => "小王",
        "13800131005" => "阿敏",
        "13800131006" => "周经理",
        other => other,
    }
}

/// Where a message is acknowledged: its button, or the link that says so in its text.
fn ack(shown: &Shown) -> Option<String> {
    let button = shown.buttons.iter().find(|button| button.label == "认领" && !button.url.is_empty());
    if let Some(button) = button {
        return Some(button.url.clone());
    }
    let (_, rest) = shown.text.split_once("[认领](").or_else(|| shown.text.split_once("认领:"))?;
    let url = rest.trim_start().split([')', '\n', ' ']).next()?;
    // DingTalk is told to open it in the browser.
    let Ok(parsed) = reqwest::Url::parse(url) else { return None };
    let inner = parsed.query_pairs().find(|(name, _)| name == "url" && parsed.scheme() == "dingtalk");
    Some(inner.map_or_else(|| url.to_owned(), |(_, inner)| inner.into_owned()))
}

impl Inbox {
    pub(super) fn new(time: Arc<dyn TimeSource>) -> Inbox {
        let clock = Arc::clone(&time);
        let providers = Inboxes::new(Arc::new(move || clock.read().wall), &[]);
        Inbox { held: Arc::default(), providers, time }
    }

    /// Serves it until it is stopped.
    pub(super) async fn serve(self, door: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(door)?;
        axum::serve(listener, self.router()).with_graceful_shutdown(stop.cancelled_owned()).await
    }

    fn router(self) -> Router {
        let providers = self.providers.clone().router();
        Router::new()
            .route("/", get(|| async { shown("text/html; charset=utf-8", PAGE) }))
            .route("/inbox.js", get(|| async { shown("text/javascript; charset=utf-8", SCRIPT) }))
            .route("/inbox.css", get(|| async { shown("text/css; charset=utf-8", STYLE) }))
            .route("/messages", get(messages))
            .with_state(self)
            .nest("/at", providers)
    }

    /// The messages after a number, with what the providers have shown since they were asked last.
    fn after(&self, after: u64) -> Vec<Arrived> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Vec::new();
        for kind in KINDS {
            if let Some(mut service) = self.providers.of(kind.name) {
                fresh.extend(std::mem::take(&mut service.seen).into_iter().map(|seen| (kind.title, seen)));
            }
        }
        fresh.sort_by_key(|(_, seen)| seen.at);
        for (title_of_app, mut seen) in fresh {
            held.count += 1;
            seen.n = held.count;
            let (person, ack) = (person(&seen.shown).to_owned(), ack(&seen.shown));
            held.messages.push_back(Arrived { seen, title_of_app, person, ack });
        }
        while held.messages.len() > MOST {
            held.messages.pop_front();
        }
        held.messages
            .iter()
            .filter(|m| m.seen.n > after && m.seen.shown.form != Form::Ring)
            .cloned()
            .collect()
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
    Json(Since { now, messages: inbox.after(after) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::time::ManualTime;
    use crate::sim::inboxes::{HOOK, SECRET};
    use crate::sim::platforms::Asked;
    use crate::wire::sign;

    #[test]
    fn what_a_provider_shows_is_counted_once_and_can_be_acknowledged() {
        let now = Instant::from_secs(1_800_000_000);
        let inbox = Inbox::new(Arc::new(ManualTime::new(now)));
        let at = now.as_millis().to_string();
        let sign = sign::base64(&sign::hmac_sha256(SECRET.as_bytes(), format!("{at}\n{SECRET}").as_bytes()));
        let open = "dingtalk://dingtalkclient/page/link?url=http%3A%2F%2F127.0.0.1%2Fa%2F1&pc_slide=false";
        let asked = |text: &str| Asked {
            method: "POST".to_owned(),
            path: "/robot/send".to_owned(),
            query: [("access_token", HOOK), ("timestamp", &*at), ("sign", &*sign)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
            body: serde_json::json!({ "msgtype": "markdown", "markdown": { "title": "t", "text": text } })
                .to_string()
                .into_bytes(),
        };
        for n in 0..3 {
            let text = format!("### t{n}\n\n[认领]({open}) | [查看](http://127.0.0.1/v)");
            inbox.providers.of("dingtalk_robot").unwrap().ask(&asked(&text), now).unwrap();
        }
        let all = inbox.after(0);
        assert_eq!(all.iter().map(|m| m.seen.n).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(all[0].ack.as_deref(), Some("http://127.0.0.1/a/1"));
        assert_eq!(all[0].person, "售后一组(群)");
        assert_eq!(inbox.after(2).len(), 1);
    }

    #[test]
    fn every_address_of_the_demo_is_somebodys() {
        let text = include_str!("../../../config/examples/demo.toml");
        for address in text.split("address = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let shown = Shown {
                id: String::new(),
                to: address.to_owned(),
                form: Form::Text,
                title: String::new(),
                text: String::new(),
                colour: String::new(),
                buttons: Vec::new(),
                calls: Vec::new(),
            };
            assert!(!person(&shown).is_ascii(), "{address} is drawn without a name");
        }
    }
}
