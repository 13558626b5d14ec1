//! One piece of shared memory that a server and the sessions of a job have in common.
//!
//! The server itself never maps it. A session with a writable mapping may change any byte at any time, so a `&[u8]` into the arena would
//! not be sound in Rust, and touching a page that the machine cannot provide would kill the server with SIGBUS. `pread` and `pwrite`
//! have neither problem: they copy, they answer with an error, and reading a hole allocates nothing.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, SealFlags};
use rustix::io::Errno;

use crate::Error;

/// Shared memory of a fixed size. Pages exist once they are written (by anyone) and until they are [punched](Arena::punch) out.
///
/// Cloning is cheap and names the same memory, which lives until the last clone, descriptor and mapping of it are gone.
///
/// The size is sealed, so neither side can take pages away from under the other's mapping. Calls block for as long as the copy takes
/// (about 0.1 ms per MiB); move large ones off the event loop.
#[derive(Clone)]
pub struct Arena(Arc<Inner>);

struct Inner {
    writable: File,
    read_only: OwnedFd,
    size: u64,
}

impl Arena {
    /// Makes an arena of `size` bytes, all of them holes. `name` is shown in `/proc/<pid>/maps`.
    pub fn new(name: &str, size: u64) -> Result<Arena, Error> {
        let fail = |what: &str| Error::io(format!("cannot {what} for an arena of {size} bytes"));

        let memory = memfd(name).map_err(|e| fail("create shared memory")(e.into()))?;
        rustix::fs::ftruncate(&memory, size).map_err(|e| fail("set the size of shared memory")(e.into()))?;
        rustix::fs::fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
            .map_err(|e| fail("seal shared memory")(e.into()))?;

        // A second open file description, without the right to write: a shared mapping of it can neither be writable nor be made so.
        let read_only = File::open(format!("/proc/self/fd/{}", memory.as_raw_fd()))
            .map_err(fail("reopen shared memory through /proc/self/fd"))?;
        // A memfd has mode 0777, so whoever holds the read-only descriptor could reopen it for writing by the same way that we just
        // went. Without the mode's write bits another user cannot; a process of our own user is kept from doing it by accident only.
        rustix::fs::fchmod(&memory, Mode::RUSR)
            .map_err(|e| fail("restrict the mode of shared memory")(e.into()))?;

        Ok(Arena(Arc::new(Inner { writable: memory.into(), read_only: read_only.into(), size })))
    }

    /// Size in bytes, as given to [`Arena::new`].
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The descriptor for sessions that read: it can be neither written nor mapped shared and writable.
    #[must_use]
    pub fn read_only(&self) -> BorrowedFd<'_> {
        self.0.read_only.as_fd()
    }

    /// The descriptor for sessions that create objects. Its holder can write anywhere in the arena.
    #[must_use]
    pub fn writable(&self) -> BorrowedFd<'_> {
        self.0.writable.as_fd()
    }

    /// Copies `data` to `offset`. After an error part of it may have been written.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let len = data.len() as u64;
        self.check(offset, len)?;
        self.0.writable.write_all_at(data, offset).map_err(|e| match Errno::from_io_error(&e) {
            Some(Errno::NOSPC | Errno::NOMEM) => Error::OutOfMemory { len },
            _ => Error::Io { doing: format!("cannot write {len} bytes to an arena"), source: e },
        })
    }

    /// Copies `len` bytes at `offset` out. What was never written reads as zeroes.
    pub fn read(&self, offset: u64, len: u64) -> Result<Bytes, Error> {
        self.check(offset, len)?;
        // The cast cannot cut: the range lies within an arena, and so within the address space of whoever maps it.
        let mut data = vec![0; len as usize];
        self.read_into(offset, &mut data)?;
        Ok(data.into())
    }

    /// Fills `data` with the bytes at `offset`.
    pub fn read_into(&self, offset: u64, data: &mut [u8]) -> Result<(), Error> {
        let len = data.len() as u64;
        self.check(offset, len)?;
        self.0
            .writable
            .read_exact_at(data, offset)
            .map_err(Error::io(format!("cannot read {len} bytes of an arena")))
    }

    /// Gives the pages that lie wholly within the range back to the system; the range then reads as zeroes. Takes about 0.1 ms per MiB
    /// of pages that existed.
    pub fn punch(&self, offset: u64, len: u64) -> Result<(), Error> {
        self.check(offset, len)?;
        if len == 0 {
            return Ok(());
        }
        rustix::fs::fallocate(
            &self.0.writable,
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            offset,
            len,
        )
        .map_err(|e| Error::io(format!("cannot give {len} bytes of an arena back"))(e.into()))
    }

    /// Bytes of memory that exist now, whoever wrote them.
    pub fn resident_bytes(&self) -> Result<u64, Error> {
        let stat = rustix::fs::fstat(&self.0.writable)
            .map_err(|e| Error::io("cannot measure an arena".to_owned())(e.into()))?;
        // st_blocks counts units of 512 bytes on every file system.
        Ok(u64::try_from(stat.st_blocks).unwrap_or(0) * 512)
    }

    /// Whether the range lies within the arena.
    pub(crate) fn check(&self, offset: u64, len: u64) -> Result<(), Error> {
        match offset.checked_add(len) {
            Some(end) if end <= self.0.size => Ok(()),
            _ => Err(Error::OutOfRange { offset, len, size: self.0.size }),
        }
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("size", &self.0.size).finish_non_exhaustive()
    }
}

fn memfd(name: &str) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Memory for data should not be executable, and some systems insist on it (vm.memfd_noexec=2). Kernels before 6.3 don't know the flag.
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        made => made,
    }
}
