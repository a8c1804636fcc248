//! Twilio (`apis/channels` 17, 18): short messages and calls.

use serde_json::{Value, json};

use super::table::SID;
use super::window::{Limits, limit};
use super::{Answer, Form, Inbox, Receipt, SECRET, Serial, Shown, Strike, Taken, header, is_gone, secs};
use crate::core::time::Instant;
use crate::sim::platforms::Asked;
use crate::wire::sign;

/// Messages, or calls.
#[derive(Debug)]
pub(super) struct Twilio {
    calls: bool,
    second: Limits,
    ids: Serial,
}

impl Twilio {
    pub(super) fn messages() -> Twilio {
        Twilio { calls: false, second: Limits::new(&[limit(100, secs(1))]), ids: Serial::default() }
    }

    pub(super) fn calls() -> Twilio {
        Twilio { calls: true, ..Twilio::messages() }
    }
}

fn fails(status: u16, code: i64, why: &str) -> Taken {
    let info = format!("https://www.twilio.com/docs/errors/{code}");
    Answer::json(status, &json!({ "code": code, "message": why, "more_info": info, "status": status })).into()
}

fn is_number(number: &str) -> bool {
    number.len() >= 8
        && number.starts_with('+')
        && number[1..].bytes().all(|b| b.is_ascii_digit())
        && !is_gone(number)
}

impl Inbox for Twilio {
    fn crowd(&mut self) {
        self.second.crowd();
    }

    fn take(&mut self, asked: &Asked, now: Instant) -> Taken {
        let basic = format!("Basic {}", sign::base64(format!("{SID}:{SECRET}").as_bytes()));
        if header(asked, "authorization") != basic {
            return fails(401, 20_003, "Authenticate");
        }
        let what = if self.calls { "Calls" } else { "Messages" };
        if asked.method != "POST" || asked.path != format!("/2010-04-01/Accounts/{SID}/{what}.json") {
            return fails(404, 20_404, "The requested resource was not found");
        }
        let form = asked.form();
        let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if !is_number(of("To")) {
            return fails(400, 21_211, "Invalid 'To' Phone Number");
        }
        if of("From").is_empty() && of("MessagingServiceSid").is_empty() {
            return fails(400, 21_603, "A 'From' phone number is required");
        }
        let said = if self.calls { spoken(of("Twiml")) } else { Some(of("Body").to_owned()) };
        let Some(said) = said.filter(|said| !said.is_empty()) else {
            return fails(400, if self.calls { 21_205 } else { 21_602 }, "Message body is required");
        };
        if said.chars().count() > 1600 {
            return fails(400, 21_617, "The concatenated message body exceeds the 1600 character limit");
        }
        if self.second.take("", now).is_err() {
            return fails(429, 20_429, "Too Many Requests").struck(Strike::TooFast);
        }
        let id = self.ids.next(if self.calls { "CA" } else { "SM" });
        let (form, word) = if self.calls { (Form::Call, "queued") } else { (Form::Sms, "queued") };
        let shown = Shown::new(id.clone(), of("To"), form, "", &said);
        let url = Some(of("StatusCallback").to_owned()).filter(|url| !url.is_empty());
        let receipt = Receipt { key: String::new(), provider_id: id.clone(), delivered: true, url };
        let good = json!({ "sid": id, "status": word, "to": of("To"), "error_code": Value::Null });
        Taken::from(Answer::json(201, &good)).shown(shown).receipt(receipt)
    }
}

/// What a document of theirs says aloud, once; `None` where it is none.
fn spoken(twiml: &str) -> Option<String> {
    let inside = twiml.strip_prefix("<Response>")?.strip_suffix("</Response>")?;
    let (_, rest) = inside.split_once("<Say")?;
    let (said, _) = rest.split_once('>')?.1.split_once("</Say>")?;
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    if said.contains('<') {
        return None;
    }
    Some(plain.iter().fold(said.to_owned(), |said, (entity, letter)| said.replace(entity, letter)))
}
