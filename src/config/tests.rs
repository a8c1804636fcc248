//! One bad configuration for each kind of problem, with the very words a user reads.
#![expect(dead_code, reason = "the test settings are read from files, not all of them are looked at")]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::core::problem::{KeyPath, Problems, Step};
use crate::core::time::Span;

/// Settings with one of everything.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    desk: Desk,
    #[serde(default)]
    clock: Vec<Clock>,
    #[serde(default)]
    channels: BTreeMap<String, Channel>,
    #[serde(default)]
    hours: Vec<(String, String)>,
    #[serde(default)]
    holidays: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Desk {
    id: String,
    #[serde(default)]
    seats: Option<u16>,
    #[serde(default)]
    open: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Clock {
    name: String,
    target: Span,
    #[serde(default)]
    pick: Option<Pick>,
    #[serde(default)]
    calendar: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Pick {
    First,
    OldestOpen,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Channel {
    Smtp(Smtp),
    Log,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Smtp {
    port: u16,
    #[serde(default)]
    password: Option<Span>,
}

/// Writes the files, loads the first, and gives back the answer with the folder's name taken out.
fn loaded(files: &[(&str, &[u8])], env: &[(&str, &str)]) -> (Loaded<Settings>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let loaded = load(&folder.path().join(files[0].0), &env);
    (loaded, format!("{}/", folder.path().display()))
}

fn report_of(files: &[(&str, &str)], env: &[(&str, &str)]) -> String {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    let (loaded, folder) = loaded(&files, env);
    loaded.report().to_string().replace(&folder, "")
}

/// One file with `body` under a desk, and the whole report expected of it.
fn check(example: &str, body: &str, want: &str) {
    let report = report_of(&[("a.toml", &format!("[desk]\nid = \"d\"\n{body}"))], &[]);
    let lines: Vec<&str> = report.lines().collect();
    let told = lines[..lines.len().saturating_sub(1)].join("\n");
    assert_eq!(told, want, "{example}");
}

#[test]
fn every_kind_of_mistake_has_its_words() {
    check("nothing wrong", "", "");
    check(
        "not a span",
        "[[clock]]\nname = \"x\"\ntarget = \"20 minutes\"\n",
        "a.toml:5:1: clock[0].target: `20 minutes` is not a length of time, expected such as 20s, 5m, 24h, 1h 30m or 2d (error)",
    );
    check(
        "unknown key with a close one",
        "[[clock]]\nname = \"x\"\ntarget = \"5m\"\ncalender = \"y\"\n",
        "a.toml:6:1: clock[0].calender: unknown key, expected one of `name`, `target`, `pick`, `calendar`; did you mean `calendar`? (error)",
    );
    check(
        "unknown key with no close one, at the top",
        "[weather]\nsunny = true\n",
        "a.toml:3:2: weather: unknown key, expected one of `desk`, `clock`, `channels`, `hours`, `holidays` (error)",
    );
    check(
        "missing key, told at the entry",
        "[[clock]]\nname = \"x\"\n",
        "a.toml:3:1: clock[0]: `target` is missing (error)",
    );
    check(
        "a misspelt key is not missing as well",
        "[[clock]]\nname = \"x\"\ntarjet = \"5m\"\n",
        "a.toml:5:1: clock[0].tarjet: unknown key, expected one of `name`, `target`, `pick`, `calendar`; did you mean `target`? (error)",
    );
    check(
        "a number where a text is wanted",
        "[[clock]]\nname = 7\ntarget = \"5m\"\n",
        "a.toml:4:1: clock[0].name: found `7`, expected a text in quotes (error)",
    );
    check(
        "a text where a number is wanted: files are not guessed at",
        "seats = \"4\"\n",
        "a.toml:3:1: desk.seats: found `4`, expected a whole number from 0 to 65535 (error)",
    );
    check(
        "out of range",
        "seats = 70000\n",
        "a.toml:3:1: desk.seats: found `70000`, expected a whole number from 0 to 65535 (error)",
    );
    check(
        "yes is not true",
        "open = \"yes\"\n",
        "a.toml:3:1: desk.open: found `yes`, expected true or false (error)",
    );
    check(
        "unknown name",
        "[[clock]]\nname = \"x\"\ntarget = \"5m\"\npick = \"oldest_opn\"\n",
        "a.toml:6:1: clock[0].pick: found `oldest_opn`, expected `first` or `oldest_open`; did you mean `oldest_open`? (error)",
    );
    check(
        "unknown kind of channel, told at its name",
        "[channels.mail.smpt]\nport = 25\n",
        "a.toml:3:16: channels.mail.smpt: found `smpt`, expected `smtp` or `log`; did you mean `smtp`? (error)",
    );
    check(
        "a value inside a channel",
        "[channels.mail.smtp]\nport = \"abc\"\n",
        "a.toml:4:1: channels.mail.smtp.port: found `abc`, expected a whole number from 0 to 65535 (error)",
    );
    check(
        "a list where a table is wanted",
        "channels = []\n[[clock]]\nname = [1]\ntarget = \"5m\"\n",
        "a.toml:3:1: desk.channels: unknown key, expected one of `id`, `seats`, `open` (error)\na.toml:5:1: clock[0].name: found a list of 1, expected a text in quotes (error)",
    );
    check(
        "an upper-case table",
        "[channels.Mail.smtp]\nport = 25\n",
        "a.toml:3:11: channels.Mail: found the name `Mail`, expected it in lower case such as `mail` (error)",
    );
    check(
        "broken syntax, and the rest is still checked",
        "seats = 20m\nopen = 1\n[[clock]]\nname \"x\"\n",
        "a.toml:3:9: string values must be quoted, expected literal string (error)\na.toml:4:1: desk.open: found `1`, expected true or false (error)\na.toml:6:6: key with no value, expected `=` (error)",
    );
    check(
        "a key twice",
        "seats = 4\nseats = 5\n",
        "a.toml:4:1: the key is written twice in this file (error)",
    );
    check(
        "a number beyond 64 bits",
        "seats = 99999999999999999999\n",
        "a.toml:3:9: found a whole number beyond 64 bits (error)",
    );
}

#[test]
fn everything_is_told_at_once_and_counted() {
    let body = "[desk]\nid = 1\n[[clock]]\nname = \"a\"\ntarget = \"soon\"\n[[clock]]\nname = \"b\"\ntarget = \"5m\"\n\
                colour = 1\n[[clock]]\ntarget = \"1h\"\n[channels.m.smtp]\nport = -1\n";
    insta::assert_snapshot!(report_of(&[("a.toml", body)], &[]), @r"
    a.toml:2:1: desk.id: found `1`, expected a text in quotes (error)
    a.toml:5:1: clock[0].target: `soon` is not a length of time, expected such as 20s, 5m, 24h, 1h 30m or 2d (error)
    a.toml:9:1: clock[1].colour: unknown key, expected one of `name`, `target`, `pick`, `calendar` (error)
    a.toml:10:1: clock[2]: `name` is missing (error)
    a.toml:13:1: channels.m.smtp.port: found `-1`, expected a whole number from 0 to 65535 (error)
    5 errors in 1 place
    ");
}

#[test]
fn a_list_of_pairs_is_told_once() {
    let body = "hours = [[\"09:00\", 12], [\"1\"], [\"09:00\", \"12:00\"]]\n[desk]\nid = \"d\"\n";
    insta::assert_snapshot!(report_of(&[("a.toml", body)], &[]), @r"
    a.toml:1:20: hours[0][1]: found `12`, expected a text in quotes (error)
    a.toml:1:25: hours[1]: found a list of 1, expected a list of 2 (error)
    2 errors in 1 place
    ");
}

#[test]
fn includes_merge_and_the_including_file_wins() {
    let files: &[(&str, &[u8])] = &[
        (
            "main.toml",
            b"include = [\"p/one.toml\", \"p/two.toml\"]\nholidays = [\"m\"]\n[desk]\nid = \"main\"\n[[clock]]\nname = \"own\"\ntarget = \"1m\"\n",
        ),
        ("p/one.toml", b"include = [\"three.toml\"]\nholidays = [\"a\", \"b\"]\n[desk]\nid = \"one\"\nseats = 3\n[[clock]]\nname = \"one\"\ntarget = \"1m\"\n"),
        ("p/two.toml", b"include = [\"../p/three.toml\"]\n[[clock]]\nname = \"two\"\ntarget = \"1m\"\n"),
        ("p/three.toml", b"[desk]\nseats = 9\nopen = true\n[[clock]]\nname = \"three\"\ntarget = \"1m\"\n"),
    ];
    let (loaded, folder) = loaded(files, &[]);
    assert_eq!(loaded.report().to_string(), "");
    let settings = loaded.settings().expect("settings");
    assert_eq!((settings.desk.id.as_str(), settings.desk.seats, settings.desk.open), ("main", Some(3), true));
    assert_eq!(settings.holidays, ["m"]);
    let names: Vec<&str> = settings.clock.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["own", "one", "two", "three"], "own entries first, then those included");
    let place = loaded.locate(&KeyPath(vec![Step::from("clock"), Step::from(3), Step::from("name")]));
    assert_eq!(place.to_string().replace(&folder, ""), "p/three.toml:5:1");
    assert_eq!(loaded.files().count(), 4);
}

#[test]
fn where_the_last_entry_wins_the_including_file_comes_last() {
    let files: &[(&str, &[u8])] = &[
        (
            "main.toml",
            b"include = [\"one.toml\", \"two.toml\"]\n[[overlay]]\nn = \"own\"\n[[clock]]\nn = \"own\"\n",
        ),
        ("one.toml", b"include = [\"two.toml\"]\n[[overlay]]\nn = \"one\"\n[[clock]]\nn = \"one\"\n"),
        ("two.toml", b"[[overlay]]\nn = \"two\"\n[[clock]]\nn = \"two\"\n"),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).expect("a file");
    }
    let loaded = load::<Anything>(&folder.path().join("main.toml"), &BTreeMap::new());
    let settings = &loaded.settings().expect("settings").0;
    let names = |list: &str| -> Vec<String> {
        settings[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|e| e["n"].as_str().unwrap_or("").to_owned())
            .collect()
    };
    assert_eq!(names("clock"), ["own", "one", "two"]);
    assert_eq!(names("overlay"), ["two", "one", "own"]);
}

#[test]
fn an_empty_list_takes_nothing_over() {
    let files: &[(&str, &[u8])] = &[
        ("main.toml", b"include = [\"one.toml\"]\nclock = []\n[desk]\nid = \"d\"\n"),
        ("one.toml", b"[[clock]]\nname = \"one\"\ntarget = \"1m\"\n"),
    ];
    let (loaded, _) = loaded(files, &[]);
    assert!(loaded.settings().expect("settings").clock.is_empty());
}

#[test]
fn files_that_cannot_be_used_say_why() {
    for (example, include, want) in [
        (
            "missing",
            "nope.toml",
            "main.toml:1:12: include[0]: found `nope.toml`, expected the name of a file (nope.toml: there is no such file) (error)",
        ),
        (
            "directory",
            "dir",
            "main.toml:1:12: include[0]: found `dir`, expected the name of a file (dir: it is a directory) (error)",
        ),
        (
            "not inside the program",
            "builtin:policies/handbok.toml",
            "main.toml:1:12: include[0]: found `builtin:policies/handbok.toml`, expected the name of a file (builtin:policies/handbok.toml: there is no such file inside the program; did you mean `builtin:policies/handbook.toml`?) (error)",
        ),
        (
            "itself",
            "main.toml",
            "main.toml:1:12: include[0]: the files include each other in a circle: main.toml → main.toml (error)",
        ),
        (
            "a circle",
            "dir/loop.toml",
            "dir/loop.toml:1:12: include[0]: the files include each other in a circle: main.toml → dir/loop.toml → main.toml (error)",
        ),
    ] {
        let main = format!("include = [\"{include}\"]\n[desk]\nid = \"d\"\n");
        let files = [("main.toml", main.as_str()), ("dir/loop.toml", "include = [\"../main.toml\"]\n")];
        let report = report_of(&files, &[]);
        assert_eq!(report.lines().next(), Some(want), "{example}");
    }
}

#[test]
fn an_include_that_is_no_list_of_names_is_refused() {
    let report = report_of(&[("main.toml", "include = \"a.toml\"\n[desk]\nid = \"d\"\n")], &[]);
    assert!(
        report.starts_with("main.toml:1:1: include: found `a.toml`, expected a list of file names"),
        "{report}"
    );
    let report = report_of(&[("main.toml", "include = [7]\n[desk]\nid = \"d\"\n")], &[]);
    assert!(
        report.starts_with("main.toml:1:12: include[0]: found `7`, expected the name of a file"),
        "{report}"
    );
}

#[test]
fn the_same_key_in_two_files_side_by_side_is_an_error_unless_settled_above() {
    let one = ("one.toml", "[desk]\nid = \"one\"\n");
    let two = ("two.toml", "[desk]\n\nid = \"two\"\n");
    let report = report_of(&[("main.toml", "include = [\"one.toml\", \"two.toml\"]\n"), one, two], &[]);
    insta::assert_snapshot!(report, @r"
    two.toml:3:1: desk.id: is also set at one.toml:2:1, and neither file includes the other: keep one of them (error)
    1 error in 1 place
    ");
    let main = "include = [\"one.toml\", \"two.toml\"]\n[desk]\nid = \"main\"\n";
    assert_eq!(report_of(&[("main.toml", main), one, two], &[]), "");
}

#[test]
fn bytes_that_are_no_text_and_files_that_are_too_large_are_refused() {
    let (loaded_, folder) = loaded(&[("a.toml", b"[desk]\nid = \"\xff\"\n")], &[]);
    insta::assert_snapshot!(loaded_.report().to_string().replace(&folder, ""), @r"
    a.toml:2:7: the file is not UTF-8: found the byte 0xff (error)
    1 error in 1 place
    ");
    let large = vec![b'\n'; 8 * 1024 * 1024 + 1];
    let (loaded, folder) = loaded(&[("a.toml", &large)], &[]);
    insta::assert_snapshot!(loaded.report().to_string().replace(&folder, ""), @r"
    a.toml: the file cannot be used: it is larger than 8 MiB (error)
    1 error in 1 place
    ");
    let missing = load::<Settings>(Path::new("no/such/file.toml"), &BTreeMap::new());
    insta::assert_snapshot!(missing.report().to_string(), @r"
    no/such/file.toml: the file cannot be used: there is no such file (error)
    1 error in 1 place
    ");
}

#[test]
fn broken_files_do_not_hide_what_is_wrong_in_others() {
    let files = [
        ("main.toml", "include = [\"one.toml\", \"two.toml\"]\n[desk]\nid = 5\n"),
        ("one.toml", "[[clock]\nname = \"x\"\n"),
        ("two.toml", "[[clock]]\nname = \"y\"\ntarget = 20\n"),
    ];
    insta::assert_snapshot!(report_of(&files, &[]), @r"
    main.toml:3:1: desk.id: found `5`, expected a text in quotes (error)
    one.toml:1:9: unclosed array table, expected `]` (error)
    two.toml:3:1: clock[0].target: found `20`, expected a text in quotes (error)
    3 errors in 3 places
    ");
}

#[test]
fn the_environment_lies_over_the_files() {
    let file: &[u8] = b"[desk]\nid = \"file\"\nseats = 3\n[channels.mail.smtp]\nport = 25\n";
    let env = [
        ("SHIFTBELL__DESK__ID", "7"),
        ("SHIFTBELL__DESK__SEATS", "12"),
        ("SHIFTBELL__DESK__OPEN", "true"),
        ("SHIFTBELL__CHANNELS__MAIL__SMTP__PORT", "587"),
        ("SHIFTBELL__HOLIDAYS", "[\"2026-01-01\", \"2026-01-02\"]"),
        ("SHIFTBELL_HOME", "not ours"),
        ("PATH", "/bin"),
    ];
    let (loaded, folder) = loaded(&[("a.toml", file)], &env);
    assert_eq!(loaded.report().to_string(), "");
    let place = |keys: &[&str]| {
        let path = KeyPath(keys.iter().map(|k| Step::from(*k)).collect());
        loaded.locate(&path).to_string().replace(&folder, "")
    };
    assert_eq!(place(&["desk", "id"]), "$SHIFTBELL__DESK__ID");
    assert_eq!(place(&["channels", "mail", "smtp"]), "a.toml:4:16");
    let settings = loaded.settings().expect("settings");
    assert_eq!((settings.desk.id.as_str(), settings.desk.seats, settings.desk.open), ("7", Some(12), true));
    assert_eq!(settings.holidays, ["2026-01-01", "2026-01-02"]);
    match settings.channels.get("mail") {
        Some(Channel::Smtp(smtp)) => assert_eq!(smtp.port, 587),
        other => panic!("{other:?}"),
    }
}

#[test]
fn variables_that_cannot_be_used_are_named() {
    let file = "[desk]\nid = \"d\"\n[[clock]]\nname = \"x\"\ntarget = \"5m\"\n";
    let env = [
        ("SHIFTBELL__CLOCK__0__TARGET", "5m"),
        ("SHIFTBELL__DESK", "x"),
        ("SHIFTBELL__DESK__ID__DEEP", "x"),
        ("SHIFTBELL__DESK__SEATS", "many"),
        ("SHIFTBELL__DESK__SEETS", "4"),
        ("SHIFTBELL__DESK____OPEN", "true"),
        ("SHIFTBELL__HOLIDAYS", "[oops"),
        ("shiftbell__desk__seats", "4"),
    ];
    insta::assert_snapshot!(report_of(&[("a.toml", file)], &env), @r#"
    $SHIFTBELL__CLOCK__0__TARGET: clock.0.target: `clock` is a list: the environment sets keys of tables only (error)
    $SHIFTBELL__DESK: desk: `desk` is a table: the environment sets single keys of it only (error)
    $SHIFTBELL__DESK__ID__DEEP: desk.id.deep: `desk.id` is a single value: the environment sets keys of tables only (error)
    $SHIFTBELL__DESK__SEATS: desk.seats: found `many`, expected a whole number from 0 to 65535 (error)
    $SHIFTBELL__DESK__SEETS: desk.seets: unknown key, expected one of `id`, `seats`, `open`; did you mean `seats`? (error)
    $SHIFTBELL__DESK____OPEN: desk..open: found an empty or unusual part in its name, expected names joined by `__` (error)
    $SHIFTBELL__HOLIDAYS: holidays: found `[oops`, expected a list as TOML writes it, such as ["a", "b"] (error)
    $shiftbell__desk__seats: desk.seats: it and $SHIFTBELL__DESK__SEATS set the same key: keep one of them (error)
    8 errors in 8 places
    "#);
}

#[test]
fn secrets_are_in_no_message() {
    let secret = "hunter2-very-long-and-telling-so-that-it-would-be-cut-somewhere-in-the-middle";
    for (example, body) in [
        ("a type's own words", format!("[channels.m.smtp]\nport = 1\npassword = \"{secret}\"\n")),
        ("unknown key", format!("[channels.m.smtp]\nport = 1\napi_token = \"{secret}\"\n")),
        ("wrong type", format!("[channels.m.smtp]\nport = 1\npassword = [\"{secret}\"]\n")),
        ("under a secret table", format!("[secrets]\na = \"{secret}\"\n")),
        ("broken line", format!("[channels.m.smtp]\nport = 1\npassword = \"{secret}\n")),
        (
            "a number too large",
            "[channels.m.smtp]\nport = 1\npassword = 77777777777777777777777\n".to_owned(),
        ),
        ("unquoted", format!("[channels.m.smtp]\nport = 1\npassword = {secret}\n")),
    ] {
        let (loaded, _) = loaded(&[("a.toml", format!("[desk]\nid = \"d\"\n{body}").as_bytes())], &[]);
        let told = format!("{}{}", loaded.report(), loaded.report().to_json());
        assert!(loaded.report().has_errors(), "{example}");
        assert!(!told.contains("hunter2") && !told.contains("777"), "{example}: {told}");
    }
    let report = report_of(
        &[("a.toml", "[desk]\nid = \"d\"\n[channels.m.smtp]\nport = 1\n")],
        &[("SHIFTBELL__CHANNELS__M__SMTP__PASSWORD", secret)],
    );
    insta::assert_snapshot!(report, @r"
    $SHIFTBELL__CHANNELS__M__SMTP__PASSWORD: channels.m.smtp.password: found ***, which is not accepted here (error)
    1 error in 1 place
    ");
}

#[test]
fn what_the_settings_find_themselves_is_told_at_its_place_once() {
    let file: &[u8] = b"[desk]\nid = \"d\"\n[[clock]]\nname = \"broken\"\ntarget = \"soon\"\n\
        [[clock]]\nname = \"b\"\ntarget = \"5m\"\ncalendar = \"nope\"\n[[clock]]\nname = \"c\"\ntarget = \"5m\"\ncalendar = \"broken\"\n\
        [channels.m.smtp]\nport = 9\npassword = \"1h 17m\"\n";
    let (mut loaded, folder) = loaded(&[("a.toml", file)], &[]);
    loaded.check(|settings: &Settings, problems: &mut Problems| {
        problems.within("clock", |problems| {
            for (i, clock) in settings.clock.iter().enumerate() {
                problems.within(i, |problems| {
                    problems.within("calendar", |p| {
                        let name = clock.calendar.as_deref().unwrap_or_default();
                        p.error(format!("found `{name}`, expected the name of a calendar"));
                    });
                    problems.within("missing_key", |p| p.warn("look here"));
                });
            }
        });
        problems.within("channels", |p| {
            p.within("m", |p| p.within("smtp", |p| p.within("password", |p| p.warn("found `1h 17m`, weak"))))
        });
    });
    insta::assert_snapshot!(loaded.report().to_string().replace(&folder, ""), @r"
    a.toml:5:1: clock[0].target: `soon` is not a length of time, expected such as 20s, 5m, 24h, 1h 30m or 2d (error)
    a.toml:6:1: clock[1].missing_key: look here (warning)
    a.toml:9:1: clock[1].calendar: found `nope`, expected the name of a calendar (error)
    a.toml:10:1: clock[2].missing_key: look here (warning)
    a.toml:16:1: channels.m.smtp.password: found `***`, weak (warning)
    2 errors and 3 warnings in 1 place
    ");
    let json: serde_json::Value = serde_json::from_str(&loaded.report().to_json()).expect("JSON");
    assert_eq!((&json["errors"], &json["warnings"]), (&serde_json::json!(2), &serde_json::json!(3)));
    assert_eq!(json["problems"][0]["line"], 5);
    assert_eq!(json["problems"][0]["key"], "clock[0].target");
    assert_eq!(json["problems"][0]["found"], "`soon`");
    assert_eq!(json["problems"][0]["expected"], "such as 20s, 5m, 24h, 1h 30m or 2d");
    assert_eq!(json["problems"][4]["found"], "***");
    assert!(loaded.finish().is_err());
}

#[test]
fn the_meaning_waits_for_files_that_can_be_read() {
    let (mut loaded, _) = loaded(&[("a.toml", b"include = [\"no.toml\"]\n[desk]\nid = \"d\"\n")], &[]);
    loaded.check(|_, problems| problems.error("no calendar at all"));
    let report = loaded.report().to_string();
    assert!(report.contains("note: what the settings mean is checked once"), "{report}");
    assert!(!report.contains("no calendar"), "{report}");
}

#[test]
fn there_is_an_end_to_it() {
    let mut body = "[desk]\nid = \"d\"\n".to_owned();
    for i in 0..500 {
        body.push_str(&format!("[channels.c{i}.smtp]\nport = \"x\"\n"));
    }
    let report = report_of(&[("a.toml", &body)], &[]);
    assert!(
        report.ends_with("note: there are more problems than are shown here\n200 errors in 1 place\n"),
        "{report}"
    );
}

#[test]
fn the_schema_names_the_keys_and_include() {
    let schema: serde_json::Value = serde_json::from_str(&schema_for::<Settings>()).expect("JSON");
    assert!(schema["properties"]["desk"].is_object());
    assert!(schema["properties"]["include"].is_object());
    assert_eq!(schema["additionalProperties"], serde_json::json!(false));
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for body in [
        "a.".repeat(100_000) + "b = 1",
        format!("a = {}", "[".repeat(100_000)),
        format!("[{}b]", "a.".repeat(100_000)),
    ] {
        let (loaded, _) = loaded(&[("a.toml", body.as_bytes())], &[]);
        assert!(loaded.report().has_errors());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever stands in the file and in the environment, loading comes back with an answer.
    #[test]
    fn nothing_a_user_writes_makes_it_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "[desk]", "[[clock]]", "[channels.m.smtp]", "id", "name", "target", "port", "pick", "hours", "include",
            " = ", "\"", "'", "\"5m\"", "7", "1.5", "nan", "true", "[", "]", "{", "}", ",", ".", "\n", "\n", "\n",
            "\"\"\"", "#", "\\u12", "工单", "2026-03-02", "\u{0}", "\r", "[\"a.toml\"]", "password = \"x\"\n",
            "[desk]\nid = \"d\"\n", "name = \"x\"\n", "target = 5\n", "clock = 3\n", "a.b.c = 1\n", "\"a.b\" = 1\n",
        ]), 0..40),
        noise in prop::collection::vec(any::<u8>(), 0..12),
        variable in "SHIFTBELL__[A-Z_a-z\\[\\]0-9.]{0,24}",
        value in "\\PC{0,8}",
    ) {
        let mut bytes = pieces.concat().into_bytes();
        bytes.extend(noise);
        let (mut loaded, _) = loaded(&[("a.toml", &bytes)], &[(&variable, &value)]);
        loaded.check(|_, problems| problems.warn("seen"));
        let _shown = loaded.report().to_string() + &loaded.report().to_json();
        prop_assert!(loaded.settings().is_some() || loaded.report().has_errors());
    }
}

/// Any settings at all: whatever TOML can say.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Anything(serde_json::Value);

#[test]
fn the_files_inside_the_program_load_without_a_complaint() {
    let names: Vec<&str> = builtin::names().filter(|name| name.ends_with(".toml")).collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let main = format!("{}{name}", builtin::PREFIX);
        let loaded = load::<Anything>(Path::new(&main), &BTreeMap::new());
        assert_eq!(loaded.report().to_string(), "", "{name}");
    }
    let loaded = load::<Anything>(Path::new("builtin:shiftbell.toml"), &BTreeMap::new());
    assert_eq!(loaded.files().count(), 5);
    let settings = &loaded.settings().expect("settings").0;
    assert_eq!(settings["desk"]["shift"].as_array().map(Vec::len), Some(4));
    assert!(settings["clock"].as_array().is_some_and(|clocks| clocks.len() >= 18));
    assert!(settings["calendars"]["platform-desk"].is_object());
    for clock in settings["clock"].as_array().into_iter().flatten() {
        assert!(clock["title"].is_string(), "{clock}");
        if let Some(calendar) = clock["calendar"].as_str() {
            assert!(settings["calendars"][calendar].is_object(), "{clock}");
        }
        let ways =
            ["target", "by", "deadline", "every"].iter().filter(|key| clock.get(**key).is_some()).count();
        assert!(ways == 1 || (clock.get("target").is_some() && clock.get("deadline").is_some()), "{clock}");
    }
}

/// The rules of parcels come before the handbook, whose promises they sharpen; together they are one policy.
#[test]
fn the_rules_of_parcels_go_before_the_handbook() {
    let folder = tempfile::tempdir().expect("a folder");
    let main = folder.path().join("main.toml");
    let text = "include = [\"builtin:policies/parcels.toml\", \"builtin:shiftbell.toml\"]\n";
    std::fs::write(&main, text).expect("a file");
    let ready = crate::config::load_settings(&main, &BTreeMap::new(), None).expect("settings");
    assert_eq!(ready.report.to_string(), "");
    let rules = ready.policy.rules();
    let first = |name: &str| rules.iter().find(|rule| rule.clock.name == name).map(|rule| &rule.clock);
    assert!(first("pick_up").is_some_and(|clock| clock.cancel_when.is_some()));
    assert!(first("r14_lost").is_some_and(|clock| clock.start_when.is_some()));
    assert!(first("vip_call").is_some(), "and the rest of the handbook");
    assert_eq!(ready.settings.alerting.of_family("parcel.lost").storm.map(|rate| rate.count), Some(8));
    assert!(ready.settings.alerting.family.contains_key("ticket"), "of the other file");
}

#[test]
fn what_a_condition_gets_wrong_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let main = folder.path().join("main.toml");
    let text = "include = [\"builtin:policies/parcels.toml\", \"builtin:shiftbell.toml\"]\n\
        [[condition]]\nname = \"a\"\non = \"parcel\"\nwhen = { exceptoin = \"lost\" }\n\
        [[condition]]\nname = \"b\"\non = \"parcel\"\nwhen = { attempts = { ge = \"two\" } }\nafter = \"soon\"\n\
        [[condition]]\nname = \"ship\"\non = \"order\"\nwhen = { vip = true }\n";
    std::fs::write(&main, text).expect("a file");
    let report =
        crate::config::load_settings(&main, &BTreeMap::new(), None).expect_err("mistakes").to_string();
    let report = report.replace(&format!("{}/", folder.path().display()), "");
    for line in [
        "main.toml:5:10: condition[0].when.exceptoin: is no attribute",
        "condition[1].when.attempts.ge: expected one number",
        "condition[1].after: found `soon`",
        "condition[2].name: found `ship`, which is that of clock[",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
}
