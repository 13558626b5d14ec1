//! The client against a scripted node: order, acknowledgement, credit, resumption, and nodes that misbehave. No server is needed.

mod peer;
mod worker;

use std::time::Duration;

use peer::{Peer, completion, failure, outcome, result_of};
use thornback::{Args, Bytes, Client, Code, Ref, Task, get_all};
use thornback_wire::Message;
use thornback_wire::v1::{self, client_op, completion::Outcome, server_op};

static WORK: Task<(u8,), Ref<u8>> = Task::named("work");

fn submit(client: &Client, n: u8) -> Ref<u8> {
    WORK.submit(client, n)
}

fn get<T: thornback::Data>(r: &Ref<T>) -> thornback::Result<T> {
    r.blocking_get()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

#[test]
fn hello_says_who_we_are_and_the_end_is_said_too() {
    let (mut peer, client) = Peer::welcomed();
    let hello = peer.hello.clone().expect("it said hello");
    assert_eq!((hello.version_min, hello.version_max, hello.language.as_str()), (1, 1, "rust"));
    assert_eq!((hello.role(), hello.resume), (v1::Role::Driver, None));
    assert!(hello.window_bytes > 0 && hello.features.iter().any(|feature| feature == "shared-memory"));
    assert_eq!((client.namespace(), client.server()), ("test", "scripted"));
    drop(client);
    assert_eq!(peer.goodbye(), None, "an end without an error");
}

#[test]
fn a_node_that_hangs_up_at_once_is_an_error() {
    let refused = Peer::new().open(Peer::hang_up);
    assert!(refused.expect_err("nobody welcomes it").is(Code::ConnectionLost));
}

#[test]
fn operations_travel_in_order_in_frames_without_gaps() {
    let (mut peer, client) = Peer::welcomed();
    let refs: Vec<_> = (0..100).map(|n| submit(&client, n)).collect();
    let first = peer.frame();
    assert_eq!((first.seq, first.ack), (1, 0));
    assert!(matches!(first.ops[0].op, Some(client_op::Op::Declare(_))), "the declaration is first");
    let mut seq = 1;
    let mut submits: Vec<_> = first.ops.into_iter().skip(1).collect();
    while submits.len() < refs.len() {
        let frame = peer.frame();
        seq += 1;
        assert_eq!(frame.seq, seq);
        submits.extend(frame.ops);
    }
    for (n, op) in (0u8..).zip(submits) {
        let Some(client_op::Op::Submit(submit)) = op.op else { panic!("not a submit: {op:?}") };
        assert_eq!(result_of(&submit.task), refs[usize::from(n)].id().as_bytes()[..]);
        let Some(v1::arg::Arg::Value(value)) = &submit.args[0].arg else { panic!("not a value") };
        assert_eq!(value.data[..], [n]);
        peer.complete(&submit, n);
    }
    assert_eq!(block_on(get_all(&refs)).expect("all are there"), (0..100).collect::<Vec<u8>>());
}

#[test]
fn a_frame_that_comes_twice_counts_once() {
    let (mut peer, client) = Peer::welcomed();
    let (one, two) = (submit(&client, 1), submit(&client, 2));
    let (first, second) = (peer.submit(), peer.submit());
    peer.say([completion(&first.task, 1)]);
    peer.say_as(1, [completion(&second.task, 9)]);
    peer.say([completion(&second.task, 2)]);
    assert_eq!((get(&one).expect("is there"), get(&two).expect("is there")), (1, 2));
}

#[test]
fn a_gap_ends_the_session_and_the_node_is_told() {
    let (mut peer, client) = Peer::welcomed();
    let waits = submit(&client, 1);
    let task = peer.submit().task;
    peer.say_as(5, [completion(&task, 1)]);
    assert!(get(&waits).expect_err("a gap").is(Code::SequenceGap));
    assert_eq!(peer.goodbye().expect("a reason").code, Code::SequenceGap.number());
    assert!(get(&submit(&client, 2)).expect_err("the session is over").is(Code::SequenceGap));
}

#[test]
fn what_later_versions_add_is_ignored() {
    let (mut peer, client) = Peer::welcomed();
    let r = submit(&client, 1);
    let task = peer.submit().task;
    // In turn: an operation that nobody knows, one with a field that nobody knows, a field that frames do not have.
    let unknown_op = [0x1a, 0x05, 0xfa, 0x3f, 0x02, 0x08, 0x01];
    let completion = v1::ServerOp { op: Some(completion(&task, 7)) }.encode_to_vec();
    let grease = [0xc8, 0x3e, 0x2a];
    let mut body = vec![0x08, 0x01];
    body.extend_from_slice(&unknown_op);
    body.push(0x1a);
    body.push(u8::try_from(completion.len() + grease.len()).expect("is short"));
    body.extend_from_slice(&completion);
    body.extend_from_slice(&grease);
    body.extend_from_slice(&[0xf2, 0x3f, 0x01, 0x00]);
    peer.seq = 1;
    peer.body(&body);
    assert_eq!(get(&r).expect("is there"), 7);
}

#[test]
fn a_ping_is_answered_with_its_nonce() {
    let (mut peer, _client) = Peer::welcomed();
    peer.control_op(server_op::Op::Ping(v1::Ping { nonce: 42 }));
    assert_eq!(peer.next_control(), client_op::Op::Pong(v1::Pong { nonce: 42 }));
}

#[test]
fn a_silent_node_is_pinged_and_then_given_up() {
    let mut peer = Peer::new();
    peer.limits.heartbeat_ms = 10;
    let _client = peer.open(Peer::welcome).expect("is welcomed");
    // A client that this machine kept from running for long enough has no time to ask.
    while let Some(frame) = peer.any_frame() {
        assert!(frame.ops.iter().all(|op| matches!(op.op, Some(client_op::Op::Ping(_)))), "{frame:?}");
    }
    let resume = peer.accept().resume.expect("it comes back to go on");
    assert_eq!((&resume.session[..], &resume.secret[..]), (&[1; 16][..], &[2; 16][..]));
}

#[test]
fn nothing_is_sent_without_credit_and_all_of_it_with_some() {
    let mut peer = Peer::new();
    peer.limits = v1::Limits { frame_bytes: 1 << 10, window_bytes: 2 << 10, ..peer.limits };
    let client = peer.open(Peer::welcome).expect("is welcomed");
    let refs: Vec<_> = (0..100u8).map(|n| submit(&client, n)).collect();
    let (mut sent, mut submits) = (0, Vec::new());
    while submits.len() < refs.len() {
        // The client may overdraw its credit by one frame and no more.
        let frame = peer.frame();
        sent += frame.encoded_len();
        assert!(sent <= 3 << 10, "{sent} bytes came and 2048 were allowed");
        submits.extend(frame.ops.into_iter().filter_map(|op| match op.op {
            Some(client_op::Op::Submit(submit)) => Some(submit),
            _ => None,
        }));
        if sent >= 2 << 10 {
            // A ping that is answered shows that the client does go on, and sends nothing that counts.
            peer.control_op(server_op::Op::Ping(v1::Ping { nonce: 1 }));
            assert!(matches!(peer.next_control(), client_op::Op::Pong(_)));
            peer.control_op(server_op::Op::Credit(v1::Credit { bytes: sent as u64 }));
            sent = 0;
        }
    }
    for (n, submit) in (0u8..).zip(&submits) {
        peer.complete(submit, n);
    }
    assert_eq!(block_on(get_all(&refs)).expect("all are there").len(), 100);
}

#[test]
fn credit_is_given_back_for_what_was_taken() {
    let (mut peer, _client) = Peer::welcomed();
    let line = "x".repeat(1 << 20);
    let mut bytes = 0;
    // A quarter of the window of 8 MiB.
    while bytes < 2 << 20 {
        let log = v1::Log { lines: vec![line.clone()], ..v1::Log::default() };
        let seq = peer.seq + 1;
        let op = v1::ServerOp { op: Some(server_op::Op::Log(Box::new(log))) };
        let body = v1::ServerFrame { seq, ack: 0, ops: vec![op] }.encode_to_vec();
        bytes += body.len() as u64;
        peer.seq = seq;
        peer.body(&body);
    }
    assert_eq!(peer.next_control(), client_op::Op::Credit(v1::Credit { bytes }));
}

#[test]
fn a_lost_connection_is_resumed_and_nothing_is_lost_or_doubled() {
    let (mut peer, client) = Peer::welcomed();
    peer.acknowledges = false;
    let (known, lost) = (submit(&client, 1), submit(&client, 2));
    let first = peer.submit();
    peer.complete(&first, 1);
    assert_eq!(get(&known).expect("is there"), 1);
    let second = peer.submit();
    let sent = peer.taken;
    peer.hang_up();
    // While there is no connection, more is asked for.
    let later = submit(&client, 3);
    let resume = peer.accept().resume.expect("goes on with the session");
    assert_eq!(resume.ack, peer.seq);
    peer.resume(0);
    let mut replayed = Vec::new();
    let mut seqs = Vec::new();
    while replayed.len() < 3 {
        let frame = peer.frame();
        seqs.push(frame.seq);
        replayed.extend(frame.ops.into_iter().filter_map(|op| match op.op {
            Some(client_op::Op::Submit(submit)) => Some(submit),
            _ => None,
        }));
    }
    assert!(
        seqs.iter().copied().eq(1..=seqs.len() as u64) && seqs.len() as u64 > sent,
        "{seqs:?} after {sent}"
    );
    assert_eq!((&replayed[0], &replayed[1]), (&first, &second), "the same, in the same order");
    peer.acknowledges = true;
    // What was told before is told again with its old number, and counts once.
    peer.say_as(1, [completion(&first.task, 9)]);
    peer.complete(&second, 2);
    peer.complete(&replayed[2], 3);
    assert_eq!((get(&lost).expect("is there"), get(&later).expect("is there")), (2, 3));
    assert_eq!(get(&known).expect("is there"), 1);
}

#[test]
fn what_the_node_has_taken_is_not_sent_again() {
    let (mut peer, client) = Peer::welcomed();
    let before = submit(&client, 1);
    let first = peer.submit();
    let taken = peer.taken;
    peer.hang_up();
    peer.accept();
    peer.resume(taken);
    let after = submit(&client, 2);
    let frame = peer.frame();
    assert_eq!(frame.seq, taken + 1);
    assert!(!frame.ops.iter().any(|op| matches!(op.op, Some(client_op::Op::Declare(_)))));
    peer.complete(&first, 1);
    let Some(client_op::Op::Submit(second)) = &frame.ops[0].op else { panic!("not a submit") };
    peer.complete(second, 2);
    assert_eq!((get(&before).expect("is there"), get(&after).expect("is there")), (1, 2));
}

#[test]
fn a_session_that_is_gone_fails_what_waits() {
    let (mut peer, client) = Peer::welcomed();
    let waits = submit(&client, 1);
    peer.submit();
    peer.hang_up();
    peer.accept();
    let reason = failure(Code::SessionExpired, "the session is over");
    peer.control_op(server_op::Op::Goodbye(Box::new(v1::Goodbye { failure: Some(reason) })));
    let error = get(&waits).expect_err("is gone");
    assert!(error.is(Code::SessionExpired) && error.message().contains("is over"), "{error}");
}

#[test]
fn a_node_that_is_gone_is_the_end_also_for_one_who_was_writing_to_it() {
    static LARGE: Task<(Bytes,), Ref<u8>> = Task::named("large");
    let (mut peer, client) = Peer::welcomed();
    // More than the connection takes at once, and less than the session may send.
    let refs: Vec<_> = (0..60).map(|_| LARGE.submit(&client, Bytes::from(vec![7; 90 << 10]))).collect();
    peer.frame();
    // With its socket: there is nobody to come back to.
    drop(peer);
    let (sender, outcomes) = std::sync::mpsc::channel();
    std::thread::spawn(move || refs.iter().try_for_each(|r| sender.send(get(r))));
    for _ in 0..60 {
        // A timeout of the client's own would need the thread that is to notice.
        let outcome = outcomes.recv_timeout(Duration::from_secs(60)).expect("it is noticed");
        assert!(outcome.as_ref().is_err_and(|error| error.is(Code::ConnectionLost)), "{outcome:?}");
    }
}

#[test]
fn another_session_instead_of_the_old_one_is_the_end_of_it() {
    let (mut peer, client) = Peer::welcomed();
    let waits = submit(&client, 1);
    peer.submit();
    peer.hang_up();
    peer.accept();
    peer.welcome();
    assert!(get(&waits).expect_err("is gone").is(Code::SessionExpired));
    assert_eq!(peer.goodbye().expect("a reason").code, Code::SessionExpired.number());
}

#[test]
fn a_goodbye_is_raised_as_what_it_says() {
    let (mut peer, client) = Peer::welcomed();
    let waits = submit(&client, 1);
    peer.submit();
    let reason = failure(Code::ShuttingDown, "the node is stopping");
    peer.say([server_op::Op::Goodbye(Box::new(v1::Goodbye { failure: Some(reason) }))]);
    assert!(get(&waits).expect_err("is gone").is(Code::ShuttingDown));
    assert!(block_on(client.flush()).expect_err("is over").is(Code::ShuttingDown));
}

#[test]
fn a_refused_hello_is_raised_as_what_it_says() {
    let mut peer = Peer::new();
    let refused = peer.open(|peer| {
        let reason = failure(Code::Unauthenticated, "no token");
        peer.control_op(server_op::Op::Goodbye(Box::new(v1::Goodbye { failure: Some(reason) })));
    });
    assert!(refused.expect_err("is refused").is(Code::Unauthenticated));
}

#[test]
fn a_version_that_was_not_offered_is_refused() {
    let mut peer = Peer::new();
    let refused = peer.open(|peer| {
        let welcome = v1::Welcome { version: 2, ..peer.a_welcome() };
        peer.control_op(server_op::Op::Welcome(Box::new(welcome)));
    });
    assert!(refused.expect_err("is refused").is(Code::UnsupportedVersion));
}

#[test]
fn a_second_welcome_ends_the_session() {
    let (mut peer, client) = Peer::welcomed();
    let waits = submit(&client, 1);
    peer.submit();
    peer.welcome();
    assert!(get(&waits).expect_err("is over").is(Code::MalformedFrame));
}

#[test]
fn frames_that_are_none_end_the_session() {
    let garbage: [(&[u8], Code); 5] = [
        // A length beyond all limits.
        (&[0xff; 64], Code::FrameTooLarge),
        // A field that is cut short.
        (&[0, 0, 0, 2, 0x1a, 0x7f], Code::MalformedFrame),
        // A wire type that does not exist.
        (&[0, 0, 0, 1, 0x0f], Code::MalformedFrame),
        // A number of ten bytes and more.
        (&[0, 0, 0, 12, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255], Code::MalformedFrame),
        // An acknowledgement of what was never sent.
        (&[0, 0, 0, 4, 0x08, 0x01, 0x10, 0x63], Code::SequenceGap),
    ];
    for (bytes, code) in garbage {
        let (mut peer, client) = Peer::welcomed();
        let waits = submit(&client, 1);
        peer.submit();
        peer.raw(bytes);
        let error = get(&waits).expect_err("is over");
        assert!(error.is(code), "{bytes:?}: {error}");
        assert_eq!(peer.goodbye().expect("a reason").code, code.number());
    }
}

#[test]
fn no_byte_of_a_frame_can_make_the_client_hang() {
    let length = {
        let (mut peer, client) = Peer::welcomed();
        let _waits = submit(&client, 1);
        let task = peer.submit().task;
        let ops = vec![v1::ServerOp { op: Some(completion(&task, 1)) }];
        v1::ServerFrame { seq: 1, ack: 1, ops }.encoded_len()
    };
    for at in 0..length {
        let (mut peer, client) = Peer::welcomed();
        let waits = submit(&client, 1);
        let task = peer.submit().task;
        let ops = vec![v1::ServerOp { op: Some(completion(&task, 1)) }];
        let mut body = v1::ServerFrame { seq: 1, ack: 1, ops }.encode_to_vec();
        body[at] ^= 0x55;
        peer.body(&body);
        // Whatever it made of that, it ends when the node does.
        let reason = failure(Code::ShuttingDown, "enough");
        peer.control_op(server_op::Op::Goodbye(Box::new(v1::Goodbye { failure: Some(reason) })));
        drop(get(&waits));
    }
}

#[test]
fn a_refused_call_fails_its_results_and_gives_no_count_back() {
    let (mut peer, client) = Peer::welcomed();
    let r = submit(&client, 1);
    let task = peer.submit().task;
    let reason = failure(Code::InvalidArgument, "no such thing");
    let refused = v1::Refused { seq: 1, index: 1, failure: Some(reason), id: task.clone() };
    peer.say([server_op::Op::Refused(Box::new(refused))]);
    assert!(get(&r).expect_err("was refused").message().contains("no such thing"));
    drop(r);
    // The next thing that it says is not about the count.
    let next = submit(&client, 2);
    assert!(matches!(peer.op(), client_op::Op::Submit(_)));
    drop(next);
}

#[test]
fn a_failure_that_cannot_be_read_is_told_as_well_as_it_can_be() {
    let (mut peer, client) = Peer::welcomed();
    let r = submit(&client, 1);
    let task = peer.submit().task;
    let odd = v1::Failure { task: Bytes::from_static(b"short"), ..failure(Code::TaskFailed, "it broke") };
    peer.say([outcome(&task, Outcome::Failure(Box::new(odd)))]);
    let error = get(&r).expect_err("failed");
    assert!(error.is(Code::TaskFailed) && error.message().contains("it broke"), "{error}");
}

#[test]
fn completions_of_nobodys_objects_are_ignored() {
    let (mut peer, client) = Peer::welcomed();
    let r = submit(&client, 1);
    let task = peer.submit().task;
    let nobody = v1::Completion { object: Bytes::from_static(b"short"), outcome: None };
    peer.say([completion(&[9; 16], 1), server_op::Op::Completion(nobody), completion(&task, 1)]);
    assert_eq!(get(&r).expect("is there"), 1);
    // The first outcome stands.
    peer.complete(&v1::Submit { task: task.clone(), ..v1::Submit::default() }, 2);
    let other = submit(&client, 2);
    let submit = peer.submit();
    peer.complete(&submit, 3);
    assert_eq!((get(&other).expect("is there"), get(&r).expect("is there")), (3, 1));
}

#[test]
fn a_timeout_loses_nothing() {
    let (mut peer, client) = Peer::welcomed();
    let r = submit(&client, 1);
    let task = peer.submit();
    assert!(block_on(r.get().timeout(Duration::from_millis(1))).expect_err("in time").is(Code::GetTimeout));
    peer.complete(&task, 5);
    assert_eq!(get(&r).expect("is there"), 5);
}

#[test]
fn the_first_error_of_many_is_raised_while_others_wait() {
    let (mut peer, client) = Peer::welcomed();
    let refs: Vec<_> = (0..10).map(|n| submit(&client, n)).collect();
    let submits: Vec<_> = refs.iter().map(|_| peer.submit()).collect();
    peer.complete(&submits[0], 0);
    let reason = Box::new(failure(Code::TaskFailed, "the seventh"));
    peer.say([outcome(&submits[7].task, Outcome::Failure(reason))]);
    assert_eq!(block_on(get_all(&refs)).expect_err("one failed").message(), "the seventh");
    // The others are as they were.
    for (n, submit) in (0..).zip(&submits).skip(1).filter(|(n, _)| *n != 7) {
        peer.complete(submit, n);
    }
    let twice: Vec<_> = [1, 9, 1, 0].map(|at: usize| refs[at].clone()).into();
    assert_eq!(block_on(get_all(&twice)).expect("all are there"), [1, 9, 1, 0]);
    assert!(block_on(get_all::<u8>([])).expect("nothing is waited for").is_empty());
}

const PIECES: usize = 7 << 20;
/// More than is sent inline.
const STORED: usize = 150 << 10;

#[test]
fn an_object_travels_in_pieces_as_far_as_the_window_goes_without_more_credit() {
    let (mut peer, client) = Peer::welcomed();
    let put = client.put(Bytes::from(vec![5u8; PIECES]));
    let client_op::Op::Create(create) = peer.op() else { panic!("not a create") };
    let location = v1::Location { arena: 0, offset: 0, size: create.size };
    let made = v1::created::Outcome::Location(location);
    peer.say([server_op::Op::Created(v1::Created { object: create.object.clone(), outcome: Some(made) })]);
    let mut bytes = Vec::new();
    loop {
        match peer.op() {
            client_op::Op::Write(write) => {
                assert_eq!((write.offset, &write.object), (bytes.len() as u64, &create.object));
                bytes.extend_from_slice(&write.data);
            }
            client_op::Op::Seal(seal) => break assert_eq!(seal.object, create.object),
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert_eq!(bytes.len() as u64, create.size);

    // And back.
    let read = std::thread::spawn(move || get(&put));
    assert!(matches!(peer.op(), client_op::Op::Fetch(_)));
    let found = v1::located::Outcome::Location(location);
    peer.say([server_op::Op::Located(v1::Located { object: create.object.clone(), outcome: Some(found) })]);
    for (n, piece) in bytes.chunks(1 << 20).enumerate() {
        peer.say([server_op::Op::Chunk(v1::Chunk {
            object: create.object.clone(),
            offset: (n as u64) << 20,
            data: Bytes::copy_from_slice(piece),
        })]);
    }
    assert_eq!(read.join().expect("does not panic").expect("is there"), vec![5u8; PIECES]);
}

/// In 30 rounds, since it is a race: the client's thread may hear of the drop before the get or after it.
#[test]
fn a_ref_that_comes_back_in_a_value_learns_that_its_object_is_stored() {
    let (mut peer, client) = Peer::welcomed();
    for _ in 0..30 {
        let put = client.put(Bytes::from(vec![5u8; STORED]));
        let create = loop {
            if let client_op::Op::Create(create) = peer.op() {
                break create;
            }
        };
        let holder = client.put(vec![put.clone()]);
        let mut found: Vec<Ref<Bytes>> = get(&holder).expect("it is at hand");
        let found = found.pop().expect("what was put");
        drop((put, holder));

        let location = v1::Location { arena: 0, offset: 0, size: create.size };
        let made = v1::created::Outcome::Location(location);
        peer.say([server_op::Op::Created(v1::Created {
            object: create.object.clone(),
            outcome: Some(made),
        })]);
        let read = std::thread::spawn(move || get(&found));
        let fetch = loop {
            match peer.op() {
                client_op::Op::Watch(_) => peer.say([stored(&create)]),
                client_op::Op::Fetch(fetch) => break fetch,
                _ => {}
            }
        };
        assert_eq!(fetch.object, create.object);
        let refused = Box::new(failure(Code::ObjectLost, "that will do"));
        let outcome = Some(v1::located::Outcome::Failure(refused));
        peer.say([server_op::Op::Located(v1::Located { object: fetch.object, outcome })]);
        let got = read.join().expect("does not panic").expect_err("there are no bytes");
        assert_eq!(got.code(), Some(Code::ObjectLost));
    }
}

fn stored(create: &v1::Create) -> server_op::Op {
    let outcome = Some(Outcome::Stored(create.size));
    server_op::Op::Completion(v1::Completion { object: create.object.clone(), outcome })
}

#[test]
fn pieces_that_do_not_fit_fail_the_get_and_not_the_session() {
    let chunk = |object: &Bytes, offset, length| {
        let data = Bytes::from(vec![0; length]);
        server_op::Op::Chunk(v1::Chunk { object: object.clone(), offset, data })
    };
    let located = |object: &Bytes, size| {
        let location = v1::Location { arena: 0, offset: 0, size };
        let outcome = Some(v1::located::Outcome::Location(location));
        server_op::Op::Located(v1::Located { object: object.clone(), outcome })
    };
    type Say<'a> = &'a dyn Fn(&Bytes) -> Vec<server_op::Op>;
    let lies: [Say<'_>; 5] = [
        &|object| vec![chunk(object, 0, 64)],
        &|object| vec![located(object, 64), chunk(object, 32, 32)],
        &|object| vec![located(object, 64), chunk(object, 0, 65)],
        &|object| vec![located(object, u64::MAX), chunk(object, u64::MAX, 1)],
        &|object| vec![located(object, 64), chunk(object, 0, 64)],
    ];
    for lie in lies {
        let (mut peer, client) = Peer::welcomed();
        let r = submit(&client, 1);
        let task = peer.submit().task;
        peer.say([outcome(&task, Outcome::Stored(64))]);
        let waits = r.clone();
        let read = std::thread::spawn(move || get(&waits));
        let client_op::Op::Fetch(fetch) = peer.op() else { panic!("not a fetch") };
        peer.say(lie(&fetch.object));
        assert!(read.join().expect("does not panic").expect_err("is a lie").is(Code::Internal));
        let next = submit(&client, 2);
        let submit = peer.submit();
        peer.complete(&submit, 2);
        assert_eq!(get(&next).expect("the session goes on"), 2);
    }
}

#[test]
fn shared_memory_without_its_descriptor_fails_the_get_and_not_the_session() {
    let (mut peer, client) = Peer::welcomed();
    let r = submit(&client, 1);
    let task = peer.submit().task;
    peer.say([outcome(&task, Outcome::Stored(64))]);
    let read = std::thread::spawn(move || get(&r));
    let client_op::Op::Fetch(fetch) = peer.op() else { panic!("not a fetch") };
    let location = v1::Location { arena: 3, offset: 0, size: 64 };
    let found = Some(v1::located::Outcome::Location(location));
    peer.say([
        server_op::Op::Arena(v1::Arena { number: 3, size: 4096, writable: false }),
        server_op::Op::Located(v1::Located { object: fetch.object, outcome: found }),
    ]);
    assert!(read.join().expect("does not panic").expect_err("cannot be mapped").is(Code::Internal));
}

#[test]
fn a_call_that_names_what_could_not_be_stored_is_not_even_sent() {
    let (mut peer, client) = Peer::welcomed();
    let put = client.put(vec![0u8; 1 << 20]);
    let client_op::Op::Create(create) = peer.op() else { panic!("not a create") };
    let reason = Box::new(failure(Code::StoreFull, "no room"));
    let refused = Some(v1::created::Outcome::Failure(reason));
    peer.say([server_op::Op::Created(v1::Created { object: create.object, outcome: refused })]);
    assert!(get(&put).expect_err("is refused").is(Code::StoreFull));
    let call = Task::<(), Ref<u8>>::named("work").submit_args(Args::new(&client).arg_ref(&put));
    let after = Task::<(), Ref<u8>>::named("work").submit_args(Args::new(&client).arg_ref(&call));
    for depends in [&call, &after] {
        assert!(get(depends).expect_err("its argument is missing").is(Code::StoreFull));
    }
    drop((put, call, after));
    block_on(client.flush()).expect("the session goes on");
    // Neither the calls nor counts of what never was come before this.
    let last = submit(&client, 9);
    let mut seen = vec![peer.op(), peer.op()];
    seen.retain(|op| !matches!(op, client_op::Op::Declare(_)));
    while !seen.iter().any(|op| matches!(op, client_op::Op::Submit(submit) if !submit.args.is_empty())) {
        seen.extend(Some(peer.op()).filter(|op| !matches!(op, client_op::Op::Declare(_))));
    }
    assert!(matches!(&seen[..], [client_op::Op::Submit(_)]), "{seen:?}");
    drop(last);
}
