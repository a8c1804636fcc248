//! The published vectors of providers' signatures, URLs and bodies (`tests/fixtures/channels/channel_vectors.json`), each
//! through the code that sends. `SHIFTBELL_CHANNEL_VECTORS=FILE` reads another file of the same shape. A row of a channel,
//! or with an input, that is not known here fails.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::channels::chat::{Link, Mention};
use crate::channels::{dingtalk_robot, feishu_robot, wecom_robot};

#[derive(Deserialize)]
struct Row {
    channel: String,
    case: String,
    inputs: Inputs,
    expected: Value,
}

/// The inputs of a row; each must be asked for.
#[derive(Deserialize)]
#[serde(transparent)]
struct Inputs(Map<String, Value>);

impl Inputs {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("{name} is no text"))
    }

    fn maybe(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn number(&self, name: &str) -> i64 {
        self.0[name].as_i64().unwrap_or_else(|| panic!("{name} is no number"))
    }

    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.map(|list| list.iter().map(|v| v.as_str().unwrap()).collect()).unwrap_or_default()
    }

    /// Fails where there is an input that nobody reads.
    fn only(&self, known: &[&str]) {
        for name in self.0.keys() {
            assert!(known.contains(&name.as_str()), "the input {name} is not known here");
        }
    }
}

/// Compares what stands in `expected` under `name`.
fn same(expected: &Value, name: &str, found: &Value) {
    assert_eq!(&expected[name], found, "{name}");
}

fn is_json(expected: &Value) {
    if let Some(kind) = expected["content_type"].as_str() {
        assert_eq!(kind, crate::channels::provider::JSON);
    }
    if let Some(method) = expected["method"].as_str() {
        assert_eq!(method, "POST");
    }
}

fn dingtalk(inputs: &Inputs, expected: &Value) {
    use dingtalk_robot::{At, card, in_browser, markdown, signature, signed, text};
    inputs.only(&[
        "webhook",
        "secret",
        "timestamp_ms",
        "msg",
        "at_mobiles",
        "is_at_all",
        "title",
        "text",
        "btns",
        "btn_orientation",
    ]);
    if inputs.has("timestamp_ms") {
        let (secret, at) = (inputs.text("secret"), inputs.number("timestamp_ms"));
        let sign = signature(secret, at);
        same(expected, "sign_base64", &json!(sign));
        let url = signed(inputs.maybe("webhook").unwrap_or("https://a.example/"), secret, at);
        let packed = url.rsplit_once("&sign=").unwrap().1.to_owned();
        assert!(!packed.contains(['+', '/', '=']) && !packed.contains("%25"), "packed once: {packed}");
        if inputs.has("webhook") {
            same(expected, "sign_urlencoded", &json!(packed));
            same(expected, "url", &json!(url));
        } else {
            // The other client packs twice.
            assert_eq!(expected["sign_double_encoded_as_sent"], packed.replace('%', "%25"));
        }
        return;
    }
    is_json(expected);
    let at = At { mobiles: inputs.texts("at_mobiles"), users: Vec::new(), all: inputs.has("is_at_all") };
    let found = if inputs.has("btns") {
        let pairs: Vec<[String; 2]> = serde_json::from_value(inputs.0["btns"].clone()).unwrap();
        let buttons: Vec<Link> = pairs
            .into_iter()
            .map(|[label, url]| Link { label, purpose: "ack".to_owned(), url: in_browser(&url) })
            .collect();
        card(inputs.text("title"), inputs.text("text"), &buttons)
    } else if inputs.has("title") {
        markdown(inputs.text("title"), inputs.text("text"), &at)
    } else {
        text(inputs.text("msg"), &at)
    };
    // That client glues its mentions; ours stand apart.
    let apart = |value: &Value| value.to_string().replace(" @1", "@1");
    assert_eq!(apart(&found), apart(&expected["json"]));
}

fn wecom(inputs: &Inputs, expected: &Value) {
    inputs.only(&["text", "mobiles", "users", "markdown"]);
    is_json(expected);
    same(expected, "path", &json!(wecom_robot::path("KEY")));
    let mentions: Vec<Mention<'_>> = inputs.texts("mobiles").into_iter().map(Mention::of).collect();
    let found = match inputs.maybe("markdown") {
        Some(markdown) => wecom_robot::markdown(markdown),
        None => wecom_robot::text(inputs.text("text"), &mentions),
    };
    same(expected, "json", &found);
}

fn feishu(inputs: &Inputs, expected: &Value) {
    inputs.only(&["timestamp_s", "secret", "text", "message"]);
    is_json(expected);
    let message = match inputs.0.get("message") {
        Some(message) => {
            assert_eq!(message["msg_type"], "interactive");
            feishu_robot::interactive(message["card"].clone())
        }
        None => feishu_robot::text(inputs.text("text")),
    };
    let mut found = feishu_robot::signed(message, inputs.text("secret"), inputs.number("timestamp_s"));
    same(expected, "sign", &found["sign"]);
    // That client sends the time as a number, the vendor's page has a text.
    assert_eq!(found["timestamp"], inputs.number("timestamp_s").to_string());
    found["timestamp"] = inputs.0["timestamp_s"].clone();
    same(expected, "json", &found);
}

type Check = fn(&Inputs, &Value);

/// Every channel of the vectors. A new one is one line here.
const CHECKS: &[(&str, Check)] =
    &[("dingtalk_robot", dingtalk), ("wecom_robot", wecom), ("feishu_custom_bot", feishu)];

fn check(row: &Row) {
    let found = CHECKS.iter().find(|(name, _)| *name == row.channel);
    let (_, check) = found.unwrap_or_else(|| panic!("the channel {} is not known here", row.channel));
    check(&row.inputs, &row.expected);
}

/// How many rows of each channel the file of the house has: none may get lost.
const ROWS: &[(&str, usize)] = &[("dingtalk_robot", 10), ("wecom_robot", 2), ("feishu_custom_bot", 4)];

#[test]
fn every_vector_comes_out_of_the_code_that_sends() {
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test names another file by it")]
    let other = std::env::var("SHIFTBELL_CHANNEL_VECTORS").ok();
    let text = match &other {
        Some(file) => std::fs::read_to_string(file).unwrap_or_else(|e| panic!("failed to read {file}: {e}")),
        None => include_str!("../../tests/fixtures/channels/channel_vectors.json").to_owned(),
    };
    let rows: Vec<Row> = serde_json::from_str(&text).unwrap();
    assert!(!rows.is_empty());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in &rows {
        *counts.entry(&row.channel).or_default() += 1;
        if let Err(panic) = std::panic::catch_unwind(|| check(row)) {
            let told = panic.downcast_ref::<String>().cloned();
            let told = told.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            wrong.push(format!("{}: {}\n  {}", row.channel, row.case, told.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    if other.is_none() {
        assert_eq!(counts, ROWS.iter().copied().collect());
    }
}

#[test]
fn what_is_not_known_fails() {
    for text in [
        r#"{"channel":"pigeon","case":"","inputs":{},"expected":{}}"#,
        r#"{"channel":"wecom_robot","case":"","inputs":{"text":"a","colour":1},"expected":{}}"#,
        r#"{"channel":"wecom_robot","case":"","inputs":{"text":"a"},"expected":{"json":{}}}"#,
    ] {
        let row: Row = serde_json::from_str(text).unwrap();
        assert!(std::panic::catch_unwind(|| check(&row)).is_err(), "{text}");
    }
}
