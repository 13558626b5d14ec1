//! The results of a streaming task, as they come.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use thornback_types::TaskId;
use thornback_wire::convert::WireId;
use thornback_wire::v1;

use super::slot::Outcome;
use super::{CancelOptions, Get, Ref, Slot};
use crate::client::Client;
use crate::link::{Item, Link, lock};
use crate::scope::{Scope, Waiting};
use crate::value::Data;
use crate::{Error, Result};

/// The stream of a task that yields many results: its items in order, then its error if it failed, then the end.
///
/// It is a [`Stream`] of values. [`RefStream::next_ref`] gives refs instead, to pass items on without reading them. Items are freed as they are taken,
/// the producer is kept from running too far ahead, and dropping the stream ends it.
///
/// ```no_run
/// # async fn example(mut points: thornback::RefStream<f64>) -> thornback::Result<()> {
/// while let Some(point) = points.next().await {
///     println!("{}", point?);
/// }
/// # Ok(()) }
/// ```
#[must_use = "dropping a stream cancels the task that makes it"]
pub struct RefStream<T> {
    slot: Arc<StreamSlot>,
    /// The item that is being read.
    reading: Option<Get<T>>,
    waiting: Option<Waiting>,
    value: PhantomData<fn() -> T>,
}

/// What has come of one stream.
pub(crate) struct StreamSlot {
    pub(crate) task: TaskId,
    link: Arc<Link>,
    scope: Option<Arc<Scope>>,
    /// See [`Slot::of`].
    of: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Outcome>,
    taken: u64,
    ended: bool,
    /// Given once, after the items before it.
    failure: Option<Error>,
    waker: Option<Waker>,
}

impl<T> RefStream<T> {
    pub(crate) fn from_slot(slot: Arc<StreamSlot>) -> RefStream<T> {
        RefStream { slot, reading: None, waiting: None, value: PhantomData }
    }

    pub(crate) fn slot(&self) -> &Arc<StreamSlot> {
        &self.slot
    }

    /// The id of the task, for logs.
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.slot.task
    }

    /// A ref to the next item; `None` after the last. After an error there are no more. The future may be dropped at any time: no item is lost.
    pub async fn next_ref(&mut self) -> Option<Result<Ref<T>>> {
        poll_fn(|cx| self.poll_next_ref(cx)).await
    }

    /// Ends the producing task; the items that came before can still be taken, then comes [`Code::Cancelled`](crate::Code::Cancelled).
    pub fn cancel(&self) {
        self.cancel_with(CancelOptions::default());
    }

    /// [`RefStream::cancel`] with options.
    pub fn cancel_with(&self, options: CancelOptions) {
        let CancelOptions { force, recursive } = options;
        self.slot.link.op(v1::client_op::Op::Cancel(v1::Cancel {
            id: self.slot.task.write(),
            force,
            recursive,
        }));
    }

    fn poll_next_ref(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Ref<T>>>> {
        let next = self.slot.poll_next(cx);
        match next {
            Poll::Pending if self.waiting.is_none() => {
                self.waiting = Waiting::begin(self.slot.scope.as_ref(), false)
            }
            Poll::Pending => {}
            Poll::Ready(_) => self.waiting = None,
        }
        next.map(|item| item.map(|item| item.map(Ref::from_slot)))
    }
}

impl<T: Data> RefStream<T> {
    /// The next value; `None` after the last. After an error there are no more. The future may be dropped at any time: no item is lost.
    pub async fn next(&mut self) -> Option<Result<T>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T: Data> Stream for RefStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let result = std::task::ready!(Future::poll(Pin::new(reading), cx));
                self.reading = None;
                return Poll::Ready(Some(result));
            }
            match std::task::ready!(self.poll_next_ref(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(item)) => self.reading = Some(item.get()),
            }
        }
    }
}

impl<T> fmt::Debug for RefStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefStream<{}>({})", std::any::type_name::<T>(), self.slot.task)
    }
}

impl StreamSlot {
    pub(crate) fn new(client: &Client, task: TaskId, of: &'static str) -> Arc<StreamSlot> {
        Arc::new(StreamSlot {
            task,
            link: client.link.clone(),
            scope: client.scope.clone(),
            of,
            state: Mutex::default(),
        })
    }

    fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<Result<Arc<Slot>>>> {
        let mut state = lock(&self.state);
        if let Some(outcome) = state.items.pop_front() {
            let index = state.taken;
            state.taken += 1;
            drop(state);
            self.link.push(Item::Consumed(self.task, index + 1));
            let client = Client { link: self.link.clone(), scope: self.scope.clone() };
            // Indexes are 32 bits on the wire, so a stream cannot be longer than that.
            let item = self.task.output(u32::try_from(index).unwrap_or(u32::MAX));
            return Poll::Ready(Some(Ok(Slot::complete(&client, item, self.of, outcome))));
        }
        if let Some(error) = state.failure.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Called by the thread with the items in order.
    pub(crate) fn item(&self, outcome: Outcome) {
        self.change(|state| state.items.push_back(outcome));
    }

    /// Called by the thread: nothing comes after this.
    pub(crate) fn end(&self, failure: Option<Error>) {
        self.change(|state| {
            if !state.ended {
                state.ended = true;
                state.failure = failure;
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = lock(&self.state);
            change(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.link.push(Item::Drop(self.task.0));
    }
}
