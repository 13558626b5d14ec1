//! What a task can know of itself.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use thornback_types::{ActorId, TaskId};
use thornback_wire::convert::WireId;
use thornback_wire::v1;

use crate::actor::ActorHandle;
use crate::client::Client;
use crate::scope::Scope;

/// The running task: its client, and what is known of it.
///
/// A task that takes one as its first parameter gets it; it is no argument for the caller. It dereferences to the [`Client`] whose calls are children
/// of the task.
///
/// ```
/// use thornback::{Context, Result};
///
/// #[thornback::task]
/// async fn fib(cx: Context, n: u64) -> Result<u64> {
///     if n < 2 {
///         return Ok(n);
///     }
///     let (a, b) = (fib::submit(&cx, n - 1), fib::submit(&cx, n - 2));
///     Ok(a.await? + b.await?)
/// }
/// ```
#[derive(Clone)]
pub struct Context {
    client: Client,
    scope: Arc<Scope>,
}

impl Context {
    pub(super) fn new(client: Client, scope: Arc<Scope>) -> Context {
        Context { client, scope }
    }

    pub(super) fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// The task's client; `&Context` also stands for it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The task's id.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.scope.task
    }

    /// Which attempt this is; each has a higher number than the one before.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.scope.call.attempt
    }

    /// The name that people see for the task.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.scope.call.declared.label
    }

    /// Whether the task was cancelled or is past its deadline. A function that is not asynchronous looks now and then, and returns; an asynchronous one
    /// is dropped where it awaits.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.scope.call.interrupted().is_some()
    }

    /// The actor that the task runs on.
    #[must_use]
    pub fn actor_id(&self) -> Option<ActorId> {
        self.scope.call.actor.as_ref().map(|actor| actor.id)
    }

    /// A handle of the actor that the task runs on, to call it or to pass it on. It keeps the actor alive as any other does.
    ///
    /// A call of the actor on itself waits until the running one is over, unless it allows several at once.
    #[must_use]
    pub fn actor(&self) -> Option<ActorHandle> {
        let actor = self.scope.call.actor.as_ref()?;
        Some(ActorHandle::adopt(&self.client, actor.id, &actor.class_name, Bytes::new()))
    }

    /// The name of the actor that the task runs on, if it has one.
    #[must_use]
    pub fn actor_name(&self) -> Option<&str> {
        self.scope.call.actor.as_ref().map(|actor| actor.name.as_str()).filter(|name| !name.is_empty())
    }

    /// How often the actor that the task runs on was started before.
    #[must_use]
    pub fn actor_restarts(&self) -> u32 {
        self.scope.call.actor.as_ref().map_or(0, |actor| actor.restarts)
    }

    /// Ends the actor for good once the calls that it has begun are answered. Other calls fail with [`Code::ActorDied`](crate::Code::ActorDied). In
    /// a task that is no actor's it does nothing.
    pub fn exit_actor(&self) {
        if let Some(actor) = &self.scope.call.actor
            && !actor.exiting.swap(true, std::sync::atomic::Ordering::SeqCst)
        {
            let exit = v1::ActorExit { actor: actor.id.write(), reason: None };
            self.client.link.op(v1::client_op::Op::ActorExit(Box::new(exit)));
        }
    }
}

impl Deref for Context {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} {})", self.label(), self.scope.task)
    }
}
