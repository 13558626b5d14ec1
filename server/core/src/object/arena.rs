//! Where in an arena there is room. Knows offsets, not memory.

use std::collections::BTreeMap;

/// Buffers are aligned for vector instructions and cache lines, and the format of Arrow asks for the same.
pub(crate) const ALIGN: u64 = 64;

/// Free ranges of one arena. First fit from the start, so that pages which have been touched are used again before fresh ones.
#[derive(Debug)]
pub(crate) struct Arena {
    free: BTreeMap<u64, u64>,
    pub(crate) used: u64,
    size: u64,
}

impl Arena {
    pub(crate) fn new(size: u64) -> Arena {
        Arena { free: BTreeMap::from([(0, size)]), used: 0, size }
    }

    /// The offset of a free range, which is then taken.
    pub(crate) fn take(&mut self, size: u64) -> Option<u64> {
        let size = padded(size);
        let (offset, have) =
            self.free.iter().find(|(_, have)| **have >= size).map(|(offset, have)| (*offset, *have))?;
        self.free.remove(&offset);
        if have > size {
            self.free.insert(offset + size, have - size);
        }
        self.used += size;
        Some(offset)
    }

    /// Gives a range back, joining it with free neighbours.
    pub(crate) fn give(&mut self, offset: u64, size: u64) {
        let size = padded(size);
        self.used = self.used.saturating_sub(size);
        let (mut start, mut end) = (offset, offset + size);
        if let Some((before, len)) = self.free.range(..offset).next_back().map(|(o, l)| (*o, *l))
            && before + len == offset
        {
            self.free.remove(&before);
            start = before;
        }
        if let Some(len) = self.free.remove(&end) {
            end += len;
        }
        self.free.insert(start, end - start);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Whether free and taken add up.
    pub(crate) fn is_sound(&self) -> bool {
        self.free.values().sum::<u64>() + self.used == self.size
    }
}

/// The room that an object takes.
pub(crate) fn padded(size: u64) -> u64 {
    size.max(1).saturating_add(ALIGN - 1) / ALIGN * ALIGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_whole() {
        let mut arena = Arena::new(1024);
        let offsets: Vec<u64> = (0..16).map(|_| arena.take(60).unwrap()).collect();
        assert_eq!(arena.take(1), None);
        for i in [1, 3, 2, 0] {
            arena.give(offsets[i], 60);
        }
        assert_eq!(arena.take(256), Some(0));
        assert!(arena.is_sound());
    }
}
