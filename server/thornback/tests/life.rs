//! How a node begins and ends, and what it leaves: nothing.

mod support;

use std::process::{Command, Stdio};

use support::{Node, fresh, output, raw_value};
use thornback_wire::v1::{self, client_op, server_op};

fn signal(node: &Node, name: &str) {
    let status =
        Command::new("kill").args([format!("-{name}"), node.child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

fn is_gone(node: &Node) {
    let directory = node.unix.parent().unwrap();
    assert!(!directory.exists(), "{} is still there", directory.display());
    assert!(!node.ports_file.exists());
    // Nodes share the directory that they spill to, and the file that keeps them apart there.
    let spilled = std::fs::read_dir(node.directory.as_ref().unwrap().path().join("spill")).unwrap();
    let left: Vec<_> = spilled.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn ends_with_its_standard_input() {
    let node = Node::start();
    let paths = (node.unix.clone(), node.ports_file.clone());
    assert!(node.end().success());
    assert!(!paths.0.exists() && !paths.1.exists());
}

#[test]
fn ends_on_signals() {
    for (name, code) in [("TERM", 0), ("INT", 130)] {
        let mut node = Node::start();
        let _session = node.driver();
        signal(&node, name);
        assert_eq!(node.child.wait().unwrap().code(), Some(code));
        is_gone(&node);
    }
}

#[test]
fn ends_on_request_and_says_goodbye() {
    let mut node = Node::start();
    let mut driver = node.driver();
    let reply = driver.request(1, v1::request::Request::Stop(v1::Stop { force: false }));
    assert_eq!(reply, v1::reply::Reply::Done(v1::Empty {}));
    assert_eq!(driver.goodbye(), thornback_types::Code::ShuttingDown.number());
    assert!(node.child.wait().unwrap().success());
    is_gone(&node);
}

#[test]
fn two_nodes_do_not_share_a_directory() {
    let node = Node::start();
    let output = Command::new(env!("CARGO_BIN_EXE_thornback"))
        .args(["dev", "--no-grpc", "--dir"])
        .arg(node.unix.parent().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("a node already runs") && text.contains(&node.child.id().to_string()), "{text}");
}

#[test]
fn start_status_and_stop() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("node");
    let run = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_thornback")).args(words).arg("--dir").arg(&dir).output().unwrap()
    };
    let spill = directory.path().join("spill");
    let start =
        ["start", "--num-cpus", "3", "--store-bytes", "16MiB", "--spill-dir", spill.to_str().unwrap()];
    let output = run(&start);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let again = run(&start);
    assert!(String::from_utf8_lossy(&again.stderr).contains("already runs"));
    let status = run(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["resources"]["total"]["CPU"], 3.0);
    let stop = run(&["stop"]);
    assert!(stop.status.success(), "{}", String::from_utf8_lossy(&stop.stderr));
    assert!(!dir.exists());
    for words in [&["stop"][..], &["status"], &["list", "tasks"]] {
        let output = run(words);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("no node runs"));
    }
}

#[test]
fn a_start_that_fails_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_thornback"))
        .args(["start", "--pools", "/does/not/exist.json", "--dir"])
        .arg(directory.path().join("node"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("/does/not/exist.json"), "{text}");
}

#[test]
fn a_driver_that_is_gone_leaves_nothing() {
    let node = Node::with(&["--no-grpc", "--grace-ms", "100"]);
    let mut watcher = node.driver();
    let objects = |watcher: &mut support::Client, number| {
        let v1::reply::Reply::Status(status) =
            watcher.request(number, v1::request::Request::GetStatus(v1::GetStatus {}))
        else {
            panic!("no status")
        };
        (status.objects, status.sessions)
    };
    let before = objects(&mut watcher, 1);
    let mut driver = node.driver();
    driver.send((0..100).map(|_| {
        client_op::Op::Put(v1::Put { object: output(fresh(), 1), value: Some(raw_value(b"mine")) })
    }));
    driver.request(1, v1::request::Request::GetStatus(v1::GetStatus {}));
    assert_eq!(objects(&mut watcher, 2), (before.0 + 100, before.1 + 1));
    // As the kernel does for a process that is killed.
    drop(driver);
    let mut number = 2;
    while objects(&mut watcher, number + 1) != before {
        number += 1;
        std::thread::yield_now();
    }
}

#[test]
fn a_goodbye_releases_at_once() {
    let node = Node::with(&["--no-grpc", "--grace-ms", "3600000"]);
    let mut watcher = node.driver();
    let mut driver = node.driver();
    let object = output(fresh(), 1);
    driver.send([client_op::Op::Put(v1::Put { object: object.clone(), value: Some(raw_value(b"mine")) })]);
    driver.control(client_op::Op::Goodbye(Box::default()));
    while driver.try_next().is_some() {}
    watcher.send([client_op::Op::Watch(v1::Watch { objects: vec![object] })]);
    let server_op::Op::Completion(completion) = watcher.next() else { panic!("no completion") };
    let Some(v1::completion::Outcome::Failure(failure)) = completion.outcome else {
        panic!("it is still there")
    };
    assert_eq!(failure.code, thornback_types::Code::ObjectNotFound.number());
}
