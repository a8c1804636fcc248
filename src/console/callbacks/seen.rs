//! What providers said already: they repeat what was answered late, for hours. What is done is done once by the desk's own
//! memory; this one only keeps a card from being shown twice.

use std::collections::{BTreeSet, VecDeque};

use crate::core::ids::Id;

/// So many are remembered.
const MOST: usize = 4096;

/// The last of them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    order: VecDeque<Id>,
    known: BTreeSet<Id>,
}

impl Seen {
    /// Whether this is new; from now on it is not.
    pub(super) fn is_new(&mut self, id: Id) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_remembered_and_no_more() {
        let mut seen = Seen::default();
        let id = |n: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            Id::from_bytes(bytes)
        };
        assert!((0..MOST).all(|n| seen.is_new(id(n))));
        assert!(!seen.is_new(id(0)) && !seen.is_new(id(MOST - 1)));
        assert!(seen.is_new(id(MOST)) && seen.is_new(id(0)), "the oldest made room");
        assert!(seen.known.len() == MOST && seen.order.len() == MOST);
    }
}
