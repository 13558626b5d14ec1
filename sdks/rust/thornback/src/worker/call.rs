//! A run that was started: what is known of it, and what may reach it while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use futures_util::task::AtomicWaker;
use thornback_types::ActorId;

use super::inbox::Declared;

/// What a scope has that is about running it.
pub(crate) struct Call {
    pub(super) attempt: u32,
    pub(super) declared: Arc<Declared>,
    /// The actor that it runs on.
    pub(super) actor: Option<Arc<ActorInfo>>,
    /// The failure's code to end with, or 0.
    interrupted: AtomicU32,
    /// Wakes the call when it is interrupted.
    pub(super) waker: AtomicWaker,
    /// How many items of its stream were taken.
    consumed: AtomicU64,
    /// How many items of its stream were sent: `Done` says so, however the call ends.
    pub(super) yielded: AtomicU64,
    /// Wakes a stream that waits for its consumer.
    pub(super) gate: AtomicWaker,
}

/// The actor that a worker has become.
#[derive(Debug)]
pub(super) struct ActorInfo {
    pub(super) id: ActorId,
    pub(super) class_name: String,
    pub(super) name: String,
    pub(super) restarts: u32,
    pub(super) exiting: AtomicBool,
}

impl Call {
    pub(super) fn new(attempt: u32, declared: Arc<Declared>, actor: Option<Arc<ActorInfo>>) -> Call {
        Call {
            attempt,
            declared,
            actor,
            interrupted: AtomicU32::new(0),
            waker: AtomicWaker::new(),
            consumed: AtomicU64::new(0),
            yielded: AtomicU64::new(0),
            gate: AtomicWaker::new(),
        }
    }

    /// The code of the failure to end with, once it is interrupted.
    pub(crate) fn interrupted(&self) -> Option<u32> {
        Some(self.interrupted.load(Ordering::Acquire)).filter(|code| *code != 0)
    }

    pub(super) fn interrupt(&self, code: u32) {
        self.interrupted.store(code, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Acquire)
    }

    pub(super) fn resume(&self, consumed: u64) {
        self.consumed.fetch_max(consumed, Ordering::AcqRel);
        self.gate.wake();
    }
}
