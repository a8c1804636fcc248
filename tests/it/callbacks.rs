//! The whole program and a provider that calls it back, all over sockets: what is pressed, told and written is kept before
//! it is answered, once, in the name of whom it is of; what is forged, late or too large is refused.

mod provider;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shiftbell::channels::callback::{
    dingtalk_signature, feishu_signature, slack_signature, twilio_signature, wecom_signature,
};
use shiftbell::console::{LimitsConfig, Listeners, ServerConfig};
use shiftbell::core::model::{Incident, Mark, Observation, Status, Table};
use shiftbell::core::time::{Instant, Span};
use shiftbell::daemon::handle::{Ask, ObserveAnswer, Which};
use shiftbell::daemon::time::{SystemTime, TimeSource as _};
use shiftbell::store::RowQuery;
use shiftbell::wire::{form, sign};
use tempfile::TempDir;

use crate::channels::Overheard;
use crate::channels_kannel::{Kannel, PASSWORD};
use crate::couriers::{Rig, say, wait_for};
use provider::{Asked, Provider, feishu_seal, wecom_seal};

const LONG: Duration = Duration::from_secs(60);
const SECRET: &str = "s3cret-of-the-callback";
const AES: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const MOBILE: &str = "13812340000";

/// A running desk with one way to 小林, and a provider behind it.
struct Desk {
    rig: Rig,
    provider: Provider,
    _folder: TempDir,
}

fn now() -> Instant {
    SystemTime.read().wall
}

async fn listeners() -> Listeners {
    let server = ServerConfig { listen: "127.0.0.1:0".to_owned(), ..ServerConfig::default() };
    Listeners::open(&server).await.expect("a free port")
}

impl Desk {
    /// A desk whose channel `x` is this section. 小林 (`lin`) and 小陈 (`chen`, off shift) are reached by it; what fails for
    /// 小林 goes on as mail.
    async fn start(section: &str, lin: &str, chen: &str) -> Desk {
        Desk::start_with(section, lin, chen, "20m").await
    }

    /// The same where receipts are awaited for so long.
    async fn start_with(section: &str, lin: &str, chen: &str, window: &str) -> Desk {
        Desk::behind(listeners().await, section, lin, chen, window).await
    }

    /// The same behind these sockets.
    async fn behind(listeners: Listeners, section: &str, lin: &str, chen: &str, window: &str) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let provider = Provider::start().await;
        let own = format!("http://{}", listeners.addresses()[0]);
        let section = section.replace("BASE", &provider.base).replace("OWN", &own);
        let text = format!(
            r#"
include = ["builtin:calendars/cn_holidays.toml", "builtin:calendars/desks.toml", "builtin:policies/handbook.toml"]
[desk]
id = "after-sales"
title = "售后组"
zone = "Asia/Shanghai"
[[desk.shift]]
name = "all"
from = "00:00"
to = "24:00"
[[clock]]
name = "ticket_reply"
title = "工单回复"
on = "ticket"
start = "customer_message"
stop = "agent_reply"
target = "20m"
ring = ["due"]
[people.lin]
name = "小林"
role = "handler"
shifts = ["all"]
contact = [{{ channel = "x", address = "{lin}" }}, {{ channel = "mail", address = "lin@example.com" }}]
[people.chen]
name = "小陈"
role = "handler"
contact = [{{ channel = "x", address = "{chen}" }}]
[people.zhou]
name = "周经理"
role = "manager"
shifts = ["all"]
contact = [{{ channel = "hook" }}]
[alerting]
base_url = "https://bell.example.com"
fallback = ["zhou"]
admins = ["zhou"]
[alerting.group]
wait = {{ p0 = "0s", p1 = "0s", p2 = "0s", p3 = "0s" }}
[alerting.send]
fallback_after = {{ p0 = "30m", p1 = "30m", p2 = "30m", p3 = "1d" }}
discharge_bound = {{ p0 = "60m", p1 = "60m", p2 = "60m", p3 = "2d" }}
receipt_window_sms = "{window}"
receipt_window_voice = "20m"
[channels.mail.maildir]
path = "mail"
[channels.hook.webhook]
url = "{base}/hook"
allow_private = true
[channels.x]
{section}
"#,
            base = provider.base,
        );
        let env = [("S", SECRET), ("AES", AES), ("KANNEL", PASSWORD)];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let limits = LimitsConfig::default();
        let rig = Rig::of(folder.path(), &text, env, Arc::new(SystemTime), listeners, limits).await;
        Desk { rig, provider, _folder: folder }
    }

    /// A ticket waits too long, and its incident is there.
    async fn rings(&self, id: &str) -> Incident {
        let at = now() - Span::from_minutes(30);
        let ticket = Observation {
            source: "tmall".into(),
            kind: "ticket".into(),
            id: id.to_owned().into(),
            as_of: at,
            revision: 1,
            marks: vec![Mark { name: "customer_message".into(), reference: None, at, removed: false }],
            attributes: Vec::new(),
        };
        let answers = self.rig.daemon.handle.ask(LONG, |to| Ask::Observe(vec![ticket], to)).await;
        let answers = answers.expect("the desk answers");
        assert!(matches!(answers[..], [ObserveAnswer::Kept(_)]), "{answers:?}");
        let of = |incident: &Incident| *incident.subject.id == *id;
        wait_for("an incident", async || self.incidents().await.into_iter().find(of)).await
    }

    async fn incidents(&self) -> Vec<Incident> {
        let ask = |to| Ask::Incidents(Which::Unresolved(100), to);
        self.rig.daemon.handle.ask(LONG, ask).await.expect("the desk answers")
    }

    async fn one(&self) -> Incident {
        self.incidents().await.into_iter().find(|i| &*i.subject.kind == "ticket").expect("an incident")
    }

    /// The first that the provider is asked with this in its address, and the `n`th of them.
    async fn asked(&self, part: &str, n: usize) -> Asked {
        wait_for(part, async || self.provider.asked(part).get(n).cloned()).await
    }

    async fn call(&self, call: &Call) -> (u16, String) {
        let headers: Vec<(&str, &str)> = call.headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        say(self.rig.address, call.method, &call.path, &headers, call.body.as_bytes()).await
    }

    /// The messages by their states and the receipts in the audit.
    async fn states(&self) -> Vec<String> {
        let query =
            RowQuery { table: Table::Message, id_prefix: None, state: None, parent: None, limit: 100 };
        let rows = self.rig.store.rows(self.rig.daemon.handle.desk(), query).await.expect("rows");
        let state = |body: &[u8]| {
            let message: Value = serde_json::from_slice(body).expect("a message");
            let of =
                |pointer: &str| message.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
            format!("{} {}", of("/to/lane/channel"), of("/state"))
        };
        rows.iter().map(|row| state(&row.body)).collect()
    }

    /// How many messages went on as mail.
    async fn mails(&self) -> usize {
        self.states().await.iter().filter(|state| state.starts_with("mail ")).count()
    }

    async fn in_state(&self, state: &str) {
        wait_for(state, async || self.states().await.iter().any(|s| s == state).then_some(())).await;
    }

    /// Rings, and answers with our key of the message that left.
    async fn key(&self) -> String {
        let query =
            RowQuery { table: Table::Message, id_prefix: None, state: None, parent: None, limit: 100 };
        let rows = self.rig.store.rows(self.rig.daemon.handle.desk(), query).await.expect("rows");
        let of_x = |row: &&shiftbell::store::Stored| {
            String::from_utf8_lossy(&row.body).contains("\"channel\":\"x\"")
        };
        rows.iter().find(of_x).expect("a message by x").id.clone()
    }
}

/// A request of a provider.
#[derive(Clone, Debug)]
struct Call {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn post(path: &str, headers: &[(&'static str, &str)], body: &str) -> Call {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Call { method: "POST", path: path.to_owned(), headers, body: body.to_owned() }
}

const X: &str = "/v1/callbacks/x";

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

/// A form, or a document, as texts.
fn form_text(body: &str) -> String {
    match body.starts_with('{') {
        true => body.to_owned(),
        false => form::fields(body.as_bytes(), 64).into_iter().map(|(_, value)| value + "\n").collect(),
    }
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
        let mut shows = 0;
        for (value, who, want) in [
            (value.to_owned(), stranger, "您不在值班名单中"),
            (value.to_owned(), chen, "您不能执行此操作"),
            (format!("{}AA", &value[..value.len() - 2]), lin, "此按钮无效"),
        ] {
            let (status, answer) = desk.call(&call(&value, who, at + shows, SECRET)).await;
            assert_eq!(status, 200, "{name}: {answer}");
            let seen = match name {
                "slack" => shown(&desk, &chat, &answer, usize::try_from(shows).unwrap()).await,
                // What is no change of the card is told beside it.
                "wecom" => {
                    let n = usize::try_from(shows).unwrap();
                    form_text(&desk.asked("/cgi-bin/message/send", n + 1).await.body)
                }
                _ => answer,
            };
            assert!(seen.contains(want), "{name}: {want} in {seen}");
            shows += 1;
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

/// A provider of short messages or calls.
struct Sms {
    name: &'static str,
    section: &'static str,
    /// Where its messages go.
    sends: &'static str,
    /// What it says of a message with our key: delivered, or not.
    told: fn(&str, bool, &str) -> Call,
    /// What it wants to hear.
    thanks: &'static str,
}

const SECRET_PATH: &str = "/v1/callbacks/x/s3cret-of-the-callback";

fn rows(path: &str, rows: &Value) -> Call {
    post(path, &[("Content-Type", "application/json")], &rows.to_string())
}

fn twilio_call(own: &str, query: &str, fields: &[(&str, &str)], token: &str) -> Call {
    let url = format!("{own}{X}");
    let url = if query.is_empty() { url } else { format!("{url}?{query}") };
    let owned: Vec<(String, String)> =
        fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let signature = twilio_signature(token, &url, &owned);
    let path = if query.is_empty() { X.to_owned() } else { format!("{X}?{query}") };
    post(&path, &[("X-Twilio-Signature", &signature)], &sign::form(&owned))
}

/// The provider's own id of a message; of one that nobody knows it is another.
fn theirs(key: &str, id: &'static str) -> &'static str {
    if key == NOBODYS { "other" } else { id }
}

const NOBODYS: &str = "00000000000000000000000000";

fn messengers() -> Vec<Sms> {
    vec![
        Sms {
            name: "aliyun",
            section: "[channels.x.aliyun_sms]\nkey = { id = \"LTAI1\", secret.env = \"S\" }\nsign_name = \"售后\"\n\
                      template = { code = \"SMS_1\" }\nreceipts = \"pushed\"\ncallback = { token.env = \"S\" }\n\
                      http = { base = \"BASE\", allow_private = true }",
            sends: "OutId",
            told: |key, good, _| {
                let row = json!({
                    "phone_number": MOBILE, "success": good, "err_code": "X", "out_id": key, "biz_id": theirs(key, "biz1"),
                });
                rows(SECRET_PATH, &json!([row]))
            },
            thanks: r#"{"code":0,"msg":"OK"}"#,
        },
        Sms {
            name: "tencent",
            section: "[channels.x.tencent_sms]\nsecret_id = \"A\"\nsecret_key.env = \"S\"\napp_id = \"1400\"\n\
                      sign_name = \"售后\"\nper_day = 30\ntemplate = { id = \"1\" }\nreceipts = \"pushed\"\n\
                      callback = { token.env = \"S\", addresses = [\"127.0.0.0/8\"] }\n\
                      http = { base = \"BASE\", allow_private = true }",
            sends: "/",
            told: |_, good, _| {
                let status = if good { "SUCCESS" } else { "FAIL" };
                let row = json!({
                    "mobile": MOBILE, "nationcode": "86", "report_status": status, "errmsg": "X", "sid": "5000:1",
                });
                rows(SECRET_PATH, &json!([row]))
            },
            thanks: r#"{"errmsg":"OK","result":0}"#,
        },
        Sms {
            name: "huawei",
            section: "[channels.x.huawei_sms]\naccess_key = \"AK\"\nsecret_key.env = \"S\"\nregion = \"cn-north-4\"\n\
                      sender = \"8824\"\ntemplate = \"1\"\nreceipts = \"pushed\"\n\
                      callback = { url = \"OWN/v1/callbacks/x\", token.env = \"S\" }\n\
                      http = { base = \"BASE\", allow_private = true }",
            sends: "batchSendSms",
            told: |key, good, _| {
                let status = if good { "DELIVRD" } else { "UNDELIV" };
                let fields = [
                    ("smsMsgId", theirs(key, "hw1")),
                    ("total", "1"),
                    ("sequence", "1"),
                    ("status", status),
                    ("extend", key),
                ];
                post(SECRET_PATH, &[], &sign::form(&fields))
            },
            thanks: "",
        },
        Sms {
            name: "twilio",
            section: "[channels.x.twilio_sms]\naccount = { sid = \"AC00000000000000000000000000000000\", token.env = \"S\" }\n\
                      from = \"+15005550006\"\nreceipts = \"pushed\"\ncallback = { url = \"OWN/v1/callbacks/x\", replies = true }\n\
                      http = { base = \"BASE\", allow_private = true }",
            sends: "/Messages",
            told: |_, good, own| {
                let status = if good { "delivered" } else { "undelivered" };
                let fields = [("MessageSid", "SM1"), ("MessageStatus", status), ("ErrorCode", "30003")];
                twilio_call(own, "", &fields, SECRET)
            },
            thanks: "<Response></Response>",
        },
        Sms {
            name: "kannel",
            section: "[channels.x.sms_gateway]\nurl = \"BASE/cgi-bin/sendsms\"\nusername = \"u\"\npassword.env = \"S\"\n\
                      receipts = \"pushed\"\nhttp.allow_private = true\n\
                      callback = { url = \"OWN/v1/callbacks/x\", token.env = \"S\", replies = true }",
            sends: "sendsms",
            told: |key, good, _| {
                let query = format!("{SECRET_PATH}?key={key}&st={}", if good { 1 } else { 2 });
                Call { method: "GET", ..post(&query, &[], "") }
            },
            thanks: "",
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_arrive_goes_by_the_next_way_at_once() {
    for sms in messengers() {
        let name = sms.name;
        let desk = Desk::start(sms.section, MOBILE, "13812349999").await;
        let own = format!("http://{}", desk.rig.address);
        desk.rings("T1").await;
        desk.asked(sms.sends, 0).await;
        desk.in_state("x accepted").await;
        let key = desk.key().await;
        assert_eq!(desk.mails().await, 0, "{name}: nothing failed yet");

        // Without the secret, or with a wrong one, nothing is taken.
        let told = (sms.told)(&key, false, &own);
        let mut forged = told.clone();
        match name {
            "twilio" => forged.headers = vec![("X-Twilio-Signature", "AAAA".to_owned())],
            _ => forged.path = forged.path.replace(SECRET, "s3cret-of-the-callbacK"),
        }
        assert_eq!(desk.call(&forged).await.0, 401, "{name}");
        // Of something that nobody knows: thanked for, and kept for later.
        let unknown = (sms.told)(NOBODYS, true, &own);
        if !matches!(name, "tencent" | "twilio") {
            assert_eq!(desk.call(&unknown).await.0, 200, "{name}");
        }
        assert_eq!(desk.states().await.iter().filter(|s| *s == "x accepted").count(), 1, "{name}");

        // It did not arrive: the next way goes without waiting for its time.
        for _ in 0..2 {
            let (status, thanks) = desk.call(&told).await;
            assert_eq!((status, thanks.as_str()), (200, sms.thanks), "{name}");
        }
        wait_for("a mail", async || (desk.mails().await > 0).then_some(())).await;
        desk.in_state("x failed").await;
        // Said late that it did arrive after all: that is recorded, and nothing comes of it.
        assert_eq!(desk.call(&(sms.told)(&key, true, &own)).await.0, 200, "{name}");
        assert_eq!(desk.mails().await, 1, "{name}");
        desk.rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrived_ends_it() {
    for sms in messengers() {
        let desk = Desk::start(sms.section, MOBILE, "13812349999").await;
        desk.rings("T1").await;
        desk.in_state("x accepted").await;
        let own = format!("http://{}", desk.rig.address);
        let told = (sms.told)(&desk.key().await, true, &own);
        assert_eq!(desk.call(&told).await.0, 200, "{}", sms.name);
        desk.in_state("x delivered").await;
        assert_eq!(desk.mails().await, 0, "{}", sms.name);
        desk.rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_push_is_asked() {
    for (name, state) in [("aliyun", "x delivered"), ("tencent", "x failed")] {
        let sms = messengers().into_iter().find(|sms| sms.name == name).unwrap();
        let section = sms.section.replace("\"pushed\"", "\"polled\"");
        // Five seconds before the window is over: soon.
        let desk = Desk::start_with(&section, MOBILE, "13812349999", "6s").await;
        desk.rings("T1").await;
        desk.in_state(state).await;
        desk.rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digit_is_an_answer() {
    let from = "+8613812340000";
    let aliyun = |n: u32, text: &str| {
        let row = json!({ "phone_number": MOBILE, "content": text, "send_time": "", "sequence_id": n });
        rows(SECRET_PATH, &json!([row]))
    };
    let tencent = |n: u32, text: &str| {
        let row = json!({ "mobile": MOBILE, "nationcode": "86", "text": text, "time": n, "extend": "" });
        rows(SECRET_PATH, &row)
    };
    for sms in messengers() {
        let desk = Desk::start(sms.section, MOBILE, "13812349999").await;
        let own = format!("http://{}", desk.rig.address);
        let write = |n: u32, text: &str, from: &str| match sms.name {
            "aliyun" => aliyun(n, text),
            "tencent" => tencent(n, text),
            "twilio" => {
                let sid = n.to_string();
                let fields =
                    [("MessageSid", &*sid), ("SmsStatus", "received"), ("From", from), ("Body", text)];
                twilio_call(&own, "", &fields, SECRET)
            }
            _ => post(
                SECRET_PATH,
                &[
                    ("X-Kannel-From", from),
                    ("X-Kannel-Time", &n.to_string()),
                    ("Content-Type", "text/plain; charset=UTF-8"),
                ],
                text,
            ),
        };
        if sms.name == "huawei" {
            desk.rig.stop().await;
            continue;
        }
        let incident = desk.rings("T1").await;
        let sent = desk.asked(sms.sends, 0).await;
        desk.in_state("x accepted").await;
        let answered = matches!(sms.name, "twilio" | "kannel");
        if answered {
            assert!(
                form_text(&sent.body).contains("回复1认领") || sign_free(&sent.path).contains("回复1认领"),
                "{sent:?}"
            );
        }
        let says = |(status, said): (u16, String), want: &str| {
            assert_eq!(status, 200, "{}: {said}", sms.name);
            assert!(!answered || said.contains(want), "{}: {want} in {said}", sms.name);
        };
        // A stranger is told nothing; who is not understood how to answer.
        if answered {
            let (status, said) = desk.call(&write(1, "1", "+8613899990000")).await;
            assert!(status == 200 && !said.contains('请'), "{said}");
        }
        says(desk.call(&write(2, "马上处理", from)).await, "回复 1 认领");
        assert_eq!(desk.one().await.status, Status::Open);
        says(desk.call(&write(3, "１", from)).await, "已认领");
        let acked = desk.one().await;
        assert_eq!((acked.status, acked.acked_by.as_deref()), (Status::Acked, Some("lin")), "{}", sms.name);
        // The provider says it again.
        says(desk.call(&write(3, "１", from)).await, "已处理(小林");
        assert_eq!(desk.one().await.version, acked.version, "{}", sms.name);
        // A second one, and a third: now the id is needed.
        if answered {
            let second = desk.rings("T2").await;
            desk.asked(sms.sends, 1).await;
            let third = desk.rings("T3").await;
            desk.asked(sms.sends, 2).await;
            says(desk.call(&write(4, "1", from)).await, "有2件待处理");
            says(
                desk.call(&write(5, &format!("1 {}", third.id.short().to_lowercase()), from)).await,
                "已认领",
            );
            let open = desk.incidents().await;
            let status = |id| open.iter().find(|i| i.id == id).map(|i| i.status);
            assert_eq!(status(third.id), Some(Status::Acked), "{}", sms.name);
            assert_eq!(status(second.id), Some(Status::Open), "{}", sms.name);
            assert_eq!(status(incident.id), Some(Status::Acked), "{}", sms.name);
        }
        desk.rig.stop().await;
    }
}

/// A path as it is read.
fn sign_free(path: &str) -> String {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    form_text(query)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_the_phone_acknowledges_and_lifting_it_does_not() {
    let section = "[channels.x.twilio_voice]\n\
                   account = { sid = \"AC00000000000000000000000000000000\", token.env = \"S\" }\n\
                   from = \"+15005550006\"\nreceipts = \"pushed\"\ncallback.url = \"OWN/v1/callbacks/x\"\n\
                   http = { base = \"BASE\", allow_private = true }";
    let desk = Desk::start(section, MOBILE, "13812349999").await;
    let own = format!("http://{}", desk.rig.address);
    desk.rings("T1").await;
    let sent = desk.asked("/Calls", 0).await;
    let twiml = sent.field("Twiml");
    assert!(twiml.contains("按1键认领") && sent.field("StatusCallback") == format!("{own}{X}"), "{twiml}");
    let value = twiml.split_once("?t=").and_then(|(_, rest)| rest.split('"').next()).expect("an action");
    let query = format!("t={value}");
    let to = "+8613812340000";
    let press =
        |digit| twilio_call(&own, &query, &[("CallSid", "CA1"), ("Digits", digit), ("To", to)], SECRET);
    let forged = twilio_call(&own, &query, &[("CallSid", "CA1"), ("Digits", "1"), ("To", to)], "other");
    assert_eq!(desk.call(&forged).await.0, 401);
    assert_eq!(desk.call(&press("5")).await.0, 200);
    desk.in_state("x accepted").await;
    let ended = [("CallSid", "CA1"), ("CallStatus", "completed"), ("CallDuration", "9")];
    assert_eq!(desk.call(&twilio_call(&own, "", &ended, SECRET)).await.0, 200);
    desk.in_state("x delivered").await;
    assert_eq!(desk.one().await.status, Status::Open, "that somebody listened acknowledges nothing");
    let (status, said) = desk.call(&press("1")).await;
    assert!(status == 200 && said.contains("<Say") && said.contains("已认领"), "{said}");
    assert_eq!(desk.one().await.acked_by.as_deref(), Some("lin"));
    desk.rig.stop().await;
}

#[tokio::test(flavor = "current_thread")]
async fn no_log_holds_a_secret_a_number_or_a_button() {
    let sms = messengers().into_iter().find(|sms| sms.name == "kannel").unwrap();
    let heard = Overheard::begin();
    let desk = Desk::start(sms.section, MOBILE, "13812349999").await;
    desk.rings("T1").await;
    desk.in_state("x accepted").await;
    let told = (sms.told)(&desk.key().await, false, "");
    let forged = Call { path: told.path.replace(SECRET, "wr0ng-secret-0123456"), ..told.clone() };
    assert_eq!(desk.call(&forged).await.0, 401);
    assert_eq!(desk.call(&told).await.0, 200);
    let headers = [("X-Kannel-From", "+8613899990000")];
    assert_eq!(desk.call(&post(SECRET_PATH, &headers, "1")).await.0, 200);
    desk.rig.stop().await;
    let text = heard.text();
    assert!(text.contains("a callback was refused"), "{text}");
    for secret in [SECRET, "wr0ng-secret", MOBILE, "13899990000"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// Kannel with its fake operator: what arrived, and what was written back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_gateway_hands_receipts_and_replies_on() {
    let listeners = listeners().await;
    let address = listeners.addresses()[0];
    let service = format!(
        "\ngroup = sms-service\nkeyword = default\npost-url = \"http://{address}{SECRET_PATH}\"\nsend-sender = true\n\
         catch-all = true\nomit-empty = true\nmax-messages = 1\n"
    );
    let mut kannel = Kannel::start_with(&service).await;
    kannel.operate();
    let section = format!(
        "[channels.x.sms_gateway]\nurl = \"http://127.0.0.1:{}/cgi-bin/sendsms\"\nusername = \"shiftbell\"\n\
         password.env = \"KANNEL\"\nfrom = \"10690\"\nreceipts = \"pushed\"\nhttp.allow_private = true\n\
         callback = {{ url = \"OWN/v1/callbacks/x\", token.env = \"S\", replies = true }}",
        kannel.send
    );
    let desk = Desk::behind(listeners, &section, MOBILE, "13812349999", "20m").await;
    desk.rings("T1").await;
    desk.in_state("x delivered").await;
    assert_eq!(desk.one().await.status, Status::Open, "that it arrived acknowledges nothing");
    kannel.operate_with(&format!("{MOBILE} 10690 text 1"));
    let acked = async || (desk.one().await.acked_by.as_deref() == Some("lin")).then_some(());
    wait_for("the reply", acked).await;
    desk.rig.stop().await;
}
