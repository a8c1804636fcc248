//! How phrases are written: plain text, `…` for up to twelve characters of one sentence, `(this|that)` for a choice,
//! `(this)?` for what may be missing, `{class}` for any word of a class, `^` and `$` for the ends of the whole text.

use std::collections::BTreeMap;

/// A segment stands for at most so many texts.
const MOST_TEXTS: usize = 4096;
/// More choices than this in a row are tried one behind the other, not multiplied.
const ENOUGH_TEXTS: usize = 48;
/// The longest text of a segment, in bytes.
pub(super) const LONGEST: usize = 120;
/// A phrase has at most so many segments.
const MOST_SEGMENTS: usize = 12;
/// Where a text begins and ends.
pub(super) const BEGIN: char = '\u{2}';
/// As above.
pub(super) const END: char = '\u{3}';

/// How a segment follows the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// At once.
    Close,
    /// With a gap between.
    Gap,
}

/// One part of a phrase: one of its texts must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub join: Join,
    pub texts: Vec<String>,
}

/// The segments of a phrase, in the writing that `normal` makes of it.
///
/// # Errors
/// What is wrong with it, and what is expected.
pub(super) fn parse(
    phrase: &str,
    words: &BTreeMap<String, Vec<String>>,
    normal: &dyn Fn(&str) -> String,
) -> Result<Vec<Segment>, String> {
    let mut out = Vec::new();
    for (i, part) in phrase.split('…').enumerate() {
        let mut join = if i == 0 { Join::Close } else { Join::Gap };
        let mut texts = vec![String::new()];
        let mut rest = part;
        while let Some(at) = rest.find(['(', '{', ')', '}']) {
            let (plain, tail) = rest.split_at(at);
            texts.iter_mut().for_each(|text| text.push_str(plain));
            let (choices, after) = choices(tail, words)?;
            let may_part = !texts.iter().any(String::is_empty) && !choices.iter().any(String::is_empty);
            if may_part && texts.len() * choices.len() > ENOUGH_TEXTS {
                out.push(segment(join, texts, normal)?);
                join = Join::Close;
                texts = vec![String::new()];
            }
            if texts.len() * choices.len() > MOST_TEXTS {
                return Err(format!("stands for more than {MOST_TEXTS} texts, expected fewer choices"));
            }
            texts = texts.iter().flat_map(|text| choices.iter().map(move |c| format!("{text}{c}"))).collect();
            rest = after;
        }
        texts.iter_mut().for_each(|text| text.push_str(rest));
        out.push(segment(join, texts, normal)?);
    }
    if out.len() > MOST_SEGMENTS {
        return Err(format!("has {} parts, expected at most {MOST_SEGMENTS}", out.len()));
    }
    Ok(out)
}

/// The choices that `tail` begins with, and what follows them.
fn choices<'a>(
    tail: &'a str,
    words: &'a BTreeMap<String, Vec<String>>,
) -> Result<(Vec<String>, &'a str), String> {
    match tail.as_bytes()[0] {
        b'(' => {
            let (inner, after) = tail[1..].split_once(')').ok_or("has a `(` without its `)`")?;
            if inner.contains('(') {
                return Err("has a choice inside a choice, expected one of plain texts".to_owned());
            }
            let mut choices = Vec::new();
            for choice in inner.split('|') {
                match choice.split_once('{') {
                    None => choices.push(choice.to_owned()),
                    Some((before, rest)) => {
                        let (name, behind) = rest.split_once('}').ok_or("has a `{` without its `}`")?;
                        choices.extend(class(name, words)?.map(|word| format!("{before}{word}{behind}")));
                    }
                }
            }
            match after.strip_prefix('?') {
                Some(after) => {
                    choices.push(String::new());
                    Ok((choices, after))
                }
                None => Ok((choices, after)),
            }
        }
        b'{' => {
            let (name, after) = tail[1..].split_once('}').ok_or("has a `{` without its `}`")?;
            Ok((class(name, words)?.map(str::to_owned).collect(), after))
        }
        _ => Err("has a closing bracket that was not opened".to_owned()),
    }
}

/// The words of a class.
fn class<'a>(
    name: &str,
    words: &'a BTreeMap<String, Vec<String>>,
) -> Result<impl Iterator<Item = &'a str>, String> {
    let class = words.get(name).ok_or_else(|| {
        let known: Vec<&str> = words.keys().map(String::as_str).collect();
        format!("names the words `{name}`, expected one of: {}", known.join(", "))
    })?;
    Ok(class.iter().map(String::as_str))
}

fn segment(join: Join, texts: Vec<String>, normal: &dyn Fn(&str) -> String) -> Result<Segment, String> {
    let mut out = Vec::with_capacity(texts.len());
    for written in texts {
        let mut text = normal(&written);
        // A space beside a Latin word parts it from the next segment.
        if written.ends_with(' ') && text.ends_with(|c: char| c.is_ascii()) {
            text.push(' ');
        }
        if written.starts_with(' ') && text.starts_with(|c: char| c.is_ascii()) {
            text.insert(0, ' ');
        }
        let text = text.replace('^', &BEGIN.to_string()).replace('$', &END.to_string());
        if text.is_empty() {
            return Err("may be empty, expected at least one character beside every gap".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes between two gaps"));
        }
        out.push(text);
    }
    out.sort();
    out.dedup();
    Ok(Segment { join, texts: out })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_what_it_stands_for() {
        let words = BTreeMap::from([
            ("who".to_owned(), vec!["客户".to_owned(), "买家".to_owned()]),
            ("many".to_owned(), (10..60).map(|i| format!("w{i}")).collect()),
        ]);
        let read = |phrase: &str| {
            parse(phrase, &words, &|t| t.trim().to_lowercase()).map(|segments| {
                let shown = segments.into_iter().map(|s| {
                    let join = if s.join == Join::Gap { "…" } else { "" };
                    if s.texts.len() > 9 {
                        format!("{join}{}", s.texts.len())
                    } else {
                        join.to_owned() + &s.texts.join("|")
                    }
                });
                shown.collect::<Vec<_>>().join(" ")
            })
        };
        for (phrase, want) in [
            ("Lost", "lost"),
            ("{who}不(收|要)", "买家不收|买家不要|客户不收|客户不要"),
            ("({who}们|他)在", "买家们在|他在|客户们在"),
            ("电话…打不通", "电话 …打不通"),
            ("已(被|)签收", "已签收|已被签收"),
            ("已(被)?签收", "已签收|已被签收"),
            ("^签收$", "\u{2}签收\u{3}"),
            // 50 by 50 are tried one behind the other.
            ("{many} {many}…x", "50 50 …x"),
        ] {
            assert_eq!(read(phrase).as_deref(), Ok(want), "{phrase}");
        }
        for (phrase, why) in [
            ("", "may be empty, expected at least one character beside every gap"),
            ("签收…", "may be empty, expected at least one character beside every gap"),
            ("{whom}", "names the words `whom`, expected one of: many, who"),
            ("{who", "has a `{` without its `}`"),
            ("(a|b", "has a `(` without its `)`"),
            ("(a|(b))", "has a choice inside a choice, expected one of plain texts"),
            ("a)", "has a closing bracket that was not opened"),
            ("a…b…c…d…e…f…g…h…i…j…k…l…m", "has 13 parts, expected at most 12"),
        ] {
            assert_eq!(read(phrase), Err(why.to_owned()), "{phrase}");
        }
        let many = "(a|b|c|d|e|f|g|)".repeat(5);
        assert!(read(&many).unwrap_err().contains("more than 4096 texts"));
        assert!(read(&"长".repeat(50)).unwrap_err().contains("longer than 120 bytes"));
    }
}
