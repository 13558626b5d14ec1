//! The thread that holds a session: wishes in, frames out, frames in, wakers out. One turn of its loop does all there is of each, so that
//! whatever came together goes out together.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use thornback_session::client::Config;
use thornback_session::{End, Event};
use thornback_types::{Code, Failure, JobId, NodeId, Time};
use thornback_wire::v1;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::carrier::{Address, Carrier};
use super::outbox::Wishes;
use super::table::{Listener, QUEUED_BYTES_MAX, Session, Table};
use super::{Link, Shared, Welcome, lock, salt};
use crate::client::{LocalServer, Where};
use crate::worker::Inbox;
use crate::{Error, Result};

/// How to open a session.
pub(crate) struct Opening {
    pub(crate) at: Where,
    pub(crate) token: String,
    pub(crate) hello: v1::Hello,
    /// Where runs go, for a worker.
    pub(crate) inbox: Option<Arc<Inbox>>,
    pub(crate) listener: Box<dyn Listener>,
}

/// Between attempts to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Wishes that one turn works off: a frame of some tens of kilobytes.
const TURN_ITEMS_MAX: usize = 2048;

/// As many wishes as are worth a frame at once, and how often they are looked at until there are that many.
const GATHER_ITEMS_MAX: usize = 256;
const GATHER_LOOKS_MAX: usize = 64;

/// How long results may wait for more of them, while the worker goes on with its next task.
const LAZY: Duration = Duration::from_millis(1);

/// How long the last words may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a worker that ends by itself waits for its node to take its last words.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long it waits until it asks a second time whether they are taken (the first question overtakes what is queued); then twice as long each time, up to
/// the maximum.
const SETTLE_PAUSE: Duration = Duration::from_millis(1);
const SETTLE_PAUSE_MAX: Duration = Duration::from_millis(50);

/// Opens a session on a thread of its own, and gives its handle side.
pub(crate) async fn open(opening: Opening) -> Result<Arc<Link>> {
    let (sender, receiver) = oneshot::channel();
    let no_thread = |error: io::Error| {
        Error::new(Code::Internal, format!("the thread of the session cannot be started: {error}"))
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(no_thread)?;
    std::thread::Builder::new()
        .name("thornback-io".into())
        .spawn(move || runtime.block_on(run(opening, sender)))
        .map_err(no_thread)?;
    receiver
        .await
        .unwrap_or_else(|_| Err(Error::connection_lost("the thread of the session ended before it was open")))
}

async fn run(opening: Opening, opened: oneshot::Sender<Result<Arc<Link>>>) {
    let (mut thread, server) = match Thread::open(opening).await {
        Ok(open) => open,
        Err(error) => {
            // Whoever asked may have stopped waiting.
            let _ = opened.send(Err(error));
            return;
        }
    };
    // If nobody waits any more, the link closes the session as it is dropped.
    let _ = opened.send(Ok(Link::new(thread.shared.clone())));
    let error = thread.serve().await;
    thread.end(error);
    drop(thread);
    if let Some(server) = server {
        server.stop();
    }
}

struct Thread {
    shared: Arc<Shared>,
    session: Session,
    carrier: Carrier,
    table: Table,
    /// Wishes that are not worked off yet.
    wishes: Wishes,
    descriptors: VecDeque<OwnedFd>,
    address: Address,
    token: String,
    start: Instant,
    /// When lazy wishes have waited long enough.
    lazy_until: Option<Instant>,
    /// When the connection was last made anew.
    reconnected: Option<Instant>,
    /// A worker that ends by itself, and has said everything.
    settling: Option<Settling>,
    sleep: Pin<Box<Sleep>>,
    armed: Option<Instant>,
}

/// The wait of a session that would take with it what a lost connection swallowed.
struct Settling {
    until: Instant,
    /// When to ask the node again.
    ask: Instant,
    pause: Duration,
}

impl Thread {
    async fn open(opening: Opening) -> Result<(Thread, Option<LocalServer>)> {
        let Opening { at, token, mut hello, inbox, listener } = opening;
        let (address, server) = match at {
            Where::At(address) => (address, None),
            Where::Local(start) => {
                let (server, address) = start.start().await?;
                (address, Some(server))
            }
        };
        hello.features = vec!["streams".into(), "actors".into(), "logs".into()];
        if Carrier::has_shared_memory(&address) {
            hello.features.push("shared-memory".into());
        }
        hello.token.clone_from(&token);
        let start = Instant::now();
        let mut carrier = Carrier::connect(&address, &token).await?;
        let mut session = Session::new(Time::ZERO, Config::new(hello));
        let mut descriptors = VecDeque::new();
        let welcome = greet(&mut session, &mut carrier, &mut descriptors, start).await?;
        let shared = Arc::new(Shared::new(salt()?, read_welcome(&welcome, &session)));
        let table = Table::new(shared.clone(), inbox, listener);
        let thread = Thread {
            shared,
            session,
            carrier,
            table,
            wishes: Wishes::default(),
            descriptors,
            address,
            token,
            start,
            lazy_until: None,
            reconnected: None,
            settling: None,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
        };
        Ok((thread, server))
    }

    fn now(&self) -> Time {
        now(self.start)
    }

    /// Serves the session to its end, and says why it ended.
    async fn serve(&mut self) -> Error {
        // A worker is given work at once: it may have come together with the welcome.
        self.take_frames();
        loop {
            let more = self.work_off();
            // After a reconnection there is a hello to be sent, before anything is waited for.
            if let Err(error) = self.transmit()
                // A session that has ended is not taken up again, though its carrier still holds what it could not write.
                && self.session.ended().is_none()
            {
                self.reconnect(error).await;
                continue;
            }
            match self.news() {
                Some(Event::Ended(end)) => {
                    self.last_words().await;
                    return ended(&end);
                }
                Some(_) => {
                    self.reconnect(io::ErrorKind::TimedOut.into()).await;
                    continue;
                }
                None => {}
            }
            // The session may have taken what it had by now, and nothing need come in before it wants the next pieces.
            let more = more || self.table.has_more() && self.session.queued_bytes() < QUEUED_BYTES_MAX;
            if let Err(error) = self.wait(more).await {
                self.reconnect(error).await;
            }
        }
    }

    /// Does what the handles wished, as far as the session has room, and no more than makes a good frame: the node works on one while the next is
    /// made. `true` if there is more that could be done at once.
    fn work_off(&mut self) -> bool {
        if self.wishes.items.is_empty() {
            self.take_items();
        }
        let mut taken = 0;
        while taken < TURN_ITEMS_MAX
            && self.session.queued_bytes() < QUEUED_BYTES_MAX
            && let Some(item) = self.wishes.items.pop_front()
        {
            self.table.apply(item, &mut self.wishes, &mut self.session);
            taken += 1;
        }
        self.table.flush(&mut self.session);
        if self.table.closing && self.wishes.items.is_empty() && !self.table.has_more() && self.is_settled() {
            self.session.goodbye(None);
        }
        taken == TURN_ITEMS_MAX
    }

    /// Whether the session may end: at once, except that of a worker, whose last words nobody can say again. It asks its node whether it has them, over
    /// another connection if this one is lost, for a while.
    fn is_settled(&mut self) -> bool {
        if !self.table.is_worker() || self.session.is_settled() {
            return true;
        }
        let now = Instant::now();
        let settling = self.settling.get_or_insert(Settling {
            until: now + SETTLE_TIMEOUT,
            ask: now,
            pause: SETTLE_PAUSE,
        });
        if now >= settling.ask {
            settling.ask = now + settling.pause;
            settling.pause = (settling.pause * 2).min(SETTLE_PAUSE_MAX);
            self.session.ping();
        }
        now >= settling.until
    }

    /// Takes what the handles wished; but what was wished lazily only once it has waited long enough.
    fn take_items(&mut self) {
        let now = Instant::now();
        let waited = self.lazy_until.is_some_and(|until| now >= until);
        let mut outbox = lock(&self.shared.outbox);
        if !waited && (outbox.is_lazy() || outbox.len() == 0 && self.lazy_until.is_some()) {
            self.lazy_until.get_or_insert(now + LAZY);
            return;
        }
        outbox.swap(&mut self.wishes);
        // Where a worker has answered something, more follows, nearly always: so this thread looks of itself, and need not be told.
        let expected = self.table.is_worker() && !self.wishes.items.is_empty();
        self.lazy_until = expected.then(|| now + LAZY);
        outbox.expect_lazy(expected);
        outbox.bury(self.table.graves());
        drop(outbox);
        self.table.graves().clear();
    }

    /// The same where runs went to the executor.
    fn expect_answers(&mut self) {
        lock(&self.shared.outbox).expect_lazy(true);
        self.lazy_until.get_or_insert_with(|| Instant::now() + LAZY);
    }

    /// Lets the handles go on for as long as they have more to say at once. The system likes to wake this thread on the processor of the one that rang, in the
    /// middle of its loop; each of its wishes would then be a frame, and two switches of threads.
    fn gather(&self) {
        let mut before = 0;
        for _ in 0..GATHER_LOOKS_MAX {
            let waiting = self.shared.waiting_items();
            if waiting <= before || waiting >= GATHER_ITEMS_MAX {
                return;
            }
            before = waiting;
            std::thread::yield_now();
        }
    }

    fn transmit(&mut self) -> io::Result<()> {
        let now = self.now();
        loop {
            while self.carrier.wants_more()
                && let Some(transmit) = self.session.poll_transmit(now)
            {
                self.carrier.queue(&transmit);
            }
            if !self.carrier.is_behind() {
                return Ok(());
            }
            self.carrier.write()?;
            // What the carrier does not take yet stays in the session, where it gathers into larger frames.
            if self.carrier.is_behind() {
                return Ok(());
            }
        }
    }

    /// What happened to the session that somebody has to act upon: its end, or that its connection is dead.
    fn news(&mut self) -> Option<Event> {
        std::iter::from_fn(|| self.session.poll_event()).find(|event| !matches!(event, Event::Welcomed(_)))
    }

    /// Waits for whatever comes first and takes it; with `more` to do it only looks.
    async fn wait(&mut self, more: bool) -> io::Result<()> {
        // Wishes that are left when the session is full wait for a frame that makes room.
        let listen = self.session.queued_bytes() < QUEUED_BYTES_MAX;
        self.arm();
        let behind = self.carrier.is_behind();
        let shared = self.shared.clone();
        tokio::select! {
            biased;
            ready = self.carrier.ready(behind) => {
                ready?;
                return self.read();
            }
            () = self.sleep.as_mut(), if self.armed.is_some() => {
                self.armed = None;
                let now = self.now();
                self.session.handle_timeout(now);
                self.table.ring(Instant::now());
            }
            () = shared.bell.notified(), if listen && !more => self.gather(),
            () = tokio::task::yield_now(), if more => {}
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        self.carrier.read(&mut self.descriptors)?;
        self.take_frames();
        Ok(())
    }

    fn take_frames(&mut self) {
        let now = self.now();
        loop {
            match self.carrier.frame() {
                Ok(Some(frame)) => {
                    let bytes = frame.len();
                    for (_, op) in self.session.handle_frame(now, frame) {
                        self.table.handle(op, bytes, &mut self.descriptors, &mut self.session);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.session.violated(error.to_failure());
                    break;
                }
            }
        }
        if self.table.deliver() {
            self.expect_answers();
        }
    }

    /// Sets the alarm if it has to ring earlier than it would. One that rings too early finds nothing to do and is set again.
    fn arm(&mut self) {
        let session = self.session.poll_timeout().map(|at| self.start + Duration::from_nanos(at.as_nanos()));
        let settling = self.settling.as_ref().map(|settling| settling.ask.min(settling.until));
        let alarms = [session, self.table.next_alarm(), self.lazy_until, settling];
        let Some(due) = alarms.into_iter().flatten().min() else {
            return;
        };
        if self.armed.is_none_or(|armed| due < armed) {
            self.sleep.as_mut().reset(due.into());
            self.armed = Some(due);
        }
    }

    /// The connection is lost: makes another, within the session's grace.
    async fn reconnect(&mut self, _why: io::Error) {
        let now = self.now();
        self.session.connection_lost(now);
        // A node that takes connections and hangs up is not asked all the time.
        if self.reconnected.is_some_and(|at| at.elapsed() < RECONNECT_PAUSE) {
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        while self.session.ended().is_none() {
            if self.settling.as_ref().is_some_and(|settling| Instant::now() >= settling.until) {
                return self.session.goodbye(None);
            }
            if let Ok(carrier) = Carrier::connect(&self.address, &self.token).await {
                self.carrier = carrier;
                self.descriptors.clear();
                let now = self.now();
                self.session.reconnect(now);
                self.reconnected = Some(Instant::now());
                return;
            }
            if Carrier::is_gone(&self.address) {
                let failure =
                    Failure::new(Code::ConnectionLost, format!("the node at {} is gone", self.address));
                self.session.goodbye(Some(failure));
                return;
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
            let now = self.now();
            self.session.handle_timeout(now);
        }
    }

    /// Sends what is left to say: a goodbye with its reason.
    async fn last_words(&mut self) {
        let now = self.now();
        while let Some(transmit) = self.session.poll_transmit(now) {
            self.carrier.queue(&transmit);
        }
        let write = async {
            while self.carrier.write().is_ok() && self.carrier.is_behind() {
                // What still comes in is nobody's any more.
                if self.carrier.ready(true).await.is_err()
                    || self.carrier.read(&mut self.descriptors).is_err()
                {
                    break;
                }
            }
        };
        // A node that takes nothing any more is not waited for.
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, write).await;
    }

    fn end(&mut self, error: Error) {
        let rest = lock(&self.shared.outbox).end(error.clone());
        self.table.fail_all(&error);
        for item in self.wishes.items.drain(..).chain(rest) {
            item.refuse(&error);
        }
    }
}

/// Says hello and waits for the answer. Frames behind it stay in the carrier.
async fn greet(
    session: &mut Session,
    carrier: &mut Carrier,
    descriptors: &mut VecDeque<OwnedFd>,
    start: Instant,
) -> Result<v1::Welcome> {
    loop {
        while let Some(transmit) = session.poll_transmit(now(start)) {
            carrier.queue(&transmit);
        }
        if carrier.write().is_err() {
            session.connection_lost(now(start));
        }
        let frame = carrier.frame()?;
        let more = frame.is_some();
        if let Some(frame) = frame {
            // It holds the welcome or a goodbye, and no operations.
            let _ = session.handle_frame(now(start), frame).count();
        }
        match session.poll_event() {
            Some(Event::Welcomed(welcome)) => return Ok(*welcome),
            Some(Event::Ended(end)) => return Err(ended(&end)),
            Some(Event::ConnectionDead) => {
                return Err(Error::connection_lost("the node did not answer the hello in time"));
            }
            None => {}
        }
        if more {
            continue;
        }
        let until = session.poll_timeout().map_or(Duration::MAX, |at| at.since(now(start)));
        let behind = carrier.is_behind();
        match tokio::time::timeout(until, carrier.ready(behind)).await {
            Ok(ready) => {
                if let Err(error) = ready.and_then(|()| carrier.read(descriptors)) {
                    // A carrier that knows why says it better than the session could.
                    match error.downcast::<Error>() {
                        Ok(error) => return Err(error),
                        Err(_) => session.connection_lost(now(start)),
                    }
                }
            }
            Err(_) => session.handle_timeout(now(start)),
        }
    }
}

fn read_welcome(welcome: &v1::Welcome, session: &Session) -> Welcome {
    Welcome {
        node: NodeId::from_slice(&welcome.node).unwrap_or_default(),
        job: JobId::from_slice(&welcome.job),
        namespace: welcome.namespace.clone(),
        server: welcome.server.clone(),
        inline_bytes: session.limits().inline_bytes,
        shared_memory: session.has_feature("shared-memory"),
    }
}

fn ended(end: &End) -> Error {
    match end.failure() {
        Some(failure) => failure.into(),
        None => Error::connection_lost(format!("the session is over: {end}")),
    }
}

fn now(start: Instant) -> Time {
    Time(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
}
