//! Where the entries of a name are: rules ask for values by name, and mostly for such that a case never had.

use super::{Entry, Tag};
use crate::core::model::Sym;

/// The places of what sources told and that is not removed.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// By the number of a name: one more than the place of its last entry.
    last: Vec<u32>,
    /// By place: the same of the entry of that name before it.
    before: Vec<u32>,
}

impl Index {
    /// The entries are others.
    pub(super) fn renew(&mut self, entries: &[Entry]) {
        let Index { last, before } = self;
        last.clear();
        before.clear();
        for (entry, place) in entries.iter().zip(1..) {
            if entry.removed || entry.tag > Tag::Mark {
                before.push(0);
                continue;
            }
            let name = entry.name.index();
            if last.len() <= name {
                last.resize(name + 1, 0);
            }
            before.push(std::mem::replace(&mut last[name], place));
        }
    }

    /// The places of the entries of a name, the last first.
    pub(super) fn backwards(&self, name: Sym) -> impl Iterator<Item = usize> + '_ {
        let place = |number: u32| (number != 0).then(|| number as usize - 1);
        let last = self.last.get(name.index()).copied().and_then(place);
        std::iter::successors(last, move |at| place(self.before[*at]))
    }
}
