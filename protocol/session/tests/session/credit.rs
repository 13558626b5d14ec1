//! Windows in both directions.

use thornback_session::{End, Limits, SendError};
use thornback_types::Code;
use thornback_wire::Message;
use thornback_wire::v1;

use crate::support::{Pair, mark, mark_back};

/// Frames of at most 1 KiB, windows of 4 KiB.
fn narrow() -> Pair {
    Pair::with(Limits { frame_bytes: 1024, window_bytes: 4096, ..Limits::default() }, 4096)
}

#[test]
fn a_sender_stops_at_the_window() {
    let mut pair = narrow();
    pair.server.hold_credit(true);
    for number in 0..100 {
        pair.client.send(mark(number, 500)).unwrap();
    }
    pair.drive();
    let sent = pair.at_server.len() * 500;
    assert!((4096 - 500..4096 + 1024).contains(&sent), "{sent}");
    assert!(pair.client.queued_bytes() > 40_000);
    assert_eq!(pair.server_end(), None);

    pair.server.hold_credit(false);
    pair.drive();
    assert_eq!(pair.at_server, (0..100).collect::<Vec<_>>());
    assert_eq!(pair.client.queued_bytes(), 0);
}

#[test]
fn credit_comes_back_in_both_directions() {
    let mut pair = narrow();
    for number in 0..1000 {
        pair.client.send(mark(number, 100)).unwrap();
        pair.server.send(mark_back(number, 100)).unwrap();
    }
    pair.drive();
    assert_eq!(pair.at_server, (0..1000).collect::<Vec<_>>());
    assert_eq!(pair.at_client, (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_frame_larger_than_the_window_passes() {
    let mut pair = Pair::with(Limits { frame_bytes: 1024, window_bytes: 10, ..Limits::default() }, 1);
    for number in 0..10 {
        pair.client.send(mark(number, 900)).unwrap();
        pair.server.send(mark_back(number, 900)).unwrap();
    }
    pair.drive();
    assert_eq!((pair.at_server.len(), pair.at_client.len()), (10, 10));
}

#[test]
fn who_sends_without_credit_is_told() {
    let mut pair = narrow();
    pair.server.hold_credit(true);
    for seq in 1..20 {
        let op = v1::ClientOp { op: Some(mark(seq, 900)) };
        pair.to_server.push_back(v1::ClientFrame { seq, ack: 0, ops: vec![op] }.encode_to_vec().into());
    }
    pair.drive();
    let Some(End::Violated(failure)) = pair.server_end() else { panic!() };
    assert!(failure.is(Code::FlowControl));
    assert_eq!(pair.at_server.len(), 5, "what came with credit was taken");
}

#[test]
fn who_is_held_back_is_spared_a_little_credit_once() {
    let mut pair = narrow();
    pair.server.hold_credit(true);
    for number in 0..50 {
        pair.client.send(mark(number, 900)).unwrap();
    }
    pair.drive();
    let held = pair.at_server.len();
    assert!(held < 50, "the window is not so large");
    pair.drive();
    assert_eq!(pair.at_server.len(), held, "nothing comes while it is held");
    pair.server.spare_credit();
    pair.drive();
    let spared = pair.at_server.len();
    assert!(spared > held && spared < 50, "{held}, then {spared} of 50");
    pair.drive();
    assert_eq!(pair.at_server.len(), spared, "only once");
    pair.server.hold_credit(false);
    pair.drive();
    assert_eq!(pair.at_server.len(), 50);
}

#[test]
fn a_queue_has_an_end() {
    let mut pair = narrow();
    pair.client.hold_credit(true);
    let refused = (0..10_000).find_map(|number| pair.server.send(mark_back(number, 900)).err()).unwrap();
    assert!(matches!(refused, SendError::QueueFull { bytes } if bytes <= 1 << 20), "{refused:?}");
    assert!(refused.failure().is(Code::LimitExceeded));
    pair.client.hold_credit(false);
    pair.drive();
    assert_eq!(pair.server.queued_bytes(), 0);
    pair.server.send(mark_back(0, 900)).unwrap();
}

#[test]
fn credit_without_end_does_not_overflow() {
    let mut pair = narrow();
    for _ in 0..3 {
        let op = v1::ClientOp { op: Some(v1::client_op::Op::Credit(v1::Credit { bytes: u64::MAX })) };
        pair.to_server.push_back(v1::ClientFrame { seq: 0, ack: 0, ops: vec![op] }.encode_to_vec().into());
    }
    pair.server.send(mark_back(1, 8)).unwrap();
    pair.drive();
    assert_eq!(pair.at_client, [1]);
}

#[test]
fn who_never_acknowledges_is_not_sent_everything() {
    let mut pair = narrow();
    let op = v1::ClientOp { op: Some(v1::client_op::Op::Credit(v1::Credit { bytes: u64::MAX })) };
    pair.to_server.push_back(v1::ClientFrame { seq: 0, ack: 0, ops: vec![op] }.encode_to_vec().into());
    pair.drive();
    // Frames leave and nothing comes back.
    let now = thornback_types::Time::ZERO;
    let refused = (0..10_000).find_map(|number| {
        let refused = pair.server.send(mark_back(number, 900)).err();
        while pair.server.poll_transmit(now).is_some() {}
        refused
    });
    assert!(matches!(refused, Some(SendError::QueueFull { bytes }) if bytes <= 2 << 20), "{refused:?}");
}
