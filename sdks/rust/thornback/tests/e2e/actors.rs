//! Actors: state, order, names, ends.

use thornback::{Class, Code, KillOptions, get_all};

use crate::functions::{CounterHandle, FragileHandle, add, call_counter, wait_for_file};
use crate::support::{eventually, options, with_client, with_options};

#[test]
fn an_actor_keeps_its_state_and_calls_keep_their_order() {
    with_client(|client| async move {
        let counter = CounterHandle::create(&client, 100);
        let sums: Vec<_> = (1..=200).map(|n| counter.add(n)).collect();
        assert_eq!(sums.last().expect("some").get().await?, 100 + 200 * 201 / 2);
        assert_eq!(counter.log().await?, (1..=200).collect::<Vec<_>>());
        Ok(())
    });
}

#[test]
fn calls_start_in_order_whenever_their_arguments_come() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let (started, go) = (directory.path().join("started"), directory.path().join("go"));
        let counter = CounterHandle::create(&client, 0);
        // The argument of the first call is ready last.
        let slow = wait_for_file::submit(&client, &started, &go);
        let first = counter.waits_for(&go);
        let others: Vec<_> = (0..50).map(|n| counter.add(add::submit(&client, n, 0))).collect();
        std::fs::write(&go, b"").expect("writes");
        slow.await?;
        first.await?;
        get_all(&others).await?;
        assert_eq!(counter.log().await?, (0..50).collect::<Vec<_>>());
        Ok(())
    });
}

#[test]
fn failures_and_panics_leave_the_actor() {
    with_client(|client| async move {
        let counter = CounterHandle::create(&client, 1);
        let error = counter.fails().await.expect_err("it fails");
        assert!(error.is_type("std::fmt::Error") || error.is_type("Error"), "{error}");
        let error = counter.panics().await.expect_err("it panics");
        assert!(error.is_type("Panic"), "{error}");
        assert_eq!(counter.add(1).await?, 1002, "state is as the panic left it");
        Ok(())
    });
}

#[test]
fn handles_travel() {
    with_client(|client| async move {
        let counter = CounterHandle::create(&client, 0);
        assert_eq!(call_counter::submit(&client, &counter, 5).await?, 5);
        assert_eq!(call_counter::submit(&client, counter.clone(), 5).await?, 10);
        assert_eq!(counter.recurses(&counter, 0).await?, 0);
        Ok(())
    });
}

#[test]
fn an_actor_may_call_itself_where_it_allows_concurrency() {
    with_client(|client| async move {
        let counter = CounterHandle::options().max_concurrency(8).create(&client, 0);
        assert_eq!(counter.recurses(&counter, 5).await?, 5);
        Ok(())
    });
}

#[test]
fn concurrency_is_bounded_exactly() {
    with_client(|client| async move {
        let three = CounterHandle::options().max_concurrency(3).create(&client, 0);
        let most: Vec<_> = (0..9).map(|_| three.meets(4)).collect();
        assert_eq!(get_all(&most).await?.into_iter().max(), Some(3));
        let one = CounterHandle::create(&client, 0);
        let most: Vec<_> = (0..2).map(|_| one.meets(2)).collect();
        assert_eq!(get_all(&most).await?, [1, 1]);
        Ok(())
    });
}

#[test]
fn names_are_found_taken_and_free_again() {
    with_client(|client| async move {
        let made = CounterHandle::options().create_named(&client, "shared", 7).await?;
        assert_eq!(made.own_name().await?.as_deref(), Some("shared"));
        let found = CounterHandle::find(&client, "shared").await?;
        assert_eq!((found.id(), found.add(1).await?), (made.id(), 8));
        let error = CounterHandle::options().create_named(&client, "shared", 0).await.expect_err("taken");
        assert!(error.is(Code::ActorNameTaken), "{error}");
        let same = CounterHandle::options().get_if_exists().create_named(&client, "shared", 0).await?;
        assert_eq!(same, made);
        assert!(
            client
                .actor("shared", Some("elsewhere"))
                .await
                .expect_err("another namespace")
                .is(Code::ActorNotFound)
        );
        made.kill();
        eventually("the name is free", || async { CounterHandle::find(&client, "shared").await.is_err() })
            .await;
        Ok(())
    });
}

#[test]
fn a_failed_constructor_fails_every_call() {
    with_client(|client| async move {
        let broken = FragileHandle::create(&client, false);
        for call in [broken.ping(), broken.ping()] {
            let error = call.await.expect_err("it was never made");
            let chain: Vec<_> =
                std::iter::successors(Some(&error), |error| thornback::Error::cause(error)).collect();
            assert!(chain.iter().any(|error| error.is_type("tests.Broken")), "{error:?}");
        }
        assert_eq!(FragileHandle::create(&client, true).ping().await?, "pong");
        let unknown: Class<(), thornback::ActorHandle> = Class::named("tests.Nobody");
        let nobody = FragileHandle::from(unknown.create(&client));
        let error = nobody.ping().await.expect_err("nobody serves it");
        let chain: Vec<_> =
            std::iter::successors(Some(&error), |error| thornback::Error::cause(error)).collect();
        assert!(chain.iter().any(|error| error.is(Code::FunctionNotFound)), "{error:?}");
        Ok(())
    });
}

#[test]
fn a_killed_actor_is_dead_for_good() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let counter = CounterHandle::options().max_restarts(5).create(&client, 0);
        counter.add(1).await?;
        let running = counter.waits_for(directory.path().join("never"));
        let queued = counter.add(1);
        counter.kill();
        assert!(running.await.expect_err("killed").is(Code::ActorDied));
        assert!(queued.await.expect_err("killed").is(Code::ActorDied));
        assert!(counter.add(1).await.expect_err("killed").is(Code::ActorDied));
        Ok(())
    });
}

#[test]
fn a_graceful_end_lets_queued_calls_finish() {
    with_client(|client| async move {
        let counter = CounterHandle::create(&client, 0);
        let calls: Vec<_> = (0..20).map(|_| counter.add(1)).collect();
        counter.kill_with(KillOptions { graceful: true, ..KillOptions::default() });
        assert_eq!(get_all(&calls).await?.last(), Some(&20));
        assert!(counter.add(1).await.expect_err("over").is(Code::ActorDied));
        Ok(())
    });
}

#[test]
fn an_actor_ends_itself() {
    with_client(|client| async move {
        let counter = CounterHandle::options().max_restarts(5).create(&client, 0);
        assert_eq!(counter.exits().await?, "bye");
        assert!(counter.add(1).await.expect_err("it is gone").is(Code::ActorDied));
        Ok(())
    });
}

#[test]
fn restarts_are_counted_and_calls_retried_if_allowed() {
    with_client(|client| async move {
        let counter = CounterHandle::options().max_restarts(1).create(&client, 0);
        assert_eq!(counter.restarts().await?, 0);
        let error = counter.aborts().await.expect_err("its worker is gone");
        assert!(error.is(Code::ActorUnavailable) || error.is(Code::ActorDied), "{error}");
        assert_eq!(counter.restarts().await?, 1, "made anew");
        let error = counter.aborts().await.expect_err("its worker is gone");
        assert!(error.is(Code::ActorDied), "{error}");
        assert!(counter.add(1).await.expect_err("no restart is left").is(Code::ActorDied));
        Ok(())
    });
}

#[test]
fn an_actor_can_hand_itself_out() {
    with_options(options().num_cpus(1.0), |client| async move {
        let counter = CounterHandle::create(&client, 1);
        let same = counter.itself().await?.expect("it is an actor");
        assert_eq!((same.id(), same.class_name()), (counter.id(), counter.class_name()));
        drop(counter);
        assert_eq!(same.add(1).await?, 2, "its handle keeps it alive");
        let listed = client.list("actors", 0).await?;
        assert!(!listed.truncated);
        let ids: Vec<_> = listed.items.iter().map(|item| item["id"].as_str()).collect();
        assert_eq!(ids, [Some(same.id().to_string().as_str())]);
        assert!(
            client.list("sorrows", 0).await.expect_err("there is no such kind").is(Code::InvalidArgument)
        );
        Ok(())
    });
}

#[test]
fn an_actor_without_handles_ends() {
    with_options(options().num_cpus(1.0), |client| async move {
        let counter = CounterHandle::create(&client, 0);
        let last = counter.add(1);
        drop(counter);
        assert_eq!(last.await?, 1, "calls that were sent are still answered");
        eventually("the actor has ended", || async {
            client.status().await.is_ok_and(|status| status.actors == 0)
        })
        .await;
        Ok(())
    });
}

#[test]
fn pending_calls_can_be_bounded() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let go = directory.path().join("go");
        let counter = CounterHandle::options().max_pending_calls(2).create(&client, 0);
        let (first, second) = (counter.waits_for(&go), counter.add(1));
        let error = counter.add(1).await.expect_err("one too many");
        assert!(error.is(Code::PendingCallsLimit), "{error}");
        std::fs::write(go, b"").expect("writes");
        first.await?;
        second.await?;
        Ok(())
    });
}
