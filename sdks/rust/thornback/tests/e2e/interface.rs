//! What `thornback gen` writes for Rust, as client and as worker, and a worker of another interface.

use futures_util::stream;
use thornback::interface::Outcome;
use thornback::{Code, Pool, Result, Stream, Worker};

use crate::support::{pool_named, with_client};
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
            Shape::Circle(radius) => radius * radius,
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
        Ok(a.checked_div(b).ok_or_else(|| "by nothing".to_owned()).into())
    }

    async fn nothing() -> Result<()> {
        Ok(())
    }

    fn count_down(from: u32) -> impl Stream<Item = Result<u32>> + Send {
        stream::iter((1..=from).rev().map(Ok))
    }
}

struct Sums(Vec<i64>);

impl CounterActor for Sums {
    async fn new(start: i64) -> Result<Self> {
        Ok(Sums(vec![start]))
    }

    async fn add(&mut self, n: i64) -> Result<i64> {
        let sum = self.0.last().copied().unwrap_or(0) + n;
        self.0.push(sum);
        Ok(sum)
    }

    async fn history_of(&mut self) -> Result<Vec<i64>> {
        Ok(self.0.clone())
    }

    fn steps(&mut self, by: u8) -> impl Stream<Item = Result<i64>> + Send {
        let last = self.0.last().copied().unwrap_or(0);
        let steps: Vec<i64> = (1..=3).map(|n| last + n * i64::from(by)).collect();
        self.0.extend(&steps);
        stream::iter(steps.into_iter().map(Ok))
    }

    async fn reset(&mut self) -> Result<()> {
        self.0 = vec![0];
        Ok(())
    }
}

pub fn register(worker: Worker) -> Worker {
    echo::serve_counter::<Sums>(echo::serve::<Service>(shapes::serve::<Service>(worker)))
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
        bytes: vec![0, 255],
        points: vec![Point { x: 1.0, y: -1.0 }],
    }
}

#[test]
fn every_type_goes_there_and_back() {
    with_client(|client| async move {
        client.declare_pool(typed("typed")).await?;
        let bare = Nested {
            maybe: None,
            outcome: Outcome::Ok(1),
            shapes: Vec::new(),
            channels: Channels::default(),
            ..nested()
        };
        for value in [nested(), bare] {
            assert_eq!(echo::THERE_AND_BACK.submit(&client, &value).await?, value);
        }
        assert_eq!(echo::MAYBE.submit(&client, None).await?, None);
        assert_eq!(echo::DIVIDE.submit(&client, 7, 2).await?, Outcome::Ok(3));
        assert_eq!(echo::DIVIDE.submit(&client, 7, 0).await?, Outcome::Err("by nothing".to_owned()));
        assert_eq!(shapes::AREA.submit(&client, Shape::Circle(3.0)).await?, 9.0);
        echo::NOTHING.submit(&client).await?;
        let mut items = echo::COUNT_DOWN.submit(&client, 3);
        let mut all = Vec::new();
        while let Some(item) = items.next().await {
            all.push(item?);
        }
        assert_eq!(all, [3, 2, 1]);

        let counter: Counter = echo::COUNTER.create(&client, 10);
        assert_eq!(counter.add(5).await?, 15);
        let mut steps = counter.steps(2);
        while steps.next().await.is_some() {}
        assert_eq!(counter.history_of().await?, [10, 15, 17, 19, 21]);
        counter.reset().await?;
        assert_eq!(counter.history_of().await?, [0]);
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
        assert!(error.message().contains("value") && error.message().contains("300"), "{error}");

        let other: thornback::Task<(u8,), thornback::Ref<u8>> =
            thornback::Task::typed("echo.maybe", "func(value: u8) -> u8");
        let error = other.submit(&client, 3).await.expect_err("another signature");
        assert_eq!(error.code(), Some(Code::SignatureMismatch), "{error:?}");

        client.declare_pool(pool_named("images").interface(images::images::INTERFACE)).await?;
        let error =
            images::images::RESIZE.submit(&client, Vec::new(), 1).await.expect_err("nobody serves it");
        assert_eq!(error.code(), Some(Code::SignatureMismatch), "{error:?}");
        assert!(error.message().contains("does not serve \"images.resize\""), "{error}");
        Ok(())
    });
}
