//! How a session begins, and how it is refused.

use bytes::Bytes;
use thornback_session::{Client, End, Event, Knock, Limits, SendError, Server, client, refusal};
use thornback_types::{Code, Time};
use thornback_wire::Message;
use thornback_wire::v1::{self, client_op};

use crate::support::{Pair, accept, goodbye_in, hello, mark};

fn first_frame(hello: v1::Hello) -> Bytes {
    frame(0, vec![client_op::Op::Hello(Box::new(hello))])
}

fn frame(seq: u64, ops: Vec<client_op::Op>) -> Bytes {
    let ops = ops.into_iter().map(|op| v1::ClientOp { op: Some(op) }).collect();
    v1::ClientFrame { seq, ack: 0, ops }.encode_to_vec().into()
}

fn refused(body: impl Into<Bytes>) -> Code {
    let failure = Knock::read(body.into()).unwrap_err();
    let told = goodbye_in(refusal(failure.clone()).body());
    assert_eq!(told.code, failure.code);
    assert!(!told.message.is_empty());
    Code::from_number(failure.code).unwrap()
}

fn versions(min: u32, max: u32) -> v1::Hello {
    v1::Hello { version_min: min, version_max: max, ..hello() }
}

#[test]
fn both_sides_agree() {
    let limits = Limits { inline_bytes: 1234, ..Limits::default() };
    let pair = Pair::with(limits, 0);
    assert_eq!(pair.client.limits(), &limits);
    assert!(pair.client.is_connected() && pair.server.is_connected());
    for side in [pair.client.has_feature("streams"), pair.server.has_feature("streams")] {
        assert!(side, "offered and supported");
    }
    assert!(!pair.client.has_feature("teleport"), "offered only");
    assert!(!pair.client.has_feature("actors"), "supported only");
}

#[test]
fn a_version_must_be_shared() {
    assert!(Knock::read(first_frame(versions(1, 1))).is_ok());
    assert!(Knock::read(first_frame(versions(0, 7))).is_ok());
    assert_eq!(refused(first_frame(versions(2, 3))), Code::UnsupportedVersion);
    assert_eq!(refused(first_frame(versions(0, 0))), Code::UnsupportedVersion);
    assert_eq!(refused(first_frame(versions(3, 1))), Code::InvalidArgument);
}

#[test]
fn a_connection_begins_with_hello_alone() {
    let hello = || client_op::Op::Hello(Box::new(versions(1, 1)));
    assert_eq!(refused(frame(0, vec![])), Code::NotHello);
    assert_eq!(refused(frame(0, vec![mark(1, 8)])), Code::NotHello);
    assert_eq!(refused(frame(0, vec![hello(), mark(1, 8)])), Code::NotHello);
    assert_eq!(refused(frame(1, vec![hello()])), Code::NotHello);
    assert_eq!(refused(&b"GET / HTTP/1.1\r\n\r\n"[..]), Code::MalformedFrame);
    assert_eq!(refused(vec![0x1a; 5 << 20]), Code::FrameTooLarge);
}

#[test]
fn a_hello_says_what_it_is() {
    let role = v1::Hello { role: 7, ..versions(1, 1) };
    assert_eq!(refused(first_frame(role)), Code::InvalidArgument);
    let resume = v1::ResumeSession { session: Bytes::from_static(&[1; 15]), ..Default::default() };
    assert_eq!(
        refused(first_frame(v1::Hello { resume: Some(resume), ..versions(1, 1) })),
        Code::InvalidArgument
    );
}

#[test]
fn a_second_hello_ends_the_session() {
    let mut pair = Pair::open();
    pair.to_server.push_back(first_frame(versions(1, 1)));
    pair.drive();
    let Some(End::Violated(failure)) = pair.server_end() else { panic!("{:?}", pair.server_end()) };
    assert!(failure.is(Code::NotHello));
    let Some(End::PeerLeft(Some(failure))) = pair.client_end() else { panic!("{:?}", pair.client_end()) };
    assert!(failure.is(Code::NotHello));
}

#[test]
fn nothing_is_sent_before_welcome() {
    let now = Time::ZERO;
    let mut client = <Client>::new(now, client::Config::new(hello()));
    assert_eq!(client.send(mark(1, 8)), Err(SendError::NotOpen));
    assert!(client.poll_transmit(now).is_some());
    assert_eq!(client.poll_transmit(now), None);
}

#[test]
fn a_refused_client_knows_why() {
    let now = Time::ZERO;
    let mut client = <Client>::new(now, client::Config::new(hello()));
    let _ = client.poll_transmit(now).unwrap();
    let failure = thornback_types::Failure::new(Code::Unauthenticated, "the token is wrong");
    assert_eq!(client.handle_frame(now, refusal(failure.clone()).body()).count(), 0);
    assert_eq!(client.poll_event(), Some(Event::Ended(End::PeerLeft(Some(failure)))));
    assert_eq!(client.poll_event(), None);
}

#[test]
fn a_welcome_that_does_not_come_is_given_up() {
    let mut client = <Client>::new(Time::ZERO, client::Config::new(hello()));
    let _ = client.poll_transmit(Time::ZERO).unwrap();
    let at = client.poll_timeout().unwrap();
    client.handle_timeout(at);
    assert_eq!(client.poll_event(), Some(Event::ConnectionDead));
    client.connection_lost(at);
    let Some(Event::Ended(end)) = client.poll_event() else { panic!() };
    assert!(end.failure().unwrap().is(Code::ConnectionLost));
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn a_welcome_of_another_version_is_refused() {
    let now = Time::ZERO;
    let mut client = <Client>::new(now, client::Config::new(hello()));
    let knock = Knock::read(client.poll_transmit(now).unwrap().body()).unwrap();
    let mut server = <Server>::new(now, &knock, accept(Limits::default()));
    let mut frame = v1::ServerFrame::decode(server.poll_transmit(now).unwrap().body()).unwrap();
    if let Some(v1::server_op::Op::Welcome(welcome)) = &mut frame.ops[0].op {
        welcome.version = 2;
    }
    let _ = client.handle_frame(now, frame.encode_to_vec().into());
    let Some(End::Violated(failure)) = client.ended() else { panic!() };
    assert!(failure.is(Code::UnsupportedVersion));
}

#[test]
fn goodbye_comes_after_what_was_sent() {
    let mut pair = Pair::open();
    pair.client.send(mark(7, 8)).unwrap();
    pair.client.goodbye(None);
    pair.drive();
    assert_eq!(pair.at_server, [7]);
    assert_eq!(pair.server_events, [Event::Ended(End::PeerLeft(None))]);
    assert_eq!(pair.client_events, [Event::Ended(End::Left(None))]);
    assert_eq!(pair.client.send(mark(8, 8)), Err(SendError::NotOpen));
    assert_eq!((pair.client.poll_timeout(), pair.server.poll_timeout()), (None, None));
}

#[test]
fn goodbye_may_end_a_counted_frame() {
    let mut pair = Pair::open();
    pair.to_server.push_back(frame(1, vec![mark(7, 8), client_op::Op::Goodbye(Box::default()), mark(8, 8)]));
    pair.drive();
    assert_eq!(pair.at_server, [7]);
    assert_eq!(pair.server_end(), Some(&End::PeerLeft(None)));
}
