//! Which task goes to which worker, and when.
//!
//! Queued tasks of one pool, job, demand and bundle form a *class*. A worker that runs tasks of a class *leases* the class's resources, once however
//! many tasks follow each other on it. Short tasks are sent ahead of their turn, so that a worker never waits for the node; those behind a task that
//! turns out long, or that waits for objects, are recalled. Classes take turns.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use thornback_types::{Code, Failure, JobId, PlacementGroupId, Resources, SessionId, TaskId, WorkerId};

use crate::effect::{Message, Stop};
use crate::message::RunOutcome;
use crate::node::ahead::{Estimate, Heard};
use crate::node::bundle::group_gone;
use crate::node::timer::Timer;
use crate::node::worker::{BEGIN_WITHIN, OVERTAKE_AFTER, WorkerState};
use crate::node::{Node, Taken};
use crate::task::{Kind, RunState};

/// A class that others wait for gives its workers up after this long.
const TURN: Duration = Duration::from_millis(10);

/// A class by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassId(pub(crate) u32);

/// What tasks of one class have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassKey {
    pub(crate) pool: u32,
    /// In a pool that serves all jobs, one that queues a million tasks must not be in the way of the others.
    pub(crate) job: JobId,
    pub(crate) demand: Resources,
    pub(crate) bundle: Option<(PlacementGroupId, Option<u32>)>,
    /// Needs a worker of its own: the creation of an actor.
    pub(crate) dedicated: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) key: Arc<ClassKey>,
    pub(crate) queue: VecDeque<TaskId>,
    pub(crate) leased: Vec<WorkerId>,
    /// How long its tasks take.
    pub(crate) estimate: Estimate,
    /// Tasks whose arguments are being brought near.
    pub(crate) staging: usize,
    /// This node can never run it.
    pub(crate) infeasible: bool,
    /// The user was told so, or soon will be.
    pub(crate) noticed: bool,
}

impl Node {
    /// Queues a run on this node.
    pub(crate) fn enqueue(&mut self, task: TaskId) {
        let Some(run) = self.runs.get_mut(&task) else { return };
        run.state = RunState::Queued;
        let class = run.class;
        self.enqueue_in(class, task);
    }

    pub(crate) fn enqueue_in(&mut self, id: ClassId, task: TaskId) {
        let Some(class) = self.classes.get_mut(&id) else { return };
        class.queue.push_back(task);
        if class.queue.len() == 1 {
            self.waiting.insert(id);
            if class.infeasible && !class.noticed {
                class.noticed = true;
                self.timers.insert((self.now + self.config.infeasible_notice, Timer::Infeasible(id)));
            }
        }
        // One more at the end of a long queue changes nothing: the first of it could not be sent, and no more workers may be started.
        self.schedule_due |= class.queue.len() <= self.config.workers_per_pool + 1;
    }

    /// Back to where it came from: it goes before those that came later.
    pub(crate) fn requeue_front(&mut self, task: TaskId) {
        let Some(run) = self.runs.get_mut(&task) else { return };
        run.state = RunState::Queued;
        run.worker = None;
        if let Some(failure) = run.interrupted.take() {
            // The interrupt crossed its way back: it has not started, and must not.
            self.unmail(task);
            return self.run_failed(task, *failure);
        }
        if let Kind::Call { actor, .. } = run.spec.kind {
            // It stands in its actor's mailbox, and held up what came behind it.
            return self.advance_mailbox(actor);
        }
        if let Some((group, _)) = run.spec.declaration.placement
            && self.bundles.range((group, 0)..=(group, u32::MAX)).next().is_none()
        {
            // Its group was removed while it was with a worker. Its owner says what becomes of it.
            return match run.spec.kind {
                Kind::Task => self.run_over(task, RunOutcome::NotRun),
                _ => self.run_failed(task, group_gone(group)),
            };
        }
        if let Some(class) = self.classes.get_mut(&run.class) {
            class.queue.push_front(task);
            self.waiting.insert(run.class);
            self.schedule_due = true;
        }
    }

    pub(crate) fn class_for(&mut self, key: ClassKey) -> ClassId {
        if let Some(id) = self.class_ids.get(&key) {
            return *id;
        }
        let id = ClassId(self.next_class);
        self.next_class += 1;
        let key = Arc::new(key);
        self.class_ids.insert(Arc::clone(&key), id);
        let infeasible = key.bundle.is_none() && !self.config.resources.fits(&key.demand);
        let class = Class {
            key,
            queue: VecDeque::new(),
            leased: Vec::new(),
            estimate: Estimate::default(),
            staging: 0,
            infeasible,
            noticed: false,
        };
        self.classes.insert(id, class);
        id
    }

    /// Forgets classes that nothing uses, once there are many of them.
    fn prune_classes(&mut self) {
        if self.classes.len() < 1024 {
            return;
        }
        let in_use: std::collections::BTreeSet<ClassId> = self
            .runs
            .sorted_keys(|_, _| true)
            .iter()
            .filter_map(|task| self.runs.get(task).map(|run| run.class))
            .collect();
        self.forget_routes();
        self.classes.retain(|id, class| in_use.contains(id) || !class.leased.is_empty());
        self.class_ids.retain(|_, id| self.classes.contains_key(id));
    }

    /// Lets every class in turn have what it can get, beginning with the one after that which was served last.
    pub(crate) fn schedule(&mut self) {
        self.schedule_due = false;
        if self.waiting.is_empty() {
            self.prune_classes();
            return;
        }
        let last = self.last_served;
        self.serve_between(Bound::Excluded(last), Bound::Unbounded);
        self.serve_between(Bound::Unbounded, Bound::Included(last));
    }

    fn serve_between(&mut self, mut from: Bound<ClassId>, to: Bound<ClassId>) {
        while let Some(id) = self.waiting.range((from, to)).next().copied() {
            if self.serve(id) {
                self.last_served = id;
            }
            from = Bound::Excluded(id);
        }
    }

    /// Whether a task was sent.
    fn serve(&mut self, id: ClassId) -> bool {
        let (mut served, mut staged) = (false, false);
        // More workers are asked for once, by the first task that finds none idle: the queue is longest then.
        let mut asked = false;
        while let Some(task) = self.classes.get(&id).and_then(|class| class.queue.front().copied()) {
            match self.args_near(task) {
                ArgsNear::Yes => {}
                ArgsNear::Coming => {
                    // Bring near what the next ones need as well, but no more than can soon run: near objects cannot be spilled.
                    self.pop_front(id);
                    staged = true;
                    if self.classes.get(&id).is_none_or(|class| class.staging > class.leased.len() + 1) {
                        break;
                    }
                    continue;
                }
            }
            let Some(worker) = self.pick_worker(id, task, &mut asked) else { break };
            self.pop_front(id);
            served = true;
            self.dispatch(task, worker);
        }
        if staged {
            self.end_idle_leases(id);
        }
        served
    }

    /// What kept the leases of a class that has nothing queued any more was taken out of its queue: workers without anything to run are given back.
    fn end_idle_leases(&mut self, id: ClassId) {
        let Some(class) = self.classes.get(&id).filter(|class| class.queue.is_empty()) else { return };
        let has_nothing = |worker: &WorkerId| self.workers.get(worker).is_some_and(|w| w.running.is_empty());
        let idle: Vec<WorkerId> = class.leased.iter().copied().filter(has_nothing).collect();
        for worker in idle {
            self.lease_over(worker);
        }
    }

    fn pop_front(&mut self, id: ClassId) {
        if let Some(class) = self.classes.get_mut(&id) {
            class.queue.pop_front();
            if class.queue.is_empty() {
                self.waiting.remove(&id);
            }
        }
    }

    /// Takes a task out of its queue, wherever it stands.
    pub(crate) fn unqueue(&mut self, task: TaskId) {
        let Some(run) = self.runs.get(&task) else { return };
        let id = run.class;
        let state = run.state;
        if let Some(class) = self.classes.get_mut(&id) {
            match state {
                RunState::Queued => class.queue.retain(|t| *t != task),
                RunState::Staging { .. } => class.staging = class.staging.saturating_sub(1),
                RunState::Sent => {}
            }
            if class.queue.is_empty() {
                self.waiting.remove(&id);
                self.end_idle_leases(id);
            }
        }
    }

    /// The worker for the first task of a class, if there is one. Where none is idle, more are started, unless they were `asked` for already.
    fn pick_worker(&mut self, id: ClassId, task: TaskId, asked: &mut bool) -> Option<WorkerId> {
        let class = self.classes.get(&id)?;
        let (pool, estimate) = (class.key.pool, class.estimate);
        let mut best: Option<(usize, WorkerId, WorkerState)> = None;
        if !class.key.dedicated {
            for worker in &class.leased {
                let Some(w) = self.workers.get(worker).filter(|w| w.blocked == 0 && w.ended_for.is_none())
                else {
                    continue;
                };
                if w.running.is_empty() {
                    return Some(*worker);
                }
                // What is sent behind a task that takes long would only be recalled.
                let moves = self.now.since(w.head_since) < OVERTAKE_AFTER;
                if moves && best.is_none_or(|(least, ..)| w.running.len() < least) {
                    best = Some((w.running.len(), *worker, w.state));
                }
            }
        }
        let has_idle = self.pools.by_number.get(&pool).is_some_and(|pool| !pool.idle.is_empty());
        if has_idle || !*asked {
            if let Some(worker) = self.lease_idle(id) {
                return Some(worker);
            }
            *asked = true;
        }
        let (running, worker, state) = best?;
        let ahead = estimate.ahead();
        let contended = self.waiting.len() > 1
            && matches!(state, WorkerState::Leased { since, .. } if self.now.since(since) > TURN);
        // A task that may run only once must not be behind another: if the worker died, nobody could tell whether it had started.
        (!contended && (running as u64) <= ahead && !self.runs_once(task)).then_some(worker)
    }

    /// An idle worker with the class's resources, or a start of one.
    fn lease_idle(&mut self, id: ClassId) -> Option<WorkerId> {
        let class = self.classes.get(&id)?;
        let pool = class.key.pool;
        let (key, queued) = (Arc::clone(&class.key), class.queue.len());
        let bundle = self.fitting_bundle(&key)?;
        let Some(worker) = self.pools.by_number.get_mut(&pool)?.idle.pop() else {
            self.start_for(&key, bundle, queued);
            return None;
        };
        self.take_resources(bundle, &key.demand);
        let now = self.now;
        let w = self.workers.get_mut(&worker)?;
        w.held.clone_from(&key.demand);
        w.bundle = bundle;
        w.state = WorkerState::Leased { class: id, since: now };
        w.head_since = now;
        self.classes.get_mut(&id)?.leased.push(worker);
        Some(worker)
    }

    fn start_for(&mut self, key: &ClassKey, bundle: Option<(PlacementGroupId, u32)>, queued: usize) {
        let (mut starting, mut counted) = (0, 0);
        for worker in self.workers.values().filter(|w| w.pool == key.pool) {
            match worker.state {
                WorkerState::Starting => starting += 1,
                WorkerState::Actor(_) => continue,
                _ if worker.blocked > 0 => continue,
                _ => {}
            }
            counted += 1;
        }
        let have = self.resources_at(bundle);
        let fit =
            key.demand.iter().map(|(name, amount)| have.get(name) / amount.max(1)).min().unwrap_or(u64::MAX);
        let fit = usize::try_from(fit).unwrap_or(usize::MAX);
        let room = self.config.workers_per_pool.saturating_sub(counted);
        let wanted = queued.min(fit).saturating_sub(starting).min(room);
        for _ in 0..wanted {
            self.start_worker(key.pool);
        }
    }

    /// A worker has nothing sent to it any more: keep the lease if its class has more, else give it back.
    pub(crate) fn lease_over(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let WorkerState::Leased { class, since } = worker.state else { return };
        let others_wait = self.waiting.iter().any(|other| *other != class);
        let more = self.waiting.contains(&class) && !(others_wait && self.now.since(since) > TURN);
        if more && worker.ended_for.is_none() {
            self.schedule_due = true;
            return;
        }
        self.end_lease(id);
        self.make_idle(id);
    }

    pub(crate) fn end_lease(&mut self, id: WorkerId) {
        let Some(mut worker) = self.workers.remove(&id) else { return };
        if let WorkerState::Leased { class, .. } = worker.state
            && let Some(class) = self.classes.get_mut(&class)
        {
            class.leased.retain(|w| *w != id);
        }
        self.give_back(&mut worker);
        self.workers.insert(id, worker);
        self.schedule_due = true;
    }

    /// Notes how long a task of a class took.
    pub(crate) fn learn(&mut self, class: ClassId, heard: Heard) {
        if let Some(class) = self.classes.get_mut(&class) {
            class.estimate.note(heard);
        }
    }

    pub(crate) fn arm_overtake(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.running.len() > 1 && !worker.overtake_armed {
            worker.overtake_armed = true;
            let at = worker.head_since + OVERTAKE_AFTER;
            self.at(at.max(self.now), Timer::Overtake(id));
        }
    }

    /// Recalls what waits behind a task that takes long.
    ///
    /// A worker that has answered nothing yet may be waiting for a processor itself. It is given longer as long as nobody else could run what it has.
    pub(crate) fn overtake(&mut self, id: WorkerId) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.overtake_armed = false;
        let (WorkerState::Leased { class, .. }, true) = (worker.state, worker.running.len() > 1) else {
            return;
        };
        let (took, first) = (now.since(worker.head_since), worker.first);
        if took < OVERTAKE_AFTER {
            self.arm_overtake(id);
            return;
        }
        if first && took < BEGIN_WITHIN && !self.has_room_for(class) {
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.overtake_armed = true;
            }
            return self.at(now + OVERTAKE_AFTER, Timer::Overtake(id));
        }
        self.learn(class, Heard::Nothing(took));
        self.recall(id);
    }

    /// Whether another worker could be given the resources of a class.
    fn has_room_for(&self, class: ClassId) -> bool {
        self.classes.get(&class).is_some_and(|class| self.fitting_bundle(&class.key).is_some())
    }

    pub(crate) fn recall(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id) else { return };
        let tasks: Vec<TaskId> = worker.running.iter().skip(1).copied().collect();
        if let (Some(session), false) = (worker.session, tasks.is_empty()) {
            self.send(session, Message::Recall { tasks });
        }
    }

    /// A worker gave back what it had not started.
    pub(crate) fn returned(&mut self, session: SessionId, tasks: &[TaskId]) -> Taken {
        let (id, _) = self.worker_of(session)?;
        for task in tasks.iter().rev() {
            let Some(worker) = self.workers.get_mut(&id) else { break };
            let Some(at) = worker.running.iter().rposition(|t| t == task) else { continue };
            worker.running.remove(at);
            self.unpin_args(*task, session);
            self.requeue_front(*task);
        }
        if self.workers.get(&id).is_some_and(|w| w.running.is_empty()) {
            self.lease_over(id);
        }
        Ok(())
    }

    /// A task waits for objects: its processors may be lent, and what waits behind it must not.
    pub(crate) fn blocked(&mut self, session: SessionId, task: TaskId) -> Taken {
        let (id, _) = self.worker_of(session)?;
        let Some(worker) = self.workers.get_mut(&id).filter(|w| w.running.contains(&task)) else {
            return Ok(());
        };
        worker.blocked += 1;
        if worker.blocked > 1 {
            return Ok(());
        }
        let cpu = worker.held.get(Resources::CPU);
        let is_lease = matches!(worker.state, WorkerState::Leased { .. });
        if cpu > 0 && worker.lent.is_none() {
            let lent = Resources::new().with(Resources::CPU, cpu);
            worker.lent = Some(lent.clone());
            let bundle = worker.bundle;
            self.return_resources(bundle, &lent);
        }
        if is_lease {
            self.recall(id);
        }
        self.schedule_due = true;
        Ok(())
    }

    /// It goes on at once, even if its processors are lent: the others finish soon, and to wait could be to wait for ever.
    pub(crate) fn unblocked(&mut self, session: SessionId, task: TaskId) -> Taken {
        let (id, _) = self.worker_of(session)?;
        let Some(worker) = self.workers.get_mut(&id).filter(|w| w.running.contains(&task) && w.blocked > 0)
        else {
            return Ok(());
        };
        worker.blocked -= 1;
        if worker.blocked == 0
            && let Some(lent) = worker.lent.take()
        {
            let bundle = worker.bundle;
            let short = !self.resources_at(bundle).fits(&lent);
            if short {
                if let Some(worker) = self.workers.get_mut(&id) {
                    worker.held.take_down_to_zero(&lent);
                }
            } else {
                self.take_resources(bundle, &lent);
            }
        }
        Ok(())
    }

    /// After a while without any node that could run it, the user should know; the task keeps waiting.
    pub(crate) fn notice_infeasible(&mut self, id: ClassId) {
        let Some(class) = self.classes.get_mut(&id) else { return };
        if class.queue.is_empty() {
            class.noticed = false;
            return;
        }
        let key = Arc::clone(&class.key);
        let (queued, first) = (class.queue.len(), class.queue.front().copied());
        let job = first.and_then(|task| self.runs.get(&task)).map(|run| run.spec.job);
        let nodes = self.say_nodes();
        let message = format!(
            "{queued} task(s) ask for {} and no node has that ({nodes}); they wait until one joins. Ask for less, or cancel them.",
            key.demand
        );
        let nowhere = |(name, amount): &(&str, u64)| {
            self.config.resources.get(name) < *amount && self.view.iter().all(|n| n.total.get(name) < *amount)
        };
        let missing: Vec<&str> = key.demand.iter().filter(nowhere).map(|(name, _)| name).collect();
        let mut failure =
            Failure::new(Code::Infeasible, message).with("wanted", &key.demand).with("nodes", nodes);
        if !missing.is_empty() {
            // (Else some node has each of them, and none has all.)
            failure = failure.with("missing", missing.join(", "));
        }
        self.notice(job, &failure);
    }

    /// What the nodes have, for people; those of a large cluster as far as a line goes.
    fn say_nodes(&self) -> String {
        let mut text = format!("this one has {}", self.config.resources);
        let others = || self.view.iter().filter(|n| n.node != self.me);
        for other in others().take(NODES_SAID_MAX) {
            text.push_str(&format!("; {} has {}", other.node, other.total));
        }
        if let more @ 1.. = others().count().saturating_sub(NODES_SAID_MAX) {
            text.push_str(&format!("; and {more} more"));
        }
        text
    }

    /// Fails what waits for a pool that does not start.
    pub(crate) fn fail_queued_of_pool(&mut self, pool: u32, failure: &Failure) {
        let queued: Vec<TaskId> = self
            .classes
            .values()
            .filter(|class| class.key.pool == pool)
            .flat_map(|class| class.queue.iter().copied())
            .collect();
        for task in queued {
            self.unqueue(task);
            self.run_failed(task, failure.clone());
        }
    }

    /// Ends the worker that runs a task, for a reason that becomes the task's failure.
    pub(crate) fn end_worker_for(&mut self, id: WorkerId, failure: Failure) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.ended_for = Some(Box::new(failure));
            self.stop_worker(id, Stop::Now);
        }
    }
}

/// Nodes that a failure names.
const NODES_SAID_MAX: usize = 8;

/// Whether a task's arguments can be handed to a worker.
pub(crate) enum ArgsNear {
    Yes,
    /// They were asked for; the task comes back to its queue with them.
    Coming,
}
