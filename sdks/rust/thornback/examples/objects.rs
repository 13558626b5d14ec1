//! Values that are stored once and shared: put, tensors, filling in place, refs inside values, waiting for some.
//!
//! Run it with a `thornback` on PATH, or with THORNBACK_BINARY set: `cargo run -p thornback --example objects`. It prints
//!
//! ```text
//! sum of a million: 500000
//! the tensor is 2 x 3, its corner 6
//! filled in place: 7340032
//! of two parts: 3
//! 1 ready, 1 pending
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thornback::{Bytes, Client, Context, Pool, Ref, Result, Tensor, Worker, wait};

#[thornback::task]
async fn sum(numbers: Vec<f64>) -> f64 {
    numbers.iter().sum()
}

#[thornback::task]
async fn corner(matrix: Tensor) -> f32 {
    matrix.to_vec::<f32>().and_then(|elements| elements.last().copied()).unwrap_or_default()
}

#[thornback::task]
async fn sum_bytes(bytes: Bytes) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

/// Refs may stand inside of any value: they are passed on as refs, and keep what they name alive.
#[derive(Serialize, Deserialize)]
struct Parts {
    left: Ref<i64>,
    right: Ref<i64>,
}

#[thornback::task]
async fn join(_cx: &Context, parts: Parts) -> Result<i64> {
    Ok(parts.left.await? + parts.right.await?)
}

#[thornback::task]
async fn never() {
    std::future::pending::<()>().await;
}

#[tokio::main]
async fn main() -> Result<()> {
    if Worker::is_launched() {
        let worker = Worker::new().register::<sum>().register::<corner>().register::<sum_bytes>();
        return worker.register::<join>().register::<never>().serve().await;
    }
    let client = Client::local().await?;
    client.declare_pool(Pool::this_program("objects")).await?;

    let million = client.put(vec![0.5; 1_000_000]);
    println!("sum of a million: {}", sum::submit(&client, &million).await?);

    // The elements of a tensor are read where they lie, in every language.
    let matrix = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3])?;
    let shape = matrix.shape().iter().map(u64::to_string).collect::<Vec<_>>().join(" x ");
    println!("the tensor is {shape}, its corner {}", corner::submit(&client, matrix).await?);

    // Room in shared memory, filled without a copy.
    let mut buffer = client.create(1 << 20).await?;
    buffer.fill(7);
    println!("filled in place: {}", sum_bytes::submit(&client, buffer.seal()).await?);

    let parts = Parts { left: client.put(1), right: client.put(2) };
    println!("of two parts: {}", join::submit(&client, parts).await?);

    let done = client.put(()).clone();
    let pending = never::submit(&client);
    let waited = wait([done, pending.clone()], 2).timeout(Duration::from_millis(50)).await?;
    println!("{} ready, {} pending", waited.ready.len(), waited.pending.len());
    pending.cancel();
    Ok(())
}
