//! What the node wants run, between the session's thread, which puts it in, and the executor, which takes it out.
//!
//! Recalls and interrupts are answered by the session's thread from here, however busy the executor is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use thornback_types::{Code, Failure, Id, TaskId};
use thornback_wire::v1;

use super::{ClassDefinition, Definition, Run};
use crate::Error;
use crate::link::{IdMap, lock};
use crate::scope::Scope;

/// What a worker serves.
#[derive(Default)]
pub(crate) struct Registry {
    functions: HashMap<&'static str, Definition>,
    classes: HashMap<&'static str, ClassDefinition>,
}

impl Registry {
    pub(super) fn add_function(&mut self, definition: Definition) {
        self.functions.insert(definition.name, definition);
    }

    pub(super) fn add_class(&mut self, definition: ClassDefinition) {
        self.classes.insert(definition.name, definition);
    }

    pub(super) fn announce(&self) -> Vec<v1::Function> {
        let function = |name: &str, args: u32, actor, signature: &str| v1::Function {
            name: name.into(),
            min_args: args,
            max_args: i32::try_from(args).unwrap_or(-1),
            actor,
            signature: signature.into(),
        };
        let mut announced: Vec<_> = self
            .functions
            .values()
            .map(|definition| function(definition.name, definition.args, false, definition.signature))
            .chain(
                self.classes
                    .values()
                    .map(|definition| function(definition.name, definition.args, true, definition.signature)),
            )
            .collect();
        announced.sort_by(|a, b| a.name.cmp(&b.name));
        announced
    }
}

/// A declaration of the node's, with what it names here.
pub(crate) struct Declared {
    pub(super) function: String,
    pub(super) label: String,
    pub(super) stream_window: u32,
    pub(super) target: Target,
}

pub(super) enum Target {
    Function(Definition),
    Class(ClassDefinition),
    /// A method of the actor that this worker is, or nothing that is known here.
    Other,
}

/// A run that was not started yet.
pub(super) struct Job {
    pub(super) run: Run,
    pub(super) declared: Arc<Declared>,
}

pub(crate) struct Inbox {
    registry: Registry,
    state: Mutex<State>,
    /// Wakes the executor.
    waker: AtomicWaker,
}

#[derive(Default)]
struct State {
    declarations: BTreeMap<u32, Arc<Declared>>,
    jobs: VecDeque<Job>,
    /// What was begun last. Most are over at once, and are nowhere else.
    current: Option<Arc<Scope>>,
    /// What was begun and goes on.
    running: IdMap<Arc<Scope>>,
    ended: Option<Error>,
}

/// What there is for the executor.
pub(super) enum Next {
    Job(Job, Arc<Scope>),
    Nothing,
    Ended,
}

impl Inbox {
    pub(super) fn new(registry: Registry) -> Inbox {
        Inbox { registry, state: Mutex::default(), waker: AtomicWaker::new() }
    }

    pub(crate) fn declare(&self, declare: v1::Declare) {
        let name = declare.function.as_str();
        let target = match (self.registry.functions.get(name), self.registry.classes.get(name)) {
            (Some(function), _) => Target::Function(function.clone()),
            (None, Some(class)) => Target::Class(class.clone()),
            (None, None) => Target::Other,
        };
        let label = if declare.name.is_empty() { declare.function.clone() } else { declare.name };
        let declared =
            Declared { function: declare.function, label, stream_window: declare.stream_window, target };
        lock(&self.state).declarations.insert(declare.number, Arc::new(declared));
    }

    /// Takes what came together. The executor is woken once, behind the last: woken by the first, it would run that one, find nothing more, and sleep
    /// again, for each of them. `true` if there was something.
    pub(crate) fn run(&self, runs: &mut Vec<Run>) -> bool {
        if runs.is_empty() {
            return false;
        }
        let mut state = lock(&self.state);
        let was_empty = state.jobs.is_empty();
        for run in runs.drain(..) {
            let declared = state.declared(run.declaration);
            state.jobs.push_back(Job { run, declared });
        }
        drop(state);
        if was_empty {
            self.waker.wake();
        }
        true
    }

    /// Interrupts a call that runs; gives back one that waits, with the failure to answer.
    pub(crate) fn interrupt(&self, interrupt: &v1::Interrupt) -> Option<(Run, v1::Failure)> {
        let task = TaskId::from_slice(&interrupt.task)?;
        let mut state = lock(&self.state);
        if let Some(at) =
            state.jobs.iter().position(|job| job.run.task == task && job.run.attempt == interrupt.attempt)
        {
            let job = state.jobs.remove(at)?;
            let failure = interruption(interrupt.code, "before it began").to_failure().of_task(task);
            return Some((job.run, failure.into()));
        }
        let scope = state.begun(task, interrupt.attempt);
        drop(state);
        if let Some(scope) = scope {
            scope.call.interrupt(interrupt.code);
        }
        None
    }

    pub(crate) fn resume(&self, resume: &v1::Resume) {
        let Some(task) = TaskId::from_slice(&resume.task) else { return };
        let scope = lock(&self.state).begun(task, resume.attempt);
        if let Some(scope) = scope {
            scope.call.resume(resume.consumed);
        }
    }

    /// Gives back those that have not started.
    pub(crate) fn recall(&self, tasks: &[Bytes]) -> Vec<Run> {
        let recalled: IdMap<()> = tasks.iter().filter_map(|task| Some((Id::from_slice(task)?, ()))).collect();
        let mut state = lock(&self.state);
        let mut back = Vec::with_capacity(tasks.len());
        for job in std::mem::take(&mut state.jobs) {
            if recalled.contains_key(&job.run.task.0) {
                back.push(job.run);
            } else {
                state.jobs.push_back(job);
            }
        }
        back
    }

    /// The session is over: nothing more is worth doing.
    pub(crate) fn end(&self, error: Error) {
        let mut state = lock(&self.state);
        state.ended = Some(error);
        state.jobs.clear();
        drop(state);
        self.waker.wake();
    }

    /// Takes the next job if there is room for one, and begins it. What was begun before is over, or goes on.
    pub(super) fn next(&self, room: bool, begin: impl FnOnce(&Job) -> Arc<Scope>) -> Next {
        let mut state = lock(&self.state);
        state.current = None;
        if state.ended.is_some() {
            return Next::Ended;
        }
        if !room {
            return Next::Nothing;
        }
        let Some(job) = state.jobs.pop_front() else { return Next::Nothing };
        let scope = begin(&job);
        state.current = Some(scope.clone());
        Next::Job(job, scope)
    }

    /// What was begun last goes on.
    pub(super) fn goes_on(&self, scope: &Arc<Scope>) {
        lock(&self.state).running.insert(scope.task.0, scope.clone());
    }

    /// A call that went on was answered.
    pub(super) fn finished(&self, scope: &Scope) {
        let mut state = lock(&self.state);
        if state.running.get(&scope.task.0).is_some_and(|running| running.call.attempt == scope.call.attempt)
        {
            state.running.remove(&scope.task.0);
        }
    }

    pub(super) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }
}

impl State {
    fn declared(&self, number: u32) -> Arc<Declared> {
        self.declarations.get(&number).cloned().unwrap_or_else(|| {
            let function = format!("declaration {number}");
            Arc::new(Declared { label: function.clone(), function, stream_window: 0, target: Target::Other })
        })
    }

    /// A call that was begun and may not be over.
    fn begun(&self, task: TaskId, attempt: u32) -> Option<Arc<Scope>> {
        let current = self.current.as_ref().filter(|scope| scope.task == task);
        current.or_else(|| self.running.get(&task.0)).filter(|scope| scope.call.attempt == attempt).cloned()
    }
}

/// The error of a call that was interrupted.
pub(super) fn interruption(code: u32, when: &str) -> Error {
    let what = match Code::from_number(code) {
        Some(Code::DeadlineExceeded) => "the task's deadline passed",
        _ => "the task was cancelled",
    };
    Failure { code, message: format!("{what} {when}"), ..Failure::default() }.into()
}
