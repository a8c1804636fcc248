//! Buttons that are pressed in chats: as each provider tells of it, and what each is shown.

use serde_json::{Value, json};
use shiftbell::channels::callback::{dingtalk_signature, feishu_signature, slack_signature, wecom_signature};
use shiftbell::core::model::Status;
use shiftbell::wire::sign;

use super::provider::{Asked, feishu_seal, wecom_seal};
use super::{AES, Call, Desk, SECRET, X, form_text, now, post};

/// A chat: how it is configured, what its buttons hold, how they are pressed, and what is changed afterwards.
struct Chat {
    name: &'static str,
    section: &'static str,
    /// The ids of 小林 and 小陈 there, and of a stranger.
    people: [&'static str; 3],
    /// Where its messages go.
    sends: &'static str,
    /// The value of the button for `ack`, `snooze` or `escalate`.
    button: fn(&Asked, &str) -> Value,
    /// A press of a value by somebody at a time, with a secret.
    press: fn(&str, &str, i64, &str) -> Call,
    /// Where what is shown goes afterwards, where it is not in the answer.
    shows: Option<&'static str>,
}

fn feishu_press(value: &str, who: &str, at: i64, secret: &str) -> Call {
    let event = json!({
        "schema": "2.0",
        "header": { "event_id": format!("e{at}"), "event_type": "card.action.trigger", "token": SECRET },
        "event": {
            "operator": { "open_id": who },
            "action": { "tag": "button", "value": { "t": value } },
            "context": { "open_message_id": "om_1" },
        },
    });
    let body = json!({ "encrypt": feishu_seal(SECRET, &event.to_string()) }).to_string();
    let at = at.to_string();
    let signature = feishu_signature(secret, &at, "n", body.as_bytes());
    let headers = [
        ("X-Lark-Request-Timestamp", at.as_str()),
        ("X-Lark-Request-Nonce", "n"),
        ("X-Lark-Signature", &signature),
    ];
    post(X, &headers, &body)
}

fn slack_press(value: &str, who: &str, at: i64, secret: &str) -> Call {
    // Where what is shown goes stands in the press; the test puts the provider's own address there.
    let payload = json!({
        "type": "block_actions", "user": { "id": who }, "trigger_id": at.to_string(),
        "actions": [{ "action_id": "ack", "value": value, "action_ts": "1" }],
        "response_url": "RESPONSE_URL",
    });
    let body = sign::form(&[("payload", payload.to_string())]);
    let at = at.to_string();
    let signature = slack_signature(secret, &at, body.as_bytes());
    post(X, &[("X-Slack-Request-Timestamp", &at), ("X-Slack-Signature", &signature)], &body)
}

fn telegram_press(value: &str, who: &str, at: i64, secret: &str) -> Call {
    let id: i64 = who.parse().unwrap();
    let update = json!({
        "update_id": at,
        "callback_query": {
            "id": format!("q{at}"), "from": { "id": id },
            "message": { "message_id": 12, "chat": { "id": id } }, "data": value,
        },
    });
    post(X, &[("X-Telegram-Bot-Api-Secret-Token", secret)], &update.to_string())
}

fn wecom_press(value: &str, who: &str, at: i64, secret: &str) -> Call {
    let event = format!(
        "<xml><ToUserName><![CDATA[ww1]]></ToUserName><FromUserName><![CDATA[{who}]]></FromUserName>\
         <MsgType><![CDATA[event]]></MsgType><Event><![CDATA[template_card_event]]></Event><EventKey><![CDATA[{value}]]>\
         </EventKey><TaskId><![CDATA[task]]></TaskId><ResponseCode><![CDATA[rc{at}]]></ResponseCode></xml>"
    );
    let sealed = wecom_seal(AES, "ww1", &event);
    let at = at.to_string();
    let signature = wecom_signature(secret, &at, "n", &sealed);
    let query = sign::query(&[("msg_signature", signature.as_str()), ("timestamp", &at), ("nonce", "n")]);
    post(&format!("{X}?{query}"), &[], &format!("<xml><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"))
}

fn dingtalk_press(value: &str, who: &str, at: i64, secret: &str) -> Call {
    let content = json!({ "cardPrivateData": { "actionIds": ["a"], "params": { "t": value } } });
    let body = json!({
        "type": "actionCallback", "outTrackId": "K", "userId": who, "content": content.to_string(),
    });
    let at = (at * 1000).to_string();
    let signature = dingtalk_signature(secret, &at);
    let headers = [("x-ddpaas-signature-timestamp", at.as_str()), ("x-ddpaas-signature", &signature)];
    post(X, &headers, &body.to_string())
}

fn found(all: &Value, pointer: &str, key: &str, wanted: &str, value: &str) -> Value {
    let list = all.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer} in {all}"));
    let one = list.iter().find(|one| one.get(key).is_some_and(|k| k == wanted));
    one.and_then(|one| one.pointer(value)).cloned().unwrap_or_else(|| panic!("{wanted} in {all}"))
}

const WORDS: [(&str, &str); 3] = [("ack", "认领"), ("snooze", "推迟30分钟"), ("escalate", "转上级")];

fn word(purpose: &str) -> &'static str {
    WORDS.iter().find(|(known, _)| *known == purpose).unwrap().1
}

fn chats() -> Vec<Chat> {
    vec![
        Chat {
            name: "feishu",
            section: "[channels.x.feishu_app]\napp_id = \"cli_1\"\nsecret.env = \"S\"\n\
                      http = { base = \"BASE\", allow_private = true }\n\
                      callback = { encrypt_key.env = \"S\", verification_token.env = \"S\" }",
            people: ["ou_lin", "ou_chen", "ou_nobody"],
            sends: "/im/v1/messages?",
            button: |asked, purpose| {
                let card: Value = serde_json::from_str(asked.json()["content"].as_str().unwrap()).unwrap();
                let elements = card.pointer("/body/elements").and_then(Value::as_array).unwrap();
                let is = |one: &&Value| one.pointer("/text/content").is_some_and(|t| t == word(purpose));
                elements.iter().find(is).unwrap()["behaviors"][0]["value"]["t"].clone()
            },
            press: feishu_press,
            shows: None,
        },
        Chat {
            name: "slack",
            section: "[channels.x.slack]\ntoken.env = \"S\"\nhttp = { base = \"BASE\", allow_private = true }\n\
                      callback = { signing_secret.env = \"S\" }",
            people: ["U0LIN0001", "U0CHEN001", "U0NOBODY1"],
            sends: "chat.postMessage",
            button: |asked, purpose| {
                found(&asked.json(), "/blocks/2/elements", "action_id", purpose, "/value")
            },
            press: slack_press,
            shows: Some("/actions/"),
        },
        Chat {
            name: "telegram",
            section: "[channels.x.telegram]\ntoken.env = \"S\"\nhttp = { base = \"BASE\", allow_private = true }\n\
                      callback = { secret.env = \"S\" }",
            people: ["4711", "4712", "4713"],
            sends: "/sendMessage",
            button: |asked, purpose| {
                let keyboard: Value = serde_json::from_str(&asked.field("reply_markup")).unwrap();
                let value = found(&keyboard, "/inline_keyboard/0", "text", word(purpose), "/callback_data");
                assert!(value.as_str().unwrap().len() <= 64, "as much as a button holds");
                value
            },
            press: telegram_press,
            shows: Some("/editMessageText"),
        },
        Chat {
            name: "wecom",
            section: "[channels.x.wecom_app]\ncorp_id = \"ww1\"\nagent_id = 7\nsecret.env = \"S\"\n\
                      http = { base = \"BASE\", allow_private = true }\n\
                      callback = { token.env = \"S\", aes_key.env = \"AES\" }",
            people: ["lin.cs", "chen.cs", "nobody"],
            sends: "/cgi-bin/message/send",
            button: |asked, purpose| {
                found(&asked.json(), "/template_card/button_list", "text", word(purpose), "/key")
            },
            press: wecom_press,
            shows: Some("update_template_card"),
        },
        Chat {
            name: "dingtalk",
            section: "[channels.x.dingtalk_app]\napp_key = \"ding1\"\nsecret.env = \"S\"\n\
                      http = { base = \"BASE\", allow_private = true }\n\
                      callback = { template = \"t.schema\", route_key = \"bell\", secret.env = \"S\" }",
            people: ["lin", "chen", "nobody"],
            sends: "createAndDeliver",
            button: |asked, purpose| {
                asked.json().pointer(&format!("/cardData/cardParamMap/{purpose}")).unwrap().clone()
            },
            press: dingtalk_press,
            shows: None,
        },
    ]
}

/// What a person sees of an answer: in it, or shown by a call of its own.
async fn shown(desk: &Desk, chat: &Chat, answer: &str, n: usize) -> String {
    let Some(part) = chat.shows else { return answer.to_owned() };
    let asked = desk.asked(part, n).await;
    format!("{answer}\n{}\n{}", asked.path, form_text(&asked.body))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_presses_has_it_once_and_nobody_else_can_say_so() {
    for chat in chats() {
        let name = chat.name;
        let [lin, chen, stranger] = chat.people;
        let desk = Desk::start(chat.section, lin, chen).await;
        let incident = desk.rings("T1").await;
        assert_eq!(incident.status, Status::Open, "{name}");
        let sent = desk.asked(chat.sends, 0).await;
        let value = (chat.button)(&sent, "ack");
        let value = value.as_str().expect("a text");
        assert!(!value.is_empty() && !sent.body.contains("推迟\""), "{name}");
        let at = now().as_secs();
        let call = |value: &str, who: &str, at: i64, secret: &str| {
            let mut call = (chat.press)(value, who, at, secret);
            let own = format!("{}/actions/1", desk.provider.base);
            call.body = call.body.replace("RESPONSE_URL", &sign::percent(&own));
            if name == "slack" {
                // It is signed as it is.
                let signature = slack_signature(secret, &at.to_string(), call.body.as_bytes());
                call.headers.retain(|(header, _)| *header != "X-Slack-Signature");
                call.headers.push(("X-Slack-Signature", signature));
            }
            call
        };

        // Forged, late, changed: refused, and nothing has changed.
        let (status, _) = desk.call(&call(value, lin, at, "another-secret-0123")).await;
        assert_eq!(status, 401, "{name}: a signature of somebody else");
        if name != "telegram" {
            for at in [at - 400, at + 400] {
                let (status, said) = desk.call(&call(value, lin, at, SECRET)).await;
                assert_eq!(status, 401, "{name}: {said}");
            }
        }
        let mut large = call(value, lin, at, SECRET);
        large.body.push_str(&" ".repeat(300 << 10));
        assert_eq!(desk.call(&large).await.0, 413, "{name}");
        let other = Call { path: large.path.replace("/x", "/hook"), ..call(value, lin, at, SECRET) };
        assert_eq!(desk.call(&other).await.0, 404, "{name}: a channel that nobody calls back");
        assert_eq!(desk.one().await.status, Status::Open, "{name}");

        // A stranger, a colleague who is off shift, a value that was changed.
        for (n, (value, who, want)) in [
            (value.to_owned(), stranger, "您不在值班名单中"),
            (value.to_owned(), chen, "您不能执行此操作"),
            (format!("{}AA", &value[..value.len() - 2]), lin, "此按钮无效"),
        ]
        .into_iter()
        .enumerate()
        {
            let (status, answer) =
                desk.call(&call(&value, who, at + i64::try_from(n).unwrap(), SECRET)).await;
            assert_eq!(status, 200, "{name}: {answer}");
            let seen = match name {
                "slack" => shown(&desk, &chat, &answer, n).await,
                // What is no change of the card is told beside it.
                "wecom" => form_text(&desk.asked("/cgi-bin/message/send", n + 1).await.body),
                _ => answer,
            };
            assert!(seen.contains(want), "{name}: {want} in {seen}");
            assert_eq!(desk.one().await.status, Status::Open, "{name}");
        }

        // The one that it is for.
        let begun = tokio::time::Instant::now();
        let (status, answer) = desk.call(&call(value, lin, at + 10, SECRET)).await;
        let took = begun.elapsed();
        assert_eq!(status, 200, "{name}: {answer}");
        println!("{name}: pressed, committed and answered in {} ms (B9: 1000)", took.as_millis());
        let acked = desk.one().await;
        assert_eq!((acked.status, acked.acked_by.as_deref()), (Status::Acked, Some("lin")), "{name}");
        let n = if name == "slack" { 3 } else { 0 };
        let seen = shown(&desk, &chat, &answer, n).await;
        assert!(seen.contains("已由小林认领"), "{name}: {seen}");
        assert!(!seen.contains(value), "{name}: it can be pressed again: {seen}");

        // The provider says it again; and the person presses again.
        for (i, again) in [at + 10, at + 20].into_iter().enumerate() {
            let (status, answer) = desk.call(&call(value, lin, again, SECRET)).await;
            assert_eq!(status, 200, "{name}: {answer}");
            if matches!(name, "feishu" | "telegram" | "dingtalk") {
                assert!(answer.contains("已处理(小林"), "{name} {i}: {answer}");
            }
        }
        let now_acked = desk.one().await;
        assert_eq!((now_acked.acked_at, now_acked.version), (acked.acked_at, acked.version), "{name}");
        desk.rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buttons_put_off_and_hand_on() {
    let chats = chats();
    let chat = chats.iter().find(|chat| chat.name == "feishu").unwrap();
    let desk = Desk::start(chat.section, "ou_lin", "ou_chen").await;
    desk.rings("T1").await;
    let sent = desk.asked(chat.sends, 0).await;
    let value = |purpose| (chat.button)(&sent, purpose).as_str().unwrap().to_owned();
    let at = now().as_secs();
    let (_, answer) = desk.call(&feishu_press(&value("snooze"), "ou_lin", at, SECRET)).await;
    assert!(answer.contains("小林推迟至"), "{answer}");
    let put_off = desk.one().await;
    assert_eq!(put_off.status, Status::Snoozed);
    // The same button once more does not put it off further.
    desk.call(&feishu_press(&value("snooze"), "ou_lin", at + 1, SECRET)).await;
    assert_eq!(desk.one().await.snooze_until, put_off.snooze_until);
    let (_, answer) = desk.call(&feishu_press(&value("escalate"), "ou_lin", at + 2, SECRET)).await;
    assert!(answer.contains("已转上级"), "{answer}");
    // Nobody of this desk is of the second level.
    assert_eq!(desk.one().await.level, 3);
    desk.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_checked_as_each_provider_does() {
    let chats = chats();
    let section = |name| chats.iter().find(|chat| chat.name == name).unwrap().section;
    let at = now().as_secs().to_string();
    {
        let desk = Desk::start(section("feishu"), "ou_lin", "ou_chen").await;
        let check = json!({ "type": "url_verification", "token": SECRET, "challenge": "c1" }).to_string();
        let body = json!({ "encrypt": feishu_seal(SECRET, &check) }).to_string();
        assert_eq!(desk.call(&post(X, &[], &body)).await, (200, r#"{"challenge":"c1"}"#.to_owned()));
        let other = json!({ "encrypt": feishu_seal("other", &check) }).to_string();
        assert_eq!(desk.call(&post(X, &[], &other)).await.0, 401);
        assert_eq!(desk.call(&post(X, &[], &check)).await.0, 401, "anybody could have written it");
        desk.rig.stop().await;
    }
    let desk = Desk::start(section("wecom"), "lin", "chen").await;
    let echo = wecom_seal(AES, "ww1", "8921347298347");
    let signature = wecom_signature(SECRET, &at, "n", &echo);
    let fields = [("msg_signature", &*signature), ("timestamp", &at), ("nonce", "n"), ("echostr", &echo)];
    let get = |fields: &[(&str, &str)]| Call {
        method: "GET",
        ..post(&format!("{X}?{}", sign::query(fields)), &[], "")
    };
    assert_eq!(desk.call(&get(&fields)).await, (200, "8921347298347".to_owned()));
    let elsewhere = wecom_seal(AES, "ww2", "8921347298347");
    let signature = wecom_signature(SECRET, &at, "n", &elsewhere);
    let fields =
        [("msg_signature", &*signature), ("timestamp", &at), ("nonce", "n"), ("echostr", &elsewhere)];
    assert_eq!(desk.call(&get(&fields)).await.0, 401, "sealed for another company");
    desk.rig.stop().await;
}
