//! The role of a node: one [`Server`] for each session, and a [`Knock`] for each connection that has not got one yet.

use bytes::Bytes;
use thornback_types::{Code, Failure, Id, Time};
use thornback_wire::convert::WireId;
use thornback_wire::framing::FRAME_BYTES_MAX;
use thornback_wire::v1::{self, client_op, server_op};
use thornback_wire::{Message, hot};

use crate::conversation::{Conversation, Link};
use crate::event::{End, Event};
use crate::limits::{Limits, OPS_MAX, VERSION, window};
use crate::outbox::SendError;
use crate::received::{Position, Received};
use crate::scan;
use crate::side::{ServerSide, Side};
use crate::transmit::{Draft, Transmit};

/// The first frame of a connection: a hello that makes sense. Who sent it, and whether it may, is for the node to judge.
#[derive(Debug, Clone, PartialEq)]
pub struct Knock {
    hello: Box<v1::Hello>,
}

impl Knock {
    /// Reads the first frame of a connection.
    ///
    /// # Errors
    /// If it is not a hello, or one that this version cannot answer. Send [`refusal`] and close the connection.
    pub fn read(body: Bytes) -> Result<Self, Failure> {
        if body.len() > FRAME_BYTES_MAX {
            return Err(Failure::new(
                Code::FrameTooLarge,
                "the first frame of a connection is larger than any may be",
            ));
        }
        scan::check(&body, OPS_MAX)?;
        let frame = v1::ClientFrame::decode(body).map_err(|e| {
            Failure::new(Code::MalformedFrame, format!("the first frame cannot be decoded: {e}"))
        })?;
        let mut ops = frame.ops.into_iter();
        let (Some(client_op::Op::Hello(hello)), None, 0) =
            (ops.next().and_then(|op| op.op), ops.next(), frame.seq)
        else {
            let message =
                "a connection begins with a frame without a number that holds Hello and nothing else";
            return Err(Failure::new(Code::NotHello, message));
        };
        Self::check(hello)
    }

    fn check(hello: Box<v1::Hello>) -> Result<Self, Failure> {
        if hello.version_min > hello.version_max {
            let message = format!("versions {} to {} are no range", hello.version_min, hello.version_max);
            return Err(Failure::new(Code::InvalidArgument, message));
        }
        if !(hello.version_min..=hello.version_max).contains(&VERSION) {
            let message = format!(
                "this server speaks version {VERSION} and the client versions {} to {}; {}",
                hello.version_min,
                hello.version_max,
                if hello.version_max < VERSION {
                    "use a newer SDK"
                } else {
                    "use a newer server or an older SDK"
                },
            );
            return Err(Failure::new(Code::UnsupportedVersion, message));
        }
        if !matches!(hello.role(), v1::Role::Driver | v1::Role::Worker) {
            return Err(Failure::new(
                Code::InvalidArgument,
                "Hello.role is neither ROLE_DRIVER nor ROLE_WORKER",
            ));
        }
        if let Some(resume) = &hello.resume {
            thornback_types::NodeId::read(&resume.session, "resume.session")?;
        }
        Ok(Self { hello })
    }

    /// What was said.
    #[must_use]
    pub fn hello(&self) -> &v1::Hello {
        &self.hello
    }

    /// The id of the session that it wants to go on with, if it does.
    #[must_use]
    pub fn resumes(&self) -> Option<[u8; 16]> {
        self.hello.resume.as_ref().and_then(|resume| resume.session[..].try_into().ok())
    }
}

/// The answer to a connection that gets no session: a goodbye with the reason. Close the connection after it.
#[must_use]
pub fn refusal(failure: Failure) -> Transmit {
    let goodbye = ServerSide::<client_op::Op>::goodbye(v1::Goodbye { failure: Some(failure.into()) });
    let mut draft = Draft::default();
    draft.push(goodbye.encoded_len(), |to| goodbye.encode_raw(to));
    draft.finish(0, 0)
}

/// What the node grants to a new session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// The session's id, which is no secret.
    pub session: [u8; 16],
    /// What a client must show to resume it: 16 random bytes.
    pub secret: [u8; 16],
    /// The node, and the job that the session belongs to (empty for a worker).
    pub node: Bytes,
    /// See `node`.
    pub job: Bytes,
    /// The server and its version, for people.
    pub server: String,
    /// The namespace that the session is in.
    pub namespace: String,
    /// Features that the server has on this carrier.
    pub features: &'static [&'static str],
    /// What holds for the session.
    pub limits: Limits,
    /// Bytes that may wait for the client's credit before [`Server::send`] refuses more.
    pub queue_bytes_max: usize,
}

/// One session, as its node sees it, which makes `M` of what the client says. See the [crate] for how to drive it.
#[derive(Debug)]
pub struct Server<M: hot::Make = client_op::Op> {
    conversation: Conversation<ServerSide<M>>,
    welcome: v1::Welcome,
}

impl<M: hot::Make> Server<M> {
    /// Opens a session for a client that may have one. The first transmit is the `Welcome`.
    #[must_use]
    pub fn new(now: Time, knock: &Knock, accept: Accept) -> Self {
        let hello = &knock.hello;
        let features =
            accept.features.iter().filter(|name| hello.features.iter().any(|offered| offered == *name));
        let welcome = v1::Welcome {
            version: VERSION,
            features: features.map(|name| (*name).to_owned()).collect(),
            limits: Some(accept.limits.into()),
            session: Bytes::copy_from_slice(&accept.session),
            secret: Bytes::copy_from_slice(&accept.secret),
            node: accept.node,
            job: accept.job,
            resumed: false,
            ack: 0,
            server: accept.server,
            namespace: accept.namespace,
        };
        // What the client reads is what we keep to.
        let limits = Limits::from(welcome.limits.unwrap_or_default());
        let link = Link::Greeting { until: now };
        let conversation = Conversation::new(link, limits, limits.window_bytes, accept.queue_bytes_max);
        let mut server = Self { conversation, welcome };
        server.greet(now, hello.window_bytes);
        server
    }

    /// Goes on with the session on the new connection of a client that knocked. The next transmit is the `Welcome`.
    ///
    /// The old connection, if it is still there, is not used any more: close it.
    ///
    /// # Errors
    /// If it may not. Send [`refusal`] to the new connection; the session is as it was.
    pub fn resume(&mut self, now: Time, knock: &Knock) -> Result<(), Failure> {
        if self.conversation.ended().is_some() {
            return Err(Failure::new(Code::SessionExpired, "the session is over"));
        }
        let resume = knock.hello.resume.as_ref();
        let resume = resume.ok_or_else(|| Failure::new(Code::InvalidArgument, "Hello.resume is missing"))?;
        if resume.session != self.welcome.session
            || !equal_in_constant_time(&resume.secret, &self.welcome.secret)
        {
            return Err(Failure::new(Code::PermissionDenied, "the secret is not that of the session"));
        }
        self.conversation.outbox.acknowledged(resume.ack).map_err(|_| {
            Failure::new(Code::SequenceGap, format!("frame {} was never sent to this session", resume.ack))
        })?;
        self.welcome.resumed = true;
        self.welcome.ack = self.conversation.inbox.last();
        self.greet(now, knock.hello.window_bytes);
        Ok(())
    }

    fn greet(&mut self, now: Time, window_bytes: u64) {
        let welcome = server_op::Op::Welcome(Box::new(self.welcome.clone()));
        self.conversation.connect(Link::Greeting { until: now }, ServerSide::<M>::slot(welcome));
        self.conversation.up(now, window(window_bytes));
    }

    /// Takes the body of a frame that came, and gives the operations in it. Then look at [`poll_event`](Self::poll_event).
    ///
    /// Operations that this version does not know have been refused already.
    pub fn handle_frame(&mut self, now: Time, body: Bytes) -> Received<hot::Slot<M>> {
        self.conversation.handle_frame(now, body)
    }

    /// Takes an operation to be sent. Operations gather until [`poll_transmit`](Self::poll_transmit), and none overtakes another.
    ///
    /// While the connection is lost they are kept for the next one.
    ///
    /// # Errors
    /// If it was not taken. After [`SendError::QueueFull`] the client cannot be told all that it must be told: end the session.
    #[inline]
    pub fn send(&mut self, op: server_op::Op) -> Result<(), SendError> {
        self.conversation.send(op)
    }

    /// The same for an operation that is written by hand.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    #[inline]
    pub fn send_hot(&mut self, op: &impl hot::Write) -> Result<(), SendError> {
        self.conversation.send_hot(op)
    }

    /// Answers one operation of the client with `Refused`; the session goes on. `makes` is what it would have made.
    pub fn refuse(&mut self, at: Position, makes: Option<Id>, failure: Failure) {
        if let Err(failure) = self.conversation.refuse(at, makes, failure) {
            self.conversation.violated(failure);
        }
    }

    /// The next frame to be sent, if there is one that the client takes. Ask again until there is none.
    pub fn poll_transmit(&mut self, _now: Time) -> Option<Transmit> {
        self.conversation.poll_transmit()
    }

    /// What happened to the session. Ask again until there is nothing.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.conversation.poll_event()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.conversation.poll_timeout()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.conversation.handle_timeout(now);
    }

    /// The connection is gone. The client may [`resume`](Self::resume) within the grace period, then the session ends.
    pub fn connection_lost(&mut self, now: Time) {
        self.conversation.connection_lost(now);
    }

    /// Ends the session, with the reason if it is an error. What was sent before goes out first, as far as the client takes it.
    pub fn goodbye(&mut self, failure: Option<Failure>) {
        self.conversation.leave(failure);
    }

    /// Ends the session because the carrier found that the client broke the protocol (a frame over the limit).
    pub fn violated(&mut self, failure: Failure) {
        self.conversation.violated(failure);
    }

    /// Stops giving credit back, or goes on with it: how a node that has more than enough to do slows a client down.
    pub fn hold_credit(&mut self, held: bool) {
        self.conversation.inbox.hold(held);
    }

    /// Gives back once what a client is owed that is slowed down, so that it can say what those wait for whom it waits for.
    pub fn spare_credit(&mut self) {
        self.conversation.inbox.spare();
    }

    /// What was said to the client.
    #[must_use]
    pub fn welcome(&self) -> &v1::Welcome {
        &self.welcome
    }

    /// What was agreed.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.conversation.limits
    }

    /// Whether a feature was agreed on.
    #[must_use]
    pub fn has_feature(&self, name: &str) -> bool {
        self.welcome.features.iter().any(|feature| feature == name)
    }

    /// Whether frames can pass now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.conversation.is_connected()
    }

    /// Why the session is over, if it is.
    #[must_use]
    pub fn ended(&self) -> Option<&End> {
        self.conversation.ended()
    }

    /// Bytes that wait for a connection, for credit, or for [`poll_transmit`](Self::poll_transmit).
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.conversation.outbox.queued_bytes()
    }
}

/// So that the time it takes tells nothing of where they differ.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
