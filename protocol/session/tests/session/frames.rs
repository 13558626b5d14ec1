//! What frames may hold and how they are cut; every kind of damage to one.

use bytes::Bytes;
use thornback_session::{End, Event, FRAME_BYTES_MIN, Limits, OPS_MAX, SendError};
use thornback_types::Code;
use thornback_wire::Message;
use thornback_wire::v1::{self, client_op, server_op};

use crate::support::{Pair, goodbye_in, mark, mark_back};

/// How the server ends a session in which this frame comes. It tells the client the same.
fn violation(pair: &mut Pair, frame: impl Into<Bytes>) -> Code {
    pair.to_server.push_back(frame.into());
    pair.deliver_to_server();
    let Some(End::Violated(failure)) = pair.server_end().cloned() else { panic!("{:?}", pair.server_end()) };
    pair.collect();
    assert_eq!(goodbye_in(pair.to_client.pop_front().unwrap()), failure.clone().into());
    assert_eq!(pair.server_events, [Event::Ended(End::Violated(failure.clone()))]);
    Code::from_number(failure.code).unwrap()
}

fn frame(seq: u64, ops: Vec<client_op::Op>) -> v1::ClientFrame {
    v1::ClientFrame { seq, ack: 0, ops: ops.into_iter().map(|op| v1::ClientOp { op: Some(op) }).collect() }
}

#[test]
fn operations_gather_into_one_frame() {
    let mut pair = Pair::open();
    for number in 0..100 {
        pair.client.send(mark(number, 8)).unwrap();
    }
    pair.collect();
    assert_eq!(pair.to_server.len(), 1);
    pair.drive();
    assert_eq!(pair.at_server, (0..100).collect::<Vec<_>>());
}

#[test]
fn frames_are_cut_at_the_limit() {
    let limits = Limits { frame_bytes: FRAME_BYTES_MIN, ..Limits::default() };
    let mut pair = Pair::with(limits, 0);
    for number in 0..100 {
        pair.client.send(mark(number, 100)).unwrap();
        pair.server.send(mark_back(number, 100)).unwrap();
    }
    pair.collect();
    assert!(pair.to_server.len() >= 10);
    assert!(pair.to_server.iter().chain(&pair.to_client).all(|frame| frame.len() <= limits.frame_bytes));
    pair.drive();
    assert_eq!(pair.at_server, (0..100).collect::<Vec<_>>());
    assert_eq!(pair.at_client, (0..100).collect::<Vec<_>>());
}

#[test]
fn frames_are_cut_at_the_number_of_operations() {
    let mut pair = Pair::open();
    for _ in 0..=OPS_MAX {
        // The smallest operations that there are.
        pair.client.send(client_op::Op::Watch(v1::Watch::default())).unwrap();
        pair.server.send(server_op::Op::Recall(v1::Recall::default())).unwrap();
    }
    pair.collect();
    assert_eq!((pair.to_server.len(), pair.to_client.len()), (2, 2));
    pair.drive();
    assert_eq!((pair.client.ended(), pair.server.ended()), (None, None));
}

#[test]
fn an_operation_of_exactly_the_limit_fits_and_no_larger() {
    let mut pair = Pair::with(Limits { frame_bytes: FRAME_BYTES_MIN, ..Limits::default() }, 0);
    let mut largest = 0;
    for bytes in FRAME_BYTES_MIN - 50..FRAME_BYTES_MIN + 50 {
        match pair.client.send(mark(bytes as u64, bytes)) {
            Ok(()) => largest = bytes as u64,
            Err(error) => {
                assert!(matches!(error, SendError::TooLarge { limit: FRAME_BYTES_MIN, .. }), "{error:?}");
                assert!(error.failure().is(Code::FrameTooLarge));
            }
        }
    }
    assert!(largest > 0);
    pair.client.send(mark(9, 8)).unwrap();
    pair.drive();
    assert_eq!(pair.at_server.last(), Some(&9), "what does not fit harms nothing else");
    assert!(pair.at_server.contains(&largest));
    assert_eq!(pair.server_end(), None);
}

#[test]
fn frames_must_follow_each_other() {
    assert_eq!(violation(&mut Pair::open(), frame(2, vec![mark(1, 8)]).encode_to_vec()), Code::SequenceGap);
    assert_eq!(
        violation(&mut Pair::open(), frame(u64::MAX, vec![mark(1, 8)]).encode_to_vec()),
        Code::SequenceGap
    );
    let mut unsent = frame(1, vec![mark(1, 8)]);
    unsent.ack = 1;
    assert_eq!(violation(&mut Pair::open(), unsent.encode_to_vec()), Code::SequenceGap);
}

#[test]
fn a_frame_that_comes_twice_is_taken_once() {
    let mut pair = Pair::open();
    pair.client.send(mark(5, 8)).unwrap();
    pair.collect();
    let again = pair.to_server[0].clone();
    pair.to_server.push_back(again);
    pair.drive();
    assert_eq!(pair.at_server, [5]);
    assert_eq!(pair.server_end(), None);
}

#[test]
fn control_and_the_rest_do_not_mix() {
    let credit = || client_op::Op::Credit(v1::Credit { bytes: 1 });
    assert_eq!(
        violation(&mut Pair::open(), frame(0, vec![mark(1, 8)]).encode_to_vec()),
        Code::MalformedFrame
    );
    assert_eq!(violation(&mut Pair::open(), frame(1, vec![credit()]).encode_to_vec()), Code::MalformedFrame);
    assert_eq!(
        violation(&mut Pair::open(), frame(1, vec![mark(1, 8), credit()]).encode_to_vec()),
        Code::MalformedFrame
    );
}

#[test]
fn nothing_of_a_bad_frame_is_taken() {
    let mut pair = Pair::open();
    let mut bytes = frame(1, vec![mark(1, 8)]).encode_to_vec();
    bytes.extend_from_slice(&[0x1a, 0x7f]);
    assert_eq!(violation(&mut pair, bytes), Code::MalformedFrame);
    assert!(pair.at_server.is_empty());
    // And nothing that comes behind it.
    pair.to_server.push_back(frame(1, vec![mark(2, 8)]).encode_to_vec().into());
    pair.deliver_to_server();
    assert!(pair.at_server.is_empty());
}

#[test]
fn a_frame_over_the_limit_is_refused() {
    let limits = Limits { frame_bytes: FRAME_BYTES_MIN, ..Limits::default() };
    let body = frame(1, vec![mark(1, FRAME_BYTES_MIN)]).encode_to_vec();
    assert_eq!(violation(&mut Pair::with(limits, 0), body), Code::FrameTooLarge);
}

#[test]
fn a_frame_of_too_many_operations_is_refused() {
    let body = [&[0x08, 1][..], &[0x1a, 0].repeat(OPS_MAX + 1)].concat();
    assert_eq!(violation(&mut Pair::open(), body), Code::MalformedFrame);
}

#[test]
fn every_byte_flipped_is_taken_or_refused_and_never_worse() {
    let mut pair = Pair::open();
    for number in 0..3 {
        pair.client.send(mark(number, 16)).unwrap();
    }
    pair.client.send(client_op::Op::Goodbye(Box::default())).unwrap();
    pair.collect();
    let whole = pair.to_server.pop_front().unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 1 << bit;
            let mut pair = Pair::open();
            pair.to_server.push_back(bytes.into());
            pair.drive();
            assert!(pair.at_server.len() <= 3);
        }
        let mut pair = Pair::open();
        pair.to_server.push_back(whole.slice(..at));
        pair.drive();
    }
}

#[test]
fn descriptors_go_with_their_arenas() {
    let mut pair = Pair::open();
    let arena = |number, writable| server_op::Op::Arena(v1::Arena { number, size: 64, writable });
    pair.server.send(mark_back(1, 8)).unwrap();
    pair.server.send(arena(1, false)).unwrap();
    pair.server.send(arena(2, true)).unwrap();
    let frame = pair.server.poll_transmit(pair.now).unwrap();
    let descriptors: Vec<_> = frame.descriptors().iter().map(|d| (d.arena, d.writable)).collect();
    assert_eq!(descriptors, [(1, false), (2, true)]);
    assert_eq!(frame.framed().slice(4..), frame.body());

    // The peer never got it, so the descriptors go out again too.
    pair.cut();
    pair.knock_again();
    let _welcome = pair.server.poll_transmit(pair.now).unwrap();
    assert_eq!(pair.server.poll_transmit(pair.now).unwrap(), frame);
}
