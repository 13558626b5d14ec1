//! What is read by hand is what the generated code reads, whatever comes: the plain, the unusual and the broken.

use std::fs;

use bolero::check;
use bytes::Bytes;
use thornback_types::{ActorId, Format, Id, ObjectId, TaskId, Value};
use thornback_wire::Message;
use thornback_wire::hot::client::{self, Call, Done, Fields, Refs, Submit, Written};
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
        Slot::Cold(slot) => *slot,
    });
    let read = v1::ClientFrame { seq: read.seq, ack: read.ack, ops: ops.collect() };
    assert_eq!(read, expected, "{body:02x?}");
    Some(by_hand)
}

/// The same for a server's frame.
fn read_both_of_server(body: &[u8]) -> Option<usize> {
    let expected = v1::ServerFrame::decode(body);
    let read = client::server_frame::<server_op::Op>(Bytes::copy_from_slice(body), 0);
    let (expected, read) = match (expected, read) {
        (Ok(expected), Ok(read)) => (expected, read),
        (Err(_), Err(_)) => return None,
        (expected, read) => panic!("{expected:?} and {read:?} of {body:02x?}"),
    };
    let by_hand = read.ops.iter().filter(|slot| matches!(slot, client::Slot::Hot(_))).count();
    let ops = read.ops.into_iter().map(|slot| match slot {
        client::Slot::Hot(op) => v1::ServerOp { op: Some(op) },
        client::Slot::Cold(slot) => slot,
    });
    let read = v1::ServerFrame { seq: read.seq, ack: read.ack, ops: ops.collect() };
    assert_eq!(read, expected, "{body:02x?}");
    Some(by_hand)
}

/// Writes an operation in both ways.
fn written_both(by_hand: &impl Write, op: client_op::Op) {
    let mut written = Vec::new();
    by_hand.encode(&mut written);
    assert_eq!(written.len(), by_hand.encoded_len(), "{op:?}");
    let expected = v1::ClientOp { op: Some(op) };
    assert_eq!(v1::ClientOp::decode(&written[..]).unwrap(), expected);
    assert_eq!(written.len(), expected.encoded_len(), "{expected:?}");
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

/// A server's operations, and which of them are read by hand.
fn of_server() -> Vec<(server_op::Op, bool)> {
    let run = || v1::Run { task: id(1, 0), attempt: 1, declaration: 300, ..Default::default() };
    let stored = v1::Arg { arg: Some(v1::arg::Arg::Stored(v1::Stored::default())), ..Default::default() };
    let keyword = v1::Arg { keyword: "k\u{e9}y".to_owned(), ..arg(value(b"y")) };
    let args = vec![arg(value(b"x")), arg(value(b"")), keyword];
    let completion =
        |outcome| server_op::Op::Completion(v1::Completion { object: id(1, 1), outcome: Some(outcome) });
    vec![
        (server_op::Op::Run(run()), true),
        (server_op::Op::Run(v1::Run { args, actor: id(2, 0), ..run() }), true),
        (server_op::Op::Run(v1::Run { args: vec![arg(value(b"x")), arg(rich())], ..run() }), false),
        (server_op::Op::Run(v1::Run { args: vec![stored, v1::Arg::default()], ..run() }), false),
        (server_op::Op::Run(v1::Run { setup: Some(Box::default()), ..run() }), false),
        (server_op::Op::Run(v1::Run { task: Bytes::new(), ..run() }), false),
        (completion(completion::Outcome::Value(value(b"result"))), true),
        (completion(completion::Outcome::Value(value(b""))), true),
        (completion(completion::Outcome::Value(rich())), false),
        (completion(completion::Outcome::Value(v1::Value { format: -1, ..value(b"x") })), false),
        (completion(completion::Outcome::Stored(1 << 40)), false),
        (completion(completion::Outcome::Failure(Box::default())), false),
        (server_op::Op::Completion(v1::Completion::default()), false),
        (server_op::Op::Pong(v1::Pong { nonce: 3 }), false),
    ]
}

#[test]
fn a_server_s_operations_are_read_as_the_generated_code_reads_them() {
    let frame = |ops: Vec<server_op::Op>| {
        let ops = ops.into_iter().map(|op| v1::ServerOp { op: Some(op) }).collect();
        v1::ServerFrame { seq: 1 << 33, ack: 7, ops }.encode_to_vec()
    };
    let by_hand = of_server().iter().filter(|(_, by_hand)| *by_hand).count();
    assert_eq!(
        read_both_of_server(&frame(of_server().into_iter().map(|(op, _)| op).collect())),
        Some(by_hand)
    );
    for (op, by_hand) in of_server() {
        let whole = frame(vec![op]);
        assert_eq!(read_both_of_server(&whole), Some(usize::from(by_hand)), "{whole:02x?}");
        read_both_of_server(&[&whole[..], &whole[..]].concat());
        read_both_of_server(&[&whole[..], &[0x78, 0x01]].concat());
        spoil(&whole, |bytes| {
            read_both_of_server(bytes);
        });
    }
}

/// Arguments, or results, of every kind that can be given; and the same as messages.
fn every_field() -> (Fields, Vec<v1::Arg>) {
    let (mut fields, mut args) = (Fields::default(), Vec::new());
    let mut add = |value: v1::Value, keyword: &str| {
        args.push(v1::Arg { keyword: keyword.to_owned(), ..arg(value) });
    };
    // Short ones are written in place: up to the last length that is, with and without a keyword.
    for length in [1, 2, 60, 120, 121] {
        for keyword in ["", "k\u{e9}y"] {
            let start = fields.end();
            let data = vec![7; length];
            let apart = fields.written(Format::Raw, 121, |to| appended(to, &data), |()| true);
            assert!(apart.unwrap().is_none(), "{length} bytes are short");
            fields.name(start, keyword);
            add(value(&data), keyword);
        }
    }
    let start = fields.end();
    let rich = rich();
    fields.value(&Value::try_from(rich.clone()).unwrap());
    fields.name(start, "rich");
    add(rich, "rich");
    fields.value(&Value::raw(vec![1; 70_000]));
    add(value(&[1; 70_000]), "");
    let start = fields.end();
    fields.reference(ObjectId(Id::from_slice(&id(5, 1)).unwrap()));
    fields.name(start, "ref");
    args.push(v1::Arg { keyword: "ref".to_owned(), arg: Some(v1::arg::Arg::Ref(id(5, 1))) });
    (fields, args)
}

fn appended(to: &mut Vec<u8>, data: &[u8]) -> Result<(), ()> {
    to.extend_from_slice(data);
    Ok(())
}

#[test]
fn what_is_not_short_and_plain_is_handed_back() {
    let mut fields = Fields::default();
    fields.stored();
    let before = fields.as_bytes().to_vec();
    for (length, limit, plain) in [(0, 121, true), (122, 1_000, true), (60, 59, true), (1, 121, false)] {
        let data = vec![9; length];
        let apart = fields.written(Format::MsgPack, limit, |to| appended(to, &data), |()| plain);
        assert_eq!(apart.unwrap().map(|(data, ())| data), Some(Bytes::from(data)), "{length} bytes");
        assert_eq!(fields.as_bytes(), before);
    }
    let failed = fields.written(
        Format::MsgPack,
        121,
        |to| {
            to.push(1);
            Err::<(), _>("no")
        },
        |()| true,
    );
    assert_eq!(failed, Err("no"));
    assert_eq!(fields.as_bytes(), before);
}

#[test]
fn a_client_s_operations_are_written_as_the_generated_code_writes_them() {
    let id_of = |bytes: &Bytes| Id::from_slice(bytes).unwrap();
    let (task, actor) = (id(1, 0), id(3, 0));
    let (task_id, actor_id) = (TaskId(id_of(&task)), ActorId(id_of(&actor)));
    for (fields, messages) in [(Fields::default(), Vec::new()), every_field()] {
        assert_eq!(fields.to_args().unwrap(), messages);
        for (declaration, parent) in [(0, None), (300, Some(id(2, 0)))] {
            let (args, messages) = (&fields, messages.clone());
            let parent_id = parent.as_ref().map(|parent| TaskId(id_of(parent)));
            let parent = parent.unwrap_or_default();
            written_both(
                &Submit { task: task_id, declaration, args, parent: parent_id },
                client_op::Op::Submit(v1::Submit {
                    task: task.clone(),
                    declaration,
                    args: messages.clone(),
                    parent: parent.clone(),
                }),
            );
            written_both(
                &Call { task: task_id, actor: actor_id, declaration, args, parent: parent_id },
                client_op::Op::Call(v1::Call {
                    task: task.clone(),
                    actor: actor.clone(),
                    declaration,
                    args: messages,
                    parent,
                }),
            );
        }
    }
    let mut results = Fields::default();
    results.value(&Value::raw(&b"result"[..]));
    results.stored();
    let messages = [v1::result::Result::Value(value(b"result")), v1::result::Result::Stored(true)];
    for (attempt, yielded) in [(0, 0), (7, 1 << 40)] {
        written_both(
            &Done { task: task_id, attempt, results: &results, yielded },
            client_op::Op::Done(v1::Done {
                task: task.clone(),
                attempt,
                results: messages.iter().map(|result| v1::Result { result: Some(result.clone()) }).collect(),
                failure: None,
                yielded,
            }),
        );
    }
    for (retain, drop) in [(0, 0), (1, 2), (0, 10_000)] {
        let ids = |count: u32| (0..count).map(|index| id(4, index)).collect::<Vec<_>>();
        let read = |ids: &[Bytes]| ids.iter().map(|id| ObjectId(id_of(id))).collect::<Vec<_>>();
        let refs = v1::Refs { retain: ids(retain), drop: ids(drop) };
        written_both(
            &Refs { retain: &read(&refs.retain), drop: &read(&refs.drop) },
            client_op::Op::Refs(refs),
        );
    }
    let ping = client_op::Op::Ping(v1::Ping { nonce: 300 });
    written_both(&Written(&v1::ClientOp { op: Some(ping.clone()) }.encode_to_vec()), ping);
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
