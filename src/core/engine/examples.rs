//! The worked examples of `sla_semantics` §13.2, by their ids, through a whole engine.
//!
//! A story is a list of lines such as `10:00 customer_message` or `11:00 status=waiting`; each is an observation of
//! its own, made at its instant. Times are Shanghai's, on Monday 2026-03-02 where no date is given.

use std::collections::BTreeMap;

use crate::core::calendar::Era;
use crate::core::clock::{Cycle, PolicyConfig, ReloadMode};
use crate::core::engine::{CaseKey, Cause, Changes, Command, Engine, Remark, Verdict};
use crate::core::model::{Mark, Observation, Value};
use crate::core::problem::Problems;
use crate::core::time::{Instant, Span};

pub(super) const CALENDARS: &str = r#"
[holidays.cn]
covers = ["2026-01-01", "2026-12-31"]
days_off = [{ from = "2026-02-15", to = "2026-02-23", name = "春节" }]
makeup_days = [{ date = "2026-02-14", name = "春节" }, { date = "2026-02-28", name = "春节" }]
[calendars.D]
tz = "Asia/Shanghai"
weekly = { daily = [["09:00", "21:00"]] }
[calendars.O]
tz = "Asia/Shanghai"
weekly = { mon-fri = [["09:00", "18:00"]] }
holidays = ["cn"]
makeup_hours = "as:mon"
[calendars.S]
tz = "Asia/Shanghai"
weekly = { mon-fri = [["09:00", "12:00"], ["13:00", "18:00"]] }
holidays = ["cn"]
makeup_hours = "as:mon"
"#;

const REPLY: &str = r#"
[[clock]]
name = "reply"
on = "ticket"
start = "customer_message"
stop = "agent_reply"
cancel = ["merged", "spam"]
target = "30m"
calendar = "D"
ring = ["50%", "due"]
"#;

const RESOLUTION: &str = r#"
[[clock]]
name = "resolution"
on = "ticket"
start = "opened"
stop = "resolved"
pause = { status = ["waiting"], hold = ["yes"] }
reopen = "continue"
target = "4h"
calendar = "D"
ring = ["75%", "due"]
[kinds.ticket]
closed = { status = ["resolved"] }
[attributes]
hold = "text"
"#;

/// Local time in Shanghai: `10:00`, `10:00:00.001`, `03-03 10:00` or `2026-02-13 10:00`.
pub(super) fn at(text: &str) -> Instant {
    let (date, time) = text.split_once(' ').unwrap_or(("2026-03-02", text));
    let date = if date.len() == 5 { format!("2026-{date}") } else { date.to_owned() };
    let time = if time.len() == 5 { format!("{time}:00") } else { time.to_owned() };
    format!("{date}T{time}+08:00").parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The same the other way.
pub(super) fn local(t: Instant) -> String {
    let zoned = t.to_timestamp().in_tz("Asia/Shanghai").expect("the zone is bundled");
    let ms = t.as_millis().rem_euclid(1000);
    let time = match (zoned.second(), ms) {
        (0, 0) => zoned.strftime("%H:%M").to_string(),
        (_, 0) => zoned.strftime("%H:%M:%S").to_string(),
        _ => format!("{}.{ms:03}", zoned.strftime("%H:%M:%S")),
    };
    match zoned.strftime("%m-%d").to_string().as_str() {
        "03-02" => time,
        date => format!("{date} {time}"),
    }
}

pub(super) fn policy(text: &str) -> PolicyConfig {
    toml::from_str(&format!("{text}\n{CALENDARS}")).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

pub(super) fn engine(text: &str) -> Engine {
    let mut problems = Problems::new();
    let era = Era::years(2023, 2028);
    Engine::new("desk", &policy(text), Some(at("00:00")), era, &mut problems)
        .unwrap_or_else(|| panic!("{:?}", problems.into_vec()))
}

/// A line of a story: `10:00 customer_message#m1`, `10:00 status=waiting`, `10:00 opened status=waiting`, with
/// `@09:00` after a mark that happened at another instant than it was seen.
pub(super) fn observation(line: &str) -> Observation<'static> {
    let mut words: Vec<&str> = line.split(' ').collect();
    let mut as_of = words.remove(0).to_owned();
    // A date, with or without its year: the time of day is the next word.
    if (as_of.len() == 5 && as_of.as_bytes()[2] == b'-') || as_of.len() == 10 {
        as_of = format!("{as_of} {}", words.remove(0));
    }
    let as_of = at(&as_of);
    let mut seen = Observation {
        source: "shop".into(),
        kind: "ticket".into(),
        id: "T1".into(),
        as_of,
        revision: 0,
        marks: Vec::new(),
        attributes: Vec::new(),
    };
    for word in words {
        if let Some((name, value)) = word.split_once('=') {
            if name == "rev" {
                seen.revision = value.parse().expect("a number");
                continue;
            }
            let value = match value {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                text => Value::Text(text.to_owned().into()),
            };
            seen.attributes.push((name.to_owned().into(), value));
            continue;
        }
        let (word, instant) = match word.split_once('@') {
            Some((word, instant)) => (word, at(&instant.replace('_', " "))),
            None => (word, as_of),
        };
        let (name, reference) = match word.split_once('#') {
            Some((name, reference)) => (name, Some(reference.to_owned().into())),
            None => (word, None),
        };
        let name = match name {
            "cm" => "customer_message",
            "ar" => "agent_reply",
            "br" => "bot_reply",
            other => other,
        };
        seen.marks.push(Mark { name: name.to_owned().into(), reference, at: instant, removed: false });
    }
    seen
}

/// An engine driven through a story.
pub(super) struct Story {
    pub(super) engine: Engine,
    /// What rang: instant, clock, ring, and how late.
    pub(super) rung: Vec<String>,
    /// Every crossing that was recorded.
    pub(super) crossed: Vec<String>,
    pub(super) retracted: Vec<String>,
    pub(super) remarks: Vec<Remark>,
}

impl Story {
    pub(super) fn new(text: &str) -> Story {
        Story { engine: engine(text), rung: vec![], crossed: vec![], retracted: vec![], remarks: vec![] }
    }

    fn note(&mut self, changes: Changes) {
        for crossing in &changes.crossings {
            let arm = if crossing.arm > 1 { format!(" arm {}", crossing.arm) } else { String::new() };
            self.crossed.push(format!("{} {}{arm}", crossing.ring_name, local(crossing.at)));
            if let Verdict::Rung { late_by, cause } = crossing.verdict {
                let late = if late_by >= Span::from_secs(1) {
                    format!(" late {}", Span::from_secs(late_by.as_secs()))
                } else {
                    String::new()
                };
                let cause = if cause == Cause::Attach { " attach" } else { "" };
                self.rung.push(format!(
                    "{} {}{arm}{late}{cause}",
                    crossing.ring_name,
                    local(crossing.recorded_at)
                ));
            }
        }
        for retraction in &changes.retractions {
            self.retracted.push(format!("{} {}", local(retraction.at), retraction.reason.word()));
        }
        self.remarks.extend(changes.remarks);
    }

    /// Lets time pass, waking exactly when the engine asks to be woken.
    pub(super) fn until(&mut self, t: Instant) {
        while let Some(wake) = self.engine.next_wake().filter(|wake| *wake <= t) {
            let changes = self.engine.advance(wake);
            self.note(changes);
        }
        let changes = self.engine.advance(t);
        self.note(changes);
    }

    /// Lets time pass in one step, as after a pause of the process.
    pub(super) fn sleep_until(&mut self, t: Instant) {
        let changes = self.engine.advance(t);
        self.note(changes);
    }

    pub(super) fn see(&mut self, line: &str) {
        let seen = observation(line);
        self.see_at(&seen, seen.as_of.max(self.engine.now()));
    }

    pub(super) fn see_at(&mut self, seen: &Observation<'_>, now: Instant) {
        while let Some(wake) = self.engine.next_wake().filter(|wake| *wake < now) {
            let changes = self.engine.advance(wake);
            self.note(changes);
        }
        let changes = self.engine.observe(seen, now);
        assert_eq!(changes.refused, None);
        self.note(changes);
    }

    pub(super) fn with<R>(&self, clock: &str, look: impl Fn(&Cycle<'_>, Instant) -> R) -> Vec<R> {
        let view = self.engine.case("shop", "ticket", "T1").expect("the case was seen");
        let now = self.engine.now();
        let cycles = view.cycles(now);
        let name = |c: &Cycle<'_>| self.engine.symbols().name(c.clock).to_string();
        cycles.iter().filter(|c| name(c) == clock).map(|c| look(c, now)).collect()
    }

    /// Every cycle as `start..end due D state`.
    pub(super) fn cycles(&self, clock: &str) -> Vec<String> {
        self.with(clock, |cycle, _| {
            format!(
                "{}..{} due {} {}",
                local(cycle.start),
                cycle.end.map(local).unwrap_or_default(),
                cycle.due.map_or("-".to_owned(), local),
                cycle.state.word()
            )
        })
    }
}

/// A story, and the cycles of one clock in the end.
pub(super) fn check(id: &str, text: &str, clock: &str, lines: &[&str], until: &str, want: &[&str]) -> Story {
    let mut story = Story::new(text);
    for line in lines {
        story.see(line);
    }
    story.until(at(until));
    assert_eq!(story.cycles(clock), want, "{id}");
    story
}

fn resolution(changed: &[(&str, &str)]) -> String {
    changed.iter().fold(RESOLUTION.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

#[test]
fn e40_to_e43_the_due_instant_is_in_time() {
    check("E40", REPLY, "reply", &["10:00 cm", "10:29:59 ar"], "12:00", &["10:00..10:29:59 due 10:30 met"]);
    check("E41", REPLY, "reply", &["10:00 cm", "10:30 ar"], "12:00", &["10:00..10:30 due 10:30 met"]);
    let lines = &["10:00 cm", "10:30:00.001 ar"];
    check("E42", REPLY, "reply", lines, "12:00", &["10:00..10:30:00.001 due 10:30 missed"]);
    let mut story = check("E43", REPLY, "reply", &["10:00 cm"], "10:30", &["10:00.. due 10:30 running"]);
    assert_eq!(story.rung, ["50% 10:15"], "E43");
    story.until(at("10:30:00.001"));
    assert_eq!(story.cycles("reply"), ["10:00.. due 10:30 overdue"], "E43");
    assert_eq!(story.rung, ["50% 10:15", "due 10:30:00.001"], "E43");
}

#[test]
fn e44_to_e46_closed_time() {
    let mut story =
        check("E44", REPLY, "reply", &["23:10 cm"], "23:59", &["23:10.. due 03-03 09:30 running"]);
    story.see("03-03 08:00 ar");
    story.until(at("03-03 12:00"));
    assert_eq!(story.cycles("reply"), ["23:10..03-03 08:00 due 03-03 09:30 met"], "E44");
    assert_eq!(story.with("reply", |c, now| c.taken_open(now)), [Span::ZERO], "E44");
    assert_eq!(story.rung, [""; 0], "E44");
    let unanswered =
        check("E44", REPLY, "reply", &["23:10 cm"], "03-03 09:15", &["23:10.. due 03-03 09:30 running"]);
    assert_eq!(unanswered.rung, ["50% 03-03 09:15"], "E44");

    let story =
        check("E45", REPLY, "reply", &["20:30 cm", "21:05 ar"], "22:00", &["20:30..21:05 due 21:00 missed"]);
    assert_eq!(
        story.with("reply", |c, n| (c.overdue_open(n), c.overdue_wall(n))),
        [(Span::ZERO, Span::from_minutes(5))]
    );

    let text = REPLY.replace(r#"["50%", "due"]"#, r#"["due", "15m after"]"#);
    let story = check("E46", &text, "reply", &["20:30 cm"], "03-03 12:00", &["20:30.. due 21:00 overdue"]);
    assert_eq!(story.rung, ["due 21:00:00.001", "15m after 03-03 09:15"], "E46");
}

#[test]
fn e47_to_e51_replies() {
    let lines = &["10:00 cm", "10:05 cm", "10:12 ar", "10:20 cm"];
    let want = &["10:00..10:12 due 10:30 met", "10:20.. due 10:50 running"];
    let story = check("E47", REPLY, "reply", lines, "10:21", want);
    assert_eq!(story.with("reply", |c, n| c.taken_open(n))[0], Span::from_minutes(12), "E47");
    check("E48", REPLY, "reply", &["10:00 cm", "10:00:02 br"], "10:10", &["10:00.. due 10:30 running"]);
    check(
        "E49",
        REPLY,
        "reply",
        &["10:00 cm", "10:20 resolved"],
        "11:00",
        &["10:00..10:20 due 10:30 cancelled"],
    );
    check(
        "E50",
        REPLY,
        "reply",
        &["10:00 cm", "10:40 resolved"],
        "11:00",
        &["10:00..10:40 due 10:30 missed"],
    );
    let story =
        check("E51", REPLY, "reply", &["10:00 ar", "10:00 cm"], "11:00", &["10:00..10:00 due 10:30 met"]);
    assert_eq!(story.with("reply", |c, n| c.taken_open(n)), [Span::ZERO], "E51");
}

#[test]
fn e52_to_e58_pauses() {
    let lines = &["10:00 opened", "11:00 status=waiting", "15:00 status=open"];
    let mut story = check("E52", RESOLUTION, "resolution", &lines[..2], "12:00", &["10:00.. due - paused"]);
    assert_eq!(
        story.with("resolution", |c, n| (c.left(n), c.due_if_resumed(n))),
        [(Some(Span::HOUR.times(3)), Some(at("15:00")))]
    );
    story.see(lines[2]);
    story.until(at("15:00"));
    assert_eq!(story.with("resolution", |c, n| c.taken_open(n)), [Span::HOUR], "E52");
    assert_eq!(story.cycles("resolution"), ["10:00.. due 18:00 running"], "E52");
    for (id, lines, want) in [
        (
            "E53",
            ["20:00 opened", "20:30 status=waiting", "03-03 10:00 status=open"],
            "20:00.. due 03-03 13:30 running",
        ),
        (
            "E54",
            ["20:30 opened", "22:00 status=waiting", "03-03 08:00 status=open"],
            "20:30.. due 03-03 12:30 running",
        ),
    ] {
        let story = check(id, RESOLUTION, "resolution", &lines, "03-03 10:00", &[want]);
        let consumed = if id == "E53" { 30 } else { 30 + 60 };
        assert_eq!(story.with("resolution", |c, n| c.taken_open(n)), [Span::from_minutes(consumed)], "{id}");
    }
    let lines = &["10:00 opened status=waiting", "12:00 status=open"];
    check("E55", RESOLUTION, "resolution", lines, "12:00", &["10:00.. due 16:00 running"]);
    check("E56", RESOLUTION, "resolution", &["10:00 opened status=resolved"], "12:00", &[]);
    let text = resolution(&[("\"4h\"", "\"1h\"")]);
    let lines = &["09:00 opened", "11:00 status=waiting", "13:00 status=open"];
    let story = check("E57", &text, "resolution", lines, "14:00", &["09:00.. due 10:00 overdue"]);
    let ages = story.with("resolution", |c, n| (c.overdue_open(n), c.overdue_wall(n)));
    assert_eq!(ages, [(Span::HOUR.times(2), Span::HOUR.times(4))], "E57");
    let lines =
        &["10:00 opened", "11:00 status=waiting", "12:00 hold=yes", "13:00 status=open", "14:00 hold=no"];
    check("E58", RESOLUTION, "resolution", lines, "14:00", &["10:00.. due 17:00 running"]);
}

#[test]
fn e59_to_e61_reopening() {
    let lines = &["10:00 opened", "12:00 resolved", "03-03 10:00 reopened", "03-03 11:30 resolved"];
    let mut story = check(
        "E59",
        RESOLUTION,
        "resolution",
        &lines[..3],
        "03-03 10:00",
        &["10:00.. due 03-03 12:00 running"],
    );
    story.see(lines[3]);
    story.until(at("03-03 13:00"));
    assert_eq!(story.cycles("resolution"), ["10:00..03-03 11:30 due 03-03 12:00 met"], "E59");
    assert_eq!(story.with("resolution", |c, n| c.taken_open(n)), [Span::from_minutes(210)], "E59");
    let text = resolution(&[("continue", "new_cycle")]);
    let want = &["10:00..12:00 due 14:00 met", "03-03 10:00.. due 03-03 14:00 running"];
    check("E60", &text, "resolution", &lines[..3], "03-03 10:00", want);
    let text = resolution(&[("\"4h\"", "\"1h\"")]);
    let lines = &["10:00 opened", "11:30 resolved", "15:00 reopened"];
    let story = check("E61", &text, "resolution", lines, "16:00", &["10:00.. due 11:00 overdue"]);
    assert_eq!(story.crossed, ["75% 10:45", "due 11:00:00.001"], "E61: no second due ring");
}

const SHORTER: &str = r#"
[[overlay]]
name = "urgent"
clock = "resolution"
when = { priority = "urgent" }
target = "2h"
"#;

#[test]
fn e62_to_e67_retargets() {
    let urgent = format!("{RESOLUTION}{SHORTER}");
    let lines = &["10:00 opened", "11:00 priority=urgent"];
    check("E62", &urgent, "resolution", lines, "11:30", &["10:00.. due 12:00 running"]);
    let lines = &["10:00 opened", "13:00 priority=urgent"];
    let mut story = check("E63", &urgent, "resolution", lines, "13:00", &["10:00.. due 13:00 running"]);
    story.until(at("13:00:00.001"));
    assert_eq!(story.cycles("resolution"), ["10:00.. due 13:00 overdue"], "E63");
    let least = urgent.replace("name = \"urgent\"", "name = \"urgent\"\nmin_left = \"15m\"");
    check("E64", &least, "resolution", lines, "13:01", &["10:00.. due 13:15 running"]);
    let text = format!(
        "{}{}",
        resolution(&[("\"4h\"", "\"2h\"")]),
        SHORTER.replace("\"2h\"", "\"8h\"").replace("urgent", "easy")
    );
    let lines = &["10:00 opened", "12:30 priority=easy", "13:00 resolved"];
    check("E65", &text, "resolution", lines, "14:00", &["10:00..13:00 due 12:00 missed"]);
    let restart = urgent.replace("reopen = \"continue\"", "on_change = \"restart\"");
    let lines = &["10:00 opened", "13:00 priority=urgent"];
    check("E66", &restart, "resolution", lines, "13:01", &["10:00.. due 15:00 running"]);
    let vip = r#"
[[overlay]]
name = "vip"
clock = "resolution"
when = { vip = true }
target = "2h"
calendar = "always"
"#;
    let text = format!("{RESOLUTION}{vip}");
    let lines = &["19:30 opened", "20:30 vip=true"];
    let story = check("E67", &text, "resolution", lines, "20:30", &["19:30.. due 21:30 running"]);
    assert_eq!(story.with("resolution", |c, n| c.taken_open(n)), [Span::HOUR], "E67");
}

#[test]
fn e68_to_e73_late_and_early_entries() {
    let mut story = Story::new(REPLY);
    story.see("10:00 cm@08:50");
    story.until(at("10:00"));
    assert_eq!(story.cycles("reply"), ["08:50.. due 09:30 overdue"], "E68");
    assert_eq!(story.crossed, ["50% 09:15", "due 09:30:00.001"], "E68");
    assert_eq!(story.rung, ["due 10:00 late 30m attach"], "E68");

    let mut story = check("E69", REPLY, "reply", &["10:00 cm"], "10:40", &["10:00.. due 10:30 overdue"]);
    story.see("10:40 ar@10:29");
    story.until(at("11:00"));
    assert_eq!(story.cycles("reply"), ["10:00..10:29 due 10:30 met"], "E69");
    assert_eq!(story.retracted, ["10:40 late_entry"], "E69");
    assert_eq!(story.rung, ["50% 10:15", "due 10:30:00.001"], "E69");

    let mut story = Story::new(RESOLUTION);
    story.see("10:00 opened");
    story.see("12:00 status=open");
    story.see("11:00 status=waiting");
    story.until(at("12:00"));
    assert_eq!(story.cycles("resolution"), ["10:00.. due 15:00 running"], "E70");
    assert_eq!(story.with("resolution", |c, n| c.taken_open(n)), [Span::HOUR], "E70");

    let lines = &["10:00 opened", "11:00 status=waiting rev=1", "12:00 status=open"];
    let mut story = check("E71", RESOLUTION, "resolution", lines, "12:00", &["10:00.. due 15:00 running"]);
    // The platform corrects the time of the change: the entry at 11:00 becomes what it was before, one at 10:20 begins.
    story.see("11:00 status=waiting rev=2");
    story.see("10:20 status=waiting rev=2");
    assert_eq!(story.cycles("resolution"), ["10:00.. due 15:40 running"], "E71");

    let mut story = check("E72", REPLY, "reply", &["10:00 cm#m1"], "10:20", &["10:00.. due 10:30 running"]);
    for _ in 0..3 {
        let seen = observation("10:00 cm#m1");
        let changes = story.engine.observe(&seen, at("10:20"));
        assert!(changes.is_empty() && changes.merge.duplicates == 1, "E72");
    }

    let mut story = check("E73", REPLY, "reply", &["10:00 cm"], "10:15", &["10:00.. due 10:30 running"]);
    story.see("10:15 ar@11:00");
    story.until(at("10:30:00.001"));
    assert_eq!(story.cycles("reply"), ["10:00.. due 10:30 overdue"], "E73");
    story.until(at("11:00"));
    assert_eq!(story.cycles("reply"), ["10:00..11:00 due 10:30 missed"], "E73");
}

#[test]
fn e74_to_e77_reloads() {
    let ten = resolution(&[("\"4h\"", "\"10h\"")]);
    let d18 = format!(
        "{ten}\n[calendars.D]\ntz = \"Asia/Shanghai\"\nweekly = {{ daily = [[\"09:00\", \"18:00\"]] }}\n"
    );
    let without_d = CALENDARS.replace("[calendars.D]", "[calendars.unused]");
    for (id, mode, consumed, due) in [
        ("E74", ReloadMode::FromNow, 9, "03-03 10:00"),
        ("E75", ReloadMode::Retroactive, 8, "03-03 11:00"),
        ("E76", ReloadMode::NewOnly, 9, "20:00"),
    ] {
        let mut story = Story::new(&ten);
        story.see("10:00 opened");
        story.until(at("19:00"));
        let policy: PolicyConfig = toml::from_str(&format!("{d18}\n{without_d}")).expect("a policy");
        let before = story.engine.preview_reload(&policy, mode, None, at("19:00")).expect("a policy");
        let command = Command::Reload { policy: Box::new(policy), mode, since: None };
        story.engine.command(&command, at("19:00")).expect("a policy");
        story.until(at("19:00"));
        assert_eq!(story.cycles("resolution"), [format!("10:00.. due {due} running")], "{id}");
        assert_eq!(story.with("resolution", |c, n| c.taken_open(n)), [Span::HOUR.times(consumed)], "{id}");
        let moves: BTreeMap<String, String> =
            before.largest.iter().map(|m| (local(m.from), local(m.to))).collect();
        let want = if id == "E76" { vec![] } else { vec![("20:00".to_owned(), due.to_owned())] };
        assert_eq!(moves, want.into_iter().collect(), "{id}: R3");
    }
    let mut story = Story::new(RESOLUTION);
    story.see("20:30 opened");
    story.until(at("20:40"));
    let closed = CALENDARS.replacen(
        "daily = [[\"09:00\", \"21:00\"]] }",
        "daily = [[\"09:00\", \"21:00\"]] }\noverrides = { \"2026-03-03\" = [] }",
        1,
    );
    let policy: PolicyConfig = toml::from_str(&format!("{RESOLUTION}\n{closed}")).expect("a policy");
    let command = Command::Reload { policy: Box::new(policy), mode: ReloadMode::FromNow, since: None };
    story.engine.command(&command, at("20:40")).expect("a policy");
    assert_eq!(story.cycles("resolution"), ["20:30.. due 03-04 12:30 running"], "E77");
}

#[test]
fn e78_to_e80_thresholds() {
    let lines = &["10:00 opened", "11:00 status=waiting", "15:00 status=open"];
    let story = check("E78", RESOLUTION, "resolution", lines, "17:30", &["10:00.. due 18:00 running"]);
    assert_eq!(story.rung, ["75% 17:00"], "E78");
    let text = REPLY
        .replace("\"30m\"", "\"40m\"")
        .replace(r#"["50%", "due"]"#, r#"["30m before", "30m before wall"]"#);
    let story =
        check("E79", &text, "reply", &["20:30 cm"], "03-03 12:00", &["20:30.. due 03-03 09:10 overdue"]);
    assert_eq!(story.crossed, ["30m before 20:40", "30m before wall 03-03 08:40"], "E79");
    let longer = r#"
[[overlay]]
name = "easy"
clock = "reply"
when = { priority = "easy" }
target = "2h"
"#;
    let text = format!("{REPLY}{longer}");
    let story = check(
        "E80",
        &text,
        "reply",
        &["10:00 cm", "10:20 priority=easy"],
        "11:30",
        &["10:00.. due 12:00 running"],
    );
    assert_eq!(story.rung, ["50% 10:15", "50% 11:00 arm 2"], "E80");
}

const HANDOVER: &str = r#"
[[clock]]
name = "accept"
on = "ticket"
start = "handed_over"
stop = "accepted"
target = "15m"
[[clock]]
name = "done"
on = "ticket"
start = "handed_over"
stop = "done"
by = "12:00"
calendar = "O"
[[clock]]
name = "noon"
on = "ticket"
start = "handed_over"
stop = "done"
by = "12:00"
calendar = "S"
"#;

#[test]
fn e81_to_e85_handovers() {
    check(
        "E81",
        HANDOVER,
        "accept",
        &["20:55 handed_over", "21:08 accepted"],
        "22:00",
        &["20:55..21:08 due 21:10 met"],
    );
    for (id, clock, start, due) in [
        ("E82", "done", "2026-03-03 08:50", "03-03 12:00"),
        ("E83", "done", "2026-02-13 12:00", "02-14 12:00"),
        ("E84", "done", "2026-02-14 12:30", "02-24 12:00"),
        ("E85", "noon", "2026-03-03 08:50", "03-03 12:00"),
    ] {
        let mut story = Story::new(HANDOVER);
        story.see(&format!("{start} handed_over"));
        let due_at: Vec<_> = story.with(clock, |c, _| c.due.map(local));
        assert_eq!(due_at, [Some(due.to_owned())], "{id}");
    }
}

#[test]
fn e86_to_e89_orders_and_parcels() {
    let ship = r#"
[[clock]]
name = "ship"
on = "ticket"
start = "paid"
stop = "shipped"
target = "48h"
"#;
    let mut story = Story::new(ship);
    story.see("2026-02-14 15:00 paid");
    assert_eq!(story.cycles("ship"), ["02-14 15:00.. due 02-16 15:00 running"], "E86");
    let stall = r#"
[[clock]]
name = "stall"
on = "ticket"
start = "scan"
stop = "delivered"
pick = "last"
target = "48h"
"#;
    let want = &["08:00..03-03 07:00 due 03-04 08:00 superseded", "03-03 07:00.. due 03-05 07:00 running"];
    check("E87", stall, "stall", &["08:00 scan", "03-03 07:00 scan"], "03-04 12:00", want);
    let want = &["08:00..03-05 09:00 due 03-04 08:00 missed", "03-05 09:00.. due 03-07 09:00 running"];
    check("E88", stall, "stall", &["08:00 scan", "03-05 09:00 scan"], "03-05 12:00", want);
    check(
        "E89",
        REPLY,
        "reply",
        &["10:00 cm", "10:10 merged"],
        "11:00",
        &["10:00..10:10 due 10:30 cancelled"],
    );
    check("E89", REPLY, "reply", &["10:00 cm", "10:40 merged"], "11:00", &["10:00..10:40 due 10:30 missed"]);
}

#[test]
fn e90_a_nap_rings_once() {
    let mut story = Story::new(REPLY);
    story.see("10:00 cm");
    story.until(at("10:00"));
    story.sleep_until(at("10:40"));
    assert_eq!(story.crossed, ["50% 10:15", "due 10:30:00.001"], "E90");
    assert_eq!(story.rung, ["due 10:40 late 10m"], "E90");
}

#[test]
fn e91_e92_resets() {
    let accept = r#"
[[clock]]
name = "accept"
on = "ticket"
start = "assigned"
stop = "accepted"
reset = ["assigned"]
target = "15m"
"#;
    let lines = &["10:00 assigned", "10:10 assigned", "10:22 accepted"];
    let want = &["10:00..10:10 due 10:15 superseded", "10:10..10:22 due 10:25 met"];
    check("E91", accept, "accept", lines, "11:00", want);
    let want = &["10:00..10:20 due 10:15 missed", "10:20.. due 10:35 running"];
    check("E92", accept, "accept", &["10:00 assigned", "10:20 assigned"], "10:30", want);
}

#[test]
fn e98_e99_attribution_and_doubt() {
    let mut story = Story::new(REPLY);
    for line in ["20:28 cm assignee=lin", "03-03 09:00 assignee=wu", "03-03 09:10 ar"] {
        story.see(line);
    }
    let due = story.with("reply", |c, _| c.due)[0].expect("it is due");
    assert_eq!(local(due), "20:58", "E98");
    let view = story.engine.case("shop", "ticket", "T1").expect("the case");
    let owner = |t| format!("{:?}", view.value_at("assignee", t));
    assert_eq!(
        (owner(due), owner(at("03-03 09:10"))),
        ("Some(Text(\"lin\"))".into(), "Some(Text(\"wu\"))".into()),
        "E98"
    );

    let lines = &["10:00 opened", "11:00 status=waiting", "12:00 cm", "15:00 status=open"];
    let story = check("E99", RESOLUTION, "resolution", lines, "16:00", &["10:00.. due 18:00 running"]);
    let view = story.engine.case("shop", "ticket", "T1").expect("the case");
    let asked = story.engine.symbols().get("customer_message").expect("the name");
    let doubt = story.with("resolution", |c, n| c.doubtful_pause(n, view.timeline(), asked));
    assert_eq!(doubt, [Span::HOUR.times(3)], "E99");
}

#[test]
fn a_person_excuses_a_cycle() {
    let mut story = check("K25", REPLY, "reply", &["10:00 cm"], "11:00", &["10:00.. due 10:30 overdue"]);
    let case = CaseKey { source: "shop".into(), kind: "ticket".into(), id: "T1".into() };
    let command = Command::Excuse { case, clock: "reply".to_owned(), start: None };
    story.engine.command(&command, at("11:00")).expect("the cycle is there");
    assert_eq!(story.cycles("reply"), ["10:00..11:00 due 10:30 excused"]);
    assert!(story.retracted.is_empty());
}

#[test]
fn ten_thousand_scans_on_one_case_are_bounded() {
    let stall = r#"
[[clock]]
name = "stall"
on = "ticket"
start = "scan"
stop = "delivered"
pick = "last"
target = "48h"
ring = ["due"]
"#;
    let mut story = Story::new(stall);
    let mut dropped = 0;
    for n in 0..10_000 {
        let t = at("10:00") + Span::from_secs(n);
        let seen = Observation {
            source: "shop".into(),
            kind: "ticket".into(),
            id: "T1".into(),
            as_of: t,
            revision: 0,
            marks: vec![Mark { name: "scan".into(), reference: None, at: t, removed: false }],
            attributes: Vec::new(),
        };
        dropped += story.engine.observe(&seen, t).merge.dropped as usize;
    }
    let cycles = story.cycles("stall");
    assert!((3_072..=4_096).contains(&cycles.len()) && cycles.len() + dropped == 10_000);
    // Each scan but the last was followed by the next, and the last is the newest.
    assert!(cycles.iter().rev().skip(1).all(|c| c.ends_with("superseded")));
    assert_eq!(story.with("stall", |c, _| c.start).last(), Some(&(at("10:00") + Span::from_secs(9_999))));
}

#[test]
fn r1_only_by_hand_is_an_ended_cycle_judged_again() {
    for (mode, want) in [
        (ReloadMode::FromNow, "10:00..10:40 due 10:30 missed"),
        (ReloadMode::Retroactive, "10:00..10:40 due 10:30 missed"),
        (ReloadMode::Rejudge, "10:00..10:40 due 11:00 met"),
    ] {
        let lines = &["10:00 cm", "10:40 ar"];
        let mut story = check("R1", REPLY, "reply", lines, "10:45", &["10:00..10:40 due 10:30 missed"]);
        let longer = Box::new(policy(&REPLY.replace("\"30m\"", "\"1h\"")));
        let command = Command::Reload { policy: longer, mode, since: None };
        let changes = story.engine.command(&command, at("10:50")).expect("a policy");
        story.note(changes);
        assert_eq!(story.cycles("reply"), [want], "{mode:?}");
        let taken_back = if mode == ReloadMode::Rejudge { vec!["10:50 reload"] } else { vec![] };
        assert_eq!(story.retracted, taken_back, "{mode:?}");
    }
}
