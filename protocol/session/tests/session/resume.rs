//! Connections that are lost, and sessions that go on.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use thornback_session::{End, Event, Knock, Limits};
use thornback_types::Code;
use thornback_wire::Message;
use thornback_wire::v1::{self, client_op};

use crate::support::{Pair, hello, mark, mark_back};

fn resume_with(resume: v1::ResumeSession) -> Knock {
    let hello = v1::Hello { version_min: 1, version_max: 1, resume: Some(resume), ..hello() };
    let op = v1::ClientOp { op: Some(client_op::Op::Hello(Box::new(hello))) };
    Knock::read(v1::ClientFrame { seq: 0, ack: 0, ops: vec![op] }.encode_to_vec().into()).unwrap()
}

#[test]
fn what_was_under_way_is_sent_again() {
    let mut pair = Pair::open();
    pair.client.send(mark(1, 8)).unwrap();
    pair.server.send(mark_back(1, 8)).unwrap();
    pair.drive();
    pair.client.send(mark(2, 8)).unwrap();
    pair.server.send(mark_back(2, 8)).unwrap();
    pair.collect();
    pair.cut();
    // Said while there is no connection.
    pair.client.send(mark(3, 8)).unwrap();
    pair.server.send(mark_back(3, 8)).unwrap();
    assert!(!pair.client.is_connected());

    pair.knock_again();
    pair.drive();
    assert_eq!((&pair.at_server[..], &pair.at_client[..]), (&[1, 2, 3][..], &[1, 2, 3][..]));
    let Some(Event::Welcomed(welcome)) = pair.client_events.last() else { panic!() };
    assert!(welcome.resumed);
}

#[test]
fn what_arrived_is_not_taken_again() {
    let mut pair = Pair::open();
    pair.client.send(mark(1, 8)).unwrap();
    pair.collect();
    pair.deliver_to_server();
    // The acknowledgement is lost.
    pair.cut();
    pair.knock_again();
    pair.drive();
    assert_eq!(pair.at_server, [1]);
}

#[test]
fn a_client_may_come_back_before_its_old_connection_is_gone() {
    let mut pair = Pair::open();
    pair.client.send(mark(1, 8)).unwrap();
    pair.collect();
    pair.client.connection_lost(pair.now);
    pair.knock_again();
    pair.drive();
    assert_eq!(pair.at_server, [1]);
}

#[test]
fn a_session_waits_for_its_grace_and_no_longer() {
    let grace = Duration::from_secs(5);
    for (away, survives) in [(grace - Duration::from_millis(1), true), (grace, false)] {
        let mut pair = Pair::with(Limits { grace, ..Limits::default() }, 0);
        pair.cut();
        pair.pass(away);
        assert_eq!(pair.server_end().is_none(), survives);
        assert_eq!(pair.client_end().is_none(), survives);
        if !survives {
            assert_eq!(pair.server_events, [Event::Ended(End::Expired)]);
            assert!(pair.client_end().unwrap().failure().unwrap().is(Code::ConnectionLost));
            let welcome = pair.client.welcome().unwrap();
            let resume = v1::ResumeSession {
                session: welcome.session.clone(),
                secret: welcome.secret.clone(),
                ack: 0,
            };
            let refused = pair.server.resume(pair.now, &resume_with(resume)).unwrap_err();
            assert!(refused.is(Code::SessionExpired));
        }
    }
}

#[test]
fn only_who_knows_the_secret_resumes() {
    let mut pair = Pair::open();
    let session = pair.client.welcome().unwrap().session.clone();
    for secret in [&[][..], &[2; 15], &[3; 16], &[2; 17]] {
        let secret = Bytes::copy_from_slice(secret);
        let resume = v1::ResumeSession { session: session.clone(), secret, ack: 0 };
        assert!(pair.server.resume(pair.now, &resume_with(resume)).unwrap_err().is(Code::PermissionDenied));
    }
    // The true client notices nothing.
    pair.client.send(mark(1, 8)).unwrap();
    pair.drive();
    assert_eq!(pair.at_server, [1]);
}

#[test]
fn a_client_cannot_have_what_was_never_sent() {
    let mut pair = Pair::open();
    let welcome = pair.client.welcome().unwrap();
    let resume =
        v1::ResumeSession { session: welcome.session.clone(), secret: welcome.secret.clone(), ack: 1 };
    assert!(pair.server.resume(pair.now, &resume_with(resume)).unwrap_err().is(Code::SequenceGap));
}

#[test]
fn a_server_that_forgot_the_session_is_not_taken_for_it() {
    let mut pair = Pair::open();
    let other = Pair::open();
    pair.client.send(mark(1, 8)).unwrap();
    pair.cut();
    pair.client.reconnect(pair.now);
    let _hello = pair.client.poll_transmit(pair.now).unwrap();
    let welcome = v1::Welcome { resumed: false, ..other.server.welcome().clone() };
    let op = v1::ServerOp { op: Some(v1::server_op::Op::Welcome(Box::new(welcome))) };
    let _ = pair.client.handle_frame(
        pair.now,
        v1::ServerFrame { ops: vec![op], ..Default::default() }.encode_to_vec().into(),
    );
    let Some(End::Violated(failure)) = pair.client_end() else { panic!() };
    assert!(failure.is(Code::SessionExpired));
}

/// What a network and two busy sides may do.
#[derive(Debug, Clone)]
enum Step {
    ClientSends(u8),
    ServerSends(u8),
    ToServer,
    ToClient,
    Collect,
    Cut,
    Knock,
    Pass(u16),
    HoldServer(bool),
    HoldClient(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u8>().prop_map(Step::ClientSends),
        4 => any::<u8>().prop_map(Step::ServerSends),
        8 => Just(Step::ToServer),
        8 => Just(Step::ToClient),
        8 => Just(Step::Collect),
        1 => Just(Step::Cut),
        2 => Just(Step::Knock),
        1 => any::<u16>().prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::HoldServer),
        1 => any::<bool>().prop_map(Step::HoldClient),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is lost, everything arrives once and in order.
    #[test]
    fn nothing_is_lost_repeated_or_reordered(
        steps in prop::collection::vec(step(), 1..200),
        window in 1u64..4000,
        client_window in 1u64..4000,
    ) {
        let limits = Limits { frame_bytes: 1024, window_bytes: window, heartbeat: Duration::from_millis(500), grace: Duration::from_secs(3600), ..Limits::default() };
        let mut pair = Pair::with(limits, client_window);
        let (mut from_client, mut from_server) = (0, 0);
        for step in steps {
            match step {
                Step::ClientSends(bytes) => {
                    pair.client.send(mark(from_client, usize::from(bytes) * 3)).unwrap();
                    from_client += 1;
                }
                Step::ServerSends(bytes) => {
                    pair.server.send(mark_back(from_server, usize::from(bytes) * 3)).unwrap();
                    from_server += 1;
                }
                Step::ToServer => { pair.deliver_to_server(); }
                Step::ToClient => { pair.deliver_to_client(); }
                Step::Collect => pair.collect(),
                Step::Cut => pair.cut(),
                Step::Knock => pair.knock_again(),
                Step::Pass(millis) => {
                    pair.now = pair.now + Duration::from_millis(millis.into());
                    pair.client.handle_timeout(pair.now);
                    pair.server.handle_timeout(pair.now);
                }
                Step::HoldServer(held) => pair.server.hold_credit(held),
                Step::HoldClient(held) => pair.client.hold_credit(held),
            }
            prop_assert_eq!(pair.client_end(), None);
            prop_assert_eq!(pair.server_end(), None);
        }
        pair.server.hold_credit(false);
        pair.client.hold_credit(false);
        pair.cut();
        pair.knock_again();
        pair.drive();
        prop_assert_eq!(pair.at_server, (0..from_client).collect::<Vec<_>>());
        prop_assert_eq!(pair.at_client, (0..from_server).collect::<Vec<_>>());
        prop_assert_eq!(pair.client.queued_bytes() + pair.server.queued_bytes(), 0);
    }
}
