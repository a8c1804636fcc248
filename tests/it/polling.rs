//! The real program polls simulated platforms and is killed while it does: no order is lost, none is invented, and no
//! secret is in anything that it wrote. The platforms are simulated.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use shiftbell::config::load_settings;
use shiftbell::core::engine::CaseRow;
use shiftbell::core::ids::InstallationKey;
use shiftbell::core::time::{Instant, Span};
use shiftbell::daemon::time::{FastTime, SystemTime, TimeSource};
use shiftbell::daemon::{Daemon, Plan};
use shiftbell::sim::random::Dice;
use shiftbell::sim::stand::{Clock, Stand, Trade, Truth};
use shiftbell::store::{SqliteOptions, SqliteStore};
use shiftbell::telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::hostile::world::wait_for;

const LONG: Duration = Duration::from_secs(120);
/// What was changed later than so long before the start may not be shown yet when all else is read.
const SETTLED: Span = Span::from_minutes(6);

/// The program, killed when it is dropped.
struct Program(Child);

impl Program {
    fn start(folder: &Path) -> Program {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_shiftbell"))
            .args(["run", "--config", "main.toml"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        Program(child.expect("it starts"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What is kept of a case: its status, and until when it must be shipped.
type Known = (Option<String>, Option<i64>);

/// The orders that are in the store, by source and id.
fn kept(folder: &Path) -> Option<BTreeMap<(String, String), Known>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = rusqlite::Connection::open_with_flags(folder.join("data/shiftbell.db"), flags).ok()?;
    let mut asked = db.prepare("SELECT id, body FROM \"case\"").ok()?;
    let rows = asked.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))).ok()?;
    let mut found = BTreeMap::new();
    for (id, body) in rows.filter_map(Result::ok) {
        let [source, kind, id] = id.split('\0').collect::<Vec<_>>()[..] else { continue };
        if kind != "order" {
            continue;
        }
        let row = serde_json::to_value(CaseRow::from_bytes(&body).expect("a row")).expect("as JSON");
        let entries = row["entries"].as_array().cloned().unwrap_or_default();
        let newest = |name: &str| -> Option<Value> {
            let of = entries.iter().filter(|e| e["name"] == name && e["removed"] == false);
            of.max_by_key(|e| (e["revision"].as_i64(), e["at"].as_i64())).cloned()
        };
        let status = newest("status").and_then(|e| e["value"]["Text"].as_str().map(str::to_owned));
        let ship_by = newest("ship_by").and_then(|e| e["value"]["Deadline"].as_i64().or(e["at"].as_i64()));
        found.insert((source.to_owned(), id.to_owned()), (status, ship_by));
    }
    Some(found)
}

/// What is missing or wrong of what had settled when it began, and what was invented.
fn wrong(
    truths: &mut [Truth],
    (began, now): (Instant, Instant),
    reaches: Instant,
    folder: &Path,
) -> Vec<String> {
    let Some(kept) = kept(folder) else { return vec!["no store yet".to_owned()] };
    let (mut wrong, mut real) = (Vec::new(), BTreeSet::new());
    for Truth { source, shop, order_id } in truths {
        shop.advance(now);
        for (number, order) in &shop.orders {
            let key = ((*source).to_owned(), order_id(*number));
            real.insert(key.clone());
            let settled = order.updated >= reaches && order.updated.max(order.visible) <= began - SETTLED;
            if !settled {
                continue;
            }
            let ship_by = order.ship_by().map(Instant::as_millis);
            match kept.get(&key) {
                // JD shows nothing that is not paid.
                None if *source == "jd" && order.word() == "unpaid" => {}
                None => wrong.push(format!("{key:?} is missing: {order:?}")),
                Some((status, by)) => {
                    if status.as_deref() != Some(order.word()) {
                        wrong.push(format!("{key:?} is {status:?}, not {}: {order:?}", order.word()));
                    }
                    if by.is_some() && *by != ship_by {
                        wrong.push(format!("{key:?} is due {by:?}, not {ship_by:?}"));
                    }
                }
            }
        }
    }
    wrong.extend(kept.keys().filter(|key| !real.contains(*key)).map(|key| format!("{key:?} was invented")));
    wrong
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Serves the simulated platforms in a thread of its own, until they are stopped.
fn serve(stand: Stand, clock: Clock) -> (CancellationToken, std::thread::JoinHandle<()>) {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let served = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(stand.run(clock, stopped)).expect("they serve");
    });
    (stop, served)
}

#[test]
fn killed_while_it_polls_it_loses_no_order_invents_none_and_writes_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let began = SystemTime.read().wall;
    let asked_every = Span::from_secs(60);
    let trade = Trade {
        seed: 11,
        orders: 2400,
        asked_every,
        days: 1,
        trouble: 20,
        outages: [None; 2],
        parcels: false,
    };
    let stand = Stand::open(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, trade, began).expect("it opens");
    stand.write(folder.path()).expect("it is written");
    let mut truths = stand.truths();
    assert!(truths.len() >= 4, "{truths:?}");
    let sources = folder.path().join("sources.toml");
    let text = std::fs::read_to_string(&sources).expect("it is there");
    let text = text.replace("every      = \"60s\"", "every      = \"15s\"");
    std::fs::write(&sources, text.replace("look_back  = \"2h\"", "look_back  = \"4h\""))
        .expect("it is written");
    let main = "include = [\"builtin:shiftbell.toml\", \"sources.toml\"]\n\
                [server]\nlisten = \"127.0.0.1:0\"\n\
                [store.sqlite]\npath = \"data/shiftbell.db\"\n[channels.mailbox.maildir]\npath = \"mail\"\n";
    std::fs::write(folder.path().join("main.toml"), main).expect("it is written");

    let (stop, served) = serve(stand, Arc::new(|| SystemTime.read().wall));
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();

    let mut dice = Dice::new(5);
    for round in 0..8 {
        let mut program = Program::start(folder.path());
        let many = kept(folder.path()).map_or(0, |kept| kept.len());
        // Killed at any instant: while it starts, and, later, once it has read something more.
        if round > 1 {
            wait_for("a little more", LONG, || {
                (kept(folder.path())?.len() > many || round > 5).then_some(())
            });
        }
        std::thread::sleep(Duration::from_millis(u64::try_from(dice.between(20, 700)).unwrap_or(20)));
        assert!(program.0.try_wait().expect("it is ours").is_none(), "it ended by itself: {}", log());
        program.0.kill().expect("it is there");
        program.0.wait().expect("it is ours");
    }
    let mut program = Program::start(folder.path());
    let reaches = began - Span::HOUR.times(4) + SETTLED;
    let mut last = Vec::new();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("everything to be read", LONG, || {
            last = wrong(&mut truths, (began, SystemTime.read().wall), reaches, folder.path());
            last.is_empty().then_some(())
        });
    }));
    assert!(done.is_ok(), "{} wrong: {:#?}\n{}", last.len(), &last[..last.len().min(5)], log());
    let orders = kept(folder.path()).map_or(0, |kept| kept.len());
    assert!(orders > 1000, "{orders} orders");

    let pid = program.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there").success());
    assert!(wait_for("the end", LONG, || program.0.try_wait().expect("it is ours")).success());
    stop.cancel();
    served.join().expect("it ends");

    // Tokens and the secret lie in their own files; everything else that was written has none of them.
    let own = |path: &Path| {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        name == "sim.secret" || path.parent() == Some(folder.path()) && name.ends_with(".json")
    };
    let mut looked = 0;
    for path in files(folder.path()).into_iter().filter(|path| !own(path)) {
        let bytes = std::fs::read(&path).expect("it can be read");
        looked += 1;
        // The secret's own name in `sources.toml` is the file's, `sim.secret`.
        for secret in ["sim-secret", "sim-access", "sim-refresh", "张三", "13800138000"] {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {}", path.display());
        }
    }
    assert!(looked >= 4, "{looked} files");
}

/// The folder of a desk at speed, and what its clock shows when the machine's counter shows what: for [`desk_at_speed`].
const AT_SPEED: &str = "SHIFTBELL_TEST_AT_SPEED";

/// How much faster than the machine's a whole day passes.
fn speed() -> u32 {
    std::env::var("SHIFTBELL_SPEED").ok().and_then(|speed| speed.parse().ok()).unwrap_or(240)
}

/// A clock that shows `wall` when the machine's counter shows `elapsed`, in ms.
fn clock_of(wall: i64, elapsed: i64) -> FastTime {
    let run = SystemTime.read().elapsed.as_millis() - elapsed;
    FastTime::new(Instant::from_millis(wall + run * i64::from(speed())), speed())
}

/// The desk that [`a_whole_day_at_speed_killed_again_and_again`] starts and kills: a process of its own.
#[test]
#[ignore = "a part of another test, which starts it"]
fn desk_at_speed() {
    let Ok(told) = std::env::var(AT_SPEED) else { return };
    let mut parts = told.splitn(3, ' ');
    let mut number = || parts.next().and_then(|n| n.parse().ok()).expect("a number");
    let (wall, elapsed) = (number(), number());
    let folder = PathBuf::from(parts.next().expect("a folder"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (main, env) = (folder.join("main.toml"), Arc::new(BTreeMap::new()));
        let time = Arc::new(clock_of(wall, elapsed));
        let ready = load_settings(&main, &env, Some(time.read().wall)).unwrap_or_else(|e| panic!("{e}"));
        let options = SqliteOptions { ballast_bytes: 0, ..SqliteOptions::default() };
        let path = folder.join("data/shiftbell.db");
        std::fs::create_dir_all(folder.join("data")).expect("a folder");
        let plan = Plan {
            main,
            env,
            ready,
            rejected: None,
            last_good: folder.join("last_good.toml"),
            key: InstallationKey::new([3; 32]),
            store: Arc::new(SqliteStore::open(&path, options).expect("a store")),
            time,
            metrics: Arc::new(Metrics::new(shiftbell::telemetry::Known::default()).expect("metrics")),
        };
        let mut daemon = Daemon::start(plan).await.unwrap_or_else(|e| panic!("{e}"));
        let ended = daemon.supervisor.next().await;
        panic!("{} ended by itself: {:?}", ended.name, ended.how);
    });
}

/// A day of 20,000 orders in each of four shops, two outages of twenty minutes, one request of a hundred wrong, and the
/// process killed a dozen times: nothing is lost, nothing invented, and every deadline is the platform's.
#[test]
#[ignore = "takes seven minutes: cargo test --features fail-points --test it -- --ignored a_whole_day_at_speed"]
fn a_whole_day_at_speed_killed_again_and_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let began = Instant::from_secs(1_780_000_000);
    let outage = |hour: i64| {
        let from = began + Span::HOUR.times(hour);
        Some((from, from + Span::from_minutes(20)))
    };
    let (asked_every, outages) = (Span::from_secs(240), [outage(5), outage(14)]);
    let trade =
        Trade { seed: 23, orders: 20_000, asked_every, days: 1, trouble: 10, outages, parcels: false };
    let stand = Stand::open(IpAddr::V4(Ipv4Addr::LOCALHOST), 0, trade, began).expect("it opens");
    stand.write(folder.path()).expect("it is written");
    let mut truths = stand.truths();
    let main = "include = [\"builtin:shiftbell.toml\", \"sources.toml\"]\n\
                [server]\nlisten = \"127.0.0.1:0\"\n[channels.mailbox.maildir]\npath = \"mail\"\n";
    std::fs::write(folder.path().join("main.toml"), main).expect("it is written");
    let elapsed = SystemTime.read().elapsed.as_millis();
    let clock = clock_of(began.as_millis(), elapsed);
    let (stop, served) = serve(stand, Arc::new(move || clock.read().wall));
    let start = || {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log"));
        let log = log.expect("a log");
        let child = Command::new(std::env::current_exe().expect("it runs"))
            .args(["--ignored", "--exact", "polling::desk_at_speed", "--nocapture"])
            .current_dir(folder.path())
            .env(AT_SPEED, format!("{} {elapsed} {}", began.as_millis(), folder.path().display()))
            .env("SHIFTBELL_SPEED", speed().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        Program(child.expect("it starts"))
    };
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let mut dice = Dice::new(7);
    let (day, mut kills) = (began + Span::DAY, 0);
    let mut program = start();
    while clock.read().wall < day {
        // A dozen times a day.
        let hours = Span::from_minutes(dice.between(20, 220));
        let at = (clock.read().wall + hours).min(day);
        while clock.read().wall < at {
            std::thread::sleep(Duration::from_millis(20));
            assert!(program.0.try_wait().expect("it is ours").is_none(), "it ended by itself: {}", log());
        }
        drop(program);
        kills += 1;
        program = start();
    }
    assert!(kills >= 8, "{kills} kills");
    let reaches = began - Span::HOUR.times(2) + SETTLED;
    let mut last = Vec::new();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("everything to be read", LONG, || {
            last = wrong(&mut truths, (day, clock.read().wall), reaches, folder.path());
            last.is_empty().then_some(())
        });
    }));
    assert!(done.is_ok(), "{} wrong: {:#?}\n{}", last.len(), &last[..last.len().min(5)], log());
    let orders = kept(folder.path()).map_or(0, |kept| kept.len());
    println!("{orders} orders of four shops, {kills} kills, {} times as fast", speed());
    assert!(orders > 80_000, "{orders} orders");
    drop(program);
    stop.cancel();
    served.join().expect("it ends");
}
