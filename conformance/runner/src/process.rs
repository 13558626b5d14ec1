//! Programs that the runner starts: nodes and testees. None outlives the runner's interest in it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::peer::patience;

/// Lines of standard error that are kept for a report.
const LINES_MAX: usize = 60;

/// How often a testee's silence is used for something else.
const MEANWHILE: Duration = Duration::from_millis(3);

/// The end of what a program said on standard error.
type Tail = Arc<Mutex<VecDeque<String>>>;

fn keep_tail(from: impl Read + Send + 'static) -> Tail {
    let tail = Tail::default();
    let kept = Arc::clone(&tail);
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let mut kept = kept.lock().expect("no holder panics");
            if kept.len() == LINES_MAX {
                kept.pop_front();
            }
            kept.push_back(String::from_utf8_lossy(&line).into_owned());
        }
    });
    tail
}

fn tail_text(tail: &Tail) -> String {
    tail.lock().expect("no holder panics").iter().cloned().collect::<Vec<_>>().join("\n")
}

/// Ends a program that was asked to end: it has a moment, then it is killed.
fn end(child: &mut Child, patience: Duration) {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A real server, for one thread of the run.
pub struct Node {
    child: Child,
    pub unix: PathBuf,
    pub grpc: String,
    pub token_file: String,
    errors: Tail,
}

impl Node {
    pub fn start(binary: &Path, dir: &Path, flags: &[String]) -> Result<Self, String> {
        let ports = dir.join("ports.json");
        let mut child = Command::new(binary)
            .arg("dev")
            .arg("--exit-with-stdin")
            .arg("--ports-file")
            .arg(&ports)
            .arg("--dir")
            .arg(dir)
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the server {} cannot be started: {error}", binary.display()))?;
        let errors = keep_tail(child.stderr.take().expect("it is piped"));
        let until = Instant::now() + patience();
        let said = loop {
            if let Ok(text) = std::fs::read_to_string(&ports) {
                break text;
            }
            if Instant::now() > until || !matches!(child.try_wait(), Ok(None)) {
                let _ = child.kill();
                let _ = child.wait();
                // Its last words come a moment after its end.
                std::thread::sleep(Duration::from_millis(50));
                return Err(format!("the server did not listen; it said:\n{}", tail_text(&errors)));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let said: Json =
            serde_json::from_str(&said).map_err(|error| format!("the ports file of the server: {error}"))?;
        let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            child,
            unix: text("unix").into(),
            grpc: text("grpc"),
            token_file: text("token_file"),
            errors,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged last.
    pub fn said(&self) -> String {
        tail_text(&self.errors)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        end(&mut self.child, Duration::from_secs(10));
    }
}

/// What a testee answered.
pub enum Answer {
    Result(Json),
    Failure(Json),
    Unsupported(String),
}

/// A driver testee.
pub struct Testee {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    errors: Tail,
    next_id: u64,
    /// Answers that came while another was waited for.
    early: Vec<Json>,
    /// It broke the contract, and its answers mean nothing any more.
    pub broken: bool,
    pub language: String,
    pub features: Vec<String>,
}

impl Testee {
    pub fn start(command: &[String]) -> Result<Self, String> {
        let (program, args) = command.split_first().ok_or("a testee needs a command")?;
        let mut child = Command::new(program)
            .args(args)
            .arg("driver")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the testee {program} cannot be started: {error}"))?;
        let errors = keep_tail(child.stderr.take().expect("it is piped"));
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        let mut testee = Self {
            child,
            stdin,
            lines,
            errors,
            next_id: 0,
            early: Vec::new(),
            broken: false,
            language: String::new(),
            features: Vec::new(),
        };
        let id = testee.send("hello", json!({"protocol": 1}))?;
        match testee.answer(id)? {
            Answer::Result(hello)
                if hello["protocol"] == 1
                    && hello["language"].is_string()
                    && hello["features"].is_array() =>
            {
                testee.language = hello["language"].as_str().unwrap_or_default().to_owned();
                let features = hello["features"].as_array().into_iter().flatten();
                testee.features =
                    features.filter_map(|feature| feature.as_str().map(str::to_owned)).collect();
                Ok(testee)
            }
            _ => Err(testee.fault("its hello does not hold protocol 1, language and features")),
        }
    }

    /// Sends a command and gives its number.
    pub fn send(&mut self, what: &str, mut command: Json) -> Result<u64, String> {
        self.next_id += 1;
        command["id"] = json!(self.next_id);
        command["do"] = json!(what);
        let line = format!("{command}\n");
        let written = self
            .stdin
            .as_mut()
            .is_some_and(|stdin| stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).is_ok());
        if !written {
            return Err(self.fault("it ended, and takes no more commands"));
        }
        Ok(self.next_id)
    }

    /// Waits for the answer to a command, and does something else meanwhile. An error is a breach of the contract.
    pub fn answer_while(
        &mut self,
        id: u64,
        meanwhile: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<Answer, String> {
        let until = Instant::now() + patience() + Duration::from_secs(5);
        loop {
            if let Some(index) = self.early.iter().position(|answer| answer["id"] == id) {
                let answer = self.early.swap_remove(index);
                return self.read(&answer);
            }
            let line = match self.lines.recv_timeout(MEANWHILE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {
                    meanwhile()?;
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.fault("it hangs: no answer came")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.fault("it ended without an answer")),
            };
            match serde_json::from_slice::<Json>(&line) {
                Ok(answer) if answer["id"].is_u64() => self.early.push(answer),
                _ => {
                    let line = String::from_utf8_lossy(&line).chars().take(200).collect::<String>();
                    return Err(self.fault(&format!("this line is no answer: {line}")));
                }
            }
        }
    }

    /// Waits for the answer to a command.
    pub fn answer(&mut self, id: u64) -> Result<Answer, String> {
        self.answer_while(id, &mut || Ok(()))
    }

    fn read(&mut self, answer: &Json) -> Result<Answer, String> {
        let keys: Vec<&str> = answer
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys())
            .map(String::as_str)
            .filter(|key| *key != "id")
            .collect();
        match keys[..] {
            ["result"] => Ok(Answer::Result(answer["result"].clone())),
            ["failure"] if answer["failure"]["code"].is_u64() => {
                Ok(Answer::Failure(answer["failure"].clone()))
            }
            ["unsupported"] => {
                Ok(Answer::Unsupported(answer["unsupported"].as_str().unwrap_or_default().to_owned()))
            }
            ["crash"] => {
                Err(format!("the testee itself failed:\n{}", answer["crash"].as_str().unwrap_or_default()))
            }
            _ => {
                Err(self
                    .fault(&format!("this answer breaks the contract: {}", crate::pattern::brief(answer))))
            }
        }
    }

    fn fault(&mut self, what: &str) -> String {
        self.broken = true;
        // What it said on standard error is often the reason, and comes a moment later; so does its exit status.
        let until = Instant::now() + Duration::from_millis(100);
        let mut ended = String::new();
        while ended.is_empty() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
            if let Ok(Some(status)) = self.child.try_wait() {
                ended = format!(" ({status})");
            }
        }
        format!("the testee broke the contract: {what}{ended}\n{}", tail_text(&self.errors))
    }

    /// What it said last on standard error.
    pub fn said(&self) -> String {
        tail_text(&self.errors)
    }
}

impl Drop for Testee {
    fn drop(&mut self) {
        drop(self.stdin.take());
        end(&mut self.child, if self.broken { Duration::ZERO } else { Duration::from_secs(5) });
    }
}

/// A worker testee that the runner starts itself.
pub struct WorkerProcess {
    child: Child,
    errors: Tail,
}

impl WorkerProcess {
    pub fn start(command: &[String], env: &[(String, String)]) -> Result<Self, String> {
        let (program, args) = command.split_first().ok_or("a testee needs a command")?;
        let mut child = Command::new(program)
            .args(args)
            .arg("worker")
            .envs(env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the testee {program} cannot be started: {error}"))?;
        let errors = keep_tail(child.stderr.take().expect("it is piped"));
        Ok(Self { child, errors })
    }

    /// Waits until it has ended by itself.
    pub fn ends(&mut self) -> Result<(), String> {
        let until = Instant::now() + patience();
        while Instant::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err("the worker did not end".to_owned())
    }

    pub fn said(&self) -> String {
        tail_text(&self.errors)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
