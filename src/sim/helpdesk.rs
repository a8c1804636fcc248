//! A simulated help desk of a shop's own: buyers ask, people on shift answer, mostly in time. It speaks a small JSON API
//! such as in-house systems have: `GET /api/tickets?updated_after=…&page=…`, with a bearer token.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::platforms::{Asked, Reply, Simulated};
use crate::core::time::{Instant, Span};
use crate::sim::random::Dice;
use crate::sources::sign::same;

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// What it is about, and nothing of who asks.
    pub subject: &'static str,
    /// The shop.
    pub shop: &'static str,
    /// When the buyer asked.
    pub asked: Instant,
    /// When somebody answered.
    pub answered: Option<Instant>,
    /// When it was over.
    pub closed: Option<Instant>,
    /// When it was changed.
    pub updated: Instant,
}

impl Ticket {
    fn status(&self) -> &'static str {
        match (self.answered, self.closed) {
            (_, Some(_)) => "closed",
            (Some(_), _) => "pending",
            _ => "open",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Ask,
    Answer(u64),
    Close(u64),
}

/// The help desk.
#[derive(Debug)]
pub struct HelpDesk {
    token: String,
    dice: Dice,
    /// The tickets by number.
    pub tickets: BTreeMap<u64, Ticket>,
    agenda: BTreeMap<(Instant, u64), Event>,
    planned: u64,
    /// Seconds between two questions, on the average.
    every: i64,
}

/// Tickets a page.
const PAGE: usize = 50;

const SUBJECTS: &[&str] =
    &["什么时候发货", "物流不动了", "尺码不合适想换", "收到有破损", "发票怎么开", "退款多久到账"];
const SHOPS: &[&str] = &["flagship", "outlet"];

impl HelpDesk {
    /// One that is asked something every so many seconds, from `now` on. Whoever reads it needs the token.
    pub fn new(seed: u64, token: &str, now: Instant, every: Span) -> HelpDesk {
        let mut desk = HelpDesk {
            token: token.to_owned(),
            dice: Dice::new(seed ^ 0x7e1d),
            tickets: BTreeMap::new(),
            agenda: BTreeMap::new(),
            planned: 0,
            every: every.as_secs().max(1),
        };
        desk.plan(now, Event::Ask);
        desk
    }

    fn plan(&mut self, at: Instant, event: Event) {
        self.planned += 1;
        self.agenda.insert((Instant::from_secs(at.as_secs()), self.planned), event);
    }

    /// Puts in a ticket by hand that nobody answers before `answered`.
    pub fn forget(&mut self, asked: Instant, answered: Instant) -> u64 {
        let number = self.ask(asked);
        self.plan(answered, Event::Answer(number));
        number
    }

    fn ask(&mut self, asked: Instant) -> u64 {
        let asked = Instant::from_secs(asked.as_secs());
        let number = self.tickets.len() as u64 + 1001;
        let subject = self.dice.pick(SUBJECTS).copied().unwrap_or_default();
        let shop = self.dice.pick(SHOPS).copied().unwrap_or_default();
        let ticket = Ticket { subject, shop, asked, answered: None, closed: None, updated: asked };
        self.tickets.insert(number, ticket);
        number
    }

    /// Lets it move on to `now`.
    pub fn advance(&mut self, now: Instant) {
        while let Some(entry) = self.agenda.first_entry().filter(|e| e.key().0 <= now) {
            let ((at, _), event) = entry.remove_entry();
            match event {
                Event::Ask => {
                    let number = self.ask(at);
                    // Most are answered in time, some late, and a few are forgotten for long.
                    let (from, to) = match self.dice.below(100) {
                        0..=84 => (40, 900),
                        85..=94 => (1000, 2400),
                        _ => (3000, 7000),
                    };
                    let answer = at + self.dice.span(from, to);
                    self.plan(answer, Event::Answer(number));
                    let next = at + self.dice.span(1, 2 * self.every);
                    self.plan(next, Event::Ask);
                }
                Event::Answer(number) => {
                    if let Some(ticket) = self.tickets.get_mut(&number) {
                        (ticket.answered, ticket.updated) = (Some(at), at);
                    }
                    let over = at + self.dice.span(600, 5000);
                    self.plan(over, Event::Close(number));
                }
                Event::Close(number) => {
                    if let Some(ticket) = self.tickets.get_mut(&number) {
                        (ticket.closed, ticket.updated) = (Some(at), at);
                    }
                }
            }
        }
    }

    fn told(&self, asked: &Asked, now: Instant) -> (u16, Value) {
        let error = |status: u16, text: &str| (status, json!({ "error": text }));
        let bearer = asked.headers.get("authorization").and_then(|h| h.strip_prefix("Bearer "));
        if !bearer.is_some_and(|given| given.len() == self.token.len() && same(given, &self.token)) {
            return error(401, "unknown token");
        }
        if asked.method != "GET" || asked.path != "/api/tickets" {
            return error(404, "no such resource");
        }
        let after = match asked.query.get("updated_after").map(|text| Instant::parse(text)) {
            Some(Ok(at)) => at,
            Some(Err(_)) => return error(400, "updated_after: expected an instant (RFC 3339)"),
            None => Instant::from_secs(0),
        };
        let page = asked.query.get("page").and_then(|p| p.parse::<usize>().ok()).unwrap_or(1).max(1);
        let mut found: Vec<(&u64, &Ticket)> =
            self.tickets.iter().filter(|(_, t)| t.updated >= after && t.updated <= now).collect();
        found.sort_by_key(|(number, ticket)| (ticket.updated, **number));
        let total = found.len();
        let rows: Vec<Value> = found
            .into_iter()
            .skip((page - 1).saturating_mul(PAGE))
            .take(PAGE)
            .map(|(number, ticket)| {
                json!({
                    "id": number, "subject": ticket.subject, "shop": ticket.shop, "status": ticket.status(),
                    "asked_at": ticket.asked, "answered_at": ticket.answered, "closed_at": ticket.closed,
                    "updated_at": ticket.updated,
                })
            })
            .collect();
        (200, json!({ "tickets": rows, "total": total, "page": page, "per_page": PAGE }))
    }
}

impl Simulated for HelpDesk {
    fn answer(&mut self, asked: &Asked, now: Instant) -> Reply {
        self.advance(now);
        let (status, body) = self.told(asked, now);
        Reply {
            status,
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            date: now,
            dropped: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_secs(1_767_571_200);

    fn asked(query: &[(&str, &str)], token: &str) -> Asked {
        Asked {
            method: "GET".to_owned(),
            path: "/api/tickets".to_owned(),
            query: query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            headers: [("authorization".to_owned(), format!("Bearer {token}"))].into(),
            body: Vec::new(),
        }
    }

    #[test]
    fn a_shift_has_tickets_in_time_late_and_forgotten() {
        let mut desk = HelpDesk::new(4, "t0ken", START, Span::from_secs(120));
        let end = START + Span::HOUR.times(10);
        desk.advance(end);
        let waited = |t: &Ticket| t.answered.unwrap_or(end).since(t.asked);
        let late = desk.tickets.values().filter(|t| waited(t) > Span::from_minutes(20)).count();
        let long = desk.tickets.values().filter(|t| waited(t) > Span::from_minutes(50)).count();
        let all = desk.tickets.len();
        assert!(
            (250..350).contains(&all) && late > all / 20 && late < all / 4 && long > 5,
            "{all} {late} {long}"
        );
    }

    #[test]
    fn it_pages_by_the_last_change_and_lets_nobody_else_in() {
        let mut desk = HelpDesk::new(4, "t0ken", START, Span::from_secs(120));
        let now = START + Span::HOUR.times(5);
        let mut read = |query: &[(&str, &str)], token: &str| {
            let reply = desk.answer(&asked(query, token), now);
            (reply.status, serde_json::from_slice::<Value>(&reply.body).unwrap())
        };
        assert_eq!(read(&[], "t0kem").0, 401);
        assert_eq!(read(&[("updated_after", "soon")], "t0ken").0, 400);
        let (status, first) = read(&[], "t0ken");
        assert_eq!((status, first["tickets"].as_array().unwrap().len()), (200, PAGE));
        let total = usize::try_from(first["total"].as_u64().unwrap()).unwrap();
        let pages = total.div_ceil(PAGE).to_string();
        assert_eq!(read(&[("page", &pages)], "t0ken").1["tickets"].as_array().unwrap().len(), total % PAGE);
        let last =
            read(&[("page", &pages)], "t0ken").1["tickets"].as_array().unwrap().last().unwrap().clone();
        let after = last["updated_at"].as_str().unwrap();
        let since = read(&[("updated_after", after)], "t0ken").1;
        assert!(since["tickets"].as_array().unwrap().contains(&last) && since["total"].as_u64() < Some(5));
    }
}
