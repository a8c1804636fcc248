use std::fmt::Write as _;
use std::path::Path;

use clap::Parser;
use jiff::tz::TimeZone;

use super::figures::Evaluation;
use super::truth::Row;
use super::*;
use crate::cli::replay::report::{Frame, lateness};
use crate::cli::replay::{self, ReplayArgs};
use crate::config::load_settings;
use crate::core::model::Language;
use crate::core::parcel::lateness::{Alarm, Reason, Why};

/// 2017-01-02T03:00:00Z, a Monday at midnight in São Paulo.
const START: i64 = 1_483_326_000;
const DAY: i64 = 86_400;

fn ready() -> Ready {
    load_settings(Path::new("builtin:examples/olist.toml"), &BTreeMap::new(), None)
        .expect("it is tested elsewhere")
}

/// One made-up parcel; seconds since [`START`].
#[derive(Clone, Copy)]
struct Made {
    shipped: i64,
    due: i64,
    delivered: i64,
}

/// Parcels of ninety days; one in nine is slow.
fn made() -> Vec<Made> {
    let mut dice = 7_u64;
    let mut roll = |n: i64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) as i64 % n
    };
    (0..1800_i64)
        .map(|n| {
            let shipped = n * DAY / 20 + roll(3000);
            let slow = if n % 9 == 0 { 6 * DAY } else { 0 };
            let took = 2 * DAY + slow + roll(5 * DAY);
            Made { shipped, due: (shipped / DAY + 8 + roll(3)) * DAY, delivered: shipped + took }
        })
        .collect()
}

fn at(s: i64) -> Instant {
    Instant::from_secs(START + s)
}

/// The parcels as lines of a history, in the order of their instants.
fn lines(parcels: &[Made]) -> String {
    let mut events: Vec<(i64, String)> = Vec::new();
    for (n, p) in parcels.iter().enumerate() {
        let mut event = |s: i64, name: &str, kind: &str, attrs: String| {
            let at = at(s);
            let line = format!(
                r#"{{"at":"{at}","source":"olist","kind":"{kind}","id":"p{n:04}","event":"{name}","attrs":{{{attrs}}}}}"#
            );
            events.push((s, line));
        };
        event(p.shipped - 3600, "created", "order", String::new());
        event(p.shipped - 3600, "promised", "order", format!(r#""due":"{}""#, at(p.due)));
        event(p.shipped, "shipped", "shipment", format!(r#""from":"SP","to":"{}""#, ["SP", "BA"][n % 2]));
        event(p.delivered, "delivered", "shipment", String::new());
    }
    events.sort();
    events.into_iter().map(|(_, line)| line + "\n").collect()
}

fn watch_lines(lines: &str) -> Watched {
    let dir = tempfile::tempdir().expect("a folder for the history");
    let path = dir.path().join("history.jsonl");
    std::fs::write(&path, lines).expect("it can be written");
    let ready = ready();
    let rules = contenders(&ready.settings.lateness, true).into_iter().map(|c| c.rule).collect();
    watch(&ready, &[path.display().to_string()], None, true, rules).expect("a whole history")
}

/// What was told up to an instant, by the names of the parcels.
fn told_until(watched: &Watched, until: Instant) -> Vec<(String, usize, Alarm, Option<Why>)> {
    let names: BTreeMap<u32, &Arc<str>> = watched.numbers.iter().map(|(name, n)| (*n, name)).collect();
    let told = watched.told.iter().filter(|told| told.alarm.at <= until);
    let mut told: Vec<_> = told.map(|t| (names[&t.parcel].to_string(), t.rule, t.alarm, t.why)).collect();
    told.sort_by(|a, b| (a.2.at, &a.0, a.1).cmp(&(b.2.at, &b.0, b.1)));
    told
}

#[test]
fn another_future_gives_the_same_alarms_up_to_then() {
    let parcels = made();
    let cut = 60 * DAY;
    let before = told_until(&watch_lines(&lines(&parcels)), at(cut));
    assert!(before.iter().filter(|t| t.1 == 0).count() > 100, "{} alarms", before.len());
    assert!(before.iter().any(|t| t.2.reason == Reason::Likely), "some by what was learned");
    // The same past, and three futures: everything at once, everything late, everything mixed up.
    for (name, deliver) in [
        ("at once", (|_, _| 60) as fn(i64, i64) -> i64),
        ("late", |n, d| d + n % 40 * DAY),
        ("mixed", |n, d| d * (n * 7919 % 97) / 97 + 1),
    ] {
        let mut changed = parcels.clone();
        for (n, p) in (0..).zip(&mut changed) {
            if p.delivered > cut {
                p.delivered = p.shipped.max(cut) + deliver(n, p.delivered - p.shipped.max(cut));
            }
            if p.shipped > cut + 3600 {
                p.due = p.shipped + (1 + n % 20) * DAY;
            }
        }
        let after = told_until(&watch_lines(&lines(&changed)), at(cut));
        assert_eq!(before.len(), after.len(), "{name}");
        assert_eq!(before, after, "{name}");
    }
}

#[test]
fn the_same_history_gives_the_same_alarms() {
    let text = lines(&made());
    let (one, two) = (watch_lines(&text), watch_lines(&text));
    assert_eq!(one.told, two.told);
    assert_eq!(one.chances, two.chances);
}

#[test]
fn a_slow_parcel_is_told_and_each_only_once_a_rule() {
    let parcels = made();
    let watched = watch_lines(&lines(&parcels));
    let mut seen = std::collections::BTreeSet::new();
    for told in &watched.told {
        assert!(seen.insert((told.parcel, told.rule)), "{told:?} twice");
    }
    for (n, p) in parcels.iter().enumerate().skip(900) {
        let number = watched.numbers[format!("p{n:04}").as_str()];
        let alarm = watched.told.iter().find(|t| t.parcel == number && t.rule == 0).map(|t| t.alarm.at);
        if p.delivered > p.due && p.due < 85 * DAY {
            assert!(alarm.is_some_and(|at_| at_ <= at(p.due - DAY)), "p{n:04} was late and nobody was told");
        }
        if let Some(alarm) = alarm {
            assert!(
                at(p.shipped) <= alarm && alarm < at(p.due) && alarm <= at(p.delivered),
                "p{n:04} {alarm}"
            );
        }
    }
}

fn row(id: &str, delivered: Option<i64>, due: i64) -> Row {
    let created = at(0);
    Row { id: id.into(), created, shipped: Some(at(0)), delivered: delivered.map(at), due: Some(at(due)) }
}

/// Five parcels promised for day 10: in time, late by hours, late by days, never, promised after the end.
fn by_hand() -> Evaluation {
    let due = 10 * DAY;
    let rows = [
        row("a", Some(9 * DAY), due),
        row("b", Some(due + 3600), due),
        row("c", Some(14 * DAY), due),
        row("d", None, due),
        row("e", None, 90 * DAY),
        Row { shipped: None, ..row("f", None, due) },
    ];
    let told = |parcel, s: i64| Told {
        parcel,
        rule: 0,
        alarm: Alarm { at: at(s), reason: Reason::Likely },
        why: Some(Why {
            late_percent: 71,
            day: 8,
            promised_day: 11,
            nine_of_ten_by: Some(7),
            pace_percent: 100,
            parcels: 40,
        }),
    };
    let watched = Watched {
        numbers: [("a", 0), ("b", 1), ("c", 2), ("d", 3)].map(|(id, n)| (Arc::from(id), n)).into(),
        // At the promise itself it is too late, and of two alarms the first counts.
        told: vec![told(0, 7 * DAY), told(1, 7 * DAY), told(2, 9 * DAY), told(2, 9 * DAY + 1), told(3, due)],
        chances: [((0, 3), 2000), ((1, 3), 8000), ((2, 3), 8400), ((3, 3), 8600)].into(),
        end: at(60 * DAY),
    };
    let contender = Contender { name: "lateness", level: Some(60), is_swept: false, rule: Rule::Chance(0.6) };
    let swept = Contender { is_swept: true, ..contender.clone() };
    let zone = TimeZone::get("America/Sao_Paulo").unwrap();
    Evaluation::build("truth.csv", &rows, Some(at(0)), &[contender, swept], &watched, &zone)
}

#[test]
fn the_figures_are_those_worked_out_by_hand() {
    let evaluation = by_hand();
    let counted = (evaluation.parcels, evaluation.late, evaluation.never, evaluation.late_by_day);
    assert_eq!(counted, (4, 3, 1, 2));
    assert_eq!(evaluation.undecided, 1);
    let r = &evaluation.rules[0];
    assert_eq!((r.alarms, r.alarms_per_10000), (3, 7500));
    assert_eq!((r.precision_permille, r.recall_permille), (Some(667), Some(667)));
    assert_eq!((r.precision_by_day_permille, r.recall_by_day_permille), (Some(333), Some(500)));
    // Named: b 3 days ahead, c one day; d at its promise only.
    assert_eq!(r.ahead_permille, [Some(667), Some(333), Some(333), Some(0), Some(0)]);
    assert_eq!((r.lead_p50_s, r.lead_p25_s), (Some(DAY), Some(DAY)));
    assert_eq!(r.before_delivery_p50_s, Some(3 * DAY + 3600));
    assert_eq!(evaluation.sweep.len(), 1);
    assert_eq!(evaluation.sweep[0].precision_permille, None, "nothing was told by it");
    let parts: Vec<_> = evaluation.calibration[0]
        .parts
        .iter()
        .map(|p| (p.parcels, p.chance_permille, p.late_permille))
        .collect();
    assert_eq!(parts, [(1, 200, 0), (3, 833, 1000)]);
}

#[test]
fn a_terminal_shows_it() {
    let frame = Frame {
        zone: TimeZone::UTC,
        zone_name: "UTC".into(),
        from: at(0),
        to: at(60 * DAY),
        clocks: Vec::new(),
        shifts: Vec::new(),
    };
    let mut shown = String::new();
    for language in [Language::Zh, Language::En] {
        write!(shown, "{}", lateness::table(&by_hand(), &frame, language)).unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    args: ReplayArgs,
}

#[test]
fn the_verb_measures_and_draws() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (history, truth, page) = (file("history.jsonl"), file("truth.csv"), file("report.html"));
    let parcels = made();
    std::fs::write(&history, lines(&parcels)).expect("it can be written");
    let mut rows = "id,created,shipped,delivered,due\n".to_owned();
    for (n, p) in parcels.iter().enumerate() {
        let [created, shipped, delivered, due] = [p.shipped - 3600, p.shipped, p.delivered, p.due].map(at);
        writeln!(rows, "p{n:04},{created},{shipped},{delivered},{due}").unwrap();
    }
    std::fs::write(&truth, rows).expect("it can be written");
    let run = |extra: &[&str]| {
        let typed = ["replay", "-c", "builtin:examples/olist.toml", &history]
            .into_iter()
            .chain(extra.iter().copied());
        let args = Typed::try_parse_from(typed).map_err(|e| anyhow::anyhow!("{e}"))?.args;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        replay::main(&args, &mut out, &mut err)?;
        anyhow::Ok(String::from_utf8(out)?)
    };
    let json = run(&["--evaluate", &truth, "--sweep", "--format", "json", "--html", &page]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let evaluation = &json["evaluation"];
    assert_eq!(evaluation["parcels"].as_u64(), Some(600), "the last third of 1,800");
    assert_eq!(evaluation["sweep"].as_array().map(Vec::len), Some(16));
    let (ours, countdown) = (&evaluation["rules"][0], &evaluation["rules"][2]);
    let figure = |rule: &serde_json::Value, key: &str| rule[key].as_u64().unwrap();
    assert!(figure(ours, "recall_permille") > 950, "{ours}");
    assert!(
        figure(ours, "precision_permille") > figure(countdown, "precision_permille"),
        "{ours}\n{countdown}"
    );
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("<polyline class=\"line\"") && page.contains("class=\"ours\""));
    let plain: serde_json::Value = serde_json::from_str(&run(&["--format", "json"]).unwrap()).unwrap();
    assert!(plain.get("evaluation").is_none());
    let from = at(parcels[1700].shipped - 3600).to_string();
    let later = run(&["--evaluate", &truth, "--score-from", &from, "--format", "json"]).unwrap();
    let later: serde_json::Value = serde_json::from_str(&later).unwrap();
    assert!(later["evaluation"]["parcels"].as_u64().unwrap() < 150, "{}", later["evaluation"]["parcels"]);
    for (extra, want) in [
        (vec!["--sweep"], "--evaluate"),
        (vec!["--evaluate", "nowhere.csv"], "nowhere.csv"),
        (vec!["--evaluate", &history], "no column"),
    ] {
        let err = format!("{:#}", run(&extra).unwrap_err());
        assert!(err.contains(want), "{extra:?}: {err}");
    }
}
