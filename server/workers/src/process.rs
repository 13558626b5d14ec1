//! One process, held by a descriptor.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use tracing::{debug, warn};

use crate::event::ExitStatus;
use crate::sys;

/// A process that must not outlive this value: dropping it kills the process and its group.
///
/// Its descriptor becomes readable once the process is gone.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    // A child of this very process, so that its number is not given to another before it is reaped here.
    ours: bool,
    over: bool,
}

/// Why a process that a template named cannot be held.
#[derive(Debug)]
pub(crate) enum NotAdopted {
    /// It is gone already.
    Gone,
    /// It lives, but is none of the template's children.
    Stranger,
    /// The system refused.
    Failed(io::Error),
}

impl Process {
    /// Holds a child of this process that nobody has reaped.
    pub(crate) fn of_child(child: &std::process::Child) -> io::Result<Process> {
        let pid = Pid::from_child(child);
        Ok(Process { pid, pidfd: pidfd_open(pid, PidfdFlags::empty())?, ours: true, over: false })
    }

    /// Holds a process that its parent `parent` has told us of.
    pub(crate) fn of_template(pid: u32, parent: u32) -> Result<Process, NotAdopted> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(NotAdopted::Stranger)?;
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Err(NotAdopted::Gone),
            Err(e) => return Err(NotAdopted::Failed(e.into())),
        };
        // By now the number may belong to another process, or have done so from the start. The parent of whoever has it is read after
        // the descriptor was taken, so if it is the template, the descriptor is of that child.
        match parent_of(pid) {
            Some(found) if found == parent => Ok(Process { pid, pidfd, ours: false, over: false }),
            Some(_) => Err(NotAdopted::Stranger),
            None => Err(NotAdopted::Gone),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Signals the process and all of its group. Nothing happens if none is left.
    pub(crate) fn signal(&self, signal: Signal) {
        let group = sys::signal_group(self.pidfd.as_fd(), signal).or_else(|e| match e.raw_os_error() {
            Some(libc::EINVAL) => self.signal_group_by_number(signal),
            _ => Err(e),
        });
        let Err(e) = group else { return };
        debug!(pid = self.pid(), "no group to signal ({e}), so only the process itself");
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(e) => warn!(pid = self.pid(), ?signal, "cannot signal a worker: {e}"),
        }
    }

    /// For kernels before 6.9. Our own children keep the number of their group reserved until they are reaped. For others there remains a
    /// moment between the look and the signal.
    fn signal_group_by_number(&self, signal: Signal) -> io::Result<()> {
        let leads =
            if self.ours { !self.over } else { rustix::process::getpgid(Some(self.pid)) == Ok(self.pid) };
        if !leads {
            return Err(Errno::SRCH.into());
        }
        Ok(rustix::process::kill_process_group(self.pid, signal)?)
    }

    /// Takes note that the process is gone: ends what is left of its group and, if it was our own child, reaps it and tells how it ended.
    /// To be called once, after the descriptor became readable.
    pub(crate) fn reap(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::KILL);
        self.over = true;
        if !self.ours {
            return None;
        }
        let status = match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => ExitStatus::Code(code),
                (None, Some(signal)) => ExitStatus::Signal(signal),
                (None, None) => ExitStatus::Unknown,
            },
            // Somebody in this process waits for all children, which it should not.
            Ok(None) | Err(_) => ExitStatus::Unknown,
        };
        Some(status)
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.signal(Signal::KILL);
        if self.ours {
            // Without waiting: a large process takes its time to end. What is not reaped here is when the node ends.
            let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
    }
}

/// The parent of a process, if there is such a process.
fn parent_of(pid: Pid) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // "pid (name) state ppid …": the name may hold anything, also spaces and parentheses.
    let parent: u32 = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
    // What is reaped while the kernel writes this line has no parent any more.
    (parent != 0).then_some(parent)
}
