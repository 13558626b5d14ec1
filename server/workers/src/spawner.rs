//! The thread that starts processes.
//!
//! Starting one takes a fork, an exec and a wait for its outcome, a millisecond or more that the event loop should not lose. And it must
//! be one thread for as long as the workers live: PR_SET_PDEATHSIG speaks of the *thread* that started a process, so a worker that was
//! started from a pool of threads would be killed when the pool lets an idle thread go. When this thread ends, its workers end.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;
use tracing::debug;

use crate::command::{Environment, WorkerCommand};
use crate::mind::Born;
use crate::process::Process;
use crate::sys;

/// A process to start.
pub(crate) struct Job {
    pub(crate) command: WorkerCommand,
    /// Variables that the command cannot override.
    pub(crate) env: Vec<(&'static str, String)>,
    /// The descriptor that THORNBACK_CONTROL_FD names.
    pub(crate) control: Option<OwnedFd>,
    pub(crate) oom_score_adj: i32,
    pub(crate) reply: oneshot::Sender<Result<Born, String>>,
}

/// The thread, which ends (and its processes with it) when this is dropped.
#[derive(Debug)]
pub(crate) struct Spawner(mpsc::Sender<Job>);

impl Spawner {
    pub(crate) fn start(environment: Environment) -> io::Result<Spawner> {
        let (sender, jobs) = mpsc::channel::<Job>();
        thread::Builder::new().name("thornback-spawn".to_owned()).spawn(move || {
            for job in jobs {
                if job.reply.is_closed() {
                    continue;
                }
                let outcome = spawn(environment, &job.command, &job.env, job.control, job.oom_score_adj);
                // If nobody waits any more, the process is dropped here, which kills it.
                let _ = job.reply.send(outcome);
            }
        })?;
        Ok(Spawner(sender))
    }

    pub(crate) fn spawn(&self, job: Job) {
        // The thread ends only after this sender is gone, unless it panicked; then the job is dropped, which its reply tells.
        let _ = self.0.send(job);
    }
}

fn spawn(
    environment: Environment,
    what: &WorkerCommand,
    env: &[(&'static str, String)],
    control: Option<OwnedFd>,
    oom_score_adj: i32,
) -> Result<Born, String> {
    let mut command = Command::new(&what.program);
    command
        .args(&what.args)
        .env_clear()
        .envs(environment.inherited())
        .envs(what.env.iter().map(|(name, value)| (name, value)))
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(directory) = &what.working_dir {
        command.current_dir(directory);
    }
    if let Some(control) = &control {
        command.env("THORNBACK_CONTROL_FD", control.as_raw_fd().to_string());
    }
    sys::before_exec(&mut command, control.as_ref().map(AsRawFd::as_raw_fd));

    let mut child = command.spawn().map_err(|e| explain(what, &e))?;
    let process = match Process::of_child(&child) {
        Ok(process) => process,
        Err(e) => {
            let _ = child.kill().and_then(|()| child.wait());
            return Err(format!("cannot watch the process of `{}`: {e}", what.program));
        }
    };
    set_oom_score_adj(process.pid(), oom_score_adj);
    // Both are there: they were asked for above.
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(format!("`{}` was started without its pipes", what.program));
    };
    let (stdout, stderr) = (stdout.into(), stderr.into());
    Ok(Born { pid: process.pid(), process: Some(process), stdout, stderr, death: None })
}

/// Asks the kernel to give this process up before others (0 to 1000) when memory runs out.
pub(crate) fn set_oom_score_adj(pid: u32, value: i32) {
    if let Err(e) = fs::write(format!("/proc/{pid}/oom_score_adj"), value.to_string()) {
        debug!(pid, "cannot set oom_score_adj: {e}");
    }
}

/// Why the command did not start, and what to do about it.
fn explain(what: &WorkerCommand, error: &io::Error) -> String {
    let program = &what.program;
    if program.is_empty() {
        return "the pool's command is empty; give at least a program".to_owned();
    }
    // The working directory is entered before the program is looked up, and answers with the same errors.
    if let Some(directory) = &what.working_dir
        && !directory.is_dir()
    {
        return format!(
            "the pool's working directory {} does not exist or is not a directory",
            directory.display()
        );
    }
    match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') => {
            format!(
                "the pool's command `{program}` does not exist, or the interpreter in its first line does not"
            )
        }
        io::ErrorKind::NotFound => format!(
            "the pool's command `{program}` is not on the PATH of this node's workers; give its full path, or set PATH in the pool's env"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("the pool's command `{program}` may not be executed: {error}; check its mode and owner")
        }
        io::ErrorKind::InvalidInput => format!("the pool's command `{program}` cannot be passed on: {error}"),
        _ => match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => {
                format!(
                    "no descriptors are left to start `{program}`: {error}; raise the node's limit (ulimit -n)"
                )
            }
            Some(libc::EAGAIN | libc::ENOMEM) => format!(
                "the system has no room for another process for `{program}`: {error}; check memory, and the limits on processes (ulimit -u, pids.max)"
            ),
            Some(libc::ENOEXEC) => {
                format!("the pool's command `{program}` is no program for this machine: {error}")
            }
            _ => format!("the pool's command `{program}` cannot be started: {error}"),
        },
    }
}
