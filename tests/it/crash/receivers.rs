//! Where messages arrive: a real HTTP endpoint and a real mail server. They count copies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::exim::Exim;

/// What arrived.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// Requests by key: how often, and the last text.
    pub(super) hooks: BTreeMap<String, (u32, String)>,
    /// Mails by `Message-ID`: the text of every copy.
    pub(super) mails: BTreeMap<String, Vec<String>>,
    /// Requests whose key was known, and whose text was another one.
    pub(super) altered: u32,
    /// Requests that began.
    pub(super) begun: u32,
    /// Tickets that some text names.
    seen: BTreeSet<String>,
    /// Files of mails that were read.
    read: BTreeSet<String>,
}

impl Arrived {
    pub(super) fn is_seen(&self, id: &str) -> bool {
        self.seen.contains(id)
    }

    fn learn(&mut self, text: &str) {
        for part in text.split("TICKET-").skip(1) {
            if let Some(digits) = part.get(..5).filter(|d| d.bytes().all(|b| b.is_ascii_digit())) {
                self.seen.insert(format!("TICKET-{digits}"));
            }
        }
    }
}

/// How the endpoint answers.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) delay_ms: AtomicU64,
    /// It says that it will never take this.
    pub(super) refuses: AtomicBool,
}

/// The endpoint and the mail server.
pub(super) struct Receivers {
    arrived: Arc<Mutex<Arrived>>,
    pub(super) script: Arc<Script>,
    pub(super) port: u16,
    /// None where the test may not run one.
    pub(super) exim: Option<Exim>,
}

impl Receivers {
    pub(super) fn start(exim: Option<Exim>) -> Receivers {
        let (arrived, script) = (Arc::<Mutex<Arrived>>::default(), Arc::<Script>::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        listener.set_nonblocking(true).expect("it can wait");
        let (taking, by) = (arrived.clone(), script.clone());
        // It ends with the process of the tests.
        std::thread::spawn(move || serve(listener, taking, by));
        Receivers { arrived, script, port, exim }
    }

    /// What has arrived so far.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Arrived) -> T) -> T {
        let mut arrived = self.arrived.lock().unwrap();
        if let Some(exim) = &self.exim {
            let entries = fs::read_dir(exim.mails()).into_iter().flatten().flatten();
            for entry in entries {
                let name = entry.file_name().to_string_lossy().into_owned();
                if arrived.read.contains(&name) {
                    continue;
                }
                let mail = fs::read_to_string(entry.path()).expect("a mail can be read");
                arrived.read.insert(name);
                let (id, text) = (message_id(&mail), readable(&mail));
                arrived.learn(&text);
                arrived.mails.entry(id).or_default().push(text);
            }
        }
        look(&arrived)
    }
}

fn serve(listener: std::net::TcpListener, arrived: Arc<Mutex<Arrived>>, script: Arc<Script>) {
    let hook = move |headers: HeaderMap, body: String| {
        let (arrived, script) = (arrived.clone(), script.clone());
        async move {
            let key = headers.get("idempotency-key").and_then(|k| k.to_str().ok()).unwrap_or_default();
            arrived.lock().unwrap().begun += 1;
            if script.refuses.load(Ordering::SeqCst) {
                return (StatusCode::GONE, "never");
            }
            {
                let mut arrived = arrived.lock().unwrap();
                arrived.learn(&body);
                let entry = arrived.hooks.entry(key.to_owned()).or_default();
                let altered = entry.0 > 0 && entry.1 != body;
                *entry = (entry.0 + 1, body);
                arrived.altered += u32::from(altered);
            }
            tokio::time::sleep(Duration::from_millis(script.delay_ms.load(Ordering::SeqCst))).await;
            (StatusCode::OK, "ok")
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        let routes = Router::new().route("/hook", post(hook));
        axum::serve(listener, routes).await.expect("it serves until the end");
    });
}

fn message_id(mail: &str) -> String {
    let line = mail.lines().find(|l| l.to_ascii_lowercase().starts_with("message-id:"));
    line.map(|l| l[11..].trim().to_owned()).unwrap_or_default()
}

/// The texts of a mail, decoded.
pub(crate) fn readable(mail: &str) -> String {
    let mut all = String::new();
    for part in mail.replace("\r\n", "\n").split("\n--") {
        let Some((head, body)) = part.split_once("\n\n") else { continue };
        let head = head.to_ascii_lowercase();
        let bytes = if head.contains("encoding: base64") {
            let packed: String = body.split_whitespace().collect();
            STANDARD.decode(packed).unwrap_or_default()
        } else if head.contains("encoding: quoted-printable") {
            unquoted(body)
        } else {
            body.as_bytes().to_vec()
        };
        all.push_str(&String::from_utf8_lossy(&bytes));
        all.push('\n');
    }
    all
}

fn unquoted(text: &str) -> Vec<u8> {
    let text = text.replace("=\n", "");
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let hex = text.get(i + 1..i + 3).filter(|_| bytes[i] == b'=');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    out
}

#[test]
fn mails_are_read_as_people_see_them() {
    let mail = "Message-ID: <a@b>\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\n\r\n--x\r\n\
                Content-Transfer-Encoding: base64\r\n\r\nVElDS0VU\r\nLTAwMDAx\r\n--x\r\n\
                Content-Transfer-Encoding: quoted-printable\r\n\r\nTICKET-00=\r\n002 =E9=93=83\r\n--x--\r\n";
    assert_eq!(message_id(mail), "<a@b>");
    let text = readable(mail);
    assert!(text.contains("TICKET-00001") && text.contains("TICKET-00002 铃"), "{text}");
}
