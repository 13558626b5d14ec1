//! Everything that can happen to a node, as one closed enum.
//!
//! An input is a fact: a session said something, a process ended, bytes were written. It carries no sockets, handles or times of its own.

#![expect(missing_docs, reason = "a field or variant has a comment where its name does not say it all")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thornback_types::{
    ActorId, Failure, Id, NodeId, ObjectId, PlacementGroupId, Resources, SessionId, TaskId, Value, WorkerId,
};

use crate::link::Packet;

/// A fact that the core is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A driver or worker said hello and was welcomed. Ids are never reused.
    SessionOpened { session: SessionId, peer: Peer },
    /// A session is over: it said goodbye, or its connection did not come back within its grace. What it held is released.
    SessionClosed { session: SessionId },
    /// A session asks for something.
    Op { session: SessionId, op: Op },

    /// A process that `Effect::StartWorker` asked for runs. (It counts as a worker once its session opens.)
    WorkerStarted { worker: WorkerId, pid: u32 },
    /// It could not be started; `reason` is for people.
    WorkerStartFailed { worker: WorkerId, reason: String },
    /// A worker process is gone.
    WorkerExited {
        worker: WorkerId,
        status: ExitStatus,
        /// The end of what it wrote to its standard error, which says why a start failed.
        last_words: String,
    },
    /// Lines that a worker printed, to be passed to its driver.
    WorkerPrinted { worker: WorkerId, lines: Arc<Printed> },
    /// How much memory the machine has left, and what each worker takes; given a few times a second.
    Memory { total: u64, available: u64, workers: Vec<(WorkerId, u64)> },

    /// `Effect::Spill` is done (the bytes are on disk), or failed.
    Spilled { object: ObjectId, result: Result<(), StoreError> },
    /// `Effect::Restore` is done (the bytes are in the arena), or failed.
    Restored { object: ObjectId, result: Result<(), StoreError> },
    /// `Effect::PunchArena` is done, or failed: either way nothing more happens to what is written there.
    Punched { location: crate::effect::Location },
    /// `Effect::SendBytes` is done, or its session is gone.
    BytesSent { session: SessionId, object: ObjectId },
    /// `Effect::Copy` is done, or failed.
    Copied { object: ObjectId, from: NodeId, result: Result<(), StoreError> },

    /// A packet from another node. Packets may be lost, repeated and reordered.
    Packet { from: NodeId, packet: Packet },
    /// Nothing but time has passed: call at `Core::poll_timeout`, or any other time.
    Tick,
}

/// Who opened a session.
#[derive(Debug, Clone)]
pub enum Peer {
    Driver {
        namespace: String,
        job_name: String,
        /// Wants `Message::Log`.
        want_logs: bool,
        /// May be sent locations in arenas; else bytes.
        shared_memory: bool,
        pid: u32,
    },
    Worker {
        /// The process that the node launched; `None` for a worker that dialled in by itself.
        launch: Option<WorkerId>,
        pool: String,
        language: String,
        functions: Vec<Function>,
        /// Private formats that it reads ("python/pickle5").
        formats: Vec<String>,
        shared_memory: bool,
        pid: u32,
    },
}

/// A function or class that a worker announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub min_args: u32,
    /// `None` for any number.
    pub max_args: Option<u32>,
    /// A class: it creates actors.
    pub actor: bool,
    /// As canonical text; empty if no interface says it.
    pub signature: String,
}

/// What a session asks for: `thornback.v1.ClientOp`, with ids checked and numbers in their own types. What is large and rare is boxed, so that what is
/// frequent is not moved about in its size.
#[derive(Debug, Clone)]
pub enum Op {
    Declare {
        number: u32,
        declaration: Box<Declaration>,
    },
    Submit {
        task: TaskId,
        declaration: u32,
        args: Vec<Arg>,
        parent: Option<TaskId>,
    },
    Call {
        task: TaskId,
        actor: ActorId,
        declaration: u32,
        args: Vec<Arg>,
        parent: Option<TaskId>,
    },
    CreateActor {
        actor: ActorId,
        declaration: u32,
        args: Vec<Arg>,
        options: Box<ActorOptions>,
    },
    /// The id of a task or of one of its outputs.
    Cancel {
        id: ObjectId,
        force: bool,
        recursive: bool,
    },
    Kill {
        actor: ActorId,
        restart: bool,
        graceful: bool,
    },
    Consumed {
        task: TaskId,
        count: u64,
    },

    Put {
        object: ObjectId,
        value: Value,
    },
    /// `task` is set for an output of a task that this session runs.
    Create {
        object: ObjectId,
        size: u64,
        task: Option<(TaskId, u32)>,
    },
    Write {
        object: ObjectId,
        offset: u64,
        data: Bytes,
    },
    Seal {
        object: ObjectId,
        refs: Vec<ObjectId>,
    },
    Abort {
        object: ObjectId,
    },
    Watch {
        objects: Vec<ObjectId>,
    },
    Fetch {
        object: ObjectId,
        quiet: bool,
    },
    Release {
        objects: Vec<ObjectId>,
    },
    Refs {
        retain: Vec<ObjectId>,
        drop: Vec<ObjectId>,
    },

    Done {
        task: TaskId,
        attempt: u32,
        outcome: Result<Vec<Output>, Box<Failure>>,
        yielded: u64,
    },
    Yield {
        task: TaskId,
        attempt: u32,
        index: u64,
        item: Output,
    },
    Blocked {
        task: TaskId,
    },
    Unblocked {
        task: TaskId,
    },
    Returned {
        tasks: Vec<TaskId>,
    },
    Announce {
        functions: Vec<Function>,
    },
    ActorExit {
        actor: ActorId,
        reason: Option<Box<Failure>>,
    },

    Request {
        number: u64,
        request: Box<Request>,
    },
}

impl Op {
    /// What a client waits for in vain if this is refused: the task, actor or object that it would have made.
    #[must_use]
    pub fn makes(&self) -> Option<Id> {
        match self {
            Op::Submit { task, .. } | Op::Call { task, .. } => Some(task.0),
            Op::CreateActor { actor, .. } => Some(actor.0),
            Op::Put { object, .. } | Op::Seal { object, .. } => Some(object.0),
            _ => None,
        }
    }
}

/// The control requests that change state. (Those that only look, `GetStatus` and `ListState`, read `Core` directly.)
#[derive(Debug, Clone)]
pub enum Request {
    CreateActor {
        actor: ActorId,
        declaration: u32,
        args: Vec<Arg>,
        options: ActorOptions,
    },
    GetActor {
        name: String,
        namespace: Option<String>,
    },
    ListActors {
        all_namespaces: bool,
    },
    CreatePlacementGroup {
        group: PlacementGroupId,
        bundles: Vec<Resources>,
        strategy: Strategy,
        name: String,
    },
    RemovePlacementGroup {
        group: PlacementGroupId,
    },
    DeclarePool(PoolSpec),
}

/// How the bundles of a placement group lie over nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    Pack,
    Spread,
    StrictPack,
    StrictSpread,
}

/// Workers that serve the same functions, and how to start them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolSpec {
    pub name: String,
    pub language: String,
    pub command: Vec<String>,
    pub env: Vec<(String, String)>,
    pub working_dir: String,
    /// The command starts a template process that forks workers.
    pub template: bool,
    pub prestart: u32,
    pub default_for_session: bool,
    pub functions: Vec<String>,
    /// What its workers have to serve.
    pub interface: Vec<Function>,
}

/// What a session will call many times, declared once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    pub function: String,
    /// The one that the caller was made for; empty for whatever is served.
    pub signature: String,
    /// The shipped definition, if the function is not called by name.
    pub code: Option<ObjectId>,
    pub pool: Option<String>,
    pub resources: Resources,
    pub returns: Returns,
    pub max_retries: Retries,
    pub retry_exceptions: bool,
    pub retry_types: Vec<String>,
    /// For people; the function's name if none was given.
    pub name: String,
    /// Items that a stream may be ahead of its consumer; 0 for no bound.
    pub stream_window: u32,
    pub accepts: Vec<String>,
    pub deadline: Option<Duration>,
    /// The group, and the bundle's position in it unless any will do.
    pub placement: Option<(PlacementGroupId, Option<u32>)>,
    pub affinity: Option<Affinity>,
    pub spread: bool,
}

/// A wish to run on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affinity {
    pub node: NodeId,
    /// Run elsewhere if that node is gone or cannot.
    pub soft: bool,
}

/// How many objects a call gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    Fixed(u32),
    Stream,
}

/// Attempts after the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    Limited(u32),
    Unlimited,
}

impl Retries {
    /// From the wire, where -1 is without end.
    #[must_use]
    pub fn from_wire(n: i32) -> Retries {
        u32::try_from(n).map_or(Retries::Unlimited, Retries::Limited)
    }

    /// Uses one up. `false` if none was left.
    pub fn spend(&mut self) -> bool {
        match self {
            Retries::Unlimited => true,
            Retries::Limited(0) => false,
            Retries::Limited(n) => {
                *n -= 1;
                true
            }
        }
    }
}

/// How an actor lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorOptions {
    /// Empty for an anonymous actor.
    pub name: String,
    /// The session's if absent.
    pub namespace: Option<String>,
    pub get_if_exists: bool,
    pub detached: bool,
    pub max_restarts: Retries,
    pub max_task_retries: Retries,
    /// At least 1.
    pub max_concurrency: u32,
    /// Calls that may wait per handle; `None` for no bound.
    pub max_pending_calls: Option<u32>,
    pub asynchronous: bool,
    /// The declaration's resources are held while it lives, not only for placing it.
    pub hold_resources: bool,
    pub interface: Bytes,
}

/// One argument of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Empty for a positional argument.
    pub keyword: Bytes,
    pub value: ArgValue,
}

/// What an argument is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgValue {
    Value(Value),
    /// To be replaced by the value that it stands for.
    Ref(ObjectId),
}

/// One result of a task, or one item of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Value(Value),
    /// Sealed in the store before.
    Stored,
}

/// Why a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    Code(i32),
    Signal(i32),
    /// Nobody could tell (its template is gone as well).
    Unknown,
}

/// Lines of a worker's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    pub stderr: bool,
    pub lines: Vec<String>,
    pub repeated: u32,
}

/// Why bytes could not be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// No space is left on the device.
    OutOfDisk(String),
    /// What was read back is not what was written, or is gone.
    Damaged(String),
    /// Another input or output error.
    Io(String),
}
