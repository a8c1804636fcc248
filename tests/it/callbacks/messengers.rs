//! Short messages and calls: receipts that come or are asked for, replies, and keys of the phone.

use serde_json::{Value, json};
use shiftbell::channels::callback::twilio_signature;
use shiftbell::core::model::Status;
use shiftbell::wire::sign;

use super::{Call, Desk, MOBILE, SECRET, X, form_text, listeners, post};
use crate::channels::Overheard;
use crate::channels_kannel::Kannel;
use crate::couriers::wait_for;

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
