//! Objects: who counts them, whether they are ready, and where their bytes lie.
//!
//! ```text
//! value:  Pending ──▶ Value | Failure | Stored          Stored ──all copies lost──▶ Pending (made again) | Failure
//! bytes:  None ──▶ Creating ──sealed──▶ Here ⇄ (Spilling) ⇄ OnDisk ──▶ Coming ──▶ Here
//! ```

mod arena;
mod copy;
mod lineage;
mod ready;
mod refs;
mod spill;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use thornback_types::{Failure, JobId, NodeId, ObjectId, SessionId, TaskId, Value};

pub(crate) use ready::unknown;
pub(crate) use store::Store;

use crate::effect::Location;

/// All that a node knows of an object.
#[derive(Debug)]
pub(crate) struct ObjectRecord {
    pub(crate) owner: NodeId,
    pub(crate) job: JobId,
    /// Counts of sessions, tasks and containing values on this node.
    pub(crate) count: u32,
    pub(crate) state: ObjectState,
    pub(crate) copy: Copy,
    /// The bytes are on disk too, so that the copy in memory may go without being written.
    pub(crate) on_disk: bool,
    pub(crate) pins: u32,
    /// Place in the store's order of last use; 0 if it must stay.
    pub(crate) used: u64,
    pub(crate) watcher: Option<SessionId>,
    pub(crate) rare: Option<Box<Rare>>,
}

/// What few objects have.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) watchers: Vec<SessionId>,
    pub(crate) remote_watchers: Vec<NodeId>,
    /// Tasks that wait for it.
    pub(crate) tasks: Vec<TaskId>,
    /// Who waits for the bytes to be near.
    pub(crate) fetchers: Vec<Fetcher>,
    /// What a stored value refers to.
    pub(crate) refs: Vec<ObjectId>,
    /// Owner: counts that other nodes have been granted and have not returned.
    pub(crate) borrowers: BTreeMap<NodeId, i64>,
    /// Borrower: counts that were granted to this node.
    pub(crate) grants: u32,
    /// Other nodes that have the bytes.
    pub(crate) elsewhere: Vec<NodeId>,
    /// Kept here for an owner elsewhere until it says that it may go.
    pub(crate) kept_for_owner: bool,
    /// Nodes that were asked for the bytes and have not got them.
    pub(crate) pullers: Vec<NodeId>,
    /// Jobs that did not make it and have a right to it.
    pub(crate) given_to: Vec<JobId>,
}

/// Whether the value is there.
#[derive(Debug, Clone)]
pub(crate) enum ObjectState {
    Pending,
    Value(Value),
    Failure(Arc<Failure>),
    /// Of this many bytes, in a store.
    Stored(u64),
}

/// The bytes on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copy {
    None,
    /// Asked for, and waiting for room of this size.
    Wanted(u64),
    Creating(Location, SessionId),
    Here(Location),
    Spilling(Location),
    OnDisk(u64),
    /// From disk or from another node.
    Coming(Location),
}

/// Who waits for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetcher {
    Session(SessionId),
    Run(TaskId),
    /// Another node pulls.
    Node(NodeId),
    /// Nobody in particular: bring it near.
    Quiet,
}

impl ObjectRecord {
    pub(crate) fn new(owner: NodeId, job: JobId) -> ObjectRecord {
        ObjectRecord {
            owner,
            job,
            count: 0,
            state: ObjectState::Pending,
            copy: Copy::None,
            on_disk: false,
            pins: 0,
            used: 0,
            watcher: None,
            rare: None,
        }
    }

    /// Whether there is nothing to it but an inline value, a failure, or the wait for one.
    pub(crate) fn is_plain(&self) -> bool {
        self.rare.is_none()
            && self.copy == Copy::None
            && !self.on_disk
            && !matches!(self.state, ObjectState::Stored(_))
    }

    /// Whether nothing else is to be done once nobody counts it: most objects, which are small, refer to nothing, and of which nobody else has heard.
    pub(crate) fn is_lone(&self, id: ObjectId, me: NodeId) -> bool {
        self.pins == 0
            && self.owner == me
            && id.0.index() != 0
            && self.is_plain()
            && self.contained().is_empty()
    }

    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, ObjectState::Pending)
    }

    /// The bytes are on this node, in memory or on disk, or on their way from one to the other.
    pub(crate) fn is_here(&self) -> bool {
        match self.copy {
            Copy::Here(_) | Copy::Spilling(_) | Copy::OnDisk(_) => true,
            Copy::Coming(_) => self.on_disk,
            Copy::None | Copy::Wanted(_) | Copy::Creating(..) => false,
        }
    }

    pub(crate) fn is_readable_here(&self) -> bool {
        matches!(self.copy, Copy::Here(_) | Copy::Spilling(_))
    }

    pub(crate) fn location(&self) -> Option<Location> {
        match self.copy {
            Copy::Here(location) | Copy::Spilling(location) => Some(location),
            _ => None,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match (&self.state, self.copy) {
            (ObjectState::Value(value), _) => value.size() as u64,
            (ObjectState::Stored(size), _) => *size,
            (
                _,
                Copy::Here(location)
                | Copy::Creating(location, _)
                | Copy::Spilling(location)
                | Copy::Coming(location),
            ) => location.size,
            (_, Copy::OnDisk(size)) => size,
            _ => 0,
        }
    }

    pub(crate) fn elsewhere(&self) -> &[NodeId] {
        self.rare.as_ref().map_or(&[], |rare| &rare.elsewhere)
    }

    /// What the value refers to.
    pub(crate) fn contained(&self) -> &[ObjectId] {
        match &self.state {
            ObjectState::Value(value) => value.refs(),
            _ => self.rare.as_ref().map_or(&[], |rare| &rare.refs),
        }
    }

    pub(crate) fn describe(&self) -> &'static str {
        match (&self.state, self.copy) {
            (ObjectState::Pending, Copy::Creating(..)) => "being filled",
            (ObjectState::Pending, _) => "pending",
            (ObjectState::Value(_), _) => "inline",
            (ObjectState::Failure(_), _) => "failed",
            (ObjectState::Stored(_), Copy::Here(_)) => "in memory",
            (ObjectState::Stored(_), Copy::Spilling(_)) => "being spilled",
            (ObjectState::Stored(_), Copy::OnDisk(_)) => "on disk",
            (ObjectState::Stored(_), Copy::Coming(_) | Copy::Wanted(_)) => "coming near",
            (ObjectState::Stored(_), _) => "elsewhere",
        }
    }
}
