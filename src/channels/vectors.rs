//! The published vectors of providers' signatures, URLs and bodies (`tests/fixtures/channels/channel_vectors.json`), each
//! through the code that sends. `SHIFTBELL_CHANNEL_VECTORS=FILE` reads another file of the same shape. A row of a channel,
//! or with an input, that is not known here fails.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::channels::acs3::{self, Call, Key};
use crate::channels::chat::{Link, Mention};
use crate::channels::provider::{ReachConfig, Request};
use crate::channels::smtp::login::cram_md5;
use crate::channels::webhook::sign::SigningKeys;
use crate::channels::{
    callback, dingtalk_app, dingtalk_robot, feishu_app, feishu_robot, huawei_sms, slack, sms, teams,
    telegram, tencent_sms, twilio, wecom_app, wecom_robot,
};
use crate::core::ids::Secret;
use crate::core::time::Instant;

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
    use dingtalk_robot::{At, Buttons, card, in_browser, markdown, signature, signed, text};
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
        let beside = inputs.0.get("btn_orientation").and_then(Value::as_i64) == Some(1);
        let stand = if beside { Buttons::Beside } else { Buttons::Below };
        card(inputs.text("title"), inputs.text("text"), &buttons, stand)
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
    let called = [inputs.texts("mobiles"), inputs.texts("users")].concat();
    let mentions: Vec<Mention<'_>> = called.into_iter().map(Mention::of).collect();
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

fn slack(inputs: &Inputs, expected: &Value) {
    inputs.only(&["message"]);
    let message = &inputs.0["message"];
    let request = slack::webhook("https://hooks.slack.com/services/T/B/X".to_owned(), message);
    same(expected, "content_type", &json!(header(&request, "content-type")));
    same(expected, "method", &json!(request.method.as_str()));
    same(expected, "json", &serde_json::from_str(&request.body).unwrap());
    for block in message["blocks"].as_array().into_iter().flatten().filter(|b| b["type"] == "actions") {
        let link = |button: &Value| Link {
            label: button["text"]["text"].as_str().unwrap().to_owned(),
            purpose: "ack".to_owned(),
            url: button["url"].as_str().unwrap().to_owned(),
        };
        let links: Vec<Link> = block["elements"].as_array().unwrap().iter().map(link).collect();
        assert_eq!(json!(slack::buttons(&links)), block["elements"]);
    }
}

fn telegram(inputs: &Inputs, expected: &Value) {
    inputs.only(&["chat_id", "text", "parse_mode", "message_id", "callback_query_id"]);
    let (token, method) = expected["path"].as_str().unwrap()[4..].split_once('/').unwrap();
    let names = ["chat_id", "message_id", "callback_query_id", "text", "parse_mode"];
    let mut fields: Vec<(&str, String)> = names
        .into_iter()
        .filter(|name| inputs.has(name))
        .map(|name| (name, crate::channels::answers::word(&inputs.0[name]).unwrap()))
        .collect();
    // Buttons are no input: those that call back are not ours, the others are made as we make them.
    if let Some(markup) = expected["form"]["reply_markup"].as_str() {
        let theirs: Value = serde_json::from_str(markup).unwrap();
        let buttons = theirs["inline_keyboard"][0].as_array().unwrap();
        let with_url: Vec<&Value> = buttons.iter().filter(|b| b.get("url").is_some()).collect();
        let links: Vec<Link> = with_url
            .iter()
            .map(|b| Link {
                label: b["text"].as_str().unwrap().to_owned(),
                purpose: "view".to_owned(),
                url: b["url"].as_str().unwrap().to_owned(),
            })
            .collect();
        assert_eq!(telegram::keyboard(&[], &links).unwrap()["inline_keyboard"][0], json!(with_url));
        fields.push(("reply_markup", markup.to_owned()));
    }
    let request = telegram::request("https://api.telegram.org", token, method, &fields);
    let outgoing = request.outgoing(&ReachConfig::default()).unwrap();
    same(expected, "path", &json!(outgoing.url().path()));
    same(expected, "content_type", &json!(header(&request, "content-type")));
    assert_eq!(unpacked(&request.body), form_of(&expected["form"]));
}

fn teams(inputs: &Inputs, expected: &Value) {
    inputs.only(&["title", "body"]);
    same(expected, "json", &teams::card(inputs.text("title"), inputs.text("body"), &[]));
}

fn acs3_key(inputs: &Inputs) -> Key {
    let token = inputs.maybe("security_token").or(inputs
        .0
        .get("headers_to_sign")
        .and_then(|h| h.get("x-acs-security-token").and_then(Value::as_str)));
    Key {
        id: inputs.text("access_key_id").to_owned(),
        secret: Secret::new(inputs.text("access_key_secret")),
        token: token.map(Secret::new),
    }
}

fn acs3_request(expected: &Value, call: &Call<'_>, key: &Key, host: &str, nonce: &str, date: &str) {
    let now = Instant::parse(date).unwrap();
    let request = acs3::request(call, key, host, nonce, now);
    same(expected, "authorization", &json!(header(&request, "authorization")));
    let outgoing = request.outgoing(&ReachConfig::default()).unwrap();
    same(expected, "canonical_query", &json!(outgoing.url().query().unwrap_or_default()));
    for (name, value) in expected["signed_headers"].as_object().into_iter().flatten() {
        if name != "host" {
            assert_eq!(value, header(&request, name), "{name}");
        }
    }
    if let Some(hash) = expected.get("x-acs-content-sha256") {
        assert_eq!(hash, header(&request, "x-acs-content-sha256"));
    }
    if let Some(body) = expected.get("body") {
        assert_eq!(body, &request.body);
    }
}

fn aliyun_acs3(inputs: &Inputs, expected: &Value) {
    inputs.only(&[
        "method",
        "path",
        "query",
        "body",
        "headers_to_sign",
        "access_key_id",
        "access_key_secret",
    ]);
    assert_eq!((inputs.text("method"), inputs.text("path"), inputs.text("body")), ("POST", "/", ""));
    let headers = inputs.0["headers_to_sign"].as_object().unwrap();
    let of = |name: &str| headers[name].as_str().unwrap();
    for name in headers.keys() {
        let known = ["host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"];
        assert!(
            known.contains(&&**name) || name == "x-acs-security-token",
            "the header {name} is not known here"
        );
    }
    let query = inputs.0["query"].as_object().unwrap();
    let call = Call {
        base: &format!("https://{}", of("host")),
        action: of("x-acs-action"),
        version: of("x-acs-version"),
        query: query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap().to_owned()))
            .collect(),
        form: Vec::new(),
        headers: Vec::new(),
    };
    let key = acs3_key(inputs);
    acs3_request(expected, &call, &key, of("host"), of("x-acs-signature-nonce"), of("x-acs-date"));
}

/// What their own client says of itself, signed as well.
const ALIYUN_EXTRA: [&str; 4] = ["accept", "user-agent", "x-acs-credentials-provider", "x-acs-accesskey-id"];

fn aliyun_sdk(inputs: &Inputs, expected: &Value) {
    const QUERY: [&str; 11] = [
        "PhoneNumbers",
        "SignName",
        "TemplateCode",
        "TemplateParam",
        "OutId",
        "SmsUpExtendCode",
        "CalledNumber",
        "CalledShowNumber",
        "TtsCode",
        "TtsParam",
        "PlayTimes",
    ];
    const FORM: [&str; 3] = ["PhoneNumberJson", "SignNameJson", "TemplateParamJson"];
    const OTHERS: [&str; 7] = [
        "action",
        "access_key_id",
        "access_key_secret",
        "security_token",
        "host",
        "x-acs-date",
        "x-acs-signature-nonce",
    ];
    inputs.only(&[&QUERY[..], &FORM, &OTHERS].concat());
    let fields = |names: &[&'static str]| -> Vec<(&str, String)> {
        let given = names.iter().filter(|name| inputs.has(name));
        given.map(|name| (*name, crate::channels::answers::word(&inputs.0[*name]).unwrap())).collect()
    };
    let signed = &expected["signed_headers"];
    let extra = ALIYUN_EXTRA.iter().filter_map(|name| Some((*name, signed.get(*name)?.as_str()?.to_owned())));
    let call = Call {
        base: &format!("https://{}", inputs.text("host")),
        action: inputs.text("action"),
        version: "2017-05-25",
        query: fields(&QUERY),
        form: fields(&FORM),
        headers: extra.collect(),
    };
    let (nonce, date) = (inputs.text("x-acs-signature-nonce"), inputs.text("x-acs-date"));
    acs3_request(expected, &call, &acs3_key(inputs), inputs.text("host"), nonce, date);
}

fn tencent_tc3(inputs: &Inputs, expected: &Value) {
    inputs.only(&["timestamp", "secret_id", "secret_key", "service", "host", "headers_to_sign", "payload"]);
    let headers = inputs.0["headers_to_sign"].as_object().unwrap();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap())).collect();
    let (text, header) = tencent_sms::authorization(
        inputs.text("secret_id"),
        inputs.text("secret_key"),
        inputs.text("service"),
        inputs.number("timestamp"),
        &headers,
        inputs.text("payload"),
    );
    same(expected, "string_to_sign", &json!(text));
    same(expected, "authorization", &json!(header));
}

fn tencent(inputs: &Inputs, expected: &Value) {
    inputs.only(&[
        "action",
        "version",
        "region",
        "timestamp",
        "secret_id",
        "secret_key",
        "token",
        "host",
        "content_type",
        "payload",
    ]);
    assert_eq!((inputs.text("action"), inputs.text("version")), ("SendSms", "2021-01-11"));
    let call = tencent_sms::Call {
        id: inputs.text("secret_id"),
        key: inputs.text("secret_key"),
        token: inputs.maybe("token"),
        region: inputs.text("region"),
        url: &format!("https://{}/", inputs.text("host")),
        host: inputs.text("host"),
        at: inputs.number("timestamp"),
    };
    let request = call.request("SendSms", inputs.text("payload").to_owned());
    assert_eq!(header(&request, "content-type"), inputs.text("content_type"));
    same(expected, "authorization", &json!(header(&request, "authorization")));
    for (name, value) in expected["headers"].as_object().unwrap() {
        assert_eq!(value, header(&request, name), "{name}");
    }
    same(expected, "payload_json", &serde_json::from_str(&request.body).unwrap());
}

fn huawei(inputs: &Inputs, expected: &Value) {
    const FIELDS: [&str; 7] =
        ["from", "to", "templateId", "templateParas", "statusCallback", "extend", "signature"];
    inputs.only(&[&FIELDS[..], &["ak", "sk", "host", "x-sdk-date"]].concat());
    let fields: Vec<(&str, String)> =
        FIELDS.into_iter().filter_map(|name| Some((name, inputs.maybe(name)?.to_owned()))).collect();
    let host = inputs.text("host");
    let (ak, sk, date) = (inputs.text("ak"), inputs.text("sk"), inputs.text("x-sdk-date"));
    let request = huawei_sms::request(&format!("https://{host}"), host, &fields, ak, sk, date);
    let outgoing = request.outgoing(&ReachConfig::default()).unwrap();
    same(expected, "path", &json!(outgoing.url().path()));
    assert_eq!(outgoing.url().host_str(), Some(host));
    same(expected, "authorization", &json!(header(&request, "authorization")));
    same(expected, "body", &json!(request.body));
    for (name, value) in expected["headers"].as_object().unwrap().iter().filter(|(name, _)| *name != "Host") {
        assert_eq!(value, header(&request, &name.to_lowercase()), "{name}");
    }
}

fn twilio(inputs: &Inputs, expected: &Value, resource: &str, fields: &[(&str, String)]) {
    let (sid, token) = (inputs.text("account_sid"), inputs.text("auth_token"));
    let request = twilio::request(twilio::BASE, sid, token, resource, fields);
    let outgoing = request.outgoing(&ReachConfig::default()).unwrap();
    same(expected, "url", &json!(outgoing.url().as_str()));
    same(expected, "authorization", &json!(header(&request, "authorization")));
    same(expected, "content_type", &json!(header(&request, "content-type")));
    same(expected, "form_pairs", &json!(fields));
    same(expected, "body", &json!(request.body));
}

fn twilio_sms(inputs: &Inputs, expected: &Value) {
    inputs.only(&[
        "to",
        "from_",
        "messaging_service_sid",
        "body",
        "status_callback",
        "validity_period",
        "account_sid",
        "auth_token",
    ]);
    let fields = twilio::sms_fields(
        inputs.text("to"),
        inputs.maybe("status_callback"),
        inputs.has("validity_period").then(|| inputs.number("validity_period")),
        inputs.maybe("from_"),
        inputs.maybe("messaging_service_sid"),
        inputs.text("body"),
    );
    twilio(inputs, expected, "Messages", &fields);
}

fn twilio_voice(inputs: &Inputs, expected: &Value) {
    inputs.only(&[
        "to",
        "from_",
        "twiml",
        "url",
        "method",
        "timeout",
        "status_callback",
        "status_callback_event",
        "account_sid",
        "auth_token",
    ]);
    let how = twilio::How {
        method: inputs.maybe("method"),
        status: inputs.maybe("status_callback"),
        events: &inputs.texts("status_callback_event"),
        timeout: inputs.has("timeout").then(|| inputs.number("timeout")),
        url: inputs.maybe("url"),
        twiml: inputs.maybe("twiml"),
    };
    let fields = twilio::voice_fields(inputs.text("to"), inputs.text("from_"), &how);
    twilio(inputs, expected, "Calls", &fields);
}

fn twilio_callback(inputs: &Inputs, expected: &Value) {
    inputs.only(&["auth_token", "url", "post_params"]);
    let fields = inputs.0["post_params"].as_object().unwrap();
    let fields: Vec<(String, String)> =
        fields.iter().map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())).collect();
    let found = callback::twilio_signature(inputs.text("auth_token"), inputs.text("url"), &fields);
    same(expected, "X-Twilio-Signature", &json!(found));
}

fn slack_callback(inputs: &Inputs, expected: &Value) {
    inputs.only(&["signing_secret", "timestamp", "body"]);
    let (secret, at) = (inputs.text("signing_secret"), inputs.text("timestamp"));
    let found = callback::slack_signature(secret, at, inputs.text("body").as_bytes());
    same(expected, "X-Slack-Signature", &json!(found));
}

fn feishu_callback(inputs: &Inputs, expected: &Value) {
    inputs.only(&["encrypt_key", "timestamp", "nonce", "body"]);
    let (key, at, nonce) = (inputs.text("encrypt_key"), inputs.text("timestamp"), inputs.text("nonce"));
    let found = callback::feishu_signature(key, at, nonce, inputs.text("body").as_bytes());
    same(expected, "X-Lark-Signature", &json!(found));
}

fn feishu_envelope(inputs: &Inputs, expected: &Value) {
    inputs.only(&["encrypt_key", "encrypt"]);
    let found = callback::feishu_open(inputs.text("encrypt_key"), inputs.text("encrypt"));
    same(expected, "plaintext", &json!(found.unwrap()));
}

fn wecom_callback(inputs: &Inputs, expected: &Value) {
    inputs.only(&["token", "encoding_aes_key", "receive_id", "timestamp", "nonce", "encrypt"]);
    let (token, sealed) = (inputs.text("token"), inputs.text("encrypt"));
    let found = callback::wecom_signature(token, inputs.text("timestamp"), inputs.text("nonce"), sealed);
    same(expected, "msg_signature", &json!(found));
    let opened = callback::wecom_open(inputs.text("encoding_aes_key"), sealed, inputs.text("receive_id"));
    same(expected, "plaintext", &json!(opened.unwrap()));
}

fn standard_webhooks(inputs: &Inputs, expected: &Value) {
    inputs.only(&["secret", "webhook-id", "webhook-timestamp", "body"]);
    let keys = SigningKeys::parse(&Secret::new(inputs.text("secret"))).unwrap();
    let (id, at) = (inputs.text("webhook-id"), inputs.number("webhook-timestamp"));
    same(expected, "webhook-signature", &json!(keys.sign(id, at, inputs.text("body").as_bytes())));
}

fn github_webhooks(inputs: &Inputs, expected: &Value) {
    inputs.only(&["secret", "body"]);
    let keys = SigningKeys::plain(&Secret::new(inputs.text("secret")));
    same(expected, "X-Hub-Signature-256", &json!(keys.sign_as_github(inputs.text("body").as_bytes())));
}

fn segments(inputs: &Inputs, expected: &Value) {
    inputs.only(&["text"]);
    let found = sms::parts(inputs.text("text"));
    let encoding = match found.encoding {
        sms::Encoding::Gsm7 => "GSM-7",
        sms::Encoding::Ucs2 => "UCS-2",
    };
    same(expected, "encoding", &json!(encoding));
    same(expected, "segments", &json!(found.count));
    same(expected, "utf16_units", &json!(found.utf16));
}

fn mime(inputs: &Inputs, expected: &Value) {
    inputs.only(&["message"]);
    crate::channels::mail::tests::check_vector(&Value::Object(inputs.0.clone()), expected);
}

fn smtp_auth(inputs: &Inputs, expected: &Value) {
    use lettre::transport::smtp::authentication::{Credentials, Mechanism};
    use lettre::transport::smtp::commands::Auth;
    inputs.only(&["mechanism", "username", "password", "challenge"]);
    let (user, password) = (inputs.text("username"), inputs.text("password"));
    let login = |mechanism| {
        let auth = Auth::new(mechanism, Credentials::new(user.to_owned(), password.to_owned()), None);
        auth.unwrap().to_string().trim_end().to_owned()
    };
    let answered = |challenge: &str| {
        let credentials = Credentials::new(user.to_owned(), password.to_owned());
        crate::wire::sign::base64(
            Mechanism::Login.response(&credentials, Some(challenge)).unwrap().as_bytes(),
        )
    };
    let found = match inputs.text("mechanism") {
        "PLAIN" => vec![login(Mechanism::Plain)],
        // That client puts the user beside AUTH LOGIN, lettre waits to be asked; RFC 4954 has both.
        "LOGIN" => {
            vec![format!("{} {}", login(Mechanism::Login), answered("Username:")), answered("Password:")]
        }
        "CRAM-MD5" => {
            let challenge = inputs.text("challenge");
            vec!["AUTH CRAM-MD5".to_owned(), cram_md5(user, password, challenge).unwrap()]
        }
        other => panic!("the mechanism {other} is not known here"),
    };
    same(expected, "client_lines", &json!(found));
}

/// The header of a request.
fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    let found = request.headers.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("there is no header {name}"))
}

/// The fields of a form, in the order of their names; what is JSON as a document.
fn form_of(form: &Value) -> BTreeMap<String, Value> {
    let value =
        |v: &Value| v.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| v.clone());
    form.as_object().unwrap().iter().map(|(name, v)| (name.clone(), value(v))).collect()
}

fn unpacked(body: &str) -> BTreeMap<String, Value> {
    let url = reqwest::Url::parse(&format!("https://a.example/?{body}")).unwrap();
    let fields: Map<String, Value> =
        url.query_pairs().map(|(name, value)| (name.into_owned(), json!(value))).collect();
    form_of(&Value::Object(fields))
}

fn dingtalk_person(inputs: &Inputs, expected: &Value) {
    inputs.only(&["title", "text", "userIds", "robotCode"]);
    let (title, text) = (inputs.text("title"), inputs.text("text"));
    let body = dingtalk_app::to_person(inputs.text("robotCode"), &inputs.texts("userIds"), title, text);
    dingtalk_api(expected, &body);
}

fn dingtalk_ding(inputs: &Inputs, expected: &Value) {
    inputs.only(&["content", "receiverUserIdList", "remindType", "robotCode"]);
    let kind = u8::try_from(inputs.number("remindType")).unwrap();
    let (robot, users) = (inputs.text("robotCode"), inputs.texts("receiverUserIdList"));
    dingtalk_api(expected, &dingtalk_app::ding(robot, &users, kind, inputs.text("content")));
}

fn dingtalk_api(expected: &Value, body: &Value) {
    let path = expected["path"].as_str().unwrap();
    assert!([dingtalk_app::TO_PERSON, dingtalk_app::DING].contains(&path), "{path}");
    let request = dingtalk_app::api("https://api.dingtalk.com", path, "TOKEN", body);
    for (name, value) in expected["token_header"].as_object().unwrap() {
        assert_eq!(value, header(&request, name));
    }
    is_json(expected);
    assert_eq!(documents(&serde_json::from_str(&request.body).unwrap()), documents(&expected["json"]));
}

fn wecom_app(inputs: &Inputs, expected: &Value) {
    inputs.only(&["agentid", "users", "text", "msg"]);
    let message = inputs.0.get("msg").cloned().unwrap_or_else(|| wecom_app::text(inputs.text("text")));
    let agent = u32::try_from(inputs.number("agentid")).unwrap();
    same(expected, "json", &wecom_app::body(&inputs.texts("users"), agent, message));
    let path = wecom_app::path(expected["query"]["access_token"].as_str().unwrap());
    let want = format!(
        "{}?access_token={}",
        expected["path"].as_str().unwrap(),
        expected["query"]["access_token"].as_str().unwrap()
    );
    assert_eq!(path, want);
}

fn feishu_app(inputs: &Inputs, expected: &Value) {
    inputs.only(&[
        "receive_id_type",
        "receive_id",
        "msg_type",
        "content_object",
        "uuid",
        "app_id",
        "app_secret",
        "message_id",
        "content",
        "user_id_type",
        "user_id_list",
    ]);
    let base = "https://open.feishu.cn";
    let (method, path) = (expected["method"].as_str().unwrap(), expected["path"].as_str().unwrap());
    let request = if inputs.has("app_id") {
        feishu_app::token_request(base, inputs.text("app_id"), inputs.text("app_secret"))
    } else {
        let (path, body) = if inputs.has("receive_id") {
            let content = &inputs.0["content_object"];
            let uuid = inputs.maybe("uuid");
            let body = feishu_app::message(inputs.text("receive_id"), inputs.text("msg_type"), content, uuid);
            (feishu_app::to(inputs.text("receive_id_type")), body)
        } else if inputs.has("user_id_list") {
            let how = path.rsplit_once("urgent_").unwrap().1;
            let path = feishu_app::urgent(inputs.text("message_id"), how, inputs.text("user_id_type"));
            (path, json!({ "user_id_list": inputs.texts("user_id_list") }))
        } else {
            (feishu_app::update(inputs.text("message_id")), json!({ "content": inputs.text("content") }))
        };
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = feishu_app::api(method, base, &path, "t-TOKEN", &body);
        same(expected, "authorization", &json!(header(&request, "authorization")));
        same(expected, "content_type", &json!(header(&request, "content-type")));
        request
    };
    let outgoing = request.outgoing(&ReachConfig::default()).unwrap();
    assert_eq!((outgoing.method().as_str(), outgoing.url().path()), (method, path));
    if let Some(query) = expected.get("query") {
        assert_eq!(unpacked(outgoing.url().query().unwrap_or_default()), form_of(query));
    }
    assert_eq!(documents(&serde_json::from_str(&request.body).unwrap()), documents(&expected["json"]));
}

/// Documents that stand in texts as documents: the order of their names is nobody's business.
fn documents(value: &Value) -> Value {
    let inner = |value: &Value| match value.as_str().and_then(|text| serde_json::from_str(text).ok()) {
        Some(document @ Value::Object(_)) => document,
        _ => value.clone(),
    };
    let fields = value.as_object().unwrap().iter();
    Value::Object(fields.map(|(name, value)| (name.clone(), inner(value))).collect())
}

type Check = fn(&Inputs, &Value);

/// Every channel of the vectors, and how many rows the file of the house has: none may get lost. A new one is one line.
const CHECKS: &[(&str, usize, Check)] = &[
    ("dingtalk_robot", 10, dingtalk),
    ("dingtalk_oto", 1, dingtalk_person),
    ("dingtalk_ding", 1, dingtalk_ding),
    ("wecom_robot", 2, wecom),
    ("wecom_app", 2, wecom_app),
    ("wecom_callback", 2, wecom_callback),
    ("feishu_custom_bot", 4, feishu),
    ("feishu_app", 5, feishu_app),
    ("feishu_event_signature", 2, feishu_callback),
    ("feishu_event_decrypt", 2, feishu_envelope),
    ("slack_webhook", 2, slack),
    ("slack_request_signature", 2, slack_callback),
    ("telegram_bot", 3, telegram),
    ("teams_workflow", 2, teams),
    ("standard_webhooks", 3, standard_webhooks),
    ("generic_webhook_github_style", 2, github_webhooks),
    ("aliyun_acs3", 5, aliyun_acs3),
    ("aliyun_sms", 5, aliyun_sdk),
    ("aliyun_vms", 1, aliyun_sdk),
    ("tencent_tc3", 3, tencent_tc3),
    ("tencent_sms", 4, tencent),
    ("huawei_sms", 2, huawei),
    ("twilio_sms", 2, twilio_sms),
    ("twilio_voice", 2, twilio_voice),
    ("twilio_webhook_signature", 2, twilio_callback),
    ("sms_segments", 7, segments),
    ("email_mime", 2, mime),
    ("smtp_auth", 3, smtp_auth),
];

fn check(row: &Row) {
    let found = CHECKS.iter().find(|(name, ..)| *name == row.channel);
    let (_, _, check) = found.unwrap_or_else(|| panic!("the channel {} is not known here", row.channel));
    check(&row.inputs, &row.expected);
}

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
        assert_eq!(counts, CHECKS.iter().map(|(name, rows, _)| (*name, *rows)).collect());
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
