//! The texts of a case, one after the other: its id, which is number 0, references, text values.

use super::{Entry, Tag};

/// The word of a text that is known to be in no table of words.
pub(super) const OWN: u32 = u32::MAX;

/// The texts.
#[derive(Debug, Default)]
pub(super) struct Texts {
    block: String,
    spans: Vec<TextSpan>,
}

#[derive(Clone, Copy, Debug)]
struct TextSpan {
    start: u32,
    length: u32,
    /// One more than its number in the table of words; 0 where nobody looked for it yet, or [`OWN`].
    word: u32,
}

impl Clone for Texts {
    fn clone(&self) -> Texts {
        Texts { block: self.block.clone(), spans: self.spans.clone() }
    }

    fn clone_from(&mut self, other: &Texts) {
        self.block.clone_from(&other.block);
        self.spans.clone_from(&other.spans);
    }
}

impl Texts {
    /// Those of a case of which nothing is known.
    pub(super) fn of(id: &str) -> Texts {
        let mut texts = Texts::default();
        texts.push(id);
        texts
    }

    /// The text of a number.
    pub(super) fn get(&self, number: u32) -> &str {
        let span = self.spans[number as usize];
        &self.block[span.start as usize..][..span.length as usize]
    }

    /// What is known of it in the table of words.
    pub(super) fn word(&self, number: u32) -> u32 {
        self.spans[number as usize].word
    }

    /// How many there are, the id included.
    pub(super) fn count(&self) -> u32 {
        self.spans.len() as u32
    }

    /// Adds a text and answers its number, which is never 0 but for the first.
    pub(super) fn push(&mut self, text: &str) -> u32 {
        self.push_known(text, 0)
    }

    /// The same, with what is known of it in the table of words.
    pub(super) fn push_known(&mut self, text: &str, word: u32) -> u32 {
        let number = self.count();
        self.spans.push(TextSpan { start: self.block.len() as u32, length: text.len() as u32, word });
        self.block.push_str(text);
        number
    }

    /// Drops all but the first so many.
    pub(super) fn truncate(&mut self, count: u32) {
        if let Some(first) = self.spans.get(count as usize) {
            self.block.truncate(first.start as usize);
            self.spans.truncate(count as usize);
        }
    }

    /// Those that the entries point to, and no others.
    pub(super) fn packed(&self, entries: &mut [Entry]) -> Texts {
        let mut texts = Texts::default();
        texts.push_known(self.get(0), self.word(0));
        // Texts that are shared stay so.
        let mut moved = vec![0; self.spans.len()];
        let mut again = |number: u32| {
            let known = &mut moved[number as usize];
            if *known == 0 {
                *known = texts.push_known(self.get(number), self.word(number));
            }
            *known
        };
        for entry in entries {
            if entry.reference != 0 {
                entry.reference = again(entry.reference);
            }
            if entry.tag == Tag::Text {
                entry.value = u64::from(again(entry.value as u32));
            }
        }
        texts
    }
}
