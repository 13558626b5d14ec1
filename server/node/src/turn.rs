//! Turns: what comes from one session is taken in parts, so that a frame with tens of thousands of operations holds up nobody else for long.
//!
//! A session's operations are still taken in order: nothing more is read from its connection before its last frame has been taken whole.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use thornback_transport::grpc;
use thornback_types::{Code, Failure, SessionId};
use thornback_wire::framing::Decoder;

use crate::link::Link;
use crate::node::{Node, frame_failure};

/// Operations of one session that are taken in one turn: a tenth of a millisecond's worth. A frame may hold hundreds of times as many.
///
/// What a turn gave rise to is sent at its end, so that whoever gets it begins while the rest is taken here. With 2048, all that was in flight went
/// around in one lump, and each waited for it while the others worked; with 64, so many more sends and wake-ups cost more than that gained.
const TURN_OPS: usize = 128;

/// What a connection's task does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Read more.
    Read,
    /// Let others have their turn, and then go on with what was read.
    Again,
    /// The session is over, or goes on elsewhere.
    Close,
}

/// How much of one session is taken before the others have their turn.
#[derive(Debug)]
struct Turn {
    left: usize,
}

impl Default for Turn {
    fn default() -> Self {
        Self { left: TURN_OPS }
    }
}

impl Node {
    /// Bytes came on a Unix connection. Whole frames are taken off the front of `buffer`.
    pub(crate) fn bytes_came(
        &mut self,
        link: &Rc<Link>,
        id: SessionId,
        decoder: Decoder,
        buffer: &mut BytesMut,
    ) -> Next {
        self.look_at_clock();
        self.quiet.came(self.now);
        let mut turn = Turn::default();
        let next = loop {
            if let next @ (Next::Close | Next::Again) = self.take_on(link, id, &mut turn) {
                break next;
            }
            match decoder.next(buffer) {
                Ok(Some(body)) => self.frame(link, id, body),
                Ok(None) => break Next::Read,
                Err(too_large) => {
                    self.violated(link, id, Failure::new(Code::FrameTooLarge, too_large.to_string()));
                    break Next::Close;
                }
            }
        };
        self.settle();
        next
    }

    /// A frame came on a gRPC connection; `None` to go on with the one before.
    pub(crate) fn frame_came(
        &mut self,
        link: &Rc<Link>,
        id: SessionId,
        frame: Option<Result<Bytes, grpc::FrameError>>,
    ) -> Next {
        self.look_at_clock();
        self.quiet.came(self.now);
        match frame {
            Some(Ok(body)) => self.frame(link, id, body),
            Some(Err(error)) => self.violated(link, id, frame_failure(error, self.limits.frame_bytes)),
            None => {}
        }
        let next = self.take_on(link, id, &mut Turn::default());
        self.settle();
        next
    }

    /// A frame came, and everything before it has been taken.
    fn frame(&mut self, link: &Rc<Link>, id: SessionId, body: Bytes) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.is_on(link)) else { return };
        session.untaken = Some(session.conversation.handle_frame(now, body));
        self.touch(id);
    }

    /// Takes operations of the last frame, as many as are left to this turn.
    fn take_on(&mut self, link: &Rc<Link>, id: SessionId, turn: &mut Turn) -> Next {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| session.is_on(link)) else {
            return Next::Close;
        };
        if let Some(mut received) = session.untaken.take() {
            for (position, op) in received.by_ref().take(turn.left) {
                turn.left -= 1;
                self.take(id, position, op);
            }
            self.conclude();
            if turn.left == 0
                && let Some(session) = self.sessions.get_mut(&id)
            {
                session.untaken = Some(received);
                return Next::Again;
            }
        }
        self.attend(id);
        if self.sessions.contains_key(&id) { Next::Read } else { Next::Close }
    }

    /// Takes what is left of a frame, though it be much.
    pub(crate) fn take_rest(&mut self, id: SessionId) {
        let received = self.sessions.get_mut(&id).and_then(|session| session.untaken.take());
        for (position, op) in received.into_iter().flatten() {
            self.take(id, position, op);
        }
        self.conclude();
    }
}
