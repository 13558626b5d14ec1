//! Carries out the commands of the suite, one line after the other.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Duration;

use futures_util::future::try_join_all;
use serde_json::{Value as Json, json};
use thornback::{
    ActorHandle, Args, CancelOptions, Class, Client, Code, ConnectOptions, Error, KillOptions, Method, Ref,
    RefStream, Returns, Task,
};

use crate::value::{Any, Names};

const FEATURES: &[&str] = &[
    "actors",
    "bigint",
    "busy",
    "concurrent",
    "floats",
    "grpc",
    "handles",
    "interrupt",
    "local_unserializable",
    "nested",
    "resume",
    "returns",
    "streams",
    "timestamp",
    "uuid",
];

/// Why a command has no result.
enum Trouble {
    Failure(Error),
    Unsupported(&'static str),
    Crash(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Failure(error)
    }
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Trouble::Crash(text)
    }
}

impl From<&str> for Trouble {
    fn from(text: &str) -> Self {
        Trouble::Crash(text.to_owned())
    }
}

enum Thing {
    Object(Ref<Any>),
    Stream(RefStream<Any>),
    Actor(ActorHandle),
}

#[derive(Default)]
struct Driver {
    client: Option<Client>,
    things: HashMap<String, Thing>,
    found: u64,
}

impl Names for Driver {
    fn object(&self, name: &str) -> Result<Ref<Any>, String> {
        match self.things.get(name) {
            Some(Thing::Object(object)) => Ok(object.clone()),
            _ => Err(format!("no ref is called {name}")),
        }
    }

    fn actor(&self, name: &str) -> Result<ActorHandle, String> {
        match self.things.get(name) {
            Some(Thing::Actor(actor)) => Ok(actor.clone()),
            _ => Err(format!("no actor is called {name}")),
        }
    }

    fn found_object(&mut self, object: Ref<Any>) -> String {
        self.find(Thing::Object(object))
    }

    fn found_actor(&mut self, actor: ActorHandle) -> String {
        self.find(Thing::Actor(actor))
    }
}

pub async fn drive() {
    let mut driver = Driver::default();
    let mut out = std::io::stdout();
    // Nothing else happens while a line is awaited, so that it blocks its thread is no harm.
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let Ok(command) = serde_json::from_str::<Json>(&line) else { return };
        let mut answer = match driver.carry_out(&command).await {
            Ok(result) => json!({"result": result}),
            Err(Trouble::Failure(error)) => json!({"failure": failure(&error)}),
            Err(Trouble::Unsupported(feature)) => json!({"unsupported": feature}),
            Err(Trouble::Crash(text)) => json!({"crash": text}),
        };
        answer["id"] = command["id"].clone();
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

fn failure(error: &Error) -> Json {
    json!({
        "code": error.code_number(),
        "message": error.message(),
        "types": error.types(),
        "language": error.language(),
        "stack": error.stack(),
        "cause": error.cause().map(failure),
        // Rust has no such errors of its own; what there is to ask is the code.
        "timeout": error.is(Code::GetTimeout) || error.is(Code::DeadlineExceeded),
        "cancelled": error.is(Code::Cancelled),
    })
}

fn text<'c>(command: &'c Json, key: &str) -> Result<&'c str, String> {
    command[key].as_str().ok_or_else(|| format!("{key} is missing"))
}

fn names(command: &Json, key: &str) -> Vec<String> {
    command[key].as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

fn timeout(command: &Json) -> Option<Duration> {
    command["timeout_ms"].as_u64().map(Duration::from_millis)
}

fn flag(command: &Json, key: &str) -> bool {
    command[key].as_bool().unwrap_or(false)
}

/// Sets the options that a task, a class or a method has in common with others.
macro_rules! set {
    ($on:ident, $options:expr, $($key:literal: $read:ident => $method:ident),*) => {
        $(if let Some(value) = $options[$key].$read() {
            $on = $on.$method(value as _);
        })*
    };
}

macro_rules! call_options {
    ($on:ident, $options:expr) => {
        set!($on, $options, "max_retries": as_i64 => max_retries, "stream_window": as_u64 => stream_window);
        if flag($options, "retry_exceptions") {
            $on = $on.retry_exceptions();
        }
        if let Some(ms) = $options["deadline_ms"].as_u64() {
            $on = $on.deadline(Duration::from_millis(ms));
        }
    };
}

macro_rules! resources {
    ($on:ident, $options:expr) => {
        for (name, amount) in $options["resources"].as_object().into_iter().flatten() {
            let amount = amount.as_f64().unwrap_or(0.0);
            $on = if name == "CPU" { $on.num_cpus(amount) } else { $on.resource(name, amount) };
        }
    };
}

impl Driver {
    async fn carry_out(&mut self, command: &Json) -> Result<Json, Trouble> {
        match text(command, "do")? {
            "hello" => {
                let sdk = format!("thornback-rust/{}", env!("CARGO_PKG_VERSION"));
                return Ok(json!({"protocol": 1, "language": "rust", "sdk": sdk, "features": FEATURES}));
            }
            "open" => self.open(command).await?,
            "close" => {
                self.things.clear();
                if let Some(client) = self.client.take() {
                    client.close().await;
                }
            }
            "reset" => self.things.clear(),
            "drop" => names(command, "names").iter().for_each(|name| drop(self.things.remove(name))),
            "put" => {
                let client = self.client()?.clone();
                let object = match Any::read(&command["value"], self)? {
                    Any::Bytes(bytes) => client.put(bytes).cast(),
                    other => client.put(other),
                };
                self.bind(command, Thing::Object(object))?;
            }
            "call" => self.call(command).await?,
            "create" => self.create(command).await?,
            "invoke" => self.invoke(command)?,
            "find" => {
                let actor =
                    self.client()?.actor(text(command, "name")?, command["namespace"].as_str()).await?;
                self.bind(command, Thing::Actor(actor))?;
            }
            "get" => return self.get(command).await,
            "wait" => return self.wait(command).await,
            "next" => return self.next(command).await,
            "cancel" => {
                let options =
                    CancelOptions { force: flag(command, "force"), recursive: flag(command, "recursive") };
                match self.things.get(text(command, "ref")?) {
                    Some(Thing::Object(object)) => object.cancel_with(options),
                    Some(Thing::Stream(stream)) => stream.cancel_with(options),
                    _ => return Err("no such ref".into()),
                }
            }
            "kill" => {
                let options =
                    KillOptions { restart: flag(command, "restart"), graceful: flag(command, "graceful") };
                self.actor(text(command, "actor")?)?.kill_with(options);
            }
            other => return Err(format!("there is no command {other}").into()),
        }
        Ok(json!({}))
    }

    fn client(&self) -> Result<&Client, String> {
        self.client.as_ref().ok_or_else(|| "no session is open".to_owned())
    }

    fn find(&mut self, thing: Thing) -> String {
        self.found += 1;
        let name = format!("found{}", self.found);
        self.things.insert(name.clone(), thing);
        name
    }

    fn bind(&mut self, command: &Json, thing: Thing) -> Result<(), String> {
        self.things.insert(text(command, "as")?.to_owned(), thing);
        Ok(())
    }

    async fn open(&mut self, command: &Json) -> Result<(), Trouble> {
        let mut options = ConnectOptions::new();
        if let Some(path) = command["token_file"].as_str() {
            options = options.token_file(path);
        }
        if let Some(namespace) = command["namespace"].as_str() {
            options = options.namespace(namespace);
        }
        self.client = Some(options.connect(text(command, "address")?).await?);
        Ok(())
    }

    fn args<'c>(&self, client: &'c Client, command: &Json) -> Result<Args<'c>, Trouble> {
        if command["keywords"].as_object().is_some_and(|keywords| !keywords.is_empty()) {
            return Err(Trouble::Unsupported("keywords"));
        }
        let mut args = Args::new(client);
        for arg in command["args"].as_array().into_iter().flatten() {
            args = match Any::read(arg, self)? {
                Any::Ref(object) => args.arg_ref(&object),
                Any::Bytes(bytes) => args.arg(bytes),
                other => args.arg(other),
            };
        }
        Ok(args)
    }

    async fn call(&mut self, command: &Json) -> Result<(), Trouble> {
        fn submit<R: Returns>(command: &Json, args: Args<'_>) -> Result<R, String> {
            let mut task: Task<(), R> = Task::with_name(text(command, "function")?);
            if let Some(pool) = command["pool"].as_str() {
                task = task.pool(pool);
            }
            call_options!(task, &command["options"]);
            resources!(task, &command["options"]);
            Ok(task.submit_args(args))
        }
        let client = self.client()?.clone();
        let args = self.args(&client, command)?;
        match &command["options"]["returns"] {
            Json::String(_) => self.bind(command, Thing::Stream(submit(command, args)?))?,
            returns => match returns.as_u64() {
                Some(0) => submit::<()>(command, args)?,
                Some(2) => {
                    let (a, b) = submit(command, args)?;
                    self.bind_all(command, [a, b]);
                }
                Some(3) => {
                    let (a, b, c) = submit(command, args)?;
                    self.bind_all(command, [a, b, c]);
                }
                None | Some(1) => {
                    let object: Ref<Any> = submit(command, args)?;
                    refused_here(&object).await?;
                    self.bind(command, Thing::Object(object))?;
                }
                Some(_) => return Err("more results than this testee has types for".into()),
            },
        }
        Ok(())
    }

    fn bind_all<const N: usize>(&mut self, command: &Json, objects: [Ref<Any>; N]) {
        for (name, object) in names(command, "as").into_iter().zip(objects) {
            self.things.insert(name, Thing::Object(object));
        }
    }

    async fn create(&mut self, command: &Json) -> Result<(), Trouble> {
        let client = self.client()?.clone();
        let args = self.args(&client, command)?;
        let options = &command["options"];
        let mut class: Class<(), ActorHandle> = Class::with_name(text(command, "class")?);
        if let Some(pool) = command["pool"].as_str() {
            class = class.pool(pool);
        }
        resources!(class, options);
        set!(class, options,
            "max_restarts": as_i64 => max_restarts, "max_task_retries": as_i64 => max_task_retries,
            "max_concurrency": as_u64 => max_concurrency, "max_pending_calls": as_u64 => max_pending_calls);
        if let Some(namespace) = options["namespace"].as_str() {
            class = class.namespace(namespace);
        }
        if flag(options, "get_if_exists") {
            class = class.get_if_exists();
        }
        if flag(options, "detached") {
            class = class.detached();
        }
        let actor = match options["name"].as_str() {
            Some(name) => class.create_named_args(name, args).await?,
            None => class.create_args(args),
        };
        Ok(self.bind(command, Thing::Actor(actor))?)
    }

    fn invoke(&mut self, command: &Json) -> Result<(), Trouble> {
        fn call<R: Returns>(command: &Json, actor: &ActorHandle, args: Args<'_>) -> Result<R, String> {
            let mut method: Method<(), R> = Method::with_name(text(command, "method")?);
            call_options!(method, &command["options"]);
            Ok(method.call_args(actor, args))
        }
        let actor = self.actor(text(command, "actor")?)?;
        let client = actor.client();
        let args = self.args(&client, command)?;
        match &command["options"]["returns"] {
            Json::String(_) => self.bind(command, Thing::Stream(call(command, &actor, args)?))?,
            returns if returns.as_u64() == Some(0) => call::<()>(command, &actor, args)?,
            _ => self.bind(command, Thing::Object(call(command, &actor, args)?))?,
        }
        Ok(())
    }

    async fn get(&mut self, command: &Json) -> Result<Json, Trouble> {
        let mut gets = Vec::new();
        for name in names(command, "refs") {
            let get = self.object(&name)?.get();
            gets.push(match timeout(command) {
                Some(after) => get.timeout(after),
                None => get,
            });
        }
        let values = try_join_all(gets).await?;
        let values: Vec<Json> = values.into_iter().map(|value| value.tell(self)).collect();
        Ok(json!({"values": values}))
    }

    async fn wait(&mut self, command: &Json) -> Result<Json, Trouble> {
        let given = names(command, "refs");
        let objects: Vec<Ref<Any>> = given.iter().map(|name| self.object(name)).collect::<Result<_, _>>()?;
        let name_of = |object: &Ref<Any>| {
            let at = objects.iter().position(|other| other.id() == object.id());
            at.map_or("?", |at| given[at].as_str())
        };
        let count = usize::try_from(command["count"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
        let mut wait = thornback::wait(objects.iter().cloned(), count);
        if let Some(after) = timeout(command) {
            wait = wait.timeout(after);
        }
        let waited = wait.await?;
        let names = |refs: &[Ref<Any>]| refs.iter().map(name_of).collect::<Vec<_>>();
        Ok(json!({"ready": names(&waited.ready), "pending": names(&waited.pending)}))
    }

    async fn next(&mut self, command: &Json) -> Result<Json, Trouble> {
        let Some(Thing::Stream(stream)) = self.things.get_mut(text(command, "stream")?) else {
            return Err("no such stream".into());
        };
        let next = match timeout(command) {
            // The SDK leaves time limits on streams to the executor's own.
            Some(after) => tokio::time::timeout(after, stream.next_ref())
                .await
                .map_err(|_| Error::new(Code::GetTimeout, "no further item came in time"))?,
            None => stream.next_ref().await,
        };
        match next {
            Some(object) => {
                let object = object?;
                self.bind(command, Thing::Object(object))?;
                Ok(json!({"item": true}))
            }
            None => Ok(json!({"item": false})),
        }
    }
}

/// A call that the SDK refuses gives a ref that has failed already, before anything was sent.
async fn refused_here(object: &Ref<Any>) -> Result<(), Error> {
    if object.is_ready()
        && let Err(error) = object.get().await
        && error.is(Code::Unserializable)
    {
        return Err(error);
    }
    Ok(())
}
