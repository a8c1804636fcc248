//! What an open desk costs while nothing happens: 100,000 open cases, nothing due, over a minute.
//!
//! `SHIFTBELL_CASES` and `SHIFTBELL_SECONDS` ask for others.

#![allow(clippy::disallowed_methods, reason = "a bench of the whole program runs in real time, beside it")]

mod common;

use std::time::Duration;

use common::desk::{PEOPLE, TWO_PROMISES, config, snapshot};
use common::hook::Hook;
use common::live::{Program, now_ms};
use common::table::{load, mib};

fn main() {
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(or);
    let (cases, seconds) = (number("SHIFTBELL_CASES", 100_000), number("SHIFTBELL_SECONDS", 60));
    let folder = tempfile::tempdir().expect("a folder");
    let hook = Hook::open();
    let text = config(TWO_PROMISES, PEOPLE, hook.port, 16);
    let program = Program::start(folder.path(), &text);
    let now = now_ms();
    let mut client = program.client();
    for from in (0..cases).step_by(1000) {
        let lines: String = (from..(from + 1000).min(cases))
            .map(|n| snapshot(n, now - (n as i64 % 3_600_000), now))
            .collect();
        client.push(&lines);
    }
    drop(client);
    println!("idle: {cases} open cases and nothing due, {seconds} s (load {})", load());
    println!(
        "{:<26} {:>10} {:>12} {:>14} {:>12} {:>10}",
        "", "CPU", "of a core", "memory", "to the disk", "writes"
    );
    println!("{:<26} {:>10} {:>12} {:>14} {:>12} {:>10}", "bound", "", "1.00 %", "200 MiB", "0", "");
    watch(&program, "after taking them in", seconds);
    program.stop();
    let program = Program::start(folder.path(), &text);
    watch(&program, "after a start with them", seconds);
    println!("ready after {:.2} s", program.ready.as_secs_f64());
}

fn watch(program: &Program, what: &str, seconds: u64) {
    // What was begun ends first: a checkpoint, connections.
    std::thread::sleep(Duration::from_secs(5));
    let before = program.usage();
    std::thread::sleep(Duration::from_secs(seconds));
    let after = program.usage();
    let cpu = after.cpu - before.cpu;
    println!(
        "{what:<26} {:>7.2} s {:>10.2} % {:>14} {:>12} {:>10}",
        cpu.as_secs_f64(),
        cpu.as_secs_f64() / seconds as f64 * 100.0,
        mib(after.rss),
        after.written - before.written,
        after.writes - before.writes,
    );
}
