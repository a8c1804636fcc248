//! `POST /v1/receipts/{channel}`.

use shiftbell::console::LimitsConfig;
use shiftbell::core::model::{
    ChannelCard, ChannelClass, DuplicateKey, LinkRule, ReceiptPath, ReplyPath, StatementKind,
};

use super::{Console, ERP, Mode, OPS, Reply, start};

async fn say(console: &Console, token: &str, body: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    console.ask("POST", "/v1/receipts/hook", &[("Authorization", &*bearer)], body.as_bytes()).await
}

async fn console() -> Console {
    let clients = "[tokens.gate]\ntoken_file = \"ops\"\nrole = \"provider\"";
    let console = Console::with(LimitsConfig::default(), clients).await;
    let card = ChannelCard {
        name: "hook".into(),
        adapter: "webhook".into(),
        class: ChannelClass::Webhook,
        duplicate_key: DuplicateKey::None,
        receipts: ReceiptPath::None,
        reply: ReplyPath::None,
        body_limit: None,
        links: LinkRule::Any,
        lane_caps: Vec::new(),
        account_caps: Vec::new(),
        max_inflight: 1,
    };
    let mut setup = super::setup();
    setup.channels.insert("hook".into(), card);
    console.setup.send_replace(setup.into());
    console
}

#[tokio::test]
async fn a_receipt_is_answered_once_it_is_kept() {
    let console = console().await;
    let body = r#"{"key":"K1","what":"delivered","at":"2026-09-21T14:20:00+08:00","code":"DELIVRD"}"#;
    assert_eq!(say(&console, OPS, body).await.status, 200);
    // What says that it happens later is of now.
    let body = r#"{"provider_id":"p-1","what":"failed","at":"2036-01-01T00:00:00Z"}"#;
    assert_eq!(say(&console, OPS, body).await.status, 200);
    {
        let owner = console.owner();
        let said: Vec<_> =
            owner.statements.iter().map(|s| (s.key.as_deref(), s.provider_id.as_deref(), s.what)).collect();
        let want =
            [(Some("K1"), None, StatementKind::Delivered), (None, Some("p-1"), StatementKind::Negative)];
        assert_eq!(said, want);
        assert_eq!(owner.statements[1].at, start());
    }
    console.owner().mode = Mode::Storage;
    let reply = say(&console, OPS, r#"{"key":"K1","what":"delivered"}"#).await;
    assert_eq!(reply.status, 503, "not kept, so said again by the provider (W13)");
}

#[tokio::test]
async fn who_may_push_observations_may_not_say_what_was_delivered() {
    let console = console().await;
    let body = r#"{"key":"K1","what":"delivered"}"#;
    assert_eq!(say(&console, ERP, body).await.status, 403);
    assert_eq!(say(&console, "wrong-token-0123456789", body).await.status, 401);
    assert_eq!(console.owner().changes, 0);
}

#[tokio::test]
async fn a_receipt_that_means_nothing_is_refused_with_its_reason() {
    let console = console().await;
    let long = format!(r#"{{"key":"{}","what":"delivered"}}"#, "k".repeat(129));
    for (body, reason) in [
        ("", "EOF"),
        (r#"{"what":"delivered"}"#, "neither `key` nor `provider_id`"),
        (r#"{"key":"","what":"delivered"}"#, "empty or longer"),
        (&*long, "empty or longer"),
        (r#"{"key":"K1","what":"seen"}"#, "unknown variant"),
        (r#"{"key":"K1","what":"delivered","x":1}"#, "unknown field"),
    ] {
        let reply = say(&console, OPS, body).await;
        assert_eq!(reply.status, 422, "{body}");
        assert!(reply.body.contains(reason), "{body}: {}", reply.body);
    }
    assert_eq!(console.owner().changes, 0);
}
