//! The running node's side: handing a task to a worker and taking its answer.

use std::sync::Arc;

use thornback_types::{Code, Failure, Format, JobId, NodeId, ObjectId, SessionId, TaskId, Value, WorkerId};

use crate::effect::{Message, Run as RunMessage, RunArg};
use crate::input::{Arg, ArgValue, Output};
use crate::message::{Owners, PeerMessage, RemoteOutput, RunOutcome, StoredArg};
use crate::node::queue::ArgsNear;
use crate::node::worker::WorkerState;
use crate::node::{Node, Taken};
use crate::object::{Fetcher, ObjectState, unknown};
use crate::task::{Kind, RunState, TaskSpec};

impl Node {
    /// Another node's task, to be run here.
    pub(crate) fn assigned(
        &mut self,
        from: NodeId,
        spec: Arc<TaskSpec>,
        attempt: u32,
        life: u32,
        stored: Vec<StoredArg>,
        owners: Owners,
    ) {
        self.adopt(Some(from), &owners, &stored);
        if let Kind::Call { actor, .. } = spec.kind {
            return self.call_arrived(actor, spec, attempt, life);
        }
        let Some(pool) = spec.pool.as_ref().map(|pool| self.pool_from_afar(spec.job, pool)) else {
            let (task, outcome) = (spec.id, RunOutcome::NotRun);
            return self.mail(from, PeerMessage::Finished { task, attempt, outcome, owners: Vec::new() });
        };
        for object in spec.refs() {
            self.hold_for(spec.job, object);
        }
        let class = self.class_of(&spec, pool);
        self.start_run(spec, attempt, class);
    }

    /// Whether a queued task's large arguments lie in this node's store. If not, they are asked for and the task leaves its queue.
    pub(crate) fn args_near(&mut self, task: TaskId) -> ArgsNear {
        let Some(run) = self.runs.get(&task) else { return ArgsNear::Yes };
        let far = |object: &ObjectId| match self.objects.get(object) {
            Some(record) => {
                !matches!(record.state, ObjectState::Value(_) | ObjectState::Failure(_))
                    && !record.is_readable_here()
            }
            None => false,
        };
        if !run.spec.dependencies().any(|object| far(&object)) {
            return ArgsNear::Yes;
        }
        let mut objects: Vec<ObjectId> = run.spec.dependencies().collect();
        objects.sort_unstable();
        objects.dedup();
        let class = run.class;
        let (far, near): (Vec<_>, Vec<_>) = objects.into_iter().partition(far);
        let mut pins = Vec::new();
        for object in near {
            if self.pin_record(object) {
                pins.push(object);
            }
        }
        if let Some(run) = self.runs.get_mut(&task) {
            run.state = RunState::Staging { missing: far.len() as u32 };
            run.pins.extend(pins);
        }
        if let Some(class) = self.classes.get_mut(&class) {
            class.staging += 1;
        }
        for object in far {
            self.bring_near(object, Fetcher::Run(task));
        }
        ArgsNear::Coming
    }

    /// An argument has come near (and was pinned for the run), or never will.
    pub(crate) fn arg_came(&mut self, task: TaskId, object: ObjectId, result: Result<(), Arc<Failure>>) {
        let Some(run) = self.runs.get_mut(&task) else {
            if result.is_ok() {
                self.unpin_many(object, 1);
            }
            return;
        };
        let RunState::Staging { missing } = run.state else {
            // It was asked for by an earlier attempt, too.
            if result.is_ok() {
                self.unpin_many(object, 1);
            }
            return;
        };
        if let Err(failure) = result {
            self.unqueue(task);
            self.unmail(task);
            return self.run_failed(task, (*failure).clone());
        }
        run.pins.push(object);
        run.state = RunState::Staging { missing: missing.saturating_sub(1) };
        if missing <= 1 {
            let class = run.class;
            if let Some(class) = self.classes.get_mut(&class) {
                class.staging = class.staging.saturating_sub(1);
            }
            self.requeue_front(task);
        }
    }

    /// Sends a task to a worker.
    pub(crate) fn dispatch(&mut self, task: TaskId, worker: WorkerId) {
        if self.dispatch_plainly(task, worker) {
            return;
        }
        if let Err(failure) = self.check_args(task).and_then(|()| self.check_formats(task, worker)) {
            self.run_failed(task, *failure);
            if self.workers.get(&worker).is_some_and(|w| w.running.is_empty()) {
                self.lease_over(worker);
            }
            return;
        }
        let Some(session) = self.workers.get(&worker).and_then(|w| w.session) else { return };
        let declaration = self.declare_to(worker, task);
        let args = self.args_for(task, session);
        let now = self.now;
        let (Some(run), Some(w)) = (self.runs.get_mut(&task), self.workers.get_mut(&worker)) else { return };
        run.state = RunState::Sent;
        run.worker = Some(worker);
        run.sent = now;
        w.sent(task, now);
        let (attempt, actor, pins, consumed) =
            (run.attempt, run.spec.actor(), std::mem::take(&mut run.pins), run.consumed);
        let setup = match run.spec.kind {
            Kind::Create(actor) => self.actor_setup(actor),
            _ => None,
        };
        for object in pins {
            self.unpin_many(object, 1);
        }
        self.send(session, Message::Run(RunMessage { task, attempt, declaration, args, actor, setup }));
        if consumed > 0 {
            self.send(session, Message::Resume { task, attempt, consumed });
        }
        self.arm_overtake(worker);
    }

    fn args_for(&mut self, task: TaskId, session: SessionId) -> Vec<RunArg> {
        let Some(spec) = self.runs.get(&task).map(|run| Arc::clone(&run.spec)) else { return Vec::new() };
        spec.args.iter().map(|arg| self.arg_for(arg, session, spec.job)).collect()
    }

    fn arg_for(&mut self, arg: &Arg, session: SessionId, job: JobId) -> RunArg {
        let ArgValue::Ref(object) = arg.value else { return RunArg::Given(arg.clone()) };
        let keyword = arg.keyword.clone();
        let Some(record) = self.objects.get(&object) else {
            return RunArg::Value { keyword, value: Value::nil() };
        };
        let small = match &record.state {
            ObjectState::Value(value) => Some(value.clone()),
            _ => None,
        };
        let (size, refs) = (record.bytes(), record.contained().to_vec());
        for inner in refs {
            self.give(job, inner);
        }
        if let Some(value) = small {
            return RunArg::Value { keyword, value };
        }
        let shared = self.sessions.get(&session).is_some_and(|s| s.shared_memory);
        let location = if shared { self.pin(session, object) } else { None };
        RunArg::Stored { keyword, object, location, size }
    }

    /// An argument may have failed since the task was placed: its owner is gone, or no copy of it is left.
    fn check_args(&self, task: TaskId) -> Taken {
        let failed = |object| match self.objects.get(&object).map(|record| &record.state) {
            Some(ObjectState::Failure(failure)) => Some((**failure).clone()),
            Some(_) => None,
            None => Some(unknown(object)),
        };
        let failure = self.runs.get(&task).and_then(|run| run.spec.dependencies().find_map(failed));
        failure.map_or(Ok(()), |failure| Err(Box::new(failure)))
    }

    /// A value in a language's private format is of no use to a worker of another.
    fn check_formats(&self, task: TaskId, worker: WorkerId) -> Taken {
        let (Some(run), Some(worker)) = (self.runs.get(&task), self.workers.get(&worker)) else {
            return Ok(());
        };
        for arg in &run.spec.args {
            let value = match &arg.value {
                ArgValue::Value(value) => value,
                ArgValue::Ref(object) => match self.objects.get(object).map(|o| &o.state) {
                    Some(ObjectState::Value(value)) => value,
                    _ => continue,
                },
            };
            if value.format == Format::Private
                && !worker.formats.iter().any(|format| format.as_bytes() == value.schema())
            {
                let reads = if worker.formats.is_empty() { "none".into() } else { worker.formats.join(", ") };
                let schema = String::from_utf8_lossy(value.schema());
                let message = format!(
                    "An argument of {} is in the private format {schema:?}, and its worker reads {reads}. Pass plain data (MessagePack), Arrow or tensors between languages.",
                    run.spec.declaration.name,
                );
                return Err(Box::new(Failure::new(Code::UnsupportedFormat, message).with("format", schema)));
            }
        }
        Ok(())
    }

    /// A worker answers. Answers of superseded attempts, and of tasks that are not its own, are ignored.
    pub(crate) fn done(
        &mut self,
        session: SessionId,
        task: TaskId,
        attempt: u32,
        mut outcome: Result<Vec<Output>, Box<Failure>>,
    ) -> Taken {
        if outcome.as_mut().is_ok_and(|outputs| self.done_plainly(session, task, attempt, outputs)) {
            return Ok(());
        }
        let (id, _) = self.worker_of(session)?;
        if let Ok(outputs) = &mut outcome {
            for output in outputs {
                self.screen_output(session, output);
            }
        }
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&id) else { return Ok(()) };
        let Some(at) = worker.running.iter().position(|t| *t == task) else { return Ok(()) };
        if self.runs.get(&task).is_none_or(|run| run.attempt != attempt) {
            return Ok(());
        }
        worker.running.remove(at);
        let answered = worker.answered(now);
        if worker.blocked > 0 && worker.running.is_empty() {
            // It ended without saying that it goes on.
            worker.blocked = 0;
        }
        if let WorkerState::Leased { class, .. } = worker.state {
            self.learn(class, answered);
        }
        let idle = self.workers.get(&id).is_some_and(|w| w.running.is_empty());
        let outcome = match outcome {
            Ok(outputs) => self.outputs_of(task, outputs),
            Err(failure) => RunOutcome::Failed(Arc::new(*failure)),
        };
        let kind = self.runs.get(&task).map(|run| run.spec.kind);
        if let Some(Kind::Create(actor)) = kind {
            self.actor_created(actor, id, task, outcome);
            return Ok(());
        }
        self.abort_unsealed(session, task);
        self.run_over(task, outcome);
        self.end_the_doomed(id, Code::Cancelled);
        if let Some(Kind::Call { actor, .. }) = kind {
            self.advance_mailbox(actor);
        } else if idle {
            self.lease_over(id);
        }
        Ok(())
    }

    fn outputs_of(&mut self, task: TaskId, outputs: Vec<Output>) -> RunOutcome {
        let output = |(i, output): (usize, Output)| match output {
            Output::Value(value) => Ok(RemoteOutput::Value(value)),
            Output::Stored => self.stored_output(task.output(i as u32)),
        };
        match outputs.into_iter().enumerate().map(output).collect() {
            Ok(outputs) => RunOutcome::Results(outputs),
            Err(failure) => RunOutcome::Failed(Arc::new(failure)),
        }
    }

    /// A sealed output. That it was sealed is the worker's word, which may be wrong.
    pub(crate) fn stored_output(&self, object: ObjectId) -> Result<RemoteOutput, Failure> {
        match self.objects.get(&object).filter(|record| record.is_here()) {
            Some(record) => {
                Ok(RemoteOutput::Stored { size: record.bytes(), refs: record.contained().to_vec() })
            }
            None => {
                let message = format!(
                    "The worker says that it stored the result {object}, and has not sealed it; its SDK is at fault."
                );
                Err(Failure::new(Code::Internal, message).of_task(object.task()))
            }
        }
    }

    /// Ends the run with a failure that the node made.
    pub(crate) fn run_failed(&mut self, task: TaskId, failure: Failure) {
        let create = self.runs.get(&task).and_then(|run| match run.spec.kind {
            Kind::Create(actor) => Some(actor),
            _ => None,
        });
        match create {
            Some(actor) => self.actor_not_created(actor, task, Arc::new(failure)),
            None => self.run_over(task, RunOutcome::Failed(Arc::new(failure))),
        }
    }

    /// The worker is gone.
    pub(crate) fn run_lost(&mut self, task: TaskId, outcome: RunOutcome) {
        let Some(run) = self.runs.get_mut(&task) else { return };
        run.worker = None;
        let interrupted = run.interrupted.take();
        match (run.spec.kind, interrupted, outcome) {
            // `bury` tells the actor's registry.
            (Kind::Create(actor), _, RunOutcome::Lost(failure)) => {
                self.actor_creation_lost(actor, task, failure)
            }
            (Kind::Task, None, RunOutcome::NotRun) => self.requeue_front(task),
            (_, Some(failure), _) => self.run_over(task, RunOutcome::Failed(Arc::new(*failure))),
            (_, None, outcome) => self.run_over(task, outcome),
        }
    }

    /// A later attempt is about to take the place of a run whose end was decided elsewhere: the process that has it must not end the new one.
    pub(crate) fn supersede_run(&mut self, id: TaskId) {
        let Some(worker) = self.runs.get(&id).map(|run| run.worker) else { return };
        match worker.and_then(|worker| self.workers.get_mut(&worker).map(|w| (worker, w))) {
            Some((worker, w)) => {
                w.running.retain(|task| *task != id);
                if w.ended_for.is_none() {
                    let failure = Failure::new(Code::WorkerDied, "A later attempt has taken its place.");
                    self.end_worker_for(worker, failure);
                }
            }
            None => {
                self.unqueue(id);
                self.unmail(id);
            }
        }
        let Some(spec) = self.runs.get(&id).map(|run| Arc::clone(&run.spec)) else { return };
        self.discard_run(id);
        // A node counts the arguments of its own tasks once, with the task, and those of others and of actors with the run.
        if spec.owner != self.me || matches!(spec.kind, Kind::Create(_)) {
            for object in spec.refs() {
                self.release(object, 1);
            }
        }
    }

    /// Forgets the run and tells the owner.
    pub(crate) fn run_over(&mut self, task: TaskId, outcome: RunOutcome) {
        let Some(run) = self.runs.remove(&task) else { return };
        for object in run.pins {
            self.unpin_many(object, 1);
        }
        if run.state != RunState::Sent {
            // Its pool may have come here with it, and have no worker whose end would end it.
            self.forget_pool_of(run.class);
        }
        let (owner, attempt) = (run.spec.owner, run.attempt);
        if owner == self.me {
            self.task_answered(task, attempt, outcome, self.me);
            return self.let_go_of_filled(run.filled);
        }
        if self.dead.contains(owner) {
            self.let_go_of_filled(run.filled);
            return run.spec.refs().for_each(|object| self.release(object, 1));
        }
        let refs: Vec<ObjectId> = match &outcome {
            RunOutcome::Results(outputs) => outputs.iter().flat_map(refs_of).collect(),
            _ => Vec::new(),
        };
        let owners = self.grant_all(owner, refs.into_iter());
        if let RunOutcome::Results(outputs) = &outcome {
            for i in 0..outputs.len() {
                self.keep_for_owner(task.output(i as u32));
            }
        }
        self.mail(owner, PeerMessage::Finished { task, attempt, outcome, owners });
        self.let_go_of_filled(run.filled);
        for object in run.spec.refs() {
            self.release(object, 1);
        }
    }

    /// The run counts these outputs no longer: whoever wants them does, or nobody.
    pub(crate) fn let_go_of_filled(&mut self, outputs: Vec<ObjectId>) {
        for object in outputs {
            self.release(object, 1);
            // Whoever asked for it before this run filled it has waited for that to end, well or badly.
            self.serve_fetchers(object);
        }
    }
}

/// What an output refers to.
pub(crate) fn refs_of(output: &RemoteOutput) -> Vec<ObjectId> {
    match output {
        RemoteOutput::Value(value) => value.refs().to_vec(),
        RemoteOutput::Stored { refs, .. } => refs.clone(),
    }
}
