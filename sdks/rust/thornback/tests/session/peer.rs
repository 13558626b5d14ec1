//! The other end of a session, played by the test: it reads what the client sent, and says what the test wants.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use thornback::{Bytes, Client, ConnectOptions, Result};
use thornback_wire::Message;
use thornback_wire::v1::{self, client_op, server_op};

/// No answer of the client takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node that does nothing by itself.
pub struct Peer {
    pub limits: v1::Limits,
    listener: UnixListener,
    directory: tempfile::TempDir,
    stream: Option<UnixStream>,
    /// The last hello.
    pub hello: Option<v1::Hello>,
    /// Number of the last counted frame that the client was sent, and of the last one that it sent.
    pub seq: u64,
    pub taken: u64,
    /// Whether frames acknowledge what was taken.
    pub acknowledges: bool,
    /// Operations that were read and not asked for yet.
    ops: VecDeque<client_op::Op>,
    /// Operations of uncounted frames.
    pub control: VecDeque<client_op::Op>,
}

impl Peer {
    pub fn new() -> Peer {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("node.sock")).expect("binds");
        let limits = v1::Limits {
            frame_bytes: 4 << 20,
            inline_bytes: 100 << 10,
            window_bytes: 8 << 20,
            heartbeat_ms: 0,
            grace_ms: 60_000,
            object_bytes: 0,
        };
        Peer {
            limits,
            listener,
            directory,
            stream: None,
            hello: None,
            seq: 0,
            taken: 0,
            acknowledges: true,
            ops: VecDeque::new(),
            control: VecDeque::new(),
        }
    }

    /// A client that was welcomed, and the peer that did it.
    pub fn welcomed() -> (Peer, Client) {
        let mut peer = Peer::new();
        let client = peer.open(Peer::welcome).expect("is welcomed");
        (peer, client)
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("unix:{}", self.directory.path().join("node.sock").display())
    }

    /// Has a client connect, and answers its hello with `answer`.
    pub fn open(&mut self, answer: impl FnOnce(&mut Peer)) -> Result<Client> {
        let address = self.address();
        let connecting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(ConnectOptions::new().logs(false).connect(&address))
        });
        self.accept();
        answer(self);
        connecting.join().expect("does not panic")
    }

    /// Takes a connection and its hello.
    pub fn accept(&mut self) -> v1::Hello {
        let (stream, _) = self.listener.accept().expect("somebody connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("takes a timeout");
        self.stream = Some(stream);
        let frame = self.any_frame().expect("a frame");
        assert_eq!((frame.seq, frame.ops.len()), (0, 1), "the first frame is the hello and nothing else");
        match frame.ops.into_iter().next().and_then(|op| op.op) {
            Some(client_op::Op::Hello(hello)) => {
                self.hello = Some((*hello).clone());
                *hello
            }
            other => panic!("not a hello: {other:?}"),
        }
    }

    pub fn welcome(&mut self) {
        self.control_op(server_op::Op::Welcome(Box::new(self.a_welcome())));
    }

    pub fn a_welcome(&self) -> v1::Welcome {
        v1::Welcome {
            version: 1,
            features: vec!["streams".into(), "actors".into()],
            limits: Some(self.limits),
            session: Bytes::from_static(&[1; 16]),
            secret: Bytes::from_static(&[2; 16]),
            node: Bytes::from_static(&[3; 16]),
            server: "scripted".into(),
            namespace: "test".into(),
            ..v1::Welcome::default()
        }
    }

    /// Goes on with a session whose client has connected again.
    pub fn resume(&mut self, ack: u64) {
        let welcome = v1::Welcome { resumed: true, ack, ..self.a_welcome() };
        self.control_op(server_op::Op::Welcome(Box::new(welcome)));
    }

    /// Closes the connection without a word.
    pub fn hang_up(&mut self) {
        self.stream = None;
    }

    /// The next frame, or `None` at the end of the connection.
    pub fn any_frame(&mut self) -> Option<v1::ClientFrame> {
        let stream = self.stream.as_mut().expect("is connected");
        let mut length = [0; 4];
        let mut filled = 0;
        while filled < length.len() {
            match stream.read(&mut length[filled..]).expect("the client says something in time") {
                0 => return None,
                read => filled += read,
            }
        }
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut body).expect("a whole frame");
        Some(v1::ClientFrame::decode(&body[..]).expect("a frame"))
    }

    /// The next counted frame. What is uncounted is set aside.
    pub fn frame(&mut self) -> v1::ClientFrame {
        loop {
            let frame = self.any_frame().expect("the client does not hang up");
            if frame.seq > 0 {
                self.taken = self.taken.max(frame.seq);
                return frame;
            }
            self.control.extend(frame.ops.into_iter().filter_map(|op| op.op));
        }
    }

    /// The next operation.
    pub fn op(&mut self) -> client_op::Op {
        loop {
            if let Some(op) = self.ops.pop_front() {
                return op;
            }
            let frame = self.frame();
            self.ops.extend(frame.ops.into_iter().filter_map(|op| op.op));
        }
    }

    /// The next task that is submitted.
    pub fn submit(&mut self) -> v1::Submit {
        loop {
            if let client_op::Op::Submit(submit) = self.op() {
                return submit;
            }
        }
    }

    /// The next operation that is not counted.
    pub fn next_control(&mut self) -> client_op::Op {
        loop {
            if let Some(op) = self.control.pop_front() {
                return op;
            }
            let frame = self.any_frame().expect("the client does not hang up");
            assert_eq!(frame.seq, 0, "only uncounted frames were due");
            self.control.extend(frame.ops.into_iter().filter_map(|op| op.op));
        }
    }

    /// What the client says last: the failure of its goodbye. Then it hangs up.
    pub fn goodbye(&mut self) -> Option<v1::Failure> {
        let mut said = None;
        while let Some(frame) = self.any_frame() {
            for op in frame.ops {
                if let Some(client_op::Op::Goodbye(goodbye)) = op.op {
                    said = Some(goodbye.failure);
                }
            }
        }
        said.expect("the client says goodbye before it hangs up")
    }

    /// Sends operations in the next counted frame.
    pub fn say(&mut self, ops: impl IntoIterator<Item = server_op::Op>) {
        self.seq += 1;
        self.say_as(self.seq, ops);
    }

    /// Sends a frame with any number.
    pub fn say_as(&mut self, seq: u64, ops: impl IntoIterator<Item = server_op::Op>) {
        let ops = ops.into_iter().map(|op| v1::ServerOp { op: Some(op) }).collect();
        self.body(
            &v1::ServerFrame { seq, ack: if self.acknowledges { self.taken } else { 0 }, ops }
                .encode_to_vec(),
        );
    }

    pub fn control_op(&mut self, op: server_op::Op) {
        self.say_as(0, [op]);
    }

    /// Sends the body of a frame, whatever it is.
    pub fn body(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len()).expect("is short");
        self.raw(&length.to_be_bytes());
        self.raw(body);
    }

    /// Sends bytes, whatever they are. A client that has hung up already is not told.
    pub fn raw(&mut self, bytes: &[u8]) {
        let stream = self.stream.as_mut().expect("is connected");
        if let Err(error) = stream.write_all(bytes) {
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        }
    }

    /// Tells the value of a task's only result: the number `n`.
    pub fn complete(&mut self, submit: &v1::Submit, n: u8) {
        self.say([completion(&submit.task, n)]);
    }
}

/// The number `n`, below 128, as the only result of a task.
pub fn completion(task: &[u8], n: u8) -> server_op::Op {
    let value = v1::Value {
        format: v1::Format::Msgpack.into(),
        data: Bytes::copy_from_slice(&[n]),
        ..v1::Value::default()
    };
    outcome(task, v1::completion::Outcome::Value(value))
}

pub fn outcome(task: &[u8], outcome: v1::completion::Outcome) -> server_op::Op {
    server_op::Op::Completion(v1::Completion { object: result_of(task), outcome: Some(outcome) })
}

/// The id of a task's first result.
pub fn result_of(task: &[u8]) -> Bytes {
    let mut id = task.to_vec();
    id[12..].copy_from_slice(&1u32.to_be_bytes());
    id.into()
}

pub fn failure(code: thornback::Code, message: &str) -> v1::Failure {
    v1::Failure { code: code.number(), message: message.into(), ..v1::Failure::default() }
}
