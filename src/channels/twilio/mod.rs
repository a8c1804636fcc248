//! Twilio (`apis/channels` 17, 18): short messages, and calls that read a text aloud. Both are made by a form under basic
//! authentication; 201 and a `sid` say that it was taken, a `code` why not.

mod sms;
mod voice;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::channels::answers::{Answers, Said, line, said};
use crate::channels::callback::twilio::TwilioCallbackConfig;
use crate::channels::provider::{Reply, Request};
use crate::core::model::Outcome;
use crate::core::model::OutcomeClass::{
    Accepted, Config, ContentPermanent, Credential, RecipientPermanent, Throttled,
};
use crate::core::problem::Problems;
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

pub(crate) use sms::ADAPTER as SMS;
pub use sms::TwilioSmsConfig;
#[cfg(test)]
pub(super) use sms::fields as sms_fields;
pub(crate) use voice::ADAPTER as VOICE;
pub use voice::TwilioVoiceConfig;
#[cfg(test)]
pub(super) use voice::{How, fields as voice_fields};

pub(super) const BASE: &str = "https://api.twilio.com";

/// `….account`: an account of Twilio.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TwilioAccountConfig {
    /// Its sid, `AC…`.
    pub sid: String,
    /// Its token.
    pub token: SecretConfig,
}

impl TwilioAccountConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.token.rebase(folder);
    }

    /// Notes everything that is wrong with the section `account`.
    pub(crate) fn check(&self, problems: &mut Problems) {
        problems.within("account", |problems| {
            let good = self.sid.len() == 34 && self.sid.starts_with("AC");
            if !good || !self.sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
                problems.within("sid", |p| {
                    p.error(format!("found `{}`, expected AC and 32 letters and digits", self.sid));
                });
            }
            problems.within("token", |p| self.token.check_given("", p));
        });
    }
}

/// Notes what is wrong with the section `callback`, and with an address of one's own beside it.
fn check_callback(
    callback: Option<&TwilioCallbackConfig>,
    status_callback: Option<&str>,
    problems: &mut Problems,
) {
    let Some(callback) = callback else { return };
    problems.within("callback", |p| callback.check(p));
    if status_callback.is_some() {
        problems.within("status_callback", |p| p.error("has `callback` beside it, expected one of them"));
    }
}

/// The request of a resource with these fields, in their order.
pub(super) fn request(
    base: &str,
    sid: &str,
    token: &str,
    resource: &str,
    fields: &[(&str, String)],
) -> Request {
    let basic = sign::base64(format!("{sid}:{token}").as_bytes());
    Request::form(format!("{base}/2010-04-01/Accounts/{sid}/{resource}.json"), fields)
        .with("authorization", format!("Basic {basic}"))
}

/// What an answer means.
pub(super) fn read(reply: &Reply) -> Outcome {
    let document = reply.json();
    let sid = document.as_ref().and_then(|d| d.get("sid")?.as_str().map(str::to_owned));
    if let Some(sid) = sid.filter(|_| reply.is_good()) {
        // It may have failed at once.
        let failed = document.as_ref().and_then(|d| d.get("status")?.as_str()) == Some("failed");
        let told = said(reply, "error_code", "error_message");
        return match told.filter(|_| failed) {
            Some(told) => Outcome { provider_id: Some(sid), ..ANSWERS.judge(reply, Some(told)) },
            None => Outcome {
                code: Some(format!("HTTP {}", reply.status)),
                provider_id: Some(sid),
                ..Outcome::of(Accepted)
            },
        };
    }
    let told = said(reply, "code", "message")
        .unwrap_or_else(|| Said { code: format!("HTTP {}", reply.status), text: reply.body.clone() });
    match told.code.starts_with("HTTP") && !reply.is_good() {
        true if reply.status == 401 => Outcome { code: Some(told.code), ..Outcome::of(Credential) },
        true => crate::channels::answers::by_status(reply),
        false if told.code.starts_with("HTTP") => ANSWERS.judge(reply, None),
        false => ANSWERS.judge(reply, Some(told)),
    }
}

/// `apis/channels` 17.
static ANSWERS: Answers = Answers {
    name: "code",
    good: "",
    lines: &[
        line("20429", Throttled).wait(30),
        line("20003", Credential),
        line("21211", RecipientPermanent),
        line("21614", RecipientPermanent),
        line("21610", RecipientPermanent),
        line("21408", Config),
        line("30007", ContentPermanent),
        line("30003", RecipientPermanent),
        line("30004", RecipientPermanent),
        line("30005", RecipientPermanent),
        line("30006", RecipientPermanent),
    ],
};
