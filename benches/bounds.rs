//! The bounds B1–B11 and B14–B17 of the delivery semantics on the real program, with 10,000 and 100,000 open incidents.
//!
//! A source is pushed here, so its poll interval is nothing. `SHIFTBELL_INCIDENTS=10000,…` asks for other numbers.

#![allow(clippy::disallowed_methods, reason = "a bench of the whole program runs in real time, beside it")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::desk::{ONE_LEVEL, PEOPLE, asked, asked_by_vip, config, reply};
use common::hook::Hook;
use common::live::{Program, now_ms, rfc3339, wait_for};
use common::table::{Spans, fact, head, line, load};
use common::watch::Watch;
use rusqlite::Connection;

/// The promise.
const TARGET: i64 = 3_600_000;
/// Long enough for anything here.
const PATIENCE: Duration = Duration::from_secs(90);

fn main() {
    let counts = std::env::var("SHIFTBELL_INCIDENTS").unwrap_or_else(|_| "10000,100000".to_owned());
    for open in counts.split(',').filter_map(|n| n.trim().parse().ok()) {
        Bench::new(open).run();
    }
}

struct Bench {
    open: u64,
    folder: tempfile::TempDir,
    hook: Hook,
    second: Hook,
    program: Option<Program>,
    next: u64,
}

impl Bench {
    fn new(open: u64) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let (hook, second) = (Hook::open(), Hook::open());
        let program = Program::start(folder.path(), &text(&hook, &second, 0, false));
        Bench { open, folder, hook, second, program: Some(program), next: 1_000_000 }
    }

    fn run(mut self) {
        let late = now_ms() - TARGET - 60_000;
        let mut client = self.program().client();
        for from in (0..self.open).step_by(1000) {
            let lines: String = (from..(from + 1000).min(self.open)).map(|n| asked(n, late)).collect();
            client.push(&lines);
        }
        drop(client);
        let store = self.store();
        let count = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0);
        wait_for("all to be told", Duration::from_secs(300), || {
            std::thread::sleep(Duration::from_millis(500));
            count("SELECT count(*) FROM notice WHERE state <> 'open'") >= self.open as i64
        });
        drop(store);
        head(&format!("bounds with {} open incidents", self.open));
        self.detection();
        self.acks();
        self.answers();
        self.reloads();
        self.failures();
        self.silence();
        self.notices();
        let (program, overdue) = self.restart();
        self.program = Some(program);
        line("B11 process start → first due send", "5 s", &overdue);
        self.stop();
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn program(&self) -> &Program {
        self.program.as_ref().expect("it runs")
    }

    fn store(&self) -> Connection {
        Connection::open(self.folder.path().join("data/shiftbell.db")).expect("the store")
    }

    /// B1–B4: urgent tickets that come due, and ones that are late already when they are seen.
    fn detection(&mut self) {
        let watch = Watch::begin(&self.folder.path().join("data/shiftbell.db"));
        let from = now_ms() + 3000;
        let due: BTreeMap<u64, i64> = (0..400).map(|i| (self.number(), from + i * 40)).collect();
        let lines: String = due.iter().map(|(n, due)| asked_by_vip(*n, due - TARGET)).collect();
        let mut client = self.program().client();
        client.push(&lines);
        let all = |hook: &Hook| due.keys().all(|n| hook.tickets().contains_key(n));
        std::thread::sleep(Duration::from_secs(19));
        wait_for("the tickets that came due", PATIENCE, || all(&self.hook));
        let (mut seen, mut accepted) = (Spans::default(), Spans::default());
        for _ in 0..200 {
            let n = self.number();
            let (began, at) = (Instant::now(), now_ms());
            client.push(&asked_by_vip(n, at - TARGET - 1000));
            seen.took(began.elapsed());
            wait_for("a late ticket", PATIENCE, || self.hook.tickets().contains_key(&n));
            accepted.push((self.hook.tickets()[&n] - at) as f64);
        }
        let (committed, told) = (watch.end(), self.hook.tickets());
        let (mut to_commit, mut to_send) = (Spans::default(), Spans::default());
        for (n, due) in &due {
            let (Some(at), Some(sent)) = (committed.get(n), told.get(n)) else { continue };
            to_commit.push((at - due) as f64);
            // The reader looks every 5 ms: a send may seem to come before the commit.
            to_send.push((sent - at).max(0) as f64);
        }
        line("B1  crossing visible → incident committed", "2 s", &seen);
        line("B2  timer due → committed", "1.5 s, max 3 s", &to_commit);
        line("B3  message ready → first byte", "1 s", &to_send);
        line("B4  crossing visible → accepted (P0)", "5 s", &accepted);
    }

    /// B8: what people have is not claimed any more.
    fn acks(&mut self) {
        let mut client = self.program().client();
        let mut operator = self.program().client().into_operator();
        let numbers: Vec<u64> = (0..100).map(|_| self.number()).collect();
        let late = now_ms() - TARGET - 1000;
        client.push(&numbers.iter().map(|n| asked(*n, late)).collect::<String>());
        let ids = self.incidents(100);
        let mut answered = Spans::default();
        for id in &ids {
            let began = Instant::now();
            let path = format!("/v1/incidents/{id}/ack");
            let (status, answer) = operator.post(&path, "application/json", b"{\"person\":\"min\"}");
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
            answered.took(began.elapsed());
        }
        std::thread::sleep(Duration::from_secs(7));
        let store = self.store();
        let (mut claims, mut ended) = (0, Spans::default());
        for id in &ids {
            let acked: String = store
                .query_row("SELECT body ->> '$.acked_at' FROM incident WHERE id = ?1", [id], |r| r.get(0))
                .unwrap_or_default();
            let Ok(acked) = acked.parse::<jiff::Timestamp>() else { continue };
            let mut rows = store
                .prepare_cached(
                    "SELECT kind, at FROM (SELECT body, kind, incident, at FROM audit WHERE desk = 1 ORDER BY seq DESC \
                     LIMIT 5000) \
                     WHERE incident = ?1 AND at >= ?2",
                )
                .expect("sql");
            let rows = rows.query_map(rusqlite::params![id, acked.as_millisecond()], |r| {
                Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?))
            });
            for (kind, at) in rows.expect("rows").flatten() {
                claims += i32::from(kind == "message.claimed");
                if kind == "message.ended" {
                    ended.push((at - acked.as_millisecond()) as f64);
                }
            }
        }
        line("B8  ack asked → answered after its commit", "", &answered);
        line("B8  ack → what waits is superseded", "1 tick", &ended);
        fact("B8  claims of acked incidents after the ack", "0", &claims.to_string());
    }

    /// B9, by the way that these channels have: a person opens the link of a message and presses the button of its page.
    fn answers(&mut self) {
        let mut client = self.program().client();
        let mut answered = Spans::default();
        for _ in 0..20 {
            // One at a time: several at once are one message.
            let n = self.number();
            client.push(&asked_by_vip(n, now_ms() - TARGET - 1000));
            let mut path = None;
            wait_for("a message with a link", PATIENCE, || {
                path = self.hook.link(n).or_else(|| self.second.link(n));
                path.is_some()
            });
            let path = path.expect("it was there");
            let (status, page) = client.get(&path).expect("the page");
            let page = String::from_utf8_lossy(&page).into_owned();
            assert_eq!(status, 200, "{page}");
            let field = |name: &str| {
                let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).expect("a form");
                rest.split('"').next().expect("it ends").to_owned()
            };
            let form = format!("once={}&do={}", field("once"), field("do"));
            let began = Instant::now();
            let (status, page) = client.post(&path, "application/x-www-form-urlencoded", form.as_bytes());
            let page = String::from_utf8_lossy(&page);
            assert!(status == 200 && page.contains("已认领"), "{status}: {page}");
            answered.took(began.elapsed());
        }
        line("B9  button of a message's page → answered, kept", "1 s, max 2.5 s", &answered);
    }

    /// The newest incidents.
    fn incidents(&self, count: usize) -> Vec<String> {
        let store = self.store();
        let mut rows = store.prepare("SELECT id FROM incident ORDER BY nr DESC LIMIT ?1").expect("sql");
        rows.query_map([count as i64], |row| row.get(0)).expect("rows").flatten().collect()
    }

    /// B14, B17: another way to reach the handler, each time.
    fn reloads(&mut self) {
        let mut client = self.program().client();
        let mut operator = self.program().client().into_operator();
        let (mut took, mut honoured) = (Spans::default(), Spans::default());
        for round in 1..=6 {
            let (to, not) =
                if round % 2 == 1 { (&self.second, &self.hook) } else { (&self.hook, &self.second) };
            let (to, not) = (to.clone(), not.clone());
            self.configure(round % 2, false);
            let began = Instant::now();
            let (status, answer) = operator.post("/v1/reload", "application/json", b"{}");
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
            took.took(began.elapsed());
            let (n, at) = (self.number(), now_ms());
            client.push(&asked_by_vip(n, at - TARGET - 1000));
            wait_for("the new way", PATIENCE, || to.tickets().contains_key(&n));
            assert!(!not.tickets().contains_key(&n), "the old way was used");
            honoured.push((to.tickets()[&n] - at) as f64);
        }
        line("B14 roster changed → first message by the new way", "1 tick + B4", &honoured);
        line("B17 reload asked → new rules used", "1 s", &took);
    }

    fn configure(&self, swapped: u32, storms: bool) {
        let text =
            text(&self.hook, &self.second, swapped, storms).replace("PORT", &self.program().port.to_string());
        std::fs::write(self.folder.path().join("shiftbell.toml"), text).expect("it can be written");
    }

    /// B5, B10: the first way refuses for good, then recovers.
    fn failures(&mut self) {
        let mut client = self.program().client();
        let (mut fallback, mut recovered, mut next) = (Spans::default(), Spans::default(), Spans::default());
        for _ in 0..3 {
            self.hook.answer(400);
            let n = self.number();
            client.push(&asked_by_vip(n, now_ms() - TARGET - 1000));
            wait_for("the fallback", PATIENCE, || self.second.tickets().contains_key(&n));
            if let Some(refused) = self.hook.refused().get(&n) {
                fallback.push((self.second.tickets()[&n] - refused) as f64);
            }
            self.hook.answer(200);
            let (at, before) = (now_ms(), self.hook.each().len());
            wait_for("the first way again", PATIENCE, || {
                let n = self.number();
                client.push(&asked_by_vip(n, now_ms() - TARGET - 1000));
                std::thread::sleep(Duration::from_millis(200));
                self.hook.each().len() > before + 1
            });
            let each = self.hook.each();
            recovered.push((each[before].0 - at) as f64);
            next.push((each[before + 1].0 - each[before].0) as f64);
        }
        line("B5  refused for good → fallback's first byte", "2 s", &fallback);
        line("B10 channel recovered → probe accepted", "72 s", &recovered);
        line("B10 breaker closed → next P0 (one every 0.2 s)", "2 s", &next);
    }

    /// B6: the first way takes the request and says nothing.
    fn silence(&mut self) {
        let mut client = self.program().client();
        let at = now_ms();
        let (urgent, ordinary) = ([self.number(), self.number()], [self.number(), self.number()]);
        self.hook.stall(true);
        client.push(&urgent.iter().map(|n| asked_by_vip(*n, at - TARGET - 1000)).collect::<String>());
        client.push(&ordinary.iter().map(|n| asked(*n, at - TARGET - 1000)).collect::<String>());
        let there = |n: &u64| self.second.tickets().contains_key(n);
        wait_for("the fallbacks", PATIENCE, || urgent.iter().chain(&ordinary).all(there));
        self.hook.stall(false);
        let late = |numbers: &[u64]| {
            let mut spans = Spans::default();
            numbers.iter().for_each(|n| spans.push((self.second.tickets()[n] - at) as f64));
            spans
        };
        line("B6  silent → fallback's first byte (P0)", "22 s", &late(&urgent));
        line("B6  silent → fallback's first byte (P1, group of 5 s)", "67 s", &late(&ordinary));
    }

    /// B7: from the store, all notices so far.
    fn notices(&self) {
        let store = self.store();
        let mut rows = store
            .prepare(
                "SELECT body ->> '$.priority', (unixepoch(body ->> '$.settled_at', 'subsec') - \
                 unixepoch(body ->> '$.planned_at', 'subsec')) * 1000 FROM notice WHERE state IN ('accepted_final', 'delivered', 'dead')",
            )
            .expect("sql");
        let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<f64>>(1)?)));
        let mut classes: BTreeMap<String, Spans> = BTreeMap::new();
        for (class, took) in rows.expect("rows").flatten() {
            classes.entry(class).or_default().push(took.unwrap_or(f64::NAN));
        }
        for (class, bound) in [("p0", "max 3 min"), ("p1", "max 6 min")] {
            let spans = classes.remove(class).unwrap_or_default();
            line(&format!("B7  notice planned → discharged ({})", class.to_uppercase()), bound, &spans);
        }
    }

    /// B11: something comes due while nobody runs.
    fn restart(&mut self) -> (Program, Spans) {
        let mut spans = Spans::default();
        let mut client = self.program().client();
        let n = self.number();
        client.push(&asked_by_vip(n, now_ms() - TARGET + 4000));
        drop(client);
        self.program.take().expect("it runs").stop();
        std::thread::sleep(Duration::from_secs(4));
        let at = now_ms();
        // With storms from now on.
        let program = Program::start(self.folder.path(), &text(&self.hook, &self.second, 0, true));
        wait_for("what came due", PATIENCE, || self.hook.tickets().contains_key(&n));
        spans.push((self.hook.tickets()[&n] - at) as f64);
        fact("    of it: until ready", "", &format!("{:.2} s", program.ready.as_secs_f64()));
        (program, spans)
    }

    /// B15, B16: a storm; and a stop while attempts are under way.
    fn stop(mut self) {
        let mut client = self.program().client();
        std::thread::sleep(Duration::from_secs(2));
        let (before, at) = (self.hook.requests(), now_ms());
        let scanned = rfc3339(at - 2 * TARGET);
        let parcels: String = (0..1000)
            .map(|n| {
                format!(
                    "{{\"at\":\"{scanned}\",\"source\":\"shop\",\"kind\":\"parcel\",\"id\":\"P{n}\",\"event\":\"last_scan\",\
                     \"attrs\":{{\"carrier\":\"yto\"}}}}\n"
                )
            })
            .collect();
        client.push(&parcels);
        wait_for("the storm", PATIENCE, || self.hook.requests() > before);
        let mut storm = Spans::default();
        storm.push((self.hook.each()[before].0 - at) as f64);
        std::thread::sleep(Duration::from_secs(20));
        line("B15 1,000 parcels stalled → parent accepted", "10 s", &storm);
        fact(
            "B15 messages in the first 20 s, one recipient",
            "1",
            &(self.hook.requests() - before).to_string(),
        );
        let mut stops = Spans::default();
        self.hook.stall(true);
        self.second.stall(true);
        for _ in 0..3 {
            let n = self.number();
            client.push(&asked_by_vip(n, now_ms() - TARGET - 1000));
        }
        std::thread::sleep(Duration::from_millis(500));
        stops.took(self.program.take().expect("it runs").stop());
        line("B16 stop with silent attempts under way → gone", "12 s", &stops);
        self.hook.stall(false);
        self.second.stall(false);
        println!("load {}", load());
    }
}

/// The configuration: two ways to reach everybody, in this order or, `swapped`, the other for the handler. Mail, which
/// comes last, is not held back: 100,000 incidents at once are 200 mails, and 30 a minute would take longer than this.
fn text(hook: &Hook, second: &Hook, swapped: u32, storms: bool) -> String {
    let storm = if storms { 20 } else { 0 };
    let people = PEOPLE.replacen("[alerting]\n", "[alerting]\nbase_url = \"http://127.0.0.1:PORT\"\n", 1);
    let alerting = format!(
        "{people}{ONE_LEVEL}[alerting.storm]\ncount = {storm}\n\
         [alerting.budget]\nemail = [{{ count = 100000, per = \"1m\" }}]\n[channels.second.webhook]\nurl = \"http://127.0.0.1:{}/hook\"\nallow_private = true\n",
        second.port
    );
    let parcels = "[[clock]]\nname = \"parcel_stalled\"\non = \"parcel\"\nstart = \"last_scan\"\nstop = \"delivered\"\n\
                   target = \"1h\"\nring = [\"due\"]\n";
    let clocks = format!("{}{parcels}", reply("1h"));
    let both = |first: &str, then: &str| {
        format!("contact = [{{ channel = \"{first}\" }}, {{ channel = \"{then}\" }}, ")
    };
    let text = config(&clocks, &alerting, hook.port, 16)
        .replace("contact = [{ channel = \"hook\" }, ", &both("hook", "second"));
    match swapped {
        0 => text,
        _ => text.replacen(&both("hook", "second"), &both("second", "hook"), 1),
    }
}
