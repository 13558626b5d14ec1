//! What this process knows of one object: nothing yet, its value, where it is, or why there is none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use thornback_types::{Format, ObjectId, Value};
use thornback_wire::convert::Compact;
use thornback_wire::hot::client::Plain;

use super::get_all::Group;
use crate::Error;
use crate::client::Client;
use crate::link::{Item, Link, lock};
use crate::scope::Scope;

/// One count on an object, with what is known of it. Shared by the clones of a ref.
pub(crate) struct Slot {
    pub(crate) id: ObjectId,
    pub(crate) link: Arc<Link>,
    pub(crate) scope: Option<Arc<Scope>>,
    /// The function of an interface that gives it, by its own name: then it is read as the interface has it. Empty for all others.
    pub(crate) of: &'static str,
    state: Mutex<State>,
    /// Its completion must be asked for, because this session did not create it.
    unwatched: AtomicBool,
    /// The session's thread is to be told when this goes: there is a count to be given back, unless the thread knows that there never was one.
    counted: bool,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    next_key: u64,
    waiting: Waiters,
}

/// Those who wait for one outcome. Nearly always it is one, for whom nothing is allocated.
#[derive(Default)]
struct Waiters {
    first: Option<(u64, Waiter)>,
    more: Vec<(u64, Waiter)>,
}

/// One who waits.
enum Waiter {
    Waker(Waker),
    /// One of many whose outcomes are awaited together, and its place among them.
    Member(Arc<Group>, u32),
}

/// How an object came out.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// A value without refs and buffers, as nearly all small ones are: they are many, so they are kept small.
    Plain(Format, bytes::Bytes),
    /// The same, so short that it needs no memory of its own: so many of the bytes.
    Tiny(Format, u8, [u8; TINY_BYTES_MAX]),
    Value(Box<Value>),
    /// It lies in the object store.
    Stored,
    Failed(Error),
}

/// What fits beside the other outcomes.
const TINY_BYTES_MAX: usize = 30;

impl Outcome {
    /// A value that came in a frame of so many bytes, which it must not keep in memory.
    pub(crate) fn of_frame(mut value: Value, frame_bytes: usize) -> Outcome {
        if value.is_plain()
            && let Some(tiny) = Outcome::tiny(value.format, &value.data)
        {
            return tiny;
        }
        value.compact(frame_bytes);
        Outcome::from(value)
    }

    /// Stops keeping a frame of so many bytes in memory.
    #[inline]
    pub(crate) fn leave_frame(&mut self, frame_bytes: usize) {
        if let Outcome::Plain(_, data) = self {
            data.compact(frame_bytes);
        }
    }

    #[inline]
    fn tiny(format: Format, data: &[u8]) -> Option<Outcome> {
        let length = u8::try_from(data.len()).ok()?;
        let mut bytes = [0; TINY_BYTES_MAX];
        bytes.get_mut(..data.len())?.copy_from_slice(data);
        Some(Outcome::Tiny(format, length, bytes))
    }

    /// Whether there is nothing to do for it but to read it.
    fn is_at_hand(&self) -> bool {
        !matches!(self, Outcome::Stored | Outcome::Failed(_))
    }
}

/// As a slice of its frame, where it is not tiny: see [`Outcome::leave_frame`].
impl From<Plain<'_>> for Outcome {
    #[inline]
    fn from(value: Plain<'_>) -> Outcome {
        Outcome::tiny(value.format, value.data).unwrap_or_else(|| Outcome::Plain(value.format, value.share()))
    }
}

impl From<Value> for Outcome {
    fn from(value: Value) -> Outcome {
        if value.is_plain() {
            Outcome::tiny(value.format, &value.data)
                .unwrap_or_else(|| Outcome::Plain(value.format, value.data.into()))
        } else {
            Outcome::Value(Box::new(value))
        }
    }
}

/// Names a waker among those of a slot, so that one that stopped waiting can be taken out again.
#[derive(Debug, Default)]
pub(crate) struct Key(Option<u64>);

impl Slot {
    /// For an object that this session creates: its completion comes unasked.
    pub(crate) fn expected(client: &Client, id: ObjectId, of: &'static str) -> Arc<Slot> {
        Slot::new(client, id, of, None, false, true)
    }

    /// For an object that was found by its id.
    pub(crate) fn adopted(client: &Client, id: ObjectId) -> Arc<Slot> {
        Slot::new(client, id, "", None, true, true)
    }

    /// For an object whose outcome is known already.
    pub(crate) fn complete(client: &Client, id: ObjectId, of: &'static str, outcome: Outcome) -> Arc<Slot> {
        Slot::new(client, id, of, Some(outcome), false, true)
    }

    /// For an object that never came to the server.
    pub(crate) fn failed(client: &Client, id: ObjectId, error: Error) -> Arc<Slot> {
        Slot::new(client, id, "", Some(Outcome::Failed(error)), false, false)
    }

    fn new(
        client: &Client,
        id: ObjectId,
        of: &'static str,
        outcome: Option<Outcome>,
        unwatched: bool,
        counted: bool,
    ) -> Arc<Slot> {
        Arc::new(Slot {
            id,
            link: client.link.clone(),
            scope: client.scope.clone(),
            of,
            state: Mutex::new(State { outcome, ..State::default() }),
            unwatched: AtomicBool::new(unwatched),
            counted,
        })
    }

    pub(crate) fn is_ready(self: &Arc<Slot>) -> bool {
        let ready = lock(&self.state).outcome.is_some();
        if !ready {
            self.watch();
        }
        ready
    }

    /// The outcome if there is one; else wakes `cx` once there is.
    pub(crate) fn poll(self: &Arc<Slot>, cx: &Context<'_>, key: &mut Key) -> Poll<Outcome> {
        {
            let mut state = lock(&self.state);
            if let Some(outcome) = &state.outcome {
                return Poll::Ready(outcome.clone());
            }
            state.wait(cx.waker(), key);
        }
        self.watch();
        Poll::Pending
    }

    /// [`Slot::poll`] for one who only wants to know whether there is an outcome.
    pub(crate) fn poll_ready(self: &Arc<Slot>, cx: &Context<'_>, key: &mut Key) -> bool {
        {
            let mut state = lock(&self.state);
            if state.outcome.is_some() {
                return true;
            }
            state.wait(cx.waker(), key);
        }
        self.watch();
        false
    }

    /// Makes this the member of a group with that place. `None` if there is no outcome yet; else whether it is at hand.
    pub(super) fn join(self: &Arc<Slot>, group: &Arc<Group>, place: u32, key: &mut Key) -> Option<bool> {
        {
            let mut state = lock(&self.state);
            if let Some(outcome) = &state.outcome {
                return Some(outcome.is_at_hand());
            }
            state.add(Waiter::Member(group.clone(), place), key);
        }
        self.watch();
        None
    }

    /// Takes the waker with this key out again.
    pub(crate) fn forget(&self, key: &mut Key) {
        if let Some(key) = key.0.take() {
            let waiting = &mut lock(&self.state).waiting;
            if waiting.first.as_ref().is_some_and(|(other, _)| *other == key) {
                waiting.first = None;
            } else {
                waiting.more.retain(|(other, _)| *other != key);
            }
        }
    }

    /// Called by the thread. The first outcome stands: an object never changes.
    pub(crate) fn fill(&self, outcome: Outcome) {
        let (waiting, at_hand) = {
            let mut state = lock(&self.state);
            let outcome = &*state.outcome.get_or_insert(outcome);
            let at_hand = outcome.is_at_hand();
            (std::mem::take(&mut state.waiting), at_hand)
        };
        for (_, waiter) in waiting.first.into_iter().chain(waiting.more) {
            match waiter {
                Waiter::Waker(waker) => waker.wake(),
                Waiter::Member(group, place) => group.came(place, at_hand),
            }
        }
    }

    pub(crate) fn fail(&self, error: Error) {
        self.fill(Outcome::Failed(error));
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        lock(&self.state).outcome.clone()
    }

    fn watch(self: &Arc<Slot>) {
        if self.unwatched.load(Ordering::Relaxed) && self.unwatched.swap(false, Ordering::Relaxed) {
            self.link.push(Item::Watch(self.id, Arc::downgrade(self)));
        }
    }
}

impl State {
    fn wait(&mut self, waker: &Waker, key: &mut Key) {
        if let Some(known) = key.0
            && let Some((_, waiter)) =
                self.waiting.first.iter_mut().chain(&mut self.waiting.more).find(|(key, _)| *key == known)
        {
            *waiter = Waiter::Waker(waker.clone());
            return;
        }
        self.add(Waiter::Waker(waker.clone()), key);
    }

    fn add(&mut self, waiter: Waiter, key: &mut Key) {
        self.next_key += 1;
        key.0 = Some(self.next_key);
        let entry = (self.next_key, waiter);
        if self.waiting.first.is_none() {
            self.waiting.first = Some(entry);
        } else {
            self.waiting.more.push(entry);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.counted {
            self.link.push(Item::Drop(self.id.0));
        }
    }
}
