//! Waiting for values.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use thornback_types::Value;

use super::slot::{Key, Outcome, Slot};
use crate::client::Client;
use crate::link::{FetchSlot, Timer};
use crate::scope::Waiting;
use crate::value::{Data, decode_result, decode_tiny, with_decode_context};
use crate::{Code, Error, Result};

/// The future of a value; made by awaiting a [`Ref`](crate::Ref) or by [`Ref::get`](crate::Ref::get).
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
                Poll::Ready(outcome) => {
                    if let Some(result) = read(&self.slot, outcome) {
                        return Poll::Ready(result);
                    }
                }
            }
        }
        let fetch = self.fetch.get_or_insert_with(|| FetchSlot::start(&self.slot.link, self.slot.id));
        match fetch.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(fetched) => Poll::Ready(fetched.and_then(|fetched| {
                with_decode_context(&client_of(&self.slot), || {
                    decode_result(fetched.into_value()?, self.slot.of)
                })
            })),
        }
    }
}

/// The value or error that an outcome is; `None` if it lies in the object store.
pub(super) fn read<T: Data>(slot: &Slot, outcome: Outcome) -> Option<Result<T>> {
    Some(match outcome {
        Outcome::Tiny(format, length, bytes) => {
            decode_tiny(format, bytes.get(..usize::from(length)).unwrap_or_default(), slot.of)
        }
        Outcome::Plain(format, data) => decode_result(Value::new(format, data), slot.of),
        Outcome::Value(value) => with_decode_context(&client_of(slot), || decode_result(*value, slot.of)),
        Outcome::Failed(error) => Err(error),
        Outcome::Stored => return None,
    })
}

fn client_of(slot: &Slot) -> Client {
    Client { link: slot.link.clone(), scope: slot.scope.clone() }
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
