//! The worker's side of a session: what it serves, and running it.

mod actor;
mod call;
mod context;
mod executor;
mod inbox;
mod invocation;
mod panic;
mod run;
mod stream;

use std::sync::Arc;

use thornback_wire::v1;

use crate::client::{Client, Where};
use crate::link::{Listener, Opening, open};
use crate::{Error, Result};

pub use actor::{ClassDefinition, MethodDefinition, build, call_mut, call_shared};
pub(crate) use call::Call;
pub use context::Context;
pub(crate) use inbox::Inbox;
pub use invocation::{Invocation, Running, many, one, user_error};
pub(crate) use run::Run;
pub use stream::{Sink, drive};

use executor::Executor;
use inbox::Registry;

/// A function that a worker can serve. The [`task`](macro@crate::task) attribute implements it.
pub trait Serve {
    /// The name under which it is called.
    const NAME: &'static str;

    #[doc(hidden)]
    fn definition() -> Definition;
}

/// A type whose values a worker can serve as actors. The [`actor`](macro@crate::actor) attribute implements it.
pub trait ServeActor {
    /// The name under which it is created.
    const NAME: &'static str;

    #[doc(hidden)]
    fn definition() -> ClassDefinition;
}

/// What the attribute tells of a function.
#[derive(Clone)]
pub struct Definition {
    /// The name under which it is called.
    pub name: &'static str,
    /// How many arguments it takes.
    pub args: u32,
    /// Its canonical text; empty where no interface says it.
    pub signature: &'static str,
    /// Decodes the arguments and runs it.
    pub run: fn(Invocation) -> Running,
}

/// A worker: registers what it serves, then serves it until its node is gone.
///
/// ```no_run
/// use thornback::{Result, Worker};
///
/// #[thornback::task]
/// async fn add(a: i64, b: i64) -> i64 {
///     a + b
/// }
///
/// #[tokio::main]
/// async fn main() -> Result<()> {
///     Worker::new().register::<add>().serve().await
/// }
/// ```
///
/// It finds its node through the environment that the node starts it with (`THORNBACK_ADDRESS`, `THORNBACK_POOL`, `THORNBACK_LAUNCH`,
/// `THORNBACK_TOKEN_FILE`).
#[must_use = "a worker does nothing until `serve`"]
pub struct Worker {
    registry: Registry,
    pool: Option<String>,
    address: Option<String>,
}

impl Default for Worker {
    fn default() -> Worker {
        Worker::new()
    }
}

impl Worker {
    /// A worker that serves nothing yet.
    pub fn new() -> Worker {
        Worker { registry: Registry::default(), pool: None, address: None }
    }

    /// Whether this process was started by a node, to serve. For programs that are driver and worker at once:
    ///
    /// ```no_run
    /// # use thornback::{Client, Pool, Result, Worker};
    /// # #[thornback::task] async fn add(a: i64, b: i64) -> i64 { a + b }
    /// #[tokio::main]
    /// async fn main() -> Result<()> {
    ///     if Worker::is_launched() {
    ///         return Worker::new().register::<add>().serve().await;
    ///     }
    ///     let client = Client::local().await?;
    ///     client.declare_pool(Pool::this_program("demo").serves::<add>()).await?;
    ///     println!("{}", add::submit(&client, 1, 2).await?);
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn is_launched() -> bool {
        std::env::var_os("THORNBACK_LAUNCH").is_some()
    }

    /// Serves a function.
    pub fn register<F: Serve>(mut self) -> Worker {
        self.registry.add_function(F::definition());
        self
    }

    /// Serves what generated code defines.
    #[doc(hidden)]
    pub fn define(mut self, definition: Definition) -> Worker {
        self.registry.add_function(definition);
        self
    }

    /// The same of a class.
    #[doc(hidden)]
    pub fn define_actor(mut self, definition: ClassDefinition) -> Worker {
        self.registry.add_class(definition);
        self
    }

    /// Serves actors of a type.
    pub fn register_actor<A: ServeActor>(mut self) -> Worker {
        self.registry.add_class(A::definition());
        self
    }

    /// The pool that it belongs to, where its environment does not say. The default is `"rust"`.
    pub fn pool(mut self, name: impl Into<String>) -> Worker {
        self.pool = Some(name.into());
        self
    }

    /// The node to dial, where its environment does not say: for workers that no node starts.
    pub fn address(mut self, address: impl Into<String>) -> Worker {
        self.address = Some(address.into());
        self
    }

    /// Serves until the session ends: the node stops, does not need this worker any more, or is gone. Then the process should end too.
    ///
    /// Asynchronous functions run on the caller's executor, one at a time; a panic in one fails that task alone. Functions that are not asynchronous, and
    /// those that compute for long, keep only this future's thread busy: the session has a thread of its own.
    ///
    /// # Errors
    /// If no node answers, or it refuses the worker.
    pub async fn serve(self) -> Result<()> {
        let address = match std::env::var("THORNBACK_ADDRESS") {
            Ok(address) => address,
            Err(_) => self.address.map_or_else(crate::client::env_address, Ok)?,
        };
        let launch = std::env::var("THORNBACK_LAUNCH").ok();
        let launch = launch
            .map(|text| {
                text.parse()
                    .map_err(|_| Error::invalid(format!("THORNBACK_LAUNCH is {text:?}, which is no number")))
            })
            .transpose()?;
        let pool = std::env::var("THORNBACK_POOL").ok().or(self.pool).unwrap_or_else(|| "rust".into());
        let hello = v1::Hello {
            role: v1::Role::Worker.into(),
            launch: launch.unwrap_or(0),
            pool,
            functions: self.registry.announce(),
            ..crate::client::hello()
        };
        panic::install_hook();
        let inbox = Arc::new(Inbox::new(self.registry));
        let token = crate::client::read_token(None)?;
        let at = Where::At(address.parse()?);
        let link =
            open(Opening { at, token, hello, inbox: Some(inbox.clone()), listener: Box::new(Quiet) }).await?;
        Executor::new(inbox, Client { link, scope: None }).run().await;
        Ok(())
    }
}

/// A worker's own output is what its node reads.
struct Quiet;

impl Listener for Quiet {
    fn log(&mut self, _: v1::Log) {}

    fn notice(&mut self, notice: Error) {
        eprintln!("thornback: {notice}");
    }
}
