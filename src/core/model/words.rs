//! Texts that many cases say: carriers, cities, nodes, lanes, statuses. A case at rest keeps their numbers.
//!
//! The table is bounded, as a whole and by attribute, so that numbers of orders and waybills, of which no two cases say
//! the same, take a small part of it and no more. No order of numbers ever reaches an output.

use hashbrown::HashTable;

use super::symbols::{Sym, combine, hash64};

/// The table of texts.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// The texts, one after the other.
    block: String,
    words: Vec<Word>,
    index: HashTable<u32>,
    /// How many there are of each attribute, by the number of its name.
    counts: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Word {
    start: u32,
    length: u16,
    /// The attribute.
    name: Sym,
}

impl Words {
    /// The longest text, in bytes.
    const LONGEST: usize = 64;
    /// The most texts of one attribute.
    const MOST_OF_ONE: u32 = 4_096;
    /// The most texts.
    const MOST: usize = 1 << 16;

    /// The number of what an attribute says, given now if it is new and there is room.
    pub(super) fn number(&mut self, name: Sym, text: &str) -> Option<u32> {
        if text.len() > Words::LONGEST {
            return None;
        }
        let Words { block, words, index, counts } = self;
        let of = |word: Word| &block[word.start as usize..][..usize::from(word.length)];
        let digest = |name: Sym, text: &str| combine(hash64(text.as_bytes()), name.index() as u64);
        let wanted = digest(name, text);
        let is_it = |n: &u32| {
            let word = words[*n as usize];
            word.name == name && of(word) == text
        };
        if let Some(known) = index.find(wanted, is_it) {
            return Some(*known);
        }
        if counts.len() <= name.index() {
            counts.resize(name.index() + 1, 0);
        }
        let count = &mut counts[name.index()];
        if words.len() >= Words::MOST || *count >= Words::MOST_OF_ONE {
            return None;
        }
        *count += 1;
        let (number, start) = (words.len() as u32, block.len() as u32);
        block.push_str(text);
        words.push(Word { start, length: text.len() as u16, name });
        let again = |n: &u32| {
            let word = words[*n as usize];
            digest(word.name, &block[word.start as usize..][..usize::from(word.length)])
        };
        index.insert_unique(wanted, number, again);
        Some(number)
    }

    /// The text of a number of this table.
    pub(super) fn text(&self, number: u32) -> &str {
        let word = self.words[number as usize];
        &self.block[word.start as usize..][..usize::from(word.length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::Symbols;

    #[test]
    fn texts_keep_their_numbers_and_the_table_its_bounds() {
        let mut symbols = Symbols::new();
        let names = ["carrier", "node"].map(|name| symbols.intern(name).unwrap());
        let mut words = Words::default();
        let zto = words.number(names[0], "zto").unwrap();
        assert_eq!(words.number(names[0], "zto"), Some(zto));
        assert_ne!(words.number(names[1], "zto"), Some(zto), "another attribute's");
        assert_eq!(words.text(zto), "zto");
        assert_eq!(words.number(names[0], &"x".repeat(65)), None);
        let of_one = (0..2 * Words::MOST_OF_ONE).filter_map(|n| words.number(names[0], &n.to_string()));
        assert_eq!(of_one.count() as u32, Words::MOST_OF_ONE - 1);
        assert_eq!(words.number(names[0], "zto"), Some(zto), "what is known stays");
        for n in 0..20 {
            let name = symbols.intern(&format!("n{n}")).unwrap();
            let more = (0..Words::MOST_OF_ONE).filter_map(|n| words.number(name, &n.to_string()));
            assert!(more.count() <= Words::MOST_OF_ONE as usize);
        }
        assert_eq!(words.words.len(), Words::MOST);
    }
}
