//! What the runner asks of a server for itself, and how it is told of the testees' workers.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::pattern::Names;
use crate::peer::Peer;
use crate::schema::Side;

/// What every worker testee serves.
const FUNCTIONS: &[&str] = &[
    "echo",
    "add",
    "list",
    "keywords",
    "pattern",
    "size",
    "many",
    "language",
    "mark",
    "fail",
    "fail_chain",
    "fail_first",
    "die_first",
    "hold",
    "relay",
    "refs",
    "read",
    "count",
    "count_fail",
    "paced",
    "Counter",
    "Broken",
    "Together",
];

/// A pool of a testee's workers, as the server reads it from a file. They dial `address`, and what they say on standard error goes to the file `said`.
pub fn pool(
    name: &str,
    language: &str,
    command: &[String],
    address: &str,
    said: &Path,
) -> Result<Json, String> {
    let functions: Vec<String> = FUNCTIONS.iter().map(|function| format!("conformance.{function}")).collect();
    // The server sets the address of its own; `env` has the last word.
    let mut line = ["/bin/sh", "-c", r#"exec "$@" 2>>"$0""#].map(str::to_owned).to_vec();
    line.extend([
        said.to_string_lossy().into_owned(),
        "/usr/bin/env".to_owned(),
        format!("THORNBACK_ADDRESS={address}"),
    ]);
    line.extend(command.iter().cloned());
    line.push("worker".to_owned());
    let folder = std::env::current_dir().map_err(|error| error.to_string())?;
    Ok(
        json!({"name": name, "language": language, "command": line, "functions": functions, "working_dir": folder, "prestart": 1, "env": inherited()}),
    )
}

/// A testee's worker may need what its driver is given: where an interpreter finds its packages, and the like.
fn inherited() -> Json {
    let mut env = serde_json::Map::new();
    for (name, value) in std::env::vars() {
        if ["PYTHONPATH", "NODE_PATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH"].contains(&name.as_str())
            || name.starts_with("CONFORMANCE_")
        {
            env.insert(name, json!(value));
        }
    }
    Json::Object(env)
}

/// A session of the runner's own.
pub struct Observer {
    peer: Peer,
    names: Names,
    number: u64,
}

impl Observer {
    pub fn connect(server: &Path) -> Result<Self, String> {
        let stream =
            UnixStream::connect(server).map_err(|error| format!("the server cannot be reached: {error}"))?;
        let mut peer = Peer::new(stream, Side::Client)?;
        let mut names = Names::new(PathBuf::new(), 0);
        let hello = json!({"version_min": 1, "version_max": 1, "role": "ROLE_DRIVER", "sdk": "thornback-conformance"});
        peer.send_frame(0, 0, &[json!({"hello": hello})], false, false)?;
        peer.expect(&json!({"welcome": {"version": 1}}), &mut names)?;
        Ok(Self { peer, names, number: 0 })
    }

    /// The server's totals.
    pub fn status(&mut self) -> Result<Json, String> {
        Ok(self.request(json!({"get_status": {}}))?["status"].clone())
    }

    fn request(&mut self, mut request: Json) -> Result<Json, String> {
        self.number += 1;
        self.peer.trace.clear();
        request["number"] = json!(self.number);
        self.peer.send(&[json!({"request": request})], false, false)?;
        let reply = self.peer.expect(&json!({"reply": {"number": self.number}}), &mut self.names)?;
        if reply["failure"].is_object() { Err(crate::engine::tell(&reply["failure"])) } else { Ok(reply) }
    }
}
