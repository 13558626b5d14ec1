//! What the thread keeps for the handles: who waits for which object, stream, reply and moment; and what every operation of the server
//! does to them. It touches neither sockets nor threads.

mod ids;
mod making;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use thornback_session::SendError;
use thornback_types::{Code, Id, ObjectId, TaskId, Value};
use thornback_wire::Message;
use thornback_wire::convert::WireId;
use thornback_wire::hot::client::{Refs, Written};
use thornback_wire::v1::{self, client_op, server_op};
use tokio::sync::oneshot;

use super::arena::Mapping;
use super::incoming::Incoming;
use super::objects::{FetchSlot, Found};
use super::outbox::{Item, Wishes};
use super::timer::TimerSlot;
use super::{Shared, failure_in};
use crate::object::{Outcome, Slot, StreamSlot};
use crate::worker::{self, Inbox};
use crate::{Error, Result};
use making::{Create, Writing};

pub(crate) use ids::IdMap;

/// Bytes that may wait in the session before more wishes are looked at.
pub(super) const QUEUED_BYTES_MAX: usize = 4 << 20;

/// The conversation with the node.
pub(super) type Session = thornback_session::Client<Incoming>;

/// What the server says to the user rather than to a handle.
pub(crate) trait Listener: Send {
    fn log(&mut self, log: v1::Log);
    fn notice(&mut self, notice: Error);
}

pub(super) struct Table {
    shared: Arc<Shared>,
    listener: Box<dyn Listener>,
    /// Where runs go, in a worker.
    inbox: Option<Arc<Inbox>>,
    /// Runs that came and are not in the inbox yet.
    runs: Vec<worker::Run>,
    objects: IdMap<Entry>,
    streams: IdMap<Weak<StreamSlot>>,
    fetches: IdMap<Fetch>,
    /// Objects that wait for room.
    creates: IdMap<Create>,
    /// What was sent with an argument that still waits for room, by that argument: if there is none, the node cannot tell why it is missing.
    dependents: IdMap<Vec<client_op::Op>>,
    /// Objects and streams that refs name and the node never heard of, until the last of these refs goes: no count is given back for them, and what
    /// names one cannot be called.
    unmade: IdMap<Error>,
    /// Objects on their way in pieces, in turn.
    writes: VecDeque<Writing>,
    replies: HashMap<u64, oneshot::Sender<Result<v1::reply::Reply>>>,
    timers: BinaryHeap<Reverse<Alarm>>,
    counts: Counts,
    graves: Vec<Weak<Slot>>,
    /// Nobody holds the session any more.
    pub(super) closing: bool,
    /// Those who wait for the end of the session; dropped then.
    closers: Vec<oneshot::Sender<()>>,
}

/// Who waits for one object. Nearly always it is one.
struct Entry {
    first: Weak<Slot>,
    more: Vec<Weak<Slot>>,
}

/// Who waits to read one stored object, and what has come of it where it comes in pieces.
#[derive(Default)]
struct Fetch {
    waiting: VecDeque<Weak<FetchSlot>>,
    partial: Option<(u64, BytesMut)>,
}

/// Changes of counts and pins that wait for the end of the batch, because one operation carries any number of them.
#[derive(Default)]
struct Counts {
    retain: Vec<ObjectId>,
    drop: Vec<ObjectId>,
    release: Vec<ObjectId>,
    consumed: BTreeMap<TaskId, u64>,
}

struct Alarm(Instant, Weak<TimerSlot>);

impl Table {
    pub(super) fn new(shared: Arc<Shared>, inbox: Option<Arc<Inbox>>, listener: Box<dyn Listener>) -> Table {
        Table {
            shared,
            listener,
            inbox,
            runs: Vec::new(),
            objects: IdMap::default(),
            streams: IdMap::default(),
            fetches: IdMap::default(),
            creates: IdMap::default(),
            dependents: IdMap::default(),
            unmade: IdMap::default(),
            writes: VecDeque::new(),
            replies: HashMap::new(),
            timers: BinaryHeap::new(),
            counts: Counts::default(),
            graves: Vec::new(),
            closing: false,
            closers: Vec::new(),
        }
    }

    /// Does what a handle wished.
    #[inline]
    pub(super) fn apply(&mut self, item: Item, wishes: &mut Wishes, session: &mut Session) {
        match item {
            Item::Written(length) => self.written(wishes.read(length), session),
            Item::Op(op) => self.op(*op, session),
            Item::Expect(id, slot) => {
                self.objects.insert(id.0, Entry { first: slot, more: Vec::new() });
            }
            Item::Watch(id, slot) => self.watch(id, slot, session),
            Item::Retain(id) => self.counts.retain.push(ObjectId(id)),
            Item::Drop(id) => self.dropped(id),
            Item::ExpectStream(stream) => {
                if let Some(live) = stream.upgrade() {
                    self.streams.insert(live.task.0, stream);
                }
            }
            Item::Consumed(task, count) => {
                self.counts.consumed.insert(task, count);
            }
            Item::Fetch(id, slot) => self.fetch(id, slot, session),
            Item::Release(id) => self.counts.release.push(id),
            Item::Store(storing) => {
                self.flush_retained(session);
                let create = v1::Create {
                    object: storing.object.write(),
                    size: storing.size(),
                    task: TaskId::write_optional(storing.task.map(|(task, _)| task)),
                    attempt: storing.task.map_or(0, |(_, attempt)| attempt),
                };
                self.creates.insert(storing.object.0, Create::Store(storing));
                self.send(client_op::Op::Create(create), session);
            }
            Item::Made(storing) => self.made(storing, session),
            Item::Unmade(storing, error) => self.cannot_fill(storing, &error, session),
            Item::Room(object, size, sender) => {
                self.creates.insert(object.0, Create::Room(sender));
                self.send(
                    client_op::Op::Create(v1::Create {
                        object: object.write(),
                        size,
                        ..v1::Create::default()
                    }),
                    session,
                );
            }
            Item::Reply(number, sender) => {
                self.replies.insert(number, sender);
            }
            Item::Timer(at, slot) => self.timers.push(Reverse(Alarm(at, slot))),
            Item::Flush(sender) => {
                // Whoever asked may have stopped waiting.
                let _ = sender.send(Ok(()));
            }
            Item::Close(sender) => {
                self.closing = true;
                self.closers.extend(sender);
            }
        }
    }

    fn op(&mut self, op: client_op::Op, session: &mut Session) {
        self.flush_retained(session);
        match self.unmade_argument(&op) {
            Some((task, error)) => self.never_called(task, &error),
            None => {
                self.note_dependent(&op);
                self.send(op, session);
            }
        }
    }

    /// The same for an operation that is written; it is read only where something may have to be done about its arguments.
    fn written(&mut self, op: &[u8], session: &mut Session) {
        let looked_at = !self.unmade.is_empty() || !self.creates.is_empty();
        if looked_at && let Some(op) = v1::ClientOp::decode(op).ok().and_then(|op| op.op) {
            return self.op(op, session);
        }
        self.flush_retained(session);
        if let Err(error) = session.send_hot(&Written(op)) {
            let subject = v1::ClientOp::decode(op).ok().and_then(|op| task_of(&op.op?));
            self.unsent(subject, error);
        }
    }

    /// Sends what was gathered while a batch of wishes was worked off.
    pub(super) fn flush(&mut self, session: &mut Session) {
        let mut counts = std::mem::take(&mut self.counts);
        if !counts.retain.is_empty() || !counts.drop.is_empty() {
            self.send_refs(&counts.retain, &counts.drop, session);
        }
        if !counts.release.is_empty() {
            self.send(
                client_op::Op::Release(v1::Release { objects: WireId::write_all(&counts.release) }),
                session,
            );
        }
        for (task, count) in counts.consumed {
            self.send(client_op::Op::Consumed(v1::Consumed { task: task.write(), count }), session);
        }
        // Their memory serves the next batch.
        counts.retain.clear();
        counts.drop.clear();
        (self.counts.retain, self.counts.drop) = (counts.retain, counts.drop);
        self.write_pieces(session);
    }

    /// Whether the session is a worker's.
    pub(super) fn is_worker(&self) -> bool {
        self.inbox.is_some()
    }

    /// Whether there are pieces of objects that were not handed to the session.
    pub(super) fn has_more(&self) -> bool {
        !self.writes.is_empty()
    }

    /// A ref that was found in a value is counted before anything that could let go of that value.
    fn flush_retained(&mut self, session: &mut Session) {
        if !self.counts.retain.is_empty() {
            let retain = std::mem::take(&mut self.counts.retain);
            self.send_refs(&retain, &[], session);
        }
    }

    fn send_refs(&mut self, retain: &[ObjectId], drop: &[ObjectId], session: &mut Session) {
        if let Err(error) = session.send_hot(&Refs { retain, drop }) {
            self.unsent(None, error);
        }
    }

    fn send(&mut self, op: client_op::Op, session: &mut Session) {
        let subject = task_of(&op);
        if let Err(error) = session.send(op) {
            self.unsent(subject, error);
        }
    }

    /// An operation that does not fit was never sent, so what waits for its answer would wait for ever.
    fn unsent(&mut self, subject: Option<TaskId>, error: SendError) {
        let error = Error::from(error.failure());
        match subject {
            Some(task) => self.never_called(task, &error),
            None if matches!(error.code(), Some(Code::ConnectionLost)) => {}
            None => self.listener.notice(error),
        }
    }

    fn awaits_outputs_of(&self, task: TaskId) -> bool {
        self.streams.contains_key(&task.0) || self.objects.contains_key(&task.output(0).0)
    }

    fn fail_outputs(&mut self, task: TaskId, error: &Error) {
        if let Some(stream) = self.streams.get(&task.0).and_then(Weak::upgrade) {
            stream.end(Some(error.clone()));
        }
        for i in 0.. {
            let Some(entry) = self.objects.get(&task.output(i).0) else { break };
            entry.each(|slot| slot.fail(error.clone()));
        }
    }

    fn watch(&mut self, id: ObjectId, slot: Weak<Slot>, session: &mut Session) {
        // One whose refs are all gone knows nothing any more; that they are gone is not taken from the outbox yet.
        if let Some(entry) = self.objects.get_mut(&id.0)
            && !entry.prune()
        {
            let known = entry.outcome();
            entry.more.push(slot.clone());
            if let (Some(outcome), Some(slot)) = (known, slot.upgrade()) {
                slot.fill(outcome);
            }
            return;
        }
        self.objects.insert(id.0, Entry { first: slot, more: Vec::new() });
        self.flush_retained(session);
        self.send(client_op::Op::Watch(v1::Watch { objects: vec![id.write()] }), session);
    }

    fn dropped(&mut self, id: Id) {
        if self.unmade.is_empty() || self.unmade.remove(&id).is_none() {
            self.counts.drop.push(ObjectId(id));
        }
        if id.index() == 0 {
            self.streams.remove(&id);
        } else if let std::collections::hash_map::Entry::Occupied(mut entry) = self.objects.entry(id)
            && entry.get_mut().prune()
        {
            self.graves.push(entry.remove().first);
        }
    }

    /// What is left of slots whose refs are gone.
    pub(super) fn graves(&mut self) -> &mut Vec<Weak<Slot>> {
        &mut self.graves
    }

    fn fetch(&mut self, id: ObjectId, slot: Weak<FetchSlot>, session: &mut Session) {
        let fetch = self.fetches.entry(id.0).or_default();
        // Without shared memory, several who want the same bytes share one transfer; with it, each gets a pin of its own.
        let first = fetch.waiting.is_empty();
        fetch.waiting.push_back(slot);
        if first || self.shared.welcome.shared_memory {
            self.send(client_op::Op::Fetch(v1::Fetch { object: id.write(), quiet: false }), session);
        }
    }

    /// Takes an operation of the server. `frame_bytes` is the size of what it came in.
    #[inline]
    pub(super) fn handle(
        &mut self,
        op: Incoming,
        frame_bytes: usize,
        descriptors: &mut VecDeque<OwnedFd>,
        session: &mut Session,
    ) {
        match op {
            Incoming::Completion(object, outcome) => self.completed(object.0, outcome, frame_bytes),
            Incoming::Run(run) => self.runs.push(run),
            Incoming::Other(op) => self.handle_other(op, frame_bytes, descriptors, session),
        }
    }

    /// Everything that came has been handled: what is to be run goes to the executor. `true` if there was something.
    pub(super) fn deliver(&mut self) -> bool {
        match &self.inbox {
            Some(inbox) => inbox.run(&mut self.runs),
            // No node asks a driver to run anything.
            None => {
                self.runs.clear();
                false
            }
        }
    }

    fn handle_other(
        &mut self,
        op: server_op::Op,
        frame_bytes: usize,
        descriptors: &mut VecDeque<OwnedFd>,
        session: &mut Session,
    ) {
        use server_op::Op;
        match op {
            Op::Completion(completion) => self.completion(completion, frame_bytes),
            Op::StreamEnd(end) => {
                let stream = TaskId::from_slice(&end.task)
                    .and_then(|task| self.streams.get(&task.0))
                    .and_then(Weak::upgrade);
                if let Some(stream) = stream {
                    stream.end(end.failure.map(failure_in));
                }
            }
            Op::Run(_) | Op::Interrupt(_) | Op::Recall(_) | Op::Resume(_) | Op::Declare(_) => {
                self.work(op, session)
            }
            Op::Created(created) => self.created(created, session),
            Op::Located(located) => self.located(located),
            Op::Chunk(chunk) => self.chunk(&chunk),
            Op::Arena(arena) => self.arena(arena, descriptors),
            Op::Reply(reply) => {
                if let Some(sender) = self.replies.remove(&reply.number) {
                    let outcome = reply.reply.ok_or_else(|| {
                        Error::new(
                            Code::Internal,
                            "the node answered a request with a reply that this version does not know",
                        )
                    });
                    // Whoever asked may have stopped waiting.
                    let _ = sender.send(outcome);
                }
            }
            Op::Log(log) => self.listener.log(*log),
            Op::Notice(notice) => {
                if let Some(failure) = notice.failure {
                    self.listener.notice(failure_in(failure));
                }
            }
            Op::Refused(refused) => self.refused(*refused),
            // The session keeps to itself what is about the conversation.
            Op::Welcome(_) | Op::Credit(_) | Op::Ping(_) | Op::Pong(_) | Op::Goodbye(_) => {}
        }
    }

    fn completion(&mut self, completion: v1::Completion, frame_bytes: usize) {
        let Some(id) = Id::from_slice(&completion.object) else { return };
        let outcome = match completion.outcome {
            Some(v1::completion::Outcome::Value(value)) => match Value::try_from(value) {
                Ok(value) => Outcome::of_frame(value, frame_bytes),
                Err(invalid) => Outcome::Failed(invalid.failure().into()),
            },
            Some(v1::completion::Outcome::Failure(failure)) => Outcome::Failed(failure_in(*failure)),
            Some(v1::completion::Outcome::Stored(_)) => Outcome::Stored,
            None => Outcome::Failed(Error::new(
                Code::Internal,
                "the node told of an outcome that this version does not know",
            )),
        };
        self.completed(id, outcome, frame_bytes);
    }

    #[inline]
    fn completed(&self, id: Id, mut outcome: Outcome, frame_bytes: usize) {
        outcome.leave_frame(frame_bytes);
        // Where there is neither, its last ref went while this was on its way.
        if let Some(entry) = self.objects.get(&id) {
            entry.fill(outcome);
        } else if let Some(stream) = self.streams.get(&id.with_index(0)).and_then(Weak::upgrade) {
            stream.item(outcome);
        }
    }

    fn work(&mut self, op: server_op::Op, session: &mut Session) {
        // Whatever this is about may be one of the runs that came before it.
        self.deliver();
        let Some(inbox) = &self.inbox else { return };
        match op {
            server_op::Op::Declare(declare) => inbox.declare(*declare),
            // Without an id there is nobody to answer to.
            server_op::Op::Run(run) => self.runs.extend(worker::Run::of(run)),
            server_op::Op::Resume(resume) => inbox.resume(&resume),
            server_op::Op::Interrupt(interrupt) => {
                if let Some((run, failure)) = inbox.interrupt(&interrupt) {
                    self.counts.release.extend(run.pinned());
                    let done = v1::Done {
                        task: run.task.write(),
                        attempt: run.attempt,
                        failure: Some(Box::new(failure)),
                        ..v1::Done::default()
                    };
                    self.send(client_op::Op::Done(done), session);
                }
            }
            server_op::Op::Recall(recall) => {
                let recalled = inbox.recall(&recall.tasks);
                let tasks = recalled.iter().map(|run| run.task.write()).collect();
                self.send(client_op::Op::Returned(v1::Returned { tasks }), session);
                self.counts.release.extend(recalled.iter().flat_map(worker::Run::pinned));
            }
            _ => {}
        }
    }

    fn located(&mut self, located: v1::Located) {
        let Some(id) = Id::from_slice(&located.object) else { return };
        let found = match located.outcome {
            Some(v1::located::Outcome::Location(location)) if location.arena == 0 => {
                let fetch = self.fetches.entry(id).or_default();
                // Not reserved at once: the size is only what the peer says.
                fetch.partial = Some((location.size, BytesMut::new()));
                if location.size > 0 {
                    return;
                }
                Ok(Found::Bytes(Bytes::new()))
            }
            Some(v1::located::Outcome::Location(location)) => match self.shared.region(&location) {
                Ok(region) => Ok(Found::Region(region)),
                Err(error) => {
                    self.counts.release.push(ObjectId(id));
                    Err(error)
                }
            },
            Some(v1::located::Outcome::Value(value)) => match Value::try_from(value) {
                Ok(value) => Ok(Found::Value(Box::new(value))),
                Err(invalid) => Err(invalid.failure().into()),
            },
            Some(v1::located::Outcome::Failure(failure)) => Err(failure_in(*failure)),
            None => Err(Error::new(
                Code::Internal,
                "the node told where an object is in a way that this version does not know",
            )),
        };
        self.found(id, found);
    }

    fn found(&mut self, id: Id, found: Result<Found>) {
        let std::collections::hash_map::Entry::Occupied(mut entry) = self.fetches.entry(id) else {
            if let Ok(Found::Region(_)) = found {
                self.counts.release.push(ObjectId(id));
            }
            return;
        };
        match found {
            // One pin, for one of those who asked; another answer comes for each.
            Ok(Found::Region(region)) => {
                match entry.get_mut().waiting.pop_front().and_then(|slot| slot.upgrade()) {
                    Some(slot) => slot.fill(Ok(Found::Region(region))),
                    None => self.counts.release.push(ObjectId(id)),
                }
            }
            other => {
                let all = !self.shared.welcome.shared_memory;
                let count = if all { usize::MAX } else { 1 };
                for _ in 0..count {
                    let Some(slot) = entry.get_mut().waiting.pop_front() else { break };
                    let Some(slot) = slot.upgrade() else { continue };
                    slot.fill(match &other {
                        Ok(Found::Value(value)) => Ok(Found::Value(value.clone())),
                        Ok(Found::Bytes(bytes)) => Ok(Found::Bytes(bytes.clone())),
                        Ok(Found::Region(region)) => Ok(Found::Region(region.clone())),
                        Err(error) => Err(error.clone()),
                    });
                }
                entry.get_mut().partial = None;
            }
        }
        if entry.get().waiting.is_empty() {
            entry.remove();
        }
    }

    fn chunk(&mut self, chunk: &v1::Chunk) {
        let Some(id) = Id::from_slice(&chunk.object) else { return };
        // Nobody waits for it any more, or nobody ever did.
        let Some(fetch) = self.fetches.get_mut(&id) else { return };
        let Some((size, bytes)) = fetch.partial.as_mut() else {
            let message = "the bytes of an object came before the node said how many there are";
            return self.found(id, Err(Error::new(Code::Internal, message)));
        };
        if chunk.offset != bytes.len() as u64 || chunk.offset + chunk.data.len() as u64 > *size {
            self.found(id, Err(Error::new(Code::Internal, "the pieces of an object came out of order")));
            return;
        }
        bytes.extend_from_slice(&chunk.data);
        if bytes.len() as u64 == *size {
            let whole = std::mem::take(bytes).freeze();
            self.found(id, Ok(Found::Bytes(whole)));
        }
    }

    fn arena(&mut self, arena: v1::Arena, descriptors: &mut VecDeque<OwnedFd>) {
        let mapping = descriptors
            .pop_front()
            .ok_or_else(|| Error::new(Code::Internal, "shared memory was announced without its descriptor"))
            .and_then(|descriptor| Mapping::new(&descriptor, arena.size, arena.writable));
        match mapping {
            Ok(mapping) => self.shared.add_arena(arena.number, arena.writable, mapping),
            Err(error) => self.listener.notice(error),
        }
    }

    fn refused(&mut self, refused: v1::Refused) {
        let error = refused.failure.map_or_else(
            || Error::new(Code::Internal, "the node refused an operation and did not say why"),
            failure_in,
        );
        // What it would have made fails with it; if nobody waits for that, a person should know.
        match Id::from_slice(&refused.id) {
            Some(id) if id.index() == 0 && self.awaits_outputs_of(TaskId(id)) => {
                self.never_called(TaskId(id), &error);
            }
            Some(id) if id.index() > 0 && self.objects.contains_key(&id) => {
                self.never_put(ObjectId(id), &error)
            }
            _ => self.listener.notice(error),
        }
    }

    /// When the next timer is due.
    pub(super) fn next_alarm(&mut self) -> Option<Instant> {
        while let Some(Reverse(Alarm(at, slot))) = self.timers.peek() {
            if slot.strong_count() > 0 {
                return Some(*at);
            }
            self.timers.pop();
        }
        None
    }

    pub(super) fn ring(&mut self, now: Instant) {
        while self.timers.peek().is_some_and(|Reverse(Alarm(at, _))| *at <= now) {
            if let Some(slot) = self.timers.pop().and_then(|Reverse(Alarm(_, slot))| slot.upgrade()) {
                slot.ring();
            }
        }
    }

    /// The session is over: whatever waits fails.
    pub(super) fn fail_all(&mut self, error: &Error) {
        for entry in std::mem::take(&mut self.objects).into_values() {
            entry.fill(Outcome::Failed(error.clone()));
        }
        for stream in std::mem::take(&mut self.streams).into_values().filter_map(|stream| stream.upgrade()) {
            stream.end(Some(error.clone()));
        }
        for slot in std::mem::take(&mut self.fetches)
            .into_values()
            .flat_map(|fetch| fetch.waiting)
            .filter_map(|slot| slot.upgrade())
        {
            slot.fill(Err(error.clone()));
        }
        for create in std::mem::take(&mut self.creates).into_values() {
            match create {
                Create::Store(storing) => storing.fail(error),
                Create::Room(sender) => {
                    let _ = sender.send(Err(error.clone()));
                }
            }
        }
        for writing in std::mem::take(&mut self.writes) {
            writing.storing.fail(error);
        }
        for sender in std::mem::take(&mut self.replies).into_values() {
            let _ = sender.send(Err(error.clone()));
        }
        if let Some(inbox) = self.inbox.take() {
            inbox.end(error.clone());
        }
    }
}

/// The task that an operation makes.
fn task_of(op: &client_op::Op) -> Option<TaskId> {
    match op {
        client_op::Op::Submit(submit) => TaskId::from_slice(&submit.task),
        client_op::Op::Call(call) => TaskId::from_slice(&call.task),
        _ => None,
    }
}

impl Entry {
    fn each(&self, mut visit: impl FnMut(&Arc<Slot>)) {
        for slot in std::iter::once(&self.first).chain(&self.more) {
            if let Some(slot) = slot.upgrade() {
                visit(&slot);
            }
        }
    }

    fn fill(&self, outcome: Outcome) {
        if self.more.is_empty() {
            if let Some(slot) = self.first.upgrade() {
                slot.fill(outcome);
            }
        } else {
            self.each(|slot| slot.fill(outcome.clone()));
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        let mut found = None;
        self.each(|slot| found = found.take().or_else(|| slot.outcome()));
        found
    }

    /// Forgets those that are gone. `true` if none is left.
    fn prune(&mut self) -> bool {
        self.more.retain(|slot| slot.strong_count() > 0);
        self.more.is_empty() && self.first.strong_count() == 0
    }
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Alarm) -> bool {
        self.0 == other.0
    }
}
impl Eq for Alarm {}
impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Alarm) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Alarm {
    fn cmp(&self, other: &Alarm) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
