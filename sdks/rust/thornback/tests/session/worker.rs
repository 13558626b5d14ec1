//! A worker that ends by itself, against a scripted node: what it says last is not lost with a connection.

use std::thread::JoinHandle;

use thornback::{Bytes, Code, Context, Error, Result, ServeActor, Worker};
use thornback_wire::v1::{self, client_op, server_op};

use crate::peer::Peer;

const ACTOR: [u8; 16] = [7; 16];

struct Leaver;

#[thornback::actor]
impl Leaver {
    fn new(works: bool) -> Result<Self> {
        if works { Ok(Leaver) } else { Err(Error::new(Code::InvalidArgument, "it does not work")) }
    }

    fn leave(&self, context: &Context) {
        context.exit_actor();
    }
}

/// A worker on a thread of its own, welcomed.
fn serve(peer: &mut Peer) -> JoinHandle<Result<()>> {
    let worker = Worker::new().register_actor::<Leaver>().address(peer.address());
    let serving = std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(worker.serve())
    });
    assert_eq!(peer.accept().role(), v1::Role::Worker);
    peer.welcome();
    // What it says last is not acknowledged unless the test does it.
    peer.acknowledges = false;
    serving
}

fn declare(number: u32, function: &str) -> server_op::Op {
    let declare = v1::Declare { number, function: function.into(), returns: 1, ..v1::Declare::default() };
    server_op::Op::Declare(Box::new(declare))
}

fn task(number: u8) -> Bytes {
    Bytes::copy_from_slice(&[number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])
}

/// The creation, of an actor that works or does not.
fn create(works: bool) -> v1::Run {
    let value = v1::Value {
        format: v1::Format::Msgpack.into(),
        data: Bytes::copy_from_slice(&[if works { 0xc3 } else { 0xc2 }]),
        ..v1::Value::default()
    };
    v1::Run {
        task: task(1),
        declaration: 1,
        args: vec![v1::Arg { arg: Some(v1::arg::Arg::Value(value)), ..v1::Arg::default() }],
        actor: Bytes::copy_from_slice(&ACTOR),
        setup: Some(Box::new(v1::ActorSetup { max_concurrency: 1, ..v1::ActorSetup::default() })),
        ..v1::Run::default()
    }
}

fn leave() -> v1::Run {
    v1::Run { task: task(2), declaration: 2, actor: Bytes::copy_from_slice(&ACTOR), ..v1::Run::default() }
}

/// Reads up to the answer of a task; gives it, and whether the actor said before that it ends.
fn answer(peer: &mut Peer, task: &Bytes) -> (v1::Done, bool) {
    let mut exits = false;
    loop {
        match peer.op() {
            client_op::Op::ActorExit(exit) => exits |= exit.actor[..] == ACTOR,
            client_op::Op::Done(done) if done.task == *task => return (done, exits),
            _ => {}
        }
    }
}

/// The connection is lost with all that the worker has said; it comes back and says it again.
fn lose_what_was_said(peer: &mut Peer) {
    let asks = peer.next_control();
    assert!(matches!(asks, client_op::Op::Ping(_)), "it waits until its last words are taken: {asks:?}");
    peer.hang_up();
    peer.control.clear();
    assert!(peer.accept().resume.is_some(), "it goes on with its session");
    peer.resume(0);
}

/// The node takes what was said, and the worker ends.
fn let_go(peer: &mut Peer, serving: JoinHandle<Result<()>>) {
    peer.acknowledges = true;
    peer.control_op(server_op::Op::Pong(v1::Pong::default()));
    assert_eq!(peer.goodbye(), None, "an end without an error");
    serving.join().expect("does not panic").expect("serves to the end");
}

#[test]
fn an_actor_that_leaves_says_so_again_when_the_connection_is_lost() {
    let mut peer = Peer::new();
    let serving = serve(&mut peer);
    peer.say([
        declare(1, <Leaver as ServeActor>::NAME),
        declare(2, "leave"),
        server_op::Op::Run(create(true)),
    ]);
    assert_eq!(answer(&mut peer, &task(1)).0.failure, None);
    peer.say([server_op::Op::Run(leave())]);
    let said = answer(&mut peer, &task(2));
    assert!(said.1 && said.0.failure.is_none(), "it leaves: {said:?}");
    lose_what_was_said(&mut peer);
    answer(&mut peer, &task(1));
    assert_eq!(answer(&mut peer, &task(2)), said);
    let_go(&mut peer, serving);
}

#[test]
fn a_constructor_that_failed_is_told_again_when_the_connection_is_lost() {
    let mut peer = Peer::new();
    let serving = serve(&mut peer);
    peer.say([declare(1, <Leaver as ServeActor>::NAME), server_op::Op::Run(create(false))]);
    let said = answer(&mut peer, &task(1));
    assert!(said.0.failure.is_some(), "it could not be made: {said:?}");
    lose_what_was_said(&mut peer);
    assert_eq!(answer(&mut peer, &task(1)), said);
    let_go(&mut peer, serving);
}

#[test]
fn a_node_that_acknowledges_nothing_is_not_waited_for_without_end() {
    let mut peer = Peer::new();
    let serving = serve(&mut peer);
    peer.say([declare(1, <Leaver as ServeActor>::NAME), server_op::Op::Run(create(false))]);
    answer(&mut peer, &task(1));
    assert_eq!(peer.goodbye(), None, "an end without an error");
    serving.join().expect("does not panic").expect("serves to the end");
}

#[test]
fn a_node_that_does_not_welcome_it_again_is_not_waited_for_without_end() {
    let mut peer = Peer::new();
    let serving = serve(&mut peer);
    peer.say([declare(1, <Leaver as ServeActor>::NAME), server_op::Op::Run(create(false))]);
    answer(&mut peer, &task(1));
    assert!(matches!(peer.next_control(), client_op::Op::Ping(_)));
    peer.hang_up();
    peer.accept();
    serving.join().expect("does not panic").expect("serves to the end");
}
