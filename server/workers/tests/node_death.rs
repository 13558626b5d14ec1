//! No worker outlives its node, not even one that is killed with SIGKILL.
//!
//! The node is this very program, started once more with a variable that says so.

mod house;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use house::{House, gone, lives, sh, template};
use thornback_types::WorkerId;
use thornback_workers::Options;

const NODE: &str = "BE_THE_NODE";

#[tokio::test]
async fn workers_and_templates_end_with_a_node_that_is_killed() {
    if std::env::var_os(NODE).is_some() {
        be_the_node().await;
    }
    let mut node = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "workers_and_templates_end_with_a_node_that_is_killed", "--nocapture"])
        .env(NODE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pids: Vec<u32> = BufReader::new(node.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| {
            Some(line.split_once("pids: ")?.1.split(' ').map(|pid| pid.parse().unwrap()).collect())
        })
        .expect("the node starts its workers");
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|&pid| lives(pid)));

    // `Child::kill` is SIGKILL.
    node.kill().unwrap();
    node.wait().unwrap();
    for pid in pids {
        gone(pid).await;
    }
}

async fn be_the_node() -> ! {
    let mut house = House::new(Options::default());
    house.workers.spawn(WorkerId(1), sh("trap '' TERM HUP INT; while :; do sleep 0.01; done"));
    house.workers.start_template(1, template("", "ignore-term"));
    house.workers.fork(1, WorkerId(2));
    let pids = [house.started(1).await, house.ready(1).await, house.started(2).await];
    // Its first line says that the child has tied itself to its template.
    house.line(house::worker(2), thornback_workers::Stream::Stdout).await;
    println!("pids: {} {} {}", pids[0], pids[1], pids[2]);
    std::io::stdout().flush().unwrap();
    // Not for ever, should the test be gone: its end of the pipe closes.
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await;
    std::process::exit(0);
}
