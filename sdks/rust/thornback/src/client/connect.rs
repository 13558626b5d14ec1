//! Opening a driver's session.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thornback_wire::v1;

use super::Client;
use super::local::LocalStart;
use crate::error::LANGUAGE;
use crate::link::{Address, Listener, Opening, open};
use crate::{Error, Result};

/// The node to open a session with.
pub(crate) enum Where {
    At(Address),
    Local(LocalStart),
}

/// What to say when a session is opened.
///
/// ```no_run
/// # async fn example() -> thornback::Result<()> {
/// use thornback::ConnectOptions;
///
/// let client = ConnectOptions::new().namespace("reports").job_name("nightly").num_cpus(4.0).local().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until `connect` or `local`"]
pub struct ConnectOptions {
    namespace: String,
    job_name: String,
    token: Option<String>,
    token_file: Option<PathBuf>,
    logs: bool,
    on_notice: Arc<dyn Fn(&Error) + Send + Sync>,
    local: LocalStart,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions::new()
    }
}

impl ConnectOptions {
    /// The defaults.
    pub fn new() -> ConnectOptions {
        ConnectOptions {
            namespace: String::new(),
            job_name: String::new(),
            token: None,
            token_file: None,
            logs: true,
            on_notice: Arc::new(|notice| eprintln!("thornback: {notice}")),
            local: LocalStart::default(),
        }
    }

    /// Where named actors are made and looked up. By default the server chooses.
    pub fn namespace(mut self, namespace: impl Into<String>) -> ConnectOptions {
        self.namespace = namespace.into();
        self
    }

    /// What people see for this program's work. Defaults to the program's name.
    pub fn job_name(mut self, name: impl Into<String>) -> ConnectOptions {
        self.job_name = name.into();
        self
    }

    /// The token to show to a node that is not reached by its Unix socket.
    pub fn token(mut self, token: impl Into<String>) -> ConnectOptions {
        self.token = Some(token.into());
        self
    }

    /// The file with the token. Without this and [`ConnectOptions::token`], `THORNBACK_TOKEN_FILE` names it.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> ConnectOptions {
        self.token_file = Some(path.into());
        self
    }

    /// Whether lines that workers print are printed here, on standard error. The default is yes.
    pub fn logs(mut self, wanted: bool) -> ConnectOptions {
        self.logs = wanted;
        self
    }

    /// What to do with warnings of the node, such as a task that no node has the resources for. By default they are printed on standard error.
    ///
    /// It is called on the session's thread and must not wait.
    pub fn on_notice(mut self, handle: impl Fn(&Error) + Send + Sync + 'static) -> ConnectOptions {
        self.on_notice = Arc::new(handle);
        self
    }

    /// CPUs of the node that [`ConnectOptions::local`] starts. By default those of the machine.
    pub fn num_cpus(mut self, cpus: f64) -> ConnectOptions {
        self.local.flag("--num-cpus", cpus);
        self
    }

    /// GPUs of the node that [`ConnectOptions::local`] starts.
    pub fn num_gpus(mut self, gpus: f64) -> ConnectOptions {
        self.local.flag("--num-gpus", gpus);
        self
    }

    /// Bytes of shared memory for objects in the node that [`ConnectOptions::local`] starts. By default 30 % of the machine's memory.
    pub fn object_store_bytes(mut self, bytes: u64) -> ConnectOptions {
        self.local.flag("--store-bytes", bytes);
        self
    }

    /// Another argument for the server that [`ConnectOptions::local`] starts; see `thornback dev --help`.
    pub fn server_arg(mut self, arg: impl Into<String>) -> ConnectOptions {
        self.local.args.push(arg.into());
        self
    }

    /// The server program that [`ConnectOptions::local`] starts.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> ConnectOptions {
        self.local.binary = Some(path.into());
        self
    }

    /// Connects to the node at an address; see [`Client::connect`].
    ///
    /// # Errors
    /// If no node answers there, or it refuses the session.
    pub async fn connect(self, address: &str) -> Result<Client> {
        let address: Address = address.parse()?;
        let token = match (&self.token, &address) {
            (Some(token), _) => token.clone(),
            // The socket's peer is checked by its credentials.
            (None, Address::Unix(_)) if self.token_file.is_none() => String::new(),
            (None, _) => read_token(self.token_file.as_deref())?,
        };
        self.open(Where::At(address), token).await
    }

    /// Connects to the node that `THORNBACK_ADDRESS` names.
    ///
    /// # Errors
    /// If it is not set; otherwise as for [`ConnectOptions::connect`].
    pub async fn connect_from_env(self) -> Result<Client> {
        let address = env_address()?;
        self.connect(&address).await
    }

    /// Starts a node and connects to it; see [`Client::local`].
    ///
    /// # Errors
    /// If the server is not found or does not start.
    pub async fn local(self) -> Result<Client> {
        let start = self.local.clone();
        self.open(Where::Local(start), String::new()).await
    }

    async fn open(self, at: Where, token: String) -> Result<Client> {
        let program = std::env::args_os()
            .next()
            .and_then(|path| Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned()));
        let hello = v1::Hello {
            role: v1::Role::Driver.into(),
            namespace: self.namespace,
            job_name: if self.job_name.is_empty() { program.unwrap_or_default() } else { self.job_name },
            want_logs: self.logs,
            ..hello()
        };
        let listener = Box::new(Terminal { on_notice: self.on_notice });
        let link = open(Opening { at, token, hello, inbox: None, listener }).await?;
        Ok(Client { link, scope: None })
    }
}

/// What drivers and workers say alike.
pub(crate) fn hello() -> v1::Hello {
    v1::Hello {
        language: LANGUAGE.into(),
        sdk: concat!("thornback-rust/", env!("CARGO_PKG_VERSION")).into(),
        pid: std::process::id().into(),
        ..v1::Hello::default()
    }
}

pub(crate) fn env_address() -> Result<String> {
    std::env::var("THORNBACK_ADDRESS").map_err(|_| {
        Error::invalid(
            "THORNBACK_ADDRESS is not set, so no node is known; set it, or name one with `connect`",
        )
    })
}

/// Reads the token from a file, or from the one that the environment names. None at all is no token.
pub(crate) fn read_token(file: Option<&Path>) -> Result<String> {
    let from_env = || std::env::var_os("THORNBACK_TOKEN_FILE").map(PathBuf::from);
    let Some(path) = file.map(Path::to_path_buf).or_else(from_env) else { return Ok(String::new()) };
    let token = std::fs::read_to_string(&path).map_err(|error| {
        Error::invalid(format!("the token file {} cannot be read: {error}", path.display()))
    })?;
    Ok(token.trim().to_string())
}

/// Prints what workers print, with where it comes from.
struct Terminal {
    on_notice: Arc<dyn Fn(&Error) + Send + Sync>,
}

impl Listener for Terminal {
    fn log(&mut self, log: v1::Log) {
        use std::fmt::Write;
        let mut text = String::new();
        for line in &log.lines {
            // Writing to a string does not fail.
            let _ = writeln!(text, "({}) {line}", log.source);
        }
        if log.repeated_count > 0 {
            let _ = writeln!(text, "({}) [repeated {}x across workers]", log.source, log.repeated_count);
        }
        eprint!("{text}");
    }

    fn notice(&mut self, notice: Error) {
        (self.on_notice)(&notice);
    }
}
