//! A hash map that cannot be iterated, so that the same inputs give the same outputs on every machine.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

/// Hashes with a key: ids are made by senders, who must not be able to choose collisions. Two nodes with the same seed behave alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(pub(crate) u64);

impl BuildHasher for Seed {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0 ^ 0x9e37_79b9_7f4a_7c15)
    }
}

/// Folded multiplication, as in foldhash: one widening multiply for each 8 bytes.
#[derive(Debug)]
pub(crate) struct Mixer(u64);

impl Mixer {
    #[inline]
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x5851_f42d_4c95_7f2d;
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ self.0.rotate_left(29);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    /// Only lengths of fixed-size arrays come this way, and they tell nothing apart.
    fn write_usize(&mut self, _: usize) {}
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Map<K, V>(HashMap<K, V, Seed>);

impl<K: Hash + Eq, V> Map<K, V> {
    pub(crate) fn new(seed: Seed) -> Self {
        Map(HashMap::with_hasher(seed))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn where_a_page_of_ids_lies_depends_on_the_key_alone() {
        let hash = |seed, page: u64| Seed(seed).hash_one((1_u64 << 63, page << 38));
        let places: BTreeSet<u64> = (0..1000).map(|page| hash(7, page) & 0xffff).collect();
        assert!(places.len() > 950, "spread over 65,536 places: {}", places.len());
        let tags: BTreeSet<u64> = (0..1000).map(|page| hash(7, page) >> 57).collect();
        assert_eq!(tags.len(), 128, "the table tells entries apart by these");
        assert!((0..1000).filter(|&page| hash(7, page) & 0xffff == hash(8, page) & 0xffff).count() < 5);
    }
}
