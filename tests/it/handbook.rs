//! The files inside the program, read as the policies they are.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use shiftbell::config::load;
use shiftbell::core::calendar::{CalendarConfig, Era, HolidaySetConfig};
use shiftbell::core::clock::{
    AttributeType, ClockConfig, KindConfig, OverlayConfig, Policy, PolicyConfig, RuleConfig,
};
use shiftbell::core::engine::Engine;
use shiftbell::core::model::{Mark, Observation, Symbols, Value};
use shiftbell::core::problem::Problems;
use shiftbell::core::time::Instant;

/// The part of the settings that is the policy; the rest is passed over.
#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default)]
    holidays: BTreeMap<String, HolidaySetConfig>,
    #[serde(default)]
    calendars: BTreeMap<String, CalendarConfig>,
    #[serde(default)]
    attributes: BTreeMap<String, AttributeType>,
    #[serde(default)]
    kinds: BTreeMap<String, KindConfig>,
    #[serde(default)]
    clock: Vec<ClockConfig>,
    #[serde(default)]
    condition: Vec<RuleConfig>,
    #[serde(default)]
    overlay: Vec<OverlayConfig>,
}

fn policy(settings: &Settings) -> PolicyConfig {
    PolicyConfig {
        holidays: settings.holidays.clone(),
        calendars: settings.calendars.clone(),
        attributes: settings.attributes.clone(),
        kinds: settings.kinds.clone(),
        clock: settings.clock.clone(),
        condition: settings.condition.clone(),
        overlay: settings.overlay.clone(),
        ..PolicyConfig::default()
    }
}

fn check(settings: &Settings, problems: &mut Problems) {
    let config = policy(settings);
    let now = Instant::parse("2026-03-06T00:00:00Z").expect("an instant");
    let compiled = Policy::compile(&config, &mut Symbols::new(), Some(now), Era::DEFAULT, problems);
    assert!(compiled.is_some() || problems.has_errors());
}

#[test]
fn the_policies_inside_the_program_compile_without_a_complaint() {
    for name in ["builtin:shiftbell.toml", "builtin:examples/shop.toml", "builtin:examples/olist.toml"] {
        let mut loaded = load::<Settings>(Path::new(name), &BTreeMap::new());
        loaded.check(check);
        assert_eq!(loaded.report().to_string(), "", "{name}");
        assert!(loaded.settings().is_some_and(|s| s.clock.len() >= 3), "{name}");
    }
}

#[test]
fn what_a_clock_gets_wrong_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.toml");
    let text = "include = [\"builtin:calendars/desks.toml\", \"builtin:calendars/cn_holidays.toml\"]\n\
        [[clock]]\nname = \"a\"\non = \"ticket\"\nstart = \"customer_message\"\nstop = 5\ntarget = \"20m\"\n\
        ring = [\"50%\", { at = \"due\", hld = true }]\n\
        [[clock]]\nname = \"b\"\non = \"ticket\"\nstart = \"opened\"\nstop = \"resolved\"\ntarget = \"20m\"\n\
        calendar = \"platform_desk\"\n\
        [calendars.mine]\ntz = \"Asia/Beijing\"\nweekly = { mon-fri = [[\"09:00\"]] }\n";
    std::fs::write(&file, text).expect("a file");
    let mut loaded = load::<Settings>(&file, &BTreeMap::new());
    loaded.check(check);
    let report = loaded.report().to_string().replace(&format!("{}/", folder.path().display()), "");
    for line in [
        "a.toml:6:1: clock[0].stop: found `5`, expected a name or a list of names (error)",
        "a.toml:8:30: clock[0].ring[1].hld: unknown key, expected `at` or `hold`; did you mean `hold`? (error)",
        "a.toml:15:1: clock[1].calendar: found `platform_desk`, expected one of ",
        "a.toml:17:1: calendars.mine.tz: `Asia/Beijing` is not a time zone",
        "a.toml:18:23: calendars.mine.weekly.mon-fri[0]: found a list of 1, expected a list of 2 (error)",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
}

/// One line of the shop's history as an observation; the shipping deadline as `shop.toml` maps it.
fn observation(line: &serde_json::Value) -> Observation<'static> {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let at = Instant::parse(&text("at")).expect("an instant");
    let mut mark = Mark {
        name: text("event").into(),
        reference: line["ref"].as_str().map(|r| r.to_owned().into()),
        at,
        removed: false,
    };
    let mut attributes = Vec::new();
    for (name, value) in line["attrs"].as_object().into_iter().flatten() {
        let value = match value {
            serde_json::Value::Bool(yes) => Value::Bool(*yes),
            serde_json::Value::Number(n) => Value::Int(n.as_i64().expect("a whole number")),
            other => Value::Text(other.as_str().expect("a text").to_owned().into()),
        };
        match (&*mark.name, &value) {
            ("ship_deadline", Value::Text(due)) if name == "due" => {
                mark.at = Instant::parse(due).expect("an instant");
                mark.name = "ship_by".into();
            }
            _ => attributes.push((name.clone().into(), value)),
        }
    }
    Observation {
        source: text("source").into(),
        kind: text("kind").into(),
        id: text("id").into(),
        as_of: at,
        revision: 0,
        marks: vec![mark],
        attributes,
    }
}

#[test]
fn the_shop_shows_every_way_a_promise_can_end() {
    let loaded = load::<Settings>(Path::new("builtin:examples/shop.toml"), &BTreeMap::new());
    let config = policy(loaded.settings().expect("settings"));
    let mut engine =
        Engine::new("demo", &config, None, Era::DEFAULT, &mut Problems::new()).expect("an engine");
    let mut keys = Vec::new();
    for line in include_str!("../../config/examples/history.jsonl").lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let seen = observation(&line);
        engine.observe(&seen, seen.as_of);
        let key = (seen.source.to_string(), seen.kind.to_string(), seen.id.to_string());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let now = engine.now();
    let mut ends: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for (source, kind, id) in &keys {
        let case = engine.case(source, kind, id).expect("a case");
        for cycle in case.cycles(now) {
            let clock = engine.symbols().name(cycle.clock).to_string();
            *ends.entry(clock).or_default().entry(cycle.state.word()).or_default() += 1;
        }
    }
    let shown: Vec<String> = ends
        .iter()
        .map(|(clock, ends)| {
            let ends: Vec<String> = ends.iter().map(|(word, n)| format!("{n} {word}")).collect();
            format!("{clock}: {}", ends.join(", "))
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    chat_first_reply: 3 met, 3 missed, 1 overdue
    chat_first_reply_brand: 5 met, 1 missed, 1 overdue
    handover_accept: 1 cancelled, 4 met, 1 missed, 1 superseded
    handover_done: 1 cancelled, 3 met, 1 missed, 1 overdue
    mail_reply: 1 met, 1 missed, 1 overdue
    parcel_complaint_answer: 3 met, 1 missed, 1 overdue
    parcel_complaint_solution: 2 met, 1 missed, 2 overdue
    phone_pick_up: 1 cancelled, 2 met, 1 missed
    pick_up: 8 met, 1 overdue
    refund_after_return: 1 met, 1 missed
    return_message_reply: 1 met, 1 missed
    return_review: 1 cancelled, 3 met, 1 missed, 1 overdue
    ship: 1 cancelled, 7 met, 2 missed, 1 overdue
    ticket_reply: 3 cancelled, 37 met, 6 missed, 2 overdue
    ticket_same_day: 2 cancelled, 28 met, 4 missed, 4 overdue
    ticket_solution: 2 cancelled, 30 met, 1 missed, 3 overdue, 1 paused
    trade_extension: 9 running
    vip_call: 1 met, 1 overdue, 1 running
    ");
}
