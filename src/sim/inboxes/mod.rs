//! Simulated inboxes: the providers of messages as they answer, and what people would see of it. Written from the
//! providers' published documents (`apis/channels`), not by them: whatever is shown by one is labelled as simulated.
//!
//! Each is a value that answers requests at a given time ([`Inbox`]), so that a day passes in seconds; [`serve`] puts all
//! of them behind a socket. They check signature, time, token, form and size by the documents' own formulas and not by the
//! code that sends; they count as the real ones count, and punish as they punish: a DingTalk robot that is too fast is
//! muted for ten minutes, a message too many to one WeCom account is dropped without a word, a number that had enough says
//! so until tomorrow. [`Service`] is one of them with its weather and with all that it has shown.

mod aliyun;
mod dingtalk;
mod feishu;
pub mod here;
mod huawei;
mod kannel;
mod matrix;
pub mod serve;
mod shown;
mod slack;
mod table;
mod teams;
mod telegram;
mod tencent;
#[cfg(test)]
mod tests;
mod twilio;
mod wecom;
mod window;

use serde_json::Value;

use super::platforms::Asked;
use crate::core::time::{Instant, Span};

pub use shown::{Button, Form, Seen, Shown};
pub use table::{HOOK, KINDS, Kind, SECRET, kind};

/// A provider that answers.
pub trait Inbox: Send + std::fmt::Debug {
    /// Answers a request that arrives when it is `now` in truth.
    fn take(&mut self, asked: &Asked, now: Instant) -> Taken;

    /// Somebody else writes by the same account, until it is at its limit: from now on every message is one too many.
    fn crowd(&mut self);
}

/// What a provider did to us for what we did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// The robot is mute for a while, or it was and was asked again.
    Muted,
    /// Refused, because there were too many lately.
    TooFast,
    /// Refused, because this number or person had enough.
    OverCap,
    /// Answered with success, and shown to nobody.
    Dropped,
    /// A second copy that its key told: not shown again.
    Known,
}

/// What a provider answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers beside the kind of the body.
    pub headers: Vec<(&'static str, String)>,
    /// What it says the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Answer {
        Answer { status, headers: Vec::new(), content_type: "application/json", body: body.to_string() }
    }

    fn text(status: u16, body: &str) -> Answer {
        Answer {
            status,
            headers: Vec::new(),
            content_type: "text/plain; charset=utf-8",
            body: body.to_owned(),
        }
    }

    fn with(mut self, name: &'static str, value: String) -> Answer {
        self.headers.push((name, value));
        self
    }
}

/// What comes of a request.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What is answered.
    pub answer: Answer,
    /// What a person sees of it.
    pub shown: Option<Shown>,
    /// What it was punished with.
    pub strike: Option<Strike>,
    /// What the provider pushes later, by our key.
    pub receipt: Option<Receipt>,
}

/// A receipt that a provider will push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Our key, as the request carried it.
    pub key: String,
    /// Its own id of the message.
    pub provider_id: String,
    /// Whether it arrived.
    pub delivered: bool,
    /// Where to, when the request said so.
    pub url: Option<String>,
}

impl From<Answer> for Taken {
    fn from(answer: Answer) -> Taken {
        Taken { answer, shown: None, strike: None, receipt: None }
    }
}

impl Taken {
    fn shown(mut self, shown: Shown) -> Taken {
        self.shown = Some(shown);
        self
    }

    fn struck(mut self, strike: Strike) -> Taken {
        self.strike = Some(strike);
        self
    }

    fn receipt(mut self, receipt: Receipt) -> Taken {
        self.receipt = Some(receipt);
        self
    }
}

/// What is wrong with a provider at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// It takes nothing and says so, in HTML.
    Busy,
    /// It takes what it is sent and answers nothing.
    Silent,
    /// It takes nothing and answers nothing.
    Deaf,
    /// It takes what it is sent, and answers when a second and a half are over.
    Late,
}

/// Addresses and contents that every simulated provider refuses, so that tests can ask for it: users and rooms whose id
/// holds `gone`, numbers that end in `404`, texts that hold [`FORBIDDEN`].
fn is_gone(address: &str) -> bool {
    address.contains("gone") || address.ends_with("404")
}

/// A word that no provider lets through that reads what it is given.
pub const FORBIDDEN: &str = "违禁词";

/// A provider with its weather, and with all that it has shown.
#[derive(Debug)]
pub struct Service {
    /// What it is.
    pub kind: &'static Kind,
    inbox: Box<dyn Inbox>,
    /// What is wrong with it.
    pub trouble: Trouble,
    /// What people see, the oldest first.
    pub seen: Vec<Seen>,
    /// What it was made to do, and when.
    pub strikes: Vec<(Instant, Strike)>,
    /// Receipts that wait to be pushed.
    pub receipts: Vec<Receipt>,
    /// How many requests for messages reached it, whatever came of them.
    pub asked: u64,
    count: u64,
}

/// So many messages are kept.
const MOST: usize = 20_000;

impl Service {
    /// The provider of a kind, in fine weather.
    pub fn new(kind: &'static Kind) -> Service {
        Service {
            kind,
            inbox: (kind.make)(),
            trouble: Trouble::None,
            seen: Vec::new(),
            strikes: Vec::new(),
            receipts: Vec::new(),
            asked: 0,
            count: 0,
        }
    }

    /// Answers a request; `None` when nothing comes back.
    pub fn ask(&mut self, asked: &Asked, now: Instant) -> Option<Answer> {
        self.asked += 1;
        match self.trouble {
            Trouble::Busy => {
                return Some(Answer::text(503, "<html>503 Service Temporarily Unavailable</html>"));
            }
            Trouble::Deaf => return None,
            Trouble::None | Trouble::Silent | Trouble::Late => {}
        }
        let taken = self.inbox.take(asked, now);
        self.strikes.extend(taken.strike.map(|strike| (now, strike)));
        if let Some(shown) = taken.shown {
            self.count += 1;
            self.seen.push(Seen { n: self.count, at: now, app: self.kind.name, shown });
            if self.seen.len() > MOST {
                self.seen.drain(..MOST / 10);
            }
        }
        if self.receipts.len() < MOST {
            self.receipts.extend(taken.receipt);
        }
        (self.trouble != Trouble::Silent).then_some(taken.answer)
    }

    /// Somebody else uses its limits up.
    pub fn crowd(&mut self) {
        self.inbox.crowd();
    }

    /// How often it punished us in this way.
    pub fn struck(&self, strike: Strike) -> usize {
        self.strikes.iter().filter(|(_, known)| *known == strike).count()
    }
}

/// A stretch of seconds.
const fn secs(secs: i64) -> Span {
    Span::from_secs(secs)
}

/// A number that counts up, as ids do.
#[derive(Clone, Debug, Default)]
struct Serial(u64);

impl Serial {
    fn next(&mut self, before: &str) -> String {
        self.0 += 1;
        format!("{before}{:010}", self.0)
    }
}

/// Tokens of an application, good for two hours.
#[derive(Clone, Debug, Default)]
struct Passes {
    given: Vec<(String, Instant)>,
}

/// What a token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Good,
    Expired,
    Unknown,
}

impl Passes {
    const LIFE: Span = Span::from_minutes(120);

    /// Another token; those before stay good until they run out.
    fn give(&mut self, now: Instant) -> String {
        let token = format!("sim-token-{}", self.given.len() + 1);
        self.given.push((token.clone(), now + Passes::LIFE));
        token
    }

    fn check(&self, token: &str, now: Instant) -> Pass {
        match self.given.iter().find(|(known, _)| known == token) {
            Some((_, until)) if now < *until => Pass::Good,
            Some(_) => Pass::Expired,
            None => Pass::Unknown,
        }
    }
}

/// A text under a name of an object; empty where there is none.
fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// What stands behind `Bearer` in the header of a request.
fn bearer(asked: &Asked) -> &str {
    asked.headers.get("authorization").and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default()
}

/// The body as a JSON document, whatever it says that it is; `None` where it is none.
fn document(asked: &Asked) -> Option<Value> {
    asked.json().map(Value::Object)
}

fn header<'a>(asked: &'a Asked, name: &str) -> &'a str {
    asked.headers.get(name).map(String::as_str).unwrap_or_default()
}

fn parameter<'a>(asked: &'a Asked, name: &str) -> &'a str {
    asked.query.get(name).map(String::as_str).unwrap_or_default()
}
