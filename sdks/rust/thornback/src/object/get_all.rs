//! Waiting for many values at once. Nothing is woken, allocated or polled for one of them alone, unless it failed or must be fetched.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::task::AtomicWaker;

use super::Ref;
use super::get::{Get, read};
use super::slot::{Key, Outcome, Slot};
use crate::link::lock;
use crate::scope::Waiting;
use crate::value::Data;
use crate::{Error, Result};

/// Waits for the values of several refs, in their order; duplicates are allowed.
///
/// The first error is given at once, without waiting for the rest. The future may be dropped at any time: nothing is lost, and the objects can be asked
/// for again.
///
/// # Errors
/// The first error of any of them, as it happens.
///
/// ```no_run
/// # async fn example(refs: Vec<thornback::Ref<i64>>) -> thornback::Result<()> {
/// let values: Vec<i64> = thornback::get_all(&refs).await?;
/// # Ok(()) }
/// ```
pub async fn get_all<'a, T: Data>(refs: impl IntoIterator<Item = &'a Ref<T>>) -> Result<Vec<T>> {
    let slots = refs.into_iter().map(|r| (r.slot().clone(), Key::default())).collect();
    GetAll { slots, group: None, values: Vec::new(), fetches: FuturesUnordered::new(), waiting: None }.await
}

/// What the members of a group tell it, from the session's thread.
pub(super) struct Group {
    /// How many have no outcome yet.
    missing: AtomicUsize,
    /// The places of those that failed or must be fetched.
    special: Mutex<Vec<u32>>,
    waiter: AtomicWaker,
}

impl Group {
    /// The member at this place has an outcome.
    pub(super) fn came(&self, place: u32, at_hand: bool) {
        if !at_hand {
            lock(&self.special).push(place);
        }
        let last = self.missing.fetch_sub(1, Ordering::AcqRel) == 1;
        if last || !at_hand {
            self.waiter.wake();
        }
    }
}

struct GetAll<T> {
    slots: Vec<(Arc<Slot>, Key)>,
    /// Made at the first poll.
    group: Option<Arc<Group>>,
    /// What was fetched, by place; empty while nothing was.
    values: Vec<Option<T>>,
    fetches: FuturesUnordered<Fetching<T>>,
    waiting: Option<Waiting>,
}

/// One that lies in the object store.
struct Fetching<T>(usize, Get<T>);

impl<T: Data> Future for Fetching<T> {
    type Output = (usize, Result<T>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = std::task::ready!(Pin::new(&mut self.1).poll(cx));
        Poll::Ready((self.0, result))
    }
}

// Nothing in it is borrowed from it.
impl<T> Unpin for GetAll<T> {}

impl<T: Data> GetAll<T> {
    fn join(&mut self, cx: &Context<'_>) -> Arc<Group> {
        let group = Arc::new(Group {
            missing: AtomicUsize::new(self.slots.len()),
            special: Mutex::default(),
            waiter: AtomicWaker::new(),
        });
        group.waiter.register(cx.waker());
        for (place, (slot, key)) in (0..).zip(&mut self.slots) {
            if let Some(at_hand) = slot.join(&group, place, key) {
                group.came(place, at_hand);
            }
        }
        group
    }

    /// All of them are there.
    fn read_all(&mut self) -> Result<Vec<T>> {
        let mut fetched = std::mem::take(&mut self.values).into_iter();
        std::mem::take(&mut self.slots)
            .into_iter()
            .map(|(slot, _)| match fetched.next().flatten() {
                Some(value) => Ok(value),
                None => slot.outcome().and_then(|outcome| read(&slot, outcome)).unwrap_or_else(|| {
                    Err(Error::new(crate::Code::Internal, "an object was counted before it was there"))
                }),
            })
            .collect()
    }
}

impl<T: Data> Future for GetAll<T> {
    type Output = Result<Vec<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let group = match &this.group {
            Some(group) => {
                group.waiter.register(cx.waker());
                group.clone()
            }
            None => {
                let group = this.join(cx);
                this.group.insert(group).clone()
            }
        };
        // Looked at before the special ones, of which there may be more a moment later.
        let all_came = group.missing.load(Ordering::Acquire) == 0;
        for place in std::mem::take(&mut *lock(&group.special)) {
            let place = place as usize;
            let Some((slot, _)) = this.slots.get(place) else { continue };
            match slot.outcome() {
                Some(Outcome::Failed(error)) => return Poll::Ready(Err(error)),
                _ => this.fetches.push(Fetching(place, Get::new(slot.clone()))),
            }
        }
        while let Poll::Ready(Some((place, result))) = this.fetches.poll_next_unpin(cx) {
            if this.values.is_empty() {
                this.values.resize_with(this.slots.len(), || None);
            }
            this.values[place] = Some(result?);
        }
        if all_came && this.fetches.is_empty() {
            this.waiting = None;
            return Poll::Ready(this.read_all());
        }
        if this.waiting.is_none() {
            let scope = this.slots.first().and_then(|(slot, _)| slot.scope.clone());
            this.waiting = Waiting::begin(scope.as_ref(), false);
        }
        Poll::Pending
    }
}

impl<T> Drop for GetAll<T> {
    fn drop(&mut self) {
        for (slot, key) in &mut self.slots {
            slot.forget(key);
        }
    }
}
