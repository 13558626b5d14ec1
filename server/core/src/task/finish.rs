//! The owner's side of an answer: outputs, retries, and what is kept for making outputs again.

use std::sync::Arc;

use thornback_types::{Code, Failure, NodeId, TaskId};

use crate::effect::Outcome;
use crate::input::{Retries, Returns};
use crate::message::{RemoteOutput, RunOutcome};
use crate::node::Node;
use crate::node::timer::Timer;
use crate::task::{Kind, RunState, TaskSpec, TaskState};

impl Node {
    /// An attempt is over. Only the present attempt of a task that is not finished can say so.
    pub(crate) fn task_answered(&mut self, id: TaskId, attempt: u32, outcome: RunOutcome, from: NodeId) {
        let current = self.tasks.get(&id).filter(|task| task.attempt == attempt && !task.is_finished());
        let Some(task) = current else {
            if let RunOutcome::Results(outputs) = &outcome {
                self.discard_outputs(id, outputs.len(), from);
            }
            return;
        };
        let (is_call, placement) =
            (matches!(task.spec.kind, Kind::Call { .. }), task.spec.declaration.placement);
        match outcome {
            RunOutcome::Results(outputs) => match outputs.iter().find_map(|output| task.spec.refuses(output))
            {
                Some(failure) => self.finish_failed(id, Arc::new(failure)),
                None => self.finish(id, outputs, from),
            },
            RunOutcome::Failed(failure) if self.may_retry_after(id, &failure) => self.retry(id),
            RunOutcome::Failed(failure) => self.finish_failed(id, failure),
            RunOutcome::Lost(failure) if is_call => self.call_lost(id, failure),
            RunOutcome::NotRun if is_call => self.call_not_run(id),
            RunOutcome::Lost(failure) => {
                let spent = self.tasks.get_mut(&id).is_some_and(|task| task.retries.spend());
                if spent { self.retry(id) } else { self.finish_failed(id, self.out_of_retries(id, &failure)) }
            }
            RunOutcome::NotRun => match placement {
                Some((group, _)) => self.await_group(group, id),
                None => self.place(id),
            },
        }
    }

    fn out_of_retries(&self, id: TaskId, failure: &Arc<Failure>) -> Arc<Failure> {
        let attempts = self.tasks.get(&id).map_or(1, |task| task.attempt);
        if attempts == 1 {
            return Arc::clone(failure);
        }
        let mut failure = (**failure).clone().with("attempts", attempts);
        failure.message = format!("{} That was attempt {attempts}, and no retry is left.", failure.message);
        Arc::new(failure)
    }

    /// Whether the task asked for failures of this kind to be retried, and has a retry left (which this uses up).
    fn may_retry_after(&mut self, id: TaskId, failure: &Failure) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        let declaration = &task.spec.declaration;
        let of_a_kind =
            declaration.retry_exceptions || failure.types.iter().any(|t| declaration.retry_types.contains(t));
        failure.is(Code::TaskFailed) && of_a_kind && task.retries.spend()
    }

    pub(crate) fn retry(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.attempt += 1;
        task.state = TaskState::Waiting;
        if let Kind::Call { actor, .. } = task.spec.kind {
            return self.call_again_after_failure(actor, id);
        }
        self.when_dependencies_are_ready(id);
    }

    fn finish(&mut self, id: TaskId, outputs: Vec<RemoteOutput>, from: NodeId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let spec = Arc::clone(&task.spec);
        match spec.declaration.returns {
            Returns::Stream => self.stream_ended(id, None),
            Returns::Fixed(n) => {
                let given = outputs.len();
                let mut outputs = outputs.into_iter();
                for i in 0..n {
                    let outcome = match outputs.next() {
                        Some(RemoteOutput::Value(value)) => Outcome::Value(value),
                        Some(RemoteOutput::Stored { size, refs }) => {
                            // Counted before it is ready: one that nobody wants any more is gone, and uncounted, in the same moment.
                            if self.note_stored(id.output(i), from, refs)
                                && let Some(task) = self.tasks.get_mut(&id)
                            {
                                task.lineage += 1;
                            }
                            Outcome::Stored(size)
                        }
                        None => Outcome::Failure(Arc::new(self.too_few(id, n, given))),
                    };
                    self.object_ready(id.output(i), outcome);
                }
            }
        }
        let Some(task) = self.tasks.get(&id) else { return };
        // Lineage: what lies in a store may be lost, and is made again by another run. What is inline lives and dies with this node.
        if task.lineage > 0
            && spec.declaration.max_retries != Retries::Limited(0)
            && self.may_run_again(&spec)
        {
            self.keep_for_lineage(id);
        } else {
            self.forget_task(id);
        }
    }

    /// An actor's outputs can be made again only if it would itself come back.
    fn may_run_again(&self, spec: &TaskSpec) -> bool {
        match spec.kind {
            Kind::Task => true,
            Kind::Create(_) => false,
            Kind::Call { actor, .. } => self.actor_restarts(actor),
        }
    }

    fn keep_for_lineage(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.state = TaskState::Finished;
        self.tasks_finished += 1;
        let (submitter, weight) = (task.submitter, std::mem::take(&mut task.weight));
        if let Kind::Call { actor, caller } = task.spec.kind {
            // Nothing waits for it, and what it gave does not keep the actor alive.
            self.call_over(actor, caller, id);
        }
        self.pace_ended(submitter, weight);
    }

    fn too_few(&self, id: TaskId, n: u32, given: usize) -> Failure {
        let name = self.tasks.get(&id).map_or("", |task| &task.spec.declaration.name);
        Failure::new(Code::StreamTooShort, format!("{name} was to return {n} values and gave {given}."))
            .of_task(id)
    }

    /// The task has failed for good: so have all outputs that it has not given.
    pub(crate) fn finish_failed(&mut self, id: TaskId, failure: Arc<Failure>) {
        let Some(task) = self.tasks.get(&id).filter(|task| !task.is_finished()) else { return };
        let spec = Arc::clone(&task.spec);
        let failure = match failure.task {
            Some(_) => failure,
            None => Arc::new((*failure).clone().of_task(id)),
        };
        match (spec.kind, spec.declaration.returns) {
            (Kind::Create(actor), _) => self.creation_failed(actor, &failure),
            (_, Returns::Stream) => self.stream_ended(id, Some(failure)),
            (_, Returns::Fixed(n)) => {
                for i in 0..n {
                    self.object_ready(id.output(i), Outcome::Failure(Arc::clone(&failure)));
                }
            }
        }
        self.forget_task(id);
    }

    /// Ends a task from the owner's side, wherever it is, with this failure. A worker that runs it is interrupted if `interrupt`; its answer no longer counts.
    pub(crate) fn end_task(&mut self, id: TaskId, failure: &Failure, interrupt: bool) {
        let Some(task) = self.tasks.get(&id).filter(|task| !task.is_finished()) else { return };
        let (state, attempt) = (task.state, task.attempt);
        let code = Code::from_number(failure.code).unwrap_or(Code::Cancelled);
        match state {
            TaskState::Waiting => {
                self.pools.undecided.remove(&id);
            }
            TaskState::Here => match self.runs.get(&id).map(|run| run.state) {
                Some(RunState::Sent) if interrupt => self.interrupt(id, code),
                Some(RunState::Sent) | None => {}
                Some(_) => {
                    self.unqueue(id);
                    self.discard_run(id);
                }
            },
            TaskState::Remote(node) => {
                self.mail(
                    node,
                    crate::message::PeerMessage::CancelRun { task: id, attempt, force: false, code },
                );
            }
            TaskState::Calling => {}
            TaskState::Finished => return,
        }
        self.forget_call(id, interrupt, code);
        self.finish_failed(id, Arc::new(failure.clone()));
    }

    /// A run that never reached a worker, and whose owner does not wait for an answer.
    pub(crate) fn discard_run(&mut self, id: TaskId) {
        if let Some(run) = self.runs.remove(&id) {
            for object in run.pins {
                self.unpin_many(object, 1);
            }
            self.let_go_of_filled(run.filled);
            if run.state != RunState::Sent {
                self.forget_pool_of(run.class);
            }
        }
    }

    pub(crate) fn forget_task(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(&id) else { return };
        self.pace_ended(task.submitter, task.weight);
        if !task.is_finished() {
            self.tasks_finished += 1;
            if let Kind::Call { actor, caller } = task.spec.kind {
                self.call_over(actor, caller, id);
            }
        }
        for object in task.spec.refs() {
            self.release(object, 1);
        }
        if let Some(deadline) = task.deadline {
            self.timers.remove(&(deadline, Timer::Deadline(id)));
        }
    }

    /// A stored output is gone that this task could have made again.
    pub(crate) fn lineage_unneeded(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.lineage = task.lineage.saturating_sub(1);
        if task.lineage == 0 && task.is_finished() {
            self.forget_task(id);
        }
    }

    /// Outputs that came too late.
    fn discard_outputs(&mut self, id: TaskId, n: usize, from: NodeId) {
        for i in 0..n {
            self.discard_output(id.output(i as u32), from);
        }
    }
}
