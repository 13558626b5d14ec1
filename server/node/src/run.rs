//! A node from its start to its end: what listens, what runs beside the sessions, and in which order all of it goes away.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use thornback_core::input::{Op, Request};
use thornback_core::{Config as CoreConfig, Core, Input, Peer};
use thornback_session::Limits;
use thornback_store::{Spill, SpillOptions};
use thornback_transport::{Directory, Token, grpc, unix};
use thornback_types::{Id, NodeId, Resources, UNITS_PER_WHOLE};
use thornback_wire::framing::FRAME_BYTES_MAX;
use thornback_workers::{Event, Options as WorkerOptions, Workers, memory};
use tokio::runtime::LocalOptions;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};

use crate::arenas::Arenas;
use crate::config::{Config, Ended, Error, Listening};
use crate::connection;
use crate::convert::INLINE_BYTES;
use crate::node::{Node, OWN, Parts};
use crate::patience;
use crate::processes::Processes;

/// How often heartbeats, grace periods and memory are looked at.
const LOOK_AROUND: Duration = Duration::from_millis(250);

/// Connections of the Unix socket at once. More wait in its backlog.
const CONNECTIONS_MAX: usize = 16 << 10;

/// gRPC streams and requests that may wait for the node.
const INCOMING_MAX: usize = 64;

/// How long a process that has ended may go on being heard.
const HEAR_OUT: Duration = Duration::from_millis(100);

/// How long the last words to sessions may take to leave before workers are ended.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Runs a node on this thread until it is asked to end. `on_listening` is called once, as soon as clients can connect.
///
/// When this returns, in whichever way, there is no worker, socket or file of the node left.
///
/// # Errors
/// If it cannot start, or a defect ends it.
pub fn run(
    config: Config,
    on_listening: impl FnOnce(&Listening) -> Result<(), String>,
) -> Result<Ended, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // For spilling, which has few transfers at once.
        .max_blocking_threads(8)
        .build_local(LocalOptions::default())
        .map_err(Error::io("set up the event loop"))?;
    let ended = runtime.block_on(serve(config, on_listening));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn serve(
    config: Config,
    on_listening: impl FnOnce(&Listening) -> Result<(), String>,
) -> Result<Ended, Error> {
    // In this order, because it is the reverse of that in which they go away.
    let mut signals = Signals::new().map_err(Error::io("listen for signals"))?;
    let directory = Directory::hold(&config.directory)?;
    let token = Token::create(&directory.token()).map_err(Error::io("write the token file"))?;
    let grpc_listener = config.grpc.map(grpc::bind).transpose()?;
    let spill = Spill::open(&config.spill_directory, SpillOptions::default()).map_err(Error::Spill)?;
    let mut worker_options = WorkerOptions::default();
    worker_options.environment = config.environment;
    let (workers, events) =
        Workers::start(worker_options).map_err(Error::io("start the thread that starts workers"))?;
    let unix = unix::Listener::bind(&directory.socket()).map_err(Error::io("listen on the Unix socket"))?;
    let (incoming_in, incoming) = mpsc::channel(INCOMING_MAX);
    let grpc = grpc_listener
        .map(|listener| {
            let limits = grpc::Limits { frame_bytes: FRAME_BYTES_MAX, ..grpc::Limits::default() };
            grpc::Server::start(listener, token.clone(), limits, incoming_in)
        })
        .transpose()
        .map_err(Error::io("start the thread of the gRPC carrier"))?;
    let listening = Listening {
        unix: directory.socket(),
        grpc: grpc.as_ref().map(grpc::Server::address),
        token_file: directory.token(),
    };

    let (stop, mut stopped) = mpsc::unbounded_channel();
    let node = build(&config, token, spill, Processes::new(workers, &listening), stop.clone())?;
    declare_pools(&node, &config);

    guard(&stop, accept(Rc::clone(&node), unix, stop.clone()));
    guard(&stop, take_incoming(Rc::clone(&node), incoming, stop.clone()));
    guard(&stop, take_events(Rc::clone(&node), events, stop.clone()));
    guard(&stop, keep_time(Rc::clone(&node)));
    guard(&stop, patience::stay_awake(Rc::clone(&node)));
    guard(&stop, look_around(Rc::clone(&node), config.worker_memory_limit, config.on_quiet));
    if config.exit_with_stdin {
        watch_stdin(stop).map_err(Error::io("start the thread that watches standard input"))?;
    }
    on_listening(&listening).map_err(Error::Announce)?;

    let mut next = async || {
        tokio::select! {
            Some(stopping) = stopped.recv() => stopping,
            signal = signals.next() => Stopping::Signal(signal),
        }
    };
    let stopping = next().await;
    if !matches!(stopping, Stopping::Panicked(_)) {
        end_gently(&node, async { drop(next().await) }).await;
    }
    drop(grpc);
    match stopping {
        Stopping::Asked => Ok(Ended::Asked),
        Stopping::Signal(signal) => Ok(Ended::Signal(signal)),
        Stopping::Panicked(words) => Err(Error::Panic(words)),
    }
}

/// Why the node is to end.
#[derive(Debug)]
pub(crate) enum Stopping {
    /// By a request, or by the end of standard input.
    Asked,
    /// By this signal.
    Signal(i32),
    /// A task panicked with these words, so the node's state may be anything.
    Panicked(String),
}

fn build(
    config: &Config,
    token: Token,
    spill: Spill,
    processes: Processes,
    stop: mpsc::UnboundedSender<Stopping>,
) -> Result<Rc<RefCell<Node>>, Error> {
    let id = NodeId(Id(random()?));
    let system = memory::system_memory().map_err(Error::io("read how much memory there is"))?;
    let store_bytes = config.store_bytes.unwrap_or(system / 10 * 3);
    let memory_bytes =
        config.memory_bytes.unwrap_or((system / 10 * 7).saturating_sub(store_bytes.min(system / 10 * 3)));
    let backlog_bytes = config.backlog_bytes.unwrap_or((system / 16).clamp(64 << 20, 1 << 30));
    let resources =
        config.resources.clone().with(Resources::MEMORY, memory_bytes.saturating_mul(UNITS_PER_WHOLE));
    let core = Core::new(CoreConfig {
        seed: u64::from_le_bytes(random()?),
        store_bytes,
        backlog_bytes,
        // Workers are not held back; what is far above the budget is a program that has run wild.
        backlog_bytes_max: backlog_bytes.saturating_mul(4).saturating_add(64 << 20),
        inline_bytes: INLINE_BYTES as u64,
        ..CoreConfig::new(id, resources)
    });
    Ok(Node::new(Parts {
        core,
        id,
        version: config.version,
        arenas: Arenas::new().map_err(Error::io("open /dev/null"))?,
        spill,
        processes,
        token,
        limits: Limits {
            frame_bytes: FRAME_BYTES_MAX,
            inline_bytes: INLINE_BYTES,
            grace: config.grace,
            object_bytes: store_bytes,
            ..Limits::default()
        },
        salt: random()?,
        stop,
    }))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::io("draw random numbers")(io::Error::other(error.to_string())))?;
    Ok(bytes)
}

/// Opens the node's own session, and declares the pools of the configuration in it.
fn declare_pools(node: &Rc<RefCell<Node>>, config: &Config) {
    let mut node = node.borrow_mut();
    let peer = Peer::Driver {
        namespace: "node".to_owned(),
        job_name: "node".to_owned(),
        want_logs: false,
        shared_memory: false,
        pid: std::process::id(),
    };
    node.input(Input::SessionOpened { session: OWN, peer });
    for pool in &config.pools {
        let request = Box::new(Request::DeclarePool(pool.clone()));
        // Number 0 is nobody's: a refusal is logged.
        node.input(Input::Op { session: OWN, op: Op::Request { number: 0, request } });
    }
}

async fn accept(node: Rc<RefCell<Node>>, listener: unix::Listener, stop: mpsc::UnboundedSender<Stopping>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok(connection) => {
                let served = connection::serve_unix(Rc::clone(&node), connection);
                guard(&stop, async move {
                    served.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::error!(%error, "the Unix socket accepts no more connections");
                return;
            }
        }
    }
}

async fn take_incoming(
    node: Rc<RefCell<Node>>,
    mut incoming: mpsc::Receiver<grpc::Incoming>,
    stop: mpsc::UnboundedSender<Stopping>,
) {
    while let Some(incoming) = incoming.recv().await {
        match incoming {
            grpc::Incoming::Session(session) => {
                guard(&stop, connection::serve_grpc(Rc::clone(&node), session));
            }
            grpc::Incoming::Control(control) => node.borrow_mut().control(control),
        }
    }
}

async fn take_events(
    node: Rc<RefCell<Node>>,
    mut events: mpsc::Receiver<Event>,
    stop: mpsc::UnboundedSender<Stopping>,
) {
    while let Some(event) = events.recv().await {
        let link = match &event {
            Event::Exited { launch, .. } => node.borrow().link_of(*launch),
            _ => None,
        };
        let Some(link) = link else {
            take_event(&node, event);
            continue;
        };
        // What the process sent before it ended is still in its socket, and comes first: the answer of its last task, perhaps.
        let node = Rc::clone(&node);
        guard(&stop, async move {
            // (A process that it left behind may hold the socket open.)
            let _ = tokio::time::timeout(HEAR_OUT, link.hear_out()).await;
            take_event(&node, event);
        });
    }
}

fn take_event(node: &RefCell<Node>, event: Event) {
    let node = &mut *node.borrow_mut();
    if let Some(input) = node.processes.input(event).filter(|_| !node.ending) {
        node.input(input);
    }
}

/// Calls the core when it wants to be called.
async fn keep_time(node: Rc<RefCell<Node>>) {
    loop {
        let (at, changed) = {
            let mut node = node.borrow_mut();
            let (at, changed) = node.arm_timer();
            (at.map(|at| node.instant(at)), changed)
        };
        let due = async {
            match at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => node.borrow_mut().input(Input::Tick),
            () = changed.notified() => {}
        }
    }
}

async fn look_around(node: Rc<RefCell<Node>>, worker_memory_limit: Option<u64>, on_quiet: fn()) {
    let mut ticks = tokio::time::interval(LOOK_AROUND);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut node = node.borrow_mut();
        node.look_around();
        if node.has_become_quiet() {
            on_quiet();
        }
        if node.processes.is_empty() {
            continue;
        }
        match memory::read() {
            Ok(read) => {
                let (mut total, mut available) = (read.limit(), read.left());
                // Each worker's is a file to read, and none matters while there is plenty.
                let plenty = available >= total / 4 && worker_memory_limit.is_none();
                let workers = if plenty { Vec::new() } else { node.processes.rss() };
                if let Some(limit) = worker_memory_limit {
                    let taken = workers.iter().map(|(_, rss)| rss).sum();
                    // Whichever is nearer to its end.
                    let left = limit.saturating_sub(taken);
                    if u128::from(left) * u128::from(total) < u128::from(available) * u128::from(limit) {
                        (total, available) = (limit, left);
                    }
                }
                node.input(Input::Memory { total, available, workers });
            }
            Err(error) => tracing::warn!(%error, "cannot read how much memory is left"),
        }
    }
}

/// Ends the node when standard input ends. The thread waits in a read, and ends with the process.
fn watch_stdin(stop: mpsc::UnboundedSender<Stopping>) -> io::Result<()> {
    let watch = move || {
        // What is written to us is of no interest. An error is an end too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = stop.send(Stopping::Asked);
    };
    std::thread::Builder::new().name("stdin".into()).spawn(watch).map(drop)
}

/// Says goodbye, and waits for workers to end; not any longer once `again` is ready.
async fn end_gently(node: &Rc<RefCell<Node>>, again: impl Future<Output = ()>) {
    let listeners = node.borrow_mut().say_goodbye();
    let workers = node.borrow().processes.workers();
    let end = async {
        if listeners > 0 {
            tokio::time::sleep(LAST_WORDS).await;
        }
        let left = workers.shutdown().await;
        if left > 0 {
            tracing::error!(left, "processes cannot be ended: they hang in the kernel");
        }
    };
    tokio::select! {
        () = end => {}
        () = again => tracing::info!("asked again: ending at once"),
    }
}

/// Runs a task beside the others. If it panics, the node ends.
pub(crate) fn guard(stop: &mpsc::UnboundedSender<Stopping>, work: impl Future<Output = ()> + 'static) {
    let stop = stop.clone();
    tokio::task::spawn_local(async move {
        if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
            // Nobody listens once the node has ended.
            let _ = stop.send(Stopping::Panicked(words_of(&*panic)));
        }
    });
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

/// The signals that end a node.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => Ended::INTERRUPT,
            _ = self.terminate.recv() => Ended::TERMINATE,
            _ = self.hang_up.recv() => Ended::HANG_UP,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_one_task_ends_the_node_with_its_words() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().build_local(LocalOptions::default()).unwrap();
        let (stop, mut stopped) = mpsc::unbounded_channel();
        let told = runtime.block_on(async {
            guard(&stop, async {});
            guard(&stop, async { panic!("this cannot {}", "be") });
            stopped.recv().await
        });
        assert!(matches!(told, Some(Stopping::Panicked(words)) if words == "this cannot be"));
    }
}
