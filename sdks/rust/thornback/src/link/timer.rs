//! Bounds on waits, kept by the thread so that no particular executor is needed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::{Item, Shared, lock};

/// Ends after a while.
pub(crate) struct Timer(Arc<TimerSlot>);

#[derive(Default)]
pub(crate) struct TimerSlot(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Waiting(Waker),
    Over,
}

impl Timer {
    pub(crate) fn start(link: &Shared, after: Duration) -> Timer {
        let slot = Arc::<TimerSlot>::default();
        // A wait that no clock can express is one without end.
        if let Some(at) = Instant::now().checked_add(after) {
            link.push(Item::Timer(at, Arc::downgrade(&slot)));
        }
        Timer(slot)
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0.0);
        if matches!(*state, State::Over) {
            return Poll::Ready(());
        }
        *state = State::Waiting(cx.waker().clone());
        Poll::Pending
    }
}

impl TimerSlot {
    pub(super) fn ring(&self) {
        let state = std::mem::replace(&mut *lock(&self.0), State::Over);
        if let State::Waiting(waker) = state {
            waker.wake();
        }
    }
}
