//! Receipts and replies of short messages by Aliyun, and records of its calls (`apis/channels` 14, 18): rows in an array
//! under a secret path, as often as it takes. It waits 700 ms.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Gate, Heard, Hears, Knock, Receipt, Refusal, Text, beijing, rows, text_at};
use crate::channels::sms::is_number;
use crate::core::model::StatementKind;

/// It takes no answer that comes after 700 ms.
const WAITS: Duration = Duration::from_millis(600);
/// Who listened for so long has heard something, in seconds (§10.3).
pub(super) const HEARD: u64 = 3;

/// Who listens to Aliyun.
pub(crate) struct Ears {
    pub(crate) gate: Gate,
}

impl Hears for Ears {
    fn hear(&self, knock: &Knock<'_>) -> Result<Heard, Refusal> {
        self.gate.admit(knock)?;
        let (mut receipts, mut texts) = (Vec::new(), Vec::new());
        for row in rows(knock.body)? {
            if row.get("content").is_some() {
                texts.extend(text(&row));
            } else if row.get("call_id").is_some() {
                receipts.extend(call(&row));
            } else {
                receipts.extend(message(&row));
            }
        }
        Ok(Heard::Told { receipts, texts })
    }

    fn thanks(&self, kept: bool, _: Option<&str>) -> Answer {
        match kept {
            true => Answer::json(&json!({ "code": 0, "msg": "OK" })),
            false => Answer::again(),
        }
    }

    fn waits(&self) -> Duration {
        WAITS
    }

    fn is_user(&self, address: &str, id: &str) -> bool {
        is_number(address, id)
    }
}

/// `SmsReport`.
fn message(row: &Value) -> Option<Receipt> {
    let what = match text_or_bool(row, "success") {
        Some(true) => StatementKind::Delivered,
        Some(false) => StatementKind::Negative,
        None => return None,
    };
    let of = |name: &str| text_at(row, name);
    let receipt = Receipt::new(&of("/out_id"), &of("/biz_id"), what, &of("/err_code"))?;
    Some(receipt.at(beijing(&of("/report_time"))))
}

/// `VoiceReport`: a call that was answered for long enough.
fn call(row: &Value) -> Option<Receipt> {
    let digits: String = text_at(row, "/duration").chars().take_while(char::is_ascii_digit).collect();
    let what = match digits.parse::<u64>() {
        Ok(seconds) if seconds > HEARD => StatementKind::Delivered,
        _ => StatementKind::Negative,
    };
    // What it gives back as `out_id` is too short to be our key.
    let receipt = Receipt::new("", &text_at(row, "/call_id"), what, &text_at(row, "/status_code"))?;
    Some(receipt.at(beijing(&text_at(row, "/end_time"))))
}

/// `SmsUp`.
fn text(row: &Value) -> Option<Text> {
    let (from, sent) = (text_at(row, "/phone_number"), text_at(row, "/send_time"));
    let text = text_at(row, "/content");
    let event = match text_at(row, "/sequence_id") {
        id if id.is_empty() => format!("{from} {sent} {text}"),
        id => id,
    };
    (!from.is_empty()).then_some(Text { from, text, event })
}

fn text_or_bool(row: &Value, name: &str) -> Option<bool> {
    match row.get(name)? {
        Value::Bool(yes) => Some(*yes),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_their_pages_show_them() {
        let row = json!({
            "phone_number": "13800000000", "send_time": "2026-09-21 22:13:00", "report_time": "2026-09-21 22:13:20",
            "success": true, "err_code": "DELIVERED", "err_msg": "用户接收成功", "sms_size": "1",
            "biz_id": "134^1", "out_id": "KEY",
        });
        let receipt = message(&row).unwrap();
        assert_eq!((receipt.key.as_deref(), receipt.provider_id.as_deref()), (Some("KEY"), Some("134^1")));
        assert_eq!((receipt.what, receipt.at), (StatementKind::Delivered, beijing("2026-09-21 22:13:20")));
        let failed = message(&json!({ "success": "false", "biz_id": "1", "err_code": "MK:0012" })).unwrap();
        assert_eq!((failed.what, failed.code.as_deref()), (StatementKind::Negative, Some("MK:0012")));
        assert!(
            message(&json!({ "biz_id": "1" })).is_none() && message(&json!({ "success": true })).is_none()
        );
        for (duration, what) in [
            (json!("10"), StatementKind::Delivered),
            (json!("10秒"), StatementKind::Delivered),
            (json!(4), StatementKind::Delivered),
            (json!("3"), StatementKind::Negative),
            (json!(""), StatementKind::Negative),
        ] {
            let row = json!({ "call_id": "1^2", "status_code": "200000", "duration": duration });
            assert_eq!(call(&row).unwrap().what, what, "{duration}");
        }
        let up = json!({ "phone_number": "13800000000", "content": "1", "sequence_id": 1_234_567_890 });
        let up = text(&up).unwrap();
        assert_eq!((&*up.from, &*up.text, &*up.event), ("13800000000", "1", "1234567890"));
    }
}
