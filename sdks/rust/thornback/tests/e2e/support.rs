//! Starting nodes, and the worker process.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use thornback::{Client, ConnectOptions, Pool, Worker};

use crate::{functions, interface};

/// No step of a test takes this long unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test with a client of a fresh node of two CPUs whose workers serve [`functions`].
pub fn with_client<F: Future<Output = thornback::Result<()>>>(test: impl FnOnce(Client) -> F) {
    with_options(options(), test);
}

/// [`with_client`] with another node.
pub fn with_options<F: Future<Output = thornback::Result<()>>>(
    options: ConnectOptions,
    test: impl FnOnce(Client) -> F,
) {
    block_on(async {
        let client = options.local().await?;
        client.declare_pool(pool()).await?;
        test(client).await
    });
}

/// Runs something on an executor, within [`PATIENCE`].
pub fn block_on<F: Future<Output = thornback::Result<()>>>(test: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let outcome = runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await });
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error:?}"),
        Err(_) => panic!("nothing happened for {PATIENCE:?}"),
    }
}

pub fn options() -> ConnectOptions {
    ConnectOptions::new().binary(server()).num_cpus(2.0).object_store_bytes(256 << 20)
}

/// The pool whose workers are this test program.
pub fn pool() -> Pool {
    pool_named("tests")
}

/// [`pool`] by another name.
pub fn pool_named(name: &str) -> Pool {
    let worker_names = functions::names();
    worker_names.into_iter().fold(Pool::new(name).command(worker_command()), Pool::function)
}

/// What starts this program as a worker.
pub fn worker_command() -> [String; 6] {
    let program = std::env::current_exe().expect("the path of this program");
    [
        program.to_string_lossy().as_ref(),
        "worker_process",
        "--exact",
        "--nocapture",
        "--quiet",
        "--test-threads=1",
    ]
    .map(str::to_string)
}

/// The worker process: serves until its node is gone.
pub fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let served = runtime.block_on(interface::register(functions::register(Worker::new())).serve());
    if let Err(error) = served {
        eprintln!("the worker failed: {error:?}");
    }
}

/// Looks until a condition holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn server() -> PathBuf {
    if let Some(path) = std::env::var_os("THORNBACK_BINARY") {
        return path.into();
    }
    // target/debug/deps/e2e-… lies beside target/debug/thornback.
    let program = std::env::current_exe().expect("the path of this program");
    let path = program.ancestors().nth(2).expect("a target directory").join("thornback");
    assert!(
        path.exists(),
        "the server is not built: run `cargo build -p thornback-server`, or set THORNBACK_BINARY"
    );
    path
}
