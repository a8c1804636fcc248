//! How late a due instant is noticed: 100,000 open tickets, 1,000 of them coming due within one minute, from the due
//! instant until the incident is committed; beside Prometheus with a rule that says the same, evaluated every 15 s, in
//! the same run. Its alert counts as noticed when it arrives where an Alertmanager would be.
//!
//! `SHIFTBELL_CASES` asks for another number of tickets.

#![allow(clippy::disallowed_methods, reason = "a bench of the whole program runs in real time, beside it")]

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::desk::{ONE_LEVEL, PEOPLE, asked, config, reply};
use common::hook::Hook;
use common::live::{Program, Usage, free_port, now_ms};
use common::table::{Spans, head, line, load, mib};
use common::watch::Watch;

/// How many come due …
const DUE: u64 = 1000;
/// … within so long.
const WITHIN: i64 = 60_000;
/// The promise.
const TARGET: i64 = 3_600_000;

fn main() {
    let cases: u64 = std::env::var("SHIFTBELL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    println!("lag: {cases} open tickets, {DUE} of them due within a minute (load {})", load());
    let folder = tempfile::tempdir().expect("a folder");
    let hook = Hook::open();
    let alerting = format!("{PEOPLE}{ONE_LEVEL}[alerting.storm]\ncount = 0\n");
    let program = Program::start(folder.path(), &config(&reply("1h"), &alerting, hook.port, 16));

    // Both are given the same tickets: those that come due begin to in 40 s, when both have settled.
    let from = now_ms() + 40_000;
    let due = |n: u64| match n {
        n if n < DUE => from + n as i64 * WITHIN / DUE as i64,
        n => from + 1_800_000 + n as i64,
    };
    let page: Arc<str> = (0..cases)
        .map(|n| {
            format!("ticket_due_seconds{{ticket=\"T{n:012}\"}} {}.{:03}\n", due(n) / 1000, due(n) % 1000)
        })
        .collect::<String>()
        .into();
    let alerts = Hook::open();
    let prometheus_folder = tempfile::tempdir().expect("a folder");
    let prometheus = prometheus(prometheus_folder.path(), export(page), alerts.port);
    let mut client = program.client();
    for start in (0..cases).step_by(1000) {
        let lines: String = (start..(start + 1000).min(cases)).map(|n| asked(n, due(n) - TARGET)).collect();
        client.push(&lines);
    }
    drop(client);
    let watch = Watch::begin(&folder.path().join("data/shiftbell.db"));
    assert!(now_ms() < from - 2000, "the tickets took too long to go in");
    std::thread::sleep(Duration::from_millis((from - now_ms()) as u64));
    let before = (program.usage(), prometheus.usage());
    std::thread::sleep(Duration::from_millis(WITHIN as u64));
    let after = (program.usage(), prometheus.usage());
    std::thread::sleep(Duration::from_secs(35));

    let late = |seen: &BTreeMap<u64, i64>| {
        let mut spans = Spans::default();
        for n in 0..DUE {
            if let Some(at) = seen.get(&n) {
                spans.push((at - due(n)) as f64);
            }
        }
        spans
    };
    head("from the due instant until …");
    line("shiftbell: committed (seen by a reader every 5 ms)", "p99 1 s", &late(&watch.end()));
    line("shiftbell: at the endpoint, groups of 5 s included", "", &late(&hook.tickets()));
    line("prometheus, rule every 15 s: at its receiver", "", &late(&alerts.tickets()));
    let say = |who: &str, before: Usage, after: Usage| {
        let cpu = (after.cpu - before.cpu).as_secs_f64();
        println!(
            "{who:<12} in that minute: {cpu:.2} s CPU, memory {} (peak {})",
            mib(after.rss),
            mib(after.peak)
        );
    };
    say("shiftbell", before.0, after.0);
    say("prometheus", before.1, after.1);
    println!("load {}", load());
    program.stop();
}

/// Serves the page to whoever asks. Answers the port.
fn export(page: Arc<str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let page = page.clone();
            std::thread::spawn(move || -> std::io::Result<()> {
                use std::io::{BufRead, BufReader};
                let mut reader = BufReader::new(stream.try_clone()?);
                let mut line = String::new();
                loop {
                    line.clear();
                    if reader.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    if line.trim_end().is_empty() {
                        let length = page.len();
                        write!(
                            stream,
                            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {length}\r\n\r\n"
                        )?;
                        stream.write_all(page.as_bytes())?;
                    }
                }
            });
        }
    });
    port
}

fn prometheus(folder: &Path, tickets: u16, alerts: u16) -> Program {
    let port = free_port();
    let text = format!(
        "global: {{ scrape_interval: 15s, evaluation_interval: 15s }}\nrule_files: [rules.yml]\n\
         scrape_configs: [{{ job_name: tickets, static_configs: [{{ targets: ['127.0.0.1:{tickets}'] }}] }}]\n\
         alerting: {{ alertmanagers: [{{ static_configs: [{{ targets: ['127.0.0.1:{alerts}'] }}] }}] }}\n"
    );
    std::fs::write(folder.join("p.yml"), text).expect("it can be written");
    let rules = "groups: [{ name: tickets, rules: [{ alert: ticket_reply, expr: 'ticket_due_seconds < time()' }] }]\n";
    std::fs::write(folder.join("rules.yml"), rules).expect("it can be written");
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", folder.join("p.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("d").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).expect("a log"));
    Program::begin(command, folder, port, "/-/ready")
}
