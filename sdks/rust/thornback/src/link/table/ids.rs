//! Tables by id.

use std::hash::{BuildHasherDefault, Hasher};

use thornback_types::Id;

/// A hash map whose keys are ids.
pub(crate) type IdMap<V> = std::collections::HashMap<Id, V, BuildHasherDefault<IdHasher>>;

/// One folded multiplication for each half of an id, without the lowest bits of its counter, which choose the place in a neighbourhood: ids that follow
/// each other are used one after the other, and with a hundred thousand of them in flight each look-up elsewhere in the table is a wait for memory.
/// Nobody gains by collisions in a table of their own.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

/// How many ids that follow each other lie side by side.
const NEIGHBOURS: u128 = 64;

/// Where the counter ends in an id that is read as one big-endian number, see `Id::new`.
const COUNTER_SHIFT: u32 = 32;

impl IdHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        // What tells ids apart may be in the high half of a word, and the table looks at low bits: both halves of the product are needed.
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    /// Inlined, so that an id, whose length is known, is two multiplications and no loop.
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        if let Ok(id) = <[u8; 16]>::try_from(bytes) {
            let id = u128::from_be_bytes(id);
            let neighbour = (id >> COUNTER_SHIFT) & (NEIGHBOURS - 1);
            let rest = id ^ (neighbour << COUNTER_SHIFT);
            self.mix((rest >> 64) as u64);
            self.mix(rest as u64);
            // The low bits choose the place; by the upper seven the table tells entries apart before it compares their keys.
            let neighbour = neighbour as u64;
            self.0 = self.0.wrapping_add(neighbour) ^ (neighbour << 57);
            return;
        }
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    /// The length of the array, which is always the same.
    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    fn hash(id: Id) -> u64 {
        BuildHasherDefault::<IdHasher>::default().hash_one(id)
    }

    #[test]
    fn ids_that_follow_each_other_lie_side_by_side_and_can_be_told_apart() {
        let hashes: Vec<u64> = (64..128).map(|n| hash(Id::new(*b"\x01saltsal", n, 1))).collect();
        assert!(hashes.windows(2).all(|pair| (pair[0] << 7 >> 7) + 1 == pair[1] << 7 >> 7), "{hashes:x?}");
        let tags: std::collections::HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!(tags.len(), 64);
    }

    #[test]
    fn neighbourhoods_are_spread_over_the_table() {
        // The low bits choose the place: with as many places as neighbourhoods, chance fills about 63 % of them.
        let filled: std::collections::HashSet<u64> =
            (0..65_536).map(|n| hash(Id::new(*b"\x01saltsal", n << 6, 1)) & 0xffff).collect();
        assert!(filled.len() > 40_000, "{} of 65536 places are used", filled.len());
        assert_ne!(hash(Id::new([7; 8], 1, 1)), hash(Id::new([7; 8], 1, 2)), "results of one task");
    }
}
