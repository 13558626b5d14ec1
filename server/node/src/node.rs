//! The node: its core, its sessions, and the one way in and out of the core.
//!
//! Every entry point follows one pattern: note the time, feed what came, then [`Node::settle`], which sends what is to be sent. Nothing in
//! here waits; what takes time is a task of its own that comes back with an input.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use thornback_core::effect::Reply;
use thornback_core::{Core, Effect, Input, Op, Peer};
use thornback_session::{Accept, Event, Knock, Limits, Position, SendError, Server, refusal};
use thornback_store::Spill;
use thornback_transport::{Token, grpc};
use thornback_types::{Code, Failure, Id, NodeId, SessionId, Time, WorkerId};
use thornback_wire::v1::{self, client_op, server_op};
use tokio::sync::{Notify, mpsc};

use crate::arenas::Arenas;
use crate::control::Waiting;
use crate::convert::{self, Asked, Taken};
use crate::link::Link;
use crate::patience::Patience;
use crate::processes::Processes;
use crate::quiet::Quiet;
use crate::run::Stopping;
use crate::session::{Session, Sessions, from_wire_id, wire_id};

pub(crate) const OWN: SessionId = SessionId::OWN;

/// Bytes that may wait for one client's credit. A client that lets more pile up is ended, so that it cannot fill the node's memory.
const QUEUE_BYTES_MAX: usize = 256 << 20;

/// Sessions at once, connected or within their grace.
const SESSIONS_MAX: usize = 16 << 10;

/// All of a node's state. Its thread shares it by `Rc<RefCell>`; it is borrowed only between waits.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) core: Core,
    pub(crate) id: NodeId,
    pub(crate) version: &'static str,
    pub(crate) arenas: Arenas,
    pub(crate) spill: Spill,
    pub(crate) processes: Processes,
    pub(crate) sessions: Sessions,
    /// Inputs that effects gave rise to.
    pub(crate) inputs: VecDeque<Input>,
    taking: Option<Taking>,
    /// Unary requests that wait for the core's reply.
    pub(crate) requests: HashMap<u64, Waiting>,
    pub(crate) next_request: u64,
    pub(crate) now: Time,
    /// The node ends: what happens to its workers is no news to the core any more.
    pub(crate) ending: bool,
    /// Ends the node.
    pub(crate) stop: mpsc::UnboundedSender<Stopping>,
    /// For tasks that come back.
    pub(crate) myself: Weak<RefCell<Node>>,
    origin: Instant,
    salt: [u8; 8],
    next_session: u64,
    token: Token,
    pub(crate) limits: Limits,
    effects: Vec<Effect>,
    /// Sessions with something to send.
    dirty: Vec<SessionId>,
    /// When the timer's task wakes, and how it is told of an earlier time.
    timer_at: Option<Time>,
    timer_changed: Rc<Notify>,
    pub(crate) patience: Patience,
    pub(crate) quiet: Quiet,
}

/// The operation that the core is taking, for `Effect::Refuse`.
#[derive(Debug, Clone, Copy)]
struct Taking {
    session: SessionId,
    position: Position,
    makes: Option<Id>,
}

/// What a node is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) core: Core,
    pub(crate) id: NodeId,
    pub(crate) version: &'static str,
    pub(crate) arenas: Arenas,
    pub(crate) spill: Spill,
    pub(crate) processes: Processes,
    pub(crate) token: Token,
    pub(crate) limits: Limits,
    pub(crate) salt: [u8; 8],
    pub(crate) stop: mpsc::UnboundedSender<Stopping>,
}

/// How a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The Unix socket, which only our own user can open; the process that did.
    Unix { pid: u32 },
    /// TCP; whether the token was shown already.
    Grpc { authorized: bool },
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Rc<RefCell<Node>> {
        let Parts { core, id, version, arenas, spill, processes, token, limits, salt, stop } = parts;
        Rc::new_cyclic(|myself| {
            RefCell::new(Node {
                core,
                id,
                version,
                arenas,
                spill,
                processes,
                sessions: Sessions::default(),
                inputs: VecDeque::new(),
                taking: None,
                requests: HashMap::new(),
                next_request: 1,
                now: Time::ZERO,
                ending: false,
                stop,
                myself: myself.clone(),
                origin: Instant::now(),
                salt,
                next_session: 1,
                token,
                limits,
                effects: Vec::new(),
                dirty: Vec::new(),
                timer_at: None,
                timer_changed: Rc::new(Notify::new()),
                patience: Patience::default(),
                quiet: Quiet::default(),
            })
        })
    }

    /// Something became known that is no operation of a session.
    pub(crate) fn input(&mut self, input: Input) {
        self.look_at_clock();
        self.inputs.push_back(input);
        self.settle();
    }

    /// The first frame of a connection came. Gives the session that it opens or goes on with, or refuses it and closes the connection.
    pub(crate) fn knock(&mut self, link: &Rc<Link>, door: Door, body: Bytes) -> Option<SessionId> {
        self.look_at_clock();
        let session = Knock::read(body).map_err(Box::new).and_then(|knock| self.admit(link, door, &knock));
        let session = match session {
            Ok(session) => session,
            Err(failure) => {
                self.turn_away(link, *failure);
                return None;
            }
        };
        self.settle();
        Some(session)
    }

    /// Ends a connection that has no session, with the reason.
    pub(crate) fn turn_away(&self, link: &Link, failure: Failure) {
        tracing::debug!(%failure, "refused a connection");
        link.push(&refusal(failure));
        link.close();
        link.flush(&self.arenas);
    }

    /// A connection has ended.
    pub(crate) fn connection_lost(&mut self, link: &Rc<Link>, id: SessionId) {
        self.look_at_clock();
        link.heard_out();
        // A connection that was replaced by another one takes nothing with it.
        if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.is_on(link)) {
            session.link = None;
            session.conversation.connection_lost(self.now);
            self.attend(id);
        }
        self.settle();
    }

    /// The connection on which a process speaks that the node started.
    pub(crate) fn link_of(&self, launch: WorkerId) -> Option<Rc<Link>> {
        let session = self.sessions.values().find(|session| session.launch == Some(launch))?;
        session.link.clone()
    }

    /// A connection takes bytes again.
    pub(crate) fn has_room(&mut self, link: &Rc<Link>, id: Option<SessionId>) {
        self.look_at_clock();
        link.flush(&self.arenas);
        if let Some(id) = id {
            self.touch(id);
            self.settle();
        }
    }

    /// Time for what is done a few times a second: heartbeats, grace periods, repeated lines.
    pub(crate) fn look_around(&mut self) {
        self.look_at_clock();
        let mut ids: Vec<_> = self.sessions.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let now = self.now;
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            let repeated = session.repeats.poll(now);
            if session.conversation.poll_timeout().is_some_and(|at| at <= now) {
                session.conversation.handle_timeout(now);
                self.attend(id);
                self.touch(id);
            }
            for line in repeated {
                self.tell_repeated(id, line);
            }
        }
        self.settle();
    }

    pub(crate) fn has_become_quiet(&mut self) -> bool {
        self.quiet.begins(self.now)
    }

    /// Tells every session that the node ends, and says how many those are.
    pub(crate) fn say_goodbye(&mut self) -> usize {
        self.ending = true;
        let mut ids: Vec<_> = self.sessions.keys().copied().collect();
        ids.sort_unstable();
        for id in &ids {
            if let Some(session) = self.sessions.get_mut(id) {
                session.conversation.goodbye(Some(Failure::new(Code::ShuttingDown, "the node is stopping")));
                session.transmit(self.now, &self.arenas);
                if let Some(link) = &session.link {
                    link.close();
                }
            }
        }
        ids.len()
    }

    /// When the core wants to be called, for the timer's task; and how that task hears of an earlier time.
    pub(crate) fn arm_timer(&mut self) -> (Option<Time>, Rc<Notify>) {
        self.timer_at = self.core.poll_timeout();
        (self.timer_at, Rc::clone(&self.timer_changed))
    }

    /// How long the node has been there.
    pub(crate) fn uptime(&self) -> Duration {
        self.origin.elapsed()
    }

    /// A time of the core as one of the clock.
    pub(crate) fn instant(&self, at: Time) -> Instant {
        self.origin + at.since(Time::ZERO)
    }

    /// Sends an operation to a session. One that can take no more is ended.
    pub(crate) fn tell(&mut self, id: SessionId, op: server_op::Op) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let sent = session.conversation.send(op);
        self.told(id, sent);
    }

    /// A session was sent something, or could not be.
    pub(crate) fn told(&mut self, id: SessionId, sent: Result<(), SendError>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Err(error) = sent
            && session.conversation.ended().is_none()
        {
            tracing::warn!(session = id.0, %error, "a session cannot be told what it must be told, and is ended");
            session.conversation.goodbye(Some(error.failure()));
            self.finish(id);
            return;
        }
        self.touch(id);
    }

    /// Ends a session from our side.
    pub(crate) fn end_session(&mut self, id: SessionId, failure: Option<Failure>) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.conversation.goodbye(failure);
            self.finish(id);
        }
    }

    /// Notes that a session may have something to send.
    pub(crate) fn touch(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && !session.dirty
        {
            session.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Feeds what is left to feed and sends what is left to send.
    pub(crate) fn settle(&mut self) {
        loop {
            while let Some(input) = self.inputs.pop_front() {
                self.feed(input);
            }
            let Some(id) = self.dirty.pop() else { break };
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.dirty = false;
            for sent in session.pump(self.now, &self.arenas) {
                if let Some(error) = sent.failed {
                    self.end_session(
                        id,
                        Some(Failure::new(Code::Internal, format!("an object cannot be read: {error}"))),
                    );
                }
                self.inputs.push_back(Input::BytesSent { session: id, object: sent.object });
            }
        }
        let due = self.core.poll_timeout();
        if due.is_some_and(|due| self.timer_at.is_none_or(|at| due < at)) {
            self.timer_at = due;
            self.timer_changed.notify_one();
        }
        self.patience.done(self.clock());
    }

    /// Hands an input to the core and carries out what it orders.
    pub(crate) fn feed(&mut self, input: Input) {
        self.ask_core(|core, now, effects| core.handle(now, input, effects));
    }

    /// The same for one of many plain operations that came at once; [`Node::conclude`] comes behind the last.
    fn feed_one(&mut self, session: SessionId, op: Op) {
        self.ask_core(|core, now, effects| core.take(now, Input::Op { session, op }, effects));
    }

    /// The core decides what follows from the operations that it took.
    pub(crate) fn conclude(&mut self) {
        self.ask_core(Core::conclude);
    }

    fn ask_core(&mut self, ask: impl FnOnce(&mut Core, Time, &mut Vec<Effect>)) {
        let mut effects = std::mem::take(&mut self.effects);
        ask(&mut self.core, self.now, &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(effect);
        }
        self.effects = effects;
    }

    /// What the clock says.
    pub(crate) fn clock(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    pub(crate) fn look_at_clock(&mut self) {
        let now = self.clock();
        self.now = self.now.max(now);
        self.patience.came(now);
    }

    /// Opens a session for a hello that makes sense, if its sender may have one.
    fn admit(&mut self, link: &Rc<Link>, door: Door, knock: &Knock) -> Result<SessionId, Box<Failure>> {
        let hello = knock.hello();
        let authorized = match door {
            Door::Unix { .. } => hello.token.is_empty() || self.token.matches(&hello.token),
            Door::Grpc { authorized } => authorized || self.token.matches(&hello.token),
        };
        if !authorized {
            return Err(refused(
                Code::Unauthenticated,
                "the token is missing or wrong: send the contents of the node's token file as Hello.token, or over gRPC as metadata \
                 `authorization: Bearer <token>`",
            ));
        }
        if let Some(wanted) = knock.resumes() {
            return self.go_on(link, knock, wanted);
        }
        if self.sessions.len() >= SESSIONS_MAX {
            return Err(refused(
                Code::LimitExceeded,
                format!("the node has {SESSIONS_MAX} sessions already; end some"),
            ));
        }
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|error| {
            Failure::new(Code::Internal, format!("no randomness for the session's secret: {error}"))
        })?;
        let shared_memory = matches!(door, Door::Unix { .. })
            && hello.features.iter().any(|feature| feature == SHARED_MEMORY);
        let functions = convert::functions(hello.functions.clone())?;
        let pid = match door {
            Door::Unix { pid } => pid,
            Door::Grpc { .. } => u32::try_from(hello.pid).unwrap_or(0),
        };
        let launch = (hello.launch != 0).then_some(WorkerId(hello.launch));
        let id = SessionId(self.next_session);
        self.next_session += 1;
        let peer = match hello.role() {
            v1::Role::Worker => Peer::Worker {
                launch,
                pool: hello.pool.clone(),
                language: hello.language.clone(),
                functions,
                formats: hello.formats.clone(),
                shared_memory,
                pid,
            },
            _ => Peer::Driver {
                namespace: hello.namespace.clone(),
                job_name: hello.job_name.clone(),
                want_logs: hello.want_logs,
                shared_memory,
                pid,
            },
        };
        let mut effects = std::mem::take(&mut self.effects);
        self.core.handle(self.now, Input::SessionOpened { session: id, peer }, &mut effects);
        if let Some(failure) = closed(&effects, id) {
            // It was never welcome: what the core orders besides is for others.
            for effect in effects.drain(..) {
                self.carry_out(effect);
            }
            self.effects = effects;
            self.settle();
            return Err(failure);
        }
        let job = self.core.job_of(id);
        let accept = Accept {
            session: wire_id(self.salt, id),
            secret,
            node: Bytes::copy_from_slice(self.id.as_bytes()),
            job: job.map_or_else(Bytes::new, |job| Bytes::copy_from_slice(job.as_bytes())),
            server: format!("thornback/{}", self.version),
            namespace: match (&hello.namespace, job) {
                (given, Some(job)) if given.is_empty() => job.to_string(),
                (given, _) => given.clone(),
            },
            features: match door {
                Door::Unix { .. } => &[SHARED_MEMORY, "actors", "logs", "streams"],
                Door::Grpc { .. } => &["actors", "logs", "streams"],
            },
            limits: Limits {
                heartbeat: match door {
                    // The kernel tells of a peer that is gone, and one that is busy for a minute is not gone.
                    Door::Unix { .. } => Duration::ZERO,
                    Door::Grpc { .. } => self.limits.heartbeat,
                },
                window_bytes: self.core.window_of(id).unwrap_or(self.limits.window_bytes),
                ..self.limits
            },
            queue_bytes_max: QUEUE_BYTES_MAX,
        };
        let conversation = Server::new(self.now, knock, accept);
        self.sessions.insert(id, Session::new(conversation, Rc::clone(link), launch));
        self.touch(id);
        // Only now: they may speak to the session.
        for effect in effects.drain(..) {
            self.carry_out(effect);
        }
        self.effects = effects;
        tracing::debug!(session = id.0, role = ?hello.role(), pid, sdk = hello.sdk, "a session is open");
        Ok(id)
    }

    /// Goes on with a session on a new connection.
    fn go_on(&mut self, link: &Rc<Link>, knock: &Knock, wanted: [u8; 16]) -> Result<SessionId, Box<Failure>> {
        let expired = || refused(Code::SessionExpired, "the session to resume is over: begin a new one");
        let id = from_wire_id(self.salt, wanted).ok_or_else(expired)?;
        let session = self.sessions.get_mut(&id).ok_or_else(expired)?;
        session.conversation.resume(self.now, knock).map_err(Box::new)?;
        // What came on the old connection is before all that comes on the new one.
        self.take_rest(id);
        let session = self.sessions.get_mut(&id).ok_or_else(expired)?;
        if let Some(old) = session.link.replace(Rc::clone(link)) {
            old.close();
        }
        tracing::debug!(session = id.0, "a session goes on");
        self.touch(id);
        Ok(id)
    }

    /// Takes one operation in, or refuses it.
    pub(crate) fn take(&mut self, id: SessionId, position: Position, op: Taken) {
        let op = match op {
            Taken::Core(op) => {
                self.taking = Some(Taking { session: id, position, makes: op.makes() });
                return self.feed_one(id, op);
            }
            Taken::Wire(op) => *op,
        };
        // It may ask about what comes of those before it, and those behind it may build on what comes of it: the right to an actor, say.
        self.conclude();
        self.taking = Some(Taking { session: id, position, makes: convert::makes(&op) });
        let request = if let client_op::Op::Request(request) = &op { Some(request.number) } else { None };
        match (convert::op(op), request) {
            (Ok(Asked::Core(op)), _) => self.feed(Input::Op { session: id, op }),
            (Ok(asked), _) => self.answer(id, asked),
            // Whoever asks waits for its reply.
            (Err(failure), Some(number)) => {
                let reply = convert::reply(number, Reply::Failure(failure));
                self.tell(id, server_op::Op::Reply(Box::new(reply)));
            }
            (Err(failure), None) => self.refuse(id, *failure),
        }
    }

    /// The session whose operation is being taken, or was taken last.
    pub(crate) fn session_taken(&self) -> Option<SessionId> {
        self.taking.map(|taking| taking.session)
    }

    pub(crate) fn refuse(&mut self, id: SessionId, failure: Failure) {
        let Some(taking) = self.taking.filter(|taking| taking.session == id) else { return };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.conversation.refuse(taking.position, taking.makes, failure);
        }
    }

    pub(crate) fn violated(&mut self, link: &Rc<Link>, id: SessionId, failure: Failure) {
        if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.is_on(link)) {
            session.conversation.violated(failure);
            self.attend(id);
        }
    }

    /// Looks at what became of a session.
    pub(crate) fn attend(&mut self, id: SessionId) {
        // A goodbye is behind what came before it.
        self.take_rest(id);
        loop {
            let Some(session) = self.sessions.get_mut(&id) else { return };
            match session.conversation.poll_event() {
                Some(Event::ConnectionDead) => {
                    tracing::info!(session = id.0, "a peer has fallen silent");
                    if let Some(link) = session.link.take() {
                        link.close();
                    }
                }
                Some(Event::Ended(end)) => {
                    tracing::debug!(session = id.0, %end, "a session is over");
                    self.finish(id);
                }
                Some(Event::Welcomed(_)) => {}
                None => return,
            }
        }
    }

    /// Takes a session that is over out of the node.
    fn finish(&mut self, id: SessionId) {
        let Some(mut session) = self.sessions.remove(&id) else { return };
        session.transmit(self.now, &self.arenas);
        if let Some(link) = &session.link {
            link.close();
        }
        let unsent = session.unsent().map(|object| Input::BytesSent { session: id, object });
        self.inputs.extend(unsent);
        self.inputs.push_back(Input::SessionClosed { session: id });
    }
}

/// Why the core ended a session that is about to open, if it did.
fn closed(effects: &[Effect], id: SessionId) -> Option<Box<Failure>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Close { session, failure: Some(failure) } if *session == id => Some(failure.clone()),
        _ => None,
    })
}

fn refused(code: Code, message: impl Into<String>) -> Box<Failure> {
    Box::new(Failure::new(code, message))
}

/// The feature of sessions that can map arenas.
const SHARED_MEMORY: &str = "shared-memory";

/// What a frame that the carrier could not take means.
pub(crate) fn frame_failure(error: grpc::FrameError, limit: usize) -> Failure {
    match error {
        grpc::FrameError::TooLarge => {
            Failure::new(Code::FrameTooLarge, format!("a frame is larger than the limit of {limit} bytes"))
        }
        grpc::FrameError::Malformed(problem) => {
            Failure::new(Code::MalformedFrame, format!("a frame cannot be read: {problem}"))
        }
    }
}
