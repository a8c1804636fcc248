//! A provider that keeps what it is asked and says yes to everything, and what it is able to seal.

use std::sync::{Arc, Mutex};

use aes::Aes256;
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockEncryptMut as _, KeyIvInit as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What it was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// A field of its form, or of its query.
    pub(super) fn field(&self, name: &str) -> String {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let fields =
            [self.body.as_str(), query].map(|text| shiftbell::wire::form::fields(text.as_bytes(), 64));
        let found = fields.iter().flatten().find(|(key, _)| key == name);
        found.unwrap_or_else(|| panic!("no {name} in {self:?}")).1.clone()
    }
}

/// One of them.
pub(super) struct Provider {
    pub(super) base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Provider {
    pub(super) async fn start() -> Provider {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let kept = asked.clone();
        let handler = move |request: Request| {
            let kept = kept.clone();
            async move {
                let (parts, body) = request.into_parts();
                let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
                let path = parts.uri.to_string();
                let action = parts.headers.get("x-acs-action").or(parts.headers.get("x-tc-action"));
                let action = action.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
                let body = String::from_utf8_lossy(&bytes).into_owned();
                let asked = Asked { path, body };
                let answer = answer(&asked, &action, &kept.lock().unwrap());
                kept.lock().unwrap().push(asked);
                answer
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, Router::new().fallback(handler)).await.unwrap();
        });
        Provider { base, asked, _tasks: tasks }
    }

    /// What it was asked at addresses with this in them.
    pub(super) fn asked(&self, part: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path.contains(part)).cloned().collect()
    }
}

/// Yes, as each of them says it.
fn answer(asked: &Asked, action: &str, before: &[Asked]) -> Response {
    let path = asked.path.as_str();
    let json = |value: Value| value.to_string().into_response();
    let has = |part: &str| path.contains(part);
    if has("tenant_access_token") {
        return json(json!({ "code": 0, "tenant_access_token": "t-1", "expire": 7200 }));
    }
    if has("/im/v1/messages") {
        return json(json!({ "code": 0, "data": { "message_id": "om_1" } }));
    }
    if has("gettoken") {
        return json(json!({ "errcode": 0, "access_token": "t-1", "expires_in": 7200 }));
    }
    if has("/cgi-bin/message/") {
        return json(json!({ "errcode": 0, "msgid": "m1", "response_code": "rc0" }));
    }
    if has("oauth2/accessToken") {
        return json(json!({ "accessToken": "t-1", "expireIn": 7200 }));
    }
    if has("/v1.0/card/instances") {
        let results = json!([{ "success": true }]);
        return json(json!({ "success": true, "result": { "outTrackId": "K", "deliverResults": results } }));
    }
    if has("/bot") {
        return json(json!({ "ok": true, "result": { "message_id": 12 } }));
    }
    if has("chat.postMessage") {
        return json(json!({ "ok": true, "ts": "1.2" }));
    }
    if has("/2010-04-01/") {
        let sid = if has("Calls") { "CA1" } else { "SM1" };
        return (axum::http::StatusCode::CREATED, json!({ "sid": sid, "status": "queued" }).to_string())
            .into_response();
    }
    if has("sendsms") {
        return (axum::http::StatusCode::ACCEPTED, "0: Accepted for delivery").into_response();
    }
    if has("batchSendSms") {
        return json(json!({ "code": "000000", "result": [{ "smsMsgId": "hw1", "status": "000000" }] }));
    }
    let sent = |name: &str| {
        let sent = before.iter().rev().find(|asked| asked.path.contains(name) || asked.body.contains(name));
        sent.map(|asked| match name {
            "OutId" => asked.field("OutId"),
            _ => asked.json()["SessionContext"].as_str().unwrap_or_default().to_owned(),
        })
    };
    match action {
        "SendSms" if has("PhoneNumbers") => json(json!({ "Code": "OK", "BizId": "biz1" })),
        "QuerySendDetails" => {
            let row = json!({ "OutId": sent("OutId"), "SendStatus": 3, "ErrCode": "DELIVERED" });
            json(json!({ "Code": "OK", "SmsSendDetailDTOs": { "SmsSendDetailDTO": [row] } }))
        }
        "SendSms" => {
            json(json!({ "Response": { "SendStatusSet": [{ "Code": "Ok", "SerialNo": "5000:1" }] } }))
        }
        "PullSmsSendStatusByPhoneNumber" => {
            let row = json!({ "SerialNo": "5000:1", "ReportStatus": "FAIL", "Description": "MK:0001" });
            json(json!({ "Response": { "PullSmsSendStatusSet": [row] } }))
        }
        _ => "ok".into_response(),
    }
}

fn sealed(key: &[u8], iv: &[u8], mut plain: Vec<u8>, block: usize) -> Vec<u8> {
    let padding = block - plain.len() % block;
    plain.extend(std::iter::repeat_n(u8::try_from(padding).unwrap(), padding));
    let length = plain.len();
    let cipher = cbc::Encryptor::<Aes256>::new_from_slices(key, iv).unwrap();
    cipher.encrypt_padded_mut::<NoPadding>(&mut plain, length).unwrap().to_vec()
}

/// As Feishu seals.
pub(super) fn feishu_seal(encrypt_key: &str, text: &str) -> String {
    let iv = [7; 16];
    let body = sealed(&Sha256::digest(encrypt_key), &iv, text.as_bytes().to_vec(), 16);
    STANDARD.encode([iv.as_slice(), &body].concat())
}

/// As WeCom seals.
pub(super) fn wecom_seal(aes_key: &str, corp: &str, text: &str) -> String {
    let key = STANDARD.decode(format!("{aes_key}=")).unwrap();
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let plain = [&[9; 16], length.as_slice(), text.as_bytes(), corp.as_bytes()].concat();
    STANDARD.encode(sealed(&key, &key[..16], plain, 32))
}
