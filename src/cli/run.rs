//! `shiftbell run`: the desk at work.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use axum::Router;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tracing::{error, info};

use crate::channels::render::{Templates, TemplatesConfig};
use crate::cli::example;
use crate::config::{Ready, Settings, builtin, check_settings, environment};
use crate::console::{Clients, Listeners, Now, Parts, Server, ServerConfig, Serving, router};
use crate::core::alerting::Setup;
use crate::core::ids::InstallationKey;
use crate::core::model::Language;
use crate::daemon::after::After;
use crate::daemon::desk::End;
use crate::daemon::dispatch::Channels;
use crate::daemon::handle::{Handle, ReloadAsk};
use crate::daemon::open::{is_new, open_store};
use crate::daemon::parcels::Doors;
use crate::daemon::reload::Follower;
use crate::daemon::time::{SystemTime, TimeSource};
use crate::daemon::{Daemon, Plan, StartError, key, settings_to_start, systemd};
use crate::fail;
use crate::sources::history::import::ImportConfig;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::Known;
use crate::telemetry::{Health, Metrics};

/// The desk died twice within a minute: a bug of ours. The service manager starts it again.
pub const DIED: u8 = 70;
/// A flush to the medium failed: what is there is read anew by the next start (§16.4).
pub const FLUSH: u8 = 74;

/// Watch the promises, and ring whoever is on shift.
///
/// Without a configuration it runs the one inside the program: alerts appear on this terminal, and its data lies in
/// ./shiftbell-data.
///
/// Exit code: 0 stopped, 1 failed, 2 the configuration is refused, 70 the desk died twice within a minute, 74 a flush to
/// the medium failed.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(after_long_help = "Try it:
  shiftbell run --example          an alert within half a minute, and a link that acknowledges it
  shiftbell incidents              in another terminal: what is open

Signals: TERM and INT stop it in good order, a second one at once; HUP reloads the configuration.")]
pub struct RunArgs {
    /// The main file; without it ./shiftbell.toml, and where there is none the one inside the program.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show an alert: a ticket that has waited almost too long comes in, and nobody answers it.
    #[arg(long)]
    pub example: bool,
}

/// The configuration when none is named.
pub(super) fn main_file(named: Option<&Path>) -> PathBuf {
    let own = Path::new("shiftbell.toml");
    match named {
        Some(path) => path.to_owned(),
        None if own.exists() => own.to_owned(),
        None => PathBuf::from(format!("{}shiftbell.toml", builtin::PREFIX)),
    }
}

/// The socket that the command line speaks to, when none is configured: beside the store.
pub(super) fn socket_of(settings: &Settings) -> PathBuf {
    let beside = || settings.store.sqlite.path.with_file_name("control.sock");
    settings.server.socket.clone().unwrap_or_else(beside)
}

/// Runs the verb.
///
/// # Errors
/// It cannot be started.
pub fn main(args: &RunArgs, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    if args.example && args.config.is_some() {
        bail!("--example brings its own configuration: leave --config out");
    }
    let main = match args.example {
        true => PathBuf::from(format!("{}examples/first-alert.toml", builtin::PREFIX)),
        false => main_file(args.config.as_deref()),
    };
    let example = args.example;
    let job = Job {
        main,
        env: environment::whole(),
        time: Arc::new(SystemTime),
        own_address: example,
        greet: Box::new(|out, main, ready, link| greet(out, example, main, ready, link)),
        begin: Box::new(move |daemon, import| {
            if example {
                let (handle, now) = (daemon.handle.clone(), daemon.now.get());
                daemon.supervisor.start("example", Duration::from_secs(1), |stop| async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = example::feed(&handle, &import, now) => stop.cancelled().await,
                    }
                });
            }
        }),
    };
    work(job, out, err)
}

/// What is said at the start: to whom, of which main file, of what is configured, with where the pages are.
type Greet<'a> = Box<dyn FnOnce(&mut dyn Write, &Path, &Ready, &str) -> std::io::Result<()> + 'a>;

/// Starts what else belongs to a desk.
type Begin<'a> = Box<dyn FnOnce(&mut Daemon, Arc<ImportConfig>) + 'a>;

/// A desk to run, and what is particular about it.
pub(super) struct Job<'a> {
    /// Its main file.
    pub(super) main: PathBuf,
    /// The environment.
    pub(super) env: BTreeMap<String, String>,
    /// Its clocks.
    pub(super) time: Arc<dyn TimeSource>,
    /// Any port will do, and links lead to it.
    pub(super) own_address: bool,
    /// What is said at the start.
    pub(super) greet: Greet<'a>,
    /// Starts what else belongs to it.
    pub(super) begin: Begin<'a>,
}

/// Runs a desk until it is stopped.
///
/// # Errors
/// It cannot be started.
pub(super) fn work(job: Job<'_>, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<ExitCode> {
    // One provider of TLS for everything that speaks it, before anything does.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        bail!("TLS has been set up before in this process");
    }
    let Job { main, env, time, own_address, greet, begin } = job;
    let env = Arc::new(env);
    fail::arm(&env);
    let now = time.read().wall;
    // Where the data lies is needed even when the rest of the configuration cannot be used.
    let store_path = check_settings(&main, &env, Some(now))
        .whole
        .map_or_else(|| PathBuf::from("shiftbell-data/shiftbell.db"), |settings| settings.store.sqlite.path);
    let last_good = store_path.with_file_name("last-good.toml");
    let (mut ready, rejected) = match settings_to_start(&main, &env, &last_good, now) {
        Ok(settings) => settings,
        Err(report) => {
            write!(err, "{report}")?;
            writeln!(err, "{}: refused", main.display())?;
            return Ok(ExitCode::from(super::check::REFUSED));
        }
    };
    ready.settings.log.init().context("failed to begin logging")?;
    if let Some(report) = &rejected {
        error!(report, "config.rejected: the configuration cannot be used, the last good one is");
    }
    let sqlite = &ready.settings.store.sqlite;
    // The key of a new store is there before it; that of a lost one comes back with its backup.
    let early = is_new(&store_path).then(|| installation_key(&store_path, &env)).transpose()?;
    let store: Arc<dyn Store> = match open_store(sqlite, now) {
        Ok(store) => Arc::new(store),
        Err(e @ StoreError::Flush { .. }) => {
            error!(error = %e, "a flush to the medium failed: stopping, to read it anew");
            return Ok(ExitCode::from(FLUSH));
        }
        Err(e) => return Err(e).context("failed to open the store"),
    };
    let installation_key = match early {
        Some(key) => key,
        None => installation_key(&store_path, &env)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("shiftbell")
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let code = runtime.block_on(async {
        let listeners = listen(&mut ready, own_address).await?;
        let link = ready.settings.alerting.base_url.clone().unwrap_or_default();
        greet(out, &main, &ready, &link)?;
        let plan = Plan {
            main,
            env,
            ready,
            rejected,
            last_good,
            key: installation_key,
            store,
            time,
            metrics: Arc::new(Metrics::new(Known::default()).context("failed to set up the metrics")?),
        };
        serve(plan, listeners, begin).await
    });
    // A blocking read that hangs must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

/// Opens the sockets, and says in the settings where they are where nobody else did.
async fn listen(ready: &mut Ready, own_address: bool) -> anyhow::Result<Listeners> {
    ready.settings.server.socket = Some(socket_of(&ready.settings));
    let opened = Listeners::open(&ready.settings.server).await;
    let listeners = match opened {
        Err(_) if own_address => {
            // Something else has the port: any other will do for a first look.
            ready.settings.server.listen = "127.0.0.1:0".to_owned();
            Listeners::open(&ready.settings.server).await
        }
        opened => opened,
    };
    let listeners = listeners.context("failed to open the server's sockets")?;
    if ready.settings.alerting.base_url.is_none() || own_address {
        let local =
            listeners.addresses().into_iter().find(|a| a.ip().is_loopback() || a.ip().is_unspecified());
        ready.settings.alerting.base_url = local.map(|a| format!("http://127.0.0.1:{}", a.port()));
    }
    Ok(listeners)
}

/// What a first user needs to know.
fn greet(out: &mut dyn Write, example: bool, main: &Path, ready: &Ready, link: &str) -> std::io::Result<()> {
    if !main.to_string_lossy().starts_with(builtin::PREFIX) {
        return Ok(());
    }
    let data = ready.settings.store.sqlite.path.parent().unwrap_or(Path::new(".")).display();
    writeln!(out, "值班铃 shiftbell 运行中 / running: {link}")?;
    writeln!(out, "  数据 / data        {data}/")?;
    writeln!(out, "  告警 / alerts      打印在此终端 / on this terminal, 邮件 / mails in {data}/mail/")?;
    if example {
        writeln!(
            out,
            "  示例 / example     一张工单还有 10 秒超时 / a ticket will be late in 10 s: 请看告警 / watch"
        )?;
        writeln!(out, "  命令 / commands    shiftbell incidents --socket {data}/control.sock")?;
    } else {
        writeln!(out, "  试一试 / try it    shiftbell run --example")?;
        writeln!(
            out,
            "  自己的 / your own  shiftbell config show shiftbell.toml > shiftbell.toml, then edit it, then run again"
        )?;
    }
    writeln!(out, "  停止 / stop        Ctrl-C")?;
    out.flush()
}

/// The installation's key: a credential of the service manager, or a file beside the store.
fn installation_key(
    store: &Path,
    env: &BTreeMap<String, String>,
) -> anyhow::Result<crate::core::ids::InstallationKey> {
    let credential = env
        .get("CREDENTIALS_DIRECTORY")
        .map(|d| Path::new(d).join("installation-key"))
        .filter(|p| p.exists());
    let kept = match credential {
        Some(path) => key::read_or_make(&path, false),
        // A key for a store that has another one would make every id in it foreign.
        None => {
            let path = store.with_file_name("installation.key");
            key::read_or_make(&path, is_new(store) || path.exists())
        }
    };
    kept.context("failed to read the installation key; it is part of every backup")
}

/// What the server serves, made again with every configuration.
struct Pages {
    handle: Handle,
    setup: watch::Receiver<Arc<Setup>>,
    key: InstallationKey,
    health: watch::Receiver<Health>,
    metrics: Arc<Metrics>,
    now: Now,
    doors: Doors,
    channels: watch::Receiver<Channels>,
    after: After,
    env: Arc<BTreeMap<String, String>>,
    serving: watch::Sender<Serving>,
}

impl Pages {
    fn make(
        &self,
        server: &ServerConfig,
        import: Arc<ImportConfig>,
        texts: &TemplatesConfig,
    ) -> anyhow::Result<Serving> {
        let templates = Templates::load(texts.folder.as_deref().map(Path::new));
        let parts = Parts {
            handle: self.handle.clone(),
            setup: self.setup.clone(),
            key: self.key.clone(),
            health: self.health.clone(),
            metrics: self.metrics.clone(),
            import,
            clients: clients(server, &self.env)?,
            limits: server.limits.clone(),
            words: [Language::Zh, Language::En].map(|language| (language, templates.words(language))).into(),
            now: self.now.clone(),
            doors: self.doors.clone(),
            channels: self.channels.clone(),
            after: self.after.clone(),
        };
        let router = router(parts).map_err(|e| anyhow!("a page inside the program is broken: {e}"))?;
        Ok(Serving { router, limits: server.limits.clone() })
    }
}

impl Follower for Pages {
    fn prepare(&self, ready: &Ready) -> Result<Box<dyn FnOnce() + Send>, String> {
        let import = Arc::new(ready.settings.import.clone());
        let made = self
            .make(&ready.settings.server, import, &ready.settings.templates)
            .map_err(|e| e.to_string())?;
        let serving = self.serving.clone();
        Ok(Box::new(move || {
            serving.send_replace(made);
        }))
    }
}

/// Starts the desk and its server, and waits for the end.
async fn serve(
    plan: Plan,
    listeners: Listeners,
    begin: impl FnOnce(&mut Daemon, Arc<ImportConfig>),
) -> anyhow::Result<ExitCode> {
    let (mut terminate, mut interrupt, mut hang_up) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?);
    let (server, import) = (plan.ready.settings.server.clone(), Arc::new(plan.ready.settings.import.clone()));
    let (installation_key, metrics, env) = (plan.key.clone(), plan.metrics.clone(), plan.env.clone());
    let texts = plan.ready.settings.templates.clone();
    let mut daemon = match Daemon::start(plan).await {
        Ok(daemon) => daemon,
        Err(StartError::Store(e @ StoreError::Flush { .. })) => {
            error!(error = %e, "a flush to the medium failed: stopping, to read it anew");
            return Ok(ExitCode::from(FLUSH));
        }
        Err(e) => return Err(e).context("failed to start the desk"),
    };
    let pages = Pages {
        handle: daemon.handle.clone(),
        setup: daemon.setup.clone(),
        key: installation_key,
        health: daemon.health.clone(),
        metrics: metrics.clone(),
        now: daemon.now.as_clock(),
        doors: daemon.doors.clone(),
        channels: daemon.channels.clone(),
        after: daemon.after.clone(),
        env,
        serving: watch::Sender::new(Serving { router: Router::new(), limits: server.limits.clone() }),
    };
    let serving = Server::following(listeners, pages.serving.subscribe(), metrics);
    pages.serving.send_replace(pages.make(&server, import.clone(), &texts)?);
    daemon.followers.add(Arc::new(pages));
    let limit = server.limits.stop_timeout() + Duration::from_secs(1);
    daemon.supervisor.start("server", limit, |stop| async move {
        let stopped = serving.run(stop).await;
        if stopped.cut > 0 {
            info!(cut = stopped.cut, "connections were cut at the stop");
        }
    });
    begin(&mut daemon, import);
    // §16.1, 7: ready once the desk is loaded, which makes attempts of older epochs uncertain.
    let mut booted = daemon.health.clone();
    let mut ready_told = false;
    let code = loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => break ExitCode::SUCCESS,
            _ = interrupt.recv() => break ExitCode::SUCCESS,
            _ = hang_up.recv() => {
                let (answer, _) = oneshot::channel();
                if daemon.reloads.try_send((ReloadAsk { dry_run: false }, answer)).is_err() {
                    error!("a reload is under way already");
                }
            }
            Ok(_) = booted.wait_for(|h| h.booted), if !ready_told => {
                ready_told = true;
                info!("ready");
                systemd::ready();
            }
            ended = daemon.supervisor.next() => {
                // When the owner of the desk ends, whoever works for it ends as well, and may be seen first.
                let end = tokio::time::timeout(Duration::from_secs(1), &mut daemon.end).await;
                let end = end.ok().and_then(Result::ok);
                break match end {
                    Some(End::Flush(reason)) => {
                        error!(error = %reason, "a flush to the medium failed: stopping, to read it anew");
                        ExitCode::from(FLUSH)
                    }
                    Some(End::Stopped) => ExitCode::SUCCESS,
                    Some(End::Died(reason)) => {
                        error!(error = %reason, "the desk died twice within a minute: stopping");
                        ExitCode::from(DIED)
                    }
                    None => {
                        error!(task = ended.name, how = ?ended.how, "a worker is gone: stopping");
                        ExitCode::from(DIED)
                    }
                };
            }
        }
    };
    tokio::select! {
        () = daemon.stop() => {}
        _ = terminate.recv() => at_once(),
        _ = interrupt.recv() => at_once(),
    }
    Ok(code)
}

/// The second request: as a kill, which every commit is made for (§9.5).
fn at_once() {
    error!("asked twice: stopping at once");
    #[expect(
        clippy::disallowed_methods,
        reason = "the second stop request means now; the store is made for it"
    )]
    std::process::exit(1)
}

fn clients(server: &crate::console::ServerConfig, env: &BTreeMap<String, String>) -> anyhow::Result<Clients> {
    let mut problems = crate::core::problem::Problems::new();
    let credentials = env.get("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let clients = Clients::read(server, Path::new("."), credentials.as_deref(), &mut problems);
    let problems = problems.into_vec();
    match problems.first() {
        None => Ok(clients),
        Some(first) => Err(anyhow!("server.{}: {}", first.path, first.text)),
    }
}
