//! One installation in a folder: its configuration, its program, its receivers.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::receivers::{self, Shared};

/// Waits until `is` is true, or fails by name.
#[track_caller]
pub(super) fn wait_for(what: &str, limit: Duration, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !is() {
        assert!(Instant::now() < until, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An ack that was confirmed.
#[derive(Clone, Debug)]
pub(super) struct Ack {
    incident: String,
}

pub(super) struct World {
    folder: tempfile::TempDir,
    arrived: Shared,
    next: AtomicU32,
    acked: BTreeSet<String>,
    /// How often the program was killed.
    pub(super) faults: u32,
}

/// The program, killed when it is dropped.
pub(super) struct Program {
    child: Child,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Program {
    pub(super) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    pub(super) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there").success());
    }

    /// Stops it in good order.
    pub(super) fn stop(mut self) {
        self.terminate();
        wait_for("an orderly stop", Duration::from_secs(20), || {
            self.child.try_wait().expect("it is ours").is_some()
        });
        let status = self.child.wait().expect("it has ended");
        assert!(status.success(), "an orderly stop ended with {status}");
    }

    /// Whether it is killed by a signal in time.
    pub(super) fn died_within(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.code().is_none();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl World {
    pub(super) fn new(delay: Duration) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let arrived = Shared::default();
        let (hook, mail) = (receivers::hooks(arrived.clone(), delay), receivers::mails(arrived.clone()));
        let config = CONFIG.replace("HOOK_PORT", &hook.to_string()).replace("MAIL_PORT", &mail.to_string());
        fs::write(folder.path().join("shiftbell.toml"), config).expect("it can be written");
        fs::create_dir(folder.path().join("inbox")).expect("it can be made");
        World { folder, arrived, next: AtomicU32::new(1), acked: BTreeSet::new(), faults: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program; with `point`, so that it dies there.
    pub(super) fn start(&self, point: Option<&str>) -> Program {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_shiftbell"));
        command
            .args(["run", "--config"])
            .arg(self.path("shiftbell.toml"))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        if let Some(point) = point {
            command.env("FAILPOINT", point);
        }
        Program { child: command.spawn().expect("the program is built") }
    }

    /// The end of what the program said.
    pub(super) fn log(&self) -> String {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Buyers write, and nobody answers. Answers the ids of the tickets.
    pub(super) fn tickets(&self, count: usize) -> Vec<String> {
        let ids: Vec<String> =
            (0..count).map(|_| format!("TICKET-{:05}", self.next.fetch_add(1, Ordering::Relaxed))).collect();
        self.put(&ids);
        ids
    }

    /// The same tickets once more, as a source that is read again says them.
    pub(super) fn tickets_again(&self, ids: &[String]) {
        self.put(ids);
    }

    fn put(&self, ids: &[String]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
        let at = jiff::Timestamp::from_millisecond(now).expect("a year of ours");
        let lines: String = ids
            .iter()
            .map(|id| {
                format!(
                    "{{\"at\":\"{at}\",\"source\":\"shop\",\"kind\":\"ticket\",\"id\":\"{id}\",\
                     \"event\":\"customer_message\",\"ref\":\"m-{id}\"}}\n"
                )
            })
            .collect();
        let name = format!("{now}-{}.jsonl", self.next.fetch_add(1, Ordering::Relaxed));
        let partial = self.path("inbox").join(format!(".{name}"));
        fs::write(&partial, lines).expect("it can be written");
        fs::rename(partial, self.path("inbox").join(name)).expect("it can be renamed");
    }

    /// Every one of them reached a receiver.
    #[track_caller]
    pub(super) fn wait_seen(&self, ids: &[String]) {
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let missing: Vec<&String> = {
                let arrived = self.arrived.lock().unwrap();
                ids.iter().filter(|id| !arrived.names(id)).collect()
            };
            if missing.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "never told of {missing:?} (I1, I2)\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// It reached a receiver.
    pub(super) fn is_seen(&self, id: &str) -> bool {
        self.arrived.lock().unwrap().names(id)
    }

    /// The tickets that somebody has.
    pub(super) fn acked_tickets(&self) -> BTreeSet<String> {
        let Some(open) = self.ask("GET", "/v1/incidents?limit=1000", "") else { return BTreeSet::new() };
        let open = open["incidents"].as_array().cloned().unwrap_or_default();
        let theirs = open.iter().filter(|i| i["acked_by"] == "min");
        theirs.filter_map(|i| Some(i["subject"]["id"].as_str()?.to_owned())).collect()
    }

    /// Something is on its way.
    #[track_caller]
    pub(super) fn wait_begun(&self) {
        wait_for("a send to begin", Duration::from_secs(60), || self.arrived.lock().unwrap().begun > 0);
    }

    /// Somebody acks something that is open; an answer only where it was confirmed.
    pub(super) fn ack_one(&mut self) -> Option<Ack> {
        let open = self.ask("GET", "/v1/incidents?limit=100", "")?;
        let open = open.get("incidents")?.as_array()?.iter();
        let fresh = open.filter(|i| {
            i["status"] == "open" && i["family"].as_str().is_some_and(|f| f.starts_with("ticket"))
        });
        let incident =
            fresh.filter_map(|i| i["id"].as_str()).find(|id| !self.acked.contains(*id))?.to_owned();
        self.acked.insert(incident.clone());
        let answer = self.ask("POST", &format!("/v1/incidents/{incident}/ack"), "{\"person\":\"min\"}")?;
        let done = answer.get("done")?.as_array()?.iter().any(|d| d.get("acked").is_some());
        done.then_some(Ack { incident })
    }

    /// Whether somebody has it, or had it until it lapsed.
    pub(super) fn is_acked(&self, ack: &Ack) -> bool {
        let found = self.ask("GET", &format!("/v1/incidents/{}", ack.incident), "");
        found.is_some_and(|i| i["acked_by"] == "min" || i["incident"]["acked_by"] == "min")
    }

    /// Nothing waits to be read.
    pub(super) fn is_settled(&self) -> bool {
        let entries = fs::read_dir(self.path("inbox")).expect("it is there");
        entries.flatten().all(|e| e.path().is_dir())
    }

    pub(super) fn reload(&self) {
        self.ask("POST", "/v1/reload", "{}");
    }

    /// One exchange over the socket of the machine; nothing when the program is not there, or dies over it.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<Value> {
        let mut stream = UnixStream::connect(self.path("data/control.sock")).ok()?;
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
        if !head.starts_with("HTTP/1.1 200") {
            return None;
        }
        serde_json::from_str(body.trim()).ok()
    }

    pub(super) fn copy_store(&self) -> Vec<(PathBuf, Vec<u8>)> {
        files(&self.path("data"))
            .into_iter()
            .map(|path| (path.clone(), fs::read(path).expect("a file")))
            .collect()
    }

    pub(super) fn put_store_back(&self, kept: &[(PathBuf, Vec<u8>)]) {
        for path in files(&self.path("data")) {
            drop(fs::remove_file(path));
        }
        for (path, bytes) in kept {
            fs::write(path, bytes).expect("it can be written");
        }
    }

    /// Stops the program, and looks at all that must hold at rest.
    pub(super) fn check_quiet(&self, program: Program) {
        wait_for("the inbox to be empty", Duration::from_secs(30), || self.is_settled());
        program.stop();
        for verb in [["audit", "verify"], ["store", "check"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_shiftbell"))
                .args(verb)
                .arg("--store")
                .arg(self.path("data/shiftbell.db"))
                .env_clear()
                .output()
                .expect("the program is built");
            assert!(
                output.status.success(),
                "{verb:?}: {}{}\n{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
                self.log()
            );
        }
        // What is part of the installation lies beside its store, wherever the program was started.
        for name in ["data/installation.key", "data/last-good.toml"] {
            assert!(self.path(name).exists(), "{name} is missing");
        }
        // I8. The receiver of hooks honours the key: a second request is no second copy. Mail has no key: each fault may
        // double what was under way, at most so many at once.
        let arrived = self.arrived.lock().unwrap();
        let mut extra = 0;
        for (id, (copies, text)) in &arrived.mails {
            assert!(
                *copies <= 1 + self.faults,
                "{copies} copies of mail {id} after {} faults\n{text}",
                self.faults
            );
            extra += copies - 1;
        }
        assert!(extra <= self.faults * MAX_INFLIGHT, "{extra} copies too many after {} faults", self.faults);
        assert!(!arrived.hooks.contains_key(""), "a request without a key");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there").flatten();
    let keep = |p: &PathBuf| p.is_file() && !p.to_string_lossy().ends_with(".key");
    entries.map(|e| e.path()).filter(keep).collect()
}

/// As configured below.
const MAX_INFLIGHT: u32 = 4;

const CONFIG: &str = r#"
[desk]
id   = "crash"
zone = "UTC"

[[desk.shift]]
name = "all"
from = "00:00"
to   = "24:00"

[kinds.ticket]
final = ["closed"]

[[clock]]
name   = "ticket_reply"
on     = "ticket"
start  = "customer_message"
stop   = "agent_reply"
target = "1s"
ring   = ["due"]

[people.lin]
name    = "林"
role    = "handler"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mail", address = "lin@mail.test" }]

[people.min]
name    = "敏"
role    = "senior"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mail", address = "min@mail.test" }]

[people.zhou]
name    = "周"
role    = "manager"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mail", address = "zhou@mail.test" }]

[channels.hook]
max_inflight = 4
[channels.hook.webhook]
url = "http://127.0.0.1:HOOK_PORT/hook"

[channels.mail]
max_inflight = 4
[channels.mail.smtp]
host        = "127.0.0.1"
port        = MAIL_PORT
security    = "plain"
from        = "bell@mail.test"

[alerting]
fallback = ["zhou"]
admins   = ["zhou"]

[alerting.family.ticket]
levels = ["0s", "2s", "600s"]

[alerting.group]
wait         = { p0 = "0s", p1 = "200ms", p2 = "1s", p3 = "1s" }
digest_lines = 100

[alerting.storm]
count = 100000

[alerting.budget]
email   = [{ count = 10000, per = "1m" }]
webhook = [{ count = 10000, per = "1m" }]

[store.sqlite]
path = "./data/shiftbell.db"

[server]
listen = "127.0.0.1:0"

[watch]
folder = "./inbox"

[log]
level = "info"
"#;
