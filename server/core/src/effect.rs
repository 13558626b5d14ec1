//! Everything that the core may ask for, as one closed enum.
//!
//! An effect is carried out in the order given and needs no decision. Those that take time are answered by an input.

#![expect(missing_docs, reason = "a field or variant has a comment where its name does not say it all")]

use std::sync::Arc;

use bytes::Bytes;
use thornback_types::{ActorId, Failure, NodeId, ObjectId, SessionId, TaskId, Value, WorkerId};

use crate::input::{Arg, Declaration, PoolSpec, Printed};
use crate::link::Packet;

/// Something that the core wants done.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Tell a session something. A message to a session that is gone is dropped.
    Send { session: SessionId, message: Message },
    /// The operation that was handed in by the current call was not taken; nothing has changed.
    Refuse { session: SessionId, failure: Box<Failure> },
    /// End a session.
    Close { session: SessionId, failure: Option<Box<Failure>> },
    /// Whether a session is to be given credit for what it sends from now on.
    Pace { session: SessionId, credit: Credit },

    /// Start a worker process (through its pool's template, if it has one). Answered by `WorkerStarted` or `WorkerStartFailed`.
    StartWorker { worker: WorkerId, pool: Arc<Pool> },
    /// End a worker process. Answered by `WorkerExited`.
    StopWorker { worker: WorkerId, how: Stop },
    /// No more workers of this pool will be started: end its template, if one runs.
    RetirePool { pool: Arc<Pool> },

    /// Make an arena; sparse, so that only what is written takes memory.
    OpenArena { arena: u32, size: u64 },
    /// Nobody will be given a location in it again.
    CloseArena { arena: u32 },
    /// Bytes from a session without shared memory.
    WriteArena { location: Location, data: Bytes },
    /// Give the pages back to the system; their content is no longer needed. Answered by `Punched`; until then nobody is given the range.
    PunchArena { location: Location },
    /// Send the bytes of an object as `Chunk`s. Answered by `BytesSent`; until then the location stays valid.
    SendBytes { session: SessionId, object: ObjectId, location: Location },

    /// Write an object to disk under a key. Answered by `Spilled`.
    Spill { object: ObjectId, location: Location },
    /// Read an object back. Answered by `Restored`.
    Restore { object: ObjectId, location: Location },
    /// The object's bytes on disk are no longer needed.
    DeleteSpilled { object: ObjectId },
    /// Copy an object from another node, which keeps it until this is answered by `Copied`. That node serves it only while `Core::has_offered`.
    Copy { object: ObjectId, from: NodeId, remote: Location, location: Location },

    /// Send a packet to another node, or not at all.
    Packet { to: NodeId, packet: Packet },

    /// The cluster goes on without this node, and its work was given to others: end all sessions and processes at once. Inputs change nothing any
    /// more; the server may start again, as another node.
    GivenUp,
}

/// A pool with its number on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Never reused.
    pub number: u32,
    pub spec: PoolSpec,
}

/// What a session gets back for what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credit {
    /// All of it, as ever.
    Given,
    /// Nothing, until it is given again: the session has more than enough under way.
    Held,
    /// What it is owed now, and then nothing again.
    Spared,
}

/// How to end a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM, and SIGKILL after a few seconds.
    Gently,
    /// SIGKILL.
    Now,
}

/// Bytes in an arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// From 1.
    pub arena: u32,
    /// A multiple of 64.
    pub offset: u64,
    pub size: u64,
}

/// What a session is told: `thornback.v1.ServerOp`.
#[derive(Debug, Clone)]
pub enum Message {
    Declare {
        number: u32,
        declaration: Arc<Declaration>,
    },
    Run(Run),
    Interrupt {
        task: TaskId,
        attempt: u32,
        code: u32,
    },
    Recall {
        tasks: Vec<TaskId>,
    },
    Resume {
        task: TaskId,
        attempt: u32,
        consumed: u64,
    },

    Completion {
        object: ObjectId,
        outcome: Outcome,
    },
    StreamEnd {
        task: TaskId,
        count: u64,
        failure: Option<Arc<Failure>>,
    },
    /// The arena of the location is to be announced to the session first, to write.
    Created {
        object: ObjectId,
        outcome: Result<Location, Box<Failure>>,
    },
    /// A writer without shared memory may send `Write`s.
    CreatedRemote {
        object: ObjectId,
        size: u64,
    },
    /// The arena of the location is to be announced to the session first, to read.
    Located {
        object: ObjectId,
        location: Location,
    },
    /// It was small, or it is lost.
    LocatedInline {
        object: ObjectId,
        outcome: Result<Value, Arc<Failure>>,
    },
    Reply {
        number: u64,
        reply: Reply,
    },
    Log {
        source: String,
        lines: Arc<Printed>,
    },
    Notice(Box<Failure>),
}

/// How an object became ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Value(Value),
    Failure(Arc<Failure>),
    /// In the store, so many bytes.
    Stored(u64),
}

impl Outcome {
    /// Whether whoever is told of it learns of other objects.
    pub(crate) fn has_refs(&self) -> bool {
        matches!(self, Outcome::Value(value) if !value.refs().is_empty())
    }
}

/// An order to run a task.
#[derive(Debug, Clone)]
pub struct Run {
    pub task: TaskId,
    pub attempt: u32,
    /// Declared to this session before.
    pub declaration: u32,
    pub args: Vec<RunArg>,
    pub actor: Option<ActorId>,
    pub setup: Option<Box<ActorSetup>>,
}

/// An argument as the worker gets it.
#[derive(Debug, Clone)]
pub enum RunArg {
    /// As it was given. Always `ArgValue::Value`.
    Given(Arg),
    /// What a small object held.
    Value { keyword: Bytes, value: Value },
    /// A large one, pinned for the session. The arena is to be announced first. For a session without shared memory `location` is absent: it fetches.
    Stored { keyword: Bytes, object: ObjectId, location: Option<Location>, size: u64 },
}

/// What a worker needs to know to become an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorSetup {
    pub max_concurrency: u32,
    pub asynchronous: bool,
    pub restarts: u32,
    pub name: String,
}

/// An answer to a control request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Failure(Box<Failure>),
    Empty,
    Actor(Box<ActorInfo>),
    Actors(Vec<ActorInfo>),
}

/// What is known of an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorInfo {
    pub actor: ActorId,
    pub name: String,
    pub namespace: String,
    /// "pending", "alive", "restarting", "dead".
    pub state: &'static str,
    pub class_name: String,
    pub interface: Bytes,
    pub restarts: u32,
    /// False if this request created it.
    pub existed: bool,
}
