//! Runs what comes: one task at a time, or as many calls of an actor as it allows, each started in order.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};
use thornback_types::{Code, Failure, ObjectId};
use thornback_wire::convert::WireId;
use thornback_wire::hot::client::{Done, Fields};
use thornback_wire::v1;

use super::actor::{ActorCell, Building, ClassDefinition};
use super::context::{ActorInfo, Info};
use super::inbox::{Call, Inbox, Job, Next, Target, interruption};
use super::invocation::{Invocation, Output, Outputs, Running};
use super::run::{Given, Run};
use super::{Context, panic};
use crate::client::Client;
use crate::link::{FetchSlot, Item};
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
    info: ActorInfo,
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

type Work = Pin<Box<dyn Future<Output = Over> + Send>>;

/// A call under way. It is polled as part of its task, may be interrupted, and never lets a panic out.
struct Started {
    work: Option<Work>,
    call: Arc<Call>,
    scope: Arc<Scope>,
    client: Client,
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
            while let Poll::Ready(Some((call, over))) = self.running.poll_next_unpin(cx) {
                self.over(&call, over);
                progress = true;
            }
            if self.is_leaving() && self.running.is_empty() {
                return Poll::Ready(());
            }
            match self.inbox.next(self.has_room()) {
                Next::Ended => return Poll::Ready(()),
                Next::Job(job, call) => {
                    // It may take long, and what is answered must not wait for it.
                    self.client.link.nudge();
                    self.start(job, call, cx);
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

    /// Begins a call. Most are over at their first poll, and go nowhere else then.
    fn start(&mut self, mut job: Job, call: Arc<Call>, cx: &mut TaskContext<'_>) {
        let scope = Scope::new(self.client.link.shared.clone(), job.run.task);
        call.set_scope(&scope);
        let client = Client { link: self.client.link.clone(), scope: Some(scope.clone()) };
        let setup = job.run.setup.take();
        let creates = setup.is_some();
        let answer = Answer { client: client.clone(), call: call.clone() };
        let work = match setup {
            Some(setup) => self.create(job, *setup, &call, client.clone()),
            None => self.call(job, &call, client.clone()),
        };
        let mut started = Started { work: Some(work), call, scope, client, answer, creates };
        match Pin::new(&mut started).poll(cx) {
            Poll::Ready((call, over)) => self.over(&call, over),
            Poll::Pending => self.running.push(started),
        }
    }

    fn over(&mut self, call: &Call, over: Over) {
        self.inbox.finished(call);
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

    fn call(&mut self, job: Job, call: &Arc<Call>, client: Client) -> Work {
        let actor = self.actor.as_ref();
        let callee = match (&job.declared.target, actor) {
            (_, Some(actor)) if job.run.actor.is_some() => {
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
        let info = actor.map(|actor| actor.info.clone());
        let answer = Answer { client: client.clone(), call: call.clone() };
        let call = call.clone();
        Box::pin(async move {
            let outcome = match callee {
                Ok(callee) => match invocation(job, client, call, info).await {
                    Ok(invocation) => callee.run(invocation).await,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            answer.send(outcome).await;
            Over::Answered
        })
    }

    fn create(&mut self, job: Job, setup: v1::ActorSetup, call: &Arc<Call>, client: Client) -> Work {
        self.creating = true;
        let class = match &job.declared.target {
            Target::Class(class) => Ok(class.clone()),
            _ => Err(not_found(&format!("this worker does not serve the class {:?}", job.declared.function))),
        };
        let info = ActorInfo {
            id: job.run.actor.unwrap_or_default(),
            class_name: job.declared.function.clone(),
            name: setup.name,
            restarts: setup.restarts,
            exiting: Arc::new(AtomicBool::new(false)),
        };
        if let Ok(class) = &class {
            let max_concurrency = usize::try_from(setup.max_concurrency).unwrap_or(1).max(1);
            self.actor =
                Some(Actor { info: info.clone(), class: class.clone(), cell: None, max_concurrency });
        }
        let answer = Answer { client: client.clone(), call: call.clone() };
        let call = call.clone();
        Box::pin(async move {
            let made: Result<ActorCell> = async {
                let create: fn(Invocation) -> Building = class?.create;
                create(invocation(job, client, call, Some(info)).await?).await
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
        })
    }
}

fn not_found(message: &str) -> Error {
    Error::new(Code::FunctionNotFound, message)
}

/// Gets the arguments together. Those that lie where this process cannot see them are fetched first.
async fn invocation(
    job: Job,
    client: Client,
    call: Arc<Call>,
    actor: Option<ActorInfo>,
) -> Result<Invocation> {
    let Job { run: Run { task, attempt, mut args, .. }, declared } = job;
    let messages = match &mut args {
        Given::Plain(_) => None,
        Given::Any(args) => Some(args),
    };
    for arg in messages.into_iter().flatten() {
        if let Some(v1::arg::Arg::Stored(stored)) = &arg.arg
            && stored.location.is_none_or(|location| location.arena == 0)
        {
            let object = ObjectId::from_slice(&stored.object)
                .ok_or_else(|| Error::invalid("a stored argument without an id"))?;
            let slot = FetchSlot::start(&client.link, object);
            let value = poll_fn(|cx| slot.poll(cx)).await?.into_value()?;
            arg.arg = Some(v1::arg::Arg::Value(value.into()));
        }
    }
    let info = Info { task, attempt, declared: declared.clone(), actor };
    Ok(Invocation { args, context: Context::new(client, info), call, declared })
}

/// Where a call is answered to.
struct Answer {
    client: Client,
    call: Arc<Call>,
}

impl Answer {
    async fn send(self, outcome: Result<Output>) {
        let mut results = reused();
        let mut keeps = Keep::default();
        let sent = match outcome {
            Ok(Output(Outputs::One(encoded))) => self.add_result(0, encoded, &mut results, &mut keeps).await,
            Ok(Output(Outputs::Many(all))) => self.add_results(all, &mut results, &mut keeps).await,
            Ok(Output(Outputs::Streamed(ended))) => ended,
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => self.done(results),
            Err(error) => self.fail(&error),
        }
        drop(keeps);
    }

    async fn add_results(&self, all: Vec<Encoded>, results: &mut Fields, keeps: &mut Keep) -> Result<()> {
        for (index, encoded) in (0..).zip(all) {
            self.add_result(index, encoded, results, keeps).await?;
        }
        Ok(())
    }

    /// Adds one result as it goes into `Done`, and what must be kept until that is on its way.
    async fn add_result(
        &self,
        index: u32,
        encoded: Encoded,
        results: &mut Fields,
        keeps: &mut Keep,
    ) -> Result<()> {
        if self.client.link.is_inline(&encoded.value) {
            keeps.append(encoded.keep);
            results.value(&encoded.value);
        } else {
            store_result(&self.client, self.call.task, self.call.attempt, index, encoded).await?;
            results.stored();
        }
        Ok(())
    }

    fn fail(&self, error: &Error) {
        let failure: Failure = error.to_failure().of_task(self.call.task);
        let done = v1::Done {
            task: self.call.task.write(),
            attempt: self.call.attempt,
            failure: Some(Box::new(failure.into())),
            yielded: self.call.yielded.load(Ordering::Relaxed),
            ..v1::Done::default()
        };
        let done = Box::new(v1::client_op::Op::Done(done));
        self.client.link.push_lazily(|outbox| outbox.push(Item::Op(done)));
    }

    fn done(&self, results: Fields) {
        let yielded = self.call.yielded.load(Ordering::Relaxed);
        let (task, attempt) = (self.call.task, self.call.attempt);
        // The executor says when nothing more comes.
        self.client.link.push_lazily(|outbox| {
            outbox.write(&Done { task, attempt, results: &results, yielded });
        });
        recycle(results);
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
    type Output = (Arc<Call>, Over);

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.call.waker.register(cx.waker());
        if let Some(code) = this.call.interrupted() {
            let client = this.client.clone();
            crate::scope::enter(&client, || this.give_up());
            this.scope.end();
            return Poll::Ready((this.call.clone(), this.fail(&interruption(code, "while it ran"))));
        }
        // A future that is over is not polled again.
        let Some(work) = &mut this.work else { return Poll::Pending };
        this.scope.wake();
        let polled =
            crate::scope::enter(&this.client, || catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))));
        let over = match polled {
            Ok(Poll::Pending) => {
                this.scope.rest();
                return Poll::Pending;
            }
            Ok(Poll::Ready(over)) => over,
            Err(payload) => {
                let error = panic::failure(&*payload);
                this.give_up();
                this.fail(&error)
            }
        };
        this.scope.end();
        Poll::Ready((this.call.clone(), over))
    }
}
