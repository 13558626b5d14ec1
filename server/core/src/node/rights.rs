//! Who may use what. An id is no secret: each operation that names one is judged by the session that sends it.
//!
//! A session acts for a job: a driver for its own; a worker for that of its pool, of the actor that it is, and of what it has been given to run. A job has
//! a right to what it made, which the record says, and to what it was given: a ref in an argument, a result, an item or an answer. Who counts something
//! goes on having a right to it. To anyone else an id is what an id is that nobody knows, and so says nothing.
//!
//! A node judges its own sessions and trusts other nodes: a ref that comes from one comes with a task, or for a session, and so for a job. Rights that were given
//! go with the object or with the job, whichever is over first. Nothing here counts or frees an object.

use std::collections::{BTreeMap, BTreeSet};

use thornback_types::{JobId, ObjectId, PlacementGroupId, SessionId, TaskId, Value};

use crate::input::{Arg, ArgValue, Output};
use crate::node::session::{Session, is_of};
use crate::node::worker::WorkerState;
use crate::node::{DEAD_MAX, Node, Taken};
use crate::object::{ObjectRecord, unknown};
use crate::recent::Recent;

/// What jobs may use besides what is their own.
#[derive(Debug)]
pub(crate) struct Rights {
    given: BTreeMap<JobId, BTreeSet<ObjectId>>,
    /// Jobs whose drivers are gone.
    over: Recent<JobId>,
}

impl Rights {
    pub(crate) fn new() -> Rights {
        Rights { given: BTreeMap::new(), over: Recent::new(DEAD_MAX) }
    }

    fn has(&self, job: JobId, object: ObjectId) -> bool {
        self.given.get(&job).is_some_and(|given| given.contains(&object))
    }

    /// Jobs that have been given something.
    pub(crate) fn len(&self) -> usize {
        self.given.len()
    }
}

impl Node {
    /// Whether a session has a right to an object, or to the stream or actor with this id. It has none to what nobody knows.
    pub(crate) fn may_use(&self, session: SessionId, object: ObjectId) -> bool {
        let Some(state) = self.sessions.get(&session) else { return false };
        let maker = self.objects.get(&object).map(|record| record.job);
        if maker == Some(state.job) && state.job != JobId::default() {
            return true;
        }
        state.held.contains_key(&object)
            || self.job_with_right(state, object, maker).is_some()
            || self.is_itself(state, object)
    }

    /// Whether a session may end the task that this is the id or an output of.
    pub(crate) fn may_cancel(&self, session: SessionId, id: ObjectId) -> bool {
        let own = |job| self.acting_for(session, |acting| acting == job).is_some();
        let is_own =
            self.tasks.get(&id.task()).is_some_and(|task| task.submitter == session || own(task.spec.job));
        // Who was given a result may name the task that makes it, too.
        is_own || self.may_use(session, id) || id.0.index() == 0 && self.may_use(session, id.task().output(0))
    }

    /// Whether a placement group of `owner` may be used for what `job` submitted with this session.
    pub(crate) fn may_use_group(
        &self,
        group: PlacementGroupId,
        owner: JobId,
        job: JobId,
        session: SessionId,
    ) -> bool {
        job == owner
            || self.rights.has(job, group.ready())
            || self.acting_for(session, |acting| acting == owner).is_some()
            || self.may_use(session, group.ready())
    }

    /// The job that a session acts for first of all; none for a worker of all jobs that has nothing to run.
    pub(crate) fn acting_job(&self, session: SessionId) -> JobId {
        self.sessions.get(&session).map_or_else(JobId::default, |state| self.first_job(state))
    }

    /// The job that an operation of a session works for: that of the task which it runs and names, if there is one.
    pub(crate) fn job_for(&self, session: SessionId, parent: Option<TaskId>) -> JobId {
        let Some(state) = self.sessions.get(&session) else { return JobId::default() };
        let parent = parent.filter(|_| state.worker.is_some()).and_then(|task| self.runs.get(&task));
        let parent = parent.filter(|run| run.worker == state.worker);
        parent.map_or_else(|| self.first_job(state), |run| run.spec.job)
    }

    fn first_job(&self, session: &Session) -> JobId {
        if session.job != JobId::default() {
            return session.job;
        }
        self.find_job(session, |_| true).unwrap_or_default()
    }

    fn acting_for(&self, session: SessionId, is_it: impl Fn(JobId) -> bool) -> Option<JobId> {
        self.find_job(self.sessions.get(&session)?, is_it)
    }

    /// The first of the jobs that a session acts for with which something is so.
    fn find_job(&self, session: &Session, is_it: impl Fn(JobId) -> bool) -> Option<JobId> {
        let own = (session.job != JobId::default()).then_some(session.job);
        let worker = session.worker.and_then(|worker| self.workers.get(&worker));
        let actor = worker.and_then(|worker| match worker.state {
            WorkerState::Actor(actor) => self.hosted.get(&actor).map(|hosted| hosted.spec.job),
            _ => None,
        });
        let running = worker.into_iter().flat_map(|worker| &worker.running);
        let running = running.filter_map(|task| self.runs.get(task)).map(|run| run.spec.job);
        own.into_iter().chain(actor).chain(running).find(|job| is_it(*job))
    }

    fn job_with_right(&self, session: &Session, object: ObjectId, maker: Option<JobId>) -> Option<JobId> {
        self.find_job(session, |job| maker == Some(job) || self.rights.has(job, object))
    }

    /// An actor may name itself.
    fn is_itself(&self, session: &Session, object: ObjectId) -> bool {
        let actor = session.worker.and_then(|worker| self.actor_of_worker(worker));
        actor.is_some_and(|actor| actor.0 == object.0)
    }

    /// Takes those that a session has no right to out of the refs of a value, which would else give them to whoever reads it.
    pub(crate) fn screen_refs(&self, session: SessionId, value: &mut Value) {
        value.retain_refs(|object| self.may_use(session, *object));
    }

    pub(crate) fn screen_output(&self, session: SessionId, output: &mut Output) {
        if let Output::Value(value) = output {
            self.screen_refs(session, value);
        }
    }

    /// Takes what a session has no right to out of the arguments of a call. If one stands for it, the call fails with what is returned.
    pub(crate) fn screen_args(&self, session: SessionId, args: &mut [Arg]) -> Taken {
        let mut denied = Ok(());
        for arg in args {
            match &mut arg.value {
                ArgValue::Value(value) => self.screen_refs(session, value),
                ArgValue::Ref(object) if self.may_use(session, *object) => {}
                ArgValue::Ref(object) => {
                    denied = denied.and(Err(Box::new(unknown(*object))));
                    arg.value = ArgValue::Value(Value::nil());
                }
            }
        }
        denied
    }

    /// One more count on what something of a job refers to, which the job thereby has a right to.
    pub(crate) fn hold_for(&mut self, job: JobId, object: ObjectId) {
        match self.objects.get_mut(&object) {
            Some(record) => {
                record.count += 1;
                if record.job != job {
                    self.give(job, object);
                }
            }
            None => self.give(job, object),
        }
    }

    /// Gives a job a right to something.
    pub(crate) fn give(&mut self, job: JobId, object: ObjectId) {
        if job == JobId::default() {
            return;
        }
        match self.objects.get_mut(&object) {
            Some(record) if record.job == job => return,
            // It came from another node, for this job.
            Some(record) if record.job == JobId::default() => {
                record.job = job;
                return;
            }
            Some(_) => {}
            // A detached actor has no record; what else has none is gone.
            None if object.0.index() == 0 => {}
            None => return,
        }
        if self.is_job_over(job) || !self.rights.given.entry(job).or_default().insert(object) {
            return;
        }
        if let Some(record) = self.objects.get_mut(&object) {
            record.rare().given_to.push(job);
        }
    }

    /// Gives what a session is handed to the job that it acts for.
    pub(crate) fn give_to(&mut self, session: SessionId, object: ObjectId) {
        self.give(self.acting_job(session), object);
    }

    /// A session is about to be told what an object holds: what that refers to is given to the job by which it may know.
    pub(crate) fn give_contents(&mut self, session: SessionId, object: ObjectId) {
        let Some(record) = self.objects.get(&object).filter(|record| !record.contained().is_empty()) else {
            return;
        };
        let (refs, maker) = (record.contained().to_vec(), record.job);
        let Some(state) = self.sessions.get(&session) else { return };
        let job = self.job_with_right(state, object, Some(maker));
        let job = job.unwrap_or_else(|| self.acting_job(session));
        for inner in refs {
            self.give(job, inner);
        }
    }

    /// An object is forgotten, and the rights to it with it.
    pub(crate) fn forget_rights_to(&mut self, object: ObjectId, record: &ObjectRecord) {
        let Some(rare) = &record.rare else { return };
        for job in &rare.given_to {
            if let Some(given) = self.rights.given.get_mut(job) {
                given.remove(&object);
                if given.is_empty() {
                    self.rights.given.remove(job);
                }
            }
        }
    }

    /// A driver is gone, here or on another node.
    pub(crate) fn note_job_over(&mut self, job: JobId) {
        self.rights.over.insert(job);
    }

    /// Whether nothing acts for a job any more: its driver is gone, and no detached actor of it lives here.
    fn is_job_over(&self, job: JobId) -> bool {
        self.is_driver_gone(job) && !self.hosted.values().any(|hosted| hosted.spec.job == job)
    }

    pub(crate) fn is_driver_gone(&self, job: JobId) -> bool {
        self.rights.over.contains(job) || self.dead.iter().any(|node| is_of(job, node))
    }

    /// Takes the rights of jobs that are over away.
    pub(crate) fn end_rights(&mut self) {
        let over: Vec<JobId> =
            self.rights.given.keys().copied().filter(|job| self.is_job_over(*job)).collect();
        for job in over {
            for object in self.rights.given.remove(&job).unwrap_or_default() {
                if let Some(rare) = self.objects.get_mut(&object).and_then(|record| record.rare.as_mut()) {
                    rare.given_to.retain(|other| *other != job);
                }
            }
        }
    }

    /// Rights that are noted on one side only, in words.
    pub(crate) fn check_rights(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut noted = 0;
        for (job, given) in &self.rights.given {
            for object in given {
                let Some(record) = self.objects.get(object) else {
                    if object.0.index() != 0 {
                        wrong.push(format!("{job} has a right to {object}, which is gone"));
                    }
                    continue;
                };
                noted += 1;
                if !record.rare.as_ref().is_some_and(|rare| rare.given_to.contains(job)) {
                    wrong.push(format!("{job} has a right to {object}, which does not say so"));
                }
            }
        }
        let said = self.objects.sum(|record| record.rare.as_ref().map_or(0, |r| r.given_to.len() as u64));
        if said != noted {
            wrong.push(format!("{said} rights were given, and jobs have {noted}"));
        }
        wrong
    }
}
