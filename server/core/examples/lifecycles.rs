//! How many task lifecycles the core alone handles in a second: submit, run, done, completion, drop. Prints one line of JSON.
//!
//! `cargo run --release -p thornback-core --example lifecycles -- [lifecycles] [in flight]`
//!
//! Where its instructions go is the same in every run: `CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none` for the build,
//! then `valgrind --tool=callgrind` with 20,000 and with 40,000 lifecycles; the difference is that of 20,000.

#[path = "../tests/load/cast.rs"]
mod cast;

use std::time::Instant;

use thornback_core::effect::Message;
use thornback_core::input::{Output, PoolSpec, Request};
use thornback_core::{Config, Core, Effect, Input, Op};
use thornback_types::{Id, NodeId, ObjectId, Resources, SessionId, TaskId, Time, Value, WorkerId};

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn main() {
    let mut numbers = std::env::args().skip(1).map(|n| n.parse().ok());
    let rounds = numbers.next().flatten().unwrap_or(1_000_000_u32);
    let in_flight = numbers.next().flatten().unwrap_or(1_000_u32);
    let mut core = Core::new(Config::new(NodeId(Id([1; 16])), Resources::cpus(2)));
    let (driver, worker) = (SessionId(1), SessionId(2));
    let mut effects = Vec::new();
    let mut now = 0;
    let mut handle = |input: Input, effects: &mut Vec<Effect>| {
        now += 100;
        core.handle(Time(now), input, effects);
    };
    handle(Input::SessionOpened { session: driver, peer: cast::driver() }, &mut effects);
    let pool = PoolSpec { name: "p".into(), command: vec!["w".into()], prestart: 1, ..PoolSpec::default() };
    handle(
        Input::Op {
            session: driver,
            op: Op::Request { number: 1, request: Box::new(Request::DeclarePool(pool)) },
        },
        &mut effects,
    );
    let peer = cast::worker(Some(WorkerId(1)), "p");
    handle(Input::SessionOpened { session: worker, peer }, &mut effects);
    let declaration = cast::declaration(None);
    handle(
        Input::Op { session: driver, op: Op::Declare { number: 1, declaration: Box::new(declaration) } },
        &mut effects,
    );
    effects.clear();

    let start = Instant::now();
    let (mut submitted, mut done) = (0_u32, 0_u32);
    let mut runs: Vec<(TaskId, u32)> = Vec::new();
    let mut ready: Vec<ObjectId> = Vec::new();
    while done < rounds {
        while submitted < rounds && submitted - done < in_flight {
            let task = TaskId(Id::new(*b"lifecycl", submitted, 0));
            submitted += 1;
            let op = Op::Submit { task, declaration: 1, args: vec![], parent: None };
            handle(Input::Op { session: driver, op }, &mut effects);
        }
        loop {
            for effect in effects.drain(..) {
                match effect {
                    Effect::Send { message: Message::Run(run), .. } => runs.push((run.task, run.attempt)),
                    Effect::Send { message: Message::Completion { object, .. }, .. } => ready.push(object),
                    _ => {}
                }
            }
            if runs.is_empty() {
                break;
            }
            for (task, attempt) in runs.drain(..) {
                let op =
                    Op::Done { task, attempt, outcome: Ok(vec![Output::Value(Value::nil())]), yielded: 0 };
                handle(Input::Op { session: worker, op }, &mut effects);
            }
        }
        done += ready.len() as u32;
        let op = Op::Refs { retain: vec![], drop: std::mem::take(&mut ready) };
        handle(Input::Op { session: driver, op }, &mut effects);
    }
    let seconds = start.elapsed().as_secs_f64();
    let status = core.status();
    assert_eq!((status.objects, status.tasks_queued, status.tasks_running), (0, 0, 0));
    println!(
        "{{\"lifecycles_per_second\": {:.0}, \"lifecycles\": {rounds}, \"in_flight\": {in_flight}}}",
        f64::from(rounds) / seconds
    );
}
