//! A node for one program: started, found, and gone with it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::link::Address;
use crate::{Code, Error, Result};

/// How to start it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LocalStart {
    pub(super) binary: Option<PathBuf>,
    /// The last value of each flag counts.
    pub(super) flags: BTreeMap<&'static str, String>,
    pub(super) args: Vec<String>,
}

/// A server process. It ends when its standard input does, so it cannot outlive this program.
pub(crate) struct LocalServer {
    child: Child,
    stdin: Option<ChildStdin>,
}

/// Between looks at the file in which the server tells where it listens.
const POLL: Duration = Duration::from_millis(2);

/// How long a server may take to listen, on a machine that is busy with other things.
const START_TIMEOUT: Duration = Duration::from_secs(30);

impl LocalStart {
    pub(super) fn flag(&mut self, flag: &'static str, value: impl Display) {
        self.flags.insert(flag, value.to_string());
    }

    /// Starts a server and waits until it listens.
    pub(crate) async fn start(&self) -> Result<(LocalServer, Address)> {
        let binary = self
            .binary
            .clone()
            .or_else(|| std::env::var_os("THORNBACK_BINARY").map(PathBuf::from))
            .unwrap_or_else(|| "thornback".into());
        let ports = PortsFile::new()?;
        let mut child = Command::new(&binary)
            .arg("dev")
            .arg("--ports-file")
            .arg(&ports.path)
            .arg("--exit-with-stdin")
            .args(self.flags.iter().flat_map(|(flag, value)| [*flag, value]))
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| {
                let path = binary.display();
                Error::new(Code::ConnectionLost, format!("the server {path} cannot be started ({error}); put `thornback` on PATH, or name it in THORNBACK_BINARY"))
            })?;
        let stdin = child.stdin.take();
        let mut server = LocalServer { child, stdin };
        let begun = Instant::now();
        loop {
            if let Some(address) = ports.read()? {
                return Ok((server, address));
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(Error::new(
                    Code::ConnectionLost,
                    format!(
                        "the server {} ended before it listened ({status}); its last words are on standard error",
                        binary.display()
                    ),
                ));
            }
            if begun.elapsed() > START_TIMEOUT {
                return Err(Error::new(
                    Code::ConnectionLost,
                    format!(
                        "the server {} did not listen within {} s",
                        binary.display(),
                        START_TIMEOUT.as_secs()
                    ),
                ));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl LocalServer {
    /// Ends the server and waits until it, and with it its workers, are gone.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("thornback: cannot wait for the server to end: {error}");
        }
    }
}

/// A file in a directory of its own, gone with this.
struct PortsFile {
    directory: PathBuf,
    path: PathBuf,
}

impl PortsFile {
    fn new() -> Result<PortsFile> {
        use std::os::unix::fs::DirBuilderExt;
        let name: String = crate::link::salt()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let directory = std::env::temp_dir().join(format!("thornback-ports-{name}"));
        std::fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|error| {
            Error::new(Code::Internal, format!("{} cannot be made: {error}", directory.display()))
        })?;
        Ok(PortsFile { path: directory.join("ports.json"), directory })
    }

    /// The Unix socket's address, once it is there. The server writes the file in one step.
    fn read(&self) -> Result<Option<Address>> {
        let Ok(file) = std::fs::File::open(&self.path) else { return Ok(None) };
        let mut text = String::new();
        for line in BufReader::new(file).lines() {
            text += &line.map_err(|error| {
                Error::new(Code::Internal, format!("{} cannot be read: {error}", self.path.display()))
            })?;
        }
        let ports: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| Error::new(Code::Internal, format!("the server wrote a ports file that is no JSON ({error}); is THORNBACK_BINARY a thornback?")))?;
        match ports.get("unix").and_then(serde_json::Value::as_str) {
            Some(path) => Ok(Some(Address::Unix(Path::new(path).into()))),
            None => Err(Error::new(Code::Internal, "the server did not say where its Unix socket is")),
        }
    }
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        // What is left in the temporary directory does no harm.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
