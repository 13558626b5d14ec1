//! What a peer may say wrongly. Each gets a typed answer or a closed connection, and nobody else notices.

mod support;

use bytes::Bytes;
use prost::Message;
use support::{Client, Node, bytes, declare, framed, fresh, hello, output, submit};
use thornback_types::Code;
use thornback_wire::framing::FRAME_BYTES_MAX;
use thornback_wire::v1::{self, client_op, server_op};

fn refused(client: &mut Client) -> v1::Refused {
    loop {
        if let server_op::Op::Refused(refused) = client.next() {
            return *refused;
        }
    }
}

fn code(refused: &v1::Refused) -> Option<Code> {
    refused.failure.as_ref().and_then(|failure| Code::from_number(failure.code))
}

/// The node still serves others.
fn lives(node: &Node) {
    let mut driver = node.driver();
    let reply = driver.request(1, v1::request::Request::GetStatus(v1::GetStatus {}));
    assert!(matches!(reply, v1::reply::Reply::Status(_)));
}

#[test]
fn versions_that_do_not_meet() {
    let node = Node::start();
    for (min, max, expected) in
        [(2, 9, Code::UnsupportedVersion), (0, 0, Code::UnsupportedVersion), (5, 1, Code::InvalidArgument)]
    {
        let mut client = node.connect();
        client.control(client_op::Op::Hello(Box::new(v1::Hello {
            version_min: min,
            version_max: max,
            ..hello(v1::Role::Driver)
        })));
        assert_eq!(client.goodbye(), expected.number());
    }
    lives(&node);
}

#[test]
fn a_token_that_is_wrong() {
    let node = Node::start();
    let mut client = node.connect();
    client.control(client_op::Op::Hello(Box::new(v1::Hello {
        token: "0".repeat(64),
        ..hello(v1::Role::Driver)
    })));
    assert_eq!(client.goodbye(), Code::Unauthenticated.number());
}

#[test]
fn anything_but_hello_first_and_hello_twice() {
    let node = Node::start();
    let mut client = node.connect();
    client.send([declare(1, "f")]);
    assert_eq!(client.goodbye(), Code::NotHello.number());
    let mut client = node.driver();
    client.control(client_op::Op::Hello(Box::new(hello(v1::Role::Driver))));
    assert_eq!(client.goodbye(), Code::NotHello.number());
    let mut client = node.connect();
    client.control(client_op::Op::Hello(Box::new(hello(v1::Role::Unspecified))));
    assert_eq!(client.goodbye(), Code::InvalidArgument.number());
}

#[test]
fn lengths_that_lie() {
    let node = Node::start();
    // Before hello, and after it.
    for greeted in [false, true] {
        for length in [u32::MAX, FRAME_BYTES_MAX as u32 + 1] {
            let mut client = if greeted { node.driver() } else { node.connect() };
            client.raw(&length.to_be_bytes());
            client.raw(b"and a few bytes");
            assert_eq!(client.goodbye(), Code::FrameTooLarge.number());
        }
    }
    // Shorter than what follows: the rest is taken for another frame.
    let mut client = node.driver();
    client.raw(&[0, 0, 0, 1, 0x08, 0xff, 0xff, 0xff, 0xff]);
    client.goodbye();
    lives(&node);
}

#[test]
fn frames_cut_short() {
    let node = Node::start();
    let frame = v1::ClientFrame {
        seq: 1,
        ack: 0,
        ops: vec![v1::ClientOp { op: Some(submit(fresh(), 1, Vec::new())) }],
    };
    let whole = framed(&frame.encode_to_vec());
    for cut in 0..whole.len() {
        let mut client = node.driver();
        client.raw(&whole[..cut]);
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        while client.try_next().is_some() {}
    }
    // The prefix is right and the message in it is cut.
    let body = frame.encode_to_vec();
    for cut in 1..body.len() {
        let mut client = node.driver();
        client.raw(&framed(&body[..cut]));
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        while client.try_next().is_some() {}
    }
    lives(&node);
}

#[test]
fn every_byte_of_a_frame_flipped() {
    let node = Node::start();
    let task = fresh();
    let frame = v1::ClientFrame {
        seq: 1,
        ack: 0,
        ops: [declare(1, "nobody serves this"), submit(task, 1, Vec::new())]
            .into_iter()
            .map(|op| v1::ClientOp { op: Some(op) })
            .collect(),
    };
    let whole = framed(&frame.encode_to_vec());
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let mut client = node.driver();
            client.raw(&bytes);
            client.stream.shutdown(std::net::Shutdown::Write).unwrap();
            while client.try_next().is_some() {}
        }
    }
    lives(&node);
}

#[test]
fn operations_that_are_not_known() {
    let node = Node::start();
    let mut client = node.driver();
    // Field 99 of ClientOp: an operation of some later version, between two that are known.
    let unknown = [0x1a, 0x04, 0x9a, 0x06, 0x01, 0x00];
    let known = |op| {
        v1::ClientFrame { ops: vec![v1::ClientOp { op: Some(op) }], ..Default::default() }.encode_to_vec()
    };
    let number = [0x08, 0x01];
    let watch = v1::Watch { objects: vec![output(fresh(), 1)] };
    let body = [&known(declare(1, "f"))[..], &unknown, &known(client_op::Op::Watch(watch)), &number].concat();
    client.raw(&framed(&body));
    client.seq = 1;
    let answer = refused(&mut client);
    assert_eq!((answer.seq, answer.index, code(&answer)), (1, 1, Some(Code::UnknownOperation)));
    // What came after it was taken, and the session goes on.
    let server_op::Op::Completion(completion) = client.next() else { panic!("the watch was not answered") };
    assert!(
        matches!(completion.outcome, Some(v1::completion::Outcome::Failure(failure)) if failure.code == Code::ObjectNotFound.number())
    );
    let reply = client.request(7, v1::request::Request::GetStatus(v1::GetStatus {}));
    assert!(matches!(reply, v1::reply::Reply::Status(_)));
}

#[test]
fn arguments_without_meaning() {
    let node = Node::start();
    let mut client = node.driver();
    let short =
        client_op::Op::Submit(v1::Submit { task: Bytes::from_static(b"short"), ..Default::default() });
    let output_for_task =
        |task: &Bytes| client_op::Op::Submit(v1::Submit { task: task.clone(), ..Default::default() });
    let (task, called, actor) = (fresh(), fresh(), fresh());
    let (unformed, too_large, unfilled) = (output(fresh(), 1), output(fresh(), 1), output(fresh(), 1));
    let undeclared = submit(task, 42, Vec::new());
    let formless = client_op::Op::Put(v1::Put {
        object: unformed.clone(),
        value: Some(v1::Value { format: 77, ..Default::default() }),
    });
    let large = client_op::Op::Put(v1::Put {
        object: too_large.clone(),
        value: Some(v1::Value {
            format: v1::Format::Raw.into(),
            data: vec![0; 200 << 10].into(),
            ..Default::default()
        }),
    });
    let backwards =
        client_op::Op::Declare(Box::new(v1::Declare { number: 1, returns: -2, ..Default::default() }));
    // Arguments that are neither value nor ref, so it is refused before it comes to the core.
    let call = client_op::Op::Call(v1::Call {
        task: bytes(called),
        actor: bytes(actor),
        args: vec![v1::Arg::default()],
        ..Default::default()
    });
    let create = client_op::Op::CreateActor(Box::new(v1::CreateActor {
        actor: bytes(actor),
        declaration: 42,
        ..Default::default()
    }));
    let seal = client_op::Op::Seal(v1::Seal { object: unfilled.clone(), refs: Vec::new() });
    let ill = output(fresh(), 3);
    client.send([short, output_for_task(&ill), undeclared, formless, large, backwards, call, create, seal]);
    // What would have been made is named, so that whoever waits for it does not wait for ever.
    for (index, (expected, made)) in [
        (Code::InvalidArgument, Bytes::new()),
        (Code::InvalidArgument, ill.clone()),
        (Code::InvalidArgument, bytes(task)),
        (Code::UnsupportedFormat, unformed),
        (Code::LimitExceeded, too_large),
        (Code::InvalidArgument, Bytes::new()),
        (Code::InvalidArgument, bytes(called)),
        (Code::InvalidArgument, bytes(actor)),
        (Code::InvalidArgument, unfilled),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = refused(&mut client);
        assert_eq!((answer.seq, answer.index as usize, code(&answer)), (1, index, Some(expected)));
        assert_eq!(answer.id, made, "operation {index}");
    }
}

#[test]
fn numbers_out_of_turn() {
    let node = Node::start();
    let mut client = node.driver();
    client.seq = 4;
    client.send([declare(1, "f")]);
    assert_eq!(client.goodbye(), Code::SequenceGap.number());
    // A frame that was taken already is dropped in silence.
    let mut client = node.driver();
    let object = output(fresh(), 1);
    let put = client_op::Op::Put(v1::Put { object: object.clone(), value: Some(support::raw_value(b"x")) });
    client.send([put.clone()]);
    client.seq = 0;
    client.send([put]);
    client.send([client_op::Op::Watch(v1::Watch { objects: vec![object.clone()] })]);
    let server_op::Op::Completion(completion) = client.next() else { panic!("no completion") };
    assert_eq!(completion.object, object);
}

#[test]
fn sessions_that_are_not_there_or_not_yours() {
    let node = Node::start();
    let driver = node.driver();
    let resume = |session: Bytes, secret: Bytes| v1::Hello {
        resume: Some(v1::ResumeSession { session, secret, ack: 0 }),
        ..hello(v1::Role::Driver)
    };
    let mut client = node.connect();
    client.control(client_op::Op::Hello(Box::new(resume(bytes(fresh()), bytes(fresh())))));
    assert_eq!(client.goodbye(), Code::SessionExpired.number());
    let mut client = node.connect();
    client.control(client_op::Op::Hello(Box::new(resume(driver.welcome.session.clone(), bytes(fresh())))));
    assert_eq!(client.goodbye(), Code::PermissionDenied.number());
}

#[test]
fn a_port_that_others_could_reach() {
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_thornback"))
        .args(["dev", "--grpc-address", "0.0.0.0", "--dir"])
        .arg(directory.path().join("node"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("--tls-cert"), "{text}");
    assert!(!directory.path().join("node").exists());
}
