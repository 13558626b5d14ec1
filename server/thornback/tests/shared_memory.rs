//! Objects in shared memory: which descriptors a session is given, when, and what it can do with them.

mod support;

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use prost::Message;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use support::{Client, Node, declare, fresh, hello, output, submit};
use thornback_types::Code;
use thornback_wire::framing::{Decoder, FRAME_BYTES_MAX};
use thornback_wire::v1::{self, client_op, server_op};

/// The receiving side of a session that can map: operations, and the descriptors that came with them.
struct Mapping {
    client: Client,
    decoder: Decoder,
    buffer: BytesMut,
    descriptors: Vec<OwnedFd>,
    waiting: std::collections::VecDeque<server_op::Op>,
}

impl Mapping {
    fn open(node: &Node, resume: Option<v1::ResumeSession>) -> Mapping {
        Mapping::open_as(node, v1::Hello { resume, ..hello(v1::Role::Driver) })
    }

    fn open_as(node: &Node, hello: v1::Hello) -> Mapping {
        let client = node.connect();
        let decoder = Decoder::new(FRAME_BYTES_MAX);
        let mut mapping = Mapping {
            client,
            decoder,
            buffer: BytesMut::new(),
            descriptors: Vec::new(),
            waiting: Default::default(),
        };
        mapping.client.control(client_op::Op::Hello(Box::new(v1::Hello {
            features: vec!["shared-memory".to_owned()],
            ..hello
        })));
        let server_op::Op::Welcome(welcome) = mapping.next() else { panic!("not welcomed") };
        assert_eq!(welcome.features, ["shared-memory"]);
        mapping.client.welcome = *welcome;
        mapping
    }

    fn next(&mut self) -> server_op::Op {
        loop {
            if let Some(op) = self.waiting.pop_front() {
                return op;
            }
            while let Some(frame) = self.decoder.next(&mut self.buffer).unwrap() {
                let frame = v1::ServerFrame::decode(frame).unwrap();
                self.waiting.extend(frame.ops.into_iter().filter_map(|op| op.op));
            }
            if self.waiting.is_empty() {
                self.read();
            }
        }
    }

    fn read(&mut self) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut part = [0; 4096];
        let mut slices = [IoSliceMut::new(&mut part)];
        let received = recvmsg(&self.client.stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC);
        let received = received.map_err(io::Error::from).expect("nothing came from the node");
        assert!(received.bytes > 0, "the node ended the connection");
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                self.descriptors.extend(rights);
            }
        }
        self.buffer.extend_from_slice(&part[..received.bytes]);
    }

    /// The next announcement with its descriptor, which must be there by then.
    fn arena(&mut self) -> (v1::Arena, File) {
        let server_op::Op::Arena(arena) = self.next() else { panic!("no announcement") };
        (arena, self.descriptors.remove(0).into())
    }

    /// An object of these bytes, written in place.
    fn put(&mut self, data: &[u8]) -> (Bytes, v1::Location, File) {
        let object = output(fresh(), 1);
        let size = data.len() as u64;
        self.client.send([client_op::Op::Create(v1::Create {
            object: object.clone(),
            size,
            ..Default::default()
        })]);
        let (to_read, reader) = self.arena();
        let (to_write, writer) = self.arena();
        assert_eq!((to_read.writable, to_write.writable), (false, true));
        assert_eq!(to_read.number, to_write.number);
        let server_op::Op::Created(created) = self.next() else { panic!("not created") };
        let Some(v1::created::Outcome::Location(location)) = created.outcome else { panic!("{created:?}") };
        assert_eq!(location.arena, to_read.number);
        writer.write_all_at(data, location.offset).unwrap();
        self.client.send([client_op::Op::Seal(v1::Seal { object: object.clone(), refs: Vec::new() })]);
        (object, location, reader)
    }
}

#[test]
fn what_one_session_writes_another_reads_in_place_and_cannot_change() {
    let node = Node::start();
    let mut writer = Mapping::open(&node, None);
    let data = vec![0x2a; 300_000];
    let (object, location, _reader) = writer.put(&data);

    let function =
        v1::Function { name: "read".to_owned(), min_args: 0, max_args: -1, ..v1::Function::default() };
    let worker =
        v1::Hello { pool: "readers".to_owned(), functions: vec![function], ..hello(v1::Role::Worker) };
    let mut reader = Mapping::open_as(&node, worker);
    let by_ref = v1::Arg { arg: Some(v1::arg::Arg::Ref(object)), ..Default::default() };
    writer.client.send([declare(1, "read"), submit(fresh(), 1, vec![by_ref])]);
    let server_op::Op::Declare(_) = reader.next() else { panic!("told of no function") };
    let (arena, file) = reader.arena();
    assert!(!arena.writable);
    let server_op::Op::Run(run) = reader.next() else { panic!("given nothing to run") };
    let Some(v1::arg::Arg::Stored(stored)) = run.args[0].arg.clone() else { panic!("not stored") };
    assert_eq!(stored.location, Some(location));
    let mut read = vec![0; data.len()];
    file.read_exact_at(&mut read, location.offset).unwrap();
    assert!(read == data);
    assert!(file.write_at(b"x", location.offset).is_err(), "the descriptor of a reader cannot be written");
    assert!(reader.descriptors.is_empty(), "a reader is given nothing to write with");
}

#[test]
fn a_session_without_a_right_is_given_no_descriptor() {
    let node = Node::start();
    let mut writer = Mapping::open(&node, None);
    let (object, _, _reader) = writer.put(&[1; 200_000]);
    let mut stranger = Mapping::open(&node, None);
    stranger.client.send([client_op::Op::Fetch(v1::Fetch { object, quiet: false })]);
    let server_op::Op::Located(located) = stranger.next() else { panic!("it was told of an arena") };
    let Some(v1::located::Outcome::Failure(failure)) = located.outcome else { panic!("{located:?}") };
    assert_eq!(failure.code, Code::ObjectNotFound.number());
    assert!(stranger.descriptors.is_empty());
}

#[test]
fn announcements_come_again_with_their_descriptors() {
    let node = Node::start();
    let mut first = Mapping::open(&node, None);
    let (_, location, _) = first.put(&[1; 200_000]);
    let welcome = first.client.welcome.clone();
    // Nothing was acknowledged, so everything comes again.
    drop(first);
    let resume = v1::ResumeSession { session: welcome.session, secret: welcome.secret, ack: 0 };
    let mut second = Mapping::open(&node, Some(resume));
    assert!(second.client.welcome.resumed);
    let (to_read, reader) = second.arena();
    let (to_write, _writer) = second.arena();
    assert_eq!((to_read.number, to_read.writable, to_write.writable), (location.arena, false, true));
    let mut read = [0; 4];
    reader.read_exact_at(&mut read, location.offset).unwrap();
    assert_eq!(read, [1; 4]);
}

#[test]
fn a_session_without_the_feature_is_given_no_descriptor() {
    let node = Node::start();
    let mut client = node.driver();
    client.stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let object = output(fresh(), 1);
    client.send([client_op::Op::Create(v1::Create { object, size: 200_000, ..Default::default() })]);
    let server_op::Op::Created(created) = client.next() else { panic!("an announcement came") };
    let Some(v1::created::Outcome::Location(location)) = created.outcome else { panic!("{created:?}") };
    assert_eq!(location.arena, 0);
}
