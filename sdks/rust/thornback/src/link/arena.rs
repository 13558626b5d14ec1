//! Arenas of shared memory, mapped into this process: the only unsafe code of this crate.
//!
//! What makes it sound:
//! - A mapping lives as long as anything that points into it, by reference counting, and has one size for ever: the descriptor is refused unless it
//!   is sealed against shrinking, so no access can run past the end of the file.
//! - Bytes are read only inside the location of an object that the node has sealed and pinned for this session, and nobody writes to such.
//! - Bytes are written only inside the location of an object that the node gave to this session to fill, through one exclusive
//!   [`Room`] for each, before it is sealed.
//!
//! The second and third are promises of the node. This process can check that a location lies within its arena, and does.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::{Code, Error, Result};

/// One arena, mapped whole.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
    writable: bool,
}

// SAFETY: a mapping is memory like any other, and this type hands out access to it only through `Region` and `Room`, which say why they are sound.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of a descriptor that came with an `Arena` operation.
    pub(super) fn new(descriptor: &OwnedFd, length: u64, writable: bool) -> Result<Arc<Mapping>> {
        let refuse = |what: &str| {
            Error::new(Code::Internal, format!("the node sent shared memory that cannot be used: {what}"))
        };
        let seals = fcntl_get_seals(descriptor.as_fd()).map_err(|error| refuse(&error.to_string()))?;
        if !seals.contains(SealFlags::SHRINK) {
            return Err(refuse("it is not sealed against shrinking"));
        }
        let actual = fstat(descriptor.as_fd()).map_err(|error| refuse(&error.to_string()))?.st_size;
        if u64::try_from(actual).unwrap_or(0) < length {
            return Err(refuse("it is shorter than announced"));
        }
        let length =
            usize::try_from(length).map_err(|_| refuse("it is larger than this machine can address"))?;
        if length == 0 {
            return Err(refuse("it is empty"));
        }
        let protection = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: the kernel chooses the address, so no existing mapping is replaced; the length is not zero and within the file.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                protection,
                MapFlags::SHARED | MapFlags::NORESERVE,
                descriptor,
                0,
            )
        }
        .map_err(|error| refuse(&error.to_string()))?;
        let start = NonNull::new(start.cast()).ok_or_else(|| refuse("it was mapped nowhere"))?;
        Ok(Arc::new(Mapping { start, length, writable }))
    }

    fn contains(&self, offset: u64, length: u64) -> Option<(usize, usize)> {
        let (offset, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
        (offset.checked_add(length)? <= self.length).then_some((offset, length))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what `mmap` gave, and everything that points into it holds an `Arc` of this.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast::<c_void>(), self.length) };
        debug_assert!(unmapped.is_ok(), "a mapping can always be taken away: {unmapped:?}");
    }
}

/// The bytes of one sealed object.
#[derive(Clone)]
pub(crate) struct Region {
    mapping: Arc<Mapping>,
    offset: usize,
    length: usize,
}

impl Region {
    pub(super) fn new(mapping: &Arc<Mapping>, offset: u64, length: u64) -> Result<Region> {
        let (offset, length) = mapping.contains(offset, length).ok_or_else(outside)?;
        Ok(Region { mapping: mapping.clone(), offset, length })
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: within the mapping (checked when this was made), which lives as long as this; readable by its protection; and not written
        // to while the object is pinned (see the module).
        unsafe { std::slice::from_raw_parts(self.mapping.start.as_ptr().add(self.offset), self.length) }
    }
}

/// Room for one object that this session fills.
pub(crate) struct Room {
    mapping: Arc<Mapping>,
    offset: usize,
    length: usize,
}

impl Room {
    /// The caller makes one for each `Created`, and drops it before it sends `Seal` or `Abort`.
    pub(super) fn new(mapping: &Arc<Mapping>, offset: u64, length: u64) -> Result<Room> {
        if !mapping.writable {
            return Err(Error::new(
                Code::Internal,
                "the node gave room in shared memory that may only be read",
            ));
        }
        let (offset, length) = mapping.contains(offset, length).ok_or_else(outside)?;
        Ok(Room { mapping: mapping.clone(), offset, length })
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as in `as_mut`; shared access excludes exclusive access by borrowing.
        unsafe { std::slice::from_raw_parts(self.mapping.start.as_ptr().add(self.offset), self.length) }
    }
}

impl AsMut<[u8]> for Room {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: within the mapping (checked when this was made), which lives as long as this; writable by its protection; and the only
        // `Room` there (see the module). Any bytes are valid `u8`s.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.start.as_ptr().add(self.offset), self.length) }
    }
}

fn outside() -> Error {
    Error::new(Code::Internal, "the node named a place outside its shared memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, fcntl_add_seals, ftruncate, memfd_create};

    fn memory(bytes: u64, seals: SealFlags) -> OwnedFd {
        let descriptor =
            memfd_create("test", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).expect("makes memory");
        ftruncate(&descriptor, bytes).expect("sets the size");
        fcntl_add_seals(&descriptor, seals).expect("seals");
        descriptor
    }

    #[test]
    fn what_is_written_is_read_in_place() {
        let descriptor = memory(8192, SealFlags::SHRINK);
        let writer = Mapping::new(&descriptor, 8192, true).expect("maps");
        let reader = Mapping::new(&descriptor, 8192, false).expect("maps");
        let mut room = Room::new(&writer, 4096, 5).expect("within");
        room.as_mut().copy_from_slice(b"hello");
        drop(room);
        let region = Region::new(&reader, 4096, 5).expect("within");
        drop(reader);
        assert_eq!(region.as_ref(), b"hello");
    }

    #[test]
    fn memory_that_could_shrink_or_is_short_is_refused() {
        assert!(Mapping::new(&memory(4096, SealFlags::empty()), 4096, false).is_err());
        assert!(Mapping::new(&memory(4096, SealFlags::SHRINK), 8192, false).is_err());
        assert!(Mapping::new(&memory(0, SealFlags::SHRINK), 0, false).is_err());
    }

    #[test]
    fn places_outside_are_refused() {
        let mapping = Mapping::new(&memory(4096, SealFlags::SHRINK), 4096, false).expect("maps");
        for (offset, length) in [(0, 4097), (4096, 1), (u64::MAX, 1), (1, u64::MAX)] {
            assert!(Region::new(&mapping, offset, length).is_err(), "{offset}+{length}");
        }
        assert!(Room::new(&mapping, 0, 1).is_err(), "a mapping to read gives no room");
    }
}
