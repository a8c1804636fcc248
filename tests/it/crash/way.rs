//! The way to a program that may be there or not: what can be asked of it, from any thread.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// An ack that was confirmed.
#[derive(Clone, Debug)]
pub(super) struct Ack {
    incident: String,
}

/// The way to the program.
#[derive(Clone)]
pub(crate) struct Way {
    pub(super) socket: PathBuf,
    pub(super) next: Arc<AtomicU32>,
    acked: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Way {
    pub(crate) fn by(socket: PathBuf) -> Way {
        Way { socket, next: Arc::new(AtomicU32::new(1)), acked: Arc::default() }
    }

    /// So many tickets that nobody has seen yet.
    pub(crate) fn fresh(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| format!("TICKET-{:05}", self.next.fetch_add(1, Ordering::Relaxed))).collect()
    }

    /// Says so by `POST /v1/observations`. Answers which were confirmed; nothing when nobody answered.
    pub(super) fn post(&self, tickets: &[(String, i64)]) -> Option<Vec<bool>> {
        let items: Vec<String> = tickets.iter().map(|(id, at)| said(id, *at)).collect();
        let answer = self.ask("POST", "/v1/observations", &format!("[{}]", items.join(",")))?;
        let results = answer["results"].as_array()?;
        let kept = |r: &Value| r["status"] == "kept" || r["status"] == "duplicate";
        Some(results.iter().map(kept).collect())
    }

    /// The tickets that somebody has, of those that were acked or may have been.
    pub(super) fn acked_tickets(&self) -> BTreeSet<String> {
        let tried = self.acked.lock().unwrap().clone();
        let theirs =
            tried.into_iter().filter(|(incident, _)| self.is_acked(&Ack { incident: incident.clone() }));
        theirs.map(|(_, ticket)| ticket).collect()
    }

    /// Whether there is an open incident of this family.
    pub(super) fn has_open(&self, family: &str) -> bool {
        let open = self.ask("GET", "/v1/incidents?limit=1000", "");
        let open = open.and_then(|o| o["incidents"].as_array().cloned()).unwrap_or_default();
        open.iter().any(|i| i["family"] == family)
    }

    /// Somebody acks something that is open; an answer only where it was confirmed.
    pub(super) fn ack_one(&self) -> Option<Ack> {
        let open = self.ask("GET", "/v1/incidents?limit=100", "")?;
        let open = open.get("incidents")?.as_array()?.iter();
        let fresh = open.filter(|i| {
            i["status"] == "open" && i["family"].as_str().is_some_and(|f| f.starts_with("ticket"))
        });
        let incident = {
            let mut acked = self.acked.lock().unwrap();
            let found = fresh
                .filter_map(|i| Some((i["id"].as_str()?.to_owned(), i["subject"]["id"].as_str()?.to_owned())))
                .find(|(incident, _)| !acked.contains_key(incident))?;
            acked.insert(found.0.clone(), found.1.clone());
            found.0
        };
        let answer = self.ask("POST", &format!("/v1/incidents/{incident}/ack"), "{\"person\":\"min\"}")?;
        let done = answer.get("done")?.as_array()?.iter().any(|d| d.get("acked").is_some());
        done.then_some(Ack { incident })
    }

    /// Whether somebody has it, or had it until it lapsed.
    pub(super) fn is_acked(&self, ack: &Ack) -> bool {
        let found = self.ask("GET", &format!("/v1/incidents/{}", ack.incident), "");
        found.is_some_and(|i| i["acked_by"] == "min" || i["incident"]["acked_by"] == "min")
    }

    pub(super) fn reload(&self) {
        self.ask("POST", "/v1/reload", "{}");
    }

    /// A receiver says that it has delivered a message. Whether that was taken in.
    pub(super) fn delivered(&self, key: &str) -> bool {
        let body = format!("{{\"key\":\"{key}\",\"what\":\"delivered\"}}");
        self.exchange("POST", "/v1/receipts/hook", &body).is_some_and(|(status, _)| status == 200)
    }

    /// Whether it says of itself that it is ready.
    pub(super) fn is_ready(&self) -> bool {
        self.exchange("GET", "/-/ready", "").is_some_and(|(status, _)| status == 200)
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Option<Value> {
        let (status, body) = self.exchange(method, path, body)?;
        if status != 200 {
            return None;
        }
        serde_json::from_str(body.trim()).ok()
    }

    /// One exchange over the socket of the machine; nothing when the program is not there, or dies over it.
    pub(crate) fn exchange(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: shiftbell\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some((status, body.to_owned()))
    }
}

/// Now, in ms.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// What a source says of a ticket whose buyer wrote at `at`.
pub(crate) fn said(id: &str, at: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at).expect("a year of ours");
    format!(
        "{{\"at\":\"{at}\",\"source\":\"shop\",\"kind\":\"ticket\",\"id\":\"{id}\",\
         \"event\":\"customer_message\",\"ref\":\"m-{id}\"}}"
    )
}
