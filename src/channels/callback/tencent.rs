//! Receipts and replies of short messages by Tencent Cloud (`apis/channels` 15; its pages 43547 and 43548), under a secret
//! path.

use serde_json::{Value, json};

use super::{Answer, Gate, Heard, Hears, Knock, Receipt, Refusal, Text, beijing, rows, text_at};
use crate::channels::sms::is_number;
use crate::core::model::StatementKind;

/// Who listens to Tencent Cloud.
pub(crate) struct Ears {
    pub(crate) gate: Gate,
}

impl Hears for Ears {
    fn hear(&self, knock: &Knock<'_>) -> Result<Heard, Refusal> {
        self.gate.admit(knock)?;
        let (mut receipts, mut texts) = (Vec::new(), Vec::new());
        for row in rows(knock.body)? {
            match row.get("text").is_some() {
                true => texts.extend(text(&row)),
                false => receipts.extend(message(&row)),
            }
        }
        Ok(Heard::Told { receipts, texts })
    }

    fn thanks(&self, kept: bool, _: Option<&str>) -> Answer {
        match kept {
            true => Answer::json(&json!({ "result": 0, "errmsg": "OK" })),
            false => Answer::again(),
        }
    }

    fn is_user(&self, address: &str, id: &str) -> bool {
        is_number(address, id)
    }
}

fn message(row: &Value) -> Option<Receipt> {
    let what = match &*text_at(row, "/report_status") {
        "SUCCESS" => StatementKind::Delivered,
        "FAIL" => StatementKind::Negative,
        _ => return None,
    };
    let receipt = Receipt::new("", &text_at(row, "/sid"), what, &text_at(row, "/errmsg"))?;
    Some(receipt.at(beijing(&text_at(row, "/user_receive_time"))))
}

fn text(row: &Value) -> Option<Text> {
    let (nation, mobile) = (text_at(row, "/nationcode"), text_at(row, "/mobile"));
    let from = if mobile.starts_with('+') { mobile } else { format!("+{nation}{mobile}") };
    let text = text_at(row, "/text");
    let event = format!("{from} {} {text}", text_at(row, "/time"));
    (from.len() > 1).then_some(Text { from, text, event })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_their_pages_show_them() {
        let row = json!({
            "user_receive_time": "2026-09-21 22:13:20", "nationcode": "86", "mobile": "13800000000",
            "report_status": "SUCCESS", "errmsg": "DELIVRD", "description": "用户短信送达成功", "sid": "5000:1",
        });
        let receipt = message(&row).unwrap();
        assert_eq!(
            (receipt.provider_id.as_deref(), receipt.what),
            (Some("5000:1"), StatementKind::Delivered)
        );
        let row = json!({ "report_status": "FAIL", "errmsg": "MK:0001", "sid": "5000:2" });
        assert_eq!(message(&row).unwrap().what, StatementKind::Negative);
        assert!(message(&json!({ "report_status": "OTHER", "sid": "1" })).is_none());
        let reply = json!({ "extend": "01", "mobile": "13800000000", "nationcode": "86", "sign": "s", "text": "1", "time": 1_457_336_869 });
        assert_eq!(text(&reply).unwrap().from, "+8613800000000");
    }
}
