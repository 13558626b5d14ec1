//! Other programs: started, watched, and reported on when they fail.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::repo::Result;

/// A program about to be run. Its words are kept for the error message.
pub struct Program {
    command: Command,
    words: Vec<String>,
}

impl Program {
    /// A program to run in `dir`.
    pub fn new(name: impl AsRef<OsStr>, dir: &Path) -> Self {
        let mut command = Command::new(name.as_ref());
        command.current_dir(dir);
        // `cargo run` describes this package to its child; passed on to another cargo or to a build script they would
        // describe the wrong package, and make cargo build again what is fresh.
        for (key, _) in std::env::vars_os() {
            let key = key.to_string_lossy();
            if key.starts_with("CARGO_PKG_") || key.starts_with("CARGO_MANIFEST_") || key == "LD_LIBRARY_PATH"
            {
                command.env_remove(key.as_ref());
            }
        }
        Self { command, words: vec![name.as_ref().to_string_lossy().into_owned()] }
    }

    /// `cargo`, the one that runs us.
    pub fn cargo(dir: &Path) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut program = Self::new(cargo, dir);
        program.words[0] = "cargo".to_owned();
        program
    }

    /// Adds arguments.
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        for arg in args {
            self.command.arg(arg.as_ref());
            self.words.push(arg.as_ref().to_string_lossy().into_owned());
        }
        self
    }

    /// Sets one variable of its environment.
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Takes one variable out of its environment.
    pub fn without(mut self, key: &str) -> Self {
        self.command.env_remove(key);
        self
    }

    /// Runs it on our own terminal. Anything but exit status 0 is an error.
    pub fn run(mut self) -> Result {
        let status = self.command.status();
        self.judge(status)
    }

    /// Runs it and gives its standard output back; its standard error stays on the terminal.
    pub fn capture(mut self) -> Result<String> {
        let output = self.command.stderr(Stdio::inherit()).output();
        match output {
            Ok(output) => {
                self.judge(Ok(output.status))?;
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Err(e) => self.judge(Err(e)).map(|()| String::new()),
        }
    }

    /// Runs it silently, and gives what it said with the error when it fails.
    pub fn quiet(mut self) -> Result<String> {
        match self.command.stdin(Stdio::null()).output() {
            Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                self.judge(Ok(output.status))
                    .map(|()| String::new())
                    .map_err(|e| format!("{e}\n{}", String::from_utf8_lossy(&said).trim_end()))
            }
            Err(e) => self.judge(Err(e)).map(|()| String::new()),
        }
    }

    /// Runs it silently, and gives its exit status and all that it said, however it ended.
    pub fn outcome(mut self) -> Result<(Option<i32>, String)> {
        match self.command.stdin(Stdio::null()).output() {
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
            }
            Err(e) => self.judge(Err(e)).map(|()| (None, String::new())),
        }
    }

    /// Runs it, passing each line of its standard output on to ours after `look` has seen it.
    pub fn watch(self, mut look: impl FnMut(&str)) -> Result {
        self.each_line(|line| {
            // A closed terminal is no reason to stop counting.
            let _ = writeln!(std::io::stdout(), "{line}");
            look(line);
        })
    }

    /// Runs it, giving each line of its standard output to `take` as it comes.
    pub fn each_line(mut self, mut take: impl FnMut(&str)) -> Result {
        let mut child = match self.command.stdout(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(e) => return self.judge(Err(e)),
        };
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let Ok(line) = line else { break };
                take(&String::from_utf8_lossy(&line));
            }
        }
        let status = child.wait();
        self.judge(status)
    }

    fn judge(&self, status: std::io::Result<ExitStatus>) -> Result {
        let line = self.words.join(" ");
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("`{line}` failed: {status}")),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(format!("`{}` is not installed, or not on the PATH (wanted for `{line}`)", self.words[0]))
            }
            Err(e) => Err(format!("`{line}` could not be started: {e}")),
        }
    }
}
