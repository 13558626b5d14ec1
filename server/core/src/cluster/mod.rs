//! The control plane: which nodes there are, where actors live, and where placement groups lie. It never sees a task or an object.
//!
//! Its inputs are messages from nodes and time; its effects are messages to nodes. One process of a cluster runs it, the head.

mod actors;
mod groups;
mod membership;
pub mod placement;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use thornback_types::{ActorId, JobId, NodeId, PlacementGroupId, Time};

use crate::cluster::actors::Registered;
use crate::cluster::groups::Group;
use crate::cluster::membership::Member;
use crate::config::Config;
use crate::message::PeerMessage;
use crate::message::PeerMessage as M;
use crate::node::DEAD_MAX;
use crate::node::session::is_of;
use crate::recent::Recent;

/// The machine of the whole cluster.
#[derive(Debug)]
pub struct Cluster {
    me: NodeId,
    heartbeat: Duration,
    now: Time,
    /// Messages of the current call.
    pub(crate) mail: Vec<(NodeId, PeerMessage)>,
    members: BTreeMap<NodeId, Member>,
    actors: BTreeMap<ActorId, Registered>,
    names: BTreeMap<(String, String), ActorId>,
    /// Dead actors that are still remembered, so that late callers learn why they died; the oldest is forgotten first.
    dead: VecDeque<ActorId>,
    groups: BTreeMap<PlacementGroupId, Group>,
    /// Nodes that are gone. Whoever joins is told of them: it may be given refs that they owned.
    gone: Recent<NodeId>,
    /// Jobs whose drivers are gone. What is asked for in their name comes too late.
    over: Recent<JobId>,
    /// When to try again to place what did not fit.
    retry_at: Option<Time>,
    retry_wait: Duration,
}

impl Cluster {
    pub(crate) fn new(config: &Config) -> Cluster {
        Cluster {
            me: config.node,
            heartbeat: config.heartbeat,
            now: Time::ZERO,
            mail: Vec::new(),
            members: BTreeMap::new(),
            actors: BTreeMap::new(),
            names: BTreeMap::new(),
            dead: VecDeque::new(),
            groups: BTreeMap::new(),
            gone: Recent::new(DEAD_MAX),
            over: Recent::new(DEAD_MAX),
            retry_at: None,
            retry_wait: groups::RETRY_MIN,
        }
    }

    pub(crate) fn handle(&mut self, now: Time, from: NodeId, message: PeerMessage) {
        self.now = self.now.max(now);
        match message {
            M::Join { total, available } => self.join(from, total, available),
            M::Heartbeat { available } => self.heartbeat_from(from, available),
            M::RegisterActor { actor, reply } => self.register(from, actor, reply),
            M::ActorStarted { actor, life } => self.started(from, actor, life),
            M::ActorNotStarted { actor, life, failure } => self.not_started(actor, life, failure),
            M::ActorLost { actor, life, failure } => self.lost(actor, life, failure),
            M::ActorEnded { actor, life, failure } => self.ended(actor, life, failure),
            M::KillActor { actor, restart, graceful, failure } => {
                self.kill(from, actor, restart, graceful, failure)
            }
            M::SubscribeActor { actor } => self.subscribe(from, actor),
            M::GetActor { name, namespace, session, number } => {
                self.get_actor(from, name, namespace, session, number)
            }
            M::ListActors { namespace, session, number } => {
                self.list_actors(from, namespace, session, number)
            }
            M::CreateGroup { group, bundles, strategy, job } => {
                self.create_group(from, group, bundles, strategy, job)
            }
            M::RemoveGroup { group, job } => self.remove_group_of(group, job),
            M::FindGroup { group } => self.find_group(from, group),
            M::BundleReserved { group, bundle, ok, round } => {
                self.bundle_reserved(from, group, bundle, ok, round)
            }
            M::JobEnded { job } => self.job_ended(job),
            // For nodes; `Core` does not bring them here.
            _ => {}
        }
    }

    pub(crate) fn run_timers(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.find_the_silent();
        if self.retry_at.is_some_and(|at| at <= self.now) {
            self.retry_at = None;
            self.retry_wait = (self.retry_wait * 3 / 2).min(groups::RETRY_MAX);
            self.place_waiting();
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.retry_at.into_iter().chain(self.next_silence()).min()
    }

    /// See [`crate::Core::leftovers`].
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let counts = [
            ("registered actors", self.living_actors()),
            ("names", self.names.len()),
            ("placement groups", self.groups.len()),
        ];
        counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect()
    }

    fn job_ended(&mut self, job: JobId) {
        if !self.over.insert(job) {
            return;
        }
        self.end_actors_of(|of| of == job);
        self.remove_groups_of(|of| of == job);
        self.tell_all(&PeerMessage::JobOver { job });
    }

    /// Whether a job's driver is gone, or its node with it.
    fn is_over(&self, job: JobId) -> bool {
        self.over.contains(job) || self.gone.iter().any(|node| is_of(job, node))
    }

    fn tell_all(&mut self, message: &PeerMessage) {
        for node in self.members.keys() {
            self.mail.push((*node, message.clone()));
        }
    }

    /// Places what could not be placed before; something may have changed.
    fn place_waiting(&mut self) {
        self.place_waiting_groups();
        self.place_waiting_actors();
    }

    fn try_again_later(&mut self) {
        if self.retry_at.is_none() {
            self.retry_at = Some(self.now + self.retry_wait);
        }
    }

    fn mail(&mut self, to: NodeId, message: PeerMessage) {
        self.mail.push((to, message));
    }
}
