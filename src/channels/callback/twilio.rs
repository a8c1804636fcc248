//! What Twilio says of messages and calls, what people answer to them, and the keys that they press (`apis/channels` 17,
//! 18): forms, signed over the public address and their fields. The signature has no time of its own; everything that
//! follows from it is done once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Face, Heard, Hears, Knock, Place, Press, Receipt, Refusal, Text, twilio_signature};
use crate::channels::callback::aliyun::HEARD;
use crate::channels::escape::{Markup, escape};
use crate::channels::sms::is_number;
use crate::core::ids::Secret;
use crate::core::model::StatementKind;
use crate::core::problem::Problems;
use crate::wire::form;
use crate::wire::sign;

/// `[channels.NAME.twilio_sms.callback]`, `[channels.NAME.twilio_voice.callback]`: what Twilio tells and people answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TwilioCallbackConfig {
    /// Where it reaches us, to the letter, as its signatures cover it: `https://HOST/v1/callbacks/NAME`.
    pub url: String,
    /// Texts say how they are answered. In mainland China nobody can answer them.
    pub replies: bool,
}

impl TwilioCallbackConfig {
    /// Notes everything that is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        super::gate::check_url(&self.url, problems);
    }
}

/// Who listens to Twilio.
pub(crate) struct Ears {
    /// The token of the account.
    pub(crate) token: Secret,
    pub(crate) url: String,
    /// What calls are spoken in.
    pub(crate) language: String,
}

/// The field of the address that holds the value of a key to press.
pub(crate) const VALUE: &str = "t";

impl Hears for Ears {
    fn hear(&self, knock: &Knock<'_>) -> Result<Heard, Refusal> {
        let url = match knock.query {
            "" => self.url.clone(),
            query => format!("{}?{query}", self.url),
        };
        let fields = form::fields(knock.body, 256);
        let expected = twilio_signature(self.token.reveal(), &url, &fields);
        if !sign::same(knock.header("x-twilio-signature"), &expected) {
            return Err(Refusal::Signature);
        }
        let of = |name| form::value(&fields, name);
        let query = knock.fields();
        let value = form::value(&query, VALUE);
        if !of("CallSid").is_empty() && !value.is_empty() && !of("Digits").is_empty() {
            if of("Digits") != "1" {
                return Ok(Heard::Reply(twiml("")));
            }
            return Ok(Heard::Press(Press {
                ids: vec![of("To").to_owned()],
                value: value.to_owned(),
                event: of("CallSid").to_owned(),
                place: Place::default(),
            }));
        }
        let (mut receipts, mut texts) = (Vec::new(), Vec::new());
        if of("SmsStatus") == "received" || of("MessageStatus") == "received" {
            let (from, text) = (of("From").to_owned(), of("Body").to_owned());
            texts.push(Text { from, text, event: of("MessageSid").to_owned() });
        } else if !of("CallStatus").is_empty() {
            receipts.extend(call(&fields));
        } else {
            receipts.extend(message(&fields));
        }
        Ok(Heard::Told { receipts, texts })
    }

    fn pressed(&self, _: &Press, face: &Face) -> Answer {
        let said = escape(Markup::Html, &face.say);
        twiml(&format!("<Say language=\"{}\">{said}</Say>", self.language))
    }

    fn thanks(&self, kept: bool, say: Option<&str>) -> Answer {
        match (kept, say) {
            (true, Some(say)) => twiml(&format!("<Message>{}</Message>", escape(Markup::Html, say))),
            (true, None) => twiml(""),
            (false, _) => Answer::again(),
        }
    }

    fn is_user(&self, address: &str, id: &str) -> bool {
        is_number(address, id)
    }
}

/// An answer in its own language.
fn twiml(inside: &str) -> Answer {
    Answer { status: 200, kind: "application/xml", body: format!("<Response>{inside}</Response>") }
}

fn message(fields: &[(String, String)]) -> Option<Receipt> {
    let of = |name| form::value(fields, name);
    let status = of("MessageStatus");
    let what = match status {
        "delivered" | "read" => StatementKind::Delivered,
        "undelivered" | "failed" => StatementKind::Negative,
        "accepted" | "scheduled" | "queued" | "sending" | "sent" => StatementKind::Accepted,
        _ => return None,
    };
    let code = if of("ErrorCode").is_empty() { status } else { of("ErrorCode") };
    Receipt::new("", of("MessageSid"), what, code)
}

/// That a phone was lifted for a moment proves nothing (§10.3).
fn call(fields: &[(String, String)]) -> Option<Receipt> {
    let of = |name| form::value(fields, name);
    let status = of("CallStatus");
    let what = match status {
        "completed" if of("CallDuration").parse::<u64>().is_ok_and(|seconds| seconds > HEARD) => {
            StatementKind::Delivered
        }
        "completed" | "busy" | "no-answer" | "failed" | "canceled" => StatementKind::Negative,
        "queued" | "initiated" | "ringing" | "in-progress" => StatementKind::Accepted,
        _ => return None,
    };
    Receipt::new("", of("CallSid"), what, status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::callback::tests::{headers, knock};

    const URL: &str = "https://sb.example/v1/callbacks/sms";

    fn hear(query: &str, body: &str, signature: Option<&str>) -> Result<Heard, Refusal> {
        let url = if query.is_empty() { URL.to_owned() } else { format!("{URL}?{query}") };
        let own = twilio_signature("12345", &url, &form::fields(body.as_bytes(), 99));
        let headers = headers(&[("x-twilio-signature", signature.unwrap_or(&own))]);
        let ears = Ears { token: Secret::new("12345"), url: URL.to_owned(), language: "zh-CN".to_owned() };
        ears.hear(&knock(&headers, query, body.as_bytes(), None))
    }

    #[test]
    fn statuses_are_receipts() {
        for (body, want) in [
            ("MessageSid=SM1&MessageStatus=delivered", Some(StatementKind::Delivered)),
            ("MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003", Some(StatementKind::Negative)),
            ("MessageSid=SM1&MessageStatus=sent", Some(StatementKind::Accepted)),
            ("MessageSid=SM1&MessageStatus=new", None),
            ("CallSid=CA1&CallStatus=completed&CallDuration=12", Some(StatementKind::Delivered)),
            ("CallSid=CA1&CallStatus=completed&CallDuration=3", Some(StatementKind::Negative)),
            ("CallSid=CA1&CallStatus=no-answer", Some(StatementKind::Negative)),
        ] {
            let Ok(Heard::Told { receipts, texts }) = hear("", body, None) else { panic!("{body}") };
            assert_eq!(receipts.first().map(|r| r.what), want, "{body}");
            assert!(texts.is_empty());
        }
        assert_eq!(hear("", "MessageSid=SM1", Some("AAAA")).err(), Some(Refusal::Signature));
    }

    #[test]
    fn texts_and_keys_are_heard() {
        let Ok(Heard::Told { texts, .. }) =
            hear("", "MessageSid=SM2&SmsStatus=received&From=%2B15005550006&Body=1+K7Q2", None)
        else {
            panic!("it is heard")
        };
        assert_eq!((&*texts[0].from, &*texts[0].text), ("+15005550006", "1 K7Q2"));
        let Ok(Heard::Press(press)) = hear("t=BUTTON", "CallSid=CA1&Digits=1&To=%2B8613800000000", None)
        else {
            panic!("it is heard")
        };
        assert_eq!((press.ids, &*press.value), (vec!["+8613800000000".to_owned()], "BUTTON"));
        assert!(matches!(hear("t=BUTTON", "CallSid=CA1&Digits=2&To=%2B861", None), Ok(Heard::Reply(_))));
        // The value is part of what is signed.
        let body = "CallSid=CA1&Digits=1&To=%2B8613800000000";
        let other = twilio_signature("12345", URL, &form::fields(body.as_bytes(), 99));
        assert_eq!(hear("t=BUTTON", body, Some(&other)).err(), Some(Refusal::Signature));
    }
}
