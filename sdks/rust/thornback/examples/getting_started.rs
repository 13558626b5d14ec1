//! The program of `docs/guides/getting-started-rust.md`, in one piece. A test holds the two together and runs it.
//!
//! `cargo run -p thornback --example getting_started`, with `thornback` on PATH or THORNBACK_BINARY set.

use std::num::ParseIntError;

use thornback::{Client, Code, Context, Pool, Result, Stream, Worker, get_all};

#[thornback::task]
async fn greet(name: String) -> String {
    format!("hello, {name}")
}

#[thornback::task]
async fn count_letters(texts: Vec<String>) -> usize {
    texts.iter().map(String::len).sum()
}

struct Account {
    balance: i64,
}

#[thornback::actor]
impl Account {
    fn new(balance: i64) -> Self {
        Account { balance }
    }

    async fn deposit(&mut self, amount: i64) -> i64 {
        self.balance += amount;
        self.balance
    }
}

#[thornback::task]
async fn sum(numbers: Vec<f64>) -> f64 {
    numbers.iter().sum()
}

#[thornback::task]
fn halves(start: f64) -> impl Stream<Item = f64> {
    futures_util::stream::iter(std::iter::successors(Some(start / 2.0), |n| (*n > 1.0).then(|| n / 2.0)))
}

#[thornback::task]
async fn parse(text: String) -> Result<i64, ParseIntError> {
    text.parse()
}

#[thornback::task]
async fn factorial(cx: &Context, n: u64) -> Result<u64> {
    if n == 0 { Ok(1) } else { Ok(n * factorial::submit(cx, n - 1).await?) }
}

#[tokio::main]
async fn main() -> Result<()> {
    if Worker::is_launched() {
        return Worker::new()
            .register::<greet>()
            .register::<count_letters>()
            .register_actor::<Account>()
            .register::<sum>()
            .register::<halves>()
            .register::<parse>()
            .register::<factorial>()
            .serve()
            .await;
    }

    let client = Client::local().await?;
    client.declare_pool(Pool::this_program("guide")).await?;

    println!("{}", greet::submit(&client, "world").await?);

    let words = "a ref is a name for a value that is going to exist";
    let greetings: Vec<_> = words.split(' ').map(|word| greet::submit(&client, word)).collect();
    println!("{} greetings", get_all(&greetings).await?.len());

    let texts = get_all(&greetings).await?;
    let letters = count_letters::submit(&client, texts);
    let again = greet::submit(&client, &greetings[4]);
    println!("{} letters, and {}", letters.await?, again.await?);

    let account = AccountHandle::create(&client, 100);
    let balances = [account.deposit(1), account.deposit(2), account.deposit(3)];
    println!("{:?}", get_all(&balances).await?);

    let numbers = client.put(vec![0.5; 1_000_000]);
    println!("{} and {}", sum::submit(&client, &numbers).await?, sum::submit(&client, &numbers).await?);

    let mut stream = halves::submit(&client, 10.0);
    while let Some(half) = stream.next().await {
        println!("{}", half?);
    }

    let error = parse::submit(&client, "twelve").await.expect_err("twelve is no number");
    println!("{}: {}", error.is(Code::TaskFailed), error.message());

    let light = factorial::options().num_cpus(0.25).max_retries(0);
    println!("{}", light.submit(&client, 10).await?);
    Ok(())
}
