//! Cancelling, and deadlines, which cancel by themselves.

use thornback_types::{Code, Failure, ObjectId, SessionId, TaskId, WorkerId};

use crate::effect::Message;
use crate::input::Retries;
use crate::message::PeerMessage;
use crate::node::{Node, Taken, invalid};
use crate::task::{Kind, RunState, TaskState};

impl Node {
    /// Whoever has a right to a result may cancel what makes it, also one that did not submit it.
    pub(crate) fn cancel(&mut self, session: SessionId, id: ObjectId, force: bool, recursive: bool) -> Taken {
        if !self.may_cancel(session, id) {
            return Ok(());
        }
        if let Some(task) = self.tasks.get(&id.task()) {
            if force && matches!(task.spec.kind, Kind::Call { .. }) {
                return Err(invalid(
                    "An actor call cannot be cancelled by force: that would end the actor. Use kill for that.",
                ));
            }
            self.cancel_task(id.task(), force, recursive);
        } else if let Some(owner) =
            self.objects.get(&id).map(|object| object.owner).filter(|owner| *owner != self.me)
        {
            self.mail(owner, PeerMessage::CancelOutput { object: id, force, recursive });
        }
        Ok(())
    }

    pub(crate) fn cancel_task(&mut self, id: TaskId, force: bool, recursive: bool) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| !task.is_finished()) else { return };
        task.retries = Retries::Limited(0);
        let (state, attempt) = (task.state, task.attempt);
        let children = if recursive { std::mem::take(&mut task.children) } else { Vec::new() };
        let failure = cancelled();
        match (state, self.runs.get(&id).map(|run| run.state)) {
            (_, Some(RunState::Sent)) => self.stop_run(id, force, Code::Cancelled),
            (TaskState::Remote(node), _) => {
                self.mail(node, PeerMessage::CancelRun { task: id, attempt, force, code: Code::Cancelled });
            }
            (TaskState::Calling, None) if self.host_elsewhere(id).is_some() => {
                if let Some(node) = self.host_elsewhere(id) {
                    self.mail(
                        node,
                        PeerMessage::CancelRun { task: id, attempt, force: false, code: Code::Cancelled },
                    );
                }
            }
            _ => self.end_task(id, &failure, true),
        }
        for child in children {
            self.cancel_task(child, force, true);
        }
    }

    /// The owner wants a run ended.
    pub(crate) fn cancel_run(&mut self, id: TaskId, attempt: u32, force: bool, code: Code) {
        match self.runs.get(&id).filter(|run| run.attempt == attempt).map(|run| run.state) {
            Some(RunState::Sent) => self.stop_run(id, force, code),
            Some(_) => {
                self.unqueue(id);
                self.unmail(id);
                self.run_failed(id, failure_of(code));
            }
            None => {}
        }
    }

    fn stop_run(&mut self, id: TaskId, force: bool, code: Code) {
        self.interrupt(id, code);
        if !force {
            return;
        }
        if let Some(run) = self.runs.get_mut(&id) {
            run.doomed = true;
            if let Some(worker) = run.worker {
                self.end_the_doomed(worker, code);
            }
        }
    }

    /// Ends a worker whose present task is to end by force.
    pub(crate) fn end_the_doomed(&mut self, worker: WorkerId, code: Code) {
        let head =
            self.workers.get(&worker).and_then(|w| w.running.front()).and_then(|task| self.runs.get(task));
        if head.is_some_and(|run| run.doomed) {
            self.end_worker_for(worker, failure_of(code));
        }
    }

    /// Tells the worker; what it then answers counts, even a result.
    pub(crate) fn interrupt(&mut self, id: TaskId, code: Code) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.interrupted = Some(Box::new(failure_of(code)));
        let (attempt, worker) = (run.attempt, run.worker);
        if let Some(session) = worker.and_then(|worker| self.workers.get(&worker)).and_then(|w| w.session) {
            self.send(session, Message::Interrupt { task: id, attempt, code: code.number() });
        }
    }

    pub(crate) fn deadline_passed(&mut self, id: TaskId) {
        self.end_task(id, &failure_of(Code::DeadlineExceeded), true);
    }
}

fn cancelled() -> Failure {
    failure_of(Code::Cancelled)
}

fn failure_of(code: Code) -> Failure {
    match code {
        Code::DeadlineExceeded => Failure::new(code, "The task did not finish by its deadline."),
        Code::Cancelled => Failure::new(code, "The task was cancelled."),
        other => Failure::new(other, other.summary()),
    }
}
