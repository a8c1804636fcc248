//! The webhook against a receiver that answers by a script, and against sockets that break off.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use serde_json::Value;
use shiftbell::channels::webhook::sign::SigningKeys;
use shiftbell::core::ids::Secret;
use shiftbell::core::model::{ChannelClass, DuplicateKey, OutcomeClass};
use shiftbell::core::time::Span;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::channels::{NOW, Overheard, channel, claim};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(1);
const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_KEY: &str = "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";

type Calls = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A receiver that keeps what it got and gives `answer` each time; ended with the test.
struct Receiver {
    url: String,
    calls: Calls,
    _tasks: JoinSet<()>,
}

impl Receiver {
    async fn start(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Receiver {
        let calls = Calls::default();
        let kept = Arc::clone(&calls);
        let handler = move |headers: HeaderMap, body: Bytes| async move {
            kept.lock().unwrap().push((headers, body));
            answer()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?token=url-t0ken", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, Router::new().route("/hook", post(handler))).await.unwrap();
        });
        Receiver { url, calls, _tasks: tasks }
    }

    fn calls(&self) -> Vec<(HeaderMap, Bytes)> {
        self.calls.lock().unwrap().clone()
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: Body) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body).unwrap()
}

#[tokio::test]
async fn a_message_is_signed_and_carries_its_key() {
    let receiver = Receiver::start(|| answer(202, &[], Body::from("taken, 13812340000"))).await;
    let text = format!(
        "[webhook]\nallow_private = true\nurl = {:?}\nsecret_env = \"K\"\nbearer_env = \"B\"",
        receiver.url
    );
    let keys = format!("{KEY} {OLD_KEY}");
    let channel = channel(&text, &[("K", &keys), ("B", "b3arer")], LONG);
    assert_eq!(channel.card().class, ChannelClass::Webhook);
    assert_eq!(channel.card().duplicate_key, DuplicateKey::Strong { horizon: Span::DAY });
    let first = claim(1, "");
    let second = shiftbell::core::alerting::Claim { attempt: 2, ..first.clone() };
    for claim in [&first, &second] {
        let outcome = channel.send(claim).await;
        assert_eq!(outcome.class, OutcomeClass::Accepted, "{outcome:?}");
        assert_eq!(outcome.code.as_deref(), Some("HTTP 202"));
        assert_eq!(outcome.detail.as_deref(), Some("taken, 138****0000"));
        let shown = format!("{outcome:?}");
        assert!(["url-t0ken", "b3arer", KEY].iter().all(|s| !shown.contains(s)), "{shown}");
    }
    let calls = receiver.calls();
    assert_eq!(calls.len(), 2);
    for (headers, body) in &calls {
        let header = |name: &str| headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("webhook-id"), "key-1", "the same for every attempt");
        assert_eq!(header("idempotency-key"), "key-1");
        assert_eq!(header("webhook-timestamp"), NOW.as_secs().to_string());
        assert_eq!(header("authorization"), "Bearer b3arer");
        assert_eq!(body.as_ref(), claim(1, "").body.data.unwrap().as_bytes(), "the frozen body");
        let want = SigningKeys::parse(&Secret::new(keys.clone())).unwrap().sign("key-1", NOW.as_secs(), body);
        assert_eq!(header("webhook-signature"), want);
        assert_eq!(want.split(' ').count(), 2, "both keys sign while they are changed");
    }
}

#[tokio::test]
async fn the_form_of_alertmanager_can_be_chosen() {
    let receiver = Receiver::start(|| answer(200, &[], Body::empty())).await;
    let text = format!(
        "[webhook]\nallow_private = true\nurl = {:?}\nformat = \"alertmanager\"\nduplicate_horizon = \"0s\"\nexternal_url = \"https://sb\"",
        receiver.url
    );
    let channel = channel(&text, &[], LONG);
    assert_eq!(channel.card().duplicate_key, DuplicateKey::None, "the receiver drops no copies");
    assert_eq!(channel.send(&claim(1, "")).await.class, OutcomeClass::Accepted);
    let calls = receiver.calls();
    assert!(!calls[0].0.contains_key("webhook-signature"), "no key, no signature");
    let body: Value = serde_json::from_slice(&calls[0].1).unwrap();
    for key in
        ["version", "groupKey", "status", "receiver", "groupLabels", "commonLabels", "externalURL", "alerts"]
    {
        assert!(!body[key].is_null(), "{key}: {body}");
    }
    for key in ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"] {
        assert!(!body["alerts"][0][key].is_null(), "{key}: {body}");
    }
}

#[tokio::test]
async fn every_answer_ends_in_its_class() {
    use OutcomeClass::*;
    // NOW is Mon, 21 Sep 2026 14:13:20 GMT.
    let date = "Mon, 21 Sep 2026 14:15:20 GMT";
    for (status, headers, want, wait) in [
        (200, vec![], Accepted, None),
        (204, vec![("retry-after", "5")], Accepted, None),
        (429, vec![("retry-after", "120")], Throttled, Some(Span::from_minutes(2))),
        (429, vec![("retry-after", date)], Throttled, Some(Span::from_minutes(2))),
        (429, vec![], Throttled, None),
        (408, vec![], Transient, None),
        (425, vec![], Transient, None),
        (500, vec![], Transient, None),
        (503, vec![("retry-after", "7")], Transient, Some(Span::from_secs(7))),
        (503, vec![("retry-after", "soon")], Transient, None),
        (301, vec![("location", "/hook")], Config, None),
        (307, vec![("location", "/hook")], Config, None),
        (400, vec![], Config, None),
        (401, vec![], Config, None),
        (404, vec![("retry-after", "7")], Config, None),
        (410, vec![], Config, None),
        (422, vec![], Config, None),
    ] {
        let told = headers.clone();
        let receiver = Receiver::start(move || answer(status, &told, Body::from("why"))).await;
        let channel =
            channel(&format!("[webhook]\nallow_private = true\nurl = {:?}", receiver.url), &[], LONG);
        let outcome = channel.send(&claim(1, "")).await;
        assert_eq!((outcome.class, outcome.wait), (want, wait), "{status} {headers:?}: {outcome:?}");
        assert_eq!(receiver.calls().len(), 1, "{status}: nothing is followed, nothing is repeated");
    }
}

/// What a bare socket does after it has read the request.
#[derive(Clone, Copy, Debug)]
enum Break {
    /// Says this, then stays silent.
    Silent(&'static str),
    /// Says this, then closes.
    Close(&'static str),
    /// Says this, then talks on and on.
    Endless(&'static str),
}

async fn socket(what: Break) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            // The whole request fits: its body ends in `}`.
            let mut got = Vec::new();
            while !got.ends_with(b"}") {
                if stream.read_buf(&mut got).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let (Break::Silent(text) | Break::Close(text) | Break::Endless(text)) = what;
            drop(stream.write_all(text.as_bytes()).await);
            if matches!(what, Break::Endless(_)) {
                while stream.write_all(&[b'x'; 8_192]).await.is_ok() {}
            }
            if matches!(what, Break::Silent(_)) {
                open.push(stream);
            }
        }
    });
    (url, tasks)
}

#[tokio::test]
async fn what_breaks_off_is_unknown_once_the_request_has_left() {
    use OutcomeClass::*;
    for (what, want) in [
        (Break::Silent(""), Unknown),
        (Break::Silent("HTTP/1.1 2"), Unknown),
        (Break::Close(""), Unknown),
        (Break::Close("HTTP/1.1 200 O"), Unknown),
        (Break::Close("what is this"), Unknown),
        // The status was said, and the rest is slow.
        (Break::Silent("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok"), Accepted),
        // It was said, and the rest has no end: so much of it is read and no more.
        (Break::Endless("HTTP/1.1 200 OK\r\n\r\n"), Accepted),
        // It was said, and whoever said it fell over.
        (Break::Close("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok"), Unknown),
        (Break::Close("HTTP/1.1 500 No\r\ncontent-length: 10\r\n\r\nno"), Transient),
    ] {
        let (url, _tasks) = socket(what).await;
        let total = if matches!(what, Break::Silent(_)) { SHORT } else { LONG };
        let channel = channel(&format!("[webhook]\nallow_private = true\nurl = {url:?}"), &[], total);
        let outcome = channel.send(&claim(1, "")).await;
        assert_eq!(outcome.class, want, "{what:?}: {outcome:?}");
        assert!(outcome.detail.is_none_or(|d| d.len() < 1_000), "{what:?}");
    }
}

#[tokio::test]
async fn what_never_left_is_transient_and_what_cannot_be_is_configuration() {
    use OutcomeClass::*;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/hook", listener.local_addr().unwrap())
    };
    let channel = channel("[webhook]\nallow_private = true", &[], LONG);
    for (address, want) in [
        (closed.as_str(), Transient),
        ("", Config),
        ("hook", RecipientPermanent),
        ("http://hooks.example.com/a", RecipientPermanent),
        ("file:///etc/passwd", RecipientPermanent),
    ] {
        let outcome = channel.send(&claim(1, address)).await;
        assert_eq!(outcome.class, want, "{address}: {outcome:?}");
        assert!(!format!("{outcome:?}").contains("/hook"), "the address may be a secret: {outcome:?}");
    }
    // Each person has an endpoint of their own.
    let receiver = Receiver::start(|| answer(200, &[], Body::empty())).await;
    assert_eq!(channel.send(&claim(1, &receiver.url)).await.class, Accepted);
    assert_eq!(receiver.calls().len(), 1);
    assert_eq!(StatusCode::OK, 200);
}

#[tokio::test]
async fn nobody_overhears_a_key() {
    let heard = Overheard::begin();
    tracing::info!("listening");
    let receiver = Receiver::start(|| answer(401, &[], Body::from("no: Bearer b3arer url-t0ken"))).await;
    let text = "[webhook]\nallow_private = true\nurl_env = \"U\"\nsecret_env = \"K\"\nbearer_env = \"B\"";
    let channel = channel(text, &[("U", &receiver.url), ("K", KEY), ("B", "b3arer")], LONG);
    let outcome = channel.send(&claim(1, "")).await;
    assert_eq!(outcome.class, OutcomeClass::Config, "{outcome:?}");
    let all = format!("{}{outcome:?}", heard.text());
    assert!(all.contains("listening"));
    for secret in ["b3arer", "url-t0ken", KEY] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}
