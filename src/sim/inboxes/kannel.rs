//! A gateway for short messages of one's own, as Kannel's `sendsms` answers.

use super::{Answer, Form, Inbox, Receipt, SECRET, Serial, Shown, Taken, is_gone, parameter};
use crate::core::time::Instant;
use crate::sim::platforms::Asked;

/// A gateway.
#[derive(Debug, Default)]
pub(super) struct Gateway {
    ids: Serial,
}

impl Inbox for Gateway {
    fn crowd(&mut self) {
        // It has no limit of its own.
    }

    fn take(&mut self, asked: &Asked, _: Instant) -> Taken {
        if asked.path != "/cgi-bin/sendsms" {
            return Answer::text(404, "Unknown request.").into();
        }
        if (parameter(asked, "username"), parameter(asked, "password")) != (super::table::APP, SECRET) {
            return Answer::text(403, "Authorization failed for sendsms").into();
        }
        let (to, text) = (parameter(asked, "to"), parameter(asked, "text"));
        let digits = to.trim_start_matches('+');
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || is_gone(to) {
            return Answer::text(400, "Garbage 'to' field, rejected: invalid number.").into();
        }
        if text.is_empty() {
            return Answer::text(400, "Empty or missing text, rejected.").into();
        }
        let id = self.ids.next("k");
        let url = Some(parameter(asked, "dlr-url").to_owned()).filter(|url| !url.is_empty());
        let key = url.as_deref().and_then(|url| url.rsplit_once("key=")).map(|(_, key)| key.to_owned());
        let receipt = Receipt { key: key.unwrap_or_default(), provider_id: id.clone(), delivered: true, url };
        Taken::from(Answer::text(202, "0: Accepted for delivery"))
            .shown(Shown::new(id, to, Form::Sms, "", text))
            .receipt(receipt)
    }
}
