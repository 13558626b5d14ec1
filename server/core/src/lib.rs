//! Every decision of the server, and no input or output.
//!
//! This crate never opens a socket, reads a clock, draws a random number, spawns a thread, decodes a user's value or sees a wire message. It takes
//! facts ([`Input`]) with the time at which they became known, and gives orders ([`Effect`]). The same inputs give the same effects, so that a whole
//! cluster runs in one thread from one seed, and a bug comes back from its inputs.
//!
//! There are two machines: [`node`], one for each server process (sessions, workers, tasks, actors, objects), and [`cluster`], one for all
//! of them (membership, the registry of actors, placement groups). They speak only by messages ([`message`]). [`Core`] puts a node, the cluster where
//! this node is the head, and the links to other nodes together.
//!
//! Kinds of call: `handle` takes an input in; afterwards carry out all effects, in order. `poll_timeout` says when to call `handle` with
//! [`Input::Tick`] at the latest. Everything else only looks.
//!
//! ```
//! use thornback_core::{Config, Core, Effect, Input, Message, Op, Peer};
//! use thornback_types::{Id, NodeId, ObjectId, Resources, SessionId, Time, Value};
//!
//! let mut core = Core::new(Config::new(NodeId(Id([1; 16])), Resources::cpus(2)));
//! let mut effects = Vec::new();
//! let session = SessionId(1);
//! let driver = Peer::Driver { namespace: "".into(), job_name: "".into(), want_logs: false, shared_memory: true, pid: 1 };
//! let object = ObjectId(Id::new(*b"salty-bu", 1, 1));
//! for input in [
//!     Input::SessionOpened { session, peer: driver },
//!     Input::Op { session, op: Op::Put { object, value: Value::nil() } },
//!     Input::Op { session, op: Op::Watch { objects: vec![object] } },
//! ] {
//!     core.handle(Time::ZERO, input, &mut effects);
//! }
//! assert!(matches!(&effects[..], [Effect::Send { message: Message::Completion { object: o, .. }, .. }] if *o == object));
//! ```

#![forbid(unsafe_code)]

pub mod cluster;
mod config;
pub mod effect;
pub mod input;
pub mod link;
mod map;
pub mod message;
pub mod node;
mod recent;
mod table;

mod actor;
mod object;
mod task;

use std::collections::{BTreeMap, VecDeque};

use thornback_types::{JobId, NodeId, ObjectId, SessionId, Time};

use crate::cluster::Cluster;
use crate::link::{Link, Packet};
use crate::message::PeerMessage;
use crate::node::Node;

pub use config::Config;
pub use effect::{Effect, Location, Message};
pub use input::{Input, Op, Peer};
pub use node::status::{Listing, Status};
pub use task::{Kind, TaskSpec};

/// One server process: a node, its links, and the cluster's control plane if it is the head.
#[derive(Debug)]
pub struct Core {
    me: NodeId,
    head: NodeId,
    node: Node,
    cluster: Option<Cluster>,
    links: BTreeMap<NodeId, Link>,
    /// Messages between the node and the cluster in this process.
    local: VecDeque<PeerMessage>,
}

impl Core {
    /// A node that has just started.
    #[must_use]
    pub fn new(config: Config) -> Core {
        let cluster = (config.head == config.node).then(|| Cluster::new(&config));
        Core {
            me: config.node,
            head: config.head,
            node: Node::new(config),
            cluster,
            links: BTreeMap::new(),
            local: VecDeque::new(),
        }
    }

    /// Takes an input in and appends what is to be done. `now` never goes back.
    pub fn handle(&mut self, now: Time, input: Input, effects: &mut Vec<Effect>) {
        self.take(now, input, effects);
        self.conclude(now, effects);
    }

    /// The first half of [`Core::handle`], for one of many inputs that came at once: [`Core::conclude`] comes behind the last of them, and
    /// before anything else is asked. What is due and who gets which task is then looked at once, and not for each.
    pub fn take(&mut self, now: Time, input: Input, effects: &mut Vec<Effect>) {
        if self.node.is_given_up {
            return;
        }
        self.node.set_now(now);
        // What is added goes behind what is there, and nothing is moved.
        std::mem::swap(effects, &mut self.node.out);
        match input {
            Input::Packet { from, packet } => self.receive(now, from, packet),
            input => self.node.handle(input),
        }
        std::mem::swap(effects, &mut self.node.out);
        if self.node.is_given_up {
            // What it would still say, nobody would hear.
            effects.push(Effect::GivenUp);
        }
    }

    /// The second half.
    pub fn conclude(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.node.is_given_up {
            return;
        }
        self.node.set_now(now);
        std::mem::swap(effects, &mut self.node.out);
        self.node.run_timers();
        self.settle(now);
        std::mem::swap(effects, &mut self.node.out);
        if self.node.is_given_up {
            return effects.push(Effect::GivenUp);
        }
        if self.links.is_empty() {
            return;
        }
        for (to, link) in &mut self.links {
            let mut packets = Vec::new();
            link.poll_transmit(now, &mut packets);
            effects.extend(packets.into_iter().map(|packet| Effect::Packet { to: *to, packet }));
        }
    }

    /// When to hand in [`Input::Tick`] at the latest, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.node.is_given_up {
            return None;
        }
        let links = self.links.values().filter_map(Link::poll_timeout);
        let cluster = self.cluster.as_ref().and_then(Cluster::poll_timeout);
        links.chain(cluster).chain(self.node.poll_timeout()).min()
    }

    /// The job that a session belongs to, for its `Welcome`.
    #[must_use]
    pub fn job_of(&self, session: SessionId) -> Option<JobId> {
        self.node.job_of(session)
    }

    /// Bytes of frames that a session may send ahead of the node, for its `Welcome`. The more drivers there are, the less.
    #[must_use]
    pub fn window_of(&self, session: SessionId) -> Option<u64> {
        self.node.sessions.get(&session).map(|session| session.pace.window)
    }

    /// Declares a pool of the node's own configuration, which serves all jobs.
    pub fn add_pool(&mut self, spec: input::PoolSpec) {
        self.node.add_pool(None, spec);
    }

    /// Numbers for people and tools.
    #[must_use]
    pub fn status(&self) -> Status {
        let nodes = self.cluster.as_ref().map_or(1, Cluster::node_count);
        self.node.status(nodes)
    }

    /// Whether this node has promised another one that the bytes of an object stay at a location until that one has copied them. Whoever serves
    /// copies asks this for each: a promise made to a node that was given up since is void, and the room may hold something else.
    #[must_use]
    pub fn has_offered(&self, object: ObjectId, to: NodeId, location: Location) -> bool {
        self.node.has_offered(object, to, location)
    }

    /// At most `limit` live things of a kind, in the order of their ids.
    #[must_use]
    pub fn list(&self, kind: Listing, limit: usize) -> Vec<node::status::Item> {
        self.node.list(kind, limit)
    }

    /// Checks what must always hold and says what does not; for tests and the simulator. Takes time in proportion to everything that lives.
    #[must_use]
    pub fn check_invariants(&self) -> Vec<String> {
        self.node.check_invariants()
    }

    /// Says what is still remembered. Empty once all drivers are gone, detached actors are ended, and what was under way has come to its end;
    /// for tests and the simulator, which find leaks by it.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = self.node.leftovers();
        left.extend(self.cluster.as_ref().map(Cluster::leftovers).unwrap_or_default());
        left
    }

    fn receive(&mut self, now: Time, from: NodeId, packet: Packet) {
        let Packet::Data { ack, body } = packet else { return self.node.given_up() };
        if self.node.dead.contains(from) {
            // The others have gone on without it, and given its work to others. It has to know.
            return self.node.out.push(Effect::Packet { to: from, packet: Packet::GivenUp });
        }
        if from == self.head {
            self.node.head_heard = now;
        }
        for message in self.links.entry(from).or_default().receive(ack, body.as_ref()) {
            self.deliver(now, from, (*message).clone());
        }
    }

    fn deliver(&mut self, now: Time, from: NodeId, message: PeerMessage) {
        if let PeerMessage::NodeDead { node } = message {
            self.links.remove(&node);
        }
        if message.is_for_head() {
            if let Some(cluster) = &mut self.cluster {
                cluster.handle(now, from, message);
            }
        } else {
            self.node.handle_peer(from, message);
        }
    }

    /// Passes messages between the machines in this process until there are none, and hands those for others to their links.
    fn settle(&mut self, now: Time) {
        if let Some(cluster) = &mut self.cluster {
            cluster.run_timers(now);
        }
        loop {
            self.post();
            match self.local.pop_front() {
                Some(message) => self.deliver(now, self.me, message),
                None => return,
            }
        }
    }

    fn post(&mut self) {
        if self.node.mail.is_empty() && self.cluster.as_ref().is_none_or(|cluster| cluster.mail.is_empty()) {
            return;
        }
        let from_cluster = self.cluster.iter_mut().flat_map(|cluster| cluster.mail.drain(..));
        for (to, message) in self.node.mail.drain(..).chain(from_cluster) {
            let to = if message.is_for_head() { self.head } else { to };
            if to == self.me {
                self.local.push_back(message);
            } else if !self.node.dead.contains(to) {
                self.links.entry(to).or_default().send(message);
            }
        }
    }
}
