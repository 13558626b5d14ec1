//! From one end of the wire to the other: a driver, the node, and a worker that dialled in by itself.

mod support;

use support::{Node, arg, bytes, declare, done, fresh, output, raw_value, submit};
use thornback_wire::v1::{self, client_op, completion, server_op};

#[test]
fn a_task_runs_on_a_worker_and_its_result_comes_back() {
    let node = Node::start();
    let mut worker = node.worker("echo", &["echo"]);
    let mut driver = node.driver();
    let task = fresh();
    driver.send([declare(1, "echo"), submit(task, 1, vec![arg(raw_value(b"hello"))])]);

    let server_op::Op::Declare(declared) = worker.next() else {
        panic!("the worker was told of no function")
    };
    assert_eq!(declared.function, "echo");
    let server_op::Op::Run(run) = worker.next() else { panic!("the worker was given nothing to run") };
    assert_eq!(run.task, bytes(task));
    assert_eq!(run.declaration, declared.number);
    let Some(v1::arg::Arg::Value(given)) = run.args[0].arg.clone() else { panic!("no value") };
    worker.send([done(&run, given)]);

    let server_op::Op::Completion(completion) = driver.next() else { panic!("no completion") };
    assert_eq!(completion.object, output(task, 1));
    assert_eq!(completion.outcome, Some(completion::Outcome::Value(raw_value(b"hello"))));
}

#[test]
fn a_small_value_is_put_and_watched_by_one_who_was_given_its_ref_and_by_no_other() {
    let node = Node::start();
    let mut worker = node.worker("echo", &["echo"]);
    let mut one = node.driver();
    let object = output(fresh(), 1);
    let refers = v1::Value { refs: vec![object.clone()], ..raw_value(b"") };
    one.send([
        client_op::Op::Put(v1::Put { object: object.clone(), value: Some(raw_value(b"shared")) }),
        declare(1, "echo"),
        submit(fresh(), 1, vec![arg(refers)]),
    ]);
    let server_op::Op::Declare(_) = worker.next() else { panic!("the worker was told of no function") };
    let server_op::Op::Run(_) = worker.next() else { panic!("the worker was given nothing to run") };
    let watch = client_op::Op::Watch(v1::Watch { objects: vec![object.clone()] });
    worker.send([watch.clone()]);
    let server_op::Op::Completion(completion) = worker.next() else { panic!("no completion") };
    assert_eq!(completion.object, object);
    assert_eq!(completion.outcome, Some(completion::Outcome::Value(raw_value(b"shared"))));

    let mut other = node.driver();
    other.send([watch]);
    let server_op::Op::Completion(completion) = other.next() else { panic!("no completion") };
    let Some(completion::Outcome::Failure(failure)) = completion.outcome else { panic!("it was told more") };
    assert_eq!(failure.code, thornback_types::Code::ObjectNotFound.number());
}

#[test]
fn status_and_lists_answer_on_the_command_line() {
    let node = Node::start();
    let _worker = node.worker("echo", &["echo"]);
    let status = node.status();
    assert_eq!(status["resources"]["total"]["CPU"], 4.0);
    assert_eq!(status["workers"], 1);
    for kind in ["tasks", "actors", "objects", "workers", "pools", "sessions"] {
        let output = node.command(&["list", kind]);
        assert!(output.status.success(), "{kind}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let output = node.command(&["status"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("4 of 4 free"));
}
