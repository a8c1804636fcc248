//! Where incidents, notices and messages stand in memory, by their ids.
//!
//! A tree keeps its values side by side and a third of the room for those that may come. Of large values each is
//! therefore kept by itself, and the tree holds where.

use std::collections::BTreeMap;

use crate::core::ids::Id;

/// Records by id, in the order of ids.
#[derive(Debug)]
pub(super) struct Shelf<V>(BTreeMap<Id, Box<V>>);

impl<V> Default for Shelf<V> {
    fn default() -> Shelf<V> {
        Shelf(BTreeMap::new())
    }
}

impl<V> Shelf<V> {
    /// The record of an id.
    pub(super) fn get(&self, id: &Id) -> Option<&V> {
        self.0.get(id).map(|value| &**value)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, id: &Id) -> Option<&mut V> {
        self.0.get_mut(id).map(|value| &mut **value)
    }

    /// Whether there is one.
    pub(super) fn contains_key(&self, id: &Id) -> bool {
        self.0.contains_key(id)
    }

    /// Puts a record under its id, in the place of one that was there.
    pub(super) fn insert(&mut self, id: Id, value: V) {
        self.0.insert(id, Box::new(value));
    }

    /// Takes a record out.
    pub(super) fn remove(&mut self, id: &Id) -> Option<V> {
        self.0.remove(id).map(|value| *value)
    }

    /// The ids, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Id> {
        self.0.keys()
    }

    /// The records, in the order of ids.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values().map(|value| &**value)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
impl<V> Shelf<V> {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
impl<V> std::ops::Index<&Id> for Shelf<V> {
    type Output = V;

    fn index(&self, id: &Id) -> &V {
        &self.0[id]
    }
}
