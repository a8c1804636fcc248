//! A ticket system as bad as real ones: every style of paging, rows that change while they are read, throttling, errors in
//! answers that say 200, tokens that end. Made up for these tests.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK, RETRY_AFTER};
use serde_json::{Value, json};

use crate::core::time::{Instant, Span};

pub(super) const START: Instant = Instant::from_secs(1_767_571_200);
/// Above 2^53.
const FIRST_ID: u64 = 9_007_199_254_740_993;

pub(super) struct Ticket {
    pub(super) opened: Instant,
    pub(super) modified: Instant,
    pub(super) status: &'static str,
    pub(super) due: Instant,
    pub(super) messages: Vec<(u64, bool, Instant)>,
    /// Until then it is shown as it was before: its change and status; a new one not at all.
    visible: Instant,
    before: Option<(Instant, &'static str)>,
}

impl Ticket {
    /// Its change and status as it is shown at `now`.
    fn shown(&self, now: Instant) -> Option<(Instant, &'static str)> {
        if self.visible <= now { Some((self.modified, self.status)) } else { self.before }
    }
}

pub(super) struct Server {
    pub(super) tickets: BTreeMap<u64, Ticket>,
    pub(super) now: Instant,
    /// So many of a thousand requests go wrong.
    pub(super) trouble: u64,
    /// In so many of a thousand requests a ticket changes meanwhile.
    pub(super) restless: u64,
    pub(super) outage: Option<(Instant, Instant)>,
    pub(super) per_minute: usize,
    pub(super) requests: u64,
    pub(super) tokens_given: u64,
    pub(super) throttles: u64,
    pub(super) faults: BTreeSet<&'static str>,
    pub(super) origin: String,
    lately: Vec<Instant>,
    token: (String, Instant),
    dice: u64,
    next_message: u64,
}

pub(super) struct Wire<'w> {
    pub(super) method: &'w str,
    pub(super) path: &'w str,
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: &'w HeaderMap,
    pub(super) body: &'w str,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Reply {
    fn json(body: &Value) -> Reply {
        Reply {
            status: 200,
            headers: HeaderMap::new(),
            content_type: "application/json",
            body: body.to_string(),
        }
    }

    fn status(status: u16, text: &str) -> Reply {
        Reply { status, content_type: "text/html", body: text.to_owned(), ..Reply::json(&Value::Null) }
    }
}

impl Server {
    pub(super) fn new(seed: u64, count: u64) -> Server {
        let mut server = Server {
            tickets: BTreeMap::new(),
            now: START,
            trouble: 0,
            restless: 0,
            outage: None,
            per_minute: usize::MAX,
            requests: 0,
            tokens_given: 0,
            throttles: 0,
            faults: BTreeSet::new(),
            origin: "http://127.0.0.1".to_owned(),
            lately: Vec::new(),
            token: (String::new(), START),
            dice: seed.wrapping_mul(2).wrapping_add(77),
            next_message: 0,
        };
        for n in 0..count {
            let back = Span::from_millis(server.roll(50 * 60_000) as i64);
            server.open(FIRST_ID + n * 7, START - back);
        }
        server
    }

    fn roll(&mut self, n: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % n
    }

    fn open(&mut self, id: u64, at: Instant) {
        let mut ticket = Ticket {
            opened: at,
            modified: at,
            status: "open",
            due: Instant::from_secs(at.as_secs()) + Span::HOUR.times(4),
            messages: Vec::new(),
            visible: at,
            before: None,
        };
        self.next_message += 1;
        ticket.messages.push((self.next_message, false, at));
        self.tickets.insert(id, ticket);
    }

    /// Tickets change while somebody reads.
    pub(super) fn stir(&mut self, count: u64) {
        for _ in 0..count {
            if self.roll(20) == 0 {
                let id = FIRST_ID + (self.tickets.len() as u64) * 7;
                self.open(id, self.now);
                continue;
            }
            let place = self.roll(self.tickets.len() as u64) as usize;
            let (word, late) = (["open", "waiting", "closed"][self.roll(3) as usize], self.roll(10));
            let from_us = self.roll(2) == 0;
            self.next_message += 1;
            let (now, message) = (self.now, self.next_message);
            let Some(ticket) = self.tickets.values_mut().nth(place) else { continue };
            ticket.before = ticket.shown(now);
            ticket.modified = now;
            ticket.status = word;
            ticket.messages.push((message, from_us, now));
            // Every tenth change shows up to two minutes late.
            ticket.visible = if late == 0 { now + Span::from_secs(110) } else { now };
        }
    }

    pub(super) fn answer(&mut self, wire: &Wire<'_>) -> Reply {
        self.requests += 1;
        let now = self.now;
        if self.roll(1000) < self.restless {
            self.stir(1);
        }
        if self.outage.is_some_and(|(from, to)| from <= now && now < to) {
            return Reply::status(503, "<html>down</html>");
        }
        self.lately.retain(|at| *at > now - Span::MINUTE);
        if self.lately.len() >= self.per_minute {
            self.throttles += 1;
            let mut reply = Reply::status(429, "");
            reply.headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
            return reply;
        }
        self.lately.push(now);
        if self.roll(1000) < self.trouble {
            let faults = ["status", "html", "inside", "cut", "no list"];
            let fault = faults[self.roll(5) as usize];
            self.faults.insert(fault);
            return match fault {
                "status" => Reply::status(500, "oops"),
                "html" => Reply::status(200, "<html>please log in</html>"),
                "inside" => Reply::json(&json!({ "code": "BUSY", "message": "张三 13912345678" })),
                "cut" => Reply::status(200, "{\"data\":["),
                _ => Reply::json(&json!({ "code": 0 })),
            };
        }
        if wire.path == "/oauth/token" {
            return self.give_token(wire);
        }
        let shown = wire.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if shown != format!("Bearer {}", self.token.0) || now >= self.token.1 {
            return Reply::status(401, "{}");
        }
        match wire.path.strip_prefix("/api/tickets/") {
            Some(id) => self.ticket(id),
            None => self.page(wire),
        }
    }

    fn give_token(&mut self, wire: &Wire<'_>) -> Reply {
        let form: BTreeMap<String, String> = reqwest::Url::parse(&format!("http://x/?{}", wire.body))
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect();
        let shown = wire.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
        // desk:s3cret
        if wire.method != "POST"
            || shown != "Basic ZGVzazpzM2NyZXQ="
            || form["grant_type"] != "client_credentials"
        {
            return Reply::status(401, "{\"error\":\"invalid_client\"}");
        }
        self.tokens_given += 1;
        let until = self.now + Span::from_minutes(10);
        self.token = (format!("t0ken-{}", self.tokens_given), until);
        Reply::json(&json!({ "access_token": self.token.0, "token_type": "bearer", "expires_in": 600 }))
    }

    fn ticket(&self, id: &str) -> Reply {
        let Some(ticket) = id.parse().ok().and_then(|id: u64| self.tickets.get(&id)) else {
            return Reply::status(404, "{}");
        };
        let messages: Vec<Value> = ticket
            .messages
            .iter()
            .map(|(id, from_us, at)| json!({ "id": id, "from": if *from_us { "us" } else { "buyer" }, "at": at.as_millis(), "text": "我的电话 13912345678" }))
            .collect();
        Reply::json(&json!({ "ticket": { "messages": messages } }))
    }

    fn page(&mut self, wire: &Wire<'_>) -> Reply {
        let text = |name: &str| wire.query.get(name).cloned();
        let number = |name: &str| text(name).and_then(|t| t.parse::<usize>().ok());
        let instant = |name: &str| text(name).and_then(|t| Instant::parse(&t).ok());
        let from = instant("from").unwrap_or(START - Span::DAY.times(900));
        let to = instant("to").unwrap_or(START + Span::DAY.times(900));
        let size = number("size").unwrap_or(usize::MAX);
        let now = self.now;
        let shown = self.tickets.iter().filter_map(|(id, t)| Some((t.shown(now)?.0, *id)));
        let mut rows: Vec<(Instant, u64)> = shown.filter(|(at, _)| from <= *at && *at <= to).collect();
        let style = wire.path.trim_start_matches("/api/");
        match style {
            "newest" => rows.sort_by_key(|(at, id)| (std::cmp::Reverse(*at), *id)),
            "keyset" | "cursor" => rows.sort_unstable(),
            _ => rows.sort_by_key(|(_, id)| *id),
        }
        let total = rows.len();
        if let Some((at, id)) = text("cursor").as_deref().and_then(|text| text.split_once('.')) {
            let after = (Instant::from_millis(at.parse().unwrap()), id.parse().unwrap());
            rows.retain(|row| *row > after);
        }
        let skip =
            number("offset").unwrap_or_else(|| size.saturating_mul(number("page").unwrap_or(1).max(1) - 1));
        let left = rows.len().saturating_sub(skip);
        let page: Vec<(Instant, u64)> = rows.into_iter().skip(skip).take(size).collect();
        let data: Vec<Value> = page
            .iter()
            .map(|(at, id)| {
                let ticket = &self.tickets[id];
                let status = ticket.shown(now).map_or("", |(_, status)| status);
                json!({
                    "id": id, "updated": at.to_string(), "status": status, "opened": ticket.opened.as_millis(),
                    "due": ticket.due.as_secs(), "closed_at": if status == "closed" { json!(at.to_string()) } else { Value::Null },
                    "buyer": { "name": "张三", "phone": "13912345678" },
                })
            })
            .collect();
        let mut body = json!({ "code": 0, "data": data });
        let mut reply = Reply::json(&Value::Null);
        let more = left > page.len();
        let page_number = number("page").unwrap_or(1);
        let next = format!("/api/{style}?from={from}&size={size}&page={}", page_number + 1);
        match style {
            "newest" => body["total"] = total.into(),
            "cursor" if more => {
                let (at, id) = page[page.len() - 1];
                body["next"] = format!("{}.{id}", at.as_millis()).into();
            }
            "links" if more => body["links"] = json!({ "next": format!("{}{next}", self.origin) }),
            "header" if more => {
                let value =
                    format!("</api/first>; rel=first, <{}>; rel=\"next\"", next.trim_start_matches("/api/"));
                reply.headers.insert(LINK, HeaderValue::from_str(&value).unwrap());
            }
            _ => {}
        }
        reply.body = body.to_string();
        reply
    }
}
