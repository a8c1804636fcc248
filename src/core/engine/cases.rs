//! The cases in memory, by number and by name.
//!
//! They lie in blocks, not one by one on the heap: of a million cases any may be next, and each pointer on the way to one
//! is another wait for memory.

use hashbrown::HashTable;

use crate::core::engine::case::Resting;
use crate::core::model::{Sym, hash64};

/// Cases in one block.
const BLOCK: usize = 1 << SHIFT;
const SHIFT: usize = 9;

/// The cases.
#[derive(Debug, Default)]
pub(super) struct Cases {
    blocks: Vec<Vec<Option<Resting>>>,
    /// Numbers whose case left.
    free: Vec<u32>,
    /// By name: a digest of it, and the number.
    index: HashTable<(u32, u32)>,
    /// Found last: what is told of one case comes in runs.
    last: u32,
}

impl Cases {
    /// Without cases, and room to find so many by name.
    pub(super) fn with_capacity(cases: usize) -> Cases {
        Cases { index: HashTable::with_capacity(cases), ..Cases::default() }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.numbers() as usize - self.free.len()
    }

    /// Every number is below this.
    pub(super) fn numbers(&self) -> u32 {
        let last = self.blocks.last().map_or(0, Vec::len);
        ((self.blocks.len().saturating_sub(1) << SHIFT) + last) as u32
    }

    /// The case of a number.
    pub(super) fn get(&self, number: u32) -> Option<&Resting> {
        let number = number as usize;
        self.blocks.get(number >> SHIFT)?.get(number & (BLOCK - 1))?.as_ref()
    }

    /// The case of a number.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Resting> {
        let number = number as usize;
        self.blocks.get_mut(number >> SHIFT)?.get_mut(number & (BLOCK - 1))?.as_mut()
    }

    /// All of them, in no meaningful order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Resting> {
        self.blocks.iter().flatten().flatten()
    }

    /// The number of a case, which is likely to be asked for again.
    pub(super) fn find_anew(&mut self, source: Sym, kind: Sym, id: &str) -> Option<u32> {
        if self.get(self.last).is_some_and(|c| c.is(source, kind, id)) {
            return Some(self.last);
        }
        let number = self.find(source, kind, id)?;
        self.last = number;
        Some(number)
    }

    /// The number of a case.
    pub(super) fn find(&self, source: Sym, kind: Sym, id: &str) -> Option<u32> {
        let digest = digest(source, kind, id);
        let same = |(d, n): &(u32, u32)| *d == digest && self.get(*n).is_some_and(|c| c.is(source, kind, id));
        self.index.find(spread(digest), same).map(|(_, n)| *n)
    }

    /// Takes in a case; none of that name is there.
    pub(super) fn insert(&mut self, case: Resting) -> u32 {
        let digest = digest(case.source, case.kind, case.id());
        let number = match self.free.pop() {
            Some(number) => {
                let place = number as usize;
                self.blocks[place >> SHIFT][place & (BLOCK - 1)] = Some(case);
                number
            }
            None => {
                let number = self.numbers();
                if number as usize & (BLOCK - 1) == 0 {
                    self.blocks.push(Vec::with_capacity(BLOCK));
                }
                self.blocks[number as usize >> SHIFT].push(Some(case));
                number
            }
        };
        self.index.insert_unique(spread(digest), (digest, number), |(d, _)| spread(*d));
        self.last = number;
        number
    }

    /// Takes a case out.
    pub(super) fn remove(&mut self, number: u32) -> Option<Resting> {
        let place = number as usize;
        let case = self.blocks.get_mut(place >> SHIFT)?.get_mut(place & (BLOCK - 1))?.take()?;
        let digest = digest(case.source, case.kind, case.id());
        if let Ok(entry) = self.index.find_entry(spread(digest), |(_, n)| *n == number) {
            entry.remove();
        }
        self.free.push(number);
        Some(case)
    }
}

fn digest(source: Sym, kind: Sym, id: &str) -> u32 {
    let names = ((source.index() as u64) << 32) | kind.index() as u64;
    let wide = hash64(id.as_bytes()) ^ names.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (wide ^ (wide >> 32)) as u32
}

/// The table takes its place from the low bits and its tag from the high ones.
fn spread(digest: u32) -> u64 {
    u64::from(digest).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::engine::case::Case;
    use crate::core::model::Symbols;

    #[test]
    fn cases_come_and_leave_across_blocks() {
        let mut symbols = Symbols::new();
        let names = symbols.intern("shop").zip(symbols.intern("order"));
        let Some((source, kind)) = names else { panic!("two names fit") };
        let mut case = |id: &str| Case::new(source, kind, id).rest(&mut Vec::new(), &mut symbols);
        let (mut cases, mut known) = (Cases::default(), BTreeMap::new());
        for turn in 0..4 {
            for n in 0..BLOCK + 7 {
                let id = format!("{turn}-{n}");
                let number = cases.insert(case(&id));
                assert!(known.insert(id, number).is_none());
            }
            assert_eq!(cases.count(), known.len());
            let leaving: Vec<String> = known.keys().step_by(3).cloned().collect();
            for id in leaving {
                let number = known.remove(&id);
                assert_eq!(cases.find(source, kind, &id), number);
                assert_eq!(cases.find_anew(source, kind, &id), number);
                let left = number.and_then(|number| cases.remove(number));
                assert!(left.is_some_and(|case| case.id() == id));
                assert_eq!(cases.find(source, kind, &id), None);
                assert_eq!(cases.find_anew(source, kind, &id), None);
            }
        }
        for (id, number) in &known {
            assert_eq!(cases.find(source, kind, id), Some(*number));
            assert!(cases.get(*number).is_some_and(|case| case.id() == id));
        }
        assert_eq!(cases.iter().count(), known.len());
        // Numbers that became free were given again: no more blocks than the most cases need.
        assert!(cases.numbers() as usize <= 3 * (BLOCK + 7) + BLOCK);
        assert!(cases.find(kind, source, "0-1").is_none());
    }
}
