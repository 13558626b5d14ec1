//! Operations that are not taken, in a session that goes on.

use bytes::Bytes;
use thornback_session::End;
use thornback_types::{Code, Failure, Id};
use thornback_wire::Message;
use thornback_wire::v1::{self, server_op};

use crate::support::{Pair, mark, ops_in};

fn refusals(pair: &mut Pair) -> Vec<(u64, u32, u32)> {
    pair.collect();
    let numbers = |refused: v1::Refused| (refused.seq, refused.index, refused.failure.unwrap().code);
    pair.to_client.drain(..).flat_map(ops_in).map(refusal).map(numbers).collect()
}

fn refusal(op: server_op::Op) -> v1::Refused {
    match op {
        server_op::Op::Refused(refused) => *refused,
        other => panic!("{other:?}"),
    }
}

/// A frame with operations of a later version between two that are known.
fn from_the_future() -> Bytes {
    let known = |number| v1::ClientOp { op: Some(mark(number, 8)) };
    let mut body = v1::ClientFrame { seq: 1, ack: 0, ops: vec![known(1)] }.encode_to_vec();
    // Operation 1000, with a message in it; then an operation that is nothing at all.
    body.extend_from_slice(&[0x1a, 5, 0xc2, 0x3e, 2, 0x08, 1]);
    body.extend_from_slice(&[0x1a, 0]);
    v1::ClientFrame { ops: vec![known(2)], ..Default::default() }.encode(&mut body).unwrap();
    body.into()
}

#[test]
fn what_is_not_known_is_refused_by_its_place() {
    let mut pair = Pair::open();
    pair.to_server.push_back(from_the_future());
    pair.deliver_to_server();
    assert_eq!(pair.at_server, [1, 2]);
    let unknown = Code::UnknownOperation.number();
    assert_eq!(refusals(&mut pair), [(1, 1, unknown), (1, 2, unknown)]);
    assert!(pair.server.is_connected());
}

#[test]
fn an_owner_refuses_what_it_was_given() {
    let mut pair = Pair::open();
    pair.client.send(mark(1, 8)).unwrap();
    pair.client.send(mark(2, 8)).unwrap();
    pair.collect();
    let frame = pair.to_server.pop_front().unwrap();
    for (position, _) in pair.server.handle_frame(pair.now, frame) {
        let made = (position.index == 1).then_some(Id([7; 16]));
        pair.server.refuse(position, made, Failure::new(Code::DuplicateId, "the id is in use"));
    }
    pair.collect();
    let answers: Vec<v1::Refused> = pair.to_client.drain(..).flat_map(ops_in).map(refusal).collect();
    let told: Vec<_> = answers.iter().map(|refused| (refused.seq, refused.index, &refused.id[..])).collect();
    assert_eq!(told, [(1, 0, &[][..]), (1, 1, &[7; 16][..])]);
    let duplicate = |refused: &v1::Refused| {
        refused.failure.as_ref().is_some_and(|failure| failure.code == Code::DuplicateId.number())
    };
    assert!(answers.iter().all(duplicate));
}

#[test]
fn refusals_without_end_end_the_session() {
    let mut pair = Pair::open();
    let body = [&[0x08, 1][..], &[0x1a, 0].repeat(60_000)].concat();
    pair.to_server.push_back(body.into());
    pair.deliver_to_server();
    let Some(End::Violated(failure)) = pair.server_end() else { panic!("{:?}", pair.server_end()) };
    assert!(failure.is(Code::LimitExceeded));
}

#[test]
fn a_client_skips_what_it_does_not_know() {
    let mut pair = Pair::open();
    let known = |number| v1::ServerOp { op: Some(crate::support::mark_back(number, 8)) };
    let mut body = v1::ServerFrame { seq: 1, ack: 0, ops: vec![known(1)] }.encode_to_vec();
    body.extend_from_slice(&[0x1a, 5, 0xc2, 0x3e, 2, 0x08, 1]);
    v1::ServerFrame { ops: vec![known(2)], ..Default::default() }.encode(&mut body).unwrap();
    pair.to_client.push_back(body.into());
    pair.drive();
    assert_eq!(pair.at_client, [1, 2]);
    assert!(pair.client.is_connected());
}
