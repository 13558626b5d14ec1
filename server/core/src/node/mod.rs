//! One server process: its sessions, workers, queue and objects. The nouns that a user knows (task, actor, object) have folders of their own;
//! here is what belongs to the process.

mod ahead;
pub(crate) mod bundle;
mod interface;
mod leftovers;
mod memory;
pub(crate) mod pacing;
mod peer;
pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod rights;
pub(crate) mod route;
pub(crate) mod session;
pub mod status;
pub(crate) mod timer;
pub(crate) mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use thornback_types::{
    ActorId, Code, Failure, JobId, NodeId, ObjectId, PlacementGroupId, Resources, SessionId, TaskId, Time,
    WorkerId,
};

use crate::actor::{Called, Hosted};
use crate::config::Config;
use crate::effect::{Effect, Message};
use crate::input::Input;
use crate::map::Seed;
use crate::message::{NodeView, PeerMessage};
use crate::node::bundle::Bundle;
use crate::node::pool::Pools;
use crate::node::queue::{Class, ClassId, ClassKey};
use crate::node::rights::Rights;
use crate::node::route::Routes;
use crate::node::session::Session;
use crate::node::timer::Timer;
use crate::node::worker::Worker;
use crate::object::{ObjectRecord, Store};
use crate::recent::Recent;
use crate::table::Table;
use crate::task::{Run, Stream, Task};

/// Nodes that are remembered as gone.
pub(crate) const DEAD_MAX: usize = 4096;

/// The result of taking an operation in: a failure is answered by `Refused`.
pub(crate) type Taken = Result<(), Box<Failure>>;

/// The machine of one server process.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: Config,
    pub(crate) me: NodeId,
    pub(crate) now: Time,
    /// Effects of the current call.
    pub(crate) out: Vec<Effect>,
    /// Messages of the current call to other machines; those for the head may name any node.
    pub(crate) mail: Vec<(NodeId, PeerMessage)>,
    pub(crate) timers: BTreeSet<(Time, Timer)>,

    pub(crate) sessions: BTreeMap<SessionId, Session>,
    /// Drivers with something under way, who share the budget of what may be.
    pub(crate) pacing_drivers: u64,
    /// The windows of all drivers together, in bytes.
    pub(crate) windows: u64,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) pools: Pools,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) next_worker: u64,

    /// What no lease, actor or bundle holds.
    pub(crate) available: Resources,
    pub(crate) classes: BTreeMap<ClassId, Class>,
    pub(crate) class_ids: BTreeMap<Arc<ClassKey>, ClassId>,
    pub(crate) routes: Routes,
    pub(crate) next_class: u32,
    /// Classes with queued tasks.
    pub(crate) waiting: BTreeSet<ClassId>,
    /// The class that was served last, so that the next one is first in turn.
    pub(crate) last_served: ClassId,
    /// Something changed that may let a queued task run.
    pub(crate) schedule_due: bool,
    pub(crate) bundles: BTreeMap<(PlacementGroupId, u32), Bundle>,
    pub(crate) groups: BTreeMap<PlacementGroupId, bundle::Group>,
    /// Groups whose late tasks are told why they fail.
    pub(crate) removed_groups: Recent<PlacementGroupId>,

    pub(crate) tasks: Table<TaskId, Task>,
    pub(crate) runs: Table<TaskId, Run>,
    /// Streams whose handles live.
    pub(crate) streams: Table<TaskId, Stream>,
    pub(crate) called: BTreeMap<ActorId, Called>,
    pub(crate) hosted: BTreeMap<ActorId, Hosted>,

    pub(crate) objects: Table<ObjectId, ObjectRecord>,
    pub(crate) rights: Rights,
    pub(crate) store: Store,
    /// Objects that were asked for at another node, and where they lie there once it has said.
    pub(crate) pulling: BTreeMap<ObjectId, (NodeId, Option<crate::effect::Location>)>,
    /// Room that is being written to from disk or from another node; it is not free before that has ended.
    pub(crate) restoring: BTreeMap<ObjectId, crate::effect::Location>,
    /// Objects that were freed while they were being written to disk.
    pub(crate) spills_to_drop: BTreeMap<ObjectId, crate::effect::Location>,
    /// Room that a session was given to fill, for objects that nobody wants any more.
    pub(crate) fills_to_drop: BTreeMap<(SessionId, ObjectId), crate::effect::Location>,

    pub(crate) view: Vec<NodeView>,
    /// Nodes that are gone for good.
    pub(crate) dead: Recent<NodeId>,
    /// When the head was last heard, if it is another node.
    pub(crate) head_heard: Time,
    /// The others go on without this node.
    pub(crate) is_given_up: bool,
    /// Counts that are held for other nodes, which were sent refs of a third and are not counted there yet.
    pub(crate) passing: BTreeMap<(NodeId, ObjectId), u32>,
    pub(crate) tasks_finished: u64,
    pub(crate) next_declaration: u64,
    pub(crate) next_order: u64,
}

/// All work of one driver.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) namespace: Arc<str>,
    /// The driver; `None` once it is gone.
    pub(crate) driver: Option<SessionId>,
    pub(crate) want_logs: bool,
    /// Shipped definitions, kept until the job ends.
    pub(crate) code: BTreeSet<ObjectId>,
    /// The job's arena, once something large was stored.
    pub(crate) arena: Option<u32>,
}

impl Node {
    pub(crate) fn new(config: Config) -> Node {
        let seed = Seed(config.seed);
        let mut node = Node {
            me: config.node,
            now: Time::ZERO,
            out: Vec::new(),
            mail: Vec::new(),
            timers: BTreeSet::new(),
            sessions: BTreeMap::new(),
            pacing_drivers: 0,
            windows: 0,
            jobs: BTreeMap::new(),
            pools: Pools::default(),
            workers: BTreeMap::new(),
            next_worker: 1,
            available: config.resources.clone(),
            classes: BTreeMap::new(),
            class_ids: BTreeMap::new(),
            routes: Routes::new(seed),
            next_class: 1,
            waiting: BTreeSet::new(),
            last_served: ClassId(0),
            schedule_due: false,
            bundles: BTreeMap::new(),
            groups: BTreeMap::new(),
            removed_groups: Recent::new(DEAD_MAX),
            tasks: Table::new(seed),
            runs: Table::new(seed),
            streams: Table::new(seed),
            called: BTreeMap::new(),
            hosted: BTreeMap::new(),
            objects: Table::new(seed),
            rights: Rights::new(),
            store: Store::new(config.store_bytes),
            pulling: BTreeMap::new(),
            restoring: BTreeMap::new(),
            spills_to_drop: BTreeMap::new(),
            fills_to_drop: BTreeMap::new(),
            view: Vec::new(),
            dead: Recent::new(DEAD_MAX),
            head_heard: Time::ZERO,
            is_given_up: false,
            passing: BTreeMap::new(),
            tasks_finished: 0,
            next_declaration: 0,
            next_order: 0,
            config,
        };
        node.join();
        node
    }

    pub(crate) fn set_now(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    pub(crate) fn handle(&mut self, input: Input) {
        match input {
            Input::SessionOpened { session, peer } => self.session_opened(session, peer),
            Input::SessionClosed { session } => self.session_closed(session),
            Input::Op { session, op } => {
                if let Err(failure) = self.take_op(session, op) {
                    self.out.push(Effect::Refuse { session, failure });
                }
            }
            Input::WorkerStarted { worker, pid } => self.worker_started(worker, pid),
            Input::WorkerStartFailed { worker, reason } => self.worker_start_failed(worker, &reason),
            Input::WorkerExited { worker, status, last_words } => {
                self.worker_exited(worker, status, &last_words)
            }
            Input::WorkerPrinted { worker, lines } => self.worker_printed(worker, lines),
            Input::Memory { total, available, workers } => self.memory_read(total, available, &workers),
            Input::Spilled { object, result } => self.spilled(object, result),
            Input::Punched { location } => self.punched(location),
            Input::Restored { object, result } => self.restored(object, result),
            Input::BytesSent { session, object } => self.unpin(session, object),
            Input::Copied { object, from, result } => self.copied(object, from, result),
            Input::Packet { .. } | Input::Tick => {}
        }
    }

    pub(crate) fn handle_peer(&mut self, from: NodeId, message: PeerMessage) {
        self.take_peer_message(from, message);
        if self.schedule_due {
            self.schedule();
        }
    }

    pub(crate) fn send(&mut self, session: SessionId, message: Message) {
        self.out.push(Effect::Send { session, message });
    }

    pub(crate) fn mail(&mut self, to: NodeId, message: PeerMessage) {
        self.mail.push((to, message));
    }

    /// To the control plane, wherever it runs.
    pub(crate) fn mail_head(&mut self, message: PeerMessage) {
        self.mail.push((self.config.head, message));
    }
}

/// An operation that makes no sense.
pub(crate) fn invalid(message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::new(Code::InvalidArgument, message))
}
