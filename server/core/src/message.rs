//! What nodes and the control plane tell each other, as one closed enum. Carried by [`crate::link`], in order and each once.
//!
//! A message that carries refs gives the receiver one count on each of them at its owner. If the sender is the owner, it has noted that before it
//! sends. If not, the sender counts for both until the receiver is counted itself: it says `Borrow` to the owner, and the owner `Borrowed` to the
//! sender. The receiver gives the count back with `Return` when nothing on it holds the ref any more (`object/refs.rs`).

#![expect(missing_docs, reason = "a field or variant has a comment where its name does not say it all")]

use std::sync::Arc;

use thornback_types::{
    ActorId, Code, Failure, JobId, NodeId, ObjectId, PlacementGroupId, Resources, SessionId, TaskId, Value,
};

use crate::effect::{Location, Reply};
use crate::input::{ActorOptions, Retries, Strategy};
use crate::task::TaskSpec;

/// Refs that a message carries, with the node that owns each.
pub type Owners = Vec<(ObjectId, NodeId)>;

/// From one machine to another; the two may live in one process.
#[derive(Debug, Clone)]
pub enum PeerMessage {
    // Node to head.
    Join {
        total: Resources,
        available: Resources,
    },
    Heartbeat {
        available: Resources,
    },
    RegisterActor {
        actor: Arc<ActorSpec>,
        reply: Option<(SessionId, u64)>,
    },
    ActorStarted {
        actor: ActorId,
        life: u32,
    },
    /// The constructor raised, or the actor can never be placed: it is dead.
    ActorNotStarted {
        actor: ActorId,
        life: u32,
        failure: Arc<Failure>,
    },
    /// Its worker died.
    ActorLost {
        actor: ActorId,
        life: u32,
        failure: Arc<Failure>,
    },
    /// It ended on purpose.
    ActorEnded {
        actor: ActorId,
        life: u32,
        failure: Arc<Failure>,
    },
    KillActor {
        actor: ActorId,
        restart: bool,
        graceful: bool,
        failure: Arc<Failure>,
    },
    SubscribeActor {
        actor: ActorId,
    },
    GetActor {
        name: String,
        namespace: String,
        session: SessionId,
        number: u64,
    },
    ListActors {
        namespace: Option<String>,
        session: SessionId,
        number: u64,
    },
    CreateGroup {
        group: PlacementGroupId,
        bundles: Vec<Resources>,
        strategy: Strategy,
        job: JobId,
    },
    /// If it is this job's.
    RemoveGroup {
        group: PlacementGroupId,
        job: JobId,
    },
    JobEnded {
        job: JobId,
    },
    /// The sender's idea of where a group lies is out of date: it is to be told, at once or when the group is placed.
    FindGroup {
        group: PlacementGroupId,
    },

    // Head to node.
    View {
        nodes: Vec<NodeView>,
    },
    /// For good: its id never comes back.
    NodeDead {
        node: NodeId,
    },
    /// The driver is gone: what was submitted for it anywhere ends.
    JobOver {
        job: JobId,
    },
    HostActor {
        actor: Arc<ActorSpec>,
        life: u32,
    },
    StopActor {
        actor: ActorId,
        life: u32,
        graceful: bool,
        failure: Arc<Failure>,
    },
    ActorState {
        actor: ActorId,
        state: ActorState,
    },
    /// `owners` holds the actor that was looked up, if handles to it are counted.
    Answer {
        session: SessionId,
        number: u64,
        reply: Reply,
        owners: Owners,
    },
    ReserveBundle {
        group: PlacementGroupId,
        bundle: u32,
        resources: Resources,
        /// Which try to place the group this is.
        round: u32,
    },
    ReleaseGroup {
        group: PlacementGroupId,
    },
    GroupPlaced {
        group: PlacementGroupId,
        job: JobId,
        bundles: Vec<NodeId>,
    },
    GroupRemoved {
        group: PlacementGroupId,
    },

    // Node to head: the answer to `ReserveBundle`.
    BundleReserved {
        group: PlacementGroupId,
        bundle: u32,
        ok: bool,
        round: u32,
    },

    // Owner of a task to the node that runs it.
    Assign {
        spec: Arc<TaskSpec>,
        attempt: u32,
        /// The life of the actor that a call is for; 0 for a task.
        life: u32,
        stored: Vec<StoredArg>,
        owners: Owners,
    },
    CancelRun {
        task: TaskId,
        attempt: u32,
        force: bool,
        code: Code,
    },
    ResumeRun {
        task: TaskId,
        attempt: u32,
        consumed: u64,
    },
    // And back.
    Finished {
        task: TaskId,
        attempt: u32,
        outcome: RunOutcome,
        owners: Owners,
    },
    Yielded {
        task: TaskId,
        attempt: u32,
        index: u64,
        item: RemoteOutput,
        owners: Owners,
    },

    // About objects, to their owner.
    WatchObject {
        object: ObjectId,
    },
    CancelOutput {
        object: ObjectId,
        force: bool,
        recursive: bool,
    },
    /// The sender was given a ref by `from`, which counts for it until it is told `Borrowed`; by nobody that counts, if that is absent.
    Borrow {
        object: ObjectId,
        from: Option<NodeId>,
    },
    /// The sender holds nothing of this any more; so many counts had been granted to it.
    Return {
        object: ObjectId,
        grants: u32,
        /// It has the bytes all the same, until `FreeCopy`.
        keeps: bool,
    },
    CopyAdded {
        object: ObjectId,
    },
    /// The copy at `at` turned out to be gone.
    CopyGone {
        object: ObjectId,
        at: NodeId,
    },
    // From the owner.
    ObjectReady {
        object: ObjectId,
        outcome: RemoteOutcome,
        owners: Owners,
    },
    FreeCopy {
        object: ObjectId,
    },
    /// `node`, which was given the ref by the receiver of this, is counted.
    Borrowed {
        object: ObjectId,
        node: NodeId,
    },

    // Between the node that has the bytes and one that wants them.
    Pull {
        object: ObjectId,
    },
    Offer {
        object: ObjectId,
        location: Option<Location>,
    },
    Pulled {
        object: ObjectId,
    },
}

/// A node as the head sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    pub node: NodeId,
    pub total: Resources,
    pub available: Resources,
}

/// How to make an actor, and whose it is.
#[derive(Debug)]
pub struct ActorSpec {
    pub actor: ActorId,
    /// The creation, run as a task on the node that is to host it.
    pub creation: Arc<TaskSpec>,
    pub options: ActorOptions,
    pub namespace: String,
    pub owner: NodeId,
    pub job: JobId,
    /// The job whose placement group it may be placed in.
    pub group_of: JobId,
    pub stored: Vec<StoredArg>,
    pub owners: Owners,
}

/// A large argument and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredArg {
    pub object: ObjectId,
    pub size: u64,
    pub at: Vec<NodeId>,
    /// What its value refers to.
    pub refs: Vec<ObjectId>,
}

/// What stored arguments refer to.
pub(crate) fn contained_in(stored: &[StoredArg]) -> impl Iterator<Item = ObjectId> + '_ {
    stored.iter().flat_map(|arg| arg.refs.iter().copied())
}

/// An actor's life as its callers see it.
#[derive(Debug, Clone)]
pub enum ActorState {
    Pending,
    /// `retries` is what its calls have that name none of their own.
    Alive {
        node: NodeId,
        life: u32,
        retries: Retries,
    },
    Restarting {
        life: u32,
    },
    Dead {
        failure: Arc<Failure>,
    },
}

/// How a run ended.
#[derive(Debug, Clone)]
pub enum RunOutcome {
    /// The worker answered with results.
    Results(Vec<RemoteOutput>),
    /// The worker answered with a failure.
    Failed(Arc<Failure>),
    /// The worker died with it, or may have; `failure` says how.
    Lost(Arc<Failure>),
    /// It has certainly not started.
    NotRun,
}

/// A result on its way to its owner.
#[derive(Debug, Clone)]
pub enum RemoteOutput {
    Value(Value),
    /// In the sender's store.
    Stored {
        size: u64,
        refs: Vec<ObjectId>,
    },
}

/// What an owner says of an object.
#[derive(Debug, Clone)]
pub enum RemoteOutcome {
    Value(Value),
    Failure(Arc<Failure>),
    Stored { size: u64, at: Vec<NodeId>, refs: Vec<ObjectId> },
}

impl PeerMessage {
    /// Whether the control plane is meant, wherever it runs.
    #[must_use]
    pub fn is_for_head(&self) -> bool {
        use PeerMessage as M;
        matches!(
            self,
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
                | M::BundleReserved { .. }
        )
    }
}
