//! A core with drivers and workers around it: time, and who does what, are the test's.

use std::collections::{BTreeMap, VecDeque};

use thornback_core::effect::Message;
use thornback_core::input::{Output, PoolSpec, Request};
use thornback_core::{Config, Core, Effect, Input, Op};
use thornback_types::{Id, NodeId, ObjectId, Resources, SessionId, TaskId, Time, Value, WorkerId};

use crate::cast;

/// How often the core hears the time while nothing else comes.
const TICK_NS: u64 = 1_000_000;

/// Drivers with a pool each, as those have who bring their own code along, and workers that take `TASK_NS` for everything.
pub struct World {
    core: Core,
    now: u64,
    /// What each worker has been sent, by its session.
    workers: BTreeMap<SessionId, VecDeque<(TaskId, u32)>>,
    submitted: Vec<u32>,
    /// Results that each driver got.
    pub done: Vec<u32>,
    launches: u64,
}

impl World {
    /// So many drivers, numbered from 0, each with so many tasks in flight: as one ends, the next is submitted.
    pub fn new(cpus: u64, drivers: u32, ahead: u32) -> World {
        let mut world = World {
            core: Core::new(Config::new(NodeId(Id([1; 16])), Resources::cpus(cpus))),
            now: 0,
            workers: BTreeMap::new(),
            submitted: vec![0; drivers as usize],
            done: vec![0; drivers as usize],
            launches: 0,
        };
        for driver in 0..drivers {
            world.open(SessionId(driver.into()));
        }
        for _ in 0..ahead {
            for driver in 0..drivers {
                world.submit(SessionId(driver.into()));
            }
        }
        world
    }

    /// What a crowded machine does: a worker that had nothing to do gets a processor only `latency(n)` nanoseconds after it was sent something, the nth
    /// time that any did. From then on each of its tasks takes `task` nanoseconds. Goes on until a moment, in nanoseconds.
    pub fn crowded(&mut self, until: u64, task: u64, latency: impl Fn(u64) -> u64) {
        let mut next: BTreeMap<SessionId, u64> = BTreeMap::new();
        let mut woken = 0;
        loop {
            for (worker, sent) in &self.workers {
                if sent.is_empty() {
                    next.remove(worker);
                } else if !next.contains_key(worker) {
                    woken += 1;
                    next.insert(*worker, self.now + latency(woken) + task);
                }
            }
            let tick = self.now + TICK_NS;
            let Some((at, worker)) =
                next.iter().map(|(worker, at)| (*at, *worker)).min().filter(|(at, _)| *at < tick)
            else {
                self.now = tick;
                if self.now > until {
                    return;
                }
                self.handle(Input::Tick);
                continue;
            };
            self.now = self.now.max(at);
            next.insert(worker, self.now + task);
            if let Some((task, attempt)) = self.workers.get_mut(&worker).and_then(VecDeque::pop_front) {
                let outcome = Ok(vec![Output::Value(Value::nil())]);
                self.op(worker, Op::Done { task, attempt, outcome, yielded: 0 });
            }
        }
    }

    /// Some time passes, and each worker ends the task that it is at.
    pub fn step(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
        self.handle(Input::Tick);
        let busy: Vec<SessionId> =
            self.workers.iter().filter(|(_, sent)| !sent.is_empty()).map(|(worker, _)| *worker).collect();
        for worker in busy {
            // Gone from it if the end of another's task had it recalled.
            let Some((task, attempt)) = self.workers.get_mut(&worker).and_then(VecDeque::pop_front) else {
                continue;
            };
            let outcome = Ok(vec![Output::Value(Value::nil())]);
            self.op(worker, Op::Done { task, attempt, outcome, yielded: 0 });
        }
    }

    fn op(&mut self, session: SessionId, op: Op) {
        self.handle(Input::Op { session, op });
    }

    fn handle(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.core.handle(Time(self.now), input, &mut effects);
        for effect in effects {
            match effect {
                Effect::StartWorker { worker, pool } => self.start(worker, &pool.spec.name),
                Effect::Send { session, message: Message::Run(run) } => {
                    self.workers.entry(session).or_default().push_back((run.task, run.attempt));
                }
                Effect::Send { session, message: Message::Recall { tasks } } => {
                    self.give_back(session, &tasks)
                }
                Effect::Send { session, message: Message::Completion { object, .. } } => {
                    self.collect(session, object);
                }
                _ => {}
            }
        }
    }

    fn start(&mut self, launch: WorkerId, pool: &str) {
        self.launches += 1;
        let session = SessionId(1000 + self.launches);
        let peer = cast::worker(Some(launch), pool);
        self.handle(Input::SessionOpened { session, peer });
    }

    fn give_back(&mut self, worker: SessionId, tasks: &[TaskId]) {
        self.workers.entry(worker).or_default().retain(|(task, _)| !tasks.contains(task));
        self.op(worker, Op::Returned { tasks: tasks.to_vec() });
    }

    fn collect(&mut self, driver: SessionId, object: ObjectId) {
        self.done[driver.0 as usize] += 1;
        self.op(driver, Op::Refs { retain: vec![], drop: vec![object] });
        self.submit(driver);
    }

    fn submit(&mut self, driver: SessionId) {
        let number = &mut self.submitted[driver.0 as usize];
        *number += 1;
        let task = TaskId(Id::new([driver.0 as u8; 8], *number, 0));
        self.op(driver, Op::Submit { task, declaration: 1, args: vec![], parent: None });
    }

    fn open(&mut self, driver: SessionId) {
        self.handle(Input::SessionOpened { session: driver, peer: cast::driver() });
        let pool =
            PoolSpec { name: format!("p{}", driver.0), command: vec!["w".into()], ..PoolSpec::default() };
        self.op(driver, Op::Request { number: 1, request: Box::new(Request::DeclarePool(pool)) });
        let declaration = cast::declaration(Some(format!("p{}", driver.0)));
        self.op(driver, Op::Declare { number: 1, declaration: Box::new(declaration) });
    }
}
