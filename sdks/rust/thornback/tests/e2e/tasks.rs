//! Tasks: calls, failures, retries, cancelling.

use std::time::Duration;

use thornback::{Args, Code, Ref, Task, get_all, wait};

use crate::functions::{
    add, add_blocking, die_once, divmod, fail_once, fib, fib_blocking, panics, parse, relays_failure,
    spin_until_cancelled, touch, wait_for_file, who,
};
use crate::support::{eventually, options, with_client, with_options};

#[test]
fn arguments_are_values_references_or_refs() {
    with_client(|client| async move {
        assert_eq!(add::submit(&client, 1, 2).await?, 3);
        let (three, four) = (add::submit(&client, 1, 2), client.put(4));
        let seven = add::submit(&client, &three, &four);
        assert_eq!(add_blocking::submit(&client, seven, three).await?, 10);
        assert_eq!(add(1, 2).await, 3, "the function can still be called directly");
        Ok(())
    });
}

#[test]
fn many_tasks_come_back_in_order() {
    with_client(|client| async move {
        let refs: Vec<_> = (0..2_000).map(|n| add::submit(&client, n, 1)).collect();
        assert_eq!(get_all(&refs).await?, (1..=2_000).collect::<Vec<i64>>());
        let twice = [&refs[7], &refs[3], &refs[7]];
        assert_eq!(get_all(twice).await?, [8, 4, 8]);
        Ok(())
    });
}

#[test]
fn an_error_keeps_its_type_and_message() {
    with_client(|client| async move {
        assert_eq!(parse::submit(&client, "2.5").await?, 2.5);
        let error = parse::submit(&client, "x").await.expect_err("no number");
        assert!(error.is(Code::TaskFailed) && error.is_type("ParseFloatError"), "{error}");
        assert_eq!((error.message(), error.language()), ("invalid float literal", "rust"));
        assert!(error.task().is_some());
        Ok(())
    });
}

#[test]
fn a_panic_fails_its_task_and_leaves_the_worker() {
    with_options(options().num_cpus(1.0), |client| async move {
        let before = who::submit(&client).await?.0;
        let error = panics::submit(&client, "at the disco").await.expect_err("it panicked");
        assert!(error.is(Code::TaskFailed) && error.is_type("thornback::Panic"), "{error}");
        assert_eq!(error.message(), "at the disco");
        assert!(error.stack().contains("functions.rs"), "{}", error.stack());
        assert_eq!(who::submit(&client).await?.0, before);
        Ok(())
    });
}

#[test]
fn a_failure_passed_on_stays_a_chain() {
    with_client(|client| async move {
        let error = relays_failure::submit(&client).await.expect_err("it fails");
        let cause = error.cause().expect("has a cause");
        assert!(cause.is_type("ParseFloatError") && cause.task() != error.task(), "{error:?}");
        assert!(
            error.is_type("ParseFloatError"),
            "the outer error is also of the inner one's type: {error:?}"
        );
        Ok(())
    });
}

#[test]
fn a_failed_argument_fails_the_task() {
    with_client(|client| async move {
        let bad = parse::submit(&client, "x");
        let task: Task<(f64, f64), Ref<i64>> = Task::with_name(<add as thornback::Serve>::NAME);
        let error = task.submit(&client, &bad, 1.0).await.expect_err("its argument failed");
        assert!(error.is_type("ParseFloatError"), "{error}");
        Ok(())
    });
}

#[test]
fn several_results_are_objects_of_their_own() {
    with_client(|client| async move {
        let (quotient, remainder) = divmod::submit(&client, 17, 5);
        assert_eq!((quotient.await?, remainder.await?), (3, 2));
        let (quotient, remainder) = divmod::submit(&client, 1, 0);
        for error in [quotient.await.expect_err("fails"), remainder.await.expect_err("fails")] {
            assert!(error.is_type("tests.DivisionByZero"), "{error}");
        }
        Ok(())
    });
}

#[test]
fn a_task_without_results_still_runs() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("touched");
        let () = touch::submit(&client, &path);
        eventually("the task has run", || async { path.exists() }).await;
        Ok(())
    });
}

#[test]
fn tasks_that_wait_for_tasks_give_their_cpu_back() {
    with_options(options().num_cpus(1.0), |client| async move {
        assert_eq!(fib::submit(&client, 7).await?, 13);
        assert_eq!(fib_blocking::submit(&client, 5).await?, 5);
        Ok(())
    });
}

#[test]
fn the_context_tells_of_the_task() {
    with_client(|client| async move {
        let (process, label, attempt) = who::submit(&client).await?;
        assert_ne!(process, std::process::id());
        assert_eq!((label.as_str(), attempt), ("whoami", 1));
        assert_eq!(who::options().label("else").submit(&client).await?.1, "else");
        Ok(())
    });
}

#[test]
fn a_lost_worker_is_retried_unless_told_otherwise() {
    with_client(|client| async move {
        assert_eq!(die_once::submit(&client).await?, 2);
        let error = die_once::options().max_retries(0).submit(&client).await.expect_err("no retry is left");
        assert!(error.is(Code::WorkerDied), "{error}");
        Ok(())
    });
}

#[test]
fn errors_are_retried_by_their_type() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let once = |name: &str| directory.path().join(name);
        let retrying = fail_once::options().retry_types(["tests.Transient"]);
        assert_eq!(retrying.submit(&client, once("a")).await?, "second attempt");
        assert_eq!(
            fail_once::options().retry_exceptions().submit(&client, once("b")).await?,
            "second attempt"
        );
        let error = fail_once::submit(&client, once("c")).await.expect_err("is not retried");
        assert!(error.is_type("tests.Transient"), "{error}");
        Ok(())
    });
}

#[test]
fn wrong_calls_by_name_are_refused() {
    with_client(|client| async move {
        let unknown: Task<(), Ref<()>> = Task::named("tests.nobody_serves_this");
        let error = unknown.submit(&client).await.expect_err("nobody serves it");
        assert!(error.is(Code::FunctionNotFound), "{error}");

        let name = <add as thornback::Serve>::NAME;
        let one: Task<(i64,), Ref<i64>> = Task::with_name(name);
        assert!(one.submit(&client, 1).await.expect_err("too few").is(Code::WrongArity));
        let three: Task<(i64, i64, i64), Ref<i64>> = Task::with_name(name);
        assert!(three.submit(&client, 1, 2, 3).await.expect_err("too many").is(Code::WrongArity));
        let text: Task<(String, i64), Ref<i64>> = Task::with_name(name);
        let error = text.submit(&client, "one", 2).await.expect_err("another type");
        assert!(error.message().contains("argument `a`"), "{error}");
        Ok(())
    });
}

#[test]
fn keywords_name_parameters() {
    with_client(|client| async move {
        let task: Task<(i64, i64), Ref<i64>> = Task::with_name(<add as thornback::Serve>::NAME);
        let args = || Args::new(&client).arg(40i64);
        assert_eq!(task.submit_args(args().keyword("b", 2i64)).await?, 42);
        let error =
            task.submit_args(args().keyword("c", 2i64)).await.expect_err("there is no such parameter");
        assert!(error.is(Code::WrongArity), "{error}");
        Ok(())
    });
}

#[test]
fn an_option_without_meaning_shows_where_the_result_is_awaited() {
    with_client(|client| async move {
        let error = add::options().num_cpus(-1.0).submit(&client, 1, 2).await.expect_err("no such amount");
        assert!(error.is(Code::InvalidArgument), "{error}");
        Ok(())
    });
}

#[test]
fn a_get_that_times_out_loses_nothing() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let (started, go) = (directory.path().join("started"), directory.path().join("go"));
        let r = wait_for_file::submit(&client, &started, &go);
        let error = r.get().timeout(Duration::from_millis(20)).await.expect_err("is not ready");
        assert!(error.is(Code::GetTimeout), "{error}");
        std::fs::write(go, b"").expect("writes");
        assert_eq!(r.await?, "seen");
        Ok(())
    });
}

#[test]
fn wait_sorts_what_is_ready_from_what_is_not() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let (started, go) = (directory.path().join("started"), directory.path().join("go"));
        let slow = wait_for_file::submit(&client, &started, &go);
        let quick: Ref<String> = client.put("quick".to_string());
        let waited = wait([slow.clone(), quick.clone()], 1).await?;
        assert_eq!((waited.ready, waited.pending), (vec![quick.clone()], vec![slow.clone()]));
        let waited = wait([slow.clone(), quick.clone()], 2).timeout(Duration::from_millis(20)).await?;
        assert_eq!(waited.ready, std::slice::from_ref(&quick));
        std::fs::write(go, b"").expect("writes");
        let waited = wait([slow.clone(), quick.clone()], 2).await?;
        assert_eq!(waited.ready, [slow.clone(), quick.clone()]);
        let waited = wait([slow.clone(), quick.clone()], 1).timeout(Duration::ZERO).await?;
        assert_eq!((waited.ready, waited.pending), (vec![slow], vec![quick.clone()]));

        assert!(wait([quick.clone(), quick.clone()], 1).await.expect_err("twice").is(Code::InvalidArgument));
        assert!(wait([quick], 2).await.expect_err("too many").is(Code::InvalidArgument));
        assert!(wait(Vec::<Ref<i64>>::new(), 0).await?.ready.is_empty());
        Ok(())
    });
}

#[test]
fn the_first_error_is_told_without_waiting_for_the_rest() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let (started, never) = (directory.path().join("started"), directory.path().join("never"));
        let slow: Ref<f64> = wait_for_file::submit(&client, &started, &never).cast();
        let bad = parse::submit(&client, "x");
        let error = get_all([&slow, &bad]).await.expect_err("one fails");
        assert!(error.is_type("ParseFloatError"), "{error}");
        slow.cancel();
        Ok(())
    });
}

#[test]
fn a_running_task_is_dropped_where_it_awaits() {
    with_options(options().num_cpus(1.0), |client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let (started, never) = (directory.path().join("started"), directory.path().join("never"));
        let running = wait_for_file::submit(&client, &started, &never);
        let queued = add::submit(&client, 1, 2);
        eventually("the task has started", || async { started.exists() }).await;
        queued.cancel();
        running.cancel();
        for error in
            [running.await.expect_err("cancelled"), queued.cast::<String>().await.expect_err("cancelled")]
        {
            assert!(error.is(Code::Cancelled), "{error}");
        }
        // Cancelling what is over does nothing.
        let done = add::submit(&client, 1, 2);
        assert_eq!((&done).await?, 3);
        done.cancel();
        assert_eq!(done.await?, 3);
        Ok(())
    });
}

#[test]
fn a_blocking_task_sees_that_it_was_cancelled() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let started = directory.path().join("started");
        let r = spin_until_cancelled::submit(&client, &started);
        eventually("the task has started", || async { started.exists() }).await;
        r.cancel();
        // It ended by itself, or was told to be cancelled: either way it is over.
        if let Err(error) = r.await {
            assert!(error.is(Code::Cancelled), "{error}");
        }
        Ok(())
    });
}

#[test]
fn a_deadline_interrupts() {
    with_client(|client| async move {
        let directory = tempfile::tempdir().expect("a directory");
        let (started, never) = (directory.path().join("started"), directory.path().join("never"));
        let hurried = wait_for_file::options().deadline(Duration::from_millis(200));
        let error = hurried.submit(&client, &started, &never).await.expect_err("takes too long");
        assert!(error.is(Code::DeadlineExceeded), "{error}");
        Ok(())
    });
}
