//! A node of its own for each test, and a client that speaks the wire by hand, so that it can also speak it wrongly.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use prost::Message;
use thornback_wire::framing::{self, Decoder};
use thornback_wire::v1::{self, client_op, server_op};

/// Long enough that only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running `thornback dev`, which ends with the value.
pub struct Node {
    pub child: Child,
    stdin: Option<ChildStdin>,
    pub unix: PathBuf,
    pub grpc: Option<String>,
    pub token_file: PathBuf,
    pub ports_file: PathBuf,
    pub directory: Option<tempfile::TempDir>,
}

impl Node {
    pub fn start() -> Node {
        Node::with(&["--no-grpc"])
    }

    /// Starts a node with further flags and waits until it listens.
    pub fn with(flags: &[&str]) -> Node {
        Node::within(tempfile::tempdir().unwrap(), flags)
    }

    /// The same with everything of the node in a given directory, which may hold what another node left.
    pub fn within(directory: tempfile::TempDir, flags: &[&str]) -> Node {
        let ports_file = directory.path().join("ports.json");
        // A node that was killed could not remove it.
        let _ = fs::remove_file(&ports_file);
        let mut child = Command::new(env!("CARGO_BIN_EXE_thornback"))
            .arg("dev")
            .arg("--exit-with-stdin")
            .arg("--ports-file")
            .arg(&ports_file)
            .arg("--dir")
            .arg(directory.path().join("node"))
            .arg("--spill-dir")
            .arg(directory.path().join("spill"))
            .args(["--num-cpus", "4", "--store-bytes", "64MiB"])
            .args(flags)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let text = loop {
            match fs::read_to_string(&ports_file) {
                Ok(text) => break text,
                Err(_) => assert!(child.try_wait().unwrap().is_none(), "the node ended before it listened"),
            }
            std::thread::yield_now();
        };
        let ports: serde_json::Value = serde_json::from_str(&text).unwrap();
        Node {
            stdin: child.stdin.take(),
            child,
            unix: ports["unix"].as_str().unwrap().into(),
            grpc: ports["grpc"].as_str().map(Into::into),
            token_file: ports["token_file"].as_str().unwrap().into(),
            ports_file,
            directory: Some(directory),
        }
    }

    /// A connection that has said nothing yet.
    pub fn connect(&self) -> Client {
        Client::connect(&self.unix)
    }

    /// A driver that was welcomed.
    pub fn driver(&self) -> Client {
        let mut client = self.connect();
        client.hello(hello(v1::Role::Driver));
        client
    }

    /// A worker that dials in by itself and serves `functions`.
    pub fn worker(&self, pool: &str, functions: &[&str]) -> Client {
        let mut client = self.connect();
        let functions = functions.iter().map(|name| v1::Function {
            name: (*name).to_owned(),
            min_args: 0,
            max_args: -1,
            ..v1::Function::default()
        });
        client.hello(v1::Hello {
            pool: pool.to_owned(),
            functions: functions.collect(),
            ..hello(v1::Role::Worker)
        });
        client
    }

    /// What `thornback status --json` says.
    pub fn status(&self) -> serde_json::Value {
        let output = self.command(&["status", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs another command of the program on this node.
    pub fn command(&self, words: &[&str]) -> std::process::Output {
        let dir = self.unix.parent().unwrap();
        Command::new(env!("CARGO_BIN_EXE_thornback")).args(words).arg("--dir").arg(dir).output().unwrap()
    }

    /// Kills it as nothing else does, and gives what it left.
    pub fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.directory.take().unwrap()
    }

    /// Lets go of the node's standard input and waits for its end.
    pub fn end(mut self) -> std::process::ExitStatus {
        drop(self.stdin.take());
        self.child.wait().unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

pub fn hello(role: v1::Role) -> v1::Hello {
    v1::Hello {
        version_min: 1,
        version_max: 1,
        role: role.into(),
        language: "test".to_owned(),
        sdk: "test/0".to_owned(),
        pid: std::process::id().into(),
        window_bytes: 64 << 20,
        ..Default::default()
    }
}

/// A session spoken by hand.
pub struct Client {
    pub stream: UnixStream,
    decoder: Decoder,
    buffer: BytesMut,
    waiting: std::collections::VecDeque<server_op::Op>,
    pub seq: u64,
    pub ack: u64,
    pub welcome: v1::Welcome,
}

impl Client {
    /// A connection that has said nothing yet.
    pub fn connect(socket: &Path) -> Client {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client {
            stream,
            decoder: Decoder::new(framing::FRAME_BYTES_MAX),
            buffer: BytesMut::new(),
            waiting: Default::default(),
            seq: 0,
            ack: 0,
            welcome: v1::Welcome::default(),
        }
    }

    /// Says hello and waits for the welcome.
    pub fn hello(&mut self, hello: v1::Hello) {
        self.control(client_op::Op::Hello(Box::new(hello)));
        match self.next() {
            server_op::Op::Welcome(welcome) => self.welcome = *welcome,
            other => panic!("not welcomed but {other:?}"),
        }
    }

    /// An operation in an uncounted frame.
    pub fn control(&mut self, op: client_op::Op) {
        self.frame(&v1::ClientFrame { seq: 0, ack: self.ack, ops: vec![v1::ClientOp { op: Some(op) }] });
    }

    /// Operations in one counted frame.
    pub fn send(&mut self, ops: impl IntoIterator<Item = client_op::Op>) {
        self.seq += 1;
        let ops = ops.into_iter().map(|op| v1::ClientOp { op: Some(op) }).collect();
        self.frame(&v1::ClientFrame { seq: self.seq, ack: self.ack, ops });
    }

    pub fn frame(&mut self, frame: &v1::ClientFrame) {
        self.raw(&framed(&frame.encode_to_vec()));
    }

    /// Bytes as they are. The node may have hung up already, which is no error of the test.
    pub fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next operation that is not of the conversation itself.
    pub fn next(&mut self) -> server_op::Op {
        self.try_next().expect("the node ended the connection")
    }

    /// The same; `None` at the end of the connection.
    pub fn try_next(&mut self) -> Option<server_op::Op> {
        loop {
            if let Some(op) = self.waiting.pop_front() {
                return Some(op);
            }
            let frame = self.try_frame()?;
            self.ack = self.ack.max(frame.seq);
            let quiet = |op: &server_op::Op| {
                matches!(op, server_op::Op::Credit(_) | server_op::Op::Ping(_) | server_op::Op::Pong(_))
            };
            self.waiting.extend(frame.ops.into_iter().filter_map(|op| op.op).filter(|op| !quiet(op)));
        }
    }

    /// The next frame as it came; `None` at the end of the connection.
    pub fn try_frame(&mut self) -> Option<v1::ServerFrame> {
        loop {
            if let Some(frame) = self.decoder.next(&mut self.buffer).unwrap() {
                return Some(v1::ServerFrame::decode(frame).unwrap());
            }
            let mut part = [0; 64 << 10];
            match self.stream.read(&mut part) {
                Ok(0) => return None,
                Ok(n) => self.buffer.extend_from_slice(&part[..n]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came from the node: {error}"),
            }
        }
    }

    /// The code of the goodbye that ends the connection.
    pub fn goodbye(&mut self) -> u32 {
        let mut code = None;
        while let Some(op) = self.try_next() {
            if let server_op::Op::Goodbye(goodbye) = op {
                code = goodbye.failure.map(|failure| failure.code);
            }
        }
        code.expect("the connection ended without a failure")
    }

    pub fn request(&mut self, number: u64, request: v1::request::Request) -> v1::reply::Reply {
        self.send([client_op::Op::Request(Box::new(v1::Request { number, request: Some(request) }))]);
        loop {
            if let server_op::Op::Reply(reply) = self.next() {
                assert_eq!(reply.number, number);
                return reply.reply.unwrap();
            }
        }
    }
}

/// A frame's body behind its length.
pub fn framed(body: &[u8]) -> Vec<u8> {
    [&framing::prefix(body.len()).unwrap()[..], body].concat()
}

/// An id that nobody else has: index 0.
pub fn fresh() -> [u8; 16] {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..12].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id
}

/// The same id with another index.
pub fn output(id: [u8; 16], index: u32) -> Bytes {
    let mut id = id;
    id[12..].copy_from_slice(&index.to_be_bytes());
    Bytes::copy_from_slice(&id)
}

pub fn bytes(id: [u8; 16]) -> Bytes {
    Bytes::copy_from_slice(&id)
}

pub fn raw_value(data: &'static [u8]) -> v1::Value {
    v1::Value { format: v1::Format::Raw.into(), data: Bytes::from_static(data), ..Default::default() }
}

pub fn arg(value: v1::Value) -> v1::Arg {
    v1::Arg { keyword: String::new(), arg: Some(v1::arg::Arg::Value(value)) }
}

/// A function by name that needs one CPU and gives one object.
pub fn declare(number: u32, function: &str) -> client_op::Op {
    client_op::Op::Declare(Box::new(v1::Declare {
        number,
        function: function.to_owned(),
        returns: 1,
        resources: Some(v1::Resources { amounts: [("CPU".to_owned(), 10_000)].into() }),
        max_retries: 3,
        bundle: -1,
        ..Default::default()
    }))
}

pub fn submit(task: [u8; 16], declaration: u32, args: Vec<v1::Arg>) -> client_op::Op {
    client_op::Op::Submit(v1::Submit { task: bytes(task), declaration, args, parent: Bytes::new() })
}

pub fn done(run: &v1::Run, value: v1::Value) -> client_op::Op {
    client_op::Op::Done(v1::Done {
        task: run.task.clone(),
        attempt: run.attempt,
        results: vec![v1::Result { result: Some(v1::result::Result::Value(value)) }],
        ..Default::default()
    })
}
