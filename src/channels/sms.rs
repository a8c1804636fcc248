//! Short messages and calls: numbers, the variables of templates that providers fill in, and how many parts a text has.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::alerting::{Claim, Inquiry};
use crate::core::model::{DuplicateKey, ReceiptPath, Statement, StatementKind};
use crate::core::problem::Problems;

/// What a template can say of a message: all short, none empty.
pub(crate) const VARIABLES: &[&str] = &["id", "level", "what", "state", "subject", "due", "count"];

/// What a message says in variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(crate) fn of(claim: &Claim) -> Variables {
        Variables(claim.body.data.as_deref().and_then(|d| serde_json::from_str(d).ok()).unwrap_or_default())
    }

    /// Whether the ordinary text was refused: only what nobody can refuse is said.
    pub(crate) fn is_minimal(&self) -> bool {
        self.0.get("form").is_some_and(|form| form == "minimal")
    }

    /// What a key of the phone brings back to us.
    pub(crate) fn press(&self) -> Option<&str> {
        self.0.get("press").map(String::as_str)
    }

    /// A value such as `{id}`, or `单号{subject}`, with the variables in it; at most so many characters.
    pub(crate) fn fill(&self, value: &str, longest: usize) -> String {
        let mut out = value.to_owned();
        for name in VARIABLES {
            let mark = format!("{{{name}}}");
            if out.contains(&mark) {
                out = out.replace(&mark, self.0.get(*name).map_or("-", String::as_str));
            }
        }
        out.chars().take(longest).collect()
    }
}

/// Notes what is wrong with a value of a template.
pub(crate) fn check_value(value: &str, problems: &mut Problems) {
    let mut rest = value;
    while let Some(at) = rest.find('{') {
        let inside = &rest[at + 1..];
        let end = inside.find('}').unwrap_or(inside.len());
        let name = &inside[..end];
        if !VARIABLES.contains(&name) {
            problems.error(format!("found {{{name}}}, expected one of: {}", VARIABLES.join(", ")));
        }
        rest = &inside[end..];
    }
    if value.trim().is_empty() {
        problems.error("is empty; providers refuse empty variables");
    }
}

/// Whether receipts come: a provider that pushes them must reach us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Receipts {
    /// None come: acceptance is all that is known.
    #[default]
    None,
    /// They come by `…/v1/callbacks/NAME`, or by `POST /v1/receipts/NAME`.
    Pushed,
}

/// The same, of a provider that can be asked as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AskedReceipts {
    /// None come: acceptance is all that is known.
    #[default]
    None,
    /// They come by `…/v1/callbacks/NAME`, or by `POST /v1/receipts/NAME`; what does not come in time is asked for.
    Pushed,
    /// They are asked for.
    Polled,
}

impl From<AskedReceipts> for ReceiptPath {
    fn from(receipts: AskedReceipts) -> ReceiptPath {
        match receipts {
            AskedReceipts::None => ReceiptPath::None,
            AskedReceipts::Pushed => ReceiptPath::Pushed,
            AskedReceipts::Polled => ReceiptPath::Polled,
        }
    }
}

impl From<AskedReceipts> for DuplicateKey {
    /// Whoever may be asked for receipts may be asked what became of an attempt (§10.3).
    fn from(receipts: AskedReceipts) -> DuplicateKey {
        match receipts {
            AskedReceipts::None => DuplicateKey::None,
            AskedReceipts::Pushed | AskedReceipts::Polled => DuplicateKey::Query,
        }
    }
}

impl From<Receipts> for ReceiptPath {
    fn from(receipts: Receipts) -> ReceiptPath {
        match receipts {
            Receipts::None => ReceiptPath::None,
            Receipts::Pushed => ReceiptPath::Pushed,
        }
    }
}

/// What was learned of a message by asking for it.
pub(crate) fn asked(inquiry: &Inquiry, what: StatementKind) -> Statement {
    Statement {
        key: Some(inquiry.key.clone()),
        provider_id: None,
        channel: inquiry.channel.clone(),
        what,
        code: None,
        at: inquiry.sent_at,
    }
}

/// A number in its international form, such as `+8613800000000`; one of China may stand without `+86`.
pub(crate) fn international(address: &str) -> Option<String> {
    let digits: String = address.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect();
    let (plus, digits) = match digits.strip_prefix('+').or_else(|| digits.strip_prefix("00")) {
        Some(rest) => (true, rest.to_owned()),
        None => (false, digits),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match plus {
        true if (7..=15).contains(&digits.len()) => Some(format!("+{digits}")),
        false if digits.len() == 11 && digits.starts_with('1') => Some(format!("+86{digits}")),
        _ => None,
    }
}

/// Whether two ways of writing a number mean the same one.
pub(crate) fn is_number(address: &str, other: &str) -> bool {
    let (one, other) = (international(address), international(other));
    one.is_some() && one == other
}

/// A number of mainland China without its country.
pub(crate) fn domestic(address: &str) -> Option<String> {
    let number = international(address)?;
    number.strip_prefix("+86").map(str::to_owned)
}

/// How a text goes over the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Seven bits a letter.
    Gsm7,
    /// Sixteen.
    Ucs2,
}

/// How a text is parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) encoding: Encoding,
    /// In units of sixteen bits, whatever the encoding.
    pub(crate) utf16: usize,
    pub(crate) count: usize,
}

/// GSM 03.38, and the letters of its extension, which take two places.
const GSM7: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                    abcdefghijklmnopqrstuvwxyzäöñüà";
const GSM7_EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How many messages a text is counted as: 160 or 70 places in one, 153 or 67 in each of several, and no letter that
/// takes two places stands in two of them.
pub(crate) fn parts(text: &str) -> Parts {
    let utf16 = text.encode_utf16().count();
    let gsm7 = text.chars().all(|c| GSM7.contains(c) || GSM7_EXTENSION.contains(c));
    let (encoding, alone, each) = if gsm7 { (Encoding::Gsm7, 160, 153) } else { (Encoding::Ucs2, 70, 67) };
    let places = |c: char| match encoding {
        Encoding::Gsm7 => 1 + usize::from(GSM7_EXTENSION.contains(c)),
        Encoding::Ucs2 => c.len_utf16(),
    };
    let whole: usize = text.chars().map(places).sum();
    let count = match whole <= alone {
        true => 1,
        false => {
            let (mut count, mut used) = (1, 0);
            for c in text.chars() {
                if used + places(c) > each {
                    (count, used) = (count + 1, 0);
                }
                used += places(c);
            }
            count
        }
    };
    Parts { encoding, utf16, count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_or_refused() {
        for (address, want) in [
            ("13800000000", Some("+8613800000000")),
            ("+86 138-0000-0000", Some("+8613800000000")),
            ("008613800000000", Some("+8613800000000")),
            ("+15005550006", Some("+15005550006")),
            ("5005550006", None),
            ("lin@example.com", None),
            ("+12", None),
            ("", None),
        ] {
            assert_eq!(international(address).as_deref(), want, "{address}");
        }
        assert_eq!(domestic("+8613800000000").as_deref(), Some("13800000000"));
        assert_eq!(domestic("+15005550006"), None);
    }

    #[test]
    fn templates_are_filled_with_short_values() {
        let claim_data = r#"{"form":"minimal","id":"K7Q2","count":"3","what":"工单 20 分钟回复"}"#;
        let variables = Variables(serde_json::from_str(claim_data).unwrap());
        assert!(variables.is_minimal());
        for (value, longest, want) in [
            ("{id}", 20, "K7Q2"),
            ("{count}单{what}", 6, "3单工单 2"),
            ("{due}", 20, "-"),
            ("固定", 20, "固定"),
        ] {
            assert_eq!(variables.fill(value, longest), want, "{value}");
        }
        for (value, want) in [("{id}-{count}", 0), ("{ID}", 1), ("{id", 0), ("{x", 1), (" ", 1)] {
            let mut problems = Problems::new();
            check_value(value, &mut problems);
            assert_eq!(problems.into_vec().len(), want, "{value}");
        }
    }

    #[test]
    fn letters_of_two_places_stand_in_one_part() {
        for (text, count) in [
            ("", 1),
            (&*"€".repeat(80), 1),
            (&*"€".repeat(81), 2),
            // 153 places hold 76 of them; the 77th begins the next part.
            (&*"€".repeat(152), 2),
            (&*"€".repeat(153), 3),
            (&*"😀".repeat(35), 1),
            (&*"😀".repeat(36), 2),
            (&*"😀".repeat(66), 2),
            (&*"😀".repeat(67), 3),
        ] {
            assert_eq!(parts(text).count, count, "{text}");
        }
    }
}
