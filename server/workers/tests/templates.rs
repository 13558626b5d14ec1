//! Workers forked from a template, and templates that do not behave. The template is `fake_template.py`.

mod house;

use std::time::Duration;

use house::{House, gone, kill_9, lives, template, worker};
use thornback_types::WorkerId;
use thornback_workers::{ExitStatus, Options, Source, Stream, WorkerCommand};

async fn warm(mode: &str, child: &str) -> (House, u32) {
    let mut house = House::new(Options::default());
    house.workers.start_template(1, template(mode, child));
    let pid = house.ready(1).await;
    (house, pid)
}

#[tokio::test]
async fn a_template_forks_workers_with_pipes_of_their_own() {
    let (mut house, _) = warm("", "print").await;
    for launch in [5, 6] {
        house.workers.fork(1, WorkerId(launch));
    }
    for launch in [5, 6] {
        house.started(launch).await;
        assert_eq!(house.line(worker(launch), Stream::Stdout).await, format!("out {launch}"));
        assert_eq!(house.line(worker(launch), Stream::Stderr).await, format!("err {launch}"));
        assert_eq!(house.exited(launch).await, (ExitStatus::Code(0), format!("err {launch}")));
    }
    assert_eq!(house.rest(), []);
    house.shutdown().await;
}

#[tokio::test]
async fn forks_may_be_asked_for_before_it_is_ready() {
    let mut house = House::new(Options::default());
    house.workers.start_template(1, template("", "exit:3"));
    for launch in 1..=40 {
        house.workers.fork(1, WorkerId(launch));
    }
    for launch in 1..=40 {
        house.started(launch).await;
        assert_eq!(house.exited(launch).await.0, ExitStatus::Code(3));
    }
    house.shutdown().await;
}

#[tokio::test]
async fn a_hundred_children_live_at_once_and_end_each_by_itself() {
    let (mut house, parent) = warm("", "sleep").await;
    for launch in 1..=100 {
        house.workers.fork(1, WorkerId(launch));
    }
    let mut pids = Vec::new();
    for launch in 1..=100 {
        pids.push(house.started(launch).await);
    }
    assert!(pids.iter().all(|&pid| lives(pid)));
    let score = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", pids[0])).unwrap();
    assert_eq!(score.trim(), "1000");

    for launch in 1..=50 {
        house.workers.kill(WorkerId(launch));
    }
    for launch in 1..=50 {
        assert_eq!(house.exited(launch).await.0, ExitStatus::Signal(9));
    }
    for launch in 51..=100 {
        house.workers.terminate(WorkerId(launch));
    }
    for launch in 51..=100 {
        assert_eq!(house.exited(launch).await.0, ExitStatus::Signal(15));
    }
    assert!(!pids.iter().any(|&pid| lives(pid)));
    assert!(lives(parent));
    assert_eq!(house.rest(), []);
    house.shutdown().await;
    assert!(!lives(parent));
}

#[tokio::test]
async fn a_child_deaf_to_terminate_is_killed_after_the_grace() {
    let mut options = Options::default();
    options.grace = Duration::from_millis(50);
    let mut house = House::new(options);
    house.workers.start_template(1, template("", "ignore-term"));
    house.workers.fork(1, WorkerId(1));
    assert_eq!(house.line(worker(1), Stream::Stdout).await, "deaf");
    house.workers.terminate(WorkerId(1));
    assert_eq!(house.exited(1).await.0, ExitStatus::Signal(9));
    house.shutdown().await;
}

#[tokio::test]
async fn when_a_template_is_killed_its_children_end_and_nothing_waits() {
    let (mut house, parent) = warm("", "sleep").await;
    for launch in 1..=5 {
        house.workers.fork(1, WorkerId(launch));
    }
    let mut pids = Vec::new();
    for launch in 1..=5 {
        pids.push(house.started(launch).await);
    }
    kill_9(parent);
    let reason = house.died(1).await;
    assert!(reason.contains("was ended by SIGKILL"), "{reason}");
    for launch in 1..=5 {
        assert_eq!(house.exited(launch).await.0, ExitStatus::Unknown);
    }
    assert!(!pids.iter().any(|&pid| lives(pid)));
    house.workers.fork(1, WorkerId(6));
    assert!(house.start_failed(6).await.contains("is gone"));
    // Its pool may have another.
    house.workers.start_template(2, template("", "exit:0"));
    house.workers.fork(2, WorkerId(7));
    house.exited(7).await;
    house.shutdown().await;
}

#[tokio::test]
async fn a_template_that_crashes_at_its_start_says_why() {
    let mut house = House::new(Options::default());
    house.workers.start_template(1, template("crash-before-ready", ""));
    house.workers.fork(1, WorkerId(1));
    let reason = house.died(1).await;
    assert!(reason.contains("ended with exit code 1 before it was ready"), "{reason}");
    assert!(reason.contains("No module named 'torch'"), "{reason}");
    assert!(house.start_failed(1).await.contains("exit code 1"));
    assert!(house.line(Source::Template(1), Stream::Stderr).await.contains("torch"));
    house.shutdown().await;
}

#[tokio::test]
async fn a_template_whose_command_does_not_exist_dies_with_the_reason() {
    let mut house = House::new(Options::default());
    house
        .workers
        .start_template(1, WorkerCommand { program: "/no/python".into(), ..WorkerCommand::default() });
    house.workers.fork(1, WorkerId(1));
    assert!(house.died(1).await.contains("`/no/python` does not exist"));
    assert!(house.start_failed(1).await.contains("/no/python"));
    house.shutdown().await;
}

#[tokio::test]
async fn words_of_a_later_version_are_ignored_and_garbage_ends_the_template() {
    let (mut house, _) = warm("later-version", "exit:0").await;
    house.workers.fork(1, WorkerId(1));
    assert_eq!(house.exited(1).await.0, ExitStatus::Code(0));

    let modes = [
        (2, "garbage", "hello?"),
        (3, "half-a-message", "without `pid`"),
        (4, "endless-line", "longer than"),
    ];
    for (number, mode, says) in modes {
        house.workers.start_template(number, template(mode, ""));
        let reason = house.died(number).await;
        assert!(reason.contains(says), "{reason}");
    }
    house.shutdown().await;
}

#[tokio::test]
async fn a_template_may_end_only_its_own_children() {
    let (mut house, _) = warm("liar", "").await;
    // It names the process of this test; a node that believed it would end itself below.
    house.workers.fork(1, WorkerId(1));
    house.workers.kill(WorkerId(1));
    house.start_failed(1).await;
    house.workers.fork(1, WorkerId(2));
    let reason = house.start_failed(2).await;
    assert!(reason.contains("not a child of the template"), "{reason}");
    house.shutdown().await;
}

#[tokio::test]
async fn a_child_that_nobody_asked_for_is_ended() {
    let (mut house, _) = warm("unasked", "exit:0").await;
    let line = house.line(Source::Template(1), Stream::Stdout).await;
    gone(line.strip_prefix("unasked ").unwrap().parse().unwrap()).await;
    house.workers.fork(1, WorkerId(1));
    house.exited(1).await;
    house.shutdown().await;
}

#[tokio::test]
async fn a_fork_that_fails_is_told() {
    let (mut house, _) = warm("fails-to-fork", "").await;
    house.workers.fork(1, WorkerId(1));
    assert!(house.start_failed(1).await.contains("could not fork"));
    house.shutdown().await;
}

#[tokio::test]
async fn silence_is_waited_out_and_then_taken_for_failure() {
    let mut options = Options::default();
    options.ready_timeout = Duration::from_millis(300);
    let mut house = House::new(options);
    house.workers.start_template(1, template("never-ready", ""));
    house.workers.fork(1, WorkerId(1));
    let reason = house.died(1).await;
    assert!(reason.contains("was not ready"), "{reason}");
    assert!(house.start_failed(1).await.contains("was not ready"));
    house.shutdown().await;

    let mut house = House::new(Options::default());
    house.workers.start_template(2, template("close-control", ""));
    let reason = house.died(2).await;
    assert!(reason.contains("closed its control socket"), "{reason}");
    house.shutdown().await;

    let mut options = Options::default();
    options.fork_timeout = Duration::from_millis(300);
    let mut house = House::new(options);
    house.workers.start_template(3, template("no-answer", ""));
    for launch in 10..40 {
        house.workers.fork(3, WorkerId(launch));
    }
    let reason = house.died(3).await;
    assert!(reason.contains("did not answer a fork"), "{reason}");
    for launch in 10..40 {
        house.start_failed(launch).await;
    }
    house.shutdown().await;
}

#[tokio::test]
async fn an_exit_that_the_template_keeps_to_itself_is_told_without_its_status() {
    let (mut house, _) = warm("mute", "exit:4").await;
    house.workers.fork(1, WorkerId(1));
    assert_eq!(house.exited(1).await.0, ExitStatus::Unknown);
    house.shutdown().await;
}

#[tokio::test]
async fn a_template_ends_on_request_with_its_children() {
    let (mut house, parent) = warm("", "sleep").await;
    house.workers.fork(1, WorkerId(1));
    let child = house.started(1).await;
    house.workers.end_template(1);
    assert!(house.died(1).await.contains("on request"));
    house.exited(1).await;
    assert!(!lives(parent) && !lives(child));
    house.shutdown().await;
}
