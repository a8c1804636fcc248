//! A desk with a team for each provider, the program that runs it, and the providers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use shiftbell::core::time::Instant;
use shiftbell::sim::inboxes::serve::Inboxes;
use shiftbell::sim::inboxes::{Form, HOOK, KINDS, Kind, SECRET, Shown, Trouble};
use tokio_util::sync::CancellationToken;

use crate::crash::{Program, Way, now, readable, wait_for};

/// What a story changes of the configuration.
pub(super) struct Make {
    /// `[alerting.send]`.
    pub(super) send: &'static str,
    /// More sections.
    pub(super) more: String,
    /// Channels that meet a server whose certificate nobody vouches for.
    pub(super) untrusted: Vec<&'static Kind>,
}

impl Make {
    pub(super) fn with(send: &'static str) -> Make {
        Make { send, more: String::new(), untrusted: Vec::new() }
    }
}

/// A server that speaks TLS, with a certificate of its own making.
struct Tls {
    child: Child,
    port: u16,
}

impl Drop for Tls {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Tls {
    fn start(folder: &Path) -> Tls {
        let (key, certificate) = (folder.join("tls.key"), folder.join("tls.pem"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args([
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout",
            ])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status()
            .expect("openssl is there");
        assert!(made.success(), "a certificate of its own");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}"), "-key"])
            .arg(&key)
            .arg("-cert")
            .arg(&certificate)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is there");
        let tls = Tls { child, port };
        wait_for("the server to listen", Duration::from_secs(20), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        tls
    }
}

pub(super) struct World {
    folder: tempfile::TempDir,
    inboxes: Inboxes,
    pub(super) way: Way,
    env: Vec<(&'static str, String)>,
    _tls: Option<Tls>,
    _runtime: tokio::runtime::Runtime,
}

/// Which number a provider's handler has.
fn nth(of: &Kind) -> usize {
    KINDS.iter().position(|kind| kind.name == of.name).expect("one of them")
}

impl World {
    pub(super) fn new(make: &Make) -> World {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let inboxes = Inboxes::new(Arc::new(|| Instant::from_millis(now())), &[]);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("it is bound"));
        runtime.spawn(inboxes.clone().serve(listener, CancellationToken::new()));

        let folder = tempfile::tempdir().expect("a folder");
        let tls = (!make.untrusted.is_empty()).then(|| Tls::start(folder.path()));
        let mut config = CONFIG.replace("SEND", make.send) + &make.more;
        for kind in KINDS {
            let (name, nth) = (kind.name, nth(kind));
            let to = match &tls {
                Some(tls) if make.untrusted.iter().any(|of| of.name == name) => {
                    format!("https://127.0.0.1:{}/{name}", tls.port)
                }
                _ => format!("{base}/{name}"),
            };
            config += &format!(
                "[teams.{name}]\nshops = [\"{name}\"]\n\n[people.{name}]\nname = \"{name}\"\nrole = \"handler\"\nteam = \"{name}\"\n\
                 shifts = [\"all\"]\ncontact = [{{ channel = \"{name}\", address = \"{}\" }}, \
                 {{ channel = \"backup\", address = \"{name}@mail.test\" }}]\n\n{}\n",
                kind.address(nth),
                kind.section(name, &to),
            );
        }
        fs::write(folder.path().join("shiftbell.toml"), config).expect("it can be written");
        fs::create_dir(folder.path().join("data")).expect("it can be made");
        let way = Way::by(folder.path().join("data/control.sock"));
        let env = vec![("SIM_SECRET", SECRET.to_owned()), ("SIM_HOOK", HOOK.to_owned())];
        World { folder, inboxes, way, env, _tls: tls, _runtime: runtime }
    }

    pub(super) fn start(&self, point: Option<&str>) -> Program {
        Program::start(self.folder.path(), &self.env, point)
    }

    pub(super) fn start_ready(&self) -> Program {
        let mut program = self.start(None);
        wait_for("the desk to answer", Duration::from_secs(60), || {
            if let Some(status) = program.ended_within(Duration::ZERO) {
                panic!("it ended with {status}\n{}", self.log());
            }
            self.way.ask("GET", "/v1/incidents?limit=1", "").is_some()
        });
        program
    }

    pub(super) fn log(&self) -> String {
        let path: PathBuf = self.folder.path().join("log");
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// A buyer of each of these teams writes, and nobody answers; the id begins with `word`.
    pub(super) fn tickets(&self, word: &str, of: &[&'static Kind]) {
        let at = jiff::Timestamp::from_millisecond(now()).expect("a year of ours");
        let line = |kind: &&Kind| {
            let name = kind.name;
            format!(
                "{{\"at\":\"{at}\",\"source\":\"shop\",\"kind\":\"ticket\",\"id\":\"{word}-{name}\",\
                 \"event\":\"customer_message\",\"ref\":\"m-{word}-{name}\",\"attrs\":{{\"shop\":\"{name}\"}}}}"
            )
        };
        let body = of.iter().map(line).collect::<Vec<_>>().join(",");
        wait_for("the tickets to be kept", Duration::from_secs(60), || {
            let answer = self.way.ask("POST", "/v1/observations", &format!("[{body}]"));
            answer.is_some_and(|answer| {
                answer["results"].as_array().is_some_and(|all| all.iter().all(|r| r["status"] != "refused"))
            })
        });
    }

    /// What the first channel of a team shows.
    pub(super) fn primary(&self, of: &Kind) -> Vec<Shown> {
        let service = self.inboxes.of(of.name).expect("it is served");
        service.seen.iter().map(|seen| seen.shown.clone()).filter(|shown| shown.form != Form::Ring).collect()
    }

    /// The mails that its second channel, a mailbox, got.
    pub(super) fn backup(&self, of: &Kind) -> Vec<String> {
        let to = format!("{}@mail.test", of.name);
        let Ok(entries) = fs::read_dir(self.folder.path().join("mail/new")) else { return Vec::new() };
        let mails = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
        let theirs =
            mails.filter(|mail| mail.lines().any(|line| line.starts_with("To:") && line.contains(&to)));
        theirs.map(|mail| readable(&mail)).collect()
    }

    pub(super) fn trouble(&self, of: &[&'static Kind], trouble: Trouble) {
        for kind in of {
            self.inboxes.of(kind.name).expect("it is served").trouble = trouble;
        }
    }

    pub(super) fn crowd(&self, of: &[&'static Kind]) {
        for kind in of {
            self.inboxes.of(kind.name).expect("it is served").crowd();
        }
    }

    /// The keys of what a provider has taken and will push receipts of.
    pub(super) fn keys(&self, of: &Kind) -> Vec<String> {
        let service = self.inboxes.of(of.name).expect("it is served");
        service.receipts.iter().map(|receipt| receipt.key.clone()).collect()
    }

    /// A provider says that a message arrived. Whether that was taken in.
    pub(super) fn delivered(&self, of: &Kind, key: &str) -> bool {
        let body = format!("{{\"key\":\"{key}\",\"what\":\"delivered\"}}");
        let answer = self.way.exchange("POST", &format!("/v1/receipts/{}", of.name), &body);
        answer.is_some_and(|(status, _)| status == 200)
    }

    /// Waits until `is` holds for each of them.
    #[track_caller]
    pub(super) fn wait_all(
        &self,
        what: &str,
        of: &[&'static Kind],
        secs: u64,
        is: impl Fn(&'static Kind) -> bool,
    ) {
        let until = std::time::Instant::now() + Duration::from_secs(secs);
        loop {
            let missing: Vec<&str> = of.iter().filter(|kind| !is(kind)).map(|kind| kind.name).collect();
            if missing.is_empty() {
                return;
            }
            assert!(std::time::Instant::now() < until, "{what}: not so of {missing:?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

const CONFIG: &str = r#"
[desk]
id   = "inboxes"
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

[teams.house]

[people.min]
name    = "敏"
role    = "senior"
team    = "house"
shifts  = ["all"]
contact = [{ channel = "backup", address = "min@mail.test" }]

[people.zhou]
name    = "周"
role    = "manager"
team    = "house"
shifts  = ["all"]
contact = [{ channel = "backup", address = "zhou@mail.test" }]

[channels.backup.maildir]
path = "./mail"

[alerting]
fallback = ["zhou"]
admins   = ["zhou"]

[alerting.family.ticket]
levels = ["0s", "1h", "2h"]

[alerting.group]
wait = { p0 = "0s", p1 = "200ms", p2 = "1s", p3 = "1s" }

[alerting.storm]
count = 100000

[alerting.send]
SEND

[store.sqlite]
path    = "./data/shiftbell.db"
ballast = "0B"

[server]
listen = "127.0.0.1:0"

[log]
level = "info"
"#;
