//! What was asked for and what came of it, and the judgement: right values, excused failures, starts within bounds, calls in order.
//!
//! The judgement is a second, much simpler opinion on what the core decides. It knows no queues, counts or links: only what each program must
//! give, and which failures something that really happened can explain.

use std::collections::{BTreeMap, BTreeSet};

use thornback_core::effect::Outcome;
use thornback_types::{ActorId, Code, Failure, ObjectId, PlacementGroupId, SessionId, TaskId};

use crate::program::{Program, Work, value_word};

/// What is known of a task, a call or a creation.
#[derive(Debug, Clone)]
pub(crate) struct TaskRecord {
    pub(crate) program: Program,
    /// Objects that it needs, at the top level or inside a value.
    pub(crate) needs: Vec<ObjectId>,
    /// `None` without end.
    pub(crate) retries: Option<u32>,
    pub(crate) returns: u32,
    pub(crate) caller: SessionId,
    pub(crate) parent: Option<TaskId>,
    pub(crate) actor: Option<ActorId>,
    /// It is a call, or needs what a call gives.
    pub(crate) needs_a_call: bool,
    pub(crate) group: Option<PlacementGroupId>,
    pub(crate) has_deadline: bool,
    /// Somebody asked for its end, or dropped its stream.
    pub(crate) cancelled: bool,
    /// Place among the calls of its caller.
    pub(crate) order: u64,
    pub(crate) starts: u32,
    pub(crate) max_attempt: u32,
}

/// What is known of an actor.
#[derive(Debug, Clone, Default)]
pub(crate) struct ActorRecord {
    /// Something happened that may end it: a kill, a dropped handle, its creator's end, an exit.
    pub(crate) may_die: bool,
    pub(crate) limits_calls: bool,
}

/// What has gone wrong in this run, and so may explain failures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Troubles {
    pub(crate) worker_crashes: bool,
    pub(crate) node_crashes: bool,
    pub(crate) disk_faults: bool,
    pub(crate) start_failures: bool,
    /// The store is small enough to be filled with what is being read.
    pub(crate) small_store: bool,
}

/// How much happened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Tasks, calls and creations that were asked for.
    pub submitted: u64,
    /// Runs that a worker began.
    pub started: u64,
    /// Values that arrived and were right.
    pub values: u64,
    /// Failures that arrived and were excused.
    pub failures: u64,
    /// Reads of stored objects that found what was written.
    pub reads: u64,
}

/// The record of a run.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) truth: BTreeMap<ObjectId, u64>,
    pub(crate) tasks: BTreeMap<TaskId, TaskRecord>,
    pub(crate) actors: BTreeMap<ActorId, ActorRecord>,
    pub(crate) removed_groups: BTreeSet<PlacementGroupId>,
    /// What stored objects refer to that somebody is to read there.
    pub(crate) inside: BTreeMap<ObjectId, Vec<ObjectId>>,
    pub(crate) problems: Vec<String>,
    pub(crate) troubles: Troubles,
    pub(crate) counts: Counts,
    /// The last call of each caller that each actor process began.
    last_call: BTreeMap<(SessionId, SessionId), u64>,
}

impl History {
    pub(crate) fn problem(&mut self, what: impl Into<String>) {
        // The first ones say what happened; the rest is usually their consequence.
        if self.problems.len() < 20 {
            self.problems.push(what.into());
        }
    }

    /// Notes a task, and what each of its outputs must hold.
    pub(crate) fn submitted(&mut self, id: TaskId, mut record: TaskRecord) {
        self.counts.submitted += 1;
        record.needs_a_call =
            record.actor.is_some() || record.needs.iter().any(|need| self.comes_from_a_call(*need));
        let args: Vec<u64> =
            record.needs.iter().map(|object| self.truth.get(object).copied().unwrap_or(0)).collect();
        let outputs = match record.program.work {
            Work::Stream { items, .. } => u32::from(items),
            _ => record.returns,
        };
        for i in 0..outputs {
            self.truth.insert(id.output(i), record.program.output(&args, i));
        }
        self.tasks.insert(id, record);
    }

    pub(crate) fn cancelled(&mut self, id: TaskId) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.cancelled = true;
        }
    }

    pub(crate) fn actor_may_die(&mut self, actor: ActorId) {
        self.actors.entry(actor).or_default().may_die = true;
    }

    /// A driver or worker is gone: what it asked for may end, and its actors too.
    pub(crate) fn caller_gone(&mut self, caller: SessionId) {
        let mut actors = Vec::new();
        for (id, task) in self.tasks.iter_mut().filter(|(_, task)| task.caller == caller) {
            task.cancelled = true;
            if task.actor.is_some_and(|actor| actor.creation() == *id) {
                actors.extend(task.actor);
            }
        }
        actors.into_iter().for_each(|actor| self.actor_may_die(actor));
    }

    /// A worker begins to run something.
    pub(crate) fn started(&mut self, worker: SessionId, id: TaskId, attempt: u32) {
        self.counts.started += 1;
        let Some(task) = self.tasks.get_mut(&id) else {
            return self.problem(format!("{id} was started and nobody submitted it"));
        };
        task.starts += 1;
        task.max_attempt = task.max_attempt.max(attempt);
        let (starts, caller, order) = (task.starts, task.caller, task.order);
        let is_creation = task.actor.is_some_and(|actor| actor.creation() == id);
        let is_call = task.actor.is_some() && !is_creation;
        if let Some(retries) = task.retries.filter(|_| !is_creation) {
            if retries == 0 && starts > 1 {
                self.problem(format!("{id} may not be retried and was started {starts} times"));
            } else if attempt > retries + 1 {
                self.problem(format!(
                    "{id} may be retried {retries} times and attempt {attempt} was started"
                ));
            }
        }
        // A call that is tried again comes after those that were made meanwhile.
        if is_call && attempt == 1 {
            let last = self.last_call.insert((worker, caller), order);
            if last.is_some_and(|last| last >= order) {
                self.problem(format!(
                    "call {id}, number {order} of its caller, was started after number {}",
                    last.unwrap_or(0)
                ));
            }
        }
    }

    /// What a reader found in the place that it was given for an object.
    pub(crate) fn read(&mut self, who: SessionId, object: ObjectId, found: Option<u64>) {
        match (self.truth.get(&object), found) {
            (Some(truth), Some(found)) if *truth == found => self.counts.reads += 1,
            (truth, found) => {
                let truth = truth.copied();
                self.problem(format!("session {} read {object} and found {found:x?}, not {truth:x?}", who.0));
            }
        }
    }

    /// An object's outcome as a session was told it.
    pub(crate) fn outcome(&mut self, who: SessionId, object: ObjectId, outcome: &Outcome) {
        match outcome {
            Outcome::Value(value) => {
                let truth = self.truth.get(&object).copied();
                if truth.is_some() && value_word(value) != truth {
                    self.problem(format!(
                        "session {} was told that {object} is {:x?}, not {truth:x?}",
                        who.0,
                        value_word(value)
                    ));
                } else if self.must_fail(object) {
                    self.problem(format!("{object} has a value, and its task always fails"));
                }
                self.counts.values += 1;
            }
            Outcome::Stored(_) => self.counts.values += 1,
            Outcome::Failure(failure) => self.failure(who, object, failure),
        }
    }

    pub(crate) fn failure(&mut self, who: SessionId, object: ObjectId, failure: &Failure) {
        self.counts.failures += 1;
        let Some(code) = Code::from_number(failure.code) else {
            return self.problem(format!("{object} failed with the unknown code {}", failure.code));
        };
        if !self.excuses(object, code) {
            self.problem(format!(
                "session {} was told that {object} failed, and nothing excuses that: {failure}",
                who.0
            ));
        }
    }

    fn must_fail(&self, object: ObjectId) -> bool {
        self.tasks.get(&object.task()).is_some_and(|task| task.program.work == Work::Raise)
    }

    /// Whether something that happened explains this failure of this object.
    fn excuses(&self, object: ObjectId, code: Code) -> bool {
        let mut seen = BTreeSet::new();
        self.task_excuses(object, code, &mut seen)
    }

    /// `seen` holds what was asked already: an object may be needed in many ways.
    fn task_excuses(&self, object: ObjectId, code: Code, seen: &mut BTreeSet<(TaskId, u32)>) -> bool {
        let t = self.troubles;
        let lost = t.node_crashes || t.disk_faults;
        let by_trouble = match code {
            Code::WorkerDied => t.worker_crashes || t.node_crashes,
            Code::NodeDied | Code::OwnerDied => t.node_crashes,
            Code::ObjectLost | Code::ReconstructionFailed => lost,
            Code::WorkerStartFailed => t.start_failures,
            Code::StoreFull => t.small_store,
            Code::OutOfDisk => t.disk_faults,
            _ => false,
        };
        let id = object.task();
        if by_trouble || !seen.insert((id, code.number())) {
            return by_trouble;
        }
        let Some(task) = self.tasks.get(&id) else {
            // What says that a placement group is ready.
            return code == Code::PlacementGroupRemoved
                && self.removed_groups.contains(&PlacementGroupId(id.0));
        };
        // The task of a worker that died with it is cancelled by nobody, but what it had submitted is.
        let any_trouble =
            t.worker_crashes || t.node_crashes || t.disk_faults || t.start_failures || t.small_store;
        let actor = task.actor.and_then(|actor| self.actors.get(&actor));
        let own = match code {
            Code::TaskFailed => {
                // What fails while a program waits for it makes the program raise.
                let waited = || {
                    task.needs.iter().any(|need| {
                        Code::ALL.iter().any(|code| self.task_excuses(*need, *code, &mut seen.clone()))
                    })
                };
                task.program.work == Work::Raise || any_trouble || self.was_cancelled(id) || waited()
            }
            // (A worker may go on for a while with a task that is over for its owner, whose pools and arguments are gone.)
            Code::Cancelled | Code::FunctionNotFound | Code::ObjectNotFound => self.was_cancelled(id),
            Code::WorkerDied => task.program.work == Work::Exit,
            Code::DeadlineExceeded => task.has_deadline,
            Code::PlacementGroupRemoved | Code::PlacementGroupNotFound => {
                task.group.is_some_and(|group| self.removed_groups.contains(&group))
            }
            Code::ActorNameTaken => actor.is_some_and(|actor| actor.may_die),
            Code::ActorDied | Code::ActorUnavailable | Code::ActorNotFound => {
                let creation = task.actor.and_then(|actor| self.tasks.get(&actor.creation()));
                let not_made = || {
                    let needs = creation.into_iter().flat_map(|creation| &creation.needs);
                    needs.into_iter().any(|need| {
                        Code::ALL.iter().any(|code| self.task_excuses(*need, *code, &mut seen.clone()))
                    })
                };
                actor.is_some_and(|actor| actor.may_die) || (actor.is_some() && any_trouble) || not_made()
            }
            Code::PendingCallsLimit => actor.is_some_and(|actor| actor.limits_calls),
            _ => false,
        };
        own || task.needs.iter().any(|need| self.task_excuses(*need, code, seen))
            || task
                .actor
                .filter(|actor| actor.creation() != id)
                .is_some_and(|actor| self.task_excuses(ObjectId(actor.0), code, seen))
    }

    /// Whether a task may be over for its owner while a worker still runs it: cancelled, too late, or a call on an actor that is being killed.
    pub(crate) fn may_be_over(&self, id: TaskId) -> bool {
        let Some(task) = self.tasks.get(&id) else { return false };
        let actor = task.actor.and_then(|actor| self.actors.get(&actor));
        let t = self.troubles;
        let may_die = |actor: &ActorRecord| {
            actor.may_die || t.worker_crashes || t.node_crashes || t.start_failures || t.disk_faults
        };
        task.has_deadline || t.node_crashes || self.was_cancelled(id) || actor.is_some_and(may_die)
    }

    /// Whether some actor has to run a call before this object is there.
    pub(crate) fn comes_from_a_call(&self, object: ObjectId) -> bool {
        self.tasks.get(&object.task()).is_some_and(|task| task.needs_a_call)
    }

    /// Cancelled itself, or by way of the task that submitted it.
    pub(crate) fn was_cancelled(&self, id: TaskId) -> bool {
        let mut at = Some(id);
        while let Some(task) = at.and_then(|id| self.tasks.get(&id)) {
            if task.cancelled {
                return true;
            }
            at = task.parent;
        }
        false
    }
}
