use std::io::Write;
use std::path::Path;

use super::*;

fn event(at: &str, id: &str) -> String {
    format!(r#"{{"at":"{at}","source":"s","kind":"order","id":"{id}","event":"paid"}}"#)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

struct Played {
    told: Vec<String>,
    tally: Tally,
    error: Option<String>,
}

/// Writes each of `files` down and plays them together.
fn play(files: &[&[u8]], import: &str, is_strict: bool) -> Played {
    let dir = tempfile::tempdir().expect("a directory");
    let names: Vec<String> = (0..files.len()).map(|i| path(dir.path(), i)).collect();
    for (name, bytes) in names.iter().zip(files) {
        std::fs::write(name, bytes).expect("a file");
    }
    let import = toml::from_str(import).expect("an import");
    let tally =
        Tally { files: vec![], events: 0, first_at: None, last_at: None, rejects: Rejects::new(is_strict) };
    let mut played = Played { told: vec![], tally, error: None };
    match History::open(&names, import, is_strict, &|bytes| bytes) {
        Err(e) => played.error = Some(e.to_string()),
        Ok(mut history) => {
            let result = history.play(|seen, now| {
                played.told.push(format!("{now} {}", seen.id));
                Ok::<(), InputError>(())
            });
            played.error = result.err().map(|e| e.to_string());
            played.tally = history.tally();
        }
    }
    played
}

fn path(dir: &Path, i: usize) -> String {
    dir.join(format!("h{i}")).to_string_lossy().into_owned()
}

#[test]
fn the_same_history_in_every_packing() {
    let text = format!("{}\n{}", event("2026-03-02T10:00:00Z", "a"), event("2026-03-02T11:00:00Z", "b"));
    let two_members = [gzip(text.as_bytes()), gzip(b"\n")].concat();
    let zstd = zstd::encode_all(text.as_bytes(), 1).expect("memory");
    for (name, bytes, packing) in [
        ("plain", text.clone().into_bytes(), Packing::Plain),
        ("gzip", two_members, Packing::Gzip),
        ("zstd", zstd, Packing::Zstd),
    ] {
        let played = play(&[&bytes], "", false);
        assert_eq!(played.error, None, "{name}");
        assert_eq!(played.told, ["2026-03-02T10:00:00Z a", "2026-03-02T11:00:00Z b"], "{name}");
        assert_eq!(played.tally.files[0].packing, packing, "{name}");
    }
}

#[test]
fn broken_lines_are_counted_and_the_first_ten_shown() {
    let mut text = format!("{}\n", event("2026-03-02T10:00:00Z", "a"));
    for i in 0..25 {
        text.push_str(&format!("\u{1b}[31mgarbage {i}\n"));
    }
    text.push_str(&"x".repeat(10 << 20));
    text.push('\n');
    text.push_str(&event("2026-03-02T09:00:00Z", "b"));
    let played = play(&[text.as_bytes()], "", false);
    assert_eq!(played.error, None);
    // Time never goes back: the later line was out of order.
    assert_eq!(played.told, ["2026-03-02T10:00:00Z a", "2026-03-02T10:00:00Z b"]);
    assert_eq!(played.tally.first_at.map(|t| t.to_string()).as_deref(), Some("2026-03-02T09:00:00Z"));
    assert_eq!(played.tally.rejects.total(), 26);
    assert_eq!(played.tally.rejects.first().len(), REJECTS_SHOWN);
    assert_eq!(played.tally.rejects.first()[0].line, 2);
    assert_eq!(played.tally.files[0].lines, 28);
    assert_eq!(played.tally.files[0].good, 2);

    let strict = play(&[text.as_bytes()], "", true);
    assert_eq!(strict.told.len(), 1);
    assert!(strict.error.is_some_and(|e| e.contains(":2: ") && e.ends_with("(--strict)")));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut rejects = Rejects::new(false);
    rejects.note(&"f".into(), 1, &format!("\u{1b}[31m{}", "x".repeat(1000))).expect("not strict");
    let shown = rejects.first()[0].to_string();
    assert!(!shown.contains('\u{1b}') && shown.ends_with('…') && shown.len() < 400);
}

#[test]
fn a_history_that_breaks_off_tells_how_far_it_came() {
    let text: String = (0..20_000).map(|i| event("2026-03-02T10:00:00Z", &i.to_string()) + "\n").collect();
    let packed = gzip(text.as_bytes());
    let zstd = zstd::encode_all(text.as_bytes(), 1).expect("memory");
    let mut flipped = packed.clone();
    let middle = flipped.len() / 2;
    flipped[middle..middle + 8].fill(0xFF);
    for (name, bytes) in [
        ("cut gzip", &packed[..packed.len() / 2]),
        ("gzip without its end", &packed[..packed.len() - 4]),
        ("damaged gzip", &flipped),
        ("garbage after gzip", &[&packed[..], b"garbage"].concat()),
        ("cut zstd", &zstd[..zstd.len() / 2]),
    ] {
        let played = play(&[bytes], "", false);
        let error = played.error.unwrap_or_default();
        let good = played.tally.files.first().map_or(0, |f| f.good);
        assert!(error.contains(&format!("broke off after {good} good lines")), "{name}: {error}");
        assert_eq!(played.told.len() as u64, good, "{name}");
    }
    assert!(play(&[&packed[..6]], "", false).error.is_some_and(|e| e.contains("broke off after 0")));
}

#[test]
fn inputs_that_hold_nothing_are_errors() {
    for (name, bytes, want) in [
        ("empty", &b""[..], "is empty"),
        ("blank", b"\n\n", "none of its 2 lines can be used"),
        ("garbage", b"\x00\x01\x02\n", "its only line cannot be used"),
        ("one brace", b"{", "the first one: not JSON: EOF while parsing"),
        ("empty gzip", &gzip(b""), "holds not one line"),
    ] {
        let error = play(&[bytes], "", false).error.unwrap_or_default();
        assert!(error.contains(want), "{name}: {error}");
    }
    let open = |inputs: &[&str]| {
        let inputs: Vec<String> = inputs.iter().map(|s| (*s).to_owned()).collect();
        History::open(&inputs, ImportConfig::default(), false, &|bytes| bytes)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert!(open(&["/nowhere/at/all"]).starts_with("/nowhere/at/all: cannot be read"));
    assert!(open(&["/tmp"]).contains("is a directory"));
    assert!(open(&["-", "-"]).contains("named twice"));
    assert!(open(&[]).contains("no history"));
}

#[test]
fn several_histories_are_merged_by_their_instants() {
    let first = [
        event("2026-03-02T10:00:00Z", "a1"),
        event("2026-03-02T12:00:00Z", "a2"),
        event("2026-03-02T11:00:00Z", "a3"),
    ]
    .join("\n");
    let second = [event("2026-03-02T10:00:00Z", "b1"), "broken".into(), event("2026-03-02T11:30:00Z", "b2")]
        .join("\n");
    let table = "no,when\nc1,2026-03-02T10:30:00Z\nc2,2026-03-02T09:00:00Z\n";
    let import = r#"
        [csv]
        kind = "order"
        source = "t"
        id = "no"
        marks = { paid = "when" }
    "#;
    let played = play(&[first.as_bytes(), second.as_bytes(), &gzip(table.as_bytes())], import, false);
    assert_eq!(played.error, None);
    assert_eq!(
        played.told,
        [
            "2026-03-02T09:00:00Z c2",
            "2026-03-02T10:00:00Z a1",
            "2026-03-02T10:00:00Z b1",
            "2026-03-02T10:30:00Z c1",
            "2026-03-02T11:30:00Z b2",
            "2026-03-02T12:00:00Z a2",
            "2026-03-02T12:00:00Z a3",
        ]
    );
    assert_eq!(played.tally.events, 7);
    assert_eq!(played.tally.rejects.first()[0].line, 2);
}
