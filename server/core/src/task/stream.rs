//! Streams: tasks whose outputs come one by one, read while the task still runs.
//!
//! Items have the ids that return values would have. They are counted for the session that submitted the task, in order, and paced by what it
//! consumes. A stream lives as long as its handle, which is an object with the task's own id.

use std::sync::Arc;

use thornback_types::{Failure, JobId, NodeId, ObjectId, SessionId, TaskId};

use crate::effect::{Message, Outcome};
use crate::input::{Output, Returns};
use crate::message::{PeerMessage, RemoteOutput};
use crate::node::{Node, Taken};
use crate::task::run::refs_of;
use crate::task::{TaskSpec, TaskState};

/// How far a stream is.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) submitter: SessionId,
    /// Items so far; also the index of the next.
    pub(crate) produced: u64,
    pub(crate) consumed: u64,
    /// Said once: the task may run again for items that were lost.
    ended: bool,
}

impl Node {
    pub(crate) fn new_stream(&mut self, session: SessionId, task: TaskId, job: JobId) {
        self.streams.insert(task, Stream { submitter: session, produced: 0, consumed: 0, ended: false });
        self.new_output(session, ObjectId(task.0), job);
    }

    /// A worker gives the next item.
    pub(crate) fn yielded(
        &mut self,
        session: SessionId,
        task: TaskId,
        attempt: u32,
        index: u64,
        mut item: Output,
    ) -> Taken {
        let (worker, _) = self.worker_of(session)?;
        self.screen_output(session, &mut item);
        let Some(run) =
            self.runs.get(&task).filter(|run| run.worker == Some(worker) && run.attempt == attempt)
        else {
            return Ok(());
        };
        let owner = run.spec.owner;
        if index == 0 && run.consumed > 0 {
            // What was said of it before it began may have found nobody to hear it.
            let consumed = run.consumed;
            self.send(session, Message::Resume { task, attempt, consumed });
        }
        let Ok(position) = u32::try_from(index) else { return Ok(()) };
        let item = match item {
            Output::Value(value) => RemoteOutput::Value(value),
            Output::Stored => match self.stored_output(task.output(position)) {
                Ok(item) => item,
                Err(failure) => {
                    // The stream cannot go on without it.
                    self.end_task(task, &failure, true);
                    return Err(Box::new(failure));
                }
            },
        };
        if owner == self.me {
            self.stream_item(task, attempt, index, item, owner);
        } else if !self.dead.contains(owner) {
            let owners = self.grant_all(owner, refs_of(&item).into_iter());
            self.keep_for_owner(task.output(position));
            self.mail(owner, PeerMessage::Yielded { task, attempt, index, item, owners });
        }
        let item = task.output(position);
        if let Some(run) = self.runs.get_mut(&task)
            && let Some(at) = run.filled.iter().position(|object| *object == item)
        {
            run.filled.swap_remove(at);
            self.release(item, 1);
        }
        Ok(())
    }

    /// The owner takes an item in. A later attempt repeats the items of an earlier one; those are known already.
    pub(crate) fn stream_item(
        &mut self,
        id: TaskId,
        attempt: u32,
        index: u64,
        item: RemoteOutput,
        from: NodeId,
    ) {
        let object = id.output(index as u32);
        let current = self.tasks.get(&id).is_some_and(|task| task.attempt == attempt && !task.is_finished());
        let next = self.streams.get(&id).map(|stream| (stream.produced, stream.submitter));
        let Some((produced, submitter)) = next.filter(|_| current) else {
            return self.discard_output(object, from);
        };
        if index > produced {
            return self.discard_output(object, from);
        }
        if let Some(failure) = self.tasks.get(&id).and_then(|task| task.spec.refuses(&item)) {
            return self.end_task(id, &failure, true);
        }
        if index == produced {
            let job = self.tasks.get(&id).map(|task| task.spec.job).unwrap_or_default();
            self.new_output(submitter, object, job);
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.produced += 1;
            }
        }
        let outcome = match item {
            RemoteOutput::Value(value) => Outcome::Value(value),
            RemoteOutput::Stored { size, refs } => {
                if self.note_stored(object, from, refs)
                    && let Some(task) = self.tasks.get_mut(&id)
                {
                    task.lineage += 1;
                }
                Outcome::Stored(size)
            }
        };
        self.object_ready(object, outcome);
    }

    /// No more items will come. Their number is that of those which came, whatever the worker says: who waits for one more would wait for ever.
    pub(crate) fn stream_ended(&mut self, id: TaskId, failure: Option<Arc<Failure>>) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.ended) else { return };
        stream.ended = true;
        let (submitter, count) = (stream.submitter, stream.produced);
        self.send(submitter, Message::StreamEnd { task: id, count, failure });
    }

    /// The consumer has taken so many items: the producer may go on.
    pub(crate) fn consumed(&mut self, session: SessionId, id: TaskId, count: u64) -> Taken {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| stream.submitter == session) else {
            return Ok(());
        };
        stream.consumed = stream.consumed.max(count.min(stream.produced));
        let consumed = stream.consumed;
        let Some(task) = self.tasks.get(&id).filter(|task| task.spec.declaration.stream_window > 0) else {
            return Ok(());
        };
        let (state, attempt) = (task.state, task.attempt);
        match (state, self.runs.contains_key(&id)) {
            (_, true) => self.resume_run(id, attempt, consumed),
            (TaskState::Remote(node), _) => {
                self.mail(node, PeerMessage::ResumeRun { task: id, attempt, consumed })
            }
            (TaskState::Calling, _) => {
                if let Some(node) = self.host_elsewhere(id) {
                    self.mail(node, PeerMessage::ResumeRun { task: id, attempt, consumed });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Tells the worker, or whichever worker the task is sent to.
    pub(crate) fn resume_run(&mut self, task: TaskId, attempt: u32, consumed: u64) {
        let Some(run) = self.runs.get_mut(&task).filter(|run| run.attempt == attempt) else { return };
        run.consumed = consumed;
        let worker = run.worker;
        if let Some(session) = worker.and_then(|worker| self.workers.get(&worker)).and_then(|w| w.session) {
            self.send(session, Message::Resume { task, attempt, consumed });
        }
    }

    /// How far a stream's producer that begins anew may go from the first.
    pub(crate) fn consumed_before(&self, id: TaskId, spec: &TaskSpec) -> u64 {
        match spec.declaration.returns {
            Returns::Stream if spec.declaration.stream_window > 0 => {
                self.streams.get(&id).map_or(0, |stream| stream.consumed)
            }
            _ => 0,
        }
    }

    /// Nobody will read on: the producer is stopped, and items that were not taken are freed.
    pub(crate) fn stream_dropped(&mut self, id: TaskId) {
        let Some(stream) = self.streams.remove(&id) else { return };
        if self.tasks.get(&id).is_some_and(|task| !task.is_finished()) {
            let failure = Failure::new(thornback_types::Code::Cancelled, "Nobody reads the stream any more.");
            self.end_task(id, &failure, true);
        }
        for index in stream.consumed..stream.produced {
            self.session_drop(stream.submitter, id.output(index as u32));
        }
    }
}
