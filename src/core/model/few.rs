//! Maps and sets that hold a few entries: one sorted list, as large as what is in it. A tree makes room for eleven entries
//! at once, and most incidents have one or two of everything; a hundred thousand of them would carry more room than facts.
//!
//! They order, compare, print and are written as the trees of the standard library are.

use std::borrow::Borrow;
use std::fmt;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map of few entries, in the order of its keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Few<K, V>(Vec<(K, V)>);

impl<K: Ord, V> Few<K, V> {
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    /// Whether there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// The value of a key, which `make` makes if there is none.
    pub fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => {
                self.0.reserve_exact(1);
                self.0.insert(place, (key, make()));
                place
            }
        };
        &mut self.0[place].1
    }

    /// Puts a value under a key. Answers with the one that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                self.0.reserve_exact(1);
                self.0.insert(place, (key, value));
                None
            }
        }
    }
}

impl<K, V> Few<K, V> {
    /// Without an entry.
    pub const fn new() -> Few<K, V> {
        Few(Vec::new())
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Few<K, V> {
        Few::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Few<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Few<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Few<K, V> {
        let mut few = Few::new();
        for (key, value) in entries {
            few.insert(key, value);
        }
        few
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Few<K, V> {
    fn from(entries: [(K, V); N]) -> Few<K, V> {
        entries.into_iter().collect()
    }
}

impl<K: Serialize, V: Serialize> Serialize for Few<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Few<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Few<K, V>, D::Error> {
        let entries = std::collections::BTreeMap::<K, V>::deserialize(deserializer)?;
        Ok(Few(Vec::from_iter(entries)))
    }
}

/// A set of few values, in order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FewOf<T>(Vec<T>);

impl<T: Ord> FewOf<T> {
    /// Whether it is in.
    pub fn contains(&self, value: &T) -> bool {
        self.0.binary_search(value).is_ok()
    }

    /// Puts a value in. Answers whether it is new.
    pub fn insert(&mut self, value: T) -> bool {
        let Err(place) = self.0.binary_search(&value) else { return false };
        self.0.reserve_exact(1);
        self.0.insert(place, value);
        true
    }
}

impl<T: Ord> FewOf<T> {
    /// Takes a value out. Answers whether it was in.
    pub fn remove(&mut self, value: &T) -> bool {
        let Ok(place) = self.0.binary_search(value) else { return false };
        self.0.remove(place);
        true
    }
}

impl<T> FewOf<T> {
    /// Without a value.
    pub const fn new() -> FewOf<T> {
        FewOf(Vec::new())
    }

    /// The values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for FewOf<T> {
    fn default() -> FewOf<T> {
        FewOf::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for FewOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn it_is_as_the_trees_are() {
        let entries = [("shop", 3), ("carrier", 1), ("team", 4), ("carrier", 2)];
        let (few, tree): (Few<_, _>, BTreeMap<_, _>) = (entries.into(), entries.into());
        assert!(few.iter().eq(&tree) && few.keys().eq(tree.keys()) && few.values().eq(tree.values()));
        assert_eq!((few.get("carrier"), few.get("x"), few.len()), (Some(&2), None, 3));
        assert!(few.contains_key("team") && !few.is_empty());
        let text = serde_json::to_string(&few).unwrap();
        assert_eq!(text, serde_json::to_string(&tree).unwrap());
        assert_eq!(
            serde_json::from_str::<Few<String, u8>>(r#"{"b":1,"a":2}"#).unwrap().keys().next().unwrap(),
            "a"
        );
        assert_eq!(format!("{few:?}"), format!("{tree:?}"));
        let mut few = few;
        *few.or_insert_with("team", || 9) += 1;
        *few.or_insert_with("late", || 9) += 1;
        assert_eq!((few.get("team"), few.get("late")), (Some(&5), Some(&10)));
        few.clear();
        assert_eq!(few, Few::default());
    }

    #[test]
    fn a_set_is_as_the_tree_is() {
        let (mut few, mut tree) = (FewOf::new(), BTreeSet::new());
        for n in [3, 1, 2, 3, 1] {
            assert_eq!(few.insert(n), tree.insert(n), "{n}");
        }
        assert!(few.iter().eq(&tree) && few.contains(&2) && !few.contains(&4) && !few.is_empty());
        assert_eq!(serde_json::to_string(&few).unwrap(), serde_json::to_string(&tree).unwrap());
        assert_eq!(format!("{few:?}"), format!("{tree:?}"));
        assert!(few.remove(&2) && !few.remove(&2) && tree.remove(&2) && few.iter().eq(&tree));
        assert!(FewOf::<u8>::default().is_empty());
    }
}
