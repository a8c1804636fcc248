//! One installation in a folder: its configuration, its program, its receivers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::receivers::Receivers;
use super::way::{Way, now, said};
use crate::exim::Exim;

/// Waits until `is` is true, or fails by name.
#[track_caller]
pub(crate) fn wait_for(what: &str, limit: Duration, mut is: impl FnMut() -> bool) {
    let until = Instant::now() + limit;
    while !is() {
        assert!(Instant::now() < until, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a world is made with.
pub(super) struct Make {
    /// How many attempts a channel takes at a time.
    pub(super) inflight: u32,
    /// Whether there is a mail server; it needs a real root.
    pub(super) mail: bool,
    pub(super) ballast: &'static str,
}

impl Default for Make {
    fn default() -> Make {
        Make { inflight: 4, mail: true, ballast: "0B" }
    }
}

pub(super) struct World {
    folder: tempfile::TempDir,
    pub(super) receivers: Receivers,
    inflight: u32,
    way: Way,
    /// Variables of every start.
    pub(super) env: Vec<(&'static str, String)>,
    /// How often the program died.
    pub(super) faults: u32,
    /// How often the store refused for a while: then a message may leave once without a record.
    pub(super) emergencies: u32,
    /// Commits were lost with the medium: what they planned is planned anew.
    pub(super) lost_tail: bool,
}

/// The program, killed when it is dropped.
pub(crate) struct Program {
    child: Child,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Program {
    /// Starts the program with the configuration in a folder; with `point`, so that it dies there.
    pub(crate) fn start(folder: &Path, env: &[(&'static str, String)], point: Option<&str>) -> Program {
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_shiftbell"));
        command
            .args(["run", "--config"])
            .arg(folder.join("shiftbell.toml"))
            .env_clear()
            .envs(env.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        if let Some(point) = point {
            command.env("FAILPOINT", point);
        }
        Program { child: command.spawn().expect("the program is built") }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there").success());
    }

    /// Stops it in good order.
    pub(crate) fn stop(mut self) {
        self.terminate();
        let status = self.ended_within(Duration::from_secs(20)).expect("an orderly stop within 20 s");
        assert!(status.success(), "an orderly stop ended with {status}");
    }

    /// How it ended, if it does in time.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it is killed by a signal in time.
    pub(crate) fn died_within(&mut self, limit: Duration) -> bool {
        self.ended_within(limit).is_some_and(|status| status.code().is_none())
    }
}

impl std::ops::Deref for World {
    type Target = Way;

    fn deref(&self) -> &Way {
        &self.way
    }
}

impl World {
    pub(super) fn new() -> World {
        World::with(Make::default())
    }

    pub(super) fn with(make: Make) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let receivers = Receivers::start(make.mail.then(Exim::start));
        let mut config = CONFIG
            .replace("HOOK_PORT", &receivers.port.to_string())
            .replace("INFLIGHT", &make.inflight.to_string())
            .replace("BALLAST", make.ballast);
        let mut env = Vec::new();
        let mail = receivers.exim.as_ref().map(|exim| {
            env.push(("PW", "secret1".to_owned()));
            MAIL.replace("INFLIGHT", &make.inflight.to_string())
                .replace("PORT", &exim.starttls.to_string())
                .replace("CA", &exim.ca().display().to_string())
        });
        config = config.replace("MAIL_CHANNEL", mail.as_deref().unwrap_or_default());
        // Level 1 hears by mail, level 2 by hook.
        for (who, by_hook) in [("lin", false), ("min", true), ("zhou", true)] {
            let address = format!("{{ channel = \"mail\", address = \"{who}@mail.test\" }}");
            let contact = match mail {
                Some(_) if by_hook => format!("{{ channel = \"hook\" }}, {address}"),
                Some(_) => address,
                None => "{ channel = \"hook\" }".to_owned(),
            };
            config = config.replace(&format!("CONTACT_{who}"), &contact);
        }
        fs::write(folder.path().join("shiftbell.toml"), config).expect("it can be written");
        for name in ["inbox", "data"] {
            fs::create_dir(folder.path().join(name)).expect("it can be made");
        }
        let way = Way::by(folder.path().join("data/control.sock"));
        World {
            folder,
            way,
            receivers,
            inflight: make.inflight,
            env,
            faults: 0,
            emergencies: 0,
            lost_tail: false,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What lies beside the store, and how large it is.
    pub(super) fn sizes(&self) -> String {
        let entries = fs::read_dir(self.path("data")).expect("it is there").flatten();
        entries.map(|e| format!("{:?} {}\n", e.file_name(), e.metadata().map_or(0, |m| m.len()))).collect()
    }

    /// Starts the program; with `point`, so that it dies there.
    pub(super) fn start(&self, point: Option<&str>) -> Program {
        Program::start(self.folder.path(), &self.env, point)
    }

    /// Starts the program and waits until its desk answers.
    pub(super) fn start_ready(&self) -> Program {
        let mut program = self.start(None);
        wait_for("the desk to answer", Duration::from_secs(60), || {
            if let Some(status) = program.ended_within(Duration::ZERO) {
                panic!("it ended with {status}\n{}", self.log());
            }
            self.ask("GET", "/v1/incidents?limit=1", "").is_some()
        });
        program
    }

    /// The end of what the program said.
    pub(super) fn log(&self) -> String {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let lines: Vec<&str> = lines.into_iter().filter(|l| !l.contains("job_scheduler")).collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Buyers write, and nobody answers. Answers the ids of the tickets.
    pub(super) fn tickets(&self, count: usize) -> Vec<String> {
        let ids = self.fresh(count);
        self.put(&ids);
        ids
    }

    /// The same tickets once more, as a source that is read again says them.
    pub(super) fn tickets_again(&self, ids: &[String]) {
        self.put(ids);
    }

    fn put(&self, ids: &[String]) {
        let lines: String = ids.iter().map(|id| said(id, now()) + "\n").collect();
        let name = format!("{}-{}.jsonl", now(), self.next.fetch_add(1, Ordering::Relaxed));
        let partial = self.path("inbox").join(format!(".{name}"));
        fs::write(&partial, lines).expect("it can be written");
        fs::rename(partial, self.path("inbox").join(name)).expect("it can be renamed");
    }

    /// Every one of them reached a receiver.
    #[track_caller]
    pub(super) fn wait_seen(&self, ids: &[String]) {
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let missing: Vec<&String> =
                self.receivers.with(|arrived| ids.iter().filter(|id| !arrived.is_seen(id)).collect());
            if missing.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "never told of {missing:?} (I1, I2)\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Something is on its way.
    #[track_caller]
    pub(super) fn wait_begun(&self) {
        wait_for("a send to begin", Duration::from_secs(60), || self.receivers.with(|a| a.begun > 0));
    }

    /// Nothing waits to be read.
    pub(super) fn is_settled(&self) -> bool {
        let entries = fs::read_dir(self.path("inbox")).expect("it is there");
        entries.flatten().all(|e| e.path().is_dir())
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

    /// Runs a verb on the store. Whether it ended well, and what it said.
    pub(super) fn on_store(&self, verb: [&str; 2]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_shiftbell"))
            .args(verb)
            .arg("--store")
            .arg(self.path("data/shiftbell.db"))
            .env_clear()
            .output()
            .expect("the program is built");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Stops the program, and looks at all that must hold at rest.
    pub(super) fn check_quiet(&self, program: Program) {
        wait_for("the inbox to be empty", Duration::from_secs(30), || self.is_settled());
        program.stop();
        for verb in [["audit", "verify"], ["store", "check"]] {
            let (well, said) = self.on_store(verb);
            assert!(well, "{verb:?}: {said}\n{}", self.log());
        }
        // What is part of the installation lies beside its store, wherever the program was started.
        for name in ["data/installation.key", "data/last-good.toml"] {
            assert!(self.path(name).exists(), "{name} is missing");
        }
        if let Some(exim) = &self.receivers.exim {
            wait_for("mails that were taken to arrive", Duration::from_secs(90), || exim.queued() == 0);
        }
        self.check_copies();
    }

    /// I8. The receiver of hooks honours the key: a second request is no second copy. Mail has no key: each fault may double
    /// what was under way, at most so many at once; the second copy says that it may be one, and there is no third.
    fn check_copies(&self) {
        self.receivers.with(|arrived| {
            let (mut extra, mut worst) = (0, 1);
            for (id, copies) in &arrived.mails {
                let count = copies.len() as u32;
                assert!(!id.is_empty(), "a mail without an id: {copies:?}");
                let most = 2 + self.emergencies + u32::from(self.lost_tail);
                assert!(
                    count <= most,
                    "{count} copies of mail {id} after {} faults\n{copies:#?}",
                    self.faults
                );
                let unmarked =
                    copies.iter().filter(|c| !c.contains("(可能重复)") && !c.contains("(存储故障)"));
                let unmarked = unmarked.count() as u32;
                assert!(
                    unmarked <= 1 + u32::from(self.lost_tail),
                    "{unmarked} copies of mail {id} do not say that they may be one\n{copies:#?}"
                );
                extra += count - 1;
                worst = worst.max(count);
            }
            let most =
                (self.faults + self.emergencies) * self.inflight + if self.lost_tail { 100 } else { 0 };
            assert!(extra <= most, "{extra} copies too many after {} faults", self.faults);
            assert!(!arrived.hooks.contains_key(""), "a request without a key");
            let again: u32 = arrived.hooks.values().map(|(count, _)| count - 1).sum();
            println!(
                "{} faults, {} emergencies: {} hooks ({again} asked again, dropped by their key), {} mails \
                 ({extra} second copies, {worst} at most of one)",
                self.faults,
                self.emergencies,
                arrived.hooks.len(),
                arrived.mails.len(),
            );
        });
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there").flatten();
    let keep = |p: &PathBuf| p.is_file() && !p.to_string_lossy().ends_with(".key");
    entries.map(|e| e.path()).filter(keep).collect()
}

const MAIL: &str = r#"
[channels.mail]
max_inflight = INFLIGHT
[channels.mail.smtp]
host         = "localhost"
port         = PORT
security     = "starttls"
from         = "值班铃 <bell@mail.test>"
ca_file      = "CA"
username     = "alerts"
password_env = "PW"
"#;

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
contact = [CONTACT_lin]

[people.min]
name    = "敏"
role    = "senior"
shifts  = ["all"]
contact = [CONTACT_min]

[people.zhou]
name    = "周"
role    = "manager"
shifts  = ["all"]
contact = [CONTACT_zhou]

[channels.hook]
max_inflight = INFLIGHT
[channels.hook.webhook]
url = "http://127.0.0.1:HOOK_PORT/hook"
allow_private = true

MAIL_CHANNEL

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
path    = "./data/shiftbell.db"
ballast = "BALLAST"

[server]
listen = "127.0.0.1:0"

[watch]
folder = "./inbox"

[log]
level = "info"
"#;
