//! A driver that submits faster than its tasks end is slowed down, and every task is answered all the same.

mod support;

use std::collections::HashSet;

use support::{Client, Node, arg, declare, done, fresh, output, raw_value, submit};
use thornback_wire::Message;
use thornback_wire::v1::{self, client_op, server_op};

/// A driver that keeps to its credit.
struct Paced {
    client: Client,
    credit: i64,
    completions: HashSet<bytes::Bytes>,
}

impl Paced {
    fn new(node: &Node) -> Paced {
        let client = node.driver();
        let window = client.welcome.limits.as_ref().unwrap().window_bytes;
        Paced { client, credit: window as i64, completions: HashSet::new() }
    }

    fn send(&mut self, ops: Vec<client_op::Op>) {
        self.client.seq += 1;
        let ops = ops.into_iter().map(|op| v1::ClientOp { op: Some(op) }).collect();
        let frame = v1::ClientFrame { seq: self.client.seq, ack: self.client.ack, ops };
        self.credit -= frame.encoded_len() as i64;
        self.client.frame(&frame);
    }

    /// Takes the next frame; whether there was a pong in it.
    fn take(&mut self) -> bool {
        let frame = self.client.try_frame().expect("the node ended the connection");
        self.client.ack = self.client.ack.max(frame.seq);
        let mut pong = false;
        for op in frame.ops.into_iter().filter_map(|op| op.op) {
            match op {
                server_op::Op::Credit(credit) => self.credit += credit.bytes as i64,
                server_op::Op::Completion(completion) => {
                    assert!(
                        matches!(completion.outcome, Some(v1::completion::Outcome::Value(_))),
                        "{completion:?}"
                    );
                    assert!(self.completions.insert(completion.object), "it was told twice");
                }
                server_op::Op::Pong(_) => pong = true,
                other => panic!("unexpected {other:?}"),
            }
        }
        pong
    }

    /// Waits until the node has taken all that was sent, and with it whatever credit it gives back for that.
    fn settle(&mut self) {
        // The pong may overtake counted frames, but not what was sent before its ping.
        self.client.control(client_op::Op::Ping(v1::Ping { nonce: 1 }));
        while !self.take() {}
    }
}

#[test]
fn a_driver_that_floods_is_slowed_down_and_gets_all_its_answers() {
    let node = Node::with(&["--no-grpc", "--backlog-bytes", "1MiB"]);
    let mut worker = node.worker("late", &["late"]);
    let mut driver = Paced::new(&node);
    driver.send(vec![declare(1, "late")]);
    let mut wanted = HashSet::new();
    // Large enough that a window is not ten thousand of them.
    let padding = vec![0; 2_000];
    let value =
        || v1::Value { format: v1::Format::Raw.into(), data: padding.clone().into(), ..Default::default() };
    let batch = |wanted: &mut HashSet<bytes::Bytes>| -> Vec<client_op::Op> {
        let tasks: Vec<[u8; 16]> = (0..20).map(|_| fresh()).collect();
        wanted.extend(tasks.iter().map(|task| output(*task, 1)));
        tasks.into_iter().map(|task| submit(task, 1, vec![arg(value())])).collect()
    };
    // Nobody answers: at some point there is no credit left, and none comes.
    loop {
        while driver.credit > 0 {
            driver.send(batch(&mut wanted));
        }
        driver.settle();
        if driver.credit <= 0 {
            break;
        }
        assert!(wanted.len() < 10_000, "the node takes whatever comes");
    }
    let held_at = wanted.len();
    assert!(held_at > 200, "it was held back after {held_at} tasks already");

    // Another driver is not: it has a share of its own, and its tasks do not wait for those of the first.
    let mut other = Paced::new(&node);
    let mut others = HashSet::new();
    other.send(vec![declare(1, "late")]);
    other.send(batch(&mut others));

    let work = std::thread::spawn(move || {
        while let Some(op) = worker.try_next() {
            match op {
                server_op::Op::Run(run) => worker.send([done(&run, raw_value(b"result"))]),
                server_op::Op::Recall(_) | server_op::Op::Declare(_) => {}
                server_op::Op::Goodbye(_) => break,
                other => panic!("unexpected {other:?}"),
            }
        }
    });
    while other.completions.len() < others.len() {
        other.take();
    }
    assert_eq!(other.completions, others);
    // With answers comes credit, and the first can submit as much again.
    while wanted.len() < 2 * held_at {
        while driver.credit <= 0 {
            driver.take();
        }
        driver.send(batch(&mut wanted));
    }
    while driver.completions.len() < wanted.len() {
        driver.take();
    }
    assert_eq!(driver.completions, wanted);
    drop((driver, other));
    assert!(node.end().success());
    work.join().unwrap();
}

#[test]
fn a_task_that_submits_without_end_can_still_wait() {
    let node = Node::with(&["--no-grpc", "--backlog-bytes", "100KiB"]);
    let mut parent = node.worker("nest", &["nest"]);
    let mut driver = node.driver();
    let task = fresh();
    // Each takes the whole node, so that no child can run before its parent waits.
    let declare = || match declare(1, "nest") {
        client_op::Op::Declare(mut declare) => {
            declare.resources = Some(v1::Resources { amounts: [("CPU".to_owned(), 40_000)].into() });
            client_op::Op::Declare(declare)
        }
        other => other,
    };
    driver.send([declare(), submit(task, 1, Vec::new())]);
    let run = loop {
        if let server_op::Op::Run(run) = parent.next() {
            break run;
        }
    };
    // Ten times as much as a driver might, in frames that would exhaust its window; and only then that it waits.
    let children: Vec<[u8; 16]> = (0..1_000).map(|_| fresh()).collect();
    let padding =
        arg(v1::Value { format: v1::Format::Raw.into(), data: vec![0; 2_000].into(), ..Default::default() });
    parent.send([declare()]);
    for part in children.chunks(100) {
        parent.send(part.iter().map(|child| {
            client_op::Op::Submit(v1::Submit {
                parent: run.task.clone(),
                task: bytes::Bytes::copy_from_slice(child),
                declaration: 1,
                args: vec![padding.clone()],
            })
        }));
    }
    parent.send([client_op::Op::Blocked(v1::Blocked { task: run.task.clone() })]);
    // A second worker takes the processor that the parent has lent.
    let mut helper = node.worker("nest", &["nest"]);
    let mut given_back = Vec::new();
    let work = std::thread::spawn(move || {
        while let Some(op) = helper.try_next() {
            if let server_op::Op::Run(run) = op {
                helper.send([done(&run, raw_value(b"child"))]);
            }
        }
    });
    let mut waiting: HashSet<bytes::Bytes> = children.iter().map(|child| output(*child, 1)).collect();
    while !waiting.is_empty() {
        match parent.next() {
            server_op::Op::Completion(completion) => {
                assert!(waiting.remove(&completion.object), "{completion:?}");
            }
            server_op::Op::Run(ahead) => given_back.push(ahead.task),
            server_op::Op::Recall(_) => {
                let tasks = std::mem::take(&mut given_back);
                parent.send([client_op::Op::Returned(v1::Returned { tasks })]);
            }
            _ => {}
        }
    }
    parent.send([
        client_op::Op::Unblocked(v1::Unblocked { task: run.task.clone() }),
        done(&run, raw_value(b"parent")),
    ]);
    let server_op::Op::Completion(completion) = driver.next() else { panic!("no completion") };
    assert_eq!(completion.object, output(task, 1));
    drop((parent, driver));
    assert!(node.end().success());
    work.join().unwrap();
}
