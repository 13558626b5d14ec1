//! `cargo xtask quickstart`: from a fresh clone to the main job's result, with nothing left running.
//!
//! It builds the server, puts the Python SDK in an environment of its own under `target/`, and runs
//! `examples/digits_search.py`, a script that a user could have written: its `thornback.init()` starts the runtime and
//! its end stops it. Where Go and Node.js are installed, `examples/polyglot` follows. Then it looks whether anything is left.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::polyglot;
use crate::repo::{Repo, Result};
use crate::run::Program;
use crate::test;
use crate::venv::Venv;

/// Arguments of `cargo xtask quickstart`.
#[derive(clap::Args)]
pub struct Args {
    /// Write how long each phase took to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const SCRIPT: &str = "examples/digits_search.py";

/// Marks what descends from this run: children inherit it, whoever starts them.
const MARK: &str = "THORNBACK_QUICKSTART";

/// How long the runtime may take to end after the script that started it.
const END_WITHIN: Duration = Duration::from_secs(10);

pub fn main(repo: &Repo, args: &Args) -> Result {
    let mut phases = Phases::default();

    phases.begin("build the server (release)");
    Program::cargo(repo.root())
        .args(["build", "--release", "--locked", "--package", "thornback-server"])
        .run()?;
    let server = repo.target().join("release/thornback");

    phases.begin("install the Python SDK, numpy and scikit-learn");
    let venv = venv(repo)?;

    phases.begin(&format!("run {SCRIPT}"));
    let mark = Mark::new();
    let ran = run_script(repo, &venv, &server, &mark).and_then(|()| polyglot(repo, &venv, &mut phases));

    phases.begin("look for what is left running");
    let left = mark.left_running();
    phases.end();

    if let Some(path) = &args.json {
        phases.write_json(path, &left)?;
    }
    ran?;
    none_left(&left)?;
    println!("\nNothing is left running. {:.1} s in all.", phases.total().as_secs_f64());
    Ok(())
}

/// The environment of the examples.
pub fn venv(repo: &Repo) -> Result<Venv> {
    const REQUIREMENTS: &str = "examples/requirements.txt";
    let wanted = ["--editable", "sdks/python[numpy]", "--requirement", REQUIREMENTS].map(str::to_owned);
    let sources = ["sdks/python/pyproject.toml", REQUIREMENTS].map(|file| repo.path(file));
    Venv::ready(repo, "quickstart-venv", &wanted, &sources)
}

/// The pipeline through all languages, where they are installed.
fn polyglot(repo: &Repo, venv: &Venv, phases: &mut Phases) -> Result {
    let lacking = polyglot::lacking(repo);
    if !lacking.is_empty() {
        println!("\nThe pipeline of examples/polyglot is left out: it needs {}.", lacking.join(" and "));
        return Ok(());
    }
    phases.begin("run examples/polyglot: one pipeline, four languages");
    polyglot::run(repo, venv, "release", Path::new("docs"))
}

/// The main job on the server of the debug build, as a step of the tests.
pub fn smoke(repo: &Repo) -> Result {
    let (venv, server) = (test::python_tools(repo)?, test::server_binary(repo)?);
    let mark = Mark::new();
    let ran = run_script(repo, &venv, &server, &mark);
    let left = mark.left_running();
    ran?;
    none_left(&left)
}

fn run_script(repo: &Repo, venv: &Venv, server: &Path, mark: &Mark) -> Result {
    venv.program("python", repo.root())
        .args([SCRIPT])
        .env("THORNBACK_BINARY", server)
        .env(MARK, &mark.value)
        .run()
}

fn none_left(left: &[String]) -> Result {
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("these processes should have ended with the script:\n{}", left.join("\n")))
    }
}

/// What was done and how long it took.
struct Phases {
    began: Instant,
    done: Vec<(String, Duration)>,
    now: Option<(String, Instant)>,
}

impl Default for Phases {
    fn default() -> Self {
        Self { began: Instant::now(), done: Vec::new(), now: None }
    }
}

impl Phases {
    fn begin(&mut self, what: &str) {
        self.end();
        println!("\n[{}] {what} …", self.done.len() + 1);
        self.now = Some((what.to_owned(), Instant::now()));
    }

    fn end(&mut self) {
        if let Some((what, began)) = self.now.take() {
            let took = began.elapsed();
            println!("[{}] {what}: {:.1} s", self.done.len() + 1, took.as_secs_f64());
            self.done.push((what, took));
        }
    }

    fn total(&self) -> Duration {
        self.began.elapsed()
    }

    fn write_json(&self, path: &Path, left: &[String]) -> Result {
        let phases: Vec<_> = self
            .done
            .iter()
            .map(|(name, took)| json!({ "name": name, "seconds": took.as_secs_f64() }))
            .collect();
        let whole = json!({ "phases": phases, "seconds": self.total().as_secs_f64(), "left_running": left });
        std::fs::write(path, format!("{whole:#}\n"))
            .map_err(|e| format!("{} cannot be written: {e}", path.display()))
    }
}

/// The value of [`MARK`] in one run.
struct Mark {
    value: String,
}

impl Mark {
    /// A value that no other run has: processes of another may be looked at in the same moment.
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Self { value: format!("{}-{now}", std::process::id()) }
    }

    /// Processes that carry the mark and do not end in time, as `pid command line`.
    ///
    /// On a system without `/proc` nothing can be found, and the claim is not checked.
    fn left_running(&self) -> Vec<String> {
        let deadline = Instant::now() + END_WITHIN;
        loop {
            let left = self.carriers();
            if left.is_empty() || Instant::now() >= deadline {
                return left;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn carriers(&self) -> Vec<String> {
        let variable = format!("{MARK}={}", self.value);
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit())) else {
                continue;
            };
            // Processes of others cannot be read, and are none of ours.
            let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
            if environment.split(|b| *b == 0).any(|one| one == variable.as_bytes()) {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push(format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " ").trim_end()));
            }
        }
        found
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_carries_the_mark_is_found_until_it_ends() {
        let mark = Mark::new();
        let mut child = std::process::Command::new("cat")
            .env(MARK, &mark.value)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("cat is on every system");
        // Between fork and exec the child still has our own environment.
        while mark.carriers().is_empty() {
            std::thread::yield_now();
        }
        assert!(mark.carriers()[0].starts_with(&child.id().to_string()));
        drop(child.stdin.take());
        child.wait().expect("it was started");
        assert_eq!(mark.left_running(), Vec::<String>::new());
    }
}
