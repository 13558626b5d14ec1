//! What a scenario may say. Names are those of `names.rs`; a value is `"text"`, `[o1 t1.0]` (which refers to these), `bytes(N)` or `private(schema)`.
//!
//! ```text
//! node cpus=2 store=1000 inline=100 workers=16 backlog= backlog-max=     driver d1 namespace=N logs remote         close d1
//! pool d1 py prestart=1 functions=f default          worker w1 functions=f,g(1..2),h(1..),C(0)! formats=F pool=P (if it dialled in by itself) remote
//! start-failed w1 WHY     exit w1 code=1 | signal=9 words="…"  printed w1 "line"                         memory total=100 available=1 w1=50
//! declare d1 f function= code= pool= cpus= gpus= has=NAME:AMOUNT returns= retries= retry-exceptions retry-types= window= accepts= deadline= group=g1:0
//! submit d1 t1 f args=o1,"x",[o2],k:"y" parent=t0    call d1 t2 a1 m args=                     cancel d1 t1 force recursive
//! actor d1 a1 C args= restarts= task-retries= concurrency= pending= detached hold asynchronous (with name=: a request, which has a reply)
//! get-actor d1 NAME namespace=    list-actors d1 all   kill d1 a1 restart graceful              actor-exit w1 a1
//! done w1 t1 VALUE stored attempt= yielded=          raise w1 t1 TYPE attempt=                 fail w1 t1 CODE
//! yield w1 t1 INDEX VALUE         consumed d1 t1 N   blocked w1 t1 / unblocked w1 t1           returned w1 t1 t2      announce w1 f
//! put d1 o1 VALUE                 create d1 o1 SIZE of=t1   seal d1 o1 REFS    abort d1 o1     write d1 o1 OFFSET SIZE
//! watch d1 o1    fetch d1 o1 quiet    release d1 o1    retain d1 o1    drop d1 o1               refs d1 retain=o1 drop=o2
//! spilled o1 ok | full | broken   restored o1 ok | damaged   sent d1 o1    punched ARENA+OFFSET:SIZE
//! group d1 g1 strict-pack 1 0.5   remove-group d1 g1 advance 5s                                status | tasks | actors | objects | sessions
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thornback_core::input::{
    ActorOptions, Arg, ArgValue, Declaration, ExitStatus, Function, Output, PoolSpec, Printed, Request,
    Retries, Returns, StoreError, Strategy,
};
use thornback_core::{Config, Input, Listing, Location, Op, Peer};
use thornback_types::{Code, Failure, Format, ObjectId, Resources, TaskId, UNITS_PER_WHOLE, Value, WorkerId};

use crate::show;
use crate::words::{Parsed, Words, split};
use crate::world::{ME, World};

/// Carries a command out.
pub fn run(world: &mut World, line: &str) -> Parsed<()> {
    let mut words = Words::parse(line);
    match words.verb.clone().as_str() {
        "node" => node(world, &mut words)?,
        "advance" => {
            let by = duration(&words.next("a duration")?)?;
            world.advance(by);
        }
        "status" => status(world),
        "tasks" => list(world, Listing::Tasks),
        "actors" => list(world, Listing::Actors),
        "objects" => list(world, Listing::Objects),
        "sessions" => list(world, Listing::Sessions),
        _ => {
            if let Some(input) = machine_input(world, &mut words)? {
                words.end()?;
                world.input(input);
                return Ok(());
            }
            let session = words.next("a session")?;
            let op = match task_op(world, &session, &mut words)? {
                Some(op) => op,
                None => object_op(world, &mut words)?
                    .ok_or_else(|| format!("there is no command {}", words.verb))?,
            };
            words.end()?;
            world.op(&session, op);
            return Ok(());
        }
    }
    words.end()
}

fn node(world: &mut World, words: &mut Words) -> Parsed<()> {
    let resources = resources(words, "2")?;
    let mut config = Config::new(ME, resources);
    config.store_bytes = words.number("store")?.unwrap_or(config.store_bytes);
    config.inline_bytes = words.number("inline")?.unwrap_or(config.inline_bytes);
    config.backlog_bytes = words.number("backlog")?.unwrap_or(config.backlog_bytes);
    config.backlog_bytes_max = words.number("backlog-max")?.unwrap_or(config.backlog_bytes_max);
    config.workers_per_pool = words.number("workers")?.unwrap_or(config.workers_per_pool);
    world.set_config(&config);
    Ok(())
}

fn status(world: &mut World) {
    let status = world.core.status();
    let workers: Vec<String> = status.workers.iter().map(|w| format!("w{} {}", w.worker, w.state)).collect();
    world.say(&format!("free: {} of {}", status.available, status.total));
    world.say(&format!(
        "tasks: {} queued, {} running, {} finished",
        status.tasks_queued, status.tasks_running, status.tasks_finished
    ));
    world.say(&format!(
        "store: {} used, {} spilled; {} objects",
        status.store_used_bytes, status.spilled_bytes, status.objects
    ));
    world.say(&format!("workers: {}", if workers.is_empty() { "none".into() } else { workers.join(", ") }));
}

fn list(world: &mut World, kind: Listing) {
    for item in world.core.list(kind, 100) {
        world.say(&show::item(&item));
    }
}

/// What happens without any session's doing.
fn machine_input(world: &mut World, words: &mut Words) -> Parsed<Option<Input>> {
    Ok(Some(match words.verb.as_str() {
        "driver" => {
            let session = world.names.session(&words.next("a name")?);
            Input::SessionOpened {
                session,
                peer: Peer::Driver {
                    namespace: words.option("namespace").unwrap_or_default(),
                    job_name: String::new(),
                    want_logs: words.flag("logs"),
                    shared_memory: !words.flag("remote"),
                    pid: 1,
                },
            }
        }
        "worker" => {
            let name = words.next("a name")?;
            let launch = worker(&name).ok();
            let known = launch.and_then(|launch| world.pools.get(&launch)).cloned();
            Input::SessionOpened {
                session: world.names.session(&name),
                peer: Peer::Worker {
                    launch: launch.filter(|_| known.is_some()),
                    pool: known
                        .or(words.option("pool"))
                        .ok_or("nobody started this worker, so it needs pool=")?,
                    language: "test".into(),
                    functions: words
                        .list("functions")
                        .iter()
                        .map(|text| function(text))
                        .collect::<Parsed<_>>()?,
                    formats: words.list("formats"),
                    shared_memory: !words.flag("remote"),
                    pid: launch.map_or(1, |launch| 100 + launch.0 as u32),
                },
            }
        }
        "close" => Input::SessionClosed { session: world.names.session(&words.next("a session")?) },
        "start-failed" => Input::WorkerStartFailed {
            worker: worker(&words.next("a worker")?)?,
            reason: words.next("a reason")?,
        },
        "exit" => Input::WorkerExited {
            worker: worker(&words.next("a worker")?)?,
            status: match (words.number("code")?, words.number("signal")?) {
                (Some(code), _) => ExitStatus::Code(code),
                (_, Some(signal)) => ExitStatus::Signal(signal),
                _ => ExitStatus::Unknown,
            },
            last_words: words.option("words").map(|text| unquote(&text).to_owned()).unwrap_or_default(),
        },
        "printed" => Input::WorkerPrinted {
            worker: worker(&words.next("a worker")?)?,
            lines: Arc::new(Printed {
                stderr: false,
                lines: words.rest().iter().map(|line| unquote(line).to_owned()).collect(),
                repeated: 0,
            }),
        },
        "memory" => {
            let (total, available) =
                (words.number("total")?.unwrap_or(100), words.number("available")?.unwrap_or(100));
            let mut workers = Vec::new();
            for n in 1..20 {
                workers.extend(words.number(&format!("w{n}"))?.map(|rss| (WorkerId(n), rss)));
            }
            Input::Memory { total, available, workers }
        }
        "spilled" => Input::Spilled {
            object: world.names.object(&words.next("an object")?),
            result: store_result(words)?,
        },
        "restored" => Input::Restored {
            object: world.names.object(&words.next("an object")?),
            result: store_result(words)?,
        },
        "punched" => {
            let at = words.next("arena+offset:size")?;
            let parts: Vec<u64> = at.split(['+', ':']).map(number).collect::<Parsed<_>>()?;
            let [arena, offset, size] = parts[..] else {
                return Err(format!("{at} is not arena+offset:size"));
            };
            Input::Punched { location: Location { arena: arena as u32, offset, size } }
        }
        "sent" => {
            let session = world.names.session(&words.next("a session")?);
            Input::BytesSent { session, object: world.names.object(&words.next("an object")?) }
        }
        _ => return Ok(None),
    }))
}

/// Tasks, actors, pools and groups.
fn task_op(world: &mut World, session: &str, words: &mut Words) -> Parsed<Option<Op>> {
    Ok(Some(match words.verb.as_str() {
        "declare" => {
            let name = words.next("a name")?;
            let key = (world.names.session(session), name.clone());
            let next = world.declarations.len() as u32 + 1;
            let number = *world.declarations.entry(key).or_insert(next);
            Op::Declare { number, declaration: Box::new(declaration(world, name, words)?) }
        }
        "submit" => {
            let task = task(world, words)?;
            let declaration = declared(world, session, words)?;
            let args = args(world, words)?;
            Op::Submit {
                task,
                declaration,
                args,
                parent: words.option("parent").map(|name| world.names.task(&name)),
            }
        }
        "call" => {
            let task = task(world, words)?;
            let actor = world.names.actor(&words.next("an actor")?);
            let declaration = declared(world, session, words)?;
            let args = args(world, words)?;
            Op::Call {
                task,
                actor,
                declaration,
                args,
                parent: words.option("parent").map(|name| world.names.task(&name)),
            }
        }
        "actor" => {
            let actor = world.names.actor(&words.next("an actor")?);
            let declaration = declared(world, session, words)?;
            let args = args(world, words)?;
            let options = actor_options(words)?;
            match options.name.is_empty() {
                true => Op::CreateActor { actor, declaration, args, options: Box::new(options) },
                false => request(world, Request::CreateActor { actor, declaration, args, options }),
            }
        }
        "get-actor" => {
            let (name, namespace) = (words.next("a name")?, words.option("namespace"));
            request(world, Request::GetActor { name, namespace })
        }
        "list-actors" => {
            let all_namespaces = words.flag("all");
            request(world, Request::ListActors { all_namespaces })
        }
        "kill" => {
            let actor = world.names.actor(&words.next("an actor")?);
            Op::Kill { actor, restart: words.flag("restart"), graceful: words.flag("graceful") }
        }
        "cancel" => {
            let id = object(world, words)?;
            Op::Cancel { id, force: words.flag("force"), recursive: words.flag("recursive") }
        }
        "consumed" => Op::Consumed { task: task(world, words)?, count: number(&words.next("a count")?)? },
        "done" => {
            let (task, attempt) = attempt(world, words)?;
            let yielded = words.number("yielded")?.unwrap_or(0);
            let outputs = words.rest().iter().map(|text| output(world, text)).collect::<Parsed<_>>()?;
            Op::Done { task, attempt, outcome: Ok(outputs), yielded }
        }
        "raise" | "fail" => {
            let (task, attempt) = attempt(world, words)?;
            let what = words.next("a type or code")?;
            let failure = match words.verb.as_str() {
                "raise" => Failure {
                    types: vec![what, "Exception".into()],
                    ..Failure::new(Code::TaskFailed, "It raised.")
                },
                _ => Failure::new(code(&what)?, "The worker says so."),
            };
            Op::Done {
                task,
                attempt,
                outcome: Err(Box::new(failure)),
                yielded: words.number("yielded")?.unwrap_or(0),
            }
        }
        "yield" => {
            let (task, attempt) = attempt(world, words)?;
            let index = number(&words.next("an index")?)?;
            let item = output(world, &words.next("an item")?)?;
            Op::Yield { task, attempt, index, item }
        }
        "blocked" => Op::Blocked { task: task(world, words)? },
        "unblocked" => Op::Unblocked { task: task(world, words)? },
        "returned" => {
            Op::Returned { tasks: words.rest().iter().map(|name| world.names.task(name)).collect() }
        }
        "announce" => {
            Op::Announce { functions: words.rest().iter().map(|text| function(text)).collect::<Parsed<_>>()? }
        }
        "actor-exit" => Op::ActorExit { actor: world.names.actor(&words.next("an actor")?), reason: None },
        "pool" => {
            let spec = PoolSpec {
                name: words.next("a name")?,
                command: if words.flag("commandless") { Vec::new() } else { vec!["run".into()] },
                env: words.list("env").into_iter().map(|name| (name, String::new())).collect(),
                prestart: words.number("prestart")?.unwrap_or(0),
                default_for_session: words.flag("default"),
                functions: words.list("functions"),
                interface: words
                    .list("interface")
                    .iter()
                    .map(|text| function(text))
                    .collect::<Parsed<_>>()?,
                ..PoolSpec::default()
            };
            request(world, Request::DeclarePool(spec))
        }
        "group" => {
            let group = world.names.group(&words.next("a group")?);
            let strategy = match words.next("a strategy")?.as_str() {
                "pack" => Strategy::Pack,
                "spread" => Strategy::Spread,
                "strict-pack" => Strategy::StrictPack,
                "strict-spread" => Strategy::StrictSpread,
                other => return Err(format!("there is no strategy {other}")),
            };
            let bundles = words
                .rest()
                .iter()
                .map(|cpus| Ok(Resources::new().with("CPU", units(cpus)?)))
                .collect::<Parsed<_>>()?;
            request(world, Request::CreatePlacementGroup { group, bundles, strategy, name: String::new() })
        }
        "remove-group" => {
            let group = world.names.group(&words.next("a group")?);
            request(world, Request::RemovePlacementGroup { group })
        }
        _ => return Ok(None),
    }))
}

fn object_op(world: &mut World, words: &mut Words) -> Parsed<Option<Op>> {
    Ok(Some(match words.verb.as_str() {
        "put" => {
            let object = object(world, words)?;
            Op::Put { object, value: value(world, &words.next("a value")?)? }
        }
        "create" => {
            let object = object(world, words)?;
            let size = number(&words.next("a size")?)?;
            let task = words.option("of").map(|name| world.names.task(&name));
            let attempt = words.number("attempt")?;
            let running =
                task.map(|task| (task, attempt.or(world.attempts.get(&task).copied()).unwrap_or(1)));
            Op::Create { object, size, task: running }
        }
        "write" => {
            let object = object(world, words)?;
            let offset = number(&words.next("an offset")?)?;
            Op::Write { object, offset, data: Bytes::from(vec![0; number(&words.next("a size")?)?]) }
        }
        "seal" => Op::Seal { object: object(world, words)?, refs: objects(world, &words.rest()) },
        "abort" => Op::Abort { object: object(world, words)? },
        "watch" => Op::Watch { objects: objects(world, &words.rest()) },
        "fetch" => {
            let quiet = words.flag("quiet");
            Op::Fetch { object: object(world, words)?, quiet }
        }
        "release" => Op::Release { objects: objects(world, &words.rest()) },
        "retain" => Op::Refs { retain: objects(world, &words.rest()), drop: Vec::new() },
        "drop" => Op::Refs { retain: Vec::new(), drop: objects(world, &words.rest()) },
        "refs" => {
            let (retain, drop) = (words.list("retain"), words.list("drop"));
            Op::Refs { retain: objects(world, &retain), drop: objects(world, &drop) }
        }
        _ => return Ok(None),
    }))
}

fn request(world: &mut World, request: Request) -> Op {
    world.requests += 1;
    Op::Request { number: world.requests, request: Box::new(request) }
}

fn declaration(world: &mut World, name: String, words: &mut Words) -> Parsed<Declaration> {
    let placement = match words.option("group") {
        None => None,
        Some(text) => {
            let (group, bundle) =
                text.split_once(':').map_or((text.as_str(), None), |(group, bundle)| (group, Some(bundle)));
            Some((world.names.group(group), bundle.map(number).transpose()?))
        }
    };
    Ok(Declaration {
        function: words.option("function").unwrap_or_else(|| name.clone()),
        signature: words.option("signature").unwrap_or_default(),
        code: words.option("code").map(|name| world.names.object(&name)),
        pool: words.option("pool"),
        resources: resources(words, "1")?,
        returns: match words.option("returns").as_deref() {
            Some("stream") => Returns::Stream,
            Some(text) => Returns::Fixed(number(text)?),
            None => Returns::Fixed(1),
        },
        max_retries: Retries::from_wire(words.number("retries")?.unwrap_or(3)),
        retry_exceptions: words.flag("retry-exceptions"),
        retry_types: words.list("retry-types"),
        name,
        stream_window: words.number("window")?.unwrap_or(0),
        accepts: words.list("accepts"),
        deadline: words.option("deadline").map(|text| duration(&text)).transpose()?,
        placement,
        affinity: None,
        spread: words.flag("spread"),
    })
}

fn actor_options(words: &mut Words) -> Parsed<ActorOptions> {
    Ok(ActorOptions {
        name: words.option("name").unwrap_or_default(),
        namespace: words.option("namespace"),
        get_if_exists: words.flag("get-if-exists"),
        detached: words.flag("detached"),
        max_restarts: Retries::from_wire(words.number("restarts")?.unwrap_or(0)),
        max_task_retries: Retries::from_wire(words.number("task-retries")?.unwrap_or(0)),
        max_concurrency: words.number("concurrency")?.unwrap_or(1),
        max_pending_calls: words.number("pending")?,
        asynchronous: words.flag("asynchronous"),
        hold_resources: words.flag("hold"),
        interface: Bytes::new(),
    })
}

/// `cpus=0.5 gpus=1 has=tpu:2`; without any, so many CPUs.
fn resources(words: &mut Words, cpus: &str) -> Parsed<Resources> {
    let mut resources =
        Resources::new().with("CPU", units(&words.option("cpus").unwrap_or_else(|| cpus.into()))?);
    if let Some(gpus) = words.option("gpus") {
        resources.set("GPU", units(&gpus)?);
    }
    for text in words.list("has") {
        let (name, amount) = text.split_once(':').ok_or("has=NAME:AMOUNT")?;
        resources.set(name, units(amount)?);
    }
    Ok(resources)
}

fn units(text: &str) -> Parsed<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let rest = format!("{rest:0<4}");
    Ok(number::<u64>(whole)? * UNITS_PER_WHOLE + number::<u64>(&rest[..4])?)
}

fn duration(text: &str) -> Parsed<Duration> {
    if let Some(number) = text.strip_suffix("ms") {
        return Ok(Duration::from_millis(self::number(number)?));
    }
    if let Some(number) = text.strip_suffix("us") {
        return Ok(Duration::from_micros(self::number(number)?));
    }
    Ok(Duration::from_secs(number(text.strip_suffix('s').ok_or("a duration ends in us, ms or s")?)?))
}

/// `f`, `f(2)`, `f(1..2)`, `f(1..)`; with `!` behind it for a class, and `~S` behind that for the signature `S`.
fn function(text: &str) -> Parsed<Function> {
    let (text, signature) = text.split_once('~').unwrap_or((text, ""));
    let actor = text.ends_with('!');
    let text = text.trim_end_matches('!');
    let (name, arity) = text.strip_suffix(')').and_then(|text| text.split_once('(')).unwrap_or((text, "0.."));
    let (min, max) = match arity.split_once("..") {
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
        None => (number(arity)?, Some(number(arity)?)),
    };
    Ok(Function { name: name.into(), min_args: min, max_args: max, actor, signature: signature.into() })
}

fn args(world: &mut World, words: &mut Words) -> Parsed<Vec<Arg>> {
    words.list("args").iter().map(|text| arg(world, text)).collect()
}

fn arg(world: &mut World, text: &str) -> Parsed<Arg> {
    let is_value = |text: &str| text.starts_with(['"', '[']) || text.contains('(');
    let (keyword, text) = match text.split_once(':') {
        Some((keyword, text)) if !is_value(keyword) => (keyword, text),
        _ => ("", text),
    };
    let value = if is_value(text) {
        ArgValue::Value(value(world, text)?)
    } else {
        ArgValue::Ref(world.names.object(text))
    };
    Ok(Arg { keyword: Bytes::copy_from_slice(keyword.as_bytes()), value })
}

fn output(world: &mut World, text: &str) -> Parsed<Output> {
    if text == "stored" { Ok(Output::Stored) } else { value(world, text).map(Output::Value) }
}

fn value(world: &mut World, text: &str) -> Parsed<Value> {
    if text == "nil" {
        return Ok(Value::nil());
    }
    if let Some(refs) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return Ok(Value::default().with_refs(objects(world, &split(refs, ' '))));
    }
    if let Some(size) = text.strip_prefix("bytes(").and_then(|text| text.strip_suffix(')')) {
        return Ok(Value::raw(vec![0; number(size)?]));
    }
    if let Some(schema) = text.strip_prefix("private(").and_then(|text| text.strip_suffix(')')) {
        return Ok(Value::new(Format::Private, Bytes::new()).with_schema(schema.to_owned()));
    }
    let is_text = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    is_text.then(|| Value::raw(unquote(text).to_owned())).ok_or_else(|| format!("{text} is no value"))
}

fn unquote(text: &str) -> &str {
    text.trim_matches('"')
}

fn objects(world: &mut World, names: &[String]) -> Vec<ObjectId> {
    names.iter().map(|name| world.names.object(name)).collect()
}

fn object(world: &mut World, words: &mut Words) -> Parsed<ObjectId> {
    Ok(world.names.object(&words.next("an object")?))
}

fn task(world: &mut World, words: &mut Words) -> Parsed<TaskId> {
    object(world, words).map(|object| TaskId(object.0))
}

/// The task, and the attempt that is given or that was sent last.
fn attempt(world: &mut World, words: &mut Words) -> Parsed<(TaskId, u32)> {
    let task = task(world, words)?;
    let attempt = words.number("attempt")?.or(world.attempts.get(&task).copied());
    Ok((task, attempt.unwrap_or(1)))
}

fn declared(world: &mut World, session: &str, words: &mut Words) -> Parsed<u32> {
    let name = words.next("a declaration")?;
    let key = (world.names.session(session), name);
    // A number that was never declared is something to test as well.
    Ok(world.declarations.get(&key).copied().unwrap_or(9999))
}

fn worker(name: &str) -> Parsed<WorkerId> {
    name.strip_prefix('w').ok_or_else(|| format!("{name} is no worker")).and_then(number).map(WorkerId)
}

fn store_result(words: &mut Words) -> Parsed<Result<(), StoreError>> {
    Ok(match words.next("a result")?.as_str() {
        "ok" => Ok(()),
        "full" => Err(StoreError::OutOfDisk("ENOSPC".into())),
        "damaged" => Err(StoreError::Damaged("bad checksum".into())),
        "broken" => Err(StoreError::Io("EIO".into())),
        other => return Err(format!("there is no result {other}")),
    })
}

fn code(name: &str) -> Parsed<Code> {
    (0..200)
        .filter_map(Code::from_number)
        .find(|code| code.name() == name)
        .ok_or_else(|| format!("there is no code {name}"))
}

fn number<T: std::str::FromStr>(text: &str) -> Parsed<T> {
    text.parse().map_err(|_| format!("{text} is no number"))
}
