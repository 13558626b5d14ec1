//! Streaming tasks.

use futures_util::StreamExt;
use thornback::Code;

use crate::functions::{CounterHandle, count, count_forever, count_then_fail, large_items};
use crate::support::{eventually, with_client};

#[test]
fn items_come_in_order_and_then_the_end() {
    with_client(|client| async move {
        let items: Vec<u64> =
            StreamExt::map(count::submit(&client, 500), |item| item.expect("an item")).collect().await;
        assert_eq!(items, (0..500).collect::<Vec<_>>());
        let mut empty = count::submit(&client, 0);
        assert!(empty.next().await.is_none());
        assert!(empty.next().await.is_none());
        Ok(())
    });
}

#[test]
fn an_error_comes_behind_the_items_before_it() {
    with_client(|client| async move {
        let mut stream = count_then_fail::submit(&client, 3);
        for i in 0..3 {
            assert_eq!(stream.next().await.expect("an item")?, i);
        }
        let error = stream.next().await.expect("an error").expect_err("an error");
        assert!(error.is_type("tests.Dry"), "{error}");
        assert!(stream.next().await.is_none());
        Ok(())
    });
}

#[test]
fn large_items_and_refs_to_items() {
    with_client(|client| async move {
        let mut stream = large_items::submit(&client, 5, 300_000);
        let first = stream.next_ref().await.expect("an item")?;
        for i in 1..5u8 {
            assert_eq!(stream.next().await.expect("an item")?, vec![i; 300_000]);
        }
        assert!(stream.next().await.is_none());
        assert_eq!(first.await?, vec![0; 300_000]);
        drop(stream);
        eventually("all items are released", || async {
            client.status().await.is_ok_and(|status| status.objects == 0 && status.store_used_bytes == 0)
        })
        .await;
        Ok(())
    });
}

#[test]
fn a_producer_does_not_run_far_ahead_and_ends_with_its_stream() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let progress = directory.path().join("progress");
        let mut stream = count_forever::submit(&client, &progress);
        for i in 0..50 {
            assert_eq!(stream.next().await.expect("an item")?, i);
        }
        // The file is empty for a moment whenever it is written.
        let read = || std::fs::read_to_string(&progress).ok()?.parse::<u64>().ok();
        eventually("the producer says how far it is", || async { read().is_some() }).await;
        let made = read().unwrap_or_default();
        assert!(made <= 50 + 5, "{made} items were made, and 50 taken");
        drop(stream);
        eventually("the producer has ended", || async {
            client.status().await.is_ok_and(|status| status.tasks_running == 0 && status.objects == 0)
        })
        .await;
        Ok(())
    });
}

#[test]
fn a_stream_can_be_cancelled() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let mut stream = count_forever::submit(&client, directory.path().join("progress"));
        assert_eq!(stream.next().await.expect("an item")?, 0);
        stream.cancel();
        let error = loop {
            match stream.next().await.expect("an error before the end") {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(error.is(Code::Cancelled), "{error}");
        assert!(stream.next().await.is_none());
        Ok(())
    });
}

#[test]
fn methods_stream_too() {
    with_client(|client| async move {
        let counter = CounterHandle::create(&client, 0);
        let items: Vec<u64> =
            StreamExt::map(counter.counts(20), |item| item.expect("an item")).collect().await;
        assert_eq!(items, (0..20).collect::<Vec<_>>());
        Ok(())
    });
}
