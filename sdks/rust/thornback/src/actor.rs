//! Actors: values that live in a worker, called in order.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thornback_types::ActorId;
use thornback_wire::convert::WireId;
use thornback_wire::hot::client::Call;
use thornback_wire::v1;

use crate::arg::Args;
use crate::client::Client;
use crate::link::{Item, Link};
use crate::options::{Kind, Options, call_options, resource_options};
use crate::scope::Scope;
use crate::task::{Declared, Returns};
use crate::value::{
    Extension, collected, decode_context, deserialize_extension, recycle, serialize_extension,
};
use crate::{Code, Error, Result};

/// A class of actors: its name, the types of its constructor's parameters `A` (a tuple), the handle `H` that creating one gives, and how to run them.
///
/// The [`actor`](macro@crate::actor) attribute makes one; for a class of another language, make one by name, with [`ActorHandle`] for `H`.
///
/// ```no_run
/// use thornback::{ActorHandle, Class, Client, Method, Ref, Result};
///
/// static COUNTER: Class<(i64,), ActorHandle> = Class::named("shop.Counter");
/// static ADD: Method<(i64,), Ref<i64>> = Method::named("add");
///
/// # async fn example(client: Client) -> Result<()> {
/// let counter = COUNTER.options().max_restarts(1).create(&client, 0);
/// assert_eq!(ADD.call(&counter, 5).await?, 5);
/// # Ok(()) }
/// ```
pub struct Class<A, H> {
    call: Declared,
    actor: Option<Arc<ActorOptions>>,
    shape: PhantomData<fn(A) -> H>,
}

/// The future of a named actor's handle.
pub type Creating<H> = Pin<Box<dyn Future<Output = Result<H>> + Send>>;

#[derive(Debug, Clone, Default)]
struct ActorOptions {
    namespace: String,
    get_if_exists: bool,
    detached: bool,
    max_restarts: i32,
    max_task_retries: i32,
    max_concurrency: u32,
    max_pending_calls: i32,
}

impl<A, H> Class<A, H> {
    /// The class that workers announce under this name.
    #[must_use]
    pub const fn named(name: &'static str) -> Class<A, H> {
        Class { call: Declared::new(Cow::Borrowed(name)), actor: None, shape: PhantomData }
    }

    /// The class that an interface has under this name; see [`Task::typed`](crate::Task::typed).
    #[must_use]
    pub const fn typed(name: &'static str, signature: &'static str) -> Class<A, H> {
        Class { call: Declared::typed(name, signature), actor: None, shape: PhantomData }
    }

    /// [`Class::named`] for a name that is made while the program runs.
    #[must_use]
    pub fn with_name(name: impl Into<String>) -> Class<A, H> {
        Class { call: Declared::new(Cow::Owned(name.into())), actor: None, shape: PhantomData }
    }

    /// The class's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.call.name
    }

    /// A copy, to set options on.
    #[must_use]
    pub fn options(&self) -> Class<A, H> {
        self.with(|_| {})
    }

    fn with(&self, change: impl FnOnce(&mut Options)) -> Class<A, H> {
        Class { call: self.call.with(change), actor: self.actor.clone(), shape: PhantomData }
    }

    fn with_actor(&self, change: impl FnOnce(&mut ActorOptions)) -> Class<A, H> {
        let mut class = self.options();
        change(Arc::make_mut(class.actor.get_or_insert_default()));
        class
    }

    resource_options!();

    /// The namespace of a named actor; the session's if this is not set.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.with_actor(|options| options.namespace = namespace.into())
    }

    /// Where an actor of the name lives already, [`Class::create_named`](Class) gives that one.
    #[must_use]
    pub fn get_if_exists(self) -> Self {
        self.with_actor(|options| options.get_if_exists = true)
    }

    /// It lives until it is killed, whatever happens to its creator and its handles.
    #[must_use]
    pub fn detached(self) -> Self {
        self.with_actor(|options| options.detached = true)
    }

    /// How often it is made anew, by its constructor, when its worker is lost; -1 without end. The default is 0.
    #[must_use]
    pub fn max_restarts(self, restarts: i32) -> Self {
        self.with_actor(|options| options.max_restarts = restarts.max(-1))
    }

    /// How often a call that was under way is run again after a restart; -1 without end. The default is 0.
    #[must_use]
    pub fn max_task_retries(self, retries: i32) -> Self {
        self.with_actor(|options| options.max_task_retries = retries.max(-1))
    }

    /// Calls that may be under way at once; the default is 1. Methods that take `&mut self` still run alone.
    #[must_use]
    pub fn max_concurrency(self, calls: u32) -> Self {
        self.with_actor(|options| options.max_concurrency = calls)
    }

    /// Calls that may wait per handle; one more fails with [`Code::PendingCallsLimit`]. Without this there is no bound.
    #[must_use]
    pub fn max_pending_calls(self, calls: u32) -> Self {
        self.with_actor(|options| options.max_pending_calls = i32::try_from(calls).unwrap_or(i32::MAX))
    }
}

impl<A, H: From<ActorHandle> + 'static> Class<A, H> {
    /// Creates an actor from arguments that were put together by hand.
    pub fn create_args(&self, args: Args<'_>) -> H {
        let client = args.client;
        let id = client.link.next_actor();
        let ready = self
            .call
            .number(&client.link, Kind::Class, 1)
            .and_then(|declaration| Ok((declaration, args.finish_messages()?)));
        let handle = match ready {
            Ok((declaration, (args, keep))) => {
                let options = Some(self.wire_options(""));
                let create = v1::CreateActor {
                    actor: id.write(),
                    declaration,
                    args,
                    options,
                    parent: client.parent(),
                };
                client.link.op(v1::client_op::Op::CreateActor(Box::new(create)));
                drop(keep);
                ActorHandle::counted(client, id, &self.call.name, Bytes::new())
            }
            Err(error) => ActorHandle::failed(client, id, &self.call.name, error),
        };
        handle.into()
    }

    /// Creates a named actor from arguments that were put together by hand.
    pub fn create_named_args(&self, name: &str, args: Args<'_>) -> Creating<H> {
        let client = args.client.clone();
        let id = client.link.next_actor();
        let options = self.wire_options(name);
        let class_name = self.call.name.clone();
        let ready = self
            .call
            .number(&client.link, Kind::Class, 1)
            .and_then(|declaration| Ok((declaration, args.finish_messages()?)));
        Box::pin(async move {
            if options.name.is_empty() {
                return Err(Error::invalid(
                    "the name of an actor must not be empty; use `create` for one without a name",
                ));
            }
            let (declaration, (args, keep)) = ready?;
            let create =
                v1::CreateNamedActor { actor: id.write(), declaration, args, options: Some(options) };
            let reply = client.link.request(v1::request::Request::CreateActor(Box::new(create))).await?;
            drop(keep);
            let v1::reply::Reply::Actor(info) = reply else { return Err(unexpected_reply()) };
            let found = ActorId::from_slice(&info.actor).ok_or_else(unexpected_reply)?;
            let class_name = if info.class_name.is_empty() { &*class_name } else { &info.class_name };
            Ok(ActorHandle::counted(&client, found, class_name, info.interface).into())
        })
    }

    fn wire_options(&self, name: &str) -> v1::ActorOptions {
        let options = self.actor.as_deref().cloned().unwrap_or_default();
        v1::ActorOptions {
            name: name.into(),
            namespace: options.namespace,
            get_if_exists: options.get_if_exists,
            detached: options.detached,
            max_restarts: options.max_restarts,
            max_task_retries: options.max_task_retries,
            max_concurrency: options.max_concurrency,
            max_pending_calls: options.max_pending_calls,
            // How its methods run is known to the worker alone: in another language they may well block.
            asynchronous: false,
            // CPUs that were not mentioned are needed only to place it.
            hold_resources: self.call.options.as_ref().is_some_and(|options| options.cpus_given),
            interface: Bytes::new(),
        }
    }
}

impl<A, H> Clone for Class<A, H> {
    fn clone(&self) -> Class<A, H> {
        self.options()
    }
}

impl<A, H> fmt::Debug for Class<A, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Class({})", self.call.name)
    }
}

/// A method that can be called on an actor: its name, the types of its parameters `A` (a tuple), what a call gives (`R`), and how to run it.
/// See [`Class`] for an example.
pub struct Method<A, R> {
    call: Declared,
    shape: PhantomData<fn(A) -> R>,
}

impl<A, R> Method<A, R> {
    /// The method of this name.
    #[must_use]
    pub const fn named(name: &'static str) -> Method<A, R> {
        Method { call: Declared::new(Cow::Borrowed(name)), shape: PhantomData }
    }

    /// The method that a resource of an interface has under this name. Its signature is part of that of the [class](Class::typed).
    #[must_use]
    pub const fn typed(name: &'static str) -> Method<A, R> {
        Method { call: Declared::typed(name, ""), shape: PhantomData }
    }

    /// [`Method::named`] for a name that is made while the program runs.
    #[must_use]
    pub fn with_name(name: impl Into<String>) -> Method<A, R> {
        Method { call: Declared::new(Cow::Owned(name.into())), shape: PhantomData }
    }

    /// The method's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.call.name
    }

    /// A copy, to set options on.
    #[must_use]
    pub fn options(&self) -> Method<A, R> {
        self.with(|_| {})
    }

    fn with(&self, change: impl FnOnce(&mut Options)) -> Method<A, R> {
        Method { call: self.call.with(change), shape: PhantomData }
    }

    call_options!();
}

impl<A, R: Returns> Method<A, R> {
    /// Calls the method with arguments that were put together by hand.
    pub fn call_args(&self, actor: &ActorHandle, args: Args<'_>) -> R {
        let client = args.client;
        let task = client.link.next_task();
        let ready = actor
            .check()
            .and_then(|()| self.call.number(&client.link, Kind::Method, R::COUNT))
            .and_then(|declaration| Ok((declaration, args.finish()?)));
        match ready {
            Ok((declaration, (args, keep))) => {
                let parent = client.parent_task();
                let actor = actor.id();
                let results = R::expect(client, task, self.call.of());
                let grave = client.link.push_with(|outbox| {
                    results.register(outbox);
                    outbox.write(&Call { task, actor, declaration, args: &args, parent });
                    outbox.exhume()
                });
                drop(grave);
                recycle(args);
                drop(keep);
                results
            }
            Err(error) => R::failed(client, task, error),
        }
    }
}

impl<A, R> Clone for Method<A, R> {
    fn clone(&self) -> Method<A, R> {
        self.options()
    }
}

impl<A, R> fmt::Debug for Method<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Method({})", self.call.name)
    }
}

/// A handle to an actor of any class; what the typed handles of the [`actor`](macro@crate::actor) attribute wrap and dereference to.
///
/// Cheap to clone. It can be passed to tasks and other actors, inside any value. When the last handle anywhere is dropped, an actor without a name
/// ends.
#[derive(Clone)]
pub struct ActorHandle(Arc<Inner>);

struct Inner {
    id: ActorId,
    link: Arc<Link>,
    scope: Option<Arc<Scope>>,
    class_name: String,
    interface: Bytes,
    /// Why calls fail at once, if the creation was never sent or the actor is of another class. Such a handle has no count.
    failed: Option<Error>,
}

/// How to end an actor; see [`ActorHandle::kill_with`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KillOptions {
    /// Let it use a restart, if one is left.
    pub restart: bool,
    /// Let the calls that are queued already finish first.
    pub graceful: bool,
}

impl ActorHandle {
    fn new(
        client: &Client,
        id: ActorId,
        class_name: &str,
        interface: Bytes,
        failed: Option<Error>,
    ) -> ActorHandle {
        let (link, scope) = (client.link.clone(), client.scope.clone());
        ActorHandle(Arc::new(Inner { id, link, scope, class_name: class_name.into(), interface, failed }))
    }

    /// A handle whose count the server has given already, by its creation or by looking it up.
    fn counted(client: &Client, id: ActorId, class_name: &str, interface: Bytes) -> ActorHandle {
        ActorHandle::new(client, id, class_name, interface, None)
    }

    fn failed(client: &Client, id: ActorId, class_name: &str, error: Error) -> ActorHandle {
        ActorHandle::new(client, id, class_name, Bytes::new(), Some(error))
    }

    /// A handle to an actor that was found by its id; it gets a count of its own.
    pub(crate) fn adopt(client: &Client, id: ActorId, class_name: &str, interface: Bytes) -> ActorHandle {
        client.link.push(Item::Retain(id.0));
        ActorHandle::counted(client, id, class_name, interface)
    }

    /// The same handle where the actor is of this class, or it is not known of which. Otherwise one whose calls fail with [`Code::InvalidArgument`]: what
    /// typed handles of interfaces are made of.
    #[must_use]
    pub fn of_class(self, class_name: &str) -> ActorHandle {
        let found = self.class_name();
        if found.is_empty() || found == class_name {
            return self;
        }
        let error = Error::invalid(format!("the actor is a {found}, and no {class_name}"));
        ActorHandle::failed(&self.client(), self.id(), found, error)
    }

    fn check(&self) -> Result<()> {
        self.0.failed.clone().map_or(Ok(()), Err)
    }

    /// The actor's id, for logs.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.0.id
    }

    /// The name of its class.
    #[must_use]
    pub fn class_name(&self) -> &str {
        &self.0.class_name
    }

    /// The client that calls through this handle use.
    #[must_use]
    pub fn client(&self) -> Client {
        Client { link: self.0.link.clone(), scope: crate::scope::current().or_else(|| self.0.scope.clone()) }
    }

    /// Ends the actor at once and for good: queued and running calls fail with [`Code::ActorDied`].
    pub fn kill(&self) {
        self.kill_with(KillOptions::default());
    }

    /// [`ActorHandle::kill`] with options.
    pub fn kill_with(&self, options: KillOptions) {
        let KillOptions { restart, graceful } = options;
        self.0.link.op(v1::client_op::Op::Kill(v1::Kill { actor: self.0.id.write(), restart, graceful }));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.failed.is_none() {
            self.link.push(Item::Drop(self.id.0));
        }
    }
}

impl fmt::Debug for ActorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorHandle({} {})", self.0.class_name, self.0.id)
    }
}

impl PartialEq for ActorHandle {
    fn eq(&self, other: &ActorHandle) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ActorHandle {}

impl Hash for ActorHandle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl Serialize for ActorHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Err(error) = self.check() {
            return Err(serde::ser::Error::custom(format_args!("the actor could not be created: {error}")));
        }
        if !collected(self.0.id.0, self.0.clone()) {
            return Err(serde::ser::Error::custom(
                "an actor handle can be written only inside an argument, a result or a value that is put",
            ));
        }
        let payload = handle_payload(self.0.id, &self.0.class_name, &self.0.interface)
            .map_err(serde::ser::Error::custom)?;
        serialize_extension(serializer, Extension::Actor, &payload)
    }
}

impl<'de> Deserialize<'de> for ActorHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ActorHandle, D::Error> {
        deserialize_extension(deserializer, Extension::Actor, |payload| {
            let (id, class_name, interface) = read_handle_payload(payload)?;
            let client =
                decode_context().ok_or("an actor handle can be read only from a value of Thornback")?;
            Ok(ActorHandle::adopt(&client, id, &class_name, interface))
        })
    }
}

/// MessagePack of the id, the class's name and its interface, as `protocol/spec/value.md` says.
fn handle_payload(id: ActorId, class_name: &str, interface: &Bytes) -> Result<Vec<u8>, String> {
    rmp_serde::to_vec(&(id.write(), class_name, interface)).map_err(|error| error.to_string())
}

fn read_handle_payload(payload: &[u8]) -> Result<(ActorId, String, Bytes), String> {
    let (id, class_name, interface): (Bytes, String, Bytes) = rmp_serde::from_slice(payload)
        .map_err(|error| format!("an actor handle that cannot be read: {error}"))?;
    let id = ActorId::from_slice(&id).ok_or_else(|| format!("an actor id of {} bytes", id.len()))?;
    Ok((id, class_name, interface))
}

impl Client {
    /// Finds a named actor; `namespace` is the session's if it is `None`. For a typed handle convert it: `CounterHandle::from(handle)`.
    ///
    /// # Errors
    /// [`Code::ActorNotFound`] if no live actor has that name there.
    pub async fn actor(&self, name: &str, namespace: Option<&str>) -> Result<ActorHandle> {
        let get = v1::GetActor { name: name.into(), namespace: namespace.unwrap_or_default().into() };
        let v1::reply::Reply::Actor(info) = self.link.request(v1::request::Request::GetActor(get)).await?
        else {
            return Err(unexpected_reply());
        };
        let id = ActorId::from_slice(&info.actor).ok_or_else(unexpected_reply)?;
        Ok(ActorHandle::counted(self, id, &info.class_name, info.interface))
    }
}

pub(crate) fn unexpected_reply() -> Error {
    Error::new(Code::Internal, "the node answered a request with a reply of another kind")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_as_it_was_written() {
        let id = ActorId(thornback_types::Id::new(*b"saltsalt", 3, 0));
        let interface = Bytes::from_static(b"\x01\x02");
        let payload = handle_payload(id, "shop.Counter", &interface).expect("encodes");
        assert_eq!(payload[..4], [0x93, 0xc4, 16, b's']);
        assert_eq!(read_handle_payload(&payload), Ok((id, "shop.Counter".to_string(), interface)));
        for end in 0..payload.len() {
            assert!(read_handle_payload(&payload[..end]).is_err(), "cut at {end}");
        }
    }
}
