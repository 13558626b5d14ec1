//! Runs what comes: one task at a time, or as many calls of an actor as it allows, each started in order.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};
use thornback_types::{Code, Failure, ObjectId, Value};
use thornback_wire::convert::WireId;
use thornback_wire::hot::client::{Done, Fields};
use thornback_wire::v1;

use super::actor::{ActorCell, Building, ClassDefinition};
use super::call::{ActorInfo, Call};
use super::inbox::{Inbox, Job, Next, Target, interruption};
use super::invocation::{Invocation, Output, Outputs, Running};
use super::run::Given;
use super::{Context, panic};
use crate::client::Client;
use crate::link::{FetchSlot, Item, Link};
use crate::object::store_result;
use crate::scope::Scope;
use crate::value::{Encoded, Keep, recycle, reused};
use crate::{Error, Result};

pub(super) struct Executor {
    inbox: Arc<Inbox>,
    client: Client,
    running: FuturesUnordered<Started>,
    /// Set once this worker is an actor.
    actor: Option<Actor>,
    /// The actor is being made: calls wait.
    creating: bool,
    /// The actor could not be made, or wants to end: nothing new is begun.
    leaving: bool,
}

struct Actor {
    info: Arc<ActorInfo>,
    class: ClassDefinition,
    cell: Option<ActorCell>,
    max_concurrency: usize,
}

/// What is left of a call when it is over.
enum Over {
    Answered,
    Created(ActorCell),
    /// The worker has no purpose any more.
    NotCreated,
}

/// What a call runs.
enum Callee {
    Function(fn(Invocation) -> Running),
    Method(fn(ActorCell, Invocation) -> Running, ActorCell),
}

impl Callee {
    fn run(self, invocation: Invocation) -> Running {
        match self {
            Callee::Function(run) => run(invocation),
            Callee::Method(run, cell) => run(cell, invocation),
        }
    }
}

/// What a call still has to do.
enum Work {
    /// The function runs.
    Call(Running),
    /// Nothing but what goes beyond that: an actor is made, or results are stored.
    More(Pin<Box<dyn Future<Output = Over> + Send>>),
}

/// A call under way. It is polled as part of its task, may be interrupted, and never lets a panic out.
struct Started {
    work: Option<Work>,
    answer: Answer,
    creates: bool,
}

impl Executor {
    pub(super) fn new(inbox: Arc<Inbox>, client: Client) -> Executor {
        Executor {
            inbox,
            client,
            running: FuturesUnordered::new(),
            actor: None,
            creating: false,
            leaving: false,
        }
    }

    /// Runs until the session is over.
    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        // What was answered last is sent before the process may end.
        let _ = self.client.flush().await;
        let client = self.client.clone();
        drop(self);
        client.close().await;
    }

    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.inbox.register(cx.waker());
        loop {
            let mut progress = false;
            while let Poll::Ready(Some((scope, over))) = self.running.poll_next_unpin(cx) {
                self.inbox.finished(&scope);
                self.over(over);
                progress = true;
            }
            if self.is_leaving() && self.running.is_empty() {
                return Poll::Ready(());
            }
            match self.inbox.next(self.has_room(), |job| self.begin(job)) {
                Next::Ended => return Poll::Ready(()),
                Next::Job(job, scope) => {
                    // It may take long, and what is answered must not wait for it.
                    self.client.link.nudge();
                    self.start(job, scope, cx);
                    progress = true;
                }
                Next::Nothing => {}
            }
            if !progress {
                self.client.link.uncork();
                return Poll::Pending;
            }
        }
    }

    fn has_room(&self) -> bool {
        let limit = self.actor.as_ref().map_or(1, |actor| actor.max_concurrency);
        !self.creating && !self.is_leaving() && self.running.len() < limit
    }

    fn is_leaving(&self) -> bool {
        self.leaving || self.actor.as_ref().is_some_and(|actor| actor.info.exiting.load(Ordering::SeqCst))
    }

    /// What is known of a call from now on.
    fn begin(&self, job: &Job) -> Arc<Scope> {
        let actor = match &job.run.setup {
            Some(setup) => Some(Arc::new(ActorInfo {
                id: job.run.actor.unwrap_or_default(),
                class_name: job.declared.function.clone(),
                name: setup.name.clone(),
                restarts: setup.restarts,
                exiting: AtomicBool::new(false),
            })),
            None => self.actor.as_ref().map(|actor| actor.info.clone()),
        };
        let call = Call::new(job.run.attempt, job.declared.clone(), actor);
        Scope::new(self.client.link.shared.clone(), job.run.task, call)
    }

    /// Starts a call. Most are over at their first poll, and go nowhere else then.
    fn start(&mut self, mut job: Job, scope: Arc<Scope>, cx: &mut TaskContext<'_>) {
        let client = Client { link: self.client.link.clone(), scope: Some(scope.clone()) };
        let answer = Answer { client, scope };
        let setup = job.run.setup.take();
        let creates = setup.is_some();
        let work = match setup {
            Some(setup) => self.create(job, &setup, answer.clone()),
            None => Work::Call(self.call(job, answer.context())),
        };
        let mut started = Started { work: Some(work), answer, creates };
        match Pin::new(&mut started).poll(cx) {
            Poll::Ready((_, over)) => self.over(over),
            Poll::Pending => {
                self.inbox.goes_on(&started.answer.scope);
                self.running.push(started);
            }
        }
    }

    fn over(&mut self, over: Over) {
        match over {
            Over::Answered => {}
            Over::Created(cell) => {
                self.creating = false;
                if let Some(actor) = &mut self.actor {
                    actor.cell = Some(cell);
                }
            }
            Over::NotCreated => self.leaving = true,
        }
    }

    fn call(&self, job: Job, context: Context) -> Running {
        let actor = self.actor.as_ref().filter(|_| job.run.actor.is_some());
        let callee = match (&job.declared.target, actor) {
            (_, Some(actor)) => {
                let method = actor.class.methods.iter().find(|method| method.name == job.declared.function);
                match (method, actor.cell.clone()) {
                    (Some(method), Some(cell)) => Ok(Callee::Method(method.run, cell)),
                    _ => Err(not_found(&format!(
                        "the actor class {} has no method {:?}",
                        actor.class.name, job.declared.function
                    ))),
                }
            }
            (Target::Function(definition), _) => Ok(Callee::Function(definition.run)),
            _ => Err(not_found(&format!("this worker does not serve {:?}", job.declared.function))),
        };
        let args = job.run.args;
        match callee {
            Ok(callee) if args.are_at_hand() => callee.run(Invocation { args, context }),
            Ok(callee) => Box::pin(async move {
                let args = fetched(args, &context.link).await?;
                callee.run(Invocation { args, context }).await
            }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn create(&mut self, job: Job, setup: &v1::ActorSetup, answer: Answer) -> Work {
        self.creating = true;
        let class = match &job.declared.target {
            Target::Class(class) => Ok(class.clone()),
            _ => Err(not_found(&format!("this worker does not serve the class {:?}", job.declared.function))),
        };
        if let (Ok(class), Some(info)) = (&class, &answer.scope.call.actor) {
            let max_concurrency = usize::try_from(setup.max_concurrency).unwrap_or(1).max(1);
            self.actor =
                Some(Actor { info: info.clone(), class: class.clone(), cell: None, max_concurrency });
        }
        Work::More(Box::pin(async move {
            let made: Result<ActorCell> = async {
                let create: fn(Invocation) -> Building = class?.create;
                let args = fetched(job.run.args, &answer.client.link).await?;
                create(Invocation { args, context: answer.context() }).await
            }
            .await;
            match made {
                Ok(cell) => {
                    answer.send(super::one(())).await;
                    Over::Created(cell)
                }
                Err(error) => {
                    answer.fail(&error);
                    Over::NotCreated
                }
            }
        }))
    }
}

fn not_found(message: &str) -> Error {
    Error::new(Code::FunctionNotFound, message)
}

/// Fetches those arguments that lie where this process cannot see them.
async fn fetched(mut args: Given, link: &Arc<Link>) -> Result<Given> {
    for arg in args.far() {
        if let Some(v1::arg::Arg::Stored(stored)) = &arg.arg {
            let object = ObjectId::from_slice(&stored.object)
                .ok_or_else(|| Error::invalid("a stored argument without an id"))?;
            let slot = FetchSlot::start(link, object);
            let value = poll_fn(|cx| slot.poll(cx)).await?.into_value()?;
            arg.arg = Some(v1::arg::Arg::Value(value.into()));
        }
    }
    Ok(args)
}

/// Where a call is answered to.
#[derive(Clone)]
struct Answer {
    client: Client,
    scope: Arc<Scope>,
}

impl Answer {
    fn context(&self) -> Context {
        Context::new(self.client.clone(), self.scope.clone())
    }

    /// Answers, unless there is something that must be stored before: then gives all results back.
    fn now(&self, outcome: Result<Output>) -> Option<Vec<Encoded>> {
        let link = &self.client.link;
        match outcome {
            Ok(Output(Outputs::Written(fields))) if fields.end() <= link.welcome.inline_bytes => {
                self.done(fields);
            }
            Ok(Output(Outputs::Written(fields))) => match written_value(&fields) {
                Ok(value) => return Some(vec![Encoded { value, keep: Keep::default() }]),
                Err(error) => self.fail(&error),
            },
            Ok(Output(Outputs::One(encoded))) if link.is_inline(&encoded.value) => {
                let mut results = reused();
                results.value(&encoded.value);
                self.done(results);
                // What it refers to is let go only now.
                drop(encoded.keep);
            }
            Ok(Output(Outputs::One(encoded))) => return Some(vec![encoded]),
            Ok(Output(Outputs::Many(all))) if all.iter().all(|encoded| link.is_inline(&encoded.value)) => {
                let mut results = reused();
                all.iter().for_each(|encoded| results.value(&encoded.value));
                self.done(results);
                drop(all);
            }
            Ok(Output(Outputs::Many(all))) => return Some(all),
            Ok(Output(Outputs::Streamed(Ok(())))) => self.done(reused()),
            Ok(Output(Outputs::Streamed(Err(error)))) | Err(error) => self.fail(&error),
        }
        None
    }

    async fn send(self, outcome: Result<Output>) {
        if let Some(all) = self.now(outcome) {
            self.store(all).await;
        }
    }

    /// Answers with results of which some are stored first.
    async fn store(self, all: Vec<Encoded>) {
        let mut results = reused();
        let mut keeps = Keep::default();
        for (index, encoded) in (0..).zip(all) {
            if self.client.link.is_inline(&encoded.value) {
                keeps.append(encoded.keep);
                results.value(&encoded.value);
            } else if let Err(error) = self.store_one(index, encoded).await {
                return self.fail(&error);
            } else {
                results.stored();
            }
        }
        self.done(results);
        drop(keeps);
    }

    async fn store_one(&self, index: u32, encoded: Encoded) -> Result<()> {
        store_result(&self.client, self.scope.task, self.scope.call.attempt, index, encoded).await
    }

    fn fail(&self, error: &Error) {
        let failure: Failure = error.to_failure().of_task(self.scope.task);
        let done = v1::Done {
            task: self.scope.task.write(),
            attempt: self.scope.call.attempt,
            failure: Some(Box::new(failure.into())),
            yielded: self.scope.call.yielded.load(Ordering::Relaxed),
            ..v1::Done::default()
        };
        let done = Box::new(v1::client_op::Op::Done(done));
        self.client.link.push_lazily(|outbox| outbox.push(Item::Op(done)));
    }

    fn done(&self, results: Fields) {
        let (task, attempt) = (self.scope.task, self.scope.call.attempt);
        let yielded = self.scope.call.yielded.load(Ordering::Relaxed);
        // The executor says when nothing more comes.
        self.client.link.push_lazily(|outbox| {
            outbox.write(&Done { task, attempt, results: &results, yielded });
        });
        recycle(results);
    }
}

/// The result that was written, where even a short one is too long for this node's frames.
fn written_value(fields: &Fields) -> Result<Value> {
    let unread = || Error::new(Code::Internal, "a result cannot be read again");
    let args = fields.to_args().map_err(|_| unread())?;
    match args.into_iter().next().and_then(|arg| arg.arg) {
        Some(v1::arg::Arg::Value(value)) => Value::try_from(value).map_err(|_| unread()),
        _ => Err(unread()),
    }
}

impl Started {
    /// Ends the call without letting it go on: its future is dropped, which is how asynchronous Rust is interrupted.
    fn give_up(&mut self) {
        let work = self.work.take();
        // A destructor of user code may panic as well.
        if catch_unwind(AssertUnwindSafe(|| drop(work))).is_err() {
            drop(panic::failure(&()));
        }
    }

    fn fail(&self, error: &Error) -> Over {
        self.answer.fail(error);
        if self.creates { Over::NotCreated } else { Over::Answered }
    }
}

impl Future for Started {
    type Output = (Arc<Scope>, Over);

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let scope = this.answer.scope.clone();
        let over = loop {
            if let Some(code) = scope.call.interrupted() {
                let client = this.answer.client.clone();
                crate::scope::enter(&client, || this.give_up());
                scope.end();
                return Poll::Ready((scope, this.fail(&interruption(code, "while it ran"))));
            }
            // A future that is over is not polled again.
            let Some(work) = &mut this.work else { return Poll::Pending };
            scope.wake();
            let polled = crate::scope::enter(&this.answer.client, || {
                catch_unwind(AssertUnwindSafe(|| match work {
                    Work::Call(running) => running.as_mut().poll(cx).map(Left::Outcome),
                    Work::More(work) => work.as_mut().poll(cx).map(Left::Over),
                }))
            });
            match polled {
                Ok(Poll::Pending) => {
                    this.answer.scope.call.waker.register(cx.waker());
                    // It may have been interrupted between the look and the registration.
                    if scope.call.interrupted().is_none() {
                        scope.rest();
                        return Poll::Pending;
                    }
                }
                Ok(Poll::Ready(Left::Outcome(outcome))) => match this.answer.now(outcome) {
                    None => break Over::Answered,
                    Some(results) => {
                        let answer = this.answer.clone();
                        this.work = Some(Work::More(Box::pin(async move {
                            answer.store(results).await;
                            Over::Answered
                        })));
                    }
                },
                Ok(Poll::Ready(Left::Over(over))) => break over,
                Err(payload) => {
                    let error = panic::failure(&*payload);
                    this.give_up();
                    break this.fail(&error);
                }
            }
        };
        scope.end();
        Poll::Ready((scope, over))
    }
}

/// What a poll left.
enum Left {
    Outcome(Result<Output>),
    Over(Over),
}
