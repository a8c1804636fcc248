//! `shiftbell parcel`: try what the program makes of the texts of carriers.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::config::parcels::{LEXICON, lexicon};
use crate::core::parcel::lexicon::{Evidence, Lexicon, Reading};

/// A longer line is read up to here; the rest of it is passed over.
const LONGEST_LINE: usize = 1 << 20;
/// So much of a text is shown beside its answer, in characters.
const SHOWN: usize = 60;

/// Try what the program makes of parcels: the texts of scans (扫描文本).
///
/// Exit code: 0 done, 1 failed, 2 the arguments or the lexicon are refused.
#[derive(Clone, Debug, Subcommand)]
pub enum ParcelCommand {
    /// Say of each line of standard input where it brings the parcel, what is wrong with it, and by which words.
    ///
    /// One line out for each line in, in the same order, whatever it holds.
    Classify(ClassifyArgs),
}

/// Arguments of `parcel classify`.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = "Examples:
  echo 客户电话无人接听,明日再派 | shiftbell parcel classify
  shiftbell parcel classify --format json < texts.txt > answers.jsonl
  shiftbell config show parcels/lexicon.toml     # how a phrase of your own is written")]
pub struct ClassifyArgs {
    /// How answers are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The lexicon: a file of yours with `include = [\"builtin:parcels/lexicon.toml\"]` goes on from the program's.
    #[arg(long, value_name = "FILE", default_value = LEXICON)]
    lexicon: PathBuf,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// A JSON object each: `{"milestone","exception","flags","evidence"}`.
    Json,
}

/// A lexicon that is refused.
#[derive(Debug, thiserror::Error)]
#[error("the lexicon is refused\n{0}")]
pub(super) struct Refused(String);

/// Runs the verb.
///
/// # Errors
/// A lexicon that is refused, input or output that fails.
pub fn main(command: &ParcelCommand, input: impl BufRead, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let ParcelCommand::Classify(args) = command;
    let lexicon = lexicon(&args.lexicon).map_err(|report| Refused(report.to_string()))?;
    classify(&lexicon, args.format, input, out)?;
    Ok(ExitCode::SUCCESS)
}

/// One line out for each line in.
fn classify(
    lexicon: &Lexicon,
    format: Format,
    mut input: impl BufRead,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let mut line = Vec::new();
    while read_line(&mut input, &mut line)? {
        // Bytes that are no text become signs that mean nothing.
        let text = String::from_utf8_lossy(&line);
        let reading = lexicon.read(&text);
        match format {
            Format::Json => json(&reading, out)?,
            Format::Text => writeln!(out, "{}", shown(&reading, text.trim()))?,
        }
    }
    Ok(())
}

/// Reads a line without its end, at most [`LONGEST_LINE`] bytes of it; whether there was one.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = buffer.iter().position(|b| *b == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        line.extend(&part[..part.len().min(LONGEST_LINE - line.len())]);
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            // A line may end as Windows ends it.
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(true);
        }
    }
}

fn json(reading: &Reading, out: &mut impl Write) -> std::io::Result<()> {
    #[derive(Serialize)]
    struct Answer<'a> {
        milestone: &'a str,
        exception: Option<&'a str>,
        flags: Vec<&'a str>,
        evidence: &'a [Evidence],
    }
    let answer = Answer {
        milestone: reading.milestone.name(),
        exception: reading.exception.map(|e| e.word()),
        flags: reading.flags.iter().map(|f| f.word()).collect(),
        evidence: &reading.evidence,
    };
    serde_json::to_writer(&mut *out, &answer)?;
    writeln!(out)
}

/// `派送失败 DeliveryFailed · 联系不上 contact_failed · [X14 电话…无人] · the text`.
fn shown(reading: &Reading, text: &str) -> String {
    let mut parts = vec![format!("{} {}", reading.milestone.chinese(), reading.milestone.name())];
    parts.extend(reading.exception.map(|e| format!("{} {}", e.chinese(), e.word())));
    parts.extend(reading.flags.iter().map(|flag| flag.word().to_owned()));
    if !reading.evidence.is_empty() {
        let why: Vec<_> = reading.evidence.iter().map(Evidence::shown).collect();
        parts.push(format!("[{}]", why.join("; ")));
    }
    let mut begin: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > SHOWN {
        begin.push('…');
    }
    parts.push(begin);
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(format: Format, input: &[u8]) -> Vec<String> {
        let lexicon = lexicon(LEXICON.as_ref()).unwrap();
        let mut out = Vec::new();
        classify(&lexicon, format, input, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn answers_are_as_the_tables_name_them() {
        let texts = "客户电话无人接听，明日再派\n已签收，签收人：菜鸟驿站\n今天天气不错";
        assert_eq!(
            answers(Format::Json, texts.as_bytes()),
            [
                r#"{"milestone":"DeliveryFailed","exception":"contact_failed","flags":[],"evidence":[{"of":"exception","by":"lexicon","block":"X14","phrase":"电话…无人"}]}"#,
                r#"{"milestone":"AtPickupPoint","exception":null,"flags":["claimed_delivered"],"evidence":[{"of":"milestone","by":"lexicon","block":"M12","phrase":"签收人…菜鸟"},{"of":"flag","by":"lexicon","block":"F01","phrase":"签收"}]}"#,
                r#"{"milestone":"Unknown","exception":null,"flags":[],"evidence":[]}"#,
            ]
        );
        assert_eq!(
            answers(Format::Text, texts.as_bytes())[0],
            "派送失败 DeliveryFailed · 联系不上 contact_failed · [X14 电话…无人] · 客户电话无人接听，明日再派"
        );
    }

    #[test]
    fn every_line_has_its_answer_whatever_it_holds() {
        let huge = [b"x".repeat(LONGEST_LINE + 5), "已签收".as_bytes().to_vec()].concat();
        for (name, input, lines) in [
            ("nothing", b"".to_vec(), 0),
            ("an empty line", b"\n".to_vec(), 1),
            ("empty lines", b"\n\n \n".to_vec(), 3),
            ("no end", "a\nb".as_bytes().to_vec(), 2),
            ("carriage returns", b"a\r\nb\r\n".to_vec(), 2),
            ("no UTF-8", vec![0xff, 0xfe, b'\n', 0xe7, 0xad, b'\n'], 2),
            ("zero bytes", vec![0, 0, b'\n', 0x1b, b'[', b'2', b'J', b'\n'], 2),
            ("a huge line", [huge, b"\n\xe7\xad\xbe\xe6\x94\xb6\n".to_vec()].concat(), 2),
            (
                "a line cut inside a character",
                ["签".repeat(LONGEST_LINE / 3 + 1).into_bytes(), vec![b'\n']].concat(),
                1,
            ),
        ] {
            for format in [Format::Json, Format::Text] {
                let got = answers(format, &input);
                assert_eq!(got.len(), lines, "{name} {format:?}");
                assert!(!got.iter().any(|line| line.chars().any(char::is_control)), "{name}");
            }
        }
        // A line that ends in CR LF says the same as one that ends in LF.
        let same = answers(Format::Json, "签收\r\n签收\n".as_bytes());
        assert_eq!(same[0], same[1]);
    }

    #[test]
    fn a_lexicon_that_is_refused_is_told() {
        let args = ClassifyArgs { format: Format::Json, lexicon: "nowhere.toml".into() };
        let refused = main(&ParcelCommand::Classify(args), &b""[..], &mut Vec::new()).unwrap_err();
        assert!(refused.is::<Refused>(), "{refused:#}");
        assert!(refused.to_string().contains("nowhere.toml"), "{refused:#}");
    }
}
