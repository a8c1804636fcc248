//! How requests to Aliyun (阿里云) are signed: ACS3-HMAC-SHA256 (`apis/channels` 14). The query that is signed is the one
//! that leaves, to the byte.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::BuildFault;
use crate::channels::answers::{Answers, line, said};
use crate::channels::provider::{FORM, Reply, Request};
use crate::core::alerting::Claim;
use crate::core::ids::{Secret, hex};
use crate::core::model::Outcome;
use crate::core::model::OutcomeClass::{
    Config, ContentPermanent, Credential, RecipientPermanent, RecipientThrottled, Throttled, Transient,
    Unknown,
};
use crate::core::problem::Problems;
use crate::core::time::Instant;
use crate::wire::secret::{SecretConfig, SecretFault};
use crate::wire::sign;

/// `….key`: an access key of Aliyun (AccessKey), of a user that may do nothing but this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AliyunKeyConfig {
    /// Its id, `LTAI…`.
    pub id: String,
    /// Its secret.
    pub secret: SecretConfig,
    /// The token of a key that does not last (STS).
    pub token: SecretConfig,
}

impl AliyunKeyConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.secret.rebase(folder);
        self.token.rebase(folder);
    }

    /// Notes everything that is wrong with the section `key`.
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.within("key", |problems| {
            if self.id.trim().is_empty() {
                problems.within("id", |p| p.error("is empty, expected the id of an access key, LTAI…"));
            }
            problems.within("secret", |p| self.secret.check_given("", p));
            problems.within("token", |p| self.token.check("", p));
        });
    }

    pub(crate) fn read(&self, env: &BTreeMap<String, String>) -> Result<Key, SecretFault> {
        Ok(Key {
            id: self.id.clone(),
            secret: self.secret.need("key.secret.", env)?,
            token: self.token.read("key.token.", env)?,
        })
    }
}

/// An access key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: Secret,
    pub(crate) token: Option<Secret>,
}

impl Key {
    /// What no text may repeat.
    pub(crate) fn secrets(&self) -> Vec<String> {
        [Some(&self.secret), self.token.as_ref()]
            .into_iter()
            .flatten()
            .map(|s| s.reveal().to_owned())
            .collect()
    }
}

/// One call of an API of theirs.
pub(crate) struct Call<'a> {
    /// The server, without a slash at its end.
    pub(crate) base: &'a str,
    pub(crate) action: &'a str,
    pub(crate) version: &'a str,
    /// In any order.
    pub(crate) query: Vec<(&'a str, String)>,
    /// In this order; none for an empty body.
    pub(crate) form: Vec<(&'a str, String)>,
    /// More headers that are signed.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// The host of a server as its requests name it.
pub(crate) fn host(base: &str) -> Result<String, BuildFault> {
    let fault = |_| BuildFault::Setting("http.base: is no URL, expected https://HOST".to_owned());
    let url = Url::parse(base).map_err(fault)?;
    let host = url.host_str().unwrap_or_default();
    Ok(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// A number that is used once: of this attempt and of no other.
pub(crate) fn nonce(claim: &Claim, now: Instant) -> String {
    nonce_of(&[&claim.key, &claim.attempt.to_string(), &claim.address], now)
}

/// A number that is used once: of these texts at this moment.
pub(crate) fn nonce_of(parts: &[&str], now: Instant) -> String {
    let text = format!("{}\n{}", parts.join("\n"), now.as_millis());
    sign::sha256_hex(text.as_bytes())[..32].to_owned()
}

/// The request of a call, signed.
pub(crate) fn request(call: &Call<'_>, key: &Key, host: &str, nonce: &str, now: Instant) -> Request {
    let mut query = call.query.clone();
    query.sort();
    let query = sign::query(&query);
    let body = sign::form(&call.form);
    let date = now.to_timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut headers = call.headers.clone();
    headers.extend([
        ("host", host.to_owned()),
        ("x-acs-action", call.action.to_owned()),
        ("x-acs-version", call.version.to_owned()),
        ("x-acs-date", date),
        ("x-acs-signature-nonce", nonce.to_owned()),
        ("x-acs-content-sha256", sign::sha256_hex(body.as_bytes())),
    ]);
    if !body.is_empty() {
        headers.push(("content-type", FORM.to_owned()));
    }
    if let Some(token) = &key.token {
        headers.push(("x-acs-security-token", token.reveal().to_owned()));
    }
    headers.sort();
    let authorization = authorization(&query, &headers, &body, key);
    // The client says the host by itself, and it is the same.
    headers.retain(|(name, _)| *name != "host");
    let url = format!("{}/?{query}", call.base);
    Request { method: reqwest::Method::POST, url, headers, body }.with("authorization", authorization)
}

/// The header over a query, headers in order, and a body.
pub(crate) fn authorization(query: &str, headers: &[(&str, String)], body: &str, key: &Key) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let hash = sign::sha256_hex(body.as_bytes());
    let canonical = format!("POST\n/\n{query}\n{lines}\n{names}\n{hash}");
    let text = format!("ACS3-HMAC-SHA256\n{}", sign::sha256_hex(canonical.as_bytes()));
    let signature = hex(&sign::hmac_sha256(key.secret.reveal().as_bytes(), text.as_bytes()));
    format!("ACS3-HMAC-SHA256 Credential={},SignedHeaders={names},Signature={signature}", key.id)
}

/// What an answer of theirs means, `id` being the name of the id of what was taken.
pub(crate) fn read(claim: &Claim, reply: &Reply, id: &str) -> Outcome {
    let mut outcome = ANSWERS.judge(reply, said(reply, "Code", "Message"));
    if outcome.class == crate::core::model::OutcomeClass::Accepted {
        let given = reply.json().and_then(|v| v.get(id)?.as_str().map(str::to_owned));
        outcome.provider_id = given.filter(|id| !id.is_empty());
    }
    // Each attempt has a nonce of its own: one that was used before says that this very request came twice.
    if outcome.code.as_deref() == Some("SignatureNonceUsed") && claim.attempt > 1 {
        outcome.class = Unknown;
    }
    outcome
}

/// `apis/channels` 14 and 18.
static ANSWERS: Answers = Answers {
    name: "",
    good: "OK",
    lines: &[
        line("isv.BUSINESS_LIMIT_CONTROL", RecipientThrottled).says(&["分钟", "minute"]).wait(60),
        line("isv.BUSINESS_LIMIT_CONTROL", RecipientThrottled).says(&["小时", "hour"]).wait(3600),
        // A day: until the day of the desk is over.
        line("isv.BUSINESS_LIMIT_CONTROL", RecipientThrottled),
        line("isv.DAY_LIMIT_CONTROL", Config),
        line("isv.MONTH_LIMIT_CONTROL", Config),
        line("isv.OUT_OF_SERVICE", Config),
        line("isv.AMOUNT_NOT_ENOUGH", Config),
        line("isv.SMS_SIGNATURE_ILLEGAL", Config),
        line("isv.SIGN_STATE_ILLEGAL", Config),
        line("isv.SMS_SIGN_ILLEGAL", Config),
        line("isv.SMS_TEMPLATE_ILLEGAL", Config),
        line("isv.SMS_SIGNATURE_SCENE_ILLEGAL", Config),
        line("isv.TEMPLATE_MISSING_PARAMETERS", ContentPermanent),
        line("isv.INVALID_JSON_PARAM", ContentPermanent),
        line("isv.PARAM_LENGTH_LIMIT", ContentPermanent),
        line("isv.PARAM_NOT_SUPPORT_URL", ContentPermanent),
        line("isv.BLACK_KEY_CONTROL_LIMIT", ContentPermanent),
        line("isv.SMS_CONTENT_ILLEGAL", ContentPermanent),
        line("isv.MOBILE_COUNT_OVER_LIMIT", ContentPermanent),
        line("isv.MOBILE_NUMBER_ILLEGAL", RecipientPermanent),
        line("isv.DENY_IP_RANGE", Config),
        line("isv.DOMESTIC_NUMBER_NOT_SUPPORTED", Config),
        line("isv.ACCOUNT_NOT_EXISTS", Config),
        line("isv.ACCOUNT_ABNORMAL", Config),
        line("isv.PRODUCT_UN_SUBSCRIPT", Config),
        line("isp.RAM_PERMISSION_DENY", Config),
        line("isp.SYSTEM_ERROR", Transient),
        line("ServiceUnavailable*", Transient),
        line("Throttling*", Throttled).wait(30),
        line("SignatureDoesNotMatch", Credential),
        line("InvalidAccessKeyId*", Credential),
        line("InvalidSecurityToken*", Credential),
        line("InvalidTimeStamp.Expired", Config),
        line("SignatureNonceUsed", Transient),
    ],
};
