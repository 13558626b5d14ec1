//! Signatures: which worker may serve what, and which call fits what is served.
//!
//! A signature is a text that is compared and never read. Where two that must be the same differ, the failure is SIGNATURE_MISMATCH: of the worker
//! that came with the second, or of the call.

use std::collections::{BTreeMap, BTreeSet};

use thornback_types::{Code, Failure, JobId, SessionId, TaskId, WorkerId};

use crate::effect::{Effect, Stop};
use crate::input::{Declaration, Function};
use crate::node::Node;
use crate::node::pool::PoolState;

/// As much of a signature as a failure has room for.
const SIGNATURE_CHARS_MAX: usize = 2000;

/// What workers of a pool that are connected serve with a signature, and which of them do.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    by_function: BTreeMap<String, (String, BTreeSet<WorkerId>)>,
    /// A worker was refused while others of the pool were connected: no more are started as long as they are, or each would be refused in turn.
    pub(crate) refusing: bool,
}

impl Signatures {
    /// Notes what a worker serves. Whether anything has a signature now that had none, or another one.
    fn add(&mut self, worker: WorkerId, functions: &[Function]) -> bool {
        let mut changed = false;
        for function in functions {
            if function.signature.is_empty() {
                self.remove(worker, Some(&function.name));
                continue;
            }
            let known = self.by_function.entry(function.name.clone()).or_default();
            if known.0 != function.signature {
                known.0.clone_from(&function.signature);
                changed = true;
            }
            known.1.insert(worker);
        }
        changed
    }

    /// Forgets a worker, or what it serves under one name.
    pub(crate) fn remove(&mut self, worker: WorkerId, function: Option<&str>) {
        self.by_function.retain(|name, (_, workers)| {
            if function.is_none_or(|function| function == name) {
                workers.remove(&worker);
            }
            !workers.is_empty()
        });
    }
}

impl PoolState {
    /// Why a worker may not serve what it says, if it may not. With `all`, that is everything it serves.
    fn misfit(&self, worker: Option<WorkerId>, functions: &[Function], all: bool) -> Option<Failure> {
        let pool = &self.pool.spec.name;
        for expected in &self.pool.spec.interface {
            let mut of_name = functions.iter().filter(|function| function.name == expected.name).peekable();
            if of_name.peek().is_none() && all {
                let message = format!(
                    "A worker of pool {pool:?} was refused: it does not serve {:?}, which the pool's interface has. Serve it, or take it out of the interface.",
                    expected.name
                );
                return Some(mismatch(message, &expected.name, pool, &expected.signature, ""));
            }
            let differs = |function: &&Function| {
                function.actor != expected.actor
                    || (!expected.signature.is_empty() && function.signature != expected.signature)
            };
            if let Some(found) = of_name.find(differs) {
                let what = match (found.actor == expected.actor, found.signature.is_empty()) {
                    (false, _) if found.actor => "is a class there, and a function in the pool's interface",
                    (false, _) => "is a function there, and a class in the pool's interface",
                    (true, true) => "has no signature there, and one in the pool's interface",
                    (true, false) => "has another signature than in the pool's interface",
                };
                let message = format!(
                    "A worker of pool {pool:?} was refused: {:?} {what}.{} Make the stubs of both from the same interface.",
                    expected.name,
                    compare(&expected.signature, &found.signature)
                );
                return Some(mismatch(message, &expected.name, pool, &expected.signature, &found.signature));
            }
        }
        functions.iter().filter(|function| !function.signature.is_empty()).find_map(|function| {
            let (known, workers) = self.signatures.by_function.get(&function.name)?;
            let others = workers.iter().any(|other| Some(*other) != worker);
            (others && *known != function.signature).then(|| {
                let message = format!(
                    "A worker of pool {pool:?} was refused: it serves {:?} with another signature than a worker that is connected.{} Stop the older one, or give the new one \
                     another pool.",
                    function.name,
                    compare(known, &function.signature)
                );
                mismatch(message, &function.name, pool, known, &function.signature)
            })
        })
    }

    /// The signature under which a function is served, or will be; empty if nobody has said.
    fn served(&self, function: &str) -> &str {
        if let Some((signature, _)) = self.signatures.by_function.get(function) {
            return signature;
        }
        let of = |functions: &'_ [Function]| functions.iter().position(|known| known.name == function);
        if let Some(i) = of(&self.pool.spec.interface) {
            return &self.pool.spec.interface[i].signature;
        }
        // A command that gave workers of one kind gives such workers again; who dials in is anybody.
        match self.functions.get(function) {
            Some(known) if !self.pool.spec.command.is_empty() => &known.signature,
            _ => "",
        }
    }

    /// Why a call of what this pool serves does not fit it, if it does not.
    pub(crate) fn misfits(&self, job: JobId, declaration: &Declaration) -> Option<Box<Failure>> {
        if declaration.code.is_some() {
            return None;
        }
        let function = &declaration.function;
        let wanted = if declaration.signature.is_empty() {
            let expected = self.expected.get(&job)?.interface.iter().find(|known| known.name == *function)?;
            &expected.signature
        } else {
            &declaration.signature
        };
        let served = self.served(function);
        if wanted.is_empty() || served.is_empty() || wanted == served {
            return None;
        }
        let pool = &self.pool.spec.name;
        let message = format!(
            "Pool {pool:?} serves {function:?} with another signature than its caller was made for.{} Make the stubs of both from the same interface.",
            compare(wanted, served)
        );
        Some(Box::new(mismatch(message, function, pool, wanted, served)))
    }
}

impl Node {
    /// Why a worker that says hello is refused, if it is. It is told, and so is whoever waits for its pool.
    pub(crate) fn refuse_worker(
        &mut self,
        session: SessionId,
        launch: Option<WorkerId>,
        pool: &str,
        functions: &[Function],
    ) -> bool {
        let number = match launch {
            Some(worker) => self.workers.get(&worker).map(|worker| worker.pool),
            None => self.known_pool_of_visitors(pool),
        };
        let Some(number) = number else { return false };
        let Some(failure) =
            self.pools.by_number.get(&number).and_then(|pool| pool.misfit(launch, functions, true))
        else {
            return false;
        };
        self.out.push(Effect::Close { session, failure: Some(Box::new(failure.clone())) });
        if let Some(worker) = launch.and_then(|id| self.workers.remove(&id).map(|worker| (id, worker))) {
            let (id, worker) = worker;
            self.out.push(Effect::StopWorker { worker: id, how: Stop::Gently });
            self.pool_refused(number, &failure);
            self.forget_pool_if_empty(number);
            self.forget_job_if_over(worker.job);
        } else {
            self.pool_refused(number, &failure);
        }
        true
    }

    /// A worker says what it serves besides. If that does not fit it is refused, whatever it runs.
    pub(crate) fn announce_more(
        &mut self,
        session: SessionId,
        worker: WorkerId,
        pool: u32,
        functions: Vec<Function>,
    ) {
        let failure =
            self.pools.by_number.get(&pool).and_then(|pool| pool.misfit(Some(worker), &functions, false));
        match failure {
            None => self.announce(worker, pool, functions),
            Some(failure) => {
                self.out.push(Effect::Close { session, failure: Some(Box::new(failure.clone())) });
                self.session_closed(session);
                self.pool_refused(pool, &failure);
            }
        }
    }

    /// A worker that was not refused serves this.
    pub(crate) fn announce(&mut self, worker: WorkerId, pool: u32, functions: Vec<Function>) {
        let Some(state) = self.pools.by_number.get_mut(&pool) else { return };
        let changed = state.signatures.add(worker, &functions);
        state.announced = true;
        state.start_failures = 0;
        state.functions.extend(functions.into_iter().map(|function| (function.name.clone(), function)));
        self.forget_routes();
        if changed {
            self.fail_queued_misfits(pool);
        }
        self.decide_undecided();
    }

    /// Calls that were queued when nobody had said yet what is served.
    fn fail_queued_misfits(&mut self, pool: u32) {
        let Some(state) = self.pools.by_number.get(&pool) else { return };
        let queued =
            self.classes.values().filter(|class| class.key.pool == pool).flat_map(|class| class.queue.iter());
        let misfit = |task: &TaskId| {
            let spec = &self.runs.get(task)?.spec;
            state.misfits(spec.job, &spec.declaration).map(|failure| (*task, failure))
        };
        let misfits: Vec<_> = queued.filter_map(misfit).collect();
        let job = misfits.first().and_then(|(task, _)| self.runs.get(task)).map(|run| run.spec.job);
        if let (Some(job), Some((_, failure))) = (job, misfits.first()) {
            self.notice(Some(job), failure);
        }
        for (task, failure) in misfits {
            self.unqueue(task);
            self.run_failed(task, *failure);
        }
    }
}

fn mismatch(message: String, function: &str, pool: &str, wanted: &str, served: &str) -> Failure {
    Failure::new(Code::SignatureMismatch, message)
        .with("function", function)
        .with("pool", pool)
        .with("wanted", wanted)
        .with("served", served)
}

fn compare(wanted: &str, served: &str) -> String {
    if served.is_empty() || wanted.is_empty() || wanted == served {
        return String::new();
    }
    format!(" Wanted: {}. Served: {}.", cut(wanted), cut(served))
}

fn cut(signature: &str) -> String {
    let short: String = signature.chars().take(SIGNATURE_CHARS_MAX).collect();
    if short.len() < signature.len() { short + "…" } else { short }
}
