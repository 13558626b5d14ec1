//! What the node itself costs: a driver and a worker that speak the wire by hand, as cheaply as can be, and the processor time of the node
//! between them.
//!
//! ```sh
//! cargo run --release -p thornback-server --example relay -- target/release/thornback [tasks] [batch] [window]
//! ```
//!
//! Prints one JSON object. Times are of this machine at this moment; compare only what was measured side by side.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use prost::Message;
use serde_json::json;
use thornback_wire::framing::{self, Decoder};
use thornback_wire::v1::{self, client_op, server_op};

fn main() {
    let mut words = std::env::args().skip(1);
    let program = words.next().expect("usage: relay PROGRAM [tasks] [batch] [window]");
    let mut number = |default: usize| words.next().map_or(default, |word| word.parse().expect("a number"));
    let (tasks, batch, window) = (number(500_000), number(64), number(4096));

    let directory = tempfile::tempdir().expect("a temporary directory");
    let ports = directory.path().join("ports.json");
    let mut node = Command::new(program)
        .args(["dev", "--no-grpc", "--exit-with-stdin", "--num-cpus", "1", "--ports-file"])
        .arg(&ports)
        .arg("--dir")
        .arg(directory.path().join("node"))
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let text = loop {
        if let Ok(text) = std::fs::read_to_string(&ports) {
            break text;
        }
    };
    let ports: serde_json::Value = serde_json::from_str(&text).expect("the ports file is JSON");
    let socket = ports["unix"].as_str().expect("a socket").to_owned();

    let mut worker = Peer::connect(&socket, v1::Role::Worker);
    let worker = std::thread::spawn(move || {
        let mut left = tasks;
        while left > 0 {
            let runs = worker.receive().into_iter().filter_map(|op| match op {
                server_op::Op::Run(run) => Some(client_op::Op::Done(v1::Done {
                    task: run.task,
                    attempt: run.attempt,
                    results: vec![v1::Result { result: Some(v1::result::Result::Value(small())) }],
                    ..Default::default()
                })),
                _ => None,
            });
            let done: Vec<_> = runs.collect();
            left -= done.len();
            worker.send(done);
        }
        worker
    });

    let mut driver = Peer::connect(&socket, v1::Role::Driver);
    driver.send(vec![client_op::Op::Declare(Box::new(v1::Declare {
        // What may run only once is never sent ahead of its turn.
        max_retries: 3,
        number: 1,
        function: "noop".to_owned(),
        returns: 1,
        resources: Some(v1::Resources { amounts: [("CPU".to_owned(), 10_000)].into() }),
        bundle: -1,
        ..Default::default()
    }))]);
    let (before, start) = (processor_time(node.id()), Instant::now());
    let (mut sent, mut received) = (0, 0);
    let mut finished: Vec<Bytes> = Vec::new();
    while received < tasks {
        while sent < tasks && sent - received + batch <= window.max(batch) {
            let count = batch.min(tasks - sent);
            let mut ops: Vec<_> = (sent..sent + count).map(submit).collect();
            sent += count;
            // As an SDK does whose user lets go of each result.
            if !finished.is_empty() {
                ops.push(client_op::Op::Refs(v1::Refs {
                    retain: Vec::new(),
                    drop: std::mem::take(&mut finished),
                }));
            }
            driver.send(ops);
        }
        for op in driver.receive() {
            if let server_op::Op::Completion(completion) = op {
                assert!(
                    matches!(completion.outcome, Some(v1::completion::Outcome::Value(_))),
                    "{completion:?}"
                );
                finished.push(completion.object);
                received += 1;
            }
        }
    }
    let wall = start.elapsed().as_secs_f64();
    let node_seconds = processor_time(node.id()) - before;
    let per_task = |seconds: f64| (seconds * 1e9 / tasks as f64).round() / 1e3;
    println!(
        "{}",
        json!({
            "tasks": tasks,
            "batch": batch,
            "window": window,
            "tasks_per_second": (tasks as f64 / wall).round(),
            "wall_us_per_task": per_task(wall),
            "node_processor_us_per_task": per_task(node_seconds),
        })
    );
    drop(worker.join());
    drop(driver);
    drop(node.stdin.take());
    node.wait().expect("the node ends");
}

fn small() -> v1::Value {
    v1::Value { format: v1::Format::Raw.into(), data: Bytes::from_static(b"1"), ..Default::default() }
}

fn submit(n: usize) -> client_op::Op {
    let mut task = [0x5a; 16];
    task[4..12].copy_from_slice(&(n as u64).to_be_bytes());
    task[12..].fill(0);
    let arg = v1::Arg { arg: Some(v1::arg::Arg::Value(small())), ..Default::default() };
    client_op::Op::Submit(v1::Submit {
        task: Bytes::copy_from_slice(&task),
        declaration: 1,
        args: vec![arg],
        parent: Bytes::new(),
    })
}

/// Seconds that a process has spent on a processor.
fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the node runs");
    let after_name = stat.rsplit(") ").next().expect("a name in brackets");
    let ticks: u64 =
        after_name.split(' ').skip(11).take(2).map(|word| word.parse::<u64>().expect("a number")).sum();
    ticks as f64 / 100.0
}

struct Peer {
    stream: UnixStream,
    decoder: Decoder,
    buffer: BytesMut,
    part: Vec<u8>,
    seq: u64,
    ack: u64,
    owed: u64,
}

impl Peer {
    fn connect(socket: &str, role: v1::Role) -> Peer {
        let stream = UnixStream::connect(socket).expect("the node listens");
        let decoder = Decoder::new(framing::FRAME_BYTES_MAX);
        let mut peer = Peer {
            stream,
            decoder,
            buffer: BytesMut::new(),
            part: vec![0; 256 << 10],
            seq: 0,
            ack: 0,
            owed: 0,
        };
        let function =
            v1::Function { name: "noop".to_owned(), min_args: 0, max_args: -1, ..v1::Function::default() };
        peer.write(
            0,
            vec![client_op::Op::Hello(Box::new(v1::Hello {
                version_min: 1,
                version_max: 1,
                role: role.into(),
                window_bytes: 64 << 20,
                pool: "noop".to_owned(),
                functions: vec![function],
                ..Default::default()
            }))],
        );
        peer.receive();
        peer
    }

    fn send(&mut self, ops: Vec<client_op::Op>) {
        self.seq += 1;
        self.write(self.seq, ops);
    }

    fn write(&mut self, seq: u64, ops: Vec<client_op::Op>) {
        let ops = ops.into_iter().map(|op| v1::ClientOp { op: Some(op) }).collect();
        let frame = v1::ClientFrame { seq, ack: self.ack, ops };
        let length = frame.encoded_len();
        let mut bytes = Vec::with_capacity(4 + length);
        bytes.extend(framing::prefix(length).expect("a small frame"));
        frame.encode(&mut bytes).expect("a vector has room");
        self.stream.write_all(&bytes).expect("the node reads");
    }

    /// The operations of the frames that are there, of one at least.
    fn receive(&mut self) -> Vec<server_op::Op> {
        let mut ops = Vec::new();
        loop {
            while let Some(frame) = self.decoder.next(&mut self.buffer).expect("a frame") {
                self.owed += frame.len() as u64;
                let frame = v1::ServerFrame::decode(frame).expect("a frame");
                self.ack = self.ack.max(frame.seq);
                ops.extend(frame.ops.into_iter().filter_map(|op| op.op));
            }
            if !ops.is_empty() {
                if self.owed > 16 << 20 {
                    let bytes = std::mem::take(&mut self.owed);
                    self.write(0, vec![client_op::Op::Credit(v1::Credit { bytes })]);
                }
                return ops;
            }
            let count = self.stream.read(&mut self.part).expect("the node writes");
            assert!(count > 0, "the node ended the connection");
            self.buffer.extend_from_slice(&self.part[..count]);
        }
    }
}
