//! The functions and classes that every testee's worker serves.

use std::error::Error as StdError;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use futures_util::stream;
use thornback::{Args, Bytes, Context, Ref, Result, Stream, Task, Worker};

use crate::value::{self, Any};

pub async fn serve() -> Result<()> {
    Worker::new()
        .register::<echo>()
        .register::<add>()
        .register::<pattern>()
        .register::<size>()
        .register::<many>()
        .register::<language>()
        .register::<mark>()
        .register::<fail>()
        .register::<fail_chain>()
        .register::<fail_first>()
        .register::<die_first>()
        .register::<hold>()
        .register::<busy>()
        .register::<relay>()
        .register::<refs>()
        .register::<read>()
        .register::<count>()
        .register::<count_fail>()
        .register::<paced>()
        .register_actor::<Counter>()
        .register_actor::<Broken>()
        .register_actor::<Together>()
        .serve()
        .await
}

/// What user code fails with.
#[derive(Debug)]
pub struct ConformanceError {
    message: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl ConformanceError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None }
    }
}

impl fmt::Display for ConformanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for ConformanceError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// Appends a line, and says how many there are.
fn append(path: &str, line: &str) -> Result<usize, ConformanceError> {
    let written = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .and_then(|()| std::fs::read_to_string(path));
    written.map(|text| text.lines().count()).map_err(|error| ConformanceError::new(error.to_string()))
}

fn make(path: &str) {
    if let Err(error) = std::fs::write(path, b"") {
        eprintln!("{path} cannot be written: {error}");
    }
}

async fn wait_for(path: &str) {
    while !Path::new(path).exists() {
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

#[thornback::task(name = "conformance.echo")]
async fn echo(x: Any) -> Any {
    x
}

#[thornback::task(name = "conformance.add")]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[thornback::task(name = "conformance.pattern")]
async fn pattern(size: u64, seed: u64) -> Vec<u8> {
    value::pattern(size, seed)
}

#[thornback::task(name = "conformance.size")]
async fn size(bytes: Bytes) -> usize {
    bytes.len()
}

/// A function has as many results as its type says, so this one serves three.
#[thornback::task(name = "conformance.many", num_returns = 3)]
async fn many(n: u64) -> Result<(u64, u64, u64), ConformanceError> {
    if n == 3 { Ok((0, 1, 2)) } else { Err(ConformanceError::new("this function has three results")) }
}

#[thornback::task(name = "conformance.language")]
async fn language() -> String {
    "rust".to_owned()
}

#[thornback::task(name = "conformance.mark")]
async fn mark(path: String, text: String) -> Result<(), ConformanceError> {
    append(&path, &text).map(|_| ())
}

#[thornback::task(name = "conformance.fail")]
async fn fail(message: String) -> Result<(), ConformanceError> {
    Err(ConformanceError::new(message))
}

#[thornback::task(name = "conformance.fail_chain")]
async fn fail_chain(n: u64) -> Result<(), ConformanceError> {
    let bottom = ConformanceError::new("level 0");
    let wrap = |cause: ConformanceError, level: u64| ConformanceError {
        message: format!("level {level}"),
        cause: Some(Box::new(cause)),
    };
    Err((1..=n).fold(bottom, wrap))
}

#[thornback::task(name = "conformance.fail_first")]
async fn fail_first(path: String, n: usize) -> Result<usize, ConformanceError> {
    let attempt = append(&path, "attempt")?;
    if attempt <= n { Err(ConformanceError::new(format!("attempt {attempt}"))) } else { Ok(attempt) }
}

#[thornback::task(name = "conformance.die_first")]
async fn die_first(path: String, n: usize) -> Result<usize, ConformanceError> {
    let attempt = append(&path, "attempt")?;
    if attempt <= n {
        std::process::exit(3);
    }
    Ok(attempt)
}

/// Tells of an interruption, which drops what is awaited.
struct Interruption(Option<String>);

impl Drop for Interruption {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            make(&path);
        }
    }
}

async fn holds(path: String) -> String {
    make(&format!("{path}.started"));
    let mut interruption = Interruption(Some(format!("{path}.interrupted")));
    wait_for(&format!("{path}.go")).await;
    interruption.0 = None;
    "released".to_owned()
}

#[thornback::task(name = "conformance.hold")]
async fn hold(path: String) -> String {
    holds(path).await
}

#[thornback::task(name = "conformance.busy")]
async fn busy(path: String) -> String {
    make(&format!("{path}.started"));
    while !Path::new(&format!("{path}.go")).exists() {}
    "released".to_owned()
}

async fn relays(cx: &Context, pool: String, function: String, args: Vec<Any>) -> Result<Any> {
    let task: Task<(), Ref<Any>> = Task::with_name(function).pool(pool);
    let args = args.into_iter().fold(Args::new(cx.client()), |all, arg| match arg {
        Any::Ref(object) => all.arg_ref(&object),
        Any::Bytes(bytes) => all.arg(bytes),
        other => all.arg(other),
    });
    task.submit_args(args).await
}

#[thornback::task(name = "conformance.relay")]
async fn relay(cx: &Context, pool: String, function: String, args: Vec<Any>) -> Result<Any> {
    relays(cx, pool, function, args).await
}

#[thornback::task(name = "conformance.refs")]
async fn refs(cx: &Context, n: i64) -> Vec<Ref<i64>> {
    (0..n).map(|i| cx.put(i)).collect()
}

async fn reads(refs: &[Ref<Any>]) -> Result<Vec<Any>> {
    let mut values = Vec::new();
    for object in refs {
        values.push(object.get().await?);
    }
    Ok(values)
}

#[thornback::task(name = "conformance.read")]
async fn read(refs: Vec<Ref<Any>>) -> Result<Vec<Any>> {
    reads(&refs).await
}

#[thornback::task(name = "conformance.count")]
fn count(n: u64) -> impl Stream<Item = u64> {
    stream::iter(0..n)
}

#[thornback::task(name = "conformance.count_fail")]
fn count_fail(n: u64, message: String) -> impl Stream<Item = Result<u64, ConformanceError>> {
    stream::iter((0..n).map(Ok).chain([Err(ConformanceError::new(message))]))
}

#[thornback::task(name = "conformance.paced")]
fn paced(path: String, n: u64) -> impl Stream<Item = Result<u64, ConformanceError>> {
    stream::iter((0..n).map(move |i| append(&path, &i.to_string()).map(|_| i)))
}

pub struct Counter {
    total: i64,
    kept: Vec<Ref<Any>>,
}

#[thornback::actor(name = "conformance.Counter")]
impl Counter {
    pub fn new(start: i64) -> Self {
        Counter { total: start, kept: Vec::new() }
    }

    pub async fn add(&mut self, n: i64) -> i64 {
        self.total += n;
        self.total
    }

    pub async fn echo(&self, x: Any) -> Any {
        x
    }

    pub async fn fail(&self, message: String) -> Result<(), ConformanceError> {
        Err(ConformanceError::new(message))
    }

    pub async fn hold(&self, path: String) -> String {
        holds(path).await
    }

    pub async fn mark(&self, path: String, text: String) -> Result<(), ConformanceError> {
        append(&path, &text).map(|_| ())
    }

    pub async fn relay(&self, cx: &Context, pool: String, function: String, args: Vec<Any>) -> Result<Any> {
        relays(cx, pool, function, args).await
    }

    pub fn count(&self, n: u64) -> impl Stream<Item = u64> {
        stream::iter(0..n)
    }

    pub async fn die(&self) {
        std::process::exit(3);
    }

    pub async fn leave(&self, cx: &Context) -> String {
        cx.exit_actor();
        "left".to_owned()
    }

    pub async fn keep(&mut self, refs: Vec<Ref<Any>>) {
        self.kept = refs;
    }

    pub async fn recall(&self) -> Result<Vec<Any>> {
        reads(&self.kept).await
    }
}

pub struct Broken;

#[thornback::actor(name = "conformance.Broken")]
impl Broken {
    pub async fn new(message: String) -> Result<Self, ConformanceError> {
        if message.is_empty() { Ok(Broken) } else { Err(ConformanceError::new(message)) }
    }

    pub async fn add(&self, n: i64) -> i64 {
        n
    }
}

pub struct Together;

#[thornback::actor(name = "conformance.Together")]
impl Together {
    pub fn new() -> Self {
        Together
    }

    pub async fn meet(&self, path: String, name: String) -> String {
        make(&format!("{path}.{name}"));
        wait_for(&format!("{path}.go")).await;
        name
    }
}
