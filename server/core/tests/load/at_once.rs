//! Inputs that are taken at once, and decided upon behind the last.

use thornback_core::effect::Message;
use thornback_core::input::{Declaration, Output, PoolSpec, Request, Retries};
use thornback_core::{Config, Core, Effect, Input, Op};
use thornback_types::{Id, NodeId, Resources, SessionId, TaskId, Time, Value};

use crate::cast;

const DRIVER: SessionId = SessionId(1);
const WORKER: SessionId = SessionId(2);

fn task(number: u32) -> TaskId {
    TaskId(Id::new([1; 8], number, 0))
}

fn submit(number: u32) -> Input {
    let op = Op::Submit { task: task(number), declaration: 1, args: Vec::new(), parent: None };
    Input::Op { session: DRIVER, op }
}

/// A core with two processors, a driver, and its pool's only worker, which is idle.
fn core() -> Core {
    let mut core = Core::new(Config::new(NodeId(Id([1; 16])), Resources::cpus(2)));
    let mut handle = |input| {
        let mut effects = Vec::new();
        core.handle(Time::ZERO, input, &mut effects);
        effects
    };
    handle(Input::SessionOpened { session: DRIVER, peer: cast::driver() });
    let pool = PoolSpec { name: "p".into(), command: vec!["w".into()], ..PoolSpec::default() };
    let request = Box::new(Request::DeclarePool(pool));
    handle(Input::Op { session: DRIVER, op: Op::Request { number: 1, request } });
    // Such a task is never sent behind another one.
    let once = Declaration { max_retries: Retries::Limited(0), ..cast::declaration(Some("p".into())) };
    let declare = Op::Declare { number: 1, declaration: Box::new(once) };
    handle(Input::Op { session: DRIVER, op: declare });
    let launch = handle(submit(1)).into_iter().find_map(|effect| match effect {
        Effect::StartWorker { worker, .. } => Some(worker),
        _ => None,
    });
    assert!(launch.is_some(), "a worker is started for the first task");
    handle(Input::SessionOpened { session: WORKER, peer: cast::worker(launch, "p") });
    let outcome = Ok(vec![Output::Value(Value::nil())]);
    let done = Op::Done { task: task(1), attempt: 1, outcome, yielded: 0 };
    handle(Input::Op { session: WORKER, op: done });
    core
}

#[test]
fn a_worker_is_started_for_a_task_that_finds_the_only_one_taken_by_another() {
    let mut core = core();
    let mut effects = Vec::new();
    core.take(Time::ZERO, submit(2), &mut effects);
    core.take(Time::ZERO, submit(3), &mut effects);
    core.conclude(Time::ZERO, &mut effects);
    let runs = |effect: &&Effect| matches!(effect, Effect::Send { session: WORKER, message: Message::Run(run) } if run.task == task(2));
    assert_eq!(effects.iter().filter(runs).count(), 1, "{effects:?}");
    let starts = effects.iter().filter(|effect| matches!(effect, Effect::StartWorker { .. })).count();
    assert_eq!(starts, 1, "the other one may not wait behind it: {effects:?}");
}
