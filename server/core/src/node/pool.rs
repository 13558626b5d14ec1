//! Pools: which workers serve which functions, and how more of them are started.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thornback_types::{Code, Failure, JobId, SessionId, TaskId, WorkerId};

use crate::effect::{Effect, Message, Pool};
use crate::input::{Declaration, Function, PoolSpec};
use crate::node::interface::Signatures;
use crate::node::queue::ClassId;
use crate::node::{Node, Taken, invalid};

/// Starts that fail in a row before the tasks that wait for the pool fail too.
const START_FAILURES_MAX: u32 = 3;

/// Pools that a failure names, and functions of each.
const POOLS_SAID_MAX: usize = 20;
const FUNCTIONS_SAID_MAX: usize = 20;
const NAME_CHARS_MAX: usize = 100;

/// All pools of this node.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pub(crate) by_number: BTreeMap<u32, PoolState>,
    next: u32,
    /// Tasks whose function no pool is known to serve yet, while a pool is still to say what it serves.
    pub(crate) undecided: BTreeSet<TaskId>,
}

/// One pool.
#[derive(Debug)]
pub(crate) struct PoolState {
    pub(crate) pool: Arc<Pool>,
    /// The job that declared it; `None` for all jobs.
    pub(crate) job: Option<JobId>,
    pub(crate) functions: BTreeMap<String, Function>,
    /// What workers that are connected serve with a signature.
    pub(crate) signatures: Signatures,
    /// Jobs that declared it without a command: they wait for workers that dial in, which are everybody's, to serve what they said.
    pub(crate) expected: BTreeMap<JobId, PoolSpec>,
    /// Whether a worker has said what it serves.
    pub(crate) announced: bool,
    /// Starts that failed in a row, and how the last one did.
    pub(crate) start_failures: u32,
    start_failure: Option<Box<Failure>>,
    pub(crate) retired: bool,
    /// Workers with nothing to do, the one that worked last at the end.
    pub(crate) idle: Vec<WorkerId>,
}

/// Where a call can run.
pub(crate) enum Found {
    Pool(u32),
    /// A pool may serve it; it has yet to say.
    Undecided,
    Nowhere(Box<Failure>),
}

impl PoolState {
    fn serves(&self, job: JobId, function: &str) -> bool {
        self.functions.contains_key(function) || self.declared(job).any(|name| name == function)
    }

    /// What was declared of it, for a job.
    fn declared(&self, job: JobId) -> impl Iterator<Item = &String> {
        let specs = [Some(&self.pool.spec), self.expected.get(&job)];
        specs.into_iter().flatten().flat_map(|spec| {
            spec.functions.iter().chain(spec.interface.iter().map(|function| &function.name))
        })
    }

    /// Whether it may yet say that it serves what a call asks for. Where nobody starts its workers, only a call that names it waits for one.
    fn may_serve(&self, job: JobId, named: bool) -> bool {
        let may_come = if self.pool.spec.command.is_empty() {
            named && self.expected.contains_key(&job)
        } else {
            self.start_failures < START_FAILURES_MAX
        };
        !self.announced && may_come
    }

    /// Its name and what it serves, for people.
    fn say(&self, job: JobId) -> String {
        let announced = self.functions.keys();
        let declared = self.declared(job).filter(|name| !self.functions.contains_key(*name));
        let mut names: Vec<&str> = announced.chain(declared).map(String::as_str).collect();
        let more = names.len().saturating_sub(FUNCTIONS_SAID_MAX);
        names.truncate(FUNCTIONS_SAID_MAX);
        let names: Vec<String> = names.into_iter().map(cut).collect();
        let mut text = names.join(", ");
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
        let text = if names.is_empty() { "no functions by name" } else { &text };
        format!("{} ({text})", cut(&self.pool.spec.name))
    }
}

/// As much of a user's name as a failure has room for.
fn cut(name: &str) -> String {
    let short: String = name.chars().take(NAME_CHARS_MAX).collect();
    if short.len() < name.len() { short + "…" } else { short }
}

impl Node {
    pub(crate) fn declare_pool(&mut self, session: SessionId, spec: PoolSpec) -> Taken {
        if spec.name.is_empty() {
            return Err(invalid("A pool needs a name."));
        }
        let job = (session != SessionId::OWN).then(|| self.acting_job(session));
        let known = self
            .pools
            .by_number
            .iter()
            .find(|(_, p)| p.job == job && !p.retired && p.pool.spec.name == spec.name);
        let number = match known {
            Some((number, pool)) if pool.pool.spec == spec => *number,
            known => {
                if let Some(number) = known.map(|(number, _)| *number) {
                    self.retire_pool(number);
                }
                match job {
                    Some(job) if spec.command.is_empty() => self.expect_visitors(job, &spec),
                    _ => self.add_pool(job, spec.clone()),
                }
            }
        };
        if spec.default_for_session
            && let Some(session) = self.sessions.get_mut(&session)
        {
            session.default_pool = Some(number);
            self.forget_routes();
        }
        for _ in self.workers.values().filter(|w| w.pool == number).count()..spec.prestart.min(64) as usize {
            self.start_worker(number);
        }
        self.decide_undecided();
        Ok(())
    }

    /// A pool of the node's own configuration, for all jobs.
    pub(crate) fn add_pool(&mut self, job: Option<JobId>, spec: PoolSpec) -> u32 {
        self.pools.next += 1;
        let number = self.pools.next;
        let pool = Arc::new(Pool { number, spec });
        let state = PoolState {
            pool,
            job,
            functions: BTreeMap::new(),
            signatures: Signatures::default(),
            expected: BTreeMap::new(),
            announced: false,
            start_failures: 0,
            start_failure: None,
            retired: false,
            idle: Vec::new(),
        };
        self.pools.by_number.insert(number, state);
        self.forget_routes();
        number
    }

    /// The pool of this name that all jobs share.
    pub(crate) fn known_pool_of_visitors(&self, name: &str) -> Option<u32> {
        let mut pools = self.pools.by_number.iter();
        pools
            .find(|(_, p)| p.job.is_none() && !p.retired && p.pool.spec.name == name)
            .map(|(number, _)| *number)
    }

    /// The pool that a worker which dialled in by itself belongs to.
    pub(crate) fn pool_of_visitor(&mut self, name: &str, language: &str) -> u32 {
        self.known_pool_of_visitors(name).unwrap_or_else(|| {
            self.add_pool(
                None,
                PoolSpec { name: name.into(), language: language.into(), ..PoolSpec::default() },
            )
        })
    }

    /// A job's pool without a command: that of the workers of this name that dial in.
    fn expect_visitors(&mut self, job: JobId, spec: &PoolSpec) -> u32 {
        let number = self.pool_of_visitor(&spec.name, &spec.language);
        if let Some(pool) = self.pools.by_number.get_mut(&number) {
            pool.expected.insert(job, spec.clone());
        }
        self.forget_routes();
        number
    }

    /// Jobs are over: nobody waits for visitors on their behalf any more.
    pub(crate) fn expect_no_visitors(&mut self, is_over: impl Fn(JobId) -> bool) {
        let mut unheard = Vec::new();
        for (number, pool) in &mut self.pools.by_number {
            let waited = pool.expected.len();
            pool.expected.retain(|job, _| !is_over(*job));
            if pool.expected.is_empty() && waited > 0 && !pool.announced && pool.pool.spec.command.is_empty()
            {
                unheard.push(*number);
            }
        }
        for pool in unheard {
            self.retire_pool(pool);
        }
    }

    /// Decides where a declaration's calls run.
    pub(crate) fn find_pool(&self, job: JobId, default: Option<u32>, declaration: &Declaration) -> Found {
        match self.find_live_pool(job, default, declaration) {
            // It is served there, too, but as something else.
            Found::Nowhere(failure) if failure.is(Code::SignatureMismatch) => Found::Nowhere(failure),
            // A worker's own pool serves it as long as it lives, though it works for the caller of another job, or its driver is gone and the pool
            // retired.
            Found::Nowhere(failure) => {
                let own = default.and_then(|pool| self.pools.by_number.get(&pool)).filter(|pool| {
                    let serves = declaration.code.is_some() || pool.serves(job, &declaration.function);
                    let named = declaration.pool.as_deref().is_none_or(|name| name == pool.pool.spec.name);
                    serves && named
                });
                own.map_or(Found::Nowhere(failure), |pool| Found::Pool(pool.pool.number))
            }
            found => found,
        }
    }

    fn find_live_pool(&self, job: JobId, default: Option<u32>, declaration: &Declaration) -> Found {
        let named = declaration.pool.as_deref();
        let mine = |p: &PoolState| {
            !p.retired && p.job.is_none_or(|j| j == job) && named.is_none_or(|name| p.pool.spec.name == name)
        };
        if declaration.code.is_some() {
            return match (named, default) {
                (None, Some(pool)) => Found::Pool(pool),
                _ => match self
                    .pools
                    .by_number
                    .iter()
                    .filter(|(_, p)| mine(p))
                    .max_by_key(|(_, p)| p.job.is_some())
                {
                    Some((number, _)) if named.is_some() => Found::Pool(*number),
                    _ => Found::Nowhere(self.not_served(job, declaration)),
                },
            };
        }
        let mut undecided = false;
        let mut misfit = None;
        // The job's own pools go before those that all share.
        for own in [true, false] {
            for (number, pool) in
                self.pools.by_number.iter().filter(|(_, p)| mine(p) && p.job.is_some() == own)
            {
                if pool.serves(job, &declaration.function) {
                    match pool.misfits(job, declaration) {
                        None => return Found::Pool(*number),
                        Some(failure) => misfit = misfit.or(Some(failure)),
                    }
                    continue;
                }
                undecided |= pool.may_serve(job, named.is_some());
            }
        }
        match misfit {
            _ if undecided => Found::Undecided,
            Some(failure) => Found::Nowhere(failure),
            None => Found::Nowhere(self.not_served(job, declaration)),
        }
    }

    fn not_served(&self, job: JobId, declaration: &Declaration) -> Box<Failure> {
        let mine = |p: &PoolState| {
            !p.retired
                && p.job.is_none_or(|j| j == job)
                && declaration.pool.as_deref().is_none_or(|name| p.pool.spec.name == name)
        };
        // It might serve it, if only it started.
        let broken = self
            .pools
            .by_number
            .values()
            .find(|p| mine(p) && !p.announced && p.start_failures >= START_FAILURES_MAX);
        if let Some(failure) = broken.and_then(|p| p.start_failure.clone()) {
            return failure;
        }
        let staffed: BTreeSet<u32> = self.workers.values().map(|worker| worker.pool).collect();
        let mut visible: Vec<&PoolState> =
            self.pools.by_number.values().filter(|p| !p.retired && p.job.is_none_or(|j| j == job)).collect();
        // What was declared last is most likely what is meant.
        visible.sort_by_key(|p| (!staffed.contains(&p.pool.number), Reverse(p.pool.number)));
        let mut pools: Vec<String> = visible.iter().take(POOLS_SAID_MAX).map(|p| p.say(job)).collect();
        if let more @ 1.. = visible.len().saturating_sub(POOLS_SAID_MAX) {
            pools.push(format!("and {more} more"));
        }
        let place =
            declaration.pool.as_deref().map_or("No pool".into(), |pool| format!("No pool named {pool:?}"));
        let known = if pools.is_empty() {
            "there are no pools: declare one".into()
        } else {
            format!("the pools are {}", pools.join("; "))
        };
        let message = format!("{place} serves the function {:?}; {known}.", declaration.function);
        Box::new(
            Failure::new(Code::FunctionNotFound, message)
                .with("function", &declaration.function)
                .with("pools", pools.join("\n")),
        )
    }

    /// Tasks wait for a pool to say what it serves: see that one of its workers comes up.
    pub(crate) fn wake_silent_pools(&mut self, job: JobId) {
        let silent: Vec<u32> = self
            .pools
            .by_number
            .iter()
            .filter(|(_, p)| {
                !p.announced
                    && !p.retired
                    && p.job.is_none_or(|j| j == job)
                    && !p.pool.spec.command.is_empty()
            })
            .map(|(number, _)| *number)
            .collect();
        for pool in silent {
            if !self.workers.values().any(|w| w.pool == pool) {
                self.start_worker(pool);
            }
        }
    }

    pub(crate) fn decide_undecided(&mut self) {
        for task in std::mem::take(&mut self.pools.undecided) {
            // An actor's creation goes to the registry, not to a node.
            self.dependencies_ready(task);
        }
    }

    /// A worker did not come up.
    pub(crate) fn pool_start_failed(&mut self, pool: u32, reason: &str) {
        let Some(state) = self.pools.by_number.get_mut(&pool) else { return };
        state.start_failures += 1;
        let spec = &state.pool.spec;
        let message = format!(
            "A worker of pool {:?} did not start: {reason}. Check its command: {:?}.",
            spec.name, spec.command
        );
        let failure = Failure::new(Code::WorkerStartFailed, message)
            .with("pool", &spec.name)
            .with("attempts", state.start_failures);
        state.start_failure = Some(Box::new(failure.clone()));
        let (job, failures) = (state.job, state.start_failures);
        if failures == 1 {
            self.notice(job, &failure);
        }
        if failures >= START_FAILURES_MAX {
            self.fail_queued_of_pool(pool, &failure);
        }
        // Has another worker started for those that wait for its word, or fails them if this was the last try.
        self.decide_undecided();
        if let Some(state) = self.pools.by_number.get_mut(&pool) {
            // The next task tries anew, once.
            state.start_failures = failures.min(START_FAILURES_MAX - 1);
        }
        self.schedule_due = true;
    }

    /// A worker came and does not serve what it has to, or not in the way of those that are there.
    pub(crate) fn pool_refused(&mut self, pool: u32, failure: &Failure) {
        let others = self.workers.values().any(|worker| worker.pool == pool && worker.session.is_some());
        let Some(state) = self.pools.by_number.get_mut(&pool) else { return };
        let job = state.job;
        state.signatures.refusing = others;
        if !others {
            // The next one would be refused as well: whoever waits need not wait for that.
            state.start_failures = START_FAILURES_MAX;
            state.start_failure = Some(Box::new(failure.clone()));
        }
        self.notice(job, failure);
        if !others {
            self.fail_queued_of_pool(pool, failure);
            self.decide_undecided();
            if let Some(state) = self.pools.by_number.get_mut(&pool) {
                // The next task tries anew, once.
                state.start_failures = START_FAILURES_MAX - 1;
            }
        }
        self.schedule_due = true;
    }

    /// Tells the drivers of a job, or of all.
    pub(crate) fn notice(&mut self, job: Option<JobId>, failure: &Failure) {
        let drivers: Vec<SessionId> = self
            .jobs
            .iter()
            .filter(|(id, _)| job.is_none_or(|j| j == **id))
            .filter_map(|(_, job)| job.driver)
            .collect();
        for driver in drivers {
            self.send(driver, Message::Notice(Box::new(failure.clone())));
        }
    }

    /// No new workers; idle ones end, the template too once nothing of the pool lives.
    pub(crate) fn retire_pool(&mut self, number: u32) {
        let Some(state) = self.pools.by_number.get_mut(&number) else { return };
        state.retired = true;
        self.forget_routes();
        let idle: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, w)| w.pool == number && !w.is_busy())
            .map(|(id, _)| *id)
            .collect();
        for worker in idle {
            self.stop_worker(worker, crate::effect::Stop::Gently);
        }
        self.forget_pool_if_empty(number);
    }

    /// Whether something is queued for a pool: a detached actor may be, though its driver is gone and the pool retired.
    pub(crate) fn is_pool_wanted(&self, number: u32) -> bool {
        self.classes
            .values()
            .any(|class| class.key.pool == number && (!class.queue.is_empty() || class.staging > 0))
    }

    /// A run of this class has ended before it began.
    pub(crate) fn forget_pool_of(&mut self, class: ClassId) {
        if let Some(pool) = self.classes.get(&class).map(|class| class.key.pool) {
            self.forget_pool_if_empty(pool);
        }
    }

    pub(crate) fn forget_pool_if_empty(&mut self, number: u32) {
        let Some(state) = self.pools.by_number.get(&number) else { return };
        // A pool may outlive its driver for the restart of a detached actor, or come from another node with a task.
        let of_driver =
            state.job.is_none_or(|job| self.jobs.get(&job).is_some_and(|job| job.driver.is_some()));
        let unused = !self.workers.values().any(|w| w.pool == number) && !self.is_pool_wanted(number);
        if (state.retired || !of_driver) && unused {
            let pool = Arc::clone(&state.pool);
            self.pools.by_number.remove(&number);
            self.forget_routes();
            self.out.push(Effect::RetirePool { pool });
        }
    }
}
