//! A set that remembers the last so many of something, and forgets its oldest for each new one: what is over, so that late news of it is known as such.

use std::collections::{BTreeSet, VecDeque};

/// See the module.
#[derive(Debug)]
pub(crate) struct Recent<K> {
    known: BTreeSet<K>,
    order: VecDeque<K>,
    max: usize,
}

impl<K: Copy + Ord> Recent<K> {
    pub(crate) fn new(max: usize) -> Recent<K> {
        Recent { known: BTreeSet::new(), order: VecDeque::new(), max }
    }

    /// Whether it was not known.
    pub(crate) fn insert(&mut self, key: K) -> bool {
        let new = self.known.insert(key);
        if new {
            self.order.push_back(key);
            if self.order.len() > self.max
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
        new
    }

    pub(crate) fn contains(&self, key: K) -> bool {
        self.known.contains(&key)
    }

    /// The oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = K> + '_ {
        self.order.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let mut recent = Recent::new(2);
        assert!(recent.insert(1) && recent.insert(2) && !recent.insert(1) && recent.insert(3));
        assert_eq!((recent.contains(1), recent.contains(2), recent.contains(3)), (false, true, true));
        assert_eq!(recent.iter().collect::<Vec<_>>(), [2, 3]);
    }
}
