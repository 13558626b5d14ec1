//! The registry of actors: their names, homes and lives.
//!
//! ```text
//! Waiting ──a home is found──▶ Starting ──▶ Alive ──lost──▶ Waiting (a restart is left) | Dead
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use thornback_types::{ActorId, Code, Failure, JobId, NodeId, ObjectId, SessionId};

use crate::actor::unknown_actor;
use crate::cluster::{Cluster, placement};
use crate::effect::{ActorInfo, Reply};
use crate::input::Retries;
use crate::message::{ActorSpec, ActorState, Owners, PeerMessage};

/// Dead actors that are remembered.
const DEAD_MAX: usize = 10_000;

/// An actor that was registered, or only asked for.
#[derive(Debug)]
pub(super) struct Registered {
    /// `None` if a handle has come here before its creator's word.
    spec: Option<Arc<ActorSpec>>,
    state: State,
    life: u32,
    restarts: Retries,
    /// It was asked to end once its calls are over, for this reason: nobody finds it any more, and it does not come back.
    ending: Option<Arc<Failure>>,
    subscribers: BTreeSet<NodeId>,
}

#[derive(Debug, Clone)]
enum State {
    /// For a node that has room.
    Waiting,
    Starting(NodeId),
    Alive(NodeId),
    Dead(Arc<Failure>),
}

impl Cluster {
    pub(super) fn register(&mut self, from: NodeId, spec: Arc<ActorSpec>, reply: Option<(SessionId, u64)>) {
        let id = spec.actor;
        let key = (spec.namespace.clone(), spec.options.name.clone());
        if !spec.options.name.is_empty()
            && let Some(holder) = self.names.get(&key).copied().filter(|holder| *holder != id)
        {
            return self.name_taken(from, &spec, holder, reply);
        }
        match self.actors.get(&id).map(|known| (&known.state, known.spec.is_some())) {
            Some((State::Dead(failure), _)) => {
                // It was killed before it came here.
                let failure = Arc::clone(failure);
                if let Some((session, number)) = reply {
                    let reply = Reply::Failure(Box::new((*failure).clone()));
                    self.mail(from, PeerMessage::Answer { session, number, reply, owners: Vec::new() });
                }
                let state = ActorState::Dead { failure };
                return self.mail(from, PeerMessage::ActorState { actor: id, state });
            }
            Some((_, true)) => return,
            _ => {}
        }
        if !spec.options.name.is_empty() {
            self.names.insert(key, id);
        }
        let early = self.actors.remove(&id).map(|known| known.subscribers).unwrap_or_default();
        let restarts = spec.options.max_restarts;
        let mut registered = Registered {
            spec: Some(spec),
            state: State::Waiting,
            life: 0,
            restarts,
            ending: None,
            subscribers: early,
        };
        registered.subscribers.insert(from);
        let late =
            registered.spec.as_ref().is_some_and(|spec| !spec.options.detached && self.is_over(spec.job));
        self.actors.insert(id, registered);
        if let Some((session, number)) = reply
            && let Some(info) = self.info(id, false)
        {
            self.mail(
                from,
                PeerMessage::Answer {
                    session,
                    number,
                    reply: Reply::Actor(Box::new(info)),
                    owners: Vec::new(),
                },
            );
        }
        if late {
            return self.die(id, creator_gone(id));
        }
        self.find_home(id);
    }

    fn name_taken(
        &mut self,
        from: NodeId,
        spec: &ActorSpec,
        holder: ActorId,
        reply: Option<(SessionId, u64)>,
    ) {
        let (name, namespace) = (&spec.options.name, &spec.namespace);
        let message = format!(
            "A live actor has the name {name:?} in the namespace {namespace:?}. Get it with get_actor, or ask for get_if_exists."
        );
        let failure = Failure::new(Code::ActorNameTaken, message).of_actor(holder);
        if let Some((session, number)) = reply {
            let (reply, owners) = match self.info(holder, true) {
                Some(info) if spec.options.get_if_exists => {
                    (Reply::Actor(Box::new(info)), self.owner_of(holder))
                }
                _ => (Reply::Failure(Box::new(failure.clone())), Vec::new()),
            };
            self.mail(from, PeerMessage::Answer { session, number, reply, owners });
        }
        let state = ActorState::Dead { failure: Arc::new(failure) };
        self.mail(from, PeerMessage::ActorState { actor: spec.actor, state });
    }

    fn find_home(&mut self, id: ActorId) {
        let Some(actor) = self.actors.get(&id) else { return };
        let Some(spec) = actor.spec.clone() else { return };
        if !matches!(actor.state, State::Waiting) {
            return;
        }
        match self.home_for(&spec) {
            Home::At(node) => {
                if let Some(actor) = self.actors.get_mut(&id) {
                    actor.life += 1;
                    actor.state = State::Starting(node);
                    let life = actor.life;
                    let creation = &spec.creation.declaration;
                    if let (None, Some(member)) = (creation.placement, self.members.get_mut(&node)) {
                        // Until its next heartbeat says better.
                        member.available.take_down_to_zero(&creation.resources);
                    }
                    let job = spec.creation.job;
                    if self.over.contains(job) {
                        // A node that joined later has not heard of it, and would keep the job's arena for a driver that is gone.
                        self.mail(node, PeerMessage::JobOver { job });
                    }
                    self.mail(node, PeerMessage::HostActor { actor: spec, life });
                }
            }
            Home::Later => self.try_again_later(),
            Home::Never(failure) => self.die(id, Arc::new(failure)),
        }
    }

    fn home_for(&self, spec: &ActorSpec) -> Home {
        let declaration = &spec.creation.declaration;
        if let Some((group, bundle)) = declaration.placement {
            return match self.node_of_bundle(group, bundle, spec.group_of) {
                Ok(Some(node)) => Home::At(node),
                Ok(None) => Home::Later,
                Err(failure) => Home::Never(failure),
            };
        }
        if let Some(affinity) = declaration.affinity {
            if self.members.contains_key(&affinity.node) {
                return Home::At(affinity.node);
            }
            if !affinity.soft {
                let message =
                    format!("The actor may only live on node {}, which is not there.", affinity.node);
                return Home::Never(Failure::new(Code::ActorDied, message).of_actor(spec.actor));
            }
        }
        let view = self.view();
        // A node queues what it can run later; the only node of all is asked at once, so that its queue (and its notice) is the one that counts.
        match placement::one(&view, &declaration.resources) {
            Some(node) => Home::At(node),
            None if view.len() == 1 => Home::At(view[0].node),
            None => Home::Later,
        }
    }

    pub(super) fn place_waiting_actors(&mut self) {
        let waiting: Vec<ActorId> = self
            .actors
            .iter()
            .filter(|(_, a)| matches!(a.state, State::Waiting))
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.find_home(id);
        }
    }

    pub(super) fn started(&mut self, from: NodeId, id: ActorId, life: u32) {
        let Some(actor) = self.actors.get_mut(&id).filter(|actor| actor.life == life) else {
            // It was killed, or lives elsewhere, since.
            let failure = Arc::new(
                Failure::new(Code::ActorDied, "The actor was given up while it started.").of_actor(id),
            );
            return self.mail(from, PeerMessage::StopActor { actor: id, life, graceful: false, failure });
        };
        match &actor.state {
            State::Starting(node) if *node == from => {
                actor.state = State::Alive(from);
                self.tell(id);
            }
            State::Dead(failure) => {
                let failure = Arc::clone(failure);
                self.mail(from, PeerMessage::StopActor { actor: id, life, graceful: false, failure });
            }
            _ => {}
        }
    }

    pub(super) fn not_started(&mut self, id: ActorId, life: u32, failure: Arc<Failure>) {
        if self.actors.get(&id).is_some_and(|actor| actor.life == life) {
            self.die(id, failure);
        }
    }

    /// Its worker or node died: it lives again, if it may.
    pub(super) fn lost(&mut self, id: ActorId, life: u32, failure: Arc<Failure>) {
        let Some(actor) = self.actors.get_mut(&id).filter(|actor| actor.life == life) else { return };
        // One that waits has been lost before: its host says so too, and that costs no second restart.
        if matches!(actor.state, State::Dead(_) | State::Waiting) {
            return;
        }
        if let Some(failure) = actor.ending.take() {
            return self.die(id, failure);
        }
        if actor.restarts.spend() {
            actor.state = State::Waiting;
            self.tell(id);
            self.find_home(id);
            return;
        }
        let restarts = life.saturating_sub(1);
        let message = match restarts {
            0 => format!("The actor is dead: {} It is not restarted (max_restarts is 0).", failure.message),
            n => format!(
                "The actor is dead: {} It was restarted {n} time(s), as often as it may (max_restarts).",
                failure.message
            ),
        };
        let mut dead = Failure::new(Code::ActorDied, message).of_actor(id).caused_by((*failure).clone());
        dead.details.clone_from(&failure.details);
        self.die(id, Arc::new(dead));
    }

    pub(super) fn ended(&mut self, id: ActorId, life: u32, failure: Arc<Failure>) {
        // That of one that was killed to be restarted is known, and the next life waits for a home.
        let lives = |actor: &Registered| actor.life == life && !matches!(actor.state, State::Waiting);
        if self.actors.get(&id).is_some_and(lives) {
            self.die(id, failure);
        }
    }

    pub(super) fn kill(
        &mut self,
        from: NodeId,
        id: ActorId,
        restart: bool,
        graceful: bool,
        failure: Arc<Failure>,
    ) {
        let Some(actor) = self.actors.get(&id) else {
            // It may be on its way from its creator; that one's registration must find it dead.
            let state = State::Dead(Arc::clone(&failure));
            let restarts = Retries::Limited(0);
            let subscribers = BTreeSet::new();
            self.actors
                .insert(id, Registered { spec: None, state, life: 0, restarts, ending: None, subscribers });
            self.remember_dead(id);
            return self
                .mail(from, PeerMessage::ActorState { actor: id, state: ActorState::Dead { failure } });
        };
        let life = actor.life;
        let home = match &actor.state {
            State::Dead(_) => return,
            State::Waiting => None,
            State::Starting(node) | State::Alive(node) => Some(*node),
        };
        if let Some(node) = home {
            self.mail(
                node,
                PeerMessage::StopActor { actor: id, life, graceful, failure: Arc::clone(&failure) },
            );
        }
        match (home, graceful, restart) {
            // It says itself when it has ended.
            (Some(_), true, _) => {
                self.free_name(id);
                if let Some(actor) = self.actors.get_mut(&id) {
                    actor.ending.get_or_insert(failure);
                }
            }
            (Some(_), false, true) => self.lost(id, life, failure),
            _ => self.die(id, failure),
        }
    }

    pub(super) fn subscribe(&mut self, from: NodeId, id: ActorId) {
        let Some(actor) = self.actors.get_mut(&id) else {
            let failure = Arc::new(unknown_actor(id));
            return self
                .mail(from, PeerMessage::ActorState { actor: id, state: ActorState::Dead { failure } });
        };
        actor.subscribers.insert(from);
        let state = actor.as_seen();
        self.mail(from, PeerMessage::ActorState { actor: id, state });
    }

    pub(super) fn get_actor(
        &mut self,
        from: NodeId,
        name: String,
        namespace: String,
        session: SessionId,
        number: u64,
    ) {
        let key = (namespace, name);
        let (reply, owners) = match self.names.get(&key).and_then(|id| self.info(*id, true)) {
            Some(info) => {
                let owners = self.owner_of(info.actor);
                (Reply::Actor(Box::new(info)), owners)
            }
            None => {
                let message = format!("No live actor has the name {:?} in the namespace {:?}.", key.1, key.0);
                (Reply::Failure(Box::new(Failure::new(Code::ActorNotFound, message))), Vec::new())
            }
        };
        self.mail(from, PeerMessage::Answer { session, number, reply, owners });
    }

    /// The owner of an actor that is handed out: whoever gets a handle has to be counted there. (A detached one lives on whoever counts it.)
    fn owner_of(&self, id: ActorId) -> Owners {
        let spec = self.actors.get(&id).and_then(|actor| actor.spec.as_ref());
        spec.filter(|spec| !spec.options.detached)
            .map(|spec| (ObjectId(id.0), spec.owner))
            .into_iter()
            .collect()
    }

    pub(super) fn list_actors(
        &mut self,
        from: NodeId,
        namespace: Option<String>,
        session: SessionId,
        number: u64,
    ) {
        let named =
            self.names.iter().filter(|((of, _), _)| namespace.as_ref().is_none_or(|wanted| wanted == of));
        let infos = named.filter_map(|(_, id)| self.info(*id, true)).collect();
        self.mail(
            from,
            PeerMessage::Answer { session, number, reply: Reply::Actors(infos), owners: Vec::new() },
        );
    }

    pub(super) fn end_actors_of(&mut self, is_over: impl Fn(JobId) -> bool) {
        let of_job = |(id, actor): (&ActorId, &Registered)| {
            let spec = actor.spec.as_ref()?;
            (is_over(spec.job) && !spec.options.detached && !matches!(actor.state, State::Dead(_)))
                .then_some((*id, spec.owner))
        };
        let actors: Vec<(ActorId, NodeId)> = self.actors.iter().filter_map(of_job).collect();
        for (id, owner) in actors {
            self.kill(owner, id, false, false, creator_gone(id));
        }
    }

    pub(super) fn actors_lost_with(&mut self, node: NodeId) {
        let on_it = |(id, actor): (&ActorId, &Registered)| {
            let here = matches!(&actor.state, State::Starting(n) | State::Alive(n) if *n == node);
            let owned = actor.spec.as_ref().is_some_and(|spec| spec.owner == node && !spec.options.detached);
            (here || owned).then_some((*id, actor.life, owned))
        };
        let lost: Vec<(ActorId, u32, bool)> = self.actors.iter().filter_map(on_it).collect();
        for actor in self.actors.values_mut() {
            actor.subscribers.remove(&node);
        }
        for (id, life, owned) in lost {
            if owned {
                let failure = Arc::new(
                    Failure::new(
                        Code::ActorDied,
                        format!("The node {node}, whose driver created the actor, is gone."),
                    )
                    .of_actor(id),
                );
                self.kill(self.me, id, false, false, failure);
            } else {
                let failure =
                    Failure::new(Code::NodeDied, format!("The node {node} is gone, where the actor lived."));
                self.lost(id, life, Arc::new(failure));
            }
        }
    }

    pub(super) fn living_actors(&self) -> usize {
        self.actors.values().filter(|actor| !matches!(actor.state, State::Dead(_))).count()
    }

    fn die(&mut self, id: ActorId, failure: Arc<Failure>) {
        let Some(actor) = self.actors.get_mut(&id) else { return };
        if matches!(actor.state, State::Dead(_)) {
            return;
        }
        actor.state = State::Dead(failure);
        self.tell(id);
        if let Some(actor) = self.actors.get_mut(&id) {
            actor.subscribers.clear();
        }
        self.free_name(id);
        if let Some(actor) = self.actors.get_mut(&id) {
            // The arguments of its constructor are not needed again.
            actor.spec = None;
        }
        self.remember_dead(id);
    }

    fn free_name(&mut self, id: ActorId) {
        let Some(spec) = self.actors.get(&id).and_then(|actor| actor.spec.as_ref()) else { return };
        let key = (spec.namespace.clone(), spec.options.name.clone());
        if self.names.get(&key) == Some(&id) {
            self.names.remove(&key);
        }
    }

    fn remember_dead(&mut self, id: ActorId) {
        self.dead.push_back(id);
        if self.dead.len() > DEAD_MAX
            && let Some(oldest) = self.dead.pop_front()
        {
            self.actors.remove(&oldest);
        }
    }

    fn tell(&mut self, id: ActorId) {
        let Some(actor) = self.actors.get(&id) else { return };
        let state = actor.as_seen();
        for node in actor.subscribers.clone() {
            self.mail(node, PeerMessage::ActorState { actor: id, state: state.clone() });
        }
    }

    fn info(&self, id: ActorId, existed: bool) -> Option<ActorInfo> {
        let actor = self.actors.get(&id)?;
        let spec = actor.spec.as_ref()?;
        Some(ActorInfo {
            actor: id,
            name: spec.options.name.clone(),
            namespace: spec.namespace.clone(),
            state: match actor.state {
                State::Waiting | State::Starting(_) if actor.life <= 1 => "pending",
                State::Waiting | State::Starting(_) => "restarting",
                State::Alive(_) => "alive",
                State::Dead(_) => "dead",
            },
            class_name: spec.creation.declaration.name.clone(),
            interface: spec.options.interface.clone(),
            restarts: actor.life.saturating_sub(1),
            existed,
        })
    }
}

impl Registered {
    fn as_seen(&self) -> ActorState {
        match &self.state {
            State::Waiting if self.life == 0 => ActorState::Pending,
            State::Starting(_) if self.life == 1 => ActorState::Pending,
            // Of the life to come.
            State::Waiting => ActorState::Restarting { life: self.life + 1 },
            State::Starting(_) => ActorState::Restarting { life: self.life },
            State::Alive(node) => {
                let retries =
                    self.spec.as_ref().map_or(Retries::Limited(0), |spec| spec.options.max_task_retries);
                ActorState::Alive { node: *node, life: self.life, retries }
            }
            State::Dead(failure) => ActorState::Dead { failure: Arc::clone(failure) },
        }
    }
}

fn creator_gone(actor: ActorId) -> Arc<Failure> {
    Arc::new(Failure::new(Code::ActorDied, "The driver that created the actor is gone.").of_actor(actor))
}

enum Home {
    At(NodeId),
    Later,
    Never(Failure),
}
