//! What this process knows of one object: nothing yet, its value, where it is, or why there is none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use thornback_types::{Format, ObjectId, Value};

use crate::Error;
use crate::client::Client;
use crate::link::{Item, Link, lock};
use crate::scope::Scope;

/// One count on an object, with what is known of it. Shared by the clones of a ref.
pub(crate) struct Slot {
    pub(crate) id: ObjectId,
    pub(crate) link: Arc<Link>,
    pub(crate) scope: Option<Arc<Scope>>,
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
    waiting: Vec<(u64, Waker)>,
}

/// How an object came out.
#[derive(Clone)]
pub(crate) enum Outcome {
    /// A value without refs and buffers, as nearly all small ones are: they are many, so they are kept small.
    Plain(Format, bytes::Bytes),
    Value(Box<Value>),
    /// It lies in the object store.
    Stored,
    Failed(Error),
}

impl From<Value> for Outcome {
    fn from(value: Value) -> Outcome {
        if value.refs.is_empty() && value.buffers.is_empty() && value.schema.is_empty() {
            Outcome::Plain(value.format, value.data)
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
    pub(crate) fn expected(client: &Client, id: ObjectId) -> Arc<Slot> {
        Slot::new(client, id, None, false, true)
    }

    /// For an object that was found by its id.
    pub(crate) fn adopted(client: &Client, id: ObjectId) -> Arc<Slot> {
        Slot::new(client, id, None, true, true)
    }

    /// For an object whose outcome is known already.
    pub(crate) fn complete(client: &Client, id: ObjectId, outcome: Outcome) -> Arc<Slot> {
        Slot::new(client, id, Some(outcome), false, true)
    }

    /// For an object that never came to the server.
    pub(crate) fn failed(client: &Client, id: ObjectId, error: Error) -> Arc<Slot> {
        Slot::new(client, id, Some(Outcome::Failed(error)), false, false)
    }

    fn new(
        client: &Client,
        id: ObjectId,
        outcome: Option<Outcome>,
        unwatched: bool,
        counted: bool,
    ) -> Arc<Slot> {
        Arc::new(Slot {
            id,
            link: client.link.clone(),
            scope: client.scope.clone(),
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

    /// Takes the waker with this key out again.
    pub(crate) fn forget(&self, key: &mut Key) {
        if let Some(key) = key.0.take() {
            lock(&self.state).waiting.retain(|(other, _)| *other != key);
        }
    }

    /// Called by the thread. The first outcome stands: an object never changes.
    pub(crate) fn fill(&self, outcome: Outcome) {
        let waiting = {
            let mut state = lock(&self.state);
            if state.outcome.is_none() {
                state.outcome = Some(outcome);
            }
            std::mem::take(&mut state.waiting)
        };
        for (_, waker) in waiting {
            waker.wake();
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
            && let Some((_, slot)) = self.waiting.iter_mut().find(|(key, _)| *key == known)
        {
            slot.clone_from(waker);
            return;
        }
        self.next_key += 1;
        key.0 = Some(self.next_key);
        self.waiting.push((self.next_key, waker.clone()));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.counted {
            self.link.push(Item::Drop(self.id.0));
        }
    }
}
