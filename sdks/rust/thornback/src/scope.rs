//! The task that the code at hand belongs to: parent of what it submits, and what gives its CPU back while it waits.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use thornback_types::TaskId;
use thornback_wire::convert::WireId;
use thornback_wire::v1;

use crate::client::Client;
use crate::link::Shared;
use crate::worker::Call;

/// One running task.
///
/// Waits are counted, because a task may wait for several objects at once, and may do other things meanwhile. It is blocked when its future
/// rests and at least one wait is under way.
pub(crate) struct Scope {
    link: Arc<Shared>,
    pub(crate) task: TaskId,
    waits: AtomicU32,
    resting: AtomicBool,
    blocked: AtomicBool,
    over: AtomicBool,
    /// What the worker knows of it.
    pub(crate) call: Call,
}

impl Scope {
    pub(crate) fn new(link: Arc<Shared>, task: TaskId, call: Call) -> Arc<Scope> {
        Arc::new(Scope {
            link,
            task,
            waits: AtomicU32::new(0),
            resting: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            over: AtomicBool::new(false),
            call,
        })
    }

    /// The task's future is about to be polled.
    pub(crate) fn wake(&self) {
        self.resting.store(false, Ordering::SeqCst);
    }

    /// The task's future was polled and is not done.
    pub(crate) fn rest(&self) {
        self.resting.store(true, Ordering::SeqCst);
        // Whichever of this and the beginning of a wait comes second sees the other.
        if self.waits.load(Ordering::SeqCst) > 0 {
            self.block();
        }
    }

    /// The task is over; nothing is said about it any more.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn block(&self) {
        if !self.over.load(Ordering::SeqCst) && !self.blocked.swap(true, Ordering::SeqCst) {
            self.link.op(v1::client_op::Op::Blocked(v1::Blocked { task: self.task.write() }));
        }
    }
}

/// A wait for an object under way, counted until this is dropped.
pub(crate) struct Waiting(Arc<Scope>);

impl Waiting {
    /// Begins a wait of the task that this thread runs, or else of the task that the awaited ref belongs to.
    pub(crate) fn begin(fallback: Option<&Arc<Scope>>, thread_blocks: bool) -> Option<Waiting> {
        let scope = current().or_else(|| fallback.cloned())?;
        scope.waits.fetch_add(1, Ordering::SeqCst);
        if thread_blocks || scope.resting.load(Ordering::SeqCst) {
            scope.block();
        }
        Some(Waiting(scope))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let scope = &self.0;
        let last = scope.waits.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && scope.blocked.swap(false, Ordering::SeqCst) && !scope.over.load(Ordering::SeqCst) {
            scope.link.op(v1::client_op::Op::Unblocked(v1::Unblocked { task: scope.task.write() }));
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Client>> = const { RefCell::new(None) };
}

/// The task whose future this thread polls.
pub(crate) fn current() -> Option<Arc<Scope>> {
    CURRENT.with_borrow(|client| client.as_ref().and_then(|client| client.scope.clone()))
}

/// The client of that task.
pub(crate) fn current_client() -> Option<Client> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs `work` as part of the task that `client` belongs to.
pub(crate) fn enter<R>(client: &Client, work: impl FnOnce() -> R) -> R {
    /// Puts the outer one back also when the user's code panics.
    struct Restore(Option<Client>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.replace(self.0.take());
        }
    }

    let _restore = Restore(CURRENT.replace(Some(client.clone())));
    work()
}
