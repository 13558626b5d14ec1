//! Sessions: opening, ending, and what becomes of what was under way.

use thornback::{Client, Code, ConnectOptions, Ref, Worker, get_all};

use crate::functions::{CounterHandle, add, count, sum_bytes, wait_for_file};
use crate::support::{block_on, eventually, options, pool, server, with_client};

#[test]
fn a_closed_session_fails_what_is_under_way_and_what_comes() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let (started, never) = (directory.path().join("started"), directory.path().join("never"));
        let running = wait_for_file::submit(&client, &started, &never);
        eventually("the task has started", || async { started.exists() }).await;
        client.clone().close().await;
        assert!(running.await.expect_err("closed").is(Code::ConnectionLost));
        assert!(add::submit(&client, 1, 2).await.expect_err("closed").is(Code::ConnectionLost));
        assert!(client.status().await.expect_err("closed").is(Code::ConnectionLost));
        assert!(client.flush().await.is_err() && client.create(10).await.is_err());
        let unencoded: Ref<Vec<u8>> = client.put(vec![1; 1 << 20]);
        assert!(unencoded.await.is_err());
        Ok(())
    });
}

#[test]
fn a_node_that_is_not_there_is_an_error() {
    block_on(async {
        let error = Client::connect("unix:/nonexistent/node.sock").await.expect_err("nobody listens");
        assert!(error.is(Code::ConnectionLost) && error.message().contains("/nonexistent"), "{error}");
        assert!(Client::connect("nonsense").await.expect_err("no address").is(Code::InvalidArgument));
        let error = ConnectOptions::new()
            .binary("/nonexistent/thornback")
            .local()
            .await
            .expect_err("no such program");
        assert!(error.message().contains("THORNBACK_BINARY"), "{error}");
        let error = ConnectOptions::new().binary("/bin/false").local().await.expect_err("it ends at once");
        assert!(error.message().contains("ended before it listened"), "{error}");
        Ok(())
    });
}

#[test]
fn clients_may_be_used_without_any_executor() {
    let directory = tempfile::tempdir().expect("a directory");
    // Only for opening the session; a program may do that on any executor.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let client = runtime.block_on(async {
        let client = options().local().await?;
        client.declare_pool(pool()).await?;
        Ok::<_, thornback::Error>(client)
    });
    drop(runtime);
    let client = client.expect("a client");
    let r = add::submit(&client, 20, 22);
    assert_eq!(r.blocking_get().expect("a sum"), 42);
    drop(directory);
}

#[test]
fn many_threads_share_one_client() {
    with_client(|client| async move {
        let threads: Vec<_> = (0..4i64)
            .map(|t| {
                let client = client.clone();
                std::thread::spawn(move || {
                    let refs: Vec<_> = (0..500).map(|n| add::submit(&client, t * 1000, n)).collect();
                    refs.iter().map(|r| r.blocking_get().expect("a sum")).collect::<Vec<_>>()
                })
            })
            .collect();
        for (t, thread) in (0..).zip(threads) {
            let sums = tokio::task::spawn_blocking(|| thread.join().expect("no panic")).await.expect("joins");
            assert_eq!(sums, (0..500).map(|n| t * 1000 + n).collect::<Vec<i64>>());
        }
        Ok(())
    });
}

#[test]
fn a_submitter_without_end_can_keep_to_the_sessions_pace() {
    with_client(|client| async move {
        for n in 0..50_000 {
            drop(add::submit(&client, n, n));
            client.ready().await?;
        }
        client.flush().await?;
        assert_eq!(add::submit(&client, 1, 1).await?, 2);
        Ok(())
    });
}

#[test]
fn a_worker_without_a_node_is_an_error() {
    block_on(async {
        if std::env::var_os("THORNBACK_ADDRESS").is_none() {
            let error = Worker::new().serve().await.expect_err("no node is known");
            assert!(error.message().contains("THORNBACK_ADDRESS"), "{error}");
        }
        let error =
            Worker::new().address("unix:/nonexistent/node.sock").serve().await.expect_err("nobody listens");
        assert!(error.is(Code::ConnectionLost), "{error}");
        Ok(())
    });
}

#[test]
fn the_grpc_carrier_carries_everything() {
    block_on(async {
        let node = Node::start();
        let client = ConnectOptions::new().token_file(&node.token_file).connect(&node.grpc).await?;
        client.declare_pool(pool()).await?;
        assert_eq!(add::submit(&client, 1, 2).await?, 3);
        let refs: Vec<_> = (0..2_000).map(|n| add::submit(&client, n, 1)).collect();
        assert_eq!(get_all(&refs).await?, (1..=2_000).collect::<Vec<i64>>());

        // Without shared memory, in both directions, and more than the windows hold.
        let length = 20 << 20;
        let put = client.put(thornback::Bytes::from(vec![1; length]));
        assert_eq!(sum_bytes::submit(&client, &put).await?, length as u64);
        assert_eq!((&put).await?, vec![1; length]);
        let (once, again) = tokio::join!(put.get(), put.get());
        assert_eq!(once?, again?);
        let mut buffer = client.create(1 << 20).await?;
        buffer.fill(3);
        assert_eq!(sum_bytes::submit(&client, buffer.seal()).await?, 3 << 20);

        let counter = CounterHandle::create(&client, 0);
        assert_eq!(counter.add(5).await?, 5);
        let mut stream = count::submit(&client, 100);
        for i in 0..100 {
            assert_eq!(stream.next().await.expect("an item")?, i);
        }
        Ok(())
    });
}

#[test]
fn the_grpc_carrier_wants_the_token() {
    block_on(async {
        let node = Node::start();
        for options in [ConnectOptions::new().token("wrong"), ConnectOptions::new().token("")] {
            let error = options.connect(&node.grpc).await.expect_err("no token");
            assert!(error.is(Code::Unauthenticated), "{error}");
        }
        let error = Client::connect("127.0.0.1:1").await.expect_err("nobody listens");
        assert!(error.is(Code::ConnectionLost), "{error}");
        Ok(())
    });
}

/// A node that is not this program's own.
struct Node {
    child: std::process::Child,
    grpc: String,
    token_file: String,
    _directory: tempfile::TempDir,
}

impl Node {
    fn start() -> Node {
        let directory = tempfile::tempdir().expect("a directory");
        let ports = directory.path().join("ports.json");
        let child = std::process::Command::new(server())
            .args([
                "dev",
                "--exit-with-stdin",
                "--num-cpus",
                "2",
                "--store-bytes",
                "268435456",
                "--ports-file",
            ])
            .arg(&ports)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("the server starts");
        while !ports.exists() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let text = std::fs::read_to_string(ports).expect("is readable");
        // The file is one flat JSON object of plain strings and numbers.
        let field = |name: &str| {
            text.split(&format!("\"{name}\""))
                .nth(1)
                .and_then(|rest| rest.split('"').nth(1))
                .expect("is there")
                .to_string()
        };
        Node { child, grpc: field("grpc"), token_file: field("token_file"), _directory: directory }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends");
    }
}
