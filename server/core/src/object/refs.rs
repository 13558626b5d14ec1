//! Counting. An object lives while a session, a task, a value that refers to it, or another node counts it.

use std::sync::Arc;

use thornback_types::{ActorId, Code, Failure, JobId, NodeId, ObjectId, SessionId, TaskId};

use crate::effect::{Message, Outcome};
use crate::message::{Owners, PeerMessage, RemoteOutcome, StoredArg};
use crate::node::Node;
use crate::object::ready::unknown;
use crate::object::{ObjectRecord, ObjectState};

impl Node {
    /// Makes a record that nobody counts yet.
    pub(crate) fn new_object(&mut self, object: ObjectId, job: JobId) {
        let me = self.me;
        self.objects.get_or_insert_with(object, || ObjectRecord::new(me, job));
    }

    /// An object that the session is told of when it is ready, and counts.
    pub(crate) fn new_output(&mut self, session: SessionId, object: ObjectId, job: JobId) {
        let me = self.me;
        // An item of a stream that was stored is known already, and where its bytes lie.
        let record = self.objects.get_or_insert_with(object, || ObjectRecord::new(me, job));
        if let Some(state) = self.sessions.get_mut(&session) {
            *state.held.get_or_insert_with(object, || 0) += 1;
            record.count += 1;
            record.watcher = Some(session);
        }
    }

    /// One more count by the session on something that it may use. Ids that nobody knows are not counted: reading them says that they are gone.
    pub(crate) fn session_hold(&mut self, session: SessionId, object: ObjectId) {
        if self.objects.contains_key(&object) && self.may_use(session, object) {
            self.session_count(session, object);
        }
    }

    pub(crate) fn session_count(&mut self, session: SessionId, object: ObjectId) {
        if let Some(state) = self.sessions.get_mut(&session) {
            *state.held.get_or_insert_with(object, || 0) += 1;
            self.hold(object);
        }
    }

    /// One count less by the session; nothing if it has none.
    pub(crate) fn session_drop(&mut self, session: SessionId, object: ObjectId) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let was_held = state.held.change(&object, |count| {
            *count -= 1;
            *count > 0
        });
        if was_held {
            self.release(object, 1);
        }
    }

    pub(crate) fn hold(&mut self, object: ObjectId) {
        if let Some(record) = self.objects.get_mut(&object) {
            record.count += 1;
        }
    }

    pub(crate) fn release(&mut self, object: ObjectId, counts: u32) {
        let me = self.me;
        let mut is_unreferenced = false;
        self.objects.change(&object, |record| {
            record.count = record.count.saturating_sub(counts);
            let is_over = record.count == 0 && record.is_lone(object, me);
            is_unreferenced = record.count == 0 && !is_over;
            !is_over
        });
        if is_unreferenced {
            self.unreferenced(object);
        }
    }

    /// Counts what stored bytes refer to for as long as this node knows the object. (What an earlier run of its task had stored may have referred to
    /// something else.)
    pub(crate) fn note_contents(&mut self, object: ObjectId, refs: Vec<ObjectId>) {
        for inner in &refs {
            self.hold(*inner);
        }
        let known = self.objects.get_mut(&object).filter(|record| !refs.is_empty() || record.rare.is_some());
        let before = match known {
            Some(record) => std::mem::replace(&mut record.rare().refs, refs),
            None => refs,
        };
        for inner in before {
            self.release(inner, 1);
        }
    }

    /// Nothing on this node counts it: it ends, unless another node does, or a reader still reads.
    pub(crate) fn unreferenced(&mut self, object: ObjectId) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        if record.count > 0 || record.pins > 0 {
            return;
        }
        let copy = record.copy;
        if self.is_being_put(object, copy) {
            // Who fills it has its count once it is sealed; what named it meanwhile may come and go.
            return;
        }
        let Some(record) = self.objects.get_mut(&object) else { return };
        let borrowed = record.rare.as_ref().is_some_and(|rare| {
            !rare.borrowers.is_empty() || rare.kept_for_owner || !rare.pullers.is_empty()
        });
        if borrowed {
            self.return_grants_of_kept(object);
            return;
        }
        if record.owner == self.me && record.is_plain() && object.0.index() != 0 {
            // Small, and nobody else has heard of it.
            return self.remove_record(object);
        }
        let (owner, grants) =
            (record.owner, record.rare.as_mut().map_or(0, |rare| std::mem::take(&mut rare.grants)));
        if owner == self.me {
            self.free(object);
        } else {
            self.forget_object(object);
            self.mail(owner, PeerMessage::Return { object, grants, keeps: false });
            if object.0.index() == 0 {
                self.forget_called_if_unused(ActorId(object.0));
            }
        }
    }

    /// Bytes that are kept for their owner stay; but the owner must hear that nobody here counts them, or it would keep them for this node, and
    /// this node for it.
    fn return_grants_of_kept(&mut self, object: ObjectId) {
        let me = self.me;
        let Some(record) = self.objects.get_mut(&object).filter(|record| record.owner != me) else { return };
        let owner = record.owner;
        let Some(rare) = record.rare.as_mut().filter(|rare| rare.kept_for_owner && rare.grants > 0) else {
            return;
        };
        let grants = std::mem::take(&mut rare.grants);
        self.mail(owner, PeerMessage::Return { object, grants, keeps: true });
    }

    fn free(&mut self, object: ObjectId) {
        if object.0.index() == 0 {
            self.remove_record(object);
            if self.streams.contains_key(&TaskId(object.0)) {
                self.stream_dropped(TaskId(object.0));
            } else {
                self.actor_unreferenced(ActorId(object.0));
            }
            return;
        }
        let elsewhere =
            self.objects.get(&object).map(|record| record.elsewhere().to_vec()).unwrap_or_default();
        let stored =
            self.objects.get(&object).is_some_and(|record| matches!(record.state, ObjectState::Stored(_)));
        self.forget_object(object);
        for node in elsewhere {
            self.mail(node, PeerMessage::FreeCopy { object });
        }
        if stored {
            self.lineage_unneeded(object.task());
        }
    }

    /// Forgets the record and its bytes, and gives back the counts that the value had.
    pub(crate) fn forget_object(&mut self, object: ObjectId) {
        self.drop_bytes(object);
        self.remove_record(object);
    }

    fn remove_record(&mut self, object: ObjectId) {
        let Some(record) = self.objects.remove(&object) else { return };
        self.forget_rights_to(object, &record);
        if let Some(rare) = &record.rare {
            self.tell_fetchers_of_nothing(object, &rare.fetchers);
            // A session that asked for it and let go of it again has asked all the same.
            for watcher in rare.watchers.iter().filter(|_| record.is_pending()) {
                let outcome = Outcome::Failure(Arc::new(unknown(object)));
                self.send(*watcher, Message::Completion { object, outcome });
            }
        }
        for inner in record.contained() {
            self.release(*inner, 1);
        }
    }

    pub(crate) fn owner_of(&self, object: ObjectId) -> NodeId {
        self.objects.get(&object).map_or(self.me, |record| record.owner)
    }

    /// Sees to it that another node may use these refs, which are about to be sent to it.
    pub(crate) fn grant_all(&mut self, node: NodeId, refs: impl Iterator<Item = ObjectId>) -> Owners {
        let mut refs: Vec<ObjectId> = refs.collect();
        refs.sort_unstable();
        refs.dedup();
        let mut owners = Vec::with_capacity(refs.len());
        for object in refs {
            let Some(owner) = self.objects.get(&object).map(|record| record.owner) else { continue };
            if owner == node {
                // It needs no leave to use what it owns, and must not free it before the message is there: this node's own count is
                // returned on the same link, behind the message.
            } else if owner == self.me {
                self.granted(object, node, 1);
            } else if !self.dead.contains(node) {
                self.hold(object);
                *self.passing.entry((node, object)).or_insert(0) += 1;
            }
            owners.push((object, owner));
        }
        owners
    }

    /// The owner counts the node that this one gave a ref to: there is no need to count for it any more.
    pub(crate) fn passed_on(&mut self, object: ObjectId, node: NodeId) {
        let Some(count) = self.passing.get_mut(&(node, object)) else { return };
        *count -= 1;
        if *count == 0 {
            self.passing.remove(&(node, object));
        }
        self.release(object, 1);
    }

    /// Owner: another node was given a ref by `giver`.
    pub(crate) fn borrowed_by(&mut self, object: ObjectId, node: NodeId, giver: Option<NodeId>) {
        if self.objects.contains_key(&object) {
            self.granted(object, node, 1);
        } else if object.0.index() != 0 {
            // (What became of an actor, the registry says.)
            let failure = Self::lost(
                object,
                "the node that passed its ref on is gone",
                Code::ObjectLost,
                "Nobody counted it.",
            );
            let outcome = RemoteOutcome::Failure(Arc::new(failure));
            self.mail(node, PeerMessage::ObjectReady { object, outcome, owners: Vec::new() });
        }
        match giver {
            Some(giver) if giver == self.me => self.passed_on(object, node),
            Some(giver) => self.mail(giver, PeerMessage::Borrowed { object, node }),
            None => {}
        }
    }

    /// Nobody will say `Borrowed`: who was given the refs is gone, or their owner is.
    fn stop_passing(&mut self, is_void: impl Fn(&Node, NodeId, ObjectId) -> bool) {
        let void: Vec<(NodeId, ObjectId)> =
            self.passing.keys().copied().filter(|(node, object)| is_void(self, *node, *object)).collect();
        for key in void {
            if let Some(count) = self.passing.remove(&key) {
                self.release(key.1, count);
            }
        }
    }

    /// Counts for another node, or fewer of them.
    pub(crate) fn granted(&mut self, object: ObjectId, node: NodeId, change: i64) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        if self.dead.contains(node) {
            return;
        }
        let borrowers = &mut record.rare().borrowers;
        let count = borrowers.entry(node).or_insert(0);
        *count += change;
        if *count <= 0 {
            borrowers.remove(&node);
            self.unreferenced(object);
        }
    }

    /// Another node holds nothing of this any more.
    pub(crate) fn returned_by(&mut self, object: ObjectId, node: NodeId, grants: u32, keeps: bool) {
        if let Some(record) = self.objects.get_mut(&object) {
            if !keeps {
                record.rare().elsewhere.retain(|n| *n != node);
            }
            record.rare().remote_watchers.retain(|n| *n != node);
            self.granted(object, node, -i64::from(grants));
        }
    }

    /// Takes in refs that a message from `giver` brought (`None`: from one that only passes them on): records for those of other nodes, each with
    /// the count that came with it.
    pub(crate) fn adopt(&mut self, giver: Option<NodeId>, owners: &Owners, stored: &[StoredArg]) {
        let me = self.me;
        for (object, owner) in owners.iter().filter(|(_, owner)| *owner != me) {
            if self.dead.contains(*owner) {
                self.adopt_orphan(*object, *owner);
                continue;
            }
            let record =
                self.objects.get_or_insert_with(*object, || ObjectRecord::new(*owner, JobId::default()));
            // Each of two nodes may have taken the place of an owner that is gone: then this one needs no count at the other.
            let is_owners = record.owner == *owner;
            record.rare().grants += u32::from(is_owners);
            if giver != Some(*owner) {
                self.mail(*owner, PeerMessage::Borrow { object: *object, from: giver });
            }
            if !is_owners {
                self.mail(*owner, PeerMessage::Return { object: *object, grants: 1, keeps: true });
            }
        }
        for arg in stored {
            let Some(record) = self.objects.get_mut(&arg.object).filter(|record| record.owner != me) else {
                continue;
            };
            let news = record.is_pending();
            let holds_unknown = record.contained().is_empty() && !arg.refs.is_empty();
            let elsewhere = &mut record.rare().elsewhere;
            // (The list may be as old as an actor that is started again.)
            elsewhere.extend(arg.at.iter().filter(|node| **node != me && !self.dead.contains(**node)));
            elsewhere.sort_unstable();
            elsewhere.dedup();
            if news {
                record.state = ObjectState::Stored(arg.size);
            }
            if holds_unknown {
                self.note_contents(arg.object, arg.refs.clone());
            }
            if news {
                self.tell_waiters(arg.object, Outcome::Stored(arg.size));
            }
        }
    }

    /// Refs that a message brought and that nothing on this node took up are given back.
    pub(crate) fn return_unused(&mut self, owners: &Owners) {
        for (object, _) in owners {
            if self.objects.get(object).is_some_and(|record| record.count == 0) {
                self.unreferenced(*object);
            }
        }
    }

    /// A ref whose owner was gone before the ref came.
    fn adopt_orphan(&mut self, object: ObjectId, owner: NodeId) {
        let me = self.me;
        self.objects.get_or_insert_with(object, || {
            let mut record = ObjectRecord::new(me, JobId::default());
            record.state = ObjectState::Failure(owner_gone(owner));
            record
        });
    }

    /// An owner is gone, and with it whoever could say what became of its objects. This node takes its place for those that it knows: what it can
    /// read stays readable, and the rest has failed.
    pub(crate) fn owner_died(&mut self, node: NodeId) {
        self.stop_passing(|this, to, object| to == node || this.owner_of(object) == node);
        for object in self.objects.sorted_keys(|_, record| record.owner == node) {
            self.orphan(object, node);
            self.unreferenced(object);
        }
    }

    fn orphan(&mut self, object: ObjectId, owner: NodeId) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        record.owner = self.me;
        let rare = record.rare();
        rare.grants = 0;
        rare.kept_for_owner = false;
        if object.0.index() != 0 {
            self.object_failed(object, &owner_gone(owner));
        }
    }

    pub(crate) fn check_objects(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for object in self.objects.sorted_keys(|_, _| true) {
            let Some(record) = self.objects.get(&object) else { continue };
            let by_sessions: u32 = self.sessions.values().filter_map(|s| s.held.get(&object)).sum();
            if by_sessions > record.count {
                wrong.push(format!(
                    "{object} has {} counts, and sessions alone have {by_sessions}",
                    record.count
                ));
            }
            let pins: u32 = self.sessions.values().filter_map(|s| s.pins.get(&object)).sum();
            if pins > record.pins {
                wrong.push(format!("{object} has {} pins, and sessions alone have {pins}", record.pins));
            }
        }
        wrong
    }
}

fn owner_gone(node: NodeId) -> Arc<Failure> {
    let message = format!("The node {node}, which owned the object, is gone.");
    Arc::new(Failure::new(Code::OwnerDied, message))
}
