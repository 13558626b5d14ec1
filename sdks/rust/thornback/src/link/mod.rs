//! The link between handles (clients, refs, actor handles) and the thread that holds their conversation with the node.
//!
//! Handles never wait for the thread and never touch a socket: they append to the [`Outbox`] under a short lock and look at slots that the
//! thread fills. So they work on any executor, or none. The thread ([`io`]) swaps the outbox for an empty one, which makes one frame
//! and one write of whatever was asked for since it last looked.

mod arena;
mod carrier;
mod incoming;
mod io;
mod objects;
mod outbox;
mod table;
mod timer;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thornback_types::{ActorId, Id, JobId, NodeId, ObjectId, PlacementGroupId, TaskId};
use thornback_wire::v1;
use tokio::sync::Notify;

use crate::options::Spec;
use crate::{Error, Result};

pub(crate) use carrier::Address;
pub(crate) use io::{Opening, open};
pub(crate) use objects::{FetchSlot, Fetched, Region, Room, Storing};
pub(crate) use outbox::{Item, Outbox};
pub(crate) use table::{IdMap, Listener};
pub(crate) use timer::Timer;

/// One session, as its handles see it. When the last of them goes, the session ends.
pub(crate) struct Link {
    pub(crate) shared: Arc<Shared>,
}

/// What the handles and the thread share.
pub(crate) struct Shared {
    outbox: Mutex<Outbox>,
    /// Whether something in it was pushed lazily, of which the thread was not told.
    unhurried: AtomicBool,
    /// Rung when the outbox stops being empty.
    bell: Notify,
    ids: Ids,
    /// What is declared in this session already. Held while a `Declare` goes into the outbox, so that no other thread uses its number first.
    declarations: Mutex<HashMap<Spec, u32>>,
    /// Tells links apart where a task remembers its number.
    pub(crate) serial: u32,
    pub(crate) welcome: Welcome,
    requests: AtomicU64,
    /// Shared memory, by number and whether it may be written.
    arenas: Mutex<HashMap<(u32, bool), Arc<arena::Mapping>>>,
}

/// What the node said about the session.
#[derive(Debug, Clone)]
pub(crate) struct Welcome {
    pub(crate) node: NodeId,
    pub(crate) job: Option<JobId>,
    pub(crate) namespace: String,
    pub(crate) server: String,
    pub(crate) inline_bytes: usize,
    pub(crate) shared_memory: bool,
}

impl Link {
    pub(crate) fn new(shared: Arc<Shared>) -> Arc<Link> {
        Arc::new(Link { shared })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.push(Item::Close(None));
    }
}

impl std::ops::Deref for Link {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Shared {
    pub(crate) fn new(salt: [u8; 8], welcome: Welcome) -> Shared {
        static SERIAL: AtomicU32 = AtomicU32::new(1);
        Shared {
            outbox: Mutex::default(),
            unhurried: AtomicBool::new(false),
            bell: Notify::new(),
            ids: Ids { salt: u64::from_be_bytes(salt), next: AtomicU64::new(1) },
            declarations: Mutex::default(),
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            welcome,
            requests: AtomicU64::new(1),
            arenas: Mutex::default(),
        }
    }

    /// Appends one item.
    pub(crate) fn push(&self, item: Item) {
        self.push_with(|outbox| outbox.push(item));
    }

    /// Appends several under one lock, so that nothing of another thread comes between them.
    pub(crate) fn push_with<R>(&self, fill: impl FnOnce(&mut Outbox) -> R) -> R {
        let mut outbox = lock(&self.outbox);
        let before = outbox.len();
        let result = fill(&mut outbox);
        let ring = outbox.pushed(before);
        self.pushed(outbox, ring);
        result
    }

    /// Appends something that may wait for more, until [`Shared::uncork`], or for a millisecond after [`Shared::nudge`].
    pub(crate) fn push_lazily(&self, push: impl FnOnce(&mut Outbox)) {
        let mut outbox = lock(&self.outbox);
        let ring = outbox.push_lazily(push);
        self.unhurried.store(outbox.needs_nudge(), Ordering::Relaxed);
        self.pushed(outbox, ring);
    }

    /// What was appended lazily must not wait much longer.
    pub(crate) fn nudge(&self) {
        // Looked at without the lock, because it is asked for each task: it is this thread that pushes lazily.
        if !self.unhurried.load(Ordering::Relaxed) {
            return;
        }
        let ring = lock(&self.outbox).nudge();
        self.unhurried.store(false, Ordering::Relaxed);
        if ring {
            self.bell.notify_one();
        }
    }

    /// Nothing more comes for now: what was appended lazily may go.
    pub(crate) fn uncork(&self) {
        let ring = lock(&self.outbox).uncork();
        if ring {
            self.bell.notify_one();
        }
    }

    #[inline]
    fn pushed(&self, outbox: MutexGuard<'_, Outbox>, ring: bool) {
        if outbox.has_ended() {
            return Shared::refuse(outbox);
        }
        drop(outbox);
        if ring {
            self.bell.notify_one();
        }
    }

    #[cold]
    fn refuse(mut outbox: MutexGuard<'_, Outbox>) {
        let refused = outbox.refused();
        drop(outbox);
        if let Some((error, items)) = refused {
            items.into_iter().for_each(|item| item.refuse(&error));
        }
    }

    /// How many wishes the thread has not looked at.
    pub(crate) fn waiting_items(&self) -> usize {
        lock(&self.outbox).len()
    }

    pub(crate) fn op(&self, op: v1::client_op::Op) {
        self.push(Item::Op(Box::new(op)));
    }

    /// The number of a declaration, which is sent if it is new to this session.
    pub(crate) fn declare(&self, spec: Spec) -> u32 {
        let mut declarations = lock(&self.declarations);
        if let Some(number) = declarations.get(&spec) {
            return *number;
        }
        let number = u32::try_from(declarations.len() + 1).unwrap_or(u32::MAX);
        self.op(v1::client_op::Op::Declare(spec.to_wire(number)));
        declarations.insert(spec, number);
        number
    }

    /// Sends a request of the control plane and waits for its reply.
    pub(crate) async fn request(&self, request: v1::request::Request) -> Result<v1::reply::Reply> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.push_with(|outbox| {
            outbox.push(Item::Reply(number, sender));
            outbox.push(Item::Op(Box::new(v1::client_op::Op::Request(Box::new(v1::Request {
                number,
                request: Some(request),
            })))));
        });
        match receiver.await {
            Ok(Ok(v1::reply::Reply::Failure(failure))) => Err(failure_in(*failure)),
            Ok(reply) => reply,
            Err(_) => Err(Error::connection_lost("the session ended before the reply came")),
        }
    }

    fn add_arena(&self, number: u32, writable: bool, mapping: Arc<arena::Mapping>) {
        lock(&self.arenas).insert((number, writable), mapping);
    }

    fn arena(&self, number: u32, writable: bool) -> Result<Arc<arena::Mapping>> {
        let found = lock(&self.arenas).get(&(number, writable)).cloned();
        found.ok_or_else(|| {
            Error::new(
                crate::Code::Internal,
                format!("the node named arena {number}, which it has not shared"),
            )
        })
    }

    /// The bytes of a pinned object.
    pub(crate) fn region(&self, location: &v1::Location) -> Result<Region> {
        Region::new(&self.arena(location.arena, false)?, location.offset, location.size)
    }

    /// The room for an object that this session fills. Called once for each.
    fn room(&self, location: &v1::Location) -> Result<Room> {
        Room::new(&self.arena(location.arena, true)?, location.offset, location.size)
    }

    pub(crate) fn next_task(&self) -> TaskId {
        TaskId(self.ids.next(0))
    }

    pub(crate) fn next_actor(&self) -> ActorId {
        ActorId(self.ids.next(0))
    }

    pub(crate) fn next_group(&self) -> PlacementGroupId {
        PlacementGroupId(self.ids.next(0))
    }

    pub(crate) fn next_put(&self) -> ObjectId {
        ObjectId(self.ids.next(1))
    }
}

/// Makes ids: a salt of this session, then a counter. The counter's high half goes into the salt, so that ids go on after 2³² things.
struct Ids {
    salt: u64,
    next: AtomicU64,
}

impl Ids {
    fn next(&self, index: u32) -> Id {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let salt = self.salt.wrapping_add(number >> 32);
        Id::new(salt.to_be_bytes(), number as u32, index)
    }
}

/// Eight bytes that no other session has.
pub(crate) fn salt() -> Result<[u8; 8]> {
    let mut salt = [0; 8];
    getrandom::fill(&mut salt).map_err(|error| {
        Error::new(crate::Code::Internal, format!("the system gives no random bytes: {error}"))
    })?;
    Ok(salt)
}

/// A failure from the wire; one that cannot be read is told as well as it can be.
pub(crate) fn failure_in(failure: v1::Failure) -> Error {
    let (code, message) = (failure.code, failure.message.clone());
    match thornback_types::Failure::try_from(failure) {
        Ok(failure) => failure.into(),
        Err(invalid) => thornback_types::Failure {
            code,
            message: format!("{message} (and the rest of this failure cannot be read: {invalid})"),
            ..Default::default()
        }
        .into(),
    }
}

/// No state here is left half-changed by a panic: every critical section is a few moves.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_unique_beyond_four_thousand_million() {
        let ids = Ids { salt: u64::MAX, next: AtomicU64::new(u64::from(u32::MAX)) };
        let (last, first) = (ids.next(0), ids.next(0));
        assert_ne!(last.0[..12], first.0[..12]);
        assert_eq!((last.index(), ids.next(1).index()), (0, 1));
    }
}
