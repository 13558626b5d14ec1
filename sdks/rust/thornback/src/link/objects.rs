//! Large values on their way into the object store and out of it.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use thornback_types::{Code, Failure, More, ObjectId, TaskId, Value};
use thornback_wire::object::{Layout, Plan};
use thornback_wire::v1;
use tokio::sync::oneshot;

use super::{Item, Link, Shared, lock};
use crate::object::{Outcome, Slot};
use crate::value::{Encoded, Keep};
use crate::{Error, Result};

pub(crate) use super::arena::{Region, Room};

/// Bytes of one buffer from which a second thread helps to copy it.
const COPY_ALONE_BYTES: usize = 8 << 20;

/// One wait for a stored object.
pub(crate) struct FetchSlot {
    link: Arc<Link>,
    object: ObjectId,
    state: Mutex<FetchState>,
}

#[derive(Default)]
struct FetchState {
    result: Option<Result<Fetched>>,
    waker: Option<Waker>,
}

/// A stored object, to be read once.
pub(crate) enum Fetched {
    /// It was small after all.
    Value(Box<Value>),
    /// In shared memory.
    Pinned(Pinned),
    /// Collected from the carrier.
    Bytes(Bytes),
}

/// Where the bytes are, as the thread knows it; becomes a [`Fetched`] for somebody who keeps the session open while they are read.
pub(crate) enum Found {
    Value(Box<Value>),
    Region(Region),
    Bytes(Bytes),
}

impl FetchSlot {
    pub(crate) fn start(link: &Arc<Link>, object: ObjectId) -> Arc<FetchSlot> {
        let slot = Arc::new(FetchSlot { link: link.clone(), object, state: Mutex::default() });
        link.push(Item::Fetch(object, Arc::downgrade(&slot)));
        slot
    }

    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<Fetched>> {
        let mut state = lock(&self.state);
        match state.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(super) fn fill(&self, found: Result<Found>) {
        let result = found.map(|found| Fetched::new(&self.link, self.object, found));
        let waker = {
            let mut state = lock(&self.state);
            state.result = Some(result);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Fetched {
    pub(crate) fn new(link: &Arc<Link>, object: ObjectId, found: Found) -> Fetched {
        match found {
            Found::Value(value) => Fetched::Value(value),
            Found::Bytes(bytes) => Fetched::Bytes(bytes),
            Found::Region(region) => Fetched::Pinned(Pinned { region, object, link: link.clone() }),
        }
    }

    /// An object that the node has pinned for this session already.
    pub(crate) fn pinned(link: &Arc<Link>, object: ObjectId, location: &v1::Location) -> Result<Fetched> {
        Ok(Fetched::Pinned(Pinned { region: link.region(location)?, object, link: link.clone() }))
    }

    /// The value, its bytes in place.
    pub(crate) fn into_value(self) -> Result<Value> {
        let bytes = match self {
            Fetched::Value(value) => return Ok(*value),
            Fetched::Bytes(bytes) => bytes,
            Fetched::Pinned(pinned) => Bytes::from_owner(pinned),
        };
        let unreadable = |why: &dyn std::fmt::Display| {
            Error::new(Code::Internal, format!("a stored object cannot be read: {why}"))
        };
        let layout = Layout::read(&bytes, bytes.len() as u64).map_err(|error| unreadable(&error))?;
        let cut = |range: &std::ops::Range<u64>| {
            let ends = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            let (start, end) = ends
                .filter(|(start, end)| start <= end && *end <= bytes.len())
                .ok_or_else(|| unreadable(&"a buffer lies outside of it"))?;
            Ok(bytes.slice(start..end))
        };
        let buffers = layout.buffers.iter().map(cut).collect::<Result<_>>()?;
        let more = More { buffers, refs: Vec::new(), schema: layout.schema.into() };
        Ok(Value::new(layout.format, cut(&layout.data)?).with(more))
    }
}

/// The bytes of a pinned object, and with them the session, without which the pin would end.
pub(crate) struct Pinned {
    region: Region,
    object: ObjectId,
    link: Arc<Link>,
}

impl AsRef<[u8]> for Pinned {
    fn as_ref(&self) -> &[u8] {
        self.region.as_ref()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.link.push(Item::Release(self.object));
    }
}

/// A large value that becomes an object: room is asked for, filled, and sealed.
pub(crate) struct Storing {
    pub(super) object: ObjectId,
    /// The running task and attempt whose result this is.
    pub(super) task: Option<(TaskId, u32)>,
    plan: Plan,
    pieces: Vec<(u64, Bytes)>,
    refs: Vec<ObjectId>,
    /// Held until the server has counted what the value refers to.
    _keep: Keep,
    /// Held until the object is sealed, so that its count is not given back before there is one.
    slot: Option<Arc<Slot>>,
    done: Option<oneshot::Sender<Result<()>>>,
}

impl Storing {
    /// For a put. The slot, which is made only if the value can be stored, learns how it went.
    pub(crate) fn put(
        object: ObjectId,
        encoded: Encoded,
        slot: impl FnOnce() -> Arc<Slot>,
    ) -> Result<(Storing, Arc<Slot>)> {
        let mut storing = Storing::new(object, None, encoded, None)?;
        let slot = slot();
        storing.slot = Some(slot.clone());
        Ok((storing, slot))
    }

    /// For a result: the receiver learns how it went.
    pub(crate) fn result(
        object: ObjectId,
        task: TaskId,
        attempt: u32,
        encoded: Encoded,
    ) -> Result<(Storing, oneshot::Receiver<Result<()>>)> {
        let (sender, receiver) = oneshot::channel();
        Ok((Storing::new(object, Some((task, attempt)), encoded, Some(sender))?, receiver))
    }

    fn new(
        object: ObjectId,
        task: Option<(TaskId, u32)>,
        encoded: Encoded,
        done: Option<oneshot::Sender<Result<()>>>,
    ) -> Result<Storing> {
        let Encoded { mut value, keep } = encoded;
        let More { buffers, refs, schema } = value.take_more();
        let lengths: Vec<u64> = buffers.iter().map(|buffer| buffer.len() as u64).collect();
        let schema = String::from_utf8_lossy(&schema).into_owned();
        let plan = Plan::new(value.format, &schema, value.data.len() as u64, &lengths).map_err(|error| {
            Error::new(Code::Unserializable, format!("the value cannot be stored: {error}"))
        })?;
        let mut pieces = vec![(0, Bytes::from(plan.header.clone())), (plan.data.start, value.data.into())];
        pieces.extend(plan.buffers.iter().map(|range| range.start).zip(buffers));
        pieces.retain(|(_, bytes)| !bytes.is_empty());
        Ok(Storing { object, task, plan, pieces, refs, _keep: keep, slot: None, done })
    }

    pub(super) fn size(&self) -> u64 {
        self.plan.size
    }

    /// Whether refs to it exist already.
    pub(super) fn is_put(&self) -> bool {
        self.slot.is_some()
    }

    pub(super) fn refs(&self) -> &[ObjectId] {
        &self.refs
    }

    /// Copies everything into its room. Takes as long as that takes: not for the thread that serves the session, unless it is little.
    pub(super) fn fill(&self, room: &mut Room) -> Result<()> {
        let room = room.as_mut();
        if room.len() as u64 != self.plan.size {
            return Err(Error::new(Code::Internal, "the node gave room of another size than was asked for"));
        }
        let mut rest = room;
        let mut at = 0;
        for (offset, bytes) in &self.pieces {
            // The plan lays the pieces out one behind the other.
            let gap = usize::try_from(offset - at).unwrap_or(usize::MAX);
            let (_, from) = rest.split_at_mut_checked(gap).ok_or_else(overlap)?;
            let (target, after) = from.split_at_mut_checked(bytes.len()).ok_or_else(overlap)?;
            copy(target, bytes);
            at = offset + bytes.len() as u64;
            rest = after;
        }
        Ok(())
    }

    /// The bytes of the object from `offset` on, at most `limit` of them, for a carrier without shared memory. Gaps are zeros.
    pub(super) fn chunk(&self, offset: u64, limit: usize) -> Option<Bytes> {
        if offset >= self.plan.size {
            return None;
        }
        for (start, bytes) in &self.pieces {
            let end = start + bytes.len() as u64;
            if offset < *start {
                let gap = usize::try_from(start - offset).unwrap_or(limit).min(limit);
                return Some(vec![0; gap].into());
            }
            if offset < end {
                // Within a buffer, so the difference fits in a usize.
                let from = usize::try_from(offset - start).unwrap_or(bytes.len());
                return Some(bytes.slice(from..bytes.len().min(from.saturating_add(limit))));
            }
        }
        let gap = usize::try_from(self.plan.size - offset).unwrap_or(limit).min(limit);
        Some(vec![0; gap].into())
    }

    /// Nobody waits for the result any more: its task was interrupted, and has been answered.
    pub(super) fn is_abandoned(&self) -> bool {
        self.done.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// `Seal` is on its way, behind everything that fills the object.
    pub(super) fn sealed(mut self) {
        if let Some(slot) = &self.slot {
            slot.fill(Outcome::Stored);
        }
        if let Some(done) = self.done.take() {
            // The task may have been interrupted meanwhile.
            let _ = done.send(Ok(()));
        }
    }

    pub(super) fn fail(mut self, error: &Error) {
        if let Some(slot) = &self.slot {
            slot.fail(error.clone());
        }
        if let Some(done) = self.done.take() {
            let _ = done.send(Err(error.clone()));
        }
    }
}

fn overlap() -> Error {
    Error::from(Failure::new(Code::Internal, "an object's plan does not fit its room"))
}

/// One thread does not saturate the memory of most machines; two nearly do.
fn copy(target: &mut [u8], source: &[u8]) {
    if source.len() < COPY_ALONE_BYTES {
        target.copy_from_slice(source);
        return;
    }
    let half = source.len() / 2;
    let (target, target_rest) = target.split_at_mut(half);
    let (source, source_rest) = source.split_at(half);
    std::thread::scope(|threads| {
        threads.spawn(move || target_rest.copy_from_slice(source_rest));
        target.copy_from_slice(source);
    });
}

impl Shared {
    /// Largest value that travels inside a frame.
    pub(crate) fn is_inline(&self, value: &Value) -> bool {
        value.size() <= self.welcome.inline_bytes
    }
}
