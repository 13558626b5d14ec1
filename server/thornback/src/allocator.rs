//! The allocator of the process, and those of its settings that are not features of its crate. It never looks at what is allocated.
//!
//! mimalloc, because against glibc's it takes a tenth fewer instructions for each task. Its huge pages are off (`no_thp`): they made nothing
//! faster and took 8 MB at rest, and 23 for work that needs 5.

#![allow(unsafe_code)]

use std::ffi::c_long;

use libmimalloc_sys::{mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h (v3), which the crate has no name for: milliseconds until free pages go back to the system.
const PURGE_DELAY: mi_option_t = 15;

/// `mi_option_page_full_retain`, likewise: how many free pages of 64 KiB are kept for each size.
const PAGE_FULL_RETAIN: mi_option_t = 36;

/// Has memory that becomes free go back to the system at once. What the server takes is then what it needs, before and after a million tasks,
/// and not what bursts have once needed. It made no batch of tasks slower.
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
    fn the_options_are_those_that_are_meant() {
        // SAFETY: it reads numbers of the allocator's own table, at indices that the table has.
        let get = || unsafe { [mi_option_get(PURGE_DELAY), mi_option_get(PAGE_FULL_RETAIN)] };
        assert_eq!(get(), [1000, 2], "the defaults of v3, which their neighbours do not share");
        keep_nothing_back();
        assert_eq!(get(), [0, 0]);
    }
}
