//! Workers of pools without a template: real processes, started, watched and ended.

mod house;

use std::time::Duration;

use house::{House, gone, lives, sh, worker};
use thornback_types::WorkerId;
use thornback_workers::{Environment, Event, ExitStatus, Options, Stream, WorkerCommand, memory};

fn options() -> Options {
    Options::default()
}

#[tokio::test]
async fn a_worker_starts_prints_and_ends_in_that_order() {
    let mut house = House::new(options());
    house.workers.spawn(WorkerId(1), sh("echo one; echo two >&2; printf three; exit 7"));
    let pid = house.started(1).await;
    let (status, last_words) = house.exited(1).await;
    assert_eq!(status, ExitStatus::Code(7));
    assert_eq!(last_words, "two");
    assert!(!lives(pid));
    let lines: Vec<_> = house.rest();
    let of = |stream| {
        let lines = lines.iter().filter_map(move |event| match event {
            Event::Lines { stream: to, lines, .. } if *to == stream => Some(lines.clone()),
            other => {
                assert!(matches!(other, Event::Lines { .. }), "{other:?}");
                None
            }
        });
        lines.flatten().collect::<Vec<_>>()
    };
    assert_eq!(of(Stream::Stdout), ["one", "three"]);
    assert_eq!(of(Stream::Stderr), ["two"]);
    house.shutdown().await;
}

#[tokio::test]
async fn one_that_ends_at_once_is_started_and_exited() {
    let mut house = House::new(options());
    for launch in 1..=20 {
        house.workers.spawn(WorkerId(launch), sh("exit 0"));
    }
    for launch in 1..=20 {
        house.started(launch).await;
        assert_eq!(house.exited(launch).await.0, ExitStatus::Code(0));
    }
    assert_eq!(house.rest(), []);
    house.shutdown().await;
}

#[tokio::test]
async fn what_cannot_start_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let not_executable = dir.path().join("plain.txt");
    std::fs::write(&not_executable, "hello").unwrap();
    let command = |program: &str| WorkerCommand { program: program.into(), ..WorkerCommand::default() };
    let mut house = House::new(options());
    for (launch, command, says) in [
        (1, command("no-such-program-anywhere"), "is not on the PATH"),
        (2, command("/no/such/program"), "does not exist"),
        (3, command(not_executable.to_str().unwrap()), "may not be executed"),
        (4, command(""), "is empty"),
        (5, command("nul\0inside"), "cannot be passed on"),
        (
            6,
            WorkerCommand { working_dir: Some("/no/such/place".into()), ..sh("exit 0") },
            "/no/such/place does not exist",
        ),
    ] {
        house.workers.spawn(WorkerId(launch), command);
        let reason = house.start_failed(launch).await;
        assert!(reason.contains(says), "{reason}");
    }
    house.shutdown().await;
}

#[tokio::test]
async fn the_environment_is_what_was_asked_for_and_little_more() {
    let printed = async |environment, launch: u64| {
        let options = {
            let mut options = options();
            options.environment = environment;
            options
        };
        let mut house = House::new(options);
        let mut command = sh("env | sort; pwd; cat");
        command.env = vec![("ASKED".into(), "yes".into()), ("THORNBACK_LAUNCH".into(), "forged".into())];
        command.working_dir = Some("/".into());
        house.workers.spawn(WorkerId(launch), command);
        house.exited(launch).await;
        let mut lines = Vec::new();
        for event in house.rest() {
            if let Event::Lines { lines: more, .. } = event {
                lines.extend(more);
            }
        }
        house.shutdown().await;
        lines
    };
    // Set by cargo for this test, so surely there, and no part of what a worker needs.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());

    let minimal = printed(Environment::Minimal, 41).await;
    assert!(minimal.contains(&"THORNBACK_LAUNCH=41".to_owned()), "{minimal:?}");
    assert!(minimal.contains(&"ASKED=yes".to_owned()));
    assert!(minimal.iter().any(|line| line.starts_with("PATH=")));
    assert!(!minimal.iter().any(|line| line.starts_with("CARGO")), "{minimal:?}");
    assert_eq!(minimal.last().unwrap(), "/");

    let inherited = printed(Environment::Inherited, 42).await;
    assert!(inherited.iter().any(|line| line.starts_with("CARGO_MANIFEST_DIR=")));
}

#[tokio::test]
async fn terminate_is_heeded() {
    let mut house = House::new(options());
    house
        .workers
        .spawn(WorkerId(1), sh("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done"));
    house.line(worker(1), Stream::Stdout).await;
    house.workers.terminate(WorkerId(1));
    assert_eq!(house.line(worker(1), Stream::Stdout).await, "bye");
    assert_eq!(house.exited(1).await.0, ExitStatus::Code(3));
    // Over is over.
    house.workers.kill(WorkerId(1));
    house.shutdown().await;
}

#[tokio::test]
async fn one_that_is_deaf_to_terminate_is_killed_after_the_grace() {
    let mut options = options();
    options.grace = Duration::from_millis(50);
    let mut house = House::new(options);
    house.workers.spawn(WorkerId(1), sh("trap '' TERM; echo up; while :; do sleep 0.01; done"));
    house.line(worker(1), Stream::Stdout).await;
    house.workers.terminate(WorkerId(1));
    assert_eq!(house.exited(1).await.0, ExitStatus::Signal(9));
    house.shutdown().await;
}

#[tokio::test]
async fn kill_takes_the_whole_group() {
    let mut house = House::new(options());
    house.workers.spawn(WorkerId(1), sh("sleep 1000 & echo $!; wait"));
    let pid = house.started(1).await;
    let grandchild: u32 = house.line(worker(1), Stream::Stdout).await.parse().unwrap();
    assert!(lives(pid) && lives(grandchild));
    house.workers.kill(WorkerId(1));
    assert_eq!(house.exited(1).await.0, ExitStatus::Signal(9));
    gone(grandchild).await;
    house.shutdown().await;
}

#[tokio::test]
async fn what_a_worker_leaves_behind_ends_with_it() {
    let mut house = House::new(options());
    // The one left behind also holds the pipes open, which must not hold up the news of the exit.
    house.workers.spawn(WorkerId(1), sh("sleep 1000 & echo $!; exit 0"));
    let left: u32 = house.line(worker(1), Stream::Stdout).await.parse().unwrap();
    assert_eq!(house.exited(1).await.0, ExitStatus::Code(0));
    gone(left).await;
    house.shutdown().await;
}

#[tokio::test]
async fn one_that_escaped_with_the_pipes_does_not_hold_up_the_exit() {
    let mut house = House::new(options());
    house.workers.spawn(WorkerId(1), sh("setsid sleep 1000 & echo $!; exit 0"));
    let escaped: u32 = house.line(worker(1), Stream::Stdout).await.parse().unwrap();
    assert_eq!(house.exited(1).await.0, ExitStatus::Code(0));
    // Which of setsid and its shell came first is a race, so the escaped may have been caught after all.
    if lives(escaped) {
        house::kill_9(escaped);
    }
    house.shutdown().await;
}

#[tokio::test]
async fn a_flood_of_output_reaches_its_reader_in_bounds_and_loses_no_exit() {
    let mut options = options();
    options.event_queue = 2;
    let mut house = House::new(options);
    house.workers.spawn(
        WorkerId(1),
        sh("yes 0123456789 | head -c 20000000; echo; echo last; head -c 100000 /dev/zero | tr '\\0' x"),
    );
    house.started(1).await;
    assert_eq!(house.exited(1).await.0, ExitStatus::Code(0));
    let mut longest = 0;
    let mut shown = 0;
    let mut left_out = 0;
    for event in house.rest() {
        let Event::Lines { lines, .. } = event else { panic!("{event:?}") };
        for line in lines {
            longest = longest.max(line.len());
            match line.strip_prefix('[').and_then(|rest| rest.split_once(" lines (")) {
                Some((number, _)) => left_out += number.parse::<usize>().unwrap(),
                None => shown += 1,
            }
        }
    }
    assert!(longest <= (16 << 10) + 100, "{longest}");
    // 11 bytes a line, the rest of the last one, "last", and the x's: every one is shown or counted.
    assert_eq!(shown + left_out, 20_000_000_usize.div_ceil(11) + 2);
    house.shutdown().await;
}

#[tokio::test]
async fn shutdown_ends_everything_even_if_nobody_reads_events() {
    let mut options = options();
    options.event_queue = 1;
    options.grace = Duration::from_millis(200);
    let mut house = House::new(options);
    house.workers.spawn(WorkerId(1), sh("while :; do echo noise; done"));
    let noisy = house.started(1).await;
    for launch in 2..10 {
        house.workers.spawn(WorkerId(launch), sh("trap '' TERM; while :; do sleep 0.01; done"));
    }
    assert_eq!(house.workers.shutdown().await, 0);
    assert!(!lives(noisy));
    house.workers.spawn(WorkerId(99), sh("exit 0"));
    assert!(house.start_failed(99).await.contains("ended before it had started"));
}

#[tokio::test]
async fn dropping_the_workers_kills_them() {
    let mut house = House::new(options());
    house.workers.spawn(WorkerId(1), sh("trap '' TERM; sleep 1000"));
    let pid = house.started(1).await;
    drop(house);
    gone(pid).await;
}

#[test]
fn the_end_of_the_runtime_kills_them() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (house, pid) = runtime.block_on(async {
        let mut house = House::new(options());
        house.workers.spawn(WorkerId(1), sh("sleep 1000"));
        let pid = house.started(1).await;
        (house, pid)
    });
    drop(runtime);
    tokio::runtime::Runtime::new().unwrap().block_on(gone(pid));
    drop(house);
}

#[tokio::test]
async fn the_kernel_is_told_whom_to_end_first_and_who_takes_what() {
    let mut house = House::new(options());
    house.workers.spawn(WorkerId(1), sh("read forever </dev/zero"));
    let pid = house.started(1).await;
    let score = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "1000");
    assert!(memory::rss(pid).unwrap() > 0);
    house.workers.kill(WorkerId(1));
    house.exited(1).await;
    assert_eq!(memory::rss(pid), None);
    house.shutdown().await;
}

#[tokio::test]
async fn a_number_in_use_is_not_started_again() {
    let mut house = House::new(options());
    house.workers.spawn(WorkerId(1), sh("sleep 1000"));
    house.workers.spawn(WorkerId(1), sh("exit 5"));
    house.started(1).await;
    house.workers.kill(WorkerId(1));
    assert_eq!(house.exited(1).await.0, ExitStatus::Signal(9));
    assert_eq!(house.rest(), []);
    house.shutdown().await;
}
