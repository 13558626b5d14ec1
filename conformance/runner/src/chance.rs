//! Numbers that look random and are the same for the same seed, so that what a run did can be done again. It draws from no clock and no system.

/// A source of numbers.
pub struct Chance(u64);

impl Chance {
    /// The seed of a run, and what tells its parts apart: the instance, who calls whom.
    pub fn new(seed: u64, parts: &[&str]) -> Self {
        // FNV-1a; a byte that is in no text keeps the parts apart.
        let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
        for byte in parts.iter().flat_map(|part| part.bytes().chain([0xff])) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(hash)
    }

    /// SplitMix64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `n`; 0 if that is 0.
    pub fn below(&mut self, n: usize) -> usize {
        // What is left of a division by `n` is less than `n`.
        usize::try_from(self.next() % (n as u64).max(1)).expect("it is below n")
    }

    /// Once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_parts_give_the_same_numbers_and_others_give_others() {
        let draw = |seed, parts: &[&str]| {
            let mut chance = Chance::new(seed, parts);
            [chance.next(), chance.next(), chance.next()]
        };
        assert_eq!(draw(1, &["a", "b"]), draw(1, &["a", "b"]));
        assert_ne!(draw(1, &["a", "b"]), draw(2, &["a", "b"]));
        assert_ne!(draw(1, &["a", "b"]), draw(1, &["ab"]));
        let mut chance = Chance::new(7, &[]);
        let drawn: Vec<usize> = (0..200).map(|_| chance.below(3)).collect();
        assert!((0..3).all(|n| drawn.contains(&n)) && drawn.iter().all(|n| *n < 3));
        assert_eq!(chance.below(0), 0);
    }
}
