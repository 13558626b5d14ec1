//! Results that come one by one: as values, as refs, and with an error at the end.
//!
//! Run it with a `thornback` on PATH, or with THORNBACK_BINARY set: `cargo run -p thornback --example streams`. It prints
//!
//! ```text
//! squares: 1 4 9 16 25
//! as refs, doubled: 2 8 18
//! 3 items, then: the line is cut
//! ```

use thornback::{Client, Pool, Result, Stream, Worker, get_all};

#[thornback::task]
fn squares(n: u64) -> impl Stream<Item = u64> {
    futures_util::stream::iter((1..=n).map(|i| i * i))
}

#[thornback::task]
async fn double(n: u64) -> u64 {
    2 * n
}

#[thornback::task]
fn breaks(items: u64) -> impl Stream<Item = std::result::Result<u64, String>> {
    futures_util::stream::iter((0..items).map(Ok).chain([Err("the line is cut".to_owned())]))
}

#[tokio::main]
async fn main() -> Result<()> {
    if Worker::is_launched() {
        return Worker::new().register::<squares>().register::<double>().register::<breaks>().serve().await;
    }
    let client = Client::local().await?;
    client.declare_pool(Pool::this_program("streams")).await?;

    let mut stream = squares::submit(&client, 5);
    let mut seen = Vec::new();
    while let Some(square) = stream.next().await {
        seen.push(square?.to_string());
    }
    println!("squares: {}", seen.join(" "));

    // Refs to the items can be passed on without reading them here.
    let mut stream = squares::submit(&client, 3);
    let mut doubled = Vec::new();
    while let Some(square) = stream.next_ref().await {
        doubled.push(double::submit(&client, square?));
    }
    let doubled: Vec<String> = get_all(&doubled).await?.iter().map(u64::to_string).collect();
    println!("as refs, doubled: {}", doubled.join(" "));

    let mut stream = breaks::submit(&client, 3);
    let mut items = 0;
    while let Some(item) = stream.next().await {
        match item {
            Ok(_) => items += 1,
            Err(error) => println!("{items} items, then: {}", error.message()),
        }
    }
    Ok(())
}
