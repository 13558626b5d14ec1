//! Making room: what was used longest ago goes to disk, and comes back when it is asked for.

use std::collections::VecDeque;

use thornback_types::{Code, Failure, ObjectId};

use crate::effect::{Effect, Location};
use crate::input::StoreError;
use crate::node::Node;
use crate::object::Copy;
use crate::object::arena::padded;
use crate::object::store::{Wanted, Why};

impl Node {
    /// Evicts until `size` bytes are free, or will be once what is being written is on disk.
    pub(super) fn make_room(&mut self, size: u64) {
        if self.store.disk_full.is_some() && self.store.spilling == 0 {
            if !self.let_go_of_copies(size) && self.store.spilling == 0 {
                return self.fail_for_want_of_disk();
            }
            self.store.disk_full = None;
            return;
        }
        while self.store.free_bytes() + self.store.spilling < padded(size) || self.store.spilling == 0 {
            let Some((_, object)) = self.store.by_use.pop_first() else { return };
            if self.leave_on_disk(object) {
                if self.store.free_bytes() >= padded(size) {
                    return;
                }
                continue;
            }
            let Some(record) = self.objects.get_mut(&object) else { continue };
            record.used = 0;
            let Copy::Here(location) = record.copy else { continue };
            record.copy = Copy::Spilling(location);
            self.store.spilling += padded(location.size);
            self.out.push(Effect::Spill { object, location });
        }
    }

    /// Frees the memory of an object that was read back before and whose file is still good. `false` if it is in memory only.
    fn leave_on_disk(&mut self, object: ObjectId) -> bool {
        let Some(record) = self.objects.get_mut(&object) else { return false };
        let (Copy::Here(location), true) = (record.copy, record.on_disk) else { return false };
        record.used = 0;
        record.copy = Copy::OnDisk(location.size);
        self.free_location(location);
        true
    }

    /// Makes room although the disk is full: of what is in memory and on disk, memory can do without. Says whether it was enough.
    fn let_go_of_copies(&mut self, size: u64) -> bool {
        let on_disk = |object: &ObjectId| self.objects.get(object).is_some_and(|record| record.on_disk);
        let copies: Vec<(u64, ObjectId)> = self
            .store
            .by_use
            .iter()
            .filter(|(_, object)| on_disk(object))
            .map(|(used, object)| (*used, *object))
            .collect();
        for (used, object) in copies {
            if self.store.free_bytes() >= padded(size) {
                break;
            }
            self.store.by_use.remove(&used);
            self.leave_on_disk(object);
        }
        self.store.free_bytes() >= padded(size)
    }

    pub(crate) fn spilled(&mut self, object: ObjectId, result: Result<(), StoreError>) {
        if let Some(location) = self.spills_to_drop.remove(&object) {
            self.store.spilling = self.store.spilling.saturating_sub(padded(location.size));
            self.free_location(location);
            if result.is_ok() {
                self.out.push(Effect::DeleteSpilled { object });
            }
            // There may be new bytes by now.
            self.touch(object);
            self.serve_fetchers(object);
            return self.serve_room();
        }
        let Some(record) = self.objects.get_mut(&object) else { return };
        let Copy::Spilling(location) = record.copy else { return };
        self.store.spilling = self.store.spilling.saturating_sub(padded(location.size));
        match result {
            Ok(()) => {
                self.store.disk_full = None;
                self.store.disk_refused = None;
                self.store.spilled_bytes += location.size;
                record.on_disk = true;
                if record.pins > 0 {
                    // Somebody began to read it meanwhile. It may go later without being written again.
                    record.copy = Copy::Here(location);
                } else {
                    record.copy = Copy::OnDisk(location.size);
                    self.free_location(location);
                }
            }
            Err(error) => {
                record.copy = Copy::Here(location);
                self.touch(object);
                if self.store.spilling == 0 {
                    self.store.disk_full = Some(say(&error));
                }
            }
        }
        self.serve_room();
    }

    /// Nothing more can be written to disk: those that wait to fill something fail, and everything that is stored stays.
    fn fail_for_want_of_disk(&mut self) {
        let Some(reason) = self.store.disk_full.take() else { return };
        let failure = Failure::new(
            Code::OutOfDisk,
            format!(
                "The object store is full and its objects cannot be spilled: {reason}. Free disk space, set --spill-dir to a larger disk, or let go of objects."
            ),
        );
        // What is to be read back or copied is stored already, and not lost for want of disk: it waits for what is in use to be let go.
        let (fills, others): (VecDeque<Wanted>, VecDeque<Wanted>) = std::mem::take(&mut self.store.queue)
            .into_iter()
            .partition(|wanted| matches!(wanted.why, Why::Fill(_)));
        self.store.queue = others;
        for wanted in fills {
            self.give_up_on_room(wanted, &failure);
        }
        self.store.disk_refused = Some(reason);
        if !self.room_may_come() {
            for wanted in std::mem::take(&mut self.store.queue) {
                let failure = self.no_room_to_come_back(&wanted);
                self.give_up_on_room(wanted, &failure);
            }
        }
    }

    /// Whether something in memory is in use, so that its end can make room: it is read, filled or brought back. (What waits to be evicted cannot
    /// make room once the disk is full.)
    fn room_may_come(&self) -> bool {
        let size = |object: &ObjectId| self.objects.get(object).map_or(0, |record| padded(record.bytes()));
        let idle: u64 = self.store.by_use.values().map(size).sum();
        self.store.used() > idle
    }

    /// Why what is stored cannot be read now. It is not lost.
    pub(super) fn no_room_to_come_back(&self, wanted: &Wanted) -> Failure {
        let full = match &self.store.disk_refused {
            Some(reason) => format!(
                "the store of {} bytes is full, and nothing can leave it because the disk refuses it: {reason}",
                self.store.capacity
            ),
            None => {
                format!("the store of {} bytes is full of objects that are being read", self.store.capacity)
            }
        };
        let message = format!(
            "There is no room in memory to bring {} bytes of the object {} back: {full}. It is not lost: let go of other objects or free disk space, and read it again.",
            wanted.size, wanted.object
        );
        self.store_full(message, wanted.size)
    }

    pub(super) fn restore_into(&mut self, object: ObjectId, location: Location) {
        let Some(record) =
            self.objects.get_mut(&object).filter(|record| matches!(record.copy, Copy::OnDisk(_)))
        else {
            return self.free_location(location);
        };
        record.copy = Copy::Coming(location);
        self.restoring.insert(object, location);
        self.out.push(Effect::Restore { object, location });
    }

    pub(crate) fn restored(&mut self, object: ObjectId, result: Result<(), StoreError>) {
        let Some(location) = self.restoring.remove(&object) else { return };
        let record = self.objects.get_mut(&object).filter(|record| record.copy == Copy::Coming(location));
        let Some(record) = record else {
            // It was freed meanwhile; its room was kept until nothing writes there any more.
            self.free_location(location);
            self.serve_fetchers(object);
            return self.serve_room();
        };
        match result {
            Ok(()) => {
                record.copy = Copy::Here(location);
                self.serve_fetchers(object);
                self.touch(object);
            }
            Err(error) => {
                record.copy = Copy::None;
                record.on_disk = false;
                self.store.spilled_bytes = self.store.spilled_bytes.saturating_sub(location.size);
                self.free_location(location);
                self.out.push(Effect::DeleteSpilled { object });
                self.copy_lost(object, &format!("its bytes on disk cannot be read back: {}", say(&error)));
            }
        }
        self.serve_room();
    }
}

fn say(error: &StoreError) -> String {
    match error {
        StoreError::OutOfDisk(text) => format!("no space is left on the disk ({text})"),
        StoreError::Damaged(text) => format!("the file is damaged ({text})"),
        StoreError::Io(text) => text.clone(),
    }
}
