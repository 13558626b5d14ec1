//! Worker processes of a node: with it they come, and with it they go.

mod support;

use std::fs;
use std::path::Path;

use support::{Node, declare, fresh, submit};
use thornback_types::Code;
use thornback_wire::v1::{self, client_op, completion, server_op};

/// A file of pools whose workers say nothing and stay.
fn pools(directory: &Path, prestart: u32) -> String {
    let path = directory.join("pools.json");
    let script = "trap '' TERM; echo hello from $THORNBACK_LAUNCH; while :; do sleep 1; done";
    let pools = serde_json::json!([{
        "name": "sleepers",
        "language": "sh",
        "command": ["/bin/sh", "-c", script],
        "prestart": prestart,
        "functions": ["sleep"],
    }]);
    fs::write(&path, pools.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Process numbers of the node's workers, once there are as many.
fn workers(node: &Node, count: usize) -> Vec<u64> {
    loop {
        let status = node.status();
        let list = status["worker_list"].as_array().unwrap();
        let pids: Vec<_> =
            list.iter().filter_map(|worker| worker["pid"].as_u64()).filter(|pid| *pid > 0).collect();
        if pids.len() == count {
            return pids;
        }
        std::thread::yield_now();
    }
}

/// Waits until none of the processes runs.
fn are_gone(pids: &[u64]) {
    let runs = |pid: &u64| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // One that has ended and was not waited for, because nobody is left to do so, is gone as well.
        !stat.is_empty() && !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
    };
    while pids.iter().any(runs) {
        std::thread::yield_now();
    }
}

#[test]
fn no_worker_outlives_its_node() {
    for signal in ["TERM", "KILL"] {
        let directory = tempfile::tempdir().unwrap();
        let mut node = Node::with(&["--no-grpc", "--pools", &pools(directory.path(), 3)]);
        let pids = workers(&node, 3);
        let kill = |name: &str| {
            let status = std::process::Command::new("kill")
                .args([&format!("-{name}"), &node.child.id().to_string()])
                .status();
            assert!(status.unwrap().success());
        };
        kill(signal);
        if signal == "TERM" {
            // These workers do not heed it. Asked again (by another signal, because two of the same may arrive as one), the node does
            // not wait for them.
            kill("INT");
        }
        node.child.wait().unwrap();
        are_gone(&pids);
    }
}

#[test]
fn a_killed_node_does_not_stand_in_the_way_of_the_next() {
    let node = Node::start();
    let socket = node.unix.clone();
    let left = node.kill();
    assert!(socket.exists());
    let next = Node::within(left, &["--no-grpc"]);
    next.driver();
}

#[test]
fn a_command_that_gives_no_worker_fails_its_tasks() {
    let node = Node::start();
    let mut driver = node.driver();
    let declared = driver.request(
        1,
        v1::request::Request::DeclarePool(Box::new(v1::DeclarePool {
            name: "broken".to_owned(),
            language: "none".to_owned(),
            command: vec!["/no/such/program".to_owned()],
            functions: vec!["f".to_owned()],
            ..Default::default()
        })),
    );
    assert_eq!(declared, v1::reply::Reply::Done(v1::Empty {}));
    driver.send([declare(1, "f"), submit(fresh(), 1, Vec::new())]);
    loop {
        if let server_op::Op::Completion(completion) = driver.next() {
            let Some(completion::Outcome::Failure(failure)) = completion.outcome else {
                panic!("it has a value")
            };
            assert_eq!(failure.code, Code::WorkerStartFailed.number());
            assert!(failure.message.contains("/no/such/program"), "{}", failure.message);
            break;
        }
    }
}

#[test]
fn lines_of_workers_reach_the_driver_that_wants_them() {
    let node = Node::start();
    let mut driver = node.connect();
    driver.hello(v1::Hello { want_logs: true, ..support::hello(v1::Role::Driver) });
    driver.send([client_op::Op::Request(Box::new(v1::Request {
        number: 1,
        request: Some(v1::request::Request::DeclarePool(Box::new(v1::DeclarePool {
            name: "talkers".to_owned(),
            language: "sh".to_owned(),
            command: ["/bin/sh", "-c", "echo one; echo two >&2; exec sleep 1000"].map(str::to_owned).into(),
            prestart: 1,
            ..Default::default()
        }))),
    }))]);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let server_op::Op::Log(log) = driver.next() {
            assert!(log.source.starts_with("pid="), "{}", log.source);
            seen.extend(log.lines.into_iter().map(|line| (log.stream.clone(), line)));
        }
    }
    seen.sort();
    assert_eq!(seen, [("stderr".to_owned(), "two".to_owned()), ("stdout".to_owned(), "one".to_owned())]);
}
