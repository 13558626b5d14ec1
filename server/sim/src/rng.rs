//! A small seeded generator (splitmix64), so that a run is its seed. Not for secrets.

/// Draws numbers; the same seed draws the same.
#[derive(Debug, Clone)]
pub struct Rng(u64);

/// Mixes two words into one that looks unrelated to both; the simulator's hash for everything.
#[must_use]
pub fn mix(a: u64, b: u64) -> u64 {
    let mut z = (a.rotate_left(23) ^ b).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// A generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Rng {
        Rng(mix(seed, 0x7468_6f72_6e62_6163))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0, 0)
    }

    /// From 0 to below `n`; 0 if `n` is 0. (The bias of the remainder does not matter here.)
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n.max(1)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True this often in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of these; there must be at least one.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A position by weights.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut at = self.below(weights.iter().sum());
        for (i, weight) in weights.iter().enumerate() {
            if at < *weight {
                return i;
            }
            at -= weight;
        }
        0
    }

    /// Many short times and few long ones: up to `scale` for most, up to 64 times that for a few. In nanoseconds.
    pub fn delay(&mut self, scale: u64) -> u64 {
        let shift = (self.bits() | 1 << 6).trailing_zeros();
        1 + self.below(scale << shift)
    }
}
