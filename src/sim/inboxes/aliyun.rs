//! Aliyun (`apis/channels` 14, 18): short messages and calls, signed with ACS3-HMAC-SHA256.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::table::{APP, SIGN};
use super::window::{Limits, limit};
use super::{
    Answer, FORBIDDEN, Form, Inbox, Receipt, SECRET, Serial, Shown, Strike, Taken, header, is_gone,
    parameter, secs,
};
use crate::core::ids::hex;
use crate::core::time::{Instant, Span};
use crate::sim::platforms::Asked;
use crate::wire::sign;

/// What both services check before anything else.
#[derive(Debug, Default)]
struct Gate {
    nonces: BTreeSet<String>,
    ids: Serial,
}

fn fails(status: u16, code: &str, why: &str) -> Answer {
    Answer::json(status, &json!({ "Code": code, "Message": why, "RequestId": "sim" }))
}

/// Business errors come with 200.
fn refuses(code: &str, why: &str) -> Answer {
    fails(200, code, why)
}

impl Gate {
    /// Whether a request is signed by our key, once, and now (the canonical request of `apis/channels` 14).
    fn admit(&mut self, asked: &Asked, action: &str, now: Instant) -> Result<(), Answer> {
        let said = header(asked, "authorization");
        let Some(rest) = said.strip_prefix("ACS3-HMAC-SHA256 Credential=") else {
            return Err(fails(400, "MissingParameter", "Authorization"));
        };
        let parts: Vec<&str> = rest.split(',').collect();
        let [id, names, signature] = parts[..] else { return Err(fails(400, "IncompleteSignature", said)) };
        if id != APP {
            return Err(fails(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."));
        }
        let names = names.strip_prefix("SignedHeaders=").unwrap_or_default();
        let all =
            asked.headers.keys().filter(|n| n.starts_with("x-acs-") || *n == "host" || *n == "content-type");
        // The kind of the body is signed only where there is a body.
        let must: Vec<&str> =
            all.map(String::as_str).filter(|n| *n != "content-type" || !asked.body.is_empty()).collect();
        if must.iter().any(|name| !names.split(';').any(|signed| signed == *name)) {
            return Err(fails(400, "IncompleteSignature", "a header is not signed"));
        }
        if sign::sha256_hex(&asked.body) != header(asked, "x-acs-content-sha256") {
            return Err(fails(400, "InvalidContentSha256", "x-acs-content-sha256"));
        }
        let lines: String = names.split(';').map(|n| format!("{n}:{}\n", header(asked, n).trim())).collect();
        let query: Vec<(&String, &String)> = asked.query.iter().collect();
        let hash = header(asked, "x-acs-content-sha256");
        let canonical =
            format!("{}\n{}\n{}\n{lines}\n{names}\n{hash}", asked.method, asked.path, sign::query(&query));
        let text = format!("ACS3-HMAC-SHA256\n{}", sign::sha256_hex(canonical.as_bytes()));
        let right = hex(&sign::hmac_sha256(SECRET.as_bytes(), text.as_bytes()));
        if signature.strip_prefix("Signature=") != Some(&right) {
            return Err(fails(400, "SignatureDoesNotMatch", "Specified signature is not matched."));
        }
        let at = header(asked, "x-acs-date").parse::<Instant>().ok();
        if at.is_none_or(|at| (now.as_millis() - at.as_millis()).abs() > 15 * 60_000) {
            return Err(fails(
                400,
                "InvalidTimeStamp.Expired",
                "Specified time stamp or date value is expired.",
            ));
        }
        let nonce = header(asked, "x-acs-signature-nonce");
        if nonce.is_empty() || !self.nonces.insert(nonce.to_owned()) {
            return Err(fails(400, "SignatureNonceUsed", "Specified signature nonce was used already."));
        }
        if (header(asked, "x-acs-action"), header(asked, "x-acs-version")) != (action, "2017-05-25") {
            return Err(fails(404, "InvalidAction.NotFound", "Specified api is not found."));
        }
        Ok(())
    }
}

/// The values of a template, or what is wrong with them. `names` are the variables that it has.
fn values(given: &str, names: &[&str]) -> Result<BTreeMap<String, String>, Answer> {
    let values: BTreeMap<String, Value> = match given {
        "" => BTreeMap::new(),
        given => {
            serde_json::from_str(given).map_err(|e| refuses("isv.INVALID_JSON_PARAM", &e.to_string()))?
        }
    };
    let mut texts = BTreeMap::new();
    for (name, value) in values {
        let Value::String(value) = value else { return Err(refuses("isv.INVALID_JSON_PARAM", &name)) };
        if value.chars().count() > 35 || value.is_empty() {
            return Err(refuses("isv.PARAM_LENGTH_LIMIT", &name));
        }
        let dotted = value
            .as_bytes()
            .windows(3)
            .any(|w| w[1] == b'.' && w[0].is_ascii_alphabetic() && w[2].is_ascii_alphabetic());
        if value.contains("://") || dotted {
            return Err(refuses("isv.PARAM_NOT_SUPPORT_URL", &name));
        }
        if value.contains(FORBIDDEN) {
            return Err(refuses("isv.BLACK_KEY_CONTROL_LIMIT", &name));
        }
        texts.insert(name, value);
    }
    match names.iter().find(|name| !texts.contains_key(**name)) {
        Some(missing) => Err(refuses("isv.TEMPLATE_MISSING_PARAMETERS", missing)),
        None => Ok(texts),
    }
}

fn filled(template: &str, values: &BTreeMap<String, String>) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

fn is_mobile(number: &str) -> bool {
    number.len() == 11
        && number.starts_with('1')
        && number.bytes().all(|b| b.is_ascii_digit())
        && !is_gone(number)
}

/// By how long a limit is, what its words are.
fn level(per: Span) -> &'static str {
    match per {
        per if per <= Span::MINUTE => "触发分钟级流控Permits",
        per if per <= Span::HOUR => "触发小时级流控Permits",
        _ => "触发天级流控Permits",
    }
}

/// Short messages.
#[derive(Debug)]
pub(super) struct Sms {
    gate: Gate,
    number: Limits,
}

impl Sms {
    pub(super) fn new() -> Sms {
        // A day is any 24 hours.
        Sms { gate: Gate::default(), number: Limits::new(&[limit(50, Span::DAY)]) }
    }
}

impl Inbox for Sms {
    fn crowd(&mut self) {
        self.number.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        if let Err(answer) = self.gate.admit(asked, "SendSms", now) {
            return answer.into();
        }
        let (number, code) = (parameter(asked, "PhoneNumbers"), parameter(asked, "TemplateCode"));
        if !is_mobile(number) {
            return refuses("isv.MOBILE_NUMBER_ILLEGAL", number).into();
        }
        if parameter(asked, "SignName") != SIGN {
            return refuses("isv.SMS_SIGNATURE_ILLEGAL", "该账号下找不到对应签名").into();
        }
        let (template, names): (&str, &[&str]) = match code {
            "SMS_1" => ("工单${no}等${n}条待处理，请登录系统查看。", &["no", "n"]),
            "SMS_2" => ("有告警待处理，请登录系统查看。", &[]),
            _ => return refuses("isv.SMS_TEMPLATE_ILLEGAL", "该账号下找不到对应模板").into(),
        };
        let values = match values(parameter(asked, "TemplateParam"), names) {
            Ok(values) => values,
            Err(answer) => return answer.into(),
        };
        if let Err(per) = self.number.take(&format!("{number} {code}"), now) {
            return Taken::from(refuses("isv.BUSINESS_LIMIT_CONTROL", &format!("{}:50", level(per))))
                .struck(Strike::OverCap);
        }
        let id = self.gate.ids.next("biz");
        let shown = Shown::new(
            id.clone(),
            number,
            Form::Sms,
            SIGN,
            &format!("【{SIGN}】{}", filled(template, &values)),
        );
        let key = parameter(asked, "OutId").to_owned();
        let receipt = Receipt { key, provider_id: id.clone(), delivered: true, url: None };
        let good = json!({ "Code": "OK", "Message": "OK", "BizId": id, "RequestId": "sim" });
        Taken::from(Answer::json(200, &good)).shown(shown).receipt(receipt)
    }
}

/// Calls.
#[derive(Debug)]
pub(super) struct Voice {
    gate: Gate,
    number: Limits,
    /// The last request for a number, taken or not: two within a second block both.
    last: BTreeMap<String, Instant>,
}

impl Voice {
    pub(super) fn new() -> Voice {
        let number = Limits::new(&[limit(1, Span::MINUTE), limit(5, Span::HOUR), limit(20, Span::DAY)]);
        Voice { gate: Gate::default(), number, last: BTreeMap::new() }
    }
}

impl Inbox for Voice {
    fn crowd(&mut self) {
        self.number.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        if let Err(answer) = self.gate.admit(asked, "SingleCallByTts", now) {
            return answer.into();
        }
        let (number, param) = (parameter(asked, "CalledNumber"), parameter(asked, "TtsParam"));
        if !is_mobile(number) {
            return refuses("isv.MOBILE_NUMBER_ILLEGAL", number).into();
        }
        if parameter(asked, "TtsCode") != "TTS_1" {
            return refuses("isv.SMS_TEMPLATE_ILLEGAL", "模板不存在").into();
        }
        if param.chars().count() >= 250 || parameter(asked, "OutId").len() > 15 {
            return refuses("isv.PARAM_LENGTH_LIMIT", "TtsParam").into();
        }
        if !matches!(parameter(asked, "PlayTimes"), "" | "1" | "2" | "3") {
            return refuses("isv.INVALID_PARAMETERS", "PlayTimes").into();
        }
        let values = match values(param, &["n"]) {
            Ok(values) => values,
            Err(answer) => return answer.into(),
        };
        let last = self.last.insert(number.to_owned(), now);
        let twice = last.is_some_and(|last| (now.as_millis() - last.as_millis()).abs() < 1000);
        if let Some(per) = self.number.take(number, now).err().or(twice.then_some(secs(1))) {
            return Taken::from(refuses("isv.BUSINESS_LIMIT_CONTROL", &format!("{}:1", level(per))))
                .struck(Strike::OverCap);
        }
        let id = self.gate.ids.next("call");
        let shown = Shown::new(
            id.clone(),
            number,
            Form::Call,
            "",
            &filled("您有${n}条告警待处理，请登录系统查看。", &values),
        );
        let key = parameter(asked, "OutId").to_owned();
        let receipt = Receipt { key, provider_id: id.clone(), delivered: true, url: None };
        let good = json!({ "Code": "OK", "Message": "OK", "CallId": id, "RequestId": "sim" });
        Taken::from(Answer::json(200, &good)).shown(shown).receipt(receipt)
    }
}
