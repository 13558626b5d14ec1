//! One session as the node keeps it: its conversation, its connection if there is one, and what it was told of arenas and logs.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use thornback_core::Location;
use thornback_session::{Received, SendError, Server};
use thornback_types::{ObjectId, SessionId, Time, WorkerId};
use thornback_wire::convert::WireId;
use thornback_wire::hot::Slot;
use thornback_wire::v1::{self, server_op};

use crate::arenas::Arenas;
use crate::convert;
use crate::convert::Taken;
use crate::link::Link;
use crate::repeats::Repeats;

/// Bytes of one `Chunk`.
const CHUNK_BYTES: u64 = 256 << 10;

/// No more chunks are read while so much waits to be sent.
const CHUNK_QUEUE_BYTES: usize = 1 << 20;

/// All sessions by number. Numbers are given in turn, so they are hash enough.
pub(crate) type Sessions = HashMap<SessionId, Session, BuildHasherDefault<InTurn>>;

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conversation: Server<Taken>,
    /// The connection that it has now.
    pub(crate) link: Option<Rc<Link>>,
    /// The process that the node started and that says to be at the other end.
    pub(crate) launch: Option<WorkerId>,
    /// Operations of a frame that came and that are to be taken once others have had their turn.
    pub(crate) untaken: Option<Received<Slot<Taken>>>,
    /// It is in the node's list of those with something to send.
    pub(crate) dirty: bool,
    /// Arenas that it was told of: number, and whether to write.
    announced: Vec<(u32, bool)>,
    /// Objects on their way to a session without shared memory.
    sending: VecDeque<Sending>,
    pub(crate) repeats: Repeats,
}

/// An object whose bytes travel in frames.
#[derive(Debug)]
struct Sending {
    object: ObjectId,
    location: Location,
    sent: u64,
}

/// What became of an object's bytes.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) object: ObjectId,
    /// They could not be read: the session cannot be told the rest.
    pub(crate) failed: Option<thornback_store::Error>,
}

impl Session {
    pub(crate) fn new(conversation: Server<Taken>, link: Rc<Link>, launch: Option<WorkerId>) -> Self {
        Self {
            conversation,
            link: Some(link),
            launch,
            untaken: None,
            dirty: false,
            announced: Vec::new(),
            sending: VecDeque::new(),
            repeats: Repeats::default(),
        }
    }

    /// Whether `link` is the connection that it has now, and not one that was replaced.
    pub(crate) fn is_on(&self, link: &Rc<Link>) -> bool {
        self.link.as_ref().is_some_and(|own| Rc::ptr_eq(own, link))
    }

    /// Announces an arena unless that was done: to read, and to write as well once it is to create something there.
    pub(crate) fn announce(&mut self, number: u32, size: u64, writable: bool) -> Result<(), SendError> {
        let announcements: &[bool] = if writable { &[false, true] } else { &[false] };
        for writable in announcements.iter().copied() {
            if self.announced.contains(&(number, writable)) {
                continue;
            }
            self.conversation.send(server_op::Op::Arena(v1::Arena { number, size, writable }))?;
            self.announced.push((number, writable));
        }
        Ok(())
    }

    /// Nothing will be located there again.
    pub(crate) fn forget_arena(&mut self, number: u32) {
        self.announced.retain(|(known, _)| *known != number);
    }

    /// Sends an object's bytes behind those that are on their way.
    pub(crate) fn send_bytes(&mut self, object: ObjectId, location: Location) {
        self.sending.push_back(Sending { object, location, sent: 0 });
    }

    /// Sends what waits, and chunks as far as the client keeps up; gives the objects that are done with.
    pub(crate) fn pump(&mut self, now: Time, arenas: &Arenas) -> Vec<Sent> {
        let mut done = Vec::new();
        loop {
            self.queue_chunks(arenas, &mut done);
            self.transmit(now, arenas);
            // Nobody calls again until the client gives credit or a full connection has room: go on until one of these is what is missing.
            if self.sending.is_empty() || self.conversation.queued_bytes() >= CHUNK_QUEUE_BYTES {
                return done;
            }
        }
    }

    fn queue_chunks(&mut self, arenas: &Arenas, done: &mut Vec<Sent>) {
        while self.conversation.queued_bytes() < CHUNK_QUEUE_BYTES {
            let Some(front) = self.sending.front_mut() else { break };
            let size = (front.location.size - front.sent).min(CHUNK_BYTES);
            let part = Location { offset: front.location.offset + front.sent, size, ..front.location };
            let read = arenas.read(part);
            let failed = match read {
                Ok(data) => {
                    if front.sent == 0 {
                        // Not before the bytes of whatever is ahead of it, which may be the same object, asked for twice.
                        let located = convert::located_elsewhere(front.object, front.location.size);
                        let _ = self.conversation.send(located);
                    }
                    let chunk = v1::Chunk { object: front.object.write(), offset: front.sent, data };
                    front.sent += size;
                    // An error ends the session, which is seen where its end is looked for.
                    let _ = self.conversation.send(server_op::Op::Chunk(chunk));
                    None
                }
                Err(error) => Some(error),
            };
            if failed.is_some() || front.sent == front.location.size {
                done.push(Sent { object: front.object, failed });
                self.sending.pop_front();
            }
        }
    }

    /// Hands frames to the connection and flushes it.
    pub(crate) fn transmit(&mut self, now: Time, arenas: &Arenas) {
        let Some(link) = &self.link else { return };
        while !link.is_full()
            && let Some(frame) = self.conversation.poll_transmit(now)
        {
            link.push(&frame);
            if link.is_full() {
                // If the connection takes all of it, nobody calls again for the rest.
                link.flush(arenas);
            }
        }
        link.flush(arenas);
    }

    /// Objects whose bytes were on their way when it ended.
    pub(crate) fn unsent(&mut self) -> impl Iterator<Item = ObjectId> {
        self.sending.drain(..).map(|sending| sending.object)
    }
}

/// The id of a session on the wire: its number behind bytes that tell this life of the node from another.
pub(crate) fn wire_id(salt: [u8; 8], session: SessionId) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&salt);
    id[8..].copy_from_slice(&session.0.to_be_bytes());
    id
}

/// The session with this id, if it is one of this life.
pub(crate) fn from_wire_id(salt: [u8; 8], id: [u8; 16]) -> Option<SessionId> {
    let (own, number) = id.split_first_chunk::<8>()?;
    let number = <[u8; 8]>::try_from(number).ok()?;
    (*own == salt).then(|| SessionId(u64::from_be_bytes(number)))
}

/// A hash for numbers that are given in turn: spreads them over the table's top bits as well.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct InTurn(u64);

impl Hasher for InTurn {
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use thornback_session::{Accept, Knock, Limits};
    use thornback_wire::Message;
    use tokio::sync::mpsc;

    use super::*;

    fn open(sender: mpsc::Sender<Bytes>) -> Session {
        let hello = v1::Hello {
            version_min: 1,
            version_max: 1,
            role: v1::Role::Driver.into(),
            window_bytes: 64 << 20,
            ..v1::Hello::default()
        };
        let op = v1::ClientOp { op: Some(v1::client_op::Op::Hello(Box::new(hello))) };
        let frame = v1::ClientFrame { ops: vec![op], ..v1::ClientFrame::default() };
        let knock = Knock::read(frame.encode_to_vec().into()).unwrap();
        let accept = Accept {
            session: [1; 16],
            secret: [2; 16],
            node: Bytes::new(),
            job: Bytes::new(),
            server: String::new(),
            namespace: String::new(),
            features: &[],
            limits: Limits::default(),
            queue_bytes_max: 64 << 20,
        };
        Session::new(Server::new(Time::ZERO, &knock, accept), Rc::new(Link::grpc(sender)), None)
    }

    /// Bytes that are too long for two of them to share a frame.
    fn long() -> server_op::Op {
        server_op::Op::Chunk(v1::Chunk { data: vec![0; 3 << 20].into(), ..v1::Chunk::default() })
    }

    #[test]
    fn a_connection_that_takes_all_that_it_is_given_is_given_all() {
        let (sender, mut receiver) = mpsc::channel(16);
        let mut session = open(sender);
        for _ in 0..4 {
            session.conversation.send(long()).unwrap();
        }
        session.transmit(Time::ZERO, &Arenas::new().unwrap());
        // Nobody would call again: the client has the credit, and the connection was never full.
        assert_eq!(receiver.len(), 1 + 4, "the welcome, and what was to be sent");
        assert!(receiver.try_recv().is_ok());
    }

    #[test]
    fn a_connection_that_is_full_is_given_no_more_than_fills_the_queue() {
        let (sender, mut receiver) = mpsc::channel(2);
        let mut session = open(sender);
        for _ in 0..4 {
            session.conversation.send(long()).unwrap();
        }
        let arenas = Arenas::new().unwrap();
        session.transmit(Time::ZERO, &arenas);
        assert_eq!(receiver.len(), 2);
        assert!(
            session.conversation.queued_bytes() >= 6 << 20,
            "one waits in the queue, the others where they count"
        );
        receiver.try_recv().unwrap();
        session.transmit(Time::ZERO, &arenas);
        assert_eq!(receiver.len(), 1, "nothing is tried before the connection says that there is room");
    }
}
