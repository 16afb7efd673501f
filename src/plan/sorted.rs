//! Maps and sets as sorted lists, because each type of map or set in the standard library adds 3 to 6 KB to the program.
//!
//! A key is found in O(log n). A key that is greater than all others is added at once; any other moves those that are greater. The keys
//! here are mostly pids, which come in their order.

/// A value for each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<K, V>(Vec<(K, V)>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + Ord, V> Map<K, V> {
    fn place(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |&(known, _)| known)
    }

    /// The value of this key.
    #[must_use]
    pub fn get(&self, key: K) -> Option<&V> {
        self.place(key).ok().and_then(|at| self.0.get(at)).map(|(_, value)| value)
    }

    /// The value of this key, to be changed.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Sets the value of this key.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(key) {
            Ok(at) => _ = self.0.get_mut(at).map(|(_, known)| *known = value),
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// The value of this key, which is added if it is missing.
    #[expect(clippy::indexing_slicing, reason = "it was found there, or put there")]
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let at = self.place(key).unwrap_or_else(|at| {
            self.0.insert(at, (key, V::default()));
            at
        });
        &mut self.0[at].1
    }

    /// Keeps those of which this is true.
    pub fn retain(&mut self, mut keeps: impl FnMut(K) -> bool) {
        self.0.retain(|&(key, _)| keeps(key));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }
}

impl<K: Copy + Ord, V> Extend<(K, V)> for Map<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, all: I) {
        all.into_iter().for_each(|(key, value)| self.insert(key, value));
    }
}

impl<K: Copy + Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(all: I) -> Self {
        let mut map = Self::default();
        map.extend(all);
        map
    }
}

/// Each key once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<K>(Vec<K>);

impl<K> Default for Set<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + Ord> Set<K> {
    /// Adds a key; false if it was there already.
    pub fn insert(&mut self, key: K) -> bool {
        let place = self.0.binary_search(&key);
        if let Err(at) = place {
            self.0.insert(at, key);
        }
        place.is_err()
    }

    /// Whether it has this key.
    #[must_use]
    pub fn contains(&self, key: K) -> bool {
        self.0.binary_search(&key).is_ok()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = K> {
        self.0.iter().copied()
    }
}

impl<K: Copy + Ord> FromIterator<K> for Set<K> {
    fn from_iter<I: IntoIterator<Item = K>>(all: I) -> Self {
        let mut set = Self::default();
        all.into_iter().for_each(|key| _ = set.insert(key));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_has_the_last_value_of_each_key_in_order() {
        let mut map = Map::from_iter([(7, 'a'), (3, 'b'), (5, 'c'), (3, 'd')]);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(3, &'d'), (5, &'c'), (7, &'a')]);
        assert_eq!((map.get(5), map.get(6), map.len()), (Some(&'c'), None, 3));
        *map.or_default(6) = 'e';
        assert_eq!((map.get(6), map.get(7)), (Some(&'e'), Some(&'a')));
        assert_eq!(map.or_default(7), &mut 'a');
        map.retain(|key| key < 6);
        assert_eq!(map, Map::from_iter([(3, 'd'), (5, 'c')]));
    }

    #[test]
    fn a_set_has_each_key_once_in_order() {
        let mut set = Set::from_iter([7, 3, 5, 3]);
        assert!(!set.insert(5) && set.insert(4));
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 4, 5, 7]);
        assert!(set.contains(7) && !set.contains(8));
    }
}
