//! The store of large objects: filling, reading, pinning, and the queue for room. Knows locations, never bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use thornback_types::{Code, Failure, JobId, ObjectId, SessionId, TaskId, Time};

use crate::effect::{Effect, Location, Message, Outcome};
use crate::node::timer::Timer;
use crate::node::{Node, Taken, invalid};
use crate::object::arena::{Arena, padded};
use crate::object::{Copy, Fetcher, ObjectState};

/// The arenas, and what waits for room in them.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) capacity: u64,
    arenas: BTreeMap<u32, (JobId, Arena)>,
    next_arena: u32,
    /// Evictable objects by time of last use.
    pub(super) by_use: BTreeMap<u64, ObjectId>,
    pub(super) uses: u64,
    /// Requests that wait for room, in order: small ones do not overtake a large one, which else might never be served.
    pub(super) queue: VecDeque<Wanted>,
    /// Being written to disk or given back to the system, to be free once that is done.
    pub(super) spilling: u64,
    /// Ranges whose pages are being given back, by arena and offset, and their sizes.
    pub(crate) punching: BTreeMap<(u32, u64), u64>,
    pub(crate) spilled_bytes: u64,
    /// Disk is full: the reason. Cleared by the next success.
    pub(super) disk_full: Option<String>,
    /// The same, and cleared only by a success: for people.
    pub(super) disk_refused: Option<String>,
}

/// Smaller ranges are not worth a call to the system.
const PUNCH_BYTES_MIN: u64 = 1 << 20;

/// A request for room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) object: ObjectId,
    pub(super) size: u64,
    pub(super) why: Why,
    /// When to give up.
    pub(super) until: Time,
}

/// What the room is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Fill(SessionId),
    Restore,
    /// From another node.
    Copy,
}

impl Store {
    pub(crate) fn new(capacity: u64) -> Store {
        Store {
            capacity,
            arenas: BTreeMap::new(),
            next_arena: 1,
            by_use: BTreeMap::new(),
            uses: 0,
            queue: VecDeque::new(),
            spilling: 0,
            punching: BTreeMap::new(),
            spilled_bytes: 0,
            disk_full: None,
            disk_refused: None,
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.arenas.values().map(|(_, arena)| arena.used).sum()
    }

    /// Requests for room that have not been served.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.capacity.saturating_sub(self.used())
    }

    pub(crate) fn check(&self) -> Vec<String> {
        let unsound = self.arenas.iter().filter(|(_, (_, arena))| !arena.is_sound());
        let mut wrong: Vec<String> =
            unsound.map(|(number, _)| format!("arena {number}: free and taken do not add up")).collect();
        if self.used() > self.capacity {
            wrong.push(format!("{} bytes are in use of {}", self.used(), self.capacity));
        }
        wrong
    }
}

impl Node {
    /// A session wants to fill an object.
    pub(crate) fn create(
        &mut self,
        session: SessionId,
        object: ObjectId,
        size: u64,
        task: Option<(TaskId, u32)>,
    ) -> Taken {
        match task {
            None => {
                self.check_new(object)?;
                let job = self.acting_job(session);
                self.new_object(object, job);
            }
            // If an earlier attempt stored it, and it is good, the worker is told so by the code (DUPLICATE_ID).
            Some((task, attempt)) => self.prepare_output(session, object, task, attempt)?,
        }
        if padded(size) > self.store.capacity {
            let message = format!(
                "The object has {size} bytes and the whole store {}; start the server with a larger --store-bytes.",
                self.store.capacity
            );
            let failure = self.store_full(message, size);
            self.give_up_on_room(self.wanted(object, size, Why::Fill(session)), &failure);
            return Ok(());
        }
        if let Some(state) = self.sessions.get_mut(&session) {
            state.creating.insert(object, 0);
        }
        self.want_room(self.wanted(object, size, Why::Fill(session)));
        Ok(())
    }

    /// An output may be filled only by the worker that runs its task; bytes of an earlier attempt make way.
    fn prepare_output(&mut self, session: SessionId, object: ObjectId, task: TaskId, attempt: u32) -> Taken {
        let worker = self.worker_of(session)?.0;
        let run = self
            .runs
            .get(&task)
            .filter(|run| run.worker == Some(worker) && run.attempt == attempt && object.task() == task);
        let Some(run) = run else {
            return Err(invalid(format!(
                "The session does not run attempt {attempt} of task {task}, so it cannot store its output {object}."
            )));
        };
        let (owner, job) = (run.spec.owner, run.spec.job);
        let record = self.record_for_output(object, owner, job);
        if !record.is_pending() && owner == record.owner && record.is_here() {
            return Err(Box::new(Failure::new(
                Code::DuplicateId,
                format!("The output {object} is there already."),
            )));
        }
        if let Copy::Creating(..) | Copy::Wanted(_) = record.copy {
            return Err(invalid(format!("The output {object} is being filled already.")));
        }
        self.drop_bytes(object);
        self.hold(object);
        if let Some(run) = self.runs.get_mut(&task) {
            run.filled.push(object);
        }
        Ok(())
    }

    pub(super) fn wanted(&self, object: ObjectId, size: u64, why: Why) -> Wanted {
        Wanted { object, size, why, until: self.now + self.config.store_wait }
    }

    pub(super) fn want_room(&mut self, wanted: Wanted) {
        if let Some(record) = self.objects.get_mut(&wanted.object) {
            record.copy = match record.copy {
                Copy::OnDisk(size) => Copy::OnDisk(size),
                _ => Copy::Wanted(wanted.size),
            };
        }
        self.store.queue.push_back(wanted);
        self.serve_room();
        if self.store.queue.iter().any(|waiting| waiting.object == wanted.object) {
            self.at(wanted.until, Timer::StoreWait(wanted.object));
        }
    }

    /// Gives room to those that wait for it, as far as there is room.
    pub(crate) fn serve_room(&mut self) {
        while let Some(wanted) = self.store.queue.front().copied() {
            let Some(job) = self.objects.get(&wanted.object).map(|record| record.job) else {
                self.store.queue.pop_front();
                continue;
            };
            let Some(location) = self.take_room(job, wanted.size) else {
                self.make_room(wanted.size);
                if let Some(location) = self.take_room(job, wanted.size) {
                    self.store.queue.pop_front();
                    self.give_room(wanted, location);
                    continue;
                }
                return;
            };
            self.store.queue.pop_front();
            self.give_room(wanted, location);
        }
    }

    fn take_room(&mut self, job: JobId, size: u64) -> Option<Location> {
        if self.store.free_bytes() < padded(size) {
            return None;
        }
        let arena = self.arena_of(job);
        let (_, free) = self.store.arenas.get_mut(&arena)?;
        free.take(size).map(|offset| Location { arena, offset, size })
    }

    fn arena_of(&mut self, job: JobId) -> u32 {
        let known = match self.jobs.get(&job) {
            Some(job) => job.arena,
            // Of another node, or of nobody.
            None => self.store.arenas.iter().find(|(_, (of, _))| *of == job).map(|(arena, _)| *arena),
        };
        if let Some(arena) = known {
            return arena;
        }
        let arena = self.store.next_arena;
        self.store.next_arena += 1;
        let size = self.store.capacity / super::arena::ALIGN * super::arena::ALIGN;
        self.store.arenas.insert(arena, (job, Arena::new(size)));
        if let Some(job) = self.jobs.get_mut(&job) {
            job.arena = Some(arena);
        }
        self.out.push(Effect::OpenArena { arena, size });
        arena
    }

    fn give_room(&mut self, wanted: Wanted, location: Location) {
        let object = wanted.object;
        match wanted.why {
            Why::Fill(session) => {
                let shared = self.sessions.get(&session).map(|s| s.shared_memory);
                let (Some(record), Some(shared)) = (self.objects.get_mut(&object), shared) else {
                    // Its filler is just ending; what it was to fill ends with it.
                    self.free_location(location);
                    if let Some(record) = self.objects.get_mut(&object) {
                        record.copy = Copy::None;
                        self.unreferenced(object);
                    }
                    return;
                };
                record.copy = Copy::Creating(location, session);
                let message = if shared {
                    Message::Created { object, outcome: Ok(location) }
                } else {
                    Message::CreatedRemote { object, size: location.size }
                };
                self.send(session, message);
            }
            Why::Restore => self.restore_into(object, location),
            Why::Copy => self.copy_into(object, location),
        }
    }

    /// Nothing made room for it in good time.
    pub(crate) fn store_wait_over(&mut self, object: ObjectId) {
        let overdue = |wanted: &Wanted| wanted.object == object && wanted.until <= self.now;
        let Some(at) = self.store.queue.iter().position(overdue) else { return };
        if self.store.spilling > 0 {
            // Disk is slow, but it moves.
            let until = self.now + self.config.store_wait;
            self.store.queue[at].until = until;
            self.at(until, Timer::StoreWait(object));
            return;
        }
        let Some(wanted) = self.store.queue.remove(at) else { return };
        let failure = match wanted.why {
            Why::Fill(_) => {
                let message = format!(
                    "There is no room for {} bytes: the store of {} bytes is full of objects that are being read. Let go of some, or start the server with a larger --store-bytes.",
                    wanted.size, self.store.capacity
                );
                self.store_full(message, wanted.size)
            }
            Why::Restore | Why::Copy => self.no_room_to_come_back(&wanted),
        };
        self.give_up_on_room(wanted, &failure);
        self.serve_room();
    }

    pub(super) fn store_full(&self, message: String, size: u64) -> Failure {
        Failure::new(Code::StoreFull, message)
            .with("wanted_bytes", size)
            .with("store_bytes", self.store.capacity)
            .with("free_bytes", self.store.free_bytes())
    }

    pub(super) fn give_up_on_room(&mut self, wanted: Wanted, failure: &Failure) {
        let object = wanted.object;
        match wanted.why {
            Why::Fill(session) => {
                if let Some(state) = self.sessions.get_mut(&session) {
                    state.creating.remove(&object);
                }
                if let Some(record) = self.objects.get_mut(&object) {
                    record.copy = Copy::None;
                    // A put that failed leaves nothing behind; an output's task says what became of it.
                    if record.count == 0 && record.is_pending() {
                        self.unreferenced(object);
                    }
                }
                self.send(session, Message::Created { object, outcome: Err(Box::new(failure.clone())) });
                self.never_put(object, failure.clone());
            }
            Why::Restore | Why::Copy => {
                if let Some(record) = self.objects.get_mut(&object)
                    && let Copy::Wanted(_) = record.copy
                {
                    record.copy = Copy::None;
                }
                self.stop_pulling(object);
                self.fail_fetchers(object, &Arc::new(failure.clone()));
            }
        }
    }

    /// Bytes from a session without shared memory, in order and without gaps.
    pub(crate) fn write(&mut self, session: SessionId, object: ObjectId, offset: u64, data: Bytes) -> Taken {
        if self.fills_to_drop.contains_key(&(session, object)) {
            return Ok(());
        }
        let location = self.being_filled(session, object)?;
        let size = data.len() as u64;
        let sent = self.sessions.get_mut(&session).and_then(|state| state.creating.get_mut(&object));
        let Some(sent) = sent.filter(|sent| **sent == offset && size <= location.size - offset) else {
            return Err(invalid(format!(
                "{size} bytes at {offset} are not the next of the object {object} of {} bytes.",
                location.size
            )));
        };
        *sent += size;
        let location = Location { arena: location.arena, offset: location.offset + offset, size };
        self.out.push(Effect::WriteArena { location, data });
        Ok(())
    }

    /// Where the object lies that this session fills.
    fn being_filled(&self, session: SessionId, object: ObjectId) -> Result<Location, Box<Failure>> {
        match self.objects.get(&object).map(|record| record.copy) {
            Some(Copy::Creating(location, by)) if by == session => Ok(location),
            Some(_) if !self.may_use(session, object) => {
                Err(invalid(format!("The object {object} was never created.")))
            }
            Some(Copy::Creating(..)) => {
                Err(invalid(format!("The object {object} is being filled by another session.")))
            }
            Some(_) => Err(invalid(format!("The object {object} is not being filled."))),
            None => Err(invalid(format!("The object {object} was never created."))),
        }
    }

    pub(crate) fn seal(&mut self, session: SessionId, object: ObjectId, mut refs: Vec<ObjectId>) -> Taken {
        if self.drop_filled(session, object) {
            return Ok(());
        }
        let location = self.being_filled(session, object)?;
        let state = self.sessions.get(&session).filter(|state| !state.shared_memory);
        if let Some(sent) =
            state.and_then(|state| state.creating.get(&object)).filter(|sent| **sent < location.size)
        {
            return Err(invalid(format!(
                "Only {sent} of the {} bytes of the object {object} were sent.",
                location.size
            )));
        }
        let Some(record) = self.objects.get_mut(&object) else { return Ok(()) };
        record.copy = Copy::Here(location);
        refs.retain(|object| self.may_use(session, *object));
        self.note_contents(object, refs);
        if let Some(state) = self.sessions.get_mut(&session) {
            state.creating.remove(&object);
        }
        // An output is ready when its task says so; a put is now.
        let is_output = self.runs.contains_key(&object.task());
        if !is_output {
            self.session_count(session, object);
            self.object_ready(object, Outcome::Stored(location.size));
        }
        self.touch(object);
        // What could not be spilled while it was being filled can be now.
        self.serve_room();
        Ok(())
    }

    pub(crate) fn abort(&mut self, session: SessionId, object: ObjectId) -> Taken {
        if self.sessions.get_mut(&session).is_some_and(|state| state.creating.remove(&object).is_some()) {
            self.abort_create(session, object);
        }
        Ok(())
    }

    /// The task is over: outputs that it began to fill and did not seal give their room back.
    pub(crate) fn abort_unsealed(&mut self, session: SessionId, task: TaskId) {
        let Some(state) = self.sessions.get_mut(&session).filter(|state| !state.creating.is_empty()) else {
            return;
        };
        let left: Vec<ObjectId> =
            state.creating.range(task.output(0)..=task.output(u32::MAX)).map(|(object, _)| *object).collect();
        for object in left {
            if let Some(state) = self.sessions.get_mut(&session) {
                state.creating.remove(&object);
            }
            self.abort_create(session, object);
        }
    }

    /// Whoever filled it is gone or has thought better of it.
    pub(crate) fn abort_create(&mut self, session: SessionId, object: ObjectId) {
        self.drop_filled(session, object);
        let waiting = self.store.queue.len();
        self.store.queue.retain(|wanted| wanted.object != object || wanted.why != Why::Fill(session));
        let waited = self.store.queue.len() < waiting;
        let filled = matches!(self.objects.get(&object).map(|record| record.copy), Some(Copy::Creating(_, by)) if by == session);
        if waited || filled {
            self.drop_bytes(object);
            self.unreferenced(object);
            self.serve_fetchers(object);
            let message = format!("The object {object} was given up before it was sealed.");
            self.never_put(object, Failure::new(Code::ObjectNotFound, message));
        }
        self.serve_room();
    }

    /// Nobody will fill an object any more. Tasks that name it as an argument would wait for ever. (What becomes of an output, its task says;
    /// that may be another node's, and its run here be over.)
    fn never_put(&mut self, object: ObjectId, failure: Failure) {
        let task = object.task();
        let is_output = self.runs.contains_key(&task)
            || self.tasks.contains_key(&task)
            || self.owner_of(object) != self.me;
        if !is_output {
            self.object_ready(object, Outcome::Failure(Arc::new(failure)));
        }
    }

    /// Whether a session has created the object, and neither sealed nor aborted it. (What an output is, is for its task to say.)
    pub(crate) fn is_being_put(&self, object: ObjectId, copy: Copy) -> bool {
        let being_filled = match copy {
            Copy::Creating(_, by) => self.is_filling(by, object),
            Copy::Wanted(_) => self
                .store
                .queue
                .iter()
                .any(|wanted| wanted.object == object && matches!(wanted.why, Why::Fill(_))),
            _ => false,
        };
        let task = object.task();
        being_filled && !self.runs.contains_key(&task) && !self.tasks.contains_key(&task)
    }

    /// Whoever filled something that is wanted no more is done with it: its room is free.
    fn drop_filled(&mut self, session: SessionId, object: ObjectId) -> bool {
        let Some(location) = self.fills_to_drop.remove(&(session, object)) else { return false };
        if let Some(state) = self.sessions.get_mut(&session) {
            state.creating.remove(&object);
        }
        self.free_location(location);
        self.serve_room();
        true
    }

    /// A session wants to read.
    pub(crate) fn fetch(&mut self, session: SessionId, object: ObjectId, quiet: bool) -> Taken {
        let fetcher = if quiet { Fetcher::Quiet } else { Fetcher::Session(session) };
        if self.objects.contains_key(&object) && self.may_use(session, object) {
            self.bring_near(object, fetcher);
        } else if !quiet {
            let outcome = Err(Arc::new(super::ready::unknown(object)));
            self.send(session, Message::LocatedInline { object, outcome });
        }
        Ok(())
    }

    /// Serves a fetcher now, or once the bytes are near.
    pub(crate) fn bring_near(&mut self, object: ObjectId, fetcher: Fetcher) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        record.rare().fetchers.push(fetcher);
        let (pending, owner) = (record.is_pending(), record.owner);
        if pending && owner != self.me {
            self.mail(owner, crate::message::PeerMessage::WatchObject { object });
        }
        self.serve_fetchers(object);
    }

    /// Serves all who wait for the bytes, or gets the bytes on their way.
    pub(crate) fn serve_fetchers(&mut self, object: ObjectId) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        let Some(rare) = record.rare.as_mut().filter(|rare| !rare.fetchers.is_empty()) else { return };
        match (&record.state, record.copy) {
            // Other nodes were sent here by the owner, whose word may not have come to this node.
            (ObjectState::Pending, Copy::Here(_) | Copy::Spilling(_)) if rare.kept_for_owner => {
                let nodes = |fetcher: &Fetcher| matches!(fetcher, Fetcher::Node(_));
                let (nodes, others) = std::mem::take(&mut rare.fetchers).into_iter().partition(nodes);
                rare.fetchers = others;
                let nodes: Vec<Fetcher> = nodes;
                for fetcher in nodes {
                    self.serve_fetcher(object, fetcher);
                }
            }
            (ObjectState::Pending, Copy::OnDisk(size)) if rare.kept_for_owner => {
                self.want_restored(object, size)
            }
            (ObjectState::Pending, _) => {}
            (ObjectState::Value(_) | ObjectState::Failure(_), _) | (_, Copy::Here(_) | Copy::Spilling(_)) => {
                for fetcher in std::mem::take(&mut rare.fetchers) {
                    self.serve_fetcher(object, fetcher);
                }
            }
            (ObjectState::Stored(_), Copy::OnDisk(size)) => self.want_restored(object, size),
            (ObjectState::Stored(_), Copy::Coming(_) | Copy::Wanted(_) | Copy::Creating(..)) => {}
            (ObjectState::Stored(_), Copy::None) => self.look_elsewhere(object),
        }
    }

    fn want_restored(&mut self, object: ObjectId, size: u64) {
        if !self.store.queue.iter().any(|wanted| wanted.object == object) {
            self.want_room(self.wanted(object, size, Why::Restore));
        }
    }

    fn serve_fetcher(&mut self, object: ObjectId, fetcher: Fetcher) {
        match fetcher {
            Fetcher::Session(session) => self.locate(session, object),
            Fetcher::Run(task) => {
                let failure = match self.objects.get(&object).map(|record| &record.state) {
                    Some(ObjectState::Failure(failure)) => Some(Arc::clone(failure)),
                    _ => None,
                };
                let result = match failure {
                    Some(failure) => Err(failure),
                    None => {
                        self.pin_record(object);
                        Ok(())
                    }
                };
                self.arg_came(task, object, result);
            }
            Fetcher::Node(node) => self.offer(object, node),
            Fetcher::Quiet => {}
        }
    }

    fn locate(&mut self, session: SessionId, object: ObjectId) {
        self.give_contents(session, object);
        let Some(record) = self.objects.get(&object) else { return };
        let outcome = match &record.state {
            ObjectState::Value(value) => Ok(value.clone()),
            ObjectState::Failure(failure) => Err(Arc::clone(failure)),
            ObjectState::Pending | ObjectState::Stored(_) => {
                let shared = self.sessions.get(&session).is_some_and(|s| s.shared_memory);
                if let Some(location) = self.pin(session, object) {
                    if shared {
                        self.send(session, Message::Located { object, location });
                    } else {
                        self.out.push(Effect::SendBytes { session, object, location });
                    }
                }
                return;
            }
        };
        self.send(session, Message::LocatedInline { object, outcome });
    }

    /// An object was freed while its bytes were on their way to some who asked for them. (A run counts its arguments, so it is not among these.)
    pub(super) fn tell_fetchers_of_nothing(&mut self, object: ObjectId, fetchers: &[Fetcher]) {
        for fetcher in fetchers {
            match *fetcher {
                Fetcher::Session(session) => {
                    let outcome = Err(Arc::new(super::ready::unknown(object)));
                    self.send(session, Message::LocatedInline { object, outcome });
                }
                Fetcher::Node(node) => {
                    self.mail(node, crate::message::PeerMessage::Offer { object, location: None });
                }
                Fetcher::Run(_) | Fetcher::Quiet => {}
            }
        }
    }

    pub(super) fn fail_fetchers(&mut self, object: ObjectId, failure: &Arc<Failure>) {
        let Some(rare) = self.objects.get_mut(&object).and_then(|record| record.rare.as_mut()) else {
            return;
        };
        for fetcher in std::mem::take(&mut rare.fetchers) {
            match fetcher {
                Fetcher::Session(session) => {
                    let outcome = Err(Arc::clone(failure));
                    self.send(session, Message::LocatedInline { object, outcome });
                }
                Fetcher::Run(task) => self.arg_came(task, object, Err(Arc::clone(failure))),
                Fetcher::Node(node) => {
                    self.mail(node, crate::message::PeerMessage::Offer { object, location: None })
                }
                Fetcher::Quiet => {}
            }
        }
    }

    /// Pins an object for a session; its bytes stay where they are until it lets go.
    pub(crate) fn pin(&mut self, session: SessionId, object: ObjectId) -> Option<Location> {
        let location = self.objects.get(&object)?.location()?;
        *self.sessions.get_mut(&session)?.pins.entry(object).or_insert(0) += 1;
        self.pin_record(object);
        Some(location)
    }

    /// Whether there are bytes to pin.
    pub(crate) fn pin_record(&mut self, object: ObjectId) -> bool {
        let Some(record) = self.objects.get_mut(&object).filter(|record| record.location().is_some()) else {
            return false;
        };
        record.pins += 1;
        let used = std::mem::take(&mut record.used);
        self.store.by_use.remove(&used);
        true
    }

    pub(crate) fn unpin(&mut self, session: SessionId, object: ObjectId) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let Some(pins) = state.pins.get_mut(&object) else { return };
        *pins -= 1;
        if *pins == 0 {
            state.pins.remove(&object);
        }
        self.unpin_many(object, 1);
    }

    pub(crate) fn unpin_many(&mut self, object: ObjectId, pins: u32) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        record.pins = record.pins.saturating_sub(pins);
        if record.pins == 0 {
            self.touch(object);
            self.unreferenced(object);
            self.serve_room();
        }
    }

    /// What was sent to a worker that gave the task back unstarted.
    pub(crate) fn unpin_args(&mut self, task: TaskId, session: SessionId) {
        let Some(spec) = self.runs.get(&task).map(|run| Arc::clone(&run.spec)) else { return };
        if !self.sessions.get(&session).is_some_and(|s| s.shared_memory) {
            return;
        }
        for object in spec.dependencies() {
            self.unpin(session, object);
        }
    }

    /// Puts an object last in the order of eviction, if it may be evicted at all.
    pub(super) fn touch(&mut self, object: ObjectId) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        self.store.by_use.remove(&record.used);
        record.used = 0;
        // (Two writes of one object to disk at a time could end in either order.)
        let is_written = self.spills_to_drop.contains_key(&object);
        if record.pins == 0 && matches!(record.copy, Copy::Here(_)) && !is_written {
            self.store.uses += 1;
            record.used = self.store.uses;
            self.store.by_use.insert(self.store.uses, object);
        }
    }

    pub(super) fn free_location(&mut self, location: Location) {
        let many = self.store.arenas.len() > 1;
        if let Some((job, arena)) = self.store.arenas.get_mut(&location.arena) {
            // Touched pages are worth keeping, unless another arena may need the memory.
            if many && location.size >= PUNCH_BYTES_MIN {
                self.store.punching.insert((location.arena, location.offset), location.size);
                self.store.spilling += padded(location.size);
                self.out.push(Effect::PunchArena { location });
                return;
            }
            let job = *job;
            arena.give(location.offset, location.size);
            self.close_arena_if_empty(job);
        }
    }

    /// Pages were given back to the system, so nothing will take away what is written there from now on.
    pub(crate) fn punched(&mut self, location: Location) {
        let Some(size) = self.store.punching.remove(&(location.arena, location.offset)) else { return };
        self.store.spilling = self.store.spilling.saturating_sub(padded(size));
        if let Some((job, arena)) = self.store.arenas.get_mut(&location.arena) {
            let job = *job;
            arena.give(location.offset, size);
            self.serve_room();
            self.close_arena_if_empty(job);
        }
    }

    fn is_filling(&self, session: SessionId, object: ObjectId) -> bool {
        self.sessions.get(&session).is_some_and(|state| state.creating.contains_key(&object))
    }

    /// The object needs no room any more; one who waits to fill it is told so.
    fn want_no_room(&mut self, object: ObjectId) {
        let mut fillers = Vec::new();
        self.store.queue.retain(|wanted| {
            if let (true, Why::Fill(session)) = (wanted.object == object, wanted.why) {
                fillers.push(session);
            }
            wanted.object != object
        });
        for session in fillers {
            if let Some(state) = self.sessions.get_mut(&session) {
                state.creating.remove(&object);
            }
            let failure =
                Failure::new(Code::Cancelled, format!("Nobody wants the object {object} any more."));
            self.send(session, Message::Created { object, outcome: Err(Box::new(failure)) });
        }
    }

    /// Forgets the bytes on this node, wherever they are.
    pub(crate) fn drop_bytes(&mut self, object: ObjectId) {
        let Some(record) = self.objects.get_mut(&object) else { return };
        if record.copy == Copy::None && !record.on_disk {
            return;
        }
        let (copy, on_disk, used) =
            (record.copy, std::mem::take(&mut record.on_disk), std::mem::take(&mut record.used));
        let (size, job) = (record.bytes(), record.job);
        record.copy = Copy::None;
        self.store.by_use.remove(&used);
        let inner = match &mut record.rare {
            // What stored bytes referred to; a value keeps its own list.
            Some(rare) if !matches!(copy, Copy::None) => std::mem::take(&mut rare.refs),
            _ => Vec::new(),
        };
        match copy {
            // Its filler may be writing: the room is nobody else's until it says that it is done, or ends.
            Copy::Creating(location, by) if self.is_filling(by, object) => {
                self.fills_to_drop.insert((by, object), location);
            }
            Copy::Here(location) | Copy::Creating(location, _) => self.free_location(location),
            // Something writes there; `restored` or `copied` frees it.
            Copy::Coming(_) => {}
            // Its bytes are being read by the one who writes them to disk; `spilled` frees them.
            Copy::Spilling(location) => {
                self.spills_to_drop.insert(object, location);
            }
            Copy::Wanted(_) => {
                self.stop_pulling(object);
                self.want_no_room(object);
            }
            Copy::None | Copy::OnDisk(_) => {}
        }
        if on_disk {
            self.store.spilled_bytes = self.store.spilled_bytes.saturating_sub(size);
            self.out.push(Effect::DeleteSpilled { object });
        }
        for inner in inner {
            self.release(inner, 1);
        }
        if !matches!(copy, Copy::None) {
            self.serve_room();
            self.close_arena_if_empty(job);
        }
    }

    /// The arena of a job that is over goes once the last object in it is gone.
    pub(crate) fn close_arena_if_empty(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return self.close_guests_arena(id) };
        if job.driver.is_some() {
            return;
        }
        let Some(number) = job.arena else { return self.forget_job_if_over(id) };
        if self.store.arenas.get(&number).is_some_and(|(_, arena)| arena.is_empty()) {
            job.arena = None;
            self.store.arenas.remove(&number);
            self.out.push(Effect::CloseArena { arena: number });
            self.forget_job_if_over(id);
        }
    }

    /// The same for a job whose driver is on another node, and for what is nobody's.
    fn close_guests_arena(&mut self, job: JobId) {
        let of_it = |(_, (of, arena)): &(&u32, &(JobId, Arena))| *of == job && arena.is_empty();
        let Some(number) = self.store.arenas.iter().find(of_it).map(|(number, _)| *number) else { return };
        if job == JobId::default() || self.is_driver_gone(job) {
            self.store.arenas.remove(&number);
            self.out.push(Effect::CloseArena { arena: number });
        }
    }

    /// Drivers on other nodes are gone.
    pub(crate) fn close_arenas_of_guests(&mut self) {
        let jobs: Vec<JobId> = self.store.arenas.values().map(|(job, _)| *job).collect();
        for job in jobs {
            if !self.jobs.contains_key(&job) {
                self.close_guests_arena(job);
            }
        }
    }
}
