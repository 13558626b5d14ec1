//! A simulated worker process: takes runs in order, executes their programs, and answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use thornback_core::effect::{ActorSetup, Message, Outcome, RunArg};
use thornback_core::input::{ArgValue, Declaration, ExitStatus, Output, Returns};
use thornback_core::{Location, Op};
use thornback_types::{ActorId, Code, Failure, ObjectId, SessionId, TaskId, Value, WorkerId};

use crate::client::{Context, Ids, Wish};
use crate::program::{Program, Work, passed_on, value_word, word_value};

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) worker: WorkerId,
    ids: Ids,
    declarations: BTreeMap<u32, Arc<Declaration>>,
    jobs: VecDeque<Job>,
    next_token: u64,
    actor: Option<ActorId>,
    concurrency: usize,
}

/// Something that it was told to run and has not answered.
#[derive(Debug)]
struct Job {
    task: TaskId,
    attempt: u32,
    token: u64,
    declaration: Arc<Declaration>,
    setup: Option<Box<ActorSetup>>,
    actor: Option<ActorId>,
    given: Vec<RunArg>,
    program: Program,
    phase: Phase,
    /// What each argument holds, as far as it is known.
    args: Vec<Slot>,
    pinned: Vec<(ObjectId, Location)>,
    children: Vec<(ObjectId, Option<u64>)>,
    /// Asked to be created, with what they are to hold.
    creating: BTreeMap<ObjectId, u64>,
    fetching: BTreeSet<ObjectId>,
    /// Counts of the session that the job made, to be dropped once it is answered.
    owned: Vec<ObjectId>,
    yielded: u64,
    consumed: u64,
    blocked: bool,
    doomed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Queued,
    Loading,
    Working,
    Waiting,
    Storing,
    Streaming,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Known(u64),
    Fetched(ObjectId),
    Borrowed(ObjectId),
}

impl Job {
    fn words(&self) -> Option<Vec<u64>> {
        self.args.iter().map(|slot| if let Slot::Known(word) = slot { Some(*word) } else { None }).collect()
    }

    fn borrowed(&self) -> Vec<ObjectId> {
        let refs = |arg: &RunArg| match arg {
            RunArg::Given(arg) => match &arg.value {
                ArgValue::Value(value) => passed_on(value),
                ArgValue::Ref(_) => None,
            },
            _ => None,
        };
        self.given.iter().filter_map(refs).collect()
    }

    fn returns(&self) -> u32 {
        match self.declaration.returns {
            Returns::Fixed(n) if self.setup.is_none() => n,
            _ => 0,
        }
    }
}

impl Worker {
    pub(crate) fn new(session: SessionId, worker: WorkerId) -> Worker {
        Worker {
            worker,
            ids: Ids::new(session),
            declarations: BTreeMap::new(),
            jobs: VecDeque::new(),
            next_token: 0,
            actor: None,
            concurrency: 1,
        }
    }

    pub(crate) fn on_message(&mut self, cx: &mut Context<'_>, message: Message) {
        match message {
            Message::Declare { number, declaration } => {
                self.declarations.insert(number, declaration);
            }
            Message::Run(run) => {
                let program = match run.args.first() {
                    Some(RunArg::Given(arg)) => match &arg.value {
                        ArgValue::Value(value) => Program::decode(value),
                        ArgValue::Ref(_) => None,
                    },
                    _ => None,
                };
                let (Some(program), Some(declaration)) =
                    (program, self.declarations.get(&run.declaration).cloned())
                else {
                    return cx.history.problem(format!(
                        "run {} has no program, or a declaration {} that was never made",
                        run.task, run.declaration
                    ));
                };
                self.next_token += 1;
                let job = Job {
                    task: run.task,
                    attempt: run.attempt,
                    token: self.next_token,
                    declaration,
                    setup: run.setup,
                    actor: run.actor,
                    given: run.args,
                    program,
                    phase: Phase::Queued,
                    args: Vec::new(),
                    pinned: Vec::new(),
                    children: Vec::new(),
                    creating: BTreeMap::new(),
                    fetching: BTreeSet::new(),
                    owned: Vec::new(),
                    yielded: 0,
                    consumed: 0,
                    blocked: false,
                    doomed: false,
                };
                self.jobs.push_back(job);
                self.start_next(cx);
            }
            Message::Interrupt { task, attempt, .. } => self.interrupted(cx, task, attempt),
            Message::Recall { tasks } => self.recalled(cx, &tasks),
            Message::Resume { task, attempt, consumed } => {
                let Some(at) = self.jobs.iter().position(|job| job.task == task && job.attempt == attempt)
                else {
                    return;
                };
                self.jobs[at].consumed = self.jobs[at].consumed.max(consumed);
                if self.jobs[at].phase == Phase::Streaming && self.jobs[at].creating.is_empty() {
                    cx.wake(1000, self.jobs[at].token);
                }
            }
            Message::Completion { object, outcome } => self.completed(cx, object, &outcome),
            Message::Created { object, outcome } => self.created(cx, object, outcome),
            Message::CreatedRemote { object, size } => self.created_remote(cx, object, size),
            Message::Located { object, location } => {
                let word = cx.memory.read(location);
                cx.history.read(self.ids.session, object, word);
                cx.op(Op::Release { objects: vec![object] });
                self.fetched(cx, object, word.ok_or_else(|| Failure::new(Code::Internal, "unreadable")));
            }
            Message::LocatedInline { object, outcome } => {
                let word = match outcome {
                    Ok(value) => value_word(&value).ok_or_else(|| Failure::new(Code::Internal, "no word")),
                    Err(failure) => {
                        if self.is_wanted(cx, object) {
                            cx.history.failure(self.ids.session, object, &failure);
                        }
                        Err((*failure).clone())
                    }
                };
                self.fetched(cx, object, word);
            }
            Message::StreamEnd { .. } | Message::Reply { .. } | Message::Log { .. } | Message::Notice(_) => {}
        }
    }

    /// The bytes of an object, for a session without shared memory.
    pub(crate) fn on_chunk(&mut self, cx: &mut Context<'_>, object: ObjectId, word: Option<u64>) {
        cx.history.read(self.ids.session, object, word);
        self.fetched(cx, object, word.ok_or_else(|| Failure::new(Code::Internal, "unreadable")));
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>, token: u64) {
        let Some(at) = self.jobs.iter().position(|job| job.token == token) else { return };
        if self.jobs[at].doomed {
            let failure = Failure::new(Code::Cancelled, "Interrupted.");
            return self.answer(cx, at, Err(failure));
        }
        match self.jobs[at].phase {
            Phase::Working => self.work(cx, at),
            Phase::Streaming => self.next_item(cx, at),
            _ => {}
        }
    }

    fn start_next(&mut self, cx: &mut Context<'_>) {
        loop {
            let active = self.jobs.iter().filter(|job| job.phase != Phase::Queued).count();
            let Some(at) = self
                .jobs
                .iter()
                .position(|job| job.phase == Phase::Queued)
                .filter(|_| active < self.concurrency)
            else {
                return;
            };
            self.load(cx, at);
        }
    }

    /// Begins a job by bringing its arguments in.
    fn load(&mut self, cx: &mut Context<'_>, at: usize) {
        let session = self.ids.session;
        let job = &mut self.jobs[at];
        job.phase = Phase::Loading;
        cx.history.started(session, job.task, job.attempt);
        let mut broken = None;
        for arg in job.given.iter().skip(1) {
            let slot = match arg {
                RunArg::Given(arg) => match &arg.value {
                    ArgValue::Value(value) => match passed_on(value) {
                        Some(object) => Slot::Borrowed(object),
                        None => Slot::Known(value_word(value).unwrap_or(0)),
                    },
                    ArgValue::Ref(object) => Slot::Borrowed(*object),
                },
                RunArg::Value { value, .. } => match value_word(value) {
                    Some(word) => Slot::Known(word),
                    None => {
                        broken = Some(format!("{} was given an argument without a value", job.task));
                        Slot::Known(0)
                    }
                },
                RunArg::Stored { object, location: Some(location), .. } => {
                    let word = cx.memory.read(*location);
                    cx.history.read(session, *object, word);
                    job.pinned.push((*object, *location));
                    Slot::Known(word.unwrap_or(0))
                }
                RunArg::Stored { object, location: None, .. } => Slot::Fetched(*object),
            };
            job.args.push(slot);
        }
        if let Some(broken) = broken {
            cx.history.problem(broken);
        }
        let fetch: BTreeSet<ObjectId> = job
            .args
            .iter()
            .filter_map(|slot| if let Slot::Fetched(object) = slot { Some(*object) } else { None })
            .collect();
        let watch: BTreeSet<ObjectId> = job
            .args
            .iter()
            .filter_map(|slot| if let Slot::Borrowed(object) = slot { Some(*object) } else { None })
            .collect();
        for object in fetch {
            job.fetching.insert(object);
            cx.op(Op::Fetch { object, quiet: false });
        }
        if !watch.is_empty() {
            if job.setup.is_none() {
                job.blocked = true;
                cx.op(Op::Blocked { task: job.task });
            }
            cx.op(Op::Watch { objects: watch.into_iter().collect() });
        }
        self.loaded(cx, at);
    }

    fn loaded(&mut self, cx: &mut Context<'_>, at: usize) {
        let job = &mut self.jobs[at];
        if job.phase == Phase::Loading && job.words().is_some() {
            unblock(cx, job);
            job.phase = Phase::Working;
            cx.wake(1 + u64::from(job.program.micros) * 1000, job.token);
        }
    }

    /// What a job waited for is known, or never will be.
    fn settle(&mut self, cx: &mut Context<'_>, object: ObjectId, word: Result<u64, Failure>) {
        let mut at = 0;
        while at < self.jobs.len() {
            let token = self.jobs[at].token;
            self.settle_in(cx, at, object, &word);
            // An answered job is gone, and the next one has taken its place.
            at += usize::from(self.jobs.get(at).is_some_and(|job| job.token == token));
        }
    }

    fn settle_in(&mut self, cx: &mut Context<'_>, at: usize, object: ObjectId, word: &Result<u64, Failure>) {
        let job = &mut self.jobs[at];
        let is_arg =
            job.args.iter().any(|slot| matches!(slot, Slot::Fetched(o) | Slot::Borrowed(o) if *o == object));
        let is_child = job.children.iter().any(|(child, known)| *child == object && known.is_none());
        if !is_arg && !is_child {
            return;
        }
        let word = match word {
            Ok(word) => *word,
            Err(failure) => {
                let failure =
                    Failure::new(Code::TaskFailed, "What it waited for failed.").caused_by(failure.clone());
                return self.answer(cx, at, Err(failure));
            }
        };
        for slot in &mut job.args {
            if matches!(slot, Slot::Fetched(o) | Slot::Borrowed(o) if *o == object) {
                *slot = Slot::Known(word);
            }
        }
        for (child, known) in &mut job.children {
            if *child == object {
                *known = Some(word);
            }
        }
        if is_child && job.children.iter().all(|(_, known)| known.is_some()) {
            unblock(cx, job);
            let words = job.words().unwrap_or_default();
            let known = job.children.iter().map(|(_, known)| known.unwrap_or(0));
            let word = job.program.mixture(&words, known);
            let value = word_value(word, job.borrowed());
            return self.answer(cx, at, Ok(vec![Output::Value(value)]));
        }
        self.loaded(cx, at);
    }

    /// Whether something waits for this object that is surely not over. What a task refers to may be gone once it is, or is answered.
    fn is_wanted(&self, cx: &Context<'_>, object: ObjectId) -> bool {
        let waits = |job: &&Job| {
            let slot = |slot: &Slot| matches!(slot, Slot::Fetched(o) | Slot::Borrowed(o) if *o == object);
            job.args.iter().any(slot) || job.children.iter().any(|(child, _)| *child == object)
        };
        let mut waiting = self.jobs.iter().filter(waits).peekable();
        waiting.peek().is_some() && !waiting.any(|job| cx.history.may_be_over(job.task))
    }

    fn completed(&mut self, cx: &mut Context<'_>, object: ObjectId, outcome: &Outcome) {
        if self.is_wanted(cx, object) || !matches!(outcome, Outcome::Failure(_)) {
            cx.history.outcome(self.ids.session, object, outcome);
        }
        match outcome {
            Outcome::Value(value) => {
                let word = value_word(value).ok_or_else(|| Failure::new(Code::Internal, "no word"));
                self.settle(cx, object, word);
            }
            Outcome::Failure(failure) => self.settle(cx, object, Err((**failure).clone())),
            Outcome::Stored(_) => {
                let waits = |job: &Job| {
                    job.args.iter().any(|slot| matches!(slot, Slot::Borrowed(o) if *o == object))
                        || job.children.iter().any(|(o, k)| *o == object && k.is_none())
                };
                if let Some(job) = self.jobs.iter_mut().find(|job| waits(job)) {
                    job.fetching.insert(object);
                    cx.op(Op::Fetch { object, quiet: false });
                }
            }
        }
    }

    fn fetched(&mut self, cx: &mut Context<'_>, object: ObjectId, word: Result<u64, Failure>) {
        for job in &mut self.jobs {
            job.fetching.remove(&object);
        }
        self.settle(cx, object, word);
    }

    /// Does what the program says.
    fn work(&mut self, cx: &mut Context<'_>, at: usize) {
        let job = &mut self.jobs[at];
        let words = job.words().unwrap_or_default();
        let returns = job.returns();
        match job.program.work {
            Work::Return => {
                let borrowed = job.borrowed();
                let outputs = (0..returns)
                    .map(|i| Output::Value(word_value(job.program.output(&words, i), borrowed.clone())))
                    .collect();
                self.answer(cx, at, Ok(outputs));
            }
            Work::Raise => self.answer(cx, at, Err(Failure::new(Code::TaskFailed, "It raises."))),
            Work::Exit => {
                cx.actions.push(crate::client::Action::Exit(ExitStatus::Code((job.program.seed % 2) as i32)))
            }
            Work::Big(size) => {
                job.phase = Phase::Storing;
                for i in 0..returns {
                    let object = job.task.output(i);
                    job.creating.insert(object, job.program.output(&words, i));
                    cx.op(Op::Create { object, size: u64::from(size), task: Some((job.task, job.attempt)) });
                }
                if returns == 0 {
                    self.answer(cx, at, Ok(Vec::new()));
                }
            }
            Work::Put(size) => {
                let object = self.ids.put_object();
                let job = &mut self.jobs[at];
                let inner = job.program.inner();
                cx.history.truth.insert(object, inner);
                job.owned.push(object);
                if size == 0 {
                    cx.op(Op::Put { object, value: word_value(inner, Vec::new()) });
                    return self.answer_put(cx, at);
                }
                job.phase = Phase::Storing;
                job.creating.insert(object, inner);
                cx.op(Op::Create { object, size: u64::from(size), task: None });
            }
            Work::Nested { children, .. } => {
                let (task, program) = (job.task, job.program);
                job.phase = Phase::Waiting;
                if job.setup.is_none() {
                    job.blocked = true;
                    cx.op(Op::Blocked { task });
                }
                for n in 0..children {
                    let child = program.child(n);
                    let id = self.ids.submit(cx, &Wish::new(child), Some(task));
                    self.jobs[at].children.push((id.output(0), None));
                    self.jobs[at].owned.push(id.output(0));
                }
            }
            Work::Inside => {
                let inside = |arg: &RunArg| match arg {
                    RunArg::Stored { object, .. } => cx.history.inside.get(object).cloned(),
                    _ => None,
                };
                let found: Vec<ObjectId> = job.given.iter().filter_map(inside).flatten().collect();
                job.phase = Phase::Waiting;
                job.children = found.iter().map(|object| (*object, None)).collect();
                job.blocked = true;
                cx.op(Op::Blocked { task: job.task });
                cx.op(Op::Watch { objects: found });
            }
            Work::Relay => {
                let (task, program, borrowed) = (job.task, job.program, job.borrowed());
                let wish = Wish {
                    borrowed,
                    spread: true,
                    resources: job.declaration.resources.clone(),
                    ..Wish::new(program.child(0))
                };
                let child = self.ids.submit(cx, &wish, Some(task)).output(0);
                let job = &mut self.jobs[at];
                job.owned.push(child);
                let value = word_value(program.output(&words, 0), vec![child]);
                self.answer(cx, at, Ok(vec![Output::Value(value)]));
            }
            Work::Stream { .. } => {
                job.phase = Phase::Streaming;
                self.next_item(cx, at);
            }
            Work::ActorExit => {
                let actor = job.actor;
                if let Some(actor) = actor.filter(|_| job.setup.is_none()) {
                    cx.op(Op::ActorExit { actor, reason: None });
                }
                let outputs = (0..returns)
                    .map(|i| Output::Value(word_value(job.program.output(&words, i), Vec::new())))
                    .collect();
                self.answer(cx, at, Ok(outputs));
            }
        }
    }

    fn answer_put(&mut self, cx: &mut Context<'_>, at: usize) {
        let job = &self.jobs[at];
        let words = job.words().unwrap_or_default();
        let refs = job.owned.clone();
        let outputs = (0..job.returns())
            .map(|i| Output::Value(word_value(job.program.output(&words, i), refs.clone())))
            .collect();
        self.answer(cx, at, Ok(outputs));
    }

    fn next_item(&mut self, cx: &mut Context<'_>, at: usize) {
        let job = &mut self.jobs[at];
        let Work::Stream { items, size } = job.program.work else { return };
        let window = u64::from(job.declaration.stream_window);
        if job.yielded >= u64::from(items) {
            return self.answer(cx, at, Ok(Vec::new()));
        }
        if !job.creating.is_empty() || (window > 0 && job.yielded >= job.consumed + window) {
            return;
        }
        let words = job.words().unwrap_or_default();
        let index = job.yielded;
        let word = job.program.output(&words, index as u32);
        if size > 0 && index % 2 == 1 {
            let object = job.task.output(index as u32);
            job.creating.insert(object, word);
            return cx.op(Op::Create { object, size: u64::from(size), task: Some((job.task, job.attempt)) });
        }
        job.yielded += 1;
        let item = Output::Value(word_value(word, Vec::new()));
        cx.op(Op::Yield { task: job.task, attempt: job.attempt, index, item });
        cx.wake(1 + u64::from(job.program.micros) * 200, job.token);
    }

    fn job_that_creates(&self, object: ObjectId) -> Option<usize> {
        self.jobs.iter().position(|job| job.creating.contains_key(&object))
    }

    fn created(&mut self, cx: &mut Context<'_>, object: ObjectId, outcome: Result<Location, Box<Failure>>) {
        let Some(at) = self.job_that_creates(object) else { return };
        match outcome {
            Ok(location) => {
                let word = self.jobs[at].creating.get(&object).copied().unwrap_or(0);
                if let Err(problem) = cx.memory.write(location, word) {
                    cx.history.problem(problem);
                }
                self.seal(cx, at, object);
            }
            // An earlier attempt has stored this output.
            Err(failure) if failure.is(Code::DuplicateId) && object.task() == self.jobs[at].task => {
                self.stored(cx, at, object)
            }
            Err(failure) => {
                if !cx.history.may_be_over(self.jobs[at].task) {
                    cx.history.failure(self.ids.session, object, &failure);
                }
                self.jobs[at].creating.remove(&object);
                self.jobs[at].owned.retain(|owned| *owned != object);
                self.answer(cx, at, Err(*failure));
            }
        }
    }

    fn created_remote(&mut self, cx: &mut Context<'_>, object: ObjectId, size: u64) {
        let Some(at) = self.job_that_creates(object) else { return };
        let word = self.jobs[at].creating.get(&object).copied().unwrap_or(0);
        cx.op(Op::Write { object, offset: 0, data: remote_bytes(word, size) });
        self.seal(cx, at, object);
    }

    fn seal(&mut self, cx: &mut Context<'_>, at: usize, object: ObjectId) {
        let job = &mut self.jobs[at];
        job.creating.remove(&object);
        let refs = if object.task() == job.task { job.borrowed() } else { Vec::new() };
        cx.op(Op::Seal { object, refs });
        self.stored(cx, at, object);
    }

    /// Goes on after an object was stored.
    fn stored(&mut self, cx: &mut Context<'_>, at: usize, object: ObjectId) {
        let job = &mut self.jobs[at];
        job.creating.remove(&object);
        match job.program.work {
            Work::Put(_) => self.answer_put(cx, at),
            Work::Stream { .. } => {
                let index = job.yielded;
                job.yielded += 1;
                cx.op(Op::Yield { task: job.task, attempt: job.attempt, index, item: Output::Stored });
                cx.wake(1 + u64::from(job.program.micros) * 200, job.token);
            }
            _ if job.creating.is_empty() => {
                let outputs = vec![Output::Stored; job.returns() as usize];
                self.answer(cx, at, Ok(outputs));
            }
            _ => {}
        }
    }

    fn interrupted(&mut self, cx: &mut Context<'_>, task: TaskId, attempt: u32) {
        let Some(at) = self.jobs.iter().position(|job| job.task == task && job.attempt == attempt) else {
            return;
        };
        let ends_by_itself = self.jobs[at].phase == Phase::Working
            && matches!(
                self.jobs[at].program.work,
                Work::Return | Work::Raise | Work::Put(0) | Work::Exit | Work::ActorExit
            );
        if self.jobs[at].phase == Phase::Queued {
            self.answer(cx, at, Err(Failure::new(Code::Cancelled, "Cancelled before it started.")));
        } else if !ends_by_itself || cx.rng.chance(700) {
            self.jobs[at].doomed = true;
            let after = cx.rng.delay(100_000);
            cx.wake(after, self.jobs[at].token);
        }
        // Else the user's code does not listen, and goes on.
    }

    fn recalled(&mut self, cx: &mut Context<'_>, tasks: &[TaskId]) {
        let mut given_back = Vec::new();
        for task in tasks {
            if let Some(at) = self.jobs.iter().position(|job| job.task == *task && job.phase == Phase::Queued)
            {
                self.jobs.remove(at);
                given_back.push(*task);
            }
        }
        cx.op(Op::Returned { tasks: given_back });
    }

    fn answer(&mut self, cx: &mut Context<'_>, at: usize, outcome: Result<Vec<Output>, Failure>) {
        let Some(mut job) = self.jobs.remove(at) else { return };
        unblock(cx, &mut job);
        for (object, location) in &job.pinned {
            // It was pinned all the while.
            let word = cx.memory.read(*location);
            cx.history.read(self.ids.session, *object, word);
        }
        for object in job.creating.keys() {
            cx.op(Op::Abort { object: *object });
            job.owned.retain(|owned| owned != object);
        }
        let ok = outcome.is_ok();
        cx.op(Op::Done {
            task: job.task,
            attempt: job.attempt,
            outcome: outcome.map_err(Box::new),
            yielded: job.yielded,
        });
        let pinned: Vec<ObjectId> = job
            .pinned
            .iter()
            .map(|(object, _)| *object)
            .chain(job.given.iter().filter(|_| job.phase == Phase::Queued).filter_map(pinned_arg))
            .collect();
        if !pinned.is_empty() {
            cx.op(Op::Release { objects: pinned });
        }
        if !job.owned.is_empty() {
            cx.op(Op::Refs { retain: Vec::new(), drop: job.owned });
        }
        if let (true, Some(setup), Some(actor)) = (ok, &job.setup, job.actor) {
            self.actor = Some(actor);
            self.concurrency = setup.max_concurrency.max(1) as usize;
        }
        self.start_next(cx);
    }
}

fn pinned_arg(arg: &RunArg) -> Option<ObjectId> {
    match arg {
        RunArg::Stored { object, location: Some(_), .. } => Some(*object),
        _ => None,
    }
}

fn unblock(cx: &mut Context<'_>, job: &mut Job) {
    if std::mem::take(&mut job.blocked) {
        cx.op(Op::Unblocked { task: job.task });
    }
}

/// An object's bytes as they are sent by a session without shared memory.
pub(crate) fn remote_bytes(word: u64, size: u64) -> bytes::Bytes {
    let mut data = vec![0; size as usize];
    let n = data.len().min(8);
    data[..n].copy_from_slice(&word.to_le_bytes()[..n]);
    data.into()
}

/// The word in such bytes.
pub(crate) fn word_of_bytes(data: &[u8]) -> u64 {
    value_word(&Value::raw(bytes::Bytes::copy_from_slice(data))).unwrap_or(0)
}
