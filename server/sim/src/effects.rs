//! What cores order, carried out on fake processes, disks and links.

use std::sync::Arc;

use thornback_core::effect::{Pool, Stop};
use thornback_core::input::{ExitStatus, Function, Peer, StoreError};
use thornback_core::link::Packet;
use thornback_core::message::PeerMessage;
use thornback_core::{Effect, Input, Location};
use thornback_types::{Id, NodeId, ObjectId, SessionId, WorkerId};

use crate::client::FUNCTION;
use crate::stranger::is_stranger;
use crate::worker::{Worker, word_of_bytes};
use crate::world::{Event, Incoming, Kind, World};

/// Tells kinds of effect apart, for the fingerprint.
pub(crate) fn number(effect: &Effect) -> u64 {
    match effect {
        Effect::Send { session, .. } => 0x100 + session.0,
        Effect::Refuse { .. } => 1,
        Effect::Close { .. } => 2,
        Effect::StartWorker { .. } => 3,
        Effect::StopWorker { .. } => 4,
        Effect::RetirePool { .. } => 5,
        Effect::OpenArena { .. } => 6,
        Effect::CloseArena { .. } => 7,
        Effect::WriteArena { .. } => 8,
        Effect::PunchArena { .. } => 9,
        Effect::SendBytes { .. } => 10,
        Effect::Spill { .. } => 11,
        Effect::Restore { .. } => 12,
        Effect::DeleteSpilled { .. } => 13,
        Effect::Copy { .. } => 14,
        Effect::Packet { .. } => 15,
        Effect::Pace { .. } => 16,
        Effect::GivenUp => 17,
    }
}

/// Puts a message that means nothing in the place of one of this kind.
fn make_void(packet: &mut Packet, kind: &str) {
    let Packet::Data { body: Some((_, message)), .. } = packet else { return };
    let text = format!("{message:?}");
    if text.strip_prefix(kind).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric)) {
        *message = Arc::new(PeerMessage::Pulled { object: ObjectId(Id([0; 16])) });
    }
}

impl World {
    pub(crate) fn effect(&mut self, host: usize, effect: Effect) {
        let life = self.hosts[host].life;
        match effect {
            Effect::Send { session, .. }
            | Effect::Refuse { session, .. }
            | Effect::SendBytes { session, .. }
            | Effect::Close { session, .. }
                if is_stranger(session) =>
            {
                self.judge_stranger(&effect);
            }
            Effect::Send { session, message } => {
                if self.hosts[host].sessions.contains(&session) {
                    self.tell_client(session, Incoming::Message(message));
                }
            }
            Effect::Refuse { session, failure } => self.tell_client(session, Incoming::Refused(failure)),
            Effect::Close { session, .. } => {
                self.hosts[host].sessions.remove(&session);
                // A process whose connection is closed ends by itself.
                let process = self.hosts[host]
                    .processes
                    .iter()
                    .find(|(_, of)| **of == Some(session))
                    .map(|(worker, _)| *worker);
                if let Some(worker) = process {
                    let after = self.rng.delay(1_000_000);
                    self.after(after, Event::Kill(host, life, worker, ExitStatus::Code(0)));
                }
            }
            Effect::StartWorker { worker, pool } => self.start_process(host, worker, &pool),
            Effect::StopWorker { worker, how } => {
                let (scale, status) = match how {
                    Stop::Gently => (5_000_000, ExitStatus::Code(0)),
                    Stop::Now => (200_000, ExitStatus::Signal(9)),
                };
                let after = self.rng.delay(scale);
                self.after(after, Event::Kill(host, life, worker, status));
            }
            Effect::RetirePool { .. } | Effect::Pace { .. } => {}
            Effect::PunchArena { location } => {
                let after = self.disk_time();
                self.after(after, Event::Punch(host, life, location));
            }
            Effect::OpenArena { arena, size } => {
                self.check(|world| world.hosts[host].memory.open(arena, size))
            }
            Effect::CloseArena { arena } => self.check(|world| world.hosts[host].memory.close(arena)),
            Effect::WriteArena { location, data } => {
                let word = word_of_bytes(&data);
                self.check(|world| world.hosts[host].memory.write(location, word));
            }
            Effect::SendBytes { session, object, location } => {
                let after = self.rng.delay(100_000);
                self.after(after, Event::SendBytes(host, life, session, object, location));
            }
            Effect::Spill { object, location } => {
                let after = self.disk_time();
                let error = self.disk_error(true);
                self.after(after, Event::Spill(host, life, object, location, error));
            }
            Effect::Restore { object, location } => {
                let after = self.disk_time();
                let error = self.disk_error(false);
                self.after(after, Event::Restore(host, life, object, location, error));
            }
            Effect::DeleteSpilled { object } => self.hosts[host].memory.delete_disk(object),
            Effect::Copy { object, from, remote, location } => {
                let after = self.rng.delay(2_000_000);
                self.after(after, Event::Copy { host, life, object, from, remote, location });
            }
            Effect::Packet { to, mut packet } => {
                if let Some(kind) = self.lose {
                    make_void(&mut packet, kind);
                }
                self.send_packet(host, to, &packet);
            }
            // Its processes end with it.
            Effect::GivenUp => self.crash(host),
        }
    }

    fn check(&mut self, act: impl FnOnce(&mut World) -> Result<(), String>) {
        if let Err(problem) = act(self) {
            self.history.problem(problem);
        }
    }

    fn send_packet(&mut self, host: usize, to: NodeId, packet: &Packet) {
        let (faults, from) = (self.faults, self.hosts[host].id);
        let is_cut = self.host_of(to).is_some_and(|to| self.cut.contains(&(host.min(to), host.max(to))));
        let copies = if is_cut || self.rng.chance(faults.packet_lost) {
            0
        } else {
            1 + u64::from(self.rng.chance(faults.packet_doubled))
        };
        for _ in 0..copies {
            let scale = if self.rng.chance(faults.packet_slow) { 20_000_000 } else { 50_000 };
            let after = self.rng.delay(scale);
            self.after(after, Event::Packet { from, to, packet: packet.clone() });
        }
    }

    fn start_process(&mut self, host: usize, worker: WorkerId, pool: &Pool) {
        let life = self.hosts[host].life;
        let after = self.rng.delay(2_000_000);
        let trouble = self.faults.worker_does_not_start;
        if self.rng.chance(trouble) {
            self.history.troubles.start_failures = true;
            return match self.rng.below(3) {
                0 => self.after(
                    after,
                    Event::ToCore(
                        host,
                        life,
                        Input::WorkerStartFailed { worker, reason: "no such file".into() },
                    ),
                ),
                1 => {
                    self.hosts[host].processes.insert(worker, None);
                    self.after(after, Event::Kill(host, life, worker, ExitStatus::Code(1)));
                }
                // It runs, and never says hello.
                _ => {
                    self.hosts[host].processes.insert(worker, None);
                }
            };
        }
        self.hosts[host].processes.insert(worker, None);
        self.after(
            after / 2,
            Event::ToCore(host, life, Input::WorkerStarted { worker, pid: 1000 + worker.0 as u32 }),
        );
        self.after(after, Event::Hello(host, life, worker, Box::new(pool.clone())));
    }

    pub(crate) fn hello(&mut self, host: usize, worker: WorkerId, pool: &Pool) {
        let shared = self.rng.chance(800);
        let function = Function {
            name: FUNCTION.into(),
            min_args: 1,
            max_args: None,
            actor: false,
            signature: String::new(),
        };
        let peer = Peer::Worker {
            launch: Some(worker),
            pool: pool.spec.name.clone(),
            language: "sim".into(),
            functions: vec![function],
            formats: Vec::new(),
            shared_memory: shared,
            pid: 1000 + worker.0 as u32,
        };
        let session = self.open(host, peer, |session| Kind::Worker(Box::new(Worker::new(session, worker))));
        // The answer to its hello may have ended it at once.
        if let Some(known) = self.hosts[host].processes.get_mut(&worker) {
            *known = Some(session);
        }
        let dies = self.faults.worker_dies;
        if self.rng.chance(dies) {
            self.history.troubles.worker_crashes = true;
            let after = self.rng.delay(10_000_000);
            let life = self.hosts[host].life;
            self.after(after, Event::Kill(host, life, worker, ExitStatus::Signal(11)));
        }
    }

    /// A process is gone. Its node reads what it sent last, and then sees its connection end and its exit status, in either order.
    pub(crate) fn end_process(&mut self, host: usize, worker: WorkerId, status: ExitStatus) {
        let Some(session) = self.hosts[host].processes.remove(&worker) else { return };
        let life = self.hosts[host].life;
        let known =
            Event::ToCore(host, life, Input::WorkerExited { worker, status, last_words: String::new() });
        let Some((_, at)) = session.and_then(|session| self.out_time(session)) else {
            let after = self.rng.delay(100_000);
            return self.after(after, known);
        };
        if self.rng.chance(500) {
            self.at(at, known);
            session.into_iter().for_each(|session| self.close_worker(host, session));
        } else {
            session.into_iter().for_each(|session| self.close_worker(host, session));
            let after = self.rng.delay(100_000);
            self.at(at + std::time::Duration::from_nanos(after), known);
        }
    }

    fn close_worker(&mut self, host: usize, session: SessionId) {
        let Some((_, at)) = self.out_time(session) else { return };
        self.clients.remove(&session);
        self.history.caller_gone(session);
        let life = self.hosts[host].life;
        self.at(at, Event::SessionClosed(host, life, session));
    }

    fn disk_time(&mut self) -> u64 {
        let scale = self.rng.pick(&[100_000, 100_000, 10_000_000]);
        self.rng.delay(scale)
    }

    fn disk_error(&mut self, writing: bool) -> Option<StoreError> {
        let fails = self.faults.disk_fails;
        if !self.rng.chance(fails) {
            return None;
        }
        self.history.troubles.disk_faults = true;
        Some(match (writing, self.rng.below(2)) {
            (true, 0) => StoreError::OutOfDisk("full".into()),
            (false, 0) => StoreError::Damaged("checksum".into()),
            _ => StoreError::Io("input/output error".into()),
        })
    }

    pub(crate) fn spill(
        &mut self,
        host: usize,
        object: ObjectId,
        location: Location,
        error: Option<StoreError>,
    ) {
        let result = match error {
            Some(error) => Err(error),
            None => {
                let found = self.hosts[host].memory.read(location);
                match found {
                    Some(word) => self.hosts[host].memory.write_disk(object, word),
                    None => self
                        .history
                        .problem(format!("{object} was to be spilled from {location:?}, where nothing is")),
                }
                Ok(())
            }
        };
        self.tell_core(host, Input::Spilled { object, result });
    }

    pub(crate) fn restore(
        &mut self,
        host: usize,
        object: ObjectId,
        location: Location,
        error: Option<StoreError>,
    ) {
        let result = match (error, self.hosts[host].memory.read_disk(object)) {
            (Some(error), _) => Err(error),
            (None, Some(word)) => {
                self.check(|world| world.hosts[host].memory.write(location, word));
                Ok(())
            }
            (None, None) => Err(StoreError::Damaged("no such file".into())),
        };
        self.tell_core(host, Input::Restored { object, result });
    }

    /// A node is served the bytes that it was offered, and nothing else, whatever it believes about the place.
    pub(crate) fn copy(
        &mut self,
        host: usize,
        object: ObjectId,
        from: NodeId,
        remote: Location,
        location: Location,
    ) {
        let to = self.hosts[host].id;
        let source = self
            .host_of(from)
            .filter(|source| !self.cut.contains(&(host.min(*source), host.max(*source))))
            .filter(|source| {
                self.hosts[*source].core.as_ref().is_some_and(|core| core.has_offered(object, to, remote))
            });
        let result = match source.map(|source| self.hosts[source].memory.read(remote)) {
            Some(Some(word)) => {
                if self.history.truth.get(&object).is_some_and(|truth| *truth != word) {
                    self.history.problem(format!(
                        "{object} was copied from {remote:?} of another node, where something else is"
                    ));
                }
                self.check(|world| world.hosts[host].memory.write(location, word));
                Ok(())
            }
            Some(None) => {
                self.history.problem(format!(
                    "{object} was to be copied from {remote:?} of another node, where nothing is"
                ));
                Ok(())
            }
            None => Err(StoreError::Io("connection lost, or not offered any more".into())),
        };
        self.tell_core(host, Input::Copied { object, from, result });
    }
}
