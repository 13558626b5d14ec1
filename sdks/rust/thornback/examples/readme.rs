//! The program of the crate's README. A test holds the two together.
//!
//! Run it with a `thornback` on PATH, or with THORNBACK_BINARY set: `cargo run -p thornback --example readme`. It prints
//!
//! ```text
//! 9 words, 4 of them long
//! 0.25 on average
//! ray 2, skate 1
//! 3 2 1
//! ```

use std::collections::BTreeMap;

use thornback::{Client, Pool, Result, Stream, Worker, get_all};

#[thornback::task]
async fn is_long(word: String, letters: usize) -> bool {
    word.len() > letters
}

#[thornback::task]
async fn average(numbers: Vec<f64>) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[thornback::task]
fn countdown(from: u32) -> impl Stream<Item = u32> {
    futures_util::stream::iter((1..=from).rev())
}

#[derive(Default)]
struct Tally(BTreeMap<String, u32>);

#[thornback::actor]
impl Tally {
    fn new() -> Self {
        Tally::default()
    }

    async fn count(&mut self, what: String) -> u32 {
        *self.0.entry(what).and_modify(|count| *count += 1).or_insert(1)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    // One program is driver and worker: the node starts it again to serve.
    if Worker::is_launched() {
        let worker = Worker::new().register::<is_long>().register::<average>().register::<countdown>();
        return worker.register_actor::<Tally>().serve().await;
    }
    let client = Client::local().await?; // a node of its own, for as long as it lives
    client.declare_pool(Pool::this_program("readme")).await?;

    // Tasks: functions that run in other processes. A call gives a ref at once, and awaiting that its value.
    let words: Vec<&str> = "the thornback is a ray with spines and prickles".split(' ').collect();
    let long: Vec<_> = words.iter().map(|word| is_long::submit(&client, *word, 3)).collect();
    let long = get_all(&long).await?.into_iter().filter(|long| *long).count();
    println!("{} words, {long} of them long", words.len());

    // Objects: values that are stored once, and passed by ref.
    let numbers = client.put(vec![0.25; 1_000_000]);
    println!("{} on average", average::submit(&client, &numbers).await?);

    // Actors: state that lives in a worker. Calls on one start in the order in which they were made.
    let tally = TallyHandle::create(&client);
    let counts = [tally.count("ray"), tally.count("skate"), tally.count("ray")];
    let counts = get_all(&counts).await?;
    println!("ray {}, skate {}", counts[2], counts[1]);

    // Streams: results that come one by one.
    let mut numbers = countdown::submit(&client, 3);
    let mut seen = Vec::new();
    while let Some(number) = numbers.next().await {
        seen.push(number?.to_string());
    }
    println!("{}", seen.join(" "));
    Ok(())
}
