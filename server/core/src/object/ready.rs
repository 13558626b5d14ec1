//! Becoming ready, and telling everyone who waits for it.

use std::sync::Arc;

use thornback_types::{Code, Failure, NodeId, ObjectId, SessionId, TaskId, Value};

use crate::effect::{Message, Outcome};
use crate::message::{PeerMessage, RemoteOutcome};
use crate::node::{Node, Taken};
use crate::object::{Copy, ObjectRecord, ObjectState};

impl Node {
    /// Stores a small value.
    pub(crate) fn put(&mut self, session: SessionId, object: ObjectId, mut value: Value) -> Taken {
        self.check_new(object)?;
        self.screen_refs(session, &mut value);
        if value.size() as u64 > self.config.inline_bytes {
            return Err(Box::new(Failure::new(
                Code::LimitExceeded,
                format!(
                    "A put value may have {} bytes, and this has {}; create an object in the store for it.",
                    self.config.inline_bytes,
                    value.size()
                ),
            )));
        }
        let job = self.acting_job(session);
        self.new_object(object, job);
        self.session_count(session, object);
        self.object_ready(object, Outcome::Value(value));
        Ok(())
    }

    pub(crate) fn check_new(&self, object: ObjectId) -> Taken {
        if object.0.index() != 1 {
            let message =
                format!("The id {object} has the index {}; an object that is put has 1.", object.0.index());
            return Err(Box::new(Failure::new(Code::InvalidArgument, message)));
        }
        if self.objects.contains_key(&object) || self.tasks.contains_key(&object.task()) {
            return Err(Box::new(Failure::new(Code::DuplicateId, format!("The id {object} is in use."))));
        }
        Ok(())
    }

    /// An object of this node becomes ready. Nothing happens if nobody counts it any more, or if it is ready already.
    pub(crate) fn object_ready(&mut self, object: ObjectId, outcome: Outcome) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        if !record.is_pending() {
            return;
        }
        record.state = match &outcome {
            Outcome::Value(value) => ObjectState::Value(value.clone()),
            Outcome::Failure(failure) => ObjectState::Failure(Arc::clone(failure)),
            Outcome::Stored(size) => ObjectState::Stored(*size),
        };
        let (unused, has_bytes) = (record.count == 0, record.copy != Copy::None || record.on_disk);
        let was_stored = record.rare.as_ref().is_some_and(|rare| !rare.refs.is_empty());
        if let Outcome::Value(value) = &outcome {
            for inner in value.refs() {
                self.hold(*inner);
            }
        }
        if was_stored && !matches!(outcome, Outcome::Stored(_)) {
            self.note_contents(object, Vec::new());
        }
        if has_bytes && !matches!(outcome, Outcome::Stored(_)) {
            // A failed attempt may have sealed bytes that are of no use now.
            self.drop_bytes(object);
        }
        self.tell_waiters(object, outcome);
        if unused {
            self.unreferenced(object);
        }
    }

    pub(super) fn tell_waiters(&mut self, object: ObjectId, outcome: Outcome) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        let watcher = record.watcher.take();
        let Some(rare) = &mut record.rare else {
            if let Some(session) = watcher {
                if outcome.has_refs() {
                    self.give_contents(session, object);
                }
                self.send(session, Message::Completion { object, outcome });
            }
            return;
        };
        let (watchers, nodes, tasks) = (
            std::mem::take(&mut rare.watchers),
            std::mem::take(&mut rare.remote_watchers),
            std::mem::take(&mut rare.tasks),
        );
        let failed = match &outcome {
            Outcome::Failure(failure) => Some(Arc::clone(failure)),
            _ => None,
        };
        for session in watcher.into_iter().chain(watchers) {
            if outcome.has_refs() {
                self.give_contents(session, object);
            }
            self.send(session, Message::Completion { object, outcome: outcome.clone() });
        }
        for node in nodes {
            self.tell_node(object, node);
        }
        for task in tasks {
            match &failed {
                // A dependent fails with what its argument failed with.
                Some(failure) => self.end_task(task, failure, true),
                None => self.dependency_ready(task),
            }
        }
        self.serve_fetchers(object);
    }

    /// An object that can never be had, whatever it was before.
    pub(crate) fn object_failed(&mut self, object: ObjectId, failure: &Arc<Failure>) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        let readable = matches!(record.state, ObjectState::Stored(_)) && record.is_here();
        if readable || matches!(record.state, ObjectState::Value(_) | ObjectState::Failure(_)) {
            return;
        }
        record.state = ObjectState::Pending;
        self.object_ready(object, Outcome::Failure(Arc::clone(failure)));
    }

    /// Whether an argument is ready; if not, the task is told when it is.
    pub(crate) fn await_dependency(&mut self, object: ObjectId, task: TaskId) -> Result<bool, Failure> {
        let me = self.me;
        let Some(record) = self.objects.get_mut(&object) else { return Err(unknown(object)) };
        match &record.state {
            ObjectState::Value(_) | ObjectState::Stored(_) => Ok(true),
            ObjectState::Failure(failure) => Err((**failure).clone()),
            ObjectState::Pending => {
                record.rare().tasks.push(task);
                let owner = record.owner;
                if owner != me {
                    self.mail(owner, PeerMessage::WatchObject { object });
                }
                Ok(false)
            }
        }
    }

    /// A session wants to know when an object is ready.
    pub(crate) fn watch(&mut self, session: SessionId, object: ObjectId) {
        let me = self.me;
        let may = self.may_use(session, object);
        let Some(record) = self.objects.get_mut(&object).filter(|_| may) else {
            let outcome = Outcome::Failure(Arc::new(unknown(object)));
            return self.send(session, Message::Completion { object, outcome });
        };
        let outcome = match &record.state {
            ObjectState::Pending => {
                if record.watcher != Some(session) && !record.rare().watchers.contains(&session) {
                    record.rare().watchers.push(session);
                }
                let owner = record.owner;
                if owner != me {
                    self.mail(owner, PeerMessage::WatchObject { object });
                }
                return;
            }
            ObjectState::Value(value) => Outcome::Value(value.clone()),
            ObjectState::Failure(failure) => Outcome::Failure(Arc::clone(failure)),
            ObjectState::Stored(size) => Outcome::Stored(*size),
        };
        if outcome.has_refs() {
            self.give_contents(session, object);
        }
        self.send(session, Message::Completion { object, outcome });
    }

    /// Another node wants to know.
    pub(crate) fn watched_by(&mut self, object: ObjectId, node: NodeId) {
        let known = self.objects.get_mut(&object);
        if let Some(record) = known.filter(|record| record.is_pending()) {
            let nodes = &mut record.rare().remote_watchers;
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        } else {
            self.tell_node(object, node);
        }
    }

    fn tell_node(&mut self, object: ObjectId, node: NodeId) {
        let outcome = match self.objects.get(&object).map(|record| &record.state) {
            Some(ObjectState::Value(value)) => RemoteOutcome::Value(value.clone()),
            Some(ObjectState::Failure(failure)) => RemoteOutcome::Failure(Arc::clone(failure)),
            Some(ObjectState::Stored(size)) => {
                let refs =
                    self.objects.get(&object).map(|record| record.contained().to_vec()).unwrap_or_default();
                RemoteOutcome::Stored { size: *size, at: self.locations(object), refs }
            }
            Some(ObjectState::Pending) => return,
            None => RemoteOutcome::Failure(Arc::new(unknown(object))),
        };
        let refs: Vec<ObjectId> =
            self.objects.get(&object).map(|record| record.contained().to_vec()).unwrap_or_default();
        let owners = self.grant_all(node, refs.into_iter());
        self.mail(node, PeerMessage::ObjectReady { object, outcome, owners });
    }

    /// The owner says what became of an object that this node borrows.
    pub(crate) fn borrowed_ready(&mut self, object: ObjectId, outcome: RemoteOutcome) {
        let me = self.me;
        let Some(record) = self.objects.get_mut(&object).filter(|record| record.owner != me) else { return };
        let outcome = match outcome {
            RemoteOutcome::Value(value) => Outcome::Value(value),
            RemoteOutcome::Failure(failure) => Outcome::Failure(failure),
            RemoteOutcome::Stored { size, at, refs } => {
                let live = |node: &NodeId| *node != me && !self.dead.contains(*node);
                record.rare().elsewhere = at.into_iter().filter(live).collect();
                let is_known = matches!(record.state, ObjectState::Stored(_));
                self.note_contents(object, refs);
                // Asked for again because its copies were gone, or made again on this very node.
                if is_known {
                    return self.tell_waiters(object, Outcome::Stored(size));
                }
                Outcome::Stored(size)
            }
        };
        let is_stored =
            self.objects.get(&object).is_some_and(|record| matches!(record.state, ObjectState::Stored(_)));
        if let (Outcome::Failure(failure), true) = (&outcome, is_stored) {
            let failure = Arc::clone(failure);
            return self.object_failed(object, &failure);
        }
        self.object_ready(object, outcome);
    }

    pub(crate) fn record_for_output(
        &mut self,
        object: ObjectId,
        owner: NodeId,
        job: thornback_types::JobId,
    ) -> &mut ObjectRecord {
        self.objects.get_or_insert_with(object, || ObjectRecord::new(owner, job))
    }
}

pub(crate) fn unknown(object: ObjectId) -> Failure {
    Failure::new(
        Code::ObjectNotFound,
        format!(
            "Nobody knows the object {object}: it was freed because no ref to it was left, or its id was never used."
        ),
    )
}
