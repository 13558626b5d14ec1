//! The node's arenas by number, and their descriptors on the way to sessions.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bytes::Bytes;
use thornback_core::Location;
use thornback_store::{Arena, Error};

/// Every open arena.
#[derive(Debug)]
pub(crate) struct Arenas {
    open: HashMap<u32, Arena>,
    /// Goes in place of the descriptor of an arena that was closed before its announcement was sent (again): descriptors are matched
    /// to announcements by their order, so none may be missing.
    nothing: File,
}

impl Arenas {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { open: HashMap::new(), nothing: File::open("/dev/null")? })
    }

    pub(crate) fn open(&mut self, number: u32, size: u64) -> Result<(), Error> {
        let arena = Arena::new(&format!("thornback-arena-{number}"), size)?;
        self.open.insert(number, arena);
        Ok(())
    }

    /// Takes an arena away, whose pages are still there.
    pub(crate) fn close(&mut self, number: u32) -> Option<Arena> {
        self.open.remove(&number)
    }

    pub(crate) fn get(&self, number: u32) -> Result<&Arena, Error> {
        self.open.get(&number).ok_or_else(|| Error::Io {
            doing: format!("cannot find arena {number}"),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    pub(crate) fn size(&self, number: u32) -> u64 {
        self.open.get(&number).map_or(0, Arena::size)
    }

    pub(crate) fn write(&self, location: Location, data: &[u8]) -> Result<(), Error> {
        self.get(location.arena)?.write(location.offset, data)
    }

    pub(crate) fn read(&self, location: Location) -> Result<Bytes, Error> {
        self.get(location.arena)?.read(location.offset, location.size)
    }

    /// The descriptor that goes with an announcement.
    pub(crate) fn descriptor(&self, number: u32, writable: bool) -> BorrowedFd<'_> {
        match self.open.get(&number) {
            Some(arena) if writable => arena.writable(),
            Some(arena) => arena.read_only(),
            None => self.nothing.as_fd(),
        }
    }
}
