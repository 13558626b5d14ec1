//! From an operation to a place in a queue: outputs, dependencies, placing.

use std::sync::Arc;

use thornback_types::{Code, Failure, JobId, NodeId, ObjectId, PlacementGroupId, SessionId, TaskId};

use crate::input::{Arg, ArgValue, Declaration, Returns};
use crate::message::{PeerMessage, RunOutcome, StoredArg, contained_in};
use crate::node::bundle::group_gone;
use crate::node::pacing;
use crate::node::pool::Found;
use crate::node::queue::ClassId;
use crate::node::timer::Timer;
use crate::node::{Node, Taken, invalid};
use crate::object::ObjectState;
use crate::task::{Kind, Run, Task, TaskSpec, TaskState};

/// Return objects that one call may have.
const RETURNS_MAX: u32 = 100_000;

impl Node {
    pub(crate) fn submit(
        &mut self,
        session: SessionId,
        id: TaskId,
        declaration: u32,
        mut args: Vec<Arg>,
        parent: Option<TaskId>,
    ) -> Taken {
        if parent.is_none() && self.submit_plainly(session, id, declaration, &mut args) {
            return Ok(());
        }
        let may = self.screen_args(session, &mut args);
        let spec = self.new_spec(session, id, declaration, args, parent, Kind::Task)?;
        if let Some(code) = spec.declaration.code {
            // Whoever runs it reads the definition, which a worker may have shipped for another job.
            self.give(spec.job, code);
        }
        self.add_task(session, Arc::new(spec));
        self.begin(id, may);
        Ok(())
    }

    /// Goes on with a task that was just made, unless it names what its submitter has no right to.
    pub(crate) fn begin(&mut self, id: TaskId, may: Taken) {
        match may {
            Ok(()) => self.when_dependencies_are_ready(id),
            Err(failure) => self.end_task(id, &failure, true),
        }
    }

    /// Checks an operation that makes a task, and changes nothing.
    pub(crate) fn new_spec(
        &self,
        session: SessionId,
        id: TaskId,
        declaration: u32,
        args: Vec<Arg>,
        parent: Option<TaskId>,
        kind: Kind,
    ) -> Result<TaskSpec, Box<Failure>> {
        let declared = self.declared(session, declaration)?;
        self.check_pace(session)?;
        if id.0.index() != 0 {
            return Err(invalid(format!(
                "The id {id} has index {}; the index of a task or actor is 0.",
                id.0.index()
            )));
        }
        if matches!(declared.declaration.returns, Returns::Fixed(n) if n > RETURNS_MAX) {
            return Err(invalid(format!(
                "A call returns at most {RETURNS_MAX} objects; use a stream for more."
            )));
        }
        if self.tasks.contains_key(&id) || self.objects.contains_key(&id.output(0)) {
            return Err(Box::new(Failure::new(Code::DuplicateId, format!("The id {id} is in use."))));
        }
        let actor = self
            .sessions
            .get(&session)
            .and_then(|s| s.worker)
            .and_then(|worker| self.actor_of_worker(worker));
        let is_of_detached_actor =
            actor.and_then(|actor| self.hosted.get(&actor)).is_some_and(|h| h.spec.options.detached);
        Ok(TaskSpec {
            id,
            job: self.job_for(session, parent),
            owner: self.me,
            declaration: declared.declaration,
            declaration_key: declared.key,
            args,
            parent,
            kind,
            pool: None,
            is_of_detached_actor,
        })
    }

    /// Makes the records of a task and its outputs. Every count on an argument is taken here, and given back when the task is forgotten.
    pub(crate) fn add_task(&mut self, session: SessionId, spec: Arc<TaskSpec>) {
        let (id, job) = (spec.id, spec.job);
        match (spec.kind, spec.declaration.returns) {
            (Kind::Create(_), _) => {}
            (_, Returns::Fixed(n)) => {
                for i in 0..n {
                    self.new_output(session, id.output(i), job);
                }
            }
            (_, Returns::Stream) => {
                self.new_stream(session, id, job);
            }
        }
        for object in spec.refs() {
            self.hold_for(job, object);
        }
        let deadline = spec.declaration.deadline.map(|deadline| self.now + deadline);
        if let Some(deadline) = deadline {
            self.at(deadline, Timer::Deadline(id));
        }
        if let Some(parent) = spec.parent.and_then(|parent| self.tasks.get_mut(&parent))
            && parent.spec.job == job
        {
            parent.children.push(id);
        }
        self.prune_children(spec.parent);
        let retries = spec.declaration.max_retries;
        let weight = pacing::weight(&spec.args, spec.declaration.returns);
        self.next_order += 1;
        let task = Task {
            spec,
            attempt: 1,
            retries,
            state: TaskState::Waiting,
            missing: 0,
            submitter: session,
            order: self.next_order,
            children: Vec::new(),
            deadline,
            lineage: 0,
            weight,
        };
        self.tasks.insert(id, task);
        self.pace_submitted(session, weight);
    }

    /// A task that goes on for long may submit millions of others: finished ones are forgotten each time that their number has doubled.
    fn prune_children(&mut self, parent: Option<TaskId>) {
        let Some(parent) = parent else { return };
        let Some(task) = self
            .tasks
            .get_mut(&parent)
            .filter(|task| task.children.len() >= 64 && task.children.len().is_power_of_two())
        else {
            return;
        };
        let children = std::mem::take(&mut task.children);
        let live = children
            .into_iter()
            .filter(|child| self.tasks.get(child).is_some_and(|child| !child.is_finished()))
            .collect();
        if let Some(task) = self.tasks.get_mut(&parent) {
            task.children = live;
        }
    }

    /// Goes on at once if nothing is missing; else when the last argument becomes ready.
    pub(crate) fn when_dependencies_are_ready(&mut self, id: TaskId) {
        let Some(spec) = self.tasks.get(&id).map(|task| Arc::clone(&task.spec)) else { return };
        let mut missing = 0;
        for object in spec.dependencies() {
            match self.await_dependency(object, id) {
                Ok(ready) => missing += u32::from(!ready),
                Err(failure) => {
                    self.end_task(id, &failure, true);
                    return;
                }
            }
        }
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.state = TaskState::Waiting;
        task.missing = missing;
        if missing == 0 {
            self.dependencies_ready(id);
        }
    }

    /// One of its arguments is ready.
    pub(crate) fn dependency_ready(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.missing > 0) else { return };
        task.missing -= 1;
        if task.missing == 0 && !task.is_finished() {
            self.dependencies_ready(id);
        }
    }

    pub(crate) fn dependencies_ready(&mut self, id: TaskId) {
        match self.tasks.get(&id).map(|task| task.spec.kind) {
            Some(Kind::Task) => self.place(id),
            Some(Kind::Create(actor)) => self.register_actor(actor),
            Some(Kind::Call { actor, .. }) => self.advance_calls(actor),
            None => {}
        }
    }

    /// Decides where a task runs and takes it there.
    pub(crate) fn place(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id).filter(|task| !task.is_finished()) else { return };
        let (spec, submitter) = (Arc::clone(&task.spec), task.submitter);
        let route = match self.route(&spec, submitter, id) {
            Ok(Some(route)) => route,
            Ok(None) => return,
            Err(failure) => return self.end_task(id, &failure, true),
        };
        match self.choose_node(&spec, id) {
            Ok(None) => {}
            Ok(Some(node)) if node == self.me => {
                let attempt = self.tasks.get_mut(&id).map_or(1, |task| {
                    task.state = TaskState::Here;
                    task.attempt
                });
                self.start_run(spec, attempt, route.class);
            }
            Ok(Some(node)) => self.assign(id, node, route.pool),
            Err(failure) => self.end_task(id, &failure, true),
        }
    }

    /// The pool for a task; `None` if it has to wait for one to say what it serves.
    pub(crate) fn pool_for(
        &mut self,
        spec: &TaskSpec,
        submitter: SessionId,
        id: TaskId,
    ) -> Result<Option<u32>, Box<Failure>> {
        let default = self.sessions.get(&submitter).and_then(|s| s.default_pool);
        match self.find_pool(spec.job, default, &spec.declaration) {
            Found::Pool(pool) => {
                self.check_arity(pool, &spec.declaration, &spec.args)?;
                Ok(Some(pool))
            }
            Found::Undecided => {
                self.pools.undecided.insert(id);
                self.wake_silent_pools(spec.job);
                Ok(None)
            }
            Found::Nowhere(failure) => Err(failure),
        }
    }

    /// Least and most positional arguments of a function, if it is known by name.
    pub(crate) fn arity(&self, pool: u32, declaration: &Declaration) -> Option<(u32, Option<u32>)> {
        let function = self.pools.by_number.get(&pool).and_then(|p| p.functions.get(&declaration.function));
        function.filter(|_| declaration.code.is_none()).map(|function| (function.min_args, function.max_args))
    }

    pub(crate) fn check_arity(&self, pool: u32, declaration: &Declaration, args: &[Arg]) -> Taken {
        let Some((min, max)) = self.arity(pool, declaration) else { return Ok(()) };
        let positional = args.iter().filter(|arg| arg.keyword.is_empty()).count();
        let given = args.len();
        if given < min as usize || max.is_some_and(|max| positional > max as usize) {
            let takes = match max {
                Some(max) if max == min => format!("{min}"),
                Some(max) => format!("{min} to {max}"),
                None => format!("at least {min}"),
            };
            let message =
                format!("{} takes {takes} argument(s), and {given} were given.", declaration.function);
            let failure = Failure::new(Code::WrongArity, message)
                .with("function", &declaration.function)
                .with("given", given)
                .with("min_args", min);
            return Err(Box::new(match max {
                Some(max) => failure.with("max_args", max),
                None => failure,
            }));
        }
        Ok(())
    }

    /// The node for a task; `None` if it has to wait for its placement group.
    fn choose_node(&mut self, spec: &TaskSpec, id: TaskId) -> Result<Option<NodeId>, Box<Failure>> {
        if let Some((group, bundle)) = spec.declaration.placement {
            let node = self.node_of_group(spec, group, bundle)?;
            match node.filter(|node| !self.dead.contains(*node)) {
                Some(node) => return Ok(Some(node)),
                None if node.is_some() => self.await_group(group, id),
                None => {
                    if let Some(state) = self.groups.get_mut(&group) {
                        state.waiting.insert(id);
                    }
                }
            }
            return Ok(None);
        }
        if let Some(affinity) = spec.declaration.affinity {
            if affinity.node == self.me
                || self
                    .view
                    .iter()
                    .any(|n| n.node == affinity.node && n.total.fits(&spec.declaration.resources))
            {
                return Ok(Some(affinity.node));
            }
            if !affinity.soft {
                let message = format!(
                    "The task may only run on node {}, which is not there or is too small.",
                    affinity.node
                );
                return Err(Box::new(Failure::new(Code::NodeDied, message)));
            }
        }
        Ok(Some(self.best_node(spec)))
    }

    /// The job in whose placement group a task may run: its own, unless its submitter has a right to one of another.
    pub(crate) fn group_of(&self, spec: &TaskSpec, submitter: SessionId) -> JobId {
        let group = spec.declaration.placement.map(|(group, _)| group);
        let owner = group.and_then(|group| Some((group, self.groups.get(&group)?.job)));
        let owner = owner.filter(|(group, owner)| self.may_use_group(*group, *owner, spec.job, submitter));
        owner.map_or(spec.job, |(_, job)| job)
    }

    /// Where a bundle lies; `None` while its group is not placed.
    fn node_of_group(
        &self,
        spec: &TaskSpec,
        group: PlacementGroupId,
        bundle: Option<u32>,
    ) -> Result<Option<NodeId>, Box<Failure>> {
        let submitter = self.tasks.get(&spec.id).map(|task| task.submitter);
        let may = |owner| submitter.is_some_and(|by| self.may_use_group(group, owner, spec.job, by));
        let missing = || {
            Box::new(Failure::new(
                Code::PlacementGroupNotFound,
                format!("Nobody knows the placement group {group}."),
            ))
        };
        if self.removed_groups.contains(group) {
            return Err(Box::new(group_gone(group)));
        }
        let state = self.groups.get(&group).filter(|state| may(state.job)).ok_or_else(missing)?;
        let Some(nodes) = &state.placed else { return Ok(None) };
        let node = match bundle {
            Some(index) => nodes.get(index as usize),
            None => nodes.iter().find(|node| **node == self.me).or_else(|| nodes.first()),
        };
        let outside = || {
            let (has, wanted) = (nodes.len(), bundle.unwrap_or(0));
            invalid(format!(
                "The placement group {group} has {has} bundle(s), counted from 0; there is no bundle {wanted}."
            ))
        };
        node.copied().map(Some).ok_or_else(outside)
    }

    /// The owner's own node if it has room; else the one with room that has most of the arguments; else wherever it could ever run.
    fn best_node(&self, spec: &TaskSpec) -> NodeId {
        let demand = &spec.declaration.resources;
        if self.view.len() <= 1
            || (!spec.declaration.spread && self.available.fits(demand) && self.waiting.is_empty())
        {
            return self.me;
        }
        let near =
            |node: NodeId| -> u64 { spec.dependencies().map(|object| self.bytes_at(object, node)).sum() };
        let others = self.view.iter().filter(|n| n.node != self.me && n.available.fits(demand));
        if let Some(best) =
            others.max_by_key(|n| (near(n.node), n.available.get("CPU"), std::cmp::Reverse(n.node)))
        {
            return best.node;
        }
        if self.config.resources.fits(demand) {
            return self.me;
        }
        self.view.iter().find(|n| n.total.fits(demand)).map_or(self.me, |n| n.node)
    }

    /// Gives a task to another node, with small arguments in place of their refs.
    fn assign(&mut self, id: TaskId, node: NodeId, pool: u32) {
        let pool = self.pools.by_number.get(&pool).map(|p| Arc::clone(&p.pool));
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.state = TaskState::Remote(node);
        let (spec, attempt) = (Arc::clone(&task.spec), task.attempt);
        let (args, stored) = self.args_for_afar(&spec);
        let spec = Arc::new(TaskSpec { args, pool, ..(*spec).clone() });
        let refs = spec.refs().chain(contained_in(&stored));
        let owners = self.grant_all(node, refs);
        let consumed = self.consumed_before(id, &spec);
        self.mail(node, PeerMessage::Assign { spec, attempt, life: 0, stored, owners });
        if consumed > 0 {
            self.mail(node, PeerMessage::ResumeRun { task: id, attempt, consumed });
        }
    }

    /// Arguments as another node can use them.
    pub(crate) fn args_for_afar(&self, spec: &TaskSpec) -> (Vec<Arg>, Vec<StoredArg>) {
        let mut stored = Vec::new();
        let arg = |arg: &Arg| {
            let ArgValue::Ref(object) = arg.value else { return arg.clone() };
            match self.objects.get(&object).map(|o| &o.state) {
                Some(ObjectState::Value(value)) => {
                    Arg { keyword: arg.keyword.clone(), value: ArgValue::Value(value.clone()) }
                }
                Some(ObjectState::Stored(size)) => {
                    let refs = self.objects.get(&object).map(|o| o.contained().to_vec()).unwrap_or_default();
                    stored.push(StoredArg { object, size: *size, at: self.locations(object), refs });
                    arg.clone()
                }
                _ => arg.clone(),
            }
        };
        (spec.args.iter().map(arg).collect(), stored)
    }

    /// Makes the running node's side and queues it.
    pub(crate) fn start_run(&mut self, spec: Arc<TaskSpec>, attempt: u32, class: ClassId) {
        let id = spec.id;
        let consumed = self.consumed_before(id, &spec);
        let run = Run { consumed, ..Run::new(spec, attempt, class, self.now) };
        let (demand, placement) = (&run.spec.declaration.resources, run.spec.declaration.placement);
        let too_large = placement.is_some_and(|(group, bundle)| self.is_too_large(demand, group, bundle));
        let is_task = run.spec.kind == Kind::Task;
        self.runs.insert(id, run);
        if let Some((group, _)) = placement.filter(|_| is_task)
            && !self.holds_bundle_of(group)
        {
            return self.run_over(id, RunOutcome::NotRun);
        }
        if too_large {
            return self.run_failed(
                id,
                *invalid("The task needs more than its bundle of the placement group holds."),
            );
        }
        self.enqueue(id);
    }

    /// Where a stored object lies, as far as this node knows.
    pub(crate) fn locations(&self, object: ObjectId) -> Vec<NodeId> {
        let Some(record) = self.objects.get(&object) else { return Vec::new() };
        let mut at = record.elsewhere().to_vec();
        if record.is_here() {
            at.insert(0, self.me);
        }
        at
    }

    fn bytes_at(&self, object: ObjectId, node: NodeId) -> u64 {
        match self.objects.get(&object) {
            Some(record) if (node == self.me && record.is_here()) || record.elsewhere().contains(&node) => {
                record.bytes()
            }
            _ => 0,
        }
    }
}
