//! Messages from other nodes and from the control plane, and what it means when a node is gone.

use std::sync::Arc;

use thornback_types::{Code, Failure, JobId, NodeId, ObjectId, SessionId, TaskId};

use crate::effect::{Pool, Reply};
use crate::message::PeerMessage;
use crate::message::PeerMessage as M;
use crate::message::RunOutcome;
use crate::node::Node;
use crate::node::session::is_of;
use crate::node::timer::Timer;
use crate::task::{Kind, Run, RunState, TaskState};

/// Heartbeats without any answer after which a node takes itself for given up. More than the head's own patience.
const HEAD_SILENT_MAX: u32 = 10;

impl Node {
    /// Says hello to the control plane.
    pub(crate) fn join(&mut self) {
        let (total, available) = (self.config.resources.clone(), self.available.clone());
        self.mail_head(M::Join { total, available });
        if self.config.head != self.me {
            self.heartbeat();
        }
    }

    pub(crate) fn heartbeat(&mut self) {
        let patience = self.config.heartbeat * HEAD_SILENT_MAX;
        if self.config.head != self.me && !self.view.is_empty() && self.now.since(self.head_heard) >= patience
        {
            // The head has given its actors and tasks to others by now, and cannot say so.
            return self.given_up();
        }
        let available = self.available.clone();
        self.mail_head(M::Heartbeat { available });
        self.at(self.now + self.config.heartbeat, Timer::Heartbeat);
    }

    pub(crate) fn given_up(&mut self) {
        self.is_given_up = true;
    }

    pub(crate) fn take_peer_message(&mut self, from: NodeId, message: PeerMessage) {
        match message {
            M::View { nodes } => {
                // The head's own node says how it is only once there is somebody else to choose.
                if self.view.len() <= 1 && nodes.len() > 1 && self.config.head == self.me {
                    self.heartbeat();
                }
                self.view = nodes;
                self.schedule_due = true;
            }
            M::NodeDead { node } => self.peer_lost(node),
            M::JobOver { job } => {
                self.note_job_over(job);
                self.end_jobs(|over| over == job);
            }
            M::HostActor { actor, life } => self.host_actor(actor, life),
            M::StopActor { actor, life, graceful, failure } => {
                self.stop_actor(actor, life, graceful, failure)
            }
            M::ActorState { actor, state } => self.actor_state(actor, state),
            M::Answer { session, number, reply, owners } => {
                self.adopt(None, &owners, &[]);
                // Whoever looks an actor up holds a count on it from then on; who asked without a session could never drop it.
                if session != SessionId::OWN {
                    if let Reply::Actor(info) = &reply {
                        self.give_to(session, ObjectId(info.actor.0));
                    }
                    for (actor, _) in &owners {
                        self.session_count(session, *actor);
                    }
                }
                self.answer(session, number, reply);
                self.return_unused(&owners);
            }
            M::ReserveBundle { group, bundle, resources, round } => {
                self.reserve_bundle(group, bundle, resources, round)
            }
            M::ReleaseGroup { group } => self.release_group(group),
            M::GroupPlaced { group, job, bundles } => self.group_placed(group, job, bundles),
            M::GroupRemoved { group } => self.group_removed(group),

            M::Assign { spec, attempt, life, stored, owners } => {
                self.assigned(from, spec, attempt, life, stored, owners.clone());
                self.return_unused(&owners);
            }
            M::CancelRun { task, attempt, force, code } => self.cancel_run(task, attempt, force, code),
            M::ResumeRun { task, attempt, consumed } => self.resume_run(task, attempt, consumed),
            M::Finished { task, attempt, outcome, owners } => {
                self.adopt(Some(from), &owners, &[]);
                self.task_answered(task, attempt, outcome, from);
                self.return_unused(&owners);
            }
            M::Yielded { task, attempt, index, item, owners } => {
                self.adopt(Some(from), &owners, &[]);
                self.stream_item(task, attempt, index, item, from);
                self.return_unused(&owners);
            }

            M::WatchObject { object } => self.watched_by(object, from),
            M::CancelOutput { object, force, recursive } => self.cancel_task(object.task(), force, recursive),
            M::Borrow { object, from: giver } => self.borrowed_by(object, from, giver),
            M::Borrowed { object, node } => self.passed_on(object, node),
            M::Return { object, grants, keeps } => self.returned_by(object, from, grants, keeps),
            M::CopyAdded { object } => self.copy_added(object, from),
            M::CopyGone { object, at } => self.copy_gone(object, at, from),
            M::ObjectReady { object, outcome, owners } => {
                self.adopt(Some(from), &owners, &[]);
                self.borrowed_ready(object, outcome);
                self.return_unused(&owners);
            }
            M::FreeCopy { object } => self.free_copy(object),

            M::Pull { object } => self.pulled_by(object, from),
            M::Offer { object, location } => self.offered(object, from, location),
            M::Pulled { object } => self.pull_over(object, from),

            // For the head; `Core` does not bring them here.
            M::Join { .. }
            | M::Heartbeat { .. }
            | M::RegisterActor { .. }
            | M::ActorStarted { .. }
            | M::ActorNotStarted { .. }
            | M::ActorLost { .. }
            | M::ActorEnded { .. }
            | M::KillActor { .. }
            | M::SubscribeActor { .. }
            | M::GetActor { .. }
            | M::ListActors { .. }
            | M::CreateGroup { .. }
            | M::RemoveGroup { .. }
            | M::JobEnded { .. }
            | M::FindGroup { .. }
            | M::BundleReserved { .. } => {}
        }
    }

    /// A node is gone for good: what it ran is lost, what it held is free, what it owned has no owner, and the jobs of its drivers are over.
    pub(crate) fn peer_lost(&mut self, node: NodeId) {
        if node == self.me {
            return self.given_up();
        }
        if !self.dead.insert(node) {
            return;
        }
        self.view.retain(|n| n.node != node);
        // What it wanted run here is of no use to anyone. (Which actors end with it, the registry says.)
        let is_useless = |run: &Run| run.spec.owner == node && !matches!(run.spec.kind, Kind::Create(_));
        for id in self.runs.sorted_keys(|_, run| is_useless(run)) {
            match self.runs.get(&id).map(|run| run.state) {
                Some(RunState::Sent) => self.interrupt(id, Code::Cancelled),
                Some(_) => {
                    self.unqueue(id);
                    self.unmail(id);
                    let refs: Vec<_> =
                        self.runs.get(&id).map(|run| run.spec.refs().collect()).unwrap_or_default();
                    self.discard_run(id);
                    for object in refs {
                        self.release(object, 1);
                    }
                }
                None => {}
            }
        }
        self.copies_lost_with(node);
        let failure =
            Arc::new(Failure::new(Code::NodeDied, format!("The node {node} is gone, which ran this.")));
        let remote: Vec<TaskId> = self.tasks.sorted_keys(|_, task| task.state == TaskState::Remote(node));
        for id in remote {
            let attempt = self.tasks.get(&id).map_or(0, |task| task.attempt);
            self.task_answered(id, attempt, RunOutcome::Lost(Arc::clone(&failure)), self.me);
        }
        self.owner_died(node);
        self.end_jobs(|job| is_of(job, node));
        self.schedule_due = true;
    }

    /// The number here of a pool that another node knows.
    pub(crate) fn pool_from_afar(&mut self, job: JobId, pool: &Arc<Pool>) -> u32 {
        if let Some(same) =
            self.pools.by_number.get(&pool.number).filter(|p| Arc::ptr_eq(&p.pool, pool) && !p.retired)
        {
            return same.pool.number;
        }
        let known = self
            .pools
            .by_number
            .iter()
            .find(|(_, p)| !p.retired && p.pool.spec == pool.spec && p.job.is_none_or(|j| j == job));
        match known.map(|(number, _)| *number) {
            Some(number) => number,
            None => self.add_pool(Some(job), pool.spec.clone()),
        }
    }
}
