//! The only unsafe code of the crate: what has to be done between fork and exec, a system call without a safe wrapper, and handing a
//! descriptor to the event loop.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::process::Process;

/// Has the child, between fork and exec, ask to be killed when the thread that started it ends, and keep one descriptor open across exec.
pub(crate) fn before_exec(command: &mut Command, keep: Option<RawFd>) {
    let parent = rustix::process::getpid();
    // SAFETY: the closure runs in a forked child, where only async-signal-safe calls are allowed. It makes three system calls (prctl,
    // getppid, fcntl) without libc in between, and allocates nothing: the error is a constant or an errno.
    unsafe { command.pre_exec(move || tie_to_parent(parent, keep)) };
}

fn tie_to_parent(parent: Pid, keep: Option<RawFd>) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the call above, and then nobody would tell.
    if rustix::process::getppid() != Some(parent) {
        return Err(rustix::io::Errno::CHILD.into());
    }
    if let Some(fd) = keep {
        // SAFETY: the descriptor is open: the parent holds it until the child has called exec, and fork copied it.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
    }
    Ok(())
}

/// Signals every process in the group that the process of `pidfd` leads or led, even if it is gone itself. Linux 6.9 or later, else EINVAL.
pub(crate) fn signal_group(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;
    // SAFETY: the arguments are a descriptor that is open for the length of the call, a signal number, a null siginfo (which the call
    // allows) and a flag; no memory of ours is read or written.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal.as_raw(),
            std::ptr::null::<libc::siginfo_t>(),
            PIDFD_SIGNAL_PROCESS_GROUP,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets a task wait for the end of a process.
pub(crate) fn watch(process: Process) -> io::Result<AsyncFd<Process>> {
    // SAFETY: a `Process` owns its descriptor, answers with the same one for as long as it lives, and never closes or replaces it before.
    let watched = unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) };
    watched.map_err(io::Error::from)
}
