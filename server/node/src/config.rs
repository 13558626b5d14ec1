//! What a node is told when it starts, and what it tells when it listens and when it ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thornback_core::input::PoolSpec;
use thornback_transport::DirectoryError;
use thornback_transport::grpc::BindError;
use thornback_types::Resources;
use thornback_workers::Environment;

/// The facts of one node. Everything is bounded; what is `None` has a default that depends on the machine.
#[derive(Debug, Clone)]
pub struct Config {
    /// For the socket, the token and the lock. Made if need be; nobody but its owner may have rights to it.
    pub directory: PathBuf,
    /// Where the gRPC carrier listens; a loopback address, port 0 for any. `None` for no TCP at all.
    pub grpc: Option<SocketAddr>,
    /// CPUs, GPUs and custom resources. Memory is added from `memory_bytes`.
    pub resources: Resources,
    /// Memory that tasks may ask for; by default 70 % of what the machine or its cgroup has, less the store.
    pub memory_bytes: Option<u64>,
    /// Memory that workers may take together before one of them is ended, beside what the machine sets.
    pub worker_memory_limit: Option<u64>,
    /// Size of the object store; by default 30 % of memory.
    pub store_bytes: Option<u64>,
    /// Bytes of calls that drivers may have submitted and that have not ended, together; by default a sixteenth of memory, from 64 MiB to 1 GiB.
    pub backlog_bytes: Option<u64>,
    /// Objects go there that the store has no room for.
    pub spill_directory: PathBuf,
    /// How long a session outlives its connection.
    pub grace: Duration,
    /// What workers get to see of the node's own environment.
    pub environment: Environment,
    /// Pools that are there from the start.
    pub pools: Vec<PoolSpec>,
    /// End when standard input ends.
    pub exit_with_stdin: bool,
    /// The program's version, for `Welcome` and `Status`.
    pub version: &'static str,
    /// Called on the node's thread once it had work and then none for a moment: what does not matter while there is work. It must not take long.
    pub on_quiet: fn(),
}

/// Where a node listens.
#[derive(Debug, Clone)]
pub struct Listening {
    /// The Unix socket.
    pub unix: PathBuf,
    /// The gRPC carrier.
    pub grpc: Option<SocketAddr>,
    /// The token that a peer on TCP must show.
    pub token_file: PathBuf,
}

/// Why a node ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A request, or the end of standard input.
    Asked,
    /// This signal.
    Signal(i32),
}

impl Ended {
    /// The number of SIGTERM.
    pub const TERMINATE: i32 = 15;
    /// The number of SIGINT.
    pub const INTERRUPT: i32 = 2;
    /// The number of SIGHUP.
    pub const HANG_UP: i32 = 1;
}

/// Why a node could not start, or ended out of order. The message says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It may not, or cannot, listen on TCP.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Objects cannot be spilled.
    #[error("{0}; choose another --spill-dir")]
    Spill(#[source] thornback_store::Error),
    /// Something else that the system refused.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The refusal.
        source: std::io::Error,
    },
    /// Whoever started it could not be told that it listens.
    #[error("{0}")]
    Announce(String),
    /// A defect. What it said has been printed; no worker is left.
    #[error("a defect of the server ended it: {0}; please report it with what it logged")]
    Panic(String),
}

impl Error {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Io { what, source }
    }
}
