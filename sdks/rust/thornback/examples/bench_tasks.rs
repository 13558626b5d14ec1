//! Measures no-op tasks from one Rust driver to one Rust worker through the node, and prints one line of JSON:
//! `{"tasks_per_second": …, "sync_p50_us": …, "actor_calls_per_second": …}`, medians.
//!
//! `THORNBACK_BINARY=target/release/thornback cargo run --release -p thornback --example bench_tasks -- [tasks] [rounds] [in flight at once]`
//!
//! `THORNBACK_BENCH_WORKER` may hold a program, such as a profiler with its arguments, that the worker is started by.

use std::time::{Duration, Instant};

use thornback::{ConnectOptions, Pool, Ref, Result, Worker, get_all};

#[thornback::task]
async fn nothing(n: u64) -> u64 {
    n
}

struct Echo;

#[thornback::actor]
impl Echo {
    fn new() -> Self {
        Echo
    }

    async fn nothing(&self, n: u64) -> u64 {
        n
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    if Worker::is_launched() {
        return Worker::new().register::<nothing>().register_actor::<Echo>().serve().await;
    }
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let tasks = args.next().and_then(std::result::Result::ok).unwrap_or(500_000);
    let rounds = args.next().and_then(std::result::Result::ok).unwrap_or(5);
    let window = args.next().and_then(std::result::Result::ok).unwrap_or(1_000);

    // One CPU, so that there is one worker.
    let client = ConnectOptions::new().num_cpus(1.0).local().await?;
    let mut pool = Pool::this_program("bench");
    if let Ok(program) = std::env::var("THORNBACK_BENCH_WORKER") {
        let worker = std::env::args().take(1);
        pool = pool.command(program.split_whitespace().map(str::to_owned).chain(worker));
    }
    client.declare_pool(pool.serves::<nothing>().serves_actor::<Echo>()).await?;
    let echo = EchoHandle::create(&client);
    // Uncounted, as for the rows in other languages: processes start, and tables grow.
    let warm_up = (tasks * 3 / 10).max(1);
    rate(warm_up, window, |n| nothing::submit(&client, n)).await?;
    rate(warm_up, window, |n| echo.nothing(n)).await?;

    let mut in_flight = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..rounds {
        in_flight.push(rate(tasks, window, |n| nothing::submit(&client, n)).await?);
        calls.push(rate(tasks, window, |n| echo.nothing(n)).await?);
    }
    let mut sync = Vec::new();
    for n in 0..2_000 {
        let begun = Instant::now();
        nothing::submit(&client, n).await?;
        sync.push(begun.elapsed());
    }
    println!(
        "{{\"tasks_per_second\": {:.0}, \"actor_calls_per_second\": {:.0}, \"sync_p50_us\": {:.1}}}",
        median(&mut in_flight),
        median(&mut calls),
        median(&mut sync.iter().map(Duration::as_secs_f64).collect::<Vec<_>>()) * 1e6,
    );
    Ok(())
}

/// Calls a second while between half of `window` and all of it is in flight.
async fn rate(calls: u64, window: u64, submit: impl Fn(u64) -> Ref<u64>) -> Result<f64> {
    let half = (window / 2).max(1);
    let begun = Instant::now();
    let mut earlier: Vec<Ref<u64>> = Vec::new();
    let mut given = 0;
    for first in (0..calls).step_by(half as usize) {
        let refs = (first..calls.min(first + half)).map(&submit).collect();
        given += get_all(&std::mem::replace(&mut earlier, refs)).await?.len() as u64;
    }
    given += get_all(&earlier).await?.len() as u64;
    assert_eq!(given, calls);
    drop(earlier);
    Ok(calls as f64 / begun.elapsed().as_secs_f64())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
