//! One program that is driver and worker: fans work out, chains results, keeps state in an actor, and reads a stream.
//!
//! Run it with a `thornback` on PATH, or with THORNBACK_BINARY set: `cargo run -p thornback --example tasks`. It prints
//!
//! ```text
//! longest of 1000: 178
//! fib(10): 55
//! 1 4 9 16 25
//! best: Some(("thornback", 27))
//! ```

use thornback::{Client, Context, Pool, Result, Stream, Worker, get_all};

/// How often the series of `n` halves or triples until it reaches 1.
#[thornback::task]
async fn collatz(n: u64) -> u64 {
    std::iter::successors(
        Some(n),
        |n| if n % 2 == 0 { Some(n / 2) } else { n.checked_mul(3)?.checked_add(1) },
    )
    .take_while(|n| *n != 1)
    .count() as u64
}

#[thornback::task]
async fn longest(lengths: Vec<u64>) -> u64 {
    lengths.into_iter().max().unwrap_or(0)
}

/// A task that submits tasks.
#[thornback::task]
async fn fib(cx: &Context, n: u64) -> Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let (a, b) = (fib::submit(cx, n - 1), fib::submit(cx, n - 2));
    Ok(a.await? + b.await?)
}

#[thornback::task]
fn squares(n: u64) -> impl Stream<Item = u64> {
    futures_util::stream::iter((1..=n).map(|i| i * i))
}

struct Board {
    best: Vec<(String, u64)>,
}

#[thornback::actor]
impl Board {
    fn new() -> Self {
        Board { best: Vec::new() }
    }

    async fn add(&mut self, name: String, score: u64) -> usize {
        self.best.push((name, score));
        self.best.sort_by_key(|(_, score)| std::cmp::Reverse(*score));
        self.best.len()
    }

    async fn best(&self) -> Option<(String, u64)> {
        self.best.first().cloned()
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    if Worker::is_launched() {
        return Worker::new()
            .register::<collatz>()
            .register::<longest>()
            .register::<fib>()
            .register::<squares>()
            .register_actor::<Board>()
            .serve()
            .await;
    }
    let client = Client::local().await?;
    let pool = Pool::this_program("tasks");
    let pool = pool
        .serves::<collatz>()
        .serves::<longest>()
        .serves::<fib>()
        .serves::<squares>()
        .serves_actor::<Board>();
    client.declare_pool(pool).await?;

    let refs: Vec<_> = (1..=1000).map(|n| collatz::submit(&client, n)).collect();
    let lengths = get_all(&refs).await?;
    println!("longest of 1000: {}", longest::submit(&client, &lengths).await?);
    println!("fib(10): {}", fib::submit(&client, 10).await?);

    let mut stream = squares::submit(&client, 5);
    let mut seen = Vec::new();
    while let Some(square) = stream.next().await {
        seen.push(square?.to_string());
    }
    println!("{}", seen.join(" "));

    let board = BoardHandle::create(&client);
    for (name, score) in [("ray", 3), ("skate", 9), ("thornback", 27)] {
        let _ = board.add(name, score);
    }
    println!("best: {:?}", board.best().await?);
    Ok(())
}
