//! Everything that is heard of worker processes, as one closed enum.

use std::fmt;

use thornback_types::WorkerId;

use crate::TemplateId;

/// Something that happened to a process.
///
/// For one launch the order is: `Started` or `StartFailed`; any number of `Lines`; `Exited`, once. For one template: any number of `Lines`,
/// at most one `TemplateReady`, and `TemplateDied`, once. Between launches and templates there is no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A process runs. (It becomes a worker once it has said hello.)
    Started {
        /// As given to `spawn` or `fork`.
        launch: WorkerId,
        /// Its process number.
        pid: u32,
    },
    /// No process came of it, and none will.
    StartFailed {
        /// As given to `spawn` or `fork`.
        launch: WorkerId,
        /// For people: what happened and what to do.
        reason: String,
    },
    /// A started process is gone, with everything in its process group.
    Exited {
        /// As given to `spawn` or `fork`.
        launch: WorkerId,
        /// Its process number, which may be taken by another process by now.
        pid: u32,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to stderr, at most 2 KiB; the lines have been in `Lines` before.
        last_words: String,
    },
    /// What a process printed: whole lines without their ends, invalid UTF-8 replaced.
    Lines {
        /// Who printed.
        source: Source,
        /// Where to.
        stream: Stream,
        /// At least one.
        lines: Vec<String>,
    },
    /// A template is warm: it forks from now on.
    TemplateReady {
        /// As given to `start_template`.
        template: TemplateId,
        /// Its process number.
        pid: u32,
    },
    /// A template could not be started, ended, or was ended. Its workers are being killed; each is answered by its own event.
    TemplateDied {
        /// As given to `start_template`.
        template: TemplateId,
        /// For people: what happened, with the end of what it wrote to stderr.
        reason: String,
    },
}

/// A process that prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A worker.
    Worker(WorkerId),
    /// A template itself.
    Template(TemplateId),
}

/// Where a process prints to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Nobody could tell: its template, which alone may ask, is gone or did not say.
    Unknown,
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "ended with exit code {code}"),
            ExitStatus::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "was ended by {name}"),
                None => write!(f, "was ended by signal {signal}"),
            },
            ExitStatus::Unknown => f.write_str("ended"),
        }
    }
}

/// The signals that end processes in practice.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGSYS => "SIGSYS",
        _ => return None,
    })
}
