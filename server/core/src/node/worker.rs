//! Worker processes, from launch to exit. (What they run is in `queue.rs` and `task/run.rs`.)
//!
//! ```text
//! Starting ──hello──▶ Idle ◀──────▶ Leased ──actor created──▶ Actor
//!     └───────────────┴── exit, lost session ──┴───────────────┴──▶ gone
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use thornback_types::{
    ActorId, Code, Failure, JobId, NodeId, PlacementGroupId, Resources, SessionId, TaskId, Time, WorkerId,
};

use crate::effect::{Effect, Message, Stop};
use crate::input::{ExitStatus, Printed, Retries};
use crate::map::{Map, Seed};
use crate::message::RunOutcome;
use crate::node::Node;
use crate::node::ahead::Heard;
use crate::node::queue::ClassId;
use crate::node::timer::Timer;

/// Declarations that a worker is told of before their numbers are used again.
const DECLARED_MAX: usize = 4096;

/// One worker process.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) pool: u32,
    pub(crate) job: JobId,
    pub(crate) pid: u32,
    /// Not started by this node: it has no process that could be ended.
    pub(crate) visitor: bool,
    pub(crate) session: Option<SessionId>,
    pub(crate) state: WorkerState,
    /// Sent and not answered, in order; the first runs.
    pub(crate) running: VecDeque<TaskId>,
    /// Since when the first of them runs, as far as the node can tell.
    pub(crate) head_since: Time,
    /// The first of them was sent to it when it had nothing, and it has answered nothing since.
    pub(crate) first: bool,
    /// Taken from the node, or from this bundle.
    pub(crate) held: Resources,
    pub(crate) bundle: Option<(PlacementGroupId, u32)>,
    /// The part of `held` that is given back while the worker waits for objects.
    pub(crate) lent: Option<Resources>,
    pub(crate) blocked: u32,
    pub(crate) overtake_armed: bool,
    idle_armed: bool,
    pub(crate) formats: Vec<String>,
    declared: Map<(NodeId, u64), u32>,
    /// The one of these that was asked for last.
    declared_last: Option<((NodeId, u64), u32)>,
    /// Why the node ended it, if it did: the failure of what it ran.
    pub(crate) ended_for: Option<Box<Failure>>,
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerState {
    Starting,
    Idle { since: Time },
    Leased { class: ClassId, since: Time },
    Actor(ActorId),
}

impl Worker {
    /// Notes what it is sent to run.
    pub(crate) fn sent(&mut self, task: TaskId, now: Time) {
        if self.running.is_empty() {
            (self.head_since, self.first) = (now, true);
        }
        self.running.push_back(task);
    }

    /// Notes that it answered, and says what that tells about the task.
    pub(crate) fn answered(&mut self, now: Time) -> Heard {
        let took = now.since(std::mem::replace(&mut self.head_since, now));
        if std::mem::take(&mut self.first) { Heard::First(took) } else { Heard::Next(took) }
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.running.is_empty() || matches!(self.state, WorkerState::Leased { .. } | WorkerState::Actor(_))
    }

    /// The number under which it knows a declaration.
    pub(crate) fn knows(&mut self, key: (NodeId, u64)) -> Option<u32> {
        if let Some((last, number)) = self.declared_last
            && last == key
        {
            return Some(number);
        }
        let number = *self.declared.get(&key)?;
        self.declared_last = Some((key, number));
        Some(number)
    }
}

impl Node {
    pub(crate) fn start_worker(&mut self, pool: u32) {
        let Some(state) = self.pools.by_number.get(&pool).filter(|p| !p.pool.spec.command.is_empty()) else {
            return;
        };
        let lives = |worker: &Worker| worker.pool == pool && worker.session.is_some();
        if state.signatures.refusing && self.workers.values().any(lives) {
            return;
        }
        let spec = Arc::clone(&state.pool);
        let job = state.job.unwrap_or_default();
        let id = self.add_worker(pool, job, 0, false);
        self.at(self.now + self.config.worker_start, Timer::WorkerStart(id));
        self.out.push(Effect::StartWorker { worker: id, pool: spec });
    }

    fn add_worker(&mut self, pool: u32, job: JobId, pid: u32, visitor: bool) -> WorkerId {
        let id = WorkerId(self.next_worker);
        self.next_worker += 1;
        let worker = Worker {
            pool,
            job,
            pid,
            visitor,
            session: None,
            state: WorkerState::Starting,
            running: VecDeque::new(),
            head_since: self.now,
            first: true,
            held: Resources::new(),
            bundle: None,
            lent: None,
            blocked: 0,
            overtake_armed: false,
            idle_armed: false,
            formats: Vec::new(),
            declared: Map::new(Seed(self.config.seed)),
            declared_last: None,
            ended_for: None,
        };
        self.workers.insert(id, worker);
        id
    }

    pub(crate) fn worker_started(&mut self, id: WorkerId, pid: u32) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.pid = pid;
        }
    }

    pub(crate) fn worker_start_failed(&mut self, id: WorkerId, reason: &str) {
        if self.workers.get(&id).is_some_and(|w| w.state != WorkerState::Starting) {
            // It said hello, and was to end, before those who start processes had told of its start.
            return self.worker_exited(id, ExitStatus::Unknown, "");
        }
        if let Some(worker) = self.workers.remove(&id) {
            self.pool_start_failed(worker.pool, reason);
            self.forget_pool_if_empty(worker.pool);
            self.forget_job_if_over(worker.job);
        }
    }

    pub(crate) fn worker_start_overdue(&mut self, id: WorkerId) {
        if self.workers.get(&id).is_some_and(|w| w.state == WorkerState::Starting) {
            self.out.push(Effect::StopWorker { worker: id, how: Stop::Now });
            let waited = self.config.worker_start.as_secs();
            self.worker_start_failed(id, &format!("the process did not connect within {waited} s"));
        }
    }

    /// Whether this node has launched the worker and waits for its hello.
    pub(crate) fn is_starting(&self, worker: WorkerId) -> bool {
        self.workers.get(&worker).is_some_and(|w| w.state == WorkerState::Starting)
    }

    /// A worker said hello. One that this node launched is known; another has dialled in by itself.
    pub(crate) fn worker_arrived(
        &mut self,
        session: SessionId,
        launch: Option<WorkerId>,
        pool: &str,
        language: &str,
        formats: Vec<String>,
        pid: u32,
    ) -> WorkerId {
        let id = launch.unwrap_or_else(|| {
            let pool = self.pool_of_visitor(pool, language);
            self.add_worker(pool, JobId::default(), pid, true)
        });
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.session = Some(session);
            worker.pid = pid;
            worker.formats = formats;
        }
        self.make_idle(id);
        id
    }

    /// Gives a worker back to its pool.
    pub(crate) fn make_idle(&mut self, id: WorkerId) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.state = WorkerState::Idle { since: now };
        worker.head_since = now;
        self.schedule_due = true;
        let retired = match self.pools.by_number.get_mut(&worker.pool) {
            Some(pool) => {
                pool.start_failures = 0;
                if worker.ended_for.is_some() {
                    // It is being ended for what it ran before: what came to it now would die of that.
                    return;
                }
                pool.idle.push(id);
                pool.retired
            }
            None => true,
        };
        let pool = worker.pool;
        if retired && !self.is_pool_wanted(pool) {
            self.stop_worker(id, Stop::Gently);
        } else {
            self.arm_idle(id, now);
        }
    }

    /// One timer for each worker, however often it is idle for a moment.
    fn arm_idle(&mut self, id: WorkerId, since: Time) {
        let at = since + self.config.idle_worker;
        if let Some(worker) = self.workers.get_mut(&id).filter(|w| !w.idle_armed && !w.visitor) {
            worker.idle_armed = true;
            self.at(at, Timer::WorkerIdle(id));
        }
    }

    pub(crate) fn worker_idle_overdue(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.idle_armed = false;
        let WorkerState::Idle { since } = worker.state else { return };
        if self.now.since(since) < self.config.idle_worker {
            self.arm_idle(id, since);
            return;
        }
        let pool = worker.pool;
        // Nobody is to find them ready once the driver is gone.
        let of_driver = |job: &JobId| self.jobs.get(job).is_some_and(|job| job.driver.is_some());
        let known = self.pools.by_number.get(&pool).filter(|p| p.job.as_ref().is_none_or(of_driver));
        let keep = known.map_or(0, |p| p.pool.spec.prestart as usize);
        if self
            .workers
            .values()
            .filter(|w| w.pool == pool && !matches!(w.state, WorkerState::Actor(_)))
            .count()
            > keep
        {
            self.stop_worker(id, Stop::Gently);
        }
    }

    /// Ends a worker. What it runs is lost once it has exited.
    pub(crate) fn stop_worker(&mut self, id: WorkerId, how: Stop) {
        let Some(worker) = self.workers.get(&id) else { return };
        if let Some(pool) = self.pools.by_number.get_mut(&worker.pool) {
            pool.idle.retain(|w| *w != id);
        }
        if worker.visitor {
            if let Some(session) = worker.session {
                self.out.push(Effect::Close { session, failure: None });
                self.session_closed(session);
            }
            return;
        }
        self.out.push(Effect::StopWorker { worker: id, how });
        if !worker.is_busy() {
            // Nothing can be lost, and no new task may go to it while it ends.
            let session = worker.session;
            self.bury(id, ExitStatus::Unknown);
            if let Some(session) = session {
                self.out.push(Effect::Close { session, failure: None });
                self.session_closed(session);
            }
        }
    }

    /// Its connection is gone for good: so is the worker, whether or not the process still runs.
    pub(crate) fn worker_session_closed(&mut self, id: WorkerId) {
        if self.workers.get(&id).is_some_and(|w| !w.visitor) {
            self.out.push(Effect::StopWorker { worker: id, how: Stop::Now });
        }
        self.bury(id, ExitStatus::Unknown);
    }

    pub(crate) fn worker_exited(&mut self, id: WorkerId, status: ExitStatus, last_words: &str) {
        match self.workers.get(&id).map(|w| (w.state, w.session)) {
            Some((WorkerState::Starting, _)) => {
                let status = say(status);
                let reason = match last_words.trim() {
                    "" => format!("the process ended {status} and wrote nothing to its standard error"),
                    words => format!("the process ended {status}, and last wrote: {words:?}"),
                };
                self.worker_start_failed(id, &reason);
            }
            Some((_, session)) => {
                self.bury(id, status);
                if let Some(session) = session {
                    self.out.push(Effect::Close { session, failure: None });
                    self.session_closed(session);
                }
            }
            None => {}
        }
    }

    /// A worker is gone: what it held is free, what it ran is lost.
    fn bury(&mut self, id: WorkerId, status: ExitStatus) {
        let Some(mut worker) = self.workers.remove(&id) else { return };
        self.schedule_due = true;
        self.give_back(&mut worker);
        if let Some(pool) = self.pools.by_number.get_mut(&worker.pool) {
            pool.idle.retain(|w| *w != id);
            pool.signatures.remove(id, None);
        }
        if let WorkerState::Leased { class, .. } = worker.state
            && let Some(class) = self.classes.get_mut(&class)
        {
            class.leased.retain(|w| *w != id);
        }
        let message = format!("The worker process {} ended {} while it ran this.", worker.pid, say(status));
        let died = Failure::new(Code::WorkerDied, message).with("pid", worker.pid);
        let died = Arc::new(with_status(died, status));
        let failure = worker.ended_for.take().map_or_else(|| Arc::clone(&died), |failure| Arc::new(*failure));
        let actor = match worker.state {
            WorkerState::Actor(actor) => Some(actor),
            _ => None,
        };
        // They start in the order in which they were sent, and so many at once.
        let at_once = actor
            .and_then(|actor| self.hosted.get(&actor))
            .map_or(1, |h| h.spec.options.max_concurrency.max(1));
        for (i, task) in worker.running.drain(..).enumerate() {
            // Those behind them have not started, unless an answer was on its way. What may run only once is not risked on that.
            // A task that was cancelled by force may have answered while the signal was under way; the next one was not cancelled.
            let meant = !failure.is(Code::Cancelled) || self.runs.get(&task).is_some_and(|run| run.doomed);
            let outcome = match (i < at_once as usize, self.runs_once(task)) {
                (true, _) if meant => RunOutcome::Lost(Arc::clone(&failure)),
                (true, _) | (false, true) => RunOutcome::Lost(Arc::clone(&died)),
                (false, false) => RunOutcome::NotRun,
            };
            self.run_lost(task, outcome);
        }
        if let Some(actor) = actor {
            self.actor_worker_gone(actor, id, &failure);
        }
        self.forget_pool_if_empty(worker.pool);
        self.forget_job_if_over(worker.job);
    }

    /// Whether a task may not be run a second time, whoever owns it.
    pub(crate) fn runs_once(&self, task: TaskId) -> bool {
        let of_owner = self.tasks.get(&task).map(|task| task.retries);
        let retries = of_owner.or_else(|| Some(self.runs.get(&task)?.spec.declaration.max_retries));
        retries == Some(Retries::Limited(0))
    }

    /// A worker that will take nothing more: it is let go, whatever it was leased for.
    pub(crate) fn dismiss(&mut self, id: WorkerId, how: Stop) {
        self.end_lease(id);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.state = WorkerState::Idle { since: self.now };
        }
        self.stop_worker(id, how);
    }

    /// Returns what a worker holds to the node or its bundle.
    pub(crate) fn give_back(&mut self, worker: &mut Worker) {
        let mut held = std::mem::take(&mut worker.held);
        if let Some(lent) = worker.lent.take() {
            held.take_down_to_zero(&lent);
        }
        let bundle = worker.bundle.take();
        self.return_resources(bundle, &held);
    }

    pub(crate) fn worker_printed(&mut self, id: WorkerId, lines: Arc<Printed>) {
        let Some(worker) = self.workers.get(&id) else { return };
        let running = worker.running.front().and_then(|task| self.runs.get(task));
        let job = running.map_or(worker.job, |run| run.spec.job);
        let label = match worker.state {
            WorkerState::Actor(actor) => {
                self.hosted.get(&actor).map(|h| h.spec.creation.declaration.name.clone())
            }
            _ => running.map(|run| run.spec.declaration.name.clone()),
        };
        let source = match label {
            Some(label) if !label.is_empty() => format!("{label} pid={}", worker.pid),
            _ => format!("pid={}", worker.pid),
        };
        let driver = self.jobs.get(&job).filter(|job| job.want_logs).and_then(|job| job.driver);
        if let Some(driver) = driver {
            self.send(driver, Message::Log { source, lines });
        }
    }

    /// The number under which a worker knows a declaration, telling it first if it does not.
    pub(crate) fn declare_to(&mut self, id: WorkerId, task: TaskId) -> u32 {
        let Some(run) = self.runs.get(&task) else { return 0 };
        let (key, declaration) =
            ((run.spec.owner, run.spec.declaration_key), Arc::clone(&run.spec.declaration));
        let Some(worker) = self.workers.get_mut(&id) else { return 0 };
        if let Some(number) = worker.knows(key) {
            return number;
        }
        if worker.declared.len() >= DECLARED_MAX {
            worker.declared = Map::new(Seed(self.config.seed));
            worker.declared_last = None;
        }
        let number = worker.declared.len() as u32 + 1;
        worker.declared.insert(key, number);
        if let Some(session) = worker.session {
            self.send(session, Message::Declare { number, declaration });
        }
        number
    }
}

/// How long a task may hold up those sent behind it before they are given to others.
pub(crate) const OVERTAKE_AFTER: Duration = Duration::from_millis(5);

/// How long a worker that had nothing may take until its first answer before the same is done, where nobody else could run what it has.
pub(crate) const BEGIN_WITHIN: Duration = Duration::from_millis(100);

/// Adds how a process ended, as far as that is known.
fn with_status(failure: Failure, status: ExitStatus) -> Failure {
    match status {
        ExitStatus::Code(code) => failure.with("exit_code", code),
        ExitStatus::Signal(signal) => failure.with("signal", signal),
        ExitStatus::Unknown => failure,
    }
}

fn say(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("with exit code {code}"),
        ExitStatus::Signal(9) => "by SIGKILL (signal 9)".into(),
        ExitStatus::Signal(signal) => format!("by signal {signal}"),
        ExitStatus::Unknown => "or lost its connection".into(),
    }
}
