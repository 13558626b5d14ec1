//! A hash map that cannot be iterated in hash order, so that the same inputs give the same outputs on every machine.

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

/// Low bits of an id's counter that choose the place within its neighbourhood, and nothing else.
const NEIGHBOURS: u128 = 0x3f;

/// Where the counter ends in an id that is read as one big-endian number, see `Id::new`.
const COUNTER_SHIFT: u32 = 32;

impl Mixer {
    /// Ids whose counters follow each other are used one after the other, so they lie side by side: with a hundred thousand tasks in flight a
    /// table is far larger than the processor's caches, and each look-up elsewhere in it is a wait for memory. (Two to three times as many
    /// lifecycles a second, of 200,000 in flight.) Where a neighbourhood lies depends on the key, as for anything else.
    #[inline]
    fn write_id(&mut self, id: u128) {
        let neighbour = (id >> COUNTER_SHIFT & NEIGHBOURS) as u64;
        let neighbourhood = id & !(NEIGHBOURS << COUNTER_SHIFT);
        self.mix((neighbourhood >> 64) as u64);
        self.mix(neighbourhood as u64);
        // The lower bits are the place. By the upper seven the table tells entries apart before it compares their keys.
        self.0 = self.0.wrapping_add(neighbour) ^ (neighbour << 57);
    }

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

    /// Inlined, so that an id, whose length is known, is two multiplications and no loop.
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        if let Ok(id) = <[u8; 16]>::try_from(bytes) {
            return self.write_id(u128::from_be_bytes(id));
        }
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

/// What fits a table of 4,096 places. No table shrinks below that. (With 8,192 the server took 2 MB more for tasks in batches of a thousand, and ran no more
/// of them.)
const ROOM: usize = 3584;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Map<K, V>(HashMap<K, V, Seed>);

impl<K: Hash + Eq + Copy + Ord, V> Map<K, V> {
    pub(crate) fn new(seed: Seed) -> Self {
        Map(HashMap::with_hasher(seed))
    }

    /// With room for the few thousand entries of ordinary work. Room takes memory only once it is used, and a table that comes and goes with them
    /// would double in size whenever two bursts happen to meet.
    pub(crate) fn with_room(seed: Seed) -> Self {
        Map(HashMap::with_capacity_and_hasher(ROOM, seed))
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

    /// Gives memory back once most of it is unused: a burst of a million tasks must not be kept for ever.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let value = self.0.remove(key);
        if self.0.capacity() > ROOM && self.0.len() * 8 < self.0.capacity() {
            self.0.shrink_to(ROOM.max(self.0.len() * 2));
        }
        value
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.0.entry(key).or_insert_with(make)
    }

    /// Keys whose entries pass, in key order.
    #[expect(clippy::disallowed_methods, reason = "sorted before anyone sees it")]
    pub(crate) fn sorted_keys(&self, mut pass: impl FnMut(&K, &V) -> bool) -> Vec<K> {
        let mut keys: Vec<K> =
            self.0.iter().filter(|(key, value)| pass(key, value)).map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// Folds all values with an operation for which order makes no difference (a sum, a count).
    #[expect(clippy::disallowed_methods, reason = "the operation commutes")]
    pub(crate) fn sum(&self, mut of: impl FnMut(&V) -> u64) -> u64 {
        self.0.values().map(&mut of).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use thornback_types::Id;

    use super::*;

    fn hash(seed: u64, counter: u32, index: u32) -> u64 {
        Seed(seed).hash_one(Id::new(*b"neighbor", counter, index))
    }

    #[test]
    fn ids_that_follow_each_other_lie_side_by_side_and_can_be_told_apart() {
        let places: Vec<u64> = (0..64).map(|counter| hash(7, counter, 1) << 7 >> 7).collect();
        assert!(places.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{places:?}");
        let tags: BTreeSet<u64> = (0..64).map(|counter| hash(7, counter, 1) >> 57).collect();
        assert_eq!(tags.len(), 64);
    }

    #[test]
    fn where_neighbourhoods_lie_depends_on_the_key_alone() {
        let place = |seed, neighbourhood: u32| hash(seed, neighbourhood * 64, 1) & 0xffff;
        let places: BTreeSet<u64> = (0..1000).map(|neighbourhood| place(7, neighbourhood)).collect();
        assert!(places.len() > 950, "spread over 65,536 places: {}", places.len());
        assert!((0..1000).filter(|&n| place(7, n) == place(8, n)).count() < 5);
        assert_ne!(hash(7, 1, 1), hash(7, 1, 2), "results of one task");
    }
}
