//! Placement groups: all bundles are set aside, or none.

use std::collections::BTreeMap;
use std::time::Duration;

use thornback_types::{Code, Failure, JobId, NodeId, PlacementGroupId, Resources};

use crate::cluster::{Cluster, placement};
use crate::input::Strategy;
use crate::message::PeerMessage;

/// What does not fit is tried again after this long, growing by half each time (Ray's values).
pub(super) const RETRY_MIN: Duration = Duration::from_millis(100);
pub(super) const RETRY_MAX: Duration = Duration::from_secs(1);

/// A group that was asked for.
#[derive(Debug)]
pub(super) struct Group {
    job: JobId,
    bundles: Vec<Resources>,
    strategy: Strategy,
    state: State,
    /// Tries to place it so far, to tell answers of an earlier one.
    round: u32,
}

#[derive(Debug)]
enum State {
    Waiting,
    /// Nodes were asked; which have said yes.
    Reserving {
        nodes: Vec<NodeId>,
        answers: BTreeMap<u32, bool>,
    },
    Placed(Vec<NodeId>),
}

impl Cluster {
    pub(super) fn create_group(
        &mut self,
        _from: NodeId,
        id: PlacementGroupId,
        bundles: Vec<Resources>,
        strategy: Strategy,
        job: JobId,
    ) {
        let group = Group { job, bundles, strategy, state: State::Waiting, round: 0 };
        self.groups.entry(id).or_insert(group);
        if self.is_over(job) {
            return self.remove_group(id);
        }
        self.place_group(id);
    }

    /// A node asks where a group lies. If it is being placed, all nodes will be told.
    pub(super) fn find_group(&mut self, from: NodeId, id: PlacementGroupId) {
        match self.groups.get(&id).map(|group| (group.job, &group.state)) {
            Some((job, State::Placed(nodes))) => {
                let bundles = nodes.clone();
                self.mail(from, PeerMessage::GroupPlaced { group: id, job, bundles });
            }
            Some((_, State::Waiting | State::Reserving { .. })) => {}
            None => self.mail(from, PeerMessage::GroupRemoved { group: id }),
        }
    }

    pub(super) fn place_waiting_groups(&mut self) {
        let waiting: Vec<_> = self
            .groups
            .iter()
            .filter(|(_, g)| matches!(g.state, State::Waiting))
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.place_group(id);
        }
    }

    fn place_group(&mut self, id: PlacementGroupId) {
        let view = self.view();
        let Some(group) = self.groups.get_mut(&id) else { return };
        let fresh;
        // The only node's own books are always right; the head's copy of them is not.
        let nodes = match &view[..] {
            [only] => {
                fresh = [crate::message::NodeView { available: only.total.clone(), ..only.clone() }];
                &fresh[..]
            }
            all => all,
        };
        let Some(nodes) = placement::group(nodes, &group.bundles, group.strategy) else {
            return self.try_again_later();
        };
        let bundles = group.bundles.clone();
        group.round += 1;
        let round = group.round;
        group.state = State::Reserving { nodes: nodes.clone(), answers: BTreeMap::new() };
        for (i, (node, resources)) in nodes.into_iter().zip(bundles).enumerate() {
            self.mail(node, PeerMessage::ReserveBundle { group: id, bundle: i as u32, resources, round });
        }
    }

    pub(super) fn bundle_reserved(
        &mut self,
        from: NodeId,
        id: PlacementGroupId,
        bundle: u32,
        ok: bool,
        round: u32,
    ) {
        let Some(group) = self.groups.get_mut(&id) else {
            // It was removed meanwhile.
            return self.mail(from, PeerMessage::ReleaseGroup { group: id });
        };
        if group.round != round {
            // That reservation was given up, and the node told so.
            return;
        }
        let State::Reserving { nodes, answers } = &mut group.state else { return };
        answers.insert(bundle, ok);
        if answers.len() < nodes.len() {
            return;
        }
        let (nodes, all) = (nodes.clone(), answers.values().all(|ok| *ok));
        if all {
            group.state = State::Placed(nodes.clone());
            let job = group.job;
            self.retry_wait = RETRY_MIN;
            self.tell_all(&PeerMessage::GroupPlaced { group: id, job, bundles: nodes });
            self.place_waiting_actors();
        } else {
            group.state = State::Waiting;
            self.release_at(id, &nodes);
            self.try_again_later();
        }
    }

    /// One that is another job's, or nobody's, is left alone.
    pub(super) fn remove_group_of(&mut self, id: PlacementGroupId, job: JobId) {
        if self.groups.get(&id).is_some_and(|group| group.job == job) {
            self.remove_group(id);
        }
    }

    /// Idempotent: a group that is gone stays gone.
    pub(super) fn remove_group(&mut self, id: PlacementGroupId) {
        let Some(group) = self.groups.remove(&id) else { return };
        self.tell_all(&PeerMessage::GroupRemoved { group: id });
        match group.state {
            State::Placed(nodes) | State::Reserving { nodes, .. } => self.release_at(id, &nodes),
            State::Waiting => {}
        }
        self.place_waiting();
    }

    pub(super) fn remove_groups_of(&mut self, is_over: impl Fn(JobId) -> bool) {
        let of_job: Vec<_> =
            self.groups.iter().filter(|(_, group)| is_over(group.job)).map(|(id, _)| *id).collect();
        for id in of_job {
            self.remove_group(id);
        }
    }

    fn release_at(&mut self, id: PlacementGroupId, nodes: &[NodeId]) {
        let mut nodes = nodes.to_vec();
        nodes.sort_unstable();
        nodes.dedup();
        for node in nodes {
            self.mail(node, PeerMessage::ReleaseGroup { group: id });
        }
    }

    /// Groups with a bundle on a lost node are placed anew, all of them: what ran in them is retried there.
    pub(super) fn groups_lost_with(&mut self, node: NodeId) {
        let hit = |group: &Group| match &group.state {
            State::Placed(nodes) | State::Reserving { nodes, .. } => nodes.contains(&node),
            State::Waiting => false,
        };
        let hit: Vec<_> = self.groups.iter().filter(|(_, group)| hit(group)).map(|(id, _)| *id).collect();
        for id in hit {
            if let Some(group) = self.groups.get_mut(&id)
                && let State::Placed(nodes) | State::Reserving { nodes, .. } =
                    std::mem::replace(&mut group.state, State::Waiting)
            {
                let nodes: Vec<NodeId> = nodes.into_iter().filter(|n| *n != node).collect();
                self.release_at(id, &nodes);
            }
            self.place_group(id);
        }
    }

    pub(super) fn node_of_bundle(
        &self,
        id: PlacementGroupId,
        bundle: Option<u32>,
        job: JobId,
    ) -> Result<Option<NodeId>, Failure> {
        let Some(group) = self.groups.get(&id).filter(|group| group.job == job) else {
            return Err(Failure::new(
                Code::PlacementGroupRemoved,
                format!("The placement group {id} was removed, or never existed."),
            ));
        };
        match &group.state {
            State::Placed(nodes) => Ok(nodes.get(bundle.unwrap_or(0) as usize).copied()),
            State::Waiting | State::Reserving { .. } => Ok(None),
        }
    }
}
