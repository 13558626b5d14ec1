//! The short way of a plain task: what the long way does with it, in the same order, with each record looked up once.
//!
//! Nearly all tasks are plain: a driver submits them, their arguments and their one result travel inline and refer to nothing, and they run on the node
//! that owns them. Most of what the long way takes goes into finding records again and into asking about everything else. So each step of such a
//! task is written down here in one piece. A step that meets anything else changes nothing and says so, and the long way takes it. Both keep the
//! same records, so that a task may come from one to the other at any step.
//!
//! Nothing is decided here that is not decided so on the long way: `tests/load/ways.rs` holds the effects of both against each other.

use std::sync::Arc;

use thornback_types::{Code, Format, SessionId, TaskId, WorkerId};

use crate::effect::{Message, Outcome, Run as RunMessage, RunArg};
use crate::input::{Arg, ArgValue, Declaration, Output, Returns};
use crate::node::worker::WorkerState;
use crate::node::{Node, pacing};
use crate::object::{ObjectRecord, ObjectState};
use crate::task::{Kind, Run, RunState, Task, TaskSpec, TaskState};

/// Whether tasks of a declaration may be plain.
pub(crate) fn is_plain(declaration: &Declaration) -> bool {
    declaration.returns == Returns::Fixed(1)
        && declaration.code.is_none()
        && declaration.deadline.is_none()
        && declaration.placement.is_none()
        && declaration.affinity.is_none()
}

fn is_inline(arg: &Arg) -> bool {
    matches!(&arg.value, ArgValue::Value(value) if value.refs().is_empty())
}

impl Node {
    /// A submission, as far as its queue; the arguments stay where they are if it is not plain.
    pub(super) fn submit_plainly(
        &mut self,
        session: SessionId,
        id: TaskId,
        number: u32,
        args: &mut Vec<Arg>,
    ) -> bool {
        let Some(state) = self.sessions.get_mut(&session) else { return false };
        let Some(declared) = state.declarations.get_mut(&number) else { return false };
        let Some(route) = self.routes.of(declared, state.job).filter(|route| route.takes(args)) else {
            return false;
        };
        let output = id.output(0);
        let is_plain = declared.is_plain
            && state.worker.is_none()
            && id.0.index() == 0
            && state.pace.under_way <= self.config.backlog_bytes_max
            && self.view.len() <= 1
            && args.iter().all(is_inline)
            && !self.tasks.contains_key(&id)
            && !self.objects.contains_key(&output);
        if !is_plain {
            return false;
        }
        let job = state.job;
        let weight = pacing::weight(args, Returns::Fixed(1));
        let retries = declared.declaration.max_retries;
        let spec = Arc::new(TaskSpec {
            id,
            job,
            owner: self.me,
            declaration: Arc::clone(&declared.declaration),
            declaration_key: declared.key,
            args: std::mem::take(args),
            parent: None,
            kind: Kind::Task,
            pool: None,
            is_of_detached_actor: false,
        });
        *state.held.get_or_insert_with(output, || 0) += 1;
        let record = ObjectRecord { count: 1, watcher: Some(session), ..ObjectRecord::new(self.me, job) };
        self.objects.insert(output, record);
        self.next_order += 1;
        self.runs.insert(id, Run::new(Arc::clone(&spec), 1, route.class, self.now));
        self.tasks.insert(
            id,
            Task {
                spec,
                attempt: 1,
                retries,
                state: TaskState::Here,
                missing: 0,
                submitter: session,
                order: self.next_order,
                children: Vec::new(),
                deadline: None,
                lineage: 0,
                weight,
            },
        );
        self.pace_submitted(session, weight);
        self.enqueue_in(route.class, id);
        true
    }

    /// Sends a task to a worker.
    pub(super) fn dispatch_plainly(&mut self, task: TaskId, worker: WorkerId) -> bool {
        let (Some(run), Some(w)) = (self.runs.get_mut(&task), self.workers.get_mut(&worker)) else {
            return false;
        };
        let spec = &run.spec;
        let needs_nothing =
            |arg: &Arg| matches!(&arg.value, ArgValue::Value(v) if v.format != Format::Private);
        let is_plain = self.config.short_way
            && spec.kind == Kind::Task
            && run.consumed == 0
            && run.pins.is_empty()
            && spec.args.iter().all(needs_nothing);
        let (Some(session), true) = (w.session, is_plain) else { return false };
        let Some(declaration) = w.knows((spec.owner, spec.declaration_key)) else { return false };
        let args = spec.args.iter().map(|arg| RunArg::Given(arg.clone())).collect();
        run.state = RunState::Sent;
        run.worker = Some(worker);
        run.sent = self.now;
        w.sent(task, self.now);
        let message = RunMessage { task, attempt: run.attempt, declaration, args, actor: None, setup: None };
        let is_behind = w.running.len() > 1 && !w.overtake_armed;
        self.send(session, Message::Run(message));
        if is_behind {
            self.arm_overtake(worker);
        }
        true
    }

    /// The result of what a worker ran; the answer stays where it is if it is not plain.
    pub(super) fn done_plainly(
        &mut self,
        session: SessionId,
        id: TaskId,
        attempt: u32,
        outputs: &mut [Output],
    ) -> bool {
        let [Output::Value(value)] = outputs else { return false };
        if !self.config.short_way {
            return false;
        }
        let Some(worker) =
            self.sessions.get(&session).filter(|s| s.creating.is_empty()).and_then(|s| s.worker)
        else {
            return false;
        };
        let (Some(w), Some(run), Some(task)) =
            (self.workers.get_mut(&worker), self.runs.get(&id), self.tasks.get(&id))
        else {
            return false;
        };
        let output = id.output(0);
        let Some(record) = self.objects.get_mut(&output) else { return false };
        let spec = &run.spec;
        let is_plain = w.running.front() == Some(&id)
            && w.blocked == 0
            && run.attempt == attempt
            && run.pins.is_empty()
            && run.filled.is_empty()
            && spec.kind == Kind::Task
            && spec.owner == self.me
            && spec.pool.is_none()
            && spec.declaration.returns == Returns::Fixed(1)
            && spec.args.iter().all(is_inline)
            && task.attempt == attempt
            && task.state == TaskState::Here
            && task.lineage == 0
            && task.deadline.is_none()
            && record.is_pending()
            && record.is_plain()
            && record.count > 0
            && value.refs().is_empty()
            && spec.reads(value);
        let (WorkerState::Leased { class, .. }, true) = (w.state, is_plain) else { return false };
        let value = std::mem::take(value);
        record.state = ObjectState::Value(value.clone());
        let watcher = record.watcher.take();
        w.running.pop_front();
        let answered = w.answered(self.now);
        let is_idle = w.running.is_empty();
        let is_next_doomed =
            w.running.front().and_then(|next| self.runs.get(next)).is_some_and(|run| run.doomed);
        let (submitter, weight) = (task.submitter, task.weight);
        self.runs.discard(&id);
        self.tasks.discard(&id);
        self.tasks_finished += 1;
        self.learn(class, answered);
        if let Some(watcher) = watcher {
            let outcome = Outcome::Value(value);
            self.send(watcher, Message::Completion { object: output, outcome });
        }
        self.pace_ended(submitter, weight);
        if is_next_doomed {
            self.end_the_doomed(worker, Code::Cancelled);
        }
        if is_idle {
            self.lease_over(worker);
        }
        true
    }
}
