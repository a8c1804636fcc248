//! `POST /v1/observations`.

use std::fmt::Write as _;

use serde_json::{Value, json};
use shiftbell::console::LimitsConfig;
use shiftbell::core::time::Span;

use super::{Console, ERP, Mode, OPS, Reply};

pub(super) fn event(source: &str, id: &str, event: &str) -> String {
    format!(
        r#"{{"at":"2026-09-21T14:00:00+08:00","source":"{source}","kind":"ticket","id":"{id}","event":"{event}"}}"#
    )
}

pub(super) async fn push(console: &Console, content_type: &str, body: &str) -> Reply {
    let bearer = format!("Bearer {ERP}");
    let headers = [("Authorization", &*bearer), ("Content-Type", content_type)];
    console.ask("POST", "/v1/observations", &headers, body.as_bytes()).await
}

fn statuses(reply: &Reply) -> Vec<String> {
    let results = reply.json()["results"].as_array().cloned().unwrap_or_default();
    for (place, result) in results.iter().enumerate() {
        assert_eq!(result["index"], place, "results are in order: {results:?}");
    }
    results.iter().map(|result| result["status"].as_str().unwrap_or("?").to_owned()).collect()
}

#[tokio::test]
async fn every_item_is_answered_for_itself() {
    let console = Console::start().await;
    let (a, b) = (event("erp-1", "T1", "opened"), event("erp-1", "T2", "opened"));
    let batch = format!(r#"[{a}, {{"at":"yesterday"}}, {b}, 17, {a}]"#);
    let reply = push(&console, "application/json", &batch).await;
    assert_eq!(statuses(&reply), ["kept", "refused", "kept", "refused", "duplicate"], "{reply:?}");
    assert_eq!(reply.status, 200);
    assert_eq!(
        (&reply.json()["kept"], &reply.json()["refused"], &reply.json()["duplicate"]),
        (&2.into(), &2.into(), &1.into())
    );
    let reason = reply.json()["results"][1]["reason"].to_string();
    assert!(reason.contains("yesterday"), "{reason}");
    // The same again is right, and changes nothing (T2).
    let again = push(&console, "application/json", &format!(r#"{{"observations":[{a},{b}]}}"#)).await;
    assert_eq!((again.status, statuses(&again)), (200, vec!["duplicate".to_owned(); 2]));
    let lines =
        push(&console, "application/x-ndjson", &format!("{a}\nnot json\n\n{}\n", event("s", "T3", "opened")))
            .await;
    assert_eq!(
        (lines.status, statuses(&lines)),
        (200, ["duplicate", "refused", "kept"].map(str::to_owned).to_vec())
    );
    assert_eq!(console.metric("shiftbell_observations_total{result=\"kept\"}"), "3");
    assert_eq!(console.metric("shiftbell_observations_total{result=\"refused\"}"), "3");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_its_reason() {
    let console = Console::start().await;
    let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
    let deep_attribute = format!(
        r#"[{{"at":"2026-09-21T14:00:00Z","source":"s","kind":"k","id":"1","event":"e","attrs":{{"a":{}{}}}}}]"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    for (name, body, want) in [
        ("nothing", "", 422),
        ("an empty list", "[]", 200),
        ("garbage", "\u{1}\u{2}}}}}{{{", 422),
        ("a list that breaks off", "[{\"at\":", 422),
        ("nothing usable", "[{},{}]", 422),
        ("a number", "12", 422),
        ("deep nesting", &*deep, 422),
        ("deep nesting in an attribute", &*deep_attribute, 422),
        ("too many keys", "{\"observations\":[],\"x\":1}", 422),
    ] {
        let reply = push(&console, "application/json", body).await;
        assert_eq!(reply.status, want, "{name}: {}", reply.body.chars().take(300).collect::<String>());
        assert!(reply.body.len() < 2000, "{name}: the answer repeats what was sent");
    }
    let bearer = format!("Bearer {ERP}");
    let headers = [("Authorization", &*bearer)];
    let reply = console.ask("POST", "/v1/observations", &headers, b"[\"\xff\xfe\"]").await;
    reply.says(422, &["UTF-8"]);
    let line = [event("s", "1", "opened").as_bytes(), b"\n{\"at\":\"\xff\"}\n"].concat();
    let reply = console.ask("POST", "/v1/observations", &headers, &line).await;
    assert_eq!(statuses(&reply), ["kept", "refused"], "a line that is not UTF-8 spoils no other");
    assert_eq!(console.owner().observed, 1);
    let packed = [("Authorization", &*bearer), ("Content-Encoding", "gzip")];
    console.ask("POST", "/v1/observations", &packed, b"[]").await.says(415, &[]);
}

#[tokio::test]
async fn too_much_is_refused_before_it_is_read() {
    let console = Console::start().await;
    let bearer = format!("Bearer {ERP}");
    // 100 MB are announced, and not one byte is waited for.
    let head = format!(
        "POST /v1/observations HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\nContent-Length: 100000000\r\n\r\n"
    );
    console.raw(head.as_bytes()).await.says(413, &["8388608"]);
    // And without an announcement: the bound holds while it is read.
    let mut chunked = format!(
        "POST /v1/observations HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..9 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.resize(chunked.len() + (1 << 20), b' ');
        chunked.extend_from_slice(b"\r\n");
    }
    console.raw(&chunked).await.says(413, &[]);
    let many: Vec<String> = (0..1001).map(|n| event("s", &format!("T{n}"), "opened")).collect();
    push(&console, "application/json", &format!("[{}]", many.join(","))).await.says(413, &["1000"]);
    push(&console, "", &many.join("\n")).await.says(413, &["1000"]);
    assert_eq!(console.owner().observed, 0);
    push(&console, "", &many[..1000].join("\n")).await.says(200, &["\"kept\":1000"]);
}

#[tokio::test]
async fn only_who_may_speaks_and_only_for_its_sources() {
    let console = Console::with(
        LimitsConfig::default(),
        "sources = [\"erp-*\"]\n[tokens.ops]\ntoken_file = \"ops\"\nrole = \"operator\"",
    )
    .await;
    let body = event("erp-1", "T1", "opened");
    let with = async |value: &str| {
        let headers = [("Authorization", value)];
        console.ask("POST", "/v1/observations", &headers, body.as_bytes()).await
    };
    console.ask("POST", "/v1/observations", &[], body.as_bytes()).await.says(401, &[]);
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic ZXJwOnh4",
        &format!("Bearer {ERP}x"),
        &format!("Bearer {ERP} y"),
    ] {
        let reply = with(wrong).await;
        assert_eq!(reply.status, 401, "{wrong}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        assert!(!reply.body.contains(ERP));
    }
    with(&format!("Bearer {OPS}")).await.says(403, &[]);
    with(&format!("bearer {ERP}")).await.says(200, &["kept"]);
    let mixed = format!("[{body},{}]", event("tmall", "T2", "opened"));
    let reply = push(&console, "", &mixed).await;
    assert_eq!((reply.status, statuses(&reply)), (200, ["duplicate", "refused"].map(str::to_owned).to_vec()));
    push(&console, "", &event("tmall", "T2", "opened")).await.says(403, &["may not speak"]);
    assert_eq!(console.owner().observed, 2);
    for wrong in [("GET", 405), ("PUT", 405)] {
        assert_eq!(console.ask(wrong.0, "/v1/observations", &[], b"").await.status, wrong.1);
    }
}

#[tokio::test]
async fn too_fast_is_told_to_wait() {
    let limits = LimitsConfig { batch: 10, ..LimitsConfig::default() };
    let console = Console::with(limits, "rate = \"1/h\"").await;
    let batch =
        |n: usize| (0..n).map(|i| event("s", &format!("T{i}"), "opened")).collect::<Vec<_>>().join("\n");
    push(&console, "", &batch(10)).await.says(200, &[]);
    let reply = push(&console, "", &batch(1)).await;
    reply.says(429, &[]);
    let wait: u64 = reply.header("retry-after").and_then(|v| v.parse().ok()).expect("seconds");
    assert!((1..=3600).contains(&wait), "{wait}");
    assert_eq!(console.owner().observed, 10);
    assert_eq!(console.metric("shiftbell_http_refused_total{reason=\"rate\"}"), "1");
}

#[tokio::test]
async fn a_desk_that_cannot_is_not_taken_for_one_that_has() {
    let console = Console::start().await;
    let batch = format!("[{},{{}}]", event("s", "T1", "opened"));
    console.owner().mode = Mode::Storage;
    let reply = push(&console, "", &batch).await;
    reply.says(503, &["the disk is full"]);
    assert_eq!(statuses(&reply), ["unavailable", "refused"]);
    assert!(reply.header("retry-after").is_some());
    console.owner().mode = Mode::Silent;
    let reply = push(&console, "", &batch).await;
    reply.says(503, &["处理中"]);
    assert!(reply.header("retry-after").is_some());
    console.owner().mode = Mode::Well;
    push(&console, "", &batch).await.says(200, &["\"kept\":1"]);
}

/// Run by hand with `--ignored --nocapture`: how many observations a second go in over one connection each of four
/// callers, with a real desk behind them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn how_fast_observations_go_in() {
    let console =
        Console::with(LimitsConfig { request_timeout: Span::MINUTE, ..LimitsConfig::default() }, "").await;
    let batches: Vec<String> = (0..100)
        .map(|batch| {
            (0..1000).fold(String::new(), |mut text, n| {
                let (minute, second) = (n / 60 % 60, n % 60);
                let _ = writeln!(
                    text,
                    "{}",
                    json!({"at": format!("2026-09-21T06:{minute:02}:{second:02}Z"), "source": "erp-1", "kind": "order",
                           "id": format!("O{batch}-{n}"), "event": "paid",
                           "attrs": {"value": 12.5, "shop": "flagship", "to": "ZJ", "items": 2}})
                );
                text
            })
        })
        .collect();
    let begun = tokio::time::Instant::now();
    for four in batches.chunks(4) {
        let [a, b, c, d] = four else { unreachable!("a hundred is a multiple of four") };
        let replies = tokio::join!(
            push(&console, "application/x-ndjson", a),
            push(&console, "application/x-ndjson", b),
            push(&console, "application/x-ndjson", c),
            push(&console, "application/x-ndjson", d)
        );
        for reply in [replies.0, replies.1, replies.2, replies.3] {
            assert_eq!(reply.json()["kept"], Value::from(1000));
        }
    }
    let took = begun.elapsed();
    println!("100,000 observations in {took:?}: {:.0} a second", 100_000.0 / took.as_secs_f64());
}
