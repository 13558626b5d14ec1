//! Tables by id.

use std::hash::{BuildHasherDefault, Hasher};

use thornback_types::Id;

/// A hash map whose keys are ids.
pub(crate) type IdMap<V> = std::collections::HashMap<Id, V, BuildHasherDefault<IdHasher>>;

/// One folded multiplication for each half of an id. Nobody gains by collisions in a table of their own.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            // The counter is in the high half of its word, and the table looks at low bits: both halves of the product are needed.
            let product = u128::from(self.0 ^ u64::from_le_bytes(word)) * 0x9e37_79b9_7f4a_7c15;
            self.0 = (product as u64) ^ ((product >> 64) as u64);
        }
    }

    /// The length of the array, which is always the same.
    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn ids_that_follow_each_other_fall_into_different_buckets() {
        let hasher = BuildHasherDefault::<IdHasher>::default();
        // The low bits choose the bucket: with as many buckets as ids, chance fills about 63 % of them.
        let filled: std::collections::HashSet<u64> =
            (0..65_536).map(|n| hasher.hash_one(Id::new(*b"\x01saltsal", n, 1)) & 0xffff).collect();
        assert!(filled.len() > 40_000, "{} of 65536 buckets are used", filled.len());
    }
}
