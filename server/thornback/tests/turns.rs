//! A frame may hold more operations than one session is given at a time. They are taken in order all the same, each once, and before all that follows.

mod support;

use std::net::Shutdown;

use support::{Node, bytes, declare, done, fresh, output, raw_value, submit};
use thornback_types::Code;
use thornback_wire::v1::{self, client_op, completion, server_op};

/// Several turns' worth.
const MANY: usize = 10_000;

fn put(object: bytes::Bytes) -> client_op::Op {
    client_op::Op::Put(v1::Put { object, value: Some(raw_value(b"x")) })
}

fn status() -> v1::request::Request {
    v1::request::Request::GetStatus(v1::GetStatus {})
}

#[test]
fn a_frame_of_many_operations_is_taken_whole_and_in_order() {
    let node = Node::start();
    let mut driver = node.driver();
    let objects: Vec<_> = (0..MANY).map(|_| output(fresh(), 1)).collect();
    let mut ops: Vec<_> = objects.iter().cloned().map(put).collect();
    // One that is refused, far behind; and a call on what comes before it in the same frame.
    ops.insert(9_000, client_op::Op::Fetch(v1::Fetch { object: objects[8_999].clone(), quiet: false }));
    ops.insert(9_001, submit(fresh(), 77, Vec::new()));
    driver.send(ops);
    // What follows in another frame is behind all of it.
    driver.send([client_op::Op::Watch(v1::Watch { objects: vec![objects[MANY - 1].clone()] })]);
    let server_op::Op::Located(located) = driver.next() else { panic!("not located") };
    assert_eq!(located.object, objects[8_999]);
    let server_op::Op::Refused(refused) = driver.next() else { panic!("not refused") };
    assert_eq!((refused.seq, refused.index), (1, 9_001));
    assert_eq!(refused.failure.unwrap().code, Code::InvalidArgument.number());
    let server_op::Op::Completion(completion) = driver.next() else { panic!("no completion") };
    assert_eq!(completion.object, objects[MANY - 1]);
    let v1::reply::Reply::Status(status) = driver.request(1, status()) else { panic!("no status") };
    assert_eq!(status.objects, MANY as u64);
}

#[test]
fn a_goodbye_is_behind_what_came_before_it() {
    let node = Node::start();
    let mut worker = node.worker("leaves", &["f"]);
    let mut driver = node.driver();
    let task = fresh();
    driver.send([declare(1, "f"), submit(task, 1, Vec::new())]);
    let run = loop {
        if let server_op::Op::Run(run) = worker.next() {
            break run;
        }
    };
    assert_eq!(run.task, bytes(task));
    let mut ops = vec![client_op::Op::Refs(v1::Refs::default()); MANY];
    ops.push(done(&run, raw_value(b"last words")));
    ops.push(client_op::Op::Goodbye(Box::default()));
    worker.send(ops);
    drop(worker);
    let server_op::Op::Completion(completion) = driver.next() else { panic!("no completion") };
    assert_eq!(completion.outcome, Some(completion::Outcome::Value(raw_value(b"last words"))));
}

#[test]
fn a_session_that_goes_on_elsewhere_loses_nothing_of_its_last_frame() {
    let node = Node::start();
    let mut first = node.driver();
    let objects: Vec<_> = (0..MANY).map(|_| output(fresh(), 1)).collect();
    first.send(objects.iter().cloned().map(put));
    let (welcome, seq) = (first.welcome.clone(), first.seq);
    // The old connection stays open, as it does where only the client knows that it is lost. If its frame had not come yet it would have to be sent
    // again, as `Welcome.ack` says.
    let mut second = node.connect();
    second.control(client_op::Op::Hello(Box::new(v1::Hello {
        resume: Some(v1::ResumeSession { session: welcome.session, secret: welcome.secret, ack: 0 }),
        ..support::hello(v1::Role::Driver)
    })));
    let server_op::Op::Welcome(again) = second.next() else { panic!("not welcomed") };
    assert!(again.resumed);
    if again.ack < seq {
        second.send(objects.iter().cloned().map(put));
    }
    second.seq = seq;
    let v1::reply::Reply::Status(status) = second.request(1, status()) else { panic!("no status") };
    assert_eq!(status.objects, MANY as u64);
}

/// Whom the node cannot answer any more, it hears out all the same.
#[test]
fn what_was_sent_by_one_who_takes_nothing_more_counts() {
    let node = Node::start();
    let mut driver = node.driver();
    driver.send([declare(1, "f")]);
    for _ in 0..10 {
        let mut worker = node.worker("deaf", &["f"]);
        let task = fresh();
        driver.send([submit(task, 1, Vec::new())]);
        let run = loop {
            if let server_op::Op::Run(run) = worker.next() {
                break run;
            }
        };
        worker.stream.shutdown(Shutdown::Read).unwrap();
        for nonce in 0..MANY as u64 {
            worker.control(client_op::Op::Ping(v1::Ping { nonce }));
        }
        worker.send([done(&run, raw_value(b"last words"))]);
        worker.control(client_op::Op::Goodbye(Box::default()));
        drop(worker);
        let server_op::Op::Completion(completion) = driver.next() else { panic!("no completion") };
        assert_eq!(completion.outcome, Some(completion::Outcome::Value(raw_value(b"last words"))));
    }
}
