//! Making lost objects again, by running their tasks once more.

use std::sync::Arc;

use thornback_types::{Code, ObjectId};

use crate::input::Returns;
use crate::node::Node;
use crate::object::{Copy, ObjectState};
use crate::task::{Kind, TaskState};

impl Node {
    /// All copies of an own object are gone: its task runs again if it may, once for each loss; else the object has failed.
    pub(super) fn reconstruct(&mut self, object: ObjectId, why: &str) {
        let id = object.task();
        let Some(task) = self.tasks.get_mut(&id) else {
            let then = "It was put, or made by an actor or by a task that may not run again, so that it cannot be made anew.";
            let failure = Self::lost(object, why, Code::ObjectLost, then);
            return self.object_failed(object, &Arc::new(failure));
        };
        if !task.is_finished() {
            // It runs again already.
            return self.await_again(object);
        }
        if let Kind::Call { actor, .. } = task.spec.kind
            && !self.actor_restarts(actor)
        {
            let failure = Self::lost(
                object,
                why,
                Code::ObjectLost,
                "An actor made it, which is dead or does not restart.",
            );
            self.object_failed(object, &Arc::new(failure));
            return self.lineage_unneeded(id);
        }
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if !task.retries.spend() {
            let attempts = task.attempt;
            let then = format!("Its task has run {attempts} times, as often as it may (max_retries).");
            let failure =
                Self::lost(object, why, Code::ReconstructionFailed, &then).with("attempts", attempts);
            self.object_failed(object, &Arc::new(failure));
            return self.lineage_unneeded(id);
        }
        task.attempt += 1;
        task.state = TaskState::Waiting;
        task.lineage = 0;
        let spec = Arc::clone(&task.spec);
        let outputs = match spec.declaration.returns {
            Returns::Fixed(n) => n,
            Returns::Stream => {
                self.streams.get(&id).map_or(object.0.index(), |stream| stream.produced as u32)
            }
        };
        for i in 0..outputs {
            let output = id.output(i);
            let Some(record) = self.objects.get(&output) else { continue };
            match record.state {
                ObjectState::Stored(_) if record.is_here() || !record.elsewhere().is_empty() => {
                    if let Some(task) = self.tasks.get_mut(&id) {
                        task.lineage += 1;
                    }
                }
                ObjectState::Stored(_) => self.await_again(output),
                _ => {}
            }
        }
        if let Kind::Call { actor, caller } = spec.kind {
            self.call_again(actor, caller, id);
        }
        self.when_dependencies_are_ready(id);
    }

    fn await_again(&mut self, object: ObjectId) {
        if let Some(record) = self.objects.get_mut(&object) {
            record.state = ObjectState::Pending;
            record.copy = Copy::None;
        }
    }
}
