//! What is heard in a text: one pass of the automaton, then what lies inside something harmless is left out, then the
//! phrases that are there as a whole. All of it in time that grows with the text and no faster.

use smallvec::SmallVec;

use crate::core::parcel::lexicon::config::{Mutes, Reach};
use crate::core::parcel::lexicon::normal::{ends_clause, ends_sentence};
use crate::core::parcel::lexicon::phrase::Join;
use crate::core::parcel::lexicon::table::{Means, Table, Use};

/// A gap of a phrase is at most so many characters, …
const GAP: usize = 12;
/// … and so many between Latin words.
const LATIN_GAP: usize = 32;
/// With names in brackets, at most so many bytes.
const FURTHEST: usize = 240;
/// Words that turn a clause around end it.
const BUT: [&str; 6] = ["但", "不过", "然而", " but ", " however", "却"];

/// A part of a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub start: usize,
    pub end: usize,
}

/// A phrase that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub pattern: usize,
    /// All of it.
    pub part: Part,
    /// Its segments.
    pub segments: SmallVec<[Part; 2]>,
}

/// A text of the automaton that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub text: usize,
    pub part: Part,
}

/// What is there of a text, without what only sounds like it.
#[derive(Debug)]
pub(super) struct Hearing {
    /// The words that pairs are made of, by their ends.
    pub words: Vec<Word>,
    /// The phrases, by their ends.
    pub phrases: Vec<Heard>,
}

/// Hears a text that is in one writing.
pub(super) fn hear(table: &Table, text: &str) -> Hearing {
    let mut words: Vec<Word> = Vec::new();
    for found in table.automaton.find_overlapping_iter(text) {
        let (number, part) = (found.pattern().as_usize(), Part { start: found.start(), end: found.end() });
        let (begins, ends) = table.texts[number].word;
        let letter = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphabetic);
        let before = part.start.checked_sub(1).and_then(|i| text.as_bytes().get(i));
        if !(begins && letter(before) || ends && letter(text.as_bytes().get(part.end))) {
            words.push(Word { text: number, part });
        }
    }
    let found = phrases(table, text, &words, |t| &table.texts[t].harmless);
    let silent = Silent {
        all: spans(table, text, &found, Mutes::All),
        milestones: spans(table, text, &found, Mutes::Milestones),
        exceptions: spans(table, text, &found, Mutes::Exceptions),
    };
    let mut phrases = phrases(table, text, &words, |t| &table.texts[t].uses);
    phrases.retain(|heard| silent.lets(table, text, heard));
    words.retain(|word| {
        let part = bare(text, word.part);
        !silent.all.hold(part) && !silent.exceptions.hold(part)
    });
    Hearing { words, phrases }
}

/// Where nothing is heard, where no milestones are, and where no exceptions.
struct Silent {
    all: Spans,
    milestones: Spans,
    exceptions: Spans,
}

impl Silent {
    /// Whether a phrase is heard: no part of it between two gaps lies inside something that is harmless.
    fn lets(&self, table: &Table, text: &str, heard: &Heard) -> bool {
        let pattern = &table.patterns[heard.pattern];
        let also = match table.blocks[pattern.block].means {
            Means::Exception { .. } => &self.exceptions,
            _ => &self.milestones,
        };
        let mut runs: SmallVec<[Part; 4]> = SmallVec::new();
        for (part, join) in heard.segments.iter().zip(&pattern.joins) {
            match runs.last_mut() {
                Some(run) if *join == Join::Close => run.end = part.end,
                _ => runs.push(*part),
            }
        }
        !runs.iter().any(|run| {
            let run = bare(text, *run);
            self.all.hold(run) || also.hold(run)
        })
    }
}

/// A part without the signs at its ends: a comma behind it does not make it longer than what is harmless.
fn bare(text: &str, part: Part) -> Part {
    let sign = |c: char| !c.is_alphanumeric();
    let all = &text[part.start..part.end];
    let behind = all.trim_start_matches(sign);
    let start = part.end - behind.len();
    Part { start, end: start + behind.trim_end_matches(sign).len() }
}

/// The phrases that the words make.
fn phrases<'a>(
    table: &'a Table,
    text: &str,
    words: &[Word],
    uses: impl Fn(usize) -> &'a [Use],
) -> Vec<Heard> {
    /// The first segments of a phrase are there, and end here.
    struct Begun {
        pattern: usize,
        next: usize,
        segments: SmallVec<[Part; 2]>,
    }
    // Most words are parts of phrases of which nothing else is there: those are not looked at.
    let mut there = vec![0_u16; table.patterns.len()];
    let parts = |word: &Word| {
        uses(word.text).iter().filter_map(|used| match *used {
            Use::Segment { pattern, segment } => Some((pattern, segment)),
            Use::Word { .. } => None,
        })
    };
    for (pattern, segment) in words.iter().flat_map(parts) {
        there[pattern] |= 1 << segment;
    }
    let mut out = Vec::new();
    let mut begun: SmallVec<[Begun; 16]> = SmallVec::new();
    // What ended so far back that no word which is still to come can go on with it.
    let reach = table.longest + FURTHEST;
    for word in words {
        begun.retain(|b| b.segments.last().is_some_and(|last| last.end + reach >= word.part.end));
        for (pattern, segment) in parts(word) {
            let whole = &table.patterns[pattern];
            if there[pattern].count_ones() as usize != whole.joins.len() {
                continue;
            }
            let mut segments = match segment {
                0 => SmallVec::new(),
                // The nearest: what is said together stands together.
                _ => {
                    let fits = |b: &&Begun| {
                        let Some(last) = b.segments.last() else { return false };
                        b.pattern == pattern
                            && b.next == segment
                            && match whole.joins[segment] {
                                Join::Close => last.end == word.part.start,
                                Join::Gap => is_gap(text, last.end, word.part.start, whole.latin),
                            }
                    };
                    let found = match table.blocks[whole.block].means {
                        // Of what is harmless, all of it.
                        Means::Harmless { .. } => begun.iter().find(fits),
                        _ => begun.iter().rev().find(fits),
                    };
                    match found {
                        Some(found) => found.segments.clone(),
                        None => continue,
                    }
                }
            };
            segments.push(word.part);
            if segment + 1 == whole.joins.len() {
                let part = Part { start: segments[0].start, end: word.part.end };
                out.push(Heard { pattern, part, segments });
            } else {
                begun.push(Begun { pattern, next: segment + 1, segments });
            }
        }
    }
    out
}

/// Whether what lies between may be left out. A name in brackets counts as one character, however long.
fn is_gap(text: &str, from: usize, to: usize, latin: bool) -> bool {
    if to < from || to - from > FURTHEST {
        return false;
    }
    let most = if latin { LATIN_GAP } else { GAP };
    let (mut depth, mut count) = (0_usize, 0);
    for (i, c) in text[from..to].char_indices() {
        let closes = matches!(c, ')' | ']' | '】' | '」' | '》');
        if closes {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 && ends_sentence(text, from + i, c) {
            return false;
        }
        count += usize::from(depth == 0 && !closes);
        if matches!(c, '(' | '[' | '【' | '「' | '《') {
            depth += 1;
        }
    }
    count <= most
}

/// Spans, and whether something lies inside one of them.
struct Spans {
    /// Where each begins, ascending.
    starts: Vec<usize>,
    /// The furthest end of those up to here.
    ends: Vec<usize>,
}

impl Spans {
    /// Whether the part lies inside a span that is longer than it: what reaches beyond every span is heard.
    fn hold(&self, part: Part) -> bool {
        let before = self.starts.partition_point(|s| *s < part.start);
        let upto = self.starts.partition_point(|s| *s <= part.start);
        let end = |count: usize| count.checked_sub(1).map_or(0, |i| self.ends[i]);
        end(before) >= part.end || end(upto) > part.end
    }
}

/// How far everything reaches that mutes this.
fn spans(table: &Table, text: &str, heard: &[Heard], wanted: Mutes) -> Spans {
    let mut parts: Vec<Part> = Vec::with_capacity(heard.len());
    // The ends of clauses and sentences are looked for once, from the back.
    let mut further: Vec<(Part, Reach)> = Vec::new();
    for found in heard {
        match table.blocks[table.patterns[found.pattern].block].means {
            Means::Harmless { mutes, .. } if mutes != wanted => {}
            Means::Harmless { to: Reach::Phrase, .. } => parts.push(found.part),
            Means::Harmless { to, .. } => further.push((found.part, to)),
            _ => {}
        }
    }
    further.sort_by_key(|(part, _)| *part);
    let (mut clause, mut sentence) = (0, 0);
    for (part, reach) in further {
        let known = match reach {
            Reach::Clause => &mut clause,
            _ => &mut sentence,
        };
        // An end found for an earlier one that lies behind this one is the end of this one, too.
        if *known < part.end {
            *known = end_of(text, part, reach);
        }
        parts.push(Part { start: part.start, end: *known });
    }
    parts.sort();
    let mut furthest = 0;
    let ends = parts
        .iter()
        .map(|part| {
            furthest = furthest.max(part.end);
            furthest
        })
        .collect();
    Spans { starts: parts.iter().map(|part| part.start).collect(), ends }
}

/// Where the clause or sentence ends that `part` stands in; at the latest with the brackets around it.
fn end_of(text: &str, part: Part, reach: Reach) -> usize {
    let mut depth = 0_usize;
    for (i, c) in text[part.end..].char_indices() {
        let at = part.end + i;
        match c {
            '(' | '[' | '【' | '「' | '《' => depth += 1,
            ')' | ']' | '】' | '」' | '》' if depth == 0 => return at,
            ')' | ']' | '】' | '」' | '》' => depth -= 1,
            _ => {}
        }
        let ends = match reach {
            Reach::Clause => ends_clause(text, at, c) || BUT.iter().any(|but| text[at..].starts_with(but)),
            _ => ends_sentence(text, at, c),
        };
        if ends {
            return at;
        }
    }
    text.len()
}
