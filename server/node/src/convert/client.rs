//! What a session says: `ClientOp` to [`Op`].

use std::time::Duration;

use bytes::Bytes;
use thornback_core::input::{
    ActorOptions, Affinity, Arg, ArgValue, Declaration, Function, Op, Output, PoolSpec, Request, Retries,
    Returns, Strategy,
};
use thornback_types::{Code, Failure, Id, NodeId, ObjectId, PlacementGroupId, Resources, TaskId};
use thornback_wire::convert::WireId;
use thornback_wire::v1;
use v1::client_op::Op as Wire;

use super::value::{Result, invalid, own, refuse, value};

/// What an operation asks for, by who answers it.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are the large one, and it lives for one call")]
pub(crate) enum Asked {
    /// The core.
    Core(Op),
    /// The node, which looks at the core and answers at once.
    Status { number: u64 },
    /// The same.
    List { number: u64, kind: String, limit: u32 },
    /// The node, which ends.
    Stop { number: u64, force: bool },
}

/// Takes an operation of an open session. Hello, credit, ping, pong and goodbye are the conversation's own and do not come here.
pub(crate) fn op(op: Wire) -> Result<Asked> {
    let op = match op {
        Wire::Submit(submit) => Op::Submit {
            task: task(&submit.task, "task")?,
            declaration: submit.declaration,
            args: args(submit.args)?,
            parent: optional::<TaskId>(&submit.parent, "parent")?,
        },
        Wire::Call(call) => Op::Call {
            task: task(&call.task, "task")?,
            actor: read(&call.actor, "actor")?,
            declaration: call.declaration,
            args: args(call.args)?,
            parent: optional::<TaskId>(&call.parent, "parent")?,
        },
        Wire::Done(done) => Op::Done {
            task: task(&done.task, "task")?,
            attempt: done.attempt,
            yielded: done.yielded,
            outcome: match done.failure {
                Some(failed) => Err(Box::new(failure(*failed)?)),
                None => Ok(done.results.into_iter().map(output).collect::<Result<_>>()?),
            },
        },
        Wire::Refs(refs) => Op::Refs { retain: all(&refs.retain, "retain")?, drop: all(&refs.drop, "drop")? },
        Wire::Declare(declare) => {
            let number = declare.number;
            Op::Declare { number, declaration: Box::new(declaration(*declare)?) }
        }
        Wire::CreateActor(create) => Op::CreateActor {
            actor: read(&create.actor, "actor")?,
            declaration: create.declaration,
            args: args(create.args)?,
            options: Box::new(actor_options(create.options.unwrap_or_default())),
        },
        Wire::Cancel(cancel) => {
            Op::Cancel { id: read(&cancel.id, "id")?, force: cancel.force, recursive: cancel.recursive }
        }
        Wire::Kill(kill) => {
            Op::Kill { actor: read(&kill.actor, "actor")?, restart: kill.restart, graceful: kill.graceful }
        }
        Wire::Consumed(consumed) => {
            Op::Consumed { task: task(&consumed.task, "task")?, count: consumed.count }
        }
        Wire::Put(put) => Op::Put {
            object: read(&put.object, "object")?,
            value: value(put.value.ok_or_else(|| invalid("a put without `value`"))?)?,
        },
        Wire::Create(create) => Op::Create {
            object: read(&create.object, "object")?,
            size: create.size,
            task: optional::<TaskId>(&create.task, "task")?.map(|task| (task, create.attempt)),
        },
        Wire::Write(write) => {
            Op::Write { object: read(&write.object, "object")?, offset: write.offset, data: write.data }
        }
        Wire::Seal(seal) => {
            Op::Seal { object: read(&seal.object, "object")?, refs: all(&seal.refs, "refs")? }
        }
        Wire::Abort(abort) => Op::Abort { object: read(&abort.object, "object")? },
        Wire::Watch(watch) => Op::Watch { objects: all(&watch.objects, "objects")? },
        Wire::Fetch(fetch) => Op::Fetch { object: read(&fetch.object, "object")?, quiet: fetch.quiet },
        Wire::Release(release) => Op::Release { objects: all(&release.objects, "objects")? },
        Wire::Yield(item) => Op::Yield {
            task: task(&item.task, "task")?,
            attempt: item.attempt,
            index: item.index,
            item: output(item.item.ok_or_else(|| invalid("a yield without `item`"))?)?,
        },
        Wire::Blocked(blocked) => Op::Blocked { task: task(&blocked.task, "task")? },
        Wire::Unblocked(unblocked) => Op::Unblocked { task: task(&unblocked.task, "task")? },
        Wire::Returned(returned) => Op::Returned { tasks: all(&returned.tasks, "tasks")? },
        Wire::Announce(announce) => Op::Announce { functions: functions(announce.functions)? },
        Wire::ActorExit(exit) => Op::ActorExit {
            actor: read(&exit.actor, "actor")?,
            reason: exit.reason.map(failure).transpose()?.map(Box::new),
        },
        Wire::Request(asked) => return request(*asked),
        Wire::Hello(_) => {
            return Err(Box::new(Failure::new(
                Code::NotHello,
                "the session has said hello already: open another connection",
            )));
        }
        Wire::Credit(_) | Wire::Ping(_) | Wire::Pong(_) | Wire::Goodbye(_) => {
            return Err(invalid("an operation of the conversation itself in a counted frame with others"));
        }
    };
    Ok(Asked::Core(op))
}

/// What an operation would make, as the client named it; nothing if that is no id. See [`Op::makes`].
pub(crate) fn makes(op: &Wire) -> Option<Id> {
    let id = match op {
        Wire::Submit(submit) => &submit.task,
        Wire::Call(call) => &call.task,
        Wire::CreateActor(create) => &create.actor,
        Wire::Put(put) => &put.object,
        Wire::Seal(seal) => &seal.object,
        _ => return None,
    };
    Id::from_slice(id)
}

/// Takes a control request, in whichever way it came.
pub(crate) fn request(request: v1::Request) -> Result<Asked> {
    use v1::request::Request as Wire;
    let number = request.number;
    let asked = request.request.ok_or_else(|| {
        Box::new(Failure::new(Code::UnknownOperation, "this version of the server does not know the request"))
    })?;
    let request = match asked {
        Wire::CreateActor(create) => Request::CreateActor {
            actor: read(&create.actor, "actor")?,
            declaration: create.declaration,
            args: args(create.args)?,
            options: actor_options(create.options.unwrap_or_default()),
        },
        Wire::GetActor(get) => Request::GetActor { name: get.name, namespace: text(get.namespace) },
        Wire::ListActors(list) => Request::ListActors { all_namespaces: list.all_namespaces },
        Wire::CreatePlacementGroup(create) => Request::CreatePlacementGroup {
            group: read(&create.group, "group")?,
            bundles: create
                .bundles
                .into_iter()
                .map(|bundle| resources(Some(bundle)))
                .collect::<Result<_>>()?,
            strategy: strategy(&create.strategy)?,
            name: create.name,
        },
        Wire::RemovePlacementGroup(remove) => {
            Request::RemovePlacementGroup { group: read(&remove.group, "group")? }
        }
        Wire::DeclarePool(declared) => Request::DeclarePool(pool(*declared)?),
        Wire::GetStatus(v1::GetStatus {}) => return Ok(Asked::Status { number }),
        Wire::ListState(list) => return Ok(Asked::List { number, kind: list.kind, limit: list.limit }),
        Wire::Stop(stop) => return Ok(Asked::Stop { number, force: stop.force }),
    };
    Ok(Asked::Core(Op::Request { number, request: Box::new(request) }))
}

/// Takes a pool's description.
pub(crate) fn pool(pool: v1::DeclarePool) -> Result<PoolSpec> {
    if pool.name.is_empty() {
        return Err(invalid("a pool without `name`"));
    }
    if let Some((name, _)) = pool
        .env
        .iter()
        .find(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
    {
        return Err(invalid(format!(
            "the environment variable {name:?} of pool {:?} cannot be set",
            pool.name
        )));
    }
    if pool.command.iter().any(|word| word.contains('\0')) {
        return Err(invalid(format!("the command of pool {:?} holds a NUL byte", pool.name)));
    }
    Ok(PoolSpec {
        name: pool.name,
        language: pool.language,
        command: pool.command,
        env: pool.env.into_iter().collect(),
        working_dir: pool.working_dir,
        template: pool.template,
        prestart: pool.prestart,
        default_for_session: pool.default_for_session,
        functions: pool.functions,
        interface: functions(pool.interface)?,
    })
}

/// Takes the functions that a worker announces.
pub(crate) fn functions(functions: Vec<v1::Function>) -> Result<Vec<Function>> {
    let function = |function: v1::Function| {
        let max_args = match function.max_args {
            -1 => None,
            n => match u32::try_from(n) {
                Ok(n) if n >= function.min_args => Some(n),
                _ => {
                    return Err(invalid(format!(
                        "`max_args` of {:?} is {n}: at least `min_args`, or -1",
                        function.name
                    )));
                }
            },
        };
        let signature = signature(function.signature, &function.name)?;
        Ok(Function {
            name: function.name,
            min_args: function.min_args,
            max_args,
            actor: function.actor,
            signature,
        })
    };
    functions.into_iter().map(function).collect()
}

/// Longest signature, in bytes (INTERFACE-004).
const SIGNATURE_BYTES_MAX: usize = 16 * 1024;

fn signature(signature: String, function: &str) -> Result<String> {
    if signature.len() > SIGNATURE_BYTES_MAX {
        let given = signature.len();
        return Err(invalid(format!(
            "the signature of {function:?} has {given} bytes: at most {SIGNATURE_BYTES_MAX}"
        )));
    }
    Ok(signature)
}

/// Takes a set of resources; none if it is left out.
pub(crate) fn resources(resources: Option<v1::Resources>) -> Result<Resources> {
    let mut set = Resources::new();
    for (name, amount) in resources.unwrap_or_default().amounts {
        if name.is_empty() {
            return Err(invalid("a resource without a name"));
        }
        set.set(&name, amount);
    }
    Ok(set)
}

fn declaration(declare: v1::Declare) -> Result<Declaration> {
    let returns = match declare.returns {
        -1 => Returns::Stream,
        n => Returns::Fixed(
            u32::try_from(n).map_err(|_| invalid(format!("`returns` is {n}: from 0, or -1 for a stream")))?,
        ),
    };
    let group = optional::<PlacementGroupId>(&declare.placement_group, "placement_group")?;
    let node = optional::<NodeId>(&declare.node, "node")?;
    let signature = signature(declare.signature, &declare.function)?;
    Ok(Declaration {
        code: optional::<ObjectId>(&declare.code, "code")?,
        pool: text(declare.pool),
        resources: resources(declare.resources)?,
        returns,
        max_retries: Retries::from_wire(declare.max_retries),
        retry_exceptions: declare.retry_exceptions,
        retry_types: declare.retry_types,
        name: if declare.name.is_empty() { declare.function.clone() } else { declare.name },
        function: declare.function,
        stream_window: declare.stream_window,
        accepts: declare.accepts,
        deadline: (declare.deadline_ms > 0).then(|| Duration::from_millis(declare.deadline_ms)),
        // Any negative number means any bundle.
        placement: group.map(|group| (group, u32::try_from(declare.bundle).ok())),
        affinity: node.map(|node| Affinity { node, soft: declare.soft }),
        spread: declare.spread,
        signature,
    })
}

fn actor_options(options: v1::ActorOptions) -> ActorOptions {
    ActorOptions {
        name: options.name,
        namespace: text(options.namespace),
        get_if_exists: options.get_if_exists,
        detached: options.detached,
        max_restarts: Retries::from_wire(options.max_restarts),
        max_task_retries: Retries::from_wire(options.max_task_retries),
        max_concurrency: options.max_concurrency.max(1),
        max_pending_calls: u32::try_from(options.max_pending_calls).ok().filter(|calls| *calls > 0),
        asynchronous: options.asynchronous,
        hold_resources: options.hold_resources,
        interface: own(options.interface),
    }
}

fn strategy(name: &str) -> Result<Strategy> {
    match name {
        "PACK" | "" => Ok(Strategy::Pack),
        "SPREAD" => Ok(Strategy::Spread),
        "STRICT_PACK" => Ok(Strategy::StrictPack),
        "STRICT_SPREAD" => Ok(Strategy::StrictSpread),
        other => Err(invalid(format!(
            "the strategy {other:?} is none of PACK, SPREAD, STRICT_PACK, STRICT_SPREAD"
        ))),
    }
}

fn args(args: Vec<v1::Arg>) -> Result<Vec<Arg>> {
    use v1::arg::Arg as Wire;
    let arg = |arg: v1::Arg| {
        let value = match arg.arg {
            Some(Wire::Value(given)) => ArgValue::Value(value(given)?),
            Some(Wire::Ref(object)) => ArgValue::Ref(read(&object, "ref")?),
            Some(Wire::Stored(_)) => {
                return Err(invalid("an argument with `stored`: only the server sends that; send `ref`"));
            }
            None => return Err(invalid("an argument that is neither `value` nor `ref`")),
        };
        Ok(Arg { keyword: Bytes::from(arg.keyword), value })
    };
    args.into_iter().map(arg).collect()
}

fn output(result: v1::Result) -> Result<Output> {
    use v1::result::Result as Wire;
    match result.result {
        Some(Wire::Value(given)) => value(given).map(Output::Value),
        Some(Wire::Stored(true)) => Ok(Output::Stored),
        Some(Wire::Stored(false)) | None => Err(invalid("a result that is neither `value` nor `stored`")),
    }
}

fn failure(failure: v1::Failure) -> Result<Failure> {
    Failure::try_from(failure).map_err(refuse)
}

/// A task's id, which has index 0.
fn task(bytes: &[u8], field: &'static str) -> Result<TaskId> {
    match read::<TaskId>(bytes, field)? {
        task if task.0.index() == 0 => Ok(task),
        task => Err(invalid(format!(
            "`{field}` is {}, whose index is not 0: it names an output, not a task",
            task.0
        ))),
    }
}

fn read<T: WireId>(bytes: &[u8], field: &'static str) -> Result<T> {
    T::read(bytes, field).map_err(refuse)
}

fn optional<T: WireId>(bytes: &[u8], field: &'static str) -> Result<Option<T>> {
    T::read_optional(bytes, field).map_err(refuse)
}

fn all<T: WireId>(ids: &[Bytes], field: &'static str) -> Result<Vec<T>> {
    T::read_all(ids, field).map_err(refuse)
}

fn text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
