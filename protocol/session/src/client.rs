//! The role of a driver or worker.

use std::time::Duration;

use bytes::Bytes;
use thornback_types::{Code, Failure, Time};
use thornback_wire::hot;
use thornback_wire::v1::{self, client_op, server_op};

use crate::conversation::{Conversation, Link};
use crate::event::{End, Event};
use crate::limits::{Limits, VERSION, window};
use crate::outbox::SendError;
use crate::received::Received;
use crate::side::{ClientSide, Side};
use crate::transmit::Transmit;

/// How a client behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Role, features, token and whatever else it says of itself. Versions, window and resumption are filled in.
    pub hello: v1::Hello,
    /// Bytes of counted frames that the server may have sent and not got credit back for.
    pub window_bytes: u64,
    /// Bytes that may wait for the server's credit before [`Client::send`] refuses more.
    pub queue_bytes_max: usize,
    /// How long a `Welcome` may take.
    pub welcome_timeout: Duration,
}

impl Config {
    /// The defaults, for a hello.
    #[must_use]
    pub fn new(hello: v1::Hello) -> Self {
        Self {
            hello,
            window_bytes: crate::limits::WINDOW_BYTES_DEFAULT,
            queue_bytes_max: 256 << 20,
            welcome_timeout: Duration::from_secs(10),
        }
    }
}

/// One session, as its driver or worker sees it, which makes `M` of the server's operations. See the [crate] for how to drive it.
#[derive(Debug)]
pub struct Client<M: hot::client::Make = server_op::Op> {
    conversation: Conversation<ClientSide<M>>,
    config: Config,
    welcome: Option<Box<v1::Welcome>>,
    /// A welcome that was not told yet.
    news: bool,
}

impl<M: hot::client::Make> Client<M> {
    /// A session that begins on a connection that has just been made. The first transmit is the `Hello`.
    #[must_use]
    pub fn new(now: Time, config: Config) -> Self {
        let link = Link::Greeting { until: now + config.welcome_timeout };
        // Nothing is known of the server's limits yet; a Welcome is small.
        let conversation =
            Conversation::new(link, Limits::default(), window(config.window_bytes), config.queue_bytes_max);
        let mut client = Self { conversation, config, welcome: None, news: false };
        client.greet(now);
        client
    }

    /// Goes on with the session on a new connection. The next transmit is the `Hello` that says so.
    ///
    /// The old connection, if it is still there, is not used any more: close it.
    pub fn reconnect(&mut self, now: Time) {
        if self.conversation.ended().is_none() {
            self.greet(now);
        }
    }

    fn greet(&mut self, now: Time) {
        let mut hello = self.config.hello.clone();
        (hello.version_min, hello.version_max) = (VERSION, VERSION);
        hello.window_bytes = self.conversation.inbox.window();
        hello.resume = self.welcome.as_ref().map(|welcome| v1::ResumeSession {
            session: welcome.session.clone(),
            secret: welcome.secret.clone(),
            ack: self.conversation.inbox.last(),
        });
        let link = Link::Greeting { until: now + self.config.welcome_timeout };
        self.conversation.connect(link, ClientSide::<M>::slot(client_op::Op::Hello(Box::new(hello))));
    }

    /// Takes the body of a frame that came, and gives the operations in it. Then look at [`poll_event`](Self::poll_event).
    pub fn handle_frame(&mut self, now: Time, body: Bytes) -> Received<hot::client::Slot<M>> {
        let received = self.conversation.handle_frame(now, body);
        if let Some(welcome) = self.conversation.welcome.take()
            && self.conversation.ended().is_none()
            && let Err(failure) = self.welcomed(now, welcome)
        {
            self.conversation.violated(failure);
        }
        received
    }

    fn welcomed(&mut self, now: Time, welcome: Box<v1::Welcome>) -> Result<(), Failure> {
        let Link::Greeting { .. } = self.conversation.link() else {
            return Err(Failure::new(Code::MalformedFrame, "a second Welcome came on one connection"));
        };
        if welcome.version != VERSION {
            let message =
                format!("the server chose version {} and only {VERSION} was offered", welcome.version);
            return Err(Failure::new(Code::UnsupportedVersion, message));
        }
        if let Some(before) = &self.welcome {
            if !welcome.resumed || welcome.session != before.session {
                return Err(Failure::new(
                    Code::SessionExpired,
                    "the server began another session instead of resuming",
                ));
            }
            self.conversation.outbox.acknowledged(welcome.ack).map_err(|_| {
                Failure::new(Code::SequenceGap, "the server acknowledged a frame that was never sent")
            })?;
        }
        let limits = Limits::from(welcome.limits.unwrap_or_default());
        self.conversation.limits = limits;
        self.conversation.outbox.set_frame_bytes_max(limits.frame_bytes);
        self.conversation.up(now, limits.window_bytes);
        self.welcome = Some(welcome);
        self.news = true;
        Ok(())
    }

    /// Takes an operation to be sent. Operations gather until [`poll_transmit`](Self::poll_transmit), and none overtakes another.
    ///
    /// While the connection is lost they are kept for the next one.
    ///
    /// # Errors
    /// If it was not taken; the session goes on as if it had not been tried.
    pub fn send(&mut self, op: client_op::Op) -> Result<(), SendError> {
        if self.welcome.is_none() {
            return Err(SendError::NotOpen);
        }
        self.conversation.send(op)
    }

    /// The same for an operation that is written by hand.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn send_hot(&mut self, op: &impl hot::Write) -> Result<(), SendError> {
        if self.welcome.is_none() {
            return Err(SendError::NotOpen);
        }
        self.conversation.send_hot(op)
    }

    /// The next frame to be sent, if there is one that the server takes. Ask again until there is none.
    pub fn poll_transmit(&mut self, _now: Time) -> Option<Transmit> {
        self.conversation.poll_transmit()
    }

    /// What happened to the session. Ask again until there is nothing.
    pub fn poll_event(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.news)
            && let Some(welcome) = &self.welcome
        {
            return Some(Event::Welcomed(welcome.clone()));
        }
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

    /// The connection is gone. [`reconnect`](Self::reconnect) within the grace period, or the session ends.
    pub fn connection_lost(&mut self, now: Time) {
        self.conversation.connection_lost(now);
        if self.welcome.is_none() {
            // There is no session yet to go on with.
            let failure = Failure::new(
                Code::ConnectionLost,
                "the connection was closed before the server said Welcome",
            );
            self.conversation.leave(Some(failure));
        }
    }

    /// Ends the session, with the reason if it is an error. What was sent before goes out first, as far as the server takes it.
    pub fn goodbye(&mut self, failure: Option<Failure>) {
        self.conversation.leave(failure);
    }

    /// Ends the session because the carrier found that the server broke the protocol (a frame over the limit).
    pub fn violated(&mut self, failure: Failure) {
        self.conversation.violated(failure);
    }

    /// Stops giving credit back, or goes on with it: a server that is not read from soon stops sending.
    pub fn hold_credit(&mut self, held: bool) {
        self.conversation.inbox.hold(held);
    }

    /// What the server said of itself and the session.
    #[must_use]
    pub fn welcome(&self) -> Option<&v1::Welcome> {
        self.welcome.as_deref()
    }

    /// What was agreed.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.conversation.limits
    }

    /// Whether a feature was agreed on.
    #[must_use]
    pub fn has_feature(&self, name: &str) -> bool {
        self.welcome.as_ref().is_some_and(|welcome| welcome.features.iter().any(|feature| feature == name))
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

    /// Whether the server has acknowledged everything that was said.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.conversation.outbox.is_settled()
    }

    /// Asks the server for an answer, which acknowledges what it has taken: one that has nothing to say need not do that by itself.
    pub fn ping(&mut self) {
        self.conversation.ping();
    }

    /// Bytes that wait for a connection, for credit, or for [`poll_transmit`](Self::poll_transmit).
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.conversation.outbox.queued_bytes()
    }
}
