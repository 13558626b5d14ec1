//! Bytes that lie on other nodes: bringing them here, keeping them for their owner, letting them go.
//!
//! A node that wants bytes asks one that has them (`Pull`), is told where they lie (`Offer`; they stay there until `Pulled`), makes room, and has
//! them copied. The owner keeps the list of who has a copy.

use thornback_types::{Code, Failure, NodeId, ObjectId};

use crate::effect::{Effect, Location};
use crate::input::StoreError;
use crate::message::PeerMessage;
use crate::node::Node;
use crate::node::timer::Timer;
use crate::object::store::Why;
use crate::object::{Copy, Fetcher, ObjectState};

impl Node {
    /// The bytes are wanted and not on this node: ask one that has them; if nobody has, they are lost.
    pub(super) fn look_elsewhere(&mut self, object: ObjectId) {
        let Some(record) = self.objects.get(&object) else { return };
        if !matches!(record.copy, Copy::None) || self.is_in_motion(object) {
            return;
        }
        match record.elsewhere().first().copied() {
            Some(node) => {
                self.pulling.insert(object, (node, None));
                self.mail(node, PeerMessage::Pull { object });
            }
            None if record.owner == self.me => self.copy_lost(object, "no node has it any more"),
            None => {
                // The owner may know of a copy, or have it made again.
                let owner = record.owner;
                self.mail(owner, PeerMessage::CopyGone { object, at: self.me });
            }
        }
    }

    /// Whether bytes of this object are still being moved for an earlier record of it. What waits is served once that has ended.
    pub(super) fn is_in_motion(&self, object: ObjectId) -> bool {
        self.pulling.contains_key(&object)
            || self.restoring.contains_key(&object)
            || self.spills_to_drop.contains_key(&object)
    }

    /// Another node wants the bytes.
    pub(crate) fn pulled_by(&mut self, object: ObjectId, node: NodeId) {
        if self.objects.get(&object).is_some_and(super::ObjectRecord::is_here) {
            self.bring_near(object, Fetcher::Node(node));
        } else {
            self.mail(node, PeerMessage::Offer { object, location: None });
        }
    }

    pub(super) fn offer(&mut self, object: ObjectId, node: NodeId) {
        if self.dead.contains(node) {
            return;
        }
        let location = self.objects.get(&object).and_then(super::ObjectRecord::location);
        if location.is_some() {
            self.pin_record(object);
            if let Some(record) = self.objects.get_mut(&object) {
                record.rare().pullers.push(node);
            }
        }
        self.mail(node, PeerMessage::Offer { object, location });
    }

    /// See [`crate::Core::has_offered`].
    pub(crate) fn has_offered(&self, object: ObjectId, to: NodeId, location: Location) -> bool {
        self.objects.get(&object).is_some_and(|record| {
            record.location() == Some(location)
                && record.rare.as_ref().is_some_and(|rare| rare.pullers.contains(&to))
        })
    }

    /// The other node has them, or does not want them any more.
    pub(crate) fn pull_over(&mut self, object: ObjectId, node: NodeId) {
        let Some(rare) = self.objects.get_mut(&object).and_then(|record| record.rare.as_mut()) else {
            return;
        };
        let Some(at) = rare.pullers.iter().position(|puller| *puller == node) else { return };
        rare.pullers.swap_remove(at);
        self.unpin_many(object, 1);
    }

    /// The answer to a pull.
    pub(crate) fn offered(&mut self, object: ObjectId, node: NodeId, location: Option<Location>) {
        let expected = self.pulling.get(&object).is_some_and(|(from, _)| *from == node);
        let wanted = self.objects.get(&object).is_some_and(|record| matches!(record.copy, Copy::None));
        match location {
            Some(remote) if expected && wanted => {
                self.pulling.insert(object, (node, Some(remote)));
                self.want_room(self.wanted(object, remote.size, Why::Copy));
            }
            Some(_) => {
                if expected {
                    self.pulling.remove(&object);
                }
                self.mail(node, PeerMessage::Pulled { object });
            }
            None if expected => self.copy_gone_at(object, node),
            None => {}
        }
    }

    /// There is no room for it here, or no wish any more: the other node need not keep it where it is.
    pub(super) fn stop_pulling(&mut self, object: ObjectId) {
        if let Some(&(node, Some(_))) = self.pulling.get(&object) {
            self.pulling.remove(&object);
            self.mail(node, PeerMessage::Pulled { object });
        }
    }

    fn copy_gone_at(&mut self, object: ObjectId, node: NodeId) {
        self.pulling.remove(&object);
        let me = self.me;
        let Some(record) = self.objects.get_mut(&object) else { return };
        record.rare().elsewhere.retain(|n| *n != node);
        let owner = record.owner;
        if owner != me {
            self.mail(owner, PeerMessage::CopyGone { object, at: node });
        } else {
            self.serve_fetchers(object);
        }
    }

    pub(super) fn copy_into(&mut self, object: ObjectId, location: Location) {
        let Some(&(from, Some(remote))) = self.pulling.get(&object) else {
            return self.free_location(location);
        };
        let Some(record) = self.objects.get_mut(&object) else {
            self.pulling.remove(&object);
            self.mail(from, PeerMessage::Pulled { object });
            return self.free_location(location);
        };
        record.copy = Copy::Coming(location);
        self.restoring.insert(object, location);
        self.out.push(Effect::Copy { object, from, remote, location });
    }

    pub(crate) fn copied(&mut self, object: ObjectId, from: NodeId, result: Result<(), StoreError>) {
        let Some(location) = self.restoring.remove(&object) else { return };
        self.pulling.remove(&object);
        self.mail(from, PeerMessage::Pulled { object });
        let me = self.me;
        let record = self.objects.get_mut(&object).filter(|record| record.copy == Copy::Coming(location));
        let Some(record) = record else {
            // It was let go of meanwhile, and perhaps taken up again since.
            self.free_location(location);
            self.serve_fetchers(object);
            return self.serve_room();
        };
        match result {
            Ok(()) => {
                record.copy = Copy::Here(location);
                let owner = record.owner;
                if owner != me {
                    self.mail(owner, PeerMessage::CopyAdded { object });
                }
                self.serve_fetchers(object);
                self.touch(object);
            }
            Err(error) => {
                record.copy = Copy::None;
                let others = record.elsewhere().iter().any(|node| *node != from);
                let may_have_it = record.elsewhere().contains(&from) && !self.dead.contains(from);
                self.free_location(location);
                match error {
                    // The link broke off, and what lies on the other node outlives that. If the node does not, membership will say so.
                    StoreError::Io(_) if may_have_it && !others => {
                        self.at(self.now + self.config.heartbeat, Timer::Pull(object));
                    }
                    _ => self.copy_gone_at(object, from),
                }
            }
        }
        self.serve_room();
    }

    /// Owner: an output was stored by `from`. Whether somebody still wants it; if not, its bytes go.
    pub(crate) fn note_stored(&mut self, object: ObjectId, from: NodeId, refs: Vec<ObjectId>) -> bool {
        let me = self.me;
        let Some(record) = self.objects.get_mut(&object) else {
            self.discard_output(object, from);
            return false;
        };
        if !record.is_pending() {
            // Made again for the sake of another output, or in vain.
            if from != me && matches!(record.state, ObjectState::Stored(_)) {
                self.copy_added(object, from);
            } else if from != me {
                self.mail(from, PeerMessage::FreeCopy { object });
            }
            return false;
        }
        if from == me {
            return true;
        }
        let rare = record.rare();
        rare.elsewhere.push(from);
        rare.elsewhere.sort_unstable();
        rare.elsewhere.dedup();
        self.note_contents(object, refs);
        true
    }

    /// Owner: an output that came too late or that nobody wants.
    pub(crate) fn discard_output(&mut self, object: ObjectId, from: NodeId) {
        if from != self.me {
            self.mail(from, PeerMessage::FreeCopy { object });
        } else if self.objects.get(&object).is_some_and(|record| record.count == 0) {
            self.unreferenced(object);
        }
    }

    /// Not the owner: the bytes stay here until the owner lets them go. Whether the object is ready, and with these bytes, is the owner's word;
    /// who waits for it on this node waits for that.
    pub(crate) fn keep_for_owner(&mut self, object: ObjectId) {
        if let Some(record) = self.objects.get_mut(&object).filter(|record| record.is_here()) {
            record.rare().kept_for_owner = true;
            // Made again here while it was asked for elsewhere.
            self.serve_fetchers(object);
        }
    }

    pub(crate) fn free_copy(&mut self, object: ObjectId) {
        if let Some(record) = self.objects.get_mut(&object) {
            record.rare().kept_for_owner = false;
            self.unreferenced(object);
        }
    }

    /// Owner: another node has a copy, or no longer.
    pub(crate) fn copy_added(&mut self, object: ObjectId, node: NodeId) {
        match self.objects.get_mut(&object) {
            Some(record) => {
                let elsewhere = &mut record.rare().elsewhere;
                if !elsewhere.contains(&node) {
                    elsewhere.push(node);
                }
            }
            None => self.mail(node, PeerMessage::FreeCopy { object }),
        }
    }

    /// Owner: `asker` found no copy at `at`. It is told where else one is, which may take another run of the task.
    pub(crate) fn copy_gone(&mut self, object: ObjectId, at: NodeId, asker: NodeId) {
        let Some(record) = self.objects.get_mut(&object) else { return self.watched_by(object, asker) };
        record.rare().elsewhere.retain(|node| *node != at);
        if matches!(record.state, ObjectState::Stored(_))
            && !record.is_here()
            && record.elsewhere().is_empty()
        {
            self.copy_lost(object, "no node has it any more");
        }
        self.watched_by(object, asker);
    }

    /// A node is gone, and all bytes on it.
    pub(crate) fn copies_lost_with(&mut self, node: NodeId) {
        let on_it = self.objects.sorted_keys(|_, record| {
            record.rare.as_ref().is_some_and(|rare| {
                rare.elsewhere.contains(&node)
                    || rare.borrowers.contains_key(&node)
                    || rare.pullers.contains(&node)
            })
        });
        for object in on_it {
            let Some(record) = self.objects.get_mut(&object) else { continue };
            let rare = record.rare();
            rare.elsewhere.retain(|n| *n != node);
            rare.remote_watchers.retain(|n| *n != node);
            rare.borrowers.remove(&node);
            let pulls = rare.pullers.iter().filter(|n| **n == node).count() as u32;
            rare.pullers.retain(|n| *n != node);
            self.unpin_many(object, pulls);
            self.unreferenced(object);
        }
        let pulled: Vec<ObjectId> =
            self.pulling.iter().filter(|(_, (from, _))| *from == node).map(|(object, _)| *object).collect();
        for object in pulled {
            if !self.restoring.contains_key(&object) {
                self.store.queue.retain(|wanted| wanted.object != object);
                if let Some(record) =
                    self.objects.get_mut(&object).filter(|record| matches!(record.copy, Copy::Wanted(_)))
                {
                    record.copy = Copy::None;
                }
                self.copy_gone_at(object, node);
            }
        }
    }

    /// The last copy that this node knew of is gone.
    pub(super) fn copy_lost(&mut self, object: ObjectId, why: &str) {
        let Some(record) = self.objects.get(&object) else { return };
        if !record.elsewhere().is_empty() {
            return self.look_elsewhere(object);
        }
        if record.owner == self.me {
            self.reconstruct(object, why);
        } else {
            let owner = record.owner;
            self.mail(owner, PeerMessage::CopyGone { object, at: self.me });
        }
    }

    pub(super) fn lost(object: ObjectId, why: &str, code: Code, what_then: &str) -> Failure {
        Failure::new(code, format!("The object {object} is lost: {why}. {what_then}"))
    }
}
