//! Pools: workers that serve the same functions, and how to start them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use thornback_wire::v1;

use super::Client;
use crate::error::LANGUAGE;
use crate::interface::Served;
use crate::worker::{Serve, ServeActor};
use crate::{Code, Error, Result};

/// Workers that serve the same functions, and the command that starts one.
///
/// ```no_run
/// # async fn example(client: thornback::Client) -> thornback::Result<()> {
/// use thornback::Pool;
///
/// client.declare_pool(Pool::new("images").command(["/opt/images/worker", "--fast"]).function("images.resize")).await?;
/// # Ok(()) }
/// ```
///
/// A program that is driver and worker at once declares itself with [`Pool::this_program`]; see [`Worker::is_launched`](crate::Worker::is_launched).
#[derive(Debug, Clone)]
#[must_use = "a pool does nothing until it is declared"]
pub struct Pool {
    name: String,
    language: String,
    command: Result<Vec<String>>,
    env: BTreeMap<String, String>,
    working_dir: Option<PathBuf>,
    prestart: u32,
    functions: Vec<String>,
    interface: Vec<v1::Function>,
}

impl Pool {
    /// A pool without a command: its workers are started by somebody else.
    pub fn new(name: impl Into<String>) -> Pool {
        Pool {
            name: name.into(),
            language: LANGUAGE.into(),
            command: Ok(Vec::new()),
            env: BTreeMap::new(),
            working_dir: None,
            prestart: 0,
            functions: Vec::new(),
            interface: Vec::new(),
        }
    }

    /// A pool whose workers run the program that is running now.
    pub fn this_program(name: impl Into<String>) -> Pool {
        let command =
            std::env::current_exe().map(|path| vec![path.to_string_lossy().into_owned()]).map_err(|error| {
                Error::new(Code::Internal, format!("the path of this program is not known: {error}"))
            });
        Pool { command, ..Pool::new(name) }
    }

    /// Program and arguments that start one worker.
    pub fn command(mut self, command: impl IntoIterator<Item = impl Into<String>>) -> Pool {
        self.command = Ok(command.into_iter().map(Into::into).collect());
        self
    }

    /// A variable in the environment of its workers.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Pool {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The directory that its workers start in. By default that of this program.
    pub fn working_dir(mut self, path: impl Into<PathBuf>) -> Pool {
        self.working_dir = Some(path.into());
        self
    }

    /// The language of its workers, for people. The default is `"rust"`.
    pub fn language(mut self, language: impl Into<String>) -> Pool {
        self.language = language.into();
        self
    }

    /// Workers to start ahead of time.
    pub fn prestart(mut self, workers: u32) -> Pool {
        self.prestart = workers;
        self
    }

    /// A function or class that it serves, so that it can be called before a worker runs.
    pub fn function(mut self, name: impl Into<String>) -> Pool {
        self.functions.push(name.into());
        self
    }

    /// What its workers have to serve: the `INTERFACE` of a module that `thornback gen` made. A worker that does not, or has it with another signature, is
    /// refused when it comes, and calls fail with [`Code::SignatureMismatch`].
    pub fn interface(mut self, served: &[Served]) -> Pool {
        self.interface.extend(served.iter().map(|served| served.to_wire()));
        self
    }

    /// [`Pool::function`] for a function of this program: `Pool::new("rust").serves::<add>()`.
    pub fn serves<F: Serve>(self) -> Pool {
        self.function(F::NAME)
    }

    /// [`Pool::function`] for an actor of this program.
    pub fn serves_actor<A: ServeActor>(self) -> Pool {
        self.function(A::NAME)
    }
}

impl Client {
    /// Tells the node of a pool. Declaring one of the same name again replaces it for workers that are started from then on.
    ///
    /// # Errors
    /// If the node does not take it.
    pub async fn declare_pool(&self, pool: Pool) -> Result<()> {
        let working_dir = match pool.working_dir {
            Some(path) => path,
            None => std::env::current_dir().map_err(|error| {
                Error::new(Code::Internal, format!("the working directory is not known: {error}"))
            })?,
        };
        let declare = v1::DeclarePool {
            name: pool.name,
            language: pool.language,
            command: pool.command?,
            env: pool.env,
            working_dir: working_dir.to_string_lossy().into_owned(),
            template: false,
            prestart: pool.prestart,
            default_for_session: false,
            functions: pool.functions,
            interface: pool.interface,
        };
        self.request_done(v1::request::Request::DeclarePool(Box::new(declare))).await
    }
}
