//! Plain tasks go a short way, and all others a long one: whatever happens, both have the same effects, whether inputs come one by one or many at once.

use std::time::Duration;

use bytes::Bytes;
use thornback_core::effect::Message;
use thornback_core::input::{Arg, ArgValue, Declaration, Output, Retries, Returns};
use thornback_core::{Config, Core, Effect, Input, Op};
use thornback_types::{
    Code, Failure, Format, Id, NodeId, ObjectId, Resources, SessionId, TaskId, Time, Value,
};

use crate::cast;

const DRIVERS: [SessionId; 2] = [SessionId(1), SessionId(2)];
const WORKERS: u64 = 3;
const DECLARATIONS: u32 = 7;

/// Two cores of which one takes the long way with everything, and what their users know.
struct Both {
    short: Core,
    long: Core,
    now: Time,
    random: u64,
    /// How many inputs come at once, about; 0 for none.
    many: usize,
    counter: u32,
    workers: u64,
    /// What each worker was sent and has not answered.
    sent: Vec<(SessionId, TaskId, u32)>,
    recalled: Vec<(SessionId, Vec<TaskId>)>,
    /// Results that were promised to each driver.
    promised: Vec<(SessionId, ObjectId)>,
    effects: usize,
}

impl Both {
    fn new(random: u64, many: usize, backlog_bytes: u64) -> Both {
        let config = Config { backlog_bytes, ..Config::new(NodeId(Id([7; 16])), Resources::cpus(2)) };
        let mut both = Both {
            short: Core::new(config.clone()),
            long: Core::new(Config { short_way: false, ..config }),
            now: Time::ZERO,
            random,
            many,
            counter: 0,
            workers: 0,
            sent: Vec::new(),
            recalled: Vec::new(),
            promised: Vec::new(),
            effects: 0,
        };
        for session in DRIVERS {
            both.handle(Input::SessionOpened { session, peer: cast::driver() });
        }
        for session in DRIVERS {
            both.declare(session);
        }
        for _ in 0..WORKERS {
            both.open_worker();
        }
        both
    }

    fn open_worker(&mut self) {
        self.workers += 1;
        let session = SessionId(10 + self.workers);
        self.handle(Input::SessionOpened { session, peer: cast::worker(None, "shared") });
        self.declare(session);
    }

    fn declare(&mut self, session: SessionId) {
        for number in 1..=DECLARATIONS {
            let declaration = Box::new(declaration(number));
            self.op(session, Op::Declare { number, declaration });
        }
    }

    fn below(&mut self, n: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % n
    }

    fn any<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() {
            return None;
        }
        let at = self.below(of.len());
        of.get(at).cloned()
    }

    fn handle(&mut self, input: Input) {
        let said = format!("{input:?}");
        self.order(&said, |core, now, effects| core.take(now, input.clone(), effects));
        // In some histories each input comes alone.
        if self.many == 0 || self.below(self.many) == 0 {
            self.conclude();
        }
    }

    fn conclude(&mut self) {
        self.order("all of it", Core::conclude);
    }

    fn pass(&mut self, time: Duration) {
        self.conclude();
        self.now = self.now + time;
    }

    fn order(&mut self, said: &str, ask: impl Fn(&mut Core, Time, &mut Vec<Effect>)) {
        let (mut short, mut long) = (Vec::new(), Vec::new());
        ask(&mut self.short, self.now, &mut short);
        ask(&mut self.long, self.now, &mut long);
        assert_eq!(format!("{short:?}"), format!("{long:?}"), "after {said}");
        self.effects += short.len();
        let mut ended = 0;
        for effect in short {
            match effect {
                Effect::Send { session, message: Message::Run(run) } => {
                    self.sent.push((session, run.task, run.attempt));
                }
                Effect::Send { session, message: Message::Recall { tasks } } => {
                    self.recalled.push((session, tasks));
                }
                // Its task was cancelled by force.
                Effect::Close { session, .. } => {
                    self.sent.retain(|(to, ..)| *to != session);
                    ended += 1;
                }
                _ => {}
            }
        }
        for _ in 0..ended {
            self.open_worker();
        }
    }

    fn op(&mut self, session: SessionId, op: Op) {
        self.handle(Input::Op { session, op });
    }

    fn compare(&mut self) {
        self.conclude();
        assert_eq!(self.short.check_invariants(), Vec::<String>::new());
        assert_eq!(format!("{:?}", self.short.status()), format!("{:?}", self.long.status()));
    }

    fn step(&mut self) {
        match self.below(100) {
            0..40 => self.submit(),
            40..75 => self.answer(),
            75..87 => {
                let Some(held) = self.any(&self.promised.clone()) else { return };
                self.promised.retain(|other| *other != held);
                self.op(held.0, Op::Refs { retain: Vec::new(), drop: vec![held.1] });
            }
            87 => {
                let Some((session, object)) = self.any(&self.promised.clone()) else { return };
                self.op(session, Op::Watch { objects: vec![object] });
            }
            88 => {
                let Some((session, id)) = self.any(&self.promised.clone()) else { return };
                let (force, recursive) = (self.below(3) == 0, self.below(2) == 0);
                self.op(session, Op::Cancel { id, force, recursive });
            }
            89 => {
                let Some((_, object)) = self.any(&self.promised.clone()) else { return };
                let session = DRIVERS[self.below(2)];
                self.op(session, Op::Refs { retain: vec![object], drop: Vec::new() });
                self.promised.push((session, object));
            }
            90..92 => {
                let Some((session, task, _)) = self.any(&self.sent.clone()) else { return };
                self.op(session, Op::Blocked { task });
                if self.below(2) == 0 {
                    self.op(session, Op::Unblocked { task });
                }
            }
            92..95 => {
                let Some((session, tasks)) = self.recalled.pop() else { return };
                self.sent.retain(|(_, task, _)| !tasks.contains(task));
                self.op(session, Op::Returned { tasks });
            }
            _ => {
                let time = Duration::from_micros(10 << self.below(10));
                self.pass(time);
                self.handle(Input::Tick);
            }
        }
    }

    fn submit(&mut self) {
        let session = DRIVERS[self.below(2)];
        // Now and then an id that is in use.
        if self.below(50) > 0 {
            self.counter += 1;
        }
        let task = TaskId(Id::new([session.0 as u8; 8], self.counter, 0));
        let args = (0..self.below(3)).filter_map(|_| self.arg()).collect();
        let declaration =
            if self.below(3) > 0 { 1 } else { 1 + self.below(DECLARATIONS as usize + 1) as u32 };
        // A worker submits as well, for the task that it runs.
        let runs = self.any(&self.sent.clone()).filter(|_| self.below(10) == 0);
        let (by, parent) = runs.map_or((session, None), |(worker, task, _)| (worker, Some(task)));
        self.op(by, Op::Submit { task, declaration, args, parent });
        self.promised.push((by, task.output(0)));
    }

    fn arg(&mut self) -> Option<Arg> {
        let value = match self.below(12) {
            0 | 1 => ArgValue::Ref(self.any(&self.promised.clone())?.1),
            2 => ArgValue::Value(Value::nil().with_refs(vec![self.any(&self.promised.clone())?.1])),
            3 => ArgValue::Value(private()),
            _ => ArgValue::Value(Value::raw(vec![1; self.below(5)])),
        };
        Some(Arg { keyword: Bytes::new(), value })
    }

    fn answer(&mut self) {
        let first = |(session, ..): &(SessionId, TaskId, u32)| *session;
        let Some(worker) = self.any(&self.sent.clone()).map(|sent| first(&sent)) else { return };
        // Mostly the first that it was sent.
        let sent: Vec<_> = self.sent.iter().filter(|sent| first(sent) == worker).copied().collect();
        let (_, task, attempt) = sent[if self.below(20) > 0 { 0 } else { self.below(sent.len()) }];
        // An answer of another attempt is ignored.
        let late = u32::from(self.below(40) == 0);
        if late == 0 {
            self.sent.retain(|sent| sent.1 != task);
        }
        let attempt = attempt + late;
        let outcome = match self.below(16) {
            0 => Err(Box::new(Failure::new(Code::TaskFailed, "it failed"))),
            1 => Ok(vec![]),
            2 => Ok(vec![Output::Value(private())]),
            3 => {
                let refs = self.any(&self.promised.clone()).map(|(_, object)| object);
                Ok(vec![Output::Value(Value::nil().with_refs(refs.into_iter().collect()))])
            }
            4 => Ok(vec![Output::Stored]),
            5 | 6 => Ok(vec![Output::Value(Value::nil()), Output::Value(Value::nil())]),
            _ => Ok(vec![Output::Value(Value::raw(vec![2; 3]))]),
        };
        if self.many == 0 || self.below(self.many) == 0 {
            let time = Duration::from_micros(1 << self.below(8));
            self.pass(time);
        }
        self.op(worker, Op::Done { task, attempt, outcome, yielded: 0 });
    }
}

fn private() -> Value {
    Value::new(Format::Private, vec![3]).with_schema("test/private")
}

/// The first is as plain as can be.
fn declaration(number: u32) -> Declaration {
    let plain = cast::declaration(None);
    match number {
        2 => Declaration { returns: Returns::Fixed(2), ..plain },
        3 => Declaration { returns: Returns::Stream, ..plain },
        4 => Declaration { deadline: Some(Duration::from_millis(3)), ..plain },
        5 => Declaration { max_retries: Retries::Limited(0), ..plain },
        6 => Declaration { accepts: vec!["test/private".into()], retry_exceptions: true, ..plain },
        7 => Declaration { function: "nowhere".into(), ..plain },
        _ => plain,
    }
}

#[test]
fn the_short_way_has_the_effects_of_the_long_way() {
    let mut effects = 0;
    for seed in 0..60 {
        // Some have a budget that a few dozen tasks use up.
        let many = [0, 3, 30][seed as usize / 3 % 3];
        let mut both = Both::new(seed, many, if seed % 3 == 0 { 64 << 10 } else { 1 << 30 });
        for step in 0..1500 {
            both.step();
            if step % 100 == 0 {
                both.compare();
            }
        }
        // A worker is gone, then a driver, and the others end what is left.
        let session = SessionId(10 + both.workers);
        both.handle(Input::SessionClosed { session });
        both.sent.retain(|(to, ..)| *to != session);
        both.compare();
        both.handle(Input::SessionClosed { session: DRIVERS[0] });
        both.compare();
        for _ in 0..200 {
            both.answer();
        }
        both.compare();
        effects += both.effects;
    }
    assert!(effects > 50_000, "too little happened: {effects} effects");
}
