//! A lexicon made ready: every text of every phrase in one automaton (Aho–Corasick), and what each of them is a part of.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::core::parcel::lexicon::config::{Flag, LexiconConfig, Mutes, Reach};
use crate::core::parcel::lexicon::normal::normalise;
use crate::core::parcel::lexicon::phrase::{Join, Segment, parse};
use crate::core::parcel::{Exception, Milestone};
use crate::core::problem::Problems;

/// All phrases together stand for at most so many texts.
const MOST_TEXTS: usize = 200_000;

/// What the phrases of a block mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Means {
    Harmless { to: Reach, mutes: Mutes },
    Resolved,
    Exception { is: Exception, weak: bool },
    Milestone { is: Milestone, weak: bool },
    Flag { is: Flag, at: Vec<Milestone> },
}

/// An entry of the tables.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub id: String,
    pub means: Means,
}

/// A phrase of a block.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// Its block, by its place.
    pub block: usize,
    /// How each of its segments follows the one before it.
    pub joins: Vec<Join>,
    /// Whether its gaps lie between Latin words, which are longer.
    pub latin: bool,
}

/// A pair.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub id: String,
    pub is: Exception,
}

/// What a text is a part of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    /// A segment of a phrase.
    Segment { pattern: usize, segment: usize },
    /// A word of a pair: of its first list or its second.
    Word { pair: usize, side: usize },
}

/// The tables.
#[derive(Debug)]
pub(super) struct Table {
    pub characters: BTreeMap<char, char>,
    pub automaton: AhoCorasick,
    /// By the number of the text in the automaton.
    pub texts: Vec<Text>,
    /// In the order of the tables.
    pub blocks: Vec<Block>,
    pub patterns: Vec<Pattern>,
    pub pairs: Vec<Pair>,
    /// The longest text, in bytes.
    pub longest: usize,
}

/// A text of the automaton.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// It begins or ends with a Latin letter, and must not begin or end inside a word.
    pub word: (bool, bool),
    /// As a part of what is harmless.
    pub harmless: Vec<Use>,
    /// As a part of everything else.
    pub uses: Vec<Use>,
}

/// Collects while the tables are read.
struct Maker<'a> {
    config: &'a LexiconConfig,
    characters: BTreeMap<char, char>,
    numbers: BTreeMap<String, usize>,
    texts: Vec<Text>,
    blocks: Vec<Block>,
    patterns: Vec<Pattern>,
    pairs: Vec<Pair>,
}

/// Makes the tables ready; every problem is noted with its key, and `None` when there was one.
pub(super) fn compile(config: &LexiconConfig, problems: &mut Problems) -> Option<Table> {
    let before = problems.error_count();
    let characters = problems.within("characters", |problems| {
        let (from, to) = (&config.characters.traditional, &config.characters.simplified);
        let (long, short) = (from.chars().count(), to.chars().count());
        if long != short {
            problems.error(format!(
                "has {long} characters in traditional and {short} in simplified, expected as many"
            ));
        }
        from.chars().zip(to.chars()).filter(|(a, b)| a != b).collect::<BTreeMap<char, char>>()
    });
    let mut maker = Maker {
        config,
        characters,
        numbers: BTreeMap::new(),
        texts: Vec::new(),
        blocks: Vec::new(),
        patterns: Vec::new(),
        pairs: Vec::new(),
    };
    maker.read(problems);
    if problems.error_count() > before {
        return None;
    }
    let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(maker.sorted());
    let automaton = match automaton {
        Ok(automaton) => automaton,
        Err(error) => {
            problems.error(format!("cannot be made ready: {error}"));
            return None;
        }
    };
    let longest = maker.numbers.keys().map(String::len).max().unwrap_or(0);
    let Maker { characters, texts, blocks, patterns, pairs, .. } = maker;
    Some(Table { characters, automaton, texts, blocks, patterns, pairs, longest })
}

impl Maker<'_> {
    fn read(&mut self, problems: &mut Problems) {
        let config = self.config;
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut list =
            |problems: &mut Problems, table: &str, i: usize, id: &str, means: Means, phrases: &[String]| {
                problems.within(table, |problems| {
                    problems.within(i, |problems| self.block(problems, &mut known, id, means, phrases));
                });
            };
        for (i, it) in config.harmless.iter().enumerate() {
            let means = Means::Harmless { to: it.to, mutes: it.mutes };
            list(problems, "harmless", i, &it.id, means, &it.phrases);
        }
        for (i, it) in config.resolved.iter().enumerate() {
            list(problems, "resolved", i, &it.id, Means::Resolved, &it.phrases);
        }
        for (i, it) in config.exception.iter().enumerate() {
            let means = Means::Exception { is: it.is, weak: it.weak };
            list(problems, "exception", i, &it.id, means, &it.phrases);
        }
        for (i, it) in config.milestone.iter().enumerate() {
            let means = Means::Milestone { is: it.is, weak: it.weak };
            list(problems, "milestone", i, &it.id, means, &it.phrases);
        }
        for (i, it) in config.flag.iter().enumerate() {
            list(problems, "flag", i, &it.id, Means::Flag { is: it.is, at: it.at.clone() }, &it.phrases);
        }
        problems.within("pair", |problems| {
            for (i, it) in config.pair.iter().enumerate() {
                problems.within(i, |problems| self.pair(problems, it));
            }
        });
        if self.texts.len() > MOST_TEXTS {
            problems.error(format!("stands for more than {MOST_TEXTS} texts, expected fewer choices"));
        }
    }

    fn block(
        &mut self,
        problems: &mut Problems,
        known: &mut BTreeMap<String, usize>,
        id: &str,
        means: Means,
        phrases: &[String],
    ) {
        if id.is_empty() {
            problems.within("id", |p| p.error("is empty, expected a name for evidence such as `X90`"));
        }
        let block = match known.get(id) {
            Some(&block) if self.blocks[block].means == means => block,
            Some(_) => {
                problems.within("id", |p| {
                    p.error(format!("`{id}` was given before and means something else there"));
                });
                return;
            }
            None => {
                self.blocks.push(Block { id: id.to_owned(), means });
                known.insert(id.to_owned(), self.blocks.len() - 1);
                self.blocks.len() - 1
            }
        };
        problems.within("phrases", |problems| {
            for (i, phrase) in phrases.iter().enumerate() {
                problems.within(i, |problems| {
                    let normal = |text: &str| normalise(text, &self.characters);
                    match parse(phrase, &self.config.words, &normal) {
                        Ok(segments) => self.pattern(block, segments),
                        Err(why) => problems.error(why),
                    }
                });
            }
        });
    }

    fn pattern(&mut self, block: usize, segments: Vec<Segment>) {
        let harmless = matches!(self.blocks[block].means, Means::Harmless { .. });
        let pattern = self.patterns.len();
        let latin = segments.iter().flat_map(|s| &s.texts).all(|text| text.is_ascii());
        let joins = segments.iter().map(|s| s.join).collect();
        self.patterns.push(Pattern { block, joins, latin });
        for (segment, parts) in segments.into_iter().enumerate() {
            for text in parts.texts {
                let text = self.text(text);
                let uses = if harmless { &mut text.harmless } else { &mut text.uses };
                uses.push(Use::Segment { pattern, segment });
            }
        }
    }

    fn pair(&mut self, problems: &mut Problems, config: &crate::core::parcel::lexicon::config::PairConfig) {
        let pair = match self.pairs.iter().position(|p| p.id == config.id) {
            Some(pair) if self.pairs[pair].is == config.is => pair,
            Some(_) => {
                problems.within("id", |p| {
                    p.error(format!("`{}` was given before and means something else there", config.id));
                });
                return;
            }
            None => {
                self.pairs.push(Pair { id: config.id.clone(), is: config.is });
                self.pairs.len() - 1
            }
        };
        for (side, key, words) in [(0, "one", &config.one), (1, "other", &config.other)] {
            problems.within(key, |problems| {
                for (i, word) in words.iter().enumerate() {
                    problems.within(i, |problems| {
                        let normal = |text: &str| normalise(text, &self.characters);
                        match parse(word, &self.config.words, &normal).as_deref() {
                            Ok([word]) => {
                                for text in &word.texts {
                                    self.text(text.clone()).uses.push(Use::Word { pair, side });
                                }
                            }
                            Ok(_) => problems.error("has a gap (…), expected one word"),
                            Err(why) => problems.error(why.clone()),
                        }
                    });
                }
            });
        }
    }

    fn text(&mut self, text: String) -> &mut Text {
        let next = self.texts.len();
        let word = (
            text.starts_with(|c: char| c.is_ascii_alphabetic()),
            text.ends_with(|c: char| c.is_ascii_alphabetic()),
        );
        let number = *self.numbers.entry(text).or_insert(next);
        if number == next {
            self.texts.push(Text { word, ..Text::default() });
        }
        &mut self.texts[number]
    }

    /// The texts by their numbers.
    fn sorted(&self) -> Vec<&str> {
        let mut texts = vec![""; self.texts.len()];
        for (text, number) in &self.numbers {
            texts[*number] = text;
        }
        texts
    }
}
