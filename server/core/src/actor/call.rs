//! The callers' side: creating, calling in order, and what becomes of calls when the actor is lost.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use thornback_types::{ActorId, Code, Failure, NodeId, ObjectId, SessionId, TaskId};

use crate::actor::host::could_not_be_created;
use crate::actor::unknown_actor;
use crate::effect::{Effect, Reply};
use crate::input::{ActorOptions, Arg, Retries};
use crate::map::Seed;
use crate::message::{ActorSpec, ActorState, PeerMessage, contained_in};
use crate::node::{Node, Taken};
use crate::table::Table;
use crate::task::{Kind, RunState, TaskSpec, TaskState};

/// What this node knows of an actor that its sessions call.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) state: ActorState,
    /// Where its present life is or was: what was sent there may still run, whatever has become of the actor since.
    home: Option<(NodeId, u32)>,
    /// Calls that have not been sent, by caller, in order.
    queues: BTreeMap<SessionId, VecDeque<TaskId>>,
    /// Sent, with the life that they were sent to.
    sent: Table<TaskId, u32>,
    /// Lost with a life of the actor; the registry's next word decides.
    limbo: Vec<(TaskId, u32, Arc<Failure>)>,
    /// Calls of each session that are not over.
    pending: BTreeMap<SessionId, u32>,
    max_pending: Option<u32>,
    /// It lives again when it is lost, as far as this node knows.
    restarts: bool,
    /// It was asked to end gracefully, for this reason: it takes no new calls, and the registry is told once those in the queues are sent.
    closing: Option<Closing>,
    /// This node created it: how, and whether the request wants an answer.
    creation: Option<Creation>,
}

#[derive(Debug)]
struct Closing {
    failure: Arc<Failure>,
    told: bool,
}

#[derive(Debug)]
struct Creation {
    options: ActorOptions,
    namespace: String,
    reply: Option<(SessionId, u64)>,
}

impl Called {
    /// Whether its creation is over, for now.
    pub(crate) fn was_made(&self) -> bool {
        matches!(self.state, ActorState::Alive { .. } | ActorState::Dead { .. })
    }

    fn new(seed: u64) -> Called {
        Called {
            state: ActorState::Pending,
            home: None,
            queues: BTreeMap::new(),
            sent: Table::new(Seed(seed)),
            limbo: Vec::new(),
            pending: BTreeMap::new(),
            max_pending: None,
            restarts: false,
            closing: None,
            creation: None,
        }
    }

    fn is_unused(&self) -> bool {
        self.pending.is_empty() && self.creation.is_none()
    }
}

impl Node {
    pub(crate) fn create_actor(
        &mut self,
        session: SessionId,
        actor: ActorId,
        declaration: u32,
        mut args: Vec<Arg>,
        options: ActorOptions,
        reply: Option<u64>,
    ) -> Taken {
        if self.called.contains_key(&actor) {
            return Err(Box::new(Failure::new(
                Code::DuplicateId,
                format!("The actor {actor} exists already."),
            )));
        }
        let id = actor.creation();
        let may = self.screen_args(session, &mut args);
        let spec = self.new_spec(session, id, declaration, args, None, Kind::Create(actor))?;
        let namespace = options.namespace.clone().unwrap_or_else(|| self.namespace_of(session));
        let spec = TaskSpec { is_of_detached_actor: options.detached, ..spec };
        if options.detached {
            self.give(spec.job, ObjectId(actor.0));
        } else {
            self.new_output(session, ObjectId(actor.0), spec.job);
        }
        let mut called = Called::new(self.config.seed);
        called.max_pending = options.max_pending_calls;
        called.restarts = options.max_restarts != Retries::Limited(0);
        called.creation = Some(Creation { options, namespace, reply: reply.map(|number| (session, number)) });
        self.called.insert(actor, called);
        self.add_task(session, Arc::new(spec));
        self.begin(id, may);
        Ok(())
    }

    /// The constructor's arguments are ready: the registry may choose a home.
    pub(crate) fn register_actor(&mut self, actor: ActorId) {
        let id = actor.creation();
        let Some(task) = self.tasks.get(&id) else { return };
        let (spec, submitter) = (Arc::clone(&task.spec), task.submitter);
        let pool = match self.pool_for(&spec, submitter, id) {
            Ok(Some(pool)) => self.pools.by_number.get(&pool).map(|p| Arc::clone(&p.pool)),
            Ok(None) => return,
            Err(failure) => return self.end_task(id, &failure, true),
        };
        if let Some(task) = self.tasks.get_mut(&id) {
            task.state = TaskState::Calling;
        }
        let group_of = self.group_of(&spec, submitter);
        let (args, stored) = self.args_for_afar(&spec);
        let creation = Arc::new(TaskSpec { args, pool, ..(*spec).clone() });
        let owners = creation
            .refs()
            .chain(contained_in(&stored))
            .map(|object| (object, self.owner_of(object)))
            .collect();
        let Some(made) = self.called.get_mut(&actor).and_then(|called| called.creation.as_mut()) else {
            return;
        };
        let actor = Arc::new(ActorSpec {
            actor,
            options: made.options.clone(),
            namespace: made.namespace.clone(),
            owner: self.me,
            job: spec.job,
            group_of,
            creation,
            stored,
            owners,
        });
        let reply = made.reply.take();
        self.mail_head(PeerMessage::RegisterActor { actor, reply });
    }

    /// The creation's arguments can never be had: the registry has not heard of the actor, and need not.
    pub(crate) fn creation_failed(&mut self, actor: ActorId, failure: &Arc<Failure>) {
        let reply = self
            .called
            .get_mut(&actor)
            .and_then(|called| called.creation.as_mut())
            .and_then(|creation| creation.reply.take());
        if let Some((session, number)) = reply {
            self.answer(session, number, Reply::Failure(Box::new((**failure).clone())));
            self.session_drop(session, ObjectId(actor.0));
        }
        let failure = if failure.is(Code::ActorDied) {
            Arc::clone(failure)
        } else {
            let name = self.tasks.get(&actor.creation()).map_or("", |task| &task.spec.declaration.name);
            Arc::new(could_not_be_created(actor, name, failure))
        };
        self.actor_state(actor, ActorState::Dead { failure });
    }

    pub(crate) fn answer(&mut self, session: SessionId, number: u64, reply: Reply) {
        self.out.push(Effect::Send { session, message: crate::effect::Message::Reply { number, reply } });
    }

    pub(crate) fn call(
        &mut self,
        session: SessionId,
        id: TaskId,
        actor: ActorId,
        declaration: u32,
        mut args: Vec<Arg>,
        parent: Option<TaskId>,
    ) -> Taken {
        let may_call = self.may_use(session, ObjectId(actor.0));
        let may = self.screen_args(session, &mut args);
        let spec =
            self.new_spec(session, id, declaration, args, parent, Kind::Call { actor, caller: session })?;
        let seed = self.config.seed;
        if may_call && let Entry::Vacant(unheard) = self.called.entry(actor) {
            unheard.insert(Called::new(seed));
            self.mail_head(PeerMessage::SubscribeActor { actor });
        }
        self.hold(ObjectId(actor.0));
        self.add_task(session, Arc::new(spec));
        if let Some(task) = self.tasks.get_mut(&id) {
            task.state = TaskState::Calling;
        }
        let Some(called) = self.called.get_mut(&actor) else {
            self.end_task(id, &unknown_actor(actor), true);
            return Ok(());
        };
        let pending = called.pending.entry(session).or_insert(0);
        *pending += 1;
        if !may_call {
            self.end_task(id, &unknown_actor(actor), true);
            return Ok(());
        }
        if let Some(max) = called.max_pending.filter(|max| *pending > *max) {
            let failure = Failure::new(
                Code::PendingCallsLimit,
                format!("{max} calls wait on this actor already; wait for some of them."),
            )
            .with("limit", max);
            self.end_task(id, &failure, true);
            return Ok(());
        }
        let closing = called.closing.as_ref().map(|closing| &closing.failure);
        let over = match &called.state {
            ActorState::Dead { failure } => Some(failure),
            _ => closing,
        };
        if let Some(failure) = over {
            let failure = Arc::clone(failure);
            self.finish_failed(id, failure);
            return Ok(());
        }
        called.queues.entry(session).or_default().push_back(id);
        self.begin(id, may);
        Ok(())
    }

    /// Sends what may be sent now.
    pub(crate) fn advance_calls(&mut self, actor: ActorId) {
        let Some(called) = self.called.get(&actor) else { return };
        if !matches!(called.state, ActorState::Alive { .. }) {
            return;
        }
        let callers: Vec<SessionId> = called.queues.keys().copied().collect();
        for caller in callers {
            while let Some((id, node, life)) = self.next_call(actor, caller) {
                if let Some(called) = self.called.get_mut(&actor) {
                    called.sent.insert(id, life);
                }
                self.send_call(actor, id, node, life);
            }
        }
        self.close_when_sent(actor);
    }

    fn next_call(&mut self, actor: ActorId, caller: SessionId) -> Option<(TaskId, NodeId, u32)> {
        let called = self.called.get_mut(&actor)?;
        let ActorState::Alive { node, life, .. } = called.state else { return None };
        let queue = called.queues.get_mut(&caller)?;
        while let Some(id) = queue.front().copied() {
            match self.tasks.get(&id) {
                Some(task) if task.missing > 0 => return None,
                Some(_) => {
                    queue.pop_front();
                    return Some((id, node, life));
                }
                // It was cancelled.
                None => {
                    queue.pop_front();
                }
            }
        }
        called.queues.remove(&caller);
        None
    }

    fn send_call(&mut self, actor: ActorId, id: TaskId, node: NodeId, life: u32) {
        let of_actor = match self.called.get(&actor).map(|called| &called.state) {
            Some(ActorState::Alive { retries, .. }) => *retries,
            _ => Retries::Limited(0),
        };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.state = TaskState::Calling;
        if task.attempt == 1 && task.spec.declaration.max_retries == Retries::Limited(0) {
            task.retries = of_actor;
        }
        let (spec, attempt) = (Arc::clone(&task.spec), task.attempt);
        if node == self.me {
            return self.call_arrived(actor, spec, attempt, life);
        }
        let (args, stored) = self.args_for_afar(&spec);
        let spec = Arc::new(TaskSpec { args, ..(*spec).clone() });
        let owners = self.grant_all(node, spec.refs().chain(contained_in(&stored)));
        let consumed = self.consumed_before(id, &spec);
        self.mail(node, PeerMessage::Assign { spec, attempt, life, stored, owners });
        if consumed > 0 {
            self.mail(node, PeerMessage::ResumeRun { task: id, attempt, consumed });
        }
    }

    /// The registry says what became of an actor.
    pub(crate) fn actor_state(&mut self, actor: ActorId, state: ActorState) {
        let Some(called) = self.called.get_mut(&actor) else { return };
        if matches!(called.state, ActorState::Dead { .. }) {
            return;
        }
        called.state = state.clone();
        if let ActorState::Alive { node, life, .. } = state {
            called.home = Some((node, life));
        }
        let limbo = std::mem::take(&mut called.limbo);
        match state {
            ActorState::Dead { failure } => self.actor_died(actor, &failure, limbo),
            ActorState::Pending => {
                if let Some(called) = self.called.get_mut(&actor) {
                    called.limbo = limbo;
                }
            }
            ActorState::Alive { life, .. } | ActorState::Restarting { life } => {
                self.actor_lives_on(actor, life, limbo);
                self.advance_calls(actor);
            }
        }
    }

    /// Calls that an earlier life took with it run again if they may, before all that came after them.
    fn actor_lives_on(&mut self, actor: ActorId, life: u32, mut limbo: Vec<(TaskId, u32, Arc<Failure>)>) {
        let Some(called) = self.called.get_mut(&actor) else { return };
        // Those whose answer has not even come: their host is another node, and gone.
        let gone = Arc::new(Failure::new(Code::WorkerDied, "The process in which it lived is gone."));
        let silent = called.sent.sorted_keys(|_, sent_to| *sent_to < life);
        for id in silent {
            if let Some(sent_to) = called.sent.remove(&id) {
                limbo.push((id, sent_to, Arc::clone(&gone)));
            }
        }
        let (old, still): (Vec<_>, Vec<_>) = limbo.into_iter().partition(|(_, sent_to, _)| *sent_to < life);
        called.limbo = still;
        let mut again = Vec::new();
        for (id, _, failure) in old {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if task.retries.spend() {
                task.attempt += 1;
                again.push(id);
            } else {
                let message = format!(
                    "The actor was lost during this call and is restarting; the call may have run. {}",
                    failure.message
                );
                self.finish_failed(
                    id,
                    Arc::new(Failure::new(Code::ActorUnavailable, message).of_actor(actor)),
                );
            }
        }
        self.queue_again(actor, again);
    }

    /// Puts calls back into their callers' queues, where they stood: those queues are in the order in which calls were made.
    fn queue_again(&mut self, actor: ActorId, calls: Vec<TaskId>) {
        for id in calls {
            let Some(Kind::Call { caller, .. }) = self.tasks.get(&id).map(|task| task.spec.kind) else {
                continue;
            };
            if let Some(called) = self.called.get_mut(&actor) {
                called.sent.remove(&id);
                let queue = called.queues.entry(caller).or_default();
                let order = |id: &TaskId| self.tasks.get(id).map(|task| task.order);
                let at = queue.partition_point(|other| order(other) < order(&id));
                queue.insert(at, id);
            }
        }
    }

    fn actor_died(
        &mut self,
        actor: ActorId,
        failure: &Arc<Failure>,
        limbo: Vec<(TaskId, u32, Arc<Failure>)>,
    ) {
        let Some(called) = self.called.get_mut(&actor) else { return };
        let mut calls: Vec<TaskId> = limbo.into_iter().map(|(id, ..)| id).collect();
        calls.extend(called.sent.sorted_keys(|_, _| true));
        calls.extend(std::mem::take(&mut called.queues).into_values().flatten());
        for id in calls {
            if let Some(run) = self.runs.get(&id).map(|run| run.state)
                && run != RunState::Sent
            {
                self.unmail(id);
                self.discard_run(id);
            }
            self.finish_failed(id, Arc::clone(failure));
        }
        let Some(called) = self.called.get_mut(&actor) else { return };
        let asked = called.creation.take().and_then(|creation| creation.reply);
        if let Some((session, number)) = asked {
            // It ended before the registry had heard of it.
            self.answer(session, number, Reply::Failure(Box::new((**failure).clone())));
        }
        // The request made nothing, so there is nothing to count.
        if failure.is(Code::ActorNameTaken)
            && let Some(submitter) = self.tasks.get(&actor.creation()).map(|task| task.submitter)
        {
            self.session_drop(submitter, ObjectId(actor.0));
        }
        // The creation's arguments were kept for restarts.
        self.forget_task(actor.creation());
        self.forget_called_if_unused(actor);
    }

    /// A dead actor that nobody holds need not be remembered here: the registry does.
    pub(crate) fn forget_called_if_unused(&mut self, actor: ActorId) {
        let dead = self
            .called
            .get(&actor)
            .is_some_and(|called| matches!(called.state, ActorState::Dead { .. }) && called.is_unused());
        if dead && !self.objects.contains_key(&ObjectId(actor.0)) {
            self.called.remove(&actor);
        }
    }

    /// The actor's worker is gone, and perhaps the call was run: the registry's word comes soon.
    pub(crate) fn call_lost(&mut self, id: TaskId, failure: Arc<Failure>) {
        let Some(actor) = self.tasks.get(&id).and_then(|task| task.spec.actor()) else { return };
        let Some(called) = self.called.get_mut(&actor) else { return };
        let sent_to = called.sent.remove(&id).unwrap_or(0);
        match &called.state {
            ActorState::Dead { failure } => {
                let failure = Arc::clone(failure);
                self.finish_failed(id, failure);
            }
            ActorState::Alive { life, .. } | ActorState::Restarting { life } if *life > sent_to => {
                let life = *life;
                self.actor_lives_on(actor, life, vec![(id, sent_to, failure)]);
                self.advance_calls(actor);
            }
            _ => called.limbo.push((id, sent_to, failure)),
        }
    }

    /// The call never started: it waits for the actor's next life, and spends nothing.
    pub(crate) fn call_not_run(&mut self, id: TaskId) {
        let Some(actor) = self.tasks.get(&id).and_then(|task| task.spec.actor()) else { return };
        let Some(called) = self.called.get_mut(&actor) else { return };
        let sent_to = called.sent.remove(&id).unwrap_or(0);
        match &called.state {
            ActorState::Dead { failure } => {
                let failure = Arc::clone(failure);
                return self.finish_failed(id, failure);
            }
            // What this node believes is out of date; asking again at once would go round in circles.
            ActorState::Alive { life, .. } if *life == sent_to => {
                called.state = ActorState::Restarting { life: sent_to }
            }
            _ => {}
        }
        self.queue_again(actor, vec![id]);
        self.advance_calls(actor);
    }

    /// A call is over, one way or another.
    pub(crate) fn call_over(&mut self, actor: ActorId, caller: SessionId, id: TaskId) {
        if let Some(called) = self.called.get_mut(&actor) {
            called.sent.remove(&id);
            if let Some(pending) = called.pending.get_mut(&caller) {
                *pending -= 1;
                if *pending == 0 {
                    called.pending.remove(&caller);
                }
            }
        }
        self.release(ObjectId(actor.0), 1);
        self.forget_called_if_unused(actor);
    }

    /// Whether an actor comes back after a loss, and has not died yet.
    pub(crate) fn actor_restarts(&self, actor: ActorId) -> bool {
        self.called
            .get(&actor)
            .is_some_and(|called| called.restarts && !matches!(called.state, ActorState::Dead { .. }))
    }

    /// A call that was over is made again, before those that wait and were made after it.
    pub(crate) fn call_again(&mut self, actor: ActorId, caller: SessionId, id: TaskId) {
        self.hold(ObjectId(actor.0));
        if let Some(called) = self.called.get_mut(&actor) {
            *called.pending.entry(caller).or_insert(0) += 1;
        }
        self.queue_again(actor, vec![id]);
    }

    /// A call that failed and may be tried again goes back to its place in its caller's queue.
    pub(crate) fn call_again_after_failure(&mut self, actor: ActorId, id: TaskId) {
        if let Some(ActorState::Dead { failure }) = self.called.get(&actor).map(|called| &called.state) {
            let failure = Arc::clone(failure);
            return self.finish_failed(id, failure);
        }
        self.queue_again(actor, vec![id]);
        self.when_dependencies_are_ready(id);
    }

    /// Takes a call that its owner has ended out of the queues, and stops it where it runs.
    pub(crate) fn forget_call(&mut self, id: TaskId, interrupt: bool, code: Code) {
        let Some((Kind::Call { actor, caller }, attempt)) =
            self.tasks.get(&id).map(|task| (task.spec.kind, task.attempt))
        else {
            return;
        };
        if let Some(node) = self.host_elsewhere(id) {
            self.mail(node, PeerMessage::CancelRun { task: id, attempt, force: false, code });
        }
        match self.runs.get(&id).map(|run| run.state) {
            Some(RunState::Sent) if interrupt => self.interrupt(id, code),
            Some(RunState::Sent) | None => {}
            Some(_) => {
                self.unmail(id);
                self.discard_run(id);
            }
        }
        if let Some(queue) = self.called.get_mut(&actor).and_then(|called| called.queues.get_mut(&caller)) {
            queue.retain(|t| *t != id);
        }
        if let Some(called) = self.called.get_mut(&actor) {
            called.limbo.retain(|(t, ..)| *t != id);
        }
        // What waited behind it may go now.
        self.advance_calls(actor);
    }

    /// The other node that a call was sent to.
    pub(crate) fn host_elsewhere(&self, id: TaskId) -> Option<NodeId> {
        let called = self.called.get(&self.tasks.get(&id)?.spec.actor()?)?;
        let sent_to = called.sent.get(&id)?;
        called.home.filter(|(node, life)| life == sent_to && *node != self.me).map(|(node, _)| node)
    }

    /// A session that made calls is gone.
    pub(crate) fn forget_caller(&mut self, session: SessionId) {
        let worker_calls: Vec<TaskId> =
            self.called.values_mut().filter_map(|called| called.queues.remove(&session)).flatten().collect();
        let failure = Failure::new(Code::Cancelled, "The caller is gone.");
        for id in worker_calls {
            self.end_task(id, &failure, true);
        }
    }

    /// Asks the registry to end an actor.
    pub(crate) fn kill_actor(
        &mut self,
        session: SessionId,
        actor: ActorId,
        restart: bool,
        graceful: bool,
    ) -> Taken {
        if !self.may_use(session, ObjectId(actor.0)) {
            return Ok(());
        }
        let failure = Arc::new(Failure::new(Code::ActorDied, "The actor was killed.").of_actor(actor));
        self.end_unregistered(actor, &failure);
        match self.called.get_mut(&actor) {
            Some(called) if graceful => {
                called.closing.get_or_insert(Closing { failure, told: false });
                self.close_when_sent(actor);
            }
            _ => self.mail_head(PeerMessage::KillActor { actor, restart, graceful, failure }),
        }
        Ok(())
    }

    /// The registry has not heard of an actor whose constructor's arguments are not ready, and must not hear of it any more.
    fn end_unregistered(&mut self, actor: ActorId, failure: &Failure) {
        if self.tasks.get(&actor.creation()).is_some_and(|task| task.state == TaskState::Waiting) {
            self.end_task(actor.creation(), failure, true);
        }
    }

    /// Tells the registry of a graceful end once nothing waits here for its arguments any more: what the host has then is what is still run.
    fn close_when_sent(&mut self, actor: ActorId) {
        let Some(called) = self.called.get_mut(&actor) else { return };
        let waits = called.queues.values().any(|queue| !queue.is_empty());
        let Some(closing) = called.closing.as_mut().filter(|closing| !closing.told && !waits) else { return };
        closing.told = true;
        let failure = Arc::clone(&closing.failure);
        self.mail_head(PeerMessage::KillActor { actor, restart: false, graceful: true, failure });
    }

    /// No handle is left.
    pub(crate) fn actor_unreferenced(&mut self, actor: ActorId) {
        let failure =
            Arc::new(Failure::new(Code::ActorDied, "No handle to the actor is left.").of_actor(actor));
        self.end_unregistered(actor, &failure);
        // One that is dead was never registered, or the registry has said so.
        let is_dead = |called: &Called| matches!(called.state, ActorState::Dead { .. });
        if !self.called.get(&actor).is_some_and(is_dead) {
            self.mail_head(PeerMessage::KillActor { actor, restart: false, graceful: true, failure });
        }
        self.forget_called_if_unused(actor);
    }
}
