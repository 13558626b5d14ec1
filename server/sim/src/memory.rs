//! A node's shared memory and disk, as far as the checkers need them: which word was written where. A read that finds anything else than what
//! was written for its object means that the core gave the same room to two.

use std::collections::BTreeMap;

use thornback_core::Location;
use thornback_types::ObjectId;

/// What one node has stored.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// By arena and offset: length and word.
    extents: BTreeMap<(u32, u64), (u64, u64)>,
    arenas: BTreeMap<u32, u64>,
    disk: BTreeMap<ObjectId, u64>,
}

impl Memory {
    pub(crate) fn open(&mut self, arena: u32, size: u64) -> Result<(), String> {
        match self.arenas.insert(arena, size) {
            None => Ok(()),
            Some(_) => Err(format!("arena {arena} was opened twice")),
        }
    }

    /// What lies there stays for those who have it mapped, and their last messages may be on the way yet. No later arena has the number.
    pub(crate) fn close(&mut self, arena: u32) -> Result<(), String> {
        self.arenas
            .remove(&arena)
            .map(|_| ())
            .ok_or_else(|| format!("arena {arena} was closed and is not open"))
    }

    /// Writes, whatever was there.
    pub(crate) fn write(&mut self, at: Location, word: u64) -> Result<(), String> {
        let Some(size) = self.arenas.get(&at.arena) else {
            return Err(format!("a write to {at:?}, whose arena is closed"));
        };
        let end = at.offset + at.size;
        if end > *size {
            return Err(format!("a write to {at:?}, and the arena has {size} bytes"));
        }
        let hit: Vec<(u32, u64)> = self
            .extents
            .range((at.arena, 0)..(at.arena, end))
            .filter(|((_, offset), (len, _))| offset + len > at.offset)
            .map(|(key, _)| *key)
            .collect();
        for key in hit {
            self.extents.remove(&key);
        }
        self.extents.insert((at.arena, at.offset), (at.size.max(1), word));
        Ok(())
    }

    pub(crate) fn read(&self, at: Location) -> Option<u64> {
        self.extents.get(&(at.arena, at.offset)).map(|(_, word)| *word)
    }

    pub(crate) fn write_disk(&mut self, object: ObjectId, word: u64) {
        self.disk.insert(object, word);
    }

    pub(crate) fn read_disk(&self, object: ObjectId) -> Option<u64> {
        self.disk.get(&object).copied()
    }

    pub(crate) fn delete_disk(&mut self, object: ObjectId) {
        self.disk.remove(&object);
    }

    /// What is still stored though nothing should be.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let disk = self.disk.keys().map(|object| format!("{object} is still on disk"));
        disk.chain(self.arenas.keys().map(|arena| format!("arena {arena} is still open"))).collect()
    }
}
