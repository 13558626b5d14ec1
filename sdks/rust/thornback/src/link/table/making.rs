//! Objects on their way into the store, and the calls that name them before it is known whether they will ever be there.

use bytes::Bytes;
use thornback_types::{Code, Id, ObjectId, TaskId};
use thornback_wire::convert::WireId;
use thornback_wire::v1::{self, client_op};
use tokio::sync::oneshot;

use super::super::failure_in;
use super::super::objects::{Room, Storing};
use super::super::outbox::Item;
use super::{QUEUED_BYTES_MAX, Session, Table};
use crate::object::Outcome;
use crate::{Error, Result};

/// Bytes of one `Write` where there is no shared memory: large enough to be few, small enough that others get their turn.
const WRITE_BYTES: usize = 256 << 10;

/// Bytes of an object up to which the thread fills it itself; more would keep the session waiting.
const FILL_INLINE_BYTES: u64 = 256 << 10;

pub(super) enum Create {
    Store(Box<Storing>),
    Room(oneshot::Sender<Result<Option<Room>>>),
}

pub(super) struct Writing {
    pub(super) storing: Box<Storing>,
    offset: u64,
}

impl Table {
    pub(super) fn created(&mut self, created: v1::Created, session: &mut Session) {
        let Some(id) = Id::from_slice(&created.object) else { return };
        let Some(create) = self.creates.remove(&id) else { return };
        let location = match created.outcome {
            Some(v1::created::Outcome::Location(location)) => Ok(location),
            Some(v1::created::Outcome::Failure(failure)) => Err(failure_in(*failure)),
            None => Err(Error::new(
                Code::Internal,
                "the node answered Create in a way that this version does not know",
            )),
        };
        match create {
            Create::Store(storing) => match location {
                Ok(location) => {
                    self.dependents.remove(&id);
                    self.store(storing, location, session);
                }
                // An earlier attempt has stored it (DATA-021).
                Err(error) if storing.task.is_some() && error.is(Code::DuplicateId) => storing.sealed(),
                Err(error) => self.never_stored(storing, &error, session),
            },
            Create::Room(sender) => {
                let room = location.and_then(|location| {
                    if location.arena == 0 { Ok(None) } else { self.shared.room(&location).map(Some) }
                });
                let failed = room.is_err();
                if sender.send(room).is_err() || failed {
                    self.send(client_op::Op::Abort(v1::Abort { object: ObjectId(id).write() }), session);
                }
            }
        }
    }

    fn store(&mut self, storing: Box<Storing>, location: v1::Location, session: &mut Session) {
        if storing.is_abandoned() {
            return self.send(client_op::Op::Abort(v1::Abort { object: storing.object.write() }), session);
        }
        if location.arena == 0 {
            self.writes.push_back(Writing { storing, offset: 0 });
            return;
        }
        let mut room = match self.shared.room(&location) {
            Ok(room) => room,
            Err(error) => return self.cannot_fill(storing, &error, session),
        };
        if storing.size() <= FILL_INLINE_BYTES {
            let filled = storing.fill(&mut room);
            drop(room);
            return match filled {
                Ok(()) => self.made(storing, session),
                Err(error) => self.cannot_fill(storing, &error, session),
            };
        }
        let shared = self.shared.clone();
        // The thread's runtime ends only after its blocking work has.
        tokio::task::spawn_blocking(move || {
            let filled = storing.fill(&mut room);
            drop(room);
            shared.push(match filled {
                Ok(()) => Item::Made(storing),
                Err(error) => Item::Unmade(storing, error),
            });
        });
    }

    /// All of an object is in its room, or on its way there.
    pub(super) fn made(&mut self, storing: Box<Storing>, session: &mut Session) {
        self.send(seal(&storing), session);
        // Nobody else tells of a put: also refs that came back inside a value before it was sealed learn of it here.
        if let Some(entry) = self.objects.get(&storing.object.0).filter(|_| storing.is_put()) {
            entry.fill(Outcome::Stored);
        }
        storing.sealed();
    }

    /// There is room for an object, and it cannot be filled.
    pub(super) fn cannot_fill(&mut self, storing: Box<Storing>, error: &Error, session: &mut Session) {
        self.send(client_op::Op::Abort(v1::Abort { object: storing.object.write() }), session);
        self.never_stored(storing, error, session);
    }

    /// Sends pieces of objects while the session takes them, one of each in turn.
    pub(super) fn write_pieces(&mut self, session: &mut Session) {
        while session.queued_bytes() < QUEUED_BYTES_MAX
            && let Some(mut writing) = self.writes.pop_front()
        {
            match writing.storing.chunk(writing.offset, WRITE_BYTES) {
                Some(data) => {
                    let offset = writing.offset;
                    writing.offset += data.len() as u64;
                    self.send(
                        client_op::Op::Write(v1::Write {
                            object: writing.storing.object.write(),
                            offset,
                            data,
                        }),
                        session,
                    );
                    self.writes.push_back(writing);
                }
                None => self.made(writing.storing, session),
            }
        }
    }

    /// The call that this operation makes, and why it cannot be made: an argument of it never came to be.
    pub(super) fn unmade_argument(&self, op: &client_op::Op) -> Option<(TaskId, Error)> {
        if self.unmade.is_empty() {
            return None;
        }
        let (task, args) = match op {
            client_op::Op::Submit(submit) => (&submit.task, &submit.args),
            client_op::Op::Call(call) => (&call.task, &call.args),
            _ => return None,
        };
        let error = args.iter().find_map(|arg| match &arg.arg {
            Some(v1::arg::Arg::Ref(id)) => self.unmade.get(&Id::from_slice(id)?),
            _ => None,
        })?;
        Some((TaskId::from_slice(task)?, error.clone()))
    }

    /// Remembers how to take an operation back whose argument may never exist.
    pub(super) fn note_dependent(&mut self, op: &client_op::Op) {
        if self.creates.is_empty() {
            return;
        }
        let (args, undo) = match op {
            client_op::Op::Submit(submit) => (&submit.args, cancel(&submit.task)),
            client_op::Op::Call(call) => (&call.args, cancel(&call.task)),
            client_op::Op::CreateActor(create) => (
                &create.args,
                client_op::Op::Kill(v1::Kill { actor: create.actor.clone(), ..v1::Kill::default() }),
            ),
            _ => return,
        };
        for arg in args {
            if let Some(v1::arg::Arg::Ref(id)) = &arg.arg
                && let Some(id) = Id::from_slice(id).filter(|id| self.creates.contains_key(id))
            {
                self.dependents.entry(id).or_default().push(undo.clone());
            }
        }
    }

    /// An argument cannot be stored: what depends on it fails with the reason.
    fn fail_dependents(&mut self, id: Id, error: &Error, session: &mut Session) {
        for undo in self.dependents.remove(&id).unwrap_or_default() {
            if let client_op::Op::Cancel(cancel) = &undo
                && let Some(task) = TaskId::from_slice(&cancel.id)
            {
                self.fail_outputs(task, error);
            }
            self.send(undo, session);
        }
    }

    /// A call that the node does not know of: its results fail, and have no counts.
    pub(super) fn never_called(&mut self, task: TaskId, error: &Error) {
        if self.streams.contains_key(&task.0) {
            self.unmade.insert(task.0, error.clone());
        }
        for id in (0..).map(|i| task.output(i).0).take_while(|id| self.objects.contains_key(id)) {
            self.unmade.insert(id, error.clone());
        }
        self.fail_outputs(task, error);
    }

    /// A put that the node refused, or that cannot be stored: it has no counts either.
    pub(super) fn never_put(&mut self, object: ObjectId, error: &Error) {
        self.unmade.insert(object.0, error.clone());
        if let Some(entry) = self.objects.get(&object.0) {
            entry.each(|slot| slot.fail(error.clone()));
        }
    }

    /// A value that cannot be stored.
    fn never_stored(&mut self, storing: Box<Storing>, error: &Error, session: &mut Session) {
        let object = storing.object;
        if storing.is_put() {
            self.never_put(object, error);
        }
        self.fail_dependents(object.0, error, session);
        storing.fail(error);
    }
}

fn cancel(task: &Bytes) -> client_op::Op {
    client_op::Op::Cancel(v1::Cancel { id: task.clone(), ..v1::Cancel::default() })
}

fn seal(storing: &Storing) -> client_op::Op {
    if storing.is_abandoned() {
        return client_op::Op::Abort(v1::Abort { object: storing.object.write() });
    }
    client_op::Op::Seal(v1::Seal { object: storing.object.write(), refs: WireId::write_all(storing.refs()) })
}
