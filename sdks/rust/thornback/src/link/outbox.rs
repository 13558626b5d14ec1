//! What handles ask of the thread, in the order in which they asked.

use std::collections::VecDeque;
use std::sync::Weak;
use std::time::Instant;

use thornback_types::{Id, ObjectId, TaskId};
use thornback_wire::hot::Write;
use thornback_wire::v1;
use tokio::sync::oneshot;

use super::objects::{FetchSlot, Room, Storing};
use super::timer::TimerSlot;
use crate::object::{Slot, StreamSlot};
use crate::{Error, Result};

/// One wish.
pub(crate) enum Item {
    /// To be sent as it is.
    Op(Box<v1::client_op::Op>),
    /// The same, written already: so many of the outbox's bytes.
    Written(u32),
    /// The completion of this object will come unasked; the session has a count on it already.
    Expect(ObjectId, Weak<Slot>),
    /// The completion of this object is wanted, of which only the id was known.
    Watch(ObjectId, Weak<Slot>),
    /// One count more on an object, actor or stream.
    Retain(Id),
    /// One count less. What was expected of it is not wanted any more.
    Drop(Id),
    /// The items and the end of this stream will come.
    ExpectStream(Weak<StreamSlot>),
    Consumed(TaskId, u64),
    /// Where does this object lie?
    Fetch(ObjectId, Weak<FetchSlot>),
    Release(ObjectId),
    /// Make a large value an object.
    Store(Box<Storing>),
    /// The room that was given for this object is filled.
    Made(Box<Storing>),
    /// The room that was given for this object could not be filled.
    Unmade(Box<Storing>, Error),
    /// Give room for an object that the user fills; `None` where there is no shared memory.
    Room(ObjectId, u64, oneshot::Sender<Result<Option<Room>>>),
    /// The reply with this number goes here.
    Reply(u64, oneshot::Sender<Result<v1::reply::Reply>>),
    Timer(Instant, Weak<TimerSlot>),
    /// Tell when everything before this was handed to the carrier.
    Flush(oneshot::Sender<Result<()>>),
    /// The session is no longer wanted. The sender is dropped once it is over.
    Close(Option<oneshot::Sender<()>>),
}

/// Wishes, and the bytes of those that are written.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) items: VecDeque<Item>,
    bytes: Vec<u8>,
    /// How many of the bytes were read.
    read: usize,
}

/// Slots whose memory may wait for somebody who makes new ones: some hundreds of kilobytes.
const GRAVES_MAX: usize = 2048;

/// Memory that an empty queue keeps for those that come, in wishes and in bytes.
const KEPT_ITEMS_MAX: usize = 16 << 10;
const KEPT_BYTES_MAX: usize = 1 << 20;

/// As many lazy wishes as are worth a frame. A worker has a few times as many tasks ahead, so that the node can refill while it goes on.
const LAZY_ITEMS_MAX: usize = 64;

/// Wishes since the thread last looked. Once the session has ended, they are answered here with the reason.
#[derive(Default)]
pub(crate) struct Outbox {
    wishes: Wishes,
    /// All of them were pushed lazily: more is about to come, and the thread need not hurry.
    lazy: bool,
    /// The thread has been told of the lazy ones.
    nudged: bool,
    ended: Option<Error>,
    /// Slots that are gone, but for their memory: see [`Outbox::bury`].
    graves: Vec<Weak<Slot>>,
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.wishes.items.len()
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.wishes.items.push_back(item);
    }

    /// Appends an operation, which is written here and now.
    #[inline]
    pub(crate) fn write(&mut self, op: &impl Write) {
        self.wishes.write(op);
    }

    /// Whether the thread has to be told of what was pushed since there were `before` items.
    pub(super) fn pushed(&mut self, before: usize) -> bool {
        let hurry = self.len() > before && (before == 0 || self.lazy);
        self.lazy &= self.len() == before;
        hurry
    }

    /// Pushes what can wait for more. Gives whether the thread has to be told, because there is enough now.
    pub(super) fn push_lazily(&mut self, push: impl FnOnce(&mut Outbox)) -> bool {
        self.lazy |= self.wishes.items.is_empty();
        push(self);
        self.len() >= LAZY_ITEMS_MAX && self.uncork()
    }

    /// Whether [`Outbox::nudge`] would tell it.
    pub(super) fn needs_nudge(&self) -> bool {
        self.lazy && !self.nudged
    }

    /// Whether the thread has to be told that something waits for more, and may wait too long.
    pub(super) fn nudge(&mut self) -> bool {
        self.lazy && !std::mem::replace(&mut self.nudged, true)
    }

    /// Whether the thread looks of itself whether something waits for more.
    pub(super) fn expect_lazy(&mut self, expected: bool) {
        self.nudged = expected;
    }

    /// Whether the thread has to be told that nothing more comes.
    pub(super) fn uncork(&mut self) -> bool {
        std::mem::take(&mut self.lazy)
    }

    /// Whether more is about to come.
    pub(super) fn is_lazy(&self) -> bool {
        self.lazy
    }

    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Once the session has ended: what was pushed, to be refused without the lock, because waking a waiter runs code of others.
    pub(super) fn refused(&mut self) -> Option<(Error, VecDeque<Item>)> {
        let error = self.ended.clone()?;
        Some((error, std::mem::take(&mut self.wishes).items))
    }

    /// Takes what is left of slots, for those who make new ones to free: an allocator gives memory again at once to the thread that frees it, and has
    /// much to do where one thread takes and another one gives back.
    pub(super) fn bury(&mut self, graves: &mut Vec<Weak<Slot>>) {
        if self.graves.len() < GRAVES_MAX {
            self.graves.append(graves);
        }
    }

    /// The memory of one slot that is gone, to be dropped without the lock.
    #[inline]
    pub(crate) fn exhume(&mut self) -> Option<Weak<Slot>> {
        self.graves.pop()
    }

    /// Gives what there is, and takes an empty queue to fill next.
    pub(super) fn swap(&mut self, other: &mut Wishes) {
        other.clear();
        std::mem::swap(&mut self.wishes, other);
        (self.lazy, self.nudged) = (false, false);
    }

    /// No more is taken; what is asked from now on fails with this error.
    pub(super) fn end(&mut self, error: Error) -> VecDeque<Item> {
        self.ended = Some(error);
        std::mem::take(&mut self.wishes).items
    }
}

impl Wishes {
    fn write(&mut self, op: &impl Write) {
        let length = op.encoded_len();
        self.bytes.reserve(length);
        op.encode(&mut self.bytes);
        // What does not fit into a frame is refused by the session; nothing here is longer than memory is.
        self.items.push_back(Item::Written(u32::try_from(length).unwrap_or(u32::MAX)));
    }

    /// The next operation that is written, of which the item says how long it is.
    pub(super) fn read(&mut self, length: u32) -> &[u8] {
        let start = self.read;
        self.read = (start + length as usize).min(self.bytes.len());
        &self.bytes[start..self.read]
    }

    /// All of them were worked off.
    fn clear(&mut self) {
        self.items.shrink_to(KEPT_ITEMS_MAX);
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.read = 0;
    }
}

impl Item {
    /// Answers a wish that cannot be met any more.
    pub(super) fn refuse(self, error: &Error) {
        match self {
            Item::Expect(_, slot) | Item::Watch(_, slot) => {
                if let Some(slot) = slot.upgrade() {
                    slot.fail(error.clone());
                }
            }
            Item::ExpectStream(stream) => {
                if let Some(stream) = stream.upgrade() {
                    stream.end(Some(error.clone()));
                }
            }
            Item::Fetch(_, slot) => {
                if let Some(slot) = slot.upgrade() {
                    slot.fill(Err(error.clone()));
                }
            }
            Item::Store(storing) | Item::Made(storing) | Item::Unmade(storing, _) => storing.fail(error),
            Item::Room(_, _, sender) => {
                let _ = sender.send(Err(error.clone()));
            }
            Item::Reply(_, sender) => {
                // Whoever asked may have stopped waiting.
                let _ = sender.send(Err(error.clone()));
            }
            Item::Timer(_, timer) => {
                // The wait that the timer bounds fails by itself, with a better reason than "time is up".
                drop(timer);
            }
            Item::Flush(sender) => {
                let _ = sender.send(Err(error.clone()));
            }
            Item::Op(_)
            | Item::Written(_)
            | Item::Retain(_)
            | Item::Drop(_)
            | Item::Consumed(..)
            | Item::Release(_)
            | Item::Close(_) => {}
        }
    }
}
