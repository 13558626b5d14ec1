//! A question to a running node, over its Unix socket: hello, one request, its reply, goodbye.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use prost::Message;
use thornback_transport::Directory;
use thornback_wire::framing::{self, Decoder};
use thornback_wire::v1;

use crate::{Result, place};

/// A node that is alive answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends `request` to the node of `directory` and gives its reply.
pub(crate) fn ask(directory: Option<&Path>, request: v1::request::Request) -> Result<v1::reply::Reply> {
    let directory = directory.map_or_else(place::of_start, Path::to_owned);
    let mut conversation = Conversation::open(&Directory::socket_in(&directory)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no node runs in {}: begin one with `thornback start`, or name another directory with --dir", directory.display())
        }
        io::ErrorKind::PermissionDenied => {
            format!("the node in {} belongs to another user", directory.display())
        }
        _ => format!("cannot talk to the node in {}: {error}", directory.display()),
    })?;
    conversation
        .ask(request)
        .map_err(|error| format!("the node in {} did not answer: {error}", directory.display()))?
}

struct Conversation {
    stream: UnixStream,
    decoder: Decoder,
    buffer: bytes::BytesMut,
}

impl Conversation {
    fn open(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, decoder: Decoder::new(framing::FRAME_BYTES_MAX), buffer: bytes::BytesMut::new() })
    }

    /// The outer error is of the connection, the inner one of the node.
    fn ask(&mut self, request: v1::request::Request) -> io::Result<Result<v1::reply::Reply>> {
        use v1::client_op::Op;
        use v1::server_op::Op as Answer;
        let hello = v1::Hello {
            version_min: 1,
            version_max: 1,
            role: v1::Role::Driver.into(),
            sdk: concat!("thornback-cli/", env!("CARGO_PKG_VERSION")).to_owned(),
            job_name: "thornback command".to_owned(),
            pid: std::process::id().into(),
            window_bytes: framing::FRAME_BYTES_MAX as u64 * 4,
            ..Default::default()
        };
        self.send(0, Op::Hello(Box::new(hello)))?;
        self.send(1, Op::Request(Box::new(v1::Request { number: 1, request: Some(request) })))?;
        loop {
            for op in self.receive()?.ops.into_iter().filter_map(|op| op.op) {
                let failure = match op {
                    Answer::Reply(reply) if reply.number == 1 => {
                        // Best effort: the connection ends anyway.
                        let _ = self.send(0, Op::Goodbye(Box::default()));
                        match reply.reply {
                            Some(v1::reply::Reply::Failure(failure)) => Some(*failure),
                            Some(reply) => return Ok(Ok(reply)),
                            None => {
                                return Ok(Err(
                                    "the node's reply is of a kind that this command does not know"
                                        .to_owned(),
                                ));
                            }
                        }
                    }
                    Answer::Goodbye(goodbye) => Some(goodbye.failure.unwrap_or_default()),
                    Answer::Refused(refused) => Some(refused.failure.unwrap_or_default()),
                    _ => None,
                };
                if let Some(failure) = failure {
                    let code = thornback_types::Code::from_number(failure.code);
                    let name = code.map_or_else(|| format!("code {}", failure.code), |code| code.to_string());
                    return Ok(Err(format!("{name}: {}", failure.message)));
                }
            }
        }
    }

    fn send(&mut self, seq: u64, op: v1::client_op::Op) -> io::Result<()> {
        let body = v1::ClientFrame { seq, ack: 0, ops: vec![v1::ClientOp { op: Some(op) }] }.encode_to_vec();
        let prefix =
            framing::prefix(body.len()).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.stream.write_all(&[&prefix[..], &body].concat())
    }

    fn receive(&mut self) -> io::Result<v1::ServerFrame> {
        let invalid =
            |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        loop {
            if let Some(frame) = self.decoder.next(&mut self.buffer).map_err(|error| invalid(&error))? {
                return v1::ServerFrame::decode(frame).map_err(|error| invalid(&error));
            }
            let mut part = [0; 16 << 10];
            match self.stream.read(&mut part)? {
                0 => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the node ended the connection",
                    ));
                }
                n => self.buffer.extend_from_slice(&part[..n]),
            }
        }
    }
}
