//! A message as apps show it: a title, lines, and links that can become buttons; and whom it calls.

use serde::Deserialize;

use crate::core::alerting::Claim;

/// A link of a message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Link {
    /// What a button says.
    pub label: String,
    /// `ack`, `snooze`, `resolve` or `view`.
    pub purpose: String,
    /// Where it leads.
    pub url: String,
}

/// A button that is pressed on the message itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Button {
    /// What it says.
    pub(crate) label: String,
    /// `ack`, `snooze` or `escalate`.
    pub(crate) purpose: String,
    /// What it brings back to us.
    pub(crate) value: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    links: Vec<Link>,
    buttons: Vec<Button>,
}

/// A message as an app shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chat<'a> {
    /// Its title.
    pub(crate) title: &'a str,
    /// Its lines, without those that only hold a link.
    pub(crate) text: String,
    /// Its links, without those that a button takes the place of.
    pub(crate) links: Vec<Link>,
    /// Its buttons.
    pub(crate) buttons: Vec<Button>,
}

impl<'a> Chat<'a> {
    /// The message of a claim. The lines that end in one of its links are taken out of the text: they become buttons.
    pub(crate) fn of(claim: &'a Claim) -> Chat<'a> {
        let data = claim.body.data.as_deref().and_then(|data| serde_json::from_str::<Data>(data).ok());
        let Data { mut links, buttons } = data.unwrap_or_default();
        let is_link = |line: &str| links.iter().any(|link| line.trim_end().ends_with(&*link.url));
        let text: Vec<&str> = claim.body.text.lines().filter(|line| !is_link(line)).collect();
        let text = text.join("\n");
        links.retain(|link| !buttons.iter().any(|button| button.purpose == link.purpose));
        Chat { title: claim.body.subject.as_deref().unwrap_or_default(), text, links, buttons }
    }
}

/// Whom a message in a group calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mention<'a> {
    /// Nobody.
    None,
    /// Everybody; only where a contact says so.
    All,
    /// A number: of a phone.
    Mobile(&'a str),
    /// An id of the app.
    Id(&'a str),
}

impl<'a> Mention<'a> {
    /// The address of a contact as a mention: `13800000000`, `+8613800000000`, an id, `all` or nothing.
    pub(crate) fn of(address: &'a str) -> Mention<'a> {
        let address = address.trim().trim_start_matches('@');
        let digits = address.strip_prefix("+86").unwrap_or(address).trim_start_matches([' ', '-']);
        match address {
            "" => Mention::None,
            "all" => Mention::All,
            _ if digits.len() == 11
                && digits.starts_with('1')
                && digits.bytes().all(|b| b.is_ascii_digit()) =>
            {
                Mention::Mobile(digits)
            }
            id => Mention::Id(id),
        }
    }
}

/// At most so many bytes, cut between characters and with a sign that it was.
pub(crate) fn cut_bytes(text: &str, most: usize) -> String {
    const SIGN: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most.saturating_sub(SIGN.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{SIGN}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_mentions() {
        for (address, want) in [
            ("", Mention::None),
            (" ", Mention::None),
            ("all", Mention::All),
            ("@all", Mention::All),
            ("13800000000", Mention::Mobile("13800000000")),
            ("+8613800000000", Mention::Mobile("13800000000")),
            ("+86 13800000000", Mention::Mobile("13800000000")),
            ("zhangsan", Mention::Id("zhangsan")),
            ("ou_1", Mention::Id("ou_1")),
            ("1380000000", Mention::Id("1380000000")),
        ] {
            assert_eq!(Mention::of(address), want, "{address}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut_bytes("工单超时", 12), "工单超时");
        assert_eq!(cut_bytes("工单超时了", 13), "工单超…");
        assert_eq!(cut_bytes("工单", 1), "…");
    }
}
