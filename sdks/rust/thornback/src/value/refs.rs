//! Refs and actor handles on their way through `serde`, whose traits have no room for a client.
//!
//! While a value is encoded, what it refers to is collected here; while one is decoded, the client that its refs will belong to is here.
//! Both are per thread and last for one call: user code runs inside them only as `Serialize` and `Deserialize` implementations.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Arc;

use thornback_types::{Id, ObjectId};

use crate::client::Client;

/// What a value refers to, held so that the server still has it when the value arrives.
#[derive(Default)]
pub(crate) struct Keep(Vec<(Id, Arc<dyn Any + Send + Sync>)>);

impl Keep {
    /// Every id once.
    pub(crate) fn ids(&self) -> Vec<ObjectId> {
        self.0.iter().map(|(id, _)| ObjectId(*id)).collect()
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, id: Id, holder: Arc<dyn Any + Send + Sync>) {
        // A value refers to a handful of objects as a rule; where it holds thousands, they are seldom the same one.
        if self.0.len() > 64 || !self.0.iter().any(|(known, _)| *known == id) {
            self.0.push((id, holder));
        }
    }

    fn finish(mut self) -> Keep {
        if self.0.len() > 64 {
            self.0.sort_unstable_by_key(|(id, _)| *id);
            self.0.dedup_by_key(|(id, _)| *id);
        }
        self
    }

    pub(crate) fn append(&mut self, mut other: Keep) {
        self.0.append(&mut other.0);
    }
}

thread_local! {
    static COLLECTING: RefCell<Vec<Keep>> = const { RefCell::new(Vec::new()) };
    static DECODING: RefCell<Option<Client>> = const { RefCell::new(None) };
}

/// Runs `encode` and gives what it referred to. Calls may nest.
pub(crate) fn collect<R>(encode: impl FnOnce() -> R) -> (R, Keep) {
    /// Takes the entry off again also when a `Serialize` implementation panics.
    struct Pop;
    impl Drop for Pop {
        fn drop(&mut self) {
            COLLECTING.with_borrow_mut(Vec::pop);
        }
    }

    COLLECTING.with_borrow_mut(|stack| stack.push(Keep::default()));
    let pop = Pop;
    let result = encode();
    let keep = COLLECTING.with_borrow_mut(|stack| stack.last_mut().map(std::mem::take)).unwrap_or_default();
    drop(pop);
    (result, keep.finish())
}

/// Notes something that the value being encoded refers to. `false` where no value is being encoded for Thornback.
pub(crate) fn collected(id: Id, holder: Arc<dyn Any + Send + Sync>) -> bool {
    COLLECTING.with_borrow_mut(|stack| stack.last_mut().map(|keep| keep.add(id, holder)).is_some())
}

/// Runs `decode` with a client for the refs that it finds.
pub(crate) fn with_decode_context<R>(client: &Client, decode: impl FnOnce() -> R) -> R {
    /// Puts the outer client back also when a `Deserialize` implementation panics.
    struct Restore(Option<Client>);
    impl Drop for Restore {
        fn drop(&mut self) {
            DECODING.replace(self.0.take());
        }
    }

    let _restore = Restore(DECODING.replace(Some(client.clone())));
    decode()
}

/// The client for refs found in the value that this thread decodes.
pub(crate) fn decode_context() -> Option<Client> {
    DECODING.with_borrow(Clone::clone)
}
