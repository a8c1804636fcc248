//! A claim as a mail: headers that thread it, that keep automatic answers away, and that nobody can write into.

use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use crate::channels::escape::neutral;
use crate::core::alerting::Claim;
use crate::core::time::Instant;

/// The longest subject, in characters; mail programs show less.
const LONGEST_SUBJECT: usize = 150;

/// Why a claim cannot be made a mail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MailFault {
    /// The address of the recipient is none.
    #[error("the address is not one of a mailbox, expected such as lin@example.com")]
    Address,
    /// Anything else; a defect of ours.
    #[error("failed to write the mail: {0}")]
    Build(String),
}

/// The mailbox of an address, bare or with a name before it.
pub(crate) fn mailbox(address: &str) -> Result<Mailbox, MailFault> {
    let address = address.trim();
    if address.chars().any(char::is_control) {
        return Err(MailFault::Address);
    }
    address.parse().map_err(|_| MailFault::Address)
}

/// The id of the mail of a message: the same for every attempt, so that clients show one copy.
pub(crate) fn message_id(claim: &Claim, domain: &str) -> String {
    format!("<msg-{}@{domain}>", claim.message)
}

/// The id that no mail carries and that all mails of one incident answer to, so that they are one thread.
pub(crate) fn thread_id(claim: &Claim, domain: &str) -> String {
    format!("<inc-{}.0@{domain}>", claim.thread)
}

/// The mail of a claim.
pub(crate) fn mail(claim: &Claim, from: &Mailbox, domain: &str, now: Instant) -> Result<Message, MailFault> {
    let to = mailbox(&claim.address)?;
    let thread = thread_id(claim, domain);
    let subject = neutral(claim.body.subject.as_deref().unwrap_or("shiftbell"));
    let subject: String = subject.trim().chars().take(LONGEST_SUBJECT).collect();
    let builder = Message::builder()
        .from(from.clone())
        .to(to)
        .subject(subject)
        .date(date(now))
        .message_id(Some(message_id(claim, domain)))
        .in_reply_to(thread.clone())
        .references(thread)
        .raw_header(fixed("Auto-Submitted", "auto-generated"))
        .raw_header(fixed("X-Auto-Response-Suppress", "All"));
    let text = SinglePart::plain(with_line_ends(&claim.body.text));
    let built = match &claim.body.html {
        Some(html) => builder
            .multipart(MultiPart::alternative().singlepart(text).singlepart(SinglePart::html(html.clone()))),
        None => builder.singlepart(text),
    };
    built.map_err(|e| MailFault::Build(e.to_string()))
}

fn fixed(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn date(now: Instant) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now.as_secs()).unwrap_or(0))
}

/// Every line of a text ends in CR and LF in a mail.
fn with_line_ends(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::core::ids::Id;
    use crate::core::model::{Body, ChannelClass, Class, Lane, Recipient};

    /// A claim to `address`.
    pub(crate) fn claim_to(address: &str, body: Body) -> Claim {
        let channel: Arc<str> = "ops-mail".into();
        Claim {
            message: Id::from_bytes([1; 16]),
            attempt: 1,
            key: Id::from_bytes([2; 16]).to_string(),
            to: Recipient {
                person: "lin".into(),
                lane: Lane { channel, address: Id::from_bytes([3; 16]) },
                class: ChannelClass::Email,
            },
            address: address.to_owned(),
            priority: Class::P1,
            body,
            deadline: Instant::from_secs(1_790_000_010),
            thread: Id::from_bytes([4; 16]),
        }
    }

    fn body(subject: &str, text: &str) -> Body {
        Body { subject: Some(subject.to_owned()), text: text.to_owned(), html: None, data: None }
    }

    fn raw(claim: &Claim, from: &str) -> String {
        let mail =
            mail(claim, &mailbox(from).unwrap(), "sb.example", Instant::from_secs(1_790_000_000)).unwrap();
        String::from_utf8(mail.formatted()).unwrap()
    }

    fn head(raw: &str) -> Vec<&str> {
        raw.split("\r\n\r\n").next().unwrap().split("\r\n").collect()
    }

    #[test]
    fn a_mail_threads_and_keeps_automatic_answers_away() {
        let claim = claim_to("lin@example.com", body("工单 T-1001", "已超时\n请处理"));
        let raw = raw(&claim, "售后值班 <alert@sb.example>");
        let head = head(&raw);
        for line in [
            &format!("Message-ID: <msg-{}@sb.example>", claim.message),
            &format!("In-Reply-To: <inc-{}.0@sb.example>", claim.thread),
            &format!("References: <inc-{}.0@sb.example>", claim.thread),
            "Auto-Submitted: auto-generated",
            "X-Auto-Response-Suppress: All",
            "Date: Mon, 21 Sep 2026 14:13:20 +0000",
            "To: lin@example.com",
        ] {
            assert!(head.contains(&line), "{line} in {head:#?}");
        }
        assert!(head.iter().any(|l| l.starts_with("From: =?utf-8?b?") && l.ends_with("<alert@sb.example>")));
        assert!(raw.lines().all(|l| l.len() < 998), "no line is too long");
    }

    #[test]
    fn nobody_writes_into_the_headers() {
        let evil = "x\r\nBcc: evil@example.com\r\n\r\n<script>\u{2028}Bcc: more@example.com";
        let claim = claim_to("lin@example.com", body(evil, "text"));
        let raw = raw(&claim, "alert@sb.example");
        let names: Vec<_> =
            head(&raw).iter().filter(|l| !l.starts_with(' ')).map(|l| l.split(':').next().unwrap()).collect();
        assert_eq!(
            names,
            [
                "From",
                "To",
                "Subject",
                "Date",
                "Message-ID",
                "In-Reply-To",
                "References",
                "Auto-Submitted",
                "X-Auto-Response-Suppress",
                "MIME-Version",
                "Content-Type",
                "Content-Transfer-Encoding"
            ]
        );
        for address in ["lin@example.com\r\nBcc: evil@example.com", "lin", "", "a@b@c", "lin@example.com\n"] {
            let bad = claim_to(address, body("s", "t"));
            let mail = mail(&bad, &mailbox("a@sb.example").unwrap(), "sb.example", Instant::from_secs(0));
            // Space around an address is no part of it.
            assert_eq!(mail.is_ok(), address.trim_end() == "lin@example.com", "{address:?}");
        }
    }

    #[test]
    fn text_comes_before_html() {
        let mut claim = claim_to("lin@example.com", body("s", "明文"));
        claim.body.html = Some("<p>富文本</p>".to_owned());
        let raw = raw(&claim, "alert@sb.example");
        let (plain, html) = (raw.find("text/plain").unwrap(), raw.find("text/html").unwrap());
        assert!(raw.contains("multipart/alternative") && plain < html);
        assert!(raw.is_ascii(), "no relay needs 8BITMIME for it");
    }

    /// The value of a header, decoded: lines joined, encoded words read.
    fn decoded(raw: &str, name: &str) -> String {
        let head = raw.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let line =
            head.split("\r\n").find(|l| l.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())));
        let mut out = String::new();
        let mut after_word = false;
        for word in line.unwrap()[name.len() + 1..].split_whitespace() {
            let encoded = word.strip_prefix("=?").and_then(|w| w.strip_suffix("?="));
            match encoded {
                Some(encoded) => {
                    let [_, way, text] = encoded.split('?').collect::<Vec<_>>().try_into().unwrap();
                    out += if after_word || out.is_empty() { "" } else { " " };
                    let bytes = match way.to_uppercase().as_str() {
                        "B" => STANDARD.decode(text).unwrap(),
                        _ => quoted(&text.replace('_', " ")),
                    };
                    out += &String::from_utf8(bytes).unwrap();
                }
                None => out = format!("{}{}{word}", out, if out.is_empty() { "" } else { " " }),
            }
            after_word = encoded.is_some();
        }
        out
    }

    /// The bytes of a text with `=XX` in it.
    fn quoted(text: &str) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
        while let [first, others @ ..] = rest {
            rest = others;
            match (first, others) {
                (b'=', [high, low, after @ ..]) => {
                    let digits = [*high, *low];
                    let digits = std::str::from_utf8(&digits).unwrap();
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                    rest = after;
                }
                _ => bytes.push(*first),
            }
        }
        bytes
    }

    fn text_of(raw: &str) -> String {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        if head.contains("content-transfer-encoding: base64") {
            let joined: String = body.split_whitespace().collect();
            return String::from_utf8(STANDARD.decode(joined).unwrap()).unwrap();
        }
        assert!(head.contains("quoted-printable") || head.contains("7bit"), "{head}");
        let body = body.replace("=\r\n", "");
        let mut bytes = Vec::new();
        let mut rest = body.bytes();
        while let Some(b) = rest.next() {
            let hex = |b: u8| (b as char).to_digit(16).unwrap() as u8;
            bytes.push(if b == b'=' {
                hex(rest.next().unwrap()) * 16 + hex(rest.next().unwrap())
            } else {
                b
            });
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Holds a mail against one of a published client: decoded, for lines may be folded elsewhere.
    pub(crate) fn check_vector(inputs: &serde_json::Value, expected: &serde_json::Value) {
        let theirs = expected["raw"].as_str().unwrap();
        let message = &inputs["message"];
        let text = |key: &str| message[key].as_str().unwrap();
        let from = match &message["from"] {
            serde_json::Value::String(address) => address.clone(),
            named => {
                format!("{} <{}>", named["name"].as_str().unwrap(), named["address"].as_str().unwrap())
            }
        };
        let ours = raw(&claim_to(text("to"), body(text("subject"), text("text"))), &from);
        for header in ["Subject", "To", "From", "Auto-Submitted", "X-Auto-Response-Suppress"] {
            let unquoted = |raw: &str| decoded(raw, header).replace('"', "");
            assert_eq!(unquoted(&ours), unquoted(theirs), "{header}");
        }
        assert_eq!(decoded(&ours, "Subject"), text("subject"));
        assert_eq!(text_of(&ours).trim_end(), text_of(theirs).trim_end());
        let longest = ours.split("\r\n").map(str::len).max();
        assert!(longest <= Some(78), "folded: {longest:?}");
    }
}
