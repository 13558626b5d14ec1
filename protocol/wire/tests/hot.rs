//! What is read by hand is what the generated code reads, whatever comes: the plain, the unusual and the broken.

use std::fs;

use bolero::check;
use bytes::Bytes;
use thornback_wire::Message;
use thornback_wire::hot::{self, Slot, Write};
use thornback_wire::v1::{self, client_op, completion, server_op};

/// Reads a frame in both ways, and gives how many of its operations were read by hand.
fn read_both(body: &[u8]) -> Option<usize> {
    let expected = v1::ClientFrame::decode(body);
    let read = hot::client_frame::<client_op::Op>(Bytes::copy_from_slice(body), 0);
    let (expected, read) = match (expected, read) {
        (Ok(expected), Ok(read)) => (expected, read),
        (Err(_), Err(_)) => return None,
        (expected, read) => panic!("{expected:?} and {read:?} of {body:02x?}"),
    };
    let by_hand = read.ops.iter().filter(|slot| matches!(slot, Slot::Hot(_))).count();
    let ops = read.ops.into_iter().map(|slot| match slot {
        Slot::Hot(op) => v1::ClientOp { op: Some(op) },
        Slot::Cold(slot) => slot,
    });
    let read = v1::ClientFrame { seq: read.seq, ack: read.ack, ops: ops.collect() };
    assert_eq!(read, expected, "{body:02x?}");
    Some(by_hand)
}

/// The same for a server's frame.
fn read_both_of_server(body: &[u8]) {
    let expected = v1::ServerFrame::decode(body);
    let read = hot::client::server_frame(Bytes::copy_from_slice(body), 0);
    match (expected, read) {
        (Ok(expected), Ok(read)) => assert_eq!(read, expected, "{body:02x?}"),
        (Err(_), Err(_)) => {}
        (expected, read) => panic!("{expected:?} and {read:?} of {body:02x?}"),
    }
}

/// Writes an operation in both ways, and gives whether it is written by hand.
fn written_both(op: &client_op::Op) -> bool {
    let Some(by_hand) = hot::client::Op::of(op) else { return false };
    let mut written = Vec::new();
    by_hand.encode(&mut written);
    assert_eq!(written.len(), by_hand.encoded_len(), "{op:?}");
    let expected = v1::ClientOp { op: Some(op.clone()) };
    assert_eq!(v1::ClientOp::decode(&written[..]).unwrap(), expected, "{op:?}");
    assert_eq!(written.len(), expected.encoded_len(), "{op:?}");
    true
}

fn id(byte: u8, index: u32) -> Bytes {
    let mut id = [byte; 16];
    id[12..].copy_from_slice(&index.to_be_bytes());
    Bytes::copy_from_slice(&id)
}

fn value(data: &[u8]) -> v1::Value {
    v1::Value { format: 1, data: Bytes::copy_from_slice(data), ..Default::default() }
}

fn rich() -> v1::Value {
    v1::Value {
        format: 5,
        data: vec![3; 200].into(),
        refs: vec![id(1, 1), id(2, 7)],
        buffers: vec![Bytes::new(), Bytes::from_static(b"buffer")],
        schema: "python/pickle5".to_owned(),
    }
}

fn arg(value: v1::Value) -> v1::Arg {
    v1::Arg { keyword: String::new(), arg: Some(v1::arg::Arg::Value(value)) }
}

/// Operations as SDKs send them.
fn plain() -> Vec<client_op::Op> {
    let reference = v1::Arg { keyword: "k\u{e9}y".to_owned(), arg: Some(v1::arg::Arg::Ref(id(5, 1))) };
    let results = |results: Vec<v1::result::Result>| {
        results.into_iter().map(|result| v1::Result { result: Some(result) }).collect()
    };
    vec![
        client_op::Op::Submit(v1::Submit { task: id(1, 0), ..Default::default() }),
        client_op::Op::Submit(v1::Submit {
            task: id(1, 0),
            declaration: 300,
            args: vec![arg(value(b"x")), reference.clone(), arg(rich())],
            parent: id(2, 0),
        }),
        client_op::Op::Call(v1::Call {
            task: id(1, 0),
            actor: id(3, 0),
            declaration: u32::MAX,
            args: vec![arg(value(b"")), reference],
            parent: id(2, 0),
        }),
        client_op::Op::Done(v1::Done { task: id(1, 0), attempt: 1, yielded: 1 << 40, ..Default::default() }),
        client_op::Op::Done(v1::Done {
            task: id(1, 0),
            attempt: 2,
            results: results(vec![
                v1::result::Result::Value(value(b"result")),
                v1::result::Result::Stored(true),
                v1::result::Result::Value(rich()),
            ]),
            ..Default::default()
        }),
        client_op::Op::Refs(v1::Refs { retain: vec![id(4, 1)], drop: vec![id(5, 1), id(6, 2)] }),
        client_op::Op::Refs(v1::Refs::default()),
    ]
}

/// The same kinds of operation with what must not be taken for plain.
fn unusual() -> Vec<client_op::Op> {
    let failure = Some(Box::new(v1::Failure { code: 1, ..Default::default() }));
    vec![
        client_op::Op::Submit(v1::Submit { task: id(1, 1), ..Default::default() }),
        client_op::Op::Submit(v1::Submit { task: Bytes::from_static(b"short"), ..Default::default() }),
        client_op::Op::Submit(v1::Submit {
            task: id(1, 0),
            args: vec![v1::Arg::default()],
            ..Default::default()
        }),
        client_op::Op::Submit(v1::Submit {
            task: id(1, 0),
            args: vec![arg(v1::Value { format: 0, ..value(b"x") })],
            ..Default::default()
        }),
        client_op::Op::Submit(v1::Submit {
            task: id(1, 0),
            args: vec![arg(value(&[0; 20_000]))],
            ..Default::default()
        }),
        client_op::Op::Call(v1::Call { task: id(1, 0), ..Default::default() }),
        client_op::Op::Done(v1::Done { task: id(1, 0), failure, ..Default::default() }),
        client_op::Op::Done(v1::Done {
            task: id(1, 0),
            results: vec![v1::Result { result: Some(v1::result::Result::Stored(false)) }],
            ..Default::default()
        }),
        client_op::Op::Refs(v1::Refs { drop: vec![Bytes::from_static(b"short")], ..Default::default() }),
    ]
}

fn frame(ops: Vec<client_op::Op>) -> Vec<u8> {
    let ops = ops.into_iter().map(|op| v1::ClientOp { op: Some(op) }).collect();
    v1::ClientFrame { seq: 1 << 33, ack: 7, ops }.encode_to_vec()
}

#[test]
fn the_plain_is_read_by_hand_and_the_unusual_is_not() {
    for op in plain() {
        assert_eq!(read_both(&frame(vec![op.clone()])), Some(1), "{op:?}");
    }
    for op in unusual() {
        assert_eq!(read_both(&frame(vec![op.clone()])), Some(0), "{op:?}");
    }
    let all: Vec<_> = unusual().into_iter().chain(plain()).collect();
    assert_eq!(read_both(&frame(all)), Some(plain().len()));
}

#[test]
fn every_byte_of_every_operation_changed_or_cut_off() {
    for op in plain().into_iter().chain(unusual()) {
        spoil(&frame(vec![op]), |bytes| {
            read_both(bytes);
        });
    }
}

/// Cuts a frame off at each of its first thousand bytes, and gives each of them every value.
fn spoil(whole: &[u8], read: impl Fn(&[u8])) {
    for at in 0..whole.len().min(1_000) {
        read(&whole[..at]);
        let mut changed = whole.to_vec();
        for byte in 0..=u8::MAX {
            changed[at] = byte;
            read(&changed);
        }
    }
}

/// A server's operations: those that are read by hand, with what is unusual of them.
fn of_server() -> Vec<server_op::Op> {
    let run = || v1::Run { task: id(1, 0), attempt: 1, declaration: 300, ..Default::default() };
    let stored = v1::Arg { arg: Some(v1::arg::Arg::Stored(v1::Stored::default())), ..Default::default() };
    let keyword = v1::Arg { keyword: "k\u{e9}y".to_owned(), ..arg(rich()) };
    let completion =
        |outcome| server_op::Op::Completion(v1::Completion { object: id(1, 1), outcome: Some(outcome) });
    vec![
        server_op::Op::Run(run()),
        server_op::Op::Run(v1::Run { args: vec![arg(value(b"x")), keyword], actor: id(2, 0), ..run() }),
        server_op::Op::Run(v1::Run { args: vec![stored, v1::Arg::default()], ..run() }),
        server_op::Op::Run(v1::Run { setup: Some(Box::default()), ..run() }),
        completion(completion::Outcome::Value(value(b"result"))),
        completion(completion::Outcome::Value(v1::Value { format: -1, ..rich() })),
        completion(completion::Outcome::Stored(1 << 40)),
        completion(completion::Outcome::Failure(Box::default())),
        server_op::Op::Completion(v1::Completion::default()),
        server_op::Op::Pong(v1::Pong { nonce: 3 }),
    ]
}

#[test]
fn a_server_s_operations_are_read_as_the_generated_code_reads_them() {
    let frame = |ops: Vec<server_op::Op>| {
        let ops = ops.into_iter().map(|op| v1::ServerOp { op: Some(op) }).collect();
        v1::ServerFrame { seq: 1 << 33, ack: 7, ops }.encode_to_vec()
    };
    read_both_of_server(&frame(of_server()));
    for op in of_server() {
        let whole = frame(vec![op]);
        read_both_of_server(&[&whole[..], &whole[..]].concat());
        read_both_of_server(&[&whole[..], &[0x78, 0x01]].concat());
        spoil(&whole, read_both_of_server);
    }
}

#[test]
fn a_client_s_operations_are_written_as_the_generated_code_writes_them() {
    let stored = v1::Arg {
        keyword: "k".to_owned(),
        arg: Some(v1::arg::Arg::Stored(v1::Stored { object: id(1, 1), ..Default::default() })),
    };
    let odd =
        v1::Submit { args: vec![stored, arg(v1::Value { format: -1, ..rich() })], ..Default::default() };
    let all: Vec<_> = plain().into_iter().chain(unusual()).chain([client_op::Op::Submit(odd)]).collect();
    let by_hand = all.iter().filter(|op| written_both(op)).count();
    assert_eq!(by_hand, all.len() - 1, "all but the failure");
}

#[test]
fn fields_that_come_twice_or_in_another_order() {
    for op in plain() {
        let body = v1::ClientOp { op: Some(op) }.encode_to_vec();
        // The operation twice in one slot, and the frame's own numbers in front, behind and twice.
        let mut twice = vec![0x1a];
        prost::encoding::encode_varint(2 * body.len() as u64, &mut twice);
        twice.extend([&body[..], &body[..]].concat());
        read_both(&twice);
        let whole = frame(vec![v1::ClientOp::decode(&body[..]).unwrap().op.unwrap()]);
        read_both(&[&whole[..], &whole[..]].concat());
        read_both(&[&whole[..], &[0x08, 0x05, 0x10, 0x06]].concat());
        // A field of a later version.
        read_both(&[&whole[..], &[0x78, 0x01]].concat());
    }
}

#[test]
fn the_corpus_of_frames() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/__fuzz__/client_frame/corpus");
    let files: Vec<_> = fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 5);
    for file in files {
        read_both(&fs::read(file).unwrap());
    }
}

#[test]
fn hot_frame() {
    check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
        read_both(bytes);
        // Random bytes are seldom a frame: put them into one, and into each kind of operation.
        for key in [&[0x5a][..], &[0x62], &[0xc2, 0x01], &[0xf2, 0x01]] {
            read_both(&in_a_frame(key, bytes));
        }
        for key in [&[0x5a][..], &[0xa2, 0x01]] {
            read_both_of_server(&in_a_frame(key, bytes));
        }
    });
}

/// A frame of one operation with this key.
fn in_a_frame(key: &[u8], operation: &[u8]) -> Vec<u8> {
    let delimited = |key: &[u8], content: &[u8]| {
        let mut field = key.to_vec();
        prost::encoding::encode_varint(content.len() as u64, &mut field);
        field.extend_from_slice(content);
        field
    };
    delimited(&[0x1a], &delimited(key, operation))
}
