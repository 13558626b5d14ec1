//! Runs the steps of one instance of a case and says whether they went as it expects.

mod aftermath;

use std::collections::BTreeMap;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};

use crate::case::Step;
use crate::mishap::{Mishaps, is_loss};
use crate::node::Observer;
use crate::pattern::{Names, brief};
use crate::peer::{Peer, patience};
use crate::process::{Answer, Testee, WorkerProcess};
use crate::proxy::Proxy;
use crate::schema::Side;
use crate::spec::code_name;
use crate::value;

/// What came of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// The testee has not this feature, and never said so.
    Unsupported(String),
    Failed(String),
}

/// Why a run stopped before its end.
pub enum Stop {
    Unsupported(String),
    Failed(String),
    /// What was waited for went with a process that was killed. This is no fault, and the case ends here.
    Lost(String),
}

impl From<&str> for Stop {
    fn from(reason: &str) -> Self {
        Stop::Failed(reason.to_owned())
    }
}

impl From<String> for Stop {
    fn from(reason: String) -> Self {
        Stop::Failed(reason)
    }
}

/// Everything that steps act on.
pub struct Stage<'a> {
    pub names: Names,
    /// Driver testees by name; the first is `main`.
    pub testees: &'a mut BTreeMap<String, Testee>,
    pub command: &'a [String],
    /// What `open` is given: `address`, and `token_file` where it needs one.
    pub open: Json,
    /// Where calls go that name no pool, and the pool of the driver's own language.
    pub callee: String,
    pub caller: String,
    /// The pool of a third language, where there is one.
    pub third: String,
    pub observer: Option<&'a mut Observer>,
    pub driver_proxy: Option<&'a Proxy>,
    /// The socket of the real server, for connections of the runner's own.
    pub server: Option<PathBuf>,
    /// Where the real server spills to.
    pub spill: PathBuf,
    /// Where the runner is the server.
    pub listener: Option<UnixListener>,
    pub address: String,
    /// What dies in the middle of it.
    pub mishaps: Option<Mishaps>,
    /// Whether a death ended the case before its last step.
    pub cut_short: bool,
    peers: BTreeMap<String, Peer>,
    worker: Option<WorkerProcess>,
    /// Commands whose answer is looked at later: the testee, the number, and the step.
    later: BTreeMap<String, (String, u64, Step)>,
    nonce: u64,
}

impl<'a> Stage<'a> {
    pub fn new(names: Names, testees: &'a mut BTreeMap<String, Testee>, command: &'a [String]) -> Self {
        Self {
            names,
            testees,
            command,
            open: json!({}),
            callee: String::new(),
            caller: String::new(),
            third: String::new(),
            observer: None,
            driver_proxy: None,
            server: None,
            spill: PathBuf::new(),
            listener: None,
            address: String::new(),
            mishaps: None,
            cut_short: false,
            peers: BTreeMap::new(),
            worker: None,
            later: BTreeMap::new(),
            nonce: 0,
        }
    }

    /// Runs all steps. The reason of a failure names the line of its step.
    pub fn run(&mut self, steps: &[Step]) -> Outcome {
        for (index, step) in steps.iter().enumerate() {
            if let Err(reason) = self.die(index) {
                return Outcome::Failed(reason);
            }
            let outcome = self.step_of(steps, index).and_then(|()| self.breaches().map_err(Stop::Failed));
            match outcome {
                Ok(()) => {}
                Err(Stop::Lost(what)) => {
                    self.cut_short = true;
                    self.mishaps.iter_mut().for_each(|mishaps| {
                        mishaps.log.push(format!("line {}, {}: {what}", step.line, step.verb));
                    });
                    // The step itself may have begun something.
                    return match self.aftermath(&steps[..=index], &steps[index + 1..]) {
                        Ok(()) => self.within_budget(steps),
                        Err(reason) => Outcome::Failed(format!("line {}: {reason}", step.line)),
                    };
                }
                Err(Stop::Unsupported(feature)) => return Outcome::Unsupported(feature),
                Err(Stop::Failed(reason)) => {
                    return Outcome::Failed(format!("line {}, {}: {reason}", step.line, step.verb));
                }
            }
        }
        if let Some(name) = self.later.keys().next() {
            return Outcome::Failed(format!("the case never finished `{name}`"));
        }
        self.within_budget(steps)
    }

    /// What is to die in front of a step.
    fn die(&mut self, step: usize) -> Result<(), String> {
        let (Some(mishaps), Some(observer)) = (&mut self.mishaps, &mut self.observer) else { return Ok(()) };
        let resumes = self.testees.values().all(|testee| testee.features.iter().any(|name| name == "resume"));
        mishaps.before(step, self.driver_proxy.filter(|_| resumes), observer)
    }

    /// Waits until the server knows of all that died, so that none of it falls into the next case.
    pub fn bury(&mut self) -> Result<(), String> {
        match (&mut self.mishaps, &mut self.observer) {
            (Some(mishaps), Some(observer)) => mishaps.bury(observer),
            _ => Ok(()),
        }
    }

    /// A step that waits for a file gives up once a death has taken what would make it.
    fn step_of(&mut self, steps: &[Step], index: usize) -> Result<(), Stop> {
        let step = &steps[index];
        if !self.struck() || !["await_file", "await_lines"].contains(&step.verb) {
            return self.step(step);
        }
        let name = step.keys["file"].as_str().unwrap_or_default().to_owned();
        let count = step.keys.get("count").and_then(Json::as_u64).unwrap_or(0);
        let there = |stage: &Self| stage.path(&name).exists() && stage.lines(&name).len() as u64 >= count;
        let until = Instant::now() + patience();
        let mut doubt = Instant::now();
        while !there(self) {
            if doubt.elapsed().as_millis() > aftermath::DOUBT_MS {
                if self.has_lost(&steps[..index], &steps[index..])? {
                    return Err(Stop::Lost(format!("the file {name} cannot come any more")));
                }
                doubt = Instant::now();
            }
            if Instant::now() > until {
                return Err(Stop::Failed(format!(
                    "{name} does not come after a death, and nothing has failed"
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// What was said on the connections of the runner's own, and by programs.
    pub fn trace(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.mishaps.iter().flat_map(|mishaps| mishaps.log.clone()));
        for (name, peer) in &self.peers {
            lines.extend(peer.trace.iter().map(|line| format!("{name} {line}")));
        }
        for (name, testee) in self.testees.iter() {
            lines.extend(testee.said().lines().map(|line| format!("{name} stderr: {line}")));
        }
        if let Some(worker) = &self.worker {
            lines.extend(worker.said().lines().map(|line| format!("worker stderr: {line}")));
        }
        lines
    }

    fn breaches(&mut self) -> Result<(), String> {
        for (name, peer) in &mut self.peers {
            if let Some(breach) = peer.breaches.drain(..).next() {
                return Err(format!("on connection {name} the other side broke the protocol: {breach}"));
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), Stop> {
        let keys = &step.keys;
        let text = |key: &str| keys.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let conn = if keys.contains_key("conn") { text("conn") } else { "a".to_owned() };
        match step.verb {
            "finish" => self.finish(step)?,
            "items" => self.items(step)?,
            "end_driver" => drop(self.testees.remove(&text("driver"))),
            "touch" => {
                std::fs::write(self.names.file(&text("file")), b"").map_err(|error| error.to_string())?
            }
            "await_file" => {
                self.until(&format!("no file {}", text("file")), |stage| stage.path(&text("file")).exists())?
            }
            "no_file" if self.path(&text("file")).exists() => {
                return Err(self.unless_struck(format!("the file {} is there", text("file"))));
            }
            "no_file" => {}
            "lines" => {
                let lines = self.lines(&text("file"));
                let pattern = keys.get("are").or(keys.get("count")).cloned().unwrap_or_default();
                let found = if keys.contains_key("are") { json!(lines) } else { json!(lines.len()) };
                self.names
                    .matches(&pattern, Some(&found))
                    .map_err(|reason| self.unless_struck(format!("lines of {}: {reason}", text("file"))))?;
            }
            "await_lines" => {
                let count = keys["count"].as_u64().unwrap_or(0);
                self.until("too few lines", |stage| stage.lines(&text("file")).len() as u64 >= count)?;
            }
            "cut_driver" => {
                if let Some(proxy) = self.driver_proxy {
                    proxy.cut();
                }
            }
            "spoil_spilled" => self.spoil_spilled()?,
            "settles" => self.settles(&keys["status"])?,
            "connect" => {
                let path = self.server.clone().ok_or("there is no server")?;
                let stream = UnixStream::connect(path)
                    .map_err(|error| format!("the server cannot be reached: {error}"))?;
                self.peers.insert(conn, Peer::new(stream, Side::Client)?);
            }
            "accept" => self.accept(conn)?,
            "hello" => self.hello(&conn, keys)?,
            "welcome" => self.welcome(&conn, keys)?,
            "ops" => {
                let ops = self.ops(&keys["ops"])?;
                let flag = |key: &str| keys.get(key).and_then(Json::as_bool).unwrap_or(false);
                self.peer(&conn)?.send(&ops, flag("grease"), flag("split"))?;
            }
            "frame" => {
                let ops = keys.get("ops").map_or_else(|| Ok(Vec::new()), |ops| self.ops(ops))?;
                let seq = match keys.get("seq").and_then(Json::as_str) {
                    Some("next") => self.peer(&conn)?.use_number(),
                    Some(_) => self.peer(&conn)?.next_seq() - 1,
                    None => keys.get("seq").and_then(Json::as_u64).unwrap_or(0),
                };
                let ack = keys.get("ack").and_then(Json::as_u64).unwrap_or(0);
                let grease = keys.get("grease").and_then(Json::as_bool).unwrap_or(false);
                self.peer(&conn)?.send_frame(seq, ack, &ops, grease, false)?;
            }
            "bytes" => {
                let bytes = if let Some(size) = keys.get("frame_of").and_then(Json::as_u64) {
                    // A length that announces so much, and nothing behind it.
                    u32::try_from(size).map_err(|error| error.to_string())?.to_be_bytes().to_vec()
                } else {
                    value::from_hex(&text("hex")).ok_or("hex is not hexadecimal")?
                };
                self.peer(&conn)?.send_bytes(&bytes)?;
            }
            "expect" => {
                let patterns = keys
                    .get("ops")
                    .and_then(Json::as_array)
                    .cloned()
                    .unwrap_or_else(|| vec![keys.get("op").cloned().unwrap_or_default()]);
                for pattern in patterns {
                    let peer =
                        self.peers.get_mut(&conn).ok_or_else(|| format!("there is no connection {conn}"))?;
                    peer.expect(&pattern, &mut self.names)?;
                }
            }
            "expect_frame" => {
                let peer =
                    self.peers.get_mut(&conn).ok_or_else(|| format!("there is no connection {conn}"))?;
                peer.expect_frame(&keys["frame"], &mut self.names)?;
            }
            "never" => {
                self.nonce += 1;
                let nonce = self.nonce;
                let peer =
                    self.peers.get_mut(&conn).ok_or_else(|| format!("there is no connection {conn}"))?;
                peer.alive(&mut self.names, nonce)?;
                peer.never(&keys["op"], &mut self.names)?;
            }
            "alive" => {
                self.nonce += 1;
                let nonce = self.nonce;
                let peer =
                    self.peers.get_mut(&conn).ok_or_else(|| format!("there is no connection {conn}"))?;
                peer.alive(&mut self.names, nonce)?;
            }
            "closed" => self.peer(&conn)?.closed()?,
            "cut" => self.peer(&conn)?.cut(),
            "worker" => {
                let mut env = vec![
                    ("THORNBACK_ADDRESS".to_owned(), self.address.clone()),
                    ("THORNBACK_POOL".to_owned(), "conformance".to_owned()),
                ];
                for (name, value) in keys.get("env").and_then(Json::as_object).into_iter().flatten() {
                    env.push((name.clone(), value.as_str().unwrap_or_default().to_owned()));
                }
                self.worker = Some(WorkerProcess::start(self.command, &env)?);
            }
            "worker_ends" => self.worker.as_mut().ok_or("there is no worker")?.ends()?,
            _ => self.testee(step)?,
        }
        Ok(())
    }

    // Files and the like.

    fn path(&self, name: &str) -> PathBuf {
        self.names.folder.join(name)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        std::fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn until(&mut self, what: &str, holds: impl Fn(&mut Self) -> bool) -> Result<(), String> {
        let until = Instant::now() + patience();
        while !holds(self) {
            if Instant::now() > until {
                return Err(format!("{what} after {:?}", patience()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn settles(&mut self, pattern: &Json) -> Result<(), String> {
        let until = Instant::now() + patience();
        loop {
            let status = self.observer.as_mut().ok_or("there is no server")?.status()?;
            match self.names.matches(pattern, Some(&status)) {
                Ok(()) => return Ok(()),
                Err(reason) if Instant::now() > until => {
                    return Err(format!("the server's status does not settle: {reason}"));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Changes the first byte of every object that the server wrote to disk.
    fn spoil_spilled(&mut self) -> Result<(), String> {
        let mut folders = vec![self.spill.clone()];
        let mut spoilt = 0;
        while let Some(folder) = folders.pop() {
            let entries =
                std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let mut bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
                if let Some(first) = bytes.first_mut() {
                    *first ^= 1;
                    std::fs::write(&path, bytes).map_err(|error| error.to_string())?;
                    spoilt += 1;
                }
            }
        }
        if spoilt == 0 { Err("the server has nothing on disk".to_owned()) } else { Ok(()) }
    }

    // Frames.

    fn peer(&mut self, conn: &str) -> Result<&mut Peer, String> {
        self.peers.get_mut(conn).ok_or_else(|| format!("there is no connection {conn}"))
    }

    fn ops(&mut self, ops: &Json) -> Result<Vec<Json>, String> {
        ops.as_array().ok_or("ops is a list")?.iter().map(|op| self.names.resolve(op)).collect()
    }

    fn accept(&mut self, conn: String) -> Result<(), String> {
        let listener = self.listener.as_ref().ok_or("the runner is no server here")?;
        let until = Instant::now() + patience();
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(|error| error.to_string())?;
                    let mut peer = Peer::new(stream, Side::Server)?;
                    // A client may try a connection and give it up before it says anything.
                    if peer.begins(until)? {
                        self.peers.insert(conn, peer);
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.to_string()),
            }
            if Instant::now() > until {
                return Err(format!("nobody connected for {:?}", patience()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn hello(&mut self, conn: &str, keys: &Map<String, Json>) -> Result<(), String> {
        let mut hello = json!({"version_min": 1, "version_max": 1, "role": "ROLE_DRIVER", "language": "conformance", "sdk": "thornback-conformance"});
        let with = self.names.resolve(keys.get("with").unwrap_or(&json!({})))?;
        merge(&mut hello, &with);
        let resumes = hello["resume"].is_object();
        if !self.peers.contains_key(conn) {
            let path = self.server.clone().ok_or("there is no server")?;
            let stream = UnixStream::connect(path)
                .map_err(|error| format!("the server cannot be reached: {error}"))?;
            self.peers.insert(conn.to_owned(), Peer::new(stream, Side::Client)?);
        }
        if keys.contains_key("manual_credit") {
            self.peer(conn)?.manual_credit();
        }
        self.peer(conn)?.send_frame(0, 0, &[json!({"hello": hello})], false, false)?;
        let mut expected = json!({"welcome": {"version": 1, "resumed": resumes}});
        merge(&mut expected["welcome"], keys.get("welcome").unwrap_or(&json!({})));
        let peer = self.peers.get_mut(conn).ok_or("it was just made")?;
        let welcome = peer.expect(&expected, &mut self.names)?;
        for key in ["session", "secret", "node", "job"] {
            self.names.bound.insert(format!("{conn}.{key}"), welcome[key].clone());
        }
        if resumes {
            // What the server took is not sent again by the runner; a case that replays does it by hand.
            let taken = hello["resume"]["ack"].as_u64().unwrap_or(0);
            self.peer(conn)?.resume_from(welcome["ack"].as_u64().unwrap_or(0) + 1, taken);
        }
        Ok(())
    }

    fn welcome(&mut self, conn: &str, keys: &Map<String, Json>) -> Result<(), String> {
        if !self.peers.contains_key(conn) {
            self.accept(conn.to_owned())?;
        }
        if keys.contains_key("manual_credit") {
            self.peer(conn)?.manual_credit();
        }
        let pattern = json!({"hello": keys.get("hello").cloned().unwrap_or(json!({}))});
        let peer = self.peers.get_mut(conn).ok_or("it was just made")?;
        let hello = peer.expect(&pattern, &mut self.names)?;
        let mut welcome = json!({
            "version": 1,
            "features": ["streams", "actors"],
            "limits": {"frame_bytes": 4 << 20, "inline_bytes": 102_400, "window_bytes": 8 << 20, "heartbeat_ms": 0, "grace_ms": 3000, "object_bytes": 0},
            "session": "$session", "secret": {"text": "a secret, 16 long"}, "node": "$node", "job": "$job",
            "server": "thornback-conformance", "namespace": "default",
        });
        merge(&mut welcome, keys.get("with").unwrap_or(&json!({})));
        // `{taken: a}`: the last counted frame that came on connection a.
        if let Some(other) = welcome["ack"]["taken"].as_str() {
            welcome["ack"] = json!(self.peers.get(other).map_or(0, Peer::taken));
        }
        let welcome = self.names.resolve(&welcome)?;
        if welcome["resumed"] == true {
            let next = hello["resume"]["ack"].as_u64().unwrap_or(0) + 1;
            let taken = welcome["ack"].as_u64().unwrap_or(0);
            self.peer(conn)?.resume_from(next, taken);
        }
        self.peer(conn)?.send_frame(
            0,
            welcome["ack"].as_u64().unwrap_or(0),
            &[json!({"welcome": welcome})],
            false,
            false,
        )
    }

    // Testees.

    fn driver(&mut self, name: &str) -> Result<&mut Testee, String> {
        if !self.testees.contains_key(name) {
            let mut testee = Testee::start(self.command)?;
            if self.listener.is_none() {
                let id = testee.send("open", self.open.clone())?;
                if let Answer::Failure(failure) = testee.answer(id)? {
                    return Err(format!("the session could not be opened: {}", tell(&failure)));
                }
            }
            self.testees.insert(name.to_owned(), testee);
        }
        self.testees.get_mut(name).ok_or_else(|| "it was just made".to_owned())
    }

    fn testee(&mut self, step: &Step) -> Result<(), Stop> {
        let name = step.keys.get("driver").and_then(Json::as_str).unwrap_or("main").to_owned();
        let command = self.command_of(step);
        let testee = self.driver(&name)?;
        let id = testee.send(step.verb, command)?;
        if let Some(later) = step.keys.get("later").and_then(Json::as_str) {
            self.later.insert(later.to_owned(), (name, id, step.clone()));
            return Ok(());
        }
        let answer = self.answer(&name, id)?;
        let Some(pattern) = step.keys.get("fails_by_get") else { return self.judge(&name, step, answer) };
        // An SDK may put while its caller goes on: the failure then comes to whoever reads.
        let mut failing = step.clone();
        failing.keys.insert("fails".to_owned(), pattern.clone());
        let answer = match answer {
            Answer::Result(_) => {
                let limit = u64::try_from(patience().as_millis()).unwrap_or(u64::MAX);
                let command = json!({"refs": [step.keys["as"]], "timeout_ms": limit});
                let id = self.driver(&name)?.send("get", command)?;
                self.answer(&name, id)?
            }
            failed => failed,
        };
        self.judge(&name, &failing, answer)
    }

    /// Waits for a testee, and is its server meanwhile where the runner is that.
    fn answer(&mut self, name: &str, id: u64) -> Result<Answer, String> {
        let testee = self.testees.get_mut(name).ok_or("the testee is gone")?;
        let peers = &mut self.peers;
        testee.answer_while(id, &mut || peers.values_mut().try_for_each(Peer::service))
    }

    fn finish(&mut self, step: &Step) -> Result<(), Stop> {
        let later = step.keys["later"].as_str().unwrap_or_default();
        let (name, id, mut first) =
            self.later.remove(later).ok_or_else(|| format!("nothing was begun as `{later}`"))?;
        first.keys.extend(step.keys.clone());
        let answer = self.answer(&name, id)?;
        self.judge(&name, &first, answer)
    }

    /// Takes a stream to its end.
    fn items(&mut self, step: &Step) -> Result<(), Stop> {
        let name = step.keys.get("driver").and_then(Json::as_str).unwrap_or("main").to_owned();
        let stream = self.alias(step.keys["stream"].as_str().unwrap_or_default());
        let expected = step.keys["gives"].as_array().cloned().unwrap_or_default();
        let limit = u64::try_from(patience().as_millis()).unwrap_or(u64::MAX);
        let mut values = Vec::new();
        let failure = loop {
            let testee = self.driver(&name)?;
            let id = testee.send("next", json!({"stream": stream, "as": "item", "timeout_ms": limit}))?;
            match testee.answer(id)? {
                Answer::Failure(failure) => break Some(failure),
                Answer::Unsupported(feature) => return Err(self.unsupported(&name, feature)),
                Answer::Result(result) if result["item"] == false => break None,
                Answer::Result(_) => {}
            }
            let testee = self.driver(&name)?;
            let id = testee.send("get", json!({"refs": ["item"], "timeout_ms": limit}))?;
            match testee.answer(id)? {
                Answer::Result(result) => values.push(result["values"][0].clone()),
                Answer::Failure(failure) => break Some(failure),
                Answer::Unsupported(feature) => return Err(self.unsupported(&name, feature)),
            }
            if values.len() > expected.len() {
                return Err(Stop::Failed(format!("the stream has more than {} items", expected.len())));
            }
        };
        let mut explicit: Vec<Json> = expected.iter().map(|item| self.explicit(item)).collect();
        let lost = failure.as_ref().is_some_and(|failure| self.struck() && is_loss(failure));
        if lost {
            explicit.truncate(values.len());
        }
        self.names
            .same_value(&json!({"list": explicit}), &json!({"list": values}))
            .map_err(|reason| format!("items: {reason}"))?;
        if lost {
            return Err(Stop::Lost("a stream ended with its worker".to_owned()));
        }
        match (step.keys.get("fails"), failure) {
            (None, Some(failure)) => Err(Stop::Failed(format!("the stream failed: {}", tell(&failure)))),
            (Some(_), None) => {
                Err(Stop::Failed("the stream ended without the failure that was expected".to_owned()))
            }
            (Some(pattern), Some(failure)) => Ok(self
                .names
                .matches(pattern, Some(&failure))
                .map_err(|reason| format!("failure{reason}"))?),
            (None, None) => Ok(()),
        }
    }

    fn unsupported(&mut self, name: &str, feature: String) -> Stop {
        let claimed = self.testees.get(name).is_some_and(|testee| testee.features.contains(&feature));
        if claimed {
            Stop::Failed(format!("the testee claims {feature}, and then says that it has it not"))
        } else {
            Stop::Unsupported(feature)
        }
    }

    fn judge(&mut self, name: &str, step: &Step, answer: Answer) -> Result<(), Stop> {
        let keys = &step.keys;
        let result = match (answer, keys.get("fails")) {
            (Answer::Unsupported(feature), _) => return Err(self.unsupported(name, feature)),
            (Answer::Failure(failure), pattern)
                if self.struck()
                    && is_loss(&failure)
                    && pattern.is_none_or(|pattern| self.names.matches(pattern, Some(&failure)).is_err()) =>
            {
                return Err(Stop::Lost(tell(&failure)));
            }
            // Whose name was taken may be dead.
            (Answer::Result(_), Some(_)) if self.struck() && step.verb == "create" => {
                return Err(Stop::Lost("it went well".to_owned()));
            }
            (Answer::Failure(failure), None) => {
                return Err(Stop::Failed(format!("it failed: {}", tell(&failure))));
            }
            (Answer::Failure(failure), Some(pattern)) => {
                self.names
                    .matches(pattern, Some(&failure))
                    .map_err(|reason| format!("failure{reason}; it was {}", tell(&failure)))?;
                return Ok(());
            }
            (Answer::Result(result), Some(pattern)) => {
                return Err(Stop::Failed(format!(
                    "expected the failure {}, found {}",
                    brief(pattern),
                    brief(&result)
                )));
            }
            (Answer::Result(result), None) => result,
        };
        if let Some(expected) = keys.get("gives") {
            let expected = if keys.contains_key("ref") {
                vec![expected.clone()]
            } else {
                expected.as_array().cloned().unwrap_or_default()
            };
            let expected: Vec<Json> = expected.iter().map(|item| self.explicit(item)).collect();
            let found = json!({"list": result["values"]});
            self.names
                .same_value(&json!({"list": expected}), &found)
                .map_err(|reason| format!("values: {reason}"))?;
        }
        for key in ["ready", "pending"] {
            if let Some(pattern) = keys.get(key) {
                self.names
                    .matches(pattern, Some(&result[key]))
                    .map_err(|reason| self.unless_struck(format!("{key}: {reason}")))?;
            }
        }
        if step.verb == "next" {
            let expected = keys.get("item").cloned().unwrap_or(json!(true));
            self.names
                .matches(&expected, Some(&result["item"]))
                .map_err(|reason| format!("item: {reason}"))?;
        }
        Ok(())
    }

    /// The command of a step, without what is for the runner.
    fn command_of(&mut self, step: &Step) -> Json {
        let mut command = Map::new();
        for (key, body) in &step.keys {
            let body = match key.as_str() {
                "driver" | "later" | "fails" | "fails_by_get" | "gives" | "ready" | "pending" | "item" => {
                    continue;
                }
                "args" => {
                    Json::Array(body.as_array().into_iter().flatten().map(|arg| self.explicit(arg)).collect())
                }
                "keywords" => Json::Object(
                    body.as_object()
                        .into_iter()
                        .flatten()
                        .map(|(name, arg)| (name.clone(), self.explicit(arg)))
                        .collect(),
                ),
                "value" => self.explicit(body),
                "function" | "class" => {
                    let name = body.as_str().unwrap_or_default();
                    json!(if name.contains('.') { name.to_owned() } else { format!("conformance.{name}") })
                }
                "ref" if step.verb == "get" => {
                    command.insert("refs".to_owned(), json!([self.alias(body.as_str().unwrap_or_default())]));
                    continue;
                }
                "ref" | "stream" | "actor" => json!(self.alias(body.as_str().unwrap_or_default())),
                "refs" => json!(
                    body.as_array()
                        .into_iter()
                        .flatten()
                        .map(|name| self.alias(name.as_str().unwrap_or_default()))
                        .collect::<Vec<_>>()
                ),
                // Names of actors are shared by all cases that run on a node.
                "name" => json!(self.unique(body)),
                "options" => {
                    let mut options = body.clone();
                    if let Some(name) = options.get("name").cloned() {
                        options["name"] = json!(self.unique(&name));
                    }
                    options
                }
                "pool" => match body.as_str() {
                    Some(name) => json!(self.pool(name).unwrap_or(name)),
                    None => continue,
                },
                _ => body.clone(),
            };
            command.insert(key.clone(), body);
        }
        match step.verb {
            "call" | "create" if !step.keys.contains_key("pool") => {
                command.insert("pool".to_owned(), json!(self.callee));
            }
            "get" | "wait" | "next" if !command.contains_key("timeout_ms") => {
                command.insert(
                    "timeout_ms".to_owned(),
                    json!(u64::try_from(patience().as_millis()).unwrap_or(u64::MAX)),
                );
            }
            "next" if !command.contains_key("as") => {
                command.insert("as".to_owned(), json!("item"));
            }
            "open" => {
                for (key, value) in self.open.as_object().into_iter().flatten() {
                    command.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
            _ => {}
        }
        if step.verb == "next" && !command.contains_key("as") {
            command.insert("as".to_owned(), json!("item"));
        }
        Json::Object(command)
    }

    fn unique(&self, name: &Json) -> String {
        format!("{}-{}", name.as_str().unwrap_or_default(), self.names.serial)
    }

    /// What a testee calls a name of the case: the same, unless it found the thing inside a value.
    fn alias(&self, name: &str) -> String {
        self.names.bound.get(name).and_then(Json::as_str).map_or_else(|| name.to_owned(), str::to_owned)
    }

    fn explicit(&self, short: &Json) -> Json {
        let pools = self.fill_pools(short);
        let folder = self.names.folder.clone();
        self.rename(value::explicit(&pools, &|name| folder.join(name).to_string_lossy().into_owned()))
    }

    /// The pool of a part that a case names.
    fn pool(&self, part: &str) -> Option<&str> {
        match part {
            "caller" => Some(&self.caller),
            "callee" => Some(&self.callee),
            "third" => Some(&self.third),
            _ => None,
        }
    }

    /// `{pool: callee}` becomes the pool's name.
    fn fill_pools(&self, json: &Json) -> Json {
        match json {
            Json::Object(map) => {
                let part = map.get("pool").filter(|_| map.len() == 1).and_then(Json::as_str);
                match part.and_then(|part| self.pool(part)) {
                    Some(pool) => json!(pool),
                    None => Json::Object(
                        map.iter().map(|(key, item)| (key.clone(), self.fill_pools(item))).collect(),
                    ),
                }
            }
            Json::Array(items) => Json::Array(items.iter().map(|item| self.fill_pools(item)).collect()),
            other => other.clone(),
        }
    }

    fn rename(&self, explicit: Json) -> Json {
        match explicit {
            Json::Object(map) => Json::Object(
                map.into_iter()
                    .map(|(key, body)| match (key.as_str(), body) {
                        ("ref" | "actor", Json::String(name)) => {
                            let name = self.alias(&name);
                            (key, json!(name))
                        }
                        ("str" | "bytes", body) => (key, body),
                        (_, body) => {
                            let body = self.rename(body);
                            (key, body)
                        }
                    })
                    .collect(),
            ),
            Json::Array(items) => Json::Array(items.into_iter().map(|item| self.rename(item)).collect()),
            other => other,
        }
    }
}

/// Puts the keys of `over` into `base`, however deep.
fn merge(base: &mut Json, over: &Json) {
    match (base, over) {
        (Json::Object(base), Json::Object(over))
            if over.len() != 1
                || !["bind", "contains", "is", "any", "length", "not"]
                    .contains(&over.keys().next().map_or("", String::as_str)) =>
        {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Json::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// A failure in a line.
pub fn tell(failure: &Json) -> String {
    let code = failure["code"].as_u64().map_or_else(|| "no code".to_owned(), code_name);
    let mut text = format!("{code}: {}", failure["message"].as_str().unwrap_or_default());
    if failure["cause"].is_object() {
        text += &format!(" ← {}", tell(&failure["cause"]));
    }
    text
}
