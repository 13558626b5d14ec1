//! The event loop: one queue of things that happen at a time, and the parts that they happen to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use thornback_core::effect::Message;
use thornback_core::input::{ExitStatus, Peer};
use thornback_core::link::Packet;
use thornback_core::{Config, Core, Effect, Input, Location, Op};
use thornback_types::{Failure, Id, NodeId, ObjectId, Resources, SessionId, Time, UNITS_PER_WHOLE, WorkerId};

use crate::client::{Action, Context};
use crate::driver::{Crowd, Driver};
use crate::faults::Faults;
use crate::history::History;
use crate::memory::Memory;
use crate::rng::{Rng, mix};
use crate::worker::Worker;
use crate::{Options, Report};

/// How long everything may take once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(600);
/// Events after which a run is said to go round in circles.
const EVENTS_MAX: u64 = 3_000_000;

/// A run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: Time,
    events: BTreeMap<(Time, u64), Event>,
    next_event: u64,
    pub(crate) hosts: Vec<Host>,
    pub(crate) clients: BTreeMap<SessionId, Client>,
    next_session: u64,
    pub(crate) history: History,
    pub(crate) faults: Faults,
    /// Pairs of hosts that cannot reach each other.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    healed: bool,
    /// See [`Options::lose`].
    pub(crate) lose: Option<&'static str>,
    steps: u64,
    crowd: Crowd,
    trace: VecDeque<String>,
    trace_max: usize,
    handled: u64,
    fingerprint: u64,
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Host {
    /// Of its present life: a node that starts again is another node.
    pub(crate) id: NodeId,
    pub(crate) life: u64,
    config: Config,
    /// `None` while it is down.
    pub(crate) core: Option<Core>,
    pub(crate) memory: Memory,
    /// Open sessions, as the node's own connections know them.
    pub(crate) sessions: BTreeSet<SessionId>,
    /// Processes, and their sessions once they have said hello.
    pub(crate) processes: BTreeMap<WorkerId, Option<SessionId>>,
    tick_at: Option<Time>,
}

/// A driver or worker.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) host: usize,
    pub(crate) kind: Kind,
    /// Nothing sent later may arrive earlier than this, in either direction.
    out_at: Time,
    in_at: Time,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Driver(Box<Driver>),
    Worker(Box<Worker>),
}

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    Tick(usize),
    /// To a core of this life.
    ToCore(usize, u64, Input),
    Op(usize, u64, SessionId, Op),
    SessionClosed(usize, u64, SessionId),
    ToClient(SessionId, Incoming),
    Wake(SessionId, u64),
    Packet {
        from: NodeId,
        to: NodeId,
        packet: Packet,
    },
    /// A worker process says hello.
    Hello(usize, u64, WorkerId, Box<thornback_core::effect::Pool>),
    /// A process ends, whatever it does.
    Kill(usize, u64, WorkerId, ExitStatus),
    Spill(usize, u64, ObjectId, Location, Option<thornback_core::input::StoreError>),
    Restore(usize, u64, ObjectId, Location, Option<thornback_core::input::StoreError>),
    Copy {
        host: usize,
        life: u64,
        object: ObjectId,
        from: NodeId,
        remote: Location,
        location: Location,
    },
    SendBytes(usize, u64, SessionId, ObjectId, Location),
    Punch(usize, u64, Location),
    Crash(usize),
    Restart(usize),
    Cut(usize, usize),
    Mend(usize, usize),
    NewDriver(usize),
    /// A stranger with this number comes to a host.
    Trespass(usize, u64),
}

/// What arrives at a client.
#[derive(Debug)]
pub(crate) enum Incoming {
    Message(Message),
    Chunk(ObjectId, Option<u64>),
    Refused(Box<Failure>),
}

impl World {
    pub(crate) fn new(options: &Options) -> World {
        let mut rng = Rng::new(options.seed);
        let nodes = options.nodes.max(1);
        let faults = Faults::new(options.profile, nodes, &mut rng);
        let store = rng.pick(&[1 << 20, 4 << 20, 64 << 20]);
        let cpus = rng.pick(&[1, 2, 4]);
        let id = |i: u64| node_id(i as usize, 1);
        let hosts = (0..nodes).map(|i| {
            let mut config = Config::new(id(i), Resources::cpus(cpus).with("slot", 100 * UNITS_PER_WHOLE));
            config.head = id(0);
            config.store_bytes = store;
            config.seed = options.seed;
            config.workers_per_pool = 8;
            Host {
                id: id(i),
                life: 1,
                config,
                core: None,
                memory: Memory::default(),
                sessions: BTreeSet::new(),
                processes: BTreeMap::new(),
                tick_at: None,
            }
        });
        let hosts: Vec<Host> = hosts.collect();
        let mut history = History::default();
        history.troubles.small_store = store <= 4 << 20;
        let crowd = Crowd { may_leave: true, largest: rng.pick(&[1_000, 100_000, 300_000]), nodes, cpus };
        World {
            rng,
            now: Time::ZERO,
            events: BTreeMap::new(),
            next_event: 0,
            hosts,
            clients: BTreeMap::new(),
            next_session: 0,
            history,
            faults,
            cut: BTreeSet::new(),
            healed: false,
            lose: options.lose,
            steps: options.steps,
            crowd,
            trace: VecDeque::new(),
            trace_max: options.trace,
            handled: 0,
            fingerprint: 0,
        }
    }

    pub(crate) fn run(mut self) -> Report {
        for i in 0..self.hosts.len() {
            let at = self.rng.below(5_000_000);
            self.after(at, Event::Restart(i));
        }
        let drivers = self.rng.between(1, 3);
        for _ in 0..drivers {
            let host = self.rng.below(self.hosts.len() as u64) as usize;
            let at = 5_000_000 + self.rng.below(50_000_000);
            self.after(at, Event::NewDriver(host));
        }
        self.plan_faults();
        for (i, millis) in [20, 60, 100, 200, 400, 1000, 2000].into_iter().enumerate() {
            self.after(millis * 1_000_000, Event::Trespass(i % self.hosts.len(), i as u64));
        }
        self.work();
        Report {
            problems: self.history.problems,
            trace: self.trace.into(),
            counts: self.history.counts,
            events: self.handled,
            fingerprint: self.fingerprint,
        }
    }

    /// The parts of a run: work with faults; all that is owed comes in; everything is let go; drivers leave.
    fn work(&mut self) {
        let busy = Duration::from_millis(self.rng.between(100, 3000));
        if !self.run_until(self.now + busy, |_| false) {
            return;
        }
        self.heal();
        self.each_driver(Driver::drain);
        if !self.settle() {
            return;
        }
        if !self.encore() {
            return;
        }
        self.new_driver(0);
        self.each_driver(Driver::let_go);
        if let Some(last) = self.drivers().last() {
            self.with_client(*last, |client, cx| {
                if let Kind::Driver(driver) = &mut client.kind {
                    driver.kill_all(cx);
                }
            });
        }
        let mut left = Vec::new();
        for last in [false, true] {
            // What was read lately is let go by its readers; idle workers end; late messages come in.
            let end = self.now + Duration::from_secs(100);
            if !self.run_until(end, |_| false) {
                return;
            }
            if last {
                break;
            }
            for host in self.hosts.iter().filter(|host| host.core.is_some()) {
                let Some(status) = host.core.as_ref().map(Core::status) else { continue };
                if (
                    status.objects,
                    status.tasks_queued,
                    status.tasks_running,
                    status.store_used_bytes,
                    status.spilled_bytes,
                ) != (0, 0, 0, 0, 0)
                {
                    left.push(format!(
                        "on {} are left, though all was let go: {} objects, {} and {} tasks, {} bytes in memory and {} on disk",
                        host.id, status.objects, status.tasks_queued, status.tasks_running, status.store_used_bytes, status.spilled_bytes
                    ));
                    left.extend(
                        host.core
                            .iter()
                            .flat_map(|core| core.list(thornback_core::Listing::Objects, 5))
                            .map(|item| format!("{item:?}")),
                    );
                    left.extend(
                        host.core
                            .iter()
                            .flat_map(|core| core.list(thornback_core::Listing::Tasks, 5))
                            .map(|item| format!("{item:?}")),
                    );
                }
            }
            for session in self.drivers() {
                self.close(session);
            }
        }
        for host in &self.hosts {
            left.extend(host.memory.leftovers().into_iter().map(|what| format!("on {}: {what}", host.id)));
            left.extend(
                host.core.iter().flat_map(Core::leftovers).map(|what| format!("on {}: {what}", host.id)),
            );
            left.extend(
                host.processes.keys().map(|worker| format!("on {}: worker {} still runs", host.id, worker.0)),
            );
        }
        if !left.is_empty() {
            self.say_states();
        }
        left.into_iter().for_each(|what| self.history.problem(what));
    }

    /// Lets things happen until everything has come that drivers are owed.
    pub(crate) fn settle(&mut self) -> bool {
        let settled = |world: &World| world.debts().is_empty();
        if !self.run_until(self.now + PATIENCE, settled) {
            return false;
        }
        let debts = self.debts();
        if !debts.is_empty() {
            self.say_states();
        }
        for debt in debts {
            self.history.problem(format!("it never came: {debt}"));
        }
        true
    }

    /// What each node knows, in full, where a whole trace is kept.
    fn say_states(&mut self) {
        if self.trace_max < 1000 {
            return;
        }
        for i in 0..self.hosts.len() {
            let state = format!("{:#?}", self.hosts[i]);
            self.say(state);
        }
        let clients = format!("{:#?}", self.clients);
        self.say(clients);
    }

    fn debts(&self) -> Vec<String> {
        let drivers = self.clients.values().filter_map(|client| match &client.kind {
            Kind::Driver(driver) => Some(driver),
            Kind::Worker(_) => None,
        });
        drivers.flat_map(|driver| driver.debts()).collect()
    }

    fn drivers(&self) -> Vec<SessionId> {
        self.clients
            .iter()
            .filter(|(_, client)| matches!(client.kind, Kind::Driver(_)))
            .map(|(id, _)| *id)
            .collect()
    }

    fn each_driver(&mut self, mut with: impl FnMut(&mut Driver, &mut Context<'_>)) {
        for session in self.drivers() {
            self.with_client(session, |client, cx| {
                if let Kind::Driver(driver) = &mut client.kind {
                    with(driver, cx);
                }
            });
        }
    }

    /// Nothing goes wrong any more; what is down comes up.
    fn heal(&mut self) {
        self.healed = true;
        self.faults = Faults::default();
        self.cut.clear();
        for i in 0..self.hosts.len() {
            if self.hosts[i].core.is_none() {
                self.restart(i);
            }
        }
    }

    fn plan_faults(&mut self) {
        let hosts = self.hosts.len() as u64;
        if self.faults.node_dies {
            for _ in 0..self.rng.between(1, 3) {
                let at = 50_000_000 + self.rng.below(2_500_000_000);
                // The head keeps what it knows in memory only, so that it cannot come back.
                let victim = self.rng.between(1, hosts - 1) as usize;
                self.after(at, Event::Crash(victim));
            }
        }
        if self.faults.partitions && hosts > 1 {
            for _ in 0..self.rng.between(1, 4) {
                let at = self.rng.below(2_500_000_000);
                let (a, b) = (self.rng.below(hosts) as usize, self.rng.below(hosts) as usize);
                // The longest are more than the head waits for a sign of life.
                let longest = self.rng.pick(&[2_000_000_000, 2_000_000_000, 9_000_000_000]);
                let length = self.rng.below(longest);
                self.after(at, Event::Cut(a.min(b), a.max(b)));
                self.after(at + length, Event::Mend(a.min(b), a.max(b)));
            }
        }
    }

    /// Lets things happen until a time, or until something is so. `false` if there is a problem.
    pub(crate) fn run_until(&mut self, end: Time, mut is_so: impl FnMut(&World) -> bool) -> bool {
        let mut look = 0;
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.handled += 1;
            self.note(&event);
            self.happen(event);
            if self.handled > EVENTS_MAX {
                self.history.problem(format!("{EVENTS_MAX} events, and no end"));
            }
            if !self.history.problems.is_empty() {
                return false;
            }
            look += 1;
            if look % 64 == 0 && is_so(self) {
                return true;
            }
        }
        self.now = self.now.max(end);
        true
    }

    fn note(&mut self, event: &Event) {
        self.fingerprint = mix(self.fingerprint, self.now.0);
        if self.trace_max > 0 && !matches!(event, Event::Tick(_)) {
            self.say(format!("{event:?}"));
        }
    }

    pub(crate) fn say(&mut self, what: String) {
        if self.trace_max == 0 {
            return;
        }
        if self.trace.len() >= self.trace_max {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>12.6} {what}", self.now.0 as f64 / 1e9));
    }

    pub(crate) fn after(&mut self, nanos: u64, event: Event) {
        self.at(Time(self.now.0 + nanos), event);
    }

    pub(crate) fn at(&mut self, time: Time, event: Event) {
        self.next_event += 1;
        self.events.insert((time, self.next_event), event);
    }

    fn is_up(&self, host: usize, life: u64) -> bool {
        self.hosts[host].life == life && self.hosts[host].core.is_some()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Tick(host) => {
                self.hosts[host].tick_at = None;
                if self.hosts[host].core.is_some() {
                    self.tell_core(host, Input::Tick);
                }
            }
            Event::ToCore(host, life, input) if self.is_up(host, life) => self.tell_core(host, input),
            Event::Op(host, life, session, op)
                if self.is_up(host, life) && self.hosts[host].sessions.contains(&session) =>
            {
                self.tell_core(host, Input::Op { session, op });
            }
            Event::SessionClosed(host, life, session)
                if self.is_up(host, life) && self.hosts[host].sessions.remove(&session) =>
            {
                self.tell_core(host, Input::SessionClosed { session });
            }
            Event::ToClient(session, incoming) => {
                self.with_client(session, |client, cx| client.take(cx, incoming))
            }
            Event::Wake(session, token) => self.with_client(session, |client, cx| match &mut client.kind {
                Kind::Driver(driver) => driver.on_wake(cx, token),
                Kind::Worker(worker) => worker.on_wake(cx, token),
            }),
            Event::Packet { from, to, packet } => {
                if let Some(host) = self.host_of(to) {
                    self.tell_core(host, Input::Packet { from, packet });
                }
            }
            Event::Hello(host, life, worker, pool)
                if self.is_up(host, life) && self.hosts[host].processes.contains_key(&worker) =>
            {
                self.hello(host, worker, &pool);
            }
            Event::Kill(host, life, worker, status) if self.is_up(host, life) => {
                self.end_process(host, worker, status)
            }
            Event::Spill(host, life, object, location, error) if self.is_up(host, life) => {
                self.spill(host, object, location, error)
            }
            Event::Restore(host, life, object, location, error) if self.is_up(host, life) => {
                self.restore(host, object, location, error)
            }
            Event::Copy { host, life, object, from, remote, location } if self.is_up(host, life) => {
                self.copy(host, object, from, remote, location);
            }
            Event::Punch(host, life, location) if self.is_up(host, life) => {
                self.tell_core(host, Input::Punched { location });
            }
            Event::SendBytes(host, life, session, object, location) if self.is_up(host, life) => {
                // What is sent to a session that was ended meanwhile reaches nobody.
                if self.hosts[host].sessions.contains(&session) {
                    let word = self.hosts[host].memory.read(location);
                    self.tell_client(session, Incoming::Chunk(object, word));
                }
                self.tell_core(host, Input::BytesSent { session, object });
            }
            Event::Crash(host) if !self.healed => self.crash(host),
            Event::Restart(host) if self.hosts[host].core.is_none() => self.restart(host),
            Event::Cut(a, b) if !self.healed => {
                self.cut.insert((a, b));
            }
            Event::Mend(a, b) => {
                self.cut.remove(&(a, b));
            }
            Event::NewDriver(host) if !self.healed => self.new_driver(host),
            Event::Trespass(host, number) if !self.healed => self.trespass(host, number),
            // Meant for something that is gone.
            _ => {}
        }
    }

    /// Hands an input to a core, checks it, and carries out what it orders.
    pub(crate) fn tell_core(&mut self, host: usize, input: Input) {
        let Some(core) = self.hosts[host].core.as_mut() else { return };
        let mut effects = Vec::new();
        core.handle(self.now, input, &mut effects);
        // The check looks at everything, so that in a large run it is made now and then.
        if self.handled < 300 || self.handled.is_multiple_of(32) {
            let wrong = core.check_invariants();
            let id = self.hosts[host].id;
            wrong.into_iter().for_each(|wrong| self.history.problem(format!("on {id}: {wrong}")));
        }
        self.carry_out(host, effects);
        self.arm(host);
    }

    fn carry_out(&mut self, host: usize, effects: Vec<Effect>) {
        for effect in effects {
            if self.trace_max > 0 {
                self.say(format!("  {host}: {effect:?}"));
            }
            self.fingerprint = mix(self.fingerprint, crate::effects::number(&effect));
            self.effect(host, effect);
        }
    }

    /// Sees that the core is called when it wants to be, or a little later.
    fn arm(&mut self, host: usize) {
        let Some(at) = self.hosts[host].core.as_ref().and_then(Core::poll_timeout) else { return };
        if self.hosts[host].tick_at.is_none_or(|tick| tick > at) {
            let at = Time(at.0.max(self.now.0) + self.rng.below(100_000));
            self.hosts[host].tick_at = Some(at);
            self.at(at, Event::Tick(host));
        }
    }

    pub(crate) fn with_client(
        &mut self,
        session: SessionId,
        with: impl FnOnce(&mut Client, &mut Context<'_>),
    ) {
        let Some(client) = self.clients.get_mut(&session) else { return };
        let mut cx = Context {
            rng: &mut self.rng,
            history: &mut self.history,
            memory: &mut self.hosts[client.host].memory,
            actions: Vec::new(),
        };
        with(client, &mut cx);
        for action in cx.actions {
            self.act(session, action);
        }
    }

    fn act(&mut self, session: SessionId, action: Action) {
        match action {
            Action::Op(op) => {
                let Some((host, at)) = self.out_time(session) else { return };
                self.at(at, Event::Op(host, self.hosts[host].life, session, op));
            }
            Action::Wake(after, token) => self.after(after.as_nanos() as u64, Event::Wake(session, token)),
            Action::Exit(status) => {
                let Some(client) = self.clients.get(&session) else { return };
                if let (host, Kind::Worker(worker)) = (client.host, &client.kind) {
                    let worker = worker.worker;
                    self.end_process(host, worker, status);
                }
            }
            Action::Close => self.close(session),
        }
    }

    /// When something that a client sends now arrives: after all that it sent before.
    pub(crate) fn out_time(&mut self, session: SessionId) -> Option<(usize, Time)> {
        let delay = self.rng.delay(20_000);
        let client = self.clients.get_mut(&session)?;
        client.out_at = client.out_at.max(Time(self.now.0 + delay));
        Some((client.host, client.out_at))
    }

    pub(crate) fn tell_client(&mut self, session: SessionId, incoming: Incoming) {
        let delay = self.rng.delay(20_000);
        let Some(client) = self.clients.get_mut(&session) else { return };
        client.in_at = client.in_at.max(Time(self.now.0 + delay));
        let at = client.in_at;
        self.at(at, Event::ToClient(session, incoming));
    }

    pub(crate) fn open(
        &mut self,
        host: usize,
        peer: Peer,
        kind: impl FnOnce(SessionId) -> Kind,
    ) -> SessionId {
        self.next_session += 1;
        let session = SessionId(self.next_session);
        let client = Client { host, kind: kind(session), out_at: self.now, in_at: self.now };
        self.clients.insert(session, client);
        self.hosts[host].sessions.insert(session);
        self.tell_core(host, Input::SessionOpened { session, peer });
        session
    }

    fn new_driver(&mut self, host: usize) {
        let steps = |rng: &mut Rng, steps: u64| steps / 3 + rng.below(steps + 1);
        self.new_driver_with(host, steps);
    }

    pub(crate) fn new_driver_with(
        &mut self,
        host: usize,
        steps: impl FnOnce(&mut Rng, u64) -> u64,
    ) -> Option<SessionId> {
        self.hosts[host].core.as_ref()?;
        let shared = self.rng.chance(800);
        let peer = Peer::Driver {
            namespace: if self.rng.chance(500) { "shared".into() } else { String::new() },
            job_name: "sim".into(),
            want_logs: false,
            shared_memory: shared,
            pid: 1,
        };
        let steps = steps(&mut self.rng, self.steps);
        let crowd = self.crowd.clone();
        let session =
            self.open(host, peer, |session| Kind::Driver(Box::new(Driver::new(session, steps, crowd))));
        self.with_client(session, |client, cx| {
            if let Kind::Driver(driver) = &mut client.kind {
                driver.start(cx);
            }
        });
        Some(session)
    }

    /// A driver's connection ends, behind all that it has sent.
    pub(crate) fn close(&mut self, session: SessionId) {
        let Some((host, at)) = self.out_time(session) else { return };
        self.clients.remove(&session);
        self.history.caller_gone(session);
        self.at(at, Event::SessionClosed(host, self.hosts[host].life, session));
        if !self.healed {
            let (host, after) =
                (self.rng.below(self.hosts.len() as u64) as usize, self.rng.below(100_000_000));
            self.after(after, Event::NewDriver(host));
        }
    }

    /// The machine that is this node now, if it is up.
    pub(crate) fn host_of(&self, node: NodeId) -> Option<usize> {
        self.hosts.iter().position(|host| host.id == node && host.core.is_some())
    }

    /// A machine stops in the middle of everything.
    pub(crate) fn crash(&mut self, host: usize) {
        if self.hosts[host].core.take().is_none() {
            return;
        }
        self.history.troubles.node_crashes = true;
        self.history.troubles.worker_crashes = true;
        let gone: Vec<SessionId> =
            self.clients.iter().filter(|(_, client)| client.host == host).map(|(id, _)| *id).collect();
        for session in gone {
            self.clients.remove(&session);
            self.history.caller_gone(session);
        }
        let down = self.rng.delay(100_000_000).min(20_000_000_000);
        let state = &mut self.hosts[host];
        state.memory = Memory::default();
        state.sessions.clear();
        state.processes.clear();
        state.tick_at = None;
        state.life += 1;
        state.id = node_id(host, state.life);
        self.after(down, Event::Restart(host));
        self.after(down + 10_000_000, Event::NewDriver(host));
    }

    fn restart(&mut self, host: usize) {
        let state = &mut self.hosts[host];
        state.core = Some(Core::new(Config { node: state.id, ..state.config.clone() }));
        self.tell_core(host, Input::Tick);
    }
}

fn node_id(host: usize, life: u64) -> NodeId {
    let mut id = [host as u8 + 1; 16];
    id[1] = life as u8;
    NodeId(Id(id))
}

impl Client {
    fn take(&mut self, cx: &mut Context<'_>, incoming: Incoming) {
        match (&mut self.kind, incoming) {
            (Kind::Driver(driver), Incoming::Message(message)) => driver.on_message(cx, message),
            (Kind::Driver(driver), Incoming::Chunk(object, word)) => driver.on_chunk(cx, object, word),
            (Kind::Driver(driver), Incoming::Refused(failure)) => driver.on_refusal(cx, &failure),
            (Kind::Worker(worker), Incoming::Message(message)) => worker.on_message(cx, message),
            (Kind::Worker(worker), Incoming::Chunk(object, word)) => worker.on_chunk(cx, object, word),
            (Kind::Worker(_), Incoming::Refused(failure)) => {
                cx.history.problem(format!("an operation of a worker was refused: {failure}"))
            }
        }
    }
}
