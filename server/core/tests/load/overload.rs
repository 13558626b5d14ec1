//! Many drivers that submit as fast as they may: what is under way stays bounded, all get on alike, and every task is answered.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use thornback_core::effect::{Credit, Message};
use thornback_core::input::{Arg, ArgValue, Output};
use thornback_core::{Config, Core, Effect, Input, Op};
use thornback_types::{Id, NodeId, Resources, SessionId, TaskId, Time, Value};

use crate::cast;

const DRIVERS: u64 = 64;
const BACKLOG: u64 = 1 << 20;
/// Submissions that a driver still has credit for when it is held back.
const WINDOW: u32 = 30;
/// Submissions that reach the node at once.
const BATCH: u32 = 10;
/// How many tasks the first driver to get there has done in the end.
const ENOUGH: u32 = 500;
/// What a task takes; a turn of a job is worth fifty.
const TASK: Duration = Duration::from_micros(200);

const WORKER: SessionId = SessionId(1_000);

#[derive(Default)]
struct Driver {
    submitted: u32,
    done: u32,
    held: bool,
    /// Credit left while it is held.
    left: u32,
}

struct World {
    core: Core,
    now: Time,
    drivers: BTreeMap<SessionId, Driver>,
    /// Tasks that the worker has and has not begun.
    sent: VecDeque<(TaskId, u32)>,
}

impl World {
    fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        let mut effects = Vec::new();
        while let Some(input) = inputs.pop_front() {
            self.core.handle(self.now, input, &mut effects);
            for effect in effects.drain(..) {
                inputs.extend(self.carry_out(effect));
            }
        }
    }

    fn op(&mut self, session: SessionId, op: Op) {
        self.input(Input::Op { session, op });
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Send { message: Message::Run(run), .. } => self.sent.push_back((run.task, run.attempt)),
            Effect::Send { message: Message::Recall { tasks }, .. } => {
                self.sent.retain(|(task, _)| !tasks.contains(task));
                return Some(Input::Op { session: WORKER, op: Op::Returned { tasks } });
            }
            Effect::Send { session, message: Message::Completion { object, .. } } => {
                let driver = self.drivers.get_mut(&session).expect("only drivers submit");
                driver.done += 1;
                let refs = Op::Refs { retain: Vec::new(), drop: vec![object] };
                return Some(Input::Op { session, op: refs });
            }
            Effect::Pace { session, credit } => {
                let driver = self.drivers.get_mut(&session).expect("only drivers are held back");
                (driver.held, driver.left) = match credit {
                    Credit::Given => (false, 0),
                    Credit::Held => (true, WINDOW),
                    Credit::Spared => (true, driver.left + WINDOW),
                };
            }
            Effect::Send { message: Message::Declare { .. }, .. } => {}
            other => panic!("unexpected {other:?}"),
        }
        None
    }

    fn submit(&mut self, session: SessionId) {
        for _ in 0..BATCH {
            let driver = self.drivers.get_mut(&session).expect("a driver");
            if driver.held {
                let Some(left) = driver.left.checked_sub(1) else { return };
                driver.left = left;
            }
            driver.submitted += 1;
            let task = TaskId(Id::new(session.0.to_be_bytes(), driver.submitted, 0));
            let arg = Arg { keyword: bytes::Bytes::new(), value: ArgValue::Value(Value::nil()) };
            self.op(session, Op::Submit { task, declaration: 1, args: vec![arg], parent: None });
        }
    }

    /// The worker does the first of what it has.
    fn work(&mut self) -> bool {
        let Some((task, attempt)) = self.sent.pop_front() else { return false };
        self.now = self.now + TASK;
        let outcome = Ok(vec![Output::Value(Value::nil())]);
        self.op(WORKER, Op::Done { task, attempt, outcome, yielded: 0 });
        true
    }
}

#[test]
fn sixty_four_drivers_that_flood() {
    let config = Config { backlog_bytes: BACKLOG, ..Config::new(NodeId(Id([7; 16])), Resources::cpus(1)) };
    let mut world = World {
        core: Core::new(config),
        now: Time::ZERO,
        drivers: (1..=DRIVERS).map(|n| (SessionId(n), Driver::default())).collect(),
        sent: VecDeque::new(),
    };
    let worker = cast::worker(None, "shared");
    world.input(Input::SessionOpened { session: WORKER, peer: worker });
    let sessions: Vec<SessionId> = world.drivers.keys().copied().collect();
    for session in &sessions {
        world.input(Input::SessionOpened { session: *session, peer: cast::driver() });
        world.op(*session, Op::Declare { number: 1, declaration: Box::new(cast::declaration(None)) });
    }

    let mut most = 0;
    while world.drivers.values().all(|driver| driver.done < ENOUGH) {
        for session in &sessions {
            world.submit(*session);
        }
        let under_way: u32 = world.drivers.values().map(|driver| driver.submitted - driver.done).sum();
        most = most.max(under_way);
        for _ in 0..BATCH {
            world.work();
        }
    }
    // A task weighs 768 bytes or more; each driver was taken at its word once, before all had come, and overshoots by its window.
    let bound = BACKLOG as u32 / 768 + DRIVERS as u32 * (WINDOW + BATCH);
    assert!(most <= bound, "{most} tasks were under way, and {bound} is the bound");
    assert!(most > bound / 4, "nobody was ever held back: {most}");
    let done = || world.drivers.values().map(|driver| driver.done);
    let (least, first) = (done().min().unwrap_or(0), done().max().unwrap_or(0));
    assert!(first <= 2 * least, "one driver has {first} tasks done, and another {least}");
    assert_eq!(world.core.check_invariants(), Vec::<String>::new());

    while world.work() {}
    for (session, driver) in &world.drivers {
        assert_eq!(driver.done, driver.submitted, "every task of {session:?} is answered");
        assert!(!driver.held, "{session:?} has nothing under way and is held back");
    }
    let status = world.core.status();
    assert_eq!((status.tasks_queued, status.tasks_running, status.objects), (0, 0, 0));
}

#[test]
fn what_all_drivers_may_still_send_is_worth_half_the_budget() {
    // A submission without arguments has 24 bytes in a frame and a record of 768.
    const RECORDS_FOR_A_BYTE: u64 = 32;
    const LEAST: u64 = 16 << 10;
    let config = Config::new(NodeId(Id([7; 16])), Resources::cpus(1));
    let budget = config.backlog_bytes;
    let mut core = Core::new(config);
    let mut effects = Vec::new();
    let mut open = |core: &mut Core, n: u64| {
        core.handle(
            Time::ZERO,
            Input::SessionOpened { session: SessionId(n), peer: cast::driver() },
            &mut effects,
        );
        core.window_of(SessionId(n)).expect("it is open")
    };
    let mut windows = 0;
    for n in 1..=1000 {
        let window = open(&mut core, n);
        assert!((LEAST..=1 << 20).contains(&window), "driver {n} may send {window} bytes ahead");
        windows += window;
        assert!(
            windows * RECORDS_FOR_A_BYTE <= budget / 2 + n * LEAST * RECORDS_FOR_A_BYTE,
            "with {n} drivers"
        );
        assert!(n > 4 || window > 512 << 10, "few drivers have all that is of use to them: {window}");
    }
    assert_eq!(core.check_invariants(), Vec::<String>::new());
    // What they had goes to others once they are gone.
    for n in 1..=1000 {
        core.handle(Time::ZERO, Input::SessionClosed { session: SessionId(n) }, &mut Vec::new());
    }
    assert_eq!(open(&mut core, 1001), 1 << 20);
    assert_eq!(core.check_invariants(), Vec::<String>::new());
}
