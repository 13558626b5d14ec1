//! Tasks, from submission to their last output.
//!
//! A task has two sides, on one node or on two. Its **owner** keeps the [`Task`]: dependencies, placing, retries, outputs, lineage. The node that
//! **runs** it keeps a [`Run`]: arguments brought near, queue, worker. They speak by messages, which a node to itself shortens to calls.
//!
//! ```text
//! owner:  Waiting ──arguments ready──▶ Here / Remote / Calling ──▶ Finished (kept while a stored output may have to be made again)
//!            ▲                              │ lost, a retry left
//!            └──────────────────────────────┘
//! run:    Queued ⇄ Staging (arguments come near) ; Queued ──▶ Sent ──▶ gone
//!            ▲──────── returned, not started ─────────┘
//! ```

#![expect(missing_docs, reason = "a field or variant has a comment where its name does not say it all")]

mod cancel;
mod finish;
mod run;
pub(crate) mod short;
mod stream;
mod submit;

use std::sync::Arc;

use thornback_types::{
    ActorId, Code, Failure, Format, JobId, NodeId, ObjectId, SessionId, TaskId, Time, Value, WorkerId,
};

pub(crate) use stream::Stream;

use crate::effect::Pool;
use crate::input::{Arg, ArgValue, Declaration, Retries};
use crate::message::RemoteOutput;
use crate::node::queue::ClassId;

/// What to run: the part of a task that never changes.
#[derive(Debug, Clone)]
pub struct TaskSpec {
    pub id: TaskId,
    pub job: JobId,
    pub owner: NodeId,
    pub declaration: Arc<Declaration>,
    /// Tells the declaration from all others of its owner.
    pub declaration_key: u64,
    pub args: Vec<Arg>,
    pub parent: Option<TaskId>,
    pub kind: Kind,
    /// Where to run it, for a node that may not know the pool.
    pub pool: Option<Arc<Pool>>,
    /// Goes on when the driver is gone.
    pub is_of_detached_actor: bool,
}

/// What running the task means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Task,
    /// Makes an actor.
    Create(ActorId),
    Call {
        actor: ActorId,
        caller: SessionId,
    },
}

/// The owner's side.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) spec: Arc<TaskSpec>,
    pub(crate) attempt: u32,
    pub(crate) retries: Retries,
    pub(crate) state: TaskState,
    /// Arguments that are not ready.
    pub(crate) missing: u32,
    pub(crate) submitter: SessionId,
    /// Grows with each task of this node.
    pub(crate) order: u64,
    pub(crate) children: Vec<TaskId>,
    pub(crate) deadline: Option<Time>,
    /// Stored outputs that live and could be made again by running this once more.
    pub(crate) lineage: u32,
    /// What it counts for among what its submitter has under way; 0 once it has ended.
    pub(crate) weight: u64,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// For arguments, for a pool to say what it serves, or for a placement group.
    Waiting,
    Here,
    Remote(NodeId),
    /// In the hands of `actor/`.
    Calling,
    Finished,
}

/// The running node's side.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) spec: Arc<TaskSpec>,
    pub(crate) attempt: u32,
    pub(crate) class: ClassId,
    pub(crate) state: RunState,
    pub(crate) worker: Option<WorkerId>,
    /// Arguments that are pinned until it is sent.
    pub(crate) pins: Vec<ObjectId>,
    /// Outputs that it has begun to store. It counts them, so that their room stays though the one who wanted them lets go meanwhile.
    pub(crate) filled: Vec<ObjectId>,
    pub(crate) sent: Time,
    /// Items of its stream that an earlier attempt gave and that were taken: a producer that is paced begins there.
    pub(crate) consumed: u64,
    /// Why it was interrupted: what it fails with if its worker is ended for it.
    pub(crate) interrupted: Option<Box<Failure>>,
    /// Its worker is to be ended once it runs there: now it waits behind another task, which must not die for it.
    pub(crate) doomed: bool,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    Queued,
    Staging { missing: u32 },
    Sent,
}

impl Run {
    /// One that is queued.
    pub(crate) fn new(spec: Arc<TaskSpec>, attempt: u32, class: ClassId, now: Time) -> Run {
        Run {
            spec,
            attempt,
            class,
            state: RunState::Queued,
            worker: None,
            pins: Vec::new(),
            filled: Vec::new(),
            sent: now,
            consumed: 0,
            interrupted: None,
            doomed: false,
        }
    }
}

impl Task {
    pub(crate) fn is_finished(&self) -> bool {
        self.state == TaskState::Finished
    }
}

impl TaskSpec {
    /// Refs given at the top level, which must be ready before it runs.
    pub(crate) fn dependencies(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.args.iter().filter_map(|arg| match &arg.value {
            ArgValue::Ref(object) => Some(*object),
            ArgValue::Value(_) => None,
        })
    }

    /// Everything that is kept for as long as it may run: what the arguments refer to, and the shipped definition where no job keeps that (on
    /// another node, and of an actor, which may outlive its driver).
    pub(crate) fn refs(&self) -> impl Iterator<Item = ObjectId> + '_ {
        let has_no_keeper = self.pool.is_some() || matches!(self.kind, Kind::Create(_));
        let code = self.declaration.code.filter(|_| has_no_keeper);
        self.args_refs().chain(code)
    }

    fn args_refs(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.args.iter().flat_map(|arg| match &arg.value {
            ArgValue::Ref(object) => std::slice::from_ref(object).iter().copied(),
            ArgValue::Value(value) => value.refs().iter().copied(),
        })
    }

    /// Whether the caller can take a value.
    pub(crate) fn reads(&self, value: &Value) -> bool {
        value.format != Format::Private
            || self.declaration.accepts.iter().any(|format| format.as_bytes() == value.schema())
    }

    /// Why the caller cannot take a result: it is in a private format that it did not say it reads.
    pub(crate) fn refuses(&self, output: &RemoteOutput) -> Option<Failure> {
        let RemoteOutput::Value(value) = output else { return None };
        if self.reads(value) {
            return None;
        }
        let schema = String::from_utf8_lossy(value.schema());
        let message = format!(
            "{} returned a value in the private format {schema:?}, which its caller does not read. Return plain data (MessagePack), Arrow or tensors between languages.",
            self.declaration.name,
        );
        Some(Failure::new(Code::UnsupportedFormat, message).of_task(self.id).with("format", schema))
    }

    /// The actor that this creates or calls.
    pub(crate) fn actor(&self) -> Option<ActorId> {
        match self.kind {
            Kind::Task => None,
            Kind::Create(actor) | Kind::Call { actor, .. } => Some(actor),
        }
    }
}
