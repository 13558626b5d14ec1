//! The words between a node and a template (`protocol/spec/worker.md`): JSON lines over a Unix stream socket, descriptors beside them.
//!
//! Only the words: when to say what is `template.rs`.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Deserialize;
use thornback_types::WorkerId;
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::event::ExitStatus;

/// Longest line that a template may say. All that it has to say fits into a hundredth of it.
const LINE_BYTES: usize = 64 << 10;

/// What a template says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is warm.
    Ready,
    /// It forked a child for this launch.
    Forked { launch: WorkerId, pid: u32 },
    /// The child of this launch ended, and it reaped it. Or, without `Forked` before: no process could be made.
    Exited { launch: WorkerId, status: ExitStatus },
    /// Well-formed, but from a later version of the protocol.
    Unknown,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    ready: bool,
    forked: Option<u64>,
    exited: Option<u64>,
    pid: Option<u32>,
    code: Option<i32>,
    signal: Option<i32>,
}

impl Told {
    /// Reads one line, without its end.
    pub(crate) fn parse(line: &[u8]) -> Result<Told, String> {
        let line: Line = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        Ok(match line {
            Line { ready: true, .. } => Told::Ready,
            Line { forked: Some(launch), pid: Some(pid), .. } => {
                Told::Forked { launch: WorkerId(launch), pid }
            }
            Line { forked: Some(_), pid: None, .. } => return Err("`forked` without `pid`".to_owned()),
            Line { exited: Some(launch), code, signal, .. } => Told::Exited {
                launch: WorkerId(launch),
                status: match (code, signal) {
                    (_, Some(signal)) => ExitStatus::Signal(signal),
                    (Some(code), None) => ExitStatus::Code(code),
                    (None, None) => ExitStatus::Unknown,
                },
            },
            _ => Told::Unknown,
        })
    }
}

/// Collects bytes from the socket into lines.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Vec<u8>);

impl Inbox {
    /// Reads what is there, once. `Ok(None)` at the end of the socket. To be called when it is readable.
    pub(crate) fn read(&mut self, socket: &UnixStream) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut buffer = [0; 4 << 10];
        match socket.try_read(&mut buffer) {
            Ok(0) => Ok(None),
            Ok(n) => self.feed(&buffer[..n]).map(Some),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Some(Vec::new())),
            Err(e) => Err(e),
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte == b'\n' {
                lines.push(std::mem::take(&mut self.0));
            } else if self.0.len() < LINE_BYTES {
                self.0.push(byte);
            } else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a line is longer than {LINE_BYTES} bytes"),
                ));
            }
        }
        Ok(lines)
    }
}

/// A request to fork, on its way.
pub(crate) struct ForkLine {
    line: Vec<u8>,
    said: usize,
    // Until the first byte is on its way, and the descriptors with it.
    outputs: Option<[OwnedFd; 2]>,
}

impl ForkLine {
    pub(crate) fn new(launch: WorkerId, stdout: OwnedFd, stderr: OwnedFd) -> ForkLine {
        let line = format!("{{\"fork\":{}}}\n", launch.0).into_bytes();
        ForkLine { line, said: 0, outputs: Some([stdout, stderr]) }
    }

    /// Sends what the socket takes; true once all is sent. `WouldBlock` if it takes nothing now.
    pub(crate) fn send(&mut self, socket: &UnixStream) -> io::Result<bool> {
        let n = socket.try_io(Interest::WRITABLE, || {
            let rest = [IoSlice::new(&self.line[self.said..])];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            let fds = self.outputs.as_ref().map(|outputs| outputs.each_ref().map(AsFd::as_fd));
            if let Some(fds) = &fds {
                // The space was measured for it.
                beside.push(SendAncillaryMessage::ScmRights(fds));
            }
            Ok(sendmsg(socket, &rest, &mut beside, SendFlags::NOSIGNAL)?)
        })?;
        if n > 0 {
            self.outputs = None;
        }
        self.said += n;
        Ok(self.said == self.line.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_understood() {
        let launch = WorkerId(7);
        for (line, told) in [
            (r#"{"ready":true}"#, Told::Ready),
            (r#"{"ready":true,"later":"field"}"#, Told::Ready),
            (r#"{"forked":7,"pid":4242}"#, Told::Forked { launch, pid: 4242 }),
            (
                r#"{"exited":7,"pid":1,"code":3,"signal":null}"#,
                Told::Exited { launch, status: ExitStatus::Code(3) },
            ),
            (
                r#"{"exited":7,"pid":1,"code":null,"signal":9}"#,
                Told::Exited { launch, status: ExitStatus::Signal(9) },
            ),
            (r#"{"exited":7,"pid":1}"#, Told::Exited { launch, status: ExitStatus::Unknown }),
            (r#"{"ready":false}"#, Told::Unknown),
            (r#"{"news":[1,2]}"#, Told::Unknown),
        ] {
            assert_eq!(Told::parse(line.as_bytes()), Ok(told), "{line}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        for line in [
            "",
            "ready",
            "[]x",
            r#"{"forked":7}"#,
            r#"{"forked":-1,"pid":1}"#,
            r#"{"forked":7,"pid":99999999999}"#,
            r#"{"exited":"7"}"#,
            "\u{0}\u{1}",
            r#"{"ready":true"#,
        ] {
            assert!(Told::parse(line.as_bytes()).is_err(), "{line:?}");
        }
        assert!(Told::parse(b"\xff\xfe{}").is_err());
    }

    #[test]
    fn lines_are_cut_wherever_the_bytes_break_and_bounded() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.feed(b"a").unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(inbox.feed(b"b\n\nc").unwrap(), [b"ab".to_vec(), Vec::new()]);
        assert_eq!(inbox.feed(b"\n").unwrap(), [b"c".to_vec()]);
        assert!(inbox.feed(&vec![b'x'; LINE_BYTES]).unwrap().is_empty());
        assert!(inbox.feed(b"x").is_err());
    }
}
