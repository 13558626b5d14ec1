//! The allocator of the process, and those of its settings that are not features of its crate. It never looks at what is allocated.
//!
//! mimalloc, because against glibc's it takes a tenth fewer instructions for each task. Its huge pages are off (`no_thp`): they made nothing
//! faster and took 8 MB at rest, and 23 for work that needs 5.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_long;

use libmimalloc_sys::{mi_free, mi_malloc, mi_option_set, mi_option_t, mi_realloc, mi_zalloc};
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

/// `mi_option_purge_delay` of mimalloc.h (v3), which the crate has no name for: milliseconds until free pages go back to the system.
const PURGE_DELAY: mi_option_t = 15;

/// `mi_option_page_full_retain`, likewise: how many free pages of 64 KiB are kept for each size.
const PAGE_FULL_RETAIN: mi_option_t = 36;

/// Has memory that becomes free go back to the system at once. What the server takes is then what it needs, before and after a million tasks, and not
/// what bursts have once needed: kept for a tenth of a second, it was a tenth more in the middle of batches.
///
/// That has its price: 0.18 page faults and 0.015 system calls for each of a thousand tasks in flight, where keeping it would take 0.006 and 0.0002.
pub(crate) fn keep_nothing_back() {
    set(PURGE_DELAY, 0);
    set(PAGE_FULL_RETAIN, 0);
}

fn set(option: mi_option_t, value: c_long) {
    // SAFETY: it writes a number into the allocator's own table, at an index that the table has.
    unsafe { mi_option_set(option, value) }
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::mi_option_get;

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
    fn the_options_are_those_that_are_meant() {
        // SAFETY: it reads numbers of the allocator's own table, at indices that the table has.
        let get = || unsafe { [mi_option_get(PURGE_DELAY), mi_option_get(PAGE_FULL_RETAIN)] };
        assert_eq!(get(), [1000, 2], "the defaults of v3, which their neighbours do not share");
        keep_nothing_back();
        assert_eq!(get(), [0, 0]);
    }
}
