//! What the gateways of all simulated platforms have in common: how they are behaved towards those who ask, and what goes
//! wrong on the way. What a request means is the platform's own file.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde_json::Value;

use super::{Asked, Reply, Simulated};
use crate::core::time::{Instant, Span};
use crate::sim::platforms::shop::Shop;
use crate::sim::random::Dice;

/// How badly a gateway behaves.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// In so many of a thousand requests something goes wrong.
    pub trouble: u16,
    /// More requests a minute than this are throttled; 0 for no limit.
    pub per_minute: u32,
    /// From and up to when nothing is answered.
    pub outages: Vec<(Instant, Instant)>,
    /// The platform's clock minus the true one, in ms.
    pub skew_ms: i64,
    /// Methods that the app was not given.
    pub refused: Vec<&'static str>,
    /// Methods that are out of order, while the others answer.
    pub broken: Vec<&'static str>,
    /// Windows may reach up to now: the other reading of a sentence that can be read in two ways.
    pub open_end: bool,
}

/// What a gateway knows of those who ask.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// How it behaves.
    pub manners: Manners,
    dice: Dice,
    minute: (i64, u32),
    /// Requests, by method.
    pub requests: BTreeMap<String, u64>,
    /// Refusals, by code.
    pub refusals: BTreeMap<String, u64>,
}

/// Why a method is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The app was not given it.
    Refused,
    /// It is out of order.
    Broken,
}

/// What went wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The platform says that it is busy.
    Busy,
    /// Something between says so, as HTML.
    Html,
    /// The same, with a status that says nothing.
    Odd,
    /// Nothing comes back.
    Dropped,
    /// It was taken, and is cut on the way back.
    Cut,
}

impl Gateway {
    /// One that behaves like this; the seed says when.
    pub fn new(seed: u64, manners: Manners) -> Gateway {
        Gateway {
            manners,
            dice: Dice::new(seed ^ 0x6a7e),
            minute: (0, 0),
            requests: BTreeMap::new(),
            refusals: BTreeMap::new(),
        }
    }

    /// Counts a request.
    pub fn count(&mut self, method: &str) {
        *self.requests.entry(method.to_owned()).or_default() += 1;
    }

    /// Counts a refusal.
    pub fn refused(&mut self, code: impl Display) {
        *self.refusals.entry(code.to_string()).or_default() += 1;
    }

    /// Whether a method is refused, or out of order.
    pub fn closed(&self, method: &str) -> Option<Closed> {
        let Manners { refused, broken, .. } = &self.manners;
        match (refused.contains(&method), broken.contains(&method)) {
            (true, _) => Some(Closed::Refused),
            (_, true) => Some(Closed::Broken),
            _ => None,
        }
    }

    /// Whether this request is one too many for its minute.
    pub fn throttles(&mut self, now: Instant) -> bool {
        let minute = now.as_secs() / 60;
        self.minute = if self.minute.0 == minute { (minute, self.minute.1 + 1) } else { (minute, 1) };
        self.manners.per_minute > 0 && self.minute.1 > self.manners.per_minute
    }

    /// Its own time, when the true one is `now`.
    pub fn clock(&self, now: Instant) -> Instant {
        Instant::from_millis(now.as_millis() + self.manners.skew_ms)
    }

    fn trouble(&mut self, now: Instant) -> Option<Trouble> {
        if self.manners.outages.iter().any(|(from, to)| *from <= now && now < *to) {
            return self.dice.pick(&[Trouble::Dropped, Trouble::Html, Trouble::Busy]).copied();
        }
        if self.dice.below(1000) >= usize::from(self.manners.trouble) {
            return None;
        }
        let all = [Trouble::Busy, Trouble::Html, Trouble::Odd, Trouble::Dropped, Trouble::Cut];
        self.dice.pick(&all).copied()
    }
}

/// Tokens as a gateway gives them out.
#[derive(Clone, Debug)]
pub struct Issue {
    /// The one that is good now, and until when.
    pub access: (String, Instant),
    /// What gets another.
    pub refresh: String,
    /// The one before: good until the new ones are used, because answers get lost.
    pub before: Option<String>,
    renewals: u32,
    life: Span,
}

impl Issue {
    /// The first ones, given out at `now`, each good for `life`.
    pub fn new(now: Instant, life: Span) -> Issue {
        let first = |word: &str| format!("sim-{word}-0");
        Issue {
            access: (first("access"), now + life),
            refresh: first("refresh"),
            before: None,
            renewals: 0,
            life,
        }
    }

    /// How often they were renewed.
    pub fn renewals(&self) -> u32 {
        self.renewals
    }

    /// Gives out others for a refresh token. Whether it was good.
    pub fn renew(&mut self, refresh: &str, now: Instant) -> bool {
        if refresh != self.refresh && self.before.as_deref() != Some(refresh) {
            return false;
        }
        self.renewals += 1;
        self.access = (format!("sim-access-{}", self.renewals), now + self.life);
        let before = std::mem::replace(&mut self.refresh, format!("sim-refresh-{}", self.renewals));
        self.before = self.before.take().or(Some(before));
        true
    }

    /// Whether a request may come in with this token. Once the new one is used the old ones are of no use.
    pub fn admits(&mut self, access: &str, now: Instant) -> bool {
        let good = access == self.access.0 && now < self.access.1;
        if good {
            self.before = None;
        }
        good
    }
}

/// What a gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What it says the body is.
    pub content_type: &'static str,
    /// The body.
    pub text: String,
}

/// What JSON is called by all of them.
pub const JSON: &str = "application/json;charset=UTF-8";

impl From<Value> for Said {
    fn from(value: Value) -> Said {
        Said { content_type: JSON, text: value.to_string() }
    }
}

/// A shop behind a gateway.
pub trait Mall: Send + 'static {
    /// The shop.
    fn shop(&mut self) -> &mut Shop;

    /// The gateway.
    fn gateway(&mut self) -> &mut Gateway;

    /// Answers a request that arrived whole. `now` is the gateway's own time.
    fn call(&mut self, asked: &Asked, now: Instant) -> Said;

    /// Says that it is busy.
    fn busy(&mut self) -> Said;
}

impl<M: Mall> Simulated for M {
    fn answer(&mut self, asked: &Asked, now: Instant) -> Reply {
        let now = self.gateway().clock(now);
        self.shop().advance(now);
        let reply =
            |status, content_type, body| Reply { status, content_type, body, date: now, dropped: false };
        let told = |said: Said| reply(200, said.content_type, said.text.into_bytes());
        match self.gateway().trouble(now) {
            None => told(self.call(asked, now)),
            Some(Trouble::Busy) => told(self.busy()),
            Some(Trouble::Html) => {
                reply(502, "text/html", b"<html><body>502 Bad Gateway</body></html>".to_vec())
            }
            Some(Trouble::Odd) => reply(
                200,
                "text/html; charset=gbk",
                b"<html>\xb7\xfe\xce\xf1\xc6\xf7\xc3\xa6</html>".to_vec(),
            ),
            Some(Trouble::Dropped) => Reply { dropped: true, ..reply(0, JSON, Vec::new()) },
            Some(Trouble::Cut) => {
                let said = self.call(asked, now);
                let mut body = said.text.into_bytes();
                body.truncate(body.len() / 2);
                reply(200, said.content_type, body)
            }
        }
    }
}
