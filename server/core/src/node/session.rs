//! Sessions as the core sees them: what each may name, and what it holds and must give back when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thornback_types::{Code, Failure, Id, JobId, NodeId, ObjectId, SessionId, WorkerId};

use crate::effect::{Effect, Message, Reply};
use crate::input::{Declaration, Op, Peer, Request};
use crate::map::{Map, Seed};
use crate::message::PeerMessage;
use crate::node::pacing::Pace;
use crate::node::pool::PoolState;
use crate::node::route::Route;
use crate::node::{Job, Node, Taken, invalid};
use crate::object::unknown;
use crate::table::Table;
use crate::task::short::is_plain;

/// Declarations that a session may have at once.
const DECLARATIONS_MAX: usize = 65_536;

/// Whether a job's driver is on this node: a job's id begins as its node's does.
pub(crate) fn is_of(job: JobId, node: NodeId) -> bool {
    job.0.0[..8] == node.0.0[..8]
}

/// One conversation.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) job: JobId,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) shared_memory: bool,
    /// Counts on objects, streams and actor handles.
    pub(crate) held: Table<ObjectId, u32>,
    pub(crate) pins: BTreeMap<ObjectId, u32>,
    /// Objects that it fills, and how much of each it has sent, if it sends bytes.
    pub(crate) creating: BTreeMap<ObjectId, u64>,
    pub(crate) declarations: Map<u32, Declared>,
    pub(crate) default_pool: Option<u32>,
    pub(crate) pace: Pace,
}

/// A declaration and the number by which this node tells it from all others.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    pub(crate) declaration: Arc<Declaration>,
    pub(crate) key: u64,
    /// See `task/short.rs`.
    pub(crate) is_plain: bool,
    /// Where its calls for the session's own job went last, and when that was decided.
    pub(crate) route: Option<(u64, Route)>,
}

impl Node {
    pub(crate) fn session_opened(&mut self, session: SessionId, peer: Peer) {
        let (job, worker, shared_memory) = match peer {
            Peer::Driver { namespace, want_logs, shared_memory, .. } => {
                let job = self.job_id(session);
                let namespace = if namespace.is_empty() { job.to_string() } else { namespace };
                let entry = Job {
                    namespace: namespace.into(),
                    driver: Some(session),
                    want_logs,
                    code: BTreeSet::new(),
                    arena: None,
                };
                self.jobs.insert(job, entry);
                (job, None, shared_memory)
            }
            Peer::Worker { launch, pool, language, functions, formats, shared_memory, pid } => {
                if let Some(worker) = launch.filter(|worker| !self.is_starting(*worker)) {
                    // Its process has ended or was given up before its hello was read. It must not pass for a visitor, who serves all jobs.
                    let message = format!(
                        "The worker {} was given up before it said hello, or is not of this node.",
                        worker.0
                    );
                    let failure = Some(Box::new(Failure::new(Code::PermissionDenied, message)));
                    return self.out.push(Effect::Close { session, failure });
                }
                if self.refuse_worker(session, launch, &pool, &functions) {
                    return;
                }
                let worker = self.worker_arrived(session, launch, &pool, &language, formats, pid);
                // Its pool may be retired: then it was ended as it arrived.
                let Some(pool) = self.workers.get(&worker).map(|w| w.pool) else { return };
                let job = self.pools.by_number.get(&pool).and_then(|p| p.job).unwrap_or_default();
                let entry = self.new_session(job, Some(worker), shared_memory);
                self.sessions.insert(session, entry);
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.default_pool = Some(pool);
                }
                self.announce(worker, pool, functions);
                self.schedule_due = true;
                return;
            }
        };
        let entry = self.new_session(job, worker, shared_memory);
        self.sessions.insert(session, entry);
    }

    fn new_session(&mut self, job: JobId, worker: Option<WorkerId>, shared_memory: bool) -> Session {
        let pace = if worker.is_some() { Pace::of_worker() } else { Pace::of_driver(self.take_window()) };
        let seed = Seed(self.config.seed);
        Session {
            job,
            worker,
            shared_memory,
            held: Table::new(seed),
            pins: BTreeMap::new(),
            creating: BTreeMap::new(),
            declarations: Map::new(seed),
            default_pool: None,
            pace,
        }
    }

    fn job_id(&self, session: SessionId) -> JobId {
        let mut salt = [0; 8];
        salt.copy_from_slice(&self.me.0.0[..8]);
        JobId(Id::new(salt, session.0 as u32, 0))
    }

    /// The job of a session, for its `Welcome`.
    pub(crate) fn job_of(&self, session: SessionId) -> Option<JobId> {
        self.sessions.get(&session).map(|s| s.job)
    }

    pub(crate) fn session_closed(&mut self, id: SessionId) {
        let Some(mut session) = self.sessions.remove(&id) else { return };
        if let Some(worker) = session.worker {
            self.worker_session_closed(worker);
        }
        for object in std::mem::take(&mut session.creating).into_keys() {
            self.abort_create(id, object);
        }
        for (object, pins) in std::mem::take(&mut session.pins) {
            self.unpin_many(object, pins);
        }
        let is_driver = session.worker.is_none();
        self.pace_closed(is_driver, &session.pace);
        if is_driver {
            self.job_ended(session.job);
        }
        for object in session.held.sorted_keys(|_, _| true) {
            let count = session.held.get(&object).copied().unwrap_or(0);
            self.release(object, count);
        }
        self.forget_caller(id);
        if is_driver {
            self.close_arena_if_empty(session.job);
        }
    }

    /// The driver is gone: its work ends, except what was detached.
    fn job_ended(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.driver = None;
        let code = std::mem::take(&mut job.code);
        self.note_job_over(id);
        self.end_jobs(|over| over == id);
        self.mail_head(PeerMessage::JobEnded { job: id });
        for object in code {
            self.release(object, 1);
        }
        self.forget_job_if_over(id);
    }

    /// Drivers are gone, of this node or of others: what was submitted here for them ends, and no workers are kept for it.
    pub(crate) fn end_jobs(&mut self, is_over: impl Fn(JobId) -> bool) {
        let failure = Failure::new(Code::Cancelled, "The driver that submitted this is gone.");
        for task in self.tasks.sorted_keys(|_, task| {
            is_over(task.spec.job) && !task.is_finished() && !task.spec.is_of_detached_actor
        }) {
            self.end_task(task, &failure, true);
        }
        self.expect_no_visitors(&is_over);
        let of_them = |pool: &PoolState| pool.job.is_some_and(&is_over);
        let pools: Vec<u32> = self
            .pools
            .by_number
            .iter()
            .filter(|(_, pool)| of_them(pool))
            .map(|(number, _)| *number)
            .collect();
        for pool in pools {
            self.retire_pool(pool);
        }
        self.end_rights();
        self.close_arenas_of_guests();
    }

    /// A job without driver, workers and arena is history.
    pub(crate) fn forget_job_if_over(&mut self, id: JobId) {
        let over = self.jobs.get(&id).is_some_and(|job| job.driver.is_none() && job.arena.is_none());
        if over && !self.workers.values().any(|w| w.job == id) {
            self.jobs.remove(&id);
        }
    }

    pub(crate) fn take_op(&mut self, session: SessionId, op: Op) -> Taken {
        match op {
            Op::Submit { task, declaration, args, parent } => {
                self.submit(session, task, declaration, args, parent)
            }
            Op::Call { task, actor, declaration, args, parent } => {
                self.call(session, task, actor, declaration, args, parent)
            }
            // How many items were yielded is known from the items.
            Op::Done { task, attempt, outcome, yielded: _ } => self.done(session, task, attempt, outcome),
            Op::Refs { retain, drop } => {
                for object in retain {
                    self.session_hold(session, object);
                }
                for object in drop {
                    self.session_drop(session, object);
                }
                Ok(())
            }
            Op::Put { object, value } => self.put(session, object, value),
            Op::Declare { number, declaration } => self.declare(session, number, *declaration),
            Op::CreateActor { actor, declaration, args, options } => {
                if !options.name.is_empty() {
                    return Err(invalid(
                        "A named actor is created by a request, whose reply says who has the name.",
                    ));
                }
                self.create_actor(session, actor, declaration, args, *options, None)
            }
            Op::Cancel { id, force, recursive } => self.cancel(session, id, force, recursive),
            Op::Kill { actor, restart, graceful } => self.kill_actor(session, actor, restart, graceful),
            Op::Consumed { task, count } => self.consumed(session, task, count),
            Op::Create { object, size, task } => {
                // Whoever asks for room waits for its answer, which is never `Refused`.
                if let Err(failure) = self.create(session, object, size, task) {
                    self.send(session, Message::Created { object, outcome: Err(failure) });
                }
                Ok(())
            }
            Op::Write { object, offset, data } => self.write(session, object, offset, data),
            Op::Seal { object, refs } => self.seal(session, object, refs),
            Op::Abort { object } => self.abort(session, object),
            Op::Watch { objects } => {
                for object in objects {
                    self.watch(session, object);
                }
                Ok(())
            }
            Op::Fetch { object, quiet } => self.fetch(session, object, quiet),
            Op::Release { objects } => {
                for object in objects {
                    self.unpin(session, object);
                }
                Ok(())
            }
            Op::Yield { task, attempt, index, item } => self.yielded(session, task, attempt, index, item),
            Op::Blocked { task } => self.blocked(session, task),
            Op::Unblocked { task } => self.unblocked(session, task),
            Op::Returned { tasks } => self.returned(session, &tasks),
            Op::Announce { functions } => {
                let (worker, pool) = self.worker_of(session)?;
                self.announce_more(session, worker, pool, functions);
                Ok(())
            }
            Op::ActorExit { actor, reason } => self.actor_exit(session, actor, reason),
            Op::Request { number, request } => {
                if let Err(failure) = self.take_request(session, number, *request) {
                    self.send(session, Message::Reply { number, reply: Reply::Failure(failure) });
                }
                Ok(())
            }
        }
    }

    fn take_request(&mut self, session: SessionId, number: u64, request: Request) -> Taken {
        match request {
            Request::CreateActor { actor, declaration, args, options } => {
                return self.create_actor(session, actor, declaration, args, options, Some(number));
            }
            Request::GetActor { name, namespace } => {
                let namespace = namespace.unwrap_or_else(|| self.namespace_of(session));
                self.mail_head(PeerMessage::GetActor { name, namespace, session, number });
                return Ok(());
            }
            Request::ListActors { all_namespaces } => {
                let namespace = (!all_namespaces).then(|| self.namespace_of(session));
                self.mail_head(PeerMessage::ListActors { namespace, session, number });
                return Ok(());
            }
            Request::CreatePlacementGroup { group, bundles, strategy, .. } => {
                self.create_group(session, group, bundles, strategy)?;
            }
            Request::RemovePlacementGroup { group } => self.remove_group(session, group),
            Request::DeclarePool(spec) => self.declare_pool(session, spec)?,
        }
        self.send(session, Message::Reply { number, reply: Reply::Empty });
        Ok(())
    }

    fn declare(&mut self, id: SessionId, number: u32, declaration: Declaration) -> Taken {
        if let Some(code) = declaration.code.filter(|code| !self.may_use(id, *code)) {
            return Err(Box::new(unknown(code)));
        }
        self.next_declaration += 1;
        let key = self.next_declaration;
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        if session.declarations.len() >= DECLARATIONS_MAX && !session.declarations.contains_key(&number) {
            return Err(Box::new(Failure::new(
                Code::LimitExceeded,
                format!(
                    "A session may hold {DECLARATIONS_MAX} declarations at once; declare a number again to reuse it."
                ),
            )));
        }
        let job = session.job;
        let code = declaration.code;
        let is_plain = self.config.short_way && is_plain(&declaration);
        let declaration = Arc::new(declaration);
        session.declarations.insert(number, Declared { declaration, key, is_plain, route: None });
        // Shipped definitions are few and small: they stay for the life of the job, so that no task needs to count them.
        if let Some(code) = code
            && self.objects.contains_key(&code)
            && self.jobs.get_mut(&job).is_some_and(|job| job.code.insert(code))
        {
            self.hold(code);
        }
        Ok(())
    }

    pub(crate) fn declared(&self, session: SessionId, number: u32) -> Result<Declared, Box<Failure>> {
        let declared = self.sessions.get(&session).and_then(|s| s.declarations.get(&number));
        declared
            .cloned()
            .ok_or_else(|| invalid(format!("Declaration {number} was never made in this session.")))
    }

    pub(crate) fn namespace_of(&self, session: SessionId) -> String {
        let job = self.job_of(session).and_then(|job| self.jobs.get(&job));
        job.map(|job| job.namespace.to_string()).unwrap_or_default()
    }

    /// The worker and pool of a worker's session.
    pub(crate) fn worker_of(&self, session: SessionId) -> Result<(WorkerId, u32), Box<Failure>> {
        let worker = self.sessions.get(&session).and_then(|s| s.worker);
        let found = worker.and_then(|id| self.workers.get(&id).map(|w| (id, w.pool)));
        found.ok_or_else(|| {
            Box::new(Failure::new(
                Code::PermissionDenied,
                "Only a worker may send this operation; this session said hello as a driver.",
            ))
        })
    }
}
