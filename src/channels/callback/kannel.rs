//! Receipts and replies by a gateway of one's own, as Kannel has it (`dlr-url`, `post-url`), under a secret path. A receipt
//! is asked for as a `GET`: that is all it knows of them. A reply is a `POST`; what is answered goes back as a message.

use std::collections::BTreeMap;
use std::path::Path;

use encoding_rs::{Encoding, UTF_8, UTF_16BE};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Gate, Heard, Hears, Knock, Receipt, Refusal, Text, gate};
use crate::channels::BuildFault;
use crate::channels::sms::is_number;
use crate::core::model::StatementKind;
use crate::core::problem::Problems;
use crate::wire::form;
use crate::wire::secret::SecretConfig;
use crate::wire::sign;

/// `[channels.NAME.sms_gateway.callback]`: receipts and replies that come to `…/v1/callbacks/NAME/SECRET`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KannelCallbackConfig {
    /// Where it reaches us: `http://127.0.0.1:8460/v1/callbacks/NAME`. Each message says it (`dlr-url`).
    pub url: String,
    /// The secret that stands in the path: 16 letters, digits, `-` or `_` at least.
    pub token: SecretConfig,
    /// Texts say how they are answered: an `sms-service` there hands what people write on to the same address.
    pub replies: bool,
    /// The addresses or networks that it comes from. Empty: from anywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

impl KannelCallbackConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.token.rebase(folder);
    }

    /// Notes everything that is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        gate::check_url(&self.url, problems);
        gate::check(&self.token, &self.addresses, problems);
    }

    /// Who listens by it.
    pub(crate) fn ears(&self, env: &BTreeMap<String, String>) -> Result<Ears, BuildFault> {
        Ok(Ears { gate: Gate::of(&self.token, &self.addresses, env)?, url: self.url.clone() })
    }
}

/// Who listens to the gateway.
pub(crate) struct Ears {
    pub(crate) gate: Gate,
    url: String,
}

impl Ears {
    /// What it is to ask for when something became of the message with this key.
    pub(crate) fn report_url(&self, key: &str) -> String {
        // `%d` is what became of it, in its own terms.
        format!("{}?key={}&st=%d", self.gate.address(&self.url), sign::percent(key))
    }
}

impl Hears for Ears {
    fn hear(&self, knock: &Knock<'_>) -> Result<Heard, Refusal> {
        self.gate.admit(knock)?;
        let (mut receipts, mut texts) = (Vec::new(), Vec::new());
        if *knock.method == reqwest::Method::GET {
            receipts.extend(receipt(&knock.fields()));
        } else {
            texts.extend(text(knock));
        }
        Ok(Heard::Told { receipts, texts })
    }

    fn thanks(&self, kept: bool, say: Option<&str>) -> Answer {
        match (kept, say) {
            (true, Some(say)) => Answer::text(say.to_owned()),
            (true, None) => Answer::empty(),
            (false, _) => Answer::again(),
        }
    }

    fn is_user(&self, address: &str, id: &str) -> bool {
        is_number(address, id)
    }
}

/// Its states: 1 delivered, 2 not delivered, 4 kept by the operator, 8 taken by it, 16 refused by it.
fn receipt(fields: &[(String, String)]) -> Option<Receipt> {
    let state = form::value(fields, "st");
    let what = match state {
        "1" => StatementKind::Delivered,
        "2" | "16" => StatementKind::Negative,
        "4" | "8" => StatementKind::Accepted,
        _ => return None,
    };
    Receipt::new(form::value(fields, "key"), "", what, state)
}

fn text(knock: &Knock<'_>) -> Option<Text> {
    let from = knock.header("x-kannel-from").to_owned();
    let kind = knock.header("content-type").to_ascii_lowercase();
    let charset = kind.split_once("charset=").map(|(_, name)| name.trim_matches(['"', ' ', ';']));
    let encoding = match charset {
        // It has no byte order mark.
        Some("utf-16be" | "ucs-2" | "utf-16") => UTF_16BE,
        Some(name) => Encoding::for_label(name.as_bytes()).unwrap_or(UTF_8),
        None => UTF_8,
    };
    let text = encoding.decode(knock.body).0.into_owned();
    let event = format!("{from} {} {text}", knock.header("x-kannel-time"));
    (!from.is_empty()).then_some(Text { from, text, event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::callback::tests::{headers, knock};

    #[test]
    fn states_are_what_kannel_means_by_them() {
        for (query, want) in [
            ("key=K&st=1", Some(StatementKind::Delivered)),
            ("key=K&st=2", Some(StatementKind::Negative)),
            ("key=K&st=16", Some(StatementKind::Negative)),
            ("key=K&st=8", Some(StatementKind::Accepted)),
            ("key=K&st=32", None),
            ("st=1", None),
        ] {
            assert_eq!(receipt(&form::fields(query.as_bytes(), 9)).map(|r| r.what), want, "{query}");
        }
    }

    #[test]
    fn replies_are_read_in_their_letters() {
        let utf16: Vec<u8> = "1 收到".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (kind, body, want) in [
            ("text/plain", b"1 K7Q2".to_vec(), "1 K7Q2"),
            ("text/plain; charset=\"UTF-8\"", "收到".as_bytes().to_vec(), "收到"),
            ("text/plain; charset=UTF-16BE", utf16, "1 收到"),
        ] {
            let headers = headers(&[
                ("x-kannel-from", "+8613800000000"),
                ("x-kannel-time", "2026-09-21 14:13:20"),
                ("content-type", kind),
            ]);
            let text = text(&knock(&headers, "", &body, None)).unwrap();
            assert_eq!((&*text.from, &*text.text), ("+8613800000000", want), "{kind}");
        }
    }
}
