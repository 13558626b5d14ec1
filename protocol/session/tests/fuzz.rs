//! Fuzz targets for sequences of frames into a conversation, in both roles.
//!
//! Under `cargo test` each replays its corpus (`__fuzz__/NAME/corpus`) and then tries random inputs; `cargo bolero test -p thornback-session NAME`
//! looks for new ones with coverage. An input that broke something goes into the corpus.
//!
//! An input is a program. Each step is a byte that says what happens and a byte of length, then that many bytes. Most frames are completed
//! with the numbers that are due, or nearly none would get past the first check.

use std::time::Duration;

use bolero::check;
use bytes::Bytes;
use thornback_session::{
    Accept, Client, End, Event, FRAME_BYTES_MIN, Knock, Limits, Server, Transmit, client, refusal,
};
use thornback_types::{Failure, Time};
use thornback_wire::Message;
use thornback_wire::v1::{self, client_op, server_op};

const ITERATIONS: usize = 10_000;

const LIMITS: Limits = Limits {
    frame_bytes: FRAME_BYTES_MIN,
    inline_bytes: 512,
    window_bytes: 2048,
    heartbeat: Duration::from_secs(1),
    grace: Duration::from_secs(5),
    object_bytes: 0,
};

/// One step of a program.
enum Step<'a> {
    /// A frame as it is.
    Frame(&'a [u8]),
    /// Operations in a frame with the number that is due.
    Counted(&'a [u8]),
    /// Operations in a frame without a number.
    Uncounted(&'a [u8]),
    /// Time passes.
    Pass(Duration),
    /// The connection is lost.
    Cut,
    /// The client connects again.
    Resume,
    /// Our own side says something.
    Send(usize),
    /// Credit is held back, or not.
    Hold(bool),
    /// Our own side leaves.
    Leave,
}

fn program(mut input: &[u8]) -> impl Iterator<Item = Step<'_>> {
    std::iter::from_fn(move || {
        let [what, length, rest @ ..] = input else { return None };
        let (body, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        input = rest;
        Some(match what % 16 {
            0 => Step::Frame(body),
            1..=6 => Step::Counted(body),
            7 | 8 => Step::Uncounted(body),
            9 => Step::Pass(Duration::from_millis(u64::from(*length) * 20)),
            10 => Step::Cut,
            11 => Step::Resume,
            12 | 13 => Step::Send(usize::from(*length) * 5),
            14 => Step::Hold(length % 2 == 0),
            _ => Step::Leave,
        })
    })
}

/// Ops, then `seq` and `ack`: a field that comes again replaces the first.
fn frame(ops: &[u8], seq: u64, ack: u64) -> Bytes {
    let mut body = ops.to_vec();
    v1::ClientFrame { seq, ack, ops: Vec::new() }.encode(&mut body).unwrap();
    if seq == 0 {
        body.extend_from_slice(&[0x08, 0]);
    }
    body.into()
}

fn accept() -> Accept {
    Accept {
        session: [1; 16],
        secret: [2; 16],
        node: Bytes::from_static(&[3; 16]),
        job: Bytes::from_static(&[4; 16]),
        server: "thornback/fuzz".to_owned(),
        namespace: String::new(),
        features: &["streams"],
        limits: LIMITS,
        queue_bytes_max: 1 << 16,
    }
}

fn hello() -> v1::Hello {
    v1::Hello { role: v1::Role::Driver.into(), window_bytes: 2048, ..Default::default() }
}

/// What holds for every frame that leaves.
fn check_transmit(frame: &Transmit) {
    assert!(frame.body_bytes() <= LIMITS.frame_bytes, "{}", frame.body_bytes());
    assert_eq!(frame.framed()[..4], u32::try_from(frame.body_bytes()).unwrap().to_be_bytes());
}

#[test]
fn server_conversation() {
    check!().with_iterations(ITERATIONS).for_each(|input| {
        let mut now = Time(1);
        let mut client = <Client>::new(now, client::Config::new(hello()));
        let knock = Knock::read(client.poll_transmit(now).unwrap().body()).unwrap();
        let mut server = <Server>::new(now, &knock, accept());
        let (mut due, mut taken, mut ends) = (1, 0, 0);
        let resumption = |ack| v1::Hello {
            version_min: 1,
            version_max: 1,
            resume: Some(v1::ResumeSession {
                session: Bytes::from_static(&[1; 16]),
                secret: Bytes::from_static(&[2; 16]),
                ack,
            }),
            ..hello()
        };
        for step in program(input) {
            let before = due;
            match step {
                Step::Frame(body) => {
                    for (at, _op) in server.handle_frame(now, Bytes::copy_from_slice(body)) {
                        due = at.seq + 1;
                    }
                }
                Step::Counted(ops) => {
                    let connected = server.is_connected();
                    let received = server.handle_frame(now, frame(ops, due, taken));
                    if connected && server.ended().is_none_or(|end| matches!(end, End::PeerLeft(_))) {
                        due += 1;
                    }
                    for (at, _op) in received {
                        assert_eq!(at.seq, before);
                        if at.index % 7 == 0 {
                            server.refuse(at, None, Failure::default());
                        }
                    }
                }
                Step::Uncounted(ops) => assert_eq!(server.handle_frame(now, frame(ops, 0, taken)).count(), 0),
                Step::Pass(time) => {
                    now = now + time;
                    server.handle_timeout(now);
                }
                Step::Cut => server.connection_lost(now),
                Step::Resume => {
                    let op = v1::ClientOp { op: Some(client_op::Op::Hello(Box::new(resumption(taken)))) };
                    let body = v1::ClientFrame { ops: vec![op], ..Default::default() }.encode_to_vec();
                    let resumed = server.resume(now, &Knock::read(body.into()).unwrap());
                    assert_eq!(resumed.is_ok(), server.ended().is_none());
                }
                Step::Send(bytes) => {
                    let id = Bytes::from(vec![7; bytes]);
                    let _ = server.send(server_op::Op::Recall(v1::Recall { tasks: vec![id] }));
                }
                Step::Hold(held) => server.hold_credit(held),
                Step::Leave => server.goodbye(None),
            }
            let over = server.ended().is_some();
            let mut last = 0;
            while let Some(out) = server.poll_transmit(now) {
                check_transmit(&out);
                let out = v1::ServerFrame::decode(out.body()).unwrap();
                if out.seq > 0 {
                    assert!(!over && out.seq > last, "numbers rise, and nothing counted follows the end");
                    last = out.seq;
                    taken = taken.max(out.seq);
                }
            }
            while let Some(event) = server.poll_event() {
                ends += usize::from(matches!(event, Event::Ended(_)));
            }
            assert_eq!(ends, usize::from(server.ended().is_some()));
            assert!(server.queued_bytes() <= 1 << 16);
            assert!(server.ended().is_none() || server.poll_timeout().is_none());
            assert!(server.poll_timeout().is_none_or(|at| at >= now || server.is_connected()));
        }
    });
}

#[test]
fn client_conversation() {
    check!().with_iterations(ITERATIONS).for_each(|input| {
        let mut now = Time(1);
        let mut client =
            <Client>::new(now, client::Config { window_bytes: 2048, ..client::Config::new(hello()) });
        let knock = Knock::read(client.poll_transmit(now).unwrap().body()).unwrap();
        let welcome = <Server>::new(now, &knock, accept()).poll_transmit(now).unwrap().body();
        let (mut due, mut taken, mut ends, mut welcomed) = (1, 0, 0, false);
        for step in program(input) {
            match step {
                Step::Frame(body) => {
                    for (at, _op) in client.handle_frame(now, Bytes::copy_from_slice(body)) {
                        due = at.seq + 1;
                    }
                }
                Step::Counted(ops) => {
                    let connected = client.is_connected();
                    let received = client.handle_frame(now, frame(ops, due, taken));
                    if connected && client.ended().is_none_or(|end| matches!(end, End::PeerLeft(_))) {
                        due += 1;
                    }
                    assert!(received.count() <= ops.len());
                }
                Step::Uncounted(ops) => assert_eq!(client.handle_frame(now, frame(ops, 0, taken)).count(), 0),
                Step::Pass(time) => {
                    now = now + time;
                    client.handle_timeout(now);
                }
                Step::Cut => client.connection_lost(now),
                Step::Resume if welcomed => {
                    client.reconnect(now);
                    while client.poll_transmit(now).is_some() {}
                    let mut frame = v1::ServerFrame::decode(welcome.clone()).unwrap();
                    if let Some(server_op::Op::Welcome(welcome)) = &mut frame.ops[0].op {
                        (welcome.resumed, welcome.ack) = (true, taken);
                    }
                    let _ = client.handle_frame(now, frame.encode_to_vec().into());
                }
                Step::Resume => {
                    let _ = client.handle_frame(now, welcome.clone());
                    welcomed = true;
                }
                Step::Send(bytes) => {
                    let id = Bytes::from(vec![7; bytes]);
                    let _ = client.send(client_op::Op::Cancel(v1::Cancel { id, ..Default::default() }));
                }
                Step::Hold(held) => client.hold_credit(held),
                Step::Leave => client.goodbye(None),
            }
            while let Some(out) = client.poll_transmit(now) {
                check_transmit(&out);
                taken = taken.max(v1::ClientFrame::decode(out.body()).unwrap().seq);
            }
            while let Some(event) = client.poll_event() {
                ends += usize::from(matches!(event, Event::Ended(_)));
            }
            assert_eq!(ends, usize::from(client.ended().is_some()));
            assert!(client.ended().is_none() || client.poll_timeout().is_none());
        }
    });
}

#[test]
fn first_frame() {
    check!().with_iterations(ITERATIONS).for_each(|input| match Knock::read(Bytes::copy_from_slice(input)) {
        Ok(knock) => {
            let server = <Server>::new(Time(1), &knock, accept());
            assert!(server.is_connected());
            assert!(!server.welcome().resumed);
        }
        Err(failure) => assert!(!refusal(failure).framed().is_empty()),
    });
}
