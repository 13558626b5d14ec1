//! What a node has to give, and the parts of it that placement groups have set aside.

use std::collections::BTreeSet;
use std::sync::Arc;

use thornback_types::{Code, Failure, JobId, NodeId, PlacementGroupId, Resources, SessionId, TaskId, Value};

use crate::effect::Outcome;
use crate::input::Strategy;
use crate::message::{PeerMessage, RunOutcome};
use crate::node::queue::ClassKey;
use crate::node::{Node, Taken, invalid};
use crate::task::{Kind, TaskState};

/// Resources set aside on this node.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) total: Resources,
    pub(crate) available: Resources,
}

/// A placement group as its users see it.
#[derive(Debug)]
pub(crate) struct Group {
    /// Who made it.
    pub(crate) job: JobId,
    /// Where each bundle lies, once all are placed.
    pub(crate) placed: Option<Vec<NodeId>>,
    /// Tasks that wait for it to be placed.
    pub(crate) waiting: BTreeSet<TaskId>,
}

impl Group {
    fn new(job: JobId) -> Group {
        Group { job, placed: None, waiting: BTreeSet::new() }
    }
}

impl Node {
    /// Where the demand of a class can be taken from: the node (`Some(None)`), a bundle, or nowhere at present.
    #[expect(clippy::option_option, reason = "nowhere, the node itself, or one of its bundles")]
    pub(crate) fn fitting_bundle(&self, key: &ClassKey) -> Option<Option<(PlacementGroupId, u32)>> {
        match key.bundle {
            None => self.available.fits(&key.demand).then_some(None),
            Some((group, Some(index))) => {
                let bundle = self.bundles.get(&(group, index))?;
                bundle.available.fits(&key.demand).then_some(Some((group, index)))
            }
            Some((group, None)) => self
                .bundles
                .range((group, 0)..=(group, u32::MAX))
                .find(|(_, bundle)| bundle.available.fits(&key.demand))
                .map(|(at, _)| Some(*at)),
        }
    }

    /// Whether the bundles of a group on this node are all too small, however empty.
    pub(crate) fn is_too_large(
        &self,
        demand: &Resources,
        group: PlacementGroupId,
        bundle: Option<u32>,
    ) -> bool {
        let which = bundle.map_or(0..=u32::MAX, |index| index..=index);
        let mut here = self.bundles.range((group, *which.start())..=(group, *which.end())).peekable();
        here.peek().is_some() && !here.any(|(_, bundle)| bundle.total.fits(demand))
    }

    /// Whether a part of this node is set aside for a group.
    pub(crate) fn holds_bundle_of(&self, group: PlacementGroupId) -> bool {
        self.bundles.range((group, 0)..=(group, u32::MAX)).next().is_some()
    }

    pub(crate) fn resources_at(&self, bundle: Option<(PlacementGroupId, u32)>) -> &Resources {
        bundle.and_then(|at| self.bundles.get(&at)).map_or(&self.available, |bundle| &bundle.available)
    }

    /// Takes what [`Node::fitting_bundle`] found to fit.
    pub(crate) fn take_resources(&mut self, bundle: Option<(PlacementGroupId, u32)>, demand: &Resources) {
        match bundle {
            None => self.available.take_down_to_zero(demand),
            Some(at) => {
                if let Some(bundle) = self.bundles.get_mut(&at) {
                    bundle.available.take_down_to_zero(demand);
                }
            }
        }
    }

    /// A bundle that was removed meanwhile has been returned to the node already, all of it.
    pub(crate) fn return_resources(&mut self, bundle: Option<(PlacementGroupId, u32)>, held: &Resources) {
        match bundle {
            None => self.available.add(held),
            Some(at) => {
                if let Some(bundle) = self.bundles.get_mut(&at) {
                    bundle.available.add(held);
                }
            }
        }
        self.schedule_due = true;
    }

    pub(crate) fn create_group(
        &mut self,
        session: SessionId,
        group: PlacementGroupId,
        bundles: Vec<Resources>,
        strategy: Strategy,
    ) -> Taken {
        if bundles.is_empty() || bundles.len() > 1000 || bundles.iter().any(Resources::is_empty) {
            return Err(invalid("A placement group needs 1 to 1000 bundles, and each asks for something."));
        }
        if self.groups.contains_key(&group) || self.removed_groups.contains(group) || group.0.index() != 0 {
            return Err(Box::new(Failure::new(
                Code::DuplicateId,
                format!("The placement group {group} exists already."),
            )));
        }
        let job = self.acting_job(session);
        self.groups.insert(group, Group::new(job));
        self.new_output(session, group.ready(), job);
        self.mail_head(PeerMessage::CreateGroup { group, bundles, strategy, job });
        Ok(())
    }

    /// A group that this node does not know may be on its way to it: then the head says whose it is.
    pub(crate) fn remove_group(&mut self, session: SessionId, group: PlacementGroupId) {
        let acting = self.acting_job(session);
        let job = self.groups.get(&group).map_or(acting, |group| group.job);
        if self.may_use_group(group, job, acting, session) {
            self.mail_head(PeerMessage::RemoveGroup { group, job });
        }
    }

    /// The head asks for resources to be set aside.
    pub(crate) fn reserve_bundle(
        &mut self,
        group: PlacementGroupId,
        bundle: u32,
        resources: Resources,
        round: u32,
    ) {
        let ok = self.available.take(&resources).is_ok();
        if ok {
            self.bundles.insert((group, bundle), Bundle { total: resources.clone(), available: resources });
        }
        self.mail_head(PeerMessage::BundleReserved { group, bundle, ok, round });
    }

    pub(crate) fn group_placed(&mut self, group: PlacementGroupId, job: JobId, nodes: Vec<NodeId>) {
        let state = self.groups.entry(group).or_insert_with(|| Group::new(job));
        state.placed = Some(nodes);
        for task in std::mem::take(&mut state.waiting) {
            self.place(task);
        }
        if self.objects.get(&group.ready()).is_some_and(|object| object.owner == self.me) {
            self.object_ready(group.ready(), Outcome::Value(Value::nil()));
        }
        self.schedule_due = true;
    }

    pub(crate) fn group_removed(&mut self, group: PlacementGroupId) {
        self.removed_groups.insert(group);
        let waiting = self.groups.remove(&group).map(|state| state.waiting).unwrap_or_default();
        let failure = group_gone(group);
        for task in waiting {
            self.end_task(task, &failure, true);
        }
        if self
            .objects
            .get(&group.ready())
            .is_some_and(|object| object.owner == self.me && object.is_pending())
        {
            self.object_ready(group.ready(), Outcome::Failure(Arc::new(failure)));
        }
    }

    /// The node that a task was to run on does not hold its group, or is gone: what this node knows of the group is out of date. The task waits for
    /// the head's word.
    pub(crate) fn await_group(&mut self, group: PlacementGroupId, task: TaskId) {
        let Some(state) = self.groups.get_mut(&group) else {
            return self.end_task(task, &group_gone(group), true);
        };
        state.placed = None;
        state.waiting.insert(task);
        if let Some(task) = self.tasks.get_mut(&task) {
            task.state = TaskState::Waiting;
        }
        self.mail_head(PeerMessage::FindGroup { group });
    }

    /// Ends what runs in the group here and gives its resources back, all at once.
    pub(crate) fn release_group(&mut self, group: PlacementGroupId) {
        let removed = self.removed_groups.contains(group);
        let failure = if removed {
            group_gone(group)
        } else {
            let message =
                format!("The placement group {group} is placed anew, because a node of it is gone.");
            Failure::new(Code::NodeDied, message)
        };
        for task in
            self.runs.sorted_keys(|_, run| run.spec.declaration.placement.is_some_and(|(g, _)| g == group))
        {
            let Some(run) = self.runs.get(&task).filter(|run| run.worker.is_none()) else { continue };
            let kind = run.spec.kind;
            self.unqueue(task);
            match kind {
                Kind::Task if !removed => self.run_over(task, RunOutcome::NotRun),
                Kind::Create(actor) if !removed => {
                    self.actor_creation_lost(actor, task, Arc::new(failure.clone()));
                }
                _ => self.run_failed(task, failure.clone()),
            }
        }
        let workers: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, w)| w.bundle.is_some_and(|(g, _)| g == group))
            .map(|(id, _)| *id)
            .collect();
        for worker in workers {
            // An actor ends with its group, whatever restarts it has left; one whose group is only placed anew may live again.
            if let (true, Some(actor)) = (removed, self.actor_of_worker(worker)) {
                self.end_hosted(actor, &failure);
            }
            self.end_worker_for(worker, failure.clone());
        }
        let bundles: Vec<_> = self.bundles.range((group, 0)..=(group, u32::MAX)).map(|(at, _)| *at).collect();
        for at in bundles {
            if let Some(bundle) = self.bundles.remove(&at) {
                self.available.add(&bundle.total);
            }
        }
        self.schedule_due = true;
    }
}

pub(crate) fn group_gone(group: PlacementGroupId) -> Failure {
    Failure::new(Code::PlacementGroupRemoved, format!("The placement group {group} was removed."))
}
