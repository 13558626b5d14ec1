//! What the workers of the tests serve.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thornback::{Context, Error, Ref, Result, Serve, ServeActor, Stream, Tensor, Worker};

pub fn register(worker: Worker) -> Worker {
    worker
        .register::<add>()
        .register::<add_blocking>()
        .register::<parse>()
        .register::<panics>()
        .register::<relays_failure>()
        .register::<divmod>()
        .register::<touch>()
        .register::<fib>()
        .register::<fib_blocking>()
        .register::<sum_bytes>()
        .register::<make_bytes>()
        .register::<double>()
        .register::<sum_parts>()
        .register::<keep_nothing>()
        .register::<give_back>()
        .register::<wait_for_file>()
        .register::<spin_until_cancelled>()
        .register::<die_once>()
        .register::<fail_once>()
        .register::<count>()
        .register::<count_then_fail>()
        .register::<large_items>()
        .register::<count_forever>()
        .register::<who>()
        .register::<call_counter>()
        .register_actor::<Counter>()
        .register_actor::<Fragile>()
}

pub fn names() -> Vec<&'static str> {
    vec![
        add::NAME,
        add_blocking::NAME,
        parse::NAME,
        panics::NAME,
        relays_failure::NAME,
        divmod::NAME,
        touch::NAME,
        fib::NAME,
        fib_blocking::NAME,
        sum_bytes::NAME,
        make_bytes::NAME,
        double::NAME,
        sum_parts::NAME,
        keep_nothing::NAME,
        give_back::NAME,
        wait_for_file::NAME,
        spin_until_cancelled::NAME,
        die_once::NAME,
        fail_once::NAME,
        count::NAME,
        count_then_fail::NAME,
        large_items::NAME,
        count_forever::NAME,
        who::NAME,
        call_counter::NAME,
        Counter::NAME,
        Fragile::NAME,
    ]
}

#[thornback::task]
pub async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[thornback::task(name = "tests.add_blocking", num_cpus = 0.5)]
pub fn add_blocking(a: i64, b: i64) -> i64 {
    a + b
}

#[thornback::task]
pub async fn parse(text: String) -> std::result::Result<f64, std::num::ParseFloatError> {
    text.parse()
}

#[thornback::task]
pub async fn panics(message: String) {
    panic!("{message}");
}

/// Fails with the failure of another task.
#[thornback::task]
pub async fn relays_failure(cx: &Context) -> Result<f64> {
    parse::submit(cx, "no number").await
}

#[thornback::task(num_returns = 2)]
pub async fn divmod(a: i64, b: i64) -> Result<(i64, i64)> {
    let quotient = a.checked_div(b).ok_or_else(|| Error::user("tests.DivisionByZero", "the divisor is 0"))?;
    Ok((quotient, a % b))
}

#[thornback::task(num_returns = 0)]
pub fn touch(path: PathBuf) {
    std::fs::write(path, b"touched").expect("writes");
}

#[thornback::task]
pub async fn fib(cx: Context, n: u64) -> Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let (a, b) = (fib::submit(&cx, n - 1), fib::submit(&cx, n - 2));
    Ok(a.await? + b.await?)
}

#[thornback::task]
pub fn fib_blocking(cx: &Context, n: u64) -> Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let (a, b) = (fib_blocking::submit(cx, n - 1), fib_blocking::submit(cx, n - 2));
    Ok(a.blocking_get()? + b.blocking_get()?)
}

#[thornback::task]
pub async fn sum_bytes(bytes: thornback::Bytes) -> u64 {
    bytes.iter().copied().map(u64::from).sum()
}

#[thornback::task]
pub async fn make_bytes(length: usize, byte: u8) -> Vec<u8> {
    vec![byte; length]
}

#[thornback::task]
pub async fn double(tensor: Tensor) -> Result<Tensor> {
    let elements =
        tensor.to_vec::<f64>().ok_or_else(|| Error::user("tests.WrongTensor", format!("{tensor:?}")))?;
    Tensor::from_vec(elements.into_iter().map(|x| x * 2.0).collect(), tensor.shape())
}

/// Refs inside a value stay refs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Parts {
    pub parts: BTreeMap<String, Ref<Vec<i64>>>,
}

#[thornback::task]
pub async fn sum_parts(parts: Parts) -> Result<i64> {
    let mut sum = 0;
    for part in parts.parts.values() {
        sum += part.await?.iter().sum::<i64>();
    }
    Ok(sum)
}

#[thornback::task]
pub async fn keep_nothing(_r: Ref<i64>) {}

#[thornback::task]
pub async fn give_back(r: Ref<i64>) -> Ref<i64> {
    r
}

/// Goes on until a file is there.
#[thornback::task]
pub async fn wait_for_file(started: PathBuf, path: PathBuf) -> Result<String> {
    std::fs::write(&started, b"").map_err(|error| Error::user("io", error.to_string()))?;
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok("seen".into())
}

#[thornback::task]
pub fn spin_until_cancelled(cx: &Context, started: PathBuf) -> u64 {
    std::fs::write(started, b"").expect("writes");
    let mut spins = 0;
    while !cx.is_cancelled() {
        spins += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    spins
}

/// Ends its worker at the first attempt.
#[thornback::task]
pub fn die_once(cx: &Context) -> u32 {
    if cx.attempt() < 2 {
        std::process::abort();
    }
    cx.attempt()
}

#[thornback::task]
pub async fn fail_once(marker: PathBuf) -> Result<String> {
    if marker.exists() {
        return Ok("second attempt".into());
    }
    std::fs::write(&marker, b"").map_err(|error| Error::user("io", error.to_string()))?;
    Err(Error::user("tests.Transient", "not yet"))
}

#[thornback::task]
pub fn count(n: u64) -> impl Stream<Item = u64> {
    futures_util::stream::iter(0..n)
}

#[thornback::task]
pub async fn count_then_fail(n: u64) -> impl Stream<Item = Result<u64>> {
    futures_util::stream::iter((0..n).map(Ok).chain([Err(Error::user("tests.Dry", "nothing more"))]))
}

#[thornback::task]
pub fn large_items(n: u64, bytes: usize) -> impl Stream<Item = Vec<u8>> {
    futures_util::stream::iter((0..n).map(move |i| vec![i as u8; bytes]))
}

/// Writes how far it has come into a file.
#[thornback::task(stream_window = 4)]
pub fn count_forever(progress: PathBuf) -> impl Stream<Item = u64> {
    futures_util::stream::iter((0u64..).inspect(move |i| {
        std::fs::write(&progress, i.to_string()).expect("writes");
    }))
}

#[thornback::task(label = "whoami")]
pub async fn who(cx: &Context) -> (u32, String, u32) {
    (std::process::id(), cx.label().to_string(), cx.attempt())
}

#[thornback::task]
pub async fn call_counter(counter: CounterHandle, by: i64) -> Result<i64> {
    counter.add(by).await
}

pub struct Counter {
    n: i64,
    log: Vec<i64>,
    inside: std::sync::atomic::AtomicUsize,
    most: std::sync::atomic::AtomicUsize,
}

#[thornback::actor]
impl Counter {
    pub fn new(start: i64) -> Self {
        Counter { n: start, log: Vec::new(), inside: 0.into(), most: 0.into() }
    }

    /// Adds, and gives the sum.
    pub async fn add(&mut self, by: i64) -> i64 {
        self.n += by;
        self.log.push(by);
        self.n
    }

    pub fn log(&self) -> Vec<i64> {
        self.log.clone()
    }

    pub async fn fails(&self) -> std::result::Result<(), std::fmt::Error> {
        Err(std::fmt::Error)
    }

    pub async fn panics(&mut self) {
        self.n += 1000;
        panic!("in the middle");
    }

    pub async fn process(&self) -> u32 {
        std::process::id()
    }

    pub async fn aborts(&self) {
        std::process::abort();
    }

    pub async fn restarts(&self, cx: &Context) -> u32 {
        cx.actor_restarts()
    }

    pub async fn own_name(&self, cx: &Context) -> Option<String> {
        cx.actor_name().map(str::to_string)
    }

    pub async fn itself(&self, cx: &Context) -> Option<CounterHandle> {
        cx.actor().map(CounterHandle::from)
    }

    pub async fn exits(&self, cx: &Context) -> String {
        cx.exit_actor();
        "bye".into()
    }

    pub async fn waits_for(&self, path: PathBuf) {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Meets others of its kind, if they may be inside at once.
    pub async fn meets(&self, others: usize) -> usize {
        use std::sync::atomic::Ordering;
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        for _ in 0..200 {
            if self.most.load(Ordering::SeqCst) >= others {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.inside.fetch_sub(1, Ordering::SeqCst);
        self.most.load(Ordering::SeqCst)
    }

    pub fn counts(&self, n: u64) -> impl Stream<Item = u64> {
        futures_util::stream::iter(0..n)
    }

    /// Calls itself through a handle that somebody gave it.
    pub async fn recurses(&self, me: CounterHandle, depth: u64) -> Result<u64> {
        if depth == 0 { Ok(0) } else { Ok(1 + me.recurses(&me, depth - 1).await?) }
    }
}

pub struct Fragile;

#[thornback::actor(name = "tests.Fragile")]
impl Fragile {
    pub async fn new(works: bool) -> Result<Self> {
        if works { Ok(Fragile) } else { Err(Error::user("tests.Broken", "it cannot be made")) }
    }

    pub async fn ping(&self) -> String {
        "pong".into()
    }
}
