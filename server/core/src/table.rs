//! A table of what ids name.
//!
//! Senders count their ids up, and use those that follow each other one after the other: they submit a batch, its answers come together, and so does
//! what is let go of. So the table keeps *pages* of neighbours. Which page an id is on takes a look at the few that were used last, and a hash map only if
//! it is none of them; where it lies on its page, the id itself says. With a hundred thousand tasks in flight that is also what the processor's
//! caches are good at. An id is never trusted to be a neighbour of another: any will do, and costs a small page of its own at worst.
//!
//! Nothing can be iterated in an order that depends on a hash.

use std::collections::HashMap;
use std::marker::PhantomData;

use thornback_types::{Id, ObjectId, TaskId};

use crate::map::Seed;

/// Neighbours on a page.
const PLACES: usize = 64;
const PLACE: u64 = PLACES as u64 - 1;

/// Pages that are found without the hash map.
const RECENT: usize = 16;

/// Pages of a table that never gives its list of them back.
const PAGES_KEPT: usize = 256;

/// What tells a page from others: the first and the second half of its ids, without their places on it.
type Name = (u64, u64);

/// The name of no page.
const NOWHERE: Name = (u64::MAX, u64::MAX);

/// What a table can be kept by.
pub(crate) trait Key: Copy + Ord {
    /// The page and the place on it.
    fn split(self) -> (Name, usize);
    fn join(page: Name, place: usize) -> Self;
}

/// Where the counter ends in the second half of an id, see `Id::new`.
const COUNTER_SHIFT: u32 = 32;

/// Stands in the lowest bits of the name of a page on which the index counts, where other pages have an index of 0 or 1.
const OF_INDEX: u64 = 2;

/// Neighbours are tasks whose counters follow each other, or their first outputs; else the outputs of one task.
impl Key for Id {
    #[inline]
    fn split(self) -> (Name, usize) {
        let id = u128::from_be_bytes(self.0);
        let (salt, rest) = ((id >> 64) as u64, id as u64);
        if (rest as u32) < 2 {
            ((salt, rest & !(PLACE << COUNTER_SHIFT)), (rest >> COUNTER_SHIFT & PLACE) as usize)
        } else {
            ((salt, rest & !PLACE | OF_INDEX), (rest & PLACE) as usize)
        }
    }

    fn join((salt, page): Name, place: usize) -> Id {
        let rest = if page & PLACE == OF_INDEX {
            page & !PLACE | place as u64
        } else {
            page | (place as u64) << COUNTER_SHIFT
        };
        Id((u128::from(salt) << 64 | u128::from(rest)).to_be_bytes())
    }
}

macro_rules! keys {
    ($($name:ident),*) => {$(
        impl Key for $name {
            #[inline]
            fn split(self) -> (Name, usize) {
                self.0.split()
            }

            fn join(page: Name, place: usize) -> $name {
                $name(Id::join(page, place))
            }
        }
    )*};
}

keys!(TaskId, ObjectId);

/// See the module.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    pages: Vec<Page<V>>,
    /// Those of `pages` that have no name.
    unnamed: Vec<u32>,
    by_name: HashMap<Name, u32, Seed>,
    /// Pages that were used last, each where its name says. They may be empty, or have more room than they need: most will be used again.
    recent: [(Name, u32); RECENT],
    /// The room of a page that is gone, for the next one.
    spare: Vec<Option<V>>,
    len: usize,
    key: PhantomData<K>,
}

/// Neighbours. (Aligned, so that a page shares no line of the cache with another, and is found by a shift.)
#[derive(Debug)]
#[repr(align(64))]
struct Page<V> {
    name: Name,
    /// Where the value of each place is in `values`, from 1; 0 if there has been none.
    at: [u8; PLACES],
    values: Vec<Option<V>>,
    len: usize,
}

impl<V> Page<V> {
    fn new(name: Name) -> Page<V> {
        Page { name, at: [0; PLACES], values: Vec::new(), len: 0 }
    }

    #[inline]
    fn get(&self, place: usize) -> Option<&V> {
        self.values.get(usize::from(self.at[place % PLACES]).wrapping_sub(1))?.as_ref()
    }

    #[inline]
    fn get_mut(&mut self, place: usize) -> Option<&mut V> {
        self.values.get_mut(usize::from(self.at[place % PLACES]).wrapping_sub(1))?.as_mut()
    }

    #[inline]
    fn insert(&mut self, place: usize, value: V) -> bool {
        let at = self.room_for(place);
        let is_new = self.values[at].is_none();
        self.values[at] = Some(value);
        self.len += usize::from(is_new);
        is_new
    }

    #[inline]
    fn get_or_insert_with(&mut self, place: usize, make: impl FnOnce() -> V) -> &mut V {
        let at = self.room_for(place);
        let value = &mut self.values[at];
        self.len += usize::from(value.is_none());
        value.get_or_insert_with(make)
    }

    /// Where the value of a place lies or is to lie.
    #[inline]
    fn room_for(&mut self, place: usize) -> usize {
        let at = &mut self.at[place % PLACES];
        if *at == 0 {
            if self.values.len() == self.values.capacity() {
                grow(&mut self.values);
            }
            self.values.push(None);
            *at = self.values.len() as u8;
        }
        usize::from(*at) - 1
    }

    #[inline]
    fn remove(&mut self, place: usize) -> Option<V> {
        let value = self.values.get_mut(usize::from(self.at[place % PLACES]).wrapping_sub(1))?.take();
        self.len -= usize::from(value.is_some());
        value
    }

    #[inline]
    fn discard(&mut self, place: usize) -> bool {
        let at = usize::from(self.at[place % PLACES]).wrapping_sub(1);
        let Some(value) = self.values.get_mut(at).filter(|value| value.is_some()) else { return false };
        *value = None;
        self.len -= 1;
        true
    }

    /// Gives room back of which little is used.
    fn compact(&mut self) {
        let mut values = Vec::with_capacity(self.len);
        for at in &mut self.at {
            let value = self.values.get_mut(usize::from(*at).wrapping_sub(1)).and_then(Option::take);
            *at = if value.is_some() {
                values.push(value);
                values.len() as u8
            } else {
                0
            };
        }
        self.values = values;
    }
}

/// A page of one is small; one of several will likely be full.
#[cold]
fn grow<V>(values: &mut Vec<Option<V>>) {
    let room = match values.len() {
        0 => 1,
        1..8 => 8,
        _ => PLACES,
    };
    values.reserve_exact(room.saturating_sub(values.len()).max(1));
}

#[inline]
fn recent_place((salt, page): Name) -> usize {
    // The counter of the page, and the salt, which tells senders apart.
    (page >> (COUNTER_SHIFT + PLACES.ilog2()) ^ salt) as usize % RECENT
}

impl<K: Key, V> Table<K, V> {
    pub(crate) fn new(seed: Seed) -> Table<K, V> {
        Table {
            pages: Vec::new(),
            unnamed: Vec::new(),
            by_name: HashMap::with_hasher(seed),
            recent: [(NOWHERE, 0); RECENT],
            spare: Vec::new(),
            len: 0,
            key: PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let (name, place) = key.split();
        let recent = self.recent[recent_place(name)];
        let page = if recent.0 == name { recent.1 } else { self.look_up(name)? };
        self.pages.get(page as usize)?.get(place)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (name, place) = key.split();
        let page = self.find(name)?;
        self.pages.get_mut(page as usize)?.get_mut(place)
    }

    /// Takes the place of what has the key.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let (name, place) = key.split();
        let page = self.find_or_make(name);
        let is_new = self.pages[page as usize].insert(place, value);
        self.len += usize::from(is_new);
    }

    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let (name, place) = key.split();
        let page = self.find_or_make(name);
        let page = &mut self.pages[page as usize];
        self.len += usize::from(page.get(place).is_none());
        page.get_or_insert_with(place, make)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (name, place) = key.split();
        let page = self.find(name)?;
        let value = self.pages[page as usize].remove(place)?;
        self.len -= 1;
        Some(value)
    }

    /// Changes what has the key, and removes it unless it is to stay. Whether there was anything.
    pub(crate) fn change(&mut self, key: &K, change: impl FnOnce(&mut V) -> bool) -> bool {
        let (name, place) = key.split();
        let Some(page) = self.find(name) else { return false };
        let page = &mut self.pages[page as usize];
        let Some(value) = page.get_mut(place) else { return false };
        if !change(value) {
            page.discard(place);
            self.len -= 1;
        }
        true
    }

    /// Removes what nobody looks at any more.
    pub(crate) fn discard(&mut self, key: &K) {
        let (name, place) = key.split();
        if let Some(page) = self.find(name) {
            self.len -= usize::from(self.pages[page as usize].discard(place));
        }
    }

    /// Keys whose entries pass, in key order.
    pub(crate) fn sorted_keys(&self, mut pass: impl FnMut(&K, &V) -> bool) -> Vec<K> {
        let mut keys = Vec::new();
        for page in &self.pages {
            for place in 0..PLACES {
                let key = K::join(page.name, place);
                if page.get(place).is_some_and(|value| pass(&key, value)) {
                    keys.push(key);
                }
            }
        }
        keys.sort_unstable();
        keys
    }

    /// Folds all values with an operation for which order makes no difference (a sum, a count).
    pub(crate) fn sum(&self, mut of: impl FnMut(&V) -> u64) -> u64 {
        self.pages.iter().flat_map(|page| page.values.iter().flatten()).map(&mut of).sum()
    }

    #[inline]
    fn find(&mut self, name: Name) -> Option<u32> {
        let recent = self.recent[recent_place(name)];
        if recent.0 == name {
            return Some(recent.1);
        }
        let page = self.look_up(name)?;
        Some(self.use_page(name, page))
    }

    #[inline]
    fn find_or_make(&mut self, name: Name) -> u32 {
        match self.find(name) {
            Some(page) => page,
            None => self.make(name),
        }
    }

    #[cold]
    fn look_up(&self, name: Name) -> Option<u32> {
        self.by_name.get(&name).copied()
    }

    #[cold]
    fn make(&mut self, name: Name) -> u32 {
        let page = self.unnamed.pop().unwrap_or_else(|| {
            self.pages.push(Page::new(name));
            self.pages.len() as u32 - 1
        });
        let values = std::mem::take(&mut self.spare);
        self.pages[page as usize] = Page { values, ..Page::new(name) };
        self.by_name.insert(name, page);
        self.use_page(name, page)
    }

    /// Notes that a page is used, and settles the one whose place it takes. Says where the page is then.
    #[cold]
    fn use_page(&mut self, name: Name, page: u32) -> u32 {
        let before = std::mem::replace(&mut self.recent[recent_place(name)], (name, page));
        if before.0 == NOWHERE || !self.settle(before.1) {
            return page;
        }
        // Its page may have moved.
        self.look_up(name).unwrap_or(page)
    }

    /// A page was not used of late: what room it does not need is given back. Whether pages were moved.
    fn settle(&mut self, number: u32) -> bool {
        let page = &mut self.pages[number as usize];
        if page.len * 8 <= page.values.capacity() && page.len > 0 {
            page.compact();
        }
        if page.len > 0 {
            return false;
        }
        self.by_name.remove(&page.name);
        let before = std::mem::replace(page, Page::new(NOWHERE));
        if before.values.capacity() >= PLACES {
            self.spare = before.values;
            self.spare.clear();
        }
        self.unnamed.push(number);
        let is_sparse = self.pages.len() > PAGES_KEPT && self.by_name.len() * 8 < self.pages.len();
        if is_sparse {
            self.shrink();
        }
        is_sparse
    }

    /// A burst of a million must not be kept for ever.
    fn shrink(&mut self) {
        self.pages.retain(|page| page.name != NOWHERE);
        self.pages.shrink_to_fit();
        self.unnamed = Vec::new();
        self.by_name.clear();
        self.by_name.shrink_to(self.pages.len() * 2);
        self.by_name.extend(self.pages.iter().zip(0..).map(|(page, number)| (page.name, number)));
        for recent in &mut self.recent {
            *recent = self.by_name.get(&recent.0).map_or((NOWHERE, 0), |page| (recent.0, *page));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn task(counter: u32) -> TaskId {
        TaskId(Id::new(*b"neighbor", counter, 0))
    }

    #[test]
    fn what_is_kept_is_what_a_map_would_keep() {
        let mut table = Table::new(Seed(7));
        let mut map = BTreeMap::new();
        let mut random = 1_u64;
        for i in 0..200_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let bits = (random >> 33) as u32;
            // Some follow each other, some are scattered; some are outputs of many, some from other senders.
            let counter = if bits & 1 == 0 { i / 4 } else { bits >> 20 };
            let index = if bits & 6 == 0 { bits >> 8 & 0xff } else { 0 };
            let salt = if bits & 8 == 0 { *b"neighbor" } else { [bits as u8 >> 6; 8] };
            let key = Id::new(salt, counter, index);
            assert_eq!(table.get(&key), map.get(&key));
            match bits >> 4 & 3 {
                0 => {
                    table.insert(key, i);
                    map.insert(key, i);
                }
                1 if bits & 64 == 0 => {
                    let changed = table.change(&key, |value| {
                        *value += 3;
                        *value % 2 == 0
                    });
                    assert_eq!(changed, map.contains_key(&key));
                    map.entry(key).and_modify(|value| *value += 3);
                    if map.get(&key).is_some_and(|value| value % 2 != 0) {
                        map.remove(&key);
                    }
                }
                1 => {
                    let value = table.get_or_insert_with(key, || i);
                    assert_eq!(value, map.entry(key).or_insert(i));
                    *value += 1;
                    map.entry(key).and_modify(|value| *value += 1);
                }
                2 => {
                    table.discard(&key);
                    map.remove(&key);
                }
                _ => assert_eq!(table.remove(&key), map.remove(&key)),
            }
            assert_eq!(table.get_mut(&key), map.get_mut(&key));
            if i % 20_000 == 0 {
                for key in table.sorted_keys(|key, _| key.index() != 3) {
                    assert_eq!(table.remove(&key), map.remove(&key));
                }
                assert!(map.keys().all(|key| key.index() == 3));
            }
            assert_eq!(table.len(), map.len());
        }
        assert!(table.sorted_keys(|_, _| true).iter().eq(map.keys()));
        assert_eq!(table.sum(|value| u64::from(*value)), map.values().map(|value| u64::from(*value)).sum());
    }

    #[test]
    fn neighbours_share_a_page_and_strangers_do_not() {
        let page = |salt: u8, counter, index| Id::new([salt; 8], counter, index).split();
        assert_eq!(page(1, 0, 1).0, page(1, 63, 1).0);
        assert_eq!(page(1, 64, 0).0, page(1, 127, 0).0);
        assert_eq!(page(1, 9, 2).0, page(1, 9, 63).0);
        let pages = [(1, 0, 0), (2, 0, 0), (1, 64, 0), (1, 0, 1), (1, 0, 2), (1, 1, 2), (1, 0, 64)];
        for (i, a) in pages.iter().enumerate() {
            for b in &pages[..i] {
                assert_ne!(page(a.0, a.1, a.2).0, page(b.0, b.1, b.2).0, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn a_burst_gives_its_room_back_but_for_what_is_still_used() {
        let mut table = Table::new(Seed(7));
        let all = 1_000_000;
        for counter in 0..all {
            table.insert(task(counter), [0_u64; 16]);
        }
        // One of each thousand lives on.
        for counter in (0..all).filter(|counter| counter % 1000 != 0) {
            table.remove(&task(counter));
        }
        assert_eq!(table.len(), all as usize / 1000);
        let room: usize = table.pages.iter().map(|page| page.values.capacity()).sum();
        assert!(room <= 8 * table.len() + RECENT * PLACES, "room for {room}");
        for counter in (0..all).step_by(1000) {
            table.remove(&task(counter));
        }
        assert_eq!((table.len(), table.sorted_keys(|_, _| true)), (0, Vec::new()));
        assert!(table.pages.capacity() <= PAGES_KEPT && table.by_name.len() <= RECENT);
    }

    #[test]
    fn one_after_the_other_takes_no_more_pages_than_are_in_use() {
        let mut table = Table::new(Seed(7));
        for counter in 0..100_000 {
            table.insert(task(counter), counter);
            assert_eq!(table.remove(&task(counter)), Some(counter));
        }
        assert!(table.pages.len() <= RECENT + 1, "{}", table.pages.len());
    }
}
