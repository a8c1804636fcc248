//! Tencent Cloud's short messages (`apis/channels` 15), signed with TC3-HMAC-SHA256.

use serde_json::{Value, json};

use super::table::{APP, SDK_APP, SIGN};
use super::window::{Limits, limit};
use super::{
    Answer, FORBIDDEN, Form, Inbox, Receipt, SECRET, Serial, Shown, Strike, Taken, document, header, is_gone,
    secs, text,
};
use crate::core::ids::hex;
use crate::core::time::{Instant, Span};
use crate::sim::platforms::Asked;
use crate::wire::sign;

/// What the console of the simulated account allows one number a day.
pub(super) const PER_DAY: usize = 30;
/// What a variable may be long, in characters.
const LONGEST: usize = 6;

/// Short messages.
#[derive(Debug)]
pub(super) struct Sms {
    same: Limits,
    day: Limits,
    ids: Serial,
}

impl Sms {
    pub(super) fn new() -> Sms {
        Sms {
            same: Limits::new(&[limit(1, secs(30))]),
            // Days go by the calendar: the day stands in what is counted.
            day: Limits::new(&[limit(PER_DAY, Span::from_minutes(48 * 60))]),
            ids: Serial::default(),
        }
    }
}

fn fails(code: &str, why: &str) -> Taken {
    let error = json!({ "Response": { "Error": { "Code": code, "Message": why }, "RequestId": "sim" } });
    Answer::json(200, &error).into()
}

/// The canonical request of `apis/channels` 15, with whatever headers are named.
fn is_signed(asked: &Asked, now: Instant) -> Result<(), (&'static str, &'static str)> {
    let at = header(asked, "x-tc-timestamp");
    let secs: i64 = at.parse().map_err(|_| ("MissingParameter", "X-TC-Timestamp"))?;
    if (now.as_secs() - secs).abs() > 300 {
        return Err(("AuthFailure.SignatureExpire", "签名过期"));
    }
    let date = Instant::from_secs(secs).to_timestamp().strftime("%Y-%m-%d").to_string();
    let said = header(asked, "authorization");
    let bad = ("AuthFailure.SignatureFailure", "签名错误");
    let rest = said.strip_prefix("TC3-HMAC-SHA256 Credential=").ok_or(bad)?;
    let parts: Vec<&str> = rest.split(", ").collect();
    let [scope, names, signature] = parts[..] else { return Err(bad) };
    let scope =
        scope.strip_prefix(&format!("{APP}/")).ok_or(("AuthFailure.SecretIdNotFound", "密钥不存在"))?;
    let names = names.strip_prefix("SignedHeaders=").unwrap_or_default();
    if !names.starts_with("content-type;host") || scope != format!("{date}/sms/tc3_request") {
        return Err(bad);
    }
    let lines: String =
        names.split(';').map(|n| format!("{n}:{}\n", header(asked, n).to_lowercase())).collect();
    let hash = sign::sha256_hex(&asked.body);
    let canonical = format!("POST\n/\n\n{lines}\n{names}\n{hash}");
    let text = format!("TC3-HMAC-SHA256\n{at}\n{scope}\n{}", sign::sha256_hex(canonical.as_bytes()));
    let key = [date.as_str(), "sms", "tc3_request"]
        .iter()
        .fold(format!("TC3{SECRET}").into_bytes(), |key, part| sign::hmac_sha256(&key, part.as_bytes()));
    let right = hex(&sign::hmac_sha256(&key, text.as_bytes()));
    if signature.strip_prefix("Signature=") == Some(&right) { Ok(()) } else { Err(bad) }
}

impl Inbox for Sms {
    fn crowd(&mut self) {
        self.day.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        if let Err((code, why)) = is_signed(asked, now) {
            return fails(code, why);
        }
        let action = (header(asked, "x-tc-action"), header(asked, "x-tc-version"));
        if action != ("SendSms", "2021-01-11") || header(asked, "x-tc-region").is_empty() {
            return fails("InvalidAction", "接口不存在");
        }
        let Some(body) = document(asked) else { return fails("InvalidParameter", "body") };
        if text(&body, "SmsSdkAppId") != SDK_APP {
            return fails("UnauthorizedOperation.SmsSdkAppIdVerifyFail", "SmsSdkAppId 校验失败");
        }
        let numbers = body.get("PhoneNumberSet").and_then(Value::as_array).cloned().unwrap_or_default();
        let (Some(number), 1..=200) = (numbers.first().and_then(Value::as_str), numbers.len()) else {
            return fails("LimitExceeded.PhoneNumberCountLimit", "PhoneNumberSet");
        };
        let given = body.get("TemplateParamSet").and_then(Value::as_array).cloned().unwrap_or_default();
        let values: Option<Vec<&str>> = given.iter().map(Value::as_str).collect();
        let Some(values) = values else { return fails("InvalidParameter", "TemplateParamSet") };
        let (template, count) = match text(&body, "TemplateId") {
            "449739" => ("工单{1}等{2}条待处理，请登录系统查看。", 2),
            "449740" => ("有告警待处理，请登录系统查看。", 0),
            _ => return one("FailedOperation.TemplateUnapprovedOrNotExist", number, &body),
        };
        if text(&body, "SignName") != SIGN {
            return one("FailedOperation.SignatureIncorrectOrUnapproved", number, &body);
        }
        if values.len() != count {
            return one("FailedOperation.TemplateParamSetNotMatchApprovedTemplate", number, &body);
        }
        if values.iter().any(|value| value.chars().count() > LONGEST) {
            return one("InvalidParameterValue.TemplateParameterLengthLimit", number, &body);
        }
        let mut said = template.to_owned();
        for (n, value) in values.iter().enumerate() {
            said = said.replace(&format!("{{{}}}", n + 1), value);
        }
        if said.contains("://") {
            return one("InvalidParameterValue.ProhibitedUseUrlInTemplateParameter", number, &body);
        }
        if said.contains(FORBIDDEN) {
            return one("FailedOperation.ContainSensitiveWord", number, &body);
        }
        let right = number.starts_with('+') && number[1..].bytes().all(|b| b.is_ascii_digit());
        if !right || is_gone(number) || text(&body, "SessionContext").len() >= 512 {
            return one("InvalidParameterValue.IncorrectPhoneNumber", number, &body);
        }
        if self.same.look(&format!("{number} {said}"), now).is_err() {
            return one("LimitExceeded.PhoneNumberThirtySecondLimit", number, &body).struck(Strike::OverCap);
        }
        let china = now.to_timestamp().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)));
        if self.day.take(&format!("{number} {}", china.date()), now).is_err() {
            return one("LimitExceeded.PhoneNumberDailyLimit", number, &body).struck(Strike::OverCap);
        }
        self.same.note(&format!("{number} {said}"), now);
        let id = self.ids.next("2019:");
        let shown = Shown::new(id.clone(), number, Form::Sms, SIGN, &format!("【{SIGN}】{said}"));
        let key = text(&body, "SessionContext").to_owned();
        let receipt = Receipt { key, provider_id: id.clone(), delivered: true, url: None };
        one("Ok", number, &body).with_serial(&id).shown(shown).receipt(receipt)
    }
}

/// The status of one number.
fn one(code: &str, number: &str, body: &Value) -> Taken {
    let status = json!({
        "SerialNo": "",
        "PhoneNumber": number,
        "Fee": u8::from(code == "Ok"),
        "SessionContext": text(body, "SessionContext"),
        "Code": code,
        "Message": if code == "Ok" { "send success" } else { code },
        "IsoCode": "CN",
    });
    Answer::json(200, &json!({ "Response": { "SendStatusSet": [status], "RequestId": "sim" } })).into()
}

impl Taken {
    fn with_serial(mut self, id: &str) -> Taken {
        self.answer.body = self.answer.body.replace("\"SerialNo\":\"\"", &format!("\"SerialNo\":\"{id}\""));
        self
    }
}
