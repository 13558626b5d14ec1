//! Objects: immutable values shared by reference.

mod get;
mod get_all;
mod put;
mod slot;
mod stream;
mod wait;

use std::fmt;
use std::future::IntoFuture;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thornback_types::{Id, ObjectId};
use thornback_wire::convert::WireId;
use thornback_wire::v1;

use crate::client::Client;
use crate::value::{Data, Extension, collected, decode_context, deserialize_extension, serialize_extension};
use crate::{Error, Result};

pub use get::Get;
pub use get_all::get_all;
pub use put::Buffer;
pub(crate) use put::{put_encoded, store_result};
pub(crate) use slot::{Outcome, Slot};
pub use stream::RefStream;
pub(crate) use stream::StreamSlot;
pub use wait::{Wait, Waited, wait};

/// A typed reference to an object: the result of a task, an item of a stream, or something put.
///
/// The object lives while somebody refers to it. A `Ref` is owned: cloning it is cheap, and dropping the last clone gives its count back. It can be
///
/// - awaited (`r.await`, or `(&r).await` to keep it), which gives the value or the error that the task ended with;
/// - passed to a task where the parameter is a `T`: the task gets the value, and starts when it is there;
/// - passed where the parameter is a `Ref<T>`, or inside any other value: the task gets the ref.
///
/// ```no_run
/// # async fn example(client: thornback::Client) -> thornback::Result<()> {
/// let r = client.put(vec![1.5, 2.5]);
/// let sum: f64 = (&r).await?.iter().sum();
/// # Ok(()) }
/// ```
#[must_use = "dropping the only ref to an object frees it; await it, pass it on, or drop it on purpose"]
pub struct Ref<T> {
    slot: Arc<Slot>,
    // Refs are never borrowed into: it does not matter whether `T` can be shared between threads.
    value: PhantomData<fn() -> T>,
}

/// How to cancel; see [`Ref::cancel_with`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CancelOptions {
    /// End the worker process if the task runs. Refused for actor calls.
    pub force: bool,
    /// Also the tasks that it submitted.
    pub recursive: bool,
}

impl<T> Ref<T> {
    pub(crate) fn from_slot(slot: Arc<Slot>) -> Ref<T> {
        Ref { slot, value: PhantomData }
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// The object's id, for logs.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        self.slot.id
    }

    /// Whether the value, or an error in its place, is there. Never waits.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.slot.is_ready()
    }

    /// Ends the task that makes this object: a pending one never runs, a running one is interrupted, a finished one is left as it is.
    /// Awaiting the ref then fails with [`Code::Cancelled`](crate::Code::Cancelled).
    pub fn cancel(&self) {
        self.cancel_with(CancelOptions::default());
    }

    /// [`Ref::cancel`] with options.
    pub fn cancel_with(&self, options: CancelOptions) {
        let CancelOptions { force, recursive } = options;
        self.slot.link.op(v1::client_op::Op::Cancel(v1::Cancel {
            id: self.slot.id.write(),
            force,
            recursive,
        }));
    }

    /// The same object, read as another type: for refs from code that could not know it.
    pub fn cast<U>(self) -> Ref<U> {
        Ref::from_slot(self.slot)
    }
}

impl<T: Data> Ref<T> {
    /// Waits for the value; the same as awaiting the ref, with a time limit if one is wanted.
    ///
    /// ```no_run
    /// # async fn example(r: thornback::Ref<i64>) -> thornback::Result<()> {
    /// use std::time::Duration;
    ///
    /// let value = r.get().timeout(Duration::from_secs(5)).await?;
    /// # Ok(()) }
    /// ```
    pub fn get(&self) -> Get<T> {
        Get::new(self.slot.clone())
    }

    /// Waits for the value on this thread: for tasks and programs that are not asynchronous.
    ///
    /// # Errors
    /// Like awaiting the ref.
    pub fn blocking_get(&self) -> Result<T> {
        get::block_on(self.get())
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Ref<T> {
        Ref::from_slot(self.slot.clone())
    }
}

impl<T> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ref<{}>({})", std::any::type_name::<T>(), self.slot.id)
    }
}

impl<T> PartialEq for Ref<T> {
    fn eq(&self, other: &Ref<T>) -> bool {
        self.slot.id == other.slot.id
    }
}

impl<T> Eq for Ref<T> {}

impl<T> Hash for Ref<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.slot.id.hash(state);
    }
}

impl<T: Data> IntoFuture for Ref<T> {
    type Output = Result<T>;
    type IntoFuture = Get<T>;

    fn into_future(self) -> Get<T> {
        Get::new(self.slot)
    }
}

impl<T: Data> IntoFuture for &Ref<T> {
    type Output = Result<T>;
    type IntoFuture = Get<T>;

    fn into_future(self) -> Get<T> {
        self.get()
    }
}

/// Inside a value for Thornback only: elsewhere nothing would keep the object alive.
impl<T> Serialize for Ref<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !collected(self.slot.id.0, self.slot.clone()) {
            return Err(serde::ser::Error::custom(
                "a Ref can be written only inside an argument, a result or a value that is put",
            ));
        }
        serialize_extension(serializer, Extension::Ref, self.slot.id.as_bytes())
    }
}

impl<'de, T> Deserialize<'de> for Ref<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ref<T>, D::Error> {
        deserialize_extension(deserializer, Extension::Ref, |payload| {
            let id = Id::from_slice(payload).ok_or_else(|| format!("a ref of {} bytes", payload.len()))?;
            let client = decode_context().ok_or("a Ref can be read only from a value of Thornback")?;
            Ok(Ref::adopt(&client, ObjectId(id)))
        })
    }
}

impl<T> Ref<T> {
    /// A ref to an object of which only the id is known; it gets a count of its own.
    pub(crate) fn adopt(client: &Client, id: ObjectId) -> Ref<T> {
        let slot = Slot::adopted(client, id);
        client.link.push(crate::link::Item::Retain(id.0));
        Ref::from_slot(slot)
    }

    /// A ref that has failed before anything was sent.
    pub(crate) fn failed(client: &Client, id: ObjectId, error: Error) -> Ref<T> {
        Ref::from_slot(Slot::failed(client, id, error))
    }
}
