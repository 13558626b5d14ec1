//! The allocator of the process, and those of its settings that are not features of its crate. It never looks at what is allocated.
//!
//! mimalloc, because against glibc's it takes a tenth fewer instructions for each task. Its huge pages are off (`no_thp`): they made nothing
//! faster and took 8 MB at rest, and 23 for work that needs 5.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{mi_collect, mi_free, mi_malloc, mi_realloc, mi_zalloc};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: Plain = Plain;

/// `MiMalloc` asks for an alignment each time, and mimalloc (v3) has a fast path for that in sizes that are powers of two alone. Any other is taken by
/// the slow path, from pages of the next larger size. Its plain functions align well enough for nearly everything.
struct Plain;

/// `MI_MAX_ALIGN_SIZE` of types.h: how whatever is at least so large is aligned in any case. What is smaller is aligned to eight bytes.
const ALIGN_MAX: usize = 16;

/// Whether a block of mimalloc's of this size is aligned as wanted, whatever is asked for.
#[inline]
const fn aligned_anyway(size: usize, align: usize) -> bool {
    align <= 8 || (align <= ALIGN_MAX && size >= ALIGN_MAX)
}

// SAFETY: each function gives and takes blocks of mimalloc, of the size that is asked for and aligned as `aligned_anyway` says, or else as `MiMalloc`
// does it. Both free and resize each other's blocks, which are the same.
unsafe impl GlobalAlloc for Plain {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if aligned_anyway(layout.size(), layout.align()) {
            // SAFETY: any size may be asked for.
            unsafe { mi_malloc(layout.size()) }.cast()
        } else {
            // SAFETY: the same request.
            unsafe { MiMalloc.alloc(layout) }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if aligned_anyway(layout.size(), layout.align()) {
            // SAFETY: any size may be asked for.
            unsafe { mi_zalloc(layout.size()) }.cast()
        } else {
            // SAFETY: the same request.
            unsafe { MiMalloc.alloc_zeroed(layout) }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: it is a block of mimalloc's that nobody uses any more.
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if aligned_anyway(size, layout.align()) {
            // SAFETY: it is a block of mimalloc's.
            unsafe { mi_realloc(block.cast(), size) }.cast()
        } else {
            // SAFETY: the same request.
            unsafe { MiMalloc.realloc(block, layout, size) }
        }
    }
}

/// Gives memory that this thread has freed back to the system.
///
/// While there is work, the allocator keeps such memory for a second: given back at once and asked for again, it cost 0.25 page faults for each of a thousand
/// tasks in flight, and with them a quarter of the server's time. So the node asks for this whenever it has nothing to do, and what it takes is
/// then what it needs, and not what bursts have once needed.
pub(crate) fn give_back() {
    // SAFETY: it may be called at any time; what is in use stays where it is.
    unsafe { mi_collect(true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_as_asked_for() {
        for size in (1..64).chain([96, 100, 1000, 5000, 70_000, 1 << 20]) {
            for align in [1, 2, 8, 16, 32, 64, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the blocks are used within their sizes, and freed once.
                unsafe {
                    let block = Plain.alloc(layout);
                    let zeroed = Plain.alloc_zeroed(layout);
                    assert!((0..size).all(|at| *zeroed.add(at) == 0), "{layout:?}");
                    block.write_bytes(7, size);
                    let grown = Plain.realloc(block, layout, 3 * size);
                    assert!((0..size).all(|at| *grown.add(at) == 7), "{layout:?}");
                    for given in [grown, zeroed] {
                        assert_eq!(given.addr() % align, 0, "{layout:?}");
                    }
                    Plain.dealloc(grown, Layout::from_size_align(3 * size, align).unwrap());
                    Plain.dealloc(zeroed, layout);
                }
            }
        }
    }

    #[test]
    fn what_was_freed_is_given_back() {
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
        };
        give_back();
        let before = resident();
        let layout = Layout::from_size_align(1000, 8).unwrap();
        // SAFETY: each block is used within its size, and freed once.
        let blocks: Vec<_> = (0..100_000)
            .map(|_| unsafe {
                let block = Plain.alloc(layout);
                block.write_bytes(7, 1000);
                block
            })
            .collect();
        let full = resident();
        assert!(full > before + 80_000_000, "{full} is no hundred million bytes above {before}");
        for block in blocks {
            // SAFETY: as above.
            unsafe { Plain.dealloc(block, layout) };
        }
        give_back();
        let after = resident();
        assert!(after + 80_000_000 < full, "{after} is still there of {full}");
    }
}
