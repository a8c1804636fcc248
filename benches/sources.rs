//! An agency: one program that polls 500 shops, of which 10 are dead in different ways. What it takes, and whether a
//! live shop waits for a dead one: the same is measured with the live ones alone first.
//!
//! The platforms are simulated, in this process, over plain HTTP on this machine: what TLS takes is not in the figures.
//! `SHIFTBELL_SOURCES` and `SHIFTBELL_SECONDS` ask for others.

#![allow(clippy::disallowed_methods, reason = "a bench of the whole program runs in real time, beside it")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use common::desk::{PEOPLE, config, reply};
use common::hook::Hook;
use common::live::{Program, free_port, now_ms, wait_for};
use common::table::{Spans, fact, head, line, load, mib};
use rusqlite::{Connection, OpenFlags};
use shiftbell::core::time::{Instant, Span};
use shiftbell::sim::helpdesk::HelpDesk;
use shiftbell::sim::platforms::douyin::{self, Douyin};
use shiftbell::sim::platforms::gateway::{Mall, Manners};
use shiftbell::sim::platforms::jd::{self, Jd};
use shiftbell::sim::platforms::pinduoduo::{self, Pinduoduo};
use shiftbell::sim::platforms::taobao::{self, Taobao};
use shiftbell::sim::platforms::{Asked, Reply, Simulated, serve};
use tokio_util::sync::CancellationToken;

/// How often a shop is asked, as when nothing is configured.
const EVERY: u64 = 60;
/// Until every shop was read once and more.
const WARM_UP: Duration = Duration::from_secs(70);
/// Between two changes that are measured.
const BETWEEN: Duration = Duration::from_millis(40);
/// Orders by hand have numbers from here on.
const BY_HAND: u64 = 5_000_000;
/// The secret of every simulated app.
const SECRET: &str = "sim-secret";
/// What a shop's token is at first.
const TOKEN: &str = "sim-access-0";

fn main() {
    let number = |name: &str, or: usize| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(or);
    let (count, seconds) = (number("SHIFTBELL_SOURCES", 500), number("SHIFTBELL_SECONDS", 90));
    let dead = (count / 50).max(1);
    println!("sources: {count} of them, {dead} dead, each asked every {EVERY} s (load {})", load());
    println!(
        "Taobao, JD, Pinduoduo, Douyin and a help desk in equal parts: simulated, plain HTTP, same machine"
    );
    let street = Arc::new(Mutex::new(Street::new(count - dead)));
    let port = open(street.clone());
    let graves = (0..dead).map(|n| (n, bury(n))).collect::<Vec<_>>();
    let live: String = (0..count - dead).map(|n| source("s", n, n, port)).collect();
    let gone: String = graves.iter().map(|(n, port)| source("d", *n, *n, *port)).collect();

    let alone = run(&street, &live, seconds);
    let beside = run(&street, &(live + &gone), seconds);

    head("from shown by the platform until committed …");
    let bound = format!("max {} s", EVERY + 2);
    line(&format!("{} live ones alone", count - dead), &bound, &alone.fresh);
    line(&format!("{} live ones beside {dead} dead ones", count - dead), &bound, &beside.fresh);
    println!("\n{:<50} {:>14} {:>22} {:>22}", "", "bound", "live ones alone", "beside the dead");
    let both = |what: &str, bound: &str, told: fn(&Measured) -> String| {
        println!("{what:<50} {bound:>14} {:>22} {:>22}", told(&alone), told(&beside));
    };
    both("cores, while it settles", "1.00", |m| format!("{:.3}", m.settling));
    both("cores, after that", "1.00", |m| format!("{:.3}", m.cores));
    both("memory", "300 MiB", |m| mib(m.rss));
    both("memory at its most", "300 MiB", |m| mib(m.peak));
    both("requests to live ones, a second", "", |m| format!("{:.1}", m.requests));
    both("changes that never came", "0", |m| m.missing.to_string());
    both("oldest success of a live one", "", |m| format!("{:.1} s", m.oldest));
    both("sources told to be blind", "", |m| m.blind.to_string());
    fact("dead ones", "", &dead.to_string());
    println!("load {}", load());
}

/// What one run was like.
struct Measured {
    fresh: Spans,
    settling: f64,
    cores: f64,
    rss: u64,
    peak: u64,
    requests: f64,
    missing: usize,
    oldest: f64,
    blind: usize,
}

fn run(street: &Mutex<Street>, sources: &str, seconds: usize) -> Measured {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("sim.secret", SECRET), ("sim.token", TOKEN)] {
        fs::write(folder.path().join(name), text).expect("it can be written");
    }
    let hook = Hook::open();
    let policy = format!(
        "[kinds.order]\nclosed = {{ status = [\"closed\"] }}\n[kinds.aftersale]\nclosed = {{ status = [\"closed\"] }}\n{}\
         [[clock]]\nname = \"ship\"\non = \"order\"\nstart = \"paid\"\nstop = \"shipped\"\ntarget = \"48h\"\n\
         ring = [\"due\"]\n",
        reply("20m")
    );
    let text = config(&policy, &format!("{PEOPLE}{sources}"), hook.port, 16);
    let began = now_ms();
    let program = Program::start(folder.path(), &text);
    std::thread::sleep(WARM_UP);
    let settling = program.usage().cpu.as_secs_f64() / ((now_ms() - began) as f64 / 1000.0);

    let reader = Cases::begin(&folder.path().join("data/shiftbell.db"));
    let (before, asked, from) = (program.usage(), street.lock().expect("no panic").asked, now_ms());
    let mut shown = BTreeMap::new();
    while now_ms() < from + seconds as i64 * 1000 {
        let case = street.lock().expect("no panic").change();
        shown.insert(case, now_ms());
        std::thread::sleep(BETWEEN);
    }
    let (after, took) = (program.usage(), (now_ms() - from) as f64 / 1000.0);
    let requests = (street.lock().expect("no panic").asked - asked) as f64 / took;
    let until = now_ms() + (EVERY as i64 + 15) * 1000;
    wait_for("every change", Duration::from_secs(EVERY + 30), || {
        now_ms() > until || shown.keys().all(|case| reader.knows(case))
    });
    let (oldest, blind) = told(&program);
    let peak = program.usage().peak;
    let seen = reader.end();
    program.stop();
    let mut fresh = Spans::default();
    for (case, at) in &shown {
        if let Some(committed) = seen.get(case) {
            fresh.push((committed - at) as f64);
        }
    }
    Measured {
        missing: shown.len() - fresh.len(),
        fresh,
        settling,
        cores: (after.cpu - before.cpu).as_secs_f64() / took,
        rss: after.rss,
        peak,
        requests,
        oldest,
        blind,
    }
}

/// What the program says of its sources: how long ago the live one that is worst off was read, and how many are blind.
fn told(program: &Program) -> (f64, usize) {
    let (status, page) = program.client().get("/metrics").expect("an answer");
    assert_eq!(status, 200, "the metrics are open");
    let page = String::from_utf8_lossy(&page).into_owned();
    let of = |name: &str| -> Vec<(String, f64)> {
        let rows = page.lines().filter(|line| line.contains(name) && !line.starts_with('#'));
        rows.filter_map(|row| {
            let (labels, value) = row.rsplit_once(' ')?;
            Some((labels.to_owned(), value.parse().ok()?))
        })
        .collect()
    };
    let ages = of("source_age_seconds");
    let oldest = ages.iter().filter(|(labels, _)| labels.contains("\"s")).map(|(_, age)| *age);
    (oldest.fold(f64::NAN, f64::max), of("source_blind{").iter().filter(|(_, blind)| *blind > 0.0).count())
}

/// The lines of a source: its platform by `n`, behind `port`.
fn source(prefix: &str, n: usize, kind: usize, port: u16) -> String {
    let name = format!("{prefix}{n:03}");
    let (mut text, at) = (String::new(), format!("http://127.0.0.1:{port}/{n}"));
    let shop = format!(
        "\n[sources.{name}]\nshop = \"{name}\"\nevery = \"{EVERY}s\"\nquiet = [0, 0]\nlook_back = \"10m\"\n\
         access_token_file = \"{}\"\n",
        if kind % 5 == 4 { "sim.secret" } else { "sim.token" }
    );
    let app = "app_key = \"sim-app\"\napp_secret_file = \"sim.secret\"\n";
    let written = match kind % 5 {
        0 => write!(text, "{shop}[sources.{name}.taobao]\ngateway = \"{at}/router/rest\"\n{app}"),
        1 => write!(
            text,
            "{shop}[sources.{name}.jd]\ngateway = \"{at}/routerjson\"\noauth = \"{at}/oauth2/refresh_token\"\n\
             operate_pin = \"{}\"\n{app}",
            jd::PIN
        ),
        2 => write!(
            text,
            "{shop}[sources.{name}.pinduoduo]\ngateway = \"{at}/api/router\"\nclient_id = \"sim-app\"\n\
             client_secret_file = \"sim.secret\"\n"
        ),
        3 => write!(text, "{shop}[sources.{name}.douyin]\ngateway = \"{at}/\"\n{app}"),
        _ => write!(
            text,
            "{shop}[sources.{name}.http]\nbase = \"{at}/api/\"\nauth.bearer = {{}}\n\
             [sources.{name}.http.lists.tickets]\nitems = \"tickets\"\npaging = \"keyset\"\npage_size = 50\n\
             lag = \"2s\"\nrequest = {{ url = \"tickets\", query = {{ updated_after = \"{{{{ from }}}}\" }} }}\n\
             [sources.{name}.http.lists.tickets.map]\nkind = \"ticket\"\nid = \"row.id\"\n\
             modified = \"row.updated_at\"\nmarks = {{ opened = \"row.asked_at\", \
             customer_message = \"row.asked_at\", agent_reply = \"row.answered_at\", closed = \"row.closed_at\" }}\n\
             attributes = {{ status = \"row.status\", shop = \"row.shop\" }}\n"
        ),
    };
    written.expect("a text takes all");
    text
}

/// Simulated shops behind one port, told apart by the first part of the path.
struct Street {
    shops: Vec<Shop>,
    /// Requests so far.
    asked: u64,
    /// Changes by hand so far.
    changes: u64,
}

enum Shop {
    Taobao(Box<Taobao>),
    Jd(Box<Jd>),
    Pinduoduo(Box<Pinduoduo>),
    Douyin(Box<Douyin>),
    Desk(Box<HelpDesk>),
}

impl Street {
    fn new(count: usize) -> Street {
        let now = Instant::from_millis(now_ms());
        let shop = |n: usize| {
            let (seed, manners) = (n as u64 + 1, Manners::default());
            let mut shop = match n % 5 {
                0 => Shop::Taobao(Box::new(Taobao::new("sim-app", SECRET, seed, 0, manners, now))),
                1 => Shop::Jd(Box::new(Jd::new("sim-app", SECRET, seed, 0, manners, now))),
                2 => Shop::Pinduoduo(Box::new(Pinduoduo::new("sim-app", SECRET, seed, 0, manners, now))),
                3 => Shop::Douyin(Box::new(Douyin::new("sim-app", SECRET, seed, 0, manners, now))),
                _ => Shop::Desk(Box::new(HelpDesk::new(seed, SECRET, now, Span::from_secs(240)))),
            };
            if let Some(mall) = shop.mall() {
                // Three hundred orders a day, with what becomes of them.
                mall.shop().populate(600, now - Span::DAY, Span::DAY.times(2));
            }
            shop
        };
        Street { shops: (0..count).map(shop).collect(), asked: 0, changes: 0 }
    }

    /// Something happens that the next look at one of the shops shows. Answers its case, as the store names it.
    fn change(&mut self) -> String {
        self.changes += 1;
        // A large step, so that neighbours in time are not neighbours in the street.
        let (n, number) = ((self.changes as usize * 7919) % self.shops.len(), BY_HAND + self.changes);
        let now = Instant::from_millis(now_ms());
        let shop = &mut self.shops[n];
        // Platforms ask that a window ends so long ago: what is shown now was changed then.
        let (lag, kind, id) = match shop {
            Shop::Taobao(_) => (185, "order", taobao::tid(number).to_string()),
            Shop::Jd(_) => (65, "order", jd::order_id(number).to_string()),
            Shop::Pinduoduo(_) => (185, "order", pinduoduo::order_sn(number)),
            Shop::Douyin(_) => (60, "order", douyin::order_id(number).to_string()),
            Shop::Desk(desk) => {
                (2, "ticket", desk.forget(now - Span::from_secs(2), now + Span::HOUR).to_string())
            }
        };
        let then = now - Span::from_secs(lag);
        if let Some(mall) = shop.mall() {
            mall.shop().place(number, then, then);
        }
        format!("s{n:03}\0{kind}\0{id}")
    }
}

impl Shop {
    fn mall(&mut self) -> Option<&mut dyn Mall> {
        match self {
            Shop::Taobao(mall) => Some(&mut **mall),
            Shop::Jd(mall) => Some(&mut **mall),
            Shop::Pinduoduo(mall) => Some(&mut **mall),
            Shop::Douyin(mall) => Some(&mut **mall),
            Shop::Desk(_) => None,
        }
    }
}

impl Simulated for Street {
    fn answer(&mut self, asked: &Asked, now: Instant) -> Reply {
        self.asked += 1;
        let (first, rest) = asked.path[1..].split_once('/').unwrap_or_default();
        let inner = Asked { path: format!("/{rest}"), ..asked.clone() };
        match &mut self.shops[first.parse::<usize>().expect("ours alone ask here")] {
            Shop::Taobao(mall) => mall.answer(&inner, now),
            Shop::Jd(mall) => mall.answer(&inner, now),
            Shop::Pinduoduo(mall) => mall.answer(&inner, now),
            Shop::Douyin(mall) => mall.answer(&inner, now),
            Shop::Desk(desk) => desk.answer(&inner, now),
        }
    }
}

/// Serves the street in a thread of its own. Answers the port.
fn open(street: Arc<Mutex<Street>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.set_nonblocking(true).expect("it can be");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            let clock = Arc::new(|| Instant::from_millis(now_ms()));
            serve(listener, street, clock, CancellationToken::new()).await.expect("it is served");
        });
    });
    port
}

/// A port behind which everything is dead, in one of several ways.
fn bury(n: usize) -> u16 {
    if n.is_multiple_of(7) {
        // Nobody listens.
        return free_port();
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || haunt(n % 7, stream));
        }
    });
    port
}

fn haunt(way: usize, mut stream: TcpStream) -> std::io::Result<()> {
    let mut part = [0; 16 << 10];
    let _ = stream.read(&mut part)?;
    let page = "<html><body>502 Bad Gateway</body></html>";
    let html = |status: &str, more: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\n{more}Content-Length: {}\r\n\r\n{page}",
            page.len()
        )
    };
    match way {
        // Taken, and never answered.
        1 => while stream.read(&mut part)? > 0 {},
        2 => stream.write_all(html("503 Service Unavailable", "").as_bytes())?,
        3 => stream.write_all(html("200 OK", "").as_bytes())?,
        // A byte a second.
        4 => {
            stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n",
            )?;
            loop {
                stream.write_all(b" ")?;
                std::thread::sleep(Duration::from_secs(1));
            }
        }
        5 => stream.write_all(html("503 Service Unavailable", "Retry-After: 7\r\n").as_bytes())?,
        // Closed without a word.
        _ => {}
    }
    Ok(())
}

/// When each case was committed first: a reader beside the program, that looks every few milliseconds.
struct Cases {
    seen: Arc<Mutex<BTreeMap<String, i64>>>,
    stop: Arc<AtomicBool>,
    reader: JoinHandle<()>,
}

impl Cases {
    fn begin(store: &Path) -> Cases {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(store, flags).expect("the store");
        let (seen, stop) = (Arc::<Mutex<BTreeMap<String, i64>>>::default(), Arc::new(AtomicBool::new(false)));
        let (noted, asked) = (seen.clone(), stop.clone());
        let mut last: i64 = db
            .query_row("SELECT coalesce(max(nr), 0) FROM \"case\"", [], |row| row.get(0))
            .expect("it can be read");
        let reader = std::thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                let sql = "SELECT nr, id FROM \"case\" WHERE nr > ?1 ORDER BY nr";
                let mut rows = db.prepare_cached(sql).expect("the table is there");
                let found = rows.query_map([last], |row| Ok((row.get(0)?, row.get(1)?)));
                let found: Vec<(i64, String)> = found.expect("it can be read").flatten().collect();
                let now = now_ms();
                let mut noted = noted.lock().expect("no panic");
                for (nr, case) in found {
                    last = nr;
                    noted.entry(case).or_insert(now);
                }
                drop(noted);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Cases { seen, stop, reader }
    }

    fn knows(&self, case: &str) -> bool {
        self.seen.lock().expect("no panic").contains_key(case)
    }

    fn end(self) -> BTreeMap<String, i64> {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().expect("no panic");
        std::mem::take(&mut *self.seen.lock().expect("no panic"))
    }
}
