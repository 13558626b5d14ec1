//! Effects as lines of text.

use thornback_core::Effect;
use thornback_core::effect::{ActorInfo, Credit, Location, Message, Outcome, Reply, Run, RunArg, Stop};
use thornback_core::input::{Arg, ArgValue};
use thornback_core::node::status::Item;
use thornback_types::{Code, Failure, Format, ObjectId, SessionId, TaskId, Value};

use crate::world::World;

pub fn effect(world: &World, effect: &Effect) -> String {
    match effect {
        Effect::Send { session, message: m } => {
            format!("{} <- {}", world.names.session_name(*session), message(world, *session, m))
        }
        Effect::Refuse { session, failure: f } => {
            format!("{} refused: {}", world.names.session_name(*session), failure(world, f))
        }
        Effect::Close { session, failure: f } => {
            let why = f.as_ref().map(|f| format!(": {}", failure(world, f))).unwrap_or_default();
            format!("{} closed{why}", world.names.session_name(*session))
        }
        Effect::Pace { session, credit } => {
            let what = match credit {
                Credit::Given => "gets credit again",
                Credit::Held => "is held back",
                Credit::Spared => "gets a little credit",
            };
            format!("{} {what}", world.names.session_name(*session))
        }
        Effect::StartWorker { worker, pool } => format!("start w{} of {}", worker.0, pool.spec.name),
        Effect::StopWorker { worker, how } => {
            format!("stop w{} {}", worker.0, if *how == Stop::Now { "now" } else { "gently" })
        }
        Effect::RetirePool { pool } => format!("retire {}", pool.spec.name),
        Effect::OpenArena { arena, size } => format!("open arena {arena} of {size}"),
        Effect::CloseArena { arena } => format!("close arena {arena}"),
        Effect::WriteArena { location, data } => format!("write {} {}", at(location), data.len()),
        Effect::PunchArena { location } => format!("punch {}", at(location)),
        Effect::SendBytes { session, object: o, location } => {
            format!(
                "send {} the bytes of {} {}",
                world.names.session_name(*session),
                object(world, *o),
                at(location)
            )
        }
        Effect::Spill { object: o, location } => format!("spill {} {}", object(world, *o), at(location)),
        Effect::Restore { object: o, location } => format!("restore {} {}", object(world, *o), at(location)),
        Effect::DeleteSpilled { object: o } => format!("delete spilled {}", object(world, *o)),
        Effect::Copy { object: o, from, remote, location } => {
            format!("copy {} from {from} {} {}", object(world, *o), at(remote), at(location))
        }
        Effect::Packet { to, .. } => format!("packet to {to}"),
        Effect::GivenUp => "given up".into(),
    }
}

fn message(world: &World, session: SessionId, message: &Message) -> String {
    match message {
        Message::Declare { number, declaration } => format!("declare {number} {}", declaration.name),
        Message::Run(r) => run(world, session, r),
        Message::Interrupt { task: t, attempt, code } => {
            format!("interrupt {}#{attempt} {}", task(world, *t), code_name(*code))
        }
        Message::Recall { tasks } => format!("recall {}", join(tasks.iter().map(|t| task(world, *t)))),
        Message::Resume { task: t, attempt, consumed } => {
            format!("resume {}#{attempt} {consumed}", task(world, *t))
        }
        Message::Completion { object: o, outcome: got } => {
            format!("{} = {}", object(world, *o), outcome(world, got))
        }
        Message::StreamEnd { task: t, count, failure: f } => {
            let why = f.as_ref().map(|f| format!(": {}", failure(world, f))).unwrap_or_default();
            format!("{} ends after {count}{why}", task(world, *t))
        }
        Message::Created { object: o, outcome: Ok(location) } => {
            format!("created {} {}", object(world, *o), at(location))
        }
        Message::Created { object: o, outcome: Err(f) } => {
            format!("not created {}: {}", object(world, *o), failure(world, f))
        }
        Message::CreatedRemote { object: o, size } => {
            format!("created {} of {size}, to be sent", object(world, *o))
        }
        Message::Located { object: o, location } => format!("located {} {}", object(world, *o), at(location)),
        Message::LocatedInline { object: o, outcome: Ok(v) } => {
            format!("located {} = {}", object(world, *o), value(world, v))
        }
        Message::LocatedInline { object: o, outcome: Err(f) } => {
            format!("not located {}: {}", object(world, *o), failure(world, f))
        }
        Message::Reply { number, reply: r } => format!("reply {number} {}", reply(world, r)),
        Message::Log { source, lines } => format!("log ({source}) {}", lines.lines.join(" | ")),
        Message::Notice(f) => format!("notice {}", failure(world, f)),
    }
}

fn run(world: &World, session: SessionId, run: &Run) -> String {
    let function = world
        .declared
        .get(&(session, run.declaration))
        .map_or("a declaration that was never made", String::as_str);
    let mut words = vec![format!("run {}#{} {function}", task(world, run.task), run.attempt)];
    if let (Some(actor), None) = (run.actor, &run.setup) {
        words.push(format!("on {}", world.names.of(actor.0)));
    }
    words.extend(run.args.iter().map(|arg| match arg {
        RunArg::Given(Arg { keyword, value: ArgValue::Value(v) }) => {
            format!("{}{}", key(keyword), value(world, v))
        }
        RunArg::Given(Arg { keyword, value: ArgValue::Ref(o) }) => {
            format!("{}{} unresolved!", key(keyword), object(world, *o))
        }
        RunArg::Value { keyword, value: v } => format!("{}{}", key(keyword), value(world, v)),
        RunArg::Stored { keyword, object: o, location: Some(location), .. } => {
            format!("{}{} {}", key(keyword), object(world, *o), at(location))
        }
        RunArg::Stored { keyword, object: o, location: None, size } => {
            format!("{}{} of {size}", key(keyword), object(world, *o))
        }
    }));
    if let Some(setup) = &run.setup {
        let asynchronous = if setup.asynchronous { " asynchronous" } else { "" };
        words.push(format!(
            "as actor (concurrency {}, restarts {}{asynchronous})",
            setup.max_concurrency, setup.restarts
        ));
    }
    words.join(" ")
}

fn reply(world: &World, reply: &Reply) -> String {
    match reply {
        Reply::Failure(f) => failure(world, f),
        Reply::Empty => "done".into(),
        Reply::Actor(info) => actor(world, info),
        Reply::Actors(infos) => format!("actors: {}", join(infos.iter().map(|info| actor(world, info)))),
    }
}

fn actor(world: &World, info: &ActorInfo) -> String {
    let existed = if info.existed { ", existed" } else { "" };
    format!(
        "{} {:?} in {:?} is {}{existed}",
        world.names.of(info.actor.0),
        info.name,
        info.namespace,
        info.state
    )
}

fn outcome(world: &World, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Value(v) => value(world, v),
        Outcome::Failure(f) => failure(world, f),
        Outcome::Stored(size) => format!("stored, {size}"),
    }
}

fn value(world: &World, value: &Value) -> String {
    let refs = join(value.refs().iter().map(|o| object(world, *o)));
    match (value.format, value.refs().is_empty()) {
        (_, false) => format!("[{refs}]"),
        (Format::MsgPack, _) if *value == Value::nil() => "nil".into(),
        (Format::Private, _) => format!("private({})", String::from_utf8_lossy(value.schema())),
        _ if value.size() > 40 => format!("bytes({})", value.size()),
        _ => format!("{:?}", String::from_utf8_lossy(&value.data)),
    }
}

/// With the chain of what led to it, and without the ids that the text names anyway.
pub fn failure(world: &World, failure: &Failure) -> String {
    let of = failure.task.map(|t| format!(" of {}", task(world, t))).unwrap_or_default();
    let types = failure.types.first().map(|name| format!(" {name}")).unwrap_or_default();
    let cause = failure
        .cause
        .as_ref()
        .map(|cause| format!(" <caused by {}>", self::failure(world, cause)))
        .unwrap_or_default();
    let details: Vec<String> = failure
        .details
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace('\n', " | ")))
        .collect();
    let details = if details.is_empty() { String::new() } else { format!(" {{{}}}", details.join(", ")) };
    format!("{}{types}{of}: {}{details}{cause}", code_name(failure.code), failure.message)
}

/// One line for what is listed.
pub fn item(item: &Item) -> String {
    let fields = item.fields.iter().filter(|(_, value)| !value.is_empty());
    format!("{} {}", item.id, join(fields.map(|(name, value)| format!("{name}={value:?}"))))
}

fn code_name(code: u32) -> String {
    Code::from_number(code).map_or(format!("code {code}"), |code| code.name().to_owned())
}

fn at(location: &Location) -> String {
    format!("@{}+{}:{}", location.arena, location.offset, location.size)
}

fn key(keyword: &[u8]) -> String {
    if keyword.is_empty() { String::new() } else { format!("{}:", String::from_utf8_lossy(keyword)) }
}

fn object(world: &World, object: ObjectId) -> String {
    world.names.of(object.0)
}

fn task(world: &World, task: TaskId) -> String {
    world.names.of(task.0)
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}
