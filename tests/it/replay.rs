//! The built program, run the way its users run it: histories in, reports out, and whatever can be wrong with them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use unicode_width::UnicodeWidthStr as _;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const OLIST: &str = "builtin:examples/olist.toml";
const SHOP: &str = "builtin:examples/shop.toml";
const GOOD: &str =
    r#"{"at":"2026-03-02T10:00:00+08:00","source":"s","kind":"ticket","id":"T1","event":"opened"}"#;

/// What a run came to.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// Fails unless the exit code is `code`, and the two streams together hold every one of `texts`.
    fn says(&self, code: i32, texts: &[&str]) -> &Ran {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for stream in [&self.out, &self.err] {
            assert!(!stream.contains("panicked"), "{stream}");
        }
        for text in texts {
            let is_there = self.out.contains(text) || self.err.contains(text);
            assert!(is_there, "`{text}` is not in\n{}\n{}", self.out, self.err);
        }
        self
    }
}

fn run(args: &[&str]) -> Ran {
    run_with(args, &[], b"")
}

fn run_with(args: &[&str], env: &[(&str, &str)], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shiftbell"))
        .args(args)
        .current_dir(ROOT)
        .env("RUST_BACKTRACE", "0")
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let done = std::thread::scope(|scope| {
        // A run that refuses its arguments reads nothing: the pipe breaks, and that is no fault.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("the program ends")
    });
    Ran {
        code: done.status.code(),
        out: String::from_utf8(done.stdout).expect("UTF-8"),
        err: String::from_utf8(done.stderr).expect("UTF-8"),
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn put(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("a file");
    path.to_string_lossy().into_owned()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(ROOT).join("tests/fixtures").join(name)
}

fn text_of(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory")
}

/// The outcomes of `histories` under `config`, line by line.
fn outcomes(config: &str, histories: &[&str], input: &[u8]) -> String {
    let folder = folder();
    let file = folder.path().join("outcomes.jsonl");
    let mut args = vec!["replay", "--config", config, "--outcomes", file.to_str().expect("a name")];
    args.extend(histories);
    run_with(&args, &[], input).says(0, &[]);
    text_of(file)
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

// ---- what the made-up orders come to -------------------------------------------------------------------------------

#[test]
fn every_promise_ends_as_its_plan_says() {
    let orders = fixture("replay/orders.jsonl");
    let told = outcomes(OLIST, &[orders.to_str().expect("a name")], b"");
    let truth = text_of(fixture("replay/truth.jsonl"));
    let (told_lines, want) = (sorted(&told), sorted(&truth));
    let differing: Vec<_> = want.iter().filter(|line| told_lines.binary_search(line).is_err()).collect();
    assert!(differing.is_empty() && told_lines.len() == want.len(), "not as planned: {differing:#?}");

    // The readings of the Olist README: handed over late, or never with the limit passed; delivered late or never.
    let mut count: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in json_lines(&told) {
        let key = (row["clock"].as_str().expect("a clock"), row["outcome"].as_str().expect("an outcome"));
        *count.entry((key.0.to_owned(), key.1.to_owned())).or_default() += 1;
    }
    let of = |clock: &str, outcome: &str| count.get(&(clock.to_owned(), outcome.to_owned())).copied();
    assert_eq!((of("handover", "missed"), of("handover", "overdue")), (Some(30), Some(8)));
    assert_eq!((of("delivery", "missed"), of("delivery", "overdue")), (Some(19), Some(16)));
}

#[test]
fn every_breach_that_was_known_in_time_rang_and_nothing_else_did() {
    let folder = folder();
    let signals = folder.path().join("signals.jsonl").to_string_lossy().into_owned();
    let orders = fixture("replay/orders.jsonl").to_string_lossy().into_owned();
    run(&["replay", "-c", OLIST, "--signals", &signals, &orders]).says(0, &[]);
    let case = |row: &Value| format!("{} {}", row["case"], row["clock"]);
    let mut rang: Vec<String> =
        json_lines(&text_of(&signals)).iter().filter(|row| row["ring"] == "due").map(case).collect();
    // Plan 8 tells the limit only after the parcel was handed over: there is nobody left to ring.
    let hindsight: Vec<Value> = json_lines(&text_of(&orders))
        .iter()
        .filter(|event| event["attrs"]["plan"] == 8)
        .map(|event| event["id"].clone())
        .collect();
    assert_eq!(hindsight.len(), 8);
    let is_hindsight = |row: &Value| row["clock"] == "handover" && hindsight.contains(&row["case"]["id"]);
    let mut broken: Vec<String> = json_lines(&text_of(fixture("replay/truth.jsonl")))
        .iter()
        .filter(|row| row["outcome"] == "missed" || row["outcome"] == "overdue")
        .filter(|row| !is_hindsight(row))
        .map(case)
        .collect();
    rang.sort_unstable();
    broken.sort_unstable();
    assert_eq!(rang, broken);
}

#[test]
fn the_same_history_gives_the_same_bytes() {
    let folder = folder();
    let name = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (signals, outcomes, page) = (name("signals"), name("outcomes"), name("page"));
    let mut all = Vec::new();
    for _ in 0..2 {
        let args = ["replay", "-c", SHOP, "config/examples/history.jsonl", "--signals", &signals];
        let args = [&args[..], &["--outcomes", &outcomes, "--html", &page]].concat();
        let table = run(&args).says(0, &[]).out.clone();
        let json = run(&[&args[..], &["--format", "json"]].concat()).says(0, &[]).out.clone();
        all.push([table, json, text_of(&signals), text_of(&outcomes), text_of(&page)]);
    }
    assert!(all[0] == all[1]);
    assert!(all[0].iter().all(|text| !text.is_empty()));
}

#[test]
fn order_repetition_splitting_and_packing_do_not_matter() {
    let folder = folder();
    let text = text_of(fixture("replay/orders.jsonl"));
    let plain = fixture("replay/orders.jsonl").to_string_lossy().into_owned();
    let want = outcomes(OLIST, &[&plain], b"");
    let mut lines: Vec<&str> = text.lines().collect();

    let repeated: String = lines.iter().map(|line| format!("{line}\n\n{line}\n")).collect();
    // A fixed shuffle: the lines by a scatter of their numbers.
    let mut turned: Vec<(u64, &str)> =
        (0u64..).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 7).zip(lines.iter().copied()).collect();
    turned.sort_unstable();
    let shuffled: String = turned.iter().map(|(_, line)| format!("{line}\n")).collect();
    let third = |n: usize| -> String { lines.iter().skip(n).step_by(3).map(|l| format!("{l}\n")).collect() };
    let parts = [
        put(&folder, "a", third(0)),
        put(&folder, "b", gzip(third(1).as_bytes())),
        put(&folder, "c", third(2)),
    ];
    let two_members =
        [gzip(&text.as_bytes()[..text.len() / 2]), gzip(&text.as_bytes()[text.len() / 2..])].concat();

    for (name, bytes) in [
        ("gzip", gzip(text.as_bytes())),
        ("gzip of two members", two_members),
        ("zstd", zstd(text.as_bytes())),
        ("repeated", repeated.into_bytes()),
        ("shuffled", shuffled.into_bytes()),
        ("CRLF and a BOM", format!("\u{FEFF}{}", text.replace('\n', "\r\n")).into_bytes()),
        ("no line end at the end", text.trim_end().as_bytes().to_vec()),
    ] {
        let file = put(&folder, "history", &bytes);
        assert!(outcomes(OLIST, &[&file], b"") == want, "{name}");
        assert!(outcomes(OLIST, &["-"], &bytes) == want, "{name}, by standard input");
    }
    assert!(outcomes(OLIST, &[], text.as_bytes()) == want, "standard input without a name");
    assert!(outcomes(OLIST, &parts.each_ref().map(String::as_str), b"") == want, "three files");
    assert!(
        outcomes(OLIST, &["--events", &parts[2], "--events", &parts[1], &parts[0]], b"") == want,
        "options"
    );
    lines.reverse();
    let reversed = lines.join("\n");
    assert!(outcomes(OLIST, &["-"], reversed.as_bytes()) == want, "reversed");
}

// ---- what comes out ------------------------------------------------------------------------------------------------

#[test]
fn signals_and_outcomes_have_their_keys_in_order() {
    let folder = folder();
    let name = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (signals, outcomes) = (name("signals"), name("outcomes"));
    let args = [
        "replay",
        "-c",
        SHOP,
        "config/examples/history.jsonl",
        "--signals",
        &signals,
        "--outcomes",
        &outcomes,
    ];
    run(&args).says(0, &[]);
    let signals = text_of(signals);
    assert_eq!(
        signals.lines().next(),
        Some(concat!(
            r#"{"at":"2026-03-03T07:00:00Z","desk":"demo","case":{"source":"members","kind":"customer","id":"V01"},"#,
            r#""clock":"vip_call","ring":"72h before","due":"2026-03-06T07:00:00Z","late_by_s":0}"#
        ))
    );
    assert_eq!(
        text_of(outcomes).lines().next(),
        Some(concat!(
            r#"{"case":{"source":"desk","kind":"handover","id":"H01"},"clock":"handover_accept","#,
            r#""start":"2026-03-05T23:55:00Z","due":"2026-03-06T00:10:00Z","end":"2026-03-06T00:03:00Z","outcome":"met"}"#
        ))
    );
    let shape = [
        "\"at\"",
        "\"desk\"",
        "\"case\"",
        "\"source\"",
        "\"kind\"",
        "\"id\"",
        "\"clock\"",
        "\"ring\"",
        "\"due\"",
        "\"late_by_s\"",
    ];
    let mut last = String::new();
    for line in signals.lines() {
        let places: Vec<usize> =
            shape.iter().map(|key| line.find(key).unwrap_or_else(|| panic!("{line}"))).collect();
        assert!(places.is_sorted() && line.matches("\":").count() == shape.len(), "{line}");
        let row: Value = serde_json::from_str(line).expect("JSON");
        let at = row["at"].as_str().expect("an instant")[..19].to_owned();
        assert!(last <= at, "signals come in the order in which they rang: {line}");
        last = at;
    }
}

#[test]
fn the_table_fits_100_columns() {
    let folder = folder();
    let trial = put(&folder, "trial.toml", TRIAL);
    for language in ["zh-CN", "en"] {
        let shop = [
            "replay",
            "-c",
            &trial,
            "--against",
            SHOP,
            "config/examples/history.jsonl",
            "--language",
            language,
        ];
        let olist = ["replay", "-c", OLIST, "tests/fixtures/replay/orders.jsonl", "--language", language];
        for args in [&shop[..], &olist] {
            let ran = run(args);
            ran.says(0, &[]);
            // File names are told whole.
            for line in ran.out.lines().filter(|line| !line.contains(".toml") && !line.contains(".jsonl")) {
                assert!(line.width() <= 100, "{} columns: {line}", line.width());
                assert_eq!(line, line.trim_end());
            }
        }
    }
}

/// The shop with half the time for a reply.
const TRIAL: &str = r#"
include = ["builtin:examples/shop.toml"]

[[clock]]
name     = "ticket_reply"
title    = "工单 10 分钟回复"
on       = "ticket"
start    = "customer_message"
stop     = "agent_reply"
target   = "10m"
calendar = "platform-desk"
ring     = ["50%", "due"]
"#;

#[test]
fn a_trial_is_told_against_what_is_in_force() {
    let folder = folder();
    let trial = put(&folder, "trial.toml", TRIAL);
    let page = folder.path().join("page.html").to_string_lossy().into_owned();
    let args = ["replay", "-c", &trial, "--against", SHOP, "config/examples/history.jsonl", "--html", &page];
    let table = run(&[&args[..], &["--language", "en"]].concat());
    table.says(
        0,
        &[
            "Before: builtin:examples/shop.toml",
            "Who would be rung more or less",
            "17 more clocks are unchanged",
        ],
    );
    let json = run(&[&args[..], &["--format", "json"]].concat());
    let value: Value = serde_json::from_str(&json.says(0, &[]).out).expect("JSON");
    let comparison = &value["comparison"];
    assert_eq!(comparison["before"], SHOP);
    assert_eq!(comparison["total"]["earlier"], 46);
    assert_eq!(comparison["total"]["became_overdue"], 22);
    assert_eq!(comparison["rings"]["before"], 180);
    assert_eq!(comparison["rings"]["after"], 200);
    assert!(text_of(page).contains("配置对比"));
    run_with(&["replay", "-c", &trial, "--against", SHOP, "-"], &[], GOOD.as_bytes())
        .says(1, &["two configurations need the history twice: give it as a file"]);
}

#[test]
fn until_stands_still_there() {
    let history = "config/examples/history.jsonl";
    let at = |until: &str| run(&["replay", "-c", SHOP, history, "--until", until, "--language", "en"]);
    at("2026-03-07T00:00:00+08:00").says(0, &["Replay report  2026-02-06 … 2026-03-07"]);
    // Before the first event there is nothing, and the reader is told why.
    at("2020-01-01T00:00:00Z").says(0, &["(0 events", "warning: --until lies before the first event"]);
    at("yesterday").says(2, &["`yesterday` is not an instant, expected RFC 3339 with an offset such as"]);
}

// ---- what can be wrong with a history ------------------------------------------------------------------------------

fn replay_bytes(bytes: &[u8]) -> Ran {
    run_with(&["replay", "-c", SHOP, "--language", "en", "-"], &[], bytes)
}

#[test]
fn lines_that_cannot_be_used_are_told_and_the_rest_counts() {
    let long = format!(r#"{{"at":"2026-03-02T10:00:00Z","source":"{}"}}"#, "x".repeat(10 << 20));
    for (line, want) in [
        ("garbage", "not JSON: expected value (column 1)"),
        (r#"{"at":"2026-03-02T10:00:00Z""#, "not JSON: EOF while parsing an object (column 28)"),
        ("[1]", "invalid type: sequence, expected a JSON object"),
        ("null", "invalid type: null, expected a JSON object"),
        ("{}", "neither `event` nor `marks` is there"),
        (&GOOD.replace("2026-03-02", "0001-01-01"), "at: 0001-01-01T10:00:00+08:00 lies outside 2000–2096"),
        (&GOOD.replace("2026-03-02", "9999-12-01"), "at: 9999-12-01T10:00:00+08:00 lies outside 2000–2096"),
        (&GOOD.replace("2026-03-02", "2026-02-30"), "at: `2026-02-30T10:00:00+08:00` is not an instant"),
        (&GOOD.replace("+08:00", ""), "at: `2026-03-02T10:00:00` is not an instant, expected RFC 3339"),
        (&GOOD.replace(r#""opened""#, r#""opened","attrs":{"value":NaN}"#), "attrs: value: expected value"),
        (
            &GOOD.replace(r#""opened""#, r#""opened","attrs":{"value":1e999}"#),
            "attrs: value: number out of range",
        ),
        (&GOOD.replace(r#""T1""#, "1.5"), "id: invalid type: floating point `1.5`, expected a text"),
        (&GOOD.replace(r#""T1""#, "null"), "id: invalid type: null, expected a text"),
        (&GOOD.replace(r#""T1""#, r#""""#), "id: is empty"),
        (&GOOD.replace(r#""source""#, r#""sauce""#), "unknown key `sauce`, expected one of at, source, kind"),
        (&GOOD.replace(r#""kind":"ticket","#, ""), "`kind` is missing"),
        (&GOOD.replace(r#""opened""#, r#""pay_by""#), "event: `pay_by` ends in _by, which names a deadline"),
        (&long, "longer than 1048576 bytes"),
    ] {
        let shown: String = line.chars().take(200).collect();
        let ran = replay_bytes(format!("{GOOD}\n{line}\n{GOOD}\n").as_bytes());
        let told = format!("standard input:2  {want}");
        ran.says(0, &["(2 events, 1 refused)", "Lines refused (1)", &told, "1 lines not used"]);
        let strict = format!("{GOOD}\n{line}\n{GOOD}\n");
        let strict = run_with(&["replay", "-c", SHOP, "--strict", "-"], &[], strict.as_bytes());
        assert!(strict.out.is_empty(), "{shown}");
        strict.says(1, &[&format!("error: standard input:2: {want}"), "(--strict)"]);
    }
    let bytes = [GOOD.as_bytes(), b"\n\xFF\xFE\n", GOOD.as_bytes()].concat();
    replay_bytes(&bytes).says(0, &["standard input:2  not UTF-8 from byte 1 on; convert the file to UTF-8"]);
    for id in ["18446744073709551615", "9007199254740993", "-1"] {
        let line = GOOD.replace(r#""T1""#, id);
        // Numbers as ids stay exact.
        let ran = run_with(&["explain", "-c", SHOP, "--replay", "-", "--", id], &[], line.as_bytes());
        ran.says(0, &[&format!("s/ticket/{id}")]);
    }
}

#[test]
fn only_the_first_ten_refused_lines_are_shown() {
    let lines: String = (0..25).map(|n| format!("{GOOD}\nbad {n}\n")).collect();
    let ran = replay_bytes(lines.as_bytes());
    ran.says(
        0,
        &["(25 events, 25 refused)", "Lines refused (25)", "standard input:2  ", "standard input:20  "],
    );
    assert!(!ran.out.contains("standard input:22  "), "{}", ran.out);
    let json = run_with(&["replay", "-c", SHOP, "--format", "json"], &[], lines.as_bytes());
    let value: Value = serde_json::from_str(&json.says(0, &[]).out).expect("JSON");
    assert_eq!(value["history"]["rejects"]["total"], 25);
    assert_eq!(value["history"]["rejects"]["first"].as_array().map(Vec::len), Some(10));
}

#[test]
fn what_breaks_off_is_played_as_far_as_it_goes() {
    let folder = folder();
    let text = text_of(fixture("replay/orders.jsonl"));
    for (name, bytes) in [("gzip", gzip(text.as_bytes())), ("zstd", zstd(text.as_bytes()))] {
        let file = put(&folder, name, &bytes[..bytes.len() * 3 / 4]);
        let ran = run(&["replay", "-c", OLIST, &file]);
        ran.says(1, &["Attainment by clock", &format!("the {name} broke off after "), " good lines (line "]);
        let cut = put(&folder, "cut", &bytes[..12]);
        run(&["replay", "-c", OLIST, &cut]).says(1, &["broke off after 0 good lines"]);
        let mut spoilt = bytes.clone();
        let middle = spoilt.len() / 2;
        spoilt[middle..middle + 40].fill(0xA5);
        let spoilt = put(&folder, "spoilt", &spoilt);
        run(&["replay", "-c", OLIST, &spoilt]).says(1, &["error: "]);
    }
}

#[test]
fn inputs_that_are_none_are_told_apart() {
    let folder = folder();
    let empty = put(&folder, "empty.jsonl", "");
    let blank = put(&folder, "blank.jsonl", "\n\n \n");
    let garbage = put(&folder, "garbage.jsonl", "what\nis\nthis\n");
    let good = put(&folder, "good.jsonl", GOOD);
    let dir = folder.path().to_string_lossy().into_owned();
    let replay = |history: &[&str]| run(&[&["replay", "-c", SHOP], history].concat());
    replay(&["nope.jsonl"]).says(1, &["error: nope.jsonl: cannot be read: No such file or directory"]);
    replay(&[&dir]).says(1, &["is a directory, expected a file of JSON Lines or CSV"]);
    replay(&[&empty]).says(1, &["empty.jsonl: is empty, expected JSON Lines or CSV"]);
    replay(&[&blank]).says(1, &["blank.jsonl: "]);
    replay(&[&garbage])
        .says(1, &["none of its 3 lines can be used, expected JSON Lines like {\"at\":", "not JSON"]);
    replay(&[&good, &garbage]).says(1, &["garbage.jsonl: none of its 3 lines can be used"]);
    replay(&["-", "-"]).says(1, &["standard input is named twice"]);
    replay(&[]).says(1, &["standard input: is empty"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&good, fs::Permissions::from_mode(0o000)).expect("a mode");
        // Whoever may read everything cannot be refused.
        if fs::read(&good).is_err() {
            replay(&[&good]).says(1, &["good.jsonl: cannot be read: Permission denied"]);
            run(&["replay", "-c", &good]).says(2, &["the file cannot be used", "Permission denied"]);
        }
    }
    let nowhere = format!("{dir}/no/such/page.html");
    for option in ["--html", "--signals", "--outcomes"] {
        let history = "config/examples/history.jsonl";
        replay(&[history, option, &nowhere])
            .says(1, &["error: failed to ", &nowhere, "No such file or directory"]);
    }
}

#[test]
fn a_history_from_a_spreadsheet() {
    let folder = folder();
    let config = put(
        &folder,
        "orders.toml",
        "
        [desk]
        id = \"shop\"
        zone = \"Asia/Shanghai\"
        [import.csv]
        kind = \"order\"
        source = \"erp\"
        id = \"订单号\"
        zone = \"Asia/Shanghai\"
        marks = { paid = \"付款时间\", shipped = \"发货时间\" }
        deadlines = { ship_by = \"最晚发货时间\" }
        attributes = { shop = \"店铺\", items = \"件数\" }
        types = { items = \"int\" }
        [[clock]]
        name = \"ship\"
        title = \"48 小时发货\"
        on = \"order\"
        start = \"paid\"
        stop = \"shipped\"
        target = \"48h\"
        deadline = \"ship_by\"
        ring = [\"due\"]
    ",
    );
    let sheet = "\u{FEFF}订单号,付款时间,发货时间,最晚发货时间,店铺,件数\r\n\
        A1,2026-03-02 10:00:00,2026-03-03 09:00:00,2026-03-04 10:00:00,旗舰店,2\r\n\
        A2,2026-03-02 11:00:00,2026-03-05 09:00:00,,旗舰店,1\r\n\
        A3,2026-03-02 12:00:00,,2026-03-02 18:00:00,\"分店, 二\",1\r\n\
        A4,昨天,,,旗舰店,1\r\n\
        =\"000123\",2026-03-06 12:00:00,,,旗舰店,1\r\n";
    for bytes in [sheet.as_bytes().to_vec(), gzip(sheet.as_bytes())] {
        let file = put(&folder, "订单.csv", bytes);
        let told = outcomes(&config, &[&file], b"");
        let told: Vec<String> = json_lines(&told)
            .iter()
            .map(|row| format!("{} {} {}", row["case"]["id"], row["due"], row["outcome"]))
            .collect();
        assert_eq!(
            told,
            [
                r#""000123" "2026-03-08T04:00:00Z" "running""#,
                r#""A1" "2026-03-04T02:00:00Z" "met""#,
                r#""A2" "2026-03-04T03:00:00Z" "missed""#,
                r#""A3" "2026-03-02T10:00:00Z" "overdue""#,
            ]
        );
        let ran = run(&["replay", "-c", &config, &file, "--language", "zh-CN"]);
        ran.says(
            0,
            &[
                "订单.csv:5  column 付款时间: `昨天` is neither RFC 3339 nor a local time like",
                "分店, 二",
                "旗舰店",
            ],
        );
    }
    let header = put(&folder, "other.csv", "单号,时间\n1,2\n");
    run(&["replay", "-c", &config, &header])
        .says(1, &["the header has no column `订单号`", "it has: 单号, 时间"]);
}

// ---- what can be wrong with a configuration ------------------------------------------------------------------------

#[test]
fn a_configuration_that_is_refused_says_all_that_is_wrong() {
    let folder = folder();
    let with = |rest: &str| {
        let text = format!("[desk]\nid = \"d\"\nzone = \"Asia/Shanghai\"\n{rest}");
        run(&["replay", "-c", &put(&folder, "bad.toml", text), "config/examples/history.jsonl"])
    };
    with("[calendars.never]\ntz = \"UTC\"\nweekly = {}\n[[clock]]\nname = \"a\"\non = \"ticket\"\nstart = \"opened\"\n\
         stop = \"resolved\"\ntarget = \"20m\"\ncalendar = \"never\"\nring = [\"due\"]\n")
    .says(2, &["the configuration is refused", "bad.toml:4:12: calendars.never: is never open, expected some open time"]);
    with("[[clock]]\nname = \"a\"\ncalender = \"x\"\n[extra]\n")
        .says(2, &["clock[0].calender: unknown key", "did you mean `calendar`?", "extra: unknown key"]);
    with("[[clock]]\nname = \"a\"\non = \"ticket\"\nstart = \"opened\"\nstop = \"resolved\"\ntarget = \"20 minuten\"\n\
         ring = [\"due\", \"50%\"]\n")
    .says(2, &["clock[0].target: ", "20 minuten", "expected a length of time such as 20m, 48h"]);
    run(&["replay", "-c", "nope.toml", "x"]).says(
        2,
        &["nope.toml: the file cannot be used: there is no such file", "name one with --config FILE"],
    );
    run(&["replay", "-c", "src"]).says(2, &["src: the file cannot be used: it is a directory"]);
    run(&["replay", "-c", "builtin:nope"])
        .says(2, &["there is no such file inside the program", "builtin:examples/shop.toml"]);
    let invalid = put(&folder, "latin.toml", b"[desk]\nid = \"caf\xE9\"\n");
    run(&["explain", "-c", &invalid, "--replay", "x", "--", "y"]).says(2, &["is not UTF-8"]);
    run(&["calendar", "show", "office", "2026-02", "-c", "nope.toml"]).says(2, &["there is no such file"]);
}

#[test]
fn a_variable_of_the_environment_is_laid_over() {
    let args = ["replay", "-c", SHOP, "config/examples/history.jsonl", "--language", "en"];
    run_with(&args, &[("SHIFTBELL__DESK__ZONE", "America/New_York")], b"").says(0, &["America/New_York"]);
    run_with(&args, &[("SHIFTBELL__DESK__ZONE", "Mars/Olympus")], b"").says(
        2,
        &["$SHIFTBELL__DESK__ZONE: desk.zone: `Mars/Olympus` is not a time zone, expected an IANA name"],
    );
    run_with(&args, &[("SHIFTBELL__DSEK__ZONE", "UTC")], b"")
        .says(2, &["$SHIFTBELL__DSEK__ZONE: dsek: unknown key", "did you mean `desk`?"]);
}

#[test]
fn the_configurations_that_come_with_it_are_fine() {
    for file in ["shiftbell.toml", "examples/shop.toml", "examples/olist.toml"] {
        for config in [format!("config/{file}"), format!("builtin:{file}")] {
            let ran = run(&["check", "-c", &config]);
            ran.says(0, &[&config]);
            assert!(!ran.out.contains("(error)"), "{}", ran.out);
        }
    }
    let shown = run(&["config", "show", "examples/shop.toml"]);
    assert_eq!(shown.says(0, &[]).out, text_of(Path::new(ROOT).join("config/examples/shop.toml")));
    run(&["config", "show", "nope"])
        .says(2, &["there is no file `nope` inside the program, expected one of: "]);
}

// ---- the schema ----------------------------------------------------------------------------------------------------

/// Notes every key of `value` that the schema of its place does not name.
fn unknown_keys(schema: &Value, root: &Value, value: &Value, path: &str, unknown: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let place = reference.strip_prefix('#').expect("a reference inside");
        return unknown_keys(root.pointer(place).expect("what is referred to"), root, value, path, unknown);
    }
    let choices: Vec<&Value> =
        ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| schema[key].as_array()).flatten().collect();
    if !choices.is_empty() {
        let told = choices.iter().map(|choice| {
            let mut told = Vec::new();
            unknown_keys(choice, root, value, path, &mut told);
            told
        });
        unknown.extend(told.min_by_key(Vec::len).unwrap_or_default());
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                let path = format!("{path}.{key}");
                match (schema["properties"].get(key), schema.get("additionalProperties")) {
                    (Some(known), _) => unknown_keys(known, root, field, &path, unknown),
                    (None, Some(Value::Bool(true)) | None) if schema.get("properties").is_none() => {}
                    (None, Some(any @ Value::Object(_))) => unknown_keys(any, root, field, &path, unknown),
                    _ => unknown.push(path),
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                unknown_keys(&schema["items"], root, item, &format!("{path}[{i}]"), unknown);
            }
        }
        _ => {}
    }
}

#[test]
fn the_schema_knows_every_key_of_the_files_that_come_with_it() {
    let ran = run(&["config", "schema"]);
    let schema: Value = serde_json::from_str(&ran.says(0, &[]).out).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for section in [
        "include",
        "desk",
        "holidays",
        "calendars",
        "attributes",
        "marks",
        "kinds",
        "clock",
        "overlay",
        "import",
        "people",
        "teams",
        "channels",
        "alerting",
        "watch",
        "store",
        "server",
        "log",
        "templates",
    ] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    let files = run(&["config", "files"]).says(0, &[]).out.clone();
    // Words of scans and statuses of vendors are no parts of a configuration: their readers refuse unknown keys.
    let parts = files.lines().filter(|name| name.ends_with(".toml") && !name.contains("parcels/"));
    for name in parts {
        let text = run(&["config", "show", name]).says(0, &[]).out.clone();
        let file: toml::Table = text.parse().expect("TOML");
        let file = serde_json::to_value(file).expect("JSON");
        let mut unknown = Vec::new();
        unknown_keys(&schema, &schema, &file, name, &mut unknown);
        assert!(unknown.is_empty(), "{unknown:#?}");
    }
    let mut unknown = Vec::new();
    unknown_keys(&schema, &schema, &serde_json::json!({"desk": {"zoen": 1}, "clok": []}), "", &mut unknown);
    unknown.sort_unstable();
    assert_eq!(unknown, [".clok", ".desk.zoen"], "the test itself sees a wrong key");
}

// ---- explain, calendar, help ---------------------------------------------------------------------------------------

#[test]
fn an_explanation_reads_from_the_start_to_the_outcome() {
    for language in ["zh-CN", "en"] {
        let args =
            ["explain", "-c", SHOP, "--language", language, "--replay", "config/examples/history.jsonl"];
        let ran = run(&[&args[..], &["--", "T1029"]].concat());
        insta::assert_snapshot!(format!("explain_{language}"), ran.says(0, &[]).out);
    }
}

#[test]
fn an_explanation_tells_when_a_ring_came_late() {
    // The limit was told nine days after it had passed: only the last ring rings, and not at its own time.
    let history = concat!(
        r#"{"at":"2017-10-02T12:00:00Z","source":"s","kind":"order","id":"A","event":"created"}"#,
        "\n",
        r#"{"at":"2017-10-20T12:00:00Z","source":"s","kind":"order","id":"A","event":"handover_due","attrs":{"due":"2017-10-11T12:00:00Z","seller":"x"}}"#,
        "\n"
    );
    let args = ["explain", "-c", OLIST, "--clock", "handover", "--replay", "-", "--", "order/A"];
    let ran = run_with(&args, &[], history.as_bytes());
    ran.says(
        0,
        &[
            "ring     2017-10-10 09:00:00  24h before  passed, did not ring",
            "ring     2017-10-11 09:00:00  due  rang late, at 2017-10-20 10:00:00",
            "outcome  overdue",
        ],
    );
}

#[test]
fn an_explanation_of_nothing_says_what_there_is() {
    let explain = |rest: &[&str]| {
        run(&[&["explain", "-c", SHOP, "--replay", "config/examples/history.jsonl"][..], rest].concat())
    };
    explain(&["NOPE"]).says(1, &["there is no case `NOPE` among the 83 of the history", "such as "]);
    explain(&["T1029", "--clock", "nope"])
        .says(1, &["there is no clock `nope`, expected one of: ticket_reply, "]);
    explain(&["--clock", "ship", "--", "T1029"]).says(0, &["ship: 没有在这个个案上开始计时"]);
    run(&["explain", "-c", SHOP, "T1029"]).says(2, &["--replay <FILE>..."]);
}

#[test]
fn the_calendar_answers_the_whole_sample() {
    let sample = text_of(fixture("calendar/business_time_sample.jsonl"));
    let ran = run_with(&["calendar", "eval"], &[], sample.as_bytes());
    let answers = json_lines(&ran.says(0, &[]).out);
    let cases: Vec<Value> = json_lines(&sample).into_iter().filter(|line| line["op"] != "calendar").collect();
    assert_eq!((answers.len(), cases.len()), (200, 200));
    for (answer, case) in answers.iter().zip(&cases) {
        let want = if case["op"] == "add" { &case["expect"] } else { &case["expect_seconds"] };
        assert_eq!((&answer["id"], &answer["answer"]), (&case["id"], want), "{case}");
    }
    run_with(&["calendar", "eval"], &[], b"garbage\n").says(1, &["line 1: not a case"]);
}

#[test]
fn the_calendar_draws_a_month() {
    let ran = run(&["calendar", "show", "office", "2026-02"]);
    insta::assert_snapshot!("calendar_office_2026-02", ran.says(0, &[]).out);
    run(&["calendar", "show", "nobody", "2026-02"])
        .says(1, &["there is no calendar `nobody`, expected one of: "]);
    run(&["calendar", "show", "office", "2026-13"]).says(2, &["`2026-13` is not a month, expected YYYY-MM"]);
}

#[test]
fn every_verb_has_its_help() {
    for verb in [
        &[][..],
        &["replay"],
        &["explain"],
        &["calendar"],
        &["calendar", "show"],
        &["calendar", "eval"],
        &["calendar", "import"],
        &["check"],
        &["config"],
        &["config", "show"],
    ] {
        for (option, limit) in [("-h", 100), ("--help", 130)] {
            let ran = run(&[verb, &[option]].concat());
            ran.says(0, &["Usage: shiftbell"]);
            let widest = ran.out.lines().map(|line| line.width()).max().unwrap_or(0);
            assert!(widest <= limit, "{verb:?} {option}: {widest} columns");
        }
    }
    run(&["replay", "--help"])
        .says(0, &["Nothing is sent and nothing is kept", "Exit code: 0 done, 1 ", "Examples:"]);
    run(&[]).says(2, &["Usage: shiftbell <COMMAND>"]);
    run(&["replay", "--foo"]).says(2, &["unexpected argument '--foo'"]);
}
