//! The console over real sockets: a server on a free port, callers that speak HTTP by hand, and behind the handle a
//! desk's owner that does what a test tells it to.

mod callbacks;
mod doors;
mod links;
mod machine;
mod observations;
mod receipts;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use shiftbell::channels::render::Templates;
use shiftbell::config::{Ready, load_settings};
use shiftbell::console::{Clients, LimitsConfig, Listeners, Parts, Server, ServerConfig, Stopped, router};
use shiftbell::core::alerting::{
    Act, AlertingConfig, Answer, Done, LinkKeys, LinkPurpose, LinkTarget, LinkToken, Response, RuleText,
    Setup, Told,
};
use shiftbell::core::calendar::Era;
use shiftbell::core::duty::{Person, Role, Roster};
use shiftbell::core::engine::Desk;
use shiftbell::core::ids::{Id, InstallationKey};
use shiftbell::core::model::{Incident, Language, Status};
use shiftbell::core::problem::Problems;
use shiftbell::core::time::{Instant, Span};
use shiftbell::daemon::after::After;
use shiftbell::daemon::dispatch::Channels;
use shiftbell::daemon::handle::{Ask, AskError, Handle, ObserveAnswer, ReloadAnswer, Which};
use shiftbell::daemon::parcels::Doors;
use shiftbell::telemetry::{Health, HealthSender, Known, Metrics};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(super) const ERP: &str = "erp-token-0123456789";
pub(super) const OPS: &str = "ops-token-0123456789";
/// An answer that takes longer than this does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the desk's owner behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Well,
    /// The store refuses writes.
    Storage,
    /// Nothing is ever answered.
    Silent,
    /// It says what there is, and does nothing in time.
    Late,
}

/// The desk's owner, as far as the console sees it: observations go to a real desk, responses to a script that keeps
/// the rules of repeats and owners.
pub(super) struct Owner {
    pub(super) mode: Mode,
    /// What waited while it was late is done after all.
    pub(super) released: bool,
    desk: Desk,
    pub(super) incidents: BTreeMap<Id, Incident>,
    pub(super) lists: BTreeMap<Id, Vec<Id>>,
    inbox: BTreeMap<Id, Answer>,
    /// What people asked for, in order.
    pub(super) acts: Vec<Response>,
    /// What providers said, in order.
    pub(super) statements: Vec<shiftbell::core::model::Statement>,
    /// What people were told by channels, the newest first.
    pub(super) told: BTreeMap<(String, String), Vec<Told>>,
    pub(super) observed: usize,
    /// Everything that was asked but could change something.
    pub(super) changes: usize,
}

impl Owner {
    fn respond(&mut self, response: Response, now: Instant) -> Result<Answer, AskError> {
        self.acts.push(response.clone());
        if let Some(known) = self.inbox.get(&response.inbox) {
            return Ok(Answer { repeated: true, ..known.clone() });
        }
        let mut ack = |id: &Id| match self.incidents.get_mut(id) {
            Some(i) if i.status == Status::Resolved => Done::AlreadyResolved { incident: *id },
            Some(Incident { acked_by: Some(by), .. }) if *by != response.person => {
                Done::HasOwner { incident: *id, person: by.clone(), at: now }
            }
            Some(i) => {
                i.status = Status::Acked;
                i.acked_by = Some(response.person.clone());
                Done::Acked { incident: *id, until: Some(now + Span::from_minutes(10)) }
            }
            None => Done::AlreadyResolved { incident: *id },
        };
        let done = match &response.act {
            Act::Ack { incidents } => incidents.iter().map(&mut ack).collect(),
            Act::Snooze { incident, span } => {
                let most = Span::from_minutes(45);
                vec![Done::Snoozed { incident: *incident, until: now + *span.min(&most), cut: *span > most }]
            }
            Act::Resolve { incident, .. } => vec![Done::Resolved { incident: *incident }],
            Act::Escalate { incident, .. } => vec![Done::Escalated { incident: *incident, level: 2 }],
            Act::Release { incident } => vec![Done::Released { incident: *incident }],
            Act::Silence(asked) => {
                vec![Done::Silenced { silence: Id::from_bytes([77; 16]), until: now + asked.span, covers: 3 }]
            }
            Act::EndSilence { silence } => vec![Done::SilenceEnded { silence: *silence }],
        };
        let answer = Answer { done, repeated: false, at: now };
        self.inbox.insert(response.inbox, answer.clone());
        Ok(answer)
    }

    fn serve(&mut self, ask: Ask, now: Instant, kept: &mut Vec<Ask>) {
        let asks_only = matches!(ask, Ask::Incidents(..) | Ask::Told(..));
        if self.mode == Mode::Silent || (self.mode == Mode::Late && !asks_only) {
            // Held, so that whoever asked waits instead of hearing that nobody is there.
            kept.push(ask);
            return;
        }
        let storage = self.mode == Mode::Storage;
        match ask {
            Ask::Observe(all, answer) => {
                self.changes += 1;
                let answers = all.iter().map(|seen| match storage {
                    true => ObserveAnswer::Unavailable("the disk is full".to_owned()),
                    false => {
                        self.observed += 1;
                        let observed = self.desk.observe(seen, now);
                        match observed.refused {
                            Some(refused) => ObserveAnswer::Refused(refused.to_string()),
                            None => ObserveAnswer::Kept(observed.merge),
                        }
                    }
                });
                let _ = answer.send(answers.collect());
            }
            Ask::Respond(response, answer) => {
                self.changes += 1;
                let _ = answer.send(match storage {
                    true => Err(AskError::Storage("the disk is full".to_owned())),
                    false => self.respond(*response, now),
                });
            }
            Ask::Incidents(which, answer) => {
                let all = self.incidents.values();
                let found: Vec<Incident> = match which {
                    Which::One(id) => self.incidents.get(&id).cloned().into_iter().collect(),
                    Which::Short(start) => {
                        all.filter(|i| i.id.to_string().starts_with(&start)).cloned().collect()
                    }
                    Which::Listed(message) => {
                        let list = self.lists.get(&message).cloned().unwrap_or_default();
                        list.iter().filter_map(|id| self.incidents.get(id).cloned()).collect()
                    }
                    Which::After(after, most) => {
                        let beyond =
                            |i: &&Incident| !i.is_resolved() && after.is_none_or(|after| i.id > after);
                        all.filter(beyond).take(most).cloned().collect()
                    }
                    Which::Unresolved(most) => all.filter(|i| !i.is_resolved()).take(most).cloned().collect(),
                };
                let _ = answer.send(found);
            }
            Ask::Reload(ask, answer) => {
                self.changes += usize::from(!ask.dry_run);
                let _ =
                    answer.send(Ok(ReloadAnswer { revision: 7, report: vec!["nothing changes".to_owned()] }));
            }
            Ask::Told(channel, person, _, answer) => {
                let told = self.told.get(&(channel.to_string(), person.to_string())).cloned();
                let _ = answer.send(told.unwrap_or_default());
            }
            // What was noticed is counted nowhere here.
            Ask::Noticed(_) => {}
            Ask::State(statement, answer) => {
                self.changes += 1;
                self.statements.push(*statement);
                let _ = answer.send(match storage {
                    true => Err(AskError::Storage("the disk is full".to_owned())),
                    false => Ok(()),
                });
            }
        }
    }
}

/// A running console, and everything around it.
pub(super) struct Console {
    pub(super) address: SocketAddr,
    pub(super) socket: PathBuf,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: HealthSender,
    pub(super) setup: watch::Sender<Arc<Setup>>,
    pub(super) channels: watch::Sender<Channels>,
    owner: Arc<Mutex<Owner>>,
    clock: Arc<AtomicI64>,
    pub(super) stop: CancellationToken,
    tasks: JoinSet<Option<Stopped>>,
    _folder: TempDir,
}

pub(super) fn key() -> InstallationKey {
    InstallationKey::new([7; 32])
}

pub(super) fn id(n: u8) -> Id {
    Id::from_bytes([n; 16])
}

/// 2026-09-21 14:20:40 in Shanghai.
pub(super) fn start() -> Instant {
    "2026-09-21T14:20:40+08:00".parse().expect("an instant")
}

pub(super) fn incident(n: u8) -> Incident {
    let text = r#"{
        "id":"00000000000000000000000000","family":"ticket.reply","rule":"ticket_reply",
        "subject":{"kind":"ticket","source":"tmall","id":"T1"},"generation":"g","episode":1,"status":"open","level":1,
        "step":1,"version":1,"round":0,"team":"t","owner":null,"dimensions":{},"vip":false,"legal":false,
        "complaint":false,"penalty_cents":0,"since":"2026-09-21T14:00:00+08:00","due":"2026-09-21T14:20:00+08:00",
        "hard_deadline":null,"opened_at":"2026-09-21T14:00:00+08:00","episode_at":"2026-09-21T14:00:00+08:00",
        "next_level_at":null,"reminders":0,"held_delay_ms":null,"acked_by":null,"ack_until":null,"ack_extended":false,
        "snooze_until":null,"resolution":null,"resolved_at":null,"before_resolved":null,"cleared_at":null,
        "grace_until":null,"unverified":false,"unhandled":false,"folded":null,"silenced":null,"predecessor":null,
        "storm":null,"told":{},"notices":[],"facts":{"buyer":"王**"},"firing":true,"paused":false,"cycle":null,
        "levels_from":"2026-09-21T14:20:00+08:00","audience":[],"route_rev":0,"in_fallback":false,"owed":false,
        "acked_at":null,"url":null}"#;
    let mut incident: Incident = serde_json::from_str(text).expect("an incident");
    incident.id = id(n);
    incident
}

pub(super) fn setup() -> Setup {
    let person = |name: &str, language| Person {
        name: name.to_owned(),
        role: Role::Handler,
        team: "t".into(),
        accounts: Default::default(),
        contacts: Vec::new(),
        language,
    };
    let people = [
        ("xiaolin", person("小林", None)),
        ("xiaochen", person("小陈", None)),
        ("amin", person("阿敏", None)),
        ("jo", person("Jo", Some(Language::En))),
    ];
    let config = AlertingConfig {
        fallback: vec!["amin".to_owned()],
        base_url: Some("https://bell.example.com".to_owned()),
        ..AlertingConfig::default()
    };
    let rule = RuleText {
        title: "平台工单 20 分钟回复".to_owned(),
        action: Some("先回复买家".to_owned()),
        ..RuleText::default()
    };
    Setup {
        desk: "after-sales".into(),
        title: "售后客服组".to_owned(),
        language: Language::Zh,
        zone: jiff::tz::TimeZone::get("Asia/Shanghai").expect("a zone"),
        config: Arc::new(config),
        roster: Arc::new(Roster {
            revision: 1,
            people: people.into_iter().map(|(name, person)| (name.into(), person)).collect(),
            teams: BTreeMap::new(),
            ..Roster::default()
        }),
        channels: BTreeMap::new(),
        rules: [("ticket_reply".into(), rule)].into(),
        revision: 7,
    }
}

fn ready() -> Ready {
    load_settings(Path::new("builtin:examples/shop.toml"), &BTreeMap::new(), None)
        .expect("the example is right")
}

impl Console {
    pub(super) async fn start() -> Console {
        Console::with(LimitsConfig::default(), "").await
    }

    /// A console with limits, and more lines for its configuration of clients.
    pub(super) async fn with(limits: LimitsConfig, clients: &str) -> Console {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, token) in [("erp", ERP), ("ops", OPS)] {
            std::fs::write(folder.path().join(name), token).expect("written");
        }
        let socket = folder.path().join("control.sock");
        let text = format!(
            "listen = \"127.0.0.1:0\"\nsocket = \"{}\"\n[tokens.erp]\ntoken_file = \"erp\"\n{clients}\n",
            socket.display()
        );
        let mut config: ServerConfig = toml::from_str(&text).expect("a configuration");
        config.limits = limits.clone();
        let mut problems = Problems::new();
        config.check(&mut problems);
        let clients = Clients::read(&config, folder.path(), None, &mut problems);
        assert_eq!(problems.into_vec(), []);

        let clock = Arc::new(AtomicI64::new(start().as_millis()));
        let (handle, asks) = Handle::new("after-sales".into(), 64);
        let (setup, setup_seen) = watch::channel(Arc::new(setup()));
        let (health, health_seen) = Health::channel();
        let metrics = Arc::new(Metrics::new(Known::default()).expect("metrics"));
        let owner = Arc::new(Mutex::new(Owner {
            mode: Mode::Well,
            released: false,
            desk: Desk::new(
                setup_seen.borrow().as_ref().clone(),
                &ready().policy,
                key(),
                1,
                None,
                Era::DEFAULT,
                &mut Problems::new(),
            )
            .expect("a desk"),
            incidents: BTreeMap::new(),
            lists: BTreeMap::new(),
            inbox: BTreeMap::new(),
            acts: Vec::new(),
            statements: Vec::new(),
            told: BTreeMap::new(),
            observed: 0,
            changes: 0,
        }));
        let (channels, channels_seen) = watch::channel(Arc::default());
        let (after, afterwards) = After::new();
        let time = clock.clone();
        let router = router(Parts {
            handle,
            setup: setup_seen,
            key: key(),
            health: health_seen,
            metrics: metrics.clone(),
            import: Arc::new(Default::default()),
            clients,
            limits: limits.clone(),
            words: [Language::Zh, Language::En].map(|l| (l, Templates::default().words(l))).into(),
            now: Arc::new(move || Instant::from_millis(time.load(Ordering::SeqCst))),
            doors: Doors::default(),
            channels: channels_seen,
            after,
        })
        .expect("the pages are whole");
        let listeners = Listeners::open(&config).await.expect("free sockets");
        let address = listeners.addresses()[0];
        let stop = CancellationToken::new();
        let server = Server::new(listeners, router, limits, metrics.clone());
        let mut tasks = JoinSet::new();
        let stopping = stop.clone();
        tasks.spawn(async move { Some(server.run(stopping).await) });
        tasks.spawn(own(owner.clone(), asks, clock.clone()));
        let stopping = stop.clone();
        tasks.spawn(async move {
            afterwards.run(stopping).await;
            None
        });
        Console {
            address,
            socket,
            metrics,
            health,
            setup,
            channels,
            owner,
            clock,
            stop,
            tasks,
            _folder: folder,
        }
    }

    pub(super) fn owner(&self) -> MutexGuard<'_, Owner> {
        self.owner.lock().expect("no test panics with it")
    }

    pub(super) fn wait(&self, span: Span) {
        self.clock.fetch_add(span.as_millis(), Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_millis(self.clock.load(Ordering::SeqCst))
    }

    /// The text of a token for an incident.
    pub(super) fn token(&self, purpose: LinkPurpose, target: LinkTarget, person: &str) -> String {
        self.token_of(LinkToken {
            purpose,
            target,
            episode: u32::from(matches!(target, LinkTarget::Incident(_))),
            level: 1,
            person: person.into(),
            expires_at: Instant::from_secs((self.now() + Span::DAY).as_secs()),
            nonce: [purpose as u8; 8],
        })
    }

    pub(super) fn token_of(&self, token: LinkToken) -> String {
        LinkKeys::new(&key(), &"after-sales".into(), 0).sign(&token)
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[], b"").await
    }

    pub(super) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: bell.example.com\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.raw(&bytes).await
    }

    /// Sends bytes, and reads what comes until the other side closes.
    pub(super) async fn raw(&self, bytes: &[u8]) -> Reply {
        let talk = async {
            let mut stream = TcpStream::connect(self.address).await.expect("somebody listens");
            let (mut read, mut write) = stream.split();
            let mut answer = Vec::new();
            let send = async {
                // A server that refuses early closes: what is not taken any more is no fault.
                let _ = write.write_all(bytes).await;
            };
            let receive = async {
                let mut part = [0; 16 << 10];
                // A reset after the answer is the end, too.
                while let Ok(n @ 1..) = read.read(&mut part).await {
                    answer.extend_from_slice(&part[..n]);
                }
            };
            tokio::join!(send, receive);
            answer
        };
        Reply::parse(&tokio::time::timeout(PATIENCE, talk).await.expect("an answer comes"))
    }

    /// A value of the metrics page.
    pub(super) fn metric(&self, series: &str) -> String {
        let page = self.metrics.text().expect("a page");
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}")).to_owned()
    }

    /// Stops the server, and answers how it ended.
    pub(super) async fn stopped(mut self) -> Stopped {
        self.stop.cancel();
        loop {
            let ended = tokio::time::timeout(PATIENCE, self.tasks.join_next()).await.expect("it stops");
            if let Some(stopped) = ended.expect("a task is left").expect("it does not panic") {
                return stopped;
            }
        }
    }
}

async fn own(
    owner: Arc<Mutex<Owner>>,
    mut asks: mpsc::Receiver<Ask>,
    clock: Arc<AtomicI64>,
) -> Option<Stopped> {
    let mut kept = Vec::new();
    while let Some(ask) = asks.recv().await {
        let now = Instant::from_millis(clock.load(Ordering::SeqCst));
        let mut owner = owner.lock().expect("no test panics with it");
        if owner.released {
            // What waited is done first.
            for waited in std::mem::take(&mut kept) {
                owner.serve(waited, now, &mut kept);
            }
        }
        owner.serve(ask, now, &mut kept);
    }
    None
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Reply {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}\n{}", self.head, self.body))
    }

    /// Fails unless the status is right and every text is there.
    pub(super) fn says(&self, status: u16, texts: &[&str]) -> &Reply {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        for text in texts {
            assert!(self.body.contains(text), "`{text}` is not in\n{}", self.body);
        }
        self
    }

    pub(super) fn says_not(&self, texts: &[&str]) -> &Reply {
        for text in texts {
            assert!(!self.body.contains(text), "`{text}` is in\n{}", self.body);
        }
        self
    }
}
