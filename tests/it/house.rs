//! The rules of the house: which way imports may point, and what the core must not know.
//!
//! It reads the sources as words, not as syntax trees: comments and texts are taken out, then every path that
//! begins with `crate::`, `super::` or `self::` is followed, in `use` lines (groups too) and in expressions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms by layer, the lowest first. Rooms of one layer do not import one another; of `config` only
/// `settings.rs` looks up, and only at what is called `…Config`.
const LAYERS: &[&[&str]] = &[
    &["core"],
    &["config", "fail", "wire"],
    &["sources", "channels", "store", "telemetry"],
    &["daemon"],
    &["console", "sim"],
    &["cli"],
];

/// Inside the core, the lowest first: each imports only those before it.
const CORE: &[&str] = &[
    "time", "problem", "ids", "calendar", "model", "parcel", "clock", "rules", "duty", "alerting", "engine",
];

/// What the core must not know, as paths or words, and why.
const BANNED_IN_CORE: &[(&str, &str)] = &[
    ("std::time", "time is an argument"),
    ("std::fs", "the core has no I/O"),
    ("std::net", "the core has no I/O"),
    ("std::io", "the core has no I/O"),
    ("std::env", "the core reads no environment"),
    ("std::thread", "the core has no threads"),
    ("std::process", "the core has no processes"),
    ("SystemTime", "time is an argument"),
    ("tokio", "the core is not async"),
    ("async", "the core is not async"),
    ("await", "the core is not async"),
    ("rand", "the core has no randomness"),
    ("fastrand", "the core has no randomness"),
    ("RandomState", "order must not depend on the process"),
    (
        "std::collections::HashMap",
        "its order differs between runs: BTreeMap, or hashbrown with a fixed hasher",
    ),
    (
        "std::collections::HashSet",
        "its order differs between runs: BTreeSet, or hashbrown with a fixed hasher",
    ),
];

/// A word of a source and the line it stands on.
#[derive(Clone, Debug, PartialEq)]
struct Word {
    text: String,
    line: usize,
}

/// The words of a Rust source without comments and literals; `::` is one word.
fn words(source: &str) -> Vec<Word> {
    let chars: Vec<char> = source.chars().collect();
    let (mut i, mut line, mut out) = (0, 1, Vec::new());
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    while i < chars.len() {
        let c = chars[i];
        match c {
            '\n' => {
                line += 1;
                i += 1;
            }
            c if c.is_whitespace() => i += 1,
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && chars[i] != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => {
                let mut depth = 0;
                while i < chars.len() {
                    match (chars[i], at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        (c, _) => {
                            line += usize::from(c == '\n');
                            i += 1;
                        }
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            '"' => {
                i += 1;
                while i < chars.len() && chars[i] != '"' {
                    line += usize::from(chars[i] == '\n' || (chars[i] == '\\' && at(i + 1) == '\n'));
                    i += if chars[i] == '\\' { 2 } else { 1 };
                }
                i += 1;
            }
            // A character, or a lifetime, which is passed over as an ordinary word.
            '\'' if at(i + 1) == '\\' => {
                i += 3;
                while i < chars.len() && chars[i] != '\'' {
                    i += 1;
                }
                i += 1;
            }
            '\'' if at(i + 2) == '\'' => i += 3,
            'r' | 'b' | 'c' if raw_text(&chars[i..]).is_some() => {
                let length = raw_text(&chars[i..]).unwrap();
                line += chars[i..i + length].iter().filter(|c| **c == '\n').count();
                i += length;
            }
            c if c.is_alphanumeric() || c == '_' => {
                let start = i;
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
                let text: String = chars[start..i].iter().collect();
                // A raw name: `r#type` is the name `type`.
                if text == "r" && at(i) == '#' {
                    i += 1;
                    continue;
                }
                out.push(Word { text, line });
            }
            ':' if at(i + 1) == ':' => {
                out.push(Word { text: "::".to_owned(), line });
                i += 2;
            }
            c => {
                out.push(Word { text: c.to_string(), line });
                i += 1;
            }
        }
    }
    out
}

/// The length of the raw text (`r"…"`, `br#"…"#`) that begins here.
fn raw_text(chars: &[char]) -> Option<usize> {
    let mut i = chars.iter().take(2).take_while(|c| matches!(c, 'b' | 'c')).count();
    if chars.get(i) != Some(&'r') {
        return None;
    }
    i += 1;
    let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
    i += hashes;
    if chars.get(i) != Some(&'"') {
        return None;
    }
    i += 1;
    while i < chars.len() {
        if chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(i + 1 + hashes);
        }
        i += 1;
    }
    Some(chars.len())
}

/// A path that a source names.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    /// Its parts as written.
    parts: Vec<String>,
    line: usize,
    /// How many inline modules it stands in: `super` inside them goes up to the file first.
    inside: usize,
    /// It stands in a `#[cfg(test)]` module.
    in_test: bool,
}

/// All paths of more than one part, and all single words, that a source names.
fn paths(source: &str) -> Vec<Named> {
    let words = words(source);
    let text = |i: usize| words.get(i).map_or("", |w| w.text.as_str());
    let mut out = Vec::new();
    // For each open brace: whether it is a module, and whether it is one for tests only.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut test_ahead = false;
    let mut i = 0;
    while i < words.len() {
        let inside = open.iter().filter(|(module, _)| *module).count();
        let in_test = open.iter().any(|(_, test)| *test);
        match text(i) {
            "#" if (i..i + 5).map(text).collect::<String>() == "#[cfg(test" => {
                test_ahead = true;
                while i < words.len() && text(i) != "]" {
                    i += 1;
                }
                i += 1;
            }
            "mod" if text(i + 2) == "{" => {
                open.push((true, test_ahead));
                test_ahead = false;
                i += 3;
            }
            "{" => {
                open.push((false, false));
                i += 1;
            }
            "}" => {
                open.pop();
                i += 1;
            }
            // What a returned type captures (`use<'a, T>`) is no import.
            "use" if text(i + 1) == "<" => i += 1,
            "use" => {
                test_ahead = false;
                i = tree(&words, i + 1, &[], inside, in_test, &mut out);
            }
            word if is_name(word) => {
                if matches!(word, "fn" | "struct" | "enum" | "impl" | "const" | "static" | "type" | "trait") {
                    test_ahead = false;
                }
                let mut parts = vec![word.to_owned()];
                let line = words[i].line;
                i += 1;
                while text(i) == "::" && is_name(text(i + 1)) {
                    parts.push(text(i + 1).to_owned());
                    i += 2;
                }
                out.push(Named { parts, line, inside, in_test });
            }
            _ => i += 1,
        }
    }
    out
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads a `use` tree from word `i` on; answers with the first word behind it.
fn tree(
    words: &[Word],
    mut i: usize,
    above: &[String],
    inside: usize,
    in_test: bool,
    out: &mut Vec<Named>,
) -> usize {
    let text = |i: usize| words.get(i).map_or("", |w| w.text.as_str());
    let mut parts = above.to_vec();
    let line = words.get(i).map_or(0, |w| w.line);
    loop {
        match text(i) {
            "::" => i += 1,
            "{" => {
                i += 1;
                while !matches!(text(i), "}" | ";" | "") {
                    i = tree(words, i, &parts, inside, in_test, out);
                    if text(i) == "," {
                        i += 1;
                    }
                }
                return i + 1;
            }
            "as" => i += 2,
            "," | "}" | ";" | "" => break,
            part => {
                parts.push(part.to_owned());
                i += 1;
            }
        }
    }
    out.push(Named { parts, line, inside, in_test });
    i
}

/// The module a file holds: `src/core/clock/due.rs` is `core::clock::due`.
fn module_of(file: &str) -> Vec<String> {
    let mut parts: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// The path from the top of the crate that `named` means in a file holding `module`, if it is one of ours.
fn absolute(module: &[String], named: &Named) -> Option<Vec<String>> {
    let mut here = module.to_vec();
    let mut rest = &named.parts[..];
    // Inline modules have no name that matters here; they only take up a `super` each.
    let mut inline = named.inside;
    match rest.first().map(String::as_str) {
        Some("crate" | "shiftbell") => return (rest.len() > 1).then(|| rest[1..].to_vec()),
        Some("self" | "super") => {}
        _ => return None,
    }
    while let Some(first) = rest.first() {
        match first.as_str() {
            "self" => {}
            "super" if inline > 0 => inline -= 1,
            "super" => {
                here.pop();
            }
            _ => break,
        }
        rest = &rest[1..];
    }
    here.extend(rest.iter().cloned());
    Some(here)
}

/// What is wrong with one source; `file` is its path below `src/`.
fn wrong(file: &str, source: &str) -> Vec<String> {
    let module = module_of(file);
    let Some(room) = module.first().cloned() else { return Vec::new() };
    let mut found = Vec::new();
    let layer = |room: &str| LAYERS.iter().position(|layer| layer.contains(&room));
    if layer(&room).is_none() {
        found.push(format!("{file}: the room `{room}` has no layer: add it to LAYERS"));
        return found;
    }
    for named in paths(source) {
        let at = format!("src/{file}:{}", named.line);
        if let Some(target) = absolute(&module, &named) {
            let Some(to) = target.first() else { continue };
            // A macro or a `pub use` at the top of the crate is not a room.
            let Some(to_layer) = layer(to) else { continue };
            let assembles =
                file == "config/settings.rs" && target.last().is_some_and(|t| t.ends_with("Config"));
            if *to != room && !assembles && layer(&room).is_some_and(|from| to_layer >= from) {
                found.push(format!("{at}: `{room}` imports `{to}`, which is not below it"));
            }
            if room == "core" && to == "core" {
                found.extend(inside_core(&at, &module, &target));
            }
        }
        if room == "core" && !named.in_test {
            found.extend(banned(&at, &named.parts));
        }
    }
    found
}

fn inside_core(at: &str, module: &[String], target: &[String]) -> Option<String> {
    let from = module.get(1)?;
    let to = target.get(1)?;
    let rank = |folder: &str| CORE.iter().position(|f| *f == folder);
    match (rank(from), rank(to)) {
        _ if from == to => None,
        (None, _) => Some(format!("{at}: `core::{from}` has no place in the core: add it to CORE")),
        (Some(a), Some(b)) if b > a => {
            Some(format!("{at}: `core::{from}` imports `core::{to}`, which is not above it"))
        }
        _ => None,
    }
}

fn banned(at: &str, parts: &[String]) -> Option<String> {
    let path = parts.join("::");
    let std_path = match path.strip_prefix("core::").or(path.strip_prefix("alloc::")) {
        Some(rest) => format!("std::{rest}"),
        None => path.clone(),
    };
    BANNED_IN_CORE.iter().find_map(|(ban, why)| {
        let hit = match ban.contains("::") {
            true => std_path == *ban || std_path.starts_with(&format!("{ban}::")),
            // `crate::core::time::Instant` is ours; a bare word counts wherever it stands, a crate only in front.
            false if ban.chars().all(|c| c.is_lowercase()) => parts[0] == *ban,
            false => parts.iter().any(|p| p == ban),
        };
        hit.then(|| format!("{at}: the core must not use `{path}`: {why}"))
    })
}

fn sources(folder: &Path, below: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path: PathBuf = entry.expect("src can be read").path();
        if path.is_dir() {
            sources(&path, below, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(below).expect("it is below").to_string_lossy().replace('\\', "/");
            found.insert(name, fs::read_to_string(&path).expect("sources are UTF-8"));
        }
    }
}

#[test]
fn every_arrow_points_the_right_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    sources(&src, &src, &mut files);
    assert!(files.contains_key("core/time.rs") && files.contains_key("lib.rs"), "the sources were not found");
    let wrong: Vec<String> = files.iter().flat_map(|(file, source)| wrong(file, source)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_checker_sees_what_it_should() {
    let examples: &[(&str, &str, usize)] = &[
        // Right.
        ("core/clock/due.rs", "use crate::core::time::Instant;", 0),
        ("core/clock/due.rs", "use crate::core::{calendar::Calendar, time::{Instant, Span}};", 0),
        ("core/clock/mod.rs", "use super::model::Case; pub use self::due::Due;", 0),
        ("core/clock/due.rs", "use super::cycle::Cycle; use super::super::model::Case;", 0),
        ("config/mod.rs", "use crate::core::problem::Problems;", 0),
        ("sources/douyin.rs", "use crate::{config::Place, core::model};", 0),
        ("cli/run.rs", "use crate::{daemon, console, sim, config};", 0),
        ("main.rs", "fn main() { shiftbell::cli::main() }", 0),
        (
            "core/time.rs",
            "/// like `std::time::Instant`\n// use crate::config;\nconst A: &str = \"use crate::cli;\";",
            0,
        ),
        ("core/time.rs", "const A: &str = r#\"use crate::cli; \" std::fs\"#;", 0),
        ("core/time.rs", "#[cfg(test)]\nmod tests { use std::collections::HashMap; use super::*; }", 0),
        ("core/clock/due.rs", "mod inner { use super::super::cycle::Cycle; }", 0),
        ("core/calendar/mod.rs", "use hashbrown::HashMap; fn operand(rand_index: u8) {}", 0),
        ("core/time.rs", "fn f<'a>(x: &'a str) -> char { 'x' }", 0),
        ("core/time.rs", "fn f(x: &u8) -> impl Iterator + use<> { g(); h(x) }", 0),
        ("core/time.rs", "fn f<'a>(x: &'a u8) -> impl Iterator + use<'a> { std::fs::read(x); }", 1),
        // Against the layers.
        ("core/time.rs", "use crate::config::load;", 1),
        ("config/mod.rs", "use crate::cli;", 1),
        ("config/mod.rs", "use crate::store::Store;", 1),
        ("config/settings.rs", "use crate::store::{StoreConfig, sqlite::SqliteConfig};", 0),
        ("config/settings.rs", "use crate::store::Store;", 1),
        ("config/loaded.rs", "use crate::store::StoreConfig;", 1),
        ("store/mod.rs", "use crate::channels::Channel;", 1),
        ("sources/douyin.rs", "use crate::telemetry;", 1),
        ("daemon/mod.rs", "use crate::{core::engine, cli::check, console};", 2),
        ("console/mod.rs", "use crate::sim::Shop;", 1),
        ("sources/douyin.rs", "fn f() { crate::store::open(); }", 1),
        ("sources/douyin.rs", "use super::super::store::Store;", 1),
        ("sources/http/mod.rs", "use super::super::channels;", 1),
        ("core/time.rs", "#[cfg(test)]\nmod tests { use crate::config::load; }", 1),
        ("core/time.rs", "#[cfg(test)]\nmod tests { use super::super::super::config::load; }", 1),
        ("attic/mod.rs", "", 1),
        // Inside the core.
        ("core/calendar/mod.rs", "use crate::core::model::Case;", 1),
        ("core/model/mod.rs", "use crate::core::clock::Clock;", 1),
        ("core/time.rs", "use crate::core::{problem::Problem, calendar};", 2),
        ("core/clock/due.rs", "use super::super::engine::Engine;", 1),
        ("core/clock/due.rs", "fn f() -> crate::core::engine::Engine { todo!() }", 1),
        ("core/clock/due.rs", "use crate\n  ::core::\n  {engine as e, rules::{self, Rule}};", 3),
        ("core/attic.rs", "use crate::core::time::Instant;", 1),
        // What the core must not know.
        ("core/time.rs", "use std::time::Duration;", 1),
        ("core/time.rs", "fn f() { let now = std::time::SystemTime::now(); }", 1),
        ("core/time.rs", "use std::{fs, net::TcpStream, fmt};", 2),
        ("core/time.rs", "fn f() { std::env::var(\"X\"); std::thread::spawn(|| ()); }", 2),
        ("core/time.rs", "use tokio::sync::mpsc;", 1),
        ("core/time.rs", "use rand::Rng;", 1),
        ("core/time.rs", "async fn f() {}", 1),
        ("core/time.rs", "use std::collections::{BTreeMap, HashMap};", 1),
        ("core/time.rs", "fn f() -> std::collections::HashMap<u8, u8> { todo!() }", 1),
        ("core/time.rs", "/* a /* nested */ comment */ use std::fs::File; const C: char = '\"';", 1),
        ("core/time.rs", "#[cfg(test)] use std::fs;\nfn f() { std::fs::read(\"x\"); }", 2),
        ("core/time.rs", "#[cfg(test)]\nmod tests { fn f() {} }\nuse std::fs;", 1),
    ];
    for (file, source, want) in examples {
        let found = wrong(file, source);
        assert_eq!(found.len(), *want, "{file}: {source}\n{}", found.join("\n"));
    }
}

#[test]
fn the_checker_names_file_and_line() {
    let found = wrong("core/time.rs", "//! Words.\n\nuse crate::{\n    core::problem,\n    cli,\n};\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], "src/core/time.rs:5: `core` imports `cli`, which is not below it");
}
