//! What others can and cannot do to an arena, and how much memory it takes.
#![allow(unsafe_code, reason = "mapping memory, as sessions do, has no safe interface")]

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use rustix::fs::{FallocateFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, ftruncate};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap};
use thornback_store::{Arena, Error};

const MIB: u64 = 1 << 20;

fn arena() -> Arena {
    Arena::new("thornback-test", 16 * MIB).unwrap()
}

/// One mapped page, as a session would have it.
struct Page(*mut u8);

impl Page {
    const LEN: usize = 4096;

    fn map(fd: BorrowedFd<'_>, protection: ProtFlags) -> Result<Page, Errno> {
        // SAFETY: a new mapping, at a place that the kernel chooses.
        unsafe { mmap(ptr::null_mut(), Page::LEN, protection, MapFlags::SHARED, fd, 0) }
            .map(|at| Page(at.cast()))
    }

    fn get(&self, at: usize) -> u8 {
        assert!(at < Page::LEN);
        // SAFETY: within the mapping, which lives as long as `self`; volatile because others write to it.
        unsafe { self.0.add(at).read_volatile() }
    }

    fn set(&self, at: usize, value: u8) {
        assert!(at < Page::LEN);
        // SAFETY: as above; the tests call it on writable mappings only.
        unsafe { self.0.add(at).write_volatile(value) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: what `map` made, once, and nothing refers to it any more.
        unsafe { munmap(self.0.cast(), Page::LEN) }.unwrap();
    }
}

#[test]
fn sessions_and_server_see_the_same_bytes() {
    let arena = arena();
    let writer = Page::map(arena.writable(), ProtFlags::READ | ProtFlags::WRITE).unwrap();
    let reader = Page::map(arena.read_only(), ProtFlags::READ).unwrap();
    writer.set(100, 42);
    assert_eq!(reader.get(100), 42);
    assert_eq!(arena.read(100, 1).unwrap(), [42].as_slice());
    arena.write(200, b"server").unwrap();
    assert_eq!(reader.get(200), b's');
}

#[test]
fn the_read_only_descriptor_cannot_be_written_in_any_way() {
    let arena = arena();
    let fd = arena.read_only();
    assert_eq!(Page::map(fd, ProtFlags::READ | ProtFlags::WRITE).err(), Some(Errno::ACCESS));
    assert_eq!(rustix::io::pwrite(fd, b"x", 0), Err(Errno::BADF));
    assert_eq!(
        fallocate(fd, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 4096),
        Err(Errno::BADF)
    );
    assert!(ftruncate(fd, 0).is_err());

    let page = Page::map(fd, ProtFlags::READ).unwrap();
    // SAFETY: if it were allowed, which it is not, a reader's mapping would become writable.
    let made_writable =
        unsafe { mprotect(page.0.cast(), Page::LEN, MprotectFlags::READ | MprotectFlags::WRITE) };
    assert_eq!(made_writable, Err(Errno::ACCESS));
}

#[test]
fn a_private_mapping_of_the_read_only_descriptor_changes_nothing_for_others() {
    let arena = arena();
    arena.write(0, b"shared").unwrap();
    // Python's `mmap.ACCESS_COPY`, which it needs to hand out buffers.
    // SAFETY: a new mapping, at a place that the kernel chooses.
    let at = unsafe {
        mmap(
            ptr::null_mut(),
            Page::LEN,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
            arena.read_only(),
            0,
        )
    };
    let page = Page(at.unwrap().cast());
    assert_eq!(page.get(0), b's');
    page.set(0, b'X');
    assert_eq!(arena.read(0, 6).unwrap(), b"shared".as_slice());
}

#[test]
fn other_users_cannot_reopen_it_for_writing() {
    let arena = arena();
    let mode = rustix::fs::fstat(arena.read_only()).unwrap().st_mode & 0o777;
    assert_eq!(mode, 0o400);
    // Root may do anything, so for it the mode above has to do.
    if !rustix_is_root() {
        let path = format!("/proc/self/fd/{}", arena.read_only().as_raw_fd());
        assert!(OpenOptions::new().write(true).open(path).is_err());
    }
}

fn rustix_is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t"))
}

#[test]
fn nobody_can_change_its_size_or_its_seals() {
    let arena = arena();
    let fd = arena.writable();
    let seals = fcntl_get_seals(fd).unwrap();
    assert!(seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL));
    assert_eq!(ftruncate(fd, 0), Err(Errno::PERM));
    assert_eq!(ftruncate(fd, 32 * MIB), Err(Errno::PERM));
    assert_eq!(rustix::io::pwrite(fd, b"x", 16 * MIB), Err(Errno::PERM));
    assert_eq!(fcntl_add_seals(fd, SealFlags::WRITE), Err(Errno::PERM));
}

#[test]
fn ranges_outside_are_refused_and_touch_nothing() {
    let arena = arena();
    let size = arena.size();
    for (offset, len) in
        [(size, 1), (size - 1, 2), (u64::MAX, 1), (u64::MAX, u64::MAX), (0, size + 1), (size + 1, 0)]
    {
        let out = |result: Result<(), Error>| {
            assert!(matches!(result, Err(Error::OutOfRange { .. })), "{offset} {len}");
        };
        out(arena.read(offset, len).map(drop));
        out(arena.punch(offset, len));
        if len < 3 {
            out(arena.write(offset, &vec![1; len as usize]));
        }
    }
    arena.write(size - 1, &[7]).unwrap();
    assert_eq!(arena.read(size - 1, 1).unwrap(), [7].as_slice());
    arena.write(size, &[]).unwrap();
    assert!(arena.read(size, 0).unwrap().is_empty());
    arena.punch(size, 0).unwrap();
}

#[test]
fn it_takes_memory_only_for_what_is_written_and_gives_it_back() {
    let arena = Arena::new("thornback-test", 1 << 40).unwrap();
    assert_eq!(arena.resident_bytes().unwrap(), 0);
    assert!(arena.read(1 << 39, 4 * MIB).unwrap().iter().all(|&byte| byte == 0));
    assert_eq!(arena.resident_bytes().unwrap(), 0, "reading a hole allocates nothing");

    arena.write(1 << 39, &vec![1; 4 * MIB as usize]).unwrap();
    assert_eq!(arena.resident_bytes().unwrap(), 4 * MIB);
    arena.punch(1 << 39, 4 * MIB).unwrap();
    assert_eq!(arena.resident_bytes().unwrap(), 0);
    assert!(arena.read(1 << 39, 16).unwrap().iter().all(|&byte| byte == 0));
}

#[test]
fn punching_spares_the_neighbours() {
    let arena = arena();
    arena.write(0, &[9; 3 * 4096]).unwrap();
    arena.punch(64, 4096 + 64).unwrap();
    assert_eq!(arena.read(0, 64).unwrap(), [9; 64].as_slice());
    assert_eq!(arena.read(64, 4096 + 64).unwrap(), [0; 4096 + 64].as_slice());
    assert_eq!(arena.read(4096 + 128, 4096).unwrap(), [9; 4096].as_slice());
}

#[test]
fn the_memory_outlives_the_arena_for_those_who_have_its_descriptor() {
    let arena = arena();
    arena.write(0, b"kept").unwrap();
    let fd = arena.read_only().try_clone_to_owned().unwrap();
    drop(arena);
    let mut bytes = [0; 4];
    rustix::io::pread(fd.as_fd(), &mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"kept");
}

#[test]
fn descriptors_are_not_inherited_by_workers() {
    let arena = arena();
    for fd in [arena.read_only(), arena.writable()] {
        assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
    let _: File = arena.writable().try_clone_to_owned().unwrap().into();
}
