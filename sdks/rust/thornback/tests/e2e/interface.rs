//! What `thornback gen` writes for Rust, as client and as worker, and a worker of another interface.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use futures_util::stream;
use thornback::interface::Outcome;
use thornback::{Bytes, Client, Code, Data, Pool, RefStream, Result, Stream, Worker};

use crate::support::{block_on, eventually, options, pool_named, server, with_client, worker_command};
use everything::echo::{self, Counter, CounterActor};
use everything::{Channels, Level, Nested, Point, Scalars, Shape, shapes};

#[allow(dead_code)]
mod everything {
    include!("../../../../gen/tests/golden/rust/everything.rs");
}

#[allow(dead_code)]
mod images {
    include!("../../../../gen/tests/golden/rust/images.rs");
}

struct Service;

impl shapes::Functions for Service {
    async fn area(shape: Shape) -> Result<f64> {
        Ok(match shape {
            Shape::Empty => 0.0,
            Shape::Circle(radius) => 3.0 * radius * radius,
            Shape::Polygon(points) => points.len() as f64,
        })
    }
}

impl echo::Functions for Service {
    async fn there_and_back(value: Nested) -> Result<Nested> {
        Ok(value)
    }

    async fn numbers(values: Vec<u16>) -> Result<u64> {
        Ok(values.into_iter().map(u64::from).sum())
    }

    async fn maybe(value: Option<u8>) -> Result<Option<u8>> {
        Ok(value)
    }

    async fn divide(a: i32, b: i32) -> Result<Outcome<i32, String>> {
        Ok(a.checked_div(b).ok_or_else(|| "division by zero".to_owned()).into())
    }

    async fn nothing() -> Result<()> {
        Ok(())
    }

    fn count_down(from: u32) -> impl Stream<Item = Result<u32>> + Send {
        stream::iter((1..=from).rev().map(Ok))
    }
}

struct Tally {
    sum: i64,
    history: Vec<i64>,
}

impl CounterActor for Tally {
    async fn new(start: i64) -> Result<Self> {
        Ok(Tally { sum: start, history: Vec::new() })
    }

    async fn add(&mut self, n: i64) -> Result<i64> {
        self.sum += n;
        self.history.push(n);
        Ok(self.sum)
    }

    async fn history_of(&mut self) -> Result<Vec<i64>> {
        Ok(self.history.clone())
    }

    fn steps(&mut self, by: u8) -> impl Stream<Item = Result<i64>> + Send {
        stream::iter((0..self.sum).step_by(by.into()).map(Ok))
    }

    async fn reset(&mut self) -> Result<()> {
        self.sum = 0;
        Ok(())
    }
}

pub fn register(worker: Worker) -> Worker {
    echo::serve_counter::<Tally>(echo::serve::<Service>(shapes::serve::<Service>(worker)))
}

/// The pool of the other tests, and what it has to serve.
fn typed(name: &str) -> Pool {
    pool_named(name).interface(echo::INTERFACE).interface(shapes::INTERFACE)
}

fn nested() -> Nested {
    Nested {
        scalars: Scalars {
            bool: true,
            a_u8: u8::MAX,
            a_u16: u16::MAX,
            a_u32: u32::MAX,
            a_u64: u64::MAX,
            an_s8: i8::MIN,
            an_s16: i16::MIN,
            an_s32: i32::MIN,
            an_s64: i64::MIN,
            an_f32: 0.5,
            an_f64: 0.1,
            a_char: 'ß',
            a_string: "Rochen 🦀".to_owned(),
        },
        maybe: Some("there".to_owned()),
        outcome: Outcome::Err("no".to_owned()),
        bare: Outcome::Ok(()),
        pair: (7, "seven".to_owned()),
        shapes: vec![Shape::Empty, Shape::Circle(2.0), Shape::Polygon(vec![Point { x: 0.0, y: 1.0 }])],
        grade: Level::VeryHigh,
        channels: Channels { red: true, alpha: true, ..Channels::default() },
        bytes: Bytes::from_static(&[0, 255]),
        points: vec![Point { x: 1.0, y: -1.0 }],
    }
}

#[test]
fn every_type_goes_there_and_back() {
    with_client(|client| async move {
        client.declare_pool(typed("typed")).await?;
        there_and_back(&client).await
    });
}

async fn there_and_back(client: &Client) -> Result<()> {
    let bare = Nested {
        maybe: None,
        outcome: Outcome::Ok(1),
        shapes: Vec::new(),
        channels: Channels::default(),
        ..nested()
    };
    for value in [nested(), bare] {
        assert_eq!(echo::THERE_AND_BACK.submit(client, &value).await?, value);
    }
    assert_eq!(echo::NUMBERS.submit(client, vec![1, u16::MAX]).await?, 65536);
    assert_eq!(echo::MAYBE.submit(client, None).await?, None);
    assert_eq!(echo::MAYBE.submit(client, Some(0)).await?, Some(0));
    assert_eq!(echo::DIVIDE.submit(client, 7, 2).await?, Outcome::Ok(3));
    assert_eq!(echo::DIVIDE.submit(client, 7, 0).await?, Outcome::Err("division by zero".to_owned()));
    assert_eq!(shapes::AREA.submit(client, Shape::Circle(3.0)).await?, 27.0);
    echo::NOTHING.submit(client).await?;
    assert_eq!(all(echo::COUNT_DOWN.submit(client, 3)).await?, [3, 2, 1]);

    let counter: Counter = echo::COUNTER.create(client, 10);
    assert_eq!(counter.add(-5).await?, 5);
    assert_eq!(all(counter.steps(2)).await?, [0, 2, 4]);
    assert_eq!(counter.history_of().await?, [-5]);
    counter.reset().await?;
    assert_eq!(all(counter.steps(1)).await?, [] as [i64; 0]);
    Ok(())
}

async fn all<T: Data>(mut items: RefStream<T>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    while let Some(item) = items.next().await {
        all.push(item?);
    }
    Ok(all)
}

/// A command that runs `sdks/gen/tests/python_peer.py`.
fn python_peer(mode: &str) -> [String; 3] {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let python = std::env::var_os("THORNBACK_TEST_PYTHON")
        .map_or_else(|| repository.join("target/venv-test/bin/python"), PathBuf::from);
    assert!(
        python.exists(),
        "no Python at {}; `cargo xtask test --only ruff` makes one, or name one in THORNBACK_TEST_PYTHON",
        python.display()
    );
    let peer = repository.join("sdks/gen/tests/python_peer.py");
    [python.display().to_string(), peer.display().to_string(), mode.to_owned()]
}

#[test]
fn python_serves_every_type() {
    block_on(async {
        let client = options().local().await?;
        let pool = Pool::new("python").command(python_peer("worker"));
        client.declare_pool(pool.interface(echo::INTERFACE).interface(shapes::INTERFACE)).await?;
        there_and_back(&client).await
    });
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended, as it should have.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn python_calls_with_every_type() {
    block_on(async {
        let [python, peer, mode] = python_peer("driver");
        let driver = Command::new(python)
            .args([peer, mode])
            .args(worker_command())
            .env("THORNBACK_BINARY", server())
            .spawn()
            .expect("the driver starts");
        let mut driver = Running(driver);
        let mut ended = None;
        eventually("the driver ends", || {
            ended = driver.0.try_wait().expect("it can be waited for");
            std::future::ready(ended.is_some())
        })
        .await;
        // Its standard error, which is this program's, says why.
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
        Ok(())
    });
}

#[test]
fn what_does_not_fit_is_refused_before_it_runs() {
    with_client(|client| async move {
        client.declare_pool(typed("typed")).await?;
        let untyped: thornback::Task<(i64,), thornback::Ref<Option<i64>>> =
            thornback::Task::named("echo.maybe");
        let error = untyped.submit(&client, 300).await.expect_err("300 is no u8");
        assert_eq!(error.code(), Some(Code::InvalidArgument), "{error:?}");
        assert_eq!(error.message(), "maybe.value: 300 is not a u8");
        let numbers: thornback::Task<(Vec<i64>,), thornback::Ref<u64>> =
            thornback::Task::named("echo.numbers");
        let error = numbers.submit(&client, vec![1, 70000]).await.expect_err("70000 is no u16");
        assert_eq!(error.message(), "numbers.values[1]: 70000 is not a u16");
        assert_eq!(error.code(), Some(Code::InvalidArgument), "{error:?}");
        type Points = Vec<BTreeMap<String, u64>>;
        let area: thornback::Task<(BTreeMap<String, Points>,), thornback::Ref<f64>> =
            thornback::Task::named("shapes.area");
        let point = BTreeMap::from([("x".to_owned(), 0), ("y".to_owned(), u64::MAX)]);
        let shape = BTreeMap::from([("polygon".to_owned(), vec![point])]);
        let error = area.submit(&client, shape).await.expect_err("no f64 is that");
        assert_eq!(error.message(), "area.shape.polygon[0].y: 18446744073709551615 is not an f64");
        let counter = thornback::Class::<(String,), thornback::ActorHandle>::named("echo.counter")
            .create(&client, "ten");
        let error = thornback::Method::<(u8,), thornback::Ref<i64>>::named("add")
            .call(&counter, 1)
            .await
            .expect_err("there is no such actor");
        assert!(format!("{error:?}").contains(r#"counter.start: "ten" is not an s64"#), "{error:?}");

        let no_record: thornback::Task<(i64, i64), thornback::Ref<Point>> =
            thornback::Task::typed("tests.add_blocking", "func(a: s64, b: s64) -> record{x: f64, y: f64}");
        let error = no_record.submit(&client, 2, 3).await.expect_err("5 is no point");
        assert_eq!(error.code(), Some(Code::InvalidArgument), "{error:?}");
        assert_eq!(error.message(), "add_blocking(): 5 is not a Point: a map");

        let handle = echo::COUNTER.create(&client, 1).0;
        let counter = Counter::from(handle.clone());
        assert_eq!(counter.add(1).await?, 2);
        let other = handle.of_class("echo.other");
        let error = Counter(other).add(1).await.expect_err("it is of another class");
        assert_eq!(error.code(), Some(Code::InvalidArgument), "{error:?}");
        assert_eq!(error.message(), "the actor is a echo.counter, and no echo.other");

        let other: thornback::Task<(u8,), thornback::Ref<u8>> =
            thornback::Task::typed("echo.maybe", "func(value: u8) -> u8");
        let error = other.submit(&client, 3).await.expect_err("another signature");
        assert_eq!(error.code(), Some(Code::SignatureMismatch), "{error:?}");

        client.declare_pool(pool_named("images").interface(images::images::INTERFACE)).await?;
        let error =
            images::images::RESIZE.submit(&client, Bytes::new(), 1).await.expect_err("nobody serves it");
        assert_eq!(error.code(), Some(Code::SignatureMismatch), "{error:?}");
        assert!(error.message().contains("does not serve \"images.resize\""), "{error}");
        Ok(())
    });
}
