//! Providers that are written to over HTTP, against a server that answers as each of them does: every line of
//! `tests/fixtures/channels/answers.json` goes through the channel as it is configured.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde::Deserialize;
use shiftbell::channels::{ADAPTERS, Channel};
use shiftbell::core::alerting::Claim;
use shiftbell::core::model::{Body, OutcomeClass};
use shiftbell::core::time::Span;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::channels::{Overheard, channel, claim};

const LONG: Duration = Duration::from_secs(20);

/// Secrets of the samples: none of them may be seen anywhere but in requests.
const SECRET: &str = "s3cret-of-the-channel";
const TOKEN: &str = "t0ken-that-runs-out";

/// One answer of a provider, and what it means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    channel: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// As it comes: a document, or a text.
    body: serde_json::Value,
    class: OutcomeClass,
    /// In seconds.
    wait: Option<i64>,
    code: Option<String>,
    /// The id that the provider gave.
    id: Option<String>,
    /// What it says is shown to people.
    shows: Option<String>,
}

fn ok() -> u16 {
    200
}

/// The section of an adapter and a contact's address on it; `BASE` is the server.
fn sample(adapter: &str) -> Option<(&'static str, &'static str)> {
    Some(match adapter {
        "dingtalk_robot" => ("webhook.env = \"HOOK\"\nsecret.env = \"SECRET\"", "13812340000"),
        "wecom_robot" => ("webhook.env = \"HOOK\"", "13812340000"),
        "feishu_robot" => ("webhook.env = \"HOOK\"\nsecret.env = \"SECRET\"", "ou_1"),
        "aliyun_sms" => (
            "key = { id = \"LTAI1\", secret.env = \"SECRET\" }\nsign_name = \"售后值班\"\n\
             template = { code = \"SMS_1\", params = { no = \"{id}\", n = \"{count}\" } }",
            "13812340000",
        ),
        "aliyun_voice" => (
            "key = { id = \"LTAI1\", secret.env = \"SECRET\" }\n\
             template = { code = \"TTS_1\", params = { n = \"{count}\" } }",
            "13812340000",
        ),
        "tencent_sms" => (
            "secret_id = \"AKID1\"\nsecret_key.env = \"SECRET\"\napp_id = \"1400\"\nsign_name = \"售后值班\"\n\
             per_day = 30\ntemplate = { id = \"449739\", params = [\"{id}\", \"{count}\"] }",
            "+8613812340000",
        ),
        "huawei_sms" => (
            "access_key = \"AK\"\nsecret_key.env = \"SECRET\"\nregion = \"cn-north-4\"\nsender = \"8824\"\n\
             template = \"1d18\"\nparams = [\"{id}\"]",
            "13812340000",
        ),
        "twilio_sms" => (
            "account = { sid = \"AC00000000000000000000000000000000\", token.env = \"SECRET\" }\n\
             from = \"+15005550006\"",
            "13812340000",
        ),
        "twilio_voice" => (
            "account = { sid = \"AC00000000000000000000000000000000\", token.env = \"SECRET\" }\n\
             from = \"+15005550006\"",
            "13812340000",
        ),
        "sms_gateway" => (
            "url = \"BASE/cgi-bin/sendsms\"\nusername = \"shiftbell\"\npassword.env = \"SECRET\"\n\
             report_url = \"http://127.0.0.1/r?key=KEY\"",
            "13812340000",
        ),
        "slack" => ("token.env = \"SECRET\"", "C012AB3CD"),
        "wecom_app" => ("corp_id = \"ww1\"\nagent_id = 1000002\nsecret.env = \"SECRET\"", "zhangsan"),
        "feishu_app" => ("app_id = \"cli_1\"\nsecret.env = \"SECRET\"", "ou_zhangsan"),
        "dingtalk_app" => ("app_key = \"ding1\"\nsecret.env = \"SECRET\"", "zhangsan"),
        "matrix" => ("server = \"BASE\"\ntoken.env = \"SECRET\"", "!desk:localhost"),
        "slack_webhook" => ("webhook.env = \"HOOK\"", "U012AB3CD"),
        "telegram_person" => ("token.env = \"SECRET\"", "4711"),
        "telegram" => ("token.env = \"SECRET\"", "-100123"),
        "teams" => ("webhook.env = \"HOOK\"", ""),
        _ => return None,
    })
}

/// Adapters that are no providers of HTTP.
const OTHERS: &[&str] = &["smtp", "webhook", "maildir", "print"];

/// A channel of this adapter whose provider is at `base`.
fn configured(adapter: &str, base: &str, total: Duration) -> (Arc<dyn Channel>, Claim) {
    let (section, address) = sample(adapter).unwrap_or_else(|| panic!("{adapter} has no sample here"));
    let http = format!("http = {{ base = {base:?}, allow_private = true }}");
    // Some have two doors, or answer two kinds of addresses.
    let section_name = adapter.trim_end_matches("_webhook").trim_end_matches("_person");
    let text = format!("[{section_name}]\n{}\n{http}\n", section.replace("BASE", base));
    let channel = channel(&text, &[("HOOK", SECRET), ("SECRET", SECRET)], total);
    let mut claim = claim(1, address);
    claim.body = Body {
        subject: Some("【售后客服组】工单 T-1001".to_owned()),
        text: "#K7Q2 L1 工单 20 分钟回复 已超时\n认领:https://sb.example/a/1".to_owned(),
        html: None,
        data: Some(
            "{\"links\":[{\"label\":\"认领\",\"purpose\":\"ack\",\"url\":\"https://sb.example/a/1\"}]}"
                .to_owned(),
        ),
    };
    if matches!(channel.card().class.word(), "sms" | "voice") {
        claim.body.data = Some(
            "{\"count\":\"1\",\"due\":\"14:00\",\"form\":\"full\",\"id\":\"K7Q2\",\"level\":\"1\",\"state\":\"超时\",\
             \"subject\":\"T-1001\",\"what\":\"工单回复\"}"
                .to_owned(),
        );
    }
    (channel, claim)
}

/// What a provider was asked.
#[derive(Clone, Debug)]
struct Call {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

type Calls = Arc<Mutex<Vec<Call>>>;

/// A provider that keeps what it is asked, gives tokens to who asks for them, and answers `row` to the rest.
struct Server {
    base: String,
    calls: Calls,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(row: Row) -> Server {
        Server::start_with(vec![row]).await
    }

    /// Answers these one after another, and the last again and again.
    async fn start_with(rows: Vec<Row>) -> Server {
        let calls = Calls::default();
        let kept = Arc::clone(&calls);
        let handler = move |request: Request| {
            let (kept, rows) = (Arc::clone(&kept), rows.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                if let Some(token) = token_for(parts.uri.path()) {
                    return Response::new(axum::body::Body::from(token));
                }
                let row = rows[kept.lock().unwrap().len().min(rows.len() - 1)].clone();
                kept.lock().unwrap().push(Call {
                    method: parts.method,
                    uri: parts.uri,
                    headers: parts.headers,
                    body,
                });
                answer(&row)
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, Router::new().fallback(handler)).await.unwrap();
        });
        Server { base, calls, _tasks: tasks }
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

/// What is answered where a token is asked for.
fn token_for(path: &str) -> Option<String> {
    match path {
        "/cgi-bin/gettoken" => Some(format!(
            "{{\"errcode\":0,\"errmsg\":\"ok\",\"access_token\":\"{TOKEN}\",\"expires_in\":7200}}"
        )),
        "/open-apis/auth/v3/tenant_access_token/internal" => {
            Some(format!("{{\"code\":0,\"msg\":\"ok\",\"tenant_access_token\":\"{TOKEN}\",\"expire\":7200}}"))
        }
        "/v1.0/oauth2/accessToken" => Some(format!("{{\"accessToken\":\"{TOKEN}\",\"expireIn\":7200}}")),
        _ => None,
    }
}

fn answer(row: &Row) -> Response {
    let mut response = Response::builder().status(row.status);
    for (name, value) in &row.headers {
        response = response.header(name, value);
    }
    let body = match &row.body {
        serde_json::Value::String(text) => text.clone(),
        document => document.to_string(),
    };
    response.body(body.into()).unwrap()
}

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("../fixtures/channels/answers.json")).unwrap()
}

#[tokio::test]
async fn every_answer_of_every_provider_has_its_class() {
    let heard = Overheard::begin();
    let mut wrong = Vec::new();
    for row in rows() {
        let server = Server::start(row.clone()).await;
        let (channel, claim) = configured(&row.channel, &server.base, LONG);
        let outcome = channel.send(&claim).await;
        let wait = row.wait.map(Span::from_secs);
        if (outcome.class, outcome.wait) != (row.class, wait) {
            wrong.push(format!("{} {} {}: {outcome:?}", row.channel, row.status, row.body));
        }
        if row.code.is_some() && outcome.code != row.code || outcome.provider_id != row.id {
            wrong.push(format!("{} {}: {outcome:?}", row.channel, row.body));
        }
        if let Some(shows) = &row.shows {
            assert!(outcome.detail.as_ref().is_some_and(|d| d.contains(shows)), "{row:?}: {outcome:?}");
        }
        let seen = format!("{outcome:?}");
        for secret in [SECRET, TOKEN, "13812340000"] {
            assert!(!seen.contains(secret), "{}: {seen}", row.channel);
        }
    }
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n"));
    let all = heard.text();
    assert!([SECRET, TOKEN, "13812340000"].iter().all(|secret| !all.contains(secret)), "in the log");
}

#[test]
fn every_provider_has_answers_of_the_kinds_that_matter() {
    let rows = rows();
    for adapter in ADAPTERS.iter().map(|a| a.name).filter(|name| !OTHERS.contains(name)) {
        assert!(sample(adapter).is_some(), "{adapter} has no sample");
        let classes: BTreeSet<_> =
            rows.iter().filter(|row| row.channel == adapter).map(|row| row.class.word()).collect();
        for class in ["accepted", "throttled", "transient", "unknown", "config"] {
            assert!(classes.contains(class), "{adapter} has no answer that is {class}: {classes:?}");
        }
    }
}

#[tokio::test]
async fn a_message_leaves_once_in_utf_8_with_its_text_and_links() {
    for adapter in ADAPTERS.iter().map(|a| a.name).filter(|name| !OTHERS.contains(name)) {
        let row =
            rows().into_iter().find(|r| r.channel == adapter && r.class == OutcomeClass::Accepted).unwrap();
        let server = Server::start(row).await;
        let (channel, claim) = configured(adapter, &server.base, LONG);
        let outcome = channel.send(&claim).await;
        assert_eq!(outcome.class, OutcomeClass::Accepted, "{adapter}: {outcome:?}");
        let calls = server.calls();
        assert_eq!(calls.len(), 1, "{adapter}");
        let Call { method, uri, headers, body } = &calls[0];
        assert!(["POST", "PUT", "GET"].contains(&method.as_str()), "{adapter}");
        assert_eq!(headers["user-agent"].to_str().unwrap(), concat!("shiftbell/", env!("CARGO_PKG_VERSION")));
        let body = String::from_utf8_lossy(body);
        // Escapes would make two letters of each byte, and limits count bytes.
        assert!(!body.contains("\\u5"), "{adapter}: {body}");
        let class = channel.card().class.word();
        if class.starts_with("chat") {
            let plain = body.replace('+', " ");
            let seen = body.contains("工单")
                || plain.contains("%E5%B7%A5%E5%8D%95")
                || uri.to_string().contains("%E5");
            assert!(seen, "{adapter}: {body}");
            assert!(body.contains("sb.example"), "{adapter} carries its link: {body}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let apps = ["wecom_app", "feishu_app", "dingtalk_app"];
    for adapter in apps {
        let row = |class| rows().into_iter().find(|r| r.channel == adapter && r.class == class).unwrap();
        let refused = row(OutcomeClass::Credential);
        for (second, want) in [
            (row(OutcomeClass::Accepted), OutcomeClass::Accepted),
            (refused.clone(), OutcomeClass::Credential),
        ] {
            let server = Server::start_with(vec![refused.clone(), second]).await;
            let (channel, claim) = configured(adapter, &server.base, LONG);
            let outcome = channel.send(&claim).await;
            assert_eq!(outcome.class, want, "{adapter}: {outcome:?}");
            assert_eq!(server.calls().len(), 2, "{adapter}");
        }
        let probed = Server::start(refused).await;
        let (channel, _) = configured(adapter, &probed.base, LONG);
        let outcome = channel.probe().unwrap().await;
        assert_eq!(outcome.class, OutcomeClass::Accepted, "{adapter}: a token is there");
        assert!(probed.calls().is_empty(), "nobody was told anything");
    }
}

/// What a server does instead of answering.
#[derive(Clone, Copy, Debug)]
enum Trick {
    /// Takes the request and says nothing.
    Hang,
    /// One byte a second.
    Drip,
    /// A gigabyte.
    Endless,
    /// Another host.
    Redirect,
    /// No TLS, or a certificate that nobody knows.
    Garbage,
}

async fn trick(what: Trick) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut children = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            children.spawn(async move {
                let mut got = [0; 16 * 1024];
                let _read = stream.read(&mut got).await;
                match what {
                    Trick::Hang => {}
                    Trick::Drip => {
                        let text = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"errcode\":0,\"code\":0";
                        for byte in text.bytes() {
                            drop(stream.write_all(&[byte]).await);
                            tokio::time::sleep(Duration::from_secs(1)).await;
                        }
                    }
                    Trick::Endless => {
                        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
                        for _ in 0..(1 << 30) / 65_536 {
                            if stream.write_all(&[b' '; 65_536]).await.is_err() {
                                break;
                            }
                        }
                    }
                    Trick::Redirect => {
                        let text = "HTTP/1.1 307 Moved\r\nlocation: https://elsewhere.example/\r\ncontent-length: 0\r\n\r\n";
                        drop(stream.write_all(text.as_bytes()).await);
                    }
                    Trick::Garbage => drop(stream.write_all(b"\x15\x03\x01\x00\x02\x02\x28").await),
                }
                std::future::pending::<()>().await;
            });
        }
    });
    (base, tasks)
}

#[tokio::test]
async fn hostile_servers_end_within_the_time_and_are_never_success() {
    use OutcomeClass::*;
    let mut running = JoinSet::new();
    for adapter in ADAPTERS.iter().map(|a| a.name).filter(|name| !OTHERS.contains(name)) {
        for (what, wants) in [
            // Before a token is there, nothing of the message has left.
            (Trick::Hang, [Unknown, Transient]),
            (Trick::Drip, [Unknown, Transient]),
            (Trick::Endless, [Unknown, Transient]),
            (Trick::Redirect, [Config, Config]),
            (Trick::Garbage, [Unknown, Transient]),
        ] {
            running.spawn(async move {
                let (base, _tasks) = trick(what).await;
                let (channel, claim) = configured(adapter, &base, Duration::from_secs(3));
                let sent = tokio::time::timeout(Duration::from_secs(10), channel.send(&claim)).await;
                let outcome = sent.unwrap_or_else(|_| panic!("{adapter} waits for {what:?}"));
                assert!(wants.contains(&outcome.class), "{adapter} {what:?}: {outcome:?}");
                assert!(outcome.detail.is_none_or(|d| d.len() < 1_000), "{adapter} {what:?}");
            });
        }
        running.spawn(async move {
            // TLS is asked of a server that speaks none.
            let (base, _tasks) = trick(Trick::Garbage).await;
            let base = base.replace("http://", "https://");
            let (channel, claim) = configured(adapter, &base, Duration::from_secs(3));
            let outcome = channel.send(&claim).await;
            assert!([Config, Transient].contains(&outcome.class), "{adapter}: {outcome:?}");
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn private_networks_are_not_written_to_unless_that_is_meant() {
    let row = rows().into_iter().find(|r| r.channel == "dingtalk_robot").unwrap();
    let server = Server::start(row).await;
    let port = server.base.rsplit(':').next().unwrap().to_owned();
    let env = [("HOOK", SECRET), ("SECRET", SECRET)];
    for host in ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "100.100.100.200"] {
        let text = format!(
            "[dingtalk_robot]\nwebhook.env = \"HOOK\"\nhttp.base = \"https://{host}:{port}\"\nsecret.env = \"SECRET\""
        );
        let config = toml::from_str(&text).unwrap();
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let made = shiftbell::channels::build_one("test", &config, &crate::channels::making(&env, LONG));
        let error = made.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains("allow_private"), "{host}: {error}");
        assert!(!error.contains(SECRET), "{error}");
    }
    // A person's endpoint is refused for that person.
    let hook = channel("[webhook]", &[], LONG);
    let outcome = hook.send(&claim(1, &format!("http://127.0.0.1:{port}/hook"))).await;
    assert_eq!(outcome.class, OutcomeClass::RecipientPermanent, "{outcome:?}");
    assert!(server.calls().is_empty(), "nothing was sent");
}
