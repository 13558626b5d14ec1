//! Worker processes: starting them, forking them from a warmed template, reading what they print, watching and ending them.
//!
//! This crate decides nothing (which worker to start, when to end one and which to give up when memory runs out is the core's to say),
//! and it knows nothing of sessions: a worker dials the node as any client does, and until it has, it is a process and no more.
//!
//! - [`Workers`]: the only way in. All of its calls return at once; what comes of them arrives as an [`Event`].
//! - [`memory`]: how much the machine, the control group and a process have and take.
//!
//! What it holds to:
//! - Every launch is answered by one `Started` or `StartFailed`, and every `Started` by one `Exited`, which is the last that is heard of it.
//! - A signal goes through a descriptor of the process, never to a number, so it cannot hit a process that took the number over.
//! - Each worker leads a process group, and what it leaves behind there ends with it.
//! - No worker outlives the node, however the node ends: the kernel kills those that the node started (PR_SET_PDEATHSIG), and a template
//!   must ask the same for those that it forks. (What a worker itself started outlives a node that is killed with SIGKILL, if it does not
//!   mind that its pipes are closed.)
//! - A worker sees only what the node's [`Environment`] and its own command say, not all that the node's user had set.
//!
//! Linux 5.4 or later (pidfd_open, waitid on a pidfd).
//!
//! ```
//! use thornback_types::WorkerId;
//! use thornback_workers::{Event, ExitStatus, Options, WorkerCommand, Workers};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let (workers, mut events) = Workers::start(Options::default())?;
//! let command = WorkerCommand {
//!     program: "sh".into(),
//!     args: vec!["-c".into(), "echo $THORNBACK_LAUNCH; exit 3".into()],
//!     ..WorkerCommand::default()
//! };
//! workers.spawn(WorkerId(7), command);
//!
//! assert!(matches!(events.recv().await, Some(Event::Started { launch: WorkerId(7), .. })));
//! assert!(matches!(events.recv().await, Some(Event::Lines { lines, .. }) if lines == ["7"]));
//! assert!(matches!(events.recv().await, Some(Event::Exited { status: ExitStatus::Code(3), .. })));
//! assert_eq!(workers.shutdown().await, 0);
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]

mod command;
mod control;
mod event;
pub mod memory;
mod mind;
mod output;
mod process;
mod spawner;
mod sys;
mod template;
mod workers;

pub use command::{Environment, WorkerCommand};
pub use event::{Event, ExitStatus, Source, Stream};
pub use workers::{Options, TemplateId, Workers};
