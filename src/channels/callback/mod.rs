//! What providers send us: presses of buttons, receipts, answers in words (`delivery_semantics` §11, §12.2). Each provider
//! has one file that says whose word a request is and what it says; what follows from it is the desk's.
//!
//! Invariants:
//! - nothing of a request is believed, nor read further than that needs, before its signature or its secret path fits;
//!   comparisons take a time that does not depend on where they differ;
//! - what is refused is told with a reason that holds no secret, no number and nothing of the body;
//! - who presses is an id of the provider's, never a name.

pub mod aliyun;
pub mod dingtalk;
mod envelope;
pub mod feishu;
mod gate;
pub mod huawei;
pub mod kannel;
pub mod slack;
pub mod telegram;
pub mod tencent;
pub mod twilio;
pub mod wecom;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::core::model::StatementKind;
use crate::core::time::{Instant, Span};

pub use crate::channels::chat::Link;
pub use envelope::{
    EnvelopeFault, dingtalk_signature, feishu_open, feishu_signature, slack_signature, twilio_signature,
    wecom_open, wecom_signature,
};
pub use gate::{Gate, PathCallbackConfig};

/// The path under which providers call; the channel's name follows, and where a provider signs nothing, a secret.
pub const PATH: &str = "/v1/callbacks";
/// The largest body, in bytes: a batch of some hundred receipts.
pub const BYTES: usize = 256 << 10;
/// A signature is good for so long before and after its own time (§12.2).
pub const SKEW: Span = Span::from_minutes(5);
/// How long a chat waits for the answer to a press at most: they give up at about three seconds (B9).
const PATIENCE: Duration = Duration::from_millis(2500);
/// More receipts or texts than this are in no request.
const MOST: usize = 1000;
/// The longest id, key or code.
const LONGEST: usize = 128;

/// A request of a provider, as it came.
pub struct Knock<'a> {
    /// `GET` or `POST`.
    pub method: &'a Method,
    /// What stands behind the `?`, as it came.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, to the byte.
    pub body: &'a [u8],
    /// The secret in its path.
    pub pass: Option<&'a str>,
    /// Where it comes from, where that is known.
    pub caller: Option<IpAddr>,
    /// The time.
    pub now: Instant,
}

impl Knock<'_> {
    /// A header that stands there once and can be read, `""` otherwise.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut all = self.headers.get_all(name).into_iter();
        match (all.next(), all.next()) {
            (Some(one), None) => one.to_str().unwrap_or_default(),
            _ => "",
        }
    }

    /// The fields of its query.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        crate::wire::form::fields(self.query.as_bytes(), 32)
    }

    /// Whether a time, in milliseconds, is near enough to now.
    pub(crate) fn is_fresh(&self, at: &str, unit: Unit) -> Result<(), Refusal> {
        let at = at.parse::<i64>().ok().filter(|_| at.len() <= 17).ok_or(Refusal::Stale)?;
        let at = match unit {
            Unit::Seconds => Instant::from_secs(at),
            Unit::Millis => Instant::from_millis(at),
        };
        let apart = self.now.as_millis().saturating_sub(at.as_millis()).saturating_abs();
        if apart <= SKEW.as_millis() { Ok(()) } else { Err(Refusal::Stale) }
    }
}

/// What a time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its signature, or the secret in its path, is not the one expected.
    #[error("the signature or the secret of the path does not fit")]
    Signature,
    /// It was signed too long ago, or in the future, or does not say when.
    #[error("it was signed more than five minutes ago, or not yet")]
    Stale,
    /// It comes from an address that is not listed.
    #[error("it comes from an address that `addresses` does not list")]
    Address,
    /// It is theirs and cannot be understood.
    #[error("it cannot be read: {0}")]
    Unreadable(&'static str),
}

impl Refusal {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Refusal::Signature | Refusal::Stale => 401,
            Refusal::Address => 403,
            Refusal::Unreadable(_) => 400,
        }
    }

    /// Whether somebody may be trying things out.
    pub fn is_guess(self) -> bool {
        matches!(self, Refusal::Signature | Refusal::Address)
    }
}

/// What a request says.
#[derive(Debug)]
pub enum Heard {
    /// Nothing for the desk: only answer this.
    Reply(Answer),
    /// Somebody pressed a button.
    Press(Press),
    /// Statements about messages, and texts of people.
    Told {
        /// The statements.
        receipts: Vec<Receipt>,
        /// The texts.
        texts: Vec<Text>,
    },
}

/// A press of a button.
pub struct Press {
    /// The ids of the one who pressed, as the provider knows them.
    pub ids: Vec<String>,
    /// The value of the button.
    pub value: String,
    /// What the provider calls this press; where it says it twice it is the same.
    pub event: String,
    /// Where the card is.
    pub place: Place,
}

impl std::fmt::Debug for Press {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Press(…)")
    }
}

/// Where a card is, in the provider's own terms. Some of them let whoever has them write.
#[derive(Clone, Default)]
pub struct Place {
    /// The message, the card, or where to write.
    pub card: String,
    /// The chat, where the card alone does not say it.
    pub chat: String,
    /// Who pressed.
    pub person: String,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place(…)")
    }
}

/// What a provider says became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Our key, where it gives that back.
    pub key: Option<String>,
    /// Its own id.
    pub provider_id: Option<String>,
    /// What it says.
    pub what: StatementKind,
    /// Its code.
    pub code: Option<String>,
    /// When it happened, where it says that.
    pub at: Option<Instant>,
}

impl Receipt {
    /// A receipt with texts that are short enough to be ids; `None` where it names no message.
    pub(crate) fn new(key: &str, provider_id: &str, what: StatementKind, code: &str) -> Option<Receipt> {
        let id = |text: &str| Some(text.trim().to_owned()).filter(|t| !t.is_empty() && t.len() <= LONGEST);
        let (key, provider_id) = (id(key), id(provider_id));
        let code = id(code).map(|code| code.chars().filter(|c| !c.is_control()).collect());
        (key.is_some() || provider_id.is_some()).then_some(Receipt { key, provider_id, what, code, at: None })
    }

    /// The same with its time.
    pub(crate) fn at(self, at: Option<Instant>) -> Receipt {
        Receipt { at, ..self }
    }
}

/// What somebody wrote back.
pub struct Text {
    /// Their number.
    pub from: String,
    /// What they wrote.
    pub text: String,
    /// What the provider calls it; where it says it twice it is the same.
    pub event: String,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Text(…)")
    }
}

/// An answer to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The kind of its body.
    pub kind: &'static str,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// Well, and nothing more to say.
    pub fn empty() -> Answer {
        Answer { status: 200, kind: "text/plain; charset=utf-8", body: String::new() }
    }

    /// A document.
    pub fn json(document: &Value) -> Answer {
        Answer { status: 200, kind: "application/json", body: document.to_string() }
    }

    /// A text.
    pub fn text(body: String) -> Answer {
        Answer { body, ..Answer::empty() }
    }

    /// Not kept: say it again.
    pub fn again() -> Answer {
        Answer { status: 503, ..Answer::empty() }
    }
}

/// How something is meant that a person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It is done.
    Good,
    /// It is as it is.
    Plain,
    /// It is not done.
    Bad,
}

/// What a person is shown after a press.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Face {
    /// How it is meant.
    pub tone: Tone,
    /// One passing sentence, for whoever pressed.
    pub say: String,
    /// What the card shows from now on; `None` leaves it as it is. Only of what is committed (§12.2).
    pub card: Option<Card>,
}

/// A card that has been answered: nothing on it can be pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its title.
    pub title: String,
    /// What became of it, such as 已由小林认领 14:21.
    pub state: String,
    /// Its lines.
    pub text: String,
    /// Links that are left on it.
    pub links: Vec<Link>,
}

/// A channel that its provider calls back.
pub trait Hears: Send + Sync {
    /// Whose word it is, and what it says.
    ///
    /// # Errors
    /// It is not taken, and why.
    fn hear(&self, knock: &Knock<'_>) -> Result<Heard, Refusal>;

    /// The answer to a press, with what there is to show.
    fn pressed(&self, press: &Press, face: &Face) -> Answer {
        let _ = (press, face);
        Answer::empty()
    }

    /// The answer to receipts and texts: whether all of it is kept, and what the writer of one text is told.
    fn thanks(&self, kept: bool, say: Option<&str>) -> Answer {
        let _ = say;
        if kept { Answer::empty() } else { Answer::again() }
    }

    /// How long it waits for an answer.
    fn waits(&self) -> Duration {
        PATIENCE
    }

    /// Whether the answer itself shows the card; otherwise it is shown by a call of its own.
    fn answers_with_card(&self) -> bool {
        false
    }

    /// Whether a contact's address is this id.
    fn is_user(&self, address: &str, id: &str) -> bool {
        address.trim() == id
    }

    /// Who else is known by which id: ids of the provider's, and people of the roster.
    fn people(&self) -> Option<&BTreeMap<String, String>> {
        None
    }
}

/// A document in a body; told without anything of it.
pub(crate) fn document(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::Unreadable("the body is no JSON document"))
}

/// The text under a name of a document, `""` where there is none. Numbers count as their digits.
pub(crate) fn text_at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(crate::channels::answers::word).unwrap_or_default()
}

/// The rows of a body: those of an array, or the one object that it is.
pub(crate) fn rows(body: &[u8]) -> Result<Vec<Value>, Refusal> {
    match document(body)? {
        Value::Array(rows) if rows.len() > MOST => Err(Refusal::Unreadable("more than 1000 rows")),
        Value::Array(rows) => Ok(rows),
        row @ Value::Object(_) => Ok(vec![row]),
        _ => Err(Refusal::Unreadable("neither rows nor an object")),
    }
}

/// A time as they write it in China: `2017-01-01 00:00:00`, of +08:00.
pub(crate) fn beijing(text: &str) -> Option<Instant> {
    let at = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text.trim()).ok()?;
    let at = jiff::tz::offset(8).to_timestamp(at).ok()?;
    Some(Instant::from_timestamp(at))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request with these headers and this body, at an instant.
    pub(crate) fn knock<'a>(
        headers: &'a HeaderMap,
        query: &'a str,
        body: &'a [u8],
        pass: Option<&'a str>,
    ) -> Knock<'a> {
        let now = Instant::from_secs(1_790_000_000);
        let method = if body.is_empty() { &Method::GET } else { &Method::POST };
        Knock { method, query, headers, body, pass, caller: Some([203, 0, 113, 9].into()), now }
    }

    /// Headers of these names and values.
    pub(crate) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).try_into().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_time_is_good_for_five_minutes_both_ways() {
        let none = headers(&[]);
        let knock = knock(&none, "", b"x", None);
        for (at, unit, good) in [
            ("1790000000", Unit::Seconds, true),
            ("1789999700", Unit::Seconds, true),
            ("1789999699", Unit::Seconds, false),
            ("1790000300", Unit::Seconds, true),
            ("1790000301", Unit::Seconds, false),
            ("1790000000000", Unit::Millis, true),
            ("1790000000000", Unit::Seconds, false),
            ("1790000000", Unit::Millis, false),
            ("", Unit::Seconds, false),
            ("now", Unit::Seconds, false),
            ("-9223372036854775808", Unit::Millis, false),
            ("9223372036854775807", Unit::Seconds, false),
        ] {
            assert_eq!(knock.is_fresh(at, unit).is_ok(), good, "{at} {unit:?}");
        }
    }

    #[test]
    fn times_of_china_are_read() {
        assert_eq!(beijing("2026-09-21 22:13:20"), Some(Instant::from_secs(1_790_000_000)));
        assert_eq!((beijing(""), beijing("2026-13-01 00:00:00")), (None, None));
    }

    #[test]
    fn a_receipt_names_a_message() {
        let of = |key: &str, id: &str| Receipt::new(key, id, StatementKind::Delivered, "DELIVRD");
        assert!(of("", " ").is_none() && of(&"k".repeat(129), "").is_none());
        assert_eq!(of("K", "").and_then(|r| r.key).as_deref(), Some("K"));
    }
}
