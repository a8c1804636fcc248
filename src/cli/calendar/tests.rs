//! The verbs end to end, over memory.

use std::io;

use super::*;

fn ran(args: CalendarVerb, input: &str) -> (ExitCode, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&CalendarArgs { verb: args }, input.as_bytes(), &mut out, &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

const CALENDAR: &str =
    r#"{"op":"calendar","id":"d","tz":"Asia/Shanghai","weekly":{"daily":[["09:00","21:00"]]}}"#;

#[test]
fn eval_answers_the_sample() {
    let sample = include_str!("../../../tests/fixtures/calendar/business_time_sample.jsonl");
    let (code, out, err) = ran(CalendarVerb::Eval, sample);
    assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
    let cases = sample.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut answers = out.lines();
    for case in cases.filter(|case| case["op"] != "calendar") {
        let answer: serde_json::Value = serde_json::from_str(answers.next().unwrap()).unwrap();
        let want = if case["op"] == "add" { &case["expect"] } else { &case["expect_seconds"] };
        assert_eq!((&answer["id"], &answer["answer"]), (&case["id"], want));
    }
    assert_eq!(answers.next(), None);
}

#[test]
fn eval_answers_every_op() {
    for (case, want) in [
        (r#""op":"add","start":"2026-03-02T12:50:00Z","minutes":30"#, r#""2026-03-03T01:20:00Z""#),
        (r#""op":"add","start":"2026-03-02T20:50:00+08:00","minutes":30"#, r#""2026-03-03T01:20:00Z""#),
        (r#""op":"add","start":"2026-03-02T15:00:00Z","minutes":0"#, r#""2026-03-02T15:00:00Z""#),
        (r#""op":"back","start":"2026-03-03T01:30:00Z","minutes":30"#, r#""2026-03-03T01:00:00Z""#),
        (r#""op":"between","start":"2026-03-02T12:50:00Z","end":"2026-03-03T01:20:30Z""#, "1830"),
        (r#""op":"between","start":"2026-03-03T12:50:00Z","end":"2026-03-02T01:20:30Z""#, "0"),
        (r#""op":"is_open","start":"2026-03-02T13:00:00Z""#, "false"),
        (r#""op":"next_open","start":"2026-03-02T13:00:00Z""#, r#""2026-03-03T01:00:00Z""#),
        (
            r#""op":"add","start":"2026-03-02T13:00:00Z","minutes":9000000000000000000"#,
            r#"null,"error":"unreachable within 800 days""#,
        ),
    ] {
        let line = format!(r#"{{"id":"日\"1","cal":"d",{case},"expect":1}}"#);
        let (code, out, err) = ran(CalendarVerb::Eval, &format!("{CALENDAR}\n\n{line}"));
        assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""), "{case}");
        assert_eq!(out, format!("{{\"id\":\"日\\\"1\",\"answer\":{want}}}\n"), "{case}");
    }
}

#[test]
fn eval_tells_bad_lines_and_goes_on() {
    let good = r#"{"id":"ok","cal":"d","op":"is_open","start":"2026-03-02T04:00:00Z"}"#;
    for (bad, want) in [
        ("{".to_owned(), "not a case: EOF"),
        ("[]".to_owned(), "not a case"),
        ("\u{0}\u{1}".to_owned(), "not a case"),
        (r#"{"id":"x","op":"add"}"#.to_owned(), "case `x`: `cal` is missing"),
        (r#"{"id":"x","op":"add","cal":"e"}"#.to_owned(), "there is no calendar `e`"),
        (r#"{"id":"x","op":"add","cal":"d"}"#.to_owned(), "`start` is missing"),
        (r#"{"id":"x","op":"add","cal":"d","start":"2026-03-02"}"#.to_owned(), "RFC 3339"),
        (
            r#"{"id":"x","op":"add","cal":"d","start":"2026-03-02T00:00:00Z"}"#.to_owned(),
            "`minutes` is missing",
        ),
        (
            r#"{"id":"x","op":"add","cal":"d","start":"2026-03-02T00:00:00Z","minutes":-1}"#.to_owned(),
            "0 or more",
        ),
        (
            r#"{"id":"x","op":"between","cal":"d","start":"2026-03-02T00:00:00Z"}"#.to_owned(),
            "`end` is missing",
        ),
        (
            r#"{"id":"x","op":"sub","cal":"d","start":"2026-03-02T00:00:00Z"}"#.to_owned(),
            "`sub` is not an op",
        ),
        (r#"{"id":"e","op":"calendar","weekly":{}}"#.to_owned(), "`tz` is missing"),
        (r#"{"id":"e","op":"calendar","tz":"UTC"}"#.to_owned(), "`weekly` is missing"),
        (
            r#"{"id":"e","op":"calendar","tz":"X","weekly":{"mon":[["9","9"]]}}"#.to_owned(),
            "weekly.mon[0][1]: `9`",
        ),
        (CALENDAR.to_owned(), "the calendar `d` was given before"),
        (format!(r#"{{"id":"{}"}}"#, "x".repeat(1 << 20)), "longer than 1048576 bytes"),
    ] {
        let (code, out, err) = ran(CalendarVerb::Eval, &format!("{CALENDAR}\n{bad}\n{good}\n"));
        assert_eq!(code, ExitCode::FAILURE, "{bad}");
        assert_eq!(out, "{\"id\":\"ok\",\"answer\":true}\n", "{bad}");
        assert!(
            err.starts_with("line 2: ") && err.contains(want) && err.lines().count() == 1,
            "{bad}: {err}"
        );
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let case = r#"{"id":"ok","cal":"d","op":"is_open","start":"2026-03-02T04:00:00Z"}"#;
    let input = format!("{CALENDAR}\n{}", format!("{case}\n").repeat(10_000));
    let args = CalendarArgs { verb: CalendarVerb::Eval };
    assert_eq!(run(&args, input.as_bytes(), Gone, io::sink()).unwrap(), ExitCode::SUCCESS);
}

#[test]
fn months() {
    for (text, want) in
        [("2026-10", true), ("2026-13", false), ("2026-1", false), ("26-10", false), ("", false)]
    {
        assert_eq!(text.parse::<Month>().is_ok(), want, "{text}");
    }
}

const SHIPPED: &str = "builtin:shiftbell.toml";

#[test]
fn show_draws_a_month() {
    for (name, month) in
        [("office", "2026-02"), ("warehouse", "2026-11"), ("night-desk", "2026-10"), ("office", "2027-01")]
    {
        let show =
            CalendarVerb::Show { name: name.into(), month: month.parse().unwrap(), config: SHIPPED.into() };
        let (_, out, _) = ran(show, "");
        insta::assert_snapshot!(format!("show_{name}_{month}"), out);
    }
}

#[test]
fn show_refuses_what_it_cannot_draw() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.toml");
    let text = "[desk]\nid = 'd'\nzone = 'UTC'\n[calendars.x]\ntz = 'Mars'\nholidays = ['h']\n[holidays.h]\ncovers = ['a', 'b']";
    std::fs::write(&file, text).unwrap();
    for (name, config, want) in [
        (
            "nobody",
            SHIPPED.into(),
            "there is no calendar `nobody`, expected one of: around-the-clock, desk, ",
        ),
        ("x", file, "calendars.x.tz: `Mars` is not a time zone"),
        ("x", dir.path().join("missing"), "the configuration is refused"),
    ] {
        let verb = CalendarVerb::Show { name: name.into(), month: "2026-10".parse().unwrap(), config };
        let error = run(&CalendarArgs { verb }, io::empty(), io::sink(), io::sink()).unwrap_err();
        assert!(format!("{error:#}").contains(want), "{error:#}");
    }
}

#[test]
fn every_built_in_calendar_compiles_without_a_word() {
    use crate::core::problem::Problems;
    use crate::core::time::Instant;
    for name in
        ["platform-desk", "desk", "office", "around-the-clock", "working-days", "warehouse", "night-desk"]
    {
        let calendar = load::calendar(name, std::path::Path::new(SHIPPED)).unwrap();
        let mut problems = Problems::new();
        calendar.check(Instant::parse("2026-08-01T00:00:00Z").unwrap(), &mut problems);
        assert_eq!(problems.into_vec(), [], "{name}");
        assert_eq!(calendar.is_always_open(), name == "around-the-clock");
    }
}

#[test]
fn import_prints_a_set_that_reads_back() {
    let file = PathBuf::from("tests/fixtures/calendar/cn_style.ics");
    let (code, out, err) = ran(CalendarVerb::Import { file, name: None }, "");
    assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
    insta::assert_snapshot!("import_cn_style", out);
    let read: toml::Table = toml::from_str(&out).unwrap();
    assert!(read["holidays"]["cn_style"]["makeup_days"].as_array().is_some_and(|days| days.len() == 2));
}

/// The daemon's loader layers files with the `config` crate, which has its own ideas of keys and dates.
#[test]
fn the_layered_loader_reads_the_same() {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use crate::core::calendar::{CalendarConfig, HolidaySetConfig};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Tables {
        calendars: BTreeMap<String, CalendarConfig>,
        holidays: BTreeMap<String, HolidaySetConfig>,
    }
    let unquoted = r#"
        [holidays.x]
        covers = [2026-01-01, 2026-12-31]
        days_off = [{ date = 2026-10-01 }]
        [calendars.x]
        tz = "UTC"
        weekly = { mon-fri = [["09:00", "18:00"]] }
        makeup_hours = [["10:00", "16:00"]]
        overrides = { 2026-12-31 = [] }
    "#;
    let shipped = [
        include_str!("../../../config/calendars/cn_holidays.toml"),
        include_str!("../../../config/calendars/desks.toml"),
    ];
    for text in [unquoted.to_owned(), shipped.join("\n")] {
        let plain: Tables = toml::from_str(&text).unwrap();
        let source = ::config::File::from_str(&text, ::config::FileFormat::Toml);
        let layered = ::config::Config::builder().add_source(source).build().unwrap();
        assert_eq!(layered.try_deserialize::<Tables>().unwrap(), plain);
    }
}
