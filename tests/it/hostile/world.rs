//! One installation in a folder, its program, one receiver of webhooks, and callers that speak HTTP by hand.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const ERP: &str = "erp-token-0123456789";
pub(crate) const OPS: &str = "ops-token-0123456789";

/// Waits until `is` gives something, or fails by name.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut is: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = is() {
            return found;
        }
        assert!(Instant::now() < until, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What reached the receiver, by the ticket it names: when it did first.
pub(crate) type Arrived = Arc<Mutex<Vec<(Instant, String)>>>;

pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    hook: u16,
    pub(crate) arrived: Arrived,
    next: AtomicU32,
}

/// The program, killed when it is dropped.
pub(crate) struct Program(Child);

impl Program {
    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Stops it in good order.
    pub(crate) fn stop(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there").success());
        let ended = |child: &mut Child| child.try_wait().expect("it is ours");
        let status = wait_for("an orderly stop", Duration::from_secs(30), || ended(&mut self.0));
        assert!(status.success(), "an orderly stop ended with {status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// An answer: its status, and its body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.body.trim()).unwrap_or(Value::Null)
    }

    fn read(mut stream: impl Read) -> Option<Reply> {
        let mut text = Vec::new();
        // A server that closes while it is still written to resets; what it said before counts.
        let mut part = [0; 16 << 10];
        while let Ok(n @ 1..) = stream.read(&mut part) {
            text.extend_from_slice(&part[..n]);
        }
        let text = String::from_utf8_lossy(&text);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Reply { status, body: body.to_owned() })
    }
}

impl World {
    pub(crate) fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let arrived = Arrived::default();
        let hook = receive(arrived.clone());
        // Nobody else asks for it in between, as far as a test can see to that.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let world = World { folder, port, hook, arrived, next: AtomicU32::new(1) };
        for name in ["inbox", "templates"] {
            fs::create_dir(world.path(name)).expect("it can be made");
        }
        world.put("erp.token", ERP);
        world.put("ops.token", OPS);
        world.configure(&[]);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder of ours")).expect("it can be made");
        fs::write(path, text).expect("it can be written");
    }

    /// Puts a file into the watched folder, as writers do it.
    pub(crate) fn drop_file(&self, name: &str, bytes: &[u8]) {
        let partial = self.path("inbox").join(format!(".{name}"));
        fs::write(&partial, bytes).expect("it can be written");
        fs::rename(partial, self.path("inbox").join(name)).expect("it can be renamed");
    }

    /// Writes the configuration, with these texts in the place of others.
    pub(crate) fn configure(&self, changes: &[(&str, &str)]) {
        let mut text =
            CONFIG.replace("HOOK_PORT", &self.hook.to_string()).replace("PORT", &self.port.to_string());
        for (from, to) in changes {
            assert!(text.contains(from), "`{from}` is not in the configuration");
            text = text.replace(from, to);
        }
        self.put("shiftbell.toml", &text);
    }

    pub(crate) fn start(&self) -> Program {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_shiftbell"));
        command
            .args(["run", "--config"])
            .arg(self.path("shiftbell.toml"))
            .current_dir(self.folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        let program = Program(command.spawn().expect("the program is built"));
        wait_for("the program to be ready", Duration::from_secs(60), || {
            let health = self.net("127.0.0.1", "GET", "/-/ready", &[], b"")?;
            (health.status == 200).then_some(())
        });
        program
    }

    /// Runs `shiftbell check`: whether it is taken, and what it says.
    pub(crate) fn check(&self) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_shiftbell"))
            .args(["check", "--config"])
            .arg(self.path("shiftbell.toml"))
            .current_dir(self.folder.path())
            .env_clear()
            .output()
            .expect("the program is built");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs another verb, and answers what it said.
    pub(crate) fn shiftbell(&self, verb: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shiftbell"));
        command.args(verb).current_dir(self.folder.path()).env_clear();
        if verb[0] == "incidents" {
            command.arg("--socket").arg(self.path("data/control.sock"));
        }
        let output = command.output().expect("the program is built");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{verb:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// The end of what the program said.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// One exchange over the network, from an address of this machine.
    pub(crate) fn net(
        &self,
        from: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Reply> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: bell.test\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !headers.iter().any(|(name, _)| *name == "content-length" || *name == "transfer-encoding") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        self.raw(from, &[head.as_bytes(), body].concat())
    }

    /// Sends bytes as they are, and reads what comes back.
    pub(crate) fn raw(&self, from: &str, bytes: &[u8]) -> Option<Reply> {
        let mut stream = self.connect(from)?;
        let mut writer = stream.try_clone().ok()?;
        // Who refuses early does not read to the end: writing and reading go on at a time.
        std::thread::scope(|scope| {
            scope.spawn(move || drop(writer.write_all(bytes)));
            Reply::read(&mut stream)
        })
    }

    pub(crate) fn connect(&self, from: &str) -> Option<TcpStream> {
        let stream = connect_from(from, self.port).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        stream.set_write_timeout(Some(Duration::from_secs(30))).ok()?;
        Some(stream)
    }

    /// One exchange over the socket of the machine.
    pub(crate) fn machine(&self, method: &str, path: &str, body: &str) -> Option<Reply> {
        let mut stream = UnixStream::connect(self.path("data/control.sock")).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: shiftbell\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        Reply::read(stream)
    }

    /// The open incidents of a family.
    pub(crate) fn open(&self, family: &str) -> Vec<Value> {
        let reply = self.machine("GET", "/v1/incidents?limit=1000", "").expect("it answers");
        let all = reply.json()["incidents"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|i| i["family"] == family).collect()
    }

    /// The lines of a reload's report.
    pub(crate) fn reload(&self, dry_run: bool) -> (u16, String) {
        let reply = self.machine("POST", "/v1/reload", &format!("{{\"dry_run\":{dry_run}}}"));
        let reply = reply.expect("it answers");
        (reply.status, reply.body)
    }

    /// An event of a new ticket that nobody answers: its id, and the event.
    pub(crate) fn ticket(&self) -> (String, String) {
        let id = format!("TICKET-{:05}", self.next.fetch_add(1, Ordering::Relaxed));
        let at = jiff::Timestamp::now();
        let event = format!(
            "{{\"at\":\"{at}\",\"source\":\"shop\",\"kind\":\"ticket\",\"id\":\"{id}\",\
             \"event\":\"customer_message\",\"ref\":\"m-{id}\"}}"
        );
        (id, event)
    }

    /// Pushes one; answers how long that took.
    pub(crate) fn push(&self, event: &str) -> (u16, Duration) {
        let begun = Instant::now();
        let token = format!("Bearer {ERP}");
        let reply =
            self.net("127.0.0.1", "POST", "/v1/observations", &[("authorization", &token)], event.as_bytes());
        (reply.map_or(0, |reply| reply.status), begun.elapsed())
    }

    /// When a receiver was told of each of these first.
    pub(crate) fn told(&self, ids: &[String]) -> BTreeMap<String, Instant> {
        let arrived = self.arrived.lock().expect("nobody panics with it");
        let first = |id: &String| arrived.iter().find(|(_, text)| text.contains(id)).map(|(at, _)| *at);
        ids.iter().filter_map(|id| Some((id.clone(), first(id)?))).collect()
    }
}

/// A connection from one of the addresses of this machine.
fn connect_from(from: &str, port: u16) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(format!("{from}:0").parse().map_err(std::io::Error::other)?)?;
        let to = format!("127.0.0.1:{port}").parse().map_err(std::io::Error::other)?;
        let stream = socket.connect(to).await?.into_std()?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    })
}

/// Takes webhooks. Answers the port.
fn receive(arrived: Arrived) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let arrived = arrived.clone();
            std::thread::spawn(move || drop(hook(stream, &arrived)));
        }
    });
    port
}

fn hook(stream: TcpStream, arrived: &Arrived) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut length, mut line) = (0, String::new());
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        arrived.lock().expect("nobody panics with it").push((Instant::now(), text));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
    }
}

const CONFIG: &str = r#"
[desk]
id   = "hostile"
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

[people.chen]
name    = "陈"
role    = "senior"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mail", address = "chen@mail.test" }]

[people.zhou]
name    = "周"
role    = "manager"
shifts  = ["all"]
contact = [{ channel = "hook" }, { channel = "mail", address = "zhou@mail.test" }]

[channels.hook.webhook]
url = "http://127.0.0.1:HOOK_PORT/hook"
allow_private = true

[channels.mail.maildir]
path = "./mail"

[alerting]
fallback = ["zhou"]
admins   = ["zhou"]

[alerting.family.ticket]
levels = ["0s", "600s", "1200s"]

[alerting.group]
wait         = { p0 = "0s", p1 = "200ms", p2 = "1s", p3 = "1s" }
digest_lines = 100

[alerting.storm]
count = 100000

[alerting.budget]
email   = [{ count = 10000, per = "1m" }]
webhook = [{ count = 10000, per = "1m" }]

[templates]
folder = "./templates"

[store.sqlite]
path = "./data/shiftbell.db"

[server]
listen = "127.0.0.1:PORT"

[server.tokens.erp]
token_file = "./erp.token"

[server.tokens.ops]
token_file = "./ops.token"
role       = "operator"

[server.limits]
header_timeout = "2s"
body_timeout   = "2s"

[watch]
folder = "./inbox"

[log]
level = "info"
"#;
