//! Receipts of short messages by Huawei Cloud (`apis/channels` 16; its page 接收状态报告): one form for each part of each
//! message, under a secret path.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Gate, Heard, Hears, Knock, Receipt, Refusal};
use crate::channels::BuildFault;
use crate::channels::callback::gate;
use crate::channels::sms::is_number;
use crate::core::model::StatementKind;
use crate::core::problem::Problems;
use crate::core::time::Instant;
use crate::wire::form;
use crate::wire::secret::SecretConfig;

/// `[channels.NAME.huawei_sms.callback]`: receipts that it sends to `…/v1/callbacks/NAME/SECRET`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HuaweiCallbackConfig {
    /// Where it reaches us: `https://HOST/v1/callbacks/NAME`. Each message says it (`statusCallback`).
    pub url: String,
    /// The secret that stands in the path: 16 letters, digits, `-` or `_` at least.
    pub token: SecretConfig,
    /// The addresses or networks that it comes from. Empty: from anywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

impl HuaweiCallbackConfig {
    /// Takes relative paths as seen from `folder`.
    pub(crate) fn rebase(&mut self, folder: &Path) {
        self.token.rebase(folder);
    }

    /// Notes everything that is wrong with it.
    pub(crate) fn check(&self, problems: &mut Problems) {
        gate::check_url(&self.url, problems);
        gate::check(&self.token, &self.addresses, problems);
    }

    /// The gate of it.
    pub(crate) fn gate(&self, env: &BTreeMap<String, String>) -> Result<Gate, BuildFault> {
        Gate::of(&self.token, &self.addresses, env)
    }
}

/// Who listens to Huawei Cloud.
pub(crate) struct Ears {
    pub(crate) gate: Gate,
}

impl Hears for Ears {
    fn hear(&self, knock: &Knock<'_>) -> Result<Heard, Refusal> {
        self.gate.admit(knock)?;
        let fields = form::fields(knock.body, 32);
        Ok(Heard::Told { receipts: receipt(&fields).into_iter().collect(), texts: Vec::new() })
    }

    fn is_user(&self, address: &str, id: &str) -> bool {
        is_number(address, id)
    }
}

fn receipt(fields: &[(String, String)]) -> Option<Receipt> {
    let of = |name| form::value(fields, name);
    let status = of("status");
    let what = match status {
        "" => return None,
        // Of a long one the last part says that it is there.
        "DELIVRD" if of("total") == "1" || of("total").is_empty() || of("total") == of("sequence") => {
            StatementKind::Delivered
        }
        "DELIVRD" | "ACCEPTD" | "UNKNOWN" => StatementKind::Accepted,
        _ => StatementKind::Negative,
    };
    let receipt = Receipt::new(of("extend"), of("smsMsgId"), what, status)?;
    Some(receipt.at(Instant::parse(of("updateTime")).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_their_page_shows_them() {
        for (form, want) in [
            ("smsMsgId=m1&total=1&sequence=1&status=DELIVRD&extend=KEY", Some(StatementKind::Delivered)),
            ("smsMsgId=m1&total=2&sequence=1&status=DELIVRD", Some(StatementKind::Accepted)),
            ("smsMsgId=m1&total=2&sequence=2&status=DELIVRD", Some(StatementKind::Delivered)),
            ("smsMsgId=m1&status=EXPIRED&updateTime=2026-09-21T14%3A13%3A20Z", Some(StatementKind::Negative)),
            ("smsMsgId=m1&status=E200018", Some(StatementKind::Negative)),
            ("smsMsgId=m1", None),
            ("status=DELIVRD", None),
        ] {
            let found = receipt(&form::fields(form.as_bytes(), 32));
            assert_eq!(found.as_ref().map(|r| r.what), want, "{form}");
            if form.contains("updateTime") {
                assert_eq!(found.and_then(|r| r.at), Some(Instant::from_secs(1_790_000_000)));
            }
        }
    }
}
