//! Waiting for some of many objects.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::Ref;
use super::slot::Key;
use crate::link::Timer;
use crate::scope::Waiting;
use crate::{Error, Result};

/// Waits until `count` of the refs are ready, whether with a value or with an error, and sorts them.
///
/// Without a [`Wait::timeout`] it waits as long as it takes; with one it gives what is ready by then, which is no error.
///
/// # Errors
/// [`Code::InvalidArgument`](crate::Code::InvalidArgument) if a ref is there twice, or `count` is 0 or more than there are. Of no refs
/// at all it gives none at once.
///
/// ```no_run
/// # async fn example(refs: Vec<thornback::Ref<i64>>) -> thornback::Result<()> {
/// let waited = thornback::wait(refs, 1).await?;
/// for r in waited.ready {
///     println!("{}", r.await?);
/// }
/// # Ok(()) }
/// ```
pub fn wait<T>(refs: impl IntoIterator<Item = Ref<T>>, count: usize) -> Wait<T> {
    let refs: Vec<_> = refs.into_iter().map(|r| (r, Key::default())).collect();
    Wait { refs, count, tally: None, timer: None, patient: true, waiting: None }
}

/// The future of [`wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<T> {
    refs: Vec<(Ref<T>, Key)>,
    count: usize,
    timer: Option<Timer>,
    /// `false` to look once.
    patient: bool,
    waiting: Option<Waiting>,
    tally: Option<Arc<Tally>>,
}

/// Counts objects down as they become ready and wakes the waiter once, so that waiting for all of `n` costs `n` steps and not `n²`.
struct Tally {
    missing: AtomicUsize,
    waiter: AtomicWaker,
}

impl Wake for Tally {
    /// Called once by each slot that it waits on.
    fn wake(self: Arc<Self>) {
        self.one_less();
    }
}

impl Tally {
    fn one_less(&self) {
        let before =
            self.missing.fetch_update(Ordering::AcqRel, Ordering::Acquire, |missing| missing.checked_sub(1));
        if before == Ok(1) {
            self.waiter.wake();
        }
    }

    fn is_done(&self) -> bool {
        self.missing.load(Ordering::Acquire) == 0
    }
}

/// What [`wait`] found, each half in the order that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited<T> {
    /// Those that are ready, at most as many as were asked for.
    pub ready: Vec<Ref<T>>,
    /// The others. Some of them may be ready as well.
    pub pending: Vec<Ref<T>>,
}

impl<T> Wait<T> {
    /// Gives what is ready when this much time has passed, counted from this call. Zero looks without waiting.
    pub fn timeout(mut self, after: Duration) -> Wait<T> {
        self.patient = !after.is_zero();
        if let Some((first, _)) = self.refs.first()
            && self.patient
        {
            self.timer = Some(Timer::start(&first.slot().link, after));
        }
        self
    }

    fn check(&self) -> Result<()> {
        let distinct: HashSet<_> = self.refs.iter().map(|(r, _)| r.id()).collect();
        if distinct.len() != self.refs.len() {
            return Err(Error::invalid("a ref was given to wait for twice; pass each once"));
        }
        if self.count == 0 && !self.refs.is_empty() {
            return Err(Error::invalid("wait was asked for none of the refs; ask for at least one"));
        }
        // Of nothing there is nothing to wait for, whatever the number (OBJECT-032).
        if self.count > self.refs.len() && !self.refs.is_empty() {
            return Err(Error::invalid(format!(
                "{} refs can never be ready: only {} were given",
                self.count,
                self.refs.len()
            )));
        }
        Ok(())
    }

    /// Counts what is ready, and has the others counted when they become so.
    fn count_ready(&mut self, tally: &Arc<Tally>) {
        let waker = Waker::from(tally.clone());
        let cx = Context::from_waker(&waker);
        for (r, key) in &mut self.refs {
            // Enough is enough: no need to look at the rest.
            if tally.is_done() {
                break;
            }
            if r.slot().poll_ready(&cx, key) {
                tally.one_less();
            }
        }
    }

    fn sort(&mut self) -> Waited<T> {
        let mut waited = Waited { ready: Vec::new(), pending: Vec::new() };
        for (r, mut key) in std::mem::take(&mut self.refs) {
            r.slot().forget(&mut key);
            let list = if waited.ready.len() < self.count && r.is_ready() {
                &mut waited.ready
            } else {
                &mut waited.pending
            };
            list.push(r);
        }
        waited
    }
}

impl<T> Future for Wait<T> {
    type Output = Result<Waited<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let tally = match &self.tally {
            Some(tally) => {
                tally.waiter.register(cx.waker());
                tally.clone()
            }
            None => {
                self.check()?;
                let tally = Arc::new(Tally {
                    missing: AtomicUsize::new(self.count.min(self.refs.len())),
                    waiter: AtomicWaker::new(),
                });
                tally.waiter.register(cx.waker());
                self.count_ready(&tally);
                self.tally.insert(tally).clone()
            }
        };
        let late =
            !self.patient || self.timer.as_mut().is_some_and(|timer| Pin::new(timer).poll(cx).is_ready());
        if tally.is_done() || late {
            self.waiting = None;
            return Poll::Ready(Ok(self.sort()));
        }
        if self.waiting.is_none() {
            let scope = self.refs.first().and_then(|(r, _)| r.slot().scope.clone());
            self.waiting = Waiting::begin(scope.as_ref(), false);
        }
        Poll::Pending
    }
}

impl<T> Drop for Wait<T> {
    fn drop(&mut self) {
        for (r, key) in &mut self.refs {
            r.slot().forget(key);
        }
    }
}
