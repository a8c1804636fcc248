//! From alerts handed in to all of them accepted by an HTTP endpoint, each its own message; beside Alertmanager in the
//! same run, which keeps none of it on disk until it stops.
//!
//! `cargo bench --bench delivery` takes 10,000 and 50,000 alerts, five times in turn, and shows the run in the middle: one
//! run differs from the next by a fifth, both ways and for both. `SHIFTBELL_ALERTS=2000,…` takes others,
//! `SHIFTBELL_ROUNDS=1` another number.

#![allow(clippy::disallowed_methods, reason = "a bench of the whole program runs in real time, beside it")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::desk::{EACH_ALONE, ONE_LEVEL, PEOPLE, asked, config, reply};
use common::hook::Hook;
use common::live::{Program, Usage, free_port, now_ms, rfc3339, wait_for};
use common::table::load;

/// How many go into one request.
const BATCH: usize = 1000;
/// How long the last one is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// What one run came to.
struct Run {
    who: &'static str,
    alerts: usize,
    handed_in: Duration,
    took: Duration,
    before: Usage,
    after: Usage,
    requests: usize,
}

fn main() {
    let counts = std::env::var("SHIFTBELL_ALERTS").unwrap_or_else(|_| "10000,50000".to_owned());
    let counts: Vec<usize> = counts.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let rounds: usize = std::env::var("SHIFTBELL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    println!("delivery: alerts handed in → all accepted by a loopback endpoint, each its own message");
    for alerts in counts {
        println!("\n{alerts} alerts (load {})", load());
        println!(
            "{:<14} {:>9} {:>10} {:>9} {:>9} {:>12} {:>12} {:>11} {:>10} {:>12}",
            "who",
            "took",
            "a second",
            "taken in",
            "CPU",
            "memory more",
            "an alert",
            "peak",
            "requests",
            "to the disk"
        );
        let mut ratios = Vec::new();
        for _ in 0..rounds.max(1) {
            let theirs = alertmanager(alerts);
            print(&theirs);
            let ours = shiftbell(alerts);
            print(&ours);
            let each = |run: &Run| run.after.rss.saturating_sub(run.before.rss) as f64 / run.alerts as f64;
            let time = ours.took.as_secs_f64() / theirs.took.as_secs_f64();
            println!("ours to theirs: time {time:.2}, memory an alert {:.2}", each(&ours) / each(&theirs));
            ratios.push((time, each(&ours) / each(&theirs)));
        }
        let spread = |of: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<f64> = ratios.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            (values[values.len() / 2], values[0], values[values.len() - 1])
        };
        let ((time, least, most), (memory, little, much)) = (spread(|r| r.0), spread(|r| r.1));
        println!(
            "in the middle: time {time:.2} ({least:.2}–{most:.2}; bound 2.00), memory an alert {memory:.2} \
             ({little:.2}–{much:.2}; bound 0.25)"
        );
    }
}

fn print(run: &Run) {
    let more = run.after.rss.saturating_sub(run.before.rss);
    println!(
        "{:<14} {:>7.2} s {:>10.0} {:>7.2} s {:>7.2} s {:>8.1} MiB {:>8.2} KiB {:>7.1} MiB {:>10} {:>8} MiB",
        run.who,
        run.took.as_secs_f64(),
        run.alerts as f64 / run.took.as_secs_f64(),
        run.handed_in.as_secs_f64(),
        (run.after.cpu - run.before.cpu).as_secs_f64(),
        more as f64 / 1_048_576.0,
        more as f64 / run.alerts as f64 / 1024.0,
        run.after.peak as f64 / 1_048_576.0,
        run.requests,
        (run.after.written - run.before.written) >> 20,
    );
}

/// Hands alerts in by four connections, and waits until all are told.
fn drive(
    who: &'static str,
    program: &Program,
    hook: &Hook,
    alerts: usize,
    batch: impl Fn(std::ops::Range<usize>) -> (String, &'static str, &'static str) + Sync,
) -> Run {
    std::thread::sleep(Duration::from_secs(1));
    // The first message warms the way: connections, tables, templates.
    let first = batch(alerts..alerts + 1);
    program.client().post(first.1, first.2, first.0.as_bytes());
    wait_for("the first alert", Duration::from_secs(30), || hook.count() == 1);
    hook.clear();
    let bodies: Vec<_> =
        (0..alerts).step_by(BATCH).map(|from| batch(from..(from + BATCH).min(alerts))).collect();
    let before = program.usage();
    let began = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut client = program.client();
                loop {
                    let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some((body, path, kind)) = bodies.get(i) else { return };
                    let (status, answer) = client.post(path, kind, body.as_bytes());
                    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer[..answer.len().min(500)]));
                }
            });
        }
    });
    let handed_in = began.elapsed();
    let until = Instant::now() + PATIENCE;
    let mut told = 0;
    while hook.count() < alerts {
        assert!(Instant::now() < until, "{} of {alerts} were told\n{}", hook.count(), program.log());
        std::thread::sleep(Duration::from_millis(5));
        if std::env::var_os("SHIFTBELL_PROGRESS").is_some() && hook.count() / 5000 > told {
            told = hook.count() / 5000;
            eprintln!("{} after {:?}, {} MiB", hook.count(), began.elapsed(), program.usage().rss >> 20);
        }
    }
    let took = began.elapsed();
    let after = program.usage();
    Run { who, alerts, handed_in, took, before, after, requests: hook.requests() }
}

fn shiftbell(alerts: usize) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let hook = Hook::open();
    let alerting = format!("{PEOPLE}{EACH_ALONE}{ONE_LEVEL}");
    // The handler has no other way: what the endpoint took is proof enough, and nothing falls back.
    let text = config(&reply("1s"), &alerting, hook.port, 128)
        .replace(", { channel = \"mailbox\", address = \"lin@example.com\" }", "");
    let program = Program::start(folder.path(), &text);
    let late = now_ms() - 60_000;
    let run = drive("shiftbell", &program, &hook, alerts, |range| {
        let body: String = range.map(|n| asked(n as u64, late)).collect();
        (body, "/v1/observations", "application/x-ndjson")
    });
    // Every attempt and outcome is in the store.
    program.stop();
    check(folder.path(), alerts + 1);
    run
}

/// Every alert has a message that was accepted, and an attempt with its outcome.
fn check(folder: &Path, alerts: usize) {
    let db = rusqlite::Connection::open(folder.join("data/shiftbell.db")).expect("the store");
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a count") as usize;
    assert_eq!(count("SELECT count(*) FROM attempt WHERE state = 'accepted'"), alerts);
    assert_eq!(
        count("SELECT count(*) FROM message WHERE state IN ('accepted', 'accepted_final', 'delivered')"),
        alerts
    );
}

fn alertmanager(alerts: usize) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let hook = Hook::open();
    let text = format!(
        "route: {{ receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 5m, repeat_interval: 1h }}\n\
         receivers: [{{ name: hook, webhook_configs: [{{ url: 'http://127.0.0.1:{}/hook', send_resolved: false }}] }}]\n",
        hook.port
    );
    std::fs::write(folder.path().join("am.yml"), text).expect("it can be written");
    let port = free_port();
    let mut command = Command::new("prometheus-alertmanager");
    command
        .arg(format!("--config.file={}", folder.path().join("am.yml").display()))
        .arg(format!("--storage.path={}", folder.path().join("a").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(["--cluster.listen-address=", "--log.level=error"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("log")).expect("a log"));
    let program = Program::begin(command, folder.path(), port, "/-/ready");
    let starts = rfc3339(now_ms() - 60_000);
    drive("alertmanager", &program, &hook, alerts, |range| {
        let list: Vec<String> = range
            .map(|n| {
                format!(
                    "{{\"labels\":{{\"alertname\":\"ticket_reply\",\"source\":\"shop\",\"ticket\":\"T{n:012}\"}},\
                     \"annotations\":{{\"summary\":\"工单超时未回复\"}},\"startsAt\":\"{starts}\"}}"
                )
            })
            .collect();
        (format!("[{}]", list.join(",")), "/api/v2/alerts", "application/json")
    })
}
