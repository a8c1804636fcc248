//! Where messages arrive: a small HTTP endpoint that takes everything and notes when.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use super::live::now_ms;

/// An endpoint on a port of this machine.
#[derive(Clone)]
pub struct Hook {
    /// Its port.
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
    status: Arc<AtomicU16>,
    stalled: Arc<AtomicBool>,
}

#[derive(Default)]
struct Seen {
    /// Requests that were taken.
    requests: usize,
    /// When each ticket was last refused, in ms since 1970.
    refused: BTreeMap<u64, i64>,
    /// When each ticket was first named, in ms since 1970.
    tickets: BTreeMap<u64, i64>,
    /// When each request came, and how many tickets it names.
    each: Vec<(i64, usize)>,
    /// The path of the link that takes each ticket on.
    links: BTreeMap<u64, String>,
}

impl Hook {
    /// Listens.
    pub fn open() -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let hook = Hook {
            port: listener.local_addr().expect("it is bound").port(),
            seen: Arc::default(),
            status: Arc::new(AtomicU16::new(200)),
            stalled: Arc::default(),
        };
        let this = hook.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let this = this.clone();
                std::thread::spawn(move || this.serve(stream));
            }
        });
        hook
    }

    /// How many tickets were told of.
    pub fn count(&self) -> usize {
        self.seen.lock().expect("no panic").tickets.len()
    }

    /// How many requests were taken.
    pub fn requests(&self) -> usize {
        self.seen.lock().expect("no panic").requests
    }

    /// When each request came, in ms since 1970, and how many tickets it names.
    pub fn each(&self) -> Vec<(i64, usize)> {
        self.seen.lock().expect("no panic").each.clone()
    }

    /// When each ticket was first told of, in ms since 1970.
    pub fn tickets(&self) -> BTreeMap<u64, i64> {
        self.seen.lock().expect("no panic").tickets.clone()
    }

    /// The path of the link that takes a ticket on, as its message had it.
    pub fn link(&self, ticket: u64) -> Option<String> {
        self.seen.lock().expect("no panic").links.get(&ticket).cloned()
    }

    /// What it answers from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// Answers nothing from now on, or again.
    pub fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }

    /// When each ticket was last refused, in ms since 1970.
    pub fn refused(&self) -> BTreeMap<u64, i64> {
        self.seen.lock().expect("no panic").refused.clone()
    }

    /// Forgets all.
    pub fn clear(&self) {
        *self.seen.lock().expect("no panic") = Seen::default();
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let (mut buffer, mut filled) = (vec![0_u8; 1 << 16], 0);
        loop {
            let (head, whole) = loop {
                if let Some(head) = find(&buffer[..filled], b"\r\n\r\n") {
                    let head = head + 4;
                    let whole = head + content_length(&buffer[..head]);
                    if filled >= whole {
                        break (head, whole);
                    }
                    if buffer.len() < whole {
                        buffer.resize(whole, 0);
                    }
                }
                if filled == buffer.len() {
                    buffer.resize(filled * 2, 0);
                }
                let n = stream.read(&mut buffer[filled..]).ok()?;
                if n == 0 {
                    return None;
                }
                filled += n;
            };
            while self.stalled.load(Ordering::Relaxed) {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            let status = self.status.load(Ordering::Relaxed);
            let (now, named) = (now_ms(), tickets(&buffer[head..whole]));
            if status >= 300 {
                let mut seen = self.seen.lock().expect("no panic");
                seen.refused.extend(named.into_iter().map(|ticket| (ticket, now)));
            } else {
                let link = link(&buffer[head..whole]);
                let mut seen = self.seen.lock().expect("no panic");
                if let (Some(link), Some(ticket)) = (link, named.first()) {
                    seen.links.insert(*ticket, link);
                }
                seen.requests += 1;
                seen.each.push((now, named.len()));
                for ticket in named {
                    seen.tickets.entry(ticket).or_insert(now);
                }
            }
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).ok()?;
            buffer.copy_within(whole..filled, 0);
            filled -= whole;
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}

fn content_length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let at = head.find("content-length:").map(|at| at + 15);
    at.and_then(|at| head[at..].lines().next()?.trim().parse().ok()).unwrap_or(0)
}

/// The path of the link of a body that takes on what it tells of.
fn link(body: &[u8]) -> Option<String> {
    let at = find(body, b"\"ack\":\"http://")? + 14;
    let path = &body[at + body[at..].iter().position(|b| *b == b'/')?..];
    let end = path.iter().position(|b| *b == b'"')?;
    Some(String::from_utf8_lossy(&path[..end]).into_owned())
}

/// The tickets that a body names: `T` and twelve digits, each once.
fn tickets(body: &[u8]) -> Vec<u64> {
    let mut found: Vec<u64> = Vec::new();
    let mut at = 0;
    while let Some(next) = body[at..].iter().position(|b| *b == b'T') {
        at += next + 1;
        let digits = body[at..].iter().take(12).take_while(|b| b.is_ascii_digit()).count();
        if digits == 12 {
            let text = std::str::from_utf8(&body[at..at + 12]).unwrap_or("0");
            let number = text.parse().unwrap_or(0);
            if !found.contains(&number) {
                found.push(number);
            }
            at += 12;
        }
    }
    found
}
