//! The machine's socket, the command line's client, and operators over the network.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::json;
use shiftbell::console::client::{Client, ClientError};
use shiftbell::console::{LimitsConfig, ListenError, Listeners, ServerConfig};
use shiftbell::core::alerting::Act;
use shiftbell::core::time::Span;

use super::{Console, ERP, Mode, OPS, id, incident};

async fn console(clients: &str) -> (Console, Client) {
    let console = Console::with(LimitsConfig::default(), clients).await;
    for n in [1, 2] {
        console.owner().incidents.insert(id(n), incident(n));
    }
    let client = Client::new(&console.socket);
    (console, client)
}

fn status(result: Result<serde_json::Value, ClientError>) -> u16 {
    match result {
        Err(ClientError::Refused { status, .. }) => status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_command_line_sees_and_acts() {
    let (console, client) = console("").await;
    let meta = std::fs::metadata(&console.socket).expect("the socket is there");
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    assert_eq!(meta.uid(), std::fs::metadata("/proc/self").expect("this process").uid());

    let all = client.get("/v1/incidents").await.expect("a list");
    assert_eq!(all["incidents"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        client.get("/v1/incidents?limit=1").await.expect("a list")["incidents"].as_array().map(Vec::len),
        Some(1)
    );
    let short = id(1).to_string()[..6].to_owned();
    assert_eq!(client.get(&format!("/v1/incidents/{short}")).await.expect("one")["id"], id(1).to_string());
    assert_eq!(status(client.get("/v1/incidents/ZZZZZZ").await), 404);
    assert_eq!(status(client.get("/v1/incidents/xyz").await), 404);
    assert_eq!(status(client.get("/v1/incidents?limit=x").await), 422);

    let act = |what: &str| format!("/v1/incidents/{short}/{what}");
    let lin = json!({ "person": "xiaolin" });
    let acked = client.post(&act("ack"), &lin).await.expect("acked");
    assert_eq!((&acked["repeated"], acked["done"][0]["acked"].is_object()), (&false.into(), true), "{acked}");
    assert_eq!(status(client.post(&act("snooze"), &lin).await), 422);
    client.post(&act("snooze"), &json!({ "person": "xiaolin", "span": "30m" })).await.expect("snoozed");
    assert_eq!(status(client.post(&act("resolve"), &lin).await), 422);
    client
        .post(&act("resolve"), &json!({ "person": "xiaolin", "reason": "已退款" }))
        .await
        .expect("resolved");
    client.post(&act("escalate"), &json!({ "person": "xiaolin", "episode": 1 })).await.expect("escalated");
    client.post(&act("release"), &lin).await.expect("released");
    assert_eq!(status(client.post(&act("delete"), &lin).await), 404);
    assert_eq!(status(client.post(&act("ack"), &json!({})).await), 422);
    assert_eq!(status(client.post(&act("ack"), &json!({ "person": "x", "extra": 1 })).await), 422);

    let silence =
        json!({ "person": "amin", "matchers": { "carrier": ["X"] }, "reason": "维护", "span": "4h" });
    let silenced = client.post("/v1/silences", &silence).await.expect("silenced");
    assert_eq!(silenced["done"][0]["silenced"]["covers"], 3);
    assert_eq!(
        status(
            client
                .post("/v1/silences", &json!({ "person": "a", "matchers": {}, "reason": "x", "span": "1h" }))
                .await
        ),
        422
    );
    client.delete(&format!("/v1/silences/{}?person=amin", id(77))).await.expect("ended");
    assert_eq!(status(client.delete("/v1/silences/zzz?person=amin").await), 404);
    assert_eq!(status(client.delete(&format!("/v1/silences/{}", id(77))).await), 422);

    let report = client.post("/v1/reload", &json!({ "dry_run": true })).await.expect("a report");
    assert_eq!((&report["revision"], &report["dry_run"]), (&7.into(), &true.into()));
    assert_eq!(client.get("/v1/health").await.expect("health")["desk"], "after-sales");

    let owner = console.owner();
    let acts: Vec<&Act> = owner.acts.iter().map(|response| &response.act).collect();
    assert!(
        matches!(
            acts[..],
            [
                Act::Ack { .. },
                Act::Snooze { span, .. },
                Act::Resolve { .. },
                Act::Escalate { .. },
                Act::Release { .. },
                Act::Silence(_),
                Act::EndSilence { .. }
            ] if *span == Span::from_minutes(30)
        ),
        "{acts:?}"
    );
    assert!(owner.acts.iter().all(|response| &*response.via == "cli"));
    let mut inboxes: Vec<_> = owner.acts.iter().map(|response| response.inbox).collect();
    inboxes.sort();
    inboxes.dedup();
    assert_eq!(inboxes.len(), 7, "each is an act of its own");
}

#[tokio::test]
async fn trouble_is_told_to_the_command_line() {
    let (console, client) = console("").await;
    let path = format!("/v1/incidents/{}/ack", id(1));
    let lin = json!({ "person": "xiaolin" });
    console.owner().mode = Mode::Storage;
    match client.post(&path, &lin).await {
        Err(ClientError::Refused { status: 503, text }) => assert!(text.contains("暂不能记录"), "{text}"),
        other => panic!("{other:?}"),
    }
    let nobody = Client::new(console.socket.with_extension("none"));
    let told = nobody.get("/v1/health").await.expect_err("nobody is there").to_string();
    assert!(told.contains("is the program running"), "{told}");
}

#[tokio::test]
async fn operators_over_the_network_need_a_token_of_their_own() {
    let (closed, _) = console("").await;
    let erp = format!("Bearer {ERP}");
    for headers in [vec![], vec![("Authorization", &*erp)]] {
        for (method, path) in [("GET", "/v1/incidents"), ("POST", "/v1/reload"), ("GET", "/v1/health")] {
            assert_eq!(closed.ask(method, path, &headers, b"").await.status, 404, "{method} {path}");
        }
    }
    let (open, _) = console("[tokens.ops]\ntoken_file = \"ops\"\nrole = \"operator\"").await;
    assert_eq!(open.ask("GET", "/v1/incidents", &[], b"").await.status, 401);
    assert_eq!(open.ask("GET", "/v1/incidents", &[("Authorization", &*erp)], b"").await.status, 403);
    let ops = format!("Bearer {OPS}");
    let headers = [("Authorization", &*ops), ("Idempotency-Key", "k-1")];
    let path = format!("/v1/incidents/{}/ack", id(1));
    let body = br#"{"person":"xiaolin"}"#;
    let first = open.ask("POST", &path, &headers, body).await;
    let second = open.ask("POST", &path, &headers, body).await;
    assert_eq!((&first.json()["repeated"], &second.json()["repeated"]), (&false.into(), &true.into()), "I11");
    assert_eq!(open.owner().acts[0].via.as_ref(), "api");
    // Wrong tokens are slowed down.
    let wrong = [("Authorization", "Bearer not-the-token-at-all")];
    let mut seen = Vec::new();
    for _ in 0..15 {
        seen.push(open.ask("GET", "/v1/incidents", &wrong, b"").await.status);
    }
    assert_eq!((seen[0], seen[14]), (401, 429), "{seen:?}");
    assert_eq!(
        open.ask("GET", "/v1/incidents", &headers, b"").await.status,
        200,
        "the right one is not held to it"
    );
}

#[tokio::test]
async fn a_socket_is_taken_over_only_from_the_dead() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| ServerConfig {
        listen: "127.0.0.1:0".to_owned(),
        socket: Some(folder.path().join(name)),
        ..ServerConfig::default()
    };
    let alive = Listeners::open(&at("a.sock")).await.expect("a socket");
    assert!(matches!(Listeners::open(&at("a.sock")).await, Err(ListenError::Taken(_))));
    drop(alive);
    // A file that nobody serves any more is replaced.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("b.sock")).expect("bound"));
    assert!(folder.path().join("b.sock").exists());
    Listeners::open(&at("b.sock")).await.expect("the dead one's place is taken");
    // A file of another kind is not.
    std::fs::write(folder.path().join("c.sock"), "mine").expect("written");
    assert!(matches!(Listeners::open(&at("c.sock")).await, Err(ListenError::Socket { .. })));
    assert_eq!(std::fs::read_to_string(folder.path().join("c.sock")).expect("still there"), "mine");
    let taken = Listeners::open(&at("d.sock")).await.expect("free").addresses()[0];
    let blocker = std::net::TcpListener::bind(taken);
    let twice = ServerConfig { listen: taken.to_string(), ..ServerConfig::default() };
    if blocker.is_ok() {
        assert!(matches!(Listeners::open(&twice).await, Err(ListenError::Address { .. })));
    }
}
