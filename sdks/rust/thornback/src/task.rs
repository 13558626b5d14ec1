//! Tasks: functions that run somewhere else.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thornback_types::TaskId;
use thornback_wire::hot::client::Submit;

use crate::arg::{Arg, Args};
use crate::client::Client;
use crate::link::{Item, Outbox, Shared};
use crate::object::{Ref, RefStream, Slot, StreamSlot};
use crate::options::{Kind, Options, Spec, call_options, resource_options};
use crate::value::{Data, recycle};
use crate::{Error, Result};

/// A function that can be called remotely: its name, the types of its parameters `A` (a tuple), what a call gives (`R`), and how to run it.
///
/// The [`task`](macro@crate::task) attribute makes one for each function. For a function of another language, or of a crate that is not at hand, make one by
/// name:
///
/// ```no_run
/// use thornback::{Bytes, Client, Ref, Result, Task};
///
/// static RESIZE: Task<(Bytes, u32, u32), Ref<Bytes>> = Task::named("images.resize");
///
/// # async fn example(client: Client, picture: Bytes) -> Result<()> {
/// let small = RESIZE.submit(&client, &picture, 640, 480).await?;
/// let fast = RESIZE.options().num_gpus(0.5).max_retries(0);
/// let small = fast.submit(&client, picture, 640, 480).await?;
/// # Ok(()) }
/// ```
///
/// What a call gives is a [`Ref<T>`], a [`RefStream<T>`] for a function that yields, a tuple of refs for one that returns several objects, or `()` for
/// none.
pub struct Task<A, R> {
    call: Declared,
    shape: PhantomData<fn(A) -> R>,
}

/// What tasks, classes and methods share: a name, options, and the number under which the last session knows both.
pub(crate) struct Declared {
    pub(crate) name: Cow<'static, str>,
    /// An interface has it.
    typed: bool,
    signature: &'static str,
    /// `None` where nothing was set, so that one can be made in a `static`.
    pub(crate) options: Option<Arc<Options>>,
    /// The link's serial, then the number there. A hit spares the look-up.
    number: AtomicU64,
}

impl Declared {
    pub(crate) const fn new(name: Cow<'static, str>) -> Declared {
        Declared { name, typed: false, signature: "", options: None, number: AtomicU64::new(0) }
    }

    pub(crate) const fn typed(name: &'static str, signature: &'static str) -> Declared {
        let name = Cow::Borrowed(name);
        Declared { name, typed: true, signature, options: None, number: AtomicU64::new(0) }
    }

    /// See `Slot::of`.
    pub(crate) fn of(&self) -> &'static str {
        match self.name {
            Cow::Borrowed(name) if self.typed => name.rsplit('.').next().unwrap_or(name),
            _ => "",
        }
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Options)) -> Declared {
        let mut options = self.options.clone().unwrap_or_default();
        change(Arc::make_mut(&mut options));
        let Declared { ref name, typed, signature, .. } = *self;
        Declared { name: name.clone(), typed, signature, options: Some(options), number: AtomicU64::new(0) }
    }

    pub(crate) fn number(&self, link: &Shared, kind: Kind, returns: i32) -> Result<u32> {
        let known = self.number.load(Ordering::Relaxed);
        if known >> 32 == u64::from(link.serial) {
            return Ok(known as u32);
        }
        let options = self.options.as_deref().cloned().unwrap_or_default();
        options.check()?;
        let number = link.declare(Spec {
            kind,
            function: self.name.clone(),
            signature: self.signature,
            returns,
            options,
        });
        self.number.store(u64::from(link.serial) << 32 | u64::from(number), Ordering::Relaxed);
        Ok(number)
    }
}

impl<A, R> Task<A, R> {
    /// The function that workers announce under this name.
    #[must_use]
    pub const fn named(name: &'static str) -> Task<A, R> {
        Task { call: Declared::new(Cow::Borrowed(name)), shape: PhantomData }
    }

    /// The function that an interface has under this name, with the signature that its stub was made from. Calls fail with
    /// [`Code::SignatureMismatch`](crate::Code::SignatureMismatch) where another one is served.
    #[must_use]
    pub const fn typed(name: &'static str, signature: &'static str) -> Task<A, R> {
        Task { call: Declared::typed(name, signature), shape: PhantomData }
    }

    /// [`Task::named`] for a name that is made while the program runs.
    #[must_use]
    pub fn with_name(name: impl Into<String>) -> Task<A, R> {
        Task { call: Declared::new(Cow::Owned(name.into())), shape: PhantomData }
    }

    /// The function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.call.name
    }

    /// A copy, to set options on. Keep it to submit many calls: it is declared to the server once.
    #[must_use]
    pub fn options(&self) -> Task<A, R> {
        self.with(|_| {})
    }

    fn with(&self, change: impl FnOnce(&mut Options)) -> Task<A, R> {
        Task { call: self.call.with(change), shape: PhantomData }
    }

    resource_options!();
    call_options!();
}

impl<A, R: Returns> Task<A, R> {
    /// Submits a call with arguments that were put together by hand.
    pub fn submit_args(&self, args: Args<'_>) -> R {
        let client = args.client;
        let task = client.link.next_task();
        let ready = self
            .call
            .number(&client.link, Kind::Task, R::COUNT)
            .and_then(|number| Ok((number, args.finish()?)));
        match ready {
            Ok((declaration, (args, keep))) => {
                let parent = client.parent_task();
                let results = R::expect(client, task, self.call.of());
                let grave = client.link.push_with(|outbox| {
                    results.register(outbox);
                    outbox.write(&Submit { task, declaration, args: &args, parent });
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

impl<A, R> Clone for Task<A, R> {
    fn clone(&self) -> Task<A, R> {
        self.options()
    }
}

impl<A, R> std::fmt::Debug for Task<A, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Task({})", self.call.name)
    }
}

/// What a call gives: a [`Ref<T>`], a tuple of them, a [`RefStream<T>`], or `()`.
pub trait Returns: Sized + sealed::Returns {}
impl<R: sealed::Returns> Returns for R {}

pub(crate) mod sealed {
    use super::{Client, Error, Outbox, TaskId};

    pub trait Returns: Sized {
        /// How many objects; -1 for a stream.
        const COUNT: i32;
        /// `of` as in `Slot::of`.
        fn expect(client: &Client, task: TaskId, of: &'static str) -> Self;
        #[allow(private_interfaces)]
        fn register(&self, outbox: &mut Outbox);
        fn failed(client: &Client, task: TaskId, error: Error) -> Self;
    }
}

impl sealed::Returns for () {
    const COUNT: i32 = 0;

    fn expect(_: &Client, _: TaskId, _: &'static str) {}

    #[allow(private_interfaces)]
    fn register(&self, _: &mut Outbox) {}

    fn failed(_: &Client, _: TaskId, _: Error) {}
}

impl<T> sealed::Returns for Ref<T> {
    const COUNT: i32 = 1;

    fn expect(client: &Client, task: TaskId, of: &'static str) -> Ref<T> {
        Ref::from_slot(Slot::expected(client, task.output(0), of))
    }

    #[allow(private_interfaces)]
    fn register(&self, outbox: &mut Outbox) {
        outbox.push(Item::Expect(self.id(), Arc::downgrade(self.slot())));
    }

    fn failed(client: &Client, task: TaskId, error: Error) -> Ref<T> {
        Ref::failed(client, task.output(0), error)
    }
}

impl<T> sealed::Returns for RefStream<T> {
    const COUNT: i32 = -1;

    fn expect(client: &Client, task: TaskId, of: &'static str) -> RefStream<T> {
        RefStream::from_slot(StreamSlot::new(client, task, of))
    }

    #[allow(private_interfaces)]
    fn register(&self, outbox: &mut Outbox) {
        outbox.push(Item::ExpectStream(Arc::downgrade(self.slot())));
    }

    fn failed(client: &Client, task: TaskId, error: Error) -> RefStream<T> {
        let stream = RefStream::from_slot(StreamSlot::new(client, task, ""));
        stream.slot().end(Some(error));
        stream
    }
}

macro_rules! tuples_of_refs {
    ($($count:literal: $($letter:ident $index:tt)+;)*) => {$(
        impl<$($letter),+> sealed::Returns for ($(Ref<$letter>,)+) {
            const COUNT: i32 = $count;

            fn expect(client: &Client, task: TaskId, of: &'static str) -> Self {
                ($(Ref::<$letter>::from_slot(Slot::expected(client, task.output($index), of)),)+)
            }

            #[allow(private_interfaces)]
            fn register(&self, outbox: &mut Outbox) {
                $(self.$index.register(outbox);)+
            }

            fn failed(client: &Client, task: TaskId, error: Error) -> Self {
                ($(Ref::<$letter>::failed(client, task.output($index), error.clone()),)+)
            }
        }
    )*};
}

tuples_of_refs! {
    2: A 0 B 1;
    3: A 0 B 1 C 2;
    4: A 0 B 1 C 2 D 3;
    5: A 0 B 1 C 2 D 3 E 4;
    6: A 0 B 1 C 2 D 3 E 4 F 5;
    7: A 0 B 1 C 2 D 3 E 4 F 5 G 6;
    8: A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7;
}

/// For each number of parameters, the same few methods with that many arguments.
macro_rules! arities {
    ($($count:literal: $($letter:ident $arg:ident)*;)*) => {$(
        impl<R: Returns, $($letter: Data),*> Task<($($letter,)*), R> {
            /// Submits a call. It is on its way at once; what goes wrong, even before that, shows where the result is awaited.
            #[allow(clippy::too_many_arguments)]
            pub fn submit(&self, client: &Client, $($arg: impl Arg<$letter>),*) -> R {
                #[allow(unused_mut)]
                let mut args = Args::new(client);
                $($arg.add_to(&mut args);)*
                self.submit_args(args)
            }
        }

        impl<R: Returns, $($letter: Data),*> crate::actor::Method<($($letter,)*), R> {
            /// Calls the method. Calls that one client sends to one actor start in the order in which they were sent.
            #[allow(clippy::too_many_arguments)]
            pub fn call(&self, actor: &crate::ActorHandle, $($arg: impl Arg<$letter>),*) -> R {
                let client = actor.client();
                #[allow(unused_mut)]
                let mut args = Args::new(&client);
                $($arg.add_to(&mut args);)*
                self.call_args(actor, args)
            }
        }

        impl<Z: From<crate::ActorHandle> + 'static, $($letter: Data),*> crate::actor::Class<($($letter,)*), Z> {
            /// Creates an actor. It is on its way at once, and calls may follow; if it cannot be created, they fail with the reason. It ends when the last
            /// handle is dropped.
            #[allow(clippy::too_many_arguments)]
            pub fn create(&self, client: &Client, $($arg: impl Arg<$letter>),*) -> Z {
                #[allow(unused_mut)]
                let mut args = Args::new(client);
                $($arg.add_to(&mut args);)*
                self.create_args(args)
            }

            /// Creates an actor that others can find by its name.
            ///
            /// # Errors
            /// [`Code::ActorNameTaken`](crate::Code::ActorNameTaken) if there is one of that name and `get_if_exists` was not set.
            #[allow(clippy::too_many_arguments)]
            pub fn create_named(&self, client: &Client, name: &str, $($arg: impl Arg<$letter>),*) -> crate::actor::Creating<Z> {
                #[allow(unused_mut)]
                let mut args = Args::new(client);
                $($arg.add_to(&mut args);)*
                self.create_named_args(name, args)
            }
        }
    )*};
}

arities! {
    0: ;
    1: A a;
    2: A a B b;
    3: A a B b C c;
    4: A a B b C c D d;
    5: A a B b C c D d E e;
    6: A a B b C c D d E e F f;
    7: A a B b C c D d E e F f G g;
    8: A a B b C c D d E e F f G g H h;
    9: A a B b C c D d E e F f G g H h I i;
    10: A a B b C c D d E e F f G g H h I i J j;
}
