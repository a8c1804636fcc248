//! The figures of `sla_semantics` §11 that are read off cycles, by their ids: from a history to its rows.

use std::path::PathBuf;

use super::*;
use crate::config::load_settings;
use crate::core::clock::State;
use crate::core::engine::CaseKey;

const CONFIG: &str = r#"
[desk]
id = "after-sales"
zone = "Asia/Shanghai"
[[desk.shift]]
name = "early"
from = "09:00"
to = "15:00"
[[desk.shift]]
name = "late"
from = "15:00"
to = "21:00"

[calendars.d]
tz = "Asia/Shanghai"
weekly = { daily = [["09:00", "21:00"]] }

[[clock]]
name = "reply"
on = "ticket"
start = "customer_message"
stop = "agent_reply"
pause = { status = ["waiting"] }
target = "30m"
calendar = "d"
ring = ["50%", "due"]

[[clock]]
name = "resolution"
on = "ticket"
start = "opened"
stop = "resolved"
pause = { status = ["waiting"] }
reopen = "continue"
target = "4h"
calendar = "d"
ring = ["75%", "due"]
"#;

fn at(text: &str) -> Instant {
    let (day, time) = text.split_once(' ').unwrap_or(("02", text));
    format!("2026-03-{day}T{time}:00+08:00").parse().expect("an instant")
}

/// What comes of lines such as `10:00 customer_message` or `03 09:10 changed status=waiting` about one ticket, until
/// an instant.
fn replayed(lines: &[&str], until: &str) -> Replay {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    std::fs::write(path("config.toml"), CONFIG).expect("a file");
    let mut text = String::new();
    for line in lines {
        let mut words: Vec<&str> = line.split(' ').collect();
        let mut time = words.remove(0).to_owned();
        if time.len() == 2 {
            time = format!("{time} {}", words.remove(0));
        }
        let event = words.remove(0);
        let attributes: Vec<String> = words
            .iter()
            .map(|word| word.split_once('=').expect("an attribute"))
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        text.push_str(&format!(
            "{{\"at\":\"{}\",\"source\":\"s\",\"kind\":\"ticket\",\"id\":\"T1\",\"event\":\"{event}\",\"attrs\":{{{}}}}}\n",
            at(&time),
            attributes.join(",")
        ));
    }
    std::fs::write(path("history.jsonl"), text).expect("a file");
    let ready = load_settings(&path("config.toml"), &BTreeMap::new(), None).expect("it is right");
    let inputs = [path("history.jsonl").display().to_string()];
    replay(&ready, &inputs, Some(at(until)), true, &Progress::hidden(), None).expect("it is replayed")
}

fn of<'r>(replay: &'r Replay, clock: &str) -> Vec<&'r CycleRow> {
    replay.rows.iter().filter(|row| &*row.clock == clock).collect()
}

#[test]
fn m3_m4_first_and_next_replies_in_open_and_wall_time() {
    let lines = &[
        "20:50 customer_message",
        "03 09:10 agent_reply",
        "03 10:00 customer_message",
        "03 10:05 customer_message",
        "03 10:12 agent_reply",
        "03 11:00 customer_message",
    ];
    let done = replayed(lines, "03 12:00");
    let told: Vec<_> = of(&done, "reply").iter().map(|r| (r.reply, r.open, r.wall)).collect();
    let minutes = Span::from_minutes;
    assert_eq!(told[0], (Some(Reply::First), minutes(20), minutes(12 * 60 + 20)), "M3");
    assert_eq!(told[1], (Some(Reply::Next), minutes(12), minutes(12)), "M4: from the oldest question");
    assert_eq!(told[2].0, None, "nobody answered");
}

#[test]
fn m5_the_time_to_resolve_leaves_out_pauses_and_what_stood_closed() {
    let lines = &[
        "10:00 opened status=open",
        "11:00 changed status=waiting",
        "12:00 changed status=open",
        "13:00 resolved",
        "03 10:00 reopened",
        "03 10:30 resolved",
    ];
    let done = replayed(lines, "03 12:00");
    let rows = of(&done, "resolution");
    let minutes = Span::from_minutes;
    assert_eq!((rows.len(), rows[0].outcome), (1, State::Met));
    assert_eq!((rows[0].open, rows[0].wall), (minutes(150), minutes(24 * 60 + 30)));
}

#[test]
fn m6_the_buyer_waits_in_a_pause_too() {
    let lines = &[
        "10:00 customer_message status=open",
        "10:10 changed status=waiting",
        "10:40 changed status=open",
        "10:50 agent_reply",
    ];
    let done = replayed(lines, "12:00");
    let row = of(&done, "reply")[0];
    assert_eq!((row.open, row.waited), (Span::from_minutes(20), Span::from_minutes(50)));
}

#[test]
fn m10_at_risk_is_what_has_crossed_its_first_ring_and_is_not_overdue() {
    for (until, want) in [("10:14", false), ("10:15", true), ("10:30", true), ("10:31", false)] {
        let done = replayed(&["10:00 customer_message"], until);
        assert_eq!(of(&done, "reply")[0].at_risk, want, "{until}");
    }
    let paused = replayed(&["10:00 customer_message", "10:20 changed status=waiting"], "10:25");
    assert!(!of(&paused, "reply")[0].at_risk, "paused is not running");
}

#[test]
fn m12_a_breach_belongs_to_whoever_had_it_at_due() {
    let lines = &[
        "14:40 customer_message assignee=lin",
        "15:05 changed assignee=wu",
        "15:20 changed assignee=zhao",
        "16:00 agent_reply",
    ];
    let done = replayed(lines, "17:00");
    let row = of(&done, "reply")[0];
    assert_eq!((row.due, row.outcome), (Some(at("15:10")), State::Missed));
    assert_eq!((row.assignee.as_deref(), row.shift.as_deref()), (Some("wu"), Some("late")));
}

#[test]
fn m13_a_pause_for_a_buyer_who_has_written_is_doubtful() {
    let lines = &[
        "10:00 opened status=open",
        "11:00 changed status=waiting",
        "12:00 customer_message",
        "15:00 changed status=open",
    ];
    let done = replayed(lines, "16:00");
    assert_eq!(of(&done, "resolution")[0].doubtful, Span::HOUR.times(3));
}

#[test]
fn m14_what_is_recorded_late_says_how_late_and_once() {
    let case = CaseKey { source: "s".into(), kind: "ticket".into(), id: "T1".into() };
    let cycle = CycleId { case, clock: "reply".into(), key: 1 };
    let crossing = |ring: &str, recorded: &str, verdict| Crossing {
        cycle: cycle.clone(),
        ring: RingAt::parse(ring).expect("a ring"),
        ring_name: ring.into(),
        arm: 1,
        at: at("09:30") + Span::MILLISECOND.times(i64::from(ring == "due")),
        due: Some(at("09:30")),
        recorded_at: at(recorded),
        verdict,
    };
    let rung = |cause| Verdict::Rung { late_by: Span::ZERO, cause };
    let mut detector = Detector::default();
    // E68: half an hour, by the second.
    detector.see(&crossing("due", "10:00", rung(Cause::Attach)));
    detector.see(&crossing("50%", "10:00", Verdict::PassedBeforeAttach));
    assert_eq!((detector.lags.count(), detector.lags.percentile(50)), (2, Some(Span::from_minutes(30))));
    // What is held was detected, however late it rings.
    detector.see(&crossing("75%", "09:30", Verdict::Held { until: at("11:00") }));
    detector.see(&crossing("75%", "11:00", rung(Cause::Opening)));
    assert_eq!((detector.lags.count(), detector.lags.percentile(1)), (3, Some(Span::ZERO)));
    // In virtual time nothing is late.
    let done = replayed(&["10:00 customer_message", "11:00 agent_reply"], "12:00");
    assert_eq!((done.lags.count(), done.lags.percentile(100)), (2, Some(Span::MILLISECOND)));
}
