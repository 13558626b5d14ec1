//! The side of the node that hosts an actor: its worker, its mailbox, its end.

use std::collections::VecDeque;
use std::sync::Arc;

use thornback_types::{ActorId, Code, Failure, SessionId, TaskId, WorkerId};

use crate::effect::{ActorSetup, Stop};
use crate::message::{ActorSpec, PeerMessage, RunOutcome};
use crate::node::queue::{ArgsNear, ClassId};
use crate::node::worker::WorkerState;
use crate::node::{Node, Taken};
use crate::task::{Kind, Run, RunState, TaskSpec};

/// Calls that are sent ahead to an actor's worker, besides those that it runs at once. Its order is its own, so nothing is lost by it.
const AHEAD: usize = 256;

/// How far down its mailbox a call that can be sent is looked for.
const OVERTAKEN_MAX: usize = 1024;

/// An actor that lives here, or is about to.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) spec: Arc<ActorSpec>,
    /// From 1; each restart is another life.
    pub(crate) life: u32,
    pub(crate) worker: Option<WorkerId>,
    /// Calls that arrived and have not been sent to the worker.
    pub(crate) mailbox: VecDeque<TaskId>,
    /// It is to end for this reason, once its mailbox is empty if it ends gracefully.
    ending: Option<Arc<Failure>>,
}

impl Node {
    /// The registry gives this node an actor to host.
    pub(crate) fn host_actor(&mut self, spec: Arc<ActorSpec>, life: u32) {
        let actor = spec.actor;
        if self.hosted.get(&actor).is_some_and(|hosted| hosted.life >= life) {
            return;
        }
        if spec.owner != self.me {
            // The registry only passes the refs on. The owner's own counts last as long as the actor.
            self.adopt(None, &spec.owners, &spec.stored);
        }
        let (creation, owners) = (Arc::clone(&spec.creation), spec.owners.clone());
        let is_from_afar = spec.owner != self.me;
        // Counted before the last life's run, if one is left, gives its counts back.
        for object in creation.refs() {
            self.hold_for(spec.job, object);
        }
        self.supersede_run(creation.id);
        let pool = creation.pool.as_ref().map(|pool| self.pool_from_afar(spec.job, pool));
        if let Some(last) = self.hosted.get(&actor).map(|hosted| hosted.life) {
            self.hosted_gone(actor, last);
        }
        self.hosted
            .insert(actor, Hosted { spec, life, worker: None, mailbox: VecDeque::new(), ending: None });
        match pool {
            Some(pool) => {
                let class = self.class_of(&creation, pool);
                self.start_run(creation, life, class);
            }
            None => {
                let failure =
                    Failure::new(Code::WorkerStartFailed, "The pool of the actor is gone: its driver ended.");
                self.actor_not_created(actor, creation.id, Arc::new(failure));
                for object in creation.refs() {
                    self.release(object, 1);
                }
            }
        }
        if is_from_afar {
            // What lies inside an argument whose owner is gone is not counted by that argument.
            self.return_unused(&owners);
        }
    }

    pub(crate) fn actor_setup(&self, actor: ActorId) -> Option<Box<ActorSetup>> {
        let hosted = self.hosted.get(&actor)?;
        Some(Box::new(ActorSetup {
            max_concurrency: hosted.spec.options.max_concurrency.max(1),
            asynchronous: hosted.spec.options.asynchronous,
            restarts: hosted.life.saturating_sub(1),
            name: hosted.spec.options.name.clone(),
        }))
    }

    /// The worker has answered the creation.
    pub(crate) fn actor_created(
        &mut self,
        actor: ActorId,
        worker: WorkerId,
        task: TaskId,
        outcome: RunOutcome,
    ) {
        let failure = match outcome {
            RunOutcome::Failed(failure) | RunOutcome::Lost(failure) => Some(failure),
            RunOutcome::Results(_) | RunOutcome::NotRun => None,
        };
        let life = self.runs.get(&task).map_or(0, |run| run.attempt);
        let wanted =
            self.hosted.get(&actor).is_some_and(|hosted| hosted.life == life && hosted.ending.is_none());
        if let Some(failure) = failure {
            // It exits, as a worker does whose actor failed (WORKER-040).
            self.dismiss(worker, Stop::Gently);
            return self.actor_not_created(actor, task, failure);
        }
        self.forget_creation_run(task);
        if !wanted {
            self.dismiss(worker, Stop::Now);
            let ending = self.hosted.get(&actor).filter(|hosted| hosted.life == life);
            if let Some(failure) = ending.and_then(|hosted| hosted.ending.clone()) {
                // The registry waits for this word if the end was to be graceful.
                self.mail_head(PeerMessage::ActorEnded { actor, life, failure });
            }
            self.hosted_gone(actor, life);
            return;
        }
        let hold = self.hosted.get(&actor).is_some_and(|hosted| hosted.spec.options.hold_resources);
        self.become_actor(worker, actor, hold);
        if let Some(hosted) = self.hosted.get_mut(&actor) {
            hosted.worker = Some(worker);
        }
        self.mail_head(PeerMessage::ActorStarted { actor, life });
        self.advance_mailbox(actor);
    }

    fn become_actor(&mut self, id: WorkerId, actor: ActorId, hold: bool) {
        let Some(mut worker) = self.workers.remove(&id) else { return };
        if let WorkerState::Leased { class, .. } = worker.state
            && let Some(class) = self.classes.get_mut(&class)
        {
            class.leased.retain(|w| *w != id);
        }
        if !hold {
            let bundle = worker.bundle;
            self.give_back(&mut worker);
            // It lives in its bundle all the same, and ends with it.
            worker.bundle = bundle;
        }
        worker.state = WorkerState::Actor(actor);
        self.workers.insert(id, worker);
        self.schedule_due = true;
    }

    fn forget_creation_run(&mut self, task: TaskId) {
        let Some(run) = self.runs.remove(&task) else { return };
        self.forget_pool_of(run.class);
        for object in run.pins {
            self.unpin_many(object, 1);
        }
        for object in run.spec.refs() {
            self.release(object, 1);
        }
    }

    /// The constructor raised: another life would do the same.
    pub(crate) fn actor_not_created(&mut self, actor: ActorId, task: TaskId, failure: Arc<Failure>) {
        self.forget_creation_run(task);
        let Some(hosted) = self.hosted.get(&actor) else { return };
        let life = hosted.life;
        let failure = Arc::new(could_not_be_created(actor, &hosted.spec.creation.declaration.name, &failure));
        self.mail_head(PeerMessage::ActorNotStarted { actor, life, failure });
        self.hosted_gone(actor, life);
    }

    /// The worker died while it ran the constructor.
    pub(crate) fn actor_creation_lost(&mut self, actor: ActorId, task: TaskId, failure: Arc<Failure>) {
        self.forget_creation_run(task);
        let Some(hosted) = self.hosted.get(&actor) else { return };
        let life = hosted.life;
        self.mail_head(match &hosted.ending {
            Some(failure) => PeerMessage::ActorEnded { actor, life, failure: Arc::clone(failure) },
            None => PeerMessage::ActorLost { actor, life, failure },
        });
        self.hosted_gone(actor, life);
    }

    /// A call has come, from this node or another.
    pub(crate) fn call_arrived(&mut self, actor: ActorId, spec: Arc<TaskSpec>, attempt: u32, life: u32) {
        let (id, owner) = (spec.id, spec.owner);
        // One that is to end takes no more; its caller learns why from the registry. Nor does a life take what was sent to the one before it: its
        // owner has counted it as lost, and perhaps made it again, by now.
        if self.hosted.get(&actor).is_none_or(|hosted| hosted.ending.is_some() || life < hosted.life) {
            let outcome = RunOutcome::NotRun;
            if owner == self.me {
                return self.task_answered(id, attempt, outcome, self.me);
            }
            return self
                .mail(owner, PeerMessage::Finished { task: id, attempt, outcome, owners: Vec::new() });
        }
        if owner != self.me {
            for object in spec.refs() {
                self.hold_for(spec.job, object);
            }
        }
        // The process of an earlier life may still be about to end, and have it.
        self.supersede_run(id);
        let consumed = self.consumed_before(id, &spec);
        let run = Run { consumed, ..Run::new(spec, attempt, ClassId(0), self.now) };
        self.runs.insert(id, run);
        if let Some(hosted) = self.hosted.get_mut(&actor) {
            hosted.mailbox.push_back(id);
        }
        self.advance_mailbox(actor);
    }

    /// Sends calls to the worker, in the order in which they came; ends an actor that is to end and has no more to do.
    pub(crate) fn advance_mailbox(&mut self, actor: ActorId) {
        loop {
            let Some(hosted) = self.hosted.get(&actor) else { return };
            let Some(worker) = hosted.worker else { return };
            if self.workers.get(&worker).is_some_and(|w| w.ended_for.is_some()) {
                // What has not been sent has not been run, and goes to the next life.
                return;
            }
            let in_flight = self.workers.get(&worker).map_or(0, |w| w.running.len());
            if hosted.mailbox.is_empty() {
                if hosted.ending.is_some() && in_flight == 0 {
                    self.stop_worker(worker, Stop::Gently);
                }
                return;
            }
            if in_flight >= AHEAD + hosted.spec.options.max_concurrency as usize {
                return;
            }
            let Some((at, call)) = self.next_in_mailbox(actor) else { return };
            if matches!(self.args_near(call), ArgsNear::Coming) {
                continue;
            }
            if let Some(hosted) = self.hosted.get_mut(&actor) {
                hosted.mailbox.remove(at);
            }
            self.dispatch(call, worker);
        }
    }

    /// The first call that may go: one whose arguments are still coming holds up those that its caller made after it, but nobody else's, and none that
    /// is made again, since that may be what gives the argument.
    fn next_in_mailbox(&self, actor: ActorId) -> Option<(usize, TaskId)> {
        let mut held_up = Vec::new();
        for (at, id) in self.hosted.get(&actor)?.mailbox.iter().take(OVERTAKEN_MAX).enumerate() {
            let Some(run) = self.runs.get(id) else { return Some((at, *id)) };
            let Kind::Call { caller, .. } = run.spec.kind else { continue };
            let caller = (run.spec.owner, caller);
            if matches!(run.state, RunState::Staging { .. }) {
                held_up.push(caller);
            } else if run.attempt > 1 || !held_up.contains(&caller) {
                return Some((at, *id));
            }
        }
        None
    }

    /// Takes a call out of its mailbox.
    pub(crate) fn unmail(&mut self, id: TaskId) {
        let Some(actor) = self.runs.get(&id).and_then(|run| run.spec.actor()) else { return };
        if let Some(hosted) = self.hosted.get_mut(&actor) {
            hosted.mailbox.retain(|t| *t != id);
        }
        self.advance_mailbox(actor);
    }

    /// The registry wants an actor ended.
    pub(crate) fn stop_actor(&mut self, actor: ActorId, life: u32, graceful: bool, failure: Arc<Failure>) {
        let Some(hosted) = self.hosted.get_mut(&actor).filter(|hosted| hosted.life == life) else { return };
        hosted.ending = Some(Arc::clone(&failure));
        let (worker, creation) = (hosted.worker, hosted.spec.creation.id);
        match worker {
            Some(_) if graceful => self.advance_mailbox(actor),
            Some(worker) => self.end_worker_for(worker, (*failure).clone()),
            None => match self.runs.get(&creation).map(|run| (run.state, run.worker)) {
                Some((RunState::Sent, Some(worker))) => self.end_worker_for(worker, (*failure).clone()),
                _ => {
                    self.unqueue(creation);
                    self.forget_creation_run(creation);
                    self.hosted_gone(actor, life);
                    if graceful {
                        // The registry waits for this word; of any other end it knows already.
                        self.mail_head(PeerMessage::ActorEnded { actor, life, failure });
                    }
                }
            },
        }
    }

    /// Whatever ends its worker next ends the actor for good, for this reason.
    pub(crate) fn end_hosted(&mut self, actor: ActorId, failure: &Failure) {
        if let Some(hosted) = self.hosted.get_mut(&actor) {
            hosted.ending = Some(Arc::new(failure.clone().of_actor(actor)));
        }
    }

    /// The actor asks to end.
    pub(crate) fn actor_exit(
        &mut self,
        session: SessionId,
        actor: ActorId,
        reason: Option<Box<Failure>>,
    ) -> Taken {
        let (worker, _) = self.worker_of(session)?;
        let failure = reason.map_or_else(
            || Failure::new(Code::ActorDied, "The actor ended itself.").of_actor(actor),
            |failure| *failure,
        );
        let Some(hosted) = self.hosted.get_mut(&actor).filter(|hosted| hosted.worker == Some(worker)) else {
            return Ok(());
        };
        hosted.ending = Some(Arc::new(failure));
        // What has not started will not: another caller's call must not run on an actor that wants to be gone.
        for id in std::mem::take(&mut hosted.mailbox) {
            self.run_over(id, RunOutcome::NotRun);
        }
        self.advance_mailbox(actor);
        Ok(())
    }

    /// The worker of an actor is gone.
    pub(crate) fn actor_worker_gone(&mut self, actor: ActorId, worker: WorkerId, failure: &Arc<Failure>) {
        let Some(hosted) = self.hosted.get(&actor).filter(|hosted| hosted.worker == Some(worker)) else {
            return;
        };
        let life = hosted.life;
        let message = match &hosted.ending {
            Some(failure) => PeerMessage::ActorEnded { actor, life, failure: Arc::clone(failure) },
            None => PeerMessage::ActorLost { actor, life, failure: Arc::clone(failure) },
        };
        self.mail_head(message);
        self.hosted_gone(actor, life);
    }

    fn hosted_gone(&mut self, actor: ActorId, life: u32) {
        if self.hosted.get(&actor).is_none_or(|hosted| hosted.life != life) {
            return;
        }
        if let Some(hosted) = self.hosted.remove(&actor) {
            for id in hosted.mailbox {
                self.run_over(id, RunOutcome::NotRun);
            }
            // It may have been the last that acted for a job whose driver is gone.
            self.end_rights();
        }
    }

    /// The actor that a worker is.
    pub(crate) fn actor_of_worker(&self, worker: WorkerId) -> Option<ActorId> {
        match self.workers.get(&worker)?.state {
            WorkerState::Actor(actor) => Some(actor),
            _ => None,
        }
    }
}

/// What every call on an actor that was never made fails with.
pub(super) fn could_not_be_created(actor: ActorId, name: &str, cause: &Failure) -> Failure {
    let message = format!("The actor {name} could not be created: {}", cause.message);
    Failure::new(Code::ActorDied, message).of_actor(actor).caused_by(cause.clone())
}
