//! Which nodes there are.

use thornback_types::{NodeId, Resources, Time};

use crate::cluster::{Cluster, groups};
use crate::message::{NodeView, PeerMessage};
use crate::node::session::is_of;

/// Heartbeats that a node may miss before it counts as dead.
const MISSED_MAX: u32 = 5;

/// A node that is alive.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) total: Resources,
    pub(super) available: Resources,
    heard: Time,
}

impl Cluster {
    pub(super) fn join(&mut self, node: NodeId, total: Resources, available: Resources) {
        self.members.insert(node, Member { total, available, heard: self.now });
        for node_gone in self.gone.iter().collect::<Vec<_>>() {
            self.mail(node, PeerMessage::NodeDead { node: node_gone });
        }
        self.retry_wait = groups::RETRY_MIN;
        self.tell_view();
        self.place_waiting();
    }

    pub(super) fn heartbeat_from(&mut self, node: NodeId, available: Resources) {
        let now = self.now;
        let Some(member) = self.members.get_mut(&node) else { return };
        member.heard = now;
        if member.available != available {
            member.available = available;
            self.tell_view();
            self.place_waiting();
        }
    }

    /// A node is gone for good: if it comes back it is told so, and has to join as another.
    fn node_lost(&mut self, node: NodeId) {
        if self.members.remove(&node).is_none() {
            return;
        }
        self.gone.insert(node);
        self.tell_all(&PeerMessage::NodeDead { node });
        self.tell_view();
        self.end_actors_of(|job| is_of(job, node));
        self.remove_groups_of(|job| is_of(job, node));
        self.groups_lost_with(node);
        self.actors_lost_with(node);
    }

    pub(super) fn find_the_silent(&mut self) {
        if self.members.len() <= 1 {
            return;
        }
        let patience = self.heartbeat * MISSED_MAX;
        let silent = |(node, member): (&NodeId, &Member)| {
            (*node != self.me && self.now.since(member.heard) >= patience).then_some(*node)
        };
        let silent: Vec<NodeId> = self.members.iter().filter_map(silent).collect();
        for node in silent {
            self.node_lost(node);
        }
    }

    pub(super) fn next_silence(&self) -> Option<Time> {
        let others = self.members.iter().filter(|(node, _)| **node != self.me);
        others.map(|(_, member)| member.heard + self.heartbeat * MISSED_MAX).min()
    }

    pub(crate) fn node_count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn view(&self) -> Vec<NodeView> {
        let view = |(node, m): (&NodeId, &Member)| NodeView {
            node: *node,
            total: m.total.clone(),
            available: m.available.clone(),
        };
        self.members.iter().map(view).collect()
    }

    fn tell_view(&mut self) {
        let nodes = self.view();
        self.tell_all(&PeerMessage::View { nodes });
    }
}
