//! What a session is told: [`Message`] to `ServerOp`.

use thornback_core::effect::{ActorInfo, Location, Message, Outcome, Reply, Run, RunArg};
use thornback_core::input::{Arg, ArgValue, Declaration, Retries, Returns};
use thornback_types::{Failure, ObjectId};
use thornback_wire::convert::WireId;
use thornback_wire::v1;
use v1::server_op::Op as Wire;

use super::value::text_out;

/// Puts a message into its form on the wire.
pub(crate) fn message(message: Message) -> Wire {
    match message {
        Message::Run(run) => Wire::Run(run_out(run)),
        Message::Completion { object, outcome } => {
            use v1::completion::Outcome as Wired;
            let outcome = match outcome {
                Outcome::Value(value) => Wired::Value(value.into()),
                Outcome::Failure(failure) => Wired::Failure(failed(&failure)),
                Outcome::Stored(size) => Wired::Stored(size),
            };
            Wire::Completion(v1::Completion { object: object.write(), outcome: Some(outcome) })
        }
        Message::Declare { number, declaration } => {
            Wire::Declare(Box::new(declare_out(number, &declaration)))
        }
        Message::Interrupt { task, attempt, code } => {
            Wire::Interrupt(v1::Interrupt { task: task.write(), attempt, code })
        }
        Message::Recall { tasks } => Wire::Recall(v1::Recall { tasks: WireId::write_all(&tasks) }),
        Message::Resume { task, attempt, consumed } => {
            Wire::Resume(v1::Resume { task: task.write(), attempt, consumed })
        }
        Message::StreamEnd { task, count, failure } => Wire::StreamEnd(Box::new(v1::StreamEnd {
            task: task.write(),
            count,
            failure: failure.map(|failure| Failure::clone(&failure).into()),
        })),
        Message::Created { object, outcome } => {
            use v1::created::Outcome as Wired;
            let outcome = match outcome {
                Ok(location) => Wired::Location(location_out(location)),
                Err(failure) => Wired::Failure(failed(&failure)),
            };
            Wire::Created(v1::Created { object: object.write(), outcome: Some(outcome) })
        }
        Message::CreatedRemote { object, size } => Wire::Created(v1::Created {
            object: object.write(),
            outcome: Some(v1::created::Outcome::Location(elsewhere(size))),
        }),
        Message::Located { object, location } => Wire::Located(v1::Located {
            object: object.write(),
            outcome: Some(v1::located::Outcome::Location(location_out(location))),
        }),
        Message::LocatedInline { object, outcome } => {
            use v1::located::Outcome as Wired;
            let outcome = match outcome {
                Ok(value) => Wired::Value(value.into()),
                Err(failure) => Wired::Failure(failed(&failure)),
            };
            Wire::Located(v1::Located { object: object.write(), outcome: Some(outcome) })
        }
        Message::Reply { number, reply } => Wire::Reply(Box::new(self::reply(number, reply))),
        Message::Log { source, lines } => Wire::Log(Box::new(v1::Log {
            stream: if lines.stderr { "stderr" } else { "stdout" }.to_owned(),
            source,
            lines: lines.lines.clone(),
            repeated_count: lines.repeated,
        })),
        Message::Notice(failure) => Wire::Notice(Box::new(v1::Notice { failure: Some((*failure).into()) })),
    }
}

/// Puts an answer into its form on the wire.
pub(crate) fn reply(number: u64, reply: Reply) -> v1::Reply {
    use v1::reply::Reply as Wired;
    let reply = match reply {
        Reply::Failure(failure) => Wired::Failure(failed(&failure)),
        Reply::Empty => Wired::Done(v1::Empty {}),
        Reply::Actor(actor) => Wired::Actor(actor_out(*actor)),
        Reply::Actors(actors) => {
            Wired::Actors(v1::ActorList { actors: actors.into_iter().map(actor_out).collect() })
        }
    };
    v1::Reply { number, reply: Some(reply) }
}

fn run_out(run: Run) -> v1::Run {
    v1::Run {
        task: run.task.write(),
        attempt: run.attempt,
        declaration: run.declaration,
        args: run.args.into_iter().map(run_arg_out).collect(),
        actor: WireId::write_optional(run.actor),
        setup: run.setup.map(|setup| {
            Box::new(v1::ActorSetup {
                max_concurrency: setup.max_concurrency,
                asynchronous: setup.asynchronous,
                restarts: setup.restarts,
                name: setup.name,
            })
        }),
    }
}

fn run_arg_out(arg: RunArg) -> v1::Arg {
    use v1::arg::Arg as Wired;
    let (keyword, arg) = match arg {
        RunArg::Given(Arg { keyword, value: ArgValue::Value(value) }) | RunArg::Value { keyword, value } => {
            (keyword, Wired::Value(value.into()))
        }
        // The core replaces every ref before it runs a task; a worker that sees this one refuses it.
        RunArg::Given(Arg { keyword, value: ArgValue::Ref(object) }) => (keyword, Wired::Ref(object.write())),
        RunArg::Stored { keyword, object, location, size } => {
            let location = location.map_or_else(|| elsewhere(size), location_out);
            (keyword, Wired::Stored(v1::Stored { object: object.write(), location: Some(location) }))
        }
    };
    v1::Arg { keyword: text_out(&keyword), arg: Some(arg) }
}

fn declare_out(number: u32, declaration: &Declaration) -> v1::Declare {
    v1::Declare {
        number,
        function: declaration.function.clone(),
        code: WireId::write_optional(declaration.code),
        pool: declaration.pool.clone().unwrap_or_default(),
        resources: Some((&declaration.resources).into()),
        returns: match declaration.returns {
            Returns::Stream => -1,
            Returns::Fixed(n) => i32::try_from(n).unwrap_or(i32::MAX),
        },
        max_retries: match declaration.max_retries {
            Retries::Unlimited => -1,
            Retries::Limited(n) => i32::try_from(n).unwrap_or(i32::MAX),
        },
        retry_exceptions: declaration.retry_exceptions,
        retry_types: declaration.retry_types.clone(),
        name: declaration.name.clone(),
        stream_window: declaration.stream_window,
        accepts: declaration.accepts.clone(),
        deadline_ms: declaration
            .deadline
            .map_or(0, |deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
        placement_group: WireId::write_optional(declaration.placement.map(|(group, _)| group)),
        bundle: declaration
            .placement
            .and_then(|(_, bundle)| bundle)
            .map_or(-1, |n| i32::try_from(n).unwrap_or(-1)),
        node: WireId::write_optional(declaration.affinity.map(|affinity| affinity.node)),
        soft: declaration.affinity.is_some_and(|affinity| affinity.soft),
        // Whether it fits was judged before anything runs.
        signature: String::new(),
        spread: declaration.spread,
    }
}

fn actor_out(actor: ActorInfo) -> v1::ActorInfo {
    v1::ActorInfo {
        actor: actor.actor.write(),
        name: actor.name,
        namespace: actor.namespace,
        state: actor.state.to_owned(),
        class_name: actor.class_name,
        interface: actor.interface,
        restarts: actor.restarts,
        existed: actor.existed,
    }
}

fn location_out(location: Location) -> v1::Location {
    v1::Location { arena: location.arena, offset: location.offset, size: location.size }
}

/// A location for a session that cannot map one: the bytes travel in frames.
/// The answer to a fetch whose bytes follow in chunks.
pub(crate) fn located_elsewhere(object: ObjectId, size: u64) -> Wire {
    Wire::Located(v1::Located {
        object: object.write(),
        outcome: Some(v1::located::Outcome::Location(elsewhere(size))),
    })
}

fn elsewhere(size: u64) -> v1::Location {
    v1::Location { arena: 0, offset: 0, size }
}

fn failed(failure: &Failure) -> Box<v1::Failure> {
    Box::new(failure.clone().into())
}
