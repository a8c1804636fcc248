//! Huawei Cloud's short messages (`apis/channels` 16), signed with SDK-HMAC-SHA256: the body is not.

use serde_json::json;

use super::table::{APP, SIGN};
use super::window::{Limits, limit};
use super::{
    Answer, FORBIDDEN, Form, Inbox, Receipt, SECRET, Serial, Shown, Strike, Taken, header, is_gone, secs,
};
use crate::core::ids::hex;
use crate::core::time::{Instant, Span};
use crate::sim::platforms::Asked;
use crate::wire::sign;

/// Short messages.
#[derive(Debug)]
pub(super) struct Sms {
    number: Limits,
    same: Limits,
    ids: Serial,
}

impl Sms {
    pub(super) fn new() -> Sms {
        Sms {
            number: Limits::new(&[limit(15, Span::MINUTE), limit(50, Span::DAY)]),
            same: Limits::new(&[limit(2, secs(59)), limit(5, secs(59 * 60))]),
            ids: Serial::default(),
        }
    }
}

fn fails(status: u16, code: &str, why: &str) -> Taken {
    Answer::json(status, &json!({ "code": code, "description": why })).into()
}

fn is_signed(asked: &Asked) -> bool {
    let said = header(asked, "authorization");
    let Some(rest) = said.strip_prefix(&format!("SDK-HMAC-SHA256 Access={APP}, SignedHeaders=")) else {
        return false;
    };
    let Some((names, signature)) = rest.split_once(", Signature=") else { return false };
    let hash = header(asked, "x-sdk-content-sha256");
    if hash != "UNSIGNED-PAYLOAD" && hash != sign::sha256_hex(&asked.body) {
        return false;
    }
    let lines: String = names.split(';').map(|n| format!("{n}:{}\n", header(asked, n).trim())).collect();
    // The canonical path ends in a slash.
    let canonical = format!("POST\n{}/\n\n{lines}\n{names}\n{hash}", asked.path);
    let at = header(asked, "x-sdk-date");
    let text = format!("SDK-HMAC-SHA256\n{at}\n{}", sign::sha256_hex(canonical.as_bytes()));
    signature == hex(&sign::hmac_sha256(SECRET.as_bytes(), text.as_bytes()))
}

impl Inbox for Sms {
    fn crowd(&mut self) {
        self.number.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        if asked.method != "POST" || asked.path != "/sms/batchSendSms/v1" {
            return Answer::json(
                404,
                &json!({ "error_code": "APIG.0101", "error_msg": "The API does not exist" }),
            )
            .into();
        }
        if !is_signed(asked) {
            let wrong = json!({ "error_code": "APIG.0301", "error_msg": "Incorrect IAM authentication information: verify aksk signature fail" });
            return Answer::json(401, &wrong).into();
        }
        let at = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", header(asked, "x-sdk-date"));
        let at = at.and_then(|at| at.to_datetime()).and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC));
        if at.is_ok_and(|at| (now.as_secs() - at.timestamp().as_second()).abs() > 900) {
            return fails(200, "E000110", "time out of range");
        }
        let form = asked.form();
        let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let (number, paras) = (of("to"), of("templateParas"));
        let values: Vec<String> = serde_json::from_str(paras).unwrap_or_default();
        if of("from") != "8824" || of("templateId") != "1d18" || values.len() != 1 {
            return fails(200, "E000510", "the message fails to be sent: see the status of the number");
        }
        let status = |code: &str, id: &str| {
            let result = json!([{ "originTo": number, "createTime": "", "from": "8824", "smsMsgId": id, "status": code }]);
            let whole = if code == "000000" { "000000" } else { "E000510" };
            Taken::from(Answer::json(
                200,
                &json!({ "code": whole, "description": "Success", "result": result }),
            ))
        };
        // Which code says which of these is not published.
        if !number.starts_with("+86") || is_gone(number) {
            return status("E200028", "");
        }
        if values.iter().any(|value| value.chars().count() > 20 || value.contains(FORBIDDEN)) {
            return status("E200030", "");
        }
        let said = format!("【{SIGN}】工单{}待处理，请登录系统查看。", values[0]);
        let same = format!("{number} {said}");
        if self.same.look(&same, now).is_err() || self.number.take(number, now).is_err() {
            return status("E200033", "").struck(Strike::OverCap);
        }
        self.same.note(&same, now);
        let id = self.ids.next("hw");
        let receipt =
            Receipt { key: of("extend").to_owned(), provider_id: id.clone(), delivered: true, url: None };
        status("000000", &id).shown(Shown::new(id.clone(), number, Form::Sms, SIGN, &said)).receipt(receipt)
    }
}
