//! `thornback start` and `stop`: a node that outlives the terminal.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use thornback_transport::Directory;

use crate::flags::{Start, Stop, Telemetry};
use crate::{Result, place};

/// How long a node may take to end its workers before it is killed.
const ENDING: Duration = Duration::from_secs(15);

/// Starts a node as a process of its own and waits until it listens.
pub(crate) fn start(flags: &Start, telemetry: &Telemetry) -> Result {
    let directory = flags.node.dir.clone().unwrap_or_else(place::of_start);
    if let Some(pid) = Directory::holder(&directory) {
        return Err(format!(
            "a node already runs in {} (process {pid}): `thornback stop` ends it, --dir names another directory",
            directory.display()
        ));
    }
    let log_path = log_of(&directory);
    let mut log = open_log(&log_path)?;
    let program =
        env::current_exe().map_err(|error| format!("cannot tell where this program is: {error}"))?;
    let mut command = Command::new(program);
    command.arg("dev").arg("--background").arg("--dir").arg(&directory);
    command.args(["--log-level", &telemetry.log_level]);
    if telemetry.log_format == crate::flags::LogFormat::Json {
        command.args(["--log-format", "json"]);
    }
    command.args(arguments(env::args_os().skip(1)));
    let stderr = log.try_clone().map_err(|error| format!("cannot share the log: {error}"))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map_err(|error| format!("cannot start a node: {error}"))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        // An error reads as no line, and that is told below.
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    let Ok(listening) = serde_json::from_str::<serde_json::Value>(&line) else {
        let _ = child.wait();
        return Err(format!("the node ended before it listened; it said:\n{}", tail(&mut log)));
    };
    println!("thornback: a node runs (process {}), log in {}", child.id(), log_path.display());
    if let Some(unix) = listening["unix"].as_str() {
        println!("thornback: THORNBACK_ADDRESS=unix:{unix}");
    }
    if let Some(grpc) = listening["grpc"].as_str() {
        println!("thornback: gRPC on {grpc}");
    }
    Ok(())
}

/// Ends the node of a directory and waits until it is gone.
pub(crate) fn stop(flags: &Stop) -> Result {
    let directory = flags.dir.clone().unwrap_or_else(place::of_start);
    let holder = || Directory::holder(&directory).and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let none = || format!("no node runs in {}: name another directory with --dir", directory.display());
    let pid = holder().ok_or_else(none)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| none())?;
    // Between the two looks the process may have ended and its number gone to another. The lock says that it has not.
    if holder() != Some(pid) {
        return Err(none());
    }
    let cannot = |error: rustix::io::Errno| format!("cannot end process {}: {error}", pid.as_raw_nonzero());
    pidfd_send_signal(&process, Signal::TERM).map_err(cannot)?;
    if flags.force {
        // A second signal tells the node not to wait for its workers. Another one, because two of the same may arrive as one.
        pidfd_send_signal(&process, Signal::INT).map_err(cannot)?;
    }
    let ended = || {
        let limit = Timespec { tv_sec: ENDING.as_secs() as i64, tv_nsec: 0 };
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
    };
    if !ended() {
        pidfd_send_signal(&process, Signal::KILL).map_err(cannot)?;
        if !ended() {
            return Err(format!(
                "process {} does not end, even by SIGKILL: it hangs in the kernel",
                pid.as_raw_nonzero()
            ));
        }
    }
    println!("thornback: the node of {} has ended", directory.display());
    Ok(())
}

/// The flags of the node as they were given to `start`, less those that it sets itself.
fn arguments(all: impl Iterator<Item = std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let mut arguments = Vec::new();
    let mut all = all;
    while let Some(word) = all.next() {
        let text = word.to_string_lossy();
        if text == "start" && arguments.is_empty() {
            continue;
        }
        let own = ["--dir", "--log-level", "--log-format"];
        if own.contains(&text.as_ref()) {
            all.next();
        } else if !own.iter().any(|flag| text.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))) {
            arguments.push(word);
        }
    }
    arguments
}

/// Beside the directory, which is removed when the node ends.
fn log_of(directory: &Path) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push(".log");
    name.into()
}

fn open_log(path: &Path) -> Result<File> {
    let open = || {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let flags = OFlags::NOFOLLOW.bits() as i32;
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags)
            .open(path)?;
        // In a directory that all may write to, somebody else may have put it there.
        if file.metadata()?.uid() != rustix::process::geteuid().as_raw() {
            return Err(std::io::Error::other("it belongs to another user"));
        }
        file.set_len(0)?;
        Ok(file)
    };
    open().map_err(|error| format!("cannot open the log {}: {error}; choose another --dir", path.display()))
}

fn tail(log: &mut File) -> String {
    let mut text = String::new();
    let _ = log.seek(SeekFrom::Start(0)).and_then(|_| log.take(16 << 10).read_to_string(&mut text));
    let text = text.trim();
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_on_what_is_the_nodes() {
        let words = ["start", "--num-cpus", "2", "--dir", "/x", "--log-level=debug", "--no-grpc"];
        let passed = arguments(words.iter().map(Into::into));
        assert_eq!(passed, ["--num-cpus", "2", "--no-grpc"]);
    }
}
