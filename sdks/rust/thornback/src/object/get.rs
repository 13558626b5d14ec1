//! Waiting for values.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use thornback_types::Value;

use super::Ref;
use super::slot::{Key, Outcome, Slot};
use crate::client::Client;
use crate::link::{FetchSlot, Timer};
use crate::scope::Waiting;
use crate::value::{Data, decode, with_decode_context};
use crate::{Code, Error, Result};

/// The future of a value; made by awaiting a [`Ref`] or by [`Ref::get`].
///
/// It may be dropped at any time: nothing is lost, and the object can be asked for again. It works on any executor.
#[must_use = "futures do nothing unless awaited"]
pub struct Get<T> {
    slot: Arc<Slot>,
    key: Key,
    fetch: Option<Arc<FetchSlot>>,
    timer: Option<Timer>,
    waiting: Option<Waiting>,
    // Nothing of type `T` is inside while it waits.
    value: std::marker::PhantomData<fn() -> T>,
}

impl<T: Data> Get<T> {
    pub(super) fn new(slot: Arc<Slot>) -> Get<T> {
        Get {
            slot,
            key: Key::default(),
            fetch: None,
            timer: None,
            waiting: None,
            value: std::marker::PhantomData,
        }
    }

    /// Fails with [`Code::GetTimeout`] when this much time has passed, counted from this call. The object is not touched by that: it may still
    /// become ready, and can be asked for again.
    pub fn timeout(mut self, after: Duration) -> Get<T> {
        self.timer = Some(Timer::start(&self.slot.link, after));
        self
    }

    fn poll_value(&mut self, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if self.fetch.is_none() {
            match self.slot.poll(cx, &mut self.key) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Outcome::Plain(format, data)) => {
                    return Poll::Ready(decode(Value { format, data, ..Value::default() }));
                }
                Poll::Ready(Outcome::Value(value)) => {
                    return Poll::Ready(with_decode_context(&self.client(), || decode(*value)));
                }
                Poll::Ready(Outcome::Failed(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Outcome::Stored) => {}
            }
        }
        let fetch = self.fetch.get_or_insert_with(|| FetchSlot::start(&self.slot.link, self.slot.id));
        match fetch.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(fetched) => {
                Poll::Ready(fetched.and_then(|fetched| {
                    with_decode_context(&self.client(), || decode(fetched.into_value()?))
                }))
            }
        }
    }

    fn client(&self) -> Client {
        Client { link: self.slot.link.clone(), scope: self.slot.scope.clone() }
    }
}

impl<T: Data> Future for Get<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if let Poll::Ready(result) = self.poll_value(cx) {
            self.waiting = None;
            return Poll::Ready(result);
        }
        if let Some(timer) = &mut self.timer
            && Pin::new(timer).poll(cx).is_ready()
        {
            self.waiting = None;
            return Poll::Ready(Err(timed_out(&format!("object {}", self.slot.id))));
        }
        if self.waiting.is_none() {
            self.waiting = Waiting::begin(self.slot.scope.as_ref(), false);
        }
        Poll::Pending
    }
}

impl<T> Drop for Get<T> {
    fn drop(&mut self) {
        self.slot.forget(&mut self.key);
    }
}

/// Waits for the values of several refs, in their order; duplicates are allowed.
///
/// The first error is given at once, without waiting for the rest.
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
    let mut gets: FuturesUnordered<_> =
        refs.into_iter().enumerate().map(|(i, r)| r.get().map(move |result| (i, result))).collect();
    let mut values: Vec<Option<T>> = std::iter::repeat_with(|| None).take(gets.len()).collect();
    while let Some((i, result)) = gets.next().await {
        values[i] = Some(result?);
    }
    Ok(values.into_iter().flatten().collect())
}

pub(super) fn timed_out(what: &str) -> Error {
    Error::new(
        Code::GetTimeout,
        format!("{what} was not ready in time; it may still become so, and can be asked for again"),
    )
}

/// Runs a future on this thread. The task that the thread runs, if any, counts as blocked meanwhile.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let mut waiting = None;
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut cx) {
            return result;
        }
        if waiting.is_none() {
            waiting = Waiting::begin(None, true);
        }
        std::thread::park();
    }
}
