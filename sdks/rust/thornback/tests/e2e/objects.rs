//! Objects: values large and small, and how long they live.

use std::collections::BTreeMap;

use thornback::{Bytes, Client, Code, Tensor};

use crate::functions::{Parts, add, double, give_back, keep_nothing, make_bytes, sum_bytes, sum_parts};
use crate::support::{eventually, options, with_client, with_options};

const LARGE: usize = 3 << 20;

/// What remains once nothing refers to anything.
async fn all_is_released(client: &Client) {
    eventually("all objects are released", || async {
        client.status().await.is_ok_and(|status| status.objects == 0)
    })
    .await;
}

#[test]
fn small_and_large_values_are_the_same_to_everybody() {
    with_client(|client| async move {
        for length in [0, 1, 100 << 10, (100 << 10) + 1, LARGE] {
            let put = client.put(vec![1u8; length]);
            assert_eq!(sum_bytes::submit(&client, put.clone().cast::<Bytes>()).await?, length as u64);
            assert_eq!(put.await?, vec![1u8; length]);
            // As an argument by value, and as a result.
            assert_eq!(sum_bytes::submit(&client, Bytes::from(vec![2; length])).await?, 2 * length as u64);
            let made = make_bytes::submit(&client, length, 3);
            assert_eq!(sum_bytes::submit(&client, made.clone().cast::<Bytes>()).await?, 3 * length as u64);
            assert_eq!(made.await?.len(), length);
        }
        all_is_released(&client).await;
        Ok(())
    });
}

#[test]
fn a_large_value_is_read_in_place_and_gives_its_room_back() {
    with_client(|client| async move {
        let r = client.put(Bytes::from(vec![7; LARGE]));
        let (a, b) = ((&r).await?, (&r).await?);
        assert_eq!(a.as_ptr(), b.as_ptr(), "both are the same shared memory");
        drop(r);
        // The bytes stay as long as somebody reads them.
        let status = client.status().await?;
        assert!(status.store_used_bytes >= LARGE as u64, "{status:?}");
        assert!(a.iter().all(|byte| *byte == 7));
        drop((a, b));
        eventually("the store is empty", || async {
            client.status().await.is_ok_and(|status| status.store_used_bytes == 0)
        })
        .await;
        Ok(())
    });
}

#[test]
fn an_object_can_be_filled_in_place() {
    with_client(|client| async move {
        for length in [0, 5, LARGE] {
            let mut buffer = client.create(length).await?;
            assert_eq!(buffer.len(), length);
            buffer.fill(9);
            let r = buffer.seal();
            assert_eq!(sum_bytes::submit(&client, &r).await?, 9 * length as u64);
            assert_eq!(r.await?, vec![9; length]);
        }
        // One that is not sealed leaves nothing behind.
        drop(client.create(LARGE).await?);
        all_is_released(&client).await;
        eventually("the store is empty", || async {
            client.status().await.is_ok_and(|status| status.store_used_bytes == 0)
        })
        .await;
        Ok(())
    });
}

#[test]
fn tensors_travel_in_place() {
    with_client(|client| async move {
        for length in [3_u64, 1 << 18] {
            let tensor =
                Tensor::from_vec((0..length).map(|x| x as f64).collect(), &[1, length]).expect("fits");
            let doubled = double::submit(&client, &tensor).await?;
            assert_eq!(doubled.shape(), [1, length]);
            let sum: f64 = doubled.to_vec::<f64>().expect("doubles").iter().sum();
            assert_eq!(sum, (length * (length - 1)) as f64);
        }
        Ok(())
    });
}

#[test]
fn refs_inside_values_stay_refs_and_keep_what_they_name() {
    with_client(|client| async move {
        let mut parts = BTreeMap::new();
        for (name, length) in [("small", 3), ("large", 100_000)] {
            parts.insert(name.to_string(), client.put(vec![1i64; length]));
        }
        let sum = sum_parts::submit(&client, Parts { parts });
        assert_eq!(sum.await?, 100_003);
        all_is_released(&client).await;
        Ok(())
    });
}

#[test]
fn refs_nested_deep_keep_the_innermost() {
    with_client(|client| async move {
        let innermost = client.put("deep".to_string());
        let one = client.put(vec![innermost]);
        let two = client.put(vec![one]);
        let three = client.put(vec![two]);
        let two = three.await?.remove(0);
        let one = two.await?.remove(0);
        let innermost = one.await?.remove(0);
        assert_eq!(innermost.await?, "deep");
        all_is_released(&client).await;
        Ok(())
    });
}

#[test]
fn a_ref_may_go_there_and_come_back() {
    with_client(|client| async move {
        let r = client.put(42i64);
        keep_nothing::submit(&client, &r).await?;
        let back = give_back::submit(&client, r).await?;
        assert_eq!(add::submit(&client, &back, 0).await?, 42);
        let pending = give_back::submit(&client, add::submit(&client, 1, 1)).await?;
        assert_eq!(pending.await?, 2);
        drop(back);
        all_is_released(&client).await;
        Ok(())
    });
}

#[test]
fn dropping_refs_releases_results_whenever_they_come() {
    with_client(|client| async move {
        for _ in 0..200 {
            drop(add::submit(&client, 1, 2));
        }
        drop(make_bytes::submit(&client, LARGE, 1));
        let last = add::submit(&client, 1, 2);
        last.await?;
        all_is_released(&client).await;
        Ok(())
    });
}

#[test]
fn more_than_the_store_holds_is_spilled_and_read_back() {
    with_options(options().object_store_bytes(16 << 20), |client| async move {
        let refs: Vec<_> = (0..16u8).map(|byte| client.put(Bytes::from(vec![byte; LARGE]))).collect();
        for (byte, r) in (0..).zip(&refs) {
            let bytes = r.await?;
            assert!(bytes.len() == LARGE && bytes.iter().all(|b| *b == byte), "object {byte}");
        }
        Ok(())
    });
}

#[test]
fn what_can_never_fit_is_refused() {
    with_options(options().object_store_bytes(16 << 20), |client| async move {
        let error = client.put(vec![0u8; 64 << 20]).await.expect_err("is larger than the store");
        assert!(error.is(Code::StoreFull), "{error}");
        let error = client.create(64 << 20).await.expect_err("is larger than the store");
        assert!(error.is(Code::StoreFull), "{error}");
        Ok(())
    });
}

#[test]
fn a_task_whose_argument_cannot_be_stored_fails_with_the_reason() {
    with_options(options().object_store_bytes(16 << 20), |client| async move {
        let error = sum_bytes::submit(&client, Bytes::from(vec![0; 64 << 20]))
            .await
            .expect_err("its argument cannot be stored");
        assert!(error.is(Code::StoreFull), "{error}");
        Ok(())
    });
}

#[test]
fn a_value_that_cannot_be_encoded_fails_where_it_is_used() {
    #[derive(serde::Deserialize)]
    struct Bad;
    impl serde::Serialize for Bad {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no way"))
        }
    }
    with_client(|client| async move {
        let error = client.put(Bad).await.err().expect("cannot be encoded");
        assert!(error.is(Code::Unserializable) && error.message().contains("no way"), "{error}");
        Ok(())
    });
}
