//! Storing values, and filling objects in place.

use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use bytes::Bytes;
use thornback_types::{Format, ObjectId, TaskId};
use thornback_wire::convert::WireId;
use thornback_wire::object::Plan;
use thornback_wire::v1;
use tokio::sync::oneshot;

use super::Ref;
use super::slot::{Outcome, Slot};
use crate::client::Client;
use crate::link::{Item, Room, Storing};
use crate::value::{Data, Encoded, encode_owned};
use crate::{Code, Error, Result};

impl Client {
    /// Stores a value and gives a ref to it, at once: what could go wrong (the store is full, the value cannot be encoded) shows where the ref is
    /// used.
    ///
    /// A large [`Bytes`], `Vec<u8>` or [`Tensor`](crate::Tensor) is copied once, into shared memory; to make one there in the first place, use
    /// [`Client::create`].
    pub fn put<T: Data>(&self, value: T) -> Ref<T> {
        let id = self.link.next_put();
        match encode_owned(value) {
            Ok(encoded) => put_encoded(self, id, encoded),
            Err(error) => Ref::failed(self, id, error),
        }
    }

    /// Makes room for an object of so many bytes, to be filled in place: nothing is copied. If the future is dropped, so is the room.
    ///
    /// # Errors
    /// [`Code::StoreFull`](crate::Code::StoreFull) or [`Code::OutOfDisk`](crate::Code::OutOfDisk) if there is no room.
    ///
    /// ```no_run
    /// # async fn example(client: thornback::Client) -> thornback::Result<()> {
    /// let mut buffer = client.create(1 << 30).await?;
    /// buffer.fill(7);
    /// let sevens = buffer.seal();
    /// # Ok(()) }
    /// ```
    pub async fn create(&self, bytes: usize) -> Result<Buffer> {
        let plan = Plan::new(Format::Raw, "", bytes as u64, &[])
            .map_err(|error| Error::invalid(error.to_string()))?;
        let id = self.link.next_put();
        let (sender, receiver) = oneshot::channel();
        self.link.push(Item::Room(id, plan.size, sender));
        let room = receiver.await.unwrap_or_else(|_| {
            Err(Error::connection_lost("the session ended before there was room for the object"))
        })?;
        // Within the object's size, which was addressable when it was asked for.
        let start = usize::try_from(plan.data.start).unwrap_or(usize::MAX);
        let body = match room {
            Some(mut room) => {
                let header = room
                    .as_mut()
                    .get_mut(..plan.header.len())
                    .ok_or_else(|| Error::new(Code::Internal, "the node gave too little room"))?;
                header.copy_from_slice(&plan.header);
                Body::Shared(room, start..start + bytes)
            }
            None => {
                // It cannot be filled in place, so it is collected here and sent when it is sealed.
                self.link.op(v1::client_op::Op::Abort(v1::Abort { object: id.write() }));
                Body::Local(vec![0; bytes])
            }
        };
        Ok(Buffer { client: self.clone(), id, body: Some(body) })
    }
}

/// An object that is being filled; see [`Client::create`]. Dropped without [`Buffer::seal`], its room is given back.
///
/// It dereferences to its bytes, whose first contents are arbitrary.
#[must_use = "an object exists only once it is sealed"]
pub struct Buffer {
    client: Client,
    id: ObjectId,
    /// Taken when it is sealed.
    body: Option<Body>,
}

enum Body {
    Shared(Room, Range<usize>),
    Local(Vec<u8>),
}

impl Buffer {
    /// Ends the filling: from now on the object is immutable and can be shared.
    pub fn seal(mut self) -> Ref<Bytes> {
        match self.body.take() {
            Some(Body::Local(bytes)) => self.client.put(Bytes::from(bytes)),
            Some(Body::Shared(room, _)) => {
                drop(room);
                let slot = Slot::complete(&self.client, self.id, "", Outcome::Stored);
                self.client.link.push_with(|outbox| {
                    outbox.push(Item::Expect(self.id, Arc::downgrade(&slot)));
                    outbox.push(Item::Op(Box::new(v1::client_op::Op::Seal(v1::Seal {
                        object: self.id.write(),
                        refs: Vec::new(),
                    }))));
                });
                Ref::from_slot(slot)
            }
            None => {
                Ref::failed(&self.client, self.id, Error::new(Code::Internal, "an object was sealed twice"))
            }
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.body {
            Some(Body::Shared(room, range)) => room.as_ref().get(range.clone()).unwrap_or_default(),
            Some(Body::Local(bytes)) => bytes,
            None => &[],
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.body {
            Some(Body::Shared(room, range)) => room.as_mut().get_mut(range.clone()).unwrap_or_default(),
            Some(Body::Local(bytes)) => bytes,
            None => &mut [],
        }
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({}, {} bytes)", self.id, self.len())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(Body::Shared(room, _)) = self.body.take() {
            drop(room);
            self.client.link.op(v1::client_op::Op::Abort(v1::Abort { object: self.id.write() }));
        }
    }
}

pub(crate) fn put_encoded<T>(client: &Client, id: ObjectId, encoded: Encoded) -> Ref<T> {
    if client.link.is_inline(&encoded.value) {
        // The value need not come back to be read here.
        let slot = Slot::complete(client, id, "", Outcome::from(encoded.value.clone()));
        let put = v1::Put { object: id.write(), value: Some(encoded.value.into()) };
        client.link.op(v1::client_op::Op::Put(put));
        drop(encoded.keep);
        return Ref::from_slot(slot);
    }
    let stored = Storing::put(id, encoded, || Slot::expected(client, id, ""));
    match stored {
        Ok((storing, slot)) => {
            client.link.push_with(|outbox| {
                outbox.push(Item::Expect(id, Arc::downgrade(&slot)));
                outbox.push(Item::Store(Box::new(storing)));
            });
            Ref::from_slot(slot)
        }
        Err(error) => Ref::failed(client, id, error),
    }
}

/// Stores the result of a running task.
pub(crate) async fn store_result(
    client: &Client,
    task: TaskId,
    attempt: u32,
    index: u32,
    encoded: Encoded,
) -> Result<()> {
    let (storing, stored) = Storing::result(task.output(index), task, attempt, encoded)?;
    client.link.push(Item::Store(Box::new(storing)));
    stored
        .await
        .unwrap_or_else(|_| Err(Error::connection_lost("the session ended before the result was stored")))
}
