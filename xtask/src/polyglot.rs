//! `cargo xtask polyglot`: the pipeline of `examples/polyglot`, with workers in all four languages and a driver in each.
//!
//! It builds the programs, starts a server with their pools, runs the drivers one after the other, and compares their pages. What the
//! stages do is theirs; nothing here looks into it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::npm::Npm;
use crate::repo::{Repo, Result};
use crate::run::Program;
use crate::test;
use crate::venv::Venv;

/// Arguments of `cargo xtask polyglot`.
#[derive(clap::Args)]
pub struct Args {
    /// Where the texts are (`.md` and `.txt`, at any depth).
    #[arg(default_value = "docs")]
    directory: PathBuf,
}

const EXAMPLE: &str = "examples/polyglot";

/// How long the server may take to listen.
const START_WITHIN: Duration = Duration::from_secs(30);

pub fn main(repo: &Repo, args: &Args) -> Result {
    let lacking = lacking(repo);
    if !lacking.is_empty() {
        return Err(format!("the pipeline needs all four languages; install {}", lacking.join(" and ")));
    }
    let venv = crate::quickstart::venv(repo)?;
    run(repo, &venv, "release", &args.directory)
}

/// Languages that are not installed, each with where to get it.
pub fn lacking(repo: &Repo) -> Vec<&'static str> {
    let is_there =
        |program: &str, version: &str| Program::new(program, repo.root()).args([version]).quiet().is_ok();
    let mut lacking = Vec::new();
    if !is_there("go", "version") {
        lacking.push("Go 1.25 or newer (https://go.dev/dl)");
    }
    if !is_there("npm", "--version") || !is_there("node", "--version") {
        lacking.push("Node.js 20.11 or newer (https://nodejs.org)");
    }
    lacking
}

/// The pipeline on the server of the debug build, as a step of the tests.
pub fn smoke(repo: &Repo) -> Result {
    let lacking = lacking(repo);
    if !lacking.is_empty() {
        return Err(format!("install {}", lacking.join(" and ")));
    }
    let go = repo.path(EXAMPLE).join("go");
    for check in ["vet", "test"] {
        Program::new("go", &go).args([check, "./..."]).run()?;
    }
    run(repo, &test::python_tools(repo)?, "debug", Path::new("docs"))
}

/// Builds all parts and runs the pipeline from each language, on a server of the given profile.
pub fn run(repo: &Repo, venv: &Venv, profile: &str, directory: &Path) -> Result {
    let built = repo.target().join("polyglot");
    std::fs::create_dir_all(&built).map_err(|e| format!("{} cannot be made: {e}", built.display()))?;
    build(repo, &built, profile)?;

    let address = built.join("ports.json");
    let server = Server::start(repo, venv, &repo.target().join(profile).join("thornback"), &address)?;
    let example = repo.path(EXAMPLE);
    let drivers = [
        ("python", venv.program("python", repo.root()).args([example.join("python/driver.py")])),
        ("rust", Program::new(built.join("rust"), repo.root()).args(["driver"])),
        ("go", Program::new(built.join("go"), repo.root()).args(["driver"])),
        ("typescript", Program::new("node", repo.root()).args([example.join("ts/dist/driver.js")])),
    ];
    let mut pages = Vec::new();
    for (language, driver) in drivers {
        let page = built.join(format!("from-{language}.html"));
        // Flags come first: Go's take no others.
        let (flag, page_arg) = if language == "go" { ("-out", &page) } else { ("--out", &page) };
        driver
            .args([Path::new(flag), page_arg, directory])
            .env("THORNBACK_ADDRESS", &server.address)
            .run()?;
        pages.push(std::fs::read(&page).map_err(|e| format!("{} cannot be read: {e}", page.display()))?);
    }
    server.stop()?;
    if pages.iter().any(|page| *page != pages[0]) {
        return Err(format!("the drivers' pages in {} differ", built.display()));
    }
    println!("The four pages are the same: {}", built.join("from-python.html").display());
    Ok(())
}

fn build(repo: &Repo, built: &Path, profile: &str) -> Result {
    let release = (profile == "release").then_some("--release");
    let packages = ["--package", "thornback-server", "--package", "polyglot"];
    Program::cargo(repo.root()).args(["build", "--quiet", "--locked"]).args(packages).args(release).run()?;
    // Beside the others, where the pools' commands name it whatever the profile.
    let (from, to) = (repo.target().join(profile).join("polyglot"), built.join("rust"));
    std::fs::copy(&from, &to).map_err(|e| format!("{} cannot be copied: {e}", from.display()))?;
    let go = repo.path(EXAMPLE).join("go");
    Program::new("go", &go).args(["build", "-o"]).args([built.join("go"), ".".into()]).run()?;
    // The example depends on the SDK as it lies in the tree.
    for folder in ["sdks/ts", "examples/polyglot/ts"] {
        Npm::ready_in(repo, folder)?.script("build").run()?;
    }
    Ok(())
}

/// A server with the example's pools. It ends with its standard input, so with this program in any case.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(repo: &Repo, venv: &Venv, binary: &Path, ports: &Path) -> Result<Self> {
        let _ = std::fs::remove_file(ports);
        // Its workers find the environment's Python first.
        let path = std::env::join_paths(
            std::iter::once(venv.bin())
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        )
        .map_err(|e| format!("PATH cannot be extended: {e}"))?;
        let mut child = Command::new(binary)
            .args(["dev", "--exit-with-stdin", "--pools", &format!("{EXAMPLE}/pools.json"), "--ports-file"])
            .arg(ports)
            .current_dir(repo.root())
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("{} cannot be started: {e}", binary.display()))?;
        let deadline = Instant::now() + START_WITHIN;
        loop {
            // The file appears whole or not at all.
            if let Ok(text) = std::fs::read_to_string(ports) {
                let ports: serde_json::Value =
                    serde_json::from_str(&text).map_err(|e| format!("the server's ports file: {e}"))?;
                let address = format!("unix:{}", ports["unix"].as_str().unwrap_or_default());
                return Ok(Self { child, address });
            }
            if Instant::now() > deadline || child.try_wait().is_ok_and(|status| status.is_some()) {
                let _ = child.kill();
                return Err("the server did not come up; what it says stands above".to_owned());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(mut self) -> Result {
        drop(self.child.stdin.take());
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the server ended with {status}")),
            Err(e) => Err(format!("the server cannot be waited for: {e}")),
        }
    }
}
