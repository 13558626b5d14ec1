//! What both roles share: a conversation that has been opened, with its two directions, its connection and its end.

use bytes::Bytes;
use thornback_types::{Code, Failure, Id, Time};
use thornback_wire::{Message, convert, hot, v1};

use crate::event::{End, Event};
use crate::inbox::{Inbox, Verdict};
use crate::limits::{Limits, OPS_MAX};
use crate::outbox::{Outbox, SendError};
use crate::received::{Position, Received};
use crate::scan;
use crate::side::{Control, Frame, Kind, Side};
use crate::transmit::{Draft, Transmit};

/// A conversation of one side.
#[derive(Debug)]
pub(crate) struct Conversation<S: Side> {
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    pub(crate) limits: Limits,
    link: Link,
    /// Set once, and told once.
    end: Option<End>,
    end_told: bool,
    /// Set when the peer fell silent; told once.
    dead: bool,
    /// A `Welcome` that came, for the client to judge.
    pub(crate) welcome: Option<Box<v1::Welcome>>,
    /// To be said before anything else: hello or welcome.
    greeting: Option<S::OutSlot>,
    pong: Option<u64>,
    ping: Option<u64>,
    pings: u64,
    /// A goodbye that is still to be said, with its reason.
    leaving: Option<Option<Failure>>,
}

/// The connection under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// There is one, and counted frames may pass.
    Up {
        /// When a frame last came.
        heard: Time,
        /// When to ping if nothing comes.
        ping_at: Time,
    },
    /// There is one, and a `Welcome` is awaited on it.
    Greeting { until: Time },
    /// There is none, and the session waits for one.
    Down { until: Time },
}

impl<S: Side> Conversation<S> {
    pub(crate) fn new(link: Link, limits: Limits, window: u64, queue_bytes_max: usize) -> Self {
        Self {
            inbox: Inbox::new(window),
            outbox: Outbox::new(limits.frame_bytes, queue_bytes_max),
            limits,
            link,
            end: None,
            end_told: false,
            dead: false,
            welcome: None,
            greeting: None,
            pong: None,
            ping: None,
            pings: 0,
            leaving: None,
        }
    }

    pub(crate) fn link(&self) -> Link {
        self.link
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up { .. }) && self.end.is_none()
    }

    pub(crate) fn ended(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// A new connection: what was only for the last one is forgotten.
    pub(crate) fn connect(&mut self, link: Link, greeting: S::OutSlot) {
        self.link = link;
        self.dead = false;
        self.greeting = Some(greeting);
        (self.pong, self.ping) = (None, None);
    }

    /// Counted frames may pass, all those that are not acknowledged again.
    pub(crate) fn up(&mut self, now: Time, peer_window: u64) {
        self.link = Link::Up { heard: now, ping_at: now + self.limits.heartbeat };
        self.outbox.restart(peer_window);
        self.inbox.restart();
    }

    /// Takes a frame that came. What it holds for the owner is in the answer; what it did to the conversation is in
    /// [`poll_event`](Conversation::poll_event).
    pub(crate) fn handle_frame(&mut self, now: Time, body: Bytes) -> Received<S::Slot> {
        if self.end.is_some() || matches!(self.link, Link::Down { .. }) {
            return Received::nothing();
        }
        self.read_frame(now, body).unwrap_or_else(|failure| {
            self.violated(failure);
            Received::nothing()
        })
    }

    fn read_frame(&mut self, now: Time, body: Bytes) -> Result<Received<S::Slot>, Failure> {
        let bytes = body.len();
        let Frame { seq, ack, ops } = self.decode(body)?;
        if let Link::Up { heard, ping_at } = &mut self.link {
            *heard = now;
            *ping_at = now + self.limits.heartbeat;
        }
        self.outbox.acknowledged(ack).map_err(|_| {
            Failure::new(
                Code::SequenceGap,
                format!("frame {ack} was acknowledged and never sent; resume with the right `ack`"),
            )
        })?;
        if seq == 0 {
            self.take_control(ops)?;
            return Ok(Received::nothing());
        }
        if !matches!(self.link, Link::Up { .. }) {
            return Err(Failure::new(Code::NotHello, "a counted frame came before Welcome"));
        }
        match self.inbox.take(seq, bytes) {
            Verdict::Take => {}
            Verdict::Duplicate => return Ok(Received::nothing()),
            Verdict::Gap { due } => {
                return Err(Failure::new(Code::SequenceGap, format!("frame {seq} came and {due} was due")));
            }
            Verdict::Overdrawn => {
                return Err(Failure::new(
                    Code::FlowControl,
                    format!("frame {seq} came without credit; send counted frames only while some is left"),
                ));
            }
        }
        self.take_counted(seq, ops)
    }

    fn decode(&self, body: Bytes) -> Result<Frame<S::Slot>, Failure> {
        if body.len() > self.limits.frame_bytes {
            return Err(Failure::new(
                Code::FrameTooLarge,
                format!("a frame of {} bytes came and the limit is {}", body.len(), self.limits.frame_bytes),
            ));
        }
        let ops = scan::check(&body, OPS_MAX)?;
        S::decode(body, ops)
            .map_err(|e| Failure::new(Code::MalformedFrame, format!("a frame cannot be decoded: {e}")))
    }

    /// An uncounted frame.
    fn take_control(&mut self, ops: Vec<S::Slot>) -> Result<(), Failure> {
        if ops.iter().any(|slot| S::look(slot) == Kind::Counted) {
            return Err(Failure::new(
                Code::MalformedFrame,
                "an operation that counts came in a frame without a number",
            ));
        }
        for op in ops.into_iter().filter_map(S::control) {
            match op {
                Control::Hello => {
                    return Err(Failure::new(Code::NotHello, "a second Hello came on one connection"));
                }
                Control::Welcome(welcome) => self.welcome = Some(welcome),
                Control::Credit(credit) => self.outbox.add_credit(credit.bytes),
                Control::Ping(ping) => self.pong = Some(ping.nonce),
                Control::Pong => {}
                Control::Goodbye(goodbye) => self.peer_left(*goodbye),
            }
        }
        Ok(())
    }

    /// A counted frame that is the next one.
    fn take_counted(&mut self, seq: u64, ops: Vec<S::Slot>) -> Result<Received<S::Slot>, Failure> {
        let mut leaves = false;
        for (index, slot) in ops.iter().enumerate() {
            match S::look(slot) {
                Kind::Counted => {}
                Kind::Control => {
                    return Err(Failure::new(
                        Code::MalformedFrame,
                        format!("operation {index} of frame {seq} belongs into a frame with `seq` 0"),
                    ));
                }
                Kind::Goodbye => leaves = true,
                Kind::Unknown => {
                    // `OPS_MAX` bounds the index.
                    let position = Position { seq, index: u32::try_from(index).unwrap_or(u32::MAX) };
                    self.refuse(
                        position,
                        None,
                        Failure::new(
                            Code::UnknownOperation,
                            "this version of the server does not know the operation",
                        ),
                    )?;
                }
            }
        }
        let mut ops = ops;
        if leaves {
            let at = ops.iter().position(|slot| S::look(slot) == Kind::Goodbye).unwrap_or(ops.len());
            let goodbye = ops.drain(at..).next().and_then(S::control);
            if let Some(Control::Goodbye(goodbye)) = goodbye {
                self.peer_left(*goodbye);
            }
        }
        Ok(Received::new(seq, ops))
    }

    /// Tells the peer that an operation of its was not taken.
    pub(crate) fn refuse(
        &mut self,
        at: Position,
        makes: Option<Id>,
        failure: Failure,
    ) -> Result<(), Failure> {
        let id = makes.map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id.0));
        let refused = v1::Refused { seq: at.seq, index: at.index, failure: Some(failure.into()), id };
        match S::refused(refused).map_or(Ok(()), |op| self.send(op)) {
            Err(SendError::QueueFull { .. }) => Err(Failure::new(
                Code::LimitExceeded,
                "so many operations were refused that the answers could not be kept",
            )),
            Ok(()) | Err(SendError::NotOpen | SendError::TooLarge { .. }) => Ok(()),
        }
    }

    pub(crate) fn send(&mut self, op: S::Out) -> Result<(), SendError> {
        if self.end.is_some() {
            return Err(SendError::NotOpen);
        }
        let descriptor = S::descriptor(&op);
        self.outbox.push(&S::slot(op), descriptor, self.inbox.last())
    }

    pub(crate) fn send_hot(&mut self, op: &impl hot::Write) -> Result<(), SendError> {
        if self.end.is_some() {
            return Err(SendError::NotOpen);
        }
        self.outbox.push_bytes(op.encoded_len(), |to| op.encode(to), None, self.inbox.last())
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        if matches!(self.link, Link::Down { .. }) {
            return None;
        }
        if self.end.is_none() {
            if let Some(frame) = self.control_frame() {
                return Some(frame);
            }
            if matches!(self.link, Link::Up { .. })
                && let Some(frame) = self.outbox.transmit(self.inbox.last())
            {
                return Some(frame);
            }
        }
        // Behind everything that the peer takes.
        let failure = self.leaving.take()?;
        if self.end.is_none() {
            self.end = Some(End::Left(failure.clone()));
        }
        let mut draft = Draft::default();
        push(&mut draft, &S::goodbye(v1::Goodbye { failure: failure.map(v1::Failure::from) }));
        Some(draft.finish(0, self.inbox.last()))
    }

    /// Says goodbye once everything that the peer takes has been sent.
    pub(crate) fn leave(&mut self, failure: Option<Failure>) {
        if self.end.is_some() {
            return;
        }
        if matches!(self.link, Link::Down { .. }) {
            // There is nobody to say it to.
            self.end = Some(End::Left(failure));
        } else {
            self.leaving = Some(failure);
        }
    }

    /// The peer broke the protocol: tell it how, and take nothing more from it.
    pub(crate) fn violated(&mut self, failure: Failure) {
        if self.end.is_none() {
            self.leaving = Some(Some(failure.clone()));
            self.end = Some(End::Violated(failure));
        }
    }

    fn peer_left(&mut self, goodbye: v1::Goodbye) {
        let failure = goodbye.failure.map(|failure| {
            Failure::try_from(failure).unwrap_or_else(|invalid: convert::Invalid| invalid.failure())
        });
        self.leaving = None;
        self.end = Some(End::PeerLeft(failure));
    }

    /// The connection is gone; the session waits for another.
    pub(crate) fn connection_lost(&mut self, now: Time) {
        if !matches!(self.link, Link::Down { .. }) {
            self.link = Link::Down { until: now + self.limits.grace };
        }
        self.greeting = None;
        if let Some(failure) = self.leaving.take()
            && self.end.is_none()
        {
            self.end = Some(End::Left(failure));
        }
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.dead) {
            return Some(Event::ConnectionDead);
        }
        let end = self.end.as_ref()?;
        (!std::mem::replace(&mut self.end_told, true)).then(|| Event::Ended(end.clone()))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        if self.end.is_some() {
            return None;
        }
        match self.link {
            Link::Up { .. } if self.limits.heartbeat.is_zero() => None,
            Link::Up { heard, ping_at } => Some(ping_at.min(self.dead_at(heard))),
            Link::Greeting { until } | Link::Down { until } => Some(until),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        match self.link {
            Link::Up { heard, .. } if now >= self.dead_at(heard) => self.silent(now),
            Link::Up { heard, .. } => {
                self.ping();
                self.link = Link::Up { heard, ping_at: now + self.limits.heartbeat };
            }
            Link::Greeting { .. } => self.silent(now),
            Link::Down { .. } => self.end = Some(End::Expired),
        }
    }

    /// Asks the peer to say something.
    pub(crate) fn ping(&mut self) {
        self.pings += 1;
        self.ping = Some(self.pings);
    }

    /// When silence has been too long.
    fn dead_at(&self, heard: Time) -> Time {
        heard + self.limits.heartbeat * 3
    }

    fn silent(&mut self, now: Time) {
        self.dead = true;
        self.connection_lost(now);
    }

    /// What is to be said of the conversation itself.
    fn control_frame(&mut self) -> Option<Transmit> {
        let mut draft = Draft::default();
        if let Some(greeting) = self.greeting.take() {
            push(&mut draft, &greeting);
        }
        if matches!(self.link, Link::Up { .. }) {
            if let Some(bytes) = self.inbox.credit_due() {
                push(&mut draft, &S::credit(v1::Credit { bytes }));
            }
            if let Some(nonce) = self.pong.take() {
                push(&mut draft, &S::pong(v1::Pong { nonce }));
            }
            if let Some(nonce) = self.ping.take() {
                push(&mut draft, &S::ping(v1::Ping { nonce }));
            }
        }
        (!draft.is_empty()).then(|| draft.finish(0, self.inbox.last()))
    }
}

fn push(draft: &mut Draft, slot: &impl Message) {
    draft.push(slot.encoded_len(), |to| slot.encode_raw(to));
}
